/* What a knob left out is refused where it is asked for, not passed over. Exit status 0: it was so. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

static char block[HTOK_CLIENT_BYTES];

/* Whether a client with these options is refused, by the name of the one that is not there. */
static bool is_refused(const htok_client_options *options, const char *name)
{
    htok_client *client;
    htok_error error;
    return htok_client_init(&client, block, sizeof block, options, &error) == HTOK_INVALID_REQUEST_ERROR &&
           error.reason == HTOK_REASON_HOOK_MISSING && strcmp(error.path, name) == 0;
}

static bool sessions_are_refused(void)
{
    static unsigned char session[HTOK_SESSION_BYTES];
    htok_client *client;
    bool refused =
        htok_client_init(&client, block, sizeof block, NULL, NULL) == HTOK_OK &&
        htok_client_import_session(client, session, sizeof session) == HTOK_INVALID_REQUEST_ERROR &&
        htok_client_error(client)->reason == HTOK_REASON_HOOK_MISSING &&
        htok_client_export_session(client, session, sizeof session) == 0;
    htok_client_close(client);
    return refused;
}

int main(void)
{
    htok_client_options with_certificate, with_proxy;
    htok_proxy proxy;
    memset(&with_certificate, 0, sizeof with_certificate);
    with_certificate.client_chain.ptr = with_certificate.client_key.ptr = "x";
    with_certificate.client_chain.len = with_certificate.client_key.len = 1;
    memset(&with_proxy, 0, sizeof with_proxy);
    memset(&proxy, 0, sizeof proxy);
    proxy.host = "proxy.test";
    proxy.port = 3128;
    with_proxy.proxy = &proxy;
    return htok_client_bytes(&with_certificate) != htok_client_bytes(NULL) ||
           !is_refused(&with_certificate, "client_chain") || !is_refused(&with_proxy, "proxy") ||
           !sessions_are_refused();
}
