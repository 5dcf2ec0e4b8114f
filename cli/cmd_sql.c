/*
 * cmd_sql.c - a shell on the queue that cannot write
 *
 * The daemons' own connections lock more than sqlite3(1) does, so a plain shell
 * that writes is not safe beside them (penstock-queue(5)); one that only reads
 * is.
 */
#include <errno.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cli/queue_access.h"

static int run(struct cli *cli)
{
	size_t count = 0;
	char **argv = xcalloc((size_t)cli->argument_count + 5, sizeof *argv);
	struct queue_access access;
	/* Opened first for its clear words when that cannot be. */
	int code = queue_access_open(cli, &access);

	if (code == EX_OK) {
		queue_access_close(&access);
		argv[count++] = xstrdup("sqlite3");
		argv[count++] = xstrdup("-readonly");
		/* sqlite3 has no "--" to end its options. */
		argv[count++] = xasprintf(
		    "%s%s", *cli->queue == '-' ? "./" : "", cli->queue);
		for (int i = 0; i < cli->argument_count; i++)
			argv[count++] = xstrdup(cli->arguments[i]);
		(void)fflush(cli->out);
		(void)execvp(argv[0], argv);
		code = cli_fail(cli, EX_UNAVAILABLE, "sqlite3: %s%s",
		    strerror(errno),
		    errno == ENOENT ? " (apt-get install sqlite3)" : "");
	}
	while (count > 0)
		free(argv[--count]);
	free(argv);
	return code;
}

const struct cli_command cmd_sql = {
    .name = "sql",
    .arguments = "[STATEMENT]",
    .summary = "A read-only sqlite3 shell on the queue",
    .takes = CLI_VERBATIM,
    .most_arguments = -1,
    .run = run,
};
