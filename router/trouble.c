/*
 * trouble.c - something that the router tries again and again, and cannot do
 */
#include "router/trouble.h"

#include <string.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"

#define AGAIN_MS (60 * 1000)

void trouble_note(
    struct trouble *trouble, const char *what, const struct queue_job *job)
{
	int64_t now = clock_now_ms();
	struct err err = job->err;

	if (job->ok) {
		if (*trouble->text)
			diag_info("queue: %s: works again", what);
		trouble->text[0] = '\0';
		return;
	}
	(void)err_prefix(&err, "%s", what);
	if (strcmp(err.text, trouble->text) != 0 ||
	    now - trouble->said_ms >= AGAIN_MS) {
		diag_warn("queue: %s", err.text);
		trouble->said_ms = now;
	}
	(void)str_copy(trouble->text, sizeof trouble->text, err.text);
}

const char *trouble_text(const struct trouble *trouble)
{
	return *trouble->text ? trouble->text : NULL;
}
