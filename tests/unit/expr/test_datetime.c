// SPDX-License-Identifier: Apache-2.0
// Expectations are PostgreSQL 15's results with TimeZone UTC, DateStyle ISO, IntervalStyle postgres.
#include "processor/expr/datetime.h"

#include <criterion/criterion.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static int64_t t(const char *text) {
    int64_t us;
    cr_assert(br_timestamptz_parse(br_slice_of(text), &us), "%s", text);
    return us;
}

static struct br_interval i(const char *text) {
    struct br_interval interval;
    cr_assert(br_interval_parse(br_slice_of(text), &interval), "%s", text);
    return interval;
}

static void expect_time(int64_t us, const char *text, const char *what) {
    char got[64];
    size_t length = br_timestamptz_print(us, false, got);
    cr_expect_str_eq(got, text, "%s: %s is not %s", what, got, text);
    cr_expect_eq(length, strlen(got));
}

static void expect_interval(struct br_interval interval, const char *text, const char *what) {
    char got[128];
    size_t length = br_interval_print(interval, got);
    cr_expect_str_eq(got, text, "%s: %s is not %s", what, got, text);
    cr_expect_eq(length, strlen(got));
}

static void expect_number(struct br_numeric number, const char *text, const char *what) {
    char got[BR_NUMERIC_TEXT_SIZE];
    br_numeric_print(number, got);
    cr_expect_str_eq(got, text, "%s: %s is not %s", what, got, text);
}

Test(datetime, days_and_civil_dates_are_inverse_over_four_centuries) {
    for (int64_t day = -150000; day < 150000; day += 7) {
        struct br_civil civil = br_civil_from_us(day * INT64_C(86400000000) + 1);
        cr_assert_eq(br_days_from_civil(civil.year, civil.month, civil.day), day);
        cr_assert_eq(civil.microsecond, 1);
    }
    cr_expect_eq(br_days_from_civil(1970, 1, 1), 0);
    cr_expect_eq(br_days_from_civil(2000, 3, 1), 11017);
}

Test(datetime, timestamps_are_read_in_the_usual_forms) {
    static const char *const rows[][2] = {
        {"2026-03-01T12:00:00+02", "2026-03-01 10:00:00+00"},
        {"2026-03-01 12:00", "2026-03-01 12:00:00+00"},
        {"2026-03-01", "2026-03-01 00:00:00+00"},
        {"2026-03-01T12:00:00Z", "2026-03-01 12:00:00+00"},
        {"2026-03-01t12:00:00.123456789z", "2026-03-01 12:00:00.123457+00"},
        {"2026-03-01 23:59:59.9999999", "2026-03-02 00:00:00+00"},
        {"2026-03-01 12:00:00 -03:30:15", "2026-03-01 15:30:15+00"},
        {"2026-03-01 12:00:00+230", "2026-03-01 09:30:00+00"},
        {"2026-03-01 12:00:00 UTC", "2026-03-01 12:00:00+00"},
        {"2026-03-01 12:00:00EST", "2026-03-01 17:00:00+00"},
        {"epoch", "1970-01-01 00:00:00+00"},
        {"20260301T120000.5", "2026-03-01 12:00:00.5+00"},
        {"20260301T173201-0800", "2026-03-02 01:32:01+00"},
        {"20260301 120000Z", "2026-03-01 12:00:00+00"},
        {"2026-03-01 24:00:00", "2026-03-02 00:00:00+00"},
        {"2026-03-01 23:59:60", "2026-03-02 00:00:00+00"},
        {"2026-03-01 12:30 AM", "2026-03-01 00:30:00+00"},
        {"Mar 1 2026 1:00PM", "2026-03-01 13:00:00+00"},
        {"Sun Mar 01 12:00:00.5 2026 PST", "2026-03-01 20:00:00.5+00"},
        {"1 March 2026 12:00", "2026-03-01 12:00:00+00"},
        {"0044-03-15T12:00:00Z BC", "0044-03-15 12:00:00+00 BC"},
        {"4714-11-24 00:00:00 BC", "4714-11-24 00:00:00+00 BC"},
        {"J2451187.5", "1999-01-08 12:00:00+00"},
        {"2026-060 10:00", "2026-03-01 10:00:00+00"},
        {"1997.041 17:32:01 UTC", "1997-02-10 17:32:01+00"},
        {"1/2/2026 10:00", "2026-01-02 10:00:00+00"},
        {"08-Jan-1999", "1999-01-08 00:00:00+00"},
        {"January 8, 99 BC", "0099-01-08 00:00:00+00 BC"},
        {"Feb-10-1997 17:32:01", "1997-02-10 17:32:01+00"},
    };
    for (size_t r = 0; r < COUNT(rows); r++)
        expect_time(t(rows[r][0]), rows[r][1], rows[r][0]);
}

Test(datetime, text_that_is_no_time_or_depends_on_the_clock_is_refused) {
    static const char *const texts[] = {"",
                                        " ",
                                        "abc",
                                        "12:00",
                                        "2026-13-01",
                                        "2026-02-30",
                                        "0000-01-01",
                                        "2026-03-01 25:00",
                                        "2026-03-01 24:00:01",
                                        "2026-03-01 12:60",
                                        "2026-03-01 12:00:61",
                                        "2026-03-01 13:00 PM",
                                        "2026-03-01 12:00+16",
                                        "2026-03-01 12:00 Z Z",
                                        "2026-03-01 12:00 Europe/Berlin",
                                        "infinity",
                                        "-infinity",
                                        "now",
                                        "today",
                                        "tomorrow",
                                        "2026-03",
                                        "2026-03-01T",
                                        "299999-01-01",
                                        "4714-11-23 BC",

                                        "2026-03-01 2026-03-02",
                                        "2026-03-01 \xc3\xa9",
                                        "99999999999-01-01",
                                        "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"};
    int64_t us;
    for (size_t r = 0; r < COUNT(texts); r++)
        cr_expect_not(br_timestamptz_parse(br_slice_of(texts[r]), &us), "%s", texts[r]);
}

Test(datetime, what_is_printed_reads_back) {
    static const int64_t times[] = {BR_TIMESTAMP_MIN,          BR_TIMESTAMP_END - 1,       0, -1, 999999,
                                    INT64_C(1772366400123456), INT64_C(-62135596800000001)};
    for (size_t r = 0; r < COUNT(times); r++) {
        char text[64];
        for (int iso = 0; iso < 2; iso++) {
            br_timestamptz_print(times[r], iso == 1, text);
            cr_expect_eq(t(text), times[r], "%s", text);
        }
    }
}

Test(datetime, iso_form_has_a_t_a_z_and_only_the_fraction_that_is_there) {
    char text[64];
    br_timestamptz_print(INT64_C(1772366400000000), true, text);
    cr_expect_str_eq(text, "2026-03-01T12:00:00Z");
    br_timestamptz_print(INT64_C(1772366400500000), true, text);
    cr_expect_str_eq(text, "2026-03-01T12:00:00.5Z");
    br_timestamptz_print(INT64_C(1772366400000001), true, text);
    cr_expect_str_eq(text, "2026-03-01T12:00:00.000001Z");
}

Test(datetime, dates_are_read_in_the_usual_forms) {
    static const char *const rows[][2] = {
        {"2026-03-01", "2026-03-01"},       {"20260301", "2026-03-01"},         {"260301", "2026-03-01"},
        {"3/1/26", "2026-03-01"},           {"3/1/75", "1975-03-01"},           {"01-02-03", "2003-01-02"},
        {"1-Mar-2026", "2026-03-01"},       {"Mar-1-2026", "2026-03-01"},       {"March 1, 2026", "2026-03-01"},
        {"2026-060", "2026-03-01"},         {"J2451187", "1999-01-08"},         {"2026-03-01 12:00:00", "2026-03-01"},
        {"2024-02-29", "2024-02-29"},       {"5874897-12-31", "5874897-12-31"}, {"4714-11-24 BC", "4714-11-24 BC"},
        {"0001-01-01 BC", "0001-01-01 BC"}, {"100000-01-01", "100000-01-01"},   {"May 5 99", "1999-05-05"},
        {"12-31-2026", "2026-12-31"},
    };
    for (size_t r = 0; r < COUNT(rows); r++) {
        int32_t days;
        char text[32];
        cr_assert(br_date_parse(br_slice_of(rows[r][0]), &days), "%s", rows[r][0]);
        br_date_print(days, text);
        cr_expect_str_eq(text, rows[r][1]);
    }
    int32_t days;
    cr_expect_not(br_date_parse(br_slice_of("5874898-01-01"), &days));
    cr_expect_not(br_date_parse(br_slice_of("2026-02-29"), &days));
}

Test(datetime, intervals_are_read_in_words_and_in_iso_8601) {
    static const char *const rows[][2] = {
        {"1 day 02:03:04.5", "1 day 02:03:04.5"},
        {"5 minutes", "00:05:00"},
        {"P1DT2H", "1 day 02:00:00"},
        {"1 mon -2 days", "1 mon -2 days"},
        {"1-2", "1 year 2 mons"},
        {"-1-2", "-1 years -2 mons"},
        {"1-2 3 4:05", "1 year 2 mons 3 days 04:05:00"},
        {"1 2:03", "1 day 02:03:00"},
        {"1 day -00:00:01", "1 day -00:00:01"},
        {"-1 day +02:03", "-1 days +02:03:00"},
        {"-1 year -2 mons +3 days -04:05:06", "-1 years -2 mons +3 days -04:05:06"},
        {"@ 1 day 2 hours ago", "-1 days -02:00:00"},
        {"1.5 days", "1 day 12:00:00"},
        {"1.5 months", "1 mon 15 days"},
        {"1.1 years", "1 year 1 mon"},
        {"-1.5 months", "-1 mons -15 days"},
        {"1.7 weeks", "11 days 21:36:00"},
        {".5 days", "12:00:00"},
        {"2 decades 1 century", "120 years"},
        {"1 millennium", "1000 years"},
        {"1.5 ms", "00:00:00.0015"},
        {"1 us", "00:00:00.000001"},
        {"0.6 us", "00:00:00.000001"},
        {"-0.6 us", "-00:00:00.000001"},
        {"3", "00:00:03"},
        {"3.5", "00:00:03.5"},
        {"1 day 3", "1 day 00:00:03"},
        {"1d2h3m4s", "1 day 02:03:04"},
        {"12:34.5", "00:12:34.5"},
        {"25:00:00", "25:00:00"},
        {"00:00:60", "00:01:00"},
        {"P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06"},
        {"P0001-02-03T04:05:06", "1 year 2 mons 3 days 04:05:06"},
        {"P00010203T040506", "1 year 2 mons 3 days 04:05:06"},
        {"P1.5M", "1 mon 15 days"},
        {"PT0.000001S", "00:00:00.000001"},
        {"P-1Y-2M", "-1 years -2 mons"},
        {"2147483647 days", "2147483647 days"},
        {"-9223372036854775808 microseconds", "-2562047788:00:54.775808"},
        {"2562047788:00:54.775807", "2562047788:00:54.775807"},
        {"6 yrs 5 mons 4 d 3 hrs 2 mins 1 sec", "6 years 5 mons 4 days 03:02:01"},
        {"0", "00:00:00"},
        {"0.033 month", "23:45:36"},
        {"+ 1 day", "1 day"},
    };
    for (size_t r = 0; r < COUNT(rows); r++)
        expect_interval(i(rows[r][0]), rows[r][1], rows[r][0]);
}

Test(datetime, text_that_is_no_interval_is_refused) {
    static const char *const texts[] = {"",
                                        "abc",
                                        "1 flork",
                                        "1 quarter",
                                        "ago",
                                        "1 day 2 days",
                                        "1 hour 02:03",
                                        "1 sec 1.5 sec",
                                        "1.5 sec 1 ms",
                                        "99999999999 years",
                                        "2147483648 days",
                                        "178956971 years",
                                        "1-12",
                                        "9223372036854775808 us",
                                        "2562047788:00:54.775808",
                                        "10:61:00",
                                        "1.1.1 days",
                                        "1 2 days",
                                        "1 1 day",
                                        "P",
                                        "P1S",
                                        "P1Y2",
                                        "PT1S2",
                                        "p1d",
                                        "P1D T2H",
                                        "infinity",
                                        "1 day02:03",
                                        "1 epoch"};
    struct br_interval interval;
    for (size_t r = 0; r < COUNT(texts); r++)
        cr_expect_not(br_interval_parse(br_slice_of(texts[r]), &interval), "%s", texts[r]);
}

Test(datetime, adding_an_interval_takes_months_then_days_then_time) {
    static const char *const rows[][3] = {
        {"2026-01-31 10:00", "1 month", "2026-02-28 10:00:00+00"},
        {"2024-02-29", "1 year", "2025-02-28 00:00:00+00"},
        {"2026-03-31", "-1 month", "2026-02-28 00:00:00+00"},
        {"2026-03-01 12:01:02", "1 month 2 days 3 hours", "2026-04-03 15:01:02+00"},
        {"2026-12-31 23:59:59.123456", "1 month 2 days 3 hours", "2027-02-03 02:59:59.123456+00"},
        {"2026-01-31", "1 month -1 day", "2026-02-27 00:00:00+00"},
        {"0001-01-01", "-1 month", "0001-12-01 00:00:00+00 BC"},
        {"2026-03-01", "-36:00:00.000001", "2026-02-27 11:59:59.999999+00"},
        {"1970-01-01", "-2000 years", "0031-01-01 00:00:00+00 BC"},
        {"2026-05-31", "13 months 1 week", "2027-07-07 00:00:00+00"},
    };
    for (size_t r = 0; r < COUNT(rows); r++) {
        int64_t us;
        cr_assert(br_timestamptz_add(t(rows[r][0]), i(rows[r][1]), &us));
        expect_time(us, rows[r][2], rows[r][1]);
    }
    int64_t us;
    cr_expect_not(br_timestamptz_add(t("2026-03-01"), i("300000 years"), &us));
    cr_expect_not(br_timestamptz_add(BR_TIMESTAMP_MIN, i("-1 us"), &us));
    cr_expect_not(br_timestamptz_add(BR_TIMESTAMP_END - 1, i("1 us"), &us));
    cr_expect_not(br_timestamptz_add(0, i("9223372036854775807 us"), &us));
}

Test(datetime, differences_are_days_and_time) {
    static const char *const rows[][3] = {
        {"2026-03-01", "2026-02-01 12:30", "27 days 11:30:00"},
        {"2026-02-01 12:30", "2026-03-01", "-27 days -11:30:00"},
        {"2026-03-01", "2026-03-01", "00:00:00"},
        {"2026-03-01 00:00:00.25", "2026-02-28 23:59:59.5", "00:00:00.75"},
        {"2026-01-01", "2026-01-02 06:00", "-1 days -06:00:00"},
    };
    for (size_t r = 0; r < COUNT(rows); r++)
        expect_interval(br_timestamptz_subtract(t(rows[r][0]), t(rows[r][1])), rows[r][2], rows[r][0]);
    expect_interval(br_timestamptz_subtract(BR_TIMESTAMP_END - 1, BR_TIMESTAMP_MIN), "109192570 days 23:59:59.999999",
                    "the whole range");
}

Test(datetime, intervals_scale_with_parts_running_down) {
    static const struct {
        const char *interval;
        double factor;
        const char *result;
    } products[] =
        {
            {"1 mon", 0.5, "15 days"},
            {"1 year 1 day", 1.5, "1 year 6 mons 1 day 12:00:00"},
            {"1 day", 0.1, "02:24:00"},
            {"-1 mon 3 days 04:05:06", 7.3, "-7 mons +12 days 51:25:13.8"},
            {"00:00:01", 0.0000005, "00:00:00"},
            {"10 days", -0.25, "-2 days -12:00:00"},
            {"1 mon 15 days", 1.9999, "1 mon 59 days 23:53:31.2"},
        },
      quotients[] = {
          {"1 mon", 3, "10 days"},
          {"1 day", 7, "03:25:42.857143"},
          {"1 year", -8, "-1 mons -15 days"},
      };
    struct br_interval result;
    for (size_t r = 0; r < COUNT(products); r++) {
        cr_assert(br_interval_scale(i(products[r].interval), products[r].factor, &result));
        expect_interval(result, products[r].result, products[r].interval);
    }
    for (size_t r = 0; r < COUNT(quotients); r++) {
        cr_assert(br_interval_divide(i(quotients[r].interval), quotients[r].factor, &result));
        expect_interval(result, quotients[r].result, quotients[r].interval);
    }
    cr_expect_not(br_interval_divide(i("1 day"), 0, &result));
    cr_expect_not(br_interval_scale(i("1 day"), 1e10, &result));
    cr_expect_not(br_interval_scale(i("1 sec"), 1e300, &result));
    cr_expect_not(br_interval_scale(i("1 sec"), 0.0 / 0.0, &result));
}

Test(datetime, intervals_add_and_refuse_overflow) {
    struct br_interval sum;
    cr_assert(br_interval_add(i("1 mon 2 days 03:00"), i("-2 mons 1 day 22:00"), &sum));
    expect_interval(sum, "-1 mons +3 days 25:00:00", "sum");
    cr_expect_not(br_interval_add(i("2147483647 days"), i("1 day"), &sum));
    cr_expect_not(br_interval_add(i("9223372036854775807 us"), i("1 us"), &sum));
}

Test(datetime, a_month_compares_as_thirty_days_and_a_day_as_24_hours) {
    cr_expect_eq(br_interval_compare(i("1 mon"), i("30 days")), 0);
    cr_expect_eq(br_interval_compare(i("1 day"), i("24:00")), 0);
    cr_expect_eq(br_interval_compare(i("1 year"), i("365 days")), -1);
    cr_expect_eq(br_interval_compare(i("1 mon -1 us"), i("29 days 23:00")), 1);
    cr_expect_eq(br_interval_compare(i("178000000 years"), i("2147483647 days")), 1);
}

Test(datetime, only_intervals_without_months_are_durations) {
    int64_t us;
    cr_assert(br_interval_to_us(i("1 day 00:00:01"), &us));
    cr_expect_eq(us, INT64_C(86401000000));
    cr_expect_not(br_interval_to_us(i("1 mon"), &us));
    cr_expect_not(br_interval_to_us(i("2147483647 days"), &us));
}

Test(datetime, truncation_keeps_the_field_and_what_is_above_it) {
    static const char *const rows[][3] = {
        {"2026-08-19 17:45:59.123456", "microseconds", "2026-08-19 17:45:59.123456+00"},
        {"2026-08-19 17:45:59.123456", "milliseconds", "2026-08-19 17:45:59.123+00"},
        {"2026-08-19 17:45:59.123456", "second", "2026-08-19 17:45:59+00"},
        {"2026-08-19 17:45:59.123456", "minute", "2026-08-19 17:45:00+00"},
        {"2026-08-19 17:45:59.123456", "hour", "2026-08-19 17:00:00+00"},
        {"2026-08-19 17:45:59.123456", "day", "2026-08-19 00:00:00+00"},
        {"2026-08-19 17:45:59.123456", "week", "2026-08-17 00:00:00+00"},
        {"2026-08-19 17:45:59.123456", "month", "2026-08-01 00:00:00+00"},
        {"2026-08-19 17:45:59.123456", "quarter", "2026-07-01 00:00:00+00"},
        {"2026-08-19 17:45:59.123456", "year", "2026-01-01 00:00:00+00"},
        {"2026-08-19 17:45:59.123456", "decade", "2020-01-01 00:00:00+00"},
        {"2026-08-19 17:45:59.123456", "century", "2001-01-01 00:00:00+00"},
        {"2026-08-19 17:45:59.123456", "millennium", "2001-01-01 00:00:00+00"},
        {"2027-01-03", "week", "2026-12-28 00:00:00+00"},
        {"2024-12-30", "week", "2024-12-30 00:00:00+00"},
        {"2000-12-31", "century", "1901-01-01 00:00:00+00"},
        {"2001-01-01", "century", "2001-01-01 00:00:00+00"},
        {"0044-03-15 BC", "century", "0100-01-01 00:00:00+00 BC"},
        {"0001-06-01 BC", "millennium", "1000-01-01 00:00:00+00 BC"},
        {"0004-01-01 BC", "decade", "0011-01-01 00:00:00+00 BC"},
        {"1969-12-31 23:59:59.5", "HOURS", "1969-12-31 23:00:00+00"},
        {"2026-12-31", "qtr", "2026-10-01 00:00:00+00"},
        {"1969-12-31", "mon", "1969-12-01 00:00:00+00"},
    };
    int64_t us;
    for (size_t r = 0; r < COUNT(rows); r++) {
        cr_assert(br_timestamptz_trunc(br_slice_of(rows[r][1]), t(rows[r][0]), &us), "%s", rows[r][1]);
        expect_time(us, rows[r][2], rows[r][1]);
    }
    cr_expect_not(br_timestamptz_trunc(br_slice_of("fortnight"), 0, &us));
    cr_expect_not(br_timestamptz_trunc(br_slice_of("epoch"), 0, &us));
    cr_expect_not(br_timestamptz_trunc(br_slice_of(""), 0, &us));
}

Test(datetime, fields_of_timestamps_are_extracted) {
    static const char *const rows[][3] = {
        {"microseconds", "2026-08-19 17:45:59.123456", "59123456"},
        {"milliseconds", "2026-08-19 17:45:59.123456", "59123.456"},
        {"second", "2026-08-19 17:45:59.123456", "59.123456"},
        {"minute", "2026-08-19 17:45:59.123456", "45"},
        {"hour", "2026-08-19 17:45:59.123456", "17"},
        {"day", "2026-08-19 17:45:59.123456", "19"},
        {"week", "2026-08-19 17:45:59.123456", "34"},
        {"month", "2026-08-19 17:45:59.123456", "8"},
        {"quarter", "2026-08-19 17:45:59.123456", "3"},
        {"year", "2026-08-19 17:45:59.123456", "2026"},
        {"decade", "2026-08-19 17:45:59.123456", "202"},
        {"century", "2026-08-19 17:45:59.123456", "21"},
        {"millennium", "2026-08-19 17:45:59.123456", "3"},
        {"epoch", "2026-08-19 17:45:59.123456", "1787161559.123456"},
        {"dow", "2026-08-19 17:45:59.123456", "3"},
        {"isodow", "2026-08-19 17:45:59.123456", "3"},
        {"doy", "2026-08-19 17:45:59.123456", "231"},
        {"isoyear", "2026-08-19 17:45:59.123456", "2026"},
        {"julian", "2026-08-19 17:45:59.123456", "2461272.74026763259259259259"},
        {"timezone", "2026-08-19 17:45:59.123456", "0"},
        {"timezone_hour", "2026-08-19 17:45:59.123456", "0"},
        {"year", "0044-03-15 BC", "-44"},
        {"century", "0044-03-15 BC", "-1"},
        {"millennium", "0044-03-15 BC", "-1"},
        {"decade", "0044-03-15 BC", "-5"},
        {"isoyear", "0001-01-01", "1"},
        {"week", "2027-01-03", "53"},
        {"isoyear", "2027-01-03", "2026"},
        {"week", "2024-12-30", "1"},
        {"dow", "2026-03-01", "0"},
        {"isodow", "2026-03-01", "7"},
        {"epoch", "1969-12-31 23:59:59.5", "-0.500000"},
        {"second", "1969-12-31 23:59:59.5", "59.500000"},
        {"century", "2000-12-31", "20"},
        {"century", "2001-01-01", "21"},
        {"doy", "2024-12-31", "366"},
    };
    struct br_numeric number;
    for (size_t r = 0; r < COUNT(rows); r++) {
        cr_assert(br_extract_timestamptz(br_slice_of(rows[r][0]), t(rows[r][1]), &number), "%s", rows[r][0]);
        expect_number(number, rows[r][2], rows[r][0]);
    }
    cr_expect_not(br_extract_timestamptz(br_slice_of("fortnight"), 0, &number));
}

Test(datetime, fields_of_dates_are_extracted) {
    static const char *const rows[][3] = {
        {"epoch", "2026-03-01", "1772323200"}, {"julian", "2026-03-01", "2461101"}, {"year", "2026-03-01", "2026"},
        {"doy", "2026-03-01", "60"},           {"week", "2026-03-01", "9"},         {"century", "0001-01-01 BC", "-1"},
    };
    struct br_numeric number;
    for (size_t r = 0; r < COUNT(rows); r++) {
        int32_t days;
        cr_assert(br_date_parse(br_slice_of(rows[r][1]), &days));
        cr_assert(br_extract_date(br_slice_of(rows[r][0]), days, &number), "%s", rows[r][0]);
        expect_number(number, rows[r][2], rows[r][0]);
    }
    cr_expect_not(br_extract_date(br_slice_of("hour"), 0, &number), "a date has no hour");
}

Test(datetime, fields_of_intervals_are_extracted) {
    static const char *const rows[][3] = {
        {"microseconds", "14 mons 40 days 30:12:05.678", "5678000"},
        {"milliseconds", "14 mons 40 days 30:12:05.678", "5678.000"},
        {"second", "14 mons 40 days 30:12:05.678", "5.678000"},
        {"minute", "14 mons 40 days 30:12:05.678", "12"},
        {"hour", "14 mons 40 days 30:12:05.678", "30"},
        {"day", "14 mons 40 days 30:12:05.678", "40"},
        {"month", "14 mons 40 days 30:12:05.678", "2"},
        {"quarter", "14 mons 40 days 30:12:05.678", "1"},
        {"year", "14 mons 40 days 30:12:05.678", "1"},
        {"decade", "14 mons 40 days 30:12:05.678", "0"},
        {"century", "14 mons 40 days 30:12:05.678", "0"},
        {"millennium", "14 mons 40 days 30:12:05.678", "0"},
        {"epoch", "14 mons 40 days 30:12:05.678", "40306325.678000"},
        {"epoch", "-1 mon -2 days 03:00", "-2754000.000000"},
        {"quarter", "-5 mons", "0"},
        {"second", "-00:00:01.5", "-1.500000"},
        {"decade", "-25 years", "-2"},
    };
    struct br_numeric number;
    for (size_t r = 0; r < COUNT(rows); r++) {
        cr_assert(br_extract_interval(br_slice_of(rows[r][0]), i(rows[r][1]), &number), "%s", rows[r][0]);
        expect_number(number, rows[r][2], rows[r][0]);
    }
    cr_expect_not(br_extract_interval(br_slice_of("week"), i("1 week"), &number));
}
