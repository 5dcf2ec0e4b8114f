/*
 * listing.h - rows of v_queue as mailq would show them, or as JSON
 *
 * Rows of one message follow each other, so a listing holds one message at a
 * time however long the queue is.
 *
 * JSON: one object a line for each message, a superset of `postqueue -j`:
 * queue_name (incoming, active, deferred, hold), queue_id, arrival_time,
 * message_size, forced_expire, sender, mta_queue_id, created_ms, and
 * recipients, each with address, delay_reason (absent when there is none) and
 * the columns of v_queue about it.
 */
#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include <stdio.h>

#include "base/buf.h"
#include "base/value.h"

struct listing {
	FILE *out;
	bool json;
	int64_t now; /* unix seconds */
	int64_t messages, recipients, bytes;
	/* the message at hand */
	char id[40]; /* "": none yet */
	struct buf head, list;
	int64_t active, held, deferred;
};

void listing_begin(struct listing *listing, FILE *out, bool json, int64_t now);
/* A queue_row_fn: ctx is the listing. */
bool listing_row(const struct value *row, void *ctx);
/* What is still held back, and the totals. */
void listing_end(struct listing *listing);

#endif
