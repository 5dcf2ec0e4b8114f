/*
 * cmd_check.c - is the policy, or the queue's file, in order?
 */
#include <sysexits.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/json.h"
#include "cli/output.h"
#include "cli/queue_access.h"
#include "logs/log_setup.h"
#include "lua/script.h"

static void print_ok(struct cli *cli, const struct policy_setup *setup)
{
	struct buf json = BUF_INIT;
	struct json_object o;

	if (!cli->json) {
		out_text(cli->out, cli->policy);
		(void)fputs(": ok, ", cli->out);
		out_count(cli->out, (int64_t)setup->listener_count, "listener");
		(void)fputs(", ", cli->out);
		out_count(cli->out, (int64_t)setup->log_count, "log");
		(void)fputc('\n', cli->out);
		return;
	}
	json_open(&o, &json);
	json_add_bool(&o, "ok", true);
	json_add_string(&o, "policy", cli->policy);
	json_add_int(&o, "listeners", (int64_t)setup->listener_count);
	json_add_int(&o, "logs", (int64_t)setup->log_count);
	json_close(&o);
	out_json(cli->out, &json);
	buf_release(&json);
}

static int fail_policy(struct cli *cli, const struct err *err)
{
	struct buf json = BUF_INIT;
	struct json_object o;

	if (!cli->json)
		return cli_fail(cli, EX_CONFIG, "%s", err->text);
	json_open(&o, &json);
	json_add_bool(&o, "ok", false);
	json_add_string(&o, "policy", cli->policy);
	json_add_string(&o, "error", err->text);
	json_close(&o);
	out_json(cli->out, &json);
	buf_release(&json);
	return EX_CONFIG;
}

static int check_policy(struct cli *cli)
{
	struct script_options options = {
	    .path = cli->policy,
	    .role = SCRIPT_CHECK,
	    .threads = 1,
	};
	const struct policy_setup *setup;
	struct script_policy *policy = NULL;
	struct logger_settings *loggers;
	struct arena *arena;
	struct err err = {0};
	bool ok;

	if (!script_policy_load(&policy, &options, &err))
		return fail_policy(cli, &err);
	setup = script_policy_setup(policy);
	arena = arena_new(0);
	ok = log_setup_read((const struct log_config *const *)setup->logs,
	    setup->log_count, arena, &loggers, &err);
	arena_unref(arena);
	if (ok)
		print_ok(cli, setup);
	if (ok && setup->hook_count == 0)
		diag_warn(
		    "nobody tells senders of mail that fails: there is no "
		    "log hook; require('penstock.dsn').setup {} reports "
		    "failures and delays to them");
	script_policy_unref(policy);
	return ok ? EX_OK : fail_policy(cli, &err);
}

/* ---- the queue ---- */

static void print_finding(const char *line, void *ctx)
{
	struct cli *cli = ctx;

	if (cli->json)
		out_json_line(cli->out,
		    &(struct value){
			.type = VALUE_STRING, .s = line, .len = strlen(line)});
	else {
		out_text(cli->out, line);
		(void)fputc('\n', cli->out);
	}
}

static int check_queue(struct cli *cli)
{
	struct queue_access access;
	struct err err = {0};
	size_t findings = 0;
	int code = queue_access_open(cli, &access);
	bool ok;

	if (code != EX_OK)
		return code;
	ok = queue_check_integrity(
	    access.conn, print_finding, cli, &findings, &err);
	queue_access_close(&access);
	if (!ok)
		return cli_fail_err(cli, &err);
	if (findings)
		return cli_fail(cli, EX_DATAERR,
		    "%s: %zu findings; stop both daemons and make a copy "
		    "before anything else",
		    cli->queue, findings);
	if (!cli->json) {
		out_text(cli->out, cli->queue);
		(void)fputs(": ok\n", cli->out);
	}
	return EX_OK;
}

static int run(struct cli *cli)
{
	return cli->queue_integrity ? check_queue(cli) : check_policy(cli);
}

const struct cli_command cmd_check = {
    .name = "check",
    .arguments = "[--queue-integrity]",
    .summary = "Load the policy and say what is wrong with it",
    .help = "Runs pre_init, init and validate_config. Nothing is listened on "
	    "and nothing is written.\nWith --queue-integrity the queue's file "
	    "is checked instead: SQLite's quick_check and whether\nits tables "
	    "agree; each finding is a line.",
    .takes = CLI_QUEUE_INTEGRITY,
    .run = run,
};
