/*
 * free_space.h - is there enough left of a file system?
 *
 * Counts what processes without privileges may still use.  A file system that
 * does not count inodes has enough of them, and a directory that is not there
 * is short of nothing: who writes into it makes it, or says why not.
 */
#ifndef BASE_FREE_SPACE_H
#define BASE_FREE_SPACE_H

#include <stdint.h>

#include "base/err.h"

/* `least` bytes or inodes, or `percent` of all that there are: whichever is
 * less.  All zero: nothing is demanded. */
struct free_floor {
	int64_t least;
	double percent;
};

struct free_floors {
	struct free_floor bytes, inodes;
};

/* False (ERR_TEMP): `dir` is below a floor, or cannot be asked. */
bool free_space_enough(const char *dir, const struct free_floors *floors,
    struct err *err) MUST_USE;

#endif
