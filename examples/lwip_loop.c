/* A network stack of callbacks in a single loop, without threads, sockets or a heap: lwIP (NO_SYS=1) below the client.
   lwip_transport.h joins the two; board.h says what else is the board's.

   arm-none-eabi-gcc -I. -Iexamples -Ilwip/src/include -Os examples/lwip_loop.c your_board.c liblwip.a libbearssl.a */
#define HATHORA_TOKENS_NO_SOCKETS
#define HATHORA_TOKENS_NO_CLOCK
#define HATHORA_TOKENS_NO_ENTROPY
#define HATHORA_TOKENS_NO_FILES
#define HATHORA_TOKENS_NO_STDLIB
#define HATHORA_TOKENS_IMPLEMENTATION
#include "lwip_transport.h"
#include "board.h"

#include <lwip/sys.h>

static unsigned char memory[HTOK_CLIENT_BYTES];

/* lwIP's milliseconds have 32 bits and begin anew after 49 days, which the client's may not. */
static uint64_t milliseconds(void *unused)
{
    static uint64_t total;
    static uint32_t last;
    uint32_t now = sys_now();
    (void)unused;
    total += (uint32_t)(now - last);
    last = now;
    return total;
}

/* The loop of the whole program: its other work stands beside these two. */
static bool finish(htok_client *client)
{
    htok_state state;
    do {
        board_network();
        state = htok_client_poll(client);
        if (state == HTOK_STATE_ITEM) {
            board_print("listed ", htok_client_item(client)->name);
        }
    } while (state == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM);
    return state == HTOK_STATE_DONE;
}

static bool create_and_list(htok_client *client)
{
    htok_create_org_token_request request = {0};
    request.name = "board";
    if (htok_create_org_token_start(client, &request, NULL) != HTOK_OK || !finish(client)) {
        return false;
    }
    board_print("created ", htok_client_created(client)->org_token.org_token_id);
    htok_client_wipe(client); /* a real program keeps plain_text_token before this */
    return htok_get_org_tokens_start(client, NULL) == HTOK_OK && finish(client);
}

static void tell(const htok_error *error)
{
    char line[256];
    htok_view text;
    text.len = htok_error_format(error, line, sizeof line);
    text.len = text.len < sizeof line ? text.len : sizeof line - 1;
    text.ptr = line;
    board_print("failed: ", text);
}

int main(void)
{
    static lwip_stream stream;
    static const htok_clock clock = {NULL, milliseconds, board_unix_seconds};
    static const htok_entropy entropy = {NULL, board_random};
    htok_transport transport = lwip_transport(&stream);
    htok_client_options options = {0};
    htok_client *client;
    htok_error error;
    bool done;
    board_network_start();
    options.server_url = "https://tokens.example.test";
    options.org_id = "org-1";
    options.token = "dev-token";
    options.trust = board_roots();
    options.transport = &transport;
    options.clock = &clock;
    options.entropy = &entropy;
    if (htok_client_init(&client, memory, sizeof memory, &options, &error) != HTOK_OK) {
        tell(&error);
        return 1;
    }
    done = create_and_list(client);
    if (!done) {
        tell(htok_client_error(client));
    }
    htok_client_close(client);
    return done ? 0 : 1;
}
