/*
 * prelude.h - trial/prelude.lua as text
 *
 * prelude.c is made by build-aux/embed.awk.
 */
#ifndef TRIAL_PRELUDE_H
#define TRIAL_PRELUDE_H

#include "lua/modules.h"

extern const struct script_module trial_modules[];

#endif
