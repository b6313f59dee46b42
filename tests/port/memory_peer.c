/* The other end of examples/board.h in memory: BearSSL's server side and the three operations, without any system.
   Random bytes come from a counter, so that every run is the same; a real board must not do that. */
#include "examples/board.h"

#include <bearssl.h>
#include <stdio.h>
#include <string.h>

#include "peer_keys.h"

#define TOKEN(status)                                                                                   \
    "{\"orgTokenId\":\"org-token-1\",\"orgId\":\"org-1\",\"name\":\"board\",\"status\":\"" status "\"," \
    "\"lastFourCharsOfKey\":\"abcd\",\"createdBy\":\"dev@example.test\","                               \
    "\"createdAt\":\"2024-05-06T07:08:09Z\",\"scopes\":[\"tokens:read\"]}"

static br_ssl_server_context server;
static unsigned char records[BR_SSL_BUFSIZE_BIDI];
static char request[2048];
static size_t request_len;
static const char *token; /* as the list shows it; NULL: there is none */
static uint64_t milliseconds;

static bool begins(const char *text)
{
    return strncmp(request, text, strlen(text)) == 0;
}

static void answer(const char *status, const char *body)
{
    char head[160];
    int len = snprintf(head, sizeof head,
                       "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %u\r\n\r\n", status,
                       (unsigned)strlen(body));
    size_t room = 0;
    unsigned char *out = br_ssl_engine_sendapp_buf(&server.eng, &room);
    if (out && len > 0 && room >= (size_t)len + strlen(body)) {
        memcpy(out, head, (size_t)len);
        memcpy(out + len, body, strlen(body));
        br_ssl_engine_sendapp_ack(&server.eng, (size_t)len + strlen(body));
        br_ssl_engine_flush(&server.eng, 0);
    }
}

static void serve(void)
{
    char list[512];
    request[request_len] = '\0';
    if (!strstr(request, "\r\nAuthorization: Bearer dev-token\r\n")) {
        answer("401 Unauthorized", "{\"message\":\"unknown token\"}");
    } else if (begins("GET /tokens/v1/orgs/org-1 HTTP/1.1\r\n")) {
        snprintf(list, sizeof list, "{\"tokens\":[%s]}", token ? token : "");
        answer("200 OK", list);
    } else if (begins("POST /tokens/v1/orgs/org-1/create HTTP/1.1\r\n") &&
               strstr(request, "\"name\":\"board\"")) {
        token = TOKEN("active");
        answer("201 Created",
               "{\"plainTextToken\":\"hathora_org_st_1234abcd\",\"orgToken\":" TOKEN("active") "}");
    } else if (begins("POST /tokens/v1/orgs/org-1/tokens/org-token-1/revoke HTTP/1.1\r\n") && token) {
        token = TOKEN("revoked");
        answer("200 OK", "true");
    } else {
        answer("404 Not Found", "{\"message\":\"not found\"}");
    }
    request_len = 0;
}

/* A request is whole with the end of its head and as many bytes as Content-Length says. */
static bool whole(void)
{
    const char *end, *length;
    unsigned bytes = 0;
    request[request_len] = '\0';
    end = strstr(request, "\r\n\r\n");
    length = strstr(request, "\r\nContent-Length: ");
    if (length && end && length < end) {
        sscanf(length, "\r\nContent-Length: %u", &bytes);
    }
    return end && request_len >= (size_t)(end + 4 - request) + bytes;
}

static void take(void)
{
    size_t len = 0;
    unsigned char *in = br_ssl_engine_recvapp_buf(&server.eng, &len);
    if (in && len) {
        len = len < sizeof request - 1 - request_len ? len : sizeof request - 1 - request_len;
        memcpy(request + request_len, in, len);
        request_len += len;
        br_ssl_engine_recvapp_ack(&server.eng, len);
        if (whole()) {
            serve();
        }
    }
}

htok_io board_open(void *board, const char *host, uint16_t port, htok_io_detail *detail)
{
    static br_x509_certificate chain[1];
    static br_ec_private_key key;
    (void)board, (void)detail;
    if (strcmp(host, "tokens.example.test") != 0 || port != 443) {
        return HTOK_IO_FAILED;
    }
    chain[0].data = (unsigned char *)peer_leaf;
    chain[0].data_len = sizeof peer_leaf;
    key.curve = BR_EC_secp256r1;
    key.x = (unsigned char *)peer_scalar;
    key.xlen = sizeof peer_scalar;
    br_ssl_server_init_minf2c(&server, chain, 1, &key);
    br_ssl_engine_set_buffer(&server.eng, records, sizeof records, 1);
    br_ssl_engine_inject_entropy(&server.eng, "the server's seed, not random at all", 32);
    request_len = 0;
    return br_ssl_server_reset(&server) ? HTOK_IO_AGAIN : HTOK_IO_FAILED;
}

htok_io board_connect(void *board, uint64_t now_ms, htok_io_detail *detail)
{
    (void)board, (void)now_ms, (void)detail;
    return HTOK_IO_OK;
}

htok_io board_send(void *board, const void *bytes, size_t len, htok_io_detail *detail)
{
    size_t room = 0;
    unsigned char *in = br_ssl_engine_recvrec_buf(&server.eng, &room);
    (void)board;
    if (br_ssl_engine_current_state(&server.eng) & BR_SSL_CLOSED) {
        return HTOK_IO_FAILED;
    }
    if (!in || !room) {
        return HTOK_IO_AGAIN;
    }
    detail->moved = len < room ? len : room;
    memcpy(in, bytes, detail->moved);
    br_ssl_engine_recvrec_ack(&server.eng, detail->moved);
    take();
    return HTOK_IO_OK;
}

htok_io board_receive(void *board, void *bytes, size_t size, htok_io_detail *detail)
{
    size_t len = 0;
    unsigned char *out;
    (void)board;
    milliseconds++;
    take();
    out = br_ssl_engine_sendrec_buf(&server.eng, &len);
    if (!out || !len) {
        return br_ssl_engine_current_state(&server.eng) & BR_SSL_CLOSED ? HTOK_IO_CLOSED : HTOK_IO_AGAIN;
    }
    detail->moved = len < size ? len : size;
    memcpy(bytes, out, detail->moved);
    br_ssl_engine_sendrec_ack(&server.eng, detail->moved);
    return HTOK_IO_OK;
}

void board_close(void *board)
{
    (void)board;
}

uint64_t board_milliseconds(void *board)
{
    (void)board;
    return milliseconds;
}

bool board_unix_seconds(void *board, int64_t *seconds)
{
    (void)board;
    *seconds = PEER_NOW;
    return true;
}

bool board_random(void *board, void *bytes, size_t len)
{
    static unsigned char next;
    unsigned char *to = (unsigned char *)bytes;
    (void)board;
    while (len-- != 0) {
        *to++ = next++;
    }
    return true;
}

htok_view board_roots(void)
{
    htok_view roots;
    roots.ptr = (const char *)peer_root;
    roots.len = sizeof peer_root;
    return roots;
}

void board_print(const char *before, htok_view text)
{
    printf("%s%.*s\n", before, (int)text.len, text.ptr);
}
