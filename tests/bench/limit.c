/* The limit: BearSSL's engine alone, with the same suites, a request that stands ready and an answer of which nothing
   but the length is looked at. It receives ahead into the record buffer, and a flight leaves in one piece. */
#include "bench.h"

#include <bearssl.h>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct limit {
    br_ssl_client_context client;
    br_x509_minimal_context x509;
    br_x509_trust_anchor anchor;
    unsigned char in[BR_SSL_BUFSIZE_INPUT], out[BR_SSL_BUFSIZE_OUTPUT], flight[2048];
    size_t ahead, ahead_end; /* received bytes in the buffer that the engine has not asked for */
    struct addrinfo *address;
    int fd;
} limit;

static unsigned char name_bytes[1024], key_bytes[1024];
static size_t name_len;

static void append_name(void *context, const void *bytes, size_t len)
{
    (void)context;
    if (len > sizeof name_bytes - name_len) {
        bench_fail("the root's name is too long");
    }
    memcpy(name_bytes + name_len, bytes, len);
    name_len += len;
}

static unsigned char *copy_key(const void *bytes, size_t len)
{
    static size_t filled;
    unsigned char *copy = key_bytes + filled;
    if (len > sizeof key_bytes - filled) {
        bench_fail("the root's key is too long");
    }
    memcpy(copy, bytes, len);
    filled += len;
    return copy;
}

static void append_certificate(void *context, const void *bytes, size_t len)
{
    br_x509_decoder_push((br_x509_decoder_context *)context, bytes, len);
}

static void read_anchor(limit *l, const char *path)
{
    static char pem[1 << 16];
    br_pem_decoder_context decoder;
    br_x509_decoder_context certificate;
    const br_x509_pkey *key;
    FILE *file = fopen(path, "rb");
    size_t len = file ? fread(pem, 1, sizeof pem, file) : 0, at = 0;
    br_pem_decoder_init(&decoder);
    br_x509_decoder_init(&certificate, append_name, NULL);
    br_pem_decoder_setdest(&decoder, append_certificate, &certificate);
    while (at < len && br_pem_decoder_event(&decoder) != BR_PEM_END_OBJ) {
        at += br_pem_decoder_push(&decoder, pem + at, len - at);
    }
    key = br_x509_decoder_get_pkey(&certificate);
    if (!file || !key) {
        bench_fail(path);
    }
    fclose(file);
    l->anchor.dn.data = name_bytes;
    l->anchor.dn.len = name_len;
    l->anchor.flags = BR_X509_TA_CA;
    l->anchor.pkey = *key;
    if (key->key_type == BR_KEYTYPE_RSA) {
        l->anchor.pkey.key.rsa.n = copy_key(key->key.rsa.n, key->key.rsa.nlen);
        l->anchor.pkey.key.rsa.e = copy_key(key->key.rsa.e, key->key.rsa.elen);
    } else {
        l->anchor.pkey.key.ec.q = copy_key(key->key.ec.q, key->key.ec.qlen);
    }
}

static void set_up(limit *l)
{
    static const uint16_t aes_first[] = {
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256};
    static const uint16_t chacha_first[] = {
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256};
    bool aes = (br_aes_x86ni_ctr_get_vtable() && br_ghash_pclmul_get()) ||
               (br_aes_pwr8_ctr_get_vtable() && br_ghash_pwr8_get());
    br_ssl_engine_context *engine = &l->client.eng;
    br_ssl_client_zero(&l->client);
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(engine, aes ? aes_first : chacha_first, 4);
    br_ssl_engine_set_default_rsavrfy(engine);
    br_ssl_engine_set_default_ecdsa(engine);
    br_ssl_engine_set_default_aes_gcm(engine);
    br_ssl_engine_set_default_chapol(engine);
    br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
    br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
    br_x509_minimal_init(&l->x509, &br_sha256_vtable, &l->anchor, 1);
    br_x509_minimal_set_rsa(&l->x509, engine->irsavrfy);
    br_x509_minimal_set_ecdsa(&l->x509, engine->iec, engine->iecdsa);
    br_x509_minimal_set_hash(&l->x509, br_sha256_ID, &br_sha256_vtable);
    br_ssl_engine_set_x509(engine, &l->x509.vtable);
    br_ssl_engine_set_buffers_bidi(engine, l->in, sizeof l->in, l->out, sizeof l->out);
}

static void send_all(limit *l, const unsigned char *bytes, size_t len)
{
    while (len != 0) {
        ssize_t n = send(l->fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0) {
            bench_fail("send failed");
        }
        bytes += n;
        len -= (size_t)n;
    }
}

/* All records that the engine has ready. */
static void send_records(limit *l)
{
    size_t filled = 0, len;
    const unsigned char *bytes;
    while ((bytes = br_ssl_engine_sendrec_buf(&l->client.eng, &len)) != NULL) {
        if (len > sizeof l->flight - filled) {
            send_all(l, l->flight, filled);
            filled = 0;
        }
        len = len < sizeof l->flight - filled ? len : sizeof l->flight - filled;
        memcpy(l->flight + filled, bytes, len);
        filled += len;
        br_ssl_engine_sendrec_ack(&l->client.eng, len);
    }
    send_all(l, l->flight, filled);
}

static void receive_records(limit *l)
{
    size_t wanted;
    unsigned char *bytes = br_ssl_engine_recvrec_buf(&l->client.eng, &wanted);
    if (l->ahead == l->ahead_end) {
        ssize_t n = recv(l->fd, bytes, (size_t)(l->in + sizeof l->in - bytes), 0);
        if (n <= 0) {
            bench_fail("the connection ended");
        }
        l->ahead = (size_t)(bytes - l->in);
        l->ahead_end = l->ahead + (size_t)n;
    } else if (bytes < l->in + l->ahead) {
        memmove(bytes, l->in + l->ahead, l->ahead_end - l->ahead);
        l->ahead_end -= l->ahead - (size_t)(bytes - l->in);
        l->ahead = (size_t)(bytes - l->in);
    }
    wanted = wanted < l->ahead_end - l->ahead ? wanted : l->ahead_end - l->ahead;
    l->ahead += wanted;
    br_ssl_engine_recvrec_ack(&l->client.eng, wanted);
}

/* Drives the engine until it can do what is wanted. */
static void drive(limit *l, unsigned wanted)
{
    for (;;) {
        unsigned state = br_ssl_engine_current_state(&l->client.eng);
        if (state & BR_SSL_CLOSED) {
            bench_fail("TLS failed");
        } else if (state & BR_SSL_SENDREC) {
            send_records(l);
        } else if (state & wanted) {
            return;
        } else {
            receive_records(l);
        }
    }
}

static void connect_tls(limit *l, bool resume)
{
    int one = 1;
    l->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (l->fd < 0 || connect(l->fd, l->address->ai_addr, l->address->ai_addrlen) != 0) {
        bench_fail("cannot connect");
    }
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    l->ahead = l->ahead_end = 0;
    br_ssl_client_reset(&l->client, "localhost", resume);
    drive(l, BR_SSL_SENDAPP);
}

/* Length of an answer by its head, which comes whole in one record. */
static size_t answer_bytes(const char *head, size_t len)
{
    static char text[4096];
    const char *end, *length;
    len = len < sizeof text - 1 ? len : sizeof text - 1;
    memcpy(text, head, len);
    text[len] = '\0';
    end = strstr(text, "\r\n\r\n");
    length = strstr(text, "Content-Length: ");
    if (strncmp(text, "HTTP/1.1 20", 11) != 0 || !end || !length) {
        bench_fail("a wrong answer");
    }
    return (size_t)(end + 4 - text) + strtoul(length + 16, NULL, 10);
}

static void ask(limit *l, const char *request)
{
    size_t room, len = strlen(request), left = 0;
    unsigned char *bytes = br_ssl_engine_sendapp_buf(&l->client.eng, &room);
    memcpy(bytes, request, len);
    br_ssl_engine_sendapp_ack(&l->client.eng, len);
    br_ssl_engine_flush(&l->client.eng, 0);
    do {
        drive(l, BR_SSL_RECVAPP);
        bytes = br_ssl_engine_recvapp_buf(&l->client.eng, &len);
        left = left != 0 ? left : answer_bytes((const char *)bytes, len);
        left -= len < left ? len : left;
        br_ssl_engine_recvapp_ack(&l->client.eng, len);
    } while (left != 0);
}

#define FIELDS                                                             \
    "Host: localhost\r\nUser-Agent: limit\r\nAccept: application/json\r\n" \
    "Authorization: Bearer " BENCH_TOKEN "\r\n"

static void work(limit *l, const bench *b, const char *list)
{
    if (bench_is(b, "create-revoke")) {
        ask(l, "POST /tokens/v1/orgs/10/create HTTP/1.1\r\n" FIELDS
               "Content-Type: application/json\r\nContent-Length: 47\r\n\r\n"
               "{\"name\":\"bench\",\"scopes\":[\"builds:read-write\"]}");
        ask(l, "POST /tokens/v1/orgs/10/tokens/org-token-0/revoke HTTP/1.1\r\n" FIELDS
               "Content-Length: 0\r\n\r\n");
        return;
    }
    if (!bench_is(b, "list")) {
        close(l->fd);
        connect_tls(l, bench_is(b, "resumed"));
    }
    ask(l, list);
}

int main(int argc, char **argv)
{
    static limit l;
    char list[512];
    struct addrinfo hints;
    unsigned long i;
    bench b;
    bench_read_arguments(&b, argc, argv);
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo("127.0.0.1", strrchr(b.url, ':') + 1, &hints, &l.address) != 0) {
        bench_fail("no address");
    }
    snprintf(list, sizeof list, "GET /tokens/v1/orgs/%s HTTP/1.1\r\n" FIELDS "\r\n", b.tokens);
    read_anchor(&l, b.ca_file);
    set_up(&l);
    connect_tls(&l, false);
    ask(&l, "GET /tokens/v1/orgs/10 HTTP/1.1\r\n" FIELDS "\r\n");
    bench_start(&b);
    for (i = 0; i < b.count; i++) {
        work(&l, &b, list);
    }
    bench_end(&b);
    close(l.fd);
    freeaddrinfo(l.address);
    return 0;
}
