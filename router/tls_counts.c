/*
 * tls_counts.c - how TLS went with whom, for reports
 *
 * A row in memory is found by its text, "day domain policy host result".  A
 * batch is what the queue writer has; one that it could not commit is added
 * again to what is counted.
 */
#include "router/tls_counts.h"

#include <inttypes.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "queue/queue.h"
#include "router/queue_thread.h"
#include "router/ready_message.h"
#include "router/ready_queue.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

#define FLUSH_MS 60000
#define ROWS_MANY 1000 /* written at once */
#define ROWS_MOST                                                              \
	20000      /* more are not counted, while nothing can be written       \
		    */
#define LOOK_AT 32 /* messages */
#define DAY_S 86400
#define HOST_MOST 260

struct tls_counts {
	struct router *r;
	struct map *rows; /* struct queue_tls_count, in arena */
	struct arena *arena;
	int64_t flush_at; /* clock_now_ms */
	struct list batches;
	bool full; /* has been said */
};

struct batch {
	struct queue_job job;
	struct list link;
	struct tls_counts *t;
	struct arena *arena;
	struct queue_tls_count *rows;
	size_t count;
};

struct tls_counts *tls_counts_new(struct router *r)
{
	struct tls_counts *t = xcalloc(1, sizeof *t);

	t->r = r;
	t->rows = map_new();
	t->arena = arena_new(0);
	t->flush_at = clock_now_ms() + FLUSH_MS;
	list_init(&t->batches);
	return t;
}

static void batch_free(struct batch *b)
{
	list_remove(&b->link);
	arena_unref(b->arena);
	free(b);
}

void tls_counts_free(struct tls_counts *t)
{
	struct list *pos, *tmp;

	if (!t)
		return;
	LIST_EACH (pos, tmp, &t->batches)
		batch_free(LIST_ITEM(pos, struct batch, link));
	map_free(t->rows, NULL);
	arena_unref(t->arena);
	free(t);
}

static bool is_full(struct tls_counts *t)
{
	if (map_count(t->rows) < ROWS_MOST)
		return false;
	if (!t->full)
		diag_warn("TLS results: more than %d wait to be written, "
			  "others are not counted",
		    ROWS_MOST);
	t->full = true;
	return true;
}

static void add(struct tls_counts *t, const struct queue_tls_count *what)
{
	struct queue_tls_count *row;
	char key[900];

	(void)snprintf(key, sizeof key, "%" PRId64 " %.*s %s %.*s %s",
	    what->day, HOST_MOST, what->domain, what->policy, HOST_MOST,
	    what->mx, what->result);
	row = map_get(t->rows, key);
	if (!row) {
		if (is_full(t))
			return;
		row = ARENA_NEW(t->arena, struct queue_tls_count);
		*row = *what;
		row->domain = arena_strdup(t->arena, what->domain);
		row->mx = arena_strdup(t->arena, what->mx);
		row->sessions = 0;
		(void)map_put(t->rows, key, row);
	}
	row->sessions += what->sessions;
	if (what->last_at > row->last_at)
		row->last_at = what->last_at;
}

void tls_counts_add(struct tls_counts *t, const char *domain,
    enum tls_policy policy, const char *mx, enum tls_result result)
{
	int64_t now = clock_unix();
	const char *colon = strrchr(domain, ':');
	char name[HOST_MOST];

	(void)str_copy(name, sizeof name, domain);
	if (colon && *domain != '[' &&
	    strspn(colon + 1, "0123456789") == strlen(colon + 1) &&
	    (size_t)(colon - domain) < sizeof name)
		name[colon - domain] = '\0';
	add(t, &(struct queue_tls_count){.day = now / DAY_S,
		   .domain = str_lower(name),
		   .policy = tls_policy_name(policy),
		   .mx = mx ? mx : "",
		   .result = tls_result_name(result),
		   .sessions = 1,
		   .last_at = now});
}

static const char *domain_of(const struct ready_message *rm)
{
	const struct queue_name *parts = &rm->sq->parts;

	return parts->routing_domain && *parts->routing_domain
		   ? parts->routing_domain
		   : parts->domain;
}

void tls_counts_waiting(struct tls_counts *t, const struct ready_queue *rq,
    enum tls_policy policy, const char *mx, enum tls_result result)
{
	const char *domains[TLS_COUNTS_DOMAINS];
	size_t count = 0, looked = 0;
	const struct list *pos;

	for (pos = rq->waiting.next; pos != &rq->waiting && looked < LOOK_AT &&
				     count < TLS_COUNTS_DOMAINS;
	     pos = pos->next, looked++) {
		const char *domain =
		    domain_of(LIST_ITEM(pos, struct ready_message, link));
		size_t i = 0;

		while (i < count && !str_eq(domains[i], domain))
			i++;
		if (i == count)
			domains[count++] = domain;
	}
	if (count == 0)
		domains[count++] = rq->routing_domain;
	for (size_t i = 0; i < count; i++)
		tls_counts_add(t, domains[i], policy, mx, result);
}

void tls_counts_carries(struct tls_counts *t, struct tls_session *session,
    const struct ready_message *rm, struct arena *arena)
{
	const char *domain = domain_of(rm);

	for (size_t i = 0; i < session->count; i++)
		if (str_eq(session->domains[i], domain))
			return;
	if (session->count == TLS_COUNTS_DOMAINS)
		return;
	session->domains[session->count++] = arena_strdup(arena, domain);
	tls_counts_add(
	    t, domain, session->policy, session->mx, session->result);
}

/* ---- writing ---- */

static bool write_batch(struct queue_job *job, struct queue_conn *conn)
{
	struct batch *b = CONTAINER_OF(job, struct batch, job);

	return queue_tls_add(conn, b->rows, b->count, &job->err);
}

static void run_batch(struct loop_item *item)
{
	struct batch *b = CONTAINER_OF(item, struct batch, job.item);
	struct tls_counts *t = b->t;

	if (!b->job.ok) {
		diag_debug("TLS results: %s", b->job.err.text);
		for (size_t i = 0; i < b->count; i++)
			add(t, &b->rows[i]);
	} else {
		t->full = false;
	}
	batch_free(b);
}

void tls_counts_flush(struct tls_counts *t)
{
	size_t pos = 0, count = map_count(t->rows);
	const char *key;
	struct batch *b;
	void *row;

	t->flush_at = clock_now_ms() + FLUSH_MS;
	if (count == 0)
		return;
	b = xcalloc(1, sizeof *b);
	b->job.item.run = run_batch;
	b->job.work = write_batch;
	b->job.fresh = true;
	b->t = t;
	b->arena = t->arena;
	b->rows = ARENA_ARRAY(b->arena, struct queue_tls_count, count);
	while (map_each(t->rows, &pos, &key, &row))
		b->rows[b->count++] = *(struct queue_tls_count *)row;
	map_free(t->rows, NULL);
	t->rows = map_new();
	t->arena = arena_new(0);
	list_add_tail(&t->batches, &b->link);
	queue_threads_write(t->r->threads, &b->job);
}

void tls_counts_tick(struct tls_counts *t)
{
	/* While one is being written, or waits to be, no other is made. */
	if (list_empty(&t->batches) &&
	    (clock_now_ms() >= t->flush_at || map_count(t->rows) >= ROWS_MANY))
		tls_counts_flush(t);
}
