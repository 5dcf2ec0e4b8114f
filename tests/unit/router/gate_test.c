#include "router/gate.h"

#include "base/clock.h"
#include "router_test.h"

#define HOUR_MS 3600000

static struct loop *loop;
static struct gates *gates;

/* One who waits; `order` is when he was called. */
struct probe {
	struct gate_waiter waiter;
	int order;
};

static int called;

static void opened(struct gate_waiter *waiter)
{
	CONTAINER_OF(waiter, struct probe, waiter)->order = ++called;
}

static void setup(void)
{
	loop = loop_new();
	gates = gates_new(loop);
	called = 0;
}

static void teardown(void)
{
	gates_free(gates);
	loop_free(loop);
}

/* In place: a place in a line points to itself. */
static void init(struct probe *p)
{
	p->order = 0;
	gate_waiter_init(&p->waiter, opened);
}

/* Slow enough that the time a test takes is nothing. */
static struct gate *rate_of(const char *name, int64_t limit)
{
	struct rate rate = {.limit = limit, .period_ms = HOUR_MS};

	return gate_for_rate(gates, "rate", name, &rate);
}

static struct gate *used_up(const char *name, int64_t limit)
{
	struct gate *gate = rate_of(name, limit);

	gate_take(gate, gate_room(gate, 0));
	ck_assert_uint_eq(gate_room(gate, 0), 0);
	return gate;
}

static void pass(int64_t ms)
{
	clock_shift(ms);
	gates_tick(gates);
}

START_TEST(the_line_is_served_in_order)
{
	struct gate *gate = used_up("x", 4);
	struct probe p[3];

	for (int i = 0; i < 3; i++) {
		init(&p[i]);
		gate_wait(gate, &p[i].waiter);
		ck_assert_uint_eq(gate_before(gate, &p[i].waiter), (size_t)i);
	}
	ck_assert_uint_eq(gate_line(gate), 3);
	pass(HOUR_MS / 4 + 10000);
	ck_assert_int_eq(p[0].order, 1);
	ck_assert_int_eq(called, 1);
	gate_take(gate, 1);
	pass(HOUR_MS / 2);
	ck_assert_int_eq(p[1].order, 2);
	ck_assert_int_eq(p[2].order, 3);
	ck_assert_uint_eq(gate_line(gate), 0);
	gate_unref(gate);
}
END_TEST

START_TEST(who_was_called_and_found_it_closed_is_the_next_again)
{
	struct gate *gate = used_up("x", 4);
	struct probe a, b;

	init(&a);
	init(&b);
	gate_wait(gate, &a.waiter);
	gate_wait(gate, &b.waiter);
	pass(HOUR_MS / 4 + 10000);
	ck_assert_int_eq(a.order, 1);
	gate_take(gate, 1); /* another one was faster */
	gate_wait(gate, &a.waiter);
	ck_assert_uint_eq(gate_before(gate, &a.waiter), 0);
	ck_assert_uint_eq(gate_before(gate, &b.waiter), 1);
	gate_leave_line(&a.waiter);
	ck_assert_uint_eq(gate_before(gate, &b.waiter), 0);
	gate_leave_line(&b.waiter);
	gate_unref(gate);
}
END_TEST

START_TEST(one_who_does_not_come_does_not_hold_up_the_others)
{
	struct gate *gate = used_up("x", 4);
	struct probe a, b;

	init(&a);
	init(&b);
	gate_wait(gate, &a.waiter);
	gate_wait(gate, &b.waiter);
	pass(HOUR_MS / 4 + 10000);
	ck_assert_int_eq(called, 1);
	pass(1000);
	ck_assert_int_eq(b.order, 2);
	gate_unref(gate);
}
END_TEST

START_TEST(all_gates_are_looked_at_by_the_same_tick)
{
	struct gate *slow = used_up("slow", 1), *fast = used_up("fast", 4);
	struct probe a, b;

	init(&a);
	init(&b);
	gate_wait(slow, &a.waiter);
	gate_wait(fast, &b.waiter);
	pass(HOUR_MS / 4 + 10000);
	ck_assert_int_eq(b.order, 1);
	ck_assert_int_eq(a.order, 0);
	pass(HOUR_MS);
	ck_assert_int_eq(a.order, 2);
	gate_unref(slow);
	gate_unref(fast);
}
END_TEST

static void opened_last(struct gate_waiter *waiter)
{
	opened(waiter);
	loop_exit(loop);
}

START_TEST(one_timer_calls_the_lines_of_all_gates)
{
	struct rate a_rate = {.limit = 20, .period_ms = 1000};
	struct rate b_rate = {.limit = 1, .period_ms = 1500};
	struct gate *a = gate_for_rate(gates, "rate", "a", &a_rate);
	struct gate *b = gate_for_rate(gates, "rate", "b", &b_rate);
	struct probe first, second;

	init(&first);
	init(&second);
	gate_take(a, gate_room(a, 0));
	gate_take(b, gate_room(b, 0));
	gate_waiter_init(&second.waiter, opened_last);
	/* The timer, set for the later one, is brought forward. */
	gate_wait(b, &second.waiter);
	gate_wait(a, &first.waiter);
	loop_run(loop);
	ck_assert_int_eq(first.order, 1);
	ck_assert_int_eq(second.order, 2);
	gate_unref(a);
	gate_unref(b);
}
END_TEST

START_TEST(what_is_given_back_may_be_taken_again)
{
	struct gate *gate = used_up("x", 4);

	gate_give_back(gate, 3);
	ck_assert_uint_eq(gate_room(gate, 0), 3);
	gate_take(gate, 3);
	ck_assert_int_gt(gate_wait_ms(gate, 1), HOUR_MS / 4 - 60000);
	gate_unref(gate);
}
END_TEST

START_TEST(the_turn_counts_those_before)
{
	struct gate *gate = used_up("x", 4);
	struct probe a, b;
	int64_t first;

	init(&a);
	init(&b);
	gate_wait(gate, &a.waiter);
	gate_wait(gate, &b.waiter);
	first = gate_turn_ms(gate, &a.waiter);
	ck_assert_int_gt(first, HOUR_MS / 4 - 60000);
	ck_assert_int_le(first, HOUR_MS / 4);
	ck_assert_int_gt(gate_turn_ms(gate, &b.waiter), HOUR_MS / 2 - 60000);
	gate_leave_line(&a.waiter);
	gate_leave_line(&b.waiter);
	gate_unref(gate);
}
END_TEST

START_TEST(another_rate_is_a_fresh_bucket_and_the_old_one_is_remembered)
{
	struct gate *old = used_up("x", 4), *other = rate_of("x", 5);

	ck_assert_ptr_ne(old, other);
	ck_assert_uint_eq(gate_room(other, 0), 5);
	gate_unref(old);
	gate_unref(other);
	/* Back to the first within the hour: no second burst. */
	old = rate_of("x", 4);
	ck_assert_uint_eq(gate_room(old, 0), 0);
	gate_unref(old);
}
END_TEST

START_TEST(an_unused_bucket_goes_when_it_says_no_more_than_a_new_one)
{
	struct gate *gate = used_up("x", 4);

	gate_unref(gate);
	pass(HOUR_MS / 2);
	gate = rate_of("x", 4);
	ck_assert_uint_eq(gate_room(gate, 0), 2);
	gate_unref(gate);
	pass(HOUR_MS);
	gate = rate_of("x", 4);
	ck_assert_uint_eq(gate_room(gate, 0), 4);
	gate_unref(gate);
}
END_TEST

START_TEST(who_leaves_a_connection_calls_one_whose_limit_allows_it)
{
	struct gate *gate = gate_for_limit(gates, "limit", "x");
	struct probe low, high, next;

	init(&low);
	init(&high);
	init(&next);
	gate_enter(gate);
	gate_enter(gate);
	gate_enter(gate);
	low.waiter.limit = 1;
	high.waiter.limit = next.waiter.limit = 3;
	gate_wait(gate, &low.waiter);
	gate_wait(gate, &high.waiter);
	gate_wait(gate, &next.waiter);
	gate_leave(gate);
	ck_assert_int_eq(high.order, 1);
	ck_assert_int_eq(called, 1);
	gate_leave(gate);
	ck_assert_int_eq(next.order, 2);
	gate_leave(gate);
	/* What the two were offered is theirs, for a moment. */
	ck_assert_int_eq(low.order, 0);
	pass(1000);
	ck_assert_int_eq(low.order, 3);
	ck_assert_int_eq(gate_used(gate), 0);
	gate_unref(gate);
}
END_TEST

/* A line behind one whose own limit is reached: two are in, five may be. */
static void mixed_line(struct gate *gate, struct probe *low, struct probe p[5])
{
	gate_enter(gate);
	gate_enter(gate);
	init(low);
	low->waiter.limit = 1;
	gate_wait(gate, &low->waiter);
	for (int i = 0; i < 5; i++) {
		init(&p[i]);
		p[i].waiter.limit = 5;
		gate_wait(gate, &p[i].waiter);
	}
}

START_TEST(all_that_may_enter_are_called_at_once_and_in_order)
{
	struct gate *gate = gate_for_limit(gates, "limit", "x");
	struct probe low, p[5];

	mixed_line(gate, &low, p);
	gates_tick(gates);
	ck_assert_int_eq(called, 3);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(p[i].order, i + 1);
		gate_enter(gate);
	}
	ck_assert_uint_eq(gate_line(gate), 3);
	ck_assert_uint_le(gate_before(gate, &p[4].waiter), 2);
	/* Full: one leaves, one is called. */
	gate_leave(gate);
	ck_assert_int_eq(p[3].order, 4);
	ck_assert_int_eq(called, 4);
	/* His place is his, also when nobody looks at the clock. */
	gates_tick(gates);
	ck_assert_int_eq(called, 4);
	gate_leave(gate);
	ck_assert_int_eq(p[4].order, 5);
	for (int i = 0; i < 3; i++)
		gate_leave(gate);
	ck_assert_int_eq(low.order, 0);
	/* Those that were called do not come: their places are free again. */
	pass(1000);
	ck_assert_int_eq(gate_used(gate), 0);
	ck_assert_int_eq(low.order, 6);
	gate_unref(gate);
}
END_TEST

START_TEST(those_who_were_called_in_vain_keep_their_order)
{
	struct gate *gate = gate_for_limit(gates, "limit", "x");
	struct probe low, p[5];

	mixed_line(gate, &low, p);
	gates_tick(gates);
	ck_assert_int_eq(called, 3);
	for (int i = 0; i < 3; i++)
		gate_enter(gate); /* others were faster */
	gate_wait(gate, &p[1].waiter);
	gate_wait(gate, &p[0].waiter);
	gate_wait(gate, &p[2].waiter);
	gate_leave(gate);
	ck_assert_int_eq(p[0].order, 4);
	gate_leave(gate);
	ck_assert_int_eq(p[1].order, 5);
	gate_leave(gate);
	ck_assert_int_eq(p[2].order, 6);
	ck_assert_int_eq(p[3].order, 0);
	for (int i = 3; i < 5; i++)
		gate_leave_line(&p[i].waiter);
	gate_leave_line(&low.waiter);
	gate_leave(gate);
	gate_leave(gate);
	gate_unref(gate);
}
END_TEST

Suite *gate_suite(void)
{
	Suite *s = suite_create("gate");
	TCase *tc = tcase_create("gate");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_line_is_served_in_order);
	tcase_add_test(
	    tc, who_was_called_and_found_it_closed_is_the_next_again);
	tcase_add_test(tc, one_who_does_not_come_does_not_hold_up_the_others);
	tcase_add_test(tc, all_gates_are_looked_at_by_the_same_tick);
	tcase_add_test(tc, one_timer_calls_the_lines_of_all_gates);
	tcase_add_test(tc, what_is_given_back_may_be_taken_again);
	tcase_add_test(tc, the_turn_counts_those_before);
	tcase_add_test(
	    tc, another_rate_is_a_fresh_bucket_and_the_old_one_is_remembered);
	tcase_add_test(
	    tc, an_unused_bucket_goes_when_it_says_no_more_than_a_new_one);
	tcase_add_test(
	    tc, who_leaves_a_connection_calls_one_whose_limit_allows_it);
	tcase_add_test(tc, all_that_may_enter_are_called_at_once_and_in_order);
	tcase_add_test(tc, those_who_were_called_in_vain_keep_their_order);
	suite_add_tcase(s, tc);
	return s;
}
