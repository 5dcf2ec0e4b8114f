/*
 * policy_test.h - one suite a module
 */
#ifndef TESTS_UNIT_POLICY_POLICY_TEST_H
#define TESTS_UNIT_POLICY_POLICY_TEST_H

#include <check.h>

Suite *bounce_class_suite(void);
Suite *egress_path_suite(void);
Suite *egress_pool_suite(void);
Suite *egress_source_suite(void);
Suite *listener_suite(void);
Suite *listener_domain_suite(void);
Suite *log_config_suite(void);
Suite *malformed_suite(void);
Suite *param_suite(void);
Suite *queue_config_suite(void);
Suite *rate_suite(void);
Suite *relay_suite(void);
Suite *retry_suite(void);
Suite *site_name_suite(void);
Suite *suppression_suite(void);
Suite *template_suite(void);
Suite *throttle_suite(void);

#endif
