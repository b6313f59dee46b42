/* What befalls a handshake with openssl s_server on its way: a relay in this program, which sees each byte, ends the
   connection, resets it or damages what the server sends. */
#define _POSIX_C_SOURCE 200809L
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define FOLDER  "build/certs/tls"
#define TOKEN   "a-token-that-must-not-leave"
#define RECORDS 16

enum { HANDSHAKE = 22, APPLICATION_DATA = 23 };

/* ---- The relay: one connection at a time. ---- */

enum damage { NONE, CLOSE, RESET, FLIP, GARBAGE, PLAIN };

typedef struct relay {
    int listener, client, server;
    unsigned port, target;
    enum damage damage;
    size_t at; /* of the server's bytes: where the damage begins */
    size_t
        end; /* where the connection ends after a FLIP or GARBAGE, or else the client might wait for more */
    size_t passed;     /* the server's bytes so far */
    const char *plain; /* PLAIN: what comes, and then the end, instead of all that the server sends */
    size_t requests;   /* records of application data from the client */
    size_t again;      /* those of a handshake behind them, encrypted as they would be */
    /* The client's record at hand, and where the server's records begin. */
    unsigned char head[5];
    size_t head_len, left;
    unsigned char server_head[5];
    size_t server_head_len, server_left, records[RECORDS], record_count;
} relay;

static struct sockaddr_in loopback(unsigned port)
{
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    return address;
}

static void relay_open(relay *r, unsigned target)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    memset(r, 0, sizeof *r);
    r->client = r->server = -1;
    r->target = target;
    r->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(r->listener >= 0);
    assert_int_equal(bind(r->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(r->listener, 8), 0);
    assert_int_equal(getsockname(r->listener, (struct sockaddr *)&address, &len), 0);
    r->port = ntohs(address.sin_port);
}

static void relay_drop(int *descriptor, bool reset)
{
    struct linger linger = {1, 0};
    if (*descriptor >= 0) {
        if (reset) {
            (void)setsockopt(*descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        }
        close(*descriptor);
        *descriptor = -1;
    }
}

static void relay_begin(relay *r, enum damage damage, size_t at, size_t end)
{
    relay_drop(&r->client, false);
    relay_drop(&r->server, false);
    r->damage = damage;
    r->at = at;
    r->end = end;
    r->passed = r->requests = r->again = r->head_len = r->left = r->server_head_len = r->server_left =
        r->record_count = 0;
}

static void relay_accept(relay *r)
{
    struct sockaddr_in address = loopback(r->target);
    int on = 1;
    r->client = accept(r->listener, NULL, NULL);
    if (r->damage == PLAIN) {
        assert_true(r->client >= 0);
        (void)send(r->client, r->plain, strlen(r->plain), MSG_NOSIGNAL);
        (void)shutdown(r->client, SHUT_WR);
        return;
    }
    r->server = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(r->client >= 0 && r->server >= 0);
    assert_int_equal(connect(r->server, (struct sockaddr *)&address, sizeof address), 0);
    (void)setsockopt(r->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(r->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* Counts the client's records of application data. */
static void relay_watch(relay *r, const unsigned char *bytes, size_t len)
{
    size_t i;
    for (i = 0; i < len; i++) {
        if (r->left != 0) {
            r->left--;
            continue;
        }
        r->head[r->head_len++] = bytes[i];
        if (r->head_len == 5) {
            r->requests += r->head[0] == APPLICATION_DATA;
            r->again += r->head[0] == HANDSHAKE && r->requests != 0;
            r->left = (size_t)r->head[3] << 8 | r->head[4];
            r->head_len = 0;
        }
    }
}

/* Keeps where the server's records begin, up to its first one of application data. */
static void relay_learn(relay *r, unsigned char byte)
{
    if (r->server_left != 0) {
        r->server_left--;
        return;
    }
    if (r->server_head_len == 0) {
        assert_true(r->record_count < RECORDS);
        r->records[r->record_count++] = r->passed;
    }
    r->server_head[r->server_head_len++] = byte;
    if (r->server_head_len == 5) {
        r->server_left = (size_t)r->server_head[3] << 8 | r->server_head[4];
        r->server_head_len = 0;
    }
}

/* Whether the damage ends the connection behind what was passed on so far. */
static bool relay_ends(const relay *r)
{
    return r->damage != NONE && r->passed == (r->damage >= FLIP ? r->end : r->at);
}

static void relay_from_server(relay *r)
{
    unsigned char bytes[4096];
    ssize_t n = read(r->server, bytes, sizeof bytes), i;
    for (i = 0; i < n && !relay_ends(r); i++) {
        if (r->damage == NONE) {
            relay_learn(r, bytes[i]);
        } else if (r->damage == FLIP && r->passed == r->at) {
            bytes[i] ^= 0x55;
        } else if (r->damage == GARBAGE && r->passed >= r->at) {
            bytes[i] = (unsigned char)(r->passed * 167 + 13);
        }
        r->passed++;
    }
    if (i > 0) {
        (void)send(r->client, bytes, (size_t)i, MSG_NOSIGNAL);
    }
    if (n <= 0 || relay_ends(r)) {
        relay_drop(&r->server, false);
        if (r->damage == RESET) {
            relay_drop(&r->client, true);
        } else {
            (void)shutdown(r->client, SHUT_WR); /* closing it with bytes unread would be a reset */
        }
    }
}

/* Waits for what the client waits for, or for bytes to pass on, and passes them on. */
static void relay_step(relay *r, const htok_client *client)
{
    htok_wait own = htok_client_wait(client);
    struct pollfd wait[4];
    memset(wait, 0, sizeof wait);
    wait[0].fd = r->client < 0 ? r->listener : -1;
    wait[1].fd = r->client;
    wait[2].fd = r->server;
    wait[3].fd = (int)own.descriptor;
    wait[0].events = wait[1].events = wait[2].events = POLLIN;
    wait[3].events = (short)((own.readable ? POLLIN : 0) | (own.writable ? POLLOUT : 0));
    if (poll(wait, 4, own.timeout_ms < 1000 ? (int)own.timeout_ms : 1000) <= 0) {
        return;
    }
    if (wait[0].revents) {
        relay_accept(r);
    } else if (wait[2].revents) {
        relay_from_server(r);
    } else if (wait[1].revents) {
        unsigned char bytes[4096];
        ssize_t n = read(r->client, bytes, sizeof bytes);
        if (n > 0) {
            relay_watch(r, bytes, (size_t)n);
            (void)send(r->server, bytes, (size_t)n, MSG_NOSIGNAL); /* or to nobody, once that end is closed */
        } else {
            relay_drop(&r->client, false);
            relay_drop(&r->server, false);
        }
    }
}

/* ---- The client. ---- */

static struct live_process *server;
static relay r;

static int setup(void **state)
{
    const char *argv[] = {"sh", "tests/tls-certs.sh", FOLDER, NULL};
    struct live_command command;
    const struct live_process *process;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    process = live_run(&command);
    if (process->status != 0) {
        print_error("%s", process->err.ptr);
        return -1;
    }
    return live_teardown(state);
}

/* s_server with a certificate of RSA, all of whose messages have the same length each time, and the relay to it. */
static void start_server(const char *const *more)
{
    static const char ready[] = "ACCEPT 127.0.0.1:";
    const char *argv[24] = {"openssl",
                            "s_server",
                            "-accept",
                            "127.0.0.1:0",
                            "-cert",
                            FOLDER "/rsa2048.pem",
                            "-key",
                            FOLDER "/rsa2048.key",
                            "-tls1_2",
                            "-cipher",
                            "ECDHE-RSA-AES128-GCM-SHA256"};
    struct live_command command;
    size_t at = 11;
    while (more && *more) {
        argv[at++] = *more++;
    }
    memset(&command, 0, sizeof command);
    command.argv = argv;
    command.input_open = command.input_messages = true;
    server = live_start(&command);
    at = live_await_output(server, ready, 0) + sizeof ready - 1;
    live_await_output(server, "\n", at);
    relay_open(&r, (unsigned)strtoul(server->out.ptr + at, NULL, 10));
}

static int stop_server(void **state)
{
    relay_drop(&r.client, false);
    relay_drop(&r.server, false);
    relay_drop(&r.listener, false);
    return live_teardown(state);
}

static void start_client(htok_client **client)
{
    htok_client_options options;
    htok_error error;
    char url[64];
    snprintf(url, sizeof url, "https://127.0.0.1:%u", r.port);
    memset(&options, 0, sizeof options);
    options.server_url = url;
    options.trust_file = FOLDER "/rootrsa.pem";
    options.org_id = "org-1";
    options.token = TOKEN;
    assert_int_equal(htok_client_create(client, &options, &error), HTOK_OK);
    assert_int_equal(htok_get_org_tokens_start(*client, NULL), HTOK_OK);
}

/* A list that meets this, up to its end; the client's error. */
static htok_error list(enum damage damage, size_t at, size_t end)
{
    htok_client *client;
    htok_error error;
    relay_begin(&r, damage, at, end);
    start_client(&client);
    while (htok_client_poll(client) == HTOK_STATE_PENDING) {
        relay_step(&r, client);
    }
    error = *htok_client_error(client);
    htok_client_close(client);
    return error;
}

/* The length of all that the server sends before it can know the request, from a connection that is ended there: s_server
   itself never answers. */
static size_t learn(void)
{
    htok_client *client;
    relay_begin(&r, NONE, 0, 0);
    start_client(&client);
    while (htok_client_poll(client) == HTOK_STATE_PENDING && r.requests == 0) {
        relay_step(&r, client);
    }
    assert_int_equal(r.requests, 1);
    htok_client_close(client);
    assert_true(r.record_count >= 6); /* four messages, ChangeCipherSpec and Finished */
    return r.passed;
}

static void check_at(const htok_error *error, const char *what, size_t at, size_t len)
{
    char line[1024];
    htok_error_format(error, line, sizeof line);
    if (error->kind != HTOK_CONNECTION_ERROR || error->phase != HTOK_PHASE_HANDSHAKE || r.requests != 0 ||
        error->may_have_taken_effect || error->status != 0 || strstr(line, TOKEN)) {
        fail_msg("%s at byte %u of %u, %u requests: %s", what, (unsigned)at, (unsigned)len,
                 (unsigned)r.requests, line);
    }
}

/* ---- The tests. ---- */

/* Whether to try a byte: the first ones of each record, its last one, and some between. */
static bool worth(size_t at)
{
    size_t i;
    for (i = 0; i < r.record_count; i++) {
        if (at >= r.records[i] && at < r.records[i] + 12) {
            return true;
        }
        if (at + 1 == r.records[i]) {
            return true;
        }
    }
    return at % 29 == 0;
}

/* The records are known from learn(); relay_begin() forgets them. */
static size_t points(size_t *list_of, size_t most, size_t len)
{
    size_t at, count = 0;
    for (at = 0; at < len; at++) {
        if (worth(at)) {
            assert_true(count < most);
            list_of[count++] = at;
        }
    }
    return count;
}

#define MOST_POINTS 512

static void a_close_anywhere_in_the_handshake_is_told(void **state)
{
    size_t at[MOST_POINTS], len, count, i;
    (void)state;
    start_server(NULL);
    len = learn();
    count = points(at, MOST_POINTS, len);
    assert_true(count > 60);
    for (i = 0; i < count; i++) {
        htok_error error = list(CLOSE, at[i], 0);
        char line[1024];
        check_at(&error, "closed", at[i], len);
        htok_error_format(&error, line, sizeof line);
        if (error.reason != HTOK_REASON_TLS_CLOSED ||
            !strstr(line, "the server closed the connection during the TLS handshake")) {
            fail_msg("closed at byte %u of %u: %s", (unsigned)at[i], (unsigned)len, line);
        }
    }
}

static void a_reset_anywhere_in_the_handshake_is_told(void **state)
{
    size_t at[MOST_POINTS], len, count, i;
    (void)state;
    start_server(NULL);
    len = learn();
    count = points(at, MOST_POINTS, len);
    assert_true(count > 60);
    for (i = 0; i < count; i += 3) {
        htok_error error = list(RESET, at[i], 0);
        check_at(&error, "reset", at[i], len);
        /* The system tells the reset to whichever of the two comes first. */
        if (error.reason != HTOK_REASON_RECEIVE_FAILED && error.reason != HTOK_REASON_SEND_FAILED) {
            fail_msg("reset at byte %u: %s", (unsigned)at[i], htok_reason_name(error.reason));
        }
    }
}

static bool is_told_of_tls(htok_reason reason)
{
    return reason == HTOK_REASON_TLS_FAILED || reason == HTOK_REASON_TLS_CLOSED ||
           reason == HTOK_REASON_TLS_ALERT || reason == HTOK_REASON_TLS_ALPN ||
           (reason >= HTOK_REASON_CERTIFICATE_INVALID && reason <= HTOK_REASON_CERTIFICATE_PIN);
}

static void damage_anywhere_in_the_handshake_is_found(void **state)
{
    static const enum damage kinds[] = {FLIP, GARBAGE};
    size_t at[MOST_POINTS], len, first, count, i, k;
    (void)state;
    start_server(NULL);
    len = learn();
    count = points(at, MOST_POINTS, len);
    assert_true(count > 60);
    first = r.records[4]; /* the first flight ends with ServerHelloDone; behind it comes ChangeCipherSpec */
    for (k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        for (i = 0; i < count; i++) {
            htok_error error = list(kinds[k], at[i], at[i] < first ? first : len);
            check_at(&error, k == 0 ? "changed" : "garbage", at[i], len);
            if (!is_told_of_tls(error.reason)) {
                fail_msg("%s at byte %u: %s", k == 0 ? "changed" : "garbage", (unsigned)at[i],
                         htok_reason_name(error.reason));
            }
        }
    }
}

static void a_close_behind_the_handshake_is_no_answer(void **state)
{
    htok_error error;
    (void)state;
    start_server(NULL);
    error = list(CLOSE, learn(), 0);
    assert_int_equal(error.kind, HTOK_CONNECTION_ERROR);
    assert_int_equal(error.reason, HTOK_REASON_CLOSED_EARLY);
}

static void a_server_that_speaks_no_tls_is_told_from_one_that_does(void **state)
{
    static const struct {
        const char *plain;
        htok_reason reason;
        const char *text;
    } rows[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", HTOK_REASON_TLS_FAILED, "or the port is no TLS port"},
        {"SSH-2.0-OpenSSH_9.2\r\n", HTOK_REASON_TLS_FAILED, "or the port is no TLS port"},
        {"220 mail.example ESMTP\r\n", HTOK_REASON_TLS_FAILED, "or the port is no TLS port"},
        {"", HTOK_REASON_TLS_CLOSED, "it may want TLS 1.3 only, or it is no TLS server"},
        {"\x15\x03\x03", HTOK_REASON_TLS_CLOSED, "closed the connection during the TLS handshake"},
    };
    size_t i;
    (void)state;
    start_server(NULL);
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[1024];
        htok_error error;
        r.plain = rows[i].plain;
        error = list(PLAIN, 0, 0);
        check_at(&error, "plain text", i, 0);
        htok_error_format(&error, line, sizeof line);
        if (error.reason != rows[i].reason || !strstr(line, rows[i].text)) {
            fail_msg("%s: %s: %s", rows[i].plain, htok_reason_name(error.reason), line);
        }
    }
}

/* BearSSL answers with the warning no_renegotiation (RFC 5246 section 7.2.2), which OpenSSL takes for the end. */
static void a_server_that_wants_to_renegotiate_is_refused(void **state)
{
    htok_client *client;
    htok_error error;
    char line[1024];
    (void)state;
    start_server(NULL);
    relay_begin(&r, NONE, 0, 0);
    start_client(&client);
    while (htok_client_poll(client) == HTOK_STATE_PENDING && r.requests == 0) {
        relay_step(&r, client);
    }
    live_await_output(server, "GET /tokens/v1/orgs/org-1 HTTP/1.1", 0);
    live_send(server, "r\n", 2);
    while (htok_client_poll(client) == HTOK_STATE_PENDING) {
        relay_step(&r, client);
    }
    error = *htok_client_error(client);
    htok_error_format(&error, line, sizeof line);
    assert_int_equal(error.kind, HTOK_CONNECTION_ERROR);
    assert_int_equal(error.reason, HTOK_REASON_TLS_ALERT);
    assert_int_equal(r.again, 0);
    if (!strstr(line, "; the server may want to renegotiate, which is refused")) {
        fail_msg("%s", line);
    }
    htok_client_close(client);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_teardown(name, stop_server)
    const struct CMUnitTest tests[] = {
        TEST(a_close_anywhere_in_the_handshake_is_told),
        TEST(a_reset_anywhere_in_the_handshake_is_told),
        TEST(damage_anywhere_in_the_handshake_is_found),
        TEST(a_close_behind_the_handshake_is_no_answer),
        TEST(a_server_that_speaks_no_tls_is_told_from_one_that_does),
        TEST(a_server_that_wants_to_renegotiate_is_refused),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests_name("handshake", tests, setup, NULL);
}
