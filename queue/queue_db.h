/*
 * queue_db.h - the SQLite side of a queue: for the files of queue/ only
 *
 * A struct queue is the file: its path, the locks that say that we have it
 * open, whether it is poisoned.  A struct queue_conn is one SQLite connection,
 * with its prepared statements and, when it writes, an open of the lock file
 * of its own.
 *
 *	queue_begin(conn, QUEUE_SYNCED, err)
 *	stmt = queue_stmt(conn, SQL_LEASE_TAKE, err)
 *	... bind, queue_run(conn, stmt, err) ...
 *	queue_commit(conn, err)		or queue_rollback(conn)
 *
 * Never open or close a descriptor of queue.db or queue.db-shm by hand in a
 * process that has it open: that drops SQLite's POSIX locks.
 */
#ifndef QUEUE_QUEUE_DB_H
#define QUEUE_QUEUE_DB_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/list.h"
#include "queue/queue.h"
#include "queue/queue_attempts.h"
#include "queue/queue_lock.h"
#include "sql/sql.h"

#define QUEUE_PATIENCE_MS 5000
#define QUEUE_LARGE (1024 * 1024) /* content beyond it is written ahead */
#define QUEUE_CHUNK_BITS 20       /* chunk id = content << 20 | n */

/* The files of a queue that must stay where they are while it is open. */
enum queue_place {
	QUEUE_PLACE_FILE,
	QUEUE_PLACE_LOCK,
	QUEUE_PLACE_WAL,
	QUEUE_PLACE_SHM,
	QUEUE_PLACES
};

struct queue_place_id {
	dev_t dev;
	ino_t ino;
	bool known;
};

struct queue {
	char *path;
	enum queue_program program;
	bool read_only, created;
	int64_t free_floor_bytes;
	unsigned free_floor_percent;
	int64_t wal_limit_bytes;
	struct queue_lock lock; /* presence, and the router's instance */
	struct queue_attempts *attempts; /* the router's; NULL: none */
	int64_t generation;              /* of the file while we have it open */
	atomic_bool poisoned;
	bool unclean;           /* so was the stop before this start */
	atomic_bool check_owed; /* a queue_check began, nothing is known */
	atomic_int connections;
	int bell;                   /* a socket to ring with; -1 */
	pthread_mutex_t room_mutex; /* of what is below */
	struct err damage;          /* what the check found */
	bool room_looked;
	int64_t room_looked_ms;
	struct err room;     /* of the last look */
	int64_t sweep_queue; /* where the walk over idle queues stands */
	_Atomic int64_t history_age_s, history_events;
	struct {
		pthread_mutex_t mutex; /* of all in here */
		pthread_cond_t given;
		struct queue_conn *idle[4];
		size_t idle_count, busy;
	} readers; /* for lookups; queue_reader.c */
	struct {
		pthread_mutex_t mutex; /* of all in here */
		struct queue_place_id ids[QUEUE_PLACES];
	} place;                /* queue_place.c */
	struct list open_files; /* all that this process has open */
};

struct queue_conn {
	struct queue *queue;
	sqlite3 *db;
	bool writing;
	bool full; /* synchronous = FULL is set */
	bool in_transaction;
	bool damaged; /* SQLite found the file to be so */
	struct queue_lock lock;
	int64_t patience_ms;
	int64_t busy_until; /* clock_now_ms */
	int wal_frames;     /* after the last commit of ours */
	int wal_pinned;     /* those of them that a reader kept, last time */
	bool log_kept;      /* the last checkpoint left something to do */
	int64_t checkpoint_ms;
	char *chunk; /* QUEUE_CHUNK bytes, made when needed */
	sqlite3_stmt *stmts[SQL_STATEMENT_COUNT];
};

/* ---- queue_conn.c ---- */

/* Opens without looking at the file's version; for queue_db.c. */
bool queue_conn_open(struct queue *queue, bool writing, struct queue_conn **out,
    struct err *err) MUST_USE;

/* How a transaction ends up on disk. */
enum queue_sync {
	QUEUE_SYNCED, /* before commit returns */
	QUEUE_LATER,  /* with a later sync: may be undone by a power cut */
};

/* Takes the writer lock and begins.  ERR_TEMP when that is not possible in
 * time, or the queue is poisoned. */
bool queue_begin(struct queue_conn *conn, enum queue_sync sync, struct err *err)
    MUST_USE;
/* In any case the transaction is over and the lock given back. An I/O error
 * poisons the queue. */
bool queue_commit(struct queue_conn *conn, struct err *err) MUST_USE;
void queue_rollback(struct queue_conn *conn);
/* SQLite has rolled it back by itself (disk full, I/O error). */
bool queue_transaction_lost(const struct queue_conn *conn);
void queue_poison(struct queue *queue, const char *why);

/* A statement, reset and without bindings; NULL: err says why. */
sqlite3_stmt *queue_stmt(struct queue_conn *conn, enum sql_statement which,
    struct err *err) MUST_USE;
enum queue_step { STEP_ROW, STEP_DONE, STEP_FAILED };
/* After STEP_DONE and STEP_FAILED the statement is reset. */
enum queue_step queue_step(
    struct queue_conn *conn, sqlite3_stmt *stmt, struct err *err) MUST_USE;
/* Steps to the end, whatever rows come. */
bool queue_run(struct queue_conn *conn, sqlite3_stmt *stmt, struct err *err)
    MUST_USE;
/* Both in one, for a statement without parameters. */
bool queue_do(struct queue_conn *conn, enum sql_statement which,
    struct err *err) MUST_USE;
/* err from the connection's last error. */
bool queue_fail(struct queue_conn *conn, const char *what, struct err *err);

/* `many` is `one` for QUEUE_IDS_AT_ONCE ids; this runs both as it takes to have
 * all of `ids` done.  *changed: rows, not counting those of triggers. */
#define QUEUE_IDS_AT_ONCE 64
bool queue_run_ids(struct queue_conn *conn, enum sql_statement one,
    enum sql_statement many, const int64_t *ids, size_t count, size_t *changed,
    struct err *err) MUST_USE;
/* NULL binds NULL; the text must live until the statement was run. */
void queue_bind_text(sqlite3_stmt *stmt, int n, const char *text);
/* NULL stays NULL. */
const char *queue_column_text(
    sqlite3_stmt *stmt, int column, struct arena *arena);
/* The first column of the only row; *out stays as it is without one. */
bool queue_get_int(struct queue_conn *conn, sqlite3_stmt *stmt, int64_t *out,
    struct err *err) MUST_USE;

/* ---- queue_reader.c ---- */

void queue_readers_init(struct queue *queue);
void queue_readers_release(struct queue *queue);
/* Closes those that are idle. */
void queue_readers_drop(struct queue *queue);

/* ---- queue_file.c: before and around the first connection ---- */

/* What stat(2) and the first 100 bytes say; touches nothing.  *exists false:
 * not there, or empty. */
bool queue_file_look(const char *path, bool *exists, struct err *err) MUST_USE;
/* A new file with the whole schema, complete when its name appears. */
bool queue_file_create(const char *path, struct err *err) MUST_USE;
/* Brings the schema up to date; refuses one that is newer than `target`. */
bool queue_file_migrate(struct queue_conn *conn,
    const struct sql_migration *steps, size_t count, int target,
    struct err *err) MUST_USE;
/* Copies the whole write-ahead log back and empties it; ERR_TEMP when a reader
 * is in the way. */
bool queue_file_recover(struct queue_conn *conn, struct err *err) MUST_USE;
#ifdef ENABLE_DEVEL
extern long queue_file_test_fs_type; /* not 0: what statfs(2) says */
#endif

/* ---- queue_place.c ---- */

/* False: a file that was noted is not at its name any more; ERR_CONFIG. */
bool queue_in_place(struct queue *queue, struct err *err) MUST_USE;
/* Those that are not known yet are those that are there now. */
void queue_place_note(struct queue *queue);
/* No connection of ours is open: -wal and -shm are noted anew. */
void queue_place_forget_log(struct queue *queue);

/* ---- queue_room.c ---- */

/* Who has a transaction open that writes; 0: nobody, or not to be seen. */
int64_t queue_writer_pid(const struct queue *queue);
/* Of the write-ahead log. */
int64_t queue_log_bytes(const struct queue *queue);
/* From here on there is no room. */
void queue_say_damaged(struct queue *queue, const char *finding);

/* ---- queue_insert.c ---- */

struct queue_intake;

/* Content that is written ahead of its message. */
struct queue_ahead {
	struct content *content; /* a reference */
	int64_t id;              /* 0: not begun */
	int64_t written;
};

/* One transaction of at most 1 MiB. */
bool queue_ahead_step(struct queue_conn *conn, struct queue_ahead *ahead,
    struct err *err) MUST_USE;
/* Its message will not come. */
void queue_ahead_drop(struct queue_conn *conn, struct queue_ahead *ahead);
/* Inserts in the transaction that is open.  Large contents that are not among
 * `ahead` are inserted as well. */
bool queue_insert(struct queue_conn *conn, const struct queue_intake *intake,
    const struct queue_ahead *ahead, size_t ahead_count, struct err *err)
    MUST_USE;

/* ---- queue_lease.c, queue_sweep.c ---- */

/* ---- queue_blame.c ---- */

/* What a router was at when it died, ascending, leased or not.  Should we die
 * or fail from here on, the next of us does not count that death again. */
bool queue_blame_recipients(struct queue_conn *conn, const int64_t *suspects,
    size_t count, struct err *err) MUST_USE;
/* Takes back what a router had leased that no longer lives. */
bool queue_leases_back(struct queue_conn *conn, size_t *count, struct err *err)
    MUST_USE;
/* A scheduled queue over which too many have died: what waits in it is held. */
bool queue_blame_hold(struct queue_conn *conn, int64_t queue, struct err *err)
    MUST_USE;

#endif
