/* The error record. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

static void a_cleared_record_knows_nothing(void **state)
{
    htok_error e;
    (void)state;
    memset(&e, 0xff, sizeof e);
    htoki_error_clear(&e);
    assert_int_equal(e.kind, HTOK_OK);
    assert_int_equal(e.reason, HTOK_REASON_NONE);
    assert_int_equal(e.phase, HTOK_PHASE_NONE);
    assert_int_equal(e.status, 0);
    assert_int_equal(e.os_error, 0);
    assert_int_equal(e.tls_error, 0);
    assert_int_equal(e.attempts, 0);
    assert_false(e.may_have_taken_effect);
    assert_false(e.body_truncated);
    assert_int_equal(e.offset, -1);
    assert_int_equal(e.retry_after_ms, -1);
    assert_string_equal(e.path, "");
    assert_string_equal(e.detail, "");
    assert_int_equal(e.message.len, 0);
    assert_int_equal(e.body.len, 0);
}

static void each_reason_gives_its_kind(void **state)
{
    static const struct {
        htok_reason first, last;
        htok_kind kind;
    } ranges[] = {
        {HTOK_REASON_ARGUMENT_NULL, HTOK_REASON_CLIENT_KEY_MISMATCH, HTOK_INVALID_REQUEST_ERROR},
        {HTOK_REASON_LOOKUP_FAILED, HTOK_REASON_TIME_UNKNOWN, HTOK_CONNECTION_ERROR},
        {HTOK_REASON_TIMEOUT, HTOK_REASON_CONNECT_TIMEOUT, HTOK_REQUEST_TIMEOUT_ERROR},
        {HTOK_REASON_CANCELLED, HTOK_REASON_CANCELLED, HTOK_REQUEST_ABORTED_ERROR},
        {HTOK_REASON_HTTP_VERSION, HTOK_REASON_MEMBER_DATE, HTOK_RESPONSE_VALIDATION_ERROR},
        {HTOK_REASON_STATUS_ERROR, HTOK_REASON_CONTENT_TYPE, HTOK_SDK_ERROR},
        {HTOK_REASON_API_ERROR, HTOK_REASON_API_ERROR, HTOK_API_ERROR},
        {HTOK_REASON_ALLOCATION_FAILED, HTOK_REASON_INTERNAL, HTOK_UNEXPECTED_CLIENT_ERROR},
    };
    size_t i;
    int reason, next = HTOK_REASON_ARGUMENT_NULL;
    (void)state;
    for (i = 0; i < UNIT_COUNT(ranges); i++) {
        assert_int_equal(ranges[i].first, next);
        for (reason = (int)ranges[i].first; reason <= (int)ranges[i].last; reason++) {
            htok_error e;
            htoki_error_clear(&e);
            check_number(htoki_fail(&e, (htok_reason)reason, HTOK_PHASE_BODY), ranges[i].kind,
                         htok_reason_name((htok_reason)reason));
            assert_int_equal(e.reason, reason);
            assert_int_equal(e.phase, HTOK_PHASE_BODY);
        }
        next = (int)ranges[i].last + 1;
    }
    assert_int_equal(next, HTOK_REASON_COUNT);
}

static void the_first_failure_wins(void **state)
{
    htok_error e;
    (void)state;
    htoki_error_clear(&e);
    assert_int_equal(htoki_fail_at(&e, HTOK_REASON_JSON_SYNTAX, HTOK_PHASE_JSON, 7),
                     HTOK_RESPONSE_VALIDATION_ERROR);
    assert_int_equal(htoki_fail_at(&e, HTOK_REASON_TIMEOUT, HTOK_PHASE_SEND, 9),
                     HTOK_RESPONSE_VALIDATION_ERROR);
    assert_int_equal(htoki_fail_option_at(&e, HTOK_REASON_TEXT_EMPTY, "name", 3),
                     HTOK_RESPONSE_VALIDATION_ERROR);
    assert_int_equal(e.reason, HTOK_REASON_JSON_SYNTAX);
    assert_int_equal(e.phase, HTOK_PHASE_JSON);
    assert_int_equal(e.offset, 7);
    assert_string_equal(e.path, "");
}

static void an_option_is_named(void **state)
{
    htok_error e;
    (void)state;
    htoki_error_clear(&e);
    assert_int_equal(htoki_fail_option_at(&e, HTOK_REASON_TEXT_UTF8, "user_agent", 12),
                     HTOK_INVALID_REQUEST_ERROR);
    assert_string_equal(e.path, "user_agent");
    assert_int_equal(e.phase, HTOK_PHASE_OPTION);
    assert_int_equal(e.offset, 12);
}

static void a_texts_end_does_not_depend_on_what_follows(void **state)
{
    char array[8];
    (void)state;
    htoki_error_text(array, sizeof array, htoki_view("ab\x80", 2));
    assert_string_equal(array, "ab");
    htoki_error_text(array, 3, htoki_view("ab\x80", 2));
    assert_string_equal(array, "ab");
}

static void a_long_text_is_cut_at_a_characters_end(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        const char *wanted;
    } rows[] = {
        {"", 4, ""},
        {"abc", 4, "abc"},
        {"abcd", 4, "abc"},
        {"ab\xc3\xa9", 5, "ab\xc3\xa9"},
        {"ab\xc3\xa9", 4, "ab"},
        {"ab\xc3\xa9", 3, "ab"},
        {"a\xe2\x82\xac", 4, "a"},
        {"a\xe2\x82\xac", 3, "a"},
        {"a\xe2\x82\xac", 5, "a\xe2\x82\xac"},
        {"\xf0\x9f\x98\x80", 4, ""},
        {"\xf0\x9f\x98\x80x", 5, "\xf0\x9f\x98\x80"},
        {"\x80\x80\x80\x80", 3, ""},
        {"abc", 1, ""},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char *array = (char *)malloc(rows[i].size);
        assert_non_null(array);
        htoki_error_text(array, rows[i].size, unit_view(rows[i].text));
        check_text(array, rows[i].wanted, rows[i].text);
        free(array);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cleared_record_knows_nothing),
        cmocka_unit_test(each_reason_gives_its_kind),
        cmocka_unit_test(the_first_failure_wins),
        cmocka_unit_test(an_option_is_named),
        cmocka_unit_test(a_texts_end_does_not_depend_on_what_follows),
        cmocka_unit_test(a_long_text_is_cut_at_a_characters_end),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
