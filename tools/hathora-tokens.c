/* hathora-tokens: lists, creates and revokes the tokens of a Hathora Cloud organization. SPDX: MIT-0 OR Unlicense
   cc -std=c99 -O2 -I. tools/hathora-tokens.c -lbearssl -lpthread -o build/hathora-tokens

   Standard output carries the result alone and is written only after success; a failure is one line on standard
   error and an exit status of its own. It uses the public half of hathora_tokens.h: the calls that never wait,
   driven by a loop that also hears signals. */

#ifdef _WIN32
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0600
#endif
#ifndef _CRT_SECURE_NO_WARNINGS
#define _CRT_SECURE_NO_WARNINGS
#endif
#endif
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#ifdef _WIN32
#include <winsock2.h>
#include <windows.h>
#include <shellapi.h>
#include <io.h>
#else
#include <poll.h>
#include <unistd.h>
#endif

/* One element of a list may have 4 MiB; the rest of the block is for its JSON tokens and is touched only then. */
#define ELEMENT_BYTES    (4u * 1024u * 1024u)
#define WORK_BYTES       (16u * 1024u * 1024u)
#define TOKEN_FILE_BYTES (64u * 1024u)
#define VERSION_LINE     "hathora-tokens " HTOK_VERSION "\n"

/* Exit statuses; the kinds of htok_error have theirs in exit_of(). */
enum { EXIT_DONE = 0, EXIT_FALSE = 1, EXIT_USAGE = 2, EXIT_INTERNAL = 8, EXIT_SIGNAL = 128 };

enum { STANDARD_INPUT = 0, STANDARD_OUTPUT = 1, STANDARD_ERROR = 2 };

enum command { COMMAND_NONE, COMMAND_LIST, COMMAND_CREATE, COMMAND_REVOKE };

/* ---- The option table: it drives parsing, the environment, the names in errors, and the help. -------------- */

/*    id                name and alias                                 letter argument   environment
      library's member  help */
#define OPTIONS(X)                                                                                          \
    X(ORG, "--org", NULL, 0, "ID", "HATHORA_ORG_ID", "org_id", "the organization; required")                \
    X(NAME, "--name", NULL, 0, "NAME", NULL, "name", "create: 1 to 64 characters; required")                \
    X(SCOPE, "--scope", NULL, 0, "SCOPE", NULL, "scopes", "create: may repeat; none means admin")           \
    X(TOKEN, "--token", NULL, 't', "TOKEN", "HATHORA_TOKEN", "token", "the dev token; seen in ps")          \
    X(TOKEN_FILE, "--token-file", NULL, 0, "FILE", NULL, NULL, "read it from FILE, - is standard input")    \
    X(ENDPOINT, "--endpoint", "--hathora-cloud-endpoint", 0, "URL", "HATHORA_CLOUD_ENDPOINT", "server_url", \
      "the API's address")                                                                                  \
    X(CA_FILE, "--ca-file", NULL, 0, "PEM", "SSL_CERT_FILE", "trust_file", "trust these roots alone")       \
    X(PIN, "--pin", NULL, 0, "SPKI", NULL, "pins", "a key of the chain: sha256/BASE64; may repeat")         \
    X(TIMEOUT, "--timeout", NULL, 0, "MS", NULL, "timeout_ms", "for one whole attempt (30000)")             \
    X(CONNECT_TIMEOUT, "--connect-timeout", NULL, 0, "MS", NULL, "connect_timeout_ms",                      \
      "for name look-up, TCP and TLS (10000)")                                                              \
    X(RETRY, "--retry", NULL, 0, "HOW", NULL, "retry.strategy", "none or backoff (none)")                   \
    X(RETRY_INITIAL, "--retry-initial-interval", NULL, 0, "MS", NULL, "retry.initial_interval_ms",          \
      "the first wait (500)")                                                                               \
    X(RETRY_MAX, "--retry-max-interval", NULL, 0, "MS", NULL, "retry.max_interval_ms",                      \
      "the longest wait (60000)")                                                                           \
    X(RETRY_EXPONENT, "--retry-exponent", NULL, 0, "N", NULL, "retry.exponent_thousandths",                 \
      "how fast waits grow (1.5)")                                                                          \
    X(RETRY_ELAPSED, "--retry-max-elapsed", NULL, 0, "MS", NULL, "retry.max_elapsed_ms",                    \
      "no retry after this time (3600000)")                                                                 \
    X(RETRY_CONNECTION, "--retry-connection-errors", NULL, 0, NULL, NULL, "retry.retry_connection_errors",  \
      "also after connection errors")                                                                       \
    X(RETRY_CODES, "--retry-codes", NULL, 0, "LIST", NULL, "retry.codes", "statuses to retry, as 429,5XX")  \
    X(HEADER, "--header", NULL, 0, "FIELD", NULL, "headers", "'Name: value'; may repeat")                   \
    X(USER_AGENT, "--user-agent", NULL, 0, "TEXT", NULL, "user_agent", "what to call itself")               \
    X(OUTPUT, "--output", NULL, 'o', "FORM", "HATHORA_OUTPUT", NULL, "text, json, or FIELDValue")           \
    X(VERBOSE, "--verbose", NULL, 'v', NULL, NULL, NULL, "trace on standard error, without secrets")        \
    X(HELP, "--help", NULL, 'h', NULL, NULL, NULL, "show this")                                             \
    X(VERSION, "--version", NULL, 0, NULL, NULL, NULL, "show the version")

#define OPTION_ID(id, name, alias, letter, argument, variable, member, help) OPTION_##id,
enum option_id { OPTIONS(OPTION_ID) OPTION_COUNT };
#undef OPTION_ID

struct option_row {
    const char *name, *alias;
    char letter;
    const char *argument; /* NULL: a flag */
    const char *variable, *member, *help;
};

#define OPTION_ROW(id, name, alias, letter, argument, variable, member, help) \
    {name, alias, letter, argument, variable, member, help},
static const struct option_row options[OPTION_COUNT] = {OPTIONS(OPTION_ROW)};
#undef OPTION_ROW

static const char help_head[] = "Usage: hathora-tokens [OPTIONS] list\n"
                                "       hathora-tokens [OPTIONS] create --name NAME [--scope SCOPE]...\n"
                                "       hathora-tokens [OPTIONS] revoke ORG_TOKEN_ID...\n"
                                "Lists, creates and revokes the tokens of a Hathora Cloud organization.\n\n";
static const char help_tail[] =
    "\nFIELDValue prints one member bare, a line each: orgTokenIdValue, nameValue,\n"
    "statusValue, scopesValue, ... and, for create, plainTextTokenValue.\n"
    "Exit: 0 done, 1 revoke answered false, 2 usage, 3 API error, 4 other status,\n"
    "5 connection, 6 time-out, 7 invalid answer, 8 output or internal, 130 stopped.\n"
    "Examples:\n"
    "  hathora-tokens --org ORG --token-file dev.token list\n"
    "  hathora-tokens --org ORG create --name ci --scope builds:read \\\n"
    "      --token-file dev.token -o plainTextTokenValue > ci.token\n"
    "  hathora-tokens --org ORG -o json revoke ORG_TOKEN_ID\n";

/* ---- The members that -o FIELDValue can name. ---------------------------------------------------------------- */

enum field {
    FIELD_ORG_TOKEN_ID,
    FIELD_ORG_ID,
    FIELD_NAME,
    FIELD_STATUS,
    FIELD_LAST_FOUR,
    FIELD_CREATED_BY,
    FIELD_CREATED_AT,
    FIELD_SCOPES,
    FIELD_PLAIN_TEXT,
    FIELD_COUNT
};

static const char *const field_names[FIELD_COUNT] = {"orgTokenId",         "orgId",     "name",      "status",
                                                     "lastFourCharsOfKey", "createdBy", "createdAt", "scopes",
                                                     "plainTextToken"};

enum form { FORM_TEXT, FORM_JSON, FORM_FIELD };

/* ---- Growable text that is wiped when it moves and when it goes. --------------------------------------------- */

struct buffer {
    char *ptr;
    size_t len, size;
    bool failed; /* memory ran out; what was added since is missing */
};

static void wipe(void *memory, size_t bytes)
{
    volatile unsigned char *p = (volatile unsigned char *)memory;
    while (bytes-- != 0) {
        *p++ = 0;
    }
}

static void buffer_free(struct buffer *b)
{
    if (b->ptr) {
        wipe(b->ptr, b->size);
        free(b->ptr);
    }
    memset(b, 0, sizeof *b);
}

/* Makes room for that many more bytes. realloc() could leave a copy of a secret behind. */
static bool buffer_room(struct buffer *b, size_t more)
{
    size_t size = b->size < 128 ? 256 : b->size * 2;
    char *ptr;
    if (b->failed) {
        return false;
    }
    if (b->size - b->len >= more) {
        return true;
    }
    if (more > SIZE_MAX / 4 || b->len > SIZE_MAX / 4) {
        b->failed = true;
        return false;
    }
    if (size < b->len + more) {
        size = b->len + more;
    }
    ptr = (char *)malloc(size);
    if (!ptr) {
        b->failed = true;
        return false;
    }
    if (b->ptr) {
        memcpy(ptr, b->ptr, b->len);
        wipe(b->ptr, b->size);
        free(b->ptr);
    }
    b->ptr = ptr;
    b->size = size;
    return true;
}

static void add(struct buffer *b, const char *bytes, size_t len)
{
    if (len != 0 && buffer_room(b, len)) {
        memcpy(b->ptr + b->len, bytes, len);
        b->len += len;
    }
}

static void add_text(struct buffer *b, const char *text)
{
    add(b, text, strlen(text));
}

static void add_view(struct buffer *b, htok_view view)
{
    add(b, view.ptr, view.len);
}

static void add_spaces(struct buffer *b, size_t count)
{
    while (count-- != 0) {
        add(b, " ", 1);
    }
}

static void add_number(struct buffer *b, unsigned value)
{
    char digits[16];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    add(b, digits + at, sizeof digits - at);
}

static htok_view view_of(const char *text)
{
    htok_view v;
    v.ptr = text;
    v.len = text ? strlen(text) : 0;
    return v;
}

/* The library's writers all work alike: they return the whole length, whatever fitted. */
typedef size_t (*writer)(const void *what, char *out, size_t size);

static size_t write_printable(const void *what, char *out, size_t size)
{
    return htok_printable(*(const htok_view *)what, out, size);
}

static size_t write_json_string(const void *what, char *out, size_t size)
{
    return htok_json_string(*(const htok_view *)what, out, size);
}

static size_t write_token_json(const void *what, char *out, size_t size)
{
    return htok_org_token_json((const htok_org_token *)what, out, size);
}

static size_t write_created_json(const void *what, char *out, size_t size)
{
    return htok_created_org_token_json((const htok_created_org_token *)what, out, size);
}

static size_t write_error(const void *what, char *out, size_t size)
{
    return htok_error_format((const htok_error *)what, out, size);
}

static void add_written(struct buffer *b, writer write, const void *what)
{
    size_t needed;
    if (!buffer_room(b, 1)) {
        return;
    }
    needed = write(what, b->ptr + b->len, b->size - b->len);
    if (needed >= b->size - b->len) {
        if (needed == SIZE_MAX || !buffer_room(b, needed + 1)) {
            b->failed = true;
            return;
        }
        needed = write(what, b->ptr + b->len, b->size - b->len);
    }
    b->len += needed;
}

static void add_printable(struct buffer *b, htok_view view)
{
    add_written(b, write_printable, &view);
}

/* The inside of a JSON string, without the quotes. */
static void add_json_inside(struct buffer *b, htok_view view)
{
    size_t start = b->len;
    add_written(b, write_json_string, &view);
    if (!b->failed && b->len - start >= 2) {
        b->len -= 2;
        memmove(b->ptr + start, b->ptr + start + 1, b->len - start);
    }
}

/* ---- The system. ----------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t signal_number;

static bool interrupted(void)
{
    return signal_number != 0;
}

#ifdef _WIN32

static BOOL WINAPI on_console_event(DWORD event)
{
    signal_number = event == CTRL_C_EVENT || event == CTRL_BREAK_EVENT ? SIGINT : SIGTERM;
    return TRUE;
}

static char *narrow(const wchar_t *wide)
{
    int bytes = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    char *text = bytes > 0 ? (char *)malloc((size_t)bytes) : NULL;
    if (text) {
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, bytes, NULL, NULL);
    }
    return text;
}

static wchar_t *widen(const char *text)
{
    int count = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
    wchar_t *wide = count > 0 ? (wchar_t *)malloc((size_t)count * sizeof *wide) : NULL;
    if (wide) {
        MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, count);
    }
    return wide;
}

/* Arguments come as UTF-16 from the system alone; main()'s are in a code page that cannot hold every name. */
static bool system_start(int *argc, char ***argv)
{
    WSADATA data;
    int count = 0, i;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **narrowed = wide ? (char **)calloc((size_t)count + 1, sizeof *narrowed) : NULL;
    if (!narrowed || WSAStartup(MAKEWORD(2, 2), &data) != 0) {
        return false;
    }
    for (i = 0; i < count; i++) {
        narrowed[i] = narrow(wide[i]);
        if (!narrowed[i]) {
            return false;
        }
    }
    LocalFree(wide);
    *argc = count;
    *argv = narrowed;
    _setmode(STANDARD_INPUT, _O_BINARY);
    _setmode(STANDARD_OUTPUT, _O_BINARY);
    _setmode(STANDARD_ERROR, _O_BINARY);
    return SetConsoleCtrlHandler(on_console_event, TRUE) != 0;
}

static const char *environment(const char *name)
{
    wchar_t *wide_name = widen(name);
    const wchar_t *value = wide_name ? _wgetenv(wide_name) : NULL;
    free(wide_name);
    return value ? narrow(value) : NULL;
}

static bool is_terminal(int descriptor)
{
    return _isatty(descriptor) != 0;
}

static bool output_is_closed(void)
{
    return _get_osfhandle(STANDARD_OUTPUT) < 0;
}

/* The console handler runs on a thread that cannot wake a wait, so no wait is long. */
static void wait_for(const htok_wait *wait)
{
    DWORD timeout = wait->timeout_ms < 100 ? wait->timeout_ms : 100;
    if (wait->descriptor == -1) {
        Sleep(timeout);
    } else {
        WSAPOLLFD one;
        one.fd = (SOCKET)wait->descriptor;
        one.events = (short)((wait->readable ? POLLRDNORM : 0) | (wait->writable ? POLLWRNORM : 0));
        one.revents = 0;
        WSAPoll(&one, 1, (INT)timeout);
    }
}

static bool write_all(int descriptor, const char *bytes, size_t len)
{
    while (len != 0) {
        int n = _write(descriptor, bytes, len < 65536 ? (unsigned)len : 65536u);
        if (n <= 0) {
            return false;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool close_output(void)
{
    return _close(STANDARD_OUTPUT) == 0;
}

static int open_for_reading(const char *path)
{
    wchar_t *wide = widen(path);
    int descriptor = wide ? _wopen(wide, _O_RDONLY | _O_BINARY) : -1;
    free(wide);
    return descriptor;
}

static long read_some(int descriptor, char *bytes, size_t size)
{
    return _read(descriptor, bytes, (unsigned)size);
}

static void close_descriptor(int descriptor)
{
    _close(descriptor);
}

#else

static int signal_pipe[2] = {-1, -1};

static void on_signal(int number)
{
    int saved = errno;
    ssize_t ignored;
    signal_number = number;
    ignored = write(signal_pipe[1], "", 1);
    (void)ignored;
    errno = saved;
}

/* The second signal of a kind ends the process at once, should the first not get through. A signal that the
   parent had ignored, as for a job of nohup, stays so. */
static bool catch_signal(int number)
{
    struct sigaction action, old;
    if (sigaction(number, NULL, &old) != 0) {
        return false;
    }
    if (old.sa_handler == SIG_IGN) {
        return true;
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL) == 0;
}

/* A closed standard descriptor is taken by something that cannot serve in its place: else the next socket would
   get its number, and the result would be written to the server. */
static bool fill_standard_descriptors(void)
{
    int fd;
    for (fd = STANDARD_INPUT; fd <= STANDARD_ERROR; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
            open("/dev/null", fd == STANDARD_INPUT ? O_WRONLY : O_RDONLY) != fd) {
            return false;
        }
    }
    return true;
}

static bool system_start(int *argc, char ***argv)
{
    struct sigaction ignore;
    int i;
    (void)argc;
    (void)argv;
    if (!fill_standard_descriptors() || pipe(signal_pipe) != 0) {
        return false;
    }
    for (i = 0; i < 2; i++) {
        if (fcntl(signal_pipe[i], F_SETFD, FD_CLOEXEC) == -1 ||
            fcntl(signal_pipe[i], F_SETFL, O_NONBLOCK) == -1) {
            return false;
        }
    }
    memset(&ignore, 0, sizeof ignore);
    ignore.sa_handler = SIG_IGN;
    sigemptyset(&ignore.sa_mask);
    return sigaction(SIGPIPE, &ignore, NULL) == 0 && catch_signal(SIGINT) && catch_signal(SIGTERM);
}

static const char *environment(const char *name)
{
    return getenv(name);
}

static bool is_terminal(int descriptor)
{
    return isatty(descriptor) != 0;
}

static bool output_is_closed(void)
{
    int flags = fcntl(STANDARD_OUTPUT, F_GETFL);
    return flags == -1 || (flags & O_ACCMODE) == O_RDONLY;
}

/* Returns when the descriptor is ready, the time is over or a signal came. */
static void wait_on(int descriptor, short events, int timeout_ms)
{
    struct pollfd both[2];
    memset(both, 0, sizeof both);
    both[0].fd = signal_pipe[0];
    both[0].events = POLLIN;
    both[1].fd = descriptor;
    both[1].events = events;
    (void)poll(both, 2, timeout_ms);
}

static void wait_for(const htok_wait *wait)
{
    short events = (short)((wait->readable ? POLLIN : 0) | (wait->writable ? POLLOUT : 0));
    int timeout_ms = wait->timeout_ms == UINT32_MAX   ? -1
                     : wait->timeout_ms > 0x7fffffffu ? 0x7fffffff
                                                      : (int)wait->timeout_ms;
    wait_on((int)wait->descriptor, events, timeout_ms);
}

/* A descriptor that somebody else made non-blocking is waited for, without the signals: a result is not cut. */
static bool write_all(int descriptor, const char *bytes, size_t len)
{
    while (len != 0) {
        ssize_t n = write(descriptor, bytes, len);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd one;
            one.fd = descriptor;
            one.events = POLLOUT;
            one.revents = 0;
            (void)poll(&one, 1, -1);
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* Some file systems report a full disk only now. */
static bool close_output(void)
{
    return close(STANDARD_OUTPUT) == 0 || errno == EINTR;
}

/* Non-blocking, so that a FIFO without a writer does not hold the tool where no signal is heard. */
static int open_for_reading(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* -1 with errno EINTR after a signal. */
static long read_some(int descriptor, char *bytes, size_t size)
{
    for (;;) {
        ssize_t n;
        wait_on(descriptor, POLLIN, -1);
        if (interrupted()) {
            errno = EINTR;
            return -1;
        }
        n = read(descriptor, bytes, size);
        if (n >= 0 || (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)) {
            return (long)n;
        }
    }
}

static void close_descriptor(int descriptor)
{
    (void)close(descriptor);
}

#endif

/* ---- The tool's state. ----------------------------------------------------------------------------------------- */

struct tool {
    enum command command;
    const char *values[OPTION_COUNT]; /* of options with one value; a flag that was given has "" */
    bool from_environment[OPTION_COUNT];
    const char **scopes, **pins, **ids; /* each as long as argv */
    size_t scope_count, pin_count, id_count;
    htok_header *headers;
    size_t header_count;
    enum form form;
    enum field field;
    bool json_errors;
    char usage[256];     /* the first usage error, or "" */
    struct buffer token; /* the dev token and its NUL */
    htok_client_options client_options;
    htok_logger logger;
    bool muted; /* no trace now */
    htok_client *client;
};

/* ---- Failures: one line on standard error. --------------------------------------------------------------------- */

static int exit_of(htok_kind kind)
{
    switch (kind) {
    case HTOK_OK: return EXIT_DONE;
    case HTOK_INVALID_REQUEST_ERROR: return EXIT_USAGE;
    case HTOK_API_ERROR: return 3;
    case HTOK_SDK_ERROR: return 4;
    case HTOK_CONNECTION_ERROR: return 5;
    case HTOK_REQUEST_TIMEOUT_ERROR: return 6;
    case HTOK_RESPONSE_VALIDATION_ERROR: return 7;
    case HTOK_REQUEST_ABORTED_ERROR: return EXIT_SIGNAL + (interrupted() ? (int)signal_number : SIGINT);
    case HTOK_UNEXPECTED_CLIENT_ERROR: break;
    }
    return EXIT_INTERNAL;
}

/* Writes the line. message is raw for JSON and printable otherwise; it is freed. */
static void report(const struct tool *t, htok_kind kind, int status, struct buffer *message)
{
    struct buffer line = {NULL, 0, 0, false};
    htok_view view;
    view.ptr = message->ptr;
    view.len = message->len;
    if (t->json_errors) {
        add_text(&line, "{\"error\":{\"type\":\"");
        add_text(&line, htok_kind_name(kind));
        add_text(&line, "\"");
        if (status > 0) {
            add_text(&line, ",\"statusCode\":");
            add_number(&line, (unsigned)status);
        }
        add_text(&line, ",\"message\":");
        add_written(&line, write_json_string, &view);
        add_text(&line, "}}\n");
    } else {
        add_text(&line, "hathora-tokens: ");
        add_view(&line, view);
        add_text(&line, "\n");
    }
    if (line.failed || message->failed) {
        static const char text[] = "hathora-tokens: memory cannot be allocated\n";
        static const char json[] =
            "{\"error\":{\"type\":\"UnexpectedClientError\",\"message\":\"memory cannot be allocated\"}}\n";
        (void)write_all(STANDARD_ERROR, t->json_errors ? json : text,
                        t->json_errors ? sizeof json - 1 : sizeof text - 1);
    } else {
        (void)write_all(STANDARD_ERROR, line.ptr, line.len);
    }
    buffer_free(&line);
    buffer_free(message);
}

/* Text from outside, as the form of the error wants it. */
static void add_for_report(const struct tool *t, struct buffer *b, htok_view view)
{
    if (t->json_errors) {
        add_view(b, view);
    } else {
        add_printable(b, view);
    }
}

static int fail_internal(const struct tool *t, const char *why)
{
    struct buffer message = {NULL, 0, 0, false};
    add_text(&message, why);
    report(t, HTOK_UNEXPECTED_CLIENT_ERROR, 0, &message);
    return EXIT_INTERNAL;
}

/* The result of an answered call could not be written. before and id say whose, after what follows from it. */
static int fail_output(const struct tool *t, int status, const char *before, htok_view id, const char *after)
{
    int error = errno;
    struct buffer message = {NULL, 0, 0, false};
    add_text(&message, "the result could not be written to standard output: ");
    add_text(&message, strerror(error));
    add_text(&message, before);
    add_for_report(t, &message, id);
    add_text(&message, after);
    report(t, HTOK_UNEXPECTED_CLIENT_ERROR, status, &message);
    return EXIT_INTERNAL;
}

/* How the person named the option: by itself or by its variable. */
static const char *given_as(const struct tool *t, enum option_id id)
{
    return t->from_environment[id] ? options[id].variable : options[id].name;
}

/* The library names its own member at fault; the person knows the option. */
static void rename_member(const struct tool *t, htok_error *error)
{
    size_t i;
    for (i = 0; i < OPTION_COUNT; i++) {
        const char *member = options[i].member;
        size_t len = member ? strlen(member) : 0;
        if (len != 0 && strncmp(error->path, member, len) == 0 && strchr("[.", error->path[len]) != NULL) {
            enum option_id id = (enum option_id)i;
            const char *name = id == OPTION_TOKEN && t->values[OPTION_TOKEN_FILE]
                                   ? options[OPTION_TOKEN_FILE].name
                                   : given_as(t, id);
            memset(error->path, 0, sizeof error->path);
            memcpy(error->path, name, strlen(name));
            return;
        }
    }
}

/* id is the token's that a revoke of several failed at, or NULL. */
static int fail_client(const struct tool *t, const htok_error *original, const char *id)
{
    htok_error error = *original;
    struct buffer message = {NULL, 0, 0, false};
    if (error.kind == HTOK_INVALID_REQUEST_ERROR) {
        rename_member(t, &error);
    }
    if (id) {
        add_for_report(t, &message, view_of(id));
        add_text(&message, ": ");
    }
    if (t->json_errors && error.kind == HTOK_API_ERROR && error.message.len != 0) {
        add_view(&message, error.message);
    } else {
        size_t start = message.len;
        const char *name = htok_kind_name(error.kind);
        size_t len = strlen(name);
        add_written(&message, write_error, &error);
        /* The JSON form has the kind as a member of its own. */
        if (t->json_errors && !message.failed && message.len - start > len + 2 &&
            memcmp(message.ptr + start, name, len) == 0 && memcmp(message.ptr + start + len, ": ", 2) == 0) {
            message.len -= len + 2;
            memmove(message.ptr + start, message.ptr + start + len + 2, message.len - start);
        }
    }
    report(t, error.kind, error.status, &message);
    return exit_of(error.kind);
}

/* Notes a usage error; the first one counts. The parts never hold what the person typed, for a misplaced word can
   be a secret. */
static void usage_error(struct tool *t, const char *subject, const char *complaint)
{
    size_t subject_len = strlen(subject), len = strlen(complaint);
    if (t->usage[0] == '\0' && subject_len + len < sizeof t->usage) {
        memcpy(t->usage, subject, subject_len);
        memcpy(t->usage + subject_len, complaint, len + 1);
    }
}

static int fail_usage(const struct tool *t)
{
    struct buffer message = {NULL, 0, 0, false};
    add_text(&message, t->usage);
    add_text(&message, "; see hathora-tokens --help");
    report(t, HTOK_INVALID_REQUEST_ERROR, 0, &message);
    return EXIT_USAGE;
}

/* ---- Words to options. ----------------------------------------------------------------------------------------- */

static bool keep_token(struct tool *t, const char *bytes, size_t len)
{
    buffer_free(&t->token);
    add(&t->token, bytes, len);
    add(&t->token, "", 1);
    return !t->token.failed;
}

static void take_header(struct tool *t, char *value)
{
    char *colon = strchr(value, ':');
    char *end;
    if (!colon) {
        usage_error(t, options[OPTION_HEADER].name, " must look like 'Name: value'");
        return;
    }
    *colon++ = '\0';
    while (*colon == ' ' || *colon == '\t') {
        colon++;
    }
    end = colon + strlen(colon);
    while (end > colon && (end[-1] == ' ' || end[-1] == '\t')) {
        *--end = '\0';
    }
    t->headers[t->header_count].name = value;
    t->headers[t->header_count++].value = colon;
}

static void take(struct tool *t, enum option_id id, char *value)
{
    if (value[0] == '\0') {
        usage_error(t, options[id].name, " must not be empty");
        return;
    }
    switch (id) {
    case OPTION_SCOPE: t->scopes[t->scope_count++] = value; break;
    case OPTION_PIN: t->pins[t->pin_count++] = value; break;
    case OPTION_HEADER: take_header(t, value); break;
    case OPTION_TOKEN:
        if (!keep_token(t, value, strlen(value))) {
            usage_error(t, options[id].name, " does not fit into memory");
        }
        memset(value, '*', strlen(value));
        break;
    default: break;
    }
    t->values[id] = value;
}

static bool equals(const char *a, size_t len, const char *b)
{
    return b && strlen(b) == len && memcmp(a, b, len) == 0;
}

/* Option names are lower case and hyphens: a word that is more may be a secret in the wrong place. */
static void unknown_option(struct tool *t, const char *word, size_t len)
{
    char name[40];
    if (len >= sizeof name || strspn(word, "abcdefghijklmnopqrstuvwxyz-") < len) {
        usage_error(t, "an option", " is unknown");
        return;
    }
    memcpy(name, word, len);
    name[len] = '\0';
    usage_error(t, name, " is an unknown option");
}

/* Both return how many words after this one were used. */
static int parse_long(struct tool *t, char *word, char *next)
{
    size_t len = strcspn(word, "=");
    int i;
    for (i = 0; i < OPTION_COUNT; i++) {
        if (equals(word, len, options[i].name) || equals(word, len, options[i].alias)) {
            if (!options[i].argument) {
                if (word[len] == '=') {
                    usage_error(t, options[i].name, " takes no value");
                }
                t->values[i] = "";
            } else if (word[len] == '=') {
                take(t, (enum option_id)i, word + len + 1);
            } else if (next) {
                take(t, (enum option_id)i, next);
                return 1;
            } else {
                usage_error(t, options[i].name, " needs a value");
            }
            return 0;
        }
    }
    unknown_option(t, word, len);
    return 0;
}

static int parse_short(struct tool *t, char *word, char *next)
{
    char *letter = word + 1;
    for (; *letter; letter++) {
        int i = 0;
        while (i < OPTION_COUNT && options[i].letter != *letter) {
            i++;
        }
        if (i == OPTION_COUNT) {
            char name[3] = {'-', 0, 0};
            name[1] = *letter;
            unknown_option(t, name, 2);
            return 0;
        }
        if (!options[i].argument) {
            t->values[i] = "";
        } else if (letter[1] != '\0') {
            take(t, (enum option_id)i, letter + 1);
            return 0;
        } else if (next) {
            take(t, (enum option_id)i, next);
            return 1;
        } else {
            usage_error(t, options[i].name, " needs a value");
        }
    }
    return 0;
}

static void parse_word(struct tool *t, const char *word)
{
    if (t->command == COMMAND_NONE) {
        if (strcmp(word, "list") == 0) {
            t->command = COMMAND_LIST;
        } else if (strcmp(word, "create") == 0) {
            t->command = COMMAND_CREATE;
        } else if (strcmp(word, "revoke") == 0) {
            t->command = COMMAND_REVOKE;
        } else {
            usage_error(t, "unknown command", ": it must be list, create or revoke");
        }
    } else if (t->command == COMMAND_REVOKE) {
        t->ids[t->id_count++] = word;
    } else {
        usage_error(t, t->command == COMMAND_LIST ? "list" : "create", " takes no further argument");
    }
}

/* Goes on after an error to learn whether JSON is wanted, and stops at --help or --version before one. */
static void parse(struct tool *t, int argc, char **argv)
{
    bool words_only = false;
    int i;
    for (i = 1; i < argc; i++) {
        char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (words_only || word[0] != '-' || word[1] == '\0') {
            parse_word(t, word);
        } else if (strcmp(word, "--") == 0) {
            words_only = true;
        } else {
            i += word[1] == '-' ? parse_long(t, word, next) : parse_short(t, word, next);
        }
        if (t->usage[0] == '\0' && (t->values[OPTION_HELP] || t->values[OPTION_VERSION])) {
            return;
        }
    }
}

/* Variables count where their option was not given. */
static void read_environment(struct tool *t)
{
    int i;
    for (i = 0; i < OPTION_COUNT; i++) {
        const char *value;
        if (!options[i].variable || t->values[i] || (i == OPTION_TOKEN && t->values[OPTION_TOKEN_FILE])) {
            continue;
        }
        value = environment(options[i].variable);
        if (!value) {
            continue;
        }
        if (value[0] == '\0') {
            usage_error(t, options[i].variable, " is set but empty");
            continue;
        }
        t->values[i] = value;
        t->from_environment[i] = true;
        if (i == OPTION_TOKEN && !keep_token(t, value, strlen(value))) {
            usage_error(t, options[i].variable, " does not fit into memory");
        }
    }
}

/* ---- Values to the library's options. -------------------------------------------------------------------------- */

/* Decimal digits only; 0 and UINT32_MAX mean something else to the library. */
static uint32_t milliseconds(struct tool *t, enum option_id id)
{
    const char *text = t->values[id];
    uint32_t value = 0;
    if (!text) {
        return 0;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        uint32_t digit = (uint32_t)(*text - '0');
        if (value > (UINT32_MAX - 1 - digit) / 10) {
            value = 0;
            break;
        }
        value = value * 10 + digit;
    }
    if (*text != '\0' || value == 0) {
        usage_error(t, options[id].name, " must be a number of milliseconds from 1 to 4294967294");
        return 0;
    }
    return value;
}

/* A decimal such as 1.5 in thousandths, whatever the locale. */
static uint32_t thousandths(struct tool *t, enum option_id id)
{
    const char *text = t->values[id];
    uint32_t value = 0, unit = 100;
    size_t whole = 0;
    if (!text) {
        return 0;
    }
    for (; *text >= '0' && *text <= '9' && whole < 3; text++, whole++) {
        value = value * 10 + (uint32_t)(*text - '0') * 1000;
    }
    if (whole != 0 && text[0] == '.' && text[1] != '\0') {
        for (text++; *text >= '0' && *text <= '9' && unit != 0; text++) {
            value += (uint32_t)(*text - '0') * unit;
            unit /= 10;
        }
    }
    if (whole == 0 || *text != '\0' || value == 0 || value > 10000) {
        usage_error(t, options[id].name, " must be a number up to 10 with at most three decimals, as 1.5");
        return 0;
    }
    return value;
}

static void read_retry(struct tool *t)
{
    htok_retry *retry = &t->client_options.retry;
    const char *how = t->values[OPTION_RETRY];
    if (how && strcmp(how, "none") != 0 && strcmp(how, "backoff") != 0) {
        usage_error(t, options[OPTION_RETRY].name, " must be none or backoff");
    }
    retry->strategy = how && strcmp(how, "backoff") == 0 ? HTOK_RETRY_BACKOFF : HTOK_RETRY_NONE;
    retry->initial_interval_ms = milliseconds(t, OPTION_RETRY_INITIAL);
    retry->max_interval_ms = milliseconds(t, OPTION_RETRY_MAX);
    retry->max_elapsed_ms = milliseconds(t, OPTION_RETRY_ELAPSED);
    retry->exponent_thousandths = thousandths(t, OPTION_RETRY_EXPONENT);
    retry->retry_connection_errors = t->values[OPTION_RETRY_CONNECTION] != NULL;
    retry->codes = t->values[OPTION_RETRY_CODES];
}

/* The members that the command's result has: plainTextToken comes last and belongs to create alone. */
static size_t field_count(enum command command)
{
    return command == COMMAND_CREATE ? FIELD_COUNT : command == COMMAND_LIST ? FIELD_COUNT - 1 : 0;
}

static void read_form(struct tool *t)
{
    const char *form = t->values[OPTION_OUTPUT];
    size_t i;
    if (!form || strcmp(form, "text") == 0) {
        t->form = FORM_TEXT;
        return;
    }
    if (strcmp(form, "json") == 0) {
        t->form = FORM_JSON;
        return;
    }
    t->form = FORM_FIELD;
    for (i = 0; i < field_count(t->command); i++) {
        size_t len = strlen(field_names[i]);
        if (strncmp(form, field_names[i], len) == 0 && strcmp(form + len, "Value") == 0) {
            t->field = (enum field)i;
            return;
        }
    }
    usage_error(t, given_as(t, OPTION_OUTPUT),
                t->command == COMMAND_REVOKE
                    ? " must be text or json for revoke"
                    : " must be text, json, or a member of the result as in nameValue");
}

static void check_command(struct tool *t)
{
    if (t->command == COMMAND_NONE) {
        usage_error(t, "no command", ": it must be list, create or revoke");
    } else if (t->command == COMMAND_REVOKE && t->id_count == 0) {
        usage_error(t, "revoke", " needs the id of a token");
    } else if (t->command == COMMAND_CREATE && !t->values[OPTION_NAME]) {
        usage_error(t, "create", " needs --name");
    }
    if (t->command != COMMAND_CREATE && (t->values[OPTION_NAME] || t->values[OPTION_SCOPE])) {
        usage_error(t, options[t->values[OPTION_NAME] ? OPTION_NAME : OPTION_SCOPE].name,
                    " belongs to create");
    }
    if (!t->values[OPTION_ORG]) {
        usage_error(t, options[OPTION_ORG].name, " or HATHORA_ORG_ID must name the organization");
    }
    if (t->values[OPTION_TOKEN_FILE] && t->values[OPTION_TOKEN]) {
        usage_error(t, options[OPTION_TOKEN].name, " and --token-file cannot stand together");
    }
}

static void log_line(void *context, const char *text)
{
    const struct tool *t = (const struct tool *)context;
    struct buffer line = {NULL, 0, 0, false};
    if (t->muted) {
        return;
    }
    add_text(&line, "hathora-tokens: trace: ");
    add_text(&line, text);
    add_text(&line, "\n");
    if (!line.failed) {
        (void)write_all(STANDARD_ERROR, line.ptr, line.len);
    }
    buffer_free(&line);
}

static void fill_client_options(struct tool *t)
{
    htok_client_options *o = &t->client_options;
    o->timeout_ms = milliseconds(t, OPTION_TIMEOUT);
    o->connect_timeout_ms = milliseconds(t, OPTION_CONNECT_TIMEOUT);
    o->server_url = t->values[OPTION_ENDPOINT];
    o->org_id = t->values[OPTION_ORG];
    o->user_agent = t->values[OPTION_USER_AGENT];
    o->headers = t->headers;
    o->header_count = t->header_count;
    o->trust_file = t->values[OPTION_CA_FILE];
    o->pins = t->pins;
    o->pin_count = t->pin_count;
    o->work_bytes = WORK_BYTES;
    o->max_element_bytes = ELEMENT_BYTES;
    read_retry(t);
    if (t->values[OPTION_VERBOSE]) {
        t->logger.context = t;
        t->logger.line = log_line;
        o->logger = &t->logger;
    }
}

/* Returns an exit status. */
static int read_token_file(struct tool *t)
{
    const char *path = t->values[OPTION_TOKEN_FILE];
    const char *name = options[OPTION_TOKEN_FILE].name;
    bool standard_input = strcmp(path, "-") == 0;
    int descriptor = standard_input ? STANDARD_INPUT : open_for_reading(path);
    int error = 0;
    size_t len = 0, room = TOKEN_FILE_BYTES + 3;
    char *bytes = (char *)malloc(room);
    if (!bytes) {
        return fail_internal(t, "memory cannot be allocated");
    }
    if (descriptor < 0) {
        error = errno;
    } else {
        long n = 1;
        while (n > 0 && len < room) {
            n = read_some(descriptor, bytes + len, room - len);
            len += n > 0 ? (size_t)n : 0;
        }
        error = n < 0 ? errno : 0;
        if (!standard_input) {
            close_descriptor(descriptor);
        }
    }
    if (len == room) {
        usage_error(t, name, " holds more than 64 KiB");
    } else if (error != 0) {
        usage_error(t, name, " cannot be read: ");
        if (strlen(t->usage) + strlen(strerror(error)) < sizeof t->usage) {
            memcpy(t->usage + strlen(t->usage), strerror(error), strlen(strerror(error)) + 1);
        }
    } else {
        if (len > 0 && bytes[len - 1] == '\n') {
            len -= len > 1 && bytes[len - 2] == '\r' ? 2 : 1;
        }
        if (len == 0) {
            usage_error(t, name, " holds no token");
        } else if (len > TOKEN_FILE_BYTES) {
            usage_error(t, name, " holds more than 64 KiB");
        } else if (memchr(bytes, '\0', len)) {
            usage_error(t, name, " holds a NUL byte");
        } else if (!keep_token(t, bytes, len)) {
            usage_error(t, name, " does not fit into memory");
        }
    }
    wipe(bytes, room);
    free(bytes);
    if (interrupted()) {
        struct buffer message = {NULL, 0, 0, false};
        add_text(&message, "interrupted while reading the token");
        report(t, HTOK_REQUEST_ABORTED_ERROR, 0, &message);
        return exit_of(HTOK_REQUEST_ABORTED_ERROR);
    }
    return t->usage[0] != '\0' ? fail_usage(t) : EXIT_DONE;
}

/* ---- Results. -------------------------------------------------------------------------------------------------- */

/* The scopes as one text: admin, another word of the server's, or the list joined by commas. */
static void add_scopes(struct buffer *b, const htok_org_token *token)
{
    size_t i;
    if (token->scopes_form == HTOK_SCOPES_ABSENT || token->scopes_form == HTOK_SCOPES_ADMIN) {
        add_text(b, "admin");
        return;
    }
    for (i = 0; i < token->scope_count; i++) {
        if (i != 0) {
            add_text(b, ",");
        }
        add_view(b, token->scopes[i]);
    }
}

/* A member's value; scopes are put together in joined. */
static htok_view field_value(enum field field, const htok_org_token *token, htok_view plain_text,
                             struct buffer *joined)
{
    htok_view v = {NULL, 0};
    switch (field) {
    case FIELD_ORG_TOKEN_ID: return token->org_token_id;
    case FIELD_ORG_ID: return token->org_id;
    case FIELD_NAME: return token->name;
    case FIELD_STATUS: return token->status_text;
    case FIELD_LAST_FOUR: return token->last_four_chars_of_key;
    case FIELD_CREATED_BY: return token->created_by;
    case FIELD_CREATED_AT: return token->created_at;
    case FIELD_SCOPES:
        joined->len = 0;
        add_scopes(joined, token);
        v.ptr = joined->ptr;
        v.len = joined->len;
        return v;
    case FIELD_PLAIN_TEXT: return plain_text;
    case FIELD_COUNT: break;
    }
    return v;
}

/* Bare for scripts, where one value must stay one line; a terminal gets no control characters. */
static void add_field_line(struct buffer *b, htok_view value, bool terminal)
{
    if (terminal) {
        add_printable(b, value);
    } else if (value.len != 0 && (memchr(value.ptr, '\n', value.len) || memchr(value.ptr, '\r', value.len))) {
        add_json_inside(b, value);
    } else {
        add_view(b, value);
    }
    add_text(b, "\n");
}

static const enum field columns[] = {FIELD_ORG_TOKEN_ID, FIELD_NAME,       FIELD_STATUS, FIELD_LAST_FOUR,
                                     FIELD_CREATED_AT,   FIELD_CREATED_BY, FIELD_SCOPES};
static const char *const titles[] = {"ID", "NAME", "STATUS", "LAST 4", "CREATED", "CREATED BY", "SCOPES"};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

/* The cells of a table, each with its NUL, and how many characters the widest of each column has. */
struct table {
    struct buffer cells;
    size_t widths[COLUMNS];
};

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return count;
}

static void table_cell(struct table *table, size_t column, htok_view value)
{
    size_t start = table->cells.len, width;
    if (value.len == 0) {
        value = view_of("-");
    }
    add_printable(&table->cells, value);
    add(&table->cells, "", 1);
    if (!table->cells.failed) {
        width = characters(table->cells.ptr + start);
        if (width > table->widths[column]) {
            table->widths[column] = width;
        }
    }
}

static void table_write(const struct table *table, struct buffer *out)
{
    size_t at = 0, column = 0;
    if (table->cells.failed) {
        out->failed = true;
        return;
    }
    while (at < table->cells.len) {
        const char *cell = table->cells.ptr + at;
        size_t len = strlen(cell);
        add(out, cell, len);
        if (column + 1 < COLUMNS) {
            add_spaces(out, table->widths[column] - characters(cell) + 2);
            column++;
        } else {
            add_text(out, "\n");
            column = 0;
        }
        at += len + 1;
    }
}

static void hint(const char *first, htok_view value, const char *last)
{
    struct buffer line = {NULL, 0, 0, false};
    if (!is_terminal(STANDARD_ERROR)) {
        return;
    }
    add_text(&line, first);
    add_printable(&line, value);
    add_text(&line, last);
    if (!line.failed) {
        (void)write_all(STANDARD_ERROR, line.ptr, line.len);
    }
    buffer_free(&line);
}

/* ---- Commands. Each returns an exit status. ---------------------------------------------------------------------- */

/* Lets the call go on until it has an element, is done or has failed. */
static htok_state advance(struct tool *t)
{
    for (;;) {
        htok_state state;
        htok_wait wait;
        if (interrupted()) {
            htok_client_cancel(t->client);
        }
        state = htok_client_poll(t->client);
        if (state != HTOK_STATE_PENDING) {
            return state;
        }
        wait = htok_client_wait(t->client);
        wait_for(&wait);
    }
}

static int write_result(const struct tool *t, struct buffer *out, int status)
{
    if (out->failed) {
        return fail_internal(t, "memory cannot be allocated");
    }
    if (!write_all(STANDARD_OUTPUT, out->ptr, out->len) || !close_output()) {
        return fail_output(t, status, "", view_of(NULL), "");
    }
    return EXIT_DONE;
}

static void add_listed(struct tool *t, struct buffer *out, struct table *table, struct buffer *joined,
                       size_t index)
{
    const htok_org_token *token = htok_client_item(t->client);
    size_t i;
    switch (t->form) {
    case FORM_JSON:
        if (index != 0) {
            add_text(out, ",");
        }
        add_written(out, write_token_json, token);
        break;
    case FORM_FIELD:
        add_field_line(out, field_value(t->field, token, view_of(NULL), joined),
                       is_terminal(STANDARD_OUTPUT));
        break;
    case FORM_TEXT:
        for (i = 0; i < COLUMNS; i++) {
            table_cell(table, i, field_value(columns[i], token, view_of(NULL), joined));
        }
        break;
    }
    out->failed = out->failed || joined->failed || table->cells.failed;
}

/* The whole output is held until the answer has proved complete. */
static int run_list(struct tool *t)
{
    struct buffer out = {NULL, 0, 0, false}, joined = {NULL, 0, 0, false};
    struct table table;
    htok_state state = HTOK_STATE_FAILED;
    size_t count = 0, i;
    int code;
    memset(&table, 0, sizeof table);
    if (t->form == FORM_TEXT) {
        for (i = 0; i < COLUMNS; i++) {
            table_cell(&table, i, view_of(titles[i]));
        }
    } else if (t->form == FORM_JSON) {
        add_text(&out, "{\"tokens\":[");
    }
    if (htok_get_org_tokens_start(t->client, NULL) == HTOK_OK) {
        while ((state = advance(t)) == HTOK_STATE_ITEM && !out.failed) {
            add_listed(t, &out, &table, &joined, count++);
        }
    }
    if (state == HTOK_STATE_DONE) {
        if (t->form == FORM_JSON) {
            add_text(&out, "]}\n");
        }
        table_write(&table, &out);
        code = write_result(t, &out, 200);
        if (code == EXIT_DONE && count == 0 && t->form == FORM_TEXT) {
            hint("The organization has no tokens.", view_of(NULL), "\n");
        }
    } else if (out.failed) {
        htok_client_cancel(t->client);
        code = fail_internal(t, "memory cannot be allocated");
    } else {
        code = fail_client(t, htok_client_error(t->client), NULL);
    }
    buffer_free(&out);
    buffer_free(&joined);
    buffer_free(&table.cells);
    return code;
}

static void add_labelled(struct buffer *out, const char *label, htok_view value)
{
    add_text(out, label);
    add_printable(out, value);
    add_text(out, "\n");
}

static void add_created(const struct tool *t, struct buffer *out, const htok_created_org_token *created)
{
    const htok_org_token *token = &created->org_token;
    struct buffer joined = {NULL, 0, 0, false};
    switch (t->form) {
    case FORM_JSON:
        add_written(out, write_created_json, created);
        add_text(out, "\n");
        break;
    case FORM_FIELD:
        add_field_line(out, field_value(t->field, token, created->plain_text_token, &joined),
                       is_terminal(STANDARD_OUTPUT));
        break;
    case FORM_TEXT:
        add_labelled(out, "Plain-text token:  ", created->plain_text_token);
        add_labelled(out, "Token id:          ", token->org_token_id);
        add_labelled(out, "Organization:      ", token->org_id);
        add_labelled(out, "Name:              ", token->name);
        add_labelled(out, "Status:            ", token->status_text);
        add_labelled(out, "Last 4 characters: ", token->last_four_chars_of_key);
        add_labelled(out, "Scopes:            ", field_value(FIELD_SCOPES, token, view_of(NULL), &joined));
        add_labelled(out, "Created:           ", token->created_at);
        add_labelled(out, "Created by:        ", token->created_by);
        break;
    }
    out->failed = out->failed || joined.failed;
    buffer_free(&joined);
}

/* A token whose plain text cannot be shown is of no use but still valid. */
static int run_create(struct tool *t)
{
    htok_create_org_token_request request;
    const htok_created_org_token *created;
    struct buffer out = {NULL, 0, 0, false};
    int code = EXIT_DONE;
    memset(&request, 0, sizeof request);
    request.name = t->values[OPTION_NAME];
    request.admin = t->scope_count == 1 && strcmp(t->scopes[0], "admin") == 0;
    request.scopes = t->scopes;
    request.scope_count = request.admin ? 0 : t->scope_count;
    if (htok_create_org_token_start(t->client, &request, NULL) != HTOK_OK || advance(t) != HTOK_STATE_DONE) {
        return fail_client(t, htok_client_error(t->client), NULL);
    }
    created = htok_client_created(t->client);
    add_created(t, &out, created);
    if (out.failed || !write_all(STANDARD_OUTPUT, out.ptr, out.len) || !close_output()) {
        if (out.failed) {
            errno = ENOMEM;
        }
        code = fail_output(t, 201, "; the token was created and its plain text is lost: revoke ",
                           created->org_token.org_token_id, " and create another");
    } else if (t->form == FORM_TEXT) {
        if (t->scope_count == 0) {
            hint("Warning: without --scope the token has every right (admin).", view_of(NULL), "\n");
        }
        hint("The plain-text token is shown this once: keep it now. To revoke it: hathora-tokens revoke ",
             created->org_token.org_token_id, "\n");
    }
    buffer_free(&out);
    htok_client_wipe(t->client);
    return code;
}

/* Usage errors come before anything is sent: a start checks the id and sends nothing yet. */
static int check_ids(struct tool *t)
{
    size_t i;
    t->muted = true;
    for (i = 0; i < t->id_count; i++) {
        if (htok_revoke_org_token_start(t->client, t->ids[i], NULL) != HTOK_OK) {
            t->muted = false;
            return fail_client(t, htok_client_error(t->client), t->id_count > 1 ? t->ids[i] : NULL);
        }
        htok_client_cancel(t->client);
    }
    t->muted = false;
    return EXIT_DONE;
}

static int run_revoke(struct tool *t)
{
    struct buffer out = {NULL, 0, 0, false};
    int code = check_ids(t), worst = EXIT_DONE;
    size_t i;
    for (i = 0; i < t->id_count && code == EXIT_DONE; i++) {
        const char *id = t->ids[i];
        bool revoked;
        if (htok_revoke_org_token_start(t->client, id, NULL) != HTOK_OK || advance(t) != HTOK_STATE_DONE) {
            code = fail_client(t, htok_client_error(t->client), t->id_count > 1 ? id : NULL);
            break;
        }
        revoked = htok_client_revoked(t->client);
        worst = revoked ? worst : EXIT_FALSE;
        out.len = 0;
        if (t->form == FORM_JSON) {
            add_text(&out, revoked ? "true\n" : "false\n");
        } else {
            add_printable(&out, view_of(id));
            add_text(&out, revoked ? " revoked\n" : " was not revoked\n");
        }
        if (out.failed) {
            errno = ENOMEM;
        }
        if (out.failed || !write_all(STANDARD_OUTPUT, out.ptr, out.len) ||
            (i + 1 == t->id_count && !close_output())) {
            code = fail_output(t, 200, revoked ? "; revoked: " : "; not revoked: ", view_of(id), "");
        }
    }
    buffer_free(&out);
    return code != EXIT_DONE ? code : worst;
}

/* ---- Help, and the whole. ----------------------------------------------------------------------------------------- */

static int show_help(struct tool *t)
{
    struct buffer out = {NULL, 0, 0, false};
    int code;
    size_t i;
    add_text(&out, help_head);
    for (i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *o = &options[i];
        size_t start = out.len, width;
        char letter[5] = {' ', ' ', ' ', ' ', 0};
        if (o->letter) {
            letter[0] = '-';
            letter[1] = o->letter;
            letter[2] = ',';
        }
        add_text(&out, "  ");
        add_text(&out, letter);
        add_text(&out, o->name);
        if (o->argument) {
            add_text(&out, " ");
            add_text(&out, o->argument);
        }
        width = out.len - start;
        add_spaces(&out, width < 35 ? 35 - width : 1);
        add_text(&out, o->help);
        if (o->variable) {
            add_text(&out, " [");
            add_text(&out, o->variable);
            add_text(&out, "]");
        }
        add_text(&out, "\n");
        if (o->alias) {
            add_text(&out, "      ");
            add_text(&out, o->alias);
            add_text(&out, " ");
            add_text(&out, o->argument);
            add_text(&out, "   the same\n");
        }
    }
    add_text(&out, help_tail);
    code = write_result(t, &out, 0);
    buffer_free(&out);
    return code;
}

static int show_version(struct tool *t)
{
    struct buffer out = {NULL, 0, 0, false};
    int code;
    add_text(&out, VERSION_LINE);
    code = write_result(t, &out, 0);
    buffer_free(&out);
    return code;
}

static int run(struct tool *t)
{
    htok_error error;
    int code;
    if (t->usage[0] == '\0' && t->values[OPTION_HELP]) {
        return show_help(t);
    }
    if (t->usage[0] == '\0' && t->values[OPTION_VERSION]) {
        return show_version(t);
    }
    read_environment(t);
    check_command(t);
    t->json_errors = t->values[OPTION_OUTPUT] && strcmp(t->values[OPTION_OUTPUT], "json") == 0;
    read_form(t);
    fill_client_options(t);
    if (t->usage[0] != '\0') {
        return fail_usage(t);
    }
    if (t->values[OPTION_TOKEN_FILE]) {
        code = read_token_file(t);
        if (code != EXIT_DONE) {
            return code;
        }
    }
    t->client_options.token = t->token.ptr;
    if (t->command == COMMAND_CREATE && output_is_closed()) {
        return fail_internal(
            t, "standard output is closed: the new token's plain text would be lost, so nothing "
               "was sent");
    }
    memset(&error, 0, sizeof error);
    if (htok_client_create(&t->client, &t->client_options, &error) != HTOK_OK) {
        return fail_client(t, &error, NULL);
    }
    code = t->command == COMMAND_LIST     ? run_list(t)
           : t->command == COMMAND_CREATE ? run_create(t)
                                          : run_revoke(t);
    t->muted = true; /* the line of a failure stays the last one */
    htok_client_close(t->client);
    return code;
}

int main(int argc, char **argv)
{
    struct tool t;
    int code;
    size_t words;
    memset(&t, 0, sizeof t);
    if (!system_start(&argc, &argv)) {
        return fail_internal(&t, "the system refuses a pipe, a signal handler or its sockets");
    }
    words = (size_t)argc + 1;
    t.scopes = (const char **)calloc(words, sizeof *t.scopes);
    t.pins = (const char **)calloc(words, sizeof *t.pins);
    t.ids = (const char **)calloc(words, sizeof *t.ids);
    t.headers = (htok_header *)calloc(words, sizeof *t.headers);
    if (t.scopes && t.pins && t.ids && t.headers) {
        parse(&t, argc, argv);
        code = run(&t);
    } else {
        code = fail_internal(&t, "memory cannot be allocated");
    }
    buffer_free(&t.token);
    free(t.headers);
    free((void *)t.ids);
    free((void *)t.pins);
    free((void *)t.scopes);
    return code;
}
