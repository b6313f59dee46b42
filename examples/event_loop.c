/* Two lists at the same time on one thread, in an event loop around poll(2). With epoll, libuv or another loop the
   three members of htok_wait go to the same places.

   cc -I. examples/event_loop.c -lbearssl -o event_loop

   The environment is that of list_tokens.c. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define CLIENTS 2

static int failed(const htok_error *error)
{
    char line[512];
    htok_error_format(error, line, sizeof line);
    fprintf(stderr, "event_loop: %s\n", line);
    return 1;
}

/* Takes all that a client can give now. True while its call goes on. */
static bool advance(htok_client *client, unsigned *tokens)
{
    htok_state state;
    while ((state = htok_client_poll(client)) == HTOK_STATE_ITEM) {
        *tokens += 1;
    }
    return state == HTOK_STATE_PENDING;
}

int main(void)
{
    htok_client *clients[CLIENTS] = {NULL};
    htok_client_options options = {0};
    htok_error error;
    bool active[CLIENTS] = {false};
    unsigned tokens[CLIENTS] = {0}, running = 0, i;
    int result = 0;

    options.org_id = getenv("HATHORA_ORG_ID");
    options.token = getenv("HATHORA_TOKEN");
    options.server_url = getenv("HATHORA_CLOUD_ENDPOINT");
    options.trust_file = getenv("SSL_CERT_FILE");
    for (i = 0; i < CLIENTS && result == 0; i++) {
        if (htok_client_create(&clients[i], &options, &error) != HTOK_OK) {
            result = failed(&error);
        } else if (htok_get_org_tokens_start(clients[i], NULL) != HTOK_OK) {
            result = failed(htok_client_error(clients[i]));
        } else {
            active[i] = advance(clients[i], &tokens[i]);
            running += active[i];
        }
    }
    while (running != 0 && result == 0) {
        struct pollfd entries[CLIENTS];
        int timeout_ms = -1;
        for (i = 0; i < CLIENTS; i++) {
            htok_wait wait = htok_client_wait(clients[i]);
            entries[i].fd = active[i] ? (int)wait.descriptor : -1;
            entries[i].events = (short)((wait.readable ? POLLIN : 0) | (wait.writable ? POLLOUT : 0));
            if (active[i] && wait.timeout_ms < (timeout_ms < 0 ? INT_MAX : (unsigned)timeout_ms)) {
                timeout_ms = (int)wait.timeout_ms;
            }
        }
        if (poll(entries, CLIENTS, timeout_ms) < 0 && errno != EINTR) {
            perror("event_loop: poll");
            result = 1;
        }
        for (i = 0; i < CLIENTS; i++) {
            if (active[i] && !advance(clients[i], &tokens[i])) {
                active[i] = false;
                running--;
            }
        }
    }
    for (i = 0; i < CLIENTS; i++) {
        if (result == 0 && htok_client_error(clients[i])->kind != HTOK_OK) {
            result = failed(htok_client_error(clients[i]));
        } else if (result == 0) {
            printf("list %u: %u tokens\n", i + 1, tokens[i]);
        }
        htok_client_close(clients[i]);
    }
    return result;
}
