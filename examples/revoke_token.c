/* Revokes tokens by their ids, all over one connection.

   cc -I. examples/revoke_token.c -lbearssl -o revoke_token
   ./revoke_token ORG_TOKEN_ID...

   The environment is that of list_tokens.c. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <stdio.h>
#include <stdlib.h>

static int failed(const char *id, const htok_error *error)
{
    char line[512];
    htok_error_format(error, line, sizeof line);
    fprintf(stderr, "revoke_token: %s%s%s\n", id, *id ? ": " : "", line);
    return 1;
}

int main(int argc, char **argv)
{
    htok_client *client;
    htok_client_options options = {0};
    htok_error error;
    int result = 0, i;

    if (argc < 2) {
        fprintf(stderr, "usage: revoke_token ORG_TOKEN_ID...\n");
        return 2;
    }
    options.org_id = getenv("HATHORA_ORG_ID");
    options.token = getenv("HATHORA_TOKEN");
    options.server_url = getenv("HATHORA_CLOUD_ENDPOINT");
    options.trust_file = getenv("SSL_CERT_FILE");
    if (htok_client_create(&client, &options, &error) != HTOK_OK) {
        return failed("", &error);
    }
    for (i = 1; i < argc && result == 0; i++) {
        bool revoked;
        if (htok_revoke_org_token(client, argv[i], NULL, &revoked) != HTOK_OK) {
            result = failed(argv[i], htok_client_error(client));
        } else if (!revoked) {
            fprintf(stderr, "revoke_token: %s: the server answers that it was not revoked\n", argv[i]);
            result = 1;
        } else {
            printf("revoked %s\n", argv[i]);
        }
    }
    htok_client_close(client);
    return result;
}
