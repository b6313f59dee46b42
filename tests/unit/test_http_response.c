/* The response parser: each reason, limits, framing, and that no split changes what it says. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

static const htoki_http_limits roomy = {65536, 100, 16, (uint64_t)1 << 30};

/* An answer as text: "head STATUS", the body in brackets, then "end", "more", or the reason and the offset. */
typedef struct http_log {
    htoki_http http;
    unit_text text, body;
    bool over;
} http_log;

static void log_over(http_log *l, const char *word)
{
    char line[96];
    unit_add_text(&l->text, "[");
    unit_add(&l->text, l->body.text, l->body.len);
    unit_add_text(&l->text, "] ");
    if (word) {
        snprintf(line, sizeof line, "%s", word);
    } else {
        snprintf(line, sizeof line, "%s@%lu", htok_reason_name(l->http.reason),
                 (unsigned long)l->http.offset);
    }
    unit_add_text(&l->text, line);
    l->over = true;
}

static void feed(http_log *l, const char *bytes, size_t len)
{
    char *copy = unit_exact(bytes, len);
    size_t at = 0;
    while (!l->over) {
        size_t n = 0;
        htoki_http_event event = htoki_http_feed(&l->http, copy + at, len - at, &n);
        check(n <= len - at, "more consumed than given");
        at += n;
        if (event == HTOKI_HTTP_HEAD) {
            char line[32];
            snprintf(line, sizeof line, "head %d ", l->http.status);
            unit_add_text(&l->text, line);
        } else if (event == HTOKI_HTTP_BODY) {
            check(l->http.body_len != 0 && l->http.body_len <= len - at, "body_len %d",
                  (int)l->http.body_len);
            unit_add(&l->body, copy + at, l->http.body_len);
            at += l->http.body_len;
            htoki_http_take(&l->http, l->http.body_len);
        } else if (event == HTOKI_HTTP_END) {
            log_over(l, at == len ? "end" : "end, unread");
        } else if (event == HTOKI_HTTP_ERROR) {
            log_over(l, NULL);
            check(htoki_http_feed(&l->http, "x", 1, &n) == HTOKI_HTTP_ERROR && n == 0,
                  "the error does not stay");
        } else {
            check_number(at, len, "all bytes are consumed");
            break;
        }
    }
    free(copy);
}

typedef enum stream_end { OPEN, CLEAN, TORN } stream_end;

static void finish(http_log *l, stream_end end)
{
    if (!l->over && end == OPEN) {
        log_over(l, "more");
    } else if (!l->over) {
        htoki_http_event event = htoki_http_eof(&l->http, end == CLEAN);
        log_over(l, event == HTOKI_HTTP_END ? "end" : NULL);
    }
}

static char *parse_cut(const char *bytes, size_t len, const htoki_http_limits *limits, stream_end end,
                       size_t cut)
{
    http_log l;
    htoki_http_texts texts;
    size_t i;
    memset(&l, 0, sizeof l);
    htoki_http_begin(&l.http, limits, &texts);
    if (cut == SIZE_MAX) {
        for (i = 0; i < len; i++) {
            feed(&l, bytes + i, 1);
            feed(&l, bytes, 0);
        }
    } else {
        feed(&l, bytes, cut);
        feed(&l, bytes + cut, len - cut);
    }
    finish(&l, end);
    free(l.body.text);
    return l.text.text;
}

/* What the parser says, once every split has given the same; "end, unread" needs more bytes in the piece. */
static void check_log(const char *bytes, size_t len, const htoki_http_limits *limits, stream_end end,
                      const char *wanted)
{
    char *log = parse_cut(bytes, len, limits, end, len);
    size_t cut;
    check(strcmp(log, wanted) == 0, "%.*s: got %s, not %s", (int)len, bytes, log, wanted);
    free(log);
    for (cut = 0; cut <= len && !strstr(wanted, "unread"); cut++) {
        log = parse_cut(bytes, len, limits, end, cut < len ? cut : SIZE_MAX);
        check(strcmp(log, wanted) == 0, "%.*s cut at %d of %d: got %s, not %s", (int)len, bytes, (int)cut,
              (int)len, log, wanted);
        free(log);
    }
}

static void says(const char *text, stream_end end, const char *wanted)
{
    check_log(text, strlen(text), &roomy, end, wanted);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define EMPTY   "Content-Length: 0\r\n\r\n"
#define FIFTY   "                                                  "
#define SPACES  FIFTY FIFTY /* more than is kept of a value */

static void status_lines_are_read_strictly(void **state)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n" EMPTY, "head 200 [] end"},
        {"HTTP/1.1 200 \r\n" EMPTY, "head 200 [] end"},
        {"HTTP/1.0 200 OK\r\n" EMPTY, "head 200 [] end"},
        {"HTTP/1.9 200 OK\r\n" EMPTY, "head 200 [] end"},
        {"HTTP/1.1 404 Not \t Found \xe9\r\n" EMPTY, "head 404 [] end"},
        {"HTTP/1.1 599 x\r\n" EMPTY, "head 599 [] end"},
        {"HTTP/2.0 200 OK\r\n", "[] HTTP_VERSION@5"},
        {"HTTP/0.9 200 OK\r\n", "[] HTTP_VERSION@5"},
        {"HTTP/11 200 OK\r\n", "[] HTTP_VERSION@6"},
        {"HTTP/2 200\r\n", "[] HTTP_VERSION@5"},
        {"HTTP/1.x 200 OK\r\n", "[] HTTP_STATUS_LINE@7"},
        {"HTTP/1.10 200 OK\r\n", "[] HTTP_STATUS_LINE@8"},
        {"http/1.1 200 OK\r\n", "[] HTTP_STATUS_LINE@0"},
        {"HTTP 200 OK\r\n", "[] HTTP_STATUS_LINE@4"},
        {"HTTPS/1.1 200 OK\r\n", "[] HTTP_STATUS_LINE@4"},
        {" HTTP/1.1 200 OK\r\n", "[] HTTP_STATUS_LINE@0"},
        {"\r\nHTTP/1.1 200 OK\r\n", "[] HTTP_STATUS_LINE@0"},
        {"HTTP/1.1  200 OK\r\n", "[] HTTP_STATUS_LINE@9"},
        {"HTTP/1.1\t200 OK\r\n", "[] HTTP_STATUS_LINE@8"},
        {"HTTP/1.1200 OK\r\n", "[] HTTP_STATUS_LINE@8"},
        {"HTTP/1.1 20 OK\r\n", "[] HTTP_STATUS_LINE@11"},
        {"HTTP/1.1 2000 OK\r\n", "[] HTTP_STATUS_LINE@12"},
        {"HTTP/1.1 200OK\r\n", "[] HTTP_STATUS_LINE@12"},
        {"HTTP/1.1 -20 OK\r\n", "[] HTTP_STATUS_LINE@9"},
        {"HTTP/1.1 2x0 OK\r\n", "[] HTTP_STATUS_LINE@10"},
        {"HTTP/1.1 200 O\x01K\r\n", "[] HTTP_STATUS_LINE@14"},
        {"HTTP/1.1 200 OK\x7f\r\n", "[] HTTP_STATUS_LINE@15"},
        {"HTTP/1.1 200 OK\n", "[] HTTP_LINE_END@15"},
        {"HTTP/1.1 200 OK\rX", "[] HTTP_LINE_END@16"},
        {"HTTP/1.1 200 OK\r\r\n", "[] HTTP_LINE_END@16"},
        {"SSH-2.0-OpenSSH_9\r\n", "[] HTTP_STATUS_LINE@0"},
        {"\x15\x03\x01", "[] HTTP_STATUS_LINE@0"},
        {"{\"message\":\"x\"}", "[] HTTP_STATUS_LINE@0"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        says(rows[i].text, OPEN, rows[i].wanted);
    }
    check_log("HTTP/1.1 200 O\0K\r\n", 19, &roomy, OPEN, "[] HTTP_STATUS_LINE@14");
}

static void malformed_fields_are_refused(void **state)
{
    static const struct {
        const char *fields; /* behind the 17 bytes of the status line */
        const char *wanted;
    } rows[] = {
        {"X: y\r\n" EMPTY, "head 200 [] end"},
        {"X:y\r\n" EMPTY, "head 200 [] end"},
        {"X:\r\n" EMPTY, "head 200 [] end"},
        {"X: \t \r\n" EMPTY, "head 200 [] end"},
        {"X:  y z\t\r\n" EMPTY, "head 200 [] end"},
        {"X: caf\xc3\xa9 \xff\r\n" EMPTY, "head 200 [] end"},
        {"!#$%&'*+-.^_`|~: y\r\n" EMPTY, "head 200 [] end"},
        {"X : y\r\n", "[] HTTP_FIELD_NAME@18"},
        {"X\t: y\r\n", "[] HTTP_FIELD_NAME@18"},
        {": y\r\n", "[] HTTP_FIELD_NAME@17"},
        {"X\r\n", "[] HTTP_FIELD_NAME@18"},
        {"X y\r\n", "[] HTTP_FIELD_NAME@18"},
        {"X(: y\r\n", "[] HTTP_FIELD_NAME@18"},
        {"\xc3\xa9: y\r\n", "[] HTTP_FIELD_NAME@17"},
        {"\x01: y\r\n", "[] HTTP_FIELD_NAME@17"},
        {"X: a\x01\r\n", "[] HTTP_FIELD_VALUE@21"},
        {"X: a\x7f\r\n", "[] HTTP_FIELD_VALUE@21"},
        {"X: a\x1b[31m\r\n", "[] HTTP_FIELD_VALUE@21"},
        {"X: y\n", "[] HTTP_LINE_END@21"},
        {"X: y\rz", "[] HTTP_LINE_END@22"},
        {"X: y\r\n\n", "[] HTTP_LINE_END@23"},
        {"X: y\r\n\rx", "[] HTTP_LINE_END@24"},
        {"X: y\r\n z\r\n", "[] HTTP_FIELD_FOLDED@23"},
        {"X: y\r\n\tz\r\n", "[] HTTP_FIELD_FOLDED@23"},
        {" X: y\r\n", "[] HTTP_FIELD_FOLDED@17"},
        {"\n", "[] HTTP_LINE_END@17"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char text[256];
        snprintf(text, sizeof text, OK_HEAD "%s", rows[i].fields);
        says(text, OPEN, rows[i].wanted);
    }
    check_log(OK_HEAD "X: a\0b\r\n", 25, &roomy, OPEN, "[] HTTP_FIELD_VALUE@21");
    check_log(OK_HEAD "X\0: b\r\n", 24, &roomy, OPEN, "[] HTTP_FIELD_NAME@18");
}

static void a_content_length_frames_the_body(void **state)
{
    (void)state;
    says(OK_HEAD "Content-Length: 5\r\n\r\nhello", OPEN, "head 200 [hello] end");
    says(OK_HEAD "content-length:5\r\n\r\nhello", OPEN, "head 200 [hello] end");
    says(OK_HEAD "CONTENT-LENGTH: \t5 \t\r\n\r\nhello", OPEN, "head 200 [hello] end");
    says(OK_HEAD "Content-Length: 005\r\n\r\nhello", OPEN, "head 200 [hello] end");
    says(OK_HEAD "Content-Length: 5\r\n\r\nhel", OPEN, "head 200 [hel] more");
    says(OK_HEAD "Content-Length: 5\r\n\r\nhel", CLEAN, "head 200 [hel] BODY_TRUNCATED@41");
    says(OK_HEAD "Content-Length: 5\r\n\r\n", TORN, "head 200 [] BODY_TRUNCATED@38");
    says(OK_HEAD "Content-Length: 0\r\n\r\nx", OPEN, "head 200 [] end, unread");
    says(OK_HEAD "Content-Length: 5\r\n\r\nhello!", OPEN, "head 200 [hello] end, unread");
    says(OK_HEAD "X-Content-Length: 9\r\nContent-Length-X: 9\r\nContent-Length: 1\r\n\r\n1", OPEN,
         "head 200 [1] end");
}

static void malformed_and_repeated_lengths_are_refused(void **state)
{
    static const struct {
        const char *value;
        const char *reason;
    } rows[] = {
        {"", "HTTP_LENGTH"},
        {"-1", "HTTP_LENGTH"},
        {"+1", "HTTP_LENGTH"},
        {"1.0", "HTTP_LENGTH"},
        {"0x1", "HTTP_LENGTH"},
        {"1 2", "HTTP_LENGTH"},
        {"five", "HTTP_LENGTH"},
        {"4611686018427387904", "HTTP_LENGTH"},
        {"18446744073709551616", "HTTP_LENGTH"},
        {"999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"
         "99999",
         "HTTP_LENGTH"},
        {"5, 5", "HTTP_LENGTH_REPEATED"},
        {"5,5", "HTTP_LENGTH_REPEATED"},
        {"5,", "HTTP_LENGTH_REPEATED"},
        {",5", "HTTP_LENGTH_REPEATED"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char text[256], wanted[64];
        snprintf(text, sizeof text, OK_HEAD "Content-Length:%s\r\n\r\n", rows[i].value);
        snprintf(wanted, sizeof wanted, "[] %s@%d", rows[i].reason, (int)(17 + 15 + strlen(rows[i].value)));
        says(text, OPEN, wanted);
    }
    says(OK_HEAD "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", OPEN, "[] HTTP_LENGTH_REPEATED@53");
    says(OK_HEAD "Content-Length: 5\r\nX: y\r\ncontent-length: 6\r\n\r\n", OPEN,
         "[] HTTP_LENGTH_REPEATED@59");
}

#define CHUNKED OK_HEAD "Transfer-Encoding: chunked\r\n\r\n" /* 47 bytes */

static void chunks_are_joined(void **state)
{
    (void)state;
    says(CHUNKED "0\r\n\r\n", OPEN, "head 200 [] end");
    says(CHUNKED "5\r\nhello\r\n0\r\n\r\n", OPEN, "head 200 [hello] end");
    says(CHUNKED "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n", OPEN, "head 200 [hello] end");
    says(CHUNKED "A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", OPEN,
         "head 200 [01234567890123456789] end");
    says(CHUNKED "0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", OPEN, "head 200 [hello] end");
    says(CHUNKED "5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n", OPEN, "head 200 [hello] end");
    says(CHUNKED "5 \t;a\r\nhello\r\n0 \r\n\r\n", OPEN, "head 200 [hello] end");
    says(CHUNKED "5\t;a\r\nhello\r\n0\t\r\n\r\n", OPEN, "head 200 [hello] end");
    says(CHUNKED "0\r\nTrailer: x\r\nContent-Length: 99\r\nTransfer-Encoding: gzip\r\n\r\n", OPEN,
         "head 200 [] end");
    says(CHUNKED "0\r\n\r\nx", OPEN, "head 200 [] end, unread");
    says(OK_HEAD "transfer-encoding: CHUNKED\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n", OPEN, "head 200 [\r\n] end");
}

static void malformed_chunks_are_refused(void **state)
{
    static const struct {
        const char *chunks; /* behind the 47 bytes of the head */
        const char *wanted;
    } rows[] = {
        {"\r\n", "head 200 [] HTTP_CHUNK_SIZE@47"},
        {";x\r\n", "head 200 [] HTTP_CHUNK_SIZE@47"},
        {" 5\r\n", "head 200 [] HTTP_CHUNK_SIZE@47"},
        {"-5\r\n", "head 200 [] HTTP_CHUNK_SIZE@47"},
        {"+5\r\n", "head 200 [] HTTP_CHUNK_SIZE@47"},
        {"g\r\n", "head 200 [] HTTP_CHUNK_SIZE@47"},
        {"0x5\r\n", "head 200 [] HTTP_CHUNK_SIZE@48"},
        {"5,\r\n", "head 200 [] HTTP_CHUNK_SIZE@48"},
        {"5\n", "head 200 [] HTTP_CHUNK_SIZE@48"},
        {"00000000000000005\r\n", "head 200 [] HTTP_CHUNK_SIZE@63"},
        {"FFFFFFFFFFFFFFFFF\r\n", "head 200 [] HTTP_CHUNK_SIZE@63"},
        {"FFFFFFFFFFFFFFFF\r\n", "head 200 [] BODY_LIMIT@64"},
        {"8000000000000000\r\n", "head 200 [] BODY_LIMIT@64"},
        {"5;a\x01\r\n", "head 200 [] HTTP_CHUNK_EXTENSION@50"},
        {"5;a\n", "head 200 [] HTTP_CHUNK_EXTENSION@50"},
        {"5;a\x7f\r\n", "head 200 [] HTTP_CHUNK_EXTENSION@50"},
        {"5;a\rb", "head 200 [] HTTP_LINE_END@51"},
        {"5\r5", "head 200 [] HTTP_LINE_END@49"},
        {"1\r\nxy\r\n", "head 200 [x] HTTP_CHUNK_END@51"},
        {"1\r\nx\n", "head 200 [x] HTTP_CHUNK_END@51"},
        {"1\r\nx\rx", "head 200 [x] HTTP_CHUNK_END@52"},
        {"1\r\nx0\r\n\r\n", "head 200 [x] HTTP_CHUNK_END@51"},
        {"0\r\nbad\r\n\r\n", "head 200 [] HTTP_FIELD_NAME@53"},
        {"0\r\n X: y\r\n\r\n", "head 200 [] HTTP_FIELD_FOLDED@50"},
        {"0\r\nX: \x01\r\n\r\n", "head 200 [] HTTP_FIELD_VALUE@53"},
        {"0\r\nX: y\n", "head 200 [] HTTP_LINE_END@54"},
        {"0\r\n\n", "head 200 [] HTTP_LINE_END@50"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char text[256];
        snprintf(text, sizeof text, CHUNKED "%s", rows[i].chunks);
        says(text, OPEN, rows[i].wanted);
    }
    check_log(CHUNKED "5;a\0b\r\n", 54, &roomy, OPEN, "head 200 [] HTTP_CHUNK_EXTENSION@50");
}

/* The end of the stream, clean or not, at each byte of a chunked answer. */
static void a_chunked_answer_is_whole_only_at_its_last_byte(void **state)
{
    static const char text[] = CHUNKED "5;x\r\nhello\r\n0\r\nT: v\r\n\r\n";
    size_t len, whole = sizeof text - 1;
    (void)state;
    for (len = 0; len < whole; len++) {
        int end;
        for (end = CLEAN; end <= TORN; end++) {
            char *log = parse_cut(text, len, &roomy, (stream_end)end, len);
            char wanted[48];
            snprintf(wanted, sizeof wanted, "%s@%d", len < 47 ? "CLOSED_EARLY" : "BODY_TRUNCATED", (int)len);
            check(strstr(log, wanted) != NULL, "%s, not %s", log, wanted);
            free(log);
        }
    }
    says(text, CLEAN, "head 200 [hello] end");
}

static void without_framing_the_close_ends_the_body(void **state)
{
    (void)state;
    says(OK_HEAD "\r\nhello", CLEAN, "head 200 [hello] end");
    says(OK_HEAD "\r\n", CLEAN, "head 200 [] end");
    says(OK_HEAD "\r\nhello", TORN, "head 200 [hello] BODY_TRUNCATED@24");
    says(OK_HEAD "\r\nhello", OPEN, "head 200 [hello] more");
    says("HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\nhello", CLEAN, "head 200 [hello] end");
    says(OK_HEAD, CLEAN, "[] CLOSED_EARLY@17");
    says("", CLEAN, "[] CLOSED_EARLY@0");
    says("HTTP/1.1 100 Continue\r\n\r\n", CLEAN, "[] CLOSED_EARLY@25");
}

static void statuses_without_a_body_have_none(void **state)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"HTTP/1.1 204 No Content\r\n\r\n", "head 204 [] end"},
        {"HTTP/1.1 304 Not Modified\r\n\r\n", "head 304 [] end"},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", "head 304 [] end"},
        {"HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", "head 204 [] end"},
        {"HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n", "head 205 [] end"},
        {"HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n", "head 304 [] end"},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        says(rows[i].text, OPEN, rows[i].wanted);
    }
}

static void transfer_codings_other_than_chunked_are_refused(void **state)
{
    static const char *const values[] = {"gzip",     "gzip, chunked", "chunked, gzip", "chunked, chunked",
                                         "",         "chunked;q=1",   "identity",      "x-chunked",
                                         "chunkedx", "chunke",        "\"chunked\"",   ", chunked",
                                         "chunked,"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(values); i++) {
        char text[256], wanted[64];
        snprintf(text, sizeof text, OK_HEAD "Transfer-Encoding:%s\r\n\r\n", values[i]);
        snprintf(wanted, sizeof wanted, "[] HTTP_TRANSFER_CODING@%d", (int)(17 + 18 + strlen(values[i])));
        says(text, OPEN, wanted);
    }
    says(OK_HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", OPEN,
         "[] HTTP_TRANSFER_CODING@71");
    says(OK_HEAD "Transfer-Encoding: chunked" SPACES ", gzip\r\n\r\n", OPEN, "[] HTTP_TRANSFER_CODING@149");
    says(OK_HEAD "Transfer-Encoding: chunked" SPACES "\r\n\r\n0\r\n\r\n", OPEN, "head 200 [] end");
    says("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", OPEN,
         "[] HTTP_TRANSFER_CODING@46");
}

static void length_beside_chunked_is_refused_in_both_orders(void **state)
{
    (void)state;
    says(OK_HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", OPEN,
         "[] HTTP_LENGTH_AND_CODING@65");
    says(OK_HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", OPEN,
         "[] HTTP_LENGTH_AND_CODING@65");
}

static void content_codings_are_refused(void **state)
{
    (void)state;
    says(OK_HEAD "Content-Encoding: gzip\r\n" EMPTY, OPEN, "[] HTTP_CONTENT_CODING@61");
    says(OK_HEAD "Content-Encoding: identity\r\n" EMPTY, OPEN, "head 200 [] end");
    says(OK_HEAD "content-encoding: Identity \r\n" EMPTY, OPEN, "head 200 [] end");
    says(OK_HEAD "Content-Encoding: identity\r\nContent-Encoding: br\r\n" EMPTY, OPEN,
         "[] HTTP_CONTENT_CODING@87");
    says(OK_HEAD "Content-Encoding: br\r\nContent-Encoding: identity\r\n" EMPTY, OPEN,
         "[] HTTP_CONTENT_CODING@87");
    says(OK_HEAD "Content-Encoding: identity, gzip\r\n" EMPTY, OPEN, "[] HTTP_CONTENT_CODING@71");
    says(OK_HEAD "Content-Encoding: identity" SPACES ", gzip\r\n" EMPTY, OPEN, "[] HTTP_CONTENT_CODING@171");
    says(OK_HEAD "Content-Encoding: identity" SPACES "\r\n" EMPTY, OPEN, "head 200 [] end");
}

static void interim_answers_are_skipped(void **state)
{
    (void)state;
    says("HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD EMPTY, OPEN, "head 200 [] end");
    says("HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 7\r\n\r\nHTTP/1.1 102 x\r\n\r\n" OK_HEAD
             EMPTY,
         OPEN, "head 200 [] end");
    says("HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n" OK_HEAD
         "Content-Length: 2\r\n\r\nab",
         OPEN, "head 200 [ab] end");
    says("HTTP/1.1 199 x\r\n\r\n" OK_HEAD EMPTY, OPEN, "head 200 [] end");
    says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", OPEN, "[] HTTP_UPGRADE@49");
    says("HTTP/1.1 100 x\r\n\r\ngarbage", OPEN, "[] HTTP_STATUS_LINE@18");
    says("HTTP/1.1 100 x\r\n bad\r\n\r\n", OPEN, "[] HTTP_FIELD_FOLDED@16");
}

static void interim_answers_have_a_limit(void **state)
{
    htoki_http_limits limits = roomy;
    unit_text text = {0};
    size_t i;
    (void)state;
    limits.interim = 3;
    for (i = 0; i < 3; i++) {
        unit_add_text(&text, "HTTP/1.1 100 x\r\n\r\n");
    }
    unit_add_text(&text, OK_HEAD EMPTY);
    check_log(text.text, text.len, &limits, OPEN, "head 200 [] end");
    limits.interim = 2;
    check_log(text.text, text.len, &limits, OPEN, "[] HTTP_INTERIM_LIMIT@53");
    free(text.text);
}

static void a_head_has_a_limit_of_bytes(void **state)
{
    static const char text[] =
        "HTTP/1.1 100 x\r\n\r\n" OK_HEAD "X: yyyyyyyyyy\r\nContent-Length: 2\r\n\r\nab";
    size_t head = sizeof text - 3, limit;
    (void)state;
    for (limit = 0; limit <= head + 1; limit++) {
        htoki_http_limits limits = roomy;
        char wanted[48];
        limits.head_bytes = (uint32_t)limit;
        snprintf(wanted, sizeof wanted, limit < head ? "[] HTTP_HEAD_LIMIT@%d" : "head 200 [ab] end",
                 (int)limit);
        check_log(text, sizeof text - 1, &limits, OPEN, wanted);
    }
}

static void trailers_and_chunk_extensions_count_as_head(void **state)
{
    static const char trailers[] = CHUNKED "1\r\nx\r\n0\r\nT: v\r\n\r\n",
                      extension[] = CHUNKED "1;aaaaaaaa\r\nx\r\n0\r\n\r\n";
    htoki_http_limits limits = roomy;
    (void)state;
    limits.head_bytes = 47 + 8;
    check_log(trailers, sizeof trailers - 1, &limits, OPEN, "head 200 [x] end");
    limits.head_bytes = 47 + 7;
    check_log(trailers, sizeof trailers - 1, &limits, OPEN, "head 200 [x] HTTP_HEAD_LIMIT@63");
    limits.head_bytes = 47 + 5;
    check_log(extension, sizeof extension - 1, &limits, OPEN, "head 200 [] HTTP_CHUNK_EXTENSION@54");
}

static void fields_have_a_limit_of_number(void **state)
{
    static const char text[] = OK_HEAD "A: 1\r\nB: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: 3\r\n\r\n";
    htoki_http_limits limits = roomy;
    (void)state;
    limits.fields = 4;
    check_log(text, sizeof text - 1, &limits, OPEN, "head 200 [] end");
    limits.fields = 3;
    check_log(text, sizeof text - 1, &limits, OPEN, "head 200 [] HTTP_FIELD_LIMIT@62");
    limits.fields = 2;
    check_log(text, sizeof text - 1, &limits, OPEN, "[] HTTP_FIELD_LIMIT@29");
    limits.fields = 0;
    check_log(text, sizeof text - 1, &limits, OPEN, "[] HTTP_FIELD_LIMIT@17");
}

/* The limit is the same in all framings and at all splits: the bytes before it are handed out. */
static void a_body_has_a_limit(void **state)
{
    htoki_http_limits limits = roomy;
    (void)state;
    limits.body_bytes = 5;
    check_log(OK_HEAD "Content-Length: 5\r\n\r\nhello", 43, &limits, OPEN, "head 200 [hello] end");
    check_log(OK_HEAD "Content-Length: 6\r\n\r\nhello!", 44, &limits, OPEN, "[] BODY_LIMIT@37");
    check_log(CHUNKED "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 67, &limits, OPEN, "head 200 [hello] end");
    check_log(CHUNKED "3\r\nhel\r\n3\r\nlo!\r\n0\r\n\r\n", 68, &limits, OPEN, "head 200 [hel] BODY_LIMIT@57");
    check_log(OK_HEAD "\r\nhello", 24, &limits, CLEAN, "head 200 [hello] end");
}

static void a_close_delimited_body_over_the_limit_fails_at_the_same_byte_at_each_split(void **state)
{
    htoki_http_limits limits = roomy;
    (void)state;
    limits.body_bytes = 5;
    check_log(OK_HEAD "\r\nhello, world", 31, &limits, OPEN, "head 200 [hello] BODY_LIMIT@24");
}

static void read_head(htoki_http *h, const char *text)
{
    static htoki_http_texts texts;
    size_t len = strlen(text), at = 0, n;
    htoki_http_event event;
    htoki_http_begin(h, &roomy, &texts);
    do {
        event = htoki_http_feed(h, text + at, len - at, &n);
        at += n;
        if (event == HTOKI_HTTP_BODY) {
            at += h->body_len;
            htoki_http_take(h, h->body_len);
        }
    } while (event == HTOKI_HTTP_BODY || (event == HTOKI_HTTP_HEAD && h->state != HTOKI_H_DONE));
    check(event != HTOKI_HTTP_ERROR, "%s: %s", text, htok_reason_name(h->reason));
}

static void a_connection_is_kept_only_where_the_end_is_sure(void **state)
{
    static const struct {
        const char *text;
        bool keeps;
    } rows[] = {
        {OK_HEAD EMPTY, true},
        {OK_HEAD "Content-Length: 2\r\n\r\nab", true},
        {OK_HEAD "Content-Length: 2\r\n\r\na", false},
        {CHUNKED "1\r\na\r\n0\r\n\r\n", true},
        {CHUNKED "1\r\na\r\n0\r\n", false},
        {OK_HEAD "Connection: keep-alive\r\n" EMPTY, true},
        {OK_HEAD "Connection: close\r\n" EMPTY, false},
        {OK_HEAD "connection: CLOSE\r\n" EMPTY, false},
        {OK_HEAD "Connection: keep-alive, close\r\n" EMPTY, false},
        {OK_HEAD "Connection: x ,\t close ,y\r\n" EMPTY, false},
        {OK_HEAD "Connection: close\t,x\r\n" EMPTY, false},
        {OK_HEAD "Connection: close\r\nConnection: x\r\n" EMPTY, false},
        {OK_HEAD "Connection: x" SPACES ", close\r\n" EMPTY, false},
        {OK_HEAD "Connection: x" SPACES "\r\n" EMPTY, true},
        {OK_HEAD "Connection: x" SPACES "\t\r\n" EMPTY, true},
        {OK_HEAD "Connection: close\r\nConnection: keep-alive\r\n" EMPTY, false},
        {OK_HEAD "Connection: closed\r\n" EMPTY, true},
        {OK_HEAD "Connection: x-close\r\n" EMPTY, true},
        {"HTTP/1.1 100 x\r\nConnection: close\r\n\r\n" OK_HEAD EMPTY, true},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\nConnection: close\r\n\r\n", true},
        {"HTTP/1.0 200 OK\r\n" EMPTY, false},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" EMPTY, false},
        {"HTTP/1.1 204 x\r\n\r\n", true},
        {"HTTP/1.1 304 x\r\n\r\n", true},
        {"HTTP/1.1 500 x\r\nContent-Length: 1\r\n\r\nx", true},
        {OK_HEAD "\r\nx", false},
    };
    size_t i;
    htoki_http h;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        read_head(&h, rows[i].text);
        check_number(htoki_http_keeps_connection(&h), rows[i].keeps, rows[i].text);
    }
    read_head(&h, OK_HEAD "\r\nx");
    assert_int_equal(htoki_http_eof(&h, true), HTOKI_HTTP_END);
    assert_false(htoki_http_keeps_connection(&h));
}

static void json_is_told_by_the_media_type(void **state)
{
    static const struct {
        const char *field;
        bool json;
    } rows[] = {
        {"Content-Type: application/json", true},
        {"content-type:APPLICATION/JSON", true},
        {"Content-Type: application/json; charset=utf-8", true},
        {"Content-Type: application/json;charset=utf-8", true},
        {"Content-Type: application/json ; a=b", true},
        {"Content-Type: application/json\t;a=b", true},
        {"Content-Type: application/json; "
         "a=0123456789012345678901234567890123456789012345678901234567890123456789"
         "01234567890123456789012345678901234567890",
         true},
        {"Content-Type: application/jsonx", false},
        {"Content-Type: application/problem+json", false},
        {"Content-Type: text/json", false},
        {"Content-Type: application/json, text/html", false},
        {"Content-Type: \"application/json\"", false},
        {"Content-Type: x; application/json", false},
        {"Content-Type:", false},
        {"X: y", false},
        {"X-Content-Type: application/json", false},
        {"Content-Type: application/json\r\nContent-Type: application/json", false},
        {"Content-Type: text/html\r\nContent-Type: application/json", false},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char text[512];
        htoki_http h;
        snprintf(text, sizeof text, OK_HEAD "%s\r\n" EMPTY, rows[i].field);
        read_head(&h, text);
        check_number(h.content_json, rows[i].json, rows[i].field);
    }
}

static void a_retry_after_is_kept_where_it_can_be_one(void **state)
{
    htoki_http h;
    (void)state;
    read_head(&h, "HTTP/1.1 429 x\r\nRetry-After: 120 \r\n" EMPTY);
    assert_string_equal(h.retry_after, "120");
    read_head(&h, "HTTP/1.1 429 x\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n" EMPTY);
    assert_string_equal(h.retry_after, "Sun, 06 Nov 1994 08:49:37 GMT");
    read_head(&h,
              "HTTP/1.1 429 x\r\nRetry-After: 00000000000000000000000000000000000000000000000001\r\n" EMPTY);
    assert_string_equal(h.retry_after, "");
    read_head(&h, "HTTP/1.1 103 x\r\nRetry-After: 9\r\n\r\nHTTP/1.1 429 x\r\n" EMPTY);
    assert_string_equal(h.retry_after, "");
}

static void lists_are_searched_for_whole_words(void **state)
{
    (void)state;
    assert_true(htoki_list_has(unit_view("a, b ,\tC"), "c"));
    assert_true(htoki_list_has(unit_view(",,close"), "close"));
    assert_false(htoki_list_has(unit_view("close-x, xclose"), "close"));
    assert_false(htoki_list_has(unit_view(""), "close"));
    assert_false(htoki_list_has(unit_view(" , \t,"), "close"));
    assert_false(htoki_list_has(unit_view("clo se"), "close"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_lines_are_read_strictly),
        cmocka_unit_test(malformed_fields_are_refused),
        cmocka_unit_test(a_content_length_frames_the_body),
        cmocka_unit_test(malformed_and_repeated_lengths_are_refused),
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(a_chunked_answer_is_whole_only_at_its_last_byte),
        cmocka_unit_test(without_framing_the_close_ends_the_body),
        cmocka_unit_test(statuses_without_a_body_have_none),
        cmocka_unit_test(transfer_codings_other_than_chunked_are_refused),
        cmocka_unit_test(length_beside_chunked_is_refused_in_both_orders),
        cmocka_unit_test(content_codings_are_refused),
        cmocka_unit_test(interim_answers_are_skipped),
        cmocka_unit_test(interim_answers_have_a_limit),
        cmocka_unit_test(a_head_has_a_limit_of_bytes),
        cmocka_unit_test(trailers_and_chunk_extensions_count_as_head),
        cmocka_unit_test(fields_have_a_limit_of_number),
        cmocka_unit_test(a_body_has_a_limit),
        cmocka_unit_test(a_close_delimited_body_over_the_limit_fails_at_the_same_byte_at_each_split),
        cmocka_unit_test(a_connection_is_kept_only_where_the_end_is_sure),
        cmocka_unit_test(json_is_told_by_the_media_type),
        cmocka_unit_test(a_retry_after_is_kept_where_it_can_be_one),
        cmocka_unit_test(lists_are_searched_for_whole_words),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("http response", tests, NULL, NULL);
}
