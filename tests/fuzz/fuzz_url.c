/* Build: clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_url.c -l:libbearssl.a

   Endpoint URLs, and what becomes of one in a request. The host has no forbidden byte and is no address in disguise,
   the prefix has no dot segment, the parts written again read the same, and no id breaks out of the request line.
   Input: the URL, a line feed, an organization's id. Without a line feed all of it is the URL. */
#define _DEFAULT_SOURCE
#include <arpa/inet.h>
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "fuzz.h"

static void check_failure(const htok_error *e, size_t len)
{
    FUZZ_CHECK(e->kind == HTOK_INVALID_REQUEST_ERROR, "kind");
    FUZZ_CHECK(strcmp(e->path, "server_url") == 0, "path");
    FUZZ_CHECK(e->offset >= 0 && e->offset <= (int64_t)len, "offset lies outside");
}

/* Against the C library's readers, which look-up functions use. */
static void check_host(const htoki_url *url)
{
    struct in_addr odd;
    unsigned char bytes[16];
    size_t len = strlen(url->host), i;
    FUZZ_CHECK(len > 0 && len <= 253, "length of the host");
    for (i = 0; i < len; i++) {
        const char *set = url->bracketed ? "0123456789abcdef:." : "abcdefghijklmnopqrstuvwxyz0123456789-_.";
        FUZZ_CHECK(strchr(set, url->host[i]), "a forbidden byte in the host");
    }
    FUZZ_CHECK(url->bracketed == (url->address.length == 16), "brackets without an address");
    if (url->address.length == 16) {
        FUZZ_CHECK(inet_pton(AF_INET6, url->host, bytes) == 1, "no IPv6 address");
        FUZZ_CHECK(memcmp(bytes, url->address.bytes, 16) == 0, "another IPv6 address");
    } else if (url->address.length == 4) {
        FUZZ_CHECK(inet_pton(AF_INET, url->host, bytes) == 1, "no IPv4 address");
        FUZZ_CHECK(memcmp(bytes, url->address.bytes, 4) == 0, "another IPv4 address");
    } else {
        FUZZ_CHECK(inet_aton(url->host, &odd) == 0, "a name that look-up functions take for an address");
        FUZZ_CHECK(!strstr(url->host, "..") && url->host[0] != '.', "an empty label");
    }
    FUZZ_CHECK(url->port != 0, "port");
    if (!url->secure) {
        FUZZ_CHECK(strcmp(url->host, "localhost") == 0 ||
                       (url->address.length == 4 && url->address.bytes[0] == 127) ||
                       strcmp(url->host, "::1") == 0 || url->address.length == 16,
                   "http:// to a name");
    }
}

static void check_prefix(htok_view prefix)
{
    char segment[4];
    size_t at, filled = 0;
    FUZZ_CHECK(prefix.len == 0 || (prefix.ptr[0] == '/' && prefix.ptr[prefix.len - 1] != '/'), "slashes");
    for (at = 0; at <= prefix.len; at++) {
        char c = at < prefix.len ? prefix.ptr[at] : '/';
        if (c == '/') {
            segment[filled < 3 ? filled : 3] = '\0';
            FUZZ_CHECK(strcmp(segment, ".") != 0 && strcmp(segment, "..") != 0, "a dot segment");
            filled = 0;
            continue;
        }
        FUZZ_CHECK((unsigned char)c > 0x20 && (unsigned char)c < 0x7f && !strchr("?#\"<>\\^`{|}[]", c),
                   "a forbidden byte in the prefix");
        if (c == '%') {
            char digits[3];
            char *end;
            FUZZ_CHECK(prefix.len - at > 2, "half a triplet");
            digits[0] = prefix.ptr[at + 1];
            digits[1] = prefix.ptr[at + 2];
            digits[2] = '\0';
            c = (char)strtoul(digits, &end, 16);
            FUZZ_CHECK(end == digits + 2, "a malformed triplet");
            FUZZ_CHECK((unsigned char)c >= 0x20 && c != 0x7f, "a control in a triplet");
            at += 2;
        }
        if (filled < 3) {
            segment[filled] = c;
        }
        filled++;
    }
}

static void check_round_trip(const htoki_url *url)
{
    char text[4096];
    htoki_url again;
    htok_error e;
    htoki_writer w = htoki_writer_make(text, sizeof text, 0);
    htoki_put_text(&w, url->secure ? "https://" : "http://");
    htoki_put_authority(&w, url);
    htoki_put_view(&w, url->prefix);
    FUZZ_CHECK(htoki_writer_end(&w) < sizeof text, "length");
    htoki_error_clear(&e);
    FUZZ_CHECK(htoki_url_parse(htoki_text(text), &again, &e), "the parts do not read again");
    FUZZ_CHECK(again.secure == url->secure && again.port == url->port && again.bracketed == url->bracketed,
               "parts");
    FUZZ_CHECK(strcmp(again.host, url->host) == 0 && htoki_equal(again.prefix, url->prefix), "parts");
    FUZZ_CHECK(memcmp(&again.address, &url->address, sizeof again.address) == 0, "address");
}

/* A request with the id in its path: three fields of ours, a line each, and the id back from its triplets. */
static void check_request(const htoki_url *url, htok_view id)
{
    htoki_request request;
    htok_error e;
    char whole[16384], pieces[16384], part[97];
    htoki_writer w;
    size_t len, at, n, lines = 0, from, filled = 0;
    memset(&request, 0, sizeof request);
    htoki_error_clear(&e);
    if (htoki_check_id(&e, id, "org_id") != HTOK_OK) {
        return;
    }
    request.operation = HTOKI_REVOKE_ORG_TOKEN;
    request.url = url;
    request.org_id = request.org_token_id = id;
    request.user_agent = htoki_text("agent");
    w = htoki_writer_make(whole, sizeof whole, 0);
    htoki_put_request(&w, &request);
    len = w.total;
    FUZZ_CHECK(len < sizeof whole, "length of a request");
    for (at = 0; at < len; at += n) {
        w = htoki_writer_make(part, sizeof part, at);
        htoki_put_request(&w, &request);
        n = htoki_writer_filled(&w);
        FUZZ_CHECK(n != 0 && n <= sizeof part && w.total == len, "a window");
        memcpy(pieces + at, part, n);
    }
    FUZZ_CHECK(memcmp(whole, pieces, len) == 0, "a request in windows");
    for (at = 0; at < len; at++) {
        FUZZ_CHECK((unsigned char)whole[at] < 0x7f, "a byte beyond ASCII");
        FUZZ_CHECK((whole[at] == '\n') == (at > 0 && whole[at - 1] == '\r'), "a bare line feed or return");
        FUZZ_CHECK(whole[at] >= ' ' || whole[at] == '\r' || whole[at] == '\n', "a control");
        lines += whole[at] == '\n';
    }
    FUZZ_CHECK(lines == 7, "lines of a request");
    FUZZ_CHECK(memcmp(whole, "POST ", 5) == 0, "method");
    FUZZ_CHECK(memcmp(whole + 5, url->prefix.len ? url->prefix.ptr : "", url->prefix.len) == 0, "prefix");
    from = 5 + url->prefix.len + strlen("/tokens/v1/orgs/");
    for (at = from; whole[at] != '/'; at++, filled++) {
        char digits[3];
        char c = whole[at];
        FUZZ_CHECK(c > ' ', "the id ends the request's target");
        if (c == '%') {
            digits[0] = whole[at + 1];
            digits[1] = whole[at + 2];
            digits[2] = '\0';
            c = (char)strtoul(digits, NULL, 16);
            at += 2;
        }
        FUZZ_CHECK(filled < id.len && id.ptr[filled] == c, "the id from its triplets");
    }
    FUZZ_CHECK(filled == id.len && memcmp(whole + at, "/tokens/", 8) == 0, "what follows the id");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const unsigned char *feed = size ? (const unsigned char *)memchr(data, '\n', size) : NULL;
    size_t len = feed ? (size_t)(feed - data) : size, id_len = feed ? size - len - 1 : 0;
    char *text = fuzz_exact(data, len), *id = fuzz_exact(feed ? feed + 1 : data, id_len);
    htoki_url url;
    htok_error e;
    htoki_error_clear(&e);
    if (!htoki_url_parse(htoki_view(text, len), &url, &e)) {
        check_failure(&e, len);
    } else {
        check_host(&url);
        check_prefix(url.prefix);
        check_round_trip(&url);
        if (id_len != 0 && id_len < 1024 && !memchr(id, 0, id_len)) {
            check_request(&url, htoki_view(id, id_len));
        }
    }
    free(text);
    free(id);
    return 0;
}
