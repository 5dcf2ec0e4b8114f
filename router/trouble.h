/*
 * trouble.h - something that the router tries again and again, and cannot do
 *
 * Said when it begins, when the reason changes, once a minute and when it is
 * over, however often it is tried; `penstock status` shows it meanwhile.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_TROUBLE_H
#define ROUTER_TROUBLE_H

#include "router/queue_thread.h"

struct trouble {
	char text[sizeof((struct err){0}.text)]; /* empty: none */
	int64_t said_ms;
};

/* What became of a job that does `what` ("take due mail"). */
void trouble_note(
    struct trouble *trouble, const char *what, const struct queue_job *job);
/* NULL: there is none. */
const char *trouble_text(const struct trouble *trouble);

#endif
