#include "base/regex_list.h"

#include <string.h>
#include <time.h>

#include "tests/unit/base/base_test.h"

static size_t overs, last_over;

static void on_over(size_t index, void *ctx)
{
	overs++;
	last_over = index;
}

static struct regex_list *list_of(const char *const *patterns)
{
	struct regex_list *list = regex_list_new();
	struct err err = {0};

	for (; *patterns; patterns++)
		ck_assert_msg(
		    regex_list_add(list, *patterns, strlen(*patterns), &err),
		    "%s", err.text);
	overs = 0;
	return list;
}

static size_t first(
    const struct regex_list *list, const char *text, int64_t cpu_ns)
{
	return regex_list_first(
	    list, text, strlen(text), cpu_ns, on_over, NULL);
}

#define SECOND 1000000000

static const struct {
	const char *label, *text;
	size_t want;
} cases[] = {
    {"the first of several", "user unknown", 0},
    {"case counts", "User Unknown", REGEX_LIST_NONE},
    {"unless the expression says not", "MAILBOX FULL", 2},
    {"groups and references", "aa", 3},
    {"look-ahead", "quota is not it", REGEX_LIST_NONE},
    {"words of other scripts in an ASCII expression", "é1", 5},
    {"an expression that is not ASCII", "Empfänger", 6},
    {"its text in capitals", "EMPFÄNGER", 6},
    {"nothing matches nothing", "", REGEX_LIST_NONE},
};

START_TEST(the_first_that_matches_is_found)
{
	static const char *const patterns[] = {"user unknown", "unknown$",
	    "(?i)mailbox full", "^(a)\\1$", "quota(?! is not)", "^\\w1$",
	    "(?i)empfänger", NULL};
	struct regex_list *list = list_of(patterns);

	ck_assert_uint_eq(regex_list_count(list), 7);
	ck_assert_msg(first(list, cases[_i].text, SECOND) == cases[_i].want,
	    "%s", cases[_i].label);
	ck_assert_uint_eq(overs, 0);
	regex_list_free(list);
}
END_TEST

START_TEST(a_bad_expression_is_refused_with_its_place)
{
	struct regex_list *list = regex_list_new();
	struct err err = {0};
	static char longest[70000];

	ck_assert(!regex_list_add(list, "a(b", 3, &err));
	ck_assert_str_eq(err.text, "regular expression at character 4: "
				   "missing closing parenthesis");
	ck_assert(!regex_list_add(list, "\\C", 2, &err));
	ck_assert(!regex_list_add(list, "\xff", 1, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
	ck_assert(!regex_list_add(list, longest, sizeof longest, &err));
	ck_assert_uint_eq(regex_list_count(list), 0);
	regex_list_free(list);
	regex_list_free(NULL);
}
END_TEST

/* Each of them takes for ever without limits. */
static const char *const endless[] = {"^(a+)+$", "^(a|aa)+$", "^(?:a*)*b?c$",
    "^(\\w+\\s?)*!$", "(x+x+)+y|^(a|a)*$", "^((a)|(?1)a)+$"};

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

START_TEST(an_endless_expression_does_not_match_and_the_next_is_asked)
{
	const char *const patterns[] = {endless[_i], "aab-$", NULL};
	struct regex_list *list = list_of(patterns);
	double begin = seconds();

	ck_assert_uint_eq(
	    first(list, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab-", SECOND), 1);
	ck_assert_msg(seconds() - begin < 0.1, "%s took %f s", endless[_i],
	    seconds() - begin);
	if (overs > 0)
		ck_assert_uint_eq(last_over, 0);
	regex_list_free(list);
}
END_TEST

START_TEST(what_went_over_its_limits_is_named)
{
	static const char *const patterns[] = {"b", "^(a+)+$", "-", NULL};
	struct regex_list *list = list_of(patterns);

	ck_assert_uint_eq(
	    first(list, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-", SECOND), 2);
	ck_assert_uint_eq(overs, 1);
	ck_assert_uint_eq(last_over, 1);
	regex_list_free(list);
}
END_TEST

START_TEST(nothing_matches_when_the_time_is_over)
{
	const char *patterns[102];
	struct regex_list *list;

	for (size_t i = 0; i < 100; i++)
		patterns[i] = "^no$";
	patterns[100] = "yes";
	patterns[101] = NULL;
	list = list_of(patterns);
	ck_assert_uint_eq(first(list, "yes", 0), REGEX_LIST_NONE);
	ck_assert_uint_eq(overs, 1);
	ck_assert_uint_eq(last_over, REGEX_LIST_NONE);
	ck_assert_uint_eq(first(list, "yes", SECOND), 100);
	regex_list_free(list);
}
END_TEST

TCase *regex_list_tests(void)
{
	TCase *tests = tcase_create("regex_list");

	tcase_add_loop_test(tests, the_first_that_matches_is_found, 0,
	    sizeof cases / sizeof cases[0]);
	tcase_add_test(tests, a_bad_expression_is_refused_with_its_place);
	tcase_add_loop_test(tests,
	    an_endless_expression_does_not_match_and_the_next_is_asked, 0,
	    sizeof endless / sizeof endless[0]);
	tcase_add_test(tests, what_went_over_its_limits_is_named);
	tcase_add_test(tests, nothing_matches_when_the_time_is_over);
	return tests;
}
