/* Lists the tokens of an organization, a line each as they arrive.

   cc -I. examples/list_tokens.c -lbearssl -o list_tokens

   HATHORA_ORG_ID and HATHORA_TOKEN say whose; HATHORA_CLOUD_ENDPOINT and SSL_CERT_FILE may name another server and
   the certificates to trust. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <stdio.h>
#include <stdlib.h>

static bool print_token(void *context, const htok_org_token *token)
{
    size_t *count = (size_t *)context;
    char id[128], name[512], status[64];
    /* Text of a server goes to a terminal only like this. */
    htok_printable(token->org_token_id, id, sizeof id);
    htok_printable(token->name, name, sizeof name);
    htok_printable(token->status_text, status, sizeof status);
    printf("%s  %s  %s\n", id, status, name);
    *count += 1;
    return true;
}

static int failed(const htok_error *error)
{
    char line[512];
    htok_error_format(error, line, sizeof line);
    fprintf(stderr, "list_tokens: %s\n", line);
    return 1;
}

int main(void)
{
    htok_client *client;
    htok_client_options options = {0};
    htok_error error;
    size_t count = 0;
    int result = 0;

    options.org_id = getenv("HATHORA_ORG_ID");
    options.token = getenv("HATHORA_TOKEN");
    options.server_url = getenv("HATHORA_CLOUD_ENDPOINT");
    options.trust_file = getenv("SSL_CERT_FILE");
    if (htok_client_create(&client, &options, &error) != HTOK_OK) {
        return failed(&error);
    }
    /* A list that broke half-way was printed in part: only HTOK_OK makes it whole. */
    if (htok_get_org_tokens(client, NULL, print_token, &count) == HTOK_OK) {
        printf("%lu tokens\n", (unsigned long)count);
    } else {
        result = failed(htok_client_error(client));
    }
    htok_client_close(client);
    return result;
}
