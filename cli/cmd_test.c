/*
 * cmd_test.c - does the policy do what its author promised?
 */
#include <sysexits.h>

#include "cli/cli.h"
#include "trial/open_relay.h"
#include "trial/runner.h"

static int search(struct cli *cli)
{
	const struct open_relay_options options = {
	    .policy = cli->policy,
	    .trusted = cli->test.trusted,
	    .trusted_count = cli->test.trusted_count,
	    .seed = cli->test.seed ? (uint64_t)cli->test.seed : 1,
	    .sessions =
		cli->test.sessions ? cli->test.sessions : OPEN_RELAY_SESSIONS,
	    .out = cli->out,
	};
	struct err err = {0};

	if (cli->argument_count > 0)
		return cli_fail(cli, EX_USAGE,
		    "test: --open-relay takes no FILE, got \"%.60s\"",
		    cli->arguments[0]);
	switch (open_relay_search(&options, &err)) {
	case OPEN_RELAY_NONE:
		return EX_OK;
	case OPEN_RELAY_FOUND:
	case OPEN_RELAY_UNKNOWN:
		return 1;
	case OPEN_RELAY_FAILED:
		break;
	}
	return cli_fail_err(cli, &err);
}

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

	if (cli->test.open_relay)
		return search(cli);
	if (cli->test.seed || cli->test.sessions || cli->test.trusted_count)
		return cli_fail(cli, EX_USAGE,
		    "test: --seed, --sessions and --trust go with "
		    "--open-relay");
	if (cli->argument_count == 0)
		return cli_fail(cli, EX_USAGE,
		    "test: which FILE? see penstock test --help");
	if (cli->test.deadline_ms)
		options.deadline_ms = cli->test.deadline_ms;
	return runner_run(&options);
}

const struct cli_command cmd_test = {
    .name = "test",
    .arguments = "FILE... | --open-relay",
    .summary = "Run test scripts against the policy",
    .help =
	"Each FILE is a Lua script: local t = require 'penstock.test', then "
	"t.test('name', function() ... end).\n"
	"Sessions run through the policy as in the milter, queues are resolved "
	"as in the router, without\nsockets, with a queue, a clock and a DNS "
	"of their own. penstock-test(5) has all of it.\n"
	"With --open-relay instead of FILE thousands of strangers try to "
	"relay; who may is shown with\nthe rule that let him.\n"
	"Output is TAP. Exit 0: all passed, 1: some failed, 64: a FILE cannot "
	"be read or does not load,\n78: the policy does not load.",
    .takes = CLI_TEST,
    .most_arguments = -1,
    .run = run,
};
