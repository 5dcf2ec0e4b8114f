/*
 * cmd_queue.c - list the queue, like mailq
 */
#include <ctype.h>
#include <sysexits.h>

#include "base/clock.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/queue_access.h"

static bool selector_given(const struct queue_selector *s)
{
	return s->id || s->domain || s->sender || s->recipient || s->tenant ||
	       s->campaign || s->queue || s->state || s->older_than || s->limit;
}

static int run(struct cli *cli)
{
	struct queue_access access;
	struct listing listing;
	struct err err = {0};
	int code;
	bool ok;

	if (cli->argument_count)
		cli->selector.id = cli->arguments[0];
	code = queue_access_open(cli, &access);
	if (code != EX_OK)
		return code;
	listing_begin(&listing, cli->out, cli->json, clock_unix());
	ok = queue_ask(access.conn, QUEUE_Q_LIST, &cli->selector, listing_row,
	    &listing, &err);
	/* An empty selection of a full queue is not an empty queue. */
	if (ok && !listing.messages && !cli->json &&
	    selector_given(&cli->selector))
		(void)fputs("Nothing in the queue matches.\n", cli->out);
	else if (ok)
		listing_end(&listing);
	queue_access_close(&access);
	return ok ? EX_OK : cli_fail_err(cli, &err);
}

const struct cli_command cmd_queue = {
    .name = "queue",
    .arguments = "[SELECTOR]",
    .summary = "List the queue, like mailq",
    .help = "With --json one object a line for each message, as `postqueue "
	    "-j` writes them and more.",
    .takes = CLI_SELECTOR,
    .most_arguments = 1,
    .run = run,
};
