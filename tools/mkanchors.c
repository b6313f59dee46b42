/* mkanchors - trusted certificates as a C array, for programs that have no files: PEM or DER in, a header out.

   cc -I. tools/mkanchors.c -lbearssl -o mkanchors
   ./mkanchors --subject "ISRG Root X" /etc/ssl/certs/ca-certificates.crt >trusted_anchors.h

   It reads certificates by the client's own code, so what it takes the client takes. The same input gives the same
   output, but for roots that expire meanwhile; SOURCE_DATE_EPOCH sets the time for that. */
#define HATHORA_TOKENS_IMPLEMENTATION
#define HATHORA_TOKENS_STATIC
#define HATHORA_TOKENS_NO_SOCKETS
#define HATHORA_TOKENS_NO_RESOLVER
#define HATHORA_TOKENS_NO_THREADS
#define HATHORA_TOKENS_NO_CLOCK
#define HATHORA_TOKENS_NO_ENTROPY
#define HATHORA_TOKENS_NO_FILES
#define HATHORA_TOKENS_NO_BLOCKING
#include "hathora_tokens.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_SELECTORS    64
#define MOST_CERTIFICATES 1024
#define FILE_BYTES        ((size_t)16 << 20)
#define COUNT(array)      (sizeof(array) / sizeof((array)[0]))

enum { DONE = 0, FAILED = 1, USAGE = 2 }; /* exit statuses */

/* ---- What was asked for. ---- */

typedef struct selector {
    const char *text; /* as given */
    bool fingerprint;
    unsigned char hash[32];
    bool met;
} selector;

typedef struct anchor {
    unsigned char *der;
    size_t len;
    unsigned char fingerprint[32], pin[32];
    char subject[320], not_before[14], not_after[14], key[32];
    bool authority, usable, expired;
} anchor;

typedef struct job {
    const char *name;
    selector selectors[MOST_SELECTORS];
    size_t selector_count;
    anchor anchors[MOST_CERTIFICATES];
    size_t anchor_count;
    char now[14];
    bool take_expired, list;
} job;

static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("mkanchors: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

/* ---- Files. ---- */

static void *grown(void *memory, size_t size)
{
    void *more = realloc(memory, size);
    if (!more) {
        say("out of memory");
        exit(FAILED);
    }
    return more;
}

/* The whole file, "-" being standard input; NULL when that fails. */
static char *read_file(const char *path, size_t *len)
{
    bool standard = strcmp(path, "-") == 0, failed;
    FILE *file = standard ? stdin : fopen(path, "rb");
    char *text = NULL;
    size_t size = 0, n = 0;
    *len = 0;
    if (!file) {
        say("%s: cannot be opened", path);
        return NULL;
    }
    do {
        *len += n;
        if (*len == size) {
            size = size ? size * 2 : 65536;
            text = (char *)grown(text, size);
        }
        n = fread(text + *len, 1, size - *len, file);
    } while (n != 0 && *len < FILE_BYTES);
    failed = ferror(file) != 0 || n != 0;
    if (!standard) {
        fclose(file);
    }
    if (failed) {
        say("%s: %s", path, n != 0 ? "is larger than 16 MiB" : "cannot be read");
        free(text);
        return NULL;
    }
    return text;
}

static unsigned long line_of(const char *text, size_t at)
{
    unsigned long line = 1;
    size_t i;
    for (i = 0; i < at; i++) {
        line += text[i] == '\n';
    }
    return line;
}

/* ---- One certificate. ---- */

/* The element that begins at *at, with its content in *content; steps behind it. */
static bool element(htok_view der, size_t *at, unsigned *tag, htok_view *content)
{
    size_t begin = *at, len, more, i;
    if (der.len - begin < 2) {
        return false;
    }
    *tag = (unsigned char)der.ptr[begin];
    len = (unsigned char)der.ptr[begin + 1];
    begin += 2;
    if (len >= 0x80) {
        more = len - 0x80;
        if (more < 1 || more > 3 || der.len - begin < more) {
            return false;
        }
        for (len = 0, i = 0; i < more; i++) {
            len = len << 8 | (unsigned char)der.ptr[begin + i];
        }
        begin += more;
    }
    if (der.len - begin < len) {
        return false;
    }
    *content = htoki_view(der.ptr + begin, len);
    *at = begin + len;
    return true;
}

/* A text that may stand in a comment. UTF-8 is kept; of UCS-2 what is Latin. */
static void put_string(htoki_writer *w, unsigned tag, htok_view text)
{
    char one[2];
    size_t i, step = tag == 0x1e ? 2 : 1;
    if (tag == 0x0c) {
        htoki_put_printable(w, text);
        return;
    }
    for (i = step - 1; i < text.len; i += step) {
        bool latin = step == 1 || text.ptr[i - 1] == 0;
        one[0] = latin && (unsigned char)text.ptr[i] < 0x80 ? text.ptr[i] : '?';
        htoki_put_printable(w, htoki_view(one, 1));
    }
}

/* The attributes of a distinguished name, "CN=..., O=...", in its own order. */
static bool put_name(htoki_writer *w, htok_view name)
{
    static const struct {
        char oid[3];
        const char *label;
    } labels[] = {{"\x55\x04\x03", "CN"}, {"\x55\x04\x06", "C"}, {"\x55\x04\x07", "L"},
                  {"\x55\x04\x08", "ST"}, {"\x55\x04\x0a", "O"}, {"\x55\x04\x0b", "OU"}};
    size_t at = 0, in_set, in_pair, i;
    unsigned tag;
    htok_view set, pair, oid, text;
    while (at < name.len) {
        if (!element(name, &at, &tag, &set)) {
            return false;
        }
        for (in_set = 0; in_set < set.len;) {
            const char *label = NULL;
            in_pair = 0;
            if (!element(set, &in_set, &tag, &pair) || !element(pair, &in_pair, &tag, &oid) ||
                !element(pair, &in_pair, &tag, &text)) {
                return false;
            }
            for (i = 0; i < COUNT(labels); i++) {
                label = htoki_equal(oid, htoki_view(labels[i].oid, 3)) ? labels[i].label : label;
            }
            if (label) {
                htoki_put_text(w, w->total != 0 ? ", " : "");
                htoki_put_text(w, label);
                htoki_put_char(w, '=');
                put_string(w, tag, text);
            }
        }
    }
    return true;
}

/* RFC 5280 section 4.1: the subject is the sixth field, or the fifth where the version is left out. */
static bool read_subject(anchor *a)
{
    htok_view der = htoki_view((const char *)a->der, a->len), certificate, tbs, field = der;
    htoki_writer w = htoki_writer_make(a->subject, sizeof a->subject - 1, 0);
    size_t at = 0, i;
    unsigned tag;
    if (!element(der, &at, &tag, &certificate) || (at = 0, !element(certificate, &at, &tag, &tbs))) {
        return false;
    }
    for (at = 0, i = 0; i < 6; i++) {
        if (!element(tbs, &at, &tag, &field)) {
            return false;
        }
        i += i == 0 && tag != 0xa0;
    }
    if (!put_name(&w, field)) {
        return false;
    }
    a->subject[w.total < sizeof a->subject ? w.total : sizeof a->subject - 1] = '\0';
    for (i = 0; a->subject[i] != '\0'; i++) {
        /* Nothing may end the comment, seem to begin another or make a trigraph. */
        if ((a->subject[i] == '*' && (a->subject[i + 1] == '/' || (i != 0 && a->subject[i - 1] == '/'))) ||
            (a->subject[i] == '?' && a->subject[i + 1] == '?')) {
            a->subject[i] = '+';
        }
    }
    return true;
}

static void describe_key(anchor *a, const htoki_der *d, const htoki_root_key *key)
{
    unsigned bits = (unsigned)key->modulus_len * 8;
    unsigned char high;
    switch (d->key_kind) {
    case HTOKI_KEY_RSA:
        for (high = key->bytes[0]; bits != 0 && high < 0x80; high = (unsigned char)(high << 1)) {
            bits--;
        }
        snprintf(a->key, sizeof a->key, key->overflow ? "RSA of more than 4096 bits" : "RSA of %u bits",
                 bits);
        break;
    case BR_EC_secp256r1: strcpy(a->key, "P-256"); break;
    case BR_EC_secp384r1: strcpy(a->key, "P-384"); break;
    case BR_EC_secp521r1: strcpy(a->key, "P-521"); break;
    default: strcpy(a->key, "of an unknown kind"); break;
    }
}

/* Reads the certificate at hand by the client's code. */
static bool read_certificate(job *j, htoki_bundle *b, anchor *a)
{
    htoki_der d;
    htoki_root_key key;
    br_sha256_context sha;
    unsigned char piece[48];
    size_t n;
    memset(a, 0, sizeof *a);
    br_sha256_init(&sha);
    htoki_der_start(&d, HTOKI_ROLE_ROOT, NULL, &key);
    while ((n = htoki_bundle_read(b, piece, sizeof piece)) != 0) {
        size_t at = 0;
        a->der = (unsigned char *)grown(a->der, a->len + n);
        memcpy(a->der + a->len, piece, n);
        a->len += n;
        br_sha256_update(&sha, piece, n);
        while (at < n) {
            at += htoki_der_feed(&d, piece + at, n - at);
        }
    }
    if (b->failed || d.failed || !d.done || d.trailing || !read_subject(a)) {
        return false;
    }
    br_sha256_out(&sha, a->fingerprint);
    memcpy(a->pin, d.key_hash, sizeof a->pin);
    memcpy(a->not_before, d.not_before, sizeof a->not_before);
    memcpy(a->not_after, d.not_after, sizeof a->not_after);
    describe_key(a, &d, &key);
    a->authority = d.ca || (!d.extended && memcmp(d.subject, d.issuer, sizeof d.subject) == 0);
    a->usable = htoki_root_usable(&d, &key);
    a->expired = memcmp(a->not_after, j->now, sizeof j->now) < 0;
    return true;
}

/* ---- Choosing. ---- */

static bool contains(const char *text, const char *part)
{
    size_t len = strlen(part), i;
    for (; strlen(text) >= len; text++) {
        for (i = 0; i < len && htoki_lower(text[i]) == htoki_lower(part[i]); i++) {}
        if (i == len) {
            return true;
        }
    }
    return false;
}

static bool chosen(job *j, const anchor *a)
{
    bool any = j->selector_count == 0;
    size_t i;
    for (i = 0; i < j->selector_count; i++) {
        selector *s = &j->selectors[i];
        if (s->fingerprint ? memcmp(s->hash, a->fingerprint, sizeof s->hash) == 0
                           : contains(a->subject, s->text)) {
            s->met = any = true;
        }
    }
    return any;
}

/* Of a whole bundle, what the client would not use is left out; what was asked for by name is not left out in silence.
   False: the certificate stops the work. */
static bool take(job *j, anchor *a, const char *path)
{
    const char *unfit = !a->usable
                            ? "the client has no use for it: its key is not RSA of 2048 to 4096 bits, P-256, "
                              "P-384 or P-521, or it is limited to other uses"
                        : a->expired && !j->take_expired ? "has expired"
                                                         : NULL;
    size_t i;
    if (!chosen(j, a)) {
        free(a->der);
        return true;
    }
    for (i = 0; i < j->anchor_count; i++) {
        if (memcmp(j->anchors[i].fingerprint, a->fingerprint, sizeof a->fingerprint) == 0) {
            say("%s: left out, is there already: %s", path, a->subject);
            free(a->der);
            return true;
        }
    }
    if (unfit && !j->list) {
        bool asked = j->selector_count != 0;
        say("%s: %s%s: %s", path, asked ? "" : "left out, ", unfit, a->subject);
        free(a->der);
        return !asked;
    }
    if (j->anchor_count == MOST_CERTIFICATES) {
        say("%s: more than %d certificates", path, MOST_CERTIFICATES);
        free(a->der);
        return false;
    }
    j->anchors[j->anchor_count++] = *a;
    return true;
}

/* Whether the word stands anywhere in text, which may hold NULs. */
static bool holds(const char *text, size_t len, const char *word)
{
    size_t n = strlen(word), at;
    for (at = 0; at + n <= len; at++) {
        if (memcmp(text + at, word, n) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_bundle(job *j, const char *path)
{
    htoki_bundle b;
    anchor a;
    size_t len, found = 0;
    char *text = read_file(path, &len);
    bool well = text != NULL;
    if (!well) {
        return false;
    }
    htoki_bundle_open(&b, htoki_view(text, len));
    if (!b.der && holds(text, len, "PRIVATE KEY-----")) {
        say("%s: holds a private key, which no program that trusts a certificate needs; take it out", path);
        well = false;
    }
    while (well && htoki_bundle_next(&b)) {
        found++;
        well = read_certificate(j, &b, &a);
        if (!well) {
            size_t at = b.failed ? b.at : b.begin;
            say(b.der ? "%s: certificate %lu is malformed, at byte %lu"
                      : "%s: certificate %lu is malformed, at line %lu",
                path, (unsigned long)found, b.der ? (unsigned long)at : line_of(text, at));
            free(a.der);
        } else {
            well = take(j, &a, path);
        }
    }
    if (well && b.failed) {
        say("%s: malformed at byte %lu", path, (unsigned long)b.at);
        well = false;
    } else if (well && found == 0) {
        say("%s: %s", path,
            len == 0 ? "is empty"
                     : "holds no certificate; one in PEM begins with -----BEGIN CERTIFICATE-----");
        well = false;
    }
    free(text);
    return well;
}

/* ---- Writing. ---- */

static void print_date(const char digits[14])
{
    printf("%.4s-%.2s-%.2s %.2s:%.2s:%.2s", digits, digits + 4, digits + 6, digits + 8, digits + 10,
           digits + 12);
}

static void print_anchor(const anchor *a, size_t number)
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t i;
    printf("   %lu. %s\n      valid        ", (unsigned long)number,
           a->subject[0] ? a->subject : "(no subject)");
    print_date(a->not_before);
    printf(" to ");
    print_date(a->not_after);
    printf(" UTC%s\n      key          %s%s\n      SHA-256      ", a->expired ? ", expired" : "", a->key,
           !a->usable     ? "; of no use to the client"
           : a->authority ? ""
                          : "; no CA, so it vouches for its own names alone");
    for (i = 0; i < sizeof a->fingerprint; i++) {
        printf("%s%02X", i == 0 ? "" : ":", a->fingerprint[i]);
    }
    printf("\n      pin          sha256/");
    for (i = 0; i < 33; i += 3) {
        uint32_t bits =
            (uint32_t)a->pin[i] << 16 | (uint32_t)a->pin[i + 1] << 8 | (i < 30 ? a->pin[i + 2] : 0u);
        printf("%c%c%c%c", base64[bits >> 18], base64[bits >> 12 & 63], base64[bits >> 6 & 63],
               i < 30 ? base64[bits & 63] : '=');
    }
    printf("\n");
}

static void print_source(const job *j)
{
    size_t i, k, total = 0;
    bool expired = false;
    for (i = 0; i < j->anchor_count; i++) {
        total += j->anchors[i].len;
        expired = expired || j->anchors[i].expired;
    }
    printf("/* Trusted certificates for hathora_tokens.h, made by mkanchors. Do not edit.\n\n");
    for (i = 0; i < j->anchor_count; i++) {
        print_anchor(&j->anchors[i], i + 1);
    }
    printf("\n   options.trust.ptr = (const char *)%s;\n   options.trust.len = sizeof %s;%s */\n", j->name,
           j->name, expired ? "\n   options.expired_roots = true;" : "");
    printf("static const unsigned char %s[%lu] = {", j->name, (unsigned long)total);
    for (i = 0; i < j->anchor_count; i++) {
        printf("\n    /* %lu */", (unsigned long)(i + 1));
        for (k = 0; k < j->anchors[i].len; k++) {
            printf("%s0x%02x,", k % 16 == 0 ? "\n    " : " ", j->anchors[i].der[k]);
        }
    }
    printf("\n};\n");
}

/* ---- Options. ---- */

static void print_help(void)
{
    printf(
        "usage: mkanchors [OPTIONS] FILE...\n\n"
        "Writes the certificates of the files, PEM or DER (-: standard input), as a C array for "
        "options.trust.\n\n"
        "  --subject TEXT     only those whose subject holds this text; may repeat\n"
        "  --fingerprint HEX  only the one with this SHA-256 of the certificate; may repeat\n"
        "  --expired          take expired ones too\n"
        "  --name NAME        name of the array (trusted_anchors)\n"
        "  --list             only tell what the files hold\n"
        "  --help             this text\n\n"
        "Of a whole bundle, what is expired or of no use to the client is left out with a line on standard "
        "error;\n"
        "asked for by subject or fingerprint, it is an error. SOURCE_DATE_EPOCH sets the time for that.\n");
}

static bool is_name(const char *text)
{
    size_t i;
    for (i = 0; text[i] != '\0'; i++) {
        char c = htoki_lower(text[i]);
        if (!(c >= 'a' && c <= 'z') && c != '_' && (i == 0 || !htoki_is_digit(c))) {
            return false;
        }
    }
    return i != 0;
}

/* Whether the name is a keyword from C99 to C23 or C++11 to C++20, or of the kind that is the compiler's. */
static bool is_taken(const char *name)
{
    static const char keywords[] =
        " alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t"
        " char32_t char8_t class co_await co_return co_yield compl concept const const_cast consteval"
        " constexpr constinit continue decltype default delete do double dynamic_cast else enum"
        " explicit export extern false float for friend goto if inline int long mutable namespace new"
        " noexcept not not_eq nullptr operator or or_eq private protected public register"
        " reinterpret_cast requires restrict return short signed sizeof static static_assert"
        " static_cast struct switch template this thread_local throw true try typedef typeid typename"
        " typeof typeof_unqual union unsigned using virtual void volatile wchar_t while xor xor_eq ";
    size_t len = strlen(name);
    const char *at = keywords;
    while ((at = strstr(at, name)) != NULL && (at[-1] != ' ' || at[len] != ' ')) {
        at++;
    }
    return at != NULL || (name[0] == '_' && (name[1] == '_' || (name[1] >= 'A' && name[1] <= 'Z')));
}

/* 64 hexadecimal digits, with or without colons between them. */
static bool read_fingerprint(const char *text, unsigned char hash[32])
{
    size_t at = 0;
    for (; *text != '\0'; text++) {
        int value = htoki_hex_value(*text);
        if (*text == ':' && at != 0 && at % 2 == 0) {
            continue;
        }
        if (value < 0 || at == 64) {
            return false;
        }
        hash[at / 2] = (unsigned char)(at % 2 == 0 ? value << 4 : hash[at / 2] | value);
        at++;
    }
    return at == 64;
}

static bool read_time(job *j)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    uint64_t seconds = (uint64_t)time(NULL);
    if (epoch && !htoki_parse_decimal(htoki_text(epoch), INT64_MAX, &seconds)) {
        say("SOURCE_DATE_EPOCH is not a number: %s", epoch);
        return false;
    }
    if (!htoki_time_digits((int64_t)seconds, j->now)) {
        say("the time is unknown; SOURCE_DATE_EPOCH sets it");
        return false;
    }
    return true;
}

static bool add_selector(job *j, const char *option, const char *value)
{
    selector *s = &j->selectors[j->selector_count];
    if (j->selector_count == MOST_SELECTORS) {
        say("more than %d of --subject and --fingerprint", MOST_SELECTORS);
        return false;
    }
    s->text = value;
    s->fingerprint = strcmp(option, "--fingerprint") == 0;
    if (s->fingerprint ? !read_fingerprint(value, s->hash) : *value == '\0') {
        say(s->fingerprint ? "--fingerprint needs the 64 hexadecimal digits of a SHA-256, not %s"
                           : "--subject needs a text%s",
            value);
        return false;
    }
    j->selector_count++;
    return true;
}

/* Reads the option at argv[*at], and steps to its value where it has one. */
static bool read_option(job *j, char **argv, int argc, int *at)
{
    const char *option = argv[*at], *value = NULL;
    if (strcmp(option, "--expired") == 0) {
        return j->take_expired = true;
    }
    if (strcmp(option, "--list") == 0) {
        return j->list = true;
    }
    if (strcmp(option, "--subject") != 0 && strcmp(option, "--fingerprint") != 0 &&
        strcmp(option, "--name") != 0) {
        say("unknown option %s; --help tells what there is", option);
        return false;
    }
    if (*at + 1 == argc) {
        say("%s needs a value", option);
        return false;
    }
    value = argv[++*at];
    if (strcmp(option, "--name") != 0) {
        return add_selector(j, option, value);
    }
    if (!is_name(value)) {
        say("--name needs a name of C, not %s", value);
        return false;
    }
    if (is_taken(value)) {
        say("--name needs a name that C and C++ leave free, not %s", value);
        return false;
    }
    j->name = value;
    return true;
}

/* DONE when all that was printed has been written. */
static int written(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        say("standard output cannot be written");
        return FAILED;
    }
    return DONE;
}

/* All files are read and all that was asked for is there, or nothing is written. */
static int run(job *j, char **files, int count)
{
    size_t i;
    int k;
    for (k = 0; k < count; k++) {
        if (!read_bundle(j, files[k])) {
            return FAILED;
        }
    }
    for (i = 0; i < j->selector_count; i++) {
        if (!j->selectors[i].met) {
            say("no certificate has the %s %s",
                j->selectors[i].fingerprint ? "fingerprint" : "text in its subject:", j->selectors[i].text);
            return FAILED;
        }
    }
    if (j->anchor_count == 0) {
        say("no certificate is left");
        return FAILED;
    }
    if (j->list) {
        for (i = 0; i < j->anchor_count; i++) {
            print_anchor(&j->anchors[i], i + 1);
        }
    } else {
        print_source(j);
    }
    return written();
}

int main(int argc, char **argv)
{
    static job j;
    int at, files = 0, status;
    j.name = "trusted_anchors";
    for (at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--help") == 0) {
            print_help();
            return written();
        }
        if (argv[at][0] != '-' || argv[at][1] == '\0') {
            argv[files++] = argv[at];
        } else if (!read_option(&j, argv, argc, &at)) {
            return USAGE;
        }
    }
    if (files == 0) {
        say("no file given; --help tells what there is");
        return USAGE;
    }
    if (!read_time(&j)) {
        return FAILED;
    }
    status = run(&j, argv, files);
    while (j.anchor_count != 0) {
        free(j.anchors[--j.anchor_count].der);
    }
    return status;
}
