/* All rims off: no sockets, clock, entropy, files, memory or threads of a system. The board_ and modem_ functions stand
   for a device's drivers; descriptor 3 plays the modem, a byte stream to the server.
   build/mkanchors --subject "ISRG Root" /etc/ssl/certs/ca-certificates.crt >trusted_anchors.h
   cc -I. examples/bare_metal.c -lbearssl -o bare_metal
   bash -c './bare_metal URL ORG TOKEN 3<>/dev/tcp/HOST/PORT' */
#define _DEFAULT_SOURCE /* getentropy() */
#define HATHORA_TOKENS_IMPLEMENTATION
#define HATHORA_TOKENS_NO_SOCKETS
#define HATHORA_TOKENS_NO_FILES
#define HATHORA_TOKENS_NO_CLOCK
#define HATHORA_TOKENS_NO_ENTROPY
#define HATHORA_TOKENS_NO_STDLIB
#define HATHORA_TOKENS_NO_BLOCKING
#include "hathora_tokens.h"
#include "trusted_anchors.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static bool board_random(void *context, void *bytes, size_t len) /* a hardware generator */
{
    (void)context;
    return getentropy(bytes, len) == 0;
}

static uint64_t board_ticks(void *context) /* milliseconds since power-on, or whenever */
{
    (void)context;
    return (uint64_t)time(NULL) * 1000;
}

static bool board_time(void *context, int64_t *seconds) /* a battery-backed clock; false: certificates fail */
{
    (void)context;
    *seconds = (int64_t)time(NULL);
    return true;
}

static htok_io modem_open(void *context, const char *host, uint16_t port, htok_io_detail *detail)
{
    (void)context, (void)host, (void)port, (void)detail;
    return HTOK_IO_OK;
}

static htok_io modem_connect(void *context, uint64_t now_ms, htok_io_detail *detail)
{
    (void)context, (void)now_ms, (void)detail;
    return HTOK_IO_OK;
}

static htok_io modem_send(void *context, const void *bytes, size_t len, htok_io_detail *detail)
{
    ssize_t n = write(3, bytes, len); /* a driver would take what fits, or say AGAIN */
    (void)context, detail->moved = n > 0 ? (size_t)n : 0;
    return n > 0 ? HTOK_IO_OK : HTOK_IO_FAILED;
}

static htok_io modem_receive(void *context, void *bytes, size_t size, htok_io_detail *detail)
{
    ssize_t n = read(3, bytes, size); /* a driver would give what has come, or say AGAIN */
    (void)context, detail->moved = n > 0 ? (size_t)n : 0;
    return n > 0 ? HTOK_IO_OK : n == 0 ? HTOK_IO_CLOSED : HTOK_IO_FAILED;
}

static void modem_close(void *context)
{
    (void)context;
}

int main(int argc, char **argv)
{
    static const htok_transport modem = {false,      NULL,          modem_open,  modem_connect,
                                         modem_send, modem_receive, modem_close, NULL};
    static const htok_clock watch = {NULL, board_ticks, board_time};
    static const htok_entropy entropy = {NULL, board_random};
    static unsigned char memory[HTOK_CLIENT_BYTES];
    htok_client_options options = {0};
    htok_client *client;
    htok_state state = HTOK_STATE_FAILED;
    options.server_url = argc > 1 ? argv[1] : "";
    options.org_id = argc > 2 ? argv[2] : "";
    options.token = argc > 3 ? argv[3] : NULL;
    options.trust.ptr = (const char *)trusted_anchors;
    options.trust.len = sizeof trusted_anchors;
    options.transport = &modem;
    options.clock = &watch;
    options.entropy = &entropy;
    if (htok_client_init(&client, memory, sizeof memory, &options, NULL) == HTOK_OK &&
        htok_get_org_tokens_start(client, NULL) == HTOK_OK) {
        while ((state = htok_client_poll(client)) == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM) {
            if (state == HTOK_STATE_ITEM) {
                printf("%s\n", htok_client_item(client)->name.ptr);
            }
        }
        printf("%s\n", htok_reason_text(htok_client_error(client)->reason));
    }
    htok_client_close(client);
    return state == HTOK_STATE_DONE ? 0 : 1;
}
