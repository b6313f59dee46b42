/* Lists tokens from a loop that draws 60 frames a second and must never wait for a server. Tells the longest time that
   one poll took.

   cc -I. examples/game_loop.c -lbearssl -o game_loop

   The environment is that of list_tokens.c. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FRAME_NS 16666667L

/* Stands for a game's own frame: update, draw, wait for the display. */
static void draw_frame(void)
{
    struct timespec frame = {0, FRAME_NS};
    nanosleep(&frame, NULL);
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int failed(const htok_error *error)
{
    char line[512];
    htok_error_format(error, line, sizeof line);
    fprintf(stderr, "game_loop: %s\n", line);
    return 1;
}

int main(void)
{
    htok_client *client;
    htok_client_options options = {0};
    htok_error error;
    htok_state state = HTOK_STATE_PENDING;
    unsigned frames = 0, tokens = 0;
    double longest_ms = 0;
    int result = 0;

    options.org_id = getenv("HATHORA_ORG_ID");
    options.token = getenv("HATHORA_TOKEN");
    options.server_url = getenv("HATHORA_CLOUD_ENDPOINT");
    options.trust_file = getenv("SSL_CERT_FILE");
    if (htok_client_create(&client, &options, &error) != HTOK_OK) {
        return failed(&error);
    }
    if (htok_get_org_tokens_start(client, NULL) != HTOK_OK) {
        state = HTOK_STATE_FAILED;
    }
    while (state == HTOK_STATE_PENDING) {
        /* A poll moves a bounded number of bytes. Tokens are taken as they come, at most 100 in a frame. */
        unsigned limit = tokens + 100;
        do {
            double begin_ms = now_ms(), spent_ms;
            state = htok_client_poll(client);
            spent_ms = now_ms() - begin_ms;
            longest_ms = spent_ms > longest_ms ? spent_ms : longest_ms;
            tokens += state == HTOK_STATE_ITEM;
        } while (state == HTOK_STATE_ITEM && tokens < limit);
        if (state == HTOK_STATE_ITEM) {
            state = HTOK_STATE_PENDING;
        }
        draw_frame();
        frames++;
    }
    if (state == HTOK_STATE_DONE) {
        printf("%u tokens in %u frames; the longest poll took %.1f ms\n", tokens, frames, longest_ms);
    } else {
        result = failed(htok_client_error(client));
    }
    htok_client_close(client);
    return result;
}
