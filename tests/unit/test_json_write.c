/* JSON text out, and back in. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

static void strings_are_written_safely(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *wanted;
    } rows[] = {
        {"", 0, "\"\""},
        {"plain / text", 12, "\"plain / text\""},
        {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
        {"\b\t\n\f\r", 5, "\"\\b\\t\\n\\f\\r\""},
        {"\0\x01\x1f", 3, "\"\\u0000\\u0001\\u001f\""},
        {"\x7f", 1, "\"\\u007f\""},
        {"\xc2\x85", 2, "\"\\u0085\""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"\xe2\x80\xae", 3, "\"\\u202e\""},
        {"\xe2\x80\xa8", 3, "\"\\u2028\""},
        {"\xef\xbb\xbf", 3, "\"\\ufeff\""},
        {"\xf3\xa0\x81\x81", 4, "\"\\udb40\\udc41\""},
        {"\xed\xa0\x80", 3, "\"\\ud800\""},
        {"\xed\xbf\xbf", 3, "\"\\udfff\""},
        {"\xed\xa0\xbd\xed\xb8\x80", 6, "\"\\ud83d\\ude00\""},
        {"\xff", 1, "\"\\ufffd\""},
        {"a\xc3", 2, "\"a\\ufffd\""},
        {"\xed\xa0", 2, "\"\\ufffd\\ufffd\""},
        {"\xed\xa0z", 3, "\"\\ufffd\\ufffdz\""},
        {"\xed\x9f\xbf", 3, "\"\xed\x9f\xbf\""},
        {"\xc0\x80z", 3, "\"\\ufffd\\ufffdz\""},
        {"\xef\xbf\xbd", 3, "\"\xef\xbf\xbd\""},
        {"eight bytes and more \" then", 27, "\"eight bytes and more \\\" then\""},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char out[128];
        char *copy = unit_exact(rows[i].text, rows[i].len);
        htoki_writer w = htoki_writer_make(out, sizeof out, 0);
        htoki_put_json_string(&w, htoki_view(copy, rows[i].len));
        htoki_writer_end(&w);
        check_text(out, rows[i].wanted, rows[i].wanted);
        free(copy);
    }
}

static bool is_json(const char *text, size_t len)
{
    htoki_scan scan;
    size_t at = 0, n;
    htoki_scan_event event;
    htoki_scan_begin(&scan, 0);
    do {
        event = htoki_scan_feed(&scan, text + at, len - at, &n);
        at += n;
    } while (event == HTOKI_SCAN_BEGIN || event == HTOKI_SCAN_END);
    return event == HTOKI_SCAN_MORE && htoki_scan_finish(&scan);
}

/* Writes a text, checks that it is plain JSON, reads it back. */
static void check_round_trip(const char *text, size_t len, const char *label)
{
    char out[256], back[256];
    size_t total, n, i;
    htoki_writer w = htoki_writer_make(out, sizeof out, 0);
    htoki_put_json_string(&w, htoki_view(text, len));
    total = htoki_writer_end(&w);
    check(total < sizeof out && is_json(out, total), "%s: %s", label, out);
    for (i = 0; i < total; i++) {
        check((unsigned char)out[i] >= 0x20 && out[i] != 0x7f, "%s: a control character", label);
    }
    n = htoki_json_decode(out + 1, total - 2, back);
    check_bytes_at(back, n, text, len, label, __FILE__, __LINE__);
}

static void each_code_point_comes_back(void **state)
{
    uint32_t c;
    (void)state;
    for (c = 0; c <= 0x10ffff; c++) {
        char text[8], label[16];
        size_t len = htoki_utf8_encode(c, text + 1);
        text[0] = 'a';
        text[1 + len] = 'z';
        snprintf(label, sizeof label, "U+%lX", (unsigned long)c);
        check_round_trip(text, len + 2, label);
    }
}

static void mixed_texts_come_back(void **state)
{
    static const char *const parts[] = {
        "a", "\"", "\\", "\n", "\x01", "\xc3\xa9", "\xe2\x80\xae", "\xf0\x9f\x98\x80", "\\u0041", "12345678"};
    size_t number;
    (void)state;
    for (number = 0; number < 10000; number++) {
        size_t rest = number, i, len = 0;
        char text[64];
        for (i = 0; i < 4; i++) {
            const char *part = parts[rest % UNIT_COUNT(parts)];
            memcpy(text + len, part, strlen(part));
            len += strlen(part);
            rest /= UNIT_COUNT(parts);
        }
        check_round_trip(text, len, "mixed");
    }
}

static void check_create_body(const htok_create_org_token_request *request, const char *wanted)
{
    char out[512];
    htoki_writer w = htoki_writer_make(out, sizeof out, 0);
    htoki_put_create_body(&w, request);
    htoki_writer_end(&w);
    check_text(out, wanted, wanted);
    assert_true(is_json(out, strlen(out)));
}

static void create_bodies_have_the_apis_shape(void **state)
{
    static const char *const scopes[] = {"tokens:read", "a\"b"};
    htok_create_org_token_request r;
    (void)state;
    memset(&r, 0, sizeof r);
    r.name = "ci";
    check_create_body(&r, "{\"name\":\"ci\"}");
    r.admin = true;
    check_create_body(&r, "{\"scopes\":\"admin\",\"name\":\"ci\"}");
    r.admin = false;
    r.scopes = scopes;
    r.scope_count = 1;
    check_create_body(&r, "{\"scopes\":[\"tokens:read\"],\"name\":\"ci\"}");
    r.scope_count = 2;
    r.name = "\xc3\xa9\"\n";
    check_create_body(&r, "{\"scopes\":[\"tokens:read\",\"a\\\"b\"],\"name\":\"\xc3\xa9\\\"\\n\"}");
}

static htok_org_token token_with(htok_scopes_form form, const htok_view *scopes, size_t count)
{
    htok_org_token t;
    memset(&t, 0, sizeof t);
    t.org_token_id = unit_view("org-token-1");
    t.org_id = unit_view("org-1");
    t.name = unit_view("na\"me");
    t.status_text = unit_view("active");
    t.last_four_chars_of_key = unit_view("abcd");
    t.created_by = unit_view("dev@example.com");
    t.created_at = unit_view("2024-02-29T12:34:56Z");
    t.scopes_form = form;
    t.scopes = scopes;
    t.scope_count = count;
    return t;
}

#define TOKEN_JSON                                                                                        \
    "{\"orgTokenId\":\"org-token-1\",\"orgId\":\"org-1\",\"name\":\"na\\\"me\",\"status\":\"active\","    \
    "\"lastFourCharsOfKey\":\"abcd\",\"createdBy\":\"dev@example.com\",\"createdAt\":\"2024-02-29T12:34:" \
    "56Z\""

static void tokens_have_the_apis_shape(void **state)
{
    const htok_view scopes[] = {{"tokens:read", 11}, {"x\ny", 3}};
    htok_org_token t = token_with(HTOK_SCOPES_ABSENT, NULL, 0);
    htok_created_org_token created;
    char out[1024];
    size_t len, size;
    (void)state;
    htok_org_token_json(&t, out, sizeof out);
    assert_string_equal(out, TOKEN_JSON "}");
    t = token_with(HTOK_SCOPES_ADMIN, NULL, 0);
    htok_org_token_json(&t, out, sizeof out);
    assert_string_equal(out, TOKEN_JSON ",\"scopes\":\"admin\"}");
    t = token_with(HTOK_SCOPES_LIST, NULL, 0);
    htok_org_token_json(&t, out, sizeof out);
    assert_string_equal(out, TOKEN_JSON ",\"scopes\":[]}");
    t = token_with(HTOK_SCOPES_LIST, scopes, 2);
    len = htok_org_token_json(&t, out, sizeof out);
    assert_string_equal(out, TOKEN_JSON ",\"scopes\":[\"tokens:read\",\"x\\ny\"]}");
    for (size = 0; size <= len + 1; size++) {
        char *small = (char *)malloc(size ? size : 1);
        assert_non_null(small);
        assert_int_equal(htok_org_token_json(&t, size ? small : NULL, size), len);
        if (size != 0) {
            assert_memory_equal(small, out, size - 1);
            assert_int_equal(small[size - 1], '\0');
        }
        free(small);
    }
    created.plain_text_token = unit_view("pl\"ain");
    created.org_token = token_with(HTOK_SCOPES_ADMIN, NULL, 0);
    htok_created_org_token_json(&created, out, sizeof out);
    assert_string_equal(out, "{\"plainTextToken\":\"pl\\\"ain\",\"orgToken\":" TOKEN_JSON
                             ",\"scopes\":\"admin\"}}");
}

/* What the reader made of an OrgToken, written and read again, is the same. */
static void a_token_that_was_read_is_written_as_it_was_sent(void **state)
{
    static const char *const texts[] = {
        UNIT_TOKEN,
        TOKEN_JSON ",\"scopes\":[]}",
        TOKEN_JSON ",\"scopes\":[\"a\",\"\\u0000\",\"\\ud800\"]}",
        TOKEN_JSON ",\"scopes\":\"admin\"}",
        TOKEN_JSON ",\"scopes\":\"other\"}",
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(texts); i++) {
        char work[2048], out[1024];
        htoki_json j;
        htok_org_token t;
        htok_error e;
        size_t len = strlen(texts[i]);
        memcpy(work, texts[i], len);
        unit_error_begin(&e);
        assert_true(htoki_json_parse(&j, work, sizeof work, len, NULL));
        assert_int_equal(htoki_read_org_token(&j, 0, &t, htoki_view("", 0), &e), HTOK_OK);
        htok_org_token_json(&t, out, sizeof out);
        check_text(out, texts[i], texts[i]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_written_safely),
        cmocka_unit_test(each_code_point_comes_back),
        cmocka_unit_test(mixed_texts_come_back),
        cmocka_unit_test(create_bodies_have_the_apis_shape),
        cmocka_unit_test(tokens_have_the_apis_shape),
        cmocka_unit_test(a_token_that_was_read_is_written_as_it_was_sent),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("json write", tests, NULL, NULL);
}
