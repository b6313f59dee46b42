/* OrgToken, CreatedOrgToken and ApiError: each member missing, null, mistyped, twice, in any order. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

/* The members of an OrgToken, each as JSON. */
static const char *const members[] = {"\"orgTokenId\":\"org-token-1\"",
                                      "\"orgId\":\"org-1\"",
                                      "\"name\":\"ci\"",
                                      "\"status\":\"active\"",
                                      "\"lastFourCharsOfKey\":\"abcd\"",
                                      "\"createdBy\":\"dev@example.com\"",
                                      "\"createdAt\":\"2024-02-29T12:34:56.789Z\"",
                                      "\"scopes\":[\"a\",\"b\"]"};
static const char *const names[] = {"orgTokenId",         "orgId",     "name",      "status",
                                    "lastFourCharsOfKey", "createdBy", "createdAt", "scopes"};
enum { MEMBERS = 8, WORK = 2048 };

typedef struct model {
    char *work; /* exactly WORK bytes, or fewer */
    htoki_json json;
    htok_error error;
    htok_org_token token;
    htok_created_org_token created;
} model;

static void parse(model *m, const char *text, size_t work_bytes)
{
    memset(m, 0, sizeof *m);
    unit_error_begin(&m->error);
    m->work = (char *)malloc(work_bytes);
    assert_non_null(m->work);
    memcpy(m->work, text, strlen(text));
    check(htoki_json_parse(&m->json, m->work, work_bytes, strlen(text), NULL), "%s does not fit", text);
}

static htok_kind read_token(model *m, const char *text)
{
    parse(m, text, WORK);
    return htoki_read_org_token(&m->json, 0, &m->token, htoki_view("tokens[3]", 9), &m->error);
}

static void token_fails(const char *text, htok_reason reason, const char *path)
{
    model m;
    check(read_token(&m, text) == HTOK_RESPONSE_VALIDATION_ERROR, "%s is accepted", text);
    check_text(htok_reason_name(m.error.reason), htok_reason_name(reason), text);
    check_text(m.error.path, path, text);
    check_number(m.error.phase, HTOK_PHASE_MODEL, text);
    free(m.work);
}

/* An OrgToken with member which replaced, or left out where that is NULL; rotated by turn. */
static const char *build(char *text, size_t size, size_t which, const char *replacement, size_t turn)
{
    size_t i, at = (size_t)snprintf(text, size, "{");
    bool any = false;
    for (i = 0; i < MEMBERS; i++) {
        size_t n = (i + turn) % MEMBERS;
        const char *member = n == which ? replacement : members[n];
        if (member) {
            at += (size_t)snprintf(text + at, size - at, "%s%s", any ? "," : "", member);
            any = true;
        }
    }
    snprintf(text + at, size - at, "}");
    return text;
}

static void check_token(const htok_org_token *t, const char *label)
{
    check_view(t->org_token_id, "org-token-1", label);
    check_view(t->org_id, "org-1", label);
    check_view(t->name, "ci", label);
    check_number(t->status, HTOK_TOKEN_STATUS_ACTIVE, label);
    check_view(t->status_text, "active", label);
    check_view(t->last_four_chars_of_key, "abcd", label);
    check_view(t->created_by, "dev@example.com", label);
    check_view(t->created_at, "2024-02-29T12:34:56.789Z", label);
    check_number(t->created_at_ms, 1709210096789, label);
    check_number(t->scopes_form, HTOK_SCOPES_LIST, label);
    check_number(t->scope_count, 2, label);
    check_view(t->scopes[0], "a", label);
    check_view(t->scopes[1], "b", label);
    check(t->name.ptr[t->name.len] == '\0' && t->scopes[1].ptr[1] == '\0', "%s: no NUL", label);
}

static void members_come_in_any_order(void **state)
{
    size_t turn;
    (void)state;
    for (turn = 0; turn < MEMBERS; turn++) {
        char text[1024];
        model m;
        build(text, sizeof text, MEMBERS, NULL, turn);
        check(read_token(&m, text) == HTOK_OK, "%s: %s", text, htok_reason_name(m.error.reason));
        check_token(&m.token, text);
        free(m.work);
    }
}

static void unknown_members_are_ignored_wherever_they_stand(void **state)
{
    static const char *const unknown[] = {"\"x\":null",
                                          "\"x\":{\"name\":1,\"orgId\":[]}",
                                          "\"x\":[{\"name\":\"n\"},[[]],\"name\"]",
                                          "\"Name\":5",
                                          "\"names\":\"name\"",
                                          "\"\":\"\"",
                                          "\"x\":\"name\",\"x\":2",
                                          "\"nam\\u0000e\":1"};
    size_t i, place;
    (void)state;
    for (i = 0; i < UNIT_COUNT(unknown); i++) {
        for (place = 0; place < MEMBERS; place++) {
            char text[1024], both[256];
            model m;
            snprintf(both, sizeof both, "%s,%s", unknown[i], members[place]);
            build(text, sizeof text, place, both, 0);
            check(read_token(&m, text) == HTOK_OK, "%s: %s", text, htok_reason_name(m.error.reason));
            check_token(&m.token, text);
            free(m.work);
        }
    }
}

static void each_missing_member_is_named(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i + 1 < MEMBERS; i++) {
        char text[1024], path[64];
        snprintf(path, sizeof path, "tokens[3].%s", names[i]);
        token_fails(build(text, sizeof text, i, NULL, i), HTOK_REASON_MEMBER_MISSING, path);
    }
    token_fails("{}", HTOK_REASON_MEMBER_MISSING, "tokens[3].orgTokenId");
}

static void each_mistyped_member_is_named(void **state)
{
    static const char *const values[] = {"null", "true",    "false",        "0", "-1.5", "{}",
                                         "[]",   "[\"x\"]", "{\"a\":\"b\"}"};
    size_t i, n;
    (void)state;
    for (i = 0; i + 1 < MEMBERS; i++) {
        for (n = 0; n < UNIT_COUNT(values); n++) {
            char text[1024], member[64], path[64];
            snprintf(member, sizeof member, "\"%s\":%s", names[i], values[n]);
            snprintf(path, sizeof path, "tokens[3].%s", names[i]);
            token_fails(build(text, sizeof text, i, member, n), HTOK_REASON_MEMBER_TYPE, path);
        }
    }
}

static void each_repeated_member_is_named(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i < MEMBERS; i++) {
        char text[1024], twice[256], path[64], escaped[256];
        snprintf(path, sizeof path, "tokens[3].%s", names[i]);
        snprintf(twice, sizeof twice, "%s,%s", members[i], members[i]);
        token_fails(build(text, sizeof text, i, twice, i), HTOK_REASON_MEMBER_DUPLICATE, path);
        snprintf(escaped, sizeof escaped, "\"\\u%04x%s\":null,%s", (unsigned)names[i][0], names[i] + 1,
                 members[i]);
        token_fails(build(text, sizeof text, i, escaped, i), HTOK_REASON_MEMBER_DUPLICATE, path);
    }
}

static void escaped_member_names_count(void **state)
{
    char text[1024];
    model m;
    (void)state;
    build(text, sizeof text, 2, "\"\\u006eam\\u0065\":\"ci\"", 0);
    assert_int_equal(read_token(&m, text), HTOK_OK);
    check_token(&m.token, text);
    free(m.work);
}

static void statuses_are_open(void **state)
{
    static const struct {
        const char *json;
        htok_token_status status;
        const char *text;
    } rows[] = {
        {"active", HTOK_TOKEN_STATUS_ACTIVE, "active"},
        {"revoked", HTOK_TOKEN_STATUS_REVOKED, "revoked"},
        {"expired", HTOK_TOKEN_STATUS_OTHER, "expired"},
        {"Active", HTOK_TOKEN_STATUS_OTHER, "Active"},
        {"", HTOK_TOKEN_STATUS_OTHER, ""},
        {"acti\\u0076e", HTOK_TOKEN_STATUS_ACTIVE, "active"},
        {"active ", HTOK_TOKEN_STATUS_OTHER, "active "},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char text[1024], member[64];
        model m;
        snprintf(member, sizeof member, "\"status\":\"%s\"", rows[i].json);
        check_number(read_token(&m, build(text, sizeof text, 3, member, 0)), HTOK_OK, rows[i].json);
        check_number(m.token.status, rows[i].status, rows[i].json);
        check_view(m.token.status_text, rows[i].text, rows[i].json);
        free(m.work);
    }
}

static void dates_are_checked(void **state)
{
    static const char *const values[] = {"", "yesterday", "2023-02-29T00:00:00Z", "2024-02-29", "1709210096"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(values); i++) {
        char text[1024], member[64];
        snprintf(member, sizeof member, "\"createdAt\":\"%s\"", values[i]);
        token_fails(build(text, sizeof text, 6, member, 0), HTOK_REASON_MEMBER_DATE, "tokens[3].createdAt");
    }
}

static void scopes_have_four_forms(void **state)
{
    static const struct {
        const char *member;
        htok_scopes_form form;
        size_t count;
        const char *last;
    } rows[] = {
        {NULL, HTOK_SCOPES_ABSENT, 0, NULL},
        {"\"scopes\":\"admin\"", HTOK_SCOPES_ADMIN, 0, NULL},
        {"\"scopes\":\"\\u0061dmin\"", HTOK_SCOPES_ADMIN, 0, NULL},
        {"\"scopes\":\"tokens:read\"", HTOK_SCOPES_OTHER, 1, "tokens:read"},
        {"\"scopes\":\"Admin\"", HTOK_SCOPES_OTHER, 1, "Admin"},
        {"\"scopes\":\"\"", HTOK_SCOPES_OTHER, 1, ""},
        {"\"scopes\":\"a\\n\\u00e9\"", HTOK_SCOPES_OTHER, 1, "a\n\xc3\xa9"},
        {"\"scopes\":[]", HTOK_SCOPES_LIST, 0, NULL},
        {"\"scopes\":[\"tokens:read\"]", HTOK_SCOPES_LIST, 1, "tokens:read"},
        {"\"scopes\":[\"a\",\"b\",\"future:scope\"]", HTOK_SCOPES_LIST, 3, "future:scope"},
        {"\"scopes\":[\"admin\"]", HTOK_SCOPES_LIST, 1, "admin"},
        {"\"scopes\":[\"\",\"\\ud83d\\ude00\"]", HTOK_SCOPES_LIST, 2, "\xf0\x9f\x98\x80"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char text[1024];
        const char *label = rows[i].member ? rows[i].member : "no scopes";
        model m;
        check_number(read_token(&m, build(text, sizeof text, 7, rows[i].member, 0)), HTOK_OK, label);
        check_number(m.token.scopes_form, rows[i].form, label);
        check_number(m.token.scope_count, rows[i].count, label);
        if (rows[i].count != 0) {
            check_view(m.token.scopes[rows[i].count - 1], rows[i].last, label);
        }
        free(m.work);
    }
}

static void other_scopes_are_refused_by_their_place(void **state)
{
    static const struct {
        const char *member, *path;
    } rows[] = {
        {"\"scopes\":null", "tokens[3].scopes"},
        {"\"scopes\":true", "tokens[3].scopes"},
        {"\"scopes\":1", "tokens[3].scopes"},
        {"\"scopes\":{}", "tokens[3].scopes"},
        {"\"scopes\":[1]", "tokens[3].scopes[0]"},
        {"\"scopes\":[\"a\",null]", "tokens[3].scopes[1]"},
        {"\"scopes\":[\"a\",\"b\",[\"c\"]]", "tokens[3].scopes[2]"},
        {"\"scopes\":[{\"x\":[1,2]},\"b\"]", "tokens[3].scopes[0]"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char text[1024];
        token_fails(build(text, sizeof text, 7, rows[i].member, 0), HTOK_REASON_MEMBER_TYPE, rows[i].path);
    }
}

/* The views of the scopes need room behind the tokens: with any less the element is too large, never overrun. */
static void scopes_that_do_not_fit_are_told(void **state)
{
    char text[1024];
    size_t size, fitted = 0, told = 0;
    (void)state;
    build(text, sizeof text, 7, "\"scopes\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\"]",
          0);
    for (size = strlen(text); size < 1600; size++) {
        model m;
        memset(&m, 0, sizeof m);
        unit_error_begin(&m.error);
        m.work = (char *)malloc(size);
        assert_non_null(m.work);
        memcpy(m.work, text, strlen(text));
        if (htoki_json_parse(&m.json, m.work, size, strlen(text), NULL)) {
            htok_kind kind = htoki_read_org_token(&m.json, 0, &m.token, htoki_view("", 0), &m.error);
            fitted += kind == HTOK_OK;
            told += kind != HTOK_OK;
            check(kind == HTOK_OK || m.error.reason == HTOK_REASON_ELEMENT_LIMIT, "%d: %s", (int)size,
                  htok_reason_name(m.error.reason));
            check(kind == HTOK_OK || fitted == 0, "%d bytes do not do, but fewer did", (int)size);
            check(kind != HTOK_OK || m.token.scopes[9].ptr[0] == 'j', "%d", (int)size);
        }
        free(m.work);
    }
    assert_true(fitted != 0 && told != 0);
}

static void texts_may_hold_anything(void **state)
{
    model m;
    char text[1024];
    (void)state;
    build(text, sizeof text, 2, "\"name\":\"a\\u0000b\\ud800\"", 0);
    assert_int_equal(read_token(&m, text), HTOK_OK);
    assert_int_equal(m.token.name.len, 6);
    assert_memory_equal(m.token.name.ptr, "a\0b\xed\xa0\x80", 7);
    free(m.work);
}

static htok_kind read_created(model *m, const char *text)
{
    parse(m, text, WORK);
    return htoki_read_created(&m->json, &m->created, &m->error);
}

static void created_fails(const char *text, htok_reason reason, const char *path)
{
    model m;
    check(read_created(&m, text) == HTOK_RESPONSE_VALIDATION_ERROR, "%s is accepted", text);
    check_text(htok_reason_name(m.error.reason), htok_reason_name(reason), text);
    check_text(m.error.path, path, text);
    free(m.work);
}

static void a_created_token_has_its_plain_text(void **state)
{
    model m;
    (void)state;
    assert_int_equal(
        read_created(&m, "{\"orgToken\":" UNIT_TOKEN ",\"x\":1,\"plainTextToken\":\"pl\\\"ain\"}"), HTOK_OK);
    check_view(m.created.plain_text_token, "pl\"ain", "plain text");
    check_view(m.created.org_token.org_token_id, "org-token-1", "id");
    free(m.work);
    created_fails("{}", HTOK_REASON_MEMBER_MISSING, "plainTextToken");
    created_fails("{\"orgToken\":" UNIT_TOKEN "}", HTOK_REASON_MEMBER_MISSING, "plainTextToken");
    created_fails("{\"plainTextToken\":\"p\"}", HTOK_REASON_MEMBER_MISSING, "orgToken");
    created_fails("{\"plainTextToken\":null,\"orgToken\":" UNIT_TOKEN "}", HTOK_REASON_MEMBER_TYPE,
                  "plainTextToken");
    created_fails("{\"plainTextToken\":5,\"orgToken\":" UNIT_TOKEN "}", HTOK_REASON_MEMBER_TYPE,
                  "plainTextToken");
    created_fails("{\"plainTextToken\":\"p\",\"orgToken\":null}", HTOK_REASON_MEMBER_TYPE, "orgToken");
    created_fails("{\"plainTextToken\":\"p\",\"orgToken\":[]}", HTOK_REASON_MEMBER_TYPE, "orgToken");
    created_fails("{\"plainTextToken\":\"p\",\"orgToken\":\"{\"}", HTOK_REASON_MEMBER_TYPE, "orgToken");
    created_fails("{\"plainTextToken\":\"p\",\"orgToken\":{}}", HTOK_REASON_MEMBER_MISSING,
                  "orgToken.orgTokenId");
    created_fails("{\"plainTextToken\":\"p\",\"plainTextToken\":\"q\",\"orgToken\":{}}",
                  HTOK_REASON_MEMBER_DUPLICATE, "plainTextToken");
    created_fails("{\"plainTextToken\":\"p\",\"orgToken\":{},\"orgToken\":{}}", HTOK_REASON_MEMBER_DUPLICATE,
                  "orgToken");
}

static void an_api_error_has_a_message(void **state)
{
    static const struct {
        const char *text;
        htok_reason reason;
        const char *message; /* or the path */
    } rows[] = {
        {"{\"message\":\"not found\"}", HTOK_REASON_NONE, "not found"},
        {"{\"code\":{\"message\":1},\"message\":\"a\\nb\\u00e9\"}", HTOK_REASON_NONE, "a\nb\xc3\xa9"},
        {"{\"message\":\"\"}", HTOK_REASON_NONE, ""},
        {"{}", HTOK_REASON_MEMBER_MISSING, "message"},
        {"{\"error\":\"x\"}", HTOK_REASON_MEMBER_MISSING, "message"},
        {"{\"message\":null}", HTOK_REASON_MEMBER_TYPE, "message"},
        {"{\"message\":[\"x\"]}", HTOK_REASON_MEMBER_TYPE, "message"},
        {"{\"message\":{\"message\":\"x\"}}", HTOK_REASON_MEMBER_TYPE, "message"},
        {"{\"message\":\"a\",\"message\":\"b\"}", HTOK_REASON_MEMBER_DUPLICATE, "message"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        model m;
        htok_view message = {NULL, 0};
        bool in_place = true;
        parse(&m, rows[i].text, WORK);
        htoki_read_api_error(&m.json, &message, &in_place, &m.error);
        check_number(m.error.reason, rows[i].reason, rows[i].text);
        if (rows[i].reason == HTOK_REASON_NONE) {
            check_view(message, rows[i].message, rows[i].text);
            check(message.ptr[message.len] == '\0' && !in_place, "%s", rows[i].text);
            check(memcmp(m.work, rows[i].text, strlen(rows[i].text)) == 0, "%s: the body is changed",
                  rows[i].text);
        } else {
            check_text(m.error.path, rows[i].message, rows[i].text);
        }
        free(m.work);
    }
}

/* Where the message has no room of its own it is decoded in place. */
static void a_message_needs_no_room_of_its_own(void **state)
{
    static const char text[] = "{\"message\":\"0123456789012345678901234567890123456789\\n\"}";
    size_t size, in_places = 0, beside = 0;
    (void)state;
    for (size = sizeof text - 1; size < 300; size++) {
        model m;
        htok_view message = {NULL, 0};
        bool in_place = false;
        memset(&m, 0, sizeof m);
        unit_error_begin(&m.error);
        m.work = (char *)malloc(size);
        assert_non_null(m.work);
        memcpy(m.work, text, sizeof text - 1);
        if (htoki_json_parse(&m.json, m.work, size, sizeof text - 1, NULL)) {
            assert_int_equal(htoki_read_api_error(&m.json, &message, &in_place, &m.error), HTOK_OK);
            check_view(message, "0123456789012345678901234567890123456789\n", "message");
            assert_int_equal(message.ptr[message.len], '\0');
            in_places += in_place;
            beside += !in_place;
        }
        free(m.work);
    }
    assert_true(in_places != 0 && beside != 0);
}

static void a_long_path_is_cut(void **state)
{
    htok_error e;
    char base[80];
    (void)state;
    memset(base, 'b', sizeof base);
    unit_error_begin(&e);
    htoki_fail_member(&e, HTOK_REASON_MEMBER_TYPE, htoki_view(base, sizeof base), "member");
    assert_int_equal(strlen(e.path), sizeof e.path - 1);
    unit_error_begin(&e);
    htoki_fail_member(&e, HTOK_REASON_MEMBER_TYPE, htoki_view("tokens[4294967295]", 18),
                      "lastFourCharsOfKey");
    assert_string_equal(e.path, "tokens[4294967295].lastFourCharsOfKey");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_come_in_any_order),
        cmocka_unit_test(unknown_members_are_ignored_wherever_they_stand),
        cmocka_unit_test(each_missing_member_is_named),
        cmocka_unit_test(each_mistyped_member_is_named),
        cmocka_unit_test(each_repeated_member_is_named),
        cmocka_unit_test(escaped_member_names_count),
        cmocka_unit_test(statuses_are_open),
        cmocka_unit_test(dates_are_checked),
        cmocka_unit_test(scopes_have_four_forms),
        cmocka_unit_test(other_scopes_are_refused_by_their_place),
        cmocka_unit_test(scopes_that_do_not_fit_are_told),
        cmocka_unit_test(texts_may_hold_anything),
        cmocka_unit_test(a_created_token_has_its_plain_text),
        cmocka_unit_test(an_api_error_has_a_message),
        cmocka_unit_test(a_message_needs_no_room_of_its_own),
        cmocka_unit_test(a_long_path_is_cut),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("models", tests, NULL, NULL);
}
