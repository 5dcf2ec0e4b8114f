/*
 * throttle_test.c - policy/throttle.h: exact counts in windows
 */
#include "policy/throttle.h"

#include "base/err.h"
#include "policy_test.h"

#define S 1000000000LL /* ns */

static struct rate rate_of(const char *text)
{
	struct rate rate;
	struct err err = {0};

	ck_assert_msg(rate_parse(text, &rate, &err), "%s", err.text);
	return rate;
}

static const struct {
	const char *rate;
	int64_t at_s; /* after everything that could pass at 0 has passed */
	int64_t room;
} windows[] = {
    {"10/30s", 0, 0},
    {"10/30s", 2, 0},
    {"10/30s", 3, 1},
    {"10/30s", 29, 9},
    {"10/30s", 30, 10},
    {"10/30s", 3600, 10},
    {"5/min,max_burst=1", 11, 0},
    {"5/min,max_burst=1", 12, 1},
    {"5/min,max_burst=1", 60, 1},
    {"1/h", 3599, 0},
    {"1/h", 3600, 1},
    {"3/s,max_burst=100", 1, 3},
};

START_TEST(a_burst_at_once_then_one_by_one)
{
	struct rate rate = rate_of(windows[_i].rate);
	struct throttle throttle = {0};
	int64_t now = 1000 * S, n = 0;

	while (!throttle_take(&throttle, &rate, now).throttled)
		n++;
	ck_assert_int_eq(n, rate.max_burst && rate.max_burst < rate.limit
				? rate.max_burst
				: rate.limit);
	ck_assert_int_eq(
	    throttle_room(&throttle, &rate, now + windows[_i].at_s * S),
	    windows[_i].room);
}
END_TEST

START_TEST(looking_says_what_taking_will_do)
{
	struct rate rate = rate_of("10/30s");
	struct throttle throttle = {0};
	int64_t now = 5 * S;

	ck_assert_int_eq(throttle_room(&throttle, &rate, now), 10);
	ck_assert_int_eq(throttle_wait_ns(&throttle, &rate, 10, now), 0);
	throttle_take_many(&throttle, &rate, 7, now);
	ck_assert_int_eq(throttle_room(&throttle, &rate, now), 3);
	ck_assert_int_eq(throttle_wait_ns(&throttle, &rate, 3, now), 0);
	ck_assert_int_eq(throttle_wait_ns(&throttle, &rate, 5, now), 6 * S);
	/* More than a burst is never there at once. */
	ck_assert_int_eq(throttle_wait_ns(&throttle, &rate, 99, now), 21 * S);
	ck_assert(!throttle_take(&throttle, &rate, now).throttled);
	ck_assert_int_eq(throttle_take(&throttle, &rate, now).remaining, 1);
}
END_TEST

START_TEST(what_is_given_back_was_never_taken)
{
	struct rate rate = rate_of("4/s");
	struct throttle throttle = {0}, other = {0};

	throttle_take_many(&throttle, &rate, 4, S);
	throttle_give_back(&throttle, &rate, 3);
	throttle_take_many(&other, &rate, 1, S);
	for (int64_t now = S; now < 3 * S; now += S / 10)
		ck_assert_int_eq(throttle_room(&throttle, &rate, now),
		    throttle_room(&other, &rate, now));
}
END_TEST

Suite *throttle_suite(void)
{
	Suite *suite = suite_create("throttle");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(
	    t, a_burst_at_once_then_one_by_one, 0, COUNT(windows));
	tcase_add_test(t, looking_says_what_taking_will_do);
	tcase_add_test(t, what_is_given_back_was_never_taken);
	suite_add_tcase(suite, t);
	return suite;
}
