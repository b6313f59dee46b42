/* Build: clang -std=c99 -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_date.c -l:libbearssl.a

   RFC 3339, HTTP-date and Retry-After beside templates and timegm(): the same texts are taken, with the same time.
   Input: the time now (byte % 8), then the text. */
#define _DEFAULT_SOURCE
#include <time.h>
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "fuzz.h"

/* A template: 9 stands for a digit, others for themselves, T also for t where fold is set. */
static bool fits(const char *text, size_t len, const char *pattern, bool fold)
{
    size_t i;
    if (strlen(pattern) > len) {
        return false;
    }
    for (i = 0; pattern[i] != '\0'; i++) {
        char c = text[i];
        if (pattern[i] == '9' ? c < '0' || c > '9'
                              : c != pattern[i] && !(fold && pattern[i] == 'T' && c == 't')) {
            return false;
        }
    }
    return true;
}

static int number(const char *digits, int count)
{
    int value = 0;
    while (count-- > 0) {
        value = value * 10 + (*digits++ - '0');
    }
    return value;
}

/* False when there is no such date; a second of 60 is allowed. */
static bool unix_time(int year, int month, int day, const char *clock, int64_t *seconds)
{
    struct tm tm, back;
    time_t midnight;
    memset(&tm, 0, sizeof tm);
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    midnight = timegm(&tm);
    if (!gmtime_r(&midnight, &back) || back.tm_year != year - 1900 || back.tm_mon != month - 1 ||
        back.tm_mday != day) {
        return false;
    }
    if (number(clock, 2) > 23 || number(clock + 3, 2) > 59 || number(clock + 6, 2) > 60) {
        return false;
    }
    *seconds = (int64_t)midnight + number(clock, 2) * 3600 + number(clock + 3, 2) * 60 + number(clock + 6, 2);
    return true;
}

static bool ref_rfc3339(const char *text, size_t len, int64_t *ms)
{
    int64_t seconds;
    size_t at = 19, digits = 0;
    int millis = 0, sign, offset;
    if (!fits(text, len, "9999-99-99T99:99:99", true) ||
        !unix_time(number(text, 4), number(text + 5, 2), number(text + 8, 2), text + 11, &seconds)) {
        return false;
    }
    if (at < len && text[at] == '.') {
        char first[4] = "000";
        for (at++; at < len && text[at] >= '0' && text[at] <= '9'; at++, digits++) {
            if (digits < 3) {
                first[digits] = text[at];
            }
        }
        if (digits == 0) {
            return false;
        }
        millis = number(first, 3);
    }
    *ms = seconds * 1000 + millis;
    if (len - at == 1 && (text[at] == 'Z' || text[at] == 'z')) {
        return true;
    }
    sign = at < len && text[at] == '-' ? 1 : -1;
    if (len - at != 6 || !fits(text + at, 6, sign == 1 ? "-99:99" : "+99:99", false) ||
        number(text + at + 1, 2) > 23 || number(text + at + 4, 2) > 59) {
        return false;
    }
    offset = number(text + at + 1, 2) * 60 + number(text + at + 4, 2);
    *ms += (int64_t)sign * offset * 60000;
    return true;
}

static int ref_month(const char *text)
{
    static const char *const names[12] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int i;
    for (i = 0; i < 12; i++) {
        if (memcmp(text, names[i], 3) == 0) {
            return i + 1;
        }
    }
    return 0;
}

static bool ref_http_date(const char *text, size_t len, int this_year, int64_t *seconds)
{
    const char *p;
    size_t name = 0;
    int year;
    while (name < len &&
           ((text[name] >= 'a' && text[name] <= 'z') || (text[name] >= 'A' && text[name] <= 'Z'))) {
        name++;
    }
    if (name < 3) {
        return false;
    }
    p = text + name;
    len -= name;
    if (len == 26 && fits(p, len, ", 99 ", false) && fits(p + 8, len - 8, " 9999 99:99:99 GMT", false)) {
        return ref_month(p + 5) &&
               unix_time(number(p + 9, 4), ref_month(p + 5), number(p + 2, 2), p + 14, seconds);
    }
    if (len == 24 && fits(p, len, ", 99-", false) && fits(p + 8, len - 8, "-99 99:99:99 GMT", false)) {
        year = this_year - this_year % 100 + number(p + 9, 2);
        year -= year > this_year + 50 ? 100 : 0;
        return ref_month(p + 5) && unix_time(year, ref_month(p + 5), number(p + 2, 2), p + 12, seconds);
    }
    if (len == 21 && p[0] == ' ' &&
        (fits(p + 4, len - 4, " 99 99:99:99 9999", false) ||
         fits(p + 4, len - 4, "  9 99:99:99 9999", false))) {
        int day = p[5] == ' ' ? number(p + 6, 1) : number(p + 5, 2);
        return ref_month(p + 1) && unix_time(number(p + 17, 4), ref_month(p + 1), day, p + 8, seconds);
    }
    return false;
}

static void check_retry_after(const char *text, size_t len, bool known, int64_t now)
{
    int64_t got = htoki_retry_after_ms(htoki_view(text, len), known, now), date = 0;
    const int64_t most = (int64_t)1 << 40;
    size_t digits = 0, i;
    while (digits < len && text[digits] >= '0' && text[digits] <= '9') {
        digits++;
    }
    if (digits != 0 && digits == len) {
        int64_t wanted = 0;
        for (i = 0; i < len && wanted <= most; i++) {
            wanted = wanted * 10 + (text[i] - '0');
        }
        wanted = wanted > most / 1000 ? most : wanted * 1000;
        FUZZ_CHECK(got == wanted, "seconds of Retry-After");
    } else if (!known || !ref_http_date(text, len, (int)(1970 + now / 31556952), &date)) {
        FUZZ_CHECK(got == -1, "a malformed Retry-After, or one that needs the time");
    } else {
        FUZZ_CHECK(got == (date > now ? (date - now) * 1000 : 0), "date of Retry-After");
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const int64_t times[8] = {1700000000, 0,
                                     1,          951782400, /* 2000-02-29 */
                                     4102444799, 253402300799,
                                     1582934400, 31536000};
    char *text;
    size_t len = size - 1;
    int64_t now, got = 0, wanted = 0;
    bool ok, ref;
    int this_year;
    if (size < 1) {
        return 0;
    }
    now = times[data[0] % 8];
    this_year = (int)(1970 + now / 31556952);
    text = fuzz_exact(data + 1, len);
    ok = htoki_rfc3339_parse(htoki_view(text, len), &got);
    ref = ref_rfc3339(text, len, &wanted);
    FUZZ_CHECK(ok == ref, "RFC 3339: verdict");
    FUZZ_CHECK(!ok || got == wanted, "RFC 3339: time");
    ok = htoki_http_date_parse(htoki_view(text, len), this_year, &got);
    ref = ref_http_date(text, len, this_year, &wanted);
    FUZZ_CHECK(ok == ref, "HTTP-date: verdict");
    FUZZ_CHECK(!ok || got == wanted, "HTTP-date: time");
    check_retry_after(text, len, (data[0] & 0x80) == 0, now);
    free(text);
    return 0;
}
