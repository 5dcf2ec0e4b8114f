/*
 * cmd_status.c - what runs, and what waits
 *
 * Each daemon answers `status` on its control socket with a JSON object, whose
 * members are shown as they come.  The totals of the queue are read from its
 * file, so they are there when no daemon is.
 */
#include <inttypes.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/control.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/output.h"
#include "cli/queue_access.h"

#define ASK_MS 5000

/* False: err says why there is no answer. */
static bool ask(const char *socket, struct arena *arena, struct value *answer,
    struct err *err)
{
	struct buf reply = BUF_INIT;
	bool ok = control_ask(socket, "status", ASK_MS, &reply, err) &&
		  json_parse(buf_str(&reply), reply.len, arena, answer, err);

	buf_release(&reply);
	if (ok && answer->type != VALUE_MAP)
		ok = err_set(err, ERR_TEMP, "%s: not a daemon of ours", socket);
	return ok;
}

struct daemon {
	const char *name, *member; /* in JSON */
	const char *socket;
	bool answered;
	struct value answer;
	struct err err;
};

static void print_daemon(struct cli *cli, const struct daemon *d)
{
	(void)fprintf(cli->out, "%s", d->name);
	if (!d->answered) {
		(void)fputs(": no answer (", cli->out);
		out_text(cli->out, d->err.text);
		(void)fputs(")\n\n", cli->out);
		return;
	}
	(void)fputs(": running\n", cli->out);
	out_members(cli->out, &d->answer, 4);
	(void)fputc('\n', cli->out);
}

static void add_daemon(struct json_object *o, const struct daemon *d)
{
	char key[40];

	if (d->answered) {
		json_add_value(o, d->member, &d->answer);
		return;
	}
	json_add_string(o, d->member, NULL);
	(void)snprintf(key, sizeof key, "%s_error", d->member);
	json_add_string(o, key, d->err.text);
}

/* ---- the queue's totals ---- */

struct totals {
	struct arena *arena;
	struct value row;
};

static bool keep(const struct value *row, void *ctx)
{
	struct totals *totals = ctx;

	totals->row = value_copy(totals->arena, row);
	return false;
}

static int read_totals(struct cli *cli, struct totals *totals)
{
	struct queue_selector all = {0};
	struct queue_access access;
	struct err err = {0};
	int code = queue_access_open(cli, &access);

	if (code != EX_OK)
		return code;
	if (!queue_ask(access.conn, QUEUE_Q_STATUS, &all, keep, totals, &err))
		code = cli_fail_err(cli, &err);
	queue_access_close(&access);
	return code;
}

static void print_time(
    FILE *out, const char *label, const struct value *row, const char *key)
{
	char text[32];
	int64_t n = row_int(row, key);

	if (row_has(row, key))
		(void)fprintf(out, "    %s %s\n", label,
		    out_time(text, str_ends(key, "_ms") ? n / 1000 : n));
}

static void print_totals(struct cli *cli, const struct value *row)
{
	FILE *out = cli->out;

	(void)fputs("queue ", out);
	out_text(out, cli->queue);
	(void)fprintf(out,
	    "\n    recipients:     %" PRId64 " queued, %" PRId64
	    " being delivered, %" PRId64 " held%s\n",
	    row_int(row, "queued"), row_int(row, "leased"),
	    row_int(row, "held"),
	    row_int(row, "more") ? " (counted to 100,000)" : "");
	(void)fprintf(out, "    queues due now: %" PRId64 "\n",
	    row_int(row, "queues_due"));
	print_time(out, "next due:      ", row, "next_due_at");
	print_time(out, "oldest message:", row, "oldest_created_ms");
	if (row_int(row, "suspensions"))
		(void)fprintf(out, "    suspensions:    %" PRId64 "\n",
		    row_int(row, "suspensions"));
	if (row_int(row, "tls_sessions") || row_int(row, "tls_failures"))
		(void)fprintf(out,
		    "    TLS today:      %" PRId64 " sessions well, %" PRId64
		    " not\n",
		    row_int(row, "tls_sessions"), row_int(row, "tls_failures"));
	/* What the router writes there while it lives; it may be another than
	 * the one that was asked. */
	if (row_int(row, "router_alive"))
		(void)fprintf(out,
		    "    its router:     runs, pid %" PRId64 "\n",
		    row_int(row, "router_pid"));
	else
		(void)fputs("    its router:     none runs\n", out);
}

static int run(struct cli *cli)
{
	struct arena *arena = arena_new(0);
	struct totals totals = {.arena = arena};
	struct daemon daemons[] = {
	    {"penstock-milter", "milter", cli->milter_control},
	    {"penstock-router", "router", cli->control},
	};
	struct buf json = BUF_INIT;
	struct json_object o;
	int code;

	for (size_t i = 0; i < COUNT(daemons); i++) {
		struct daemon *d = &daemons[i];

		d->answered = ask(d->socket, arena, &d->answer, &d->err);
		if (!cli->json)
			print_daemon(cli, d);
	}
	code = read_totals(cli, &totals);
	if (!cli->json && code == EX_OK) {
		print_totals(cli, &totals.row);
	} else if (cli->json) {
		json_open(&o, &json);
		for (size_t i = 0; i < COUNT(daemons); i++)
			add_daemon(&o, &daemons[i]);
		json_add_value(&o, "queue", &totals.row);
		json_close(&o);
		out_json(cli->out, &json);
		buf_release(&json);
	}
	arena_unref(arena);
	return code;
}

const struct cli_command cmd_status = {
    .name = "status",
    .arguments = "",
    .summary = "What runs, and what waits",
    .help = "Asks both daemons on their control sockets and reads the totals "
	    "of the queue itself.\nThat a daemon does not answer is shown and "
	    "is no error; that the queue cannot be read is.",
    .run = run,
};
