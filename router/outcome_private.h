/*
 * outcome_private.h - what outcome.c and outcome_move.c share
 */
#ifndef ROUTER_OUTCOME_PRIVATE_H
#define ROUTER_OUTCOME_PRIVATE_H

#include "base/buf.h"
#include "router/outcome.h"
#include "router/outcome_batch.h"

struct loop_timer;

struct outcomes {
	struct router *r;
	struct outcome_batch *open; /* NULL: none */
	struct loop_timer *linger;
	int lingered;             /* times LINGER_MS passed */
	size_t under_way;         /* batches */
	size_t unsettled;         /* in open and in batches under way */
	struct buf line, headers; /* kept, to spare allocations */
	struct {
		const struct delivery_recipient **items;
		size_t count, size;
	} members; /* of a group */
	struct {
		size_t *items;
		size_t count, size;
	} groups;
};

/* The open batch; made when there is none. */
struct outcome_batch *outcomes_batch(struct outcomes *o);
/* So many verdicts were added to the open batch, which may be full now. */
void outcomes_count(struct outcomes *o, size_t more);

#endif
