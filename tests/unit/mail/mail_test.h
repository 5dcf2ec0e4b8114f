/*
 * mail_test.h - the modules of mail/, each a case of one suite
 */
#ifndef TESTS_UNIT_MAIL_MAIL_TEST_H
#define TESTS_UNIT_MAIL_MAIL_TEST_H

#include <check.h>

TCase *address_list_tests(void);
TCase *address_tests(void);
TCase *content_tests(void);
TCase *dkim_tests(void);
TCase *dot_stuffing_tests(void);
TCase *envelope_tests(void);
TCase *header_tests(void);
TCase *line_endings_tests(void);
TCase *message_tests(void);
TCase *meta_tests(void);
TCase *mime_tests(void);
TCase *queue_name_tests(void);
TCase *report_tests(void);
TCase *smtp_reply_tests(void);
TCase *suppression_tests(void);
TCase *trace_header_tests(void);
TCase *trace_key_tests(void);

#endif
