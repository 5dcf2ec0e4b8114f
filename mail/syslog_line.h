/*
 * syslog_line.h - the one line that other tools know from Postfix
 *
 *	ID: to=<addr>, relay=host[ip]:port, delay=1.2, dsn=2.0.0,
 *	    status=sent (250 2.0.0 ok)
 */
#ifndef MAIL_SYSLOG_LINE_H
#define MAIL_SYSLOG_LINE_H

#include <stdint.h>

#include "base/buf.h"
#include "mail/smtp_reply.h"

/* status: "sent", "deferred", "bounced", "expired".  relay NULL: "none". */
void syslog_line_outcome(struct buf *out, const char *id, const char *recipient,
    const char *relay, int64_t delay_ms, const char *status,
    const struct smtp_reply *reply);

#endif
