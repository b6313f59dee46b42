/* Lists tokens with no file but the program: the trusted certificates are compiled in, and nothing is allocated.

   build/mkanchors --subject "ISRG Root" /etc/ssl/certs/ca-certificates.crt >trusted_anchors.h
   cc -I. examples/compiled_in_anchors.c -lbearssl -o compiled_in_anchors

   Which root a server's chain leads to, tells
     openssl s_client -connect api.hathora.dev:443 </dev/null
   Take more than one: a server may change its authority, and roots expire. The header made by mkanchors lists what it
   holds. The environment is that of list_tokens.c; no file is named in it. */
#define HATHORA_TOKENS_IMPLEMENTATION
#define HATHORA_TOKENS_NO_FILES
#include "hathora_tokens.h"
#include "trusted_anchors.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned char client_memory[HTOK_CLIENT_BYTES];

static bool count_token(void *context, const htok_org_token *token)
{
    (void)token;
    *(size_t *)context += 1;
    return true;
}

static int failed(const htok_error *error)
{
    char line[512];
    htok_error_format(error, line, sizeof line);
    fprintf(stderr, "compiled_in_anchors: %s\n", line);
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
    options.trust.ptr = (const char *)trusted_anchors;
    options.trust.len = sizeof trusted_anchors;
    if (htok_client_init(&client, client_memory, sizeof client_memory, &options, &error) != HTOK_OK) {
        return failed(&error);
    }
    if (htok_get_org_tokens(client, NULL, count_token, &count) == HTOK_OK) {
        printf("%lu tokens, by %lu bytes of trusted certificates\n", (unsigned long)count,
               (unsigned long)sizeof trusted_anchors);
    } else {
        result = failed(htok_client_error(client));
    }
    htok_client_close(client);
    return result;
}
