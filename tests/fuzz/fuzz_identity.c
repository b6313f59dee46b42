/* Build: clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_identity.c -l:libbearssl.a

   A client's private key: a verdict for any bytes; one that is taken lies within the memory that it was decoded into,
   signs with it or fails, and nothing of it is left. Input: bits 0-1 the form (PEM, PKCS #8, PKCS #1, SEC 1), bits 2-3
   the kind of the certificate's key, then the key. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "fuzz.h"

static void check_within(const htoki_identity *id, const unsigned char *number, size_t len)
{
    FUZZ_CHECK(number >= id->room && len <= id->size && (size_t)(number - id->room) <= id->size - len,
               "a number lies outside");
}

static void check_taken(htoki_identity *id)
{
    unsigned char data[512], hash[64];
    htoki_root_key key;
    memset(&key, 0, sizeof key);
    memset(hash, 0x5a, sizeof hash);
    memcpy(data, hash, sizeof hash);
    if (id->key_kind == HTOKI_KEY_RSA) {
        const br_rsa_private_key *sk = &id->key.rsa;
        size_t bytes = (sk->n_bitlen + 7) / 8;
        check_within(id, sk->p, sk->plen);
        check_within(id, sk->q, sk->qlen);
        check_within(id, sk->dp, sk->dplen);
        check_within(id, sk->dq, sk->dqlen);
        check_within(id, sk->iq, sk->iqlen);
        FUZZ_CHECK(bytes >= 256 && bytes <= 512, "size of the modulus");
        FUZZ_CHECK(id->modulus.len == bytes, "length of the modulus");
    } else {
        check_within(id, id->key.ec.x, id->key.ec.xlen);
        FUZZ_CHECK(id->key.ec.xlen <= 66, "length of the secret");
        FUZZ_CHECK(id->key_kind >= BR_EC_secp256r1 && id->key_kind <= BR_EC_secp521r1, "curve");
    }
    FUZZ_CHECK(!htoki_identity_matches(id, &key), "a key of nothing");
    FUZZ_CHECK(htoki_identity_sign(id, br_sha256_ID, data, sizeof data) <= sizeof data,
               "length of the signature");
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const int kinds[4] = {HTOKI_KEY_RSA, BR_EC_secp256r1, BR_EC_secp384r1, BR_EC_secp521r1};
    size_t len = size - 1, bytes, at = 0, i;
    unsigned form;
    char *text;
    htoki_identity *id;
    htok_reason reason;
    htok_view der;
    if (size < 1) {
        return 0;
    }
    form = data[0] & 3;
    text = fuzz_exact(data + 1, len);
    bytes = sizeof *id + (form == 0 ? htoki_identity_bytes(0, len) - sizeof *id : len);
    id = (htoki_identity *)malloc(bytes);
    FUZZ_CHECK(id != NULL, "memory");
    memset(id, 0, bytes);
    htoki_identity_begin(id, bytes, htoki_view(NULL, 0), htoki_view(text, len));
    id->kind = kinds[data[0] >> 2 & 3];
    if (form == 0) {
        reason = htoki_identity_key(id, &at);
        FUZZ_CHECK(at <= len, "offset lies outside");
    } else {
        if (len != 0) {
            memcpy(id->room, text, len);
        }
        id->used = len;
        der = htoki_view((const char *)id->room, len);
        reason = form == 1   ? htoki_identity_pkcs8(id, der)
                 : form == 2 ? htoki_identity_rsa(id, der)
                             : htoki_identity_ec(id, der, HTOKI_KEY_EC);
    }
    FUZZ_CHECK(id->used <= id->size, "more than there is room for");
    if (reason == HTOK_REASON_NONE) {
        check_taken(id);
    } else {
        FUZZ_CHECK(reason >= HTOK_REASON_CLIENT_KEY_MALFORMED && reason <= HTOK_REASON_CLIENT_KEY_MISMATCH,
                   "reason");
    }
    htoki_identity_forget(id);
    for (i = 0; i < id->size; i++) {
        FUZZ_CHECK(id->room[i] == 0, "something is left");
    }
    free(id);
    free(text);
    return 0;
}
