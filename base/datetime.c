/*
 * datetime.c - the dates that people and mail write, to seconds since 1970
 */
#include "base/datetime.h"

#include <ctype.h>
#include <time.h>

#include "base/diag.h"
#include "base/str.h"

bool datetime_from_parts(int year, int month, int day, int hour, int minute,
    int second, struct datetime *out)
{
	struct tm tm = {
	    .tm_year = year - 1900,
	    .tm_mon = month - 1,
	    .tm_mday = day,
	    .tm_hour = hour,
	    .tm_min = minute,
	    .tm_sec = second,
	};
	struct tm given = tm;

	if (year < 1 || year > 9999)
		return false;
	out->unix_seconds = timegm(&tm);
	out->nanoseconds = 0;
	/* timegm() makes 2 March of 30 February. */
	return tm.tm_mon == given.tm_mon && tm.tm_mday == given.tm_mday &&
	       tm.tm_hour == given.tm_hour && tm.tm_min == given.tm_min &&
	       tm.tm_sec == given.tm_sec;
}

/* ---- reading ---- */

/* Exactly `least` to `most` digits. */
static bool number(const char **p, int least, int most, int *out)
{
	int n = 0;

	for (*out = 0; n < most && isdigit((unsigned char)**p); n++)
		*out = *out * 10 + (*(*p)++ - '0');
	return n >= least;
}

static bool literal(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

/* "+hh:mm" or "+hhmm", into seconds. */
static bool offset(const char **p, bool colon, int *seconds)
{
	int sign = **p == '-' ? -1 : 1, hours, minutes;

	if (**p != '+' && **p != '-')
		return false;
	(*p)++;
	if (!number(p, 2, 2, &hours) || (colon && !literal(p, ':')) ||
	    !number(p, 2, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*seconds = sign * (hours * 3600 + minutes * 60);
	return true;
}

static bool refuse(struct err *err, const char *form, const char *text)
{
	char quoted[64];

	return err_set(err, ERR_PERM, "not a date of %s: \"%s\"", form,
	    diag_quote(quoted, sizeof quoted, text, strlen(text)));
}

bool datetime_parse_rfc3339(
    const char *text, struct datetime *out, struct err *err)
{
	int year, month, day, hour, minute, second, shift = 0;
	int64_t nanoseconds = 0;
	const char *p = text;

	if (!number(&p, 4, 4, &year) || !literal(&p, '-') ||
	    !number(&p, 2, 2, &month) || !literal(&p, '-') ||
	    !number(&p, 2, 2, &day) ||
	    !(literal(&p, 'T') || literal(&p, 't') || literal(&p, ' ')) ||
	    !number(&p, 2, 2, &hour) || !literal(&p, ':') ||
	    !number(&p, 2, 2, &minute) || !literal(&p, ':') ||
	    !number(&p, 2, 2, &second))
		return refuse(err, "RFC 3339", text);
	if (literal(&p, '.')) {
		if (!isdigit((unsigned char)*p))
			return refuse(err, "RFC 3339", text);
		for (int64_t unit = 100000000; isdigit((unsigned char)*p);
		     unit /= 10)
			nanoseconds += unit * (*p++ - '0');
	}
	if (!literal(&p, 'Z') && !literal(&p, 'z') && !offset(&p, true, &shift))
		return refuse(err, "RFC 3339", text);
	if (*p || !datetime_from_parts(year, month, day, hour, minute,
		      second == 60 ? 59 : second, out))
		return refuse(err, "RFC 3339", text);
	out->unix_seconds -= shift;
	out->nanoseconds = nanoseconds;
	return true;
}

/* ---- mail's own ---- */

/* The index of the three letters in `names`, or -1. */
static int name(const char **p, const char *names)
{
	for (int i = 0; names[3 * i]; i++)
		if (str_ncase_eq(*p, names + 3 * i, 3)) {
			*p += 3;
			return i;
		}
	return -1;
}

static void blanks(const char **p)
{
	while (**p == ' ' || **p == '\t' || **p == '\r' || **p == '\n')
		(*p)++;
}

static bool zone(const char **p, int *seconds)
{
	static const struct {
		const char *name;
		int hours;
	} zones[] = {{"GMT", 0}, {"UTC", 0}, {"UT", 0}, {"EST", -5},
	    {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6},
	    {"PST", -8}, {"PDT", -7}};
	size_t letters = 0;

	if (offset(p, false, seconds))
		return true;
	while (isalpha((unsigned char)(*p)[letters]))
		letters++;
	/* Other names, one letter or several, have meant too many things to
	 * mean anything but UTC (RFC 5322, 4.3). */
	if (letters == 0 || letters > 5)
		return false;
	*seconds = 0;
	for (size_t i = 0; i < COUNT(zones); i++)
		if (strlen(zones[i].name) == letters &&
		    str_ncase_eq(*p, zones[i].name, letters))
			*seconds = zones[i].hours * 3600;
	*p += letters;
	return true;
}

bool datetime_parse_rfc2822(
    const char *text, struct datetime *out, struct err *err)
{
	int year, month, day, hour, minute, second = 0, shift;
	const char *p = text, *digits;

	blanks(&p);
	if (name(&p, "MonTueWedThuFriSatSun") >= 0 && !literal(&p, ','))
		return refuse(err, "RFC 2822", text);
	blanks(&p);
	if (!number(&p, 1, 2, &day))
		return refuse(err, "RFC 2822", text);
	blanks(&p);
	month = name(&p, "JanFebMarAprMayJunJulAugSepOctNovDec") + 1;
	blanks(&p);
	digits = p;
	if (!number(&p, 2, 4, &year))
		return refuse(err, "RFC 2822", text);
	if (p - digits == 2)
		year += year < 50 ? 2000 : 1900;
	else if (p - digits == 3)
		year += 1900;
	blanks(&p);
	if (!number(&p, 2, 2, &hour) || !literal(&p, ':') ||
	    !number(&p, 2, 2, &minute) ||
	    (literal(&p, ':') && !number(&p, 2, 2, &second)))
		return refuse(err, "RFC 2822", text);
	blanks(&p);
	if (!zone(&p, &shift))
		return refuse(err, "RFC 2822", text);
	blanks(&p);
	if ((*p && *p != '(') || !datetime_from_parts(year, month, day, hour,
				     minute, second == 60 ? 59 : second, out))
		return refuse(err, "RFC 2822", text);
	out->unix_seconds -= shift;
	return true;
}
