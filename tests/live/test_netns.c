/* The library and the tool on bad networks: delay, loss, black holes, dead addresses, resolvers that never answer. Runs
   in network and mount namespaces of its own, which end with this program and all that it started: nothing is left to
   clean up. Needs Linux, root or user namespaces, ip and /dev/net/tun; where one is missing the tests are skipped.

   The bad line is a TUN device at whose other end this program, started again with --line, is the wire. It sends each
   packet back with its two addresses exchanged, so that what goes to 10.77.0.2 comes in from there at 10.77.0.1, where
   the emulator is; delay and loss are its own, the same in every run. Packets to other addresses it swallows. */
#ifdef __linux__
#define _GNU_SOURCE
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#endif
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef __linux__

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TOKEN        "netns-test-token"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SLACK_MS     10000u
#define FAR          2 /* 10.77.0.2 and fd77::2 are the emulator; of all others nobody ever hears */

/* ---- The wire. ---- */

static uint64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Exchanges source and destination, which leaves the checksums as they are. False when it goes to nobody. */
static bool turn_round(unsigned char *packet, ssize_t len)
{
    static const unsigned char far4[] = {10, 77, 0, FAR}, far6[16] = {0xfd, 0x77, [15] = FAR};
    bool six = len >= 40 && packet[0] >> 4 == 6;
    size_t at = six ? 8 : 12, size = six ? 16 : 4;
    unsigned char source[16];
    if ((!six && (len < 20 || packet[0] >> 4 != 4)) ||
        memcmp(packet + at + size, six ? far6 : far4, size) != 0) {
        return false;
    }
    memcpy(source, packet + at, size);
    memcpy(packet + at, packet + at + size, size);
    memcpy(packet + at + size, source, size);
    return true;
}

/* --line DELAY DROP PASS: each packet comes back after DELAY ms, each DROP-th never, nor any after the first PASS; 0 is
   none of that. */
static int line(unsigned delay_ms, unsigned drop, unsigned pass)
{
    enum { PACKETS = 512 };
    static struct packet {
        unsigned char bytes[2048];
        ssize_t len;
        uint64_t due;
    } packets[PACKETS];
    unsigned first = 0, count = 0, seen = 0;
    struct ifreq request;
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "line");
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (tun < 0 || ioctl(tun, TUNSETIFF, &request) != 0) {
        printf("no TUN device: %s\n", strerror(errno));
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct packet *p = &packets[(first + count) % PACKETS];
        struct pollfd entry;
        uint64_t now = clock_ms();
        while (count != 0 && packets[first].due <= now) {
            (void)!write(tun, packets[first].bytes, (size_t)packets[first].len);
            first = (first + 1) % PACKETS;
            count--;
        }
        p = &packets[(first + count) % PACKETS];
        entry.fd = tun;
        entry.events = POLLIN;
        if (poll(&entry, 1, count != 0 ? (int)(packets[first].due - now) : -1) > 0 &&
            (p->len = read(tun, p->bytes, sizeof p->bytes)) > 0 && turn_round(p->bytes, p->len)) {
            seen++;
            if ((drop == 0 || seen % drop != 0) && (pass == 0 || seen <= pass) && count < PACKETS) {
                p->due = clock_ms() + delay_ms;
                count++;
            }
        }
    }
}

/* ---- The namespaces. ---- */

static char lacking[160]; /* why the tests cannot run; empty: they can */

static void lack(const char *what)
{
    if (lacking[0] == '\0') {
        snprintf(lacking, sizeof lacking, "%s: %s", what, strerror(errno));
    }
}

static void write_proc(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) {
        lack(path);
    }
    close(fd);
}

static struct live_process *run(const char *const *argv)
{
    struct live_command command;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    return live_run(&command);
}
#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void ip(const char *const *argv)
{
    const struct live_process *process = run(argv);
    if (process->status != 0) {
        fail_msg("%s %s %s: %s", argv[0], argv[1], argv[2], process->err.ptr);
    }
}
#define IP(...) ip((const char *const[]){"ip", __VA_ARGS__, NULL})

/* Without root this becomes root of a user namespace, in which everything of this user's is root's. */
static int enter(void **state)
{
    unsigned user = (unsigned)geteuid(), group = (unsigned)getegid();
    char map[32];
    live_certificate("ca.pem");
    if (user != 0) {
        if (unshare(CLONE_NEWUSER) != 0) {
            lack("not root, and no user namespace");
            return 0;
        }
        write_proc("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "0 %u 1", user);
        write_proc("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "0 %u 1", group);
        write_proc("/proc/self/gid_map", map);
    }
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
        lack("no namespaces");
    } else if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        lack("no private mounts");
    } else if (access("/dev/net/tun", R_OK | W_OK) != 0) {
        lack("/dev/net/tun");
    } else if (RUN("ip", "link", "set", "lo", "up")->status != 0) {
        errno = 0;
        lack("ip link set lo up");
    }
    return live_teardown(state);
}

/* Puts a text in the place of a file of the system, for this program and what it starts. */
static void stand_in(const char *path, const char *text)
{
    char name[32];
    const char *ours;
    snprintf(name, sizeof name, "%s", strrchr(path, '/') + 1);
    ours = live_write_file(name, text, strlen(text));
    if (mount(ours, path, NULL, MS_BIND, NULL) != 0) {
        fail_msg("%s: %s", path, strerror(errno));
    }
}

/* ---- One test's line, emulator and client. ---- */

static htok_client *client;
static struct live_process *wire;
static struct live_server *emulator;
static char url[64], trust[512];
static const char *const stood_in[] = {"/etc/resolv.conf", "/etc/hosts"};

static int setup(void **state)
{
    (void)state;
    client = NULL;
    return 0;
}

static int teardown(void **state)
{
    size_t i;
    htok_client_close(client);
    client = NULL;
    for (i = 0; i < COUNT(stood_in); i++) {
        while (umount2(stood_in[i], MNT_DETACH) == 0) {}
    }
    return live_teardown(state);
}

static void start_line(const char *delay, const char *drop, const char *pass)
{
    const char *argv[] = {"/proc/self/exe", "--line", delay, drop, pass, NULL};
    struct live_command command;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    wire = live_start(&command);
    live_await_output(wire, "ready\n", 0);
    IP("addr", "add", "10.77.0.1/24", "dev", "line");
    IP("-6", "addr", "add", "fd77::1/64", "dev", "line", "nodad");
    IP("link", "set", "line", "up");
}

/* The emulator at our end of the line, with so many tokens. It has other.test's certificate. */
static void start_emulator(const char *listen, const char *tokens)
{
    const char *more[] = {"--listen",
                          listen,
                          "--allow-remote",
                          "--cert",
                          live_certificate("wrong-name.pem"),
                          "--key",
                          live_certificate("wrong-name.key"),
                          "--tokens",
                          tokens,
                          NULL};
    const char *port;
    emulator = live_start_emulator(TOKEN, more);
    port = strrchr(emulator->process->out.ptr, ':');
    assert_non_null(port);
    snprintf(url, sizeof url, "https://other.test:%u", (unsigned)atoi(port + 1));
    snprintf(trust, sizeof trust, "%s", live_certificate("ca.pem"));
}

/* What other.test is, by the resolver hook. */
struct names {
    htok_address addresses[4];
    size_t count;
};

static struct names names;

static htok_io names_start(void *context, const char *host, htok_io_detail *detail)
{
    (void)context, (void)host, (void)detail;
    return HTOK_IO_OK;
}

static htok_io names_poll(void *context, htok_address *addresses, size_t capacity, size_t *count,
                          htok_io_detail *detail)
{
    const struct names *n = (const struct names *)context;
    (void)detail;
    *count = n->count < capacity ? n->count : capacity;
    memcpy(addresses, n->addresses, *count * sizeof addresses[0]);
    return HTOK_IO_OK;
}

static void names_cancel(void *context)
{
    (void)context;
}

static htok_resolver resolver = {&names, names_start, names_poll, names_cancel, NULL};

static void be_at(const char *first, const char *second)
{
    const char *texts[2];
    size_t i;
    texts[0] = first;
    texts[1] = second;
    memset(&names, 0, sizeof names);
    for (i = 0; i < 2 && texts[i]; i++) {
        htok_address *address = &names.addresses[names.count++];
        bool six = strchr(texts[i], ':') != NULL;
        address->length = six ? 16 : 4;
        assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, texts[i], address->bytes), 1);
    }
}

/* Lists with these deadlines; by the hook, or by the built-in look-up. */
static htok_kind list_by(const htok_resolver *by, uint32_t connect_timeout_ms, uint32_t timeout_ms)
{
    htok_client_options options;
    htok_error error;
    memset(&options, 0, sizeof options);
    options.server_url = url;
    options.org_id = "org-1";
    options.token = TOKEN;
    options.trust_file = trust;
    options.resolver = by;
    options.connect_timeout_ms = connect_timeout_ms;
    options.timeout_ms = timeout_ms;
    htok_client_close(client);
    assert_int_equal(htok_client_create(&client, &options, &error), HTOK_OK);
    return htok_get_org_tokens(client, NULL, NULL, NULL);
}

static void expect(htok_kind kind, htok_reason reason, htok_phase phase)
{
    const htok_error *error = htok_client_error(client);
    if (error->kind != kind || error->reason != reason || error->phase != phase) {
        char text[512];
        htok_error_format(error, text, sizeof text);
        fail_msg("%s in phase %s: %s", htok_reason_name(error->reason), htok_phase_name(error->phase), text);
    }
}

static void expect_listed(htok_kind kind)
{
    if (kind != HTOK_OK) {
        expect(HTOK_OK, HTOK_REASON_NONE, HTOK_PHASE_NONE);
    }
}

#define NEED_NAMESPACES()                         \
    do {                                          \
        (void)state;                              \
        if (lacking[0] != '\0') {                 \
            print_message("needs %s\n", lacking); \
            skip();                               \
        }                                         \
    } while (0)

/* ---- The line. ---- */

static void far_line_only_takes_longer(void **state)
{
    NEED_NAMESPACES();
    start_line("150", "0", "0");
    start_emulator("10.77.0.1:0", "300");
    be_at("10.77.0.2", NULL);
    expect_listed(list_by(&resolver, 30000, 60000));
}

static void answer_from_too_far_away_comes_too_late(void **state)
{
    uint64_t began;
    NEED_NAMESPACES();
    start_line("400", "0", "0");
    start_emulator("10.77.0.1:0", "1");
    be_at("10.77.0.2", NULL);
    began = clock_ms();
    list_by(&resolver, 300, 60000);
    expect(HTOK_REQUEST_TIMEOUT_ERROR, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_CONNECT);
    assert_in_range(clock_ms() - began, 0, 300 + SLACK_MS);
    /* TCP's two ways are walked in 800 ms, those of the handshake are not. */
    began = clock_ms();
    list_by(&resolver, 1500, 60000);
    expect(HTOK_REQUEST_TIMEOUT_ERROR, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_HANDSHAKE);
    assert_in_range(clock_ms() - began, 0, 1500 + SLACK_MS);
}

static void lossy_line_loses_nothing_of_a_list(void **state)
{
    NEED_NAMESPACES();
    start_line("5", "5", "0");
    start_emulator("10.77.0.1:0", "300");
    be_at("10.77.0.2", NULL);
    expect_listed(list_by(&resolver, 60000, 120000));
}

static void line_that_dies_in_the_handshake_ends_at_the_deadline(void **state)
{
    uint64_t began;
    NEED_NAMESPACES();
    start_line("0", "0", "4");
    start_emulator("10.77.0.1:0", "1");
    be_at("10.77.0.2", NULL);
    began = clock_ms();
    list_by(&resolver, 2000, 60000);
    expect(HTOK_REQUEST_TIMEOUT_ERROR, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_HANDSHAKE);
    assert_in_range(clock_ms() - began, 0, 2000 + SLACK_MS);
}

static void line_that_dies_between_calls_ends_at_the_deadline(void **state)
{
    htok_call_options options;
    uint64_t began;
    NEED_NAMESPACES();
    start_line("0", "0", "0");
    start_emulator("10.77.0.1:0", "1");
    be_at("10.77.0.2", NULL);
    expect_listed(list_by(&resolver, 0, 0));
    live_kill(wire);
    memset(&options, 0, sizeof options);
    options.timeout_ms = 300;
    began = clock_ms();
    htok_get_org_tokens(client, &options, NULL, NULL);
    expect(HTOK_REQUEST_TIMEOUT_ERROR, HTOK_REASON_TIMEOUT, HTOK_PHASE_HEAD);
    assert_in_range(clock_ms() - began, 0, 300 + SLACK_MS);
    /* And a line that is back serves the next call, over a new connection. */
    start_line("0", "0", "0");
    expect_listed(htok_get_org_tokens(client, NULL, NULL, NULL));
}

/* ---- Addresses. ---- */

static void black_hole_ends_at_the_connect_deadline(void **state)
{
    uint64_t began;
    NEED_NAMESPACES();
    start_line("0", "0", "0");
    start_emulator("10.77.0.1:0", "1");
    be_at("10.77.0.99", "fd77::99");
    began = clock_ms();
    list_by(&resolver, 600, 60000);
    expect(HTOK_REQUEST_TIMEOUT_ERROR, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_CONNECT);
    assert_in_range(clock_ms() - began, 0, 600 + SLACK_MS);
    began = clock_ms();
    list_by(&resolver, 60000, 600);
    expect(HTOK_REQUEST_TIMEOUT_ERROR, HTOK_REASON_TIMEOUT, HTOK_PHASE_CONNECT);
    assert_in_range(clock_ms() - began, 0, 600 + SLACK_MS);
}

static void unreachable_network_is_told_at_once(void **state)
{
    NEED_NAMESPACES();
    start_line("0", "0", "0");
    start_emulator("10.77.0.1:0", "1");
    be_at("192.0.2.1", "2001:db8::1");
    list_by(&resolver, 60000, 60000);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_CONNECT_FAILED, HTOK_PHASE_CONNECT);
    assert_int_equal(htok_client_error(client)->os_error, ENETUNREACH);
}

/* TCP alone would try a dead address for two minutes. */
static void dead_address_of_either_family_gives_way_to_a_live_one(void **state)
{
    static const char *const cases[][3] = {
        {"10.77.0.1:0", "10.77.0.99", "10.77.0.2"},  {"10.77.0.1:0", "fd77::99", "10.77.0.2"},
        {"10.77.0.1:0", "2001:db8::1", "10.77.0.2"}, {"[fd77::1]:0", "10.77.0.99", "fd77::2"},
        {"[fd77::1]:0", "fd77::99", "fd77::2"},
    };
    size_t i;
    NEED_NAMESPACES();
    start_line("0", "0", "0");
    for (i = 0; i < COUNT(cases); i++) {
        start_emulator(cases[i][0], "1");
        be_at(cases[i][1], cases[i][2]);
        expect_listed(list_by(&resolver, 60000, 60000));
        live_kill(emulator->process);
    }
}

/* ---- The system's look-up. ---- */

static int resolver_socket = -1;

/* A name server that reads nothing and says nothing. */
static void start_silent_resolver(void)
{
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(53);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    resolver_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(resolver_socket >= 0);
    assert_int_equal(bind(resolver_socket, (struct sockaddr *)&address, sizeof address), 0);
    stand_in("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:3 attempts:1\n");
    snprintf(url, sizeof url, "https://never-answered.test");
    snprintf(trust, sizeof trust, "%s", live_certificate("ca.pem"));
}

static int teardown_resolver(void **state)
{
    if (resolver_socket >= 0) {
        close(resolver_socket);
        resolver_socket = -1;
    }
    return teardown(state);
}

static unsigned count_entries(const char *folder)
{
    DIR *entries = opendir(folder);
    unsigned count = 0;
    assert_non_null(entries);
    while (readdir(entries)) {
        count++;
    }
    closedir(entries);
    return count;
}

static void look_up_that_is_never_answered_ends_at_the_deadline(void **state)
{
    uint64_t began;
    NEED_NAMESPACES();
    start_silent_resolver();
    began = clock_ms();
    list_by(NULL, 200, 60000);
    expect(HTOK_REQUEST_TIMEOUT_ERROR, HTOK_REASON_CONNECT_TIMEOUT, HTOK_PHASE_LOOKUP);
    assert_in_range(clock_ms() - began, 0, 200 + SLACK_MS);
}

static void look_up_that_fails_is_told(void **state)
{
    NEED_NAMESPACES();
    stand_in("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
    snprintf(url, sizeof url, "https://no-server-at-all.test");
    snprintf(trust, sizeof trust, "%s", live_certificate("ca.pem"));
    list_by(NULL, 60000, 60000);
    expect(HTOK_CONNECTION_ERROR, HTOK_REASON_LOOKUP_FAILED, HTOK_PHASE_LOOKUP);
}

static void cancelled_look_up_leaves_no_thread_and_no_descriptor(void **state)
{
    unsigned descriptors, threads;
    uint64_t began;
    NEED_NAMESPACES();
    start_silent_resolver();
    descriptors = count_entries("/proc/self/fd");
    threads = count_entries("/proc/self/task");
    list_by(NULL, 1, 1); /* makes the client; the look-up is given up at once */
    assert_int_equal(htok_get_org_tokens_start(client, NULL), HTOK_OK);
    while (count_entries("/proc/self/task") == threads) {
        assert_int_equal(htok_client_poll(client), HTOK_STATE_PENDING);
    }
    htok_client_cancel(client);
    expect(HTOK_REQUEST_ABORTED_ERROR, HTOK_REASON_CANCELLED, htok_client_error(client)->phase);
    htok_client_close(client);
    client = NULL;
    /* The workers end with the system's own patience. */
    began = clock_ms();
    while (count_entries("/proc/self/task") != threads || count_entries("/proc/self/fd") != descriptors) {
        const struct timespec moment = {0, 10000000};
        assert_true(clock_ms() - began < LIVE_TIMEOUT_MS);
        nanosleep(&moment, NULL);
    }
}

static void signals_end_the_tool_in_a_look_up(void **state)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    size_t i;
    NEED_NAMESPACES();
    start_silent_resolver();
    for (i = 0; i < COUNT(numbers); i++) {
        const char *argv[] = {live_tool(),  "-v", "--org",     "org-1", "--token", TOKEN,
                              "--endpoint", url,  "--ca-file", trust,   "list",    NULL};
        struct live_command command;
        struct live_process *process;
        memset(&command, 0, sizeof command);
        command.argv = argv;
        process = live_start(&command);
        live_await_error(process, "GET /", 0);
        live_signal(process, numbers[i]);
        live_end(process);
        assert_int_equal(process->status, 128 + numbers[i]);
        assert_true(live_contains(&process->err, "RequestAbortedError"));
    }
}

/* By the hosts file, through getaddrinfo(): the tool reaches the one address of four that lives. */
static void tool_tries_every_address_of_a_name(void **state)
{
    const char *argv[] = {live_tool(), "--org",     "org-1", "--token", TOKEN,    "--endpoint",
                          url,         "--ca-file", trust,   "list",    "-ojson", NULL};
    const struct live_process *process;
    NEED_NAMESPACES();
    start_line("0", "0", "0");
    start_emulator("10.77.0.1:0", "1");
    stand_in("/etc/hosts",
             "fd77::99 other.test\n10.77.0.99 other.test\n10.77.0.98 other.test\n10.77.0.2 other.test\n");
    process = run(argv);
    assert_string_equal(process->err.ptr, "");
    assert_int_equal(process->status, 0);
    assert_int_equal(live_count(&process->out, "\"orgTokenId\""), 1);
}

#define TEST(name)          cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_RESOLVER(name) cmocka_unit_test_setup_teardown(name, setup, teardown_resolver)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(far_line_only_takes_longer),
        TEST(answer_from_too_far_away_comes_too_late),
        TEST(lossy_line_loses_nothing_of_a_list),
        TEST(line_that_dies_in_the_handshake_ends_at_the_deadline),
        TEST(line_that_dies_between_calls_ends_at_the_deadline),
        TEST(black_hole_ends_at_the_connect_deadline),
        TEST(unreachable_network_is_told_at_once),
        TEST(dead_address_of_either_family_gives_way_to_a_live_one),
        TEST_RESOLVER(look_up_that_is_never_answered_ends_at_the_deadline),
        TEST(look_up_that_fails_is_told),
        TEST_RESOLVER(cancelled_look_up_leaves_no_thread_and_no_descriptor),
        TEST_RESOLVER(signals_end_the_tool_in_a_look_up),
        TEST(tool_tries_every_address_of_a_name),
    };
    if (argc == 5 && strcmp(argv[1], "--line") == 0) {
        return line((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
    }
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests_name("netns", tests, enter, NULL);
}

#else

static void bad_networks_need_linux(void **state)
{
    (void)state;
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bad_networks_need_linux)};
    return cmocka_run_group_tests_name("netns", tests, NULL, NULL);
}

#endif
