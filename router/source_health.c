/*
 * source_health.c - sources that are left alone for a while
 *
 * Only sources that failed have an entry.  A threshold of N within a period is
 * a ring of the last N times: the rule fires when the oldest of them is younger
 * than the period.
 */
#include "router/source_health.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/map.h"
#include "base/xalloc.h"

/* A threshold beyond that is as good as never. */
#define RING_MOST 1000

struct ring {
	int64_t *times; /* clock_now_ms */
	size_t size, next, count;
};

struct entry {
	int64_t until;        /* clock_now_ms; 0: not suspended */
	struct ring rings[2]; /* enum source_fault */
};

struct source_health {
	struct map *by_name;
};

struct source_health *source_health_new(void)
{
	struct source_health *h = xcalloc(1, sizeof *h);

	h->by_name = map_new();
	return h;
}

static void free_entry(void *p)
{
	struct entry *e = p;

	free(e->rings[0].times);
	free(e->rings[1].times);
	free(e);
}

void source_health_free(struct source_health *h)
{
	if (!h)
		return;
	map_free(h->by_name, free_entry);
	free(h);
}

static bool threshold_reached(
    struct ring *ring, const struct rate *rate, int64_t now)
{
	size_t size = rate->limit < RING_MOST ? (size_t)rate->limit : RING_MOST;

	if (ring->size != size) {
		free(ring->times);
		*ring = (struct ring){.size = size};
		ring->times = xcalloc(size, sizeof *ring->times);
	}
	ring->times[ring->next] = now;
	ring->next = (ring->next + 1) % size;
	if (ring->count < size)
		ring->count++;
	/* `next` is the oldest once the ring is full. */
	return ring->count == size &&
	       now - ring->times[ring->next] <= rate->period_ms;
}

bool source_health_failed(struct source_health *h,
    const struct egress_source *source, enum source_fault fault)
{
	const struct source_suspension *rule =
	    fault == SOURCE_UNPLUMBED ? &source->suspend_when_unplumbed
				      : &source->suspend_when_proxy_unhealthy;
	struct entry *e;
	int64_t now = clock_now_ms();

	if (rule->duration.ms <= 0)
		return false;
	e = map_get(h->by_name, source->name);
	if (!e) {
		e = xcalloc(1, sizeof *e);
		(void)map_put(h->by_name, source->name, e);
	}
	if (rule->trigger &&
	    !threshold_reached(&e->rings[fault], rule->trigger, now))
		return false;
	e->rings[fault].count = 0;
	e->until = now + rule->duration.ms;
	diag_warn("source %s: %s; passed over for %lld s", source->name,
	    fault == SOURCE_UNPLUMBED
		? "its source_address is not plumbed on this machine"
		: "its proxy failed",
	    (long long)(rule->duration.ms / 1000));
	return true;
}

bool source_health_suspended(struct source_health *h, const char *name)
{
	struct entry *e =
	    map_count(h->by_name) ? map_get(h->by_name, name) : NULL;

	if (!e || !e->until)
		return false;
	if (clock_now_ms() < e->until)
		return true;
	e->until = 0;
	diag_info("source %s: may be used again", name);
	return false;
}
