/*
 * cmd_suppression.c - the list of addresses that get no more mail
 *
 * What changes the list is done in steps under the writer lock, whether or not
 * daemons run; they see it with their next lookup.  Everything is read and
 * checked before the first, and during a step no signal of a terminal stops us:
 * mail waits for that lock.
 */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "cli/output.h"
#include "cli/queue_access.h"
#include "cli/suppression_file.h"
#include "queue/queue_suppression.h"

#define FILE_MOST (256 << 20)
#define PATIENCE_MS 30000

struct command {
	struct cli *cli;
	struct arena *arena;
	const char *tenant, *class, *reason, *domain;
	int64_t until, limit;
	bool dry_run;
	char **arguments;
	int count;
	struct suppression_list list;
	struct suppression_counts counts;
};

static const char help[] =
    "  list [ADDRESS...]        what is on it\n"
    "  add ADDRESS...           no more mail for them; @DOMAIN: for all of it\n"
    "  remove ADDRESS...        mail again: of --tenant, or whoever's it is\n"
    "  import FILE              one address a line, or CSV as export writes "
    "it; -: input\n"
    "  export                   all of it as CSV\n"
    "\n"
    "  -t, --tenant NAME        only mail of this tenant (\"\": mail without "
    "one)\n"
    "  -C, --class CLASS        what the sender is told (manual)\n"
    "  -R, --reason TEXT        why, for the list and the timeline\n"
    "  -f, --for DURATION       for so long, e.g. \"90 days\"\n"
    "  -u, --until TIME         until 2026-11-21 or 2026-11-21T03:24:00Z\n"
    "  -d, --domain DOMAIN      list, export: only addresses of this domain\n"
    "  -n, --limit N            list: at most so many\n"
    "  -N, --dry-run            add, remove, import: say what would change\n"
    "\n"
    "Without --tenant an entry holds for everybody's mail. An import with "
    "a line\nthat is wrong changes nothing.";

static int wrong(struct command *c, const struct err *err)
{
	return cli_fail(c->cli, EX_USAGE, "suppression: %s", err->text);
}

/* ---- options ---- */

static const struct option longs[] = {
    {"tenant", required_argument, NULL, 't'},
    {"class", required_argument, NULL, 'C'},
    {"reason", required_argument, NULL, 'R'},
    {"for", required_argument, NULL, 'f'},
    {"until", required_argument, NULL, 'u'},
    {"domain", required_argument, NULL, 'd'},
    {"limit", required_argument, NULL, 'n'},
    {"dry-run", no_argument, NULL, 'N'},
    {"queue-file", required_argument, NULL, 'q'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static bool read_for(struct command *c, const char *text, struct err *err)
{
	struct duration d;

	if (!duration_parse(text, &d, err))
		return err_prefix(err, "--for");
	if (d.ms < 1000)
		return err_set(
		    err, ERR_PERM, "--for: expected a second at least");
	c->until = clock_unix() + d.ms / 1000;
	return true;
}

static bool read_until(struct command *c, const char *text, struct err *err)
{
	if (!suppression_time_parse(text, &c->until, err))
		return err_prefix(err, "--until");
	return c->until > clock_unix() ||
	       err_set(err, ERR_PERM, "--until: \"%.40s\" is over", text);
}

static bool read_option(
    struct command *c, int letter, const char *value, struct err *err)
{
	switch (letter) {
	case 't':
		c->tenant = value;
		return true;
	case 'C':
		c->class = value;
		return true;
	case 'R':
		c->reason = value;
		return true;
	case 'f':
		return read_for(c, value, err);
	case 'u':
		return read_until(c, value, err);
	case 'd':
		c->domain = value;
		return true;
	case 'n':
		return (str_to_int(value, &c->limit) && c->limit > 0) ||
		       err_set(err, ERR_PERM,
			   "--limit: expected a number above 0, got \"%.40s\"",
			   value);
	case 'N':
		c->dry_run = true;
		return true;
	case 'q':
		c->cli->queue = value;
		return true;
	case 'j':
		c->cli->json = true;
		return true;
	}
	return err_set(err, ERR_PERM,
	    "no such option here, or it needs a value; see penstock "
	    "suppression --help");
}

/* argv: the word after `suppression`, and what follows it. */
static bool read_options(
    struct command *c, int argc, char **argv, bool *wants_help, struct err *err)
{
	int letter;

	optind = 0; /* getopt(3) of glibc begins anew */
	opterr = 0;
	while ((letter = getopt_long(
		    argc, argv, ":t:C:R:f:u:d:n:Nq:jh", longs, NULL)) != -1) {
		*wants_help = *wants_help || letter == 'h';
		if (letter == 'h')
			continue;
		if (!read_option(c, letter, optarg, err))
			return letter != '?' && letter != ':'
				   ? false
				   : err_prefix(err, "%s", argv[optind - 1]);
	}
	c->arguments = argv + optind;
	c->count = argc - optind;
	return true;
}

/* ---- looking ---- */

struct rows {
	struct command *c;
	size_t count;
};

static bool list_row(const struct value *row, void *ctx)
{
	struct rows *rows = ctx;
	FILE *out = rows->c->cli->out;
	struct arena *arena;
	char text[32];

	rows->count++;
	if (rows->c->cli->json) {
		out_json_line(out, row);
		return true;
	}
	arena = arena_new(512);
	out_text(out, suppression_key_text(row_text(row, "address"), arena));
	arena_unref(arena);
	(void)fputs("  ", out);
	if (!row_has(row, "tenant"))
		(void)fputs("everybody", out);
	else if (*row_text(row, "tenant"))
		out_text(out, row_text(row, "tenant"));
	else
		(void)fputs("no tenant", out);
	(void)fputs("  ", out);
	out_text(out, row_text(row, "record"));
	(void)fputs("  ", out);
	out_text(out, row_text(row, "class"));
	(void)fprintf(
	    out, "  since %s", out_time(text, row_int(row, "created_at")));
	if (row_has(row, "until_at"))
		(void)fprintf(
		    out, " until %s", out_time(text, row_int(row, "until_at")));
	if (row_has(row, "reason")) {
		(void)fputs("\n    ", out);
		out_text(out, row_text(row, "reason"));
	}
	(void)fputc('\n', out);
	return true;
}

static bool export_row(const struct value *row, void *ctx)
{
	struct rows *rows = ctx;
	struct arena *arena;

	if (rows->c->cli->json)
		out_json_line(rows->c->cli->out, row);
	else {
		arena = arena_new(512);
		suppression_file_row(rows->c->cli->out, row, arena);
		arena_unref(arena);
	}
	return true;
}

static int look(struct command *c, queue_row_fn *row, struct rows *rows)
{
	struct queue_selector s = {
	    .domain = c->domain, .tenant = c->tenant, .limit = c->limit};
	struct queue_access access;
	struct err err = {0};
	bool ok = true;
	int code = queue_access_open(c->cli, &access);

	if (code != EX_OK)
		return code;
	for (int i = 0; ok && (i < c->count || i == 0); i++) {
		if (c->count)
			ok = suppression_key_parse(
			    c->arguments[i], c->arena, &s.recipient, &err);
		ok = ok && queue_ask(access.conn, QUEUE_Q_SUPPRESSION, &s, row,
			       rows, &err);
	}
	queue_access_close(&access);
	return ok ? EX_OK : cli_fail_err(c->cli, &err);
}

static int run_list(struct command *c)
{
	struct rows rows = {.c = c};
	int code = look(c, list_row, &rows);

	if (code == EX_OK && !rows.count && !c->cli->json)
		(void)fputs("Nothing is suppressed.\n", c->cli->out);
	return code;
}

static int run_export(struct command *c)
{
	struct rows rows = {.c = c};

	if (!c->cli->json)
		suppression_file_header(c->cli->out);
	return look(c, export_row, &rows);
}

/* ---- changing ---- */

static const char *operator_name(struct arena *arena)
{
	const char *sudo = getenv("SUDO_USER");
	const struct passwd *user = getpwuid(getuid());

	if (sudo && *sudo)
		return arena_printf(arena, "%.60s", sudo);
	if (user)
		return arena_printf(arena, "%.60s", user->pw_name);
	return arena_printf(arena, "uid %u", (unsigned)getuid());
}

typedef bool change_fn(struct command *c, struct queue_conn *conn,
    const struct suppression_order *order, struct err *err);

static bool add_all(struct command *c, struct queue_conn *conn,
    const struct suppression_order *order, struct err *err)
{
	return queue_suppress(
	    conn, c->list.items, c->list.count, order, &c->counts, err);
}

static bool remove_all(struct command *c, struct queue_conn *conn,
    const struct suppression_order *order, struct err *err)
{
	const struct suppression_scope scope = {.tenant = c->tenant};
	const char **keys = ARENA_ARRAY(c->arena, const char *, c->list.count);

	for (size_t i = 0; i < c->list.count; i++)
		keys[i] = c->list.items[i].address;
	return queue_unsuppress(conn, keys, c->list.count,
	    c->tenant ? &scope : NULL, order, &c->counts, err);
}

/* Ctrl-Z with the writer lock would stop all mail, and Ctrl-C hide how far we
 * came. */
static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int stops[] = {SIGTSTP, SIGTTIN, SIGTTOU};

static void hold_signals(sigset_t *before)
{
	sigset_t held;

	(void)sigemptyset(&held);
	for (size_t i = 0; i < COUNT(ends); i++)
		(void)sigaddset(&held, ends[i]);
	for (size_t i = 0; i < COUNT(stops); i++)
		(void)sigaddset(&held, stops[i]);
	(void)sigprocmask(SIG_BLOCK, &held, before);
}

/* Between two steps nothing is locked: a stop takes effect here, for as long as
 * it may last. */
static bool go_on(void *ctx)
{
	sigset_t stop, held, pending;

	(void)ctx;
	(void)sigemptyset(&stop);
	for (size_t i = 0; i < COUNT(stops); i++)
		(void)sigaddset(&stop, stops[i]);
	(void)sigprocmask(SIG_UNBLOCK, &stop, &held);
	(void)sigprocmask(SIG_SETMASK, &held, NULL);
	(void)sigpending(&pending);
	for (size_t i = 0; i < COUNT(ends); i++)
		if (sigismember(&pending, ends[i]))
			return false;
	return true;
}

static void say(struct command *c)
{
	const struct suppression_counts *n = &c->counts;
	struct buf json = BUF_INIT;
	struct json_object o;

	if (!c->cli->json) {
		(void)fprintf(c->cli->out,
		    "%s%lld added, %lld changed, %lld removed\n",
		    c->dry_run ? "would be: " : "", (long long)n->added,
		    (long long)n->changed, (long long)n->removed);
		return;
	}
	json_open(&o, &json);
	json_add_bool(&o, "dry_run", c->dry_run);
	json_add_int(&o, "added", n->added);
	json_add_int(&o, "changed", n->changed);
	json_add_int(&o, "removed", n->removed);
	json_close(&o);
	out_json(c->cli->out, &json);
	buf_release(&json);
}

static int say_failed(const struct command *c, const struct err *err)
{
	const struct suppression_counts *n = &c->counts;

	if (c->dry_run || !(n->added || n->changed || n->removed))
		return cli_fail_err(c->cli, err);
	return cli_fail(c->cli, err_exit_code(err),
	    "%s; until then: %lld added, %lld changed, %lld removed; the same "
	    "order once more does the rest",
	    err->text, (long long)n->added, (long long)n->changed,
	    (long long)n->removed);
}

static bool change_queue(struct command *c, change_fn *how,
    const struct suppression_order *order, struct err *err)
{
	const struct queue_options options = {
	    .path = c->cli->queue, .program = QUEUE_TOOL};
	struct queue *queue;
	struct queue_conn *conn = NULL;
	bool done = false;

	if (!queue_open(&queue, &options, err))
		return false;
	if (queue_connect(queue, true, &conn, err)) {
		queue_set_patience(conn, PATIENCE_MS);
		done = how(c, conn, order, err);
		queue_disconnect(conn);
	}
	queue_close(queue);
	return done;
}

static int change(struct command *c, change_fn *how, const char *what)
{
	sigset_t before;
	const struct suppression_order order = {
	    .who = operator_name(c->arena),
	    .why = c->reason,
	    .what = what,
	    .dry_run = c->dry_run,
	    .go_on = go_on,
	};
	struct err err = {0};
	int code = EX_OK;

	hold_signals(&before);
	if (change_queue(c, how, &order, &err))
		say(c);
	else
		code = say_failed(c, &err);
	/* A signal that waited may end us here. */
	(void)fflush(c->cli->out);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return code;
}

static struct suppression_entry entry_like(const struct command *c)
{
	return (struct suppression_entry){
	    .scope = {.all = !c->tenant, .tenant = c->tenant ? c->tenant : ""},
	    .class = c->class ? c->class : "manual",
	    .reason = c->reason,
	    .record = "Operator",
	    .who = operator_name(c->arena),
	    .until = c->until,
	};
}

static bool read_arguments(struct command *c, struct err *err)
{
	struct suppression_entry e = entry_like(c);

	if (!c->count)
		return err_set(err, ERR_PERM, "which address?");
	for (int i = 0; i < c->count; i++) {
		if (!suppression_key_parse(
			c->arguments[i], c->arena, &e.address, err))
			return false;
		*ARRAY_ADD(&c->list) = e;
	}
	return true;
}

static int run_add(struct command *c)
{
	struct err err = {0};

	return read_arguments(c, &err) ? change(c, add_all, "added")
				       : wrong(c, &err);
}

static int run_remove(struct command *c)
{
	struct err err = {0};

	return read_arguments(c, &err) ? change(c, remove_all, "removed")
				       : wrong(c, &err);
}

static bool read_input(struct buf *out, struct err *err)
{
	char bytes[65536];
	size_t n;

	while ((n = fread(bytes, 1, sizeof bytes, stdin)) > 0) {
		buf_add(out, bytes, n);
		if (out->len > FILE_MOST)
			return err_set(err, ERR_PERM,
			    "standard input has more than %d MiB",
			    FILE_MOST >> 20);
	}
	return !ferror(stdin) ||
	       err_errno(err, ERR_TEMP, "read standard input");
}

static int run_import(struct command *c)
{
	struct suppression_entry like = entry_like(c);
	struct buf input = BUF_INIT;
	struct err err = {0};
	const char *name = c->count ? c->arguments[0] : "-";
	char *text = NULL;
	size_t len = 0;
	bool ok;
	int code;

	if (c->count != 1)
		return cli_fail(c->cli, EX_USAGE,
		    "suppression import: expected one file, or - for standard "
		    "input");
	if (str_eq(name, "-")) {
		ok = read_input(&input, &err);
		name = "standard input";
	} else {
		if (access(name, R_OK) < 0)
			return cli_fail(c->cli,
			    errno == EACCES ? EX_NOPERM : EX_NOINPUT,
			    "open %s: %s; nothing was changed", name,
			    strerror(errno));
		text = fd_read_file(name, FILE_MOST, &len, &err);
		ok = text != NULL;
	}
	ok = ok && suppression_file_read(name, text ? text : buf_str(&input),
		       text ? len : input.len, &like, c->arena, &c->list, &err);
	if (!ok)
		code = cli_fail(c->cli,
		    err.class == ERR_PERM ? EX_DATAERR : err_exit_code(&err),
		    "%s; nothing was changed", err.text);
	else
		code = change(c, add_all,
		    arena_printf(c->arena, "imported %.100s", name));
	free(text);
	buf_release(&input);
	return code;
}

static const struct {
	const char *name;
	int (*run)(struct command *c);
} commands[] = {
    {"list", run_list},
    {"add", run_add},
    {"remove", run_remove},
    {"import", run_import},
    {"export", run_export},
};

static int run(struct cli *cli)
{
	struct command c = {.cli = cli, .arena = arena_new(0)};
	const char *name = cli->argument_count ? cli->arguments[0] : "list";
	struct err err = {0};
	bool wants_help = false;
	int code = EX_USAGE;
	size_t i = 0;

	while (i < COUNT(commands) && !str_eq(commands[i].name, name))
		i++;
	if (i == COUNT(commands))
		(void)cli_fail(cli, EX_USAGE,
		    "suppression: \"%.40s\": expected list, add, remove, "
		    "import or export",
		    name);
	else if (cli->argument_count && !read_options(&c, cli->argument_count,
					    cli->arguments, &wants_help, &err))
		code = wrong(&c, &err);
	else if (wants_help)
		code = fprintf(cli->out, "%s\n", help) < 0 ? EX_IOERR : EX_OK;
	else
		code = commands[i].run(&c);
	ARRAY_FREE(&c.list);
	arena_unref(c.arena);
	return code;
}

const struct cli_command cmd_suppression = {
    .name = "suppression",
    .arguments = "[list|add|remove|import|export]",
    .summary = "Addresses that get no more mail",
    .help = help,
    .takes = CLI_VERBATIM,
    .most_arguments = -1,
    .run = run,
};
