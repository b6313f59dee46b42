/* Runs programs and servers for the live tests. Every wait is for output, an end or a connection, and has a
   time-out of its own; a time-out or a broken machine fails the running test through cmocka. */
#ifndef LIVE_HARNESS_H
#define LIVE_HARNESS_H

#include <stdbool.h>
#include <stddef.h>

#define LIVE_TIMEOUT_MS 30000

/* ---- Bytes, with a NUL after the last one. ---- */
struct live_bytes {
    char *ptr;
    size_t len, size;
};

void live_add(struct live_bytes *bytes, const void *more, size_t len);
void live_add_text(struct live_bytes *bytes, const char *text);
void live_clear(struct live_bytes *bytes);
bool live_contains(const struct live_bytes *bytes, const char *text);
/* How often text occurs. */
size_t live_count(const struct live_bytes *bytes, const char *text);

/* ---- Programs. ---- */

/* Zero it, then set what differs. argv and env end with NULL. */
struct live_command {
    const char *const *argv;
    const char *const *env;  /* NAME=VALUE, the whole environment but for PATH and the sanitizers' settings */
    const char *input;       /* standard input, then its end; NULL: empty */
    size_t input_len;        /* 0: the length of the text */
    bool input_open;         /* keep standard input open after that, for live_send() */
    bool input_messages;     /* standard input keeps the boundaries of what live_send() sends */
    const char *output_path; /* standard output goes there instead */
    bool output_closed;
    bool input_terminal; /* standard input is a terminal, for live_send() with input_open */
    bool error_terminal; /* standard error is a terminal */
    bool output_terminal;
    const char *folder; /* working folder */
};

struct live_process {
    struct live_process *next;
    long pid; /* 0: it has ended */
    int input, output, error;
    struct live_bytes out, err; /* what was written so far */
    int status;                 /* exit status, or 128 and the signal, after live_end() */
};

/* Processes and servers live until the teardown. */
struct live_process *live_start(const struct live_command *command);
/* Waits until the text stands in the output or error output from offset from on. Returns its offset. */
size_t live_await_output(struct live_process *process, const char *text, size_t from);
size_t live_await_error(struct live_process *process, const char *text, size_t from);
void live_send(struct live_process *process, const char *bytes, size_t len);
void live_signal(struct live_process *process, int number);
/* Closes standard input and waits for the end; fails the test and kills the process when it does not come. */
void live_end(struct live_process *process);
/* live_start() and live_end(). */
struct live_process *live_run(const struct live_command *command);
void live_kill(struct live_process *process);
/* Kills all that still runs, frees all of the above, removes live_folder(). For the teardown of each test. */
int live_teardown(void **state);

/* ---- Files. ---- */

/* A fresh folder below build/live/ for the running test, as an absolute path. */
const char *live_folder(void);
/* A path in it, valid until the teardown. */
const char *live_path(const char *name);
const char *live_write_file(const char *name, const void *bytes, size_t len);
/* The path of a certificate or key that tests/certs.sh makes, which is run once. */
const char *live_certificate(const char *name);
/* build/hathora-tokens and build/hathora-emulator, or what HATHORA_TOKENS_TOOL, HATHORA_EMULATOR, HATHORA_BIN say. */
const char *live_tool(void);
const char *live_emulator(void);

/* Whether LIVE_LACKS, a list of words, has this one: what the programs under test, or what runs them, cannot do. SIGTERM:
   it reaches the program as a signal. SIGKILL: what it ends lets go of its connections. terminals: a terminal of ours is
   one to it. descriptors: it can start without one. bytes: arguments may be any. processes: /proc shows its arguments.
   modes: its files have permissions of ours. limits: a limit of ours is an error to it. openssl: it finds the program. */
bool live_lacks(const char *what);
/* Skips the running test where it does. */
void live_needs(const char *what);

/* ---- Servers on 127.0.0.1. ---- */

struct live_server {
    struct live_server *next;
    struct live_process *process;
    unsigned port;
    char url[64]; /* https://localhost:PORT, or http://127.0.0.1:PORT for a script */
};

/* A port that nothing listens on now. */
unsigned live_free_port(void);
/* Waits until the port accepts, as long as the process lives. */
void live_await_port(struct live_process *process, unsigned port);

/* The emulator with organization org-1, dev token TOKEN and more arguments (NULL: none). */
struct live_server *live_start_emulator(const char *token, const char *const *more);

/* nginx with this text inside its http block; every @PORT@ in it becomes the port, @FOLDER@ the folder. */
struct live_server *live_start_nginx(const char *http_block);

/* tinyproxy with these further lines of configuration. It writes its log to process->out; the url is the proxy's. */
struct live_server *live_start_proxy(const char *lines);

/* openssl s_server with a certificate of live_certificate(). What is sent to it by live_send_tls() goes to the
   client; what the client sent stands in process->out. more are further arguments (NULL: none). */
struct live_server *live_start_tls(const char *certificate, const char *const *more);
/* One raw piece of at most 16 KiB, which must not begin with an upper-case B, P, Q, R, S or any of their lower-case. */
void live_send_tls(struct live_server *server, const char *bytes, size_t len);
/* Ends the client's connection without a close_notify. */
void live_cut_tls(struct live_server *server);
/* openssl s_server that answers GET /PATH with the file's raw bytes, then a close_notify. */
struct live_server *live_start_tls_file(const char *url_path, const char *bytes, size_t len);

/* What a scripted server does for a request: reads it whole, writes bytes, then does what then says (not LIVE_DRIP). */
enum live_then { LIVE_CLOSE, LIVE_KEEP, LIVE_RESET, LIVE_WAIT, LIVE_DRIP };
struct live_reply {
    const char *bytes; /* NULL: none */
    size_t len;        /* 0: the length of the text */
    enum live_then then;
};

/* A plain TCP server that plays the replies in order, over as many connections as it takes, then refuses. The
   requests stand in process->out, each connection begun by "CONNECTION\n". */
struct live_server *live_start_script(const struct live_reply *replies, size_t count);

/* What a relay does to one connection. With LIVE_KEEP it passes everything on. It acts on the client's record number `record`
   of application data (0: at once) and when `bytes` more bytes of the server were passed on: LIVE_WAIT is silence,
   LIVE_CLOSE and LIVE_RESET end the connection, LIVE_DRIP passes on one byte each drip_ms. */
struct live_rule {
    size_t record, bytes;
    bool withhold; /* that record does not reach the server, and the act does not await an answer */
    enum live_then then;
    unsigned drip_ms;
};

/* A TCP relay to 127.0.0.1:target, whose last rule goes for all further connections too (NULL: none). process->out has
   a line for each thing that it saw: CONNECTION, CERTIFICATE (a full TLS handshake), RECORD (of application data from
   the client), SERVER CLOSED, CLIENT CLOSED. The url is https. */
struct live_server *live_start_relay(unsigned target, const struct live_rule *rules, size_t count);

/* A relay that passes everything on and writes all bytes of both directions to the file. */
struct live_server *live_start_recorder(unsigned target, const char *path);

#endif
