/*
 * script_protect.h - files that a policy must not open
 *
 * script_protect_file() (script.h) names them; SQLite's companions of a
 * database are meant too.  Another name for the same file, a link say, is
 * recognised.
 *
 * Ownership: the names stay for the life of the process.
 * Threads:   naming before threads start; asking on any thread.
 */
#ifndef LUA_SCRIPT_PROTECT_H
#define LUA_SCRIPT_PROTECT_H

#include <stdbool.h>
#include <sys/stat.h>

/* Is it a file that script_protect_file() named? */
bool script_is_protected(const struct stat *st);

#endif
