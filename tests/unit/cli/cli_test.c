/* cli_test.c - the tests of cli/ */
#include "cli_test.h"

#include <stdarg.h>

#include "base/diag.h"

char *out_written, *err_written;

int penstock(const char *first, ...)
{
	const char *argv[32] = {"penstock", first};
	size_t out_len, err_len;
	int argc = first ? 2 : 1, code;
	FILE *out, *err;
	va_list ap;

	va_start(ap, first);
	while (argc > 1 && argc < 31 && (argv[argc] = va_arg(ap, const char *)))
		argc++;
	va_end(ap);
	free(out_written);
	free(err_written);
	out = open_memstream(&out_written, &out_len);
	err = open_memstream(&err_written, &err_len);
	code = cli_run(argc, (char **)(uintptr_t)argv, out, err);
	(void)fclose(out);
	(void)fclose(err);
	return code;
}

int main(void)
{
	SRunner *runner = srunner_create(options_suite());
	int failed;

	(void)setenv("TZ", "UTC", 1);
	diag_init("cli_test", true);
	srunner_add_suite(runner, output_suite());
	srunner_add_suite(runner, listing_suite());
	srunner_add_suite(runner, queue_suite());
	srunner_add_suite(runner, log_choice_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
