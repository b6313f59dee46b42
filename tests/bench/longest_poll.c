/* Measures the longest single htok_client_poll(): how much time and CPU time it took, and in which stage.

     longest_poll LABEL URL CA_FILE RUNS

   Each run makes a client, lists once with a full handshake and once more with a resumed one. Of each stage the longest
   poll of a run counts; the table has the medians of the runs. HATHORA_TOKEN and HATHORA_ORG_ID say whose. The handshake
   is told by the server's messages that one poll took in. tests/bench/longest_poll.sh runs the whole. */
#define _POSIX_C_SOURCE 200809L
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS = 32, RUNS_MOST = 101 };

/* One stage of one series, with its longest poll in each run. */
typedef struct row {
    char name[128];
    double wall_ms[RUNS_MOST], cpu_ms[RUNS_MOST];
    unsigned runs, last_run; /* runs that had it */
} row;

typedef struct series {
    const char *name;
    row rows[ROWS];
    unsigned count;
} series;

/* ---- The server's handshake messages, as they pass by (RFC 5246 sections 6.2.1 and 7.4). ---- */

static htok_transport inner;
static unsigned char record[5], message[4];
static size_t record_len, record_left, message_len, message_left;
static bool encrypted;
static char seen[64]; /* the message that this poll works off */

/* The first of a poll is the one that it works off; the others wait in the client's buffer. */
static void note(const char *name)
{
    if (seen[0] == '\0') {
        snprintf(seen, sizeof seen, ", %s", name);
    }
}

static const char *message_name(unsigned type)
{
    switch (type) {
    case 2: return "ServerHello";
    case 11: return "Certificate";
    case 12: return "ServerKeyExchange";
    case 14: return "ServerHelloDone";
    case 20: return "Finished";
    default: return "another message";
    }
}

static void follow_record(unsigned char byte)
{
    if (--record_left == 0 && encrypted && record[0] == 22) {
        note("Finished");
    }
    if (record[0] != 22 || encrypted) {
        return;
    }
    if (message_left == 0) {
        message[message_len++] = byte;
        if (message_len < sizeof message) {
            return;
        }
        message_left = (size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3];
        message_len = 0;
    } else {
        message_left--;
    }
    if (message_left == 0) {
        note(message_name(message[0]));
    }
}

static htok_io spy(void *context, void *bytes, size_t size, htok_io_detail *detail)
{
    htok_io io = inner.receive(context, bytes, size, detail);
    size_t i;
    for (i = 0; io == HTOK_IO_OK && i < detail->moved; i++) {
        unsigned char byte = ((unsigned char *)bytes)[i];
        if (record_left != 0) {
            follow_record(byte);
            continue;
        }
        record[record_len++] = byte;
        if (record_len == sizeof record) {
            record_left = (size_t)record[3] << 8 | record[4];
            record_len = 0;
            encrypted = encrypted || record[0] == 20;
        }
    }
    return io;
}

/* ---- Measuring. ---- */

static double read_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void add(series *s, unsigned run, const char *name, double wall_ms, double cpu_ms)
{
    unsigned i, at;
    row *r;
    for (i = 0; i < s->count && strcmp(s->rows[i].name, name) != 0; i++) {}
    if (i == ROWS) {
        return;
    }
    if (i == s->count) {
        snprintf(s->rows[i].name, sizeof s->rows[i].name, "%s", name);
        s->count++;
    }
    r = &s->rows[i];
    if (r->last_run != run + 1) {
        r->last_run = run + 1;
        r->runs++;
    }
    at = r->runs - 1;
    r->wall_ms[at] = wall_ms > r->wall_ms[at] ? wall_ms : r->wall_ms[at];
    r->cpu_ms[at] = cpu_ms > r->cpu_ms[at] ? cpu_ms : r->cpu_ms[at];
}

static const char *stage_name(const htok_client *c)
{
    switch (c->stage) {
    case HTOKI_STAGE_BEGIN: return "begin";
    case HTOKI_STAGE_CONNECT: return c->looking_up ? "look-up" : "connect, and ClientHello";
    case HTOKI_STAGE_HANDSHAKE: return "handshake";
    default: return "exchange";
    }
}

/* A handshake message that came with others before it. */
static void note_ahead(const htoki_tls *t)
{
    const unsigned char *ahead = t->record_in + t->ahead;
    if (!htoki_tls_is_ahead(t)) {
        return;
    }
    if (t->cutter.off) {
        note("Finished");
    } else if (t->cutter.rest == 0 && ahead[0] != HTOKI_TLS_HANDSHAKE) {
        note("ChangeCipherSpec");
    } else {
        note(message_name(ahead[t->cutter.rest ? 0 : 5]));
    }
}

/* Takes one call to its end; the wait between two polls is not measured. */
static bool measure(htok_client *c, series *s, unsigned run)
{
    htok_state state;
    encrypted = false;
    record_len = record_left = message_len = message_left = 0;
    do {
        char name[sizeof seen + 32];
        double wall_ms, cpu_ms;
        const char *stage = stage_name(c);
        seen[0] = '\0';
        if (c->stage == HTOKI_STAGE_HANDSHAKE) {
            note_ahead(&c->tls);
        }
        wall_ms = read_ms(CLOCK_MONOTONIC);
        cpu_ms = read_ms(CLOCK_THREAD_CPUTIME_ID);
        state = htok_client_poll(c);
        cpu_ms = read_ms(CLOCK_THREAD_CPUTIME_ID) - cpu_ms;
        wall_ms = read_ms(CLOCK_MONOTONIC) - wall_ms;
        snprintf(name, sizeof name, "%s%s", stage,
                 c->stage == HTOKI_STAGE_EXCHANGE && stage[0] != 'h' ? "" : seen);
        add(s, run, name, wall_ms, cpu_ms);
        add(s, run, "longest of all", wall_ms, cpu_ms);
        if (state == HTOK_STATE_PENDING) {
            htok_wait wait = htok_client_wait(c);
            struct pollfd entry;
            entry.fd = (int)wait.descriptor;
            entry.events = (short)((wait.readable ? POLLIN : 0) | (wait.writable ? POLLOUT : 0));
            poll(&entry, 1, wait.timeout_ms < 1000 ? (int)wait.timeout_ms : 1000);
        }
    } while (state == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM);
    if (state != HTOK_STATE_DONE) {
        char line[512];
        htok_error_format(htok_client_error(c), line, sizeof line);
        fprintf(stderr, "longest_poll: %s\n", line);
    }
    return state == HTOK_STATE_DONE;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, by_size);
    return values[count / 2];
}

/* Of a stage that not all runs had it says so. */
static void print(series *s, unsigned runs)
{
    unsigned i;
    for (i = 0; i < s->count; i++) {
        row *r = &s->rows[i];
        printf("%-28s %9.3f %9.3f  %s", s->name, median(r->wall_ms, r->runs), median(r->cpu_ms, r->runs),
               r->name);
        if (r->runs != runs) {
            printf(" (in %u of %u runs)", r->runs, runs);
        }
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    static series full, resumed;
    char full_name[64], resumed_name[64];
    unsigned run, runs = argc == 5 ? (unsigned)atoi(argv[4]) : 0;
    if (runs == 0 || runs > RUNS_MOST) {
        fprintf(stderr, "usage: longest_poll LABEL URL CA_FILE RUNS\n");
        return 2;
    }
    snprintf(full_name, sizeof full_name, "%s, full", argv[1]);
    snprintf(resumed_name, sizeof resumed_name, "%s, resumed", argv[1]);
    full.name = full_name;
    resumed.name = resumed_name;
    for (run = 0; run < runs; run++) {
        htok_client_options options;
        htok_client *client;
        htok_error error;
        bool done;
        memset(&options, 0, sizeof options);
        options.server_url = argv[2];
        options.trust_file = argv[3];
        options.org_id = getenv("HATHORA_ORG_ID");
        options.token = getenv("HATHORA_TOKEN");
        options.timeout_ms = HTOK_NO_TIMEOUT;
        if (htok_client_create(&client, &options, &error) != HTOK_OK) {
            char line[512];
            htok_error_format(&error, line, sizeof line);
            fprintf(stderr, "longest_poll: %s\n", line);
            return 1;
        }
        inner = client->transport;
        client->transport.receive = spy;
        done = htok_get_org_tokens_start(client, NULL) == HTOK_OK && measure(client, &full, run);
        htoki_disconnect(client);
        done = done && htok_get_org_tokens_start(client, NULL) == HTOK_OK && measure(client, &resumed, run);
        htok_client_close(client);
        if (!done) {
            return 1;
        }
    }
    print(&full, runs);
    print(&resumed, runs);
    return 0;
}
