/* One request and its answer: what each status comes to, what an error may quote, items one at a time. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

static const htok_header no_headers[1] = {{NULL, NULL}};

typedef struct op_case {
    htoki_url url;
    htoki_request request;
    htok_create_org_token_request create;
    htoki_http_limits limits;
    uint32_t error_body_bytes, element_bytes;
    size_t work_bytes;
    char *work;
    htoki_op op;
    htok_error error;
    unit_text items;
    htoki_op_event event;
    size_t consumed;
} op_case;

static void begin(op_case *c, htoki_operation operation)
{
    htok_error e;
    memset(c, 0, sizeof *c);
    unit_error_begin(&e);
    assert_true(htoki_url_parse(unit_view("https://h"), &c->url, &e));
    c->request.operation = operation;
    c->request.url = &c->url;
    c->request.org_id = unit_view("org-1");
    c->request.org_token_id = unit_view("org-token-1");
    c->request.user_agent = unit_view("agent");
    c->request.token = unit_view("SECRET-TOKEN");
    c->request.own.list = c->request.client.list = no_headers;
    c->create.name = "ci";
    c->request.create = &c->create;
    c->limits.head_bytes = 65536;
    c->limits.fields = 100;
    c->limits.interim = 16;
    c->limits.body_bytes = (uint64_t)1 << 30;
    c->error_body_bytes = 65536;
    c->work_bytes = c->element_bytes = 4608;
}

/* Starts the operation in a work buffer of exactly its size, with the request sent. */
static void start(op_case *c)
{
    free(c->work);
    c->work = (char *)malloc(c->work_bytes);
    assert_non_null(c->work);
    unit_error_begin(&c->error);
    htoki_op_begin(&c->op, &c->request, &c->limits, c->error_body_bytes, c->element_bytes, c->work,
                   c->work_bytes, &c->error);
    (void)htoki_op_output(&c->op, NULL, 0);
    htoki_op_sent(&c->op, c->op.request_bytes);
    c->items.len = 0;
    c->consumed = 0;
    c->event = HTOKI_OP_MORE;
}

static void end(op_case *c)
{
    free(c->work);
    free(c->items.text);
}

/* Feeds a copy in pieces of at most step bytes, until the end or a verdict. */
static void feed(op_case *c, const char *bytes, size_t len, size_t step)
{
    size_t at = 0;
    while (at < len && c->event == HTOKI_OP_MORE) {
        size_t n = len - at < step ? len - at : step, used = 0, i = 0;
        char *piece = unit_exact(bytes + at, n);
        do {
            c->event = htoki_op_input(&c->op, piece + i, n - i, &used);
            i += used;
            if (c->event == HTOKI_OP_ITEM) {
                char line[4096];
                htok_org_token_json(&c->op.created.org_token, line, sizeof line);
                unit_add_text(&c->items, line);
                unit_add_text(&c->items, "\n");
                c->event = HTOKI_OP_ITEM;
            }
        } while (c->event == HTOKI_OP_ITEM);
        c->consumed += i;
        at += n;
        free(piece);
    }
}

static void answer(op_case *c, const char *status, const char *fields, const char *body)
{
    unit_text text = {0};
    unit_answer(&text, status, fields, body);
    start(c);
    feed(c, text.text, text.len, SIZE_MAX);
    free(text.text);
}

static const char *success_body(htoki_operation operation)
{
    return operation == HTOKI_GET_ORG_TOKENS     ? "{\"tokens\":[" UNIT_TOKEN "]}"
           : operation == HTOKI_CREATE_ORG_TOKEN ? "{\"plainTextToken\":\"plain\",\"orgToken\":" UNIT_TOKEN
                                                   "}"
                                                 : "true";
}

/* What the API's description says of a status, written independently. */
static htok_reason expected_reason(htoki_operation operation, int status, bool json)
{
    int success = operation == HTOKI_CREATE_ORG_TOKEN ? 201 : 200;
    if (status == success) {
        return json ? HTOK_REASON_NONE : HTOK_REASON_CONTENT_TYPE;
    }
    if (status >= 300 && status <= 399) {
        return HTOK_REASON_STATUS_REDIRECT;
    }
    if (status < 300) {
        return HTOK_REASON_STATUS_UNEXPECTED;
    }
    switch (status) {
    case 401:
    case 404:
    case 408:
    case 429: return json ? HTOK_REASON_API_ERROR : HTOK_REASON_STATUS_ERROR;
    case 422:
        return json && operation == HTOKI_CREATE_ORG_TOKEN ? HTOK_REASON_API_ERROR : HTOK_REASON_STATUS_ERROR;
    default: return HTOK_REASON_STATUS_ERROR;
    }
}

static void each_status_and_content_type_has_its_meaning(void **state)
{
    static const char *const types[] = {UNIT_JSON, "Content-Type: application/json; charset=utf-8\r\n",
                                        "Content-Type: text/html\r\n",
                                        "Content-Type: application/problem+json\r\n", ""};
    int operation, status;
    size_t type;
    (void)state;
    for (operation = HTOKI_GET_ORG_TOKENS; operation <= HTOKI_REVOKE_ORG_TOKEN; operation++) {
        op_case c;
        begin(&c, (htoki_operation)operation);
        for (status = 200; status <= 599; status++) {
            for (type = 0; type < UNIT_COUNT(types); type++) {
                bool json = type < 2, bodyless = status == 204 || status == 304;
                htok_reason wanted = expected_reason((htoki_operation)operation, status, json);
                const char *body = bodyless ? ""
                                   : wanted == HTOK_REASON_NONE || wanted == HTOK_REASON_CONTENT_TYPE
                                       ? success_body((htoki_operation)operation)
                                       : "{\"message\":\"refused\"}";
                char line[32], label[64];
                snprintf(line, sizeof line, "%d Some Reason", status);
                snprintf(label, sizeof label, "operation %d, status %d, type %d", operation, status,
                         (int)type);
                answer(&c, line, types[type], body);
                check_number(c.event, wanted == HTOK_REASON_NONE ? HTOKI_OP_DONE : HTOKI_OP_FAILED, label);
                check_text(htok_reason_name(c.error.reason), htok_reason_name(wanted), label);
                check_number(c.error.status, status, label);
                if (wanted == HTOK_REASON_API_ERROR) {
                    check_number(c.error.kind, HTOK_API_ERROR, label);
                    check_view(c.error.message, "refused", label);
                } else {
                    check_number(c.error.kind, wanted == HTOK_REASON_NONE ? HTOK_OK : HTOK_SDK_ERROR, label);
                    check_number(c.error.message.len, 0, label);
                }
                check_view(c.error.body,
                           wanted == HTOK_REASON_NONE || operation == HTOKI_CREATE_ORG_TOKEN ? "" : body,
                           label);
                check_number(htoki_http_keeps_connection(&c.op.http), true, label);
            }
        }
        end(&c);
    }
}

/* The whole table: each status, with a body of each kind, under a content type that fits and under none. */
static void each_status_with_each_body_has_its_meaning(void **state)
{
    static const struct {
        const char *body;
        bool success[3], message; /* of a list, a create, a revoke; of an ApiError */
    } rows[] = {
        {"{\"message\":\"refused\"}", {false, false, false}, true},
        {"{\"message\":\"refused\",\"code\":[1,{}]} ", {false, false, false}, true},
        {"{\"tokens\":[" UNIT_TOKEN "]}", {true, false, false}, false},
        {"{\"tokens\":[],\"message\":\"refused\"}", {true, false, false}, true},
        {"{\"plainTextToken\":\"plain\",\"orgToken\":" UNIT_TOKEN "}", {false, true, false}, false},
        {"true", {false, false, true}, false},
        {" false\r\n", {false, false, true}, false},
        {"{\"message\":null}", {false, false, false}, false},
        {"{\"message\":[\"refused\"]}", {false, false, false}, false},
        {"{\"Message\":\"refused\"}", {false, false, false}, false},
        {"[{\"message\":\"refused\"}]", {false, false, false}, false},
        {"{\"message\":\"refused\"", {false, false, false}, false},
        {"{\"message\":\"refused\"} x", {false, false, false}, false},
        {"\"refused\"", {false, false, false}, false},
        {"null", {false, false, false}, false},
        {"0", {false, false, false}, false},
        {"<h1>refused</h1>", {false, false, false}, false},
        {"", {false, false, false}, false},
    };
    int operation, status;
    size_t i, type;
    (void)state;
    for (operation = HTOKI_GET_ORG_TOKENS; operation <= HTOKI_REVOKE_ORG_TOKEN; operation++) {
        op_case c;
        begin(&c, (htoki_operation)operation);
        for (status = 200; status <= 599; status++) {
            for (i = 0; i < 2 * UNIT_COUNT(rows); i++) {
                bool json = i % 2 == 0, bodyless = status == 204 || status == 304;
                htok_reason meaning = expected_reason((htoki_operation)operation, status, json);
                htok_kind wanted = HTOK_SDK_ERROR;
                char line[32], label[96];
                type = i / 2;
                if (bodyless && rows[type].body[0] != '\0') {
                    continue;
                }
                if (meaning == HTOK_REASON_NONE) {
                    wanted = rows[type].success[operation] ? HTOK_OK : HTOK_RESPONSE_VALIDATION_ERROR;
                } else if (meaning == HTOK_REASON_API_ERROR) {
                    wanted = rows[type].message ? HTOK_API_ERROR : HTOK_RESPONSE_VALIDATION_ERROR;
                }
                snprintf(line, sizeof line, "%d x", status);
                snprintf(label, sizeof label, "operation %d, status %d, json %d: %.40s", operation, status,
                         json, rows[type].body);
                answer(&c, line, json ? UNIT_JSON : "Content-Type: text/plain\r\n", rows[type].body);
                check_text(htok_kind_name(c.error.kind), htok_kind_name(wanted), label);
                check_number(c.event, wanted == HTOK_OK ? HTOKI_OP_DONE : HTOKI_OP_FAILED, label);
                check_number(c.error.status, status, label);
                check_view(c.error.message, wanted == HTOK_API_ERROR ? "refused" : "", label);
                check(wanted != HTOK_SDK_ERROR || operation == HTOKI_CREATE_ORG_TOKEN ||
                          htoki_equal(c.error.body, htoki_text(rows[type].body)),
                      "%s: the body is not told", label);
                if (wanted == HTOK_SDK_ERROR) {
                    check_text(htok_reason_name(c.error.reason), htok_reason_name(meaning), label);
                }
            }
        }
        end(&c);
    }
}

static void interim_statuses_decide_nothing_but_101(void **state)
{
    int operation, status;
    (void)state;
    for (operation = HTOKI_GET_ORG_TOKENS; operation <= HTOKI_REVOKE_ORG_TOKEN; operation++) {
        op_case c;
        begin(&c, (htoki_operation)operation);
        for (status = 100; status <= 199; status++) {
            char text[128];
            snprintf(text, sizeof text, "HTTP/1.1 %d x\r\nContent-Type: text/html\r\n\r\n", status);
            start(&c);
            feed(&c, text, strlen(text), SIZE_MAX);
            check_number(c.event, status == 101 ? HTOKI_OP_FAILED : HTOKI_OP_MORE, text);
            check_number(c.error.reason, status == 101 ? HTOK_REASON_HTTP_UPGRADE : HTOK_REASON_NONE, text);
        }
        end(&c);
    }
}

static void a_documented_error_must_validate(void **state)
{
    static const struct {
        const char *body;
        htok_reason reason;
        htok_phase phase;
        const char *path;
    } rows[] = {
        {"", HTOK_REASON_JSON_TRUNCATED, HTOK_PHASE_JSON, ""},
        {"{\"message\":", HTOK_REASON_JSON_TRUNCATED, HTOK_PHASE_JSON, ""},
        {"{\"message\":\"x\"}}", HTOK_REASON_JSON_SYNTAX, HTOK_PHASE_JSON, ""},
        {"<html>", HTOK_REASON_JSON_SYNTAX, HTOK_PHASE_JSON, ""},
        {"{\"message\":\"\xff\"}", HTOK_REASON_JSON_UTF8, HTOK_PHASE_JSON, ""},
        {"[]", HTOK_REASON_MEMBER_TYPE, HTOK_PHASE_MODEL, ""},
        {"\"message\"", HTOK_REASON_MEMBER_TYPE, HTOK_PHASE_MODEL, ""},
        {"null", HTOK_REASON_MEMBER_TYPE, HTOK_PHASE_MODEL, ""},
        {"{}", HTOK_REASON_MEMBER_MISSING, HTOK_PHASE_MODEL, "message"},
        {"{\"message\":5}", HTOK_REASON_MEMBER_TYPE, HTOK_PHASE_MODEL, "message"},
        {"{\"message\":\"a\",\"message\":\"b\"}", HTOK_REASON_MEMBER_DUPLICATE, HTOK_PHASE_MODEL, "message"},
    };
    size_t i;
    int operation;
    (void)state;
    for (operation = HTOKI_GET_ORG_TOKENS; operation <= HTOKI_REVOKE_ORG_TOKEN; operation++) {
        op_case c;
        begin(&c, (htoki_operation)operation);
        for (i = 0; i < UNIT_COUNT(rows); i++) {
            answer(&c, "404 Not Found", UNIT_JSON, rows[i].body);
            check_number(c.event, HTOKI_OP_FAILED, rows[i].body);
            check_number(c.error.kind, HTOK_RESPONSE_VALIDATION_ERROR, rows[i].body);
            check_text(htok_reason_name(c.error.reason), htok_reason_name(rows[i].reason), rows[i].body);
            check_number(c.error.phase, rows[i].phase, rows[i].body);
            check_text(c.error.path, rows[i].path, rows[i].body);
            check_number(c.error.status, 404, rows[i].body);
        }
        end(&c);
    }
}

static void secrets_are_blotted_out_of_server_text(void **state)
{
    static const htok_header own[] = {{"X-Key", "own-header-value"}, {"X-Short", "abc"}, {"X-Four", "jump"}};
    static const htok_header client[] = {{"X-Client", " \tclient value\t "}};
    static const char *const tokens[] = {"SECRET-TOKEN", "Bearer SECRET-TOKEN", "bearer SECRET-TOKEN"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(tokens); i++) {
        op_case c;
        begin(&c, HTOKI_GET_ORG_TOKENS);
        c.request.token = unit_view(tokens[i]);
        c.request.own.list = own;
        c.request.own.count = 3;
        c.request.client.list = client;
        c.request.client.count = 1;
        answer(&c, "401 Unauthorized", UNIT_JSON,
               "{\"message\":\"SECRET-TOKEN and SECRET-TOKENSECRET-TOKEN, own-header-value; client value, "
               "abc, SECRET\","
               "\"token\":\"SECRET-TOKEN\"}");
        check_view(c.error.message,
                   "************ and ************************, ****************; ************, abc, SECRET",
                   "message");
        check_view(
            c.error.body,
            "{\"message\":\"************ and ************************, ****************; ************, abc, "
            "SECRET\",\"token\":\"************\"}",
            "body");
        answer(&c, "500 x", "Content-Type: text/plain\r\n", "SECRET-TOKE SECRET-TOKEN SECRET-TOKE jump jum");
        check_view(c.error.body, "SECRET-TOKE ************ SECRET-TOKE **** jum", "raw body");
        answer(&c, "302 x", "Location: https://evil.example/?t=SECRET-TOKEN&h=own-header-value\r\n", "");
        check_text(c.error.detail, "https://evil.example/?t=************&h=****************", "redirect");
        answer(&c, "200 x", "Content-Type: text/SECRET-TOKEN\r\n", "x");
        check_text(c.error.detail, "text/************", "content type");
        end(&c);
    }
}

static void secrets_that_hold_or_overlap_another_are_blotted_whole(void **state)
{
    static const htok_header own[] = {{"X-Env", "prod"}, {"X-Path", "a/b/c"}},
                             client[] = {{"X-Api-Key", "prod_4f9a_prod_77"},
                                         {"X-Key", "a/b/c/d9"},
                                         {"X-Both", "id-SECRET-TOKEN-9"},
                                         {"X-Left", "ab-SECRET"},
                                         {"X-Right", "TOKEN-cd"},
                                         {"X-Self", "\t2121"}};
    static const struct {
        const char *body, *wanted;
    } rows[] = {{"bad key prod_4f9a_prod_77.", "bad key *****************."},
                {"prod prod_4f9a", "**** ****_4f9a"},
                {"a\\/b\\/c\\/d9 a/b/c/d9", "*********** ********"},
                {"[id-SECRET-TOKEN-9]", "[*****************]"},
                {"prodprod_4f9a_prod_77!", "*********************!"},
                {"[ab-SECRET-TOKEN] [SECRET-TOKEN-cd]", "[***************] [***************]"},
                {"[ab-SECRET-TOKEN-cd]", "[******************]"},
                {"[SECRET-TOKENd] [xSECRET-TOKEN]", "[************d] [x************]"},
                {"[212121]", "[******]"},
                {"**** **** x", "**** **** x"}};
    size_t i;
    op_case c;
    (void)state;
    begin(&c, HTOKI_GET_ORG_TOKENS);
    c.request.own.list = own;
    c.request.own.count = UNIT_COUNT(own);
    c.request.client.list = client;
    c.request.client.count = UNIT_COUNT(client);
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        answer(&c, "500 x", "", rows[i].body);
        check_view(c.error.body, rows[i].wanted, rows[i].body);
    }
    end(&c);
}

/* A server may escape what needs no escape; PHP's encoder writes a slash as \/. */
static void secrets_are_blotted_where_json_spells_them_with_escapes(void **state)
{
    op_case c;
    (void)state;
    begin(&c, HTOKI_GET_ORG_TOKENS);
    c.request.token = unit_view("SEC/RET");
    answer(&c, "401 Unauthorized", UNIT_JSON, "{\"message\":\"bad token SEC\\/RET\"}");
    check_view(c.error.message, "bad token *******", "message");
    check(!unit_contains(c.error.body.ptr, c.error.body.len, "SEC\\/RET"), "the body spells the token");
    answer(&c, "500 x", UNIT_JSON, "{\"message\":\"bad token \\u0053EC\\/RET\"}");
    check(!unit_contains(c.error.body.ptr, c.error.body.len, "EC\\/RET"), "the raw body spells the token");
    end(&c);
}

/* A field's value may hold any character but controls, and TAB. PHP's encoder writes what is not ASCII as \\uXXXX. */
static void fields_are_blotted_where_json_spells_them_with_escapes(void **state)
{
    static const htok_header own[] = {{"X-Name", "schl\xc3\xbcssel"},
                                      {"X-Tab", "one\ttwo"},
                                      {"X-Pair", "\xf0\x9f\x98\x80-key"},
                                      {"X-Last", "key-\xf0\x9f\x98\x80"}};
    static const struct {
        const char *body, *wanted;
    } rows[] = {{"schl\\u00fcssel schl\\u00FCs\\u0073el", "************** *******************"},
                {"schl\\u00fdssel schl\\u00fcs schl\\u00f", "schl\\u00fdssel schl\\u00fcs schl\\u00f"},
                {"one\\ttwo one\\u0009two one\\ntwo", "******** ************ one\\ntwo"},
                {"\\ud83d\\ude00-key \\ud83d\\ude01-key \\ud83d-key",
                 "**************** \\ud83d\\ude01-key \\ud83d-key"},
                {"key-\\uD83D\\uDE00 key-\\ud83d", "**************** key-\\ud83d"}};
    static const char pair[] = "\\u006bey-\\ud83d\\ude00";
    size_t i, room;
    op_case c;
    (void)state;
    begin(&c, HTOKI_GET_ORG_TOKENS);
    c.request.own.list = own;
    c.request.own.count = UNIT_COUNT(own);
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        answer(&c, "500 x", "", rows[i].body);
        check_view(c.error.body, rows[i].wanted, rows[i].body);
    }
    for (room = 520; room < 560; room++) {
        char body[700];
        c.work_bytes = c.element_bytes = (uint32_t)(sizeof(htoki_http_texts) + room);
        memset(body, '.', sizeof body);
        memcpy(body + 530, pair, sizeof pair - 1);
        body[sizeof body - 1] = '\0';
        answer(&c, "500 x", "", body);
        assert_int_equal(c.error.body.len, room);
        for (i = 0; i < room; i++) {
            check(c.error.body.ptr[i] == (i >= 530 && i < 530 + sizeof pair - 1 ? '*' : '.'),
                  "byte %d of %d: %.*s", (int)i, (int)room, (int)(room - 520), c.error.body.ptr + 520);
        }
    }
    end(&c);
}

static void a_secret_with_two_backslashes_is_blotted_as_it_stands(void **state)
{
    op_case c;
    (void)state;
    begin(&c, HTOKI_GET_ORG_TOKENS);
    c.request.token = unit_view("a\\\\b");
    answer(&c, "500 x", UNIT_JSON, "bad a\\\\b");
    check_view(c.error.body, "bad ****", "body");
    c.request.token = unit_view("a\\b");
    answer(&c, "500 x", UNIT_JSON, "bad a\\b a\\\\b a\\nb a\\");
    check_view(c.error.body, "bad *** **** a\\nb a\\", "body");
    end(&c);
}

static void the_beginning_of_a_secret_at_a_cut_is_blotted(void **state)
{
    size_t room;
    (void)state;
    for (room = 520; room < 560; room++) {
        op_case c;
        char body[700];
        size_t i;
        begin(&c, HTOKI_GET_ORG_TOKENS);
        c.work_bytes = c.element_bytes = (uint32_t)(sizeof(htoki_http_texts) + room);
        memset(body, '.', sizeof body);
        memcpy(body + 530, "SECRET-TOKEN", 12);
        body[sizeof body - 1] = '\0';
        answer(&c, "500 x", "", body);
        assert_true(c.error.body_truncated);
        assert_int_equal(c.error.body.len, room);
        for (i = 0; i < room; i++) {
            check(c.error.body.ptr[i] == (i >= 530 && i < 542 ? '*' : '.'), "byte %d of %d", (int)i,
                  (int)room);
        }
        end(&c);
    }
}

static void the_beginning_of_an_escaped_secret_at_a_cut_is_blotted(void **state)
{
    static const char escaped[] = "S\\u0045CR\\u0045T\\/TOK\\u0045N";
    size_t room;
    (void)state;
    for (room = 520; room < 570; room++) {
        op_case c;
        char body[700];
        size_t i;
        begin(&c, HTOKI_GET_ORG_TOKENS);
        c.request.token = unit_view("SECRET/TOKEN");
        c.work_bytes = c.element_bytes = (uint32_t)(sizeof(htoki_http_texts) + room);
        memset(body, '.', sizeof body);
        memcpy(body + 530, escaped, sizeof escaped - 1);
        body[sizeof body - 1] = '\0';
        answer(&c, "500 x", "", body);
        assert_int_equal(c.error.body.len, room);
        for (i = 0; i < room; i++) {
            check(c.error.body.ptr[i] == (i >= 530 && i < 530 + sizeof escaped - 1 ? '*' : '.'),
                  "byte %d of %d: %.*s", (int)i, (int)room, (int)(room - 520), c.error.body.ptr + 520);
        }
        end(&c);
    }
}

static void text_that_only_looks_like_a_secret_is_left_alone(void **state)
{
    static const char *const texts[] = {"SECRET-TOKE",       "ECRET-TOKEN",       "secret-token",
                                        "SECRET-TOKE\\u004", "SECRET-TOKE\\",     "\\u0053ECRET-TOKE\\u014e",
                                        "SECRET\\-TOKEM",    "SECRET-TOKE\\u00",  "\\u0153ECRET-TOKEN",
                                        "\\u53ECRET-TOKEN",  "\\u005gECRET-TOKEN"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(texts); i++) {
        op_case c;
        begin(&c, HTOKI_GET_ORG_TOKENS);
        answer(&c, "500 x", "", texts[i]);
        check_view(c.error.body, texts[i], texts[i]);
        end(&c);
    }
}

static void the_beginning_of_a_secret_at_the_end_of_a_long_location_is_blotted(void **state)
{
    size_t before;
    (void)state;
    for (before = 10; before < 140; before++) {
        op_case c;
        char field[256];
        size_t i;
        begin(&c, HTOKI_GET_ORG_TOKENS);
        memset(field, '/', sizeof field);
        memcpy(field, "Location: ", 10);
        memcpy(field + 10 + before, "SECRET-TOKEN", 12);
        memcpy(field + 10 + before + 12, "\r\n", 3);
        answer(&c, "307 x", field, "");
        for (i = 0; c.error.detail[i]; i++) {
            check(c.error.detail[i] == '/' || c.error.detail[i] == '*', "%d: %s", (int)before,
                  c.error.detail);
        }
        check(i > 80 || i == before + 12, "%d: the target is lost: %s", (int)before, c.error.detail);
        end(&c);
    }
}

static void the_answer_to_a_create_is_never_quoted(void **state)
{
    static const struct {
        const char *status, *fields, *body;
    } rows[] = {
        {"201 Created", "Content-Type: text/plain\r\n", "{\"plainTextToken\":\"PLAIN\"}"},
        {"200 OK", UNIT_JSON, "{\"plainTextToken\":\"PLAIN\"}"},
        {"202 x", UNIT_JSON, "{\"plainTextToken\":\"PLAIN\"}"},
        {"302 x", UNIT_JSON, "{\"plainTextToken\":\"PLAIN\"}"},
        {"500 x", UNIT_JSON, "{\"plainTextToken\":\"PLAIN\"}"},
        {"422 x", UNIT_JSON, "{\"message\":\"m\",\"plainTextToken\":\"PLAIN\"}"},
        {"422 x", UNIT_JSON, "{\"plainTextToken\":\"PLAIN\"}"},
        {"201 x", UNIT_JSON, "{\"plainTextToken\":\"PLAIN\"}"},
        {"201 x", UNIT_JSON, "{\"plainTextToken\":\"PLAIN\",\"orgToken\":{\"name\":\"PLAIN\"}}"},
        {"201 x", UNIT_JSON, "{\"plainTextToken\":\"PLAIN\"]"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        op_case c;
        char line[1024];
        begin(&c, HTOKI_CREATE_ORG_TOKEN);
        answer(&c, rows[i].status, rows[i].fields, rows[i].body);
        check_number(c.event, HTOKI_OP_FAILED, rows[i].body);
        check_number(c.error.body.len, 0, rows[i].body);
        check(!unit_contains(&c.error, sizeof c.error, "PLAIN"), "%s: the record holds it", rows[i].body);
        htok_error_format(&c.error, line, sizeof line);
        check(!strstr(line, "PLAIN"), "%s", line);
        end(&c);
    }
}

static void the_request_comes_out_in_windows_of_any_size(void **state)
{
    int operation;
    (void)state;
    for (operation = HTOKI_GET_ORG_TOKENS; operation <= HTOKI_REVOKE_ORG_TOKEN; operation++) {
        size_t size;
        op_case c;
        unit_text whole = {0};
        begin(&c, (htoki_operation)operation);
        for (size = 2048; size != 0; size = size == 2048 ? 200 : size - 1) {
            unit_text got = {0};
            start(&c);
            c.op.sent_bytes = 0;
            while (!htoki_op_sent_all(&c.op)) {
                char *window = (char *)malloc(size);
                size_t n;
                assert_non_null(window);
                n = htoki_op_output(&c.op, window, size);
                check(n != 0 && n <= size, "%d bytes", (int)n);
                unit_add(&got, window, n);
                htoki_op_sent(&c.op, n);
                free(window);
            }
            assert_int_equal(htoki_op_output(&c.op, NULL, 0), 0);
            if (size == 2048) {
                whole = got;
            } else {
                check(got.len == whole.len && memcmp(got.text, whole.text, got.len) == 0, "window %d",
                      (int)size);
                free(got.text);
            }
        }
        free(whole.text);
        end(&c);
    }
}

static void a_list_hands_out_each_token_at_any_split(void **state)
{
    static const char body[] = "{\"next\":{\"tokens\":[{}]},\"tok\":[{\"a\":1}],\"\\u0074okens\":"
                               "[" UNIT_TOKEN_ALONE("a") " , " UNIT_TOKEN_ALONE("b") "\n," UNIT_TOKEN_ALONE(
                                   "c") "],\"more\":[[{\"tokens\":1}]],\"tokens2\":\"x\"}";
    static const char items[] =
        UNIT_TOKEN_ALONE("a") "\n" UNIT_TOKEN_ALONE("b") "\n" UNIT_TOKEN_ALONE("c") "\n";
    unit_text text = {0};
    op_case c;
    size_t step;
    (void)state;
    unit_answer(&text, "200 OK", UNIT_JSON, body);
    begin(&c, HTOKI_GET_ORG_TOKENS);
    for (step = 1; step <= text.len; step++) {
        start(&c);
        feed(&c, text.text, text.len, step);
        check(c.event == HTOKI_OP_DONE, "%s at %ld", htok_reason_name(c.error.reason), (long)c.error.offset);
        check_text(c.items.text, items, "items");
        check_number(c.consumed, text.len, "consumed");
    }
    end(&c);
    free(text.text);
}

static void lists_that_are_not_as_documented_are_refused_by_place(void **state)
{
    static const struct {
        const char *body;
        htok_reason reason;
        const char *path;
        unsigned items;
    } rows[] = {
        {"{}", HTOK_REASON_MEMBER_MISSING, "tokens", 0},
        {"{\"Tokens\":[]}", HTOK_REASON_MEMBER_MISSING, "tokens", 0},
        {"{\"x\":{\"tokens\":[]}}", HTOK_REASON_MEMBER_MISSING, "tokens", 0},
        {"[]", HTOK_REASON_MEMBER_TYPE, "", 0},
        {"null", HTOK_REASON_MEMBER_TYPE, "", 0},
        {"\"tokens\"", HTOK_REASON_MEMBER_TYPE, "", 0},
        {"5", HTOK_REASON_MEMBER_TYPE, "", 0},
        {"{\"tokens\":null}", HTOK_REASON_MEMBER_TYPE, "tokens", 0},
        {"{\"tokens\":{}}", HTOK_REASON_MEMBER_TYPE, "tokens", 0},
        {"{\"tokens\":\"x\"}", HTOK_REASON_MEMBER_TYPE, "tokens", 0},
        {"{\"tokens\":[],\"tokens\":[]}", HTOK_REASON_MEMBER_DUPLICATE, "tokens", 0},
        {"{\"tokens\":[" UNIT_TOKEN "],\"tokens\":null}", HTOK_REASON_MEMBER_DUPLICATE, "tokens", 1},
        {"{\"tokens\":[null]}", HTOK_REASON_MEMBER_TYPE, "tokens[0]", 0},
        {"{\"tokens\":[" UNIT_TOKEN ",1]}", HTOK_REASON_MEMBER_TYPE, "tokens[1]", 1},
        {"{\"tokens\":[[]]}", HTOK_REASON_MEMBER_TYPE, "tokens[0]", 0},
        {"{\"tokens\":[" UNIT_TOKEN "," UNIT_TOKEN ",{}]}", HTOK_REASON_MEMBER_MISSING,
         "tokens[2].orgTokenId", 2},
        {"{\"tokens\":[" UNIT_TOKEN ",{]}", HTOK_REASON_JSON_SYNTAX, "tokens[1]", 1},
        {"{\"tokens\":[" UNIT_TOKEN ",]}", HTOK_REASON_JSON_SYNTAX, "tokens[1]", 1},
        {"{\"tokens\":[" UNIT_TOKEN "]", HTOK_REASON_JSON_TRUNCATED, "", 1},
        {"{\"tokens\":[" UNIT_TOKEN, HTOK_REASON_JSON_TRUNCATED, "tokens[1]", 1},
        {"{\"tokens\":[]}]", HTOK_REASON_JSON_SYNTAX, "", 0},
        {"", HTOK_REASON_JSON_TRUNCATED, "", 0},
    };
    size_t i, step;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        for (step = 1; step < 400; step = step < 8 ? step + 1 : step * 3) {
            op_case c;
            unit_text text = {0};
            unsigned items = 0;
            size_t n;
            begin(&c, HTOKI_GET_ORG_TOKENS);
            unit_answer(&text, "200 OK", UNIT_JSON, rows[i].body);
            start(&c);
            feed(&c, text.text, text.len, step);
            for (n = 0; n < c.items.len; n++) {
                items += c.items.text[n] == '\n';
            }
            check_number(c.event, HTOKI_OP_FAILED, rows[i].body);
            check_text(htok_reason_name(c.error.reason), htok_reason_name(rows[i].reason), rows[i].body);
            check_text(c.error.path, rows[i].path, rows[i].body);
            check_number(items, rows[i].items, rows[i].body);
            check_number(c.error.status, 200, rows[i].body);
            free(text.text);
            end(&c);
        }
    }
}

static void an_element_over_its_limit_fails_at_the_same_byte_at_each_split(void **state)
{
    static const char body[] =
        "{\"tokens\":[" UNIT_TOKEN ",{\"x\":\""
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
        "8901234567890123456789012345678901234567890123456789012345678901234567890123456789012345"
        "678901234567890123456789012345678901234567890123456789\xff";
    op_case c;
    size_t step;
    int64_t element = (int64_t)(strlen("{\"tokens\":[") + strlen(UNIT_TOKEN) + 1);
    unit_text text = {0};
    (void)state;
    begin(&c, HTOKI_GET_ORG_TOKENS);
    c.element_bytes = 220;
    assert_true(strlen(UNIT_TOKEN) < 220);
    unit_answer(&text, "200 OK", UNIT_JSON, body);
    for (step = 1; step <= text.len; step++) {
        start(&c);
        feed(&c, text.text, text.len, step);
        check_number(c.error.reason, HTOK_REASON_ELEMENT_LIMIT, "reason");
        check_number(c.error.offset, element + 220, "offset");
        check_text(c.error.path, "tokens[1]", "path");
        check_text(c.items.text, UNIT_TOKEN "\n", "items");
    }
    end(&c);
    free(text.text);
}

/* With a buffer of any size a list is read or refused by name, and nothing is overrun. */
static void a_work_buffer_of_any_size_is_enough_or_refused(void **state)
{
    size_t size, read = 0, refused = 0;
    (void)state;
    for (size = sizeof(htoki_http_texts); size < 1200; size += 3) {
        op_case c;
        begin(&c, HTOKI_GET_ORG_TOKENS);
        c.work_bytes = c.element_bytes = (uint32_t)size;
        answer(&c, "200 OK", UNIT_JSON,
               "{\"a key that is longer than any of ours: "
               "0123456789012345678901234567890123456789\":1,\"tokens\":"
               "[" UNIT_TOKEN "]}");
        check(c.event == HTOKI_OP_DONE || c.error.reason == HTOK_REASON_ELEMENT_LIMIT, "%d: %s", (int)size,
              htok_reason_name(c.error.reason));
        read += c.event == HTOKI_OP_DONE;
        refused += c.event != HTOKI_OP_DONE;
        check(c.event == HTOKI_OP_DONE || read == 0, "%d bytes do not do, but fewer did", (int)size);
        end(&c);
    }
    assert_true(read != 0 && refused != 0);
}

static void error_bodies_have_a_limit(void **state)
{
    op_case c;
    char body[301], object[400];
    (void)state;
    memset(body, 'x', sizeof body - 1);
    body[300] = '\0';
    begin(&c, HTOKI_REVOKE_ORG_TOKEN);
    c.error_body_bytes = 300;
    answer(&c, "500 x", "", body);
    assert_int_equal(c.error.reason, HTOK_REASON_STATUS_ERROR);
    assert_int_equal(c.error.body.len, 300);
    assert_false(c.error.body_truncated);
    c.error_body_bytes = 299;
    answer(&c, "500 x", "", body);
    assert_int_equal(c.error.reason, HTOK_REASON_ERROR_BODY_LIMIT);
    assert_int_equal(c.error.kind, HTOK_RESPONSE_VALIDATION_ERROR);
    assert_int_equal(c.error.status, 500);
    c.work_bytes = c.element_bytes = sizeof(htoki_http_texts) + 100;
    c.error_body_bytes = sizeof object;
    answer(&c, "500 x", "", body);
    assert_int_equal(c.error.reason, HTOK_REASON_STATUS_ERROR);
    assert_int_equal(c.error.body.len, 100);
    assert_true(c.error.body_truncated);
    snprintf(object, sizeof object, "{\"message\":\"%s\"}", body);
    answer(&c, "404 x", UNIT_JSON, object);
    assert_int_equal(c.error.reason, HTOK_REASON_ERROR_BODY_LIMIT);
    assert_int_equal(c.error.status, 404);
    end(&c);
}

/* The message is decoded beside the body, or in its place, where the body must not be shown any more. */
static void a_documented_error_needs_no_room_for_its_message(void **state)
{
    char body[300], message[202];
    size_t size, without = 0, with = 0;
    op_case c;
    (void)state;
    memset(message, 'x', 200);
    memcpy(message + 200, "\n", 2);
    snprintf(body, sizeof body, "{\"message\":\"%.200s\\n\"}", message);
    begin(&c, HTOKI_GET_ORG_TOKENS);
    for (size = sizeof(htoki_http_texts); size < 600; size++) {
        c.work_bytes = c.element_bytes = (uint32_t)size;
        answer(&c, "404 x", UNIT_JSON, body);
        if (c.error.reason != HTOK_REASON_ERROR_BODY_LIMIT) {
            assert_int_equal(c.error.reason, HTOK_REASON_API_ERROR);
            check_view(c.error.message, message, "message");
            without += c.error.body.len == 0;
            with += htoki_equal(c.error.body, unit_view(body));
        }
    }
    end(&c);
    assert_true(without != 0 && with != 0);
}

static void an_answer_of_304_with_a_length_is_a_redirect(void **state)
{
    op_case c;
    static const char text[] = "HTTP/1.1 304 Not Modified\r\nContent-Length: 9000000\r\n\r\n";
    (void)state;
    begin(&c, HTOKI_GET_ORG_TOKENS);
    start(&c);
    feed(&c, text, sizeof text - 1, SIZE_MAX);
    assert_int_equal(c.event, HTOKI_OP_FAILED);
    check_text(htok_reason_name(c.error.reason), "STATUS_REDIRECT", "304");
    end(&c);
}

static void a_revoke_answers_a_bare_boolean(void **state)
{
    static const struct {
        const char *body;
        htok_reason reason;
        char boolean;
    } rows[] = {
        {"true", HTOK_REASON_NONE, 't'},           {"false", HTOK_REASON_NONE, 'f'},
        {" \r\n\ttrue\n", HTOK_REASON_NONE, 't'},  {"null", HTOK_REASON_MEMBER_TYPE, 0},
        {"1", HTOK_REASON_MEMBER_TYPE, 0},         {"\"true\"", HTOK_REASON_MEMBER_TYPE, 0},
        {"{}", HTOK_REASON_MEMBER_TYPE, 0},        {"[true]", HTOK_REASON_MEMBER_TYPE, 0},
        {"tru", HTOK_REASON_JSON_TRUNCATED, 0},    {"", HTOK_REASON_JSON_TRUNCATED, 0},
        {"  ", HTOK_REASON_JSON_TRUNCATED, 0},     {"truefalse", HTOK_REASON_JSON_SYNTAX, 0},
        {"true true", HTOK_REASON_JSON_SYNTAX, 0}, {"True", HTOK_REASON_JSON_SYNTAX, 0},
    };
    size_t i, step;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        for (step = 1; step < 200; step *= 14) {
            op_case c;
            unit_text text = {0};
            begin(&c, HTOKI_REVOKE_ORG_TOKEN);
            unit_answer(&text, "200 OK", UNIT_JSON, rows[i].body);
            start(&c);
            feed(&c, text.text, text.len, step);
            check_text(htok_reason_name(c.error.reason), htok_reason_name(rows[i].reason), rows[i].body);
            if (rows[i].reason == HTOK_REASON_NONE) {
                check_number(c.op.boolean, rows[i].boolean, rows[i].body);
            }
            free(text.text);
            end(&c);
        }
    }
}

static void what_may_have_taken_effect_follows_from_the_status(void **state)
{
    static const struct {
        int status;
        bool effect;
    } rows[] = {{0, true},    {100, true},  {200, true},  {201, true},  {299, true},
                {300, false}, {302, false}, {400, false}, {404, false}, {422, false},
                {429, false}, {499, false}, {500, true},  {503, true}};
    int operation;
    size_t i;
    (void)state;
    for (operation = HTOKI_GET_ORG_TOKENS; operation <= HTOKI_REVOKE_ORG_TOKEN; operation++) {
        op_case c;
        begin(&c, (htoki_operation)operation);
        start(&c);
        for (i = 0; i < UNIT_COUNT(rows); i++) {
            c.error.status = rows[i].status;
            check_number(htoki_op_may_have_taken_effect(&c.op),
                         operation != HTOKI_GET_ORG_TOKENS && rows[i].effect, "status");
        }
        end(&c);
    }
}

static void a_torn_answer_is_never_a_success(void **state)
{
    static const char *const framings[] = {"Content-Length", "chunked", "close"};
    int operation;
    size_t framing;
    (void)state;
    for (operation = HTOKI_GET_ORG_TOKENS; operation <= HTOKI_REVOKE_ORG_TOKEN; operation++) {
        for (framing = 0; framing < 3; framing++) {
            const char *body = success_body((htoki_operation)operation);
            const char *status = operation == HTOKI_CREATE_ORG_TOKEN ? "201 x" : "200 x";
            unit_text text = {0};
            size_t len;
            int clean;
            op_case c;
            begin(&c, (htoki_operation)operation);
            if (framing == 0) {
                unit_answer(&text, status, UNIT_JSON, body);
            } else {
                char chunk[32];
                snprintf(chunk, sizeof chunk, "%lx\r\n", (unsigned long)strlen(body));
                unit_add_text(&text, "HTTP/1.1 ");
                unit_add_text(&text, status);
                unit_add_text(&text, framing == 1 ? "\r\n" UNIT_JSON "Transfer-Encoding: chunked\r\n\r\n"
                                                  : "\r\n" UNIT_JSON "\r\n");
                unit_add_text(&text, framing == 1 ? chunk : "");
                unit_add_text(&text, body);
                unit_add_text(&text, framing == 1 ? "\r\n0\r\n\r\n" : "");
            }
            for (len = 0; len <= text.len; len++) {
                for (clean = 0; clean < 2; clean++) {
                    bool whole = len == text.len && (framing < 2 || clean);
                    start(&c);
                    feed(&c, text.text, len, SIZE_MAX);
                    if (c.event == HTOKI_OP_MORE) {
                        c.event = htoki_op_eof(&c.op, clean != 0);
                    }
                    check(c.event == (whole ? HTOKI_OP_DONE : HTOKI_OP_FAILED), "%s, %d of %d bytes, %s",
                          framings[framing], (int)len, (int)text.len, clean ? "clean" : "torn");
                }
            }
            free(text.text);
            end(&c);
        }
    }
}

static void a_torn_head_has_the_status_that_was_read(void **state)
{
    op_case c;
    static const char text[] = "HTTP/1.1 503 Busy\r\nContent-";
    (void)state;
    begin(&c, HTOKI_REVOKE_ORG_TOKEN);
    start(&c);
    feed(&c, text, sizeof text - 1, SIZE_MAX);
    assert_int_equal(htoki_op_eof(&c.op, true), HTOKI_OP_FAILED);
    assert_int_equal(c.error.reason, HTOK_REASON_CLOSED_EARLY);
    assert_int_equal(c.error.phase, HTOK_PHASE_HEAD);
    assert_int_equal(c.error.status, 503);
    start(&c);
    feed(&c, text, 11, SIZE_MAX);
    assert_int_equal(htoki_op_eof(&c.op, true), HTOKI_OP_FAILED);
    assert_int_equal(c.error.status, 0);
    end(&c);
}

static void retry_after_comes_from_the_final_head(void **state)
{
    op_case c;
    (void)state;
    begin(&c, HTOKI_GET_ORG_TOKENS);
    answer(&c, "429 x", UNIT_JSON "Retry-After: 7\r\n", "{\"message\":\"slow\"}");
    assert_int_equal(htoki_http_retry_after_ms(&c.op.http, false, 0), 7000);
    answer(&c, "429 x", UNIT_JSON, "{\"message\":\"slow\"}");
    assert_int_equal(htoki_http_retry_after_ms(&c.op.http, true, 0), -1);
    answer(&c, "429 x", UNIT_JSON "Retry-After: Thu, 01 Jan 1970 00:00:09 GMT\r\n", "{\"message\":\"slow\"}");
    assert_int_equal(htoki_http_retry_after_ms(&c.op.http, true, 2), 7000);
    assert_int_equal(htoki_http_retry_after_ms(&c.op.http, false, 2), -1);
    end(&c);
}

/* What was known of one element must not show in the next. */
static void elements_are_read_alike_whatever_came_before(void **state)
{
    static const char *const members[] = {
        "",
        ",\"scopes\":\"admin\"",
        ",\"scopes\":[]",
        ",\"scopes\":[\"a\"]",
        ",\"scopes\":[\"b\"]",
        ",\"scopes\":[\"a\",\"b\"]",
        ",\"scopes\":[\"a\\\"\\u0022\",\"b,\\\\\"]",
        ",\"n\":1,\"scopes\":[\"a\"]",
        ",\"n\":2,\"scopes\":[\"a\"]",
        ",\"n\":12,\"scopes\":[\"a\"]",
        " , \"scopes\" : [ \"a\" ]",
        ",\"more\":{\"scopes\":[\"x\"]},\"scopes\":[\"c\"]",
        ",\"long\":\"0123456789012345678901234567890123456789\",\"scopes\":[\"a\"]",
        ",\"scopes\":[\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\","
        "\"13\",\"14\",\"15\",\"16\","
        "\"17\",\"18\",\"19\",\"20\",\"21\",\"22\",\"23\",\"24\",\"25\",\"26\",\"27\",\"28\",\"29\",\"30\"]",
    };
    static const size_t work_bytes[] = {4608, 3200, 2600, 2200, 1900, 1800}, steps[] = {SIZE_MAX, 1, 61};
    size_t first, second, work, step;
    (void)state;
    for (first = 0; first < UNIT_COUNT(members); first++) {
        for (second = 0; second < UNIT_COUNT(members); second++) {
            unit_text alone = {0}, list = {0};
            const size_t order[4] = {first, second, second, first};
            size_t i;
            op_case c;
            unit_add_text(&list, "{\"tokens\":[");
            for (i = 0; i < 4; i++) {
                unit_text one = {0};
                unit_add_text(&one, "{\"tokens\":[");
                unit_add(&one, UNIT_TOKEN, sizeof UNIT_TOKEN - 2);
                unit_add_text(&one, members[order[i]]);
                unit_add_text(&one, "}]}");
                begin(&c, HTOKI_GET_ORG_TOKENS);
                answer(&c, "200 OK", UNIT_JSON, one.text);
                check(c.event == HTOKI_OP_DONE, "%s: %s %s", one.text, htok_reason_name(c.error.reason),
                      c.error.path);
                unit_add_text(&alone, c.items.text);
                end(&c);
                unit_add_text(&list, i == 0 ? "" : ",");
                unit_add(&list, one.text + 11, one.len - 13);
                free(one.text);
            }
            unit_add_text(&list, "]}");
            for (work = 0; work < UNIT_COUNT(work_bytes); work++) {
                for (step = 0; step < UNIT_COUNT(steps); step++) {
                    unit_text whole = {0};
                    unit_answer(&whole, "200 OK", UNIT_JSON, list.text);
                    begin(&c, HTOKI_GET_ORG_TOKENS);
                    c.work_bytes = c.element_bytes = (uint32_t)work_bytes[work];
                    start(&c);
                    feed(&c, whole.text, whole.len, steps[step]);
                    check(c.event == HTOKI_OP_DONE && strcmp(c.items.text, alone.text) == 0,
                          "%s in %d bytes: %s, %s", list.text, (int)work_bytes[work],
                          htok_reason_name(c.error.reason), c.items.text);
                    end(&c);
                    free(whole.text);
                }
            }
            free(alone.text);
            free(list.text);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_status_and_content_type_has_its_meaning),
        cmocka_unit_test(each_status_with_each_body_has_its_meaning),
        cmocka_unit_test(interim_statuses_decide_nothing_but_101),
        cmocka_unit_test(a_documented_error_must_validate),
        cmocka_unit_test(secrets_are_blotted_out_of_server_text),
        cmocka_unit_test(secrets_that_hold_or_overlap_another_are_blotted_whole),
        cmocka_unit_test(secrets_are_blotted_where_json_spells_them_with_escapes),
        cmocka_unit_test(fields_are_blotted_where_json_spells_them_with_escapes),
        cmocka_unit_test(a_secret_with_two_backslashes_is_blotted_as_it_stands),
        cmocka_unit_test(the_beginning_of_a_secret_at_a_cut_is_blotted),
        cmocka_unit_test(the_beginning_of_an_escaped_secret_at_a_cut_is_blotted),
        cmocka_unit_test(text_that_only_looks_like_a_secret_is_left_alone),
        cmocka_unit_test(the_beginning_of_a_secret_at_the_end_of_a_long_location_is_blotted),
        cmocka_unit_test(the_answer_to_a_create_is_never_quoted),
        cmocka_unit_test(the_request_comes_out_in_windows_of_any_size),
        cmocka_unit_test(a_list_hands_out_each_token_at_any_split),
        cmocka_unit_test(lists_that_are_not_as_documented_are_refused_by_place),
        cmocka_unit_test(an_element_over_its_limit_fails_at_the_same_byte_at_each_split),
        cmocka_unit_test(a_work_buffer_of_any_size_is_enough_or_refused),
        cmocka_unit_test(error_bodies_have_a_limit),
        cmocka_unit_test(a_documented_error_needs_no_room_for_its_message),
        cmocka_unit_test(an_answer_of_304_with_a_length_is_a_redirect),
        cmocka_unit_test(a_revoke_answers_a_bare_boolean),
        cmocka_unit_test(what_may_have_taken_effect_follows_from_the_status),
        cmocka_unit_test(a_torn_answer_is_never_a_success),
        cmocka_unit_test(a_torn_head_has_the_status_that_was_read),
        cmocka_unit_test(retry_after_comes_from_the_final_head),
        cmocka_unit_test(elements_are_read_alike_whatever_came_before),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("operation", tests, NULL, NULL);
}
