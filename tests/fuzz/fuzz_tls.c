/* Build: clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_tls.c -l:libbearssl.a

   A whole call over TLS, with a server in memory whose bytes are changed on their way: the call must end, and a result
   must be the one that the server sent, whatever was changed, cut out or put in before or behind it.
   Input: operation and mode (bits), pieces (seed), count of edits, each with four bytes (two for its place, what, with
   which byte), then bytes that stand for all that the server says (mode), or that follow the edits' place. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "fuzz.h"
#include "peer.h"

#define TOKEN "SECRET-TOKEN"
#define PLAIN "SECRET-PLAIN"

#define ITEM                                                                      \
    "{\"orgTokenId\":\"t\",\"orgId\":\"o\",\"name\":\"n\",\"status\":\"active\"," \
    "\"lastFourCharsOfKey\":\"abcd\",\"createdBy\":\"c\",\"createdAt\":\"2024-02-29T12:34:56Z\"}"
#define HEAD "Content-Type: application/json\r\n"

static const char *const answers[3] = {"HTTP/1.1 200 OK\r\n" HEAD "\r\n{\"tokens\":[" ITEM "," ITEM "]}",
                                       "HTTP/1.1 201 Created\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n"
                                       "20\r\n{\"plainTextToken\":\"" PLAIN "\"\r\n97\r\n,\"orgToken\":" ITEM
                                       "}\r\n0\r\n\r\n",
                                       "HTTP/1.1 200 OK\r\n" HEAD "Content-Length: 4\r\n\r\ntrue"};

typedef struct world {
    const unsigned char *edits, *extra;
    size_t edit_count, extra_len, extra_at;
    bool raw; /* the server says the extra bytes and nothing else */
    fuzz_random random;
    bool open, cut, changed;
    unsigned opens;
    uint64_t now_ms;
    size_t given; /* bytes of the server that were looked at */
    size_t inserted_left;
    br_ssl_server_context server;
    br_x509_certificate chain[1];
    br_ec_private_key key;
    unsigned char in[1024 + 325], out[1024 + 85];
    const char *answer;
    size_t answered;
    bool asked, closing;
    char request[4096];
    size_t request_len;
} world;

static void start_server(world *w)
{
    br_ssl_engine_context *engine = &w->server.eng;
    memset(&w->server, 0, sizeof w->server);
    w->chain[0].data = (unsigned char *)(uintptr_t)peer_leaf;
    w->chain[0].data_len = sizeof peer_leaf;
    w->key.curve = BR_EC_secp256r1;
    w->key.x = (unsigned char *)(uintptr_t)peer_key;
    w->key.xlen = sizeof peer_key;
    br_ssl_server_init_full_ec(&w->server, w->chain, 1, BR_KEYTYPE_EC, &w->key);
    br_ssl_engine_set_buffers_bidi(engine, w->in, sizeof w->in, w->out, sizeof w->out);
    br_ssl_engine_inject_entropy(engine, "the seed of the server in memory", 32);
    FUZZ_CHECK(br_ssl_server_reset(&w->server), "the server");
}

static htok_io peer_open(void *context, const char *host, uint16_t port, htok_io_detail *detail)
{
    world *w = (world *)context;
    (void)detail;
    FUZZ_CHECK(!w->open && strcmp(host, "api.test") == 0 && port == 443, "open");
    FUZZ_CHECK(++w->opens == 1, "a second connection");
    w->open = true;
    start_server(w);
    return HTOK_IO_OK;
}

static htok_io peer_connect(void *context, uint64_t now_ms, htok_io_detail *detail)
{
    (void)context;
    (void)now_ms;
    (void)detail;
    return HTOK_IO_OK;
}

/* Moves what the engine has read to the request, and the answer into the engine. */
static void pump(world *w)
{
    br_ssl_engine_context *engine = &w->server.eng;
    unsigned char *bytes;
    size_t len;
    while ((bytes = br_ssl_engine_recvapp_buf(engine, &len)) != NULL) {
        FUZZ_CHECK(len <= sizeof w->request - 1 - w->request_len, "a request longer than it can be");
        memcpy(w->request + w->request_len, bytes, len);
        w->request_len += len;
        w->request[w->request_len] = '\0';
        br_ssl_engine_recvapp_ack(engine, len);
        w->asked = strstr(w->request, "\r\n\r\n") != NULL;
    }
    if (!w->asked || w->closing || (bytes = br_ssl_engine_sendapp_buf(engine, &len)) == NULL) {
        return;
    }
    if (w->answer[w->answered] != '\0') {
        size_t left = strlen(w->answer + w->answered);
        len = len < left ? len : left;
        len = len < 60 ? len : 60;
        memcpy(bytes, w->answer + w->answered, len);
        w->answered += len;
        br_ssl_engine_sendapp_ack(engine, len);
        br_ssl_engine_flush(engine, 0);
    } else {
        w->closing = true;
        br_ssl_engine_close(engine);
    }
}

static htok_io peer_send(void *context, const void *bytes, size_t len, htok_io_detail *detail)
{
    world *w = (world *)context;
    size_t room, taken = 0, most = 1 + fuzz_below(&w->random, 400);
    FUZZ_CHECK(w->open && len != 0, "send");
    len = len < most ? len : most;
    while (!w->raw && taken < len) {
        unsigned char *buffer = br_ssl_engine_recvrec_buf(&w->server.eng, &room);
        if (!buffer) {
            break; /* the server has failed or closed */
        }
        room = room < len - taken ? room : len - taken;
        memcpy(buffer, (const unsigned char *)bytes + taken, room);
        br_ssl_engine_recvrec_ack(&w->server.eng, room);
        taken += room;
        pump(w);
    }
    detail->moved = len;
    return HTOK_IO_OK;
}

static bool extra_byte(world *w, unsigned char *byte)
{
    if (w->extra_at == w->extra_len) {
        return false;
    }
    *byte = w->extra[w->extra_at++];
    return true;
}

/* The server's next byte as it stands; false: none at hand. */
static bool server_byte(world *w, unsigned char *byte)
{
    size_t len;
    unsigned char *record;
    pump(w);
    record = br_ssl_engine_sendrec_buf(&w->server.eng, &len);
    if (!record) {
        return false;
    }
    *byte = *record;
    br_ssl_engine_sendrec_ack(&w->server.eng, 1);
    return true;
}

/* The next byte for the client, edits applied. */
static bool next_byte(world *w, unsigned char *byte)
{
    size_t i;
    if (w->raw) {
        return extra_byte(w, byte);
    }
    if (w->inserted_left != 0 && extra_byte(w, byte)) {
        w->inserted_left--;
        return true;
    }
    while (!w->cut && server_byte(w, byte)) {
        bool drop = false;
        size_t place = w->given++;
        for (i = 0; i < w->edit_count; i++) {
            const unsigned char *edit = w->edits + 4 * i;
            if (place != (size_t)(edit[0] << 8 | edit[1])) {
                continue;
            }
            w->changed = true;
            switch (edit[2] % 4) {
            case 0: *byte = edit[3]; break;
            case 1: drop = true; break;
            case 2: w->inserted_left = edit[3]; break;
            default: w->cut = true; break;
            }
        }
        if (!drop) {
            return true;
        }
    }
    return false;
}

static htok_io peer_receive(void *context, void *bytes, size_t size, htok_io_detail *detail)
{
    world *w = (world *)context;
    size_t most = 1 + fuzz_below(&w->random, 600), n = 0;
    FUZZ_CHECK(w->open && size != 0, "receive");
    most = most < size ? most : size;
    while (n < most && next_byte(w, (unsigned char *)bytes + n)) {
        n++;
    }
    detail->moved = n;
    return n != 0 ? HTOK_IO_OK : w->cut || w->raw || w->closing ? HTOK_IO_CLOSED : HTOK_IO_AGAIN;
}

static void peer_close(void *context)
{
    world *w = (world *)context;
    FUZZ_CHECK(w->open, "closed twice");
    w->open = false;
}

static uint64_t peer_monotonic_ms(void *context)
{
    return ((world *)context)->now_ms;
}

static bool peer_unix_seconds(void *context, int64_t *seconds)
{
    (void)context;
    *seconds = 1735689600; /* 2025-01-01 */
    return true;
}

static bool peer_fill(void *context, void *bytes, size_t len)
{
    (void)context;
    memset(bytes, 0x5a, len);
    return true;
}

static void set_options(world *w, htok_client_options *o, htok_transport *t, htok_clock *clock,
                        htok_entropy *entropy)
{
    memset(o, 0, sizeof *o);
    memset(t, 0, sizeof *t);
    memset(clock, 0, sizeof *clock);
    memset(entropy, 0, sizeof *entropy);
    t->context = clock->context = entropy->context = w;
    t->open = peer_open;
    t->connect = peer_connect;
    t->send = peer_send;
    t->receive = peer_receive;
    t->close = peer_close;
    clock->monotonic_ms = peer_monotonic_ms;
    clock->unix_seconds = peer_unix_seconds;
    entropy->fill = peer_fill;
    o->server_url = "https://api.test";
    o->org_id = "o";
    o->token = TOKEN;
    o->trust = htoki_text(peer_root);
    o->transport = t;
    o->clock = clock;
    o->entropy = entropy;
    o->record_bytes = 1024;
}

static void check_verdict(world *w, htok_client *c, int operation, htok_state state, unsigned items)
{
    const htok_error *e = htok_client_error(c);
    char line[1024];
    if (state == HTOK_STATE_DONE) {
        const htok_created_org_token *created = htok_client_created(c);
        FUZZ_CHECK(!w->raw && w->answer[w->answered] == '\0', "a success that nobody sent");
        FUZZ_CHECK(operation != 0 || items == 2, "a part of a list");
        FUZZ_CHECK(operation != 1 || (created && htoki_equal(created->plain_text_token, htoki_text(PLAIN))),
                   "another token than was created");
        FUZZ_CHECK(operation != 2 || htok_client_revoked(c), "another answer than was given");
        return;
    }
    FUZZ_CHECK(state == HTOK_STATE_FAILED && (w->raw || w->changed), "a failure out of nothing");
    FUZZ_CHECK(e->kind == HTOK_CONNECTION_ERROR || e->kind == HTOK_REQUEST_TIMEOUT_ERROR ||
                   e->reason == HTOK_REASON_BODY_TRUNCATED,
               "a changed byte was taken for a word of the server's");
    FUZZ_CHECK(!w->raw || e->phase == HTOK_PHASE_HANDSHAKE, "a handshake with nobody");
    FUZZ_CHECK(!w->raw || !e->may_have_taken_effect, "nothing was sent");
    htok_error_format(e, line, sizeof line);
    FUZZ_CHECK(!strstr(line, TOKEN) && !fuzz_contains(e, sizeof *e, TOKEN), "a secret in the error");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const unsigned char zeros[64 * 1024];
    static world w; /* large */
    htok_client_options options;
    htok_create_org_token_request create;
    htok_transport transport;
    htok_clock clock;
    htok_entropy entropy;
    htok_client *client;
    htok_error e;
    htok_state state;
    unsigned char *block;
    size_t bytes;
    unsigned polls = 0, items = 0;
    int operation;
    if (size < 3 || (size_t)(data[2] % 8) * 4 > size - 3) {
        return 0;
    }
    memset(&w, 0, sizeof w);
    operation = data[0] % 3;
    w.raw = (data[0] & 128) != 0;
    w.random = fuzz_seed(data[1]);
    w.edit_count = data[2] % 8;
    w.edits = data + 3;
    w.extra = w.edits + 4 * w.edit_count;
    w.extra_len = size - 3 - 4 * w.edit_count;
    w.answer = answers[operation];
    w.now_ms = 1000000;
    set_options(&w, &options, &transport, &clock, &entropy);
    memset(&create, 0, sizeof create);
    create.name = "n";
    bytes = htok_client_bytes(&options);
    block = (unsigned char *)calloc(1, bytes);
    FUZZ_CHECK(block && htok_client_init(&client, block, bytes, &options, &e) == HTOK_OK, "init");
    FUZZ_CHECK((operation == 0   ? htok_get_org_tokens_start(client, NULL)
                : operation == 1 ? htok_create_org_token_start(client, &create, NULL)
                                 : htok_revoke_org_token_start(client, "t", NULL)) == HTOK_OK,
               "start");
    while ((state = htok_client_poll(client)) == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM) {
        items += state == HTOK_STATE_ITEM;
        w.now_ms += 5;
        FUZZ_CHECK(++polls < 20000, "the call does not end");
    }
    check_verdict(&w, client, operation, state, items);
    htok_client_close(client);
    FUZZ_CHECK(!w.open, "a connection left open");
    FUZZ_CHECK(bytes <= sizeof zeros && memcmp(block, zeros, bytes) == 0, "memory that was not wiped");
    free(block);
    return 0;
}
