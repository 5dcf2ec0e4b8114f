/*
 * shares.h - what is finite, shared among hosts that answer and those that do
 * not
 *
 * Leased messages and connections are finite, and a host that does not answer
 * holds both for as long as its timeouts last.  So each ready queue has a
 * standing, and each standing has a share that the others leave alone: however
 * many hosts are dead, those that answer and those of which nothing is known
 * find room (design, promise 5).
 *
 * Pure arithmetic; ready_queues.h keeps the sums.
 *
 * Threads: any.
 */
#ifndef ROUTER_SHARES_H
#define ROUTER_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum standing {
	STANDING_GOOD, /* answered when it was last called */
	STANDING_NEW,  /* nothing is known of it yet */
	STANDING_BAD,  /* failed when it was last called, or is silent */
	STANDING_COUNT,
};

/* Sums over all ready queues of a standing. */
struct shares {
	size_t messages[STANDING_COUNT]; /* that wait, or for which room is
					    kept */
	size_t connections[STANDING_COUNT];
};

/* Messages that one ready queue of this standing may hold; SIZE_MAX: as many as
 * its path says.  leased: recipients, in all. */
size_t shares_messages(
    const struct shares *s, enum standing standing, size_t leased);

/* May one of this standing open a connection?  open: connections now, of at
 * most `most`. */
bool shares_may_open(
    const struct shares *s, enum standing standing, size_t open, size_t most);

/* Dead hosts hold more than half of something, because so many were new: after
 * how many milliseconds without an answer an attempt is given up, and (*count)
 * how many of them.  0: none has to be. */
int64_t shares_patience_ms(const struct shares *s, size_t most, size_t *count);

/* How long a site is left alone after `failures` connections in a row that
 * failed; `limit`: consecutive_connection_failures_before_delay. */
int64_t shares_rest_ms(int64_t failures, int64_t limit);

#endif
