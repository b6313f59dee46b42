/* The library and the tool through a real proxy, tinyproxy of Debian, to the emulator: tunnels, passwords, refusals,
   deaths; and what of all this the proxy gets to see. */
#define _XOPEN_SOURCE 700
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "harness.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOKEN        "proxy-test-token"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SLACK_MS     10000u

/* ---- The client in this program. ---- */

static htok_client *client;
static htok_proxy proxy;

/* A client that goes to the URL through the port, trusting the root of that name. */
static void make_client(const char *url, unsigned port, const char *user, const char *password,
                        const char *root)
{
    htok_client_options options;
    htok_error error;
    memset(&options, 0, sizeof options);
    proxy.host = "127.0.0.1";
    proxy.port = (uint16_t)port;
    proxy.user = user;
    proxy.password = password;
    options.proxy = &proxy;
    options.server_url = url;
    options.org_id = "org-1";
    options.token = TOKEN;
    options.trust_file = live_certificate(root);
    htok_client_close(client);
    assert_int_equal(htok_client_create(&client, &options, &error), HTOK_OK);
}

static int setup(void **state)
{
    (void)state;
    client = NULL;
    return 0;
}

static int teardown(void **state)
{
    htok_client_close(client);
    client = NULL;
    return live_teardown(state);
}

static const char *told(void)
{
    static char line[1024];
    htok_error_format(htok_client_error(client), line, sizeof line);
    return line;
}

static void expect(htok_kind kind, htok_reason reason, htok_phase phase, int proxy_status)
{
    const htok_error *error = htok_client_error(client);
    if (error->kind != kind || error->reason != reason || error->phase != phase ||
        error->proxy_status != proxy_status) {
        fail_msg("%s in phase %s, proxy status %d: %s", htok_reason_name(error->reason),
                 htok_phase_name(error->phase), error->proxy_status, told());
    }
}

static void list(void)
{
    if (htok_get_org_tokens(client, NULL, NULL, NULL) != HTOK_OK) {
        fail_msg("%s", told());
    }
}

static void read_file(const char *path, struct live_bytes *bytes)
{
    char piece[4096];
    size_t len;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    live_add(bytes, "", 0);
    while ((len = fread(piece, 1, sizeof piece, file)) != 0) {
        live_add(bytes, piece, len);
    }
    fclose(file);
}

/* ---- Tunnels. ---- */

static void proxy_sees_the_host_and_nothing_of_the_calls(void **state)
{
    struct live_server *server = live_start_emulator(TOKEN, NULL);
    struct live_server *behind = live_start_proxy("BasicAuth someone the-proxy-password\n"), *recorder;
    struct live_bytes seen = {NULL, 0, 0};
    const char *path = live_path("seen");
    htok_create_org_token_request request;
    const htok_created_org_token *created;
    char secret[256], id[128], line[128];
    bool revoked = false;
    (void)state;
    recorder = live_start_recorder(behind->port, path);
    make_client(server->url, recorder->port, "someone", "the-proxy-password", "ca.pem");
    memset(&request, 0, sizeof request);
    request.name = "through a proxy";
    request.admin = true;
    assert_int_equal(htok_create_org_token(client, &request, NULL, &created), HTOK_OK);
    snprintf(secret, sizeof secret, "%s", created->plain_text_token.ptr);
    snprintf(id, sizeof id, "%s", created->org_token.org_token_id.ptr);
    list();
    assert_int_equal(htok_revoke_org_token(client, id, NULL, &revoked), HTOK_OK);
    assert_true(revoked);
    htok_client_close(client);
    client = NULL;
    live_await_output(recorder->process, "CLOSED\n", 0);
    read_file(path, &seen);
    /* One tunnel for all; base64 of the user and password, and no more. */
    snprintf(line, sizeof line, "CONNECT localhost:%u HTTP/1.1\r\n", server->port);
    assert_int_equal(live_count(&seen, line), 1);
    assert_true(strncmp(seen.ptr, line, strlen(line)) == 0);
    assert_int_equal(live_count(&seen, "Proxy-Authorization: Basic c29tZW9uZTp0aGUtcHJveHktcGFzc3dvcmQ=\r\n"),
                     1);
    assert_true(live_contains(&seen, " 200 "));
    assert_false(live_contains(&seen, TOKEN));
    assert_false(live_contains(&seen, "Bearer"));
    assert_false(live_contains(&seen, "tokens/v1"));
    assert_false(live_contains(&seen, "org-1"));
    assert_false(live_contains(&seen, "through a proxy"));
    assert_false(live_contains(&seen, secret));
    live_clear(&seen);
    live_signal(behind->process, SIGTERM);
    live_end(behind->process);
    assert_int_equal(live_count(&behind->process->out, "CONNECT localhost"), 1);
    assert_false(live_contains(&behind->process->out, TOKEN));
}

static void wrong_or_missing_password_is_told(void **state)
{
    struct live_server *server = live_start_emulator(TOKEN, NULL);
    struct live_server *asks = live_start_proxy("BasicAuth someone right\n");
    (void)state;
    make_client(server->url, asks->port, "someone", "right", "ca.pem");
    list();
    /* tinyproxy answers a wrong password with 401, a missing one with 407. */
    make_client(server->url, asks->port, "someone", "the-wrong-one", "ca.pem");
    htok_get_org_tokens(client, NULL, NULL, NULL);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_PROXY_AUTHENTICATION, HTOK_PHASE_PROXY, 401);
    assert_null(strstr(told(), "the-wrong-one"));
    make_client(server->url, asks->port, NULL, NULL, "ca.pem");
    htok_get_org_tokens(client, NULL, NULL, NULL);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_PROXY_AUTHENTICATION, HTOK_PHASE_PROXY, 407);
}

static void refusals_of_port_host_and_dead_server_are_told(void **state)
{
    static const char filter[] = "localhost\n";
    struct live_server *server = live_start_emulator(TOKEN, NULL), *behind;
    char url[64], lines[1200];
    (void)state;
    /* Another port than the one that it lets through. */
    behind = live_start_proxy("ConnectPort 443\n");
    make_client(server->url, behind->port, NULL, NULL, "ca.pem");
    htok_get_org_tokens(client, NULL, NULL, NULL);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_PROXY_REFUSED, HTOK_PHASE_PROXY, 403);
    live_kill(behind->process);
    /* A host that it filters out. */
    snprintf(lines, sizeof lines, "Filter \"%s\"\n", live_write_file("filter", filter, strlen(filter)));
    behind = live_start_proxy(lines);
    make_client(server->url, behind->port, NULL, NULL, "ca.pem");
    htok_get_org_tokens(client, NULL, NULL, NULL);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_PROXY_REFUSED, HTOK_PHASE_PROXY, 403);
    live_kill(behind->process);
    /* A server that is not there: told by the proxy, not by the system. */
    behind = live_start_proxy("");
    snprintf(url, sizeof url, "https://localhost:%u", live_free_port());
    make_client(url, behind->port, NULL, NULL, "ca.pem");
    htok_get_org_tokens(client, NULL, NULL, NULL);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_PROXY_REFUSED, HTOK_PHASE_PROXY, 500);
    assert_int_equal(htok_client_error(client)->status, 0);
}

static void proxy_that_is_not_there_is_told_as_the_proxy(void **state)
{
    struct live_server *server = live_start_emulator(TOKEN, NULL);
    (void)state;
    make_client(server->url, live_free_port(), NULL, NULL, "ca.pem");
    htok_get_org_tokens(client, NULL, NULL, NULL);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_CONNECT_FAILED, HTOK_PHASE_CONNECT, 0);
    assert_non_null(strstr(told(), "proxy"));
}

static void certificates_are_checked_inside_the_tunnel(void **state)
{
    struct live_server *server = live_start_emulator(TOKEN, NULL), *behind = live_start_proxy("");
    (void)state;
    make_client(server->url, behind->port, NULL, NULL, "other-ca.pem");
    htok_get_org_tokens(client, NULL, NULL, NULL);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_CERTIFICATE_UNTRUSTED, HTOK_PHASE_HANDSHAKE, 0);
}

/* ---- Deaths and silence. ---- */

static void proxy_that_dies_in_a_call_leaves_a_create_unknown(void **state)
{
    static const char *const slow[] = {"--fault", "op=create,delay=60000", NULL};
    struct live_server *server = live_start_emulator(TOKEN, slow);
    struct live_server *behind = live_start_proxy("");
    htok_create_org_token_request request;
    htok_state pending = HTOK_STATE_PENDING;
    uint64_t began;
    (void)state;
    memset(&request, 0, sizeof request);
    request.name = "one";
    request.admin = true;
    make_client(server->url, behind->port, NULL, NULL, "ca.pem");
    list();
    began = htoki_now_ms(client);
    assert_int_equal(htok_create_org_token_start(client, &request, NULL), HTOK_OK);
    do {
        assert_int_equal(htok_client_poll(client), HTOK_STATE_PENDING);
    } while (client->stage != HTOKI_STAGE_EXCHANGE || !client->sent_any);
    live_kill(behind->process);
    while (pending == HTOK_STATE_PENDING && htoki_now_ms(client) - began < LIVE_TIMEOUT_MS) {
        pending = htok_client_poll(client);
    }
    assert_int_equal(pending, HTOK_STATE_FAILED);
    assert_int_equal(htok_client_error(client)->kind, HTOK_CONNECTION_ERROR);
    assert_true(htok_client_error(client)->may_have_taken_effect);
    /* The next call finds no proxy. */
    htok_get_org_tokens(client, NULL, NULL, NULL);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_CONNECT_FAILED, HTOK_PHASE_CONNECT, 0);
}

static void proxy_that_falls_silent_or_closes_is_told(void **state)
{
    static const struct {
        struct live_rule rule;
        htok_kind kind;
        htok_reason reason;
    } cases[] = {
        {{0, 0, false, LIVE_WAIT, 0}, HTOK_REQUEST_TIMEOUT_ERROR, HTOK_REASON_CONNECT_TIMEOUT},
        {{0, 10, false, LIVE_WAIT, 0}, HTOK_REQUEST_TIMEOUT_ERROR, HTOK_REASON_CONNECT_TIMEOUT},
        {{0, 0, false, LIVE_DRIP, 20}, HTOK_REQUEST_TIMEOUT_ERROR, HTOK_REASON_CONNECT_TIMEOUT},
        {{0, 0, false, LIVE_CLOSE, 0}, HTOK_CONNECTION_ERROR, HTOK_REASON_PROXY_CLOSED},
        {{0, 10, false, LIVE_CLOSE, 0}, HTOK_CONNECTION_ERROR, HTOK_REASON_PROXY_CLOSED},
    };
    struct live_server *server = live_start_emulator(TOKEN, NULL), *behind = live_start_proxy("");
    htok_call_options options;
    size_t i;
    (void)state;
    memset(&options, 0, sizeof options);
    for (i = 0; i < COUNT(cases); i++) {
        struct live_server *relay = live_start_relay(behind->port, &cases[i].rule, 1);
        uint64_t began;
        options.connect_timeout_ms = cases[i].kind == HTOK_CONNECTION_ERROR ? 60000 : 300;
        options.timeout_ms = 60000;
        make_client(server->url, relay->port, NULL, NULL, "ca.pem");
        began = htoki_now_ms(client);
        htok_get_org_tokens(client, &options, NULL, NULL);
        expect(cases[i].kind, cases[i].reason, HTOK_PHASE_PROXY, 0);
        assert_in_range(htoki_now_ms(client) - began, 0, 300 + SLACK_MS);
        live_kill(relay->process);
    }
}

static void plain_http_to_loopback_needs_no_proxy(void **state)
{
    static const struct live_reply empty[] = {
        {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"tokens\":[]}", 0,
         LIVE_CLOSE}};
    struct live_server *server = live_start_script(empty, 1);
    (void)state;
    make_client(server->url, live_free_port(), NULL, NULL, "ca.pem");
    list();
}

/* ---- The tool. ---- */

/* Lists with the tool; the three may be NULL: an argument of --proxy, and up to two variables. */
static struct live_process *run_tool(const struct live_server *server, const char *option, const char *first,
                                     const char *second)
{
    const char *argv[] = {live_tool(), "-v",      "-ojson",  "list",       "--org",
                          "org-1",     "--token", TOKEN,     "--endpoint", server->url,
                          "--ca-file", NULL,      "--proxy", option,       NULL};
    const char *env[] = {first ? first : second, first ? second : NULL, NULL};
    struct live_command command;
    argv[11] = live_certificate("ca.pem");
    if (!option) {
        argv[12] = NULL;
    }
    memset(&command, 0, sizeof command);
    command.argv = argv;
    command.env = env;
    return live_run(&command);
}

static void expect_exit(const struct live_process *process, int status)
{
    if (process->status != status) {
        fail_msg("exit %d: %s", process->status, process->err.ptr);
    }
    assert_string_equal(process->out.ptr, status == 0 ? "{\"tokens\":[]}\n" : "");
    assert_false(live_contains(&process->err, TOKEN));
}

/* How many tunnels the proxy has opened or refused so far, by its own log. */
static unsigned tunnels(struct live_server *behind)
{
    live_signal(behind->process, SIGTERM);
    live_end(behind->process);
    return (unsigned)live_count(&behind->process->out, "CONNECT localhost");
}

static void tool_goes_through_the_proxy_that_it_is_told(void **state)
{
    struct live_server *server = live_start_emulator(TOKEN, NULL), *behind;
    char url[64], lower[80], upper[80];
    (void)state;
    behind = live_start_proxy("");
    snprintf(url, sizeof url, "http://127.0.0.1:%u", behind->port);
    snprintf(lower, sizeof lower, "https_proxy=%s", url);
    snprintf(upper, sizeof upper, "HTTPS_PROXY=%s", url);
    expect_exit(run_tool(server, url, NULL, NULL), 0);
    expect_exit(run_tool(server, NULL, lower, NULL), 0);
    expect_exit(run_tool(server, NULL, upper, NULL), 0);
    expect_exit(run_tool(server, NULL, lower, "no_proxy=elsewhere.test,127.0.0.1"), 0);
    expect_exit(run_tool(server, url, "https_proxy=http://127.0.0.1:1", NULL), 0); /* the option outranks */
    assert_int_equal(tunnels(behind), 5);
}

static void tool_goes_direct_where_no_proxy_is_wanted(void **state)
{
    struct live_server *server = live_start_emulator(TOKEN, NULL), *behind;
    char lower[80];
    (void)state;
    behind = live_start_proxy("");
    snprintf(lower, sizeof lower, "https_proxy=http://127.0.0.1:%u", behind->port);
    expect_exit(run_tool(server, NULL, lower, "no_proxy=elsewhere.test, localhost"), 0);
    expect_exit(run_tool(server, NULL, lower, "NO_PROXY=*"), 0);
    expect_exit(run_tool(server, "none", lower, NULL), 0);
    assert_int_equal(tunnels(behind), 0);
}

static void tool_tells_what_the_proxy_refuses(void **state)
{
    struct live_server *server = live_start_emulator(TOKEN, NULL);
    struct live_server *asks = live_start_proxy("BasicAuth someone right\n"), *refuses;
    struct live_process *process;
    char url[96];
    (void)state;
    snprintf(url, sizeof url, "http://someone:r%%69ght@127.0.0.1:%u", asks->port);
    expect_exit(run_tool(server, url, NULL, NULL), 0);
    snprintf(url, sizeof url, "http://someone:not-the-password@127.0.0.1:%u", asks->port);
    process = run_tool(server, url, NULL, NULL);
    expect_exit(process, 5);
    assert_true(live_contains(&process->err, "ConnectionError"));
    assert_true(live_contains(&process->err, "proxy"));
    assert_false(live_contains(&process->err, "not-the-password"));
    snprintf(url, sizeof url, "http://127.0.0.1:%u", asks->port);
    process = run_tool(server, url, NULL, NULL);
    expect_exit(process, 5);
    assert_true(live_contains(&process->err, "407"));
    live_kill(asks->process);
    expect_exit(run_tool(server, url, NULL, NULL), 5);
    refuses = live_start_proxy("ConnectPort 443\n");
    snprintf(url, sizeof url, "http://127.0.0.1:%u", refuses->port);
    process = run_tool(server, url, NULL, NULL);
    expect_exit(process, 5);
    assert_true(live_contains(&process->err, "403"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(proxy_sees_the_host_and_nothing_of_the_calls),
        TEST(wrong_or_missing_password_is_told),
        TEST(refusals_of_port_host_and_dead_server_are_told),
        TEST(proxy_that_is_not_there_is_told_as_the_proxy),
        TEST(certificates_are_checked_inside_the_tunnel),
        TEST(proxy_that_dies_in_a_call_leaves_a_create_unknown),
        TEST(proxy_that_falls_silent_or_closes_is_told),
        TEST(plain_http_to_loopback_needs_no_proxy),
        TEST(tool_goes_through_the_proxy_that_it_is_told),
        TEST(tool_goes_direct_where_no_proxy_is_wanted),
        TEST(tool_tells_what_the_proxy_refuses),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
