/* cli_test.h - what the tests of cli/ share */
#ifndef TESTS_CLI_TEST_H
#define TESTS_CLI_TEST_H

#include <check.h>

#include "cli/cli.h"

Suite *listing_suite(void);
Suite *log_choice_suite(void);
Suite *options_suite(void);
Suite *output_suite(void);
Suite *queue_suite(void);

/* What the last run wrote. */
extern char *out_written, *err_written;
/* Runs the command with these arguments, ending with NULL. */
int penstock(const char *first, ...);

#endif
