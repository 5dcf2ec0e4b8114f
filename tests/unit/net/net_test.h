/*
 * net_test.h - the modules of net/, each a case of one suite
 */
#ifndef TESTS_UNIT_NET_NET_TEST_H
#define TESTS_UNIT_NET_NET_TEST_H

#include <check.h>

TCase *dns_zone_tests(void);
TCase *local_addr_tests(void);
TCase *mx_tests(void);
TCase *resolver_tests(void);
TCase *sts_policy_tests(void);
TCase *tls_result_tests(void);

#endif
