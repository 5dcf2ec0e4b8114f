/*
 * inbox.c - hand work to another thread
 *
 * A list under a mutex and a condition variable.  The descriptor is an eventfd
 * that is made at once but only used after somebody asked for it, so workers
 * that wait on the condition variable pay no system call for it.  It is
 * written when the inbox becomes non-empty and read when it becomes empty:
 * `signalled` says that it holds a count.
 *
 * Waiting uses the real monotonic clock: a deadline is turned into the time
 * that remains, so that a test that moves the clock does not make us wait for
 * a day.
 *
 * Nothing here may panic while the lock is held, since a panic writes what
 * waits in diag's inbox.
 */
#include "base/inbox.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/xalloc.h"

struct inbox {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct inbox_item *first, **end;
	size_t count;
	unsigned waiting; /* threads in inbox_take, inbox_wait */
	bool closed;
	int fd;
	bool fd_wanted, signalled;
};

struct inbox *inbox_new(void)
{
	struct inbox *inbox = xcalloc(1, sizeof *inbox);
	pthread_condattr_t attr;

	inbox->end = &inbox->first;
	inbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (inbox->fd < 0)
		diag_panic("eventfd: %s", strerror(errno));
	(void)pthread_mutex_init(&inbox->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&inbox->filled, &attr);
	(void)pthread_condattr_destroy(&attr);
	return inbox;
}

void inbox_free(struct inbox *inbox)
{
	if (!inbox)
		return;
	(void)close(inbox->fd);
	(void)pthread_cond_destroy(&inbox->filled);
	(void)pthread_mutex_destroy(&inbox->lock);
	free(inbox);
}

/* With the lock held, like the next. */
static void raise_fd(struct inbox *inbox)
{
	uint64_t one = 1;
	ssize_t ignored;

	if (!inbox->fd_wanted || inbox->signalled)
		return;
	ignored = write(inbox->fd, &one, sizeof one);
	(void)ignored;
	inbox->signalled = true;
}

static void lower_fd(struct inbox *inbox)
{
	uint64_t count;
	ssize_t ignored;

	if (!inbox->signalled)
		return;
	ignored = read(inbox->fd, &count, sizeof count);
	(void)ignored;
	inbox->signalled = false;
}

static void put(struct inbox *inbox, struct inbox_item *first,
    struct inbox_item *last, size_t count)
{
	(void)pthread_mutex_lock(&inbox->lock);
	*inbox->end = first;
	inbox->end = &last->next;
	inbox->count += count;
	raise_fd(inbox);
	if (inbox->waiting && count == 1)
		(void)pthread_cond_signal(&inbox->filled);
	else if (inbox->waiting)
		(void)pthread_cond_broadcast(&inbox->filled);
	(void)pthread_mutex_unlock(&inbox->lock);
}

void inbox_put(struct inbox *inbox, struct inbox_item *item)
{
	item->next = NULL;
	put(inbox, item, item, 1);
}

void inbox_put_all(struct inbox *inbox, struct inbox_item *first)
{
	struct inbox_item *last = first;
	size_t count = 1;

	if (!first)
		return;
	for (; last->next; last = last->next)
		count++;
	put(inbox, first, last, count);
}

static struct inbox_item *take_first(struct inbox *inbox)
{
	struct inbox_item *item = inbox->first;

	if (!item)
		return NULL;
	inbox->first = item->next;
	inbox->count--;
	if (!inbox->first) {
		inbox->end = &inbox->first;
		lower_fd(inbox);
	}
	item->next = NULL;
	return item;
}

struct inbox_item *inbox_take(struct inbox *inbox, int64_t deadline)
{
	struct timespec until;
	struct inbox_item *item;
	int rc = 0;

	if (deadline != 0 && deadline != INT64_MAX)
		until = clock_timespec(deadline);
	(void)pthread_mutex_lock(&inbox->lock);
	inbox->waiting++;
	while (deadline != 0 && !inbox->first && !inbox->closed && rc == 0) {
		if (deadline == INT64_MAX)
			rc = pthread_cond_wait(&inbox->filled, &inbox->lock);
		else
			rc = pthread_cond_timedwait(
			    &inbox->filled, &inbox->lock, &until);
	}
	inbox->waiting--;
	item = take_first(inbox);
	(void)pthread_mutex_unlock(&inbox->lock);
	return item;
}

bool inbox_wait(struct inbox *inbox)
{
	bool filled;

	(void)pthread_mutex_lock(&inbox->lock);
	inbox->waiting++;
	while (!inbox->first && !inbox->closed)
		(void)pthread_cond_wait(&inbox->filled, &inbox->lock);
	inbox->waiting--;
	filled = inbox->first != NULL;
	(void)pthread_mutex_unlock(&inbox->lock);
	return filled;
}

struct inbox_item *inbox_take_all(struct inbox *inbox)
{
	struct inbox_item *first;

	(void)pthread_mutex_lock(&inbox->lock);
	first = inbox->first;
	inbox->first = NULL;
	inbox->end = &inbox->first;
	inbox->count = 0;
	lower_fd(inbox);
	(void)pthread_mutex_unlock(&inbox->lock);
	return first;
}

size_t inbox_count(struct inbox *inbox)
{
	size_t count;

	(void)pthread_mutex_lock(&inbox->lock);
	count = inbox->count;
	(void)pthread_mutex_unlock(&inbox->lock);
	return count;
}

void inbox_close(struct inbox *inbox)
{
	(void)pthread_mutex_lock(&inbox->lock);
	inbox->closed = true;
	raise_fd(inbox);
	(void)pthread_cond_broadcast(&inbox->filled);
	(void)pthread_mutex_unlock(&inbox->lock);
}

bool inbox_closed(struct inbox *inbox)
{
	bool closed;

	(void)pthread_mutex_lock(&inbox->lock);
	closed = inbox->closed;
	(void)pthread_mutex_unlock(&inbox->lock);
	return closed;
}

int inbox_fd(struct inbox *inbox)
{
	(void)pthread_mutex_lock(&inbox->lock);
	inbox->fd_wanted = true;
	if (inbox->first || inbox->closed)
		raise_fd(inbox);
	(void)pthread_mutex_unlock(&inbox->lock);
	return inbox->fd;
}
