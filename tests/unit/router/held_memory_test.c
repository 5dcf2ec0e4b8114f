#include "router/held_memory.h"

#include "router_test.h"

START_TEST(a_forgotten_queue_is_not_looked_at_before_it_can_go_on)
{
	struct held_memory *m = held_memory_new();
	char *why;

	held_memory_put(m, 7, "a rate", 1010, 1000);
	ck_assert(held_memory_waits(m, 7, 1009));
	ck_assert(!held_memory_waits(m, 7, 1010));
	ck_assert(!held_memory_waits(m, 8, 1000));
	/* Known again it is as any other, and why it waits is no news. */
	why = held_memory_take(m, 7);
	ck_assert_str_eq(why, "a rate");
	free(why);
	ck_assert(!held_memory_waits(m, 7, 1000));
	ck_assert_ptr_null(held_memory_take(m, 7));
	held_memory_free(m);
}
END_TEST

START_TEST(what_is_said_of_a_forgotten_queue_is_believed_for_a_minute)
{
	struct held_memory *m = held_memory_new();

	held_memory_put(m, 7, "a rate", INT64_MAX, 1000);
	ck_assert(held_memory_waits(m, 7, 1000 + HELD_BELIEVED_S - 1));
	ck_assert(!held_memory_waits(m, 7, 1000 + HELD_BELIEVED_S));
	/* Also when the clock is set back. */
	ck_assert(!held_memory_waits(m, 7, 10));
	held_memory_free(m);
}
END_TEST

START_TEST(forgotten_queues_take_up_a_bounded_memory_for_a_bounded_time)
{
	struct held_memory *m = held_memory_new();
	char *why;

	for (int64_t id = 1; id <= 100001; id++)
		held_memory_put(m, id, "a rate", 1060, 1000);
	ck_assert(held_memory_waits(m, 100000, 1001));
	ck_assert(!held_memory_waits(m, 100001, 1001));
	held_memory_put(m, 200000, "a rate", 1700, 1600);
	ck_assert(held_memory_waits(m, 200000, 1601));
	why = held_memory_take(m, 100000);
	ck_assert_ptr_null(why);
	held_memory_free(m);
}
END_TEST

Suite *held_memory_suite(void)
{
	Suite *suite = suite_create("held_memory");
	TCase *tc = tcase_create("held_memory");

	tcase_add_test(
	    tc, a_forgotten_queue_is_not_looked_at_before_it_can_go_on);
	tcase_add_test(
	    tc, what_is_said_of_a_forgotten_queue_is_believed_for_a_minute);
	tcase_add_test(
	    tc, forgotten_queues_take_up_a_bounded_memory_for_a_bounded_time);
	suite_add_tcase(suite, tc);
	return suite;
}
