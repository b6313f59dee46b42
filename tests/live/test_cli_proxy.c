/* The tool through a proxy, tinyproxy or a scripted one, and with its session kept in a file. */
#define _POSIX_C_SOURCE 200809L
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include "harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WORDS(...)   ((const char *const[]){__VA_ARGS__, NULL})
#define TOKEN        "dev-token-CANARY-1"
#define USER         "proxy-user-CANARY-2"
#define PASSWORD     "pass%24word-CANARY-3" /* as it stands in a URL */
#define BASIC        "cHJveHktdXNlci1DQU5BUlktMjpwYXNzJHdvcmQtQ0FOQVJZLTM="
#define SESSION      180
/* tinyproxy takes letters and digits alone. */
#define WITH_PASSWORD "BasicAuth userCANARY2 passCANARY3\n"
#define SIMPLE        "userCANARY2:passCANARY3@"
#define SIMPLE_BASIC  "dXNlckNBTkFSWTI6cGFzc0NBTkFSWTM="

/* No output holds the token, the proxy's user or password, or the two in the form in which they are sent. */
static void check_no_secret(const struct live_bytes *bytes)
{
    if (live_contains(bytes, "CANARY") || live_contains(bytes, BASIC) || live_contains(bytes, SIMPLE_BASIC)) {
        fail_msg("a secret in: %s", bytes->ptr);
    }
}

static struct live_process *tool(const char *const *env, const struct live_server *server,
                                 const char *const *words)
{
    const char *argv[40] = {
        live_tool(), "--org", "org-1", "--token", TOKEN, "--ca-file", live_certificate("ca.pem")};
    struct live_command command;
    struct live_process *p;
    size_t i, n = 7;
    if (server) {
        argv[n++] = "--endpoint";
        argv[n++] = server->url;
    }
    for (i = 0; words[i]; i++) {
        argv[n++] = words[i];
    }
    memset(&command, 0, sizeof command);
    command.argv = argv;
    command.env = env;
    p = live_run(&command);
    check_no_secret(&p->out);
    check_no_secret(&p->err);
    return p;
}

static void expect(const struct live_process *p, int status, const char *text)
{
    if (p->status != status || !(live_contains(&p->err, text) || live_contains(&p->out, text))) {
        fail_msg("exit %d instead of %d, or no \"%s\" in: %s%s", p->status, status, text, p->out.ptr,
                 p->err.ptr);
    }
}

static const char *proxy_url(const struct live_server *proxy, const char *credentials)
{
    static char url[128];
    snprintf(url, sizeof url, "http://%s127.0.0.1:%u", credentials, proxy->port);
    return url;
}

static void a_real_proxy_carries_all_operations(void **state)
{
    struct live_server *server = live_start_emulator(TOKEN, NULL);
    struct live_server *proxy = live_start_proxy(WITH_PASSWORD);
    const char *url = proxy_url(proxy, SIMPLE);
    const struct live_process *p;
    char id[128], connect[64];
    (void)state;
    p = tool(NULL, server, WORDS("--proxy", url, "create", "--name", "ci", "-o", "orgTokenIdValue"));
    expect(p, 0, "org-token-");
    snprintf(id, sizeof id, "%.*s", (int)strcspn(p->out.ptr, "\n"), p->out.ptr);
    expect(tool(NULL, server, WORDS("-v", "--proxy", url, "list")), 0, id);
    expect(tool(NULL, server, WORDS("--proxy", url, "revoke", id)), 0, "revoked");
    snprintf(connect, sizeof connect, "CONNECT localhost:%u HTTP/1.1", server->port);
    live_await_output(proxy->process, connect, 0);
    assert_false(live_contains(&proxy->process->out, TOKEN));
}

static void what_the_real_proxy_refuses_is_5(void **state)
{
    struct live_server *server = live_start_emulator(TOKEN, NULL);
    struct live_server *proxy = live_start_proxy(WITH_PASSWORD);
    (void)state;
    expect(tool(NULL, server, WORDS("-v", "--proxy", proxy_url(proxy, ""), "list")), 5,
           "the proxy wants a user and password, or others: none were given (the proxy's status 407)");
    expect(tool(NULL, server, WORDS("-v", "--proxy", proxy_url(proxy, "userCANARY2:wrong@"), "list")), 5,
           "the proxy's status 40");
    live_kill(server->process);
    expect(
        tool(NULL, server, WORDS("--proxy", proxy_url(proxy, SIMPLE), "list", "-o", "json")), 5,
        "{\"error\":{\"type\":\"ConnectionError\",\"message\":\"the proxy refused to connect to the server "
        "(the "
        "proxy's status 50");
    live_kill(proxy->process);
    expect(tool(NULL, server, WORDS("--proxy", proxy_url(proxy, SIMPLE), "list")), 5,
           "the connection cannot be made: proxy: ECONNREFUSED, connection refused");
}

static void variables_name_the_proxy_for_https(void **state)
{
    static const char *const nowhere[] = {"https_proxy=http://" USER ":" PASSWORD "@127.0.0.1:1", NULL};
    static const char *const large[] = {"HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=localhost:1", NULL};
    static const char *const direct[] = {"https_proxy=http://127.0.0.1:1", "no_proxy=localhost", NULL};
    static const char *const bad[] = {"https_proxy=http://" USER ":" PASSWORD "@a b:1", NULL};
    struct live_server *server = live_start_emulator(TOKEN, NULL);
    (void)state;
    expect(tool(nowhere, server, WORDS("-v", "list")), 5, "proxy: ECONNREFUSED");
    expect(tool(large, server, WORDS("list")), 5, "proxy: ECONNREFUSED");
    expect(tool(direct, server, WORDS("list", "-o", "json")), 0, "{\"tokens\":[]}");
    expect(tool(nowhere, server, WORDS("--proxy", "none", "list", "-o", "json")), 0, "{\"tokens\":[]}");
    expect(tool(bad, server, WORDS("list")), 2, "https_proxy: the URL's host is missing or malformed");
    expect(tool(NULL, server, WORDS("--proxy", "http://a b:1", "list")), 2,
           "--proxy: the URL's host is missing or malformed");
    expect(tool(NULL, server, WORDS("--proxy", "http://u%0d:p@h:1", "list")), 2,
           "--proxy: the text holds a control character");
    expect(tool(NULL, server, WORDS("--proxy", "http://u%3a:p@h:1", "list")), 2,
           "--proxy: a proxy's user holds a colon");
}

static const struct live_reply stall[] = {{NULL, 0, LIVE_WAIT}};

static void a_password_is_not_in_the_process_list(void **state)
{
    struct live_server *proxy = live_start_script(stall, 1);
    const char *argv[] = {live_tool(), "--org",     "org-1",
                          "--token",   TOKEN,       "--proxy",
                          NULL,        "--ca-file", live_certificate("ca.pem"),
                          "list",      NULL};
    struct live_command command;
    struct live_process *p;
    char path[64], words[4096];
    FILE *file;
    size_t len;
    (void)state;
    argv[6] = proxy_url(proxy, USER ":" PASSWORD "@");
    memset(&command, 0, sizeof command);
    command.argv = argv;
    p = live_start(&command);
    live_await_output(proxy->process, "\r\n\r\n", 0);
    snprintf(path, sizeof path, "/proc/%ld/cmdline", p->pid);
    file = fopen(path, "rb");
    assert_non_null(file);
    len = fread(words, 1, sizeof words - 1, file);
    fclose(file);
    assert_true(len > 100);
    while (len-- != 0) {
        words[len] = words[len] ? words[len] : ' ';
    }
    assert_null(strstr(words, "CANARY"));
    /* what stood in the words is what was sent */
    assert_true(live_contains(&proxy->process->out, "Proxy-Authorization: Basic " BASIC "\r\n"));
    assert_false(live_contains(&proxy->process->out, TOKEN));
}

static void signals_end_the_tool_in_the_tunnel(void **state)
{
    static const struct live_reply half[] = {{"HTTP/1.1 200 Conn", 0, LIVE_KEEP}, {NULL, 0, LIVE_WAIT}};
    static const struct live_reply open[] = {{"HTTP/1.1 200 ok\r\n\r\n", 0, LIVE_KEEP}, {NULL, 0, LIVE_WAIT}};
    static const int numbers[] = {SIGINT, SIGTERM};
    size_t i, n;
    (void)state;
    for (i = 0; i < 3; i++) {
        for (n = 0; n < COUNT(numbers); n++) {
            struct live_server *proxy = live_start_script(i == 0   ? stall
                                                          : i == 1 ? half
                                                                   : open,
                                                          i == 0 ? 1 : 2);
            const char *argv[] = {live_tool(), "-v", "--org",     "org-1", "--token", TOKEN,
                                  "--proxy",   NULL, "--ca-file", NULL,    "list",    NULL};
            struct live_command command;
            struct live_process *p;
            argv[7] = proxy_url(proxy, USER ":" PASSWORD "@");
            argv[9] = live_certificate("ca.pem");
            memset(&command, 0, sizeof command);
            command.argv = argv;
            p = live_start(&command);
            live_await_output(proxy->process, "\r\n\r\n", 0);
            if (i == 2) {
                live_await_error(p, "tunnel opened", 0);
            }
            live_signal(p, numbers[n]);
            live_end(p);
            assert_int_equal(p->status, 128 + numbers[n]);
            assert_string_equal(p->out.ptr, "");
            assert_true(live_contains(&p->err, "RequestAbortedError"));
            check_no_secret(&p->err);
        }
    }
}

/* ---- --session-file. ---- */

static off_t size_of(const char *path, mode_t *mode)
{
    struct stat about;
    if (lstat(path, &about) != 0) {
        return -1;
    }
    *mode = about.st_mode;
    return about.st_size;
}

#define RESUMED ", session resumed"

static void a_session_is_kept_in_a_private_file(void **state)
{
    struct live_server *server = live_start_emulator(TOKEN, NULL);
    const char *file = live_path("session");
    const struct live_process *p;
    mode_t mode = 0;
    unsigned i;
    (void)state;
    (void)umask(0);
    for (i = 0; i < 4; i++) {
        p = tool(NULL, server, WORDS("-v", "--session-file", file, "list"));
        expect(p, 0, "TLS established");
        assert_int_equal(live_contains(&p->err, RESUMED), i != 0 && i != 3);
        assert_int_equal(size_of(file, &mode), SESSION);
        assert_int_equal(mode & 07777u, 0600);
        if (i == 2) { /* cut: it is ignored, and a new one takes its place */
            assert_int_equal(truncate(file, 100), 0);
        }
    }
    expect(p, 0,
           "the session file is ignored: the exported TLS session is cut, damaged or of another version");
    p = tool(NULL, server, WORDS("-v", "--session-file", file, "list"));
    expect(p, 0, RESUMED);
    /* for another server it counts for nothing, and makes nothing fail */
    server = live_start_emulator(TOKEN, NULL);
    p = tool(NULL, server, WORDS("-v", "--session-file", file, "list"));
    expect(p, 0, "the session file is ignored: the TLS session is for another host, port, trust or pins");
    assert_false(live_contains(&p->err, RESUMED));
    expect(tool(NULL, server, WORDS("-v", "--session-file", file, "list")), 0, RESUMED);
    /* a run that fails before TLS leaves it alone */
    live_kill(server->process);
    expect(tool(NULL, server, WORDS("--session-file", file, "list")), 5, "ECONNREFUSED");
    assert_int_equal(size_of(file, &mode), SESSION);
}

/* Whatever stands there that is not such a file stays as it is, and the command does not fail. */
static void a_file_that_is_no_private_session_is_left_alone(void **state)
{
    static const char notes[] = "my notes, which are worth more than a session";
    struct live_server *server = live_start_emulator(TOKEN, NULL);
    const char *file = live_path("session"), *link = live_path("link"), *other = live_path("notes");
    const char *folder = live_path("folder");
    struct live_process *p;
    mode_t mode = 0;
    unsigned i;
    char copy[64] = "";
    FILE *stream;
    (void)state;
    expect(tool(NULL, server, WORDS("--session-file", file, "list")), 0, "ID");
    for (i = 0; i < 3; i++) {
        static const mode_t modes[] = {0640u, 0604u, 0620u};
        assert_int_equal(chmod(file, modes[i]), 0);
        p = tool(NULL, server, WORDS("-v", "--session-file", file, "list"));
        expect(p, 0, "the session file is ignored: others may read or change it (chmod 600)");
        assert_false(live_contains(&p->err, RESUMED));
        assert_int_equal(size_of(file, &mode), SESSION);
        assert_int_equal(mode & 07777u, modes[i]);
    }
    assert_int_equal(chmod(file, 0600), 0);
    assert_int_equal(symlink(file, link), 0);
    p = tool(NULL, server, WORDS("-v", "--session-file", link, "list"));
    expect(p, 0, "the session file is ignored");
    assert_int_equal(size_of(link, &mode) > 0 && S_ISLNK(mode), 1);
    live_write_file("notes", notes, sizeof notes - 1);
    assert_int_equal(chmod(other, 0600), 0);
    p = tool(NULL, server, WORDS("-v", "--session-file", other, "list"));
    expect(p, 0, "the session file is ignored: it holds something else");
    stream = fopen(other, "rb");
    assert_non_null(stream);
    assert_int_equal(fread(copy, 1, sizeof copy, stream), sizeof notes - 1);
    fclose(stream);
    assert_memory_equal(copy, notes, sizeof notes - 1);
    assert_int_equal(mkdir(folder, 0700), 0);
    expect(tool(NULL, server, WORDS("-v", "--session-file", folder, "list")), 0,
           "the session file is ignored: it is no regular file");
    expect(tool(NULL, server, WORDS("--session-file", live_path("missing/session"), "list")), 0, "ID");
    expect(tool(NULL, server, WORDS("--session-file", "/dev/null", "list")), 0, "ID");
}

static void a_session_resumes_through_a_proxy_too(void **state)
{
    struct live_server *server = live_start_emulator(TOKEN, NULL);
    struct live_server *proxy = live_start_proxy("");
    const char *file = live_path("session");
    (void)state;
    expect(tool(NULL, server, WORDS("--proxy", proxy_url(proxy, ""), "--session-file", file, "list")), 0,
           "ID");
    expect(tool(NULL, server, WORDS("-v", "--session-file", file, "list")), 0, RESUMED);
    expect(tool(NULL, server, WORDS("-v", "--proxy", proxy_url(proxy, ""), "--session-file", file, "list")),
           0, RESUMED);
}

#define TEST(name) cmocka_unit_test_teardown(name, live_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_real_proxy_carries_all_operations),
        TEST(what_the_real_proxy_refuses_is_5),
        TEST(variables_name_the_proxy_for_https),
        TEST(a_password_is_not_in_the_process_list),
        TEST(signals_end_the_tool_in_the_tunnel),
        TEST(a_session_is_kept_in_a_private_file),
        TEST(a_file_that_is_no_private_session_is_left_alone),
        TEST(a_session_resumes_through_a_proxy_too),
    };
    return cmocka_run_group_tests_name("cli_proxy", tests, NULL, NULL);
}
