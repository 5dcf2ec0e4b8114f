/*
 * trial_test.h - the suites of tests/unit/trial
 */
#ifndef TESTS_UNIT_TRIAL_TRIAL_TEST_H
#define TESTS_UNIT_TRIAL_TRIAL_TEST_H

#include <check.h>

#include "trial/client.h"

TCase *client_tests(void);
TCase *harvest_tests(void);
TCase *open_relay_tests(void);
TCase *outsider_tests(void);
TCase *rehearsal_tests(void);
TCase *routing_tests(void);
TCase *runner_tests(void);
TCase *world_tests(void);

/* A directory for this test, removed at its end. */
const char *scratch(void);
/* A file in it; its path lives as long as the process. */
const char *write_file(const char *name, const char *text);
/* The world of a policy: `text` follows local kumo = require 'kumo'. */
struct world *world_with(const char *text);
/* Ends the world that world_with() began. */
void end_world(void);

#endif
