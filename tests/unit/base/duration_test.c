/* duration_test.c - base/duration.h */
#include "tests/unit/base/base_test.h"

#include <math.h>

#include "base/duration.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const struct {
	const char *text;
	int64_t ms; /* -1: refused */
} texts[] = {
    {"5m", 5 * MINUTE},
    {"5 mins", 5 * MINUTE},
    {" 5  mins ", 5 * MINUTE},
    {"1 hour 30 min", 90 * MINUTE},
    {"1h30m", 90 * MINUTE},
    {"30m 1h", 90 * MINUTE},
    {"1d", DAY},
    {"2 weeks", 14 * DAY},
    {"1 wk", 7 * DAY},
    {"1M", INT64_C(2630016000)},
    {"1 month", INT64_C(2630016000)},
    {"1y", INT64_C(31557600000)},
    {"2 yrs", INT64_C(63115200000)},
    {"0s", 0},
    {"15 secs", 15000},
    {"250ms", 250},
    {"250 millis", 250},
    {"1500us", 2},
    {"1ns", 1},
    {"2000000 nanos", 2},
    {"5", -1},
    {"60", -1},
    {"-5s", -1},
    {"+5s", -1},
    {"", -1},
    {" ", -1},
    {"1.5h", -1},
    {"1h 5", -1},
    {"h", -1},
    {"5 parsecs", -1},
    {"5S", -1},
    {"5;m", -1},
    {"5mm", -1},
    {"300y", -1},
    {"99999999999999999999s", -1},
};

START_TEST(text_has_numbers_and_units)
{
	struct duration d = {-7};
	struct err err = {0};
	bool ok = duration_parse(texts[_i].text, &d, &err);

	ck_assert_msg(
	    ok == (texts[_i].ms >= 0), "\"%s\": %s", texts[_i].text, err.text);
	if (ok)
		ck_assert_int_eq(d.ms, texts[_i].ms);
	else
		ck_assert_msg(strstr(err.text, "invalid duration") &&
				  strstr(err.text, texts[_i].text),
		    "%s", err.text);
}
END_TEST

static const struct {
	int64_t ms;
	const char *text;
} prints[] = {
    {0, "0s"},
    {20 * MINUTE, "20m"},
    {90 * MINUTE, "1h 30m"},
    {7 * DAY, "7days"},
    {DAY, "1day"},
    {DAY + 2 * HOUR + 3 * MINUTE + 4005, "1day 2h 3m 4s 5ms"},
    {INT64_C(2630016000), "1month"},
    {INT64_C(63115200000), "2years"},
};

START_TEST(the_largest_units_come_first)
{
	struct duration d = {prints[_i].ms}, back = {-1};
	char out[128];

	ck_assert_str_eq(duration_print(out, d), prints[_i].text);
	ck_assert(duration_parse(out, &back, NULL));
	ck_assert_int_eq(back.ms, d.ms);
}
END_TEST

START_TEST(a_number_is_seconds)
{
	struct duration d;
	struct err err = {0};

	ck_assert(duration_from_seconds(90, &d, &err) && d.ms == 90000);
	ck_assert(duration_from_seconds(1.5, &d, &err) && d.ms == 1500);
	ck_assert(duration_from_seconds(1e-9, &d, &err) && d.ms == 1);
	ck_assert(duration_from_seconds(0, &d, &err) && d.ms == 0);
	ck_assert(!duration_from_seconds(-1, &d, &err));
	ck_assert_str_eq(
	    err.text, "invalid duration -1: it must not be negative");
	ck_assert(!duration_from_seconds(NAN, &d, &err));
	ck_assert(!duration_from_seconds(INFINITY, &d, &err));
	ck_assert(!duration_from_seconds(1e12, &d, &err));
}
END_TEST

TCase *duration_tests(void)
{
	TCase *tc = tcase_create("duration");

	tcase_add_loop_test(tc, text_has_numbers_and_units, 0, COUNT(texts));
	tcase_add_loop_test(tc, the_largest_units_come_first, 0, COUNT(prints));
	tcase_add_test(tc, a_number_is_seconds);
	return tc;
}
