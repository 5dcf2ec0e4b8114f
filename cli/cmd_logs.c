/*
 * cmd_logs.c - log records, as they were and as they come
 *
 * When following, signals are blocked but while waiting, so that each line is
 * whole; what is shown is flushed before each wait.  When the reader of our
 * output goes, poll(2) says so, also while nothing is written.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/terminal.h"
#include "cli/log_choice.h"
#include "cli/output.h"
#include "logs/log_setup.h"
#include "lua/script.h"

/* ---- lines ---- */

/* To a terminal: JSON with what could drive it as \uNNNN, which is the same
 * JSON. */
static void print_json(FILE *out, const char *text, size_t len)
{
	struct buf safe = BUF_INIT;

	if (out == stdout && isatty(STDOUT_FILENO)) {
		terminal_add_json(&safe, text, len);
		text = safe.data;
		len = safe.len;
	}
	(void)fwrite(text, 1, len, out);
	(void)fputc('\n', out);
	buf_release(&safe);
}

/* What a template made is the policy's affair; only a terminal is protected. */
static void print_other(FILE *out, const struct log_stream_line *line)
{
	if (out == stdout && isatty(STDOUT_FILENO))
		out_text_len(out, line->text, line->len);
	else
		(void)fwrite(line->text, 1, line->len, out);
	(void)fputc('\n', out);
}

static void print_address(FILE *out, const char *address)
{
	(void)fputc('<', out);
	out_text(out, address ? address : "");
	(void)fputc('>', out);
}

static void print_reply(FILE *out, const struct value *reply)
{
	const struct value *enhanced = value_get(reply, "enhanced_code");
	const char *content = row_text(reply, "content");

	(void)fprintf(out, " %lld", (long long)row_int(reply, "code"));
	if (enhanced && enhanced->type == VALUE_MAP)
		(void)fprintf(out, " %lld.%lld.%lld",
		    (long long)row_int(enhanced, "class"),
		    (long long)row_int(enhanced, "subject"),
		    (long long)row_int(enhanced, "detail"));
	if (content && *content) {
		(void)fputc(' ', out);
		out_text(out, content);
	}
}

static void print_text(FILE *out, const struct log_stream_line *line)
{
	const struct value *r = line->record;
	const struct value *reply = value_get(r, "response");
	const char *id = row_text(r, "id");
	size_t recipients = log_recipients(r);
	char at[32];

	(void)fprintf(out, "%s ", out_time(at, line->ms / 1000));
	out_text(out, row_text(r, "type"));
	(void)fputc(' ', out);
	out_text(out, id && *id ? id : "-");
	(void)fputc(' ', out);
	print_address(out, row_text(r, "sender"));
	(void)fputc(' ', out);
	print_address(out, recipients ? log_recipient(r, 0) : NULL);
	if (recipients > 1)
		(void)fprintf(out, " (and %zu more)", recipients - 1);
	if (reply && reply->type == VALUE_MAP)
		print_reply(out, reply);
	(void)fputc('\n', out);
}

static void print_line(
    const struct cli *cli, const struct log_stream_line *line)
{
	if (!line->record)
		print_other(cli->out, line);
	else if (cli->json)
		print_json(cli->out, line->text, line->len);
	else
		print_text(cli->out, line);
}

/* ---- waiting ---- */

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

/* Out: the mask to wait with. */
static void catch_signals(sigset_t *open)
{
	struct sigaction action = {.sa_handler = interrupt};
	sigset_t blocked;

	interrupted = 0;
	(void)sigemptyset(&blocked);
	(void)sigaddset(&blocked, SIGINT);
	(void)sigaddset(&blocked, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &blocked, open);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
}

/* False: it is over. */
static bool wait_for_more(const struct cli *cli,
    const struct log_choice *choice, const struct log_stream *stream,
    const sigset_t *open)
{
	int64_t left = choice->until_ms == INT64_MAX
			   ? INT64_MAX
			   : choice->until_ms - clock_unix_ms();
	struct timespec most = {left / 1000, left % 1000 * 1000000};
	struct pollfd fds[] = {
	    {.fd = log_stream_fd(stream), .events = POLLIN},
	    {.fd = fileno(cli->out)},
	};

	if (left < 0 || log_stream_dirs(stream) == 0)
		return false;
	if (ppoll(fds, 2, left == INT64_MAX ? NULL : &most, open) < 0)
		return errno == EINTR && !interrupted;
	return !fds[1].revents && !interrupted;
}

/* ---- the command ---- */

static int show(const struct cli *cli, const struct log_choice *choice,
    struct log_stream *stream)
{
	int code = EX_OK;
	sigset_t open;

	if (cli->logs.follow)
		catch_signals(&open);
	while (!ferror(cli->out)) {
		struct log_stream_line line;
		struct err err = {0};

		switch (log_stream_next(stream, &line, &err)) {
		case LOG_READ_LINE:
			if (log_choice_wants(choice, &line))
				print_line(cli, &line);
			break;
		case LOG_READ_FAILED:
			code = cli_fail_err(cli, &err);
			break;
		case LOG_READ_END:
			if (!cli->logs.follow || fflush(cli->out) != 0 ||
			    !wait_for_more(cli, choice, stream, &open))
				return code;
			break;
		}
	}
	return code;
}

static int add_dir(
    const struct cli *cli, struct log_stream *stream, const char *dir)
{
	struct err err = {0};

	if (log_stream_add(stream, dir, &err))
		return EX_OK;
	return cli_fail(cli, access(dir, F_OK) < 0 ? EX_NOINPUT : EX_NOPERM,
	    "%s", err.text);
}

static int add_loggers(const struct cli *cli, struct log_stream *stream,
    const struct logger_settings *loggers, size_t count)
{
	int code = EX_OK, failed;

	for (size_t i = 0; i < count; i++) {
		const char *last = NULL;

		for (int type = 0; type < LOG_TYPE_COUNT; type++) {
			const char *dir = loggers[i].per_record[type].log_dir;

			if (!loggers[i].per_record[type].enabled)
				continue;
			dir = dir ? dir : loggers[i].log_dir;
			if (str_eq(dir, last))
				continue;
			last = dir;
			failed = add_dir(cli, stream, dir);
			if (failed != EX_OK)
				code = failed;
		}
	}
	return code;
}

/* The directories that the policy's loggers write to. */
static int add_policy(const struct cli *cli, struct log_stream *stream)
{
	struct script_options options = {
	    .path = cli->policy, .role = SCRIPT_CHECK, .threads = 1};
	const struct policy_setup *setup;
	struct script_policy *policy = NULL;
	struct logger_settings *loggers;
	struct arena *arena;
	struct err err = {0};
	int code = EX_CONFIG;

	if (!script_policy_load(&policy, &options, &err))
		return cli_fail(cli, EX_CONFIG,
		    "%s (--dir reads logs without the policy)", err.text);
	setup = script_policy_setup(policy);
	arena = arena_new(0);
	if (!log_setup_read((const struct log_config *const *)setup->logs,
		setup->log_count, arena, &loggers, &err))
		(void)cli_fail(cli, EX_CONFIG, "%s", err.text);
	else if (setup->log_count == 0)
		(void)cli_fail(cli, EX_CONFIG,
		    "%s: no log is configured (kumo.configure_local_logs)",
		    cli->policy);
	else
		code = add_loggers(cli, stream, loggers, setup->log_count);
	arena_unref(arena);
	script_policy_unref(policy);
	return code;
}

static int run(struct cli *cli)
{
	struct log_choice choice;
	struct log_stream *stream;
	struct err err = {0};
	int added, shown;

	if (!log_choice_read(cli, &choice))
		return EX_USAGE;
	stream = log_stream_new(choice.since_ms, choice.until_ms);
	if (cli->logs.follow && !log_stream_follow(stream, &err)) {
		log_stream_free(stream);
		return cli_fail_err(cli, &err);
	}
	added = cli->logs.dir ? add_dir(cli, stream, cli->logs.dir)
			      : add_policy(cli, stream);
	shown = log_stream_dirs(stream) ? show(cli, &choice, stream) : EX_OK;
	log_stream_free(stream);
	return shown != EX_OK ? shown : added;
}

const struct cli_command cmd_logs = {
    .name = "logs",
    .arguments = "[--follow] [OPTION...]",
    .summary = "What happened to mail: log records",
    .help = "Records of both daemons in the order of time, a line each: time, "
	    "type, id, sender,\nrecipient, code and text. With --json the "
	    "record itself. Lines that a template of\nthe policy made are "
	    "shown as they are, unless records of a kind are asked for.",
    .takes = CLI_LOGS,
    .run = run,
};
