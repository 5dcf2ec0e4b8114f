/*
 * cli_main.c - penstock, the operator's command
 */
#include "base/diag.h"
#include "base/digest.h"
#include "cli/cli.h"
#include "lua/script.h"

int main(int argc, char **argv)
{
	int code;

	diag_init("penstock", true);
	digest_outlives_main();
	/* What a daemon would note is not what an operator asked for. */
	diag_set_level(DIAG_WARN);
	code = cli_run(argc, argv, stdout, stderr);
	(void)script_shutdown(2000);
	return code;
}
