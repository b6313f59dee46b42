/* Certificates: names, dates, chains, usages, constraints, keys, pins, hostile encodings, and the bundle of trusted
   ones. The certificates are made here; BearSSL's signing makes them true. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"
#include "x509.h"

#include <time.h>

#define NAMES_BYTES  240 /* of the list of names in an error */
#define HOST         "a.test.example"
#define NOW          1795500000 /* 2026-11-24 */
#define CA_NAMED     "ca! ku!:0204"
#define CA_LAST      "ca!:0 ku!:0204"
#define SERVER_USAGE " eku:server notca"
#define SAN          "san:d=" HOST
#define P384_OID     "06072a8648ce3d020106052b81040022"
#define ED25519      "300506032b6570032100aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* Key 1 is the root's, 2 the server's, 3 and 4 are intermediates', the others strangers'. */
#define ROOT_WITH(extensions_)                                   \
    {                                                            \
        .subject = "Root", .key = 1, .extensions = (extensions_) \
    }
#define LEAF_WITH(extensions_)                                                                  \
    {                                                                                           \
        .subject = "leaf", .issuer = "Root", .key = 2, .signer = 1, .extensions = (extensions_) \
    }
#define LEAF LEAF_WITH(SAN SERVER_USAGE)
#define LEAF_OF_INT                                                                               \
    {                                                                                             \
        .subject = "leaf", .issuer = "Int", .key = 2, .signer = 3, .extensions = SAN SERVER_USAGE \
    }
#define INT_WITH(extensions_)                                                                  \
    {                                                                                          \
        .subject = "Int", .issuer = "Root", .key = 3, .signer = 1, .extensions = (extensions_) \
    }

/* ---- One chain and its verdict. ---- */

typedef struct chain_case {
    const char *label;
    const char *host;        /* NULL: HOST */
    const char *address_hex; /* host is this address */
    cert_spec chain[5];      /* up to one without a subject */
    cert_spec roots[4];      /* none: ROOT_WITH(CA_NAMED) */
    unsigned pins[3];        /* numbers of keys */
    htok_reason reason;
    int code;
    const char *detail; /* somewhere in the detail; NULL: anything */
    int64_t now;        /* 0: NOW */
} chain_case;

typedef struct verdict {
    int code;
    htok_reason reason;
    bool key_given;
    char detail[320];
} verdict;

static htoki_tls tls;
static unsigned char record_in[512 + BR_SSL_BUFSIZE_INPUT - 16384],
    record_out[512 + BR_SSL_BUFSIZE_OUTPUT - 16384];

static void config_begin(htoki_tls_config *config, void *scratch)
{
    static const unsigned char entropy[32] = {1};
    memset(config, 0, sizeof *config);
    config->host = HOST;
    config->time_known = true;
    config->unix_seconds = NOW;
    config->entropy = entropy;
    config->entropy_len = sizeof entropy;
    config->record_in = record_in;
    config->record_in_size = sizeof record_in;
    config->record_out = record_out;
    config->record_out_size = sizeof record_out;
    config->scratch = scratch;
    config->scratch_size = sizeof(htoki_x509);
}

/* Gives the chain to the validation, as BearSSL's engine does, in exact copies of pieces of this size. */
static void feed_chain(htoki_x509 *x, const cert_bytes *chain, size_t count, size_t piece)
{
    size_t i;
    x->vtable->start_chain(&x->vtable, tls.client.eng.server_name);
    for (i = 0; i < count; i++) {
        size_t at = 0;
        x->vtable->start_cert(&x->vtable, (uint32_t)chain[i].len);
        while (at < chain[i].len) {
            size_t n = piece == 0 || piece > chain[i].len - at ? chain[i].len - at : piece;
            char *copy = unit_exact((const char *)chain[i].bytes + at, n);
            x->vtable->append(&x->vtable, (const unsigned char *)copy, n);
            free(copy);
            at += n;
        }
        x->vtable->end_cert(&x->vtable);
    }
}

static verdict judge(const htoki_tls_config *config, const cert_bytes *chain, size_t count, size_t piece)
{
    htoki_x509 *x = (htoki_x509 *)config->scratch;
    htok_error e;
    verdict v;
    htoki_writer w;
    unsigned usages = 0;
    memset(&v, 0, sizeof v);
    unit_error_begin(&e);
    check(htoki_tls_start(&tls, config, &e), "no start: %s", htok_reason_name(e.reason));
    feed_chain(x, chain, count, piece);
    v.code = (int)x->vtable->end_chain(&x->vtable);
    v.reason = x->reason;
    v.key_given = x->vtable->get_pkey(&x->vtable, &usages) != NULL;
    w = htoki_writer_make(v.detail, sizeof v.detail, 0);
    htoki_x509_detail(x, &w);
    (void)htoki_writer_end(&w);
    check(v.key_given == (v.code == 0) && (v.code == 0) == (v.reason == HTOK_REASON_NONE),
          "code %d, reason %s, key %d", v.code, htok_reason_name(v.reason), v.key_given);
    return v;
}

static size_t make_chain(const cert_spec *specs, size_t most, cert_bytes *chain)
{
    size_t count = 0;
    while (count < most && (specs[count].subject || specs[count].name_hex)) {
        chain[count] = cert_make(&specs[count]);
        count++;
    }
    return count;
}

static void free_chain(cert_bytes *chain, size_t count)
{
    while (count != 0) {
        free(chain[--count].bytes);
    }
}

static void make_roots(const chain_case *c, unit_text *roots)
{
    static const cert_spec root = ROOT_WITH(CA_NAMED);
    size_t i;
    if (!c->roots[0].subject) {
        cert_add(roots, &root);
    }
    for (i = 0; i < UNIT_COUNT(c->roots) && c->roots[i].subject; i++) {
        cert_add(roots, &c->roots[i]);
    }
}

static void check_case(const chain_case *c)
{
    static const size_t pieces[] = {0, 1, 7};
    cert_bytes chain[UNIT_COUNT(c->chain)];
    size_t count = make_chain(c->chain, UNIT_COUNT(chain), chain), i, at;
    unit_text roots = {0}, address = {0};
    char pins[UNIT_COUNT(c->pins)][52], *trust;
    const char *pin_list[UNIT_COUNT(c->pins)];
    void *scratch = malloc(sizeof(htoki_x509));
    htoki_tls_config config;
    assert_non_null(scratch);
    config_begin(&config, scratch);
    make_roots(c, &roots);
    trust = unit_exact(roots.text, roots.len);
    config.trust = htoki_view(trust, roots.len);
    for (i = 0; i < UNIT_COUNT(c->pins) && c->pins[i] != 0; i++) {
        cert_pin(c->pins[i], pins[i]);
        pin_list[i] = pins[i];
    }
    config.pins = pin_list;
    config.pin_count = i;
    config.host = c->host ? c->host : HOST;
    config.unix_seconds = c->now ? c->now : NOW;
    if (c->address_hex) {
        unit_add_hex(&address, c->address_hex, strlen(c->address_hex));
        config.address = (const unsigned char *)address.text;
        config.address_len = address.len;
    }
    for (i = 0; i < UNIT_COUNT(pieces); i++) {
        verdict v = judge(&config, chain, count, pieces[i]);
        check(v.reason == c->reason, "%s: %s (%s), not %s: %s", c->label, htok_reason_name(v.reason),
              htok_tls_error_name(v.code), htok_reason_name(c->reason), v.detail);
        check_number(v.code, c->code, c->label);
        for (at = 0; v.detail[at] != '\0'; at++) {
            check(!htoki_is_control(v.detail[at]), "%s: a control in the detail", c->label);
        }
        check(!c->detail || strstr(v.detail, c->detail), "%s: detail: %s", c->label, v.detail);
    }
    free_chain(chain, count);
    free(roots.text);
    free(address.text);
    free(trust);
    free(scratch);
}

static void check_cases(const chain_case *cases, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        check_case(&cases[i]);
    }
}
#define CHECK_CASES(cases) check_cases(cases, UNIT_COUNT(cases))

#define GOOD           .reason = HTOK_REASON_NONE, .code = 0
#define BAD_NAME       .reason = HTOK_REASON_CERTIFICATE_NAME, .code = BR_ERR_X509_BAD_SERVER_NAME
#define BAD_TIME       .reason = HTOK_REASON_CERTIFICATE_TIME, .code = BR_ERR_X509_EXPIRED
#define NO_TRUST       .reason = HTOK_REASON_CERTIFICATE_UNTRUSTED, .code = BR_ERR_X509_NOT_TRUSTED
#define BAD_USAGE      .reason = HTOK_REASON_CERTIFICATE_USAGE, .code = BR_ERR_X509_FORBIDDEN_KEY_USAGE
#define BAD_PIN        .reason = HTOK_REASON_CERTIFICATE_PIN, .code = BR_ERR_X509_NOT_TRUSTED
#define BAD_TREE       .reason = HTOK_REASON_CERTIFICATE_INVALID, .code = BR_ERR_X509_BAD_SERVER_NAME
#define INVALID(code_) .reason = HTOK_REASON_CERTIFICATE_INVALID, .code = (code_)
#define MALFORMED      INVALID(BR_ERR_X509_UNEXPECTED)

/* ---- Names. ---- */

static void dns_names_must_be_equal_but_for_case_and_a_last_dot(void **state)
{
    static const chain_case cases[] = {
        {.label = "exact", .chain = {LEAF}, GOOD},
        {.label = "upper case and a last dot", .host = "A.Test.EXAMPLE.", .chain = {LEAF}, GOOD},
        {.label = "upper case in the certificate", .chain = {LEAF_WITH("san:d=A.TEST.Example")}, GOOD},
        {.label = "the second name", .chain = {LEAF_WITH("san:d=b.example,d=" HOST ",d=c.example")}, GOOD},
        {.label = "one label", .host = "localhost", .chain = {LEAF_WITH("san:d=localhost")}, GOOD},
        {.label = "critical", .chain = {LEAF_WITH("san!:d=" HOST)}, GOOD},
        {.label = "another",
         .host = "b.test.example",
         .chain = {LEAF},
         BAD_NAME,
         .detail = "certificate is for " HOST},
        {.label = "longer", .host = "aa.test.example", .chain = {LEAF}, BAD_NAME},
        {.label = "shorter", .host = ".test.example", .chain = {LEAF}, BAD_NAME},
        {.label = "a beginning", .host = "a.test.example.com", .chain = {LEAF}, BAD_NAME},
        {.label = "a last dot in the certificate", .chain = {LEAF_WITH("san:d=" HOST ".")}, BAD_NAME},
        {.label = "a space", .chain = {LEAF_WITH("san:dh=20612e746573742e6578616d706c65")}, BAD_NAME},
        {.label = "a NUL behind it",
         .chain = {LEAF_WITH("san:dh=612e746573742e6578616d706c65002e6576696c2e6578616d706c65")},
         BAD_NAME,
         .detail = HOST "?.evil.example"},
        {.label = "a NUL at its end",
         .chain = {LEAF_WITH("san:dh=612e746573742e6578616d706c6500")},
         BAD_NAME},
        {.label = "a NUL within", .chain = {LEAF_WITH("san:dh=6100746573742e6578616d706c65")}, BAD_NAME},
        {.label = "an empty one", .chain = {LEAF_WITH("san:d=")}, BAD_NAME},
        {.label = "no names in the extension",
         .chain = {LEAF_WITH("san:")},
         BAD_NAME,
         .detail = "holds no subjectAltName"},
        {.label = "names the controls",
         .chain = {LEAF_WITH("san:dh=1b5b324a0a")},
         BAD_NAME,
         .detail = "certificate is for ?[2J?"},
        {.label = "an alabel",
         .host = "xn--bcher-kva.example",
         .chain = {LEAF_WITH("san:d=xn--bcher-kva.example")},
         GOOD},
        {.label = "a name in UTF-8",
         .host = "xn--bcher-kva.example",
         .chain = {LEAF_WITH("san:dh=62c3bc636865722e6578616d706c65")},
         BAD_NAME},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void a_wildcard_stands_for_one_whole_label(void **state)
{
    static const chain_case cases[] = {
        {.label = "one label", .chain = {LEAF_WITH("san:d=*.test.example")}, GOOD},
        {.label = "case", .chain = {LEAF_WITH("san:d=*.TEST.example")}, GOOD},
        {.label = "an alabel",
         .host = "xn--bcher-kva.w.example",
         .chain = {LEAF_WITH("san:d=*.w.example")},
         GOOD},
        {.label = "two labels",
         .host = "b.a.test.example",
         .chain = {LEAF_WITH("san:d=*.test.example")},
         BAD_NAME},
        {.label = "no label", .host = "test.example", .chain = {LEAF_WITH("san:d=*.test.example")}, BAD_NAME},
        {.label = "a NUL behind it",
         .chain = {LEAF_WITH("san:dh=2a2e746573742e6578616d706c6500")},
         BAD_NAME,
         .detail = "*.test.example?"},
        {.label = "above all", .host = "a.example", .chain = {LEAF_WITH("san:d=*.example")}, BAD_NAME},
        {.label = "alone", .host = "example", .chain = {LEAF_WITH("san:d=*")}, BAD_NAME},
        {.label = "alone, more labels", .chain = {LEAF_WITH("san:d=*")}, BAD_NAME},
        {.label = "with a dot alone", .chain = {LEAF_WITH("san:d=*.")}, BAD_NAME},
        {.label = "beginning of a label", .chain = {LEAF_WITH("san:d=a*.test.example")}, BAD_NAME},
        {.label = "end of a label", .chain = {LEAF_WITH("san:d=*a.test.example")}, BAD_NAME},
        {.label = "within a label",
         .host = "abc.test.example",
         .chain = {LEAF_WITH("san:d=a*c.test.example")},
         BAD_NAME},
        {.label = "the middle label", .chain = {LEAF_WITH("san:d=a.*.example")}, BAD_NAME},
        {.label = "the last label", .chain = {LEAF_WITH("san:d=a.test.*")}, BAD_NAME},
        {.label = "twice", .chain = {LEAF_WITH("san:d=*.*.example")}, BAD_NAME},
        {.label = "an alabel's beginning",
         .host = "xn--bcher-kva.w.example",
         .chain = {LEAF_WITH("san:d=xn--*.w.example")},
         BAD_NAME},
        {.label = "an address",
         .host = "127.0.0.1",
         .address_hex = "7f000001",
         .chain = {LEAF_WITH("san:d=*.0.0.1")},
         BAD_NAME},
        {.label = "a NUL as the star's label",
         .chain = {LEAF_WITH("san:dh=002e746573742e6578616d706c65")},
         BAD_NAME},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void addresses_must_stand_as_addresses(void **state)
{
#define ONE .host = "127.0.0.1", .address_hex = "7f000001"
#define SIX .host = "::1", .address_hex = "00000000000000000000000000000001"
    static const chain_case cases[] = {
        {.label = "v4", ONE, .chain = {LEAF_WITH("san:i=7f000001")}, GOOD},
        {.label = "v6", SIX, .chain = {LEAF_WITH("san:d=x,i=00000000000000000000000000000001")}, GOOD},
        {.label = "another v4",
         ONE,
         .chain = {LEAF_WITH("san:i=7f000002")},
         BAD_NAME,
         .detail = "certificate is for 127.0.0.2"},
        {.label = "another v6",
         SIX,
         .chain = {LEAF_WITH("san:i=20010db8000000000000000000000002")},
         BAD_NAME,
         .detail = "2001:0db8:0000:0000:0000:0000:0000:0002"},
        {.label = "as a DNS name",
         ONE,
         .chain = {LEAF_WITH("san:d=127.0.0.1")},
         BAD_NAME,
         .detail = "certificate is for 127.0.0.1"},
        {.label = "another v4, of a chain of two",
         ONE,
         .chain =
             {{.subject = "leaf", .issuer = "Int", .key = 2, .signer = 3, .extensions = "san:i=7f000002"},
              INT_WITH(CA_NAMED)},
         BAD_NAME,
         .detail = "certificate is for 127.0.0.2"},
        {.label = "as a common name",
         ONE,
         .chain = {{.subject = "127.0.0.1",
                    .issuer = "Root",
                    .key = 2,
                    .signer = 1,
                    .extensions = "eku:server notca"}},
         BAD_NAME,
         .detail = "no subjectAltName"},
        {.label = "v4 for a name", .chain = {LEAF_WITH("san:i=7f000001")}, BAD_NAME},
        {.label = "five bytes", ONE, .chain = {LEAF_WITH("san:i=7f00000100")}, BAD_NAME},
        {.label = "no bytes", ONE, .chain = {LEAF_WITH("san:i=")}, BAD_NAME},
        {.label = "v4 with a mask", ONE, .chain = {LEAF_WITH("san:i=7f000001ffffffff")}, BAD_NAME},
        {.label = "v4 in v6 form",
         ONE,
         .chain = {LEAF_WITH("san:i=00000000000000000000ffff7f000001")},
         BAD_NAME},
        {.label = "v6's beginning", SIX, .chain = {LEAF_WITH("san:i=00000000")}, BAD_NAME},
        {.label = "the ASCII bytes", .host = "1234", .chain = {LEAF_WITH("san:i=31323334")}, BAD_NAME},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void no_other_field_names_the_server(void **state)
{
    static const chain_case cases[] = {
        {.label = "common name alone",
         .chain =
             {{.subject = HOST, .issuer = "Root", .key = 2, .signer = 1, .extensions = "eku:server notca"}},
         BAD_NAME,
         .detail = "certificate holds no subjectAltName"},
        {.label = "common name of version 1",
         .chain = {{.subject = HOST, .issuer = "Root", .key = 2, .signer = 1}},
         BAD_NAME,
         .detail = "holds no subjectAltName"},
        {.label = "common name beside another",
         .chain =
             {{.subject = HOST, .issuer = "Root", .key = 2, .signer = 1, .extensions = "san:d=b.example"}},
         BAD_NAME,
         .detail = "certificate is for b.example"},
        {.label = "mail address", .chain = {LEAF_WITH("san:e=" HOST)}, BAD_NAME},
        {.label = "URI", .chain = {LEAF_WITH("san:x=860e612e746573742e6578616d706c65")}, BAD_NAME},
        {.label = "other name",
         .chain = {LEAF_WITH("san:x=a01806052a03040506a00f0c0d612e746573742e6578616d706c")},
         BAD_NAME},
        {.label = "constructed DNS name",
         .chain = {LEAF_WITH("san:x=a2100c0e612e746573742e6578616d706c65")},
         INVALID(BR_ERR_X509_NOT_PRIMITIVE)},
        {.label = "application tag",
         .chain = {LEAF_WITH("san:x=420e612e746573742e6578616d706c65")},
         INVALID(BR_ERR_X509_BAD_TAG_CLASS)},
        {.label = "universal tag", .chain = {LEAF_WITH("san:x=160e612e746573742e6578616d706c65")}, BAD_NAME},
        {.label = "an unknown tag first", .chain = {LEAF_WITH("san:x=890101,d=" HOST)}, GOOD},
        {.label = "no subject",
         .chain =
             {{.issuer = "Root", .key = 2, .signer = 1, .extensions = "san!:d=" HOST, .name_hex = "3000"}},
         GOOD},
        {.label = "issuerAltName",
         .chain = {LEAF_WITH("raw:551d12=3010820e612e746573742e6578616d706c65")},
         BAD_NAME},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void names_come_before_trust_and_long_lists_are_cut(void **state)
{
#define ELEVEN_NAMES                                                                     \
    "san:d=host1.elsewhere.example,d=host2.elsewhere.example,d=host3.elsewhere.example," \
    "d=host4.elsewhere.example,d=host5.elsewhere.example,d=host6.elsewhere.example,"     \
    "d=host7.elsewhere.example,d=host8.elsewhere.example,d=host9.elsewhere.example,"     \
    "d=hosta.elsewhere.example,d=hostb.elsewhere.example"
    static const chain_case cases[] = {
        {.label = "wrong and untrusted",
         .host = "b.example",
         .chain = {LEAF},
         .roots = {{.subject = "Other", .key = 9, .extensions = CA_NAMED}},
         BAD_NAME},
        {.label = "many",
         .chain = {LEAF_WITH(ELEVEN_NAMES)},
         BAD_NAME,
         .detail = "host9.elsewhere.example, hosta.elsewhere..."},
        {.label = "the last of many",
         .host = "hostb.elsewhere.example",
         .chain = {LEAF_WITH(ELEVEN_NAMES)},
         GOOD},
    };
    (void)state;
    CHECK_CASES(cases);
}

/* ---- Dates. ---- */

static void dates_count_to_the_second(void **state)
{
#define DATED(from, to)                                                                             \
    {                                                                                               \
        .subject = "leaf", .issuer = "Root", .key = 2, .signer = 1, .extensions = SAN SERVER_USAGE, \
        .not_before = (from), .not_after = (to)                                                     \
    }
    static const chain_case cases[] = {
        {.label = "expired",
         .chain = {DATED("200101000000Z", "210101000000Z")},
         BAD_TIME,
         .detail = "valid from 2020-01-01 00:00 to 2021-01-01 00:00, checked at 2026-11-24 06:00 UTC"},
        {.label = "future",
         .chain = {DATED("20400101000000Z", "20600101000000Z")},
         BAD_TIME,
         .detail = "valid from 2040-01-01 00:00 to "},
        {.label = "last second", .chain = {DATED("200101000000Z", "261124060000Z")}, GOOD},
        {.label = "a second late", .chain = {DATED("200101000000Z", "261124055959Z")}, BAD_TIME},
        {.label = "first second", .chain = {DATED("261124060000Z", "391231235959Z")}, GOOD},
        {.label = "a second early", .chain = {DATED("261124060001Z", "391231235959Z")}, BAD_TIME},
        {.label = "for ever", .chain = {DATED("200101000000Z", "99991231235959Z")}, GOOD},
        {.label = "last century", .chain = {DATED("500101000000Z", "491231235959Z")}, GOOD},
        {.label = "no such month",
         .chain = {DATED("201301000000Z", "391231235959Z")},
         INVALID(BR_ERR_X509_BAD_TIME)},
        {.label = "without seconds",
         .chain = {DATED("202601010000Z", "20391231235959Z")},
         .reason = HTOK_REASON_CERTIFICATE_INVALID,
         .code = BR_ERR_X509_BAD_TIME},
        {.label = "with an offset",
         .chain = {DATED("200101000000+0100", "391231235959Z")},
         .reason = HTOK_REASON_CERTIFICATE_INVALID,
         .code = BR_ERR_X509_BAD_TIME},
        {.label = "intermediate expired",
         .chain = {LEAF_OF_INT,
                   {.subject = "Int",
                    .issuer = "Root",
                    .key = 3,
                    .signer = 1,
                    .extensions = CA_NAMED,
                    .not_after = "210101000000Z"}},
         BAD_TIME,
         .detail = "to 2021-01-01"},
        {.label = "root expired",
         .chain = {LEAF},
         .roots = {{.subject = "Root", .key = 1, .extensions = CA_NAMED, .not_after = "210101000000Z"}},
         NO_TRUST,
         .detail = "has expired"},
        {.label = "expired root beside its successor",
         .chain = {LEAF},
         .roots = {{.subject = "Root", .key = 1, .extensions = CA_NAMED, .not_after = "210101000000Z"},
                   ROOT_WITH(CA_NAMED)},
         GOOD},
        {.label = "root's last second",
         .chain = {LEAF},
         .roots = {{.subject = "Root", .key = 1, .extensions = CA_NAMED, .not_after = "261124060000Z"}},
         GOOD},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void a_trusted_certificate_is_not_trusted_before_its_time(void **state)
{
    static const chain_case cases[] = {
        {.label = "future root",
         .chain = {LEAF},
         .roots = {{.subject = "Root", .key = 1, .extensions = CA_NAMED, .not_before = "300101000000Z"}},
         NO_TRUST,
         .detail = "the trusted certificate that may have signed is not valid yet"},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void the_detail_of_a_time_failure_never_holds_an_unread_date(void **state)
{
    static const chain_case cases[] = {
        {.label = "fraction of a second",
         .chain = {DATED("20200101000000.5Z", "210101000000Z")},
         BAD_TIME,
         .detail = "checked at 2026-11-24 06:00 UTC"},
        {.label = "the second date in a later piece",
         .chain = {DATED("20400101000000Z", "20600101000000Z")},
         BAD_TIME,
         .detail = "valid from 2040-01-01 00:00 to 2060-01-01 00:00, checked at"},
#ifndef BR_FEATURE_X509_TIME_CALLBACK /* after 0.6 both dates are read before the first is judged */
        {.label = "controls in the second date",
         .chain = {DATED("20400101000000Z", "20\x1b[2J\r0000000Z")},
         BAD_TIME,
         .detail = "checked at"},
#endif
    };
    (void)state;
    CHECK_CASES(cases);
}

/* After 0.6 its context lost two words and gained two pointers. */
static void the_work_buffer_also_fits_newer_bearssl(void **state)
{
    size_t more = 2 * sizeof(void *) - 2 * sizeof(uint32_t);
    (void)state;
#ifdef BR_FEATURE_X509_TIME_CALLBACK
    more = 0;
#endif
    assert_true(sizeof(htoki_x509) + more <= HTOK_WORK_BYTES);
}

static void the_clock_s_digits_are_those_of_gmtime(void **state)
{
    int64_t seconds;
    char digits[15], wanted[15];
    (void)state;
    digits[14] = '\0';
    for (seconds = 86399; seconds < 253402300800;
         seconds += seconds < 4102444800 ? 86400 * 3 : 86400 * 1009 + 3661) {
        time_t t = (time_t)seconds;
        if (t != seconds || gmtime(&t) == NULL) {
            break; /* 32 bits of it end in 2038, and Windows' calendar in 3000 */
        }
        assert_true(htoki_time_digits(seconds, digits));
        assert_int_equal(strftime(wanted, sizeof wanted, "%Y%m%d%H%M%S", gmtime(&t)), 14);
        check_text(digits, wanted, "digits");
    }
    assert_true(htoki_time_digits(1, digits));
    check_text(digits, "19700101000001", "digits");
    assert_true(htoki_time_digits(951782400, digits));
    check_text(digits, "20000229000000", "leap day of a 400th year");
    assert_true(htoki_time_digits(4107542400, digits));
    check_text(digits, "21000301000000", "no leap day in 2100");
    assert_true(htoki_time_digits(253402300799, digits));
    check_text(digits, "99991231235959", "digits");
    assert_false(htoki_time_digits(253402300800, digits));
    assert_false(htoki_time_digits(INT64_MAX, digits));
    assert_false(htoki_time_digits(0, digits));
    assert_false(htoki_time_digits(-1, digits));
    assert_false(htoki_time_digits(INT64_MIN, digits));
}

/* ---- Chains. ---- */

static void chains_reach_a_trusted_certificate_in_order(void **state)
{
#define INT  INT_WITH(CA_LAST)
#define ROOT ROOT_WITH(CA_NAMED)
#define OTHER_CA                                             \
    {                                                        \
        .subject = "Other", .key = 9, .extensions = CA_NAMED \
    }
#define INT_FALSE                                                                        \
    {                                                                                    \
        .subject = "Int", .issuer = "Root", .key = 3, .signer = 9, .extensions = CA_LAST \
    }
    static const chain_case cases[] = {
        {.label = "nothing", .roots = {ROOT}, INVALID(BR_ERR_X509_EMPTY_CHAIN)},
        {.label = "unknown CA",
         .chain = {LEAF},
         .roots = {OTHER_CA},
         NO_TRUST,
         .detail = "the server sent 1 certificate; its issuer is not among the trusted"},
        {.label = "self-signed",
         .chain = {{.subject = "self", .key = 5, .extensions = SAN}},
         NO_TRUST,
         .detail = "sent 1 certificate"},
        {.label = "missing intermediate", .chain = {LEAF_OF_INT}, NO_TRUST, .detail = "sent 1 certificate"},
        {.label = "intermediate", .chain = {LEAF_OF_INT, INT}, GOOD},
        {.label = "root sent too", .chain = {LEAF_OF_INT, INT, ROOT}, GOOD},
        {.label = "another sent too", .chain = {LEAF_OF_INT, INT, OTHER_CA}, GOOD},
        {.label = "intermediate trusted", .chain = {LEAF_OF_INT}, .roots = {INT}, GOOD},
        {.label = "intermediate sent and trusted", .chain = {LEAF_OF_INT, INT}, .roots = {INT}, GOOD},
        {.label = "wrong order",
         .chain = {LEAF_OF_INT, ROOT, INT},
         .reason = HTOK_REASON_CERTIFICATE_UNTRUSTED,
         .code = BR_ERR_X509_DN_MISMATCH,
         .detail = "is not from the issuer of the one before"},
        {.label = "intermediate first", .chain = {INT, LEAF_OF_INT}, BAD_NAME},
        {.label = "root's signature is another's",
         .chain = {{.subject = "leaf", .issuer = "Root", .key = 2, .signer = 9, .extensions = SAN}},
         NO_TRUST,
         .detail = "has the issuer's name, but did not sign"},
        {.label = "intermediate's signature is another's",
         .chain = {LEAF_OF_INT, INT_FALSE},
         NO_TRUST,
         .detail = "did not sign"},
        {.label = "leaf not signed by the intermediate",
         .chain = {{.subject = "leaf", .issuer = "Int", .key = 2, .signer = 9, .extensions = SAN}, INT},
         INVALID(BR_ERR_X509_BAD_SIGNATURE)},
        {.label = "signature of something else",
         .chain = {{.subject = "leaf",
                    .issuer = "Root",
                    .key = 2,
                    .signer = 1,
                    .extensions = SAN,
                    .unsigned_garbage = true}},
         NO_TRUST},
        {.label = "own root sent",
         .chain = {{.subject = "leaf", .issuer = "Evil", .key = 2, .signer = 9, .extensions = SAN},
                   {.subject = "Evil", .key = 9, .extensions = CA_NAMED}},
         NO_TRUST,
         .detail = "2 certificates; the last one's issuer"},
        {.label = "own root of the same name sent",
         .chain = {{.subject = "leaf", .issuer = "Root", .key = 2, .signer = 9, .extensions = SAN},
                   {.subject = "Root", .key = 9, .extensions = CA_NAMED}},
         NO_TRUST},
        {.label = "own root, then the true one",
         .chain = {{.subject = "leaf", .issuer = "Root", .key = 2, .signer = 9, .extensions = SAN},
                   {.subject = "Root", .key = 9, .extensions = CA_NAMED},
                   ROOT},
         INVALID(BR_ERR_X509_BAD_SIGNATURE)},
        {.label = "name in another case",
         .chain = {{.subject = "leaf", .issuer = "ROOT", .key = 2, .signer = 1, .extensions = SAN}},
         NO_TRUST},
        {.label = "issuer with a NUL more",
         .chain = {LEAF},
         .roots = {{.subject = "Root2", .key = 1, .extensions = CA_NAMED}},
         NO_TRUST},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void only_authorities_sign(void **state)
{
#define SIGNER_WITH(extensions_) .chain = { LEAF_OF_INT, INT_WITH(extensions_) }
    static const chain_case cases[] = {
        {.label = "no basicConstraints", SIGNER_WITH("ku!:0204"), INVALID(BR_ERR_X509_NOT_CA)},
        {.label = "no extensions", SIGNER_WITH(NULL), INVALID(BR_ERR_X509_NOT_CA)},
        {.label = "empty basicConstraints", SIGNER_WITH("notca! ku!:0204"), INVALID(BR_ERR_X509_NOT_CA)},
        {.label = "CA:FALSE in full", SIGNER_WITH("raw!:551d13=3003010100"), INVALID(BR_ERR_X509_NOT_CA)},
        {.label = "CA by an integer", SIGNER_WITH("raw!:551d13=3003020101"), INVALID(BR_ERR_X509_NOT_CA)},
        {.label = "CA not critical", SIGNER_WITH("ca ku:0204"), GOOD},
        {.label = "no keyUsage", SIGNER_WITH("ca!"), GOOD},
        {.label = "keyUsage without keyCertSign", SIGNER_WITH("ca! ku!:0780"), BAD_USAGE},
        {.label = "keyUsage for revocation lists", SIGNER_WITH("ca! ku!:0102"), BAD_USAGE},
        {.label = "keyUsage empty", SIGNER_WITH("ca! ku!:00"), BAD_USAGE},
        {.label = "path length 0 at its end", SIGNER_WITH("ca!:0"), GOOD},
        {.label = "path length 0 and one below",
         .chain = {LEAF_OF_INT,
                   {.subject = "Int", .issuer = "Int2", .key = 3, .signer = 4, .extensions = CA_LAST},
                   {.subject = "Int2", .issuer = "Root", .key = 4, .signer = 1, .extensions = "ca!:0"}},
         INVALID(BR_ERR_X509_NOT_CA)},
        {.label = "path length 1 and one below",
         .chain = {LEAF_OF_INT,
                   {.subject = "Int", .issuer = "Int2", .key = 3, .signer = 4, .extensions = CA_LAST},
                   {.subject = "Int2", .issuer = "Root", .key = 4, .signer = 1, .extensions = "ca!:1"}},
         GOOD},
        {.label = "a server's certificate signs",
         .chain = {LEAF_OF_INT, INT_WITH(SAN SERVER_USAGE)},
         INVALID(BR_ERR_X509_NOT_CA)},
        {.label = "unknown critical extension",
         SIGNER_WITH("ca! raw!:2a0304=0500"),
         INVALID(BR_ERR_X509_CRITICAL_EXTENSION)},
        {.label = "unknown extension", SIGNER_WITH("ca! raw:2a0304=0500"), GOOD},
        {.label = "unknown extension of plain bytes", SIGNER_WITH("ca! raw:2a0304=68656c6c6f"), GOOD},
        {.label = "extension that restricts nothing, of plain bytes",
         SIGNER_WITH("ca! raw:551d1f=68656c6c6f"),
         GOOD},
        {.label = "trusted but no authority",
         .chain = {LEAF_OF_INT},
         .roots = {INT_WITH("notca")},
         NO_TRUST,
         .detail = "the trusted certificate that may have signed is no CA's"},
        {.label = "trusted, version 1, not self-signed",
         .chain = {LEAF_OF_INT},
         .roots = {INT_WITH(NULL)},
         NO_TRUST},
        {.label = "trusted, version 1, self-signed", .chain = {LEAF}, .roots = {ROOT_WITH(NULL)}, GOOD},
        {.label = "trusted, CA:FALSE, self-signed", .chain = {LEAF}, .roots = {ROOT_WITH("notca")}, NO_TRUST},
    };
    (void)state;
    CHECK_CASES(cases);
}

/* Every issuer has key 3, and the last one is the root's. */
static void no_more_than_16_certificates_are_looked_at(void **state)
{
    static const struct {
        size_t count;
        int code;
        const char *detail;
    } rows[] = {{16, 0, ""}, {17, BR_ERR_X509_TRUNCATED, "more than 16 certificates"}};
    static const cert_spec root = ROOT_WITH(CA_NAMED);
    char names[17][8];
    cert_bytes chain[17];
    htoki_tls_config config;
    unit_text roots = {0};
    void *scratch = malloc(sizeof(htoki_x509));
    size_t i, row;
    (void)state;
    assert_non_null(scratch);
    cert_add(&roots, &root);
    config_begin(&config, scratch);
    config.trust = htoki_view(roots.text, roots.len);
    for (i = 0; i < UNIT_COUNT(names); i++) {
        snprintf(names[i], sizeof names[i], "%u", (unsigned)i);
    }
    for (row = 0; row < UNIT_COUNT(rows); row++) {
        verdict v;
        for (i = 0; i < rows[row].count; i++) {
            cert_spec spec = {.extensions = i == 0 ? SAN : "ca!"};
            bool last = i + 1 == rows[row].count;
            spec.subject = names[i];
            spec.issuer = last ? "Root" : names[i + 1];
            spec.key = i == 0 ? 2 : 3;
            spec.signer = last ? 1 : 3;
            chain[i] = cert_make(&spec);
        }
        v = judge(&config, chain, rows[row].count, 0);
        check_number(v.code, rows[row].code, "code");
        check(strstr(v.detail, rows[row].detail) != NULL, "detail: %s", v.detail);
        free_chain(chain, rows[row].count);
    }
    free(roots.text);
    free(scratch);
}

static void a_trusted_authority_s_own_limits_hold(void **state)
{
    static const chain_case cases[] = {
        {.label = "path length 0, server below", .chain = {LEAF}, .roots = {ROOT_WITH("ca!:0")}, GOOD},
        {.label = "path length 0, intermediate below",
         .chain = {LEAF_OF_INT, INT},
         .roots = {ROOT_WITH("ca!:0")},
         NO_TRUST,
         .detail = "may not, by its keyUsage or path length"},
        {.label = "keyUsage without keyCertSign",
         .chain = {LEAF},
         .roots = {ROOT_WITH("ca! ku!:0780")},
         NO_TRUST,
         .detail = "may not, by its keyUsage or path length"},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void several_trusted_certificates_may_share_a_name(void **state)
{
#define TWIN(key_, id)                                                      \
    {                                                                       \
        .subject = "Root", .key = (key_), .extensions = CA_NAMED " ski:" id \
    }
#define WITH_ID(id) LEAF_WITH(SAN SERVER_USAGE " aki:" id)
    static const chain_case cases[] = {
        {.label = "right one second", .chain = {LEAF}, .roots = {TWIN(9, "09"), TWIN(1, "01")}, GOOD},
        {.label = "right one first", .chain = {LEAF}, .roots = {TWIN(1, "01"), TWIN(9, "09")}, GOOD},
        {.label = "names in a trusted certificate",
         .chain = {LEAF},
         .roots = {ROOT,
                   {.subject = "Root",
                    .key = 9,
                    .extensions = CA_NAMED " san:d=zzzzzzzzzzzzzzzzzzzz.example"}},
         GOOD},
        {.label = "right one by its id",
         .chain = {WITH_ID("01")},
         .roots = {TWIN(9, "09"), TWIN(8, "08"), TWIN(7, "07"), TWIN(1, "01")},
         GOOD},
        {.label = "right one has another id", .chain = {WITH_ID("05")}, .roots = {TWIN(1, "01")}, GOOD},
        {.label = "right one has no id", .chain = {WITH_ID("05")}, .roots = {ROOT_WITH(CA_NAMED)}, GOOD},
        {.label = "none",
         .chain = {LEAF},
         .roots = {TWIN(8, "08"), TWIN(9, "09")},
         NO_TRUST,
         .detail = "did not sign"},
        {.label = "the same twice, then the right one",
         .chain = {LEAF},
         .roots = {TWIN(9, "09"), TWIN(9, "09"), TWIN(1, "01")},
         GOOD},
        {.label = "right one has a longer id", .chain = {WITH_ID("05")}, .roots = {TWIN(1, "0506")}, GOOD},
        {.label = "right one has a shorter id", .chain = {WITH_ID("0506")}, .roots = {TWIN(1, "05")}, GOOD},
        {.label = "right one has an id of 26 bytes",
         .chain = {WITH_ID("0102030405060708090a0b0c0d0e0f101112131415161718191a")},
         .roots = {TWIN(9, "09"), TWIN(8, "08"),
                   TWIN(1, "0102030405060708090a0b0c0d0e0f101112131415161718191a")},
         GOOD},
        {.label = "right one has an id of 40 bytes",
         .chain = {WITH_ID(
             "0102030405060708090a0b0c0d0e0f10111213140102030405060708090a0b0c0d0e0f1011121314")},
         .roots = {TWIN(9, "09"), TWIN(8, "08"),
                   TWIN(1,
                        "0102030405060708090a0b0c0d0e0f10111213140102030405060708090a0b0c0d0e0f1011121314")},
         GOOD},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void rsa_spki(unsigned bits, unit_text *hex);

/* There is room for two trusted keys, if they are not of the largest kind. */
static void a_trusted_key_that_does_not_fit_is_passed_over(void **state)
{
    chain_case c = {.label = "two large keys of the name, then the right one",
                    .chain = {LEAF},
                    .roots = {TWIN(9, "09"), TWIN(8, "08"), TWIN(1, "01")},
                    GOOD};
    unit_text large = {0}, other = {0};
    (void)state;
    rsa_spki(4096, &large);
    rsa_spki(4095, &other);
    c.roots[0].spki_hex = large.text;
    c.roots[1].spki_hex = other.text;
    check_case(&c);
    c.label = "a large key of the name alone";
    memset(&c.roots[1], 0, sizeof c.roots[1]);
    c.reason = HTOK_REASON_CERTIFICATE_UNTRUSTED;
    c.code = BR_ERR_X509_NOT_TRUSTED;
    c.detail = "did not sign";
    check_case(&c);
    free(large.text);
    free(other.text);
}

/* ---- The server's own certificate among the trusted. ---- */

static void the_server_s_certificate_itself_may_be_trusted(void **state)
{
#define SELF_WITH(extensions_)                                   \
    {                                                            \
        .subject = "self", .key = 5, .extensions = (extensions_) \
    }
    static const chain_case cases[] = {
        {.label = "self-signed", .chain = {SELF_WITH(SAN)}, .roots = {SELF_WITH(SAN)}, GOOD},
        {.label = "self-signed authority",
         .chain = {SELF_WITH(SAN " ca")},
         .roots = {SELF_WITH(SAN " ca")},
         GOOD},
        {.label = "signed by a stranger", .chain = {LEAF}, .roots = {LEAF}, GOOD},
        {.label = "beside others", .chain = {LEAF}, .roots = {OTHER_CA, SELF_WITH(SAN), LEAF}, GOOD},
        {.label = "another key",
         .chain = {SELF_WITH(SAN)},
         .roots = {{.subject = "self", .key = 6, .extensions = SAN}},
         NO_TRUST},
        {.label = "another name of its holder",
         .chain = {SELF_WITH(SAN)},
         .roots = {{.subject = "other", .key = 5, .extensions = SAN}},
         NO_TRUST},
        {.label = "another key beside the issuer",
         .chain = {LEAF},
         .roots = {{.subject = "leaf", .issuer = "x", .key = 6, .signer = 9, .extensions = SAN}, ROOT},
         GOOD},
        {.label = "another host",
         .host = "b.example",
         .chain = {SELF_WITH(SAN)},
         .roots = {SELF_WITH(SAN)},
         BAD_NAME},
        {.label = "no usage for servers",
         .chain = {SELF_WITH(SAN " eku:client")},
         .roots = {SELF_WITH(SAN " eku:client")},
         NO_TRUST},
        {.label = "expired",
         .chain = {{.subject = "self", .key = 5, .extensions = SAN, .not_after = "210101000000Z"}},
         .roots = {{.subject = "self", .key = 5, .extensions = SAN, .not_after = "210101000000Z"}},
         BAD_TIME},
        {.label = "an authority's for a server",
         .chain = {LEAF_WITH(SAN " ca")},
         BAD_USAGE,
         .detail = "it is a CA's certificate"},
        {.label = "common name alone",
         .chain = {{.subject = HOST, .key = 5}},
         .roots = {{.subject = HOST, .key = 5}},
         BAD_NAME},
    };
    (void)state;
    CHECK_CASES(cases);
}

/* Whoever holds the key of one trusted server must not become any other. */
static void a_trusted_server_vouches_for_its_own_names_alone(void **state)
{
#define INTRANET(extensions_)                                        \
    {                                                                \
        .subject = "intranet", .key = 5, .extensions = (extensions_) \
    }
    static const chain_case cases[] = {
        {.label = "its own",
         .host = "intranet.example",
         .chain = {INTRANET("san:d=intranet.example")},
         .roots = {INTRANET("san:d=intranet.example notca")},
         GOOD},
        {.label = "a new name",
         .chain = {INTRANET(SAN)},
         .roots = {INTRANET("san:d=intranet.example notca")},
         NO_TRUST},
        {.label = "a new address",
         .host = "127.0.0.1",
         .address_hex = "7f000001",
         .chain = {INTRANET("san:i=7f000001")},
         .roots = {INTRANET("san:d=intranet.example notca")},
         NO_TRUST},
        {.label = "a new name, another issuer",
         .chain = {{.subject = "intranet", .issuer = "x", .key = 5, .signer = 6, .extensions = SAN}},
         .roots = {INTRANET("san:d=intranet.example")},
         NO_TRUST},
        {.label = "trusted without names",
         .chain = {INTRANET(SAN)},
         .roots = {{.subject = "intranet", .issuer = "y", .key = 5, .signer = 6, .extensions = "notca"}},
         NO_TRUST},
    };
    (void)state;
    CHECK_CASES(cases);
}

/* ---- Usages. ---- */

static void extended_key_usage_must_allow_a_server(void **state)
{
    static const chain_case cases[] = {
        {.label = "none", .chain = {LEAF_WITH(SAN)}, GOOD},
        {.label = "server", .chain = {LEAF_WITH(SAN " eku:server")}, GOOD},
        {.label = "any", .chain = {LEAF_WITH(SAN " eku:any")}, GOOD},
        {.label = "client and server", .chain = {LEAF_WITH(SAN " eku:client,server")}, GOOD},
        {.label = "critical", .chain = {LEAF_WITH(SAN " eku!:server,client")}, GOOD},
        {.label = "critical, written 01",
         .chain = {LEAF_WITH(SAN " raw!:551d25=300a06082b06010505070301")},
         GOOD},
        {.label = "client",
         .chain = {LEAF_WITH(SAN " eku:client")},
         BAD_USAGE,
         .detail = "its extendedKeyUsage lacks serverAuth"},
        {.label = "client, and a CA",
         .chain = {LEAF_WITH(SAN " eku:client ca!")},
         BAD_USAGE,
         .detail = "its extendedKeyUsage lacks serverAuth"},
        {.label = "critical client",
         .chain = {LEAF_WITH(SAN " eku!:client")},
         BAD_USAGE,
         .detail = "lacks serverAuth"},
        {.label = "empty", .chain = {LEAF_WITH(SAN " eku:")}, BAD_USAGE},
        {.label = "no value", .chain = {LEAF_WITH(SAN " raw:551d25=")}, BAD_USAGE},
        {.label = "a longer number",
         .chain = {LEAF_WITH(SAN " raw:551d25=300b06092b0601050507030101")},
         BAD_USAGE},
        {.label = "before the names", .chain = {LEAF_WITH("eku!:client " SAN)}, BAD_USAGE},
        {.label = "intermediate: server", SIGNER_WITH(CA_NAMED " eku:server"), GOOD},
        {.label = "intermediate: critical server", SIGNER_WITH("eku!:server " CA_NAMED), GOOD},
        {.label = "intermediate: any", SIGNER_WITH(CA_NAMED " eku:any"), GOOD},
        {.label = "intermediate: client",
         SIGNER_WITH(CA_NAMED " eku:client"),
         BAD_USAGE,
         .detail = "the extendedKeyUsage of a CA in the chain lacks serverAuth"},
        {.label = "intermediate: critical client", SIGNER_WITH(CA_NAMED " eku!:client"), BAD_USAGE},
        {.label = "root: server", .chain = {LEAF}, .roots = {ROOT_WITH(CA_NAMED " eku:server")}, GOOD},
        {.label = "root: client", .chain = {LEAF}, .roots = {ROOT_WITH(CA_NAMED " eku:client")}, NO_TRUST},
        {.label = "keyUsage of a server", .chain = {LEAF_WITH(SAN " ku!:0780")}, GOOD},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void a_root_with_a_critical_extension_of_unknown_meaning_signs_nothing(void **state)
{
    static const chain_case cases[] = {
        {.label = "unknown",
         .chain = {LEAF},
         .roots = {ROOT_WITH("ca! raw!:2a0304=0500")},
         NO_TRUST,
         .detail = "is of no use: its key, its extendedKeyUsage or a critical extension"},
        {.label = "unknown, not critical",
         .chain = {LEAF},
         .roots = {ROOT_WITH("ca! raw:2a0304=0500")},
         GOOD},
        {.label = "policyConstraints",
         .chain = {LEAF},
         .roots = {ROOT_WITH("ca! raw!:551d24=3003800100")},
         NO_TRUST},
        {.label = "certificatePolicies",
         .chain = {LEAF},
         .roots = {ROOT_WITH("ca! raw!:551d20=300830060604551d2000")},
         GOOD},
        {.label = "cRLDistributionPoints",
         .chain = {LEAF},
         .roots = {ROOT_WITH("ca! raw!:551d1f=3000")},
         GOOD},
        {.label = "key identifiers", .chain = {LEAF}, .roots = {ROOT_WITH("ca! ski!:01 aki!:01")}, GOOD},
        {.label = "alternative names",
         .chain = {LEAF},
         .roots = {ROOT_WITH("ca! san!:d=x.example raw!:551d12=3000")},
         GOOD},
        {.label = "directory attributes and fresh lists",
         .chain = {LEAF},
         .roots = {ROOT_WITH("ca! raw!:551d09=3000 raw!:551d2e=3000")},
         GOOD},
    };
    (void)state;
    CHECK_CASES(cases);
}

/* ---- Name constraints. ---- */

static void name_constraints_hold_for_the_host(void **state)
{
    static const chain_case cases[] = {
        {.label = "permitted", SIGNER_WITH("ca! nc!:d=test.example"), GOOD},
        {.label = "permitted, whole name", SIGNER_WITH("ca! nc!:d=" HOST), GOOD},
        {.label = "permitted, a dot first", SIGNER_WITH("ca! nc!:d=.test.example"), GOOD},
        {.label = "permitted, a dot first, the name itself", SIGNER_WITH("ca! nc!:d=." HOST), BAD_TREE},
        {.label = "permitted, any", SIGNER_WITH("ca! nc!:d="), GOOD},
        {.label = "permitted, in another case", SIGNER_WITH("ca! nc!:d=TEST.Example"), GOOD},
        {.label = "permitted, part of a label", SIGNER_WITH("ca! nc!:d=st.example"), BAD_TREE},
        {.label = "permitted, longer", SIGNER_WITH("ca! nc!:d=b." HOST), BAD_TREE},
        {.label = "permitted, second", SIGNER_WITH("ca! nc!:d=b.example,d=test.example"), GOOD},
        {.label = "permitted, first", SIGNER_WITH("ca! nc!:d=test.example,d=b.example"), GOOD},
        {.label = "permitted, another",
         SIGNER_WITH("ca! nc!:d=other.example"),
         BAD_TREE,
         .detail = "name constraints of a CA in the chain exclude the host"},
        {.label = "not critical, another", SIGNER_WITH("ca! nc:d=other.example"), BAD_TREE},
        {.label = "excluded", SIGNER_WITH("ca! nc!:/d=test.example"), BAD_TREE},
        {.label = "excluded, whole name", SIGNER_WITH("ca! nc!:/d=" HOST), BAD_TREE},
        {.label = "excluded, first", SIGNER_WITH("ca! nc!:/d=test.example,d=b.example"), BAD_TREE},
        {.label = "excluded, in another case", SIGNER_WITH("ca! nc!:/d=TEST.EXAMPLE"), BAD_TREE},
        {.label = "excluded, all", SIGNER_WITH("ca! nc!:/d="), BAD_TREE},
        {.label = "excluded, another", SIGNER_WITH("ca! nc!:/d=b.test.example"), GOOD},
        {.label = "excluded, part of a label", SIGNER_WITH("ca! nc!:/d=st.example"), GOOD},
        {.label = "permitted and excluded", SIGNER_WITH("ca! nc!:d=example/d=test.example"), BAD_TREE},
        {.label = "permitted and another excluded", SIGNER_WITH("ca! nc!:d=example/d=b.example"), GOOD},
        {.label = "addresses alone", SIGNER_WITH("ca! nc!:i=0a000000ff000000"), GOOD},
        {.label = "mail, critical",
         SIGNER_WITH("ca! nc!:e=x.example"),
         BAD_TREE,
         .detail = "or are of an unknown kind"},
        {.label = "mail", SIGNER_WITH("ca! nc:e=x.example"), GOOD},
        {.label = "a minimum, critical",
         SIGNER_WITH("ca! raw!:551d1e=3017a015301382"
                     "0c746573742e6578616d706c65800101"),
         MALFORMED},
        {.label = "a minimum",
         SIGNER_WITH("ca! raw!:551d1e=3015a013301182"
                     "0c746573742e6578616d706c65800101"),
         BAD_TREE},
        {.label = "empty", SIGNER_WITH("ca! nc!:"), MALFORMED},
        {.label = "empty, not critical", SIGNER_WITH("ca! nc:"), MALFORMED},
        {.label = "nothing permitted", SIGNER_WITH("ca! raw!:551d1e=3002a000"), MALFORMED},
        {.label = "nothing excluded", SIGNER_WITH("ca! raw!:551d1e=3002a100"), MALFORMED},
        {.label = "address of an odd length", SIGNER_WITH("ca! nc!:i=0a000000ff0000"), MALFORMED},
        {.label = "an address instead of a tree", SIGNER_WITH("ca! nc!:i=0a000000"), MALFORMED},
        {.label = "in the server's own, critical",
         .chain = {LEAF_WITH(SAN " nc!:d=test.example")},
         INVALID(BR_ERR_X509_CRITICAL_EXTENSION)},
        {.label = "root permits another",
         .chain = {LEAF},
         .roots = {ROOT_WITH("ca! nc!:d=other.example")},
         NO_TRUST,
         .detail = "does not allow the host, by its name constraints"},
        {.label = "root permits", .chain = {LEAF}, .roots = {ROOT_WITH("ca! nc!:d=test.example")}, GOOD},
        {.label = "root excludes", .chain = {LEAF}, .roots = {ROOT_WITH("ca! nc:/d=test.example")}, NO_TRUST},
        {.label = "upper intermediate excludes",
         .chain = {LEAF_OF_INT,
                   {.subject = "Int", .issuer = "Int2", .key = 3, .signer = 4, .extensions = CA_LAST},
                   {.subject = "Int2",
                    .issuer = "Root",
                    .key = 4,
                    .signer = 1,
                    .extensions = "ca! nc!:/d=test.example"}},
         BAD_TREE},
    };
    (void)state;
    CHECK_CASES(cases);
}

/* All permitted and excluded trees that hold the host, another or none, for names and for addresses at once: what
   applies to the kind of the host decides, and nothing else. */
static void name_constraints_of_one_kind_say_nothing_of_another(void **state)
{
    static const char *const trees[2][3] = {{"", "d=test.example", "d=other.example"},
                                            {"", "i=0a000000ff000000", "i=0b000000ff000000"}};
    static const cert_spec leaf = {
        .subject = "leaf", .issuer = "Int", .key = 2, .signer = 3, .extensions = SAN ",i=0a010203"};
    static const unsigned char address[4] = {10, 1, 2, 3};
    static const cert_spec root = ROOT_WITH(CA_NAMED);
    cert_bytes chain[2];
    htoki_tls_config config;
    unit_text roots = {0};
    void *scratch = malloc(sizeof(htoki_x509));
    unsigned combination;
    (void)state;
    assert_non_null(scratch);
    cert_add(&roots, &root);
    chain[0] = cert_make(&leaf);
    config_begin(&config, scratch);
    config.trust = htoki_view(roots.text, roots.len);
    for (combination = 1; combination < 81; combination++) {
        unsigned permitted[2], excluded[2], kind;
        char extensions[160];
        cert_spec issuer = INT_WITH(extensions);
        permitted[0] = combination % 3;
        permitted[1] = combination / 3 % 3;
        excluded[0] = combination / 9 % 3;
        excluded[1] = combination / 27;
        snprintf(extensions, sizeof extensions, "ca! nc!:%s%s%s%s%s%s%s", trees[0][permitted[0]],
                 permitted[0] && permitted[1] ? "," : "", trees[1][permitted[1]],
                 excluded[0] || excluded[1] ? "/" : "", trees[0][excluded[0]],
                 excluded[0] && excluded[1] ? "," : "", trees[1][excluded[1]]);
        chain[1] = cert_make(&issuer);
        for (kind = 0; kind < 2; kind++) {
            bool good = permitted[kind] != 2 && excluded[kind] != 1;
            config.host = kind == 0 ? HOST : "10.1.2.3";
            config.address = kind == 0 ? NULL : address;
            config.address_len = kind == 0 ? 0 : sizeof address;
            check((judge(&config, chain, 2, 0).code == 0) == good, "%s for %s", extensions, config.host);
        }
        free(chain[1].bytes);
    }
    free(chain[0].bytes);
    free(roots.text);
    free(scratch);
}

/* What was found on the way is no detail of a failure that came later. */
static void a_refusal_is_told_only_where_it_decides(void **state)
{
    static const struct {
        const char *label, *extensions;
        cert_spec last;
        htok_reason reason;
        int code;
    } rows[] = {
        {"constraints, then a date that is none",
         "ca! nc!:/d=test.example",
         {.subject = "Root",
          .issuer = "Root",
          .key = 1,
          .extensions = CA_NAMED,
          .not_before = "209913010000Z"},
         HTOK_REASON_CERTIFICATE_INVALID,
         BR_ERR_X509_BAD_TIME},
        {"usages, then one that must not sign",
         "ca! eku:client",
         {.subject = "Root", .issuer = "Root", .key = 1, .extensions = "ca! ku!:0780"},
         HTOK_REASON_CERTIFICATE_USAGE,
         BR_ERR_X509_FORBIDDEN_KEY_USAGE},
    };
    size_t i, piece;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        cert_spec specs[3] = {LEAF_OF_INT, {.subject = "Int", .issuer = "Root", .key = 3, .signer = 1}};
        cert_bytes chain[3];
        htoki_tls_config config;
        void *scratch = malloc(sizeof(htoki_x509));
        assert_non_null(scratch);
        specs[1].extensions = rows[i].extensions;
        specs[2] = rows[i].last;
        check_number(make_chain(specs, 3, chain), 3, rows[i].label);
        config_begin(&config, scratch);
        for (piece = 0; piece < 3; piece++) {
            verdict v = judge(&config, chain, 3, piece);
            check_text(htok_reason_name(v.reason), htok_reason_name(rows[i].reason), rows[i].label);
            check_number(v.code, rows[i].code, rows[i].label);
            check(!strstr(v.detail, "of a CA in the chain"), "%s: %s", rows[i].label, v.detail);
        }
        free_chain(chain, 3);
        free(scratch);
    }
}

static void name_constraints_hold_for_the_address(void **state){
#define AT_ONE                                     \
    .host = "10.1.2.3", .address_hex = "0a010203", \
    .chain = {{.subject = "leaf", .issuer = "Int", .key = 2, .signer = 3, .extensions = "san:i=0a010203"}
#define AT_SIX                                                                \
    .host = "2001:db8::1", .address_hex = "20010db8000000000000000000000001", \
    .chain = {{.subject = "leaf",                                             \
               .issuer = "Int",                                               \
               .key = 2,                                                      \
               .signer = 3,                                                   \
               .extensions = "san:i=20010db8000000000000000000000001"}
    static const chain_case cases[] = {{.label = "permitted", AT_ONE, INT_WITH("ca! nc!:i=0a000000ff000000")},
                                       GOOD},
    {.label = "permitted, exact", AT_ONE, INT_WITH("ca! nc!:i=0a010203ffffffff")},
    GOOD},
    {.label = "permitted, another", AT_ONE, INT_WITH("ca! nc!:i=0b000000ff000000")}, BAD_TREE
}
,
    {.label = "permitted, the other family",
     AT_ONE,
     INT_WITH("ca! nc!:i=0000000000000000000000000000000000000000000000000000000000000000")},
    BAD_TREE
}
, {.label = "excluded", AT_ONE, INT_WITH("ca! nc!:/i=0a000000ff000000")}, BAD_TREE
}
, {.label = "excluded, all", AT_ONE, INT_WITH("ca! nc!:/i=0000000000000000")}, BAD_TREE
}
, {.label = "excluded, another", AT_ONE, INT_WITH("ca! nc!:/i=0b000000ff000000")}, GOOD
}
, {.label = "names alone", AT_ONE, INT_WITH("ca! nc!:d=other.example")}, GOOD
}
,
    {.label = "v6 permitted",
     AT_SIX,
     INT_WITH("ca! nc!:i=20010db8000000000000000000000000ffffffff000000000000000000000000")},
    GOOD
}
,
    {.label = "v6 excluded",
     AT_SIX,
     INT_WITH("ca! nc!:/i=20010db8000000000000000000000000ffffffff000000000000000000000000")},
    BAD_TREE
}
, {.label = "v6 with v4 permitted", AT_SIX, INT_WITH("ca! nc!:i=0000000000000000")}, BAD_TREE
}
, {.label = "v6 with v4 excluded", AT_SIX, INT_WITH("ca! nc!:/i=0000000000000000")}, GOOD
}
,
}
;
(void)state;
CHECK_CASES(cases);
}

/* What is no DNS name cannot be kept out by comparing: RFC 5280 section 4.2.1.10 wants such a certificate refused. */
static void excluded_trees_that_are_no_names_refuse(void **state)
{
    static const chain_case cases[] = {
        {.label = "a last dot",
         SIGNER_WITH("ca! nc!:/d=test.example."),
         .reason = HTOK_REASON_CERTIFICATE_INVALID,
         .code = BR_ERR_X509_UNEXPECTED},
        {.label = "a last dot alone",
         SIGNER_WITH("ca! nc!:/d=."),
         .reason = HTOK_REASON_CERTIFICATE_INVALID,
         .code = BR_ERR_X509_UNEXPECTED},
        {.label = "a space",
         SIGNER_WITH("ca! nc!:/dh=612e206578616d706c65"),
         .reason = HTOK_REASON_CERTIFICATE_INVALID,
         .code = BR_ERR_X509_UNEXPECTED},
        {.label = "UTF-8",
         SIGNER_WITH("ca! nc!:/dh=c3a92e6578616d706c65"),
         .reason = HTOK_REASON_CERTIFICATE_INVALID,
         .code = BR_ERR_X509_UNEXPECTED},
        {.label = "a wildcard",
         SIGNER_WITH("ca! nc!:/d=*.test.example"),
         .reason = HTOK_REASON_CERTIFICATE_INVALID,
         .code = BR_ERR_X509_UNEXPECTED},
    };
    (void)state;
    CHECK_CASES(cases);
}

/* ---- Keys and signatures. ---- */

/* An RSA key of so many bits: any odd number, nobody signs with it. */
static void rsa_spki(unsigned bits, unit_text *hex)
{
    unsigned char modulus[1024];
    size_t len = (bits + 7) / 8;
    assert_true(len <= sizeof modulus);
    memset(modulus, 0xa5, len);
    modulus[0] = (unsigned char)(1u << ((bits - 1) % 8));
    cert_rsa_spki(modulus, len, (const unsigned char *)"\x01\x00\x01", 3, hex);
}

static void rsa_keys_have_2048_to_4096_bits(void **state)
{
    static const struct {
        unsigned bits;
        htok_reason reason;
        int code;
        bool root_usable;
    } rows[] = {{1024, HTOK_REASON_CERTIFICATE_INVALID, BR_ERR_X509_WEAK_PUBLIC_KEY, false},
                {2040, HTOK_REASON_CERTIFICATE_INVALID, BR_ERR_X509_WEAK_PUBLIC_KEY, false},
                {2041, HTOK_REASON_NONE, 0, true}, /* as many bytes as one of 2048 bits */
                {2048, HTOK_REASON_NONE, 0, true},
                {3072, HTOK_REASON_NONE, 0, true},
                {4096, HTOK_REASON_NONE, 0, true},
                {4104, HTOK_REASON_CERTIFICATE_INVALID, BR_ERR_X509_LIMIT_EXCEEDED, false},
                {4160, HTOK_REASON_CERTIFICATE_INVALID, BR_ERR_X509_LIMIT_EXCEEDED, false},
                {8192, HTOK_REASON_CERTIFICATE_INVALID, BR_ERR_X509_LIMIT_EXCEEDED, false}};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        chain_case c = {.label = "RSA", .chain = {LEAF}};
        unit_text hex = {0}, root = {0};
        htok_error e;
        char label[32];
        snprintf(label, sizeof label, "RSA of %u bits", rows[i].bits);
        rsa_spki(rows[i].bits, &hex);
        c.label = label;
        c.chain[0].spki_hex = hex.text;
        c.reason = rows[i].reason;
        c.code = rows[i].code;
        check_case(&c);
        c.chain[0].extensions = CA_NAMED;
        cert_add(&root, &c.chain[0]);
        unit_error_begin(&e);
        check_number(htoki_trust_check(htoki_view(root.text, root.len), true, NOW, &e),
                     rows[i].root_usable ? HTOK_OK : HTOK_INVALID_REQUEST_ERROR, label);
        check_number(e.reason, rows[i].root_usable ? HTOK_REASON_NONE : HTOK_REASON_TRUST_EMPTY, label);
        check(rows[i].root_usable ||
                  strstr(e.detail,
                         "certificates: 1, all expired, limited to other uses or with another key than RSA"),
              "%s: %s", label, e.detail);
        free(hex.text);
        free(root.text);
    }
}

static void other_keys_and_signatures_are_refused_by_name(void **state)
{
#define SIGNED_AS(oid)                                                                 \
    {                                                                                  \
        .subject = "leaf", .issuer = "Root", .key = 2, .signer = 1, .extensions = SAN, \
        .algorithm_hex = (oid)                                                         \
    }
    static const chain_case cases[] = {
        {.label = "Ed25519 key",
         .chain =
             {{.subject = "leaf", .issuer = "Root", .signer = 1, .extensions = SAN, .spki_hex = ED25519}},
         INVALID(BR_ERR_X509_UNSUPPORTED),
         .detail = "is not supported: Ed25519"},
        {.label = "a curve of its own",
         .chain = {{.subject = "leaf",
                    .issuer = "Root",
                    .signer = 1,
                    .extensions = SAN,
                    .spki_hex = "301006072a8648ce3d020106052b8104000a0302"
                                "0004"}},
         INVALID(BR_ERR_X509_UNSUPPORTED)},
        {.label = "SHA-1 with ECDSA",
         .chain = {SIGNED_AS("06072a8648ce3d0401")},
         INVALID(BR_ERR_X509_UNSUPPORTED),
         .detail = "an algorithm of its key or signature is not supported: SHA-1 with ECDSA"},
        {.label = "SHA-224 with ECDSA",
         .chain = {SIGNED_AS("06082a8648ce3d040301")},
         INVALID(BR_ERR_X509_UNSUPPORTED)},
        {.label = "SHA-1 with RSA",
         .chain = {SIGNED_AS("06092a864886f70d010105"
                             "0500")},
         INVALID(BR_ERR_X509_UNSUPPORTED),
         .detail = ": SHA-1 with RSA"},
        {.label = "MD5 with RSA",
         .chain = {SIGNED_AS("06092a864886f70d010104"
                             "0500")},
         INVALID(BR_ERR_X509_UNSUPPORTED),
         .detail = ": MD5 with RSA"},
        {.label = "RSA-PSS",
         .chain = {SIGNED_AS("06092a864886f70d01010a")},
         INVALID(BR_ERR_X509_UNSUPPORTED),
         .detail = ": RSA-PSS"},
        {.label = "Ed25519 signature",
         .chain = {SIGNED_AS("06032b6570")},
         INVALID(BR_ERR_X509_UNSUPPORTED),
         .detail = ": Ed25519"},
        {.label = "an intermediate's signature",
         .chain = {LEAF_OF_INT,
                   {.subject = "Int",
                    .issuer = "Root",
                    .key = 3,
                    .signer = 1,
                    .extensions = CA_NAMED,
                    .algorithm_hex = "06032b6571"}},
         INVALID(BR_ERR_X509_UNSUPPORTED),
         .detail =
             "certificate 2 of the chain: an algorithm of its key or signature is not supported: Ed448"},
        {.label = "no algorithm's number", .chain = {SIGNED_AS("0500")}, INVALID(BR_ERR_X509_UNEXPECTED)},
        {.label = "another hash than was signed", .chain = {SIGNED_AS("06082a8648ce3d040303")}, NO_TRUST},
        {.label = "another algorithm than the key's",
         .chain = {SIGNED_AS("06092a864886f70d01010b0500")},
         NO_TRUST},
    };
    (void)state;
    CHECK_CASES(cases);
}

/* ---- Pins. ---- */

static void one_key_of_the_chain_must_be_pinned(void **state)
{
    static const chain_case cases[] = {
        {.label = "leaf", .chain = {LEAF}, .pins = {2}, GOOD},
        {.label = "root", .chain = {LEAF}, .pins = {1}, GOOD},
        {.label = "spare first", .chain = {LEAF}, .pins = {9, 2}, GOOD},
        {.label = "intermediate", .chain = {LEAF_OF_INT, INT}, .pins = {3}, GOOD},
        {.label = "root behind an intermediate", .chain = {LEAF_OF_INT, INT}, .pins = {1}, GOOD},
        {.label = "leaf before an intermediate", .chain = {LEAF_OF_INT, INT}, .pins = {2}, GOOD},
        {.label = "intermediate as the trusted one",
         .chain = {LEAF_OF_INT},
         .roots = {INT},
         .pins = {3},
         GOOD},
        {.label = "trusted directly", .chain = {LEAF}, .roots = {LEAF}, .pins = {2}, GOOD},
        {.label = "another", .chain = {LEAF}, .pins = {9}, BAD_PIN, .detail = "seen: sha256/"},
        {.label = "both trusted ones of the name",
         .chain = {LEAF},
         .roots = {TWIN(1, "01"), TWIN(9, "09")},
         .pins = {9, 1},
         GOOD},
        {.label = "the second trusted one of the name",
         .chain = {LEAF},
         .roots = {TWIN(9, "09"), TWIN(1, "01")},
         .pins = {1},
         BAD_PIN},
        {.label = "two others", .chain = {LEAF_OF_INT, INT}, .pins = {8, 9}, BAD_PIN},
        {.label = "one sent without need", .chain = {LEAF_OF_INT, INT, OTHER_CA}, .pins = {9}, BAD_PIN},
        {.label = "one sent behind the root", .chain = {LEAF, ROOT, OTHER_CA}, .pins = {9}, BAD_PIN},
        {.label = "a trusted twin that did not sign",
         .chain = {LEAF},
         .roots = {TWIN(1, "01"), TWIN(9, "09")},
         .pins = {9},
         BAD_PIN},
        {.label = "the issuer of the one trusted directly",
         .chain = {LEAF},
         .roots = {LEAF},
         .pins = {1},
         BAD_PIN},
        {.label = "untrusted in spite of a pin", .chain = {LEAF}, .roots = {OTHER_CA}, .pins = {2}, NO_TRUST},
        {.label = "another name in spite of a pin",
         .host = "b.example",
         .chain = {LEAF},
         .pins = {2},
         BAD_NAME},
        {.label = "no usage in spite of a pin",
         .chain = {LEAF_WITH(SAN " eku:client")},
         .pins = {2},
         BAD_USAGE},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void the_pins_seen_are_shown_in_the_chain_s_order(void **state)
{
    chain_case c = {.label = "seen", .chain = {LEAF_OF_INT, INT}, .pins = {9}, BAD_PIN};
    char leaf[52], middle[52], root[52], detail[320];
    (void)state;
    cert_pin(2, leaf);
    cert_pin(3, middle);
    cert_pin(1, root);
    snprintf(detail, sizeof detail, "seen: %s, %s, %s", leaf, middle, root);
    c.detail = detail;
    check_case(&c);
}

static void of_a_long_chain_the_first_pins_and_the_last_are_shown(void **state)
{
    static const cert_spec last = {
        .subject = "I4", .issuer = "Root", .key = 6, .signer = 1, .extensions = CA_NAMED};
    chain_case c = {
        .label = "five keys",
        .chain = {{.subject = "leaf", .issuer = "I2", .key = 2, .signer = 3, .extensions = SAN SERVER_USAGE},
                  {.subject = "I2", .issuer = "I3", .key = 3, .signer = 4, .extensions = CA_NAMED},
                  {.subject = "I3", .issuer = "I4", .key = 4, .signer = 6, .extensions = CA_NAMED},
                  {.subject = NULL}},
        .pins = {9},
        BAD_PIN};
    char a[52], b[52], d[52], root[52], detail[320];
    (void)state;
    c.chain[3] = last;
    cert_pin(2, a);
    cert_pin(3, b);
    cert_pin(4, d);
    cert_pin(1, root);
    snprintf(detail, sizeof detail, "seen: %s, %s, %s, ..., %s", a, b, d, root);
    c.detail = detail;
    check_case(&c);
    c.pins[0] = 6; /* one that is not shown counts all the same */
    c.reason = HTOK_REASON_NONE;
    c.code = 0;
    c.detail = NULL;
    check_case(&c);
}

static void every_character_of_a_pin_counts(void **state)
{
    static htoki_x509 x;
    char pin[52], other[52];
    const char *list[1];
    unsigned char hash[32];
    size_t at;
    (void)state;
    cert_pin(2, pin);
    assert_true(htoki_pin_parse(unit_view(pin), hash));
    list[0] = pin;
    x.pins = list;
    x.pin_count = 1;
    assert_true(htoki_pin_match(&x, hash));
    list[0] = other;
    for (at = 7; at < 50; at++) {
        memcpy(other, pin, sizeof other);
        other[at] = pin[at] == 'E' ? 'A' : 'E'; /* both are fit for the last place */
        check(!htoki_pin_match(&x, hash), "character %u does not count", (unsigned)at);
    }
}

static void pins_have_one_form(void **state)
{
    static const char good[] = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; /* of nothing */
    static const char *const bad[] = {"",
                                      "sha256/",
                                      "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                                      "sha1/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                                      "SHA256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                                      "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
                                      "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
                                      "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF==",
                                      "sha256/47DEQpj8HBSa-_TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                                      "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
                                      " sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
                                      "sha256//7DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUU"};
    unsigned char hash[32], nothing[32];
    br_sha256_context sha;
    size_t i, at;
    (void)state;
    br_sha256_init(&sha);
    br_sha256_out(&sha, nothing);
    assert_true(htoki_pin_parse(unit_view(good), hash));
    assert_memory_equal(hash, nothing, 32);
    for (i = 0; i < UNIT_COUNT(bad); i++) {
        char *copy = unit_exact(bad[i], strlen(bad[i]));
        check(!htoki_pin_parse(htoki_view(copy, strlen(bad[i])), hash), "accepted: %s", bad[i]);
        free(copy);
    }
    for (at = 0; at < sizeof good - 1; at++) {
        char copy[sizeof good];
        memcpy(copy, good, sizeof good);
        copy[at] = '.';
        check(!htoki_pin_parse(unit_view(copy), hash), "accepted: %s", copy);
    }
}

/* ---- Hostile encodings. ---- */

static void an_extension_must_not_come_twice(void **state)
{
    static const chain_case cases[] = {
        {.label = "names", .chain = {LEAF_WITH("san:d=b.example " SAN)}, MALFORMED},
        {.label = "usages", .chain = {LEAF_WITH(SAN " eku:client eku:server")}, MALFORMED},
        {.label = "basicConstraints", SIGNER_WITH("ca notca"), INVALID(BR_ERR_X509_NOT_CA)},
        {.label = "basicConstraints twice the same", SIGNER_WITH("ca ca"), MALFORMED},
        {.label = "name constraints", SIGNER_WITH("ca! nc:d=test.example nc:d=test.example"), MALFORMED},
        {.label = "ids", .chain = {LEAF_WITH(SAN " aki:01 aki:02")}, MALFORMED},
        {.label = "unknown ones", .chain = {LEAF_WITH(SAN " raw:2a0304=0500 raw:2a0304=0500")}, GOOD},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void key_usage_must_not_come_twice(void **state)
{
    static const chain_case cases[] = {
        {.label = "server", .chain = {LEAF_WITH(SAN " ku:0520 ku:0780")}, MALFORMED},
        {.label = "intermediate", SIGNER_WITH("ca ku:0204 ku:0204"), MALFORMED},
    };
    (void)state;
    CHECK_CASES(cases);
}

static void structures_are_taken_to_their_ends(void **state)
{
    static const chain_case cases[] = {
        {.label = "behind the extensions",
         .chain = {{.subject = "leaf",
                    .issuer = "Root",
                    .key = 2,
                    .signer = 1,
                    .extensions = SAN,
                    .behind_hex = "0500"}},
         INVALID(BR_ERR_X509_EXTRA_ELEMENT)},
        {.label = "extensions twice",
         .chain = {{.subject = "leaf",
                    .issuer = "Root",
                    .key = 2,
                    .signer = 1,
                    .extensions = "san:d=b.example",
                    .behind_hex = "a31b301930170603551d11041030"
                                  "0e820c612e746573742e6578616d70"}},
         .reason = HTOK_REASON_CERTIFICATE_INVALID,
         .code = BR_ERR_X509_EXTRA_ELEMENT},
        {.label = "unique ids behind the extensions",
         .chain = {{.subject = "leaf",
                    .issuer = "Root",
                    .key = 2,
                    .signer = 1,
                    .extensions = SAN,
                    .behind_hex = "820100"}},
         INVALID(BR_ERR_X509_EXTRA_ELEMENT)},
        {.label = "behind the names",
         .chain = {LEAF_WITH("raw:551d11=3010820e612e746573742e6578616d706c650500")},
         INVALID(BR_ERR_X509_EXTRA_ELEMENT)},
        {.label = "names in a SET",
         .chain = {LEAF_WITH("raw:551d11=3110820e612e746573742e6578616d706c65")},
         INVALID(BR_ERR_X509_UNEXPECTED)},
        {.label = "names cut",
         .chain = {LEAF_WITH("raw:551d11=3011820e612e746573742e6578616d706c65")},
         INVALID(BR_ERR_X509_INNER_TRUNC)},
        {.label = "a name longer than all",
         .chain = {LEAF_WITH("raw:551d11=301082"
                             "8400ffffffff612e746573742e657861")},
         INVALID(BR_ERR_X509_INNER_TRUNC)},
        {.label = "names of indefinite length",
         .chain = {LEAF_WITH("raw:551d11=3080820e612e746573742e6578616d706c650000")},
         INVALID(BR_ERR_X509_INDEFINITE_LENGTH)},
        {.label = "a length that could be shorter",
         .chain = {LEAF_WITH("raw:551d11=301182810e612e746573742e6578616d706c65")},
         MALFORMED},
        {.label = "a length with a zero before it",
         .chain = {LEAF_WITH("raw:551d11=30128282000e612e746573742e6578616d706c65")},
         MALFORMED},
        {.label = "a tag of two bytes",
         .chain = {LEAF_WITH("raw:551d11=30119f020e612e746573742e6578616d706c65")},
         INVALID(BR_ERR_X509_BAD_TAG_VALUE)},
        {.label = "usages in a SET",
         .chain = {LEAF_WITH(SAN " raw:551d25=310a06082b06010505070301")},
         MALFORMED},
        {.label = "usages that are no OIDs",
         .chain = {LEAF_WITH(SAN " raw:551d25=300a04082b06010505070301")},
         MALFORMED},
        {.label = "usages and more",
         .chain = {LEAF_WITH(SAN " raw:551d25=300a06082b060105050703010500")},
         MALFORMED},
        {.label = "a name that is the hash itself",
         .chain = {{.issuer = "Root",
                    .key = 2,
                    .signer = 1,
                    .extensions = SAN,
                    .name_hex = "0020aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
         INVALID(BR_ERR_X509_UNEXPECTED)},
    };
    (void)state;
    CHECK_CASES(cases);
}

/* A certificate for the tests below that hold every kind of element. */
static cert_bytes rich_leaf(void)
{
    static const cert_spec spec =
        LEAF_WITH("san:d=b.example,d=" HOST
                  ",i=7f000001,e=x eku!:server,any ku:0780 notca! aki:0102 ski:0304 raw:2a03=0500");
    return cert_make(&spec);
}

static void every_cut_and_every_changed_byte_is_refused(void **state)
{
    cert_bytes leaf = rich_leaf();
    chain_case root_only = {.label = "root"};
    unit_text roots = {0};
    void *scratch = malloc(sizeof(htoki_x509));
    htoki_tls_config config;
    size_t at;
    (void)state;
    assert_non_null(scratch);
    config_begin(&config, scratch);
    make_roots(&root_only, &roots);
    config.trust = htoki_view(roots.text, roots.len);
    check_number(judge(&config, &leaf, 1, 0).code, 0, "whole");
    for (at = 0; at < leaf.len; at++) {
        cert_bytes cut;
        unsigned bit = (unsigned)at % 8;
        char label[32];
        cut.bytes = (unsigned char *)unit_exact((const char *)leaf.bytes, at);
        cut.len = at;
        snprintf(label, sizeof label, "byte %u", (unsigned)at);
        check(judge(&config, &cut, 1, 0).code != 0, "cut at %s is accepted", label);
        free(cut.bytes);
        leaf.bytes[at] ^= (unsigned char)(1u << bit);
        check(judge(&config, &leaf, 1, 0).code != 0, "%s changed is accepted", label);
        check(judge(&config, &leaf, 1, 1).code != 0, "%s changed, in bytes, is accepted", label);
        leaf.bytes[at] ^= (unsigned char)(1u << bit);
    }
    {
        cert_bytes longer;
        longer.bytes = (unsigned char *)malloc(leaf.len + 1);
        assert_non_null(longer.bytes);
        memcpy(longer.bytes, leaf.bytes, leaf.len);
        longer.bytes[leaf.len] = 0;
        longer.len = leaf.len + 1;
        check_number(judge(&config, &longer, 1, 0).reason, HTOK_REASON_CERTIFICATE_INVALID,
                     "a byte behind it");
        free(longer.bytes);
    }
    check_number(judge(&config, &leaf, 1, 0).code, 0, "whole again");
    free(leaf.bytes);
    free(roots.text);
    free(scratch);
}

/* ---- The walk over DER. ---- */

static void walk(const cert_bytes *cert, unsigned role, size_t split, htoki_reference *reference,
                 htoki_root_key *key, htoki_der *d)
{
    size_t from = 0, parts[2], i;
    parts[0] = split;
    parts[1] = cert->len - split;
    htoki_der_start(d, role, reference, key);
    for (i = 0; i < 2; i++) {
        char *copy = unit_exact((const char *)cert->bytes + from, parts[i]);
        size_t at = 0;
        while (at < parts[i]) {
            size_t n = htoki_der_feed(d, (const unsigned char *)copy + at, parts[i] - at);
            check(n != 0 && n <= parts[i] - at, "a step of %u bytes", (unsigned)n);
            at += n;
        }
        free(copy);
        from += parts[i];
    }
}

static void check_same_walk(const htoki_der *a, const htoki_der *b, const char *label)
{
    check(a->done && b->done && !a->failed && !b->failed && !b->trailing, "%s: not whole", label);
    assert_memory_equal(a->issuer, b->issuer, 32);
    assert_memory_equal(a->subject, b->subject, 32);
    assert_memory_equal(a->key_hash, b->key_hash, 32);
    assert_memory_equal(a->not_before, b->not_before, 14);
    assert_memory_equal(a->not_after, b->not_after, 14);
    assert_memory_equal(a->key_id, b->key_id, a->key_id_len);
    check_number(b->key_id_len, a->key_id_len, label);
    check_number(b->seen, a->seen, label);
    check_number(b->key_kind, a->key_kind, label);
    check(a->ca == b->ca && a->extended == b->extended && a->server_usage == b->server_usage &&
              a->name_found == b->name_found && a->excluded == b->excluded && a->permitted == b->permitted &&
              a->permitted_seen == b->permitted_seen,
          "%s: other marks", label);
}

static void begin_reference(htoki_reference *r, char names[NAMES_BYTES])
{
    memset(r, 0, sizeof *r);
    r->host = HOST;
    r->host_len = strlen(HOST);
    r->rest_at = 2;
    r->names = names;
}

/* BearSSL hashes a name in pieces; one that begins with a zero byte is the hash of a trusted certificate's. */
static void a_name_is_hashed_unless_its_hash_is_given(void **state)
{
    unsigned char name[66], plain[32], out[32];
    const br_hash_class *vtable = &htoki_name_hash_vtable;
    union {
        const br_hash_class *vtable;
        htoki_name_hash name;
    } context;
    br_sha256_context sha;
    (void)state;
    memset(name, 0x30, sizeof name);
    br_sha256_init(&sha);
    br_sha256_update(&sha, name, 33);
    br_sha256_out(&sha, plain);
    memset(&context, 0, sizeof context);
    context.vtable = vtable;
    vtable->init(&context.vtable);
    vtable->update(&context.vtable, name, 33);
    vtable->out(&context.vtable, out);
    assert_memory_equal(out, plain, 32);
    name[0] = 0;
    vtable->init(&context.vtable);
    vtable->update(&context.vtable, name, 33);
    vtable->out(&context.vtable, out);
    assert_memory_equal(out, name + 1, 32);
    vtable->init(&context.vtable); /* a zero byte later is one of the name */
    name[0] = 0x30;
    name[33] = 0;
    vtable->update(&context.vtable, name, 33);
    vtable->update(&context.vtable, name + 33, 33);
    vtable->out(&context.vtable, out);
    br_sha256_init(&sha);
    br_sha256_update(&sha, name, 66);
    br_sha256_out(&sha, plain);
    assert_memory_equal(out, plain, 32);
    name[0] = 0;
    vtable->init(&context.vtable); /* 32 bytes and their zero byte, no less */
    vtable->update(&context.vtable, name, 32);
    vtable->out(&context.vtable, out);
    br_sha256_init(&sha);
    br_sha256_update(&sha, name, 32);
    br_sha256_out(&sha, plain);
    assert_memory_equal(out, plain, 32);
}

static void a_walk_may_be_split_anywhere(void **state)
{
    static const cert_spec authority =
        ROOT_WITH("ca!:3 ku!:0204 ski:00112233 nc!:d=test.example,i=0a000000ff000000/d=b.example eku:server");
    cert_bytes certs[2];
    size_t i, split;
    (void)state;
    certs[0] = rich_leaf();
    certs[1] = cert_make(&authority);
    for (i = 0; i < 2; i++) {
        unsigned role = i == 0 ? HTOKI_ROLE_SERVER : HTOKI_ROLE_ROOT;
        char names[NAMES_BYTES], first_names[NAMES_BYTES];
        htoki_root_key key, first_key;
        htoki_reference reference, first_reference;
        htoki_der whole, d;
        begin_reference(&first_reference, first_names);
        walk(&certs[i], role, 0, &first_reference, &first_key, &whole);
        for (split = 1; split < certs[i].len; split++) {
            char label[48];
            snprintf(label, sizeof label, "certificate %u split at %u", (unsigned)i, (unsigned)split);
            begin_reference(&reference, names);
            walk(&certs[i], role, split, &reference, &key, &d);
            check_same_walk(&whole, &d, label);
            check_number(key.len, first_key.len, label);
            assert_memory_equal(key.bytes, first_key.bytes, key.len);
            check_bytes_at(names, reference.names_len, first_names, first_reference.names_len, label,
                           __FILE__, __LINE__);
        }
        check_number(first_key.len, 65, "the point");
        check(i == 0 ? whole.name_found && !whole.ca : whole.ca && whole.permitted && !whole.excluded, "%u",
              (unsigned)i);
        free(certs[i].bytes);
    }
}

static void a_walk_never_reads_beyond_or_fails_to_end(void **state)
{
    cert_bytes leaf = rich_leaf(), copy;
    uint32_t random = 1;
    unsigned round;
    (void)state;
    copy.bytes = (unsigned char *)malloc(leaf.len);
    assert_non_null(copy.bytes);
    for (round = 0; round < 4000; round++) {
        char names[NAMES_BYTES];
        htoki_reference reference;
        htoki_root_key key;
        htoki_der d;
        unsigned changes = round % 4 + 1;
        memcpy(copy.bytes, leaf.bytes, leaf.len);
        copy.len = leaf.len;
        while (changes-- != 0) {
            random = random * 1103515245u + 12345u;
            copy.bytes[(random >> 8) % leaf.len] = (unsigned char)(random >> 24);
        }
        begin_reference(&reference, names);
        walk(&copy, round % 3, (random >> 8) % leaf.len, &reference, &key, &d);
        check(reference.names_len <= sizeof names && key.len <= sizeof key.bytes, "round %u", round);
    }
    free(copy.bytes);
    free(leaf.bytes);
}

/* ---- The bundle. ---- */

static cert_bytes make_root(const char *name, unsigned key)
{
    cert_spec spec = ROOT_WITH(CA_NAMED);
    spec.subject = name;
    spec.key = key;
    return cert_make(&spec);
}

static void check_bundle(const char *label, const unit_text *text, htok_reason reason, const char *detail,
                         int64_t offset)
{
    char *copy = unit_exact(text->text ? text->text : "", text->len);
    htok_error e;
    unit_error_begin(&e);
    check(htoki_trust_check(htoki_view(copy, text->len), true, NOW, &e) ==
              (reason == HTOK_REASON_NONE ? HTOK_OK : HTOK_INVALID_REQUEST_ERROR),
          "%s: %s %s", label, htok_reason_name(e.reason), e.detail);
    check_text(htok_reason_name(e.reason), htok_reason_name(reason), label);
    if (reason != HTOK_REASON_NONE) {
        check_text(e.path, "trust", label);
        check(!detail || strcmp(e.detail, detail) == 0, "%s: detail: %s", label, e.detail);
        check(e.offset <= (int64_t)text->len, "%s: offset %ld", label, (long)e.offset);
    }
    if (offset >= 0) {
        check_number(e.offset, offset, label);
    }
    free(copy);
}

/* One form of a root's PEM: the root with changes, made by the row. */
enum { FORM_OK, FORM_BAD, FORM_EMPTY };

static void check_form(const char *label, unit_text *text, int form)
{
    check_bundle(label, text,
                 form == FORM_OK    ? HTOK_REASON_NONE
                 : form == FORM_BAD ? HTOK_REASON_TRUST_MALFORMED
                                    : HTOK_REASON_TRUST_EMPTY,
                 NULL, -1);
    free(text->text);
    memset(text, 0, sizeof *text);
}

/* Every occurrence of one text replaced by another. */
static unit_text replaced(const unit_text *in, const char *old, const char *new_)
{
    unit_text out = {0};
    size_t at = 0, len = strlen(old);
    unit_add(&out, "", 0);
    while (at < in->len) {
        if (in->len - at >= len && memcmp(in->text + at, old, len) == 0) {
            unit_add_text(&out, new_);
            at += len;
        } else {
            unit_add(&out, in->text + at++, 1);
        }
    }
    return out;
}

static unit_text joined(const char *before, const unit_text *in, const char *after)
{
    unit_text out = {0};
    unit_add_text(&out, before);
    unit_add(&out, in->text, in->len);
    unit_add_text(&out, after);
    return out;
}

static void pem_is_read_generously(void **state)
{
#define KEY_BLOCK "-----BEGIN EC PRIVATE KEY-----\nxx!!\n-----END EC PRIVATE KEY-----\n"
    static const struct {
        const char *label, *old, *new_, *before, *after;
    } rows[] = {
        {"plain", "", "", "", ""},
        {"CR LF", "\n", "\r\n", "", ""},
        {"CR", "\n", "\r", "", ""},
        {"byte order mark", "", "", "\xef\xbb\xbf", ""},
        {"indented", "\n", "\n   ", "", ""},
        {"tabs", "\n", "\n\t", "", ""},
        {"text around", "", "", "hello - -- there\nsubject=CN\n", "# more ---- dashes\ntail"},
        {"label of X509", "CERTIFICATE", "X509 CERTIFICATE", "", ""},
        {"a key before it", "", "", KEY_BLOCK, ""},
        {"a key behind it", "", "", "", KEY_BLOCK},
        {"a request before it", "", "",
         "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n", ""},
        {"a revocation list", "", "", "-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n", ""},
        {"a label that ends as theirs", "", "", "-----BEGIN ICATE-----\n-----END ICATE-----\n", ""},
        {"a label of nothing", "", "", "-----BEGIN -----\n-----END -----\n", ""},
        {"an END that never ends", "", "", "", "-----END CERT"},
        {"a NUL behind it", "", "", "", "\0"},
    };
    cert_bytes root = make_root("Root", 1);
    unit_text pem = {0}, text;
    size_t i;
    (void)state;
    cert_add_pem(&pem, "CERTIFICATE", root.bytes, root.len, "\n");
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_text changed = rows[i].old[0] ? replaced(&pem, rows[i].old, rows[i].new_) : joined("", &pem, "");
        text = joined(rows[i].before, &changed, rows[i].after);
        free(changed.text);
        check_form(rows[i].label, &text, FORM_OK);
    }
    text = joined("", &pem, "");
    text.len--;
    check_form("no last line end", &text, FORM_OK);
    cert_add_pem(&text, "CERTIFICATE", root.bytes, root.len, "");
    check_form("one line", &text, FORM_OK);
    free(pem.text);
    free(root.bytes);
}

static void broken_pem_is_refused_and_says_where(void **state)
{
    static const struct {
        const char *label, *old, *new_, *before, *after;
        int form;
    } rows[] = {
        {"nothing", "", "", NULL, NULL, FORM_EMPTY},
        {"text alone", "", "", NULL, "hello", FORM_EMPTY},
        {"a key alone", "", "", NULL, KEY_BLOCK, FORM_EMPTY},
        {"an empty block", "", "", NULL, "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
         FORM_BAD},
        {"a lost dash of BEGIN", "CERTIFICATE-----\nMII", "CERTIFICATE----\nMII", "", "", FORM_BAD},
        {"a lost dash of END", "-----END", "----END", "", "", FORM_BAD},
        {"the first dash of BEGIN lost", "-----BEGIN", "----BEGIN", "", "", FORM_BAD},
        {"the same, before one that is whole", "", "",
         "----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "", FORM_BAD},
        {"the same under X509", "", "", "BEGIN X509 CERTIFICATE-----\nAAAA\n-----END X509 CERTIFICATE-----\n",
         "", FORM_BAD},
        {"a label in small letters", "CERTIFICATE", "certificate", "", "", FORM_BAD},
        {"a label with a blank", "CERTIFICATE-", "CERTIFICATE -", "", "", FORM_BAD},
        {"a label of another kind of certificate", "", "",
         "-----BEGIN ATTRIBUTE CERTIFICATE-----\nAAAA\n-----END ATTRIBUTE CERTIFICATE-----\n", "", FORM_BAD},
        {"an END alone in small letters", "", "", "", "-----END certificate-----\n", FORM_BAD},
        {"another label at the END", "END CERT", "END XCERT", "", "", FORM_BAD},
        {"an exclamation mark", "\nMII", "\nM!I", "", "", FORM_BAD},
        {"a digit too few", "\nMII", "\nMI", "", "", FORM_BAD},
        {"four digits too few", "\nMIIB", "\n", "", "", FORM_BAD},
        {"padding first", "\nMII", "\n=MII", "", "", FORM_BAD},
        {"padding within", "\nMIIB", "\nMI==", "", "", FORM_BAD},
        {"padding alone", "\n-----END", "\n====\n-----END", "", "", FORM_BAD},
        {"a comment inside", "\n-----END", "\n# x\n-----END", "", "", FORM_BAD},
        {"a field inside", "BEGIN CERTIFICATE-----\n", "BEGIN CERTIFICATE-----\nProc-Type: 4\n\n", "", "",
         FORM_BAD},
        {"url digits", "\nMII", "\n_II", "", "", FORM_BAD},
        {"a tilde", "\nMII", "\n~II", "", "", FORM_BAD},
        {"an @", "\nMII", "\n@II", "", "", FORM_BAD},
        {"a bracket", "\nMII", "\n[II", "", "", FORM_BAD},
        {"a back quote", "\nMII", "\n`II", "", "", FORM_BAD},
        {"a brace", "\nMII", "\n{II", "", "", FORM_BAD},
        {"a colon", "\nMII", "\n:II", "", "", FORM_BAD},
        {"a period", "\nMII", "\n.II", "", "", FORM_BAD},
        {"a comma", "\nMII", "\n,II", "", "", FORM_BAD},
        {"a line end in the label", "BEGIN CERTIFICATE", "BEGIN CERTI\nFICATE", "", "", FORM_BAD},
        {"a BEGIN at the end", "", "", "", "-----BEGIN ", FORM_BAD},
        {"DER of 128 bytes or of 16 MiB alone", "", "", NULL, "0\x80\x01", FORM_EMPTY},
        {"DER of 16 MiB", "", "", NULL, "0\x84\x01\x01\x01", FORM_EMPTY},
        {"DER of one byte", "", "", NULL, "0", FORM_EMPTY},
        {"DER of two bytes", "", "", NULL, "0\x81", FORM_EMPTY},
        {"a zero and text", "", "", NULL, "0 certificates", FORM_EMPTY},
        {"a second one, broken", "", "", "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
         FORM_BAD},
        {"a second one, begun", "", "", "", "-----BEGIN CERTIFICATE-----", FORM_BAD},
        {"a label that never ends", "", "", "",
         "-----BEGIN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-----",
         FORM_BAD},
        {"OpenSSL's settings under a plain label", "", "", "", "", FORM_BAD},
    };
    cert_bytes root = make_root("Root", 1), longer;
    unit_text pem = {0}, text;
    size_t i, len;
    (void)state;
    cert_add_pem(&pem, "CERTIFICATE", root.bytes, root.len, "\n");
    for (i = 0; i + 1 < UNIT_COUNT(rows); i++) {
        memset(&text, 0, sizeof text);
        if (rows[i].before) {
            unit_text changed =
                rows[i].old[0] ? replaced(&pem, rows[i].old, rows[i].new_) : joined("", &pem, "");
            check(!rows[i].old[0] || changed.len != pem.len || memcmp(changed.text, pem.text, pem.len) != 0,
                  "%s changes nothing", rows[i].label);
            text = joined(rows[i].before, &changed, rows[i].after);
            free(changed.text);
        } else if (rows[i].after) {
            unit_add_text(&text, rows[i].after);
        }
        check_form(rows[i].label, &text, rows[i].form);
    }
    longer.bytes = (unsigned char *)malloc(root.len + 14);
    assert_non_null(longer.bytes);
    memcpy(longer.bytes, root.bytes, root.len);
    memcpy(longer.bytes + root.len, "\x30\x0c\xa0\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01", 14);
    cert_add_pem(&text, "CERTIFICATE", longer.bytes, root.len + 14, "\n");
    check_form(rows[i].label, &text, FORM_BAD);
    free(longer.bytes);
    for (len = 0; len < root.len; len++) {
        cert_add_pem(&text, "CERTIFICATE", root.bytes, len, "\n");
        check_form("cut certificate", &text, FORM_BAD);
    }
    for (len = 28; len + 7 < pem.len; len++) {
        text = joined("", &pem, "");
        text.len = len;
        check_form("cut text", &text, FORM_BAD);
        text = joined("", &pem, "");
        text.len = len;
        unit_add(&text, pem.text, pem.len);
        check_form("cut text, then another", &text, FORM_BAD);
    }
    text = joined("", &pem, "");
    unit_add_text(&text, "-----BEGIN CERTIFICATE-----\nAA!A\n-----END CERTIFICATE-----\n");
    check_bundle("offset", &text, HTOK_REASON_TRUST_MALFORMED, "well-formed certificates before it: 1",
                 (int64_t)pem.len + 30);
    free(text.text);
    free(pem.text);
    free(root.bytes);
}

/* A trusted certificate from these parts, of which a row replaces one: the fields of TBSCertificate, then what follows
   it. Nobody checks a root's signature. */
enum {
    PART_VERSION,
    PART_SERIAL,
    PART_ALGORITHM,
    PART_ISSUER,
    PART_VALIDITY,
    PART_SUBJECT,
    PART_KEY,
    PART_IDS,
    PART_EXTENSIONS,
    PART_LAST, /* of TBSCertificate */
    PART_SIGNATURE_ALGORITHM,
    PART_SIGNATURE,
    PART_BEHIND,
    PARTS
};

#define HEX_NAME  "300f310d300b06035504030c04526f6f74"
#define HEX_DATE  "170d3230303130313030303030305a"
#define HEX_LATER "170d3339313233313233353935395a"
#define HEX_BASIC "300f0603551d130101ff040530030101ff"
#define HEX_POINT "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_EC \
    "30130607" \
    "2a8648ce3d020106082a8648ce3d030107"
#define HEX_KEY    "3059" HEX_EC "03420004" HEX_POINT HEX_POINT
#define HEX_RSA(l) "30" l "300d06092a864886f70d0101010500"

static void each_part_of_a_trusted_certificate_has_its_place(void **state)
{
    static const char *const good[PARTS] = {"a003020102",
                                            "020101",
                                            "300a" OID_SIGNED,
                                            HEX_NAME,
                                            "301e" HEX_DATE HEX_LATER,
                                            HEX_NAME,
                                            HEX_KEY,
                                            "",
                                            "a3133011" HEX_BASIC,
                                            "",
                                            "300a" OID_SIGNED,
                                            "030100",
                                            ""};
    static const struct {
        const char *label;
        int part;
        const char *hex;
        int form;
    } rows[] = {
        {"as they are", PART_IDS, "", FORM_OK},
        {"no version", PART_VERSION, "", FORM_OK},
        {"a version of another tag", PART_VERSION, "a103020102", FORM_BAD},
        {"no serial number", PART_SERIAL, "", FORM_BAD},
        {"a serial number that is none", PART_SERIAL, "030101", FORM_BAD},
        {"a second serial number", PART_SERIAL, "020101020101", FORM_BAD},
        {"no algorithm", PART_ALGORITHM, "", FORM_BAD},
        {"an algorithm without its OID", PART_ALGORITHM, "30020500", FORM_BAD},
        {"an algorithm with parameters", PART_ALGORITHM, "300c" OID_SIGNED "0500", FORM_OK},
        {"no key", PART_KEY, "", FORM_BAD},
        {"one date", PART_VALIDITY, "300f" HEX_DATE, FORM_BAD},
        {"three dates", PART_VALIDITY, "302d" HEX_DATE HEX_DATE HEX_LATER, FORM_BAD},
        {"a date of another tag", PART_VALIDITY, "301e" HEX_DATE "160d3339313233313233353935395a", FORM_BAD},
        {"the issuer's unique id", PART_IDS, "810100", FORM_OK},
        {"the subject's unique id", PART_IDS, "820100", FORM_OK},
        {"another field", PART_IDS, "830100", FORM_BAD},
        {"no extensions", PART_EXTENSIONS, "", FORM_OK},
        {"extensions twice", PART_LAST, "a3133011" HEX_BASIC, FORM_BAD},
        {"two lists of extensions", PART_EXTENSIONS, "a3153011" HEX_BASIC "3000", FORM_BAD},
        {"extensions in a SET", PART_EXTENSIONS, "a3133111" HEX_BASIC, FORM_BAD},
        {"an extension in a SET", PART_EXTENSIONS, "a3133011310f0603551d130101ff040530030101ff", FORM_BAD},
        {"an extension without an OID", PART_EXTENSIONS, "a30e300c300a0101ff040530030101ff", FORM_BAD},
        {"an extension of no octets", PART_EXTENSIONS,
         "a313301130"
         "0f0603551d130101ff030530030101ff",
         FORM_BAD},
        {"an extension of octets twice", PART_EXTENSIONS, "a315301330110603551d130101ff040530030101ff0400",
         FORM_BAD},
        {"an extension of octets, not critical", PART_EXTENSIONS, "a310300e300c0603551d13040530030101ff",
         FORM_OK},
        {"an extension of octets twice, not critical", PART_EXTENSIONS,
         "a3123010300e0603551d13040530030101ff0400", FORM_OK},
        {"an extension of octets thrice, not critical", PART_EXTENSIONS,
         "a314301230100603551d13040530030101ff04000400", FORM_BAD},
        {"a mark of two bytes", PART_EXTENSIONS,
         "a3143012"
         "30100603551d130102ffff040530030101ff",
         FORM_BAD},
        {"a mark of no bytes", PART_EXTENSIONS,
         "a3123010"
         "300e0603551d130100040530030101ff",
         FORM_BAD},
        {"a CA of two bytes", PART_EXTENSIONS,
         "a3143012"
         "30100603551d130101ff0406300401020001",
         FORM_BAD},
        {"octets behind the extension", PART_EXTENSIONS,
         "a3153013"
         "30110603551d130101ff040730030101ff0500",
         FORM_BAD},
        {"a path length alone", PART_EXTENSIONS,
         "a3133011"
         "300f0603551d130101ff04053003020101",
         FORM_OK},
        {"a long path length", PART_EXTENSIONS,
         "a3173015"
         "30130603551d130101ff040930070101ff02020100",
         FORM_OK},
        {"another element in its place", PART_EXTENSIONS,
         "a3163014"
         "30120603551d130101ff040830060101ff040101",
         FORM_OK},
        {"key identifiers of any length", PART_EXTENSIONS,
         "a3333031302f0603551d0e04280426" HEX_POINT "aaaaaaaaaaaa", FORM_OK},
        {"an unknown extension of plain bytes", PART_EXTENSIONS, "a30f300d300b06022a03040568656c6c6f",
         FORM_OK},
        {"a length of one byte more", PART_EXTENSIONS,
         "a381953081923081"
         "8f06022a03048188048185" HEX_POINT HEX_POINT HEX_POINT HEX_POINT "aaaaaaaaaa",
         FORM_OK},
        {"a length with a zero before it", PART_EXTENSIONS,
         "a381963081933081"
         "900603551d0e04818804820084" HEX_POINT HEX_POINT HEX_POINT HEX_POINT "aaaaaaaa",
         FORM_BAD},
        {"no algorithm of the signature", PART_SIGNATURE_ALGORITHM, "", FORM_BAD},
        {"an algorithm of the signature that is none", PART_SIGNATURE_ALGORITHM, "310a" OID_SIGNED, FORM_BAD},
        {"no signature", PART_SIGNATURE, "", FORM_BAD},
        {"a signature that is none", PART_SIGNATURE, "3000", FORM_BAD},
        {"a second signature", PART_BEHIND, "030100", FORM_BAD},
        {"P-521", PART_KEY,
         "30819b301006072a8648ce3d020106052b81040023"
         "03818600"
         "04" HEX_POINT HEX_POINT HEX_POINT HEX_POINT "aaaaaaaa",
         FORM_OK},
        {"P-384", PART_KEY,
         "3076301006072a8648ce3d020106052b81040022"
         "03620004" HEX_POINT HEX_POINT HEX_POINT,
         FORM_OK},
        {"a point of another curve's length", PART_KEY,
         "3076301306072a8648ce3d020106082a8648ce3d030107"
         "035f0004" HEX_POINT HEX_POINT "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         FORM_EMPTY},
        {"a curve of no name", PART_KEY,
         "3051300b06072a8648ce3d020105000342"
         "0004" HEX_POINT HEX_POINT,
         FORM_EMPTY},
        {"a key without its bits", PART_KEY, "3015" HEX_EC, FORM_BAD},
        {"bits of two keys", PART_KEY, "305d" HEX_EC "03420004" HEX_POINT HEX_POINT "03020004", FORM_BAD},
        {"a key's bits as octets", PART_KEY, "3059" HEX_EC "04420004" HEX_POINT HEX_POINT, FORM_BAD},
        {"a key without its algorithm", PART_KEY, "304403420004" HEX_POINT HEX_POINT, FORM_BAD},
        {"RSA of 24 bits", PART_KEY,
         HEX_RSA("1d") "030c00300902040081818102"
                       "0103",
         FORM_EMPTY},
        {"RSA without an exponent", PART_KEY,
         HEX_RSA("19") "030800300502030081"
                       "81",
         FORM_EMPTY},
        {"RSA with three numbers", PART_KEY,
         HEX_RSA("1f") "030e00300b"
                       "020300818102"
                       "0103020103",
         FORM_BAD},
        {"RSA with a number that is none", PART_KEY,
         HEX_RSA("1c") "030b003008"
                       "020300818104"
                       "0103",
         FORM_BAD},
        {"RSA in a SET", PART_KEY,
         HEX_RSA("1c") "030b003108"
                       "020300818102"
                       "0103",
         FORM_BAD},
        {"RSA and more", PART_KEY,
         HEX_RSA("1e") "030d003008"
                       "020300818102"
                       "01030500",
         FORM_BAD},
        {"RSA twice", PART_KEY,
         HEX_RSA("1e") "030d003008"
                       "020300818102"
                       "01033000",
         FORM_BAD},
        {"RSA with unused bits", PART_KEY,
         HEX_RSA("1c") "030b013008"
                       "020300818102"
                       "0103",
         FORM_BAD},
    };
    size_t i, n;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_text text = {0}, tbs = {0}, cert = {0}, whole = {0};
        for (n = 0; n < PARTS; n++) {
            const char *hex = (int)n == rows[i].part ? rows[i].hex : good[n];
            unit_add_hex(n <= PART_LAST ? &tbs : &cert, hex, strlen(hex));
            if (n == PART_LAST) {
                der_wrap(&cert, 0x30, &tbs);
            }
        }
        der_wrap(&whole, 0x30, &cert);
        cert_add_pem(&text, "CERTIFICATE", (const unsigned char *)whole.text, whole.len, "\n");
        free(whole.text);
        check_form(rows[i].label, &text, rows[i].form);
    }
}

static void certificates_need_all_their_parts(void **state)
{
    static const unsigned char empty[] = {0x30, 0x07, 0x30, 0x00, 0x30, 0x00, 0x03, 0x01, 0x00};
    cert_bytes root = make_root("Root", 1);
    unit_text text = {0}, inner = {0}, cert = {0};
    size_t tbs = 3 + (size_t)root.bytes[6];
    (void)state;
    cert_add_pem(&text, "CERTIFICATE", empty, sizeof empty, "\n");
    check_form("nothing to be signed", &text, FORM_BAD);
    assert_true(root.bytes[4] == 0x30 && root.bytes[5] == 0x81);
    unit_add(&inner, (const char *)root.bytes + 4, tbs);
    unit_add_hex(&inner, "300a" OID_SIGNED, strlen("300a" OID_SIGNED));
    der_wrap(&cert, 0x30, &inner);
    cert_add_pem(&text, "CERTIFICATE", (const unsigned char *)cert.text, cert.len, "\n");
    check_form("no signature", &text, FORM_BAD);
    free(cert.text);
    free(root.bytes);
}

static void digits_left_over_are_refused(void **state)
{
    char name[16] = "Root";
    cert_bytes root = make_root(name, 1);
    unit_text pem = {0}, text;
    (void)state;
    while (root.len % 3 != 0) {
        free(root.bytes);
        strcat(name, "x");
        root = make_root(name, 1);
    }
    cert_add_pem(&pem, "CERTIFICATE", root.bytes, root.len, "\n");
    text = replaced(&pem, "\n-----END", "\nA\n-----END");
    check_form("one", &text, FORM_BAD);
    text = replaced(&pem, "\n-----END", "\nAAA\n-----END");
    check_form("three", &text, FORM_BAD);
    text = replaced(&pem, "\n-----END", "\nA===\n-----END");
    check_form("one and padding", &text, FORM_BAD);
    text = joined("", &pem, "");
    check_form("none", &text, FORM_OK);
    free(pem.text);
    free(root.bytes);
}

static void der_is_read_one_after_the_other(void **state)
{
    cert_bytes a = make_root("A", 1), b = make_root("B", 3);
    unit_text two = {0}, text;
    size_t len;
    (void)state;
    unit_add(&two, (const char *)a.bytes, a.len);
    check_bundle("one", &two, HTOK_REASON_NONE, NULL, -1);
    unit_add(&two, (const char *)b.bytes, b.len);
    check_bundle("two", &two, HTOK_REASON_NONE, NULL, -1);
    for (len = 3; len < two.len; len++) {
        if (len != a.len) {
            text = joined("", &two, "");
            text.len = len;
            check_bundle("cut", &text, HTOK_REASON_TRUST_MALFORMED, NULL, len < a.len ? 0 : (int64_t)a.len);
            free(text.text);
        }
    }
    text = joined("", &two, "\n");
    check_bundle("a line end behind them", &text, HTOK_REASON_TRUST_MALFORMED,
                 "well-formed certificates before it: 2", (int64_t)two.len);
    free(text.text);
    text = joined("", &two, "0\x82");
    check_bundle("a third one begun", &text, HTOK_REASON_TRUST_MALFORMED, NULL, (int64_t)two.len);
    free(text.text);
    text = joined("", &two, "1\x81\x02\x05\x01\x01");
    check_bundle("a SET behind them", &text, HTOK_REASON_TRUST_MALFORMED, NULL, (int64_t)two.len);
    free(text.text);
    text = joined("", &two, "0\x80\x02\x05\x01\x01");
    check_bundle("one of no length behind them", &text, HTOK_REASON_TRUST_MALFORMED, NULL, (int64_t)two.len);
    free(text.text);
    text = joined("", &two, "0\x84\x01\x01\x01\x01\x01\x01");
    check_bundle("one of 16 MiB behind them", &text, HTOK_REASON_TRUST_MALFORMED, NULL, (int64_t)two.len);
    free(text.text);
    free(two.text);
    free(a.bytes);
    free(b.bytes);
}

static void a_certificate_of_more_than_64_kib_is_read(void **state)
{
    cert_spec spec = ROOT_WITH(NULL);
    unit_text extensions = {0}, two = {0}, pem = {0};
    cert_bytes root;
    size_t i;
    (void)state;
    unit_add_text(&extensions, CA_NAMED " raw:2a03=0483011170");
    for (i = 0; i < 70000; i++) {
        unit_add_text(&extensions, "05");
    }
    spec.extensions = extensions.text;
    root = cert_make(&spec);
    assert_true(root.bytes[1] == 0x83);
    cert_add(&two, &spec);
    cert_add(&two, &spec);
    check_bundle("DER", &two, HTOK_REASON_NONE, NULL, -1);
    cert_add_pem(&pem, "CERTIFICATE", root.bytes, root.len, "\n");
    check_bundle("PEM", &pem, HTOK_REASON_NONE, NULL, -1);
    free(extensions.text);
    free(two.text);
    free(pem.text);
    free(root.bytes);
}

static void trust_needs_one_certificate_of_use(void **state)
{
    static const struct {
        const char *label;
        cert_spec spec;
        htok_reason reason;
    } rows[] = {
        {"good", ROOT_WITH(CA_NAMED), HTOK_REASON_NONE},
        {"expired",
         {.subject = "Root", .key = 1, .extensions = CA_NAMED, .not_after = "210101000000Z"},
         HTOK_REASON_TRUST_EMPTY},
        {"for clients", ROOT_WITH("ca eku:client"), HTOK_REASON_TRUST_EMPTY},
        {"Ed25519",
         {.subject = "Root", .signer = 1, .extensions = CA_NAMED, .spki_hex = ED25519},
         HTOK_REASON_TRUST_EMPTY},
        {"a point too short",
         {.subject = "Root", .signer = 1, .extensions = CA_NAMED, .spki_hex = "3013" OID_P256 "0303000401"},
         HTOK_REASON_TRUST_EMPTY},
        {"no point",
         {.subject = "Root", .signer = 1, .extensions = CA_NAMED, .spki_hex = "3010" P384_OID "030100"},
         HTOK_REASON_TRUST_EMPTY},
        {"no such date",
         {.subject = "Root", .key = 1, .extensions = CA_NAMED, .not_after = "21010100000AZ"},
         HTOK_REASON_TRUST_MALFORMED},
        {"a date without its end",
         {.subject = "Root", .key = 1, .extensions = CA_NAMED, .not_after = "2101010000000"},
         HTOK_REASON_TRUST_MALFORMED},
        {"an extension twice", ROOT_WITH("ca ca"), HTOK_REASON_TRUST_MALFORMED},
        {"parameters behind the key",
         {.subject = "Root", .signer = 1, .extensions = CA_NAMED, .spki_hex = ED25519 "0500"},
         HTOK_REASON_TRUST_MALFORMED},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        unit_text text = {0};
        cert_add(&text, &rows[i].spec);
        check_bundle(rows[i].label, &text, rows[i].reason, NULL, -1);
        if (rows[i].reason == HTOK_REASON_TRUST_EMPTY) {
            cert_add(&text, &rows[0].spec);
            check_bundle(rows[i].label, &text, HTOK_REASON_NONE, NULL, -1);
        }
        free(text.text);
    }
}

static void an_expired_root_is_trusted_where_the_caller_says_so(void **state)
{
    static const cert_spec root = {
        .subject = "Root", .key = 1, .extensions = CA_NAMED, .not_after = "210101000000Z"};
    static const cert_spec leaf = LEAF, early = {.subject = "Root",
                                                 .key = 1,
                                                 .extensions = CA_NAMED,
                                                 .not_before = "300101000000Z"};
    cert_bytes chain = cert_make(&leaf);
    void *scratch = malloc(sizeof(htoki_x509));
    htoki_tls_config config;
    unit_text roots = {0}, later = {0};
    verdict v;
    (void)state;
    assert_non_null(scratch);
    cert_add(&roots, &root);
    cert_add(&later, &early);
    config_begin(&config, scratch);
    config.trust = htoki_view(roots.text, roots.len);
    v = judge(&config, &chain, 1, 0);
    check_number(v.reason, HTOK_REASON_CERTIFICATE_UNTRUSTED, "by default");
    check_text(v.detail, "the trusted certificate that may have signed has expired", "detail");
    config.expired_roots = true;
    check_number(judge(&config, &chain, 1, 0).code, 0, "allowed");
    config.trust = htoki_view(later.text, later.len);
    check_number(judge(&config, &chain, 1, 0).reason, HTOK_REASON_CERTIFICATE_UNTRUSTED, "not yet valid");
    free(roots.text);
    free(later.text);
    free(chain.bytes);
    free(scratch);
}

static void an_expired_root_counts_only_where_the_time_is_known(void **state)
{
    static const cert_spec old = {
        .subject = "Root", .key = 1, .extensions = CA_NAMED, .not_after = "210101000000Z"};
    unit_text text = {0};
    htok_error e;
    (void)state;
    cert_add(&text, &old);
    unit_error_begin(&e);
    assert_int_equal(htoki_trust_check(htoki_view(text.text, text.len), false, 0, &e), HTOK_OK);
    assert_int_equal(htoki_trust_check(htoki_view(text.text, text.len), true, 0, &e), HTOK_OK);
    assert_int_equal(htoki_trust_check(htoki_view(text.text, text.len), true, 1600000000, &e), HTOK_OK);
    assert_int_equal(htoki_trust_check(htoki_view(text.text, text.len), true, NOW, &e),
                     HTOK_INVALID_REQUEST_ERROR);
    check_text(e.detail,
               "certificates: 1, all expired, limited to other uses or with another key than RSA of 2048 to "
               "4096 bits, P-256, P-384 or "
               "P-521; checked at 2026-11-24 06:00 UTC",
               "detail");
    free(text.text);
}

/* Judges the default leaf under a bundle's text. */
static verdict judge_under(const unit_text *bundle)
{
    static const cert_spec spec = LEAF;
    cert_bytes leaf = cert_make(&spec);
    void *scratch = malloc(sizeof(htoki_x509));
    char *trust = unit_exact(bundle->text, bundle->len);
    htoki_tls_config config;
    verdict v;
    assert_non_null(scratch);
    config_begin(&config, scratch);
    config.trust = htoki_view(trust, bundle->len);
    v = judge(&config, &leaf, 1, 0);
    free(leaf.bytes);
    free(trust);
    free(scratch);
    return v;
}

static void a_root_is_found_anywhere_in_a_bundle(void **state)
{
    cert_bytes root = make_root("Root", 1);
    unsigned before;
    (void)state;
    for (before = 0; before < 5; before++) {
        unit_text pem = {0}, der = {0};
        unsigned i;
        for (i = 0; i < 5; i++) {
            char name[16];
            cert_bytes other;
            snprintf(name, sizeof name, "Other %u", i);
            other = make_root(name, 9 + i);
            unit_add_text(&pem, "# comment\n" KEY_BLOCK);
            if (i == before) {
                cert_add_pem(&pem, "CERTIFICATE", root.bytes, root.len, "\r\n");
                unit_add(&der, (const char *)root.bytes, root.len);
            }
            cert_add_pem(&pem, "X509 CERTIFICATE", other.bytes, other.len, "\n");
            unit_add(&der, (const char *)other.bytes, other.len);
            free(other.bytes);
        }
        check_number(judge_under(&pem).code, 0, "PEM");
        check_number(judge_under(&der).code, 0, "DER");
        free(pem.text);
        free(der.text);
    }
    free(root.bytes);
}

/* OpenSSL's own form holds what a certificate is rejected for: X509_CERT_AUX, here for TLS servers. */
static void a_certificate_that_is_marked_as_rejected_is_not_trusted(void **state)
{
    cert_bytes root = make_root("Root", 1);
    unit_text bundle = {0};
    unsigned char *marked = (unsigned char *)malloc(root.len + 14);
    verdict v;
    (void)state;
    assert_non_null(marked);
    memcpy(marked, root.bytes, root.len);
    memcpy(marked + root.len, "\x30\x0c\xa0\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01", 14);
    cert_add_pem(&bundle, "TRUSTED CERTIFICATE", marked, root.len + 14, "\n");
    v = judge_under(&bundle);
    check(v.reason == HTOK_REASON_CERTIFICATE_UNTRUSTED, "%s", htok_reason_name(v.reason));
    cert_add_pem(&bundle, "CERTIFICATE", root.bytes, root.len, "\n");
    check_number(judge_under(&bundle).code, 0, "beside the same without marks");
    free(bundle.text);
    free(marked);
    free(root.bytes);
}

/* ---- What one chain leaves behind. ---- */

static void a_verdict_does_not_depend_on_the_one_before(void **state)
{
    static const cert_spec good_spec = LEAF, bad_spec = LEAF_WITH("san:d=b.example"),
                           evil_spec = {
                               .subject = "leaf", .issuer = "Root", .key = 2, .signer = 9, .extensions = SAN};
    cert_bytes good = cert_make(&good_spec), bad = cert_make(&bad_spec), evil = cert_make(&evil_spec);
    chain_case root_only = {.label = "root"};
    unit_text roots = {0};
    void *scratch = malloc(sizeof(htoki_x509));
    htoki_tls_config config;
    unsigned round;
    (void)state;
    assert_non_null(scratch);
    make_roots(&root_only, &roots);
    config_begin(&config, scratch);
    config.trust = htoki_view(roots.text, roots.len);
    for (round = 0; round < 3; round++) {
        memset(scratch, 0xa5, sizeof(htoki_x509));
        check_number(judge(&config, &good, 1, 0).code, 0, "good");
        check_number(judge(&config, &evil, 1, 0).reason, HTOK_REASON_CERTIFICATE_UNTRUSTED, "evil");
        check_number(judge(&config, &bad, 1, 0).reason, HTOK_REASON_CERTIFICATE_NAME, "bad");
        check_number(judge(&config, NULL, 0, 0).code, BR_ERR_X509_EMPTY_CHAIN, "none");
    }
    free(good.bytes);
    free(bad.bytes);
    free(evil.bytes);
    free(roots.text);
    free(scratch);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dns_names_must_be_equal_but_for_case_and_a_last_dot),
        cmocka_unit_test(a_wildcard_stands_for_one_whole_label),
        cmocka_unit_test(addresses_must_stand_as_addresses),
        cmocka_unit_test(no_other_field_names_the_server),
        cmocka_unit_test(names_come_before_trust_and_long_lists_are_cut),
        cmocka_unit_test(dates_count_to_the_second),
        cmocka_unit_test(a_trusted_certificate_is_not_trusted_before_its_time),
        cmocka_unit_test(the_detail_of_a_time_failure_never_holds_an_unread_date),
        cmocka_unit_test(the_work_buffer_also_fits_newer_bearssl),
        cmocka_unit_test(the_clock_s_digits_are_those_of_gmtime),
        cmocka_unit_test(chains_reach_a_trusted_certificate_in_order),
        cmocka_unit_test(only_authorities_sign),
        cmocka_unit_test(no_more_than_16_certificates_are_looked_at),
        cmocka_unit_test(a_trusted_authority_s_own_limits_hold),
        cmocka_unit_test(several_trusted_certificates_may_share_a_name),
        cmocka_unit_test(a_trusted_key_that_does_not_fit_is_passed_over),
        cmocka_unit_test(the_server_s_certificate_itself_may_be_trusted),
        cmocka_unit_test(a_trusted_server_vouches_for_its_own_names_alone),
        cmocka_unit_test(extended_key_usage_must_allow_a_server),
        cmocka_unit_test(a_root_with_a_critical_extension_of_unknown_meaning_signs_nothing),
        cmocka_unit_test(name_constraints_hold_for_the_host),
        cmocka_unit_test(name_constraints_of_one_kind_say_nothing_of_another),
        cmocka_unit_test(a_refusal_is_told_only_where_it_decides),
        cmocka_unit_test(name_constraints_hold_for_the_address),
        cmocka_unit_test(excluded_trees_that_are_no_names_refuse),
        cmocka_unit_test(rsa_keys_have_2048_to_4096_bits),
        cmocka_unit_test(other_keys_and_signatures_are_refused_by_name),
        cmocka_unit_test(one_key_of_the_chain_must_be_pinned),
        cmocka_unit_test(the_pins_seen_are_shown_in_the_chain_s_order),
        cmocka_unit_test(of_a_long_chain_the_first_pins_and_the_last_are_shown),
        cmocka_unit_test(every_character_of_a_pin_counts),
        cmocka_unit_test(pins_have_one_form),
        cmocka_unit_test(an_extension_must_not_come_twice),
        cmocka_unit_test(key_usage_must_not_come_twice),
        cmocka_unit_test(structures_are_taken_to_their_ends),
        cmocka_unit_test(every_cut_and_every_changed_byte_is_refused),
        cmocka_unit_test(a_name_is_hashed_unless_its_hash_is_given),
        cmocka_unit_test(a_walk_may_be_split_anywhere),
        cmocka_unit_test(a_walk_never_reads_beyond_or_fails_to_end),
        cmocka_unit_test(pem_is_read_generously),
        cmocka_unit_test(broken_pem_is_refused_and_says_where),
        cmocka_unit_test(each_part_of_a_trusted_certificate_has_its_place),
        cmocka_unit_test(certificates_need_all_their_parts),
        cmocka_unit_test(digits_left_over_are_refused),
        cmocka_unit_test(der_is_read_one_after_the_other),
        cmocka_unit_test(a_certificate_of_more_than_64_kib_is_read),
        cmocka_unit_test(trust_needs_one_certificate_of_use),
        cmocka_unit_test(an_expired_root_is_trusted_where_the_caller_says_so),
        cmocka_unit_test(an_expired_root_counts_only_where_the_time_is_known),
        cmocka_unit_test(a_root_is_found_anywhere_in_a_bundle),
        cmocka_unit_test(a_certificate_that_is_marked_as_rejected_is_not_trusted),
        cmocka_unit_test(a_verdict_does_not_depend_on_the_one_before),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("x509", tests, NULL, NULL);
}
