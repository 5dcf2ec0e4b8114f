/*
 * pool_test.c - many callers, slow handlers, submitted calls, reloads
 */
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/inbox.h"
#include "base/str.h"
#include "lua_test.h"

#define CALLERS 50
#define CALLS 20

static struct script_policy *policy;
static atomic_int mixed_up;

/* Each caller has its own x_id, and must only ever see that. */
static void *tag(void *ctx)
{
	char id[16];

	snprintf(id, sizeof id, "c%d", (int)(intptr_t)ctx);
	for (int i = 0; i < CALLS; i++) {
		struct script_call *call = script_call_new(policy, "tag");
		struct meta *meta = meta_new(), *back;

		meta_set_string(meta, "x_id", id);
		script_arg_conn_meta(call, meta);
		(void)script_call_run(call, clock_now_ms() + LONG_MS);
		back = script_call_take_meta(call);
		if (script_call_outcome(call) != SCRIPT_VALUE ||
		    !str_eq(script_call_result(call)->s, id) ||
		    !str_eq(meta_get_string(back, "x_id"), id) ||
		    !str_eq(meta_get_string(back, "x_seen"), id))
			atomic_fetch_add(&mixed_up, 1);
		meta_free(back);
		meta_free(meta);
		script_call_free(call);
	}
	return NULL;
}

START_TEST(fifty_callers_do_not_mix)
{
	pthread_t threads[CALLERS];

	policy = load_policy(
	    "kumo.on('init', function() "
	    "  kumo.set_max_lua_context_use_count(50) end) "
	    "kumo.on('tag', function(meta) counter = (counter or 0) + 1 "
	    "  client = meta:get_meta 'x_id' "
	    "  meta:set_meta('x_seen', client) "
	    "  return meta:get_meta 'x_seen' end)");
	for (intptr_t i = 0; i < CALLERS; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, tag, (void *)i), 0);
	for (int i = 0; i < CALLERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(atomic_load(&mixed_up), 0);
	end_policy(policy);
}
END_TEST

static void *sleep_a_second(void *ctx)
{
	struct script_call *call = run_event(ctx, "sleep", NULL);

	script_call_free(call);
	return NULL;
}

START_TEST(sleeping_handlers_do_not_hold_up_others)
{
	struct script_options options = {.threads = 2};
	struct err err = {0};
	struct script_policy *p =
	    load_with("kumo.on('sleep', function() kumo.sleep(3) end) "
		      "kumo.on('quick', function() return 1 end)",
		options, &err);
	pthread_t threads[8];
	struct script_call *call;
	int64_t begin;

	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, sleep_a_second, p), 0);
	begin = clock_now_ms();
	for (int i = 0; i < 5; i++) {
		call = run_event(p, "quick", NULL);
		ck_assert_int_eq(script_call_outcome(call), SCRIPT_VALUE);
		script_call_free(call);
	}
	ck_assert_msg(clock_now_ms() - begin < 2500, "%lld ms",
	    (long long)(clock_now_ms() - begin));
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	end_policy(p);
}
END_TEST

/* ---- submitted calls ---- */

struct pending {
	struct inbox_item item;
	struct script_call *call;
};

static struct inbox *inbox;

static void put(struct script_call *call, void *ctx)
{
	struct pending *pending = ctx;

	ck_assert_ptr_eq(pending->call, call);
	inbox_put(inbox, &pending->item);
}

START_TEST(submitted_calls_report_exactly_once)
{
	static const struct {
		const char *event;
		int deadline_ms;
		enum script_outcome want;
	} cases[] = {
	    {"ok", LONG_MS, SCRIPT_VALUE},
	    {"reject", LONG_MS, SCRIPT_REJECTED},
	    {"none", LONG_MS, SCRIPT_NO_HANDLER},
	    {"loop", 200, SCRIPT_EXPIRED},
	    {"sort", 200, SCRIPT_EXPIRED},
	    {"sleep", 200, SCRIPT_EXPIRED},
	};
	struct script_options options = {
	    .memory_limit = (int64_t)4 << 30, .threads = 2};
	struct err err = {0};
	struct script_policy *p =
	    load_with("local big = ('x'):rep(8000000) "
		      "kumo.on('ok', function() return 1 end) "
		      "kumo.on('reject', function() kumo.reject(451, 'x') end) "
		      "kumo.on('loop', function() while true do end end) "
		      "kumo.on('sort', function() local t = {} "
		      "  for i = 1, 200 do t[i] = big end table.sort(t) end) "
		      "kumo.on('sleep', function() kumo.sleep(1000) end)",
		options, &err);
	struct pending pending[8 * COUNT(cases)];
	size_t count = COUNT(pending);
	bool seen[8 * COUNT(cases)] = {false};

	inbox = inbox_new();
	for (size_t i = 0; i < count; i++) {
		size_t c = i % COUNT(cases);

		/* Not more of the stuck ones than may be abandoned. */
		if (i >= 2 * COUNT(cases) && str_eq(cases[c].event, "sort"))
			c = 0;
		pending[i].call = script_call_new(p, cases[c].event);
		script_call_submit(pending[i].call,
		    clock_now_ms() + cases[c].deadline_ms, put, &pending[i]);
	}
	script_policy_unref(p);
	for (size_t n = 0; n < count; n++) {
		struct inbox_item *item =
		    inbox_take(inbox, clock_now_ms() + LONG_MS);
		struct pending *got;
		size_t i, c;

		ck_assert_ptr_nonnull(item);
		got = CONTAINER_OF(item, struct pending, item);
		i = (size_t)(got - pending);
		c = i % COUNT(cases);
		if (i >= 2 * COUNT(cases) && str_eq(cases[c].event, "sort"))
			c = 0;
		ck_assert(!seen[i]);
		seen[i] = true;
#ifndef ENABLE_SANITIZER
		ck_assert_msg(script_call_outcome(got->call) == cases[c].want,
		    "%s: %d, %s", cases[c].event,
		    script_call_outcome(got->call),
		    script_call_error(got->call));
#endif
		script_call_free(got->call);
	}
	ck_assert_ptr_null(inbox_take(inbox, 0));
	inbox_free(inbox);
	while (script_abandoned() > 0) {
		struct timespec ts = {0, 1000000};

		(void)nanosleep(&ts, NULL);
	}
	ck_assert(script_shutdown(LONG_MS));
}
END_TEST

START_TEST(a_call_keeps_its_generation)
{
	struct script_policy *p =
	    load_policy("kumo.on('x', function() return 'old' end)");
	struct script_call *call = script_call_new(p, "x");

	script_policy_unref(p);
	ck_assert_int_eq(
	    script_call_run(call, clock_now_ms() + LONG_MS), SCRIPT_VALUE);
	ck_assert_str_eq(script_call_result(call)->s, "old");
	script_call_free(call);
	ck_assert(script_shutdown(LONG_MS));
}
END_TEST

START_TEST(handing_over_is_cheap)
{
	struct script_policy *p = load_policy("kumo.on('x', function() end)");
	int64_t begin, took;

	script_call_free(run_event(p, "x", NULL));
	begin = clock_now_ms();
	for (int i = 0; i < 5000; i++) {
		struct script_call *call = script_call_new(p, "x");

		(void)script_call_run(call, begin + LONG_MS);
		script_call_free(call);
	}
	took = clock_now_ms() - begin;
	if (getenv("SHOW_TIMES"))
		printf("an event takes %.1f us\n", (double)took / 5);
	/* 15 us are usual; a busy machine may need more. */
	ck_assert_int_lt(took, 5000);
	end_policy(p);
}
END_TEST

Suite *pool_suite(void)
{
	Suite *suite = suite_create("pool");
	TCase *tcase = tcase_create("pool");

	tcase_add_test(tcase, fifty_callers_do_not_mix);
	tcase_add_test(tcase, sleeping_handlers_do_not_hold_up_others);
	tcase_add_test(tcase, submitted_calls_report_exactly_once);
	tcase_add_test(tcase, a_call_keeps_its_generation);
	tcase_add_test(tcase, handing_over_is_cheap);
	suite_add_tcase(suite, tcase);
	return suite;
}
