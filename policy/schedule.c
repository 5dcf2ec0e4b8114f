/*
 * schedule.c - when a message may be attempted
 */
#include "policy/schedule.h"

#include <ctype.h>

#include "base/datetime.h"
#include "base/str.h"
#include "policy/param_rows.h"

#define DAY 86400

#define S schedule
static const struct param_spec specs[] = {
    P_STRING(S, first_attempt,
	.help = "Not before this time, in the form of RFC 3339."),
    P_STRING(
	S, expires, .help = "Not after this time, in the form of RFC 3339."),
    P_STRING(S, dow, .help = "Days of the week, such as Mon,Tue."),
    P_STRING(S, tz, .help = "The zone that dow, start and end are in."),
    P_STRING(S, start, .help = "From this time of the day on, HH:MM:SS."),
    P_STRING(S, end, .help = "Until before this time of the day."),
};
#undef S

static const struct param_set schedule_params = {
    .name = "set_scheduling",
    .intro = "When a message may be attempted.",
    .record_size = sizeof(struct schedule),
    .specs = specs,
    .count = COUNT(specs),
};

static bool read_time(
    const char *key, const char *text, int64_t *out, struct err *err)
{
	struct datetime d;

	if (!text)
		return true;
	if (!datetime_parse_rfc3339(text, &d, err))
		return err_prefix(err, "%s: invalid value", key);
	*out = d.unix_seconds;
	return true;
}

/* "Mon" or "Monday", in any case; -1: neither. */
static int day_of(const char *text, size_t len)
{
	static const char *const names[] = {"Sunday", "Monday", "Tuesday",
	    "Wednesday", "Thursday", "Friday", "Saturday"};

	for (int i = 0; i < (int)COUNT(names); i++)
		if ((len == 3 || len == strlen(names[i])) &&
		    str_ncase_eq(names[i], text, len))
			return i;
	return -1;
}

static bool read_days(const char *text, unsigned *days, struct err *err)
{
	const char *p = text;

	for (;;) {
		size_t len;
		int day;

		p += strspn(p, " ");
		len = strcspn(p, ", ");
		day = day_of(p, len);
		if (day < 0)
			return err_set(err, ERR_CONFIG,
			    "dow: invalid value: \"%s\", expected days such "
			    "as Mon,Tue",
			    text);
		*days |= 1u << day;
		p += len;
		p += strspn(p, " ");
		if (!*p)
			return true;
		if (*p++ != ',')
			return err_set(err, ERR_CONFIG,
			    "dow: invalid value: \"%s\"", text);
	}
}

static bool read_clock(
    const char *key, const char *text, int64_t *out, struct err *err)
{
	const char *form = "dd:dd:dd", *p = text;

	while (*form &&
	       (*form == 'd' ? isdigit((unsigned char)*p) != 0 : *p == *form)) {
		form++;
		p++;
	}
	if (!*form && !*p) {
		*out = ((text[0] - '0') * 10 + text[1] - '0') * 3600 +
		       ((text[3] - '0') * 10 + text[4] - '0') * 60 +
		       (text[6] - '0') * 10 + text[7] - '0';
		if (text[3] < '6' && text[6] < '6' && *out < DAY)
			return true;
	}
	return err_set(err, ERR_CONFIG,
	    "%s: invalid value: \"%s\", expected HH:MM:SS", key, text);
}

bool schedule_parse(const struct value *table, struct arena *arena,
    struct schedule *out, struct err *err)
{
	int given;

	if (!param_parse(&schedule_params, table, arena, out, err) ||
	    !read_time("first_attempt", out->first_attempt,
		&out->first_attempt_at, err) ||
	    !read_time("expires", out->expires, &out->expires_at, err))
		return false;
	given = !!out->dow + !!out->tz + !!out->start + !!out->end;
	if (given == 0)
		return true;
	if (given < 4)
		return err_set(err, ERR_CONFIG,
		    "dow, tz, start and end belong together: invalid without "
		    "one of them");
	if (!read_days(out->dow, &out->days, err) ||
	    !read_clock("start", out->start, &out->start_s, err) ||
	    !read_clock("end", out->end, &out->end_s, err))
		return false;
	if (out->start_s > out->end_s)
		return err_set(
		    err, ERR_CONFIG, "start: invalid value: it is after end");
	out->zone = timezone_load(out->tz, arena, err);
	return out->zone || err_prefix(err, "tz: invalid value");
}

/* The time of a reading of the clock; where the clock is put forward, the
 * first time after it. */
static int64_t to_utc(const struct timezone_rules *zone, int64_t local)
{
	int64_t guess = local - timezone_offset(zone, local);

	return local - timezone_offset(zone, guess);
}

int64_t schedule_next(const struct schedule *s, int64_t at)
{
	int64_t local, midnight, day;

	if (at < s->first_attempt_at)
		at = s->first_attempt_at;
	if (!s->zone || s->start_s == s->end_s)
		return at;
	local = at + timezone_offset(s->zone, at);
	midnight = local - ((local % DAY) + DAY) % DAY;
	/* The same weekday of next week, when its window is over today. */
	for (int i = 0; i <= 7; i++, midnight += DAY) {
		day = ((midnight / DAY + 4) % 7 + 7) % 7; /* 1970: Thursday */
		if (!(s->days & 1u << day))
			continue;
		if (local < midnight + s->start_s)
			return to_utc(s->zone, midnight + s->start_s);
		if (local < midnight + s->end_s)
			return at;
	}
	return at;
}
