/* TLS as openssl s_server and nginx speak it: certificates, keys, suites and versions, each met by the client in this
   program and, where the host can be looked up without help, by the command-line tool. Needs build/hathora-tokens,
   openssl, nginx. */
#define _POSIX_C_SOURCE 200809L
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FOLDER       "build/certs/tls"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HOST         "a.test.example"

/* ---- One case. ---- */

enum { OK = 0, USAGE = 2, HTTP = 4, CONNECTION = 5 }; /* exit statuses of the tool */

typedef struct tls_case {
    const char *label;
    const char *certificate, *chain; /* files of FOLDER without .pem; chain: sent behind the certificate */
    const char *server[8];           /* more arguments of s_server */
    const char *host;    /* NULL: localhost; of a.test.example and the like the tool knows nothing */
    const char *trust;   /* NULL: root */
    const char *pins[2]; /* certificates whose keys are pinned */
    const char *client;  /* the client's own certificate; NULL: none */
    bool both;           /* its key is in the same file */
    int status;
    htok_reason reason;
    const char *text; /* in the line that tells the failure */
} tls_case;

#define FAILS(reason_, text_) .status = CONNECTION, .reason = HTOK_REASON_##reason_, .text = (text_)
#define NO_TRUST_IN(text_)    .status = USAGE, .reason = HTOK_REASON_TRUST_EMPTY, .text = (text_)

/* ---- The server: one after the other, kept while cases in a row want the same. ---- */

typedef struct tls_server {
    const tls_case *of;
    struct live_process *process;
    unsigned port;
} tls_server;

static char here[512];

/* Makes the certificates once, and the file that every server sends for a list. */
static int setup(void **state)
{
    static const char answer[] =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"tokens\":[]}";
    const char *argv[] = {"sh", "tests/tls-certs.sh", FOLDER, NULL};
    struct live_command command;
    const struct live_process *process;
    FILE *file;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    process = live_run(&command);
    if (process->status != 0) {
        print_error("%s", process->err.ptr);
        return -1;
    }
    (void)mkdir(FOLDER "/tokens", 0777);
    (void)mkdir(FOLDER "/tokens/v1", 0777);
    (void)mkdir(FOLDER "/tokens/v1/orgs", 0777);
    file = fopen(FOLDER "/tokens/v1/orgs/org-1", "wb");
    if (!getcwd(here, sizeof here) || !file ||
        fwrite(answer, 1, sizeof answer - 1, file) != sizeof answer - 1) {
        return -1;
    }
    return live_teardown(state) != 0 || fclose(file) != 0 ? -1 : 0;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_server(const tls_case *a, const tls_case *b)
{
    size_t i;
    for (i = 0; i < COUNT(a->server); i++) {
        if (!same_text(a->server[i], b->server[i])) {
            return false;
        }
    }
    return same_text(a->certificate, b->certificate) && same_text(a->chain, b->chain) &&
           same_text(a->host, "::1") == same_text(b->host, "::1");
}

static void serve(tls_server *server, const tls_case *c)
{
    static const char ready[] = "ACCEPT ";
    bool six = same_text(c->host, "::1");
    struct live_command command;
    char certificate[64], key[64], chain[64];
    const char *argv[24] = {"openssl", "s_server", "-HTTP", "-accept", "127.0.0.1:0", "-cert"}, *colon;
    size_t at = 6, i;
    if (server->of && same_server(server->of, c)) {
        return;
    }
    if (server->process) {
        live_kill(server->process);
    }
    snprintf(certificate, sizeof certificate, "%s.pem", c->certificate);
    snprintf(key, sizeof key, "%s.key", c->certificate);
    snprintf(chain, sizeof chain, "%s.pem", c->chain ? c->chain : "");
    argv[4] = six ? "[::1]:0" : "127.0.0.1:0";
    argv[at++] = certificate;
    argv[at++] = "-key";
    argv[at++] = key;
    if (c->chain) {
        argv[at++] = "-cert_chain";
        argv[at++] = chain;
    }
    for (i = 0; i < COUNT(c->server) && c->server[i]; i++) {
        argv[at++] = c->server[i];
    }
    argv[at] = NULL;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    command.folder = FOLDER;
    command.input_open = true;
    server->process = live_start(&command);
    at = live_await_output(server->process, ready, 0) + sizeof ready - 1;
    live_await_output(server->process, "\n", at);
    colon = strstr(server->process->out.ptr + at, six ? "]:" : ":");
    assert_non_null(colon);
    server->port = (unsigned)strtoul(colon + (six ? 2 : 1), NULL, 10);
    server->of = c;
}

/* nginx with the same certificates: in one file, the server's first. server[0] may be protocols, server[1] more
   directives. */
static void serve_by_nginx(tls_server *server, const tls_case *c)
{
    char block[2048], chain[64];
    const char *const argv[] = {"sh", "-c", "cat \"$0.pem\" \"$1\"", c->certificate, chain, NULL};
    const char *path;
    struct live_command command;
    const struct live_process *process;
    const struct live_server *nginx;
    size_t i;
    snprintf(chain, sizeof chain, c->chain ? "%s.pem" : "/dev/null", c->chain);
    memset(&command, 0, sizeof command);
    command.argv = argv;
    command.folder = FOLDER;
    process = live_run(&command);
    assert_int_equal(process->status, 0);
    path = live_write_file("chain.pem", process->out.ptr, process->out.len);
    i = (size_t)snprintf(block, sizeof block,
                         "default_type application/json; types {}\n"
                         "server { listen 127.0.0.1:@PORT@ ssl; listen [::1]:@PORT@ ssl; ssl_protocols %s;\n"
                         "ssl_certificate %s; ssl_certificate_key %s/" FOLDER "/%s.key; %s\n"
                         "location = /tokens/v1/orgs/org-1 { return 200 '{\"tokens\":[]}'; } }",
                         c->server[0] ? c->server[0] : "TLSv1.2 TLSv1.3", path, here, c->certificate,
                         c->server[1] ? c->server[1] : "");
    assert_true(i < sizeof block);
    nginx = live_start_nginx(block);
    server->process = nginx->process;
    server->port = nginx->port;
    server->of = c;
}

/* ---- The client in this program: every name is this machine. ---- */

static htok_io lookup_start(void *context, const char *host, htok_io_detail *detail)
{
    (void)context;
    (void)host;
    (void)detail;
    return HTOK_IO_AGAIN;
}

static htok_io lookup_poll(void *context, htok_address *addresses, size_t capacity, size_t *count,
                           htok_io_detail *detail)
{
    (void)context;
    (void)detail;
    assert_true(capacity != 0);
    memset(&addresses[0], 0, sizeof addresses[0]);
    addresses[0].length = 4;
    addresses[0].bytes[0] = 127;
    addresses[0].bytes[3] = 1;
    *count = 1;
    return HTOK_IO_OK;
}

static void lookup_cancel(void *context)
{
    (void)context;
}

static void url_of(const tls_case *c, const tls_server *server, char *url, size_t size)
{
    bool six = same_text(c->host, "::1");
    snprintf(url, size, "https://%s%s%s:%u", six ? "[" : "", c->host ? c->host : "localhost", six ? "]" : "",
             server->port);
}

static void trust_of(const tls_case *c, char *path, size_t size)
{
    const char *name = c->trust ? c->trust : "root";
    snprintf(path, size, "%s/" FOLDER "/%s%s", here, name, strchr(name, '.') ? "" : ".pem");
}

static size_t pins_of(const tls_case *c, char pins[2][64], const char **list)
{
    size_t i;
    for (i = 0; i < COUNT(c->pins) && c->pins[i]; i++) {
        char path[128];
        FILE *file;
        snprintf(path, sizeof path, FOLDER "/%s.pin", c->pins[i]);
        file = fopen(path, "rb");
        assert_non_null(file);
        memcpy(pins[i], "sha256/", 8);
        assert_non_null(fgets(pins[i] + 7, 64 - 7, file));
        fclose(file);
        list[i] = pins[i];
    }
    return i;
}

static void client_file_of(const tls_case *c, bool key, char *path, size_t size)
{
    snprintf(path, size, "%s/" FOLDER "/%s.%s", here, c->client, key && !c->both ? "key" : "pem");
}

/* A whole file; free it. */
static char *text_of(const char *path, htok_view *text)
{
    FILE *file = fopen(path, "rb");
    char *bytes = (char *)malloc(65536);
    assert_true(file && bytes);
    text->ptr = bytes;
    text->len = fread(bytes, 1, 65536, file);
    fclose(file);
    return bytes;
}

static void expect_text(const char *label, const char *by, const char *line, const char *text)
{
    if (text && !strstr(line, text)) {
        fail_msg("%s, by %s: no \"%s\" in: %s", label, by, text, line);
    }
}

static void by_client(const tls_case *c, const tls_server *server)
{
    static htok_resolver resolver;
    htok_client_options options;
    htok_client *client = NULL;
    htok_error error;
    char url[128], trust[640], pins[2][64], line[1024], path[640], *chain = NULL, *key = NULL;
    const char *pin_list[2];
    memset(&options, 0, sizeof options);
    resolver.start = lookup_start;
    resolver.poll = lookup_poll;
    resolver.cancel = lookup_cancel;
    options.resolver = &resolver;
    url_of(c, server, url, sizeof url);
    trust_of(c, trust, sizeof trust);
    options.server_url = url;
    options.trust_file = trust;
    options.org_id = "org-1";
    options.token = "token";
    options.pins = pin_list;
    options.pin_count = pins_of(c, pins, pin_list);
    if (c->client) {
        client_file_of(c, false, path, sizeof path);
        chain = text_of(path, &options.client_chain);
        client_file_of(c, true, path, sizeof path);
        key = text_of(path, &options.client_key);
    }
    if (htok_client_create(&client, &options, &error) == HTOK_OK && client) {
        (void)htok_get_org_tokens(client, NULL, NULL, NULL);
        error = *htok_client_error(client);
    }
    htok_error_format(&error, line, sizeof line);
    if (error.reason != c->reason) {
        fail_msg("%s, by client: %s, not %s: %s", c->label, htok_reason_name(error.reason),
                 htok_reason_name(c->reason), line);
    }
    if (c->status == CONNECTION) {
        assert_int_equal(error.kind, HTOK_CONNECTION_ERROR);
        assert_false(error.may_have_taken_effect);
        assert_int_equal(error.status, 0);
    }
    expect_text(c->label, "client", line, c->text);
    htok_client_close(client);
    free(chain);
    free(key);
}

static void by_tool(const tls_case *c, const tls_server *server, const char *tool)
{
    const char *argv[24];
    char url[128], trust[640], pins[2][64], certificate[640], key[640];
    const char *pin_list[2];
    struct live_command command;
    const struct live_process *process;
    size_t at = 0, i, count;
    url_of(c, server, url, sizeof url);
    trust_of(c, trust, sizeof trust);
    count = pins_of(c, pins, pin_list);
    argv[at++] = tool;
    argv[at++] = "--endpoint";
    argv[at++] = url;
    argv[at++] = "--org";
    argv[at++] = "org-1";
    argv[at++] = "--token";
    argv[at++] = "token";
    argv[at++] = "--ca-file";
    argv[at++] = trust;
    for (i = 0; i < count; i++) {
        argv[at++] = "--pin";
        argv[at++] = pin_list[i];
    }
    if (c->client) {
        client_file_of(c, false, certificate, sizeof certificate);
        argv[at++] = "--cert";
        argv[at++] = certificate;
    }
    if (c->client && !c->both) {
        client_file_of(c, true, key, sizeof key);
        argv[at++] = "--key";
        argv[at++] = key;
    }
    argv[at++] = "-ojson";
    argv[at++] = "list";
    argv[at] = NULL;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    process = live_run(&command);
    if (process->status != c->status) {
        fail_msg("%s, by tool: exit %d, not %d: %s%s", c->label, process->status, c->status, process->out.ptr,
                 process->err.ptr);
    }
    assert_string_equal(process->out.ptr, c->status == OK ? "{\"tokens\":[]}\n" : "");
    assert_int_equal(live_count(&process->err, "\n"), c->status == OK ? 0 : 1);
    expect_text(c->label, "tool", process->err.ptr, c->text);
}

static void check_cases(const tls_case *cases, size_t count, void (*serve_it)(tls_server *, const tls_case *))
{
    char tool[640];
    tls_server server;
    size_t i;
    memset(&server, 0, sizeof server);
    snprintf(tool, sizeof tool, "%s", live_tool());
    for (i = 0; i < count; i++) {
        const tls_case *c = &cases[i];
        serve_it(&server, c);
        by_client(c, &server);
        if (!c->host || strchr("0123456789:", c->host[0])) {
            by_tool(c, &server, tool);
        }
    }
}
#define CHECK_CASES(cases) check_cases(cases, COUNT(cases), serve)

/* ---- The cases. ---- */

static void names_and_addresses(void **state)
{
    static const tls_case cases[] = {
        {"localhost", "good", .status = OK},
        {"IPv4", "good", .host = "127.0.0.1"},
        {"exact", "good", .host = HOST},
        {"upper case and a last dot", "good", .host = "A.Test.EXAMPLE."},
        {"wildcard", "good", .host = "q.w.example"},
        {"wildcard, two labels", "good", .host = "p.q.w.example",
         FAILS(CERTIFICATE_NAME, "certificate is for")},
        {"wildcard, no label", "good", .host = "w.example", FAILS(CERTIFICATE_NAME, "certificate is for")},
        {"another name", "good", .host = "b.test.example",
         FAILS(CERTIFICATE_NAME,
               "certificate is for a.test.example, localhost, *.w.example, 127.0.0.1, 0000:0000")},
        {"another name, and untrusted", "good", .host = "b.test.example", .trust = "other",
         FAILS(CERTIFICATE_NAME, HOST)},
        {"IPv6", "good", .host = "::1"},
        {"wildcard of one label", "wildtop", .host = "a.example",
         FAILS(CERTIFICATE_NAME, "certificate is for *.example")},
        {"wildcard of addresses", "wildaddress", .host = "127.0.0.1",
         FAILS(CERTIFICATE_NAME, "certificate is for *.0.0.1, 127.0.0.1")},
        {"wildcard in a label", "wildpart", .host = "aa.test.example",
         FAILS(CERTIFICATE_NAME, "a*.test.example")},
        {"wildcard in the middle", "wildpart", .host = "a.b.example", FAILS(CERTIFICATE_NAME, "a.*.example")},
        {"wildcard twice", "wildtwice", .host = "a.b.example", FAILS(CERTIFICATE_NAME, "*.*.example")},
        {"wildcard alone", "wildtwice", FAILS(CERTIFICATE_NAME, "check the host in the URL")},
        {"many names", "many", .host = HOST, FAILS(CERTIFICATE_NAME, "host1.elsewhere.example, ")},
        {"many names are cut", "many", FAILS(CERTIFICATE_NAME, "...")},
        {"another IPv4", "addresses", .host = "127.0.0.1",
         FAILS(CERTIFICATE_NAME, "certificate is for 10.1.2.3, 2001:0db8:0000:0000:0000:0000:0000:0001")},
        {"another IPv6", "addresses", .host = "::1", FAILS(CERTIFICATE_NAME, "certificate is for 10.1.2.3")},
        {"addresses alone", "addresses", FAILS(CERTIFICATE_NAME, "certificate is for 10.1.2.3")},
        {"no names", "nosan", .host = HOST, FAILS(CERTIFICATE_NAME, "certificate holds no subjectAltName")},
        {"version 1 with a common name", "v1",
         FAILS(CERTIFICATE_NAME, "a common name without subjectAltName is not enough")},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void dates(void **state)
{
    static const tls_case cases[] = {
        {"expired", "expired",
         FAILS(CERTIFICATE_TIME, "valid from 2020-01-01 00:00 to 2021-01-01 00:00, checked at 2")},
        {"the clock first", "expired", FAILS(CERTIFICATE_TIME, "check this machine's clock first")},
        {"not yet valid", "notyet", FAILS(CERTIFICATE_TIME, "valid from 2090-01-01 00:00 to ")},
        {"intermediate expired", "byexpired", .chain = "intexpired",
         FAILS(CERTIFICATE_TIME, "valid from 2020-01-01 00:00 to 2021-01-01 00:00, checked at 2")},
        {"intermediate not yet valid", "bynotyet", .chain = "intnotyet",
         FAILS(CERTIFICATE_TIME, "valid from 2090-01-01 00:00 to ")},
        {"root expired", "underold", .trust = "oldandroot",
         FAILS(CERTIFICATE_UNTRUSTED, "the trusted certificate that may have signed has expired")},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void chains(void **state)
{
    static const tls_case cases[] = {
        {"in order", "byplain", .chain = "intplain"},
        {"root sent too", "byplain", .chain = "withroot"},
        {"wrong order", "byplain", .chain = "wrongorder",
         FAILS(CERTIFICATE_UNTRUSTED, "is not from the issuer of the one before")},
        {"missing intermediate", "byplain",
         FAILS(CERTIFICATE_UNTRUSTED, "the server may leave out its intermediate certificates")},
        {"intermediate trusted", "byplain", .trust = "intplain"},
        {"path length", "bydeep", .chain = "deep", FAILS(CERTIFICATE_INVALID, "BR_ERR_X509_NOT_CA")},
        {"path of two", "bylong2", .chain = "long2"},
        {"path length of the root", "byshort", .chain = "intshort", .trust = "rootshort",
         FAILS(CERTIFICATE_UNTRUSTED,
               "the trusted certificate that may have signed may not, by its keyUsage or path length")},
        {"path ends early", "bydeep", .chain = "deep", .trust = "intdeep"},
        {"RSA", "byrsa", .chain = "intrsa", .trust = "rootrsa"},
        {"unknown CA", "good", .trust = "other",
         FAILS(CERTIFICATE_UNTRUSTED, "the server sent 1 certificate; its issuer is not among the trusted")},
        {"DER trust", "good", .trust = "root.der"},
        {"rejected trust", "good", .trust = "rejected", .status = USAGE,
         .reason = HTOK_REASON_TRUST_MALFORMED},
        {"the server's own", "good", .trust = "good"},
        {"roots of one name", "good", .trust = "twinroot"},
        {"roots of one name, the other way", "good", .trust = "roottwin"},
        {"root of that name, another key", "good", .trust = "twin",
         FAILS(CERTIFICATE_UNTRUSTED, "has the issuer's name, but did not sign")},
        {"issuer is no CA", "bynoca", .chain = "intnoca", FAILS(CERTIFICATE_INVALID, "BR_ERR_X509_NOT_CA")},
        {"issuer is no CA, but trusted", "bynoca", .trust = "intnoca",
         FAILS(CERTIFICATE_UNTRUSTED, "the trusted certificate that may have signed is no CA's")},
        {"under a P-384 root", "under384", .trust = "twinroot"},
        {"under an RSA root", "rsa2048", .trust = "twinrsaroot"},
        {"under an RSA root of the same name", "undertwinrsa", .trust = "rsatwin"},
        {"under a root of version 1", "byv1", .trust = "rootv1"},
        {"a CA for a server", "authority", FAILS(CERTIFICATE_USAGE, "it is a CA's certificate")},
        {"a CA for a server, trusted", "authority", .trust = "authority"},
        {"self-signed, unknown", "self",
         FAILS(CERTIFICATE_UNTRUSTED, "its root is missing among the trusted")},
        {"self-signed, trusted", "self", .trust = "self"},
        {"self-signed, trusted, another name", "self", .host = "q.example", .trust = "self",
         FAILS(CERTIFICATE_NAME, "localhost")},
        {"self-signed server", "selfleaf", .trust = "selfleaf"},
        {"self-signed server of the same name", "selfleaf", .trust = "selfother",
         FAILS(CERTIFICATE_UNTRUSTED, "the trusted certificate that may have signed is no CA's")},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void usages_and_name_constraints(void **state)
{
    static const tls_case cases[] = {
        {"no usages", "nousage", .status = OK},
        {"any", "any", .status = OK},
        {"critical, both", "criticalboth", .status = OK},
        {"critical, any", "criticalany", .status = OK},
        {"CA for any", "byany", .chain = "intany"},
        {"client", "client", FAILS(CERTIFICATE_USAGE, "its extendedKeyUsage lacks serverAuth")},
        {"critical, client", "criticalclient",
         FAILS(CERTIFICATE_USAGE, "its extendedKeyUsage lacks serverAuth")},
        {"keyUsage", "encipher", .trust = "rootrsa",
         FAILS(CERTIFICATE_USAGE, "keyUsage or kind of key does not fit the cipher suite")},
        {"CA for clients", "byclient", .chain = "intclient",
         FAILS(CERTIFICATE_USAGE, "the extendedKeyUsage of a CA in the chain lacks serverAuth")},
        {"CA, critical, for servers", "bycritical", .chain = "intcritical"},
        {"unknown critical extension", "critical",
         FAILS(CERTIFICATE_INVALID, "a critical extension in it is not supported")},
        {"permitted", "bynames", .chain = "intnames"},
        {"permitted, below it", "bynames", .chain = "intnames", .host = HOST},
        {"not permitted", "byothernames", .chain = "intothernames",
         FAILS(CERTIFICATE_INVALID, "name constraints of a CA in the chain exclude the host")},
        {"names do not bind addresses", "byothernames", .chain = "intothernames", .host = "127.0.0.1"},
        {"not permitted, not critical", "bysoftnames", .chain = "intsoftnames",
         FAILS(CERTIFICATE_INVALID, "name constraints")},
        {"excluded, not critical", "bysoftnonames", .chain = "intsoftnonames",
         FAILS(CERTIFICATE_INVALID, "name constraints")},
        {"another excluded, not critical", "bysoftnonames", .chain = "intsoftnonames", .host = HOST},
        {"address not permitted, not critical", "bysoftaddresses", .chain = "intsoftaddresses",
         .host = "127.0.0.1", FAILS(CERTIFICATE_INVALID, "name constraints")},
        {"addresses do not bind names", "bysoftaddresses", .chain = "intsoftaddresses"},
        {"address excluded, not critical", "bysoftnoaddresses", .chain = "intsoftnoaddresses",
         .host = "127.0.0.1", FAILS(CERTIFICATE_INVALID, "name constraints")},
        {"IPv6 permitted", "bysix", .chain = "intsix", .host = "::1"},
        {"IPv4 where IPv6 is permitted", "bysix", .chain = "intsix", .host = "127.0.0.1",
         FAILS(CERTIFICATE_INVALID, "name constraints")},
        {"IPv6 excluded", "bynosix", .chain = "intnosix", .host = "::1",
         FAILS(CERTIFICATE_INVALID, "name constraints")},
        {"excluded", "bynonames", .chain = "intnonames", FAILS(CERTIFICATE_INVALID, "name constraints")},
        {"another excluded", "bynonames", .chain = "intnonames", .host = HOST},
        {"address permitted", "byaddresses", .chain = "intaddresses", .host = "127.0.0.1"},
        {"another family", "byaddresses", .chain = "intaddresses", .host = "::1",
         FAILS(CERTIFICATE_INVALID, "name constraints")},
        {"addresses excluded", "bynoaddresses", .chain = "intnoaddresses", .host = "127.0.0.1",
         FAILS(CERTIFICATE_INVALID, "name constraints")},
        {"addresses excluded, name used", "bynoaddresses", .chain = "intnoaddresses"},
        {"of an unknown kind", "bymail", .chain = "intmail",
         FAILS(CERTIFICATE_INVALID, "or are of an unknown kind")},
        {"of an unknown kind, not critical", "bysoftmail", .chain = "intsoftmail"},
        {"in the root", "bylimited", .trust = "limited",
         FAILS(CERTIFICATE_UNTRUSTED, "does not allow the host, by its name constraints")},
        {"of addresses in the root", "bylimitedaddress", .trust = "rootlimitedaddress"},
        {"of addresses in the root, and they matter", "bylimitedaddress", .trust = "rootlimitedaddress",
         .host = "127.0.0.1",
         FAILS(CERTIFICATE_UNTRUSTED, "does not allow the host, by its name constraints")},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void keys_and_signatures(void **state)
{
#define WEAK .server = { "-cipher", "ALL:@SECLEVEL=0" }
    static const tls_case cases[] = {
        {"P-256", "good", .status = OK},
        {"P-384", "p384", .status = OK},
        {"P-521", "p521", .status = OK},
        {"RSA 2048", "rsa2048", .trust = "rootrsa"},
        {"RSA 3072", "rsa3072", .trust = "rootrsa"},
        {"RSA 4096", "rsa4096", .trust = "rootrsa"},
        {"RSA 1024", "rsa1024", WEAK, .trust = "rootrsa",
         FAILS(CERTIFICATE_INVALID, "RSA keys of less than 2048 bits are refused")},
        {"SHA-384", "sha384", .trust = "rootrsa"},
        {"SHA-512", "sha512", .trust = "rootrsa"},
        {"SHA-1", "sha1", WEAK, .trust = "rootrsa",
         FAILS(CERTIFICATE_INVALID, "SHA-1, RSA-PSS, Ed25519 and unusual curves are not supported")},
        {"SHA-1 of an intermediate", "bysha1", .chain = "intsha1", WEAK, .trust = "rootrsa",
         FAILS(CERTIFICATE_INVALID, "SHA-1, RSA-PSS, Ed25519 and unusual curves are not supported")},
        {"RSA 1024 of an intermediate", "by1024", .chain = "int1024", WEAK, .trust = "rootrsa",
         FAILS(CERTIFICATE_INVALID, "RSA keys of less than 2048 bits are refused")},
        {"RSA 8192", "rsa8192", .trust = "rootrsa",
         FAILS(CERTIFICATE_INVALID, "RSA keys of more than 4096 bits are not supported")},
        {"RSA 8192 of an intermediate", "by8192", .chain = "int8192", .trust = "rootrsa",
         FAILS(CERTIFICATE_INVALID, "RSA keys of more than 4096 bits are not supported")},
        {"RSA-PSS signature", "pss", .trust = "rootrsa",
         FAILS(CERTIFICATE_INVALID, "SHA-1, RSA-PSS, Ed25519 and unusual curves are not supported")},
        {"RSA-PSS key", "psskey", .trust = "rootrsa", FAILS(TLS_ALERT, "handshake_failure")},
        {"Ed25519", "ed25519", FAILS(TLS_ALERT, "handshake_failure")},
        {"Ed25519 of an intermediate", "byed25519", .chain = "inted25519",
         FAILS(CERTIFICATE_INVALID, "SHA-1, RSA-PSS, Ed25519 and unusual curves are not supported")},
        {"P-384 throughout", "by384", .chain = "int384"},
        {"P-521 throughout", "by521", .chain = "int521"},
        {"under a P-521 root", "under521", .trust = "root521"},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void versions_suites_and_protocols(void **state)
{
#define SUITE(name) .server = { "-tls1_2", "-cipher", name }
    static const tls_case cases[] = {
        {"AES-128, ECDSA", "good", SUITE("ECDHE-ECDSA-AES128-GCM-SHA256")},
        {"AES-256, ECDSA", "good", SUITE("ECDHE-ECDSA-AES256-GCM-SHA384")},
        {"ChaCha20, ECDSA", "good", SUITE("ECDHE-ECDSA-CHACHA20-POLY1305")},
        {"AES-128, RSA", "rsa2048", SUITE("ECDHE-RSA-AES128-GCM-SHA256"), .trust = "rootrsa"},
        {"AES-256, RSA", "rsa2048", SUITE("ECDHE-RSA-AES256-GCM-SHA384"), .trust = "rootrsa"},
        {"ChaCha20, RSA", "rsa2048", SUITE("ECDHE-RSA-CHACHA20-POLY1305"), .trust = "rootrsa"},
        {"CBC", "rsa2048", SUITE("ECDHE-RSA-AES256-SHA384"), .trust = "rootrsa",
         FAILS(TLS_ALERT, "another cipher suite than ECDHE with AES-GCM or ChaCha20")},
        {"RSA key exchange", "rsa2048", SUITE("AES128-GCM-SHA256"), .trust = "rootrsa",
         FAILS(TLS_ALERT, "another cipher suite than ECDHE")},
        {"X25519", "good", .server = {"-groups", "X25519"}},
        {"P-256", "good", .server = {"-groups", "P-256"}},
        {"P-384", "good", .server = {"-groups", "P-384"}},
        {"TLS 1.3 alone", "good", .server = {"-tls1_3"}, FAILS(TLS_ALERT, "this server refuses TLS 1.2")},
        {"TLS 1.1 alone", "rsa2048", .server = {"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, .trust = "rootrsa",
         FAILS(TLS_ALERT, "or an older TLS than 1.2")},
        {"TLS 1.0 alone", "rsa2048", .server = {"-tls1", "-cipher", "ALL:@SECLEVEL=0"}, .trust = "rootrsa",
         FAILS(TLS_ALERT, "or an older TLS than 1.2")},
        {"http/1.1", "good", .server = {"-alpn", "http/1.1"}},
        {"h2 or http/1.1", "good", .server = {"-alpn", "h2,http/1.1"}},
        {"h2 alone", "good", .server = {"-alpn", "h2"},
         FAILS(TLS_ALPN, "the server does not offer HTTP/1.1")},
        {"client certificate", "good", .server = {"-Verify", "1"},
         FAILS(CLIENT_CERTIFICATE_MISSING, "; set client_chain and client_key")},
        {"client certificate, if there is one", "good", .server = {"-verify", "1"}},
        {"small fragments", "good", .server = {"-max_send_frag", "512"}},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void nginx_is_judged_alike(void **state)
{
    static const tls_case cases[] = {
        {"P-256", "good", .status = OK},
        {"RSA", "rsa3072", .trust = "rootrsa"},
        {"IPv4", "good", .host = "127.0.0.1"},
        {"IPv6", "good", .host = "::1"},
        {"wildcard", "good", .host = "q.w.example"},
        {"intermediate", "byplain", .chain = "intplain"},
        {"another name", "good", .host = "b.test.example",
         FAILS(CERTIFICATE_NAME, "certificate is for a.test.example, localhost, ")},
        {"another address", "addresses", .host = "127.0.0.1",
         FAILS(CERTIFICATE_NAME, "certificate is for 10.1.2.3")},
        {"no names", "nosan", .host = HOST, FAILS(CERTIFICATE_NAME, "certificate holds no subjectAltName")},
        {"expired", "expired", FAILS(CERTIFICATE_TIME, "valid from 2020-01-01 00:00 to 2021-01-01 00:00")},
        {"not yet valid", "notyet", FAILS(CERTIFICATE_TIME, "valid from 2090-01-01 00:00 to ")},
        {"missing intermediate", "byplain",
         FAILS(CERTIFICATE_UNTRUSTED, "the server may leave out its intermediate certificates")},
        {"unknown CA", "good", .trust = "other",
         FAILS(CERTIFICATE_UNTRUSTED, "its issuer is not among the trusted")},
        {"self-signed", "self", FAILS(CERTIFICATE_UNTRUSTED, "its root is missing among the trusted")},
        {"self-signed, trusted", "self", .trust = "self"},
        {"for clients", "client", FAILS(CERTIFICATE_USAGE, "its extendedKeyUsage lacks serverAuth")},
        {"a CA's", "authority", FAILS(CERTIFICATE_USAGE, "it is a CA's certificate")},
        {"path length", "bydeep", .chain = "deep",
         FAILS(CERTIFICATE_INVALID, "its CA allows no chain of this length")},
        {"constraints", "byothernames", .chain = "intothernames",
         FAILS(CERTIFICATE_INVALID, "name constraints of a CA in the chain exclude the host")},
        {"RSA 8192", "rsa8192", .trust = "rootrsa",
         FAILS(CERTIFICATE_INVALID, "RSA keys of more than 4096 bits are not supported")},
        {"Ed25519", "ed25519", FAILS(TLS_ALERT, "handshake_failure")},
        {"TLS 1.3 alone", "good", .server = {"TLSv1.3"}, FAILS(TLS_ALERT, "this server refuses TLS 1.2")},
    };
    (void)state;
    check_cases(cases, COUNT(cases), serve_by_nginx);
}

static void pins(void **state)
{
    static const tls_case cases[] = {
        {"leaf", "good", .pins = {"good"}},
        {"root", "good", .pins = {"root"}},
        {"another", "good", .pins = {"other"}, FAILS(CERTIFICATE_PIN, "seen: sha256/")},
        {"spare first", "good", .pins = {"other", "good"}},
        {"address", "good", .host = "127.0.0.1", .pins = {"good"}},
        {"untrusted", "good", .trust = "other", .pins = {"good"}, FAILS(CERTIFICATE_UNTRUSTED, "")},
        {"intermediate", "byplain", .chain = "intplain", .pins = {"other", "intplain"}},
        {"root above it", "byplain", .chain = "intplain", .pins = {"root"}},
        {"none of three", "byplain", .chain = "intplain", .pins = {"other"},
         FAILS(CERTIFICATE_PIN, "the server may have a new key, or somebody is in between")},
        {"RSA leaf", "rsa2048", .trust = "rootrsa", .pins = {"rsa2048"}},
        {"RSA root", "rsa2048", .trust = "rootrsa", .pins = {"rootrsa"}},
        {"P-384 leaf", "p384", .pins = {"p384"}},
        {"trusted itself", "selfleaf", .trust = "selfleaf", .pins = {"selfleaf"}},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void trust_without_use_is_told_before_anything_is_sent(void **state)
{
    static const tls_case cases[] = {
        {"Ed25519", "good", .trust = "ed25519", NO_TRUST_IN("certificates: 1, ")},
        {"RSA of 8192 bits", "under8192", .trust = "root8192",
         NO_TRUST_IN("another key than RSA of 2048 to 4096 bits")},
        {"unknown critical extension", "underunknown", .trust = "rootunknown",
         NO_TRUST_IN("certificates: 1, ")},
        {"for clients", "underclient", .trust = "rootclient", NO_TRUST_IN("certificates: 1, ")},
        {"RSA of 1024 bits", "good", .trust = "rsa1024",
         NO_TRUST_IN("another key than RSA of 2048 to 4096 bits")},
        {"a key", "good", .trust = "good.key", NO_TRUST_IN("certificates: 0")},
        {"no file", "good", .trust = "missing", .status = USAGE, .reason = HTOK_REASON_TRUST_UNREADABLE,
         .text = "missing.pem"},
    };
    (void)state;
    CHECK_CASES(cases);
}

/* ---- The clock. ---- */

static uint64_t monotonic_ms(void *context)
{
    struct timespec t;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool unix_seconds(void *context, int64_t *seconds)
{
    *seconds = *(const int64_t *)context;
    return *seconds >= 0;
}

static void a_clock_that_is_unknown_or_wrong(void **state)
{
    static const struct {
        int64_t seconds; /* -1: unknown */
        htok_reason reason;
        const char *text;
    } rows[] = {{-1, HTOK_REASON_TIME_UNKNOWN, "the time is unknown, so certificates cannot be checked"},
                {0, HTOK_REASON_TIME_UNKNOWN, "the time is unknown"},
                {1000000000, HTOK_REASON_CERTIFICATE_TIME, "checked at 2001-09-09 01:46 UTC"},
                {253402300800, HTOK_REASON_TIME_UNKNOWN, "the time is unknown"}};
    static const tls_case good = {"good", "good", .status = OK};
    tls_server server;
    size_t i;
    (void)state;
    memset(&server, 0, sizeof server);
    serve(&server, &good);
    for (i = 0; i < COUNT(rows); i++) {
        htok_clock clock;
        htok_client_options options;
        htok_client *client = NULL;
        htok_error error;
        int64_t now = rows[i].seconds;
        char url[128], trust[640], line[1024];
        memset(&options, 0, sizeof options);
        clock.context = &now;
        clock.monotonic_ms = monotonic_ms;
        clock.unix_seconds = unix_seconds;
        url_of(&good, &server, url, sizeof url);
        trust_of(&good, trust, sizeof trust);
        options.server_url = url;
        options.trust_file = trust;
        options.org_id = "org-1";
        options.clock = &clock;
        if (htok_client_create(&client, &options, &error) == HTOK_OK && client) {
            (void)htok_get_org_tokens(client, NULL, NULL, NULL);
            error = *htok_client_error(client);
        }
        htok_error_format(&error, line, sizeof line);
        if (error.reason != rows[i].reason) {
            fail_msg("%ld: %s", (long)now, line);
        }
        expect_text("clock", "client", line, rows[i].text);
        htok_client_close(client);
    }
}

/* A server that wants a client certificate from the root. */
#define DEMANDING               .server = {"-Verify", "4", "-verify_return_error", "-CAfile", "root.pem"}
#define REFUSED(reason_, text_) .status = USAGE, .reason = HTOK_REASON_##reason_, .text = (text_)

static void client_certificates_open_a_server(void **state)
{
    static const tls_case cases[] = {
        {.label = "P-256", .certificate = "good", DEMANDING, .client = "clientp256"},
        {.label = "P-384", .certificate = "good", DEMANDING, .client = "clientp384"},
        {.label = "P-521, key in the same file",
         .certificate = "good",
         DEMANDING,
         .client = "clientboth",
         .both = true},
        {.label = "RSA", .certificate = "good", DEMANDING, .client = "clientrsa"},
        {.label = "PKCS #1", .certificate = "good", DEMANDING, .client = "clientpkcs1"},
        {.label = "SEC 1", .certificate = "good", DEMANDING, .client = "clientsec1"},
        {.label = "with an intermediate", .certificate = "good", DEMANDING, .client = "clientchain"},
        {.label = "none",
         .certificate = "good",
         DEMANDING,
         FAILS(CLIENT_CERTIFICATE_MISSING, "; set client_chain and client_key")},
        {.label = "without its intermediate",
         .certificate = "good",
         DEMANDING,
         .client = "clientbelow",
         FAILS(CLIENT_CERTIFICATE_REFUSED, "the server refuses the client certificate: ")},
        {.label = "of another authority",
         .certificate = "good",
         DEMANDING,
         .client = "clientother",
         FAILS(CLIENT_CERTIFICATE_REFUSED,
               "no known authority vouches for a certificate [alert received: unknown_ca")},
        {.label = "asked for and not demanded",
         .certificate = "good",
         .server = {"-verify", "4", "-CAfile", "root.pem"}},
        {.label = "never asked for", .certificate = "good", .client = "clientp256"},
        {.label = "ECDSA for a server that takes RSA",
         .certificate = "good",
         .server = {"-Verify", "4", "-verify_return_error", "-CAfile", "root.pem", "-client_sigalgs",
                    "RSA+SHA256"},
         .client = "clientp256",
         FAILS(CLIENT_CERTIFICATE_REFUSED, "the server takes no signature by this kind of key")},
        {.label = "SHA-512 alone",
         .certificate = "good",
         .server = {"-Verify", "4", "-verify_return_error", "-CAfile", "root.pem", "-client_sigalgs",
                    "RSA+SHA512"},
         .client = "clientrsa"},
        {.label = "encrypted key",
         .certificate = "good",
         .client = "clientencrypted",
         REFUSED(CLIENT_KEY_ENCRYPTED, "decrypt it first")},
        {.label = "encrypted key in the old form",
         .certificate = "good",
         .client = "clientold",
         REFUSED(CLIENT_KEY_ENCRYPTED, "decrypt it first")},
        {.label = "another key",
         .certificate = "good",
         .client = "clientwrong",
         REFUSED(CLIENT_KEY_MISMATCH, "does not belong to the first client certificate")},
        {.label = "an Ed25519 key",
         .certificate = "good",
         .client = "ed25519",
         REFUSED(CLIENT_KEY_UNSUPPORTED, "is not RSA of 2048 to 4096 bits")},
    };
    (void)state;
    check_cases(cases, COUNT(cases), serve);
}

/* nginx lets the handshake pass, and answers with a page of its own instead. */
static void client_certificates_open_nginx(void **state)
{
#define NGINX(directives) .server = { "TLSv1.2", directives " ssl_verify_depth 4;" }
#define ASKED             NGINX("ssl_verify_client on; ssl_client_certificate ../../certs/tls/root.pem;")
    static const tls_case cases[] = {
        {.label = "P-256", .certificate = "good", ASKED, .client = "clientp256"},
        {.label = "P-384", .certificate = "good", ASKED, .client = "clientp384"},
        {.label = "RSA", .certificate = "rsa2048", ASKED, .trust = "rootrsa", .client = "clientrsa"},
        {.label = "with an intermediate", .certificate = "good", ASKED, .client = "clientchain"},
        {.label = "none",
         .certificate = "good",
         ASKED,
         .status = HTTP,
         .reason = HTOK_REASON_STATUS_ERROR,
         .text = "400"},
        {.label = "without its intermediate",
         .certificate = "good",
         ASKED,
         .client = "clientbelow",
         .status = HTTP,
         .reason = HTOK_REASON_STATUS_ERROR,
         .text = "400"},
        {.label = "of another authority",
         .certificate = "good",
         ASKED,
         .client = "clientother",
         .status = HTTP,
         .reason = HTOK_REASON_STATUS_ERROR,
         .text = "400"},
        {.label = "asked for and not demanded",
         .certificate = "good",
         NGINX("ssl_verify_client optional; ssl_client_certificate ../../certs/tls/root.pem;")},
    };
    (void)state;
    check_cases(cases, COUNT(cases), serve_by_nginx);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_teardown(name, live_teardown)
    const struct CMUnitTest tests[] = {
        TEST(names_and_addresses),
        TEST(dates),
        TEST(chains),
        TEST(usages_and_name_constraints),
        TEST(keys_and_signatures),
        TEST(versions_suites_and_protocols),
        TEST(nginx_is_judged_alike),
        TEST(pins),
        TEST(trust_without_use_is_told_before_anything_is_sent),
        TEST(a_clock_that_is_unknown_or_wrong),
        TEST(client_certificates_open_a_server),
        TEST(client_certificates_open_nginx),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests_name("tls", tests, setup, NULL);
}
