/* The emulator against curl and openssl's s_client, which share no code with it. */
#define _POSIX_C_SOURCE 200809L
#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKEN  "emulator-test-token"
#define BEARER "Authorization: Bearer "
#define JSON   "Content-Type: application/json"
#define ORGS   "/tokens/v1/orgs/org-1"

enum { MAX_WORDS = 64 };

/* ---- Asking. ---- */

/* The CA of the certificates, without taking a place among the harness's paths each time. */
static const char *ca_file(void)
{
    static char path[1024];
    if (path[0] == '\0') {
        snprintf(path, sizeof path, "%s", live_certificate("ca.pem"));
    }
    return path;
}

static const char *emulator_file(void)
{
    static char path[1024];
    if (path[0] == '\0') {
        snprintf(path, sizeof path, "%s", live_emulator());
    }
    return path;
}

static struct live_process *run_words(const char *const *words, const char *input, size_t input_len)
{
    struct live_command command;
    memset(&command, 0, sizeof command);
    command.argv = words;
    command.input = input;
    command.input_len = input_len;
    return live_run(&command);
}

/* curl with these words after our own. */
static struct live_process *curl(const char *const *more)
{
    const char *words[MAX_WORDS] = {"curl", "-sS", "--max-time", "25", "--cacert"};
    size_t n = 5, i;
    words[n++] = ca_file();
    for (i = 0; more[i] != NULL && n < MAX_WORDS - 1; i++) {
        words[n++] = more[i];
    }
    words[n] = NULL;
    return run_words(words, NULL, 0);
}

static char answer[1 << 20];
static char answer_type[256];

/* One request with a dev token (NULL: none). Returns the status; the body goes to answer. */
static int ask_as(const struct live_server *server, const char *token, const char *method, const char *path,
                  const char *body)
{
    char url[2048], authorization[512];
    const char *words[24];
    struct live_process *process;
    size_t n = 0;
    char *tail;
    int status;
    snprintf(url, sizeof url, "%s%s", server->url, path);
    words[n++] = "-w";
    words[n++] = "\n%{http_code} %{content_type}";
    words[n++] = "-X";
    words[n++] = method;
    if (token != NULL) {
        snprintf(authorization, sizeof authorization, BEARER "%s", token);
        words[n++] = "-H";
        words[n++] = authorization;
    }
    if (body != NULL) {
        words[n++] = "-H";
        words[n++] = JSON;
        words[n++] = "--data-binary";
        words[n++] = body;
    }
    words[n++] = "--path-as-is";
    words[n++] = url;
    words[n] = NULL;
    process = curl(words);
    if (process->status != 0) {
        fail_msg("curl %s %s: %s", method, path, process->err.ptr);
    }
    assert_true(process->out.len < sizeof answer);
    memcpy(answer, process->out.ptr, process->out.len + 1);
    tail = strrchr(answer, '\n');
    assert_non_null(tail);
    *tail = '\0';
    status = (int)strtol(tail + 1, &tail, 10);
    snprintf(answer_type, sizeof answer_type, "%s", *tail == ' ' ? tail + 1 : tail);
    live_clear(&process->out);
    live_add(&process->out, "", 0);
    return status;
}

static int ask(const struct live_server *server, const char *method, const char *path, const char *body)
{
    return ask_as(server, TOKEN, method, path, body);
}

static int create(const struct live_server *server, const char *body)
{
    return ask(server, "POST", ORGS "/create", body);
}

/* The first string member of this name in the text. */
static const char *member(const char *text, const char *name)
{
    static char values[4][512];
    static unsigned next;
    char *value = values[next++ % 4];
    char key[64];
    const char *at, *end;
    snprintf(key, sizeof key, "\"%s\":\"", name);
    at = strstr(text, key);
    if (at == NULL) {
        fail_msg("no %s in %s", name, text);
        return "";
    }
    at += strlen(key);
    end = strchr(at, '"');
    assert_true(end != NULL && end - at < 512);
    memcpy(value, at, (size_t)(end - at));
    value[end - at] = '\0';
    return value;
}

static size_t occurrences(const char *text, const char *what)
{
    size_t n = 0;
    while ((text = strstr(text, what)) != NULL) {
        n++;
        text += strlen(what);
    }
    return n;
}

static int revoke(const struct live_server *server, const char *id)
{
    char path[256];
    snprintf(path, sizeof path, ORGS "/tokens/%s/revoke", id);
    return ask(server, "POST", path, NULL);
}

static struct live_server *start(const char *first, ...)
{
    const char *more[24];
    size_t n = 0;
    va_list args;
    va_start(args, first);
    while (first != NULL && n < 23) {
        more[n++] = first;
        first = va_arg(args, const char *);
    }
    va_end(args);
    more[n] = NULL;
    return live_start_emulator(TOKEN, more);
}

static void stop(struct live_server *server)
{
    live_signal(server->process, live_lacks("SIGTERM") ? SIGINT : SIGTERM);
    live_end(server->process);
    /* On a busy machine wineserver kills what takes a second to go. */
    assert_true(server->process->status == 0 || (server->process->status == 137 && live_lacks("SIGKILL")));
}

/* s_client to the server; send with live_send(), what comes stands in out. */
static struct live_process *s_client(const struct live_server *server, const char *first, ...)
{
    static char to[64];
    const char *words[24] = {"openssl",       "s_client", "-servername", "localhost", "-verify_return_error",
                             "-verify_quiet", "-CAfile"};
    struct live_command command;
    size_t n = 7;
    va_list args;
    words[n++] = ca_file();
    words[n++] = "-connect";
    snprintf(to, sizeof to, "127.0.0.1:%u", server->port);
    words[n++] = to;
    va_start(args, first);
    while (first != NULL && n < 23) {
        words[n++] = first;
        first = va_arg(args, const char *);
    }
    va_end(args);
    words[n] = NULL;
    memset(&command, 0, sizeof command);
    command.argv = words;
    command.input_open = true;
    return live_start(&command);
}

/* Sends raw bytes and waits for the connection's end. */
static struct live_process *raw(const struct live_server *server, const char *bytes, size_t len)
{
    struct live_process *process = s_client(server, "-quiet", NULL);
    live_send(process, bytes, len);
    live_end(process);
    return process;
}

static void assert_raw(const struct live_server *server, const char *bytes, const char *begins)
{
    struct live_process *process = raw(server, bytes, strlen(bytes));
    if (strncmp(process->out.ptr, begins, strlen(begins)) != 0) {
        fail_msg("for %.200s\nthe answer is %.300s\n%s", bytes, process->out.ptr, process->err.ptr);
    }
}

/* ---- The command line. ---- */

static struct live_process *run_emulator(const char *first, ...)
{
    const char *words[24];
    size_t n = 0;
    va_list args;
    words[n++] = emulator_file();
    va_start(args, first);
    while (first != NULL && n < 23) {
        words[n++] = first;
        first = va_arg(args, const char *);
    }
    va_end(args);
    words[n] = NULL;
    return run_words(words, NULL, 0);
}

static void assert_one_line(const struct live_process *process, int status)
{
    if (process->status != status || process->out.len != 0 || process->err.len == 0 ||
        live_count(&process->err, "\n") != 1 || process->err.ptr[process->err.len - 1] != '\n') {
        fail_msg("status %d, output \"%s\", error output \"%s\"", process->status, process->out.ptr,
                 process->err.ptr);
    }
}

static void help_and_version_go_to_standard_output(void **state)
{
    const char *const full[] = {"sh", "-c", "\"$0\" --help >/dev/full", emulator_file(), NULL};
    struct live_process *process = run_emulator("--help", NULL);
    (void)state;
    assert_int_equal(process->status, 0);
    assert_int_equal(process->err.len, 0);
    assert_true(live_contains(&process->out, "--fault") && live_contains(&process->out, "bad-chunk"));
    assert_true(live_contains(&process->out, "org-emulator"));
    assert_true(live_contains(&process->out, "emulator-dev-token"));
    process = run_emulator("--version", NULL);
    assert_int_equal(process->status, 0);
    assert_memory_equal(process->out.ptr, "hathora-emulator ", 17);
    if (access("/dev/full", W_OK) == 0) {
        assert_one_line(run_words(full, NULL, 0), 1);
    }
}

static void usage_errors_are_one_line_and_status_2(void **state)
{
    static const char *const rows[][2] = {
        {"--unknown", NULL},
        {"stray", NULL},
        {"--quiet=yes", NULL},
        {"--listen", "nowhere"},
        {"--listen", "127.0.0.1:65536"},
        {"--listen", "example.com:0"},
        {"--listen", "[::1:0"},
        {"--listen", "[]:0"},
        {"--listen", "0.0.0.0:0"},
        {"--listen", "[::]:0"},
        {"--org", ""},
        {"--org", ".."},
        {"--org", "\xff"},
        {"--token", ""},
        {"--token", "two words"},
        {"--token", "abc=tokens:readd"},
        {"--state", ""},
        {"--fault", "nonsense"},
        {"--fault", "op=lists"},
        {"--fault", "status=99"},
        {"--fault", "status=600"},
        {"--fault", "delay=x"},
        {"--fault", "cut="},
        {"--fault", "body=%zz"},
        {"--fault", "status=500,"},
        {"--prefix", "api"},
        {"--tokens", "-1"},
        {"--seed", "18446744073709551616"},
        {"--idle-timeout", "0"},
        {"--seed", NULL},
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct live_process *process;
        if (rows[i][1] != NULL && rows[i][1][0] == '\xff' && live_lacks("bytes")) {
            continue;
        }
        process = run_emulator("--cert", "x.pem", "--key", "x.key", rows[i][0], rows[i][1], NULL);
        if (process->status != 2) {
            fail_msg("row %zu: %s", i, process->err.ptr);
        }
        assert_one_line(process, 2);
    }
    assert_one_line(run_emulator(NULL), 2);
    assert_one_line(run_emulator("--cert", "x.pem", NULL), 2);
    for (i = 0; i < 3; i++) { /* --port-file removes what lies in its place */
        static const char *const others[] = {"--state", "--cert", "--key"};
        const char *file = live_write_file("mine", "mine\n", 5);
        assert_one_line(
            run_emulator("--cert", "x.pem", "--key", "x.key", others[i], file, "--port-file", file, NULL), 2);
        assert_int_equal(access(file, F_OK), 0);
    }
    assert_true(live_contains(&run_emulator("-h", NULL)->err, "--help tells what there is\n"));
}

static void wrong_option_is_not_quoted_with_its_value(void **state)
{
    struct live_process *process = run_emulator("--tokn=canary-secret", NULL);
    (void)state;
    assert_one_line(process, 2);
    assert_false(live_contains(&process->err, "canary"));
}

static void run_openssl(const char *first, ...)
{
    const char *words[24];
    struct live_process *process;
    size_t n = 0;
    va_list args;
    words[n++] = "openssl";
    va_start(args, first);
    while (first != NULL && n < 23) {
        words[n++] = first;
        first = va_arg(args, const char *);
    }
    va_end(args);
    words[n] = NULL;
    process = run_words(words, NULL, 0);
    if (process->status != 0) {
        fail_msg("openssl %s: %s", words[1], process->err.ptr);
    }
}

static void add_der_length(struct live_bytes *out, unsigned char tag, size_t len)
{
    unsigned char head[4] = {0, 0x82, 0, 0};
    head[0] = tag;
    head[2] = (unsigned char)(len >> 8);
    head[3] = (unsigned char)len;
    live_add(out, head, 4);
}

/* An RSA private key whose five last integers do not fit the buffer of BearSSL 0.6's decoder. */
static const char *oversized_key(void)
{
    static const size_t sizes[] = {512, 256, 512, 312, 312, 312, 312, 312};
    const char *words[] = {"openssl", "base64", NULL};
    struct live_bytes body = {NULL, 0, 0}, der = {NULL, 0, 0}, pem = {NULL, 0, 0};
    struct live_process *process;
    const char *path;
    size_t i, n;
    live_add(&body, "\x02\x01\x00", 3);
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        add_der_length(&body, 0x02, sizes[i]);
        for (n = 0; n < sizes[i]; n++) {
            live_add(&body, "\x51", 1);
        }
    }
    add_der_length(&der, 0x30, body.len);
    live_add(&der, body.ptr, body.len);
    process = run_words(words, der.ptr, der.len);
    live_add_text(&pem, "-----BEGIN RSA PRIVATE KEY-----\n");
    live_add(&pem, process->out.ptr, process->out.len);
    live_add_text(&pem, "-----END RSA PRIVATE KEY-----\n");
    path = live_write_file("oversized.key", pem.ptr, pem.len);
    live_clear(&body);
    live_clear(&der);
    live_clear(&pem);
    return path;
}

static void unusable_files_are_one_line_and_status_1(void **state)
{
    const char *cert = live_certificate("leaf.pem"), *key = live_certificate("leaf.key");
    const char *garbage = live_write_file("garbage.pem", "-----BEGIN CERTIFICATE-----\n!!!\n", 32);
    const char *empty = live_write_file("empty.pem", "", 0);
    const char *cut = live_write_file("cut.pem", "-----BEGIN PRIVATE KEY-----\nMIGH\n", 33);
    const char *encrypted = live_path("encrypted.key"), *edwards = live_path("edwards.key");
    const char *small_key = live_path("small.key"), *old = live_path("old.key");
    (void)state;
    run_openssl("pkcs8", "-topk8", "-in", key, "-out", encrypted, "-passout", "pass:secret", NULL);
    run_openssl("genpkey", "-algorithm", "ED25519", "-out", edwards, NULL);
    run_openssl("genrsa", "-out", small_key, "512", NULL);
    run_openssl("rsa", "-in", live_certificate("rsa.key"), "-traditional", "-aes128", "-passout",
                "pass:secret", "-out", old, NULL);
    assert_one_line(run_emulator("--cert", "/nowhere.pem", "--key", key, NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", "/nowhere.key", NULL), 1);
    assert_one_line(run_emulator("--cert", live_folder(), "--key", key, NULL), 1);
    assert_one_line(run_emulator("--cert", garbage, "--key", key, NULL), 1);
    assert_one_line(run_emulator("--cert", empty, "--key", key, NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", empty, NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", cert, NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", cut, NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", encrypted, NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", old, NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", edwards, NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", small_key, NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", oversized_key(), NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", live_certificate("rsa.key"), NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", live_certificate("chain.key"), NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", key, "--port-file", "/nowhere/port", NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", key, "--state", "/nowhere/state", NULL), 1);
    assert_one_line(run_emulator("--cert", cert, "--key", key, "--state", live_folder(), NULL), 1);
}

static void taken_port_is_one_line_and_status_1(void **state)
{
    struct live_server *server = start(NULL);
    char where[64];
    (void)state;
    snprintf(where, sizeof where, "127.0.0.1:%u", server->port);
    assert_one_line(run_emulator("--listen", where, "--cert", live_certificate("leaf.pem"), "--key",
                                 live_certificate("leaf.key"), NULL),
                    1);
    stop(server);
}

static struct live_server *start_with(const char *cert, const char *key)
{
    static struct live_server server;
    const char *words[] = {emulator_file(), "--cert", cert,      "--key", key,
                           "--org",         "org-1",  "--token", TOKEN,   NULL};
    struct live_command command;
    const char *colon;
    memset(&command, 0, sizeof command);
    memset(&server, 0, sizeof server);
    command.argv = words;
    server.process = live_start(&command);
    live_await_output(server.process, "\n", 0);
    colon = strrchr(server.process->out.ptr, ':');
    assert_non_null(colon);
    server.port = (unsigned)strtoul(colon + 1, NULL, 10);
    snprintf(server.url, sizeof server.url, "https://localhost:%u", server.port);
    return &server;
}

static void every_kind_of_key_serves(void **state)
{
    static const char *const curves[] = {"P-256", "P-384", "P-521", NULL};
    char cert[600], key[600], converted[600], option[64], url[128];
    size_t i;
    (void)state;
    snprintf(cert, sizeof cert, "%s/cert.pem", live_folder());
    snprintf(key, sizeof key, "%s/key.pem", live_folder());
    snprintf(converted, sizeof converted, "%s/converted.pem", live_folder());
    for (i = 0; i < 4; i++) {
        const char *keys[2];
        size_t n;
        if (curves[i] != NULL) {
            snprintf(option, sizeof option, "ec_paramgen_curve:%s", curves[i]);
            run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", option, "-nodes", "-keyout", key, "-out",
                        cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days",
                        "2", NULL);
            run_openssl("ec", "-in", key, "-out", converted, NULL);
        } else {
            run_openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2",
                        NULL);
            run_openssl("rsa", "-in", key, "-traditional", "-out", converted, NULL);
        }
        keys[0] = key;
        keys[1] = converted;
        for (n = 0; n < 2; n++) {
            struct live_server *server = start_with(cert, keys[n]);
            const char *words[] = {"--cacert", cert, "-H", BEARER TOKEN, url, NULL};
            struct live_process *process;
            snprintf(url, sizeof url, "%s" ORGS, server->url);
            process = curl(words);
            assert_int_equal(process->status, 0);
            assert_string_equal(process->out.ptr, "{\"tokens\":[]}");
            stop(server);
        }
    }
}

static void pem_may_have_crlf_a_mark_and_no_last_line_end(void **state)
{
    const char *names[] = {"leaf.pem", "leaf.key"};
    const char *paths[2];
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        struct live_bytes text = {NULL, 0, 0};
        FILE *file = fopen(live_certificate(names[i]), "rb");
        int c;
        assert_non_null(file);
        live_add_text(&text, "\xEF\xBB\xBF");
        while ((c = getc(file)) != EOF) {
            char byte = (char)c;
            live_add(&text, c == '\n' ? "\r\n" : &byte, c == '\n' ? 2 : 1);
        }
        fclose(file);
        paths[i] = live_write_file(names[i], text.ptr, text.len - 2);
        live_clear(&text);
    }
    stop(start_with(paths[0], paths[1]));
}

static void port_file_and_ready_line_agree(void **state)
{
    const char *port_file = live_path("port");
    struct live_server *server;
    char text[32] = "";
    FILE *file;
    (void)state;
    live_write_file("port", "1\n", 2);
    server = start("--port-file", port_file, NULL);
    file = fopen(port_file, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_int_equal(strtoul(text, NULL, 10), server->port);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_string_equal(strchr(server->process->out.ptr, '\n'), "\n");
    stop(server);
}

/* What is meant for a closed one must not get to the pipe that tells of signals, nor to the state file. */
static void closed_standard_descriptors_are_replaced(void **state)
{
    const char *argv[] = {"sh",    "-c",    "exec \"$@\" <&- 2>&-",
                          "sh",    NULL,    "--cert",
                          NULL,    "--key", NULL,
                          "--org", "org-1", "--token",
                          TOKEN,   NULL};
    struct live_server server;
    struct live_command command;
    (void)state;
    live_needs("descriptors");
    argv[4] = emulator_file();
    argv[6] = live_certificate("leaf.pem");
    argv[8] = live_certificate("leaf.key");
    memset(&server, 0, sizeof server);
    memset(&command, 0, sizeof command);
    command.argv = argv;
    server.process = live_start(&command);
    live_await_output(server.process, "\n", 0);
    assert_int_equal(sscanf(server.process->out.ptr, "listening on https://127.0.0.1:%u\n", &server.port), 1);
    snprintf(server.url, sizeof server.url, "https://localhost:%u", server.port);
    assert_int_equal(create(&server, "{\"name\":\"one\"}"), 201);
    assert_int_equal(ask(&server, "GET", ORGS, NULL), 200);
    stop(&server);
    argv[2] = "exec \"$@\" <&- >&- 2>&-";
    assert_int_equal(run_words(argv, NULL, 0)->status, 1);
}

/* Not one of its failures is silent, not even that of its first step. */
static void too_few_descriptors_are_told(void **state)
{
    const char *words[] = {"sh",
                           "-c",
                           "exec 3<&-; ulimit -n 4; exec \"$0\" --cert \"$1\" --key \"$2\"",
                           emulator_file(),
                           live_certificate("leaf.pem"),
                           live_certificate("leaf.key"),
                           NULL};
    (void)state;
    live_needs("limits");
    assert_one_line(run_words(words, NULL, 0), 1);
}

static void listens_on_ipv6_loopback(void **state)
{
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 address;
    char url[128];
    const char *words[] = {"-H", BEARER TOKEN, url, NULL};
    struct live_process *process;
    (void)state;
    memset(&address, 0, sizeof address);
    address.sin6_family = AF_INET6;
    address.sin6_addr.s6_addr[15] = 1;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        skip();
    }
    close(fd);
    {
        const char *more[] = {emulator_file(),
                              "--listen",
                              "[::1]:0",
                              "--cert",
                              live_certificate("leaf.pem"),
                              "--key",
                              live_certificate("leaf.key"),
                              "--org",
                              "org-1",
                              "--token",
                              TOKEN,
                              NULL};
        struct live_command command;
        struct live_process *emulator;
        memset(&command, 0, sizeof command);
        command.argv = more;
        emulator = live_start(&command);
        live_await_output(emulator, "\n", 0);
        assert_memory_equal(emulator->out.ptr, "listening on https://[::1]:", 27);
        snprintf(url, sizeof url, "https://[::1]:%lu" ORGS, strtoul(emulator->out.ptr + 27, NULL, 10));
        process = curl(words);
        assert_int_equal(process->status, 0);
        live_signal(emulator, SIGINT);
        live_end(emulator);
        assert_int_equal(emulator->status, 0);
    }
}

/* ---- The operations. ---- */

static void tokens_are_created_listed_and_revoked(void **state)
{
    struct live_server *server = start("--org", "org-2", NULL);
    char first[64], second[64], plain[128];
    (void)state;
    assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
    assert_string_equal(answer, "{\"tokens\":[]}");
    assert_string_equal(answer_type, "application/json");

    assert_int_equal(create(server, "{\"name\":\"first\"}"), 201);
    assert_string_equal(answer_type, "application/json");
    snprintf(plain, sizeof plain, "%s", member(answer, "plainTextToken"));
    snprintf(first, sizeof first, "%s", member(answer, "orgTokenId"));
    assert_memory_equal(plain, "hathora_org_st_", 15);
    assert_int_equal(strlen(plain), 15 + 43);
    assert_memory_equal(first, "org-token-", 10);
    assert_int_equal(strlen(first), 46);
    assert_int_equal(first[24], '4');
    assert_string_equal(member(answer, "lastFourCharsOfKey"), plain + strlen(plain) - 4);
    assert_string_equal(member(answer, "orgId"), "org-1");
    assert_string_equal(member(answer, "name"), "first");
    assert_string_equal(member(answer, "status"), "active");
    assert_non_null(strchr(member(answer, "createdBy"), '@'));
    assert_int_equal(strlen(member(answer, "createdAt")), 24);
    assert_int_equal(member(answer, "createdAt")[23], 'Z');
    assert_null(strstr(answer, "scopes"));

    assert_int_equal(
        create(server, "{\"scopes\":[\"tokens:read\",\"load-balancer:access\"],\"name\":\"second\"}"), 201);
    snprintf(second, sizeof second, "%s", member(answer, "orgTokenId"));
    assert_non_null(strstr(answer, "\"scopes\":[\"tokens:read\",\"load-balancer:access\"]"));
    assert_int_equal(create(server, "{\"scopes\":\"admin\",\"name\":\"third\"}"), 201);
    assert_non_null(strstr(answer, "\"scopes\":\"admin\""));
    assert_int_equal(create(server, "{\"scopes\":[],\"name\":\"fourth\",\"other\":[{\"name\":1}]}"), 201);
    assert_non_null(strstr(answer, "\"scopes\":[]"));

    assert_int_equal(revoke(server, first), 200);
    assert_string_equal(answer, "true");
    assert_string_equal(answer_type, "application/json");
    assert_int_equal(revoke(server, first), 200);
    assert_string_equal(answer, "false");

    assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
    assert_int_equal(occurrences(answer, "\"orgTokenId\""), 4);
    assert_int_equal(occurrences(answer, "plainTextToken"), 0);
    assert_null(strstr(answer, plain));
    assert_true(strstr(answer, first) < strstr(answer, second));
    assert_true(strstr(answer, "\"second\"") < strstr(answer, "\"third\""));
    assert_int_equal(occurrences(answer, "\"status\":\"revoked\""), 1);
    assert_string_equal(member(answer, "status"), "revoked");

    assert_int_equal(ask(server, "GET", "/tokens/v1/orgs/org-2", NULL), 200);
    assert_string_equal(answer, "{\"tokens\":[]}");
    assert_int_equal(ask(server, "POST", "/tokens/v1/orgs/org-2/create", "{\"name\":\"first\"}"), 201);
    assert_int_equal(ask(server, "POST", "/tokens/v1/orgs/org-2/tokens/org-token-x/revoke", NULL), 404);
    {
        char path[256];
        snprintf(path, sizeof path, "/tokens/v1/orgs/org-2/tokens/%s/revoke", second);
        assert_int_equal(ask(server, "POST", path, NULL), 404);
    }
    stop(server);
}

static void created_tokens_open_their_organization_while_active(void **state)
{
    struct live_server *server = start("--org", "org-2", NULL);
    char plain[128], id[64], reader[128], nothing[128];
    (void)state;
    assert_int_equal(create(server, "{\"name\":\"admin\"}"), 201);
    snprintf(plain, sizeof plain, "%s", member(answer, "plainTextToken"));
    snprintf(id, sizeof id, "%s", member(answer, "orgTokenId"));
    assert_int_equal(create(server, "{\"name\":\"reader\",\"scopes\":[\"tokens:read\"]}"), 201);
    snprintf(reader, sizeof reader, "%s", member(answer, "plainTextToken"));
    assert_int_equal(create(server, "{\"name\":\"nothing\",\"scopes\":[]}"), 201);
    snprintf(nothing, sizeof nothing, "%s", member(answer, "plainTextToken"));

    assert_int_equal(ask_as(server, plain, "GET", ORGS, NULL), 200);
    assert_int_equal(ask_as(server, plain, "POST", ORGS "/create", "{\"name\":\"by token\"}"), 201);
    assert_int_equal(ask_as(server, plain, "GET", "/tokens/v1/orgs/org-2", NULL), 401);
    assert_int_equal(ask_as(server, reader, "GET", ORGS, NULL), 200);
    assert_int_equal(ask_as(server, reader, "POST", ORGS "/create", "{\"name\":\"no\"}"), 401);
    assert_non_null(strstr(answer, "tokens:read-write"));
    assert_int_equal(ask_as(server, nothing, "GET", ORGS, NULL), 401);
    assert_int_equal(revoke(server, id), 200);
    assert_int_equal(ask_as(server, plain, "GET", ORGS, NULL), 401);
    stop(server);
}

static void dev_tokens_may_be_limited(void **state)
{
    struct live_server *server =
        start("--token", "reader=tokens:read", "--token", "writer=builds:read,tokens:read-write", "--token",
              "other=builds:read", "--token", "all=admin", "--token", "padded==", NULL);
    (void)state;
    assert_int_equal(ask_as(server, "reader", "GET", ORGS, NULL), 200);
    assert_int_equal(ask_as(server, "reader", "POST", ORGS "/create", "{\"name\":\"a\"}"), 401);
    assert_int_equal(ask_as(server, "writer", "GET", ORGS, NULL), 200);
    assert_int_equal(ask_as(server, "writer", "POST", ORGS "/create", "{\"name\":\"b\"}"), 201);
    assert_int_equal(ask_as(server, "other", "GET", ORGS, NULL), 401);
    assert_int_equal(ask_as(server, "all", "POST", ORGS "/create", "{\"name\":\"c\"}"), 201);
    assert_int_equal(ask_as(server, "padded==", "GET", ORGS, NULL), 200);
    assert_int_equal(ask_as(server, "padded", "GET", ORGS, NULL), 401);
    stop(server);
}

static void assert_message(void)
{
    if (strncmp(answer, "{\"message\":\"", 12) != 0 || strcmp(answer_type, "application/json") != 0) {
        fail_msg("%s: %s", answer_type, answer);
    }
}

static void errors_have_their_status_and_a_message(void **state)
{
    static const struct {
        const char *token, *method, *path, *body;
        int status;
    } rows[] = {
        {NULL, "GET", ORGS, NULL, 401},
        {"wrong", "GET", ORGS, NULL, 401},
        {"wrong", "POST", ORGS "/create", "{\"name\":\"a\"}", 401},
        {"wrong", "GET", "/tokens/v1/orgs/org-9", NULL, 401},
        {TOKEN, "GET", "/tokens/v1/orgs/org-9", NULL, 404},
        {TOKEN, "POST", "/tokens/v1/orgs/org-9/create", "{\"name\":\"a\"}", 404},
        {TOKEN, "POST", ORGS "/tokens/org-token-none/revoke", NULL, 404},
        {TOKEN, "GET", "/", NULL, 404},
        {TOKEN, "GET", "/tokens/v1/orgs", NULL, 404},
        {TOKEN, "GET", "/tokens/v1/orgs/", NULL, 404},
        {TOKEN, "GET", ORGS "/", NULL, 404},
        {TOKEN, "GET", ORGS "/../org-1", NULL, 404},
        {TOKEN, "GET", "/tokens/v2/orgs/org-1", NULL, 404},
        {TOKEN, "POST", ORGS "/tokens/a/b/revoke", NULL, 404},
        {TOKEN, "GET", "/1/2/3/4/5/6/7/8/9/10", NULL, 404},
        {TOKEN, "DELETE", ORGS, NULL, 405},
        {TOKEN, "POST", ORGS, NULL, 405},
        {TOKEN, "GET", ORGS "/create", NULL, 405},
        {TOKEN, "PUT", ORGS "/tokens/a/revoke", NULL, 405},
        {TOKEN, "POST", ORGS "/create", NULL, 415},
        {TOKEN, "GET", "/tokens/v1/orgs/%zz", NULL, 400},
        {TOKEN, "GET", "/tokens/v1/orgs/%4", NULL, 400},
        {TOKEN, "GET", "/tokens/v1/orgs/%ff", NULL, 400},
        {TOKEN, "GET", "/tokens/v1/orgs/org%2D1", NULL, 200},
        {TOKEN, "GET", ORGS "?ignored=1", NULL, 200},
    };
    struct live_server *server = start(NULL);
    size_t i;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int status = ask_as(server, rows[i].token, rows[i].method, rows[i].path, rows[i].body);
        if (status != rows[i].status) {
            fail_msg("%s %s: %d %s", rows[i].method, rows[i].path, status, answer);
        }
        if (status != 200) {
            assert_message();
        }
    }
    stop(server);
}

static void refusals_carry_the_fields_that_http_asks_for(void **state)
{
    struct live_server *server = start(NULL);
    char url[128];
    const char *words[] = {"-i", "-X", "DELETE", url, NULL};
    const char *list[] = {"-i", url, NULL};
    const char *head[] = {"-I", url, NULL};
    struct live_process *process;
    (void)state;
    snprintf(url, sizeof url, "%s" ORGS, server->url);
    process = curl(words);
    assert_true(live_contains(&process->out, "\r\nAllow: GET\r\n"));
    process = curl(list);
    assert_true(live_contains(&process->out, "\r\nWWW-Authenticate: Bearer\r\n"));
    assert_true(live_contains(&process->out, "\r\nDate: "));
    process = curl(head);
    assert_int_equal(process->status, 0);
    assert_true(live_contains(&process->out, "HTTP/1.1 405 "));
    snprintf(url, sizeof url, "%s" ORGS "/create", server->url);
    process = curl(list);
    assert_true(live_contains(&process->out, "\r\nAllow: POST\r\n"));
    stop(server);
}

static void bodies_are_checked_strictly(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "null",
        "true",
        "\"name\"",
        "[]",
        "[{\"name\":\"a\"}]",
        "{}",
        "{\"name\":1}",
        "{\"name\":null}",
        "{\"name\":[\"a\"]}",
        "{\"name\":\"\"}",
        "{\"Name\":\"a\"}",
        "{\"name\":\"a\",}",
        "{,\"name\":\"a\"}",
        "{\"name\" \"a\"}",
        "{\"name\"::\"a\"}",
        "{\"name\":\"a\" \"b\":1}",
        "{\"name\":\"a\"}{}",
        "{\"name\":\"a\"} x",
        "{\"name\":\"a\"",
        "{\"name\":\"a}",
        "{\"name\":'a'}",
        "{name:\"a\"}",
        "{\"name\":\"a\",\"x\":tru}",
        "{\"name\":\"a\",\"x\":01}",
        "{\"name\":\"a\",\"x\":1.}",
        "{\"name\":\"a\",\"x\":.5}",
        "{\"name\":\"a\",\"x\":1e}",
        "{\"name\":\"a\",\"x\":-}",
        "{\"name\":\"a\",\"x\":+1}",
        "{\"name\":\"a\",\"x\":[1,]}",
        "{\"name\":\"a\",\"x\":[,1]}",
        "{\"name\":\"a\",\"x\":[1 2]}",
        "{\"name\":\"a\",\"x\":{]}",
        "{\"name\":\"a\",\"x\":NaN}",
        "{\"name\":\"a\tb\"}",
        "{\"name\":\"a\\x\"}",
        "{\"name\":\"a\\u12g4\"}",
        "{\"name\":\"\\ud800\"}",
        "{\"name\":\"\\udc00\\ud800\"}",
        "{\"name\":\"\\ud800\\u0041\"}",
        "{\"name\":\"\xff\"}",
        "{\"name\":\"\xc0\x80\"}",
        "{\"name\":\"\xed\xa0\x80\"}",
        "{\"name\":\"\xf4\x90\x80\x80\"}",
        "\xef\xbb\xbf{\"name\":\"a\"}",
        "{\"name\":\"a\",\"name\":\"b\"}",
        "{\"name\":\"a\",\"n\\u0061me\":\"a\"}",
        "{\"name\":\"a\",\"scopes\":[],\"scopes\":[]}",
        "{\"name\":\"a\",\"scopes\":null}",
        "{\"name\":\"a\",\"scopes\":true}",
        "{\"name\":\"a\",\"scopes\":{}}",
        "{\"name\":\"a\",\"scopes\":\"tokens:read\"}",
        "{\"name\":\"a\",\"scopes\":\"Admin\"}",
        "{\"name\":\"a\",\"scopes\":[\"admin\"]}",
        "{\"name\":\"a\",\"scopes\":[\"tokens:write\"]}",
        "{\"name\":\"a\",\"scopes\":[\"\"]}",
        "{\"name\":\"a\",\"scopes\":[1]}",
        "{\"name\":\"a\",\"scopes\":[[\"tokens:read\"]]}",
        "{\"name\":\"a\",\"scopes\":[\"tokens:read\",null]}",
    };
    static const char *const good[] = {
        " \t\r\n{ \"name\" : \"g1\" , \"x\" : [ 1 , -0.5e+3 , 0 , true , null , { } , [ ] ] } \n",
        "{\"n\\u0061me\":\"g2\"}",
        "{\"name\":\"\\ud83d\\ude00\\u0000\\n\\\"\\\\\\/\"}",
        "{\"name\":\"\xf0\x9f\x98\x81\"}",
        "{\"x\":1,\"x\":2,\"name\":\"g3\"}",
        "{\"name\":\"\\u00e9\\u20AC\",\"scopes\":[\"\\u0074okens:read\"]}",
        "{\"name\":\"g4\",\"scopes\":\"\\u0061dmin\"}",
    };
    struct live_server *server = start(NULL);
    char url[128];
    const char *argv[8] = {"curl", "-sS", "--cacert"};
    struct live_bytes config = {NULL, 0, 0};
    struct live_process *process;
    size_t i;
    (void)state;
    /* One curl for all: a file for each body, a transfer for each file. */
    snprintf(url, sizeof url, "%s" ORGS "/create", server->url);
    for (i = 0; i < sizeof bad / sizeof bad[0] + sizeof good / sizeof good[0]; i++) {
        size_t bads = sizeof bad / sizeof bad[0];
        const char *body = i < bads ? bad[i] : good[i - bads];
        char path[1200], line[3000];
        FILE *file;
        snprintf(path, sizeof path, "%s/body-%zu", live_folder(), i);
        file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(body, 1, strlen(body), file), strlen(body));
        fclose(file);
        snprintf(line, sizeof line,
                 "%surl = \"%s\"\ncacert = \"%s\"\nheader = \"" BEARER TOKEN "\"\nheader = \"" JSON
                 "\"\ndata-binary = \"@%s\"\nmax-time = 25\nwrite-out = \"\\n%zu=%%{http_code}\\n\"\n",
                 i ? "next\n" : "", url, ca_file(), path, i);
        live_add_text(&config, line);
    }
    argv[3] = ca_file();
    argv[4] = "--config";
    argv[5] = "-";
    process = run_words(argv, config.ptr, config.len);
    live_clear(&config);
    assert_int_equal(process->status, 0);
    for (i = 0; i < sizeof bad / sizeof bad[0] + sizeof good / sizeof good[0]; i++) {
        char line[64];
        bool is_bad = i < sizeof bad / sizeof bad[0];
        snprintf(line, sizeof line, "\n%zu=%d\n", i, is_bad ? 422 : 201);
        if (!live_contains(&process->out, line)) {
            fail_msg("%s", is_bad ? bad[i] : good[i - sizeof bad / sizeof bad[0]]);
        }
    }
    assert_true(live_contains(&process->out, "\"name\":\"\xc3\xa9\xe2\x82\xac\""));
    assert_true(live_contains(&process->out, "\"name\":\"\xf0\x9f\x98\x80\\u0000\\u000a\\\"\\\\/\""));
    stop(server);
}

static void names_are_counted_in_code_points_and_unique(void **state)
{
    struct live_server *server = start(NULL);
    char body[512], id[64];
    int i;
    (void)state;
    for (i = 64; i <= 65; i++) {
        size_t at = (size_t)snprintf(body, sizeof body, "{\"name\":\"");
        int n;
        for (n = 0; n < i; n++) {
            memcpy(body + at, "\xf0\x9f\x98\x80", 4);
            at += 4;
        }
        memcpy(body + at, "\"}", 3);
        assert_int_equal(create(server, body), i == 64 ? 201 : 422);
    }
    assert_message();
    assert_int_equal(create(server, "{\"name\":\"taken\"}"), 201);
    snprintf(id, sizeof id, "%s", member(answer, "orgTokenId"));
    assert_int_equal(create(server, "{\"name\":\"t\\u0061ken\"}"), 422);
    assert_non_null(strstr(answer, "taken"));
    assert_int_equal(revoke(server, id), 200);
    assert_int_equal(create(server, "{\"name\":\"taken\"}"), 422);
    assert_int_equal(create(server, "{\"name\":\"Taken\"}"), 201);
    stop(server);
}

static void ids_are_percent_decoded(void **state)
{
    struct live_server *server = start("--org", "a/../b \xc3\xbc%", NULL);
    (void)state;
    assert_int_equal(ask(server, "GET", "/tokens/v1/orgs/a%2F..%2Fb%20%C3%BC%25", NULL), 200);
    assert_int_equal(ask(server, "POST", "/tokens/v1/orgs/a%2f..%2fb%20%c3%bc%25/create", "{\"name\":\"x\"}"),
                     201);
    assert_string_equal(member(answer, "orgId"), "a/../b \xc3\xbc%");
    stop(server);
}

static void content_types_are_matched_on_the_media_type(void **state)
{
    static const struct {
        const char *field;
        int status;
    } rows[] = {
        {"Content-Type: application/json", 201},
        {"Content-Type: APPLICATION/JSON ; charset=utf-8", 201},
        {"Content-Type: text/plain", 415},
        {"Content-Type: application/jsonx", 415},
        {"Content-Type:", 415},
        {"Content-Encoding: gzip", 415},
    };
    struct live_server *server = start(NULL);
    size_t i;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char url[128], body[64];
        const char *words[] = {"-w",          "\n%{http_code}", "-H", BEARER TOKEN, "-H",
                               rows[i].field, "--data",         body, url,          NULL};
        struct live_process *process;
        char status[16];
        snprintf(url, sizeof url, "%s" ORGS "/create", server->url);
        snprintf(body, sizeof body, "{\"name\":\"n%zu\"}", i);
        process = curl(words);
        snprintf(status, sizeof status, "\n%d", rows[i].status);
        if (!live_contains(&process->out, status)) {
            fail_msg("%s: %s", rows[i].field, process->out.ptr);
        }
    }
    stop(server);
}

static void prefix_shifts_every_path(void **state)
{
    struct live_server *server = start("--prefix", "/some/api", NULL);
    (void)state;
    assert_int_equal(ask(server, "GET", "/some/api" ORGS, NULL), 200);
    assert_int_equal(ask(server, "GET", ORGS, NULL), 404);
    assert_int_equal(ask(server, "GET", "/some/apiX" ORGS, NULL), 404);
    stop(server);
}

static void seed_makes_ids_reproducible(void **state)
{
    char first[4096];
    int round;
    (void)state;
    for (round = 0; round < 3; round++) {
        struct live_server *server = start("--seed", round < 2 ? "5" : "6", "--tokens", "4", NULL);
        assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
        assert_int_equal(occurrences(answer, "\"orgTokenId\""), 4);
        if (round == 0) {
            assert_true(strlen(answer) < sizeof first);
            strcpy(first, answer);
        } else if (round == 1) {
            assert_string_equal(answer, first);
        } else {
            assert_string_not_equal(answer, first);
        }
        stop(server);
    }
}

/* ---- HTTP. ---- */

#define RAW_HEAD " HTTP/1.1\r\nHost: localhost\r\n" BEARER TOKEN "\r\n"
#define LAST     "Connection: close\r\n"

static void connections_are_kept_and_pipelined(void **state)
{
    struct live_server *server = start(NULL);
    char url[128];
    const char *words[] = {"-H", BEARER TOKEN, "-w", "\n%{num_connects}\n", url, url, url, NULL};
    struct live_process *process;
    static const char pipeline[] =
        "\r\n\r\nGET " ORGS RAW_HEAD "\r\n"
        "POST " ORGS "/create" RAW_HEAD JSON "\r\nContent-Length: 12\r\n\r\n{\"name\":\"a\"}"
        "\r\nGET " ORGS RAW_HEAD "Content-Length: 3\r\n\r\nabc"
        "POST " ORGS "/tokens/x/revoke" RAW_HEAD "\r\n"
        "GET " ORGS RAW_HEAD LAST "\r\nGET " ORGS RAW_HEAD "\r\n";
    (void)state;
    snprintf(url, sizeof url, "%s" ORGS, server->url);
    process = curl(words);
    assert_int_equal(live_count(&process->out, "{\"tokens\":[]}\n0\n"), 2);
    assert_int_equal(live_count(&process->out, "{\"tokens\":[]}\n1\n"), 1);
    process = raw(server, pipeline, sizeof pipeline - 1);
    assert_int_equal(live_count(&process->out, "HTTP/1.1 "), 5);
    assert_int_equal(live_count(&process->out, "HTTP/1.1 200 OK\r\n"), 3);
    assert_int_equal(live_count(&process->out, "HTTP/1.1 201 "), 1);
    assert_int_equal(live_count(&process->out, "HTTP/1.1 404 "), 1);
    assert_int_equal(live_count(&process->out, "Connection: close\r\n"), 1);
    stop(server);
}

static void chunked_bodies_are_read(void **state)
{
    struct live_server *server = start(NULL);
    char url[128];
    const char *words[] = {
        "-w",     "\n%{http_code}",     "-H", BEARER TOKEN, "-H", JSON, "-H", "Transfer-Encoding: chunked",
        "--data", "{\"name\":\"one\"}", url,  NULL};
    struct live_process *process;
    (void)state;
    snprintf(url, sizeof url, "%s" ORGS "/create", server->url);
    process = curl(words);
    assert_true(live_contains(&process->out, "\n201"));
    assert_raw(
        server,
        "POST " ORGS "/create" RAW_HEAD JSON "\r\n" LAST "Transfer-Encoding: Chunked\r\n\r\n"
        "3;ext=\"a b\"\r\n{\"n\r\n00A \r\name\":\"two\"\r\n1\r\n}\r\n000;x\r\nTrailer: ignored\r\n\r\n",
        "HTTP/1.1 201 ");
    assert_raw(server,
               "POST " ORGS "/create" RAW_HEAD JSON "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"nX\r\n",
               "HTTP/1.1 400 ");
    assert_raw(server, "POST " ORGS "/create" RAW_HEAD JSON "\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
               "HTTP/1.1 400 ");
    assert_raw(server, "POST " ORGS "/create" RAW_HEAD JSON "\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
               "HTTP/1.1 400 ");
    assert_raw(server,
               "POST " ORGS "/create" RAW_HEAD JSON
               "\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n",
               "HTTP/1.1 400 ");
    assert_raw(server, "POST " ORGS "/create" RAW_HEAD JSON "\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n",
               "HTTP/1.1 413 ");
    assert_raw(server,
               "POST " ORGS "/create" RAW_HEAD JSON
               "\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
               "HTTP/1.1 413 ");
    stop(server);
}

static void expectation_is_answered(void **state)
{
    struct live_server *server = start(NULL);
    struct live_process *process = s_client(server, "-quiet", NULL);
    static const char head[] =
        "POST " ORGS "/create" RAW_HEAD JSON "\r\n" LAST "Content-Length: 12\r\nExpect: 100-Continue\r\n\r\n";
    (void)state;
    live_send(process, head, sizeof head - 1);
    live_await_output(process, "HTTP/1.1 100 Continue\r\n\r\n", 0);
    live_send(process, "{\"name\":\"a\"}", 12);
    live_end(process);
    assert_true(live_contains(&process->out, "\r\n\r\nHTTP/1.1 201 "));
    assert_raw(server, "GET " ORGS RAW_HEAD "Expect: else\r\n\r\n", "HTTP/1.1 417 ");
    stop(server);
}

static void http_1_0_is_spoken(void **state)
{
    struct live_server *server = start(NULL);
    struct live_process *process;
    static const char two[] = "GET " ORGS " HTTP/1.0\r\n" BEARER TOKEN "\r\nConnection: Keep-Alive\r\n\r\n"
                              "GET " ORGS " HTTP/1.0\r\n" BEARER TOKEN "\r\n\r\n";
    (void)state;
    process = raw(server, two, sizeof two - 1);
    assert_int_equal(live_count(&process->out, "HTTP/1.1 200 OK\r\n"), 2);
    assert_int_equal(live_count(&process->out, "Connection: keep-alive\r\n"), 1);
    assert_int_equal(live_count(&process->out, "Connection: close\r\n"), 1);
    stop(server);
}

static void connection_option_close_outweighs_keep_alive(void **state)
{
    static const char *const options[] = {"close, keep-alive", "keep-alive, close",
                                          "close\r\nConnection: keep-alive"};
    struct live_server *server = start(NULL);
    size_t i;
    (void)state;
    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        char head[512];
        int len = snprintf(head, sizeof head,
                           "GET " ORGS " HTTP/1.0\r\n" BEARER TOKEN "\r\nConnection: %s\r\n\r\n", options[i]);
        struct live_process *process = raw(server, head, (size_t)len);
        assert_int_equal(live_count(&process->out, "Connection: close\r\n"), 1);
        assert_int_equal(live_count(&process->out, "Connection: keep-alive\r\n"), 0);
    }
    stop(server);
}

static void bad_http_is_refused(void **state)
{
    static const char *const rows[][2] = {
        {"GET " ORGS " HTTP/1.1\r\n\r\n", "400"},
        {"GET " ORGS " HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"},
        {"GET " ORGS " HTTP/1.1\nHost: a\n\n", "400"},
        {"GET " ORGS " HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "400"},
        {"GET " ORGS " HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "400"},
        {"GET " ORGS " HTTP/1.1\r\nHost : a\r\n\r\n", "400"},
        {"GET " ORGS " HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", "400"},
        {"GET " ORGS " HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n", "400"},
        {"GET " ORGS " HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", "400"},
        {"GET " ORGS "\r\nHost: a\r\n\r\n", "400"},
        {"GET  " ORGS " HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"GET " ORGS " HTTP/1.1 x\r\nHost: a\r\n\r\n", "400"},
        {"GET " ORGS " http/1.1\r\nHost: a\r\n\r\n", "400"},
        {"GET " ORGS " HTTP/1.10\r\nHost: a\r\n\r\n", "400"},
        {"GET " ORGS " HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
        {"G{T " ORGS " HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"GET tokens HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"GET /\xc3\xbc HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"A-METHOD-THAT-IS-TOO-LONG-TO-BE-TRUE / HTTP/1.1\r\nHost: a\r\n\r\n", "501"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
         "501"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", "413"},
        {"GET " ORGS " HTTP/1.1\r\nHost: a\r\n" BEARER "a\r\n" BEARER "a\r\n\r\n", "400"},
        {"GET " ORGS " HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n" LAST "\r\n", "401"},
        {"GET " ORGS " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\r\n" LAST "\r\n", "401"},
        {"GET " ORGS " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \r\n" LAST "\r\n", "401"},
        {"GET " ORGS " HTTP/1.1\r\nHost: a\r\nauthorization:bEARER   " TOKEN " \r\n" LAST "\r\n", "200"},
        {"GET HTTPS://else:1" ORGS "?q HTTP/1.1\r\nHost: a\r\n" BEARER TOKEN "\r\n" LAST "\r\n", "200"},
        {"GET https://else HTTP/1.1\r\nHost: a\r\n" LAST "\r\n", "404"},
        {"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", "400"},
    };
    struct live_server *server = start("--quiet", NULL);
    size_t i;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char begins[32];
        snprintf(begins, sizeof begins, "HTTP/1.1 %s ", rows[i][1]);
        assert_raw(server, rows[i][0], begins);
    }
    stop(server);
}

static void add_many(struct live_bytes *bytes, const char *text, size_t times)
{
    while (times-- != 0) {
        live_add_text(bytes, text);
    }
}

static void sizes_are_bounded(void **state)
{
    struct live_server *server = start("--quiet", NULL);
    struct live_bytes request = {NULL, 0, 0};
    (void)state;
    live_add_text(&request, "GET " ORGS RAW_HEAD LAST "X: ");
    add_many(&request, "0123456789abcdef", 4000);
    live_add_text(&request, "\r\n\r\n");
    assert_raw(server, request.ptr, "HTTP/1.1 200 ");
    live_clear(&request);
    live_add_text(&request, "GET " ORGS RAW_HEAD "X: ");
    add_many(&request, "0123456789abcdef", 4096);
    live_add_text(&request, "\r\n\r\n");
    assert_raw(server, request.ptr, "HTTP/1.1 431 ");
    live_clear(&request);
    live_add_text(&request, "GET " ORGS RAW_HEAD);
    add_many(&request, "X: y\r\n", 101);
    live_add_text(&request, "\r\n");
    assert_raw(server, request.ptr, "HTTP/1.1 431 ");
    live_clear(&request);
    live_add_text(&request, "GET /");
    add_many(&request, "0123456789abcdef", 512);
    live_add_text(&request, RAW_HEAD "\r\n");
    assert_raw(server, request.ptr, "HTTP/1.1 414 ");
    live_clear(&request);
    live_add_text(&request, "POST " ORGS "/create" RAW_HEAD JSON "\r\n" LAST
                            "Content-Length: 65536\r\n\r\n{\"name\":\"a\"}");
    add_many(&request, " ", 65536 - 12);
    assert_raw(server, request.ptr, "HTTP/1.1 201 ");
    live_clear(&request);
    live_add_text(&request, "POST " ORGS "/create" RAW_HEAD JSON "\r\n" LAST
                            "Content-Length: 50014\r\n\r\n{\"name\":\"b\",\"\":");
    add_many(&request, "[", 50000);
    assert_raw(server, request.ptr, "HTTP/1.1 422 ");
    live_clear(&request);
    live_add_text(&request, "POST " ORGS "/create" RAW_HEAD JSON "\r\n" LAST
                            "Content-Length: 40018\r\n\r\n{\"name\":\"b\",\"\":[0");
    add_many(&request, ",0", 20000);
    live_add_text(&request, "]}");
    assert_raw(server, request.ptr, "HTTP/1.1 422 ");
    live_clear(&request);
    stop(server);
}

static void slow_requests_and_idle_connections_end(void **state)
{
    struct live_server *server = start("--request-timeout", "300", NULL);
    struct live_server *impatient = start("--idle-timeout", "300", NULL);
    static const char request[] = "GET " ORGS RAW_HEAD "\r\n";
    struct live_process *slow, *slow_body, *idle, *used;
    (void)state;
    slow = s_client(server, "-quiet", NULL);
    live_send(slow, "GET / HT", 8);
    slow_body = s_client(server, "-quiet", NULL);
    live_send(slow_body, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", 49);
    idle = s_client(impatient, "-quiet", NULL);
    used = s_client(impatient, "-quiet", NULL);
    live_send(used, request, sizeof request - 1);
    live_await_output(slow, "HTTP/1.1 408 ", 0);
    live_await_output(slow_body, "HTTP/1.1 408 ", 0);
    live_end(slow);
    live_end(slow_body);
    live_end(idle);
    assert_int_equal(idle->out.len, 0);
    live_end(used);
    assert_int_equal(live_count(&used->out, "HTTP/1.1 "), 1);
    assert_false(live_contains(&used->err, "eof"));
    stop(impatient);
    stop(server);
}

/* ---- TLS. ---- */

static void sessions_are_resumed(void **state)
{
    struct live_server *server = start(NULL);
    const char *session = live_path("session");
    static const char request[] = "GET " ORGS RAW_HEAD LAST "\r\n";
    struct live_process *process = s_client(server, "-ign_eof", "-sess_out", session, NULL);
    (void)state;
    live_send(process, request, sizeof request - 1);
    live_end(process);
    assert_true(live_contains(&process->out, "New, TLSv1.2"));
    assert_true(live_contains(&process->out, "HTTP/1.1 200 "));
    process = s_client(server, "-ign_eof", "-sess_in", session, NULL);
    live_send(process, request, sizeof request - 1);
    live_end(process);
    assert_true(live_contains(&process->out, "Reused, TLSv1.2"));
    assert_true(live_contains(&process->out, "HTTP/1.1 200 "));
    stop(server);
}

static void only_tls_1_2_and_http_1_1_are_negotiated(void **state)
{
    struct live_server *server = start(NULL);
    struct live_process *process = s_client(server, "-alpn", "h2,http/1.1", NULL);
    (void)state;
    live_end(process);
    assert_true(live_contains(&process->out, "ALPN protocol: http/1.1"));
    assert_true(live_contains(&process->out, "Verify return code: 0 (ok)"));
    process = s_client(server, "-alpn", "h2", NULL);
    live_end(process);
    assert_int_not_equal(process->status, 0);
    process = s_client(server, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", NULL);
    live_end(process);
    assert_int_not_equal(process->status, 0);
    process = s_client(server, "-tls1_3", NULL);
    live_end(process);
    assert_int_not_equal(process->status, 0);
    assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
    stop(server);
}

static int connect_plain(const struct live_server *server)
{
    struct sockaddr_in address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)server->port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void plain_text_and_noise_end_the_connection_only(void **state)
{
    struct live_server *server = start(NULL);
    static const char noise[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int fd = connect_plain(server);
    char byte;
    (void)state;
    assert_int_equal(write(fd, noise, sizeof noise - 1), sizeof noise - 1);
    shutdown(fd, SHUT_WR);
    while (read(fd, &byte, 1) > 0) {}
    close(fd);
    live_await_error(server->process, "TLS failed", 0);
    assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
    stop(server);
}

/* ---- Many at once. ---- */

static void slow_connections_stall_nobody(void **state)
{
    struct live_server *server = start("--tokens", "100000", "--quiet", NULL);
    static const char list[] = "GET " ORGS RAW_HEAD LAST "\r\n";
    struct live_process *deaf = s_client(server, "-quiet", NULL), *half = s_client(server, "-quiet", NULL);
    int plain[300];
    size_t i;
    (void)state;
    for (i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        plain[i] = connect_plain(server);
    }
    live_send(half, "POST " ORGS, 10);
    live_send(deaf, list, sizeof list - 1);
    /* Its output is read no further than this until the end: the pipe fills, then the socket. */
    live_await_output(deaf, "HTTP/1.1 200 ", 0);
    assert_int_equal(create(server, "{\"name\":\"meanwhile\"}"), 201);
    assert_int_equal(ask(server, "GET", "/", NULL), 404);
    live_end(deaf);
    assert_true(live_contains(&deaf->out, "Transfer-Encoding: chunked\r\n"));
    assert_int_equal(live_count(&deaf->out, "\"orgTokenId\""), 100000);
    for (i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        close(plain[i]);
    }
    stop(server);
}

static void long_lists_arrive_whole(void **state)
{
    struct live_server *server = start("--tokens", "100000", "--quiet", NULL);
    char url[128];
    const char *words[] = {"-H", BEARER TOKEN, "-w", "\n%{http_code}\n", url, NULL};
    const char *old[] = {"-0", "-H", BEARER TOKEN, url, NULL};
    const char *python[] = {"python3", "-c", "import json,sys;d=json.load(sys.stdin);print(len(d['tokens']))",
                            NULL};
    struct live_process *process, *checked;
    (void)state;
    snprintf(url, sizeof url, "%s" ORGS, server->url);
    process = curl(words);
    assert_true(live_contains(&process->out, "]}\n200\n"));
    assert_int_equal(live_count(&process->out, "\"orgTokenId\""), 100000);
    process = curl(old);
    assert_int_equal(process->status, 0);
    checked = run_words(python, process->out.ptr, process->out.len);
    if (checked->status != 127) {
        assert_string_equal(checked->out.ptr, "100000\n");
    }
    assert_int_equal(live_count(&process->out, "\"orgTokenId\""), 100000);
    stop(server);
}

static void short_lists_have_a_length_and_long_ones_chunks(void **state)
{
    struct live_server *server = start("--tokens", "150", NULL);
    char url[128];
    const char *words[] = {"-i", "-H", BEARER TOKEN, url, NULL};
    struct live_process *process;
    int i;
    (void)state;
    snprintf(url, sizeof url, "%s" ORGS, server->url);
    process = curl(words);
    assert_true(live_contains(&process->out, "Content-Length: "));
    stop(server);
    server = start("--tokens", "400", NULL);
    snprintf(url, sizeof url, "%s" ORGS, server->url);
    for (i = 0; i < 2; i++) {
        process = curl(words);
        assert_true(live_contains(&process->out, "Transfer-Encoding: chunked"));
        assert_int_equal(live_count(&process->out, "\"orgTokenId\""), 400);
    }
    stop(server);
}

static void signals_end_it_cleanly_with_connections_open(void **state)
{
    struct live_server *server = start("--fault", "delay=60000", NULL);
    struct live_process *waiting = s_client(server, "-quiet", NULL);
    static const char request[] = "GET " ORGS RAW_HEAD "\r\nGET " ORGS RAW_HEAD LAST "\r\n";
    int fd = connect_plain(server);
    (void)state;
    live_send(waiting, request, sizeof request - 1);
    assert_int_equal(ask(server, "GET", "/", NULL), 404);
    stop(server);
    live_end(waiting);
    assert_int_equal(waiting->out.len, 0);
    close(fd);
}

/* ---- Faults. ---- */

/* Asks for the list; returns curl's exit status. The output holds head and body. */
static struct live_process *ask_list(const struct live_server *server)
{
    char url[128];
    const char *words[] = {"-i", "--path-as-is", "-w", "\ntimes %{time_starttransfer} %{time_total}\n",
                           "-H", BEARER TOKEN,   url,  NULL};
    snprintf(url, sizeof url, "%s" ORGS, server->url);
    return curl(words);
}

static void assert_fault(const char *spec, int curl_status, const char *contains)
{
    struct live_server *server = start("--fault", spec, "--tokens", "3", NULL);
    struct live_process *process = ask_list(server);
    if ((curl_status >= 0 && process->status != curl_status) || (curl_status < 0 && process->status == 0) ||
        (contains != NULL && !live_contains(&process->out, contains))) {
        fail_msg("%s: %d %s\n%s", spec, process->status, process->err.ptr, process->out.ptr);
    }
    process = ask_list(server);
    assert_int_equal(process->status, 0);
    assert_true(live_contains(&process->out, "HTTP/1.1 200 OK\r\n"));
    stop(server);
    /* The harness keeps a limited number of paths. */
    live_teardown(NULL);
}

static void faults_spoil_one_answer_each(void **state)
{
    (void)state;
    assert_fault("status=503", 0, "HTTP/1.1 503 Service Unavailable\r\n");
    assert_fault("status=503", 0, "{\"message\":");
    assert_fault("status=429,retry-after=7", 0, "\r\nRetry-After: 7\r\n");
    assert_fault("status=503,retry-after-date=60", 0, " GMT\r\n\r\n{");
    assert_fault("status=302,header=Location:%20https://else/", 0, "\r\nLocation: https://else/\r\n");
    assert_fault("status=204", 0, "HTTP/1.1 204 ");
    assert_fault("status=500,type=text/html,body=%3Cp%3E", 0, "\r\nContent-Type: text/html\r\n");
    assert_fault("skip", 0, "HTTP/1.1 503 ");
    assert_fault("body={\"tokens\":7}", 0, "\r\n\r\n{\"tokens\":7}");
    assert_fault("body=", 0, "\r\nContent-Length: 0\r\n");
    assert_fault("raw=HTTP/1.1%20200%20Fine%0D%0A%0D%0Aabc", 0, "HTTP/1.1 200 Fine\r\n\r\nabc");
    assert_fault("garbage", 1, NULL);
    assert_fault("empty", 52, NULL);
    assert_fault("reset", -1, NULL);
    assert_fault("cut=300,close-notify", 18, "HTTP/1.1 200 OK\r\n");
    assert_fault("wrong-length", 18, "\"orgTokenId\"");
    assert_fault("wrong-length=1", 18, "\"orgTokenId\"");
    assert_fault("wrong-length=-5", 0, "HTTP/1.1 200 OK\r\n");
    assert_fault("bad-chunk", 56, "Transfer-Encoding: chunked\r\n");
    assert_fault("until-close", 0, "]}\n");
    assert_fault("no-close-notify", 0, "]}\n");
    assert_fault("drip=1,delay=1", 0, "]}\n");
}

static void faults_spoil_streamed_lists_too(void **state)
{
    static const struct {
        const char *spec;
        int curl_status;
    } rows[] = {{"cut=100000", -1},     {"bad-chunk", 56}, {"wrong-length", 18},
                {"until-close", 0},     {"body={}", 0},    {"raw=HTTP/1.1%20200%20Fine%0D%0A%0D%0A", 0},
                {"reset,cut=90000", -1}};
    size_t i;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct live_server *server = start("--tokens", "2000", "--fault", rows[i].spec, NULL);
        struct live_process *process = ask_list(server);
        if (rows[i].curl_status >= 0 ? process->status != rows[i].curl_status : process->status == 0) {
            fail_msg("%s: %d %s", rows[i].spec, process->status, process->err.ptr);
        }
        process = ask_list(server);
        assert_int_equal(process->status, 0);
        assert_int_equal(live_count(&process->out, "\"orgTokenId\""), 2000);
        stop(server);
    }
}

static void faults_choose_how_the_connection_ends(void **state)
{
    static const char whole[] = "\r\n\r\n{\"tokens\":[]}";
    static const struct {
        const char *spec, *says, *answer_ends;
        int answer_len;
    } rows[] = {
        {"close-notify", NULL, whole, -1},
        {"no-close-notify", "unexpected eof", whole, -1},
        {"until-close", NULL, whole, -1},
        {"until-close,no-close-notify", "unexpected eof", whole, -1},
        {"wrong-length", NULL, whole, -1},
        {"wrong-length,no-close-notify", "unexpected eof", whole, -1},
        {"empty", NULL, "", 0},
        {"empty,no-close-notify", "unexpected eof", "", 0},
        {"cut=0", "unexpected eof", "", 0},
        {"cut=17", "unexpected eof", "HTTP/1.1 200 OK\r\n", 17},
        {"cut=17,close-notify", NULL, "HTTP/1.1 200 OK\r\n", 17},
        {"cut=17,drip=1", "unexpected eof", "HTTP/1.1 200 OK\r\n", 17},
        {"reset", "errno=", "", 0},
        {"garbage", NULL, "\n\n", -1},
    };
    static const char request[] = "GET " ORGS RAW_HEAD "\r\n";
    size_t i;
    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct live_server *server = start("--fault", rows[i].spec, NULL);
        struct live_process *process = raw(server, request, sizeof request - 1);
        const char *says = process->err.ptr, *ends = rows[i].answer_ends;
        bool is_fine = rows[i].says ? strstr(says, rows[i].says) != NULL
                                    : strstr(says, "eof") == NULL && strstr(says, "errno") == NULL;
        if (!is_fine || process->out.len < strlen(ends) ||
            memcmp(process->out.ptr + process->out.len - strlen(ends), ends, strlen(ends)) != 0 ||
            (rows[i].answer_len >= 0 && process->out.len != (size_t)rows[i].answer_len)) {
            fail_msg("%s: %s\n%s", rows[i].spec, process->out.ptr, says);
        }
        stop(server);
    }
}

static void delays_and_drips_take_their_time(void **state)
{
    struct live_server *server = start("--fault", "delay=300", "--fault", "drip=2", NULL);
    struct live_process *process = ask_list(server);
    double first = 0, total = 0;
    (void)state;
    assert_int_equal(sscanf(strstr(process->out.ptr, "\ntimes "), "\ntimes %lf %lf", &first, &total), 2);
    assert_true(first >= 0.29);
    process = ask_list(server);
    assert_int_equal(sscanf(strstr(process->out.ptr, "\ntimes "), "\ntimes %lf %lf", &first, &total), 2);
    /* More than 100 bytes. */
    assert_true(total >= 0.2);
    stop(server);
}

static void faults_are_used_in_order_and_by_operation(void **state)
{
    struct live_server *server =
        start("--fault", "op=create,status=500,count=2", "--fault", "op=list,status=501", "--fault",
              "op=any,status=502", "--fault", "op=revoke,status=504,count=0", NULL);
    (void)state;
    assert_int_equal(ask(server, "GET", "/", NULL), 404);
    assert_int_equal(ask(server, "GET", ORGS, NULL), 501);
    assert_int_equal(create(server, "{\"name\":\"a\"}"), 500);
    assert_int_equal(create(server, "{\"name\":\"a\"}"), 500);
    assert_int_equal(create(server, "{\"name\":\"a\"}"), 502);
    assert_int_equal(create(server, "{\"name\":\"a\"}"), 201);
    assert_int_equal(revoke(server, "x"), 504);
    assert_int_equal(revoke(server, "x"), 504);
    assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
    stop(server);
}

static void spoilt_answers_leave_the_operation_done_unless_skipped(void **state)
{
    struct live_server *server = start("--fault", "op=create,empty", "--fault", "op=create,empty,skip", NULL);
    char url[128];
    const char *words[] = {"-H", BEARER TOKEN, "-H", JSON, "--data", NULL, url, NULL};
    (void)state;
    snprintf(url, sizeof url, "%s" ORGS "/create", server->url);
    words[5] = "{\"name\":\"done\"}";
    assert_int_equal(curl(words)->status, 52);
    words[5] = "{\"name\":\"skipped\"}";
    assert_int_equal(curl(words)->status, 52);
    assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
    assert_non_null(strstr(answer, "\"done\""));
    assert_null(strstr(answer, "skipped"));
    stop(server);
}

/* ---- The state file. ---- */

static struct live_bytes read_file(const char *path)
{
    struct live_bytes bytes = {NULL, 0, 0};
    char piece[4096];
    size_t n;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    live_add(&bytes, "", 0);
    while ((n = fread(piece, 1, sizeof piece, file)) != 0) {
        live_add(&bytes, piece, n);
    }
    fclose(file);
    return bytes;
}

static void state_survives_a_restart_without_plain_text(void **state)
{
    const char *path = live_path("state");
    struct live_server *server = start("--state", path, NULL);
    char before[8192], plain[128], revoked[128], id[64];
    struct live_bytes bytes;
    struct stat info;
    (void)state;
    assert_int_equal(
        create(server, "{\"name\":\"kept \\\"\\u0000\xc3\xbc\\n\",\"scopes\":[\"tokens:read\"]}"), 201);
    snprintf(plain, sizeof plain, "%s", member(answer, "plainTextToken"));
    assert_int_equal(create(server, "{\"name\":\"gone\",\"scopes\":\"admin\"}"), 201);
    snprintf(revoked, sizeof revoked, "%s", member(answer, "plainTextToken"));
    snprintf(id, sizeof id, "%s", member(answer, "orgTokenId"));
    assert_int_equal(create(server, "{\"name\":\"third\"}"), 201);
    assert_int_equal(revoke(server, id), 200);
    assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
    assert_true(strlen(answer) < sizeof before);
    strcpy(before, answer);
    stop(server);

    bytes = read_file(path);
    assert_false(live_contains(&bytes, plain) || live_contains(&bytes, "hathora_org_st_"));
    live_clear(&bytes);
    assert_int_equal(stat(path, &info), 0);
    assert_true((info.st_mode & 077) == 0 || live_lacks("modes"));

    server = start("--state", path, NULL);
    assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
    assert_string_equal(answer, before);
    assert_int_equal(ask_as(server, plain, "GET", ORGS, NULL), 200);
    assert_int_equal(ask_as(server, plain, "POST", ORGS "/create", "{\"name\":\"no\"}"), 401);
    assert_int_equal(ask_as(server, revoked, "GET", ORGS, NULL), 401);
    assert_int_equal(revoke(server, id), 200);
    assert_string_equal(answer, "false");
    assert_int_equal(create(server, "{\"name\":\"gone\"}"), 422);
    stop(server);
}

static void state_keeps_organizations_that_are_not_served(void **state)
{
    const char *path = live_path("state");
    struct live_server *server = start("--state", path, "--org", "org-2", NULL);
    (void)state;
    assert_int_equal(ask(server, "POST", "/tokens/v1/orgs/org-2/create", "{\"name\":\"a\"}"), 201);
    stop(server);
    server = start("--state", path, NULL);
    assert_int_equal(ask(server, "GET", "/tokens/v1/orgs/org-2", NULL), 404);
    assert_int_equal(create(server, "{\"name\":\"a\"}"), 201);
    stop(server);
    server = start("--state", path, "--org", "org-2", NULL);
    assert_int_equal(ask(server, "GET", "/tokens/v1/orgs/org-2", NULL), 200);
    assert_int_equal(occurrences(answer, "\"orgTokenId\""), 1);
    stop(server);
}

/* More of them than one run may serve, as when each run has an organization of its own. */
static void state_keeps_any_number_of_organizations(void **state)
{
    const char *path = live_path("state");
    struct live_server *server;
    size_t run, i;
    (void)state;
    for (run = 0; run < 8; run++) {
        const char *more[19] = {"--state", path, NULL};
        char ids[8][16], request[512];
        struct live_bytes requests = {NULL, 0, 0};
        for (i = 0; i < 8; i++) {
            snprintf(ids[i], sizeof ids[i], "org-%zu%zu", run + 1, i);
            more[2 + 2 * i] = "--org";
            more[3 + 2 * i] = ids[i];
            snprintf(request, sizeof request,
                     "POST /tokens/v1/orgs/%s/create HTTP/1.1\r\nHost: a\r\n" BEARER TOKEN "\r\n" JSON
                     "\r\nContent-Length: 12\r\n%s\r\n{\"name\":\"a\"}",
                     ids[i], i == 7 ? "Connection: close\r\n" : "");
            live_add_text(&requests, request);
        }
        server = live_start_emulator(TOKEN, more);
        assert_int_equal(live_count(&raw(server, requests.ptr, requests.len)->out, " 201 Created\r\n"), 8);
        live_clear(&requests);
        stop(server);
    }
    server = start("--state", path, NULL);
    assert_int_equal(create(server, "{\"name\":\"a\"}"), 201);
    stop(server);
}

static void generated_tokens_fill_up_a_state(void **state)
{
    const char *path = live_path("state");
    int round;
    (void)state;
    for (round = 0; round < 3; round++) {
        struct live_server *server =
            start("--state", path, "--seed", "1", "--tokens", round < 2 ? "5" : "8", NULL);
        assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
        assert_int_equal(occurrences(answer, "\"orgTokenId\""), round == 0 ? 5 : round == 1 ? 6 : 8);
        if (round == 0) {
            assert_int_equal(create(server, "{\"name\":\"mine\"}"), 201);
        }
        stop(server);
    }
}

static void torn_ends_are_dropped_and_the_rest_is_kept(void **state)
{
    const char *path = live_path("state");
    struct live_server *server = start("--state", path, NULL);
    struct live_bytes whole;
    size_t cut, last;
    (void)state;
    assert_int_equal(create(server, "{\"name\":\"one\"}"), 201);
    assert_int_equal(create(server, "{\"name\":\"two\"}"), 201);
    stop(server);
    whole = read_file(path);
    last = whole.len - 1;
    while (whole.ptr[last - 1] != '\n') {
        last--;
    }
    for (cut = 0; cut < whole.len; cut += cut < 30 || cut + 4 > whole.len ? 1 : 37) {
        bool has_one = cut >= last - 1, has_two = cut >= whole.len - 1;
        live_write_file("state", whole.ptr, cut);
        server = start("--state", path, NULL);
        assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
        if ((strstr(answer, "\"one\"") != NULL) != has_one ||
            (strstr(answer, "\"two\"") != NULL) != has_two) {
            fail_msg("cut at %zu of %zu: %s", cut, whole.len, answer);
        }
        assert_int_equal(create(server, "{\"name\":\"three\"}"), 201);
        stop(server);
        server = start("--state", path, NULL);
        assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
        assert_non_null(strstr(answer, "\"three\""));
        stop(server);
        live_teardown(NULL);
        path = live_path("state");
    }
    live_clear(&whole);
}

static void corrupt_state_is_refused_and_left_alone(void **state)
{
    const char *path = live_path("state"), *cert = live_certificate("leaf.pem"),
               *key = live_certificate("leaf.key");
    struct live_server *server = start("--state", path, NULL);
    struct live_bytes whole;
    char plain_path[1100];
    size_t at;
    (void)state;
    snprintf(plain_path, sizeof plain_path, "%s", path);
    assert_int_equal(create(server, "{\"name\":\"one\"}"), 201);
    assert_int_equal(create(server, "{\"name\":\"two\"}"), 201);
    stop(server);
    whole = read_file(path);
    for (at = 0; at < whole.len - 1; at += 23) {
        struct live_bytes after;
        FILE *file = fopen(plain_path, "wb");
        assert_non_null(file);
        whole.ptr[at] ^= 1;
        assert_int_equal(fwrite(whole.ptr, 1, whole.len, file), whole.len);
        fclose(file);
        assert_one_line(run_emulator("--cert", cert, "--key", key, "--state", plain_path, NULL), 1);
        after = read_file(plain_path);
        assert_int_equal(after.len, whole.len);
        assert_memory_equal(after.ptr, whole.ptr, whole.len);
        live_clear(&after);
        whole.ptr[at] ^= 1;
    }
    /* Sound lines that make no sense: the last one twice. */
    for (at = whole.len - 1; whole.ptr[at - 1] != '\n'; at--) {}
    live_add(&whole, whole.ptr + at, whole.len - at);
    path = live_write_file("twice", whole.ptr, whole.len);
    assert_one_line(run_emulator("--cert", cert, "--key", key, "--state", path, NULL), 1);
    live_clear(&whole);
    path = live_write_file("other", "something else\n", 15);
    assert_one_line(run_emulator("--cert", cert, "--key", key, "--state", path, NULL), 1);
    path = live_write_file("short", "some", 4);
    assert_one_line(run_emulator("--cert", cert, "--key", key, "--state", path, NULL), 1);
}

static void state_belongs_to_one_process(void **state)
{
    const char *path = live_path("state");
    struct live_server *server = start("--state", path, NULL);
    (void)state;
    assert_one_line(run_emulator("--cert", live_certificate("leaf.pem"), "--key",
                                 live_certificate("leaf.key"), "--state", path, NULL),
                    1);
    stop(server);
}

static void full_disk_loses_nothing_that_was_acknowledged(void **state)
{
    const char *path = live_path("state");
    const char *words[] = {"sh",
                           "-c",
                           "ulimit -f 4; exec \"$@\"",
                           "sh",
                           live_emulator(),
                           "--cert",
                           live_certificate("leaf.pem"),
                           "--key",
                           live_certificate("leaf.key"),
                           "--org",
                           "org-1",
                           "--token",
                           TOKEN,
                           "--state",
                           path,
                           NULL};
    struct live_server server, *again;
    struct live_command command;
    size_t created = 0, i;
    char body[64], last[64] = "";
    (void)state;
    live_needs("limits");
    memset(&command, 0, sizeof command);
    memset(&server, 0, sizeof server);
    command.argv = words;
    server.process = live_start(&command);
    live_await_output(server.process, "\n", 0);
    server.port = (unsigned)strtoul(strrchr(server.process->out.ptr, ':') + 1, NULL, 10);
    snprintf(server.url, sizeof server.url, "https://localhost:%u", server.port);
    for (i = 0; i < 12; i++) {
        int status;
        snprintf(body, sizeof body, "{\"name\":\"n%zu\"}", i);
        status = create(&server, body);
        if (status == 201) {
            created++;
            snprintf(last, sizeof last, "%s", member(answer, "orgTokenId"));
        } else {
            assert_int_equal(status, 500);
            assert_message();
        }
    }
    assert_true(created > 0 && created < 12);
    assert_int_equal(ask(&server, "GET", ORGS, NULL), 200);
    assert_int_equal(occurrences(answer, "\"orgTokenId\""), created);
    stop(&server);
    again = start("--state", path, NULL);
    assert_int_equal(ask(again, "GET", ORGS, NULL), 200);
    assert_int_equal(occurrences(answer, "\"orgTokenId\""), created);
    assert_int_equal(revoke(again, last), 200);
    stop(again);
}

enum { KILL_ROUNDS = 5, KILL_CREATES = 400 };

static void killed_emulator_loses_no_acknowledged_token(void **state)
{
    const char *path = live_path("state");
    struct live_bytes acknowledged = {NULL, 0, 0};
    size_t total = 0, unacknowledged = 0;
    int round, i;
    (void)state;
    live_needs("SIGKILL");
    live_add(&acknowledged, "", 0);
    for (round = 0; round < KILL_ROUNDS; round++) {
        struct live_server *server = start("--state", path, "--quiet", NULL);
        const char *words[] = {"curl", "-sS", "--no-buffer", "--config", "-", NULL};
        struct live_bytes config = {NULL, 0, 0};
        struct live_command command;
        struct live_process *creator;
        const char *at;
        size_t held;
        for (i = 0; i < KILL_CREATES; i++) {
            char line[1500];
            snprintf(line, sizeof line,
                     "%surl = \"%s" ORGS "/create\"\ncacert = \"%s\"\nheader = \"" BEARER TOKEN
                     "\"\nheader = \"" JSON
                     "\"\ndata = \"{\\\"name\\\":\\\"r%d-%d\\\"}\"\nwrite-out = \"\\n\"\n",
                     i ? "next\n" : "", server->url, ca_file(), round, i);
            live_add_text(&config, line);
        }
        memset(&command, 0, sizeof command);
        command.argv = words;
        command.input = config.ptr;
        command.input_len = config.len;
        creator = live_start(&command);
        for (i = 0; i < 3 + 7 * round; i++) {
            held = creator->out.len;
            live_await_output(creator, "\n", held);
        }
        live_kill(server->process);
        live_end(creator);
        live_clear(&config);
        /* What stands there whole was acknowledged. */
        for (at = creator->out.ptr; strchr(at, '\n') != NULL; at = strchr(at, '\n') + 1) {
            const char *id = strstr(at, "\"orgTokenId\":\"");
            if (id != NULL && id < strchr(at, '\n')) {
                live_add(&acknowledged, id, strlen("\"orgTokenId\":\"") + 46);
                live_add_text(&acknowledged, "\n");
                total++;
            }
        }
        server = start("--state", path, "--quiet", NULL);
        assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
        for (at = acknowledged.ptr; *at != '\0'; at = strchr(at, '\n') + 1) {
            char id[128];
            snprintf(id, sizeof id, "%.*s", (int)strcspn(at, "\n"), at);
            if (strstr(answer, id) == NULL) {
                fail_msg("round %d lost %s", round, id);
            }
        }
        held = occurrences(answer, "\"orgTokenId\"");
        /* The one request that was under way may have been stored without an answer. */
        assert_true(held >= total + unacknowledged && held <= total + unacknowledged + 1);
        unacknowledged = held - total;
        stop(server);
    }
    assert_true(total >= (size_t)(3 * KILL_ROUNDS));
    live_clear(&acknowledged);
}

/* Every revocation that was answered with true is there after the kill, whenever it comes; so is every token. */
static void killed_emulator_keeps_every_acknowledged_revocation(void **state)
{
    enum { TOKENS = 600, STEP = TOKENS / KILL_ROUNDS };
    const char *path = live_path("state");
    struct live_server *server;
    char(*ids)[64];
    const char *at = answer;
    size_t count = 0, round, i;
    (void)state;
    live_needs("SIGKILL");
    ids = (char(*)[64])calloc(TOKENS, sizeof *ids);
    assert_non_null(ids);
    server = start("--state", path, "--quiet", "--tokens", "600", NULL);
    assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
    while (count < TOKENS && (at = strstr(at, "\"orgTokenId\":\"")) != NULL) {
        snprintf(ids[count++], sizeof *ids, "%.46s", at + 14);
        at++;
    }
    assert_int_equal(count, TOKENS);
    for (round = 0; round < KILL_ROUNDS; round++) {
        const char *words[] = {"curl", "-sS", "--no-buffer", "--config", "-", NULL};
        struct live_bytes config = {NULL, 0, 0};
        struct live_command command;
        struct live_process *revoker;
        size_t revoked;
        for (i = round * STEP; i < (round + 1) * STEP; i++) {
            char line[1500];
            snprintf(line, sizeof line,
                     "%surl = \"%s" ORGS "/tokens/%s/revoke\"\ncacert = \"%s\"\nheader = \"" BEARER TOKEN
                     "\"\nrequest = \"POST\"\nwrite-out = \"\\n\"\n",
                     i != round * STEP ? "next\n" : "", server->url, ids[i], ca_file());
            live_add_text(&config, line);
        }
        memset(&command, 0, sizeof command);
        command.argv = words;
        command.input = config.ptr;
        command.input_len = config.len;
        revoker = live_start(&command);
        while (live_count(&revoker->out, "true\n") < 2 + 9 * round) {
            live_await_output(revoker, "true\n", revoker->out.len);
        }
        live_kill(server->process);
        live_end(revoker);
        live_clear(&config);
        revoked = live_count(&revoker->out, "true\n");
        assert_true(revoked >= 2 + 9 * round);
        server = start("--state", path, "--quiet", NULL);
        assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
        assert_int_equal(occurrences(answer, "\"orgTokenId\""), TOKENS);
        for (i = 0; i < revoked; i++) {
            const char *token = strstr(answer, ids[round * STEP + i]);
            assert_non_null(token);
            if (strncmp(strstr(token, "\"status\":") + 9, "\"revoked\"", 9) != 0) {
                fail_msg("round %zu: %s is active again", round, ids[round * STEP + i]);
            }
        }
    }
    stop(server);
    free(ids);
}

/* ---- Its own authority. ---- */

/* This program with --tls-self and up to four more words, the last NULL; at its first two lines. */
static struct live_process *start_self_as(const char *program, const char *const *more)
{
    const char *argv[8] = {program, "--tls-self", NULL};
    const char *env[2] = {NULL, NULL};
    static char temporary[600];
    struct live_command command;
    size_t i;
    live_needs("openssl");
    snprintf(temporary, sizeof temporary, "TMPDIR=%s", live_folder());
    env[0] = temporary;
    for (i = 0; more[i] != NULL; i++) {
        argv[2 + i] = more[i];
    }
    memset(&command, 0, sizeof command);
    command.argv = argv;
    command.env = env;
    return live_start(&command);
}

static struct live_process *start_self(const char *const *more)
{
    return start_self_as(live_emulator(), more);
}

/* How many entries the folder of the running test has whose names begin so. */
static size_t left_over(void)
{
    const char *const argv[] = {"sh", "-c", "ls -A \"$0\" | grep -c hathora-emulator", live_folder(), NULL};
    return (size_t)strtoul(run_words(argv, NULL, 0)->out.ptr, NULL, 10);
}

static void own_authority_serves_and_tells_a_command_that_works(void **state)
{
    static const char *const none[] = {NULL};
    struct live_process *server = start_self(none), *tried;
    const char *argv[] = {"sh", "-c", NULL, NULL};
    char line[1200];
    const char *at;
    (void)state;
    live_await_output(server, " list\n", 0);
    assert_true(strncmp(server->out.ptr, "listening on https://127.0.0.1:", 31) == 0);
    at = strstr(server->out.ptr, "try: ");
    assert_non_null(at);
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at + 5, "\n"), at + 5);
    argv[2] = line;
    tried = run_words(argv, NULL, 0);
    assert_int_equal(tried->status, 0);
    assert_true(strncmp(tried->out.ptr, "ID ", 3) == 0);
    assert_int_equal(left_over(), 1);
    live_signal(server, SIGTERM);
    live_end(server);
    assert_int_equal(server->status, 0);
    assert_int_equal(left_over(), 0);
}

static void own_authority_tells_a_command_for_a_folder_with_blanks(void **state)
{
    static const char *const none[] = {NULL};
    const char *folder = live_path("it's a folder"), *program = live_path("it's a folder/hathora-emulator");
    struct live_process *server;
    char line[1200];
    (void)state;
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(link(emulator_file(), program), 0);
    server = start_self_as(program, none);
    live_await_output(server, " list\n", 0);
    snprintf(line, sizeof line, "\ntry: '%s/it'\\''s a folder/hathora-tokens' --endpoint https://",
             live_folder());
    assert_true(live_contains(&server->out, line));
    live_signal(server, SIGTERM);
    live_end(server);
}

static void own_authority_keeps_no_key_on_the_disk(void **state)
{
    static const char *const none[] = {NULL};
    struct live_process *server = start_self(none);
    const char *const argv[] = {"sh", "-c", "cd \"$0\"/hathora-emulator.* && ls -A", live_folder(), NULL};
    (void)state;
    live_await_output(server, " list\n", 0);
    assert_string_equal(run_words(argv, NULL, 0)->out.ptr, "ca.pem\n");
    live_signal(server, SIGTERM);
    live_end(server);
}

static void own_authority_goes_with_the_terminal(void **state)
{
    static const char *const none[] = {NULL};
    struct live_process *server = start_self(none);
    (void)state;
    live_await_output(server, " list\n", 0);
    live_signal(server, SIGHUP);
    live_end(server);
    assert_int_equal(server->status, 0);
    assert_int_equal(left_over(), 0);
}

static void own_authority_never_tells_a_chosen_token(void **state)
{
    static const char *const more[] = {"--token", TOKEN, "--org", "a'b", NULL};
    struct live_process *server = start_self(more);
    (void)state;
    live_await_output(server, " --org 'a'\\''b' --token ... list\n", 0);
    assert_false(live_contains(&server->out, TOKEN));
    live_signal(server, SIGTERM);
    live_end(server);
}

static void own_authority_without_openssl_says_what_to_do(void **state)
{
    const char *const argv[] = {"env", "PATH=/nonexistent", NULL, emulator_file(), "--tls-self", NULL};
    const char *words[6];
    struct live_process *server;
    char temporary[600];
    (void)state;
    live_needs("openssl");
    memcpy(words, argv, sizeof words);
    snprintf(temporary, sizeof temporary, "TMPDIR=%s", live_folder());
    words[2] = temporary;
    server = run_words(words, NULL, 0);
    assert_one_line(server, 1);
    assert_true(live_contains(&server->err,
                              "--tls-self needs the openssl program; without it give --cert and --key"));
    assert_int_equal(left_over(), 0);
    server = run_emulator("--tls-self", "--cert", live_certificate("leaf.pem"), NULL);
    assert_one_line(server, 2);
}

static void own_authority_on_a_full_disk_is_told(void **state)
{
    const char *words[] = {
        "sh",          "-c", "TMPDIR=$1; export TMPDIR; ulimit -f 0; exec \"$0\" --tls-self", emulator_file(),
        live_folder(), NULL};
    struct live_process *server;
    (void)state;
    live_needs("limits");
    server = run_words(words, NULL, 0);
    assert_one_line(server, 1);
    assert_true(live_contains(&server->err, "--tls-self: "));
    assert_true(live_contains(&server->err, "/settings: "));
    assert_int_equal(left_over(), 0);
}

/* ---- The log. ---- */

static void log_has_one_line_a_request_and_no_secret(void **state)
{
    struct live_server *server = start(NULL);
    char plain[128], path[512];
    static const char forged[] = "GET /a%0Ab\\x1b[31m HTTP/1.1\r\nHost: a\r\n" LAST "\r\n";
    struct live_bytes *log;
    (void)state;
    assert_int_equal(create(server, "{\"name\":\"canary-name\"}"), 201);
    snprintf(plain, sizeof plain, "%s", member(answer, "plainTextToken"));
    snprintf(path, sizeof path, ORGS "/tokens/%s/revoke", plain);
    assert_int_equal(ask(server, "POST", path, NULL), 404);
    assert_int_equal(ask(server, "POST", ORGS "/tokens/" TOKEN "/revoke", NULL), 404);
    assert_int_equal(ask(server, "GET", ORGS "?token=" TOKEN, NULL), 200);
    assert_int_equal(ask_as(server, plain, "GET", ORGS, NULL), 200);
    raw(server, forged, sizeof forged - 1);
    stop(server);
    log = &server->process->err;
    assert_int_equal(live_count(log, "\n"), 6);
    assert_true(live_contains(log, "POST " ORGS "/create 201 "));
    assert_true(live_contains(log, ORGS "/tokens/***/revoke 404 "));
    assert_true(live_contains(log, "/a%0Ab\\x5cx1b[31m 404 "));
    assert_false(live_contains(log, plain) || live_contains(log, plain + 15) || live_contains(log, TOKEN));
    assert_false(live_contains(log, "canary") || live_contains(log, "?"));
}

static void quiet_has_no_log(void **state)
{
    struct live_server *server = start("--quiet", NULL);
    (void)state;
    assert_int_equal(ask(server, "GET", ORGS, NULL), 200);
    stop(server);
    assert_int_equal(server->process->err.len, 0);
}

#define LIVE_TEST(name) cmocka_unit_test_teardown(name, live_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIVE_TEST(help_and_version_go_to_standard_output),
        LIVE_TEST(usage_errors_are_one_line_and_status_2),
        LIVE_TEST(wrong_option_is_not_quoted_with_its_value),
        LIVE_TEST(unusable_files_are_one_line_and_status_1),
        LIVE_TEST(taken_port_is_one_line_and_status_1),
        LIVE_TEST(every_kind_of_key_serves),
        LIVE_TEST(pem_may_have_crlf_a_mark_and_no_last_line_end),
        LIVE_TEST(port_file_and_ready_line_agree),
        LIVE_TEST(closed_standard_descriptors_are_replaced),
        LIVE_TEST(too_few_descriptors_are_told),
        LIVE_TEST(listens_on_ipv6_loopback),
        LIVE_TEST(tokens_are_created_listed_and_revoked),
        LIVE_TEST(created_tokens_open_their_organization_while_active),
        LIVE_TEST(dev_tokens_may_be_limited),
        LIVE_TEST(errors_have_their_status_and_a_message),
        LIVE_TEST(refusals_carry_the_fields_that_http_asks_for),
        LIVE_TEST(bodies_are_checked_strictly),
        LIVE_TEST(names_are_counted_in_code_points_and_unique),
        LIVE_TEST(ids_are_percent_decoded),
        LIVE_TEST(content_types_are_matched_on_the_media_type),
        LIVE_TEST(prefix_shifts_every_path),
        LIVE_TEST(seed_makes_ids_reproducible),
        LIVE_TEST(connections_are_kept_and_pipelined),
        LIVE_TEST(chunked_bodies_are_read),
        LIVE_TEST(expectation_is_answered),
        LIVE_TEST(http_1_0_is_spoken),
        LIVE_TEST(connection_option_close_outweighs_keep_alive),
        LIVE_TEST(bad_http_is_refused),
        LIVE_TEST(sizes_are_bounded),
        LIVE_TEST(slow_requests_and_idle_connections_end),
        LIVE_TEST(sessions_are_resumed),
        LIVE_TEST(only_tls_1_2_and_http_1_1_are_negotiated),
        LIVE_TEST(plain_text_and_noise_end_the_connection_only),
        LIVE_TEST(slow_connections_stall_nobody),
        LIVE_TEST(long_lists_arrive_whole),
        LIVE_TEST(short_lists_have_a_length_and_long_ones_chunks),
        LIVE_TEST(signals_end_it_cleanly_with_connections_open),
        LIVE_TEST(faults_spoil_one_answer_each),
        LIVE_TEST(faults_spoil_streamed_lists_too),
        LIVE_TEST(faults_choose_how_the_connection_ends),
        LIVE_TEST(delays_and_drips_take_their_time),
        LIVE_TEST(faults_are_used_in_order_and_by_operation),
        LIVE_TEST(spoilt_answers_leave_the_operation_done_unless_skipped),
        LIVE_TEST(state_survives_a_restart_without_plain_text),
        LIVE_TEST(state_keeps_organizations_that_are_not_served),
        LIVE_TEST(state_keeps_any_number_of_organizations),
        LIVE_TEST(generated_tokens_fill_up_a_state),
        LIVE_TEST(torn_ends_are_dropped_and_the_rest_is_kept),
        LIVE_TEST(corrupt_state_is_refused_and_left_alone),
        LIVE_TEST(state_belongs_to_one_process),
        LIVE_TEST(full_disk_loses_nothing_that_was_acknowledged),
        LIVE_TEST(killed_emulator_loses_no_acknowledged_token),
        LIVE_TEST(killed_emulator_keeps_every_acknowledged_revocation),
        LIVE_TEST(own_authority_serves_and_tells_a_command_that_works),
        LIVE_TEST(own_authority_tells_a_command_for_a_folder_with_blanks),
        LIVE_TEST(own_authority_keeps_no_key_on_the_disk),
        LIVE_TEST(own_authority_goes_with_the_terminal),
        LIVE_TEST(own_authority_never_tells_a_chosen_token),
        LIVE_TEST(own_authority_without_openssl_says_what_to_do),
        LIVE_TEST(own_authority_on_a_full_disk_is_told),
        LIVE_TEST(log_has_one_line_a_request_and_no_secret),
        LIVE_TEST(quiet_has_no_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
