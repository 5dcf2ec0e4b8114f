/*
 * mkman.c - a manual page from its source, for the build
 *
 *	mkman PAGE.in >PAGE
 *
 * Copies mdoc and fills in what is known elsewhere, so that no table stands in
 * two places.  A line of its own:
 *
 *	.\" @params NAME@	the rows of a constructor (policy/param.h)
 *	.\" @log-record@	the members of a log record (logs/log_record.h)
 *
 * and anywhere in a line @SYSCONFDIR@, @STATEDIR@, @RUNDIR@ and @DATADIR@, the
 * directories that the programs were built with.  A name that does not exist is
 * an error, so that a mistake does not become a manual without its table.
 */
#include <stdio.h>
#include <sysexits.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/str.h"
#include "logs/log_record.h"
#include "policy/param.h"

#define PAGE_MOST (1 << 20)

static const struct {
	const char *name, *value;
} directories[] = {
    {"@SYSCONFDIR@", PENSTOCK_SYSCONFDIR},
    {"@STATEDIR@", PENSTOCK_STATEDIR},
    {"@RUNDIR@", PENSTOCK_RUNDIR},
    {"@DATADIR@", PENSTOCK_DATADIR},
};

static const char params_marker[] = ".\\\" @params ";
static const char record_marker[] = ".\\\" @log-record@";

static void add_params(const char *name, size_t len, struct buf *out)
{
	for (size_t i = 0; i < param_set_count; i++) {
		const struct param_set *set = param_sets[i];

		if (strlen(set->name) == len &&
		    memcmp(set->name, name, len) == 0) {
			param_document(set, true, out);
			return;
		}
	}
	diag_fatal(EX_DATAERR, "@params %.*s@: there is no such constructor",
	    (int)len, name);
}

static void add_text(const char *line, size_t len, struct buf *out)
{
	const char *end = line + len;

	while (line < end) {
		size_t left = (size_t)(end - line), i = 0, n = 0;

		for (; i < COUNT(directories); i++) {
			n = strlen(directories[i].name);
			if (n <= left &&
			    memcmp(line, directories[i].name, n) == 0)
				break;
		}
		if (i < COUNT(directories)) {
			buf_addstr(out, directories[i].value);
			line += n;
			continue;
		}
		n = strspn(line + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
		if (*line == '@' && n > 0 && line[n + 1] == '@')
			diag_fatal(EX_DATAERR, "%.*s: there is no such name",
			    (int)n + 2, line);
		buf_addch(out, *line++);
	}
	buf_addch(out, '\n');
}

static void add_line(const char *line, size_t len, struct buf *out)
{
	size_t head = sizeof params_marker - 1;

	if (len > head && memcmp(line, params_marker, head) == 0 &&
	    line[len - 1] == '@')
		add_params(line + head, len - head - 1, out);
	else if (len == sizeof record_marker - 1 &&
		 memcmp(line, record_marker, len) == 0)
		log_record_document(true, out);
	else
		add_text(line, len, out);
}

int main(int argc, char **argv)
{
	struct buf out = BUF_INIT;
	struct err err = {0};
	const char *line;
	char *text;

	diag_init("mkman", true);
	if (argc != 2)
		diag_fatal(EX_USAGE, "usage: mkman PAGE.in");
	text = fd_read_file(argv[1], PAGE_MOST, NULL, &err);
	if (!text)
		diag_fatal(EX_NOINPUT, "%s", err.text);
	/* Nobody shall edit the result and lose it. */
	line = strrchr(argv[1], '/');
	buf_addf(
	    &out, ".\\\" Made by mkman from %s\n", line ? line + 1 : argv[1]);
	for (line = text; *line;) {
		size_t len = strcspn(line, "\n");

		add_line(line, len, &out);
		line += len + (line[len] == '\n');
	}
	if (fwrite(out.data, 1, out.len, stdout) != out.len ||
	    fflush(stdout) != 0)
		diag_fatal(EX_IOERR, "write standard output");
	buf_release(&out);
	free(text);
	return EX_OK;
}
