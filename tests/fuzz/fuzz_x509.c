/* Build: clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_x509.c -l:libbearssl.a

   A server's chain of certificates against trusted ones: the verdict is the same in pieces of any size, a good one needs
   the host's name in the certificate, and what is signed cannot be changed by a single bit.
   Input: host (byte % 5), time, pin and trust (bits), seed of the pieces, place of the bit, then certificates, each
   behind two bytes of length; the last one is the trusted one. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "fuzz.h"

enum { CERTIFICATES = 5 };

static const char *const hosts[5] = {"a.test.example", "www.w.example", "localhost", "127.0.0.1", "::1"};
static const unsigned char addresses[2][16] = {{127, 0, 0, 1},
                                               {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
static const int64_t times[4] = {1893456000, 1600000000, 4102444800, 7000000000};

typedef struct chain {
    const unsigned char *bytes[CERTIFICATES];
    size_t len[CERTIFICATES];
    size_t count; /* the trusted one included */
} chain;

typedef struct verdict {
    int code;
    htok_reason reason;
    char detail[144];
    bool direct, has_key;
} verdict;

static void set_config(htoki_tls_config *config, const unsigned char *control, htok_view trust)
{
    static const char *const pins[1] = {"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
    unsigned host = control[0] % 5;
    memset(config, 0, sizeof *config);
    config->host = hosts[host];
    config->address = host == 3 ? addresses[0] : host == 4 ? addresses[1] : NULL;
    config->address_len = host == 3 ? 4 : host == 4 ? 16 : 0;
    config->trust = trust;
    config->pins = pins;
    config->pin_count = control[1] >> 2 & 1;
    config->time_known = true;
    config->unix_seconds = times[control[1] & 3];
}

static void judge(const unsigned char *control, const chain *c, fuzz_random *random, verdict *v)
{
    static br_ssl_client_context client;
    htoki_tls_config config;
    htoki_x509 *x = (htoki_x509 *)malloc(sizeof *x);
    size_t last = c->count - 1, i;
    char *trust = fuzz_exact(c->bytes[last], c->len[last]);
    char name[256];
    htok_error e;
    htoki_writer w;
    FUZZ_CHECK(x != NULL, "memory");
    htoki_error_clear(&e);
    memset(v, 0, sizeof *v);
    set_config(&config, control, htoki_view(trust, c->len[last]));
    br_ssl_client_zero(&client);
    htoki_tls_set_algorithms(&client.eng);
    FUZZ_CHECK(htoki_tls_name(&config, name), "the target's own name");
    memcpy(client.eng.server_name, name, sizeof name);
    htoki_x509_setup(x, &config, &client.eng);
    x->vtable->start_chain(&x->vtable, name[0] != '\0' ? name : NULL);
    for (i = 0; i < last || (i == 0 && (control[1] & 8) != 0); i++) {
        size_t at = 0;
        x->vtable->start_cert(&x->vtable, (uint32_t)c->len[i]);
        while (at < c->len[i]) {
            size_t n = random ? 1 + fuzz_below(random, 40) : c->len[i];
            char *piece;
            n = n < c->len[i] - at ? n : c->len[i] - at;
            piece = fuzz_exact(c->bytes[i] + at, n);
            x->vtable->append(&x->vtable, (unsigned char *)piece, n);
            free(piece);
            at += n;
        }
        x->vtable->end_cert(&x->vtable);
    }
    v->code = (int)x->vtable->end_chain(&x->vtable);
    v->has_key = x->vtable->get_pkey(&x->vtable, NULL) != NULL;
    v->reason = x->reason;
    v->direct = x->direct;
    w = htoki_writer_make(v->detail, sizeof v->detail, 0);
    htoki_x509_detail(x, &w);
    (void)htoki_writer_end(&w);
    free(trust);
    free(x);
}

/* In any case of letters, or as the wildcard that stands for it. */
static bool holds_host(const unsigned char *bytes, size_t len, unsigned host)
{
    const char *name = host == 1 ? ".w.example" : hosts[host];
    const void *wanted = host >= 3 ? (const void *)addresses[host - 3] : (const void *)name;
    size_t wanted_len = host == 3 ? 4 : host == 4 ? 16 : strlen(name), at, i;
    for (at = 0; at + wanted_len <= len; at++) {
        for (i = 0; i < wanted_len && htoki_lower((char)bytes[at + i]) == ((const char *)wanted)[i]; i++) {}
        if (i == wanted_len) {
            return true;
        }
    }
    return false;
}

/* Where the signed part of a certificate begins and ends, by its first two lengths. */
static bool signed_part(const unsigned char *bytes, size_t len, size_t *begin, size_t *end)
{
    size_t at = 0, level, content = 0;
    for (level = 0; level < 2; level++) {
        size_t n, octets;
        *begin = at;
        if (len - at < 4 || bytes[at] != 0x30) {
            return false;
        }
        octets = bytes[at + 1] & 0x80 ? (size_t)(bytes[at + 1] & 0x7f) : 0;
        content = octets ? 0 : bytes[at + 1];
        if (octets > 2) {
            return false;
        }
        for (n = 0; n < octets; n++) {
            content = content << 8 | bytes[at + 2 + n];
        }
        at += 2 + octets;
    }
    *end = at + content;
    return *end <= len;
}

static void check_good(const unsigned char *control, const chain *c, const verdict *v)
{
    chain changed = *c;
    verdict other;
    size_t begin, end, bit;
    char *copy;
    FUZZ_CHECK(v->reason == HTOK_REASON_NONE && v->has_key, "a good verdict without a key");
    FUZZ_CHECK((control[1] & 4) == 0, "a key that was not pinned");
    FUZZ_CHECK(holds_host(c->bytes[0], c->len[0], control[0] % 5), "a certificate without the host's name");
    if (v->direct) {
        return; /* its signature does not count */
    }
    FUZZ_CHECK(signed_part(c->bytes[0], c->len[0], &begin, &end), "a certificate without a signed part");
    bit = ((size_t)control[3] << 8 | control[4]) % ((end - begin) * 8);
    copy = fuzz_exact(c->bytes[0], c->len[0]);
    copy[begin + bit / 8] = (char)(copy[begin + bit / 8] ^ (1 << (bit % 8)));
    changed.bytes[0] = (unsigned char *)copy;
    judge(control, &changed, NULL, &other);
    FUZZ_CHECK(other.code != 0, "a changed bit in what was signed");
    free(copy);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    chain c;
    verdict whole, split;
    fuzz_random random;
    size_t at = 5, i;
    memset(&c, 0, sizeof c);
    while (c.count < CERTIFICATES && size >= at + 2) {
        size_t len = (size_t)(data[at] << 8 | data[at + 1]);
        at += 2;
        c.bytes[c.count] = data + at;
        c.len[c.count] = len < size - at ? len : size - at;
        at += c.len[c.count++];
    }
    if (c.count == 0) {
        return 0;
    }
    random = fuzz_seed(data[2]);
    judge(data, &c, NULL, &whole);
    judge(data, &c, &random, &split);
    FUZZ_CHECK(whole.code == split.code && whole.reason == split.reason, "verdict");
    FUZZ_CHECK(strcmp(whole.detail, split.detail) == 0 && whole.has_key == split.has_key, "detail");
    FUZZ_CHECK((whole.code == 0) == (whole.reason == HTOK_REASON_NONE), "code and reason");
    FUZZ_CHECK((whole.code == 0) == whole.has_key, "a key of a refused chain");
    for (i = 0; whole.detail[i] != '\0'; i++) {
        FUZZ_CHECK(whole.detail[i] >= 0x20 && whole.detail[i] <= 0x7e, "a byte that could harm a terminal");
    }
    if (whole.code == 0) {
        check_good(data, &c, &whole);
    }
    return 0;
}
