/* jsmn over one complete element, and strings decoded where they stand. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

/* A work buffer of exactly size bytes with the text at its front. */
static char *work_with(const char *text, size_t size)
{
    char *work = (char *)malloc(size);
    assert_non_null(work);
    assert_true(strlen(text) <= size);
    memset(work, '#', size);
    memcpy(work, text, strlen(text));
    return work;
}

/* The token of the member's value, -1 without. */
static int member(const htoki_json *j, int object, const char *name)
{
    int token = object + 1, left;
    for (left = j->tokens[object].size; left > 0; left--) {
        if (htoki_json_spells(htoki_json_raw(j, token), name)) {
            return token + 1;
        }
        token = htoki_json_next(j, token + 1);
    }
    return -1;
}

static void types_are_told_by_the_first_character(void **state)
{
    static const char firsts[] = "{[\"ntf-0123456789", types[] = "{[\"nbb00000000000";
    int i;
    (void)state;
    for (i = 0; i < 256; i++) {
        size_t where = 0;
        char wanted = htoki_in_set(firsts, (char)(unsigned char)i, &where) ? types[where] : '\0';
        assert_int_equal(htoki_json_type((char)(unsigned char)i), wanted);
    }
}

static void members_are_found_past_nested_values(void **state)
{
    static const char text[] =
        "{\"a\":{\"b\":[1,{\"c\":[[],{}]},\"x\"]},\"d\":-1.5e3,\"\":\"\",\"e\":[],\"f\":{},"
        " \"g\" : true , \"h\":null,\"i\":\"end\"}";
    static const struct {
        const char *name;
        char type;
        const char *raw;
    } rows[] = {
        {"a", '{', "{\"b\":[1,{\"c\":[[],{}]},\"x\"]}"},
        {"d", '0', "-1.5e3"},
        {"", '"', ""},
        {"e", '[', "[]"},
        {"f", '{', "{}"},
        {"g", 'b', "true"},
        {"h", 'n', "null"},
        {"i", '"', "end"},
    };
    char *work = work_with(text, 1024);
    htoki_json j;
    size_t i;
    (void)state;
    assert_true(htoki_json_parse(&j, work, 1024, sizeof text - 1, NULL));
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        int token = member(&j, 0, rows[i].name);
        check(token > 0, "%s is not found", rows[i].name);
        check_number(htoki_json_token_type(&j, token), rows[i].type, rows[i].name);
        check_view(htoki_json_raw(&j, token), rows[i].raw, rows[i].name);
    }
    assert_int_equal(member(&j, 0, "b"), -1);
    assert_int_equal(member(&j, 0, "x"), -1);
    assert_int_equal(htoki_json_next(&j, 0), j.count);
    free(work);
}

/* Any smaller buffer is told; no buffer is overrun. */
static void tokens_that_do_not_fit_are_told(void **state)
{
    static const char text[] = "{\"a\":[1,2,3],\"b\":\"c\"}";
    size_t size, least = 0;
    (void)state;
    for (size = sizeof text - 1; size < 400; size++) {
        char *work = work_with(text, size);
        htoki_json j;
        bool ok = htoki_json_parse(&j, work, size, sizeof text - 1, NULL);
        check(ok || least == 0, "%d bytes do not do, but fewer did", (int)size);
        least = ok && least == 0 ? size : least;
        if (ok) {
            size_t count;
            assert_int_equal(j.count, 8);
            for (count = 0; count < 4; count++) {
                htok_view *views = htoki_json_views(&j, count);
                size_t i;
                for (i = 0; views && i < count; i++) {
                    views[i] = htoki_view(text, 1);
                }
                check(views || size < least + count * sizeof(htok_view) + 16, "room is not used");
            }
            assert_null(htoki_json_views(&j, SIZE_MAX / sizeof(htok_view)));
            assert_null(htoki_json_views(&j, 1000));
        }
        free(work);
    }
    check(least != 0 && least <= 24 + 8 * sizeof(htoki_jsmntok) + sizeof(void *), "%d bytes needed",
          (int)least);
}

/* Where code may be larger, an element comes with its outline. */
#if (defined(__SSE2__) && !defined(__TINYC__) && !defined(HATHORA_TOKENS_NO_SIMD)) || \
    UINTPTR_MAX > 0xffffffffu
enum { OUTLINES_BYTES = (int)sizeof(htoki_outlines) };

/* The outline of a text that is scanned in pieces, if it has one. */
static htoki_outlines *outline_of(const char *text, size_t len, size_t step, void *memory)
{
    htoki_outlines *o = (htoki_outlines *)memory;
    htoki_scan scan;
    size_t at = 0, n;
    htoki_scan_begin(&scan, 0);
    assert_int_equal(htoki_scan_feed(&scan, text, len, &n), HTOKI_SCAN_BEGIN);
    assert_int_equal(n, 0);
    htoki_scan_outline(&scan, &o->outline);
    while (at < len &&
           htoki_scan_feed(&scan, text + at, len - at < step ? len - at : step, &n) == HTOKI_SCAN_MORE) {
        at += n;
    }
    assert_int_equal(at + n, len);
    return scan.outline ? o : NULL;
}
#else
enum { OUTLINES_BYTES = 0 };
#define outline_of(text, len, step, memory) NULL
#endif

static void compare_tokens(const htoki_json *j, const htoki_jsmntok *wanted, int count, const char *text)
{
    int i;
    check(memcmp(j->text, text, strlen(text)) == 0, "%.60s: the text was changed", text);
    check_number(j->escapes, strchr(text, '\\') != NULL, text);
    check_number(j->count, count, text);
    for (i = 0; i < count; i++) {
        const htoki_jsmntok *t = &j->tokens[i], *w = &wanted[i];
        check(t->type == w->type && t->start == w->start && t->end == w->end && t->size == w->size &&
                  t->parent == w->parent,
              "%.60s: token %d is %d to %d, not %d to %d", text, i, t->start, t->end, w->start, w->end);
    }
}

/* Parses with room for so many tokens, by the text, by its outline, and by the outline that was known before. */
static void check_room(const char *text, size_t room, const htoki_jsmntok *wanted, int count)
{
    static const size_t steps[] = {SIZE_MAX, 1, 7};
    size_t len = strlen(text), begin = htoki_align(len, sizeof(void *)),
           bytes = begin + room * sizeof(htoki_jsmntok);
    size_t front = htoki_align(bytes, 8), i, again;
    char *work = work_with(text, bytes);
    htoki_json j;
    check_number(htoki_json_parse(&j, work, bytes, len, NULL), room >= (size_t)count, text);
    if (room >= (size_t)count) {
        compare_tokens(&j, wanted, count, text);
    }
    free(work);
    for (i = 0; i < UNIT_COUNT(steps) && OUTLINES_BYTES != 0; i++) {
        work = work_with(text, front + OUTLINES_BYTES);
        memset(work + front, 0, OUTLINES_BYTES);
        for (again = 0; again < 2; again++) {
            htoki_outlines *outlines = outline_of(text, len, steps[i], work + front);
            if (htoki_json_parse(&j, work, front + OUTLINES_BYTES, len, outlines)) {
                compare_tokens(&j, wanted, count, text);
            } else {
                check(room < (size_t)count, "%.60s: does not fit", text);
            }
            check(!outlines || j.outlined == ((front - begin) / sizeof(htoki_jsmntok) >= (size_t)count),
                  "%.60s: by the outline: %d, of %d tokens, with room for %d", text, j.outlined, count,
                  (int)room);
            again += !j.outlined; /* the outlines are gone */
        }
        free(work);
    }
}

/* The tokens of one element, however they came about, are those of jsmn over its text; with less room than they take
   there are none. */
static void check_tokens(const char *text)
{
    size_t len = strlen(text), most = len + 8, room;
    htoki_jsmntok *wanted = (htoki_jsmntok *)malloc(most * sizeof *wanted);
    htoki_jsmn_parser parser;
    int count;
    assert_non_null(wanted);
    htoki_jsmn_init(&parser);
    count = htoki_jsmn_parse(&parser, text, len, wanted, (unsigned)most);
    check(count > 0, "%.60s: jsmn says %d", text, count);
    for (room = count > 8 ? (size_t)count - 8 : 0; room <= (size_t)count + 1; room++) {
        check_room(text, room, wanted, count);
    }
    free(wanted);
}

static void tokens_are_those_of_jsmn_over_the_text(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"\":\"\"}",
        "{ }",
        "{\"a\":\"b\"}",
        "{\"k\\\"ey\":\"\\\\\",\"\\\\\\\"\":\"a\\u0022b\"}",
        "{\"sixteen bytes ab\":\"and a long one that has \\\" and [ and { and : and , in it\"}",
        "{\"\xc3\xa9\xe2\x82\xac\":\"\xf0\x9f\x98\x80 and more \xc3\xa9\",\"\xc3\xa9\":[\"\xe2\x82\xac\"]}",
        "{\"a\":[1,-2.5e+3,0,true,false,null],\"b\":{\"c\":[[],{},[{}]]},\"d\":\"e\"}",
        "{\r\n  \"a\" : [ 1 , -2.5e+3 , true ] ,\n  \"b\" : { \"c\" : null , \"d\" : \" x \" }\n}",
        "{\"orgTokenId\":\"org-token-af469a92-5b45-4565-b3c4-000000000001\",\"scopes\":[\"builds\",\"a\"]}",
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(texts); i++) {
        check_tokens(texts[i]);
    }
}

/* Up to and past any size at which an element is read in another way. */
static void tokens_of_large_elements_are_those_of_jsmn_too(void **state)
{
    static const size_t long_ones[] = {0, 65500, 65510, 65520, 65530, 65536, 70000};
    unit_text text;
    size_t count, i;
    (void)state;
    for (count = 70; count < 100; count++) {
        memset(&text, 0, sizeof text);
        unit_add_text(&text, "{\"a\":[1");
        for (i = 0; i < count; i++) {
            unit_add_text(&text, ",\"b\"");
        }
        unit_add_text(&text, "]}");
        check_tokens(text.text);
        free(text.text);
    }
    for (count = 0; count < UNIT_COUNT(long_ones); count++) {
        memset(&text, 0, sizeof text);
        unit_add_text(&text, "{\"a\":\"");
        for (i = 0; i < long_ones[count]; i++) {
            unit_add_text(&text, "x");
        }
        unit_add_text(&text, "\",\"b\":[\"c\"]}");
        check_tokens(text.text);
        free(text.text);
    }
}

static const struct {
    const char *inside; /* of the quotes */
    const char *text;
    size_t len;
} strings[] = {
    {"", "", 0},
    {"plain", "plain", 5},
    {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8},
    {"a\\nb\\nc", "a\nb\nc", 5},
    {"\\u0041\\u007a", "Az", 2},
    {"\\u0000", "\0", 1},
    {"a\\u0000b", "a\0b", 3},
    {"\\u007f\\u0080\\u07ff\\u0800\\uffff", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 11},
    {"\\u00e9\\u20AC\\u20ac", "\xc3\xa9\xe2\x82\xac\xe2\x82\xac", 8},
    {"\\ud83d\\ude00", "\xf0\x9f\x98\x80", 4},
    {"\\uD800\\uDC00", "\xf0\x90\x80\x80", 4},
    {"\\uDBFF\\uDFFF", "\xf4\x8f\xbf\xbf", 4},
    {"x\\ud83d\\ude00y", "x\xf0\x9f\x98\x80y", 6},
    {"\\ud800", "\xed\xa0\x80", 3},
    {"\\udfff", "\xed\xbf\xbf", 3},
    {"\\ude00\\ud83d", "\xed\xb8\x80\xed\xa0\xbd", 6},
    {"\\ud83dx", "\xed\xa0\xbdx", 4},
    {"\\ud83d\\n", "\xed\xa0\xbd\n", 4},
    {"\\ud83d\\u0041",
     "\xed\xa0\xbd"
     "A",
     4},
    {"\\ud83d\\ud83d\\ude00", "\xed\xa0\xbd\xf0\x9f\x98\x80", 7},
    {"\\ud83d\\ue000", "\xed\xa0\xbd\xee\x80\x80", 6},
    {"\\ud83d\\nude00", "\xed\xa0\xbd\nude00", 9},
    {"\\ud83d.ude00", "\xed\xa0\xbd.ude00", 9},
    {"\\ud83d\\\\ude00", "\xed\xa0\xbd\\ude00", 9},
    {"\xc3\xa9\xf0\x9f\x98\x80", "\xc3\xa9\xf0\x9f\x98\x80", 6},
    {"\\\\u0041", "\\u0041", 6},
    {"a long run without escapes\\t and one behind", "a long run without escapes\t and one behind", 42},
};

static void strings_are_decoded_in_place_with_a_nul_behind(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(strings); i++) {
        char text[128];
        char *work;
        htoki_json j;
        htok_view got;
        snprintf(text, sizeof text, "{\"k\":\"%s\",\"z\":\"last\"}", strings[i].inside);
        work = work_with(text, 512);
        assert_true(htoki_json_parse(&j, work, 512, strlen(text), NULL));
        got = htoki_json_string(&j, member(&j, 0, "k"));
        check_bytes_at(got.ptr, got.len, strings[i].text, strings[i].len, strings[i].inside, __FILE__,
                       __LINE__);
        check(got.ptr[got.len] == '\0', "%s: no NUL", strings[i].inside);
        got = htoki_json_string(&j, member(&j, 0, "z"));
        check_view(got, "last", strings[i].inside);
        free(work);
    }
}

static void keys_are_compared_as_they_spell(void **state)
{
    static const struct {
        const char *raw, *name;
        bool same;
    } rows[] = {
        {"name", "name", true},
        {"n\\u0061me", "name", true},
        {"\\u006e\\u0061\\u006d\\u0065", "name", true},
        {"Name", "name", false},
        {"nam", "name", false},
        {"names", "name", false},
        {"", "name", false},
        {"", "", true},
        {"name\\u0000", "name", false},
        {"\\u0000name", "name", false},
        {"na\\nme", "name", false},
        {"n\\u00e1me", "name", false},
        {"\\ud83d\\ude00", "\xf0\x9f\x98\x80", true},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", true},
        {"\\ud83d", "\xf0\x9f\x98\x80", false},
        {"a\\/b", "a/b", true},
        {"a/b", "a/b", true},
        {"\\\"", "\"", true},
        {"scopes ", "scopes", false},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        size_t len = strlen(rows[i].raw);
        char *copy = unit_exact(rows[i].raw, len);
        check_number(htoki_json_spells(htoki_view(copy, len), rows[i].name), rows[i].same, rows[i].raw);
        free(copy);
    }
}

/* Decoding to another place leaves the source as it is. */
static void decoding_to_another_place_copies(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(strings); i++) {
        size_t len = strlen(strings[i].inside);
        char *source = unit_exact(strings[i].inside, len), *out = (char *)malloc(len ? len : 1);
        size_t n;
        assert_non_null(out);
        n = htoki_json_decode(source, len, out);
        check_bytes_at(out, n, strings[i].text, strings[i].len, strings[i].inside, __FILE__, __LINE__);
        assert_memory_equal(source, strings[i].inside, len);
        free(source);
        free(out);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_told_by_the_first_character),
        cmocka_unit_test(members_are_found_past_nested_values),
        cmocka_unit_test(tokens_that_do_not_fit_are_told),
        cmocka_unit_test(tokens_are_those_of_jsmn_over_the_text),
        cmocka_unit_test(tokens_of_large_elements_are_those_of_jsmn_too),
        cmocka_unit_test(strings_are_decoded_in_place_with_a_nul_behind),
        cmocka_unit_test(keys_are_compared_as_they_spell),
        cmocka_unit_test(decoding_to_another_place_copies),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("json read", tests, NULL, NULL);
}
