/* milter_test.h - the suites of tests/unit/milter */
#ifndef TESTS_UNIT_MILTER_TEST_H
#define TESTS_UNIT_MILTER_TEST_H

#include <check.h>

TCase *batch_cases(void);
TCase *domains_cases(void);
TCase *rcpt_cases(void);
TCase *reply_cases(void);
TCase *session_cases(void);
TCase *socket_cases(void);
TCase *wakeup_cases(void);

#endif
