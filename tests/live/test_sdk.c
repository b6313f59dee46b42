/* The tool and the official SDK against the same emulator: what one does the other sees, value for value. */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TOKEN "sdk-test-token"

static struct live_server *server;
static char endpoint[64], organization[64], token[64], trust[512], node_trust[600];

static int start_emulator(void **state)
{
    (void)state;
    server = live_start_emulator(TOKEN, NULL);
    snprintf(endpoint, sizeof endpoint, "HATHORA_CLOUD_ENDPOINT=https://127.0.0.1:%u", server->port);
    snprintf(organization, sizeof organization, "HATHORA_ORG_ID=org-1");
    snprintf(token, sizeof token, "HATHORA_TOKEN=" TOKEN);
    snprintf(trust, sizeof trust, "SSL_CERT_FILE=%s", live_certificate("ca.pem"));
    snprintf(node_trust, sizeof node_trust, "NODE_EXTRA_CA_CERTS=%s", live_certificate("ca.pem"));
    return 0;
}

static struct live_process *run(const char *const *first, const char *const *words, const char *input,
                                size_t len)
{
    const char *env[] = {endpoint, organization, token, trust, node_trust, NULL};
    const char *argv[24];
    struct live_command command;
    size_t count = 0;
    memset(&command, 0, sizeof command);
    while (*first) {
        argv[count++] = *first++;
    }
    while (*words) {
        assert_true(count + 1 < sizeof argv / sizeof argv[0]);
        argv[count++] = *words++;
    }
    argv[count] = NULL;
    command.argv = argv;
    command.env = env;
    command.input = input;
    command.input_len = len;
    return live_run(&command);
}

static struct live_process *run_sdk(const char *const *words)
{
    static const char *const sdk[] = {"node", "tests/live/sdk.mjs", NULL};
    struct live_process *process = run(sdk, words, NULL, 0);
    if (process->err.len != 0) {
        fail_msg("sdk.mjs: %s", process->err.ptr);
    }
    return process;
}

static struct live_process *run_tool(const char *const *words)
{
    const char *const tool[] = {live_tool(), "-o", "json", NULL};
    return run(tool, words, NULL, 0);
}

/* JSON of the tool in the form in which sdk.mjs prints. */
static const char *canonical(const struct live_bytes *json)
{
    static const char *const words[] = {"node", "tests/live/sdk.mjs", "canonical", NULL};
    static const char *const none[] = {NULL};
    struct live_process *process = run(words, none, json->ptr, json->len);
    assert_int_equal(process->status, 0);
    return process->out.ptr;
}

static const char *const list[] = {"list", NULL};

/* Both list the same, and this many tokens. */
static void assert_lists_agree(size_t count)
{
    struct live_process *sdk = run_sdk(list), *tool = run_tool(list);
    assert_int_equal(sdk->status, 0);
    assert_int_equal(tool->status, 0);
    assert_string_equal(canonical(&tool->out), sdk->out.ptr);
    assert_int_equal(live_count(&sdk->out, "\"orgTokenId\""), count);
}

/* The id in a create's canonical JSON; valid until the next call. */
static const char *id_of(const char *json)
{
    static char id[128];
    static const char member[] = "\"orgTokenId\":\"";
    const char *begin = strstr(json, member);
    size_t len;
    assert_non_null(begin);
    begin += strlen(member);
    len = strcspn(begin, "\"");
    assert_true(len > 0 && len < sizeof id);
    memcpy(id, begin, len);
    id[len] = '\0';
    return id;
}

static void both_list_what_the_tool_created(void **state)
{
    static const char *const admin[] = {"create", "--name", "by tool, no scopes", NULL};
    static const char *const word[] = {"create", "--name", "by tool, admin", "--scope", "admin", NULL};
    static const char *const some[] = {"create",
                                       "--name",
                                       "by tool: \"\\ \xc3\xa9\xe4\xb8\xad\xf0\x9f\x8e\xae \t<&>",
                                       "--scope",
                                       "tokens:read",
                                       "--scope",
                                       "builds:read-write",
                                       NULL};
    const char *const *all[] = {admin, word, some};
    size_t i;
    (void)state;
    assert_lists_agree(0);
    for (i = 0; i < 3; i++) {
        struct live_process *process = run_tool(all[i]);
        assert_int_equal(process->status, 0);
        assert_true(live_contains(&process->out, "\"plainTextToken\":\""));
        assert_lists_agree(i + 1);
    }
}

static void both_list_what_the_sdk_created(void **state)
{
    static const char *const admin[] = {"create", "by SDK, no scopes", NULL};
    static const char *const word[] = {"create", "by SDK, admin", "admin", NULL};
    static const char *const some[] = {"create", "by SDK: \"\\ \xc3\xa9\xe4\xb8\xad\xf0\x9f\x8e\xae \t<&>",
                                       "tokens:read", "builds:read-write", NULL};
    const char *const *all[] = {admin, word, some};
    size_t i;
    (void)state;
    for (i = 0; i < 3; i++) {
        assert_int_equal(run_sdk(all[i])->status, 0);
        assert_lists_agree(i + 1);
    }
}

static void a_create_of_each_has_the_same_members(void **state)
{
    static const char *const by_tool[] = {"create", "--name", "same", "--scope", "tokens:read", NULL};
    static const char *const by_sdk[] = {"create", "same too", "tokens:read", NULL};
    static const char *const members[] = {"{\"orgToken\":{\"createdAt\":\"",
                                          "\"createdBy\":\"",
                                          "\"lastFourCharsOfKey\":\"",
                                          "\"orgId\":\"org-1\"",
                                          "\"scopes\":[\"tokens:read\"]",
                                          "\"status\":\"active\"}",
                                          "\"plainTextToken\":\""};
    const char *tool, *sdk;
    size_t i;
    (void)state;
    tool = canonical(&run_tool(by_tool)->out);
    sdk = run_sdk(by_sdk)->out.ptr;
    for (i = 0; i < sizeof members / sizeof members[0]; i++) {
        assert_non_null(strstr(tool, members[i]));
        assert_non_null(strstr(sdk, members[i]));
    }
}

static void each_revokes_what_the_other_created(void **state)
{
    static const char *const by_tool[] = {"create", "--name", "by tool", "--scope", "tokens:read", NULL};
    static const char *const by_sdk[] = {"create", "by SDK", "tokens:read", NULL};
    const char *revoke[] = {"revoke", NULL, NULL};
    struct live_process *process;
    (void)state;
    process = run_tool(by_tool);
    assert_int_equal(process->status, 0);
    revoke[1] = id_of(process->out.ptr);
    process = run_sdk(revoke);
    assert_int_equal(process->status, 0);
    assert_string_equal(process->out.ptr, "true\n");
    assert_lists_agree(1);

    process = run_sdk(by_sdk);
    assert_int_equal(process->status, 0);
    revoke[1] = id_of(process->out.ptr);
    process = run_tool(revoke);
    assert_int_equal(process->status, 0);
    assert_string_equal(process->out.ptr, "true\n");
    assert_lists_agree(2);
    assert_int_equal(live_count(&run_sdk(list)->out, "\"status\":\"revoked\""), 2);
}

/* Both fail with the same type, status and message. */
static void assert_errors_agree(const char *const *sdk_words, const char *const *tool_words,
                                const char *status)
{
    struct live_process *sdk = run_sdk(sdk_words), *tool = run_tool(tool_words);
    assert_int_equal(sdk->status, 3);
    assert_int_equal(tool->status, 3);
    assert_string_equal(tool->out.ptr, "");
    assert_string_equal(canonical(&tool->err), sdk->out.ptr);
    assert_true(live_contains(&sdk->out, "\"type\":\"ApiError\""));
    assert_true(live_contains(&sdk->out, status));
}

static void both_report_a_bad_token(void **state)
{
    (void)state;
    snprintf(token, sizeof token, "HATHORA_TOKEN=wrong");
    assert_errors_agree(list, list, "\"statusCode\":401");
}

static void both_report_an_unknown_organization(void **state)
{
    (void)state;
    snprintf(organization, sizeof organization, "HATHORA_ORG_ID=org-2/../org-1 \xc3\xa9?#");
    assert_errors_agree(list, list, "\"statusCode\":404");
}

static void both_report_an_unknown_token_id(void **state)
{
    static const char *const revoke[] = {"revoke", "a/b c%20?&#+\xc3\xa9'()*!~", NULL};
    (void)state;
    assert_errors_agree(revoke, revoke, "\"statusCode\":404");
}

static void both_report_a_name_that_is_taken(void **state)
{
    static const char *const by_tool[] = {"create", "--name", "taken", "--scope", "tokens:read", NULL};
    static const char *const by_sdk[] = {"create", "taken", "tokens:read", NULL};
    (void)state;
    assert_int_equal(run_sdk(by_sdk)->status, 0);
    assert_errors_agree(by_sdk, by_tool, "\"statusCode\":422");
    assert_lists_agree(1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_emulator, live_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_list_what_the_tool_created),
        TEST(both_list_what_the_sdk_created),
        TEST(a_create_of_each_has_the_same_members),
        TEST(each_revokes_what_the_other_created),
        TEST(both_report_a_bad_token),
        TEST(both_report_an_unknown_organization),
        TEST(both_report_an_unknown_token_id),
        TEST(both_report_a_name_that_is_taken),
    };
    return cmocka_run_group_tests_name("official SDK", tests, NULL, NULL);
}
