/* Dates, times, timestamps and durations: text to numbers and back, by the proleptic Gregorian
 * calendar with a year 0, as java.time has it. No clock and no time zone of the machine is looked
 * at. */
#include "base/base_private.h"

#include "base/arith.h"

#include <stdio.h>

/* The calendar. */

/* Days since 1970-01-01 of a civil date, and back; years in ±300 million. (The method: count from
 * 0000-03-01, so that the leap day ends the year; 146097 days make 400 years.) */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

static int days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Years that the calendar above counts: far beyond what 64 bits of milliseconds hold, so that
 * nothing overflows on the way. */
#define YEAR_MAX 300000000LL

bool base_timestamp_add(int64_t ms, const struct base_duration *duration, int64_t times,
                        int64_t *out)
{
    __int128 months = (__int128)duration->months * times, days = (__int128)duration->days * times;
    __int128 rest_ns = (__int128)duration->ns * times, at;
    int64_t day = ms / 86400000, in_day = ms % 86400000, year;
    int month, day_of_month;
    *out = 0;
    if (in_day < 0) {
        day--;
        in_day += 86400000;
    }
    if (months != 0) {
        civil_from_days(day, &year, &month, &day_of_month);
        __int128 total = (__int128)year * 12 + month - 1 + months;
        if (total < -YEAR_MAX * 12 || total > YEAR_MAX * 12)
            return false;
        int64_t n = (int64_t)total;
        year = n >= 0 ? n / 12 : -((11 - n) / 12);
        month = (int)(n - year * 12) + 1;
        if (day_of_month > days_in_month(year, month))
            day_of_month = days_in_month(year, month);
        day = days_from_civil(year, month, day_of_month);
    }
    at = ((__int128)day + days) * 86400000 + in_day + rest_ns / 1000000;
    if (at < INT64_MIN || at > INT64_MAX)
        return false;
    *out = (int64_t)at;
    return true;
}

/* Reading. */

struct cursor {
    const uint8_t *p, *end;
};

/* Consume `wanted` if it is next. */
static bool take(struct cursor *c, char wanted)
{
    if (c->p >= c->end || *c->p != (uint8_t)wanted)
        return false;
    c->p++;
    return true;
}

/* min to max digits (at most 18) as a number; how many it were in *count (may be NULL). */
static bool digits(struct cursor *c, int min, int max, int64_t *out, int *count)
{
    int n = 0;
    int64_t v = 0;
    for (; n < max && c->p < c->end && basei_is_digit(*c->p); n++)
        v = v * 10 + (*c->p++ - '0');
    *out = v;
    if (count)
        *count = n;
    return n >= min;
}

static bool small(struct cursor *c, int min, int max, int *out)
{
    int64_t v;
    bool ok = digits(c, min, max, &v, NULL);
    *out = (int)v;
    return ok;
}

/* A fraction's digits (1 to 9) as nanoseconds. */
static bool fraction(struct cursor *c, int64_t *ns)
{
    int count;
    if (!digits(c, 1, 9, ns, &count))
        return false;
    for (; count < 9; count++)
        *ns *= 10;
    return true;
}

/* [±]yyyy-mm-dd to days. Years have four digits, up to nine with a sign. */
static bool date(struct cursor *c, int64_t *days)
{
    int64_t year;
    int month, day;
    bool negative = take(c, '-');
    if (!negative)
        take(c, '+');
    if (!digits(c, 4, 9, &year, NULL) || !take(c, '-') || !small(c, 1, 2, &month) ||
        !take(c, '-') || !small(c, 1, 2, &day))
        return false;
    year = negative ? -year : year;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *days = days_from_civil(year, month, day);
    return true;
}

/* hh:mm[:ss[.f]] to nanoseconds since midnight. */
static bool time_of_day(struct cursor *c, int64_t *ns)
{
    int hour, minute, second = 0;
    int64_t rest = 0;
    if (!small(c, 1, 2, &hour) || !take(c, ':') || !small(c, 2, 2, &minute))
        return false;
    if (take(c, ':')) {
        if (!small(c, 2, 2, &second))
            return false;
        if (take(c, '.') && !fraction(c, &rest))
            return false;
    }
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    *ns = ((int64_t)hour * 3600 + minute * 60 + second) * 1000000000 + rest;
    return true;
}

/* Nothing (UTC), Z, UTC, GMT, ±hh, ±hhmm or ±hh:mm to the seconds it is ahead of UTC. */
static bool zone(struct cursor *c, int64_t *ahead_s)
{
    while (take(c, ' '))
        ;
    *ahead_s = 0;
    struct base_slice rest = base_slice(c->p, (size_t)(c->end - c->p));
    if (rest.len == 0)
        return true;
    if (base_slice_equal_nocase(rest, BASE_SLICE_LIT("Z")) ||
        base_slice_equal_nocase(rest, BASE_SLICE_LIT("UTC")) ||
        base_slice_equal_nocase(rest, BASE_SLICE_LIT("GMT"))) {
        c->p = c->end;
        return true;
    }
    int hours, minutes = 0;
    bool west = take(c, '-');
    if ((!west && !take(c, '+')) || !small(c, 2, 2, &hours))
        return false;
    take(c, ':');
    if (c->p < c->end && !small(c, 2, 2, &minutes))
        return false;
    if (hours > 18 || minutes > 59)
        return false;
    *ahead_s = ((int64_t)hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return true;
}

/* A whole number that fits in 64 bits. */
static bool whole(struct base_slice text, int64_t *out)
{
    struct basei_number number;
    int side;
    bool exact;
    if (!basei_number_parse(text, &number) || !number.is_plain)
        return false;
    basei_number_floor(&number, out, &side, &exact);
    return side == 0;
}

static struct cursor cursor(struct base_slice text)
{
    return (struct cursor){text.data, text.data + text.len};
}

bool basei_timestamp_parse(struct base_slice text, int64_t *ms, bool *exact)
{
    text = basei_trim(text);
    *exact = true;
    *ms = 0;
    if (whole(text, ms))
        return true;
    struct cursor c = cursor(text);
    int64_t days, ns = 0, ahead_s = 0;
    if (!date(&c, &days))
        return false;
    if (c.p < c.end && (*c.p == 'T' || *c.p == 't' ||
                        (*c.p == ' ' && c.end - c.p > 1 && basei_is_digit(c.p[1])))) {
        c.p++;
        if (!time_of_day(&c, &ns))
            return false;
    }
    if (!zone(&c, &ahead_s) || c.p != c.end)
        return false;
    *exact = ns % 1000000 == 0;
    __int128 at = (__int128)days * 86400000 + ns / 1000000 - ahead_s * 1000;
    if (at < INT64_MIN || at > INT64_MAX)
        return false;
    *ms = (int64_t)at;
    return true;
}

bool basei_date_parse(struct base_slice text, uint32_t *days)
{
    text = basei_trim(text);
    *days = 0;
    int64_t v;
    if (whole(text, &v)) { /* as Cassandra: the stored number itself */
        *days = (uint32_t)v;
        return v >= 0 && v <= UINT32_MAX;
    }
    struct cursor c = cursor(text);
    if (!date(&c, &v) || c.p != c.end || v < INT32_MIN || v > INT32_MAX)
        return false;
    *days = (uint32_t)v + 0x80000000u;
    return true;
}

bool basei_time_parse(struct base_slice text, int64_t *ns)
{
    text = basei_trim(text);
    *ns = 0;
    if (whole(text, ns))
        return *ns >= 0 && *ns < BASEI_DAY_NS;
    struct cursor c = cursor(text);
    return time_of_day(&c, ns) && c.p == c.end;
}

/* Printing. */

static char *put_number(char *p, uint64_t v, int width)
{
    for (int i = width - 1; i >= 0; i--, v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + width;
}

/* Years of four digits plain, others with their sign. */
static char *put_date(char *p, int64_t days)
{
    int64_t year;
    int month, day;
    civil_from_days(days, &year, &month, &day);
    if (year >= 0 && year <= 9999)
        p = put_number(p, (uint64_t)year, 4);
    else
        p +=
            snprintf(p, 16, "%c%04lld", year < 0 ? '-' : '+', (long long)(year < 0 ? -year : year));
    *p++ = '-';
    p = put_number(p, (uint64_t)month, 2);
    *p++ = '-';
    return put_number(p, (uint64_t)day, 2);
}

static char *put_clock(char *p, int64_t seconds)
{
    p = put_number(p, (uint64_t)(seconds / 3600), 2);
    *p++ = ':';
    p = put_number(p, (uint64_t)(seconds / 60 % 60), 2);
    *p++ = ':';
    return put_number(p, (uint64_t)(seconds % 60), 2);
}

size_t basei_timestamp_print(int64_t ms, char separator, char *text)
{
    int64_t days = ms / 86400000, rest = ms % 86400000;
    if (rest < 0) {
        days--;
        rest += 86400000;
    }
    char *p = put_date(text, days);
    *p++ = separator;
    p = put_clock(p, rest / 1000);
    *p++ = '.';
    p = put_number(p, (uint64_t)(rest % 1000), 3);
    *p++ = 'Z';
    return (size_t)(p - text);
}

size_t basei_date_print(uint32_t days, char *text)
{
    return (size_t)(put_date(text, (int64_t)days - 0x80000000LL) - text);
}

size_t basei_time_print(int64_t ns, char *text)
{
    char *p = put_clock(text, ns / 1000000000);
    *p++ = '.';
    return (size_t)(put_number(p, (uint64_t)(ns % 1000000000), 9) - text);
}
