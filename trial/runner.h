/*
 * runner.h - test scripts, each test in a process of its own, as TAP
 *
 * The parent never loads a script or a policy: a child per script says which
 * tests there are, then a child per test runs it.  So nothing that a test did
 * is left for the next one, a crash is one failed test, and a test without end
 * is killed.
 */
#ifndef TRIAL_RUNNER_H
#define TRIAL_RUNNER_H

#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/err.h"

#define RUNNER_DEADLINE_MS 60000

struct runner_options {
	char *const *files;
	size_t file_count;
	const char *policy;  /* NULL: none */
	int64_t deadline_ms; /* of each test */
	bool verbose;        /* lines for the operator also of what passed */
	FILE *out, *err;
};

/* 0, 1 (a test failed), EX_USAGE (a script cannot be read or does not load),
 * EX_CONFIG (a policy does not load), EX_OSERR. */
int runner_run(const struct runner_options *options) MUST_USE;

/* A directory for scratch files, below TMPDIR; the caller frees. */
char *scratch_make(struct err *err) MUST_USE;
void scratch_remove(const char *dir);

#endif
