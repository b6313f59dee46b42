/* CONNECT through a proxy: the room by itself, and the client on it over a scripted transport. What goes through the
   tunnel is test_tls.c's. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"
#include "x509.h"

#define OK "HTTP/1.1 200 Connection established\r\n\r\n"

/* ---- The room. ---- */

typedef struct tube {
    htoki_url url;
    htok_proxy proxy;
    htoki_http_limits limits;
    htoki_tunnel tunnel;
    htok_error error;
    char sent[2048];
    size_t len;
} tube;

static void tube_begin(tube *t, const char *url, const char *user, const char *password)
{
    memset(t, 0, sizeof *t);
    unit_error_begin(&t->error);
    assert_true(htoki_url_parse(unit_view(url), &t->url, &t->error));
    t->proxy.user = user;
    t->proxy.password = password;
    t->limits.head_bytes = 4096;
    t->limits.fields = 20;
    t->limits.interim = 4;
    htoki_tunnel_begin(&t->tunnel, &t->url, &t->proxy, unit_view("agent/1"), &t->limits);
}

/* Sends the request in pieces of this size. */
static void tube_send(tube *t, size_t piece)
{
    size_t n;
    while ((n = htoki_tunnel_output(&t->tunnel, t->sent + t->len, piece)) != 0) {
        t->len += n;
        assert_true(t->len + piece < sizeof t->sent);
    }
    t->sent[t->len] = '\0';
}

static void the_request_names_the_server_in_authority_form(void **state)
{
    static const struct {
        const char *url, *user, *password, *request;
    } rows[] = {
        {"https://API.hathora.dev/v", NULL, NULL,
         "CONNECT api.hathora.dev:443 HTTP/1.1\r\nHost: api.hathora.dev:443\r\nUser-Agent: agent/1\r\n\r\n"},
        {"https://10.1.2.3:8443", NULL, NULL,
         "CONNECT 10.1.2.3:8443 HTTP/1.1\r\nHost: 10.1.2.3:8443\r\nUser-Agent: agent/1\r\n\r\n"},
        {"https://[2001:DB8::1]", NULL, NULL,
         "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\nUser-Agent: agent/1\r\n\r\n"},
        /* RFC 7617 section 2 and RFC 4648 section 10: each rest of the length */
        {"https://h", "Aladdin", "open sesame",
         "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nUser-Agent: agent/1\r\n"
         "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"},
        {"https://h", "test", "123\xc2\xa3",
         "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nUser-Agent: agent/1\r\n"
         "Proxy-Authorization: Basic dGVzdDoxMjPCow==\r\n\r\n"},
        {"https://h", "", NULL,
         "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nUser-Agent: agent/1\r\n"
         "Proxy-Authorization: Basic Og==\r\n\r\n"},
        {"https://h", "u", "",
         "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nUser-Agent: agent/1\r\n"
         "Proxy-Authorization: Basic dTo=\r\n\r\n"},
        {"https://h", "u", "p:?",
         "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nUser-Agent: agent/1\r\n"
         "Proxy-Authorization: Basic dTpwOj8=\r\n\r\n"},
        {"https://h", "u", "\xff",
         "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nUser-Agent: agent/1\r\n"
         "Proxy-Authorization: Basic dTr/\r\n\r\n"},
    };
    size_t i, piece;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        for (piece = 1; piece < 300; piece += piece < 10 ? 1 : 97) {
            tube t;
            tube_begin(&t, rows[i].url, rows[i].user, rows[i].password);
            tube_send(&t, piece);
            check_bytes_at(t.sent, t.len, rows[i].request, strlen(rows[i].request), rows[i].request, __FILE__,
                           __LINE__);
        }
    }
}

typedef struct answer_row {
    const char *answer; /* whole: whatever follows its head belongs to nobody */
    const char *user;
    htok_reason reason; /* NONE: the tunnel is open */
    int status;
    const char *detail;
} answer_row;

static const char long_line[] =
    "HTTP/1.1 200 ok\r\nX: "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    "\r\n\r\n";

static const answer_row answers[] = {
    {OK, NULL, HTOK_REASON_NONE, 0, ""},
    {"HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11\r\n\r\n", NULL, HTOK_REASON_NONE, 0,
     ""},
    {"HTTP/1.1 299 \r\n\r\n", NULL, HTOK_REASON_NONE, 0, ""},
    {"HTTP/1.1 204 x\r\nContent-Length: 7\r\n\r\n", NULL, HTOK_REASON_NONE, 0, ""},
    /* RFC 9110 section 9.3.6: these are ignored in a success */
    {"HTTP/1.1 200 x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", NULL, HTOK_REASON_NONE, 0,
     ""},
    {"HTTP/1.1 200 x\r\nContent-Length: -1\r\nContent-Length: 9\r\nContent-Encoding: gzip\r\n\r\n", NULL,
     HTOK_REASON_NONE, 0, ""},
    {"HTTP/1.1 100 Continue\r\nProxy-Authenticate: Digest\r\n\r\nHTTP/1.1 102 x\r\n\r\n" OK, NULL,
     HTOK_REASON_NONE, 0, ""},
    {"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 5\r\n\r\nhello", NULL,
     HTOK_REASON_PROXY_AUTHENTICATION, 407, "none were given"},
    {"HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate, BASIC realm=\"p\"\r\n\r\n", "u",
     HTOK_REASON_PROXY_AUTHENTICATION, 407, "those given are refused"},
    {"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\nProxy-Authenticate: NTLM\r\n\r\n", "u",
     HTOK_REASON_PROXY_AUTHENTICATION, 407, "those given are refused"},
    {"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: basic\r\n\r\n", "u",
     HTOK_REASON_PROXY_AUTHENTICATION, 407, "those given are refused"},
    {"HTTP/1.1 407 x\r\nProxy-Authenticate: Digest realm=\"p\", qop=\"auth\", algorithm=MD5, "
     "nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093dcd98b7102dd2f\", Basic\r\n\r\n",
     "u", HTOK_REASON_PROXY_AUTHENTICATION, 407, "those given are refused"},
    {"HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\tBasics\r\n\r\n", "u",
     HTOK_REASON_PROXY_AUTHENTICATION, 407, "it does not offer Basic, the one scheme known here"},
    {"HTTP/1.1 407 x\r\n\r\n", NULL, HTOK_REASON_PROXY_AUTHENTICATION, 407, "none were given"},
    {"HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\"p\"\r\n\r\n", "u", HTOK_REASON_PROXY_AUTHENTICATION,
     401, "those given are refused"},
    {"HTTP/1.1 403 Forbidden\r\nContent-Length: nonsense\r\n\r\n<html>", NULL, HTOK_REASON_PROXY_REFUSED, 403,
     ""},
    {"HTTP/1.1 503 x\r\nRetry-After: 7\r\n\r\n", NULL, HTOK_REASON_PROXY_REFUSED, 503, ""},
    {"HTTP/1.1 301 x\r\nLocation: https://elsewhere.example/\r\n\r\n", NULL, HTOK_REASON_PROXY_REFUSED, 301,
     ""},
    {"HTTP/1.1 401 x\r\n\r\n", NULL, HTOK_REASON_PROXY_AUTHENTICATION, 401, "none were given"},
    {"HTTP/1.1 099 x\r\n\r\n", NULL, HTOK_REASON_PROXY_REFUSED, 99, ""},
    {"HTTP/1.1 101 x\r\n\r\n", NULL, HTOK_REASON_PROXY_ANSWER, 101,
     "101 was not asked for (RFC 9110 section 15.2.2)"},
    {"SSH-2.0-OpenSSH\r\n", NULL, HTOK_REASON_PROXY_ANSWER, 0, "malformed status line (RFC 9112 section 4)"},
    {"\x15\x03\x01", NULL, HTOK_REASON_PROXY_ANSWER, 0, "malformed status line (RFC 9112 section 4)"},
    {"HTTP/2 200\r\n\r\n", NULL, HTOK_REASON_PROXY_ANSWER, 0,
     "not an HTTP/1.x answer (RFC 9112 section 2.3)"},
    {"HTTP/1.1 200 ok\n\n", NULL, HTOK_REASON_PROXY_ANSWER, 200,
     "a line does not end in CR LF (RFC 9112 section 2.2)"},
    {"HTTP/1.1 200 ok\r\nA b: c\r\n\r\n", NULL, HTOK_REASON_PROXY_ANSWER, 200,
     "malformed field name (RFC 9112 section 5.1)"},
    {"HTTP/1.1 200 ok\r\nA: b\r\n c\r\n\r\n", NULL, HTOK_REASON_PROXY_ANSWER, 200,
     "a folded field line (RFC 9112 section 5.2)"},
    {OK "x", NULL, HTOK_REASON_PROXY_ANSWER, 200, "bytes that nobody asked for stand behind it"},
    {long_line, NULL, HTOK_REASON_PROXY_ANSWER, 200, "the head is larger than the limit"},
    {"HTTP/1.1 200 ok\r\nA: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\n\r\n", NULL, HTOK_REASON_PROXY_ANSWER, 200,
     "the head has more fields than the limit"},
    {"HTTP/1.1 100 a\r\n\r\nHTTP/1.1 100 b\r\n\r\nHTTP/1.1 100 c\r\n\r\n" OK, NULL, HTOK_REASON_PROXY_ANSWER,
     100, "more interim answers than the limit"},
};

/* Whole, byte by byte, and cut in two at each byte. */
static void only_a_success_opens_the_tunnel(void **state)
{
    size_t i, cut;
    (void)state;
    for (i = 0; i < UNIT_COUNT(answers); i++) {
        const answer_row *row = &answers[i];
        size_t len = strlen(row->answer);
        for (cut = 0; cut <= len; cut++) {
            tube t;
            htoki_tunnel_event event = HTOKI_TUNNEL_MORE;
            size_t at = 0;
            char *exact = unit_exact(row->answer, len);
            tube_begin(&t, "https://h", row->user, NULL);
            t.tunnel.http.limits.head_bytes = 160;
            t.tunnel.http.limits.fields = 3;
            t.tunnel.http.limits.interim = 2;
            tube_send(&t, 64);
            while (at < len && event == HTOKI_TUNNEL_MORE) {
                size_t n = cut == 0 ? 1 : at < cut ? cut : len - at;
                event = htoki_tunnel_input(&t.tunnel, exact + at, n, 0, &t.error);
                at += n;
            }
            free(exact);
            if (row->reason == HTOK_REASON_PROXY_ANSWER && strstr(row->detail, "stand behind") &&
                (cut == 0 || cut == len - 1)) {
                check_number(event, HTOKI_TUNNEL_OPEN, row->answer); /* they had not come yet */
                continue;
            }
            check_number(event, row->reason == HTOK_REASON_NONE ? HTOKI_TUNNEL_OPEN : HTOKI_TUNNEL_FAILED,
                         row->answer);
            check_text(htok_reason_name(t.error.reason), htok_reason_name(row->reason), row->answer);
            check_number(t.error.kind, row->reason == HTOK_REASON_NONE ? HTOK_OK : HTOK_CONNECTION_ERROR,
                         row->answer);
            check_number(t.error.status, 0, row->answer);
            check_number(t.error.proxy_status, row->status, row->answer);
            check_text(t.error.detail, row->detail, row->answer);
            check_number(t.error.offset >= 0, row->reason == HTOK_REASON_PROXY_ANSWER, row->answer);
            check_number(t.error.phase, row->reason == HTOK_REASON_NONE ? HTOK_PHASE_NONE : HTOK_PHASE_PROXY,
                         row->answer);
        }
    }
}

static void a_success_before_the_request_was_whole_is_refused(void **state)
{
    tube t;
    char part[8];
    (void)state;
    tube_begin(&t, "https://h", NULL, NULL);
    assert_int_equal(htoki_tunnel_output(&t.tunnel, part, sizeof part), sizeof part);
    assert_int_equal(htoki_tunnel_input(&t.tunnel, OK, strlen(OK), 0, &t.error), HTOKI_TUNNEL_FAILED);
    check_text(t.error.detail, "it came before the request was whole", "not handed out");
    tube_begin(&t, "https://h", NULL, NULL);
    tube_send(&t, 64);
    assert_int_equal(htoki_tunnel_input(&t.tunnel, OK, strlen(OK), 1, &t.error), HTOKI_TUNNEL_FAILED);
    check_text(t.error.detail, "it came before the request was whole", "handed out");
    /* a refusal may come early */
    tube_begin(&t, "https://h", NULL, NULL);
    assert_int_equal(htoki_tunnel_input(&t.tunnel, "HTTP/1.1 403 x\r\n\r\n", 18, 0, &t.error),
                     HTOKI_TUNNEL_FAILED);
    assert_int_equal(t.error.reason, HTOK_REASON_PROXY_REFUSED);
}

static void an_end_before_the_head_is_whole_is_told(void **state)
{
    size_t cut;
    (void)state;
    for (cut = 0; cut < strlen(OK); cut++) {
        tube t;
        tube_begin(&t, "https://h", NULL, NULL);
        tube_send(&t, 64);
        if (cut != 0) {
            assert_int_equal(htoki_tunnel_input(&t.tunnel, OK, cut, 0, &t.error), HTOKI_TUNNEL_MORE);
        }
        assert_int_equal(htoki_tunnel_eof(&t.tunnel, &t.error), HTOKI_TUNNEL_FAILED);
        assert_int_equal(t.error.reason, HTOK_REASON_PROXY_CLOSED);
        assert_int_equal(t.error.proxy_status, cut < 13 ? 0 : 200);
    }
}

/* ---- The client. ---- */

#define USER          "user-CANARY-5"
#define PASSWORD      "password-CANARY-6"
#define CREDENTIALS   "dXNlci1DQU5BUlktNTpwYXNzd29yZC1DQU5BUlktNg=="
#define CONNECT       "CONNECT api.hathora.dev:443 HTTP/1.1\r\nHost: api.hathora.dev:443\r\n"
#define AGENT         "User-Agent: " HTOK_DEFAULT_USER_AGENT "\r\n"
#define AUTHORIZATION "Proxy-Authorization: Basic " CREDENTIALS "\r\n"

static htok_proxy proxy;
static unit_text roots;
static const htok_header own_fields[] = {{"X-Api-Key", "HEADER-CANARY-3"}, {"User-Agent", "mine"}};

static void proxied_begin(unit_world *w)
{
    static const cert_spec root = {.subject = "Root", .key = 1, .extensions = "ca! ku!:0204"};
    if (roots.len == 0) {
        cert_add(&roots, &root);
    }
    unit_begin(w);
    memset(&proxy, 0, sizeof proxy);
    proxy.host = "proxy.test";
    proxy.port = 3128;
    proxy.user = USER;
    proxy.password = PASSWORD;
    w->transport.provides_tls = false;
    w->options.proxy = &proxy;
    w->options.headers = own_fields;
    w->options.header_count = UNIT_COUNT(own_fields);
    w->options.trust = htoki_view(roots.text, roots.len);
}

static void check_line(const unit_world *w, const char *wanted)
{
    char line[512];
    htok_error_format(htok_client_error(w->client), line, sizeof line);
    check_text(line, wanted, wanted);
}

/* Polls to the end of the call. */
static void call(unit_world *w)
{
    assert_int_equal(htok_get_org_tokens_start(w->client, NULL), HTOK_OK);
    assert_int_equal(unit_finish(w), HTOK_STATE_FAILED);
}

static void check_phase(const unit_world *w, htok_reason reason, htok_phase phase, const char *label)
{
    const htok_error *e = htok_client_error(w->client);
    check_text(htok_reason_name(e->reason), htok_reason_name(reason), label);
    check_text(htok_phase_name(e->phase), htok_phase_name(phase), label);
    check_number(e->status, 0, label);
    check(!e->may_have_taken_effect, "%s: an effect", label);
}

/* The server's name goes to the proxy and to nobody else; after the answer the next byte is TLS. */
static void https_goes_to_the_proxy_and_then_speaks_tls(void **state)
{
    size_t piece;
    (void)state;
    for (piece = 0; piece < 3; piece++) {
        unit_world w;
        const unit_wire *wire = &w.net.wires[0];
        const char request[] = CONNECT AGENT AUTHORIZATION "\r\n";
        proxied_begin(&w);
        w.net.wires[0].replies[0] = OK;
        w.net.wires[0].send_most = w.net.wires[0].receive_most = piece;
        w.net.wires[0].receive_agains = piece == 2;
        w.slice_ms = 1;
        unit_create(&w);
        call(&w);
        assert_string_equal(wire->host, "proxy.test");
        assert_int_equal(wire->port, 3128);
        assert_true(wire->sent.len > sizeof request + 100);
        assert_memory_equal(wire->sent.text, request, sizeof request - 1);
        assert_memory_equal(wire->sent.text + sizeof request - 1, "\x16\x03", 2); /* a TLS handshake record */
        assert_false(unit_contains(wire->sent.text, wire->sent.len, "dev-token"));
        assert_false(unit_contains(wire->sent.text, wire->sent.len, "HEADER"));
        assert_false(unit_contains(wire->sent.text, wire->sent.len, "mine"));
        assert_true(unit_contains(wire->sent.text + sizeof request, wire->sent.len - sizeof request,
                                  "api.hathora.dev")); /* SNI, inside the tunnel */
        check_phase(&w, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_HANDSHAKE, "no TLS answer");
        assert_int_equal(w.waited_ms, 10000); /* one deadline over all of it */
        unit_end(&w);
    }
}

static void plain_http_to_loopback_goes_direct(void **state)
{
    unit_world w;
    (void)state;
    proxied_begin(&w);
    w.options.server_url = "http://127.0.0.1:8080";
    w.net.wires[0].replies[0] = "HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: 13\r\n\r\n{\"tokens\":[]}";
    unit_create(&w);
    assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_string_equal(w.net.wires[0].host, "127.0.0.1");
    assert_int_equal(w.net.wires[0].port, 8080);
    assert_non_null(strstr(w.net.wires[0].sent.text, "X-Api-Key: HEADER-CANARY-3"));
    assert_null(strstr(w.net.wires[0].sent.text, CREDENTIALS));
    assert_null(strstr(w.net.wires[0].sent.text, "Proxy-"));
    unit_end(&w);
}

static void refusals_are_connection_errors_with_the_proxys_status(void **state)
{
    static const struct {
        const char *answer, *line;
        htok_reason reason;
    } rows[] = {
        {"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"" PASSWORD "\"\r\nConnection: close\r\n\r\n",
         "ConnectionError: the proxy wants a user and password, or others: those given are refused (the "
         "proxy's status "
         "407)",
         HTOK_REASON_PROXY_AUTHENTICATION},
        {"HTTP/1.1 502 " PASSWORD "\r\nX: " CREDENTIALS "\r\nContent-Length: 99\r\n\r\n" USER,
         "ConnectionError: the proxy refused to connect to the server (the proxy's status 502)",
         HTOK_REASON_PROXY_REFUSED},
        {"HTTP/1.1 200 " PASSWORD "\r\n" CREDENTIALS "\r\n\r\n",
         "ConnectionError: the proxy's answer to CONNECT is not acceptable: malformed field name (RFC 9112 "
         "section 5.1) "
         "(the proxy's status 200), at byte 74",
         HTOK_REASON_PROXY_ANSWER},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_world w;
        size_t bytes;
        char *block;
        htok_error e;
        proxied_begin(&w);
        w.net.wires[0].replies[0] = rows[i].answer;
        bytes = htok_client_bytes(&w.options);
        block = (char *)calloc(1, bytes);
        assert_int_equal(htok_client_init(&w.client, block, bytes, &w.options, &e), HTOK_OK);
        call(&w);
        check_phase(&w, rows[i].reason, HTOK_PHASE_PROXY, rows[i].line);
        check_line(&w, rows[i].line);
        assert_int_equal(htok_client_error(w.client)->attempts, 1);
        check(!unit_contains(block, bytes, "CANARY") && !unit_contains(block, bytes, CREDENTIALS),
              "%s: a secret is left", rows[i].line);
        htok_client_close(w.client);
        w.client = NULL;
        free(block);
        unit_end(&w);
    }
}

#if defined(UNIT_BLOCKING) && !defined(_WIN32)
#define REFUSED ": ECONNREFUSED, connection refused"
#else
#define REFUSED ""
#endif

static void a_connection_to_the_proxy_that_fails_is_told_as_the_proxys(void **state)
{
    int lookup;
    (void)state;
    for (lookup = 0; lookup < 2; lookup++) {
        unit_world w;
        proxied_begin(&w);
        w.net.wires[0].looks_up = lookup;
        w.net.wires[0].connect_error = lookup ? 7777 : 111;
        unit_create(&w);
        call(&w);
        check_line(&w, lookup ? "ConnectionError: the host name cannot be looked up: proxy: "
                                "proxy.test [system error 7777]"
                              : "ConnectionError: the connection cannot be made: proxy" REFUSED
                                " [system error 111]");
        unit_end(&w);
    }
}

/* The stream ends, breaks or falls silent at each byte of the request and of the answer. */
static void a_tunnel_survives_a_fault_at_every_byte(void **state)
{
    static const htok_io ends[] = {HTOK_IO_CLOSED, HTOK_IO_FAILED, HTOK_IO_AGAIN};
    const size_t request = strlen(CONNECT AGENT AUTHORIZATION "\r\n"), answer = strlen(OK);
    size_t at, i, fails;
    (void)state;
    for (i = 0; i < UNIT_COUNT(ends); i++) {
        for (at = 0; at < request + answer; at++) {
            for (fails = 0; fails < (at < request ? 2 : 1); fails++) {
                unit_world w;
                char label[48];
                htok_reason wanted = ends[i] == HTOK_IO_AGAIN    ? HTOK_REASON_CONNECT_TIMEOUT
                                     : at < request && fails     ? HTOK_REASON_SEND_FAILED
                                     : ends[i] == HTOK_IO_FAILED ? HTOK_REASON_RECEIVE_FAILED
                                                                 : HTOK_REASON_PROXY_CLOSED;
                snprintf(label, sizeof label, "end %d at byte %d, %d", (int)i, (int)at, (int)fails);
                proxied_begin(&w);
                w.net.wires[0].end = ends[i];
                if (at < request) {
                    w.net.wires[0].send_limit = at;
                    w.net.wires[0].send_fails = fails != 0;
                    w.net.wires[0].send_stalls = fails == 0;
                } else if (at > request) {
                    w.net.wires[0].replies[0] = OK;
                    w.net.wires[0].reply_limit = at - request;
                }
                unit_create(&w);
                call(&w);
                check_phase(&w, wanted, HTOK_PHASE_PROXY, label);
                check_number(w.waited_ms, ends[i] == HTOK_IO_AGAIN ? 10000 : 0, label);
                check_number(htok_client_error(w.client)->os_error,
                             wanted == HTOK_REASON_SEND_FAILED      ? 32
                             : wanted == HTOK_REASON_RECEIVE_FAILED ? 104
                                                                    : 0,
                             label);
                check(!w.net.is_open, "%s: left open", label);
                unit_end(&w);
            }
        }
    }
}

static void a_tunnel_can_be_cancelled_after_every_poll(void **state)
{
    unsigned polls, seen = 0;
    bool going = true;
    (void)state;
    for (polls = 0; going; polls++) {
        unit_world w;
        unsigned i;
        proxied_begin(&w);
        w.net.wires[0].connect_agains = 2;
        w.net.wires[0].send_most = 7;
        w.net.wires[0].receive_most = 3;
        w.net.wires[0].receive_agains = true;
        w.net.wires[0].replies[0] = OK;
        unit_create(&w);
        assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
        for (i = 0; i < polls; i++) {
            assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
        }
        seen += w.client->stage == HTOKI_STAGE_TUNNEL;
        going = w.client->stage != HTOKI_STAGE_HANDSHAKE || htok_client_wait(w.client).timeout_ms == 0;
        htok_client_cancel(w.client);
        assert_int_equal(htok_client_error(w.client)->kind, HTOK_REQUEST_ABORTED_ERROR);
        check(!unit_contains(w.client, htok_client_bytes(&w.options) - 64, CREDENTIALS),
              "credentials after %u polls", polls);
        check(!w.net.is_open && polls < 200, "left open");
        unit_end(&w);
    }
    check(seen > 5, "%u polls in the tunnel", seen);
}

/* The proxy's answer comes in drops: they renew nothing. */
static void a_drip_from_the_proxy_does_not_renew_the_deadline(void **state)
{
    unit_world w;
    unsigned seconds = 0;
    htok_state found = HTOK_STATE_PENDING;
    (void)state;
    proxied_begin(&w);
    w.net.wires[0].replies[0] = OK;
    unit_create(&w);
    assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
    while (found == HTOK_STATE_PENDING) {
        w.net.wires[0].reply_limit = ++seconds;
        found = htok_client_poll(w.client);
        w.clock_state.now_ms += 1000;
    }
    check_phase(&w, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_PROXY, "drip");
    assert_int_equal(w.clock_state.now_ms, 1000000 + 11000);
    unit_end(&w);
}

static void a_tunnel_waits_for_what_it_needs(void **state)
{
    unit_world w;
    htok_wait wait;
    unsigned i;
    (void)state;
    proxied_begin(&w);
    w.net.wires[0].send_stalls = true;
    w.net.wires[0].send_limit = 5;
    unit_create(&w);
    assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
    for (i = 0; i < 4; i++) {
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    }
    wait = htok_client_wait(w.client);
    assert_true(wait.readable && wait.writable);
    assert_int_equal(wait.timeout_ms, 10000);
    assert_int_equal(wait.descriptor, UNIT_DESCRIPTOR);
    w.net.wires[0].send_stalls = false;
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    wait = htok_client_wait(w.client);
    assert_true(wait.readable && !wait.writable);
    unit_end(&w);
}

static void a_poll_moves_a_bounded_number_of_bytes_through_the_tunnel(void **state)
{
    unit_world w;
    unsigned i;
    (void)state;
    proxied_begin(&w);
    w.net.wires[0].send_most = 1;
    w.net.wires[0].receive_most = 1;
    w.net.wires[0].replies_early = true;
    w.net.wires[0].replies[0] = "HTTP/1.1 100 x\r\n\r\n" OK;
    unit_create(&w);
    assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
    for (i = 0; i < 3; i++) {
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    }
    assert_int_equal(w.net.wires[0].sends, HTOKI_SENDS_PER_POLL);
    assert_int_equal(w.net.wires[0].receives, HTOKI_RECEIVES_PER_POLL);
    assert_int_equal(htok_client_wait(w.client).timeout_ms, 0);
    unit_end(&w);
}

static void refusals_that_may_pass_are_tried_again_as_connection_errors(void **state)
{
    static const struct {
        const char *answer;
        unsigned attempts;
        uint64_t waited;
    } rows[] = {
        {"HTTP/1.1 503 x\r\nRetry-After: 3\r\n\r\n", 2, 3000},
        {"HTTP/1.1 502 x\r\n\r\n", 2, 0},
        {"HTTP/1.1 429 x\r\nRetry-After: 5\r\n\r\n", 2, 5000},
        {"HTTP/1.1 408 x\r\n\r\n", 2, 0},
        {"HTTP/1.1 407 x\r\n\r\n", 1, 0},
        {"HTTP/1.1 403 x\r\nRetry-After: 5\r\n\r\n", 1, 0},
        {"garbage", 2, 0},
    };
    size_t i, asked;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        for (asked = 0; asked < 2; asked++) {
            unit_world w;
            proxied_begin(&w);
            w.options.retry.strategy = HTOK_RETRY_BACKOFF;
            w.options.retry.retry_connection_errors = asked != 0;
            w.options.retry.codes = "4XX,5XX"; /* of the server: the proxy's do not count here */
            w.net.wires[0].replies[0] = rows[i].answer;
            w.net.wires[1].replies[0] = "HTTP/1.1 407 x\r\n\r\n";
            unit_create(&w);
            call(&w);
            check_number(htok_client_error(w.client)->attempts, asked ? rows[i].attempts : 1, rows[i].answer);
            check_number(w.waited_ms, asked ? rows[i].waited : 0, rows[i].answer);
            unit_end(&w);
        }
    }
}

static void a_create_that_met_a_refusing_proxy_may_be_tried_again(void **state)
{
    static const htok_create_org_token_request request = {false, 0, NULL, "ci"};
    unit_world w;
    (void)state;
    proxied_begin(&w);
    w.options.retry.strategy = HTOK_RETRY_BACKOFF;
    w.options.retry.retry_connection_errors = true;
    w.options.retry.repeat = HTOK_REPEAT_UNSENT;
    w.net.wires[0].replies[0] = "HTTP/1.1 503 x\r\n\r\n";
    w.net.wires[1].replies[0] = "HTTP/1.1 403 x\r\n\r\n";
    unit_create(&w);
    assert_int_equal(htok_create_org_token_start(w.client, &request, NULL), HTOK_OK);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_phase(&w, HTOK_REASON_PROXY_REFUSED, HTOK_PHASE_PROXY, "create");
    assert_int_equal(htok_client_error(w.client)->attempts, 2);
    unit_end(&w);
}

static void entropy_that_fails_behind_the_tunnel_is_told(void **state)
{
    unit_world w;
    (void)state;
    proxied_begin(&w);
    w.entropy_state.fails = true;
    w.net.wires[0].replies[0] = OK;
    unit_create(&w);
    call(&w);
    check_phase(&w, HTOK_REASON_ENTROPY_MISSING, HTOK_PHASE_HANDSHAKE, "entropy");
    unit_end(&w);
}

/* ---- Options. ---- */

static void each_wrong_member_is_refused_by_name(void **state)
{
    static char long_text[HTOKI_VALUE_BYTES_MAX + 2], long_host[300];
    static const struct {
        const char *host;
        uint16_t port;
        const char *user, *password;
        htok_reason reason;
        const char *path;
        int offset;
    } rows[] = {
        {NULL, 1, NULL, NULL, HTOK_REASON_ARGUMENT_NULL, "proxy.host", -1},
        {"", 1, NULL, NULL, HTOK_REASON_URL_HOST, "proxy.host", -1},
        {"a b", 1, NULL, NULL, HTOK_REASON_URL_HOST, "proxy.host", -1},
        {"http://h", 1, NULL, NULL, HTOK_REASON_URL_HOST, "proxy.host", -1},
        {"[::1]", 1, NULL, NULL, HTOK_REASON_URL_HOST, "proxy.host", -1},
        {"h\r\nX: y", 1, NULL, NULL, HTOK_REASON_URL_HOST, "proxy.host", -1},
        {long_host, 1, NULL, NULL, HTOK_REASON_URL_HOST, "proxy.host", -1},
        {"h", 0, NULL, NULL, HTOK_REASON_OPTION_RANGE, "proxy.port", -1},
        {"h", 1, NULL, "p", HTOK_REASON_OPTION_CONFLICT, "proxy.password", -1},
        {"h", 1, "a:b", "p", HTOK_REASON_PROXY_USER, "proxy.user", 1},
        {"h", 1, "a\tb", "p", HTOK_REASON_TEXT_CONTROL, "proxy.user", 1},
        {"h", 1, "u", "p\r\nX: y", HTOK_REASON_TEXT_CONTROL, "proxy.password", 1},
        {"h", 1, "u", "\x7f", HTOK_REASON_TEXT_CONTROL, "proxy.password", 0},
        {"h", 1, long_text, NULL, HTOK_REASON_TEXT_TOO_LONG, "proxy.user", HTOKI_VALUE_BYTES_MAX},
        {"h", 1, "", long_text, HTOK_REASON_TEXT_TOO_LONG, "proxy.password", HTOKI_VALUE_BYTES_MAX},
    };
    size_t i;
    (void)state;
    memset(long_text, 'a', sizeof long_text - 1);
    for (i = 0; i < sizeof long_host - 1; i++) {
        long_host[i] = i % 50 == 49 ? '.' : 'a';
    }
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_world w;
        htok_error e;
        proxied_begin(&w);
        proxy.host = rows[i].host;
        proxy.port = rows[i].port;
        proxy.user = rows[i].user;
        proxy.password = rows[i].password;
        check_number(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR, rows[i].path);
        check_text(htok_reason_name(e.reason), htok_reason_name(rows[i].reason), rows[i].path);
        check_text(e.path, rows[i].path, rows[i].path);
        check_number(e.offset, rows[i].offset, rows[i].path);
        check_text(e.detail, "", rows[i].path);
        unit_end(&w);
    }
}

static void good_proxies_are_taken(void **state)
{
    static const char *const hosts[] = {"h",   "proxy.example.com", "10.0.0.1",
                                        "::1", "2001:db8::7",       "LOCALHOST"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(hosts); i++) {
        unit_world w;
        proxied_begin(&w);
        proxy.host = hosts[i];
        proxy.user = i % 3 ? USER : NULL;
        proxy.password = i % 3 == 1 ? "p\xff\xfe" : NULL;
        unit_create(&w);
        assert_ptr_equal(htok_client_effective_options(w.client)->proxy, &proxy);
        unit_end(&w);
    }
}

static void a_transport_that_provides_tls_cannot_use_it(void **state)
{
    unit_world w;
    htok_error e;
    (void)state;
    proxied_begin(&w);
    w.transport.provides_tls = true;
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_OPTION_CONFLICT);
    assert_string_equal(e.path, "proxy");
    unit_end(&w);
}

static int release_roots(void **state)
{
    (void)state;
    free(roots.text);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_names_the_server_in_authority_form),
        cmocka_unit_test(only_a_success_opens_the_tunnel),
        cmocka_unit_test(a_success_before_the_request_was_whole_is_refused),
        cmocka_unit_test(an_end_before_the_head_is_whole_is_told),
        cmocka_unit_test(https_goes_to_the_proxy_and_then_speaks_tls),
        cmocka_unit_test(plain_http_to_loopback_goes_direct),
        cmocka_unit_test(refusals_are_connection_errors_with_the_proxys_status),
        cmocka_unit_test(a_connection_to_the_proxy_that_fails_is_told_as_the_proxys),
        cmocka_unit_test(a_tunnel_survives_a_fault_at_every_byte),
        cmocka_unit_test(a_tunnel_can_be_cancelled_after_every_poll),
        cmocka_unit_test(a_drip_from_the_proxy_does_not_renew_the_deadline),
        cmocka_unit_test(a_tunnel_waits_for_what_it_needs),
        cmocka_unit_test(a_poll_moves_a_bounded_number_of_bytes_through_the_tunnel),
        cmocka_unit_test(refusals_that_may_pass_are_tried_again_as_connection_errors),
        cmocka_unit_test(a_create_that_met_a_refusing_proxy_may_be_tried_again),
        cmocka_unit_test(entropy_that_fails_behind_the_tunnel_is_told),
        cmocka_unit_test(each_wrong_member_is_refused_by_name),
        cmocka_unit_test(good_proxies_are_taken),
        cmocka_unit_test(a_transport_that_provides_tls_cannot_use_it),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("tunnel", tests, NULL, release_roots);
}
