/* Faults of the system, of memory, of the clock and of the peer, one at a time: each must end in the right kind and
   reason, say whether the request may have taken effect, leak nothing and leave the client usable.

   The system is simulated: the names of its calls are macros while the header is read. So every run is the same. */
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
#include <bearssl.h>

#include "framework.h"

/* ---- The simulated system. ---- */

typedef enum sim_call {
    SIM_NONE,
    SIM_SOCKET,
    SIM_CONNECT,
    SIM_SEND,
    SIM_RECV,
    SIM_POLL_NOW,  /* with a time-out of 0 */
    SIM_POLL_WAIT, /* with another */
    SIM_GETSOCKOPT,
    SIM_SO_ERROR, /* what getsockopt() tells */
    SIM_SETSOCKOPT,
    SIM_FCNTL,
    SIM_SOCKETPAIR,
    SIM_GETADDRINFO,
    SIM_THREAD,
    SIM_THREAD_ATTR,
    SIM_DETACH,
    SIM_SIGMASK,
    SIM_MUTEX,
    SIM_MONOTONIC,
    SIM_REALTIME,
    SIM_GETRANDOM,
    SIM_OPEN,
    SIM_READ,
    SIM_FOPEN,
    SIM_FREAD,
    SIM_MALLOC,
    SIM_CALLS
} sim_call;

/* Injected in place of an error number. */
enum { SIM_SHORT = -1000, SIM_ZERO = -1001, SIM_LOST = -1002 };

enum { SIM_NONBLOCK = SOCK_NONBLOCK, SIM_CLOEXEC = SOCK_CLOEXEC };
enum { SIM_FDS = 40, SIM_ADDRESSES = 20, SIM_FD = 1000, SIM_ALWAYS = 1000000 };
typedef enum sim_kind { SIM_FREE, SIM_STREAM, SIM_PAIR, SIM_DEVICE } sim_kind;
typedef struct sim_fd {
    sim_kind kind;
    bool connecting, connected, non_blocking, close_on_exec, ended;
    int other; /* of a pair */
} sim_fd;

static struct sim {
    sim_call fail[2]; /* these calls fail from their number first on, times times */
    int error[2];
    unsigned first[2], times[2];
    unsigned count[SIM_CALLS];
    bool connects_later; /* connect() says EINPROGRESS */
    bool connects_never; /* and stays there */
    size_t send_most, receive_most;
    sim_fd fds[SIM_FDS];
    unsigned most_open;
    unsigned blocks, lists, files, mutexes;
    uint64_t now_ms;
    int64_t unix_seconds;
    int families[SIM_ADDRESSES]; /* of the addresses that a look-up gives */
    struct sim_worker {
        void *(*run)(void *argument);
        void *argument;
    } workers[8];
    unsigned worker_count; /* of those that have not run */
    bool workers_wait;     /* until somebody waits for them */
    const char *file;
    size_t file_len, file_at;
    bool file_failed;
} sim;

/* The error with which the call fails this time; 0 when it does not. */
static int sim_fault(sim_call call)
{
    unsigned number = ++sim.count[call], i;
    for (i = 0; i < 2; i++) {
        if (sim.fail[i] == call && number >= sim.first[i] && number < sim.first[i] + sim.times[i]) {
            return sim.error[i];
        }
    }
    return 0;
}

static void sim_fail_from(unsigned slot, sim_call call, int error, unsigned first, unsigned times)
{
    sim.fail[slot] = call;
    sim.error[slot] = error;
    sim.first[slot] = sim.count[call] + first;
    sim.times[slot] = times;
}

static bool sim_errno(sim_call call)
{
    int error = sim_fault(call);
    errno = error ? error : errno;
    return error != 0;
}

static int sim_fd_take(sim_kind kind)
{
    unsigned i, used = 0;
    int at = -1;
    for (i = 0; i < SIM_FDS; i++) {
        used += sim.fds[i].kind != SIM_FREE;
        at = at < 0 && sim.fds[i].kind == SIM_FREE ? (int)i : at;
    }
    assert_true(at >= 0);
    memset(&sim.fds[at], 0, sizeof sim.fds[at]);
    sim.fds[at].kind = kind;
    sim.most_open = used + 1 > sim.most_open ? used + 1 : sim.most_open;
    return SIM_FD + at;
}

static sim_fd *sim_fd_at(int fd)
{
    assert_true(fd >= SIM_FD && fd < SIM_FD + SIM_FDS && sim.fds[fd - SIM_FD].kind != SIM_FREE);
    return &sim.fds[fd - SIM_FD];
}

/* The other side of each connection; see below. */
static size_t peer_take(const void *bytes, size_t len);
static size_t peer_give(void *bytes, size_t size);
static bool peer_ended(void);
static bool peer_has_bytes(void);
static void peer_connected(void);

static int sim_socket(int family, int type, int protocol)
{
    int fd;
    assert_true(family == AF_INET || family == AF_INET6);
    assert_int_equal(protocol, IPPROTO_TCP);
    if (sim_errno(SIM_SOCKET)) {
        return -1;
    }
    fd = sim_fd_take(SIM_STREAM);
#ifdef FAULTS_PORTABLE
    sim_fd_at(fd)->non_blocking = sim_fd_at(fd)->close_on_exec = false;
    assert_int_equal(type, SOCK_STREAM);
#else
    sim_fd_at(fd)->non_blocking = (type & SIM_NONBLOCK) != 0;
    sim_fd_at(fd)->close_on_exec = (type & SIM_CLOEXEC) != 0;
#endif
    return fd;
}

__attribute__((unused)) static int sim_fcntl(int fd, int command, ...)
{
    if (sim_errno(SIM_FCNTL)) {
        return -1;
    }
    if (command == F_SETFL) {
        sim_fd_at(fd)->non_blocking = true;
    } else if (command == F_SETFD) {
        sim_fd_at(fd)->close_on_exec = true;
    }
    return 0;
}

static int sim_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    (void)sim_fd_at(fd);
    (void)level;
    (void)name;
    assert_true(value != NULL && size == sizeof(int));
    return sim_errno(SIM_SETSOCKOPT) ? -1 : 0;
}

/* An address that a look-up gave or a URL holds, in the form of its family, with a port. */
static void sim_check_address(const struct sockaddr *address, socklen_t size)
{
    static const unsigned char loopback[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        const unsigned char *bytes = (const unsigned char *)&v4.sin_addr;
        assert_int_equal(size, sizeof v4);
        memcpy(&v4, address, sizeof v4);
        assert_true((bytes[0] == 127 || bytes[0] == 10) && v4.sin_port != 0);
    } else {
        struct sockaddr_in6 v6;
        assert_true(address->sa_family == AF_INET6 && size == sizeof v6);
        memcpy(&v6, address, sizeof v6);
        assert_true((v6.sin6_addr.s6_addr[0] == 0x20 || memcmp(&v6.sin6_addr, loopback, 16) == 0) &&
                    v6.sin6_port != 0);
    }
}

static int sim_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    sim_fd *s = sim_fd_at(fd);
    int error = sim_fault(SIM_CONNECT);
    assert_true(address != NULL && size >= sizeof(struct sockaddr_in) && s->non_blocking && s->close_on_exec);
    sim_check_address(address, size);
    errno = error ? error : EINPROGRESS;
    s->connecting =
        error == EINTR || error == EALREADY || error == EINPROGRESS || (!error && sim.connects_later);
    s->connected = !error && !s->connecting;
    if (s->connected) {
        peer_connected();
    }
    return s->connected ? 0 : -1;
}

static int sim_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    sim_fd *s = sim_fd_at(fd);
    int error = sim_fault(SIM_SO_ERROR);
    assert_true(level == SOL_SOCKET && name == SO_ERROR && *size == sizeof error);
    if (sim_errno(SIM_GETSOCKOPT)) {
        return -1;
    }
    if (error == 0 && s->connecting) {
        s->connecting = false;
        s->connected = true;
        peer_connected();
    }
    error = error == SIM_LOST ? 0 : error;
    memcpy(value, &error, sizeof error);
    return 0;
}

static void sim_run_workers(void)
{
    unsigned i, count = sim.worker_count;
    sim.worker_count = 0;
    for (i = 0; i < count; i++) {
        (void)sim.workers[i].run(sim.workers[i].argument);
    }
}

static short sim_ready(const struct pollfd *entry)
{
    sim_fd *s = sim_fd_at(entry->fd);
    short ready = 0;
    if (s->kind == SIM_PAIR) {
        return s->ended ? (short)(entry->events & POLLIN) : 0;
    }
    if (s->connecting && sim.connects_never) {
        return 0;
    }
    if (s->connecting) {
        return (short)(sim.fail[0] == SIM_SO_ERROR && sim.error[0] == SIM_LOST ? POLLOUT | POLLERR : POLLOUT);
    }
    if ((entry->events & POLLIN) != 0 && (peer_has_bytes() || peer_ended())) {
        ready |= POLLIN;
    }
    return (short)(ready | (entry->events & POLLOUT));
}

static int sim_poll(struct pollfd *entries, nfds_t count, int timeout)
{
    if (sim_errno(timeout ? SIM_POLL_WAIT : SIM_POLL_NOW)) {
        return -1;
    }
    if (timeout != 0) {
        sim_run_workers();
    }
    if (count != 0) {
        entries[0].revents = sim_ready(&entries[0]);
        if (entries[0].revents != 0) {
            return 1;
        }
    }
    assert_true(timeout >= 0); /* or it would wait for ever */
    sim.now_ms += (uint64_t)timeout;
    return 0;
}

static ssize_t sim_moved(sim_call call, bool *done)
{
    int error = sim_fault(call);
    *done = error != 0;
    if (error == SIM_ZERO) {
        return 0;
    }
    errno = error;
    return -1;
}

static ssize_t sim_send(int fd, const void *bytes, size_t len, int flags)
{
    bool failed;
    ssize_t result = sim_moved(SIM_SEND, &failed);
    assert_true(sim_fd_at(fd)->connected && len != 0);
    assert_true((flags & MSG_NOSIGNAL) != 0); /* or a SIGPIPE ends the process */
    if (failed) {
        return result;
    }
    return (ssize_t)peer_take(bytes, sim.send_most && len > sim.send_most ? sim.send_most : len);
}

static ssize_t sim_recv(int fd, void *bytes, size_t size, int flags)
{
    bool failed;
    ssize_t result = sim_moved(SIM_RECV, &failed);
    assert_true(sim_fd_at(fd)->connected && size != 0 && flags == 0);
    if (failed) {
        return result;
    }
    result = (ssize_t)peer_give(bytes, sim.receive_most && size > sim.receive_most ? sim.receive_most : size);
    if (result == 0 && !peer_ended()) {
        errno = EAGAIN;
        return -1;
    }
    return result;
}

static int sim_socketpair(int family, int type, int protocol, int ends[2])
{
    assert_true(family == AF_UNIX && protocol == 0 && (type & SIM_CLOEXEC) != 0);
    if (sim_errno(SIM_SOCKETPAIR)) {
        return -1;
    }
    ends[0] = sim_fd_take(SIM_PAIR);
    ends[1] = sim_fd_take(SIM_PAIR);
    sim_fd_at(ends[0])->other = ends[1];
    sim_fd_at(ends[1])->other = ends[0];
    return 0;
}

/* The other end may be closed, and its number in use for something else. */
static int sim_shutdown(int fd, int how)
{
    const sim_fd *s = sim_fd_at(fd);
    sim_fd *other = &sim.fds[s->other - SIM_FD];
    assert_true(s->kind == SIM_PAIR && how == SHUT_RDWR);
    if (other->kind == SIM_PAIR && other->other == fd) {
        other->ended = true;
    }
    return 0;
}

static int sim_close(int fd)
{
    sim_fd_at(fd)->kind = SIM_FREE;
    return 0;
}

static int sim_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                           struct addrinfo **list)
{
    static struct addrinfo nodes[SIM_ADDRESSES + 1];
    static struct sockaddr_in v4[SIM_ADDRESSES];
    static struct sockaddr_in6 v6[SIM_ADDRESSES];
    int error = sim_fault(SIM_GETADDRINFO);
    unsigned i;
    assert_non_null(strstr(name, ".test"));
    assert_true(service == NULL && hints->ai_socktype == SOCK_STREAM);
    if (error > 0) {
        errno = error;
        return EAI_SYSTEM;
    }
    *list = NULL;
    for (i = 0; i < SIM_ADDRESSES && sim.families[i] != 0; i++) {
        memset(&nodes[i], 0, sizeof nodes[i]);
        nodes[i].ai_family = sim.families[i];
        v4[i].sin_family = AF_INET;
        ((unsigned char *)&v4[i].sin_addr)[0] = 10;
        ((unsigned char *)&v4[i].sin_addr)[3] = (unsigned char)i;
        v6[i].sin6_family = AF_INET6;
        v6[i].sin6_addr.s6_addr[0] = 0x20;
        v6[i].sin6_addr.s6_addr[15] = (unsigned char)i;
        nodes[i].ai_addr = sim.families[i] == AF_INET ? (struct sockaddr *)(void *)&v4[i]
                                                      : (struct sockaddr *)(void *)&v6[i];
        nodes[i].ai_addrlen = sim.families[i] == AF_INET ? sizeof v4[i] : sizeof v6[i];
        nodes[i].ai_next = i + 1 < SIM_ADDRESSES && sim.families[i + 1] != 0 ? &nodes[i + 1] : NULL;
        *list = nodes;
    }
    sim.lists += error == 0;
    return error;
}

static void sim_freeaddrinfo(struct addrinfo *list)
{
    (void)list;
    assert_true(sim.lists != 0);
    sim.lists--;
}

/* The worker runs when somebody waits for it, or when a test lets it; never at the same time. */
static int sim_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*worker)(void *),
                              void *argument)
{
    int error = sim_fault(SIM_THREAD);
    sigset_t blocked;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked); /* the thread inherits it: no handler may run there */
    assert_true(sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGALRM) &&
                sigismember(&blocked, SIGUSR1));
    assert_true(thread != NULL && attributes != NULL && sim.worker_count < 8);
    if (error != 0) {
        return error;
    }
    sim.workers[sim.worker_count].run = worker;
    sim.workers[sim.worker_count++].argument = argument;
    if (!sim.workers_wait) {
        sim_run_workers();
    }
    return 0;
}

static int sim_pthread_attr_init(pthread_attr_t *attributes)
{
    int error = sim_fault(SIM_THREAD_ATTR);
    return error ? error : pthread_attr_init(attributes);
}

static int sim_pthread_attr_setdetachstate(pthread_attr_t *attributes, int state)
{
    int error = sim_fault(SIM_DETACH);
    return error ? error : pthread_attr_setdetachstate(attributes, state);
}

static int sim_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    int error = sim_fault(SIM_SIGMASK);
    return error ? error : pthread_sigmask(how, set, old);
}

static int sim_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    int error = sim_fault(SIM_MUTEX);
    sim.mutexes += error == 0;
    return error ? error : pthread_mutex_init(mutex, attributes);
}

static int sim_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    assert_true(sim.mutexes != 0);
    sim.mutexes--;
    return pthread_mutex_destroy(mutex);
}

static int sim_clock_gettime(clockid_t clock, struct timespec *now)
{
    bool monotonic = clock == CLOCK_MONOTONIC;
    if (sim_errno(monotonic ? SIM_MONOTONIC : SIM_REALTIME)) {
        return -1;
    }
    now->tv_sec = (time_t)(monotonic ? (int64_t)(sim.now_ms / 1000) : sim.unix_seconds);
    now->tv_nsec = monotonic ? (long)(sim.now_ms % 1000) * 1000000 : 0;
    return 0;
}

static ssize_t sim_fill(sim_call call, void *bytes, size_t size)
{
    int error = sim_fault(call);
    if (error == SIM_ZERO) {
        return 0;
    }
    if (error != 0 && error != SIM_SHORT) {
        errno = error;
        return -1;
    }
    size = error == SIM_SHORT ? 1 : size;
    memset(bytes, 0x5a, size);
    return (ssize_t)size;
}

__attribute__((unused)) static ssize_t sim_getrandom(void *bytes, size_t size, unsigned flags)
{
    assert_int_equal(flags, GRND_NONBLOCK);
    return sim_fill(SIM_GETRANDOM, bytes, size);
}

static int sim_open(const char *path, int flags, ...)
{
    assert_string_equal(path, "/dev/urandom");
    assert_true((flags & O_CLOEXEC) != 0);
    return sim_errno(SIM_OPEN) ? -1 : sim_fd_take(SIM_DEVICE);
}

static ssize_t sim_read(int fd, void *bytes, size_t size)
{
    assert_int_equal(sim_fd_at(fd)->kind, SIM_DEVICE);
    return sim_fill(SIM_READ, bytes, size);
}

static FILE *sim_fopen(const char *path, const char *mode)
{
    assert_true(path != NULL && mode[0] == 'r' && strchr(mode, 'e')); /* no child inherits it */
    if (sim_errno(SIM_FOPEN)) {
        return NULL;
    }
    sim.files++;
    sim.file_at = 0;
    sim.file_failed = false;
    return (FILE *)(void *)&sim;
}

static size_t sim_fread(void *bytes, size_t one, size_t size, FILE *file)
{
    size_t n = sim.file_len - sim.file_at;
    int error = sim_fault(SIM_FREAD);
    assert_true(file == (FILE *)(void *)&sim && one == 1);
    n = n < size ? n : size;
    if (error != 0) {
        sim.file_failed = true;
        errno = error > 0 ? error : 0;
        n /= 2;
    }
    memcpy(bytes, sim.file + sim.file_at, n);
    sim.file_at += n;
    return n;
}

static int sim_fgetc(FILE *file)
{
    assert_true(file == (FILE *)(void *)&sim);
    return sim.file_at < sim.file_len ? sim.file[sim.file_at++] : EOF;
}

static int sim_fseek(FILE *file, long offset, int from)
{
    assert_true(file == (FILE *)(void *)&sim && offset == 0 && from == SEEK_SET);
    sim.file_at = 0;
    return 0;
}

static int sim_ferror(FILE *file)
{
    assert_true(file == (FILE *)(void *)&sim);
    return sim.file_failed;
}

static int sim_fclose(FILE *file)
{
    assert_true(file == (FILE *)(void *)&sim && sim.files != 0);
    sim.files--;
    return 0;
}

static void *sim_malloc(size_t bytes)
{
    void *block;
    if (sim_errno(SIM_MALLOC)) {
        return NULL;
    }
    sim.blocks++;
    block = malloc(bytes);
    assert_non_null(block);
    memset(block, 0xa5, bytes);
    return block;
}

static void sim_free(void *block)
{
    assert_true(block != NULL && sim.blocks != 0);
    sim.blocks--;
    free(block);
}

/* BearSSL's own seeding: without it nothing in a handshake differs between two runs. */
br_prng_seeder br_prng_seeder_system(const char **name)
{
    if (name) {
        *name = "none";
    }
    return 0;
}

#ifdef FAULTS_PORTABLE
/* As on systems where neither socket() takes flags nor the kernel gives random bytes. */
#undef SOCK_NONBLOCK
#undef GRND_NONBLOCK
#endif

/* Those that are members of structs too stay renamed to the end of this file. */
#define socket                      sim_socket
#define connect                     sim_connect
#define send                        sim_send
#define recv                        sim_recv
#define poll                        sim_poll
#define fcntl                       sim_fcntl
#define setsockopt                  sim_setsockopt
#define getsockopt                  sim_getsockopt
#define socketpair                  sim_socketpair
#define shutdown                    sim_shutdown
#define open                        sim_open
#define close                       sim_close
#define read                        sim_read
#define getaddrinfo                 sim_getaddrinfo
#define freeaddrinfo                sim_freeaddrinfo
#define pthread_create              sim_pthread_create
#define pthread_attr_init           sim_pthread_attr_init
#define pthread_attr_setdetachstate sim_pthread_attr_setdetachstate
#define pthread_sigmask             sim_pthread_sigmask
#define pthread_mutex_init          sim_pthread_mutex_init
#define pthread_mutex_destroy       sim_pthread_mutex_destroy
#define clock_gettime               sim_clock_gettime
#define getrandom                   sim_getrandom
#define fopen                       sim_fopen
#define fread                       sim_fread
#define fgetc                       sim_fgetc
#define fseek                       sim_fseek
#define ferror                      sim_ferror
#define fclose                      sim_fclose
#define malloc                      sim_malloc
#define free                        sim_free

#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#undef fopen
#undef fread
#undef fgetc
#undef fseek
#undef ferror
#undef fclose
#undef malloc
#undef free
#include "unit.h"
#include "peer_cert.h"

/* ---- The peer: an HTTP server in memory, with TLS or without. It holds no memory but its own, so that a copy of it
   brings it back to an earlier moment. ---- */

enum { PEER_PIECE = 40, PEER_RECORD = 1024 };

static struct peer {
    bool tls;
    const char *answer;
    size_t answer_len, answered; /* given to TLS or to the client */
    bool closes;                 /* after the answer: with close_notify where there is TLS */
    bool early;                  /* answers before it has read all of the request */
    bool closing;
    char request[2048];
    size_t request_len;
    unsigned connections;
    bool resumes; /* sessions */
    br_ssl_session_cache_lru cache;
    unsigned char sessions[256];
    br_ssl_server_context server;
    br_x509_certificate chain[1];
    br_ec_private_key key;
    unsigned char in[PEER_RECORD + 325], out[PEER_RECORD + 85];
} peer;

static void peer_start_tls(void)
{
    char seed[33] = "the seed of the server in memory";
    br_ssl_engine_context *engine = &peer.server.eng;
    peer.chain[0].data = (unsigned char *)(uintptr_t)peer_leaf;
    peer.chain[0].data_len = sizeof peer_leaf;
    peer.key.curve = BR_EC_secp256r1;
    peer.key.x = (unsigned char *)(uintptr_t)peer_key;
    peer.key.xlen = sizeof peer_key;
    br_ssl_server_init_full_ec(&peer.server, peer.chain, 1, BR_KEYTYPE_EC, &peer.key);
    br_ssl_engine_set_buffers_bidi(engine, peer.in, sizeof peer.in, peer.out, sizeof peer.out);
    seed[0] = (char)peer.connections; /* another session id each time */
    br_ssl_engine_inject_entropy(engine, seed, 32);
    if (peer.resumes) {
        br_ssl_server_set_cache(&peer.server, &peer.cache.vtable);
    }
    assert_true(br_ssl_server_reset(&peer.server));
}

/* A fresh connection. */
static void peer_connected(void)
{
    peer.request_len = peer.answered = 0;
    peer.closing = false;
    peer.connections++;
    if (peer.tls) {
        peer_start_tls();
    }
}

static void peer_begin(bool tls, const char *answer, bool closes)
{
    unsigned connections = peer.connections;
    memset(&peer, 0, sizeof peer);
    peer.connections = connections;
    br_ssl_session_cache_lru_init(&peer.cache, peer.sessions, sizeof peer.sessions);
    peer.tls = tls;
    peer.answer = answer;
    peer.answer_len = strlen(answer);
    peer.closes = closes;
}

static bool peer_has_request(void)
{
    const char *end, *length;
    if (peer.early) {
        return peer.request_len != 0;
    }
    peer.request[peer.request_len] = '\0';
    end = strstr(peer.request, "\r\n\r\n");
    length = end ? strstr(peer.request, "Content-Length: ") : NULL;
    return end &&
           (size_t)(end + 4 - peer.request) + (length && length < end ? strtoul(length + 16, NULL, 10) : 0) ==
               peer.request_len;
}

static void peer_request(const void *bytes, size_t len)
{
    assert_true(len < sizeof peer.request - peer.request_len);
    memcpy(peer.request + peer.request_len, bytes, len);
    peer.request_len += len;
}

/* Moves what the engine has for the server, and what the server has for the engine. */
static void peer_pump(void)
{
    br_ssl_engine_context *engine = &peer.server.eng;
    unsigned char *bytes;
    size_t len;
    while ((bytes = br_ssl_engine_recvapp_buf(engine, &len)) != NULL) {
        peer_request(bytes, len);
        br_ssl_engine_recvapp_ack(engine, len);
    }
    if (br_ssl_engine_sendrec_buf(engine, &len) != NULL || peer.closing || !peer_has_request()) {
        return;
    }
    bytes = br_ssl_engine_sendapp_buf(engine, &len);
    if (bytes && peer.answered < peer.answer_len) {
        len = len < PEER_PIECE ? len : PEER_PIECE;
        len = len < peer.answer_len - peer.answered ? len : peer.answer_len - peer.answered;
        memcpy(bytes, peer.answer + peer.answered, len);
        peer.answered += len;
        br_ssl_engine_sendapp_ack(engine, len);
        br_ssl_engine_flush(engine, 0);
    } else if (bytes && peer.closes) {
        peer.closing = true;
        br_ssl_engine_close(engine);
    }
}

static size_t peer_take(const void *bytes, size_t len)
{
    const unsigned char *from = (const unsigned char *)bytes;
    size_t taken = 0, room;
    if (!peer.tls) {
        peer_request(bytes, len);
        return len;
    }
    while (taken < len) {
        unsigned char *buffer = br_ssl_engine_recvrec_buf(&peer.server.eng, &room);
        if (!buffer) {
            return len; /* it has failed or closed, and the system's buffers take the rest */
        }
        room = room < len - taken ? room : len - taken;
        memcpy(buffer, from + taken, room);
        br_ssl_engine_recvrec_ack(&peer.server.eng, room);
        taken += room;
        peer_pump();
    }
    return len;
}

static size_t peer_give(void *bytes, size_t size)
{
    unsigned char *record;
    size_t len = 0;
    if (!peer.tls) {
        len = peer_has_request() ? peer.answer_len - peer.answered : 0;
        len = len < size ? len : size;
        memcpy(bytes, peer.answer + peer.answered, len);
        peer.answered += len;
        return len;
    }
    peer_pump();
    record = br_ssl_engine_sendrec_buf(&peer.server.eng, &len);
    if (!record) {
        return 0;
    }
    len = len < size ? len : size;
    memcpy(bytes, record, len);
    br_ssl_engine_sendrec_ack(&peer.server.eng, len);
    return len;
}

static bool peer_has_bytes(void)
{
    size_t len;
    if (!peer.tls) {
        return peer_has_request() && peer.answered < peer.answer_len;
    }
    peer_pump();
    return br_ssl_engine_sendrec_buf(&peer.server.eng, &len) != NULL;
}

static bool peer_ended(void)
{
    if (peer.tls) {
        return !peer_has_bytes() &&
               (br_ssl_engine_current_state(&peer.server.eng) == BR_SSL_CLOSED || peer.closing);
    }
    return peer.closes && peer_has_request() && peer.answered == peer.answer_len;
}

/* ---- Calls and answers. ---- */

#define SECRET "dev-token-CANARY-1"
#define PLAIN  "created-CANARY-2"

#define ITEM                                                                      \
    "{\"orgTokenId\":\"t\",\"orgId\":\"o\",\"name\":\"n\",\"status\":\"active\"," \
    "\"lastFourCharsOfKey\":\"abcd\",\"createdBy\":\"c\",\"createdAt\":\"2024-02-29T12:34:56Z\"}"
#define HEAD "Content-Type: application/json\r\n"

/* The lengths are those of the bodies; each test that uses one reads it to its end. */
static const char answer_list[] =
    "HTTP/1.1 200 OK\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\nb\r\n{\"tokens\":[\r\n"
    "8a\r\n" ITEM "\r\n2\r\n]}\r\n0\r\n\r\n";
static const char answer_list_to_end[] = "HTTP/1.1 200 OK\r\n" HEAD "\r\n{\"tokens\":[" ITEM "]}";
static const char answer_created[] = "HTTP/1.1 201 Created\r\n" HEAD "Content-Length: 187\r\n\r\n"
                                     "{\"plainTextToken\":\"" PLAIN "\",\"orgToken\":" ITEM "}";
static const char answer_revoked[] = "HTTP/1.1 200 OK\r\n" HEAD "Content-Length: 4\r\n\r\ntrue";
static const char answer_422[] = "HTTP/1.1 422 No\r\n" HEAD "Content-Length: 16\r\n\r\n{\"message\":\"no\"}";
static const char answer_503[] = "HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater";

static htok_create_org_token_request create_request;

static htok_kind start(htok_client *c, htoki_operation operation, const char *url)
{
    htok_call_options options;
    memset(&options, 0, sizeof options);
    memset(&create_request, 0, sizeof create_request);
    create_request.name = "ci";
    options.server_url = url;
    return operation == HTOKI_GET_ORG_TOKENS     ? htok_get_org_tokens_start(c, &options)
           : operation == HTOKI_CREATE_ORG_TOKEN ? htok_create_org_token_start(c, &create_request, &options)
                                                 : htok_revoke_org_token_start(c, "t", &options);
}

static void check_no_secret(const htok_error *e)
{
    char line[1024];
    htok_error_format(e, line, sizeof line);
    check(!strstr(line, "CANARY") && !unit_contains(e, sizeof *e, "CANARY"), "a secret in the error: %s",
          line);
}

/* ---- A transport over the peer, byte by byte, and the moment before a fault kept as a copy. ---- */

typedef enum fault {
    FAULT_NONE,
    FAULT_END,           /* the stream ends */
    FAULT_RESET,         /* receive and send fail */
    FAULT_SEND_THEN_END, /* send fails, then the stream ends */
    FAULT_SILENCE,       /* nothing moves any more */
    FAULT_CANCEL,
    FAULT_CLOCK_FORWARD,  /* by an hour */
    FAULT_CLOCK_BACKWARD, /* by a minute, then all goes on */
    FAULT_ALERT,          /* an alert in plain text, then the end */
    FAULT_NOTIFY,         /* the server closes TLS, then the end */
    FAULT_COUNT
} fault;

static const char *const fault_names[FAULT_COUNT] = {"none",    "end",    "reset",         "send, end",
                                                     "silence", "cancel", "clock forward", "clock backward",
                                                     "alert",   "notify"};

enum { BLOCK_BYTES = 24 * 1024 };

static struct world {
    union {
        unsigned char bytes[BLOCK_BYTES];
        uint64_t aligned;
    } block;
    htok_client *client;
    bool is_open;
    unsigned opens, closes, sends, receives;
    bool fault_is_old; /* the fault hit an earlier connection */
    fault armed;
    size_t take, give;       /* bytes that may still move */
    size_t sent, given;      /* bytes that moved on this connection */
    size_t request_from;     /* sent when the handshake was through */
    bool established;        /* a line of the log says that TLS is */
    unsigned char header[5]; /* of the record at hand, and how much of it and its content came */
    size_t header_have, content_left;
    bool encrypted; /* the server's records are */
    size_t alert_given;
    uint64_t now_ms;
    bool time_known, entropy_fails;
    int64_t unix_seconds;
} world, world_kept;
static struct peer peer_kept;

static void keep(void)
{
    world_kept = world;
    peer_kept = peer;
}

static void bring_back(void)
{
    world = world_kept;
    peer = peer_kept;
}

static htok_io world_open(void *context, const char *host, uint16_t port, htok_io_detail *detail)
{
    (void)context;
    (void)detail;
    check(!world.is_open && host[0] != '\0' && port != 0, "opened while open");
    world.is_open = true;
    world.fault_is_old = world.opens != 0;
    world.opens++;
    world.sent = world.given = world.request_from = 0;
    world.header_have = world.content_left = 0;
    world.encrypted = false;
    peer_connected();
    return HTOK_IO_OK;
}

static htok_io world_connect(void *context, uint64_t now_ms, htok_io_detail *detail)
{
    (void)context;
    (void)now_ms;
    (void)detail;
    return HTOK_IO_OK;
}

static fault fault_at_hand(void)
{
    return world.fault_is_old ? FAULT_NONE : world.armed;
}

static htok_io world_send(void *context, const void *bytes, size_t len, htok_io_detail *detail)
{
    fault f = fault_at_hand();
    (void)context;
    check(world.is_open && len != 0, "the transport was used while closed");
    world.sends++;
    if (f == FAULT_RESET || f == FAULT_SEND_THEN_END) {
        detail->os_error = EPIPE;
        return HTOK_IO_FAILED;
    }
    len = len < world.take ? len : world.take;
    if (len == 0 || f == FAULT_SILENCE) {
        return HTOK_IO_AGAIN;
    }
    len = peer_take(bytes, len);
    world.take -= len;
    world.sent += len;
    detail->moved = len;
    return HTOK_IO_OK;
}

/* Keeps track of the records of TLS that go by. */
static void follow_record(unsigned char byte)
{
    if (world.header_have == 5) {
        world.content_left--;
    } else {
        world.header[world.header_have++] = byte;
        world.content_left = (size_t)(world.header[3] << 8 | world.header[4]);
        world.encrypted = world.encrypted || world.header[0] == 20;
    }
    if (world.header_have == 5 && world.content_left == 0) {
        world.header_have = 0;
    }
}

static htok_io world_receive(void *context, void *bytes, size_t size, htok_io_detail *detail)
{
    static const unsigned char alert[7] = {21, 3, 3, 0, 2, 2, 40};
    fault f = fault_at_hand();
    size_t n, i;
    (void)context;
    check(world.is_open && size != 0, "the transport was used while closed");
    world.receives++;
    if (f == FAULT_ALERT && world.alert_given < sizeof alert) {
        *(unsigned char *)bytes = alert[world.alert_given++];
        detail->moved = 1;
        return HTOK_IO_OK;
    }
    if (f == FAULT_RESET) {
        detail->os_error = ECONNRESET;
        return HTOK_IO_FAILED;
    }
    if (f == FAULT_END || f == FAULT_SEND_THEN_END || f == FAULT_ALERT) {
        return HTOK_IO_CLOSED;
    }
    n = size < world.give ? size : world.give;
    n = n == 0 || f == FAULT_SILENCE ? 0 : peer_give(bytes, n);
    if (n == 0) {
        return world.give != 0 && f != FAULT_SILENCE && peer_ended() ? HTOK_IO_CLOSED : HTOK_IO_AGAIN;
    }
    for (i = 0; i < n && peer.tls; i++) {
        follow_record(((unsigned char *)bytes)[i]);
    }
    world.give -= n;
    world.given += n;
    detail->moved = n;
    return HTOK_IO_OK;
}

static void world_close(void *context)
{
    (void)context;
    check(world.is_open, "closed twice");
    world.is_open = false;
    world.closes++;
}

static uint64_t world_monotonic_ms(void *context)
{
    (void)context;
    return world.now_ms;
}

static bool world_unix_seconds(void *context, int64_t *seconds)
{
    (void)context;
    *seconds = world.unix_seconds;
    return world.time_known;
}

static bool world_fill(void *context, void *bytes, size_t len)
{
    (void)context;
    memset(bytes, 0x5a, len);
    return !world.entropy_fails;
}

static void no_secret_line(void *context, const char *text)
{
    (void)context;
    world.established = world.established || strstr(text, "TLS established");
    check(!strstr(text, "CANARY"), "a secret was logged: %s", text);
}

static void world_begin(void)
{
    static const htok_transport transport = {false,      NULL,          world_open,  world_connect,
                                             world_send, world_receive, world_close, NULL};
    static const htok_clock clock = {NULL, world_monotonic_ms, world_unix_seconds};
    static const htok_entropy entropy = {NULL, world_fill};
    static const htok_logger logger = {NULL, no_secret_line};
    htok_client_options options;
    htok_error e;
    memset(&world, 0, sizeof world);
    memset(&options, 0, sizeof options);
    world.now_ms = 5000000;
    world.unix_seconds = 1735689600; /* 2025-01-01 */
    world.time_known = true;
    world.take = world.give = SIZE_MAX;
    options.server_url = "https://api.test";
    options.org_id = "o";
    options.token = SECRET;
    options.trust = htoki_text(peer_root);
    options.record_bytes = PEER_RECORD;
    options.transport = &transport;
    options.clock = &clock;
    options.entropy = &entropy;
    options.logger = &logger;
    check(htok_client_init(&world.client, world.block.bytes, BLOCK_BYTES, &options, &e) == HTOK_OK, "%s %s",
          htok_reason_name(e.reason), e.path);
}

static void world_end(void)
{
    size_t i;
    htok_client_close(world.client);
    check(!world.is_open && world.opens == world.closes, "a connection is left open");
    for (i = 0; i < BLOCK_BYTES; i++) {
        check(world.block.bytes[i] == 0, "byte %lu of the client was not wiped", (unsigned long)i);
    }
}

/* Polls to the end; time passes as the client asks. */
static htok_state finish(void)
{
    unsigned polls = 0;
    for (;;) {
        htok_state state = htok_client_poll(world.client);
        htok_wait wait;
        if (state != HTOK_STATE_PENDING && state != HTOK_STATE_ITEM) {
            return state;
        }
        check(++polls < 100000, "the call does not end");
        wait = htok_client_wait(world.client);
        if (state == HTOK_STATE_PENDING && wait.timeout_ms != 0) {
            bool moves = world.is_open && fault_at_hand() != FAULT_SILENCE && peer_has_bytes();
            check(wait.timeout_ms != UINT32_MAX, "the client waits for ever");
            world.now_ms += moves ? 0 : wait.timeout_ms;
        }
    }
}

/* A list on the same client, without TLS where the handshake would take too long each time. */
static void check_usable(bool tls)
{
    htok_state state;
    world.armed = FAULT_NONE;
    world.take = world.give = SIZE_MAX;
    world.time_known = true;
    world.entropy_fails = false;
    if (world.is_open && peer.tls == tls) {
        peer.request_len = peer.answered = 0; /* the next request on this connection */
        peer.answer = answer_list;
        peer.answer_len = strlen(answer_list);
        peer.closes = false;
    } else {
        peer_begin(tls, answer_list, false);
    }
    check(start(world.client, HTOKI_GET_ORG_TOKENS, tls ? "https://api.test" : "http://127.0.0.1:8080") ==
              HTOK_OK,
          "the client takes no other call");
    state = finish();
    check(state == HTOK_STATE_DONE, "the client is of no more use: %s",
          htok_reason_name(htok_client_error(world.client)->reason));
}

/* ---- The walk: a call one byte at a time, and at each byte each fault. ---- */

typedef enum connection { FRESH, REUSED, RESUMED } connection;

typedef struct walk {
    const char *name;
    bool tls;
    htoki_operation operation;
    const char *answer;
    bool closes;
    connection before;  /* a call before left it open, or its TLS session */
    htok_reason reason; /* of the call without a fault */
} walk;

/* What was known of the call when the fault struck. */
typedef struct moment {
    bool begin, handshake, exchange, final, whole, got_bytes, at_record, encrypted;
    bool sent_any; /* of the request */
    bool unsent;   /* something waits to be sent */
    int status;
    bool to_end;   /* the body ends with the stream */
    bool all_read; /* and nothing of it is missing */
} moment;

static moment moment_at_hand(const walk *w)
{
    const htok_client *c = world.client;
    moment m;
    memset(&m, 0, sizeof m);
    m.begin = c->stage == HTOKI_STAGE_BEGIN;
    m.handshake = c->stage == HTOKI_STAGE_HANDSHAKE;
    m.exchange = c->stage == HTOKI_STAGE_EXCHANGE;
    m.sent_any = m.exchange && world.sent > world.request_from;
    m.unsent = htoki_span_len(&c->out) != 0 || !htoki_op_sent_all(&c->op);
    if (c->over_tls) {
        size_t len;
        htoki_tls_wire_out(&world.client->tls, &len);
        m.unsent = len != 0 || htoki_span_len(&c->in) != 0 || (m.exchange && m.unsent);
    }
    if (m.exchange) {
        m.final = c->op.http.final;
        m.whole = c->op.http.state == HTOKI_H_DONE;
        m.got_bytes = c->got_bytes;
        m.status = m.final ? c->op.http.status : 0;
        m.to_end = c->op.http.state == HTOKI_H_BODY_CLOSE;
        m.all_read = m.to_end && c->op.http.body_received == strlen(strstr(w->answer, "\r\n\r\n") + 4);
    }
    m.at_record = world.header_have == 0;
    m.encrypted = world.encrypted;
    return m;
}

/* Whether the call may be repeated on a fresh connection, which then goes well. */
static bool is_replaced(const walk *w, const moment *m, fault f)
{
    bool dead = f == FAULT_END || f == FAULT_RESET || f == FAULT_SEND_THEN_END || f == FAULT_NOTIFY ||
                f == FAULT_ALERT;
    return w->before == REUSED && dead && !m->got_bytes &&
           (w->operation != HTOKI_CREATE_ORG_TOKEN || !m->sent_any);
}

static htok_reason expected_reason(const moment *m, fault f)
{
    switch (f) {
    case FAULT_END:
        return m->handshake ? HTOK_REASON_TLS_CLOSED
               : m->final   ? HTOK_REASON_BODY_TRUNCATED
                            : HTOK_REASON_CLOSED_EARLY;
    case FAULT_SEND_THEN_END:
        return m->handshake ? HTOK_REASON_TLS_CLOSED
               : m->final   ? HTOK_REASON_BODY_TRUNCATED
               : m->unsent  ? HTOK_REASON_SEND_FAILED
                            : HTOK_REASON_CLOSED_EARLY;
    case FAULT_RESET: return m->unsent ? HTOK_REASON_SEND_FAILED : HTOK_REASON_RECEIVE_FAILED;
    case FAULT_SILENCE: return m->handshake ? HTOK_REASON_CONNECT_TIMEOUT : HTOK_REASON_TIMEOUT;
    case FAULT_CLOCK_FORWARD: return HTOK_REASON_TIMEOUT;
    case FAULT_CANCEL: return HTOK_REASON_CANCELLED;
    case FAULT_NOTIFY: return m->final ? HTOK_REASON_BODY_TRUNCATED : HTOK_REASON_CLOSED_EARLY;
    default: return HTOK_REASON_NONE;
    }
}

static void check_fault(const walk *w, const moment *m, fault f, htok_state state, const char *label)
{
    const htok_error *e = htok_client_error(world.client);
    int status = f == FAULT_CANCEL ? m->status : e->status; /* a cancel tells none */
    bool refused = status >= 300 && status < 500;
    htok_reason wanted = expected_reason(m, f);
    if (is_replaced(w, m, f)) {
        check(state == HTOK_STATE_DONE && world.opens == 2, "%s: not replaced: %s", label,
              htok_reason_name(e->reason));
        return;
    }
    if (f == FAULT_CLOCK_BACKWARD || (m->all_read && f == FAULT_NOTIFY) ||
        (m->all_read && !w->tls && (f == FAULT_END || f == FAULT_SEND_THEN_END))) {
        check_text(htok_reason_name(e->reason), htok_reason_name(w->reason), label);
        return;
    }
    check(state == HTOK_STATE_FAILED && !world.is_open && world.opens == world.closes, "%s: no clean end",
          label);
    check_number(e->attempts, m->begin ? 0 : 1, label);
    check_number(e->status, (m->final && f != FAULT_CANCEL) || e->status ? atoi(w->answer + 9) : 0, label);
    if (f == FAULT_ALERT && m->handshake && m->at_record && !m->encrypted) {
        wanted = HTOK_REASON_TLS_ALERT;
        check_number(e->tls_error, BR_ERR_RECV_FATAL_ALERT + BR_ALERT_HANDSHAKE_FAILURE, label);
    }
    if (f == FAULT_NOTIFY && m->to_end) {
        wanted = HTOK_REASON_JSON_TRUNCATED;
    }
    if (!w->tls && m->to_end && (f == FAULT_END || f == FAULT_SEND_THEN_END)) {
        wanted = HTOK_REASON_JSON_TRUNCATED;
    }
    if (wanted != HTOK_REASON_NONE) {
        check_text(htok_reason_name(e->reason), htok_reason_name(wanted), label);
        check_number(e->kind, htoki_reason_kinds[wanted], label);
    }
    check_number(e->os_error,
                 e->reason == HTOK_REASON_SEND_FAILED      ? EPIPE
                 : e->reason == HTOK_REASON_RECEIVE_FAILED ? ECONNRESET
                                                           : 0,
                 label);
    check_number(e->may_have_taken_effect, w->operation != HTOKI_GET_ORG_TOKENS && m->sent_any && !refused,
                 label);
    check(!htok_client_created(world.client) && !htok_client_revoked(world.client), "%s: a result", label);
    check_no_secret(e);
}

static bool fault_applies(const walk *w, const moment *m, fault f, unsigned step)
{
    if (m->begin) {
        return w->before == REUSED &&
               (f == FAULT_END || f == FAULT_RESET || f == FAULT_CANCEL || (f == FAULT_NOTIFY && w->tls));
    }
    /* A fresh connection needs a whole handshake, which takes its time. */
    if (w->tls && is_replaced(w, m, f) && step % 4 != 0) {
        return false;
    }
    if (f == FAULT_ALERT || f == FAULT_NOTIFY) {
        /* What a server in the middle of a record sends belongs to that record: only the alert is tried there. */
        return w->tls && (f == FAULT_ALERT || (m->exchange && m->at_record));
    }
    return f != FAULT_CLOCK_BACKWARD || !m->handshake || step % 100 == 0;
}

/* The answer is whole where a fault strikes between its last byte and the verdict. */
static void strike(const walk *w, const moment *at, fault f, unsigned step)
{
    moment m = *at;
    char label[160];
    htok_state state;
    snprintf(label, sizeof label, "%s: %s after %lu bytes sent, %lu received", w->name, fault_names[f],
             (unsigned long)world.sent, (unsigned long)world.given);
    keep();
    world.armed = f;
    world.fault_is_old = false;
    world.take = world.give = SIZE_MAX;
    if (f == FAULT_CANCEL) {
        htok_client_cancel(world.client);
    } else if (f == FAULT_CLOCK_FORWARD) {
        world.now_ms += 3600000;
    } else if (f == FAULT_CLOCK_BACKWARD) {
        world.now_ms -= 60000;
    } else if (f == FAULT_NOTIFY) {
        peer.closing = true;
        br_ssl_engine_close(&peer.server.eng);
    }
    /* The client sends before it learns of these. */
    m.sent_any = m.sent_any || (m.exchange && (f == FAULT_END || f == FAULT_ALERT || f == FAULT_NOTIFY));
    world.established = false;
    state = finish();
    if (m.handshake && world.established) {
        m.handshake = false; /* all that was missing was a send */
        m.exchange = m.sent_any = true;
    }
    check_fault(w, &m, f, state, label);
    if (step % 4 == 0) {
        check(!unit_contains(world.block.bytes, BLOCK_BYTES, SECRET), "%s: the token is left", label);
        if (state == HTOK_STATE_DONE) {
            htok_client_wipe(world.client);
        }
        check(!unit_contains(world.block.bytes, BLOCK_BYTES, PLAIN), "%s: a created token is left", label);
    }
    check_usable(w->tls && step % 64 == 0);
    bring_back();
}

/* FAULTS_EVERY=7 strikes at each seventh byte only, where all are too many: under a checker that is slow, or to find out
   whether a change to the header is noticed at all. */
static unsigned steps_between_faults(void)
{
    const char *text = getenv("FAULTS_EVERY");
    unsigned long every = text ? strtoul(text, NULL, 10) : 1;
    return every != 0 && every <= 1000 ? (unsigned)every : 1;
}

/* Steps of one byte each way. Returns how many there were. */
static unsigned take_walk(const walk *w)
{
    const unsigned every = steps_between_faults();
    htok_state state = HTOK_STATE_PENDING;
    unsigned step = 0, faults = 0, items = 0, idle = 0;
    int f;
    world_begin();
    if (w->before != FRESH) {
        peer_begin(w->tls, answer_list, false);
        peer.resumes = w->before == RESUMED;
        check(start(world.client, HTOKI_GET_ORG_TOKENS, w->tls ? NULL : "http://127.0.0.1:8080") == HTOK_OK,
              "start");
        check(finish() == HTOK_STATE_DONE && world.is_open, "%s: the first call", w->name);
        if (w->before == RESUMED) {
            world.armed = FAULT_END; /* the server closes the idle connection */
            check(start(world.client, HTOKI_GET_ORG_TOKENS, NULL) == HTOK_OK, "start");
            world.fault_is_old = false;
            while (world.opens == 1) {
                (void)htok_client_poll(world.client);
            }
            htok_client_cancel(world.client);
            world.armed = FAULT_NONE;
            world.opens = world.closes = 0;
        }
        peer.request_len = peer.answered = 0;
        peer.answer = w->answer;
        peer.answer_len = strlen(w->answer);
        peer.closes = w->closes;
        world.request_from = world.sent;
    } else {
        peer_begin(w->tls, w->answer, w->closes);
    }
    check(start(world.client, w->operation, w->tls ? NULL : "http://127.0.0.1:8080") == HTOK_OK, "start");
    while (state == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM) {
        bool handshake = world.client->stage == HTOKI_STAGE_HANDSHAKE;
        size_t sent = world.sent, given = world.given;
        moment m = moment_at_hand(w);
        for (f = FAULT_END; f < FAULT_COUNT && (m.handshake || m.exchange || m.begin) && !m.whole &&
                            idle == 0 && step % every == 0;
             f++) {
            if (fault_applies(w, &m, (fault)f, step)) {
                strike(w, &m, (fault)f, step);
                faults++;
            }
        }
        world.take = world.give = 1;
        state = htok_client_poll(world.client);
        items += state == HTOK_STATE_ITEM;
        step++;
        if (handshake && world.client->stage == HTOKI_STAGE_EXCHANGE) {
            world.request_from = world.sent;
        }
        idle = sent == world.sent && given == world.given && handshake ? idle + 1 : 0;
        check(step < 20000 && idle < 100, "%s: the call does not go on", w->name);
    }
    check_text(htok_reason_name(htok_client_error(world.client)->reason), htok_reason_name(w->reason),
               w->name);
    check_number(items, w->operation == HTOKI_GET_ORG_TOKENS && w->reason == HTOK_REASON_NONE, w->name);
    check_number((htok_client_created(world.client) != NULL), w->answer == answer_created, w->name);
    check_number(htok_client_revoked(world.client), w->answer == answer_revoked, w->name);
    check(faults > step / every, "%s: %u faults in %u steps", w->name, faults, step);
    check_usable(w->tls);
    world_end();
    return step;
}

static void a_plain_exchange_survives_a_fault_at_every_byte(void **state)
{
    static const walk walks[] = {
        {"list", false, HTOKI_GET_ORG_TOKENS, answer_list, false, FRESH, HTOK_REASON_NONE},
        {"list to the end", false, HTOKI_GET_ORG_TOKENS, answer_list_to_end, true, FRESH, HTOK_REASON_NONE},
        {"create", false, HTOKI_CREATE_ORG_TOKEN, answer_created, false, FRESH, HTOK_REASON_NONE},
        {"revoke", false, HTOKI_REVOKE_ORG_TOKEN, answer_revoked, false, FRESH, HTOK_REASON_NONE},
        {"create refused", false, HTOKI_CREATE_ORG_TOKEN, answer_422, false, FRESH, HTOK_REASON_API_ERROR},
        {"revoke put off", false, HTOKI_REVOKE_ORG_TOKEN, answer_503, false, FRESH, HTOK_REASON_STATUS_ERROR},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(walks); i++) {
        take_walk(&walks[i]);
    }
}

static void a_kept_connection_that_dies_is_replaced_only_where_that_is_harmless(void **state)
{
    static const walk walks[] = {
        {"second list", false, HTOKI_GET_ORG_TOKENS, answer_list, false, REUSED, HTOK_REASON_NONE},
        {"second create", false, HTOKI_CREATE_ORG_TOKEN, answer_created, false, REUSED, HTOK_REASON_NONE},
        {"second revoke", false, HTOKI_REVOKE_ORG_TOKEN, answer_revoked, false, REUSED, HTOK_REASON_NONE},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(walks); i++) {
        take_walk(&walks[i]);
    }
}

static void a_list_through_tls_survives_a_fault_at_every_byte(void **state)
{
    static const walk w = {"TLS list", true,  HTOKI_GET_ORG_TOKENS, answer_list,
                           false,      FRESH, HTOK_REASON_NONE};
    unsigned first;
    (void)state;
    first = take_walk(&w);
    check_number(first > 1000, true, "steps");
}

static void a_create_through_tls_survives_a_fault_at_every_byte(void **state)
{
    static const walk w = {"TLS create", true,  HTOKI_CREATE_ORG_TOKEN, answer_created,
                           false,        FRESH, HTOK_REASON_NONE};
    (void)state;
    take_walk(&w);
}

static void a_revoke_through_tls_survives_a_fault_at_every_byte(void **state)
{
    static const walk w = {"TLS revoke", true,  HTOKI_REVOKE_ORG_TOKEN, answer_revoked,
                           false,        FRESH, HTOK_REASON_NONE};
    (void)state;
    take_walk(&w);
}

static void a_body_to_the_end_of_tls_needs_the_servers_word(void **state)
{
    static const walk w = {"TLS list to the end", true, HTOKI_GET_ORG_TOKENS, answer_list_to_end, true, FRESH,
                           HTOK_REASON_NONE};
    (void)state;
    take_walk(&w);
}

static void a_resumed_tls_session_survives_a_fault_at_every_byte(void **state)
{
    static const walk walks[] = {
        {"resumed TLS list", true, HTOKI_GET_ORG_TOKENS, answer_list, false, RESUMED, HTOK_REASON_NONE},
        {"resumed TLS create", true, HTOKI_CREATE_ORG_TOKEN, answer_created, false, RESUMED,
         HTOK_REASON_NONE},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(walks); i++) {
        take_walk(&walks[i]);
    }
}

static void a_kept_tls_connection_that_dies_is_replaced_only_where_that_is_harmless(void **state)
{
    static const walk walks[] = {
        {"second TLS list", true, HTOKI_GET_ORG_TOKENS, answer_list, false, REUSED, HTOK_REASON_NONE},
        {"second TLS create", true, HTOKI_CREATE_ORG_TOKEN, answer_created, false, REUSED, HTOK_REASON_NONE},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(walks); i++) {
        take_walk(&walks[i]);
    }
}

static void calls_cost_few_sends_and_receives(void **state)
{
    unsigned receives;
    (void)state;
    world_begin();
    peer_begin(true, answer_list, false);
    check(start(world.client, HTOKI_GET_ORG_TOKENS, NULL) == HTOK_OK, "start");
    check_number(finish(), HTOK_STATE_DONE, "list");
    check_number(world.sends, 3, "sends: a hello, a flight of three records, a request");
    world.sends = world.receives = 0;
    check_usable(true);
    check_number(world.sends, 1, "sends of a second list");
    receives = world.receives;
    world.receives = 0;
    check_usable(true);
    check_number(world.receives, receives, "receives of a third list");
    world_end();
}

static void the_clock_and_entropy_are_asked_for_before_a_handshake(void **state)
{
    static const struct {
        const char *label;
        bool known, fails;
        int64_t seconds;
        htok_reason reason;
    } rows[] = {
        {"no time", false, false, 1735689600, HTOK_REASON_TIME_UNKNOWN},
        {"time 0", true, false, 0, HTOK_REASON_TIME_UNKNOWN},
        {"time below 0", true, false, -5, HTOK_REASON_TIME_UNKNOWN},
        {"time in the year 10000", true, false, 253402300800, HTOK_REASON_TIME_UNKNOWN},
        {"before the certificate", true, false, 1704067199, HTOK_REASON_CERTIFICATE_TIME},
        {"its first second", true, false, 1704067200, HTOK_REASON_NONE},
        {"its last second", true, false, 2650838400, HTOK_REASON_NONE},
        {"after it", true, false, 2650838401, HTOK_REASON_CERTIFICATE_TIME},
        {"no entropy", true, true, 1735689600, HTOK_REASON_ENTROPY_MISSING},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        const htok_error *e;
        world_begin();
        peer_begin(true, answer_created, false);
        world.time_known = rows[i].known;
        world.entropy_fails = rows[i].fails;
        world.unix_seconds = rows[i].seconds;
        check(start(world.client, HTOKI_CREATE_ORG_TOKEN, NULL) == HTOK_OK, "start");
        (void)finish();
        e = htok_client_error(world.client);
        check_text(htok_reason_name(e->reason), htok_reason_name(rows[i].reason), rows[i].label);
        check(!e->may_have_taken_effect, "%s: nothing was sent", rows[i].label);
        world.unix_seconds = 1735689600;
        check_usable(true);
        world_end();
    }
}

static void two_runs_of_a_handshake_are_the_same(void **state)
{
    static struct peer first;
    size_t sent;
    (void)state;
    peer_begin(true, answer_list, false);
    peer.connections = 0;
    world_begin();
    check(start(world.client, HTOKI_GET_ORG_TOKENS, NULL) == HTOK_OK && finish() == HTOK_STATE_DONE,
          "the first");
    sent = world.sent;
    world_end();
    first = peer;
    peer_begin(true, answer_list, false);
    peer.connections = 0;
    world_begin();
    check(start(world.client, HTOKI_GET_ORG_TOKENS, NULL) == HTOK_OK && finish() == HTOK_STATE_DONE,
          "the second");
    check_number(world.sent, sent, "bytes sent");
    world_end();
    check(memcmp(&first, &peer, sizeof peer) == 0, "the server was left in another state");
}

/* ---- The built-in sockets, look-up, clock, entropy, files and allocator over the simulated system. ---- */

static void sim_begin(void)
{
    memset(&sim, 0, sizeof sim);
    sim.now_ms = 7000000;
    sim.unix_seconds = 1735689600;
    sim.families[0] = AF_INET6;
    sim.families[1] = AF_INET;
    sim.file = peer_root;
    sim.file_len = sizeof peer_root - 1;
    sim.workers_wait = true;
}

static unsigned sim_open_count(void)
{
    unsigned i, count = 0;
    for (i = 0; i < SIM_FDS; i++) {
        count += sim.fds[i].kind != SIM_FREE;
    }
    return count;
}

static void sim_heal(void)
{
    sim.fail[0] = sim.fail[1] = SIM_NONE;
}

static void sim_end(const char *label)
{
    unsigned i;
    sigset_t blocked;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    check(!sigismember(&blocked, SIGTERM), "%s: the caller's signal mask has changed", label);
    sim_run_workers();
    for (i = 0; i < SIM_FDS; i++) {
        check(sim.fds[i].kind == SIM_FREE, "%s: descriptor %u is left open", label, i);
    }
    check_number(sim.blocks, 0, label);
    check_number(sim.lists, 0, label);
    check_number(sim.files, 0, label);
    check_number(sim.mutexes, 0, label);
}

static void no_secret_in_line(void *context, const char *text)
{
    (void)context;
    check(!strstr(text, "CANARY"), "a secret was logged: %s", text);
}

static htok_kind sim_create(htok_client **client, htok_error *e)
{
    static const htok_logger logger = {NULL, no_secret_in_line};
    htok_client_options options;
    memset(&options, 0, sizeof options);
    options.server_url = "https://api.test";
    options.org_id = "o";
    options.token = SECRET;
    options.trust_file = "roots.pem";
    options.record_bytes = PEER_RECORD;
    options.logger = &logger;
    return htok_client_create(client, &options, e);
}

static htok_kind sim_call_of(htok_client *c, htoki_operation operation, const char *url)
{
    htok_call_options options;
    memset(&options, 0, sizeof options);
    memset(&create_request, 0, sizeof create_request);
    create_request.name = "ci";
    options.server_url = url;
    return operation == HTOKI_GET_ORG_TOKENS     ? htok_get_org_tokens(c, &options, NULL, NULL)
           : operation == HTOKI_CREATE_ORG_TOKEN ? htok_create_org_token(c, &create_request, &options, NULL)
                                                 : htok_revoke_org_token(c, "t", &options, NULL);
}

/* A list over a connection of its own, by name and TLS where asked. */
static void sim_check_usable(htok_client *c, bool tls, const char *label)
{
    htok_kind kind;
    sim_heal();
    sim.send_most = sim.receive_most = 0;
    htoki_disconnect(c);
    peer_begin(tls, answer_list, false);
    kind = sim_call_of(c, HTOKI_GET_ORG_TOKENS, tls ? "https://api.test" : "http://127.0.0.1:8080");
    check(kind == HTOK_OK, "%s: the client is of no more use: %s", label, htok_reason_name(c->error.reason));
}

typedef struct system_row {
    const char *label;
    sim_call call;
    int error;
    unsigned first, times; /* 0: the first; SIM_ALWAYS */
    const char *url;
    bool later; /* connecting takes a while */
    htok_reason reason;
    htok_phase phase;
    int os_error;
} system_row;

#define ONE   "http://127.0.0.1:8080"
#define LOCAL "http://localhost:8080"
#define NAME  "https://api.test"

static void check_row(const system_row *row, htoki_operation operation, const char *answer)
{
    htok_client *c;
    htok_error created;
    const htok_error *e;
    bool tls = strcmp(row->url, NAME) == 0, wanted;
    size_t requests;
    sim_begin();
    check(sim_create(&c, &created) == HTOK_OK, "%s: %s", row->label, htok_reason_name(created.reason));
    peer_begin(tls, answer, false);
    sim.connects_later = row->later;
    sim_fail_from(0, row->call, row->error, row->first ? row->first : 1, row->times ? row->times : 1);
    (void)sim_call_of(c, operation, row->url);
    e = htok_client_error(c);
    requests = peer.request_len;
    check_text(htok_reason_name(e->reason), htok_reason_name(row->reason), row->label);
    check_number(e->kind, htoki_reason_kinds[row->reason], row->label);
    check_number(e->phase, row->phase, row->label);
    check_number(e->os_error, row->os_error, row->label);
    wanted = row->reason != HTOK_REASON_NONE && operation != HTOKI_GET_ORG_TOKENS && requests != 0;
    check(e->may_have_taken_effect == wanted, "%s: may_have_taken_effect", row->label);
    check(sim.count[row->call] >= (row->first ? row->first : 1), "%s: the call was never made", row->label);
    check_no_secret(e);
    if (row->reason != HTOK_REASON_NONE) {
        check(!c->open, "%s: the connection is left open", row->label);
    }
    sim_check_usable(c, tls, row->label);
    htok_client_close(c);
    sim_end(row->label);
}

static void check_rows(const system_row *rows, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        check_row(&rows[i], HTOKI_GET_ORG_TOKENS, answer_list);
        if (strcmp(rows[i].url, NAME) != 0) {
            check_row(&rows[i], HTOKI_CREATE_ORG_TOKEN, answer_created);
            check_row(&rows[i], HTOKI_REVOKE_ORG_TOKEN, answer_revoked);
        }
    }
}

#define CONNECT_FAILED(error) HTOK_REASON_CONNECT_FAILED, HTOK_PHASE_CONNECT, error
#define LOOKUP_FAILED(error)  HTOK_REASON_LOOKUP_FAILED, HTOK_PHASE_LOOKUP, error
#define SEND_FAILED(error)    HTOK_REASON_SEND_FAILED, HTOK_PHASE_SEND, error
#define HEAD_FAILED(error)    HTOK_REASON_RECEIVE_FAILED, HTOK_PHASE_HEAD, error
#define GOES_WELL             HTOK_REASON_NONE, HTOK_PHASE_NONE, 0

static void a_socket_that_cannot_be_made_is_a_connection_error(void **state)
{
    static const system_row rows[] = {
        {"socket EMFILE", SIM_SOCKET, EMFILE, 0, 0, ONE, false, CONNECT_FAILED(EMFILE)},
        {"socket ENFILE", SIM_SOCKET, ENFILE, 0, 0, ONE, false, CONNECT_FAILED(ENFILE)},
        {"socket ENOBUFS", SIM_SOCKET, ENOBUFS, 0, 0, ONE, false, CONNECT_FAILED(ENOBUFS)},
        {"socket ENOMEM", SIM_SOCKET, ENOMEM, 0, 0, ONE, false, CONNECT_FAILED(ENOMEM)},
        {"socket EACCES", SIM_SOCKET, EACCES, 0, 0, ONE, false, CONNECT_FAILED(EACCES)},
        {"socket EAFNOSUPPORT", SIM_SOCKET, EAFNOSUPPORT, 0, 0, ONE, false, CONNECT_FAILED(EAFNOSUPPORT)},
        {"socket EAFNOSUPPORT of two", SIM_SOCKET, EAFNOSUPPORT, 0, 0, LOCAL, false, GOES_WELL},
        {"socket EMFILE of two", SIM_SOCKET, EMFILE, 0, 0, LOCAL, false, GOES_WELL},
        {"socket EMFILE twice of two", SIM_SOCKET, EMFILE, 1, 2, LOCAL, false, CONNECT_FAILED(EMFILE)},
        {"socket EMFILE by name", SIM_SOCKET, EMFILE, 1, 2, NAME, false, CONNECT_FAILED(EMFILE)},
        {"setsockopt ENOPROTOOPT", SIM_SETSOCKOPT, ENOPROTOOPT, 0, 0, ONE, false, GOES_WELL},
        {"setsockopt EINVAL", SIM_SETSOCKOPT, EINVAL, 0, 0, ONE, true, GOES_WELL},
#ifdef FAULTS_PORTABLE
        {"fcntl close-on-exec", SIM_FCNTL, EBADF, 1, 1, ONE, false, CONNECT_FAILED(EBADF)},
        {"fcntl non-blocking", SIM_FCNTL, EINVAL, 2, 1, ONE, false, CONNECT_FAILED(EINVAL)},
        {"fcntl of one of two", SIM_FCNTL, EINVAL, 2, 1, LOCAL, false, GOES_WELL},
#endif
    };
    (void)state;
    check_rows(rows, UNIT_COUNT(rows));
}

static void a_connect_that_fails_is_a_connection_error(void **state)
{
    static const system_row rows[] = {
        {"connect ECONNREFUSED", SIM_CONNECT, ECONNREFUSED, 0, 0, ONE, false, CONNECT_FAILED(ECONNREFUSED)},
        {"connect ENETUNREACH", SIM_CONNECT, ENETUNREACH, 0, 0, ONE, false, CONNECT_FAILED(ENETUNREACH)},
        {"connect EHOSTUNREACH", SIM_CONNECT, EHOSTUNREACH, 0, 0, ONE, false, CONNECT_FAILED(EHOSTUNREACH)},
        {"connect ETIMEDOUT", SIM_CONNECT, ETIMEDOUT, 0, 0, ONE, false, CONNECT_FAILED(ETIMEDOUT)},
        {"connect EACCES", SIM_CONNECT, EACCES, 0, 0, ONE, false, CONNECT_FAILED(EACCES)},
        {"connect EPERM", SIM_CONNECT, EPERM, 0, 0, ONE, false, CONNECT_FAILED(EPERM)},
        {"connect EADDRNOTAVAIL", SIM_CONNECT, EADDRNOTAVAIL, 0, 0, ONE, false,
         CONNECT_FAILED(EADDRNOTAVAIL)},
        {"connect EAGAIN, a shortage", SIM_CONNECT, EAGAIN, 0, 0, ONE, false, CONNECT_FAILED(EAGAIN)},
        {"connect EINTR", SIM_CONNECT, EINTR, 0, 0, ONE, false, GOES_WELL},
        {"connect EALREADY", SIM_CONNECT, EALREADY, 0, 0, ONE, false, GOES_WELL},
        {"connect EINPROGRESS", SIM_CONNECT, EINPROGRESS, 0, 0, ONE, false, GOES_WELL},
        {"connect ECONNREFUSED of two", SIM_CONNECT, ECONNREFUSED, 0, 0, LOCAL, false, GOES_WELL},
        {"connect ECONNREFUSED twice", SIM_CONNECT, ECONNREFUSED, 1, 2, LOCAL, false,
         CONNECT_FAILED(ECONNREFUSED)},
        {"connect ECONNREFUSED by name", SIM_CONNECT, ECONNREFUSED, 1, 2, NAME, false,
         CONNECT_FAILED(ECONNREFUSED)},
        {"SO_ERROR ECONNREFUSED", SIM_SO_ERROR, ECONNREFUSED, 0, 0, ONE, true, CONNECT_FAILED(ECONNREFUSED)},
        {"SO_ERROR ETIMEDOUT", SIM_SO_ERROR, ETIMEDOUT, 0, 0, ONE, true, CONNECT_FAILED(ETIMEDOUT)},
        {"SO_ERROR of two", SIM_SO_ERROR, ECONNREFUSED, 0, 0, LOCAL, true, GOES_WELL},
        {"SO_ERROR twice of two", SIM_SO_ERROR, ECONNRESET, 1, 2, LOCAL, true, CONNECT_FAILED(ECONNRESET)},
        {"a failure without a cause", SIM_SO_ERROR, SIM_LOST, 1, SIM_ALWAYS, ONE, true,
         CONNECT_FAILED(ECONNABORTED)},
        {"getsockopt ENOBUFS", SIM_GETSOCKOPT, ENOBUFS, 0, 0, ONE, true, CONNECT_FAILED(ENOBUFS)},
        {"getsockopt ENOTSOCK", SIM_GETSOCKOPT, ENOTSOCK, 1, 2, LOCAL, true, CONNECT_FAILED(ENOTSOCK)},
        {"poll ENOMEM while connecting", SIM_POLL_NOW, ENOMEM, 0, 0, ONE, true, CONNECT_FAILED(ENOMEM)},
        {"poll EINVAL while connecting", SIM_POLL_NOW, EINVAL, 0, 0, ONE, true, CONNECT_FAILED(EINVAL)},
        {"poll EINTR while connecting", SIM_POLL_NOW, EINTR, 1, 50, ONE, true, GOES_WELL},
        {"poll EAGAIN while connecting", SIM_POLL_NOW, EAGAIN, 1, 50, ONE, true, GOES_WELL},
        {"poll EINTR in a wait", SIM_POLL_WAIT, EINTR, 1, 50, ONE, true, GOES_WELL},
    };
    (void)state;
    check_rows(rows, UNIT_COUNT(rows));
}

static void a_send_or_receive_that_fails_is_a_connection_error(void **state)
{
    static const system_row rows[] = {
        {"send EPIPE", SIM_SEND, EPIPE, 1, SIM_ALWAYS, ONE, false, HTOK_REASON_TIMEOUT, HTOK_PHASE_HEAD, 0},
        {"send EINTR", SIM_SEND, EINTR, 1, 99, ONE, false, GOES_WELL},
        {"send EINTR without end", SIM_SEND, EINTR, 1, 1000, ONE, false, GOES_WELL},
        {"send EAGAIN", SIM_SEND, EAGAIN, 1, 20, ONE, false, GOES_WELL},
        {"send EWOULDBLOCK", SIM_SEND, EWOULDBLOCK, 1, 1, ONE, true, GOES_WELL},
        {"send of nothing", SIM_SEND, SIM_ZERO, 1, 5, ONE, false, GOES_WELL},
        {"send EAGAIN in the handshake", SIM_SEND, EAGAIN, 2, 3, NAME, false, GOES_WELL},
        {"recv ECONNRESET", SIM_RECV, ECONNRESET, 0, 0, ONE, false, HEAD_FAILED(ECONNRESET)},
        {"recv ETIMEDOUT", SIM_RECV, ETIMEDOUT, 0, 0, ONE, false, HEAD_FAILED(ETIMEDOUT)},
        {"recv EHOSTUNREACH", SIM_RECV, EHOSTUNREACH, 0, 0, ONE, false, HEAD_FAILED(EHOSTUNREACH)},
        {"recv ENOMEM", SIM_RECV, ENOMEM, 0, 0, ONE, false, HEAD_FAILED(ENOMEM)},
        {"recv ECONNREFUSED", SIM_RECV, ECONNREFUSED, 0, 0, ONE, false, HEAD_FAILED(ECONNREFUSED)},
        {"recv EINTR", SIM_RECV, EINTR, 1, 99, ONE, false, GOES_WELL},
        {"recv EINTR without end", SIM_RECV, EINTR, 1, 1000, ONE, false, GOES_WELL},
        {"recv EAGAIN", SIM_RECV, EAGAIN, 1, 20, ONE, false, GOES_WELL},
        {"recv end", SIM_RECV, SIM_ZERO, 0, 0, ONE, false, HTOK_REASON_CLOSED_EARLY, HTOK_PHASE_HEAD, 0},
        {"recv ECONNRESET in the handshake", SIM_RECV, ECONNRESET, 2, 1, NAME, false,
         HTOK_REASON_RECEIVE_FAILED, HTOK_PHASE_HANDSHAKE, ECONNRESET},
        {"recv end in the handshake", SIM_RECV, SIM_ZERO, 2, 1, NAME, false, HTOK_REASON_TLS_CLOSED,
         HTOK_PHASE_HANDSHAKE, 0},
        {"recv EINTR in the handshake", SIM_RECV, EINTR, 1, 300, NAME, false, GOES_WELL},
    };
    (void)state;
    check_rows(rows, UNIT_COUNT(rows));
}

/* The peer answers or ends before it has read all: what it said counts, else the send's error. */
static void a_send_that_fails_gives_way_to_an_answer(void **state)
{
    static const struct {
        const char *label;
        const char *answer;
        int receive;
        htok_reason reason;
        bool effect;
    } rows[] = {
        {"refused early", answer_422, 0, HTOK_REASON_API_ERROR, false},
        {"put off early", answer_503, 0, HTOK_REASON_STATUS_ERROR, true},
        {"the end", "", SIM_ZERO, HTOK_REASON_SEND_FAILED, true},
        {"reset", "", ECONNRESET, HTOK_REASON_SEND_FAILED, true},
        {"half an answer, then the end", "HTTP/1.1 422 No\r\nA: ", 0, HTOK_REASON_SEND_FAILED, true},
    };
    static const int errors[] = {EPIPE, ECONNRESET, ENOBUFS, EIO};
    size_t i, n;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows) * UNIT_COUNT(errors); i++) {
        int error = errors[i % UNIT_COUNT(errors)];
        htok_client *c;
        htok_error created;
        n = i / UNIT_COUNT(errors);
        sim_begin();
        check(sim_create(&c, &created) == HTOK_OK, "create");
        peer_begin(false, rows[n].answer, true);
        peer.early = true;
        sim.send_most = 30;
        sim_fail_from(0, SIM_SEND, error, 2, SIM_ALWAYS);
        if (rows[n].receive != 0) {
            sim_fail_from(1, SIM_RECV, rows[n].receive, 1, 1);
        }
        (void)sim_call_of(c, HTOKI_CREATE_ORG_TOKEN, ONE);
        check_text(htok_reason_name(c->error.reason), htok_reason_name(rows[n].reason), rows[n].label);
        check_number(c->error.os_error, rows[n].reason == HTOK_REASON_SEND_FAILED ? error : 0, rows[n].label);
        check_number(c->error.may_have_taken_effect, rows[n].effect, rows[n].label);
        sim_check_usable(c, false, rows[n].label);
        htok_client_close(c);
        sim_end(rows[n].label);
    }
}

static void a_first_send_that_fails_changes_nothing(void **state)
{
    htok_client *c;
    htok_error created;
    (void)state;
    sim_begin();
    check(sim_create(&c, &created) == HTOK_OK, "create");
    peer_begin(false, answer_created, false);
    sim_fail_from(0, SIM_SEND, EPIPE, 1, SIM_ALWAYS);
    sim_fail_from(1, SIM_RECV, ECONNRESET, 1, SIM_ALWAYS);
    check_number(sim_call_of(c, HTOKI_CREATE_ORG_TOKEN, ONE), HTOK_CONNECTION_ERROR, "kind");
    check_number(c->error.reason, HTOK_REASON_SEND_FAILED, "reason");
    check_number(c->error.os_error, EPIPE, "error of the send");
    check(!c->error.may_have_taken_effect, "no byte has left");
    sim_check_usable(c, false, "after it");
    htok_client_close(c);
    sim_end("after it");
}

/* Where the system cannot wait, the call ends and says what may have happened. */
static void a_wait_that_fails_ends_the_call(void **state)
{
    static const int errors[] = {ENOMEM, EINVAL, EFAULT};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(errors); i++) {
        htok_client *c;
        htok_error created;
        sim_begin();
        check(sim_create(&c, &created) == HTOK_OK, "create");
        peer_begin(false, answer_created, false);
        peer.answer_len = 0; /* it says nothing, so the client waits */
        sim_fail_from(0, SIM_POLL_WAIT, errors[i], 1, SIM_ALWAYS);
        check(sim_call_of(c, HTOKI_CREATE_ORG_TOKEN, ONE) != HTOK_OK, "the call goes on");
        check(c->error.may_have_taken_effect && peer_has_request(), "the request has left");
        check(c->error.kind != HTOK_INVALID_REQUEST_ERROR, "InvalidRequestError means that nothing was sent");
        check_number(c->error.os_error, errors[i], "error of the wait");
        sim_check_usable(c, false, "after it");
        htok_client_close(c);
        sim_end("after it");
    }
}

static void short_sends_and_receives_of_every_length_change_nothing(void **state)
{
    size_t most;
    (void)state;
    for (most = 1; most < 320; most++) {
        htok_client *c;
        htok_error created;
        bool tls = most % 40 == 1;
        sim_begin();
        check(sim_create(&c, &created) == HTOK_OK, "create");
        peer_begin(tls, answer_created, false);
        sim.send_most = most;
        sim.receive_most = most;
        sim.connects_later = most % 2 != 0;
        check(sim_call_of(c, HTOKI_CREATE_ORG_TOKEN, tls ? NAME : ONE) == HTOK_OK, "%lu bytes at a time: %s",
              (unsigned long)most, htok_reason_name(c->error.reason));
        check_view(htok_client_created(c)->plain_text_token, PLAIN, "token");
        htok_client_close(c);
        sim_end("short");
    }
}

static void a_stream_of_the_system_may_end_at_every_byte(void **state)
{
    static const int errors[] = {SIM_ZERO, ECONNRESET};
    size_t all = strlen(answer_created),
           head = (size_t)(strstr(answer_created, "\r\n\r\n") + 4 - answer_created), at, i;
    (void)state;
    for (at = 0; at <= all; at++) {
        for (i = 0; i < UNIT_COUNT(errors); i++) {
            htok_client *c;
            htok_error created;
            const htok_error *e;
            char label[64];
            snprintf(label, sizeof label, "%s after %lu bytes", i ? "reset" : "end", (unsigned long)at);
            sim_begin();
            check(sim_create(&c, &created) == HTOK_OK, "create");
            peer_begin(false, answer_created, false);
            sim.receive_most = 1;
            sim_fail_from(0, SIM_RECV, errors[i], (unsigned)at + 1, SIM_ALWAYS);
            (void)sim_call_of(c, HTOKI_CREATE_ORG_TOKEN, ONE);
            e = htok_client_error(c);
            check_text(htok_reason_name(e->reason),
                       at == all    ? "NONE"
                       : i == 1     ? "RECEIVE_FAILED"
                       : at >= head ? "BODY_TRUNCATED"
                                    : "CLOSED_EARLY",
                       label);
            check_number(e->may_have_taken_effect, at < all, label);
            check_number(e->os_error, at < all && i == 1 ? ECONNRESET : 0, label);
            sim_check_usable(c, false, label);
            htok_client_close(c);
            sim_end(label);
        }
    }
}

static void a_look_up_that_fails_is_a_connection_error(void **state)
{
    static const system_row rows[] = {
        {"EAI_NONAME", SIM_GETADDRINFO, EAI_NONAME, 0, 0, NAME, false, LOOKUP_FAILED(EAI_NONAME)},
        {"EAI_AGAIN", SIM_GETADDRINFO, EAI_AGAIN, 0, 0, NAME, false, LOOKUP_FAILED(EAI_AGAIN)},
        {"EAI_FAIL", SIM_GETADDRINFO, EAI_FAIL, 0, 0, NAME, false, LOOKUP_FAILED(EAI_FAIL)},
        {"EAI_MEMORY", SIM_GETADDRINFO, EAI_MEMORY, 0, 0, NAME, false, LOOKUP_FAILED(EAI_MEMORY)},
        {"EAI_FAMILY", SIM_GETADDRINFO, EAI_FAMILY, 0, 0, NAME, false, LOOKUP_FAILED(EAI_FAMILY)},
        {"EAI_SYSTEM with EMFILE", SIM_GETADDRINFO, EMFILE, 0, 0, NAME, false, LOOKUP_FAILED(EMFILE)},
        {"no memory for the look-up", SIM_MALLOC, ENOMEM, 0, 0, NAME, false, LOOKUP_FAILED(EAI_MEMORY)},
        {"no lock for the look-up", SIM_MUTEX, EAGAIN, 0, 0, NAME, false, LOOKUP_FAILED(EAI_MEMORY)},
        {"no thread", SIM_THREAD, EAGAIN, 0, 0, NAME, false, LOOKUP_FAILED(EAI_AGAIN)},
        {"no thread attributes", SIM_THREAD_ATTR, ENOMEM, 0, 0, NAME, false, LOOKUP_FAILED(EAI_AGAIN)},
        {"no detached thread", SIM_DETACH, EINVAL, 0, 0, NAME, false, LOOKUP_FAILED(EAI_AGAIN)},
        {"no signal mask", SIM_SIGMASK, EINVAL, 0, 0, NAME, false, LOOKUP_FAILED(EAI_AGAIN)},
        {"no pair to wake", SIM_SOCKETPAIR, EMFILE, 0, 0, NAME, false, GOES_WELL},
    };
    (void)state;
    check_rows(rows, UNIT_COUNT(rows));
}

static void a_look_up_without_an_address_is_a_connection_error(void **state)
{
    htok_client *c;
    htok_error created;
    (void)state;
    sim_begin();
    check(sim_create(&c, &created) == HTOK_OK, "create");
    sim.families[0] = AF_UNIX;
    sim.families[1] = 0;
    check_number(sim_call_of(c, HTOKI_GET_ORG_TOKENS, NAME), HTOK_CONNECTION_ERROR, "kind");
    check_number(c->error.reason, HTOK_REASON_LOOKUP_FAILED, "reason");
    check_number(c->error.os_error, EAI_NONAME, "code");
    sim.families[0] = AF_INET;
    sim_check_usable(c, true, "after it");
    htok_client_close(c);
    sim_end("after it");
}

/* getaddrinfo() cannot be ended: a client that gives up again and again must not pile up threads. */
static void look_ups_given_up_are_taken_up_again_and_bounded(void **state)
{
    static const char *const hosts[] = {"https://a.test", "https://b.test", "https://c.test",
                                        "https://api.test"};
    htok_client *c;
    htok_error created;
    unsigned i;
    (void)state;
    sim_begin();
    check(sim_create(&c, &created) == HTOK_OK, "create");
    peer_begin(true, answer_list, false);
    for (i = 0; i < 12; i++) {
        check(start(c, HTOKI_GET_ORG_TOKENS, hosts[i % 4]) == HTOK_OK, "start");
        (void)htok_client_poll(c);
        check(htok_client_poll(c) == HTOK_STATE_PENDING, "no look-up");
        check_number(htok_client_wait(c).timeout_ms, i < 4 ? 10000 : 10, "the wait");
        if (i % 2) {
            htok_client_cancel(c);
        } else {
            sim.now_ms += 10000;
            check(htok_client_poll(c) == HTOK_STATE_FAILED, "no time-out");
        }
        check_number(sim.worker_count, i < 4 ? i + 1 : 4, "threads");
        check_number(sim.blocks, 2 + sim.worker_count, "blocks");
    }
    check(start(c, HTOKI_GET_ORG_TOKENS, "https://e.test") == HTOK_OK, "start");
    check(htok_client_poll(c) == HTOK_STATE_FAILED, "a fifth look-up");
    check_number(c->error.reason, HTOK_REASON_LOOKUP_FAILED, "reason");
    check_number(c->error.os_error, EAI_AGAIN, "code");
    check_number(sim.worker_count, 4, "threads");
    /* the last one of them is waited for again, and answers; then all have ended, and there is room */
    check_number(sim_call_of(c, HTOKI_GET_ORG_TOKENS, NAME), HTOK_OK, "taken up again");
    check_number(sim.count[SIM_THREAD], 4, "threads in all");
    htoki_disconnect(c);
    check_number(sim_call_of(c, HTOKI_GET_ORG_TOKENS, "https://e.test"), HTOK_CONNECTION_ERROR,
                 "another name");
    check_number(c->error.reason, HTOK_REASON_CERTIFICATE_NAME, "which was looked up");
    check_number(sim.count[SIM_THREAD], 5, "threads in all");
    check_number(sim.blocks, 2, "blocks");
    /* of one name too a new one begins while it may */
    htoki_disconnect(c);
    for (i = 1; i < 7; i++) {
        check(start(c, HTOKI_GET_ORG_TOKENS, NAME) == HTOK_OK, "start");
        (void)htok_client_poll(c);
        check(htok_client_poll(c) == HTOK_STATE_PENDING, "no look-up");
        htok_client_cancel(c);
        check_number(sim.worker_count, i < 4 ? i : 4, "threads for one name");
    }
    sim_run_workers();
    sim_check_usable(c, true, "after it");
    htok_client_close(c);
    sim_end("given up");
}

/* Over the built-in sockets and look-up, with TLS, a refusal and the wait before the next attempt: after whichever poll,
   a cancel leaves no descriptor, no thread but one that a look-up cannot end, and no memory of it. */
static void a_cancel_in_any_stage_leaves_nothing(void **state)
{
    unsigned seen[HTOKI_STAGE_ENDED + 1] = {0}, polls;
    bool going = true;
    (void)state;
    for (polls = 0; going; polls++) {
        htok_client *c;
        htok_error created;
        htok_call_options options;
        unsigned i, workers;
        sim_begin();
        check(sim_create(&c, &created) == HTOK_OK, "create");
        peer_begin(true, answer_503, false);
        sim.connects_later = true;
        memset(&options, 0, sizeof options);
        options.server_url = NAME;
        options.retry.strategy = HTOK_RETRY_BACKOFF;
        check(htok_get_org_tokens_start(c, &options) == HTOK_OK, "start");
        for (i = 0; i < polls && going; i++) {
            if (i == 4) {
                sim_run_workers();
            }
            going = htok_client_poll(c) == HTOK_STATE_PENDING && c->stage != HTOKI_STAGE_WAIT;
        }
        seen[c->stage]++;
        workers = sim.worker_count;
        htok_client_cancel(c);
        check(c->error.kind == HTOK_REQUEST_ABORTED_ERROR, "after %u polls: %s", polls,
              htok_reason_name(c->error.reason));
        check_number(sim_open_count(), workers, "descriptors: a worker's end of its pair");
        check_number(sim.blocks, 2 + workers, "blocks: the client, its roots, and a worker's");
        sim_check_usable(c, true, "after it");
        htok_client_close(c);
        sim_end("cancelled");
        check(polls < 500, "it does not end");
    }
    check(seen[HTOKI_STAGE_BEGIN] && seen[HTOKI_STAGE_CONNECT] > 4 && seen[HTOKI_STAGE_HANDSHAKE] > 2 &&
              seen[HTOKI_STAGE_EXCHANGE] && seen[HTOKI_STAGE_WAIT],
          "not all stages were met");
}

/* The worker of a look-up that was given up ends later, on memory of its own. */
static void a_look_up_may_be_given_up_at_any_time(void **state)
{
    int how;
    (void)state;
    for (how = 0; how < 6; how++) {
        htok_client *c;
        htok_error created;
        sim_begin();
        check(sim_create(&c, &created) == HTOK_OK, "create");
        peer_begin(true, answer_list, false);
        if (how % 2 != 0) {
            sim_fail_from(0, SIM_SOCKETPAIR, EMFILE, 1, 1);
        }
        check(start(c, HTOKI_GET_ORG_TOKENS, NAME) == HTOK_OK, "start");
        check(htok_client_poll(c) == HTOK_STATE_PENDING && htok_client_poll(c) == HTOK_STATE_PENDING, "poll");
        check(sim.worker_count == 1, "no look-up is under way");
        check_number(htok_client_wait(c).timeout_ms, how % 2 ? 10 : 10000, "the wait for a look-up");
        if (how < 2) {
            htok_client_close(c);
            check(sim.blocks == 1, "the worker's memory is gone");
            sim_end("closed");
            continue;
        }
        if (how < 4) {
            htok_client_cancel(c);
        } else {
            sim.now_ms += 10000;
            check(htok_client_poll(c) == HTOK_STATE_FAILED, "no time-out");
            check_number(c->error.reason, HTOK_REASON_CONNECT_TIMEOUT, "reason");
        }
        check(!c->open, "left open");
        sim_run_workers();
        sim_check_usable(c, true, "after it");
        htok_client_close(c);
        sim_end("given up");
    }
}

static void a_clock_that_fails_is_no_disaster(void **state)
{
    static const system_row rows[] = {
        {"monotonic", SIM_MONOTONIC, EINVAL, 1, SIM_ALWAYS, ONE, true, GOES_WELL},
        {"monotonic once, back to 0", SIM_MONOTONIC, EINVAL, 3, 1, ONE, true, GOES_WELL},
        {"wall time", SIM_REALTIME, EINVAL, 1, SIM_ALWAYS, NAME, false, HTOK_REASON_TIME_UNKNOWN,
         HTOK_PHASE_HANDSHAKE, 0},
    };
    htok_client *c;
    htok_error created;
    (void)state;
    check_rows(rows, UNIT_COUNT(rows));
    sim_begin();
    check(sim_create(&c, &created) == HTOK_OK, "create");
    peer_begin(true, answer_list, false);
    sim.unix_seconds = 1577836799; /* the last second before 2020 */
    check_number(sim_call_of(c, HTOKI_GET_ORG_TOKENS, NAME), HTOK_CONNECTION_ERROR, "kind");
    check_number(c->error.reason, HTOK_REASON_TIME_UNKNOWN, "a clock that was never set");
    sim.unix_seconds = 1735689600;
    sim_check_usable(c, true, "after it");
    htok_client_close(c);
    sim_end("after it");
}

static void entropy_that_fails_ends_the_handshake_before_it_begins(void **state)
{
#define NO_ENTROPY HTOK_REASON_ENTROPY_MISSING, HTOK_PHASE_HANDSHAKE, 0
    static const struct {
        system_row row;
        sim_call other; /* what fails as well */
        int other_error;
        unsigned other_times;
    } rows[] = {
#ifndef FAULTS_PORTABLE
        {{"not seeded", SIM_GETRANDOM, EAGAIN, 0, 0, NAME, false, NO_ENTROPY}, SIM_NONE, 0, 0},
        {{"interrupted", SIM_GETRANDOM, EINTR, 1, 3, NAME, false, GOES_WELL}, SIM_NONE, 0, 0},
        {{"always interrupted", SIM_GETRANDOM, EINTR, 1, SIM_ALWAYS, NAME, false, GOES_WELL}, SIM_NONE, 0, 0},
        {{"a byte at a time", SIM_GETRANDOM, SIM_SHORT, 1, SIM_ALWAYS, NAME, false, GOES_WELL},
         SIM_NONE,
         0,
         0},
        {{"none at all", SIM_GETRANDOM, SIM_ZERO, 1, SIM_ALWAYS, NAME, false, GOES_WELL}, SIM_NONE, 0, 0},
        {{"no system call", SIM_GETRANDOM, ENOSYS, 1, SIM_ALWAYS, NAME, false, GOES_WELL}, SIM_NONE, 0, 0},
        {{"nor device", SIM_GETRANDOM, ENOSYS, 1, SIM_ALWAYS, NAME, false, NO_ENTROPY}, SIM_OPEN, ENOENT, 1},
        {{"nor descriptor", SIM_GETRANDOM, ENOSYS, 1, SIM_ALWAYS, NAME, false, NO_ENTROPY},
         SIM_OPEN,
         EMFILE,
         1},
        {{"device fails", SIM_GETRANDOM, ENOSYS, 1, SIM_ALWAYS, NAME, false, NO_ENTROPY}, SIM_READ, EIO, 1},
        {{"device ends", SIM_GETRANDOM, ENOSYS, 1, SIM_ALWAYS, NAME, false, NO_ENTROPY},
         SIM_READ,
         SIM_ZERO,
         1},
        {{"device interrupted", SIM_GETRANDOM, ENOSYS, 1, SIM_ALWAYS, NAME, false, GOES_WELL},
         SIM_READ,
         EINTR,
         5},
        {{"device stuck", SIM_GETRANDOM, ENOSYS, 1, SIM_ALWAYS, NAME, false, NO_ENTROPY},
         SIM_READ,
         EINTR,
         SIM_ALWAYS},
        {{"device slow", SIM_GETRANDOM, ENOSYS, 1, SIM_ALWAYS, NAME, false, GOES_WELL},
         SIM_READ,
         SIM_SHORT,
         40},
#else
        {{"no device", SIM_OPEN, ENOENT, 0, 0, NAME, false, NO_ENTROPY}, SIM_NONE, 0, 0},
        {{"no descriptor", SIM_OPEN, EMFILE, 0, 0, NAME, false, NO_ENTROPY}, SIM_NONE, 0, 0},
        {{"device fails", SIM_READ, EIO, 0, 0, NAME, false, NO_ENTROPY}, SIM_NONE, 0, 0},
        {{"device ends", SIM_READ, SIM_ZERO, 0, 0, NAME, false, NO_ENTROPY}, SIM_NONE, 0, 0},
        {{"device slow", SIM_READ, SIM_SHORT, 1, 40, NAME, false, GOES_WELL}, SIM_NONE, 0, 0},
#endif
    };
#undef NO_ENTROPY
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        const system_row *row = &rows[i].row;
        htok_client *c;
        htok_error created;
        sim_begin();
        check(sim_create(&c, &created) == HTOK_OK, "create");
        peer_begin(true, answer_list, false);
        sim_fail_from(0, row->call, row->error, row->first ? row->first : 1, row->times ? row->times : 1);
        if (rows[i].other != SIM_NONE) {
            sim_fail_from(1, rows[i].other, rows[i].other_error, 1, rows[i].other_times);
        }
        (void)sim_call_of(c, HTOKI_GET_ORG_TOKENS, NAME);
        check_text(htok_reason_name(c->error.reason), htok_reason_name(row->reason), row->label);
        check_number(c->error.phase, row->phase, row->label);
        check(row->reason == HTOK_REASON_NONE || peer.request_len == 0, "%s: something was sent", row->label);
        sim_check_usable(c, true, row->label);
        htok_client_close(c);
        sim_end(row->label);
    }
}

static void a_file_of_certificates_that_cannot_be_read_is_named(void **state)
{
    static const struct {
        const char *label;
        sim_call call;
        int error;
        htok_reason reason;
        int os_error;
    } rows[] = {
        {"fopen ENOENT", SIM_FOPEN, ENOENT, HTOK_REASON_TRUST_UNREADABLE, ENOENT},
        {"fopen EACCES", SIM_FOPEN, EACCES, HTOK_REASON_TRUST_UNREADABLE, EACCES},
        {"fopen EMFILE", SIM_FOPEN, EMFILE, HTOK_REASON_TRUST_UNREADABLE, EMFILE},
        {"fopen EISDIR", SIM_FOPEN, EISDIR, HTOK_REASON_TRUST_UNREADABLE, EISDIR},
        {"fread EIO", SIM_FREAD, EIO, HTOK_REASON_TRUST_UNREADABLE, EIO},
        {"fread EISDIR", SIM_FREAD, EISDIR, HTOK_REASON_TRUST_UNREADABLE, EISDIR},
        {"fread without an errno", SIM_FREAD, SIM_LOST, HTOK_REASON_TRUST_UNREADABLE, EIO},
        {"no memory for the file", SIM_MALLOC, ENOMEM, HTOK_REASON_ALLOCATION_FAILED, 0},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        htok_client *c = NULL;
        htok_error e;
        sim_begin();
        sim_fail_from(0, rows[i].call, rows[i].error, 1, 1);
        check(sim_create(&c, &e) != HTOK_OK && c == NULL, "%s: a client", rows[i].label);
        check_text(htok_reason_name(e.reason), htok_reason_name(rows[i].reason), rows[i].label);
        check_number(e.os_error, rows[i].os_error, rows[i].label);
        check_text(e.path, "trust_file", rows[i].label);
        sim_end(rows[i].label);
    }
}

/* A file that is cut anywhere is refused; only the last line end may be missing. */
static void a_file_of_certificates_may_end_at_every_byte(void **state)
{
    size_t at, all = sizeof peer_root - 1;
    (void)state;
    for (at = 0; at <= all; at++) {
        htok_client *c = NULL;
        htok_error e;
        htok_kind kind;
        sim_begin();
        sim.file_len = at;
        kind = sim_create(&c, &e);
        if (at + 1 >= all) {
            check(kind == HTOK_OK, "%lu bytes: %s", (unsigned long)at, htok_reason_name(e.reason));
            htok_client_close(c);
        } else {
            check(kind == HTOK_INVALID_REQUEST_ERROR && c == NULL, "%lu bytes make a client",
                  (unsigned long)at);
            check(e.reason == HTOK_REASON_TRUST_EMPTY || e.reason == HTOK_REASON_TRUST_MALFORMED,
                  "%lu bytes: %s", (unsigned long)at, htok_reason_name(e.reason));
        }
        sim_end("cut");
    }
}

/* A file that is larger than the first block, so that it is read again. */
static void each_allocation_of_a_client_may_fail(void **state)
{
    static char large[600 * 1024];
    unsigned number;
    bool made = false;
    (void)state;
    memset(large, ' ', sizeof large);
    memcpy(large, peer_root, sizeof peer_root - 1);
    for (number = 1; !made; number++) {
        htok_client *c = NULL;
        htok_error e;
        sim_begin();
        sim.file = large;
        sim.file_len = sizeof large;
        sim_fail_from(0, SIM_MALLOC, ENOMEM, number, 1);
        made = sim_create(&c, &e) == HTOK_OK;
        if (made) {
            check_number(number, 4, "allocations of a client: two for the file, and the client");
            sim_check_usable(c, true, "with all memory");
            htok_client_close(c);
        } else {
            check(c == NULL && e.kind == HTOK_UNEXPECTED_CLIENT_ERROR, "allocation %u", number);
            check_number(e.reason, HTOK_REASON_ALLOCATION_FAILED, "reason");
        }
        sim_end("allocations");
    }
}

static void a_race_of_many_addresses_leaves_no_socket_open(void **state)
{
    static const int errors[] = {0, ECONNREFUSED, ENETUNREACH};
    unsigned count, failing;
    size_t i;
    (void)state;
    for (count = 1; count <= SIM_ADDRESSES; count += count < 8 ? 1 : 4) {
        for (failing = 0; failing <= 16; failing += failing < 6 ? 1 : 5) {
            for (i = 0; i < UNIT_COUNT(errors); i++) {
                htok_client *c;
                htok_error created;
                unsigned n;
                sim_begin();
                check(sim_create(&c, &created) == HTOK_OK, "create");
                peer_begin(true, answer_list, false);
                for (n = 0; n < count; n++) {
                    sim.families[n] = n % 3 == 2 ? AF_INET : AF_INET6;
                }
                sim.connects_later = i == 0;
                sim_fail_from(0, i == 0 ? SIM_SO_ERROR : SIM_CONNECT, i == 0 ? ETIMEDOUT : errors[i], 1,
                              failing);
                (void)start(c, HTOKI_GET_ORG_TOKENS, NAME);
                for (n = 0;
                     n < 400 && htok_client_poll(c) == HTOK_STATE_PENDING && c->stage <= HTOKI_STAGE_CONNECT;
                     n++) {
                    sim_run_workers();
                    sim.now_ms += 100;
                }
                if (c->stage != HTOKI_STAGE_ENDED) {
                    check(n < 100, "the race does not end");
                    htok_client_cancel(c);
                } else {
                    check_number(c->error.reason, HTOK_REASON_CONNECT_FAILED, "reason");
                }
                check(!c->open && sim.most_open <= 16 + 2, "%u descriptors", sim.most_open);
                htok_client_close(c);
                sim_end("race");
            }
        }
    }
}

static void a_race_may_be_given_up_with_all_its_sockets(void **state)
{
    unsigned polls, how, most = 0;
    (void)state;
    for (polls = 1; polls < 24; polls++) {
        for (how = 0; how < 3; how++) {
            htok_client *c;
            htok_error created;
            unsigned n;
            sim_begin();
            check(sim_create(&c, &created) == HTOK_OK, "create");
            peer_begin(true, answer_list, false);
            for (n = 0; n < SIM_ADDRESSES; n++) {
                sim.families[n] = n % 2 ? AF_INET : AF_INET6;
            }
            sim.connects_later = sim.connects_never = true;
            check(start(c, HTOKI_GET_ORG_TOKENS, NAME) == HTOK_OK, "start");
            for (n = 0; n < polls; n++) {
                check(htok_client_poll(c) == HTOK_STATE_PENDING, "an end without a connection");
                sim_run_workers();
                sim.now_ms += 250; /* the head start of an address */
            }
            most = sim.most_open > most ? sim.most_open : most;
            if (how == 0) {
                htok_client_close(c);
                sim_end("closed");
                continue;
            }
            if (how == 1) {
                htok_client_cancel(c);
            } else {
                sim.now_ms += 10000;
                check(htok_client_poll(c) == HTOK_STATE_FAILED, "no time-out");
                check_number(c->error.reason, HTOK_REASON_CONNECT_TIMEOUT, "reason");
            }
            check(!c->open, "left open");
            sim.connects_never = false;
            sim_check_usable(c, true, "after it");
            htok_client_close(c);
            sim_end("given up");
        }
    }
    check_number(most, 16, "addresses that were tried at the same time");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_exchange_survives_a_fault_at_every_byte),
        cmocka_unit_test(a_kept_connection_that_dies_is_replaced_only_where_that_is_harmless),
        cmocka_unit_test(a_list_through_tls_survives_a_fault_at_every_byte),
        cmocka_unit_test(a_create_through_tls_survives_a_fault_at_every_byte),
        cmocka_unit_test(a_revoke_through_tls_survives_a_fault_at_every_byte),
        cmocka_unit_test(a_body_to_the_end_of_tls_needs_the_servers_word),
        cmocka_unit_test(a_resumed_tls_session_survives_a_fault_at_every_byte),
        cmocka_unit_test(a_kept_tls_connection_that_dies_is_replaced_only_where_that_is_harmless),
        cmocka_unit_test(two_runs_of_a_handshake_are_the_same),
        cmocka_unit_test(calls_cost_few_sends_and_receives),
        cmocka_unit_test(the_clock_and_entropy_are_asked_for_before_a_handshake),
        cmocka_unit_test(a_socket_that_cannot_be_made_is_a_connection_error),
        cmocka_unit_test(a_connect_that_fails_is_a_connection_error),
        cmocka_unit_test(a_send_or_receive_that_fails_is_a_connection_error),
        cmocka_unit_test(a_send_that_fails_gives_way_to_an_answer),
        cmocka_unit_test(a_first_send_that_fails_changes_nothing),
        cmocka_unit_test(a_wait_that_fails_ends_the_call),
        cmocka_unit_test(short_sends_and_receives_of_every_length_change_nothing),
        cmocka_unit_test(a_stream_of_the_system_may_end_at_every_byte),
        cmocka_unit_test(a_race_of_many_addresses_leaves_no_socket_open),
        cmocka_unit_test(a_look_up_that_fails_is_a_connection_error),
        cmocka_unit_test(a_look_up_without_an_address_is_a_connection_error),
        cmocka_unit_test(a_cancel_in_any_stage_leaves_nothing),
        cmocka_unit_test(a_look_up_may_be_given_up_at_any_time),
        cmocka_unit_test(look_ups_given_up_are_taken_up_again_and_bounded),
        cmocka_unit_test(a_clock_that_fails_is_no_disaster),
        cmocka_unit_test(entropy_that_fails_ends_the_handshake_before_it_begins),
        cmocka_unit_test(a_file_of_certificates_that_cannot_be_read_is_named),
        cmocka_unit_test(a_file_of_certificates_may_end_at_every_byte),
        cmocka_unit_test(each_allocation_of_a_client_may_fail),
        cmocka_unit_test(a_race_may_be_given_up_with_all_its_sockets),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
