/* examples/lwip_transport.h over the real lwIP, and what goes wrong there. */
#define HATHORA_TOKENS_IMPLEMENTATION
#define HATHORA_TOKENS_NO_SOCKETS
#define HATHORA_TOKENS_NO_CLOCK
#define HATHORA_TOKENS_NO_ENTROPY
#include "lwip_transport.h"
#include "board.h"
#include "network.h"

#include <lwip/sys.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { PASSES = 200000 }; /* of the loop, a millisecond each: longer than any time-out, and than TIME-WAIT */

static lwip_stream stream;
static htok_client *client;
static htok_client_options options;
static unsigned listed;

static uint64_t milliseconds(void *unused)
{
    (void)unused;
    return sys_now();
}

static htok_kind go_on(unsigned passes)
{
    htok_state state = HTOK_STATE_PENDING;
    while (passes-- != 0 && (state == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM)) {
        board_network();
        state = htok_client_poll(client);
        listed += state == HTOK_STATE_ITEM;
    }
    return htok_client_error(client)->kind;
}

static htok_kind list(void)
{
    listed = 0;
    assert_int_equal(htok_get_org_tokens_start(client, NULL), HTOK_OK);
    return go_on(PASSES);
}

static int begin(void **state)
{
    static unsigned char memory[HTOK_CLIENT_BYTES];
    static htok_transport transport;
    static const htok_clock clock = {NULL, milliseconds, board_unix_seconds};
    static const htok_entropy entropy = {NULL, board_random};
    (void)state;
    memset(&network, 0, sizeof network);
    network_packets = network_connections = network_lookups = 0;
    memset(&options, 0, sizeof options);
    transport = lwip_transport(&stream);
    options.server_url = "https://tokens.example.test";
    options.org_id = "org-1";
    options.token = "dev-token";
    options.trust = board_roots();
    options.transport = &transport;
    options.clock = &clock;
    options.entropy = &entropy;
    return htok_client_init(&client, memory, sizeof memory, &options, NULL) == HTOK_OK ? 0 : -1;
}

/* Once TIME-WAIT is over, all that lwIP gave is back. */
static int end(void **state)
{
    unsigned i;
    (void)state;
    htok_client_close(client);
    memset(&network, 0, sizeof network);
    for (i = 0; i < PASSES; i++) {
        board_network();
    }
    if (network_in_use() != 0) {
        print_error("%lu of lwIP's are still in use\n", (unsigned long)network_in_use());
        return -1;
    }
    return 0;
}

static void expect(htok_kind kind, htok_reason reason, htok_phase phase, int os_error)
{
    const htok_error *error = htok_client_error(client);
    char line[512];
    htok_error_format(error, line, sizeof line);
    if (error->kind != kind || error->reason != reason || error->phase != phase ||
        error->os_error != os_error) {
        fail_msg("%s (phase %d, error %d)", line, (int)error->phase, error->os_error);
    }
}

static void calls_share_one_connection(void **state)
{
    htok_create_org_token_request request = {0};
    unsigned i;
    (void)state;
    request.name = "board";
    assert_int_equal(htok_create_org_token_start(client, &request, NULL), HTOK_OK);
    assert_int_equal(go_on(PASSES), HTOK_OK);
    /* More than lwIP's window in all. */
    for (i = 0; i < 10; i++) {
        assert_int_equal(list(), HTOK_OK);
        assert_int_equal(listed, 1);
    }
    assert_int_equal(network_connections, 1);
    assert_int_equal(network_lookups, 1);
}

static void lost_packets_are_sent_again(void **state)
{
    unsigned lose;
    (void)state;
    options.timeout_ms = HTOK_NO_TIMEOUT;
    for (lose = 3; lose < 12; lose++) {
        network.lose = lose;
        assert_int_equal(list(), HTOK_OK);
        htok_client_close(client);
        assert_int_equal(begin(NULL), 0);
    }
}

static void an_answer_in_small_pieces_is_read(void **state)
{
    (void)state;
    network.small_pieces = true;
    assert_int_equal(list(), HTOK_OK);
}

static void an_unknown_name_is_a_failed_lookup(void **state)
{
    htok_call_options other = {0};
    (void)state;
    other.server_url = "https://other.example.test";
    assert_int_equal(htok_get_org_tokens_start(client, &other), HTOK_OK);
    go_on(PASSES);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_LOOKUP_FAILED, HTOK_PHASE_LOOKUP, 0);
    assert_int_equal(list(), HTOK_OK);
}

static void a_silent_name_server_is_a_failed_lookup(void **state)
{
    htok_call_options other = {0};
    (void)state;
    network.silent_names = true;
    other.server_url = "https://silent.example.test";
    assert_int_equal(htok_get_org_tokens_start(client, &other), HTOK_OK);
    go_on(PASSES);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_LOOKUP_FAILED, HTOK_PHASE_LOOKUP, 0);
}

static void a_lookup_that_was_given_up_does_no_harm(void **state)
{
    htok_call_options other = {0};
    (void)state;
    other.server_url = "https://late.example.test";
    network.silent_names = true;
    assert_int_equal(htok_get_org_tokens_start(client, &other), HTOK_OK);
    go_on(5);
    htok_client_cancel(client);
    expect(HTOK_REQUEST_ABORTED_ERROR, HTOK_REASON_CANCELLED, HTOK_PHASE_NONE, 0);
    /* Both names are asked for again, and the late one is answered first: there is no such name. */
    assert_int_equal(htok_get_org_tokens_start(client, NULL), HTOK_OK);
    go_on(5);
    network.silent_names = false;
    assert_int_equal(go_on(PASSES), HTOK_OK);
}

static void a_numeric_address_is_not_looked_up(void **state)
{
    htok_call_options other = {0};
    (void)state;
    other.server_url = "https://127.0.0.1";
    assert_int_equal(htok_get_org_tokens_start(client, &other), HTOK_OK);
    go_on(PASSES);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_CERTIFICATE_NAME, HTOK_PHASE_HANDSHAKE, 0);
    assert_int_equal(network_lookups, 0);
    assert_int_equal(network_connections, 1);
}

/* Not the next poll but the start itself: what lwip_transport.h says of locks rests on it. */
static void a_start_for_another_server_closes_the_connection(void **state)
{
    htok_call_options other = {0};
    (void)state;
    assert_int_equal(list(), HTOK_OK);
    assert_non_null(stream.pcb);
    other.server_url = "https://other.example.test";
    assert_int_equal(htok_get_org_tokens_start(client, &other), HTOK_OK);
    assert_null(stream.pcb);
}

static void a_refused_port_is_told(void **state)
{
    (void)state;
    network.no_listener = true;
    list();
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_CONNECT_FAILED, HTOK_PHASE_CONNECT, ERR_RST);
}

static void a_reset_is_told_as_such(void **state)
{
    (void)state;
    network.reset_after = 1;
    list();
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_RECEIVE_FAILED, HTOK_PHASE_HANDSHAKE, ERR_RST);
}

static void an_early_end_is_told_as_such(void **state)
{
    (void)state;
    network.close_after = 1;
    list();
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_TLS_CLOSED, HTOK_PHASE_HANDSHAKE, 0);
}

static void a_call_may_be_cancelled_at_any_time(void **state)
{
    unsigned passes = 1, done = 0, i;
    (void)state;
    network.small_pieces = true;
    for (; !done; passes += 7) {
        assert_int_equal(htok_get_org_tokens_start(client, NULL), HTOK_OK);
        done = go_on(passes) == HTOK_OK && htok_client_poll(client) == HTOK_STATE_DONE;
        for (i = 0; i < 300; i++) {
            board_network(); /* what comes now, after an acknowledgement that lwIP delays, is not read any more */
        }
        htok_client_cancel(client);
        htok_client_close(client);
        assert_int_equal(begin(NULL), 0);
        network.small_pieces = true;
    }
    assert_true(passes > 100);
}

static int start_network(void **state)
{
    (void)state;
    board_network_start();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(calls_share_one_connection, begin, end),
        cmocka_unit_test_setup_teardown(lost_packets_are_sent_again, begin, end),
        cmocka_unit_test_setup_teardown(an_answer_in_small_pieces_is_read, begin, end),
        cmocka_unit_test_setup_teardown(an_unknown_name_is_a_failed_lookup, begin, end),
        cmocka_unit_test_setup_teardown(a_silent_name_server_is_a_failed_lookup, begin, end),
        cmocka_unit_test_setup_teardown(a_lookup_that_was_given_up_does_no_harm, begin, end),
        cmocka_unit_test_setup_teardown(a_numeric_address_is_not_looked_up, begin, end),
        cmocka_unit_test_setup_teardown(a_start_for_another_server_closes_the_connection, begin, end),
        cmocka_unit_test_setup_teardown(a_refused_port_is_told, begin, end),
        cmocka_unit_test_setup_teardown(a_reset_is_told_as_such, begin, end),
        cmocka_unit_test_setup_teardown(an_early_end_is_told_as_such, begin, end),
        cmocka_unit_test_setup_teardown(a_call_may_be_cancelled_at_any_time, begin, end),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests_name("lwip", tests, start_network, NULL);
}
