/*
 * script_watch.h - the files that a policy is made of, and when they change
 *
 * Every ten seconds names and contents of the files are hashed; when the hash
 * differs from the last one, the daemon is told to reload.  The first hash only
 * sets the mark.
 *
 *	pattern = path with "*", "?", "[...]" and "{a,b}"; "**" + "/" stands for
 *any number of directories
 *
 * Threads: any.
 */
#ifndef LUA_SCRIPT_WATCH_H
#define LUA_SCRIPT_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "lua/script.h"

struct watch_paths {
	const char **items;
	size_t count, size;
};

/* The patterns that apply to the policy: its own, or those for its directory.
 * Free items. */
void watch_patterns(const struct script_policy *p, struct arena *arena,
    struct watch_paths *out);
/* Files that match, sorted, each once; at most 10000.  Free items. */
void watch_expand(const struct watch_paths *patterns, struct arena *arena,
    struct watch_paths *out);
/* Of names and contents. */
uint64_t watch_hash(const struct watch_paths *paths);
/* kumo.bump_config_epoch(): false when nobody listens. */
bool watch_ask_reload(void);
/* A generation is about to be read: what is there now needs no other reload. */
void watch_note_load(void);
/* The generation that is watched from now on; NULL: none. */
void watch_set_policy(struct script_policy *p);

#endif
