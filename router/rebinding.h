/*
 * rebinding.h - waiting messages go to other queues, because an operator says
 * so
 *
 * Policy language, 17.4.  Each message is leased, then the event rebind_message
 * is run with the order's data, or the data is copied into its metadata; what
 * comes of it is written back.  A message whose queue changed is due there at
 * once, with a record AdminRebind; into `null` it goes altogether.  Without a
 * handler, or with one that fails, the message stays as it was and is counted
 * in `failed`.
 *
 * What is held or being tried is left alone.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_REBINDING_H
#define ROUTER_REBINDING_H

#include "base/err.h"
#include "base/value.h"

struct rebindings;
struct router;

struct rebind_order {
	/* Messages; they and all else live until done(). */
	const char *const *ids;
	size_t count;
	struct value data;  /* VALUE_MAP of strings */
	const char *reason; /* with who gave the order, for records */
	bool event;         /* ask rebind_message instead of copying */
	bool flush;         /* due now, also where the queue stays */
	bool record;        /* AdminRebind */
	/* What became of it.  A message whose recipients differ in queue,
	 * attempts or due time counts more than once. */
	size_t rebound, changed, unchanged, failed;
	struct err err; /* class not ERR_NONE: nothing was done */
	/* Everything is settled. */
	void (*done)(struct rebind_order *order, void *ctx);
	void *ctx;
};

struct rebindings *rebindings_new(struct router *r) MUST_USE;
void rebindings_free(struct rebindings *b); /* with nothing under way */
void rebindings_put(struct rebindings *b, struct rebind_order *order);
/* Leases and messages of orders that are not decided. */
size_t rebindings_busy(const struct rebindings *b);

#endif
