#include "router/loop.h"

#include <pthread.h>

#include "router_test.h"

struct probe {
	struct loop *loop;
	struct loop_item item;
	struct loop_deferred deferred;
	struct loop_timer *timer;
	int posted, deferrals, fired;
	pthread_t thread;
	bool same_thread;
};

static void *post(void *ctx)
{
	struct probe *p = ctx;

	loop_post(p->loop, &p->item);
	return NULL;
}

static void run_posted(struct loop_item *item)
{
	struct probe *p = CONTAINER_OF(item, struct probe, item);

	p->posted++;
	p->same_thread = pthread_equal(p->thread, pthread_self());
	loop_defer(p->loop, &p->deferred);
	loop_defer(p->loop, &p->deferred);
	ck_assert_int_eq(p->deferrals, 0);
}

static void run_deferred(struct loop_deferred *d)
{
	struct probe *p = CONTAINER_OF(d, struct probe, deferred);

	p->deferrals++;
	loop_timer_set(p->timer, 1);
}

static void on_timer(void *ctx)
{
	struct probe *p = ctx;

	p->fired++;
	loop_exit(p->loop);
}

START_TEST(what_others_post_runs_here_and_what_is_deferred_runs_once)
{
	struct probe p = {.loop = loop_new(), .thread = pthread_self()};
	pthread_t other;

	p.item.run = run_posted;
	loop_deferred_init(&p.deferred, run_deferred);
	p.timer = loop_timer_new(p.loop, on_timer, &p);
	ck_assert_int_eq(pthread_create(&other, NULL, post, &p), 0);
	loop_run(p.loop);
	(void)pthread_join(other, NULL);
	ck_assert_int_eq(p.posted, 1);
	ck_assert_int_eq(p.deferrals, 1);
	ck_assert_int_eq(p.fired, 1);
	ck_assert(p.same_thread);
	loop_timer_free(p.timer);
	loop_free(p.loop);
}
END_TEST

Suite *loop_suite(void)
{
	Suite *suite = suite_create("loop");
	TCase *tc = tcase_create("loop");

	tcase_add_test(
	    tc, what_others_post_runs_here_and_what_is_deferred_runs_once);
	suite_add_tcase(suite, tc);
	return suite;
}
