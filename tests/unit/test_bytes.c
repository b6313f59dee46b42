/* Views, character classes, UTF-8, the bounded writer, printable text, wiping. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

static void wiping_overwrites_all_and_nothing_else(void **state)
{
    char block[32];
    size_t i;
    (void)state;
    memset(block, 'x', sizeof block);
    htoki_wipe(block + 4, 20);
    for (i = 0; i < sizeof block; i++) {
        assert_int_equal(block[i], i >= 4 && i < 24 ? 0 : 'x');
    }
    htoki_wipe(block, 0);
    assert_int_equal(block[0], 'x');
}

static void the_text_of_null_is_empty(void **state)
{
    (void)state;
    assert_int_equal(htoki_text(NULL).len, 0);
    assert_null(htoki_text(NULL).ptr);
    assert_int_equal(htoki_text("").len, 0);
    assert_int_equal(htoki_text("abc").len, 3);
}

#ifndef UNIT_SMALL_MEMORY
static void a_text_without_end_is_cut(void **state)
{
    size_t size = htoki_text_bytes_max;
    char *endless = (char *)malloc(size);
    (void)state;
    assert_non_null(endless);
    memset(endless, 'x', size);
    assert_int_equal(htoki_text(endless).len, size);
    endless[size - 1] = '\0';
    assert_int_equal(htoki_text(endless).len, size - 1);
    free(endless);
}
#endif

static void character_classes_are_those_of_ascii(void **state)
{
    int i;
    (void)state;
    for (i = 0; i < 256; i++) {
        char c = (char)(unsigned char)i;
        bool digit = i >= '0' && i <= '9', upper = i >= 'A' && i <= 'Z', lower = i >= 'a' && i <= 'z';
        char label[8];
        snprintf(label, sizeof label, "%d", i);
        check_number(htoki_is_digit(c), digit, label);
        check_number(htoki_is_alpha(c), upper || lower, label);
        check_number(htoki_lower(c), upper ? (char)(i + 32) : c, label);
        check_number(htoki_is_control(c), i < 32 || i == 127, label);
        check_number(htoki_hex_value(c),
                     digit                  ? i - '0'
                     : i >= 'a' && i <= 'f' ? i - 'a' + 10
                     : i >= 'A' && i <= 'F' ? i - 'A' + 10
                                            : -1,
                     label);
        check_number(htoki_is_token_char(c),
                     digit || upper || lower || (i != 0 && strchr("!#$%&'*+-.^_`|~", i) != NULL), label);
    }
    assert_false(htoki_is_in("abc", '\0'));
    assert_true(htoki_is_in("abc", 'c'));
}

static void views_compare_by_length_and_bytes(void **state)
{
    (void)state;
    assert_true(htoki_equal(htoki_view(NULL, 0), htoki_view("", 0)));
    assert_true(htoki_equal(unit_view("abc"), unit_view("abc")));
    assert_false(htoki_equal(unit_view("abc"), unit_view("abd")));
    assert_false(htoki_equal(unit_view("abc"), unit_view("ab")));
    assert_true(htoki_equal_nocase(unit_view("Content-TYPE"), unit_view("content-type")));
    assert_false(htoki_equal_nocase(unit_view("content-type"), unit_view("content_type")));
    assert_false(htoki_equal_nocase(unit_view("[\xc3\x84"), unit_view("{\xc3\xa4")));
    assert_false(htoki_equal_nocase(unit_view("@"), unit_view("`")));
    assert_false(htoki_equal_nocase(unit_view("a"), unit_view("")));
}

static void decimals_are_digits_up_to_a_maximum(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"0", 0, true, 0},
        {"1", 0, false, 0},
        {"65535", 65535, true, 65535},
        {"65536", 65535, false, 0},
        {"655350", 65535, false, 0},
        {"00007", 7, true, 7},
        {"9", 5, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999", UINT64_MAX, false, 0},
        {"", 9, false, 0},
        {"-1", 9, false, 0},
        {"+1", 9, false, 0},
        {" 1", 9, false, 0},
        {"1 ", 9, false, 0},
        {"1a", 99, false, 0},
        {"/", 99, false, 0},
        {":", 99, false, 0},
        {"\xb1", 99, false, 0},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        uint64_t value = 4711;
        bool ok = htoki_parse_decimal(unit_view(rows[i].text), rows[i].max, &value);
        check_number(ok, rows[i].ok, rows[i].text);
        check(value == (ok ? rows[i].value : 4711), "%s", rows[i].text);
    }
}

/* Every code point there and back, surrogates refused. */
static void utf8_round_trips_each_code_point(void **state)
{
    uint32_t c;
    (void)state;
    for (c = 0; c <= 0x10ffff; c++) {
        char bytes[4];
        size_t n = htoki_utf8_encode(c, bytes), cut;
        uint32_t back = 0xffffffff;
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        size_t wanted = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        check(n == wanted, "U+%lX", (unsigned long)c);
        check(htoki_utf8_decode(bytes, n, &back) == (surrogate ? 0 : n), "U+%lX", (unsigned long)c);
        check(surrogate || back == c, "U+%lX", (unsigned long)c);
        for (cut = 0; cut < n; cut++) {
            check(htoki_utf8_decode(bytes, cut, &back) == 0, "U+%lX cut", (unsigned long)c);
        }
    }
}

static void malformed_utf8_is_found_at_its_first_byte(void **state)
{
    static const struct {
        const char *text;
        size_t at;
    } rows[] = {
        {"", 0},
        {"plain", 5},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9},
        {"ab\x80", 2},
        {"a\xc3", 1},
        {"a\xc3z", 1},
        {"\xc0\x80", 0},
        {"\xc1\xbf", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xed\xa0\x80", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
        {"\xbf\xbf", 0},
        {"\xf8\x90\x80\x80", 0},
        {"\xe2\x82\xac\xe2\x82", 3},
        {"\xf0\x9f\x98", 0},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        size_t len = strlen(rows[i].text);
        char *copy = unit_exact(rows[i].text, len);
        check_number(htoki_utf8_check(copy, len), rows[i].at, rows[i].text);
        free(copy);
    }
}

/* Windows of every size, put one after the other, give the whole text. */
static void a_writer_resumes_where_its_window_ended(void **state)
{
    static const char wanted[] = "GET 18446744073709551615 00ff 00FF text\r\n";
    size_t size, len = sizeof wanted - 1;
    (void)state;
    for (size = 1; size <= len + 2; size++) {
        char whole[64];
        size_t filled = 0;
        for (;;) {
            char *window = (char *)malloc(size);
            htoki_writer w = htoki_writer_make(window, size, filled);
            size_t n;
            assert_non_null(window);
            htoki_put_text(&w, "GET ");
            htoki_put_decimal(&w, UINT64_MAX);
            htoki_put_char(&w, ' ');
            htoki_put_hex(&w, 255, 4, false);
            htoki_put(&w, " ", 1);
            htoki_put_hex(&w, 255, 4, true);
            htoki_put_view(&w, htoki_view(" text", 5));
            htoki_put_text(&w, "\r\n");
            assert_int_equal(w.total, len);
            n = htoki_writer_filled(&w);
            assert_true(n <= size);
            memcpy(whole + filled, window, n);
            free(window);
            filled += n;
            if (n == 0) {
                break;
            }
        }
        assert_int_equal(filled, len);
        assert_memory_equal(whole, wanted, len);
    }
}

static void a_writer_ends_with_a_nul_and_the_whole_length(void **state)
{
    size_t size;
    (void)state;
    for (size = 0; size < 8; size++) {
        char out[8];
        htoki_writer w = htoki_writer_make(size ? out : NULL, size, 0);
        memset(out, '#', sizeof out);
        htoki_put_text(&w, "12345");
        assert_int_equal(htoki_writer_end(&w), 5);
        if (size != 0) {
            size_t kept = size > 5 ? 5 : size - 1;
            assert_memory_equal(out, "12345", kept);
            assert_int_equal(out[kept], '\0');
            assert_int_equal(out[size < 8 ? size : 7], '#');
        }
    }
}

static void decimals_are_written_without_a_library(void **state)
{
    static const struct {
        uint64_t value;
        const char *text;
    } rows[] = {
        {0, "0"}, {9, "9"}, {10, "10"}, {4294967296, "4294967296"}, {UINT64_MAX, "18446744073709551615"}};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char out[32];
        htoki_writer w = htoki_writer_make(out, sizeof out, 0);
        htoki_put_decimal(&w, rows[i].value);
        htoki_writer_end(&w);
        check_text(out, rows[i].text, rows[i].text);
    }
}

static void printable_text_hides_nothing_from_a_terminal(void **state)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"", ""},
        {"plain text, 100 %", "plain text, 100 %"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"a\r\n\tb", "a\\r\\n\\tb"},
        {"\x1b[31mred", "\\x1b[31mred"},
        {"\x01\x1f", "\\x01\\x1f"},
        {"back\\slash", "back\\\\slash"},
        {"\x7f", "\\u{7f}"},
        {"\xc2\x9b", "\\u{9b}"},
        {"\xe2\x80\xae", "\\u{202e}"},
        {"\xe2\x80\x8b", "\\u{200b}"},
        {"\xd8\x9c", "\\u{061c}"},
        {"\xef\xbb\xbf", "\\u{feff}"},
        {"\xe2\x81\xa6", "\\u{2066}"},
        {"\xf3\xa0\x81\x81", "\\u{e0041}"},
        {"\xff\xc3", "\\xff\\xc3"},
        {"\xc0\x80", "\\xc0\\x80"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char out[64];
        size_t len = strlen(rows[i].text);
        char *copy = unit_exact(rows[i].text, len);
        htoki_writer w = htoki_writer_make(out, sizeof out, 0);
        htoki_put_printable(&w, htoki_view(copy, len));
        htoki_writer_end(&w);
        check_text(out, rows[i].wanted, rows[i].text);
        free(copy);
    }
    {
        char out[8];
        htoki_writer w = htoki_writer_make(out, sizeof out, 0);
        htoki_put_printable(&w, htoki_view("\0", 1));
        htoki_writer_end(&w);
        check_text(out, "\\x00", "NUL");
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wiping_overwrites_all_and_nothing_else),
        cmocka_unit_test(the_text_of_null_is_empty),
#ifndef UNIT_SMALL_MEMORY
        cmocka_unit_test(a_text_without_end_is_cut),
#endif
        cmocka_unit_test(character_classes_are_those_of_ascii),
        cmocka_unit_test(views_compare_by_length_and_bytes),
        cmocka_unit_test(decimals_are_digits_up_to_a_maximum),
        cmocka_unit_test(utf8_round_trips_each_code_point),
        cmocka_unit_test(malformed_utf8_is_found_at_its_first_byte),
        cmocka_unit_test(a_writer_resumes_where_its_window_ended),
        cmocka_unit_test(a_writer_ends_with_a_nul_and_the_whole_length),
        cmocka_unit_test(decimals_are_written_without_a_library),
        cmocka_unit_test(printable_text_hides_nothing_from_a_terminal),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
