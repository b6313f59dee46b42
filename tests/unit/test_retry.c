/* Whether and when to try again. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

static void codes_are_statuses_and_families(void **state)
{
    static const struct {
        const char *codes;
        int status;
        bool ok, match;
    } rows[] = {
        {"429", 429, true, true},
        {"429", 428, true, false},
        {"429,500,502,503,504", 504, true, true},
        {"429,500,502,503,504", 501, true, false},
        {"5XX", 500, true, true},
        {"5xx", 599, true, true},
        {"5xX", 550, true, true},
        {"5XX", 499, true, false},
        {"429, 5XX,  404", 404, true, true},
        {"1XX,2XX,3XX,4XX,5XX", 0, true, false},
        {"100", 100, true, true},
        {"599", 599, true, true},
        {"429", 429 + 1000, true, false},
        {"", 429, false, false},
        {",", 429, false, false},
        {"429,", 429, false, true},
        {",429", 429, false, false},
        {" 429", 429, false, false},
        {"429 ", 429, false, true},
        {"429;500", 429, false, true},
        {"42", 429, false, false},
        {"4291", 429, false, true},
        {"600", 600, false, false},
        {"0XX", 0, false, false},
        {"099", 99, false, false},
        {"6XX", 600, false, false},
        {"5X0", 500, false, false},
        {"50X", 500, false, false},
        {"XXX", 500, false, false},
        {"4 9", 429, false, false},
        {"-29", 429, false, false},
        {"429,,500", 500, false, false},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        size_t len = strlen(rows[i].codes) + 1;
        char *copy = unit_exact(rows[i].codes, len);
        bool match = true, ok = htoki_codes_match(copy, rows[i].status, &match);
        check_number(ok, rows[i].ok, rows[i].codes);
        check(!ok || match == rows[i].match, "%s with %d", rows[i].codes, rows[i].status);
        free(copy);
    }
}

static void square_roots_are_rounded_down(void **state)
{
    static const uint64_t edges[] = {0, 1, 2, 3, 4, 65535, 65536, 4294967295u, 4294967296u, 4294967297u};
    size_t i;
    uint64_t v;
    (void)state;
    for (i = 0; i < UNIT_COUNT(edges); i++) {
        uint64_t root = htoki_square_root(edges[i] * edges[i] < edges[i] ? edges[i] : edges[i] * edges[i]);
        check(root == edges[i] || edges[i] >= 4294967296u, "root of %lu squared", (unsigned long)edges[i]);
    }
    assert_int_equal(htoki_square_root(UINT64_MAX), 4294967295u);
    assert_int_equal(htoki_square_root((uint64_t)1 << 62), (uint64_t)1 << 31);
    for (v = 0; v < 100000; v++) {
        uint64_t root = htoki_square_root(v);
        check(root * root <= v && (root + 1) * (root + 1) > v, "root of %lu", (unsigned long)v);
    }
}

/* base to the power of thousandths / 1000 in doubles, without the mathematics library: thousandths-th powers by
   Newton's tenth roots of tenth roots. */
static double root_of(double v, int n)
{
    double x = v < 1 ? 1 : v;
    int i, k;
    for (i = 0; i < 400; i++) {
        double power = 1;
        for (k = 0; k < n - 1; k++) {
            power *= x;
        }
        x = ((n - 1) * x + v / power) / n;
    }
    return x;
}

static double power_of(double base, unsigned thousandths)
{
    double thousandth = root_of(root_of(root_of(base, 10), 10), 10), result = 1;
    unsigned i;
    for (i = 0; i < thousandths / 1000; i++) {
        result *= base;
    }
    for (i = 0; i < thousandths % 1000; i++) {
        result *= thousandth;
    }
    return result;
}

static void powers_agree_with_floating_point(void **state)
{
    static const uint32_t bases[] = {1, 2, 3, 4, 5, 7, 10, 16, 33, 100, 1000, 4095, 65535};
    static const uint32_t exponents[] = {1,    10,   250,  500,  999,  1000, 1001,
                                         1250, 1500, 1999, 2000, 2500, 3333, 10000};
    const uint64_t limit = (uint64_t)1 << 48;
    size_t i, n;
    (void)state;
    for (i = 0; i < UNIT_COUNT(bases); i++) {
        for (n = 0; n < UNIT_COUNT(exponents); n++) {
            double wanted = power_of(bases[i], exponents[n]) * 65536.0;
            double got = (double)htoki_power(bases[i], exponents[n], limit);
            wanted = wanted > (double)limit ? (double)limit : wanted;
            check(got <= wanted * 1.0005 + 2 && got >= wanted * 0.9995 - 2, "%u to the %u: %f, not %f",
                  (unsigned)bases[i], (unsigned)exponents[n], got, wanted);
        }
    }
    assert_int_equal(htoki_power(0, 1500, limit), 0);
    assert_int_equal(htoki_power(65536, 3000, ((uint64_t)1 << 49) - 1), ((uint64_t)1 << 49) - 1);
    assert_int_equal(htoki_power(1, 10000, limit), 65536);
    assert_int_equal(htoki_power(UINT32_MAX, 10000, limit), limit);
    assert_int_equal(htoki_power(UINT32_MAX, 1, 100), 100);
}

static htok_retry backoff(void)
{
    htok_retry r;
    memset(&r, 0, sizeof r);
    r.strategy = HTOK_RETRY_BACKOFF;
    r.initial_interval_ms = 500;
    r.max_interval_ms = 60000;
    r.max_elapsed_ms = 3600000;
    r.exponent_thousandths = 1500;
    r.codes = "429,500,502,503,504";
    return r;
}

static htoki_outcome outcome_of(htok_kind kind, int status)
{
    htoki_outcome o;
    memset(&o, 0, sizeof o);
    o.kind = kind;
    o.status = status;
    o.retry_after_ms = -1;
    o.may_repeat = true;
    return o;
}

/* min(initial * attempt^exponent + random, max), as the SDK has it. */
static void waits_are_the_sdks(void **state)
{
    static const uint32_t initials[] = {1, 100, 500, 30000}, exponents[] = {1000, 1500, 2000, 2750};
    static const uint32_t maxima[] = {1, 400, 60000, 4000000000u};
    static const uint32_t randoms[] = {0, 0x40000000, 0x80000000, UINT32_MAX};
    size_t i, n, m, k;
    uint32_t attempt;
    (void)state;
    for (i = 0; i < 4; i++) {
        for (n = 0; n < 4; n++) {
            for (m = 0; m < 4; m++) {
                for (attempt = 0; attempt < 40; attempt++) {
                    for (k = 0; k < 4; k++) {
                        htok_retry r = backoff();
                        htoki_outcome o = outcome_of(HTOK_SDK_ERROR, 503);
                        double wanted, got;
                        r.initial_interval_ms = initials[i];
                        r.exponent_thousandths = exponents[n];
                        r.max_interval_ms = maxima[m];
                        r.max_elapsed_ms = UINT32_MAX;
                        wanted = (attempt ? power_of(attempt, exponents[n]) : 0) * initials[i] +
                                 (double)randoms[k] * 1001.0 / 4294967296.0;
                        wanted = wanted > maxima[m] ? maxima[m] : wanted;
                        got = (double)htoki_retry_wait_ms(&r, &o, attempt, 0, randoms[k]);
                        check(got <= wanted * 1.0005 + 2 && got >= wanted * 0.9995 - 2,
                              "initial %u, exponent %u, attempt %u: %f, not %f", (unsigned)initials[i],
                              (unsigned)exponents[n], (unsigned)attempt, got, wanted);
                    }
                }
            }
        }
    }
}

static void the_first_waits_with_default_values_are_known(void **state)
{
    static const int64_t waits[] = {0, 500, 1414, 2598, 4000, 5590, 7348, 9260, 11313, 13500, 15811};
    htok_retry r = backoff();
    htoki_outcome o = outcome_of(HTOK_API_ERROR, 429);
    uint32_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(waits); i++) {
        int64_t got = htoki_retry_wait_ms(&r, &o, i, 0, 0);
        check(got == waits[i] || got == waits[i] - 1, "attempt %u: %ld", (unsigned)i, (long)got);
    }
    assert_int_equal(htoki_retry_wait_ms(&r, &o, 0, 0, UINT32_MAX), 1000);
    assert_int_equal(htoki_retry_wait_ms(&r, &o, 100000, 0, 0), 60000);
    assert_int_equal(htoki_retry_wait_ms(&r, &o, UINT32_MAX, 0, UINT32_MAX), 60000);
}

static void a_retry_after_is_clamped_to_both_intervals(void **state)
{
    static const struct {
        int64_t after, wait;
    } rows[] = {{0, 500},          {1, 500},       {499, 500},
                {500, 500},        {501, 501},     {30000, 30000},
                {60000, 60000},    {60001, 60000}, {(int64_t)1 << 40, 60000},
                {INT64_MAX, 60000}};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        htok_retry r = backoff();
        htoki_outcome o = outcome_of(HTOK_API_ERROR, 429);
        o.retry_after_ms = rows[i].after;
        check_number(htoki_retry_wait_ms(&r, &o, 7, 0, UINT32_MAX), rows[i].wait, "Retry-After");
    }
    {
        htok_retry r = backoff();
        htoki_outcome o = outcome_of(HTOK_API_ERROR, 429);
        o.retry_after_ms = 1;
        r.max_interval_ms = 100; /* less than the initial interval: the largest wins */
        check_number(htoki_retry_wait_ms(&r, &o, 0, 0, 0), 100, "max_interval_ms");
    }
}

static void no_wait_leads_past_the_longest_time(void **state)
{
    static const struct {
        uint64_t elapsed;
        int64_t after, wait;
    } rows[] = {
        {0, 10000, 10000}, {90000, 10000, 10000}, {90001, 10000, -1}, {99500, 0, 500},
        {99501, 0, -1},    {100000, 0, -1},       {100001, 0, -1},    {UINT64_MAX, 0, -1},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        htok_retry r = backoff();
        htoki_outcome o = outcome_of(HTOK_API_ERROR, 429);
        r.max_elapsed_ms = 100000;
        o.retry_after_ms = rows[i].after;
        check_number(htoki_retry_wait_ms(&r, &o, 0, rows[i].elapsed, 0), rows[i].wait, "elapsed");
    }
}

static void only_what_the_policy_names_is_tried_again(void **state)
{
    static const struct {
        htok_retry_strategy strategy;
        bool connection_errors;
        htok_kind kind;
        int status;
        bool permanent, may_repeat, again;
    } rows[] = {
        {HTOK_RETRY_BACKOFF, false, HTOK_API_ERROR, 429, false, true, true},
        {HTOK_RETRY_BACKOFF, false, HTOK_SDK_ERROR, 500, false, true, true},
        {HTOK_RETRY_BACKOFF, false, HTOK_SDK_ERROR, 501, false, true, false},
        {HTOK_RETRY_BACKOFF, false, HTOK_API_ERROR, 401, false, true, false},
        {HTOK_RETRY_BACKOFF, false, HTOK_RESPONSE_VALIDATION_ERROR, 503, false, true, true},
        {HTOK_RETRY_BACKOFF, false, HTOK_RESPONSE_VALIDATION_ERROR, 200, false, true, false},
        {HTOK_RETRY_BACKOFF, false, HTOK_RESPONSE_VALIDATION_ERROR, 0, false, true, false},
        {HTOK_RETRY_BACKOFF, true, HTOK_RESPONSE_VALIDATION_ERROR, 0, false, true, false},
        {HTOK_RETRY_BACKOFF, false, HTOK_CONNECTION_ERROR, 0, false, true, false},
        {HTOK_RETRY_BACKOFF, true, HTOK_CONNECTION_ERROR, 0, false, true, true},
        {HTOK_RETRY_BACKOFF, true, HTOK_REQUEST_TIMEOUT_ERROR, 0, false, true, true},
        {HTOK_RETRY_BACKOFF, false, HTOK_REQUEST_TIMEOUT_ERROR, 0, false, true, false},
        {HTOK_RETRY_BACKOFF, true, HTOK_REQUEST_ABORTED_ERROR, 0, false, true, false},
        {HTOK_RETRY_BACKOFF, true, HTOK_UNEXPECTED_CLIENT_ERROR, 0, false, true, false},
        {HTOK_RETRY_BACKOFF, true, HTOK_CONNECTION_ERROR, 0, true, true, false},
        {HTOK_RETRY_BACKOFF, true, HTOK_CONNECTION_ERROR, 0, false, false, false},
        {HTOK_RETRY_BACKOFF, false, HTOK_API_ERROR, 429, false, false, false},
        {HTOK_RETRY_NONE, true, HTOK_API_ERROR, 429, false, true, false},
        {HTOK_RETRY_NONE, true, HTOK_CONNECTION_ERROR, 0, false, true, false},
        {HTOK_RETRY_DEFAULT, true, HTOK_CONNECTION_ERROR, 0, false, true, false},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        htok_retry r = backoff();
        htoki_outcome o = outcome_of(rows[i].kind, rows[i].status);
        char label[32];
        snprintf(label, sizeof label, "row %d", (int)i);
        r.strategy = rows[i].strategy;
        r.retry_connection_errors = rows[i].connection_errors;
        o.permanent = rows[i].permanent;
        o.may_repeat = rows[i].may_repeat;
        check_number(htoki_retry_wait_ms(&r, &o, 0, 0, 0) >= 0, rows[i].again, label);
    }
}

static void what_may_be_sent_again_is_the_callers_choice(void **state)
{
    static const struct {
        htok_repeat repeat;
        bool idempotent, sent_any, may;
    } rows[] = {
        {HTOK_REPEAT_IDEMPOTENT, true, true, true}, {HTOK_REPEAT_IDEMPOTENT, false, true, false},
        {HTOK_REPEAT_UNSENT, true, true, false},    {HTOK_REPEAT_UNSENT, false, true, false},
        {HTOK_REPEAT_ALWAYS, true, true, true},     {HTOK_REPEAT_ALWAYS, false, true, true},
        {HTOK_REPEAT_UNSENT, true, false, true},    {HTOK_REPEAT_IDEMPOTENT, false, false, true},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        char label[32];
        snprintf(label, sizeof label, "row %d", (int)i);
        check_number(htoki_may_repeat(rows[i].repeat, rows[i].idempotent, rows[i].sent_any), rows[i].may,
                     label);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_statuses_and_families),
        cmocka_unit_test(square_roots_are_rounded_down),
        cmocka_unit_test(powers_agree_with_floating_point),
        cmocka_unit_test(waits_are_the_sdks),
        cmocka_unit_test(the_first_waits_with_default_values_are_known),
        cmocka_unit_test(a_retry_after_is_clamped_to_both_intervals),
        cmocka_unit_test(no_wait_leads_past_the_longest_time),
        cmocka_unit_test(only_what_the_policy_names_is_tried_again),
        cmocka_unit_test(what_may_be_sent_again_is_the_callers_choice),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
