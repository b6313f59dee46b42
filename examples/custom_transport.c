/* Puts a byte stream of one's own under the client: here a script in memory, elsewhere another TLS library, a
   console's network or a proxy. It runs without any network.

   cc -I. examples/custom_transport.c -lbearssl -o custom_transport */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <stdio.h>
#include <string.h>

#define BODY                                                                                       \
    "{\"tokens\":[{\"orgTokenId\":\"org-token-1\",\"orgId\":\"org-1\",\"name\":\"from a script\"," \
    "\"status\":\"active\",\"lastFourCharsOfKey\":\"abcd\",\"createdBy\":\"dev@example.test\","    \
    "\"createdAt\":\"2024-05-06T07:08:09Z\",\"scopes\":[\"tokens:read\"]}]}"

/* One connection: what the server says, how much of it was read, how much of the request came. */
typedef struct script {
    char answer[1024];
    size_t len, at, received;
} script;

static htok_io script_open(void *context, const char *host, uint16_t port, htok_io_detail *detail)
{
    script *s = (script *)context;
    (void)detail;
    printf("open %s:%u\n", host, (unsigned)port);
    s->len =
        (size_t)snprintf(s->answer, sizeof s->answer,
                         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %lu\r\n\r\n%s",
                         (unsigned long)strlen(BODY), BODY);
    s->at = s->received = 0;
    return s->len < sizeof s->answer ? HTOK_IO_OK : HTOK_IO_FAILED;
}

static htok_io script_connect(void *context, uint64_t now_ms, htok_io_detail *detail)
{
    (void)context, (void)now_ms, (void)detail;
    return HTOK_IO_OK;
}

static htok_io script_send(void *context, const void *bytes, size_t len, htok_io_detail *detail)
{
    (void)bytes;
    ((script *)context)->received += len;
    detail->moved = len;
    return HTOK_IO_OK;
}

static htok_io script_receive(void *context, void *bytes, size_t size, htok_io_detail *detail)
{
    script *s = (script *)context;
    size_t len = s->len - s->at < size ? s->len - s->at : size;
    if (s->received == 0 || len == 0) {
        return HTOK_IO_AGAIN;
    }
    memcpy(bytes, s->answer + s->at, len);
    s->at += len;
    detail->moved = len;
    return HTOK_IO_OK;
}

static void script_close(void *context)
{
    (void)context;
    printf("close\n");
}

int main(void)
{
    static unsigned char memory[HTOK_CLIENT_BYTES];
    static script stream;
    /* The transport answers for TLS itself, so BearSSL has no part in this. */
    static const htok_transport transport = {true,        &stream,        script_open,  script_connect,
                                             script_send, script_receive, script_close, NULL};
    htok_client *client;
    htok_client_options options = {0};
    htok_error error;
    htok_state state;
    options.org_id = "org-1";
    options.transport = &transport;
    if (htok_client_init(&client, memory, sizeof memory, &options, &error) != HTOK_OK ||
        htok_get_org_tokens_start(client, NULL) != HTOK_OK) {
        fprintf(stderr, "custom_transport: refused\n");
        return 1;
    }
    while ((state = htok_client_poll(client)) == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM) {
        if (state == HTOK_STATE_ITEM) {
            printf("token %s\n", htok_client_item(client)->name.ptr);
        }
    }
    htok_client_close(client);
    return state == HTOK_STATE_DONE ? 0 : 1;
}
