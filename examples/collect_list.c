/* Takes the whole list into memory of its own, to show the oldest token first.

   cc -I. examples/collect_list.c -lbearssl -o collect_list

   The environment is that of list_tokens.c. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <stdio.h>
#include <stdlib.h>

static int by_age(const void *a, const void *b)
{
    int64_t left = ((const htok_org_token *)a)->created_at_ms;
    int64_t right = ((const htok_org_token *)b)->created_at_ms;
    return (left > right) - (left < right);
}

static int failed(const htok_error *error)
{
    char line[512];
    htok_error_format(error, line, sizeof line);
    fprintf(stderr, "collect_list: %s\n", line);
    return 1;
}

/* Collects in memory that grows to what the list needs. It may need more again when tokens are created meanwhile. */
static htok_kind collect(htok_client *client, htok_org_token_list *list)
{
    htok_kind kind = HTOK_OK;
    int tries;
    list->bytes = 4096;
    for (tries = 0; tries < 4; tries++) {
        free(list->memory);
        list->memory = malloc(list->bytes);
        if (!list->memory) {
            list->bytes = 0;
        }
        kind = htok_collect_org_tokens(client, NULL, list);
        if (kind == HTOK_OK || !list->memory || htok_client_error(client)->reason != HTOK_REASON_LIST_FULL) {
            break;
        }
        list->bytes = list->bytes_needed;
    }
    return kind;
}

int main(void)
{
    htok_client *client;
    htok_client_options options = {0};
    htok_org_token_list list = {0};
    htok_error error;
    size_t i;
    int result = 0;

    options.org_id = getenv("HATHORA_ORG_ID");
    options.token = getenv("HATHORA_TOKEN");
    options.server_url = getenv("HATHORA_CLOUD_ENDPOINT");
    options.trust_file = getenv("SSL_CERT_FILE");
    if (htok_client_create(&client, &options, &error) != HTOK_OK) {
        return failed(&error);
    }
    if (collect(client, &list) == HTOK_OK) {
        if (list.count != 0) {
            qsort(list.tokens, list.count, sizeof list.tokens[0], by_age);
        }
        for (i = 0; i < list.count; i++) {
            char created[64], name[512];
            htok_printable(list.tokens[i].created_at, created, sizeof created);
            htok_printable(list.tokens[i].name, name, sizeof name);
            printf("%s  %s\n", created, name);
        }
    } else {
        result = failed(htok_client_error(client));
    }
    free(list.memory);
    htok_client_close(client);
    return result;
}
