/* Makes certificates in memory for the unit tests, well-formed or not, with keys made from a number. Include it after
   hathora_tokens.h with its implementation. */
#ifndef UNIT_X509_H
#define UNIT_X509_H

#include "unit.h"

/* ---- DER. ---- */

static inline unsigned char unit_hex_byte(const char *text)
{
    int high = htoki_hex_value(text[0]), low = htoki_hex_value(text[1]);
    check(high >= 0 && low >= 0, "not hexadecimal: %s", text);
    return (unsigned char)(high * 16 + low);
}

static inline void unit_add_hex(unit_text *t, const char *text, size_t len)
{
    size_t i;
    assert_true(len % 2 == 0);
    for (i = 0; i < len; i += 2) {
        char byte = (char)unit_hex_byte(text + i);
        unit_add(t, &byte, 1);
    }
}

static inline void der_head(unit_text *t, unsigned tag, size_t len)
{
    char head[5];
    size_t n = 0;
    head[n++] = (char)tag;
    if (len >= 65536) {
        head[n++] = (char)0x83;
        head[n++] = (char)(len >> 16);
        head[n++] = (char)(len >> 8 & 255);
    } else if (len >= 256) {
        head[n++] = (char)0x82;
        head[n++] = (char)(len >> 8);
    } else if (len >= 128) {
        head[n++] = (char)0x81;
    }
    head[n++] = (char)(len & 255);
    unit_add(t, head, n);
}

static inline void der_add(unit_text *t, unsigned tag, const void *bytes, size_t len)
{
    der_head(t, tag, len);
    unit_add(t, (const char *)bytes, len);
}

static inline void der_hex(unit_text *t, unsigned tag, const char *hex)
{
    der_head(t, tag, strlen(hex) / 2);
    unit_add_hex(t, hex, strlen(hex));
}

/* The inner text as one element; it is freed. */
static inline void der_wrap(unit_text *t, unsigned tag, unit_text *inner)
{
    der_add(t, tag, inner->text, inner->len);
    free(inner->text);
    memset(inner, 0, sizeof *inner);
}

/* ---- Keys: P-256, the private one derived from a small number. ---- */

typedef struct cert_key {
    br_ec_private_key secret;
    br_ec_public_key open;
    unsigned char secret_bytes[32], open_bytes[BR_EC_KBUF_PUB_MAX_SIZE];
} cert_key;

static inline const cert_key *cert_key_of(unsigned number)
{
    static cert_key keys[24];
    cert_key *key = &keys[number];
    assert_true(number < UNIT_COUNT(keys));
    if (key->open.qlen == 0) {
        memset(key->secret_bytes, (int)number + 1, sizeof key->secret_bytes);
        key->secret.curve = BR_EC_secp256r1;
        key->secret.x = key->secret_bytes;
        key->secret.xlen = sizeof key->secret_bytes;
        assert_true(br_ec_compute_pub(br_ec_get_default(), &key->open, key->open_bytes, &key->secret) == 65);
    }
    return key;
}

/* ---- Certificates. ---- */

#define OID_P256   "06072a8648ce3d020106082a8648ce3d030107" /* of the key, and its curve */
#define OID_SIGNED "06082a8648ce3d040302"                   /* ecdsa-with-SHA256 */

/* Zero it, then set what differs. */
typedef struct cert_spec {
    const char *subject, *issuer; /* common names; issuer NULL: the subject */
    unsigned key, signer;         /* numbers of keys; signer 0: key, so numbers begin with 1 */
    const char *extensions;       /* see cert_extension(), separated by spaces; NULL: none, and version 1 */
    const char *not_before,
        *not_after;            /* NULL: 2020 and 2039; 13 characters: UTCTime, else GeneralizedTime */
    const char *spki_hex;      /* the content of SubjectPublicKeyInfo in place of the key's */
    const char *algorithm_hex; /* the content of signatureAlgorithm in place of ecdsa-with-SHA256 */
    const char *name_hex;      /* the whole subject in place of a common name */
    const char *behind_hex;    /* follows the extensions within TBSCertificate */
    bool unsigned_garbage;     /* a signature of other bytes */
    bool version_1;            /* no version field, in spite of the extensions */
} cert_spec;

typedef struct cert_bytes {
    unsigned char *bytes;
    size_t len;
} cert_bytes;

static inline void cert_name(unit_text *t, const char *common_name)
{
    unit_text pair = {0}, set = {0}, name = {0};
    if (common_name) {
        unit_text inner = {0};
        der_hex(&inner, 0x06, "550403");
        der_add(&inner, 0x0c, common_name, strlen(common_name));
        der_wrap(&pair, 0x30, &inner);
        der_wrap(&set, 0x31, &pair);
    }
    unit_add(&name, set.text, set.len);
    free(set.text);
    der_wrap(t, 0x30, &name);
}

/* GeneralNames, separated by commas: d=dNSName, dh=the same in hexadecimal, i=iPAddress in hexadecimal, e=rfc822Name,
   x=a whole element in hexadecimal. With trees each is one GeneralSubtree. */
static inline void cert_names(unit_text *t, const char *text, size_t len, bool trees)
{
    size_t at = 0;
    while (at < len) {
        const char *item = text + at, *equals = (const char *)memchr(item, '=', len - at);
        const char *comma = (const char *)memchr(item, ',', len - at);
        size_t item_len = comma ? (size_t)(comma - item) : len - at, value_len;
        unit_text name = {0}, value = {0};
        assert_non_null(equals);
        equals++;
        value_len = item_len - (size_t)(equals - item);
        if (item[0] == 'x') {
            unit_add_hex(&name, equals, value_len);
        } else {
            if (item[0] == 'i' || item[1] == 'h') {
                unit_add_hex(&value, equals, value_len);
            } else {
                unit_add(&value, equals, value_len);
            }
            der_wrap(&name, item[0] == 'd' ? 0x82 : item[0] == 'i' ? 0x87 : 0x81, &value);
        }
        if (trees) {
            der_wrap(t, 0x30, &name);
        } else {
            unit_add(t, name.text, name.len);
            free(name.text);
        }
        at += item_len + 1;
    }
}

static inline bool cert_is(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(text, word, len) == 0;
}

static inline void cert_usages(unit_text *t, const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        const char *comma = (const char *)memchr(text + at, ',', len - at);
        size_t n = comma ? (size_t)(comma - text) - at : len - at;
        der_hex(t, 0x06,
                cert_is(text + at, n, "any")      ? "551d2500"
                : cert_is(text + at, n, "server") ? "2b06010505070301"
                                                  : "2b06010505070302");
        at += n + 1;
    }
}

/* One extension, NAME[!][:VALUE], with ! for critical:
     ca[:PATH_LENGTH] notca ku:BITS eku:server,client,any san:NAMES nc:NAMES/NAMES (permitted/excluded)
     ski:HEX aki:HEX raw:OID=VALUE (both hexadecimal, the content of the OCTET STRING) */
static inline void cert_extension(unit_text *t, const char *item, size_t len)
{
    const char *colon = (const char *)memchr(item, ':', len);
    size_t name_len = colon ? (size_t)(colon - item) : len, value_len = colon ? len - name_len - 1 : 0;
    const char *value = colon ? colon + 1 : "";
    bool critical = item[name_len - 1] == '!';
    unit_text extension = {0}, inner = {0}, octets = {0};
    const char *oid = NULL;
    name_len -= critical;
    if (cert_is(item, name_len, "ca") || cert_is(item, name_len, "notca")) {
        oid = "551d13";
        if (item[0] == 'c') {
            der_hex(&inner, 0x01, "ff");
        }
        if (value_len != 0) {
            char number = (char)(value[0] - '0');
            der_add(&inner, 0x02, &number, 1);
        }
        der_wrap(&octets, 0x30, &inner);
    } else if (cert_is(item, name_len, "ku")) {
        oid = "551d0f";
        unit_add_hex(&inner, value, value_len);
        der_wrap(&octets, 0x03, &inner);
    } else if (cert_is(item, name_len, "eku")) {
        oid = "551d25";
        cert_usages(&inner, value, value_len);
        der_wrap(&octets, 0x30, &inner);
    } else if (cert_is(item, name_len, "san")) {
        oid = "551d11";
        cert_names(&inner, value, value_len, false);
        der_wrap(&octets, 0x30, &inner);
    } else if (cert_is(item, name_len, "nc")) {
        const char *slash = (const char *)memchr(value, '/', value_len);
        size_t permitted = slash ? (size_t)(slash - value) : value_len;
        unit_text trees = {0};
        oid = "551d1e";
        if (permitted != 0) {
            cert_names(&trees, value, permitted, true);
            der_wrap(&inner, 0xa0, &trees);
        }
        if (slash) {
            cert_names(&trees, slash + 1, value_len - permitted - 1, true);
            der_wrap(&inner, 0xa1, &trees);
        }
        der_wrap(&octets, 0x30, &inner);
    } else if (cert_is(item, name_len, "ski")) {
        oid = "551d0e";
        unit_add_hex(&inner, value, value_len);
        der_wrap(&octets, 0x04, &inner);
    } else if (cert_is(item, name_len, "aki")) {
        unit_text id = {0};
        oid = "551d23";
        unit_add_hex(&id, value, value_len);
        der_wrap(&inner, 0x80, &id);
        der_wrap(&octets, 0x30, &inner);
    } else if (cert_is(item, name_len, "raw")) {
        const char *equals = (const char *)memchr(value, '=', value_len);
        unit_text id = {0};
        assert_non_null(equals);
        unit_add_hex(&id, value, (size_t)(equals - value));
        der_wrap(&extension, 0x06, &id);
        unit_add_hex(&octets, equals + 1, value_len - (size_t)(equals + 1 - value));
    } else {
        fail_msg("no extension %.*s", (int)len, item);
    }
    if (oid) {
        der_hex(&extension, 0x06, oid);
    }
    if (critical) {
        der_hex(&extension, 0x01, "ff");
    }
    der_wrap(&extension, 0x04, &octets);
    der_wrap(t, 0x30, &extension);
}

static inline void cert_extensions(unit_text *t, const char *text)
{
    unit_text list = {0}, sequence = {0};
    while (*text) {
        size_t len = strcspn(text, " ");
        cert_extension(&list, text, len);
        text += len;
        text += strspn(text, " ");
    }
    der_wrap(&sequence, 0x30, &list);
    der_wrap(t, 0xa3, &sequence);
}

static inline void cert_date(unit_text *t, const char *date)
{
    der_add(t, strlen(date) == 13 ? 0x17 : 0x18, date, strlen(date));
}

static inline void cert_spki(unit_text *t, const cert_spec *spec)
{
    unit_text spki = {0}, part = {0};
    if (spec->spki_hex) {
        unit_add_hex(&spki, spec->spki_hex, strlen(spec->spki_hex));
    } else {
        unit_add_hex(&part, OID_P256, strlen(OID_P256));
        der_wrap(&spki, 0x30, &part);
        unit_add(&part, "", 1);
        unit_add(&part, (const char *)cert_key_of(spec->key)->open_bytes, 65);
        der_wrap(&spki, 0x03, &part);
    }
    der_wrap(t, 0x30, &spki);
}

/* The content of an RSA key's SubjectPublicKeyInfo, in hexadecimal as spki_hex wants it. */
static inline void cert_rsa_spki(const unsigned char *modulus, size_t modulus_len,
                                 const unsigned char *exponent, size_t exponent_len, unit_text *hex)
{
    unit_text integers = {0}, spki = {0}, part = {0}, number = {0};
    size_t i;
    if (modulus[0] >= 0x80) {
        unit_add(&number, "", 1);
    }
    unit_add(&number, (const char *)modulus, modulus_len);
    der_wrap(&integers, 0x02, &number);
    der_add(&integers, 0x02, exponent, exponent_len);
    der_hex(&part, 0x06, "2a864886f70d010101");
    der_hex(&part, 0x05, "");
    der_wrap(&spki, 0x30, &part);
    unit_add(&part, "", 1);
    der_wrap(&part, 0x30, &integers);
    der_wrap(&spki, 0x03, &part);
    for (i = 0; i < spki.len; i++) {
        char two_digits[3];
        snprintf(two_digits, sizeof two_digits, "%02x", (unsigned)(unsigned char)spki.text[i]);
        unit_add_text(hex, two_digits);
    }
    free(spki.text);
}

/* Free the bytes; the block ends with the last one. */
static inline cert_bytes cert_make(const cert_spec *spec)
{
    const cert_key *signer = cert_key_of(spec->signer ? spec->signer : spec->key);
    const char *algorithm = spec->algorithm_hex ? spec->algorithm_hex : OID_SIGNED;
    unit_text tbs = {0}, whole = {0}, part = {0}, cert = {0};
    unsigned char hash[32], signature[80];
    br_sha256_context sha;
    cert_bytes result;
    if (spec->extensions && !spec->version_1) {
        der_hex(&part, 0x02, "02");
        der_wrap(&tbs, 0xa0, &part);
    }
    der_hex(&tbs, 0x02, "0102030405060708");
    unit_add_hex(&part, algorithm, strlen(algorithm));
    der_wrap(&tbs, 0x30, &part);
    cert_name(&tbs, spec->issuer ? spec->issuer : spec->subject);
    cert_date(&part, spec->not_before ? spec->not_before : "200101000000Z");
    cert_date(&part, spec->not_after ? spec->not_after : "391231235959Z");
    der_wrap(&tbs, 0x30, &part);
    if (spec->name_hex) {
        unit_add_hex(&tbs, spec->name_hex, strlen(spec->name_hex));
    } else {
        cert_name(&tbs, spec->subject);
    }
    cert_spki(&tbs, spec);
    if (spec->extensions) {
        cert_extensions(&tbs, spec->extensions);
    }
    if (spec->behind_hex) {
        unit_add_hex(&tbs, spec->behind_hex, strlen(spec->behind_hex));
    }
    der_wrap(&cert, 0x30, &tbs);
    br_sha256_init(&sha);
    br_sha256_update(&sha, cert.text, cert.len);
    br_sha256_out(&sha, hash);
    hash[0] ^= spec->unsigned_garbage;
    unit_add_hex(&part, algorithm, strlen(algorithm));
    der_wrap(&cert, 0x30, &part);
    unit_add(&part, "", 1);
    unit_add(&part, (const char *)signature,
             br_ecdsa_sign_asn1_get_default()(br_ec_get_default(), &br_sha256_vtable, hash, &signer->secret,
                                              signature));
    der_wrap(&cert, 0x03, &part);
    der_wrap(&whole, 0x30, &cert);
    result.bytes = (unsigned char *)unit_exact(whole.text, whole.len);
    result.len = whole.len;
    free(whole.text);
    return result;
}

static inline void cert_add(unit_text *t, const cert_spec *spec)
{
    cert_bytes cert = cert_make(spec);
    unit_add(t, (const char *)cert.bytes, cert.len);
    free(cert.bytes);
}

/* "sha256/BASE64" of the key with this number. */
static inline void cert_pin(unsigned number, char pin[52])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    cert_spec spec;
    unit_text spki = {0};
    unsigned char hash[33];
    br_sha256_context sha;
    size_t i;
    memset(&spec, 0, sizeof spec);
    spec.key = number;
    cert_spki(&spki, &spec);
    br_sha256_init(&sha);
    br_sha256_update(&sha, spki.text, spki.len);
    br_sha256_out(&sha, hash);
    hash[32] = 0;
    free(spki.text);
    memcpy(pin, "sha256/", 7);
    for (i = 0; i < 11; i++) {
        unsigned bits = (unsigned)hash[3 * i] << 16 | (unsigned)hash[3 * i + 1] << 8 | hash[(3 * i + 2) % 33];
        pin[7 + 4 * i] = digits[bits >> 18 & 63];
        pin[8 + 4 * i] = digits[bits >> 12 & 63];
        pin[9 + 4 * i] = digits[bits >> 6 & 63];
        pin[10 + 4 * i] = digits[bits & 63];
    }
    pin[50] = '=';
    pin[51] = '\0';
}

/* A certificate's PEM, lines of 64 characters. */
static inline void cert_add_pem(unit_text *t, const char *label, const unsigned char *bytes, size_t len,
                                const char *line_end)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t i;
    unit_add_text(t, "-----BEGIN ");
    unit_add_text(t, label);
    unit_add_text(t, "-----");
    for (i = 0; i < len; i += 3) {
        unsigned bits = (unsigned)bytes[i] << 16 | (i + 1 < len ? (unsigned)bytes[i + 1] << 8 : 0) |
                        (i + 2 < len ? bytes[i + 2] : 0);
        char four[4];
        four[0] = digits[bits >> 18 & 63];
        four[1] = digits[bits >> 12 & 63];
        four[2] = i + 1 < len ? digits[bits >> 6 & 63] : '=';
        four[3] = i + 2 < len ? digits[bits & 63] : '=';
        if (i % 48 == 0) {
            unit_add_text(t, line_end);
        }
        unit_add(t, four, 4);
    }
    unit_add_text(t, line_end);
    unit_add_text(t, "-----END ");
    unit_add_text(t, label);
    unit_add_text(t, "-----");
    unit_add_text(t, line_end);
}

#endif
