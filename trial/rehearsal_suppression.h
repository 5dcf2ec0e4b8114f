/*
 * rehearsal_suppression.h - what a test script says is suppressed
 *
 * A function of the table that rehearsal_core.c opens.
 */
#ifndef TRIAL_REHEARSAL_SUPPRESSION_H
#define TRIAL_REHEARSAL_SUPPRESSION_H

#include <lua.h>

/* suppress(address, tenant, class): an entry as an operator makes it; address
 * or "@domain"; tenant nil: for everybody's mail. */
int rehearsal_suppress(lua_State *L);

#endif
