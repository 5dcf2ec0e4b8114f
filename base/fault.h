/*
 * fault.h - places where a test may make a devel build die, stop or fail
 *
 * PENSTOCK_FAULT=name:nth:kill|stop|error[,...] in the environment acts at the
 * nth time (from 1; 0 is every time) that the point is passed: kill is SIGKILL,
 * stop is SIGSTOP, error makes FAULT_POINT true (the caller then fails as if
 * the step had).
 * Every name stands in the table of fault.c; a test visits each row and fails
 * when one is never reached.  In release builds FAULT_POINT is `false`.
 * PENSTOCK_FAULT_LOG=FILE appends the name of each point as it is passed.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/attr.h"

#ifdef ENABLE_DEVEL
bool fault_point(const char *name);
#define FAULT_POINT(name) fault_point(name)
#else
#define FAULT_POINT(name) false
#endif

struct fault_row {
	const char *name, *what;
};
extern const struct fault_row fault_rows[];
extern const size_t fault_row_count;

#endif
