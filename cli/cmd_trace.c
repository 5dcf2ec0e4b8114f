/*
 * cmd_trace.c - what happened to a message, also after it has left
 */
#include <inttypes.h>
#include <sysexits.h>

#include "cli/output.h"
#include "cli/queue_access.h"

struct trace {
	struct cli *cli;
	size_t rows;
};

static void member(FILE *out, const char *name, const char *text)
{
	if (!text || !*text)
		return;
	(void)fprintf(out, " %s=", name);
	out_text(out, text);
}

static bool print_row(const struct value *row, void *ctx)
{
	struct trace *t = ctx;
	FILE *out = t->cli->out;
	const char *reply = row_text(row, "reply");
	char when[32];

	t->rows++;
	if (t->cli->json) {
		out_json_line(out, row);
		return !ferror(out);
	}
	if (t->rows == 1) {
		out_text(out, row_text(row, "id"));
		(void)fputc('\n', out);
	}
	(void)out_time(when, row_int(row, "at"));
	(void)fprintf(out, "  %s  %-9s", when, row_text(row, "event"));
	member(out, "to", row_text(row, "recipient"));
	member(out, "from", row_text(row, "sender"));
	member(out, "message-id", row_text(row, "message_id"));
	member(out, "queue", row_text(row, "queue"));
	member(out, "source", row_text(row, "source"));
	member(out, "site", row_text(row, "site"));
	member(out, "peer", row_text(row, "peer"));
	member(out, "report", row_text(row, "report"));
	member(out, "by", row_text(row, "why"));
	if (reply && *reply) {
		(void)fputs(" said=\"", out);
		out_text(out, reply);
		(void)fputc('"', out);
	}
	(void)fputc('\n', out);
	return !ferror(out);
}

static int trace(struct cli *cli, struct queue_conn *conn, struct arena *arena)
{
	const char *what = cli->arguments[0], **ids;
	struct trace t = {.cli = cli};
	struct err err = {0};
	size_t count;

	if (!queue_trace_find(conn, what, arena, &ids, &count, &err))
		return cli_fail_err(cli, &err);
	if (count == 0)
		return cli_fail(cli, EX_NOINPUT,
		    "nothing is known of %.200s: neither in the queue nor in "
		    "its history",
		    what);
	for (size_t i = 0; i < count; i++) {
		t.rows = 0;
		if (!queue_timeline(conn, ids[i], print_row, &t, &err))
			return cli_fail_err(cli, &err);
	}
	return EX_OK;
}

static int run(struct cli *cli)
{
	struct queue_access access;
	struct arena *arena;
	int code;

	if (!cli->argument_count)
		return cli_fail(cli, EX_USAGE,
		    "trace: which message? ID, Message-ID or ADDRESS");
	code = queue_access_open(cli, &access);
	if (code != EX_OK)
		return code;
	arena = arena_new(0);
	code = trace(cli, access.conn, arena);
	arena_unref(arena);
	queue_access_close(&access);
	return code;
}

const struct cli_command cmd_trace = {
    .name = "trace",
    .arguments = "ID|MESSAGE-ID|ADDRESS",
    .summary = "What happened to a message, also after it has left",
    .help = "Of the messages with that id (6 digits or more of it), with that "
	    "Message-ID, or to\nthat address, the newest 100: reception, "
	    "attempts, outcomes, and reports that are\nlinked to them, as far "
	    "as the history goes.\nWith --json one object for each event.",
    .most_arguments = 1,
    .run = run,
};
