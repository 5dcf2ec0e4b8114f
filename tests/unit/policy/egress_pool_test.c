#include "policy/egress_pool.h"

#include "policy_test.h"
#include "test_values.h"

static const struct parse_case cases[] = {
    {"a pool may be empty", "{\"name\": \"p\"}", NULL},
    {"a pool has a name", "{\"entries\": []}",
	"make_egress_pool: name: required key is missing"},
    {"entries", "{\"name\": \"p\", \"entries\": [{\"name\": \"a\"}]}", NULL},
    {"an entry has a name",
	"{\"name\": \"p\", \"entries\": [{\"name\": \"a\"}, {\"weight\": 1}]}",
	"make_egress_pool: entries: [2]: name: required key is missing"},
    {"weights are not negative",
	"{\"name\": \"p\", \"entries\": [{\"name\": \"a\", \"weight\": -1}]}",
	"entries: [1]: weight: -1 is outside 0..1000000000"},
    {"unknown keys are errors inside as well",
	"{\"name\": \"p\", \"entries\": [{\"name\": \"a\", \"wieght\": 1}]}",
	"make_egress_pool: entries: [1]: unknown key \"wieght\" (did you mean "
	"\"weight\"?)"},
    {"an entry is no text", "{\"name\": \"p\", \"entries\": [\"a\"]}",
	"entries: [1]: invalid type: string \"a\""},
};

START_TEST(parses_or_says_why_not)
{
	check_parse(&egress_pool_params, &cases[_i]);
}
END_TEST

START_TEST(reads_back_as_it_was)
{
	ck_assert_str_eq(read_back(&egress_pool_params,
			     "{\"name\": \"p\", \"entries\": [{\"name\": \"a\","
			     " \"weight\": 2}, {\"name\": \"b\"}]}",
			     "entries"),
	    "[{\"name\":\"a\",\"weight\":2},{\"name\":\"b\",\"weight\":1}]");
}
END_TEST

START_TEST(unspecified_is_one_source)
{
	const struct egress_pool *p = egress_pool_unspecified();

	ck_assert_int_eq(p->entry_count, 1);
	ck_assert_str_eq(p->entries[0].name, "unspecified");
	ck_assert_int_eq(p->entries[0].weight, 1);
}
END_TEST

/* Entries are a, b, c; '-' is nobody, and so is usable 'x'. */
static const struct {
	const char *label;
	int64_t weights[4]; /* ends with -1 */
	const char *usable; /* NULL: all */
	const char *want;
} picks[] = {
    {"case 119: two of a for one of b", {2, 1, -1}, NULL, "aabaabaab"},
    {"equals take turns", {1, 1, 1, -1}, NULL, "abcabcabc"},
    {"D9: the first pick is the first entry", {1, 2, -1}, NULL, "abbabbabb"},
    {"weights with a common divisor", {20, 10, -1}, NULL, "aabaab"},
    {"three sorts", {3, 2, 1, -1}, NULL, "aababcaababc"},
    {"case 120: weight 0 is never used", {0, 1, 0, -1}, NULL, "bbbb"},
    {"case 120: also beside others", {1, 0, 1, -1}, NULL, "acacac"},
    {"case 120: nobody is left", {0, 0, -1}, NULL, "--"},
    {"an empty pool has nobody", {-1}, NULL, "--"},
    {"one is taken", {5, -1}, NULL, "aaa"},
    {"who is not usable is passed over", {2, 1, 1, -1}, "xbc", "bcbcbc"},
    {"one of two is left", {2, 1, -1}, "xb", "bbb"},
    {"none of two is left", {2, 1, -1}, "xx", "--"},
};

static struct egress_pool pool_of(const int64_t *weights)
{
	struct egress_pool pool = {0};

	pool.entries = ARENA_ARRAY(arena, struct egress_pool_entry, 4);
	for (; weights[pool.entry_count] >= 0; pool.entry_count++)
		pool.entries[pool.entry_count].weight =
		    weights[pool.entry_count];
	return pool;
}

START_TEST(picks_by_weight)
{
	struct egress_pool pool = pool_of(picks[_i].weights);
	struct egress_pool_turn turn = {0};
	bool usable[4];

	for (size_t i = 0; picks[_i].usable && i < pool.entry_count; i++)
		usable[i] = picks[_i].usable[i] != 'x';
	for (const char *want = picks[_i].want; *want; want++) {
		int got = egress_pool_pick(
		    &pool, &turn, picks[_i].usable ? usable : NULL);

		ck_assert_msg(got == (*want == '-' ? -1 : *want - 'a'),
		    "%s: pick %d is %d", picks[_i].label,
		    (int)(want - picks[_i].want) + 1, got);
	}
}
END_TEST

START_TEST(shares_are_exact_over_300_messages)
{
	struct egress_pool pool = pool_of((int64_t[]){2, 1, -1});
	struct egress_pool_turn turn = {0};
	int count[2] = {0};

	for (int i = 0; i < 300; i++)
		count[egress_pool_pick(&pool, &turn, NULL)]++;
	ck_assert_int_eq(count[0], 200); /* case 119 */
	ck_assert_int_eq(count[1], 100);
}
END_TEST

START_TEST(a_turn_survives_a_smaller_pool)
{
	struct egress_pool large = pool_of((int64_t[]){7, 7, 7, -1});
	struct egress_pool small = pool_of((int64_t[]){2, 1, -1});
	struct egress_pool_turn turn = {0};

	for (int i = 0; i < 2; i++)
		(void)egress_pool_pick(&large, &turn, NULL);
	for (int i = 0; i < 10; i++)
		ck_assert_int_ge(egress_pool_pick(&small, &turn, NULL), 0);
}
END_TEST

START_TEST(losing_the_heaviest_does_not_stall)
{
	struct egress_pool pool = pool_of((int64_t[]){1000000000, 3, 2, -1});
	struct egress_pool_turn turn = {0};
	bool usable[] = {false, true, true};
	int count[3] = {0};

	ck_assert_int_eq(egress_pool_pick(&pool, &turn, NULL), 0);
	for (int i = 0; i < 50; i++)
		count[egress_pool_pick(&pool, &turn, usable)]++;
	ck_assert_int_eq(count[1], 30);
	ck_assert_int_eq(count[2], 20);
}
END_TEST

Suite *egress_pool_suite(void)
{
	Suite *suite = suite_create("egress_pool");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, parses_or_says_why_not, 0, COUNT(cases));
	tcase_add_test(t, reads_back_as_it_was);
	tcase_add_test(t, unspecified_is_one_source);
	tcase_add_loop_test(t, picks_by_weight, 0, COUNT(picks));
	tcase_add_test(t, shares_are_exact_over_300_messages);
	tcase_add_test(t, a_turn_survives_a_smaller_pool);
	tcase_add_test(t, losing_the_heaviest_does_not_stall);
	suite_add_tcase(suite, t);
	return suite;
}
