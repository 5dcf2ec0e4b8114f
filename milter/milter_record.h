/*
 * milter_record.h - what a session leaves behind: log records and lines
 *
 * A Rejection for each 4yz or 5yz, a Reception for each batch (policy language,
 * 15.3), and for the operator one line per refusal and per custody that joins
 * the MTA's queue id with ours.
 */
#ifndef MILTER_MILTER_RECORD_H
#define MILTER_MILTER_RECORD_H

#include "milter/milter_batch.h"
#include "milter/milter_session.h"

/* `command`: what is refused, "RCPT TO:<a@b>"; NULL at connect. */
void record_refusal(
    struct session *s, const struct answer *answer, const char *command);
/* After the commit, or when nothing is stored.  Batches that were dropped from
 * a transaction that is accepted otherwise also get a Bounce (D14). */
void record_receptions(
    struct session *s, const struct batches *batches, bool accepted);

#endif
