/*
 * source_health.h - sources that are left alone for a while
 *
 * A source whose address is not on this machine, or whose proxy fails, is
 * passed over as its suspend_when_* say (policy language, 11.4).  By name, in
 * memory: a restart forgets it.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_SOURCE_HEALTH_H
#define ROUTER_SOURCE_HEALTH_H

#include "policy/egress_source.h"

struct source_health;

enum source_fault { SOURCE_UNPLUMBED, SOURCE_PROXY };

struct source_health *source_health_new(void) MUST_USE;
void source_health_free(struct source_health *h);
/* A connection failed because of the source alone.  True: it is suspended from
 * now on. */
bool source_health_failed(struct source_health *h,
    const struct egress_source *source, enum source_fault fault);
bool source_health_suspended(struct source_health *h, const char *name);

#endif
