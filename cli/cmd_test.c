/*
 * cmd_test.c - does the policy do what its author promised?
 */
#include <sysexits.h>

#include "cli/cli.h"
#include "trial/runner.h"

static int run(struct cli *cli)
{
	struct runner_options options = {
	    .files = cli->arguments,
	    .file_count = (size_t)cli->argument_count,
	    .policy = cli->policy,
	    .deadline_ms = RUNNER_DEADLINE_MS,
	    .verbose = cli->test.verbose,
	    .out = cli->out,
	    .err = cli->err,
	};

	if (cli->argument_count == 0)
		return cli_fail(cli, EX_USAGE,
		    "test: which FILE? see penstock test --help");
	if (cli->test.deadline_ms)
		options.deadline_ms = cli->test.deadline_ms;
	return runner_run(&options);
}

const struct cli_command cmd_test = {
    .name = "test",
    .arguments = "FILE...",
    .summary = "Run test scripts against the policy",
    .help =
	"Each FILE is a Lua script: local t = require 'penstock.test', then "
	"t.test('name', function() ... end).\n"
	"Sessions run through the policy as in the milter, queues are resolved "
	"as in the router, without\nsockets, with a queue, a clock and a DNS "
	"of their own. penstock-test(5) has all of it.\n"
	"Output is TAP. Exit 0: all passed, 1: some failed, 64: a FILE cannot "
	"be read or does not load,\n78: the policy does not load.",
    .takes = CLI_TEST,
    .most_arguments = -1,
    .run = run,
};
