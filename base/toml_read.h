/*
 * toml_read.h - what C asks of toml.cc (internal to base/)
 *
 * Plain C that a C++ compiler reads too; err.h is not.
 */
#ifndef BASE_TOML_READ_H
#define BASE_TOML_READ_H

#ifdef __cplusplus
extern "C" {
#endif

#include "base/value.h"

/* False: `why` says so. */
bool toml_read(const char *text, size_t len, struct arena *arena,
    struct value *out, char *why, size_t why_size);

#ifdef __cplusplus
}
#endif

#endif
