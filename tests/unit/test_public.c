/* Options, making and closing a client, the checks of a start, formatting, names. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"
#include "keys.h"

/* The fields that differ from the scripted world's options, set by a row's function. */
typedef void (*change)(htok_client_options *o);

static const char *const one_pin[] = {"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
static const char *const bad_pin[] = {"sha256/AAAA"};
static const char *const null_pin[] = {NULL};
static const htok_header bad_header[] = {{"X-Ok", "1"}, {"Host", "evil.example"}};
static htok_clock clock_without_time;
static htok_transport transport_without_send;
static htok_transport plain_transport;
static const htok_entropy entropy_without_fill = {NULL, NULL};

static bool give_token(void *context, htok_view *token)
{
    (void)context;
    *token = htoki_view("x", 1);
    return true;
}

static void set_small_record(htok_client_options *o)
{
    o->record_bytes = 511;
}
static void set_large_record(htok_client_options *o)
{
    o->record_bytes = 16385;
}
static void set_small_send(htok_client_options *o)
{
    o->send_bytes = 511;
}
static void set_large_send(htok_client_options *o)
{
    o->send_bytes = 16385;
}
static void set_small_work(htok_client_options *o)
{
    o->work_bytes = 100;
}
static void set_large_work(htok_client_options *o)
{
    o->work_bytes = (1u << 30) + 1;
}
static void set_empty_org(htok_client_options *o)
{
    o->org_id = "";
}
static void set_dots_org(htok_client_options *o)
{
    o->org_id = "..";
}
static void set_empty_token(htok_client_options *o)
{
    o->token = "";
}
static void set_split_token(htok_client_options *o)
{
    o->token = "a\r\nb";
}
static void set_token_and_provider(htok_client_options *o)
{
    o->token_provider = give_token;
}
static void set_agent(htok_client_options *o)
{
    o->user_agent = "a\nb";
}
static void set_headers(htok_client_options *o)
{
    o->headers = bad_header;
    o->header_count = 2;
}
static void set_null_headers(htok_client_options *o)
{
    o->header_count = 1;
}
static void set_bad_pin(htok_client_options *o)
{
    o->pins = bad_pin;
    o->pin_count = 1;
}
static void set_null_pin(htok_client_options *o)
{
    o->pins = null_pin;
    o->pin_count = 1;
}
static void set_null_pins(htok_client_options *o)
{
    o->pin_count = 1;
}
static void set_url(htok_client_options *o)
{
    o->server_url = "https://h/a?b";
}
static void set_plain_url(htok_client_options *o)
{
    o->server_url = "http://example.com";
}
static void set_strategy(htok_client_options *o)
{
    o->retry.strategy = (htok_retry_strategy)3;
}
static void set_repeat(htok_client_options *o)
{
    o->retry.repeat = (htok_repeat)(HTOK_REPEAT_ALWAYS + 1);
}
static void set_exponent(htok_client_options *o)
{
    o->retry.exponent_thousandths = 10001;
}
static void set_codes(htok_client_options *o)
{
    o->retry.codes = "429,";
}
static void set_trust_file(htok_client_options *o)
{
    o->trust_file = "/nowhere";
}
static void set_trust(htok_client_options *o)
{
    o->trust = unit_view("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
}
static void set_clock(htok_client_options *o)
{
    o->clock = &clock_without_time;
}
static void set_transport(htok_client_options *o)
{
    transport_without_send = *o->transport;
    transport_without_send.send = NULL;
    o->transport = &transport_without_send;
}
static void set_entropy(htok_client_options *o)
{
    plain_transport = *o->transport;
    plain_transport.provides_tls = false;
    o->transport = &plain_transport;
    o->entropy = &entropy_without_fill;
}

static void each_wrong_option_is_refused_by_name(void **state)
{
    static const struct {
        change set;
        htok_reason reason;
        const char *path;
        int64_t offset;
    } rows[] = {
        {set_small_record, HTOK_REASON_OPTION_RANGE, "record_bytes", -1},
        {set_large_record, HTOK_REASON_OPTION_RANGE, "record_bytes", -1},
        {set_small_send, HTOK_REASON_OPTION_RANGE, "send_bytes", -1},
        {set_large_send, HTOK_REASON_OPTION_RANGE, "send_bytes", -1},
        {set_small_work, HTOK_REASON_OPTION_RANGE, "work_bytes", -1},
        {set_large_work, HTOK_REASON_OPTION_RANGE, "work_bytes", -1},
        {set_empty_org, HTOK_REASON_TEXT_EMPTY, "org_id", -1},
        {set_dots_org, HTOK_REASON_ID_DOTS, "org_id", 0},
        {set_empty_token, HTOK_REASON_TEXT_EMPTY, "token", -1},
        {set_split_token, HTOK_REASON_TEXT_CONTROL, "token", 1},
        {set_token_and_provider, HTOK_REASON_OPTION_CONFLICT, "token_provider", -1},
        {set_agent, HTOK_REASON_TEXT_CONTROL, "user_agent", 1},
        {set_headers, HTOK_REASON_HEADER_RESERVED, "headers", -1},
        {set_null_headers, HTOK_REASON_ARGUMENT_NULL, "headers", -1},
        {set_bad_pin, HTOK_REASON_PIN_MALFORMED, "pins", -1},
        {set_null_pin, HTOK_REASON_PIN_MALFORMED, "pins", -1},
        {set_null_pins, HTOK_REASON_ARGUMENT_NULL, "pins", -1},
        {set_url, HTOK_REASON_URL_QUERY, "server_url", 11},
        {set_plain_url, HTOK_REASON_URL_PLAINTEXT, "server_url", 0},
        {set_strategy, HTOK_REASON_OPTION_RANGE, "retry.strategy", -1},
        {set_repeat, HTOK_REASON_OPTION_RANGE, "retry.repeat", -1},
        {set_exponent, HTOK_REASON_OPTION_RANGE, "retry.exponent_thousandths", -1},
        {set_codes, HTOK_REASON_RETRY_CODES, "retry.codes", -1},
        {set_trust_file, HTOK_REASON_OPTION_CONFLICT, "trust_file", -1},
        {set_trust, HTOK_REASON_TRUST_MALFORMED, "trust", -2},
        {set_clock, HTOK_REASON_HOOK_MISSING, "clock", -1},
        {set_transport, HTOK_REASON_HOOK_MISSING, "transport", -1},
        {set_entropy, HTOK_REASON_HOOK_MISSING, "entropy", -1},
    };
    static char block[HTOK_CLIENT_BYTES];
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_world w;
        htok_error e;
        char label[64];
        snprintf(label, sizeof label, "row %d: %s", (int)i, rows[i].path);
        unit_begin(&w);
        rows[i].set(&w.options);
        w.client = (htok_client *)(void *)block;
        check_number(htok_client_init(&w.client, block, sizeof block, &w.options, &e),
                     HTOK_INVALID_REQUEST_ERROR, label);
        check(w.client == NULL, "%s: a client all the same", label);
        check_text(htok_reason_name(e.reason), htok_reason_name(rows[i].reason), label);
        check_text(e.path, rows[i].path, label);
        check_number(e.phase, HTOK_PHASE_OPTION, label);
        if (rows[i].offset != -2) {
            check_number(e.offset, rows[i].offset, label);
        }
        check_number(htok_client_init(&w.client, block, sizeof block, &w.options, NULL),
                     HTOK_INVALID_REQUEST_ERROR, "without a record");
    }
}

static void good_options_are_taken(void **state)
{
    static char block[HTOK_CLIENT_BYTES];
    unit_world w;
    htok_error e;
    (void)state;
    unit_begin(&w);
    w.transport.provides_tls = false;
    w.options.pins = one_pin;
    w.options.pin_count = 1;
    w.options.server_url = "http://localhost:1";
    w.options.token = NULL;
    w.options.org_id = NULL;
    w.options.retry.codes = "4XX, 5XX";
    w.options.user_agent = "";
    assert_int_equal(htok_client_init(&w.client, block, sizeof block, &w.options, &e), HTOK_OK);
    assert_int_equal(e.kind, HTOK_OK);
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_IDLE);
    htok_client_close(w.client);
}

static void sizes_at_their_limits_are_taken(void **state)
{
    static const uint32_t sizes[] = {512, 16384};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(sizes); i++) {
        htok_client_options o;
        memset(&o, 0, sizeof o);
        o.record_bytes = sizes[i];
        check(htok_client_bytes(&o) != 0, "record_bytes of %u", (unsigned)sizes[i]);
        o.record_bytes = 0;
        o.send_bytes = sizes[i];
        check(htok_client_bytes(&o) != 0, "send_bytes of %u", (unsigned)sizes[i]);
    }
}

static void a_transport_needs_all_its_functions_but_the_wait(void **state)
{
    static char block[HTOK_CLIENT_BYTES];
    unsigned missing;
    (void)state;
    for (missing = 0; missing < 6; missing++) {
        unit_world w;
        htok_error e;
        htok_kind kind;
        unit_begin(&w);
        w.transport.open = missing == 0 ? NULL : w.transport.open;
        w.transport.connect = missing == 1 ? NULL : w.transport.connect;
        w.transport.send = missing == 2 ? NULL : w.transport.send;
        w.transport.receive = missing == 3 ? NULL : w.transport.receive;
        w.transport.close = missing == 4 ? NULL : w.transport.close;
        w.transport.wait = missing == 5 ? NULL : w.transport.wait;
        kind = htok_client_init(&w.client, block, sizeof block, &w.options, &e);
        check_number(kind, missing < 5 ? HTOK_INVALID_REQUEST_ERROR : HTOK_OK, "missing");
        check_number(e.reason, missing < 5 ? HTOK_REASON_HOOK_MISSING : HTOK_REASON_NONE, "missing");
        check_text(e.path, missing < 5 ? "transport" : "", "missing");
        htok_client_close(w.client);
    }
}

static void a_transport_that_provides_tls_needs_no_entropy(void **state)
{
    static char block[HTOK_CLIENT_BYTES];
    unit_world w;
    htok_error e;
    (void)state;
    unit_begin(&w);
    w.options.entropy = &entropy_without_fill;
    assert_int_equal(htok_client_init(&w.client, block, sizeof block, &w.options, &e), HTOK_OK);
    htok_client_close(w.client);
}

static void null_arguments_are_refused(void **state)
{
    static char block[HTOK_CLIENT_BYTES];
    htok_client *client = (htok_client *)(void *)block;
    htok_error e;
    (void)state;
    assert_int_equal(htok_client_init(NULL, block, sizeof block, NULL, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_ARGUMENT_NULL);
    assert_string_equal(e.path, "client");
    assert_int_equal(htok_client_init(&client, NULL, sizeof block, NULL, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_ARGUMENT_NULL);
    assert_string_equal(e.path, "memory");
    assert_null(client);
    assert_int_equal(htok_client_create(NULL, NULL, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_string_equal(e.path, "client");
    assert_int_equal(htok_get_org_tokens_start(NULL, NULL), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_create_org_token_start(NULL, NULL, NULL), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_revoke_org_token_start(NULL, NULL, NULL), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_client_poll(NULL), HTOK_STATE_FAILED);
    assert_int_equal(htok_client_error(NULL)->reason, HTOK_REASON_ARGUMENT_NULL);
    assert_int_equal(htok_client_error(NULL)->offset, -1);
    assert_int_equal(htok_client_error(NULL)->retry_after_ms, -1);
    assert_null(htok_client_item(NULL));
    assert_null(htok_client_created(NULL));
    assert_false(htok_client_revoked(NULL));
    assert_null(htok_client_effective_options(NULL));
    htok_client_close(NULL);
    htok_client_cancel(NULL);
    htok_client_wipe(NULL);
}

#ifdef UNIT_BLOCKING
static void default_options_work_without_any(void **state)
{
    static char block[HTOK_CLIENT_BYTES];
    htok_client *client;
    const htok_client_options *o;
    (void)state;
    assert_int_equal(htok_client_init(&client, block, sizeof block, NULL, NULL), HTOK_OK);
    o = htok_client_effective_options(client);
    assert_int_equal(o->timeout_ms, 30000);
    assert_int_equal(o->connect_timeout_ms, 10000);
    assert_string_equal(o->server_url, "https://api.hathora.dev");
    assert_null(o->org_id);
    assert_null(o->token);
    assert_string_equal(o->user_agent, "hathora_tokens.h/" HTOK_VERSION);
    assert_int_equal(o->retry.strategy, HTOK_RETRY_NONE);
    assert_int_equal(o->retry.initial_interval_ms, 500);
    assert_int_equal(o->retry.max_interval_ms, 60000);
    assert_int_equal(o->retry.max_elapsed_ms, 3600000);
    assert_int_equal(o->retry.exponent_thousandths, 1500);
    assert_false(o->retry.retry_connection_errors);
    assert_string_equal(o->retry.codes, "429,500,502,503,504");
    assert_int_equal(o->record_bytes, 16384);
    assert_int_equal(o->send_bytes, 1024);
    assert_int_equal(o->work_bytes, HTOK_WORK_BYTES);
    assert_int_equal(o->max_element_bytes, HTOK_WORK_BYTES);
    assert_int_equal(o->max_head_bytes, 65536);
    assert_int_equal(o->max_fields, 100);
    assert_int_equal(o->max_interim, 16);
    assert_int_equal(o->max_error_body_bytes, 65536);
    assert_true(o->max_body_bytes == (uint64_t)1 << 30);
    /* and the first call says what it lacks */
    assert_int_equal(htok_get_org_tokens_start(client, NULL), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_client_error(client)->reason, HTOK_REASON_ORG_ID_MISSING);
    assert_string_equal(htok_client_error(client)->path, "org_id");
    assert_int_equal(htok_client_poll(client), HTOK_STATE_FAILED);
    htok_client_close(client);
}
#endif

static void https_without_trust_is_refused_before_anything_is_sent(void **state)
{
    unit_world w;
    htok_error e;
    static char block[HTOK_CLIENT_BYTES];
    htok_call_options call;
    (void)state;
    memset(&call, 0, sizeof call);
    unit_begin(&w);
    w.transport.provides_tls = false;
    assert_int_equal(htok_client_init(&w.client, block, sizeof block, &w.options, &e), HTOK_OK);
    assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_client_error(w.client)->reason, HTOK_REASON_TRUST_EMPTY);
    check_text(htok_client_error(w.client)->detail, "htok_client_init() looks for none: set options.trust",
               "detail");
    assert_int_equal(w.net.count, 0);
    call.server_url = "http://127.0.0.1:9";
    assert_int_equal(htok_get_org_tokens_start(w.client, &call), HTOK_OK);
    htok_client_close(w.client);
}

static void plain_http_to_loopback_needs_no_tls(void **state)
{
    unit_world w;
    (void)state;
    unit_begin(&w);
    w.transport.provides_tls = false;
    w.options.trust = htoki_view(NULL, 0);
    w.options.server_url = "http://[::1]:3000";
    w.net.wires[0].replies[0] = "HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: 13\r\n\r\n{\"tokens\":[]}";
    {
        static char block[HTOK_CLIENT_BYTES];
        htok_error e;
        assert_int_equal(htok_client_init(&w.client, block, sizeof block, &w.options, &e), HTOK_OK);
    }
    assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_string_equal(w.net.wires[0].host, "::1");
    assert_int_equal(w.net.wires[0].port, 3000);
    assert_non_null(strstr(w.net.wires[0].sent.text, "\r\nHost: [::1]:3000\r\n"));
    unit_end(&w);
}

/* Exactly the bytes that are asked for do, at any alignment; one less does not. */
static void a_block_of_the_size_named_is_enough_at_any_alignment(void **state)
{
    static const uint32_t records[] = {0, 512, 513, 16384}, sends[] = {0, 512, 777, 16384},
                          works[] = {0, 8001, 5000};
    size_t i, offset;
    (void)state;
    for (i = 0; i < UNIT_COUNT(records) * UNIT_COUNT(sends) * UNIT_COUNT(works); i++) {
        for (offset = 0; offset < 17; offset += i == 0 ? 1 : 5) {
            unit_world w;
            htok_error e;
            char *memory;
            size_t bytes;
            unit_begin(&w);
            w.options.record_bytes = records[i % 4];
            w.options.send_bytes = sends[i / 4 % 4];
            w.options.work_bytes = works[i / 16];
            w.net.wires[0].replies[0] =
                "HTTP/1.1 200 OK\r\n" UNIT_JSON "\r\n{\"tokens\":[" UNIT_TOKEN_ALONE("a") "]}";
            w.net.wires[0].end = HTOK_IO_CLOSED;
            bytes = htok_client_bytes(&w.options);
            assert_true(bytes != 0);
            memory = (char *)malloc(offset + bytes);
            assert_non_null(memory);
            assert_int_equal(htok_client_init(&w.client, memory + offset, bytes - 1, &w.options, &e),
                             HTOK_INVALID_REQUEST_ERROR);
            assert_int_equal(e.reason, HTOK_REASON_MEMORY_TOO_SMALL);
            assert_int_equal(e.offset, bytes);
            assert_int_equal(htok_client_init(&w.client, memory + offset, bytes, &w.options, &e), HTOK_OK);
            assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
            assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
            assert_int_equal(
                (w.client->in.buffer + w.client->in.size <= (unsigned char *)memory + offset + bytes), 1);
            assert_int_equal(
                (w.client->out.buffer + w.client->out.size <= (unsigned char *)memory + offset + bytes), 1);
            assert_true(w.client->out.size >= w.client->options.send_bytes);
            assert_true(w.client->in.size >= w.client->options.record_bytes);
            htok_client_close(w.client);
            w.client = NULL;
            free(memory);
            unit_end(&w);
        }
    }
    assert_true(htok_client_bytes(NULL) <= HTOK_CLIENT_BYTES);
}

static void sizes_out_of_range_need_no_bytes(void **state)
{
    htok_client_options o;
    (void)state;
    memset(&o, 0, sizeof o);
    o.record_bytes = 100;
    assert_int_equal(htok_client_bytes(&o), 0);
    o.record_bytes = 0;
    o.send_bytes = 17000;
    assert_int_equal(htok_client_bytes(&o), 0);
    o.send_bytes = 0;
    o.work_bytes = 1;
    assert_int_equal(htok_client_bytes(&o), 0);
    o.work_bytes = 0;
    assert_true(htok_client_bytes(&o) != 0);
}

/* The bound that the README gives. */
static void the_smallest_records_need_no_more_than_12_kb(void **state)
{
    htok_client_options o;
    (void)state;
    memset(&o, 0, sizeof o);
    o.record_bytes = o.send_bytes = 512;
    assert_in_range(htok_client_bytes(&o), 1, 12 * 1024);
}

static void creating_releases_what_it_took_when_it_fails(void **state)
{
    unit_world w;
    htok_error e;
    (void)state;
    unit_begin(&w);
    w.memory_state.fail_at = 1;
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_UNEXPECTED_CLIENT_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_ALLOCATION_FAILED);
    assert_null(w.client);
    unit_begin(&w);
    w.options.token = "a b";
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_HEADER_VALUE);
    assert_null(w.client);
    assert_int_equal(w.memory_state.bytes_out, 0);
    unit_begin(&w);
    w.allocator.release = NULL;
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_HOOK_MISSING);
    assert_string_equal(e.path, "allocator");
    unit_begin(&w);
    w.allocator.allocate = NULL;
    assert_int_equal(htok_client_create(&w.client, &w.options, NULL), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_HOOK_MISSING);
    assert_string_equal(e.path, "allocator");
    unit_begin(&w);
    w.options.record_bytes = 1;
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_string_equal(e.path, "record_bytes");
    assert_int_equal(w.memory_state.taken, 0);
}

/* Files that hold what the test says. */
typedef struct fake_files {
    const char *path, *text; /* the one file there is; NULL: none */
    size_t len;
    unsigned reads;
    unit_text asked; /* ", " and each path; NULL text: not kept */
} fake_files;

static int64_t fake_read(void *context, const char *path, void *buffer, size_t size, int *os_error)
{
    fake_files *f = (fake_files *)context;
    f->reads++;
    if (f->asked.text) {
        unit_add_text(&f->asked, ", ");
        unit_add_text(&f->asked, path);
    }
    if (!f->path || strcmp(path, f->path) != 0) {
        *os_error = 2;
        return -1;
    }
    if (f->len > size) {
        return (int64_t)size + 1;
    }
    memcpy(buffer, f->text, f->len);
    return (int64_t)f->len;
}

#ifndef UNIT_SMALL_MEMORY
static void trust_from_a_file_is_read_once_and_told_when_it_cannot_be(void **state)
{
    unit_world w;
    htok_error e;
    fake_files f = {NULL, NULL, 0, 0, {0}};
    htok_files files;
    char *large;
    (void)state;
    files.context = &f;
    files.read = fake_read;
    unit_begin(&w);
    w.transport.provides_tls = false;
    w.options.files = &files;
    w.options.trust_file = "/missing.pem";
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_TRUST_UNREADABLE);
    assert_int_equal(e.os_error, 2);
    assert_string_equal(e.path, "trust_file");
    assert_true(strncmp(e.detail, "/missing.pem", 12) == 0);
    assert_int_equal(w.memory_state.bytes_out, 0);
    f.path = "/empty.pem";
    f.text = "";
    w.options.trust_file = "/empty.pem";
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_TRUST_EMPTY);
    assert_int_equal(w.memory_state.bytes_out, 0);
    f.path = "/huge.pem";
    f.len = (size_t)1 << 26;
    large = (char *)malloc(16);
    f.text = large;
    w.options.trust_file = "/huge.pem";
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_TRUST_UNREADABLE);
    assert_int_equal(w.memory_state.bytes_out, 0);
    free(large);
    w.options.trust_file = "";
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_TEXT_EMPTY);
    w.options.trust_file = "/both.pem";
    w.options.trust = unit_view("x");
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_OPTION_CONFLICT);
    assert_int_equal(w.memory_state.bytes_out, 0);
}
#endif

static void without_a_hook_for_files_none_is_read(void **state)
{
    unit_world w;
    htok_error e;
    htok_files files = {NULL, NULL};
    (void)state;
    unit_begin(&w);
    w.transport.provides_tls = false;
    w.options.files = &files;
    w.options.trust_file = "roots.pem";
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_HOOK_MISSING);
    assert_string_equal(e.path, "files");
    w.options.trust_file = NULL;
    if (!UNIT_ROOT_STORE) {
        assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
        assert_int_equal(e.reason, HTOK_REASON_TRUST_EMPTY);
        assert_string_equal(e.detail, "this build reads no files: set options.trust");
    }
    assert_int_equal(w.memory_state.bytes_out, 0);
}

/* The lists of the systems differ; each is told whole. */
static void a_system_without_certificates_is_told_with_every_path_tried(void **state)
{
    unit_world w;
    htok_error e;
    fake_files f;
    htok_files files;
    char line[600];
    (void)state;
    if (UNIT_ROOT_STORE) {
        skip();
    }
    memset(&f, 0, sizeof f);
    files.context = &f;
    files.read = fake_read;
    unit_begin(&w);
    w.transport.provides_tls = false;
    w.options.files = &files;
    unit_add_text(&f.asked, "");
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_TRUST_EMPTY);
    assert_string_equal(e.path, "trust");
    assert_true(f.reads >= 8);
    assert_true(strncmp(e.detail, "looked for /", 12) == 0);
    check_text(e.detail + 11, f.asked.text + 2, "each path, in order, uncut");
    assert_true(htok_error_format(&e, line, sizeof line) < 512);
    assert_non_null(strstr(line, f.asked.text + 2));
    assert_int_equal(w.memory_state.bytes_out, 0);
    w.options.server_url = "not a URL";
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_URL_SCHEME);
    w.options.server_url = "http://127.0.0.1:1"; /* needs none; but a call that does is told the same */
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_OK);
    {
        htok_call_options call;
        memset(&call, 0, sizeof call);
        call.server_url = "https://example.test";
        assert_int_equal(htok_get_org_tokens_start(w.client, &call), HTOK_INVALID_REQUEST_ERROR);
    }
    assert_int_equal(htok_client_error(w.client)->reason, HTOK_REASON_TRUST_EMPTY);
    assert_true(strncmp(htok_client_error(w.client)->detail, "looked for /", 12) == 0);
    htok_client_close(w.client);
    assert_int_equal(w.memory_state.bytes_out, 0);
    free(f.asked.text);
}

static const cert_spec a_root = {.subject = "Root", .key = 1, .extensions = "ca! ku!:0204"};

static void the_system_s_first_bundle_of_use_is_taken(void **state)
{
    static const cert_spec for_clients = {.subject = "Root", .key = 1, .extensions = "ca! eku:client"};
    unit_world w;
    htok_error e;
    fake_files f;
    htok_files files;
    unit_text bundle = {0}, useless = {0};
    unsigned kind;
    size_t i;
    (void)state;
    cert_add(&bundle, &a_root);
    cert_add(&useless, &for_clients);
    files.context = &f;
    files.read = fake_read;
    for (i = 0; htoki_trust_paths[i]; i++) {
        for (kind = 0; kind < 4; kind++) {
            const char *path = htoki_trust_paths[i];
            char start[100];
            memset(&f, 0, sizeof f);
            unit_begin(&w);
            w.transport.provides_tls = false;
            w.options.files = &files;
            w.options.server_url = kind == 3 ? "http://127.0.0.1:1" : w.options.server_url;
            f.path = path;
            f.text = kind == 1 ? useless.text : bundle.text;
            f.len = kind == 1 ? useless.len : kind == 0 ? bundle.len : bundle.len - 1;
            if (kind == 0) {
                assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_OK);
                assert_int_equal(f.reads, i + 1);
                check_bytes_at(htok_client_effective_options(w.client)->trust.ptr,
                               htok_client_effective_options(w.client)->trust.len, bundle.text, bundle.len,
                               path, __FILE__, __LINE__);
                htok_client_close(w.client);
            } else if (kind == 1) { /* none of use: the next one */
                assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
                assert_int_equal(e.reason, HTOK_REASON_TRUST_EMPTY);
                assert_int_equal(f.reads, UNIT_COUNT(htoki_trust_paths) - 1);
            } else if (kind == 2) { /* a broken one is told */
                assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
                assert_int_equal(e.reason, HTOK_REASON_TRUST_MALFORMED);
                snprintf(start, sizeof start, "%s: well-formed certificates before it: 0", path);
                check_text(e.detail, start, "names the file");
            } else { /* http:// needs none */
                assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_OK);
                assert_int_equal(e.kind, HTOK_OK);
                assert_int_equal(htok_client_effective_options(w.client)->trust.len, 0);
                htok_client_close(w.client);
            }
            assert_int_equal(w.memory_state.bytes_out, 0);
        }
    }
    free(bundle.text);
    free(useless.text);
}

static void without_files_certificates_come_from_memory_alone(void **state)
{
    unit_world w;
    htok_error e;
    htok_files files;
    (void)state;
    files.context = NULL;
    files.read = NULL;
    unit_begin(&w);
    w.transport.provides_tls = false;
    w.options.files = &files;
    if (!UNIT_ROOT_STORE) {
        assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
        assert_int_equal(e.reason, HTOK_REASON_TRUST_EMPTY);
        check_text(e.detail, "this build reads no files: set options.trust", "detail");
    }
    w.options.trust_file = "roots.pem";
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_HOOK_MISSING);
    assert_string_equal(e.path, "files");
    assert_int_equal(w.memory_state.bytes_out, 0);
}

static void memory_for_the_system_s_bundle_may_be_missing(void **state)
{
    unit_world w;
    htok_error e;
    fake_files f;
    htok_files files;
    (void)state;
    memset(&f, 0, sizeof f);
    files.context = &f;
    files.read = fake_read;
    unit_begin(&w);
    w.transport.provides_tls = false;
    w.options.files = &files;
    w.options.server_url = "http://127.0.0.1:1";
    w.memory_state.fail_at = 1;
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_UNEXPECTED_CLIENT_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_ALLOCATION_FAILED);
    w.memory_state.fail_at = w.memory_state.taken + 1;
    w.options.trust_file = "roots.pem";
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_UNEXPECTED_CLIENT_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_ALLOCATION_FAILED);
    assert_int_equal(w.memory_state.bytes_out, 0);
}

static void a_broken_file_of_certificates_is_named(void **state)
{
    unit_world w;
    htok_error e;
    fake_files f;
    htok_files files;
    unit_text bundle = {0};
    (void)state;
    memset(&f, 0, sizeof f);
    files.context = &f;
    files.read = fake_read;
    cert_add(&bundle, &a_root);
    cert_add(&bundle, &a_root);
    unit_begin(&w);
    w.transport.provides_tls = false;
    w.options.files = &files;
    w.options.trust_file = f.path = "roots.der";
    f.text = bundle.text;
    f.len = bundle.len - 1;
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_TRUST_MALFORMED);
    assert_int_equal(e.offset, bundle.len / 2);
    check_text(e.detail, "roots.der: well-formed certificates before it: 1", "detail");
    assert_int_equal(w.memory_state.bytes_out, 0);
    f.len = bundle.len;
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_OK);
    htok_client_close(w.client);
    assert_int_equal(w.memory_state.bytes_out, 0);
    free(bundle.text);
}

/* The scripted world's clock stands in 2026, or where the test sets it. */
static void a_file_of_expired_roots_is_refused_unless_allowed(void **state)
{
    static const cert_spec old = {
        .subject = "Root", .key = 1, .extensions = "ca! ku!:0204", .not_after = "210101000000Z"};
    static char block[HTOK_CLIENT_BYTES];
    unit_world w;
    htok_error e;
    unit_text bundle = {0};
    (void)state;
    cert_add(&bundle, &old);
    unit_begin(&w);
    w.transport.provides_tls = false;
    w.options.trust = htoki_view(bundle.text, bundle.len);
    assert_int_equal(htok_client_init(&w.client, block, sizeof block, &w.options, &e),
                     HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_TRUST_EMPTY);
    assert_non_null(strstr(e.detail, "certificates: 1, all expired, "));
    w.options.expired_roots = true;
    assert_int_equal(htok_client_init(&w.client, block, sizeof block, &w.options, &e), HTOK_OK);
    htok_client_close(w.client);
    free(bundle.text);
}

static void each_wrong_argument_of_a_start_is_refused_by_name(void **state)
{
    static const htok_header reserved[] = {{"Connection", "close"}};
    static const htok_create_org_token_request no_name = {false, 0, NULL, NULL},
                                               good = {false, 0, NULL, "ci"};
    unit_world w;
    htok_call_options call;
    size_t i;
    (void)state;
    unit_begin(&w);
    unit_create(&w);
    for (i = 0; i < 12; i++) {
        static const struct {
            htok_reason reason;
            const char *path;
        } wanted[] = {
            {HTOK_REASON_TEXT_EMPTY, "org_token_id"},
            {HTOK_REASON_ID_DOTS, "org_token_id"},
            {HTOK_REASON_TEXT_UTF8, "org_token_id"},
            {HTOK_REASON_ARGUMENT_NULL, "org_token_id"},
            {HTOK_REASON_ARGUMENT_NULL, "request"},
            {HTOK_REASON_ARGUMENT_NULL, "name"},
            {HTOK_REASON_TEXT_EMPTY, "org_id"},
            {HTOK_REASON_URL_PLAINTEXT, "server_url"},
            {HTOK_REASON_HEADER_RESERVED, "headers"},
            {HTOK_REASON_RETRY_CODES, "retry.codes"},
            {HTOK_REASON_OPTION_RANGE, "retry.strategy"},
            {HTOK_REASON_OPTION_RANGE, "retry.exponent_thousandths"},
        };
        htok_kind kind;
        memset(&call, 0, sizeof call);
        call.org_id = i == 6 ? "" : NULL;
        call.server_url = i == 7 ? "http://example.com" : NULL;
        call.headers = i == 8 ? reserved : NULL;
        call.header_count = i == 8;
        call.retry.codes = i == 9 ? "x" : NULL;
        call.retry.strategy = i == 10 ? (htok_retry_strategy)9 : HTOK_RETRY_DEFAULT;
        call.retry.exponent_thousandths = i == 11 ? 20000 : 0;
        kind = i == 0   ? htok_revoke_org_token_start(w.client, "", &call)
               : i == 1 ? htok_revoke_org_token_start(w.client, ".", &call)
               : i == 2 ? htok_revoke_org_token_start(w.client, "\xff", &call)
               : i == 3 ? htok_revoke_org_token_start(w.client, NULL, &call)
               : i == 4 ? htok_create_org_token_start(w.client, NULL, &call)
               : i == 5 ? htok_create_org_token_start(w.client, &no_name, &call)
               : i == 6 ? htok_create_org_token_start(w.client, &good, &call)
                        : htok_get_org_tokens_start(w.client, &call);
        check_number(kind, HTOK_INVALID_REQUEST_ERROR, wanted[i].path);
        check_text(htok_reason_name(htok_client_error(w.client)->reason), htok_reason_name(wanted[i].reason),
                   wanted[i].path);
        check_text(htok_client_error(w.client)->path, wanted[i].path, wanted[i].path);
        check_number(htok_client_poll(w.client), HTOK_STATE_FAILED, wanted[i].path);
        check_number(htok_client_error(w.client)->attempts, 0, wanted[i].path);
    }
    assert_int_equal(w.net.count, 0);
    unit_end(&w);
}

static void options_of_a_call_stand_in_for_the_clients(void **state)
{
    static const htok_header client_headers[] = {{"X-A", "client"}, {"X-B", "client"}};
    static const htok_header call_headers[] = {{"x-b", "call"}, {"X-C", "call"}};
    unit_world w;
    htok_call_options call;
    (void)state;
    memset(&call, 0, sizeof call);
    unit_begin(&w);
    w.options.headers = client_headers;
    w.options.header_count = 2;
    w.net.wires[0].replies[0] = w.net.wires[1].replies[0] =
        "HTTP/1.1 200 OK\r\n" UNIT_JSON "Content-Length: 13\r\n\r\n{\"tokens\":[]}";
    unit_create(&w);
    call.org_id = "org-2";
    call.server_url = "https://other.example/p";
    call.headers = call_headers;
    call.header_count = 2;
    assert_int_equal(htok_get_org_tokens_start(w.client, &call), HTOK_OK);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    assert_string_equal(w.net.wires[0].sent.text,
                        "GET /p/tokens/v1/orgs/org-2 HTTP/1.1\r\nHost: other.example\r\n"
                        "User-Agent: hathora_tokens.h/" HTOK_VERSION "\r\nAccept: application/json\r\n"
                        "Accept-Encoding: identity\r\nAuthorization: Bearer " UNIT_SECRET "\r\nx-b: call\r\n"
                        "X-C: call\r\nX-A: client\r\n\r\n");
    assert_non_null(
        strstr(w.net.wires[1].sent.text, "GET /tokens/v1/orgs/org-1 HTTP/1.1\r\nHost: api.hathora.dev\r\n"));
    assert_non_null(strstr(w.net.wires[1].sent.text, "\r\nX-A: client\r\nX-B: client\r\n\r\n"));
    unit_end(&w);
}

static void a_calls_retry_policy_takes_the_clients_where_it_is_zero(void **state)
{
    unit_world w;
    htok_call_options call;
    htok_retry r;
    (void)state;
    memset(&call, 0, sizeof call);
    unit_begin(&w);
    w.options.retry.strategy = HTOK_RETRY_BACKOFF;
    w.options.retry.repeat = HTOK_REPEAT_UNSENT;
    w.options.retry.initial_interval_ms = 7;
    w.options.retry.retry_connection_errors = true;
    w.options.retry.codes = "418";
    unit_create(&w);
    r = htoki_call_retry(w.client, &call);
    assert_int_equal(r.strategy, HTOK_RETRY_BACKOFF);
    assert_int_equal(r.repeat, HTOK_REPEAT_UNSENT);
    assert_int_equal(r.initial_interval_ms, 7);
    assert_int_equal(r.max_interval_ms, 60000);
    assert_true(r.retry_connection_errors);
    assert_string_equal(r.codes, "418");
    call.retry.retry_connection_errors = true;
    w.client->options.retry.retry_connection_errors = false;
    assert_true(htoki_call_retry(w.client, &call).retry_connection_errors);
    call.retry.retry_connection_errors = false;
    assert_false(htoki_call_retry(w.client, &call).retry_connection_errors);
    call.retry.strategy = HTOK_RETRY_BACKOFF;
    call.retry.repeat = HTOK_REPEAT_IDEMPOTENT;
    call.retry.initial_interval_ms = 8;
    call.retry.max_interval_ms = 9;
    call.retry.max_elapsed_ms = 10;
    call.retry.exponent_thousandths = 11;
    call.retry.codes = "5XX";
    r = htoki_call_retry(w.client, &call);
    assert_int_equal(r.repeat, HTOK_REPEAT_IDEMPOTENT);
    assert_int_equal(r.initial_interval_ms, 8);
    assert_int_equal(r.max_interval_ms, 9);
    assert_int_equal(r.max_elapsed_ms, 10);
    assert_int_equal(r.exponent_thousandths, 11);
    assert_false(r.retry_connection_errors);
    assert_string_equal(r.codes, "5XX");
    call.retry.strategy = HTOK_RETRY_NONE;
    assert_int_equal(htoki_call_retry(w.client, &call).strategy, HTOK_RETRY_NONE);
    unit_end(&w);
}

/* ---- Formatting and names. ---- */

static htok_error record(htok_reason reason, htok_phase phase)
{
    htok_error e;
    htoki_error_clear(&e);
    htoki_fail(&e, reason, phase);
    return e;
}

static void check_line(const htok_error *e, const char *wanted)
{
    char line[1024];
    size_t len = htok_error_format(e, line, sizeof line), size;
    check_text(line, wanted, wanted);
    check_number(len, strlen(wanted), wanted);
    for (size = 0; size <= len + 1; size++) {
        char *small = (char *)malloc(size ? size : 1);
        assert_non_null(small);
        check_number(htok_error_format(e, size ? small : NULL, size), len, wanted);
        check(size == 0 || (memcmp(small, wanted, size - 1) == 0 && small[size - 1] == '\0'), "%s: %d bytes",
              wanted, (int)size);
        free(small);
    }
}

static void an_error_is_one_line_that_says_all(void **state)
{
    htok_error e = record(HTOK_REASON_TEXT_EMPTY, HTOK_PHASE_OPTION);
    (void)state;
    snprintf(e.path, sizeof e.path, "org_id");
    check_line(&e, "InvalidRequestError: org_id: the text is empty");
    e = record(HTOK_REASON_MEMORY_TOO_SMALL, HTOK_PHASE_OPTION);
    e.offset = 28000;
    check_line(&e, "InvalidRequestError: the memory block is too small, bytes needed: 28000");
    e = record(HTOK_REASON_JSON_SYNTAX, HTOK_PHASE_JSON);
    e.status = 200;
    e.offset = 17;
    snprintf(e.path, sizeof e.path, "tokens[3]");
    check_line(&e, "ResponseValidationError: tokens[3]: malformed JSON (RFC 8259) (status 200), at byte 17");
    e = record(HTOK_REASON_API_ERROR, HTOK_PHASE_NONE);
    e.status = 404;
    e.message = unit_view("no \x1b[31mtoken\n\xe2\x80\xae");
    check_line(&e, "ApiError: no \\x1b[31mtoken\\n\\u{202e} (status 404)");
    e = record(HTOK_REASON_STATUS_REDIRECT, HTOK_PHASE_NONE);
    e.status = 302;
    snprintf(e.detail, sizeof e.detail, "https://x/\x01");
    check_line(&e,
               "SDKError: Unexpected Status or Content-Type: redirects are never followed: https://x/\\x01 "
               "(status 302)");
    e = record(HTOK_REASON_RECEIVE_FAILED, HTOK_PHASE_HEAD);
    e.os_error = 104;
    e.attempts = 3;
    e.may_have_taken_effect = true;
    check_line(
        &e, "ConnectionError: receiving failed [system error 104], after attempts: 3; the request may have "
            "taken effect: list the tokens before trying again");
    e = record(HTOK_REASON_LOOKUP_FAILED, HTOK_PHASE_LOOKUP);
    e.os_error = -2;
    check_line(&e, "ConnectionError: the host name cannot be looked up [system error -2]");
    htoki_error_clear(&e);
    check_line(&e, "OK: no error");
    check_line(NULL, "InvalidRequestError: client: a required argument is null");
}

static void a_tls_error_is_named_with_its_number(void **state)
{
    htok_error e = record(HTOK_REASON_CERTIFICATE_UNTRUSTED, HTOK_PHASE_HANDSHAKE);
    char line[1024], wanted[64];
    (void)state;
    e.tls_error = 62;
    htok_error_format(&e, line, sizeof line);
    snprintf(wanted, sizeof wanted, "[%s 62]", htok_tls_error_name(62));
    check(strstr(line, wanted) != NULL, "%s", line);
    assert_string_equal(htok_tls_error_name(62), "BR_ERR_X509_NOT_TRUSTED");
}

static void every_number_has_a_name(void **state)
{
    static const char *const kinds[] = {"OK",
                                        "ApiError",
                                        "SDKError",
                                        "ResponseValidationError",
                                        "InvalidRequestError",
                                        "ConnectionError",
                                        "RequestTimeoutError",
                                        "RequestAbortedError",
                                        "UnexpectedClientError"};
    int i, n;
    (void)state;
    for (i = 0; i < (int)UNIT_COUNT(kinds); i++) {
        check_text(htok_kind_name((htok_kind)i), kinds[i], kinds[i]);
    }
    for (i = 0; i < HTOK_REASON_COUNT; i++) {
        const char *name = htok_reason_name((htok_reason)i), *text = htok_reason_text((htok_reason)i);
        assert_true(strlen(name) > 3 && strlen(text) > 5);
        check(name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_8")] == '\0', "%s", name);
        for (n = 0; n < i; n++) {
            check(strcmp(name, htok_reason_name((htok_reason)n)) != 0, "%s twice", name);
            check(strcmp(text, htok_reason_text((htok_reason)n)) != 0, "%s twice", text);
        }
    }
    assert_string_equal(htok_reason_name(HTOK_REASON_CERTIFICATE_NAME), "CERTIFICATE_NAME");
    for (i = HTOK_PHASE_NONE + 1; i <= HTOK_PHASE_WAIT; i++) {
        assert_true(strlen(htok_phase_name((htok_phase)i)) > 2);
    }
    assert_string_equal(htok_phase_name(HTOK_PHASE_NONE), "");
    assert_string_equal(htok_phase_name(HTOK_PHASE_HANDSHAKE), "handshake");
    assert_non_null(htok_kind_name((htok_kind)99));
    assert_non_null(htok_reason_name((htok_reason)9999));
    assert_non_null(htok_reason_text((htok_reason)9999));
    assert_non_null(htok_phase_name((htok_phase)99));
    for (i = -2; i < 1024; i++) {
        assert_non_null(htok_tls_error_name(i));
    }
}

static void printable_and_json_texts_are_cut_like_snprintf(void **state)
{
    char out[32];
    (void)state;
    assert_int_equal(htok_printable(unit_view("a\nb"), out, sizeof out), 4);
    assert_string_equal(out, "a\\nb");
    assert_int_equal(htok_printable(unit_view("a\nb"), out, 3), 4);
    assert_string_equal(out, "a\\");
    assert_int_equal(htok_printable(htoki_view(NULL, 0), NULL, 0), 0);
    assert_int_equal(htok_json_string(unit_view("a\"b"), out, sizeof out), 6);
    assert_string_equal(out, "\"a\\\"b\"");
    assert_int_equal(htok_json_string(htoki_view(NULL, 0), out, 2), 2);
    assert_string_equal(out, "\"");
    assert_int_equal(htok_json_string(unit_view("x"), NULL, 0), 3);
}

/* ---- Client certificates. ---- */

static void a_client_certificate_and_its_key_belong_together(void **state)
{
    static const struct {
        const char *label;
        bool chain, key;
        htok_reason reason;
        const char *path;
    } rows[] = {
        {"none", false, false, HTOK_REASON_NONE, ""},
        {"both", true, true, HTOK_REASON_NONE, ""},
        {"no key", true, false, HTOK_REASON_TEXT_EMPTY, "client_key"},
        {"no certificate", false, true, HTOK_REASON_TEXT_EMPTY, "client_chain"},
    };
    own_key key, other;
    unit_text chain = {0}, pem = {0}, wrong = {0};
    htok_error e;
    unit_world w;
    size_t i, bytes;
    (void)state;
    own_key_make(&key, BR_EC_secp256r1, "client");
    own_key_make(&other, BR_EC_secp256r1, "other");
    own_key_add_cert(&key, "Root", 1, &chain);
    own_key_add_pem(&key, true, "\n", &pem);
    own_key_add_pem(&other, true, "\n", &wrong);
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_begin(&w);
        w.transport.provides_tls = false;
        w.options.server_url = "http://127.0.0.1:1";
        w.options.client_chain = htoki_view(chain.text, rows[i].chain ? chain.len : 0);
        w.options.client_key = htoki_view(pem.text, rows[i].key ? pem.len : 0);
        check_number(htok_client_create(&w.client, &w.options, &e),
                     rows[i].reason == HTOK_REASON_NONE ? HTOK_OK : HTOK_INVALID_REQUEST_ERROR,
                     rows[i].label);
        check_text(htok_reason_name(e.reason), htok_reason_name(rows[i].reason), rows[i].label);
        check_text(e.path, rows[i].path, rows[i].label);
        htok_client_close(w.client);
        assert_int_equal(w.memory_state.bytes_out, 0);
    }
    /* the block grows by what both may decode to, and is refused when it is smaller */
    unit_begin(&w);
    w.transport.provides_tls = false;
    w.options.server_url = "http://127.0.0.1:1";
    bytes = htok_client_bytes(&w.options);
    w.options.client_chain = htoki_view(chain.text, chain.len);
    w.options.client_key = htoki_view(pem.text, pem.len);
    assert_true(htok_client_bytes(&w.options) > bytes + (chain.len + pem.len) / 4 * 3);
    assert_true(htok_client_bytes(&w.options) < bytes + chain.len + pem.len + 512);
    for (i = 0; i < 20; i++) {
        size_t need = htok_client_bytes(&w.options);
        char *block = (char *)malloc(need + i);
        assert_non_null(block);
        assert_int_equal(htok_client_init(&w.client, block + i, need - 1, &w.options, &e),
                         HTOK_INVALID_REQUEST_ERROR);
        assert_int_equal(e.reason, HTOK_REASON_MEMORY_TOO_SMALL);
        assert_int_equal(e.offset, need);
        assert_int_equal(htok_client_init(&w.client, block + i, need, &w.options, &e), HTOK_OK);
        htok_client_close(w.client);
        free(block);
    }
    w.options.client_key = htoki_view(wrong.text, wrong.len);
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_CLIENT_KEY_MISMATCH);
    assert_string_equal(e.path, "client_key");
    assert_int_equal(w.memory_state.bytes_out, 0);
    w.options.client_key = htoki_view(pem.text, HTOK_CLIENT_BYTES * 3);
    assert_int_equal(htok_client_bytes(&w.options), 0);
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_OPTION_RANGE);
    assert_string_equal(e.path, "client_key");
    w.options.client_chain = htoki_view(pem.text, 65537);
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_string_equal(e.path, "client_chain");
    own_key_free(&key);
    own_key_free(&other);
    free(chain.text);
    free(pem.text);
    free(wrong.text);
}

static void a_transport_with_tls_of_its_own_takes_no_pins_and_no_client_certificate(void **state)
{
    unit_world w;
    htok_error e;
    (void)state;
    unit_begin(&w);
    assert_true(w.transport.provides_tls);
    w.options.pins = one_pin;
    w.options.pin_count = 1;
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_OPTION_CONFLICT);
    assert_string_equal(e.path, "pins");
    w.options.pin_count = 0;
    w.options.client_chain = w.options.client_key = unit_view("x");
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_OPTION_CONFLICT);
    assert_string_equal(e.path, "client_chain");
    assert_int_equal(w.memory_state.bytes_out, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wrong_option_is_refused_by_name),
        cmocka_unit_test(good_options_are_taken),
        cmocka_unit_test(sizes_at_their_limits_are_taken),
        cmocka_unit_test(a_transport_needs_all_its_functions_but_the_wait),
        cmocka_unit_test(a_transport_that_provides_tls_needs_no_entropy),
        cmocka_unit_test(null_arguments_are_refused),
#ifdef UNIT_BLOCKING
        cmocka_unit_test(default_options_work_without_any),
#endif
        cmocka_unit_test(https_without_trust_is_refused_before_anything_is_sent),
        cmocka_unit_test(plain_http_to_loopback_needs_no_tls),
        cmocka_unit_test(a_block_of_the_size_named_is_enough_at_any_alignment),
        cmocka_unit_test(sizes_out_of_range_need_no_bytes),
        cmocka_unit_test(the_smallest_records_need_no_more_than_12_kb),
        cmocka_unit_test(creating_releases_what_it_took_when_it_fails),
#ifndef UNIT_SMALL_MEMORY
        cmocka_unit_test(trust_from_a_file_is_read_once_and_told_when_it_cannot_be),
#endif
        cmocka_unit_test(without_a_hook_for_files_none_is_read),
        cmocka_unit_test(a_system_without_certificates_is_told_with_every_path_tried),
        cmocka_unit_test(the_system_s_first_bundle_of_use_is_taken),
        cmocka_unit_test(without_files_certificates_come_from_memory_alone),
        cmocka_unit_test(memory_for_the_system_s_bundle_may_be_missing),
        cmocka_unit_test(a_broken_file_of_certificates_is_named),
        cmocka_unit_test(a_file_of_expired_roots_is_refused_unless_allowed),
        cmocka_unit_test(each_wrong_argument_of_a_start_is_refused_by_name),
        cmocka_unit_test(options_of_a_call_stand_in_for_the_clients),
        cmocka_unit_test(a_calls_retry_policy_takes_the_clients_where_it_is_zero),
        cmocka_unit_test(an_error_is_one_line_that_says_all),
        cmocka_unit_test(a_tls_error_is_named_with_its_number),
        cmocka_unit_test(every_number_has_a_name),
        cmocka_unit_test(printable_and_json_texts_are_cut_like_snprintf),
        cmocka_unit_test(a_client_certificate_and_its_key_belong_together),
        cmocka_unit_test(a_transport_with_tls_of_its_own_takes_no_pins_and_no_client_certificate),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("public", tests, NULL, NULL);
}
