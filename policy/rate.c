#include "policy/rate.h"

#include "base/diag.h"
#include "base/str.h"

static const struct {
	const char *name;
	int64_t seconds;
} periods[] = {
    {"s", 1},
    {"sec", 1},
    {"second", 1},
    {"m", 60},
    {"min", 60},
    {"minute", 60},
    {"h", 3600},
    {"hr", 3600},
    {"hour", 3600},
    {"d", 86400},
    {"day", 86400},
};

/* At the digits; stops behind them.  Commas and underscores only count between
 * two digits, because a comma also ends the period. */
static bool quantity(const char **s, int64_t *out)
{
	int64_t n = 0;
	const char *p = *s;

	if (*p < '0' || *p > '9')
		return false;
	for (;; p++) {
		if (*p == ',' || *p == '_')
			continue;
		if (*p < '0' || *p > '9')
			break;
		if (n > (INT64_MAX - 9) / 10)
			return false;
		n = n * 10 + (*p - '0');
	}
	*s = p;
	*out = n;
	return true;
}

static bool period(const char **s, int64_t *out_ms)
{
	const char *p = *s;
	int64_t count = 1;
	size_t len;

	if (*p >= '0' && *p <= '9') {
		for (count = 0; *p >= '0' && *p <= '9'; p++) {
			if (count > INT32_MAX)
				return false;
			count = count * 10 + (*p - '0');
		}
	}
	len = strcspn(p, ",");
	for (size_t i = 0; i < COUNT(periods); i++) {
		if (strlen(periods[i].name) != len ||
		    memcmp(periods[i].name, p, len) != 0)
			continue;
		/* As much as rate_print() may say in seconds. */
		if (count > INT32_MAX / periods[i].seconds)
			return false;
		*out_ms = count * periods[i].seconds * 1000;
		*s = p + len;
		return count > 0;
	}
	return false;
}

static bool refuse(struct err *err, const char *text, const char *why)
{
	char quoted[80];

	return err_set(err, ERR_CONFIG, "invalid rate \"%s\": %s",
	    diag_quote(quoted, sizeof quoted, text, strlen(text)), why);
}

bool rate_parse(const char *text, struct rate *out, struct err *err)
{
	const char *s = text;
	struct rate rate = {0};

	rate.local = str_starts(s, "local:");
	if (rate.local)
		s += strlen("local:");
	if (!quantity(&s, &rate.limit) || *s != '/')
		return refuse(
		    err, text, "expected NUMBER/PERIOD, like 100/s or 10/30s");
	s++;
	if (rate.limit < 1)
		return refuse(err, text, "it must allow 1 or more");
	if (!period(&s, &rate.period_ms))
		return refuse(
		    err, text, "the period is s, min, h or day, or 30s");
	if (str_starts(s, ",max_burst=")) {
		s += strlen(",max_burst=");
		if (!quantity(&s, &rate.max_burst) || rate.max_burst < 1)
			return refuse(err, text, "max_burst must be 1 or more");
	}
	if (*s)
		return refuse(err, text, "something is left over at its end");
	*out = rate;
	return true;
}

char *rate_print(char out[96], const struct rate *rate)
{
	static const struct {
		int64_t ms;
		char letter;
	} letters[] = {
	    {1000, 's'}, {60000, 'm'}, {3600000, 'h'}, {86400000, 'd'}};
	char span[32] = "";
	char burst[32] = "";

	for (size_t i = 0; i < COUNT(letters); i++)
		if (letters[i].ms == rate->period_ms)
			(void)snprintf(
			    span, sizeof span, "%c", letters[i].letter);
	if (!*span)
		(void)snprintf(span, sizeof span, "%llds",
		    (long long)(rate->period_ms / 1000));
	if (rate->max_burst)
		(void)snprintf(burst, sizeof burst, ",max_burst=%lld",
		    (long long)rate->max_burst);
	(void)snprintf(out, 96, "%s%lld/%s%s", rate->local ? "local:" : "",
	    (long long)rate->limit, span, burst);
	return out;
}
