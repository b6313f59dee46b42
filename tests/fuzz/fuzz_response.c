/* Build: clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_response.c -l:libbearssl.a

   One answer for one operation, read whole and in pieces: verdict, reason, offset and items must be the same.
   Input: operation (byte % 3: list, create, revoke), sizes and limits (bits), end of stream (bit 0: clean),
   seed of the pieces, then the answer. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "fuzz.h"

#define TOKEN  "SECRET-TOKEN"
#define HEADER "SECRET-HEADER"

typedef struct outcome {
    htoki_op_event event;
    htok_error error;
    fuzz_text items, message, body, created;
    uint64_t item_count, consumed, body_received;
    int64_t retry_after_ms;
    char boolean;
    bool keeps, may_have, finished_early;
} outcome;

static const htok_header headers[1] = {{"X-Key", HEADER}};

static void set_request(htoki_request *request, htoki_url *url, htok_create_org_token_request *create,
                        int operation)
{
    htok_error e;
    memset(request, 0, sizeof *request);
    memset(create, 0, sizeof *create);
    htoki_error_clear(&e);
    FUZZ_CHECK(htoki_url_parse(htoki_text("https://api.test/base"), url, &e), "the target's own URL");
    create->name = "name";
    request->operation = operation == 0   ? HTOKI_GET_ORG_TOKENS
                         : operation == 1 ? HTOKI_CREATE_ORG_TOKEN
                                          : HTOKI_REVOKE_ORG_TOKEN;
    request->url = url;
    request->org_id = htoki_text("org");
    request->org_token_id = htoki_text("token");
    request->user_agent = htoki_text("agent");
    request->token = htoki_text("Bearer " TOKEN);
    request->create = request->operation == HTOKI_CREATE_ORG_TOKEN ? create : NULL;
    request->client.list = headers;
    request->client.count = 1;
}

/* Each view lies in the work buffer with a NUL behind it. */
static void check_view(const htoki_op *op, htok_view v)
{
    FUZZ_CHECK(v.ptr >= op->work && v.ptr + v.len < op->work + op->work_bytes,
               "a view leaves the work buffer");
    FUZZ_CHECK(v.ptr[v.len] == '\0', "no NUL behind a text");
}

static void take_token(const htoki_op *op, const htok_org_token *t, fuzz_text *out)
{
    size_t len = htok_org_token_json(t, NULL, 0), used, i;
    char *json = (char *)malloc(len + 1);
    htoki_scan scan;
    FUZZ_CHECK(json != NULL, "memory");
    check_view(op, t->org_token_id);
    check_view(op, t->org_id);
    check_view(op, t->name);
    check_view(op, t->status_text);
    check_view(op, t->last_four_chars_of_key);
    check_view(op, t->created_by);
    check_view(op, t->created_at);
    FUZZ_CHECK((t->scopes_form == HTOK_SCOPES_LIST || t->scopes_form == HTOK_SCOPES_OTHER) ||
                   t->scope_count == 0,
               "scopes of a token without any");
    for (i = 0; i < t->scope_count; i++) {
        check_view(op, t->scopes[i]);
    }
    FUZZ_CHECK(htok_org_token_json(t, json, len + 1) == len, "length of an item's JSON");
    htoki_scan_begin(&scan, 0);
    for (i = 0; i < len; i += used) {
        htoki_scan_event event = htoki_scan_feed(&scan, json + i, len - i, &used);
        FUZZ_CHECK(event != HTOKI_SCAN_ERROR, "an item's JSON is malformed");
    }
    FUZZ_CHECK(htoki_scan_finish(&scan), "an item's JSON is not whole");
    fuzz_add(out, json, len);
    fuzz_add(out, "\n", 1);
    free(json);
}

static void take_outcome(htoki_op *op, outcome *o)
{
    o->boolean = o->event == HTOKI_OP_DONE ? op->boolean : '\0';
    o->item_count = op->item_count;
    o->body_received = op->http.body_received;
    o->keeps = htoki_http_keeps_connection(&op->http);
    o->may_have = htoki_op_may_have_taken_effect(op);
    o->retry_after_ms = htoki_http_retry_after_ms(&op->http, true, 1700000000);
    fuzz_add(&o->message, o->error.message.ptr, o->error.message.len);
    fuzz_add(&o->body, o->error.body.ptr, o->error.body.len);
    if (o->event == HTOKI_OP_DONE && op->request.operation == HTOKI_CREATE_ORG_TOKEN) {
        check_view(op, op->created.plain_text_token);
        fuzz_add(&o->created, op->created.plain_text_token.ptr, op->created.plain_text_token.len);
        take_token(op, &op->created.org_token, &o->created);
    }
}

/* Feeds the answer as the client does; pieces of at most most bytes, or all at once with 0. */
static void run(const unsigned char *control, const char *answer, size_t len, uint32_t most, uint32_t seed,
                outcome *o)
{
    static const uint16_t works[4] = {512, 1000, 2048, HTOK_WORK_BYTES};
    htoki_http_limits limits;
    htoki_request request;
    htoki_url url;
    htok_create_org_token_request create;
    htoki_op op;
    char request_text[512];
    fuzz_random random = fuzz_seed(seed);
    size_t at = 0, work_bytes = works[control[1] & 3], n;
    char *work = (char *)malloc(work_bytes);
    FUZZ_CHECK(work != NULL, "memory");
    memset(work, 0xa5, work_bytes);
    memset(o, 0, sizeof *o);
    htoki_error_clear(&o->error);
    limits.head_bytes = (control[1] & 4) ? 200 : 65536;
    limits.fields = (control[1] & 8) ? 3 : 100;
    limits.interim = (control[1] & 16) ? 1 : 16;
    limits.body_bytes = (control[1] & 32) ? 60 : 65536;
    set_request(&request, &url, &create, control[0] % 3);
    htoki_op_begin(&op, &request, &limits, (control[1] & 64) ? 30 : 65536,
                   (control[1] & 128) ? 300 : (uint32_t)work_bytes, work, work_bytes, &o->error);
    while ((n = htoki_op_output(&op, request_text, sizeof request_text)) != 0) {
        htoki_op_sent(&op, n);
    }
    o->event = HTOKI_OP_MORE;
    while (at < len && o->event == HTOKI_OP_MORE) {
        size_t piece = most ? 1 + fuzz_below(&random, most) : len, used = 0, done = 0;
        char *copy;
        piece = piece < len - at ? piece : len - at;
        copy = fuzz_exact(answer + at, piece);
        do {
            o->event = htoki_op_input(&op, copy + done, piece - done, &used);
            FUZZ_CHECK(used <= piece - done, "more consumed than given");
            done += used;
            if (o->event == HTOKI_OP_ITEM) {
                take_token(&op, &op.created.org_token, &o->items);
            }
        } while (o->event == HTOKI_OP_ITEM);
        FUZZ_CHECK(o->event != HTOKI_OP_MORE || done == piece, "bytes left without an event");
        free(copy);
        at += done;
    }
    o->finished_early = o->event != HTOKI_OP_MORE;
    if (o->event == HTOKI_OP_MORE) {
        o->event = htoki_op_eof(&op, (control[2] & 1) != 0);
        FUZZ_CHECK(o->event == HTOKI_OP_DONE || o->event == HTOKI_OP_FAILED,
                   "no verdict at the stream's end");
    }
    o->consumed = o->event == HTOKI_OP_DONE ? at : 0;
    take_outcome(&op, o);
    free(work);
}

static void check_outcome(const outcome *o, int operation, size_t len)
{
    const htok_error *e = &o->error;
    char line[512];
    FUZZ_CHECK((o->event == HTOKI_OP_DONE) == (e->kind == HTOK_OK), "verdict and kind");
    FUZZ_CHECK((e->kind == HTOK_OK) == (e->reason == HTOK_REASON_NONE), "kind and reason");
    FUZZ_CHECK(e->offset >= -1 && e->offset <= (int64_t)len, "offset lies outside");
    FUZZ_CHECK(e->status == 0 || (e->status >= 0 && e->status <= 999), "status");
    FUZZ_CHECK(memchr(e->path, 0, sizeof e->path) && memchr(e->detail, 0, sizeof e->detail), "unended text");
    FUZZ_CHECK(operation != 1 || e->body.ptr == NULL, "the error body of a create is exposed");
    FUZZ_CHECK(operation == 0 || o->items.len == 0, "items of another operation than a list");
    FUZZ_CHECK(o->event != HTOKI_OP_DONE || operation == 0 || e->status == (operation == 1 ? 201 : 200),
               "success");
    FUZZ_CHECK(operation != 2 || o->event != HTOKI_OP_DONE || o->boolean != '\0',
               "a revoke without an answer");
    FUZZ_CHECK(e->kind != HTOK_API_ERROR || e->status >= 400, "ApiError without an error status");
    if (o->event == HTOKI_OP_FAILED) {
        htok_error copy = *e;
        copy.message = htoki_view(o->message.text, o->message.len);
        copy.body = htoki_view(NULL, 0);
        htok_error_format(&copy, line, sizeof line);
        FUZZ_CHECK(!strstr(line, TOKEN) && !strstr(line, HEADER), "a secret in the error's line");
        FUZZ_CHECK(!fuzz_contains(o->body.text, o->body.len, TOKEN), "a secret in the error's body");
        FUZZ_CHECK(!fuzz_contains(o->body.text, o->body.len, HEADER), "a secret in the error's body");
        FUZZ_CHECK(!fuzz_contains(o->message.text, o->message.len, TOKEN), "a secret in the error's message");
        FUZZ_CHECK(!fuzz_contains(o->message.text, o->message.len, HEADER),
                   "a secret in the error's message");
        FUZZ_CHECK(!fuzz_contains(e, sizeof *e, TOKEN) && !fuzz_contains(e, sizeof *e, HEADER), "a secret");
    }
}

static bool same_text(const fuzz_text *a, const fuzz_text *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->text, b->text, a->len) == 0);
}

static void check_same(const outcome *a, const outcome *b)
{
    FUZZ_CHECK(a->event == b->event, "event");
    FUZZ_CHECK(a->error.kind == b->error.kind && a->error.reason == b->error.reason, "reason");
    FUZZ_CHECK(a->error.phase == b->error.phase, "phase");
    FUZZ_CHECK(a->error.status == b->error.status, "status");
    FUZZ_CHECK(a->error.offset == b->error.offset, "offset");
    FUZZ_CHECK(strcmp(a->error.path, b->error.path) == 0, "path");
    FUZZ_CHECK(strcmp(a->error.detail, b->error.detail) == 0, "detail");
    FUZZ_CHECK(a->error.body_truncated == b->error.body_truncated, "body_truncated");
    FUZZ_CHECK(same_text(&a->message, &b->message) && same_text(&a->body, &b->body), "error texts");
    FUZZ_CHECK(a->item_count == b->item_count && same_text(&a->items, &b->items), "items");
    FUZZ_CHECK(same_text(&a->created, &b->created) && a->boolean == b->boolean, "result");
    FUZZ_CHECK(a->consumed == b->consumed && a->keeps == b->keeps, "what follows on the connection");
    FUZZ_CHECK(a->retry_after_ms == b->retry_after_ms && a->may_have == b->may_have, "retry");
    FUZZ_CHECK(a->event != HTOKI_OP_DONE || a->body_received == b->body_received, "body length");
    FUZZ_CHECK(a->finished_early == b->finished_early, "end before the stream's");
}

static void release(outcome *o)
{
    free(o->items.text);
    free(o->message.text);
    free(o->body.text);
    free(o->created.text);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const uint32_t sizes[8] = {1, 2, 3, 7, 16, 50, 200, 1000};
    outcome whole, split;
    unsigned i;
    if (size < 4) {
        return 0;
    }
    run(data, (const char *)data + 4, size - 4, 0, 0, &whole);
    check_outcome(&whole, data[0] % 3, size - 4);
    for (i = 0; i < 2; i++) {
        run(data, (const char *)data + 4, size - 4, sizes[((data[2] >> 1) + 3 * i) & 7], data[3] + i, &split);
        check_same(&whole, &split);
        release(&split);
    }
    release(&whole);
    return 0;
}
