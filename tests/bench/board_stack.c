/* Bytes of stack on a Cortex-M: of making a client, of a first list with its handshake, and of a create and a list after it, as painted
   below this program's own frame, less what a step that does nothing takes. One number a line. The server of
   tests/port/memory_peer.c, whose functions are named peer_ here, has a stack of its own, which does not count. */
#define HATHORA_TOKENS_NO_SOCKETS
#define HATHORA_TOKENS_NO_CLOCK
#define HATHORA_TOKENS_NO_ENTROPY
#define HATHORA_TOKENS_NO_FILES
#define HATHORA_TOKENS_NO_STDLIB
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "board.h"

#include <stdio.h>
#include <stdlib.h>

enum { STACK_BYTES = 32 * 1024, OWN_BYTES = 512, PAINT = 0xa5 };

htok_io peer_open(void *board, const char *host, uint16_t port, htok_io_detail *detail);
htok_io peer_send(void *board, const void *bytes, size_t len, htok_io_detail *detail);
htok_io peer_receive(void *board, void *bytes, size_t size, htok_io_detail *detail);

static htok_client *client;

/* ---- The server, on its stack. ---- */

static struct {
    enum { OPEN, SEND, RECEIVE } which;
    const char *host;
    const void *out;
    void *in;
    size_t len;
    htok_io_detail *detail;
    htok_io result;
} request;

static double peer_stack[STACK_BYTES / sizeof(double)];

/* on_stack(step, top): calls step() with the stack pointer at top. */
void on_stack(void (*step)(void), void *top);
__asm__(".syntax unified\n.text\n.thumb\n.thumb_func\n.global on_stack\non_stack:\n"
        "    push {r4, lr}\n    mov r4, sp\n    mov sp, r1\n    blx r0\n    mov sp, r4\n    pop {r4, pc}\n");

static void serve(void)
{
    request.result = request.which == OPEN   ? peer_open(NULL, request.host, 443, request.detail)
                     : request.which == SEND ? peer_send(NULL, request.out, request.len, request.detail)
                                             : peer_receive(NULL, request.in, request.len, request.detail);
}

static htok_io ask(void)
{
    on_stack(serve, peer_stack + sizeof peer_stack / sizeof peer_stack[0]);
    return request.result;
}

htok_io board_open(void *board, const char *host, uint16_t port, htok_io_detail *detail)
{
    (void)board, (void)port;
    request.which = OPEN;
    request.host = host;
    request.detail = detail;
    return ask();
}

htok_io board_send(void *board, const void *bytes, size_t len, htok_io_detail *detail)
{
    (void)board;
    request.which = SEND;
    request.out = bytes;
    request.len = len;
    request.detail = detail;
    return ask();
}

htok_io board_receive(void *board, void *bytes, size_t size, htok_io_detail *detail)
{
    (void)board;
    request.which = RECEIVE;
    request.in = bytes;
    request.len = size;
    request.detail = detail;
    return ask();
}

/* ---- The steps. ---- */

static void nothing(void)
{
}

static void make(void)
{
    static unsigned char memory[HTOK_CLIENT_BYTES];
    static const htok_transport transport = {false,      NULL,          board_open,  board_connect,
                                             board_send, board_receive, board_close, NULL};
    static const htok_clock clock = {NULL, board_milliseconds, board_unix_seconds};
    static const htok_entropy entropy = {NULL, board_random};
    static htok_client_options options;
    options.server_url = "https://tokens.example.test";
    options.org_id = "org-1";
    options.token = "dev-token";
    options.trust = board_roots();
    options.transport = &transport;
    options.clock = &clock;
    options.entropy = &entropy;
    if (htok_client_init(&client, memory, sizeof memory, &options, NULL) != HTOK_OK) {
        exit(1);
    }
}

static void finish(htok_kind kind)
{
    htok_state state = HTOK_STATE_PENDING;
    while (kind == HTOK_OK && (state == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM)) {
        state = htok_client_poll(client);
    }
    if (state != HTOK_STATE_DONE) {
        exit(1);
    }
}

static void list(void)
{
    finish(htok_get_org_tokens_start(client, NULL));
}

static void create_and_list(void)
{
    static htok_create_org_token_request request;
    request.name = "board";
    finish(htok_create_org_token_start(client, &request, NULL));
    list();
}

static __attribute__((noinline)) size_t stack_of(void (*step)(void))
{
    volatile uint32_t here;
    volatile unsigned char *high = (volatile unsigned char *)&here, *low = high - STACK_BYTES, *at;
    for (at = low; at < high - OWN_BYTES; at++) {
        *at = PAINT;
    }
    step();
    for (at = low; *at == PAINT; at++) {}
    return (size_t)(high - at);
}

int main(void)
{
    size_t base = stack_of(nothing);
    printf("%u\n", (unsigned)(stack_of(make) - base));
    printf("%u\n", (unsigned)(stack_of(list) - base));
    printf("%u\n", (unsigned)(stack_of(create_and_list) - base));
    htok_client_close(client);
    return 0;
}
