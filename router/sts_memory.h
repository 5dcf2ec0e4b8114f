/*
 * sts_memory.h - MTA-STS policies that were asked for lately
 *
 * So that a domain whose policy cannot be fetched is not asked at every turn:
 * an answer, also a bad one, is good for some minutes.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_STS_MEMORY_H
#define ROUTER_STS_MEMORY_H

#include "net/mta_sts.h"

struct router;
struct sts_memory;

struct sts_memory *sts_memory_new(struct router *r) MUST_USE;
void sts_memory_free(struct sts_memory *m); /* NULL is fine */

/* Called later, never from here.  `answer` lives during the call; its arena may
 * be referred to for longer. */
typedef void sts_memory_fn(const struct sts_answer *answer, void *ctx);
void sts_memory_ask(
    struct sts_memory *m, const char *domain, sts_memory_fn *done, void *ctx);

#endif
