/*
 * queue_db.c - opening, closing and reopening a queue
 *
 * Who may be there.  Every program that may write shares the lock byte
 * PRESENT.  The router also holds ROUTER alone.  Recovery after poison and
 * migration need PRESENT alone.
 *
 * Poison.  A program whose sync failed writes the file's generation as poisoned
 * into the lock file, closes all connections and gives PRESENT back; its
 * neighbour sees that at its next transaction and does the same.  The first to
 * get PRESENT alone recovers the file, checkpoints it completely and moves the
 * generation on; the other finds a new generation and simply opens the file
 * again.  A generation cannot move on while somebody still has the file open,
 * so "new" always means: recovered after I had closed it.
 */
#include "queue/queue_db.h"
#include "queue/queue_history.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/xalloc.h"

#define OWNER_ROUTER 1
#define OWNER_MILTER 2
#define FREE_FLOOR_BYTES (256LL * 1024 * 1024)
#define FREE_FLOOR_PERCENT 5
#define WAL_LIMIT_BYTES (256LL * 1024 * 1024)

/* The files that this process has open: opening and closing one of them by
 * hand, as for a look at its header, would drop SQLite's locks. */
static pthread_mutex_t open_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct list open_list = {&open_list, &open_list};

bool queue_is_file_of_queue(dev_t dev, ino_t ino)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	struct list *pos, *tmp;
	bool is = false;

	(void)pthread_mutex_lock(&open_mutex);
	LIST_EACH (pos, tmp, &open_list) {
		struct queue *queue = LIST_ITEM(pos, struct queue, open_files);

		for (size_t i = 0; i < COUNT(suffixes) && !is; i++) {
			char name[4096];
			struct stat st;

			(void)snprintf(name, sizeof name, "%s%s", queue->path,
			    suffixes[i]);
			is = stat(name, &st) == 0 && st.st_dev == dev &&
			     st.st_ino == ino;
		}
	}
	(void)pthread_mutex_unlock(&open_mutex);
	return is;
}

static bool is_open_here(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 &&
	       queue_is_file_of_queue(st.st_dev, st.st_ino);
}

static int owner_row(const struct queue *queue)
{
	return queue->program == QUEUE_ROUTER ? OWNER_ROUTER : OWNER_MILTER;
}

/* PRESENT, shared; whoever recovers has it alone for a moment. */
static bool be_present(struct queue *queue, struct err *err)
{
	int64_t deadline = clock_now_ms() + QUEUE_PATIENCE_MS;

	for (;;) {
		switch (queue_lock_byte(
		    &queue->lock, QUEUE_LOCK_PRESENT, false, err)) {
		case LOCK_TAKEN:
			return true;
		case LOCK_FAILED:
			return false;
		case LOCK_BUSY:
			if (clock_now_ms() >= deadline)
				return err_set(err, ERR_TEMP,
				    "%s: somebody is recovering it",
				    queue->path);
			(void)usleep(10 * 1000);
		}
	}
}

/* With PRESENT alone. */
static bool recover_alone(
    struct queue *queue, struct queue_generation *now, struct err *err)
{
	struct queue_conn *conn;
	bool recovered;

	diag_info("%s: recovering after a failed sync", queue->path);
	if (!queue_conn_open(queue, true, &conn, err))
		return false;
	recovered = queue_file_recover(conn, err);
	queue_disconnect(conn);
	if (!recovered)
		return false;
	now->current++;
	now->poisoned = 0;
	return queue_lock_write(&queue->lock, now, err);
}

/* Becomes present in a generation that is not poisoned. */
static bool join(struct queue *queue, struct err *err)
{
	struct queue_generation now;
	bool recovered = false;

	if (!be_present(queue, err))
		return false;
	if (!queue_lock_read(&queue->lock, &now, err))
		goto failed;
	if (now.poisoned == now.current) {
		/* Not by turning the shared lock into one of our own: two who
		 * try that at once wait for each other for ever. */
		queue_lock_byte_give(&queue->lock, QUEUE_LOCK_PRESENT);
		switch (queue_lock_byte(
		    &queue->lock, QUEUE_LOCK_PRESENT, true, err)) {
		case LOCK_TAKEN:
			break;
		case LOCK_BUSY:
			return err_set(err, ERR_TEMP,
			    "%s: a sync failed, and another program still has "
			    "it open",
			    queue->path);
		case LOCK_FAILED:
			return false;
		}
		/* Did somebody recover it before us? */
		if (!queue_lock_read(&queue->lock, &now, err))
			goto failed;
		recovered = now.poisoned != now.current ||
			    recover_alone(queue, &now, err);
		if (!recovered)
			goto failed;
		if (queue_lock_byte(&queue->lock, QUEUE_LOCK_PRESENT, false,
			err) != LOCK_TAKEN)
			goto failed;
	}
	queue->generation = now.current;
	atomic_store(&queue->poisoned, false);
	return true;
failed:
	queue_lock_byte_give(&queue->lock, QUEUE_LOCK_PRESENT);
	return false;
}

static bool be_the_router(struct queue *queue, struct err *err)
{
	if (queue->program != QUEUE_ROUTER)
		return true;
	switch (queue_lock_byte(&queue->lock, QUEUE_LOCK_ROUTER, true, err)) {
	case LOCK_TAKEN:
		return true;
	case LOCK_BUSY:
		return err_set(err, ERR_CONFIG,
		    "%s: another router is working on it", queue->path);
	case LOCK_FAILED:
		break;
	}
	return false;
}

/* Did the last one of our kind end without saying so? */
static bool stopped_unclean(
    struct queue_conn *conn, bool *unclean, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, SQL_OWNER_READ, err);
	enum queue_step step;

	if (!stmt)
		return false;
	(void)sqlite3_bind_int(stmt, 1, owner_row(conn->queue));
	step = queue_step(conn, stmt, err);
	*unclean =
	    step == STEP_ROW && sqlite3_column_type(stmt, 3) == SQLITE_NULL;
	(void)sqlite3_reset(stmt);
	return step != STEP_FAILED;
}

static bool quick_check(
    struct queue_conn *conn, enum sql_statement which, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, which, err);
	enum queue_step step;
	const char *said;

	if (!stmt)
		return false;
	while ((step = queue_step(conn, stmt, err)) == STEP_ROW) {
		said = (const char *)sqlite3_column_text(stmt, 0);
		if (said && strcmp(said, "ok") == 0)
			continue;
		err_set(err, ERR_PERM, "%s is damaged: %s", conn->queue->path,
		    said ? said : "?");
		(void)sqlite3_reset(stmt);
		return false;
	}
	return step == STEP_DONE;
}

static bool owner_says(struct queue_conn *conn, enum sql_statement which,
    int64_t now, struct err *err)
{
	sqlite3_stmt *stmt = queue_stmt(conn, which, err);

	if (!stmt)
		return false;
	(void)sqlite3_bind_int(stmt, 1, owner_row(conn->queue));
	if (which == SQL_OWNER_START) {
		(void)sqlite3_bind_int64(stmt, 2, getpid());
		(void)sqlite3_bind_int64(stmt, 3, now);
	} else
		(void)sqlite3_bind_int64(stmt, 2, now);
	return queue_run(conn, stmt, err);
}

static bool owner_commit(struct queue_conn *conn, enum sql_statement which,
    int64_t now, struct err *err)
{
	if (!queue_begin(conn, QUEUE_LATER, err))
		return false;
	if (owner_says(conn, which, now, err))
		return queue_commit(conn, err);
	queue_rollback(conn);
	return false;
}

/* Whose names killed too many routers in a row. */
static bool blame_queues(
    struct queue_conn *conn, const int64_t *left, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		int died =
		    queue_attempts_blame(conn->queue->attempts, -left[i]);

		/* Of one that is held, more are not counted. */
		if (died < QUEUE_CRASHES_MOST)
			queue_attempts_counted(
			    conn->queue->attempts, left[i], left[i]);
		else if (!queue_blame_hold(conn, -left[i], err))
			return false;
	}
	return true;
}

/* left: ascending; scheduled queues, which are negative, before recipients. */
static bool blame(struct queue_conn *conn, const int64_t *left, size_t count,
    size_t *back, struct err *err)
{
	const int64_t *recipients;
	size_t queues = 0;

	while (queues < count && left[queues] < 0)
		queues++;
	/* Nothing may be added to NULL, not even nothing. */
	recipients = count ? left + queues : NULL;
	if (count)
		diag_warn("%s: the last router died while it was at %zu "
			  "recipients and %zu scheduled queues",
		    conn->queue->path, count - queues, queues);
	return queue_blame_recipients(conn, recipients, count - queues, err) &&
	       queue_leases_back(conn, back, err) &&
	       blame_queues(conn, left, queues, err);
}

static bool take_back(
    struct queue_conn *conn, bool unclean, size_t *count, struct err *err)
{
	struct queue *queue = conn->queue;
	const int64_t *left = NULL;
	size_t left_count = 0;
	struct err reason = {0};

	queue->attempts = queue_attempts_open(queue->path, &reason);
	if (!queue->attempts)
		diag_warn("%s; should the router die, nobody will know over "
			  "which message",
		    reason.text);
	else if (unclean)
		left = queue_attempts_left(queue->attempts, &left_count);
	if (!blame(conn, left, left_count, count, err))
		return false;
	if (queue->attempts)
		queue_attempts_clear(queue->attempts, unclean);
	return true;
}

static bool start_daemon(struct queue_conn *conn, struct err *err)
{
	struct queue *queue = conn->queue;
	size_t count = 0;
	bool unclean;

	if (!stopped_unclean(conn, &unclean, err))
		return false;
	if (unclean) {
		queue->unclean = true;
		diag_info("%s: not stopped cleanly, checking", queue->path);
		if (!quick_check(conn, SQL_CHECK_QUICK_QUEUE, err) ||
		    !quick_check(conn, SQL_CHECK_QUICK_RECIPIENT, err))
			return false;
	}
	if (queue->program == QUEUE_ROUTER) {
		if (!take_back(conn, unclean, &count, err))
			return false;
		/* What the last one waited for is over. */
		if (!queue_hold(conn, NULL, 0, INT64_MAX, err))
			return false;
		if (count)
			diag_info("%s: took back %zu recipients that were "
				  "being delivered",
			    queue->path, count);
	}
	return owner_commit(conn, SQL_OWNER_START, clock_unix(), err);
}

/* With PRESENT shared, or for reading only. */
static bool first_connection(struct queue *queue, struct err *err)
{
	struct queue_conn *conn;
	bool opened;

	if (!queue_conn_open(queue, !queue->read_only, &conn, err))
		return false;
	opened = queue_file_migrate(
	    conn, sql_migrations, sql_migration_count, SQL_SCHEMA_VERSION, err);
	if (opened && queue->program != QUEUE_TOOL)
		opened = start_daemon(conn, err);
	queue_disconnect(conn);
	return opened;
}

static void free_queue(struct queue *queue)
{
	if (queue->bell >= 0)
		(void)close(queue->bell);
	queue_lock_close(&queue->lock);
	queue_attempts_close(queue->attempts);
	(void)pthread_mutex_destroy(&queue->room_mutex);
	(void)pthread_mutex_destroy(&queue->place.mutex);
	queue_readers_release(queue);
	free(queue->path);
	free(queue);
}

/* SQLite follows symbolic links before it names -wal and -shm.  Were our names
 * of those and of the lock file made from another one, two programs would not
 * see each other's locks, and nobody the length of the log. */
char *queue_real_path(const char *path)
{
	char dir[4096], whole[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (realpath(path, whole))
		return xstrdup(whole);
	/* Not there yet, perhaps. */
	if (path_dir(dir, sizeof dir, path, NULL) && realpath(dir, whole))
		return xasprintf("%s/%s", strcmp(whole, "/") ? whole : "",
		    slash ? slash + 1 : path);
	return xstrdup(path);
}

static bool find_or_create(const struct queue_options *options,
    const char *path, bool *exists, struct err *err)
{
	struct stat st;

	*exists = true;
	if (is_open_here(path))
		return true;
	if (!queue_file_look(path, exists, err))
		return false;
	if (*exists)
		return true;
	if (!options->create || options->read_only) {
		if (stat(path, &st) == 0)
			return err_set(err, ERR_PERM,
			    "%s is not a queue of Penstock: it is empty", path);
		return err_set(err, ERR_CONFIG, "%s does not exist", path);
	}
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		return err_set(err, ERR_CONFIG,
		    "%s is a symbolic link that leads nowhere", path);
	return queue_file_create(path, err);
}

bool queue_open(
    struct queue **out, const struct queue_options *options, struct err *err)
{
	struct queue *queue;
	char *path = queue_real_path(options->path);
	bool exists;

	*out = NULL;
	if (!find_or_create(options, path, &exists, err)) {
		free(path);
		return false;
	}

	queue = xcalloc(1, sizeof *queue);
	queue->path = path;
	queue->program = options->program;
	queue->read_only = options->read_only;
	queue->created = !exists;
	queue->bell = -1;
	queue->lock.fd = -1;
	queue_keep_history(queue, QUEUE_HISTORY_AGE_S, QUEUE_HISTORY_EVENTS);
	queue->free_floor_bytes = options->free_floor_bytes
				      ? options->free_floor_bytes
				      : FREE_FLOOR_BYTES;
	queue->free_floor_percent = options->free_floor_percent
					? options->free_floor_percent
					: FREE_FLOOR_PERCENT;
	queue->wal_limit_bytes = options->wal_limit_bytes
				     ? options->wal_limit_bytes
				     : WAL_LIMIT_BYTES;
	(void)pthread_mutex_init(&queue->room_mutex, NULL);
	(void)pthread_mutex_init(&queue->place.mutex, NULL);
	queue_readers_init(queue);

	(void)pthread_mutex_lock(&open_mutex);
	list_add_tail(&open_list, &queue->open_files);
	(void)pthread_mutex_unlock(&open_mutex);

	if (!queue->read_only &&
	    (!queue_lock_open(&queue->lock, queue->path, err) ||
		!be_the_router(queue, err) || !join(queue, err)))
		goto failed;
	if (!first_connection(queue, err))
		goto failed;
	*out = queue;
	return true;
failed:
	(void)pthread_mutex_lock(&open_mutex);
	list_remove(&queue->open_files);
	(void)pthread_mutex_unlock(&open_mutex);
	free_queue(queue);
	return false;
}

void queue_close(struct queue *queue)
{
	struct queue_conn *conn;

	if (!queue)
		return;
	queue_readers_drop(queue);
	invariant(atomic_load(&queue->connections) == 0);
	if (!queue->read_only && queue->program != QUEUE_TOOL &&
	    !queue_poisoned(queue) && queue_connect(queue, true, &conn, NULL)) {
		/* Only a hint for the next start: it may fail.  What has not
		 * been found sound is checked again. */
		if ((atomic_load(&queue->check_owed) ||
			owner_commit(
			    conn, SQL_OWNER_STOP, clock_unix(), NULL)) &&
		    !queue_checkpoint(conn, true, NULL))
			diag_debug("%s: no checkpoint at the end", queue->path);
		queue_disconnect(conn);
	}
	(void)pthread_mutex_lock(&open_mutex);
	list_remove(&queue->open_files);
	(void)pthread_mutex_unlock(&open_mutex);
	free_queue(queue);
}

const char *queue_path(const struct queue *queue)
{
	return queue->path;
}

bool queue_reopen(struct queue *queue, struct err *err)
{
	if (!queue_poisoned(queue))
		return true;
	queue_readers_drop(queue);
	if (atomic_load(&queue->connections) > 0)
		return err_set(err, ERR_TEMP,
		    "%s: this program still has connections", queue->path);
	queue_lock_byte_give(&queue->lock, QUEUE_LOCK_PRESENT);
	if (!join(queue, err))
		return false;
	diag_info("%s: mail is accepted again", queue->path);
	return true;
}

bool queue_router_runs(const struct queue *queue)
{
	return queue->program == QUEUE_ROUTER ||
	       (queue->lock.fd >= 0 &&
		   queue_lock_byte_taken(&queue->lock, QUEUE_LOCK_ROUTER));
}

int queue_attempt_begins(struct queue *queue, int64_t recipient_id)
{
	return queue_attempts_begin(queue->attempts, recipient_id);
}

int64_t queue_is_at(struct queue *queue, enum queue_hand hand, int64_t id)
{
	return queue_attempts_at(queue->attempts, hand, id);
}

bool queue_is_suspected(const struct queue *queue, int64_t scheduled_queue)
{
	return queue_attempts_crashes(queue->attempts, scheduled_queue) > 0;
}

void queue_is_innocent(struct queue *queue, int64_t scheduled_queue)
{
	queue_attempts_absolve(queue->attempts, scheduled_queue);
}

void queue_attempt_ends(struct queue *queue, int mark)
{
	queue_attempts_end(queue->attempts, mark);
}

bool queue_extend(struct queue_conn *conn, int64_t until, struct err *err)
{
	return owner_commit(conn, SQL_OWNER_ALIVE, until, err);
}
