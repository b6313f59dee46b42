/* Private keys of every kind, made by BearSSL, with their encodings, and certificates for them. Include it after
   x509.h. */
#ifndef KEYS_H
#define KEYS_H

#include "x509.h"

enum { KEY_RSA = 1 }; /* or a BR_EC_ number */

typedef struct own_key {
    int kind;
    br_rsa_private_key rsa;
    br_rsa_public_key rsa_open;
    br_ec_private_key ec;
    br_ec_public_key ec_open;
    unsigned char secret_bytes[BR_RSA_KBUF_PRIV_SIZE(2048)], open_bytes[BR_RSA_KBUF_PUB_SIZE(2048)];
    unit_text raw, pkcs8; /* DER: PKCS #1 or SEC 1; PKCS #8 */
    unit_text spki_hex;
} own_key;

static inline void own_key_ec_spki(own_key *k)
{
    static const char *const oids[3] = {"06082a8648ce3d030107", "06052b81040022", "06052b81040023"};
    unit_text spki = {0}, part = {0};
    size_t i;
    unit_add_hex(&part, "06072a8648ce3d0201", 18);
    unit_add_hex(&part, oids[k->kind - BR_EC_secp256r1], strlen(oids[k->kind - BR_EC_secp256r1]));
    der_wrap(&spki, 0x30, &part);
    unit_add(&part, "", 1);
    unit_add(&part, (const char *)k->ec_open.q, k->ec_open.qlen);
    der_wrap(&spki, 0x03, &part);
    for (i = 0; i < spki.len; i++) {
        char digits[3];
        snprintf(digits, sizeof digits, "%02x", (unsigned)(unsigned char)spki.text[i]);
        unit_add_text(&k->spki_hex, digits);
    }
    free(spki.text);
}

/* The same key for the same kind and seed. */
static inline void own_key_make(own_key *k, int kind, const char *seed)
{
    br_hmac_drbg_context random;
    unsigned char der[2048], exponent[BR_RSA_KBUF_PRIV_SIZE(2048)];
    memset(k, 0, sizeof *k);
    k->kind = kind;
    br_hmac_drbg_init(&random, &br_sha256_vtable, seed, strlen(seed));
    if (kind == KEY_RSA) {
        size_t len;
        assert_true(br_rsa_keygen_get_default()(&random.vtable, &k->rsa, k->secret_bytes, &k->rsa_open,
                                                k->open_bytes, 2048, 65537));
        len = br_rsa_compute_privexp_get_default()(exponent, &k->rsa, 65537);
        assert_true(len != 0);
        unit_add(&k->raw, (const char *)der,
                 br_encode_rsa_raw_der(der, &k->rsa, &k->rsa_open, exponent, len));
        unit_add(&k->pkcs8, (const char *)der,
                 br_encode_rsa_pkcs8_der(der, &k->rsa, &k->rsa_open, exponent, len));
        cert_rsa_spki(k->rsa_open.n, k->rsa_open.nlen, k->rsa_open.e, k->rsa_open.elen, &k->spki_hex);
    } else {
        assert_true(br_ec_keygen(&random.vtable, br_ec_get_default(), &k->ec, k->secret_bytes, kind) != 0);
        assert_true(br_ec_compute_pub(br_ec_get_default(), &k->ec_open, k->open_bytes, &k->ec) != 0);
        unit_add(&k->raw, (const char *)der, br_encode_ec_raw_der(der, &k->ec, &k->ec_open));
        unit_add(&k->pkcs8, (const char *)der, br_encode_ec_pkcs8_der(der, &k->ec, &k->ec_open));
        own_key_ec_spki(k);
    }
}

static inline void own_key_free(own_key *k)
{
    free(k->raw.text);
    free(k->pkcs8.text);
    free(k->spki_hex.text);
}

static inline const char *own_key_label(const own_key *k, bool pkcs8)
{
    return pkcs8 ? "PRIVATE KEY" : k->kind == KEY_RSA ? "RSA PRIVATE KEY" : "EC PRIVATE KEY";
}

static inline void own_key_add_pem(const own_key *k, bool pkcs8, const char *line_end, unit_text *pem)
{
    const unit_text *der = pkcs8 ? &k->pkcs8 : &k->raw;
    cert_add_pem(pem, own_key_label(k, pkcs8), (const unsigned char *)der->text, der->len, line_end);
}

/* A certificate of this key, signed by the key with this number of x509.h. */
static inline void own_key_add_cert(const own_key *k, const char *issuer, unsigned signer, unit_text *pem)
{
    cert_spec spec;
    cert_bytes cert;
    memset(&spec, 0, sizeof spec);
    spec.subject = "client";
    spec.issuer = issuer;
    spec.signer = signer;
    spec.spki_hex = k->spki_hex.text;
    spec.extensions = "eku:client notca";
    cert = cert_make(&spec);
    cert_add_pem(pem, "CERTIFICATE", cert.bytes, cert.len, "\n");
    free(cert.bytes);
}

#endif
