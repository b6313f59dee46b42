/* The x509-limbo cases for TLS servers, each given to the validation as BearSSL's engine gives a server's chain, the
   issuers in the order in which they stand. What each comes to, and why where that is not what the suite expects:
   tests/limbo/verdicts.txt. */
#define _POSIX_C_SOURCE 200809L
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

/* LIMBO_UNPACKED: the cases as a file, for systems that start no programs. */
#ifdef LIMBO_UNPACKED
#define OPEN_CASES()      fopen(LIMBO_UNPACKED, "rb")
#define CLOSE_CASES(file) fclose(file)
#else
#define OPEN_CASES()      popen("gzip -dc tests/limbo/cases.gz", "r")
#define CLOSE_CASES(file) pclose(file)
#endif
#define VERDICTS "tests/limbo/verdicts.txt"

/* ---- Reading. ---- */

static void read_all(FILE *file, unit_text *text)
{
    static char piece[65536];
    size_t n;
    assert_non_null(file);
    while ((n = fread(piece, 1, sizeof piece, file)) != 0) {
        unit_add(text, piece, n);
    }
}

/* The next line of text, its end becoming a NUL; NULL behind the last. */
static char *next_line(char **text)
{
    char *line = *text, *end = strchr(line, '\n');
    if (!end) {
        return NULL;
    }
    *end = '\0';
    *text = end + 1;
    return line;
}

/* What follows the word and a space at the line's beginning, or NULL. */
static const char *after(const char *line, const char *word)
{
    size_t len = strlen(word);
    return line && strncmp(line, word, len) == 0 && line[len] == ' ' ? line + len + 1 : NULL;
}

static void add_base64(unit_text *out, const char *text)
{
    uint32_t bits = 0;
    unsigned have = 0;
    for (; *text && *text != '='; text++) {
        int value = htoki_base64_value((unsigned char)*text);
        check(value >= 0, "not base64: %s", text);
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            char byte = (char)(bits >> (have -= 8) & 255);
            unit_add(out, &byte, 1);
        }
    }
}

/* ---- One case. ---- */

#define MOST_CERTIFICATES 128 /* of one chain */

typedef struct limbo_case {
    const char *id, *name;
    bool accept;
    int64_t seconds;
    unit_text trusted;                  /* PEM */
    unit_text chain[MOST_CERTIFICATES]; /* DER */
    size_t count;
} limbo_case;

/* The lines of one case, up to an empty one. False behind the last case. */
static bool read_case(char **text, limbo_case *c)
{
    char *line = next_line(text);
    memset(c, 0, sizeof *c);
    if (!line) {
        return false;
    }
    check((c->id = after(line, "case")) != NULL, "not a case: %s", line);
    while ((line = next_line(text)) != NULL && *line != '\0') {
        const char *value;
        if ((value = after(line, "expect")) != NULL) {
            c->accept = strcmp(value, "accept") == 0;
        } else if ((value = after(line, "time")) != NULL) {
            c->seconds = strtoll(value, NULL, 10);
        } else if ((value = after(line, "name")) != NULL) {
            c->name = value;
        } else if ((value = after(line, "trusted")) != NULL) {
            unit_add_text(&c->trusted, "-----BEGIN CERTIFICATE-----\n");
            unit_add_text(&c->trusted, value);
            unit_add_text(&c->trusted, "\n-----END CERTIFICATE-----\n");
        } else {
            value = after(line, c->count == 0 ? "server" : "issuer");
            check(value != NULL && c->count < MOST_CERTIFICATES, "%s: %s", c->id, line);
            add_base64(&c->chain[c->count++], value);
        }
    }
    return true;
}

static void free_case(limbo_case *c)
{
    free(c->trusted.text);
    while (c->count != 0) {
        free(c->chain[--c->count].text);
    }
}

static void feed_chain(htoki_x509 *x, const htoki_tls *tls, const limbo_case *c)
{
    size_t i;
    x->vtable->start_chain(&x->vtable, tls->client.eng.server_name);
    for (i = 0; i < c->count; i++) {
        char *copy = unit_exact(c->chain[i].text, c->chain[i].len);
        x->vtable->start_cert(&x->vtable, (uint32_t)c->chain[i].len);
        x->vtable->append(&x->vtable, (const unsigned char *)copy, c->chain[i].len);
        x->vtable->end_cert(&x->vtable);
        free(copy);
    }
}

/* As the client goes about it: the URL, the trusted certificates, the chain, and the key's use for ECDHE. */
static htok_reason verdict(const limbo_case *c)
{
    static htoki_tls tls;
    static htoki_x509 x;
    static unsigned char record_in[512 + BR_SSL_BUFSIZE_INPUT - 16384],
        record_out[512 + BR_SSL_BUFSIZE_OUTPUT - 16384];
    static const unsigned char entropy[32] = {1};
    htoki_tls_config config;
    htoki_url url;
    htok_error e;
    char text[300];
    unsigned usages = 0;
    unit_error_begin(&e);
    snprintf(text, sizeof text, strchr(c->name, ':') ? "https://[%s]" : "https://%s", c->name);
    if (!htoki_url_parse(htoki_text(text), &url, &e) ||
        htoki_trust_check(htoki_view(c->trusted.text, c->trusted.len), true, c->seconds, &e) != HTOK_OK) {
        return e.reason;
    }
    memset(&config, 0, sizeof config);
    config.host = url.host;
    config.address = url.address.length != 0 ? url.address.bytes : NULL;
    config.address_len = url.address.length;
    config.trust = htoki_view(c->trusted.text, c->trusted.len);
    config.time_known = true;
    config.unix_seconds = c->seconds;
    config.entropy = entropy;
    config.entropy_len = sizeof entropy;
    config.record_in = record_in;
    config.record_in_size = sizeof record_in;
    config.record_out = record_out;
    config.record_out_size = sizeof record_out;
    config.scratch = &x;
    config.scratch_size = sizeof x;
    check(htoki_tls_start(&tls, &config, &e), "%s: %s", c->id, htok_reason_name(e.reason));
    feed_chain(&x, &tls, c);
    if (x.vtable->end_chain(&x.vtable) != 0) {
        return x.reason;
    }
    assert_non_null(x.vtable->get_pkey(&x.vtable, &usages));
    return (usages & BR_KEYTYPE_SIGN) != 0 ? HTOK_REASON_NONE : HTOK_REASON_CERTIFICATE_USAGE;
}

/* ---- What each is known to come to. ---- */

#define MOST_CASES   256
#define MOST_REASONS 32

/* A line "ID VERDICT" or, where the suite expects another verdict, "ID VERDICT WHY". */
typedef struct known {
    const char *id, *verdict, *why;
    bool met;
} known;

typedef struct why {
    const char *name;
    bool used;
} why;

static unit_text cases_text, verdicts_text;
static known verdicts[MOST_CASES];
static why whys[MOST_REASONS];
static size_t verdict_count, why_count;

static int setup(void **state)
{
    FILE *cases = OPEN_CASES(), *file = fopen(VERDICTS, "rb");
    char *at, *line;
    (void)state;
    read_all(cases, &cases_text);
    read_all(file, &verdicts_text);
    assert_int_equal(CLOSE_CASES(cases), 0);
    fclose(file);
    for (at = verdicts_text.text; (line = next_line(&at)) != NULL;) {
        char *word = strtok(line, " ");
        if (!word || *word == '#') {
            continue;
        }
        if (strcmp(word, "why") == 0) {
            assert_true(why_count < MOST_REASONS);
            whys[why_count++].name = strtok(NULL, " ");
            check(strtok(NULL, "") != NULL, "no text: why %s", whys[why_count - 1].name);
            continue;
        }
        assert_true(verdict_count < MOST_CASES);
        verdicts[verdict_count].id = word;
        verdicts[verdict_count].verdict = strtok(NULL, " ");
        verdicts[verdict_count++].why = strtok(NULL, " ");
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(cases_text.text);
    free(verdicts_text.text);
    return 0;
}

static known *known_of(const char *id)
{
    size_t i;
    for (i = 0; i < verdict_count; i++) {
        if (strcmp(verdicts[i].id, id) == 0) {
            return &verdicts[i];
        }
    }
    fail_msg("%s has no line in " VERDICTS, id);
    return NULL;
}

static bool use_why(const char *name)
{
    size_t i;
    for (i = 0; i < why_count; i++) {
        if (strcmp(whys[i].name, name) == 0) {
            whys[i].used = true;
            return true;
        }
    }
    return false;
}

static void every_case_ends_as_the_suite_expects_or_for_a_stated_reason_otherwise(void **state)
{
    char *at = cases_text.text;
    limbo_case c;
    size_t i;
    (void)state;
    while (read_case(&at, &c)) {
        known *k = known_of(c.id);
        htok_reason reason = verdict(&c);
        const char *name = htok_reason_name(reason);
        bool as_expected = (reason == HTOK_REASON_NONE) == c.accept;
        check(strcmp(name, k->verdict) == 0, "%s: %s, not %s", c.id, name, k->verdict);
        check(as_expected == !k->why, "%s: %s, and the suite expects to %s it", c.id, name,
              c.accept ? "accept" : "refuse");
        check(!k->why || use_why(k->why), "%s: no such reason: %s", c.id, k->why);
        check(!k->met, "%s twice", c.id);
        k->met = true;
        free_case(&c);
    }
    for (i = 0; i < verdict_count; i++) {
        check(verdicts[i].met, "no such case: %s", verdicts[i].id);
    }
    for (i = 0; i < why_count; i++) {
        check(whys[i].used, "no case for the reason %s", whys[i].name);
    }
}

/* Other cases, not packed: the lines of verdicts.txt for them, with a ? where the suite expects another verdict. */
static int survey(const char *path)
{
    unit_text text = {0};
    char *at;
    limbo_case c;
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "test_limbo: %s cannot be opened\n", path);
        return 1;
    }
    read_all(file, &text);
    fclose(file);
    for (at = text.text; read_case(&at, &c);) {
        htok_reason reason = verdict(&c);
        printf("%s %s%s\n", c.id, htok_reason_name(reason),
               (reason == HTOK_REASON_NONE) == c.accept ? "" : " ?");
        free_case(&c);
    }
    free(text.text);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_ends_as_the_suite_expects_or_for_a_stated_reason_otherwise),
    };
    if (getenv("LIMBO_CASES")) {
        return survey(getenv("LIMBO_CASES"));
    }
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests_name("limbo", tests, setup, teardown);
}
