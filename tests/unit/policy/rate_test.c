#include "policy/rate.h"

#include "policy_test.h"
#include "test_values.h"

static const struct {
	const char *text;
	struct rate rate;
	const char *printed; /* NULL: refused */
} cases[] = {
    {"1,000/h", {1000, 3600000, 0, false}, "1000/h"}, /* case 24 */
    {"10/30s", {10, 30000, 0, false}, "10/30s"},      /* case 24 */
    {"5/min,max_burst=1", {5, 60000, 1, false}, "5/m,max_burst=1"},
    {"local:3/day", {3, 86400000, 0, true}, "local:3/d"}, /* case 24 */
    {"100/s", {100, 1000, 0, false}, "100/s"},
    {"1/sec", {1, 1000, 0, false}, "1/s"},
    {"1/2hour", {1, 7200000, 0, false}, "1/7200s"},
    {"1/60s", {1, 60000, 0, false}, "1/m"},
    {"1_000/hr,max_burst=1,000", {1000, 3600000, 1000, false},
	"1000/h,max_burst=1000"},
    {"0/s", {0}, NULL},          /* case 24 */
    {"10", {0}, NULL},           /* case 24 */
    {"10/fortnight", {0}, NULL}, /* case 24 */
    {"", {0}, NULL},
    {"/s", {0}, NULL},
    {"-1/s", {0}, NULL},
    {"1.5/s", {0}, NULL},
    {"1/0s", {0}, NULL},
    {"1/", {0}, NULL},
    {"1/s ", {0}, NULL},
    {"1/s,", {0}, NULL},
    {"1/s,max_burst=0", {0}, NULL},
    {"1/s,max_burst=2x", {0}, NULL},
    {"99999999999999999999/s", {0}, NULL},
    {"1/99999999999999999999s", {0}, NULL},
};

START_TEST(parses_and_prints)
{
	struct rate rate;
	struct err err = {0};
	bool ok = rate_parse(cases[_i].text, &rate, &err);
	char text[96];

	ck_assert_msg(ok == (cases[_i].printed != NULL), "%s: %s",
	    cases[_i].text, err.text);
	if (!ok) {
		ck_assert_msg(strstr(err.text, "invalid rate"), "%s", err.text);
		ck_assert_msg(strstr(err.text, cases[_i].text), "%s", err.text);
		return;
	}
	ck_assert_int_eq(rate.limit, cases[_i].rate.limit);
	ck_assert_int_eq(rate.period_ms, cases[_i].rate.period_ms);
	ck_assert_int_eq(rate.max_burst, cases[_i].rate.max_burst);
	ck_assert_int_eq(rate.local, cases[_i].rate.local);
	ck_assert_str_eq(rate_print(text, &rate), cases[_i].printed);
}
END_TEST

Suite *rate_suite(void)
{
	Suite *suite = suite_create("rate");
	TCase *t = tcase_create("all");

	tcase_add_loop_test(t, parses_and_prints, 0, COUNT(cases));
	suite_add_tcase(suite, t);
	return suite;
}
