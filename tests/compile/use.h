/* Makes a client in the caller's memory and ends it: what the main programs of this folder run. */
#ifndef USE_H
#define USE_H

#ifdef __cplusplus
extern "C" {
#endif
int use_elsewhere(void);
#ifdef __cplusplus
}
#endif

static int use_client(void)
{
    static unsigned char memory[HTOK_CLIENT_BYTES];
    htok_client *client;
    htok_client_options options;
    htok_error error;
    size_t i;
    unsigned char *bytes = (unsigned char *)&options;
    for (i = 0; i < sizeof options; i++) {
        bytes[i] = 0;
    }
    options.org_id = "org-1";
    if (htok_client_bytes(&options) == 0 || htok_client_bytes(&options) > sizeof memory) {
        return 1;
    }
    if (htok_client_init(&client, memory, sizeof memory, &options, &error) != HTOK_OK) {
        return 2;
    }
    if (htok_client_poll(client) != HTOK_STATE_IDLE || htok_client_error(client)->kind != HTOK_OK) {
        return 3;
    }
    htok_client_close(client);
    options.server_url = "gopher://example.test";
    if (htok_client_init(&client, memory, sizeof memory, &options, &error) != HTOK_INVALID_REQUEST_ERROR ||
        client != NULL || error.reason != HTOK_REASON_URL_SCHEME) {
        return 4;
    }
    return 0;
}

#endif
