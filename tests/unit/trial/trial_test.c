/*
 * trial_test.c - runs the unit tests of trial/; what they share
 */
#include "tests/unit/trial/trial_test.h"

#include <stdlib.h>

#include "base/diag.h"
#include "base/xalloc.h"
#include "trial/runner.h"

static struct world *world;

static void remove_scratch(void)
{
	scratch_remove(scratch());
}

/* Check forks for each test, so a directory serves one test. */
const char *scratch(void)
{
	static char *dir;
	struct err err = {0};

	if (dir)
		return dir;
	dir = scratch_make(&err);
	ck_assert_msg(dir != NULL, "%s", err.text);
	(void)atexit(remove_scratch);
	return dir;
}

const char *write_file(const char *name, const char *text)
{
	static char *paths[64]; /* where a leak checker finds them */
	static size_t count;
	char *path = xasprintf("%s/%s", scratch(), name);
	FILE *file = fopen(path, "w");

	ck_assert_uint_lt(count, COUNT(paths));
	paths[count++] = path;

	ck_assert_ptr_nonnull(file);
	(void)fputs(text, file);
	(void)fclose(file);
	return path;
}

struct world *world_with(const char *text)
{
	struct world_options options = {.dir = scratch()};
	struct err err = {0};
	char *policy = xasprintf("local kumo = require 'kumo' %s", text);

	diag_set_level(DIAG_FATAL);
	options.policy = write_file("policy.lua", policy);
	free(policy);
	ck_assert_msg(world_start(&world, &options, &err), "%s", err.text);
	return world;
}

void end_world(void)
{
	world_end(world);
	world = NULL;
}

int main(void)
{
	Suite *suite = suite_create("trial");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, world_tests());
	suite_add_tcase(suite, client_tests());
	suite_add_tcase(suite, routing_tests());
	suite_add_tcase(suite, rehearsal_tests());
	suite_add_tcase(suite, runner_tests());
	suite_add_tcase(suite, harvest_tests());
	suite_add_tcase(suite, outsider_tests());
	suite_add_tcase(suite, open_relay_tests());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
