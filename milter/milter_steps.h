/*
 * milter_steps.h - the steps of a session, as the MTA is to answer them
 *
 * milter_session.h decides; here is what belongs around every decision: a
 * refusal passes smtp_server_rewrite_response and is recorded, local submission
 * hears nothing before its end, a connection that the policy wanted closed is
 * turned away.  milter_callbacks.c is libmilter's way in; whoever has no MTA
 * (trial/) calls the same steps.
 *
 * An answer is CONTINUE or REFUSE before the end of the message, and ACCEPT,
 * DISCARD or REFUSE there.  Texts live until the session's next step, which
 * begins with session_wake().
 */
#ifndef MILTER_MILTER_STEPS_H
#define MILTER_MILTER_STEPS_H

#include "milter/milter_session.h"

struct answer step_connect(struct session *s, const char *hostname,
    const struct sockaddr *addr, const struct macros *macros);
struct answer step_helo(
    struct session *s, const char *domain, const struct macros *macros);
/* A refused MAIL leaves no transaction behind. */
struct answer step_mail(
    struct session *s, char **argv, const struct macros *macros);
struct answer step_rcpt(
    struct session *s, char **argv, const struct macros *macros);
struct answer step_data(struct session *s);
/* After ACCEPT with s->tx->is_done ours have to be removed from the MTA's
 * envelope; then, in any case, step_done(). */
struct answer step_end(struct session *s, const struct macros *macros,
    custody_progress_fn *progress, void *progress_ctx);
/* The transaction is over. */
void step_done(struct session *s);

#endif
