/*
 * router_control.h - what a running router is asked and told
 *
 *	status	what it does, as one JSON object
 *	reload	a new generation of the policy
 *	rebind	what waits goes elsewhere (steering.h)
 *	tick	look at clock and queue now (tests move the clock)
 *	stop	as SIGTERM
 */
#ifndef ROUTER_ROUTER_CONTROL_H
#define ROUTER_ROUTER_CONTROL_H

#include "base/err.h"

struct router;

bool router_control_start(struct router *r, struct err *err) MUST_USE;
/* When the loop has ended: who asks just now still gets an answer. */
void router_control_stop(struct router *r);

#endif
