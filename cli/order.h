/*
 * order.h - what an operator orders about mail that waits, step by step
 *
 * For the commands that steer the queue: they say what shall be done, the
 * router does it (router/steering.h), a few hundred messages at a time, until
 * all that the selector selects are through.  Ctrl-C ends it between two steps;
 * what was done stays done, and the same order again does the rest.
 */
#ifndef CLI_ORDER_H
#define CLI_ORDER_H

#include "base/buf.h"
#include "cli/cli.h"

/* What the router counted, summed over all steps. */
struct order_sum {
	int64_t messages, failed;
	struct {
		const char *name; /* "rebound": a number in the answers */
		int64_t count;
	} counts[4]; /* the first without a name ends them */
};

/* An option of orders, as it stands on the command line; false: it was wrong,
 * and said so. */
bool order_option(struct cli *cli, const char *name, const char *value)
    MUST_USE;
/* 0, or the exit code after it has said why not: the selector must say
 * something, an argument is an id. */
int order_check(struct cli *cli) MUST_USE;
/* --dry-run: counts what the selector selects, and says so. */
int order_rehearse(struct cli *cli, const char *what) MUST_USE;
/* Sends `verb` with the selector, reason, who and `members` (of a JSON object,
 * each with a comma in front) until all is done.  0 or the exit code; sum has
 * what was done in any case. */
int order_run(struct cli *cli, const char *verb, const struct buf *members,
    struct order_sum *sum) MUST_USE;

#endif
