/* The built-in transport and look-up by themselves: what the client above them never asks, and what hooks and systems
   seldom do. The system's calls are macros while the header is read; faults of them are in test_faults.c. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "framework.h"

enum { FAKE_FD = 100, ADDRESSES = 16, INTERRUPTS = 100 }; /* the last two as the header has them */

static struct fake {
    int connect_errors[8]; /* of each connect() in turn; 0: connected */
    unsigned connects;
    int open;     /* descriptors */
    int settled;  /* 1 + number of the socket whose connect has ended; 0: none has */
    int so_error; /* with which it ended */
    int lookup;   /* what getaddrinfo() returns */
    int lookup_errno;
    struct addrinfo *list;
    bool pair_fails, worker_waits;
    void *(*worker)(void *argument);
    void *worker_argument;
    int move_error; /* of send() and recv(); 0: bytes move */
    unsigned moves;
} fake;

static int fake_socket(int family, int type, int protocol)
{
    assert_true(family == AF_INET || family == AF_INET6);
    assert_true((type & SOCK_STREAM) == SOCK_STREAM && protocol == IPPROTO_TCP);
    fake.open++;
    return FAKE_FD + (int)fake.connects;
}

static int fake_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    assert_true(fd == FAKE_FD + (int)fake.connects && address != NULL && size != 0);
    errno = fake.connect_errors[fake.connects++];
    return errno ? -1 : 0;
}

static int fake_poll(struct pollfd *entries, nfds_t count, int timeout)
{
    assert_true(count == 1 && timeout == 0);
    entries[0].revents = entries[0].fd == FAKE_FD + fake.settled - 1 ? POLLOUT : 0;
    return entries[0].revents ? 1 : 0;
}

static int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    assert_true(fd == FAKE_FD + fake.settled - 1 && level == SOL_SOCKET && name == SO_ERROR);
    assert_true(*size == sizeof fake.so_error);
    memcpy(value, &fake.so_error, sizeof fake.so_error);
    return 0;
}

static int fake_close(int fd)
{
    assert_true(fd >= FAKE_FD && fake.open > 0);
    fake.open--;
    return 0;
}

static int fake_socketpair(int family, int type, int protocol, int ends[2])
{
    (void)family;
    (void)type;
    (void)protocol;
    if (fake.pair_fails) {
        errno = EMFILE;
        return -1;
    }
    ends[0] = FAKE_FD + 10;
    ends[1] = FAKE_FD + 11;
    fake.open += 2;
    return 0;
}

static int fake_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                            struct addrinfo **list)
{
    assert_true(name[0] != '\0' && service == NULL && hints->ai_socktype == SOCK_STREAM);
    *list = fake.list;
    errno = fake.lookup_errno;
    return fake.lookup;
}

static void fake_run_worker(void)
{
    void *(*worker)(void *argument) = fake.worker;
    fake.worker = NULL;
    assert_null(worker(fake.worker_argument));
}

static int fake_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*worker)(void *),
                               void *argument)
{
    assert_true(thread != NULL && attributes != NULL);
    fake.worker = worker;
    fake.worker_argument = argument;
    if (!fake.worker_waits) {
        fake_run_worker();
    }
    return 0;
}

static ssize_t fake_move(size_t len)
{
    fake.moves++;
    errno = fake.move_error;
    return fake.move_error ? -1 : (ssize_t)len;
}

static ssize_t fake_send(int fd, const void *bytes, size_t len, int flags)
{
    assert_true(fd >= FAKE_FD && bytes != NULL && (flags & MSG_NOSIGNAL) != 0);
    return fake_move(len);
}

static ssize_t fake_recv(int fd, void *bytes, size_t size, int flags)
{
    assert_true(fd >= FAKE_FD && bytes != NULL && flags == 0);
    return fake_move(size);
}

#define socket(family, type, protocol)              fake_socket(family, type, protocol)
#define connect                                     fake_connect
#define poll                                        fake_poll
#define setsockopt(fd, level, name, value, size)    ((void)(value), 0)
#define getsockopt(fd, level, name, value, size)    fake_getsockopt(fd, level, name, value, size)
#define close                                       fake_close
#define send                                        fake_send
#define recv(fd, bytes, size, flags)                fake_recv(fd, bytes, size, flags)
#define socketpair(family, type, protocol, ends)    fake_socketpair(family, type, protocol, ends)
#define shutdown(fd, how)                           ((void)(fd), 0)
#define getaddrinfo(name, service, hints, list)     fake_getaddrinfo(name, service, hints, list)
#define freeaddrinfo(list)                          ((void)(list))
#define pthread_create(thread, attributes, main, a) fake_pthread_create(thread, attributes, main, a)

#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

/* The room by itself, with a resolver of the caller's or its own. */
typedef struct room {
    htoki_net net;
    htoki_race race;
    htok_transport transport;
    unit_memory memory;
    htok_allocator allocator;
    htok_io_detail detail;
} room;

static void begin(room *r, const htok_resolver *resolver)
{
    memset(&fake, 0, sizeof fake);
    memset(r, 0, sizeof *r);
    memset(&r->race, 4, sizeof r->race); /* it may hold anything */
    r->allocator.context = &r->memory;
    r->allocator.allocate = unit_allocate;
    r->allocator.release = unit_release;
    htoki_net_init(&r->net, resolver, &r->allocator, &r->race, &r->transport);
}

static void end(room *r)
{
    r->transport.close(r->transport.context);
    assert_int_equal(fake.open, 0);
    assert_int_equal(r->memory.bytes_out, 0);
}

static htok_io open_host(room *r, const char *host)
{
    return r->transport.open(r->transport.context, host, 443, &r->detail);
}

static htok_io connect_at(room *r, uint64_t now_ms)
{
    return r->transport.connect(r->transport.context, now_ms, &r->detail);
}

static void begin_connected(room *r, const htok_resolver *resolver)
{
    begin(r, resolver);
    assert_int_equal(open_host(r, "192.0.2.1"), HTOK_IO_OK);
    assert_int_equal(connect_at(r, 0), HTOK_IO_OK);
}

static uint32_t wait_ms(room *r, uint32_t limit_ms, htok_wait *wait)
{
    memset(wait, 0, sizeof *wait);
    wait->timeout_ms = limit_ms;
    r->transport.wait(r->transport.context, wait);
    return wait->timeout_ms;
}

static void failed_with(room *r, htok_io io, htok_phase phase, int os_error)
{
    assert_int_equal(io, HTOK_IO_FAILED);
    assert_int_equal(r->detail.phase, phase);
    assert_int_equal(r->detail.os_error, os_error);
}

/* ---- A resolver that is scripted. ---- */

typedef struct hook {
    htok_io start, poll;
    htok_address addresses[40];
    size_t count; /* which it claims */
    unsigned cancels;
} hook;

static htok_io hook_start(void *context, const char *host, htok_io_detail *detail)
{
    assert_string_equal(host, "name.test");
    detail->os_error = 77;
    return ((hook *)context)->start;
}

static htok_io hook_poll(void *context, htok_address *addresses, size_t capacity, size_t *count,
                         htok_io_detail *detail)
{
    const hook *h = (const hook *)context;
    memcpy(addresses, h->addresses, capacity * sizeof addresses[0]);
    *count = h->count;
    detail->os_error = 78;
    return h->poll;
}

static void hook_cancel(void *context)
{
    ((hook *)context)->cancels++;
}

static void hook_wait(void *context, htok_wait *wait)
{
    (void)context;
    wait->descriptor = 9;
    wait->timeout_ms = 5;
}

static htok_resolver hook_begin(hook *h)
{
    htok_resolver resolver;
    size_t i;
    memset(h, 0, sizeof *h);
    memset(&resolver, 0, sizeof resolver);
    resolver.context = h;
    resolver.start = hook_start;
    resolver.poll = hook_poll;
    resolver.cancel = hook_cancel;
    for (i = 0; i < UNIT_COUNT(h->addresses); i++) {
        h->addresses[i].length = 4;
        h->addresses[i].bytes[3] = (uint8_t)i;
    }
    return resolver;
}

static void without_a_resolver_only_addresses_are_reached(void **state)
{
    htok_resolver none;
    room r;
    (void)state;
    memset(&none, 0, sizeof none);
    begin(&r, &none);
    failed_with(&r, open_host(&r, "name.test"), HTOK_PHASE_LOOKUP, 0);
    end(&r);
    begin_connected(&r, &none);
    end(&r);
}

static void a_resolver_that_fails_to_begin_or_to_end_is_told(void **state)
{
    hook h;
    htok_resolver resolver = hook_begin(&h);
    room r;
    (void)state;
    h.start = HTOK_IO_FAILED;
    begin(&r, &resolver);
    failed_with(&r, open_host(&r, "name.test"), HTOK_PHASE_LOOKUP, 77);
    end(&r);
    h.start = HTOK_IO_CLOSED;
    begin(&r, &resolver);
    failed_with(&r, open_host(&r, "name.test"), HTOK_PHASE_LOOKUP, 77);
    end(&r);
    assert_int_equal(h.cancels, 0);
    h.start = HTOK_IO_OK;
    h.poll = HTOK_IO_CLOSED;
    begin(&r, &resolver);
    assert_int_equal(open_host(&r, "name.test"), HTOK_IO_OK);
    failed_with(&r, connect_at(&r, 0), HTOK_PHASE_LOOKUP, 78);
    end(&r);
    assert_int_equal(h.cancels, 1);
}

static void of_a_resolvers_addresses_only_whole_ones_count(void **state)
{
    hook h;
    htok_resolver resolver = hook_begin(&h);
    size_t i;
    room r;
    (void)state;
    h.poll = HTOK_IO_OK;
    h.count = UNIT_COUNT(h.addresses); /* more than it was asked for */
    h.addresses[0].length = 0;
    h.addresses[1].length = 5;
    h.addresses[2].length = 16;
    begin(&r, &resolver);
    for (i = 0; i < UNIT_COUNT(fake.connect_errors); i++) {
        fake.connect_errors[i] = EINPROGRESS;
    }
    assert_int_equal(open_host(&r, "name.test"), HTOK_IO_OK);
    assert_int_equal(connect_at(&r, 0), HTOK_IO_AGAIN);
    assert_int_equal(r.net.count, ADDRESSES - 2);
    assert_int_equal(r.race.addresses[0].length, 16);
    assert_int_equal(r.race.addresses[1].bytes[3], 3);
    end(&r);
    for (i = 0; i < UNIT_COUNT(h.addresses); i++) {
        h.addresses[i].length = 17;
    }
    begin(&r, &resolver);
    assert_int_equal(open_host(&r, "name.test"), HTOK_IO_OK);
    failed_with(&r, connect_at(&r, 0), HTOK_PHASE_LOOKUP, 0);
    end(&r);
}

/* RFC 8305 section 4. */
static void the_families_of_a_resolvers_addresses_take_turns(void **state)
{
    static const struct {
        const char *given, *tried; /* 4 and 6 for the families */
        const char *order;
    } rows[] = {
        {"44466", "46464", "03142"}, {"66444", "64644", "02134"}, {"464", "464", "012"},
        {"444", "444", "012"},       {"4446", "4644", "0312"},    {"6", "6", "0"},
        {"4466", "4646", "0213"},
    };
    size_t i, n;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        hook h;
        htok_resolver resolver = hook_begin(&h);
        room r;
        h.poll = HTOK_IO_OK;
        h.count = strlen(rows[i].given);
        for (n = 0; n < h.count; n++) {
            h.addresses[n].length = rows[i].given[n] == '4' ? 4 : 16;
        }
        begin(&r, &resolver);
        fake.connect_errors[0] = EINPROGRESS;
        assert_int_equal(open_host(&r, "name.test"), HTOK_IO_OK);
        assert_int_equal(connect_at(&r, 0), HTOK_IO_AGAIN);
        check_number(r.net.count, h.count, rows[i].given);
        for (n = 0; n < h.count; n++) {
            check_number(r.race.addresses[n].length, rows[i].tried[n] == '4' ? 4 : 16, rows[i].given);
            check_number(r.race.addresses[n].bytes[3], rows[i].order[n] - '0', rows[i].given);
        }
        end(&r);
    }
}

static void a_resolver_without_a_wait_is_looked_at_every_ten_ms(void **state)
{
    hook h;
    htok_resolver resolver = hook_begin(&h);
    htok_wait wait;
    room r;
    (void)state;
    h.poll = HTOK_IO_AGAIN;
    begin(&r, &resolver);
    assert_int_equal(open_host(&r, "name.test"), HTOK_IO_OK);
    assert_int_equal(connect_at(&r, 0), HTOK_IO_AGAIN);
    assert_int_equal(wait_ms(&r, 5000, &wait), 10);
    assert_int_equal(wait.descriptor, -1);
    assert_int_equal(wait_ms(&r, 10, &wait), 10);
    assert_int_equal(wait_ms(&r, 9, &wait), 9);
    end(&r);
    resolver.wait = hook_wait;
    begin(&r, &resolver);
    assert_int_equal(open_host(&r, "name.test"), HTOK_IO_OK);
    assert_int_equal(wait_ms(&r, 5000, &wait), 5);
    assert_int_equal(wait.descriptor, 9);
    end(&r);
    assert_int_equal(h.cancels, 2);
}

/* ---- The built-in look-up. ---- */

static void a_name_that_does_not_fit_is_not_looked_up(void **state)
{
    char name[300];
    room r;
    (void)state;
    memset(name, 'n', sizeof name);
    begin(&r, NULL);
    name[256] = '\0';
    failed_with(&r, open_host(&r, name), HTOK_PHASE_LOOKUP, EAI_NONAME);
    name[255] = '\0';
    assert_int_equal(open_host(&r, name), HTOK_IO_OK);
    failed_with(&r, connect_at(&r, 0), HTOK_PHASE_LOOKUP, EAI_NONAME); /* no address */
    end(&r);
}

static void a_look_up_without_memory_fails(void **state)
{
    static const htok_allocator none = {NULL, NULL, NULL};
    htok_resolver resolver;
    htoki_lookup lookup;
    htok_io_detail detail;
    room r;
    (void)state;
    begin(&r, NULL);
    r.memory.fail_at = 1;
    failed_with(&r, open_host(&r, "name.test"), HTOK_PHASE_LOOKUP, EAI_MEMORY);
    end(&r);
    htoki_lookup_init(&lookup, &none, &resolver); /* as with HATHORA_TOKENS_NO_STDLIB */
    assert_int_equal(resolver.start(resolver.context, "name.test", &detail), HTOK_IO_FAILED);
    assert_int_equal(detail.os_error, EAI_MEMORY);
}

static void a_failed_look_up_tells_the_systems_error_where_there_is_one(void **state)
{
    static const struct {
        int result, error, told;
    } rows[] = {{EAI_SYSTEM, EMFILE, EMFILE}, {EAI_SYSTEM, 0, EAI_SYSTEM}, {EAI_FAIL, EMFILE, EAI_FAIL}};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        room r;
        begin(&r, NULL);
        fake.lookup = rows[i].result;
        fake.lookup_errno = rows[i].error;
        assert_int_equal(open_host(&r, "name.test"), HTOK_IO_OK);
        failed_with(&r, connect_at(&r, 0), HTOK_PHASE_LOOKUP, rows[i].told);
        end(&r);
    }
}

static void a_look_up_without_a_descriptor_is_looked_at_every_ten_ms(void **state)
{
    htok_wait wait;
    room r;
    (void)state;
    begin(&r, NULL);
    fake.pair_fails = fake.worker_waits = true;
    assert_int_equal(open_host(&r, "name.test"), HTOK_IO_OK);
    assert_int_equal(connect_at(&r, 0), HTOK_IO_AGAIN);
    assert_int_equal(wait_ms(&r, 5000, &wait), 10);
    assert_true(wait.descriptor == -1 && !wait.readable && !wait.writable);
    assert_int_equal(wait_ms(&r, 3, &wait), 3);
    fake_run_worker();
    end(&r);
    begin(&r, NULL);
    fake.worker_waits = true;
    assert_int_equal(open_host(&r, "name.test"), HTOK_IO_OK);
    assert_int_equal(wait_ms(&r, 5000, &wait), 5000);
    assert_true(wait.descriptor == FAKE_FD + 10 && wait.readable && !wait.writable);
    fake_run_worker();
    end(&r);
}

/* Of 20 addresses in one family and some in the other, both families are tried. */
static void many_addresses_of_one_family_leave_room_for_the_other(void **state)
{
    static const int firsts[] = {AF_INET, AF_INET6};
    struct addrinfo nodes[43];
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    size_t i, n;
    (void)state;
    memset(&v4, 0, sizeof v4);
    memset(&v6, 0, sizeof v6);
    v6.sin6_scope_id = 7;
    for (n = 0; n < UNIT_COUNT(firsts); n++) {
        htoki_job job;
        size_t counts[2] = {0, 0};
        memset(&job, 0, sizeof job);
        for (i = 0; i < UNIT_COUNT(nodes); i++) {
            bool first = i < 20;
            memset(&nodes[i], 0, sizeof nodes[i]);
            nodes[i].ai_family = i == 0 ? AF_UNIX : first == (n == 0) ? AF_INET : AF_INET6;
            nodes[i].ai_addr = nodes[i].ai_family == AF_INET ? (struct sockaddr *)(void *)&v4
                                                             : (struct sockaddr *)(void *)&v6;
            nodes[i].ai_next = i + 1 < UNIT_COUNT(nodes) ? &nodes[i + 1] : NULL;
        }
        htoki_job_collect(&job, nodes);
        assert_int_equal(job.count, ADDRESSES);
        for (i = 0; i < job.count; i++) {
            assert_true(job.addresses[i].length == 4 || job.addresses[i].length == 16);
            assert_int_equal(job.addresses[i].scope_id, job.addresses[i].length == 16 ? 7 : 0);
            counts[job.addresses[i].length == 16]++;
        }
        assert_int_equal(counts[n], ADDRESSES - 2);
        assert_int_equal(counts[1 - n], 2);
    }
}

/* ---- Connecting. ---- */

static void of_several_failures_the_first_that_says_more_than_no_network_is_told(void **state)
{
    static const struct {
        int errors[2], told;
    } rows[] = {
        {{ECONNREFUSED, ETIMEDOUT}, ECONNREFUSED},     {{ENETUNREACH, ECONNREFUSED}, ECONNREFUSED},
        {{EADDRNOTAVAIL, ECONNREFUSED}, ECONNREFUSED}, {{EAFNOSUPPORT, ECONNREFUSED}, ECONNREFUSED},
        {{ECONNREFUSED, ENETUNREACH}, ECONNREFUSED},   {{EAFNOSUPPORT, ENETUNREACH}, ENETUNREACH},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        room r;
        begin(&r, NULL);
        memcpy(fake.connect_errors, rows[i].errors, sizeof rows[i].errors);
        assert_int_equal(open_host(&r, "localhost"), HTOK_IO_OK); /* two addresses */
        failed_with(&r, connect_at(&r, 0), HTOK_PHASE_CONNECT, rows[i].told);
        assert_int_equal(fake.connects, 2);
        end(&r);
    }
}

/* RFC 6761 section 6.3; host names have no case (RFC 4343). */
static void localhost_in_any_case_is_not_looked_up(void **state)
{
    static const char *const names[] = {"localhost", "LOCALHOST", "LocalHost"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(names); i++) {
        room r;
        begin(&r, NULL);
        fake.connect_errors[0] = fake.connect_errors[1] = ECONNREFUSED;
        assert_int_equal(open_host(&r, names[i]), HTOK_IO_OK);
        failed_with(&r, connect_at(&r, 0), HTOK_PHASE_CONNECT, ECONNREFUSED);
        assert_int_equal(fake.connects, 2); /* ::1 and 127.0.0.1, at once */
        end(&r);
    }
}

static void two_sockets_that_race_are_looked_at_every_ten_ms(void **state)
{
    htok_wait wait;
    room r;
    (void)state;
    begin(&r, NULL);
    fake.connect_errors[0] = fake.connect_errors[1] = EINPROGRESS;
    assert_int_equal(open_host(&r, "localhost"), HTOK_IO_OK);
    assert_int_equal(connect_at(&r, 1000), HTOK_IO_AGAIN);
    assert_int_equal(wait_ms(&r, 5000, &wait), 250); /* the other's head start */
    assert_true(wait.descriptor == FAKE_FD && wait.writable && !wait.readable);
    assert_int_equal(wait_ms(&r, 100, &wait), 100);
    assert_int_equal(connect_at(&r, 1249), HTOK_IO_AGAIN);
    assert_int_equal(fake.connects, 1);
    assert_int_equal(wait_ms(&r, 5000, &wait), 1);
    assert_int_equal(connect_at(&r, 1250), HTOK_IO_AGAIN);
    assert_int_equal(fake.connects, 2);
    assert_int_equal(wait_ms(&r, 5000, &wait), 10);
    assert_int_equal(wait_ms(&r, 4, &wait), 4);
    fake.settled = 2;
    assert_int_equal(connect_at(&r, 1300), HTOK_IO_OK);
    assert_int_equal(fake.open, 1);
    assert_int_equal(wait_ms(&r, 5000, &wait), 5000);
    assert_int_equal(wait.descriptor, FAKE_FD + 1);
    end(&r);
}

/* The clock of a hook may stand still or go back. */
static void the_next_address_starts_at_once_when_the_one_before_failed(void **state)
{
    htok_wait wait;
    room r;
    (void)state;
    begin(&r, NULL);
    fake.connect_errors[0] = EINPROGRESS;
    assert_int_equal(open_host(&r, "localhost"), HTOK_IO_OK);
    assert_int_equal(connect_at(&r, 1000), HTOK_IO_AGAIN);
    fake.settled = 1;
    fake.so_error = ECONNREFUSED;
    assert_int_equal(connect_at(&r, 900), HTOK_IO_OK);
    assert_int_equal(fake.connects, 2);
    assert_int_equal(fake.open, 1);
    assert_int_equal(wait_ms(&r, 70, &wait), 70);
    end(&r);
}

/* ---- Moving bytes. ---- */

static void no_bytes_are_no_step(void **state)
{
    room r;
    char byte = 'x';
    (void)state;
    begin_connected(&r, NULL);
    assert_int_equal(r.transport.send(&r.net, &byte, 0, &r.detail), HTOK_IO_AGAIN);
    assert_int_equal(r.transport.receive(&r.net, &byte, 0, &r.detail), HTOK_IO_AGAIN);
    assert_int_equal(fake.moves, 0);
    assert_int_equal(r.transport.send(&r.net, &byte, 1, &r.detail), HTOK_IO_OK);
    assert_int_equal(r.detail.moved, 1);
    end(&r);
}

/* A loop may be told but once that bytes have come: what it wakes for is read then, also after a send. */
static void behind_a_wait_the_system_is_asked_at_once(void **state)
{
    htok_wait wait;
    room r;
    char byte = 'x';
    (void)state;
    begin_connected(&r, NULL);
    assert_int_equal(r.transport.send(&r.net, &byte, 1, &r.detail), HTOK_IO_OK);
    assert_int_equal(r.transport.receive(&r.net, &byte, 1, &r.detail), HTOK_IO_AGAIN);
    assert_int_equal(fake.moves, 1);
    assert_int_equal(r.transport.send(&r.net, &byte, 1, &r.detail), HTOK_IO_OK);
    assert_int_equal(wait_ms(&r, 70, &wait), 70);
    assert_int_equal(wait.descriptor, FAKE_FD);
    assert_int_equal(r.transport.receive(&r.net, &byte, 1, &r.detail), HTOK_IO_OK);
    assert_int_equal(fake.moves, 3);
    end(&r);
}

static void endless_interrupts_end_the_step(void **state)
{
    room r;
    char byte = 'x';
    (void)state;
    begin_connected(&r, NULL);
    fake.move_error = EINTR;
    assert_int_equal(r.transport.send(&r.net, &byte, 1, &r.detail), HTOK_IO_AGAIN);
    assert_int_equal(fake.moves, INTERRUPTS);
    assert_int_equal(r.transport.receive(&r.net, &byte, 1, &r.detail), HTOK_IO_AGAIN);
    assert_int_equal(fake.moves, 2 * INTERRUPTS);
    end(&r);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_resolver_only_addresses_are_reached),
        cmocka_unit_test(a_resolver_that_fails_to_begin_or_to_end_is_told),
        cmocka_unit_test(of_a_resolvers_addresses_only_whole_ones_count),
        cmocka_unit_test(the_families_of_a_resolvers_addresses_take_turns),
        cmocka_unit_test(a_resolver_without_a_wait_is_looked_at_every_ten_ms),
        cmocka_unit_test(a_name_that_does_not_fit_is_not_looked_up),
        cmocka_unit_test(a_look_up_without_memory_fails),
        cmocka_unit_test(a_failed_look_up_tells_the_systems_error_where_there_is_one),
        cmocka_unit_test(a_look_up_without_a_descriptor_is_looked_at_every_ten_ms),
        cmocka_unit_test(many_addresses_of_one_family_leave_room_for_the_other),
        cmocka_unit_test(of_several_failures_the_first_that_says_more_than_no_network_is_told),
        cmocka_unit_test(localhost_in_any_case_is_not_looked_up),
        cmocka_unit_test(two_sockets_that_race_are_looked_at_every_ten_ms),
        cmocka_unit_test(the_next_address_starts_at_once_when_the_one_before_failed),
        cmocka_unit_test(no_bytes_are_no_step),
        cmocka_unit_test(behind_a_wait_the_system_is_asked_at_once),
        cmocka_unit_test(endless_interrupts_end_the_step),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("sockets", tests, NULL, NULL);
}
