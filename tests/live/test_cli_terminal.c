/* The command-line tool as a person meets it: the table, colours, questions, hints and progress of a terminal, and
   what selects and sorts a list. Needs build/hathora-tokens. */
#define _POSIX_C_SOURCE 200809L
#include "harness.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define DATE     "2024-02-29T12:00:00Z"
#define ID_ONE   "org-token-af469a92-5b45-4565-b3c4-b79878de67d2"
#define ID_TWO   "org-token-0b1f2c3d-5b45-4565-b3c4-b79878de67d2"
#define ID_THREE "org-token-99999999-5b45-4565-b3c4-b79878de67d2"
#define MEMBERS(id, name, status, date)                                                         \
    "{\"orgTokenId\":\"" id "\",\"orgId\":\"org-1\",\"name\":\"" name "\",\"status\":\"" status \
    "\",\"lastFourCharsOfKey\":\"abcd\",\"createdBy\":\"dev@example.test\",\"createdAt\":\"" date "\""
#define ONE \
    MEMBERS(ID_ONE, "build-server", "active", DATE) ",\"scopes\":[\"builds:read-write\",\"tokens:read\"]}"
#define TWO   MEMBERS(ID_TWO, "ci", "revoked", "2023-02-28T12:00:00Z") "}"
#define THREE MEMBERS(ID_THREE, "ci-2", "active", "2024-03-01T11:00:00-02:00") ",\"scopes\":\"admin\"}"
#define ALL   "{\"tokens\":[" ONE "," TWO "," THREE "]}"

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct live_server *serve(const char *status, const char *body)
{
    static char text[8192];
    struct live_reply reply = {text, 0, LIVE_CLOSE};
    snprintf(text, sizeof text,
             "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status,
             strlen(body), body);
    return live_start_script(&reply, 1);
}

enum { IN = 1, OUT = 2, ERR = 4 };

/* The tool with the words, on a terminal where terminals says so; typed is what a person answers. */
static struct live_process *start_tool(struct live_server *server, unsigned terminals, const char *const *env,
                                       const char *const *words)
{
    const char *argv[32] = {live_tool(), "--endpoint", server->url, "--org", "org-1", NULL};
    struct live_command command;
    size_t i;
    memset(&command, 0, sizeof command);
    for (i = 0; words[i]; i++) {
        argv[5 + i] = words[i];
    }
    command.argv = argv;
    command.env = env;
    command.input_terminal = command.input_open = (terminals & IN) != 0;
    command.output_terminal = (terminals & OUT) != 0;
    command.error_terminal = (terminals & ERR) != 0;
    return live_start(&command);
}

static struct live_process *run_tool(struct live_server *server, unsigned terminals, const char *const *env,
                                     const char *const *words)
{
    struct live_process *p = start_tool(server, terminals, env, words);
    live_end(p);
    return p;
}

static struct live_process *run_list(unsigned terminals, const char *const *env, const char *const *words)
{
    struct live_process *p = run_tool(serve("200 OK", ALL), terminals, env, words);
    if (p->status != 0) {
        fail_msg("exit %d: %s", p->status, p->err.ptr);
    }
    return p;
}

/* ---- Selecting and sorting. ---- */

static void lists_select_by_status_and_pattern(void **state)
{
    static const struct {
        const char *const words[5];
        const char *names;
    } cases[] = {
        {{"--status", "active"}, "build-server\nci-2\n"},
        {{"--status=revoked"}, "ci\n"},
        {{"--status", "Active"}, ""},
        {{"--name", "ci"}, "ci\n"},
        {{"--name", "ci*"}, "ci\nci-2\n"},
        {{"--name", "*-?"}, "ci-2\n"},
        {{"--name", "*"}, "build-server\nci\nci-2\n"},
        {{"--name", "**i*-*2*"}, "ci-2\n"},
        {{"--name", "[a-b]*"}, "build-server\n"},
        {{"--name", "[!a-b]*"}, "ci\nci-2\n"},
        {{"--name", "c[xi]"}, "ci\n"},
        {{"--name", "c\\i"}, "ci\n"},
        {{"--name", "c\\*"}, ""},
        {{"--name", "[ci"}, ""},
        {{"--name", "ci-2?"}, ""},
        {{"--name", "ci*", "--status", "active"}, "ci-2\n"},
    };
    size_t i, k;
    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *words[8] = {"list", "-onameValue"};
        for (k = 0; cases[i].words[k]; k++) {
            words[2 + k] = cases[i].words[k];
        }
        assert_string_equal(run_list(0, NULL, words)->out.ptr, cases[i].names);
    }
}

static void question_mark_of_a_pattern_takes_a_whole_character(void **state)
{
    static const char body[] = "{\"tokens\":[" MEMBERS("1", "a\xc3\xa9", "active", DATE) "}," MEMBERS(
        "2", "a\xf0\x9f\x98\x80z", "active", DATE) "}]}";
    (void)state;
    assert_string_equal(
        run_tool(serve("200 OK", body), 0, NULL, WORDS("list", "-onameValue", "--name", "a?"))->out.ptr,
        "a\xc3\xa9\n");
    assert_string_equal(
        run_tool(serve("200 OK", body), 0, NULL,
                 WORDS("list", "-onameValue", "--name", "a[\xf0\x9f\x98\x80-\xf0\x9f\x98\x82]?"))
            ->out.ptr,
        "a\xf0\x9f\x98\x80z\n");
}

/* Nor do they take a character of the pattern, or of what stands behind it in memory, for a part of one. */
static void bytes_that_are_no_utf_8_match_no_character(void **state)
{
    static const char body[] = "{\"tokens\":[" MEMBERS("1", "a\xc3\xa9", "active",
                                                       DATE) "}," MEMBERS("2", "a]", "active", DATE) "}]}";
    static const struct {
        const char *pattern, *names;
    } cases[] = {{"a\xe9", ""},
                 {"a\xa9", ""},
                 {"a[\xe9]", ""},
                 {"a[\xc3]", ""},
                 {"a[!\xf0]", "a\xc3\xa9\na]\n"},
                 {"a[\xc3]]", ""},
                 {"*\xc3", ""},
                 {"a[\xc3\xa9]", "a\xc3\xa9\n"}};
    size_t i;
    (void)state;
    live_needs("bytes");
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct live_process *p = run_tool(serve("200 OK", body), 0, NULL,
                                          WORDS("list", "-onameValue", "--name", cases[i].pattern));
        assert_int_equal(p->status, 0);
        assert_string_equal(p->out.ptr, cases[i].names);
    }
}

static void lists_sort_by_a_member_in_both_directions(void **state)
{
    (void)state;
    assert_string_equal(run_list(0, NULL, WORDS("list", "-onameValue", "--sort", "orgTokenId"))->out.ptr,
                        "ci\nci-2\nbuild-server\n");
    assert_string_equal(run_list(0, NULL, WORDS("list", "-onameValue", "--sort", "-name"))->out.ptr,
                        "ci-2\nci\nbuild-server\n");
    /* Instants count, not their spelling. */
    assert_string_equal(run_list(0, NULL, WORDS("list", "-onameValue", "--sort=createdAt"))->out.ptr,
                        "ci\nbuild-server\nci-2\n");
    /* Equal ones stay in the server's order, either way. */
    assert_string_equal(run_list(0, NULL, WORDS("list", "-onameValue", "--sort", "status"))->out.ptr,
                        "build-server\nci-2\nci\n");
    assert_string_equal(run_list(0, NULL, WORDS("list", "-onameValue", "--sort", "-status"))->out.ptr,
                        "ci\nbuild-server\nci-2\n");
}

static void json_keeps_its_shape_when_selected_and_sorted(void **state)
{
    (void)state;
    assert_string_equal(
        run_list(0, NULL, WORDS("list", "-ojson", "--status", "active", "--sort", "-name"))->out.ptr,
        "{\"tokens\":[" THREE "," ONE "]}\n");
    assert_string_equal(run_list(0, NULL, WORDS("list", "-ojson", "--name", "none"))->out.ptr,
                        "{\"tokens\":[]}\n");
}

/* ---- The table. ---- */

/* No line is wider than the terminal, and no id is cut. */
static void check_width(const struct live_process *p, size_t columns)
{
    const char *line = p->out.ptr;
    assert_true(live_contains(&p->out, ID_ONE));
    assert_true(live_contains(&p->out, ID_TWO));
    assert_true(live_contains(&p->out, "active"));
    assert_true(live_contains(&p->out, "admin"));
    while (*line) {
        size_t len = strcspn(line, "\n");
        if (len > columns) {
            fail_msg("%zu columns at %zu: %s", len, columns, p->out.ptr);
        }
        line += len + 1;
    }
}

static void table_fits_every_terminal_and_never_cuts_an_id(void **state)
{
    size_t columns;
    for (columns = 46; columns <= 200; columns += columns < 140 ? 1 : 20) {
        char variable[32];
        const char *env[] = {variable, NULL};
        snprintf(variable, sizeof variable, "COLUMNS=%zu", columns);
        check_width(run_list(OUT, env, WORDS("list")), columns);
        live_teardown(state);
    }
}

static void wide_terminal_shows_everything_and_an_age(void **state)
{
    const char *env[] = {"COLUMNS=300", NULL};
    const struct live_process *p = run_list(OUT, env, WORDS("list"));
    (void)state;
    assert_true(strncmp(p->out.ptr, "ID  ", 4) == 0);
    assert_true(live_contains(&p->out, "CREATED BY"));
    assert_true(live_contains(&p->out, "2024-02-29 ("));
    assert_true(live_contains(&p->out, " ago)"));
    assert_true(live_contains(&p->out, "builds:read-write,tokens:read\n"));
    assert_int_equal(live_count(&p->out, "\n"), 4);
}

static void eighty_columns_have_the_scopes_below(void **state)
{
    const char *env[] = {"COLUMNS=80", NULL};
    (void)state;
    assert_string_equal(run_list(OUT, env, WORDS("list"))->out.ptr,
                        "ID                                              NAME          STATUS\n"
                        "    SCOPES\n" ID_ONE "  build-server  active\n"
                        "    builds:read-write,tokens:read\n" ID_TWO "  ci            revoked\n"
                        "    admin\n" ID_THREE "  ci-2          active\n"
                        "    admin\n");
}

static void narrow_terminal_has_a_record_for_each_token(void **state)
{
    const char *env[] = {"COLUMNS=50", NULL};
    const struct live_process *p = run_list(OUT, env, WORDS("list", "--name", "build-server"));
    (void)state;
    assert_true(strncmp(p->out.ptr, ID_ONE "\n  NAME build-server\n  STATUS active\n", 80) == 0);
    assert_true(live_contains(&p->out, "\n  SCOPES builds:read-write,tokens:read\n"));
}

static void wide_characters_take_two_columns(void **state)
{
    static const char body[] = "{\"tokens\":[" MEMBERS("1", "\xe6\xbc\xa2\xe5\xad\x97", "active",
                                                       DATE) "}," MEMBERS("2", "abcd", "active", DATE) "}]}";
    const struct live_process *p = run_tool(serve("200 OK", body), 0, NULL, WORDS("list"));
    (void)state;
    assert_true(live_contains(&p->out, "\n1   \xe6\xbc\xa2\xe5\xad\x97  active"));
    assert_true(live_contains(&p->out, "\n2   abcd  active"));
}

static void pipe_gets_all_columns_uncut_and_dates_as_sent(void **state)
{
    const char *env[] = {"COLUMNS=40", "TERM=xterm", NULL};
    const struct live_process *p = run_list(ERR, env, WORDS("list"));
    (void)state;
    assert_true(live_contains(&p->out, "CREATED BY"));
    assert_true(live_contains(&p->out, "  " DATE "  "));
    assert_false(live_contains(&p->out, "ago"));
    assert_false(live_contains(&p->out, "\033"));
}

static void age_is_told_in_the_largest_unit(void **state)
{
    static const struct {
        long seconds;
        const char *age;
    } cases[] = {{90, "(1 minute ago)"},
                 {2 * 3600 + 60, "(2 hours ago)"},
                 {3 * 86400 + 60, "(3 days ago)"},
                 {75L * 86400, "(2 months ago)"},
                 {800L * 86400, "(2 years ago)"}};
    const char *env[] = {"COLUMNS=300", NULL};
    size_t i;
    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        time_t then = time(NULL) - cases[i].seconds;
        struct tm parts;
        char date[32], body[512];
        assert_non_null(gmtime_r(&then, &parts));
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &parts);
        snprintf(body, sizeof body,
                 "{\"tokens\":[{\"orgTokenId\":\"1\",\"orgId\":\"o\",\"name\":\"n\",\"status\":\"active\","
                 "\"lastFourCharsOfKey\":\"abcd\",\"createdBy\":\"d\",\"createdAt\":\"%s\"}]}",
                 date);
        assert_true(
            live_contains(&run_tool(serve("200 OK", body), OUT, env, WORDS("list"))->out, cases[i].age));
    }
}

/* ---- Colours. ---- */

static void colours_need_a_terminal_that_takes_them(void **state)
{
    static const struct {
        const char *const env[4];
        unsigned terminals;
        bool coloured;
    } cases[] = {
        {{"TERM=xterm"}, OUT, true},
        {{"TERM=xterm", "NO_COLOR="}, OUT, true},
        {{"TERM=xterm", "NO_COLOR=1"}, OUT, false},
        {{"TERM=dumb"}, OUT, false},
        {{"LANG=C"}, OUT, false},
        {{"TERM=xterm"}, ERR, false},
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct live_process *p = run_list(cases[i].terminals, cases[i].env, WORDS("list"));
        assert_int_equal(live_contains(&p->out, "\033[32mactive\033[0m"), cases[i].coloured);
        assert_int_equal(live_contains(&p->out, "\033"), cases[i].coloured);
        assert_false(live_contains(&p->err, "\033"));
    }
    assert_false(live_contains(&run_list(OUT, cases[0].env, WORDS("list", "-ojson"))->out, "\033"));
}

/* ---- Hints. ---- */

#define CREATED "{\"plainTextToken\":\"plain-text-1\",\"orgToken\":" ONE "}"

static void unknown_scope_is_sent_with_a_suggestion_on_a_terminal(void **state)
{
    struct live_server *server = serve("201 Created", CREATED);
    const struct live_process *p =
        run_tool(server, ERR, NULL, WORDS("create", "--name", "x", "--scope", "builds:raed"));
    (void)state;
    assert_int_equal(p->status, 0);
    assert_string_equal(p->out.ptr, "plain-text-1\n");
    assert_true(live_contains(&p->err, "builds:raed"));
    assert_true(live_contains(&p->err, "Did you mean builds:read?"));
    assert_true(live_contains(&p->err, "Created build-server (" ID_ONE ")"));
    live_end(server->process);
    assert_true(live_contains(&server->process->out, "[\"builds:raed\"]"));
    p = run_tool(serve("201 Created", CREATED), ERR, NULL,
                 WORDS("create", "--name", "x", "--scope", "gpu:lease"));
    assert_true(live_contains(&p->err, "gpu:lease"));
    assert_false(live_contains(&p->err, "Did you mean"));
    p = run_tool(serve("201 Created", CREATED), ERR, NULL,
                 WORDS("create", "--name", "x", "--scope", "tokens:read"));
    assert_false(live_contains(&p->err, "Warning"));
    p = run_tool(serve("201 Created", CREATED), 0, NULL,
                 WORDS("create", "--name", "x", "--scope", "builds:raed"));
    assert_string_equal(p->err.ptr, "");
}

static void mistyped_command_or_option_gets_a_suggestion(void **state)
{
    struct live_server *server = serve("200 OK", ALL);
    const struct live_process *p = run_tool(server, 0, NULL, WORDS("lsit"));
    (void)state;
    assert_true(live_contains(&p->err, "did you mean list?"));
    p = run_tool(server, 0, NULL, WORDS("list", "--staus", "active"));
    assert_true(live_contains(&p->err, "--staus is an unknown option; did you mean --status?"));
    p = run_tool(server, 0, NULL, WORDS("list", "--completely-different"));
    assert_false(live_contains(&p->err, "did you mean"));
}

static void empty_list_is_told_to_a_terminal_alone(void **state)
{
    const char *env[] = {"COLUMNS=80", NULL};
    const struct live_process *p =
        run_tool(serve("200 OK", "{\"tokens\":[]}"), OUT | ERR, env, WORDS("list"));
    (void)state;
    assert_string_equal(p->err.ptr, "The organization has no tokens.\n");
    assert_string_equal(run_list(ERR, env, WORDS("list", "--name", "zzz"))->err.ptr, "No token matches.\n");
    assert_string_equal(run_list(OUT, env, WORDS("list", "--name", "zzz"))->err.ptr, "");
}

static void ignored_session_file_is_told_to_a_terminal_in_one_line(void **state)
{
    const char *const words[] = {"list", "--session-file", live_folder(), NULL};
    const struct live_process *p = run_list(ERR, NULL, words);
    (void)state;
    assert_string_equal(p->err.ptr, "Warning: the session file is ignored: it is no regular file\n");
    assert_string_equal(run_list(OUT, NULL, words)->err.ptr, "");
}

/* ---- Questions. ---- */

static void revoke_asks_on_a_terminal_and_takes_no_for_an_answer(void **state)
{
    static const struct {
        const char *answer;
        int status;
    } cases[] = {{"y\n", 0},  {"yes\n", 0},         {"Y\n", 0},   {"n\n", 130},
                 {"\n", 130}, {"yesterday\n", 130}, {"\004", 130}};
    size_t i;
    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct live_server *server = serve("200 OK", "true");
        struct live_process *p = start_tool(server, IN | ERR, NULL, WORDS("revoke", "id-1"));
        live_await_error(p, "Revoke id-1 for good? [y/N] ", 0);
        live_send(p, cases[i].answer, strlen(cases[i].answer));
        if (cases[i].status == 0) {
            live_await_output(p, "revoked\n", 0);
        } else {
            live_await_error(p, "not confirmed", 0);
        }
        live_end(p);
        if (p->status != cases[i].status) {
            fail_msg("%zu: exit %d: %s", i, p->status, p->err.ptr);
        }
        assert_string_equal(p->out.ptr, cases[i].status == 0 ? "id-1 revoked\n" : "");
        assert_int_equal(live_contains(&p->err, "nothing was changed"), cases[i].status != 0);
        /* A line that no person ended is ended all the same. */
        assert_int_equal(live_contains(&p->err, "[y/N] \n"), cases[i].answer[0] == '\004');
        live_signal(server->process, SIGTERM);
        live_end(server->process);
        assert_int_equal(live_contains(&server->process->out, "POST"), cases[i].status == 0);
    }
}

static void question_ends_by_a_signal(void **state)
{
    struct live_process *p =
        start_tool(serve("200 OK", "true"), IN | ERR, NULL, WORDS("revoke", "id-1", "id-2"));
    (void)state;
    live_await_error(p, "Revoke\n  id-1\n  id-2\nfor good? [y/N] ", 0);
    live_signal(p, SIGINT);
    live_end(p);
    assert_int_equal(p->status, 130);
    assert_true(live_contains(&p->err, "[y/N] \nhathora-tokens: not confirmed: nothing was changed\n"));
}

static void nothing_is_asked_with_yes_or_without_a_terminal(void **state)
{
    static const unsigned terminals[] = {0, ERR, OUT | ERR};
    size_t i;
    (void)state;
    for (i = 0; i < sizeof terminals / sizeof terminals[0]; i++) {
        const struct live_process *p =
            run_tool(serve("200 OK", "true"), terminals[i], NULL, WORDS("revoke", "id-1"));
        assert_int_equal(p->status, 0);
        assert_string_equal(p->err.ptr, "");
    }
    assert_string_equal(
        run_tool(serve("200 OK", "true"), IN | OUT | ERR, NULL, WORDS("revoke", "-y", "id-1"))->err.ptr, "");
}

/* ---- Progress. ---- */

static void slow_call_shows_progress_on_a_terminal_and_takes_it_away(void **state)
{
    static const char half[] =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
        "{\"tokens\":[" ONE "," TWO ",";
    struct live_reply reply = {half, 0, LIVE_WAIT};
    struct live_process *p = start_tool(live_start_script(&reply, 1), ERR, NULL, WORDS("list"));
    size_t at;
    (void)state;
    at = live_await_error(p, "\rhathora-tokens: listing: 2 so far ...", 0);
    live_signal(p, SIGINT);
    live_end(p);
    assert_int_equal(p->status, 130);
    /* What stood there is overwritten before the line of the failure. */
    assert_non_null(strstr(p->err.ptr + at + 1, "   \rhathora-tokens: RequestAbortedError"));
    assert_string_equal(p->out.ptr, "");
}

#define TEST(name) cmocka_unit_test_teardown(name, live_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(lists_select_by_status_and_pattern),
        TEST(question_mark_of_a_pattern_takes_a_whole_character),
        TEST(bytes_that_are_no_utf_8_match_no_character),
        TEST(lists_sort_by_a_member_in_both_directions),
        TEST(json_keeps_its_shape_when_selected_and_sorted),
        TEST(table_fits_every_terminal_and_never_cuts_an_id),
        TEST(wide_terminal_shows_everything_and_an_age),
        TEST(eighty_columns_have_the_scopes_below),
        TEST(narrow_terminal_has_a_record_for_each_token),
        TEST(wide_characters_take_two_columns),
        TEST(pipe_gets_all_columns_uncut_and_dates_as_sent),
        TEST(age_is_told_in_the_largest_unit),
        TEST(colours_need_a_terminal_that_takes_them),
        TEST(unknown_scope_is_sent_with_a_suggestion_on_a_terminal),
        TEST(mistyped_command_or_option_gets_a_suggestion),
        TEST(empty_list_is_told_to_a_terminal_alone),
        TEST(ignored_session_file_is_told_to_a_terminal_in_one_line),
        TEST(revoke_asks_on_a_terminal_and_takes_no_for_an_answer),
        TEST(question_ends_by_a_signal),
        TEST(nothing_is_asked_with_yes_or_without_a_terminal),
        TEST(slow_call_shows_progress_on_a_terminal_and_takes_it_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
