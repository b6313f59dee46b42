/* Where a secret must not be once a call has ended, well or badly: in the client's memory, on the stack, in memory that
   was released, in the error, its line or the log. What the server sends back of them counts too. */
#define _POSIX_C_SOURCE 200809L
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"
#include "peer_cert.h"
#include "stack.h"

#define TOKEN    "dev-token-CANARY-1"
#define PLAIN    "plain-CANARY-2"
#define OF_ALL   "header-CANARY-3"
#define OF_CALL  "header-CANARY-4"
#define USER     "user-CANARY-5"
#define PASSWORD "password-CANARY-6"
/* Base64 of user, colon, password. */
#define BASIC "dXNlci1DQU5BUlktNTpwYXNzd29yZC1DQU5BUlktNg=="

/* The last one is the answer to a create alone. */
static const char *const secrets[] = {TOKEN, OF_ALL, OF_CALL, USER, PASSWORD, BASIC, PLAIN};
static size_t secret_count = UNIT_COUNT(secrets);

/* ---- An allocator that knows its blocks, and looks at each before it is gone. ---- */

static struct {
    void *blocks[8];
    size_t bytes[8];
    unsigned taken, fail_at;
    bool dirty;
} memory;

static bool holds_secret(const void *bytes, size_t len)
{
    size_t i;
    for (i = 0; i < secret_count; i++) {
        if (unit_memory_holds(bytes, len, secrets[i], strlen(secrets[i]))) {
            return true;
        }
    }
    return false;
}

static bool stack_holds_secret(const char *stack)
{
    size_t begin = unit_stack_begin(stack);
    return holds_secret(stack + begin, UNIT_STACK_BYTES - begin);
}

static void *allocate(void *context, size_t bytes)
{
    size_t i = 0;
    (void)context;
    if (++memory.taken == memory.fail_at) {
        return NULL;
    }
    while (memory.blocks[i]) {
        i++;
    }
    memory.blocks[i] = calloc(1, bytes);
    memory.bytes[i] = bytes;
    return memory.blocks[i];
}

static void release(void *context, void *block, size_t bytes)
{
    size_t i = 0;
    (void)context;
    while (memory.blocks[i] != block) {
        i++;
    }
    memory.dirty = memory.dirty || holds_secret(block, bytes);
    memory.blocks[i] = NULL;
    free(block);
}

static bool memory_holds(const char *text)
{
    size_t i;
    for (i = 0; i < UNIT_COUNT(memory.blocks); i++) {
        if (memory.blocks[i] && unit_memory_holds(memory.blocks[i], memory.bytes[i], text, strlen(text))) {
            return true;
        }
    }
    return false;
}

/* ---- One call. ---- */

typedef struct scene {
    const char *label;
    htoki_operation operation;
    const char *replies[2];
    void (*change)(struct scene *s);
    bool done; /* it ends well */
    /* from here on as it goes */
    unit_world world;
    htok_header header, header_of_call;
    htok_call_options call;
    htok_create_org_token_request create;
    htok_proxy proxy;
    htok_allocator allocator;
    unsigned cancel_after;
    htok_state state;
    htok_error error;
    char line[2048];
    size_t used;
} scene;

/* Polls to the end; no check in it may fail, since it runs on a stack of its own. */
static void *run_call(void *argument)
{
    scene *s = (scene *)argument;
    htok_client *c = s->world.client;
    htok_kind kind = s->operation == HTOKI_GET_ORG_TOKENS ? htok_get_org_tokens_start(c, &s->call)
                     : s->operation == HTOKI_CREATE_ORG_TOKEN
                         ? htok_create_org_token_start(c, &s->create, &s->call)
                         : htok_revoke_org_token_start(c, "t", &s->call);
    unsigned polls = 0;
    s->state = kind == HTOK_OK ? HTOK_STATE_PENDING : HTOK_STATE_FAILED;
    while ((s->state == HTOK_STATE_PENDING || s->state == HTOK_STATE_ITEM) && polls++ < 100000) {
        if (polls == s->cancel_after) {
            htok_client_cancel(c);
        }
        s->state = htok_client_poll(c);
        if (s->state == HTOK_STATE_PENDING) {
            s->world.clock_state.now_ms += htok_client_wait(c).timeout_ms;
        }
    }
    s->error = *htok_client_error(c);
    (void)htok_error_format(&s->error, s->line, sizeof s->line);
    return NULL;
}

static void set_scene(scene *s)
{
    htok_client_options *o = &s->world.options;
    unit_begin(&s->world);
    memset(&memory, 0, sizeof memory);
    secret_count = UNIT_COUNT(secrets) - (s->operation != HTOKI_CREATE_ORG_TOKEN);
    s->header.name = "X-All";
    s->header.value = OF_ALL;
    s->header_of_call.name = "X-Call";
    s->header_of_call.value = OF_CALL;
    s->call.headers = &s->header_of_call;
    s->call.header_count = 1;
    s->create.name = "ci";
    s->allocator.allocate = allocate;
    s->allocator.release = release;
    o->allocator = &s->allocator;
    o->token = TOKEN;
    o->headers = &s->header;
    o->header_count = 1;
    s->world.net.wires[0].replies[0] = s->replies[0];
    s->world.net.wires[0].replies[1] = s->replies[1];
    if (s->change) {
        s->change(s);
    }
}

static void check_clean(const scene *s, const char *stack, const char *when)
{
    const htok_error *e = &s->error;
    check(!stack || !stack_holds_secret(stack), "%s, %s: on the stack", s->label, when);
    check(!memory_holds(TOKEN) && !memory_holds(OF_ALL) && !memory_holds(OF_CALL), "%s, %s: in the client",
          s->label, when);
    check(!memory_holds(USER) && !memory_holds(PASSWORD) && !memory_holds(BASIC),
          "%s, %s: the proxy's, in the client", s->label, when);
    check(!holds_secret(e, sizeof *e) && !holds_secret(s->line, sizeof s->line), "%s, %s: in the error: %s",
          s->label, when, s->line);
    check(!holds_secret(e->body.ptr, e->body.len) && !holds_secret(e->message.ptr, e->message.len),
          "%s, %s: in the body or message", s->label, when);
    check(!s->world.log.len || !holds_secret(s->world.log.text, s->world.log.len), "%s, %s: in the log: %s",
          s->label, when, s->world.log.text);
}

static void run_scene_once(const scene *from, bool check_stack)
{
    static scene s; /* large */
    char *stack;
    htok_error e;
    size_t i;
    s = *from;
    set_scene(&s);
    check(htok_client_create(&s.world.client, &s.world.options, &e) == HTOK_OK, "%s: %s", s.label,
          htok_reason_name(e.reason));
    stack = unit_on_stack(run_call, &s);
    check(s.state == (s.done ? HTOK_STATE_DONE : HTOK_STATE_FAILED), "%s: %s", s.label, s.line);
    check_clean(&s, check_stack ? stack : NULL, "at the end");
    /* A created token is there for the caller, and nobody else's. */
    if (s.done && s.operation == HTOKI_CREATE_ORG_TOKEN) {
        check(memory_holds(PLAIN), "%s: no token", s.label);
        htok_client_wipe(s.world.client);
    }
    check(s.operation != HTOKI_CREATE_ORG_TOKEN || !memory_holds(PLAIN), "%s: a created token is left",
          s.label);
    htok_client_close(s.world.client);
    check(!memory.dirty, "%s: a block was released with a secret in it", s.label);
    for (i = 0; i < UNIT_WIRES; i++) {
        free(s.world.net.wires[i].sent.text);
    }
    free(s.world.log.text);
    free(stack);
}

/* A function of a shared library that is called for the first time is looked up, and the dynamic linker keeps the
   registers on the stack meanwhile, with what memcpy() had last in them. So only the second time counts. */
static void run_scene(const scene *from)
{
    run_scene_once(from, false);
    run_scene_once(from, UNIT_STACK_COUNTS);
}

/* ---- Answers. ---- */

#define JSON_HEAD(status) "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n"
#define CHUNKED           "Transfer-Encoding: chunked\r\n\r\n"
#define TO_END            "\r\n"
#define ALL_OF_THEM       TOKEN " " OF_ALL " " OF_CALL
#define ECHO              "X-Echo: " TOKEN "\r\nX-Echo: " OF_ALL "\r\nX-Echo: " OF_CALL "\r\n"

static const char created[] = JSON_HEAD("201 Created") ECHO
    "Content-Length: 218\r\n\r\n{\"plainTextToken\":\"" PLAIN "\",\"orgToken\":" UNIT_TOKEN "}";
static const char list[] =
    JSON_HEAD("200 OK") ECHO "Content-Length: 184\r\n\r\n{\"tokens\":[" UNIT_TOKEN "]}";
static const char revoked[] = JSON_HEAD("200 OK") ECHO "Content-Length: 4\r\n\r\ntrue";
static const char busy[] =
    "HTTP/1.1 503 x\r\nRetry-After: 1\r\nContent-Length: 43\r\n\r\nno: " TOKEN " " OF_ALL "     ";

static void ends(scene *s)
{
    s->world.net.wires[0].end = HTOK_IO_CLOSED;
}

static void resets(scene *s)
{
    s->world.net.wires[0].end = HTOK_IO_FAILED;
}

static void cannot_open(scene *s)
{
    s->world.net.wires[0].open_fails = true;
}

static void cannot_look_up(scene *s)
{
    s->world.net.wires[0].connect_error = 111;
    s->world.net.wires[0].looks_up = true;
}

static void connects_never(scene *s)
{
    s->world.net.wires[0].connect_agains = 90000;
}

static void sends_little(scene *s)
{
    s->world.net.wires[0].send_fails = true;
    s->world.net.wires[0].send_limit = 120;
    s->world.net.wires[0].end = HTOK_IO_FAILED;
}

static void stalls(scene *s)
{
    s->world.net.wires[0].send_stalls = true;
    s->world.net.wires[0].send_limit = 150;
}

static void is_cancelled(scene *s)
{
    s->cancel_after = 4;
}

static void retries(scene *s)
{
    s->world.options.retry.strategy = HTOK_RETRY_BACKOFF;
}

static bool provider_fails(void *context, htok_view *token)
{
    *token = htoki_text(TOKEN);
    return context != NULL;
}

static void provider(scene *s)
{
    s->world.options.token = NULL;
    s->world.options.token_provider = provider_fails;
}

static bool provider_breaks_a_line(void *context, htok_view *token)
{
    (void)context;
    *token = htoki_text(TOKEN "\r\nX: y");
    return true;
}

static void bad_provider(scene *s)
{
    s->world.options.token = NULL;
    s->world.options.token_provider = provider_breaks_a_line;
}

static void bad_header_of_call(scene *s)
{
    s->header_of_call.value = OF_CALL "\r\n";
}

static void small(scene *s)
{
    s->world.options.max_element_bytes = 60;
}

static void proxied(scene *s)
{
    s->proxy.host = "proxy.example";
    s->proxy.port = 3128;
    s->proxy.user = USER;
    s->proxy.password = PASSWORD;
    s->world.options.proxy = &s->proxy;
    s->world.options.trust = htoki_text(peer_root);
    s->world.options.retry.strategy = HTOK_RETRY_NONE;
    s->world.transport.provides_tls = false;
}

static void proxied_and_ends(scene *s)
{
    proxied(s);
    ends(s);
}

static void proxied_and_sends_little(scene *s)
{
    proxied(s);
    sends_little(s);
}

static void nothing_is_left_of_a_call_that_ends_well(void **state)
{
    static const scene scenes[] = {
        {.label = "list", .operation = HTOKI_GET_ORG_TOKENS, .replies = {list}, .done = true},
        {.label = "create", .operation = HTOKI_CREATE_ORG_TOKEN, .replies = {created}, .done = true},
        {.label = "revoke", .operation = HTOKI_REVOKE_ORG_TOKEN, .replies = {revoked}, .done = true},
        {.label = "list after a retry",
         .operation = HTOKI_GET_ORG_TOKENS,
         .replies = {busy, list},
         .change = retries,
         .done = true},
        {.label = "revoke after a retry",
         .operation = HTOKI_REVOKE_ORG_TOKEN,
         .replies = {busy, revoked},
         .change = retries,
         .done = true},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(scenes); i++) {
        run_scene(&scenes[i]);
    }
}

static void nothing_is_left_of_a_call_that_fails(void **state)
{
    static const struct {
        const char *label, *reply;
        void (*change)(scene *s);
    } rows[] = {
        {"ApiError with all of them", JSON_HEAD("404 x") ECHO CHUNKED "70\r\n{\"message\":\"" ALL_OF_THEM,
         ends},
        {"ApiError", JSON_HEAD("404 x") ECHO TO_END "{\"message\":\"" ALL_OF_THEM "\"}", ends},
        {"an error page", "HTTP/1.1 500 x\r\n" ECHO TO_END "<p>" ALL_OF_THEM "</p>", ends},
        {"an error page that is torn", "HTTP/1.1 500 x\r\n" ECHO TO_END "<p>" ALL_OF_THEM "</p>", resets},
        {"an error that is no JSON", JSON_HEAD("401 x") ECHO TO_END "{\"message\":\"" ALL_OF_THEM "\"]",
         ends},
        {"an error without a message", JSON_HEAD("401 x") ECHO TO_END "{\"hint\":\"" ALL_OF_THEM "\"}", ends},
        {"a redirect",
         "HTTP/1.1 302 x\r\nLocation: https://x.example/?t=" TOKEN "&h=" OF_ALL "\r\n" ECHO TO_END
         "see there: " ALL_OF_THEM,
         ends},
        {"another content type",
         "HTTP/1.1 200 x\r\nContent-Type: text/" TOKEN "\r\n" ECHO TO_END "a " ALL_OF_THEM, ends},
        {"another content type, created",
         "HTTP/1.1 201 x\r\nContent-Type: text/" OF_CALL "\r\n" ECHO TO_END "b " ALL_OF_THEM " " PLAIN, ends},
        {"a torn head", JSON_HEAD("200 x") ECHO "X-More: " TOKEN, ends},
        {"a torn head, reset", JSON_HEAD("200 x") ECHO "X-More: " TOKEN, resets},
        {"a malformed field", JSON_HEAD("200 x") ECHO "X-More : x\r\n\r\n", NULL},
        {"a folded field", JSON_HEAD("200 x") ECHO " " TOKEN "\r\n\r\n", NULL},
        {"a bad length", JSON_HEAD("200 x") "Content-Length: " TOKEN "\r\n\r\n", NULL},
        {"a gzipped body", JSON_HEAD("200 x") ECHO "Content-Encoding: " TOKEN "\r\n\r\n", NULL},
        {"a bad chunk", JSON_HEAD("201 x") ECHO CHUNKED "20\r\n{\"plainTextToken\":\"" PLAIN "\"xx", NULL},
        {"a trailer with a secret", JSON_HEAD("500 x") CHUNKED "0\r\nX-T: " TOKEN "\r\nX: " OF_ALL "\r\n\r\n",
         NULL},
        {"a protocol switch", "HTTP/1.1 101 x\r\n" ECHO "\r\n", NULL},
        {"garbage", TOKEN " " OF_ALL, NULL},
        {"silence", "", NULL},
        {"silence in the head", JSON_HEAD("200 x") ECHO, NULL},
        {"silence in the body", JSON_HEAD("201 x") ECHO TO_END "{\"plainTextToken\":\"" PLAIN "\"", NULL},
        {"cut behind the token", JSON_HEAD("201 x") ECHO TO_END "{\"plainTextToken\":\"" PLAIN "\"", ends},
        {"torn behind the token", JSON_HEAD("201 x") ECHO TO_END "{\"plainTextToken\":\"" PLAIN "\"", resets},
        {"cut in the token", JSON_HEAD("201 x") ECHO TO_END "{\"plainTextToken\":\"" PLAIN, ends},
        {"no org token", JSON_HEAD("201 x") ECHO TO_END "{\"plainTextToken\":\"" PLAIN "\"}", ends},
        {"a bad org token",
         JSON_HEAD("201 x") ECHO TO_END "{\"plainTextToken\":\"" PLAIN "\",\"orgToken\":{\"orgId\":1}}",
         ends},
        {"two plain texts",
         JSON_HEAD("201 x") ECHO TO_END "{\"plainTextToken\":\"" PLAIN "\",\"plainTextToken\":\"" PLAIN "\"}",
         ends},
        {"JSON broken behind the token",
         JSON_HEAD("201 x") ECHO TO_END "{\"plainTextToken\":\"" PLAIN "\",}  " PLAIN " " PLAIN, ends},
        {"a token in another place", JSON_HEAD("200 x") ECHO TO_END "{\"plainTextToken\":\"" PLAIN "\"}",
         ends},
        {"a created answer of another status",
         JSON_HEAD("202 x") ECHO TO_END "{\"plainTextToken\":\"" PLAIN "\",\"orgToken\":" UNIT_TOKEN "}",
         ends},
        {"an element over its limit",
         JSON_HEAD("201 x") ECHO TO_END "{\"plainTextToken\":\"" PLAIN "\",\"orgToken\":" UNIT_TOKEN "}",
         small},
        {"a socket that cannot be had", NULL, cannot_open},
        {"a name that is unknown", NULL, cannot_look_up},
        {"a connection that is never made", NULL, connects_never},
        {"a send that fails", NULL, sends_little},
        {"a send that stalls", NULL, stalls},
        {"a cancelled call", NULL, is_cancelled},
        {"a cancelled call, half answered",
         JSON_HEAD("201 x") ECHO TO_END "{\"plainTextToken\":\"" PLAIN "\"", is_cancelled},
        {"no more attempts", busy, retries},
        {"a provider that fails", NULL, provider},
        {"a provider that breaks a line", NULL, bad_provider},
        {"a bad field of the call", NULL, bad_header_of_call},
    };
    size_t i;
    int operation;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        for (operation = HTOKI_GET_ORG_TOKENS; operation <= HTOKI_REVOKE_ORG_TOKEN; operation++) {
            scene s;
            memset(&s, 0, sizeof s);
            s.label = rows[i].label;
            s.operation = (htoki_operation)operation;
            s.replies[0] = rows[i].reply;
            s.change = rows[i].change;
            run_scene(&s);
        }
    }
}

static void nothing_of_a_proxys_password_is_left(void **state)
{
    static const struct {
        const char *label, *reply;
        void (*change)(scene *s);
    } rows[] = {
        {"407",
         "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"" PASSWORD "\"\r\nX-Echo: " BASIC
         "\r\nContent-Length: 0\r\n\r\n",
         proxied},
        {"403 with all of them",
         "HTTP/1.1 403 x\r\nX-Echo: Basic " BASIC "\r\nX-Echo: " USER ":" PASSWORD "\r\n\r\n<p>" ALL_OF_THEM,
         proxied_and_ends},
        {"502", "HTTP/1.1 502 x\r\n\r\n", proxied},
        {"a torn answer", "HTTP/1.1 200 x\r\nX-Echo: " BASIC, proxied_and_ends},
        {"a malformed answer", "HTTP/1.1 200 x\r\nX-Echo: " BASIC "\r\n bad", proxied},
        {"bytes behind the answer", "HTTP/1.1 200 x\r\n\r\n" PASSWORD, proxied},
        {"silence", "", proxied},
        {"a send that fails", NULL, proxied_and_sends_little},
        {"a tunnel, and no TLS in it", "HTTP/1.1 200 x\r\nX-Echo: " BASIC "\r\n\r\n", proxied_and_ends},
        {"a tunnel, and silence in it", "HTTP/1.1 200 x\r\nX-Echo: " BASIC "\r\n\r\n", proxied},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        scene s;
        memset(&s, 0, sizeof s);
        s.label = rows[i].label;
        s.operation = i % 2 ? HTOKI_CREATE_ORG_TOKEN : HTOKI_GET_ORG_TOKENS;
        s.replies[0] = rows[i].reply;
        s.change = rows[i].change;
        run_scene(&s);
    }
}

/* The helper finds what it looks for. */
static void *leave_a_secret(void *argument)
{
    volatile char deep[8192];          /* out of the way of what ends the thread */
    volatile char *volatile at = deep; /* so that clang does not take the bytes apart */
    size_t i;
    (void)argument;
    for (i = 0; i < sizeof TOKEN; i++) {
        at[i] = TOKEN[i];
    }
    return NULL;
}

static void a_secret_that_is_left_is_found(void **state)
{
    char *stack = unit_on_stack(leave_a_secret, NULL);
    (void)state;
    check(stack_holds_secret(stack), "a secret on the stack is not seen");
    free(stack);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_that_is_left_is_found),
        cmocka_unit_test(nothing_is_left_of_a_call_that_ends_well),
        cmocka_unit_test(nothing_is_left_of_a_call_that_fails),
        cmocka_unit_test(nothing_of_a_proxys_password_is_left),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
