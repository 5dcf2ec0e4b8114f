/*
 * cmd_summary.c - how much mail waits for each domain
 */
#include <inttypes.h>
#include <sysexits.h>

#include "cli/output.h"
#include "cli/queue_access.h"

struct summary {
	struct cli *cli;
	int64_t domains, ready, deferred, held;
};

static bool print_row(const struct value *row, void *ctx)
{
	struct summary *s = ctx;
	FILE *out = s->cli->out;
	const char *reply = row_text(row, "last_reply");
	char when[32] = "-";

	s->domains++;
	s->ready += row_int(row, "ready");
	s->deferred += row_int(row, "deferred");
	s->held += row_int(row, "held");
	if (s->cli->json) {
		out_json_line(out, row);
		return !ferror(out);
	}
	if (s->domains == 1)
		(void)fprintf(out, "%8s %8s %8s %6s  %-19s  %s\n", "Ready",
		    "Deferred", "Held", "Queues", "Next attempt", "Domain");
	if (row_has(row, "next_due_at"))
		(void)out_time(when, row_int(row, "next_due_at"));
	(void)fprintf(out,
	    "%8" PRId64 " %8" PRId64 " %8" PRId64 " %6" PRId64 "  %-19s  ",
	    row_int(row, "ready"), row_int(row, "deferred"),
	    row_int(row, "held"), row_int(row, "queues"), when);
	out_text(out, row_text(row, "domain"));
	(void)fputc('\n', out);
	if (reply) {
		(void)fprintf(out, "%34s last answer: ", "");
		out_text(out, reply);
		(void)fputc('\n', out);
	}
	return !ferror(out);
}

static int run(struct cli *cli)
{
	struct summary summary = {.cli = cli};
	struct queue_access access;
	struct err err = {0};
	int code = queue_access_open(cli, &access);
	bool ok;

	if (code != EX_OK)
		return code;
	ok = queue_ask(access.conn, QUEUE_Q_SUMMARY, &cli->selector, print_row,
	    &summary, &err);
	queue_access_close(&access);
	if (!ok)
		return cli_fail_err(cli, &err);
	if (cli->json)
		return EX_OK;
	if (!summary.domains) {
		(void)fputs("Queue is empty.\n", cli->out);
		return EX_OK;
	}
	(void)fprintf(cli->out,
	    "%8" PRId64 " %8" PRId64 " %8" PRId64 "  recipients in ",
	    summary.ready, summary.deferred, summary.held);
	out_count(cli->out, summary.domains, "domain");
	(void)fputs(".\n", cli->out);
	return EX_OK;
}

const struct cli_command cmd_summary = {
    .name = "summary",
    .arguments = "",
    .summary = "Count what waits for each domain",
    .help = "Ready: due now, or being delivered. Deferred: waiting for the "
	    "time of their next attempt.\nHeld: waiting for an operator.",
    .run = run,
};
