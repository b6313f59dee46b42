/* hathora-emulator - a stand-in for the Hathora Tokens V1 API on this machine. Public domain or MIT.
   TLS 1.2 by BearSSL's server side, HTTP/1.1 with keep-alive, one thread around poll().
   It shares no code with hathora_tokens.h, so that each checks the other.

   cc -std=c99 -O2 tools/hathora-emulator.c -lbearssl -o build/hathora-emulator

   CONTENTS (search for the tag)      A section uses only sections above it.
     >>limits      what is bounded, and where
     >>bytes       growable text, wiping, UTF-8, numbers
     >>system      what POSIX and Windows do differently: files, sockets, time, signals
     >>random      ids and tokens for the service
     >>json        RFC 8259 check, reading through jsmn, writing
     >>scopes      the Scope strings
     >>store       organizations, tokens, indexes
     >>state       the journal behind --state
     >>keys        certificate chain and private key
     >>self        the throw-away authority of --tls-self
     >>faults      the --fault language
     >>log         one line a request
     >>connection  what is kept for each peer
     >>respond     heads, bodies, streamed lists
     >>service     the three operations
     >>http        request heads and bodies (RFC 9112)
     >>drive       sockets and the TLS engine
     >>serve       listener, poll loop
     >>options     the command line */

#ifdef _WIN32
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0600
#endif
#define _CRT_SECURE_NO_WARNINGS
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#define FD_SETSIZE 1088 /* MAX_CONNECTIONS and a few more */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
/* RtlGenRandom(), which Microsoft's header declares without the calling convention that it has on x86. */
#define SystemFunction036 NTAPI SystemFunction036
#include <ntsecapi.h>
#undef SystemFunction036
#include <shellapi.h>
#include <direct.h>
#include <fcntl.h>
#include <io.h>
#include "narrow.h"
#include <share.h>
#ifdef _MSC_VER
#pragma comment(lib, "ws2_32.lib")
#pragma comment(lib, "advapi32.lib")
#pragma comment(lib, "shell32.lib")
#endif
#else
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#endif
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wpedantic"
#endif
/* Without parent links jsmn needs quadratic time for arrays of objects. */
#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>
#include <bearssl.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* >>limits ----------------------------------------------------------------------------------------------- */

#define EMULATOR_VERSION "0.1.0"
#define DEFAULT_LISTEN   "127.0.0.1:0"
#define DEFAULT_ORG      "org-emulator"
#define DEFAULT_TOKEN    "emulator-dev-token"
#define CREATED_BY       "emulator@example.com"
#define TOKEN_PREFIX     "hathora_org_st_"

enum {
    MAX_CONNECTIONS = 1024,
    MAX_HEAD_BYTES = 65536,
    MAX_BODY_BYTES = 65536,
    MAX_TARGET_BYTES = 8192,
    MAX_METHOD_BYTES = 32,
    MAX_FIELDS = 100,
    MAX_CHUNK_LINE_BYTES = 1024,
    MAX_TRAILER_BYTES = 8192,
    MAX_BLANK_LINES = 8,
    MAX_SEGMENTS = 8,
    MAX_JSON_DEPTH = 64,
    MAX_JSON_VALUES = 4096,
    MAX_NAME_CHARS = 64,
    MAX_SCOPES = 64,
    MAX_ORGS = 64,
    MAX_ORG_BYTES = 256,
    MAX_DEV_TOKENS = 64,
    MAX_FAULTS = 64,
    MAX_TOKENS = 1 << 20,
    MAX_RECORD_BYTES = 16384,
    MAX_STATE_BYTES = 1 << 30,
    MAX_PEM_BYTES = 1 << 20,
    MAX_CHAIN = 16,
    MAX_RSA_BYTES = 512,
    MIN_RSA_BYTES = 128,
    SESSION_CACHE_BYTES = 100 * 1024,
    LIST_PART_BYTES = 32 * 1024,
    LIST_WHOLE_BYTES = 64 * 1024,
    MAX_TURNS = 8,
    MAX_ACCEPTS = 64,
    MAX_IDLE_BYTES = 4096,
    HANDSHAKE_TIMEOUT_MS = 10000,
    REQUEST_TIMEOUT_MS = 15000,
    IDLE_TIMEOUT_MS = 60000,
    WRITE_TIMEOUT_MS = 30000,
    LINGER_TIMEOUT_MS = 1000,
    ACCEPT_PAUSE_MS = 100
};

#define MAX_TIMEOUT_MS 86400000u

/* >>bytes ------------------------------------------------------------------------------------------------ */

struct text {
    char *data;
    size_t len;
    size_t cap;
    bool failed;
};

struct view {
    const char *ptr;
    size_t len;
};

static void wipe(void *memory, size_t bytes)
{
    volatile unsigned char *p = (volatile unsigned char *)memory;
    while (bytes-- != 0) {
        *p++ = 0;
    }
}

static bool text_reserve(struct text *t, size_t extra)
{
    size_t cap = t->cap ? t->cap : 256;
    char *data;
    if (t->failed || extra > SIZE_MAX / 4 || t->len > SIZE_MAX / 4) {
        t->failed = true;
        return false;
    }
    if (t->data != NULL && t->cap - t->len >= extra) {
        return true;
    }
    while (cap - t->len < extra) {
        cap *= 2;
    }
    /* Not realloc, which could leave a copy of a secret behind. */
    data = (char *)malloc(cap);
    if (data == NULL) {
        t->failed = true;
        return false;
    }
    if (t->len != 0) {
        memcpy(data, t->data, t->len);
    }
    if (t->data != NULL) {
        wipe(t->data, t->len);
        free(t->data);
    }
    t->data = data;
    t->cap = cap;
    return true;
}

static void text_add(struct text *t, const void *data, size_t len)
{
    if (len != 0 && text_reserve(t, len)) {
        memcpy(t->data + t->len, data, len);
        t->len += len;
    }
}

static void text_puts(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

static void text_number(struct text *t, uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    text_add(t, digits, (size_t)len);
}

static void text_reset(struct text *t)
{
    if (t->data != NULL) {
        wipe(t->data, t->len);
    }
    t->len = 0;
    t->failed = false;
}

static void text_free(struct text *t)
{
    text_reset(t);
    free(t->data);
    memset(t, 0, sizeof *t);
}

/* Empties it, and keeps no more memory than a waiting connection should hold. */
static void text_shrink(struct text *t)
{
    if (t->cap > MAX_IDLE_BYTES) {
        text_free(t);
    } else {
        text_reset(t);
    }
}

/* Drops the first bytes and wipes what moving the rest leaves behind. */
static void text_drop(struct text *t, size_t bytes)
{
    if (bytes != 0) {
        memmove(t->data, t->data + bytes, t->len - bytes);
        wipe(t->data + t->len - bytes, bytes);
        t->len -= bytes;
    }
}

static struct view view_of(const char *ptr, size_t len)
{
    struct view v;
    v.ptr = ptr;
    v.len = len;
    return v;
}

static struct view text_view(const struct text *t)
{
    return view_of(t->data, t->len);
}

static bool view_is(struct view v, const char *s)
{
    return v.len == strlen(s) && (v.len == 0 || memcmp(v.ptr, s, v.len) == 0);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool view_is_nocase(struct view v, const char *s)
{
    size_t i;
    if (v.len != strlen(s)) {
        return false;
    }
    for (i = 0; i < v.len; i++) {
        if (lower(v.ptr[i]) != lower(s[i])) {
            return false;
        }
    }
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_number(struct view v, uint64_t max, uint64_t *out)
{
    uint64_t n = 0;
    size_t i;
    if (v.len == 0) {
        return false;
    }
    for (i = 0; i < v.len; i++) {
        unsigned digit;
        if (v.ptr[i] < '0' || v.ptr[i] > '9') {
            return false;
        }
        digit = (unsigned)(v.ptr[i] - '0');
        if (n > (max - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *out = n;
    return true;
}

/* Length of the well-formed sequence at p (RFC 3629 section 4), 0 if there is none. */
static size_t utf8_length(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t len, i;
    if (left == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] < 0xC2 || p[0] > 0xF4) {
        return 0;
    }
    len = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (left < len) {
        return 0;
    }
    for (i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
        (p[0] == 0xF4 && p[1] > 0x8F)) {
        return 0;
    }
    return len;
}

static bool utf8_count(const char *p, size_t len, size_t *chars)
{
    size_t i = 0;
    *chars = 0;
    while (i < len) {
        size_t step = utf8_length(p + i, len - i);
        if (step == 0) {
            return false;
        }
        i += step;
        (*chars)++;
    }
    return true;
}

/* Appends the decoded text; false where a % is not followed by two hex digits (RFC 3986 section 2.1). */
static bool percent_decode(struct text *out, struct view v)
{
    size_t i;
    for (i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        if (c == '%') {
            int high = i + 1 < v.len ? hex_value(v.ptr[i + 1]) : -1;
            int low = i + 2 < v.len ? hex_value(v.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        text_add(out, &c, 1);
    }
    return !out->failed;
}

static void sha256(const void *data, size_t len, unsigned char out[32])
{
    br_sha256_context context;
    br_sha256_init(&context);
    br_sha256_update(&context, data, len);
    br_sha256_out(&context, out);
    wipe(&context, sizeof context);
}

/* >>system ----------------------------------------------------------------------------------------------- */

/* All that POSIX and Windows do differently. Paths and arguments are UTF-8. What fails leaves its reason for strerror(errno),
   sockets theirs for socket_error(). A FILE or descriptor moves bytes as they are. */

enum { STANDARD_OUTPUT = 1, STANDARD_ERROR = 2 };
enum accepted { ACCEPTED, ACCEPT_AGAIN, ACCEPT_FULL, ACCEPT_NONE };

#ifdef _WIN32

typedef SOCKET socket_handle;
#define NO_SOCKET      INVALID_SOCKET
#define SHUT_WR        SD_SEND
#define RANDOM_SOURCE  "RtlGenRandom"
#define PATH_SEPARATOR "/\\"
#define WORD_QUOTE     '"'

static wchar_t *widen(const char *text)
{
    int count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *wide = count > 0 ? malloc((size_t)count * sizeof *wide) : NULL;
    if (wide != NULL) {
        MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, count);
    } else {
        errno = EINVAL;
    }
    return wide;
}

static UINT console_code_page; /* that is put back at the end; 0: none */

/* A console is to take UTF-8, and characters whole: what is not kept back comes byte by byte. */
static void console_begin(void)
{
    DWORD mode;
    if (GetConsoleMode(GetStdHandle(STD_OUTPUT_HANDLE), &mode) ||
        GetConsoleMode(GetStdHandle(STD_ERROR_HANDLE), &mode)) {
        console_code_page = GetConsoleOutputCP();
        (void)SetConsoleOutputCP(CP_UTF8);
    }
    (void)setvbuf(stdout, NULL, _IOFBF, 4096);
    (void)setvbuf(stderr, NULL, _IOFBF, 4096);
}

/* Arguments come whole from the system alone; main()'s are in a code page that cannot hold every name. They live until
   the process ends. */
static bool system_begin(int *argc, char ***argv)
{
    WSADATA data;
    int count = 0, i;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **narrowed = wide != NULL ? calloc((size_t)count + 1, sizeof *narrowed) : NULL;
    if (narrowed == NULL || WSAStartup(MAKEWORD(2, 2), &data) != 0) {
        return false;
    }
    for (i = 0; i < count; i++) {
        narrowed[i] = narrow(wide[i]);
        if (narrowed[i] == NULL) {
            return false;
        }
    }
    LocalFree(wide);
    *argc = count;
    *argv = narrowed;
    console_begin();
    return _setmode(STANDARD_OUTPUT, _O_BINARY) != -1 && _setmode(STANDARD_ERROR, _O_BINARY) != -1;
}

static void system_end(void)
{
    fflush(NULL);
    if (console_code_page != 0) {
        (void)SetConsoleOutputCP(console_code_page);
    }
}

static uint64_t clock_ms(void)
{
    return GetTickCount64();
}

static bool wall_clock(time_t *seconds, unsigned *ms)
{
    FILETIME now;
    uint64_t since_1601; /* in 100 ns */
    GetSystemTimeAsFileTime(&now);
    since_1601 = ((uint64_t)now.dwHighDateTime << 32) | now.dwLowDateTime;
    *seconds = (time_t)(since_1601 / 10000000 - 11644473600u);
    *ms = (unsigned)(since_1601 / 10000 % 1000);
    return true;
}

static bool calendar(time_t seconds, struct tm *tm)
{
    return gmtime_s(tm, &seconds) == 0;
}

static bool os_entropy(void *out, size_t len)
{
    return len <= 0x7fffffff && RtlGenRandom(out, (ULONG)len);
}

static FILE *file_to_read(const char *path)
{
    wchar_t *wide = widen(path);
    FILE *file = wide != NULL ? _wfopen(wide, L"rb") : NULL;
    free(wide);
    return file;
}

static FILE *file_to_write(const char *path)
{
    wchar_t *wide = widen(path);
    FILE *file = wide != NULL ? _wfopen(wide, L"wb") : NULL;
    free(wide);
    return file;
}

static void file_remove(const char *path)
{
    wchar_t *wide = widen(path);
    if (wide != NULL) {
        (void)_wunlink(wide);
    }
    free(wide);
}

static void folder_remove(const char *path)
{
    wchar_t *wide = widen(path);
    if (wide != NULL) {
        (void)_wrmdir(wide);
    }
    free(wide);
}

/* Takes the other's place at once. */
static bool file_rename(const char *from, const char *to)
{
    wchar_t *wide_from = widen(from), *wide_to = widen(to);
    bool ok = wide_from != NULL && wide_to != NULL &&
              MoveFileExW(wide_from, wide_to, MOVEFILE_REPLACE_EXISTING) != 0;
    errno = ok ? errno : EACCES;
    free(wide_from);
    free(wide_to);
    return ok;
}

static unsigned process_number(void)
{
    return (unsigned)GetCurrentProcessId();
}

/* A file for this process alone to write, or -1 and why. */
static int file_to_keep(const char *path, int64_t *size, const char **why)
{
    struct _stat64 info;
    wchar_t *wide = widen(path);
    int fd = -1;
    if (wide != NULL) {
        (void)_wsopen_s(&fd, wide, _O_RDWR | _O_CREAT | _O_BINARY | _O_NOINHERIT, _SH_DENYWR,
                        _S_IREAD | _S_IWRITE);
    }
    *why = fd >= 0                                     ? NULL
           : GetLastError() == ERROR_SHARING_VIOLATION ? "in use by another process"
                                                       : strerror(errno);
    free(wide);
    if (fd >= 0 && _fstat64(fd, &info) != 0) {
        *why = strerror(errno);
    } else if (fd >= 0 && (info.st_mode & _S_IFMT) != _S_IFREG) {
        *why = "not a regular file";
    }
    if (fd >= 0 && *why != NULL) {
        _close(fd);
        return -1;
    }
    *size = fd >= 0 ? info.st_size : 0;
    return fd;
}

static long file_read(int fd, void *data, size_t len, int64_t offset)
{
    return _lseeki64(fd, offset, SEEK_SET) == offset ? _read(fd, data, len < 65536 ? (unsigned)len : 65536u)
                                                     : -1;
}

static long file_write(int fd, const void *data, size_t len, int64_t offset)
{
    return _lseeki64(fd, offset, SEEK_SET) == offset ? _write(fd, data, len < 65536 ? (unsigned)len : 65536u)
                                                     : -1;
}

static bool file_cut(int fd, int64_t size)
{
    return _chsize_s(fd, size) == 0;
}

static bool file_sync(int fd)
{
    return _commit(fd) == 0;
}

static void file_close(int fd)
{
    (void)_close(fd);
}

/* Windows writes the folder's entry by itself, and offers no way to wait for it. */
static bool folder_sync(const char *path)
{
    (void)path;
    return true;
}

/* A fresh folder for this user alone, as the system's folder for temporary files is. Its path has / for \, which
   openssl and every shell take. */
static bool folder_temporary(struct text *path)
{
    wchar_t base[MAX_PATH + 1];
    DWORD len = GetTempPathW(MAX_PATH + 1, base);
    char *narrowed = len != 0 && len <= MAX_PATH ? narrow(base) : NULL;
    wchar_t *wide;
    unsigned char random[8];
    char name[40];
    size_t i;
    bool ok;
    if (narrowed == NULL || !os_entropy(random, sizeof random)) {
        free(narrowed);
        errno = ENOENT;
        return false;
    }
    for (i = 0; i < sizeof random; i++) {
        snprintf(name + 2 * i, 3, "%02x", (unsigned)random[i]);
    }
    text_puts(path, narrowed);
    text_puts(path, "hathora-emulator.");
    text_puts(path, name);
    text_add(path, "", 1);
    free(narrowed);
    if (path->failed) {
        return false;
    }
    for (i = 0; path->data[i] != 0; i++) {
        path->data[i] = path->data[i] == '\\' ? '/' : path->data[i];
    }
    wide = widen(path->data);
    ok = wide != NULL && _wmkdir(wide) == 0;
    free(wide);
    return ok;
}

/* One word of a command line, as CommandLineToArgvW() takes it apart; none of ours holds a quote or ends with \. */
static void command_word(struct text *line, const char *word)
{
    text_puts(line, line->len != 0 ? " \"" : "\"");
    text_puts(line, word);
    text_puts(line, "\"");
}

/* Runs a program of the search path to its end, its output appended to the file log: its exit status, 127 when it is
   not there, -1 when it cannot be run. */
static int program_run(const char *const *words, const char *log)
{
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    struct text line = {NULL, 0, 0, false};
    PROCESS_INFORMATION process;
    STARTUPINFOW startup;
    wchar_t *wide = NULL, *wide_log = widen(log);
    DWORD status = (DWORD)-1;
    memset(&startup, 0, sizeof startup);
    startup.cb = sizeof startup;
    startup.dwFlags = STARTF_USESTDHANDLES;
    startup.hStdOutput = wide_log == NULL
                             ? INVALID_HANDLE_VALUE
                             : CreateFileW(wide_log, FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE,
                                           &inherited, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    startup.hStdError = startup.hStdOutput;
    while (*words != NULL) {
        command_word(&line, *words++);
    }
    text_add(&line, "", 1);
    if (startup.hStdOutput != INVALID_HANDLE_VALUE && !line.failed && (wide = widen(line.data)) != NULL) {
        if (CreateProcessW(NULL, wide, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &process)) {
            WaitForSingleObject(process.hProcess, INFINITE);
            GetExitCodeProcess(process.hProcess, &status);
            CloseHandle(process.hThread);
            CloseHandle(process.hProcess);
        } else if (GetLastError() == ERROR_FILE_NOT_FOUND) {
            status = 127;
        }
    }
    if (startup.hStdOutput != INVALID_HANDLE_VALUE) {
        CloseHandle(startup.hStdOutput);
    }
    text_free(&line);
    free(wide);
    free(wide_log);
    return (int)status;
}

/* It may wait for a reader of standard error that stands still: no pipe tells how much fits. */
static bool log_write(const char *line, size_t len)
{
    return _write(STANDARD_ERROR, line, (unsigned)len) == (int)len;
}

static const char *socket_error(void)
{
    static char text[32];
    snprintf(text, sizeof text, "Winsock error %d", WSAGetLastError());
    return text;
}

static bool socket_begin(socket_handle s)
{
    u_long on = 1;
    return ioctlsocket(s, FIONBIO, &on) == 0;
}

/* SO_REUSEADDR would let others take the port away. */
static bool socket_claim(socket_handle s)
{
    BOOL on = TRUE;
    return setsockopt(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (const char *)&on, sizeof on) == 0;
}

static void socket_close(socket_handle s)
{
    (void)closesocket(s);
}

static bool would_block(void)
{
    int error = WSAGetLastError();
    return error == WSAEWOULDBLOCK || error == WSAEINTR;
}

static long socket_send(socket_handle s, const void *data, size_t len)
{
    return send(s, data, len < 0x40000000 ? (int)len : 0x40000000, 0);
}

static long socket_receive(socket_handle s, void *data, size_t len)
{
    return recv(s, data, len < 0x40000000 ? (int)len : 0x40000000, 0);
}

static enum accepted socket_accept(socket_handle listener, socket_handle *s)
{
    *s = accept(listener, NULL, NULL);
    if (*s != NO_SOCKET) {
        return ACCEPTED;
    }
    switch (WSAGetLastError()) {
    case WSAEMFILE:
    case WSAENOBUFS: return ACCEPT_FULL;
    case WSAECONNRESET:
    case WSAEINTR: return ACCEPT_AGAIN;
    default: return ACCEPT_NONE;
    }
}

/* By select(), which is made for more sockets here: WSAPoll() knows no half-closed connection. At least one of them
   is waited for. */
static int socket_poll(struct pollfd *all, size_t count, int timeout_ms)
{
    static fd_set readable, writable;
    struct timeval timeout;
    size_t i;
    int n;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    for (i = 0; i < count; i++) {
        all[i].revents = 0;
        if (all[i].fd != NO_SOCKET && (all[i].events & POLLIN) != 0) {
            FD_SET(all[i].fd, &readable);
        }
        if (all[i].fd != NO_SOCKET && (all[i].events & POLLOUT) != 0) {
            FD_SET(all[i].fd, &writable);
        }
    }
    timeout.tv_sec = timeout_ms / 1000;
    timeout.tv_usec = timeout_ms % 1000 * 1000;
    n = select(0, &readable, &writable, NULL, &timeout);
    for (i = 0; i < count && n > 0; i++) {
        if (all[i].fd != NO_SOCKET) {
            all[i].revents = (short)((FD_ISSET(all[i].fd, &readable) ? POLLIN : 0) |
                                     (FD_ISSET(all[i].fd, &writable) ? POLLOUT : 0));
        }
    }
    return n;
}

static void raise_file_limit(void)
{
}

/* A socket that is connected to itself: the console's events come on a thread of their own. */
static socket_handle signal_end = NO_SOCKET;

static BOOL WINAPI on_console_event(DWORD event)
{
    (void)send(signal_end, "", 1, 0);
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT) {
        Sleep(5000); /* the process ends with this function, or with main() before */
    }
    return TRUE;
}

/* What becomes readable when the end is asked for. */
static bool signals_begin(socket_handle *asked)
{
    struct sockaddr_in address;
    int len = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    signal_end = socket(AF_INET, SOCK_DGRAM, 0);
    *asked = signal_end;
    return signal_end != NO_SOCKET &&
           bind(signal_end, (const struct sockaddr *)&address, sizeof address) == 0 &&
           getsockname(signal_end, (struct sockaddr *)&address, &len) == 0 &&
           connect(signal_end, (const struct sockaddr *)&address, sizeof address) == 0 &&
           socket_begin(signal_end) && SetConsoleCtrlHandler(on_console_event, TRUE);
}

#else

typedef int socket_handle;
#define NO_SOCKET      (-1)
#define RANDOM_SOURCE  "/dev/urandom"
#define PATH_SEPARATOR "/"
#define WORD_QUOTE     '\''

static int urandom_fd = -1;

/* A closed standard descriptor is taken by something that cannot serve in its place: else the pipe of the signals or the
   state file would get its number, and what is printed would be written there. */
static bool system_begin(int *argc, char ***argv)
{
    int fd;
    (void)argc;
    (void)argv;
    for (fd = 0; fd <= STANDARD_ERROR; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
            open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) {
            return false;
        }
    }
    return true;
}

static void system_end(void)
{
    if (urandom_fd >= 0) {
        close(urandom_fd);
    }
}

static uint64_t clock_ms(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool wall_clock(time_t *seconds, unsigned *ms)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return false;
    }
    *seconds = now.tv_sec;
    *ms = (unsigned)(now.tv_nsec / 1000000);
    return true;
}

static bool calendar(time_t seconds, struct tm *tm)
{
    return gmtime_r(&seconds, tm) != NULL;
}

static bool os_entropy(void *out, size_t len)
{
    unsigned char *p = (unsigned char *)out;
    if (urandom_fd < 0) {
        urandom_fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    }
    while (len != 0) {
        ssize_t n = urandom_fd < 0 ? -1 : read(urandom_fd, p, len);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

static FILE *file_to_read(const char *path)
{
    return fopen(path, "rb");
}

static FILE *file_to_write(const char *path)
{
    return fopen(path, "w");
}

static void file_remove(const char *path)
{
    (void)unlink(path);
}

static void folder_remove(const char *path)
{
    (void)rmdir(path);
}

/* Takes the other's place at once. */
static bool file_rename(const char *from, const char *to)
{
    return rename(from, to) == 0;
}

static unsigned process_number(void)
{
    return (unsigned)getpid();
}

/* A file for this process alone to write, or -1 and why. */
static int file_to_keep(const char *path, int64_t *size, const char **why)
{
    struct flock lock;
    struct stat info;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, S_IRUSR | S_IWUSR);
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (fd < 0 || fstat(fd, &info) != 0) {
        *why = strerror(errno);
    } else if (!S_ISREG(info.st_mode)) {
        *why = "not a regular file";
    } else if (fcntl(fd, F_SETLK, &lock) != 0) {
        *why = "in use by another process";
    } else if (fstat(fd, &info) != 0) { /* again: another process may have written until the lock was there */
        *why = strerror(errno);
    } else {
        *size = info.st_size;
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

static long file_read(int fd, void *data, size_t len, int64_t offset)
{
    return (long)pread(fd, data, len, (off_t)offset);
}

static long file_write(int fd, const void *data, size_t len, int64_t offset)
{
    return (long)pwrite(fd, data, len, (off_t)offset);
}

static bool file_cut(int fd, int64_t size)
{
    return ftruncate(fd, (off_t)size) == 0;
}

static bool file_sync(int fd)
{
    return fsync(fd) == 0;
}

static void file_close(int fd)
{
    (void)close(fd);
}

/* The folder that the file is in. */
static bool folder_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir;
    size_t len = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    int fd;
    bool ok;
    dir = (char *)malloc(len + 1);
    if (dir == NULL) {
        return false;
    }
    memcpy(dir, slash == NULL ? "." : path, len);
    dir[len] = 0;
    fd = open(dir, O_RDONLY | O_CLOEXEC);
    free(dir);
    if (fd < 0) {
        return false;
    }
    /* Some file systems cannot sync a directory and say so with EINVAL. */
    ok = fsync(fd) == 0 || errno == EINVAL;
    close(fd);
    return ok;
}

/* A fresh folder for this user alone. */
static bool folder_temporary(struct text *path)
{
    const char *base = getenv("TMPDIR");
    text_puts(path, base != NULL && base[0] == '/' ? base : "/tmp");
    text_puts(path, "/hathora-emulator.XXXXXX");
    text_add(path, "", 1);
    return !path->failed && mkdtemp(path->data) != NULL;
}

/* Runs a program of the search path to its end, its output appended to the file log: its exit status, 127 when it is
   not there, -1 when it cannot be run. */
static int program_run(const char *const *words, const char *log)
{
    int status = 0, fd;
    pid_t pid = fork();
    if (pid == 0) {
        fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (fd < 0 || dup2(fd, STANDARD_OUTPUT) < 0 || dup2(fd, STANDARD_ERROR) < 0) {
            _exit(126);
        }
        /* The words are not changed: execvp() is older than const. */
        execvp(words[0], (char *const *)words);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Never waits: a reader of standard error that stands still must not hold up the connections. poll() tells of
   room only when PIPE_BUF bytes fit, and a line is shorter than that. */
static bool log_write(const char *line, size_t len)
{
    struct pollfd out;
    out.fd = STANDARD_ERROR;
    out.events = POLLOUT;
    out.revents = 0;
    return poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0 &&
           write(STANDARD_ERROR, line, len) == (ssize_t)len;
}

static const char *socket_error(void)
{
    return strerror(errno);
}

/* Not waiting, and not for a program that is run. */
static bool socket_begin(socket_handle s)
{
    int flags = fcntl(s, F_GETFL);
    return flags >= 0 && fcntl(s, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(s, F_SETFD, FD_CLOEXEC) == 0;
}

static bool socket_claim(socket_handle s)
{
    int on = 1;
    return setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
}

static void socket_close(socket_handle s)
{
    (void)close(s);
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static long socket_send(socket_handle s, const void *data, size_t len)
{
    return (long)send(s, data, len, MSG_NOSIGNAL);
}

static long socket_receive(socket_handle s, void *data, size_t len)
{
    return (long)recv(s, data, len, 0);
}

static enum accepted socket_accept(socket_handle listener, socket_handle *s)
{
    *s = accept(listener, NULL, NULL);
    if (*s >= 0) {
        return ACCEPTED;
    }
    switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: return ACCEPT_FULL;
    case ECONNABORTED:
    case EINTR: return ACCEPT_AGAIN;
    default: return ACCEPT_NONE;
    }
}

/* How many are ready, 0 after a signal too. */
static int socket_poll(struct pollfd *all, size_t count, int timeout_ms)
{
    int n = poll(all, (nfds_t)count, timeout_ms);
    if (n < 0 && errno == EINTR) {
        size_t i;
        for (i = 0; i < count; i++) {
            all[i].revents = 0;
        }
        n = 0;
    }
    return n;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < MAX_CONNECTIONS + 64) {
        rlim_t wanted = MAX_CONNECTIONS + 64;
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        /* Without it accepting pauses at the limit. */
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int signal_pipe[2] = {-1, -1};

static void on_signal(int number)
{
    int saved = errno;
    char byte = (char)number;
    ssize_t n = write(signal_pipe[1], &byte, 1);
    (void)n;
    errno = saved;
}

/* What becomes readable when the end is asked for. */
static bool signals_begin(socket_handle *asked)
{
    struct sigaction action, old;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    if (pipe(signal_pipe) != 0 || !socket_begin(signal_pipe[0]) || !socket_begin(signal_pipe[1])) {
        return false;
    }
    *asked = signal_pipe[0];
    action.sa_handler = on_signal;
    if (sigaction(SIGTERM, &action, NULL) != 0 || sigaction(SIGINT, &action, NULL) != 0 ||
        sigaction(SIGHUP, NULL, &old) != 0) {
        return false;
    }
    /* The closing of the terminal, unless nohup holds it off. */
    if (old.sa_handler != SIG_IGN && sigaction(SIGHUP, &action, NULL) != 0) {
        return false;
    }
    action.sa_handler = SIG_IGN;
#ifdef SIGXFSZ
    /* A state file at its size limit is an error of write(), not an end. */
    if (sigaction(SIGXFSZ, &action, NULL) != 0) {
        return false;
    }
#endif
    return sigaction(SIGPIPE, &action, NULL) == 0;
}

#endif

/* RFC 3339 with milliseconds; 24 characters and a NUL. */
static void format_time(char out[25], time_t seconds, unsigned ms)
{
    struct tm tm;
    char date[32] = "1970-01-01T00:00:00";
    if (calendar(seconds, &tm)) {
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    }
    snprintf(out, 25, "%.19s.%03uZ", date, ms % 1000u);
}

/* >>random ----------------------------------------------------------------------------------------------- */

static void random_text(br_hmac_drbg_context *rng, char *out, size_t len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char bytes[64];
    size_t i = 0, at = sizeof bytes;
    while (i < len) {
        if (at == sizeof bytes) {
            br_hmac_drbg_generate(rng, bytes, sizeof bytes);
            at = 0;
        }
        /* 248 is the largest multiple of 62 in a byte: no letter comes up more often. */
        if (bytes[at] < 248) {
            out[i++] = alphabet[bytes[at] % 62];
        }
        at++;
    }
    wipe(bytes, sizeof bytes);
}

/* RFC 9562 section 5.4, 36 characters and a NUL. */
static void random_uuid(br_hmac_drbg_context *rng, char *out)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[16];
    size_t i;
    br_hmac_drbg_generate(rng, bytes, sizeof bytes);
    bytes[6] = (unsigned char)((bytes[6] & 0x0F) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3F) | 0x80);
    for (i = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *out++ = '-';
        }
        *out++ = hex[bytes[i] >> 4];
        *out++ = hex[bytes[i] & 15];
    }
    *out = 0;
}

/* >>json ------------------------------------------------------------------------------------------------- */

/* jsmn only cuts text into tokens and lets much malformed text pass, so the grammar is checked here first. */

static bool json_hex4(const char *p, size_t left, unsigned *out)
{
    unsigned value = 0;
    size_t i;
    if (left < 4) {
        return false;
    }
    for (i = 0; i < 4; i++) {
        int digit = hex_value(p[i]);
        if (digit < 0) {
            return false;
        }
        value = value * 16 + (unsigned)digit;
    }
    *out = value;
    return true;
}

/* Length of the escape at p (a backslash) and its code point; 0 if malformed. Lone surrogates are malformed:
   RFC 8259 section 8.2 leaves their meaning open. */
static size_t json_escape(const char *p, size_t left, unsigned long *code)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    unsigned high, low;
    const char *found;
    if (left < 2 || p[1] == 0) {
        return 0;
    }
    found = strchr(from, p[1]);
    if (found != NULL) {
        *code = (unsigned char)to[found - from];
        return 2;
    }
    if (p[1] != 'u' || !json_hex4(p + 2, left - 2, &high)) {
        return 0;
    }
    *code = high;
    if (high < 0xD800 || high > 0xDFFF) {
        return 6;
    }
    if (high > 0xDBFF || left < 12 || p[6] != '\\' || p[7] != 'u' || !json_hex4(p + 8, left - 8, &low) ||
        low < 0xDC00 || low > 0xDFFF) {
        return 0;
    }
    *code = 0x10000UL + ((high - 0xD800UL) << 10) + (low - 0xDC00UL);
    return 12;
}

/* Length of the string at p, quotes included; 0 if malformed. */
static size_t json_string_length(const char *p, size_t left)
{
    size_t i = 1;
    while (i < left && p[i] != '"') {
        unsigned long code;
        size_t step;
        if ((unsigned char)p[i] < 0x20) {
            return 0;
        }
        step = p[i] == '\\' ? json_escape(p + i, left - i, &code) : utf8_length(p + i, left - i);
        if (step == 0) {
            return 0;
        }
        i += step;
    }
    return i < left ? i + 1 : 0;
}

static size_t json_digits(const char *p, size_t left)
{
    size_t i = 0;
    while (i < left && p[i] >= '0' && p[i] <= '9') {
        i++;
    }
    return i;
}

static size_t json_number_length(const char *p, size_t left)
{
    size_t i = 0, digits;
    if (i < left && p[i] == '-') {
        i++;
    }
    digits = json_digits(p + i, left - i);
    if (digits == 0 || (digits > 1 && p[i] == '0')) {
        return 0;
    }
    i += digits;
    if (i < left && p[i] == '.') {
        i++;
        digits = json_digits(p + i, left - i);
        if (digits == 0) {
            return 0;
        }
        i += digits;
    }
    if (i < left && (p[i] == 'e' || p[i] == 'E')) {
        i++;
        if (i < left && (p[i] == '+' || p[i] == '-')) {
            i++;
        }
        digits = json_digits(p + i, left - i);
        if (digits == 0) {
            return 0;
        }
        i += digits;
    }
    return i;
}

static size_t json_scalar_length(const char *p, size_t left)
{
    static const char *const words[] = {"true", "false", "null"};
    size_t i;
    if (*p == '"') {
        return json_string_length(p, left);
    }
    for (i = 0; i < 3; i++) {
        size_t len = strlen(words[i]);
        if (left >= len && memcmp(p, words[i], len) == 0) {
            return len;
        }
    }
    return json_number_length(p, left);
}

static bool json_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool json_valid(const char *p, size_t len)
{
    enum { VALUE, FIRST_VALUE, KEY, FIRST_KEY, COLON, COMMA, END } expect = VALUE;
    char stack[MAX_JSON_DEPTH];
    size_t depth = 0, i = 0, step;
    while (i < len) {
        char c = p[i];
        bool closes = c == '}' || c == ']';
        if (json_blank(c)) {
            i++;
            continue;
        }
        if (closes) {
            bool may =
                expect == COMMA || (c == ']' && expect == FIRST_VALUE) || (c == '}' && expect == FIRST_KEY);
            if (!may || depth == 0 || stack[depth - 1] != (c == '}' ? '{' : '[')) {
                return false;
            }
            depth--;
            expect = depth == 0 ? END : COMMA;
            i++;
            continue;
        }
        switch (expect) {
        case VALUE:
        case FIRST_VALUE:
            if (c == '{' || c == '[') {
                if (depth == sizeof stack) {
                    return false;
                }
                stack[depth++] = c;
                expect = c == '{' ? FIRST_KEY : FIRST_VALUE;
                i++;
                break;
            }
            step = json_scalar_length(p + i, len - i);
            if (step == 0) {
                return false;
            }
            i += step;
            expect = depth == 0 ? END : COMMA;
            break;
        case KEY:
        case FIRST_KEY:
            step = c == '"' ? json_string_length(p + i, len - i) : 0;
            if (step == 0) {
                return false;
            }
            i += step;
            expect = COLON;
            break;
        case COLON:
            if (c != ':') {
                return false;
            }
            expect = VALUE;
            i++;
            break;
        case COMMA:
            if (c != ',') {
                return false;
            }
            expect = stack[depth - 1] == '{' ? KEY : VALUE;
            i++;
            break;
        case END: return false;
        }
    }
    return expect == END;
}

struct json {
    const char *text;
    int count;
    jsmntok_t tokens[MAX_JSON_VALUES];
};

/* NULL, or what is wrong with the text. */
static const char *json_open(struct json *doc, const char *text, size_t len)
{
    jsmn_parser parser;
    doc->text = text;
    doc->count = 0;
    if (!json_valid(text, len)) {
        return "malformed JSON";
    }
    while (json_blank(*text)) {
        text++;
    }
    if (*text != '{') {
        return "the body must be a JSON object";
    }
    jsmn_init(&parser);
    doc->count = jsmn_parse(&parser, doc->text, len, doc->tokens, MAX_JSON_VALUES);
    if (doc->count == JSMN_ERROR_NOMEM) {
        return "the body holds too many values";
    }
    return doc->count > 0 ? NULL : "malformed JSON";
}

static void text_code_point(struct text *out, unsigned long code)
{
    unsigned char b[4];
    size_t len;
    if (code < 0x80) {
        b[0] = (unsigned char)code;
        len = 1;
    } else if (code < 0x800) {
        b[0] = (unsigned char)(0xC0 | (code >> 6));
        b[1] = (unsigned char)(0x80 | (code & 0x3F));
        len = 2;
    } else if (code < 0x10000) {
        b[0] = (unsigned char)(0xE0 | (code >> 12));
        b[1] = (unsigned char)(0x80 | ((code >> 6) & 0x3F));
        b[2] = (unsigned char)(0x80 | (code & 0x3F));
        len = 3;
    } else {
        b[0] = (unsigned char)(0xF0 | (code >> 18));
        b[1] = (unsigned char)(0x80 | ((code >> 12) & 0x3F));
        b[2] = (unsigned char)(0x80 | ((code >> 6) & 0x3F));
        b[3] = (unsigned char)(0x80 | (code & 0x3F));
        len = 4;
    }
    text_add(out, b, len);
}

/* Decodes string token i into out, replacing its content; false if it is no string. */
static bool json_string(const struct json *doc, int i, struct text *out)
{
    const jsmntok_t *token = &doc->tokens[i];
    const char *p = doc->text + token->start;
    size_t left = (size_t)(token->end - token->start);
    text_reset(out);
    if (token->type != JSMN_STRING) {
        return false;
    }
    while (left != 0) {
        unsigned long code;
        size_t step = 1;
        if (*p == '\\') {
            step = json_escape(p, left, &code);
            if (step == 0) {
                return false;
            }
            text_code_point(out, code);
        } else {
            text_add(out, p, 1);
        }
        p += step;
        left -= step;
    }
    return true;
}

/* Whether token i is a string of this ASCII text. */
static bool json_is(const struct json *doc, int i, const char *text)
{
    const jsmntok_t *token = &doc->tokens[i];
    const char *p = doc->text + token->start;
    size_t left = (size_t)(token->end - token->start);
    if (token->type != JSMN_STRING) {
        return false;
    }
    for (; left != 0 && *text != 0; text++) {
        unsigned long code = (unsigned char)*p;
        size_t step = *p == '\\' ? json_escape(p, left, &code) : 1;
        if (step == 0 || code != (unsigned char)*text) {
            return false;
        }
        p += step;
        left -= step;
    }
    return left == 0 && *text == 0;
}

static int json_after(const struct json *doc, int i)
{
    int end = doc->tokens[i].end;
    do {
        i++;
    } while (i < doc->count && doc->tokens[i].start < end);
    return i;
}

/* Token of the member's value in the outermost object, 0 if absent, -1 if it comes twice. */
static int json_member(const struct json *doc, const char *name)
{
    int found = 0, i = 1;
    while (i + 1 < doc->count) {
        if (json_is(doc, i, name)) {
            found = found == 0 ? i + 1 : -1;
        }
        i = json_after(doc, i + 1);
    }
    return found;
}

static void text_json(struct text *out, const char *p, size_t len)
{
    size_t i, plain = 0;
    text_puts(out, "\"");
    for (i = 0; i < len; i++) {
        char escape[8] = {'\\', p[i], 0};
        if ((unsigned char)p[i] >= 0x20 && p[i] != '"' && p[i] != '\\') {
            continue;
        }
        if ((unsigned char)p[i] < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)p[i]);
        }
        text_add(out, p + plain, i - plain);
        text_puts(out, escape);
        plain = i + 1;
    }
    text_add(out, p + plain, len - plain);
    text_puts(out, "\"");
}

/* >>scopes ----------------------------------------------------------------------------------------------- */

static const char *const scope_names[] = {
    "billing:read-write",     "builds:read",          "builds:read-write",       "deployments:read",
    "deployments:read-write", "applications:read",    "applications:read-write", "processes:read",
    "processes:read-write",   "fleets:read",          "fleets:read-write",       "orgs:read",
    "orgs:read-write",        "tokens:read",          "tokens:read-write",       "tickets:read",
    "tickets:read-write",     "load-balancer:access",
};

enum { SCOPE_COUNT = sizeof scope_names / sizeof scope_names[0] };

enum scopes_kind { SCOPES_ABSENT, SCOPES_ADMIN, SCOPES_LIST };

struct scopes {
    enum scopes_kind kind;
    uint8_t count;
    uint8_t index[MAX_SCOPES];
};

/* Token i of the document holds "admin" or an array. NULL, or what is wrong with it. */
static const char *scopes_read(const struct json *doc, int i, struct scopes *out)
{
    static const char wrong[] = "scopes must be \"admin\" or an array of scopes";
    int end, n;
    memset(out, 0, sizeof *out);
    if (json_is(doc, i, "admin")) {
        out->kind = SCOPES_ADMIN;
        return NULL;
    }
    if (doc->tokens[i].type != JSMN_ARRAY) {
        return wrong;
    }
    out->kind = SCOPES_LIST;
    end = json_after(doc, i);
    for (n = i + 1; n < end; n = json_after(doc, n)) {
        uint8_t index = 0;
        while (index < SCOPE_COUNT && !json_is(doc, n, scope_names[index])) {
            index++;
        }
        if (index == SCOPE_COUNT) {
            return "scopes holds something that is no scope";
        }
        if (out->count == MAX_SCOPES) {
            return "scopes holds too many scopes";
        }
        out->index[out->count++] = index;
    }
    return NULL;
}

static void scopes_write(struct text *out, enum scopes_kind kind, const uint8_t *index, size_t count)
{
    size_t i;
    if (kind == SCOPES_ABSENT) {
        return;
    }
    text_puts(out, ",\"scopes\":");
    if (kind == SCOPES_ADMIN) {
        text_puts(out, "\"admin\"");
        return;
    }
    text_puts(out, "[");
    for (i = 0; i < count; i++) {
        text_puts(out, i ? ",\"" : "\"");
        text_puts(out, scope_names[index[i]]);
        text_puts(out, "\"");
    }
    text_puts(out, "]");
}

struct rights {
    bool read;
    bool write;
};

static struct rights scopes_rights(enum scopes_kind kind, const uint8_t *index, size_t count)
{
    struct rights rights = {false, false};
    size_t i;
    if (kind != SCOPES_LIST) {
        rights.read = rights.write = true;
        return rights;
    }
    for (i = 0; i < count; i++) {
        const char *name = scope_names[index[i]];
        rights.write = rights.write || strcmp(name, "tokens:read-write") == 0;
        rights.read = rights.read || rights.write || strcmp(name, "tokens:read") == 0;
    }
    return rights;
}

/* >>store ------------------------------------------------------------------------------------------------ */

enum { ID_BYTES = 46, LAST_BYTES = 4, TIME_BYTES = 24 };

struct token {
    char id[ID_BYTES + 1];
    char last_four[LAST_BYTES + 1];
    char created_at[TIME_BYTES + 1];
    bool revoked;
    uint8_t scopes_kind;
    uint8_t scope_count;
    uint8_t *scopes;
    char *name;
    size_t name_len;
    uint32_t org;
    unsigned char hash[32];
};

struct org {
    char *id;
    size_t len;
    /* Known from the state file only: kept there, but not served. */
    bool served;
};

struct dev_token {
    unsigned char hash[32];
    struct rights rights;
};

struct slot {
    uint32_t hash;
    uint32_t token_plus_1;
};

struct index {
    struct slot *slots;
    size_t cap;
    size_t used;
};

struct store {
    struct org *orgs;
    size_t org_count;
    size_t org_cap;
    struct dev_token dev_tokens[MAX_DEV_TOKENS];
    size_t dev_token_count;
    struct token *tokens;
    size_t count;
    size_t cap;
    struct index by_name;
    struct index by_id;
    struct index by_hash;
};

static uint32_t hash_bytes(uint32_t seed, const void *data, size_t len)
{
    const unsigned char *p = (const unsigned char *)data;
    uint32_t h = 2166136261u ^ (seed * 2654435761u);
    while (len-- != 0) {
        h = (h ^ *p++) * 16777619u;
    }
    h ^= h >> 15;
    return h * 2246822519u;
}

static bool index_grow(struct index *index)
{
    size_t cap = index->cap ? index->cap * 2 : 1024, i;
    struct slot *slots = (struct slot *)calloc(cap, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (i = 0; i < index->cap; i++) {
        if (index->slots[i].token_plus_1 != 0) {
            size_t at = index->slots[i].hash & (cap - 1);
            while (slots[at].token_plus_1 != 0) {
                at = (at + 1) & (cap - 1);
            }
            slots[at] = index->slots[i];
        }
    }
    free(index->slots);
    index->slots = slots;
    index->cap = cap;
    return true;
}

static bool index_reserve(struct index *index)
{
    return index->used < index->cap / 2 || index_grow(index);
}

/* Room was reserved before. */
static void index_put(struct index *index, uint32_t hash, size_t token)
{
    size_t at = hash & (index->cap - 1);
    while (index->slots[at].token_plus_1 != 0) {
        at = (at + 1) & (index->cap - 1);
    }
    index->slots[at].hash = hash;
    index->slots[at].token_plus_1 = (uint32_t)token + 1;
    index->used++;
}

/* The next token with this hash, NULL at the end. *at starts at 0 and counts the slots visited. */
static struct token *index_next(const struct store *store, const struct index *index, uint32_t hash,
                                size_t *at)
{
    while (*at < index->cap) {
        const struct slot *slot = &index->slots[(hash + *at) & (index->cap - 1)];
        (*at)++;
        if (slot->token_plus_1 == 0) {
            break;
        }
        if (slot->hash == hash) {
            return &store->tokens[slot->token_plus_1 - 1];
        }
    }
    return NULL;
}

static struct token *store_by_id(const struct store *store, struct view id)
{
    uint32_t hash = hash_bytes(0, id.ptr, id.len);
    size_t at = 0;
    struct token *token;
    while ((token = index_next(store, &store->by_id, hash, &at)) != NULL) {
        if (view_is(id, token->id)) {
            return token;
        }
    }
    return NULL;
}

static struct token *store_by_name(const struct store *store, uint32_t org, struct view name)
{
    uint32_t hash = hash_bytes(org + 1, name.ptr, name.len);
    size_t at = 0;
    struct token *token;
    while ((token = index_next(store, &store->by_name, hash, &at)) != NULL) {
        if (token->org == org && token->name_len == name.len &&
            memcmp(token->name, name.ptr, name.len) == 0) {
            return token;
        }
    }
    return NULL;
}

static struct token *store_by_hash(const struct store *store, const unsigned char hash[32])
{
    uint32_t short_hash = hash_bytes(0, hash, 32);
    size_t at = 0;
    struct token *token;
    while ((token = index_next(store, &store->by_hash, short_hash, &at)) != NULL) {
        if (memcmp(token->hash, hash, 32) == 0) {
            return token;
        }
    }
    return NULL;
}

static struct dev_token *store_dev_token(struct store *store, const unsigned char hash[32])
{
    size_t i;
    for (i = 0; i < store->dev_token_count; i++) {
        if (memcmp(store->dev_tokens[i].hash, hash, 32) == 0) {
            return &store->dev_tokens[i];
        }
    }
    return NULL;
}

/* The organization's number, or -1. */
static int store_org(const struct store *store, struct view id)
{
    size_t i;
    for (i = 0; i < store->org_count; i++) {
        if (store->orgs[i].len == id.len && memcmp(store->orgs[i].id, id.ptr, id.len) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int store_add_org(struct store *store, struct view id, bool served)
{
    int known = store_org(store, id);
    struct org *org;
    if (known >= 0) {
        return known;
    }
    if (served && store->org_count == MAX_ORGS) {
        return -1;
    }
    if (store->org_count == store->org_cap) {
        size_t cap = store->org_cap ? store->org_cap * 2 : 8;
        org = (struct org *)realloc(store->orgs, cap * sizeof *org);
        if (org == NULL) {
            return -1;
        }
        store->orgs = org;
        store->org_cap = cap;
    }
    org = &store->orgs[store->org_count];
    org->id = (char *)malloc(id.len + 1);
    if (org->id == NULL) {
        return -1;
    }
    memcpy(org->id, id.ptr, id.len);
    org->id[id.len] = 0;
    org->len = id.len;
    org->served = served;
    return (int)store->org_count++;
}

/* Everything that can fail in adding a token, so that store_add after a journal write cannot. */
static bool store_prepare(struct store *store)
{
    if (store->count == store->cap) {
        size_t cap = store->cap ? store->cap * 2 : 64;
        struct token *tokens;
        if (store->count >= MAX_TOKENS) {
            return false;
        }
        tokens = (struct token *)realloc(store->tokens, cap * sizeof *tokens);
        if (tokens == NULL) {
            return false;
        }
        store->tokens = tokens;
        store->cap = cap;
    }
    return index_reserve(&store->by_name) && index_reserve(&store->by_id) && index_reserve(&store->by_hash);
}

static void token_free(struct token *token)
{
    free(token->name);
    free(token->scopes);
    wipe(token, sizeof *token);
}

static bool token_fill(struct token *token, uint32_t org, struct view name, const struct scopes *scopes)
{
    token->org = org;
    token->name = (char *)malloc(name.len + 1);
    token->scopes = (uint8_t *)malloc(scopes->count + 1u);
    if (token->name == NULL || token->scopes == NULL) {
        token_free(token);
        return false;
    }
    memcpy(token->name, name.ptr, name.len);
    token->name[name.len] = 0;
    token->name_len = name.len;
    token->scopes_kind = (uint8_t)scopes->kind;
    token->scope_count = scopes->count;
    memcpy(token->scopes, scopes->index, scopes->count);
    return true;
}

static void store_add(struct store *store, const struct token *token)
{
    size_t at = store->count++;
    store->tokens[at] = *token;
    index_put(&store->by_name, hash_bytes(token->org + 1, token->name, token->name_len), at);
    index_put(&store->by_id, hash_bytes(0, token->id, strlen(token->id)), at);
    index_put(&store->by_hash, hash_bytes(0, token->hash, 32), at);
}

static void store_free(struct store *store)
{
    size_t i;
    for (i = 0; i < store->count; i++) {
        token_free(&store->tokens[i]);
    }
    for (i = 0; i < store->org_count; i++) {
        free(store->orgs[i].id);
    }
    free(store->orgs);
    free(store->tokens);
    free(store->by_name.slots);
    free(store->by_id.slots);
    free(store->by_hash.slots);
    wipe(store, sizeof *store);
}

static void token_write(struct text *out, const struct store *store, const struct token *token)
{
    const struct org *org = &store->orgs[token->org];
    text_puts(out, "{\"orgTokenId\":");
    text_json(out, token->id, strlen(token->id));
    text_puts(out, ",\"orgId\":");
    text_json(out, org->id, org->len);
    text_puts(out, ",\"name\":");
    text_json(out, token->name, token->name_len);
    text_puts(out, token->revoked ? ",\"status\":\"revoked\"" : ",\"status\":\"active\"");
    text_puts(out, ",\"lastFourCharsOfKey\":");
    text_json(out, token->last_four, strlen(token->last_four));
    text_puts(out, ",\"createdBy\":\"" CREATED_BY "\",\"createdAt\":");
    text_json(out, token->created_at, strlen(token->created_at));
    scopes_write(out, (enum scopes_kind)token->scopes_kind, token->scopes, token->scope_count);
    text_puts(out, "}");
}

enum { PLAIN_BYTES = sizeof TOKEN_PREFIX - 1 + 43 };

/* A fresh id, plain text, its hash and last four characters. A seed may bring up what the state file already
   holds, hence the loop. */
static void token_invent(const struct store *store, br_hmac_drbg_context *rng, struct token *token,
                         char plain[PLAIN_BYTES + 1])
{
    do {
        memcpy(token->id, "org-token-", 10);
        random_uuid(rng, token->id + 10);
        memcpy(plain, TOKEN_PREFIX, sizeof TOKEN_PREFIX - 1);
        random_text(rng, plain + sizeof TOKEN_PREFIX - 1, 43);
        plain[PLAIN_BYTES] = 0;
        sha256(plain, PLAIN_BYTES, token->hash);
    } while (store_by_id(store, view_of(token->id, ID_BYTES)) != NULL ||
             store_by_hash(store, token->hash) != NULL);
    memcpy(token->last_four, plain + PLAIN_BYTES - LAST_BYTES, LAST_BYTES + 1);
}

/* >>state ------------------------------------------------------------------------------------------------ */

/* An append-only journal: a head line, then lines of 16 hex digits (the start of the SHA-256 of what follows),
   a blank and a JSON object. A line is on the disk before its request is answered, so only the last line can be
   torn, and that one was never acknowledged. */

#define STATE_HEAD "hathora-emulator state 1\n"

struct state {
    int fd;
    const char *path;
    int64_t size;
    /* Set when the file could not be brought back to its last good length. */
    bool broken;
};

static void state_line(struct text *out, const char *json, size_t len)
{
    unsigned char hash[32];
    char hex[20];
    size_t i;
    sha256(json, len, hash);
    for (i = 0; i < 8; i++) {
        snprintf(hex + 2 * i, 3, "%02x", (unsigned)hash[i]);
    }
    hex[16] = ' ';
    text_add(out, hex, 17);
    text_add(out, json, len);
    text_puts(out, "\n");
}

static void state_record_create(struct text *out, const struct store *store, const struct token *token)
{
    struct text json = {NULL, 0, 0, false};
    char hex[72];
    size_t i;
    for (i = 0; i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", (unsigned)token->hash[i]);
    }
    text_puts(&json, "{\"op\":\"create\",\"orgId\":");
    text_json(&json, store->orgs[token->org].id, store->orgs[token->org].len);
    text_puts(&json, ",\"orgTokenId\":");
    text_json(&json, token->id, strlen(token->id));
    text_puts(&json, ",\"name\":");
    text_json(&json, token->name, token->name_len);
    text_puts(&json, ",\"lastFourCharsOfKey\":");
    text_json(&json, token->last_four, strlen(token->last_four));
    text_puts(&json, ",\"createdAt\":");
    text_json(&json, token->created_at, strlen(token->created_at));
    text_puts(&json, ",\"sha256\":");
    text_json(&json, hex, 64);
    scopes_write(&json, (enum scopes_kind)token->scopes_kind, token->scopes, token->scope_count);
    text_puts(&json, "}");
    out->failed = out->failed || json.failed;
    if (!out->failed) {
        state_line(out, json.data, json.len);
    }
    text_free(&json);
}

static void state_record_revoke(struct text *out, const struct token *token)
{
    struct text json = {NULL, 0, 0, false};
    text_puts(&json, "{\"op\":\"revoke\",\"orgTokenId\":");
    text_json(&json, token->id, strlen(token->id));
    text_puts(&json, "}");
    out->failed = out->failed || json.failed;
    if (!out->failed) {
        state_line(out, json.data, json.len);
    }
    text_free(&json);
}

static bool write_all(int fd, const char *data, size_t len, int64_t offset)
{
    while (len != 0) {
        long n = file_write(fd, data, len, offset);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
            offset += n;
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* On the disk when it returns true; not in the file when it returns false. */
static bool state_append(struct state *state, const struct text *lines)
{
    if (state->fd < 0) {
        return true;
    }
    if (state->broken || lines->failed) {
        return false;
    }
    if (!write_all(state->fd, lines->data, lines->len, state->size) || !file_sync(state->fd)) {
        state->broken = !file_cut(state->fd, state->size) || !file_sync(state->fd);
        return false;
    }
    state->size += (int64_t)lines->len;
    return true;
}

static bool state_fixed(const struct json *doc, const char *member, char *out, size_t len,
                        struct text *scratch)
{
    int i = json_member(doc, member);
    if (i <= 0 || !json_string(doc, i, scratch) || scratch->len != len ||
        memchr(scratch->data, 0, len) != NULL) {
        return false;
    }
    memcpy(out, scratch->data, len);
    out[len] = 0;
    return true;
}

/* The member's decoded text in out; false if it is not there. */
static bool state_member(const struct json *doc, const char *member, struct text *out, struct view *view)
{
    int i = json_member(doc, member);
    if (i <= 0 || !json_string(doc, i, out) || out->failed || out->len == 0) {
        return false;
    }
    *view = text_view(out);
    return true;
}

static bool state_apply_create(struct store *store, const struct json *doc, struct text *a, struct text *b)
{
    struct token token;
    struct scopes scopes;
    struct view org_id, name;
    char hex[65];
    int org, i;
    size_t n, chars;
    memset(&token, 0, sizeof token);
    memset(&scopes, 0, sizeof scopes);
    if (!state_fixed(doc, "orgTokenId", token.id, ID_BYTES, a) ||
        !state_fixed(doc, "lastFourCharsOfKey", token.last_four, LAST_BYTES, a) ||
        !state_fixed(doc, "createdAt", token.created_at, TIME_BYTES, a) ||
        !state_fixed(doc, "sha256", hex, 64, a) || !state_member(doc, "orgId", a, &org_id) ||
        !state_member(doc, "name", b, &name) || !utf8_count(name.ptr, name.len, &chars) ||
        chars > MAX_NAME_CHARS) {
        return false;
    }
    i = json_member(doc, "scopes");
    if (i < 0 || (i > 0 && scopes_read(doc, i, &scopes) != NULL)) {
        return false;
    }
    for (n = 0; n < 32; n++) {
        int high = hex_value(hex[2 * n]), low = hex_value(hex[2 * n + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        token.hash[n] = (unsigned char)(high * 16 + low);
    }
    org = store_add_org(store, org_id, false);
    if (org < 0 || store_by_name(store, (uint32_t)org, name) != NULL ||
        store_by_hash(store, token.hash) != NULL || store_by_id(store, view_of(token.id, ID_BYTES)) != NULL ||
        !store_prepare(store) || !token_fill(&token, (uint32_t)org, name, &scopes)) {
        return false;
    }
    store_add(store, &token);
    return true;
}

static bool state_apply(struct store *store, struct json *doc, const char *json, size_t len)
{
    struct text a = {NULL, 0, 0, false}, b = {NULL, 0, 0, false};
    struct view op = {NULL, 0}, id;
    bool ok = json_open(doc, json, len) == NULL && state_member(doc, "op", &a, &op);
    if (ok && view_is(op, "create")) {
        ok = state_apply_create(store, doc, &a, &b);
    } else if (ok && view_is(op, "revoke")) {
        struct token *token = state_member(doc, "orgTokenId", &b, &id) ? store_by_id(store, id) : NULL;
        ok = token != NULL && !token->revoked;
        if (ok) {
            token->revoked = true;
        }
    } else {
        ok = false;
    }
    text_free(&a);
    text_free(&b);
    return ok;
}

static bool state_line_sound(const char *line, size_t len)
{
    struct text again = {NULL, 0, 0, false};
    bool sound = false;
    if (len > 17 && len <= MAX_RECORD_BYTES) {
        state_line(&again, line + 17, len - 17);
        sound = !again.failed && memcmp(again.data, line, len) == 0;
    }
    text_free(&again);
    return sound;
}

/* Reads the journal's text. *good is set to the length of what may stay. */
static bool state_replay(struct store *store, struct json *doc, const char *text, size_t len,
                         const char *path, size_t *good)
{
    size_t at = sizeof STATE_HEAD - 1, line_number = 1;
    while (at < len) {
        const char *end = (const char *)memchr(text + at, '\n', len - at);
        size_t line_len = end ? (size_t)(end - (text + at)) : len - at;
        line_number++;
        if (!state_line_sound(text + at, line_len)) {
            if (end == NULL && line_len <= MAX_RECORD_BYTES) {
                fprintf(stderr,
                        "hathora-emulator: %s: dropped %zu bytes of a record that was never finished\n", path,
                        line_len);
                break;
            }
            fprintf(stderr, "hathora-emulator: %s: line %zu is corrupt; the file is left as it is\n", path,
                    line_number);
            return false;
        }
        if (!state_apply(store, doc, text + at + 17, line_len - 17)) {
            fprintf(stderr, "hathora-emulator: %s: line %zu makes no sense; the file is left as it is\n",
                    path, line_number);
            return false;
        }
        at += line_len + (end ? 1 : 0);
        if (end == NULL) {
            break;
        }
    }
    *good = at;
    return true;
}

static bool read_whole(int fd, char *data, size_t len)
{
    size_t at = 0;
    while (at < len) {
        long n = file_read(fd, data + at, len - at, (int64_t)at);
        if (n > 0) {
            at += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* Brings the file to what was understood of it: cuts a torn end, adds a lost last line end or the head line. */
static bool state_mend(struct state *state, const char *text, size_t len, size_t good)
{
    bool ok = true;
    if (good == 0) {
        ok = file_cut(state->fd, 0) && write_all(state->fd, STATE_HEAD, sizeof STATE_HEAD - 1, 0);
        good = sizeof STATE_HEAD - 1;
    } else if (text[good - 1] != '\n') {
        ok = write_all(state->fd, "\n", 1, (int64_t)good);
        good++;
    } else if (good < len) {
        ok = file_cut(state->fd, (int64_t)good);
    }
    state->size = (int64_t)good;
    return ok && file_sync(state->fd) && folder_sync(state->path);
}

static bool state_open(struct state *state, struct store *store, struct json *doc)
{
    const char *why;
    char *text = NULL;
    int64_t size = 0;
    size_t len, good = 0;
    bool ok;
    state->fd = file_to_keep(state->path, &size, &why);
    if (state->fd < 0 || size > MAX_STATE_BYTES) {
        fprintf(stderr, "hathora-emulator: %s: %s\n", state->path,
                state->fd < 0 ? why : "larger than a state file can be");
        return false;
    }
    len = (size_t)size;
    text = (char *)malloc(len + 1);
    if (text == NULL || !read_whole(state->fd, text, len)) {
        fprintf(stderr, "hathora-emulator: %s: cannot be read\n", state->path);
        free(text);
        return false;
    }
    if (len >= sizeof STATE_HEAD - 1 && memcmp(text, STATE_HEAD, sizeof STATE_HEAD - 1) == 0) {
        ok = state_replay(store, doc, text, len, state->path, &good);
    } else {
        ok = len < sizeof STATE_HEAD - 1 && memcmp(text, STATE_HEAD, len) == 0;
        if (!ok) {
            fprintf(stderr, "hathora-emulator: %s: not a state file; it is left as it is\n", state->path);
        }
    }
    if (ok && !state_mend(state, text, len, good)) {
        fprintf(stderr, "hathora-emulator: %s: cannot be written: %s\n", state->path, strerror(errno));
        ok = false;
    }
    free(text);
    return ok;
}

/* >>keys ------------------------------------------------------------------------------------------------- */

struct keys {
    br_x509_certificate chain[MAX_CHAIN];
    size_t chain_len;
    /* The private key's DER; rsa and ec point into it. */
    struct text der;
    bool is_rsa;
    br_rsa_private_key rsa;
    br_ec_private_key ec;
};

static const unsigned char oid_rsa[] = {0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01};
static const unsigned char oid_ec[] = {0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01};
static const unsigned char oid_p256[] = {0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07};
static const unsigned char oid_p384[] = {0x2B, 0x81, 0x04, 0x00, 0x22};
static const unsigned char oid_p521[] = {0x2B, 0x81, 0x04, 0x00, 0x23};

struct der {
    const unsigned char *p;
    size_t left;
};

static bool der_is(struct der value, const unsigned char *bytes, size_t len)
{
    return value.left == len && memcmp(value.p, bytes, len) == 0;
}

/* Takes the next element off *in if it has this tag. Definite lengths in their shortest form only. */
static bool der_next(struct der *in, unsigned tag, struct der *value)
{
    size_t len, head = 2;
    if (in->left < 2 || in->p[0] != tag) {
        return false;
    }
    len = in->p[1];
    if (len >= 0x80) {
        size_t bytes = len & 0x7F, i;
        if (bytes == 0 || bytes > 3 || in->left < 2 + bytes || in->p[2] == 0) {
            return false;
        }
        len = 0;
        for (i = 0; i < bytes; i++) {
            len = len << 8 | in->p[2 + i];
        }
        if (len < 0x80) {
            return false;
        }
        head += bytes;
    }
    if (in->left - head < len) {
        return false;
    }
    value->p = in->p + head;
    value->left = len;
    in->p += head + len;
    in->left -= head + len;
    return true;
}

/* A positive INTEGER without its sign byte. */
static bool der_integer(struct der *in, size_t max_bytes, struct der *value)
{
    if (!der_next(in, 0x02, value) || value->left == 0 || (value->p[0] & 0x80) != 0) {
        return false;
    }
    if (value->p[0] == 0) {
        value->p++;
        value->left--;
    }
    return value->left != 0 && value->p[0] != 0 && value->left <= max_bytes;
}

static bool der_version(struct der *in, unsigned *version)
{
    struct der value;
    if (!der_next(in, 0x02, &value) || value.left != 1 || value.p[0] > 1) {
        return false;
    }
    *version = value.p[0];
    return true;
}

static int der_curve(struct der oid)
{
    if (der_is(oid, oid_p256, sizeof oid_p256)) {
        return BR_EC_secp256r1;
    }
    if (der_is(oid, oid_p384, sizeof oid_p384)) {
        return BR_EC_secp384r1;
    }
    return der_is(oid, oid_p521, sizeof oid_p521) ? BR_EC_secp521r1 : 0;
}

static unsigned char *der_bytes(const struct keys *keys, struct der value)
{
    return (unsigned char *)keys->der.data + (value.p - (const unsigned char *)keys->der.data);
}

/* RFC 8017 appendix A.1.2, after the version. BearSSL 0.6's own decoder checks its buffer wrongly, so the key
   never passes through it; the bounds here are those of its RSA code. */
static const char *key_rsa(struct keys *keys, struct der in)
{
    static const char malformed[] = "malformed RSA key, or one over 4096 bits";
    struct der n, e, d, p, q, dp, dq, iq;
    unsigned top;
    uint32_t bits;
    if (!der_integer(&in, MAX_RSA_BYTES, &n) || !der_integer(&in, MAX_RSA_BYTES, &e) ||
        !der_integer(&in, MAX_RSA_BYTES, &d) || !der_integer(&in, MAX_RSA_BYTES / 2, &p) ||
        !der_integer(&in, MAX_RSA_BYTES / 2, &q) || !der_integer(&in, p.left, &dp) ||
        !der_integer(&in, q.left, &dq) || !der_integer(&in, p.left, &iq) || in.left != 0) {
        return malformed;
    }
    if (n.left < MIN_RSA_BYTES) {
        return "the RSA key has less than 1024 bits";
    }
    if ((n.p[n.left - 1] & 1) == 0 || (p.p[p.left - 1] & 1) == 0 || (q.p[q.left - 1] & 1) == 0) {
        return malformed;
    }
    bits = (uint32_t)(n.left - 1) * 8;
    for (top = n.p[0]; top != 0; top >>= 1) {
        bits++;
    }
    keys->is_rsa = true;
    keys->rsa.n_bitlen = bits;
    keys->rsa.p = der_bytes(keys, p);
    keys->rsa.plen = p.left;
    keys->rsa.q = der_bytes(keys, q);
    keys->rsa.qlen = q.left;
    keys->rsa.dp = der_bytes(keys, dp);
    keys->rsa.dplen = dp.left;
    keys->rsa.dq = der_bytes(keys, dq);
    keys->rsa.dqlen = dq.left;
    keys->rsa.iq = der_bytes(keys, iq);
    keys->rsa.iqlen = iq.left;
    return NULL;
}

/* RFC 5915 section 3, after the version. */
static const char *key_ec(struct keys *keys, struct der in, int curve)
{
    static const char unsupported[] = "not an EC key on P-256, P-384 or P-521";
    struct der x, params, oid;
    const unsigned char *order;
    size_t order_len;
    if (!der_next(&in, 0x04, &x)) {
        return unsupported;
    }
    if (der_next(&in, 0xA0, &params)) {
        int named = der_next(&params, 0x06, &oid) ? der_curve(oid) : 0;
        if (named == 0 || (curve != 0 && curve != named)) {
            return unsupported;
        }
        curve = named;
    }
    if (curve == 0) {
        return unsupported;
    }
    order = br_ec_get_default()->order(curve, &order_len);
    while (x.left > order_len && *x.p == 0) {
        x.p++;
        x.left--;
    }
    if (x.left == 0 || x.left > order_len || (x.left == order_len && memcmp(x.p, order, order_len) >= 0)) {
        return "the EC key is out of range";
    }
    keys->is_rsa = false;
    keys->ec.curve = curve;
    keys->ec.x = der_bytes(keys, x);
    keys->ec.xlen = x.left;
    return NULL;
}

/* PKCS#1, SEC1 or PKCS#8 (RFC 5958 section 2), told apart by what follows the version. */
static const char *key_decode(struct keys *keys)
{
    static const char malformed[] = "malformed private key";
    struct der in, outer, algorithm, oid, params, inner, body;
    unsigned version, inner_version;
    int curve = 0;
    bool is_rsa;
    in.p = (const unsigned char *)keys->der.data;
    in.left = keys->der.len;
    if (!der_next(&in, 0x30, &outer) || in.left != 0 || !der_version(&outer, &version) || outer.left == 0) {
        return malformed;
    }
    if (outer.p[0] == 0x02) {
        return version == 0 ? key_rsa(keys, outer) : "RSA keys of more than two primes are not supported";
    }
    if (outer.p[0] == 0x04) {
        return version == 1 ? key_ec(keys, outer, 0) : malformed;
    }
    if (!der_next(&outer, 0x30, &algorithm) || !der_next(&algorithm, 0x06, &oid) ||
        !der_next(&outer, 0x04, &inner) || !der_next(&inner, 0x30, &body) || inner.left != 0) {
        return malformed;
    }
    is_rsa = der_is(oid, oid_rsa, sizeof oid_rsa);
    if (!is_rsa && !der_is(oid, oid_ec, sizeof oid_ec)) {
        return "neither an RSA key nor an EC key";
    }
    if (!is_rsa && der_next(&algorithm, 0x06, &params)) {
        curve = der_curve(params);
    }
    if (!der_version(&body, &inner_version) || inner_version != (is_rsa ? 0u : 1u)) {
        return malformed;
    }
    return is_rsa ? key_rsa(keys, body) : key_ec(keys, body, curve);
}

/* Signs and verifies once: the only sure way to see that key and certificate belong together. */
static const char *keys_match(const struct keys *keys)
{
    static const char differ[] = "the private key does not belong to the certificate";
    br_x509_decoder_context decoder;
    const br_x509_pkey *public_key;
    unsigned char hash[32], check[32], signature[MAX_RSA_BYTES];
    size_t len;
    br_x509_decoder_init(&decoder, NULL, NULL);
    br_x509_decoder_push(&decoder, keys->chain[0].data, keys->chain[0].data_len);
    public_key = br_x509_decoder_get_pkey(&decoder);
    if (public_key == NULL) {
        return "the first certificate cannot be decoded, or its key is of no supported kind";
    }
    sha256("key check", 9, hash);
    if (keys->is_rsa) {
        len = (keys->rsa.n_bitlen + 7) >> 3;
        if (public_key->key_type != BR_KEYTYPE_RSA || public_key->key.rsa.nlen != len ||
            !br_rsa_pkcs1_sign_get_default()(BR_HASH_OID_SHA256, hash, sizeof hash, &keys->rsa, signature) ||
            !br_rsa_pkcs1_vrfy_get_default()(signature, len, BR_HASH_OID_SHA256, sizeof hash,
                                             &public_key->key.rsa, check) ||
            memcmp(hash, check, sizeof hash) != 0) {
            return differ;
        }
        return NULL;
    }
    if (public_key->key_type != BR_KEYTYPE_EC || public_key->key.ec.curve != keys->ec.curve) {
        return differ;
    }
    len =
        br_ecdsa_sign_asn1_get_default()(br_ec_get_default(), &br_sha256_vtable, hash, &keys->ec, signature);
    if (len == 0 || !br_ecdsa_vrfy_asn1_get_default()(br_ec_get_default(), hash, sizeof hash,
                                                      &public_key->key.ec, signature, len)) {
        return differ;
    }
    return NULL;
}

/* The file's text, without a byte order mark and carriage returns, and with a line end at its end: BearSSL's PEM
   decoder silently skips what differs. */
static const char *pem_read(const char *path, struct text *out)
{
    static char why[128];
    FILE *file = file_to_read(path);
    int c;
    if (file == NULL) {
        snprintf(why, sizeof why, "%s", strerror(errno));
        return why;
    }
    while ((c = getc(file)) != EOF && out->len < MAX_PEM_BYTES && !out->failed) {
        char byte = (char)c;
        if (byte != '\r') {
            text_add(out, &byte, 1);
        }
    }
    if (ferror(file) || c != EOF || out->failed) {
        fclose(file);
        return "cannot be read, or is too large";
    }
    fclose(file);
    text_puts(out, "\n");
    if (!out->failed && out->len >= 3 && memcmp(out->data, "\xEF\xBB\xBF", 3) == 0) {
        text_drop(out, 3);
    }
    return out->failed ? "out of memory" : NULL;
}

static void pem_append(void *context, const void *data, size_t len)
{
    text_add((struct text *)context, data, len);
}

/* Calls take() for each object. NULL, or what is wrong. */
static const char *pem_objects(const struct text *pem,
                               const char *(*take)(struct keys *, const char *, struct text *),
                               struct keys *keys)
{
    br_pem_decoder_context decoder;
    struct text object = {NULL, 0, 0, false};
    const char *error = NULL;
    char name[128] = "";
    size_t at = 0;
    bool inside = false;
    br_pem_decoder_init(&decoder);
    while (error == NULL && at < pem->len) {
        size_t pushed = br_pem_decoder_push(&decoder, pem->data + at, pem->len - at);
        int event = br_pem_decoder_event(&decoder);
        at += pushed;
        if (event == BR_PEM_BEGIN_OBJ) {
            snprintf(name, sizeof name, "%s", br_pem_decoder_name(&decoder));
            text_reset(&object);
            br_pem_decoder_setdest(&decoder, pem_append, &object);
            inside = true;
        } else if (event == BR_PEM_END_OBJ) {
            error = object.failed ? "out of memory" : take(keys, name, &object);
            inside = false;
        } else if (event == BR_PEM_ERROR || pushed == 0) {
            error = "malformed PEM, or an encrypted key";
        }
    }
    if (error == NULL && inside) {
        error = "a PEM object is cut short";
    }
    wipe(&decoder, sizeof decoder);
    text_free(&object);
    return error;
}

static const char *take_certificate(struct keys *keys, const char *name, struct text *object)
{
    unsigned char *copy;
    if (strcmp(name, "CERTIFICATE") != 0 && strcmp(name, "X509 CERTIFICATE") != 0) {
        return NULL;
    }
    if (keys->chain_len == MAX_CHAIN || object->len == 0) {
        return "the chain holds too many certificates or an empty one";
    }
    copy = (unsigned char *)malloc(object->len);
    if (copy == NULL) {
        return "out of memory";
    }
    memcpy(copy, object->data, object->len);
    keys->chain[keys->chain_len].data = copy;
    keys->chain[keys->chain_len].data_len = object->len;
    keys->chain_len++;
    return NULL;
}

static const char *take_key(struct keys *keys, const char *name, struct text *object)
{
    if (strcmp(name, "ENCRYPTED PRIVATE KEY") == 0) {
        return "encrypted keys are not supported";
    }
    if (strcmp(name, "PRIVATE KEY") != 0 && strcmp(name, "RSA PRIVATE KEY") != 0 &&
        strcmp(name, "EC PRIVATE KEY") != 0) {
        return NULL;
    }
    if (keys->der.len != 0) {
        return "holds more than one private key";
    }
    text_add(&keys->der, object->data, object->len);
    return keys->der.failed ? "out of memory" : NULL;
}

static bool keys_load(struct keys *keys, const char *cert_path, const char *key_path)
{
    struct text pem = {NULL, 0, 0, false};
    const char *path = cert_path;
    const char *error = pem_read(cert_path, &pem);
    if (error == NULL) {
        error = pem_objects(&pem, take_certificate, keys);
    }
    if (error == NULL && keys->chain_len == 0) {
        error = "holds no certificate";
    }
    if (error == NULL) {
        path = key_path;
        text_reset(&pem);
        error = pem_read(key_path, &pem);
    }
    if (error == NULL) {
        error = pem_objects(&pem, take_key, keys);
    }
    if (error == NULL) {
        error = keys->der.len == 0 ? "holds no private key" : key_decode(keys);
    }
    if (error == NULL) {
        error = keys_match(keys);
    }
    text_free(&pem);
    if (error != NULL) {
        fprintf(stderr, "hathora-emulator: %s: %s\n", path, error);
    }
    return error == NULL;
}

static void keys_free(struct keys *keys)
{
    size_t i;
    for (i = 0; i < keys->chain_len; i++) {
        free(keys->chain[i].data);
    }
    text_free(&keys->der);
    memset(keys, 0, sizeof *keys);
}

/* >>self ------------------------------------------------------------------------------------------------- */

/* A certificate authority for one run, made by the openssl program: BearSSL makes no certificates. Its key goes as soon
   as it has signed the server's certificate; ca.pem stays for the clients until the end. */

static const char *const self_files[] = {"ca.pem",   "ca.key",   "leaf.pem", "leaf.key",
                                         "leaf.csr", "settings", "log"};

enum { SELF_CA, SELF_CA_KEY, SELF_LEAF, SELF_LEAF_KEY, SELF_REQUEST, SELF_SETTINGS, SELF_LOG, SELF_FILES };

struct self {
    char *folder; /* NULL: none */
    char *paths[SELF_FILES];
};

static void self_remove(struct self *self, size_t from)
{
    size_t i;
    for (i = from; i < SELF_FILES && self->folder != NULL; i++) {
        file_remove(self->paths[i]);
    }
}

static void self_free(struct self *self)
{
    size_t i;
    self_remove(self, 0);
    if (self->folder != NULL) {
        folder_remove(self->folder);
    }
    for (i = 0; i < SELF_FILES; i++) {
        free(self->paths[i]);
    }
    free(self->folder);
    memset(self, 0, sizeof *self);
}

static char *text_string(struct text *t)
{
    text_add(t, "", 1);
    return t->failed ? NULL : t->data;
}

static bool self_folder(struct self *self)
{
    struct text folder = {NULL, 0, 0, false};
    size_t i;
    bool ok = true;
    if (!folder_temporary(&folder)) {
        fprintf(stderr, "hathora-emulator: --tls-self: the folder for its files, %s: %s\n",
                folder.data != NULL ? folder.data : "a temporary one", strerror(errno));
        text_free(&folder);
        return false;
    }
    for (i = 0; i < SELF_FILES; i++) {
        struct text path = {NULL, 0, 0, false};
        text_puts(&path, folder.data);
        text_puts(&path, "/");
        text_puts(&path, self_files[i]);
        self->paths[i] = text_string(&path);
        ok = ok && self->paths[i] != NULL;
    }
    self->folder = folder.data;
    return ok;
}

static bool self_settings(const struct self *self, const char *address)
{
    FILE *file = file_to_write(self->paths[SELF_SETTINGS]);
    if (file != NULL) {
        fprintf(
            file,
            "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = unused\n"
            "[ca]\nbasicConstraints = critical, CA:TRUE, pathlen:0\nkeyUsage = critical, keyCertSign\n"
            "subjectKeyIdentifier = hash\n"
            "[leaf]\nbasicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n"
            "extendedKeyUsage = serverAuth\nsubjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1, IP:%s\n",
            address);
    }
    if (file == NULL || fclose(file) != 0) {
        fprintf(stderr, "hathora-emulator: --tls-self: %s: %s\n", self->paths[SELF_SETTINGS],
                strerror(errno));
        return false;
    }
    return true;
}

/* One run of openssl; its output goes to the log. */
static bool self_run(const struct self *self, const char *const *words)
{
    int status = program_run(words, self->paths[SELF_LOG]);
    if (status == 127) {
        fprintf(stderr,
                "hathora-emulator: --tls-self needs the openssl program; without it give --cert and --key\n");
    } else if (status != 0) {
        fprintf(stderr, "hathora-emulator: --tls-self: openssl %s failed\n", words[1]);
    }
    return status == 0;
}

static bool self_make(struct self *self, const char *address)
{
    const char *const ca = self->paths[SELF_CA], *const ca_key = self->paths[SELF_CA_KEY];
    const char *const leaf = self->paths[SELF_LEAF], *const leaf_key = self->paths[SELF_LEAF_KEY];
    const char *const request = self->paths[SELF_REQUEST], *const settings = self->paths[SELF_SETTINGS];
    const char *const ca_key_words[] = {"openssl", "ecparam", "-name", "prime256v1", "-genkey",
                                        "-noout",  "-out",    ca_key,  NULL};
    const char *const leaf_key_words[] = {"openssl", "ecparam", "-name",  "prime256v1", "-genkey",
                                          "-noout",  "-out",    leaf_key, NULL};
    const char *const ca_words[] = {"openssl",     "req",     "-new",
                                    "-x509",       "-config", settings,
                                    "-extensions", "ca",      "-key",
                                    ca_key,        "-days",   "7",
                                    "-sha256",     "-subj",   "/CN=hathora-emulator throw-away CA",
                                    "-out",        ca,        NULL};
    const char *const request_words[] = {"openssl", "req",    "-new",    "-config", settings,
                                         "-key",    leaf_key, "-sha256", "-subj",   "/CN=localhost",
                                         "-out",    request,  NULL};
    const char *const leaf_words[] = {"openssl",  "x509",   "-req",        "-in",  request, "-CA", ca,
                                      "-CAkey",   ca_key,   "-set_serial", "2",    "-days", "7",   "-sha256",
                                      "-extfile", settings, "-extensions", "leaf", "-out",  leaf,  NULL};
    return self_settings(self, address) && self_run(self, ca_key_words) && self_run(self, ca_words) &&
           self_run(self, leaf_key_words) && self_run(self, request_words) && self_run(self, leaf_words);
}

/* >>faults ----------------------------------------------------------------------------------------------- */

enum operation { OP_NONE = 0, OP_LIST = 1, OP_CREATE = 2, OP_REVOKE = 4, OP_ANY = 7 };

struct fault {
    unsigned operations;
    uint64_t left;
    bool forever;
    int status;
    bool skip;
    uint64_t delay_ms;
    uint64_t drip_ms;
    bool has_cut;
    uint64_t cut;
    bool reset;
    bool empty;
    bool bad_chunk;
    bool until_close;
    bool no_close_notify;
    bool close_notify;
    bool has_wrong_length;
    bool length_too_small;
    uint64_t wrong_length;
    bool has_retry_date;
    uint64_t retry_date_seconds;
    bool has_body;
    bool has_raw;
    struct text fields;
    struct text type;
    struct text body;
    struct text raw;
};

static const char faults_help[] =
    "Faults: --fault ITEM,ITEM... Each request takes the first fault that fits it and is not used up.\n"
    "  op=list|create|revoke|any   which operation it is for (any)\n"
    "  count=N                     for the next N requests (1); 0 for ever\n"
    "  status=N                    answer with this status; the operation is not carried out\n"
    "  skip                        do not carry the operation out (503 unless a status is given)\n"
    "  retry-after=TEXT            add Retry-After\n"
    "  retry-after-date=SECONDS    add Retry-After with the date that many seconds ahead\n"
    "  header=TEXT                 add a header line as it is, as header=X-A:%20b\n"
    "  type=TEXT                   Content-Type of the answer\n"
    "  body=TEXT                   body of the answer\n"
    "  raw=TEXT                    send this instead of an HTTP answer, then close\n"
    "  garbage                     send bytes that are no HTTP, then close\n"
    "  delay=MS                    wait before the answer\n"
    "  drip=MS                     send one byte of the answer each MS\n"
    "  cut=N                       end after N bytes of the answer, without close_notify\n"
    "  empty                       end before any byte of the answer, with close_notify\n"
    "  reset                       end by a TCP reset, at once or after cut=N\n"
    "  wrong-length[=N]            Content-Length N too large (10), or too small for a negative N; then "
    "close\n"
    "  bad-chunk                   chunked, with a chunk size that is none in the middle; then close\n"
    "  until-close                 no length and no chunks: the body ends with the connection\n"
    "  close-notify, no-close-notify   how the connection ends after the answer or the cut\n"
    "TEXT may hold %XX; a comma must be written as %2C. Unless skip or status is given the operation is "
    "carried\n"
    "out, whatever becomes of its answer.\n";

static bool fault_text(struct view value, struct text *out)
{
    text_reset(out);
    return text_reserve(out, 1) && percent_decode(out, value);
}

static bool fault_field(struct fault *f, const char *name, struct view value)
{
    text_puts(&f->fields, name);
    if (!percent_decode(&f->fields, value)) {
        return false;
    }
    text_puts(&f->fields, "\r\n");
    return !f->fields.failed;
}

static bool fault_operation(struct fault *f, struct view value)
{
    static const char *const names[] = {"list", "create", "revoke", "any"};
    static const unsigned masks[] = {OP_LIST, OP_CREATE, OP_REVOKE, OP_ANY};
    size_t i;
    for (i = 0; i < 4; i++) {
        if (view_is(value, names[i])) {
            f->operations = masks[i];
            return true;
        }
    }
    return false;
}

static bool fault_valued(struct fault *f, struct view key, struct view value)
{
    uint64_t n = 0;
    if (view_is(key, "op")) {
        return fault_operation(f, value);
    }
    if (view_is(key, "count")) {
        bool ok = parse_number(value, 1000000000u, &f->left);
        f->forever = f->left == 0;
        return ok;
    }
    if (view_is(key, "status")) {
        bool ok = parse_number(value, 599, &n) && n >= 200;
        f->status = (int)n;
        f->skip = true;
        return ok;
    }
    if (view_is(key, "retry-after")) {
        return fault_field(f, "Retry-After: ", value);
    }
    if (view_is(key, "retry-after-date")) {
        f->has_retry_date = true;
        return parse_number(value, 1000000000u, &f->retry_date_seconds);
    }
    if (view_is(key, "header")) {
        return fault_field(f, "", value);
    }
    if (view_is(key, "type")) {
        return fault_text(value, &f->type) && f->type.len != 0;
    }
    if (view_is(key, "body")) {
        f->has_body = true;
        return fault_text(value, &f->body);
    }
    if (view_is(key, "raw")) {
        f->has_raw = true;
        return fault_text(value, &f->raw);
    }
    if (view_is(key, "delay")) {
        return parse_number(value, MAX_TIMEOUT_MS, &f->delay_ms);
    }
    if (view_is(key, "drip")) {
        return parse_number(value, MAX_TIMEOUT_MS, &f->drip_ms);
    }
    if (view_is(key, "cut")) {
        f->has_cut = true;
        return parse_number(value, UINT64_MAX / 2, &f->cut);
    }
    if (view_is(key, "wrong-length")) {
        f->has_wrong_length = true;
        f->length_too_small = value.len != 0 && value.ptr[0] == '-';
        if (f->length_too_small) {
            value = view_of(value.ptr + 1, value.len - 1);
        }
        return parse_number(value, UINT64_MAX / 4, &f->wrong_length) && f->wrong_length != 0;
    }
    return false;
}

static bool fault_bare(struct fault *f, struct view key)
{
    static const char noise[] =
        "\x16\x03\x03\xFF\xFE garbage \x01\x02\x7F\xC3\x28 no status line here \r\r\n\n";
    if (view_is(key, "skip")) {
        f->skip = true;
    } else if (view_is(key, "garbage")) {
        f->has_raw = true;
        text_reset(&f->raw);
        text_puts(&f->raw, noise);
        return !f->raw.failed;
    } else if (view_is(key, "empty")) {
        f->empty = true;
    } else if (view_is(key, "reset")) {
        f->reset = true;
    } else if (view_is(key, "wrong-length")) {
        f->has_wrong_length = true;
        f->wrong_length = 10;
    } else if (view_is(key, "bad-chunk")) {
        f->bad_chunk = true;
    } else if (view_is(key, "until-close")) {
        f->until_close = true;
    } else if (view_is(key, "close-notify")) {
        f->close_notify = true;
    } else if (view_is(key, "no-close-notify")) {
        f->no_close_notify = true;
    } else {
        return false;
    }
    return true;
}

/* False with *wrong set to the item that is not understood. */
static bool fault_parse(struct fault *f, const char *spec, struct view *wrong)
{
    memset(f, 0, sizeof *f);
    f->operations = OP_ANY;
    f->left = 1;
    for (;;) {
        size_t len = strcspn(spec, ",");
        const char *equals = (const char *)memchr(spec, '=', len);
        struct view key = view_of(spec, equals ? (size_t)(equals - spec) : len);
        bool ok;
        if (equals != NULL) {
            ok = fault_valued(f, key, view_of(equals + 1, len - key.len - 1));
        } else {
            ok = fault_bare(f, key);
        }
        if (!ok) {
            *wrong = view_of(spec, len);
            return false;
        }
        if (spec[len] == 0) {
            return true;
        }
        spec += len + 1;
    }
}

static void fault_free(struct fault *f)
{
    text_free(&f->fields);
    text_free(&f->type);
    text_free(&f->body);
    text_free(&f->raw);
}

/* >>log -------------------------------------------------------------------------------------------------- */

static unsigned long log_dropped;

static void log_line(const char *format, ...)
{
    char line[2048];
    va_list args;
    size_t len;
    int n;
    va_start(args, format);
    n = vsnprintf(line, sizeof line - 64, format, args);
    va_end(args);
    if (n < 0) {
        return;
    }
    len = (size_t)n < sizeof line - 64 ? (size_t)n : sizeof line - 65;
    if (log_dropped != 0) {
        len += (size_t)snprintf(line + len, 48, " (%lu lines lost)", log_dropped);
    }
    line[len++] = '\n';
    if (log_write(line, len)) {
        log_dropped = 0;
    } else {
        log_dropped++;
    }
}

/* >>connection ------------------------------------------------------------------------------------------- */

enum phase {
    PHASE_HANDSHAKE,
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_RESPOND,
    PHASE_CLOSING,
    PHASE_LINGER,
    PHASE_DEAD
};
enum ending { END_KEEP, END_NOTIFY, END_FIN, END_RESET };
enum framing { FRAME_LENGTH, FRAME_CHUNKED, FRAME_UNTIL_CLOSE, FRAME_NONE };
enum body_state { BODY_DONE, BODY_LENGTH, BODY_CHUNK_SIZE, BODY_CHUNK_DATA, BODY_CHUNK_END, BODY_TRAILER };
enum content_type { TYPE_NONE, TYPE_JSON, TYPE_OTHER };

struct request {
    char method[MAX_METHOD_BYTES + 1];
    /* The path's segments, decoded, and where each begins. */
    struct text path;
    size_t segment[MAX_SEGMENTS + 1];
    size_t segments;
    bool http10;
    bool keep_alive;
    bool close; /* asked for */
    bool expects_continue;
    bool has_length;
    bool chunked;
    bool encoded;
    bool has_authorization;
    bool has_bearer;
    unsigned char token_hash[32];
    enum content_type type;
    uint64_t length;
};

struct listing {
    bool active;
    bool first;
    uint32_t org;
    size_t next;
    size_t end;
    enum framing framing;
};

struct connection {
    socket_handle socket;
    enum phase phase;
    enum ending ending;
    /* The peer sends no more. */
    bool eof;
    /* The last turn stopped for fairness, not for lack of work. */
    bool again;
    uint64_t deadline;
    /* 0, or when a paced answer goes on. */
    uint64_t wake;
    struct text in;
    size_t scanned;
    size_t line_start;
    unsigned blank_lines;
    struct request request;
    struct text body;
    enum body_state body_state;
    uint64_t body_left;
    size_t trailer_bytes;
    uint64_t started;
    int status;
    struct text shown_path;
    const struct fault *fault;
    uint64_t respond_at;
    uint64_t drip_at;
    bool limited;
    uint64_t limit;
    struct text out;
    size_t out_sent;
    struct text part;
    struct listing listing;
    br_ssl_server_context tls;
    unsigned char tls_in[BR_SSL_BUFSIZE_INPUT];
    unsigned char tls_out[BR_SSL_BUFSIZE_OUTPUT];
};

struct server {
    struct store store;
    struct state state;
    struct keys keys;
    struct self self;
    struct json json;
    br_hmac_drbg_context rng;
    br_ssl_session_cache_lru cache;
    unsigned char cache_store[SESSION_CACHE_BYTES];
    struct fault faults[MAX_FAULTS];
    size_t fault_count;
    const char *prefix;
    size_t prefix_len;
    uint64_t idle_timeout_ms;
    uint64_t request_timeout_ms;
    bool quiet;
    socket_handle listener;
    socket_handle end_asked;
    uint64_t accept_after;
    struct connection *connections[MAX_CONNECTIONS];
    size_t connection_count;
};

static void connection_free(struct connection *c)
{
    socket_close(c->socket);
    text_free(&c->in);
    text_free(&c->request.path);
    text_free(&c->body);
    text_free(&c->shown_path);
    text_free(&c->out);
    text_free(&c->part);
    wipe(c, sizeof *c);
    free(c);
}

static void request_reset(struct connection *c)
{
    struct text path = c->request.path;
    text_reset(&path);
    memset(&c->request, 0, sizeof c->request);
    c->request.path = path;
    text_shrink(&c->body);
    text_reset(&c->shown_path);
    c->body_state = BODY_DONE;
    c->body_left = 0;
    c->trailer_bytes = 0;
    c->scanned = 0;
    c->line_start = 0;
    c->blank_lines = 0;
    c->fault = NULL;
    c->respond_at = 0;
    c->drip_at = 0;
    c->limited = false;
    c->ending = END_KEEP;
    c->status = 0;
}

static struct view request_segment(const struct request *r, size_t i)
{
    return view_of(r->path.data + r->segment[i], r->segment[i + 1] - r->segment[i]);
}

/* >>respond ---------------------------------------------------------------------------------------------- */

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Status";
    }
}

/* IMF-fixdate, RFC 9110 section 5.6.7. */
static void text_http_date(struct text *out, uint64_t seconds_ahead)
{
    time_t when = time(NULL) + (time_t)seconds_ahead;
    struct tm tm;
    char date[40];
    if (calendar(when, &tm) && strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm) != 0) {
        text_puts(out, date);
    }
}

static void head_write(struct connection *c, int status, const char *extra, enum framing framing,
                       uint64_t length)
{
    const struct fault *f = c->fault;
    struct text *out = &c->out;
    c->status = status;
    text_puts(out, "HTTP/1.1 ");
    text_number(out, (uint64_t)status);
    text_puts(out, " ");
    text_puts(out, reason_phrase(status));
    text_puts(out, "\r\nDate: ");
    text_http_date(out, 0);
    text_puts(out, "\r\nServer: hathora-emulator\r\n");
    if (framing != FRAME_NONE) {
        text_puts(out, "Content-Type: ");
        if (f != NULL && f->type.len != 0) {
            text_add(out, f->type.data, f->type.len);
        } else {
            text_puts(out, "application/json");
        }
        text_puts(out, "\r\n");
    }
    if (framing == FRAME_LENGTH) {
        if (f != NULL && f->has_wrong_length) {
            uint64_t less = length < f->wrong_length ? length : f->wrong_length;
            length = f->length_too_small ? length - less : length + f->wrong_length;
        }
        text_puts(out, "Content-Length: ");
        text_number(out, length);
        text_puts(out, "\r\n");
    } else if (framing == FRAME_CHUNKED) {
        text_puts(out, "Transfer-Encoding: chunked\r\n");
    }
    if (c->ending != END_KEEP) {
        text_puts(out, "Connection: close\r\n");
    } else if (c->request.http10) {
        text_puts(out, "Connection: keep-alive\r\n");
    }
    text_puts(out, extra);
    if (f != NULL) {
        text_add(out, f->fields.data, f->fields.len);
        if (f->has_retry_date) {
            text_puts(out, "Retry-After: ");
            text_http_date(out, f->retry_date_seconds);
            text_puts(out, "\r\n");
        }
    }
    text_puts(out, "\r\n");
}

static void chunk_write(struct text *out, const char *data, size_t len)
{
    char size[24];
    if (len != 0) {
        snprintf(size, sizeof size, "%zx\r\n", len);
        text_puts(out, size);
        text_add(out, data, len);
        text_puts(out, "\r\n");
    }
}

/* A chunk, and then, instead of the next size, something that is none. */
static void chunk_write_bad(struct text *out, const char *data, size_t len)
{
    size_t half = len / 2;
    chunk_write(out, data, half);
    text_puts(out, "zz\r\n");
    text_add(out, data + half, len - half);
    text_puts(out, "\r\n0\r\n\r\n");
}

/* How the connection goes on after this answer; must be known before the head is written. */
static void ending_choose(struct connection *c)
{
    const struct fault *f = c->fault;
    if (!c->request.keep_alive && c->ending == END_KEEP) {
        c->ending = END_NOTIFY;
    }
    if (f != NULL && (f->has_wrong_length || f->bad_chunk || f->until_close || f->has_raw ||
                      f->close_notify || f->no_close_notify)) {
        c->ending = f->no_close_notify ? END_FIN : END_NOTIFY;
    }
}

/* The last touch of a fault, once the answer is in c->out. */
static void ending_spoil(struct connection *c)
{
    const struct fault *f = c->fault;
    if (f == NULL) {
        return;
    }
    if (f->has_raw) {
        text_reset(&c->out);
        text_add(&c->out, f->raw.data, f->raw.len);
        c->listing.active = false;
        c->out_sent = 0;
    }
    if (f->has_cut || f->empty || f->reset) {
        c->limited = true;
        c->limit = f->has_cut ? f->cut : 0;
        c->ending = f->reset ? END_RESET : END_FIN;
        if (f->close_notify || (f->empty && !f->no_close_notify && !f->reset)) {
            c->ending = END_NOTIFY;
        }
    }
}

static void respond_begin(struct connection *c, uint64_t now)
{
    const struct fault *f = c->fault;
    c->phase = PHASE_RESPOND;
    c->respond_at = f != NULL && f->delay_ms != 0 ? now + f->delay_ms : 0;
    c->drip_at = 0;
    c->deadline = now + WRITE_TIMEOUT_MS;
    ending_choose(c);
}

static void respond(struct connection *c, int status, const char *extra, const char *body, size_t len,
                    uint64_t now)
{
    const struct fault *f = c->fault;
    enum framing framing = FRAME_LENGTH;
    if (f != NULL && f->has_body) {
        body = f->body.data;
        len = f->body.len;
    }
    respond_begin(c, now);
    if (status == 204 || status == 304) {
        framing = FRAME_NONE;
        len = 0;
    } else if (f != NULL && f->bad_chunk) {
        framing = FRAME_CHUNKED;
    } else if (f != NULL && f->until_close) {
        framing = FRAME_UNTIL_CLOSE;
    }
    head_write(c, status, extra, framing, len);
    if (strcmp(c->request.method, "HEAD") != 0) {
        if (framing == FRAME_CHUNKED) {
            chunk_write_bad(&c->out, body, len);
        } else {
            text_add(&c->out, body, len);
        }
    }
    ending_spoil(c);
}

static void respond_message(struct connection *c, int status, const char *extra, const char *message,
                            uint64_t now)
{
    struct text body = {NULL, 0, 0, false};
    text_puts(&body, "{\"message\":");
    text_json(&body, message, strlen(message));
    text_puts(&body, "}");
    respond(c, status, extra, body.data, body.failed ? 0 : body.len, now);
    c->out.failed = c->out.failed || body.failed;
    text_free(&body);
}

/* For a request whose end is not known: nothing that follows can be told from it. */
static void respond_refuse(struct connection *c, int status, const char *message, uint64_t now)
{
    c->ending = END_NOTIFY;
    respond_message(c, status, "", message, now);
}

/* Appends tokens to c->part until it holds enough or the list is whole; true when whole. */
static bool listing_fill(const struct store *store, struct connection *c, size_t enough)
{
    struct listing *l = &c->listing;
    if (l->next == 0) {
        text_puts(&c->part, "{\"tokens\":[");
    }
    while (l->next < l->end && c->part.len < enough && !c->part.failed) {
        const struct token *token = &store->tokens[l->next++];
        if (token->org == l->org) {
            text_puts(&c->part, l->first ? "" : ",");
            l->first = false;
            token_write(&c->part, store, token);
        }
    }
    if (l->next < l->end) {
        return false;
    }
    text_puts(&c->part, "]}");
    return true;
}

static uint64_t listing_length(const struct store *store, uint32_t org, size_t end)
{
    struct text scratch = {NULL, 0, 0, false};
    uint64_t total = sizeof "{\"tokens\":[]}" - 1, tokens = 0;
    size_t i;
    for (i = 0; i < end; i++) {
        if (store->tokens[i].org == org) {
            token_write(&scratch, store, &store->tokens[i]);
            total += scratch.len + (tokens++ ? 1 : 0);
            text_reset(&scratch);
        }
    }
    text_free(&scratch);
    return total;
}

/* Moves c->part into c->out under the framing of the list. */
static void listing_emit(struct connection *c, bool last)
{
    bool bad = c->fault != NULL && c->fault->bad_chunk;
    if (c->listing.framing == FRAME_CHUNKED && bad) {
        chunk_write_bad(&c->out, c->part.data, c->part.len);
        last = true;
    } else if (c->listing.framing == FRAME_CHUNKED) {
        chunk_write(&c->out, c->part.data, c->part.len);
        text_puts(&c->out, last ? "0\r\n\r\n" : "");
    } else {
        text_add(&c->out, c->part.data, c->part.len);
    }
    c->out.failed = c->out.failed || c->part.failed;
    text_reset(&c->part);
    c->listing.active = !last;
}

static void respond_list(const struct store *store, struct connection *c, uint32_t org, uint64_t now)
{
    const struct fault *f = c->fault;
    uint64_t length = 0;
    bool whole;
    memset(&c->listing, 0, sizeof c->listing);
    c->listing.first = true;
    c->listing.org = org;
    c->listing.end = store->count;
    text_reset(&c->part);
    whole = listing_fill(store, c, LIST_WHOLE_BYTES);
    if (whole || (f != NULL && f->has_body)) {
        respond(c, 200, "", c->part.data, c->part.failed ? 0 : c->part.len, now);
        c->out.failed = c->out.failed || c->part.failed;
        text_reset(&c->part);
        return;
    }
    c->listing.framing = FRAME_CHUNKED;
    if (f != NULL && f->has_wrong_length) {
        c->listing.framing = FRAME_LENGTH;
        length = listing_length(store, org, store->count);
    } else if (c->request.http10 || (f != NULL && f->until_close)) {
        c->listing.framing = FRAME_UNTIL_CLOSE;
        c->ending = END_NOTIFY;
    }
    respond_begin(c, now);
    head_write(c, 200, "", c->listing.framing, length);
    listing_emit(c, false);
    ending_spoil(c);
}

/* >>service ---------------------------------------------------------------------------------------------- */

struct call {
    enum operation operation;
    const char *allow;
    struct view org;
    struct view token;
};

static bool route(const struct request *r, struct call *call)
{
    memset(call, 0, sizeof *call);
    if (r->segments < 4 || !view_is(request_segment(r, 0), "tokens") ||
        !view_is(request_segment(r, 1), "v1") || !view_is(request_segment(r, 2), "orgs")) {
        return false;
    }
    call->org = request_segment(r, 3);
    call->allow = "POST";
    if (r->segments == 4) {
        call->operation = OP_LIST;
        call->allow = "GET";
    } else if (r->segments == 5 && view_is(request_segment(r, 4), "create")) {
        call->operation = OP_CREATE;
    } else if (r->segments == 7 && view_is(request_segment(r, 4), "tokens") &&
               view_is(request_segment(r, 6), "revoke")) {
        call->operation = OP_REVOKE;
        call->token = request_segment(r, 5);
    }
    return call->operation != OP_NONE;
}

/* NULL, or why the request may not do this. A created token opens its own organization only. */
static const char *authorize(struct server *s, const struct request *r, const struct call *call)
{
    const struct dev_token *dev;
    struct rights rights;
    if (!r->has_authorization) {
        return "the Authorization header is missing";
    }
    if (!r->has_bearer) {
        return "the Authorization header holds no bearer token";
    }
    dev = store_dev_token(&s->store, r->token_hash);
    if (dev != NULL) {
        rights = dev->rights;
    } else {
        const struct token *token = store_by_hash(&s->store, r->token_hash);
        if (token == NULL || token->revoked || (int)token->org != store_org(&s->store, call->org)) {
            return "the token is unknown or revoked";
        }
        rights = scopes_rights((enum scopes_kind)token->scopes_kind, token->scopes, token->scope_count);
    }
    if (call->operation == OP_LIST) {
        return rights.read ? NULL : "the token lacks the scope tokens:read";
    }
    return rights.write ? NULL : "the token lacks the scope tokens:read-write";
}

/* Reads the request body. NULL, or what is wrong with it. */
static const char *create_read(struct server *s, const struct connection *c, struct text *name,
                               struct scopes *scopes)
{
    const char *error =
        c->body.len == 0 ? "the body is missing" : json_open(&s->json, c->body.data, c->body.len);
    size_t chars;
    int i;
    if (error != NULL) {
        return error;
    }
    i = json_member(&s->json, "scopes");
    if (i != 0) {
        error = i < 0 ? "scopes comes twice" : scopes_read(&s->json, i, scopes);
        if (error != NULL) {
            return error;
        }
    }
    i = json_member(&s->json, "name");
    if (i <= 0) {
        return i == 0 ? "name is missing" : "name comes twice";
    }
    if (!json_string(&s->json, i, name)) {
        return "name must be a string";
    }
    if (name->len == 0) {
        return "name must not be empty";
    }
    if (!utf8_count(name->data, name->len, &chars) || chars > MAX_NAME_CHARS) {
        return "name must have at most 64 characters";
    }
    return NULL;
}

static bool state_store_token(struct server *s, const struct token *token)
{
    struct text line = {NULL, 0, 0, false};
    bool ok = true;
    if (s->state.fd >= 0) {
        state_record_create(&line, &s->store, token);
        ok = state_append(&s->state, &line);
        text_free(&line);
    }
    return ok;
}

static void serve_create(struct server *s, struct connection *c, uint32_t org, uint64_t now)
{
    struct text name = {NULL, 0, 0, false}, answer = {NULL, 0, 0, false};
    struct scopes scopes;
    struct token token;
    time_t seconds;
    unsigned ms;
    char plain[PLAIN_BYTES + 1];
    const char *error;
    memset(&scopes, 0, sizeof scopes);
    memset(&token, 0, sizeof token);
    if (c->request.type != TYPE_JSON || c->request.encoded) {
        respond_message(c, 415, "", "the body must be application/json, not encoded", now);
        return;
    }
    error = create_read(s, c, &name, &scopes);
    if (error == NULL && store_by_name(&s->store, org, text_view(&name)) != NULL) {
        error = "the name is already taken in this organization";
    }
    if (error != NULL && !name.failed) {
        respond_message(c, 422, "", error, now);
        text_free(&name);
        return;
    }
    /* All that can fail comes before the journal, so that a written token is always an answered one. */
    if (name.failed || !store_prepare(&s->store) || !text_reserve(&answer, 16384) ||
        !text_reserve(&c->out, 32768) || !wall_clock(&seconds, &ms) ||
        !token_fill(&token, org, text_view(&name), &scopes)) {
        respond_message(c, 500, "", "the emulator has no room for another token", now);
        text_free(&name);
        text_free(&answer);
        return;
    }
    token_invent(&s->store, &s->rng, &token, plain);
    format_time(token.created_at, seconds, ms);
    if (!state_store_token(s, &token)) {
        respond_message(c, 500, "", "the state file cannot be written", now);
        token_free(&token);
    } else {
        store_add(&s->store, &token);
        text_puts(&answer, "{\"plainTextToken\":");
        text_json(&answer, plain, PLAIN_BYTES);
        text_puts(&answer, ",\"orgToken\":");
        token_write(&answer, &s->store, &token);
        text_puts(&answer, "}");
        respond(c, 201, "Cache-Control: no-store\r\n", answer.data, answer.len, now);
    }
    wipe(plain, sizeof plain);
    text_free(&answer);
    text_free(&name);
}

static void serve_revoke(struct server *s, struct connection *c, uint32_t org, struct view id, uint64_t now)
{
    struct token *token = store_by_id(&s->store, id);
    struct text line = {NULL, 0, 0, false};
    if (token == NULL || token->org != org) {
        respond_message(c, 404, "", "the organization has no such token", now);
        return;
    }
    if (token->revoked) {
        respond(c, 200, "", "false", 5, now);
        return;
    }
    if (s->state.fd >= 0) {
        bool ok;
        state_record_revoke(&line, token);
        ok = state_append(&s->state, &line);
        text_free(&line);
        if (!ok) {
            respond_message(c, 500, "", "the state file cannot be written", now);
            return;
        }
    }
    token->revoked = true;
    respond(c, 200, "", "true", 4, now);
}

static const struct fault *fault_take(struct server *s, enum operation operation)
{
    size_t i;
    for (i = 0; i < s->fault_count; i++) {
        struct fault *f = &s->faults[i];
        if ((f->operations & (unsigned)operation) != 0 && (f->forever || f->left != 0)) {
            f->left -= f->left != 0 ? 1 : 0;
            return f;
        }
    }
    return NULL;
}

/* The request is whole: answers it. */
static void serve(struct server *s, struct connection *c, uint64_t now)
{
    struct call call;
    const char *error;
    char allow[32];
    int org;
    if (!route(&c->request, &call)) {
        respond_message(c, 404, "", "there is nothing at this path", now);
        return;
    }
    if (strcmp(c->request.method, call.allow) != 0) {
        snprintf(allow, sizeof allow, "Allow: %s\r\n", call.allow);
        respond_message(c, 405, allow, "the path does not answer to this method", now);
        return;
    }
    c->fault = fault_take(s, call.operation);
    if (c->fault != NULL && c->fault->skip) {
        respond_message(c, c->fault->status ? c->fault->status : 503, "", "a fault was asked for", now);
        return;
    }
    error = authorize(s, &c->request, &call);
    if (error != NULL) {
        respond_message(c, 401, "WWW-Authenticate: Bearer\r\n", error, now);
        return;
    }
    org = store_org(&s->store, call.org);
    if (org < 0 || !s->store.orgs[org].served) {
        respond_message(c, 404, "", "there is no such organization", now);
    } else if (call.operation == OP_LIST) {
        respond_list(&s->store, c, (uint32_t)org, now);
    } else if (call.operation == OP_CREATE) {
        serve_create(s, c, (uint32_t)org, now);
    } else {
        serve_revoke(s, c, (uint32_t)org, call.token, now);
    }
}

/* >>http ------------------------------------------------------------------------------------------------- */

/* A status and a reason for the peer; status 0 is no refusal. */
struct refusal {
    int status;
    const char *why;
};

static struct refusal refuse(int status, const char *why)
{
    struct refusal r;
    r.status = status;
    r.why = why;
    return r;
}

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct view v)
{
    size_t i;
    for (i = 0; i < v.len; i++) {
        if (!is_token_char(v.ptr[i])) {
            return false;
        }
    }
    return v.len != 0;
}

static struct view trim(struct view v)
{
    while (v.len != 0 && (v.ptr[0] == ' ' || v.ptr[0] == '\t')) {
        v.ptr++;
        v.len--;
    }
    while (v.len != 0 && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t')) {
        v.len--;
    }
    return v;
}

/* Takes the part up to the separator off *rest; false when nothing is left. */
static bool split(struct view *rest, char separator, struct view *part)
{
    const char *found;
    if (rest->ptr == NULL) {
        return false;
    }
    found = rest->len ? (const char *)memchr(rest->ptr, separator, rest->len) : NULL;
    *part = view_of(rest->ptr, found ? (size_t)(found - rest->ptr) : rest->len);
    if (found == NULL) {
        *rest = view_of(NULL, 0);
    } else {
        *rest = view_of(found + 1, rest->len - part->len - 1);
    }
    return true;
}

static bool is_secret(struct server *s, struct view v)
{
    unsigned char hash[32];
    if (v.len >= sizeof TOKEN_PREFIX - 1 && memcmp(v.ptr, TOKEN_PREFIX, sizeof TOKEN_PREFIX - 1) == 0) {
        return true;
    }
    sha256(v.ptr, v.len, hash);
    return store_dev_token(&s->store, hash) != NULL;
}

/* The path for the log: without a query, control characters escaped, tokens pasted into it blotted out. */
static void path_show(struct server *s, struct connection *c, struct view path)
{
    struct view segment;
    struct text decoded = {NULL, 0, 0, false};
    bool first = true;
    while (c->shown_path.len < 512 && split(&path, '/', &segment)) {
        size_t i;
        text_puts(&c->shown_path, first ? "" : "/");
        first = false;
        text_reset(&decoded);
        if (percent_decode(&decoded, segment) && is_secret(s, text_view(&decoded))) {
            text_puts(&c->shown_path, "***");
            continue;
        }
        for (i = 0; i < segment.len && c->shown_path.len < 512; i++) {
            char escape[8];
            bool plain = segment.ptr[i] > ' ' && segment.ptr[i] < 0x7F && segment.ptr[i] != '\\';
            snprintf(escape, sizeof escape, plain ? "%c" : "\\x%02x", (unsigned char)segment.ptr[i]);
            text_puts(&c->shown_path, escape);
        }
    }
    text_free(&decoded);
}

static struct refusal path_parse(struct server *s, struct request *r, struct view path)
{
    struct view segment;
    bool is_ours = path.len > s->prefix_len && memcmp(path.ptr, s->prefix, s->prefix_len) == 0 &&
                   path.ptr[s->prefix_len] == '/';
    size_t skipped = is_ours ? s->prefix_len + 1 : 1;
    path = view_of(path.ptr + skipped, path.len - skipped);
    text_reset(&r->path);
    r->segments = 0;
    if (!text_reserve(&r->path, path.len + 1)) {
        return refuse(500, "out of memory");
    }
    while (split(&path, '/', &segment)) {
        size_t start = r->path.len, chars;
        if (!percent_decode(&r->path, segment)) {
            return refuse(400, "the path holds a malformed percent-encoding");
        }
        if (!utf8_count(r->path.data + start, r->path.len - start, &chars)) {
            return refuse(400, "the path is not UTF-8");
        }
        if (r->segments < MAX_SEGMENTS) {
            r->segment[r->segments++] = start;
            r->segment[r->segments] = r->path.len;
        } else {
            is_ours = false;
        }
    }
    if (!is_ours) {
        r->segments = 0;
    }
    return refuse(0, NULL);
}

/* RFC 9112 section 3.2: origin-form, and the absolute-form that a server must understand as well. */
static struct refusal target_parse(struct server *s, struct connection *c, struct view target)
{
    const char *end;
    size_t i;
    if (target.len > MAX_TARGET_BYTES) {
        return refuse(414, "the request target is too long");
    }
    for (i = 0; i < target.len; i++) {
        if (target.ptr[i] <= ' ' || target.ptr[i] >= 0x7F || target.ptr[i] == '#') {
            return refuse(400, "the request target holds a character that must be encoded");
        }
    }
    for (i = 7; i <= 8; i++) {
        if (target.len > i && view_is_nocase(view_of(target.ptr, i), i == 7 ? "http://" : "https://")) {
            target = view_of(target.ptr + i, target.len - i);
            end = (const char *)memchr(target.ptr, '/', target.len);
            target = end ? view_of(end, target.len - (size_t)(end - target.ptr)) : view_of("/", 1);
            break;
        }
    }
    if (target.len == 0 || target.ptr[0] != '/') {
        return refuse(400, "the request target is no path");
    }
    end = (const char *)memchr(target.ptr, '?', target.len);
    if (end != NULL) {
        target.len = (size_t)(end - target.ptr);
    }
    path_show(s, c, target);
    return path_parse(s, &c->request, target);
}

static struct refusal request_line(struct server *s, struct connection *c, struct view line)
{
    struct request *r = &c->request;
    struct view method, target, version;
    if (!split(&line, ' ', &method) || !split(&line, ' ', &target) || !split(&line, ' ', &version) ||
        line.ptr != NULL || !is_token(method)) {
        return refuse(400, "malformed request line");
    }
    if (version.len != 8 || memcmp(version.ptr, "HTTP/", 5) != 0 || version.ptr[6] != '.' ||
        version.ptr[5] < '0' || version.ptr[5] > '9' || version.ptr[7] < '0' || version.ptr[7] > '9') {
        return refuse(400, "malformed request line");
    }
    if (version.ptr[5] != '1') {
        return refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    if (method.len > MAX_METHOD_BYTES) {
        return refuse(501, "the method is unknown");
    }
    memcpy(r->method, method.ptr, method.len);
    r->method[method.len] = 0;
    r->http10 = version.ptr[7] == '0';
    r->keep_alive = !r->http10;
    return target_parse(s, c, target);
}

static struct refusal field_length(struct request *r, struct view value)
{
    uint64_t length;
    if (!parse_number(value, UINT64_MAX / 2, &length) || (r->has_length && r->length != length)) {
        return refuse(400, "malformed Content-Length");
    }
    r->has_length = true;
    r->length = length;
    return refuse(0, NULL);
}

/* RFC 9112 section 9.3: close outweighs keep-alive, wherever it stands. */
static void field_connection(struct request *r, struct view value)
{
    struct view part;
    while (split(&value, ',', &part)) {
        part = trim(part);
        r->close = r->close || view_is_nocase(part, "close");
        r->keep_alive = !r->close && (r->keep_alive || view_is_nocase(part, "keep-alive"));
    }
}

static struct refusal field_authorization(struct request *r, struct view value)
{
    struct view scheme;
    if (r->has_authorization) {
        return refuse(400, "Authorization comes twice");
    }
    r->has_authorization = true;
    if (split(&value, ' ', &scheme) && view_is_nocase(scheme, "bearer") && value.ptr != NULL) {
        value = trim(value);
        r->has_bearer = value.len != 0;
        sha256(value.ptr, value.len, r->token_hash);
    }
    return refuse(0, NULL);
}

static struct refusal field_parse(struct request *r, struct view name, struct view value, unsigned *hosts)
{
    struct view type;
    if (view_is_nocase(name, "host")) {
        (*hosts)++;
    } else if (view_is_nocase(name, "content-length")) {
        return field_length(r, value);
    } else if (view_is_nocase(name, "transfer-encoding")) {
        if (r->chunked || !view_is_nocase(value, "chunked")) {
            return refuse(501, "no transfer coding but chunked is known here");
        }
        r->chunked = true;
    } else if (view_is_nocase(name, "connection")) {
        field_connection(r, value);
    } else if (view_is_nocase(name, "expect")) {
        if (!view_is_nocase(value, "100-continue")) {
            return refuse(417, "no expectation but 100-continue is known here");
        }
        r->expects_continue = true;
    } else if (view_is_nocase(name, "content-type")) {
        split(&value, ';', &type);
        r->type =
            r->type == TYPE_NONE && view_is_nocase(trim(type), "application/json") ? TYPE_JSON : TYPE_OTHER;
    } else if (view_is_nocase(name, "content-encoding")) {
        r->encoded = r->encoded || !view_is_nocase(value, "identity");
    } else if (view_is_nocase(name, "authorization")) {
        return field_authorization(r, value);
    }
    return refuse(0, NULL);
}

static struct refusal field_line(struct request *r, struct view line, unsigned *hosts)
{
    struct view name;
    size_t i;
    for (i = 0; i < line.len; i++) {
        if (((unsigned char)line.ptr[i] < ' ' && line.ptr[i] != '\t') || line.ptr[i] == 0x7F) {
            return refuse(400, "a header field holds a control character");
        }
    }
    /* RFC 9112 section 5.2: obs-fold begins with a blank, which no name does. */
    if (!split(&line, ':', &name) || line.ptr == NULL || !is_token(name)) {
        return refuse(400, "malformed header field");
    }
    return field_parse(r, name, trim(line), hosts);
}

/* The head's lines, each with its CRLF. */
static struct refusal head_parse(struct server *s, struct connection *c, struct view head)
{
    struct refusal refusal = refuse(0, NULL);
    unsigned fields = 0, hosts = 0;
    struct request *r = &c->request;
    bool first = true;
    struct view line;
    while (refusal.status == 0 && head.len != 0 && split(&head, '\n', &line)) {
        line.len--;
        if (first) {
            refusal = request_line(s, c, line);
            first = false;
        } else if (++fields > MAX_FIELDS) {
            refusal = refuse(431, "too many header fields");
        } else {
            refusal = field_line(r, line, &hosts);
        }
    }
    if (refusal.status != 0) {
        return refusal;
    }
    if (hosts > 1 || (hosts == 0 && !r->http10)) {
        return refuse(400, "exactly one Host is needed");
    }
    /* RFC 9112 section 6.1: both together may be an attempt at request smuggling. */
    if (r->chunked && (r->has_length || r->http10)) {
        return refuse(400, "Transfer-Encoding does not go with Content-Length or HTTP/1.0");
    }
    if (r->length > MAX_BODY_BYTES) {
        return refuse(413, "the body is larger than 65536 bytes");
    }
    c->body_state = r->chunked ? BODY_CHUNK_SIZE : r->length != 0 ? BODY_LENGTH : BODY_DONE;
    c->body_left = r->length;
    return refusal;
}

/* Finds the end of the head in c->in; *len is 0 while it is not there. */
static struct refusal head_find(struct connection *c, size_t *len)
{
    *len = 0;
    while (c->scanned < c->in.len) {
        size_t i = c->scanned++;
        if (c->in.data[i] != '\n') {
            continue;
        }
        if (i == 0 || c->in.data[i - 1] != '\r') {
            return refuse(400, "a line of the head does not end with CRLF");
        }
        if (i - 1 != c->line_start) {
            c->line_start = i + 1;
        } else if (i != 1) {
            *len = i + 1;
            break;
        } else if (++c->blank_lines > MAX_BLANK_LINES) {
            return refuse(400, "too many blank lines before the request");
        } else {
            /* RFC 9112 section 2.2: blank lines before the request are ignored. */
            text_drop(&c->in, 2);
            c->scanned = 0;
            c->line_start = 0;
        }
    }
    if (*len > MAX_HEAD_BYTES || (*len == 0 && c->in.len > MAX_HEAD_BYTES)) {
        return refuse(431, "the head is larger than 65536 bytes");
    }
    return refuse(0, NULL);
}

static struct refusal chunk_size(struct connection *c, struct view line)
{
    uint64_t size = 0;
    size_t i;
    for (i = 0; i < line.len && hex_value(line.ptr[i]) >= 0; i++) {
        size = size * 16 + (uint64_t)hex_value(line.ptr[i]);
        if (size > MAX_BODY_BYTES) {
            return refuse(413, "the body is larger than 65536 bytes");
        }
    }
    /* RFC 9112 section 7.1.1: unknown extensions are ignored. */
    if (i == 0 || (i < line.len && line.ptr[i] != ';' && line.ptr[i] != ' ' && line.ptr[i] != '\t')) {
        return refuse(400, "malformed chunk size");
    }
    if (c->body.len + size > MAX_BODY_BYTES) {
        return refuse(413, "the body is larger than 65536 bytes");
    }
    c->body_left = size;
    c->body_state = size ? BODY_CHUNK_DATA : BODY_TRAILER;
    return refuse(0, NULL);
}

/* A line of the chunked coding, at *at in c->in. *more is set when it is not whole yet. */
static struct refusal body_line(struct connection *c, size_t *at, bool *more)
{
    size_t left = c->in.len - *at, i;
    const char *end = left ? (const char *)memchr(c->in.data + *at, '\n', left) : NULL;
    struct view line;
    if (end == NULL) {
        *more = true;
        return left > MAX_CHUNK_LINE_BYTES ? refuse(400, "a line of the body is too long") : refuse(0, NULL);
    }
    line = view_of(c->in.data + *at, (size_t)(end - (c->in.data + *at)));
    *at += line.len + 1;
    if (line.len == 0 || line.ptr[line.len - 1] != '\r' || line.len > MAX_CHUNK_LINE_BYTES) {
        return refuse(400, "malformed chunked body");
    }
    line.len--;
    for (i = 0; i < line.len; i++) {
        if ((unsigned char)line.ptr[i] < ' ' && line.ptr[i] != '\t') {
            return refuse(400, "malformed chunked body");
        }
    }
    if (c->body_state == BODY_CHUNK_SIZE) {
        return chunk_size(c, line);
    }
    if (c->body_state == BODY_CHUNK_END) {
        c->body_state = BODY_CHUNK_SIZE;
        return line.len ? refuse(400, "a chunk does not end where it should") : refuse(0, NULL);
    }
    c->trailer_bytes += line.len + 2;
    if (c->trailer_bytes > MAX_TRAILER_BYTES) {
        return refuse(431, "the trailer section is too large");
    }
    if (line.len == 0) {
        c->body_state = BODY_DONE;
    }
    return refuse(0, NULL);
}

static struct refusal body_read(struct connection *c)
{
    struct refusal refusal = refuse(0, NULL);
    bool more = false;
    size_t at = 0;
    while (refusal.status == 0 && !more && c->body_state != BODY_DONE) {
        if (c->body_state == BODY_LENGTH || c->body_state == BODY_CHUNK_DATA) {
            size_t len = c->in.len - at;
            if (len > c->body_left) {
                len = (size_t)c->body_left;
            }
            text_add(&c->body, c->in.data + at, len);
            at += len;
            c->body_left -= len;
            if (c->body_left == 0) {
                c->body_state = c->body_state == BODY_LENGTH ? BODY_DONE : BODY_CHUNK_END;
            } else {
                more = true;
            }
        } else {
            refusal = body_line(c, &at, &more);
        }
    }
    text_drop(&c->in, at);
    return c->body.failed ? refuse(500, "out of memory") : refusal;
}

/* Goes as far as the bytes in c->in allow, at most to the next answer. */
static void http_consume(struct server *s, struct connection *c, uint64_t now)
{
    struct refusal refusal = refuse(0, NULL);
    if (c->phase == PHASE_HEAD && c->in.len != 0) {
        size_t len;
        if (c->started == 0) {
            c->started = now;
            c->deadline = now + s->request_timeout_ms;
        }
        refusal = head_find(c, &len);
        if (refusal.status == 0 && len != 0) {
            refusal = head_parse(s, c, view_of(c->in.data, len - 2));
            text_drop(&c->in, len);
            c->phase = PHASE_BODY;
            if (refusal.status == 0 && c->request.expects_continue && !c->request.http10 &&
                c->body_state != BODY_DONE && c->in.len == 0) {
                text_puts(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
            }
        }
    }
    if (c->phase == PHASE_BODY && refusal.status == 0) {
        refusal = body_read(c);
        if (refusal.status == 0 && c->body_state == BODY_DONE) {
            serve(s, c, now);
        }
    }
    if (refusal.status != 0) {
        respond_refuse(c, refusal.status, refusal.why, now);
    }
    if (c->in.failed || c->out.failed) {
        c->phase = PHASE_DEAD;
    }
}

/* >>drive ------------------------------------------------------------------------------------------------ */

static void linger_begin(struct connection *c, uint64_t now)
{
    /* Closing with unread bytes would reset the connection and could take our last bytes with it. */
    shutdown(c->socket, SHUT_WR);
    c->phase = PHASE_LINGER;
    c->wake = 0;
    c->deadline = now + LINGER_TIMEOUT_MS;
}

static void linger_drain(struct connection *c)
{
    char scrap[4096];
    int turn;
    for (turn = 0; turn < MAX_TURNS; turn++) {
        long n = socket_receive(c->socket, scrap, sizeof scrap);
        if (n <= 0) {
            if (n == 0 || !would_block()) {
                c->phase = PHASE_DEAD;
            }
            return;
        }
    }
    c->again = true;
}

static void reset_now(struct connection *c)
{
    struct linger linger;
    linger.l_onoff = 1;
    linger.l_linger = 0;
    setsockopt(c->socket, SOL_SOCKET, SO_LINGER, (const void *)&linger, sizeof linger);
    c->phase = PHASE_DEAD;
}

static void close_begin(struct connection *c, uint64_t now)
{
    unsigned char *data;
    size_t len;
    int turn;
    /* BearSSL 0.6 stalls when it is closed over application data that nobody took. */
    for (turn = 0; turn < MAX_TURNS; turn++) {
        data = br_ssl_engine_recvapp_buf(&c->tls.eng, &len);
        if (data == NULL || len == 0) {
            break;
        }
        br_ssl_engine_recvapp_ack(&c->tls.eng, len);
    }
    br_ssl_engine_close(&c->tls.eng);
    c->phase = PHASE_CLOSING;
    c->wake = 0;
    c->deadline = now + WRITE_TIMEOUT_MS;
}

static void answer_log(const struct server *s, const struct connection *c, const char *note, uint64_t now)
{
    if (!s->quiet) {
        log_line("%s %.*s %d %llu ms%s%s", c->request.method[0] ? c->request.method : "-",
                 c->shown_path.len ? (int)c->shown_path.len : 1, c->shown_path.len ? c->shown_path.data : "-",
                 c->status, (unsigned long long)(now - c->started), c->fault ? " (fault)" : "", note);
    }
}

/* The answer is out, as far as it is meant to get out. */
static void answer_done(struct server *s, struct connection *c, uint64_t now)
{
    enum ending ending = c->ending;
    answer_log(s, c, "", now);
    text_shrink(&c->out);
    text_shrink(&c->part);
    c->out_sent = 0;
    c->listing.active = false;
    c->wake = 0;
    request_reset(c);
    c->started = 0;
    if (ending == END_NOTIFY) {
        close_begin(c, now);
    } else if (ending == END_FIN) {
        linger_begin(c, now);
    } else if (ending == END_RESET) {
        reset_now(c);
    } else {
        c->phase = PHASE_HEAD;
        c->deadline = now + s->idle_timeout_ms;
        http_consume(s, c, now);
    }
}

/* How many bytes of c->out may leave now. */
static size_t answer_ready(struct server *s, struct connection *c, uint64_t now)
{
    size_t len;
    c->wake = 0;
    if (now < c->respond_at) {
        c->wake = c->respond_at;
        c->deadline = c->wake + WRITE_TIMEOUT_MS;
        return 0;
    }
    if (c->out_sent == c->out.len && c->listing.active) {
        bool last = listing_fill(&s->store, c, LIST_PART_BYTES);
        text_reset(&c->out);
        c->out_sent = 0;
        listing_emit(c, last);
    }
    len = c->out.len - c->out_sent;
    if (c->limited && len > c->limit) {
        len = (size_t)c->limit;
    }
    if (c->fault != NULL && c->fault->drip_ms != 0 && len != 0) {
        if (now < c->drip_at) {
            c->wake = c->drip_at;
            c->deadline = c->wake + WRITE_TIMEOUT_MS;
            return 0;
        }
        len = 1;
    }
    return len;
}

static bool answer_over(const struct connection *c, uint64_t now)
{
    bool spent = c->limited && c->limit == 0;
    return now >= c->respond_at && (spent || (c->out_sent == c->out.len && !c->listing.active));
}

static bool send_records(struct connection *c, uint64_t now)
{
    size_t len;
    unsigned char *data = br_ssl_engine_sendrec_buf(&c->tls.eng, &len);
    long n;
    if (data == NULL) {
        return false;
    }
    n = socket_send(c->socket, data, len);
    if (n <= 0) {
        if (n == 0 || !would_block()) {
            c->phase = PHASE_DEAD;
        }
        return false;
    }
    br_ssl_engine_sendrec_ack(&c->tls.eng, (size_t)n);
    if (c->phase == PHASE_RESPOND) {
        c->deadline = now + WRITE_TIMEOUT_MS;
    }
    return true;
}

static bool receive_records(struct connection *c)
{
    size_t len;
    unsigned char *data = br_ssl_engine_recvrec_buf(&c->tls.eng, &len);
    long n;
    if (c->eof && (c->phase == PHASE_HEAD || c->phase == PHASE_BODY)) {
        c->phase = PHASE_DEAD;
    }
    if (data == NULL || c->eof) {
        return false;
    }
    n = socket_receive(c->socket, data, len);
    if (n > 0) {
        br_ssl_engine_recvrec_ack(&c->tls.eng, (size_t)n);
        return true;
    }
    if (n == 0) {
        c->eof = true;
        if (c->phase != PHASE_RESPOND) {
            c->phase = PHASE_DEAD;
        }
    } else if (!would_block()) {
        c->phase = PHASE_DEAD;
    }
    return false;
}

static bool take_input(struct server *s, struct connection *c, uint64_t now)
{
    size_t len;
    unsigned char *data;
    if (c->phase != PHASE_HEAD && c->phase != PHASE_BODY) {
        return false;
    }
    data = br_ssl_engine_recvapp_buf(&c->tls.eng, &len);
    if (data == NULL || len == 0) {
        return false;
    }
    text_add(&c->in, data, len);
    wipe(data, len);
    br_ssl_engine_recvapp_ack(&c->tls.eng, len);
    http_consume(s, c, now);
    return true;
}

static bool give_output(struct server *s, struct connection *c, uint64_t now)
{
    size_t room, len;
    unsigned char *data = br_ssl_engine_sendapp_buf(&c->tls.eng, &room);
    if (data == NULL || room == 0) {
        return false;
    }
    len = answer_ready(s, c, now);
    if (c->out.failed) {
        c->phase = PHASE_DEAD;
        return false;
    }
    if (len == 0) {
        return false;
    }
    if (len > room) {
        len = room;
    }
    memcpy(data, c->out.data + c->out_sent, len);
    c->out_sent += len;
    c->limit -= c->limited ? len : 0;
    br_ssl_engine_sendapp_ack(&c->tls.eng, len);
    br_ssl_engine_flush(&c->tls.eng, 0);
    if (c->fault != NULL && c->fault->drip_ms != 0) {
        c->drip_at = now + c->fault->drip_ms;
    }
    return true;
}

/* One turn of the engine; true when something moved. Records leave before more is made, and data is taken before
   more is received. */
static bool drive_once(struct server *s, struct connection *c, uint64_t now)
{
    unsigned state = br_ssl_engine_current_state(&c->tls.eng);
    if (state == 0 || (state & BR_SSL_CLOSED) != 0) {
        int error = br_ssl_engine_last_error(&c->tls.eng);
        if (error != 0 && c->phase != PHASE_CLOSING && !s->quiet) {
            log_line("TLS failed: BearSSL error %d", error);
        }
        linger_begin(c, now);
        return true;
    }
    if (c->phase == PHASE_HANDSHAKE && (state & BR_SSL_SENDAPP) != 0) {
        c->phase = PHASE_HEAD;
        c->deadline = now + s->idle_timeout_ms;
    }
    if ((state & BR_SSL_SENDREC) != 0) {
        c->wake = 0;
        return send_records(c, now) || (c->phase != PHASE_DEAD && receive_records(c));
    }
    if (c->phase == PHASE_CLOSING) {
        linger_begin(c, now);
        return true;
    }
    if (c->phase == PHASE_RESPOND && answer_over(c, now)) {
        answer_done(s, c, now);
        return true;
    }
    if ((state & BR_SSL_SENDAPP) != 0 && c->phase != PHASE_HANDSHAKE && give_output(s, c, now)) {
        return true;
    }
    return c->phase != PHASE_DEAD && (take_input(s, c, now) || receive_records(c));
}

/* What a connection that ran out of time gets depends on what it was doing. */
static void drive_timeout(struct connection *c, uint64_t now)
{
    if (c->phase == PHASE_HEAD && c->started == 0) {
        close_begin(c, now);
    } else if (c->phase == PHASE_HEAD || c->phase == PHASE_BODY) {
        respond_refuse(c, 408, "the request took too long to arrive", now);
    } else {
        c->phase = PHASE_DEAD;
    }
}

static void drive(struct server *s, struct connection *c, uint64_t now)
{
    int turn;
    c->again = false;
    if (now >= c->deadline) {
        drive_timeout(c, now);
    }
    for (turn = 0; turn < MAX_TURNS * 2; turn++) {
        if (c->phase == PHASE_LINGER) {
            linger_drain(c);
            return;
        }
        if (c->phase == PHASE_DEAD || !drive_once(s, c, now)) {
            return;
        }
    }
    c->again = true;
}

static short drive_events(const struct connection *c)
{
    unsigned state;
    short events = 0;
    if (c->phase == PHASE_LINGER) {
        return POLLIN;
    }
    state = br_ssl_engine_current_state(&c->tls.eng);
    if ((state & BR_SSL_SENDREC) != 0) {
        events = POLLOUT;
    }
    if ((state & BR_SSL_RECVREC) != 0 && !c->eof) {
        events = (short)(events | POLLIN);
    }
    return events;
}

/* >>serve ------------------------------------------------------------------------------------------------ */

static bool connection_tls(struct server *s, struct connection *c)
{
    static const uint16_t rsa_suites[] = {
        BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    };
    static const uint16_t ec_suites[] = {
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    };
    static const char *protocols[] = {"http/1.1", "http/1.0"};
    br_ssl_engine_context *engine = &c->tls.eng;
    const struct keys *keys = &s->keys;
    unsigned char seed[32];
    bool ok;
    br_ssl_server_zero(&c->tls);
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(engine, keys->is_rsa ? rsa_suites : ec_suites, 3);
    br_ssl_engine_set_default_ec(engine);
    br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
    br_ssl_engine_set_hash(engine, br_sha384_ID, &br_sha384_vtable);
    br_ssl_engine_set_hash(engine, br_sha512_ID, &br_sha512_vtable);
    br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
    br_ssl_engine_set_prf_sha384(engine, &br_tls12_sha384_prf);
    br_ssl_engine_set_default_aes_gcm(engine);
    br_ssl_engine_set_default_chapol(engine);
    if (keys->is_rsa) {
        br_ssl_server_set_single_rsa(&c->tls, keys->chain, keys->chain_len, &keys->rsa, BR_KEYTYPE_SIGN,
                                     br_rsa_private_get_default(), br_rsa_pkcs1_sign_get_default());
    } else {
        br_ssl_server_set_single_ec(&c->tls, keys->chain, keys->chain_len, &keys->ec, BR_KEYTYPE_SIGN, 0,
                                    br_ec_get_default(), br_ecdsa_sign_asn1_get_default());
    }
    br_ssl_engine_add_flags(engine, BR_OPT_NO_RENEGOTIATION | BR_OPT_FAIL_ON_ALPN_MISMATCH);
    br_ssl_engine_set_protocol_names(engine, protocols, 2);
    br_ssl_server_set_cache(&c->tls, &s->cache.vtable);
    br_ssl_engine_set_buffers_bidi(engine, c->tls_in, sizeof c->tls_in, c->tls_out, sizeof c->tls_out);
    /* BearSSL's own seeder may rely on the processor alone. */
    ok = os_entropy(seed, sizeof seed);
    br_ssl_engine_inject_entropy(engine, seed, sizeof seed);
    wipe(seed, sizeof seed);
    return ok && br_ssl_server_reset(&c->tls);
}

static void accept_one(struct server *s, socket_handle peer, uint64_t now)
{
    struct connection *c;
    int on = 1;
    if (!socket_begin(peer)) {
        socket_close(peer);
        return;
    }
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, (const void *)&on, sizeof on);
    c = (struct connection *)calloc(1, sizeof *c);
    if (c == NULL) {
        socket_close(peer);
        return;
    }
    c->socket = peer;
    c->phase = PHASE_HANDSHAKE;
    c->deadline = now + HANDSHAKE_TIMEOUT_MS;
    c->again = true;
    if (!connection_tls(s, c)) {
        connection_free(c);
        return;
    }
    s->connections[s->connection_count++] = c;
}

static void accept_all(struct server *s, uint64_t now)
{
    int i;
    for (i = 0; i < MAX_ACCEPTS && s->connection_count < MAX_CONNECTIONS; i++) {
        socket_handle peer;
        enum accepted accepted = socket_accept(s->listener, &peer);
        if (accepted == ACCEPTED) {
            accept_one(s, peer, now);
        } else if (accepted == ACCEPT_FULL) {
            s->accept_after = now + ACCEPT_PAUSE_MS;
            return;
        } else if (accepted == ACCEPT_NONE) {
            return;
        }
    }
}

static int wait_ms(const struct server *s, uint64_t now)
{
    uint64_t until = now + 60000;
    size_t i;
    if (s->accept_after > now && s->accept_after < until) {
        until = s->accept_after;
    }
    for (i = 0; i < s->connection_count; i++) {
        const struct connection *c = s->connections[i];
        uint64_t due = c->wake != 0 ? c->wake : c->deadline;
        if (c->again || due <= now) {
            return 0;
        }
        if (due < until) {
            until = due;
        }
    }
    return (int)(until - now);
}

static void connections_sweep(struct server *s, uint64_t now)
{
    size_t i = 0;
    while (i < s->connection_count) {
        if (s->connections[i]->phase == PHASE_DEAD) {
            if (s->connections[i]->status != 0) {
                answer_log(s, s->connections[i], " (not taken whole)", now);
            }
            connection_free(s->connections[i]);
            s->connections[i] = s->connections[--s->connection_count];
        } else {
            i++;
        }
    }
}

static void drive_all(struct server *s, const struct pollfd *ready, size_t count, uint64_t now)
{
    size_t i;
    for (i = 0; i < count; i++) {
        struct connection *c = s->connections[i];
        uint64_t due = c->wake != 0 ? c->wake : c->deadline;
        if ((ready[i].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 && (ready[i].revents & POLLIN) == 0) {
            c->phase = PHASE_DEAD;
        } else if (ready[i].revents != 0 || c->again || due <= now) {
            drive(s, c, now);
        }
    }
    connections_sweep(s, now);
}

/* Runs until a signal asks for the end. */
static bool serve_forever(struct server *s)
{
    static struct pollfd polls[MAX_CONNECTIONS + 2];
    for (;;) {
        uint64_t now = clock_ms();
        size_t i, count = s->connection_count;
        int n;
        polls[0].fd = s->end_asked;
        polls[0].events = POLLIN;
        polls[1].fd = count < MAX_CONNECTIONS && now >= s->accept_after ? s->listener : NO_SOCKET;
        polls[1].events = POLLIN;
        for (i = 0; i < count; i++) {
            polls[i + 2].fd = s->connections[i]->socket;
            polls[i + 2].events = drive_events(s->connections[i]);
            polls[i + 2].revents = 0;
        }
        n = socket_poll(polls, count + 2, wait_ms(s, now));
        if (n < 0) {
            fprintf(stderr, "hathora-emulator: the connections cannot be waited for: %s\n", socket_error());
            return false;
        }
        if (polls[0].revents != 0) {
            return true;
        }
        now = clock_ms();
        drive_all(s, polls + 2, count, now);
        if (polls[1].fd != NO_SOCKET && polls[1].revents != 0) {
            accept_all(s, now);
        }
    }
}

/* >>options ---------------------------------------------------------------------------------------------- */

struct options {
    struct sockaddr_storage address;
    socklen_t address_len;
    const char *cert;
    const char *key;
    const char *state;
    const char *port_file;
    const char *prefix;
    bool has_seed;
    uint64_t seed;
    uint64_t tokens;
    uint64_t idle_timeout_ms;
    uint64_t request_timeout_ms;
    bool is_loopback;
    bool allow_remote;
    bool tls_self;
    bool quiet;
    char host[INET6_ADDRSTRLEN]; /* of address, as text */
    const char *program;         /* argv[0] */
    const char *first_org;
    bool default_token;
};

enum option_id {
    OPTION_LISTEN,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_TLS_SELF,
    OPTION_ORG,
    OPTION_TOKEN,
    OPTION_STATE,
    OPTION_FAULT,
    OPTION_PORT_FILE,
    OPTION_PREFIX,
    OPTION_TOKENS,
    OPTION_SEED,
    OPTION_IDLE_TIMEOUT,
    OPTION_REQUEST_TIMEOUT,
    OPTION_ALLOW_REMOTE,
    OPTION_QUIET,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_COUNT
};

static const struct {
    const char *name;
    const char *value;
    const char *help;
} option_table[OPTION_COUNT] = {
    {"--listen", "HOST:PORT", "where to listen; port 0 takes a free one (" DEFAULT_LISTEN ")"},
    {"--cert", "FILE", "PEM certificate chain, the server's first; this and --key, or --tls-self"},
    {"--key", "FILE", "PEM private key, RSA or EC"},
    {"--tls-self", NULL, "make a throw-away authority by the openssl program and tell its file"},
    {"--org", "ID", "an organization; may repeat (" DEFAULT_ORG ")"},
    {"--token", "TOKEN[=SCOPES]",
     "a dev token, good for every organization; may repeat\n"
     "(" DEFAULT_TOKEN "); SCOPES as tokens:read,builds:read limits it"},
    {"--state", "FILE", "keep the tokens here, but never their plain text"},
    {"--fault", "SPEC", "misbehave on purpose, see below; may repeat"},
    {"--port-file", "FILE", "write the port here once listening"},
    {"--prefix", "PATH", "serve below this path, as /api"},
    {"--tokens", "N", "fill the first organization up to N tokens"},
    {"--seed", "N", "reproducible ids and tokens, for tests only"},
    {"--idle-timeout", "MS", "close a connection after this time without a request (60000)"},
    {"--request-timeout", "MS", "how long a request may take to arrive (15000)"},
    {"--allow-remote", NULL, "let --listen name an address that is not loopback"},
    {"--quiet", NULL, "no line for each request on standard error"},
    {"--help", NULL, "this text"},
    {"--version", NULL, "the version"},
};

static void print_help(void)
{
    size_t i;
    printf("usage: hathora-emulator --cert FILE --key FILE [OPTIONS]\n"
           "       hathora-emulator --tls-self [OPTIONS]\n\n"
           "Stands in for the Hathora Tokens V1 API. Prints \"listening on https://HOST:PORT\" when ready,\n"
           "ends with SIGTERM or SIGINT. Created tokens serve as dev tokens of their organization.\n\n");
    for (i = 0; i < OPTION_COUNT; i++) {
        char left[64];
        const char *help = option_table[i].help;
        snprintf(left, sizeof left, "%s%s%s", option_table[i].name, option_table[i].value ? " " : "",
                 option_table[i].value ? option_table[i].value : "");
        for (;;) {
            size_t len = strcspn(help, "\n");
            printf("  %-24s %.*s\n", left, (int)len, help);
            if (help[len] == 0) {
                break;
            }
            help += len + 1;
            left[0] = 0;
        }
    }
    printf("\n%s", faults_help);
}

/* The table for those who make completions and check the manual, in the form that hathora-tokens has. */
static void dump_options(void)
{
    size_t i;
    for (i = 0; i < OPTION_COUNT; i++) {
        const char *value = option_table[i].value, *help;
        printf("option\t%s\t-\t-\t%s\t-\t\t%s\t", option_table[i].name, value ? value : "-",
               value && strcmp(value, "FILE") == 0 ? "<file>" : "-");
        for (help = option_table[i].help; *help != 0; help++) {
            putchar(*help == '\n' ? ' ' : *help);
        }
        putchar('\n');
    }
}

static bool usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "hathora-emulator: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    return false;
}

static bool option_listen(struct options *o, const char *value)
{
    char host[64];
    const char *colon = strrchr(value, ':');
    struct sockaddr_in *v4 = (struct sockaddr_in *)&o->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&o->address;
    size_t len = colon ? (size_t)(colon - value) : 0;
    uint64_t port;
    if (len == 0 || len >= sizeof host ||
        !parse_number(view_of(colon + 1, strlen(colon + 1)), 65535, &port)) {
        return usage("--listen needs HOST:PORT, as 127.0.0.1:0 or [::1]:0");
    }
    memset(&o->address, 0, sizeof o->address);
    if (value[0] == '[' && value[len - 1] == ']') {
        memcpy(host, value + 1, len - 2);
        host[len - 2] = 0;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        o->address_len = sizeof *v6;
        if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1) {
            return usage("--listen needs a numeric address or localhost");
        }
        o->is_loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
        return true;
    }
    memcpy(host, value, len);
    host[len] = 0;
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    o->address_len = sizeof *v4;
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &v4->sin_addr) != 1) {
        return usage("--listen needs a numeric address or localhost");
    }
    o->is_loopback = (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    return true;
}

static bool option_org(struct server *s, const char *value)
{
    struct view id = view_of(value, strlen(value));
    size_t chars;
    if (!utf8_count(id.ptr, id.len, &chars) || view_is(id, ".") || view_is(id, "..") ||
        id.len > MAX_ORG_BYTES) {
        return usage("--org is no usable id");
    }
    if (store_add_org(&s->store, id, true) < 0) {
        return usage("too many --org");
    }
    return true;
}

static int scope_index(struct view name)
{
    int i;
    for (i = 0; i < (int)SCOPE_COUNT; i++) {
        if (view_is(name, scope_names[i])) {
            return i;
        }
    }
    return -1;
}

/* The scopes behind the last '=', if that is what they are: a token itself may end with '='. */
static bool option_token_scopes(const char *equals, struct rights *rights, bool *is_list)
{
    struct view rest = view_of(equals + 1, strlen(equals + 1)), part;
    uint8_t index[MAX_SCOPES];
    size_t count = 0;
    *is_list = strchr(equals + 1, ':') != NULL || strcmp(equals + 1, "admin") == 0;
    if (!*is_list || strcmp(equals + 1, "admin") == 0) {
        return true;
    }
    while (split(&rest, ',', &part)) {
        int scope = scope_index(part);
        if (scope < 0 || count == MAX_SCOPES) {
            return usage("--token: unknown scope");
        }
        index[count++] = (uint8_t)scope;
    }
    *rights = scopes_rights(SCOPES_LIST, index, count);
    return true;
}

static bool option_token(struct server *s, const char *value)
{
    const char *equals = strrchr(value, '=');
    struct rights rights = {true, true};
    struct dev_token *token;
    size_t len = strlen(value), i;
    bool is_list = false;
    if (equals != NULL && !option_token_scopes(equals, &rights, &is_list)) {
        return false;
    }
    if (is_list) {
        len = (size_t)(equals - value);
    }
    for (i = 0; i < len; i++) {
        if (value[i] <= ' ' || value[i] >= 0x7F) {
            return usage("--token holds a character that no header may carry");
        }
    }
    if (len == 0 || s->store.dev_token_count == MAX_DEV_TOKENS) {
        return usage(len == 0 ? "--token is empty" : "too many --token");
    }
    token = &s->store.dev_tokens[s->store.dev_token_count++];
    sha256(value, len, token->hash);
    token->rights = rights;
    return true;
}

static bool option_fault(struct server *s, const char *value)
{
    struct view wrong;
    if (s->fault_count == MAX_FAULTS) {
        return usage("too many --fault");
    }
    if (!fault_parse(&s->faults[s->fault_count++], value, &wrong)) {
        return usage("--fault: cannot make sense of '%.*s'", (int)(wrong.len < 100 ? wrong.len : 100),
                     wrong.ptr);
    }
    return true;
}

static bool option_prefix(struct options *o, const char *value)
{
    size_t len = strlen(value);
    if (value[0] != '/' || (len > 1 && value[len - 1] == '/') || strpbrk(value, "?#% ") != NULL) {
        return usage("--prefix needs a path such as /api");
    }
    o->prefix = len > 1 ? value : "";
    return true;
}

static bool option_number(const char *name, const char *value, uint64_t min, uint64_t max, uint64_t *out)
{
    if (!parse_number(view_of(value, strlen(value)), max, out) || *out < min) {
        return usage("%s needs a number from %llu to %llu", name, (unsigned long long)min,
                     (unsigned long long)max);
    }
    return true;
}

static bool option_take(struct server *s, struct options *o, int id, const char *value)
{
    const char *name = option_table[id].name;
    if (option_table[id].value != NULL && value[0] == 0) {
        return usage("%s needs a value", name);
    }
    switch (id) {
    case OPTION_LISTEN: return option_listen(o, value);
    case OPTION_CERT: o->cert = value; return true;
    case OPTION_KEY: o->key = value; return true;
    case OPTION_ORG: o->first_org = o->first_org != NULL ? o->first_org : value; return option_org(s, value);
    case OPTION_TOKEN: return option_token(s, value);
    case OPTION_STATE: o->state = value; return true;
    case OPTION_FAULT: return option_fault(s, value);
    case OPTION_PORT_FILE: o->port_file = value; return true;
    case OPTION_PREFIX: return option_prefix(o, value);
    case OPTION_TOKENS: return option_number(name, value, 0, MAX_TOKENS / 2, &o->tokens);
    case OPTION_SEED: o->has_seed = true; return option_number(name, value, 0, UINT64_MAX, &o->seed);
    case OPTION_IDLE_TIMEOUT: return option_number(name, value, 1, MAX_TIMEOUT_MS, &o->idle_timeout_ms);
    case OPTION_REQUEST_TIMEOUT: return option_number(name, value, 1, MAX_TIMEOUT_MS, &o->request_timeout_ms);
    case OPTION_ALLOW_REMOTE: o->allow_remote = true; return true;
    case OPTION_TLS_SELF: o->tls_self = true; return true;
    default: o->quiet = true; return true;
    }
}

static int option_find(struct view name)
{
    int i;
    for (i = 0; i < OPTION_COUNT; i++) {
        if (view_is(name, option_table[i].name)) {
            return i;
        }
    }
    return -1;
}

/* The exit status of what was asked for instead of a server. */
static int shown(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        usage("standard output: %s", strerror(errno));
        return 1;
    }
    return 0;
}

static bool is_same_path(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* -1 to go on, or the exit status. */
static int options_parse(struct server *s, struct options *o, int argc, char **argv)
{
    int i, id;
    if (argc == 2 && strcmp(argv[1], "--dump-options") == 0) {
        dump_options();
        return shown();
    }
    if (!option_listen(o, DEFAULT_LISTEN)) {
        return 2;
    }
    for (i = 1; i < argc; i++) {
        const char *arg = argv[i];
        size_t len = strcspn(arg, "=");
        const char *value = "";
        id = option_find(view_of(arg, len));
        if (id < 0 || (arg[len] == '=' && option_table[id].value == NULL)) {
            /* Not the value, which may be a secret. */
            if (strncmp(arg, "--", 2) != 0) {
                usage("a word that is no option; --help tells what there is");
            } else {
                usage("unknown option, or a value that it does not take: %.*s", (int)(len < 60 ? len : 60),
                      arg);
            }
            return 2;
        }
        if (id == OPTION_HELP || id == OPTION_VERSION) {
            if (id == OPTION_HELP) {
                print_help();
            } else {
                printf("hathora-emulator %s\n", EMULATOR_VERSION);
            }
            return shown();
        }
        if (option_table[id].value != NULL) {
            if (arg[len] == '=') {
                value = arg + len + 1;
            } else if (i + 1 < argc) {
                value = argv[++i];
            }
        }
        if (!option_take(s, o, id, value)) {
            return 2;
        }
    }
    if (o->tls_self ? o->cert != NULL || o->key != NULL : o->cert == NULL || o->key == NULL) {
        usage(o->tls_self ? "--tls-self stands without --cert and --key"
                          : "--cert and --key are required, or --tls-self");
        return 2;
    }
    if (is_same_path(o->port_file, o->state) || is_same_path(o->port_file, o->cert) ||
        is_same_path(o->port_file, o->key)) {
        usage("--port-file needs a file of its own");
        return 2;
    }
    if (!o->is_loopback && !o->allow_remote) {
        usage("--listen names an address that is not loopback; --allow-remote permits that");
        return 2;
    }
    o->default_token = s->store.dev_token_count == 0;
    if ((s->store.org_count == 0 && !option_org(s, DEFAULT_ORG)) ||
        (s->store.dev_token_count == 0 && !option_token(s, DEFAULT_TOKEN))) {
        return 2;
    }
    return -1;
}

static bool random_begin(struct server *s, const struct options *o)
{
    unsigned char seed[32] = {0};
    size_t i;
    if (o->has_seed) {
        for (i = 0; i < 8; i++) {
            seed[i] = (unsigned char)(o->seed >> (8 * i));
        }
    } else if (!os_entropy(seed, sizeof seed)) {
        fprintf(stderr, "hathora-emulator: %s gives no random bytes\n", RANDOM_SOURCE);
        return false;
    }
    br_hmac_drbg_init(&s->rng, &br_sha256_vtable, seed, sizeof seed);
    wipe(seed, sizeof seed);
    return true;
}

/* Tokens named generated-1 and so on, with every kind of scopes, until the first organization holds enough. */
static bool tokens_generate(struct server *s, uint64_t wanted)
{
    struct text lines = {NULL, 0, 0, false};
    uint64_t held = 0, n = 0;
    size_t i;
    bool ok = true;
    for (i = 0; i < s->store.count; i++) {
        held += s->store.tokens[i].org == 0;
    }
    while (ok && held < wanted) {
        char name[40], plain[PLAIN_BYTES + 1];
        struct scopes scopes;
        struct token token;
        struct view name_view;
        memset(&token, 0, sizeof token);
        memset(&scopes, 0, sizeof scopes);
        n++;
        name_view =
            view_of(name, (size_t)snprintf(name, sizeof name, "generated-%llu", (unsigned long long)n));
        if (store_by_name(&s->store, 0, name_view) != NULL) {
            continue;
        }
        scopes.kind = (enum scopes_kind)(n % 3);
        if (scopes.kind == SCOPES_LIST) {
            scopes.count = 2;
            scopes.index[0] = (uint8_t)(n % SCOPE_COUNT);
            scopes.index[1] = (uint8_t)((n + 5) % SCOPE_COUNT);
        }
        ok = store_prepare(&s->store) && token_fill(&token, 0, name_view, &scopes);
        if (ok) {
            token_invent(&s->store, &s->rng, &token, plain);
            wipe(plain, sizeof plain);
            format_time(token.created_at, (time_t)(1704067200u + n), (unsigned)(n % 1000));
            if (s->state.fd >= 0) {
                state_record_create(&lines, &s->store, &token);
            }
            store_add(&s->store, &token);
            held++;
        }
    }
    ok = ok && (lines.len == 0 || state_append(&s->state, &lines)) && !lines.failed;
    text_free(&lines);
    if (!ok) {
        fprintf(stderr, "hathora-emulator: cannot generate that many tokens\n");
    }
    return ok;
}

static bool listen_begin(struct server *s, const struct options *o, uint16_t *port)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    s->listener = socket(o->address.ss_family, SOCK_STREAM, 0);
    if (s->listener == NO_SOCKET || !socket_begin(s->listener) || !socket_claim(s->listener) ||
        bind(s->listener, (const struct sockaddr *)&o->address, o->address_len) != 0 ||
        listen(s->listener, SOMAXCONN) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&bound, &len) != 0) {
        fprintf(stderr, "hathora-emulator: cannot listen: %s\n", socket_error());
        return false;
    }
    memset(port, 0, sizeof *port);
    *port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                              : ((struct sockaddr_in *)&bound)->sin_port);
    return true;
}

/* By rename, so that whoever waits for the file never sees half of it. */
static bool port_file_write(const char *path, uint16_t port)
{
    struct text temporary = {NULL, 0, 0, false};
    FILE *file;
    bool ok;
    text_puts(&temporary, path);
    text_puts(&temporary, ".tmp.");
    text_number(&temporary, process_number());
    text_add(&temporary, "", 1);
    if (temporary.failed) {
        return false;
    }
    file = file_to_write(temporary.data);
    ok = file != NULL && fprintf(file, "%u\n", (unsigned)port) > 0;
    if (file != NULL) {
        ok = fclose(file) == 0 && ok && file_rename(temporary.data, path);
        if (!ok) {
            file_remove(temporary.data);
        }
    }
    text_free(&temporary);
    return ok;
}

/* A word for a shell. */
static void put_word(const char *word)
{
    const char *c;
    if (word[0] != 0 &&
        word[strspn(word,
                    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:" PATH_SEPARATOR)] ==
            0) {
        fputs(word, stdout);
        return;
    }
    putchar(WORD_QUOTE);
    for (c = word; *c != 0; c++) {
        if (*c == '\'' && *c == WORD_QUOTE) {
            fputs("'\\'", stdout);
        }
        putchar(*c);
    }
    putchar(WORD_QUOTE);
}

/* The command to try, behind the ready line. A dev token that somebody chose is a secret. */
static void announce_self(const struct self *self, const struct options *o, uint16_t port)
{
    bool is_v6 = o->address.ss_family == AF_INET6;
    const char *host = o->is_loopback ? "localhost" : o->host;
    const char *name = o->program + strlen(o->program);
    struct text tool = {NULL, 0, 0, false};
    while (name != o->program && strchr(PATH_SEPARATOR, name[-1]) == NULL) {
        name--;
    }
    /* The tool stands beside the emulator. */
    text_add(&tool, o->program, (size_t)(name - o->program));
    text_puts(&tool, "hathora-tokens");
    fputs("try: ", stdout);
    put_word(text_string(&tool) != NULL ? tool.data : "hathora-tokens");
    text_free(&tool);
    fputs(" --endpoint ", stdout);
    printf(is_v6 && !o->is_loopback ? "https://[%s]:%u" : "https://%s:%u", host, (unsigned)port);
    if (o->prefix[0] != 0) {
        put_word(o->prefix);
    }
    fputs(" --ca-file ", stdout);
    put_word(self->paths[SELF_CA]);
    fputs(" --org ", stdout);
    put_word(o->first_org != NULL ? o->first_org : DEFAULT_ORG);
    fputs(o->default_token ? " --token " DEFAULT_TOKEN " list\n" : " --token ... list\n", stdout);
}

static bool announce(const struct options *o, const struct self *self, uint16_t port)
{
    bool is_v6 = o->address.ss_family == AF_INET6;
    if (o->port_file != NULL && !port_file_write(o->port_file, port)) {
        fprintf(stderr, "hathora-emulator: %s: %s\n", o->port_file, strerror(errno));
        return false;
    }
    printf(is_v6 ? "listening on https://[%s]:%u\n" : "listening on https://%s:%u\n", o->host,
           (unsigned)port);
    if (self->folder != NULL) {
        announce_self(self, o, port);
    }
    (void)fflush(stderr); /* what is said from here on is a log, or the last */
    if (fflush(stdout) != 0) {
        fprintf(stderr, "hathora-emulator: standard output: %s\n", strerror(errno));
        return false;
    }
    return true;
}

static void host_text(struct options *o)
{
    const void *address = o->address.ss_family == AF_INET6
                              ? (const void *)&((const struct sockaddr_in6 *)&o->address)->sin6_addr
                              : (const void *)&((const struct sockaddr_in *)&o->address)->sin_addr;
    inet_ntop(o->address.ss_family, address, o->host, sizeof o->host);
}

/* Only the authority's certificate stays. */
static bool self_begin(struct server *s, struct options *o)
{
    if (!self_folder(&s->self) || !self_make(&s->self, o->host)) {
        return false;
    }
    o->cert = s->self.paths[SELF_LEAF];
    o->key = s->self.paths[SELF_LEAF_KEY];
    return true;
}

static bool run(struct server *s, struct options *o)
{
    uint16_t port;
    bool loaded;
    host_text(o);
    s->prefix = o->prefix;
    s->prefix_len = strlen(o->prefix);
    s->idle_timeout_ms = o->idle_timeout_ms;
    s->request_timeout_ms = o->request_timeout_ms;
    s->quiet = o->quiet;
    s->state.path = o->state;
    raise_file_limit();
    br_ssl_session_cache_lru_init(&s->cache, s->cache_store, sizeof s->cache_store);
    /* A port file of an earlier run must not be taken for this one's. */
    if (o->port_file != NULL) {
        file_remove(o->port_file);
    }
    if (!signals_begin(&s->end_asked)) {
        fprintf(stderr, "hathora-emulator: signals cannot be waited for: %s\n", socket_error());
        return false;
    }
    loaded = (!o->tls_self || self_begin(s, o)) && keys_load(&s->keys, o->cert, o->key);
    self_remove(&s->self, SELF_CA_KEY);
    return loaded && random_begin(s, o) && (o->state == NULL || state_open(&s->state, &s->store, &s->json)) &&
           tokens_generate(s, o->tokens) && listen_begin(s, o, &port) && announce(o, &s->self, port) &&
           serve_forever(s);
}

static void server_free(struct server *s)
{
    size_t i;
    for (i = 0; i < s->connection_count; i++) {
        connection_free(s->connections[i]);
    }
    for (i = 0; i < s->fault_count; i++) {
        fault_free(&s->faults[i]);
    }
    if (s->listener != NO_SOCKET) {
        socket_close(s->listener);
    }
    if (s->state.fd >= 0) {
        file_close(s->state.fd);
    }
    keys_free(&s->keys);
    self_free(&s->self);
    store_free(&s->store);
    wipe(s, sizeof *s);
    free(s);
}

int main(int argc, char **argv)
{
    struct server *s = system_begin(&argc, &argv) ? (struct server *)calloc(1, sizeof *s) : NULL;
    struct options options;
    int status;
    if (s == NULL) {
        fprintf(stderr, "hathora-emulator: out of memory, of sockets or of descriptors\n");
        return 1;
    }
    memset(&options, 0, sizeof options);
    options.prefix = "";
    options.program = argc > 0 ? argv[0] : "";
    options.idle_timeout_ms = IDLE_TIMEOUT_MS;
    options.request_timeout_ms = REQUEST_TIMEOUT_MS;
    s->listener = NO_SOCKET;
    s->state.fd = -1;
    status = options_parse(s, &options, argc, argv);
    if (status < 0) {
        status = run(s, &options) ? 0 : 1;
    }
    server_free(s);
    system_end();
    return status;
}
