/*
 * queue_access.c - the queue's file, opened for looking
 *
 * The file itself is only looked at with stat(2) and access(2) here: closing a
 * descriptor of it would drop SQLite's locks (queue_db.h).
 */
#include "cli/queue_access.h"

#include <errno.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static int explain_errno(const struct cli *cli, int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return cli_fail(cli, EX_NOINPUT,
		    "there is no queue at %s: no daemon has made one yet, or "
		    "it is elsewhere (-q FILE)",
		    cli->queue);
	case EACCES:
	case EPERM:
		return cli_fail(cli, EX_NOPERM,
		    "%s: permission denied; its owner, members of its group "
		    "and root may read it",
		    cli->queue);
	default:
		return cli_fail(
		    cli, EX_IOERR, "%s: %s", cli->queue, strerror(error));
	}
}

int queue_access_open(const struct cli *cli, struct queue_access *out)
{
	struct queue_options options = {
	    .path = cli->queue,
	    .program = QUEUE_TOOL,
	    .read_only = true,
	};
	struct stat st;
	struct err err = {0};

	*out = (struct queue_access){0};
	if (stat(cli->queue, &st) < 0 || access(cli->queue, R_OK) < 0)
		return explain_errno(cli, errno);
	if (!S_ISREG(st.st_mode))
		return cli_fail(cli, EX_DATAERR,
		    "%s is no queue: it is not a regular file", cli->queue);
	if (!queue_open(&out->queue, &options, &err))
		return cli_fail_err(cli, &err);
	if (!queue_connect(out->queue, false, &out->conn, &err)) {
		queue_close(out->queue);
		return cli_fail_err(cli, &err);
	}
	return EX_OK;
}

void queue_access_close(struct queue_access *opened)
{
	queue_disconnect(opened->conn);
	queue_close(opened->queue);
}
