/*
 * router_test.h - the suites of router/
 */
#ifndef ROUTER_TEST_H
#define ROUTER_TEST_H

#include <check.h>

#include "base/attr.h"

Suite *gate_suite(void);
Suite *held_memory_suite(void);
Suite *lease_suite(void);
Suite *loop_suite(void);
Suite *outcome_suite(void);
Suite *plan_suite(void);
Suite *queue_thread_suite(void);
Suite *ready_message_suite(void);
Suite *record_memory_suite(void);
Suite *router_control_suite(void);
Suite *shares_suite(void);
Suite *source_choice_suite(void);

#endif
