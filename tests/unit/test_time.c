/* RFC 3339, HTTP-date and Retry-After. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

static bool rfc3339(const char *text, int64_t *ms)
{
    size_t len = strlen(text);
    char *copy = unit_exact(text, len);
    bool ok = htoki_rfc3339_parse(htoki_view(copy, len), ms);
    free(copy);
    return ok;
}

static bool midnight(int year, int month, int day, int64_t *seconds)
{
    htoki_date date;
    memset(&date, 0, sizeof date);
    date.part[HTOKI_YEAR] = year;
    date.part[HTOKI_MONTH] = month;
    date.part[HTOKI_DAY] = day;
    return htoki_seconds_from_date(&date, seconds);
}

static bool http_date(const char *text, int this_year, int64_t *seconds)
{
    size_t len = strlen(text);
    char *copy = unit_exact(text, len);
    bool ok = htoki_http_date_parse(htoki_view(copy, len), this_year, seconds);
    free(copy);
    return ok;
}

static void rfc3339_dates_become_unix_milliseconds(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01t00:00:00z", 0},
        {"1970-01-01T00:00:00.0Z", 0},
        {"1970-01-01T00:00:01Z", 1000},
        {"1969-12-31T23:59:59Z", -1000},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2001-09-09T01:46:40Z", 1000000000000},
        {"2023-11-14T22:13:20Z", 1700000000000},
        {"2038-01-19T03:14:08Z", 2147483648000},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2024-02-29T12:34:56.789Z", 1709210096789},
        {"2024-02-29T12:34:56.7Z", 1709210096700},
        {"2024-02-29T12:34:56.78Z", 1709210096780},
        {"2024-02-29T12:34:56.7899999999999999999Z", 1709210096789},
        {"2024-02-29T12:34:56.0009Z", 1709210096000},
        {"2024-02-29T12:34:56+00:00", 1709210096000},
        {"2024-02-29T12:34:56-00:00", 1709210096000},
        {"2024-02-29T14:34:56+02:00", 1709210096000},
        {"2024-02-29T07:04:56-05:30", 1709210096000},
        {"2024-03-01T12:33:56+23:59", 1709210096000},
        {"2024-02-28T12:35:56-23:59", 1709210096000},
        {"2024-02-29T14:34:56.5+02:00", 1709210096500},
        {"2016-12-31T23:59:60Z", 1483228800000},
        {"2016-12-31T18:59:60.5-05:00", 1483228800500},
        {"2017-01-01T00:00:00Z", 1483228800000},
        {"0001-01-01T00:00:00Z", -62135596800000},
        {"0000-01-01T00:00:00Z", -62167219200000},
        {"0000-02-29T00:00:00Z", -62162121600000},
        {"0000-03-01T00:00:00Z", -62162035200000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        int64_t ms = 0;
        check(rfc3339(rows[i].text, &ms), "%s is refused", rows[i].text);
        check_number(ms, rows[i].ms, rows[i].text);
    }
}

static void malformed_rfc3339_dates_are_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "2024",
                                        "2024-02-29",
                                        "2024-02-29T12:34:56",
                                        "2024-02-29T12:34:56.789",
                                        "2024-02-29T12:34Z",
                                        "2024-02-29 12:34:56Z",
                                        "2024-02-29T12:34:56.Z",
                                        "2024-02-29T12:34:56,7Z",
                                        "2024-02-29T12:34:56Z ",
                                        " 2024-02-29T12:34:56Z",
                                        "2024-02-29T12:34:56ZZ",
                                        "2024-02-29T12:34:56+0200",
                                        "2024-02-29T12:34:56+02",
                                        "2024-02-29T12:34:56+02:0",
                                        "2024-02-29T12:34:56+2:00",
                                        "2024-02-29T12:34:56+24:00",
                                        "2024-02-29T12:34:56+02:60",
                                        "2024-02-29T12:34:56*02:00",
                                        "2024-02-29T12:34:56+02:00Z",
                                        "2024-02-29T12:34:56\xe2\x88\x92-02:00",
                                        "2023-02-29T00:00:00Z",
                                        "1900-02-29T00:00:00Z",
                                        "2100-02-29T00:00:00Z",
                                        "2024-02-30T00:00:00Z",
                                        "2024-04-31T00:00:00Z",
                                        "2024-00-01T00:00:00Z",
                                        "2024-13-01T00:00:00Z",
                                        "2024-01-00T00:00:00Z",
                                        "2024-01-32T00:00:00Z",
                                        "2024-01-01T24:00:00Z",
                                        "2024-01-01T00:60:00Z",
                                        "2024-01-01T00:00:61Z",
                                        "2024-1-01T00:00:00Z",
                                        "24-01-01T00:00:00Z",
                                        "+2024-01-01T00:00:00Z",
                                        "-2024-01-01T00:00:00Z",
                                        "12024-01-01T00:00:00Z",
                                        "2024-01-01T00:00:0aZ",
                                        "2024-01-01T-1:00:00Z",
                                        "2024-01-01T+1:00:00Z",
                                        "2024-W01-1T00:00:00Z",
                                        "2024/01/01T00:00:00Z",
                                        "Sun, 06 Nov 1994 08:49:37 GMT",
                                        "1709210096"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(texts); i++) {
        int64_t ms = 0;
        check(!rfc3339(texts[i], &ms), "%s is accepted", texts[i]);
    }
}

/* No form has a character that may be another or be missing. */
static void each_character_of_a_date_counts(void **state)
{
    static const char *const texts[] = {"2024-02-29T12:34:56.789Z",      "2024-02-29T12:34:56+02:00",
                                        "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994",      "Wed Nov 16 08:49:37 1994"};
    size_t i, at;
    (void)state;
    for (i = 0; i < UNIT_COUNT(texts); i++) {
        for (at = 0; texts[i][at] != '\0'; at++) {
            char text[40];
            int64_t out = 0;
            snprintf(text, sizeof text, "%s", texts[i]);
            text[at] = '#';
            check(!rfc3339(text, &out) && !http_date(text, 2024, &out), "%s is accepted", text);
            text[at] = '\0';
            check(!rfc3339(text, &out) && !http_date(text, 2024, &out), "%s is accepted", text);
        }
    }
}

static void every_day_of_ten_thousand_years_follows_the_one_before(void **state)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t wanted = -719528;
    int year, month, day;
    (void)state;
    for (year = 0; year <= 9999; year++) {
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (month = 1; month <= 12; month++) {
            int last = days[month - 1] + (month == 2 && leap ? 1 : 0);
            for (day = 1; day <= last; day++, wanted++) {
                int64_t seconds = 0;
                check(midnight(year, month, day, &seconds) && seconds == wanted * 86400, "%04d-%02d-%02d",
                      year, month, day);
            }
            {
                int64_t seconds;
                check(!midnight(year, month, last + 1, &seconds), "%04d-%02d-%02d", year, month, last + 1);
            }
        }
    }
    assert_int_equal(wanted, 2932897);
}

static void all_three_forms_of_http_date_are_read(void **state)
{
    static const struct {
        const char *text;
        int this_year;
        int64_t seconds;
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 2024, 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 2024, 784111777},
        {"Sun Nov  6 08:49:37 1994", 2024, 784111777},
        {"Wed Nov 16 08:49:37 1994", 2024, 784975777},
        {"Thu, 29 Feb 2024 12:34:56 GMT", 2024, 1709210096},
        {"Thursday, 29-Feb-24 12:34:56 GMT", 2024, 1709210096},
        {"Thu Feb 29 12:34:56 2024", 2024, 1709210096},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 2024, 1483228800},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 2024, 253402300799},
        /* two digits: at most 50 years ahead */
        {"Saturday, 01-Jan-00 00:00:00 GMT", 2024, 946684800},
        {"Monday, 01-Jan-74 00:00:00 GMT", 2024, 3281990400},
        {"Wednesday, 01-Jan-75 00:00:00 GMT", 2024, 157766400},
        {"Thursday, 01-Jan-70 00:00:00 GMT", 2024, 3155760000},
        {"Friday, 01-Jan-99 00:00:00 GMT", 1999, 915148800},
        {"Saturday, 01-Jan-49 00:00:00 GMT", 1999, -662688000},
    };
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        int64_t seconds = 0;
        check(http_date(rows[i].text, rows[i].this_year, &seconds), "%s is refused", rows[i].text);
        check_number(seconds, rows[i].seconds, rows[i].text);
    }
    for (i = 0; i < 12; i++) {
        char text[40];
        int64_t seconds = 0, wanted = 0;
        snprintf(text, sizeof text, "Mon, 10 %s 2025 00:00:00 GMT", months[i]);
        assert_true(midnight(2025, (int)i + 1, 10, &wanted));
        check(http_date(text, 2025, &seconds) && seconds == wanted, "%s", text);
    }
}

static void malformed_http_dates_are_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "S",
                                        "Su, 06 Nov 1994 08:49:37 GMT",
                                        "Sun",
                                        "Sun,",
                                        "Sun, ",
                                        "Sun, 06",
                                        "Sun, 06 Nov",
                                        "Sun, 06 Nov 1994",
                                        "Sun, 06 Nov 1994 08:49:37",
                                        "Sun, 06 Nov 1994 08:49:37 ",
                                        "Sun, 06 Nov 1994 08:49:37 UTC",
                                        "Sun, 06 Nov 1994 08:49:37 gmt",
                                        "Sun, 06 Nov 1994 08:49:37 GMTx",
                                        "Sun, 06 Nov 1994 08:49:37 +0000",
                                        "Sun, 6 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 94 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 8:49:37 GMT",
                                        "Sun, 06 Nov 1994 24:49:37 GMT",
                                        "Sun, 06 Nov 1994 08:60:37 GMT",
                                        "Sun, 06 Nov 1994 08:49:61 GMT",
                                        "Sun, 31 Nov 1994 08:49:37 GMT",
                                        "Sun, 00 Nov 1994 08:49:37 GMT",
                                        "Wed, 29 Feb 2023 08:49:37 GMT",
                                        "Sun, 06-Nov 1994 08:49:37 GMT",
                                        "Sunday, 06-Nov-1994 08:49:37 GMT",
                                        "Sun,06 Nov 1994 08:49:37 GMT",
                                        "06 Nov 1994 08:49:37 GMT",
                                        "Sun Nov 6 08:49:37 1994",
                                        "Sun Nov  6 08:49:37 1994 GMT",
                                        "Sun Nov  6 08:49:37 94",
                                        "Sun Nov  6 08:49:37",
                                        "Sun Nov  6",
                                        "Sun Foo  6 08:49:37 1994",
                                        "Sun No",
                                        "1994-11-06T08:49:37Z"};
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(texts); i++) {
        int64_t seconds = 0;
        check(!http_date(texts[i], 2024, &seconds), "%s is accepted", texts[i]);
    }
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    static const int64_t most = (int64_t)1 << 40;
    const struct {
        const char *value;
        bool known;
        int64_t ms;
    } rows[] = {
        {"0", true, 0},
        {"1", true, 1000},
        {"120", false, 120000},
        {"007", true, 7000},
        {"1099511627", true, 1099511627000},
        {"1099511628", true, most},
        {"99999999999999999999999999", false, most},
        {"Sun, 06 Nov 1994 08:49:39 GMT", true, 2000},
        {"Sunday, 06-Nov-94 08:49:39 GMT", true, 2000},
        {"Sun Nov  6 08:49:39 1994", true, 2000},
        {"Sun, 06 Nov 1994 08:49:37 GMT", true, 0},
        {"Sun, 06 Nov 1994 08:49:36 GMT", true, 0},
        {"Thu, 01 Jan 1970 00:00:00 GMT", true, 0},
        {"Sun, 06 Nov 1994 08:49:39 GMT", false, -1},
        {"", true, -1},
        {"-1", true, -1},
        {"+1", true, -1},
        {"1.5", true, -1},
        {"1 s", true, -1},
        {"1,2", true, -1},
        {" 1", true, -1},
        {"0x10", true, -1},
        {"soon", true, -1},
        {"Sun, 06 Nov 1994 08:49:39", true, -1},
    };
    size_t i;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        size_t len = strlen(rows[i].value);
        char *copy = unit_exact(rows[i].value, len);
        check_number(htoki_retry_after_ms(htoki_view(copy, len), rows[i].known, 784111777), rows[i].ms,
                     rows[i].value);
        free(copy);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3339_dates_become_unix_milliseconds),
        cmocka_unit_test(malformed_rfc3339_dates_are_refused),
        cmocka_unit_test(each_character_of_a_date_counts),
        cmocka_unit_test(every_day_of_ten_thousand_years_follows_the_one_before),
        cmocka_unit_test(all_three_forms_of_http_date_are_read),
        cmocka_unit_test(malformed_http_dates_are_refused),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("time", tests, NULL, NULL);
}
