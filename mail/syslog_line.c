/*
 * syslog_line.c - the one line that other tools know from Postfix
 */
#include "mail/syslog_line.h"

#define REPLY_MOST 1000 /* as far as log analysers look */

/* Seconds, with as many digits as are worth reading. */
static void add_delay(struct buf *out, int64_t ms)
{
	if (ms < 0)
		ms = 0;
	if (ms < 10000)
		buf_addf(out, "%.2f", (double)ms / 1000);
	else if (ms < 100000)
		buf_addf(out, "%.1f", (double)ms / 1000);
	else
		buf_addint(out, ms / 1000);
}

void syslog_line_outcome(struct buf *out, const char *id, const char *recipient,
    const char *relay, int64_t delay_ms, const char *status,
    const struct smtp_reply *reply)
{
	char dsn[16];
	size_t reply_at;

	smtp_reply_dsn(dsn, reply);
	buf_addf(out, "%s: to=<%s>, relay=%s, delay=", id, recipient,
	    relay ? relay : "none");
	add_delay(out, delay_ms);
	buf_addf(out, ", dsn=%s, status=%s (", dsn, status);
	reply_at = out->len;
	smtp_reply_one_line(out, reply);
	if (out->len - reply_at > REPLY_MOST) {
		out->len = reply_at + REPLY_MOST;
		buf_addstr(out, "...");
	}
	buf_addch(out, ')');
}
