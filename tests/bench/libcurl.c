/* libcurl and cJSON as somebody who knows both would use them: one easy handle, so that connections and sessions are
   used again, one buffer that grows, every documented member looked up and checked. */
#include "bench.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>

typedef struct answer {
    char *text;
    size_t len, size;
} answer;

typedef struct peer {
    CURL *curl;
    struct curl_slist *fields, *json_fields;
    const bench *b;
    answer answer;
} peer;

static size_t collect(char *bytes, size_t one, size_t len, void *context)
{
    answer *a = (answer *)context;
    if (a->size - a->len < len) {
        size_t size = 2 * a->size + len;
        char *text = (char *)realloc(a->text, size);
        if (!text) {
            return 0;
        }
        a->text = text;
        a->size = size;
    }
    memcpy(a->text + a->len, bytes, len);
    a->len += len;
    return one * len;
}

/* Sends a request, and parses the answer once it is whole and of the documented kind. */
static cJSON *ask(peer *p, const char *path, const char *body, long wanted)
{
    char url[256];
    char *type = NULL;
    cJSON *json;
    long status = 0;
    CURLcode code;
    snprintf(url, sizeof url, "%s/tokens/v1/orgs/%s", p->b->url, path);
    p->answer.len = 0;
    curl_easy_setopt(p->curl, CURLOPT_URL, url);
    if (body) {
        curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(p->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, p->json_fields);
    } else {
        curl_easy_setopt(p->curl, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, p->fields);
    }
    code = curl_easy_perform(p->curl);
    if (code != CURLE_OK) {
        bench_fail(curl_easy_strerror(code));
    }
    curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(p->curl, CURLINFO_CONTENT_TYPE, &type);
    json = cJSON_ParseWithLength(p->answer.text, p->answer.len);
    if (status != wanted || !type || strncmp(type, "application/json", 16) != 0 || !json) {
        bench_fail("a wrong answer");
    }
    return json;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    if (!text) {
        bench_fail(name);
    }
    return text;
}

/* A token with all its members; gives its id. */
static const char *check_token(const cJSON *token)
{
    static const char *const members[] = {"orgId", "name", "lastFourCharsOfKey", "createdBy", "createdAt"};
    const cJSON *scope;
    const char *status = text_of(token, "status");
    size_t i;
    for (i = 0; i < sizeof members / sizeof members[0]; i++) {
        text_of(token, members[i]);
    }
    cJSON_ArrayForEach(scope, cJSON_GetObjectItemCaseSensitive(token, "scopes"))
    {
        if (!cJSON_IsString(scope)) {
            bench_fail("scopes");
        }
    }
    if (strcmp(status, "active") != 0 && strcmp(status, "revoked") != 0) {
        bench_fail("status");
    }
    return text_of(token, "orgTokenId");
}

static void list(peer *p, const char *tokens)
{
    cJSON *json = ask(p, tokens, NULL, 200);
    const cJSON *token;
    unsigned long count = 0;
    cJSON_ArrayForEach(token, cJSON_GetObjectItemCaseSensitive(json, "tokens"))
    {
        check_token(token);
        count++;
    }
    if (count != strtoul(tokens, NULL, 10)) {
        bench_fail("a wrong number of tokens");
    }
    cJSON_Delete(json);
}

static void create_and_revoke(peer *p)
{
    char path[128];
    cJSON *request = cJSON_CreateObject(), *json;
    char *body;
    cJSON_AddStringToObject(request, "name", "bench");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(request, "scopes"), cJSON_CreateString("builds:read-write"));
    body = cJSON_PrintUnformatted(request);
    json = ask(p, "10/create", body, 201);
    text_of(json, "plainTextToken");
    snprintf(path, sizeof path, "10/tokens/%s/revoke",
             check_token(cJSON_GetObjectItemCaseSensitive(json, "orgToken")));
    cJSON_Delete(json);
    cJSON_free(body);
    cJSON_Delete(request);
    json = ask(p, path, "", 200);
    if (!cJSON_IsTrue(json)) {
        bench_fail("not revoked");
    }
    cJSON_Delete(json);
}

int main(int argc, char **argv)
{
    bench b;
    peer p;
    unsigned long i;
    bench_read_arguments(&b, argc, argv);
    memset(&p, 0, sizeof p);
    p.b = &b;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    p.curl = curl_easy_init();
    p.fields = curl_slist_append(NULL, "Authorization: Bearer " BENCH_TOKEN);
    p.json_fields = curl_slist_append(NULL, "Authorization: Bearer " BENCH_TOKEN);
    p.json_fields = curl_slist_append(p.json_fields, "Content-Type: application/json");
    curl_easy_setopt(p.curl, CURLOPT_CAINFO, b.ca_file);
    curl_easy_setopt(p.curl, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(p.curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(p.curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(p.curl, CURLOPT_WRITEDATA, &p.answer);
    if (bench_is(&b, "full")) {
        curl_easy_setopt(p.curl, CURLOPT_FORBID_REUSE, 1L);
        curl_easy_setopt(p.curl, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    }
    list(&p, "10");
    if (bench_is(&b, "create-revoke")) {
        create_and_revoke(&p);
    }
    bench_start(&b);
    for (i = 0; i < b.count; i++) {
        if (bench_is(&b, "create-revoke")) {
            create_and_revoke(&p);
        } else {
            list(&p, b.tokens);
        }
    }
    bench_end(&b);
    curl_easy_cleanup(p.curl);
    curl_slist_free_all(p.fields);
    curl_slist_free_all(p.json_fields);
    free(p.answer.text);
    curl_global_cleanup();
    return 0;
}
