/*
 * base_test.h - the modules of base/, each a case of one suite
 */
#ifndef TESTS_UNIT_BASE_BASE_TEST_H
#define TESTS_UNIT_BASE_BASE_TEST_H

#include <check.h>

TCase *arena_tests(void);
TCase *base64_tests(void);
TCase *buf_tests(void);
TCase *cidr_tests(void);
TCase *clock_tests(void);
TCase *control_tests(void);
TCase *daemon_tests(void);
TCase *diag_tests(void);
TCase *duration_tests(void);
TCase *err_tests(void);
TCase *fault_tests(void);
TCase *fd_tests(void);
TCase *free_space_tests(void);
TCase *heap_tests(void);
TCase *inbox_tests(void);
TCase *ip_tests(void);
TCase *json_tests(void);
TCase *map_tests(void);
TCase *regex_list_tests(void);
TCase *str_tests(void);
TCase *terminal_tests(void);
TCase *value_tests(void);

/* A new empty directory, removed with what is in it at exit. */
const char *scratch_dir(void);

#endif
