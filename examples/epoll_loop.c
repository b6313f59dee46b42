/* Lists tokens in an event loop around Linux's epoll, which keeps descriptors between two waits.

   cc -I. examples/epoll_loop.c -lbearssl -o epoll_loop

   The environment is that of list_tokens.c. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static int failed(const htok_error *error)
{
    char line[512];
    htok_error_format(error, line, sizeof line);
    fprintf(stderr, "epoll_loop: %s\n", line);
    return 1;
}

/* Makes epoll watch what the client waits for. The descriptor may be another one than before, or a new socket under
   the old number: closing took the old one out of epoll by itself, so a change may find nothing to change. */
static int watch(int epoll, int *watched, htok_wait wait)
{
    struct epoll_event event = {0};
    event.events = (wait.readable ? EPOLLIN : 0u) | (wait.writable ? EPOLLOUT : 0u);
    event.data.fd = (int)wait.descriptor;
    if (*watched >= 0 && *watched != (int)wait.descriptor &&
        epoll_ctl(epoll, EPOLL_CTL_DEL, *watched, NULL) != 0 && errno != ENOENT && errno != EBADF) {
        return -1;
    }
    *watched = (int)wait.descriptor;
    if (*watched < 0 || epoll_ctl(epoll, EPOLL_CTL_MOD, *watched, &event) == 0) {
        return 0;
    }
    return errno == ENOENT ? epoll_ctl(epoll, EPOLL_CTL_ADD, *watched, &event) : -1;
}

/* Lists; the epoll descriptor may watch others beside the client's. */
static int list(htok_client *client, int epoll, unsigned *tokens)
{
    htok_state state;
    int watched = -1;
    if (htok_get_org_tokens_start(client, NULL) != HTOK_OK) {
        return failed(htok_client_error(client));
    }
    while ((state = htok_client_poll(client)) == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM) {
        struct epoll_event event;
        htok_wait wait;
        if (state == HTOK_STATE_ITEM) {
            *tokens += 1;
            continue;
        }
        wait = htok_client_wait(client);
        if (watch(epoll, &watched, wait) != 0 ||
            (epoll_wait(epoll, &event, 1, wait.timeout_ms > INT_MAX ? -1 : (int)wait.timeout_ms) < 0 &&
             errno != EINTR)) {
            perror("epoll_loop");
            return 1;
        }
    }
    return state == HTOK_STATE_DONE ? 0 : failed(htok_client_error(client));
}

int main(void)
{
    htok_client *client;
    htok_client_options options = {0};
    htok_error error;
    unsigned tokens = 0;
    int epoll, result;

    options.org_id = getenv("HATHORA_ORG_ID");
    options.token = getenv("HATHORA_TOKEN");
    options.server_url = getenv("HATHORA_CLOUD_ENDPOINT");
    options.trust_file = getenv("SSL_CERT_FILE");
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) {
        perror("epoll_loop");
        return 1;
    }
    if (htok_client_create(&client, &options, &error) != HTOK_OK) {
        result = failed(&error);
    } else {
        result = list(client, epoll, &tokens);
    }
    if (result == 0) {
        printf("%u tokens\n", tokens);
    }
    htok_client_close(client);
    close(epoll);
    return result;
}
