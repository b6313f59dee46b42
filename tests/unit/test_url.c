/* Endpoint URLs and percent-encoding. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

/* Parses a copy that ends with its last byte. */
static bool parse(const char *text, htoki_url *url, htok_error *e, char **copy)
{
    size_t len = strlen(text);
    *copy = unit_exact(text, len);
    unit_error_begin(e);
    return htoki_url_parse(htoki_view(*copy, len), url, e);
}

static void refused(const char *text, htok_reason reason, int64_t offset)
{
    htoki_url url;
    htok_error e;
    char *copy;
    check(!parse(text, &url, &e, &copy), "%s is accepted", text);
    check_text(htok_reason_name(e.reason), htok_reason_name(reason), text);
    check_number(e.offset, offset, text);
    check_text(e.path, "server_url", text);
    check_number(e.kind, HTOK_INVALID_REQUEST_ERROR, text);
    check_number(e.phase, HTOK_PHASE_OPTION, text);
    free(copy);
}

static void accepted(const char *text, bool secure, const char *host, unsigned port, const char *prefix,
                     const char *authority)
{
    htoki_url url;
    htok_error e;
    char *copy, line[300];
    htoki_writer w = htoki_writer_make(line, sizeof line, 0);
    bool ok = parse(text, &url, &e, &copy);
    check(ok, "%s: %s at %ld", text, htok_reason_name(e.reason), (long)e.offset);
    check_number(url.secure, secure, text);
    check_text(url.host, host, text);
    check_number(url.port, port, text);
    check_view(url.prefix, prefix, text);
    htoki_put_authority(&w, &url);
    htoki_writer_end(&w);
    check_text(line, authority, text);
    free(copy);
}

static void host_port_and_prefix_are_taken_apart(void **state)
{
    static const struct {
        const char *text;
        bool secure;
        const char *host;
        unsigned port;
        const char *prefix, *authority;
    } rows[] = {
        {"https://api.hathora.dev", true, "api.hathora.dev", 443, "", "api.hathora.dev"},
        {"https://api.hathora.dev/", true, "api.hathora.dev", 443, "", "api.hathora.dev"},
        {"https://api.hathora.dev///", true, "api.hathora.dev", 443, "", "api.hathora.dev"},
        {"HTTPS://API.Hathora.DEV", true, "api.hathora.dev", 443, "", "api.hathora.dev"},
        {"https://api.hathora.dev.", true, "api.hathora.dev", 443, "", "api.hathora.dev"},
        {"https://h:8443/a/b//", true, "h", 8443, "/a/b", "h:8443"},
        {"https://h:443", true, "h", 443, "", "h"},
        {"https://h:80", true, "h", 80, "", "h:80"},
        {"https://h:65535", true, "h", 65535, "", "h:65535"},
        {"https://h:1", true, "h", 1, "", "h:1"},
        {"https://h/v1/x2", true, "h", 443, "/v1/x2", "h"},
        {"https://h:000443/", true, "h", 443, "", "h"},
        {"https://h/a//b", true, "h", 443, "/a//b", "h"},
        {"https://h/A-._~!$&'()*+,;=:@/%41%e2", true, "h", 443, "/A-._~!$&'()*+,;=:@/%41%e2", "h"},
        {"https://h/...", true, "h", 443, "/...", "h"},
        {"https://h/.a/a./..b/b..", true, "h", 443, "/.a/a./..b/b..", "h"},
        {"https://my_host-1.example", true, "my_host-1.example", 443, "", "my_host-1.example"},
        {"https://1.2.3.4", true, "1.2.3.4", 443, "", "1.2.3.4"},
        {"https://255.255.255.255:9", true, "255.255.255.255", 9, "", "255.255.255.255:9"},
        {"https://a1.b2c", true, "a1.b2c", 443, "", "a1.b2c"},
        {"https://1.example", true, "1.example", 443, "", "1.example"},
        {"https://0xg", true, "0xg", 443, "", "0xg"},
        {"https://0xfg", true, "0xfg", 443, "", "0xfg"},
        {"https://1x", true, "1x", 443, "", "1x"},
        {"https://1-2-3-4", true, "1-2-3-4", 443, "", "1-2-3-4"},
        {"https://127.0.0-1", true, "127.0.0-1", 443, "", "127.0.0-1"},
        {"https://1x2", true, "1x2", 443, "", "1x2"},
        {"https://1a", true, "1a", 443, "", "1a"},
        {"https://12a", true, "12a", 443, "", "12a"},
        {"https://xn--bcher-kva.example", true, "xn--bcher-kva.example", 443, "", "xn--bcher-kva.example"},
        {"http://localhost:3000/x", false, "localhost", 3000, "/x", "localhost:3000"},
        {"http://LOCALHOST", false, "localhost", 80, "", "localhost"},
        {"http://localhost.", false, "localhost", 80, "", "localhost"},
        {"http://localhost:80", false, "localhost", 80, "", "localhost"},
        {"http://localhost:443", false, "localhost", 443, "", "localhost:443"},
        {"http://127.0.0.1", false, "127.0.0.1", 80, "", "127.0.0.1"},
        {"http://127.255.0.9:1", false, "127.255.0.9", 1, "", "127.255.0.9:1"},
        {"http://[::1]:8080", false, "::1", 8080, "", "[::1]:8080"},
        {"http://[0:0:0:0:0:0:0:1]", false, "0:0:0:0:0:0:0:1", 80, "", "[0:0:0:0:0:0:0:1]"},
        {"http://[::ffff:127.0.0.1]", false, "::ffff:127.0.0.1", 80, "", "[::ffff:127.0.0.1]"},
        {"https://[2001:DB8::A]/p", true, "2001:db8::a", 443, "/p", "[2001:db8::a]"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        accepted(rows[i].text, rows[i].secure, rows[i].host, rows[i].port, rows[i].prefix, rows[i].authority);
    }
}

static void each_refusal_has_its_reason_and_offset(void **state)
{
    static const struct {
        const char *text;
        htok_reason reason;
        int64_t offset;
    } rows[] = {
        {"", HTOK_REASON_URL_SCHEME, 0},
        {"h", HTOK_REASON_URL_SCHEME, 0},
        {"https:", HTOK_REASON_URL_SCHEME, 0},
        {"https:/", HTOK_REASON_URL_SCHEME, 0},
        {"http:/", HTOK_REASON_URL_SCHEME, 0},
        {"ftp://h", HTOK_REASON_URL_SCHEME, 0},
        {"httpss://h", HTOK_REASON_URL_SCHEME, 0},
        {"//h", HTOK_REASON_URL_SCHEME, 0},
        {" https://h", HTOK_REASON_URL_SCHEME, 0},
        {"api.hathora.dev", HTOK_REASON_URL_SCHEME, 0},
        {"https://h\n", HTOK_REASON_TEXT_CONTROL, 9},
        {"https://h\r\nX: y", HTOK_REASON_TEXT_CONTROL, 9},
        {"https://h/\x7f", HTOK_REASON_TEXT_CONTROL, 10},
        {"\thttps://h", HTOK_REASON_TEXT_CONTROL, 0},
        {"http://h", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://h:443", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://128.0.0.1", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://126.255.255.255", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://0.0.0.0", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://[::2]", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://[::]", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://[1::1]", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://[::ffff:128.0.0.1]", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://[::127.0.0.1]", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://localhost.example", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://xlocalhost", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://127-0-0-1", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://127.0.0-1", HTOK_REASON_URL_PLAINTEXT, 0},
        {"http://localhos", HTOK_REASON_URL_PLAINTEXT, 0},
        {"https://u@h", HTOK_REASON_URL_USERINFO, 9},
        {"https://u:p@h/", HTOK_REASON_URL_USERINFO, 11},
        {"https://@h", HTOK_REASON_URL_USERINFO, 8},
        {"https://good.example\\@evil.example/", HTOK_REASON_URL_USERINFO, 21},
        {"https://", HTOK_REASON_URL_HOST, 8},
        {"https:///path", HTOK_REASON_URL_HOST, 8},
        {"https://:443", HTOK_REASON_URL_HOST, 8},
        {"https://.", HTOK_REASON_URL_HOST, 8},
        {"https://..", HTOK_REASON_URL_HOST, 8},
        {"https://h..", HTOK_REASON_URL_HOST, 8},
        {"https://.h", HTOK_REASON_URL_HOST, 8},
        {"https://a..b", HTOK_REASON_URL_HOST, 8},
        {"https://h h", HTOK_REASON_URL_HOST, 8},
        {"https://h%41", HTOK_REASON_URL_HOST, 8},
        {"https://b\xc3\xbc"
         "cher.example",
         HTOK_REASON_URL_HOST, 8},
        {"https://h\\x", HTOK_REASON_URL_HOST, 8},
        {"https://h,h", HTOK_REASON_URL_HOST, 8},
        {"https://*.h", HTOK_REASON_URL_HOST, 8},
        {"https://h:", HTOK_REASON_URL_PORT, 10},
        {"https://h:/", HTOK_REASON_URL_PORT, 10},
        {"https://h:0", HTOK_REASON_URL_PORT, 10},
        {"https://h:65536", HTOK_REASON_URL_PORT, 10},
        {"https://h:99999999999999999999999", HTOK_REASON_URL_PORT, 10},
        {"https://h:+1", HTOK_REASON_URL_PORT, 10},
        {"https://h:-1", HTOK_REASON_URL_PORT, 10},
        {"https://h:1a", HTOK_REASON_URL_PORT, 10},
        {"https://h:1:2", HTOK_REASON_URL_PORT, 10},
        {"https://h: 1", HTOK_REASON_URL_PORT, 10},
        {"https://[::1]:x", HTOK_REASON_URL_PORT, 14},
        {"https://[::1]:", HTOK_REASON_URL_PORT, 14},
        {"https://h?", HTOK_REASON_URL_QUERY, 9},
        {"https://h/a?b=c", HTOK_REASON_URL_QUERY, 11},
        {"https://h#", HTOK_REASON_URL_FRAGMENT, 9},
        {"https://h/a#b?c", HTOK_REASON_URL_FRAGMENT, 11},
        {"https://h/a b", HTOK_REASON_URL_PATH, 11},
        {"https://h/a\"", HTOK_REASON_URL_PATH, 11},
        {"https://h/a\\b", HTOK_REASON_URL_PATH, 11},
        {"https://h/[a]", HTOK_REASON_URL_PATH, 10},
        {"https://h/a\xc3\xa9", HTOK_REASON_URL_PATH, 11},
        {"https://h/%", HTOK_REASON_URL_PATH, 10},
        {"https://h/a%2f..%2fb", HTOK_REASON_URL_PATH, 11},
        {"https://h/a%5Cb", HTOK_REASON_URL_PATH, 11},
        {"https://h/%4", HTOK_REASON_URL_PATH, 10},
        {"https://h/%4g", HTOK_REASON_URL_PATH, 10},
        {"https://h/a%0d%0ab", HTOK_REASON_URL_PATH, 11},
        {"https://h/%00", HTOK_REASON_URL_PATH, 10},
        {"https://h/%7f", HTOK_REASON_URL_PATH, 10},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        refused(rows[i].text, rows[i].reason, rows[i].offset);
    }
}

static void dot_segments_are_refused_in_every_spelling(void **state)
{
    static const char *const dots[] = {".",    "..",     "%2e",    "%2E",    "%2e.",
                                       ".%2e", "%2e%2e", "%2E%2e", "%2E%2E", ".%2E"};
    static const struct {
        const char *before, *after;
    } places[] = {{"", ""}, {"", "/"}, {"", "/x"}, {"a/", ""}, {"a/", "/b"}, {"a//", "//"}};
    size_t i, n;
    (void)state;
    for (i = 0; i < UNIT_COUNT(dots); i++) {
        for (n = 0; n < UNIT_COUNT(places); n++) {
            char text[64];
            snprintf(text, sizeof text, "https://h/%s%s%s", places[n].before, dots[i], places[n].after);
            refused(text, HTOK_REASON_URL_PATH, (int64_t)(10 + strlen(places[n].before)));
        }
    }
}

static void hosts_that_inet_aton_reads_as_addresses_are_refused(void **state)
{
    static const char *const hosts[] = {
        "1",           "127.1",        "127.0.1",    "2130706433",  "0x7f000001",  "0x7f.1",
        "127.0.0.0x1", "017700000001", "0177.0.0.1", "1.2.3.4.5",   "256.0.0.1",   "1.2.3",
        "1.2.3.",      "01.2.3.4",     "1.2.3.04",   "example.123", "example.0x1", "a.0X1F",
        "0x",          "a.0x.",        "1.2.3.256",  "1.2.3.4.",    "00.0.0.0"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(hosts); i++) {
        char text[64];
        snprintf(text, sizeof text, "https://%s/", hosts[i]);
        if (strcmp(hosts[i], "1.2.3.4.") == 0) {
            accepted(text, true, "1.2.3.4", 443, "", "1.2.3.4");
        } else {
            refused(text, HTOK_REASON_URL_HOST, 8);
        }
    }
}

static void ipv6_literals_are_read_in_all_forms(void **state)
{
    static const struct {
        const char *text;
        uint8_t bytes[16];
    } rows[] = {
        {"::", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
        {"::1", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
        {"1::", {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
        {"1::2", {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}},
        {"1:2:3:4:5:6:7:8", {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}},
        {"1:2:3:4:5:6:7::", {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 0}},
        {"::2:3:4:5:6:7:8", {0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}},
        {"1:2:3::6:7:8", {0, 1, 0, 2, 0, 3, 0, 0, 0, 0, 0, 6, 0, 7, 0, 8}},
        {"2001:dB8:0:00:000:0000:ABCD:ffff",
         {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd, 0xff, 0xff}},
        {"::ffff:1.2.3.4", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4}},
        {"::1.2.3.4", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}},
        {"1:2:3:4:5:6:7.8.9.10", {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 7, 8, 9, 10}},
        {"64:ff9b::192.0.2.33", {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 33}},
        {"1::3:4:5:6:7.8.9.10", {0, 1, 0, 0, 0, 3, 0, 4, 0, 5, 0, 6, 7, 8, 9, 10}},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        size_t len = strlen(rows[i].text);
        char *copy = unit_exact(rows[i].text, len);
        htok_address address;
        check(htoki_address_parse(htoki_view(copy, len), &address), "%s is refused", rows[i].text);
        check_number(address.length, 16, rows[i].text);
        check(memcmp(address.bytes, rows[i].bytes, 16) == 0, "%s is read wrongly", rows[i].text);
        free(copy);
    }
}

static void malformed_ipv6_literals_are_refused(void **state)
{
    static const char *const hosts[] = {"[]",
                                        "[:]",
                                        "[:::]",
                                        "[1]",
                                        "[1:2:3:4:5:6:7]",
                                        "[1:2:3:4:5:6:7:8:9]",
                                        "[1::2::3]",
                                        "[:1]",
                                        "[1:]",
                                        "[:1:2:3:4:5:6:7]",
                                        "[1:2:3:4:5:6:7:]",
                                        "[12345::]",
                                        "[g::]",
                                        "[::1",
                                        "[::1]x",
                                        "[::1]]",
                                        "[[::1]]",
                                        "[1.2.3.4]",
                                        "[::1.2.3]",
                                        "[::1.2.3.4.5]",
                                        "[::1.2.3.256]",
                                        "[1:2:3:4:5:6:7:1.2.3.4]",
                                        "[::01.2.3.4]",
                                        "[fe80::1%eth0]",
                                        "[fe80::1%25eth0]",
                                        "[v1.x]",
                                        "[::1.2.3.4:5]",
                                        "[1::2:3:4:5:6:7:8]",
                                        "[::ffff:1.2.3.4:]",
                                        "::1",
                                        "1:2:3:4:5:6:7:8",
                                        "[localhost]",
                                        "[1:2:3:4:5:6:7:8::]",
                                        "[::1:2:3:4:5:6:7:8]",
                                        "[ ::1]",
                                        "[1:2:3:4:5::1.2.3.4:6]",
                                        "[1:2:3:4:5:6:7.8.9.10:1]"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(hosts); i++) {
        char text[80];
        htoki_url url;
        htok_error e;
        char *copy;
        snprintf(text, sizeof text, "https://%s", hosts[i]);
        check(!parse(text, &url, &e, &copy), "%s is accepted", text);
        check(e.reason == HTOK_REASON_URL_HOST || (hosts[i][0] != '[' && e.reason == HTOK_REASON_URL_PORT),
              "%s: %s", text, htok_reason_name(e.reason));
        free(copy);
    }
}

static void a_label_has_at_most_63_characters_and_a_host_253(void **state)
{
    char label[65], text[400];
    size_t i;
    (void)state;
    memset(label, 'a', sizeof label);
    label[64] = '\0';
    snprintf(text, sizeof text, "https://%.63s.b", label);
    accepted(text, true, text + 8, 443, "", text + 8);
    snprintf(text, sizeof text, "https://%.64s.b", label);
    refused(text, HTOK_REASON_URL_HOST, 8);
    for (i = 252; i <= 255; i++) {
        size_t n;
        for (n = 0; n < i; n++) {
            text[8 + n] = n % 50 == 49 ? '.' : 'a';
        }
        text[8 + i] = '\0';
        if (i <= 253) {
            accepted(text, true, text + 8, 443, "", text + 8);
        } else {
            refused(text, HTOK_REASON_URL_HOST, 8);
        }
    }
    text[8 + 253] = '.'; /* the root's dot does not count */
    text[8 + 254] = '\0';
    {
        htoki_url url;
        htok_error e;
        char *copy;
        check(parse(text, &url, &e, &copy), "%s", text);
        check_number(strlen(url.host), 253, "host");
        free(copy);
    }
}

static void a_url_has_at_most_2048_bytes(void **state)
{
    char *text = (char *)malloc(2060);
    htoki_url url;
    htok_error e;
    (void)state;
    assert_non_null(text);
    memset(text, 'a', 2060);
    memcpy(text, "https://h/", 10);
    unit_error_begin(&e);
    assert_true(htoki_url_parse(htoki_view(text, 2048), &url, &e));
    assert_false(htoki_url_parse(htoki_view(text, 2049), &url, &e));
    assert_int_equal(e.reason, HTOK_REASON_TEXT_TOO_LONG);
    assert_int_equal(e.offset, 2048);
    free(text);
}

static void a_nul_in_a_url_is_a_control_character(void **state)
{
    htoki_url url;
    htok_error e;
    (void)state;
    unit_error_begin(&e);
    assert_false(htoki_url_parse(htoki_view("https://h\0x", 11), &url, &e));
    assert_int_equal(e.reason, HTOK_REASON_TEXT_CONTROL);
    assert_int_equal(e.offset, 9);
}

static void percent_encoding_is_that_of_encodeURIComponent(void **state)
{
    char all[256], out[800], wanted[800];
    size_t i, at = 0;
    htoki_writer w = htoki_writer_make(out, sizeof out, 0);
    (void)state;
    for (i = 0; i < 256; i++) {
        all[i] = (char)(unsigned char)i;
        if (i != 0 &&
            strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()", (int)i)) {
            wanted[at++] = (char)i;
        } else {
            at += (size_t)snprintf(wanted + at, sizeof wanted - at, "%%%02X", (unsigned)i);
        }
    }
    htoki_put_percent_encoded(&w, htoki_view(all, 256));
    htoki_writer_end(&w);
    assert_int_equal(w.total, at);
    assert_memory_equal(out, wanted, at);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_port_and_prefix_are_taken_apart),
        cmocka_unit_test(each_refusal_has_its_reason_and_offset),
        cmocka_unit_test(dot_segments_are_refused_in_every_spelling),
        cmocka_unit_test(hosts_that_inet_aton_reads_as_addresses_are_refused),
        cmocka_unit_test(ipv6_literals_are_read_in_all_forms),
        cmocka_unit_test(malformed_ipv6_literals_are_refused),
        cmocka_unit_test(a_label_has_at_most_63_characters_and_a_host_253),
        cmocka_unit_test(a_url_has_at_most_2048_bytes),
        cmocka_unit_test(a_nul_in_a_url_is_a_control_character),
        cmocka_unit_test(percent_encoding_is_that_of_encodeURIComponent),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
