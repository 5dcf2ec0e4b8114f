/*
 * cli_main.c - penstock, the operator's command
 */
#include "base/diag.h"
#include "cli/cli.h"

int main(int argc, char **argv)
{
	diag_init("penstock", true);
	/* What a daemon would note is not what an operator asked for. */
	diag_set_level(DIAG_WARN);
	return cli_run(argc, argv, stdout, stderr);
}
