/*
 * lua_test.h - policies for the unit tests of lua/
 */
#ifndef TESTS_UNIT_LUA_TEST_H
#define TESTS_UNIT_LUA_TEST_H

#include <check.h>

#include "lua/script.h"

/* Sanitizers slow everything down; waits that should never be reached are long
 * anyway. */
#define LONG_MS 60000
/* Threads that were left behind run only when nobody else wants to. */
#define LEFT_BEHIND_MS (9 * LONG_MS)

Suite *event_suite(void);
Suite *limits_suite(void);
Suite *load_suite(void);
Suite *make_suite(void);
Suite *match_suite(void);
Suite *memo_suite(void);
Suite *message_suite(void);
Suite *missing_suite(void);
Suite *modules_suite(void);
Suite *pool_suite(void);
Suite *digest_suite(void);
Suite *dkim_suite(void);
Suite *dns_suite(void);
Suite *shaping_suite(void);
Suite *fs_suite(void);
Suite *http_suite(void);
Suite *map_suite(void);
Suite *regex_suite(void);
Suite *report_suite(void);
Suite *schedule_suite(void);
Suite *seeds_suite(void);
Suite *serde_suite(void);
Suite *session_suite(void);
Suite *sqlite_suite(void);
Suite *string_suite(void);
Suite *time_suite(void);
Suite *watch_suite(void);

/* `local kumo = require 'kumo'` and `text`, on one line less: the text begins
 * in line 1.  Loaded from a file "policy.lua" in a directory of its own. */
struct script_policy *load_policy(const char *text);
/* The error of loading `text`; the test fails when it loads. */
const char *load_error(const char *text, enum script_role role);
struct script_policy *load_with(
    const char *text, struct script_options options, struct err *err);
/* A file beside the policy; its path. */
const char *write_file(const char *name, const char *text);

/* Runs an event with one text argument (NULL: none). */
struct script_call *run_event(
    struct script_policy *p, const char *event, const char *arg);
/* The chunk `return ...` of a handler: its result as JSON, or its error. */
const char *eval(const char *chunk);

/* The same, with text of the policy in front. */
const char *eval_after(const char *policy, const char *chunk);

/* What a chunk gives: `want` is part of eval_after(policy, chunk). */
struct eval_case {
	const char *label, *chunk, *want;
	const char *policy; /* NULL: nothing in front */
};
void check_eval(const struct eval_case *c);

/* The event `e` of the policy waits for somebody: it ends with its time, and
 * nothing of it goes on. */
void check_expires(const char *policy);

/* The suite of a file whose `cases` are all there is. */
#define EVAL_SUITE(name, sentence)                                             \
	START_TEST(sentence)                                                   \
	{                                                                      \
		check_eval(&cases[_i]);                                        \
	}                                                                      \
	END_TEST                                                               \
	Suite *name##_suite(void)                                              \
	{                                                                      \
		Suite *suite = suite_create(#name);                            \
		TCase *tcase = tcase_create(#name);                            \
                                                                               \
		tcase_add_loop_test(tcase, sentence, 0, COUNT(cases));         \
		suite_add_tcase(suite, tcase);                                 \
		return suite;                                                  \
	}

/* For teardown: the policy is gone, and so are its threads. */
void end_policy(struct script_policy *p);

#endif
