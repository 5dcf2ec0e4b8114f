/*
 * inbox.h - hand work to another thread
 *
 * A queue that many may put into and one (or a pool of workers) takes from.
 * Putting an item gives it away: from then on it belongs to whoever takes it.
 * Items embed an inbox_item.  The descriptor becomes readable when something
 * is there, so a libevent loop can wait for it.
 *
 * Threads: all functions, any thread.
 */
#ifndef BASE_INBOX_H
#define BASE_INBOX_H

#include <stdint.h>

#include "base/attr.h"

struct inbox_item {
	struct inbox_item *next;
};

struct inbox;

struct inbox *inbox_new(void) MUST_USE;
void inbox_free(struct inbox *inbox);
/* Also after inbox_close: it can still be taken. */
void inbox_put(struct inbox *inbox, struct inbox_item *item);
/* A chain of items, linked by `next` and ended by NULL, which may be empty:
 * whoever waits is woken once. */
void inbox_put_all(struct inbox *inbox, struct inbox_item *first);
/* Waits until an item is there, the deadline (clock_now_ms) is past or the
 * inbox is closed and empty: then NULL.  deadline INT64_MAX: for ever; 0: do
 * not wait. */
struct inbox_item *inbox_take(struct inbox *inbox, int64_t deadline);
/* Waits until an item is there to be taken.  false: the inbox is closed and
 * empty. */
bool inbox_wait(struct inbox *inbox);
/* Everything that is there, oldest first, without waiting. */
struct inbox_item *inbox_take_all(struct inbox *inbox);
size_t inbox_count(struct inbox *inbox);
/* Wakes all who wait; what is inside can still be taken. */
void inbox_close(struct inbox *inbox);
bool inbox_closed(struct inbox *inbox);
int inbox_fd(struct inbox *inbox);

#endif
