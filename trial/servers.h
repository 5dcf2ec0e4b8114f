/*
 * servers.h - addresses of ours that a stranger may connect to
 *
 * As the policy's listeners say: where each listens, and what blocks its `via`
 * has.  An address that stands for all of them becomes one for documentation.
 *
 * Ownership: the texts live in the harvest's arena; the caller frees the array
 * of the words.
 */
#ifndef TRIAL_SERVERS_H
#define TRIAL_SERVERS_H

#include "policy/setup.h"
#include "trial/harvest.h"

/* Adds "address:port" of at most 12, and at least one; the relay hosts of the
 * listeners go to the harvest's blocks. */
void servers_find(
    struct words *servers, struct harvest *h, const struct policy_setup *setup);

#endif
