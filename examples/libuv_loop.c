/* Lists tokens inside libuv's event loop, by nothing but callbacks.

   cc -I. examples/libuv_loop.c -lbearssl -luv -o libuv_loop

   The environment is that of list_tokens.c. Debian's package of libuv is libuv1-dev. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

typedef struct listing {
    htok_client *client;
    uv_timer_t timer;
    uv_poll_t watcher;
    bool watching;
    int uv_error;
    unsigned tokens;
} listing;

/* libuv wants a watcher gone before its descriptor is closed, and the client may close one in any step: so each wait
   has a watcher of its own, and the next step is taken once that is gone. */
static void step(uv_handle_t *gone);

static void on_timer(uv_timer_t *timer)
{
    if (((listing *)timer->data)->watching) {
        uv_close((uv_handle_t *)&((listing *)timer->data)->watcher, step);
    } else {
        step((uv_handle_t *)timer);
    }
}

static void on_socket(uv_poll_t *watcher, int status, int events)
{
    (void)status, (void)events; /* the client finds out by itself */
    uv_timer_stop(&((listing *)watcher->data)->timer);
    uv_close((uv_handle_t *)watcher, step);
}

static int watch(listing *l, htok_wait wait)
{
    int events = (wait.readable ? UV_READABLE : 0) | (wait.writable ? UV_WRITABLE : 0), error = 0;
    if (wait.descriptor >= 0 && events != 0) {
        error = uv_poll_init_socket(l->timer.loop, &l->watcher, (uv_os_sock_t)wait.descriptor);
        l->watching = error == 0;
    }
    if (error == 0 && l->watching) {
        error = uv_poll_start(&l->watcher, events, on_socket);
    }
    if (error == 0 && wait.timeout_ms != UINT32_MAX) {
        error = uv_timer_start(&l->timer, on_timer, wait.timeout_ms, 0);
    }
    return error;
}

static void step(uv_handle_t *gone)
{
    listing *l = (listing *)gone->data;
    htok_state state;
    l->watching = false;
    while ((state = htok_client_poll(l->client)) == HTOK_STATE_ITEM) {
        l->tokens++;
    }
    if (state == HTOK_STATE_PENDING && (l->uv_error = watch(l, htok_client_wait(l->client))) != 0) {
        uv_stop(l->timer.loop);
    }
}

int main(void)
{
    static listing l;
    htok_client_options options = {0};
    htok_error error;
    char line[512];
    options.org_id = getenv("HATHORA_ORG_ID");
    options.token = getenv("HATHORA_TOKEN");
    options.server_url = getenv("HATHORA_CLOUD_ENDPOINT");
    options.trust_file = getenv("SSL_CERT_FILE");
    if (htok_client_create(&l.client, &options, &error) == HTOK_OK) {
        l.timer.data = l.watcher.data = &l;
        l.uv_error = uv_timer_init(uv_default_loop(), &l.timer);
        if (l.uv_error == 0 && htok_get_org_tokens_start(l.client, NULL) == HTOK_OK) {
            step((uv_handle_t *)&l.timer);
            uv_run(uv_default_loop(), UV_RUN_DEFAULT); /* until nothing is waited for */
        }
        error = *htok_client_error(l.client);
    }
    htok_error_format(&error, line, sizeof line);
    htok_client_close(l.client);
    if (l.uv_error == 0 && error.kind == HTOK_OK) {
        printf("%u tokens\n", l.tokens);
        return 0;
    }
    fprintf(stderr, "libuv_loop: %s\n", l.uv_error != 0 ? uv_strerror(l.uv_error) : line);
    return 1;
}
