/* The tool and the emulator as Windows sees them: its stores, consoles, handles and text. The argument is the folder that
   they are in. It runs in the project's folder, where tests/certs.sh has made build/certs, on a console. Windows itself asks before it
   trusts a root that is added for the user; wine does not. */
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0600
#endif
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <wincrypt.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DEV_TOKEN "canary-dev-token-5b1f"
#define SCRATCH   "build/port/windows/scratch"
#define GREEK     "\xce\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80"

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))

static const char *folder;

/* ---- Text. ---- */

/* WTF-8, so that an unpaired surrogate can be written down. */
static void widen(const char *text, wchar_t *wide, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    while (*p) {
        unsigned long c = *p < 0x80 ? *p : *p < 0xe0 ? *p & 0x1fu : *p < 0xf0 ? *p & 0xfu : *p & 7u;
        size_t more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
        for (p++; more != 0; more--) {
            c = c << 6 | (*p++ & 0x3fu);
        }
        assert_true(size > 3);
        size -= c < 0x10000 ? 1 : 2;
        if (c >= 0x10000) {
            *wide++ = (wchar_t)(0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        *wide++ = (wchar_t)c;
    }
    *wide = 0;
}

static void set_variable(const char *name, const char *value)
{
    wchar_t wide_name[64], wide[512];
    widen(name, wide_name, COUNT(wide_name));
    if (value) {
        widen(value, wide, COUNT(wide));
    }
    assert_true(SetEnvironmentVariableW(wide_name, value ? wide : NULL));
}

static void copy_file(const char *from, const char *to)
{
    wchar_t wide_from[512], wide_to[512];
    widen(from, wide_from, COUNT(wide_from));
    widen(to, wide_to, COUNT(wide_to));
    assert_true(CopyFileW(wide_from, wide_to, FALSE));
}

static bool file_is_there(const char *path)
{
    wchar_t wide[512];
    widen(path, wide, COUNT(wide));
    return GetFileAttributesW(wide) != INVALID_FILE_ATTRIBUTES;
}

static void file_remove(const char *path)
{
    wchar_t wide[512];
    widen(path, wide, COUNT(wide));
    (void)DeleteFileW(wide);
}

/* ---- Programs. ---- */

struct program {
    PROCESS_INFORMATION process;
    HANDLE input, output, error; /* our ends */
    char out[65536], err[65536]; /* with a NUL */
    size_t out_len, err_len;
    DWORD status;
};

enum { OUTPUT_CLOSED = 1, ERROR_CONSOLE = 2 };

static struct program *running[8];
static size_t running_count;

static void make_pipe(HANDLE *read_end, HANDLE *write_end, HANDLE *ours)
{
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    assert_true(CreatePipe(read_end, write_end, &inherited, sizeof running[0]->out));
    assert_true(SetHandleInformation(*ours, HANDLE_FLAG_INHERIT, 0));
}

static struct program *start(const char *name, const char *const *words, unsigned flags)
{
    struct program *p = (struct program *)calloc(1, sizeof *p);
    STARTUPINFOW startup;
    wchar_t line[4096], *to = line;
    char program[512];
    size_t i;
    assert_true(p && running_count < COUNT(running));
    memset(&startup, 0, sizeof startup);
    startup.cb = sizeof startup;
    startup.dwFlags = STARTF_USESTDHANDLES;
    make_pipe(&startup.hStdInput, &p->input, &p->input);
    make_pipe(&p->output, &startup.hStdOutput, &p->output);
    make_pipe(&p->error, &startup.hStdError, &p->error);
    snprintf(program, sizeof program, "%s/%s.exe", folder, name);
    for (i = 0; program[i]; i++) {
        program[i] = program[i] == '/' ? '\\' : program[i];
    }
    /* No word holds a quote or ends with a backslash. */
    for (i = 0; i == 0 || words[i - 1]; i++) {
        *to++ = i == 0 ? '"' : ' ';
        *to = '"';
        to += i != 0;
        widen(i == 0 ? program : words[i - 1], to, (size_t)(line + COUNT(line) - to) - 8);
        to += wcslen(to);
        *to++ = '"';
    }
    *to = 0;
    if (flags & OUTPUT_CLOSED) {
        CloseHandle(startup.hStdOutput);
        startup.hStdOutput = NULL;
    }
    if (flags & ERROR_CONSOLE) {
        SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
        CloseHandle(startup.hStdError);
        startup.hStdError =
            CreateFileA("CONOUT$", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                        &inherited, OPEN_EXISTING, 0, NULL);
        assert_true(startup.hStdError != INVALID_HANDLE_VALUE);
    }
    assert_true(CreateProcessW(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &p->process));
    CloseHandle(startup.hStdInput);
    CloseHandle(startup.hStdError);
    if (startup.hStdOutput) {
        CloseHandle(startup.hStdOutput);
    }
    running[running_count++] = p;
    return p;
}

static void read_to_end(HANDLE pipe, char *text, size_t *len)
{
    DWORD n = 0;
    while (*len < sizeof running[0]->out - 1 &&
           ReadFile(pipe, text + *len, (DWORD)(sizeof running[0]->out - 1 - *len), &n, NULL) && n) {
        *len += n;
    }
    text[*len] = 0;
}

static struct program *end(struct program *p)
{
    CloseHandle(p->input);
    p->input = NULL;
    read_to_end(p->output, p->out, &p->out_len);
    read_to_end(p->error, p->err, &p->err_len);
    assert_int_equal(WaitForSingleObject(p->process.hProcess, 30000), WAIT_OBJECT_0);
    assert_true(GetExitCodeProcess(p->process.hProcess, &p->status));
    return p;
}

static int teardown(void **state)
{
    (void)state;
    while (running_count != 0) {
        struct program *p = running[--running_count];
        (void)TerminateProcess(p->process.hProcess, 1);
        CloseHandle(p->process.hProcess);
        CloseHandle(p->process.hThread);
        CloseHandle(p->output);
        CloseHandle(p->error);
        if (p->input) {
            CloseHandle(p->input);
        }
        free(p);
    }
    return 0;
}

/* What this program was started with must not count, nor what the last test set. */
static int setup(void **state)
{
    static const char *const variables[] = {"HATHORA_CLOUD_ENDPOINT", "HATHORA_ORG_ID", "HATHORA_OUTPUT",
                                            "HATHORA_TOKEN",          "SSL_CERT_FILE",  "https_proxy"};
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(variables); i++) {
        set_variable(variables[i], NULL);
    }
    return 0;
}

static void expect_end(const struct program *p, DWORD status, const char *out, const char *in_error)
{
    if (p->status != status || (out && strcmp(p->out, out) != 0) || !strstr(p->err, in_error)) {
        fail_msg("exit %lu, not %lu; output: %s; error output: %s", p->status, status, p->out, p->err);
    }
}

/* What Ctrl-C is on the console that they share with this program, which does not mind. wine lets nobody choose the
   receiver, so one program alone runs then. */
static void press_ctrl_c(void)
{
    assert_true(GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0));
}

static BOOL WINAPI ignore(DWORD event)
{
    return event == CTRL_C_EVENT;
}

/* ---- The emulator, and the tool with what it needs. ---- */

static struct program *emulator;
static char endpoint[64];

/* Returns when it listens. */
static void start_emulator(const char *const *more)
{
    const char *words[32] = {"--org", "org-1", "--token", DEV_TOKEN, "--quiet"};
    const char *url;
    DWORD n = 0;
    size_t count = 5;
    while (*more) {
        words[count++] = *more++;
    }
    emulator = start("hathora-emulator", words, 0);
    while (!strchr(emulator->out, '\n') &&
           ReadFile(emulator->output, emulator->out + emulator->out_len, 4096, &n, NULL) && n) {
        emulator->out_len += n;
    }
    url = strrchr(emulator->out, ':');
    if (!url) {
        end(emulator);
        fail_msg("no emulator: %s", emulator->err);
    }
    url = strstr(emulator->out, "127.0.0.1:");
    assert_non_null(url);
    snprintf(endpoint, sizeof endpoint, "https://localhost:%lu", strtoul(url + 10, NULL, 10));
}

#define PAIR "--cert", "build/certs/leaf.pem", "--key", "build/certs/leaf.key"

static struct program *call(const char *ca, const char *const *more)
{
    const char *words[32] = {"--endpoint", endpoint, "--org", "org-1", "--token", DEV_TOKEN};
    size_t count = 6;
    if (ca) {
        words[count++] = "--ca-file";
        words[count++] = ca;
    }
    while (*more) {
        words[count++] = *more++;
    }
    return end(start("hathora-tokens", words, 0));
}

#define CA "build/certs/ca.pem"

/* ---- A socket of ours that the tool may call. ---- */

static SOCKET listener;

static void listen_begin(unsigned long address)
{
    struct sockaddr_in name;
    int len = sizeof name;
    memset(&name, 0, sizeof name);
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(address);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(listener != INVALID_SOCKET);
    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &len), 0);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
}

/* Takes a connection and its request's head. */
static SOCKET listen_accept(char *head, size_t size)
{
    SOCKET s = accept(listener, NULL, NULL);
    size_t len = 0;
    assert_true(s != INVALID_SOCKET);
    head[0] = 0;
    while (!strstr(head, "\r\n\r\n")) {
        int n = recv(s, head + len, (int)(size - 1 - len), 0);
        assert_true(n > 0);
        len += (size_t)n;
        head[len] = 0;
    }
    return s;
}

/* ---- The ROOT store. ---- */

static PCCERT_CONTEXT root_read(void)
{
    char pem[8192];
    BYTE der[8192];
    DWORD len = sizeof der;
    FILE *file = fopen(CA, "rb");
    PCCERT_CONTEXT root;
    size_t n;
    assert_non_null(file);
    n = fread(pem, 1, sizeof pem, file);
    fclose(file);
    assert_true(CryptStringToBinaryA(pem, (DWORD)n, CRYPT_STRING_BASE64HEADER, der, &len, NULL, NULL));
    root = CertCreateCertificateContext(X509_ASN_ENCODING, der, len);
    assert_non_null(root);
    return root;
}

/* The store takes a change when it is closed. */
static void root_change(PCCERT_CONTEXT root, bool add)
{
    HCERTSTORE store =
        CertOpenStore(CERT_STORE_PROV_SYSTEM_REGISTRY_W, 0, 0, CERT_SYSTEM_STORE_CURRENT_USER, L"ROOT");
    PCCERT_CONTEXT found =
        store ? CertFindCertificateInStore(store, X509_ASN_ENCODING, 0, CERT_FIND_EXISTING, root, NULL)
              : NULL;
    assert_non_null(store);
    assert_true(!found || CertDeleteCertificateFromStore(found));
    assert_true(!add || CertAddCertificateContextToStore(store, root, CERT_STORE_ADD_ALWAYS, NULL));
    assert_true(CertCloseStore(store, 0));
}

static void roots_of_the_users_store_are_trusted(void **state)
{
    PCCERT_CONTEXT root = root_read();
    struct program *with;
    (void)state;
    root_change(root, false); /* which an interrupted run may have left */
    start_emulator(WORDS(PAIR));
    expect_end(call(NULL, WORDS("list", "-ojson")), 5, "", "ConnectionError");
    root_change(root, true);
    with = call(NULL, WORDS("list", "-ojson"));
    root_change(root, false);
    CertFreeCertificateContext(root);
    expect_end(with, 0, "{\"tokens\":[]}\n", "");
    expect_end(call(NULL, WORDS("list", "-ojson")), 5, "", "ConnectionError");
}

/* ---- Name look-up. ---- */

static void an_unknown_host_is_named(void **state)
{
    (void)state;
    snprintf(endpoint, sizeof endpoint, "https://no-such-host.invalid");
    expect_end(call(CA, WORDS("list")), 5, "", "no-such-host.invalid");
}

static void a_known_host_is_found_and_called(void **state)
{
    char host[256], url[300], head[1024];
    struct addrinfo hints, *list = NULL;
    struct program *p;
    (void)state;
    assert_int_equal(gethostname(host, sizeof host), 0);
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_INET;
    if (getaddrinfo(host, NULL, &hints, &list) != 0) {
        print_message("skipped: this machine cannot look up its own name\n");
        skip();
    }
    freeaddrinfo(list);
    listen_begin(INADDR_ANY);
    snprintf(url, sizeof url, "https://%s:%s", host, strrchr(endpoint, ':') + 1);
    p = start("hathora-tokens", WORDS("--endpoint", url, "--org", "a", "--ca-file", CA, "list"), 0);
    {
        SOCKET s = accept(listener, NULL, NULL);
        assert_true(s != INVALID_SOCKET);
        assert_true(recv(s, head, sizeof head, 0) > 5);
        assert_int_equal(head[0], 22); /* a TLS handshake */
        closesocket(s);
    }
    closesocket(listener);
    expect_end(end(p), 5, "", "ConnectionError");
}

/* ---- Console events. ---- */

static void a_console_event_ends_a_waiting_call_with_130(void **state)
{
    struct program *p;
    char head[2048];
    SOCKET s;
    (void)state;
    listen_begin(INADDR_LOOPBACK);
    p = start("hathora-tokens", WORDS("--endpoint", endpoint, "--org", "a", "list", "-ojson"), 0);
    s = listen_accept(head, sizeof head);
    press_ctrl_c();
    expect_end(end(p), 130, "", "{\"error\":{\"type\":\"RequestAbortedError\"");
    closesocket(s);
    closesocket(listener);
}

static void a_console_event_ends_the_reading_of_a_token(void **state)
{
    char name[64];
    HANDLE pipe;
    DWORD n;
    struct program *p;
    (void)state;
    snprintf(name, sizeof name, "\\\\.\\pipe\\hathora-%lu", GetCurrentProcessId());
    pipe = CreateNamedPipeA(name, PIPE_ACCESS_OUTBOUND, PIPE_TYPE_BYTE | PIPE_WAIT, 1, 4096, 4096, 0, NULL);
    assert_true(pipe != INVALID_HANDLE_VALUE);
    p = start("hathora-tokens",
              WORDS("--endpoint", "http://127.0.0.1:1", "--org", "a", "--token-file", name, "list"), 0);
    assert_true(ConnectNamedPipe(pipe, NULL) || GetLastError() == ERROR_PIPE_CONNECTED);
    assert_true(WriteFile(pipe, DEV_TOKEN, sizeof DEV_TOKEN - 1, &n, NULL)); /* and no end */
    assert_true(FlushFileBuffers(pipe)); /* the tool has read it, and goes on reading */
    press_ctrl_c();
    expect_end(end(p), 130, "", "hathora-tokens: ");
    assert_null(strstr(p->err, DEV_TOKEN));
    CloseHandle(pipe);
}

static void a_console_event_ends_the_emulator_and_its_state_is_kept(void **state)
{
    static const char file[] = SCRATCH "/" GREEK ".state", port_file[] = SCRATCH "/" GREEK ".port";
    struct program *second;
    (void)state;
    file_remove(file);
    start_emulator(WORDS(PAIR, "--state", file, "--port-file", port_file));
    assert_true(file_is_there(port_file));
    expect_end(call(CA, WORDS("create", "--name", GREEK, "-onameValue")), 0, GREEK "\n", "");
    second = end(start("hathora-emulator", WORDS(PAIR, "--state", file), 0));
    expect_end(second, 1, "", "in use by another process");
    press_ctrl_c();
    expect_end(end(emulator), 0, NULL, "");
    expect_end(call(CA, WORDS("list")), 5, "", "connection refused");
    start_emulator(WORDS(PAIR, "--state", file));
    expect_end(call(CA, WORDS("list", "-onameValue")), 0, GREEK "\n", "");
    file_remove(port_file);
}

static void an_emulator_that_is_killed_has_kept_what_it_answered(void **state)
{
    static const char file[] = SCRATCH "/" GREEK ".state";
    struct program *p;
    char id[64];
    (void)state;
    file_remove(file);
    start_emulator(WORDS(PAIR, "--state", file));
    p = call(CA, WORDS("create", "--name", "gone", "-oorgTokenIdValue"));
    expect_end(p, 0, NULL, "");
    snprintf(id, sizeof id, "%.*s", (int)strcspn(p->out, "\n"), p->out);
    expect_end(call(CA, WORDS("revoke", id, "-ojson")), 0, "true\n", "");
    expect_end(call(CA, WORDS("create", "--name", GREEK, "-onameValue")), 0, GREEK "\n", "");
    assert_true(TerminateProcess(emulator->process.hProcess, 9));
    expect_end(end(emulator), 9, NULL, "");
    start_emulator(WORDS(PAIR, "--state", file));
    expect_end(call(CA, WORDS("list", "--status", "active", "-onameValue")), 0, GREEK "\n", "");
    expect_end(call(CA, WORDS("list", "--status", "revoked", "-onameValue")), 0, "gone\n", "");
}

/* ---- Text and files. ---- */

static size_t shown_on_the_console(wchar_t c)
{
    HANDLE console = CreateFileA("CONOUT$", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                                 NULL, OPEN_EXISTING, 0, NULL);
    CONSOLE_SCREEN_BUFFER_INFO info;
    wchar_t row[512];
    size_t count = 0;
    COORD at = {0, 0};
    DWORD n;
    assert_true(GetConsoleScreenBufferInfo(console, &info));
    for (; at.Y < info.dwSize.Y; at.Y++) {
        assert_true(ReadConsoleOutputCharacterW(console, row, COUNT(row), at, &n));
        for (n = n < (DWORD)info.dwSize.X ? n : (DWORD)info.dwSize.X; n != 0; n--) {
            count += row[n - 1] == c;
        }
    }
    CloseHandle(console);
    return count;
}

static void a_console_shows_what_is_unicode(void **state)
{
    UINT code_page = GetConsoleOutputCP();
    size_t before = shown_on_the_console(0x3a9);
    struct program *p;
    (void)state;
    p = end(start("hathora-emulator", WORDS("--cert", GREEK ".pem", "--key", "x"), ERROR_CONSOLE));
    assert_int_equal(p->status, 1);
    assert_int_equal(shown_on_the_console(0x3a9), before + 1);
    p = end(start("hathora-tokens", WORDS("--org", "a", "--ca-file", GREEK ".pem", "list"), ERROR_CONSOLE));
    assert_int_equal(p->status, 2);
    assert_int_equal(shown_on_the_console(0x3a9), before + 2);
    assert_int_equal(GetConsoleOutputCP(), code_page);
}

static void text_that_is_not_unicode_is_a_usage_error(void **state)
{
    (void)state;
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:1");
    expect_end(call(NULL, WORDS("create", "--name", "a\xed\xa0\x80")), 2, "", "--name");
    set_variable("HATHORA_ORG_ID", "\xed\xb0\x80");
    expect_end(end(start("hathora-tokens", WORDS("--endpoint", endpoint, "list"), 0)), 2, "",
               "HATHORA_ORG_ID");
}

static void variables_and_paths_are_unicode(void **state)
{
    static const char token[] = SCRATCH "/" GREEK ".token", ca[] = SCRATCH "/" GREEK ".pem";
    struct program *p;
    char head[2048];
    SOCKET s;
    FILE *file = fopen(SCRATCH "/token", "wb");
    (void)state;
    assert_non_null(file);
    assert_true(fputs(DEV_TOKEN "\r\n", file) >= 0);
    fclose(file);
    copy_file(SCRATCH "/token", token);
    copy_file(CA, ca);
    listen_begin(INADDR_LOOPBACK);
    set_variable("HATHORA_ORG_ID", GREEK);
    set_variable("SSL_CERT_FILE", ca);
    p = start("hathora-tokens", WORDS("--endpoint", endpoint, "--token-file", token, "list"), 0);
    s = listen_accept(head, sizeof head);
    assert_non_null(strstr(head, "GET /tokens/v1/orgs/%CE%A9%20%E6%BC%A2%20%F0%9F%98%80 HTTP/1.1\r\n"));
    assert_non_null(strstr(head, "\r\nAuthorization: Bearer " DEV_TOKEN "\r\n"));
    closesocket(s);
    closesocket(listener);
    expect_end(end(p), 5, "", "ConnectionError");
}

static void a_session_file_is_written_and_resumed(void **state)
{
    static const char file[] = SCRATCH "/" GREEK ".session";
    struct program *p;
    (void)state;
    file_remove(file);
    start_emulator(WORDS(PAIR));
    p = call(CA, WORDS("list", "-v", "--session-file", file));
    expect_end(p, 0, NULL, "TLS");
    assert_null(strstr(p->err, "resumed"));
    assert_true(file_is_there(file));
    p = call(CA, WORDS("list", "-v", "--session-file", file));
    expect_end(p, 0, NULL, "resumed");
    copy_file(CA, file); /* a slip of the pen is left as it is */
    expect_end(call(CA, WORDS("list", "-v", "--session-file", file)), 0, NULL, "holds something else");
    expect_end(call(file, WORDS("list", "-ojson")), 0, "{\"tokens\":[]}\n", "");
}

static void create_with_closed_output_sends_nothing(void **state)
{
    u_long on = 1;
    (void)state;
    listen_begin(INADDR_LOOPBACK);
    expect_end(
        end(start("hathora-tokens", WORDS("--endpoint", endpoint, "--org", "a", "create", "--name", "n"),
                  OUTPUT_CLOSED)),
        8, "", "lost");
    assert_int_equal(ioctlsocket(listener, FIONBIO, &on), 0);
    assert_true(accept(listener, NULL, NULL) == INVALID_SOCKET);
    assert_int_equal(WSAGetLastError(), WSAEWOULDBLOCK);
    closesocket(listener);
}

/* As by a program that waits for the tool's end first, then reads what it said. */
static void create_ends_before_its_output_is_read(void **state)
{
    struct program *p;
    (void)state;
    start_emulator(WORDS(PAIR));
    p = start("hathora-tokens",
              WORDS("--endpoint", endpoint, "--org", "org-1", "--token", DEV_TOKEN, "--ca-file", CA, "create",
                    "--name", "n", "-onameValue"),
              0);
    assert_int_equal(WaitForSingleObject(p->process.hProcess, 30000), WAIT_OBJECT_0);
    expect_end(end(p), 0, "n\n", "");
}

/* ---- --tls-self; this program is also its openssl.exe. ---- */

/* Each output is the file that the tests have already. */
static int be_openssl(int argc, char **argv)
{
    const char *out = NULL, *from = "build/certs/leaf.key", *subject = "";
    bool self_signed = false;
    int i;
    for (i = 1; i < argc; i++) {
        out = strcmp(argv[i - 1], "-out") == 0 ? argv[i] : out;
        subject = strcmp(argv[i - 1], "-subj") == 0 ? argv[i] : subject;
        self_signed = self_signed || strcmp(argv[i], "-x509") == 0;
    }
    if (strcmp(argv[1], "req") == 0) {
        from = self_signed ? CA : "build/certs/leaf.pem";
        if (strcmp(subject, self_signed ? "/CN=hathora-emulator throw-away CA" : "/CN=localhost") != 0) {
            return 1;
        }
    } else if (strcmp(argv[1], "x509") == 0) {
        from = "build/certs/leaf.pem";
    }
    return out && CopyFileA(from, out, FALSE) ? 0 : 1;
}

static void tls_self_runs_openssl_and_leaves_nothing(void **state)
{
    static char path[32768];
    char self[MAX_PATH], ca[MAX_PATH], *at;
    (void)state;
    assert_true(GetModuleFileNameA(NULL, self, sizeof self) != 0);
    assert_true(GetEnvironmentVariableA("PATH", path, sizeof path) != 0);
    expect_end(end(start("hathora-emulator", WORDS("--tls-self"), 0)), 1, "", "needs the openssl program");
    (void)CreateDirectoryA(SCRATCH "/bin", NULL);
    assert_true(CopyFileA(self, SCRATCH "/bin/openssl.exe", FALSE));
    assert_true(SetEnvironmentVariableA("PATH", SCRATCH "/bin"));
    start_emulator(WORDS("--tls-self"));
    assert_true(SetEnvironmentVariableA("PATH", path));
    while (!strstr(emulator->out, " list\n")) {
        DWORD n = 0;
        assert_true(ReadFile(emulator->output, emulator->out + emulator->out_len, 4096, &n, NULL) && n);
        emulator->out_len += n;
    }
    at = strstr(emulator->out, "--ca-file ") + 10;
    snprintf(ca, sizeof ca, "%.*s", (int)strcspn(at, " "), at);
    assert_true(file_is_there(ca));
    expect_end(call(ca, WORDS("list", "-ojson")), 0, "{\"tokens\":[]}\n", "");
    press_ctrl_c();
    expect_end(end(emulator), 0, NULL, "");
    *strrchr(ca, '/') = 0;
    assert_false(file_is_there(ca));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(roots_of_the_users_store_are_trusted),
        TEST(an_unknown_host_is_named),
        TEST(a_known_host_is_found_and_called),
        TEST(a_console_event_ends_a_waiting_call_with_130),
        TEST(a_console_event_ends_the_reading_of_a_token),
        TEST(a_console_event_ends_the_emulator_and_its_state_is_kept),
        TEST(an_emulator_that_is_killed_has_kept_what_it_answered),
        TEST(a_console_shows_what_is_unicode),
        TEST(text_that_is_not_unicode_is_a_usage_error),
        TEST(variables_and_paths_are_unicode),
        TEST(a_session_file_is_written_and_resumed),
        TEST(create_with_closed_output_sends_nothing),
        TEST(create_ends_before_its_output_is_read),
        TEST(tls_self_runs_openssl_and_leaves_nothing),
    };
    WSADATA data;
    if (argc > 2) {
        return be_openssl(argc, argv);
    }
    folder = argc == 2 ? argv[1] : "build/port/windows/real";
    (void)CreateDirectoryA(SCRATCH, NULL);
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0 || !SetConsoleCtrlHandler(ignore, TRUE)) {
        return 1;
    }
    return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
