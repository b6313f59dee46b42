/* The strict incremental JSON scanner: what it accepts, and that no split changes what it says. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

enum { MAX_DEPTH = 512 };

/* A scan as text: B4 a value begins at byte 4, K a key, E9 it ends before byte 9; then "ok" or the reason and the
   offset. */
typedef struct scan_log {
    htoki_scan scan;
    unit_text text;
    bool over;
} scan_log;

static void log_event(scan_log *l, char mark)
{
    char line[32];
    snprintf(line, sizeof line, "%c%lu ", mark, (unsigned long)l->scan.offset);
    unit_add_text(&l->text, line);
}

static void log_reason(scan_log *l)
{
    char line[64];
    snprintf(line, sizeof line, "%s@%lu", htok_reason_name(l->scan.reason), (unsigned long)l->scan.offset);
    unit_add_text(&l->text, line);
    l->over = true;
}

/* Feeds a copy that ends with its last byte. */
static void feed(scan_log *l, const char *bytes, size_t len)
{
    char *copy = unit_exact(bytes, len);
    size_t at = 0, again = 0;
    htok_reason reason;
    while (!l->over) {
        size_t n = 0;
        htoki_scan_event event = htoki_scan_feed(&l->scan, copy + at, len - at, &n);
        check(n <= len - at, "more consumed than given");
        again = n == 0 ? again + 1 : 0;
        check(again < 3, "the scanner stands still");
        at += n;
        if (event == HTOKI_SCAN_MORE) {
            check_number(at, len, "all bytes are consumed");
            break;
        }
        if (event == HTOKI_SCAN_ERROR) {
            log_reason(l);
            check(htoki_scan_feed(&l->scan, " ", 1, &n) == HTOKI_SCAN_ERROR && n == 0,
                  "the error does not stay");
            reason = l->scan.reason;
            check(!htoki_scan_finish(&l->scan) && l->scan.reason == reason, "the end hides the error");
        } else {
            log_event(l, event == HTOKI_SCAN_END ? 'E' : l->scan.is_key ? 'K' : 'B');
        }
    }
    free(copy);
}

static void finish(scan_log *l)
{
    if (!l->over && htoki_scan_finish(&l->scan)) {
        unit_add_text(&l->text, "ok");
    } else if (!l->over) {
        log_reason(l);
    }
}

/* The scan in two pieces, or with cut SIZE_MAX byte by byte. */
static char *scan_cut(const char *bytes, size_t len, unsigned watch, size_t cut)
{
    scan_log l;
    size_t i;
    memset(&l, 0, sizeof l);
    htoki_scan_begin(&l.scan, watch);
    if (cut == SIZE_MAX) {
        for (i = 0; i < len; i++) {
            feed(&l, bytes + i, 1);
            feed(&l, bytes, 0);
        }
    } else {
        feed(&l, bytes, cut);
        feed(&l, bytes + cut, len - cut);
    }
    finish(&l);
    return l.text.text;
}

/* The scan of the whole text, once every split has given the same. */
static char *scan_all_ways(const char *bytes, size_t len, unsigned watch)
{
    char *whole = scan_cut(bytes, len, watch, len), *other;
    size_t cut;
    for (cut = 0; cut < len; cut++) {
        other = scan_cut(bytes, len, watch, cut);
        check(strcmp(whole, other) == 0, "%.*s: %s, but cut at %d: %s", (int)len, bytes, whole, (int)cut,
              other);
        free(other);
    }
    other = scan_cut(bytes, len, watch, SIZE_MAX);
    check(strcmp(whole, other) == 0, "%.*s: %s, but byte by byte: %s", (int)len, bytes, whole, other);
    free(other);
    return whole;
}

/* The last word of a scan. */
static const char *outcome(const char *log)
{
    const char *space = strrchr(log, ' ');
    return space ? space + 1 : log;
}

static void check_outcome(const char *bytes, size_t len, const char *wanted)
{
    unsigned watch;
    for (watch = 0; watch < 4; watch++) {
        char *log = scan_all_ways(bytes, len, watch);
        check(strcmp(outcome(log), wanted) == 0, "%.*s: %s, not %s", (int)len, bytes, log, wanted);
        free(log);
    }
}

static void well_formed_texts_are_accepted(void **state)
{
    static const char *const texts[] = {"null",
                                        "true",
                                        "false",
                                        "0",
                                        "-0",
                                        "7",
                                        "-12",
                                        "1234567890123456789012345678901234567890",
                                        "0.0",
                                        "1.5",
                                        "-0.10",
                                        "1e5",
                                        "1E5",
                                        "1e+5",
                                        "1e-05",
                                        "0e0",
                                        "-0.0E-0",
                                        "123.456e+789",
                                        "\"\"",
                                        "\"a\"",
                                        " null ",
                                        "\t\r\n true \n",
                                        "[]",
                                        "{}",
                                        "[ ]",
                                        "{ }",
                                        "[\n]",
                                        "[1]",
                                        "[1,2]",
                                        "[ 1 , 2 ]",
                                        "[[]]",
                                        "[[],[]]",
                                        "[{}]",
                                        "[[[[]]]]",
                                        "{\"a\":1}",
                                        "{ \"a\" : 1 }",
                                        "{\"a\":1,\"b\":2}",
                                        "{\"\":0}",
                                        "{\"a\":{}}",
                                        "{\"a\":[]}",
                                        "{\"a\":{\"b\":[1,{\"c\":null}]}}",
                                        "{\"a\":1,\"a\":2}",
                                        "[true,false,null]",
                                        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
                                        "[\"\\u0000\"]",
                                        "[\"\\uABCD\\uabcd\"]",
                                        "[\"\\ud83d\\ude00\"]",
                                        "[\"\\ud800\"]",
                                        "[\"\\udc00\\ud800\"]",
                                        "[\"\\uD8\x30\x30\"]",
                                        "[\"\x7f\"]",
                                        "[\"\xc2\x80\"]",
                                        "[\"\xdf\xbf\"]",
                                        "[\"\xe0\xa0\x80\"]",
                                        "[\"\xed\x9f\xbf\"]",
                                        "[\"\xee\x80\x80\"]",
                                        "[\"\xef\xbf\xbf\"]",
                                        "[\"\xef\xbb\xbf\"]",
                                        "[\"\xf0\x90\x80\x80\"]",
                                        "[\"\xf4\x8f\xbf\xbf\"]",
                                        "[-1,-0.5,2]",
                                        "[1]\r\n",
                                        "[1 ]",
                                        "[0 ]",
                                        "[1.0\t]",
                                        "[1e1\n]",
                                        "{\"a\":0}",
                                        "{\"a\":-1.5e3}",
                                        "[\"a\",1,\"b\",[2],{\"c\":3}]",
                                        "\"a string of more than eight plain bytes, and then \\n an escape\"",
                                        "\"12345678\"",
                                        "\"1234567\"",
                                        "\"1234567\\\"9\"",
                                        "{\"tokens\":[{\"name\":\"x\"},{\"name\":\"y\"}]}"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(texts); i++) {
        check_outcome(texts[i], strlen(texts[i]), "ok");
    }
}

static void malformed_texts_are_refused_at_the_byte_at_fault(void **state)
{
    static const struct {
        const char *text, *outcome;
    } rows[] = {
        /* accepted by a tokenizer that does not look between tokens */
        {"{\"a\"}", "JSON_SYNTAX@4"},
        {"{\"a\":1,}", "JSON_SYNTAX@7"},
        {"{,}", "JSON_SYNTAX@1"},
        {"[,1]", "JSON_SYNTAX@1"},
        {"[1,]", "JSON_SYNTAX@3"},
        {"{\"a\" \"b\"}", "JSON_SYNTAX@5"},
        {"{\"a\"::::\"b\"}", "JSON_SYNTAX@5"},
        {"{\"a\":\"b\":\"c\"}", "JSON_SYNTAX@8"},
        {"[1 \"b\"]", "JSON_SYNTAX@3"},
        {"[[]1]", "JSON_SYNTAX@3"},
        {"{}{}", "JSON_SYNTAX@2"},
        {"[thanx]", "JSON_SYNTAX@2"},
        {"[-]", "JSON_SYNTAX@2"},
        {"[--1]", "JSON_SYNTAX@2"},
        {"[01]", "JSON_SYNTAX@2"},
        {"[1.2.3.4]", "JSON_SYNTAX@4"},
        {"[1e]", "JSON_SYNTAX@3"},
        /* structure */
        {"[,]", "JSON_SYNTAX@1"},
        {"[1,,2]", "JSON_SYNTAX@3"},
        {"[1}", "JSON_SYNTAX@2"},
        {"{]", "JSON_SYNTAX@1"},
        {"[}", "JSON_SYNTAX@1"},
        {"{\"a\":1]", "JSON_SYNTAX@6"},
        {"{\"a\":}", "JSON_SYNTAX@5"},
        {"{\"a\":1 \"b\":2}", "JSON_SYNTAX@7"},
        {"{\"a\":1,,\"b\":2}", "JSON_SYNTAX@7"},
        {"{\"a\",\"b\"}", "JSON_SYNTAX@4"},
        {"{\"a\"=1}", "JSON_SYNTAX@4"},
        {"{1:2}", "JSON_SYNTAX@1"},
        {"{a:2}", "JSON_SYNTAX@1"},
        {"{'a':2}", "JSON_SYNTAX@1"},
        {"{null:1}", "JSON_SYNTAX@1"},
        {"{[]:1}", "JSON_SYNTAX@1"},
        {"{{}:1}", "JSON_SYNTAX@1"},
        {"{:1}", "JSON_SYNTAX@1"},
        {"{\"a\":1,2}", "JSON_SYNTAX@7"},
        {"[1:2]", "JSON_SYNTAX@2"},
        {"[\"a\":1]", "JSON_SYNTAX@4"},
        {"]", "JSON_SYNTAX@0"},
        {"}", "JSON_SYNTAX@0"},
        {",", "JSON_SYNTAX@0"},
        {":", "JSON_SYNTAX@0"},
        {"[]]", "JSON_SYNTAX@2"},
        {"{}}", "JSON_SYNTAX@2"},
        {"1 2", "JSON_SYNTAX@2"},
        {"true false", "JSON_SYNTAX@5"},
        {"\"a\"\"b\"", "JSON_SYNTAX@3"},
        {"[] x", "JSON_SYNTAX@3"},
        {"null,", "JSON_SYNTAX@4"},
        {"true]", "JSON_SYNTAX@4"},
        {"*", "JSON_SYNTAX@0"},
        {"<html>", "JSON_SYNTAX@0"},
        {"[1]/**/", "JSON_SYNTAX@3"},
        {"// x\n1", "JSON_SYNTAX@0"},
        {"[1,#\n2]", "JSON_SYNTAX@3"},
        {"\xef\xbb\xbf[]", "JSON_SYNTAX@0"},
        {"\xff\xfe[", "JSON_SYNTAX@0"},
        {"[\xe2\x80\xa8]", "JSON_SYNTAX@1"},
        {"[\xc2\xa0]", "JSON_SYNTAX@1"},
        {"[\f]", "JSON_SYNTAX@1"},
        {"[\v1]", "JSON_SYNTAX@1"},
        {"[\x7f]", "JSON_SYNTAX@1"},
        /* literals */
        {"[tru]", "JSON_SYNTAX@4"},
        {"[truE]", "JSON_SYNTAX@4"},
        {"[True]", "JSON_SYNTAX@1"},
        {"[TRUE]", "JSON_SYNTAX@1"},
        {"[truee]", "JSON_SYNTAX@5"},
        {"[true1]", "JSON_SYNTAX@5"},
        {"[fals]", "JSON_SYNTAX@5"},
        {"[falze]", "JSON_SYNTAX@4"},
        {"[nul]", "JSON_SYNTAX@4"},
        {"[nulll]", "JSON_SYNTAX@5"},
        {"[n ull]", "JSON_SYNTAX@2"},
        {"[undefined]", "JSON_SYNTAX@1"},
        {"[NaN]", "JSON_SYNTAX@1"},
        {"[nan]", "JSON_SYNTAX@2"},
        {"[Infinity]", "JSON_SYNTAX@1"},
        {"[-Infinity]", "JSON_SYNTAX@2"},
        {"truefalse", "JSON_SYNTAX@4"},
        /* numbers */
        {"[+1]", "JSON_SYNTAX@1"},
        {"[.5]", "JSON_SYNTAX@1"},
        {"[-.5]", "JSON_SYNTAX@2"},
        {"[1.]", "JSON_SYNTAX@3"},
        {"[1.e1]", "JSON_SYNTAX@3"},
        {"[0.]", "JSON_SYNTAX@3"},
        {"[00]", "JSON_SYNTAX@2"},
        {"[-01]", "JSON_SYNTAX@3"},
        {"[0x1]", "JSON_SYNTAX@2"},
        {"[1e+]", "JSON_SYNTAX@4"},
        {"[1e-]", "JSON_SYNTAX@4"},
        {"[1e+-1]", "JSON_SYNTAX@4"},
        {"[1ee1]", "JSON_SYNTAX@3"},
        {"[1e1.5]", "JSON_SYNTAX@4"},
        {"[1e1e1]", "JSON_SYNTAX@4"},
        {"[1a]", "JSON_SYNTAX@2"},
        {"[1-1]", "JSON_SYNTAX@2"},
        {"[1+1]", "JSON_SYNTAX@2"},
        {"[1_000]", "JSON_SYNTAX@2"},
        {"[- 1]", "JSON_SYNTAX@2"},
        {"[1 .5]", "JSON_SYNTAX@3"},
        {"[-a]", "JSON_SYNTAX@2"},
        {"[1\xc2\xb2]", "JSON_SYNTAX@2"},
        {"0123", "JSON_SYNTAX@1"},
        {"-x", "JSON_SYNTAX@1"},
        /* strings */
        {"[\"a\nb\"]", "JSON_SYNTAX@3"},
        {"[\"\t\"]", "JSON_SYNTAX@2"},
        {"[\"\x1f\"]", "JSON_SYNTAX@2"},
        {"[\"\x01\"]", "JSON_SYNTAX@2"},
        {"[\"\\x41\"]", "JSON_SYNTAX@3"},
        {"[\"\\a\"]", "JSON_SYNTAX@3"},
        {"[\"\\'\"]", "JSON_SYNTAX@3"},
        {"[\"\\ \"]", "JSON_SYNTAX@3"},
        {"[\"\\U0041\"]", "JSON_SYNTAX@3"},
        {"[\"\\u00g0\"]", "JSON_SYNTAX@6"},
        {"[\"\\u004\"]", "JSON_SYNTAX@7"},
        {"[\"\\u\"]", "JSON_SYNTAX@4"},
        {"[\"\\\xc3\xa9\"]", "JSON_SYNTAX@3"},
        {"['a']", "JSON_SYNTAX@1"},
        {"[a]", "JSON_SYNTAX@1"},
        {"[\"a\\\\\"b\"]", "JSON_SYNTAX@6"},
        /* UTF-8 (RFC 3629 section 4) */
        {"[\"\x80\"]", "JSON_UTF8@2"},
        {"[\"\xbf\"]", "JSON_UTF8@2"},
        {"[\"\xc0\x80\"]", "JSON_UTF8@2"},
        {"[\"\xc1\xbf\"]", "JSON_UTF8@2"},
        {"[\"\xc2\"]", "JSON_UTF8@3"},
        {"[\"\xc2\x7f\"]", "JSON_UTF8@3"},
        {"[\"\xc2\xc2\"]", "JSON_UTF8@3"},
        {"[\"\xe0\x80\x80\"]", "JSON_UTF8@3"},
        {"[\"\xe0\x9f\xbf\"]", "JSON_UTF8@3"},
        {"[\"\xed\xa0\x80\"]", "JSON_UTF8@3"},
        {"[\"\xed\xbf\xbf\"]", "JSON_UTF8@3"},
        {"[\"\xe2\x82\"]", "JSON_UTF8@4"},
        {"[\"\xe2\x28\xa1\"]", "JSON_UTF8@3"},
        {"[\"\xf0\x80\x80\x80\"]", "JSON_UTF8@3"},
        {"[\"\xf0\x8f\xbf\xbf\"]", "JSON_UTF8@3"},
        {"[\"\xf0\x9f\x98\"]", "JSON_UTF8@5"},
        {"[\"\xf4\x90\x80\x80\"]", "JSON_UTF8@3"},
        {"[\"\xf5\x80\x80\x80\"]", "JSON_UTF8@2"},
        {"[\"\xfe\"]", "JSON_UTF8@2"},
        {"[\"\xff\"]", "JSON_UTF8@2"},
        {"[\"caf\xe9\"]", "JSON_UTF8@6"},
        {"{\"\xff\":1}", "JSON_UTF8@2"},
        {"[\"eight plain bytes before\xff\"]", "JSON_UTF8@26"},
        /* texts that end early */
        {"", "JSON_TRUNCATED@0"},
        {" \n", "JSON_TRUNCATED@2"},
        {"[", "JSON_TRUNCATED@1"},
        {"{", "JSON_TRUNCATED@1"},
        {"[1", "JSON_TRUNCATED@2"},
        {"[1,", "JSON_TRUNCATED@3"},
        {"[[]", "JSON_TRUNCATED@3"},
        {"{\"a\"", "JSON_TRUNCATED@4"},
        {"{\"a\":", "JSON_TRUNCATED@5"},
        {"{\"a\":1", "JSON_TRUNCATED@6"},
        {"{\"a\":1,", "JSON_TRUNCATED@7"},
        {"\"", "JSON_TRUNCATED@1"},
        {"\"a", "JSON_TRUNCATED@2"},
        {"\"\\", "JSON_TRUNCATED@2"},
        {"\"\\u00", "JSON_TRUNCATED@5"},
        {"\"\xe2\x82", "JSON_TRUNCATED@3"},
        {"tru", "JSON_TRUNCATED@3"},
        {"-", "JSON_TRUNCATED@1"},
        {"1.", "JSON_TRUNCATED@2"},
        {"1e", "JSON_TRUNCATED@2"},
        {"1e+", "JSON_TRUNCATED@3"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        check_outcome(rows[i].text, strlen(rows[i].text), rows[i].outcome);
    }
}

static void a_nul_byte_is_refused_everywhere(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *outcome;
    } rows[] = {
        {"\0", 1, "JSON_SYNTAX@0"},         {"[\0]", 3, "JSON_SYNTAX@1"},
        {"[\"a\0b\"]", 7, "JSON_SYNTAX@3"}, {"{\"a\":1}\0}}x", 11, "JSON_SYNTAX@7"},
        {"[1\0]", 4, "JSON_SYNTAX@2"},      {"[\"\\\0\"]", 6, "JSON_SYNTAX@3"},
        {"true\0", 5, "JSON_SYNTAX@4"},     {"[tr\0e]", 6, "JSON_SYNTAX@3"},
        {"1\0", 2, "JSON_SYNTAX@1"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        check_outcome(rows[i].text, rows[i].len, rows[i].outcome);
    }
}

static void each_byte_in_a_string_is_judged_alike_in_and_outside_of_a_run(void **state)
{
    unsigned byte, place;
    (void)state;
    for (byte = 0; byte < 256; byte++) {
        for (place = 0; place < 18; place++) {
            char text[24], wanted[32];
            memset(text, 'x', sizeof text);
            text[0] = '"';
            text[1 + place] = (char)(unsigned char)byte;
            text[19] = '"';
            if (byte == '"') {
                snprintf(wanted, sizeof wanted, "JSON_SYNTAX@%u", 2 + place);
            } else if (byte < 0x20) {
                snprintf(wanted, sizeof wanted, "JSON_SYNTAX@%u", 1 + place);
            } else if (byte == '\\') { /* \x, or \" as the last byte */
                snprintf(wanted, sizeof wanted, place < 17 ? "JSON_SYNTAX@%u" : "JSON_TRUNCATED@%u",
                         place < 17 ? 2 + place : 20);
            } else if (byte >= 0x80) {
                bool lead = byte >= 0xc2 && byte <= 0xf4;
                snprintf(wanted, sizeof wanted, "JSON_UTF8@%u", 1 + place + (lead ? 1u : 0u));
            } else {
                snprintf(wanted, sizeof wanted, "ok");
            }
            {
                char *log = scan_all_ways(text, 20, 0);
                check(strcmp(outcome(log), wanted) == 0, "byte %u at %u: %s, not %s", byte, place, log,
                      wanted);
                free(log);
            }
        }
    }
}

static void values_are_told_down_to_the_watched_depth(void **state)
{
    static const struct {
        const char *text;
        unsigned watch;
        const char *log;
    } rows[] = {
        {"true", 0, "B0 E4 ok"},
        {" 12 ", 0, "B1 E3 ok"},
        {"12", 0, "B0 ok"},
        {"[1]", 0, "B0 E3 ok"},
        {"[1]", 1, "B0 B1 E2 E3 ok"},
        {"[0]", 0, "B0 E3 ok"},
        {"[0,-0,0.5]", 1, "B0 B1 E2 B3 E5 B6 E9 E10 ok"},
        {"[-1,1e5,-2.5E-3]", 1, "B0 B1 E3 B4 E7 B8 E15 E16 ok"},
        {"[null,\"\\u0041\\n\xc3\xa9\"]", 1, "B0 B1 E5 B6 E18 E19 ok"},
        {"[1,\"a\"]", 1, "B0 B1 E2 B3 E6 E7 ok"},
        {"[]", 1, "B0 E2 ok"},
        {"[[2]]", 1, "B0 B1 E4 E5 ok"},
        {"{\"a\":1}", 1, "B0 K1 E4 B5 E6 E7 ok"},
        {"{ \"a\" : [1] , \"b\" : {} }", 1, "B0 K2 E5 B8 E11 K14 E17 B20 E22 E24 ok"},
        {"{\"a\":[1,{\"b\":2}]}", 2, "B0 K1 E4 B5 B6 E7 B8 E15 E16 E17 ok"},
        {"{\"a\":{\"b\":2}}", 2, "B0 K1 E4 B5 K6 E9 B10 E11 E12 E13 ok"},
        {"[x]", 1, "B0 B1 JSON_SYNTAX@1"},
        {"[1,]", 1, "B0 B1 E2 JSON_SYNTAX@3"},
        {"{\"a\":1,\"b\"}", 1, "B0 K1 E4 B5 E6 K7 E10 JSON_SYNTAX@10"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char *log = scan_all_ways(rows[i].text, strlen(rows[i].text), rows[i].watch);
        check_text(log, rows[i].log, rows[i].text);
        free(log);
    }
}

static void check_nesting(const char *open, const char *close, size_t depth, const char *wanted)
{
    unit_text text = {0};
    size_t i;
    char *log;
    for (i = 0; i < depth; i++) {
        unit_add_text(&text, open);
    }
    unit_add_text(&text, "1");
    for (i = 0; i < depth; i++) {
        unit_add_text(&text, close);
    }
    log = scan_cut(text.text, text.len, 0, text.len);
    check_text(outcome(log), wanted, open);
    free(log);
    log = scan_cut(text.text, text.len, 0, SIZE_MAX);
    check_text(outcome(log), wanted, open);
    free(log);
    free(text.text);
}

static void nesting_has_a_limit(void **state)
{
    char wanted[32];
    (void)state;
    check_nesting("[", "]", MAX_DEPTH, "ok");
    check_nesting("{\"a\":", "}", MAX_DEPTH, "ok");
    check_nesting("[{\"a\":", "}]", MAX_DEPTH / 2, "ok");
    snprintf(wanted, sizeof wanted, "JSON_DEPTH@%d", MAX_DEPTH);
    check_nesting("[", "]", MAX_DEPTH + 1, wanted);
    check_nesting("[", "]", 100000, wanted);
    snprintf(wanted, sizeof wanted, "JSON_DEPTH@%d", MAX_DEPTH * 5);
    check_nesting("{\"a\":", "}", MAX_DEPTH + 1, wanted);
}

/* Where objects and arrays alternate, each must be closed by its own bracket. */
static void each_level_remembers_its_bracket(void **state)
{
    size_t wrong;
    (void)state;
    for (wrong = 0; wrong < 24; wrong++) {
        unit_text text = {0};
        char *log;
        size_t i;
        for (i = 0; i < 24; i++) {
            unit_add_text(&text, i % 3 == 1 ? "[" : "{\"a\":");
        }
        unit_add_text(&text, "0");
        for (i = 24; i-- > 0;) {
            unit_add_text(&text, (i % 3 == 1) == (i != wrong) ? "]" : "}");
        }
        log = scan_cut(text.text, text.len, 0, text.len);
        check(strstr(log, "JSON_SYNTAX"), "level %d: %s", (int)wrong, log);
        free(log);
        free(text.text);
    }
}

/* Strings that follow each other within a value that nobody watches are passed over quickly, but byte by byte they are
   not. */
static void strings_in_a_row_are_judged_alike_whole_and_byte_by_byte(void **state)
{
    static const char *const starts[] = {"[\"", "{\"", "[[\"a\",\"", "{\"a\":[\"", "[{\"a\":\"b\",\"c\""};
    static const char alphabet[] = "\",:]}a";
    size_t i, n;
    (void)state;
    for (i = 0; i < UNIT_COUNT(starts); i++) {
        for (n = 0; n < 6 * 6 * 6 * 6 * 6; n += UNIT_EVERY) {
            char text[64], *whole, *bytes;
            size_t len = strlen(starts[i]), rest = n, k;
            memcpy(text, starts[i], len);
            for (k = 0; k < 5; k++, rest /= 6) {
                text[len++] = alphabet[rest % 6];
            }
            memcpy(text + len, "\",\"b\"]}]}", 9);
            len += 9;
            whole = scan_cut(text, len, 0, len);
            bytes = scan_cut(text, len, 0, SIZE_MAX);
            check(strcmp(whole, bytes) == 0, "%.*s: %s, but byte by byte: %s", (int)len, text, whole, bytes);
            free(whole);
            free(bytes);
        }
    }
}

/* Every text of up to five of these characters against a recursive judge. */
typedef struct judge {
    const char *at;
} judge;

static bool judge_value(judge *j, unsigned depth);

static bool judge_digits(judge *j)
{
    const char *begin = j->at;
    while (*j->at >= '0' && *j->at <= '9') {
        j->at++;
    }
    return j->at != begin;
}

static bool judge_number(judge *j)
{
    j->at += *j->at == '-';
    if (*j->at == '0') {
        j->at++;
    } else if (!judge_digits(j)) {
        return false;
    }
    if (*j->at == '.') {
        j->at++;
        if (!judge_digits(j)) {
            return false;
        }
    }
    if (*j->at == 'e') {
        j->at++;
        j->at += *j->at == '-';
        return judge_digits(j);
    }
    return true;
}

static bool judge_string(judge *j)
{
    if (*j->at++ != '"') {
        return false;
    }
    while (*j->at && *j->at != '"') {
        j->at++;
    }
    return *j->at++ == '"';
}

static bool judge_members(judge *j, unsigned depth, bool object)
{
    char close = object ? '}' : ']';
    j->at++;
    if (*j->at == close) {
        j->at++;
        return true;
    }
    for (;;) {
        if (object && (!judge_string(j) || *j->at++ != ':')) {
            return false;
        }
        if (!judge_value(j, depth + 1)) {
            return false;
        }
        if (*j->at == close) {
            j->at++;
            return true;
        }
        if (*j->at++ != ',') {
            return false;
        }
    }
}

static bool judge_value(judge *j, unsigned depth)
{
    switch (*j->at) {
    case '{': return judge_members(j, depth, true);
    case '[': return judge_members(j, depth, false);
    case '"': return judge_string(j);
    default: return judge_number(j);
    }
}

static void all_short_texts_are_judged_as_the_grammar_says(void **state)
{
    static const char alphabet[] = "[]{}\",:01-.e";
    enum { LETTERS = sizeof alphabet - 1 };
    unsigned long total = 1, number, accepted = 0;
    int len, i;
    (void)state;
    for (len = 1; len <= 6; len++) {
        total *= LETTERS;
        for (number = 0; number < total; number++) {
            char text[8];
            unsigned long rest = number;
            htoki_scan scan;
            htoki_scan_event event;
            judge j;
            size_t at = 0, n;
            bool wanted, got;
            for (i = 0; i < len; i++) {
                text[i] = alphabet[rest % LETTERS];
                rest /= LETTERS;
            }
            text[len] = '\0';
            j.at = text;
            wanted = judge_value(&j, 0) && *j.at == '\0' && j.at == text + len;
            htoki_scan_begin(&scan, 0);
            do {
                event = htoki_scan_feed(&scan, text + at, (size_t)len - at, &n);
                at += n;
            } while (event == HTOKI_SCAN_BEGIN || event == HTOKI_SCAN_END);
            got = event == HTOKI_SCAN_MORE && htoki_scan_finish(&scan);
            check(got == wanted, "%s: %d", text, got);
            accepted += got;
        }
    }
    check(accepted > 1000, "too few accepted: %lu", accepted);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_texts_are_accepted),
        cmocka_unit_test(malformed_texts_are_refused_at_the_byte_at_fault),
        cmocka_unit_test(a_nul_byte_is_refused_everywhere),
        cmocka_unit_test(each_byte_in_a_string_is_judged_alike_in_and_outside_of_a_run),
        cmocka_unit_test(values_are_told_down_to_the_watched_depth),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(each_level_remembers_its_bracket),
        cmocka_unit_test(strings_in_a_row_are_judged_alike_whole_and_byte_by_byte),
        cmocka_unit_test(all_short_texts_are_judged_as_the_grammar_says),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("json scan", tests, NULL, NULL);
}
