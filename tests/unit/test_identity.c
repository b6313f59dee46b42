/* The client's own certificates and key: every form of key, what is refused and by which name, signatures, and that
   nothing decoded is left. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"
#include "keys.h"

static const int kinds[] = {KEY_RSA, BR_EC_secp256r1, BR_EC_secp384r1, BR_EC_secp521r1};
static own_key keys[UNIT_COUNT(kinds)], others[UNIT_COUNT(kinds)];

static int make_keys(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(kinds); i++) {
        own_key_make(&keys[i], kinds[i], "one");
        own_key_make(&others[i], kinds[i], "two");
    }
    return 0;
}

static int free_keys(void **state)
{
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(kinds); i++) {
        own_key_free(&keys[i]);
        own_key_free(&others[i]);
    }
    return 0;
}

/* ---- One chain and one key in memory of the exact size. ---- */

typedef struct world {
    htoki_identity *id;
    size_t bytes;
    char *chain, *key;
} world;

static void world_begin(world *w, const unit_text *chain, const unit_text *key)
{
    w->bytes = htoki_identity_bytes(chain->len, key->len);
    w->chain = unit_exact(chain->text ? chain->text : "", chain->len);
    w->key = unit_exact(key->text ? key->text : "", key->len);
    w->id = (htoki_identity *)malloc(w->bytes);
    assert_non_null(w->id);
    memset(w->id, 0, w->bytes);
    htoki_identity_begin(w->id, w->bytes, htoki_view(w->chain, chain->len), htoki_view(w->key, key->len));
}

/* Nothing decoded is left in the room, and no number of the key. */
static void check_empty(const world *w, const char *label)
{
    size_t at;
    const unsigned char *secret = (const unsigned char *)&w->id->key;
    for (at = sizeof *w->id; at < w->bytes; at++) {
        check(((const unsigned char *)w->id)[at] == 0, "%s: byte %u is left", label, (unsigned)at);
    }
    for (at = 0; at < sizeof w->id->key; at++) {
        check(secret[at] == 0, "%s: a part of the key is left", label);
    }
}

static void world_end(world *w)
{
    free(w->id);
    free(w->chain);
    free(w->key);
}

static void check_verdict(const char *label, const unit_text *chain, const unit_text *key, htok_reason reason,
                          int64_t offset)
{
    world w;
    htok_error e;
    unit_error_begin(&e);
    world_begin(&w, chain, key);
    (void)htoki_identity_check(w.id, &e);
    check(e.reason == reason, "%s: %s, not %s", label, htok_reason_name(e.reason), htok_reason_name(reason));
    check_empty(&w, label);
    if (reason != HTOK_REASON_NONE) {
        check_number(e.kind, HTOK_INVALID_REQUEST_ERROR, label);
        check_text(e.path, reason == HTOK_REASON_CLIENT_CHAIN_MALFORMED ? "client_chain" : "client_key",
                   label);
        check(e.offset >= 0 && e.offset <= (int64_t)(chain->len > key->len ? chain->len : key->len),
              "%s: offset", label);
        if (offset >= 0) {
            check_number(e.offset, offset, label);
        }
    }
    world_end(&w);
}

static void chain_of(size_t i, unit_text *chain)
{
    memset(chain, 0, sizeof *chain);
    own_key_add_cert(&keys[i], "Root", 1, chain);
}

/* ---- What is read. ---- */

static void keys_are_read_in_each_form(void **state)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};
    static const char *const before[] = {
        "", "\xef\xbb\xbf", "Bag Attributes\n    friendlyName: x\n",
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"};
    size_t i, end, front;
    int pkcs8, line;
    (void)state;
    for (i = 0; i < UNIT_COUNT(kinds); i++) {
        unit_text chain;
        chain_of(i, &chain);
        for (pkcs8 = 0; pkcs8 < 2; pkcs8++) {
            for (end = 0; end < UNIT_COUNT(ends); end++) {
                for (front = 0; front < UNIT_COUNT(before); front++) {
                    for (line = 0; line < 2; line++) {
                        unit_text key = {0};
                        char label[64];
                        snprintf(label, sizeof label, "kind %d, form %d, ends %u, front %u, last line %d",
                                 kinds[i], pkcs8, (unsigned)end, (unsigned)front, line);
                        unit_add_text(&key, before[front]);
                        own_key_add_pem(&keys[i], pkcs8 != 0, ends[end], &key);
                        key.len -= line == 0 ? strlen(ends[end]) : 0;
                        check_verdict(label, &chain, &key, HTOK_REASON_NONE, -1);
                        free(key.text);
                    }
                }
            }
        }
        free(chain.text);
    }
}

static void one_text_may_hold_both(void **state)
{
    unit_text both;
    (void)state;
    chain_of(1, &both);
    own_key_add_pem(&keys[1], true, "\n", &both);
    own_key_add_cert(&others[0], "Root", 1, &both);
    check_verdict("key in the middle", &both, &both, HTOK_REASON_NONE, -1);
    free(both.text);
}

/* RFC 5915 lets the curve away where PKCS #8 names it; some programs do so in SEC 1 too. */
static void a_key_without_its_curve_has_the_certificate_s(void **state)
{
    size_t i;
    (void)state;
    for (i = 1; i < UNIT_COUNT(kinds); i++) {
        unit_text chain, key = {0}, inner = {0}, der = {0};
        chain_of(i, &chain);
        der_hex(&inner, 0x02, "01");
        der_add(&inner, 0x04, keys[i].ec.x, keys[i].ec.xlen);
        der_wrap(&der, 0x30, &inner);
        cert_add_pem(&key, "EC PRIVATE KEY", (const unsigned char *)der.text, der.len, "\n");
        check_verdict("no curve", &chain, &key, HTOK_REASON_NONE, -1);
        free(chain.text);
        chain_of(i == 1 ? 2 : 1, &chain);
        check_verdict("another certificate", &chain, &key, HTOK_REASON_CLIENT_KEY_MISMATCH, -1);
        free(chain.text);
        chain_of(0, &chain);
        check_verdict("an RSA certificate", &chain, &key, HTOK_REASON_CLIENT_KEY_MISMATCH, -1);
        free(key.text);
        free(der.text);
        free(chain.text);
    }
}

/* Nor is a key of no curve that of a certificate with a key of an unknown kind. */
static void a_key_without_its_curve_fits_no_certificate_of_another_kind(void **state)
{
    static const char *const spkis[] = {
        "300506032b6570032100aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", /* Ed25519 */
        "301006072a8648ce3d020106052b8104000a030100", /* secp256k1, no point */
    };
    unit_text key = {0}, inner = {0}, der = {0};
    size_t i;
    (void)state;
    der_hex(&inner, 0x02, "01");
    der_add(&inner, 0x04, keys[1].ec.x, keys[1].ec.xlen);
    der_wrap(&der, 0x30, &inner);
    cert_add_pem(&key, "EC PRIVATE KEY", (const unsigned char *)der.text, der.len, "\n");
    for (i = 0; i < UNIT_COUNT(spkis); i++) {
        cert_spec spec = {.subject = "client", .signer = 1, .extensions = "eku:client notca"};
        unit_text chain = {0};
        cert_bytes cert;
        spec.spki_hex = spkis[i];
        cert = cert_make(&spec);
        cert_add_pem(&chain, "CERTIFICATE", cert.bytes, cert.len, "\n");
        check_verdict(spkis[i], &chain, &key, HTOK_REASON_CLIENT_KEY_MISMATCH, 0);
        free(chain.text);
        free(cert.bytes);
    }
    free(key.text);
    free(der.text);
}

/* ---- What is refused. ---- */

static void the_key_must_be_the_certificate_s(void **state)
{
    size_t i, k;
    (void)state;
    for (i = 0; i < UNIT_COUNT(kinds); i++) {
        for (k = 0; k < UNIT_COUNT(kinds); k++) {
            unit_text chain, key = {0}, other = {0};
            chain_of(i, &chain);
            own_key_add_pem(&keys[k], k % 2 != 0, "\n", &key);
            own_key_add_pem(&others[k], k % 2 != 0, "\n", &other);
            check_verdict("key", &chain, &key, i == k ? HTOK_REASON_NONE : HTOK_REASON_CLIENT_KEY_MISMATCH,
                          i == k ? -1 : 0);
            check_verdict("other key", &chain, &other, HTOK_REASON_CLIENT_KEY_MISMATCH, 0);
            free(chain.text);
            free(key.text);
            free(other.text);
        }
    }
}

/* A number for RSA: its first and last byte are of the given values. */
static void add_number(unit_text *t, size_t len, unsigned first, unsigned last)
{
    unit_text number = {0};
    size_t i;
    for (i = 0; i < len; i++) {
        char byte = (char)(i == 0 ? first : i + 1 == len ? last : 0x55);
        unit_add(&number, &byte, 1);
    }
    der_wrap(t, 0x02, &number);
}

/* PKCS #1 with these lengths of n, p and q. */
static void add_rsa(unit_text *der, size_t n, size_t p, size_t q, unsigned last, size_t numbers)
{
    size_t lens[8], i;
    unit_text inner = {0};
    lens[0] = n;
    lens[1] = 3;
    lens[2] = n;
    lens[3] = lens[5] = lens[7] = p;
    lens[4] = lens[6] = q;
    der_hex(&inner, 0x02, "00");
    for (i = 0; i < numbers; i++) {
        add_number(&inner, lens[i], 0x7f, i == 3 ? last : 1);
    }
    der_wrap(der, 0x30, &inner);
}

static void keys_of_other_kinds_and_sizes_are_refused_by_name(void **state)
{
    static const struct {
        const char *label, *pem, *hex;
        htok_reason reason;
    } rows[] = {
        {"encrypted PKCS #8", "ENCRYPTED PRIVATE KEY", "3000", HTOK_REASON_CLIENT_KEY_ENCRYPTED},
        {"DSA", "DSA PRIVATE KEY", "3000", HTOK_REASON_CLIENT_KEY_UNSUPPORTED},
        {"OpenSSH's form", "OPENSSH PRIVATE KEY", "3000", HTOK_REASON_CLIENT_KEY_UNSUPPORTED},
        {"a public key", "PUBLIC KEY", "3000", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"a short label", "KEY", "3000", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"Ed25519", "PRIVATE KEY",
         "302e020100300506032b657004220420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         HTOK_REASON_CLIENT_KEY_UNSUPPORTED},
        {"a curve in the place of an algorithm", "PRIVATE KEY",
         "3014020100300a06082a8648ce3d0301070403020101", HTOK_REASON_CLIENT_KEY_UNSUPPORTED},
        {"secp256k1", "PRIVATE KEY", "3020020100301006072a8648ce3d020106052b8104000a04093007020101040201ff",
         HTOK_REASON_CLIENT_KEY_UNSUPPORTED},
        {"RSA as a curve", "PRIVATE KEY",
         "3024020100301406072a8648ce3d020106092a864886f70d01010104093007020101040201ff",
         HTOK_REASON_CLIENT_KEY_UNSUPPORTED},
        {"a described curve", "PRIVATE KEY", "301b020100300b06072a8648ce3d0201300004093007020101040201ff",
         HTOK_REASON_CLIENT_KEY_UNSUPPORTED},
        {"a described curve in SEC 1", "EC PRIVATE KEY", "300b020101040201ffa0023000",
         HTOK_REASON_CLIENT_KEY_UNSUPPORTED},
        {"a secret longer than any", "EC PRIVATE KEY",
         "304802010104430101010101010101010101010101010101010101010101010101010101010101010101010101010101010"
         "101"
         "01010101010101010101010101010101010101010101010101",
         HTOK_REASON_CLIENT_KEY_UNSUPPORTED},
        {"an empty secret", "EC PRIVATE KEY", "30050201010400", HTOK_REASON_CLIENT_KEY_MISMATCH},
        {"a secret of zero", "EC PRIVATE KEY", "3006020101040100", HTOK_REASON_CLIENT_KEY_MISMATCH},
        {"nothing", "EC PRIVATE KEY", "", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"a number alone", "EC PRIVATE KEY", "020101", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"another version", "EC PRIVATE KEY", "3006020102040101", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"version 0", "EC PRIVATE KEY", "3006020100040101", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"a long version", "EC PRIVATE KEY", "300702020101040101", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"no secret", "EC PRIVATE KEY", "3003020101", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"version 2 of PKCS #8", "PRIVATE KEY", "3003020102", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"no algorithm", "PRIVATE KEY", "3003020101", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"an algorithm without its number", "PRIVATE KEY", "30050201013000",
         HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"no key", "PRIVATE KEY", "300e020100300906072a8648ce3d0201", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"RSA of three primes", "RSA PRIVATE KEY", "3003020101", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"RSA of nothing", "RSA PRIVATE KEY", "3003020100", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"RSA of zero", "RSA PRIVATE KEY", "3006020100020100", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"RSA that is none", "RSA PRIVATE KEY", "0500", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"a length of three bytes", "EC PRIVATE KEY", "3083000001ff", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"an indefinite length", "EC PRIVATE KEY", "30800000", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"a length cut off", "EC PRIVATE KEY", "308201", HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"a length beyond the end", "EC PRIVATE KEY", "3007020101040201", HTOK_REASON_CLIENT_KEY_MALFORMED},
    };
    static const struct {
        const char *label;
        size_t n, p, q;
        unsigned last;
        size_t numbers;
        htok_reason reason;
    } sizes[] = {
        {"RSA of 1024 bits", 128, 64, 64, 1, 8, HTOK_REASON_CLIENT_KEY_UNSUPPORTED},
        {"RSA of 2040 bits", 255, 128, 127, 1, 8, HTOK_REASON_CLIENT_KEY_UNSUPPORTED},
        {"RSA of 2047 bits", 256, 128, 128, 1, 8, HTOK_REASON_CLIENT_KEY_MISMATCH},
        {"RSA of 4095 bits", 512, 256, 256, 1, 8, HTOK_REASON_CLIENT_KEY_MISMATCH},
        {"RSA of 4103 bits", 513, 257, 256, 1, 8, HTOK_REASON_CLIENT_KEY_UNSUPPORTED},
        {"factors too short", 256, 128, 127, 1, 8, HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"factors a byte longer", 256, 128, 129, 1, 8, HTOK_REASON_CLIENT_KEY_MISMATCH},
        {"factors too long", 256, 128, 130, 1, 8, HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"BearSSL's buffers by far", 256, 1540, 1540, 1, 8, HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"an even factor", 256, 128, 128, 2, 8, HTOK_REASON_CLIENT_KEY_MALFORMED},
        {"a number too few", 256, 128, 128, 1, 7, HTOK_REASON_CLIENT_KEY_MALFORMED},
    };
    unit_text chain;
    size_t i;
    (void)state;
    chain_of(0, &chain);
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_text der = {0}, key = {0};
        unit_add_hex(&der, rows[i].hex, strlen(rows[i].hex));
        cert_add_pem(&key, rows[i].pem, (const unsigned char *)(der.text ? der.text : ""), der.len, "\n");
        if (rows[i].reason == HTOK_REASON_CLIENT_KEY_MISMATCH) {
            unit_text ec_chain;
            chain_of(1, &ec_chain);
            check_verdict(rows[i].label, &ec_chain, &key, rows[i].reason, 0);
            free(ec_chain.text);
        } else {
            check_verdict(rows[i].label, &chain, &key, rows[i].reason, -1);
        }
        free(der.text);
        free(key.text);
    }
    for (i = 0; i < UNIT_COUNT(sizes); i++) {
        unit_text der = {0}, key = {0};
        add_rsa(&der, sizes[i].n, sizes[i].p, sizes[i].q, sizes[i].last, sizes[i].numbers);
        cert_add_pem(&key, "RSA PRIVATE KEY", (const unsigned char *)der.text, der.len, "\n");
        check_verdict(sizes[i].label, &chain, &key, sizes[i].reason, -1);
        free(der.text);
        free(key.text);
    }
    free(chain.text);
}

static void an_encrypted_key_in_the_old_form_is_named(void **state)
{
    static const char *const ends[] = {"\n", "\r\n"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(ends); i++) {
        unit_text chain, key = {0};
        chain_of(0, &chain);
        unit_add_text(&key, "-----BEGIN RSA PRIVATE KEY-----");
        unit_add_text(&key, ends[i]);
        unit_add_text(
            &key, "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----");
        check_verdict("Proc-Type", &chain, &key, HTOK_REASON_CLIENT_KEY_ENCRYPTED, 0);
        free(chain.text);
        free(key.text);
    }
}

static void a_key_cut_or_changed_anywhere_is_never_taken(void **state)
{
    size_t i, at;
    (void)state;
    for (i = 0; i < 2; i++) {
        unit_text chain, key = {0}, cut;
        chain_of(i, &chain);
        own_key_add_pem(&keys[i], i == 0, "\n", &key);
        for (at = 0; at + 1 < key.len; at++) {
            memset(&cut, 0, sizeof cut);
            unit_add(&cut, key.text, at);
            check_verdict("cut", &chain, &cut, HTOK_REASON_CLIENT_KEY_MALFORMED, -1);
            free(cut.text);
        }
        for (at = 0; at + 5 < key.len; at += 3) {
            world w;
            htok_error e;
            key.text[at] ^= 4;
            unit_error_begin(&e);
            world_begin(&w, &chain, &key);
            (void)htoki_identity_check(w.id, &e); /* some bytes do not matter; no memory error is wanted */
            check_empty(&w, "changed");
            world_end(&w);
            key.text[at] ^= 4;
        }
        free(chain.text);
        free(key.text);
    }
}

static void the_chain_must_be_whole_certificates(void **state)
{
    unit_text chain, key = {0}, text = {0}, many = {0}, der = {0};
    static const cert_spec spec = {.subject = "client", .key = 5, .extensions = "notca"};
    cert_bytes cert = cert_make(&spec);
    size_t i;
    (void)state;
    chain_of(1, &chain);
    own_key_add_pem(&keys[1], true, "\n", &key);
    check_verdict("nothing", &text, &key, HTOK_REASON_CLIENT_CHAIN_MALFORMED, 0);
    check_verdict("a key alone", &key, &key, HTOK_REASON_CLIENT_CHAIN_MALFORMED, -1);
    unit_add(&der, (const char *)cert.bytes, cert.len);
    check_verdict("DER", &der, &key, HTOK_REASON_CLIENT_CHAIN_MALFORMED, 0);
    for (i = 1; i + 1 < chain.len; i += 5) {
        memset(&text, 0, sizeof text);
        unit_add(&text, chain.text, i);
        check_verdict("cut", &text, &key, HTOK_REASON_CLIENT_CHAIN_MALFORMED, -1);
        free(text.text);
    }
    memset(&text, 0, sizeof text);
    unit_add(&text, chain.text, chain.len);
    unit_add_text(&text, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    check_verdict("a second one that is none", &text, &key, HTOK_REASON_CLIENT_CHAIN_MALFORMED,
                  (int64_t)chain.len);
    text.len = chain.len;
    unit_add_text(&text, "-----END CERTIFICATE-----\n");
    check_verdict("an END alone", &text, &key, HTOK_REASON_CLIENT_CHAIN_MALFORMED, (int64_t)chain.len);
    text.len = chain.len;
    {
        unit_text inner = {0}, broken = {0};
        assert_true(cert.bytes[4] == 0x30 && cert.bytes[5] == 0x81);
        unit_add(&inner, (const char *)cert.bytes + 4, 3 + (size_t)cert.bytes[6]);
        unit_add_hex(&inner, "300a" OID_SIGNED, strlen("300a" OID_SIGNED));
        der_wrap(&broken, 0x30, &inner);
        cert_add_pem(&text, "CERTIFICATE", (const unsigned char *)broken.text, broken.len, "\n");
        free(broken.text);
    }
    check_verdict("no signature", &text, &key, HTOK_REASON_CLIENT_CHAIN_MALFORMED, (int64_t)chain.len);
    unit_add(&der, "\x05\0", 2);
    text.len = chain.len;
    cert_add_pem(&text, "CERTIFICATE", (const unsigned char *)der.text, der.len, "\n");
    check_verdict("bytes behind it", &text, &key, HTOK_REASON_CLIENT_CHAIN_MALFORMED, (int64_t)chain.len);
    for (i = 0; i < 9; i++) {
        if (i == 8) {
            check_verdict("eight", &many, &key, HTOK_REASON_NONE, -1);
        }
        unit_add(&many, chain.text, chain.len);
    }
    check_verdict("nine", &many, &key, HTOK_REASON_CLIENT_CHAIN_MALFORMED, (int64_t)(8 * chain.len));
    free(chain.text);
    free(key.text);
    free(text.text);
    free(many.text);
    free(der.text);
    free(cert.bytes);
}

/* ---- An answer to a server. ---- */

static uint32_t type_of(size_t i, int hash)
{
    return (uint32_t)1 << (hash + (i == 0 ? 0 : 8));
}

static bool verifies(size_t i, int hash, const unsigned char *value, const unsigned char *signature,
                     size_t len)
{
    static const unsigned char *const oids[3] = {BR_HASH_OID_SHA256, BR_HASH_OID_SHA384, BR_HASH_OID_SHA512};
    size_t hash_len = hash == br_sha256_ID ? 32 : hash == br_sha384_ID ? 48 : 64;
    if (i == 0) {
        unsigned char found[64];
        return br_rsa_pkcs1_vrfy_get_default()(signature, len, oids[hash - br_sha256_ID], hash_len,
                                               &keys[i].rsa_open, found) != 0 &&
               memcmp(found, value, hash_len) == 0;
    }
    return br_ecdsa_vrfy_asn1_get_default()(br_ec_get_default(), value, hash_len, &keys[i].ec_open, signature,
                                            len) != 0;
}

static void a_signature_is_made_with_the_first_hash_that_the_server_takes(void **state)
{
    static const struct {
        int hashes[3], wanted; /* those the server takes; 0: none */
    } rows[] = {
        {{br_sha256_ID, br_sha384_ID, br_sha512_ID}, br_sha256_ID},
        {{br_sha384_ID, br_sha512_ID, 0}, br_sha384_ID},
        {{br_sha512_ID, 0, 0}, br_sha512_ID},
        {{br_sha1_ID, br_sha512_ID, 0}, br_sha512_ID},
        {{br_sha1_ID, br_sha224_ID, 0}, 0},
        {{0, 0, 0}, 0},
    };
    size_t i, row, n;
    (void)state;
    for (i = 0; i < UNIT_COUNT(kinds); i++) {
        for (row = 0; row < UNIT_COUNT(rows); row++) {
            unit_text chain, key = {0};
            world w;
            htoki_answer a;
            br_ssl_client_certificate choice;
            uint32_t types = 0x030000 | type_of(i == 0 ? 1 : 0, br_sha256_ID); /* the other kind's */
            char label[48];
            snprintf(label, sizeof label, "kind %d, row %u", kinds[i], (unsigned)row);
            for (n = 0; n < 3 && rows[row].hashes[n] != 0; n++) {
                types |= type_of(i, rows[row].hashes[n]);
            }
            chain_of(i, &chain);
            own_key_add_cert(&others[1], "Root", 1, &chain);
            own_key_add_pem(&keys[i], false, "\n", &key);
            world_begin(&w, &chain, &key);
            memset(&a, 0, sizeof a);
            a.vtable = &htoki_answer_vtable;
            a.identity = w.id;
            a.vtable->choose(&a.vtable, NULL, types, &choice);
            check_number(a.asked, rows[row].wanted ? HTOKI_ASKED_SENT : HTOKI_ASKED_UNFIT, label);
            check_number(choice.chain_len, rows[row].wanted ? 2 : 0, label);
            if (rows[row].wanted) {
                unsigned char value[64], data[600];
                size_t len, hash_len = rows[row].wanted == br_sha256_ID   ? 32
                                       : rows[row].wanted == br_sha384_ID ? 48
                                                                          : 64;
                check_number(choice.auth_type, i == 0 ? BR_AUTH_RSA : BR_AUTH_ECDSA, label);
                check_number(choice.hash_id, rows[row].wanted, label);
                memset(value, 0x3c + (int)row, sizeof value);
                memset(data, 0, sizeof data);
                memcpy(data, value, hash_len);
                len = a.vtable->do_sign(&a.vtable, choice.hash_id, hash_len, data, sizeof data);
                check(len != 0 && verifies(i, choice.hash_id, value, data, len), "%s: %u bytes", label,
                      (unsigned)len);
            } else {
                check(choice.chain == NULL, "%s: a chain", label);
            }
            check_empty(&w, label);
            world_end(&w);
            free(chain.text);
            free(key.text);
        }
    }
}

static void a_signature_that_does_not_fit_is_none(void **state)
{
    unit_text chain, key = {0};
    world w;
    htoki_answer a;
    br_ssl_client_certificate choice;
    unsigned char data[255] = {0};
    (void)state;
    chain_of(0, &chain);
    own_key_add_pem(&keys[0], false, "\n", &key);
    world_begin(&w, &chain, &key);
    memset(&a, 0, sizeof a);
    a.vtable = &htoki_answer_vtable;
    a.identity = w.id;
    a.vtable->choose(&a.vtable, NULL, type_of(0, br_sha256_ID), &choice);
    check_number(a.vtable->do_sign(&a.vtable, br_sha256_ID, 32, data, sizeof data), 0, "too short");
    check_empty(&w, "too short");
    a.vtable->choose(&a.vtable, NULL, type_of(0, br_sha256_ID), &choice);
    w.id->key.rsa.n_bitlen = 256;
    check_number(a.vtable->do_sign(&a.vtable, br_sha256_ID, 32, data, sizeof data), 0, "no room for padding");
    check_empty(&w, "changed");
    world_end(&w);
    free(chain.text);
    free(key.text);
}

static void texts_that_were_changed_later_are_not_sent(void **state)
{
    int which;
    (void)state;
    for (which = 0; which < 2; which++) {
        unit_text chain, key = {0};
        world w;
        htok_error e;
        htoki_answer a;
        br_ssl_client_certificate choice;
        unit_error_begin(&e);
        chain_of(1, &chain);
        own_key_add_pem(&keys[1], false, "\n", &key);
        world_begin(&w, &chain, &key);
        assert_int_equal(htoki_identity_check(w.id, &e), HTOK_OK);
        (which == 0 ? w.chain : w.key)[40] = '!';
        memset(&a, 0, sizeof a);
        a.vtable = &htoki_answer_vtable;
        a.identity = w.id;
        a.vtable->choose(&a.vtable, NULL, UINT32_MAX, &choice);
        check_number(a.asked, HTOKI_ASKED_UNFIT, "asked");
        check_number(choice.chain_len, 0, "chain");
        check_empty(&w, "changed text");
        world_end(&w);
        free(chain.text);
        free(key.text);
    }
}

static void without_an_identity_the_answer_is_empty(void **state)
{
    htoki_answer a;
    br_ssl_client_certificate choice;
    (void)state;
    memset(&a, 0, sizeof a);
    memset(&choice, 0xa5, sizeof choice);
    a.vtable = &htoki_answer_vtable;
    a.vtable->start_name_list(&a.vtable);
    a.vtable->start_name(&a.vtable, 3);
    a.vtable->append_name(&a.vtable, (const unsigned char *)"\x30\x01\x01", 3);
    a.vtable->end_name(&a.vtable);
    a.vtable->end_name_list(&a.vtable);
    check_number(a.asked, HTOKI_ASKED_NOT, "not yet");
    a.vtable->choose(&a.vtable, NULL, UINT32_MAX, &choice);
    check_number(a.asked, HTOKI_ASKED, "asked");
    check(choice.chain == NULL && choice.chain_len == 0, "a chain");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_read_in_each_form),
        cmocka_unit_test(one_text_may_hold_both),
        cmocka_unit_test(a_key_without_its_curve_has_the_certificate_s),
        cmocka_unit_test(a_key_without_its_curve_fits_no_certificate_of_another_kind),
        cmocka_unit_test(the_key_must_be_the_certificate_s),
        cmocka_unit_test(keys_of_other_kinds_and_sizes_are_refused_by_name),
        cmocka_unit_test(an_encrypted_key_in_the_old_form_is_named),
        cmocka_unit_test(a_key_cut_or_changed_anywhere_is_never_taken),
        cmocka_unit_test(the_chain_must_be_whole_certificates),
        cmocka_unit_test(a_signature_is_made_with_the_first_hash_that_the_server_takes),
        cmocka_unit_test(a_signature_that_does_not_fit_is_none),
        cmocka_unit_test(texts_that_were_changed_later_are_not_sent),
        cmocka_unit_test(without_an_identity_the_answer_is_empty),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("identity", tests, make_keys, free_keys);
}
