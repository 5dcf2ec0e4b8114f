/*
 * loop.c - the router's one event loop
 */
#include "router/loop.h"

#include <event2/event.h>

#include "base/diag.h"
#include "base/xalloc.h"

struct watch {
	struct event *event;
	void (*fn)(int fd, void *ctx);
	void *ctx;
	struct watch *next;
};

struct loop {
	struct event_base *base;
	struct inbox *inbox;
	struct event *inbox_event, *deferred_event;
	struct list deferred;
	struct watch *watches;
};

struct loop_timer {
	struct event *event;
	void (*fn)(void *ctx);
	void *ctx;
};

void loop_run_posted(struct loop *loop)
{
	struct inbox_item *item = inbox_take_all(loop->inbox), *next;

	for (; item; item = next) {
		struct loop_item *mine = (struct loop_item *)(void *)item;

		next = item->next;
		mine->run(mine);
	}
}

static void on_inbox(evutil_socket_t fd, short what, void *ctx)
{
	loop_run_posted(ctx);
}

static void on_deferred(evutil_socket_t fd, short what, void *ctx)
{
	struct loop *loop = ctx;
	struct list now;

	/* What is deferred meanwhile waits for the next turn, so that nobody
	 * keeps the sockets waiting. */
	if (list_empty(&loop->deferred))
		return;
	now = loop->deferred;
	now.next->prev = now.prev->next = &now;
	list_init(&loop->deferred);
	while (!list_empty(&now)) {
		struct loop_deferred *d =
		    LIST_ITEM(now.next, struct loop_deferred, link);

		list_remove(&d->link);
		d->run(d);
	}
}

struct loop *loop_new(void)
{
	struct loop *loop = xcalloc(1, sizeof *loop);
	struct event_config *config = event_config_new();

	invariant(config);
	(void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	invariant(loop->base);
	loop->inbox = inbox_new();
	list_init(&loop->deferred);
	loop->inbox_event = event_new(loop->base, inbox_fd(loop->inbox),
	    EV_READ | EV_PERSIST, on_inbox, loop);
	loop->deferred_event = event_new(loop->base, -1, 0, on_deferred, loop);
	invariant(loop->inbox_event && loop->deferred_event);
	(void)event_add(loop->inbox_event, NULL);
	return loop;
}

/* What was posted after the last turn.  Nobody runs it any more: the process
 * ends, and with it what the item holds.  Kept where it is seen not to be lost.
 */
static struct inbox_item *volatile never_run;

void loop_free(struct loop *loop)
{
	struct watch *watch, *next;

	if (!loop)
		return;
	for (watch = loop->watches; watch; watch = next) {
		next = watch->next;
		event_free(watch->event);
		free(watch);
	}
	event_free(loop->inbox_event);
	event_free(loop->deferred_event);
	event_base_free(loop->base);
	never_run = inbox_take_all(loop->inbox);
	inbox_free(loop->inbox);
	free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

void loop_post(struct loop *loop, struct loop_item *item)
{
	inbox_put(loop->inbox, &item->item);
}

void loop_deferred_init(
    struct loop_deferred *d, void (*run)(struct loop_deferred *))
{
	list_init(&d->link);
	d->run = run;
}

void loop_defer(struct loop *loop, struct loop_deferred *d)
{
	if (!list_empty(&d->link))
		return;
	list_add_tail(&loop->deferred, &d->link);
	event_active(loop->deferred_event, EV_TIMEOUT, 0);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct loop_timer *timer = ctx;

	timer->fn(timer->ctx);
}

struct loop_timer *loop_timer_new(
    struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
	struct loop_timer *timer = xcalloc(1, sizeof *timer);

	timer->fn = fn;
	timer->ctx = ctx;
	timer->event = event_new(loop->base, -1, 0, on_timer, timer);
	invariant(timer->event);
	return timer;
}

void loop_timer_set(struct loop_timer *timer, int64_t after_ms)
{
	struct timeval tv = {
	    .tv_sec = after_ms / 1000, .tv_usec = (after_ms % 1000) * 1000};

	(void)event_add(timer->event, &tv);
}

bool loop_timer_is_set(const struct loop_timer *timer)
{
	return event_pending(timer->event, EV_TIMEOUT, NULL);
}

void loop_timer_free(struct loop_timer *timer)
{
	if (!timer)
		return;
	event_free(timer->event);
	free(timer);
}

static void on_watch(evutil_socket_t fd, short what, void *ctx)
{
	struct watch *watch = ctx;

	watch->fn(fd, watch->ctx);
}

void loop_watch(
    struct loop *loop, int fd, void (*fn)(int fd, void *ctx), void *ctx)
{
	struct watch *watch = xcalloc(1, sizeof *watch);

	watch->fn = fn;
	watch->ctx = ctx;
	watch->event =
	    event_new(loop->base, fd, EV_READ | EV_PERSIST, on_watch, watch);
	invariant(watch->event);
	(void)event_add(watch->event, NULL);
	watch->next = loop->watches;
	loop->watches = watch;
}

void loop_run(struct loop *loop)
{
	(void)event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void loop_exit(struct loop *loop)
{
	(void)event_base_loopexit(loop->base, NULL);
}
