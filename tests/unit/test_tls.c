/* The TLS engine in memory, against BearSSL's server side and against bytes made by hand. */
#define _POSIX_C_SOURCE 200809L
#include <stdbool.h>
#include <stddef.h>
#include <bearssl.h>

#ifndef HATHORA_TOKENS_SMALL
/* What the processor has, or is said to have. */
static struct processor {
    bool scripted, x86_aes, x86_clmul, power_aes, power_ghash;
} processor;

static const br_block_ctr_class *x86_aes(void)
{
    return !processor.scripted ? br_aes_x86ni_ctr_get_vtable()
           : processor.x86_aes ? &br_aes_ct_ctr_vtable
                               : NULL;
}

static br_ghash x86_clmul(void)
{
    return !processor.scripted ? br_ghash_pclmul_get() : processor.x86_clmul ? br_ghash_ctmul : NULL;
}

static const br_block_ctr_class *power_aes(void)
{
    return !processor.scripted   ? br_aes_pwr8_ctr_get_vtable()
           : processor.power_aes ? &br_aes_ct_ctr_vtable
                                 : NULL;
}

static br_ghash power_ghash(void)
{
    return !processor.scripted ? br_ghash_pwr8_get() : processor.power_ghash ? br_ghash_ctmul : NULL;
}

#define br_aes_x86ni_ctr_get_vtable x86_aes
#define br_ghash_pclmul_get         x86_clmul
#define br_aes_pwr8_ctr_get_vtable  power_aes
#define br_ghash_pwr8_get           power_ghash
#endif

#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"
#include "stack.h"
#include "keys.h"

#define HOST              "a.test.example"
#define NOW               1795500000                           /* 2026-11-24 */
#define RECORD_IN(bytes)  ((bytes) < 808 ? 837 : (bytes) + 29) /* header, nonce, tag; BearSSL's least */
#define RECORD_OUT(bytes) ((bytes) + BR_SSL_BUFSIZE_OUTPUT - 16384)
#define LEAF_EXTENSIONS   "san:d=" HOST ",i=7f000001 eku:server notca"

/* ---- A client and a server with a wire between. ---- */

typedef struct pair {
    htoki_tls tls;
    htoki_tls_config config;
    htok_error error;
    unsigned char record_in[RECORD_IN(16384)], record_out[RECORD_OUT(1024)];
    htoki_x509 scratch;
    br_ssl_server_context server;
    unsigned char server_buffer[BR_SSL_BUFSIZE_BIDI];
    br_x509_certificate server_chain[1];
    cert_bytes leaf;
    unit_text roots, from_client, from_server; /* what went over the wire */
    size_t piece;                              /* largest step of bytes; 0: any */
    size_t cut_at, flip_at;                    /* offsets in from_server; SIZE_MAX: none */
    size_t records;     /* that the server may still send, with piece 0; SIZE_MAX: any */
    unit_text received; /* by the server's application */
    unit_text answer;   /* what the server's application sends once it received something */
    size_t answered;
} pair;

static void pair_begin(pair *p)
{
    static const cert_spec root = {.subject = "Root", .key = 1, .extensions = "ca! ku!:0204"};
    static const cert_spec leaf = {
        .subject = "leaf", .issuer = "Root", .key = 2, .signer = 1, .extensions = LEAF_EXTENSIONS};
    static const unsigned char entropy[32] = {1};
    memset(p, 0, sizeof *p);
    p->leaf = cert_make(&leaf);
    cert_add(&p->roots, &root);
    p->cut_at = p->flip_at = p->records = SIZE_MAX;
    unit_error_begin(&p->error);
    p->config.host = HOST;
    p->config.trust = htoki_view(p->roots.text, p->roots.len);
    p->config.time_known = true;
    p->config.unix_seconds = NOW;
    p->config.entropy = entropy;
    p->config.entropy_len = sizeof entropy;
    p->config.record_in = p->record_in;
    p->config.record_in_size = sizeof p->record_in;
    p->config.record_out = p->record_out;
    p->config.record_out_size = sizeof p->record_out;
    p->config.scratch = &p->scratch;
    p->config.scratch_size = sizeof p->scratch;
    memset(&p->scratch, 0xa5, sizeof p->scratch);
    p->server_chain[0].data = p->leaf.bytes;
    p->server_chain[0].data_len = p->leaf.len;
    br_ssl_server_init_full_ec(&p->server, p->server_chain, 1, BR_KEYTYPE_EC, &cert_key_of(2)->secret);
    br_ssl_engine_set_buffer(&p->server.eng, p->server_buffer, sizeof p->server_buffer, 1);
    br_ssl_engine_inject_entropy(&p->server.eng, "entropy of the server that is long enough", 41);
}

/* Another certificate for the server, before pair_start(). */
static void pair_certificate(pair *p, const cert_spec *leaf)
{
    free(p->leaf.bytes);
    p->leaf = cert_make(leaf);
    p->server_chain[0].data = p->leaf.bytes;
    p->server_chain[0].data_len = p->leaf.len;
}

static void pair_start(pair *p)
{
    check(htoki_tls_start(&p->tls, &p->config, &p->error), "%s", htok_reason_name(p->error.reason));
    assert_true(br_ssl_server_reset(&p->server));
}

static void pair_end(pair *p)
{
    htoki_tls_forget(&p->tls);
    free(p->leaf.bytes);
    free(p->roots.text);
    free(p->from_client.text);
    free(p->from_server.text);
    free(p->received.text);
    free(p->answer.text);
}

static size_t two(const char *bytes)
{
    return (size_t)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[1];
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The scratch memory is for others once the handshake is over: no use of it may matter any more. */
static void spoil_scratch(pair *p)
{
    if (htoki_tls_established(&p->tls)) {
        memset(&p->scratch, 0x5a, sizeof p->scratch);
    }
}

/* Bytes from a hand-made server to the client. Returns how many it took. */
static size_t give(pair *p, const void *bytes, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t room, n;
        unsigned char *in = htoki_tls_wire_in(&p->tls, &room);
        if (!in) {
            break;
        }
        n = least(least(room, len - at), p->piece ? p->piece : SIZE_MAX);
        memcpy(in, (const char *)bytes + at, n);
        htoki_tls_wire_in_done(&p->tls, n);
        spoil_scratch(p);
        while (htoki_tls_advance(&p->tls)) {
            spoil_scratch(p);
        }
        at += n;
    }
    return at;
}

/* What the client wants to send. */
static bool client_to(pair *p, unit_text *wire)
{
    size_t len;
    unsigned char *out = htoki_tls_wire_out(&p->tls, &len);
    if (!out) {
        return false;
    }
    len = least(len, p->piece ? p->piece : SIZE_MAX);
    unit_add(wire, (const char *)out, len);
    htoki_tls_wire_out_done(&p->tls, len);
    spoil_scratch(p);
    return true;
}

static bool server_step(pair *p)
{
    br_ssl_engine_context *server = &p->server.eng;
    size_t len, n = 0;
    unsigned char *bytes = br_ssl_engine_sendrec_buf(server, &len);
    if (bytes) {
        len = least(len, p->piece ? p->piece : SIZE_MAX);
        len = least(len, p->cut_at - p->from_server.len);
        if (p->flip_at - p->from_server.len < len) {
            bytes[p->flip_at - p->from_server.len] ^= 0x10;
        }
        if (len != 0 && p->records != 0) {
            p->records -= p->records != SIZE_MAX;
            n = give(p, bytes, len);
            unit_add(&p->from_server, (const char *)bytes, n);
            br_ssl_engine_sendrec_ack(server, n);
        }
        if (n != 0) {
            return true;
        }
    }
    bytes = br_ssl_engine_recvapp_buf(server, &len);
    if (bytes) {
        unit_add(&p->received, (const char *)bytes, len);
        br_ssl_engine_recvapp_ack(server, len);
        return true;
    }
    bytes = br_ssl_engine_sendapp_buf(server, &len);
    if (bytes && p->received.len != 0 && p->answered < p->answer.len) {
        len = least(len, p->answer.len - p->answered);
        memcpy(bytes, p->answer.text + p->answered, len);
        p->answered += len;
        br_ssl_engine_sendapp_ack(server, len);
        br_ssl_engine_flush(server, 0);
        return true;
    }
    return false;
}

/* Moves bytes both ways until nothing moves any more. */
static void pump(pair *p)
{
    unsigned steps = 0;
    size_t given = 0;
    bool moved = true;
    unit_text wire = {0};
    while (moved) {
        size_t room;
        unsigned char *in;
        check(steps++ < 2000000, "it never ends");
        moved = client_to(p, &wire);
        in = br_ssl_engine_recvrec_buf(&p->server.eng, &room);
        if (in && given < wire.len) {
            size_t n = least(room, wire.len - given);
            memcpy(in, wire.text + given, n);
            given += n;
            br_ssl_engine_recvrec_ack(&p->server.eng, n);
            moved = true;
        }
        moved = server_step(p) || moved;
    }
    unit_add(&p->from_client, wire.text, wire.len);
    free(wire.text);
}

static void send_data(pair *p, const char *bytes, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t room;
        unsigned char *out = htoki_tls_data_out(&p->tls, &room);
        check(out != NULL, "no room for data");
        room = least(room, len - at);
        memcpy(out, bytes + at, room);
        htoki_tls_data_out_done(&p->tls, room);
        at += room;
        htoki_tls_flush(&p->tls);
        pump(p);
    }
}

/* All that the server has to send, as one piece. */
static void gather_from_server(pair *p, unit_text *wire)
{
    size_t len;
    unsigned char *bytes;
    while ((bytes = br_ssl_engine_sendrec_buf(&p->server.eng, &len)) != NULL) {
        unit_add(wire, (const char *)bytes, len);
        br_ssl_engine_sendrec_ack(&p->server.eng, len);
    }
}

static void take_data(pair *p, unit_text *data)
{
    size_t len;
    unsigned char *in;
    while ((in = htoki_tls_data_in(&p->tls, &len)) != NULL) {
        len = least(len, p->piece ? p->piece : SIZE_MAX);
        unit_add(data, (const char *)in, len);
        htoki_tls_data_in_done(&p->tls, len);
        pump(p);
    }
}

static void check_failure(pair *p, htok_reason reason, int tls_error, const char *label)
{
    check(htoki_tls_closed(&p->tls), "%s: not closed", label);
    check(!htoki_tls_established(&p->tls), "%s: established", label);
    check(!htoki_tls_closed_cleanly(&p->tls), "%s: closed cleanly", label);
    check_number(htoki_tls_failure(&p->tls, HTOK_PHASE_HANDSHAKE, &p->error), HTOK_CONNECTION_ERROR, label);
    check(p->error.reason == reason, "%s: %s (%s), not %s", label, htok_reason_name(p->error.reason),
          htok_tls_error_name(p->error.tls_error), htok_reason_name(reason));
    check_number(p->error.tls_error, tls_error, label);
    check_number(p->error.phase, HTOK_PHASE_HANDSHAKE, label);
}

static const char *line_of(const htok_error *e)
{
    static char line[1024];
    assert_true(htok_error_format(e, line, sizeof line) < sizeof line);
    return line;
}

static void check_line(const pair *p, const char *text, const char *label)
{
    check(strstr(line_of(&p->error), text) != NULL, "%s: no \"%s\" in: %s", label, text, line_of(&p->error));
}

/* ---- Handshakes. ---- */

static void a_handshake_works_in_pieces_of_any_size(void **state)
{
    static const size_t pieces[] = {0, 1, 2, 3, 5, 64, 255, 1000};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(pieces); i++) {
        static pair p;
        unit_text data = {0}, long_text = {0};
        size_t len;
        unsigned n;
        char label[32];
        snprintf(label, sizeof label, "pieces of %u", (unsigned)pieces[i]);
        pair_begin(&p);
        p.piece = pieces[i];
        for (n = 0; n < 3000; n++) {
            unit_add(&long_text, (const char *)&n, sizeof n);
        }
        unit_add(&p.answer, long_text.text, long_text.len);
        pair_start(&p);
        assert_null(htoki_tls_data_in(&p.tls, &len));
        assert_null(htoki_tls_data_out(&p.tls, &len));
        htoki_tls_flush(&p.tls);
        pump(&p);
        check(htoki_tls_established(&p.tls), "%s: %d", label, br_ssl_engine_last_error(&p.tls.client.eng));
        assert_false(htoki_tls_closed(&p.tls));
        send_data(&p, long_text.text, long_text.len);
        take_data(&p, &data);
        check_bytes_at(p.received.text, p.received.len, long_text.text, long_text.len, label, __FILE__,
                       __LINE__);
        check_bytes_at(data.text, data.len, long_text.text, long_text.len, label, __FILE__, __LINE__);
        htoki_tls_close(&p.tls);
        pump(&p);
        assert_true(htoki_tls_closed(&p.tls));
        check_number(br_ssl_engine_current_state(&p.server.eng), BR_SSL_CLOSED, label);
        check_number(br_ssl_engine_last_error(&p.server.eng), 0, label);
        free(data.text);
        free(long_text.text);
        pair_end(&p);
    }
}

/* The server's first flight as it would go over the wire, which the client has not seen; and its messages without the
   records around them. */
static void hold_flight(pair *p, unit_text *flight, unit_text *messages)
{
    unit_text wire = {0};
    unsigned char *bytes;
    size_t len, at;
    while (client_to(p, &wire)) {}
    for (at = 0; at < wire.len; at += len) {
        bytes = br_ssl_engine_recvrec_buf(&p->server.eng, &len);
        assert_non_null(bytes);
        len = least(len, wire.len - at);
        memcpy(bytes, wire.text + at, len);
        br_ssl_engine_recvrec_ack(&p->server.eng, len);
    }
    while ((bytes = br_ssl_engine_sendrec_buf(&p->server.eng, &len)) != NULL) {
        unit_add(flight, (const char *)bytes, len);
        br_ssl_engine_sendrec_ack(&p->server.eng, len);
    }
    for (at = 0; at < flight->len; at += len) {
        len = 5 + two(flight->text + at + 3);
        assert_int_equal(flight->text[at], 22);
        unit_add(messages, flight->text + at + 5, len - 5);
    }
    free(wire.text);
}

static void add_record(unit_text *wire, const char *bytes, size_t len)
{
    char header[5] = {22, 3, 3};
    header[3] = (char)(len >> 8);
    header[4] = (char)len;
    unit_add(wire, header, sizeof header);
    unit_add(wire, bytes, len);
}

/* RFC 5246 section 6.2.1: messages and records need not coincide. */
static void a_flight_may_lie_across_records_in_any_way(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 50, 100, 101, 102, 103, 1000, 16384};
    static const size_t pieces[] = {0, 1, 3};
    size_t i, n;
    (void)state;
    for (i = 0; i < UNIT_COUNT(sizes) * UNIT_COUNT(pieces) * 2; i++) {
        static pair p;
        unit_text flight = {0}, messages = {0}, wire = {0};
        size_t size = sizes[i % UNIT_COUNT(sizes)];
        bool empty = i >= UNIT_COUNT(sizes) * UNIT_COUNT(pieces);
        pair_begin(&p);
        pair_start(&p);
        hold_flight(&p, &flight, &messages);
        for (n = 0; n < messages.len; n += size) {
            add_record(&wire, messages.text + n, least(size, messages.len - n));
            if (empty && n == 0) {
                add_record(&wire, "", 0);
            }
        }
        p.piece = pieces[i / UNIT_COUNT(sizes) % UNIT_COUNT(pieces)];
        check_number(give(&p, wire.text, wire.len), wire.len, "taken in");
        pump(&p);
        check(htoki_tls_established(&p.tls), "records of %u: %d", (unsigned)size,
              br_ssl_engine_last_error(&p.tls.client.eng));
        pair_end(&p);
        free(flight.text);
        free(messages.text);
        free(wire.text);
    }
}

/* For each may ask for public-key operations, which shall not come together. */
static void a_record_of_several_messages_is_taken_in_one_at_a_time(void **state)
{
    static pair p;
    unit_text flight = {0}, messages = {0};
    size_t end = 0, len;
    unsigned pauses = 0;
    unsigned char *in;
    (void)state;
    pair_begin(&p);
    pair_start(&p);
    hold_flight(&p, &flight, &messages);
    assert_int_equal(flight.len, messages.len + 5); /* one record */
    in = htoki_tls_wire_in(&p.tls, &len);
    assert_true(in && len >= flight.len);
    memcpy(in, flight.text, flight.len);
    htoki_tls_wire_in_done(&p.tls, flight.len);
    do {
        end += 4 + ((size_t)(unsigned char)messages.text[end + 1] << 16) + two(messages.text + end + 2);
        check_number(p.tls.ahead_end - p.tls.ahead, messages.len - end, "what is left behind a message");
        pauses++;
    } while (htoki_tls_advance(&p.tls));
    assert_int_equal(pauses, 4); /* ServerHello, Certificate, ServerKeyExchange, ServerHelloDone */
    assert_int_equal(end, messages.len);
    pump(&p);
    assert_true(htoki_tls_established(&p.tls));
    pair_end(&p);
    free(flight.text);
    free(messages.text);
}

/* A server that does not know the name may say so before its flight; what is encrypted is never cut. */
static void a_warning_before_a_record_of_several_messages_changes_nothing(void **state)
{
    static const char warning[7] = {21, 3, 3, 0, 2, 1, 112};
    static pair p;
    unit_text flight = {0}, messages = {0};
    unsigned char *in;
    size_t len;
    unsigned pauses = 1;
    (void)state;
    pair_begin(&p);
    pair_start(&p);
    hold_flight(&p, &flight, &messages);
    in = htoki_tls_wire_in(&p.tls, &len);
    memcpy(in, warning, sizeof warning);
    memcpy(in + sizeof warning, flight.text, flight.len);
    htoki_tls_wire_in_done(&p.tls, sizeof warning + flight.len);
    while (htoki_tls_advance(&p.tls)) {
        pauses++;
    }
    assert_int_equal(pauses, 5); /* the warning and four messages */
    pump(&p);
    assert_true(htoki_tls_established(&p.tls));
    pair_end(&p);
    free(flight.text);
    free(messages.text);
}

/* Records of the largest size fill the client's buffer to its last byte, or almost. */
static void check_whole_records(pair *p, const char *label)
{
    unit_text data = {0};
    size_t n, wire = p->from_server.len;
    for (n = 0; n < 3 * 16384; n++) {
        char byte = (char)(n * 7 + n / 251);
        unit_add(&p->answer, &byte, 1);
    }
    send_data(p, "x", 1);
    take_data(p, &data);
    check_number(p->received.len, 1, label);
    check_number(two(p->from_server.text + wire + 3) >= 16384 + 16, true, label);
    check_bytes_at(data.text, data.len, p->answer.text, p->answer.len, label, __FILE__, __LINE__);
    free(data.text);
}

/* How many suites are offered for each kind of key; the first of those below. */
#ifdef HATHORA_TOKENS_SMALL
enum { SUITES = 1 };
#else
enum { SUITES = 3 };
#endif

static void each_suite_works_with_each_kind_of_key(void **state)
{
    static const uint16_t suites[2][3] = {
        {BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
         BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
        {BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
         BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}};
    static unsigned char secret_bytes[BR_RSA_KBUF_PRIV_SIZE(2048)], open_bytes[BR_RSA_KBUF_PUB_SIZE(2048)];
    br_rsa_private_key secret;
    br_rsa_public_key open;
    br_hmac_drbg_context random;
    cert_spec leaf = {.subject = "leaf", .issuer = "Root", .signer = 1, .extensions = LEAF_EXTENSIONS};
    unit_text hex = {0};
    size_t rsa, i;
    (void)state;
    br_hmac_drbg_init(&random, &br_sha256_vtable, "seed", 4);
    assert_true(
        br_rsa_keygen_get_default()(&random.vtable, &secret, secret_bytes, &open, open_bytes, 2048, 65537));
    cert_rsa_spki(open.n, open.nlen, open.e, open.elen, &hex);
    leaf.spki_hex = hex.text;
    for (rsa = 0; rsa < 2; rsa++) {
        for (i = 0; i < SUITES; i++) {
            static pair p;
            char label[32];
            snprintf(label, sizeof label, "suite %04x", (unsigned)suites[rsa][i]);
            pair_begin(&p);
            if (rsa) {
                pair_certificate(&p, &leaf);
                br_ssl_server_init_full_rsa(&p.server, p.server_chain, 1, &secret);
                br_ssl_engine_set_buffer(&p.server.eng, p.server_buffer, sizeof p.server_buffer, 1);
                br_ssl_engine_inject_entropy(&p.server.eng, "entropy of the server that is long enough", 41);
            }
            br_ssl_engine_set_suites(&p.server.eng, &suites[rsa][i], 1);
            pair_start(&p);
            pump(&p);
            check(htoki_tls_established(&p.tls), "%s: %d", label,
                  br_ssl_engine_last_error(&p.tls.client.eng));
            check_number(p.tls.client.eng.session.cipher_suite, suites[rsa][i], label);
            check_whole_records(&p, label);
            pair_end(&p);
        }
    }
    free(hex.text);
}

static void no_other_suite_is_offered(void **state)
{
    static const uint16_t others[] = {
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, BR_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_CCM, BR_TLS_ECDH_ECDSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA};
    static pair p;
    (void)state;
    pair_begin(&p);
    br_ssl_engine_set_suites(&p.server.eng, others, UNIT_COUNT(others));
    pair_start(&p);
    pump(&p);
    check_failure(&p, HTOK_REASON_TLS_ALERT, BR_ERR_RECV_FATAL_ALERT + BR_ALERT_HANDSHAKE_FAILURE, "CBC");
    check_line(&p, "another cipher suite than ECDHE with AES-GCM or ChaCha20", "CBC");
    pair_end(&p);
}

/* ---- The first flight. ---- */

typedef struct hello {
    const unsigned char *suites, *sni, *algorithms, *alpn, *fragment;
    size_t suites_len, sni_len, algorithms_len, alpn_len, fragment_len;
    unsigned record_version, version, extensions;
    uint64_t session_len;
} hello;

static void read_hello(const unit_text *wire, hello *h)
{
    const char *t = wire->text;
    size_t at = 43, end;
    memset(h, 0, sizeof *h);
    assert_true(wire->len > 48 && t[0] == 22 && t[5] == 1);
    check_number(two(t + 3) + 5, wire->len, "one record");
    h->record_version = (unsigned)two(t + 1);
    h->version = (unsigned)two(t + 9);
    h->session_len = (unsigned char)t[at];
    at += 1 + (unsigned char)t[at];
    h->suites = (const unsigned char *)t + at + 2;
    h->suites_len = two(t + at);
    at += 2 + h->suites_len;
    check(t[at] == 1 && t[at + 1] == 0, "compression");
    at += 2;
    end = at + 2 + two(t + at);
    at += 2;
    check_number(end, wire->len, "length of the extensions");
    while (at < end) {
        size_t type = two(t + at), len = two(t + at + 2);
        const unsigned char *value = (const unsigned char *)t + at + 4;
        h->extensions++;
        if (type == 0) {
            h->sni = value + 5;
            h->sni_len = len - 5;
        } else if (type == 1) {
            h->fragment = value;
            h->fragment_len = len;
        } else if (type == 13) {
            h->algorithms = value + 2;
            h->algorithms_len = len - 2;
        } else if (type == 16) {
            h->alpn = value + 2;
            h->alpn_len = len - 2;
        }
        at += 4 + len;
    }
}

static void first_flight(pair *p, hello *h)
{
    pair_start(p);
    p->from_client.len = 0;
    while (client_to(p, &p->from_client)) {}
    read_hello(&p->from_client, h);
}

static void the_hello_offers_tls_1_2_and_http_1_1_alone(void **state)
{
    static pair p;
    hello h;
    size_t i;
    (void)state;
    pair_begin(&p);
    p.config.host = "A.Test.EXAMPLE.";
    first_flight(&p, &h);
    check_number(h.version, 0x0303, "version");
    check_number(h.session_len, 0, "session");
    check_bytes_at((const char *)h.sni, h.sni_len, HOST, strlen(HOST), "server name", __FILE__, __LINE__);
    check_bytes_at((const char *)h.alpn, h.alpn_len, "\x08http/1.1", 9, "ALPN", __FILE__, __LINE__);
    check(h.fragment == NULL, "a fragment length");
    check_number(h.suites_len, 2 * 2 * SUITES, "suites");
    for (i = 0; i < h.suites_len; i += 2) {
        size_t suite = two((const char *)h.suites + i);
        check(suite == 0xc02b || suite == 0xc02c || suite == 0xc02f || suite == 0xc030 || suite == 0xcca8 ||
                  suite == 0xcca9,
              "suite %04x", (unsigned)suite);
    }
    assert_true(h.algorithms_len != 0);
    for (i = 0; i < h.algorithms_len; i += 2) {
        check(h.algorithms[i] >= 4 && h.algorithms[i] <= 6, "hash %u", h.algorithms[i]);
        check(h.algorithms[i + 1] == 1 || h.algorithms[i + 1] == 3, "signature %u", h.algorithms[i + 1]);
    }
    p.config.address = (const unsigned char *)"\x7f\0\0\x01";
    p.config.address_len = 4;
    p.config.host = "127.0.0.1";
    first_flight(&p, &h);
    check(h.sni == NULL, "a server name for an address");
    pair_end(&p);
}

#ifndef HATHORA_TOKENS_SMALL
static void aes_comes_first_where_the_processor_has_it(void **state)
{
    static const struct {
        struct processor has;
        unsigned first;
    } rows[] = {
        {{true, false, false, false, false}, BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
        {{true, true, false, false, false}, BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
        {{true, false, true, false, false}, BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
        {{true, false, false, true, false}, BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
        {{true, false, false, false, true}, BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
        {{true, true, true, false, false}, BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
        {{true, false, false, true, true}, BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        static pair p;
        hello h;
        processor = rows[i].has;
        pair_begin(&p);
        first_flight(&p, &h);
        check_number(h.suites_len, 12, "suites, and none for renegotiation");
        check_number(two((const char *)h.suites), rows[i].first, "the first");
        pair_end(&p);
    }
    memset(&processor, 0, sizeof processor);
}
#endif

static void fragments_are_asked_for_as_the_buffer_wants(void **state)
{
    static const struct {
        size_t record;
        unsigned code; /* RFC 6066 section 4: 1 is 512, 4 is 4096 */
    } rows[] = {{16384, 0}, {16383, 4}, {8192, 4}, {4096, 4}, {4095, 3}, {2048, 3}, {1024, 2}, {512, 1}};
    static pair p;
    hello h;
    size_t i;
    (void)state;
    pair_begin(&p);
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char label[32];
        snprintf(label, sizeof label, "%u bytes", (unsigned)rows[i].record);
        p.config.record_in_size = RECORD_IN(rows[i].record);
        first_flight(&p, &h);
        check_number(h.fragment ? h.fragment[0] : 0, rows[i].code, label);
    }
    pair_end(&p);
}

static void small_buffers_work_where_the_server_obeys(void **state)
{
    static pair p;
    unit_text data = {0};
    unsigned n;
    (void)state;
    pair_begin(&p);
    p.config.record_in_size = RECORD_IN(512);
    p.config.record_out_size = RECORD_OUT(512);
    for (n = 0; n < 1000; n++) {
        unit_add(&p.answer, (const char *)&n, sizeof n);
    }
    pair_start(&p);
    pump(&p);
    assert_true(htoki_tls_established(&p.tls));
    send_data(&p, p.answer.text, p.answer.len);
    take_data(&p, &data);
    check_bytes_at(data.text, data.len, p.answer.text, p.answer.len, "data", __FILE__, __LINE__);
    check_bytes_at(p.received.text, p.received.len, p.answer.text, p.answer.len, "data", __FILE__, __LINE__);
    free(data.text);
    pair_end(&p);
}

static void what_makes_a_handshake_impossible_is_said_before_it(void **state)
{
    static pair p;
    static char long_name[300];
    unsigned i;
    (void)state;
    pair_begin(&p);
    memset(long_name, 'a', 256);
    for (i = 0; i < 13; i++) {
        static const htok_reason reasons[] = {
            HTOK_REASON_TIME_UNKNOWN, HTOK_REASON_TIME_UNKNOWN,    HTOK_REASON_TIME_UNKNOWN,
            HTOK_REASON_TIME_UNKNOWN, HTOK_REASON_ENTROPY_MISSING, HTOK_REASON_INTERNAL,
            HTOK_REASON_INTERNAL,     HTOK_REASON_INTERNAL,        HTOK_REASON_INTERNAL,
            HTOK_REASON_INTERNAL,     HTOK_REASON_TLS_FAILED,      HTOK_REASON_TLS_FAILED,
            HTOK_REASON_NONE};
        htoki_tls_config config = p.config;
        char label[32];
        size_t len;
        bool started;
        snprintf(label, sizeof label, "case %u", i);
        config.time_known = i != 0;
        config.unix_seconds = i == 1 ? 0 : i == 2 ? -1 : i == 3 ? 253402300800 : NOW;
        config.entropy_len = i == 4 ? 31 : 32;
        config.host = i == 5 ? "" : i == 6 ? long_name : HOST;
        config.scratch_size -= i == 7;
        config.address = i == 8 || i == 9 ? (const unsigned char *)"12345678" : NULL;
        config.address_len = i == 8 ? 0 : 5;
        config.record_in_size = i == 10 ? RECORD_IN(512) - 1 : sizeof p.record_in;
        config.record_out_size = i == 11 ? RECORD_OUT(512) - 1 : sizeof p.record_out;
        unit_error_begin(&p.error);
        started = htoki_tls_start(&p.tls, &config, &p.error);
        check(started == (reasons[i] == HTOK_REASON_NONE), "%s: started", label);
        check_text(htok_reason_name(p.error.reason), htok_reason_name(reasons[i]), label);
        if (!started) {
            check_number(p.error.phase, HTOK_PHASE_HANDSHAKE, label);
            check(htoki_tls_closed(&p.tls) && !htoki_tls_established(&p.tls), "%s: not closed", label);
            assert_null(htoki_tls_wire_in(&p.tls, &len));
            assert_null(htoki_tls_wire_out(&p.tls, &len));
            htoki_tls_close(&p.tls);
        }
    }
    while (client_to(&p, &p.from_client)) {}
    assert_true(p.from_client.len != 0);
    pair_end(&p);
}

/* ---- Certificates, through the engine. ---- */

static void a_bad_certificate_ends_the_handshake_with_its_facts(void **state)
{
    static const cert_spec good = {
        .subject = "leaf", .issuer = "Root", .key = 2, .signer = 1, .extensions = LEAF_EXTENSIONS};
    static const struct {
        const char *label, *host;
        const char *extensions, *issuer, *not_after;
        unsigned pin;
        htok_reason reason;
        int code;
        const char *texts[2];
    } rows[] = {
        {"name",
         "b.example",
         LEAF_EXTENSIONS,
         "Root",
         NULL,
         0,
         HTOK_REASON_CERTIFICATE_NAME,
         BR_ERR_X509_BAD_SERVER_NAME,
         {"certificate is for a.test.example, 127.0.0.1", "check the host in the URL"}},
        {"common name",
         HOST,
         "notca",
         "Root",
         NULL,
         0,
         HTOK_REASON_CERTIFICATE_NAME,
         BR_ERR_X509_BAD_SERVER_NAME,
         {"holds no subjectAltName", "a common name without subjectAltName is not enough"}},
        {"time",
         HOST,
         LEAF_EXTENSIONS,
         "Root",
         "210101000000Z",
         0,
         HTOK_REASON_CERTIFICATE_TIME,
         BR_ERR_X509_EXPIRED,
         {"valid from 2020-01-01 00:00 to 2021-01-01 00:00, checked at 2026-11-24 06:00 UTC",
          "check this machine's clock first"}},
        {"issuer",
         HOST,
         LEAF_EXTENSIONS,
         "Other",
         NULL,
         0,
         HTOK_REASON_CERTIFICATE_UNTRUSTED,
         BR_ERR_X509_NOT_TRUSTED,
         {"the server sent 1 certificate; its issuer is not among the trusted",
          "leave out its intermediate certificates"}},
        {"usage",
         HOST,
         "san:d=" HOST " eku:client",
         "Root",
         NULL,
         0,
         HTOK_REASON_CERTIFICATE_USAGE,
         BR_ERR_X509_FORBIDDEN_KEY_USAGE,
         {"its extendedKeyUsage lacks serverAuth", ""}},
        {"key usage",
         HOST,
         LEAF_EXTENSIONS " ku!:0308",
         "Root",
         NULL,
         0,
         HTOK_REASON_CERTIFICATE_USAGE,
         BR_ERR_WRONG_KEY_USAGE,
         {"the certificate's keyUsage or kind of key does not fit the cipher suite", ""}},
        {"pin",
         HOST,
         LEAF_EXTENSIONS,
         "Root",
         NULL,
         9,
         HTOK_REASON_CERTIFICATE_PIN,
         BR_ERR_X509_NOT_TRUSTED,
         {"seen: sha256/", "a new key, or somebody is in between"}},
        {"critical",
         HOST,
         LEAF_EXTENSIONS " raw!:2a03=0500",
         "Root",
         NULL,
         0,
         HTOK_REASON_CERTIFICATE_INVALID,
         BR_ERR_X509_CRITICAL_EXTENSION,
         {"a critical extension in it is not supported", "BR_ERR_X509_CRITICAL_EXTENSION"}},
        {"encoding",
         HOST,
         LEAF_EXTENSIONS " aki:01 aki:02",
         "Root",
         NULL,
         0,
         HTOK_REASON_CERTIFICATE_INVALID,
         BR_ERR_X509_UNEXPECTED,
         {"the server's certificate is not acceptable: it holds an unexpected element", ""}},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        static pair p;
        cert_spec leaf = good;
        char pin[52];
        const char *pins[1];
        pair_begin(&p);
        leaf.extensions = rows[i].extensions;
        leaf.issuer = rows[i].issuer;
        leaf.not_after = rows[i].not_after;
        pair_certificate(&p, &leaf);
        p.config.host = rows[i].host;
        if (rows[i].pin != 0) {
            cert_pin(rows[i].pin, pin);
            pins[0] = pin;
            p.config.pins = pins;
            p.config.pin_count = 1;
        }
        pair_start(&p);
        pump(&p);
        check_failure(&p, rows[i].reason, rows[i].code, rows[i].label);
        check_line(&p, rows[i].texts[0], rows[i].label);
        check_line(&p, rows[i].texts[1], rows[i].label);
        check_number(p.received.len, 0, rows[i].label);
        pair_end(&p);
    }
}

/* A certificate is public: only its key makes a server. */
static void a_server_without_the_certificate_s_key_is_refused(void **state)
{
    static pair p;
    (void)state;
    pair_begin(&p);
    br_ssl_server_set_single_ec(&p.server, p.server_chain, 1, &cert_key_of(9)->secret, BR_KEYTYPE_SIGN,
                                BR_KEYTYPE_EC, br_ec_get_default(), br_ecdsa_sign_asn1_get_default());
    pair_start(&p);
    pump(&p);
    check_failure(&p, HTOK_REASON_TLS_FAILED, BR_ERR_BAD_SIGNATURE, "stolen certificate");
    pair_end(&p);
}

/* ---- Damage on the wire. ---- */

static void whole_handshake(unit_text *wire)
{
    static pair p;
    pair_begin(&p);
    pair_start(&p);
    pump(&p);
    assert_true(htoki_tls_established(&p.tls));
    unit_add(wire, p.from_server.text, p.from_server.len);
    pair_end(&p);
}

static void a_handshake_that_stops_anywhere_is_never_established(void **state)
{
    unit_text wire = {0};
    size_t cut;
    (void)state;
    whole_handshake(&wire);
    for (cut = 0; cut + 8 < wire.len; cut += cut % 64 < 8 ? 1 : 7) {
        static pair p;
        size_t len;
        pair_begin(&p);
        p.cut_at = cut;
        pair_start(&p);
        pump(&p);
        check(!htoki_tls_established(&p.tls), "established after %u bytes", (unsigned)cut);
        check(!htoki_tls_closed(&p.tls), "closed after %u bytes", (unsigned)cut);
        check(htoki_tls_wire_in(&p.tls, &len) != NULL && len != 0, "nothing wanted after %u bytes",
              (unsigned)cut);
        htoki_tls_close(&p.tls);
        while (client_to(&p, &p.from_client)) {}
        check(!htoki_tls_established(&p.tls), "established by closing after %u bytes", (unsigned)cut);
        pair_end(&p);
    }
    free(wire.text);
}

static void a_handshake_with_a_changed_byte_is_never_established(void **state)
{
    unit_text wire = {0};
    size_t flip;
    (void)state;
    whole_handshake(&wire);
    for (flip = 0; flip + 8 < wire.len; flip += flip % 64 < 16 ? 1 : 5) {
        static pair p;
        pair_begin(&p);
        p.flip_at = flip;
        pair_start(&p);
        pump(&p);
        check(!htoki_tls_established(&p.tls), "established with byte %u changed", (unsigned)flip);
        pair_end(&p);
    }
    free(wire.text);
}

static void changed_data_ends_the_connection(void **state)
{
    size_t offset;
    (void)state;
    for (offset = 0; offset < 40; offset += 3) {
        static pair p;
        unit_text data = {0};
        size_t len;
        pair_begin(&p);
        unit_add_text(&p.answer, "HTTP/1.1 200 OK");
        pair_start(&p);
        pump(&p);
        assert_true(htoki_tls_established(&p.tls));
        p.flip_at = p.from_server.len + 5 + offset % 30;
        send_data(&p, "x", 1);
        take_data(&p, &data);
        check(data.len == 0 && htoki_tls_data_in(&p.tls, &len) == NULL, "data with byte %u changed",
              (unsigned)offset);
        check(htoki_tls_closed(&p.tls) && !htoki_tls_closed_cleanly(&p.tls), "not closed at %u",
              (unsigned)offset);
        check_number(htoki_tls_failure(&p.tls, HTOK_PHASE_HEAD, &p.error), HTOK_CONNECTION_ERROR, "kind");
        check_number(p.error.reason, HTOK_REASON_TLS_FAILED, "reason");
        check_number(p.error.tls_error, BR_ERR_BAD_MAC, "code");
        pair_end(&p);
    }
}

static void a_close_notify_ends_a_handshake_at_every_record(void **state)
{
    unsigned level, records, ends = 0;
    (void)state;
    for (level = 1; level <= 2; level++) {
        for (records = 0; records < 32; records++) {
            static pair p;
            char alert[7] = {21, 3, 3, 0, 2, 1, 0}, label[40];
            size_t last = 0, at;
            snprintf(label, sizeof label, "level %u behind record %u", level, records);
            alert[5] = (char)level;
            pair_begin(&p);
            p.config.record_in_size = RECORD_IN(512); /* for more records */
            p.records = records;
            pair_start(&p);
            pump(&p);
            for (at = 0; at < p.from_server.len; at += 5 + two(p.from_server.text + at + 3)) {
                last = at;
            }
            if (p.from_server.len != 0 && p.from_server.text[last] != 22) { /* encrypted from here on */
                pair_end(&p);
                break;
            }
            ends++;
            give(&p, alert, sizeof alert);
            while (client_to(&p, &p.from_client)) {}
            if (level == 1) {
                check_failure(&p, HTOK_REASON_TLS_CLOSED, 0, label);
                check_line(&p, "it may want TLS 1.3 only, or it is no TLS server", label);
            } else {
                check_failure(&p, HTOK_REASON_TLS_ALERT, BR_ERR_RECV_FATAL_ALERT, label);
                check_line(&p, "alert received: close_notify", label);
            }
            pair_end(&p);
        }
    }
    check(ends >= 6, "%u ends", ends);
}

static void each_alert_has_its_name(void **state)
{
    static const struct {
        unsigned number;
        const char *name;
    } rows[] = {{10, "unexpected_message"}, {20, "bad_record_mac"},
                {22, "record_overflow"},    {40, "handshake_failure"},
                {42, "bad_certificate"},    {46, "certificate_unknown"},
                {47, "illegal_parameter"},  {48, "unknown_ca"},
                {50, "decode_error"},       {51, "decrypt_error"},
                {70, "protocol_version"},   {71, "insufficient_security"},
                {80, "internal_error"},     {86, "inappropriate_fallback"},
                {90, "user_canceled"},      {109, "missing_extension"},
                {112, "unrecognized_name"}, {116, "certificate_required"}};
    static pair p;
    unsigned number;
    size_t i = 0;
    (void)state;
    pair_begin(&p);
    for (number = 1; number < 256; number++) {
        char alert[7] = {21, 3, 3, 0, 2, 2, 0}, name[64], label[32];
        bool named = i < UNIT_COUNT(rows) && rows[i].number == number;
        bool alpn = number == 120;
        snprintf(label, sizeof label, "alert %u", number);
        alert[6] = (char)number;
        unit_error_begin(&p.error);
        pair_start(&p);
        while (client_to(&p, &p.from_client)) {}
        give(&p, alert, sizeof alert);
        check_failure(&p, alpn ? HTOK_REASON_TLS_ALPN : HTOK_REASON_TLS_ALERT,
                      BR_ERR_RECV_FATAL_ALERT + (int)number, label);
        if (named) {
            check_text(htok_tls_error_name(p.error.tls_error), rows[i].name, label);
            snprintf(name, sizeof name, "[alert received: %s", rows[i++].name);
            check_line(&p, name, label);
        }
    }
    check_number(i, UNIT_COUNT(rows), "all names");
    check_text(htok_tls_error_name(BR_ERR_RECV_FATAL_ALERT + 255), "unknown", "unknown");
    check_text(htok_tls_error_name(BR_ERR_SEND_FATAL_ALERT + 40), "handshake_failure", "sent");
    check_text(htok_tls_error_name(BR_ERR_SEND_FATAL_ALERT + 255), "unknown", "sent, unknown");
    pair_end(&p);
}

static void warnings_are_passed_over(void **state)
{
    static const char warning[7] = {21, 3, 3, 0, 2, 1, 112};
    static pair p;
    size_t records;
    (void)state;
    pair_begin(&p);
    p.config.record_in_size = RECORD_IN(512);
    pair_start(&p);
    for (records = 0; records < 2; records++) {
        p.records = records;
        pump(&p);
        check_number(give(&p, warning, sizeof warning), sizeof warning, "taken");
        check_number(give(&p, warning, sizeof warning), sizeof warning, "taken");
        assert_false(htoki_tls_closed(&p.tls));
    }
    p.records = SIZE_MAX;
    pump(&p);
    assert_true(htoki_tls_established(&p.tls));
    pair_end(&p);
}

/* ---- Bytes made by hand. ---- */

/* A handshake message in a record of its own. */
static void add_message(unit_text *t, unsigned type, const unit_text *body)
{
    char head[9];
    head[0] = 22;
    head[1] = 3;
    head[2] = 3;
    head[3] = (char)((body->len + 4) >> 8);
    head[4] = (char)((body->len + 4) & 255);
    head[5] = (char)type;
    head[6] = 0;
    head[7] = (char)(body->len >> 8);
    head[8] = (char)(body->len & 255);
    unit_add(t, head, sizeof head);
    unit_add(t, body->text, body->len);
}

/* A ServerHello; extensions and session are its raw bytes. */
static void add_server_hello(unit_text *t, unsigned version, size_t session_len, const char *extensions,
                             size_t len)
{
    unit_text body = {0};
    char bytes[2], filler[32];
    memset(filler, 0x49, sizeof filler);
    bytes[0] = (char)(version >> 8);
    bytes[1] = (char)(version & 255);
    unit_add(&body, bytes, 2);
    unit_add(&body, filler, 32);
    bytes[0] = (char)session_len;
    unit_add(&body, bytes, 1);
    unit_add(&body, filler, least(session_len, 32));
    unit_add(&body, "\xc0\x2b\0", 3);
    bytes[0] = 0;
    bytes[1] = (char)len;
    if (len != 0) {
        unit_add(&body, bytes, 2);
        unit_add(&body, extensions, len);
    }
    add_message(t, 2, &body);
    free(body.text);
}

static void give_all(pair *p, const unit_text *wire)
{
    p->from_client.len = 0;
    while (client_to(p, &p->from_client)) {}
    give(p, wire->text, wire->len);
    while (client_to(p, &p->from_client)) {}
}

static void another_protocol_than_offered_is_refused_by_name(void **state)
{
    static const char h2[] = "\0\x10\0\x05\0\x03\x02h2";
    size_t session_len;
    (void)state;
    for (session_len = 0; session_len <= 32; session_len += 32) {
        static pair p;
        unit_text wire = {0};
        pair_begin(&p);
        pair_start(&p);
        add_server_hello(&wire, 0x0303, session_len, h2, sizeof h2 - 1);
        give_all(&p, &wire);
        check_failure(&p, HTOK_REASON_TLS_ALPN, BR_ERR_UNEXPECTED,
                      session_len ? "with a session" : "without");
        check_line(&p, "the server does not offer HTTP/1.1", "h2");
        free(wire.text);
        pair_end(&p);
    }
}

static void the_server_may_choose_http_1_1_or_say_nothing(void **state)
{
    static const char *http[] = {"h2", "http/1.1"};
    static const char *only_h2[] = {"h2"};
    unsigned i;
    (void)state;
    for (i = 0; i < 3; i++) {
        static pair p;
        pair_begin(&p);
        if (i == 0) {
            br_ssl_engine_set_protocol_names(&p.server.eng, http, 2);
        } else if (i == 1) {
            br_ssl_engine_set_protocol_names(&p.server.eng, only_h2, 1);
            br_ssl_engine_add_flags(&p.server.eng, BR_OPT_FAIL_ON_ALPN_MISMATCH);
        }
        pair_start(&p);
        pump(&p);
        if (i == 1) {
            check_failure(&p, HTOK_REASON_TLS_ALPN,
                          BR_ERR_RECV_FATAL_ALERT + BR_ALERT_NO_APPLICATION_PROTOCOL, "h2");
        } else {
            check(htoki_tls_established(&p.tls), "case %u", i);
        }
        pair_end(&p);
    }
}

/* Messages out of order are TLS_FAILED, not blamed on a protocol that the server did choose rightly. */
static void an_unexpected_message_is_not_taken_for_another_protocol(void **state)
{
    static const char http[] = "\0\x10\0\x0b\0\x09\x08http/1.1";
    unsigned i;
    (void)state;
    for (i = 0; i < 4; i++) {
        static pair p;
        unit_text wire = {0}, empty = {0};
        char label[32];
        snprintf(label, sizeof label, "case %u", i);
        pair_begin(&p);
        pair_start(&p);
        add_server_hello(&wire, 0x0303, i % 2 ? 32 : 0, http, i < 2 ? 0 : sizeof http - 1);
        add_message(&wire, 14, &empty);
        give_all(&p, &wire);
        check_failure(&p, HTOK_REASON_TLS_FAILED, BR_ERR_UNEXPECTED, label);
        free(wire.text);
        pair_end(&p);
    }
}

static void what_is_no_tls_1_2_is_refused(void **state)
{
    static const char http[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    static const char empty_chain[] = {0, 0, 0}, empty_cert[] = {0, 0, 3, 0, 0, 0},
                      short_list[] = {0, 0, 9, 0, 0, 3, 0x30, 1, 0};
    static const char zeros[64] = {0};
    static const struct {
        const char *label;
        unsigned version; /* of a ServerHello that goes before; 0: none */
        const char *bytes;
        size_t len;
        unsigned message; /* the bytes are this message; 0: they are whole records */
        htok_reason reason;
        int code;
        const char *text;
    } rows[] = {
        {"HTTP", 0, http, sizeof http - 1, 0, HTOK_REASON_TLS_FAILED, BR_ERR_UNSUPPORTED_VERSION,
         "or the port is no TLS port"},
        {"zeros", 0, zeros, sizeof zeros, 0, HTOK_REASON_TLS_FAILED, BR_ERR_UNSUPPORTED_VERSION,
         "or the port is no TLS port"},
        {"an unknown type", 0, "\x63\x03\x03\0\x01x", 6, 0, HTOK_REASON_TLS_FAILED, BR_ERR_UNEXPECTED, ""},
        {"a record larger than any", 0, "\x16\x03\x03\x7f\xff", 5, 0, HTOK_REASON_TLS_FAILED,
         BR_ERR_BAD_LENGTH, ""},
        {"data before the handshake", 0, "\x17\x03\x03\0\x05hello", 10, 0, HTOK_REASON_TLS_FAILED,
         BR_ERR_UNEXPECTED, ""},
        {"CCS before the handshake", 0, "\x14\x03\x03\0\x01\x01", 6, 0, HTOK_REASON_TLS_FAILED,
         BR_ERR_UNEXPECTED, ""},
        {"SSL 3.0", 0x0300, "", 0, 0, HTOK_REASON_TLS_FAILED, BR_ERR_UNSUPPORTED_VERSION,
         "an older TLS than 1.2"},
        {"TLS 1.0", 0x0301, "", 0, 0, HTOK_REASON_TLS_FAILED, BR_ERR_UNSUPPORTED_VERSION,
         "an older TLS than 1.2"},
        {"TLS 1.1", 0x0302, "", 0, 0, HTOK_REASON_TLS_FAILED, BR_ERR_UNSUPPORTED_VERSION,
         "an older TLS than 1.2"},
        {"TLS 1.3", 0x0304, "", 0, 0, HTOK_REASON_TLS_FAILED, BR_ERR_UNSUPPORTED_VERSION, ""},
        {"no certificate", 0x0303, empty_chain, sizeof empty_chain, 11, HTOK_REASON_TLS_FAILED,
         BR_ERR_UNEXPECTED, ""},
        {"an empty certificate", 0x0303, empty_cert, sizeof empty_cert, 11, HTOK_REASON_CERTIFICATE_INVALID,
         BR_ERR_X509_TRUNCATED, ""},
        {"a list longer than its message", 0x0303, short_list, sizeof short_list, 11, HTOK_REASON_TLS_FAILED,
         BR_ERR_BAD_PARAM, ""},
        {"a finished message", 0x0303, "123456789012", 12, 20, HTOK_REASON_TLS_FAILED, BR_ERR_UNEXPECTED, ""},
    };
    size_t i, piece;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        for (piece = 0; piece < 2; piece++) {
            static pair p;
            unit_text wire = {0}, body = {0};
            pair_begin(&p);
            p.piece = piece;
            pair_start(&p);
            if (rows[i].version != 0) {
                add_server_hello(&wire, rows[i].version, 0, "", 0);
            }
            unit_add(&body, rows[i].bytes, rows[i].len);
            if (rows[i].message != 0) {
                add_message(&wire, rows[i].message, &body);
            } else {
                unit_add(&wire, body.text, body.len);
            }
            give_all(&p, &wire);
            check_failure(&p, rows[i].reason, rows[i].code, rows[i].label);
            check_line(&p, rows[i].text, rows[i].label);
            free(wire.text);
            free(body.text);
            pair_end(&p);
        }
    }
}

/* Plain records of the handshake go through a small buffer in pieces; encrypted ones must fit. */
static void a_record_larger_than_the_buffer_is_refused_by_name(void **state)
{
    size_t over;
    (void)state;
    for (over = 0; over < 2; over++) {
        static pair p;
        char head[5] = {23, 3, 3, 0, 0};
        size_t room = RECORD_IN(4096) - 5 + over;
        head[3] = (char)(room >> 8);
        head[4] = (char)(room & 255);
        pair_begin(&p);
        p.config.record_in_size = RECORD_IN(4096);
        pair_start(&p);
        pump(&p);
        assert_true(htoki_tls_established(&p.tls));
        give(&p, head, sizeof head);
        check_number(htoki_tls_closed(&p.tls), over, "closed");
        if (over) {
            check_number(htoki_tls_failure(&p.tls, HTOK_PHASE_HEAD, &p.error), HTOK_CONNECTION_ERROR, "kind");
            check_number(p.error.reason, HTOK_REASON_TLS_FAILED, "reason");
            check_number(p.error.tls_error, BR_ERR_TOO_LARGE, "code");
            check_line(&p, "its records are larger than record_bytes", "a byte too large");
        }
        pair_end(&p);
    }
}

static void random_records_never_establish(void **state)
{
    uint32_t random = 7;
    unsigned round;
    (void)state;
    for (round = 0; round < 300; round++) {
        static pair p;
        unit_text wire = {0};
        unsigned i;
        pair_begin(&p);
        pair_start(&p);
        if (round % 2) {
            add_server_hello(&wire, 0x0303, 32, "", 0);
        }
        for (i = 0; i < 200; i++) {
            char byte;
            random = random * 1103515245u + 12345u;
            byte = (char)(i == 0                ? 22
                          : i == 1 || i == 2    ? 3
                          : i == 3              ? 0
                          : i == 5 && round % 3 ? 11
                          : i == 6              ? 0
                                                : (int)(random >> 24));
            unit_add(&wire, &byte, 1);
        }
        give_all(&p, &wire);
        check(!htoki_tls_established(&p.tls), "round %u", round);
        free(wire.text);
        pair_end(&p);
    }
}

/* ---- Ends. ---- */

static void only_a_close_notify_is_a_clean_end(void **state)
{
    static pair p;
    unit_text data = {0};
    (void)state;
    pair_begin(&p);
    unit_add_text(&p.answer, "abc");
    pair_start(&p);
    pump(&p);
    send_data(&p, "x", 1);
    assert_false(htoki_tls_closed_cleanly(&p.tls));
    br_ssl_engine_close(&p.server.eng);
    pump(&p);
    take_data(&p, &data);
    check_bytes_at(data.text, data.len, "abc", 3, "the data before it", __FILE__, __LINE__);
    pump(&p);
    assert_true(htoki_tls_closed(&p.tls));
    assert_true(htoki_tls_closed_cleanly(&p.tls));
    check_number(htoki_tls_failure(&p.tls, HTOK_PHASE_HEAD, &p.error), HTOK_CONNECTION_ERROR, "kind");
    check_text(htok_reason_name(p.error.reason), "CLOSED_EARLY", "reason");
    free(data.text);
    pair_end(&p);
}

static void a_plain_close_notify_is_none_once_data_is_encrypted(void **state)
{
    static const char alert[7] = {21, 3, 3, 0, 2, 1, 0};
    static pair p;
    (void)state;
    pair_begin(&p);
    pair_start(&p);
    pump(&p);
    assert_true(htoki_tls_established(&p.tls));
    give(&p, alert, sizeof alert);
    assert_false(htoki_tls_closed_cleanly(&p.tls));
    assert_true(htoki_tls_closed(&p.tls));
    pair_end(&p);
}

static void renegotiation_is_refused_and_the_connection_stays(void **state)
{
    static pair p;
    size_t len;
    (void)state;
    pair_begin(&p);
    pair_start(&p);
    pump(&p);
    assert_true(htoki_tls_established(&p.tls));
    assert_true(br_ssl_engine_renegotiate(&p.server.eng));
    pump(&p);
    check_number(br_ssl_engine_last_error(&p.server.eng), BR_ERR_RECV_FATAL_ALERT + BR_ALERT_NO_RENEGOTIATION,
                 "what the server got");
    assert_true(htoki_tls_established(&p.tls));
    assert_false(htoki_tls_closed(&p.tls));
    assert_non_null(htoki_tls_data_out(&p.tls, &len));
    assert_non_null(htoki_tls_wire_in(&p.tls, &len));
    pair_end(&p);
}

static void records_that_come_in_one_piece_are_taken_one_after_the_other(void **state)
{
    static const char *const words[] = {"one", "", "three"};
    static pair p;
    unit_text wire = {0};
    size_t room, len, i;
    unsigned char *bytes;
    (void)state;
    pair_begin(&p);
    pair_start(&p);
    pump(&p);
    assert_true(htoki_tls_established(&p.tls));
    for (i = 0; i < UNIT_COUNT(words); i++) {
        bytes = br_ssl_engine_sendapp_buf(&p.server.eng, &len);
        memcpy(bytes, words[i], strlen(words[i]));
        br_ssl_engine_sendapp_ack(&p.server.eng, strlen(words[i]));
        br_ssl_engine_flush(&p.server.eng, 1);
        gather_from_server(&p, &wire);
    }
    bytes = htoki_tls_wire_in(&p.tls, &room);
    assert_true(room > wire.len);
    memcpy(bytes, wire.text, wire.len - 1); /* all but the last byte */
    htoki_tls_wire_in_done(&p.tls, wire.len - 1);
    bytes = htoki_tls_data_in(&p.tls, &len);
    assert_true(len == 3 && memcmp(bytes, words[0], 3) == 0);
    assert_true(htoki_tls_is_ahead(&p.tls));
    assert_null(htoki_tls_wire_in(&p.tls, &room)); /* nothing may lie over what is ahead */
    check_number(room, 0, "room");
    assert_false(htoki_tls_advance(&p.tls)); /* before the data is taken */
    htoki_tls_data_in_done(&p.tls, len);
    assert_true(htoki_tls_advance(&p.tls)); /* the empty record */
    assert_null(htoki_tls_data_in(&p.tls, &len));
    assert_true(htoki_tls_advance(&p.tls));
    assert_false(htoki_tls_is_ahead(&p.tls));
    assert_false(htoki_tls_advance(&p.tls));
    assert_null(htoki_tls_data_in(&p.tls, &len));
    bytes = htoki_tls_wire_in(&p.tls, &room);
    bytes[0] = (unsigned char)wire.text[wire.len - 1];
    htoki_tls_wire_in_done(&p.tls, 1);
    bytes = htoki_tls_data_in(&p.tls, &len);
    assert_true(len == 5 && memcmp(bytes, words[2], 5) == 0);
    free(wire.text);
    pair_end(&p);
}

static void closing_works_at_any_time_even_with_data_unread(void **state)
{
    static pair p;
    size_t len;
    (void)state;
    pair_begin(&p);
    unit_add_text(&p.answer, "unread");
    htoki_tls_close(&p.tls);
    pair_start(&p);
    pump(&p);
    send_data(&p, "x", 1);
    assert_non_null(htoki_tls_data_in(&p.tls, &len));
    htoki_tls_close(&p.tls);
    pump(&p);
    assert_true(htoki_tls_closed(&p.tls));
    check_number(br_ssl_engine_last_error(&p.server.eng), 0, "the server saw a close_notify");
    htoki_tls_close(&p.tls);
    pair_end(&p);
}

static void nothing_is_left_of_a_connection(void **state)
{
    static pair p;
    static htoki_tls zero;
    unsigned i;
    (void)state;
    pair_begin(&p);
    for (i = 0; i < 3; i++) { /* a failure between two successes changes neither */
        p.config.host = i == 1 ? "b.example" : HOST;
        unit_error_begin(&p.error);
        pair_start(&p);
        pump(&p);
        check(htoki_tls_established(&p.tls) == (i != 1), "round %u", i);
        check(i == 1 || p.tls.x509 == NULL, "a tie to the scratch memory");
    }
    htoki_tls_forget(&p.tls);
    assert_memory_equal(&p.tls, &zero, sizeof zero);
    pair_end(&p);
}

/* ---- Texts. ---- */

/* What an engine's code comes to, with the certificates' verdict at hand or not. */
static void each_code_has_its_reason(void **state)
{
    static const struct {
        int code;
        bool established, validating;
        htok_reason verdict; /* on the code */
        htok_reason reason;
    } rows[] = {
        {BR_ERR_OK, false, false, HTOK_REASON_NONE, HTOK_REASON_TLS_CLOSED},
        {BR_ERR_OK, true, false, HTOK_REASON_NONE, HTOK_REASON_CLOSED_EARLY},
        {BR_ERR_RECV_FATAL_ALERT, false, true, HTOK_REASON_NONE, HTOK_REASON_TLS_ALERT},
        {BR_ERR_RECV_FATAL_ALERT + 255, true, false, HTOK_REASON_NONE, HTOK_REASON_TLS_ALERT},
        {BR_ERR_RECV_FATAL_ALERT - 1, true, false, HTOK_REASON_NONE, HTOK_REASON_TLS_FAILED},
        {BR_ERR_RECV_FATAL_ALERT + BR_ALERT_NO_APPLICATION_PROTOCOL, false, true, HTOK_REASON_NONE,
         HTOK_REASON_TLS_ALPN},
        {BR_ERR_SEND_FATAL_ALERT, false, true, HTOK_REASON_NONE, HTOK_REASON_TLS_FAILED},
        {BR_ERR_SEND_FATAL_ALERT + 40, false, true, HTOK_REASON_NONE, HTOK_REASON_TLS_FAILED},
        {BR_ERR_NO_RANDOM, false, true, HTOK_REASON_NONE, HTOK_REASON_ENTROPY_MISSING},
        {BR_ERR_WRONG_KEY_USAGE, false, true, HTOK_REASON_NONE, HTOK_REASON_CERTIFICATE_USAGE},
        {BR_ERR_UNEXPECTED, true, false, HTOK_REASON_NONE, HTOK_REASON_TLS_FAILED},
        {BR_ERR_UNEXPECTED, false, true, HTOK_REASON_NONE, HTOK_REASON_TLS_FAILED},
        {BR_ERR_BAD_MAC, true, false, HTOK_REASON_NONE, HTOK_REASON_TLS_FAILED},
        {BR_ERR_X509_EXPIRED, false, true, HTOK_REASON_CERTIFICATE_TIME, HTOK_REASON_CERTIFICATE_TIME},
        {BR_ERR_X509_EXPIRED, false, true, HTOK_REASON_NONE, HTOK_REASON_TLS_FAILED},
        {BR_ERR_X509_EXPIRED, false, false, HTOK_REASON_NONE, HTOK_REASON_TLS_FAILED},
    };
    static htoki_tls t;
    static htoki_x509 x;
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char label[24];
        snprintf(label, sizeof label, "row %d", (int)i);
        memset(&t, 0, sizeof t);
        memset(&x, 0, sizeof x);
        t.started = true;
        t.established = rows[i].established;
        t.x509 = rows[i].validating ? &x : NULL;
        x.code = rows[i].code;
        x.reason = rows[i].verdict;
        check_text(htok_reason_name(htoki_tls_reason(&t, rows[i].code)), htok_reason_name(rows[i].reason),
                   label);
        x.code++;
        check(htoki_tls_reason(&t, rows[i].code) ==
                  (rows[i].verdict ? HTOK_REASON_TLS_FAILED : rows[i].reason),
              "%s: another code's verdict", label);
    }
}

/* Runs on a stack that is searched afterwards. */
static void *start_again(void *argument)
{
    pair *p = (pair *)argument;
    p->config.resume = true;
    (void)htoki_tls_start(&p->tls, &p->config, &p->error);
    return NULL;
}

static void *import_session(void *argument)
{
    unsigned char bytes[HTOK_SESSION_BYTES];
    pair *p = (pair *)argument;
    memset(bytes, 1, sizeof bytes);
    memcpy(bytes + HTOKI_SESSION_SECRET, p->tls.client.eng.session.master_secret, 48);
    htoki_tls_import(&p->tls, bytes);
    htoki_wipe(bytes, sizeof bytes);
    return NULL;
}

static void the_master_secret_is_not_left_on_the_stack(void **state)
{
    static void *(*const steps[])(void *) = {start_again, import_session};
    size_t i, part;
    (void)state;
    for (i = 0; i < UNIT_COUNT(steps); i++) {
        static pair p;
        unsigned char secret[48];
        char *stack;
        pair_begin(&p);
        pair_start(&p);
        pump(&p);
        assert_true(htoki_tls_established(&p.tls));
        memcpy(secret, p.tls.client.eng.session.master_secret, sizeof secret);
        stack = unit_on_stack(steps[i], &p);
        assert_memory_equal(p.tls.client.eng.session.master_secret, secret, sizeof secret);
        for (part = 0; part < sizeof secret; part += 16) {
            check(!unit_stack_holds(stack, secret + part, 16), "step %d, byte %d", (int)i, (int)part);
        }
        free(stack);
        pair_end(&p);
    }
}

static void codes_have_bearssl_s_names(void **state)
{
#define CODE(name)  \
    {               \
        name, #name \
    }
    static const struct {
        int code;
        const char *name;
    } rows[] = {CODE(BR_ERR_OK),
                CODE(BR_ERR_BAD_PARAM),
                CODE(BR_ERR_BAD_STATE),
                CODE(BR_ERR_UNSUPPORTED_VERSION),
                CODE(BR_ERR_BAD_VERSION),
                CODE(BR_ERR_BAD_LENGTH),
                CODE(BR_ERR_TOO_LARGE),
                CODE(BR_ERR_BAD_MAC),
                CODE(BR_ERR_NO_RANDOM),
                CODE(BR_ERR_UNKNOWN_TYPE),
                CODE(BR_ERR_UNEXPECTED),
                CODE(BR_ERR_BAD_CCS),
                CODE(BR_ERR_BAD_ALERT),
                CODE(BR_ERR_BAD_HANDSHAKE),
                CODE(BR_ERR_OVERSIZED_ID),
                CODE(BR_ERR_BAD_CIPHER_SUITE),
                CODE(BR_ERR_BAD_COMPRESSION),
                CODE(BR_ERR_BAD_FRAGLEN),
                CODE(BR_ERR_BAD_SECRENEG),
                CODE(BR_ERR_EXTRA_EXTENSION),
                CODE(BR_ERR_BAD_SNI),
                CODE(BR_ERR_BAD_HELLO_DONE),
                CODE(BR_ERR_LIMIT_EXCEEDED),
                CODE(BR_ERR_BAD_FINISHED),
                CODE(BR_ERR_RESUME_MISMATCH),
                CODE(BR_ERR_INVALID_ALGORITHM),
                CODE(BR_ERR_BAD_SIGNATURE),
                CODE(BR_ERR_WRONG_KEY_USAGE),
                CODE(BR_ERR_NO_CLIENT_AUTH),
                CODE(BR_ERR_IO),
                CODE(BR_ERR_X509_OK),
                CODE(BR_ERR_X509_INVALID_VALUE),
                CODE(BR_ERR_X509_TRUNCATED),
                CODE(BR_ERR_X509_EMPTY_CHAIN),
                CODE(BR_ERR_X509_INNER_TRUNC),
                CODE(BR_ERR_X509_BAD_TAG_CLASS),
                CODE(BR_ERR_X509_BAD_TAG_VALUE),
                CODE(BR_ERR_X509_INDEFINITE_LENGTH),
                CODE(BR_ERR_X509_EXTRA_ELEMENT),
                CODE(BR_ERR_X509_UNEXPECTED),
                CODE(BR_ERR_X509_NOT_CONSTRUCTED),
                CODE(BR_ERR_X509_NOT_PRIMITIVE),
                CODE(BR_ERR_X509_PARTIAL_BYTE),
                CODE(BR_ERR_X509_BAD_BOOLEAN),
                CODE(BR_ERR_X509_OVERFLOW),
                CODE(BR_ERR_X509_BAD_DN),
                CODE(BR_ERR_X509_BAD_TIME),
                CODE(BR_ERR_X509_UNSUPPORTED),
                CODE(BR_ERR_X509_LIMIT_EXCEEDED),
                CODE(BR_ERR_X509_WRONG_KEY_TYPE),
                CODE(BR_ERR_X509_BAD_SIGNATURE),
                CODE(BR_ERR_X509_TIME_UNKNOWN),
                CODE(BR_ERR_X509_EXPIRED),
                CODE(BR_ERR_X509_DN_MISMATCH),
                CODE(BR_ERR_X509_BAD_SERVER_NAME),
                CODE(BR_ERR_X509_CRITICAL_EXTENSION),
                CODE(BR_ERR_X509_NOT_CA),
                CODE(BR_ERR_X509_FORBIDDEN_KEY_USAGE),
                CODE(BR_ERR_X509_WEAK_PUBLIC_KEY),
                CODE(BR_ERR_X509_NOT_TRUSTED)};
    static const int unknown[] = {-1, 11, 30, 61, 63, 255, 100000};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        check_text(htok_tls_error_name(rows[i].code), rows[i].name, rows[i].name);
    }
    for (i = 0; i < UNIT_COUNT(unknown); i++) {
        check_text(htok_tls_error_name(unknown[i]), "unknown", "unknown");
    }
}

/* Of every number that BearSSL documents and every alert there can be. */
static void every_code_has_a_name_and_a_sentence(void **state)
{
    static const int gaps[] = {11, 30, 61}; /* BearSSL has no such codes */
    const char *texts[BR_ERR_SEND_FATAL_ALERT + 256];
    int code, other;
    (void)state;
    for (code = 0; code < BR_ERR_SEND_FATAL_ALERT + 256; code++) {
        const char *name = htok_tls_error_name(code);
        char label[32];
        bool known = code <= BR_ERR_X509_NOT_TRUSTED && code != gaps[0] && code != gaps[1] && code != gaps[2];
        texts[code] = htok_tls_error_text(code);
        snprintf(label, sizeof label, "code %d", code);
        check(name[0] != '\0', "%s has no name", label);
        check(strlen(texts[code]) >= 8 && strcspn(texts[code], ";[]\n") == strlen(texts[code]),
              "%s: no clause: %s", label, texts[code]);
        if (known) {
            check(strncmp(name, "BR_ERR_", 7) == 0, "%s: %s", label, name);
            for (other = 0; other < code; other++) {
                check(strcmp(texts[other], texts[code]) != 0, "%s says what %d says", label, other);
            }
        } else if (code < BR_ERR_RECV_FATAL_ALERT) {
            check_text(name, "unknown", label);
            check_text(texts[code], "there is no description of this code", label);
        } else {
            check((strcmp(name, "unknown") == 0) == (strcmp(texts[code], texts[11]) == 0),
                  "%s has a name or a text alone", label);
            if (code >= BR_ERR_SEND_FATAL_ALERT) {
                check_text(texts[code], texts[code - 256], "the same sent and received");
            }
        }
    }
    check_text(htok_tls_error_text(BR_ERR_RECV_FATAL_ALERT + 116), "a client certificate is required", "116");
    check_text(htok_tls_error_text(-1), "there is no description of this code", "-1");
}

static void hints_follow_what_is_known(void **state)
{
    static const struct {
        htok_reason reason;
        int code;
        const char *text;
    } rows[] = {
        {HTOK_REASON_TIME_UNKNOWN, 0, "; set this machine's clock, or options.clock"},
        {HTOK_REASON_TLS_FAILED, BR_ERR_INVALID_ALGORITHM, "; P-256, P-384, P-521 or X25519"},
        {HTOK_REASON_TLS_FAILED, BR_ERR_BAD_VERSION, "; this may be no TLS server: check the port"},
        {HTOK_REASON_TLS_FAILED, BR_ERR_UNKNOWN_TYPE, "; this may be no TLS server: check the port"},
        {HTOK_REASON_CERTIFICATE_INVALID, BR_ERR_X509_UNSUPPORTED, "; SHA-1, RSA-PSS, Ed25519 and"},
        {HTOK_REASON_CERTIFICATE_INVALID, BR_ERR_X509_LIMIT_EXCEEDED, "; RSA keys of more than 4096 bits"},
        {HTOK_REASON_CERTIFICATE_INVALID, BR_ERR_X509_WEAK_PUBLIC_KEY, "; RSA keys of less than 2048 bits"},
        {HTOK_REASON_TLS_ALERT, BR_ERR_RECV_FATAL_ALERT + 40, "(FIPS) the extended master secret"},
        {HTOK_REASON_TLS_ALERT, BR_ERR_RECV_FATAL_ALERT + 71, "the server may want TLS 1.3,"},
        {HTOK_REASON_TLS_ALERT, BR_ERR_RECV_FATAL_ALERT + 70,
         "; this server refuses TLS 1.2, the newest that BearSSL has"},
        {HTOK_REASON_TLS_ALERT, BR_ERR_RECV_FATAL_ALERT + 80, "; the server's own log may tell more"},
        {HTOK_REASON_TLS_ALERT, BR_ERR_RECV_FATAL_ALERT + 112, "; check the host in the URL"},
        {HTOK_REASON_TLS_ALPN, 0, "; the server does not offer HTTP/1.1"},
    };
    htok_error e;
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char label[32];
        unit_error_begin(&e);
        (void)htoki_fail(&e, rows[i].reason, HTOK_PHASE_HANDSHAKE);
        e.tls_error = rows[i].code;
        snprintf(label, sizeof label, "hint %u", (unsigned)i);
        check(strstr(line_of(&e), rows[i].text) != NULL, "%s: %s", label, line_of(&e));
    }
    unit_error_begin(&e);
    (void)htoki_fail(&e, HTOK_REASON_TLS_ALERT, HTOK_PHASE_HEAD);
    e.tls_error = BR_ERR_RECV_FATAL_ALERT + 40;
    check(strstr(line_of(&e), "; the server may want to renegotiate, which is refused") != NULL, "%s",
          line_of(&e));
}

/* ---- The whole client over TLS, with a server that goes away. ---- */

typedef struct peer {
    pair p;            /* its server and certificates; the client's half is the library's */
    unit_text out;     /* what the server sends, as far as it is known */
    size_t given, cut; /* the stream ends after cut bytes */
    htok_io end;       /* how: CLOSED or FAILED */
    const char *head, *body;
    bool close_notify;
    unsigned stage;                           /* pieces of the answer that were sent */
    size_t handshake_end, head_end, body_end; /* offsets in out */
    bool again;      /* it takes connections and requests one after the other, and keeps sessions */
    bool proxied;    /* a proxy stands before it */
    bool tunnel;     /* and has let this connection through */
    char opened[64]; /* where the last connection went */
    size_t sends, stall_from, stall_to, fail_from; /* sends, counted; some take nothing, some fail; 0: none */
    unsigned opens;
    unit_text connect; /* what the proxy got */
    br_ssl_session_cache_lru cache;
    unsigned char sessions[512];
} peer;

static htok_io peer_open(void *context, const char *host, uint16_t port, htok_io_detail *detail)
{
    peer *q = (peer *)context;
    (void)detail;
    snprintf(q->opened, sizeof q->opened, "%s:%u", host, (unsigned)port);
    q->opens++;
    if (q->again) {
        q->out.len = q->given = q->p.received.len = q->connect.len = q->handshake_end = 0;
        q->tunnel = false;
        q->stage = 0;
        assert_true(br_ssl_server_reset(&q->p.server));
    }
    return HTOK_IO_AGAIN;
}

static htok_io peer_connect(void *context, uint64_t now_ms, htok_io_detail *detail)
{
    (void)context;
    (void)now_ms;
    (void)detail;
    return HTOK_IO_OK;
}

static void peer_run(peer *q)
{
    br_ssl_engine_context *server = &q->p.server.eng;
    size_t len;
    unsigned char *bytes;
    bool moved = true;
    while (moved) {
        moved = false;
        bytes = br_ssl_engine_sendrec_buf(server, &len);
        if (bytes) {
            unit_add(&q->out, (const char *)bytes, len);
            br_ssl_engine_sendrec_ack(server, len);
            q->head_end = q->stage == 1 ? q->out.len : q->head_end;
            q->body_end = q->stage == 2 ? q->out.len : q->body_end;
            moved = true;
            continue;
        }
        bytes = br_ssl_engine_recvapp_buf(server, &len);
        if (bytes) {
            unit_add(&q->p.received, (const char *)bytes, len);
            br_ssl_engine_recvapp_ack(server, len);
            moved = true;
        }
        bytes = br_ssl_engine_sendapp_buf(server, &len);
        if (bytes && q->handshake_end == 0) {
            q->handshake_end = q->out.len;
        }
        if (bytes && q->p.received.len != 0 && strstr(q->p.received.text, "\r\n\r\n") && q->stage < 2) {
            const char *text = q->stage++ == 0 ? q->head : q->body;
            check(strlen(text) <= len, "the answer is too long");
            memcpy(bytes, text, strlen(text));
            br_ssl_engine_sendapp_ack(server, strlen(text));
            br_ssl_engine_flush(server, 0);
            moved = true;
        } else if (bytes && q->stage == 2 && q->close_notify) {
            q->stage++;
            br_ssl_engine_close(server);
            moved = true;
        }
    }
}

static htok_io peer_send(void *context, const void *bytes, size_t len, htok_io_detail *detail)
{
    peer *q = (peer *)context;
    size_t room;
    unsigned char *in = br_ssl_engine_recvrec_buf(&q->p.server.eng, &room);
    if (++q->sends >= q->fail_from && q->fail_from != 0) {
        detail->os_error = 32;
        return HTOK_IO_FAILED;
    }
    if (q->sends >= q->stall_from && q->sends < q->stall_to) {
        return HTOK_IO_AGAIN;
    }
    if (q->proxied && !q->tunnel) {
        unit_add(&q->connect, (const char *)bytes, len);
        q->tunnel = q->connect.len > 4 && strcmp(q->connect.text + q->connect.len - 4, "\r\n\r\n") == 0;
        unit_add_text(&q->out, q->tunnel ? "HTTP/1.1 200 ok\r\n\r\n" : "");
        detail->moved = len;
        return HTOK_IO_OK;
    }
    if (in) {
        room = least(room, len);
        memcpy(in, bytes, room);
        br_ssl_engine_recvrec_ack(&q->p.server.eng, room);
        peer_run(q);
        len = room;
    }
    detail->moved = len;
    return HTOK_IO_OK;
}

static htok_io peer_receive(void *context, void *bytes, size_t size, htok_io_detail *detail)
{
    peer *q = (peer *)context;
    size_t n;
    peer_run(q);
    n = least(least(q->out.len, q->cut) - q->given, size);
    if (n != 0) {
        memcpy(bytes, q->out.text + q->given, n);
        q->given += n;
        detail->moved = n;
        return HTOK_IO_OK;
    }
    detail->os_error = q->end == HTOK_IO_FAILED ? 104 : 0;
    return q->given == q->cut || (q->stage >= 2 && q->given == q->out.len) ? q->end : HTOK_IO_AGAIN;
}

static void peer_close(void *context)
{
    (void)context;
}

static void peer_wait(void *context, htok_wait *wait)
{
    (void)context;
    wait->timeout_ms = 1;
}

#define LENGTH_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n"
#define CLOSE_HEAD  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"

/* A client for the peer, not yet made. */
static void world_over(peer *q, unit_world *w)
{
    unit_begin(w);
    w->transport.provides_tls = false;
    w->transport.context = q;
    w->transport.open = peer_open;
    w->transport.connect = peer_connect;
    w->transport.send = peer_send;
    w->transport.receive = peer_receive;
    w->transport.close = peer_close;
    w->transport.wait = peer_wait;
    w->options.server_url = "https://" HOST;
    w->options.trust = htoki_view(q->p.roots.text, q->p.roots.len);
}

/* One list over TLS. Returns the error's reason; q keeps the offsets. */
static htok_reason list_over(peer *q, unit_world *w)
{
    htok_reason reason;
    world_over(q, w);
    assert_true(br_ssl_server_reset(&q->p.server));
    unit_create(w);
    assert_int_equal(htok_get_org_tokens_start(w->client, NULL), HTOK_OK);
    unit_finish(w);
    reason = htok_client_error(w->client)->reason;
    return reason;
}

static void peer_begin(peer *q, const char *head, bool close_notify, size_t cut, htok_io end)
{
    memset(q, 0, sizeof *q);
    pair_begin(&q->p);
    unit_add(&q->p.received, "", 0);
    q->head = head;
    q->body = "{\"tokens\":[]}";
    q->close_notify = close_notify;
    q->cut = cut;
    q->end = end;
}

static void peer_end(peer *q)
{
    free(q->out.text);
    free(q->connect.text);
    pair_end(&q->p);
}

static void a_send_that_takes_nothing_only_delays(void **state)
{
    size_t from;
    (void)state;
    for (from = 1; from < 12; from++) {
        static peer q;
        unit_world w;
        peer_begin(&q, LENGTH_HEAD, false, SIZE_MAX, HTOK_IO_AGAIN);
        q.stall_from = from;
        q.stall_to = from + 3;
        check_number(list_over(&q, &w), HTOK_REASON_NONE, "stalled");
        unit_end(&w);
        peer_end(&q);
    }
}

/* A level-triggered loop would be woken for bytes that no poll takes, again and again. */
static void a_wait_names_no_bytes_that_an_unsent_flight_holds_back(void **state)
{
    static const char warning[] = "\x15\x03\x03\x00\x02\x01\x70"; /* unrecognized_name */
    static peer q;
    unit_world w;
    htok_wait wait;
    size_t given;
    (void)state;
    peer_begin(&q, LENGTH_HEAD, false, SIZE_MAX, HTOK_IO_AGAIN);
    world_over(&q, &w);
    q.stall_from = 2;
    q.stall_to = SIZE_MAX;
    assert_true(br_ssl_server_reset(&q.p.server));
    unit_create(&w);
    assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
    while (q.sends < 2) {
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
        wait = htok_client_wait(w.client);
        assert_true(wait.timeout_ms == 0 || wait.readable != wait.writable);
    }
    unit_add(&q.out, warning, sizeof warning - 1);
    given = q.given;
    do {
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
        wait = htok_client_wait(w.client);
    } while (wait.timeout_ms == 0);
    assert_int_equal(q.given, given);
    assert_true(wait.writable && !wait.readable);
    q.stall_to = q.sends;
    assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
    unit_end(&w);
    peer_end(&q);
}

/* Many records are needed for one request, more than one poll sends. */
static void a_long_request_leaves_in_records_of_the_buffers_size(void **state)
{
    static char value[3001];
    htok_header headers[5];
    size_t fail, i;
    (void)state;
    memset(value, 'v', sizeof value - 1);
    for (i = 0; i < UNIT_COUNT(headers); i++) {
        headers[i].name = "X-Long";
        headers[i].value = value;
    }
    for (fail = 0; fail < 40; fail += fail ? 5 : 3) {
        static peer q;
        unit_world w;
        peer_begin(&q, LENGTH_HEAD, false, SIZE_MAX, HTOK_IO_AGAIN);
        world_over(&q, &w);
        q.fail_from = fail;
        w.options.send_bytes = 512;
        w.options.headers = headers;
        w.options.header_count = UNIT_COUNT(headers);
        assert_true(br_ssl_server_reset(&q.p.server));
        unit_create(&w);
        assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
        if (fail == 0) {
            assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
            check(q.sends > 30, "%d sends", (int)q.sends);
            check(q.p.received.len > 15000, "%d bytes", (int)q.p.received.len);
        } else {
            while (q.sends < fail) {
                assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
            }
            assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING); /* an answer may come */
            q.end = HTOK_IO_CLOSED;
            q.cut = q.given;
            assert_int_equal(unit_finish(&w), HTOK_STATE_FAILED);
            check_text(htok_reason_name(htok_client_error(w.client)->reason),
                       fail < 10 ? "TLS_CLOSED" : "SEND_FAILED", "a failed send");
            check_number(htok_client_error(w.client)->os_error, fail < 10 ? 0 : 32, "its error");
        }
        unit_end(&w);
        peer_end(&q);
    }
}

/* A loop that is told of bytes but once, such as one of EPOLLET, would wait for more of them. */
static void a_handshake_does_not_wait_while_bytes_are_left(void **state)
{
    uint32_t record;
    (void)state;
    for (record = 512; record <= 16384; record *= 2) {
        static peer q;
        unit_world w;
        htok_state found = HTOK_STATE_PENDING;
        peer_begin(&q, LENGTH_HEAD, false, SIZE_MAX, HTOK_IO_AGAIN);
        world_over(&q, &w);
        w.options.record_bytes = record;
        assert_true(br_ssl_server_reset(&q.p.server));
        unit_create(&w);
        assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
        while (found == HTOK_STATE_PENDING) {
            found = htok_client_poll(w.client);
            check(q.given == q.out.len || htok_client_wait(w.client).timeout_ms == 0, "%u: %u of %u bytes",
                  (unsigned)record, (unsigned)q.given, (unsigned)q.out.len);
        }
        assert_int_equal(found, HTOK_STATE_DONE);
        unit_end(&w);
        peer_end(&q);
    }
}

static void a_server_may_be_named_by_its_address(void **state)
{
    static const char *const urls[] = {"https://127.0.0.1", "https://127.0.0.2"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(urls); i++) {
        static peer q;
        unit_world w;
        peer_begin(&q, LENGTH_HEAD, false, SIZE_MAX, HTOK_IO_AGAIN);
        world_over(&q, &w);
        w.options.server_url = urls[i];
        assert_true(br_ssl_server_reset(&q.p.server));
        unit_create(&w);
        assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
        unit_finish(&w);
        check_number(htok_client_error(w.client)->reason,
                     i == 0 ? HTOK_REASON_NONE : HTOK_REASON_CERTIFICATE_NAME, urls[i]);
        unit_end(&w);
        peer_end(&q);
    }
}

static void a_stream_that_ends_anywhere_is_told_by_where(void **state)
{
    static const char *const heads[] = {LENGTH_HEAD, CLOSE_HEAD};
    static peer q;
    static unit_world w;
    unsigned kind, seen[4] = {0};
    size_t cut, total;
    (void)state;
    for (kind = 0; kind < 4;
         kind++) { /* with a length or until the end; the end clean or an error of the system's */
        htok_io end = kind < 2 ? HTOK_IO_CLOSED : HTOK_IO_FAILED;
        total = SIZE_MAX;
        for (cut = 0; cut < total; cut += cut % 64 < 4 ? 1 : 13) {
            htok_reason reason, wanted;
            char label[40];
            snprintf(label, sizeof label, "kind %u cut at %u", kind, (unsigned)cut);
            peer_begin(&q, heads[kind % 2], false, cut, end);
            reason = list_over(&q, &w);
            total = q.stage == 2 && cut >= q.body_end ? cut : total;
            if (q.handshake_end == 0 || cut < q.handshake_end) {
                wanted = end == HTOK_IO_FAILED ? HTOK_REASON_RECEIVE_FAILED : HTOK_REASON_TLS_CLOSED;
                check_number(htok_client_error(w.client)->phase, HTOK_PHASE_HANDSHAKE, label);
                seen[0]++;
            } else if (q.head_end == 0 || cut < q.head_end) {
                wanted = end == HTOK_IO_FAILED ? HTOK_REASON_RECEIVE_FAILED : HTOK_REASON_CLOSED_EARLY;
                seen[1]++;
            } else if (cut < q.body_end || kind % 2) {
                wanted = end == HTOK_IO_FAILED ? HTOK_REASON_RECEIVE_FAILED : HTOK_REASON_BODY_TRUNCATED;
                seen[2]++;
            } else {
                wanted = HTOK_REASON_NONE;
                seen[3]++;
            }
            check(reason == wanted, "%s: %s, not %s", label, htok_reason_name(reason),
                  htok_reason_name(wanted));
            unit_end(&w);
            peer_end(&q);
        }
    }
    check(seen[0] && seen[1] && seen[2] && seen[3], "%u %u %u %u", seen[0], seen[1], seen[2], seen[3]);
}

static void a_body_until_the_end_needs_a_close_notify(void **state)
{
    static peer q;
    static unit_world w;
    unsigned close_notify;
    (void)state;
    for (close_notify = 0; close_notify < 2; close_notify++) {
        htok_reason reason;
        peer_begin(&q, CLOSE_HEAD, close_notify != 0, SIZE_MAX, HTOK_IO_CLOSED);
        reason = list_over(&q, &w);
        check_text(htok_reason_name(reason), close_notify ? "NONE" : "BODY_TRUNCATED", "reason");
        unit_end(&w);
        peer_end(&q);
    }
}

/* A peer that serves calls one after the other and keeps sessions. */
static void peer_begin_again(peer *q)
{
    peer_begin(q, LENGTH_HEAD, false, SIZE_MAX, HTOK_IO_AGAIN);
    q->again = true;
    br_ssl_session_cache_lru_init(&q->cache, q->sessions, sizeof q->sessions);
    br_ssl_server_set_cache(&q->p.server, &q->cache.vtable);
}

/* A list that ends well. */
static void list_again(peer *q, unit_world *w)
{
    q->stage = 0;
    q->p.received.len = 0;
    assert_int_equal(htok_get_org_tokens_start(w->client, NULL), HTOK_OK);
    check(unit_finish(w) == HTOK_STATE_DONE, "%s", htok_reason_name(htok_client_error(w->client)->reason));
}

/* Whether the last handshake was an abbreviated one: the server then sends no certificate, which is in the clear. */
static bool was_resumed(const peer *q)
{
    return !unit_contains(q->out.text, q->out.len, "Root");
}

/* A request that waits in the engine, of which no byte has left, must not leave with the close_notify: a create would
   then take effect that the record says was never sent, and that is sent again. */
static void a_request_of_which_nothing_left_does_not_leave_at_the_end(void **state)
{
    static const htok_create_org_token_request create = {false, 0, NULL, "ci"};
    static peer q;
    static unit_world w;
    unsigned way;
    (void)state;
    for (way = 0; way < 3; way++) {
        size_t sends;
        char label[16];
        snprintf(label, sizeof label, "way %u", way);
        peer_begin_again(&q);
        world_over(&q, &w);
        w.options.retry.strategy = HTOK_RETRY_BACKOFF;
        w.options.retry.retry_connection_errors = true;
        unit_create(&w);
        assert_int_equal(htok_create_org_token_start(w.client, &create, NULL), HTOK_OK);
        while (w.client->stage != HTOKI_STAGE_EXCHANGE) {
            assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
        }
        q.stall_from = q.sends;
        q.stall_to = SIZE_MAX;
        assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
        check(q.sends > q.stall_from, "the request waits");
        q.stall_from = q.stall_to = 0;
        sends = q.sends;
        if (way == 0) {
            htok_client_cancel(w.client);
            check_number(htok_client_error(w.client)->may_have_taken_effect, false, label);
        } else if (way == 1) {
            w.clock_state.now_ms += 30000;
            assert_int_equal(htok_client_poll(w.client), HTOK_STATE_PENDING);
            check_number(w.client->stage, HTOKI_STAGE_WAIT, "it is tried again");
        } else {
            htok_client_close(w.client);
            w.client = NULL;
        }
        check_number(q.sends, sends, label);
        unit_end(&w);
        peer_end(&q);
    }
}

/* A resumed handshake's last flight leaves together with the request. The server answers what came of it; what a failed
   send left behind must not go before the next request. */
static void a_connection_with_half_a_request_unsent_is_not_kept(void **state)
{
    static peer q;
    static unit_world w;
    size_t fail;
    unsigned answered = 0;
    (void)state;
    for (fail = 1; fail < 40; fail++) {
        peer_begin_again(&q);
        world_over(&q, &w);
        unit_create(&w);
        list_again(&q, &w);
        htoki_disconnect(w.client);
        q.fail_from = q.sends + fail;
        assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
        while (!w.client->send_failed && w.client->stage != HTOKI_STAGE_ENDED) {
            (void)htok_client_poll(w.client);
        }
        unit_add_text(&q.p.received, "\r\n\r\n");
        peer_run(&q);
        if (w.client->send_failed && q.stage == 2) {
            assert_int_equal(unit_finish(&w), HTOK_STATE_DONE);
            check(!w.client->open, "it is kept after %d sends", (int)fail);
            answered++;
        }
        unit_end(&w);
        peer_end(&q);
    }
    check(answered > 1, "%u answers", answered);
}

static void a_tunnel_carries_the_call_and_keeps_secrets_apart(void **state)
{
    static const htok_proxy proxy = {"proxy.test", 3128, "user-CANARY-5", "password-CANARY-6"};
    static const char credentials[] = "dXNlci1DQU5BUlktNTpwYXNzd29yZC1DQU5BUlktNg==";
    static const htok_header fields[] = {{"X-Api-Key", "HEADER-CANARY-3"}};
    static peer q;
    static unit_world w;
    unsigned call;
    (void)state;
    peer_begin_again(&q);
    q.proxied = true;
    world_over(&q, &w);
    w.options.proxy = &proxy;
    w.options.headers = fields;
    w.options.header_count = 1;
    unit_create(&w);
    for (call = 0; call < 4; call++) {
        if (call == 2) {
            htoki_disconnect(w.client);
        }
        list_again(&q, &w);
        check_text(q.opened, "proxy.test:3128", "where it went");
        check_number(q.opens, call < 2 ? 1 : 2, "the tunnel is kept");
        check_number(was_resumed(&q), call >= 2, "the session too");
        /* to the proxy: the server's name and its own credentials */
        assert_memory_equal(q.connect.text, "CONNECT " HOST ":443 HTTP/1.1\r\nHost: " HOST ":443\r\n",
                            2 * strlen(HOST) + 34);
        assert_non_null(strstr(q.connect.text, credentials));
        assert_false(unit_contains(q.connect.text, q.connect.len, "CANARY"));
        assert_false(unit_contains(q.connect.text, q.connect.len, "org-1"));
        /* to the server: the token and the caller's fields */
        assert_non_null(strstr(q.p.received.text, "Authorization: Bearer " UNIT_SECRET "\r\n"));
        assert_non_null(strstr(q.p.received.text, "X-Api-Key: HEADER-CANARY-3\r\n"));
        assert_false(unit_contains(q.p.received.text, q.p.received.len, "Proxy"));
        assert_false(unit_contains(q.p.received.text, q.p.received.len, credentials));
        assert_false(unit_contains(q.p.received.text, q.p.received.len, "proxy.test"));
        assert_false(unit_contains(q.p.received.text, q.p.received.len, "CANARY-5"));
    }
    unit_end(&w);
    peer_end(&q);
}

/* What breaks inside the tunnel is not laid at the proxy's door. */
static void a_connection_that_breaks_in_the_tunnel_is_the_servers(void **state)
{
    static const htok_proxy proxy = {"proxy.test", 3128, NULL, NULL};
    static peer q;
    static unit_world w;
    size_t cut, inside = 0;
    (void)state;
    for (cut = 0; cut < 900; cut += 60) {
        const htok_error *e;
        peer_begin(&q, LENGTH_HEAD, false, cut, HTOK_IO_FAILED);
        q.proxied = true;
        world_over(&q, &w);
        w.options.proxy = &proxy;
        assert_true(br_ssl_server_reset(&q.p.server));
        unit_create(&w);
        assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
        if (unit_finish(&w) == HTOK_STATE_FAILED) {
            e = htok_client_error(w.client);
            check_number(e->reason, HTOK_REASON_RECEIVE_FAILED, "reason");
            check_number(strncmp(e->detail, "proxy", 5) == 0, e->phase == HTOK_PHASE_PROXY, e->detail);
            inside += e->phase != HTOK_PHASE_PROXY;
        }
        unit_end(&w);
        peer_end(&q);
    }
    check(inside > 3, "%u cuts inside the tunnel", (unsigned)inside);
}

/* ---- Sessions: how long, and from one client to the next. ---- */

/* A peer whose leaf, and whose root, end then (NULL: in 2039), and a client for it at NOW: 2026-11-24 06:00:00. */
static void session_begin(peer *q, unit_world *w, const char *leaf_end, const char *root_end)
{
    cert_spec leaf = {
        .subject = "leaf", .issuer = "Root", .key = 2, .signer = 1, .extensions = LEAF_EXTENSIONS};
    cert_spec root = {.subject = "Root", .key = 1, .extensions = "ca! ku!:0204"};
    leaf.not_after = leaf_end;
    root.not_after = root_end;
    peer_begin_again(q);
    pair_certificate(&q->p, &leaf);
    q->p.roots.len = 0;
    cert_add(&q->p.roots, &root);
    world_over(q, w);
    w->clock_state.unix_seconds = NOW;
}

static size_t export_from(const unit_world *w, unsigned char bytes[HTOK_SESSION_BYTES])
{
    memset(bytes, 0xa5, HTOK_SESSION_BYTES);
    return htok_client_export_session(w->client, bytes, HTOK_SESSION_BYTES);
}

/* Another run of the program. */
static void next_client(unit_world *w)
{
    htok_client_close(w->client);
    unit_create(w);
}

static void sign_session(unsigned char bytes[HTOK_SESSION_BYTES])
{
    htoki_session_hash(bytes, bytes + HTOKI_SESSION_HASH);
}

static void a_session_goes_on_in_the_next_client(void **state)
{
    static peer q;
    static unit_world w;
    unsigned char first[HTOK_SESSION_BYTES], second[HTOK_SESSION_BYTES];
    (void)state;
    session_begin(&q, &w, NULL, NULL);
    unit_create(&w);
    check_number(export_from(&w, first), 0, "before a call");
    list_again(&q, &w);
    assert_false(was_resumed(&q));
    check_number(export_from(&w, first), HTOK_SESSION_BYTES, "after a call");
    next_client(&w);
    check_number(htok_client_import_session(w.client, first, sizeof first), HTOK_OK, "import");
    check_number(export_from(&w, second), HTOK_SESSION_BYTES, "before it was used");
    assert_memory_equal(first, second, sizeof first);
    w.clock_state.unix_seconds += 3600;
    list_again(&q, &w);
    assert_true(was_resumed(&q));
    check_number(export_from(&w, second), HTOK_SESSION_BYTES, "after it was used");
    assert_memory_equal(first, second, sizeof first); /* its time is not renewed */
    /* an idle connection makes way, and the record of a call that ended well stays */
    assert_true(w.client->open);
    check_number(htok_client_import_session(w.client, first, sizeof first), HTOK_OK, "import");
    assert_false(w.client->open);
    assert_int_equal(htok_client_poll(w.client), HTOK_STATE_DONE);
    list_again(&q, &w);
    assert_true(was_resumed(&q));
    /* the server forgets it: nothing is lost */
    br_ssl_session_cache_lru_init(&q.cache, q.sessions, sizeof q.sessions);
    next_client(&w);
    check_number(htok_client_import_session(w.client, first, sizeof first), HTOK_OK, "import");
    list_again(&q, &w);
    assert_false(was_resumed(&q));
    check_number(export_from(&w, second), HTOK_SESSION_BYTES, "a new one");
    check(memcmp(first, second, sizeof first) != 0, "the old one");
    unit_end(&w);
    peer_end(&q);
}

static void there_is_nothing_to_export_where_nothing_was_verified(void **state)
{
    static peer q;
    static unit_world w;
    unsigned char bytes[HTOK_SESSION_BYTES];
    htok_call_options call;
    unsigned i;
    (void)state;
    check_number(htok_client_export_session(NULL, bytes, sizeof bytes), 0, "no client");
    for (i = 0; i < 9; i++) {
        char label[16];
        snprintf(label, sizeof label, "case %u", i);
        session_begin(&q, &w, NULL, NULL);
        unit_create(&w);
        list_again(&q, &w);
        if (i == 0) { /* the server gave it no id */
            w.client->tls.client.eng.session.session_id_len = 0;
        }
        check_number(export_from(&w, bytes), i == 0 ? 0 : HTOK_SESSION_BYTES, label);
        if (i == 1) {
            check_number(htok_client_export_session(w.client, NULL, sizeof bytes), 0, label);
        } else if (i == 2) {
            check_number(htok_client_export_session(w.client, bytes, sizeof bytes - 1), 0, label);
        } else if (i == 3) {
            w.clock_state.unknown = true;
            check_number(export_from(&w, bytes), 0, label);
        } else if (i == 4) {
            w.clock_state.unix_seconds += 86401;
            check_number(export_from(&w, bytes), 0, label);
        } else if (i == 7) { /* the year 10000 */
            w.clock_state.unix_seconds = 253402300800;
            check_number(export_from(&w, bytes), 0, label);
        } else if (i == 5) { /* another origin */
            memset(&call, 0, sizeof call);
            call.server_url = "http://127.0.0.1";
            assert_int_equal(htok_get_org_tokens_start(w.client, &call), HTOK_OK);
            check_number(export_from(&w, bytes), 0, label);
        } else if (i ==
                   6) { /* TLS ended in an error, so no session of it may go on (RFC 5246 section 7.2.2) */
            htoki_disconnect(w.client);
            q.p.server.eng.iecdsa = NULL;
            q.given = q.out.len = 0;
            unit_add(&q.out, "\x15\x03\x03\x00\x02\x02\x28", 7);
            q.again = false;
            assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
            unit_finish(&w);
            check_number(htok_client_error(w.client)->reason, HTOK_REASON_TLS_ALERT, label);
            check_number(export_from(&w, bytes), 0, label);
        }
        unit_end(&w);
        peer_end(&q);
    }
    unit_begin(&w); /* a transport that provides TLS */
    unit_create(&w);
    check_number(export_from(&w, bytes), 0, "provides TLS");
    unit_end(&w);
}

static void check_refused(unit_world *w, const void *bytes, size_t len, htok_reason reason, const char *label)
{
    const htok_error *e = htok_client_error(w->client);
    check_number(htok_client_import_session(w->client, bytes, len), HTOK_INVALID_REQUEST_ERROR, label);
    check_text(htok_reason_name(e->reason), htok_reason_name(reason), label);
    check_text(e->path, "session", label);
    check_number(e->phase, HTOK_PHASE_OPTION, label);
}

static void a_session_cut_or_changed_anywhere_is_refused(void **state)
{
    static peer q;
    static unit_world w;
    unsigned char good[HTOK_SESSION_BYTES], bytes[HTOK_SESSION_BYTES + 1];
    static const struct {
        unsigned at;
        unsigned char value;
    } rows[] = {{0, 'H'}, {4, 0}, {4, 2}, {5, 0}, {5, 33}, {5, 255}};
    size_t i;
    (void)state;
    session_begin(&q, &w, NULL, NULL);
    unit_create(&w);
    list_again(&q, &w);
    check_number(export_from(&w, good), sizeof good, "export");
    next_client(&w);
    check_refused(&w, NULL, sizeof good, HTOK_REASON_SESSION_MALFORMED, "none");
    for (i = 0; i <= sizeof bytes; i++) {
        char *exact = unit_exact((const char *)good, i < sizeof good ? i : 0);
        if (i != sizeof good) {
            check_refused(&w, i < sizeof good ? (const void *)exact : bytes, i, HTOK_REASON_SESSION_MALFORMED,
                          "cut or longer");
        }
        free(exact);
    }
    for (i = 0; i < sizeof good; i++) {
        memcpy(bytes, good, sizeof good);
        bytes[i] ^= (unsigned char)(1u << i % 8);
        check_refused(&w, bytes, sizeof good, HTOK_REASON_SESSION_MALFORMED, "changed");
    }
    for (i = 0; i < UNIT_COUNT(rows); i++) { /* with a hash that fits */
        memcpy(bytes, good, sizeof good);
        bytes[rows[i].at] = rows[i].value;
        sign_session(bytes);
        check_refused(&w, bytes, sizeof good, HTOK_REASON_SESSION_MALFORMED, "malformed");
    }
    memset(bytes + HTOKI_SESSION_VALIDITY, '9', 28);
    memcpy(bytes, good, HTOKI_SESSION_VALIDITY);
    memcpy(bytes + HTOKI_SESSION_BINDING, good + HTOKI_SESSION_BINDING, 32);
    sign_session(bytes);
    check_refused(&w, bytes, sizeof good, HTOK_REASON_SESSION_EXPIRED, "from the future");
    list_again(&q, &w); /* the client is as it was */
    assert_false(was_resumed(&q));
    unit_end(&w);
    peer_end(&q);
}

static void a_session_for_something_else_is_refused(void **state)
{
    static const char *const other_pins[] = {"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                                             "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="};
    static peer q;
    static unit_world w;
    unsigned char bytes[HTOK_SESSION_BYTES];
    static unit_text more_roots;
    unsigned i;
    (void)state;
    session_begin(&q, &w, NULL, NULL);
    unit_create(&w);
    list_again(&q, &w);
    check_number(export_from(&w, bytes), sizeof bytes, "export");
    unit_add(&more_roots, q.p.roots.text, q.p.roots.len);
    unit_add(&more_roots, q.p.roots.text, q.p.roots.len);
    for (i = 0; i < 9; i++) {
        htok_client_options before = w.options;
        char label[16];
        snprintf(label, sizeof label, "case %u", i);
        w.options.server_url = i == 1   ? "https://a.test.exampl"
                               : i == 2 ? "https://" HOST ":8443"
                                        : w.options.server_url;
        w.options.trust = i == 3 ? htoki_view(more_roots.text, more_roots.len) : w.options.trust;
        w.options.pins = other_pins;
        w.options.pin_count = i == 4 ? 1 : i == 5 ? 2 : 0;
        w.options.expired_roots = i == 6;
        w.options.server_url = i == 7 ? "https://A.Test.EXAMPLE.:443/some/prefix" : w.options.server_url;
        w.options.token = i == 8 ? "another" : w.options.token;
        next_client(&w);
        if (i == 0 || i >= 7) {
            check_number(htok_client_import_session(w.client, bytes, sizeof bytes), HTOK_OK, label);
        } else {
            check_refused(&w, bytes, sizeof bytes, HTOK_REASON_SESSION_FOREIGN, label);
        }
        w.options = before;
    }
    free(more_roots.text);
    unit_end(&w);
    peer_end(&q);
}

/* With HATHORA_TOKENS_SMALL fewer suites are offered, and servers end a handshake in which a session's is missing. */
static void a_session_is_for_the_same_suites(void **state)
{
#ifdef HATHORA_TOKENS_SMALL
    static const char wanted[] = "947d9acc7887f4e95ad35b4519103b64d254cff56505e6b72ce050ae0d644671";
#else
    static const char wanted[] = "3593cbebed2d0f18875dcd74b3ceb8c12f06275761669ad67ee9e80be5c46bff";
#endif
    unsigned char binding[32];
    unit_text bytes = {0};
    htoki_tls_config config;
    (void)state;
    memset(&config, 0, sizeof config);
    config.host = HOST;
    htoki_tls_bind(&config, 443, binding);
    unit_add_hex(&bytes, wanted, strlen(wanted));
    assert_memory_equal(binding, bytes.text, sizeof binding);
    free(bytes.text);
}

static void a_session_is_imported_between_calls_alone(void **state)
{
    static peer q;
    static unit_world w;
    unsigned char bytes[HTOK_SESSION_BYTES];
    (void)state;
    session_begin(&q, &w, NULL, NULL);
    unit_create(&w);
    list_again(&q, &w);
    check_number(export_from(&w, bytes), sizeof bytes, "export");
    next_client(&w);
    q.stage = 0;
    q.p.received.len = 0;
    assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
    do {
        assert_int_equal(htok_client_import_session(w.client, bytes, sizeof bytes),
                         HTOK_INVALID_REQUEST_ERROR);
        assert_int_equal(htok_client_error(w.client)->kind, HTOK_OK);
    } while (htok_client_poll(w.client) == HTOK_STATE_PENDING);
    assert_int_equal(htok_client_error(w.client)->kind, HTOK_OK);
    assert_int_equal(htok_client_import_session(NULL, bytes, sizeof bytes), HTOK_INVALID_REQUEST_ERROR);
    unit_end(&w);
    peer_end(&q);
}

/* A resumed handshake checks no certificate, so a session ends when a check would have failed; in one client, and by
   way of an export. */
static void a_session_ends_with_what_it_rests_on(void **state)
{
    static const struct {
        const char *leaf_end, *root_end;
        bool expired_roots;
        int64_t later; /* seconds */
        bool resumed, fails;
    } rows[] = {
        {NULL, NULL, false, 0, true, false},
        {NULL, NULL, false, 86400, true, false},
        {NULL, NULL, false, 86401, false, false},
        {NULL, NULL, false, -1, false, false}, /* the clock was set back */
        {NULL, NULL, false, 3000000000, false, true},
        {"261124080000Z", NULL, false, 7200, true, false},
        {"261124080000Z", NULL, false, 7201, false, true},
        {NULL, "261124080000Z", false, 7200, true, false},
        {NULL, "261124080000Z", false, 7201, false, true},
        {NULL, "261124080000Z", true, 7201, true, false}, /* the caller does not care */
        {"261126000000Z", "261127000000Z", false, 86401, false, false},
    };
    size_t i;
    unsigned exported;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        for (exported = 0; exported < 2; exported++) {
            static peer q;
            static unit_world w;
            unsigned char bytes[HTOK_SESSION_BYTES];
            char label[32];
            snprintf(label, sizeof label, "row %u, %s", (unsigned)i, exported ? "exported" : "kept");
            session_begin(&q, &w, rows[i].leaf_end, rows[i].root_end);
            w.options.expired_roots = rows[i].expired_roots;
            unit_create(&w);
            list_again(&q, &w);
            check_number(export_from(&w, bytes), sizeof bytes, label);
            w.clock_state.unix_seconds += rows[i].later;
            htoki_disconnect(w.client);
            if (exported) {
                htoki_tls_forget(&w.client->tls);
                if (rows[i].resumed) {
                    check_number(htok_client_import_session(w.client, bytes, sizeof bytes), HTOK_OK, label);
                } else {
                    check_refused(&w, bytes, sizeof bytes, HTOK_REASON_SESSION_EXPIRED, label);
                }
            }
            q.stage = 0;
            q.p.received.len = 0;
            assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
            check_number(unit_finish(&w), rows[i].fails ? HTOK_STATE_FAILED : HTOK_STATE_DONE, label);
            check_number(was_resumed(&q), rows[i].resumed, label);
            unit_end(&w);
            peer_end(&q);
        }
    }
}

static void an_unknown_time_ends_an_import(void **state)
{
    static peer q;
    static unit_world w;
    unsigned char bytes[HTOK_SESSION_BYTES];
    (void)state;
    session_begin(&q, &w, NULL, NULL);
    unit_create(&w);
    list_again(&q, &w);
    check_number(export_from(&w, bytes), sizeof bytes, "export");
    w.clock_state.unknown = true;
    check_refused(&w, bytes, sizeof bytes, HTOK_REASON_SESSION_EXPIRED, "no time");
    unit_end(&w);
    peer_end(&q);
}

static void *begin_handshake(void *argument)
{
    unit_world *w = (unit_world *)argument;
    while (w->client->stage != HTOKI_STAGE_HANDSHAKE && htok_client_poll(w->client) == HTOK_STATE_PENDING) {}
    return NULL;
}

static void the_entropy_of_a_handshake_is_not_left_on_the_stack(void **state)
{
    static peer q;
    unit_world w;
    unsigned char entropy[32];
    char *stack;
    (void)state;
    memset(entropy, 0xc3, sizeof entropy);
    peer_begin(&q, LENGTH_HEAD, false, SIZE_MAX, HTOK_IO_AGAIN);
    world_over(&q, &w);
    w.entropy_state.byte = entropy[0];
    unit_create(&w);
    assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
    stack = unit_on_stack(begin_handshake, &w);
    assert_int_equal(w.client->stage, HTOKI_STAGE_HANDSHAKE);
    check(w.entropy_state.calls != 0, "no entropy was asked for");
    check(!unit_stack_holds(stack, entropy, sizeof entropy), "it is left");
    free(stack);
    unit_end(&w);
    peer_end(&q);
}

static void the_master_secret_does_not_outlive_the_client(void **state)
{
    static peer q;
    static unit_world w;
    unsigned char bytes[HTOK_SESSION_BYTES];
    char *block;
    size_t size, i;
    htok_error e;
    (void)state;
    session_begin(&q, &w, NULL, NULL);
    unit_create(&w);
    list_again(&q, &w);
    check_number(export_from(&w, bytes), sizeof bytes, "export");
    htok_client_close(w.client);
    size = htok_client_bytes(&w.options);
    block = (char *)calloc(1, size);
    assert_int_equal(htok_client_init(&w.client, block, size, &w.options, &e), HTOK_OK);
    assert_int_equal(htok_client_import_session(w.client, bytes, sizeof bytes), HTOK_OK);
    list_again(&q, &w);
    htok_client_close(w.client);
    w.client = NULL;
    for (i = 0; i + 16 <= size; i++) {
        check(memcmp(block + i, bytes + HTOKI_SESSION_SECRET, 16) != 0, "a part of it at byte %u",
              (unsigned)i);
    }
    free(block);
    unit_end(&w);
    peer_end(&q);
}

/* ---- Client certificates. ---- */

/* A server that wants one, from an authority whose key is the server's root's. */
typedef struct doorkeeper {
    br_x509_minimal_context validation;
    br_x509_trust_anchor anchor;
    unit_text name;
} doorkeeper;

static void doorkeeper_begin(doorkeeper *d, br_ssl_server_context *server, bool tolerant)
{
    br_x509_minimal_context *v = &d->validation;
    memset(d, 0, sizeof *d);
    cert_name(&d->name, "Root");
    d->anchor.dn.data = (unsigned char *)d->name.text;
    d->anchor.dn.len = d->name.len;
    d->anchor.flags = BR_X509_TA_CA;
    d->anchor.pkey.key_type = BR_KEYTYPE_EC;
    d->anchor.pkey.key.ec = cert_key_of(1)->open;
    br_x509_minimal_init(v, &br_sha256_vtable, &d->anchor, 1);
    br_x509_minimal_set_rsa(v, br_rsa_pkcs1_vrfy_get_default());
    br_x509_minimal_set_ecdsa(v, br_ec_get_default(), br_ecdsa_vrfy_asn1_get_default());
    br_x509_minimal_set_hash(v, br_sha256_ID, &br_sha256_vtable);
    br_x509_minimal_set_time(v, NOW / 86400 + 719528, 0);
    br_ssl_engine_set_x509(&server->eng, &v->vtable);
    br_ssl_engine_set_default_rsavrfy(&server->eng);
    br_ssl_engine_set_default_ecdsa(&server->eng);
    br_ssl_server_set_trust_anchor_names_alt(server, &d->anchor, 1);
    if (tolerant) {
        br_ssl_engine_add_flags(&server->eng, BR_OPT_TOLERATE_NO_CLIENT_AUTH);
    }
}

/* An identity in memory of its own, checked as a client does it. */
static htoki_identity *identity_make(const own_key *key, const char *issuer, unsigned signer,
                                     unit_text *chain, unit_text *pem)
{
    htoki_identity *id;
    htok_error e;
    size_t bytes;
    memset(chain, 0, sizeof *chain);
    memset(pem, 0, sizeof *pem);
    own_key_add_cert(key, issuer, signer, chain);
    own_key_add_pem(key, true, "\n", pem);
    bytes = htoki_identity_bytes(chain->len, pem->len);
    id = (htoki_identity *)calloc(1, bytes);
    assert_non_null(id);
    htoki_identity_begin(id, bytes, htoki_view(chain->text, chain->len), htoki_view(pem->text, pem->len));
    unit_error_begin(&e);
    check(htoki_identity_check(id, &e) == HTOK_OK, "%s", htok_reason_name(e.reason));
    return id;
}

static bool all_zero(const void *memory, size_t len)
{
    const unsigned char *p = (const unsigned char *)memory;
    while (len != 0 && *p == 0) {
        p++;
        len--;
    }
    return len == 0;
}

static void a_client_certificate_is_shown_and_proved(void **state)
{
    static const int kinds[] = {KEY_RSA, BR_EC_secp256r1, BR_EC_secp384r1, BR_EC_secp521r1};
    size_t i, piece;
    (void)state;
    for (i = 0; i < UNIT_COUNT(kinds); i++) {
        own_key key;
        own_key_make(&key, kinds[i], "client");
        for (piece = 0; piece < 2; piece++) {
            static pair p;
            static doorkeeper d;
            unit_text chain, pem;
            char label[32];
            snprintf(label, sizeof label, "kind %d, pieces of %u", kinds[i], (unsigned)piece);
            pair_begin(&p);
            p.piece = piece;
            p.config.record_out_size = RECORD_OUT(512); /* the chain goes out in several records */
            p.config.identity = identity_make(&key, "Root", 1, &chain, &pem);
            doorkeeper_begin(&d, &p.server, false);
            pair_start(&p);
            pump(&p);
            check(htoki_tls_established(&p.tls), "%s: %d, server %d", label,
                  br_ssl_engine_last_error(&p.tls.client.eng), br_ssl_engine_last_error(&p.server.eng));
            check_number(p.tls.answer.asked, HTOKI_ASKED_SENT, label);
            check(p.tls.answer.identity == NULL, "%s: a tie to the identity", label);
            check(all_zero(p.config.identity->room, p.config.identity->size), "%s: something is left", label);
            check(all_zero(&p.config.identity->key, sizeof p.config.identity->key), "%s: a key is left",
                  label);
            send_data(&p, "x", 1);
            check_number(p.received.len, 1, label);
            free(p.config.identity);
            free(chain.text);
            free(pem.text);
            free(d.name.text);
            pair_end(&p);
        }
        own_key_free(&key);
    }
}

static void a_server_that_asks_may_do_without(void **state)
{
    static pair p;
    static doorkeeper d;
    (void)state;
    pair_begin(&p);
    doorkeeper_begin(&d, &p.server, true);
    pair_start(&p);
    pump(&p);
    assert_true(htoki_tls_established(&p.tls));
    check_number(p.tls.answer.asked, HTOKI_ASKED, "asked");
    send_data(&p, "x", 1);
    check_number(p.received.len, 1, "data");
    free(d.name.text);
    pair_end(&p);
}

/* After the request for a certificate the server ends with this alert, in the clear as long as it has sent no CCS. */
static void an_alert_behind_the_request_is_about_the_client_s_certificate(void **state)
{
    static const unsigned about[] = {40, 41, 42, 43, 44, 45, 46, 48, 49, 51, 116};
    static const char *const asked[] = {"nothing set", "of no use", "set"};
    own_key key;
    unsigned kind, number, known;
    (void)state;
    own_key_make(&key, BR_EC_secp256r1, "client");
    for (kind = 0; kind < 3; kind++) {
        for (number = 1, known = 0; number < 256; number++) {
            static pair p;
            static doorkeeper d;
            unit_text chain = {0}, pem = {0};
            char alert[7] = {21, 3, 3, 0, 2, 2, 0}, label[48];
            bool is_about = known < UNIT_COUNT(about) && about[known] == number;
            htok_reason wanted = !is_about   ? HTOK_REASON_TLS_ALERT
                                 : kind == 0 ? HTOK_REASON_CLIENT_CERTIFICATE_MISSING
                                             : HTOK_REASON_CLIENT_CERTIFICATE_REFUSED;
            known += is_about;
            if (number == 120 || (!is_about && number % 10 != 0 && number != 47)) {
                continue;
            }
            snprintf(label, sizeof label, "%s, alert %u", asked[kind], number);
            pair_begin(&p);
            doorkeeper_begin(&d, &p.server, false);
            if (kind != 0) {
                p.config.identity = identity_make(&key, "Root", 9, &chain, &pem); /* another one signed it */
            }
            if (kind == 1) { /* the text was changed: none is sent */
                chain.text[40] = '!';
            }
            pair_start(&p);
            pump(&p);
            check(!htoki_tls_established(&p.tls), "%s: established", label);
            alert[6] = (char)number;
            give(&p, alert, sizeof alert);
            check_failure(&p, wanted, BR_ERR_RECV_FATAL_ALERT + (int)number, label);
            if (is_about) {
                check_line(&p,
                           kind == 0   ? "; set client_chain and client_key"
                           : kind == 1 ? ": the server takes no signature by this kind of key ["
                                       : htok_tls_error_text(BR_ERR_RECV_FATAL_ALERT + (int)number),
                           label);
            }
            free(p.config.identity);
            free(chain.text);
            free(pem.text);
            free(d.name.text);
            pair_end(&p);
        }
        check_number(known, UNIT_COUNT(about), "alerts");
    }
    own_key_free(&key);
}

static void a_close_behind_the_request_tells_of_it(void **state)
{
    static const char close_notify[7] = {21, 3, 3, 0, 2, 1, 0};
    static pair p;
    static doorkeeper d;
    (void)state;
    pair_begin(&p);
    doorkeeper_begin(&d, &p.server, false);
    pair_start(&p);
    pump(&p);
    give(&p, close_notify, sizeof close_notify);
    while (client_to(&p, &p.from_client)) {}
    check_failure(&p, HTOK_REASON_TLS_CLOSED, 0, "close");
    check_text(p.error.detail, "the server asked for a client certificate", "detail");
    free(d.name.text);
    pair_end(&p);
}

/* Options for the identity of this key; free the texts. */
static void set_identity(unit_world *w, const own_key *key, unit_text *chain, unit_text *pem)
{
    memset(chain, 0, sizeof *chain);
    memset(pem, 0, sizeof *pem);
    own_key_add_cert(key, "Root", 1, chain);
    own_key_add_pem(key, false, "\n", pem);
    w->options.client_chain = htoki_view(chain->text, chain->len);
    w->options.client_key = htoki_view(pem->text, pem->len);
}

static void a_call_with_a_client_certificate_leaves_no_key_behind(void **state)
{
    static peer q;
    static unit_world w;
    static doorkeeper d;
    own_key key, other;
    unit_text chain, pem, other_chain, other_pem;
    unsigned char session[HTOK_SESSION_BYTES];
    char secret[17];
    (void)state;
    own_key_make(&key, BR_EC_secp256r1, "client");
    own_key_make(&other, KEY_RSA, "client");
    memcpy(secret, key.ec.x + 8, 16);
    secret[16] = '\0';
    check_number(strlen(secret), 16, "the secret has no NUL here");
    session_begin(&q, &w, NULL, NULL);
    doorkeeper_begin(&d, &q.p.server, false);
    set_identity(&w, &key, &chain, &pem);
    unit_create(&w);
    list_again(&q, &w);
    check_number(w.client->tls.answer.asked, HTOKI_ASKED_SENT, "asked");
    check_number(export_from(&w, session), HTOK_SESSION_BYTES, "session");
    assert_false(unit_contains(w.client, w.client->owned_block_bytes - 16, secret));
    next_client(&w);
    check_number(htok_client_import_session(w.client, session, sizeof session), HTOK_OK, "the same identity");
    list_again(&q, &w);
    check_number(w.client->tls.answer.asked, HTOKI_ASKED_NOT, "resumed");
    set_identity(&w, &other, &other_chain, &other_pem);
    next_client(&w);
    check_number(htok_client_import_session(w.client, session, sizeof session), HTOK_INVALID_REQUEST_ERROR,
                 "another identity");
    check_text(htok_reason_name(htok_client_error(w.client)->reason), "SESSION_FOREIGN", "reason");
    w.options.client_chain = w.options.client_key = htoki_view(NULL, 0);
    next_client(&w);
    check_number(htok_client_import_session(w.client, session, sizeof session), HTOK_INVALID_REQUEST_ERROR,
                 "no identity");
    unit_end(&w);
    peer_end(&q);
    own_key_free(&key);
    own_key_free(&other);
    free(chain.text);
    free(pem.text);
    free(other_chain.text);
    free(other_pem.text);
    free(d.name.text);
}

/* Wherever the server goes away, nothing decoded stays. */
static void a_handshake_that_breaks_off_leaves_no_key_behind(void **state)
{
    size_t cut;
    own_key key;
    char secret[17];
    bool asked = false;
    (void)state;
    own_key_make(&key, BR_EC_secp256r1, "client");
    memcpy(secret, key.ec.x + 8, 16);
    secret[16] = '\0';
    for (cut = 0; cut < 1200; cut += 37) {
        static peer q;
        static unit_world w;
        static doorkeeper d;
        unit_text chain, pem;
        htok_reason reason;
        peer_begin(&q, LENGTH_HEAD, false, cut, HTOK_IO_CLOSED);
        doorkeeper_begin(&d, &q.p.server, false);
        world_over(&q, &w);
        set_identity(&w, &key, &chain, &pem);
        assert_true(br_ssl_server_reset(&q.p.server));
        unit_create(&w);
        assert_int_equal(htok_get_org_tokens_start(w.client, NULL), HTOK_OK);
        (void)unit_finish(&w);
        reason = htok_client_error(w.client)->reason;
        if (w.client->tls.answer.asked == HTOKI_ASKED_SENT && reason == HTOK_REASON_TLS_CLOSED) {
            asked = true;
            check_text(htok_client_error(w.client)->detail, "a client certificate was sent", "detail");
        }
        assert_false(unit_contains(w.client, w.client->owned_block_bytes - 16, secret));
        check(all_zero(w.client->identity->room, w.client->identity->size), "cut at %u", (unsigned)cut);
        unit_end(&w);
        peer_end(&q);
        free(chain.text);
        free(pem.text);
        free(d.name.text);
    }
    assert_true(asked);
    own_key_free(&key);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_works_in_pieces_of_any_size),
        cmocka_unit_test(a_flight_may_lie_across_records_in_any_way),
        cmocka_unit_test(a_record_of_several_messages_is_taken_in_one_at_a_time),
        cmocka_unit_test(a_warning_before_a_record_of_several_messages_changes_nothing),
        cmocka_unit_test(each_suite_works_with_each_kind_of_key),
        cmocka_unit_test(no_other_suite_is_offered),
        cmocka_unit_test(the_hello_offers_tls_1_2_and_http_1_1_alone),
#ifndef HATHORA_TOKENS_SMALL
        cmocka_unit_test(aes_comes_first_where_the_processor_has_it),
#endif
        cmocka_unit_test(fragments_are_asked_for_as_the_buffer_wants),
        cmocka_unit_test(small_buffers_work_where_the_server_obeys),
        cmocka_unit_test(what_makes_a_handshake_impossible_is_said_before_it),
        cmocka_unit_test(a_bad_certificate_ends_the_handshake_with_its_facts),
        cmocka_unit_test(a_server_without_the_certificate_s_key_is_refused),
        cmocka_unit_test(a_handshake_that_stops_anywhere_is_never_established),
        cmocka_unit_test(a_handshake_with_a_changed_byte_is_never_established),
        cmocka_unit_test(changed_data_ends_the_connection),
        cmocka_unit_test(a_close_notify_ends_a_handshake_at_every_record),
        cmocka_unit_test(each_alert_has_its_name),
        cmocka_unit_test(warnings_are_passed_over),
        cmocka_unit_test(another_protocol_than_offered_is_refused_by_name),
        cmocka_unit_test(the_server_may_choose_http_1_1_or_say_nothing),
        cmocka_unit_test(an_unexpected_message_is_not_taken_for_another_protocol),
        cmocka_unit_test(what_is_no_tls_1_2_is_refused),
        cmocka_unit_test(a_record_larger_than_the_buffer_is_refused_by_name),
        cmocka_unit_test(random_records_never_establish),
        cmocka_unit_test(only_a_close_notify_is_a_clean_end),
        cmocka_unit_test(a_plain_close_notify_is_none_once_data_is_encrypted),
        cmocka_unit_test(renegotiation_is_refused_and_the_connection_stays),
        cmocka_unit_test(records_that_come_in_one_piece_are_taken_one_after_the_other),
        cmocka_unit_test(closing_works_at_any_time_even_with_data_unread),
        cmocka_unit_test(nothing_is_left_of_a_connection),
        cmocka_unit_test(each_code_has_its_reason),
        cmocka_unit_test(the_master_secret_is_not_left_on_the_stack),
        cmocka_unit_test(codes_have_bearssl_s_names),
        cmocka_unit_test(every_code_has_a_name_and_a_sentence),
        cmocka_unit_test(hints_follow_what_is_known),
        cmocka_unit_test(a_send_that_takes_nothing_only_delays),
        cmocka_unit_test(a_wait_names_no_bytes_that_an_unsent_flight_holds_back),
        cmocka_unit_test(a_long_request_leaves_in_records_of_the_buffers_size),
        cmocka_unit_test(a_handshake_does_not_wait_while_bytes_are_left),
        cmocka_unit_test(a_server_may_be_named_by_its_address),
        cmocka_unit_test(a_stream_that_ends_anywhere_is_told_by_where),
        cmocka_unit_test(a_body_until_the_end_needs_a_close_notify),
        cmocka_unit_test(a_request_of_which_nothing_left_does_not_leave_at_the_end),
        cmocka_unit_test(a_connection_with_half_a_request_unsent_is_not_kept),
        cmocka_unit_test(a_tunnel_carries_the_call_and_keeps_secrets_apart),
        cmocka_unit_test(a_connection_that_breaks_in_the_tunnel_is_the_servers),
        cmocka_unit_test(a_session_goes_on_in_the_next_client),
        cmocka_unit_test(there_is_nothing_to_export_where_nothing_was_verified),
        cmocka_unit_test(a_session_cut_or_changed_anywhere_is_refused),
        cmocka_unit_test(a_session_for_something_else_is_refused),
        cmocka_unit_test(a_session_is_for_the_same_suites),
        cmocka_unit_test(a_session_is_imported_between_calls_alone),
        cmocka_unit_test(a_session_ends_with_what_it_rests_on),
        cmocka_unit_test(an_unknown_time_ends_an_import),
        cmocka_unit_test(the_entropy_of_a_handshake_is_not_left_on_the_stack),
        cmocka_unit_test(the_master_secret_does_not_outlive_the_client),
        cmocka_unit_test(a_client_certificate_is_shown_and_proved),
        cmocka_unit_test(a_server_that_asks_may_do_without),
        cmocka_unit_test(an_alert_behind_the_request_is_about_the_client_s_certificate),
        cmocka_unit_test(a_close_behind_the_request_tells_of_it),
        cmocka_unit_test(a_call_with_a_client_certificate_leaves_no_key_behind),
        cmocka_unit_test(a_handshake_that_breaks_off_leaves_no_key_behind),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("tls", tests, NULL, NULL);
}
