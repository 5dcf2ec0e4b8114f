/*
 * suspects.c - messages over which routers died are tried one at a time
 */
#include "router/suspects.h"

#include "base/xalloc.h"
#include "router/outcome.h"
#include "router/ready_message.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

struct suspects {
	struct router *r;
	const struct ready_message *tried; /* NULL: none */
	struct list waiting;               /* struct ready_message */
	struct loop_deferred next;
};

static bool may_go_on(const struct suspects *s)
{
	return !(s->r->holds & (HOLD_STOPPING | HOLD_POISON));
}

static void run_next(struct loop_deferred *d)
{
	struct suspects *s = CONTAINER_OF(d, struct suspects, next);

	while (!s->tried && !list_empty(&s->waiting)) {
		struct ready_message *rm =
		    LIST_ITEM(s->waiting.next, struct ready_message, link);

		list_remove(&rm->link);
		if (may_go_on(s))
			scheduled_queue_dispatch(rm->sq, rm);
		else
			outcome_return_waiting(s->r->outcomes, rm);
	}
	router_progress(s->r);
}

struct suspects *suspects_new(struct router *r)
{
	struct suspects *s = xcalloc(1, sizeof *s);

	s->r = r;
	list_init(&s->waiting);
	loop_deferred_init(&s->next, run_next);
	return s;
}

void suspects_free(struct suspects *s)
{
	free(s);
}

bool suspects_take(struct suspects *s, struct ready_message *rm)
{
	if (!ready_message_suspected(rm))
		return false;
	if (!s->tried)
		s->tried = rm;
	if (s->tried == rm)
		return false;
	list_add_tail(&s->waiting, &rm->link);
	return true;
}

void suspects_settled(struct suspects *s, const struct ready_message *rm)
{
	if (s->tried != rm)
		return;
	s->tried = NULL;
	if (!list_empty(&s->waiting))
		loop_defer(s->r->loop, &s->next);
}

bool suspects_wait(const struct suspects *s)
{
	return !list_empty(&s->waiting);
}
