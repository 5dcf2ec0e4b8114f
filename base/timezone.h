/*
 * timezone.h - how far a place is ahead of UTC, and when
 *
 * Reads the system's zone files (RFC 8536), because libc knows one zone a
 * process.  Past the last change that a file lists (2037 on Debian) the last
 * offset stays.
 *
 * Ownership: lives in its arena.  Threads: never changes.
 */
#ifndef BASE_TIMEZONE_H
#define BASE_TIMEZONE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct timezone_rules;

/* "Europe/Berlin"; NULL: there is no such zone. */
const struct timezone_rules *timezone_load(
    const char *name, struct arena *arena, struct err *err) MUST_USE;
/* Seconds east of UTC at that time. */
int64_t timezone_offset(
    const struct timezone_rules *rules, int64_t unix_seconds);

#endif
