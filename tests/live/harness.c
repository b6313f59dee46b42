/* The machinery of harness.h, for POSIX systems with a /dev/ptmx. */
#define _XOPEN_SOURCE 700
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <cmocka.h>

#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fail_msg("harness: %s failed: %s", #condition, strerror(errno)); \
        }                                                                    \
    } while (0)

static struct live_process *processes;
static struct live_server *servers;
static char folder[1024];
static char *paths[64];
static size_t path_count;

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- Bytes. ---- */

void live_add(struct live_bytes *bytes, const void *more, size_t len)
{
    if (bytes->size - bytes->len <= len) {
        size_t size = (bytes->len + len) * 2 + 256;
        char *ptr = (char *)realloc(bytes->ptr, size);
        if (!ptr) {
            abort();
        }
        bytes->ptr = ptr;
        bytes->size = size;
    }
    if (len != 0) {
        memcpy(bytes->ptr + bytes->len, more, len);
    }
    bytes->len += len;
    bytes->ptr[bytes->len] = '\0';
}

void live_add_text(struct live_bytes *bytes, const char *text)
{
    live_add(bytes, text, strlen(text));
}

void live_clear(struct live_bytes *bytes)
{
    free(bytes->ptr);
    memset(bytes, 0, sizeof *bytes);
}

/* Offset of the text from offset from on, or SIZE_MAX. */
static size_t find(const struct live_bytes *bytes, const char *text, size_t from)
{
    size_t len = strlen(text), i;
    for (i = from; i + len <= bytes->len; i++) {
        if (memcmp(bytes->ptr + i, text, len) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

bool live_contains(const struct live_bytes *bytes, const char *text)
{
    return find(bytes, text, 0) != SIZE_MAX;
}

size_t live_count(const struct live_bytes *bytes, const char *text)
{
    size_t count = 0, at = find(bytes, text, 0);
    while (at != SIZE_MAX) {
        count++;
        at = find(bytes, text, at + 1);
    }
    return count;
}

/* ---- Programs. ---- */

static void close_descriptor(int *descriptor)
{
    if (*descriptor >= 0) {
        close(*descriptor);
    }
    *descriptor = -1;
}

static void make_pipe(int ends[2])
{
    CHECK(pipe(ends) == 0);
    CHECK(fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0 && fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0);
}

/* A terminal that passes bytes on as they are: [0] is ours, [1] the program's. */
static void make_terminal(int ends[2])
{
    struct termios mode;
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(ends[0] >= 0 && grantpt(ends[0]) == 0 && unlockpt(ends[0]) == 0);
    ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY);
    CHECK(ends[1] >= 0 && tcgetattr(ends[1], &mode) == 0);
    mode.c_oflag &= ~(tcflag_t)OPOST;
    CHECK(tcsetattr(ends[1], TCSANOW, &mode) == 0);
    CHECK(fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0 && fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0);
}

/* What a child starts from: the signals' defaults, and an end together with ours. */
static void child_basics(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

static bool passed_on(const char *variable)
{
    static const char *const names[] = {
        "PATH=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=", "GCOV_PREFIX"};
    size_t i;
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncmp(variable, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

extern char **environ;

static void child_program(const struct live_command *command, int input, int output, int error)
{
    const char *variables[64];
    size_t count = 0, i;
    char **old;
    child_basics();
    if (command->folder && chdir(command->folder) != 0) {
        _exit(126);
    }
    dup2(input, 0);
    if (command->output_closed) {
        close(1);
    } else {
        dup2(output, 1);
    }
    dup2(error, 2);
    for (old = environ; *old && count < 16; old++) {
        if (passed_on(*old)) {
            variables[count++] = *old;
        }
    }
    for (i = 0; command->env && command->env[i] && count < 63; i++) {
        variables[count++] = command->env[i];
    }
    variables[count] = NULL;
    environ = (char **)(uintptr_t)variables;
    execvp(command->argv[0], (char *const *)(uintptr_t)command->argv);
    _exit(127);
}

static struct live_process *new_process(void)
{
    struct live_process *process = (struct live_process *)calloc(1, sizeof *process);
    CHECK(process != NULL);
    process->input = process->output = process->error = -1;
    process->next = processes;
    processes = process;
    live_add(&process->out, "", 0);
    live_add(&process->err, "", 0);
    return process;
}

struct live_process *live_start(const struct live_command *command)
{
    struct live_process *process = new_process();
    int in[2], out[2], err[2];
    pid_t pid;
    if (command->input_messages) {
        CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, in) == 0);
        CHECK(fcntl(in[0], F_SETFD, FD_CLOEXEC) == 0 && fcntl(in[1], F_SETFD, FD_CLOEXEC) == 0);
    } else if (command->input_terminal) {
        int ends[2];
        make_terminal(ends);
        in[0] = ends[1];
        in[1] = ends[0];
    } else {
        make_pipe(in);
    }
    if (command->output_terminal) {
        make_terminal(out);
    } else {
        make_pipe(out);
    }
    if (command->output_path) {
        close(out[1]);
        out[1] = open(command->output_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        CHECK(out[1] >= 0);
    }
    if (command->error_terminal) {
        make_terminal(err);
    } else {
        make_pipe(err);
    }
    fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        child_program(command, in[0], out[1], err[1]);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    process->pid = pid;
    process->input = in[1];
    process->output = out[0];
    process->error = err[0];
    if (command->input) {
        live_send(process, command->input, command->input_len ? command->input_len : strlen(command->input));
    }
    if (!command->input_open) {
        close_descriptor(&process->input);
    }
    return process;
}

/* Reads once; closes the descriptor at its end. A terminal without a program ends with EIO. */
static void read_once(int *descriptor, struct live_bytes *bytes)
{
    char piece[16384];
    ssize_t n = read(*descriptor, piece, sizeof piece);
    if (n > 0) {
        live_add(bytes, piece, (size_t)n);
    } else if (n == 0 || errno != EINTR) {
        close_descriptor(descriptor);
    }
}

static void reap(struct live_process *process)
{
    int status = 0;
    while (waitpid((pid_t)process->pid, &status, 0) < 0 && errno == EINTR) {}
    process->pid = 0;
    process->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    close_descriptor(&process->input);
    close_descriptor(&process->output);
    close_descriptor(&process->error);
}

/* Waits for output, at most until the deadline. False when there is none to come. */
static bool pump(struct live_process *process, uint64_t deadline)
{
    struct pollfd both[2];
    uint64_t now = now_ms();
    if (process->output < 0 && process->error < 0) {
        return false;
    }
    if (now >= deadline) {
        fail_msg("time-out; output so far: %s\nerror output: %s", process->out.ptr, process->err.ptr);
    }
    both[0].fd = process->output;
    both[1].fd = process->error;
    both[0].events = both[1].events = POLLIN;
    both[0].revents = both[1].revents = 0;
    if (poll(both, 2, (int)(deadline - now)) > 0) {
        if (both[0].revents) {
            read_once(&process->output, &process->out);
        }
        if (both[1].revents) {
            read_once(&process->error, &process->err);
        }
    }
    return true;
}

static size_t await(struct live_process *process, const struct live_bytes *bytes, const char *text,
                    size_t from)
{
    uint64_t deadline = now_ms() + LIVE_TIMEOUT_MS;
    size_t at = find(bytes, text, from);
    while (at == SIZE_MAX) {
        if (!pump(process, deadline)) {
            reap(process);
            fail_msg("ended with %d without \"%s\"; output: %s\nerror output: %s", process->status, text,
                     process->out.ptr, process->err.ptr);
        }
        at = find(bytes, text, from);
    }
    return at;
}

size_t live_await_output(struct live_process *process, const char *text, size_t from)
{
    return await(process, &process->out, text, from);
}

size_t live_await_error(struct live_process *process, const char *text, size_t from)
{
    return await(process, &process->err, text, from);
}

void live_send(struct live_process *process, const char *bytes, size_t len)
{
    void (*old)(int) = signal(SIGPIPE, SIG_IGN);
    while (len != 0) {
        ssize_t n = write(process->input, bytes, len);
        if (n < 0 && errno == EPIPE) {
            break;
        }
        CHECK(n > 0);
        bytes += n;
        len -= (size_t)n;
    }
    signal(SIGPIPE, old);
}

void live_signal(struct live_process *process, int number)
{
    CHECK(kill((pid_t)process->pid, number) == 0);
}

/* The end of both outputs is the program's end: it has no children that would keep them. */
void live_end(struct live_process *process)
{
    uint64_t deadline = now_ms() + LIVE_TIMEOUT_MS;
    close_descriptor(&process->input);
    while (pump(process, deadline)) {}
    reap(process);
}

struct live_process *live_run(const struct live_command *command)
{
    struct live_process *process = live_start(command);
    live_end(process);
    return process;
}

void live_kill(struct live_process *process)
{
    if (process->pid != 0) {
        kill((pid_t)process->pid, SIGKILL);
        reap(process);
    }
}

/* As live_kill(), but what would not let go of its connections is first asked to end. */
static void dismiss(struct live_process *process)
{
    uint64_t deadline = now_ms() + LIVE_TIMEOUT_MS;
    siginfo_t info;
    if (process->pid != 0 && live_lacks("SIGKILL")) {
        kill((pid_t)process->pid, SIGINT);
        do {
            memset(&info, 0, sizeof info);
            if (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
                info.si_pid == 0) {
                poll(NULL, 0, 10);
            }
        } while (info.si_pid == 0 && now_ms() < deadline);
    }
    live_kill(process);
}

int live_teardown(void **state)
{
    (void)state;
    if (folder[0] != '\0') {
        const char *argv[5] = {"rm", "-rf", "--", NULL, NULL};
        struct live_command command;
        memset(&command, 0, sizeof command);
        argv[3] = folder;
        command.argv = argv;
        live_run(&command);
        folder[0] = '\0';
    }
    while (servers) {
        struct live_server *next = servers->next;
        free(servers);
        servers = next;
    }
    while (processes) {
        struct live_process *next = processes->next;
        dismiss(processes);
        live_clear(&processes->out);
        live_clear(&processes->err);
        free(processes);
        processes = next;
    }
    while (path_count != 0) {
        free(paths[--path_count]);
    }
    return 0;
}

/* ---- Files. ---- */

/* FOLDER/NAME, kept until the teardown. */
static const char *keep_path(const char *first, const char *name)
{
    size_t a = strlen(first), b = strlen(name);
    char *path = (char *)malloc(a + b + 2);
    CHECK(path != NULL && path_count < sizeof paths / sizeof paths[0]);
    memcpy(path, first, a);
    path[a] = '/';
    memcpy(path + a + 1, name, b + 1);
    paths[path_count++] = path;
    return path;
}

const char *live_folder(void)
{
    if (folder[0] == '\0') {
        char here[512];
        CHECK(getcwd(here, sizeof here) != NULL);
        mkdir("build", 0777);
        mkdir("build/live", 0777);
        snprintf(folder, sizeof folder, "%s/build/live/test.XXXXXX", here);
        CHECK(mkdtemp(folder) != NULL);
    }
    return folder;
}

const char *live_path(const char *name)
{
    return keep_path(live_folder(), name);
}

const char *live_write_file(const char *name, const void *bytes, size_t len)
{
    const char *path = live_path(name);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK(fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
    return path;
}

const char *live_certificate(const char *name)
{
    static bool made;
    char here[512];
    if (!made) {
        const char *argv[] = {"sh", "tests/certs.sh", "build/certs", NULL};
        struct live_command command;
        struct live_process *process;
        memset(&command, 0, sizeof command);
        command.argv = argv;
        process = live_run(&command);
        if (process->status != 0) {
            fail_msg("tests/certs.sh: %s", process->err.ptr);
        }
        made = true;
    }
    CHECK(getcwd(here, sizeof here - 16) != NULL);
    strcat(here, "/build/certs");
    return keep_path(here, name);
}

static const char *program(const char *variable, const char *name)
{
    const char *path = getenv(variable), *bin = getenv("HATHORA_BIN");
    return path ? path : keep_path(bin ? bin : "build", name);
}

const char *live_tool(void)
{
    return program("HATHORA_TOKENS_TOOL", "hathora-tokens");
}

const char *live_emulator(void)
{
    return program("HATHORA_EMULATOR", "hathora-emulator");
}

bool live_lacks(const char *what)
{
    const char *lacking = getenv("LIVE_LACKS");
    size_t len;
    for (; lacking && *lacking; lacking += len + (lacking[len] != '\0')) {
        len = strcspn(lacking, " ");
        if (len == strlen(what) && strncmp(lacking, what, len) == 0) {
            return true;
        }
    }
    return false;
}

void live_needs(const char *what)
{
    if (live_lacks(what)) {
        print_message("skipped: the target lacks %s\n", what);
        skip();
    }
}

/* ---- Servers. ---- */

static struct live_server *new_server(void)
{
    struct live_server *server = (struct live_server *)calloc(1, sizeof *server);
    CHECK(server != NULL);
    server->next = servers;
    servers = server;
    return server;
}

static void name_server(struct live_server *server, const char *base, unsigned port)
{
    server->port = port;
    snprintf(server->url, sizeof server->url, "%s:%u", base, port);
}

/* The number that stands in the output at this offset, once a line end follows it. */
static unsigned read_port(struct live_process *process, size_t at)
{
    live_await_output(process, "\n", at);
    return (unsigned)strtoul(process->out.ptr + at, NULL, 10);
}

static int listen_anywhere(unsigned *port)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 64) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

unsigned live_free_port(void)
{
    unsigned port;
    close(listen_anywhere(&port));
    return port;
}

void live_await_port(struct live_process *process, unsigned port)
{
    uint64_t deadline = now_ms() + LIVE_TIMEOUT_MS;
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int refused;
        CHECK(fd >= 0);
        refused = connect(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
        if (refused == 0) {
            return;
        }
        if (waitpid((pid_t)process->pid, NULL, WNOHANG) != 0) {
            process->pid = 0;
            while (pump(process, deadline)) {}
            fail_msg("the server ended: %s", process->err.ptr);
        }
        if (now_ms() >= deadline) {
            fail_msg("no server on port %u", port);
        }
    }
}

/* Puts the words and those of more into argv. */
static void join_words(const char **argv, size_t size, size_t count, const char *const *more)
{
    while (more && *more) {
        CHECK(count + 1 < size);
        argv[count++] = *more++;
    }
    argv[count] = NULL;
}

struct live_server *live_start_emulator(const char *token, const char *const *more)
{
    static const char ready[] = "listening on https://";
    struct live_server *server = new_server();
    struct live_command command;
    const char *argv[32] = {NULL,    "--listen", "127.0.0.1:0", "--cert", NULL,
                            "--key", NULL,       "--org",       "org-1",  "--token"};
    size_t at;
    memset(&command, 0, sizeof command);
    argv[0] = live_emulator();
    argv[4] = live_certificate("leaf.pem");
    argv[6] = live_certificate("leaf.key");
    argv[10] = token;
    join_words(argv, sizeof argv / sizeof argv[0], 11, more);
    command.argv = argv;
    server->process = live_start(&command);
    at = live_await_output(server->process, ready, 0) + strlen(ready);
    at = live_await_output(server->process, ":", at) + 1;
    name_server(server, "https://localhost", read_port(server->process, at));
    return server;
}

static void add_replaced(struct live_bytes *bytes, const char *text, const char *port)
{
    while (*text) {
        if (strncmp(text, "@PORT@", 6) == 0) {
            live_add_text(bytes, port);
            text += 6;
        } else if (strncmp(text, "@FOLDER@", 8) == 0) {
            live_add_text(bytes, live_folder());
            text += 8;
        } else {
            live_add(bytes, text++, 1);
        }
    }
}

struct live_server *live_start_nginx(const char *http_block)
{
    struct live_server *server = new_server();
    struct live_bytes text = {NULL, 0, 0};
    struct live_command command;
    const char *argv[] = {NULL, "-p", NULL, "-e", "stderr", "-c", NULL, NULL};
    char port[16];
    unsigned number = live_free_port();
    snprintf(port, sizeof port, "%u", number);
    add_replaced(&text,
                 "daemon off; master_process off; pid '@FOLDER@/nginx.pid'; error_log stderr;\n"
                 "events {}\nhttp {\naccess_log off; client_body_temp_path '@FOLDER@/body';\n"
                 "proxy_temp_path '@FOLDER@/proxy'; fastcgi_temp_path '@FOLDER@/fastcgi';\n"
                 "uwsgi_temp_path '@FOLDER@/uwsgi'; scgi_temp_path '@FOLDER@/scgi';\n",
                 port);
    add_replaced(&text, http_block, port);
    live_add_text(&text, "\n}\n");
    argv[0] = access("build/nginx/usr/sbin/nginx", X_OK) == 0 ? "build/nginx/usr/sbin/nginx"
              : access("/usr/sbin/nginx", X_OK) == 0          ? "/usr/sbin/nginx"
                                                              : "nginx";
    argv[2] = live_folder();
    argv[6] = live_write_file("nginx.conf", text.ptr, text.len);
    live_clear(&text);
    memset(&command, 0, sizeof command);
    command.argv = argv;
    server->process = live_start(&command);
    live_await_port(server->process, number);
    name_server(server, "https://localhost", number);
    return server;
}

struct live_server *live_start_proxy(const char *lines)
{
    struct live_server *server = new_server();
    struct live_bytes text = {NULL, 0, 0};
    struct live_command command;
    const char *argv[] = {"tinyproxy", "-d", "-c", NULL, NULL};
    char port[16];
    unsigned number = live_free_port();
    snprintf(port, sizeof port, "%u", number);
    add_replaced(&text, "Port @PORT@\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 60\nLogLevel Connect\n",
                 port);
    live_add_text(&text, lines);
    if (access("build/tinyproxy-bin/usr/bin/tinyproxy", X_OK) == 0) {
        argv[0] = "build/tinyproxy-bin/usr/bin/tinyproxy";
    }
    argv[3] = live_write_file("tinyproxy.conf", text.ptr, text.len);
    live_clear(&text);
    memset(&command, 0, sizeof command);
    command.argv = argv;
    server->process = live_start(&command);
    live_await_port(server->process, number);
    name_server(server, "http://127.0.0.1", number);
    return server;
}

static struct live_server *start_s_server(const char *certificate, const char *const *more, const char *where)
{
    static const char ready[] = "ACCEPT 127.0.0.1:";
    struct live_server *server = new_server();
    struct live_command command;
    char pem[64], key[64];
    const char *argv[32] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-cert",
                            NULL,      "-key",     NULL,      "-cert_chain"};
    size_t at;
    snprintf(pem, sizeof pem, "%s.pem", certificate);
    snprintf(key, sizeof key, "%s.key", certificate);
    argv[5] = live_certificate(pem);
    argv[7] = live_certificate(key);
    argv[9] = argv[5];
    join_words(argv, sizeof argv / sizeof argv[0], 10, more);
    memset(&command, 0, sizeof command);
    command.argv = argv;
    command.folder = where;
    command.input_messages = true;
    command.input_open = true;
    server->process = live_start(&command);
    at = live_await_output(server->process, ready, 0) + strlen(ready);
    name_server(server, "https://localhost", read_port(server->process, at));
    return server;
}

struct live_server *live_start_tls(const char *certificate, const char *const *more)
{
    return start_s_server(certificate, more, NULL);
}

void live_send_tls(struct live_server *server, const char *bytes, size_t len)
{
    CHECK(len <= 16384 && strchr("bBpPqQrRsS", bytes[0]) == NULL);
    live_send(server->process, bytes, len);
}

void live_cut_tls(struct live_server *server)
{
    live_send(server->process, "q\n", 2);
}

struct live_server *live_start_tls_file(const char *url_path, const char *bytes, size_t len)
{
    static const char *const serve[] = {"-HTTP", NULL};
    char path[256];
    size_t i;
    snprintf(path, sizeof path, "%s", url_path + 1);
    for (i = 0; path[i] != '\0'; i++) {
        if (path[i] == '/') {
            path[i] = '\0';
            CHECK(mkdir(live_path(path), 0777) == 0 || errno == EEXIST);
            path[i] = '/';
        }
    }
    live_write_file(path, bytes, len);
    return start_s_server("leaf", serve, live_folder());
}

/* ---- The scripted server, in a process of its own. ---- */

static void put(int descriptor, const char *bytes, size_t len)
{
    while (len != 0) {
        ssize_t n = write(descriptor, bytes, len);
        if (n <= 0) {
            return;
        }
        bytes += n;
        len -= (size_t)n;
    }
}

/* Reads one request with its body and copies it to the log. False at the end of the connection. */
static bool read_request(int connection, int log)
{
    struct live_bytes request = {NULL, 0, 0};
    size_t wanted = SIZE_MAX;
    while (request.len < wanted) {
        char piece[4096];
        ssize_t n = read(connection, piece, sizeof piece);
        size_t end;
        if (n <= 0) {
            break;
        }
        live_add(&request, piece, (size_t)n);
        end = find(&request, "\r\n\r\n", 0);
        if (wanted == SIZE_MAX && end != SIZE_MAX) {
            size_t at = find(&request, "\r\nContent-Length: ", 0);
            wanted = end + 4 + (at < end ? strtoul(request.ptr + at + 18, NULL, 10) : 0);
        }
    }
    put(log, request.ptr, request.len);
    live_clear(&request);
    return wanted != SIZE_MAX;
}

static void play(int listener, int log, const struct live_reply *replies, size_t count)
{
    int connection = -1;
    size_t i;
    for (i = 0; i < count; i++) {
        const struct live_reply *reply = &replies[i];
        char byte;
        do {
            if (connection < 0) {
                connection = accept(listener, NULL, NULL);
                put(log, "CONNECTION\n", 11);
            }
            if (connection >= 0 && !read_request(connection, log)) {
                close(connection);
                connection = -1;
            }
        } while (connection < 0);
        if (reply->bytes) {
            put(connection, reply->bytes, reply->len ? reply->len : strlen(reply->bytes));
        }
        if (reply->then == LIVE_RESET) {
            struct linger hard;
            hard.l_onoff = 1;
            hard.l_linger = 0;
            setsockopt(connection, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        } else if (reply->then == LIVE_WAIT) {
            while (read(connection, &byte, 1) > 0) {}
        }
        if (reply->then != LIVE_KEEP) {
            close(connection);
            connection = -1;
        }
    }
    close(listener);
    if (connection >= 0) {
        char byte;
        while (read(connection, &byte, 1) > 0) {}
    }
}

/* A server of ours in a process of its own, in which run() plays it; it keeps two descriptors alone. */
static struct live_server *start_child(const char *base,
                                       void (*run)(int listener, int log, const void *context),
                                       const void *context)
{
    struct live_server *server = new_server();
    struct live_process *process = new_process();
    unsigned port;
    int listener = listen_anywhere(&port), log[2], fd;
    pid_t pid;
    make_pipe(log);
    fflush(NULL);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        child_basics();
        signal(SIGPIPE, SIG_IGN);
        for (fd = 3; fd < 256; fd++) {
            if (fd != listener && fd != log[1]) {
                close(fd);
            }
        }
        run(listener, log[1], context);
        _exit(0);
    }
    close(listener);
    close(log[1]);
    process->pid = pid;
    process->output = log[0];
    server->process = process;
    name_server(server, base, port);
    return server;
}

struct script {
    const struct live_reply *replies;
    size_t count;
};

static void run_script(int listener, int log, const void *context)
{
    const struct script *script = (const struct script *)context;
    play(listener, log, script->replies, script->count);
}

struct live_server *live_start_script(const struct live_reply *replies, size_t count)
{
    struct script script;
    script.replies = replies;
    script.count = count;
    return start_child("http://127.0.0.1", run_script, &script);
}

/* ---- The relay. ---- */

/* Where a TLS record stream stands (RFC 5246 section 6.2.1), and the handshake messages in it while they are plain. */
struct records {
    unsigned char header[5], message[4];
    size_t header_len, left, message_len, message_left;
    bool encrypted;
};

struct relayed {
    int client, server; /* -1: ended */
    struct live_rule rule;
    struct records up, down;
    size_t records, passed;
    bool acting, done; /* the rule's record has come; the rule has been carried out */
    char held[16384];  /* what drips */
    size_t held_len, held_at;
    uint64_t drip_at;
};

struct relay {
    unsigned target;
    const struct live_rule *rules;
    size_t count;
    const char *path; /* of the record; NULL: none is kept */
};

static void say(int log, const char *line)
{
    put(log, line, strlen(line));
}

/* Counts the records of application data that begin in these bytes; tells of a Certificate message. */
static size_t follow(struct records *r, const unsigned char *bytes, size_t len, int log)
{
    size_t count = 0, i;
    for (i = 0; i < len; i++) {
        if (r->left == 0) {
            r->header[r->header_len++] = bytes[i];
            if (r->header_len == 5) {
                r->left = (size_t)r->header[3] << 8 | r->header[4];
                r->header_len = 0;
                count += r->header[0] == 23;
                r->encrypted = r->encrypted || r->header[0] == 20;
            }
            continue;
        }
        r->left--;
        if (r->header[0] != 22 || r->encrypted) {
            continue;
        }
        if (r->message_left != 0) {
            r->message_left--;
        } else {
            r->message[r->message_len++] = bytes[i];
            if (r->message_len == 4) {
                r->message_left = (size_t)r->message[1] << 16 | (size_t)r->message[2] << 8 | r->message[3];
                r->message_len = 0;
                if (r->message[0] == 11) {
                    say(log, "CERTIFICATE\n");
                }
            }
        }
    }
    return count;
}

static void part(struct relayed *c, bool hard)
{
    struct linger linger;
    linger.l_onoff = 1;
    linger.l_linger = 0;
    if (hard && c->client >= 0) {
        setsockopt(c->client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    close_descriptor(&c->client);
    close_descriptor(&c->server);
}

static void act(struct relayed *c)
{
    c->done = true;
    if (c->rule.then == LIVE_CLOSE || c->rule.then == LIVE_RESET) {
        part(c, c->rule.then == LIVE_RESET);
    }
}

static void from_client(struct relayed *c, int log, int record)
{
    char piece[16384];
    ssize_t n = read(c->client, piece, sizeof piece);
    size_t found;
    if (n <= 0) {
        say(log, "CLIENT CLOSED\n");
        part(c, false);
        return;
    }
    put(record, piece, (size_t)n);
    found = follow(&c->up, (unsigned char *)piece, (size_t)n, log);
    c->records += found;
    while (found-- != 0) {
        say(log, "RECORD\n");
    }
    c->acting = c->acting || c->records >= c->rule.record;
    if (!c->acting || !c->rule.withhold) {
        put(c->server, piece, (size_t)n);
    } else if (!c->done) {
        act(c);
    }
}

static void from_server(struct relayed *c, int log, int record)
{
    size_t room = sizeof c->held, len;
    ssize_t n;
    if (c->acting && !c->done && c->rule.then != LIVE_KEEP) {
        room = c->rule.bytes - c->passed < room ? c->rule.bytes - c->passed : room;
    }
    n = recv(c->server, c->held, sizeof c->held, MSG_PEEK);
    if (n <= 0) {
        part(c, n < 0);
        say(log, "SERVER CLOSED\n"); /* once the client can see it */
        return;
    }
    len = (size_t)n < room ? (size_t)n : room;
    if (len != 0 && read(c->server, c->held, len) != (ssize_t)len) {
        _exit(1);
    }
    put(record, c->held, len);
    follow(&c->down, (unsigned char *)c->held, len, log);
    if (c->done) {
        c->held_len = len; /* it drips */
        c->held_at = 0;
        return;
    }
    put(c->client, c->held, len);
    c->passed += c->acting ? len : 0;
    if (c->acting && c->rule.then != LIVE_KEEP && (size_t)n > len) {
        act(c);
    }
}

static void drip(struct relayed *c, uint64_t now)
{
    if (c->held_at < c->held_len && now >= c->drip_at) {
        put(c->client, c->held + c->held_at++, 1);
        c->drip_at = now + c->rule.drip_ms;
    }
}

static void run_relay(int listener, int log, const void *context)
{
    enum { RELAYED = 16 };
    static struct relayed all[RELAYED];
    const struct relay *relay = (const struct relay *)context;
    int record = relay->path ? open(relay->path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    size_t count = 0, i;
    for (;;) {
        struct pollfd entries[1 + 2 * RELAYED];
        int timeout = -1;
        uint64_t now = now_ms();
        memset(entries, 0, sizeof entries);
        entries[0].fd = count < RELAYED ? listener : -1;
        entries[0].events = POLLIN;
        for (i = 0; i < count; i++) {
            struct relayed *c = &all[i];
            bool drips = c->held_at < c->held_len, silent = c->done && c->rule.then == LIVE_WAIT;
            entries[1 + 2 * i].fd = c->client;
            entries[2 + 2 * i].fd = drips || silent ? -1 : c->server;
            entries[1 + 2 * i].events = entries[2 + 2 * i].events = POLLIN;
            if (drips && c->client >= 0) {
                int wait = c->drip_at > now ? (int)(c->drip_at - now) : 0;
                timeout = timeout < 0 || wait < timeout ? wait : timeout;
            }
        }
        if (poll(entries, 1 + 2 * (nfds_t)count, timeout) < 0) {
            _exit(1);
        }
        for (i = 0; i < count; i++) {
            if (entries[2 + 2 * i].revents && all[i].server >= 0) {
                from_server(&all[i], log, record);
            }
            if (entries[1 + 2 * i].revents && all[i].client >= 0) {
                from_client(&all[i], log, record);
            }
            drip(&all[i], now_ms());
        }
        if (entries[0].revents) {
            struct relayed *c = &all[count];
            struct sockaddr_in address;
            memset(&address, 0, sizeof address);
            address.sin_family = AF_INET;
            address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            address.sin_port = htons((uint16_t)relay->target);
            memset(c, 0, sizeof *c);
            c->rule.then = LIVE_KEEP;
            if (relay->count != 0) {
                c->rule = relay->rules[count < relay->count ? count : relay->count - 1];
            }
            c->acting = c->rule.record == 0;
            c->client = accept(listener, NULL, NULL);
            c->server = socket(AF_INET, SOCK_STREAM, 0);
            say(log, "CONNECTION\n");
            if (connect(c->server, (struct sockaddr *)&address, sizeof address) != 0) {
                part(c, true);
            }
            count++;
        }
    }
}

struct live_server *live_start_relay(unsigned target, const struct live_rule *rules, size_t count)
{
    struct relay relay;
    memset(&relay, 0, sizeof relay);
    relay.target = target;
    relay.rules = rules;
    relay.count = count;
    return start_child("https://localhost", run_relay, &relay);
}

struct live_server *live_start_recorder(unsigned target, const char *path)
{
    struct relay relay;
    memset(&relay, 0, sizeof relay);
    relay.target = target;
    relay.path = path;
    return start_child("https://localhost", run_relay, &relay);
}
