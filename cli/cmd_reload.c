/*
 * cmd_reload.c - take the policy anew, in both daemons
 *
 * Each answers `reload` on its control socket once the new generation is in
 * force, or with what is wrong with it; then the last good one stays.
 */
#include <inttypes.h>
#include <sysexits.h>

#include "base/control.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/output.h"

#define RELOAD_MS 90000 /* loading, pre_init and init may take 60 s */

static bool is_ok(const struct value *answer)
{
	const struct value *ok = value_get(answer, "ok");

	return ok && ok->type == VALUE_BOOL && ok->b;
}

static int reload(struct cli *cli, const char *name, const char *socket)
{
	struct arena *arena = arena_new(0);
	struct buf reply = BUF_INIT;
	struct err err = {0};
	struct value answer = {0};
	int code = EX_OK;

	if (!control_ask(socket, "reload", RELOAD_MS, &reply, &err) ||
	    !json_parse(buf_str(&reply), reply.len, arena, &answer, &err)) {
		code = cli_fail(
		    cli, EX_UNAVAILABLE, "%s: no answer: %s", name, err.text);
	} else if (cli->json) {
		out_json(cli->out, &reply);
		code = is_ok(&answer) ? EX_OK : EX_CONFIG;
	} else if (!is_ok(&answer)) {
		code = cli_fail(cli, EX_CONFIG,
		    "%s: generation %" PRId64 " stays in force: %s", name,
		    row_int(&answer, "generation"), row_text(&answer, "error"));
	} else {
		(void)fprintf(cli->out, "%s: generation %" PRId64 "\n", name,
		    row_int(&answer, "generation"));
	}
	buf_release(&reply);
	arena_unref(arena);
	return code;
}

static int run(struct cli *cli)
{
	int milter = reload(cli, "penstock-milter", cli->milter_control);
	int router = reload(cli, "penstock-router", cli->control);

	/* What is wrong with the policy says more than who was not there. */
	if (milter == EX_CONFIG || router == EX_CONFIG)
		return EX_CONFIG;
	return milter ? milter : router;
}

const struct cli_command cmd_reload = {
    .name = "reload",
    .arguments = "",
    .summary = "Have both daemons load the policy anew",
    .help = "Reports the generation that each has in force. When the new "
	    "policy is\nwrong the last good one stays, and the exit status is "
	    "78.",
    .run = run,
};
