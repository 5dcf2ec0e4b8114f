#include "policy/retry.h"

#include "policy_test.h"
#include "test_values.h"

#define NOW INT64_C(1800000000)
#define ALMOST_1 0.999999

/* Delays with the least, no and the most jitter. */
static const struct {
	const char *label;
	const char *config;
	int64_t attempts;
	int64_t least, middle, most;
} delays[] = {
    {"case 111: the first", "{\"retry_interval\": 60}", 0, 59, 60, 61},
    {"case 111: the second", "{\"retry_interval\": 60}", 1, 119, 120, 121},
    {"case 111: the third", "{\"retry_interval\": 60}", 2, 239, 240, 241},
    {"case 111: the fourth", "{\"retry_interval\": 60}", 3, 479, 480, 481},
    {"case 112: a twentieth", "{\"retry_interval\": 1000}", 0, 975, 1000, 1024},
    {"case 112: at most a minute", "{\"retry_interval\": \"3h\"}", 0, 10770,
	10800, 10829},
    {"case 113: a cap at the interval",
	"{\"retry_interval\": \"60s\", \"max_retry_interval\": \"60s\"}", 7, 59,
	60, 61},
    {"a cap further on",
	"{\"retry_interval\": \"60s\", \"max_retry_interval\": \"200s\"}", 2,
	199, 200, 201},
    {"a cap below the interval",
	"{\"retry_interval\": \"60s\", \"max_retry_interval\": \"10s\"}", 0, 9,
	10, 11},
    {"never at once", "{\"retry_interval\": 0}", 0, 1, 1, 1},
    {"nor in parts of a second", "{\"retry_interval\": \"10ms\"}", 0, 1, 1, 1},
};

START_TEST(backs_off)
{
	const struct queue_config *c =
	    parsed(&queue_config_params, delays[_i].config);
	const struct {
		double chance;
		int64_t want;
	} chances[] = {{0, delays[_i].least}, {0.5, delays[_i].middle},
	    {ALMOST_1, delays[_i].most}};

	for (size_t i = 0; i < COUNT(chances); i++) {
		struct retry_question q = {.attempts = delays[_i].attempts,
		    .now = NOW,
		    .created_at = NOW,
		    .chance = chances[i].chance};
		struct retry_answer a = retry_after_failure(c, &q);

		ck_assert_msg(a.due_at - NOW == chances[i].want, "%s: %lld",
		    delays[_i].label, (long long)(a.due_at - NOW));
		ck_assert_int_eq(a.attempts, delays[_i].attempts + 1);
		ck_assert(!a.expired);
	}
}
END_TEST

static const struct {
	const char *label;
	const char *config;
	int64_t attempts, age, expires_in; /* 0: none */
	bool expired;
} expiries[] = {
    {"case 114: there is time for another",
	"{\"max_age\": \"5m\", \"retry_interval\": \"2m\"}", 0, 0, 0, false},
    {"case 114: the next would be too late",
	"{\"max_age\": \"5m\", \"retry_interval\": \"2m\"}", 1, 120, 0, true},
    {"case 115: a message's own time", "{\"retry_interval\": \"2m\"}", 0, 0, 90,
	true},
    {"a message's own time may be longer",
	"{\"retry_interval\": \"2m\", \"max_age\": \"1m\"}", 0, 0, 300, false},
    {"exactly at the age is not beyond it",
	"{\"retry_interval\": \"2m\", \"max_age\": \"2m\"}", 0, 0, 0, false},
    {"the sixth of a day", "{\"max_age\": \"24h\"}", 5, 31 * 20 * 60, 0, false},
    {"the seventh", "{\"max_age\": \"24h\"}", 6, 63 * 20 * 60, 0, true},
    {"a clock that went back", "{}", 0, -5000, 0, false},
};

START_TEST(expires_when_the_next_would_be_too_late)
{
	const struct queue_config *c =
	    parsed(&queue_config_params, expiries[_i].config);
	struct retry_question q = {
	    .attempts = expiries[_i].attempts,
	    .now = NOW,
	    .created_at = NOW - expiries[_i].age,
	    .expires_at =
		expiries[_i].expires_in ? NOW + expiries[_i].expires_in : 0,
	    .chance = 0.5,
	};

	ck_assert_msg(
	    retry_after_failure(c, &q).expired == expiries[_i].expired, "%s",
	    expiries[_i].label);
}
END_TEST

static const int64_t many[] = {40, 62, 63, 64, 1000, INT64_MAX};

START_TEST(nothing_overflows)
{
	const struct queue_config *c =
	    parsed(&queue_config_params, "{\"retry_interval\": \"7days\"}");
	struct retry_question q = {.attempts = many[_i],
	    .now = NOW,
	    .created_at = NOW,
	    .chance = ALMOST_1};
	struct retry_answer a = retry_after_failure(c, &q);

	ck_assert(a.expired);
	ck_assert(a.due_at > NOW);
	ck_assert(a.attempts >= q.attempts);
}
END_TEST

static const struct {
	int64_t delay;
	double chance;
	int64_t age, want;
	bool expired;
} put_back[] = {
    {0, 0.5, 0, 0, false}, {17, 0.5, 0, 17, false}, {-1, 0, 0, 0, false},
    {-1, 0.5, 0, 30, false}, {-1, ALMOST_1, 0, 59, false},
    {10, 0, 89, 10, false}, {10, 0, 90, 10, true}, /* max_age is 100 s */
};

START_TEST(puts_back_without_an_attempt)
{
	const struct queue_config *c =
	    parsed(&queue_config_params, "{\"max_age\": 100}");
	struct retry_question q = {.attempts = 3,
	    .now = NOW,
	    .created_at = NOW - put_back[_i].age,
	    .chance = put_back[_i].chance};
	struct retry_answer a =
	    retry_without_attempt(c, &q, put_back[_i].delay);

	ck_assert_int_eq(a.due_at - NOW, put_back[_i].want);
	ck_assert_int_eq(a.attempts, 3);
	ck_assert(a.expired == put_back[_i].expired);
}
END_TEST

START_TEST(our_own_failures_are_tried_again_soon)
{
	const struct queue_config *c = queue_config_defaults();
	struct retry_question q = {.now = NOW, .created_at = NOW};

	ck_assert_int_eq(retry_soon(c, &q).due_at - NOW, 30); /* case 149 */
	q.chance = ALMOST_1;
	ck_assert_int_eq(retry_soon(c, &q).due_at - NOW, 90);
	ck_assert_int_eq(retry_soon(c, &q).attempts, 0);
}
END_TEST

Suite *retry_suite(void)
{
	Suite *suite = suite_create("retry");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, backs_off, 0, COUNT(delays));
	tcase_add_loop_test(
	    t, expires_when_the_next_would_be_too_late, 0, COUNT(expiries));
	tcase_add_loop_test(t, nothing_overflows, 0, COUNT(many));
	tcase_add_loop_test(
	    t, puts_back_without_an_attempt, 0, COUNT(put_back));
	tcase_add_test(t, our_own_failures_are_tried_again_soon);
	suite_add_tcase(suite, t);
	return suite;
}
