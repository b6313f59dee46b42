/* No text from a caller or a server adds a field, a path segment or a second request: each text in each place holds each
   byte and many spellings of line ends and slashes, and is either refused with nothing opened, or sent as one request of
   exactly the lines that are meant. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"
#include "peer_cert.h"

/* ---- Where a text can go. ---- */

typedef enum place {
    TOKEN,
    TOKEN_OF_PROVIDER,
    USER_AGENT,
    HEADER_VALUE,
    HEADER_VALUE_OF_CALL,
    HEADER_NAME,
    HEADER_NAME_OF_CALL,
    ORG_ID,
    ORG_ID_OF_CALL,
    ORG_TOKEN_ID,
    NAME,
    SCOPE,
    URL_HOST,
    URL_PATH,
    URL_OF_CALL,
    PLACES,
    PROXY_HOST = PLACES,
    PROXY_USER,
    PROXY_PASSWORD,
    PROXIED_HOST,
    PROXIED_USER_AGENT,
    ALL_PLACES
} place;

static const char *const place_names[ALL_PLACES] = {"token",
                                                    "token provider",
                                                    "user agent",
                                                    "header value",
                                                    "header value of a call",
                                                    "header name",
                                                    "header name of a call",
                                                    "org id",
                                                    "org id of a call",
                                                    "org token id",
                                                    "name",
                                                    "scope",
                                                    "host of the URL",
                                                    "path of the URL",
                                                    "URL of a call",
                                                    "proxy host",
                                                    "proxy user",
                                                    "proxy password",
                                                    "host behind a proxy",
                                                    "user agent behind a proxy"};

static bool is_path_segment(place p)
{
    return p == ORG_ID || p == ORG_ID_OF_CALL || p == ORG_TOKEN_ID;
}

static bool all_bytes(htok_view v, bool (*good)(char c))
{
    size_t i;
    for (i = 0; i < v.len && good(v.ptr[i]); i++) {}
    return i == v.len;
}

static bool is_visible_ascii(char c)
{
    return c > 0x20 && c < 0x7f;
}

static bool is_field_byte(char c)
{
    return c == '\t' || ((unsigned char)c >= 0x20 && c != 0x7f);
}

static bool is_tchar(char c)
{
    return c != '\0' &&
           strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c);
}

/* Whether the text must be accepted there, by the rules of RFC 9110 and of the API; the URL has tests of its own. */
static bool is_good(place p, htok_view v)
{
    bool utf8 = htoki_utf8_check(v.ptr, v.len) == v.len;
    switch (p) {
    case TOKEN:
    case TOKEN_OF_PROVIDER: return v.len != 0 && all_bytes(v, is_visible_ascii);
    case USER_AGENT:
    case PROXIED_USER_AGENT:
    case HEADER_VALUE:
    case HEADER_VALUE_OF_CALL: return utf8 && all_bytes(v, is_field_byte);
    case HEADER_NAME:
    case HEADER_NAME_OF_CALL: return v.len != 0 && all_bytes(v, is_tchar);
    case ORG_ID:
    case ORG_ID_OF_CALL:
    case ORG_TOKEN_ID: return utf8 && v.len != 0 && strcmp(v.ptr, ".") != 0 && strcmp(v.ptr, "..") != 0;
    case NAME:
    case SCOPE: return utf8 && v.len != 0;
    case PROXY_USER:
        return all_bytes(v, is_field_byte) && !memchr(v.ptr, '\t', v.len) && !memchr(v.ptr, ':', v.len);
    case PROXY_PASSWORD: return all_bytes(v, is_field_byte) && !memchr(v.ptr, '\t', v.len);
    default: return false;
    }
}

/* ---- What was sent. ---- */

/* The line at *at, without its CR LF; false where none ends properly. */
static bool next_line(const unit_text *t, size_t *at, htok_view *line)
{
    size_t begin = *at, end;
    for (end = begin; end < t->len && t->text[end] != '\r' && t->text[end] != '\n' && t->text[end] != '\0';
         end++) {}
    if (end + 1 >= t->len || t->text[end] != '\r' || t->text[end + 1] != '\n') {
        return false;
    }
    *line = htoki_view(t->text + begin, end - begin);
    *at = end + 2;
    return true;
}

static bool begins_with(htok_view v, const char *text)
{
    return v.len >= strlen(text) && memcmp(v.ptr, text, strlen(text)) == 0;
}

/* METHOD SP target SP HTTP/1.1, with a target of so many segments, none of which climbs. A URL's path may bring more. */
static void check_request_line(htok_view line, const char *method, unsigned segments, bool exactly,
                               const char *label)
{
    static const char allowed[] =
        "-_.!~*'()%/:@$&+,;=0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t begin = strlen(method) + 1, end = line.len - strlen(" HTTP/1.1"), i, from = begin;
    unsigned slashes = 0;
    check(begins_with(line, method) && line.ptr[begin - 1] == ' ' && line.len > begin + 9 &&
              memcmp(line.ptr + end, " HTTP/1.1", 9) == 0 && line.ptr[begin] == '/',
          "%s: %.*s", label, (int)line.len, line.ptr);
    for (i = begin; i <= end; i++) {
        if (i == end || line.ptr[i] == '/') {
            htok_view segment = htoki_view(line.ptr + from, i - from);
            check(!htoki_equal(segment, htoki_text(".")) && !htoki_equal(segment, htoki_text("..")) &&
                      (segment.len != 0 || i == begin || !exactly),
                  "%s: %.*s", label, (int)line.len, line.ptr);
            from = i + 1;
            slashes += i < end;
        } else {
            check(strchr(allowed, line.ptr[i]) && line.ptr[i] != '\0', "%s: %.*s", label, (int)line.len,
                  line.ptr);
        }
    }
    check(exactly ? slashes == segments : slashes >= segments, "%s: %u segments", label, slashes);
}

static void check_field(const unit_text *t, size_t *at, const char *name, htok_view *value, const char *label)
{
    htok_view line;
    size_t len = strlen(name), i;
    check(next_line(t, at, &line), "%s: no field %s in\n%s", label, name, t->text);
    check(begins_with(line, name) && line.len >= len + 2 && memcmp(line.ptr + len, ": ", 2) == 0,
          "%s: %.*s, not %s", label, (int)line.len, line.ptr, name);
    *value = htoki_view(line.ptr + len + 2, line.len - len - 2);
    for (i = 0; i < value->len; i++) {
        check(is_field_byte(value->ptr[i]), "%s: byte %d in %s", label, value->ptr[i], name);
    }
}

typedef struct scene {
    unit_world world;
    place where;
    htok_view text;
    htok_header header;
    char url[600];
    htok_proxy proxy;
    const char *scopes[1];
    htok_create_org_token_request create;
    htok_call_options call;
    htoki_operation operation;
} scene;

/* The body of a create, which must spell the name and the scope. */
static void check_create_body(const scene *s, htok_view body, const char *label)
{
    char decoded[300], *copy = unit_exact(body.ptr, body.len);
    htoki_scan scan;
    htoki_json json;
    htok_view value;
    size_t used;
    char *work = (char *)malloc(body.len + 64 * sizeof(htoki_jsmntok));
    static const htok_view names[] = {{"scopes", 6}, {"name", 4}};
    int found[2];
    htok_error e;
    unit_error_begin(&e);
    assert_non_null(work);
    memcpy(work, body.ptr, body.len);
    htoki_scan_begin(&scan, 0);
    check(htoki_scan_feed(&scan, copy, body.len, &used) == HTOKI_SCAN_BEGIN && used == 0, "%s: no JSON",
          label);
    check(htoki_scan_feed(&scan, copy, body.len, &used) == HTOKI_SCAN_END && used == body.len, "%s: %.*s",
          label, (int)body.len, body.ptr);
    check(htoki_json_parse(&json, work, body.len + 64 * sizeof(htoki_jsmntok), body.len, NULL), "%s: tokens",
          label);
    check(htoki_find_members(&json, 0, names, 2, found, htoki_text(""), &e) == HTOK_OK, "%s: members", label);
    check_number(json.tokens[0].size, s->where == SCOPE ? 2 : 1, label);
    check((found[0] >= 0) == (s->where == SCOPE) && found[1] >= 0, "%s: %.*s", label, (int)body.len,
          body.ptr);
    value = htoki_json_raw(&json, s->where == SCOPE ? found[0] + 1 : found[1]);
    if (s->where == NAME || s->where == SCOPE) {
        used = htoki_json_decode(value.ptr, value.len, decoded);
        check_bytes_at(decoded, used, s->text.ptr, s->text.len, label, __FILE__, __LINE__);
    }
    free(work);
    free(copy);
}

static void check_request(const scene *s, const char *label)
{
    static const char *const methods[] = {"GET", "POST", "POST"};
    static const unsigned segments[] = {4, 5, 7};
    const unit_text *sent = &s->world.net.wires[0].sent;
    const char *name = s->where == HEADER_NAME || s->where == HEADER_NAME_OF_CALL ? s->header.name : "X-Key";
    htok_view line, value;
    size_t at = 0;
    bool is_url = s->where == URL_HOST || s->where == URL_PATH || s->where == URL_OF_CALL;
    bool has_agent = htoki_equal_nocase(htoki_text(name), htoki_text("user-agent"));
    bool has_accept = htoki_equal_nocase(htoki_text(name), htoki_text("accept"));
    check(next_line(sent, &at, &line), "%s: no request line", label);
    check_request_line(line, methods[s->operation], segments[s->operation] + !is_url, !is_url, label);
    check_field(sent, &at, "Host", &value, label);
    check(value.len != 0 && !memchr(value.ptr, ' ', value.len) && !memchr(value.ptr, '/', value.len),
          "%s: Host: %.*s", label, (int)value.len, value.ptr);
    if (!has_agent) {
        check_field(sent, &at, "User-Agent", &value, label);
    }
    if (!has_accept) {
        check_field(sent, &at, "Accept", &value, label);
        check_view(value, "application/json", label);
    }
    check_field(sent, &at, "Accept-Encoding", &value, label);
    check_field(sent, &at, "Authorization", &value, label);
    check(begins_with(value, "Bearer ") || begins_with(value, "bearer "), "%s: %.*s", label, (int)value.len,
          value.ptr);
    check_field(sent, &at, name, &value, label);
    if (s->operation == HTOKI_CREATE_ORG_TOKEN) {
        check_field(sent, &at, "Content-Type", &value, label);
        check_view(value, "application/json", label);
    }
    if (s->operation != HTOKI_GET_ORG_TOKENS) {
        check_field(sent, &at, "Content-Length", &value, label);
    }
    check(next_line(sent, &at, &line) && line.len == 0, "%s: more fields than meant:\n%s", label, sent->text);
    if (s->operation == HTOKI_CREATE_ORG_TOKEN) {
        check_number(strtoul(value.ptr, NULL, 10), sent->len - at, label);
        check_create_body(s, htoki_view(sent->text + at, sent->len - at), label);
    } else {
        check_number(sent->len, at, label);
    }
}

static void check_connect(const scene *s, const char *label)
{
    const unit_text *sent = &s->world.net.wires[0].sent;
    htok_view line, value, host;
    size_t at = 0, i;
    check(next_line(sent, &at, &line) && begins_with(line, "CONNECT ") && line.len > 17, "%s: %s", label,
          sent->text);
    check(memcmp(line.ptr + line.len - 9, " HTTP/1.1", 9) == 0, "%s: %s", label, sent->text);
    host = htoki_view(line.ptr + 8, line.len - 17);
    for (i = 0; i < host.len; i++) {
        check(is_visible_ascii(host.ptr[i]) && !strchr("/?#@\\\"<>", host.ptr[i]), "%s: %s", label,
              sent->text);
    }
    check_field(sent, &at, "Host", &value, label);
    check(htoki_equal(value, host), "%s: two hosts", label);
    check_field(sent, &at, "User-Agent", &value, label);
    check_field(sent, &at, "Proxy-Authorization", &value, label);
    check(begins_with(value, "Basic ") && !memchr(value.ptr + 6, ' ', value.len - 6), "%s: %.*s", label,
          (int)value.len, value.ptr);
    check(next_line(sent, &at, &line) && line.len == 0 && at == sent->len, "%s: more than meant:\n%s", label,
          sent->text);
    check(!strstr(sent->text, UNIT_SECRET) && !strstr(sent->text, "\r\nX-Key"),
          "%s: the token went to the proxy", label);
}

/* ---- One text in one place. ---- */

static bool provide(void *context, htok_view *token)
{
    *token = ((const scene *)context)->text;
    return true;
}

static void set_scene(scene *s, place where, htoki_operation operation, htok_view text)
{
    htok_client_options *o = &s->world.options;
    memset(s, 0, sizeof *s);
    unit_begin(&s->world);
    s->where = where;
    s->text = text;
    s->operation = operation;
    s->header.name = "X-Key";
    s->header.value = "v";
    s->create.name = where == NAME ? text.ptr : "ci";
    s->scopes[0] = text.ptr;
    s->create.scopes = s->scopes;
    s->create.scope_count = where == SCOPE;
    o->server_url = "https://h/p";
    o->headers = &s->header;
    o->header_count = 1;
    snprintf(s->url, sizeof s->url,
             where == URL_HOST || where == PROXIED_HOST ? "https://%s/p"
             : where == URL_PATH                        ? "https://h/%s"
                                                        : "%s",
             text.ptr);
    switch (where) {
    case TOKEN: o->token = text.ptr; break;
    case TOKEN_OF_PROVIDER:
        o->token = NULL;
        o->token_provider = provide;
        o->token_context = s;
        break;
    case USER_AGENT:
    case PROXIED_USER_AGENT: o->user_agent = text.ptr; break;
    case HEADER_VALUE: s->header.value = text.ptr; break;
    case HEADER_NAME: s->header.name = text.ptr; break;
    case HEADER_VALUE_OF_CALL:
    case HEADER_NAME_OF_CALL:
        o->header_count = 0;
        s->header.name = where == HEADER_NAME_OF_CALL ? text.ptr : "X-Key";
        s->header.value = where == HEADER_VALUE_OF_CALL ? text.ptr : "v";
        s->call.headers = &s->header;
        s->call.header_count = 1;
        break;
    case ORG_ID: o->org_id = text.ptr; break;
    case ORG_ID_OF_CALL: s->call.org_id = text.ptr; break;
    case URL_HOST:
    case URL_PATH:
    case PROXIED_HOST: o->server_url = s->url; break;
    case URL_OF_CALL: s->call.server_url = s->url; break;
    default: break;
    }
    if (where >= PROXY_HOST) {
        s->proxy.host = where == PROXY_HOST ? text.ptr : "proxy";
        s->proxy.port = 3128;
        s->proxy.user = where == PROXY_USER ? text.ptr : "u";
        s->proxy.password = where == PROXY_PASSWORD ? text.ptr : "p";
        o->proxy = &s->proxy;
        o->trust = htoki_text(peer_root);
        s->world.transport.provides_tls = false;
    }
}

static htok_kind start(scene *s)
{
    htok_client *c = s->world.client;
    return s->operation == HTOKI_GET_ORG_TOKENS ? htok_get_org_tokens_start(c, &s->call)
           : s->operation == HTOKI_CREATE_ORG_TOKEN
               ? htok_create_org_token_start(c, &s->create, &s->call)
               : htok_revoke_org_token_start(c, s->where == ORG_TOKEN_ID ? s->text.ptr : "t", &s->call);
}

static void release(scene *s)
{
    free(s->world.net.wires[0].sent.text);
    free(s->world.log.text);
}

/* True when it was accepted. */
static bool try_text(place where, htoki_operation operation, htok_view text, const char *label)
{
    scene s;
    htok_error e;
    unsigned polls;
    set_scene(&s, where, operation, text);
    if (htok_client_create(&s.world.client, &s.world.options, &e) != HTOK_OK) {
        check_number(e.kind, HTOK_INVALID_REQUEST_ERROR, label);
        release(&s);
        return false;
    }
    if (start(&s) != HTOK_OK) {
        check_number(htok_client_error(s.world.client)->kind, HTOK_INVALID_REQUEST_ERROR, label);
        check_number(s.world.net.count, 0, label);
        htok_client_close(s.world.client);
        release(&s);
        return false;
    }
    for (polls = 0; polls < 20 && htok_client_poll(s.world.client) == HTOK_STATE_PENDING; polls++) {}
    if (polls < 20) { /* a provider's token is seen first by the poll */
        check_number(htok_client_error(s.world.client)->kind, HTOK_INVALID_REQUEST_ERROR, label);
        check(where == TOKEN_OF_PROVIDER && s.world.net.count == 0, "%s: opened", label);
    } else if (where >= PROXY_HOST) {
        check_connect(&s, label);
    } else {
        check_request(&s, label);
    }
    htok_client_close(s.world.client);
    release(&s);
    return polls == 20;
}

static void try_everywhere(place where, htok_view text, unsigned *accepted)
{
    char shown[160], label[220];
    int operation, first = HTOKI_GET_ORG_TOKENS, last = HTOKI_REVOKE_ORG_TOKEN;
    htok_printable(text, shown, sizeof shown);
    if (where == ORG_TOKEN_ID) {
        first = HTOKI_REVOKE_ORG_TOKEN;
    } else if (where == NAME || where == SCOPE) {
        first = last = HTOKI_CREATE_ORG_TOKEN;
    } else if (!is_path_segment(where)) {
        last = HTOKI_CREATE_ORG_TOKEN; /* a revoke's fields are those of a list */
    }
    for (operation = first; operation <= last; operation++) {
        bool taken;
        snprintf(label, sizeof label, "%s, operation %d: %s", place_names[where], operation, shown);
        taken = try_text(where, (htoki_operation)operation, text, label);
        *accepted += taken;
        if (where != URL_HOST && where != URL_PATH && where != URL_OF_CALL && where != PROXY_HOST &&
            where != PROXIED_HOST) {
            check(taken == is_good(where, text), "%s: %s", label, taken ? "accepted" : "refused");
        }
    }
}

static const char *base_of(place where)
{
    return where == URL_OF_CALL ? "https://h/" : "";
}

static void no_byte_in_any_text_breaks_out(void **state)
{
    int where, byte, form;
    (void)state;
    for (where = 0; where < ALL_PLACES; where++) {
        unsigned accepted = 0;
        for (byte = 1; byte < 256; byte++) {
            for (form = 0; form < 4; form++) {
                char text[40];
                snprintf(text, sizeof text, "%s%s%c%s", base_of((place)where), form & 1 ? "ab" : "",
                         (char)byte, form & 2 ? "cd" : "");
                try_everywhere((place)where, htoki_text(text), &accepted);
            }
        }
        check(accepted > 100, "%s: %u texts were accepted", place_names[where], accepted);
    }
}

static void no_spelling_of_a_line_end_or_slash_breaks_out(void **state)
{
    static const char *const texts[] = {"\r\nX-Injected: yes",
                                        "a\r\n\r\nGET / HTTP/1.1\r\nHost: h",
                                        "a\nX: y",
                                        "a\rX: y",
                                        "a\r\n X: folded",
                                        "a HTTP/1.1\r\nHost: evil",
                                        "%0d%0aX:%20y",
                                        "%0D%0A",
                                        "%250d%250a",
                                        "%00",
                                        "%",
                                        "%zz",
                                        "\\r\\n",
                                        "\\u000d\\u000a",
                                        "\xc4\x8d\xc4\x8a", /* U+010D U+010A: CR LF in the low bytes */
                                        "\xe5\x98\x8d\xe5\x98\x8a", /* U+560D U+560A */
                                        "\xc2\x85",                 /* NEL */
                                        "\xe2\x80\xa8",             /* LINE SEPARATOR */
                                        "\xe2\x80\xae",             /* RIGHT-TO-LEFT OVERRIDE */
                                        "\xef\xbb\xbf",
                                        "\xc0\x8a", /* overlong LF */
                                        "\xc0\xaf", /* overlong slash */
                                        "\xe0\x80\x8d",
                                        "\xed\xa0\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xff\xfe",
                                        ".",
                                        "..",
                                        "../..",
                                        "a/../../b",
                                        "a/./b",
                                        "/",
                                        "//",
                                        "//evil.example",
                                        "%2e%2e",
                                        "%2E.",
                                        ".%2e/",
                                        "a%2fb",
                                        "..\\..",
                                        "a?b=c",
                                        "a#b",
                                        "a;b=c",
                                        "a b",
                                        " ",
                                        "\t",
                                        "",
                                        "a@evil.example",
                                        "u:p@evil.example",
                                        "evil.example:80",
                                        "[::1]",
                                        "\",\"scopes\":\"admin",
                                        "\"}{\"name\":\"x",
                                        "\\\",\"x\":\"",
                                        "x\", \"y",
                                        "Content-Length: 0",
                                        "Content-Length",
                                        "Transfer-Encoding",
                                        "Host",
                                        "host ",
                                        "Authorization",
                                        "Proxy-Authorization",
                                        "Bearer x",
                                        "bearer\tx",
                                        "a\tb",
                                        "a,b",
                                        "'; DROP TABLE tokens; --",
                                        "${jndi:ldap://x}",
                                        "<script>"};
    unsigned accepted = 0;
    size_t i;
    int where;
    (void)state;
    for (where = 0; where < ALL_PLACES; where++) {
        for (i = 0; i < UNIT_COUNT(texts); i++) {
            char text[120];
            int operation = where == NAME || where == SCOPE ? HTOKI_CREATE_ORG_TOKEN : HTOKI_REVOKE_ORG_TOKEN;
            char shown[160], label[260];
            snprintf(text, sizeof text, "%s%s", base_of((place)where), texts[i]);
            htok_printable(htoki_text(text), shown, sizeof shown);
            snprintf(label, sizeof label, "%s: %s", place_names[where], shown);
            accepted += try_text((place)where, (htoki_operation)operation, htoki_text(text), label);
        }
    }
    check(accepted > 100, "%u texts were accepted", accepted);
}

/* A view, unlike a string of C, may hold one. */
static void a_nul_in_a_provided_token_is_refused(void **state)
{
    static const char *const texts[] = {"\0ab", "a\0b", "ab\0", "Bearer a\0b"};
    static const size_t lengths[] = {3, 3, 3, 10};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(texts); i++) {
        check(!try_text(TOKEN_OF_PROVIDER, HTOKI_GET_ORG_TOKENS, htoki_view(texts[i], lengths[i]), "a NUL"),
              "row %d is accepted", (int)i);
    }
}

/* What a server says of a token may be given back to it, as an id, a name or a field. */
static void what_a_server_says_is_sent_back_as_safely(void **state)
{
    static const struct {
        const char *json;
        bool accepted;
        const char *line;
    } rows[] = {
        {"a/../b", true, "POST /p/tokens/v1/orgs/org-1/tokens/a%2F..%2Fb/revoke HTTP/1.1\r\n"},
        {"\\r\\nX: y", true, "POST /p/tokens/v1/orgs/org-1/tokens/%0D%0AX%3A%20y/revoke HTTP/1.1\r\n"},
        {"?a=b#c", true, "POST /p/tokens/v1/orgs/org-1/tokens/%3Fa%3Db%23c/revoke HTTP/1.1\r\n"},
        {"%2e%2e", true, "POST /p/tokens/v1/orgs/org-1/tokens/%252e%252e/revoke HTTP/1.1\r\n"},
        {"\\u00e9", true, "POST /p/tokens/v1/orgs/org-1/tokens/%C3%A9/revoke HTTP/1.1\r\n"},
        {"..", false, ""},
        {"\\u002e", false, ""},
        {"", false, ""},
        {"\\ud800", false, ""}, /* a lone surrogate is no UTF-8 */
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_world w;
        unit_text body = {0}, answer = {0};
        char id[64];
        bool taken;
        unit_begin(&w);
        w.options.server_url = "https://h/p";
        unit_add_text(&body, "{\"tokens\":[{\"orgTokenId\":\"");
        unit_add_text(&body, rows[i].json);
        unit_add_text(
            &body, "\",\"orgId\":\"o\",\"name\":\"n\",\"status\":\"active\",\"lastFourCharsOfKey\":\"abcd\","
                   "\"createdBy\":\"c\",\"createdAt\":\"2024-02-29T12:34:56Z\"}]}");
        unit_answer(&answer, "200 OK", UNIT_JSON, body.text);
        w.net.wires[0].replies[0] = answer.text;
        unit_create(&w);
        assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
        while (htok_client_poll(w.client) != HTOK_STATE_ITEM) {}
        snprintf(id, sizeof id, "%s", htok_client_item(w.client)->org_token_id.ptr);
        while (htok_client_poll(w.client) == HTOK_STATE_PENDING) {}
        w.net.wires[0].sent.len = 0;
        taken = htok_revoke_org_token_start(w.client, id, NULL) == HTOK_OK;
        check(taken == rows[i].accepted, "%s: %d", rows[i].json, taken);
        if (taken) {
            (void)htok_client_poll(w.client);
            (void)htok_client_poll(w.client);
            check(w.net.wires[0].sent.len > strlen(rows[i].line) &&
                      memcmp(w.net.wires[0].sent.text, rows[i].line, strlen(rows[i].line)) == 0,
                  "%s: %s", rows[i].json, w.net.wires[0].sent.text);
            check_number(unit_requests(&w.net.wires[0].sent), 1, rows[i].json);
        }
        unit_end(&w);
        free(body.text);
        free(answer.text);
    }
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_byte_in_any_text_breaks_out),
        cmocka_unit_test(no_spelling_of_a_line_end_or_slash_breaks_out),
        cmocka_unit_test(a_nul_in_a_provided_token_is_refused),
        cmocka_unit_test(what_a_server_says_is_sent_back_as_safely),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("injection", tests, NULL, NULL);
}
