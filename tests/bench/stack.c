/* stack URL CA [CHAIN KEY]: bytes of the client's block, by default and with small records; then bytes of stack of making a
   client, with that client certificate, of a first list with its handshake, and of a create and a list after it, each on a thread whose
   stack was painted, less what a thread that does nothing has used. One number a line. The dynamic linker has no part in
   it where it looks everything up at the start. */
#define _POSIX_C_SOURCE 200809L
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_BYTES = 256 * 1024, PAINT = 0xa5 };

static htok_client *client;
static htok_client_options options;

static void *nothing(void *unused)
{
    return unused;
}

static void *make(void *unused)
{
    if (htok_client_create(&client, &options, NULL) != HTOK_OK) {
        fputs("stack: there is no client\n", stderr);
        exit(1);
    }
    return unused;
}

static void must(htok_kind kind)
{
    if (kind != HTOK_OK) {
        char line[512];
        htok_error_format(htok_client_error(client), line, sizeof line);
        fprintf(stderr, "stack: %s\n", line);
        exit(1);
    }
}

static void *list(void *unused)
{
    must(htok_get_org_tokens(client, NULL, NULL, NULL));
    return unused;
}

static void *create_and_list(void *unused)
{
    static const char *const scopes[] = {"tokens:read"};
    static htok_create_org_token_request request;
    request.name = "stack";
    request.scopes = scopes;
    request.scope_count = 1;
    must(htok_create_org_token(client, &request, NULL, NULL));
    return list(unused);
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

static htok_view contents(const char *path)
{
    static char text[3][1 << 16];
    static size_t count;
    FILE *file = fopen(path, "rb");
    htok_view view;
    if (!file) {
        perror(path);
        exit(1);
    }
    view.ptr = text[count];
    view.len = fread(text[count++], 1, sizeof text[0], file);
    fclose(file);
    return view;
}

int main(int argc, char **argv)
{
    htok_client_options small;
    size_t base;
    if (argc != 3 && argc != 5) {
        fputs("usage: stack URL CA [CHAIN KEY]\n", stderr);
        return 2;
    }
    options.server_url = argv[1];
    options.org_id = "org-1";
    options.token = "dev-token";
    options.trust = contents(argv[2]);
    if (argc == 5) {
        options.client_chain = contents(argv[3]);
        options.client_key = contents(argv[4]);
    }
    small = options;
    small.record_bytes = 512;
    small.send_bytes = 512;
    printf("%lu\n%lu\n", (unsigned long)htok_client_bytes(&options),
           (unsigned long)htok_client_bytes(&small));
    base = stack_of(nothing);
    printf("%lu\n", (unsigned long)(stack_of(make) - base));
    printf("%lu\n", (unsigned long)(stack_of(list) - base));
    printf("%lu\n", (unsigned long)(stack_of(create_and_list) - base));
    htok_client_close(client);
    return 0;
}
