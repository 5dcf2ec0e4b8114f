/*
 * queue_test.h - what the unit tests of queue/ share
 *
 * Each test has a directory of its own, removed at its end.  Helpers assert
 * that they succeed.
 */
#ifndef TESTS_UNIT_QUEUE_QUEUE_TEST_H
#define TESTS_UNIT_QUEUE_QUEUE_TEST_H

#include <check.h>
#include <sqlite3.h>

#include "queue/queue.h"
#include "queue/queue_db.h"
#include "queue/queue_view.h"
#include "queue/queue_writer.h"

TCase *schema_tests(void);
TCase *vfs_tests(void);
TCase *wal_buffer_tests(void);
TCase *lock_tests(void);
TCase *open_tests(void);
TCase *custody_tests(void);
TCase *place_tests(void);
TCase *poison_tests(void);
TCase *lease_tests(void);
TCase *history_tests(void);
TCase *move_tests(void);
TCase *outcome_tests(void);
TCase *sweep_tests(void);
TCase *suppression_tests(void);
TCase *view_tests(void);
TCase *crash_tests(void);

#define ck_ok(call)                                                            \
	do {                                                                   \
		struct err why = {0};                                          \
		bool ok_ = (call);                                             \
		ck_assert_msg(ok_, "%s: %s", #call, why.text);                 \
	} while (0)

/* A name for a queue in a new directory. */
const char *store_path(void);
struct queue *store_open(const char *path, enum queue_program program);
struct queue_conn *store_connect(struct queue *queue);

/* As an operator's shell would see it: the plain VFS, reading only. */
int64_t sql_int(const char *path, const char *sql);
const char *sql_text(const char *path, const char *sql);
/* The same, writing. */
void sql_run(const char *path, const char *sql);
/* Nothing is wrong with the file, says SQLite and says queue_check_integrity.
 */
void assert_sound(const char *path);

/* A message of `size` bytes to `to`: addresses separated by spaces. */
struct message *mail_to(const char *to, size_t size);
/* Commits them as one intake through `conn`. */
void put_mail(struct queue_conn *conn, struct message **messages, size_t count);
/* `count` messages to u0@domain, u1@domain ... */
void put_many(struct queue_conn *conn, const char *domain, size_t count);

/* Leases up to `limit` of everything that is due. */
struct queue_leases lease_due(
    struct queue_conn *conn, size_t limit, int64_t now, struct arena *arena);
void settle(struct queue_conn *conn, const struct queue_leases *leases,
    enum queue_verdict_kind kind, int64_t due_at);

#endif
