/* Creates a token with the least scopes that do and prints its plain text, which the service shows only once.

   cc -I. examples/create_token.c -lbearssl -o create_token
   ./create_token NAME SCOPE...          for example: ./create_token build-farm builds:read

   The environment is that of list_tokens.c. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <stdio.h>
#include <stdlib.h>

static int failed(const htok_error *error)
{
    char line[512];
    htok_error_format(error, line, sizeof line);
    fprintf(stderr, "create_token: %s\n", line);
    if (error->may_have_taken_effect) {
        fprintf(stderr, "create_token: list the tokens before trying again: it may exist now\n");
    }
    return 1;
}

int main(int argc, char **argv)
{
    htok_client *client;
    htok_client_options options = {0};
    htok_create_org_token_request request = {0};
    const htok_created_org_token *created;
    htok_error error;
    int result = 0;

    if (argc < 3) {
        fprintf(stderr, "usage: create_token NAME SCOPE...\n");
        return 2;
    }
    options.org_id = getenv("HATHORA_ORG_ID");
    options.token = getenv("HATHORA_TOKEN");
    options.server_url = getenv("HATHORA_CLOUD_ENDPOINT");
    options.trust_file = getenv("SSL_CERT_FILE");
    if (htok_client_create(&client, &options, &error) != HTOK_OK) {
        return failed(&error);
    }
    request.name = argv[1];
    request.scopes = (const char *const *)(argv + 2);
    request.scope_count = (size_t)(argc - 2);
    if (htok_create_org_token(client, &request, NULL, &created) == HTOK_OK) {
        htok_view text = created->plain_text_token;
        char id[128];
        htok_printable(created->org_token.org_token_id, id, sizeof id);
        if (fwrite(text.ptr, 1, text.len, stdout) != text.len || putchar('\n') == EOF ||
            fflush(stdout) != 0) {
            fprintf(stderr, "create_token: the token cannot be written: revoke %s\n", id);
            result = 1;
        } else {
            fprintf(stderr, "created %s\n", id);
        }
        htok_client_wipe(client);
    } else {
        result = failed(htok_client_error(client));
    }
    htok_client_close(client);
    return result;
}
