/* The request's exact bytes, and what is refused before there are any. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

/* A request with an endpoint of its own. */
typedef struct request_case {
    htoki_url url;
    htoki_request request;
    htok_create_org_token_request create;
} request_case;

static void begin(request_case *c, htoki_operation operation, const char *endpoint)
{
    htok_error e;
    memset(c, 0, sizeof *c);
    unit_error_begin(&e);
    assert_true(htoki_url_parse(unit_view(endpoint), &c->url, &e));
    c->request.operation = operation;
    c->request.url = &c->url;
    c->request.org_id = unit_view("org-1");
    c->request.org_token_id = unit_view("org-token-1");
    c->request.user_agent = unit_view("agent/1");
    c->request.token = unit_view("SECRET");
    c->create.name = "ci";
    c->request.create = &c->create;
}

/* The request's bytes, once windows of every size gave the same. Free it. */
static char *bytes_of(const htoki_request *r)
{
    htoki_writer counter = htoki_writer_make(NULL, 0, 0);
    char *whole, *again;
    size_t size;
    htoki_writer w;
    htoki_put_request(&counter, r);
    whole = (char *)malloc(counter.total + 1);
    again = (char *)malloc(counter.total + 1);
    assert_true(whole && again);
    w = htoki_writer_make(whole, counter.total + 1, 0);
    htoki_put_request(&w, r);
    assert_int_equal(htoki_writer_end(&w), counter.total);
    for (size = 1; size <= counter.total; size++) {
        size_t at = 0;
        while (at < counter.total) {
            htoki_writer window =
                htoki_writer_make(again + at, size < counter.total - at ? size : counter.total - at, at);
            htoki_put_request(&window, r);
            assert_int_equal(window.total, counter.total);
            assert_int_equal(htoki_writer_filled(&window), window.size);
            at += window.size;
        }
        check(memcmp(again, whole, counter.total) == 0, "windows of %d bytes differ", (int)size);
    }
    free(again);
    return whole;
}

static void check_request(const htoki_request *r, const char *wanted)
{
    char *got = bytes_of(r);
    check_text(got, wanted, "request");
    free(got);
}

#define DEFAULTS                                                                       \
    "User-Agent: agent/1\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n" \
    "Authorization: Bearer SECRET\r\n"

static void a_list_is_a_get_without_a_body(void **state)
{
    request_case c;
    (void)state;
    begin(&c, HTOKI_GET_ORG_TOKENS, "https://api.hathora.dev");
    check_request(&c.request,
                  "GET /tokens/v1/orgs/org-1 HTTP/1.1\r\nHost: api.hathora.dev\r\n" DEFAULTS "\r\n");
}

static void a_create_is_a_post_with_a_json_body(void **state)
{
    static const char *const scopes[] = {"tokens:read", "builds:read"};
    request_case c;
    (void)state;
    begin(&c, HTOKI_CREATE_ORG_TOKEN, "https://api.hathora.dev");
    check_request(&c.request,
                  "POST /tokens/v1/orgs/org-1/create HTTP/1.1\r\nHost: api.hathora.dev\r\n" DEFAULTS
                  "Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"name\":\"ci\"}");
    c.create.scopes = scopes;
    c.create.scope_count = 2;
    c.create.name = "\xc3\xa9\"";
    check_request(&c.request,
                  "POST /tokens/v1/orgs/org-1/create HTTP/1.1\r\nHost: api.hathora.dev\r\n" DEFAULTS
                  "Content-Type: application/json\r\nContent-Length: 54\r\n\r\n"
                  "{\"scopes\":[\"tokens:read\",\"builds:read\"],\"name\":\"\xc3\xa9\\\"\"}");
    c.create.scope_count = 0;
    c.create.admin = true;
    c.create.name = "a";
    check_request(
        &c.request,
        "POST /tokens/v1/orgs/org-1/create HTTP/1.1\r\nHost: api.hathora.dev\r\n" DEFAULTS
        "Content-Type: application/json\r\nContent-Length: 29\r\n\r\n{\"scopes\":\"admin\",\"name\":\"a\"}");
}

static void a_revoke_is_a_post_with_an_empty_body(void **state)
{
    request_case c;
    (void)state;
    begin(&c, HTOKI_REVOKE_ORG_TOKEN, "https://api.hathora.dev");
    check_request(
        &c.request,
        "POST /tokens/v1/orgs/org-1/tokens/org-token-1/revoke HTTP/1.1\r\nHost: api.hathora.dev\r\n" DEFAULTS
        "Content-Length: 0\r\n\r\n");
}

static void ids_are_percent_encoded_and_cannot_climb(void **state)
{
    request_case c;
    (void)state;
    begin(&c, HTOKI_REVOKE_ORG_TOKEN, "https://h");
    c.request.org_id = unit_view("a b/?#%\r\n\xc3\xa9");
    c.request.org_token_id = unit_view("a/../b");
    check_request(&c.request,
                  "POST /tokens/v1/orgs/a%20b%2F%3F%23%25%0D%0A%C3%A9/tokens/a%2F..%2Fb/revoke HTTP/1.1\r\n"
                  "Host: h\r\n" DEFAULTS "Content-Length: 0\r\n\r\n");
    c.request.org_id = unit_view("A-Z_a.z!0~9*'()");
    c.request.org_token_id = unit_view("...");
    check_request(&c.request, "POST /tokens/v1/orgs/A-Z_a.z!0~9*'()/tokens/.../revoke HTTP/1.1\r\n"
                              "Host: h\r\n" DEFAULTS "Content-Length: 0\r\n\r\n");
}

static void the_endpoint_gives_host_port_and_prefix(void **state)
{
    static const struct {
        const char *endpoint, *target, *host;
    } rows[] = {
        {"https://h/", "/tokens/v1/orgs/org-1", "h"},
        {"https://h/a/b//", "/a/b/tokens/v1/orgs/org-1", "h"},
        {"https://h:444/%41", "/%41/tokens/v1/orgs/org-1", "h:444"},
        {"http://[::1]:80", "/tokens/v1/orgs/org-1", "[::1]"},
        {"http://127.0.0.1:8080", "/tokens/v1/orgs/org-1", "127.0.0.1:8080"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        request_case c;
        char wanted[512];
        begin(&c, HTOKI_GET_ORG_TOKENS, rows[i].endpoint);
        snprintf(wanted, sizeof wanted, "GET %s HTTP/1.1\r\nHost: %s\r\n" DEFAULTS "\r\n", rows[i].target,
                 rows[i].host);
        check_request(&c.request, wanted);
    }
}

static void authorization_is_the_token_with_bearer_before_it(void **state)
{
    static const struct {
        const char *token, *field;
    } rows[] = {
        {"SECRET", "Authorization: Bearer SECRET\r\n"},
        {"Bearer SECRET", "Authorization: Bearer SECRET\r\n"},
        {"bearer SECRET", "Authorization: bearer SECRET\r\n"},
        {"BEARER x", "Authorization: BEARER x\r\n"},
        {"Bearers", "Authorization: Bearer Bearers\r\n"},
        {"Bearer", "Authorization: Bearer Bearer\r\n"},
        {NULL, ""},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        request_case c;
        char wanted[512];
        begin(&c, HTOKI_GET_ORG_TOKENS, "https://h");
        c.request.token = htoki_text(rows[i].token);
        snprintf(wanted, sizeof wanted,
                 "GET /tokens/v1/orgs/org-1 HTTP/1.1\r\nHost: h\r\nUser-Agent: agent/1\r\nAccept: "
                 "application/json\r\n"
                 "Accept-Encoding: identity\r\n%s\r\n",
                 rows[i].field);
        check_request(&c.request, wanted);
    }
}

static void a_calls_field_outranks_the_clients_and_both_outrank_the_defaults(void **state)
{
    static const htok_header client[] = {
        {"X-One", "client 1"}, {"x-two", "client 2"}, {"accept", "text/plain"}};
    static const htok_header own[] = {{"X-TWO", "own 2"}, {"User-Agent", "mine"}, {"X-Empty", ""}};
    request_case c;
    (void)state;
    begin(&c, HTOKI_GET_ORG_TOKENS, "https://h");
    c.request.client.list = client;
    c.request.client.count = 3;
    check_request(&c.request,
                  "GET /tokens/v1/orgs/org-1 HTTP/1.1\r\nHost: h\r\nUser-Agent: agent/1\r\n"
                  "Accept-Encoding: identity\r\nAuthorization: Bearer SECRET\r\nX-One: client 1\r\n"
                  "x-two: client 2\r\naccept: text/plain\r\n\r\n");
    c.request.own.list = own;
    c.request.own.count = 3;
    check_request(&c.request,
                  "GET /tokens/v1/orgs/org-1 HTTP/1.1\r\nHost: h\r\nAccept-Encoding: identity\r\n"
                  "Authorization: Bearer SECRET\r\nX-TWO: own 2\r\nUser-Agent: mine\r\nX-Empty: \r\n"
                  "X-One: client 1\r\naccept: text/plain\r\n\r\n");
}

static htok_reason field_reason(const char *name, const char *value, htok_error *e)
{
    htok_header header;
    header.name = name;
    header.value = value;
    unit_error_begin(e);
    htoki_check_headers(e, &header, 1);
    return e->reason;
}

static void fields_that_could_break_the_request_are_refused(void **state)
{
    static const struct {
        const char *name, *value;
        htok_reason reason;
        int64_t offset;
    } rows[] = {
        {"X-Ok", "value", HTOK_REASON_NONE, -1},
        {"X-Ok", "", HTOK_REASON_NONE, -1},
        {"X-Ok", "with \t and \xc3\xa9", HTOK_REASON_NONE, -1},
        {"!#$%&'*+-.^_`|~09azAZ", "x", HTOK_REASON_NONE, -1},
        {"Accept", "text/plain", HTOK_REASON_NONE, -1},
        {"user-agent", "x", HTOK_REASON_NONE, -1},
        {"Accept-Encoding", "identity", HTOK_REASON_NONE, -1},
        {"accept-encoding", "gzip", HTOK_REASON_HEADER_VALUE, -1},
        {"", "x", HTOK_REASON_HEADER_NAME, 0},
        {"X Y", "x", HTOK_REASON_HEADER_NAME, 1},
        {"X:", "x", HTOK_REASON_HEADER_NAME, 1},
        {"X\r\nY", "x", HTOK_REASON_HEADER_NAME, 1},
        {" X", "x", HTOK_REASON_HEADER_NAME, 0},
        {"X\xc3\xa9", "x", HTOK_REASON_HEADER_NAME, 1},
        {"X(", "x", HTOK_REASON_HEADER_NAME, 1},
        {"X", "a\r\nHost: evil", HTOK_REASON_TEXT_CONTROL, 1},
        {"X", "a\nb", HTOK_REASON_TEXT_CONTROL, 1},
        {"X", "\r", HTOK_REASON_TEXT_CONTROL, 0},
        {"X", "ab\x01", HTOK_REASON_TEXT_CONTROL, 2},
        {"X", "ab\x7f", HTOK_REASON_TEXT_CONTROL, 2},
        {"X", "ab\x1b[0m", HTOK_REASON_TEXT_CONTROL, 2},
        {"X", "a\xff", HTOK_REASON_TEXT_UTF8, 1},
        {"X", "a\xc3", HTOK_REASON_TEXT_UTF8, 1},
        {NULL, "x", HTOK_REASON_ARGUMENT_NULL, -1},
        {"X", NULL, HTOK_REASON_ARGUMENT_NULL, -1},
    };
    static const char *const reserved[] = {"Authorization",
                                           "Host",
                                           "Content-Length",
                                           "Content-Type",
                                           "Connection",
                                           "Transfer-Encoding",
                                           "TE",
                                           "Upgrade",
                                           "Expect",
                                           "Proxy-Authorization",
                                           "Proxy-Connection",
                                           "proxy-authorization",
                                           "host",
                                           "CONTENT-LENGTH",
                                           "transfer-encoding",
                                           "te",
                                           "authorizatioN"};
    size_t i;
    htok_error e;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        const char *label = rows[i].value ? rows[i].value : "(null)";
        check_text(htok_reason_name(field_reason(rows[i].name, rows[i].value, &e)),
                   htok_reason_name(rows[i].reason), label);
        check_number(e.offset, rows[i].offset, label);
        check_text(e.path, rows[i].reason == HTOK_REASON_NONE ? "" : "headers", label);
    }
    for (i = 0; i < UNIT_COUNT(reserved); i++) {
        check_number(field_reason(reserved[i], "x", &e), HTOK_REASON_HEADER_RESERVED, reserved[i]);
        check_text(e.detail, reserved[i], reserved[i]);
    }
    unit_error_begin(&e);
    assert_int_equal(htoki_check_headers(&e, NULL, 1), HTOK_INVALID_REQUEST_ERROR);
    unit_error_begin(&e);
    assert_int_equal(htoki_check_headers(&e, NULL, 0), HTOK_OK);
}

static void tokens_that_could_break_the_request_are_refused(void **state)
{
    static const struct {
        const char *token;
        size_t len;
        htok_reason reason;
        int64_t offset;
    } rows[] = {
        {"abc", 3, HTOK_REASON_NONE, -1},
        {"Bearer abc", 10, HTOK_REASON_NONE, -1},
        {"a.b-c_d~e+f/g==", 15, HTOK_REASON_NONE, -1},
        {"", 0, HTOK_REASON_TEXT_EMPTY, -1},
        {"a\r\nX: y", 7, HTOK_REASON_TEXT_CONTROL, 1},
        {"Bearer a\n", 9, HTOK_REASON_TEXT_CONTROL, 8},
        {"a\0b", 3, HTOK_REASON_TEXT_CONTROL, 1},
        {"abc\n", 4, HTOK_REASON_TEXT_CONTROL, 3},
        {"a\tb", 3, HTOK_REASON_TEXT_CONTROL, 1},
        {"a\x7f", 2, HTOK_REASON_TEXT_CONTROL, 1},
        {"a b", 3, HTOK_REASON_HEADER_VALUE, 1},
        {"Bearer a b", 10, HTOK_REASON_HEADER_VALUE, 8},
        {"Bearer  a", 9, HTOK_REASON_HEADER_VALUE, 7},
        {"Bearer ", 7, HTOK_REASON_HEADER_VALUE, 6},
        {"caf\xc3\xa9", 5, HTOK_REASON_HEADER_VALUE, 3},
        {"a\x80", 2, HTOK_REASON_HEADER_VALUE, 1},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        htok_error e;
        char *copy = unit_exact(rows[i].token, rows[i].len);
        unit_error_begin(&e);
        htoki_check_token(&e, htoki_view(copy, rows[i].len));
        check_text(htok_reason_name(e.reason), htok_reason_name(rows[i].reason), rows[i].token);
        check_number(e.offset, rows[i].offset, rows[i].token);
        check_text(e.path, rows[i].reason == HTOK_REASON_NONE ? "" : "token", rows[i].token);
        free(copy);
    }
}

static void user_agents_that_could_break_the_request_are_refused(void **state)
{
    static const struct {
        const char *text;
        htok_reason reason;
    } rows[] = {
        {"game/1.0 (x; y)", HTOK_REASON_NONE},   {"", HTOK_REASON_NONE},
        {"a\r\nX: y", HTOK_REASON_TEXT_CONTROL}, {"a\n", HTOK_REASON_TEXT_CONTROL},
        {"\xff", HTOK_REASON_TEXT_UTF8},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        htok_error e;
        unit_error_begin(&e);
        htoki_check_field_value(&e, unit_view(rows[i].text), "user_agent");
        check_number(e.reason, rows[i].reason, rows[i].text);
    }
}

static void ids_that_cannot_be_a_path_segment_are_refused(void **state)
{
    static const struct {
        const char *id;
        htok_reason reason;
        int64_t offset;
    } rows[] = {
        {"org-af469a92-5b45-4565-b3c4-b79878de67d2", HTOK_REASON_NONE, -1},
        {"...", HTOK_REASON_NONE, -1},
        {".a", HTOK_REASON_NONE, -1},
        {"a/../b", HTOK_REASON_NONE, -1},
        {"%2e", HTOK_REASON_NONE, -1},
        {"\r\n", HTOK_REASON_NONE, -1},
        {"\xf0\x9f\x98\x80", HTOK_REASON_NONE, -1},
        {"", HTOK_REASON_TEXT_EMPTY, -1},
        {".", HTOK_REASON_ID_DOTS, 0},
        {"..", HTOK_REASON_ID_DOTS, 0},
        {"ab\xed\xa0\x80", HTOK_REASON_TEXT_UTF8, 2},
        {"\xc3", HTOK_REASON_TEXT_UTF8, 0},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        htok_error e;
        unit_error_begin(&e);
        htoki_check_id(&e, unit_view(rows[i].id), "org_id");
        check_number(e.reason, rows[i].reason, rows[i].id);
        check_number(e.offset, rows[i].offset, rows[i].id);
        check_text(e.path, rows[i].reason == HTOK_REASON_NONE ? "" : "org_id", rows[i].id);
    }
}

static htok_reason create_reason(const htok_create_org_token_request *r, htok_error *e)
{
    unit_error_begin(e);
    htoki_check_create(e, r);
    return e->reason;
}

static void create_requests_are_checked(void **state)
{
    static const char *const good[] = {"tokens:read", "future:scope"}, *const empty[] = {"tokens:read", ""},
                             *const bad[] = {"x\xff"}, *const admin[] = {"tokens:read", "admin"};
    static const char *const null_scope[] = {NULL};
    char name[64 * 4 + 2];
    size_t i;
    htok_error e;
    htok_create_org_token_request r;
    (void)state;
    memset(&r, 0, sizeof r);
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_ARGUMENT_NULL);
    assert_string_equal(e.path, "name");
    r.name = "";
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_TEXT_EMPTY);
    r.name = "a\xc3";
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_TEXT_UTF8);
    assert_int_equal(e.offset, 1);
    r.name = name;
    for (i = 0; i < 64; i++) {
        memcpy(name + 4 * i, "\xf0\x9f\x98\x80", 4);
    }
    name[256] = '\0';
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_NONE);
    name[256] = 'x';
    name[257] = '\0';
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_TEXT_TOO_LONG);
    assert_string_equal(e.path, "name");
    r.name = "ci\r\n";
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_NONE);
    r.scope_count = 1;
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_ARGUMENT_NULL);
    assert_string_equal(e.path, "scopes");
    r.scopes = good;
    r.scope_count = 2;
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_NONE);
    r.admin = true;
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_SCOPE_ADMIN);
    r.scope_count = 0;
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_NONE);
    r.admin = false;
    r.scope_count = 2;
    r.scopes = admin;
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_SCOPE_ADMIN);
    r.scopes = empty;
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_TEXT_EMPTY);
    assert_string_equal(e.path, "scopes");
    r.scope_count = 1;
    r.scopes = bad;
    assert_int_equal(create_reason(&r, &e), HTOK_REASON_TEXT_UTF8);
    assert_int_equal(e.offset, 1);
    r.scopes = null_scope;
    assert_int_not_equal(create_reason(&r, &e), HTOK_REASON_NONE);
}

static void texts_over_sixteen_kibibytes_are_refused(void **state)
{
    static char text[16384 + 2];
    htok_header header;
    htok_error e;
    (void)state;
    memset(text, 'a', sizeof text - 1);
    header.name = "X-Long";
    header.value = text;
    htoki_error_clear(&e);
    assert_int_equal(htoki_check_id(&e, htoki_text(text), "org_id"), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_TEXT_TOO_LONG);
    htoki_error_clear(&e);
    assert_int_equal(htoki_check_token(&e, htoki_text(text)), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_TEXT_TOO_LONG);
    htoki_error_clear(&e);
    assert_int_equal(htoki_check_headers(&e, &header, 1), HTOK_INVALID_REQUEST_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_TEXT_TOO_LONG);
    text[sizeof text - 2] = '\0';
    htoki_error_clear(&e);
    assert_int_equal(htoki_check_id(&e, htoki_text(text), "org_id"), HTOK_OK);
    assert_int_equal(htoki_check_token(&e, htoki_text(text)), HTOK_OK);
    assert_int_equal(htoki_check_headers(&e, &header, 1), HTOK_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_a_get_without_a_body),
        cmocka_unit_test(a_create_is_a_post_with_a_json_body),
        cmocka_unit_test(a_revoke_is_a_post_with_an_empty_body),
        cmocka_unit_test(ids_are_percent_encoded_and_cannot_climb),
        cmocka_unit_test(the_endpoint_gives_host_port_and_prefix),
        cmocka_unit_test(authorization_is_the_token_with_bearer_before_it),
        cmocka_unit_test(a_calls_field_outranks_the_clients_and_both_outrank_the_defaults),
        cmocka_unit_test(fields_that_could_break_the_request_are_refused),
        cmocka_unit_test(tokens_that_could_break_the_request_are_refused),
        cmocka_unit_test(user_agents_that_could_break_the_request_are_refused),
        cmocka_unit_test(ids_that_cannot_be_a_path_segment_are_refused),
        cmocka_unit_test(create_requests_are_checked),
        cmocka_unit_test(texts_over_sixteen_kibibytes_are_refused),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("http request", tests, NULL, NULL);
}
