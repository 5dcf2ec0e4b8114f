#include "router/source_choice.h"

#include "router_test.h"

static struct egress_pool_entry entries[] = {
    {.name = "a", .weight = 2}, {.name = "b", .weight = 1}};
static const struct egress_pool pool = {.entries = entries, .entry_count = 2};
static const bool all[] = {true, true}, first[] = {true, false};

/* `queues` queues, each of `each` messages, leased together. */
static void lease(struct source_turn *t, size_t queues, size_t each,
    size_t got[2], size_t *changes)
{
	char names[100];

	for (size_t q = 0; q < queues; q++)
		for (size_t m = 0; m < each; m++)
			source_turn_expect(t, &names[q]);
	for (size_t q = 0; q < queues; q++) {
		int before = -1;

		for (size_t m = 0; m < each; m++) {
			int now = source_turn_pick(t, &pool, all, before);

			ck_assert_int_ge(now, 0);
			*changes += before >= 0 && before != now;
			before = now;
			got[now]++;
		}
	}
	source_turn_end(t);
}

START_TEST(shares_are_exact_and_queues_stay_together)
{
	struct source_turn t = {0};
	size_t got[2] = {0}, changes = 0;

	lease(&t, 30, 9, got, &changes);
	ck_assert_uint_eq(got[0], 180);
	ck_assert_uint_eq(got[1], 90);
	/* Only where the turns of one source end within a queue. */
	ck_assert_uint_le(changes, 2);
}
END_TEST

START_TEST(shares_are_exact_over_many_small_leases)
{
	struct source_turn t = {0};
	size_t got[2] = {0}, changes = 0;

	for (int i = 0; i < 30; i++)
		lease(&t, 2, 1, got, &changes);
	ck_assert_uint_eq(got[0], 40);
	ck_assert_uint_eq(got[1], 20);
}
END_TEST

START_TEST(the_messages_of_one_queue_take_one_turn_after_the_other)
{
	static const int want[] = {0, 0, 1, 0, 0, 1};
	struct source_turn t = {0};
	int before = -1;

	for (size_t i = 0; i < COUNT(want); i++)
		source_turn_expect(&t, &t);
	for (size_t i = 0; i < COUNT(want); i++) {
		before = source_turn_pick(&t, &pool, all, before);
		ck_assert_int_eq(before, want[i]);
	}
	source_turn_end(&t);
}
END_TEST

START_TEST(a_source_that_cannot_take_it_is_passed_over)
{
	struct source_turn t = {0};
	int names[2];

	for (int i = 0; i < 6; i++)
		source_turn_expect(&t, &names[i / 3]);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(source_turn_pick(&t, &pool, first, -1), 0);
	ck_assert_int_eq(
	    source_turn_pick(&t, &pool, (const bool[]){false, false}, -1), -1);
	source_turn_end(&t);
}
END_TEST

Suite *source_choice_suite(void)
{
	Suite *suite = suite_create("router/source_choice");
	TCase *tc = tcase_create("source_choice");

	tcase_add_test(tc, shares_are_exact_and_queues_stay_together);
	tcase_add_test(tc, shares_are_exact_over_many_small_leases);
	tcase_add_test(
	    tc, the_messages_of_one_queue_take_one_turn_after_the_other);
	tcase_add_test(tc, a_source_that_cannot_take_it_is_passed_over);
	suite_add_tcase(suite, tc);
	return suite;
}
