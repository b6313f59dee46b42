/* The default hooks: files, and the wait of the blocking calls. Faults of the system are in test_faults.c. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/types.h>
#include <unistd.h>

#include "framework.h"

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

/* Random bytes that count up, a few at a time, behind some interrupts. */
static struct random_source {
    int call_error; /* of getrandom(), once it gave call_bytes */
    size_t call_bytes;
    unsigned call_interrupts, device_interrupts;
    bool no_device;
    int device_open;
    size_t most, given; /* bytes of one step; 0: all */
} source;

static ssize_t random_step(void *bytes, size_t size, unsigned *interrupts, size_t left)
{
    size_t i;
    if (*interrupts != 0) {
        --*interrupts;
        errno = EINTR;
        return -1;
    }
    size = source.most != 0 && size > source.most ? source.most : size;
    size = size > left ? left : size;
    for (i = 0; i < size; i++) {
        ((unsigned char *)bytes)[i] = (unsigned char)++source.given;
    }
    return (ssize_t)size;
}

__attribute__((unused)) static ssize_t fake_getrandom(void *bytes, size_t size, unsigned flags)
{
    assert_int_equal(flags, GRND_NONBLOCK);
    if (source.given == source.call_bytes && source.call_interrupts == 0) {
        errno = source.call_error;
        return -1;
    }
    return random_step(bytes, size, &source.call_interrupts, source.call_bytes - source.given);
}

static int fake_open(const char *path, int flags)
{
    assert_string_equal(path, "/dev/urandom");
    assert_true((flags & O_CLOEXEC) != 0);
    source.device_open += !source.no_device;
    return source.no_device ? -1 : 50;
}

static ssize_t fake_read(int fd, void *bytes, size_t size)
{
    assert_int_equal(fd, 50);
    assert_true(size <= 256);
    return random_step(bytes, size, &source.device_interrupts, size);
}

static int fake_close(int fd)
{
    assert_int_equal(fd, 50);
    source.device_open--;
    return 0;
}

#define poll      fake_poll
#define getrandom fake_getrandom
#define open      fake_open
#define read      fake_read
#define close     fake_close

#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

#undef open
#undef read
#undef close

static void random_bytes_come_whole_from_the_call_or_the_device(void **state)
{
    static const struct {
        struct random_source source;
        bool ok;
    } rows[] = {
        {{ENOSYS, 1000, 0, 0, true, 0, 0, 0}, true},
        {{ENOSYS, 1000, 0, 0, true, 0, 7, 0}, true},
        {{ENOSYS, 1000, 100, 0, true, 0, 0, 0}, true},
        {{ENOSYS, 1000, 101, 0, true, 0, 0, 0}, false},
        {{ENOSYS, 0, 0, 0, true, 0, 0, 0}, false},
        {{EAGAIN, 0, 0, 0, false, 0, 0, 0}, false}, /* not seeded since boot */
        {{EAGAIN, 200, 0, 0, false, 0, 0, 0}, false},
        {{ENOSYS, 0, 0, 0, false, 0, 0, 0}, true},
        {{ENOSYS, 0, 0, 0, false, 0, 9, 0}, true},
        {{ENOSYS, 123, 0, 0, false, 0, 9, 0}, true},
        {{ENOSYS, 0, 0, 100, false, 0, 0, 0}, true},
        {{ENOSYS, 0, 0, 101, false, 0, 0, 0}, false},
        {{ENOSYS, 0, 200, 100, false, 0, 0, 0}, true},
    };
    size_t i, at;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unsigned char bytes[602];
        char label[16];
        snprintf(label, sizeof label, "row %d", (int)i);
        memset(bytes, 0xee, sizeof bytes);
        source = rows[i].source;
        check_number(htoki_entropy_fill(NULL, bytes + 1, 600), rows[i].ok, label);
        for (at = 0; at < 600 && rows[i].ok; at++) {
            check(bytes[1 + at] == (unsigned char)(at + 1), "%s: byte %d", label, (int)at);
        }
        check(bytes[0] == 0xee && bytes[601] == 0xee, "%s: outside", label);
        check_number(source.device_open, 0, label);
    }
}

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

/* A pipe, as a shell's <(...) is one, would go on where the first attempt ended. */
static void what_cannot_be_read_again_is_not_read_in_part(void **state)
{
    char path[32], buffer[8];
    size_t size;
    (void)state;
    for (size = 6; size <= 8; size++) {
        int ends[2], os_error = -1;
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], "1234567", 7), 7);
        assert_int_equal(close(ends[1]), 0);
        snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
        assert_int_equal(htoki_file_read(NULL, path, buffer, size, &os_error), size < 7 ? -1 : 7);
        assert_int_equal(os_error, size < 7 ? ESPIPE : 0);
        assert_int_equal(close(ends[0]), 0);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bytes_come_whole_from_the_call_or_the_device),
        cmocka_unit_test(waits_are_for_a_direction_or_a_time),
        cmocka_unit_test(a_wait_for_nothing_is_refused),
        cmocka_unit_test(a_wait_that_a_signal_ends_is_over_and_one_that_the_system_refuses_has_failed),
        cmocka_unit_test(a_file_is_read_whole_or_known_to_be_longer),
        cmocka_unit_test(what_cannot_be_read_again_is_not_read_in_part),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("system", tests, NULL, NULL);
}
