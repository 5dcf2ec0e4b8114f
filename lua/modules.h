/*
 * modules.h - modules in Lua that come with the program
 *
 * lua/modules/ as texts; require finds them when there is no file of that name
 * in package.path.  modules.c is made by build-aux/embed.awk.
 */
#ifndef LUA_MODULES_H
#define LUA_MODULES_H

#include <stddef.h>

struct script_module {
	const char *name; /* "policy-extras.sources" */
	const char *file; /* "policy-extras/sources.lua" */
	const char *text;
};

/* Ends with a NULL name. */
extern const struct script_module script_modules[];

#endif
