/*
 * mail_test.c - runs the unit tests of mail/
 */
#include "tests/unit/mail/mail_test.h"

int main(void)
{
	static TCase *(*const cases[])(void) = {address_list_tests,
	    address_tests, content_tests, dkim_tests, dot_stuffing_tests,
	    envelope_tests, header_tests, line_endings_tests, message_tests,
	    meta_tests, mime_tests, queue_name_tests, report_tests,
	    smtp_reply_tests, suppression_tests, trace_header_tests,
	    trace_key_tests};
	Suite *suite = suite_create("mail");
	SRunner *runner;
	int failed;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		suite_add_tcase(suite, cases[i]());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
