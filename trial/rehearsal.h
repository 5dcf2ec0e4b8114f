/*
 * rehearsal.h - a test script, loaded, and one of its tests run
 *
 * The script's Lua state is its own (with the whole standard library: the
 * script is the author's, as a shell script would be) and never meets the
 * policy's.  `require 'penstock.test'` gives it what trial/prelude.lua builds
 * on the functions of rehearsal_core.c; penstock-test(5) is its manual.
 *
 * The world begins with the first function that needs it, so that a test may
 * set clock, policy and zone before.
 *
 * Ownership: texts of a verdict live as long as the script.
 * Threads:   one.
 */
#ifndef TRIAL_REHEARSAL_H
#define TRIAL_REHEARSAL_H

#include <stdint.h>

#include "base/err.h"

struct rehearsal;

struct rehearsal_settings {
	const char *file;    /* the script */
	const char *policy;  /* unless the script names another; may be NULL */
	const char *dir;     /* scratch, exists */
	const char *log;     /* file with lines for the operator; NULL: none */
	int64_t deadline_ms; /* of a test that names none; real time */
};

/* Reads the file and runs it: that declares the tests.  ERR_CONFIG: it does not
 * load, with file and line. */
bool rehearsal_load(struct rehearsal **out,
    const struct rehearsal_settings *settings, struct err *err) MUST_USE;
void rehearsal_free(struct rehearsal *s); /* NULL is fine; ends the world */

size_t rehearsal_count(const struct rehearsal *s);
/* from 0 */
const char *rehearsal_test_name(const struct rehearsal *s, size_t i);
int64_t rehearsal_deadline_ms(const struct rehearsal *s, size_t i);

struct verdict {
	bool passed;
	const char *message;      /* what failed; NULL: passed */
	const char *at;           /* "file:line"; NULL: unknown */
	const char *got, *want;   /* NULL: not an expectation */
	const char *policy_error; /* the policy did not load; NULL: it did */
};
void rehearsal_run(struct rehearsal *s, size_t i, struct verdict *out);

#endif
