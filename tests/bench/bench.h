/* bench.h: what the measured programs share. Each takes WORK URL CA COUNT, does the work once to warm up and COUNT
   times more, and prints one line: CPU nanoseconds and wall nanoseconds of those COUNT, together, and the KiB of address
   space that the program has had at most.

     list N          lists of N tokens on one connection, after a list of 10
     create-revoke   a token created and revoked, on the same connection
     full            a list of 10 on a new connection each, by a full handshake
     resumed         the same by a resumed one: the server closes after each answer */

#ifndef BENCH_H
#define BENCH_H

#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BENCH_TOKEN "bench-dev-token"

typedef struct bench {
    const char *work, *tokens; /* tokens: how many the list holds, which is also the organization's id */
    const char *url, *ca_file;
    unsigned long count;
    struct timespec cpu, wall;
} bench;

static void bench_fail(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static void bench_read_arguments(bench *b, int argc, char **argv)
{
    bool list = argc > 1 && strcmp(argv[1], "list") == 0;
    if (argc != (list ? 6 : 5)) {
        bench_fail("arguments: list N | create-revoke | full | resumed, then URL CA COUNT");
    }
    b->work = argv[1];
    b->tokens = list ? argv[2] : "10";
    b->url = argv[argc - 3];
    b->ca_file = argv[argc - 2];
    b->count = strtoul(argv[argc - 1], NULL, 10);
}

static bool bench_is(const bench *b, const char *work)
{
    return strcmp(b->work, work) == 0;
}

static void bench_start(bench *b)
{
    clock_gettime(CLOCK_MONOTONIC, &b->wall);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b->cpu);
}

static long long bench_since(clockid_t clock, const struct timespec *start)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (now.tv_sec - start->tv_sec) * 1000000000LL + (now.tv_nsec - start->tv_nsec);
}

/* Linux's count, which knows of every page that was asked for; 0 elsewhere. */
static long bench_peak(void)
{
    char line[128];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "VmPeak:", 7) == 0) {
            kib = strtol(line + 7, NULL, 10);
        }
    }
    if (file) {
        fclose(file);
    }
    return kib;
}

static void bench_end(const bench *b)
{
    long long cpu = bench_since(CLOCK_PROCESS_CPUTIME_ID, &b->cpu);
    printf("%lld %lld %ld\n", cpu, bench_since(CLOCK_MONOTONIC, &b->wall), bench_peak());
}

#endif
