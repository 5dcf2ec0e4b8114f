/*
 * duration.c - "5 mins" and its struct
 *
 *	duration = 1*( *SP 1*DIGIT *SP unit ) *SP
 *
 * Sums are kept in nanoseconds and then rounded up to a whole millisecond, so
 * that what was not zero does not become zero.
 */
#include "base/duration.h"

#include <math.h>

#include "base/diag.h"

#define NS INT64_C(1)
#define US (1000 * NS)
#define MS (1000 * US)
#define SECOND (1000 * MS)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define WEEK (7 * DAY)
#define MONTH (2630016 * SECOND) /* 30.44 days */
#define YEAR (31557600 * SECOND) /* 365.25 days */

static const struct {
	const char *name;
	int64_t ns;
} units[] = {
    {"nsec", NS},
    {"ns", NS},
    {"nanos", NS},
    {"usec", US},
    {"us", US},
    {"micros", US},
    {"msec", MS},
    {"ms", MS},
    {"millis", MS},
    {"seconds", SECOND},
    {"second", SECOND},
    {"secs", SECOND},
    {"sec", SECOND},
    {"s", SECOND},
    {"minutes", MINUTE},
    {"minute", MINUTE},
    {"mins", MINUTE},
    {"min", MINUTE},
    {"m", MINUTE},
    {"hours", HOUR},
    {"hour", HOUR},
    {"hrs", HOUR},
    {"hr", HOUR},
    {"h", HOUR},
    {"days", DAY},
    {"day", DAY},
    {"d", DAY},
    {"weeks", WEEK},
    {"week", WEEK},
    {"wks", WEEK},
    {"wk", WEEK},
    {"w", WEEK},
    {"months", MONTH},
    {"month", MONTH},
    {"M", MONTH},
    {"years", YEAR},
    {"year", YEAR},
    {"yrs", YEAR},
    {"yr", YEAR},
    {"y", YEAR},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool refuse(struct err *err, const char *text, const char *why)
{
	char quoted[80];

	return err_set(err, ERR_CONFIG, "invalid duration \"%s\": %s",
	    diag_quote(quoted, sizeof quoted, text, strlen(text)), why);
}

static int64_t unit_of(const char *name, size_t len)
{
	for (size_t i = 0; i < COUNT(units); i++)
		if (strlen(units[i].name) == len &&
		    memcmp(units[i].name, name, len) == 0)
			return units[i].ns;
	return 0;
}

bool duration_parse(const char *text, struct duration *out, struct err *err)
{
	const char *p = text, *unit;
	int64_t total = 0, n, ns;
	bool any = false;

	for (;;) {
		while (*p == ' ')
			p++;
		if (!*p)
			break;
		if (!is_digit(*p))
			return refuse(err, text,
			    "expected whole numbers with units, like 1h 30m");
		for (n = 0; is_digit(*p); p++)
			if (__builtin_mul_overflow(n, 10, &n) ||
			    __builtin_add_overflow(n, *p - '0', &n))
				return refuse(err, text, "too long");
		while (*p == ' ')
			p++;
		for (unit = p; is_letter(*p); p++)
			;
		if (p == unit)
			return refuse(err, text,
			    *p == '.' || *p == ','
				? "fractions are not understood"
				: "a number has no unit, like s, m, h or days");
		ns = unit_of(unit, (size_t)(p - unit));
		if (!ns)
			return refuse(err, text,
			    "unknown unit; known are ns, us, ms, s, m, h, "
			    "days, weeks, months, years");
		if (__builtin_mul_overflow(n, ns, &n) ||
		    __builtin_add_overflow(total, n, &total))
			return refuse(err, text, "too long");
		any = true;
	}
	if (!any)
		return refuse(err, text, "it is empty");
	out->ms = total / MS + (total % MS != 0);
	return true;
}

bool duration_from_seconds(
    double seconds, struct duration *out, struct err *err)
{
	if (!(seconds >= 0))
		return err_set(err, ERR_CONFIG,
		    "invalid duration %g: it must not be negative", seconds);
	if (seconds > (double)(INT64_MAX / SECOND))
		return err_set(
		    err, ERR_CONFIG, "invalid duration %g: too long", seconds);
	out->ms = (int64_t)llround(seconds * 1000);
	if (out->ms == 0 && seconds > 0)
		out->ms = 1;
	return true;
}

char *duration_print(char out[128], struct duration d)
{
	static const struct {
		int64_t ms;
		const char *one, *many;
	} parts[] = {
	    {YEAR / MS, "year", "years"},
	    {MONTH / MS, "month", "months"},
	    {DAY / MS, "day", "days"},
	    {HOUR / MS, "h", "h"},
	    {MINUTE / MS, "m", "m"},
	    {SECOND / MS, "s", "s"},
	    {1, "ms", "ms"},
	};
	int64_t left = d.ms < 0 ? 0 : d.ms;
	size_t used = 0;

	for (size_t i = 0; i < COUNT(parts); i++) {
		int64_t n = left / parts[i].ms;

		if (!n)
			continue;
		left %= parts[i].ms;
		used += (size_t)snprintf(out + used, 128 - used, "%s%lld%s",
		    used ? " " : "", (long long)n,
		    n == 1 ? parts[i].one : parts[i].many);
	}
	if (!used)
		(void)snprintf(out, 128, "0s");
	return out;
}
