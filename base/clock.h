/*
 * clock.h - the only source of time
 *
 * Monotonic for deadlines and waits, wall clock for what people and files see.
 * A devel build adds an offset from the file that PENSTOCK_CLOCK names (an
 * int64 of milliseconds, mapped), so that a test makes a day pass in both
 * daemons at once; release builds do not look.  A program that has no business
 * but to rehearse (penstock test) moves its own clock with clock_shift(); no
 * daemon calls it.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "base/attr.h"

int64_t clock_now_ms(void);  /* monotonic, milliseconds */
int64_t clock_unix(void);    /* wall, seconds since 1970 */
int64_t clock_unix_ms(void); /* wall, milliseconds */
/* From now on both clocks (or only the wall clock) are that much further; added
 * to what was said before.  Who is waiting already waits as long as before. */
void clock_shift(int64_t ms);
void clock_shift_wall(int64_t ms);
/* For pthread_cond_timedwait with CLOCK_MONOTONIC condition variables. */
struct timespec clock_timespec(int64_t deadline_ms);

/* "Sat, 21 Nov 2026 03:24:00 +0000", RFC 5322, always UTC. out: 40 bytes. */
char *clock_rfc5322(char out[40], int64_t unix_seconds);
/* "2026-11-21T03:24:00.123Z", RFC 3339. out: 40 bytes. */
char *clock_rfc3339(char out[40], int64_t unix_ms);

#endif
