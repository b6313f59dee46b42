/* The command-line tool as scripts and people meet it: options, results, failures, over plain and TLS connections
   to scripted servers and to the emulator. Needs build/hathora-tokens, build/hathora-emulator and openssl. */
#define _POSIX_C_SOURCE 200809L
#include "harness.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DEV_TOKEN    "canary-dev-token-5b1f"
#define PLAIN_TOKEN  "canary-plain-token-93ce"
#define HEADER_VALUE "canary-header-value-77"

#define WORDS(...)         ((const char *const[]){__VA_ARGS__, NULL})
#define TOOL(...)          run_tool(NULL, NULL, WORDS(__VA_ARGS__))
#define TOOL_ENV(env, ...) run_tool(env, NULL, WORDS(__VA_ARGS__))
/* The tool with what every call needs; the server is a struct live_server *. */
#define CALL(server, ...) \
    TOOL("--endpoint", (server)->url, "--org", "org-1", "--token", DEV_TOKEN, __VA_ARGS__)
#define SERVE(...)                                              \
    live_start_script((const struct live_reply[]){__VA_ARGS__}, \
                      sizeof((const struct live_reply[]){__VA_ARGS__}) / sizeof(struct live_reply))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define JSON_HEAD "Content-Type: application/json\r\n"
#define MEMBERS(id, name, status, created_at)                                                  \
    "\"orgTokenId\":\"" id "\",\"orgId\":\"org-1\",\"name\":\"" name "\",\"status\":\"" status \
    "\",\"lastFourCharsOfKey\":\"abcd\",\"createdBy\":\"dev@example.test\",\"createdAt\":\"" created_at "\""
#define DATE      "2024-02-29T12:00:00.5Z"
#define TOKEN_ONE "{" MEMBERS("org-token-1", "one", "active", DATE) "}"
#define TOKEN_TWO \
    "{" MEMBERS("org-token-2", "two", "revoked", DATE) ",\"scopes\":[\"builds:read\",\"x:new\"]}"
#define LIST_OF(elements) "{\"tokens\":[" elements "]}"
#define CREATED           "{\"plainTextToken\":\"" PLAIN_TOKEN "\",\"orgToken\":" TOKEN_ONE "}"

/* ---- Helpers. ---- */

static struct live_bytes kept[128];
static size_t kept_count;

static int teardown(void **state)
{
    while (kept_count != 0) {
        live_clear(&kept[--kept_count]);
    }
    return live_teardown(state);
}

static struct live_bytes *keep(void)
{
    assert_true(kept_count < COUNT(kept));
    live_add(&kept[kept_count], "", 0);
    return &kept[kept_count++];
}

static const char *join(const char *a, const char *b, const char *c)
{
    struct live_bytes *bytes = keep();
    live_add_text(bytes, a);
    live_add_text(bytes, b);
    live_add_text(bytes, c);
    return bytes->ptr;
}

static const char *repeat(const char *text, size_t times)
{
    struct live_bytes *bytes = keep();
    while (times-- != 0) {
        live_add_text(bytes, text);
    }
    return bytes->ptr;
}

/* A whole answer with JSON in it. */
static const char *answer(const char *status, const char *body)
{
    struct live_bytes *bytes = keep();
    char head[256];
    snprintf(head, sizeof head, "HTTP/1.1 %s\r\n" JSON_HEAD "Content-Length: %zu\r\n\r\n", status,
             strlen(body));
    live_add_text(bytes, head);
    live_add_text(bytes, body);
    return bytes->ptr;
}

static struct live_reply once(const char *bytes)
{
    struct live_reply reply = {NULL, 0, LIVE_CLOSE};
    reply.bytes = bytes;
    return reply;
}

static struct live_server *serve(const char *bytes)
{
    struct live_reply reply = once(bytes);
    return live_start_script(&reply, 1);
}

static struct live_server *serve_json(const char *status, const char *body)
{
    return serve(answer(status, body));
}

/* No output but a created token's own may hold a secret, and none an escape code. */
static void check_outputs(const struct live_process *p)
{
    assert_false(live_contains(&p->out, DEV_TOKEN));
    assert_false(live_contains(&p->out, HEADER_VALUE));
    assert_false(live_contains(&p->err, DEV_TOKEN));
    assert_false(live_contains(&p->err, HEADER_VALUE));
    assert_false(live_contains(&p->err, PLAIN_TOKEN));
    assert_false(live_contains(&p->out, "\033"));
    assert_false(live_contains(&p->err, "\033"));
}

static struct live_process *run_tool(const char *const *env, const char *input, const char *const *words)
{
    const char *argv[64];
    struct live_command command;
    struct live_process *p;
    size_t i;
    memset(&command, 0, sizeof command);
    argv[0] = live_tool();
    for (i = 0; words[i]; i++) {
        assert_true(i + 2 < COUNT(argv));
        argv[i + 1] = words[i];
    }
    argv[i + 1] = NULL;
    command.argv = argv;
    command.env = env;
    command.input = input;
    p = live_run(&command);
    check_outputs(p);
    return p;
}

static void expect_status(const struct live_process *p, int status)
{
    if (p->status != status) {
        fail_msg("exit %d instead of %d; output: %s; error output: %s", p->status, status, p->out.ptr,
                 p->err.ptr);
    }
}

static void expect_done(const struct live_process *p, const char *output)
{
    expect_status(p, 0);
    assert_string_equal(p->err.ptr, "");
    assert_int_equal(p->out.len, strlen(output));
    assert_string_equal(p->out.ptr, output);
}

/* One line on standard error, as text or as JSON, and nothing on standard output. */
static void expect_failure(const struct live_process *p, int status)
{
    expect_status(p, status);
    assert_string_equal(p->out.ptr, "");
    assert_int_equal(live_count(&p->err, "\n"), 1);
    assert_int_equal(p->err.ptr[p->err.len - 1], '\n');
    assert_true(strncmp(p->err.ptr, "hathora-tokens: ", 16) == 0 ||
                strncmp(p->err.ptr, "{\"error\":{", 10) == 0);
}

static void expect_prefix(const char *text, const char *prefix)
{
    if (strncmp(text, prefix, strlen(prefix)) != 0) {
        fail_msg("no \"%s\" at the beginning of: %s", prefix, text);
    }
}

static void expect_error_text(const struct live_process *p, const char *text)
{
    if (!live_contains(&p->err, text)) {
        fail_msg("no \"%s\" in: %s", text, p->err.ptr);
    }
}

static void expect_request(struct live_server *server, const char *text)
{
    live_end(server->process);
    if (!live_contains(&server->process->out, text)) {
        fail_msg("no \"%s\" in the request: %s", text, server->process->out.ptr);
    }
}

/* ---- Usage. ---- */

static void help_fits_a_screen_and_goes_to_standard_output(void **state)
{
    const struct live_process *p = TOOL("--help");
    const char *line = p->out.ptr;
    (void)state;
    expect_status(p, 0);
    assert_string_equal(p->err.ptr, "");
    assert_in_range(live_count(&p->out, "\n"), 20, 45);
    while (*line) {
        size_t len = strcspn(line, "\n");
        assert_in_range(len, 0, 80);
        line += len + 1;
    }
    assert_string_equal(TOOL("-h")->out.ptr, p->out.ptr);
    assert_string_equal(TOOL("revoke", "--help")->out.ptr, p->out.ptr);
}

static void help_names_every_option_and_variable(void **state)
{
    static const char *const names[] = {"--org ID",
                                        "-t, --token TOKEN",
                                        "--token-file FILE",
                                        "--endpoint URL",
                                        "--ca-file PEM",
                                        "--hathora-cloud-endpoint",
                                        "--pin SPKI",
                                        "--cert FILE",
                                        "--key FILE",
                                        "--proxy URL",
                                        "--session-file FILE",
                                        "--timeout MS",
                                        "--connect-timeout MS",
                                        "--retry ",
                                        "--retry-initial-interval MS",
                                        "--retry-max-interval MS",
                                        "--retry-exponent",
                                        "--retry-max-elapsed MS",
                                        "--retry-connection-errors",
                                        "--retry-repeat WHAT",
                                        "--retry-codes",
                                        "--header",
                                        "--user-agent",
                                        "-o, --output",
                                        "-v, --verbose",
                                        "-h, --help",
                                        "--version",
                                        "--name NAME",
                                        "--scope SCOPE",
                                        "HATHORA_ORG_ID",
                                        "HATHORA_TOKEN",
                                        "HATHORA_CLOUD_ENDPOINT",
                                        "SSL_CERT_FILE",
                                        "HATHORA_OUTPUT",
                                        "Examples:"};
    const struct live_process *p = TOOL("--help");
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(names); i++) {
        if (!live_contains(&p->out, names[i])) {
            fail_msg("the help lacks %s", names[i]);
        }
    }
}

static void version_is_one_line(void **state)
{
    (void)state;
    expect_done(TOOL("--version"), "hathora-tokens 0.1.0\n");
}

/* Nothing listens on the port, so that a request would end in 5. */
#define NOWHERE "--endpoint", "http://127.0.0.1:1", "--org", "org-1"

static void usage_errors_exit_2_with_one_line(void **state)
{
    static const char *const cases[][16] = {
        {NOWHERE, NULL},
        {NOWHERE, "lists", NULL},
        {NOWHERE, "list", "more", NULL},
        {NOWHERE, "list", "--bogus", NULL},
        {NOWHERE, "list", "-x", NULL},
        {NOWHERE, "list", "--verbose=yes", NULL},
        {NOWHERE, "list", "--timeout", NULL},
        {NOWHERE, "list", "-o", NULL},
        {NOWHERE, "list", "--name", "", NULL},
        {NOWHERE, "list", "--status", "", NULL},
        {NOWHERE, "list", "--sort", "age", NULL},
        {NOWHERE, "list", "--sort", "-", NULL},
        {NOWHERE, "list", "--sort", "plainTextToken", NULL},
        {NOWHERE, "list", "--dry-run", NULL},
        {NOWHERE, "list", "--yes", NULL},
        {NOWHERE, "create", "--name", "x", "--status", "active", NULL},
        {NOWHERE, "create", "--name", "x", "--dry-run", NULL},
        {NOWHERE, "revoke", "id", "--name", "x", NULL},
        {NOWHERE, "revoke", "id", "--scope", "builds:read", NULL},
        {NOWHERE, "revoke", "id", "--sort", "name", NULL},
        {NOWHERE, "rotate", NULL},
        {NOWHERE, "rotate", "--name", "x", "more", NULL},
        {NOWHERE, "rotate", "--name", "x", "--scope", "admin", "--scope", "builds:read", NULL},
        {NOWHERE, "rotate", "--name", "x", "--dry-run", "-o", "nameValue", NULL},
        {NOWHERE, "list", "--scope", "admin", NULL},
        {NOWHERE, "create", NULL},
        {NOWHERE, "create", "--name", "", NULL},
        {NOWHERE, "create", "--name", "x", "more", NULL},
        {NOWHERE, "create", "--name", "x", "--scope", "", NULL},
        {NOWHERE, "create", "--name", "x", "--scope", "admin", "--scope", "builds:read", NULL},
        {NOWHERE, "revoke", NULL},
        {NOWHERE, "revoke", "", NULL},
        {NOWHERE, "revoke", ".", NULL},
        {NOWHERE, "revoke", "..", NULL},
        {NOWHERE, "revoke", "good", "..", NULL},
        {NOWHERE, "list", "--org", "", NULL},
        {NOWHERE, "list", "--org", ".", NULL},
        {NOWHERE, "list", "--org", "..", NULL},
        {"--endpoint", "http://127.0.0.1:1", "list", NULL},
        {NOWHERE, "list", "--token", "", NULL},
        {NOWHERE, "list", "--token=", NULL},
        {NOWHERE, "list", "--token", "a\rb", NULL},
        {NOWHERE, "list", "--token", "a\nb", NULL},
        {NOWHERE, "list", "--token", "a", "--token-file", "-", NULL},
        {NOWHERE, "list", "--token-file", "", NULL},
        {NOWHERE, "list", "--token-file", "build/no/such/file", NULL},
        {NOWHERE, "list", "--token-file", "/", NULL},
        {NOWHERE, "list", "--token-file", "/dev/null", NULL},
        {NOWHERE, "list", "--token-file", "/dev/zero", NULL},
        {NOWHERE, "list", "--endpoint", "", NULL},
        {NOWHERE, "list", "--endpoint", "ftp://localhost", NULL},
        {NOWHERE, "list", "--endpoint", "localhost", NULL},
        {NOWHERE, "list", "--endpoint", "https://", NULL},
        {NOWHERE, "list", "--endpoint", "https://user@localhost", NULL},
        {NOWHERE, "list", "--endpoint", "https://localhost/?query", NULL},
        {NOWHERE, "list", "--endpoint", "https://localhost/#fragment", NULL},
        {NOWHERE, "list", "--endpoint", "https://localhost:0", NULL},
        {NOWHERE, "list", "--endpoint", "https://localhost:65536", NULL},
        {NOWHERE, "list", "--endpoint", "https://local host", NULL},
        {NOWHERE, "list", "--endpoint", "http://192.0.2.1", NULL},
        {NOWHERE, "list", "--endpoint", "http://example.test", NULL},
        {NOWHERE, "list", "--ca-file", "", NULL},
        {NOWHERE, "list", "--ca-file", "build/no/such/file", NULL},
        {NOWHERE, "list", "--ca-file", "/dev/null", NULL},
        {NOWHERE, "list", "--cert", "", NULL},
        {NOWHERE, "list", "--cert", "build/no/such/file", NULL},
        {NOWHERE, "list", "--cert", "/", NULL},
        {NOWHERE, "list", "--cert", "/dev/null", NULL},
        {NOWHERE, "list", "--cert", "/dev/zero", NULL},
        {NOWHERE, "list", "--cert", "README.md", NULL},
        {NOWHERE, "list", "--cert", "README.md", "--key", "/dev/null", NULL},
        {NOWHERE, "list", "--cert", "README.md", "--key", "build/no/such/file", NULL},
        {NOWHERE, "list", "--key", "README.md", NULL},
        {NOWHERE, "list", "--pin", "", NULL},
        {NOWHERE, "list", "--pin", "sha256/AAAA", NULL},
        {NOWHERE, "list", "--pin", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", NULL},
        {NOWHERE, "list", "--timeout", "0", NULL},
        {NOWHERE, "list", "--timeout", "-1", NULL},
        {NOWHERE, "list", "--timeout", "1s", NULL},
        {NOWHERE, "list", "--timeout", " 1", NULL},
        {NOWHERE, "list", "--timeout", "4294967295", NULL},
        {NOWHERE, "list", "--timeout", "99999999999999999999", NULL},
        {NOWHERE, "list", "--connect-timeout", "0x10", NULL},
        {NOWHERE, "list", "--retry", "always", NULL},
        {NOWHERE, "list", "--retry", "", NULL},
        {NOWHERE, "list", "--retry-initial-interval", "a", NULL},
        {NOWHERE, "list", "--retry-max-interval", "1.5", NULL},
        {NOWHERE, "list", "--retry-max-elapsed", "0", NULL},
        {NOWHERE, "list", "--retry", "backoff", "--retry-exponent", "0", NULL},
        {NOWHERE, "list", "--retry", "backoff", "--retry-exponent", "1.2345", NULL},
        {NOWHERE, "list", "--retry", "backoff", "--retry-exponent", "1,5", NULL},
        {NOWHERE, "list", "--retry", "backoff", "--retry-exponent", "1.", NULL},
        {NOWHERE, "list", "--retry", "backoff", "--retry-exponent", ".5", NULL},
        {NOWHERE, "list", "--retry", "backoff", "--retry-exponent", "10.001", NULL},
        {NOWHERE, "list", "--retry", "backoff", "--retry-codes", "6XX", NULL},
        {NOWHERE, "list", "--retry", "backoff", "--retry-codes", "429;500", NULL},
        {NOWHERE, "list", "--retry", "backoff", "--retry-codes", "429,", NULL},
        {NOWHERE, "list", "--header", "no colon", NULL},
        {NOWHERE, "list", "--header", ": value", NULL},
        {NOWHERE, "list", "--header", "Bad Name: value", NULL},
        {NOWHERE, "list", "--header", "Name : value", NULL},
        {NOWHERE, "list", "--header", "X-A: a\r\nX-B: b", NULL},
        {NOWHERE, "list", "--header", "X-A: a\nb", NULL},
        {NOWHERE, "list", "--user-agent", "a\r\nX-B: b", NULL},
        {NOWHERE, "list", "--user-agent", "", NULL},
        {NOWHERE, "list", "-o", "", NULL},
        {NOWHERE, "list", "-o", "yaml", NULL},
        {NOWHERE, "list", "-o", "JSON", NULL},
        {NOWHERE, "list", "-o", "name", NULL},
        {NOWHERE, "list", "-o", "Value", NULL},
        {NOWHERE, "list", "-o", "bogusValue", NULL},
        {NOWHERE, "list", "-o", "nameValueValue", NULL},
        {NOWHERE, "list", "-o", "plainTextTokenValue", NULL},
        {NOWHERE, "revoke", "id", "-o", "orgTokenIdValue", NULL},
        {NOWHERE, "revoke", "id", "-o", "plainTextTokenValue", NULL},
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        const struct live_process *p = run_tool(NULL, NULL, cases[i]);
        if (p->status != 2) {
            size_t n;
            for (n = 4; cases[i][n]; n++) {
                print_message("%s ", cases[i][n]);
            }
        }
        expect_failure(p, 2);
        teardown(NULL);
    }
}

static void text_that_is_not_utf_8_is_a_usage_error(void **state)
{
    (void)state;
    live_needs("bytes");
    expect_failure(TOOL(NOWHERE, "create", "--name", "not \xff UTF-8"), 2);
    expect_failure(TOOL(NOWHERE, "create", "--name", "x", "--scope", "\xc3"), 2);
    expect_failure(TOOL(NOWHERE, "revoke", "\xed\xa0\x80"), 2);
    expect_failure(TOOL(NOWHERE, "list", "--org", "\xff"), 2);
    expect_error_text(TOOL(NOWHERE, "create", "--name", "\xff"), "--name");
}

static void reserved_headers_are_usage_errors(void **state)
{
    static const char *const names[] = {"Authorization",     "host",       "Content-Length",
                                        "transfer-encoding", "CONNECTION", "TE",
                                        "Upgrade",           "Expect",     "Content-Type"};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(names); i++) {
        const struct live_process *p = TOOL(NOWHERE, "list", "--header", join(names[i], ": x", ""));
        expect_failure(p, 2);
        expect_error_text(p, "--header");
    }
}

static void name_of_64_characters_is_sent_and_65_refused(void **state)
{
    struct live_server *server = serve_json("201 Created", CREATED);
    (void)state;
    expect_status(CALL(server, "create", "--name", repeat("\xc3\xa9", 64)), 0);
    expect_failure(TOOL(NOWHERE, "create", "--name", repeat("\xc3\xa9", 65)), 2);
}

static void usage_errors_obey_json_wherever_it_stands(void **state)
{
    static const char *const env[] = {"HATHORA_OUTPUT=json", NULL};
    const struct live_process *all[5];
    size_t i;
    (void)state;
    all[0] = TOOL(NOWHERE, "-o", "json", "list", "--bogus");
    all[1] = TOOL(NOWHERE, "--bogus", "list", "-ojson");
    all[2] = TOOL(NOWHERE, "list", "more", "--output=json");
    all[3] = TOOL_ENV(env, "--bogus");
    all[4] = TOOL(NOWHERE, "-o", "json", "revoke", "..");
    for (i = 0; i < COUNT(all); i++) {
        expect_failure(all[i], 2);
        expect_prefix(all[i]->err.ptr, "{\"error\":{\"type\":\"InvalidRequestError\",\"message\":\"");
        assert_string_equal(all[i]->err.ptr + all[i]->err.len - 4, "\"}}\n");
        assert_false(live_contains(&all[i]->err, "statusCode"));
    }
    expect_prefix(TOOL(NOWHERE, "--bogus", "-o", "json", "-o", "text", "list")->err.ptr, "hathora-tokens: ");
}

static void misplaced_secret_is_not_echoed(void **state)
{
    (void)state;
    expect_failure(TOOL(NOWHERE, "-tok", DEV_TOKEN, "list"), 2);
    expect_failure(TOOL(NOWHERE, "list", DEV_TOKEN), 2);
    expect_failure(TOOL(NOWHERE, "list", "--tokn=" DEV_TOKEN), 2);
    expect_failure(TOOL(NOWHERE, "list", "--" DEV_TOKEN), 2);
    expect_failure(TOOL(NOWHERE, "list", "-o", DEV_TOKEN), 2);
    expect_failure(TOOL(NOWHERE, "list", "--header", HEADER_VALUE), 2);
    expect_failure(TOOL(NOWHERE, "list", "--header", "X-A: " HEADER_VALUE "\n"), 2);
    expect_failure(TOOL(NOWHERE, "list", "--token", DEV_TOKEN "\n" DEV_TOKEN), 2);
}

static void errors_name_the_option_or_the_variable(void **state)
{
    static const char *const endpoint[] = {"HATHORA_CLOUD_ENDPOINT=ftp://x", NULL};
    static const char *const empty[] = {"HATHORA_TOKEN=", NULL};
    (void)state;
    expect_error_text(TOOL(NOWHERE, "list", "--endpoint", "ftp://x"), "--endpoint");
    expect_error_text(TOOL_ENV(endpoint, "--org", "a", "list"), "HATHORA_CLOUD_ENDPOINT");
    expect_error_text(TOOL_ENV(empty, "--org", "a", "list"), "HATHORA_TOKEN");
    expect_error_text(TOOL(NOWHERE, "list", "--ca-file", "build/no/such/file"), "--ca-file");
    expect_error_text(TOOL(NOWHERE, "list", "--ca-file", "/dev/null"), "--ca-file: ");
    expect_error_text(TOOL(NOWHERE, "list", "--cert", "build/no/such/file"), "--cert cannot be read: ");
    expect_error_text(TOOL(NOWHERE, "list", "--cert", "README.md"),
                      "--cert: not PEM of a client certificate and its issuers");
    expect_error_text(TOOL(NOWHERE, "list", "--cert", live_certificate("leaf.pem")),
                      "--cert: not PEM of a private key, and --key is missing\n");
    expect_error_text(TOOL(NOWHERE, "list", "--cert", live_certificate("leaf.pem"), "--key", "README.md"),
                      "--key: not PEM of a private key, at byte 0\n");
    expect_error_text(TOOL(NOWHERE, "list", "--key", "README.md"), "--key needs --cert");
    expect_error_text(TOOL(NOWHERE, "list", "--pin", "x"), "--pin");
    expect_error_text(TOOL(NOWHERE, "list", "--retry-codes", "x", "--retry", "backoff"), "--retry-codes");
    expect_error_text(TOOL(NOWHERE, "list", "--timeout", "x"), "--timeout");
    expect_error_text(TOOL(NOWHERE, "list", "--org", ".."), "--org");
    expect_error_text(TOOL(NOWHERE, "revoke", "good", ".."), "..: ");
}

/* ---- Where values come from. ---- */

static void options_stand_anywhere_and_the_last_counts(void **state)
{
    struct live_server *server = serve_json("200 OK", LIST_OF(TOKEN_ONE));
    (void)state;
    expect_done(TOOL("--org=other", "-o", "json", "list", "--endpoint=http://127.0.0.1:1", "-tfirst",
                     "--hathora-cloud-endpoint", server->url, "--org", "org-1", "-t", DEV_TOKEN,
                     "-onameValue", "--"),
                "one\n");
    expect_request(server, "GET /tokens/v1/orgs/org-1 HTTP/1.1\r\n");
    assert_true(live_contains(&server->process->out, "\r\nAuthorization: Bearer " DEV_TOKEN "\r\n"));
}

static void words_after_two_hyphens_are_ids(void **state)
{
    struct live_server *server = serve_json("200 OK", "true");
    (void)state;
    expect_done(CALL(server, "revoke", "-o", "json", "--", "-v"), "true\n");
    expect_request(server, "POST /tokens/v1/orgs/org-1/tokens/-v/revoke HTTP/1.1\r\n");
}

static void variables_stand_in_for_options(void **state)
{
    struct live_server *server = serve_json("200 OK", LIST_OF(TOKEN_ONE));
    const char *env[] = {NULL, "HATHORA_ORG_ID=env-org", "HATHORA_TOKEN=" DEV_TOKEN,
                         "HATHORA_OUTPUT=orgIdValue", NULL};
    (void)state;
    env[0] = join("HATHORA_CLOUD_ENDPOINT=", server->url, "/prefix/");
    expect_done(TOOL_ENV(env, "list"), "org-1\n");
    expect_request(server, "GET /prefix/tokens/v1/orgs/env-org HTTP/1.1\r\n");
    assert_true(live_contains(&server->process->out, "\r\nAuthorization: Bearer " DEV_TOKEN "\r\n"));
}

static void options_outrank_variables_even_empty_ones(void **state)
{
    static const char *const env[] = {"HATHORA_CLOUD_ENDPOINT=", "HATHORA_ORG_ID=", "HATHORA_TOKEN=",
                                      "HATHORA_OUTPUT=bogus",    "SSL_CERT_FILE=",  NULL};
    struct live_server *server = serve_json("200 OK", LIST_OF(""));
    const char *file = live_write_file("token", DEV_TOKEN "\n", strlen(DEV_TOKEN) + 1);
    (void)state;
    expect_done(TOOL_ENV(env, "list", "--endpoint", server->url, "--org", "a", "--token-file", file, "-o",
                         "json", "--ca-file", live_certificate("ca.pem")),
                "{\"tokens\":[]}\n");
    expect_request(server, "\r\nAuthorization: Bearer " DEV_TOKEN "\r\n");
}

static void empty_variables_are_usage_errors(void **state)
{
    static const char *const names[] = {
        "HATHORA_TOKEN=", "HATHORA_CLOUD_ENDPOINT=", "SSL_CERT_FILE=", "HATHORA_OUTPUT="};
    static const char *const org[] = {"HATHORA_ORG_ID=", NULL};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(names); i++) {
        const char *env[2] = {NULL, NULL};
        env[0] = names[i];
        expect_failure(TOOL_ENV(env, "--org", "a", "list"), 2);
    }
    expect_failure(TOOL_ENV(org, "list"), 2);
}

static void proxy_variables_do_not_matter_to_http(void **state)
{
    static const char *const env[] = {"https_proxy=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1",
                                      "http_proxy=http://127.0.0.1:1", NULL};
    struct live_server *server = serve_json("200 OK", LIST_OF(""));
    (void)state;
    expect_done(TOOL_ENV(env, "--endpoint", server->url, "--org", "a", "list", "-o", "json"),
                "{\"tokens\":[]}\n");
}

static void token_file_loses_a_byte_order_mark_and_one_line_end(void **state)
{
    static const struct {
        const char *content;
        const char *authorization;
    } cases[] = {{DEV_TOKEN, "Bearer " DEV_TOKEN},
                 {DEV_TOKEN "\n", "Bearer " DEV_TOKEN},
                 {DEV_TOKEN "\r\n", "Bearer " DEV_TOKEN},
                 {"\xef\xbb\xbf" DEV_TOKEN "\r\n", "Bearer " DEV_TOKEN},
                 {"bearer " DEV_TOKEN "\n", "bearer " DEV_TOKEN}};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(cases) * 2; i++) {
        const char *content = cases[i / 2].content;
        struct live_server *server = serve_json("200 OK", LIST_OF(""));
        const char *file = i % 2 ? "-" : live_write_file("token", content, strlen(content));
        expect_done(
            run_tool(NULL, i % 2 ? content : NULL,
                     WORDS("--endpoint", server->url, "--org", "a", "--token-file", file, "-ojson", "list")),
            "{\"tokens\":[]}\n");
        expect_request(server, join("\r\nAuthorization: ", cases[i / 2].authorization, "\r\n"));
    }
}

static void malformed_token_files_are_usage_errors(void **state)
{
    static const char nul[] = "abc\0def\n", utf_16[] = "\377\376a\0b\0\r\0\n";
    const char *files[9];
    size_t i;
    (void)state;
    files[0] = live_write_file("lf", "\n", 1);
    files[1] = live_write_file("two-lines", DEV_TOKEN "\n\n", strlen(DEV_TOKEN) + 2);
    files[2] = live_write_file("cr", DEV_TOKEN "\r", strlen(DEV_TOKEN) + 1);
    files[3] = live_write_file("nul", nul, sizeof nul - 1);
    files[4] = live_write_file("long", repeat("0123456789abcdef", 4096 + 1), 65536 + 16);
    files[5] = "/dev/urandom";
    files[6] = live_write_file("mark", "\xef\xbb\xbf\n", 4);
    files[7] = live_write_file("two-marks", "\xef\xbb\xbf\xef\xbb\xbf" DEV_TOKEN, strlen(DEV_TOKEN) + 6);
    files[8] = live_write_file("utf-16", utf_16, sizeof utf_16 - 1);
    for (i = 0; i < COUNT(files); i++) {
        expect_failure(TOOL(NOWHERE, "--token-file", files[i], "list"), 2);
    }
    expect_failure(run_tool(NULL, "\r\n", WORDS(NOWHERE, "--token-file", "-", "list")), 2);
}

static void without_a_token_no_authorization_is_sent(void **state)
{
    struct live_server *server = serve_json("401 Unauthorized", "{\"message\":\"who are you?\"}");
    (void)state;
    expect_failure(TOOL("--endpoint", server->url, "--org", "a", "list"), 3);
    expect_request(server, "\r\nHost: ");
    assert_false(live_contains(&server->process->out, "uthorization"));
}

static void headers_and_user_agent_are_sent(void **state)
{
    struct live_server *server = serve_json("200 OK", LIST_OF(""));
    (void)state;
    expect_done(CALL(server, "list", "-ojson", "--header", "X-One:  " HEADER_VALUE " ", "--header=X-Two: a:b",
                     "--header", "Accept: application/json;q=1", "--user-agent", "my agent/1"),
                "{\"tokens\":[]}\n");
    expect_request(server, "\r\nX-One: " HEADER_VALUE "\r\n");
    expect_request(server, "\r\nX-Two: a:b\r\n");
    expect_request(server, "\r\nAccept: application/json;q=1\r\n");
    expect_request(server, "\r\nUser-Agent: my agent/1\r\n");
    assert_int_equal(live_count(&server->process->out, "\r\nAccept: "), 1);
    assert_int_equal(live_count(&server->process->out, "\r\nUser-Agent: "), 1);
}

static void ids_are_percent_encoded(void **state)
{
    struct live_server *server = serve_json("200 OK", "true");
    (void)state;
    expect_done(TOOL("--endpoint", server->url, "--org", "a/../b", "revoke", "\xc3\xa9 ?#%~*'()", "-ojson"),
                "true\n");
    expect_request(server,
                   "POST /tokens/v1/orgs/a%2F..%2Fb/tokens/%C3%A9%20%3F%23%25~*'()/revoke HTTP/1.1\r\n");
    assert_true(live_contains(&server->process->out, "\r\nContent-Length: 0\r\n"));
}

static void scopes_are_sent_as_given(void **state)
{
    static const struct {
        const char *words[6];
        const char *body;
    } cases[] = {{{NULL}, "{\"name\":\"n\"}"},
                 {{"--scope", "admin", NULL}, "{\"scopes\":\"admin\",\"name\":\"n\"}"},
                 {{"--scope", "builds:read", "--scope", "new:thing", NULL},
                  "{\"scopes\":[\"builds:read\",\"new:thing\"],\"name\":\"n\"}"}};
    size_t i, n;
    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        struct live_server *server = serve_json("201 Created", CREATED);
        const char *words[16] = {"--endpoint", NULL,     "--org", "org-1",
                                 "create",     "--name", "n",     "-oplainTextTokenValue"};
        words[1] = server->url;
        for (n = 0; cases[i].words[n]; n++) {
            words[8 + n] = cases[i].words[n];
        }
        expect_done(run_tool(NULL, NULL, words), PLAIN_TOKEN "\n");
        expect_request(server, join("\r\n\r\n", cases[i].body, ""));
        assert_true(live_contains(&server->process->out, "POST /tokens/v1/orgs/org-1/create HTTP/1.1\r\n"));
    }
}

/* ---- Results. ---- */

#define DIFFICULT                                                                                      \
    "quote \\\" backslash \\\\ slash / nul \\u0000 bell \\u0007 tab \\t lf \\n cr \\r unit \\u001f e " \
    "\xc3\xa9 han "                                                                                    \
    "\xe6\xbc\xa2 face \xf0\x9f\x98\x80 lone \\ud800 and \\udc00 last"

static void json_list_comes_back_byte_for_byte(void **state)
{
    static const char body[] = LIST_OF("{" MEMBERS(
        DIFFICULT, DIFFICULT, DIFFICULT,
        "2024-02-29t23:59:60.123456+23:59") ",\"scopes\":\"admin\"}"
                                            ",{" MEMBERS("", "", "", DATE) ",\"scopes\":[]}," TOKEN_ONE
                                                                           "," TOKEN_TWO);
    (void)state;
    expect_done(CALL(serve_json("200 OK", body), "list", "-o", "json"), join(body, "\n", ""));
}

static void json_list_gives_members_in_order_and_drops_unknown_ones(void **state)
{
    static const char body[] =
        " { \"next\" : {\"a\":[1,-2.5e3,null,true]} , \"tokens\" : [ { \"scopes\" : [ \"a\\u0062c\" ] , "
        "\"extra\" : [[]] ,"
        "\"createdAt\":\"" DATE "\",\"createdBy\":\"dev@example.test\",\"lastFourCharsOfKey\":\"abcd\","
        "\"status\":\"active\",\"name\":\"\\u006fne\",\"orgId\":\"org-1\",\"orgTokenId\":\"org-token-1\" } ] "
        "} ";
    (void)state;
    expect_done(CALL(serve_json("200 OK", body), "list", "-o", "json"),
                "{\"tokens\":[{" MEMBERS("org-token-1", "one", "active", DATE) ",\"scopes\":[\"abc\"]}]}\n");
}

static void json_create_is_the_shape_of_the_api(void **state)
{
    (void)state;
    expect_done(CALL(serve_json("201 Created", CREATED), "create", "--name", "one", "-o", "json"),
                CREATED "\n");
}

static void json_revoke_prints_the_boolean(void **state)
{
    const struct live_process *p;
    (void)state;
    expect_done(CALL(serve_json("200 OK", "true"), "revoke", "x", "-o", "json"), "true\n");
    p = CALL(serve_json("200 OK", " false "), "revoke", "x", "-o", "json");
    expect_status(p, 1);
    assert_string_equal(p->out.ptr, "false\n");
    assert_string_equal(p->err.ptr, "");
}

static void field_values_print_one_member_a_line(void **state)
{
    static const struct {
        const char *form, *list, *create;
    } cases[] = {{"orgTokenIdValue", "org-token-1\norg-token-2\n", "org-token-1\n"},
                 {"orgIdValue", "org-1\norg-1\n", "org-1\n"},
                 {"nameValue", "one\ntwo\n", "one\n"},
                 {"statusValue", "active\nrevoked\n", "active\n"},
                 {"lastFourCharsOfKeyValue", "abcd\nabcd\n", "abcd\n"},
                 {"createdByValue", "dev@example.test\ndev@example.test\n", "dev@example.test\n"},
                 {"createdAtValue", DATE "\n" DATE "\n", DATE "\n"},
                 {"scopesValue", "admin\nbuilds:read,x:new\n", "admin\n"}};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        expect_done(CALL(serve_json("200 OK", LIST_OF(TOKEN_ONE "," TOKEN_TWO)), "list", "-o", cases[i].form),
                    cases[i].list);
        expect_done(CALL(serve_json("201 Created", CREATED), "create", "--name", "one", "-o", cases[i].form),
                    cases[i].create);
    }
    expect_done(
        CALL(serve_json("201 Created", CREATED), "create", "--name", "one", "-o", "plainTextTokenValue"),
        PLAIN_TOKEN "\n");
}

static void field_value_is_bare_but_a_line_break_is_escaped(void **state)
{
    static const char body[] = LIST_OF("{" MEMBERS(
        "1", "a\\\"b\\\\c\\td\xc3\xa9", "active",
        DATE) "}"
              ",{" MEMBERS("2", "a\\\"b\\nc\\\\", "active",
                           DATE) "}"
                                 ",{" MEMBERS("3", "cr\\r", "active",
                                              DATE) "}"
                                                    ",{" MEMBERS("4", "", "active",
                                                                 DATE) ",\"scopes\":[\"a\\nb\",\"c\"]}");
    (void)state;
    expect_done(CALL(serve_json("200 OK", body), "list", "-o", "nameValue"),
                "a\"b\\c\td\xc3\xa9\na\\\"b\\nc\\\\\ncr\\r\n\n");
    expect_done(CALL(serve_json("200 OK", body), "list", "-o", "scopesValue"),
                "admin\nadmin\nadmin\na\\nb,c\n");
    expect_done(CALL(serve_json("200 OK", LIST_OF("")), "list", "-o", "nameValue"), "");
}

static void text_list_is_an_aligned_table(void **state)
{
    (void)state;
    expect_done(CALL(serve_json("200 OK", LIST_OF("{" MEMBERS("org-token-long", "\xc3\xa9", "active",
                                                              DATE) "}"
                                                                    "," TOKEN_TWO)),
                     "list"),
                "ID              NAME  STATUS   LAST 4  CREATED                 CREATED BY        SCOPES\n"
                "org-token-long  \xc3\xa9     active   abcd    " DATE "  dev@example.test  admin\n"
                "org-token-2     two   revoked  abcd    " DATE "  dev@example.test  builds:read,x:new\n");
}

static void text_never_holds_what_drives_a_terminal(void **state)
{
    static const char evil[] = "\\u001b[31m\\u0007\\u0000\\r\\n \xc2\x9b \xe2\x80\xae \xe2\x81\xa6";
    static const char *const bad[] = {"\033", "\007", "\r", "\xc2\x9b", "\xe2\x80\xae", "\xe2\x81\xa6"};
    const struct live_process *all[4];
    size_t i, n;
    const char *token =
        join("{" MEMBERS("org-token-1", "one", "active", DATE) ",\"scopes\":[\"", evil, "\"]}");
    (void)state;
    all[0] = CALL(serve_json("200 OK", join("{\"tokens\":[", token, "]}")), "list");
    all[1] = CALL(serve_json("201 Created", join("{\"plainTextToken\":\"p\",\"orgToken\":", token, "}")),
                  "create", "--name", "n");
    all[2] = CALL(serve_json("404 Not Found", join("{\"message\":\"", evil, "\"}")), "list");
    all[3] = CALL(serve_json("404 Not Found", join("{\"message\":\"", evil, "\"}")), "list", "-ojson");
    expect_status(all[0], 0);
    expect_status(all[1], 0);
    expect_failure(all[2], 3);
    expect_failure(all[3], 3);
    for (i = 0; i < COUNT(all); i++) {
        for (n = 0; n < COUNT(bad); n++) {
            assert_false(live_contains(&all[i]->out, bad[n]));
            assert_false(live_contains(&all[i]->err, bad[n]));
        }
    }
    assert_int_equal(live_count(&all[0]->out, "\n"), 2);
    assert_int_equal(live_count(&all[1]->out, "\n"), 1);
}

/* An id cut at it would be another token's, and scopes cut at it other rights. */
static void nul_of_the_server_ends_no_text(void **state)
{
    const char *scopes =
        LIST_OF("{" MEMBERS("id-1", "one", "active", DATE) ",\"scopes\":[\"a\\u0000b\",\"c\"]}");
    const char *id = LIST_OF("{" MEMBERS("id-1\\u0000x", "one", "active", DATE) "}");
    const struct live_process *p = CALL(serve_json("200 OK", scopes), "list");
    (void)state;
    expect_status(p, 0);
    assert_true(live_contains(&p->out, "  a\\x00b,c\n"));
    p = CALL(serve_json("200 OK", scopes), "rotate", "--name", "one");
    expect_failure(p, 2);
    expect_error_text(p, "one has scopes that cannot be asked for again");
    p = CALL(serve_json("200 OK", id), "rotate", "--name", "one");
    expect_failure(p, 7);
    expect_error_text(p, ": the id of one holds a NUL, so that it cannot be revoked\n");
    p = CALL(serve_json("200 OK", id), "revoke", "--name", "one");
    expect_failure(p, 7);
    expect_error_text(p, ": the id of one holds a NUL, so that it cannot be revoked\n");
}

static void text_create_prints_the_secret_alone(void **state)
{
    (void)state;
    expect_done(CALL(serve_json("201 Created", CREATED), "create", "--name", "one"), PLAIN_TOKEN "\n");
}

static void text_revoke_says_what_became_of_each_id(void **state)
{
    const struct live_process *p =
        CALL(SERVE({answer("200 OK", "true"), 0, LIVE_KEEP}, {answer("200 OK", "false"), 0, LIVE_KEEP},
                   {answer("200 OK", "true"), 0, LIVE_KEEP}),
             "revoke", "id-1", "id-2", "id-3");
    (void)state;
    expect_status(p, 1);
    assert_string_equal(p->out.ptr, "id-1 revoked\nid-2 was not revoked\nid-3 revoked\n");
    assert_string_equal(p->err.ptr, "");
}

static struct live_process *run_on_terminal(struct live_server *server, const char *name, const char *form)
{
    const char *argv[] = {live_tool(), "--endpoint", server->url, "--org", "a", "create",
                          "--name",    name,         "-o",        form,    NULL};
    struct live_command command;
    struct live_process *p;
    live_needs("terminals");
    memset(&command, 0, sizeof command);
    command.argv = argv;
    command.error_terminal = true;
    command.output_terminal = true;
    p = live_run(&command);
    expect_status(p, 0);
    return p;
}

static void hints_go_to_a_terminal_alone(void **state)
{
    const struct live_process *p = run_on_terminal(serve_json("201 Created", CREATED), "one", "text");
    (void)state;
    assert_true(live_contains(&p->err, "admin"));
    assert_true(live_contains(&p->err, "revoke org-token-1\n"));
    assert_false(live_contains(&p->out, "Warning"));
    p = run_on_terminal(serve_json("201 Created", CREATED), "one", "plainTextTokenValue");
    assert_string_equal(p->out.ptr, PLAIN_TOKEN "\n");
    assert_string_equal(p->err.ptr, "");
}

static void rotate_tells_a_person_what_the_server_did_not_revoke(void **state)
{
    static const char successor[] =
        "{" MEMBERS("org-token-9", "one-rot2", "active", DATE) ",\"scopes\":[\"builds:read\"]}";
    struct live_server *server =
        SERVE({answer("200 OK", LIST_OF(TOKEN_ONE)), 0, LIVE_KEEP},
              {answer("201 Created", join("{\"plainTextToken\":\"p\",\"orgToken\":", successor, "}")), 0,
               LIVE_KEEP},
              {answer("200 OK", join("{\"tokens\":[" TOKEN_ONE ",", successor, "]}")), 0, LIVE_KEEP},
              once(answer("200 OK", "false")));
    const char *argv[] = {live_tool(), "--endpoint", server->url, "--org", "a",
                          "rotate",    "--name",     "one",       NULL};
    struct live_command command;
    const struct live_process *p;
    (void)state;
    live_needs("terminals");
    memset(&command, 0, sizeof command);
    command.argv = argv;
    command.error_terminal = true;
    p = live_run(&command);
    expect_status(p, 0);
    assert_string_equal(p->out.ptr, "p\n");
    assert_false(live_contains(&p->err, "Revoked"));
    expect_error_text(p, "one was not revoked.");
}

static void field_value_on_a_terminal_is_escaped(void **state)
{
    static const char body[] =
        "{\"plainTextToken\":\"p\",\"orgToken\":{" MEMBERS("1", "\\u001b[2J", "active", DATE) "}}";
    const struct live_process *p = run_on_terminal(serve_json("201 Created", body), "one", "nameValue");
    (void)state;
    assert_false(live_contains(&p->out, "\033"));
    assert_true(live_contains(&p->out, "[2J\n"));
}

static void element_of_four_mebibytes_fits(void **state)
{
    const char *text = repeat("0123456789abcdef", 4 * 65536 - 64);
    const char *body =
        join("{\"tokens\":[{" MEMBERS("1", "big", "active", DATE) ",\"extra\":\"", text, "\"}]}");
    (void)state;
    expect_done(CALL(serve_json("200 OK", body), "list", "-o", "nameValue"), "big\n");
}

static void long_list_is_held_whole(void **state)
{
    const char *body = join("{\"tokens\":[", repeat(TOKEN_ONE ",", 5000), TOKEN_TWO "]}");
    const struct live_process *p = CALL(serve_json("200 OK", body), "list", "-o", "json");
    (void)state;
    expect_done(p, join(body, "\n", ""));
    p = CALL(serve_json("200 OK", join("{\"tokens\":[", repeat(TOKEN_ONE ",", 5000), "{}]}")), "list");
    expect_failure(p, 7);
}

/* ---- Failures that the server causes. ---- */

static void api_error_is_3_with_its_message(void **state)
{
    static const char *const statuses[] = {"401 Unauthorized", "404 Not Found", "408 Request Timeout",
                                           "429 Too Many Requests"};
    const struct live_process *p;
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(statuses); i++) {
        p = CALL(serve_json(statuses[i], "{\"message\":\"no such thing\"}"), "list");
        expect_failure(p, 3);
        expect_error_text(p, "ApiError");
        expect_error_text(p, "no such thing");
    }
    p = CALL(serve_json("422 Unprocessable Content", "{\"message\":\"taken \\\"x\\\"\"}"), "create", "--name",
             "x", "-ojson");
    expect_failure(p, 3);
    assert_string_equal(
        p->err.ptr,
        "{\"error\":{\"type\":\"ApiError\",\"statusCode\":422,\"message\":\"taken \\\"x\\\"\"}}\n");
}

static void other_statuses_are_4(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 418 Teapot\r\n" JSON_HEAD "Content-Length: 15\r\n\r\n{\"message\":\"x\"}",
        "HTTP/1.1 202 Accepted\r\n" JSON_HEAD "Content-Length: 13\r\n\r\n{\"tokens\":[]}",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n{\"tokens\":[]}",
        "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"tokens\":[]}",
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno",
    };
    const struct live_process *p;
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(answers); i++) {
        expect_failure(CALL(serve(answers[i]), "list"), 4);
    }
    p = CALL(serve(answers[0]), "list", "-ojson");
    expect_prefix(p->err.ptr, "{\"error\":{\"type\":\"SDKError\",\"statusCode\":500,\"message\":\"");
}

static void redirect_is_never_followed(void **state)
{
    struct live_server *elsewhere = serve_json("200 OK", LIST_OF(""));
    const char *reply =
        join("HTTP/1.1 302 Found\r\nLocation: ", elsewhere->url, "/there\r\nContent-Length: 0\r\n\r\n");
    const struct live_process *p = CALL(serve(reply), "list");
    (void)state;
    expect_failure(p, 4);
    expect_error_text(p, join(elsewhere->url, "/there", ""));
    assert_string_equal(elsewhere->process->out.ptr, "");
}

static void malformed_answers_are_7(void **state)
{
    static const char *const answers[] = {
        "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Type: application/json\n\n{\"tokens\":[]}",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" JSON_HEAD
        "Content-Length: 13\r\nContent-Length: 13\r\nContent-Length: 14\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" JSON_HEAD "Content-Length: +13\r\n\r\n{\"tokens\":[]}",
        "HTTP/1.1 200 OK\r\n" JSON_HEAD "Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" JSON_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" JSON_HEAD "Content-Encoding: gzip\r\nContent-Length: 13\r\n\r\n{\"tokens\":[]}",
        "HTTP/1.1 200 OK\r\n" JSON_HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\n" JSON_HEAD "Transfer-Encoding: chunked\r\n\r\nd\r\n{\"tokens\":[]}0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" JSON_HEAD "Transfer-Encoding: chunked\r\n\r\nd\r\n{\"tokens\":[]}\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" JSON_HEAD "Content-Length: 14\r\n\r\n{\"tokens\":[]}",
        "HTTP/1.1 200 OK\r\n" JSON_HEAD "Content-Length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" JSON_HEAD "Content-Length: 1073741825\r\n\r\n",
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(answers); i++) {
        expect_failure(CALL(serve(answers[i]), "list"), 7);
    }
}

static void malformed_json_is_7_with_the_status(void **state)
{
    static const char *const bodies[] = {
        "",
        " ",
        "{",
        "[]",
        "null",
        "{}",
        "{\"tokens\":null}",
        "{\"tokens\":{}}",
        "{\"tokens\":[null]}",
        "{\"tokens\":[{}]}",
        "{\"tokens\":[],}",
        "{\"tokens\":[]}}",
        "{\"tokens\":[]} {}",
        "{\"tokens\":[" TOKEN_ONE ",]}",
        "{\"tokens\":[" TOKEN_ONE " " TOKEN_ONE "]}",
        "{\"tokens\":[" TOKEN_ONE,
        "{\"tokens\":[],\"tokens\":[]}",
        "{\"tokens\":[{" MEMBERS("1", "n", "active", DATE) ",\"name\":\"again\"}]}",
        "{\"tokens\":[{" MEMBERS("1", "n", "active", DATE) ",\"scopes\":null}]}",
        "{\"tokens\":[{" MEMBERS("1", "n", "active", DATE) ",\"scopes\":1}]}",
        "{\"tokens\":[{" MEMBERS("1", "n", "active", DATE) ",\"scopes\":[1]}]}",
        "{\"tokens\":[{" MEMBERS("1", "bad \xff", "active", DATE) "}]}",
        "{\"tokens\":[{" MEMBERS("1", "wtf \xed\xa0\x80", "active", DATE) "}]}",
        "{\"tokens\":[{" MEMBERS("1", "n", "active", "2024-02-30T00:00:00Z") "}]}",
        "{\"tokens\":[{" MEMBERS("1", "n", "active", "2024-02-29T00:00Z") "}]}",
        "{\"tokens\":[{" MEMBERS("1", "n", "active", "2024-02-29T00:00:00") "}]}",
        "{\"tokens\":[{" MEMBERS("1", "n", "active", "2024-02-29T00:00:00+24:00") "}]}",
    };
    const struct live_process *p;
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(bodies); i++) {
        p = CALL(serve_json("200 OK", bodies[i]), "list", "-ojson");
        expect_failure(p, 7);
        expect_prefix(p->err.ptr,
                      "{\"error\":{\"type\":\"ResponseValidationError\",\"statusCode\":200,\"message\":\"");
    }
    expect_failure(CALL(serve_json("200 OK", "\"true\""), "revoke", "x"), 7);
    expect_failure(CALL(serve_json("404 Not Found", "{}"), "list"), 7);
}

static void unknown_scopes_and_statuses_are_kept(void **state)
{
    (void)state;
    expect_done(
        CALL(serve_json("200 OK", LIST_OF("{" MEMBERS("1", "n", "odd", DATE) ",\"scopes\":[\"sometimes\"]}")),
             "list", "-o", "statusValue"),
        "odd\n");
}

static void limits_are_7(void **state)
{
    const char *ok = JSON_HEAD "Content-Length: 13\r\n\r\n{\"tokens\":[]}";
    const char *interim = repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 16);
    (void)state;
    expect_done(CALL(serve(join("HTTP/1.1 200 OK\r\n", repeat("X: y\r\n", 98), ok)), "list", "-ojson"),
                "{\"tokens\":[]}\n");
    expect_failure(CALL(serve(join("HTTP/1.1 200 OK\r\n", repeat("X: y\r\n", 99), ok)), "list"), 7);
    expect_failure(
        CALL(serve(join("HTTP/1.1 200 OK\r\nX: ", repeat("0123456789abcdef", 4096), "\r\n")), "list"), 7);
    expect_done(CALL(serve(join(interim, "HTTP/1.1 200 OK\r\n", ok)), "list", "-ojson"), "{\"tokens\":[]}\n");
    expect_failure(CALL(serve(join(interim, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", ok)), "list"),
                   7);
    expect_failure(CALL(serve_json("200 OK", join("{\"tokens\":[{\"a\":\"",
                                                  repeat("0123456789abcdef", 1048576 + 65536), "\"}]}")),
                        "list"),
                   7);
}

static void broken_connections_are_5(void **state)
{
    char closed[64];
    const struct live_process *p;
    (void)state;
    snprintf(closed, sizeof closed, "http://127.0.0.1:%u", live_free_port());
    p = TOOL("--endpoint", closed, "--org", "a", "list", "-ojson");
    expect_failure(p, 5);
    expect_prefix(p->err.ptr, "{\"error\":{\"type\":\"ConnectionError\",\"message\":\"");
    expect_failure(CALL(SERVE({NULL, 0, LIVE_CLOSE}), "list"), 5);
    expect_failure(CALL(SERVE({NULL, 0, LIVE_RESET}), "list"), 5);
    expect_failure(CALL(SERVE({"HTTP/1.1 200 OK\r\nContent-Le", 0, LIVE_CLOSE}), "list"), 5);
    expect_failure(CALL(SERVE({"HTTP/1.1 100 Continue\r\n\r\n", 0, LIVE_CLOSE}), "list"), 5);
}

static void silent_server_is_6(void **state)
{
    struct live_server *server = SERVE({NULL, 0, LIVE_WAIT});
    const struct live_process *p = CALL(server, "list", "--timeout", "150", "-ojson");
    (void)state;
    expect_failure(p, 6);
    expect_prefix(p->err.ptr, "{\"error\":{\"type\":\"RequestTimeoutError\",\"message\":\"");
    p = CALL(SERVE({"HTTP/1.1 200 OK\r\n" JSON_HEAD "Content-Length: 13\r\n\r\n{", 0, LIVE_WAIT}), "list",
             "--timeout", "150");
    expect_failure(p, 6);
}

static void stalled_handshake_is_6_by_the_deadline_that_ends_first(void **state)
{
    static const struct {
        const char *timeout, *connect_timeout, *text;
    } cases[] = {{"20000", "150", "the connect time-out passed"},
                 {"150", "20000", "the time-out of the attempt passed"}};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        struct live_server *server = SERVE({NULL, 0, LIVE_WAIT});
        const struct live_process *p;
        char url[64];
        snprintf(url, sizeof url, "https://127.0.0.1:%u", server->port);
        p = TOOL("--endpoint", url, "--org", "a", "--ca-file", live_certificate("ca.pem"), "list",
                 "--timeout", cases[i].timeout, "--connect-timeout", cases[i].connect_timeout);
        expect_failure(p, 6);
        expect_error_text(p, cases[i].text);
    }
}

/* ---- Signals. ---- */

static struct live_process *start_tool(const char *const *words)
{
    const char *argv[32];
    struct live_command command;
    size_t i;
    memset(&command, 0, sizeof command);
    argv[0] = live_tool();
    for (i = 0; words[i]; i++) {
        argv[i + 1] = words[i];
    }
    argv[i + 1] = NULL;
    command.argv = argv;
    command.input_open = true;
    return live_start(&command);
}

static void check_signal_ends_a_waiting_call(int number)
{
    struct live_server *server = SERVE({NULL, 0, LIVE_WAIT});
    struct live_process *p =
        start_tool(WORDS("--endpoint", server->url, "--org", "a", "--token", DEV_TOKEN, "list", "-ojson"));
    live_await_output(server->process, "\r\n\r\n", 0);
    live_signal(p, number);
    live_end(p);
    check_outputs(p);
    expect_failure(p, 128 + number);
    expect_prefix(p->err.ptr, "{\"error\":{\"type\":\"RequestAbortedError\",\"message\":\"");
}

static void interrupt_ends_a_waiting_call(void **state)
{
    (void)state;
    check_signal_ends_a_waiting_call(SIGINT);
}

static void termination_ends_a_waiting_call(void **state)
{
    (void)state;
    live_needs("SIGTERM");
    check_signal_ends_a_waiting_call(SIGTERM);
}

static void signal_ends_the_wait_before_a_retry(void **state)
{
    struct live_server *server = SERVE({answer("503 Busy", ""), 0, LIVE_KEEP}, {NULL, 0, LIVE_WAIT});
    struct live_process *p = start_tool(WORDS("-v", "--endpoint", server->url, "--org", "a", "list",
                                              "--retry", "backoff", "--retry-initial-interval", "60000"));
    (void)state;
    live_await_error(p, "again", 0);
    live_signal(p, SIGINT);
    live_end(p);
    expect_status(p, 130);
    assert_string_equal(p->out.ptr, "");
}

static void signal_ends_the_reading_of_a_file(void **state)
{
    static const char *const options[] = {"--token-file", "--cert", "--ca-file"};
    const char *fifo = live_path("fifo");
    size_t i;
    (void)state;
    live_needs("SIGTERM");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    for (i = 0; i < COUNT(options); i++) {
        struct live_process *p = start_tool(WORDS(NOWHERE, options[i], fifo, "list"));
        int writer;
        /* Returns when the tool has opened its end; it then waits for a text that never becomes whole. */
        alarm(LIVE_TIMEOUT_MS / 1000);
        writer = open(fifo, O_WRONLY);
        alarm(0);
        assert_true(writer >= 0);
        assert_int_equal(write(writer, DEV_TOKEN, strlen(DEV_TOKEN)), strlen(DEV_TOKEN));
        live_signal(p, SIGTERM);
        if (i == 2) {
            close(writer); /* the library may read on after a signal that came before its reading */
            writer = -1;
        }
        live_end(p);
        check_outputs(p);
        expect_failure(p, 143);
        if (writer >= 0) {
            close(writer);
        }
    }
}

static void interrupted_revoke_names_the_id(void **state)
{
    struct live_server *server = SERVE({answer("200 OK", "true"), 0, LIVE_KEEP}, {NULL, 0, LIVE_WAIT});
    struct live_process *p =
        start_tool(WORDS("--endpoint", server->url, "--org", "a", "revoke", "id-1", "id-2", "id-3"));
    (void)state;
    live_await_output(server->process, "id-2/revoke", 0);
    live_signal(p, SIGINT);
    live_end(p);
    expect_status(p, 130);
    assert_string_equal(p->out.ptr, "id-1 revoked\n");
    assert_int_equal(live_count(&p->err, "\n"), 1);
    expect_error_text(p, "hathora-tokens: id-2: RequestAbortedError");
}

/* ---- Results that cannot be written. ---- */

static struct live_process *run_without_output(struct live_server *server, const char *full,
                                               const char *const *words)
{
    const char *argv[32] = {NULL, "--endpoint", NULL, "--org", "org-1"};
    struct live_command command;
    struct live_process *p;
    size_t i;
    memset(&command, 0, sizeof command);
    argv[0] = live_tool();
    argv[2] = server->url;
    for (i = 0; words[i]; i++) {
        argv[5 + i] = words[i];
    }
    command.argv = argv;
    command.output_path = full;
    command.output_closed = !full;
    p = live_run(&command);
    check_outputs(p);
    return p;
}

static void unwritable_list_is_8(void **state)
{
    const char *const *const forms[] = {WORDS("list"), WORDS("list", "-ojson"), WORDS("list", "-onameValue")};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(forms); i++) {
        expect_failure(run_without_output(serve_json("200 OK", LIST_OF(TOKEN_ONE)), "/dev/full", forms[i]),
                       8);
        expect_failure(run_without_output(serve_json("200 OK", LIST_OF(TOKEN_ONE)), NULL, forms[i]), 8);
    }
    expect_failure(run_without_output(serve_json("200 OK", LIST_OF("")), "/dev/full", WORDS("--help")), 8);
}

/* The successor is taken back, which the server may answer with false; and an id with a NUL cannot be named. */
static void rotate_claims_no_revoke_that_was_none(void **state)
{
    static const char *const created[] = {
        CREATED, "{\"plainTextToken\":\"" PLAIN_TOKEN
                 "\",\"orgToken\":{" MEMBERS("org-token-1\\u0000x", "one-rot2", "active", DATE) "}}"};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(created); i++) {
        struct live_server *server = SERVE({answer("200 OK", LIST_OF(TOKEN_ONE)), 0, LIVE_KEEP},
                                           {answer("201 Created", created[i]), 0, LIVE_KEEP},
                                           once(answer("200 OK", i == 0 ? "false" : "true")));
        const struct live_process *p =
            run_without_output(server, "/dev/full", WORDS("rotate", "--name", "one"));
        expect_failure(p, 8);
        expect_error_text(p, "; its plain text is lost, nothing was revoked, run this again: one-rot2\n");
    }
}

static void list_with_all_standard_descriptors_closed_is_8(void **state)
{
    struct live_server *server = serve_json("200 OK", LIST_OF(TOKEN_ONE));
    const char *argv[] = {"sh",        "-c",        "exec \"$0\" --endpoint \"$1\" --org a list <&- >&- 2>&-",
                          live_tool(), server->url, NULL};
    struct live_command command;
    (void)state;
    live_needs("descriptors");
    memset(&command, 0, sizeof command);
    command.argv = argv;
    expect_status(live_run(&command), 8);
    live_end(server->process);
    assert_int_equal(live_count(&server->process->out, "CONNECTION\n"), 1);
    assert_false(live_contains(&server->process->out, "org-token-1"));
}

static void created_token_that_cannot_be_written_is_said_to_be_lost(void **state)
{
    const char *const *const forms[] = {WORDS("create", "--name", "one"),
                                        WORDS("create", "--name", "one", "-oplainTextTokenValue"),
                                        WORDS("create", "--name", "one", "-ojson")};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(forms); i++) {
        const struct live_process *p =
            run_without_output(serve_json("201 Created", CREATED), "/dev/full", forms[i]);
        expect_failure(p, 8);
        expect_error_text(p, "lost");
        expect_error_text(p, "revoke org-token-1");
    }
}

static void create_with_closed_output_sends_nothing(void **state)
{
    struct live_server *server = serve_json("201 Created", CREATED);
    const struct live_process *p = run_without_output(server, NULL, WORDS("create", "--name", "one"));
    (void)state;
    live_needs("descriptors");
    expect_failure(p, 8);
    expect_error_text(p, "lost");
    live_signal(server->process, SIGTERM);
    live_end(server->process);
    assert_string_equal(server->process->out.ptr, "");
}

static void unwritable_revoke_says_what_was_revoked(void **state)
{
    const struct live_process *p =
        run_without_output(serve_json("200 OK", "true"), NULL, WORDS("revoke", "id-1", "-ojson"));
    (void)state;
    expect_failure(p, 8);
    expect_error_text(p, "revoked: id-1");
    expect_error_text(p, "{\"error\":{\"type\":\"UnexpectedClientError\",\"statusCode\":200,");
}

static void output_into_a_closed_pipe_is_8(void **state)
{
    struct live_process *p;
    struct live_command command;
    struct live_server *server = serve_json("200 OK", LIST_OF(TOKEN_ONE));
    const char *argv[] = {
        "sh", "-c", "{ \"$0\" --endpoint \"$1\" --org a list; echo $? >&2; } | :", live_tool(), NULL, NULL};
    (void)state;
    argv[4] = server->url;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    p = live_run(&command);
    /* The reader may go before or after the list is written. */
    assert_true(live_contains(&p->err, "could not be written") ? live_contains(&p->err, "\n8\n")
                                                               : live_contains(&p->err, "0\n"));
}

/* ---- Secrets. ---- */

static void create_answer_is_never_quoted(void **state)
{
    static const char *const bodies[] = {
        "{\"plainTextToken\":\"" PLAIN_TOKEN "\"}",
        "{\"plainTextToken\":\"" PLAIN_TOKEN "\",\"orgToken\":{\"orgTokenId\":7}}",
        "{\"plainTextToken\":\"" PLAIN_TOKEN "\",\"orgToken\":" TOKEN_ONE,
        "{\"message\":7,\"x\":\"" PLAIN_TOKEN "\"}",
    };
    static const char *const statuses[] = {
        "201 Created", "200 OK", "202 Accepted", "422 Unprocessable Content", "500 Internal Server Error",
        "302 Found"};
    size_t i, n;
    (void)state;
    for (i = 0; i < COUNT(bodies); i++) {
        for (n = 0; n < COUNT(statuses); n++) {
            const struct live_process *p = CALL(serve_json(statuses[n], bodies[i]), "create", "--name", "x",
                                                "-v", n % 2 ? "-ojson" : "-otext");
            assert_in_range(p->status, 4, 7);
            assert_string_equal(p->out.ptr, "");
        }
    }
}

static void secrets_that_the_server_echoes_are_blotted_out(void **state)
{
    const char *body = "{\"message\":\"bad token " DEV_TOKEN " and " HEADER_VALUE "\"}";
    const struct live_process *p;
    (void)state;
    p = CALL(serve_json("401 Unauthorized", body), "list", "--header", "X-A: " HEADER_VALUE, "-v");
    expect_status(p, 3);
    expect_error_text(p, "bad token *");
    p = CALL(serve_json("500 Oops", body), "list", "--header", "X-A: " HEADER_VALUE, "-v", "-ojson");
    expect_status(p, 4);
    p = CALL(serve(join("HTTP/1.1 302 Found\r\nLocation: https://x.test/?", DEV_TOKEN,
                        "\r\nContent-Length: 0\r\n\r\n")),
             "list", "-v");
    expect_status(p, 4);
}

static void verbose_traces_on_standard_error_without_secrets(void **state)
{
    const struct live_process *p = CALL(serve_json("201 Created", CREATED), "create", "--name", "x", "-v",
                                        "--header", "X-A: " HEADER_VALUE, "-ojson");
    (void)state;
    expect_status(p, 0);
    assert_string_equal(p->out.ptr, CREATED "\n");
    expect_error_text(p, "hathora-tokens: trace: ");
    p = CALL(serve_json("404 Not Found", "{\"message\":\"gone\"}"), "list", "--verbose", "-ojson");
    expect_status(p, 3);
    assert_string_equal(strstr(p->err.ptr, "{\"error\""),
                        "{\"error\":{\"type\":\"ApiError\",\"statusCode\":404,\"message\":\"gone\"}}\n");
}

static void token_option_leaves_the_process_list(void **state)
{
    struct live_server *server = SERVE({NULL, 0, LIVE_WAIT});
    struct live_process *p =
        start_tool(WORDS("--endpoint", server->url, "--org", "a", "--token", DEV_TOKEN, "list"));
    char path[64], text[4096];
    FILE *file;
    size_t len;
    (void)state;
    live_needs("processes");
    live_await_output(server->process, "\r\n\r\n", 0);
    snprintf(path, sizeof path, "/proc/%ld/cmdline", p->pid);
    file = fopen(path, "rb");
    if (!file) {
        skip();
    }
    len = fread(text, 1, sizeof text, file);
    fclose(file);
    assert_true(len > 10);
    while (len-- != 0) {
        assert_true(strncmp(text + len, DEV_TOKEN, strlen(DEV_TOKEN)) != 0);
    }
    live_signal(p, SIGTERM);
    live_end(p);
}

/* ---- Several ids, retries. ---- */

static void several_ids_use_one_connection(void **state)
{
    struct live_server *server =
        SERVE({answer("200 OK", "true"), 0, LIVE_KEEP}, {answer("200 OK", "true"), 0, LIVE_KEEP},
              {answer("200 OK", "false"), 0, LIVE_KEEP});
    const struct live_process *p = CALL(server, "revoke", "id-1", "id-2", "id-3", "-ojson");
    (void)state;
    expect_status(p, 1);
    assert_string_equal(p->out.ptr, "true\ntrue\nfalse\n");
    live_end(server->process);
    assert_int_equal(live_count(&server->process->out, "CONNECTION\n"), 1);
    assert_int_equal(live_count(&server->process->out, "POST "), 3);
}

static void several_ids_stop_at_the_first_error_which_outranks_false(void **state)
{
    struct live_server *server = SERVE({answer("200 OK", "false"), 0, LIVE_KEEP},
                                       {answer("404 Not Found", "{\"message\":\"unknown\"}"), 0, LIVE_KEEP},
                                       {answer("200 OK", "true"), 0, LIVE_KEEP});
    const struct live_process *p = CALL(server, "revoke", "id-1", "id-2", "id-3", "-ojson");
    (void)state;
    expect_status(p, 3);
    assert_string_equal(p->out.ptr, "false\n");
    assert_string_equal(
        p->err.ptr, "{\"error\":{\"type\":\"ApiError\",\"statusCode\":404,\"message\":\"id-2: unknown\"}}\n");
    live_kill(server->process);
    p = CALL(SERVE({answer("200 OK", "true"), 0, LIVE_KEEP},
                   {answer("404 Not Found", "{\"message\":\"unknown\"}"), 0, LIVE_KEEP}),
             "revoke", "id-1", "id-2", "id-3");
    expect_status(p, 3);
    assert_string_equal(p->out.ptr, "id-1 revoked\n");
    assert_int_equal(live_count(&p->err, "\n"), 1);
    expect_error_text(p, "hathora-tokens: id-2: ApiError");
}

static void malformed_id_among_several_sends_nothing(void **state)
{
    struct live_server *server = serve_json("200 OK", "true");
    (void)state;
    expect_failure(CALL(server, "revoke", "id-1", "..", "id-3"), 2);
    live_signal(server->process, SIGTERM);
    live_end(server->process);
    assert_string_equal(server->process->out.ptr, "");
}

static void revoke_is_sent_again_when_a_reused_connection_had_died(void **state)
{
    struct live_server *server =
        SERVE({answer("200 OK", "true"), 0, LIVE_CLOSE}, {answer("200 OK", "true"), 0, LIVE_KEEP});
    (void)state;
    expect_done(CALL(server, "revoke", "id-1", "id-2", "-ojson"), "true\ntrue\n");
    live_end(server->process);
    assert_int_equal(live_count(&server->process->out, "CONNECTION\n"), 2);
}

#define BACKOFF "--retry", "backoff", "--retry-initial-interval", "1", "--retry-max-interval", "2"

static void backoff_tries_again_after_a_retry_code(void **state)
{
    const char *busy = "HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
    const char *teapot = "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n";
    struct live_server *server =
        SERVE({busy, 0, LIVE_KEEP}, {busy, 0, LIVE_CLOSE}, {answer("200 OK", LIST_OF("")), 0, LIVE_KEEP});
    (void)state;
    expect_done(CALL(server, "list", "-ojson", BACKOFF, "--retry-exponent", "2.5"), "{\"tokens\":[]}\n");
    expect_failure(CALL(serve(busy), "list"), 4);
    expect_failure(CALL(serve(busy), "list", "--retry", "none"), 4);
    expect_failure(CALL(serve(busy), "list", BACKOFF, "--retry-codes", "429,4XX"), 4);
    expect_failure(CALL(serve(teapot), "list", BACKOFF), 4);
    expect_done(CALL(SERVE({teapot, 0, LIVE_KEEP}, {answer("200 OK", LIST_OF("")), 0, LIVE_KEEP}), "list",
                     "-ojson", BACKOFF, "--retry-codes", "503,4XX"),
                "{\"tokens\":[]}\n");
}

/* The second and later waits of a backoff grow by the exponent; the server's 0 makes the first two short. */
static void waits_follow_the_interval_and_the_exponent(void **state)
{
    const char *now = "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    const char *busy = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    struct live_server *server = SERVE({now, 0, LIVE_KEEP}, {now, 0, LIVE_KEEP}, {busy, 0, LIVE_KEEP});
    struct live_process *p =
        start_tool(WORDS("-v", "--endpoint", server->url, "--org", "a", "list", "--retry", "backoff",
                         "--retry-initial-interval", "30", "--retry-exponent", "9.5"));
    static const char waits[] = "trying again in ";
    size_t at = 0, i;
    long last = 0;
    (void)state;
    for (i = 0; i < 3; i++) {
        at = live_await_error(p, waits, at) + strlen(waits);
        live_await_error(p, "\n", at);
        last = strtol(p->err.ptr + at, NULL, 10);
        assert_true(i == 2 || last == 30);
    }
    /* 30 * 2^9.5 is 21723, to which up to a second is added. */
    assert_in_range(last, 21700, 22724);
    live_signal(p, SIGINT);
    live_end(p);
    expect_status(p, 130);
}

static void connection_errors_are_retried_only_when_asked(void **state)
{
    (void)state;
    expect_failure(
        CALL(SERVE({NULL, 0, LIVE_RESET}, {answer("200 OK", LIST_OF("")), 0, LIVE_KEEP}), "list", BACKOFF),
        5);
    expect_done(CALL(SERVE({NULL, 0, LIVE_RESET}, {answer("200 OK", LIST_OF("")), 0, LIVE_KEEP}), "list",
                     "-ojson", BACKOFF, "--retry-connection-errors"),
                "{\"tokens\":[]}\n");
}

static void retries_end_after_the_longest_time(void **state)
{
    const char *busy = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    struct live_server *server = SERVE({busy, 0, LIVE_KEEP}, {busy, 0, LIVE_KEEP}, {busy, 0, LIVE_KEEP});
    (void)state;
    expect_failure(CALL(server, "list", "--retry", "backoff", "--retry-initial-interval", "50",
                        "--retry-max-interval", "50", "--retry-max-elapsed", "1"),
                   4);
    live_kill(server->process);
}

static void create_is_never_sent_twice(void **state)
{
    struct live_server *server = SERVE({NULL, 0, LIVE_RESET}, {answer("201 Created", CREATED), 0, LIVE_KEEP});
    const struct live_process *p =
        CALL(server, "create", "--name", "one", BACKOFF, "--retry-connection-errors", "-ojson");
    (void)state;
    expect_failure(p, 5);
    live_signal(server->process, SIGTERM);
    live_end(server->process);
    assert_int_equal(live_count(&server->process->out, "POST "), 1);
}

/* ---- TLS. ---- */

static struct live_process *call_tls(struct live_server *server, const char *ca, const char *const *more)
{
    const char *words[32] = {"--endpoint", NULL,        "--org", "org-1", "--token",
                             DEV_TOKEN,    "--ca-file", NULL,    "list",  "-ojson"};
    size_t i;
    words[1] = server->url;
    words[7] = live_certificate(ca);
    for (i = 0; more && more[i]; i++) {
        words[10 + i] = more[i];
    }
    return run_tool(NULL, NULL, words);
}

#define LIST_PATH "/tokens/v1/orgs/org-1"

static struct live_server *serve_tls_file(const char *bytes)
{
    return live_start_tls_file(LIST_PATH, bytes, strlen(bytes));
}

static void verified_tls_by_option_and_by_variable(void **state)
{
    struct live_server *server = serve_tls_file(answer("200 OK", LIST_OF(TOKEN_ONE)));
    const char *env[2] = {NULL, NULL};
    (void)state;
    expect_done(call_tls(server, "ca.pem", NULL), LIST_OF(TOKEN_ONE) "\n");
    env[0] = join("SSL_CERT_FILE=", live_certificate("ca.pem"), "");
    expect_done(TOOL_ENV(env, "--endpoint", server->url, "--org", "org-1", "list", "-onameValue"), "one\n");
    expect_failure(call_tls(server, "other-ca.pem", NULL), 5);
    expect_failure(TOOL("--endpoint", server->url, "--org", "org-1", "list"), 5);
}

static void address_in_the_certificate_counts(void **state)
{
    struct live_server *server = serve_tls_file(answer("200 OK", LIST_OF(TOKEN_ONE)));
    char url[64];
    (void)state;
    snprintf(url, sizeof url, "HTTPS://127.0.0.1:%u/", server->port);
    expect_done(TOOL("--endpoint", url, "--org", "org-1", "--ca-file", live_certificate("ca.pem"), "list",
                     "-onameValue"),
                "one\n");
}

static void unacceptable_certificates_are_5_and_never_retried(void **state)
{
    static const char *const names[] = {"wrong-name", "expired", "notyet", "selfsigned"};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(names); i++) {
        struct live_server *server = live_start_tls(names[i], NULL);
        const struct live_process *p =
            call_tls(server, "ca.pem", WORDS(BACKOFF, "--retry-connection-errors"));
        expect_failure(p, 5);
        expect_prefix(p->err.ptr, "{\"error\":{\"type\":\"ConnectionError\",\"message\":\"");
    }
}

static const char *pin_of(const char *certificate)
{
    const char *argv[] = {"sh", "-c",
                          "openssl x509 -in \"$0\" -pubkey -noout | openssl pkey -pubin -outform DER |"
                          "openssl dgst -sha256 -binary | openssl base64 -A",
                          NULL, NULL};
    struct live_command command;
    memset(&command, 0, sizeof command);
    argv[3] = live_certificate(certificate);
    command.argv = argv;
    return join("sha256/", live_run(&command)->out.ptr, "");
}

static void pins_must_hold_a_key_of_the_chain(void **state)
{
    struct live_server *server = serve_tls_file(answer("200 OK", LIST_OF("")));
    const char *leaf = pin_of("leaf.pem"), *ca = pin_of("ca.pem"), *other = pin_of("other-ca.pem");
    (void)state;
    expect_done(call_tls(server, "ca.pem", WORDS("--pin", leaf)), "{\"tokens\":[]}\n");
    expect_done(call_tls(server, "ca.pem", WORDS("--pin", other, "--pin", ca)), "{\"tokens\":[]}\n");
    expect_failure(call_tls(server, "ca.pem", WORDS("--pin", other)), 5);
    expect_failure(call_tls(server, "other-ca.pem", WORDS("--pin", leaf)), 5);
}

static void unusable_ca_file_is_2(void **state)
{
    const char *file =
        live_write_file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 59);
    const char *env[2] = {NULL, NULL};
    (void)state;
    expect_failure(TOOL(NOWHERE, "list", "--ca-file", file), 2);
    env[0] = join("SSL_CERT_FILE=", file, "");
    expect_failure(TOOL_ENV(env, NOWHERE, "list"), 2);
}

static void body_until_close_needs_a_close_notify(void **state)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\n" JSON_HEAD "\r\n{\"tokens\":[]}";
    struct live_server *server = serve_tls_file(reply);
    struct live_process *p;
    (void)state;
    expect_done(call_tls(server, "ca.pem", NULL), "{\"tokens\":[]}\n");
    server = live_start_tls("leaf", NULL);
    p = start_tool(
        WORDS("--endpoint", server->url, "--org", "a", "--ca-file", live_certificate("ca.pem"), "list"));
    live_await_output(server->process, "\r\n\r\n", 0);
    live_send_tls(server, reply, sizeof reply - 1);
    live_cut_tls(server);
    live_end(p);
    expect_failure(p, 7);
}

static void cut_tls_connection_is_5_before_the_head_and_7_after(void **state)
{
    static const struct {
        const char *reply;
        int status;
    } cases[] = {{"HTTP/1.1 200 OK\r\n", 5},
                 {"HTTP/1.1 200 OK\r\n" JSON_HEAD "Content-Length: 14\r\n\r\n{\"tokens\":[]}", 7},
                 {"HTTP/1.1 200 OK\r\n" JSON_HEAD "Content-Length: 13\r\n\r\n{\"tokens\":[]}", 0}};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        struct live_server *server = live_start_tls("leaf", NULL);
        struct live_process *p = start_tool(WORDS("--endpoint", server->url, "--org", "a", "--ca-file",
                                                  live_certificate("ca.pem"), "list", "-ojson"));
        live_await_output(server->process, "\r\n\r\n", 0);
        live_send_tls(server, cases[i].reply, strlen(cases[i].reply));
        live_cut_tls(server);
        live_end(p);
        expect_status(p, cases[i].status);
        assert_string_equal(p->out.ptr, cases[i].status == 0 ? "{\"tokens\":[]}\n" : "");
    }
}

static void create_over_tls_prints_the_token_alone(void **state)
{
    struct live_server *server = live_start_tls("leaf", NULL);
    const char *reply = answer("201 Created", CREATED);
    struct live_process *p =
        start_tool(WORDS("--endpoint", server->url, "--org", "a", "--ca-file", live_certificate("ca.pem"),
                         "create", "--name", "n", "-o", "plainTextTokenValue"));
    (void)state;
    live_await_output(server->process, "{\"name\":\"n\"}", 0);
    live_send_tls(server, reply, strlen(reply));
    live_end(p);
    expect_done(p, PLAIN_TOKEN "\n");
}

static void server_that_refuses_tls_1_2_is_5(void **state)
{
    struct live_server *server = live_start_tls("leaf", WORDS("-tls1_3"));
    (void)state;
    expect_failure(call_tls(server, "ca.pem", NULL), 5);
}

/* ---- The emulator. ---- */

static struct live_process *emulated(struct live_server *server, const char *token, const char *const *words)
{
    const char *all[32] = {"--endpoint", NULL, "--org", "org-1", "--ca-file", NULL, "--token", NULL};
    size_t i;
    all[1] = server->url;
    all[5] = live_certificate("ca.pem");
    all[7] = token;
    for (i = 0; words[i]; i++) {
        all[8 + i] = words[i];
    }
    return run_tool(NULL, NULL, all);
}

static void emulator_serves_create_list_revoke(void **state)
{
    struct live_server *server = live_start_emulator(DEV_TOKEN, NULL);
    const struct live_process *p;
    struct live_bytes id = {NULL, 0, 0};
    (void)state;
    expect_done(emulated(server, DEV_TOKEN, WORDS("list", "-ojson")), "{\"tokens\":[]}\n");
    p = emulated(server, DEV_TOKEN,
                 WORDS("create", "--name", "ci", "--scope", "builds:read", "-oorgTokenIdValue"));
    expect_status(p, 0);
    live_add(&id, p->out.ptr, p->out.len - 1);
    expect_done(emulated(server, DEV_TOKEN, WORDS("list", "-oscopesValue")), "builds:read\n");
    expect_done(emulated(server, DEV_TOKEN, WORDS("list", "-ostatusValue")), "active\n");
    expect_done(emulated(server, DEV_TOKEN, WORDS("revoke", id.ptr, "-ojson")), "true\n");
    expect_done(emulated(server, DEV_TOKEN, WORDS("list", "-ostatusValue")), "revoked\n");
    expect_failure(emulated(server, DEV_TOKEN, WORDS("create", "--name", "ci")), 3);
    expect_failure(emulated(server, DEV_TOKEN, WORDS("revoke", "org-token-unknown")), 3);
    expect_failure(emulated(server, DEV_TOKEN, WORDS("list", "--org", "org-2")), 3);
    p = emulated(server, "wrong", WORDS("list", "-ojson"));
    expect_failure(p, 3);
    expect_prefix(p->err.ptr, "{\"error\":{\"type\":\"ApiError\",\"statusCode\":401,\"message\":\"");
    live_clear(&id);
}

static void created_token_is_never_seen_again(void **state)
{
    struct live_server *server = live_start_emulator(DEV_TOKEN, NULL);
    const struct live_process *p =
        emulated(server, DEV_TOKEN, WORDS("create", "--name", "ci", "-oplainTextTokenValue"));
    struct live_bytes plain = {NULL, 0, 0};
    (void)state;
    expect_status(p, 0);
    assert_int_equal(live_count(&p->out, "\n"), 1);
    live_add(&plain, p->out.ptr, p->out.len - 1);
    assert_true(plain.len > 8);
    p = emulated(server, DEV_TOKEN, WORDS("list", "-v"));
    expect_status(p, 0);
    assert_false(live_contains(&p->out, plain.ptr));
    assert_false(live_contains(&p->err, plain.ptr));
    live_clear(&plain);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(help_fits_a_screen_and_goes_to_standard_output),
        TEST(help_names_every_option_and_variable),
        TEST(version_is_one_line),
        TEST(usage_errors_exit_2_with_one_line),
        TEST(text_that_is_not_utf_8_is_a_usage_error),
        TEST(reserved_headers_are_usage_errors),
        TEST(name_of_64_characters_is_sent_and_65_refused),
        TEST(usage_errors_obey_json_wherever_it_stands),
        TEST(misplaced_secret_is_not_echoed),
        TEST(errors_name_the_option_or_the_variable),
        TEST(options_stand_anywhere_and_the_last_counts),
        TEST(words_after_two_hyphens_are_ids),
        TEST(variables_stand_in_for_options),
        TEST(options_outrank_variables_even_empty_ones),
        TEST(empty_variables_are_usage_errors),
        TEST(proxy_variables_do_not_matter_to_http),
        TEST(token_file_loses_a_byte_order_mark_and_one_line_end),
        TEST(malformed_token_files_are_usage_errors),
        TEST(without_a_token_no_authorization_is_sent),
        TEST(headers_and_user_agent_are_sent),
        TEST(ids_are_percent_encoded),
        TEST(scopes_are_sent_as_given),
        TEST(json_list_comes_back_byte_for_byte),
        TEST(json_list_gives_members_in_order_and_drops_unknown_ones),
        TEST(json_create_is_the_shape_of_the_api),
        TEST(json_revoke_prints_the_boolean),
        TEST(field_values_print_one_member_a_line),
        TEST(field_value_is_bare_but_a_line_break_is_escaped),
        TEST(text_list_is_an_aligned_table),
        TEST(text_never_holds_what_drives_a_terminal),
        TEST(nul_of_the_server_ends_no_text),
        TEST(text_create_prints_the_secret_alone),
        TEST(text_revoke_says_what_became_of_each_id),
        TEST(hints_go_to_a_terminal_alone),
        TEST(rotate_tells_a_person_what_the_server_did_not_revoke),
        TEST(field_value_on_a_terminal_is_escaped),
        TEST(element_of_four_mebibytes_fits),
        TEST(long_list_is_held_whole),
        TEST(api_error_is_3_with_its_message),
        TEST(other_statuses_are_4),
        TEST(redirect_is_never_followed),
        TEST(malformed_answers_are_7),
        TEST(malformed_json_is_7_with_the_status),
        TEST(unknown_scopes_and_statuses_are_kept),
        TEST(limits_are_7),
        TEST(broken_connections_are_5),
        TEST(silent_server_is_6),
        TEST(stalled_handshake_is_6_by_the_deadline_that_ends_first),
        TEST(interrupt_ends_a_waiting_call),
        TEST(termination_ends_a_waiting_call),
        TEST(signal_ends_the_wait_before_a_retry),
        TEST(signal_ends_the_reading_of_a_file),
        TEST(interrupted_revoke_names_the_id),
        TEST(unwritable_list_is_8),
        TEST(rotate_claims_no_revoke_that_was_none),
        TEST(list_with_all_standard_descriptors_closed_is_8),
        TEST(created_token_that_cannot_be_written_is_said_to_be_lost),
        TEST(create_with_closed_output_sends_nothing),
        TEST(unwritable_revoke_says_what_was_revoked),
        TEST(output_into_a_closed_pipe_is_8),
        TEST(create_answer_is_never_quoted),
        TEST(secrets_that_the_server_echoes_are_blotted_out),
        TEST(verbose_traces_on_standard_error_without_secrets),
        TEST(token_option_leaves_the_process_list),
        TEST(several_ids_use_one_connection),
        TEST(several_ids_stop_at_the_first_error_which_outranks_false),
        TEST(malformed_id_among_several_sends_nothing),
        TEST(revoke_is_sent_again_when_a_reused_connection_had_died),
        TEST(backoff_tries_again_after_a_retry_code),
        TEST(waits_follow_the_interval_and_the_exponent),
        TEST(connection_errors_are_retried_only_when_asked),
        TEST(retries_end_after_the_longest_time),
        TEST(create_is_never_sent_twice),
        TEST(verified_tls_by_option_and_by_variable),
        TEST(address_in_the_certificate_counts),
        TEST(unacceptable_certificates_are_5_and_never_retried),
        TEST(pins_must_hold_a_key_of_the_chain),
        TEST(unusable_ca_file_is_2),
        TEST(body_until_close_needs_a_close_notify),
        TEST(cut_tls_connection_is_5_before_the_head_and_7_after),
        TEST(create_over_tls_prints_the_token_alone),
        TEST(server_that_refuses_tls_1_2_is_5),
        TEST(emulator_serves_create_list_revoke),
        TEST(created_token_is_never_seen_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
