/*
 * queue.h - the store of accepted mail, as the rest of the program sees it
 *
 * A message is here from the moment its custody is ours until it is delivered,
 * bounced, expired or removed by an operator.  Nothing of the store's make (it
 * is SQLite, queue_db.h) shows in this interface: insert a transaction's
 * batches (queue_writer.h), lease due work, settle outcomes, extend, peek.
 *
 * Durability: what is inserted, and what operators order, is on disk when the
 *	      call returns.  Outcomes may ride on a later sync: a power cut can
 *	      then repeat a delivery, never lose one.
 * Poison:     after a failed sync nothing more is acknowledged; every call is
 *	      ERR_TEMP and queue_poisoned() is true until the file was closed,
 *	      recovered alone and opened again (queue_reopen).
 * Threads:    a struct queue is shared; a struct queue_conn belongs to one
 *	      thread at a time.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "mail/message.h"
#include "mail/smtp_reply.h"

struct queue;
struct queue_conn;
struct suppression_hit; /* mail/suppression.h */

enum queue_program { QUEUE_MILTER, QUEUE_ROUTER, QUEUE_TOOL };

struct queue_options {
	const char *path;
	enum queue_program program;
	bool create;    /* make the file when it is not there (0660) */
	bool read_only; /* QUEUE_TOOL: look, never write */
	int64_t free_floor_bytes;    /* 0: 256 MiB ... */
	unsigned free_floor_percent; /* 0: ... or 5 %, whichever is less room
					demanded */
	int64_t wal_limit_bytes;     /* 0: 256 MiB */
};

/* Refuses clearly, touching nothing, what it cannot be safe with: not a
 * database of ours (ERR_PERM), a schema that is newer, a network file system, a
 * second router (ERR_CONFIG).  Older schemas are migrated.  For QUEUE_ROUTER:
 * takes the instance lock for life, takes back the leases of a dead router
 * (crashes + 1 for those that it was at, queue_attempt_begins() and
 * queue_is_at(); at 3 the recipient is held), checks `queue` and `recipient`
 * after an unclean stop. */
bool queue_open(struct queue **out, const struct queue_options *options,
    struct err *err) MUST_USE;
/* The one name of a queue that SQLite and the files beside it go by, symbolic
 * links resolved; queue_open does so itself.  The caller frees. */
char *queue_real_path(const char *path) MUST_USE;
void queue_close(struct queue *queue); /* marks the stop as clean */
const char *queue_path(const struct queue *queue);
bool queue_poisoned(const struct queue *queue);
/* Has the sync of another program failed?  Every write transaction looks, so
 * only who writes nothing for seconds has to ask.  True: queue_poisoned. */
bool queue_look_for_poison(struct queue *queue);
/* Does a router hold this file?  One fcntl(2). */
bool queue_router_runs(const struct queue *queue);
/* Is this one of the files of a queue that this process has open?  Opening and
 * closing such a file by hand drops SQLite's locks: policies' io.open and the
 * like must refuse. */
bool queue_is_file_of_queue(dev_t dev, ino_t ino);
/* After poison: all connections must be closed.  Whoever gets the file alone
 * recovers and checkpoints it completely; ERR_TEMP while another still has it
 * open, ERR_PERM when it cannot be recovered (exit 74). */
bool queue_reopen(struct queue *queue, struct err *err) MUST_USE;
/* Room on the file system and for the write-ahead log (a pinned WAL counts):
 * below the floor this is ERR_TEMP with the reason, and the milter answers 452.
 * ERR_PERM: the file is damaged (queue_check.h), and the milter answers 451.
 * Cheap: looks at most every 500 ms. */
bool queue_has_room(struct queue *queue, struct err *err) MUST_USE;
/* Who keeps the write-ahead log long (a process id), 0: nobody or unknown. */
int64_t queue_reader_pid(const struct queue *queue);
/* Where the router listens for "something was committed". */
void queue_doorbell_path(const struct queue *queue, char *out, size_t size);
/* A bound datagram socket (router), non-blocking; -1 on error. */
int queue_doorbell_listen(struct queue *queue, struct err *err) MUST_USE;
void queue_doorbell_ring(struct queue *queue);

bool queue_connect(struct queue *queue, bool writing, struct queue_conn **out,
    struct err *err) MUST_USE;
void queue_disconnect(struct queue_conn *conn);
/* A reading connection for one lookup.  ERR_TEMP when there is none before the
 * deadline, or the queue is poisoned. */
bool queue_reader_take(struct queue *queue, int64_t deadline,
    struct queue_conn **out, struct err *err) MUST_USE;
/* sound: it did what it was asked; else it is closed. */
void queue_reader_give(struct queue_conn *conn, bool sound);
/* How long a foreign writer (a shell) may make the next calls wait. Default
 * 5000 ms. */
void queue_set_patience(struct queue_conn *conn, int64_t ms);

/* ---- TLS ---- */

/* Sessions with a host that ended alike on a day (RFC 8460). */
struct queue_tls_count {
	int64_t day; /* since 1970, UTC */
	const char *domain, *policy;
	const char *mx; /* "": before there was a host */
	const char *result;
	int64_t sessions;
	int64_t last_at; /* unix seconds */
};

/* Adds to what the file has, all or nothing. */
bool queue_tls_add(struct queue_conn *conn, const struct queue_tls_count *rows,
    size_t count, struct err *err) MUST_USE;

/* ---- due work ---- */

struct queue_due {
	int64_t queue_id;
	const char *name;
	int64_t next_due; /* a lower bound, unix seconds */
};

struct queue_cursor {
	int64_t next_due, queue_id; /* {0}: from the beginning */
};

/* Scheduled queues with work due at `now`, after the cursor, at most `limit`;
 * moves the cursor, and sets it to {0} at the end.  Reads only. */
bool queue_due_list(struct queue_conn *conn, int64_t now, size_t limit,
    struct queue_cursor *cursor, struct arena *arena, struct queue_due **out,
    size_t *count, struct err *err) MUST_USE;
/* When the next work that is not yet due will be: INT64_MAX when there is none.
 * Reads only. */
bool queue_next_due(struct queue_conn *conn, int64_t now, int64_t *out,
    struct err *err) MUST_USE;

/* A scheduled queue that is not pulled from: `because` of a rate or a limit of
 * the policy, until then (unix seconds); NULL: it is no longer. */
struct queue_held {
	int64_t queue_id;
	const char *because;
	int64_t until;
};
/* Notes them for v_why, and forgets what ended before `now`. */
bool queue_hold(struct queue_conn *conn, const struct queue_held *items,
    size_t count, int64_t now, struct err *err) MUST_USE;

/* The id of the newest recipient; ids only grow.  0: none is queued. */
bool queue_last_recipient(
    struct queue_conn *conn, int64_t *out, struct err *err) MUST_USE;

/* The part of a message that all its leased recipients share. */
struct queue_message {
	int64_t message_id; /* row */
	char id[MESSAGE_ID_SIZE];
	int64_t content_id;
	struct envelope_sender sender;
	const char *meta_json;
	const char *prefix; /* headers in front of the content */
	size_t prefix_len;
	struct content_facts facts; /* of the content, without prefix */
	int64_t created_ms;
	const char *session_id, *mta_queue_id;
	const char *client_addr, *client_name, *helo, *reception_protocol;
	const char *authn_id, *listener, *hostname, *admitted_by;
	const char *scheduling; /* JSON or NULL */
	const char *header_id;  /* of its Message-ID field; NULL: none */
	/* Content of at most QUEUE_INLINE bytes comes with the lease. */
	const char *inline_content;
};

/* So many routers may die over a recipient before it is held. */
#define QUEUE_CRASHES_MOST 3

#define QUEUE_CHUNK 65536
#define QUEUE_INLINE (2 * QUEUE_CHUNK)

struct queue_lease {
	int64_t recipient_id;
	int64_t queue_id;       /* of the scheduled queue it was taken from */
	const char *queue_name; /* its name; only queue_lease_waiting() */
	const struct queue_message *message;
	struct envelope_recipient recipient;
	int attempts, crashes;
	int64_t due_at, last_attempt_at; /* last_attempt_at 0: none yet */
	int64_t expires;                 /* 0: the queue's max_age decides */
	int64_t ref;                     /* queue_history.h; 0: none */
	int last_code;                   /* of the last reply; 0: none yet */
};

/* Takes up to `limit` due recipients of each of `count` scheduled queues in one
 * transaction; recipients of one message come together, and those of the last
 * message that are due with it come along, up to QUEUE_LEASE_EXTRA beyond the
 * limit, so that they can share a transaction.  All texts live in `arena`.
 * limits[i] is per queue.  `bodies`: bytes of small content that come along,
 * more or less; others are not read.  Raises next_due. */
#define QUEUE_LEASE_EXTRA 1000
struct queue_leases {
	struct queue_lease *items;
	size_t count;
};
bool queue_lease(struct queue_conn *conn, const int64_t *queue_ids,
    const size_t *limits, size_t count, int64_t now, int64_t bodies,
    struct arena *arena, struct queue_leases *out, struct err *err) MUST_USE;
/* Takes the recipients of these messages that wait, whenever they are due.
 * What is held, or leased already, stays where it is. */
bool queue_lease_waiting(struct queue_conn *conn, const char *const *ids,
    size_t count, struct arena *arena, struct queue_leases *out,
    struct err *err) MUST_USE;
/* This router is alive: its leases hold until then (a row that status reads).
 */
bool queue_extend(struct queue_conn *conn, int64_t until, struct err *err)
    MUST_USE;

/* An attempt really begins, and is over: should the router die in between, its
 * recipient is suspected.  A store into shared memory, from any thread.  The
 * mark says which; 0 is fine.  A scheduled queue that is asked about is -id. */
int queue_attempt_begins(struct queue *queue, int64_t recipient_id) MUST_USE;
void queue_attempt_ends(struct queue *queue, int mark);

/* What a thread does for a recipient, or for a scheduled queue (-id), without
 * ever waiting: a store, no more, so it is said of each.  0: nothing.  Returns
 * what it was at before. */
enum queue_hand {
	QUEUE_HAND_LOOP,   /* the router's loop: prepares, dispatches */
	QUEUE_HAND_WRITER, /* leases; said by queue_lease() itself */
	QUEUE_HANDS,
};
int64_t queue_is_at(struct queue *queue, enum queue_hand hand, int64_t id);
/* Routers of this boot died while they were at this scheduled queue, fewer
 * than QUEUE_CRASHES_MOST of them or what waited in it was held: one such at a
 * time. */
bool queue_is_suspected(const struct queue *queue, int64_t scheduled_queue)
    MUST_USE;
/* Mail of it has come to an outcome: it is suspected no longer. */
void queue_is_innocent(struct queue *queue, int64_t scheduled_queue);

/* One chunk (from 0) of a content; short only at the end.  ERR_PERM when it is
 * missing. */
bool queue_read_chunk(struct queue_conn *conn, int64_t content_id, int64_t n,
    struct buf *out, struct err *err) MUST_USE;

/* ---- outcomes ---- */

enum queue_verdict_kind {
	VERDICT_DELIVERED, /* the row goes */
	VERDICT_BOUNCED,   /* the row goes */
	VERDICT_EXPIRED,   /* the row goes */
	VERDICT_DEFERRED,  /* due again at due_at, attempts as given */
	VERDICT_RETURNED,  /* as if never leased: no attempt, due_at as given */
	VERDICT_HELD,      /* an operator must look */
	VERDICT_MOVED,     /* goes on as `move` says */
};

/* A message that goes on in another scheduled queue.  Sender, metadata, prefix
 * and scheduling are taken from `message`; content and recipients where it says
 * that they changed: then the new recipients are all in that queue, and the
 * rows of the verdicts go. */
struct queue_move {
	int64_t message_id;
	struct message *message;
	const char *queue;
	int64_t due_at; /* unix seconds */
	int attempts;   /* as they are from now on */
};

struct queue_verdict {
	int64_t recipient_id;
	enum queue_verdict_kind kind;
	int64_t due_at;
	int attempts;
	const struct smtp_reply *reply;   /* NULL: keep the last one */
	const char *source, *site, *peer; /* of the attempt; NULL: keep */
	int64_t at;                       /* unix seconds */
	/* VERDICT_MOVED: the same for all recipients of a message, one after
	 * the other. */
	const struct queue_move *move;
	/* What it means for the suppression list; NULL: nothing. */
	const struct suppression_hit *hit;
	/* What the history keeps of it, as it was leased.  message NULL: it is
	 * looked up. */
	const struct queue_message *message;
	const char *address, *queue;
	int64_t ref;
};

/* All of them and the injected messages in one transaction.  `durable`: synced
 * when it returns (always so when messages are injected).  Recipients that are
 * no longer there (an operator removed them) are skipped and counted in *gone.
 * Content and messages without recipients go; large content is only marked and
 * goes by queue_sweep. */
bool queue_settle(struct queue_conn *conn, const struct queue_verdict *verdicts,
    size_t count, struct message *const *inject, size_t inject_count,
    bool durable, size_t *gone, struct err *err) MUST_USE;

/* One bounded step of house-keeping: large content marked for deletion, pending
 * content that is an hour old, old events, idle empty queues.  *more: call
 * again. */
bool queue_sweep(
    struct queue_conn *conn, int64_t now, bool *more, struct err *err) MUST_USE;
/* Copies the write-ahead log back when it is large, or `idle`.  Never waits for
 * readers. */
bool queue_checkpoint(struct queue_conn *conn, bool idle, struct err *err)
    MUST_USE;
/* Somebody (a reader, a shell) was in the way of the last checkpoint: another
 * one is owed, also when nothing is written any more. */
bool queue_log_is_kept(const struct queue_conn *conn);
/* Changes whenever another connection committed. */
bool queue_data_version(struct queue_conn *conn, int64_t *out, struct err *err)
    MUST_USE;

/* ---- looking (no lock, no lease) ---- */

/* Calls row() for each result of a named question (queue_view.h). */

#endif
