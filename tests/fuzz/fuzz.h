/* What the fuzz targets share: a check that ends the process, exact copies, scripted numbers. Include it after
   hathora_tokens.h with its implementation. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_UNUSED __attribute__((unused))

#define FUZZ_CHECK(condition, what)                                                             \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            fprintf(stderr, "%s:%d: %s: not true: %s\n", __FILE__, __LINE__, what, #condition); \
            abort();                                                                            \
        }                                                                                       \
    } while (0)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* A copy whose block ends with its last byte, so that the address sanitizer sees an over-read. */
FUZZ_UNUSED static char *fuzz_exact(const void *bytes, size_t len)
{
    char *copy = (char *)malloc(len ? len : 1);
    FUZZ_CHECK(copy != NULL, "memory");
    if (len != 0) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

FUZZ_UNUSED static bool fuzz_contains(const void *memory, size_t bytes, const char *text)
{
    const char *at = (const char *)memory, *end = bytes ? at + bytes : at;
    size_t len = strlen(text);
    while (bytes >= len && (at = (const char *)memchr(at, text[0], (size_t)(end - at))) != NULL) {
        if ((size_t)(end - at) < len) {
            return false;
        }
        if (memcmp(at, text, len) == 0) {
            return true;
        }
        at++;
    }
    return false;
}

/* A growing text. Zero it first; free(text). */
typedef struct fuzz_text {
    char *text;
    size_t len, size;
} fuzz_text;

FUZZ_UNUSED static void fuzz_add(fuzz_text *t, const char *bytes, size_t len)
{
    if (t->len + len + 1 > t->size) {
        t->size = (t->len + len + 1) * 2;
        t->text = (char *)realloc(t->text, t->size);
        FUZZ_CHECK(t->text != NULL, "memory");
    }
    if (len != 0) {
        memcpy(t->text + t->len, bytes, len);
    }
    t->len += len;
    t->text[t->len] = '\0';
}

/* Numbers that follow from a seed alone (xorshift). */
typedef struct fuzz_random {
    uint32_t state;
} fuzz_random;

FUZZ_UNUSED static fuzz_random fuzz_seed(uint32_t seed)
{
    fuzz_random r;
    r.state = seed * 2654435761u + 1u;
    r.state = r.state ? r.state : 1;
    return r;
}

FUZZ_UNUSED static uint32_t fuzz_below(fuzz_random *r, uint32_t limit)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 17;
    r->state ^= r->state << 5;
    return r->state % limit;
}

#endif
