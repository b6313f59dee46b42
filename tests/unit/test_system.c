/* The default hooks: files, and the wait of the blocking calls. Faults of the system are in test_faults.c. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static struct fake_poll_call {
    struct pollfd entry;
    nfds_t count;
    int timeout, calls;
    int error; /* with which it fails */
} polled;

static int fake_poll(struct pollfd *entries, nfds_t count, int timeout)
{
    polled.entry = entries[0];
    polled.count = count;
    polled.timeout = timeout;
    polled.calls++;
    errno = polled.error;
    return polled.error ? -1 : 0;
}

#define poll fake_poll

#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

static bool wait_for(intptr_t descriptor, bool readable, bool writable, uint32_t timeout_ms)
{
    htok_wait wait;
    wait.descriptor = descriptor;
    wait.readable = readable;
    wait.writable = writable;
    wait.timeout_ms = timeout_ms;
    memset(&polled, 0, sizeof polled.entry);
    polled.calls = 0;
    return htoki_system_wait(&wait);
}

static void waits_are_for_a_direction_or_a_time(void **state)
{
    static const struct {
        intptr_t descriptor;
        bool readable, writable;
        uint32_t timeout_ms;
        int fd;
        short events;
        int timeout;
    } rows[] = {
        {7, true, false, UINT32_MAX, 7, POLLIN, -1},
        {7, false, true, 20, 7, POLLOUT, 20},
        {0, true, true, 0, 0, POLLIN | POLLOUT, 0},
        {7, true, false, 0x7ffffffe, 7, POLLIN, 0x7ffffffe},
        {7, true, false, 0x7fffffff, 7, POLLIN, 0x7fffffff},
        {7, true, false, UINT32_MAX - 1, 7, POLLIN, 0x7fffffff},
        {7, false, false, 30, -1, 0, 30},
        {-1, true, true, 30, -1, POLLIN | POLLOUT, 30},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char label[16];
        snprintf(label, sizeof label, "row %d", (int)i);
        check(wait_for(rows[i].descriptor, rows[i].readable, rows[i].writable, rows[i].timeout_ms), "%s",
              label);
        check_number(polled.calls, 1, label);
        check_number(polled.count, rows[i].fd >= 0, label);
        check_number(polled.entry.fd, rows[i].fd, label);
        check_number(polled.entry.events, rows[i].events, label);
        check_number(polled.timeout, rows[i].timeout, label);
    }
}

static void a_wait_for_nothing_is_refused(void **state)
{
    (void)state;
    assert_false(wait_for(-1, true, true, UINT32_MAX));
    assert_false(wait_for(7, false, false, UINT32_MAX));
    assert_int_equal(polled.calls, 0);
}

static void a_wait_that_a_signal_ends_is_over_and_one_that_the_system_refuses_has_failed(void **state)
{
    (void)state;
    polled.error = EINTR;
    assert_true(wait_for(7, true, false, 20));
    polled.error = EINVAL;
    assert_false(wait_for(7, true, false, 20));
    polled.error = 0;
}

static void a_file_is_read_whole_or_known_to_be_longer(void **state)
{
    char path[] = "/tmp/hathora-tokens-XXXXXX", buffer[8];
    int file = mkstemp(path), os_error = -1;
    (void)state;
    assert_true(file >= 0);
    assert_int_equal(write(file, "1234567", 7), 7);
    assert_int_equal(close(file), 0);
    assert_int_equal(htoki_file_read(NULL, path, buffer, 8, &os_error), 7);
    assert_memory_equal(buffer, "1234567", 7);
    assert_int_equal(htoki_file_read(NULL, path, buffer, 7, &os_error), 7);
    assert_int_equal(os_error, 0);
    assert_int_equal(htoki_file_read(NULL, path, buffer, 6, &os_error), 7);
    assert_int_equal(htoki_file_read(NULL, path, buffer, 1, &os_error), 2);
    assert_int_equal(os_error, 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(htoki_file_read(NULL, path, buffer, 8, &os_error), -1);
    assert_int_equal(os_error, ENOENT);
    assert_int_equal(htoki_file_read(NULL, "/", buffer, 8, &os_error), -1);
    assert_int_equal(os_error, EISDIR);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_are_for_a_direction_or_a_time),
        cmocka_unit_test(a_wait_for_nothing_is_refused),
        cmocka_unit_test(a_wait_that_a_signal_ends_is_over_and_one_that_the_system_refuses_has_failed),
        cmocka_unit_test(a_file_is_read_whole_or_known_to_be_longer),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
