/* inbox_test.c - base/inbox.h, base/worker.h */
#include "tests/unit/base/base_test.h"

#include <poll.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/inbox.h"
#include "base/worker.h"
#include "base/xalloc.h"

struct thing {
	struct inbox_item item;
	int n;
};

static void put(struct inbox *inbox, int n)
{
	struct thing *thing = xmalloc(sizeof *thing);

	thing->n = n;
	inbox_put(inbox, &thing->item);
}

static int number(struct inbox_item *item)
{
	struct thing *thing = CONTAINER_OF(item, struct thing, item);
	int n = thing->n;

	free(thing);
	return n;
}

static bool readable(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

START_TEST(first_in_is_first_out)
{
	struct inbox *inbox = inbox_new();
	struct inbox_item *item;

	ck_assert_ptr_null(inbox_take(inbox, 0));
	for (int i = 0; i < 4; i++)
		put(inbox, i);
	ck_assert_uint_eq(inbox_count(inbox), 4);
	ck_assert_int_eq(number(inbox_take(inbox, 0)), 0);
	item = inbox_take_all(inbox);
	for (int i = 1; i < 4; i++) {
		struct inbox_item *next = item->next;

		ck_assert_int_eq(number(item), i);
		item = next;
	}
	ck_assert_ptr_null(item);
	ck_assert_ptr_null(inbox_take_all(inbox));
	put(inbox, 9);
	ck_assert_int_eq(number(inbox_take(inbox, INT64_MAX)), 9);
	inbox_free(inbox);
}
END_TEST

START_TEST(a_chain_keeps_its_order_behind_what_was_there)
{
	struct inbox *inbox = inbox_new();
	struct inbox *other = inbox_new();

	inbox_put_all(inbox, NULL);
	ck_assert_ptr_null(inbox_take(inbox, 0));
	for (int i = 1; i < 4; i++)
		put(other, i);
	put(inbox, 0);
	inbox_put_all(inbox, inbox_take_all(other));
	put(inbox, 4);
	ck_assert_uint_eq(inbox_count(inbox), 5);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(number(inbox_take(inbox, 0)), i);
	inbox_free(inbox);
	inbox_free(other);
}
END_TEST

START_TEST(the_descriptor_says_whether_something_is_there)
{
	struct inbox *inbox = inbox_new();
	int fd;

	put(inbox, 1); /* before anybody asked for the descriptor */
	fd = inbox_fd(inbox);
	ck_assert(readable(fd));
	put(inbox, 2);
	ck_assert_int_eq(number(inbox_take(inbox, 0)), 1);
	ck_assert(readable(fd));
	ck_assert_int_eq(number(inbox_take_all(inbox)), 2);
	ck_assert(!readable(fd));
	put(inbox, 3);
	ck_assert(readable(fd));
	ck_assert_int_eq(number(inbox_take(inbox, 0)), 3);
	ck_assert(!readable(fd));
	inbox_close(inbox);
	ck_assert(readable(fd));
	inbox_free(inbox);
}
END_TEST

START_TEST(a_wait_has_an_end)
{
	struct inbox *inbox = inbox_new();
	int64_t before = clock_now_ms();

	ck_assert_ptr_null(inbox_take(inbox, before + 20));
	ck_assert_int_ge(clock_now_ms(), before + 19);
	ck_assert_ptr_null(inbox_take(inbox, before - 1000));
	inbox_close(inbox);
	ck_assert_ptr_null(inbox_take(inbox, INT64_MAX));
	inbox_free(inbox);
}
END_TEST

START_TEST(what_is_inside_a_closed_one_can_be_taken)
{
	struct inbox *inbox = inbox_new();

	put(inbox, 1);
	ck_assert(!inbox_closed(inbox));
	inbox_close(inbox);
	ck_assert(inbox_closed(inbox));
	put(inbox, 2);
	ck_assert(inbox_wait(inbox)); /* which takes nothing */
	ck_assert_int_eq(number(inbox_take(inbox, INT64_MAX)), 1);
	ck_assert_int_eq(number(inbox_take(inbox, INT64_MAX)), 2);
	ck_assert_ptr_null(inbox_take(inbox, INT64_MAX));
	ck_assert(!inbox_wait(inbox));
	inbox_free(inbox);
	inbox_free(NULL);
}
END_TEST

static void add_up(struct inbox_item *item, void *ctx)
{
	atomic_fetch_add((atomic_int *)ctx, number(item));
}

struct producer {
	struct worker_pool *pool;
	int from;
};

static void *produce(void *ctx)
{
	struct producer *p = ctx;

	for (int i = 0; i < 1000; i++) {
		struct thing *thing = xmalloc(sizeof *thing);

		thing->n = p->from + i;
		worker_pool_put(p->pool, &thing->item);
	}
	return NULL;
}

START_TEST(workers_serve_everything_before_they_end)
{
	atomic_int sum = 0;
	struct worker_pool *pool = worker_pool_new("adder", 3, add_up, &sum);
	struct producer producers[4];
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		producers[i] = (struct producer){pool, i * 1000};
		threads[i] = worker_thread_start(
		    "a name that is too long", produce, &producers[i]);
	}
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	worker_pool_free(pool);
	ck_assert_int_eq(atomic_load(&sum), 3999 * 4000 / 2);
}
END_TEST

struct echo {
	struct inbox *back;
};

static void echo_back(struct inbox_item *item, void *ctx)
{
	inbox_put(((struct echo *)ctx)->back, item);
}

/* As the router's loop does it: sleep in poll(2), take all. */
START_TEST(a_loop_hears_back_from_its_workers)
{
	struct inbox *inbox = inbox_new();
	struct echo echo = {inbox};
	struct worker_pool *pool = worker_pool_new("echo", 2, echo_back, &echo);
	struct pollfd pfd = {.fd = inbox_fd(inbox), .events = POLLIN};
	int seen = 0, sum = 0;

	for (int i = 0; i < 2000; i++) {
		struct thing *thing = xmalloc(sizeof *thing);

		thing->n = i;
		worker_pool_put(pool, &thing->item);
	}
	while (seen < 2000) {
		struct inbox_item *item, *next;

		ck_assert_int_eq(poll(&pfd, 1, 30000), 1);
		for (item = inbox_take_all(inbox); item; item = next) {
			next = item->next;
			sum += number(item);
			seen++;
		}
	}
	ck_assert_int_eq(sum, 1999 * 2000 / 2);
	worker_pool_free(pool);
	inbox_free(inbox);
}
END_TEST

TCase *inbox_tests(void)
{
	TCase *tc = tcase_create("inbox");

	tcase_add_test(tc, first_in_is_first_out);
	tcase_add_test(tc, a_chain_keeps_its_order_behind_what_was_there);
	tcase_add_test(tc, the_descriptor_says_whether_something_is_there);
	tcase_add_test(tc, a_wait_has_an_end);
	tcase_add_test(tc, what_is_inside_a_closed_one_can_be_taken);
	tcase_add_test(tc, workers_serve_everything_before_they_end);
	tcase_add_test(tc, a_loop_hears_back_from_its_workers);
	return tc;
}
