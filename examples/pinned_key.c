/* Talks only to a server whose chain of certificates holds one of the given public keys, beside all other checks.

   cc -I. examples/pinned_key.c -lbearssl -o pinned_key
   ./pinned_key sha256/BASE64 sha256/BASE64...

   The pin of a certificate, which need not be the server's own but may be that of its issuer:
     openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der |
         openssl dgst -sha256 -binary | openssl base64
   Always pin a spare key too, or the day the server's key changes locks the program out.
   The environment is that of list_tokens.c. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <stdio.h>
#include <stdlib.h>

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
    fprintf(stderr, "pinned_key: %s\n", line);
    /* The token has not left this program: a wrong key ends the handshake before the request is sent. */
    return error->reason == HTOK_REASON_CERTIFICATE_PIN ? 3 : 1;
}

int main(int argc, char **argv)
{
    htok_client *client;
    htok_client_options options = {0};
    htok_error error;
    size_t count = 0;
    int result = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: pinned_key sha256/BASE64...\n");
        return 2;
    }
    options.org_id = getenv("HATHORA_ORG_ID");
    options.token = getenv("HATHORA_TOKEN");
    options.server_url = getenv("HATHORA_CLOUD_ENDPOINT");
    options.trust_file = getenv("SSL_CERT_FILE");
    options.pins = (const char *const *)(argv + 1);
    options.pin_count = (size_t)(argc - 1);
    if (htok_client_create(&client, &options, &error) != HTOK_OK) {
        return failed(&error);
    }
    if (htok_get_org_tokens(client, NULL, count_token, &count) == HTOK_OK) {
        printf("%lu tokens, from a server with a pinned key\n", (unsigned long)count);
    } else {
        result = failed(htok_client_error(client));
    }
    htok_client_close(client);
    return result;
}
