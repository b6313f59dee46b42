/* The tool against nginx, a server that shares no code with ours: framing, statuses, reuse, certificates. */
#include "harness.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TOKEN  "nginx-secret-token"
#define TOKENS 700 /* enough for several TLS records */

#define ONE_TOKEN                                                                                    \
    "{\"orgTokenId\":\"org-token-new\",\"orgId\":\"org-1\",\"name\":\"made\",\"status\":\"active\"," \
    "\"lastFourCharsOfKey\":\"wxyz\",\"createdBy\":\"dev@example.test\","                            \
    "\"createdAt\":\"2024-02-03T04:05:06.789Z\",\"scopes\":[\"tokens:read\"]}"
#define CREATED "{\"plainTextToken\":\"plain-text-of-the-token\",\"orgToken\":" ONE_TOKEN "}"

/* $connection numbers the connections; the rest says what was asked and how it was answered. */
#define COMMON                                                                                             \
    "default_type application/json; types {} gzip on; gzip_types *; gzip_min_length 1; gzip_http_version " \
    "1.0;"                                                                                                 \
    "log_format asked '$connection $connection_requests $request_method $request_uri $status "             \
    "[$sent_http_transfer_encoding] [$http_authorization] [$http_content_length] [$http_content_type]';"   \
    "ssl_protocols TLSv1.2;"

#define LOCATIONS                                                                                          \
    "access_log '@FOLDER@/access.log' asked; root '@FOLDER@'; server_name localhost;"                      \
    "location = /tokens/v1/orgs/org-1 { if ($http_authorization != 'Bearer " TOKEN "') {"                  \
    "  return 401 '{\"message\":\"Missing or invalid token\"}'; } try_files /list.json =500; }"            \
    "location = /tokens/v1/orgs/chunked { sub_filter_types *; sub_filter '@NOWHERE@' ''; sub_filter_once " \
    "off;"                                                                                                 \
    "  try_files /list.json =500; }"                                                                       \
    "location = /tokens/v1/orgs/org-1/create { return 201 '" CREATED "'; }"                                \
    "location ~ ^/tokens/v1/orgs/org-1/tokens/[a-z0-9-]+/revoke$ { return 200 'true'; }"                   \
    "location = /tokens/v1/orgs/org-1/tokens/twice/revoke { return 200 'false'; }"                         \
    "location = /tokens/v1/orgs/gone { return 404 '{\"message\":\"Organization not found\"}'; }"           \
    "location = /tokens/v1/orgs/moved { return 308 https://other.test/tokens/v1/orgs/org-1; }"             \
    "location = /tokens/v1/orgs/broken { proxy_pass http://127.0.0.1:1; }"                                 \
    "location = /tokens/v1/orgs/empty { return 204; }"

static char list_ids[TOKENS * 32];

/* list.json for all servers of a test, and the ids in it, a line each. */
static void write_list(void)
{
    struct live_bytes json = {NULL, 0, 0};
    size_t at = 0;
    int i;
    live_add_text(&json, "{\"tokens\":[");
    for (i = 0; i < TOKENS; i++) {
        char element[400];
        snprintf(element, sizeof element,
                 "%s\n  {\"orgTokenId\":\"org-token-%d\",\"orgId\":\"org-1\",\"name\":\"token "
                 "%d\",\"status\":\"%s\","
                 "\"lastFourCharsOfKey\":\"%04d\",\"createdBy\":\"dev@example.test\","
                 "\"createdAt\":\"2024-01-02T03:04:05Z\"}",
                 i ? "," : "", i, i, i % 3 ? "active" : "revoked", i);
        live_add_text(&json, element);
        at += (size_t)snprintf(list_ids + at, sizeof list_ids - at, "org-token-%d\n", i);
    }
    live_add_text(&json, "\n]}\n");
    live_write_file("list.json", json.ptr, json.len);
    live_clear(&json);
}

/* nginx with the certificate, behind a listen line with these words, with more directives in its server block. */
static struct live_server *start(const char *certificate, const char *words, const char *more)
{
    char pem[64], key[64], block[8192], pem_path[512];
    int len;
    snprintf(pem, sizeof pem, "%s.pem", certificate);
    snprintf(key, sizeof key, "%s.key", certificate);
    snprintf(pem_path, sizeof pem_path, "%s", live_certificate(pem));
    write_list();
    len = snprintf(
        block, sizeof block,
        COMMON
        "server { listen 127.0.0.1:@PORT@ %s; ssl_certificate '%s'; ssl_certificate_key '%s'; " LOCATIONS
        " %s }",
        words, pem_path, live_certificate(key), more);
    assert_true(len > 0 && (size_t)len < sizeof block);
    return live_start_nginx(block);
}

/* Runs the tool for an organization with up to six more arguments, trusting the root of the given name. */
static struct live_process *run_trusting(const char *url, const char *root, const char *org,
                                         const char *const *more)
{
    struct live_command command;
    const char *argv[24], *none[] = {NULL};
    size_t count = 0;
    memset(&command, 0, sizeof command);
    argv[count++] = live_tool();
    argv[count++] = "--org";
    argv[count++] = org;
    argv[count++] = "--token";
    argv[count++] = TOKEN;
    argv[count++] = "--endpoint";
    argv[count++] = url;
    argv[count++] = "--ca-file";
    argv[count++] = live_certificate(root);
    while (*more) {
        argv[count++] = *more++;
    }
    argv[count] = NULL;
    command.argv = argv;
    command.env = none;
    return live_run(&command);
}

static struct live_process *run(const struct live_server *server, const char *org, const char *const *more)
{
    return run_trusting(server->url, "ca.pem", org, more);
}

static const char *const list_json[] = {"list", "-o", "json", NULL};
static const char *const list_of_ids[] = {"list", "-o", "orgTokenIdValue", NULL};
static const char *const revoke_three[] = {"revoke", "a-1", "b-2", "c-3", "-o", "json", NULL};

/* Ends nginx gracefully, so that its log is complete, and reads the log. */
static struct live_bytes end_and_read_log(struct live_server *server)
{
    struct live_bytes log = {NULL, 0, 0};
    char piece[4096];
    size_t len;
    FILE *file;
    live_signal(server->process, SIGQUIT);
    live_end(server->process);
    live_add_text(&log, "");
    file = fopen(live_path("access.log"), "rb");
    assert_non_null(file);
    while ((len = fread(piece, 1, sizeof piece, file)) != 0) {
        live_add(&log, piece, len);
    }
    fclose(file);
    return log;
}

static void assert_list(const struct live_process *process)
{
    assert_int_equal(process->status, 0);
    assert_string_equal(process->out.ptr, list_ids);
    assert_string_equal(process->err.ptr, "");
}

/* A failure is one line on standard error, and nothing on standard output. */
static void assert_failure(const struct live_process *process, int status, const char *text)
{
    assert_int_equal(process->status, status);
    assert_string_equal(process->out.ptr, "");
    assert_int_equal(live_count(&process->err, "\n"), 1);
    if (!live_contains(&process->err, text)) {
        fail_msg("no \"%s\" in: %s", text, process->err.ptr);
    }
    assert_false(live_contains(&process->err, TOKEN));
}

static void list_with_content_length(void **state)
{
    struct live_server *server = start("leaf", "ssl", "");
    struct live_bytes log;
    (void)state;
    assert_list(run(server, "org-1", list_of_ids));
    log = end_and_read_log(server);
    assert_true(live_contains(&log, "GET /tokens/v1/orgs/org-1 200 [-] [Bearer " TOKEN "]"));
    live_clear(&log);
}

static void list_in_chunks(void **state)
{
    struct live_server *server = start("leaf", "ssl", "");
    struct live_bytes log;
    (void)state;
    assert_list(run(server, "chunked", list_of_ids));
    log = end_and_read_log(server);
    assert_true(live_contains(&log, "GET /tokens/v1/orgs/chunked 200 [chunked]"));
    live_clear(&log);
}

static void list_from_an_rsa_server_that_prefers_http2(void **state)
{
    struct live_server *server = start("rsa", "ssl http2", "");
    (void)state;
    assert_list(run(server, "org-1", list_of_ids));
}

static void list_behind_an_intermediate(void **state)
{
    struct live_server *server = start("chain", "ssl", "");
    (void)state;
    assert_list(run(server, "org-1", list_of_ids));
}

static void list_in_records_of_all_sizes(void **state)
{
    struct live_server *server = start("leaf", "ssl", "ssl_buffer_size 37; output_buffers 1 1k;");
    (void)state;
    assert_list(run(server, "org-1", list_of_ids));
}

static void create_sends_json_and_reads_201(void **state)
{
    static const char *const create[] = {"create",      "--name", "made", "--scope",
                                         "tokens:read", "-o",     "json", NULL};
    struct live_server *server = start("leaf", "ssl", "");
    struct live_process *process = run(server, "org-1", create);
    struct live_bytes log;
    (void)state;
    assert_int_equal(process->status, 0);
    assert_string_equal(process->out.ptr, CREATED "\n");
    log = end_and_read_log(server);
    assert_true(live_contains(&log, "POST /tokens/v1/orgs/org-1/create 201 [-]"));
    assert_true(live_contains(&log, "[application/json]"));
    live_clear(&log);
}

static void revokes_share_one_connection(void **state)
{
    struct live_server *server = start("leaf", "ssl", "");
    struct live_process *process = run(server, "org-1", revoke_three);
    struct live_bytes log;
    (void)state;
    assert_int_equal(process->status, 0);
    assert_string_equal(process->out.ptr, "true\ntrue\ntrue\n");
    log = end_and_read_log(server);
    assert_int_equal(live_count(&log, "\n"), 3);
    assert_true(live_contains(&log, " 1 POST /tokens/v1/orgs/org-1/tokens/a-1/revoke 200"));
    assert_true(live_contains(&log, " 2 POST /tokens/v1/orgs/org-1/tokens/b-2/revoke 200"));
    assert_true(live_contains(&log, " 3 POST /tokens/v1/orgs/org-1/tokens/c-3/revoke 200"));
    assert_int_equal(live_count(&log, " [0] "), 3);
    live_clear(&log);
}

static void revokes_reconnect_where_the_server_closes(void **state)
{
    struct live_server *server = start("leaf", "ssl", "keepalive_timeout 0;");
    struct live_process *process = run(server, "org-1", revoke_three);
    struct live_bytes log;
    (void)state;
    assert_int_equal(process->status, 0);
    log = end_and_read_log(server);
    assert_int_equal(live_count(&log, "\n"), 3);
    assert_int_equal(live_count(&log, " 1 POST "), 3);
    live_clear(&log);
}

static void a_revoke_answered_false_ends_with_1(void **state)
{
    static const char *const twice[] = {"revoke", "twice", "-o", "json", NULL};
    struct live_server *server = start("leaf", "ssl", "");
    struct live_process *process = run(server, "org-1", twice);
    (void)state;
    assert_int_equal(process->status, 1);
    assert_string_equal(process->out.ptr, "false\n");
}

static void a_401_with_json_is_an_api_error(void **state)
{
    static const char *const wrong[] = {"list", "-o", "json", "--token", "another", NULL};
    struct live_server *server = start("leaf", "ssl", "");
    (void)state;
    assert_failure(
        run(server, "org-1", wrong), 3,
        "{\"error\":{\"type\":\"ApiError\",\"statusCode\":401,\"message\":\"Missing or invalid token\"");
}

static void a_404_with_json_is_an_api_error(void **state)
{
    struct live_server *server = start("leaf", "ssl", "");
    (void)state;
    assert_failure(run(server, "gone", list_json), 3,
                   "\"statusCode\":404,\"message\":\"Organization not found\"");
}

static void an_html_page_is_an_sdk_error(void **state)
{
    struct live_server *server = start("leaf", "ssl", "");
    (void)state;
    assert_failure(run(server, "broken", list_json), 4, "\"type\":\"SDKError\",\"statusCode\":502");
}

static void a_redirect_is_not_followed(void **state)
{
    struct live_server *server = start("leaf", "ssl", "");
    struct live_process *process = run(server, "moved", list_json);
    struct live_bytes log;
    (void)state;
    assert_failure(process, 4, "\"type\":\"SDKError\",\"statusCode\":308");
    assert_true(live_contains(&process->err, "other.test"));
    log = end_and_read_log(server);
    assert_int_equal(live_count(&log, "\n"), 1);
    live_clear(&log);
}

static void a_204_is_an_sdk_error(void **state)
{
    struct live_server *server = start("leaf", "ssl", "");
    (void)state;
    assert_failure(run(server, "empty", list_json), 4, "\"type\":\"SDKError\",\"statusCode\":204");
}

/* Runs a list that must end in the handshake with this text, and sees to it that nginx was asked nothing. */
static void assert_no_request(struct live_server *server, const char *root, const char *text)
{
    struct live_process *process = run_trusting(server->url, root, "org-1", list_json);
    struct live_bytes log;
    assert_failure(process, 5, "\"type\":\"ConnectionError\"");
    assert_false(live_contains(&process->err, "statusCode"));
    if (!live_contains(&process->err, text)) {
        fail_msg("no \"%s\" in: %s", text, process->err.ptr);
    }
    log = end_and_read_log(server);
    assert_false(live_contains(&log, "/tokens/"));
    assert_false(live_contains(&log, TOKEN));
    live_clear(&log);
}

static void an_untrusted_root_is_refused(void **state)
{
    (void)state;
    assert_no_request(start("leaf", "ssl", ""), "other-ca.pem", "trusted");
}

static void another_name_is_refused(void **state)
{
    (void)state;
    assert_no_request(start("wrong-name", "ssl", ""), "ca.pem", "other.test");
}

static void an_expired_certificate_is_refused(void **state)
{
    (void)state;
    assert_no_request(start("expired", "ssl", ""), "ca.pem", "expired");
}

static void a_missing_intermediate_is_refused(void **state)
{
    (void)state;
    assert_no_request(start("nointermediate", "ssl", ""), "ca.pem", "trusted");
}

static void a_server_of_tls_1_3_alone_is_refused(void **state)
{
    (void)state;
    assert_no_request(start("leaf", "ssl", "ssl_protocols TLSv1.3;"), "ca.pem", "TLS");
}

static void plain_http_to_a_tls_port_is_an_sdk_error(void **state)
{
    struct live_server *server = start("leaf", "ssl", "");
    char url[64];
    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:%u", server->port);
    assert_failure(run_trusting(url, "ca.pem", "org-1", list_json), 4, "\"statusCode\":400");
}

static void a_request_to_a_tls_server_by_address_works(void **state)
{
    struct live_server *server = start("leaf", "ssl", "");
    char url[64];
    (void)state;
    snprintf(url, sizeof url, "https://127.0.0.1:%u", server->port);
    assert_list(run_trusting(url, "ca.pem", "org-1", list_of_ids));
}

#define TEST(name) cmocka_unit_test_teardown(name, live_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(list_with_content_length),
        TEST(list_in_chunks),
        TEST(list_from_an_rsa_server_that_prefers_http2),
        TEST(list_behind_an_intermediate),
        TEST(list_in_records_of_all_sizes),
        TEST(create_sends_json_and_reads_201),
        TEST(revokes_share_one_connection),
        TEST(revokes_reconnect_where_the_server_closes),
        TEST(a_revoke_answered_false_ends_with_1),
        TEST(a_401_with_json_is_an_api_error),
        TEST(a_404_with_json_is_an_api_error),
        TEST(an_html_page_is_an_sdk_error),
        TEST(a_redirect_is_not_followed),
        TEST(a_204_is_an_sdk_error),
        TEST(an_untrusted_root_is_refused),
        TEST(another_name_is_refused),
        TEST(an_expired_certificate_is_refused),
        TEST(a_missing_intermediate_is_refused),
        TEST(a_server_of_tls_1_3_alone_is_refused),
        TEST(plain_http_to_a_tls_port_is_an_sdk_error),
        TEST(a_request_to_a_tls_server_by_address_works),
    };
    return cmocka_run_group_tests_name("nginx", tests, NULL, NULL);
}
