/*
 * milter_macros.h - what the MTA tells besides the commands
 *
 * One table says which macros are asked for at which stage (smfi_setsymlist
 * replaces the MTA's own list, so no administrator has to set any) and is read
 * by the documentation test.  Values are read through a function, so that the
 * session needs no libmilter.
 */
#ifndef MILTER_MILTER_MACROS_H
#define MILTER_MILTER_MACROS_H

#include "base/attr.h"

struct macros {
	const char *(*get)(void *ctx, const char *name);
	void *ctx;
};

enum macro_stage {
	MACROS_CONNECT,
	MACROS_HELO,
	MACROS_MAIL,
	MACROS_RCPT,
	MACROS_DATA,
	MACROS_EOH,
	MACROS_EOM,
	MACRO_STAGES,
};

/* "j v {daemon_name} ...", as smfi_setsymlist wants it. */
extern const char *const macro_lists[MACRO_STAGES];

/* NULL when the MTA does not say or says nothing. */
const char *macro(const struct macros *macros, const char *name);

#endif
