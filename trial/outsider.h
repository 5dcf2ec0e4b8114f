/*
 * outsider.h - what strangers who want to relay are made of
 *
 * Lists of addresses, names, EHLO names, senders and recipients, from what a
 * policy speaks of (harvest.h) and what is never anybody's.  open_relay.c
 * combines them.
 *
 * Ownership: everything lives in the harvest's arena.
 */
#ifndef TRIAL_OUTSIDER_H
#define TRIAL_OUTSIDER_H

#include "trial/harvest.h"

/* The same numbers for the same seed, everywhere. */
struct dice {
	uint64_t state;
};
uint64_t dice_roll(struct dice *dice);
const char *dice_pick(struct dice *dice, const struct words *words);

struct outsiders {
	struct arena *arena;
	struct dice *dice;
	struct blocks trusted;  /* addresses in there are insiders */
	struct words addresses; /* "": a client without an address */
	struct words names, helos, senders;
	struct words
	    recipients;       /* local part and domain; the plain ones first */
	struct words outside; /* domains that are nobody's */
};

/* What the policy said about a domain that it names. */
struct named_domain {
	const char *name;
	bool listed, relay_to, routed; /* routed: allow_routed_local_part */
};

/* Is this block narrow enough to be somebody's own? */
bool block_is_own(const struct cidr *block);
/* Blocks that count as inside: those of the policy that are narrow enough, and
 * this machine. */
void outsiders_trust(struct outsiders *o, const struct blocks *named);
void outsiders_make(struct outsiders *o, const struct harvest *h,
    const struct named_domain *domains, size_t count);
bool outsiders_is_outside(const struct outsiders *o, const struct ip_addr *ip);
/* Adds, unless it is there. */
void words_add(struct arena *arena, struct words *words, const char *word);
void outsiders_release(struct outsiders *o);

#endif
