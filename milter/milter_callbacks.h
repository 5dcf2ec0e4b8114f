/*
 * milter_callbacks.h - the smfi table
 *
 * The only file beside milter_main.c that knows libmilter: it reads arguments
 * and macros, calls the session, and says its answers.  Only the callback's own
 * thread calls smfi_*.
 */
#ifndef MILTER_MILTER_CALLBACKS_H
#define MILTER_MILTER_CALLBACKS_H

#include "milter/milter_service.h"

/* smfi_register with our table; sessions use `service` from then on. */
bool milter_register(struct service *service, struct err *err) MUST_USE;

#endif
