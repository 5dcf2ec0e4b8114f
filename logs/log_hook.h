/*
 * log_hook.h - records that become messages (policy language, 15.4)
 *
 * kumo.configure_log_hook: each record of an enabled type becomes a message
 * with the envelope of the record, its text as content, and the record itself
 * as metadata.  Whether it is queued, should_enqueue_log_record decides; who
 * calls that, and inserts what is wanted with the outcome that it is about, is
 * above (router/record_asks.h, milter/milter_hook.h).
 *
 * No loops: what is about such a message is never given to a hook.
 */
#ifndef LOGS_LOG_HOOK_H
#define LOGS_LOG_HOOK_H

#include "logs/log_record.h"
#include "mail/message.h"
#include "policy/log_config.h"

#define LOG_HOOK_PROTOCOL "LogRecord" /* reception_protocol of its messages */

/* Does the hook want it at all? */
bool log_hook_wants(
    const struct log_hook *hook, const struct log_record *record);
/* For a hook that makes messages. */
struct message *log_hook_message(const struct log_hook *hook,
    const struct log_record *record, const char *nodeid) MUST_USE;
/* The record as a table, for a disposition hook. */
struct value log_hook_record(const struct log_hook *hook,
    const struct log_record *record, const char *nodeid, struct arena *arena);
/* Can the queue take what the policy made of it?  ERR_PERM: it must not be
 * inserted.  *wanted false: it went to the queue `null`. */
bool log_hook_insertable(const struct message *m, bool *wanted, struct err *err)
    MUST_USE;

#endif
