/* Build: clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_json.c -l:libbearssl.a

   The incremental scanner and the jsmn reader beside a slow checker written here, which sees the whole text at once
   and works on tokens: same verdict, reason and offset at every split, same tokens, same strings.
   Input: watched depth (byte % 4), then the text. */
#define HATHORA_TOKENS_IMPLEMENTATION
#define HATHORA_TOKENS_MAX_DEPTH 16
#include "hathora_tokens.h"
#include "fuzz.h"

enum { TOKENS_MAX = 8192 };

/* ---- The checker: a lexer that gives whole tokens, then a stack of open containers. ---- */

typedef struct ref_token {
    char type; /* '{' '[' '"' or 'p' */
    size_t start, end, children;
} ref_token;

typedef struct ref {
    htok_reason reason; /* NONE: one whole text; TRUNCATED: more could make it one */
    size_t offset;
    size_t count;
    ref_token tokens[TOKENS_MAX];
} ref;

/* Length of the longest prefix of text that matches the pattern, of which '9' stands for a digit and 'h' for a hex
   digit; *whole when all of it matched. */
static size_t ref_match(const char *text, size_t len, const char *pattern, bool *whole)
{
    size_t i;
    for (i = 0; pattern[i] != '\0'; i++) {
        bool fits = i < len && (pattern[i] == '9'   ? strchr("0123456789", text[i]) && text[i]
                                : pattern[i] == 'h' ? strchr("0123456789abcdefABCDEF", text[i]) && text[i]
                                                    : text[i] == pattern[i]);
        if (!fits) {
            *whole = false;
            return i;
        }
    }
    *whole = true;
    return i;
}

static size_t ref_digits(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && text[n] >= '0' && text[n] <= '9') {
        n++;
    }
    return n;
}

/* A number in four parts; *whole says whether what was matched is one. */
static size_t ref_number(const char *text, size_t len, bool *whole)
{
    size_t n = len && text[0] == '-' ? 1 : 0, digits;
    *whole = false;
    digits = n < len && text[n] == '0' ? 1 : ref_digits(text + n, len - n);
    if (digits == 0) {
        return n;
    }
    n += digits;
    if (n < len && text[n] == '.') {
        digits = ref_digits(text + n + 1, len - n - 1);
        n += 1 + digits;
        if (digits == 0) {
            return n;
        }
    }
    if (n < len && (text[n] == 'e' || text[n] == 'E')) {
        n++;
        n += n < len && (text[n] == '+' || text[n] == '-');
        digits = ref_digits(text + n, len - n);
        n += digits;
        if (digits == 0) {
            return n;
        }
    }
    *whole = true;
    return n;
}

/* Bytes of well-formed UTF-8 at text by the table of RFC 3629 section 4: *whole, or how many of a sequence. */
static size_t ref_utf8(const char *text, size_t len, bool *whole)
{
    static const unsigned char rows[9][9] = {
        {1, 0x00, 0x7f, 0, 0, 0, 0, 0, 0},
        {2, 0xc2, 0xdf, 0x80, 0xbf, 0, 0, 0, 0},
        {3, 0xe0, 0xe0, 0xa0, 0xbf, 0x80, 0xbf, 0, 0},
        {3, 0xe1, 0xec, 0x80, 0xbf, 0x80, 0xbf, 0, 0},
        {3, 0xed, 0xed, 0x80, 0x9f, 0x80, 0xbf, 0, 0},
        {3, 0xee, 0xef, 0x80, 0xbf, 0x80, 0xbf, 0, 0},
        {4, 0xf0, 0xf0, 0x90, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {4, 0xf1, 0xf3, 0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {4, 0xf4, 0xf4, 0x80, 0x8f, 0x80, 0xbf, 0x80, 0xbf},
    };
    size_t row, i, best = 0;
    *whole = false;
    for (row = 0; row < 9; row++) {
        for (i = 0; i < rows[row][0] && i < len; i++) {
            unsigned char c = (unsigned char)text[i];
            if (c < rows[row][1 + 2 * i] || c > rows[row][2 + 2 * i]) {
                break;
            }
        }
        if (i == rows[row][0]) {
            *whole = true;
            return i;
        }
        best = i > best ? i : best;
    }
    return best;
}

/* A string with its quotes. Returns its length, or with *whole false where it breaks off, *reason NONE when only the
   text's end is to blame. */
static size_t ref_string(const char *text, size_t len, bool *whole, htok_reason *reason)
{
    size_t at = 1, n;
    bool fits;
    *whole = false;
    *reason = HTOK_REASON_NONE;
    while (at < len) {
        unsigned char c = (unsigned char)text[at];
        if (c == '"') {
            *whole = true;
            return at + 1;
        }
        if (c < 0x20) {
            *reason = HTOK_REASON_JSON_SYNTAX;
            return at;
        }
        if (c == '\\') {
            if (at + 1 == len) {
                return len;
            }
            if (text[at + 1] == 'u') {
                n = ref_match(text + at + 2, len - at - 2, "hhhh", &fits);
                if (!fits) {
                    *reason = at + 2 + n < len ? HTOK_REASON_JSON_SYNTAX : HTOK_REASON_NONE;
                    return at + 2 + n;
                }
                at += 6;
                continue;
            }
            if (text[at + 1] == '\0' || !strchr("\"\\/bfnrt", text[at + 1])) {
                *reason = HTOK_REASON_JSON_SYNTAX;
                return at + 1;
            }
            at += 2;
            continue;
        }
        n = ref_utf8(text + at, len - at, &fits);
        if (!fits) {
            *reason = at + n < len ? HTOK_REASON_JSON_UTF8 : HTOK_REASON_NONE;
            return at + n;
        }
        at += n;
    }
    return len;
}

static void ref_stop(ref *r, htok_reason reason, size_t offset)
{
    r->reason = reason;
    r->offset = offset;
}

static void ref_check(ref *r, const char *text, size_t len)
{
    static const char *const words[3] = {"true", "false", "null"};
    /* What may come: v value, k key, : , or after a value; with e also the container's end. */
    char want = 'v';
    bool may_end = false, whole = false;
    size_t open[HATHORA_TOKENS_MAX_DEPTH], depth = 0, at = 0, n, i;
    r->count = 0;
    for (;;) {
        htok_reason reason = HTOK_REASON_JSON_SYNTAX;
        bool in_object = depth != 0 && r->tokens[open[depth - 1]].type == '{';
        char c;
        while (at < len && strchr(" \t\r\n", text[at]) && text[at]) {
            at++;
        }
        if (at == len) {
            ref_stop(r, want == 'd' ? HTOK_REASON_NONE : HTOK_REASON_JSON_TRUNCATED, len);
            return;
        }
        c = text[at];
        if (depth != 0 && c == (in_object ? '}' : ']') && (want == ',' || may_end)) {
            r->tokens[open[--depth]].end = ++at;
            want = depth ? ',' : 'd';
            may_end = false;
            continue;
        }
        may_end = false;
        if (want == ',' && c == ',') {
            want = in_object ? 'k' : 'v';
            at++;
            continue;
        }
        if (want == ':' && c == ':') {
            want = 'v';
            at++;
            continue;
        }
        if (want == ',' || want == ':' || want == 'd' || (want == 'k' && c != '"')) {
            ref_stop(r, HTOK_REASON_JSON_SYNTAX, at);
            return;
        }
        FUZZ_CHECK(r->count < TOKENS_MAX, "room for tokens");
        if (depth != 0 && (want == 'k' || !in_object)) {
            r->tokens[open[depth - 1]].children++;
        }
        r->tokens[r->count].start = at;
        r->tokens[r->count].end = 0;
        r->tokens[r->count].children = want == 'k';
        r->tokens[r->count].type = c == '{' || c == '[' || c == '"' ? c : 'p';
        if (c == '{' || c == '[') {
            if (depth == HATHORA_TOKENS_MAX_DEPTH) {
                ref_stop(r, HTOK_REASON_JSON_DEPTH, at);
                return;
            }
            open[depth++] = r->count++;
            want = c == '{' ? 'k' : 'v';
            may_end = true;
            at++;
            continue;
        }
        if (c == '"') {
            n = ref_string(text + at, len - at, &whole, &reason);
            r->tokens[r->count].start++;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            n = ref_number(text + at, len - at, &whole);
        } else {
            n = 0;
            for (i = 0; i < 3 && n == 0; i++) {
                n = ref_match(text + at, len - at, words[i], &whole);
            }
        }
        if (!whole) {
            bool ended = at + n == len;
            ref_stop(r, ended && n != 0 ? HTOK_REASON_JSON_TRUNCATED : reason, at + n);
            return;
        }
        at += n;
        r->tokens[r->count++].end = c == '"' ? at - 1 : at;
        want = want == 'k' ? ':' : depth ? ',' : 'd';
    }
}

/* ---- The scanner, in pieces. ---- */

typedef struct trace {
    htok_reason reason;
    size_t offset;
    uint64_t events; /* a hash of kinds, offsets, depths */
} trace;

static void trace_add(trace *t, uint64_t number)
{
    t->events = (t->events ^ number) * 1099511628211u;
}

/* Pieces end at cuts[0..count), rising. */
static void scan(const char *text, size_t len, unsigned watch, const size_t *cuts, size_t count, trace *t)
{
    htoki_scan s;
    size_t piece, begin = 0, used = 0;
    htoki_scan_event event = HTOKI_SCAN_MORE;
    htoki_scan_begin(&s, watch);
    t->events = 14695981039346656037u;
    for (piece = 0; piece <= count && event != HTOKI_SCAN_ERROR; piece++) {
        size_t end = piece < count ? cuts[piece] : len, at = 0, n = end - begin;
        char *copy = fuzz_exact(text + begin, n);
        while (at < n) {
            event = htoki_scan_feed(&s, copy + at, n - at, &used);
            FUZZ_CHECK(used <= n - at, "more consumed than given");
            at += used;
            FUZZ_CHECK(s.offset == begin + at, "offset of the scanner");
            if (event == HTOKI_SCAN_ERROR) {
                break;
            }
            if (event != HTOKI_SCAN_MORE) {
                trace_add(t, (uint64_t)event << 56 | (uint64_t)s.depth << 40 | (uint64_t)s.is_key << 32 |
                                 s.offset);
            } else {
                FUZZ_CHECK(at == n, "bytes left without an event");
            }
        }
        begin = end;
        free(copy);
    }
    if (event != HTOKI_SCAN_ERROR) {
        htoki_scan_finish(&s);
    }
    t->reason = s.reason;
    t->offset = (size_t)s.offset;
}

static void check_same(const trace *a, const trace *b)
{
    FUZZ_CHECK(a->reason == b->reason && a->offset == b->offset, "verdict in pieces");
    FUZZ_CHECK(a->events == b->events, "events in pieces");
}

static void check_splits(const char *text, size_t len, unsigned watch, const trace *whole)
{
    size_t cuts[4096], i, count = len < 4096 ? len : 4096;
    fuzz_random random = fuzz_seed((uint32_t)len);
    trace split;
    for (i = 0; i < count; i++) {
        cuts[i] = i;
    }
    scan(text, len, watch, cuts, count, &split);
    check_same(whole, &split);
    for (i = 0; i <= len && len <= 100; i++) {
        scan(text, len, watch, &i, 1, &split);
        check_same(whole, &split);
    }
    for (i = 0; i < 16 && len > 100; i++) {
        cuts[0] = fuzz_below(&random, (uint32_t)len);
        cuts[1] = cuts[0] + fuzz_below(&random, (uint32_t)(len - cuts[0]));
        scan(text, len, watch, cuts, 2, &split);
        check_same(whole, &split);
    }
}

/* ---- The reader. ---- */

/* A string's text by another way than the header's: code units first, then joined. */
static size_t ref_decode(const char *text, size_t len, char *out)
{
    static const char names[] = "\"\\/bfnrt", codes[] = "\"\\/\b\f\n\r\t";
    size_t at = 0, filled = 0;
    while (at < len) {
        char digits[5] = "";
        unsigned long unit, low;
        if (text[at] != '\\') {
            out[filled++] = text[at++];
            continue;
        }
        if (text[at + 1] != 'u') {
            out[filled++] = codes[strchr(names, text[at + 1]) - names];
            at += 2;
            continue;
        }
        memcpy(digits, text + at + 2, 4);
        unit = strtoul(digits, NULL, 16);
        at += 6;
        if (unit >> 10 == 0x36 && at + 6 <= len && text[at] == '\\' && text[at + 1] == 'u') {
            memcpy(digits, text + at + 2, 4);
            low = strtoul(digits, NULL, 16);
            if (low >> 10 == 0x37) {
                unit = 0x10000 + (unit % 0x400) * 0x400 + low % 0x400;
                at += 6;
            }
        }
        if (unit < 0x80) {
            out[filled++] = (char)unit;
        } else {
            int more = unit < 0x800 ? 1 : unit < 0x10000 ? 2 : 3;
            out[filled++] = (char)((0xff00 >> (more + 1) & 0xff) | (unit >> (6 * more)));
            while (more-- > 0) {
                out[filled++] = (char)(0x80 | (unit >> (6 * more) & 0x3f));
            }
        }
    }
    return filled;
}

static void check_string(const char *raw, size_t len)
{
    char *wanted = (char *)malloc(len + 1), *in_place = fuzz_exact(raw, len), *json, *again;
    size_t n = ref_decode(raw, len, wanted), got, json_len;
    wanted[n] = '\0';
    got = htoki_json_decode(in_place, len, in_place);
    FUZZ_CHECK(got == n && memcmp(in_place, wanted, n) == 0, "a decoded string");
    if (memchr(wanted, 0, n) == NULL) {
        FUZZ_CHECK(htoki_json_spells(htoki_view(raw, len), wanted), "a string does not spell itself");
        wanted[n] = '!';
    }
    json_len = htok_json_string(htoki_view(in_place, n), NULL, 0);
    json = (char *)malloc(json_len + 1);
    again = (char *)malloc(json_len + 1);
    FUZZ_CHECK(htok_json_string(htoki_view(in_place, n), json, json_len + 1) == json_len,
               "length of a string");
    FUZZ_CHECK(json_len >= 2 && json[0] == '"' && json[json_len - 1] == '"', "quotes of a string");
    got = ref_decode(json + 1, json_len - 2, again);
    FUZZ_CHECK(got == n && memcmp(again, in_place, n) == 0, "a string written and read again");
    free(json);
    free(again);
    free(in_place);
    free(wanted);
}

/* The same tokens by the outline that the scanner makes of the object in two pieces, and by what is known of it then. */
static void check_outline(const ref *r, const char *text, size_t len)
{
#if (defined(__SSE2__) && !defined(HATHORA_TOKENS_NO_SIMD)) || UINTPTR_MAX > 0xffffffffu
    size_t skip = r->tokens[0].start, part = (len - skip) / 3, n = 0, i, again;
    size_t front = htoki_align(htoki_align(len, sizeof(void *)) + r->count * sizeof(htoki_jsmntok), 8);
    char *buffer = (char *)malloc(front + sizeof(htoki_outlines));
    htoki_outlines *o = (htoki_outlines *)(void *)(buffer + front);
    FUZZ_CHECK(buffer != NULL, "memory");
    o->known = 0;
    for (again = 0; again < 2; again++) {
        htoki_scan scan;
        htoki_json j;
        htoki_scan_begin(&scan, 0);
        (void)htoki_scan_feed(&scan, text, len, &n);
        htoki_scan_outline(&scan, &o->outline);
        (void)htoki_scan_feed(&scan, text + skip, part, &n);
        (void)htoki_scan_feed(&scan, text + skip + n, len - skip - n, &n);
        if (scan.outline == NULL) {
            break;
        }
        memcpy(buffer, text + skip, len - skip);
        FUZZ_CHECK(htoki_json_parse(&j, buffer, front + sizeof *o, r->tokens[0].end - skip, o) && j.outlined,
                   "no tokens by the outline");
        FUZZ_CHECK((size_t)j.count == r->count, "number of tokens by the outline");
        for (i = 0; i < r->count; i++) {
            FUZZ_CHECK((size_t)j.tokens[i].start + skip == r->tokens[i].start &&
                           (size_t)j.tokens[i].end + skip == r->tokens[i].end &&
                           (size_t)j.tokens[i].size == r->tokens[i].children,
                       "a token by the outline");
        }
    }
    free(buffer);
#else
    (void)r;
    (void)text;
    (void)len;
#endif
}

static void check_reader(const ref *r, const char *text, size_t len)
{
    htoki_json j;
    size_t bytes = len + 16 + r->count * sizeof(htoki_jsmntok), i;
    char *buffer = (char *)malloc(bytes);
    FUZZ_CHECK(buffer != NULL, "memory");
    memcpy(buffer, text, len);
    FUZZ_CHECK(htoki_json_parse(&j, buffer, bytes, len, NULL), "the reader refuses what the scanner takes");
    FUZZ_CHECK((size_t)j.count == r->count, "number of tokens");
    for (i = 0; i < r->count; i++) {
        const htoki_jsmntok *t = &j.tokens[i];
        const ref_token *w = &r->tokens[i];
        htok_view raw = htoki_json_raw(&j, (int)i);
        char type = htoki_json_token_type(&j, (int)i);
        int next = htoki_json_next(&j, (int)i);
        size_t after = i + 1;
        FUZZ_CHECK((size_t)t->start == w->start && (size_t)t->end == w->end, "place of a token");
        FUZZ_CHECK((size_t)t->size == w->children, "children of a token");
        FUZZ_CHECK(type == w->type || (w->type == 'p' && (type == 'b' || type == 'n' || type == '0')),
                   "type");
        while (after < r->count && r->tokens[after].start < w->end) {
            after++;
        }
        FUZZ_CHECK((size_t)next == after, "the token after it");
        if (w->type == '"') {
            check_string(raw.ptr, raw.len);
        }
    }
    free(buffer);
    check_outline(r, text, len);
    /* With one token's room less it must say so and stay inside. */
    bytes = htoki_align(len, sizeof(void *)) + (r->count - 1) * sizeof(htoki_jsmntok);
    buffer = (char *)malloc(bytes);
    FUZZ_CHECK(buffer != NULL, "memory");
    memcpy(buffer, text, len);
    FUZZ_CHECK(!htoki_json_parse(&j, buffer, bytes, len, NULL), "tokens without room");
    free(buffer);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static ref r;
    trace whole;
    const char *text = (const char *)data + 1;
    size_t len = size - 1;
    if (size < 1 || len > TOKENS_MAX) {
        return 0;
    }
    ref_check(&r, text, len);
    scan(text, len, data[0] % 4, NULL, 0, &whole);
    FUZZ_CHECK(whole.reason == r.reason, "verdict");
    FUZZ_CHECK(whole.reason == HTOK_REASON_NONE || whole.offset == r.offset, "offset");
    check_splits(text, len, data[0] % 4, &whole);
    if (r.reason == HTOK_REASON_NONE && r.tokens[0].type == '{') {
        check_reader(&r, text + 0, len);
    }
    return 0;
}
