/*
 * cmd_show.c - one message in full
 */
#include <sysexits.h>
#include <unistd.h>

#include "base/array.h"
#include "base/json.h"
#include "base/str.h"
#include "base/terminal.h"
#include "cli/output.h"
#include "cli/queue_access.h"

struct rows {
	struct arena *arena;
	struct value *items;
	size_t count, size;
};

static bool keep(const struct value *row, void *ctx)
{
	struct rows *rows = ctx;

	*ARRAY_ADD(rows) = value_copy(rows->arena, row);
	return true;
}

/* ---- the bytes ---- */

static bool write_piece(const char *p, size_t len, void *ctx)
{
	return fwrite(p, 1, len, ctx) == len;
}

/* To a terminal: line breaks and tabs as they are, other controls escaped. */
static bool write_piece_quoted(const char *p, size_t len, void *ctx)
{
	terminal_write_lines(ctx, p, len);
	return !ferror((FILE *)ctx);
}

static bool add_piece(const char *p, size_t len, void *ctx)
{
	buf_add(ctx, p, len);
	return true;
}

/* ---- */

/* The view has trees as JSON text. */
static void add_member(
    struct json_object *o, const struct value_entry *e, struct arena *arena)
{
	const struct value *v = &e->value;
	struct value tree;

	if ((str_eq(e->key, "meta") || str_eq(e->key, "scheduling")) &&
	    v->type == VALUE_STRING &&
	    json_parse(v->s, v->len, arena, &tree, NULL))
		v = &tree;
	json_add_value(o, e->key, v);
}

static void print_json(struct cli *cli, const struct value *message,
    const struct rows *recipients, const struct buf *body)
{
	struct buf json = BUF_INIT;
	struct json_object o;

	json_open(&o, &json);
	VALUE_EACH (e, message)
		add_member(&o, e, recipients->arena);
	json_key(&o, "recipient_list");
	buf_addch(&json, '[');
	for (size_t i = 0; i < recipients->count; i++) {
		if (i)
			buf_addch(&json, ',');
		json_write(&json, &recipients->items[i]);
	}
	buf_addch(&json, ']');
	if (body) {
		json_key(&o, "body");
		json_write_string(&json, buf_str(body), body->len);
	}
	json_close(&o);
	out_json(cli->out, &json);
	buf_release(&json);
}

/* Of a recipient's row: what its message says, and the heading. */
static bool is_repeated(const char *key)
{
	static const char *const repeated[] = {"id", "recipient", "sender",
	    "size", "created", "created_ms", "age", "mta_queue_id",
	    "recipient_id"};

	for (size_t i = 0; i < COUNT(repeated); i++) {
		if (str_eq(repeated[i], key))
			return true;
	}
	return false;
}

/* What is known of it, without what is said elsewhere. */
static void print_members(
    FILE *out, const struct value *row, bool recipient, struct arena *arena)
{
	struct value rest = *row;

	rest.entries = ARENA_ARRAY(arena, struct value_entry, row->count + 1);
	rest.count = 0;
	VALUE_EACH (e, row) {
		if (e->value.type != VALUE_NIL &&
		    !(recipient && is_repeated(e->key)))
			rest.entries[rest.count++] = *e;
	}
	out_members(out, &rest, recipient ? 4 : 0);
}

static void print_text(
    struct cli *cli, const struct value *message, const struct rows *recipients)
{
	print_members(cli->out, message, false, recipients->arena);
	for (size_t i = 0; i < recipients->count; i++) {
		const struct value *row = &recipients->items[i];

		(void)fputs("\nrecipient ", cli->out);
		out_text(cli->out, row_text(row, "recipient"));
		(void)fputs("\n", cli->out);
		print_members(cli->out, row, true, recipients->arena);
	}
}

/* v_why's sentence becomes the first member of the recipient's row. */
static bool add_why(const struct value *why, void *ctx)
{
	const struct value *sentence = value_get(why, "why");
	struct rows *rows = ctx;

	for (size_t i = 0; sentence && i < rows->count; i++) {
		struct value *row = &rows->items[i];
		struct value_entry *entries;

		if (row_has(row, "why") ||
		    !str_eq(row_text(row, "recipient"),
			row_text(why, "recipient")) ||
		    !str_eq(row_text(row, "queue"), row_text(why, "queue")))
			continue;
		entries = ARENA_ARRAY(
		    rows->arena, struct value_entry, row->count + 1);
		entries[0] = (struct value_entry){
		    "why", value_copy(rows->arena, sentence)};
		memcpy(entries + 1, row->entries, row->count * sizeof *entries);
		row->entries = entries;
		row->count++;
		break;
	}
	return true;
}

static int show_body(struct cli *cli, struct queue_conn *conn, const char *id)
{
	bool tty = cli->out == stdout && isatty(STDOUT_FILENO);
	struct err err = {0};

	if (!queue_body(conn, id, tty ? write_piece_quoted : write_piece,
		cli->out, &err))
		return cli_fail_err(cli, &err);
	return EX_OK;
}

static int show(struct cli *cli, struct queue_conn *conn, struct rows *messages,
    struct rows *recipients)
{
	struct buf body = BUF_INIT;
	struct err err = {0};
	const char *id;
	bool ok = true;

	if (!queue_ask(
		conn, QUEUE_Q_MESSAGE, &cli->selector, keep, messages, &err))
		return cli_fail_err(cli, &err);
	if (!messages->count)
		return cli_fail(cli, EX_NOINPUT,
		    "no message %.40s in the queue", cli->selector.id);
	id = row_text(&messages->items[0], "id");
	if (cli->body && !cli->json)
		return show_body(cli, conn, id);
	cli->selector.id = id;
	if (!queue_ask(conn, QUEUE_Q_RECIPIENTS, &cli->selector, keep,
		recipients, &err) ||
	    !queue_ask(
		conn, QUEUE_Q_WHY, &cli->selector, add_why, recipients, &err))
		return cli_fail_err(cli, &err);
	if (cli->json && cli->body)
		ok = queue_body(conn, id, add_piece, &body, &err);
	if (ok && cli->json)
		print_json(cli, &messages->items[0], recipients,
		    cli->body ? &body : NULL);
	else if (ok)
		print_text(cli, &messages->items[0], recipients);
	buf_release(&body);
	return ok ? EX_OK : cli_fail_err(cli, &err);
}

static int run(struct cli *cli)
{
	struct rows messages = {0}, recipients = {0};
	struct queue_access access;
	int code;

	if (!cli->argument_count)
		return cli_fail(cli, EX_USAGE, "show: which message? ID");
	cli->selector.id = cli->arguments[0];
	code = queue_access_open(cli, &access);
	if (code != EX_OK)
		return code;
	messages.arena = recipients.arena = arena_new(0);
	code = show(cli, access.conn, &messages, &recipients);
	ARRAY_FREE(&messages);
	ARRAY_FREE(&recipients);
	arena_unref(messages.arena);
	queue_access_close(&access);
	return code;
}

const struct cli_command cmd_show = {
    .name = "show",
    .arguments = "[--body] ID",
    .summary = "One message in full",
    .help = "With --body only its bytes, as they would be sent; controls are "
	    "escaped on a terminal.\nWith --body and --json they are the "
	    "member `body` (bytes that are not UTF-8 are lost there).",
    .takes = CLI_BODY,
    .most_arguments = 1,
    .run = run,
};
