/* stack URL CA: bytes of the client's block, then bytes of stack of a first list with its handshake and of a list after
   it, on a thread whose stack was painted, less what a thread that does nothing has used. One number a line. */
#define _POSIX_C_SOURCE 200809L
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_BYTES = 256 * 1024, PAINT = 0xa5 };

static htok_client *client;

static void *nothing(void *unused)
{
    return unused;
}

static void *list(void *unused)
{
    if (htok_get_org_tokens(client, NULL, NULL, NULL) != HTOK_OK) {
        char line[512];
        htok_error_format(htok_client_error(client), line, sizeof line);
        fprintf(stderr, "stack: %s\n", line);
        exit(1);
    }
    return unused;
}

static size_t stack_of(void *(*step)(void *unused))
{
    pthread_attr_t attributes;
    pthread_t thread;
    void *memory = NULL;
    size_t untouched = 0;
    if (posix_memalign(&memory, 4096, STACK_BYTES) != 0) {
        exit(1);
    }
    memset(memory, PAINT, STACK_BYTES);
    pthread_attr_init(&attributes);
    if (pthread_attr_setstack(&attributes, memory, STACK_BYTES) != 0 ||
        pthread_create(&thread, &attributes, step, NULL) != 0 || pthread_join(thread, NULL) != 0) {
        exit(1);
    }
    pthread_attr_destroy(&attributes);
    while (((unsigned char *)memory)[untouched] == PAINT) {
        untouched++;
    }
    free(memory);
    return STACK_BYTES - untouched;
}

int main(int argc, char **argv)
{
    static char pem[1 << 16];
    htok_client_options options, small;
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : NULL;
    size_t base;
    if (!file) {
        fputs("usage: stack URL CA\n", stderr);
        return 2;
    }
    memset(&options, 0, sizeof options);
    options.server_url = argv[1];
    options.org_id = "org-1";
    options.token = "dev-token";
    options.trust.ptr = pem;
    options.trust.len = fread(pem, 1, sizeof pem, file);
    fclose(file);
    small = options;
    small.record_bytes = 512;
    small.send_bytes = 512;
    printf("%lu\n%lu\n", (unsigned long)htok_client_bytes(&options),
           (unsigned long)htok_client_bytes(&small));
    if (htok_client_create(&client, &options, NULL) != HTOK_OK) {
        return 1;
    }
    base = stack_of(nothing);
    printf("%lu\n", (unsigned long)(stack_of(list) - base));
    printf("%lu\n", (unsigned long)(stack_of(list) - base));
    htok_client_close(client);
    return 0;
}
