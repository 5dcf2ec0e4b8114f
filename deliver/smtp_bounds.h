/*
 * smtp_bounds.h - what one connection may hold in memory
 *
 * Whatever a peer says, however much and however slowly it reads: less than
 * SMTP_CONNECTION_MOST.  Each part is bounded where it grows, by a constant
 * that stands here or in the header of its floor; the sum is checked below, so
 * that nobody raises one of them without looking at the others.
 *
 * A message that is being delivered is not counted, it is the queue's (router.h
 * bounds how many are taken out, body.h how much of them is being read).
 *
 * Threads: constants.
 */
#ifndef DELIVER_SMTP_BOUNDS_H
#define DELIVER_SMTP_BOUNDS_H

#include "deliver/deliver.h"
#include "mail/smtp_reply.h"
#include "net/tls.h"

#define SMTP_CONNECTION_MOST ((size_t)1024 * 1024)

/* What a body_source gives at a time, at most. */
#define SMTP_CHUNK ((size_t)64 * 1024)
/* Commands that are sent before the replies to all of them are there; one
 * command more may follow. */
#define SMTP_FLIGHT_MOST ((size_t)32 * 1024)
/* Not yet taken by the socket: a chunk, and one whose every byte was doubled.
 */
#define SMTP_BACKLOG_MOST (3 * SMTP_CHUNK + (size_t)16 * 1024)
/* Of a buffer, taken by the socket and not yet moved out of the way. */
#define SMTP_COMPACT_AT ((size_t)64 * 1024)
/* Texts of replies, as they come. */
#define SMTP_HEARD_MOST ((size_t)16 * 1024)
/* Texts of replies that are kept for records, for each message. */
#define SMTP_SAID_MOST ((size_t)128 * 1024)
/* Why candidates failed, and one more reason. */
#define SMTP_REASONS_MOST ((size_t)3500)

/* Buffers grow by half, arenas by the size of a block. */
#define SMTP_BOUND_SENDING ((SMTP_BACKLOG_MOST + SMTP_COMPACT_AT) * 3 / 2)
#define SMTP_BOUND_HEARING                                                     \
	((SMTP_REPLY_LINE_MOST + SMTP_REPLY_TEXT_MAX) * 3 / 2 +                \
	    (SMTP_HEARD_MOST + SMTP_REPLY_TEXT_MAX) * 2 +                      \
	    12 * SMTP_REPLY_TEXT_MAX /* of a greeting */)
/* A certificate takes several times its length once it is read; the rest is
 * what OpenSSL needs for a connection with a record each way. */
#define SMTP_BOUND_TLS (8 * TLS_CHAIN_MOST + (size_t)96 * 1024)
#define SMTP_BOUND_PLAN                                                        \
	(DELIVERY_CANDIDATES_MOST * sizeof(struct candidate) +                 \
	    SMTP_REASONS_MOST * 3)

_Static_assert(SMTP_BOUND_SENDING + SMTP_BOUND_HEARING + SMTP_SAID_MOST +
		       SMTP_BOUND_TLS + SMTP_BOUND_PLAN <=
		   SMTP_CONNECTION_MOST,
    "a connection may hold more than is promised");

#endif
