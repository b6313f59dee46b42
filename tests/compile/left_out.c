/* With HATHORA_TOKENS_NO_CLIENT_CERTIFICATE its options are refused, not passed over. Exit status 0: it was so. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

int main(void)
{
    static char block[HTOK_CLIENT_BYTES];
    htok_client_options options;
    htok_client *client;
    htok_error error;
    memset(&options, 0, sizeof options);
    options.client_chain.ptr = options.client_key.ptr = "x";
    options.client_chain.len = options.client_key.len = 1;
    return htok_client_bytes(&options) != htok_client_bytes(NULL) ||
           htok_client_init(&client, block, sizeof block, &options, &error) != HTOK_INVALID_REQUEST_ERROR ||
           error.reason != HTOK_REASON_HOOK_MISSING || strcmp(error.path, "client_chain") != 0;
}
