/* No operating system: no heap, no sockets, no files, no clock but the board's. Lists, creates and revokes over TLS, in
   one static block of memory. board.h says what the board has to give.

   arm-none-eabi-gcc -I. -Iexamples -Os examples/bare_metal.c your_board.c libbearssl.a */
#define HATHORA_TOKENS_NO_SOCKETS
#define HATHORA_TOKENS_NO_CLOCK
#define HATHORA_TOKENS_NO_ENTROPY
#define HATHORA_TOKENS_NO_FILES
#define HATHORA_TOKENS_NO_STDLIB
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "board.h"

#include <string.h>

static const char name[] = "board", org[] = "org-1", dev_token[] = "dev-token";
static unsigned char memory[HTOK_CLIENT_BYTES];

/* On a real board this is one pass of the main loop's work; here the loop has nothing else to do. */
static bool finish(htok_client *client)
{
    htok_state state;
    while ((state = htok_client_poll(client)) == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM) {
        if (state == HTOK_STATE_ITEM) {
            const htok_org_token *token = htok_client_item(client);
            board_print(token->status == HTOK_TOKEN_STATUS_ACTIVE ? "active  " : "revoked ", token->name);
        }
    }
    return state == HTOK_STATE_DONE;
}

static bool list(htok_client *client)
{
    return htok_get_org_tokens_start(client, NULL) == HTOK_OK && finish(client);
}

static bool create_and_revoke(htok_client *client)
{
    static const char *const scopes[] = {"tokens:read"};
    htok_create_org_token_request request = {0};
    char id[64];
    htok_view created;
    request.name = name;
    request.scopes = scopes;
    request.scope_count = 1;
    if (htok_create_org_token_start(client, &request, NULL) != HTOK_OK || !finish(client)) {
        return false;
    }
    created = htok_client_created(client)->org_token.org_token_id;
    if (created.len >= sizeof id) {
        return false;
    }
    memcpy(id, created.ptr, created.len + 1); /* the next start forgets the answer */
    htok_client_wipe(client);                 /* a real program keeps plain_text_token before this */
    return list(client) && htok_revoke_org_token_start(client, id, NULL) == HTOK_OK && finish(client) &&
           htok_client_revoked(client);
}

static void tell(const char *before, const htok_error *error)
{
    char line[256];
    htok_view text;
    text.len = htok_error_format(error, line, sizeof line);
    text.len = text.len < sizeof line ? text.len : sizeof line - 1;
    text.ptr = line;
    board_print(before, text);
}

int main(void)
{
    static const htok_transport transport = {false,      NULL,          board_open,  board_connect,
                                             board_send, board_receive, board_close, NULL};
    static const htok_clock clock = {NULL, board_milliseconds, board_unix_seconds};
    static const htok_entropy entropy = {NULL, board_random};
    htok_client_options options = {0};
    htok_client *client;
    htok_error error;
    bool done;
    options.server_url = "https://tokens.example.test";
    options.org_id = org;
    options.token = dev_token;
    options.trust = board_roots();
    options.transport = &transport;
    options.clock = &clock;
    options.entropy = &entropy;
    if (htok_client_init(&client, memory, sizeof memory, &options, &error) != HTOK_OK) {
        tell("refused: ", &error);
        return 1;
    }
    done = list(client) && create_and_revoke(client) && list(client);
    if (!done) {
        tell("failed: ", htok_client_error(client));
    }
    htok_client_close(client);
    return done ? 0 : 1;
}
