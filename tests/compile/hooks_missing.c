/* With every rim removed, a client without hooks is refused by name. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

int main(void)
{
    static unsigned char memory[HTOK_CLIENT_BYTES];
    htok_client *client;
    htok_error error;
    if (htok_client_init(&client, memory, sizeof memory, NULL, &error) != HTOK_INVALID_REQUEST_ERROR) {
        return 1;
    }
    return client == NULL && error.reason == HTOK_REASON_HOOK_MISSING && error.path[0] != '\0' ? 0 : 2;
}
