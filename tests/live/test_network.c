/* Connections that are kept, die, fall silent or drip; deadlines; several addresses; cancel and signals. All of it on
   loopback: the library in this program, or the tool, against the emulator behind a relay that counts and spoils. */
#define _XOPEN_SOURCE 700
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "harness.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKEN        "network-test-token"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ADDRESSES    16u    /* tried for one name, as htok_resolver says */
#define SLACK_MS     10000u /* for a machine that has much else to do; no test waits for it */

/* ---- The client in this program. ---- */

struct names {
    htok_address addresses[ADDRESSES + 1];
    size_t count; /* 0: the look-up never ends */
    unsigned started, cancelled;
};

static htok_io names_start(void *context, const char *host, htok_io_detail *detail)
{
    (void)host, (void)detail;
    ((struct names *)context)->started++;
    return HTOK_IO_OK;
}

static htok_io names_poll(void *context, htok_address *addresses, size_t capacity, size_t *count,
                          htok_io_detail *detail)
{
    const struct names *names = (const struct names *)context;
    (void)detail;
    *count = names->count < capacity ? names->count : capacity;
    memcpy(addresses, names->addresses, *count * sizeof addresses[0]);
    return names->count ? HTOK_IO_OK : HTOK_IO_AGAIN;
}

static void names_cancel(void *context)
{
    ((struct names *)context)->cancelled++;
}

static htok_client *client;
static struct names names;
static htok_resolver resolver = {&names, names_start, names_poll, names_cancel, NULL};

/* Makes the test's client; it is closed by the teardown if not before. Deadlines of 0 are the library's own. */
static void make_client(const char *url, uint32_t connect_timeout_ms, uint32_t timeout_ms)
{
    htok_client_options options;
    htok_error error;
    char line[512];
    memset(&options, 0, sizeof options);
    options.server_url = url;
    options.org_id = "org-1";
    options.token = TOKEN;
    options.trust_file = live_certificate("ca.pem");
    options.connect_timeout_ms = connect_timeout_ms;
    options.timeout_ms = timeout_ms;
    options.resolver = &resolver;
    options.work_bytes = 64 * 1024;
    if (htok_client_create(&client, &options, &error) != HTOK_OK) {
        htok_error_format(&error, line, sizeof line);
        fail_msg("%s", line);
    }
}

static int setup(void **state)
{
    (void)state;
    client = NULL;
    memset(&names, 0, sizeof names);
    return 0;
}

static int teardown(void **state)
{
    htok_client_close(client);
    client = NULL;
    return live_teardown(state);
}

static void expect(htok_kind kind, htok_reason reason, htok_phase phase)
{
    const htok_error *error = htok_client_error(client);
    char line[512];
    if (error->kind != kind || error->reason != reason || error->phase != phase) {
        htok_error_format(error, line, sizeof line);
        fail_msg("%s in phase %s: %s", htok_reason_name(error->reason), htok_phase_name(error->phase), line);
    }
}

static void expect_ok(htok_kind kind)
{
    if (kind != HTOK_OK) {
        expect(HTOK_OK, HTOK_REASON_NONE, HTOK_PHASE_NONE);
    }
}

struct listed {
    unsigned count, named;
    const char *name;
};

static bool note_token(void *context, const htok_org_token *token)
{
    struct listed *listed = (struct listed *)context;
    listed->count++;
    listed->named += listed->name && strcmp(token->name.ptr, listed->name) == 0;
    return true;
}

static unsigned list(void)
{
    struct listed listed = {0, 0, NULL};
    expect_ok(htok_get_org_tokens(client, NULL, note_token, &listed));
    return listed.count;
}

/* How many tokens have the name. */
static unsigned list_named(const char *name)
{
    struct listed listed = {0, 0, NULL};
    listed.name = name;
    expect_ok(htok_get_org_tokens(client, NULL, note_token, &listed));
    return listed.named;
}

static htok_kind create(const char *name, char *id, size_t size)
{
    htok_create_org_token_request request;
    const htok_created_org_token *created;
    htok_kind kind;
    memset(&request, 0, sizeof request);
    request.name = name;
    request.admin = true;
    kind = htok_create_org_token(client, &request, NULL, &created);
    if (kind == HTOK_OK && id) {
        snprintf(id, size, "%s", created->org_token.org_token_id.ptr);
    }
    return kind;
}

/* ---- Connections that are kept. ---- */

/* Waits until the relay has told the line so many times. */
static void await_lines(struct live_server *relay, const char *line, unsigned count)
{
    size_t from = 0;
    while (count-- != 0) {
        from = live_await_output(relay->process, line, from) + 1;
    }
}

/* Once the relay has seen that much, it has seen no more. */
static void expect_seen(struct live_server *relay, unsigned connections, unsigned handshakes,
                        unsigned records)
{
    await_lines(relay, "CONNECTION\n", connections);
    await_lines(relay, "RECORD\n", records);
    assert_int_equal(live_count(&relay->process->out, "CONNECTION\n"), connections);
    assert_int_equal(live_count(&relay->process->out, "CERTIFICATE\n"), handshakes);
    assert_int_equal(live_count(&relay->process->out, "RECORD\n"), records);
}

static void operations_share_a_connection_and_its_handshake(void **state)
{
    struct live_server *relay = live_start_relay(live_start_emulator(TOKEN, NULL)->port, NULL, 0);
    char first[128], second[128];
    bool revoked = false;
    (void)state;
    make_client(relay->url, 0, 0);
    assert_int_equal(list(), 0);
    expect_ok(create("one", first, sizeof first));
    expect_ok(create("two", second, sizeof second));
    expect_ok(htok_revoke_org_token(client, first, NULL, &revoked));
    assert_true(revoked);
    /* An error that was read whole keeps the connection too. */
    assert_int_equal(htok_revoke_org_token(client, "no-such-id", NULL, &revoked), HTOK_API_ERROR);
    assert_int_equal(create("two", NULL, 0), HTOK_API_ERROR);
    expect_ok(htok_revoke_org_token(client, second, NULL, &revoked));
    assert_int_equal(list(), 2);
    htok_client_close(client);
    client = NULL;
    await_lines(relay, "CLOSED\n", 1);
    expect_seen(relay, 1, 1, 8);
}

static void tool_revokes_many_ids_over_one_connection(void **state)
{
    const char *many[] = {"--tokens", "20", "--seed", "7", NULL};
    struct live_server *relay = live_start_relay(live_start_emulator(TOKEN, many)->port, NULL, 0);
    const char *argv[40] = {live_tool(), "--endpoint", relay->url, "--org", "org-1", "--token", TOKEN};
    struct live_process *process;
    struct live_command command;
    size_t at = 7, from = 0;
    (void)state;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    argv[at++] = "--ca-file";
    argv[at++] = live_certificate("ca.pem");
    argv[at] = "list";
    argv[at + 1] = "-oorgTokenIdValue";
    process = live_run(&command);
    assert_int_equal(process->status, 0);
    argv[at++] = "revoke";
    for (; from < process->out.len;
         from = (size_t)(strchr(process->out.ptr + from, '\0') - process->out.ptr) + 1) {
        *strchr(process->out.ptr + from, '\n') = '\0';
        argv[at++] = process->out.ptr + from;
    }
    argv[at++] = "-ojson";
    argv[at] = NULL;
    process = live_run(&command);
    assert_int_equal(process->status, 0);
    assert_int_equal(live_count(&process->out, "true\n"), 20);
    await_lines(relay, "CLOSED\n", 2);
    expect_seen(relay, 2, 2, 1 + 20);
}

static void idle_connection_that_the_server_closed_is_replaced_and_the_session_resumed(void **state)
{
    const char *impatient[] = {"--idle-timeout", "50", NULL};
    struct live_server *relay = live_start_relay(live_start_emulator(TOKEN, impatient)->port, NULL, 0);
    (void)state;
    make_client(relay->url, 0, 0);
    assert_int_equal(list(), 0);
    await_lines(relay, "SERVER CLOSED\n", 1);
    /* Even a create: the close is seen before a byte of it is sent. */
    expect_ok(create("one", NULL, 0));
    assert_int_equal(list_named("one"), 1);
    await_lines(relay, "CLOSED\n", 2);
    expect_seen(relay, 2, 1, 3);
}

static void server_may_restart_between_calls(void **state)
{
    const char *lasting[] = {"--state", live_path("state"), "--listen", NULL, NULL};
    char listen[32];
    struct live_server *server;
    (void)state;
    snprintf(listen, sizeof listen, "127.0.0.1:%u", live_free_port());
    lasting[3] = listen;
    server = live_start_emulator(TOKEN, lasting);
    make_client(server->url, 0, 0);
    expect_ok(create("before", NULL, 0));
    live_kill(server->process);
    live_start_emulator(TOKEN, lasting);
    expect_ok(create("after", NULL, 0));
    assert_int_equal(list(), 2);
    assert_int_equal(htok_client_error(client)->attempts, 1);
}

static void server_that_stays_down_is_told_and_found_again(void **state)
{
    const char *lasting[] = {"--listen", NULL, NULL};
    char listen[32];
    struct live_server *server;
    (void)state;
    snprintf(listen, sizeof listen, "127.0.0.1:%u", live_free_port());
    lasting[1] = listen;
    server = live_start_emulator(TOKEN, lasting);
    make_client(server->url, 0, 0);
    assert_int_equal(list(), 0);
    live_kill(server->process);
    htok_get_org_tokens(client, NULL, NULL, NULL);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_CONNECT_FAILED, HTOK_PHASE_CONNECT);
    create("one", NULL, 0);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_CONNECT_FAILED, HTOK_PHASE_CONNECT);
    assert_false(htok_client_error(client)->may_have_taken_effect);
    live_start_emulator(TOKEN, lasting);
    assert_int_equal(list_named("one"), 0);
}

/* The kept connection dies as the second request reaches the server, or just after. */
static void kept_connection_that_dies_repeats_all_but_a_create(void **state)
{
    static const struct live_rule before[] = {{2, 0, true, LIVE_RESET, 0}, {0, 0, false, LIVE_KEEP, 0}};
    static const struct live_rule after[] = {{2, 0, false, LIVE_RESET, 0}, {0, 0, false, LIVE_KEEP, 0}};
    static const struct live_rule closes[] = {{2, 0, true, LIVE_CLOSE, 0}, {0, 0, false, LIVE_KEEP, 0}};
    const struct live_rule *const rules[] = {before, after, closes};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(rules); i++) {
        struct live_server *server = live_start_emulator(TOKEN, NULL), *relay;
        char id[128];
        bool revoked = false;
        /* A create: outcome unknown, and sent once. */
        relay = live_start_relay(server->port, rules[i], 2);
        make_client(relay->url, 0, 0);
        assert_int_equal(list(), 0);
        assert_int_equal(create("one", NULL, 0), HTOK_CONNECTION_ERROR);
        assert_true(htok_client_error(client)->may_have_taken_effect);
        expect_seen(relay, 1, 1, 2);
        assert_int_equal(list_named("one"), i == 1);
        htok_client_close(client);
        /* A revoke: sent again. What the server already did it answers with false. */
        relay = live_start_relay(server->port, rules[i], 2);
        make_client(relay->url, 0, 0);
        expect_ok(create("two", id, sizeof id));
        expect_ok(htok_revoke_org_token(client, id, NULL, &revoked));
        assert_int_equal(revoked, i != 1);
        htok_client_close(client);
        client = NULL;
        await_lines(relay, "CLOSED\n", 1);
        expect_seen(relay, 2, 1, 3);
    }
}

/* ---- Deadlines. ---- */

struct silence {
    const char *label;
    struct live_rule rule;
    bool timed_connect; /* the connect deadline is the short one, else the whole one */
    htok_reason reason;
    htok_phase phase;
};

/* Each call must end within its deadline, whatever the server does; only the connection that fell silent is given up. */
static void expect_late(const struct silence *s, const char *url, bool kept)
{
    htok_call_options options;
    htok_create_org_token_request request;
    uint64_t began;
    memset(&options, 0, sizeof options);
    memset(&request, 0, sizeof request);
    request.name = "late";
    options.timeout_ms = s->timed_connect ? 60000 : s->phase == HTOK_PHASE_BODY ? 1000 : 200;
    options.connect_timeout_ms = s->timed_connect ? 200 : 60000;
    make_client(url, 0, 0);
    if (kept) {
        list();
    }
    began = htoki_now_ms(client);
    if (s->phase == HTOK_PHASE_BODY) {
        htok_get_org_tokens(client, &options, NULL, NULL);
    } else {
        htok_create_org_token(client, &request, &options, NULL);
    }
    if (htok_client_error(client)->reason != s->reason) {
        print_message("%s\n", s->label);
    }
    expect(HTOK_REQUEST_TIMEOUT_ERROR, s->reason, s->phase);
    assert_in_range(htoki_now_ms(client) - began, 0, 1000 + SLACK_MS);
    assert_int_equal(htok_client_error(client)->may_have_taken_effect, s->phase == HTOK_PHASE_HEAD);
    assert_int_equal(htok_client_error(client)->status, s->phase == HTOK_PHASE_BODY ? 200 : 0);
}

static void silent_or_dripping_server_ends_at_the_deadline(void **state)
{
    static const struct silence cases[] = {
        {"no byte", {0, 0, false, LIVE_WAIT, 0}, true, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_HANDSHAKE},
        {"no byte, whole", {0, 0, false, LIVE_WAIT, 0}, false, HTOK_REASON_TIMEOUT, HTOK_PHASE_HANDSHAKE},
        {"within a record's header",
         {0, 3, false, LIVE_WAIT, 0},
         true,
         HTOK_REASON_CONNECT_TIMEOUT,
         HTOK_PHASE_HANDSHAKE},
        {"within the certificate",
         {0, 300, false, LIVE_WAIT, 0},
         true,
         HTOK_REASON_CONNECT_TIMEOUT,
         HTOK_PHASE_HANDSHAKE},
        {"handshake drips",
         {0, 0, false, LIVE_DRIP, 10},
         true,
         HTOK_REASON_CONNECT_TIMEOUT,
         HTOK_PHASE_HANDSHAKE},
        {"handshake drips, whole",
         {0, 0, false, LIVE_DRIP, 10},
         false,
         HTOK_REASON_TIMEOUT,
         HTOK_PHASE_HANDSHAKE},
        {"before the answer", {2, 0, false, LIVE_WAIT, 0}, false, HTOK_REASON_TIMEOUT, HTOK_PHASE_HEAD},
        {"request swallowed", {2, 0, true, LIVE_WAIT, 0}, false, HTOK_REASON_TIMEOUT, HTOK_PHASE_HEAD},
        {"within the answer's first record",
         {2, 20, false, LIVE_WAIT, 0},
         false,
         HTOK_REASON_TIMEOUT,
         HTOK_PHASE_HEAD},
        {"answer drips", {2, 0, false, LIVE_DRIP, 10}, false, HTOK_REASON_TIMEOUT, HTOK_PHASE_HEAD},
        {"within the body", {2, 20000, false, LIVE_WAIT, 0}, false, HTOK_REASON_TIMEOUT, HTOK_PHASE_BODY},
        {"body drips", {2, 20000, false, LIVE_DRIP, 10}, false, HTOK_REASON_TIMEOUT, HTOK_PHASE_BODY},
    };
    static const char *const many[] = {"--tokens", "300", NULL};
    unsigned target = live_start_emulator(TOKEN, many)->port;
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        struct live_rule rules[2];
        struct live_server *relay;
        memset(rules, 0, sizeof rules);
        rules[0] = cases[i].rule;
        rules[1].then = LIVE_KEEP;
        relay = live_start_relay(target, rules, 2);
        expect_late(&cases[i], relay->url, cases[i].rule.record != 0);
        /* The next call is not troubled by the last one's connection. */
        assert_true(list() >= 300);
        htok_client_close(client);
        client = NULL;
        live_kill(relay->process);
    }
}

/* ---- Connections that break. ---- */

static void broken_connection_is_told_by_where_it_broke(void **state)
{
    static const struct {
        struct live_rule rule;
        htok_kind kind;
        htok_reason reason;
        htok_phase phase;
        bool may_have_taken_effect; /* a list never has */
    } cases[] = {
        {{0, 0, false, LIVE_RESET, 0},
         HTOK_CONNECTION_ERROR,
         HTOK_REASON_RECEIVE_FAILED,
         HTOK_PHASE_HANDSHAKE,
         0},
        {{0, 300, false, LIVE_RESET, 0},
         HTOK_CONNECTION_ERROR,
         HTOK_REASON_RECEIVE_FAILED,
         HTOK_PHASE_HANDSHAKE,
         0},
        {{0, 300, false, LIVE_CLOSE, 0},
         HTOK_CONNECTION_ERROR,
         HTOK_REASON_TLS_CLOSED,
         HTOK_PHASE_HANDSHAKE,
         0},
        {{1, 0, true, LIVE_RESET, 0}, HTOK_CONNECTION_ERROR, HTOK_REASON_RECEIVE_FAILED, HTOK_PHASE_HEAD, 1},
        {{1, 0, true, LIVE_CLOSE, 0}, HTOK_CONNECTION_ERROR, HTOK_REASON_CLOSED_EARLY, HTOK_PHASE_HEAD, 1},
        {{1, 20, false, LIVE_RESET, 0},
         HTOK_CONNECTION_ERROR,
         HTOK_REASON_RECEIVE_FAILED,
         HTOK_PHASE_HEAD,
         1},
        /* A reset would not be told apart so: it may take what came before with it. */
        {{1, 40000, false, LIVE_CLOSE, 0},
         HTOK_RESPONSE_VALIDATION_ERROR,
         HTOK_REASON_BODY_TRUNCATED,
         HTOK_PHASE_BODY,
         0},
    };
    static const char *const many[] = {"--tokens", "300", NULL};
    unsigned target = live_start_emulator(TOKEN, many)->port;
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        struct live_rule rules[2];
        struct live_server *relay;
        memset(rules, 0, sizeof rules);
        rules[0] = cases[i].rule;
        rules[1].then = LIVE_KEEP;
        relay = live_start_relay(target, rules, 2);
        make_client(relay->url, 0, 0);
        if (cases[i].phase == HTOK_PHASE_BODY) {
            htok_get_org_tokens(client, NULL, NULL, NULL);
        } else {
            create("broken", NULL, 0);
        }
        expect(cases[i].kind, cases[i].reason, cases[i].phase);
        assert_int_equal(htok_client_error(client)->may_have_taken_effect, cases[i].may_have_taken_effect);
        assert_true(list() >= 300);
        htok_client_close(client);
        client = NULL;
        live_kill(relay->process);
    }
}

/* ---- Addresses. ---- */

static void add_address(unsigned last, bool six)
{
    htok_address *address = &names.addresses[names.count++];
    address->length = six ? 16 : 4;
    address->bytes[0] = six ? 0 : 127;
    address->bytes[address->length - 1] = (uint8_t)last;
}

/* The emulator at 127.0.0.1 alone, as other.test; the URL goes to it under that name. */
static struct live_server *start_other(char *url, size_t size)
{
    const char *other[] = {"--cert", live_certificate("wrong-name.pem"), "--key",
                           live_certificate("wrong-name.key"), NULL};
    struct live_server *server = live_start_emulator(TOKEN, other);
    snprintf(url, size, "https://other.test:%u", server->port);
    return server;
}

/* A socket that listens at 127.0.0.LAST and on whose queue there is no room: who connects hears nothing. */
static int listeners[8];
static size_t listener_count;

static unsigned fill(unsigned last, unsigned port)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), waiting = 0;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(0x7f000000u + last);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    listeners[listener_count++] = fd;
    while (waiting < 2) {
        struct pollfd entry;
        assert_true(listener_count < COUNT(listeners));
        entry.fd = listeners[listener_count++] =
            socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        entry.events = POLLOUT;
        assert_true(entry.fd >= 0);
        (void)connect(entry.fd, (struct sockaddr *)&address, sizeof address);
        waiting += poll(&entry, 1, 100) == 0;
    }
    return ntohs(address.sin_port);
}

static int teardown_filled(void **state)
{
    while (listener_count != 0) {
        close(listeners[--listener_count]);
    }
    return teardown(state);
}

static void addresses_that_refuse_give_way_to_the_last(void **state)
{
    char url[64];
    unsigned i;
    (void)state;
    start_other(url, sizeof url);
    make_client(url, 0, 0);
    for (i = 2; i < 2 + ADDRESSES - 1; i++) {
        add_address(i, false);
    }
    add_address(1, false);
    assert_int_equal(list(), 0);
    assert_int_equal(names.started, 1);
    assert_int_equal(names.cancelled, 1);
}

static void addresses_of_the_other_family_are_tried_too(void **state)
{
    char url[64];
    (void)state;
    start_other(url, sizeof url);
    make_client(url, 0, 0);
    add_address(1, true); /* nobody listens there */
    add_address(1, false);
    assert_int_equal(list(), 0);
}

static void addresses_beyond_the_documented_number_are_left_out(void **state)
{
    char url[64];
    unsigned i;
    (void)state;
    start_other(url, sizeof url);
    make_client(url, 0, 0);
    for (i = 2; i < 2 + ADDRESSES; i++) {
        add_address(i, false);
    }
    add_address(1, false);
    htok_get_org_tokens(client, NULL, NULL, NULL);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_CONNECT_FAILED, HTOK_PHASE_CONNECT);
    assert_int_equal(htok_client_error(client)->os_error, ECONNREFUSED);
}

static void silent_addresses_lose_to_a_later_one(void **state)
{
    char url[64];
    struct live_server *server;
    (void)state;
    server = start_other(url, sizeof url);
    fill(2, server->port);
    make_client(url, 60000, 60000);
    add_address(2, false);
    add_address(1, false);
    assert_int_equal(list(), 0);
}

static void addresses_that_are_all_silent_end_at_the_connect_deadline(void **state)
{
    char url[64];
    struct live_server *server;
    uint64_t began;
    (void)state;
    server = start_other(url, sizeof url);
    fill(2, server->port);
    make_client(url, 700, 60000);
    add_address(2, false);
    add_address(2, false);
    began = htoki_now_ms(client);
    htok_get_org_tokens(client, NULL, NULL, NULL);
    expect(HTOK_REQUEST_TIMEOUT_ERROR, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_CONNECT);
    assert_in_range(htoki_now_ms(client) - began, 0, 700 + SLACK_MS);
}

/* ---- Cancel and signals. ---- */

/* Entries of a folder of this process in Linux's /proc; 0 elsewhere. */
static unsigned count_entries(const char *folder)
{
    DIR *entries = opendir(folder);
    unsigned count = 0;
    while (entries && readdir(entries)) {
        count++;
    }
    if (entries) {
        closedir(entries);
    }
    return count;
}

/* Polls the call until it is in the stage, and for an exchange has read the head or not. */
static void poll_until(htoki_stage stage, bool final)
{
    uint64_t began = htoki_now_ms(client);
    while (client->stage != stage ||
           (stage == HTOKI_STAGE_EXCHANGE && (!client->sent_any || client->op.http.final != final))) {
        htok_wait wait = htok_client_wait(client);
        struct pollfd entry;
        htok_state pending = htok_client_poll(client);
        entry.fd = (int)wait.descriptor;
        entry.events = (short)((wait.readable ? POLLIN : 0) | (wait.writable ? POLLOUT : 0));
        assert_true(pending == HTOK_STATE_PENDING || pending == HTOK_STATE_ITEM);
        assert_true(htoki_now_ms(client) - began < LIVE_TIMEOUT_MS);
        if (client->stage != stage) {
            poll(&entry, 1, wait.timeout_ms < 10 ? (int)wait.timeout_ms : 10);
        }
    }
}

static void cancel_in_any_stage_leaves_no_descriptor(void **state)
{
    static const struct live_rule rules[] = {
        {0, 0, false, LIVE_WAIT, 0},     /* handshake */
        {1, 0, true, LIVE_WAIT, 0},      /* head */
        {1, 20000, false, LIVE_WAIT, 0}, /* body */
    };
    static const char *const many[] = {"--tokens", "300", NULL};
    char url[64];
    struct live_server *server = start_other(url, sizeof url), *big = live_start_emulator(TOKEN, many);
    size_t i;
    (void)state;
    fill(2, server->port);
    for (i = 0; i < 5; i++) {
        static const htoki_stage stages[] = {HTOKI_STAGE_CONNECT, HTOKI_STAGE_CONNECT, HTOKI_STAGE_HANDSHAKE,
                                             HTOKI_STAGE_EXCHANGE, HTOKI_STAGE_EXCHANGE};
        struct live_server *relay = i < 2 ? NULL : live_start_relay(big->port, &rules[i - 2], 1);
        unsigned before;
        names.count = 0;
        if (i == 1) {
            add_address(2, false);
            add_address(2, false);
        }
        make_client(relay ? relay->url : url, 60000, 60000);
        before = count_entries("/proc/self/fd");
        assert_int_equal(htok_get_org_tokens_start(client, NULL), HTOK_OK);
        poll_until(stages[i], i == 4);
        htok_client_cancel(client);
        assert_int_equal(htok_client_poll(client), HTOK_STATE_FAILED);
        assert_int_equal(htok_client_error(client)->kind, HTOK_REQUEST_ABORTED_ERROR);
        assert_int_equal(count_entries("/proc/self/fd"), before);
        if (relay) {
            await_lines(relay, "CLIENT CLOSED\n", 1);
        }
        htok_client_close(client);
        client = NULL;
    }
    assert_int_equal(names.started, names.cancelled);
}

/* The end of both outputs shows that no child of the tool is left: it would keep them. */
static void signals_end_the_tool_in_any_phase(void **state)
{
    static const struct live_rule rules[] = {
        {0, 0, false, LIVE_WAIT, 0}, {1, 0, true, LIVE_WAIT, 0}, {1, 20000, false, LIVE_WAIT, 0}};
    static const char *const many[] = {"--tokens", "300", NULL};
    static const int numbers[] = {SIGINT, SIGTERM};
    unsigned target = live_start_emulator(TOKEN, many)->port, full = fill(1, 0);
    size_t i, n;
    (void)state;
    for (i = 0; i < 4; i++) {
        for (n = 0; n < COUNT(numbers); n++) {
            struct live_server *relay = i ? live_start_relay(target, &rules[i - 1], 1) : NULL;
            const char *argv[] = {live_tool(), "-v",         "--org", "org-1",     "--token",
                                  TOKEN,       "--endpoint", NULL,    "--ca-file", live_certificate("ca.pem"),
                                  "list",      NULL};
            char url[64];
            struct live_command command;
            struct live_process *process;
            snprintf(url, sizeof url, "https://127.0.0.1:%u", full);
            argv[7] = relay ? relay->url : url;
            memset(&command, 0, sizeof command);
            command.argv = argv;
            process = live_start(&command);
            live_await_error(process, i < 1 ? "GET /" : i < 2 ? "connected to" : "TLS established", 0);
            if (i >= 2) {
                live_await_output(relay->process, "RECORD\n", 0);
            }
            live_signal(process, numbers[n]);
            live_end(process);
            assert_int_equal(process->status, 128 + numbers[n]);
            assert_string_equal(process->out.ptr, "");
            assert_true(live_contains(&process->err, "RequestAbortedError"));
            assert_false(live_contains(&process->err, TOKEN));
            if (relay) {
                await_lines(relay, "CLIENT CLOSED\n", 1);
            }
        }
    }
}

#define TEST(name)        cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_FILLED(name) cmocka_unit_test_setup_teardown(name, setup, teardown_filled)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(operations_share_a_connection_and_its_handshake),
        TEST(tool_revokes_many_ids_over_one_connection),
        TEST(idle_connection_that_the_server_closed_is_replaced_and_the_session_resumed),
        TEST(server_may_restart_between_calls),
        TEST(server_that_stays_down_is_told_and_found_again),
        TEST(kept_connection_that_dies_repeats_all_but_a_create),
        TEST(silent_or_dripping_server_ends_at_the_deadline),
        TEST(broken_connection_is_told_by_where_it_broke),
        TEST(addresses_that_refuse_give_way_to_the_last),
        TEST(addresses_of_the_other_family_are_tried_too),
        TEST(addresses_beyond_the_documented_number_are_left_out),
        TEST_FILLED(silent_addresses_lose_to_a_later_one),
        TEST_FILLED(addresses_that_are_all_silent_end_at_the_connect_deadline),
        TEST_FILLED(cancel_in_any_stage_leaves_no_descriptor),
        TEST_FILLED(signals_end_the_tool_in_any_phase),
    };
    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
