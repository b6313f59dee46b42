/* Build: clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_call.c -l:libbearssl.a

   A whole call over a scripted transport: short writes, pieces, AGAIN, CLOSED, FAILED, clock jumps, cancel. It must
   end, send a create at most once, tell no secret, leave the client usable, and leave nothing in its memory.
   Input: operation (byte % 3), options (bits), alignment and retry (bits), length of the script, the script with one
   byte for each transport call and poll, then the server's answers. Where the script has run out all goes well. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "fuzz.h"

#define TOKEN  "SECRET-TOKEN"
#define HEADER "SECRET-HEADER"
#define PLAIN  "SECRET-PLAIN"

#define GOOD_ITEM                                                                 \
    "{\"orgTokenId\":\"t\",\"orgId\":\"o\",\"name\":\"n\",\"status\":\"active\"," \
    "\"lastFourCharsOfKey\":\"abcd\",\"createdBy\":\"c\",\"createdAt\":\"2024-02-29T12:34:56.789Z\"}"
static const char good_answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    "\r\nb\r\n{\"tokens\":[\r\n8e\r\n" GOOD_ITEM "\r\n2\r\n]}\r\n0\r\n\r\n";

typedef struct world {
    const unsigned char *steps, *answer;
    size_t steps_left, answer_left;
    bool clean; /* no script any more: a good server */
    bool open, connected;
    unsigned opens, closes;
    uint64_t now_ms;
    int64_t unix_seconds;
    bool time_known, entropy_fails;
    /* the request stream of the connection */
    fuzz_text sent;
    size_t good_given;
    bool any_sent;     /* a byte of a request of this call was taken */
    unsigned begun;    /* requests of this call of which a byte was taken */
    bool in_request;   /* bytes of a request that is not yet whole were taken */
    size_t request_at; /* where in sent it begins */
    fuzz_text log;
} world;

static unsigned char script(world *w)
{
    if (w->clean || w->steps_left == 0) {
        return 0;
    }
    w->steps_left--;
    return *w->steps++;
}

/* Follows the stream of requests: how many were begun, and which are whole. */
static void follow(world *w)
{
    while (w->sent.len > w->request_at) {
        const char *begin = w->sent.text + w->request_at, *end = strstr(begin, "\r\n\r\n"), *length;
        size_t whole;
        if (!w->in_request) {
            w->in_request = true;
            w->begun++;
        }
        if (!end) {
            return;
        }
        length = strstr(begin, "Content-Length: ");
        whole = (size_t)(end + 4 - begin) + (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
        if (w->sent.len - w->request_at < whole) {
            return;
        }
        w->request_at += whole;
        w->in_request = false;
    }
}

static htok_io fuzz_open(void *context, const char *host, uint16_t port, htok_io_detail *detail)
{
    world *w = (world *)context;
    unsigned char s = script(w);
    FUZZ_CHECK(!w->open, "opened while open");
    FUZZ_CHECK(strcmp(host, "api.test") == 0 && port == 443, "address");
    w->open = true;
    w->connected = false;
    w->opens++;
    w->in_request = false;
    w->sent.len = w->request_at = w->good_given = 0;
    detail->os_error = s % 16 == 15 ? 24 : 0;
    return s % 16 == 15 ? HTOK_IO_FAILED : s % 2 ? HTOK_IO_AGAIN : HTOK_IO_OK;
}

static htok_io fuzz_connect(void *context, uint64_t now_ms, htok_io_detail *detail)
{
    world *w = (world *)context;
    unsigned char s = script(w);
    (void)now_ms;
    FUZZ_CHECK(w->open, "used while closed");
    detail->os_error = 111;
    detail->phase = s & 16 ? HTOK_PHASE_LOOKUP : HTOK_PHASE_CONNECT;
    w->connected = s % 8 < 5;
    return s % 8 < 5 ? HTOK_IO_OK : s % 8 == 5 ? HTOK_IO_AGAIN : s % 8 == 6 ? HTOK_IO_CLOSED : HTOK_IO_FAILED;
}

static htok_io fuzz_send(void *context, const void *bytes, size_t len, htok_io_detail *detail)
{
    world *w = (world *)context;
    unsigned char s = script(w);
    FUZZ_CHECK(w->open && w->connected, "used while closed");
    FUZZ_CHECK(len != 0, "an empty send");
    switch (s % 8) {
    case 1: len = 1; break;
    case 2: len = len < (size_t)(s >> 3) + 1 ? len : (size_t)(s >> 3) + 1; break;
    case 3:
    case 4: return HTOK_IO_AGAIN;
    case 5: return HTOK_IO_CLOSED;
    case 6:
        detail->os_error = 32;
        detail->moved = len; /* counts with OK only */
        return HTOK_IO_FAILED;
    default: break;
    }
    fuzz_add(&w->sent, (const char *)bytes, len);
    detail->moved = len;
    w->any_sent = true;
    follow(w);
    return HTOK_IO_OK;
}

/* The good server answers each request that is whole. */
static size_t good_bytes(world *w, char *to, size_t size)
{
    size_t n = sizeof good_answer - 1 - w->good_given;
    if (w->sent.len == 0 || w->request_at != w->sent.len) {
        return 0;
    }
    n = n < size ? n : size;
    memcpy(to, good_answer + w->good_given, n);
    w->good_given += n;
    return n;
}

static htok_io fuzz_receive(void *context, void *bytes, size_t size, htok_io_detail *detail)
{
    world *w = (world *)context;
    unsigned char s = script(w);
    size_t n = w->answer_left;
    FUZZ_CHECK(w->open && w->connected, "used while closed");
    FUZZ_CHECK(size != 0, "an empty receive");
    if (w->clean) {
        detail->moved = good_bytes(w, (char *)bytes, size);
        return detail->moved ? HTOK_IO_OK : HTOK_IO_AGAIN;
    }
    n = n < size ? n : size;
    switch (s % 8) {
    case 1: n = n ? 1 : 0; break;
    case 2: n = n < (size_t)(s >> 3) + 1 ? n : (size_t)(s >> 3) + 1; break;
    case 3:
    case 4: return HTOK_IO_AGAIN;
    case 5: return HTOK_IO_CLOSED;
    case 6:
        detail->os_error = 104;
        detail->moved = size;
        return HTOK_IO_FAILED;
    default: break;
    }
    if (n == 0) {
        return HTOK_IO_CLOSED;
    }
    memcpy(bytes, w->answer, n);
    w->answer += n;
    w->answer_left -= n;
    detail->moved = n;
    return HTOK_IO_OK;
}

static void fuzz_close(void *context)
{
    world *w = (world *)context;
    FUZZ_CHECK(w->open, "closed twice");
    w->open = w->connected = false;
    w->closes++;
}

static uint64_t fuzz_monotonic_ms(void *context)
{
    return ((world *)context)->now_ms;
}

static bool fuzz_unix_seconds(void *context, int64_t *seconds)
{
    *seconds = ((world *)context)->unix_seconds;
    return ((world *)context)->time_known;
}

static bool fuzz_fill(void *context, void *bytes, size_t len)
{
    memset(bytes, 0x5a, len);
    return !((world *)context)->entropy_fails;
}

static void fuzz_line(void *context, const char *text)
{
    world *w = (world *)context;
    fuzz_add(&w->log, text, strlen(text));
    fuzz_add(&w->log, "\n", 1);
}

static bool fuzz_token(void *context, htok_view *token)
{
    *token = htoki_view(TOKEN, sizeof TOKEN - 1);
    return !((world *)context)->entropy_fails;
}

static void set_options(world *w, const unsigned char *control, htok_client_options *o, htok_transport *t,
                        htok_clock *clock, htok_entropy *entropy, htok_logger *logger)
{
    static const htok_header header = {"X-Key", HEADER};
    memset(o, 0, sizeof *o);
    memset(t, 0, sizeof *t);
    t->provides_tls = true;
    t->context = clock->context = entropy->context = logger->context = w;
    t->open = fuzz_open;
    t->connect = fuzz_connect;
    t->send = fuzz_send;
    t->receive = fuzz_receive;
    t->close = fuzz_close;
    clock->monotonic_ms = fuzz_monotonic_ms;
    clock->unix_seconds = fuzz_unix_seconds;
    entropy->fill = fuzz_fill;
    logger->line = fuzz_line;
    o->server_url = "https://api.test/x";
    o->org_id = "org-1";
    o->token = control[1] & 1 ? NULL : "bearer " TOKEN;
    o->token_provider = control[1] & 1 ? fuzz_token : NULL;
    o->token_context = w;
    o->headers = &header;
    o->header_count = 1;
    o->transport = t;
    o->clock = clock;
    o->entropy = entropy;
    o->logger = logger;
    o->timeout_ms = control[1] & 2 ? 3000 : 0;
    o->connect_timeout_ms = control[1] & 4 ? 50 : 0;
    o->work_bytes = HTOKI_WORK_BYTES_MIN;
    o->record_bytes = o->send_bytes = 512;
    o->max_body_bytes = control[1] & 8 ? 400 : 0;
    o->max_head_bytes = control[1] & 16 ? 150 : 0;
    o->max_error_body_bytes = control[1] & 32 ? 20 : 0;
    o->retry.strategy = control[2] & 1 ? HTOK_RETRY_BACKOFF : HTOK_RETRY_NONE;
    o->retry.retry_connection_errors = (control[2] & 2) != 0;
    o->retry.max_elapsed_ms = 6000;
    o->retry.codes = control[2] & 4 ? "4XX,5XX" : NULL;
    w->time_known = (control[1] & 64) == 0;
    w->entropy_fails = (control[1] & 128) != 0;
}

static htok_kind start(htok_client *c, int operation, const htok_create_org_token_request *create)
{
    return operation == 0   ? htok_get_org_tokens_start(c, NULL)
           : operation == 1 ? htok_create_org_token_start(c, create, NULL)
                            : htok_revoke_org_token_start(c, "org-token/1", NULL);
}

/* What happens between two polls: time passes as asked, a jump, a cancel. */
static void between(world *w, htok_client *c, htok_state state, bool *cancelled)
{
    static const uint32_t jumps[4] = {1, 20000, 3600000, 0xfffffff0u};
    htok_wait wait = htok_client_wait(c);
    unsigned char s = script(w);
    FUZZ_CHECK(wait.descriptor == -1, "a descriptor from nowhere");
    if (state == HTOK_STATE_PENDING && wait.timeout_ms != 0) {
        FUZZ_CHECK(wait.timeout_ms != UINT32_MAX, "waits for ever");
        w->now_ms += wait.timeout_ms;
    }
    if (s % 32 == 7) {
        htok_client_cancel(c);
        *cancelled = true;
    } else if (s % 32 == 11) {
        w->now_ms += jumps[s >> 6];
    } else if (s % 32 == 13) {
        w->now_ms -= jumps[s >> 6] % 100000;
    } else if (s % 32 == 17) {
        w->unix_seconds = s & 64 ? 0 : 4102444800;
        w->time_known = s < 128;
    }
}

static bool has_secret(const void *memory, size_t bytes)
{
    return fuzz_contains(memory, bytes, TOKEN) || fuzz_contains(memory, bytes, HEADER);
}

static void check_error(const world *w, htok_client *c, int operation, bool cancelled)
{
    const htok_error *e = htok_client_error(c);
    char line[1024];
    FUZZ_CHECK(e->kind != HTOK_OK && e->kind != HTOK_INVALID_REQUEST_ERROR, "kind of a failed call");
    FUZZ_CHECK(!cancelled || e->kind == HTOK_REQUEST_ABORTED_ERROR, "kind of a cancelled call");
    htok_error_format(e, line, sizeof line);
    FUZZ_CHECK(!has_secret(line, strlen(line)) && !has_secret(e, sizeof *e), "a secret in the error");
    FUZZ_CHECK(!has_secret(e->body.ptr, e->body.len) && !has_secret(e->message.ptr, e->message.len),
               "a secret");
    FUZZ_CHECK(operation != 1 || e->body.ptr == NULL, "the body of a create in the error");
    FUZZ_CHECK(htok_client_created(c) == NULL && !htok_client_revoked(c) && htok_client_item(c) == NULL,
               "a result");
    FUZZ_CHECK(e->attempts >= w->opens || !(w->opens > 1), "attempts");
    if (operation == 0) {
        FUZZ_CHECK(!e->may_have_taken_effect, "a list changes nothing");
    } else if (w->any_sent && (e->status < 300 || e->status >= 500)) {
        FUZZ_CHECK(e->may_have_taken_effect, "a change may have been made");
    }
}

/* One call to its end. */
static void call(world *w, htok_client *c, int operation)
{
    htok_create_org_token_request create;
    htok_state state;
    unsigned polls = 0;
    bool cancelled = false;
    memset(&create, 0, sizeof create);
    create.name = "name \"1\"";
    w->any_sent = false;
    w->begun = 0;
    w->opens = 0;
    FUZZ_CHECK(start(c, operation, &create) == HTOK_OK, "start");
    do {
        state = htok_client_poll(c);
        FUZZ_CHECK(state == HTOK_STATE_ITEM ? operation == 0 && htok_client_item(c) : !htok_client_item(c),
                   "item");
        if (state == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM) {
            between(w, c, state, &cancelled);
        }
        FUZZ_CHECK(++polls < 100000, "the call does not end");
    } while (state == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM);
    FUZZ_CHECK(state == HTOK_STATE_DONE || state == HTOK_STATE_FAILED, "state at the end");
    FUZZ_CHECK(htok_client_poll(c) == state && htok_client_wait(c).timeout_ms == 0, "the verdict repeated");
    FUZZ_CHECK(operation != 1 || w->begun <= 1, "a create was sent twice");
    if (state == HTOK_STATE_FAILED) {
        check_error(w, c, operation, cancelled);
    } else {
        FUZZ_CHECK(!cancelled && htok_client_error(c)->kind == HTOK_OK, "verdict and error");
        FUZZ_CHECK((htok_client_created(c) != NULL) == (operation == 1), "the result of a create");
    }
}

static void check_good_call(world *w, htok_client *c)
{
    htok_state state;
    unsigned items = 0, polls = 0;
    w->clean = true;
    w->entropy_fails = false;
    FUZZ_CHECK(htok_get_org_tokens_start(c, NULL) == HTOK_OK, "start after a call");
    while ((state = htok_client_poll(c)) == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM) {
        items += state == HTOK_STATE_ITEM;
        FUZZ_CHECK(++polls < 100, "a good call does not end");
    }
    FUZZ_CHECK(state == HTOK_STATE_DONE && items == 1, "a good call after another");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const unsigned char zeros[64 * 1024];
    world w;
    htok_client_options options;
    htok_transport transport;
    htok_clock clock;
    htok_entropy entropy;
    htok_logger logger;
    htok_client *client;
    htok_error e;
    unsigned char *block;
    size_t bytes, shift;
    int operation;
    if (size < 4) {
        return 0;
    }
    memset(&w, 0, sizeof w);
    w.steps = data + 4;
    w.steps_left = data[3] < size - 4 ? data[3] : size - 4;
    w.answer = w.steps + w.steps_left;
    w.answer_left = size - 4 - w.steps_left;
    w.now_ms = 1000000;
    w.unix_seconds = 1700000000;
    operation = data[0] % 3;
    set_options(&w, data, &options, &transport, &clock, &entropy, &logger);
    shift = data[2] >> 4;
    bytes = htok_client_bytes(&options) + shift;
    block = (unsigned char *)calloc(1, bytes);
    FUZZ_CHECK(block && htok_client_init(&client, block + shift, bytes - shift, &options, &e) == HTOK_OK,
               "init");
    call(&w, client, operation);
    if (operation == 1) {
        htok_client_wipe(client);
        /* What stands in the body of another answer is no created token. */
        FUZZ_CHECK(!client->op.wanted || !fuzz_contains(block, bytes, PLAIN),
                   "a created token left in memory");
    }
    check_good_call(&w, client);
    htok_client_close(client);
    FUZZ_CHECK(!w.open, "a connection left open");
    FUZZ_CHECK(bytes <= sizeof zeros && memcmp(block, zeros, bytes) == 0, "memory that was not wiped");
    FUZZ_CHECK(!has_secret(w.log.text, w.log.len) && !fuzz_contains(w.log.text, w.log.len, PLAIN),
               "a secret logged");
    free(block);
    free(w.sent.text);
    free(w.log.text);
    return 0;
}
