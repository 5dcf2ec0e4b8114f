/*
 * order.c - what an operator orders about mail that waits, step by step
 */
#include "cli/order.h"

#include <pwd.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/control.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/output.h"
#include "cli/queue_access.h"

#define STEP 100
#define STEP_MS 130000
/* What the control socket takes in one line. */
#define REQUEST_MOST 4095

bool order_option(struct cli *cli, const char *name, const char *value)
{
	if (str_eq(name, "dry-run")) {
		cli->order.dry_run = true;
	} else if (str_eq(name, "reason")) {
		cli->order.reason = value;
	} else if (str_eq(name, "event")) {
		cli->order.event = true;
	} else if (str_eq(name, "flush")) {
		cli->order.flush = true;
	} else if (str_eq(name, "no-log")) {
		cli->order.no_log = true;
	} else if (!strchr(value, '=') || *value == '=') {
		(void)cli_fail(cli, EX_USAGE,
		    "--set: expected NAME=VALUE, got \"%.60s\"", value);
		return false;
	} else if (cli->order.set_count == COUNT(cli->order.sets)) {
		(void)cli_fail(cli, EX_USAGE, "--set: at most %zu of them",
		    COUNT(cli->order.sets));
		return false;
	} else {
		cli->order.sets[cli->order.set_count++] = value;
	}
	return true;
}

int order_check(struct cli *cli)
{
	struct queue_selector *s = &cli->selector;

	if (cli->argument_count)
		s->id = cli->arguments[0];
	/* Only what waits can be steered. */
	if (s->state && !str_eq(s->state, "queued"))
		return cli_fail(cli, EX_USAGE,
		    "--state: only queued mail can be given orders");
	if (!s->id && !s->domain && !s->sender && !s->recipient && !s->tenant &&
	    !s->campaign && !s->queue && !s->older_than)
		return cli_fail(cli, EX_USAGE,
		    "which messages? give an id or a selector; --older-than "
		    "1s selects all that waits");
	return EX_OK;
}

static bool count_row(const struct value *row, void *ctx)
{
	int64_t *count = ctx;

	(void)row;
	(*count)++;
	return true;
}

int order_rehearse(struct cli *cli, const char *what)
{
	struct queue_access access;
	struct err err = {0};
	int64_t count = 0;
	int code = queue_access_open(cli, &access);
	bool ok;

	if (code != EX_OK)
		return code;
	ok = queue_ask(access.conn, QUEUE_Q_WAITING, &cli->selector, count_row,
	    &count, &err);
	queue_access_close(&access);
	if (!ok)
		return cli_fail_err(cli, &err);
	if (cli->json) {
		(void)fprintf(
		    cli->out, "{\"messages\":%lld}\n", (long long)count);
		return EX_OK;
	}
	out_count(cli->out, count, "message");
	(void)fprintf(cli->out, " would be %s.\n", what);
	return EX_OK;
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
	if (text)
		json_add_string(o, key, text);
}

static void write_request(struct cli *cli, const char *verb,
    const struct buf *members, const char *after, int64_t limit,
    struct buf *out)
{
	const struct queue_selector *s = &cli->selector;
	const struct passwd *who = getpwuid(getuid());
	struct buf selector = BUF_INIT;
	struct json_object o;

	json_open(&o, &selector);
	add_text(&o, "id", s->id);
	add_text(&o, "domain", s->domain);
	add_text(&o, "sender", s->sender);
	add_text(&o, "recipient", s->recipient);
	add_text(&o, "tenant", s->tenant);
	add_text(&o, "campaign", s->campaign);
	add_text(&o, "queue", s->queue);
	if (s->older_than)
		json_add_int(&o, "older_than", s->older_than);
	json_close(&o);
	buf_reset(out);
	buf_addf(out, "%s ", verb);
	json_open(&o, out);
	json_add_raw(&o, "selector", selector.data, selector.len);
	json_add_string(&o, "after", after);
	json_add_int(&o, "limit", limit);
	add_text(&o, "reason", cli->order.reason);
	add_text(&o, "who", who ? who->pw_name : NULL);
	buf_add(out, members->data, members->len);
	json_close(&o);
	buf_release(&selector);
}

/* One step: next is where the one after it begins, "" at the end. */
static bool take_answer(const struct buf *reply, struct order_sum *sum,
    char next[MESSAGE_ID_SIZE], struct err *err)
{
	struct arena *arena = arena_new(0);
	struct value v = {0};
	const struct value *ok;
	bool fine = json_parse(buf_str(reply), reply->len, arena, &v, err);
	const char *text;

	next[0] = '\0';
	ok = fine ? value_get(&v, "ok") : NULL;
	if (fine && !(ok && ok->type == VALUE_BOOL && ok->b)) {
		text = row_text(&v, "error");
		fine = err_set(err, ERR_TEMP, "%s", text ? text : "no answer");
	}
	if (fine) {
		sum->messages += row_int(&v, "messages");
		sum->failed += row_int(&v, "failed");
		for (size_t i = 0;
		     i < COUNT(sum->counts) && sum->counts[i].name; i++)
			sum->counts[i].count +=
			    row_int(&v, sum->counts[i].name);
		text = row_text(&v, "next");
		(void)str_copy(next, MESSAGE_ID_SIZE, text ? text : "");
	}
	arena_unref(arena);
	return fine;
}

int order_run(struct cli *cli, const char *verb, const struct buf *members,
    struct order_sum *sum)
{
	struct buf request = BUF_INIT, reply = BUF_INIT;
	char next[MESSAGE_ID_SIZE] = "";
	struct err err = {0};
	int code = EX_OK;

	do {
		int64_t limit = STEP, left = cli->selector.limit;

		if (left && left - sum->messages < limit)
			limit = left - sum->messages;
		if (limit <= 0)
			break;
		write_request(cli, verb, members, next, limit, &request);
		if (request.len > REQUEST_MOST) {
			code = cli_fail(cli, EX_USAGE,
			    "the order is too long: selector, reason and "
			    "values have %zu bytes, %d is the most",
			    request.len, REQUEST_MOST);
			break;
		}
		buf_reset(&reply);
		if (!control_ask(cli->control, buf_str(&request), STEP_MS,
			&reply, &err)) {
			code = cli_fail(cli, EX_UNAVAILABLE,
			    "penstock-router does not answer, and only it can "
			    "do this: %s",
			    err.text);
			break;
		}
		if (!take_answer(&reply, sum, next, &err))
			code = cli_fail(cli, EX_TEMPFAIL, "%s", err.text);
	} while (code == EX_OK && next[0]);
	buf_release(&request);
	buf_release(&reply);
	return code;
}
