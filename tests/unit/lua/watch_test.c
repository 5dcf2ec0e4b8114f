/*
 * watch_test.c - the files of a policy, and noticing that they change
 */
#include <pthread.h>

#include "base/clock.h"
#include "lua_test.h"

static const struct eval_case cases[] = {
    {"the directory of the policy",
	"local t = kumo.eval_config_monitor_globs() "
	"return #t == 1 and t[1]:match '/policy.lua$' ~= nil",
	"true"},
    {"patterns of one's own", "return kumo.eval_config_monitor_globs()",
	"[\"/etc/group\",\"/etc/passwd\"]",
	"kumo.on('init', function() kumo.set_config_monitor_globs{"
	"'/etc/{passwd,group}', '/etc/passw?', '/nonexistent/**/*'} end)"},
    {"none of them", "return #kumo.eval_config_monitor_globs()", "0",
	"kumo.on('init', function() kumo.set_config_monitor_globs{} end)"},
    {"any number of directories",
	"local t = kumo.eval_config_monitor_globs() "
	"return t[1]:match '/policy.lua$' ~= nil",
	"true",
	"kumo.on('pre_init', function() kumo.set_config_monitor_globs{"
	"(package.path:match('([^;]*/penstock%-lua%-[^/]*)/')) .. '/**/*.lua'} "
	"end)"},
    {"too late", "kumo.set_config_monitor_globs{}",
	"belongs into the event init"},
    {"a bump that nobody hears", "kumo.bump_config_epoch() return 1", "1"},
};

START_TEST(patterns_name_the_files)
{
	check_eval(&cases[_i]);
}
END_TEST

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked = PTHREAD_COND_INITIALIZER;
static unsigned reloads;

static void count_reload(void *ctx)
{
	pthread_mutex_lock(&lock);
	(void)__atomic_add_fetch(&reloads, 1, __ATOMIC_RELAXED);
	pthread_cond_signal(&asked);
	pthread_mutex_unlock(&lock);
}

/* Check's time limit ends a wait that is in vain. */
static void wait_for_reload(unsigned n)
{
	pthread_mutex_lock(&lock);
	while (reloads < n)
		pthread_cond_wait(&asked, &lock);
	pthread_mutex_unlock(&lock);
}

START_TEST(a_change_asks_for_a_reload)
{
	struct script_policy *p =
	    load_policy("kumo.on('bump', kumo.bump_config_epoch)");

	script_watch_start(count_reload, NULL, 20);
	script_call_free(run_event(p, "bump", NULL));
	wait_for_reload(1);
	/* The first mark may be set before or after: so more than one edit. */
	for (int i = 0; __atomic_load_n(&reloads, __ATOMIC_RELAXED) < 2; i++) {
		char text[32];
		struct timespec pause = {0, 30000000};

		snprintf(text, sizeof text, "{\"n\": %d}", i);
		(void)write_file("data.json", text);
		(void)nanosleep(&pause, NULL);
	}
	script_watch_stop();
	end_policy(p);
}
END_TEST

Suite *watch_suite(void)
{
	Suite *suite = suite_create("watch");
	TCase *tcase = tcase_create("watch");

	tcase_add_loop_test(tcase, patterns_name_the_files, 0, COUNT(cases));
	tcase_add_test(tcase, a_change_asks_for_a_reload);
	suite_add_tcase(suite, tcase);
	return suite;
}
