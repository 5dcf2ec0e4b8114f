/*
 * deliver_test.h - the modules of deliver/, each a case of one suite
 */
#ifndef TESTS_UNIT_DELIVER_DELIVER_TEST_H
#define TESTS_UNIT_DELIVER_DELIVER_TEST_H

#include <check.h>

TCase *bounds_tests(void);
TCase *engine_tests(void);
TCase *maildir_tests(void);
TCase *session_tests(void);

#endif
