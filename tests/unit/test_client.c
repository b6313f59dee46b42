/* The client over a scripted transport and a fake clock: deadlines, retries, reuse, cancel, memory, secrets. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

#define LIST_EMPTY   "HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: 13\r\n\r\n{\"tokens\":[]}"
#define REVOKED      "HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: 4\r\n\r\ntrue"
#define BUSY         "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
#define BUSY_CLOSE   "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#define NOT_FOUND    "HTTP/1.1 404 x\r\n" UNIT_JSON "Content-Length: 18\r\n\r\n{\"message\":\"gone\"}"
#define CREATED_BODY "{\"plainTextToken\":\"PLAIN-CANARY-2\",\"orgToken\":" UNIT_TOKEN "}"

static const htok_create_org_token_request create_request = {false, 0, NULL, "ci"};

static const char *created_answer(void)
{
    static char text[1024];
    snprintf(text, sizeof text, "HTTP/1.1 201 Created\r\n" UNIT_JSON "Content-Length: %d\r\n\r\n%s",
             (int)strlen(CREATED_BODY), CREATED_BODY);
    return text;
}

static const char *list_of_two(void)
{
    static char text[1024];
    static const char body[] = "{\"tokens\":[" UNIT_TOKEN_ALONE("a") "," UNIT_TOKEN_ALONE("b") "]}";
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: %d\r\n\r\n%s",
             (int)strlen(body), body);
    return text;
}

#define ITEMS_OF_TWO UNIT_TOKEN_ALONE("a") "\n" UNIT_TOKEN_ALONE("b") "\n"

static void start_list(unit_world *w)
{
    assert_int_equal(htok_get_org_tokens_start(w->client, NULL), HTOK_OK);
}

static void start_revoke(unit_world *w)
{
    assert_int_equal(htok_revoke_org_token_start(w->client, "org-token-1", NULL), HTOK_OK);
}

static void start_create(unit_world *w)
{
    assert_int_equal(htok_create_org_token_start(w->client, &create_request, NULL), HTOK_OK);
}

typedef void (*starter)(unit_world *w);
static const starter starters[] = {start_list, start_create, start_revoke};
static const char *const operations[] = {"list", "create", "revoke"};

static void with_backoff(unit_world *w)
{
    w->options.retry.strategy = HTOK_RETRY_BACKOFF;
    w->options.retry.retry_connection_errors = true;
}

static void check_error(const unit_world *w, htok_reason reason, htok_phase phase, const char *label)
{
    const htok_error *e = htok_client_error(w->client);
    check_text(htok_reason_name(e->reason), htok_reason_name(reason), label);
    check_text(htok_phase_name(e->phase), htok_phase_name(phase), label);
}

/* ---- Plain calls. ---- */

static void a_call_connects_sends_and_reads_its_answer(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].replies[0] = list_of_two();
    w.options.server_url = "https://Tokens.Example:8443/base/";
    unit_create(&w);
    start_list(&w);
    assert_int_equal(w.net.count, 0);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_string_equal(w.items.text, ITEMS_OF_TWO);
    assert_string_equal(w.net.wires[0].host, "tokens.example");
    assert_int_equal(w.net.wires[0].port, 8443);
    assert_string_equal(w.net.wires[0].sent.text,
                        "GET /base/tokens/v1/orgs/org-1 HTTP/1.1\r\nHost: tokens.example:8443\r\n"
                        "User-Agent: hathora_tokens.h/" HTOK_VERSION "\r\nAccept: application/json\r\n"
                        "Accept-Encoding: identity\r\nAuthorization: Bearer " UNIT_SECRET "\r\n\r\n");
    assert_int_equal(htok_client_error(w.client)->kind, HTOK_OK);
    assert_int_equal(htok_client_error(w.client)->attempts, 1);
    assert_int_equal(htok_client_error(w.client)->status, 200);
    assert_int_equal(w.waited_ms, 0);
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_DONE);
    assert_null(htok_client_item(w.client));
    unit_end(&w);
}

static void create_and_revoke_give_their_results(void **state)
{
    unit_world w;
    const htok_created_org_token *created;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].replies[0] = created_answer();
    w.net.wires[0].replies[1] = REVOKED;
    w.net.wires[0].replies[2] = "HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: 5\r\n\r\nfalse";
    unit_create(&w);
    start_create(&w);
    assert_null(htok_client_created(w.client));
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    created = htok_client_created(w.client);
    assert_non_null(created);
    check_view(created->plain_text_token, "PLAIN-CANARY-2", "plain text");
    check_view(created->org_token.name, "ci", "name");
    assert_false(htok_client_revoked(w.client));
    start_revoke(&w);
    assert_null(htok_client_created(w.client));
    assert_false(htok_client_revoked(w.client));
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_true(htok_client_revoked(w.client));
    assert_null(htok_client_created(w.client));
    start_revoke(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_false(htok_client_revoked(w.client));
    assert_int_equal(w.net.count, 1);
    unit_end(&w);
}

static void pieces_of_any_size_make_no_difference(void **state)
{
    size_t send, receive;
    int agains;
    (void)state;
    for (send = 1; send < 300; send = send * 3 + 1) {
        for (receive = 1; receive < 800; receive = receive * 3 + 1) {
            for (agains = 0; agains < 2; agains++) {
                unit_world w;
                unit_begin(&w);
                w.net.wires[0].replies[0] = list_of_two();
                w.net.wires[0].replies[1] = created_answer();
                w.net.wires[0].send_most = send;
                w.net.wires[0].receive_most = receive;
                w.net.wires[0].receive_agains = agains;
                w.slice_ms = 1;
                unit_create(&w);
                start_list(&w);
                assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
                assert_string_equal(w.items.text, ITEMS_OF_TWO);
                start_create(&w);
                assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
                check_view(htok_client_created(w.client)->plain_text_token, "PLAIN-CANARY-2", "plain text");
                assert_int_equal(w.net.count, 1);
                unit_end(&w);
            }
        }
    }
}

/* The framing ends where a token ends: nothing more will come, and the client must not wait for it. */
static void an_answer_that_ends_with_a_token_is_judged_at_once(void **state)
{
    static const char body[] = "{\"tokens\":[" UNIT_TOKEN_ALONE("a");
    char text[512];
    unit_world w;
    (void)state;
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: %d\r\n\r\n%s",
             (int)strlen(body), body);
    unit_begin(&w);
    w.net.wires[0].replies[0] = text;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_JSON_TRUNCATED, HTOK_PHASE_JSON, "truncated");
    assert_string_equal(w.items.text, UNIT_TOKEN_ALONE("a") "\n");
    assert_int_equal(w.waited_ms, 0);
    unit_end(&w);
}

static void a_poll_makes_a_bounded_number_of_steps(void **state)
{
    unit_world w;
    unsigned polls = 0;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].replies[0] = list_of_two();
    w.net.wires[0].receive_most = 1;
    unit_create(&w);
    start_list(&w);
    for (;;) {
        unsigned before = w.net.wires[0].receives;
        htok_state found = htok_client_poll(w.client);
        check(w.net.wires[0].receives - before <= 8, "%u receives in a poll",
              w.net.wires[0].receives - before);
        if (found != HTOK_STATE_PENDING && found != HTOK_STATE_ITEM) {
            break;
        }
        check(htok_client_wait(w.client).timeout_ms == 0 || w.net.wires[0].given == 0,
              "waits with bytes at hand");
        polls++;
    }
    assert_true(polls > 50);
    unit_end(&w);
}

static void an_item_is_there_until_the_next_poll(void **state)
{
    unit_world w;
    htok_state found;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].replies[0] = list_of_two();
    unit_create(&w);
    start_list(&w);
    assert_null(htok_client_item(w.client));
    while ((found = htok_client_poll(w.client)) == HTOK_STATE_PENDING) {
        assert_null(htok_client_item(w.client));
    }
    assert_int_equal(found, HTOK_STATE_ITEM);
    check_view(htok_client_item(w.client)->org_token_id, "a", "first");
    check_view(htok_client_item(w.client)->org_token_id, "a", "still the first");
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_ITEM);
    check_view(htok_client_item(w.client)->org_token_id, "b", "second");
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_null(htok_client_item(w.client));
    unit_end(&w);
}

static void a_call_in_progress_is_not_disturbed_by_a_start(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].replies[0] = list_of_two();
    unit_create(&w);
    start_list(&w);
    while (htok_client_poll(w.client) != HTOK_STATE_ITEM) {}
    assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_revoke_org_token_start(w.client, "x", NULL), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_create_org_token_start(w.client, &create_request, NULL),
                     HTOK_INVALID_REQUEST_ERROR);
    check_view(htok_client_item(w.client)->org_token_id, "a", "the item");
    assert_int_equal(htok_client_error(w.client)->kind, HTOK_OK);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_string_equal(w.items.text, UNIT_TOKEN_ALONE("b") "\n");
    unit_end(&w);
}

/* ---- Deadlines. ---- */

static void a_connect_that_hangs_ends_at_the_connect_time_out(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].connect_agains = UINT32_MAX;
    w.options.connect_timeout_ms = 2500;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_CONNECT, "connect");
    assert_int_equal(htok_client_error(w.client)->kind, HTOK_REQUEST_TIMEOUT_ERROR);
    assert_false(htok_client_error(w.client)->may_have_taken_effect);
    assert_int_equal(w.waited_ms, 2500);
    unit_end(&w);
}

static void a_look_up_that_hangs_ends_at_the_connect_time_out(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].connect_agains = UINT32_MAX;
    w.net.wires[0].looks_up = true;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_LOOKUP, "look-up");
    assert_int_equal(w.waited_ms, 10000);
    unit_end(&w);
}

static void the_whole_attempt_has_one_time_out(void **state)
{
    static const struct {
        uint32_t timeout_ms, connect_timeout_ms;
        unsigned connect_agains;
        const char *reply;
        htok_reason reason;
        htok_phase phase;
        uint64_t waited_ms;
    } rows[] = {
        {0, 0, 0, NULL, HTOK_REASON_TIMEOUT, HTOK_PHASE_HEAD, 30000},
        {0, 0, UINT32_MAX, NULL, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_CONNECT, 10000},
        {700, 0, 0, NULL, HTOK_REASON_TIMEOUT, HTOK_PHASE_HEAD, 700},
        {700, 800, UINT32_MAX, NULL, HTOK_REASON_TIMEOUT, HTOK_PHASE_CONNECT, 700},
        {1, 1, UINT32_MAX, NULL, HTOK_REASON_TIMEOUT, HTOK_PHASE_CONNECT, 1},
        {700, 0, 0, "HTTP/1.1 200 OK\r\nContent-", HTOK_REASON_TIMEOUT, HTOK_PHASE_HEAD, 700},
        {700, 0, 0, "HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: 13\r\n\r\n{\"tok", HTOK_REASON_TIMEOUT,
         HTOK_PHASE_BODY, 700},
        {HTOK_NO_TIMEOUT, 900, UINT32_MAX, NULL, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_CONNECT, 900},
        {HTOK_NO_TIMEOUT - 1, 0, 0, NULL, HTOK_REASON_TIMEOUT, HTOK_PHASE_HEAD, 4294967294u},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        int by_call;
        for (by_call = 0; by_call < 2; by_call++) {
            unit_world w;
            htok_call_options call;
            char label[32];
            snprintf(label, sizeof label, "row %d, %d", (int)i, by_call);
            memset(&call, 0, sizeof call);
            unit_begin(&w);
            if (by_call) {
                w.options.timeout_ms = 5;
                w.options.connect_timeout_ms = 5;
                call.timeout_ms = rows[i].timeout_ms ? rows[i].timeout_ms : 30000;
                call.connect_timeout_ms = rows[i].connect_timeout_ms ? rows[i].connect_timeout_ms : 10000;
            } else {
                w.options.timeout_ms = rows[i].timeout_ms;
                w.options.connect_timeout_ms = rows[i].connect_timeout_ms;
            }
            w.net.wires[0].connect_agains = rows[i].connect_agains;
            w.net.wires[0].replies[0] = rows[i].reply;
            unit_create(&w);
            assert_int_equal(htok_get_org_tokens_start(w.client, &call), HTOK_OK);
            check_number(unit_finish(&w), HTOK_STATE_FAILED, label);
            check_error(&w, rows[i].reason, rows[i].phase, label);
            check_number(w.waited_ms, rows[i].waited_ms, label);
            check(!w.net.is_open, "%s: a connection in an unknown state is kept", label);
            unit_end(&w);
        }
    }
}

/* One byte a second: no byte renews the deadline. */
static void a_slow_drip_does_not_renew_the_deadline(void **state)
{
    unit_world w;
    htok_state found = HTOK_STATE_PENDING;
    unsigned seconds = 0;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].replies[0] = list_of_two();
    w.net.wires[0].receive_most = 1;
    unit_create(&w);
    start_list(&w);
    while (found == HTOK_STATE_PENDING) {
        w.net.wires[0].reply_limit = ++seconds;
        found = htok_client_poll(w.client);
        w.clock_state.now_ms += 1000;
    }
    assert_int_equal(found, HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_TIMEOUT, HTOK_PHASE_HEAD, "drip");
    assert_in_range(w.clock_state.now_ms, 1000000 + 30000, 1000000 + 34000);
    unit_end(&w);
}

static void a_request_that_is_not_taken_ends_at_the_time_out(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].send_stalls = true;
    w.net.wires[0].send_limit = 20;
    unit_create(&w);
    start_revoke(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    assert_int_equal(htok_client_error(w.client)->reason, HTOK_REASON_TIMEOUT);
    assert_true(htok_client_error(w.client)->may_have_taken_effect);
    assert_int_equal(w.waited_ms, 30000);
    unit_end(&w);
}

static void without_a_time_out_the_client_waits_for_ever(void **state)
{
    unit_world w;
    unsigned i;
    (void)state;
    unit_begin(&w);
    w.options.timeout_ms = HTOK_NO_TIMEOUT;
    w.options.connect_timeout_ms = HTOK_NO_TIMEOUT;
    unit_create(&w);
    start_list(&w);
    for (i = 0; i < 20; i++) {
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
        w.clock_state.now_ms += (uint64_t)1 << 40;
    }
    assert_true(htok_client_wait(w.client).timeout_ms == UINT32_MAX);
    unit_end(&w);
}

static void a_clock_that_goes_back_ends_nothing(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].connect_agains = 3;
    w.net.wires[0].replies[0] = LIST_EMPTY;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    w.clock_state.now_ms -= 500000;
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    assert_in_range(htok_client_wait(w.client).timeout_ms, 1, 10000);
    w.slice_ms = 1;
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    unit_end(&w);
}

/* A clock hook that breaks its contract: no deadline and no wait grows by the jump. */
static void a_clock_that_goes_back_holds_no_call(void **state)
{
    int back;
    (void)state;
    for (back = 0; back < 3; back++) {
        unit_world w;
        uint64_t by = back == 2 ? UINT64_MAX : 500000;
        unit_begin(&w);
        with_backoff(&w);
        w.entropy_state.byte = 0x80;
        w.options.retry.max_elapsed_ms = 15000;
        w.net.wires[0].connect_agains = w.net.wires[1].connect_agains = UINT32_MAX;
        unit_create(&w);
        start_list(&w);
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
        w.clock_state.now_ms += 4000;
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
        w.clock_state.now_ms -= back == 0 ? 0 : by > w.clock_state.now_ms ? w.clock_state.now_ms : by;
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
        if (back != 2) {
            check_number(htok_client_wait(w.client).timeout_ms, 6000, "connect time-out");
            w.clock_state.now_ms += 6000;
            assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
            check_number(htok_client_wait(w.client).timeout_ms, 502, "wait for the next attempt");
            w.clock_state.now_ms -= back ? 400000 : 0;
            assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
            check_number(htok_client_wait(w.client).timeout_ms, 502, "wait for the next attempt");
        }
        assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
        check_number(htok_client_error(w.client)->attempts, 2, "attempts");
        check(w.waited_ms <= 20502, "%lu ms", (unsigned long)w.waited_ms);
        unit_end(&w);
    }
}

/* ---- Waiting. ---- */

static void check_wait(const unit_world *w, bool readable, bool writable, intptr_t descriptor,
                       uint32_t timeout_ms, const char *label)
{
    htok_wait wait = htok_client_wait(w->client);
    check_number(wait.readable, readable, label);
    check_number(wait.writable, writable, label);
    check_number(wait.descriptor, descriptor, label);
    check_number(wait.timeout_ms, timeout_ms, label);
}

static void waits_name_descriptor_direction_and_time(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.net.wires[0].connect_agains = 2;
    w.net.wires[0].send_stalls = true;
    w.net.wires[0].send_limit = 10;
    w.net.wires[0].replies[0] = BUSY;
    w.net.wires[1].replies[0] = LIST_EMPTY;
    unit_create(&w);
    check_wait(&w, false, false, -1, 0, "idle");
    start_list(&w);
    check_wait(&w, false, false, -1, 0, "started");
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    check_wait(&w, false, false, UNIT_DESCRIPTOR, 10000, "connecting: the transport says what for");
    w.clock_state.now_ms += 4000;
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    check_wait(&w, false, false, UNIT_DESCRIPTOR, 6000, "still connecting");
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    check_wait(&w, true, false, UNIT_DESCRIPTOR, 0, "connected");
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    check_wait(&w, true, true, UNIT_DESCRIPTOR, 26000, "unsent bytes");
    w.net.wires[0].send_stalls = false;
    w.net.wires[0].replies[0] = NULL;
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    check_wait(&w, true, false, UNIT_DESCRIPTOR, 26000, "all sent");
    w.net.wires[0].replies[0] = BUSY_CLOSE;
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    check_wait(&w, false, false, -1, 0, "waits for the next attempt, at once as attempt 0 has no interval");
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    check_wait(&w, false, false, -1, 0, "ended");
    unit_end(&w);
}

static void between_attempts_only_time_matters(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.options.retry.max_interval_ms = 200000;
    w.net.wires[0].replies[0] = "HTTP/1.1 429 x\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n";
    w.net.wires[0].replies[1] = LIST_EMPTY;
    unit_create(&w);
    start_list(&w);
    while (w.net.wires[0].given == 0) {
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    }
    check_wait(&w, false, false, -1, 90000, "Retry-After");
    w.clock_state.now_ms += 89999;
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    check_wait(&w, false, false, -1, 1, "one more");
    assert_int_equal(unit_requests(&w.net.wires[0].sent), 1);
    w.clock_state.now_ms += 1;
    check_wait(&w, false, false, -1, 0, "now");
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_int_equal(unit_requests(&w.net.wires[0].sent), 2);
    unit_end(&w);
}

/* Asked before the next poll has seen it. */
static void a_wait_has_an_end_where_the_clock_goes_far_back(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.clock_state.now_ms = (uint64_t)1 << 40;
    w.net.wires[0].replies[0] = BUSY;
    w.net.wires[0].replies[1] = LIST_EMPTY;
    unit_create(&w);
    start_list(&w);
    while (w.net.wires[0].given == 0) {
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    }
    w.clock_state.now_ms = 5;
    check_wait(&w, false, false, -1, UINT32_MAX - 1, "far back");
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    unit_end(&w);
}

/* Every other step says OK and moves nothing, and those that move bytes claim more than they were given room for. */
static unsigned odd_sends, odd_receives;

static htok_io odd_send(void *context, const void *bytes, size_t len, htok_io_detail *detail)
{
    htok_io io;
    if (odd_sends++ % 2 == 0) {
        return HTOK_IO_OK;
    }
    io = unit_send(context, bytes, len, detail);
    detail->moved += detail->moved == len ? 1000 : 0;
    return io;
}

static htok_io odd_receive(void *context, void *bytes, size_t size, htok_io_detail *detail)
{
    htok_io io;
    if (odd_receives++ % 2 == 0) {
        return HTOK_IO_OK;
    }
    io = unit_receive(context, bytes, size, detail);
    detail->moved += detail->moved == size ? 1000 : 0;
    return io;
}

static void a_transport_that_moves_nothing_or_claims_too_much_is_held_to_the_room_it_had(void **state)
{
    static char answer[4096];
    unit_world w;
    size_t len;
    (void)state;
    len = (size_t)snprintf(answer, sizeof answer,
                           "HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: 3013\r\n\r\n{\"tokens\":");
    memset(answer + len, ' ', 3000);
    memcpy(answer + len + 3000, "[]}", 4);
    unit_begin(&w);
    w.transport.send = odd_send;
    w.transport.receive = odd_receive;
    w.slice_ms = 1; /* such a transport is ready at once */
    w.options.record_bytes = w.options.send_bytes = 512;
    w.net.wires[0].replies[0] = answer;
    w.net.wires[0].replies[1] = LIST_EMPTY;
    unit_create(&w);
    start_list(&w);
    unit_finish(&w);
    check_error(&w, HTOK_REASON_NONE, HTOK_PHASE_NONE, "odd");
    check_number(unit_requests(&w.net.wires[0].sent), 1, "requests");
    unit_end(&w);
}

static void a_transport_may_have_no_descriptor(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.transport.wait = NULL;
    w.net.wires[0].connect_agains = 1000;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    check_wait(&w, false, false, -1, 10000, "connecting");
    unit_end(&w);
}

static void no_client_has_nothing_to_wait_for(void **state)
{
    htok_wait wait = htok_client_wait(NULL);
    (void)state;
    assert_int_equal(wait.descriptor, -1);
    assert_false(wait.readable);
    assert_false(wait.writable);
}

/* ---- Failures of the transport. ---- */

static void failures_to_connect_are_told_apart(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].open_fails = true;
    w.net.wires[1].connect_error = 111;
    w.net.wires[1].connect_agains = 1;
    w.net.wires[2].connect_error = -2;
    w.net.wires[2].looks_up = true;
    unit_create(&w);
    w.slice_ms = 1;
    start_create(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_CONNECT_FAILED, HTOK_PHASE_CONNECT, "open");
    assert_int_equal(htok_client_error(w.client)->os_error, 24);
    assert_int_equal(htok_client_error(w.client)->retry_after_ms, -1);
    assert_false(htok_client_error(w.client)->may_have_taken_effect);
    start_create(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_CONNECT_FAILED, HTOK_PHASE_CONNECT, "connect");
    assert_int_equal(htok_client_error(w.client)->os_error, 111);
    assert_int_equal(htok_client_error(w.client)->kind, HTOK_CONNECTION_ERROR);
    start_create(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_LOOKUP_FAILED, HTOK_PHASE_LOOKUP, "look-up");
    check(strncmp(htok_client_error(w.client)->detail, "api.hathora.dev", 15) == 0, "the host: %s",
          htok_client_error(w.client)->detail);
    assert_int_equal(htok_client_error(w.client)->os_error, -2);
    assert_int_equal(htok_client_error(w.client)->attempts, 1);
    unit_end(&w);
}

static void a_failed_receive_is_told_with_its_code(void **state)
{
    static const struct {
        const char *reply;
        htok_phase phase;
    } rows[] = {{NULL, HTOK_PHASE_HEAD},
                {"HTTP/1.1 200 OK\r\n", HTOK_PHASE_HEAD},
                {"HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: 4\r\n\r\ntr", HTOK_PHASE_BODY}};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_world w;
        unit_begin(&w);
        w.net.wires[0].replies[0] = rows[i].reply;
        w.net.wires[0].end = HTOK_IO_FAILED;
        unit_create(&w);
        start_revoke(&w);
        assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
        check_error(&w, HTOK_REASON_RECEIVE_FAILED, rows[i].phase, "receive");
        assert_int_equal(htok_client_error(w.client)->os_error, 104);
        assert_true(htok_client_error(w.client)->may_have_taken_effect);
        unit_end(&w);
    }
}

static void a_close_before_the_head_is_whole_is_a_connection_error(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].end = HTOK_IO_CLOSED;
    w.net.wires[1].replies[0] = "HTTP/1.1 200 OK\r\nCont";
    w.net.wires[1].end = HTOK_IO_CLOSED;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_CLOSED_EARLY, HTOK_PHASE_HEAD, "nothing");
    assert_int_equal(htok_client_error(w.client)->kind, HTOK_CONNECTION_ERROR);
    start_revoke(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_CLOSED_EARLY, HTOK_PHASE_HEAD, "part of a head");
    assert_true(htok_client_error(w.client)->may_have_taken_effect);
    unit_end(&w);
}

/* The server answers early and resets: its answer counts. */
static void an_answer_that_came_before_sending_failed_is_kept(void **state)
{
    size_t limit;
    (void)state;
    for (limit = 0; limit < 150; limit += 7) {
        unit_world w;
        unit_begin(&w);
        w.net.wires[0].replies[0] = NOT_FOUND;
        w.net.wires[0].replies_early = true;
        w.net.wires[0].send_fails = true;
        w.net.wires[0].send_limit = limit;
        unit_create(&w);
        start_create(&w);
        assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
        assert_int_equal(htok_client_error(w.client)->kind, HTOK_API_ERROR);
        check_view(htok_client_error(w.client)->message, "gone", "message");
        assert_false(htok_client_error(w.client)->may_have_taken_effect);
        check(!w.net.is_open, "a broken connection is kept");
        unit_end(&w);
    }
}

static void a_send_that_failed_without_an_answer_is_told(void **state)
{
    static const htok_io ends[] = {HTOK_IO_CLOSED, HTOK_IO_FAILED};
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        unit_world w;
        unit_begin(&w);
        w.net.wires[0].send_fails = true;
        w.net.wires[0].send_limit = 20;
        w.net.wires[0].end = ends[i];
        unit_create(&w);
        start_revoke(&w);
        assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
        check_error(&w, HTOK_REASON_SEND_FAILED, HTOK_PHASE_SEND, "send");
        assert_int_equal(htok_client_error(w.client)->os_error, 32);
        assert_true(htok_client_error(w.client)->may_have_taken_effect);
        unit_end(&w);
    }
}

/* ---- Retries. ---- */

static void statuses_are_tried_again_after_the_policys_waits(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.net.wires[0].replies[0] = BUSY;
    w.net.wires[0].replies[1] = BUSY;
    w.net.wires[0].replies[2] = BUSY_CLOSE;
    w.net.wires[1].replies[0] = "HTTP/1.1 429 x\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n";
    w.net.wires[1].replies[1] = list_of_two();
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_string_equal(w.items.text, ITEMS_OF_TWO);
    assert_int_equal(htok_client_error(w.client)->attempts, 5);
    assert_int_equal(htok_client_error(w.client)->kind, HTOK_OK);
    assert_int_equal(unit_requests(&w.net.wires[0].sent), 3);
    assert_int_equal(unit_requests(&w.net.wires[1].sent), 2);
    /* 0, 500, 1414 and Retry-After, without any random part */
    assert_in_range(w.waited_ms, 500 + 1413 + 3000, 500 + 1414 + 3000);
    unit_end(&w);
}

static void the_random_part_of_a_wait_comes_from_the_entropy_hook(void **state)
{
    static const struct {
        unsigned char byte;
        bool fails;
        uint64_t waited_ms;
    } rows[] = {{0, false, 0}, {0xff, false, 1000}, {0x80, false, 502}, {0xff, true, 500}};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_world w;
        unit_begin(&w);
        with_backoff(&w);
        w.entropy_state.byte = rows[i].byte;
        w.entropy_state.fails = rows[i].fails;
        w.net.wires[0].replies[0] = BUSY;
        w.net.wires[0].replies[1] = LIST_EMPTY;
        unit_create(&w);
        start_list(&w);
        assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
        check_number(w.waited_ms, rows[i].waited_ms, "random part");
        unit_end(&w);
    }
}

static void without_entropy_the_random_part_of_a_wait_is_the_mean(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.entropy.fill = NULL; /* which TLS alone needs */
    w.net.wires[0].replies[0] = BUSY;
    w.net.wires[0].replies[1] = LIST_EMPTY;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_int_equal(w.waited_ms, 500);
    unit_end(&w);
}

static void retries_end_with_the_last_answer_once_time_is_up(void **state)
{
    unit_world w;
    size_t i;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.options.retry.max_elapsed_ms = 10000;
    for (i = 0; i < UNIT_REPLIES; i++) {
        w.net.wires[0].replies[i] = "HTTP/1.1 503 x\r\nRetry-After: 4\r\nContent-Length: 2\r\n\r\nno";
    }
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    assert_int_equal(htok_client_error(w.client)->reason, HTOK_REASON_STATUS_ERROR);
    assert_int_equal(htok_client_error(w.client)->status, 503);
    assert_int_equal(htok_client_error(w.client)->attempts, 3);
    assert_int_equal(htok_client_error(w.client)->retry_after_ms, 4000);
    check_view(htok_client_error(w.client)->body, "no", "body");
    assert_int_equal(w.waited_ms, 8000);
    unit_end(&w);
}

static void by_default_nothing_is_tried_again(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].replies[0] = BUSY;
    w.net.wires[1].connect_error = 111;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    assert_int_equal(htok_client_error(w.client)->attempts, 1);
    assert_int_equal(w.net.count, 1);
    unit_end(&w);
}

static void a_calls_policy_outranks_the_clients(void **state)
{
    unit_world w;
    htok_call_options call;
    (void)state;
    memset(&call, 0, sizeof call);
    unit_begin(&w);
    w.net.wires[0].replies[0] = "HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n";
    w.net.wires[0].replies[1] = LIST_EMPTY;
    w.net.wires[0].replies[2] = BUSY;
    unit_create(&w);
    call.retry.strategy = HTOK_RETRY_BACKOFF;
    call.retry.codes = "4XX";
    assert_int_equal(htok_get_org_tokens_start(w.client, &call), HTOK_OK);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_int_equal(htok_client_error(w.client)->attempts, 2);
    assert_int_equal(htok_get_org_tokens_start(w.client, &call), HTOK_OK);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    assert_int_equal(htok_client_error(w.client)->attempts, 1);
    unit_end(&w);
}

static void a_call_can_switch_the_clients_retries_off(void **state)
{
    unit_world w;
    htok_call_options call;
    (void)state;
    memset(&call, 0, sizeof call);
    unit_begin(&w);
    with_backoff(&w);
    w.net.wires[0].replies[0] = BUSY;
    unit_create(&w);
    call.retry.strategy = HTOK_RETRY_NONE;
    assert_int_equal(htok_get_org_tokens_start(w.client, &call), HTOK_OK);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    assert_int_equal(htok_client_error(w.client)->attempts, 1);
    unit_end(&w);
}

static void connection_errors_are_tried_again_only_when_asked_for(void **state)
{
    int asked;
    (void)state;
    for (asked = 0; asked < 2; asked++) {
        unit_world w;
        unit_begin(&w);
        w.options.retry.strategy = HTOK_RETRY_BACKOFF;
        w.options.retry.retry_connection_errors = asked;
        w.net.wires[0].connect_error = 111;
        w.net.wires[1].connect_agains = UINT32_MAX;
        w.net.wires[2].end = HTOK_IO_CLOSED;
        w.net.wires[3].end = HTOK_IO_FAILED;
        w.net.wires[4].replies[0] = REVOKED;
        unit_create(&w);
        start_revoke(&w);
        check_number(unit_finish(&w), asked ? HTOK_STATE_DONE : HTOK_STATE_FAILED, "retry_connection_errors");
        check_number(w.net.count, asked ? 5 : 1, "connections");
        check_number(htok_client_error(w.client)->attempts, asked ? 5 : 1, "attempts");
        unit_end(&w);
    }
}

/* Whatever goes wrong, no second request leaves once a byte of a create did. */
static void a_create_is_never_repeated_once_a_byte_was_sent(void **state)
{
    static const struct {
        const char *reply;
        bool send_fails, send_stalls;
        htok_io end;
        bool effect;
    } rows[] = {
        {NULL, true, false, HTOK_IO_FAILED, true},
        {NULL, true, false, HTOK_IO_CLOSED, true},
        {NULL, false, true, HTOK_IO_AGAIN, true},
        {NULL, false, false, HTOK_IO_AGAIN, true},
        {NULL, false, false, HTOK_IO_CLOSED, true},
        {NULL, false, false, HTOK_IO_FAILED, true},
        {"HTTP/1.1 201 Crea", false, false, HTOK_IO_CLOSED, true},
        {"HTTP/1.1 201 Created\r\n" UNIT_JSON "Content-Length: 99\r\n\r\n{", false, false, HTOK_IO_CLOSED,
         true},
        {"HTTP/1.1 201 Created\r\n" UNIT_JSON "Content-Length: 99\r\n\r\n{", false, false, HTOK_IO_FAILED,
         true},
        {"HTTP/1.1 201 Created\r\n" UNIT_JSON "Content-Length: 2\r\n\r\n{}", false, false, HTOK_IO_AGAIN,
         true},
        {"garbage", false, false, HTOK_IO_AGAIN, true},
        {"HTTP/1.1 503 x\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", false, false, HTOK_IO_AGAIN, true},
        {"HTTP/1.1 429 x\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", false, false, HTOK_IO_AGAIN, false},
        {NOT_FOUND, false, false, HTOK_IO_AGAIN, false},
    };
    size_t i, sent;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        for (sent = 1; sent < 300; sent += rows[i].send_fails || rows[i].send_stalls ? 23 : 1000) {
            unit_world w;
            char label[32];
            snprintf(label, sizeof label, "row %d, %d bytes", (int)i, (int)sent);
            unit_begin(&w);
            with_backoff(&w);
            w.options.retry.codes = "1XX,2XX,3XX,429,5XX";
            w.net.wires[0].replies[0] = rows[i].reply;
            w.net.wires[0].send_fails = rows[i].send_fails;
            w.net.wires[0].send_stalls = rows[i].send_stalls;
            w.net.wires[0].send_limit = sent;
            w.net.wires[0].end = rows[i].end;
            w.net.wires[1].replies[0] = created_answer();
            unit_create(&w);
            start_create(&w);
            check_number(unit_finish(&w), HTOK_STATE_FAILED, label);
            check_number(w.net.count, 1, label);
            check(unit_requests(&w.net.wires[0].sent) <= 1, "%s: two requests", label);
            check_number(htok_client_error(w.client)->may_have_taken_effect, rows[i].effect, label);
            check_number(htok_client_error(w.client)->attempts, 1, label);
            unit_end(&w);
        }
    }
}

static void a_create_is_tried_again_while_nothing_was_sent(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.net.wires[0].open_fails = true;
    w.net.wires[1].connect_error = 111;
    w.net.wires[2].looks_up = true;
    w.net.wires[2].connect_error = -3;
    w.net.wires[3].connect_agains = UINT32_MAX;
    w.net.wires[4].replies[0] = created_answer();
    unit_create(&w);
    start_create(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_int_equal(w.net.count, 5);
    assert_int_equal(htok_client_error(w.client)->attempts, 5);
    assert_int_equal(unit_requests(&w.net.wires[4].sent), 1);
    unit_end(&w);
}

/* A send that took no byte at all left nothing behind, on a new connection and on a stale one. */
static void a_create_is_tried_again_when_the_transport_took_no_byte(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.net.wires[0].send_fails = true;
    w.net.wires[0].end = HTOK_IO_FAILED;
    w.net.wires[1].replies[0] = created_answer();
    w.net.wires[2].replies[0] = created_answer();
    unit_create(&w);
    start_create(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_int_equal(htok_client_error(w.client)->attempts, 2);
    assert_int_equal(w.net.count, 2);
    w.net.wires[1].send_fails = true;
    w.net.wires[1].send_limit = w.net.wires[1].sent.len;
    start_create(&w);
    while (w.net.wires[1].sends < 2) {
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    }
    w.net.wires[1].end = HTOK_IO_CLOSED;
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_int_equal(htok_client_error(w.client)->attempts, 1);
    assert_int_equal(w.net.count, 3);
    unit_end(&w);
}

/* Narrower: after a byte has left nothing is sent again, by a retry or on a new connection, whatever the operation. */
static void with_repeat_unsent_no_request_leaves_twice(void **state)
{
    int operation, how;
    (void)state;
    for (operation = 0; operation < 3; operation++) {
        for (how = 0; how < 4; how++) {
            unit_world w;
            unit_begin(&w);
            with_backoff(&w);
            w.options.retry.repeat = HTOK_REPEAT_UNSENT;
            w.net.wires[0].replies[0] = LIST_EMPTY;
            w.net.wires[0].replies[1] = how == 0 ? BUSY : NULL;
            w.net.wires[0].end = how == 1 ? HTOK_IO_CLOSED : how == 2 ? HTOK_IO_FAILED : HTOK_IO_AGAIN;
            w.net.wires[0].end_requests = 2;
            unit_create(&w);
            start_list(&w);
            assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
            starters[operation](&w);
            check_number(unit_finish(&w), HTOK_STATE_FAILED, operations[operation]);
            check_number(w.net.count, 1, operations[operation]);
            check_number(unit_requests(&w.net.wires[0].sent), 2, operations[operation]);
            check_number(htok_client_error(w.client)->attempts, 1, operations[operation]);
            check_number(htok_client_error(w.client)->may_have_taken_effect, operation != 0,
                         operations[operation]);
            unit_end(&w);
        }
    }
}

static void with_repeat_unsent_a_request_that_never_left_is_tried_again(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.options.retry.repeat = HTOK_REPEAT_UNSENT;
    w.net.wires[0].connect_error = 111;
    w.net.wires[1].send_fails = true;
    w.net.wires[1].end = HTOK_IO_FAILED;
    w.net.wires[2].replies[0] = created_answer();
    unit_create(&w);
    start_create(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_int_equal(htok_client_error(w.client)->attempts, 3);
    unit_end(&w);
}

/* Wider: a create is retried like the others, and what became of the first is not forgotten. */
static void with_repeat_always_a_create_is_tried_again(void **state)
{
    int how;
    (void)state;
    for (how = 0; how < 4; how++) {
        unit_world w;
        htok_call_options call;
        bool stale = how == 3;
        memset(&call, 0, sizeof call);
        unit_begin(&w);
        with_backoff(&w);
        call.retry.repeat = HTOK_REPEAT_ALWAYS;
        w.net.wires[0].replies[0] = stale ? LIST_EMPTY : how == 0 ? BUSY_CLOSE : NULL;
        w.net.wires[0].end = how == 1 || stale ? HTOK_IO_CLOSED : HTOK_IO_AGAIN;
        w.net.wires[0].end_requests = stale ? 2 : 1;
        w.net.wires[1].replies[0] = how == 2 ? "HTTP/1.1 422 x\r\n" UNIT_JSON
                                               "Content-Length: 19\r\n\r\n{\"message\":\"taken\"}"
                                             : created_answer();
        unit_create(&w);
        if (stale) {
            start_list(&w);
            assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
        }
        assert_int_equal(htok_create_org_token_start(w.client, &create_request, &call), HTOK_OK);
        check_number(unit_finish(&w), how == 2 ? HTOK_STATE_FAILED : HTOK_STATE_DONE, "create");
        check_number(w.net.count, 2, "connections");
        check_number(htok_client_error(w.client)->attempts, stale ? 1 : 2, "attempts");
        check_number(htok_client_error(w.client)->may_have_taken_effect, how == 2, "effect");
        unit_end(&w);
    }
}

static void a_failure_before_any_byte_has_no_effect(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].send_fails = true;
    w.net.wires[0].end = HTOK_IO_FAILED;
    unit_create(&w);
    start_create(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_SEND_FAILED, HTOK_PHASE_SEND, "send");
    assert_false(htok_client_error(w.client)->may_have_taken_effect);
    unit_end(&w);
}

static void a_list_is_not_repeated_once_a_token_was_handed_out(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.options.retry.codes = "200,5XX";
    w.net.wires[0].replies[0] = list_of_two();
    w.net.wires[0].reply_limit = 400;
    w.net.wires[0].end = HTOK_IO_FAILED;
    w.net.wires[1].replies[0] = list_of_two();
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    assert_string_equal(w.items.text, UNIT_TOKEN_ALONE("a") "\n");
    assert_int_equal(w.net.count, 1);
    assert_int_equal(htok_client_error(w.client)->reason, HTOK_REASON_RECEIVE_FAILED);
    unit_end(&w);
}

static void an_effect_that_an_earlier_attempt_may_have_had_is_not_forgotten(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.options.retry.max_elapsed_ms = 100;
    w.net.wires[0].end = HTOK_IO_CLOSED;
    w.net.wires[1].connect_error = 111;
    unit_create(&w);
    start_revoke(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_CONNECT_FAILED, HTOK_PHASE_CONNECT, "second attempt");
    assert_int_equal(htok_client_error(w.client)->attempts, 2);
    assert_true(htok_client_error(w.client)->may_have_taken_effect);
    /* and the next call knows nothing of it */
    w.net.wires[2].connect_error = 111;
    w.net.wires[3].connect_error = 111;
    start_revoke(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    assert_false(htok_client_error(w.client)->may_have_taken_effect);
    unit_end(&w);
}

static void a_retry_after_date_needs_a_known_time(void **state)
{
    int known;
    (void)state;
    for (known = 0; known < 3; known++) {
        unit_world w;
        unit_begin(&w);
        with_backoff(&w);
        w.clock_state.unknown = !known;
        w.clock.unix_seconds = known < 2 ? w.clock.unix_seconds : NULL;
        w.clock_state.unix_seconds = 784111777;
        w.net.wires[0].replies[0] =
            "HTTP/1.1 503 x\r\nRetry-After: Sun, 06 Nov 1994 08:49:40 GMT\r\nContent-Length: 0\r\n\r\n";
        w.net.wires[0].replies[1] = LIST_EMPTY;
        unit_create(&w);
        start_list(&w);
        assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
        check_number(w.waited_ms, known == 1 ? 3000 : 0, known == 1 ? "known" : "unknown");
        unit_end(&w);
    }
}

/* ---- Reuse of the connection. ---- */

static void a_connection_is_reused_where_the_answer_left_nothing(void **state)
{
    static const struct {
        const char *reply;
        bool kept;
    } rows[] = {
        {LIST_EMPTY, true},
        {BUSY, true},
        {NOT_FOUND, true},
        {"HTTP/1.1 302 x\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n", true},
        {"HTTP/1.1 200 OK\r\n" UNIT_JSON
         "Transfer-Encoding: chunked\r\n\r\nd\r\n{\"tokens\":[]}\r\n0\r\n\r\n",
         true},
        {"HTTP/1.1 204 x\r\n\r\n", true},
        {BUSY_CLOSE, false},
        {"HTTP/1.0 200 OK\r\n" UNIT_JSON "Content-Length: 13\r\n\r\n{\"tokens\":[]}", false},
        {LIST_EMPTY "x", false},
        {BUSY "HTTP/1.1 200 OK\r\n", false},
        {"HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: 13\r\n\r\n{\"tokens\":[}}", false},
        {"HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: 2\r\n\r\n{}", false},
        {"HTTP/1.1 404 x\r\n" UNIT_JSON "Content-Length: 2\r\n\r\n{}", false},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_world w;
        unit_begin(&w);
        w.net.wires[0].replies[0] = rows[i].reply;
        w.net.wires[0].replies[1] = REVOKED;
        w.net.wires[1].replies[0] = REVOKED;
        unit_create(&w);
        start_list(&w);
        unit_finish(&w);
        check_number(w.net.is_open, rows[i].kept, rows[i].reply);
        start_revoke(&w);
        check_number(unit_finish(&w), HTOK_STATE_DONE, rows[i].reply);
        check_number(w.net.count, rows[i].kept ? 1 : 2, rows[i].reply);
        unit_end(&w);
    }
}

static void another_origin_gets_a_connection_of_its_own(void **state)
{
    static const struct {
        const char *first, *second;
        bool same;
    } rows[] = {
        {"https://h", "https://h/prefix", true},
        {"https://h", "https://H:443/", true},
        {"https://h", "https://h.", true},
        {"https://h", "https://h2", false},
        {"https://h", "https://h:444", false},
        {"https://localhost:80", "http://localhost", false},
        {"http://localhost", "http://127.0.0.1", false},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_world w;
        htok_call_options call;
        memset(&call, 0, sizeof call);
        unit_begin(&w);
        w.options.server_url = rows[i].first;
        w.net.wires[0].replies[0] = LIST_EMPTY;
        w.net.wires[0].replies[1] = LIST_EMPTY;
        w.net.wires[1].replies[0] = LIST_EMPTY;
        unit_create(&w);
        start_list(&w);
        assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
        call.server_url = rows[i].second;
        assert_int_equal(htok_get_org_tokens_start(w.client, &call), HTOK_OK);
        assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
        check_number(w.net.count, rows[i].same ? 1 : 2, rows[i].second);
        unit_end(&w);
    }
}

static void a_connection_that_closed_or_spoke_while_idle_is_replaced(void **state)
{
    int operation, spoke;
    (void)state;
    for (operation = 0; operation < 3; operation++) {
        for (spoke = 0; spoke < 3; spoke++) {
            unit_world w;
            const char *answer = operation == 0 ? LIST_EMPTY : operation == 1 ? created_answer() : REVOKED;
            unit_begin(&w);
            w.net.wires[0].replies[0] = LIST_EMPTY;
            w.net.wires[1].replies[0] = answer;
            unit_create(&w);
            start_list(&w);
            assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
            w.net.wires[0].end = spoke == 1 ? HTOK_IO_CLOSED : HTOK_IO_FAILED;
            if (spoke == 2) {
                w.net.wires[0].replies[1] = "HTTP/1.1 408 Request Timeout\r\n\r\n";
                w.net.wires[0].replies_early = true;
            }
            starters[operation](&w);
            check_number(unit_finish(&w), HTOK_STATE_DONE, operations[operation]);
            check_number(w.net.count, 2, "connections");
            check_number(unit_requests(&w.net.wires[0].sent), 1, "requests on the dead one");
            check_number(htok_client_error(w.client)->attempts, 1, "attempts");
            unit_end(&w);
        }
    }
}

/* The kept connection dies under the request: once replaced for what may be repeated, never for a create. */
static void cancelling_after_a_connection_was_found_stale_counts_the_attempt(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].replies[0] = LIST_EMPTY;
    w.net.wires[0].end = HTOK_IO_CLOSED;
    w.net.wires[0].end_requests = 2;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    start_revoke(&w);
    while (w.net.is_open) {
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    }
    htok_client_cancel(w.client);
    check_error(&w, HTOK_REASON_CANCELLED, HTOK_PHASE_NONE, "cancelled");
    check_number(htok_client_error(w.client)->attempts, 1, "attempts");
    check_number(htok_client_error(w.client)->may_have_taken_effect, true, "effect");
    check_number(w.net.count, 1, "connections");
    unit_end(&w);
}

static void a_stale_connection_is_replaced_once(void **state)
{
    static const htok_io ends[] = {HTOK_IO_CLOSED, HTOK_IO_FAILED};
    int operation;
    size_t i;
    (void)state;
    for (operation = 0; operation < 3; operation++) {
        for (i = 0; i < 2; i++) {
            unit_world w;
            unit_begin(&w);
            w.net.wires[0].replies[0] = LIST_EMPTY;
            w.net.wires[0].end = ends[i];
            w.net.wires[0].end_requests = 2;
            w.net.wires[1].replies[0] = operation == 0   ? LIST_EMPTY
                                        : operation == 1 ? created_answer()
                                                         : REVOKED;
            unit_create(&w);
            start_list(&w);
            assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
            starters[operation](&w);
            check_number(unit_finish(&w), operation == 1 ? HTOK_STATE_FAILED : HTOK_STATE_DONE,
                         operations[operation]);
            check_number(w.net.count, operation == 1 ? 1 : 2, operations[operation]);
            check_number(htok_client_error(w.client)->attempts, 1, operations[operation]);
            check_number(htok_client_error(w.client)->may_have_taken_effect, operation == 1,
                         operations[operation]);
            unit_end(&w);
        }
    }
}

static void a_replaced_connection_that_dies_too_is_an_error(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].replies[0] = LIST_EMPTY;
    w.net.wires[0].end = w.net.wires[1].end = HTOK_IO_CLOSED;
    w.net.wires[0].end_requests = 2;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    start_revoke(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_CLOSED_EARLY, HTOK_PHASE_HEAD, "second connection");
    assert_true(htok_client_error(w.client)->may_have_taken_effect);
    assert_int_equal(w.net.count, 2);
    unit_end(&w);
}

static void an_effect_on_a_stale_connection_is_not_forgotten(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].replies[0] = LIST_EMPTY;
    w.net.wires[0].end = HTOK_IO_CLOSED;
    w.net.wires[0].end_requests = 2;
    w.net.wires[1].connect_error = 111;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    start_revoke(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check_error(&w, HTOK_REASON_CONNECT_FAILED, HTOK_PHASE_CONNECT, "second connection");
    assert_true(htok_client_error(w.client)->may_have_taken_effect);
    unit_end(&w);
}

static void a_connection_that_answered_in_part_is_not_replaced(void **state)
{
    static const char *const parts[] = {"H", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\n"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(parts); i++) {
        unit_world w;
        unit_begin(&w);
        w.net.wires[0].replies[0] = LIST_EMPTY;
        w.net.wires[0].replies[1] = parts[i];
        w.net.wires[0].end = HTOK_IO_CLOSED;
        w.net.wires[0].end_requests = 2;
        unit_create(&w);
        start_list(&w);
        assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
        start_list(&w);
        assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
        check_error(&w, HTOK_REASON_CLOSED_EARLY, HTOK_PHASE_HEAD, parts[i]);
        check_number(w.net.count, 1, parts[i]);
        unit_end(&w);
    }
}

static void replacing_a_connection_does_not_renew_the_deadline(void **state)
{
    unit_world w;
    uint64_t before;
    (void)state;
    unit_begin(&w);
    w.options.timeout_ms = 1000;
    w.net.wires[0].replies[0] = LIST_EMPTY;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    start_list(&w);
    while (unit_requests(&w.net.wires[0].sent) < 2) {
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    }
    before = w.waited_ms;
    w.clock_state.now_ms += 600;
    w.net.wires[0].end = HTOK_IO_CLOSED;
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    assert_int_equal(htok_client_error(w.client)->reason, HTOK_REASON_TIMEOUT);
    assert_int_equal(w.net.count, 2);
    assert_int_equal(w.waited_ms - before, 400);
    unit_end(&w);
}

/* ---- Cancelling. ---- */

/* Cancels after so many polls; true while the call was still going on. */
static bool cancel_after(int operation, unsigned polls)
{
    unit_world w;
    unsigned i, attempts;
    bool going = true, sent, effect;
    unit_begin(&w);
    with_backoff(&w);
    w.slice_ms = 1;
    w.net.wires[0].connect_agains = 2;
    w.net.wires[0].send_most = 100;
    w.net.wires[0].receive_most = 60;
    w.net.wires[0].receive_agains = true;
    w.net.wires[0].replies[0] = operation == 0 ? list_of_two()
                                : operation == 1
                                    ? created_answer()
                                    : "HTTP/1.1 503 x\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    w.net.wires[1].replies[0] = operation == 0 ? LIST_EMPTY : operation == 1 ? created_answer() : REVOKED;
    w.net.wires[0].replies[1] = REVOKED;
    unit_create(&w);
    starters[operation](&w);
    for (i = 0; i < polls && going; i++) {
        htok_state found = htok_client_poll(w.client);
        htok_wait wait = htok_client_wait(w.client);
        going = found == HTOK_STATE_PENDING || found == HTOK_STATE_ITEM;
        w.clock_state.now_ms += wait.timeout_ms ? 100 : 0;
    }
    sent = w.net.count != 0 && w.net.wires[0].sent.len != 0;
    effect = sent && operation != 0;
    attempts = htok_client_error(w.client)->attempts;
    check((attempts == 0) == (w.net.count == 0), "%u attempts, %d connections", attempts, (int)w.net.count);
    htok_client_cancel(w.client);
    if (going) {
        const htok_error *e = htok_client_error(w.client);
        check_number(htok_client_poll(w.client), HTOK_STATE_FAILED, operations[operation]);
        check_number(e->kind, HTOK_REQUEST_ABORTED_ERROR, operations[operation]);
        check_number(e->reason, HTOK_REASON_CANCELLED, operations[operation]);
        check_number(e->may_have_taken_effect, effect, operations[operation]);
        check(!w.net.is_open, "the connection of a cancelled call is kept");
        check_number(e->attempts, attempts, "attempts");
        check_number(htok_client_wait(w.client).timeout_ms, 0, "wait");
        assert_null(htok_client_item(w.client));
        assert_null(htok_client_created(w.client));
        assert_false(htok_client_revoked(w.client));
    }
    /* the client can go on */
    if (!w.net.is_open) {
        w.net.count = 1;
        start_list(&w);
        w.net.wires[1].replies[0] = LIST_EMPTY;
        check_number(unit_finish(&w), HTOK_STATE_DONE, "a call after a cancelled one");
    }
    unit_end(&w);
    return going;
}

static void a_call_can_be_cancelled_after_every_poll(void **state)
{
    int operation;
    (void)state;
    for (operation = 0; operation < 3; operation++) {
        unsigned polls = 0;
        while (cancel_after(operation, polls)) {
            polls++;
            check(polls < 1000, "%s does not end", operations[operation]);
        }
        check(polls > 8, "%s ended after %u polls", operations[operation], polls);
    }
}

static void cancelling_nothing_does_nothing(void **state)
{
    unit_world w;
    (void)state;
    htok_client_cancel(NULL);
    unit_begin(&w);
    w.net.wires[0].replies[0] = LIST_EMPTY;
    unit_create(&w);
    htok_client_cancel(w.client);
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_IDLE);
    assert_int_equal(htok_client_error(w.client)->kind, HTOK_OK);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    htok_client_cancel(w.client);
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_DONE);
    assert_int_equal(htok_client_error(w.client)->kind, HTOK_OK);
    assert_true(w.net.is_open);
    unit_end(&w);
}

static void cancelling_a_wait_counts_the_attempts_made(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.net.wires[0].replies[0] = "HTTP/1.1 503 x\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n";
    unit_create(&w);
    start_revoke(&w);
    while (w.net.wires[0].given == 0) {
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    }
    htok_client_cancel(w.client);
    check_error(&w, HTOK_REASON_CANCELLED, HTOK_PHASE_WAIT, "wait");
    assert_int_equal(htok_client_error(w.client)->attempts, 1);
    unit_end(&w);
}

/* ---- The token. ---- */

typedef struct provider {
    unsigned calls;
    bool fails;
    const char *tokens[4];
} provider;

static bool provide(void *context, htok_view *token)
{
    provider *p = (provider *)context;
    *token = htoki_text(p->tokens[p->calls % 4]);
    p->calls++;
    return !p->fails;
}

static void the_provider_is_asked_before_each_request(void **state)
{
    unit_world w;
    provider p = {0, false, {"first", "Bearer second", NULL, "fourth"}};
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.options.token = NULL;
    w.options.token_provider = provide;
    w.options.token_context = &p;
    w.net.wires[0].replies[0] = BUSY_CLOSE;
    w.net.wires[1].replies[0] = BUSY_CLOSE;
    w.net.wires[2].replies[0] = LIST_EMPTY;
    w.net.wires[2].replies[1] = LIST_EMPTY;
    unit_create(&w);
    assert_int_equal(p.calls, 0);
    start_list(&w);
    assert_int_equal(p.calls, 0);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_int_equal(p.calls, 4);
    assert_non_null(strstr(w.net.wires[0].sent.text, "\r\nAuthorization: Bearer first\r\n"));
    assert_non_null(strstr(w.net.wires[1].sent.text, "\r\nAuthorization: Bearer second\r\n"));
    assert_non_null(strstr(w.net.wires[2].sent.text, "\r\nAuthorization: Bearer fourth\r\n"));
    assert_non_null(strstr(w.net.wires[2].sent.text, "identity\r\n\r\nGET"));
    unit_end(&w);
}

static void a_provider_that_fails_ends_the_call(void **state)
{
    static const struct {
        bool fails;
        const char *token;
        htok_kind kind;
        htok_reason reason;
    } rows[] = {
        {true, "x", HTOK_UNEXPECTED_CLIENT_ERROR, HTOK_REASON_TOKEN_PROVIDER},
        {false, "", HTOK_INVALID_REQUEST_ERROR, HTOK_REASON_TEXT_EMPTY},
        {false, "a\r\nHost: evil", HTOK_INVALID_REQUEST_ERROR, HTOK_REASON_TEXT_CONTROL},
        {false, "a b", HTOK_INVALID_REQUEST_ERROR, HTOK_REASON_HEADER_VALUE},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_world w;
        provider p = {0, false, {NULL, NULL, NULL, NULL}};
        unit_begin(&w);
        with_backoff(&w);
        p.fails = rows[i].fails;
        p.tokens[0] = rows[i].token;
        w.options.token = NULL;
        w.options.token_provider = provide;
        w.options.token_context = &p;
        unit_create(&w);
        start_list(&w);
        assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
        check_number(htok_client_error(w.client)->kind, rows[i].kind, rows[i].token);
        check_error(&w, rows[i].reason, HTOK_PHASE_OPTION, rows[i].token);
        check_number(w.net.count, 0, "nothing is opened");
        check_number(p.calls, 1, "calls");
        unit_end(&w);
    }
}

/* What went before was answered by 503, by 429, by nothing on a kept connection. */
static void a_provider_that_fails_later_does_not_undo_what_was_sent(void **state)
{
    unsigned i;
    (void)state;
    for (i = 0; i < 3; i++) {
        unit_world w;
        provider p = {0, false, {"first", "a b", "a b", "a b"}};
        unit_begin(&w);
        with_backoff(&w);
        w.options.token = NULL;
        w.options.token_provider = provide;
        w.options.token_context = &p;
        w.net.wires[0].replies[0] = i == 0   ? BUSY_CLOSE
                                    : i == 1 ? "HTTP/1.1 429 x\r\nContent-Length: 0\r\n\r\n"
                                             : REVOKED;
        w.net.wires[0].end = i == 2 ? HTOK_IO_CLOSED : HTOK_IO_AGAIN;
        w.net.wires[0].end_requests = 2;
        unit_create(&w);
        if (i == 2) {
            start_revoke(&w);
            assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
            p.calls = 0;
        }
        start_revoke(&w);
        assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
        check_number(p.calls, 2, "calls");
        check_error(&w, HTOK_REASON_HEADER_VALUE, HTOK_PHASE_OPTION, "the second token");
        check_number(htok_client_error(w.client)->may_have_taken_effect, i != 1, "effect");
        unit_end(&w);
    }
}

static void without_a_token_there_is_no_authorization(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.options.token = NULL;
    w.net.wires[0].replies[0] = LIST_EMPTY;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_null(strstr(w.net.wires[0].sent.text, "Authorization"));
    unit_end(&w);
}

/* ---- Limits. ---- */

static void limits_are_those_of_the_options(void **state)
{
    static const char interim[] = "HTTP/1.1 100 x\r\n\r\n" LIST_EMPTY;
    static const char page[] = "HTTP/1.1 500 x\r\nContent-Length: 5\r\n\r\nhello";
    static const struct {
        const char *reply;
        uint32_t head, fields, interim, error_body, element;
        uint64_t body;
        htok_reason reason;
    } rows[] = {
        {LIST_EMPTY, 0, 0, 0, 0, 0, 0, HTOK_REASON_NONE},
        {LIST_EMPTY, 50, 0, 0, 0, 0, 0, HTOK_REASON_HTTP_HEAD_LIMIT},
        {LIST_EMPTY, 0, 1, 0, 0, 0, 0, HTOK_REASON_HTTP_FIELD_LIMIT},
        {LIST_EMPTY, 0, 2, 0, 0, 0, 13, HTOK_REASON_NONE},
        {LIST_EMPTY, 0, 0, 0, 0, 0, 12, HTOK_REASON_BODY_LIMIT},
        {interim, 0, 0, 1, 0, 0, 0, HTOK_REASON_NONE},
        {"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 100 x\r\n\r\n", 0, 0, 1, 0, 0, 0, HTOK_REASON_HTTP_INTERIM_LIMIT},
        {page, 0, 0, 0, 5, 0, 0, HTOK_REASON_STATUS_ERROR},
        {page, 0, 0, 0, 4, 0, 0, HTOK_REASON_ERROR_BODY_LIMIT},
        {"HTTP/1.1 200 OK\r\n" UNIT_JSON "\r\n{\"tokens\":[" UNIT_TOKEN, 0, 0, 0, 0, 100, 0,
         HTOK_REASON_ELEMENT_LIMIT},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_world w;
        char label[16];
        snprintf(label, sizeof label, "row %d", (int)i);
        unit_begin(&w);
        w.options.max_head_bytes = rows[i].head;
        w.options.max_fields = rows[i].fields;
        w.options.max_interim = rows[i].interim;
        w.options.max_error_body_bytes = rows[i].error_body;
        w.options.max_element_bytes = rows[i].element;
        w.options.max_body_bytes = rows[i].body;
        w.net.wires[0].replies[0] = rows[i].reply;
        unit_create(&w);
        start_list(&w);
        unit_finish(&w);
        check_text(htok_reason_name(htok_client_error(w.client)->reason), htok_reason_name(rows[i].reason),
                   label);
        unit_end(&w);
    }
}

/* ---- A long list. ---- */

enum { LONG_LIST = 100000 };

/* A transport that makes up an answer of LONG_LIST tokens, in chunks. */
typedef struct long_list {
    unsigned next;
    char piece[1024];
    size_t begin, end;
} long_list;

static htok_io long_open(void *context, const char *host, uint16_t port, htok_io_detail *detail)
{
    (void)context;
    (void)host;
    (void)port;
    (void)detail;
    return HTOK_IO_AGAIN;
}

static htok_io long_connect(void *context, uint64_t now_ms, htok_io_detail *detail)
{
    (void)context;
    (void)now_ms;
    (void)detail;
    return HTOK_IO_OK;
}

static htok_io long_send(void *context, const void *bytes, size_t len, htok_io_detail *detail)
{
    (void)context;
    (void)bytes;
    detail->moved = len;
    return HTOK_IO_OK;
}

static void long_token(unsigned number, char *text, size_t size)
{
    snprintf(text, size,
             "{\"orgTokenId\":\"org-token-%u\",\"orgId\":\"org-1\",\"name\":\"n%u\",\"status\":\"%s\","
             "\"lastFourCharsOfKey\":\"%04u\",\"createdBy\":\"dev@example.com\",\"createdAt\":\"2024-02-"
             "29T12:34:%02uZ\""
             "%s}",
             number, number * 7, number % 3 ? "active" : "revoked", number % 10000, number % 60,
             number % 5 ? ",\"scopes\":[\"tokens:read\",\"builds:read\"]" : "");
}

static htok_io long_receive(void *context, void *bytes, size_t size, htok_io_detail *detail)
{
    long_list *l = (long_list *)context;
    char *out = (char *)bytes;
    while (detail->moved < size) {
        size_t n;
        if (l->begin == l->end) {
            char token[512], chunk[600];
            if (l->next > LONG_LIST + 1) {
                break;
            }
            if (l->next == 0) {
                snprintf(l->piece, sizeof l->piece,
                         "HTTP/1.1 200 OK\r\n" UNIT_JSON
                         "Transfer-Encoding: chunked\r\n\r\nb\r\n{\"tokens\":[\r\n");
            } else if (l->next == LONG_LIST + 1) {
                snprintf(l->piece, sizeof l->piece, "2\r\n]}\r\n0\r\n\r\n");
            } else {
                long_token(l->next - 1, token, sizeof token);
                snprintf(chunk, sizeof chunk, "%s%s", l->next > 1 ? "," : "", token);
                snprintf(l->piece, sizeof l->piece, "%lx\r\n%s\r\n", (unsigned long)strlen(chunk), chunk);
            }
            l->next++;
            l->begin = 0;
            l->end = strlen(l->piece);
        }
        n = l->end - l->begin < size - detail->moved ? l->end - l->begin : size - detail->moved;
        memcpy(out + detail->moved, l->piece + l->begin, n);
        l->begin += n;
        detail->moved += n;
    }
    return detail->moved ? HTOK_IO_OK : HTOK_IO_AGAIN;
}

static void long_close(void *context)
{
    (void)context;
}

static void a_hundred_thousand_tokens_stream_through_the_default_block(void **state)
{
    static char block[HTOK_CLIENT_BYTES];
    static long_list list;
    unit_world w;
    htok_error e;
    unsigned count = 0;
    htok_state found;
    (void)state;
    unit_begin(&w);
    w.transport.context = &list;
    w.transport.open = long_open;
    w.transport.connect = long_connect;
    w.transport.send = long_send;
    w.transport.receive = long_receive;
    w.transport.close = long_close;
    w.transport.wait = NULL;
    w.options.logger = NULL;
    w.options.allocator = NULL;
    assert_int_equal(htok_client_init(&w.client, block, sizeof block, &w.options, &e), HTOK_OK);
    start_list(&w);
    while ((found = htok_client_poll(w.client)) == HTOK_STATE_PENDING || found == HTOK_STATE_ITEM) {
        if (found == HTOK_STATE_ITEM) {
            char wanted[512], got[512];
            long_token(count, wanted, sizeof wanted);
            htok_org_token_json(htok_client_item(w.client), got, sizeof got);
            check(strcmp(got, wanted) == 0, "token %u: %s", count, got);
            count++;
        }
    }
    assert_int_equal(found, HTOK_STATE_DONE);
    assert_int_equal(count, LONG_LIST);
    htok_client_close(w.client);
}

#ifdef UNIT_BLOCKING
/* ---- Collecting. ---- */

/* Three tokens, of which the second and third have scopes. */
static const char *list_of_three(void)
{
    static char text[2048];
    static const char body[] = "{\"tokens\":[" UNIT_TOKEN_ALONE(
        "a") ",{\"scopes\":[\"s-1\",\"s-22\",\"s-333\"],\"orgTokenId\":\"b\",\"orgId\":\"org-1\","
             "\"name\":\"nul \\u0000 "
             "inside\",\"status\":\"odd\",\"lastFourCharsOfKey\":\"abcd\",\"createdBy\":\"\","
             "\"createdAt\":\"2024-02-29T12:34:56Z\"},{\"scopes\":\"other\",\"orgTokenId\":\"c\",\"orgId\":"
             "\"org-1\",\"name\":\"n\","
             "\"status\":\"revoked\",\"lastFourCharsOfKey\":\"abcd\",\"createdBy\":\"d\",\"createdAt\":"
             "\"2024-02-29T12:34:56Z\"}]}";
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: %d\r\n\r\n%s",
             (int)strlen(body), body);
    return text;
}

static void a_list_is_collected_all_or_nothing_in_the_bytes_needed(void **state)
{
    size_t bytes, needed = 0;
    (void)state;
    for (bytes = 0; needed == 0 || bytes <= needed + 40; bytes++) {
        unit_world w;
        htok_org_token_list list;
        htok_kind kind;
        memset(&list, 0, sizeof list);
        unit_begin(&w);
        w.net.wires[0].replies[0] = list_of_three();
        unit_create(&w);
        list.memory = bytes ? malloc(bytes) : NULL;
        list.bytes = bytes;
        list.bytes_needed = bytes; /* to be overwritten */
        kind = htok_collect_org_tokens(w.client, NULL, &list);
        needed = needed ? needed : list.bytes_needed;
        check(list.bytes_needed == needed, "with %d bytes %d are needed, not %d", (int)bytes,
              (int)list.bytes_needed, (int)needed);
        check(kind == HTOK_OK || kind == HTOK_UNEXPECTED_CLIENT_ERROR, "%s", htok_kind_name(kind));
        check(kind == HTOK_OK || bytes < needed, "%d bytes are not enough", (int)bytes);
        check(kind != HTOK_OK || bytes + 40 > needed, "%d bytes of %d are enough", (int)bytes, (int)needed);
        if (kind == HTOK_OK) {
            char line[512];
            assert_int_equal(list.count, 3);
            htok_org_token_json(&list.tokens[0], line, sizeof line);
            assert_string_equal(line, UNIT_TOKEN_ALONE("a"));
            check_view(list.tokens[1].org_token_id, "b", "id");
            check_bytes_at(list.tokens[1].name.ptr, list.tokens[1].name.len, "nul \0 inside", 12, "name",
                           __FILE__, __LINE__);
            assert_int_equal(list.tokens[1].name.ptr[12], '\0');
            assert_int_equal(list.tokens[1].status, HTOK_TOKEN_STATUS_OTHER);
            check_view(list.tokens[1].status_text, "odd", "status");
            assert_int_equal(list.tokens[1].scope_count, 3);
            check_view(list.tokens[1].scopes[2], "s-333", "scope");
            assert_int_equal(list.tokens[2].scopes_form, HTOK_SCOPES_OTHER);
            check_view(list.tokens[2].scopes[0], "other", "scope");
            assert_int_equal(list.tokens[2].created_at_ms, 1709210096000);
            assert_int_equal(htok_client_poll(w.client), HTOK_STATE_DONE);
        } else {
            assert_int_equal(htok_client_error(w.client)->reason, HTOK_REASON_LIST_FULL);
            assert_int_equal(htok_client_poll(w.client), HTOK_STATE_FAILED);
            assert_int_equal(list.count, 0);
            assert_null(list.tokens);
        }
        free(list.memory);
        unit_end(&w);
    }
}

static void an_empty_list_needs_no_memory(void **state)
{
    unit_world w;
    htok_org_token_list list;
    (void)state;
    memset(&list, 0xff, sizeof list);
    list.memory = NULL;
    list.bytes = 0;
    unit_begin(&w);
    w.net.wires[0].replies[0] = LIST_EMPTY;
    unit_create(&w);
    assert_int_equal(htok_collect_org_tokens(w.client, NULL, &list), HTOK_OK);
    assert_int_equal(list.count, 0);
    unit_end(&w);
}

static void a_list_is_collected_only_where_there_is_a_place(void **state)
{
    unit_world w;
    htok_org_token_list list;
    (void)state;
    memset(&list, 0, sizeof list);
    unit_begin(&w);
    unit_create(&w);
    assert_int_equal(htok_collect_org_tokens(NULL, NULL, &list), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_collect_org_tokens(NULL, NULL, NULL), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_collect_org_tokens(w.client, NULL, NULL), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_client_error(w.client)->reason, HTOK_REASON_ARGUMENT_NULL);
    assert_string_equal(htok_client_error(w.client)->path, "list");
    list.bytes = 1;
    assert_int_equal(htok_collect_org_tokens(w.client, NULL, &list), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_client_error(w.client)->reason, HTOK_REASON_ARGUMENT_NULL);
    assert_string_equal(htok_client_error(w.client)->path, "list.memory");
    assert_int_equal(w.net.count, 0);
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_FAILED);
    assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
    assert_int_equal(htok_collect_org_tokens(w.client, NULL, &list), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_client_error(w.client)->kind, HTOK_OK);
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
    unit_end(&w);
}

static void a_list_that_breaks_collects_nothing(void **state)
{
    unit_world w;
    htok_org_token_list list;
    (void)state;
    memset(&list, 0, sizeof list);
    list.bytes = 4096;
    list.memory = malloc(list.bytes);
    unit_begin(&w);
    w.net.wires[0].replies[0] = list_of_three();
    w.net.wires[0].reply_limit = 400;
    w.net.wires[0].end = HTOK_IO_CLOSED;
    unit_create(&w);
    assert_int_equal(htok_collect_org_tokens(w.client, NULL, &list), HTOK_RESPONSE_VALIDATION_ERROR);
    assert_int_equal(htok_client_error(w.client)->reason, HTOK_REASON_BODY_TRUNCATED);
    assert_int_equal(list.count, 0);
    assert_null(list.tokens);
    free(list.memory);
    unit_end(&w);
}

/* ---- Blocking calls. ---- */

static bool count_up_to(void *context, const htok_org_token *token)
{
    unsigned *left = (unsigned *)context;
    assert_true(token->org_token_id.len == 1);
    return --*left != 0;
}

static void blocking_calls_give_what_the_steps_give(void **state)
{
    unit_world w;
    const htok_created_org_token *created = NULL;
    bool revoked = false;
    unsigned left = 10;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].replies[0] = list_of_two();
    w.net.wires[0].replies[1] = created_answer();
    w.net.wires[0].replies[2] = REVOKED;
    w.net.wires[0].replies[3] = NOT_FOUND;
    w.net.wires[0].replies[4] = list_of_two();
    unit_create(&w);
    assert_int_equal(htok_get_org_tokens(w.client, NULL, count_up_to, &left), HTOK_OK);
    assert_int_equal(left, 8);
    assert_int_equal(htok_create_org_token(w.client, &create_request, NULL, &created), HTOK_OK);
    check_view(created->plain_text_token, "PLAIN-CANARY-2", "plain text");
    assert_int_equal(htok_revoke_org_token(w.client, "x", NULL, &revoked), HTOK_OK);
    assert_true(revoked);
    assert_int_equal(htok_revoke_org_token(w.client, "x", NULL, &revoked), HTOK_API_ERROR);
    assert_false(revoked);
    assert_int_equal(htok_create_org_token(w.client, NULL, NULL, &created), HTOK_INVALID_REQUEST_ERROR);
    assert_null(created);
    left = 1;
    assert_int_equal(htok_get_org_tokens(w.client, NULL, count_up_to, &left), HTOK_REQUEST_ABORTED_ERROR);
    assert_int_equal(left, 0);
    assert_false(w.net.is_open);
    unit_end(&w);
}

static void blocking_calls_need_something_to_wait_on(void **state)
{
    unit_world w;
    bool revoked = true;
    (void)state;
    unit_begin(&w);
    w.transport.wait = NULL;
    unit_create(&w);
    assert_int_equal(htok_revoke_org_token(w.client, "x", NULL, &revoked), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_client_error(w.client)->reason, HTOK_REASON_HOOK_MISSING);
    assert_false(revoked);
    assert_int_equal(htok_get_org_tokens(w.client, NULL, NULL, NULL), HTOK_INVALID_REQUEST_ERROR);
    assert_string_equal(htok_client_error(w.client)->path, "transport.wait");
    assert_int_equal(w.net.count, 0);
    unit_end(&w);
}
#endif

/* ---- Memory and secrets. ---- */

static void nothing_is_allocated_after_the_client_was_made(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.net.wires[0].replies[0] = list_of_two();
    w.net.wires[0].replies[1] = BUSY_CLOSE;
    w.net.wires[1].replies[0] = created_answer();
    w.net.wires[1].replies[1] = NOT_FOUND;
    unit_create(&w);
    assert_int_equal(w.memory_state.taken, 1);
    assert_int_equal(w.memory_state.bytes_out, htok_client_bytes(&w.options));
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    start_list(&w);
    htok_client_poll(w.client);
    htok_client_cancel(w.client);
    start_create(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    start_revoke(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    assert_int_equal(w.memory_state.taken, 1);
    assert_int_equal(w.memory_state.released, 0);
    unit_end(&w);
    assert_int_equal(w.memory_state.released, 1);
}

static size_t occurrences(const void *memory, size_t bytes, const char *text)
{
    size_t len = strlen(text), at, count = 0;
    for (at = 0; at + len <= bytes; at++) {
        count += memcmp((const char *)memory + at, text, len) == 0;
    }
    return count;
}

/* Calls and ends them in many ways in a block of the test's own, which is searched for secrets. */
static void secrets_do_not_outlive_their_use(void **state)
{
    static const htok_header headers[] = {{"X-Api-Key", "HEADER-CANARY-3"}};
    size_t bytes, receive, i;
    (void)state;
    for (receive = 1; receive < 700; receive = receive * 5) {
        for (i = 0; i < 9; i++) {
            unit_world w;
            htok_error e;
            char *block;
            unit_begin(&w);
            w.options.headers = headers;
            w.options.header_count = 1;
            w.net.wires[0].replies[0] =
                i == 2 ? "HTTP/1.1 500 x\r\nContent-Length: 57\r\n\r\n" UNIT_SECRET
                         " and HEADER-CANARY-3 and PLAIN-CANARY-2"
                : i == 3 ? "HTTP/1.1 201 x\r\n" UNIT_JSON
                           "Content-Length: 63\r\n\r\n{\"plainTextToken\":\"PLAIN-CANARY-2\",\"x"
                : i == 4 ? "HTTP/1.1 201 x\r\n" UNIT_JSON
                           "Content-Length: 37\r\n\r\n{\"plainTextToken\":\"PLAIN-CANARY-2\",}xx"
                : i >= 7 ? "HTTP/1.1 422 x\r\n" UNIT_JSON
                           "Content-Length: 32\r\n\r\n{\"message\":\"no: PLAIN-CANARY-2\"}"
                         : created_answer();
            w.net.wires[0].receive_most = receive;
            w.net.wires[0].end = i == 3 ? HTOK_IO_CLOSED : HTOK_IO_AGAIN;
            w.net.wires[0].replies[1] = LIST_EMPTY;
            w.options.logger = &w.logger;
            bytes = htok_client_bytes(&w.options);
            block = (char *)calloc(1, bytes);
            assert_int_equal(htok_client_init(&w.client, block, bytes, &w.options, &e), HTOK_OK);
            start_create(&w);
            if (i == 5) {
                while (w.net.wires[0].given < 200) {
                    htok_client_poll(w.client);
                }
                htok_client_cancel(w.client);
            } else if (i != 6) {
                unit_finish(&w);
            }
            if (i != 2) { /* there the server repeated it: that lies in the work buffer until it is wiped */
                check_number(occurrences(block, bytes, "CANARY-1"), 0, "the dev token is copied");
                check_number(occurrences(block, bytes, "CANARY-3"), 0, "a header's value is copied");
            }
            if (i < 2) {
                check_number(occurrences(block, bytes, "CANARY-2"), 1, "the plain text, once");
                check_view(htok_client_created(w.client)->plain_text_token, "PLAIN-CANARY-2", "plain text");
            }
            if (i == 0) {
                start_list(&w);
                check_number(occurrences(block, bytes, "CANARY-2"), 0, "the plain text after the next start");
                unit_finish(&w);
            } else if (i != 6) {
                if (i == 8) {
                    check_number(htok_client_import_session(w.client, "x", 1), HTOK_INVALID_REQUEST_ERROR,
                                 "an import takes the record's place");
                }
                htok_client_wipe(w.client);
                check_number(occurrences(block, bytes, "CANARY"), 0, "after htok_client_wipe()");
                assert_null(htok_client_created(w.client));
                assert_int_equal(htok_client_error(w.client)->message.len, 0);
                assert_int_equal(htok_client_error(w.client)->body.len, 0);
            }
            htok_client_close(w.client);
            check_number(occurrences(block, bytes, "CANARY"), 0, "after htok_client_close()");
            w.client = NULL;
            free(block);
            unit_end(&w);
        }
    }
}

static void a_created_client_wipes_before_it_releases(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.memory_state.canary = "CANARY";
    w.net.wires[0].replies[0] = created_answer();
    unit_create(&w);
    start_create(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    unit_end(&w);
    assert_int_equal(w.memory_state.released, 1);
    assert_false(w.memory_state.dirty);
}

static void wiping_during_a_call_does_not_harm_it(void **state)
{
    unit_world w;
    (void)state;
    htok_client_wipe(NULL);
    unit_begin(&w);
    w.net.wires[0].replies[0] = list_of_two();
    w.net.wires[0].receive_most = 20;
    unit_create(&w);
    htok_client_wipe(w.client);
    start_list(&w);
    while (htok_client_poll(w.client) != HTOK_STATE_ITEM) {
        htok_client_wipe(w.client);
    }
    check_view(htok_client_item(w.client)->org_token_id, "a", "item");
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_string_equal(w.items.text, UNIT_TOKEN_ALONE("b") "\n");
    unit_end(&w);
}

static void the_log_names_what_happens_and_no_secret(void **state)
{
    static const htok_header headers[] = {{"X-Api-Key", "HEADER-CANARY-3"}};
    unit_world w;
    (void)state;
    unit_begin(&w);
    with_backoff(&w);
    w.options.headers = headers;
    w.options.header_count = 1;
    w.net.wires[0].replies[0] = BUSY;
    w.net.wires[0].replies[1] = created_answer();
    unit_create(&w);
    start_list(&w);
    htok_client_poll(w.client);
    htok_client_poll(w.client);
    htok_client_poll(w.client);
    htok_client_cancel(w.client);
    w.net.wires[1].replies[0] = created_answer();
    start_create(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_non_null(strstr(w.log.text, "> GET /tokens/v1/orgs/org-1 HTTP/1.1\n"));
    assert_non_null(strstr(w.log.text, "> POST /tokens/v1/orgs/org-1/create HTTP/1.1\n"));
    assert_non_null(strstr(w.log.text, "> Authorization: [redacted]\n"));
    assert_non_null(strstr(w.log.text, "> X-Api-Key: [redacted]\n"));
    assert_non_null(strstr(w.log.text, "< HTTP/1.1 503\n"));
    assert_non_null(strstr(w.log.text, "< HTTP/1.1 201\n"));
    assert_non_null(strstr(w.log.text, "connection closed\n"));
    assert_null(strstr(w.log.text, "CANARY"));
    unit_end(&w);
}

static void an_answer_that_never_came_is_not_logged_as_one(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.net.wires[0].end = HTOK_IO_CLOSED;
    unit_create(&w);
    start_list(&w);
    assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
    check(!strstr(w.log.text, "< HTTP/1.1 0"), "%s", w.log.text);
    unit_end(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_connects_sends_and_reads_its_answer),
        cmocka_unit_test(create_and_revoke_give_their_results),
        cmocka_unit_test(pieces_of_any_size_make_no_difference),
        cmocka_unit_test(an_answer_that_ends_with_a_token_is_judged_at_once),
        cmocka_unit_test(a_poll_makes_a_bounded_number_of_steps),
        cmocka_unit_test(an_item_is_there_until_the_next_poll),
        cmocka_unit_test(a_call_in_progress_is_not_disturbed_by_a_start),
        cmocka_unit_test(a_connect_that_hangs_ends_at_the_connect_time_out),
        cmocka_unit_test(a_look_up_that_hangs_ends_at_the_connect_time_out),
        cmocka_unit_test(the_whole_attempt_has_one_time_out),
        cmocka_unit_test(a_slow_drip_does_not_renew_the_deadline),
        cmocka_unit_test(a_request_that_is_not_taken_ends_at_the_time_out),
        cmocka_unit_test(without_a_time_out_the_client_waits_for_ever),
        cmocka_unit_test(a_clock_that_goes_back_ends_nothing),
        cmocka_unit_test(a_clock_that_goes_back_holds_no_call),
        cmocka_unit_test(waits_name_descriptor_direction_and_time),
        cmocka_unit_test(between_attempts_only_time_matters),
        cmocka_unit_test(a_wait_has_an_end_where_the_clock_goes_far_back),
        cmocka_unit_test(a_transport_that_moves_nothing_or_claims_too_much_is_held_to_the_room_it_had),
        cmocka_unit_test(a_transport_may_have_no_descriptor),
        cmocka_unit_test(no_client_has_nothing_to_wait_for),
        cmocka_unit_test(failures_to_connect_are_told_apart),
        cmocka_unit_test(a_failed_receive_is_told_with_its_code),
        cmocka_unit_test(a_close_before_the_head_is_whole_is_a_connection_error),
        cmocka_unit_test(an_answer_that_came_before_sending_failed_is_kept),
        cmocka_unit_test(a_send_that_failed_without_an_answer_is_told),
        cmocka_unit_test(statuses_are_tried_again_after_the_policys_waits),
        cmocka_unit_test(the_random_part_of_a_wait_comes_from_the_entropy_hook),
        cmocka_unit_test(without_entropy_the_random_part_of_a_wait_is_the_mean),
        cmocka_unit_test(retries_end_with_the_last_answer_once_time_is_up),
        cmocka_unit_test(by_default_nothing_is_tried_again),
        cmocka_unit_test(a_calls_policy_outranks_the_clients),
        cmocka_unit_test(a_call_can_switch_the_clients_retries_off),
        cmocka_unit_test(connection_errors_are_tried_again_only_when_asked_for),
        cmocka_unit_test(a_create_is_never_repeated_once_a_byte_was_sent),
        cmocka_unit_test(a_create_is_tried_again_while_nothing_was_sent),
        cmocka_unit_test(a_create_is_tried_again_when_the_transport_took_no_byte),
        cmocka_unit_test(with_repeat_unsent_no_request_leaves_twice),
        cmocka_unit_test(with_repeat_unsent_a_request_that_never_left_is_tried_again),
        cmocka_unit_test(with_repeat_always_a_create_is_tried_again),
        cmocka_unit_test(a_failure_before_any_byte_has_no_effect),
        cmocka_unit_test(a_list_is_not_repeated_once_a_token_was_handed_out),
        cmocka_unit_test(an_effect_that_an_earlier_attempt_may_have_had_is_not_forgotten),
        cmocka_unit_test(a_retry_after_date_needs_a_known_time),
        cmocka_unit_test(a_connection_is_reused_where_the_answer_left_nothing),
        cmocka_unit_test(another_origin_gets_a_connection_of_its_own),
        cmocka_unit_test(a_connection_that_closed_or_spoke_while_idle_is_replaced),
        cmocka_unit_test(cancelling_after_a_connection_was_found_stale_counts_the_attempt),
        cmocka_unit_test(a_stale_connection_is_replaced_once),
        cmocka_unit_test(a_replaced_connection_that_dies_too_is_an_error),
        cmocka_unit_test(an_effect_on_a_stale_connection_is_not_forgotten),
        cmocka_unit_test(a_connection_that_answered_in_part_is_not_replaced),
        cmocka_unit_test(replacing_a_connection_does_not_renew_the_deadline),
        cmocka_unit_test(a_call_can_be_cancelled_after_every_poll),
        cmocka_unit_test(cancelling_nothing_does_nothing),
        cmocka_unit_test(cancelling_a_wait_counts_the_attempts_made),
        cmocka_unit_test(the_provider_is_asked_before_each_request),
        cmocka_unit_test(a_provider_that_fails_ends_the_call),
        cmocka_unit_test(a_provider_that_fails_later_does_not_undo_what_was_sent),
        cmocka_unit_test(without_a_token_there_is_no_authorization),
        cmocka_unit_test(limits_are_those_of_the_options),
        cmocka_unit_test(a_hundred_thousand_tokens_stream_through_the_default_block),
#ifdef UNIT_BLOCKING
        cmocka_unit_test(a_list_is_collected_all_or_nothing_in_the_bytes_needed),
        cmocka_unit_test(an_empty_list_needs_no_memory),
        cmocka_unit_test(a_list_is_collected_only_where_there_is_a_place),
        cmocka_unit_test(a_list_that_breaks_collects_nothing),
        cmocka_unit_test(blocking_calls_give_what_the_steps_give),
        cmocka_unit_test(blocking_calls_need_something_to_wait_on),
#endif
        cmocka_unit_test(nothing_is_allocated_after_the_client_was_made),
        cmocka_unit_test(secrets_do_not_outlive_their_use),
        cmocka_unit_test(a_created_client_wipes_before_it_releases),
        cmocka_unit_test(wiping_during_a_call_does_not_harm_it),
        cmocka_unit_test(the_log_names_what_happens_and_no_secret),
        cmocka_unit_test(an_answer_that_never_came_is_not_logged_as_one),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
