/* Build: clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_tunnel.c -l:libbearssl.a

   A proxy's answer to CONNECT, read whole and in pieces: the same verdict, a tunnel only where a whole head of 2xx stands,
   and never a word of the credentials in the error.
   Input: limits and credentials (bits), whether the request is unsent (bit 0), seed of the pieces, then the answer. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "fuzz.h"

#define USER     "SECRET-USER"
#define PASSWORD "SECRET-PASSWORD"
#define BASIC    "U0VDUkVULVVTRVI6U0VDUkVULVBBU1NXT1JE"
#define BEHIND   "bytes that nobody asked for"

typedef struct outcome {
    htoki_tunnel_event event;
    htok_error error;
    size_t used; /* bytes of the answer that were given */
} outcome;

static void run(const unsigned char *control, const char *answer, size_t len, fuzz_random *random, outcome *o)
{
    htoki_url url;
    htok_proxy proxy;
    htoki_http_limits limits;
    htoki_tunnel t;
    char request[512];
    size_t sent = 0, n;
    memset(o, 0, sizeof *o);
    memset(&proxy, 0, sizeof proxy);
    htoki_error_clear(&o->error);
    FUZZ_CHECK(htoki_url_parse(htoki_text("https://api.test:8443"), &url, &o->error), "the target's own URL");
    proxy.user = control[0] & 1 ? USER : NULL;
    proxy.password = control[0] & 1 ? PASSWORD : NULL;
    limits.head_bytes = control[0] & 2 ? 100 : 65536;
    limits.fields = control[0] & 4 ? 2 : 100;
    limits.interim = control[0] & 8 ? 0 : 16;
    limits.body_bytes = 65536;
    htoki_tunnel_begin(&t, &url, &proxy, htoki_text("agent"), &limits);
    while ((n = htoki_tunnel_output(&t, request + sent, 1 + (random ? fuzz_below(random, 30) : 400))) != 0) {
        sent += n;
        FUZZ_CHECK(sent < sizeof request, "a request without an end");
    }
    request[sent] = '\0';
    FUZZ_CHECK(strstr(request, "CONNECT api.test:8443 HTTP/1.1\r\nHost: api.test:8443\r\n") == request &&
                   memcmp(request + sent - 4, "\r\n\r\n", 4) == 0 &&
                   (strstr(request, BASIC) != NULL) == (control[0] & 1),
               "request");
    while (o->used < len && o->event == HTOKI_TUNNEL_MORE) {
        size_t piece = random ? 1 + fuzz_below(random, 20) : len;
        char *copy;
        piece = piece < len - o->used ? piece : len - o->used;
        copy = fuzz_exact(answer + o->used, piece);
        o->event = htoki_tunnel_input(&t, copy, piece, control[1] & 1, &o->error);
        o->used += piece;
        free(copy);
    }
    if (o->event == HTOKI_TUNNEL_MORE) {
        o->event = htoki_tunnel_eof(&t, &o->error);
    }
}

/* Whether the bytes up to here are a whole head, or several of them. */
static bool ends_a_head(const char *answer, size_t used)
{
    return used >= 4 && fuzz_contains(answer, used, "\r\n\r\n");
}

static void check_outcome(const unsigned char *control, const char *answer, size_t len, const outcome *o)
{
    const htok_error *e = &o->error;
    char line[512];
    FUZZ_CHECK((o->event == HTOKI_TUNNEL_OPEN) == (e->kind == HTOK_OK), "verdict and kind");
    if (o->event == HTOKI_TUNNEL_OPEN) {
        FUZZ_CHECK(ends_a_head(answer, o->used) && !(control[1] & 1), "a tunnel out of nothing");
        FUZZ_CHECK(fuzz_contains(answer, o->used, "HTTP/1.") && fuzz_contains(answer, o->used, " 2"),
                   "status");
        return;
    }
    FUZZ_CHECK(e->kind == HTOK_CONNECTION_ERROR && e->phase == HTOK_PHASE_PROXY && e->status == 0, "record");
    FUZZ_CHECK(e->reason == HTOK_REASON_PROXY_AUTHENTICATION || e->reason == HTOK_REASON_PROXY_REFUSED ||
                   e->reason == HTOK_REASON_PROXY_ANSWER || e->reason == HTOK_REASON_PROXY_CLOSED,
               "reason");
    FUZZ_CHECK(e->proxy_status >= 0 && e->proxy_status <= 999, "the proxy's status");
    FUZZ_CHECK(e->offset >= -1 && e->offset <= (int64_t)len, "offset lies outside");
    htok_error_format(e, line, sizeof line);
    FUZZ_CHECK(!strstr(line, "SECRET") && !strstr(line, BASIC) && !fuzz_contains(e, sizeof *e, "SECRET"),
               "a secret");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    outcome whole, split;
    fuzz_random random;
    const char *answer = (const char *)data + 3;
    if (size < 3) {
        return 0;
    }
    random = fuzz_seed(data[2]);
    run(data, answer, size - 3, NULL, &whole);
    run(data, answer, size - 3, &random, &split);
    check_outcome(data, answer, size - 3, &whole);
    check_outcome(data, answer, size - 3, &split);
    /* What stands behind the head is told only where it comes with it. */
    if (whole.event == HTOKI_TUNNEL_FAILED && strstr(whole.error.detail, BEHIND)) {
        FUZZ_CHECK(split.event == HTOKI_TUNNEL_OPEN || strstr(split.error.detail, BEHIND),
                   "bytes behind the head");
        return 0;
    }
    FUZZ_CHECK(whole.event == split.event && whole.error.reason == split.error.reason, "verdict");
    FUZZ_CHECK(whole.error.proxy_status == split.error.proxy_status, "the proxy's status");
    FUZZ_CHECK(whole.error.offset == split.error.offset, "offset");
    FUZZ_CHECK(strcmp(whole.error.detail, split.error.detail) == 0, "detail");
    return 0;
}
