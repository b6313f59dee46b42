/* How the tool reads proxies from its option and from the environment: functions of its own. */
#define main tool_main
#include "tools/hathora-tokens.c"
#undef main
#include "unit.h"

static struct tool tool_with(const char *url)
{
    static char word[512];
    struct tool t;
    memset(&t, 0, sizeof t);
    snprintf(word, sizeof word, "%s", url);
    take(&t, OPTION_PROXY, word);
    check(strspn(word, "*") == strlen(word), "the option stays in the process list: %s", word);
    return t;
}

static void a_proxy_is_taken_apart(void **state)
{
    static const struct {
        const char *url, *host;
        unsigned port;
        const char *user, *password;
    } rows[] = {
        {"http://h:3128", "h", 3128, NULL, NULL},
        {"HTTP://h:3128/", "h", 3128, NULL, NULL},
        {"h:3128", "h", 3128, NULL, NULL},
        {"http://h", "h", 80, NULL, NULL},
        {"http://10.0.0.1:1", "10.0.0.1", 1, NULL, NULL},
        {"http://[::1]:65535", "::1", 65535, NULL, NULL},
        {"http://[2001:db8::1]", "2001:db8::1", 80, NULL, NULL},
        {"http://u@h:1", "h", 1, "u", NULL},
        {"http://u:@h:1", "h", 1, "u", ""},
        {"http://:p@h:1", "h", 1, "", "p"},
        {"http://@h:1", "h", 1, "", NULL},
        {"u:p@[::1]:1", "::1", 1, "u", "p"},
        {"http://us%65r:p%40ss%3a%2F@h:1", "h", 1, "user", "p@ss:/"},
        {"http://u:p@q@h:1", "h", 1, "u", "p@q"},
        {"http://u:p:q@h:1", "h", 1, "u", "p:q"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        struct tool t = tool_with(rows[i].url);
        check_text(t.usage, "", rows[i].url);
        check_text(t.proxy.host, rows[i].host, rows[i].url);
        check_number(t.proxy.port, rows[i].port, rows[i].url);
        check((t.proxy.user == NULL) == (rows[i].user == NULL), "%s", rows[i].url);
        check((t.proxy.password == NULL) == (rows[i].password == NULL), "%s", rows[i].url);
        if (rows[i].user) {
            check_text(t.proxy.user, rows[i].user, rows[i].url);
        }
        if (rows[i].password) {
            check_text(t.proxy.password, rows[i].password, rows[i].url);
        }
        buffer_free(&t.proxy_text);
    }
}

static void no_proxy_is_a_word(void **state)
{
    struct tool t = tool_with("none");
    (void)state;
    check_text(t.usage, "", "none");
    assert_null(t.proxy.host);
    buffer_free(&t.proxy_text);
}

static void a_malformed_proxy_is_named_and_not_shown(void **state)
{
    static const struct {
        const char *url, *text;
    } rows[] = {
        {"https://CANARY:1", "--proxy must be an http:// URL: SOCKS and TLS to the proxy are not supported"},
        {"socks5://CANARY:1", "--proxy must be an http:// URL: SOCKS and TLS to the proxy are not supported"},
        {"x://", "--proxy must be an http:// URL: SOCKS and TLS to the proxy are not supported"},
        {"http://CANARY:1/path", "--proxy must not have a path, query or fragment"},
        {"http://CANARY:1?q", "--proxy must not have a path, query or fragment"},
        {"http://CANARY:1#f", "--proxy must not have a path, query or fragment"},
        {"http://CANARY:0", "--proxy must have a port from 1 to 65535"},
        {"http://CANARY:65536", "--proxy must have a port from 1 to 65535"},
        {"http://CANARY:99999999999999999999", "--proxy must have a port from 1 to 65535"},
        {"http://CANARY:", "--proxy must have a port from 1 to 65535"},
        {"http://CANARY:8x", "--proxy must have a port from 1 to 65535"},
        {"http://CANARY%4:p@h:1", "--proxy has a malformed %XX in its user or password"},
        {"http://u:CANARY%@h:1", "--proxy has a malformed %XX in its user or password"},
        {"http://u:CANARY%4g@h:1", "--proxy has a malformed %XX in its user or password"},
        {"http://u:CANARY%g4@h:1", "--proxy has a malformed %XX in its user or password"},
        {"http://u:CANARY%00@h:1", "--proxy has a malformed %XX in its user or password"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        struct tool t = tool_with(rows[i].url);
        check_text(t.usage, rows[i].text, rows[i].url);
        assert_null(t.proxy.host);
        buffer_free(&t.proxy_text);
    }
}

static void no_proxy_names_hosts_domains_and_ports(void **state)
{
    static const struct {
        const char *list, *host;
        uint16_t port;
        bool matches;
    } rows[] = {
        {"", "api.hathora.dev", 443, false},
        {"*", "api.hathora.dev", 443, true},
        {"a, *", "api.hathora.dev", 443, true},
        {"*.hathora.dev", "api.hathora.dev", 443, false},
        {"api.hathora.dev", "api.hathora.dev", 443, true},
        {"API.Hathora.DEV", "api.hathora.dev", 443, true},
        {"hathora.dev", "api.hathora.dev", 443, true},
        {".hathora.dev", "api.hathora.dev", 443, true},
        {".hathora.dev", "hathora.dev", 443, true},
        {"dev", "api.hathora.dev", 443, true},
        {"athora.dev", "api.hathora.dev", 443, false},
        {"i.hathora.dev", "api.hathora.dev", 443, false},
        {"x.api.hathora.dev", "api.hathora.dev", 443, false},
        {"api.hathora.dev.example", "api.hathora.dev", 443, false},
        {"a,b,hathora.dev", "api.hathora.dev", 443, true},
        {"a b\thathora.dev ", "api.hathora.dev", 443, true},
        {" , ,", "api.hathora.dev", 443, false},
        {".", "api.hathora.dev", 443, false},
        {"hathora.dev:443", "api.hathora.dev", 443, true},
        {"hathora.dev:8443", "api.hathora.dev", 443, false},
        {"hathora.dev:8443", "api.hathora.dev", 8443, true},
        {"hathora.dev:x", "api.hathora.dev", 443, false},
        {":443", "api.hathora.dev", 443, false},
        {"127.0.0.1", "127.0.0.1", 443, true},
        {"0.0.1", "127.0.0.1", 443, true}, /* a suffix like any other */
        {"127.0.0.0/8", "127.0.0.1", 443, false},
        {"::1", "::1", 443, true},
        {"[::1]", "::1", 443, true},
        {"[::1]:443", "::1", 443, true},
        {"[::1]:444", "::1", 443, false},
        {"::2", "::1", 443, false},
        {"[", "::1", 443, false},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        check_number(no_proxy_matches(rows[i].list, rows[i].host, strlen(rows[i].host), rows[i].port),
                     rows[i].matches, rows[i].list);
    }
}

#ifdef _WIN32
#define ONE_NAME true /* in any case of its letters, and what is empty is not there */
static void set_variable(const char *name, const char *value)
{
    assert_int_equal(_putenv_s(name, value ? value : ""), 0);
}
#else
#define ONE_NAME false
static void set_variable(const char *name, const char *value)
{
    assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}
#endif

static void the_option_outranks_the_variables_and_small_letters_large_ones(void **state)
{
    static const struct {
        const char *https_proxy, *HTTPS_PROXY, *no_proxy, *NO_PROXY, *option, *endpoint, *host;
    } rows[] = {
        {NULL, NULL, NULL, NULL, NULL, NULL, NULL},
        {"http://small:1", "http://large:1", NULL, NULL, NULL, NULL, "small"},
        {NULL, "http://large:1", NULL, NULL, NULL, NULL, "large"},
        {"", "http://large:1", NULL, NULL, NULL, NULL, NULL},
        {"http://small:1", NULL, NULL, NULL, "http://option:1", NULL, "option"},
        {"http://small:1", NULL, NULL, NULL, "none", NULL, NULL},
        {"http://small:1", NULL, "hathora.dev", NULL, NULL, NULL, NULL},
        {"http://small:1", NULL, NULL, "hathora.dev", NULL, NULL, NULL},
        {"http://small:1", NULL, "x", "hathora.dev", NULL, NULL, "small"},
        {"http://small:1", NULL, "hathora.dev", NULL, "http://option:1", NULL, "option"},
        {"http://small:1", NULL, "hathora.dev:444", NULL, NULL, NULL, "small"},
        {"http://small:1", NULL, "h:444", NULL, NULL, "HTTPS://h:444/v", NULL},
        {"http://small:1", NULL, "h:444", NULL, NULL, "https://h.", "small"},
        {"http://small:1", NULL, "h", NULL, NULL, "https://h.", NULL},
        {"http://small:1", NULL, "::1", NULL, NULL, "https://[::1]:8443/v", NULL},
        {"http://small:1", NULL, NULL, NULL, NULL, "http://127.0.0.1:1", NULL},
        {"http://small:1", NULL, NULL, NULL, NULL, "x", NULL},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        struct tool t;
        char label[16];
        snprintf(label, sizeof label, "row %u", (unsigned)i);
        if (ONE_NAME &&
            ((rows[i].https_proxy && rows[i].HTTPS_PROXY) || (rows[i].no_proxy && rows[i].NO_PROXY))) {
            continue;
        }
        set_variable("https_proxy", rows[i].https_proxy);
        set_variable("no_proxy", rows[i].no_proxy);
        if (!ONE_NAME || !rows[i].https_proxy) {
            set_variable("HTTPS_PROXY", rows[i].HTTPS_PROXY);
        }
        if (!ONE_NAME || !rows[i].no_proxy) {
            set_variable("NO_PROXY", rows[i].NO_PROXY);
        }
        memset(&t, 0, sizeof t);
        if (rows[i].option) {
            t = tool_with(rows[i].option);
        }
        t.values[OPTION_ENDPOINT] = rows[i].endpoint;
        read_proxy(&t);
        check((t.proxy.host == NULL) == (rows[i].host == NULL), "%s: %s", label,
              t.proxy.host ? t.proxy.host : "none");
        if (rows[i].host) {
            check_text(t.proxy.host, rows[i].host, label);
        }
        buffer_free(&t.proxy_text);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proxy_is_taken_apart),
        cmocka_unit_test(no_proxy_is_a_word),
        cmocka_unit_test(a_malformed_proxy_is_named_and_not_shown),
        cmocka_unit_test(no_proxy_names_hosts_domains_and_ports),
        cmocka_unit_test(the_option_outranks_the_variables_and_small_letters_large_ones),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("tool_proxy", tests, NULL, NULL);
}
