/*
 * cli.h - the operator's command
 *
 *	penstock [--policy FILE] [--queue FILE] [--control SOCKET] [--json]
 *	         COMMAND [OPTION...] [ARGUMENT...]
 *
 * A command is a row of a table and a file of its own (cmd_*.c).  cli.c reads
 * the options into struct cli and calls it; it writes to cli->out and returns
 * a sysexits code.  So tests run whole commands without a process.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>

#include "base/err.h"
#include "queue/queue_view.h"

struct cli {
	FILE *out, *err;
	const char *policy, *queue, *control, *milter_control;
	bool json;
	/* those below only for commands that take them */
	struct queue_selector selector;
	bool body, queue_integrity;
	struct {
		int64_t deadline_ms; /* 0: the default */
		bool verbose, open_relay;
		int64_t seed, sessions; /* sessions 0: the default */
		const char *trusted[32];
		size_t trusted_count;
	} test;
	struct {
		bool follow;
		/* as they were written; NULL: not given */
		const char *types, *since, *until, *dir;
	} logs;
	struct {
		bool dry_run, event, flush, no_log;
		const char *reason;   /* NULL: none given */
		const char *sets[32]; /* NAME=VALUE */
		size_t set_count;
	} order;
	char **arguments; /* after the command; ends with NULL */
	int argument_count;
};

/* Which options a command takes, apart from those that all take. */
enum cli_takes {
	CLI_SELECTOR = 1,
	CLI_BODY = 2,
	CLI_QUEUE_INTEGRITY = 4,
	CLI_VERBATIM = 8, /* what follows the command is not for us */
	CLI_TEST = 16,
	CLI_LOGS = 32,
	CLI_ORDER = 64,
};

struct cli_command {
	const char *name, *arguments;
	const char *summary; /* one line */
	const char *help;    /* more, for COMMAND --help; may be NULL */
	unsigned takes;
	int most_arguments; /* -1: any number */
	int (*run)(struct cli *cli);
};

extern const struct cli_command cmd_check, cmd_classify, cmd_logs, cmd_params,
    cmd_queue, cmd_rebind, cmd_reload, cmd_show, cmd_sql, cmd_status,
    cmd_summary, cmd_suppression, cmd_test, cmd_trace;

/* The whole program: returns its exit code. */
int cli_run(int argc, char **argv, FILE *out, FILE *err);

/* "penstock: ..." and a newline to cli->err; returns `code`. */
int cli_fail(const struct cli *cli, int code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
int cli_fail_err(const struct cli *cli, const struct err *err);

#endif
