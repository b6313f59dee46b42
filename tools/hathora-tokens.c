/* hathora-tokens: lists, creates, revokes and rotates the tokens of a Hathora Cloud organization. SPDX: MIT-0 OR Unlicense
   cc -std=c99 -O2 -I. tools/hathora-tokens.c -lbearssl -lpthread -o build/hathora-tokens

   Standard output carries the result alone and is written only after success; a failure is one line on standard
   error and an exit status of its own. Hints, colours, questions and progress are for terminals. It uses the public half of hathora_tokens.h: the calls that never wait,
   driven by a loop that also hears signals. */

#if defined(__linux__) && !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE /* struct winsize */
#endif
#ifdef _WIN32
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0600
#endif
#ifndef _CRT_SECURE_NO_WARNINGS
#define _CRT_SECURE_NO_WARNINGS
#endif
#endif
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h> /* rename() */
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#ifdef _WIN32
#include <winsock2.h>
#include <windows.h>
#include <shellapi.h>
#include <io.h>
#include "narrow.h"
#include <sys/stat.h>
#ifdef _MSC_VER
#pragma comment(lib, "shell32.lib") /* the header names its own */
#endif
#else
#include <poll.h>
#include <sys/stat.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#endif

/* One element of a list may have 4 MiB; the rest of the block is for its JSON tokens and is touched only then. */
#define ELEMENT_BYTES    (4u * 1024u * 1024u)
#define WORK_BYTES       (16u * 1024u * 1024u)
#define TOKEN_FILE_BYTES (64u * 1024u)
#define PEM_BYTES        (64u * 1024u)
#define MAX_NAME_CHARS   64
#define PROGRESS_MS      1000 /* a call that takes longer tells a terminal how far it is */
#define VERSION_LINE     "hathora-tokens " HTOK_VERSION "\n"

/* Exit statuses; the kinds of htok_error have theirs in exit_of(). */
enum { EXIT_DONE = 0, EXIT_FALSE = 1, EXIT_USAGE = 2, EXIT_INTERNAL = 8, EXIT_SIGNAL = 128 };

enum { STANDARD_INPUT = 0, STANDARD_OUTPUT = 1, STANDARD_ERROR = 2 };

/* ---- The commands, in the order of the help. ------------------------------------------------------------------ */

#define COMMANDS(X)                                            \
    X(LIST, "list", "[--status S] [--name GLOB] [--sort KEY]") \
    X(CREATE, "create", "--name NAME [--scope SCOPE]...")      \
    X(REVOKE, "revoke", "ORG_TOKEN_ID... | --name NAME")       \
    X(ROTATE, "rotate", "--name NAME [--scope SCOPE]...")

#define COMMAND_ID(id, name, arguments) COMMAND_##id,
enum command { COMMAND_NONE, COMMANDS(COMMAND_ID) COMMAND_COUNT };
#undef COMMAND_ID

#define COMMAND_ROW(id, name, arguments) {name, arguments},
static const struct {
    const char *name, *arguments;
} commands[COMMAND_COUNT] = {{"", ""}, COMMANDS(COMMAND_ROW)};
#undef COMMAND_ROW

static const char command_names[] = "list, create, revoke or rotate";

/* ---- The option table: it drives parsing, the environment, the names in errors, and the help. -------------- */

/*    id                name and alias                                 letter argument   environment
      library's member  help */
#define OPTIONS(X)                                                                                           \
    X(ORG, "--org", NULL, 0, "ID", "HATHORA_ORG_ID", "org_id", "the organization; required")                 \
    X(NAME, "--name", NULL, 0, "NAME", NULL, "name", "the token's name; for list a pattern as 'ci-*'")       \
    X(SCOPE, "--scope", NULL, 0, "SCOPE", NULL, "scopes", "create: may repeat; none means admin")            \
    X(STATUS, "--status", NULL, 0, "STATUS", NULL, NULL, "list: only those, as active or revoked")           \
    X(SORT, "--sort", NULL, 0, "KEY", NULL, NULL, "list: by a member as createdAt; - first reverses")        \
    X(DRY_RUN, "--dry-run", NULL, 0, NULL, NULL, NULL, "revoke, rotate: only show what would be done")       \
    X(YES, "--yes", NULL, 'y', NULL, NULL, NULL, "revoke, rotate: ask nothing on a terminal")                \
    X(TOKEN, "--token", NULL, 't', "TOKEN", "HATHORA_TOKEN", "token", "the dev token; seen in ps")           \
    X(TOKEN_FILE, "--token-file", NULL, 0, "FILE", NULL, NULL, "read it from FILE, - is standard input")     \
    X(ENDPOINT, "--endpoint", "--hathora-cloud-endpoint", 0, "URL", "HATHORA_CLOUD_ENDPOINT", "server_url",  \
      "the API's address")                                                                                   \
    X(CA_FILE, "--ca-file", NULL, 0, "PEM", "SSL_CERT_FILE", "trust", "trust these roots alone")             \
    X(PIN, "--pin", NULL, 0, "SPKI", NULL, "pins", "a key of the chain: sha256/BASE64; may repeat")          \
    X(CERT, "--cert", NULL, 0, "FILE", NULL, "client_chain", "a client certificate in PEM, and its issuers") \
    X(KEY, "--key", NULL, 0, "FILE", NULL, "client_key", "its key in PEM; without: it is in --cert's file")  \
    X(PROXY, "--proxy", NULL, 0, "URL", NULL, "proxy", "http://[USER:PASSWORD@]HOST:PORT, or none")          \
    X(SESSION_FILE, "--session-file", NULL, 0, "FILE", NULL, "session", "keep the TLS session there")        \
    X(TIMEOUT, "--timeout", NULL, 0, "MS", NULL, "timeout_ms", "for one whole attempt (30000)")              \
    X(CONNECT_TIMEOUT, "--connect-timeout", NULL, 0, "MS", NULL, "connect_timeout_ms",                       \
      "for name look-up, TCP and TLS (10000)")                                                               \
    X(RETRY, "--retry", NULL, 0, "HOW", NULL, "retry.strategy", "none or backoff (none)")                    \
    X(RETRY_INITIAL, "--retry-initial-interval", NULL, 0, "MS", NULL, "retry.initial_interval_ms",           \
      "the second wait (500)")                                                                               \
    X(RETRY_MAX, "--retry-max-interval", NULL, 0, "MS", NULL, "retry.max_interval_ms",                       \
      "the longest wait (60000)")                                                                            \
    X(RETRY_EXPONENT, "--retry-exponent", NULL, 0, "N", NULL, "retry.exponent_thousandths",                  \
      "how fast waits grow (1.5)")                                                                           \
    X(RETRY_ELAPSED, "--retry-max-elapsed", NULL, 0, "MS", NULL, "retry.max_elapsed_ms",                     \
      "no retry after this time (3600000)")                                                                  \
    X(RETRY_CONNECTION, "--retry-connection-errors", NULL, 0, NULL, NULL, "retry.retry_connection_errors",   \
      "also after connection errors")                                                                        \
    X(RETRY_REPEAT, "--retry-repeat", NULL, 0, "WHAT", NULL, "retry.repeat",                                 \
      "idempotent, unsent or always (idempotent)")                                                           \
    X(RETRY_CODES, "--retry-codes", NULL, 0, "LIST", NULL, "retry.codes", "statuses to retry, as 429,5XX")   \
    X(HEADER, "--header", NULL, 0, "FIELD", NULL, "headers", "'Name: value'; may repeat")                    \
    X(USER_AGENT, "--user-agent", NULL, 0, "TEXT", NULL, "user_agent", "what to call itself")                \
    X(OUTPUT, "--output", NULL, 'o', "FORM", "HATHORA_OUTPUT", NULL, "text, json, or FIELDValue")            \
    X(VERBOSE, "--verbose", NULL, 'v', NULL, NULL, NULL, "trace on standard error, without secrets")         \
    X(HELP, "--help", NULL, 'h', NULL, NULL, NULL, "show this")                                              \
    X(VERSION, "--version", NULL, 0, NULL, NULL, NULL, "show the version")

#define OPTION_ID(id, name, alias, letter, argument, variable, member, help) OPTION_##id,
enum option_id { OPTIONS(OPTION_ID) OPTION_COUNT };
#undef OPTION_ID

struct option_row {
    const char *name, *alias;
    char letter;
    const char *argument; /* NULL: a flag */
    const char *variable, *member, *help;
};

#define OPTION_ROW(id, name, alias, letter, argument, variable, member, help) \
    {name, alias, letter, argument, variable, member, help},
static const struct option_row options[OPTION_COUNT] = {OPTIONS(OPTION_ROW)};
#undef OPTION_ROW

/* The commands that an option belongs to, as bits. */
static unsigned commands_of(enum option_id id)
{
    switch (id) {
    case OPTION_STATUS:
    case OPTION_SORT: return 1u << COMMAND_LIST;
    case OPTION_SCOPE: return 1u << COMMAND_CREATE | 1u << COMMAND_ROTATE;
    case OPTION_DRY_RUN:
    case OPTION_YES: return 1u << COMMAND_REVOKE | 1u << COMMAND_ROTATE;
    default: return ~0u;
    }
}

/* What an option's value may be: words, or "<file>", or NULL where there is nothing to offer. */
static const char *values_of(enum option_id id)
{
    switch (id) {
    case OPTION_STATUS: return "active revoked";
    case OPTION_SCOPE: return "<scope>";
    case OPTION_SORT: return "<key>";
    case OPTION_OUTPUT: return "<form>";
    case OPTION_RETRY: return "none backoff";
    case OPTION_RETRY_REPEAT: return "idempotent unsent always";
    default: break;
    }
    return options[id].argument &&
                   (strcmp(options[id].argument, "FILE") == 0 || strcmp(options[id].argument, "PEM") == 0)
               ? "<file>"
               : NULL;
}

static const char help_tail[] =
    "\nWithout --proxy, https_proxy, HTTPS_PROXY, no_proxy and NO_PROXY count.\n"
    "FIELDValue prints one member bare, a line each: orgTokenIdValue, nameValue,\n"
    "statusValue, scopesValue, ... and, for create, plainTextTokenValue.\n"
    "Exit: 0 done, 1 revoke answered false, 2 usage, 3 API error, 4 other status,\n"
    "5 connection, 6 time-out, 7 invalid answer, 8 output or internal, 130 stopped.\n"
    "Examples:\n"
    "  hathora-tokens --org ORG --token-file dev.token list --status active\n"
    "  hathora-tokens create --name ci --scope builds:read > ci.token\n"
    "  hathora-tokens rotate --name ci > ci.token.new && mv ci.token.new ci.token\n";

/* ---- The members that -o FIELDValue can name. ---------------------------------------------------------------- */

enum field {
    FIELD_ORG_TOKEN_ID,
    FIELD_ORG_ID,
    FIELD_NAME,
    FIELD_STATUS,
    FIELD_LAST_FOUR,
    FIELD_CREATED_BY,
    FIELD_CREATED_AT,
    FIELD_SCOPES,
    FIELD_PLAIN_TEXT,
    FIELD_COUNT
};

static const char *const field_names[FIELD_COUNT] = {"orgTokenId",         "orgId",     "name",      "status",
                                                     "lastFourCharsOfKey", "createdBy", "createdAt", "scopes",
                                                     "plainTextToken"};

enum form { FORM_TEXT, FORM_JSON, FORM_FIELD };

/* ---- Growable text that is wiped when it moves and when it goes. --------------------------------------------- */

struct buffer {
    char *ptr;
    size_t len, size;
    bool failed; /* memory ran out; what was added since is missing */
};

static void wipe(void *memory, size_t bytes)
{
    volatile unsigned char *p = (volatile unsigned char *)memory;
    while (bytes-- != 0) {
        *p++ = 0;
    }
}

static void buffer_free(struct buffer *b)
{
    if (b->ptr) {
        wipe(b->ptr, b->size);
        free(b->ptr);
    }
    memset(b, 0, sizeof *b);
}

/* Makes room for that many more bytes. realloc() could leave a copy of a secret behind. */
static bool buffer_room(struct buffer *b, size_t more)
{
    size_t size = b->size < 128 ? 256 : b->size * 2;
    char *ptr;
    if (b->failed) {
        return false;
    }
    if (b->size - b->len >= more) {
        return true;
    }
    if (more > SIZE_MAX / 4 || b->len > SIZE_MAX / 4) {
        b->failed = true;
        return false;
    }
    if (size < b->len + more) {
        size = b->len + more;
    }
    ptr = (char *)malloc(size);
    if (!ptr) {
        b->failed = true;
        return false;
    }
    if (b->ptr) {
        memcpy(ptr, b->ptr, b->len);
        wipe(b->ptr, b->size);
        free(b->ptr);
    }
    b->ptr = ptr;
    b->size = size;
    return true;
}

static void add(struct buffer *b, const char *bytes, size_t len)
{
    if (len != 0 && buffer_room(b, len)) {
        memcpy(b->ptr + b->len, bytes, len);
        b->len += len;
    }
}

static void add_text(struct buffer *b, const char *text)
{
    add(b, text, strlen(text));
}

static void add_view(struct buffer *b, htok_view view)
{
    add(b, view.ptr, view.len);
}

static void add_spaces(struct buffer *b, size_t count)
{
    while (count-- != 0) {
        add(b, " ", 1);
    }
}

static void add_number(struct buffer *b, unsigned value)
{
    char digits[16];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    add(b, digits + at, sizeof digits - at);
}

static htok_view view_of(const char *text)
{
    htok_view v;
    v.ptr = text;
    v.len = text ? strlen(text) : 0;
    return v;
}

/* The library's writers all work alike: they return the whole length, whatever fitted. */
typedef size_t (*writer)(const void *what, char *out, size_t size);

static size_t write_printable(const void *what, char *out, size_t size)
{
    return htok_printable(*(const htok_view *)what, out, size);
}

static size_t write_json_string(const void *what, char *out, size_t size)
{
    return htok_json_string(*(const htok_view *)what, out, size);
}

static size_t write_token_json(const void *what, char *out, size_t size)
{
    return htok_org_token_json((const htok_org_token *)what, out, size);
}

static size_t write_created_json(const void *what, char *out, size_t size)
{
    return htok_created_org_token_json((const htok_created_org_token *)what, out, size);
}

static size_t write_error(const void *what, char *out, size_t size)
{
    return htok_error_format((const htok_error *)what, out, size);
}

static void add_written(struct buffer *b, writer write, const void *what)
{
    size_t needed;
    if (!buffer_room(b, 1)) {
        return;
    }
    needed = write(what, b->ptr + b->len, b->size - b->len);
    if (needed >= b->size - b->len) {
        if (needed == SIZE_MAX || !buffer_room(b, needed + 1)) {
            b->failed = true;
            return;
        }
        needed = write(what, b->ptr + b->len, b->size - b->len);
    }
    b->len += needed;
}

static void add_printable(struct buffer *b, htok_view view)
{
    add_written(b, write_printable, &view);
}

/* The inside of a JSON string, without the quotes. */
static void add_json_inside(struct buffer *b, htok_view view)
{
    size_t start = b->len;
    add_written(b, write_json_string, &view);
    if (!b->failed && b->len - start >= 2) {
        b->len -= 2;
        memmove(b->ptr + start, b->ptr + start + 1, b->len - start);
    }
}

/* ---- The system. ----------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t signal_number;

static bool interrupted(void)
{
    return signal_number != 0;
}

#ifdef _WIN32

static HANDLE main_thread;
static volatile LONG is_reading; /* the main thread may wait for input, and for nothing else */

/* On a thread of its own. The second event of a kind ends the process at once, should the first not get through. */
static BOOL WINAPI on_console_event(DWORD event)
{
    bool closing = event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT;
    if (signal_number != 0 && !closing) {
        return FALSE;
    }
    signal_number = closing ? SIGTERM : SIGINT;
    if (is_reading) {
        CancelSynchronousIo(main_thread);
    }
    if (closing) {
        Sleep(5000); /* the process ends with this function, or with main() before */
    }
    return TRUE;
}

static wchar_t *widen(const char *text)
{
    int count = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
    wchar_t *wide = count > 0 ? (wchar_t *)malloc((size_t)count * sizeof *wide) : NULL;
    if (wide) {
        MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, count);
    }
    return wide;
}

/* Arguments come as UTF-16 from the system alone; main()'s are in a code page that cannot hold every name. */
static bool system_start(int *argc, char ***argv)
{
    WSADATA data;
    int count = 0, i;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **narrowed = wide ? (char **)calloc((size_t)count + 1, sizeof *narrowed) : NULL;
    if (!narrowed || WSAStartup(MAKEWORD(2, 2), &data) != 0) {
        return false;
    }
    for (i = 0; i < count; i++) {
        narrowed[i] = narrow(wide[i]);
        if (!narrowed[i]) {
            return false;
        }
    }
    LocalFree(wide);
    *argc = count;
    *argv = narrowed;
    _setmode(STANDARD_INPUT, _O_BINARY);
    _setmode(STANDARD_OUTPUT, _O_BINARY);
    _setmode(STANDARD_ERROR, _O_BINARY);
    return DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(), &main_thread, 0,
                           FALSE, DUPLICATE_SAME_ACCESS) &&
           SetConsoleCtrlHandler(on_console_event, TRUE);
}

static const char *environment(const char *name)
{
    wchar_t *wide_name = widen(name);
    const wchar_t *value = wide_name ? _wgetenv(wide_name) : NULL;
    free(wide_name);
    return value ? narrow(value) : NULL;
}

/* A console; _isatty() takes NUL for one too. */
static bool is_terminal(int descriptor)
{
    DWORD mode;
    return GetConsoleMode((HANDLE)_get_osfhandle(descriptor), &mode) != 0;
}

static bool output_is_closed(void)
{
    return _get_osfhandle(STANDARD_OUTPUT) < 0;
}

static uint64_t monotonic_ms(void)
{
    return GetTickCount64();
}

static int64_t unix_ms(void)
{
    FILETIME time;
    GetSystemTimeAsFileTime(&time); /* in 100 ns since 1601 */
    return (int64_t)((((uint64_t)time.dwHighDateTime << 32) | time.dwLowDateTime) / 10000) - 11644473600000;
}

/* 0 where it is unknown. */
static size_t terminal_columns(void)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    return GetConsoleScreenBufferInfo(GetStdHandle(STD_OUTPUT_HANDLE), &info) && info.dwSize.X > 0
               ? (size_t)info.dwSize.X
               : 0;
}

/* Consoles before Windows 10 know no escape sequences. */
static bool terminal_takes_colours(void)
{
    HANDLE console = GetStdHandle(STD_OUTPUT_HANDLE);
    DWORD mode;
    return GetConsoleMode(console, &mode) && SetConsoleMode(console, mode | 0x0004u);
}

/* The console's events cannot wake a wait, so no wait is long. Not by WSAPoll(), which tells of no refused connection
   before Windows 10 2004. */
static void wait_for(const htok_wait *wait)
{
    DWORD timeout_ms = wait->timeout_ms < 100 ? wait->timeout_ms : 100;
    if (wait->descriptor == -1 || (!wait->readable && !wait->writable)) {
        Sleep(timeout_ms);
    } else {
        fd_set readable, writable, failed;
        struct timeval limit;
        FD_ZERO(&readable);
        FD_ZERO(&writable);
        if (wait->readable) {
            FD_SET((SOCKET)wait->descriptor, &readable);
        }
        if (wait->writable) {
            FD_SET((SOCKET)wait->descriptor, &writable);
        }
        failed = writable;
        limit.tv_sec = 0;
        limit.tv_usec = (long)timeout_ms * 1000;
        select(0, &readable, &writable, &failed, &limit);
    }
}

/* A console takes UTF-16, whatever its code page. */
static bool write_console(HANDLE console, const char *bytes, size_t len)
{
    int count = len < 0x10000000 ? MultiByteToWideChar(CP_UTF8, 0, bytes, (int)len, NULL, 0) : 0;
    wchar_t *wide = count > 0 ? (wchar_t *)malloc((size_t)count * sizeof *wide) : NULL;
    const wchar_t *from = wide;
    bool written = wide != NULL;
    if (wide) {
        MultiByteToWideChar(CP_UTF8, 0, bytes, (int)len, wide, count);
    }
    while (written && count > 0) {
        DWORD n = 0;
        written = WriteConsoleW(console, from, count < 4096 ? (DWORD)count : 4096, &n, NULL) && n != 0;
        from += n;
        count -= (int)n;
    }
    if (wide) {
        wipe(wide, (size_t)(from - wide + count) * sizeof *wide);
    }
    free(wide);
    errno = written ? errno : EIO;
    return written;
}

static bool write_all(int descriptor, const char *bytes, size_t len)
{
    if (len != 0 && is_terminal(descriptor)) {
        return write_console((HANDLE)_get_osfhandle(descriptor), bytes, len);
    }
    while (len != 0) {
        int n = _write(descriptor, bytes, len < 65536 ? (unsigned)len : 65536u);
        if (n <= 0) {
            return false;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool close_output(void)
{
    return _close(STANDARD_OUTPUT) == 0;
}

/* A file must be on the disk before what it replaces is revoked; what is no file need not be, and to flush a pipe would
   be to wait for its reader. Not by _commit(), whose errno is EBADF whatever fails. */
static bool sync_output(void)
{
    HANDLE output = (HANDLE)_get_osfhandle(STANDARD_OUTPUT);
    if (GetFileType(output) != FILE_TYPE_DISK || FlushFileBuffers(output) ||
        GetLastError() == ERROR_INVALID_FUNCTION) { /* a file system that has no such thing */
        return true;
    }
    errno = EIO;
    return false;
}

static int open_for_reading(const char *path)
{
    wchar_t *wide = widen(path);
    int descriptor = wide ? _wopen(wide, _O_RDONLY | _O_BINARY) : -1;
    free(wide);
    return descriptor;
}

/* -1 with errno EINTR after a console event. */
static long read_some(int descriptor, char *bytes, size_t size)
{
    int n;
    InterlockedExchange(&is_reading, 1);
    n = interrupted() ? -1 : _read(descriptor, bytes, (unsigned)size);
    InterlockedExchange(&is_reading, 0);
    if (n <= 0 && is_terminal(descriptor)) {
        Sleep(100); /* Ctrl-C ends the reading before its event comes */
    }
    if (interrupted()) {
        errno = EINTR;
        return -1;
    }
    return n;
}

static void close_descriptor(int descriptor)
{
    _close(descriptor);
}

#else

static int signal_pipe[2] = {-1, -1};

static void on_signal(int number)
{
    int saved = errno;
    ssize_t ignored;
    signal_number = number;
    ignored = write(signal_pipe[1], "", 1);
    (void)ignored;
    errno = saved;
}

/* The second signal of a kind ends the process at once, should the first not get through. A signal that the
   parent had ignored, as for a job of nohup, stays so. */
static bool catch_signal(int number)
{
    struct sigaction action, old;
    if (sigaction(number, NULL, &old) != 0) {
        return false;
    }
    if (old.sa_handler == SIG_IGN) {
        return true;
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL) == 0;
}

/* A closed standard descriptor is taken by something that cannot serve in its place: else the next socket would
   get its number, and the result would be written to the server. */
static bool fill_standard_descriptors(void)
{
    int fd;
    for (fd = STANDARD_INPUT; fd <= STANDARD_ERROR; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
            open("/dev/null", fd == STANDARD_INPUT ? O_WRONLY : O_RDONLY) != fd) {
            return false;
        }
    }
    return true;
}

static bool system_start(int *argc, char ***argv)
{
    struct sigaction ignore;
    int i;
    (void)argc;
    (void)argv;
    if (!fill_standard_descriptors() || pipe(signal_pipe) != 0) {
        return false;
    }
    for (i = 0; i < 2; i++) {
        if (fcntl(signal_pipe[i], F_SETFD, FD_CLOEXEC) == -1 ||
            fcntl(signal_pipe[i], F_SETFL, O_NONBLOCK) == -1) {
            return false;
        }
    }
    memset(&ignore, 0, sizeof ignore);
    ignore.sa_handler = SIG_IGN;
    sigemptyset(&ignore.sa_mask);
    return sigaction(SIGPIPE, &ignore, NULL) == 0 && catch_signal(SIGINT) && catch_signal(SIGTERM);
}

static const char *environment(const char *name)
{
    return getenv(name);
}

static bool is_terminal(int descriptor)
{
    return isatty(descriptor) != 0;
}

static bool output_is_closed(void)
{
    int flags = fcntl(STANDARD_OUTPUT, F_GETFL);
    return flags == -1 || (flags & O_ACCMODE) == O_RDONLY;
}

static uint64_t monotonic_ms(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_MONOTONIC, &now) == 0
               ? (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000
               : 0;
}

static int64_t unix_ms(void)
{
    return (int64_t)time(NULL) * 1000;
}

/* 0 where it is unknown. */
static size_t terminal_columns(void)
{
    struct winsize size;
    return ioctl(STANDARD_OUTPUT, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static bool terminal_takes_colours(void)
{
    const char *term = environment("TERM");
    return term && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

/* Returns when the descriptor is ready, the time is over or a signal came. */
static void wait_on(int descriptor, short events, int timeout_ms)
{
    struct pollfd both[2];
    memset(both, 0, sizeof both);
    both[0].fd = signal_pipe[0];
    both[0].events = POLLIN;
    both[1].fd = descriptor;
    both[1].events = events;
    (void)poll(both, 2, timeout_ms);
}

static void wait_for(const htok_wait *wait)
{
    short events = (short)((wait->readable ? POLLIN : 0) | (wait->writable ? POLLOUT : 0));
    int timeout_ms = wait->timeout_ms == UINT32_MAX   ? -1
                     : wait->timeout_ms > 0x7fffffffu ? 0x7fffffff
                                                      : (int)wait->timeout_ms;
    wait_on((int)wait->descriptor, events, timeout_ms);
}

/* A descriptor that somebody else made non-blocking is waited for, without the signals: a result is not cut. */
static bool write_all(int descriptor, const char *bytes, size_t len)
{
    while (len != 0) {
        ssize_t n = write(descriptor, bytes, len);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd one;
            one.fd = descriptor;
            one.events = POLLOUT;
            one.revents = 0;
            (void)poll(&one, 1, -1);
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* Some file systems report a full disk only now. */
static bool close_output(void)
{
    return close(STANDARD_OUTPUT) == 0 || errno == EINTR;
}

/* A file must be on the disk before what it replaces is revoked; what is no file need not be. */
static bool sync_output(void)
{
    return fsync(STANDARD_OUTPUT) == 0 || (errno != EIO && errno != ENOSPC && errno != EDQUOT);
}

/* Non-blocking, so that a FIFO without a writer does not hold the tool where no signal is heard. */
static int open_for_reading(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* -1 with errno EINTR after a signal. */
static long read_some(int descriptor, char *bytes, size_t size)
{
    for (;;) {
        ssize_t n;
        wait_on(descriptor, POLLIN, -1);
        if (interrupted()) {
            errno = EINTR;
            return -1;
        }
        n = read(descriptor, bytes, size);
        if (n >= 0 || (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)) {
            return (long)n;
        }
    }
}

static void close_descriptor(int descriptor)
{
    (void)close(descriptor);
}

#endif

/* ---- The tool's state. ----------------------------------------------------------------------------------------- */

struct tool {
    enum command command;
    const char *values[OPTION_COUNT]; /* of options with one value; a flag that was given has "" */
    bool from_environment[OPTION_COUNT];
    const char **scopes, **pins, **ids; /* each as long as argv */
    size_t scope_count, pin_count, id_count;
    htok_header *headers;
    size_t header_count;
    enum form form;
    enum field field;
    enum field sort; /* FIELD_COUNT: as the server has them */
    bool sort_down;
    bool json_errors;
    char usage[256];          /* the first usage error, or "" */
    struct buffer token;      /* the dev token and its NUL */
    struct buffer cert, key;  /* what --cert and --key hold */
    struct buffer proxy_text; /* host, user and password, each with its NUL */
    bool session_writable;    /* --session-file names nothing that must be kept */
    const char *proxy_source; /* the option or variable that named the proxy */
    htok_proxy proxy;
    uint64_t started_ms;
    size_t done, total;   /* what the progress line counts; total 0: unknown */
    size_t progress_len;  /* of the progress line that stands on the terminal */
    uint64_t progress_ms; /* when it was written */
    htok_client_options client_options;
    htok_logger logger;
    bool muted; /* no trace now */
    htok_client *client;
};

/* ---- Failures: one line on standard error. --------------------------------------------------------------------- */

static int exit_of(htok_kind kind)
{
    switch (kind) {
    case HTOK_OK: return EXIT_DONE;
    case HTOK_INVALID_REQUEST_ERROR: return EXIT_USAGE;
    case HTOK_API_ERROR: return 3;
    case HTOK_SDK_ERROR: return 4;
    case HTOK_CONNECTION_ERROR: return 5;
    case HTOK_REQUEST_TIMEOUT_ERROR: return 6;
    case HTOK_RESPONSE_VALIDATION_ERROR: return 7;
    case HTOK_REQUEST_ABORTED_ERROR: return EXIT_SIGNAL + (interrupted() ? (int)signal_number : SIGINT);
    case HTOK_UNEXPECTED_CLIENT_ERROR: break;
    }
    return EXIT_INTERNAL;
}

/* Writes the line. message is raw for JSON and printable otherwise; it is freed. */
static void report(const struct tool *t, htok_kind kind, int status, struct buffer *message)
{
    struct buffer line = {NULL, 0, 0, false};
    htok_view view;
    view.ptr = message->ptr;
    view.len = message->len;
    if (t->json_errors) {
        add_text(&line, "{\"error\":{\"type\":\"");
        add_text(&line, htok_kind_name(kind));
        add_text(&line, "\"");
        if (status > 0) {
            add_text(&line, ",\"statusCode\":");
            add_number(&line, (unsigned)status);
        }
        add_text(&line, ",\"message\":");
        add_written(&line, write_json_string, &view);
        add_text(&line, "}}\n");
    } else {
        add_text(&line, "hathora-tokens: ");
        add_view(&line, view);
        add_text(&line, "\n");
    }
    if (line.failed || message->failed) {
        static const char text[] = "hathora-tokens: memory cannot be allocated\n";
        static const char json[] =
            "{\"error\":{\"type\":\"UnexpectedClientError\",\"message\":\"memory cannot be allocated\"}}\n";
        (void)write_all(STANDARD_ERROR, t->json_errors ? json : text,
                        t->json_errors ? sizeof json - 1 : sizeof text - 1);
    } else {
        (void)write_all(STANDARD_ERROR, line.ptr, line.len);
    }
    buffer_free(&line);
    buffer_free(message);
}

/* Text from outside, as the form of the error wants it. */
static void add_for_report(const struct tool *t, struct buffer *b, htok_view view)
{
    if (t->json_errors) {
        add_view(b, view);
    } else {
        add_printable(b, view);
    }
}

static int fail_internal(const struct tool *t, const char *why)
{
    struct buffer message = {NULL, 0, 0, false};
    add_text(&message, why);
    report(t, HTOK_UNEXPECTED_CLIENT_ERROR, 0, &message);
    return EXIT_INTERNAL;
}

/* The result of an answered call could not be written. before and id say whose, after what follows from it. */
static int fail_output(const struct tool *t, int status, const char *before, htok_view id, const char *after)
{
    int error = errno;
    struct buffer message = {NULL, 0, 0, false};
    add_text(&message, "the result could not be written to standard output: ");
    add_text(&message, strerror(error));
    add_text(&message, before);
    add_for_report(t, &message, id);
    add_text(&message, after);
    report(t, HTOK_UNEXPECTED_CLIENT_ERROR, status, &message);
    return EXIT_INTERNAL;
}

/* How the person named the option: by itself or by its variable. */
static const char *given_as(const struct tool *t, enum option_id id)
{
    return t->from_environment[id]                 ? options[id].variable
           : id == OPTION_PROXY && t->proxy_source ? t->proxy_source
                                                   : options[id].name;
}

/* The library names its own member at fault; the person knows the option. */
static void rename_member(const struct tool *t, htok_error *error)
{
    size_t i;
    for (i = 0; i < OPTION_COUNT; i++) {
        const char *member = options[i].member;
        size_t len = member ? strlen(member) : 0;
        /* An underscore: trust and trust_file are one option here. */
        if (len != 0 && strncmp(error->path, member, len) == 0 && strchr("[._", error->path[len]) != NULL) {
            enum option_id id = (enum option_id)i;
            const char *name = id == OPTION_TOKEN && t->values[OPTION_TOKEN_FILE]
                                   ? options[OPTION_TOKEN_FILE].name
                               : id == OPTION_KEY && !t->values[OPTION_KEY]
                                   ? options[OPTION_CERT].name /* the key is in its file then */
                                   : given_as(t, id);
            memset(error->path, 0, sizeof error->path);
            memcpy(error->path, name, strlen(name));
            return;
        }
    }
}

/* id is the token's that a revoke of several failed at, or NULL; ending is what else to say, or NULL. */
static int fail_client(const struct tool *t, const htok_error *original, const char *id,
                       const struct buffer *ending)
{
    htok_error error = *original;
    struct buffer message = {NULL, 0, 0, false};
    bool no_key =
        error.reason == HTOK_REASON_CLIENT_KEY_MALFORMED && error.offset == 0 && !t->values[OPTION_KEY];
    if (error.kind == HTOK_INVALID_REQUEST_ERROR) {
        rename_member(t, &error);
    }
    if (no_key) {
        error.offset = -1; /* nowhere in the file */
    }
    if (id) {
        add_for_report(t, &message, view_of(id));
        add_text(&message, ": ");
    }
    if (t->json_errors && error.kind == HTOK_API_ERROR && error.message.len != 0) {
        add_view(&message, error.message);
    } else {
        size_t start = message.len;
        const char *name = htok_kind_name(error.kind);
        size_t len = strlen(name);
        add_written(&message, write_error, &error);
        /* The JSON form has the kind as a member of its own. */
        if (t->json_errors && !message.failed && message.len - start > len + 2 &&
            memcmp(message.ptr + start, name, len) == 0 && memcmp(message.ptr + start + len, ": ", 2) == 0) {
            message.len -= len + 2;
            memmove(message.ptr + start, message.ptr + start + len + 2, message.len - start);
        }
        add_text(&message, no_key ? ", and --key is missing" : "");
    }
    if (ending) {
        add(&message, ending->ptr, ending->len);
        message.failed = message.failed || ending->failed;
    }
    report(t, error.kind, error.status, &message);
    return exit_of(error.kind);
}

static int fail_interrupted(const struct tool *t, const char *why)
{
    struct buffer message = {NULL, 0, 0, false};
    add_text(&message, why);
    report(t, HTOK_REQUEST_ABORTED_ERROR, 0, &message);
    return exit_of(HTOK_REQUEST_ABORTED_ERROR);
}

/* Notes a usage error; the first one counts. The parts never hold what the person typed, for a misplaced word can
   be a secret. meant is a word that is near to what was typed, or NULL. */
static void usage_parts(struct tool *t, const char *subject, const char *complaint, const char *what,
                        const char *meant)
{
    const char *parts[6];
    size_t used = 0, i;
    if (t->usage[0] != '\0') {
        return;
    }
    parts[0] = subject;
    parts[1] = complaint;
    parts[2] = what;
    parts[3] = meant ? "; did you mean " : "";
    parts[4] = meant ? meant : "";
    parts[5] = meant ? "?" : "";
    for (i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t len = strlen(parts[i]);
        if (used + len < sizeof t->usage) {
            memcpy(t->usage + used, parts[i], len + 1);
            used += len;
        }
    }
}

static void usage_error(struct tool *t, const char *subject, const char *complaint)
{
    usage_parts(t, subject, complaint, "", NULL);
}

static int fail_usage(const struct tool *t)
{
    struct buffer message = {NULL, 0, 0, false};
    add_text(&message, t->usage);
    add_text(&message, "; see hathora-tokens --help");
    report(t, HTOK_INVALID_REQUEST_ERROR, 0, &message);
    return EXIT_USAGE;
}

/* ---- Words to options. ----------------------------------------------------------------------------------------- */

static bool keep_token(struct tool *t, const char *bytes, size_t len)
{
    buffer_free(&t->token);
    add(&t->token, bytes, len);
    add(&t->token, "", 1);
    return !t->token.failed;
}

static void take_header(struct tool *t, char *value)
{
    char *colon = strchr(value, ':');
    char *end;
    if (!colon) {
        usage_error(t, options[OPTION_HEADER].name, " must look like 'Name: value'");
        return;
    }
    *colon++ = '\0';
    while (*colon == ' ' || *colon == '\t') {
        colon++;
    }
    end = colon + strlen(colon);
    while (end > colon && (end[-1] == ' ' || end[-1] == '\t')) {
        *--end = '\0';
    }
    t->headers[t->header_count].name = value;
    t->headers[t->header_count++].value = colon;
}

static bool equals(const char *a, size_t len, const char *b)
{
    return b && strlen(b) == len && memcmp(a, b, len) == 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* The first len characters of both are the same, ASCII case aside; b has as many. */
static bool equals_nocase(const char *a, size_t len, const char *b)
{
    size_t i;
    for (i = 0; i < len; i++) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

/* Adds text and a NUL, %XX decoded where wanted. False when it is malformed or holds a NUL. */
static bool add_decoded(struct buffer *b, const char *text, size_t len, bool decode)
{
    size_t i;
    for (i = 0; i < len; i++) {
        char c = text[i];
        if (decode && c == '%') {
            static const char digits[] = "0123456789abcdef0123456789ABCDEF";
            const char *high = len - i > 2 ? strchr(digits, text[i + 1]) : NULL;
            const char *low = len - i > 2 ? strchr(digits, text[i + 2]) : NULL;
            if (!high || !low) {
                return false;
            }
            c = (char)((high - digits) % 16 * 16 + (low - digits) % 16);
            i += 2;
        }
        if (c == '\0') {
            return false;
        }
        add(b, &c, 1);
    }
    add(b, "", 1);
    return true;
}

/* The last colon that can stand before a port: not one of an IPv6 address in brackets. */
static size_t port_mark(const char *text, size_t len)
{
    size_t at = len;
    while (at > 0 && text[at - 1] != ':' && text[at - 1] != ']') {
        at--;
    }
    return at > 0 && text[at - 1] == ':' ? at - 1 : len;
}

/* 1 to 65535, or 0. */
static uint16_t read_port(const char *text, size_t len)
{
    uint32_t value = 0;
    size_t i;
    for (i = 0; i < len && value <= 65535; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    return value <= 65535 ? (uint16_t)value : 0;
}

/* Takes http://[user[:password]@]host[:port][/] apart; the scheme may be left out, as in many variables. The library
   checks the host and the characters. */
static void take_proxy(struct tool *t, const char *url)
{
    static const char http[] = "http://";
    const char *scheme = strstr(url, "://"), *authority, *at, *colon;
    size_t len, host_len, user_len, mark;
    buffer_free(&t->proxy_text);
    memset(&t->proxy, 0, sizeof t->proxy);
    if (strcmp(url, "none") == 0) {
        return;
    }
    if (scheme && (strlen(url) < 7 || !equals_nocase(url, 7, http))) {
        usage_error(t, t->proxy_source,
                    " must be an http:// URL: SOCKS and TLS to the proxy are not supported");
        return;
    }
    authority = scheme ? scheme + 3 : url;
    len = strcspn(authority, "/?#");
    if (authority[len] != '\0' && strcmp(authority + len, "/") != 0) {
        usage_error(t, t->proxy_source, " must not have a path, query or fragment");
        return;
    }
    for (user_len = len; user_len > 0 && authority[user_len - 1] != '@'; user_len--) {}
    at = authority + user_len;
    host_len = len - user_len;
    mark = port_mark(at, host_len);
    t->proxy.port = mark == host_len ? 80 : read_port(at + mark + 1, host_len - mark - 1);
    if (t->proxy.port == 0) {
        usage_error(t, t->proxy_source, " must have a port from 1 to 65535");
        return;
    }
    host_len = mark;
    if (host_len > 2 && at[0] == '[' && at[host_len - 1] == ']') {
        at++;
        host_len -= 2;
    }
    colon = user_len ? (const char *)memchr(authority, ':', user_len - 1) : NULL;
    if (!add_decoded(&t->proxy_text, at, host_len, false) ||
        (user_len &&
         !add_decoded(&t->proxy_text, authority, colon ? (size_t)(colon - authority) : user_len - 1, true)) ||
        (colon &&
         !add_decoded(&t->proxy_text, colon + 1, user_len - 2 - (size_t)(colon - authority), true))) {
        usage_error(t, t->proxy_source, " has a malformed %XX in its user or password");
        return;
    }
    if (t->proxy_text.failed) {
        usage_error(t, t->proxy_source, " does not fit into memory");
        return;
    }
    t->proxy.host = t->proxy_text.ptr;
    t->proxy.user = user_len ? t->proxy.host + strlen(t->proxy.host) + 1 : NULL;
    t->proxy.password = colon ? t->proxy.user + strlen(t->proxy.user) + 1 : NULL;
}

static void take(struct tool *t, enum option_id id, char *value)
{
    if (value[0] == '\0') {
        usage_error(t, options[id].name, " must not be empty");
        return;
    }
    switch (id) {
    case OPTION_SCOPE: t->scopes[t->scope_count++] = value; break;
    case OPTION_PIN: t->pins[t->pin_count++] = value; break;
    case OPTION_HEADER: take_header(t, value); break;
    case OPTION_TOKEN:
        if (!keep_token(t, value, strlen(value))) {
            usage_error(t, options[id].name, " does not fit into memory");
        }
        memset(value, '*', strlen(value));
        break;
    case OPTION_PROXY:
        t->proxy_source = options[id].name;
        take_proxy(t, value);
        memset(value, '*', strlen(value)); /* it may hold a password */
        break;
    default: break;
    }
    t->values[id] = value;
}

/* How many characters must be added, dropped or changed to make one word of the other. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], len = strlen(b), i, j;
    if (len >= sizeof row / sizeof row[0] || strlen(a) >= sizeof row / sizeof row[0]) {
        return SIZE_MAX;
    }
    for (j = 0; j <= len; j++) {
        row[j] = j;
    }
    for (i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (j = 1; j <= len; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = changed < row[j] ? changed : row[j];
        }
    }
    return row[len];
}

/* What the person may have meant, kept while it is the nearest so far. */
struct nearest {
    const char *word; /* NULL: nothing is near */
    size_t distance;
};

static void nearest_try(struct nearest *best, const char *typed, const char *word)
{
    size_t d = word ? distance(typed, word) : SIZE_MAX;
    if (word && d <= 3 && d <= strlen(word) / 2 && (!best->word || d < best->distance)) {
        best->word = word;
        best->distance = d;
    }
}

/* Option names are lower case and hyphens: a word that is more may be a secret in the wrong place. */
static void unknown_option(struct tool *t, const char *word, size_t len)
{
    struct nearest meant = {NULL, 0};
    char name[40];
    size_t i;
    if (len >= sizeof name || strspn(word, "abcdefghijklmnopqrstuvwxyz-") < len) {
        usage_error(t, "an option", " is unknown");
        return;
    }
    memcpy(name, word, len);
    name[len] = '\0';
    for (i = 0; i < OPTION_COUNT; i++) {
        nearest_try(&meant, name, options[i].name);
    }
    usage_parts(t, name, " is an unknown option", "", meant.word);
}

/* Both return how many words after this one were used. */
static int parse_long(struct tool *t, char *word, char *next)
{
    size_t len = strcspn(word, "=");
    int i;
    for (i = 0; i < OPTION_COUNT; i++) {
        if (equals(word, len, options[i].name) || equals(word, len, options[i].alias)) {
            if (!options[i].argument) {
                if (word[len] == '=') {
                    usage_error(t, options[i].name, " takes no value");
                }
                t->values[i] = "";
            } else if (word[len] == '=') {
                take(t, (enum option_id)i, word + len + 1);
            } else if (next) {
                take(t, (enum option_id)i, next);
                return 1;
            } else {
                usage_error(t, options[i].name, " needs a value");
            }
            return 0;
        }
    }
    unknown_option(t, word, len);
    return 0;
}

static int parse_short(struct tool *t, char *word, char *next)
{
    char *letter = word + 1;
    for (; *letter; letter++) {
        int i = 0;
        while (i < OPTION_COUNT && options[i].letter != *letter) {
            i++;
        }
        if (i == OPTION_COUNT) {
            char name[3] = {'-', 0, 0};
            name[1] = *letter;
            unknown_option(t, name, 2);
            return 0;
        }
        if (!options[i].argument) {
            t->values[i] = "";
        } else if (letter[1] != '\0') {
            take(t, (enum option_id)i, letter + 1);
            return 0;
        } else if (next) {
            take(t, (enum option_id)i, next);
            return 1;
        } else {
            usage_error(t, options[i].name, " needs a value");
        }
    }
    return 0;
}

static void parse_word(struct tool *t, const char *word)
{
    struct nearest meant = {NULL, 0};
    unsigned i;
    if (t->command == COMMAND_REVOKE) {
        t->ids[t->id_count++] = word;
        return;
    }
    if (t->command != COMMAND_NONE) {
        usage_error(t, commands[t->command].name, " takes no further argument");
        return;
    }
    for (i = COMMAND_NONE + 1; i < COMMAND_COUNT; i++) {
        if (strcmp(word, commands[i].name) == 0) {
            t->command = (enum command)i;
            return;
        }
        nearest_try(&meant, word, commands[i].name);
    }
    usage_parts(t, "unknown command", ": it must be ", command_names, meant.word);
}

/* Goes on after an error to learn whether JSON is wanted, and stops at --help or --version before one. */
static void parse(struct tool *t, int argc, char **argv)
{
    bool words_only = false;
    int i;
    for (i = 1; i < argc; i++) {
        char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (words_only || word[0] != '-' || word[1] == '\0') {
            parse_word(t, word);
        } else if (strcmp(word, "--") == 0) {
            words_only = true;
        } else {
            i += word[1] == '-' ? parse_long(t, word, next) : parse_short(t, word, next);
        }
        if (t->usage[0] == '\0' && (t->values[OPTION_HELP] || t->values[OPTION_VERSION])) {
            return;
        }
    }
}

/* Variables count where their option was not given. */
static void read_environment(struct tool *t)
{
    int i;
    for (i = 0; i < OPTION_COUNT; i++) {
        const char *value;
        if (!options[i].variable || t->values[i] || (i == OPTION_TOKEN && t->values[OPTION_TOKEN_FILE])) {
            continue;
        }
        value = environment(options[i].variable);
        if (!value) {
            continue;
        }
        if (value[0] == '\0') {
            usage_error(t, options[i].variable, " is set but empty");
            continue;
        }
        t->values[i] = value;
        t->from_environment[i] = true;
        if (i == OPTION_TOKEN && !keep_token(t, value, strlen(value))) {
            usage_error(t, options[i].variable, " does not fit into memory");
        }
    }
}

/* Whether an entry of no_proxy, HOST[:PORT], means this host: the same, or a domain that the host is in. */
static bool entry_matches(const char *entry, size_t len, const char *host, size_t host_len, uint16_t port)
{
    size_t mark = port_mark(entry, len);
    bool address = len > 0 && entry[0] == '[';
    /* A bare IPv6 address has colons and no port. */
    if (!address && mark != len && memchr(entry, ':', mark)) {
        mark = len;
    }
    if (mark != len && read_port(entry + mark + 1, len - mark - 1) != port) {
        return false;
    }
    len = mark;
    if (address && len > 2 && entry[len - 1] == ']') {
        entry++;
        len -= 2;
    }
    if (len > 0 && entry[0] == '.') {
        entry++;
        len--;
    }
    if (len == 0 || len > host_len || !equals_nocase(host + host_len - len, len, entry)) {
        return false;
    }
    return len == host_len || host[host_len - len - 1] == '.';
}

/* A list of entries between commas and spaces; * alone means every host. No networks as 10.0.0.0/8. */
static bool no_proxy_matches(const char *list, const char *host, size_t host_len, uint16_t port)
{
    while (*list) {
        size_t len = strcspn(list, ", \t");
        if (equals(list, len, "*") || entry_matches(list, len, host, host_len, port)) {
            return true;
        }
        list += len;
        list += strspn(list, ", \t");
    }
    return false;
}

static const char *environment_either(const char *small, const char *large, const char **name)
{
    const char *value = environment(small);
    *name = value ? small : large;
    return value ? value : environment(large);
}

/* Without --proxy the usual variables count, for https alone; an empty one means no proxy. */
static void read_proxy(struct tool *t)
{
    const char *name, *value, *none, *ignored;
    const char *url = t->values[OPTION_ENDPOINT] ? t->values[OPTION_ENDPOINT] : HTOK_DEFAULT_SERVER_URL;
    const char *host = url + 8;
    size_t len, mark;
    uint16_t port;
    if (t->values[OPTION_PROXY] || strlen(url) < 8 || !equals_nocase(url, 8, "https://")) {
        return;
    }
    value = environment_either("https_proxy", "HTTPS_PROXY", &name);
    none = environment_either("no_proxy", "NO_PROXY", &ignored);
    len = strcspn(host, "/?#");
    mark = port_mark(host, len);
    port = mark == len ? 443 : read_port(host + mark + 1, len - mark - 1);
    len = mark;
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (len > 1 && host[len - 1] == '.') {
        len--;
    }
    if (value && value[0] != '\0' && !(none && no_proxy_matches(none, host, len, port))) {
        t->proxy_source = name;
        take_proxy(t, value);
    }
}

/* ---- Values to the library's options. -------------------------------------------------------------------------- */

/* Decimal digits only; 0 and UINT32_MAX mean something else to the library. */
static uint32_t milliseconds(struct tool *t, enum option_id id)
{
    const char *text = t->values[id];
    uint32_t value = 0;
    if (!text) {
        return 0;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        uint32_t digit = (uint32_t)(*text - '0');
        if (value > (UINT32_MAX - 1 - digit) / 10) {
            value = 0;
            break;
        }
        value = value * 10 + digit;
    }
    if (*text != '\0' || value == 0) {
        usage_error(t, options[id].name, " must be a number of milliseconds from 1 to 4294967294");
        return 0;
    }
    return value;
}

/* A decimal such as 1.5 in thousandths, whatever the locale. */
static uint32_t thousandths(struct tool *t, enum option_id id)
{
    const char *text = t->values[id];
    uint32_t value = 0, unit = 100;
    size_t whole = 0;
    if (!text) {
        return 0;
    }
    for (; *text >= '0' && *text <= '9' && whole < 3; text++, whole++) {
        value = value * 10 + (uint32_t)(*text - '0') * 1000;
    }
    if (whole != 0 && text[0] == '.' && text[1] != '\0') {
        for (text++; *text >= '0' && *text <= '9' && unit != 0; text++) {
            value += (uint32_t)(*text - '0') * unit;
            unit /= 10;
        }
    }
    if (whole == 0 || *text != '\0' || value == 0 || value > 10000) {
        usage_error(t, options[id].name, " must be a number up to 10 with at most three decimals, as 1.5");
        return 0;
    }
    return value;
}

static void read_retry(struct tool *t)
{
    htok_retry *retry = &t->client_options.retry;
    const char *how = t->values[OPTION_RETRY], *what = t->values[OPTION_RETRY_REPEAT];
    if (how && strcmp(how, "none") != 0 && strcmp(how, "backoff") != 0) {
        usage_error(t, options[OPTION_RETRY].name, " must be none or backoff");
    }
    retry->strategy = how && strcmp(how, "backoff") == 0 ? HTOK_RETRY_BACKOFF : HTOK_RETRY_NONE;
    if (what && strcmp(what, "idempotent") != 0 && strcmp(what, "unsent") != 0 &&
        strcmp(what, "always") != 0) {
        usage_error(t, options[OPTION_RETRY_REPEAT].name, " must be idempotent, unsent or always");
    }
    retry->repeat = what && strcmp(what, "unsent") == 0   ? HTOK_REPEAT_UNSENT
                    : what && strcmp(what, "always") == 0 ? HTOK_REPEAT_ALWAYS
                                                          : HTOK_REPEAT_IDEMPOTENT;
    retry->initial_interval_ms = milliseconds(t, OPTION_RETRY_INITIAL);
    retry->max_interval_ms = milliseconds(t, OPTION_RETRY_MAX);
    retry->max_elapsed_ms = milliseconds(t, OPTION_RETRY_ELAPSED);
    retry->exponent_thousandths = thousandths(t, OPTION_RETRY_EXPONENT);
    retry->retry_connection_errors = t->values[OPTION_RETRY_CONNECTION] != NULL;
    retry->codes = t->values[OPTION_RETRY_CODES];
}

/* The members that the command's result has: plainTextToken comes last and belongs to a created token alone. */
static size_t field_count(enum command command)
{
    return command == COMMAND_CREATE || command == COMMAND_ROTATE ? FIELD_COUNT
           : command == COMMAND_LIST                              ? FIELD_COUNT - 1
                                                                  : 0;
}

static void read_form(struct tool *t)
{
    const char *form = t->values[OPTION_OUTPUT];
    size_t i;
    if (!form || strcmp(form, "text") == 0) {
        t->form = FORM_TEXT;
        return;
    }
    if (strcmp(form, "json") == 0) {
        t->form = FORM_JSON;
        return;
    }
    t->form = FORM_FIELD;
    for (i = 0; i < field_count(t->command) && !t->values[OPTION_DRY_RUN]; i++) {
        size_t len = strlen(field_names[i]);
        if (strncmp(form, field_names[i], len) == 0 && strcmp(form + len, "Value") == 0) {
            t->field = (enum field)i;
            return;
        }
    }
    usage_error(t, given_as(t, OPTION_OUTPUT),
                t->command == COMMAND_REVOKE ? " must be text or json for revoke"
                : t->values[OPTION_DRY_RUN]
                    ? " must be text or json with --dry-run"
                    : " must be text, json, or a member of the result as in nameValue");
}

/* --sort takes a member's name, after a - for the other direction. */
static void read_sort(struct tool *t)
{
    const char *key = t->values[OPTION_SORT];
    size_t i;
    if (!key) {
        return;
    }
    t->sort_down = key[0] == '-';
    for (i = 0; i < FIELD_PLAIN_TEXT; i++) {
        if (strcmp(key + t->sort_down, field_names[i]) == 0) {
            t->sort = (enum field)i;
            return;
        }
    }
    usage_error(t, options[OPTION_SORT].name, " must be a member of the result, as name or -createdAt");
}

static void check_command(struct tool *t)
{
    size_t i;
    if (t->command == COMMAND_NONE) {
        usage_parts(t, "no command", ": it must be ", command_names, NULL);
    } else if (t->command == COMMAND_REVOKE && t->id_count == 0 && !t->values[OPTION_NAME]) {
        usage_error(t, "revoke", " needs the id of a token, or --name");
    } else if (t->command == COMMAND_REVOKE && t->id_count != 0 && t->values[OPTION_NAME]) {
        usage_error(t, "revoke", " takes ids or --name, not both");
    } else if ((t->command == COMMAND_CREATE || t->command == COMMAND_ROTATE) && !t->values[OPTION_NAME]) {
        usage_error(t, commands[t->command].name, " needs --name");
    }
    for (i = 0; i < OPTION_COUNT && t->command != COMMAND_NONE; i++) {
        if (t->values[i] && (commands_of((enum option_id)i) & 1u << t->command) == 0) {
            usage_parts(t, options[i].name, " does not belong to ", commands[t->command].name, NULL);
        }
    }
    for (i = 0; i < t->scope_count && t->command == COMMAND_ROTATE; i++) {
        if (t->scope_count > 1 && strcmp(t->scopes[i], "admin") == 0) {
            usage_error(t, options[OPTION_SCOPE].name, ": admin cannot stand beside other scopes");
        }
    }
    if (!t->values[OPTION_ORG]) {
        usage_error(t, options[OPTION_ORG].name, " or HATHORA_ORG_ID must name the organization");
    }
    if (t->values[OPTION_TOKEN_FILE] && t->values[OPTION_TOKEN]) {
        usage_error(t, options[OPTION_TOKEN].name, " and --token-file cannot stand together");
    }
    if (t->values[OPTION_KEY] && !t->values[OPTION_CERT]) {
        usage_error(t, options[OPTION_KEY].name, " needs --cert");
    }
}

static void log_line(void *context, const char *text)
{
    const struct tool *t = (const struct tool *)context;
    struct buffer line = {NULL, 0, 0, false};
    if (t->muted) {
        return;
    }
    add_text(&line, "hathora-tokens: trace: ");
    add_text(&line, text);
    add_text(&line, "\n");
    if (!line.failed) {
        (void)write_all(STANDARD_ERROR, line.ptr, line.len);
    }
    buffer_free(&line);
}

static void fill_client_options(struct tool *t)
{
    htok_client_options *o = &t->client_options;
    o->timeout_ms = milliseconds(t, OPTION_TIMEOUT);
    o->connect_timeout_ms = milliseconds(t, OPTION_CONNECT_TIMEOUT);
    o->server_url = t->values[OPTION_ENDPOINT];
    o->org_id = t->values[OPTION_ORG];
    o->user_agent = t->values[OPTION_USER_AGENT];
    o->headers = t->headers;
    o->header_count = t->header_count;
    o->trust_file = t->values[OPTION_CA_FILE];
    o->pins = t->pins;
    o->pin_count = t->pin_count;
    o->proxy = t->proxy.host ? &t->proxy : NULL;
    o->work_bytes = WORK_BYTES;
    o->max_element_bytes = ELEMENT_BYTES;
    read_retry(t);
    if (t->values[OPTION_VERBOSE]) {
        t->logger.context = t;
        t->logger.line = log_line;
        o->logger = &t->logger;
    }
}

static void cannot_read(struct tool *t, const char *name, int error)
{
    usage_error(t, name, " cannot be read: ");
    if (strlen(t->usage) + strlen(strerror(error)) < sizeof t->usage) {
        memcpy(t->usage + strlen(t->usage), strerror(error), strlen(strerror(error)) + 1);
    }
}

/* The option's file, which may hold a private key, into the buffer. The library refuses one that is too long. */
static void read_pem(struct tool *t, enum option_id id, struct buffer *pem)
{
    char piece[4096];
    long n = 1;
    int descriptor = open_for_reading(t->values[id]);
    int error = descriptor < 0 ? errno : 0;
    while (descriptor >= 0 && n > 0 && pem->len <= PEM_BYTES) {
        n = read_some(descriptor, piece, sizeof piece);
        add(pem, piece, n > 0 ? (size_t)n : 0);
        error = n < 0 ? errno : 0;
    }
    wipe(piece, sizeof piece);
    if (descriptor >= 0) {
        close_descriptor(descriptor);
    }
    if (error != 0) {
        cannot_read(t, options[id].name, error);
    } else if (pem->failed) {
        usage_error(t, options[id].name, " does not fit into memory");
    } else if (pem->len == 0) {
        usage_error(t, options[id].name, " is empty");
    }
}

/* Returns an exit status. */
static int read_client_certificate(struct tool *t)
{
    htok_client_options *o = &t->client_options;
    read_pem(t, OPTION_CERT, &t->cert);
    if (t->values[OPTION_KEY] && t->usage[0] == '\0') {
        read_pem(t, OPTION_KEY, &t->key);
    }
    if (interrupted()) {
        return fail_interrupted(t, "interrupted while reading the client certificate");
    }
    o->client_chain.ptr = t->cert.ptr;
    o->client_chain.len = t->cert.len;
    o->client_key.ptr = t->values[OPTION_KEY] ? t->key.ptr : t->cert.ptr;
    o->client_key.len = t->values[OPTION_KEY] ? t->key.len : t->cert.len;
    return t->usage[0] != '\0' ? fail_usage(t) : EXIT_DONE;
}

/* Returns an exit status. */
static int read_token_file(struct tool *t)
{
    const char *path = t->values[OPTION_TOKEN_FILE];
    const char *name = options[OPTION_TOKEN_FILE].name;
    bool standard_input = strcmp(path, "-") == 0;
    int descriptor = standard_input ? STANDARD_INPUT : open_for_reading(path);
    int error = 0;
    size_t len = 0, mark = 0, room = TOKEN_FILE_BYTES + 6; /* a mark, a line end and one byte too many */
    char *bytes = (char *)malloc(room);
    if (!bytes) {
        return fail_internal(t, "memory cannot be allocated");
    }
    if (descriptor < 0) {
        error = errno;
    } else {
        long n = 1;
        while (n > 0 && len < room) {
            n = read_some(descriptor, bytes + len, room - len);
            len += n > 0 ? (size_t)n : 0;
        }
        error = n < 0 ? errno : 0;
        if (!standard_input) {
            close_descriptor(descriptor);
        }
    }
    if (len == room) {
        usage_error(t, name, " holds more than 64 KiB");
    } else if (error != 0) {
        cannot_read(t, name, error);
    } else {
        if (len > 0 && bytes[len - 1] == '\n') {
            len -= len > 1 && bytes[len - 2] == '\r' ? 2 : 1;
        }
        if (len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
            mark = 3;
        }
        if (len == mark) {
            usage_error(t, name, " holds no token");
        } else if (len - mark > TOKEN_FILE_BYTES) {
            usage_error(t, name, " holds more than 64 KiB");
        } else if (memchr(bytes, '\0', len)) {
            usage_error(t, name, " holds a NUL byte, as UTF-16 does");
        } else if (!keep_token(t, bytes + mark, len - mark)) {
            usage_error(t, name, " does not fit into memory");
        }
    }
    wipe(bytes, room);
    free(bytes);
    if (interrupted()) {
        return fail_interrupted(t, "interrupted while reading the token");
    }
    return t->usage[0] != '\0' ? fail_usage(t) : EXIT_DONE;
}

/* ---- Results. -------------------------------------------------------------------------------------------------- */

/* The scopes as one text: admin, another word of the server's, or the list joined by commas. */
static void add_scopes(struct buffer *b, const htok_org_token *token)
{
    size_t i;
    if (token->scopes_form == HTOK_SCOPES_ABSENT || token->scopes_form == HTOK_SCOPES_ADMIN) {
        add_text(b, "admin");
        return;
    }
    for (i = 0; i < token->scope_count; i++) {
        if (i != 0) {
            add_text(b, ",");
        }
        add_view(b, token->scopes[i]);
    }
}

/* A member's value; scopes are put together in joined. */
static htok_view field_value(enum field field, const htok_org_token *token, htok_view plain_text,
                             struct buffer *joined)
{
    htok_view v = {NULL, 0};
    switch (field) {
    case FIELD_ORG_TOKEN_ID: return token->org_token_id;
    case FIELD_ORG_ID: return token->org_id;
    case FIELD_NAME: return token->name;
    case FIELD_STATUS: return token->status_text;
    case FIELD_LAST_FOUR: return token->last_four_chars_of_key;
    case FIELD_CREATED_BY: return token->created_by;
    case FIELD_CREATED_AT: return token->created_at;
    case FIELD_SCOPES:
        joined->len = 0;
        add_scopes(joined, token);
        v.ptr = joined->ptr;
        v.len = joined->len;
        return v;
    case FIELD_PLAIN_TEXT: return plain_text;
    case FIELD_COUNT: break;
    }
    return v;
}

/* Bare for scripts, where one value must stay one line; a terminal gets no control characters. */
static void add_field_line(struct buffer *b, htok_view value, bool terminal)
{
    if (terminal) {
        add_printable(b, value);
    } else if (value.len != 0 && (memchr(value.ptr, '\n', value.len) || memchr(value.ptr, '\r', value.len))) {
        add_json_inside(b, value);
    } else {
        add_view(b, value);
    }
    add_text(b, "\n");
}

/* ---- Text on a terminal. ---------------------------------------------------------------------------------------- */

/* The next code point of the text, which is not at its end, and how many bytes it has. A byte that no code point of UTF-8
   begins with stands alone, and is more than any code point. */
static uint32_t code_point(const char *text, size_t left, size_t *bytes)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4, i = 1;
    uint32_t code = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    while (i < len && i < left && (p[i] & 0xc0) == 0x80) {
        code = code << 6 | (p[i++] & 0x3fu);
    }
    *bytes = i == len && (p[0] & 0xc0) != 0x80 ? len : 1;
    return *bytes == len ? code : 0x110000u + p[0];
}

/* Columns of one character: East Asian wide ones take two, combining ones none. */
static size_t code_point_width(uint32_t code)
{
    static const uint32_t wide[][2] = {{0x1100, 0x115f},   {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},
                                       {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                                       {0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff},
                                       {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
    size_t i;
    if ((code >= 0x300 && code <= 0x36f) || (code >= 0x200b && code <= 0x200f) ||
        (code >= 0xfe00 && code <= 0xfe0f)) {
        return 0;
    }
    for (i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        if (code >= wide[i][0] && code <= wide[i][1]) {
            return 2;
        }
    }
    return 1;
}

/* How many bytes of the text fit into so many columns, and how wide they are: at least one character, and at best up
   to a comma. */
static size_t fitting(const char *text, size_t room, bool at_commas, size_t *width)
{
    size_t len = strlen(text), at = 0, after_comma = 0, comma_width = 0, bytes;
    *width = 0;
    while (at < len) {
        size_t more = code_point_width(code_point(text + at, len - at, &bytes));
        if (*width + more > room && at != 0) {
            if (at_commas && after_comma != 0) {
                *width = comma_width;
                return after_comma;
            }
            return at;
        }
        *width += more;
        at += bytes;
        if (text[at - 1] == ',') {
            after_comma = at;
            comma_width = *width;
        }
    }
    return len;
}

static size_t text_width(const char *text)
{
    size_t width;
    (void)fitting(text, SIZE_MAX / 2, false, &width);
    return width;
}

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++) {
        count += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return count;
}

static void hint_buffer(struct buffer *line)
{
    add_text(line, "\n");
    if (!line->failed && is_terminal(STANDARD_ERROR)) {
        (void)write_all(STANDARD_ERROR, line->ptr, line->len);
    }
    buffer_free(line);
}

static void hint(const char *first, htok_view value, const char *last)
{
    struct buffer line = {NULL, 0, 0, false};
    add_text(&line, first);
    add_printable(&line, value);
    add_text(&line, last);
    hint_buffer(&line);
}

/* ---- Calls. ------------------------------------------------------------------------------------------------------- */

static void progress_end(struct tool *t)
{
    struct buffer line = {NULL, 0, 0, false};
    if (t->progress_len != 0) {
        add_text(&line, "\r");
        add_spaces(&line, t->progress_len);
        add_text(&line, "\r");
        if (!line.failed) {
            (void)write_all(STANDARD_ERROR, line.ptr, line.len);
        }
        t->progress_len = 0;
    }
    buffer_free(&line);
}

/* A line that overwrites itself, without escape sequences. A trace would be mixed up with it. */
static void progress(struct tool *t, const char *what)
{
    struct buffer line = {NULL, 0, 0, false};
    uint64_t now = monotonic_ms();
    size_t len;
    if (t->values[OPTION_VERBOSE] || !is_terminal(STANDARD_ERROR) || now - t->started_ms < PROGRESS_MS ||
        (t->progress_len != 0 && now - t->progress_ms < 200)) {
        return;
    }
    add_text(&line, "\rhathora-tokens: ");
    add_text(&line, what);
    if (t->total != 0) {
        add_text(&line, " ");
        add_number(&line, (unsigned)(t->done + 1));
        add_text(&line, " of ");
        add_number(&line, (unsigned)t->total);
    } else if (t->done != 0) {
        add_text(&line, ": ");
        add_number(&line, (unsigned)t->done);
        add_text(&line, " so far");
    }
    add_text(&line, " ...");
    len = line.len - 1;
    if (len < t->progress_len) {
        add_spaces(&line, t->progress_len - len);
    }
    if (!line.failed && write_all(STANDARD_ERROR, line.ptr, line.len)) {
        t->progress_len = len;
        t->progress_ms = now;
    }
    buffer_free(&line);
}

/* Lets the call go on until it has an element, is done or has failed. */
static htok_state advance(struct tool *t, htok_client *client, const char *what)
{
    for (;;) {
        htok_state state;
        htok_wait wait;
        if (interrupted()) {
            htok_client_cancel(client);
        }
        state = htok_client_poll(client);
        if (state == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM) {
            progress(t, what);
        } else {
            progress_end(t);
        }
        if (state != HTOK_STATE_PENDING) {
            return state;
        }
        wait = htok_client_wait(client);
        if (wait.timeout_ms > PROGRESS_MS / 4) {
            wait.timeout_ms = PROGRESS_MS / 4;
        }
        wait_for(&wait);
    }
}

static int write_result(const struct tool *t, struct buffer *out, int status)
{
    if (out->failed) {
        return fail_internal(t, "memory cannot be allocated");
    }
    if (!write_all(STANDARD_OUTPUT, out->ptr, out->len) || !close_output()) {
        return fail_output(t, status, "", view_of(NULL), "");
    }
    return EXIT_DONE;
}

/* ---- Lists that are held whole. ----------------------------------------------------------------------------------- */

#define SCOPE_END '\xff' /* in no text of UTF-8, where a NUL may be */

/* A part of rows.text, which moves as it grows. */
struct piece {
    size_t at, len;
};

struct row {
    struct piece fields[FIELD_PLAIN_TEXT]; /* scopes: each with a NUL and SCOPE_END after it */
    struct piece shown;                    /* its JSON, or its line of -o FIELDValue */
    htok_token_status status;
    htok_scopes_form scopes_form;
    size_t scope_count;
    int64_t created_at_ms;
};

struct rows {
    struct row *items;
    size_t count, size;
    struct buffer text;
};

static void rows_free(struct rows *rows)
{
    buffer_free(&rows->text);
    free(rows->items);
    memset(rows, 0, sizeof *rows);
}

static htok_view piece_view(const struct rows *rows, struct piece piece)
{
    htok_view v;
    v.ptr = rows->text.ptr + piece.at;
    v.len = piece.len;
    return v;
}

static htok_view row_view(const struct rows *rows, const struct row *row, enum field field)
{
    return piece_view(rows, row->fields[field]);
}

/* The view's text is followed by a NUL in all but the scopes and what is shown. */
static const char *row_text(const struct rows *rows, const struct row *row, enum field field)
{
    return row_view(rows, row, field).ptr;
}

/* The scope at *at, with a NUL behind it; steps to the next. */
static htok_view next_scope(const char **at)
{
    htok_view scope;
    scope.ptr = *at;
    while (**at != SCOPE_END) {
        (*at)++;
    }
    scope.len = (size_t)(*at - scope.ptr) - 1;
    (*at)++;
    return scope;
}

static bool holds_nul(htok_view text)
{
    return text.len != 0 && memchr(text.ptr, '\0', text.len) != NULL;
}

static void rows_add(const struct tool *t, struct rows *rows, const htok_org_token *token)
{
    static const char scope_end[] = {'\0', SCOPE_END};
    struct buffer joined = {NULL, 0, 0, false};
    struct row *row;
    size_t field, i;
    if (rows->count == rows->size) {
        size_t size = rows->size ? rows->size * 2 : 64;
        struct row *items = size <= SIZE_MAX / sizeof *items
                                ? (struct row *)realloc(rows->items, size * sizeof *items)
                                : NULL;
        if (!items) {
            rows->text.failed = true;
            return;
        }
        rows->items = items;
        rows->size = size;
    }
    row = &rows->items[rows->count++];
    memset(row, 0, sizeof *row);
    row->status = token->status;
    row->scopes_form = token->scopes_form;
    row->scope_count = token->scope_count;
    row->created_at_ms = token->created_at_ms;
    for (field = 0; field < FIELD_PLAIN_TEXT; field++) {
        row->fields[field].at = rows->text.len;
        if (field != FIELD_SCOPES) {
            add_view(&rows->text, field_value((enum field)field, token, view_of(NULL), &joined));
        }
        for (i = 0; field == FIELD_SCOPES && i < token->scope_count; i++) {
            add_view(&rows->text, token->scopes[i]);
            add(&rows->text, scope_end, sizeof scope_end);
        }
        row->fields[field].len = rows->text.len - row->fields[field].at;
        add(&rows->text, "", 1);
    }
    row->shown.at = rows->text.len;
    if (t->form == FORM_JSON) {
        add_written(&rows->text, write_token_json, token);
    } else if (t->form == FORM_FIELD && t->field < FIELD_PLAIN_TEXT) {
        add_field_line(&rows->text, field_value(t->field, token, view_of(NULL), &joined),
                       is_terminal(STANDARD_OUTPUT));
    }
    row->shown.len = rows->text.len - row->shown.at;
    rows->text.failed = rows->text.failed || joined.failed;
    buffer_free(&joined);
}

typedef bool (*choice)(const struct tool *t, const htok_org_token *token);

/* Fetches the tokens that are wanted (NULL: all). Returns an exit status; ending is what a failure says beside. */
static int rows_fetch(struct tool *t, htok_client *client, choice wanted, struct rows *rows,
                      const struct buffer *ending)
{
    htok_state state = HTOK_STATE_FAILED;
    t->done = t->total = 0;
    if (htok_get_org_tokens_start(client, NULL) == HTOK_OK) {
        while ((state = advance(t, client, "listing")) == HTOK_STATE_ITEM && !rows->text.failed) {
            const htok_org_token *token = htok_client_item(client);
            t->done++;
            if (!wanted || wanted(t, token)) {
                rows_add(t, rows, token);
            }
        }
    }
    t->done = 0;
    if (rows->text.failed) {
        progress_end(t);
        htok_client_cancel(client);
        return fail_internal(t, "memory cannot be allocated");
    }
    return state == HTOK_STATE_DONE ? EXIT_DONE : fail_client(t, htok_client_error(client), NULL, ending);
}

static int compare_rows(const struct tool *t, const struct rows *rows, const struct row *a,
                        const struct row *b)
{
    htok_view x = row_view(rows, a, t->sort), y = row_view(rows, b, t->sort);
    int order;
    if (t->sort == FIELD_CREATED_AT) {
        order = a->created_at_ms < b->created_at_ms ? -1 : a->created_at_ms > b->created_at_ms;
    } else {
        order = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);
        order = order != 0 ? order : x.len < y.len ? -1 : x.len > y.len;
    }
    return t->sort_down ? -order : order;
}

/* By merging, so that equal ones keep the server's order. */
static bool rows_sort(const struct tool *t, struct rows *rows)
{
    struct row *other = (struct row *)malloc((rows->count + 1) * sizeof *other);
    size_t run, at;
    if (!other) {
        return false;
    }
    for (run = 1; run < rows->count; run *= 2) {
        struct row *swapped = rows->items;
        for (at = 0; at < rows->count; at += 2 * run) {
            size_t middle = rows->count - at < run ? rows->count : at + run;
            size_t end = rows->count - at < 2 * run ? rows->count : at + 2 * run;
            size_t a = at, b = middle, to = at;
            while (a < middle || b < end) {
                bool first =
                    b == end || (a < middle && compare_rows(t, rows, &rows->items[a], &rows->items[b]) <= 0);
                other[to++] = rows->items[first ? a++ : b++];
            }
        }
        rows->items = other;
        other = swapped;
        rows->size = rows->count;
    }
    free(other);
    return true;
}

/* One element of a pattern at *p against the character at *s: moves both on and returns true when it matches. */
static bool glob_one(htok_view pattern, size_t *p, htok_view text, size_t *s)
{
    size_t at = *p, bytes, step;
    uint32_t wanted, low, code = code_point(text.ptr + *s, text.len - *s, &step);
    if (pattern.ptr[at] == '[' && memchr(pattern.ptr + at + 1, ']', pattern.len - at - 1)) {
        bool negated = pattern.ptr[at + 1] == '!', found = false;
        at += 1u + negated;
        while (pattern.ptr[at] != ']') {
            low = wanted = code_point(pattern.ptr + at, pattern.len - at, &bytes);
            at += bytes;
            if (pattern.ptr[at] == '-' && pattern.ptr[at + 1] != ']') {
                wanted = code_point(pattern.ptr + at + 1, pattern.len - at - 1, &bytes);
                at += bytes + 1;
            }
            found = found || (code >= low && code <= wanted);
        }
        *p = at + 1;
        *s += step;
        return found != negated;
    }
    if (pattern.ptr[at] == '\\' && at + 1 < pattern.len) {
        at++;
    } else if (pattern.ptr[at] == '?') {
        *p = at + 1;
        *s += step;
        return true;
    }
    wanted = code_point(pattern.ptr + at, pattern.len - at, &bytes);
    *p = at + bytes;
    *s += step;
    return wanted == code;
}

/* As a shell does: * any text, ? one character, [a-z] and [!a-z] one of a set, \ the next character itself. */
static bool glob(htok_view pattern, htok_view text)
{
    size_t p = 0, s = 0, star = SIZE_MAX, mark = 0, bytes;
    while (s < text.len) {
        size_t next_p = p, next_s = s;
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            mark = s;
        } else if (p < pattern.len && glob_one(pattern, &next_p, text, &next_s)) {
            p = next_p;
            s = next_s;
        } else if (star != SIZE_MAX) {
            (void)code_point(text.ptr + mark, text.len - mark, &bytes);
            mark += bytes;
            s = mark;
            p = star + 1;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

/* ---- The table. ---------------------------------------------------------------------------------------------------- */

static const enum field columns[] = {FIELD_ORG_TOKEN_ID, FIELD_NAME,       FIELD_STATUS, FIELD_LAST_FOUR,
                                     FIELD_CREATED_AT,   FIELD_CREATED_BY, FIELD_SCOPES};
static const char *const titles[] = {"ID", "NAME", "STATUS", "LAST 4", "CREATED", "CREATED BY", "SCOPES"};
enum { COLUMNS = sizeof columns / sizeof columns[0] };
enum {
    COLUMN_ID,
    COLUMN_NAME,
    COLUMN_STATUS,
    COLUMN_LAST_FOUR,
    COLUMN_CREATED,
    COLUMN_CREATED_BY,
    COLUMN_SCOPES
};
enum { MIN_NAME_COLUMNS = 8, MIN_SCOPES_COLUMNS = 20, SCOPES_INDENT = 4 };

/* The cells, titles first, each with its NUL; how wide the widest of each column is; and how they are laid out. */
struct table {
    struct buffer cells;
    size_t *starts; /* of row * COLUMNS + column */
    size_t rows;
    size_t widths[COLUMNS], widest_scope;
    unsigned shown;     /* the columns that stand beside each other, as bits */
    bool below;         /* the scopes stand on a line of their own */
    bool records;       /* too narrow for a table: each member on a line of its own */
    size_t below_width; /* for the scopes, then */
    bool colours;
};

/* How long ago, beside the date. Nothing for a time to come. */
static void add_age(struct buffer *b, int64_t created_at_ms)
{
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = {{"year", 31556952}, {"month", 2629746}, {"day", 86400},
                 {"hour", 3600},     {"minute", 60},     {"second", 1}};
    int64_t age = (unix_ms() - created_at_ms) / 1000;
    size_t i = 0;
    if (age < 0) {
        return;
    }
    while (i + 1 < sizeof units / sizeof units[0] && age < units[i].seconds) {
        i++;
    }
    age /= units[i].seconds;
    add_text(b, " (");
    add_number(b, (unsigned)age);
    add_text(b, " ");
    add_text(b, units[i].name);
    add_text(b, age == 1 ? " ago)" : "s ago)");
}

/* Without an age the date is as the server wrote it. */
static void add_created_at(struct buffer *b, htok_view text, int64_t created_at_ms, bool with_age)
{
    htok_view date = text;
    if (with_age) {
        date.len = date.len < 10 ? date.len : 10;
    }
    add_printable(b, date);
    if (with_age) {
        add_age(b, created_at_ms);
    }
}

/* The scopes of a row, or admin, joined by commas. */
static void add_row_scopes(struct buffer *b, const struct rows *rows, const struct row *row)
{
    const char *scope = row_text(rows, row, FIELD_SCOPES);
    size_t i;
    if (row->scopes_form == HTOK_SCOPES_ABSENT || row->scopes_form == HTOK_SCOPES_ADMIN) {
        add_text(b, "admin");
    }
    for (i = 0; i < row->scope_count; i++) {
        add_text(b, i != 0 ? "," : "");
        add_printable(b, next_scope(&scope));
    }
}

/* Begins the next cell: the table's cells are made in order. */
static void cell_begin(struct table *table, size_t index)
{
    if (!table->cells.failed) {
        table->starts[index] = table->cells.len;
    }
}

static void cell_end(struct table *table, size_t index)
{
    size_t width;
    if (!table->cells.failed && table->cells.len == table->starts[index]) {
        add_text(&table->cells, "-");
    }
    add(&table->cells, "", 1);
    if (!table->cells.failed) {
        width = text_width(table->cells.ptr + table->starts[index]);
        table->widths[index % COLUMNS] =
            width > table->widths[index % COLUMNS] ? width : table->widths[index % COLUMNS];
    }
}

static const char *cell(const struct table *table, size_t row, size_t column)
{
    return table->cells.ptr + table->starts[row * COLUMNS + column];
}

static void table_fill(struct table *table, const struct rows *rows, bool terminal)
{
    size_t i, column;
    table->rows = rows->count + 1;
    table->starts = (size_t *)calloc(table->rows * COLUMNS, sizeof *table->starts);
    if (!table->starts) {
        table->cells.failed = true;
        return;
    }
    for (i = 0; i < table->rows; i++) {
        const struct row *row = i != 0 ? &rows->items[i - 1] : NULL;
        for (column = 0; column < COLUMNS; column++) {
            size_t index = i * COLUMNS + column;
            cell_begin(table, index);
            if (!row) {
                add_text(&table->cells, titles[column]);
            } else if (column == COLUMN_SCOPES) {
                add_row_scopes(&table->cells, rows, row);
            } else if (column == COLUMN_CREATED) {
                add_created_at(&table->cells, row_view(rows, row, FIELD_CREATED_AT), row->created_at_ms,
                               terminal);
            } else {
                add_printable(&table->cells, row_view(rows, row, columns[column]));
            }
            cell_end(table, index);
        }
    }
    for (i = 0; i < table->rows && !table->cells.failed; i++) {
        const char *scopes = cell(table, i, COLUMN_SCOPES);
        while (*scopes) {
            size_t len = strcspn(scopes, ",");
            len += scopes[len] == ',';
            table->widest_scope = len > table->widest_scope ? len : table->widest_scope;
            scopes += len;
        }
    }
}

/* Takes the first layout that fits: columns of less use go, then the scopes move below, then the name is wrapped.
   An id is never cut. */
static void table_lay_out(struct table *table, size_t width)
{
    static const struct {
        unsigned without;
        bool below;
    } layouts[] = {{0, false},
                   {1u << COLUMN_CREATED_BY, false},
                   {1u << COLUMN_CREATED_BY | 1u << COLUMN_LAST_FOUR, false},
                   {1u << COLUMN_CREATED_BY | 1u << COLUMN_LAST_FOUR | 1u << COLUMN_CREATED, false},
                   {1u << COLUMN_CREATED_BY | 1u << COLUMN_LAST_FOUR, true},
                   {1u << COLUMN_CREATED_BY | 1u << COLUMN_LAST_FOUR | 1u << COLUMN_CREATED, true}};
    size_t scopes = table->widest_scope > MIN_SCOPES_COLUMNS ? table->widest_scope : MIN_SCOPES_COLUMNS;
    size_t i, column, others = 0;
    scopes = scopes < table->widths[COLUMN_SCOPES] ? scopes : table->widths[COLUMN_SCOPES];
    for (i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        table->below = layouts[i].below;
        table->shown =
            ((1u << COLUMNS) - 1) & ~layouts[i].without & ~(table->below ? 1u << COLUMN_SCOPES : 0);
        others = 0;
        for (column = 0; column < COLUMN_SCOPES; column++) {
            others += (table->shown & 1u << column) != 0 ? table->widths[column] + 2 : 0;
        }
        if (others + (table->below ? 0 : scopes + 2) <= width + 2) {
            break;
        }
    }
    if (!table->below) {
        table->widths[COLUMN_SCOPES] = width - others;
        return;
    }
    table->below_width = width > 2 * SCOPES_INDENT ? width - SCOPES_INDENT : SCOPES_INDENT;
    if (others > width + 2) {
        size_t fixed = others - table->widths[COLUMN_NAME] - 2;
        table->records = fixed + MIN_NAME_COLUMNS > width;
        table->widths[COLUMN_NAME] = table->records ? 0 : width - fixed;
    }
}

static const char *colour_of(const struct table *table, size_t row, size_t column, const char *text)
{
    if (!table->colours) {
        return NULL;
    }
    return row == 0                  ? "\033[1m"
           : column != COLUMN_STATUS ? NULL
           : text[0] == 'a'          ? "\033[32m"
           : text[0] == 'r'          ? "\033[31m"
                                     : "\033[33m";
}

static void add_coloured(struct buffer *out, const char *colour, const char *text, size_t len)
{
    if (colour && len != 0) {
        add_text(out, colour);
    }
    add(out, text, len);
    if (colour && len != 0) {
        add_text(out, "\033[0m");
    }
}

/* One row in as many lines as its longest cell needs. */
static void table_row(const struct table *table, size_t row, struct buffer *out)
{
    const char *rest[COLUMNS];
    size_t column;
    bool more = true;
    for (column = 0; column < COLUMNS; column++) {
        rest[column] = (table->shown & 1u << column) != 0 ? cell(table, row, column) : "";
    }
    while (more) {
        size_t spaces = 0;
        more = false;
        for (column = 0; column < COLUMNS; column++) {
            size_t len, width;
            if ((table->shown & 1u << column) == 0) {
                continue;
            }
            len = fitting(rest[column], table->widths[column], column == COLUMN_SCOPES, &width);
            if (len != 0) {
                add_spaces(out, spaces);
                add_coloured(out, colour_of(table, row, column, rest[column]), rest[column], len);
                spaces = 0;
            }
            spaces += table->widths[column] - width + 2;
            rest[column] += len;
            more = more || *rest[column] != '\0';
        }
        add_text(out, "\n");
    }
    for (rest[0] = table->below ? cell(table, row, COLUMN_SCOPES) : ""; *rest[0];) {
        size_t width, len = fitting(rest[0], table->below_width, true, &width);
        add_spaces(out, SCOPES_INDENT);
        add_coloured(out, colour_of(table, row, COLUMN_SCOPES, rest[0]), rest[0], len);
        add_text(out, "\n");
        rest[0] += len;
    }
}

static void table_record(const struct table *table, size_t row, struct buffer *out)
{
    size_t column;
    for (column = 0; column < COLUMNS; column++) {
        const char *text = cell(table, row, column);
        if (column != COLUMN_ID) {
            add_text(out, "  ");
            add_text(out, titles[column]);
            add_text(out, " ");
        }
        add_coloured(out, colour_of(table, row, column, text), text, strlen(text));
        add_text(out, "\n");
    }
}

/* A variable that holds something. */
static bool is_set(const char *name)
{
    const char *value = environment(name);
    return value && value[0] != '\0';
}

/* COLUMNS counts first, as for other programs. */
static size_t output_columns(void)
{
    const char *text = environment("COLUMNS");
    size_t value = 0;
    for (; text && *text >= '0' && *text <= '9' && value < 10000; text++) {
        value = value * 10 + (size_t)(*text - '0');
    }
    if (value == 0 || *text != '\0') {
        value = terminal_columns();
    }
    return value != 0 ? value : 80;
}

static void table_write(const struct rows *rows, struct buffer *out)
{
    bool terminal = is_terminal(STANDARD_OUTPUT);
    struct table table;
    size_t row;
    memset(&table, 0, sizeof table);
    table_fill(&table, rows, terminal);
    table.shown = (1u << COLUMNS) - 1;
    if (terminal) {
        table_lay_out(&table, output_columns());
        table.colours = !is_set("NO_COLOR") && terminal_takes_colours();
    }
    for (row = table.records ? 1 : 0; row < table.rows && !table.cells.failed; row++) {
        if (table.records) {
            table_record(&table, row, out);
        } else {
            table_row(&table, row, out);
        }
    }
    out->failed = out->failed || table.cells.failed;
    buffer_free(&table.cells);
    free(table.starts);
}

/* ---- list. ---------------------------------------------------------------------------------------------------------- */

static bool is_listed(const struct tool *t, const htok_org_token *token)
{
    const char *status = t->values[OPTION_STATUS], *pattern = t->values[OPTION_NAME];
    return (!status || equals(token->status_text.ptr, token->status_text.len, status)) &&
           (!pattern || glob(view_of(pattern), token->name));
}

/* The API's shape of a list, or each member's line. */
static void add_rows(const struct tool *t, const struct rows *rows, struct buffer *out)
{
    size_t i;
    if (t->form == FORM_TEXT) {
        table_write(rows, out);
        return;
    }
    add_text(out, t->form == FORM_JSON ? "{\"tokens\":[" : "");
    for (i = 0; i < rows->count; i++) {
        add_text(out, t->form == FORM_JSON && i != 0 ? "," : "");
        add_view(out, piece_view(rows, rows->items[i].shown));
    }
    add_text(out, t->form == FORM_JSON ? "]}\n" : "");
}

/* The whole output is held until the answer has proved complete. */
static int run_list(struct tool *t)
{
    struct buffer out = {NULL, 0, 0, false};
    struct rows rows;
    int code;
    memset(&rows, 0, sizeof rows);
    code = rows_fetch(t, t->client, is_listed, &rows, NULL);
    if (code == EXIT_DONE && t->sort != FIELD_COUNT && !rows_sort(t, &rows)) {
        code = fail_internal(t, "memory cannot be allocated");
    }
    if (code == EXIT_DONE) {
        add_rows(t, &rows, &out);
        code = write_result(t, &out, 200);
    }
    if (code == EXIT_DONE && rows.count == 0 && t->form == FORM_TEXT) {
        hint(t->values[OPTION_STATUS] || t->values[OPTION_NAME] ? "No token matches."
                                                                : "The organization has no tokens.",
             view_of(NULL), "");
    }
    buffer_free(&out);
    rows_free(&rows);
    return code;
}

/* ---- create. -------------------------------------------------------------------------------------------------------- */

static const char *const known_scopes[] = {"admin",
                                           "billing:read-write",
                                           "builds:read",
                                           "builds:read-write",
                                           "deployments:read",
                                           "deployments:read-write",
                                           "applications:read",
                                           "applications:read-write",
                                           "processes:read",
                                           "processes:read-write",
                                           "fleets:read",
                                           "fleets:read-write",
                                           "orgs:read",
                                           "orgs:read-write",
                                           "tokens:read",
                                           "tokens:read-write",
                                           "tickets:read",
                                           "tickets:read-write",
                                           "load-balancer:access"};

/* The API may know more scopes than this tool, so an unknown one is sent all the same. */
static void hint_scopes(const struct tool *t)
{
    size_t i, k;
    for (i = 0; i < t->scope_count; i++) {
        struct nearest meant = {NULL, 0};
        struct buffer line = {NULL, 0, 0, false};
        bool known = false;
        for (k = 0; k < sizeof known_scopes / sizeof known_scopes[0]; k++) {
            known = known || strcmp(t->scopes[i], known_scopes[k]) == 0;
            nearest_try(&meant, t->scopes[i], known_scopes[k]);
        }
        if (known) {
            continue;
        }
        add_text(&line, "Warning: the scope ");
        add_printable(&line, view_of(t->scopes[i]));
        add_text(&line, " is not one that this tool knows; it is sent all the same.");
        if (meant.word) {
            add_text(&line, " Did you mean ");
            add_text(&line, meant.word);
            add_text(&line, "?");
        }
        hint_buffer(&line);
    }
}

/* In text the secret stands alone, so that it can go into a file or a variable. */
static void add_created(const struct tool *t, struct buffer *out, const htok_created_org_token *created)
{
    struct buffer joined = {NULL, 0, 0, false};
    switch (t->form) {
    case FORM_JSON:
        add_written(out, write_created_json, created);
        add_text(out, "\n");
        break;
    case FORM_FIELD:
        add_field_line(out, field_value(t->field, &created->org_token, created->plain_text_token, &joined),
                       is_terminal(STANDARD_OUTPUT));
        break;
    case FORM_TEXT: add_field_line(out, created->plain_text_token, true); break;
    }
    out->failed = out->failed || joined.failed;
    buffer_free(&joined);
}

static void hint_created(const htok_org_token *token)
{
    struct buffer line = {NULL, 0, 0, false}, joined = {NULL, 0, 0, false};
    add_text(&line, "Created ");
    add_printable(&line, token->name);
    add_text(&line, " (");
    add_printable(&line, token->org_token_id);
    add_text(&line, ") with the scopes ");
    add_printable(&line, field_value(FIELD_SCOPES, token, view_of(NULL), &joined));
    add_text(&line, ".");
    hint_buffer(&line);
    buffer_free(&joined);
}

static bool write_secret(struct buffer *out)
{
    if (out->failed) {
        errno = ENOMEM;
        return false;
    }
    return write_all(STANDARD_OUTPUT, out->ptr, out->len) && sync_output() && close_output();
}

/* A token whose plain text cannot be shown is of no use but still valid. */
static int run_create(struct tool *t)
{
    htok_create_org_token_request request;
    const htok_created_org_token *created;
    struct buffer out = {NULL, 0, 0, false};
    int code = EXIT_DONE;
    memset(&request, 0, sizeof request);
    request.name = t->values[OPTION_NAME];
    request.admin = t->scope_count == 1 && strcmp(t->scopes[0], "admin") == 0;
    request.scopes = t->scopes;
    request.scope_count = request.admin ? 0 : t->scope_count;
    hint_scopes(t);
    if (htok_create_org_token_start(t->client, &request, NULL) != HTOK_OK ||
        advance(t, t->client, "creating") != HTOK_STATE_DONE) {
        return fail_client(t, htok_client_error(t->client), NULL, NULL);
    }
    created = htok_client_created(t->client);
    add_created(t, &out, created);
    if (!write_secret(&out)) {
        code = fail_output(t, 201, "; the token was created and its plain text is lost: revoke ",
                           created->org_token.org_token_id, " and create another");
    } else if (t->form == FORM_TEXT) {
        hint_created(&created->org_token);
        if (t->scope_count == 0) {
            hint("Warning: without --scope the token has every right (admin).", view_of(NULL), "");
        }
        hint("The plain-text token is shown this once: keep it now. To revoke it: hathora-tokens revoke ",
             created->org_token.org_token_id, "");
    }
    buffer_free(&out);
    htok_client_wipe(t->client);
    return code;
}

/* ---- revoke. -------------------------------------------------------------------------------------------------------- */

/* A refusal that is the person's to mend: no more is sent. text is taken. */
static int refuse(const struct tool *t, struct buffer *text)
{
    report(t, HTOK_INVALID_REQUEST_ERROR, 0, text);
    return EXIT_USAGE;
}

/* Asks a person, and takes yes where there is none. question is taken. Returns an exit status. */
static int confirm(struct tool *t, struct buffer *question)
{
    char answer[16], c = '\0';
    size_t len = 0;
    bool asks = !t->values[OPTION_YES] && is_terminal(STANDARD_INPUT) && is_terminal(STANDARD_ERROR);
    add_text(question, " [y/N] ");
    if (!asks || question->failed || !write_all(STANDARD_ERROR, question->ptr, question->len)) {
        buffer_free(question);
        return asks ? fail_internal(t, "the question could not be asked") : EXIT_DONE;
    }
    buffer_free(question);
    while (c != '\n' && read_some(STANDARD_INPUT, &c, 1) == 1) {
        if (c != '\n' && c != '\r' && len < sizeof answer - 1) {
            answer[len++] = c;
        }
    }
    answer[len] = '\0';
    if (c != '\n') {
        (void)write_all(STANDARD_ERROR, "\n", 1); /* for no person ended the question's line */
    }
    t->started_ms = monotonic_ms();
    if (strcmp(answer, "y") == 0 || strcmp(answer, "Y") == 0 || strcmp(answer, "yes") == 0) {
        return EXIT_DONE;
    }
    return fail_interrupted(t, "not confirmed: nothing was changed");
}

/* Usage errors come before anything is sent: a start checks the id and sends nothing yet. */
static int check_ids(struct tool *t)
{
    size_t i;
    t->muted = true;
    for (i = 0; i < t->id_count; i++) {
        if (htok_revoke_org_token_start(t->client, t->ids[i], NULL) != HTOK_OK) {
            t->muted = false;
            return fail_client(t, htok_client_error(t->client), t->id_count > 1 ? t->ids[i] : NULL, NULL);
        }
        htok_client_cancel(t->client);
    }
    t->muted = false;
    return EXIT_DONE;
}

/* A call takes an id as a C string. Returns an exit status. */
static int check_row_id(const struct tool *t, const struct rows *rows, const struct row *row)
{
    struct buffer message = {NULL, 0, 0, false};
    if (!holds_nul(row_view(rows, row, FIELD_ORG_TOKEN_ID))) {
        return EXIT_DONE;
    }
    add_text(&message, "the id of ");
    add_for_report(t, &message, row_view(rows, row, FIELD_NAME));
    add_text(&message, " holds a NUL, so that it cannot be revoked");
    report(t, HTOK_RESPONSE_VALIDATION_ERROR, 200, &message);
    return exit_of(HTOK_RESPONSE_VALIDATION_ERROR);
}

static bool has_name(const struct tool *t, const htok_org_token *token)
{
    return equals(token->name.ptr, token->name.len, t->values[OPTION_NAME]);
}

/* The one token of that name; one that is revoked already only where no other is. Returns an exit status. */
static int find_named(struct tool *t, struct rows *rows, const struct row **found)
{
    struct buffer message = {NULL, 0, 0, false};
    size_t i, usable = 0;
    int code = rows_fetch(t, t->client, has_name, rows, NULL);
    *found = NULL;
    if (code != EXIT_DONE) {
        return code;
    }
    for (i = 0; i < rows->count; i++) {
        if (rows->items[i].status != HTOK_TOKEN_STATUS_REVOKED) {
            *found = &rows->items[i];
            usable++;
        }
    }
    *found = *found || rows->count == 0 ? *found : &rows->items[rows->count - 1];
    if (*found && usable <= 1) {
        return check_row_id(t, rows, *found);
    }
    add_text(&message, *found ? "several tokens of the organization have the name "
                              : "no token of the organization has the name ");
    add_for_report(t, &message, view_of(t->values[OPTION_NAME]));
    add_text(&message, *found ? "; revoke by their ids" : "");
    return refuse(t, &message);
}

/* Shows which of the ids, or which token of that name, would be revoked. */
static int revoke_dry(struct tool *t, struct rows *rows, const struct row *named)
{
    struct buffer out = {NULL, 0, 0, false};
    struct rows chosen = *rows;
    size_t i, k;
    int code = named ? EXIT_DONE : rows_fetch(t, t->client, NULL, rows, NULL), worst = EXIT_DONE;
    chosen.items = (struct row *)calloc(t->id_count + 1, sizeof *chosen.items);
    chosen.count = 0;
    for (i = 0; code == EXIT_DONE && i < t->id_count && chosen.items; i++) {
        for (k = 0;
             k < rows->count && !equals(row_text(rows, &rows->items[k], FIELD_ORG_TOKEN_ID),
                                        row_view(rows, &rows->items[k], FIELD_ORG_TOKEN_ID).len, t->ids[i]);
             k++) {}
        if (k == rows->count) {
            struct buffer message = {NULL, 0, 0, false};
            add_for_report(t, &message, view_of(t->ids[i]));
            add_text(&message, ": the organization has no such token");
            code = refuse(t, &message);
        } else if (rows->items[k].status == HTOK_TOKEN_STATUS_REVOKED) {
            worst = EXIT_FALSE;
            if (t->form == FORM_TEXT) {
                add_printable(&out, view_of(t->ids[i]));
                add_text(&out, " would not be revoked: it is already\n");
            }
        } else {
            chosen.items[chosen.count++] = rows->items[k];
            if (t->form == FORM_TEXT) {
                add_printable(&out, view_of(t->ids[i]));
                add_text(&out, " would be revoked: ");
                add_printable(&out, row_view(rows, &rows->items[k], FIELD_NAME));
                add_text(&out, "\n");
            }
        }
    }
    out.failed = out.failed || !chosen.items;
    chosen.text = rows->text;
    if (code == EXIT_DONE) {
        if (t->form == FORM_JSON && chosen.items) {
            add_rows(t, &chosen, &out);
        }
        code = write_result(t, &out, 200);
    }
    free(chosen.items);
    buffer_free(&out);
    return code != EXIT_DONE ? code : worst;
}

static int confirm_revoke(struct tool *t, const struct rows *rows, const struct row *named)
{
    struct buffer question = {NULL, 0, 0, false};
    size_t i;
    add_text(&question, "Revoke");
    for (i = 0; i < t->id_count; i++) {
        add_text(&question, t->id_count == 1 ? " " : "\n  ");
        add_printable(&question, view_of(t->ids[i]));
    }
    if (named) {
        add_text(&question, " (");
        add_printable(&question, row_view(rows, named, FIELD_NAME));
        add_text(&question, ")");
    }
    add_text(&question, t->id_count == 1 ? " for good?" : "\nfor good?");
    return confirm(t, &question);
}

/* Writes each answer as it comes: what was dealt with before an error stays told. */
static int revoke_all(struct tool *t)
{
    struct buffer out = {NULL, 0, 0, false};
    int code = EXIT_DONE, worst = EXIT_DONE;
    size_t i;
    t->total = t->id_count;
    for (i = 0; i < t->id_count && code == EXIT_DONE; i++) {
        const char *id = t->ids[i];
        bool revoked;
        t->done = i;
        if (htok_revoke_org_token_start(t->client, id, NULL) != HTOK_OK ||
            advance(t, t->client, "revoking") != HTOK_STATE_DONE) {
            code = fail_client(t, htok_client_error(t->client), t->id_count > 1 ? id : NULL, NULL);
            break;
        }
        revoked = htok_client_revoked(t->client);
        worst = revoked ? worst : EXIT_FALSE;
        out.len = 0;
        if (t->form == FORM_JSON) {
            add_text(&out, revoked ? "true\n" : "false\n");
        } else {
            add_printable(&out, view_of(id));
            add_text(&out, revoked ? " revoked\n" : " was not revoked\n");
        }
        if (out.failed) {
            errno = ENOMEM;
        }
        if (out.failed || !write_all(STANDARD_OUTPUT, out.ptr, out.len) ||
            (i + 1 == t->id_count && !close_output())) {
            code = fail_output(t, 200, revoked ? "; revoked: " : "; not revoked: ", view_of(id), "");
        }
    }
    buffer_free(&out);
    return code != EXIT_DONE ? code : worst;
}

static int run_revoke(struct tool *t)
{
    const struct row *named = NULL;
    struct rows rows;
    int code;
    memset(&rows, 0, sizeof rows);
    code = t->values[OPTION_NAME] ? find_named(t, &rows, &named) : check_ids(t);
    if (code == EXIT_DONE && named) {
        t->ids[t->id_count++] = row_text(&rows, named, FIELD_ORG_TOKEN_ID);
        code = check_ids(t);
    }
    if (code == EXIT_DONE && t->values[OPTION_DRY_RUN]) {
        code = revoke_dry(t, &rows, named);
    } else if (code == EXIT_DONE) {
        code = confirm_revoke(t, &rows, named);
        code = code == EXIT_DONE ? revoke_all(t) : code;
    }
    rows_free(&rows);
    return code;
}

/* ---- rotate. -------------------------------------------------------------------------------------------------------- */

/* Names are unique in the organization, so the successor of NAME is NAME-rot2, then NAME-rot3 and so on: NAME itself
   is generation 1. What a run does depends on the list alone, so that a run after any failure starts afresh:

     no generation is active                      nothing is changed, exit 2
     generations are active, G is the highest     1 create G' = 1 + the highest generation, active or not
     of all                                       2 hand its plain text out, on the disk if that is a file
                                                  3 verify it by a list
                                                  4 revoke all older active generations, the caller's own last

   Until 3 has succeeded nothing is revoked. A run that failed before 2 ended leaves a successor that nobody can use
   (revoked at once where only the writing failed); one that failed later leaves two that work. In each case the next
   run hands out one more and revokes both. */

#define GENERATION     "-rot"
#define MAX_GENERATION 999999u

/* The generation of a name in the family, or 0. */
static unsigned generation_of(const char *base, size_t base_len, htok_view name)
{
    size_t at = base_len + strlen(GENERATION);
    unsigned value = 0;
    if (name.len < base_len || memcmp(name.ptr, base, base_len) != 0) {
        return 0;
    }
    if (name.len == base_len) {
        return 1;
    }
    if (name.len <= at || memcmp(name.ptr + base_len, GENERATION, strlen(GENERATION)) != 0 ||
        name.ptr[at] == '0') {
        return 0;
    }
    for (; at < name.len && name.ptr[at] >= '0' && name.ptr[at] <= '9' && value < MAX_GENERATION; at++) {
        value = value * 10 + (unsigned)(name.ptr[at] - '0');
    }
    return at == name.len && value >= 2 && value < MAX_GENERATION ? value : 0;
}

/* The name without the ending of a generation: both ways of naming a token mean the same family. */
static size_t base_length(const char *name)
{
    size_t len = strlen(name), at = len;
    while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9') {
        at--;
    }
    if (at > strlen(GENERATION)) {
        size_t base = at - strlen(GENERATION);
        if (generation_of(name, base, view_of(name)) >= 2) {
            return base;
        }
    }
    return len;
}

static bool is_of_family(const struct tool *t, const htok_org_token *token)
{
    const char *name = t->values[OPTION_NAME];
    return generation_of(name, base_length(name), token->name) != 0;
}

struct rotation {
    const char *base;
    size_t base_len;
    struct rows family;       /* all generations, active or not */
    const struct row *newest; /* the newest active one, whose scopes the successor gets */
    unsigned next;            /* the successor's generation */
    struct buffer name;       /* its name, with a NUL */
    const char **scopes;      /* scope_count, unless admin */
    size_t scope_count;
    bool admin;
    struct buffer id, plain, last_four; /* of the created successor, each with a NUL */
    bool can_list;
};

static void rotation_free(struct rotation *r)
{
    rows_free(&r->family);
    free((void *)r->scopes);
    buffer_free(&r->name);
    buffer_free(&r->id);
    buffer_free(&r->plain);
    buffer_free(&r->last_four);
}

static unsigned row_generation(const struct rotation *r, const struct row *row)
{
    return generation_of(r->base, r->base_len, row_view(&r->family, row, FIELD_NAME));
}

/* The tokens that the successor replaces. */
static bool is_replaced(const struct row *row)
{
    return row->status != HTOK_TOKEN_STATUS_REVOKED;
}

/* Those of --scope, or the same as before; never more. Returns an exit status. */
static int rotation_scopes(struct tool *t, struct rotation *r)
{
    const struct row *old = r->newest;
    const char *scope = row_text(&r->family, old, FIELD_SCOPES);
    bool unfit = old->scopes_form == HTOK_SCOPES_OTHER ||
                 (old->scopes_form == HTOK_SCOPES_LIST && old->scope_count == 0);
    size_t i;
    for (i = 0; i < old->scope_count; i++) {
        unfit = holds_nul(next_scope(&scope)) || unfit;
    }
    scope = row_text(&r->family, old, FIELD_SCOPES);
    if (t->scope_count != 0) {
        r->admin = t->scope_count == 1 && strcmp(t->scopes[0], "admin") == 0;
        r->scope_count = r->admin ? 0 : t->scope_count;
    } else {
        r->admin = old->scopes_form == HTOK_SCOPES_ADMIN;
        r->scope_count = old->scopes_form == HTOK_SCOPES_LIST ? old->scope_count : 0;
        if (unfit) {
            struct buffer message = {NULL, 0, 0, false};
            add_for_report(t, &message, row_view(&r->family, old, FIELD_NAME));
            add_text(&message,
                     " has scopes that cannot be asked for again: name the successor's with --scope");
            return refuse(t, &message);
        }
    }
    r->scopes = (const char **)calloc(r->scope_count + 1, sizeof *r->scopes);
    for (i = 0; r->scopes && i < r->scope_count; i++) {
        r->scopes[i] = t->scope_count != 0 ? t->scopes[i] : next_scope(&scope).ptr;
    }
    return r->scopes ? EXIT_DONE : fail_internal(t, "memory cannot be allocated");
}

/* Looks at the family and decides what to create. Returns an exit status. */
static int rotation_plan(struct tool *t, struct rotation *r)
{
    size_t i, width;
    int code = rows_fetch(t, t->client, is_of_family, &r->family, NULL);
    if (code != EXIT_DONE) {
        return code;
    }
    for (i = 0; i < r->family.count; i++) {
        const struct row *row = &r->family.items[i];
        unsigned generation = row_generation(r, row);
        r->next = generation >= r->next ? generation + 1 : r->next;
        code = is_replaced(row) ? check_row_id(t, &r->family, row) : EXIT_DONE;
        if (code != EXIT_DONE) {
            return code;
        }
        if (is_replaced(row) && (!r->newest || generation > row_generation(r, r->newest))) {
            r->newest = row;
        }
    }
    add(&r->name, r->base, r->base_len);
    add_text(&r->name, GENERATION);
    add_number(&r->name, r->next);
    add(&r->name, "", 1);
    if (r->name.failed) {
        return fail_internal(t, "memory cannot be allocated");
    }
    width = characters(r->name.ptr);
    if (!r->newest || width > MAX_NAME_CHARS) {
        struct buffer message = {NULL, 0, 0, false};
        add_text(&message, r->newest ? "the successor's name is longer than 64 characters: "
                                     : "no active token of the organization has the name ");
        add_for_report(t, &message, view_of(r->newest ? r->name.ptr : t->values[OPTION_NAME]));
        return refuse(t, &message);
    }
    return rotation_scopes(t, r);
}

static void add_replaced(const struct rotation *r, struct buffer *out, const char *before, const char *after)
{
    size_t i;
    for (i = 0; i < r->family.count; i++) {
        const struct row *row = &r->family.items[i];
        if (is_replaced(row)) {
            add_text(out, before);
            add_printable(out, row_view(&r->family, row, FIELD_ORG_TOKEN_ID));
            add_text(out, " (");
            add_printable(out, row_view(&r->family, row, FIELD_NAME));
            add_text(out, after);
        }
    }
}

static void add_successor(const struct rotation *r, struct buffer *out, const char *space)
{
    size_t i;
    add_printable(out, view_of(r->name.ptr));
    add_text(out, " with the scopes");
    add_text(out, space);
    add_text(out, r->scope_count == 0 ? "admin" : "");
    for (i = 0; i < r->scope_count; i++) {
        add_text(out, i != 0 ? "," : "");
        add_printable(out, view_of(r->scopes[i]));
    }
}

static int rotation_dry(struct tool *t, const struct rotation *r)
{
    struct buffer out = {NULL, 0, 0, false};
    struct rows chosen = r->family;
    int code;
    size_t i;
    if (t->form == FORM_JSON) {
        chosen.count = 0;
        for (i = 0; i < r->family.count; i++) {
            if (is_replaced(&r->family.items[i])) {
                chosen.items[chosen.count++] = r->family.items[i];
            }
        }
        add_rows(t, &chosen, &out);
    } else {
        add_text(&out, "would create ");
        add_successor(r, &out, " ");
        add_replaced(r, &out, "\nwould revoke ", ")");
        add_text(&out, "\n");
    }
    code = write_result(t, &out, 200);
    buffer_free(&out);
    return code;
}

static int rotation_confirm(struct tool *t, const struct rotation *r)
{
    struct buffer question = {NULL, 0, 0, false};
    add_text(&question, "Create ");
    add_successor(r, &question, "\n  ");
    add_text(&question, "\nand revoke");
    add_replaced(r, &question, "\n  ", ")");
    add_text(&question, "\nfor good?");
    return confirm(t, &question);
}

/* What an error says of the state that it leaves. */
static void add_standing(const struct tool *t, const struct rotation *r, struct buffer *ending,
                         const char *state)
{
    add_text(ending, "; ");
    add_for_report(t, ending, view_of(r->name.ptr));
    add_text(ending, state);
}

static int rotation_create(struct tool *t, struct rotation *r)
{
    htok_create_org_token_request request;
    const htok_created_org_token *created;
    struct buffer out = {NULL, 0, 0, false}, ending = {NULL, 0, 0, false};
    int code = EXIT_DONE;
    size_t i;
    memset(&request, 0, sizeof request);
    request.name = r->name.ptr;
    request.admin = r->admin;
    request.scopes = r->scopes;
    request.scope_count = r->scope_count;
    if (htok_create_org_token_start(t->client, &request, NULL) != HTOK_OK ||
        advance(t, t->client, "creating") != HTOK_STATE_DONE) {
        if (htok_client_error(t->client)->may_have_taken_effect) {
            add_standing(t, r, &ending, " may exist now, nothing was revoked: run this again");
        } else {
            add_text(&ending, "; nothing was changed");
        }
        code = fail_client(t, htok_client_error(t->client), NULL, &ending);
        buffer_free(&ending);
        return code;
    }
    created = htok_client_created(t->client);
    add_view(&r->id, created->org_token.org_token_id);
    add_view(&r->plain, created->plain_text_token);
    add_view(&r->last_four, created->org_token.last_four_chars_of_key);
    add(&r->id, "", 1);
    add(&r->plain, "", 1);
    add(&r->last_four, "", 1);
    r->can_list = created->org_token.scopes_form == HTOK_SCOPES_ABSENT ||
                  created->org_token.scopes_form == HTOK_SCOPES_ADMIN;
    for (i = 0; i < created->org_token.scope_count; i++) {
        htok_view scope = created->org_token.scopes[i];
        r->can_list = r->can_list || equals(scope.ptr, scope.len, "tokens:read") ||
                      equals(scope.ptr, scope.len, "tokens:read-write");
    }
    add_created(t, &out, created);
    out.failed = out.failed || r->id.failed || r->plain.failed || r->last_four.failed;
    if (!write_secret(&out)) {
        int error = errno;
        bool undone = !r->id.failed && strlen(r->id.ptr) + 1 == r->id.len &&
                      htok_revoke_org_token_start(t->client, r->id.ptr, NULL) == HTOK_OK &&
                      advance(t, t->client, "revoking") == HTOK_STATE_DONE && htok_client_revoked(t->client);
        errno = error;
        code = fail_output(t, 201,
                           undone ? "; the successor was revoked again, and nothing else: "
                                  : "; its plain text is lost, nothing was revoked, run this again: ",
                           view_of(r->name.ptr), "");
    } else if (t->form == FORM_TEXT) {
        hint_created(&created->org_token);
    }
    buffer_free(&out);
    htok_client_wipe(t->client);
    return code;
}

/* By a list with the new token, or, where its scopes allow none, by finding it in the caller's list. */
static int rotation_verify(struct tool *t, struct rotation *r)
{
    htok_client_options options_of_successor = t->client_options;
    htok_client *client = NULL;
    struct buffer ending = {NULL, 0, 0, false};
    struct rows now;
    htok_error error;
    int code = EXIT_DONE;
    bool found = false;
    size_t i;
    memset(&now, 0, sizeof now);
    memset(&error, 0, sizeof error);
    add_standing(t, r, &ending, " was handed out but not verified, nothing was revoked: run this again");
    options_of_successor.token = r->plain.ptr;
    if (r->can_list && htok_client_create(&client, &options_of_successor, &error) != HTOK_OK) {
        code = fail_client(t, &error, NULL, &ending);
    }
    if (code == EXIT_DONE) {
        code = rows_fetch(t, client ? client : t->client, is_of_family, &now, &ending);
    }
    for (i = 0; code == EXIT_DONE && i < now.count; i++) {
        htok_view id = row_view(&now, &now.items[i], FIELD_ORG_TOKEN_ID);
        htok_view last_four = row_view(&now, &now.items[i], FIELD_LAST_FOUR);
        found = found || (is_replaced(&now.items[i]) && equals(id.ptr, id.len, r->id.ptr) &&
                          equals(last_four.ptr, last_four.len, r->last_four.ptr));
    }
    if (code == EXIT_DONE && !found) {
        struct buffer message = {NULL, 0, 0, false};
        add_text(&message, "the list does not hold the new token as an active one");
        add(&message, ending.ptr, ending.len);
        report(t, HTOK_RESPONSE_VALIDATION_ERROR, 200, &message);
        code = exit_of(HTOK_RESPONSE_VALIDATION_ERROR);
    }
    t->muted = code != EXIT_DONE;
    htok_client_close(client);
    t->muted = false;
    buffer_free(&ending);
    rows_free(&now);
    return code;
}

/* Whether the token may be the one that this call is made with: once it is revoked nothing more can be done. */
static bool may_be_own(const struct tool *t, const struct rotation *r, const struct row *row)
{
    htok_view last_four = row_view(&r->family, row, FIELD_LAST_FOUR);
    size_t len = t->token.len != 0 ? t->token.len - 1 : 0;
    return last_four.len != 0 && last_four.len <= len &&
           memcmp(t->token.ptr + len - last_four.len, last_four.ptr, last_four.len) == 0;
}

static int rotation_revoke(struct tool *t, const struct rotation *r)
{
    int code = EXIT_DONE;
    size_t i, own;
    t->done = t->total = 0;
    for (i = 0; i < r->family.count; i++) {
        t->total += is_replaced(&r->family.items[i]);
    }
    for (own = 0; own < 2; own++) {
        for (i = 0; i < r->family.count && code == EXIT_DONE; i++) {
            const struct row *row = &r->family.items[i];
            if (!is_replaced(row) || may_be_own(t, r, row) != (own == 1)) {
                continue;
            }
            if (htok_revoke_org_token_start(t->client, row_text(&r->family, row, FIELD_ORG_TOKEN_ID), NULL) !=
                    HTOK_OK ||
                advance(t, t->client, "revoking") != HTOK_STATE_DONE) {
                struct buffer ending = {NULL, 0, 0, false};
                add_standing(t, r, &ending, " was handed out and verified: keep it; to revoke ");
                add_for_report(t, &ending, row_view(&r->family, row, FIELD_NAME));
                add_text(&ending, ", revoke ");
                add_for_report(t, &ending, row_view(&r->family, row, FIELD_ORG_TOKEN_ID));
                add_text(&ending, " or run this again");
                code = fail_client(t, htok_client_error(t->client), NULL, &ending);
                buffer_free(&ending);
            } else if (t->form == FORM_TEXT) {
                bool revoked = htok_client_revoked(t->client);
                hint(revoked ? "Revoked " : "", row_view(&r->family, row, FIELD_NAME),
                     revoked ? "." : " was not revoked.");
            }
            t->done++;
        }
    }
    return code;
}

static int run_rotate(struct tool *t)
{
    struct rotation r;
    int code;
    memset(&r, 0, sizeof r);
    r.base = t->values[OPTION_NAME];
    r.base_len = base_length(r.base);
    code = rotation_plan(t, &r);
    if (code == EXIT_DONE && t->values[OPTION_DRY_RUN]) {
        code = rotation_dry(t, &r);
    } else if (code == EXIT_DONE) {
        hint_scopes(t);
        code = rotation_confirm(t, &r);
        code = code == EXIT_DONE ? rotation_create(t, &r) : code;
        code = code == EXIT_DONE ? rotation_verify(t, &r) : code;
        code = code == EXIT_DONE ? rotation_revoke(t, &r) : code;
    }
    rotation_free(&r);
    return code;
}

/* ---- Help, and the whole. ----------------------------------------------------------------------------------------- */

/* Options that few people need: the help names them and the manual page explains them. */
static bool is_rare(enum option_id id)
{
    return strncmp(options[id].name, "--retry-", 8) == 0;
}

static void add_option_names(struct buffer *out, const struct option_row *o)
{
    add_text(out, o->name);
    if (o->argument) {
        add_text(out, " ");
        add_text(out, o->argument);
    }
}

static int show_help(struct tool *t)
{
    struct buffer out = {NULL, 0, 0, false}, word = {NULL, 0, 0, false};
    int code;
    size_t i, column = 0;
    for (i = COMMAND_NONE + 1; i < COMMAND_COUNT; i++) {
        add_text(&out, i == COMMAND_NONE + 1 ? "Usage: hathora-tokens [OPTIONS] "
                                             : "       hathora-tokens [OPTIONS] ");
        add_text(&out, commands[i].name);
        add_text(&out, " ");
        add_text(&out, commands[i].arguments);
        add_text(&out, "\n");
    }
    add_text(&out, "\n");
    for (i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *o = &options[i];
        size_t start = out.len, width;
        char letter[5] = {' ', ' ', ' ', ' ', 0};
        if (is_rare((enum option_id)i)) {
            continue;
        }
        if (o->letter) {
            letter[0] = '-';
            letter[1] = o->letter;
            letter[2] = ',';
        }
        add_text(&out, "  ");
        add_text(&out, letter);
        add_option_names(&out, o);
        width = out.len - start;
        add_spaces(&out, width < 29 ? 29 - width : 1);
        add_text(&out, o->help);
        if (o->variable) {
            add_text(&out, " [");
            add_text(&out, o->variable);
            add_text(&out, "]");
        }
        add_text(&out, "\n");
    }
    add_text(&out, "Also:");
    column = 5;
    for (i = 0; i < OPTION_COUNT; i++) {
        bool rare = is_rare((enum option_id)i);
        if (!rare && !options[i].alias) {
            continue;
        }
        word.len = 0;
        if (rare) {
            add_option_names(&word, &options[i]);
        } else {
            add_text(&word, options[i].alias);
            add_text(&word, " ");
            add_text(&word, options[i].argument);
        }
        if (column + word.len + 2 > 79) {
            add_text(&out, "\n ");
            column = 1;
        }
        add_text(&out, column > 5 ? "  " : " ");
        add(&out, word.ptr, word.len);
        column += word.len + 2;
    }
    add_text(&out, "\n");
    add_text(&out, help_tail);
    out.failed = out.failed || word.failed;
    code = write_result(t, &out, 0);
    buffer_free(&word);
    buffer_free(&out);
    return code;
}

/* The tables for those who make completions and check the manual: a line each, members parted by tabs, - for none. */
static int dump_options(struct tool *t)
{
    struct buffer out = {NULL, 0, 0, false};
    int code;
    size_t i, k;
    for (i = COMMAND_NONE + 1; i < COMMAND_COUNT; i++) {
        add_text(&out, "command\t");
        add_text(&out, commands[i].name);
        add_text(&out, "\t");
        add_text(&out, commands[i].arguments);
        add_text(&out, "\n");
    }
    for (i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *o = &options[i];
        const char *values = values_of((enum option_id)i);
        char letter[3] = {'-', 0, 0};
        letter[1] = o->letter;
        add_text(&out, "option\t");
        add_text(&out, o->name);
        add_text(&out, "\t");
        add_text(&out, o->alias ? o->alias : "-");
        add_text(&out, "\t");
        add_text(&out, letter);
        add_text(&out, "\t");
        add_text(&out, o->argument ? o->argument : "-");
        add_text(&out, "\t");
        add_text(&out, o->variable ? o->variable : "-");
        add_text(&out, "\t");
        for (k = COMMAND_NONE + 1; k < COMMAND_COUNT; k++) {
            if (commands_of((enum option_id)i) & 1u << k) {
                add_text(&out, k != COMMAND_NONE + 1 && out.ptr[out.len - 1] != '\t' ? "," : "");
                add_text(&out, commands[k].name);
            }
        }
        add_text(&out, "\t");
        add_text(&out, values ? values : "-");
        add_text(&out, "\t");
        add_text(&out, o->help);
        add_text(&out, "\n");
    }
    add_text(&out, "values\t<scope>\t");
    for (i = 0; i < sizeof known_scopes / sizeof known_scopes[0]; i++) {
        add_text(&out, i != 0 ? " " : "");
        add_text(&out, known_scopes[i]);
    }
    add_text(&out, "\nvalues\t<key>\t");
    for (i = 0; i < FIELD_PLAIN_TEXT; i++) {
        add_text(&out, i != 0 ? " " : "");
        add_text(&out, field_names[i]);
    }
    add_text(&out, "\nvalues\t<form>\ttext json");
    for (i = 0; i < FIELD_COUNT; i++) {
        add_text(&out, " ");
        add_text(&out, field_names[i]);
        add_text(&out, "Value");
    }
    add_text(&out, "\n");
    code = write_result(t, &out, 0);
    buffer_free(&out);
    return code;
}

static int show_version(struct tool *t)
{
    struct buffer out = {NULL, 0, 0, false};
    int code;
    add_text(&out, VERSION_LINE);
    code = write_result(t, &out, 0);
    buffer_free(&out);
    return code;
}

/* ---- The TLS session's file: it may make a call faster, and never makes one fail. --------------------------------- */

static void session_ignored(struct tool *t, const char *why)
{
    struct buffer line = {NULL, 0, 0, false};
    add_text(&line, "the session file is ignored: ");
    add_text(&line, why);
    add(&line, "", 1);
    if (!line.failed && t->logger.line) {
        log_line(t, line.ptr);
    } else if (!line.failed && !t->muted) {
        hint("Warning: ", view_of(line.ptr), "");
    }
    buffer_free(&line);
}

#ifdef _WIN32

/* A session or an empty file; any other is left alone. Who may read it is up to the folder that it is in. */
static bool read_private_session(struct tool *t, unsigned char *bytes, size_t *len)
{
    int descriptor = open_for_reading(t->values[OPTION_SESSION_FILE]), got;
    *len = 0;
    if (descriptor < 0) {
        if (errno != ENOENT) {
            session_ignored(t, strerror(errno));
        }
        return errno == ENOENT;
    }
    got = _read(descriptor, bytes, HTOK_SESSION_BYTES + 1);
    close_descriptor(descriptor);
    if (got != 0 && (got < 4 || got > HTOK_SESSION_BYTES || memcmp(bytes, "htok", 4) != 0)) {
        session_ignored(t, "it holds something else");
        got = -1;
    }
    *len = got > 0 ? (size_t)got : 0;
    return got >= 0;
}

/* A new file takes the old one's place at once, so that no reader ever sees half of it. */
static bool replace_file(const char *path, const unsigned char *bytes, size_t len)
{
    struct buffer name = {NULL, 0, 0, false};
    wchar_t *to = widen(path), *from;
    int descriptor = -1;
    bool done = false;
    add_text(&name, path);
    add_text(&name, ".");
    add_number(&name, (unsigned)GetCurrentProcessId());
    add(&name, "", 1);
    from = name.failed ? NULL : widen(name.ptr);
    if (to && from) {
        descriptor =
            _wopen(from, _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
    }
    if (descriptor >= 0) {
        done = write_all(descriptor, (const char *)bytes, len);
        done = _close(descriptor) == 0 && done;
        if (done && !MoveFileExW(from, to, MOVEFILE_REPLACE_EXISTING)) {
            errno = EACCES;
            done = false;
        }
        if (!done) {
            int saved = errno;
            (void)_wunlink(from);
            errno = saved;
        }
    }
    buffer_free(&name);
    free(from);
    free(to);
    return done;
}

#else

/* A file that is the user's, that nobody else can read or change, and that is a session or empty. Any other is left
   alone, for reading and for writing: it may be a slip of the pen. */
static bool read_private_session(struct tool *t, unsigned char *bytes, size_t *len)
{
    struct stat about;
    ssize_t got = -1;
    int descriptor =
        open(t->values[OPTION_SESSION_FILE], O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    *len = 0;
    if (descriptor < 0) {
        if (errno != ENOENT) {
            session_ignored(t, strerror(errno));
        }
        return errno == ENOENT;
    }
    if (fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode)) {
        session_ignored(t, "it is no regular file");
    } else if (about.st_uid != geteuid()) {
        session_ignored(t, "it is another user's");
    } else if ((about.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        session_ignored(t, "others may read or change it (chmod 600)");
    } else {
        got = read(descriptor, bytes, HTOK_SESSION_BYTES + 1);
        if (got != 0 && (got < 4 || got > HTOK_SESSION_BYTES || memcmp(bytes, "htok", 4) != 0)) {
            session_ignored(t, "it holds something else");
            got = -1;
        }
    }
    (void)close(descriptor);
    *len = got > 0 ? (size_t)got : 0;
    return got >= 0;
}

/* A new file takes the old one's place at once, so that no reader ever sees half of it. */
static bool replace_file(const char *path, const unsigned char *bytes, size_t len)
{
    struct buffer name = {NULL, 0, 0, false};
    int descriptor = -1;
    bool done = false;
    add_text(&name, path);
    add_text(&name, ".XXXXXX");
    add(&name, "", 1);
    if (!name.failed) {
        descriptor = mkstemp(name.ptr); /* mode 0600 */
    }
    if (descriptor >= 0) {
        done = write_all(descriptor, (const char *)bytes, len);
        done = close(descriptor) == 0 && done && rename(name.ptr, path) == 0;
        if (!done) {
            (void)unlink(name.ptr);
        }
    }
    buffer_free(&name);
    return done;
}

#endif

static void read_session(struct tool *t)
{
    unsigned char bytes[HTOK_SESSION_BYTES + 1];
    size_t len;
    t->session_writable = read_private_session(t, bytes, &len);
    if (len != 0 && htok_client_import_session(t->client, bytes, len) != HTOK_OK) {
        session_ignored(t, htok_reason_text(htok_client_error(t->client)->reason));
    }
    wipe(bytes, sizeof bytes);
}

static void write_session(struct tool *t)
{
    unsigned char bytes[HTOK_SESSION_BYTES];
    size_t len = t->session_writable && !interrupted()
                     ? htok_client_export_session(t->client, bytes, sizeof bytes)
                     : 0;
    if (len != 0 && !replace_file(t->values[OPTION_SESSION_FILE], bytes, len)) {
        session_ignored(t, strerror(errno));
    }
    wipe(bytes, sizeof bytes);
}

static int run(struct tool *t)
{
    htok_error error;
    int code;
    if (t->usage[0] == '\0' && t->values[OPTION_HELP]) {
        return show_help(t);
    }
    if (t->usage[0] == '\0' && t->values[OPTION_VERSION]) {
        return show_version(t);
    }
    read_environment(t);
    read_proxy(t);
    check_command(t);
    t->json_errors = t->values[OPTION_OUTPUT] && strcmp(t->values[OPTION_OUTPUT], "json") == 0;
    read_form(t);
    read_sort(t);
    fill_client_options(t);
    if (t->usage[0] != '\0') {
        return fail_usage(t);
    }
    if (t->values[OPTION_TOKEN_FILE]) {
        code = read_token_file(t);
        if (code != EXIT_DONE) {
            return code;
        }
    }
    if (t->values[OPTION_CERT]) {
        code = read_client_certificate(t);
        if (code != EXIT_DONE) {
            return code;
        }
    }
    t->client_options.token = t->token.ptr;
    if ((t->command == COMMAND_CREATE || t->command == COMMAND_ROTATE) && output_is_closed()) {
        return fail_internal(
            t, "standard output is closed: the new token's plain text would be lost, so nothing "
               "was sent");
    }
    memset(&error, 0, sizeof error);
    if (htok_client_create(&t->client, &t->client_options, &error) != HTOK_OK) {
        return interrupted() ? fail_interrupted(t, "interrupted while reading the trusted certificates")
                             : fail_client(t, &error, NULL, NULL);
    }
    if (t->values[OPTION_SESSION_FILE]) {
        read_session(t);
    }
    code = t->command == COMMAND_LIST     ? run_list(t)
           : t->command == COMMAND_CREATE ? run_create(t)
           : t->command == COMMAND_REVOKE ? run_revoke(t)
                                          : run_rotate(t);
    t->muted = true; /* the line of a failure stays the last one */
    if (t->values[OPTION_SESSION_FILE]) {
        write_session(t);
    }
    htok_client_close(t->client);
    return code;
}

int main(int argc, char **argv)
{
    struct tool t;
    int code;
    size_t words;
    memset(&t, 0, sizeof t);
    t.sort = FIELD_COUNT;
    t.started_ms = monotonic_ms();
    if (!system_start(&argc, &argv)) {
        return fail_internal(&t, "the system refuses a pipe, a signal handler or its sockets");
    }
    words = (size_t)argc + 1;
    t.scopes = (const char **)calloc(words, sizeof *t.scopes);
    t.pins = (const char **)calloc(words, sizeof *t.pins);
    t.ids = (const char **)calloc(words, sizeof *t.ids);
    t.headers = (htok_header *)calloc(words, sizeof *t.headers);
    if (t.scopes && t.pins && t.ids && t.headers) {
        if (argc == 2 && strcmp(argv[1], "--dump-options") == 0) {
            code = dump_options(&t);
        } else {
            parse(&t, argc, argv);
            code = run(&t);
        }
    } else {
        code = fail_internal(&t, "memory cannot be allocated");
    }
    buffer_free(&t.token);
    buffer_free(&t.cert);
    buffer_free(&t.key);
    buffer_free(&t.proxy_text);
    free(t.headers);
    free((void *)t.ids);
    free((void *)t.pins);
    free((void *)t.scopes);
    return code;
}
