/* Lists tokens without one allocation: the client lives in a static block, and so do the trusted certificates.

   cc -I. examples/static_memory.c -lbearssl -o static_memory

   The environment is that of list_tokens.c, but SSL_CERT_FILE must be set. A device would have its certificates in
   the program instead, as the text of a string. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned char client_memory[HTOK_CLIENT_BYTES];
static char trusted_pem[16 * 1024];

static bool count_token(void *context, const htok_org_token *token)
{
    size_t *active = (size_t *)context;
    *active += token->status == HTOK_TOKEN_STATUS_ACTIVE;
    return true;
}

static int failed(const htok_error *error)
{
    char line[512];
    htok_error_format(error, line, sizeof line);
    fprintf(stderr, "static_memory: %s\n", line);
    return 1;
}

/* The whole file into trusted_pem; 0 when that fails. */
static size_t read_trust(const char *path)
{
    FILE *file = path ? fopen(path, "rb") : NULL;
    size_t len;
    bool whole;
    if (!file) {
        return 0;
    }
    len = fread(trusted_pem, 1, sizeof trusted_pem, file);
    whole = !ferror(file) && len < sizeof trusted_pem;
    fclose(file);
    return whole ? len : 0;
}

int main(void)
{
    htok_client *client;
    htok_client_options options = {0};
    htok_error error;
    size_t active = 0;
    int result = 0;

    options.org_id = getenv("HATHORA_ORG_ID");
    options.token = getenv("HATHORA_TOKEN");
    options.server_url = getenv("HATHORA_CLOUD_ENDPOINT");
    options.trust.ptr = trusted_pem;
    options.trust.len = read_trust(getenv("SSL_CERT_FILE"));
    if (options.trust.len == 0) {
        fprintf(stderr, "static_memory: SSL_CERT_FILE cannot be read\n");
        return 2;
    }
    if (htok_client_init(&client, client_memory, sizeof client_memory, &options, &error) != HTOK_OK) {
        return failed(&error);
    }
    if (htok_get_org_tokens(client, NULL, count_token, &active) == HTOK_OK) {
        printf("%lu active tokens, with %lu bytes of memory\n", (unsigned long)active,
               (unsigned long)sizeof client_memory);
    } else {
        result = failed(htok_client_error(client));
    }
    htok_client_close(client);
    return result;
}
