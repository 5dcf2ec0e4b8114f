/*
 * record_memory.h - answers of the policy that are alike share one record
 *
 * A policy gives thousands of domains the same egress path.  What it returned
 * twice is kept together with the record that was made of it, as long as no
 * other answer wants its place: a third one like it costs neither memory nor
 * parsing.  Another generation of the policy starts anew.
 *
 * Ownership: holds references to what it remembers.
 * Threads:   the loop's.
 */
#ifndef ROUTER_RECORD_MEMORY_H
#define ROUTER_RECORD_MEMORY_H

#include "router/policy_call.h"

struct record_memory;

struct record_memory *record_memory_new(void) MUST_USE;
void record_memory_free(struct record_memory *memory);
/* A reference, or NULL: v has to be parsed, and record_memory_keep() called. */
struct record_ref *record_memory_find(struct record_memory *memory,
    int64_t generation, const struct param_set *set, const struct value *v)
    MUST_USE;
void record_memory_keep(struct record_memory *memory, int64_t generation,
    const struct param_set *set, const struct value *v, struct record_ref *ref);

#endif
