/*
 * harvest.h - the names and addresses that a policy speaks of
 *
 * Who wants to cheat a policy tries what stands in it.  Reads the policy's
 * file, the modules beside it that it requires and the data files that it
 * names, and keeps what stands in quotes (of data files, every word): domains,
 * blocks of addresses, other words.  A Lua pattern gives up its name:
 * '%.partner%.example$' is x.partner.example.
 *
 * Nothing here decides anything: what is missed is not tried, what is no domain
 * is tried in vain.
 */
#ifndef TRIAL_HARVEST_H
#define TRIAL_HARVEST_H

#include "base/arena.h"
#include "base/cidr.h"
#include "base/err.h"

struct words {
	const char **items;
	size_t count, size;
};

struct blocks {
	struct cidr *items;
	size_t count, size;
};

struct harvest {
	struct arena *arena;
	struct words domains; /* lower case */
	struct words words;   /* also names in code, such as table keys */
	struct blocks blocks; /* single addresses are /32 and /128 */
	struct words files;   /* read so far */
};

/* At most 200 domains, 400 words, 200 blocks of 64 files. */
bool harvest_policy(struct harvest *h, const char *path, struct err *err)
    MUST_USE;
/* One text; is_lua: only what is quoted counts. */
void harvest_text(struct harvest *h, const char *text, bool is_lua);
void harvest_add_block(struct harvest *h, const struct cidr *block);
bool harvest_has_domain(const struct harvest *h, const char *domain);
void harvest_release(struct harvest *h);

#endif
