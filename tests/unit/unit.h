/* What the unit tests share: checks that name their case, exact copies, and hooks that are scripted: a transport, a
   clock, entropy, an allocator, a logger. Include it after hathora_tokens.h with its implementation. */
#ifndef UNIT_H
#define UNIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "framework.h"

/* What a build without sockets lacks: the blocking calls, a client without a transport of its own, and the names of the
   system's errors. UNIT_SMALL_MEMORY leaves out what takes 16 MB. Of very many cases alike each UNIT_EVERYth is tried,
   where it goes slowly. */
#ifndef UNIT_EVERY
#define UNIT_EVERY 1
#endif
#ifndef HATHORA_TOKENS_NO_SOCKETS
#define UNIT_BLOCKING
#endif

/* Windows has a store of trusted certificates, so a client that is given none is not refused. */
#ifdef _WIN32
#define UNIT_ROOT_STORE 1
#else
#define UNIT_ROOT_STORE 0
#endif

#define UNIT_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Checks. The label says which row of a table failed. ---- */

#define check(condition, ...)                \
    do {                                     \
        if (!(condition)) {                  \
            print_error("%s: ", #condition); \
            fail_msg(__VA_ARGS__);           \
        }                                    \
    } while (0)

static inline void check_number_at(long long got, long long wanted, const char *label, const char *file,
                                   int line)
{
    if (got != wanted) {
        print_error("%s: got %lld, not %lld\n", label, got, wanted);
        _fail(file, line);
    }
}
#define check_number(got, wanted, label) \
    check_number_at((long long)(got), (long long)(wanted), label, __FILE__, __LINE__)

static inline void check_bytes_at(const char *got, size_t got_len, const char *wanted, size_t wanted_len,
                                  const char *label, const char *file, int line)
{
    if (got_len != wanted_len || (got_len != 0 && memcmp(got, wanted, got_len) != 0)) {
        print_error("%s: got %d bytes \"%.*s\", not %d bytes \"%.*s\"\n", label, (int)got_len, (int)got_len,
                    got_len ? got : "", (int)wanted_len, (int)wanted_len, wanted);
        _fail(file, line);
    }
}
#define check_text(got, wanted, label) \
    check_bytes_at(got, strlen(got), wanted, strlen(wanted), label, __FILE__, __LINE__)
#define check_view(got, wanted, label) \
    check_bytes_at((got).ptr, (got).len, wanted, strlen(wanted), label, __FILE__, __LINE__)

/* ---- Bytes. ---- */

static inline htok_view unit_view(const char *text)
{
    return htoki_view(text, strlen(text));
}

/* A copy whose block ends with its last byte, so that the address sanitizer sees an over-read. Free it. */
static inline char *unit_exact(const char *bytes, size_t len)
{
    char *copy = (char *)malloc(len ? len : 1);
    assert_non_null(copy);
    if (len != 0) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

static inline bool unit_contains(const void *memory, size_t bytes, const char *text)
{
    size_t len = strlen(text), at;
    for (at = 0; at + len <= bytes; at++) {
        if (memcmp((const char *)memory + at, text, len) == 0) {
            return true;
        }
    }
    return false;
}

static inline void unit_error_begin(htok_error *e)
{
    htoki_error_clear(e);
}

/* A growing text. Zero it first; free(text). */
typedef struct unit_text {
    char *text;
    size_t len, size;
} unit_text;

static inline void unit_add(unit_text *t, const char *bytes, size_t len)
{
    if (t->len + len + 1 > t->size) {
        t->size = (t->len + len + 1) * 2;
        t->text = (char *)realloc(t->text, t->size);
        assert_non_null(t->text);
    }
    if (len != 0) {
        memcpy(t->text + t->len, bytes, len);
    }
    t->len += len;
    t->text[t->len] = '\0';
}

static inline void unit_add_text(unit_text *t, const char *text)
{
    unit_add(t, text, strlen(text));
}

/* ---- A server's answers. ---- */

#define UNIT_TOKEN_ALONE(id)                                                                \
    "{\"orgTokenId\":\"" id "\",\"orgId\":\"org-1\",\"name\":\"ci\",\"status\":\"active\"," \
    "\"lastFourCharsOfKey\":\"abcd\",\"createdBy\":\"dev@example.com\","                    \
    "\"createdAt\":\"2024-02-29T12:34:56.789Z\"}"
#define UNIT_TOKEN UNIT_TOKEN_ALONE("org-token-1")

/* A whole answer with Content-Length. */
static inline void unit_answer(unit_text *t, const char *status, const char *fields, const char *body)
{
    char length[48];
    snprintf(length, sizeof length, "Content-Length: %lu\r\n\r\n", (unsigned long)strlen(body));
    unit_add_text(t, "HTTP/1.1 ");
    unit_add_text(t, status);
    unit_add_text(t, "\r\n");
    unit_add_text(t, fields);
    unit_add_text(t, length);
    unit_add_text(t, body);
}

#define UNIT_JSON "Content-Type: application/json\r\n"

/* ---- Clock, entropy, allocator, logger. ---- */

typedef struct unit_clock {
    uint64_t now_ms;
    int64_t unix_seconds;
    bool unknown;
} unit_clock;

static inline uint64_t unit_monotonic_ms(void *context)
{
    return ((unit_clock *)context)->now_ms;
}

static inline bool unit_unix_seconds(void *context, int64_t *seconds)
{
    *seconds = ((unit_clock *)context)->unix_seconds;
    return !((unit_clock *)context)->unknown;
}

typedef struct unit_entropy {
    unsigned char byte; /* what every byte becomes */
    bool fails;
    unsigned calls;
} unit_entropy;

static inline bool unit_fill(void *context, void *bytes, size_t len)
{
    unit_entropy *e = (unit_entropy *)context;
    e->calls++;
    memset(bytes, e->byte, len);
    return !e->fails;
}

typedef struct unit_memory {
    unsigned taken, released, fail_at; /* the allocation with this number fails, counted from 1 */
    size_t bytes_out;
    bool dirty; /* a block was released with a byte of the canary in it */
    const char *canary;
} unit_memory;

static inline void *unit_allocate(void *context, size_t bytes)
{
    unit_memory *m = (unit_memory *)context;
    void *block;
    if (++m->taken == m->fail_at) {
        return NULL;
    }
    block = malloc(bytes);
    assert_non_null(block);
    memset(block, 0xa5, bytes);
    m->bytes_out += bytes;
    return block;
}

static inline void unit_release(void *context, void *memory, size_t bytes)
{
    unit_memory *m = (unit_memory *)context;
    m->released++;
    m->bytes_out -= bytes;
    m->dirty = m->dirty || (m->canary && unit_contains(memory, bytes, m->canary));
    free(memory);
}

static inline void unit_log_line(void *context, const char *text)
{
    unit_add_text((unit_text *)context, text);
    unit_add_text((unit_text *)context, "\n");
}

/* ---- Transport. ---- */

enum { UNIT_WIRES = 8, UNIT_REPLIES = 8 };

/* What happens on one connection. All zero: it connects at once, takes everything and never answers. */
typedef struct unit_wire {
    bool open_fails;
    unsigned connect_agains; /* this often AGAIN, then OK, or FAILED with connect_error */
    int connect_error;
    bool looks_up;                /* the above is the look-up's, and connecting is not reached */
    size_t send_most;             /* bytes that one send takes; 0: all */
    bool send_stalls, send_fails; /* once send_limit bytes were taken in all */
    size_t send_limit;
    const char *replies[UNIT_REPLIES]; /* each readable once as many requests were sent whole */
    bool replies_early;                /* readable from the beginning */
    size_t reply_limit;                /* bytes of replies that come before the end below; 0: all */
    size_t receive_most;               /* bytes that one receive gives; 0: all */
    bool receive_agains;               /* every other receive says AGAIN */
    htok_io end;                       /* after the replies: AGAIN, CLOSED or FAILED */
    size_t end_requests;               /* the end comes only once as many requests were sent whole */
    /* what was seen */
    char host[256];
    uint16_t port;
    unit_text sent;
    unsigned opens, closes, sends, receives;
    size_t given; /* bytes of the replies */
} unit_wire;

typedef struct unit_net {
    unit_wire wires[UNIT_WIRES];
    size_t count; /* connections opened */
    bool is_open;
} unit_net;

/* Requests that stand whole in the text. */
static inline size_t unit_requests(const unit_text *sent)
{
    size_t count = 0, at = 0;
    while (at < sent->len) {
        const char *begin = sent->text + at, *end = strstr(begin, "\r\n\r\n");
        const char *length = end ? strstr(begin, "Content-Length: ") : NULL;
        if (!end) {
            return count;
        }
        at = (size_t)(end - sent->text) + 4;
        if (length && length < end) {
            at += strtoul(length + 16, NULL, 10);
        }
        count += at <= sent->len;
    }
    return count;
}

static inline unit_wire *unit_wire_at_hand(void *context)
{
    unit_net *net = (unit_net *)context;
    check(net->is_open && net->count != 0, "the transport was used while closed");
    return &net->wires[net->count - 1];
}

static inline htok_io unit_open(void *context, const char *host, uint16_t port, htok_io_detail *detail)
{
    unit_net *net = (unit_net *)context;
    unit_wire *wire;
    check(!net->is_open && net->count < UNIT_WIRES, "opened while open, or too often");
    wire = &net->wires[net->count++];
    net->is_open = true;
    wire->opens++;
    snprintf(wire->host, sizeof wire->host, "%s", host);
    wire->port = port;
    detail->os_error = wire->open_fails ? 24 : 0;
    return wire->open_fails ? HTOK_IO_FAILED : HTOK_IO_AGAIN;
}

static inline htok_io unit_connect(void *context, uint64_t now_ms, htok_io_detail *detail)
{
    unit_wire *wire = unit_wire_at_hand(context);
    (void)now_ms;
    detail->phase = wire->looks_up ? HTOK_PHASE_LOOKUP : HTOK_PHASE_CONNECT;
    if (wire->connect_agains != 0) {
        wire->connect_agains--;
        return HTOK_IO_AGAIN;
    }
    detail->os_error = wire->connect_error;
    return wire->connect_error ? HTOK_IO_FAILED : HTOK_IO_OK;
}

static inline htok_io unit_send(void *context, const void *bytes, size_t len, htok_io_detail *detail)
{
    unit_wire *wire = unit_wire_at_hand(context);
    wire->sends++;
    if ((wire->send_stalls || wire->send_fails) && len > wire->send_limit - wire->sent.len) {
        len = wire->send_limit - wire->sent.len;
        if (len == 0) {
            detail->os_error = wire->send_fails ? 32 : 0;
            return wire->send_fails ? HTOK_IO_FAILED : HTOK_IO_AGAIN;
        }
    }
    if (wire->send_most != 0 && len > wire->send_most) {
        len = wire->send_most;
    }
    unit_add(&wire->sent, (const char *)bytes, len);
    detail->moved = len;
    return HTOK_IO_OK;
}

static inline htok_io unit_receive(void *context, void *bytes, size_t size, htok_io_detail *detail)
{
    unit_wire *wire = unit_wire_at_hand(context);
    size_t sent = unit_requests(&wire->sent), i, begin = 0, ready = 0;
    size_t all = 0;
    htok_io io = HTOK_IO_AGAIN;
    wire->receives++;
    if (wire->receive_agains && wire->receives % 2 == 0) {
        return HTOK_IO_AGAIN;
    }
    for (i = 0; i < UNIT_REPLIES && wire->replies[i]; i++) {
        size_t len = strlen(wire->replies[i]);
        all += len;
        ready += wire->replies_early || i < sent ? len : 0;
    }
    if (wire->reply_limit != 0 && ready >= wire->reply_limit) {
        ready = all = wire->reply_limit;
    }
    for (i = 0; wire->given < ready && i < UNIT_REPLIES && wire->replies[i]; i++) {
        size_t len = strlen(wire->replies[i]);
        if (wire->given < begin + len) {
            size_t n = begin + len - wire->given;
            n = n > ready - wire->given ? ready - wire->given : n;
            n = n > size ? size : n;
            n = wire->receive_most != 0 && n > wire->receive_most ? wire->receive_most : n;
            memcpy(bytes, wire->replies[i] + (wire->given - begin), n);
            wire->given += n;
            detail->moved = n;
            return HTOK_IO_OK;
        }
        begin += len;
    }
    io = wire->given == all && sent >= wire->end_requests ? wire->end : HTOK_IO_AGAIN;
    detail->os_error = io == HTOK_IO_FAILED ? 104 : 0;
    return io;
}

static inline void unit_close(void *context)
{
    unit_wire *wire = unit_wire_at_hand(context);
    wire->closes++;
    ((unit_net *)context)->is_open = false;
}

enum { UNIT_DESCRIPTOR = 77 };

static inline void unit_wait(void *context, htok_wait *wait)
{
    (void)unit_wire_at_hand(context);
    wait->descriptor = UNIT_DESCRIPTOR;
}

/* ---- A client on these hooks. ---- */

typedef struct unit_world {
    unit_net net;
    unit_clock clock_state;
    unit_entropy entropy_state;
    unit_memory memory_state;
    unit_text log;
    htok_transport transport;
    htok_clock clock;
    htok_entropy entropy;
    htok_allocator allocator;
    htok_logger logger;
    htok_client_options options;
    htok_client *client;
    unit_text items;    /* the JSON of each OrgToken that was handed out, a line each */
    uint64_t waited_ms; /* by the fake clock, in unit_finish() */
    uint32_t slice_ms;  /* most that one wait takes; 0: all */
    unsigned polls;
} unit_world;

#define UNIT_SECRET "dev-token-CANARY-1"

static inline void unit_begin(unit_world *w)
{
    memset(w, 0, sizeof *w);
    w->clock_state.now_ms = 1000000;
    w->clock_state.unix_seconds = 1700000000;
    w->transport.provides_tls = true;
    w->transport.context = &w->net;
    w->transport.open = unit_open;
    w->transport.connect = unit_connect;
    w->transport.send = unit_send;
    w->transport.receive = unit_receive;
    w->transport.close = unit_close;
    w->transport.wait = unit_wait;
    w->clock.context = &w->clock_state;
    w->clock.monotonic_ms = unit_monotonic_ms;
    w->clock.unix_seconds = unit_unix_seconds;
    w->entropy.context = &w->entropy_state;
    w->entropy.fill = unit_fill;
    w->allocator.context = &w->memory_state;
    w->allocator.allocate = unit_allocate;
    w->allocator.release = unit_release;
    w->logger.context = &w->log;
    w->logger.line = unit_log_line;
    w->options.transport = &w->transport;
    w->options.clock = &w->clock;
    w->options.entropy = &w->entropy;
    w->options.allocator = &w->allocator;
    w->options.logger = &w->logger;
    w->options.org_id = "org-1";
    w->options.token = UNIT_SECRET;
}

static inline void unit_create(unit_world *w)
{
    htok_error e;
    htok_kind kind = htok_client_create(&w->client, &w->options, &e);
    check(kind == HTOK_OK, "%s %s", htok_reason_name(e.reason), e.path);
}

/* Polls until the call has ended; the fake clock moves on by what the client waits for. */
static inline htok_state unit_finish(unit_world *w)
{
    unsigned limit = w->polls + 3000000;
    for (;;) {
        htok_state state = htok_client_poll(w->client);
        htok_wait wait;
        check(w->polls++ < limit, "the call does not end");
        if (state == HTOK_STATE_ITEM) {
            char line[2048];
            size_t len = htok_org_token_json(htok_client_item(w->client), line, sizeof line);
            assert_true(len < sizeof line);
            unit_add_text(&w->items, line);
            unit_add_text(&w->items, "\n");
        } else if (state != HTOK_STATE_PENDING) {
            return state;
        }
        wait = htok_client_wait(w->client);
        if (wait.timeout_ms != 0 && state == HTOK_STATE_PENDING) {
            uint32_t ms = w->slice_ms != 0 && w->slice_ms < wait.timeout_ms ? w->slice_ms : wait.timeout_ms;
            check(wait.timeout_ms != UINT32_MAX, "the client waits for ever");
            w->clock_state.now_ms += ms;
            w->waited_ms += ms;
        }
    }
}

/* Closes the client; everything must be closed and released. */
static inline void unit_end(unit_world *w)
{
    size_t i;
    htok_client_close(w->client);
    check_number(w->memory_state.bytes_out, 0, "bytes not released");
    check(!w->net.is_open, "a connection is left open");
    for (i = 0; i < UNIT_WIRES; i++) {
        check_number(w->net.wires[i].closes, w->net.wires[i].opens, "closes of a connection");
        free(w->net.wires[i].sent.text);
    }
    check(w->log.len == 0 || !strstr(w->log.text, "CANARY"), "a secret was logged: %s", w->log.text);
    free(w->log.text);
    free(w->items.text);
}

/* The tests whose names match the first argument, a pattern, or all. */
static inline void unit_filter(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
}

#endif
