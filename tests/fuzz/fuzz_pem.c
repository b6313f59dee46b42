/* Build: clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_pem.c -l:libbearssl.a

   A bundle of trusted certificates, PEM or DER: a verdict for any bytes, the same when each certificate is fed in
   other pieces, when a bundle stands twice, and when one form is turned into the other.
   Input: the time now (byte % 4), seed of the pieces, then the bundle. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "fuzz.h"

static const int64_t times[4] = {0, 1, 1700000000, 4102444800};

static htok_reason verdict(const char *bundle, size_t len, unsigned when)
{
    char *copy = fuzz_exact(bundle, len);
    htok_error e;
    htok_kind kind;
    htoki_error_clear(&e);
    kind = htoki_trust_check(htoki_view(copy, len), when != 0, times[when], &e);
    free(copy);
    FUZZ_CHECK(kind == e.kind, "kind");
    FUZZ_CHECK(memchr(e.detail, 0, sizeof e.detail), "unended text");
    if (kind != HTOK_OK) {
        FUZZ_CHECK(kind == HTOK_INVALID_REQUEST_ERROR && strcmp(e.path, "trust") == 0, "record");
        FUZZ_CHECK(e.reason == HTOK_REASON_TRUST_EMPTY || e.reason == HTOK_REASON_TRUST_MALFORMED, "reason");
        FUZZ_CHECK(e.reason == HTOK_REASON_TRUST_EMPTY ? e.offset == -1
                                                       : e.offset >= 0 && e.offset <= (int64_t)len,
                   "offset lies outside");
    }
    return e.reason;
}

static void feed(const unsigned char *der, size_t len, fuzz_random *random, htoki_der *d, htoki_root_key *key)
{
    size_t at = 0;
    memset(d, 0, sizeof *d);
    memset(key, 0, sizeof *key);
    htoki_der_start(d, HTOKI_ROLE_ROOT, NULL, key);
    while (at < len) {
        size_t n = random ? 1 + fuzz_below(random, 9) : len - at, used = 0;
        char *piece;
        n = n < len - at ? n : len - at;
        piece = fuzz_exact(der + at, n);
        while (used < n) {
            size_t step = htoki_der_feed(d, (const unsigned char *)piece + used, n - used);
            FUZZ_CHECK(step != 0 && step <= n - used, "a step that consumes nothing or too much");
            used += step;
        }
        free(piece);
        at += n;
    }
}

static void check_pieces(const unsigned char *der, size_t len, uint32_t seed)
{
    htoki_der whole, split;
    htoki_root_key whole_key, split_key;
    fuzz_random random = fuzz_seed(seed);
    feed(der, len, NULL, &whole, &whole_key);
    feed(der, len, &random, &split, &split_key);
    FUZZ_CHECK(whole.failed == split.failed && whole.done == split.done && whole.trailing == split.trailing,
               "verdict");
    if (whole.failed || !whole.done) {
        return;
    }
    FUZZ_CHECK(whole.key_kind == split.key_kind && whole.server_usage == split.server_usage, "key");
    FUZZ_CHECK(memcmp(whole.not_after, split.not_after, sizeof whole.not_after) == 0, "dates");
    FUZZ_CHECK(memcmp(whole.subject, split.subject, sizeof whole.subject) == 0, "subject");
    FUZZ_CHECK(whole_key.overflow == split_key.overflow && whole_key.len == split_key.len &&
                   whole_key.modulus_len == split_key.modulus_len,
               "key");
    FUZZ_CHECK(htoki_root_usable(&whole, &whole_key) == htoki_root_usable(&split, &split_key), "use");
}

static void add_pem(fuzz_text *out, const unsigned char *der, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at;
    fuzz_add(out, "-----BEGIN CERTIFICATE-----\n", 28);
    for (at = 0; at < len; at += 3) {
        uint32_t v = (uint32_t)der[at] << 16 | (uint32_t)(at + 1 < len ? der[at + 1] : 0) << 8 |
                     (at + 2 < len ? der[at + 2] : 0);
        char four[4];
        four[0] = digits[v >> 18];
        four[1] = digits[v >> 12 & 63];
        four[2] = at + 1 < len ? digits[v >> 6 & 63] : '=';
        four[3] = at + 2 < len ? digits[v & 63] : '=';
        fuzz_add(out, four, 4);
        fuzz_add(out, "\r\n", at / 3 % 16 == 15 ? 2 : 0);
    }
    fuzz_add(out, "\n-----END CERTIFICATE-----\n", 27);
}

/* Takes the bundle apart; gives its certificates in both forms. False when it breaks off. */
static bool take_apart(const char *text, size_t len, uint32_t seed, fuzz_text *der, fuzz_text *pem,
                       bool *bare)
{
    htoki_bundle b;
    unsigned char piece[16];
    size_t n;
    htoki_bundle_open(&b, htoki_view(text, len));
    while (htoki_bundle_next(&b)) {
        size_t begin = der->len;
        htoki_der d;
        htoki_root_key key;
        while ((n = htoki_bundle_read(&b, piece, sizeof piece)) != 0) {
            FUZZ_CHECK(n <= sizeof piece, "length of a piece");
            fuzz_add(der, (const char *)piece, n);
        }
        if (b.failed) {
            return false;
        }
        if (der->len != begin) {
            check_pieces((const unsigned char *)der->text + begin, der->len - begin, seed);
            feed((const unsigned char *)der->text + begin, der->len - begin, NULL, &d, &key);
            /* What other forms cannot carry: OpenSSL's additions, and DER in the short form of length. */
            *bare = *bare && !d.trailing && (unsigned char)der->text[begin + 1] > 0x80;
            add_pem(pem, (const unsigned char *)der->text + begin, der->len - begin);
        }
    }
    return !b.failed;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    fuzz_text der, pem, twice;
    const char *text = (const char *)data + 2;
    size_t len = size - 2;
    unsigned when;
    htok_reason reason;
    bool bare = true;
    char digits[14];
    if (size < 2) {
        return 0;
    }
    when = data[0] % 4;
    memset(&der, 0, sizeof der);
    memset(&pem, 0, sizeof pem);
    memset(&twice, 0, sizeof twice);
    reason = verdict(text, len, when);
    if (when != 0) {
        FUZZ_CHECK(htoki_time_digits(times[when], digits), "time");
    }
    if (take_apart(text, len, data[1], &der, &pem, &bare) && bare && der.len != 0 &&
        reason != HTOK_REASON_TRUST_MALFORMED) {
        FUZZ_CHECK(verdict(pem.text, pem.len, when) == reason, "as PEM");
        fuzz_add(&twice, pem.text, pem.len);
        fuzz_add(&twice, "\nnoise - between -----\n", 23);
        fuzz_add(&twice, pem.text, pem.len);
        FUZZ_CHECK(verdict(twice.text, twice.len, when) == reason, "twice");
        FUZZ_CHECK(verdict(der.text, der.len, when) == reason, "as DER");
    }
    free(der.text);
    free(pem.text);
    free(twice.text);
    return 0;
}
