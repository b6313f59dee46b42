/* The library: blocking calls, one client for all of them but for full handshakes. */
#include "bench.h"

#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

static bool count_token(void *context, const htok_org_token *token)
{
    unsigned long *count = (unsigned long *)context;
    *count += token->status == HTOK_TOKEN_STATUS_ACTIVE || token->status == HTOK_TOKEN_STATUS_REVOKED;
    return true;
}

static void check(htok_client *client, bool good)
{
    char line[512];
    if (!good) {
        htok_error_format(htok_client_error(client), line, sizeof line);
        bench_fail(line);
    }
}

static void list(htok_client *client, const char *tokens)
{
    htok_call_options call;
    unsigned long count = 0;
    memset(&call, 0, sizeof call);
    call.org_id = tokens;
    check(client, htok_get_org_tokens(client, &call, count_token, &count) == HTOK_OK &&
                      count == strtoul(tokens, NULL, 10));
}

static void create_and_revoke(htok_client *client)
{
    static const char *const scopes[] = {"builds:read-write"};
    htok_create_org_token_request request;
    const htok_created_org_token *created;
    char id[64];
    bool revoked = false;
    memset(&request, 0, sizeof request);
    request.name = "bench";
    request.scopes = scopes;
    request.scope_count = 1;
    check(client, htok_create_org_token(client, &request, NULL, &created) == HTOK_OK);
    snprintf(id, sizeof id, "%s", created->org_token.org_token_id.ptr);
    check(client, htok_revoke_org_token(client, id, NULL, &revoked) == HTOK_OK && revoked);
}

static void work(const bench *b, htok_client **client, void *memory, const htok_client_options *options)
{
    if (bench_is(b, "create-revoke")) {
        create_and_revoke(*client);
        return;
    }
    if (bench_is(b, "full")) {
        htok_client_close(*client);
        if (htok_client_init(client, memory, HTOK_CLIENT_BYTES, options, NULL) != HTOK_OK) {
            bench_fail("no client");
        }
    }
    list(*client, b->tokens);
}

int main(int argc, char **argv)
{
    static char memory[HTOK_CLIENT_BYTES], pem[1 << 20];
    htok_client_options options;
    htok_client *client;
    FILE *file;
    unsigned long i;
    bench b;
    bench_read_arguments(&b, argc, argv);
    file = fopen(b.ca_file, "rb");
    if (!file) {
        bench_fail(b.ca_file);
    }
    memset(&options, 0, sizeof options);
    options.server_url = b.url;
    options.org_id = "10";
    options.token = BENCH_TOKEN;
    options.trust.ptr = pem;
    options.trust.len = fread(pem, 1, sizeof pem, file);
    fclose(file);
    if (htok_client_init(&client, memory, sizeof memory, &options, NULL) != HTOK_OK) {
        bench_fail("no client");
    }
    list(client, "10");
    if (bench_is(&b, "create-revoke")) {
        create_and_revoke(client);
    }
    bench_start(&b);
    for (i = 0; i < b.count; i++) {
        work(&b, &client, memory, &options);
    }
    bench_end(&b);
    htok_client_close(client);
    return 0;
}
