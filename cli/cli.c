/*
 * cli.c - the operator's command: options and the table of commands
 *
 * Options are rows of one table.  Those before the command's name are read
 * first, only the general ones; after it come the general ones and those that
 * the command takes.  `--queue` is both: before the command the queue's file,
 * after one that takes a selector a scheduled queue.  -q and --queue-file are
 * the file everywhere.
 */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <sysexits.h>

#include "base/cidr.h"
#include "base/diag.h"
#include "base/duration.h"
#include "base/fd.h"
#include "base/str.h"
#include "base/terminal.h"
#include "base/xalloc.h"
#include "cli/order.h"
#include "cli/output.h"

#define DEFAULT_POLICY PENSTOCK_SYSCONFDIR "/policy.lua"
#define DEFAULT_QUEUE PENSTOCK_STATEDIR "/queue.db"
#define DEFAULT_CONTROL PENSTOCK_RUNDIR "/router.sock"

static const struct cli_command *const commands[] = {
    &cmd_queue,
    &cmd_summary,
    &cmd_trace,
    &cmd_show,
    &cmd_logs,
    &cmd_rebind,
    &cmd_suppression,
    &cmd_check,
    &cmd_classify,
    &cmd_test,
    &cmd_status,
    &cmd_reload,
    &cmd_params,
    &cmd_sql,
};

enum option_id {
	OPTION_POLICY,
	OPTION_QUEUE_FILE,
	OPTION_CONTROL,
	OPTION_MILTER_CONTROL,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_DOMAIN,
	OPTION_SENDER,
	OPTION_RECIPIENT,
	OPTION_TENANT,
	OPTION_CAMPAIGN,
	OPTION_QUEUE,
	OPTION_STATE,
	OPTION_OLDER_THAN,
	OPTION_LIMIT,
	OPTION_BODY,
	OPTION_QUEUE_INTEGRITY,
	OPTION_DEADLINE,
	OPTION_VERBOSE,
	OPTION_OPEN_RELAY,
	OPTION_SEED,
	OPTION_SESSIONS,
	OPTION_TRUST,
	OPTION_FOLLOW,
	OPTION_TYPE,
	OPTION_ID,
	OPTION_SINCE,
	OPTION_UNTIL,
	OPTION_DIR,
	OPTION_ORDER,
};

static const struct option_row {
	const char *name, *argument, *help;
	unsigned takes; /* enum cli_takes; 0: for all */
	enum option_id id;
	char letter;
} rows[] = {
    {"domain", "DOMAIN", "recipients of this domain", CLI_SELECTOR,
	OPTION_DOMAIN, 'd'},
    {"sender", "ADDRESS", "mail from this sender", CLI_SELECTOR | CLI_LOGS,
	OPTION_SENDER, 's'},
    {"recipient", "ADDRESS", "mail to this recipient", CLI_SELECTOR | CLI_LOGS,
	OPTION_RECIPIENT, 'r'},
    {"tenant", "NAME", "mail of this tenant", CLI_SELECTOR | CLI_LOGS,
	OPTION_TENANT, 't'},
    {"campaign", "NAME", "mail of this campaign", CLI_SELECTOR, OPTION_CAMPAIGN,
	'C'},
    {"queue", "NAME", "mail in this scheduled queue", CLI_SELECTOR | CLI_LOGS,
	OPTION_QUEUE, 'Q'},
    {"state", "STATE", "queued, leased (being delivered) or held", CLI_SELECTOR,
	OPTION_STATE, 'S'},
    {"older-than", "DURATION", "received before, e.g. 2h or \"3 days\"",
	CLI_SELECTOR, OPTION_OLDER_THAN, 'o'},
    {"limit", "N", "at most this many recipients", CLI_SELECTOR, OPTION_LIMIT,
	'n'},
    {"body", NULL, "the message itself, as it would be sent", CLI_BODY,
	OPTION_BODY, 'b'},
    {"queue-integrity", NULL, "check the queue's file, not the policy",
	CLI_QUEUE_INTEGRITY, OPTION_QUEUE_INTEGRITY, 'i'},
    {"deadline", "SECONDS", "end a test that takes longer (60)", CLI_TEST,
	OPTION_DEADLINE, 'D'},
    {"verbose", NULL, "show the operator's lines of all tests", CLI_TEST,
	OPTION_VERBOSE, 'v'},
    {"open-relay", NULL, "try to relay as a stranger, thousands of times",
	CLI_TEST, OPTION_OPEN_RELAY, 'R'},
    {"seed", "N", "for --open-relay: which sessions (1)", CLI_TEST, OPTION_SEED,
	's'},
    {"sessions", "N", "for --open-relay: how many, at least (2000)", CLI_TEST,
	OPTION_SESSIONS, 'n'},
    {"trust", "CIDR", "for --open-relay: insiders are here, too", CLI_TEST,
	OPTION_TRUST, 't'},
    {"follow", NULL, "go on with what is written from now on", CLI_LOGS,
	OPTION_FOLLOW, 'f'},
    {"type", "TYPE,...", "records of these types, e.g. Bounce,OOB", CLI_LOGS,
	OPTION_TYPE, 'T'},
    {"id", "ID", "records of this message (or the id's first digits)", CLI_LOGS,
	OPTION_ID, 'i'},
    {"since", "TIME", "\"10 mins\" (ago), 2026-11-21, \"2026-11-21 03:24\"",
	CLI_LOGS, OPTION_SINCE, 'S'},
    {"until", "TIME", "the same, for the end", CLI_LOGS, OPTION_UNTIL, 'U'},
    {"dir", "DIR", "logs that are here, not where the policy says", CLI_LOGS,
	OPTION_DIR, 'd'},

    {"set", "NAME=VALUE", "metadata to set, or for the event", CLI_ORDER,
	OPTION_ORDER, 'k'},
    {"event", NULL, "run the policy's rebind_message", CLI_ORDER, OPTION_ORDER,
	'e'},
    {"flush", NULL, "due now, also where the queue stays", CLI_ORDER,
	OPTION_ORDER, 'f'},
    {"no-log", NULL, "no record AdminRebind", CLI_ORDER, OPTION_ORDER, 'L'},
    {"dry-run", NULL, "only count what is selected", CLI_ORDER, OPTION_ORDER,
	'N'},
    {"reason", "TEXT", "why, for the records", CLI_ORDER, OPTION_ORDER, 'w'},

    {"policy", "FILE", "the policy", 0, OPTION_POLICY, 'p'},
    {"queue", "FILE", "the queue's file; before COMMAND", 0, OPTION_QUEUE_FILE,
	'q'},
    {"queue-file", "FILE", NULL, 0, OPTION_QUEUE_FILE, 0},
    {"control", "SOCKET", "the router's control socket", 0, OPTION_CONTROL,
	'c'},
    {"milter-control", "SOCKET", "the milter's; beside the router's", 0,
	OPTION_MILTER_CONTROL, 'm'},
    {"json", NULL, "write JSON", 0, OPTION_JSON, 'j'},
    {"help", NULL, "say what there is", 0, OPTION_HELP, 'h'},
    {"version", NULL, "say which version this is", 0, OPTION_VERSION, 'V'},
};

int cli_fail(const struct cli *cli, int code, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	(void)fflush(cli->out);
	(void)fputs("penstock: ", cli->err);
	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	terminal_write_lines(cli->err, buf_str(&text), text.len);
	(void)fputc('\n', cli->err);
	buf_release(&text);
	return code;
}

int cli_fail_err(const struct cli *cli, const struct err *err)
{
	return cli_fail(cli, err_exit_code(err), "%s", err->text);
}

/* ---- help ---- */

static void print_options(const struct cli *cli, unsigned takes, bool general)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct option_row *row = &rows[i];
		char left[40];

		if (!row->help ||
		    (general ? row->takes != 0 : !(row->takes & takes)))
			continue;
		(void)snprintf(left, sizeof left, "  -%c, --%s%s%s",
		    row->letter, row->name, row->argument ? " " : "",
		    row->argument ? row->argument : "");
		(void)fprintf(cli->out, "%-29s %s\n", left, row->help);
	}
}

static void print_usage(const struct cli *cli)
{
	(void)fputs("Usage: penstock [OPTION...] COMMAND [OPTION...] "
		    "[ARGUMENT...]\n"
		    "Looks at the queue, the policy and the daemons of "
		    "Penstock.\n\n",
	    cli->out);
	for (size_t i = 0; i < COUNT(commands); i++) {
		char left[40];

		(void)snprintf(left, sizeof left, "  %s %s", commands[i]->name,
		    commands[i]->arguments);
		(void)fprintf(
		    cli->out, "%-29s %s\n", left, commands[i]->summary);
	}
	(void)fputs("\nOptions:\n", cli->out);
	print_options(cli, 0, true);
	(void)fputs("\nSELECTOR, all that are given must agree:\n"
		    "  ID                          of the message, or its "
		    "first digits (at least 6)\n",
	    cli->out);
	print_options(cli, CLI_SELECTOR, false);
	(void)fprintf(cli->out,
	    "\nDefaults:\n"
	    "  --policy                    %s\n"
	    "  --queue                     %s\n"
	    "  --control                   %s\n"
	    "\n-q, --queue-file name the queue's file also after COMMAND.\n"
	    "`penstock COMMAND --help` tells more.\n",
	    DEFAULT_POLICY, DEFAULT_QUEUE, DEFAULT_CONTROL);
}

static void print_command_help(
    const struct cli *cli, const struct cli_command *command)
{
	(void)fprintf(cli->out, "Usage: penstock [OPTION...] %s %s\n%s.\n",
	    command->name, command->arguments, command->summary);
	if (command->help)
		(void)fprintf(cli->out, "%s\n", command->help);
	(void)fputs("\nOptions:\n", cli->out);
	print_options(cli, command->takes, false);
	print_options(cli, 0, true);
}

/* ---- reading options ---- */

static bool read_duration(
    const struct cli *cli, const char *text, int64_t *seconds)
{
	struct duration d;
	struct err err = {0};

	if (duration_parse(text, &d, &err)) {
		*seconds = d.ms / 1000;
		return true;
	}
	(void)cli_fail(cli, EX_USAGE, "--older-than: %s", err.text);
	return false;
}

static bool read_seconds(const struct cli *cli, const char *text, int64_t *ms)
{
	int64_t n;

	if (str_to_int(text, &n) && n > 0 && n <= 86400) {
		*ms = n * 1000;
		return true;
	}
	(void)cli_fail(cli, EX_USAGE,
	    "--deadline: expected seconds from 1 to 86400, got \"%.40s\"",
	    text);
	return false;
}

static bool read_number(const struct cli *cli, const struct option_row *row,
    const char *text, int64_t *out)
{
	if (str_to_int(text, out) && *out > 0 && *out <= 10000000)
		return true;
	(void)cli_fail(cli, EX_USAGE,
	    "--%s: expected a number from 1 to 10000000, got \"%.40s\"",
	    row->name, text);
	return false;
}

static bool read_trust(struct cli *cli, const char *text)
{
	struct cidr block;
	struct err err = {0};

	if (!cidr_parse(text, &block, &err)) {
		(void)cli_fail(cli, EX_USAGE, "--trust: %s", err.text);
		return false;
	}
	if (cli->test.trusted_count == COUNT(cli->test.trusted)) {
		(void)cli_fail(cli, EX_USAGE, "--trust: at most %zu of them",
		    COUNT(cli->test.trusted));
		return false;
	}
	cli->test.trusted[cli->test.trusted_count++] = text;
	return true;
}

static bool read_state(const struct cli *cli, const char *text)
{
	static const char *const states[] = {"queued", "leased", "held"};

	for (size_t i = 0; i < COUNT(states); i++) {
		if (str_eq(states[i], text))
			return true;
	}
	(void)cli_fail(cli, EX_USAGE,
	    "--state: expected queued, leased or held, got \"%.40s\"", text);
	return false;
}

static bool read_option(
    struct cli *cli, const struct option_row *row, const char *value)
{
	struct queue_selector *s = &cli->selector;

	switch (row->id) {
	case OPTION_POLICY:
		cli->policy = value;
		return true;
	case OPTION_QUEUE_FILE:
		cli->queue = value;
		return true;
	case OPTION_CONTROL:
		cli->control = value;
		return true;
	case OPTION_MILTER_CONTROL:
		cli->milter_control = value;
		return true;
	case OPTION_JSON:
		cli->json = true;
		return true;
	case OPTION_DOMAIN:
		s->domain = value;
		return true;
	case OPTION_SENDER:
		/* As people write the null sender. */
		s->sender = str_eq(value, "<>") ? "" : value;
		return true;
	case OPTION_RECIPIENT:
		s->recipient = value;
		return true;
	case OPTION_TENANT:
		s->tenant = value;
		return true;
	case OPTION_CAMPAIGN:
		s->campaign = value;
		return true;
	case OPTION_QUEUE:
		s->queue = value;
		if (*value != '/' && *value != '.')
			return true;
		(void)cli_fail(cli, EX_USAGE,
		    "--queue after the command names a scheduled queue; put "
		    "the file's before the command, or use -q");
		return false;
	case OPTION_STATE:
		s->state = value;
		return read_state(cli, value);
	case OPTION_OLDER_THAN:
		return read_duration(cli, value, &s->older_than);
	case OPTION_LIMIT:
		if (str_to_int(value, &s->limit) && s->limit > 0)
			return true;
		(void)cli_fail(cli, EX_USAGE,
		    "--limit: expected a number above 0, got \"%.40s\"", value);
		return false;
	case OPTION_BODY:
		cli->body = true;
		return true;
	case OPTION_QUEUE_INTEGRITY:
		cli->queue_integrity = true;
		return true;
	case OPTION_DEADLINE:
		return read_seconds(cli, value, &cli->test.deadline_ms);
	case OPTION_VERBOSE:
		cli->test.verbose = true;
		return true;
	case OPTION_OPEN_RELAY:
		cli->test.open_relay = true;
		return true;
	case OPTION_SEED:
		return read_number(cli, row, value, &cli->test.seed);
	case OPTION_SESSIONS:
		return read_number(cli, row, value, &cli->test.sessions);
	case OPTION_TRUST:
		return read_trust(cli, value);
	case OPTION_FOLLOW:
		cli->logs.follow = true;
		return true;
	case OPTION_TYPE:
		cli->logs.types = value;
		return true;
	case OPTION_ID:
		s->id = value;
		return true;
	case OPTION_SINCE:
		cli->logs.since = value;
		return true;
	case OPTION_UNTIL:
		cli->logs.until = value;
		return true;
	case OPTION_DIR:
		cli->logs.dir = value;
		return true;
	case OPTION_ORDER:
		return order_option(cli, row->name, value);
	case OPTION_HELP:
	case OPTION_VERSION:
		break;
	}
	return true;
}

enum parsed { PARSED, PARSED_HELP, PARSED_VERSION, PARSED_WRONG };

static bool named_before(
    const struct option *longs, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (str_eq(longs[i].name, name))
			return true;
	}
	return false;
}

/* Reads the options that `takes` allows, leaves optind at the first argument.
 * `stop`: at the first that is no option. */
static enum parsed read_options(
    struct cli *cli, int argc, char **argv, unsigned takes, bool stop)
{
	struct option longs[COUNT(rows) + 1] = {0};
	const struct option_row *by_index[COUNT(rows)], *by_letter[256] = {0};
	char shorts[2 * COUNT(rows) + 3];
	size_t count = 0, len = 0;
	int c, index;

	if (stop)
		shorts[len++] = '+';
	shorts[len++] = ':';
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct option_row *row = &rows[i];

		if (row->takes && !(row->takes & takes))
			continue;
		if (row->letter) {
			by_letter[(unsigned char)row->letter] = row;
			shorts[len++] = row->letter;
			if (row->argument)
				shorts[len++] = ':';
		}
		if (named_before(longs, count, row->name))
			continue;
		by_index[count] = row;
		longs[count].name = row->name;
		longs[count].has_arg =
		    row->argument ? required_argument : no_argument;
		longs[count++].val = 256;
	}
	shorts[len] = '\0';
	optind = 0; /* getopt(3) of glibc begins anew */
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, &index)) != -1) {
		const struct option_row *row;

		if (c == '?' || c == ':') {
			(void)cli_fail(cli, EX_USAGE,
			    c == '?' ? "%s: no such option here, see --help"
				     : "%s: needs a value",
			    argv[optind - 1]);
			return PARSED_WRONG;
		}
		row = c == 256 ? by_index[index] : by_letter[c];
		if (row->id == OPTION_HELP)
			return PARSED_HELP;
		if (row->id == OPTION_VERSION)
			return PARSED_VERSION;
		if (!read_option(cli, row, optarg))
			return PARSED_WRONG;
	}
	return PARSED;
}

static const struct cli_command *find_command(
    const struct cli *cli, const char *name)
{
	const struct cli_command *near = NULL;
	unsigned best = 3;

	for (size_t i = 0; i < COUNT(commands); i++) {
		unsigned distance = str_distance(commands[i]->name, name, 3);

		if (distance == 0)
			return commands[i];
		if (distance < best) {
			best = distance;
			near = commands[i];
		}
	}
	if (near)
		(void)cli_fail(cli, EX_USAGE,
		    "%.40s: no such command; did you mean %s?", name,
		    near->name);
	else
		(void)cli_fail(
		    cli, EX_USAGE, "%.40s: no such command, see --help", name);
	return NULL;
}

/* ---- the program ---- */

/* The milter's control socket stands beside the router's. */
static char *beside(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return xstrdup(name);
	return xasprintf("%.*s/%s", (int)(slash - path), path, name);
}

static int run_command(struct cli *cli, const struct cli_command *command,
    int argc, char **argv, char **milter_control)
{
	if (command->takes & CLI_VERBATIM) {
		optind = 1;
		if (argc > 1 &&
		    (str_eq(argv[1], "--help") || str_eq(argv[1], "-h"))) {
			print_command_help(cli, command);
			return EX_OK;
		}
	} else {
		switch (read_options(cli, argc, argv, command->takes, false)) {
		case PARSED:
			break;
		case PARSED_HELP:
			print_command_help(cli, command);
			return EX_OK;
		case PARSED_VERSION:
			(void)fprintf(cli->out, "penstock %s\n", VERSION);
			return EX_OK;
		case PARSED_WRONG:
			return EX_USAGE;
		}
	}
	if (!cli->milter_control)
		cli->milter_control = *milter_control =
		    beside(cli->control, "milter-control.sock");
	cli->arguments = argv + optind;
	cli->argument_count = argc - optind;
	if (command->most_arguments >= 0 &&
	    cli->argument_count > command->most_arguments)
		return cli_fail(cli, EX_USAGE,
		    "%s: too many arguments: \"%.60s\"", command->name,
		    cli->arguments[command->most_arguments]);
	return command->run(cli);
}

int cli_run(int argc, char **argv, FILE *out, FILE *err)
{
	struct cli cli = {
	    .out = out,
	    .err = err,
	    .policy = DEFAULT_POLICY,
	    .queue = DEFAULT_QUEUE,
	    .control = DEFAULT_CONTROL,
	};
	const struct cli_command *command;
	char *milter_control = NULL;
	int first, code = EX_USAGE;

	switch (read_options(&cli, argc, argv, 0, true)) {
	case PARSED:
		break;
	case PARSED_HELP:
		print_usage(&cli);
		return EX_OK;
	case PARSED_VERSION:
		(void)fprintf(out, "penstock %s\n", VERSION);
		return EX_OK;
	case PARSED_WRONG:
		return EX_USAGE;
	}
	first = optind;
	if (first >= argc)
		return cli_fail(&cli, EX_USAGE, "which command? see --help");
	command = find_command(&cli, argv[first]);
	if (command)
		code = run_command(
		    &cli, command, argc - first, argv + first, &milter_control);
	free(milter_control);
	if (fflush(out) != 0 || ferror(out))
		return cli_fail(
		    &cli, EX_IOERR, "write output: %s", strerror(errno));
	return code;
}
