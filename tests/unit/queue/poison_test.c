/* poison_test.c - a sync that fails: nothing more is acknowledged */
#include "tests/unit/queue/queue_test.h"

#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/queue_vfs.h"

#ifdef ENABLE_DEVEL
static atomic_int failing; /* how many syncs of the WAL fail */

static bool sync_fails(const char *name, bool is_wal)
{
	return is_wal && atomic_load(&failing) > 0 &&
	       atomic_fetch_sub(&failing, 1) > 0;
}

static bool commit_one(struct queue_conn *conn, struct err *err)
{
	struct message *m = mail_to("bob@example.com", 1000);
	struct queue_intake intake = {.messages = &m, .count = 1};
	bool done = queue_begin(conn, QUEUE_SYNCED, err) &&
		    queue_insert(conn, &intake, NULL, 0, err) &&
		    queue_commit(conn, err);

	message_unref(m);
	return done;
}

START_TEST(a_failed_sync_poisons_both_daemons_until_one_recovers)
{
	const char *path = store_path();
	struct queue *milter = store_open(path, QUEUE_MILTER);
	struct queue *router = store_open(path, QUEUE_ROUTER);
	struct queue_conn *m = store_connect(milter),
			  *r = store_connect(router);
	struct err err = {0};

	ck_ok(commit_one(m, &why));
	queue_vfs_test_sync(sync_fails);
	atomic_store(&failing, 1);
	ck_assert(!commit_one(m, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	ck_assert(queue_poisoned(milter));
	ck_assert(!commit_one(m, &err));
	ck_assert(!queue_reopen(milter, &err)); /* has a connection */
	queue_disconnect(m);

	/* The neighbour has it open: not alone. */
	ck_assert(!queue_poisoned(router));
	ck_assert(!queue_reopen(milter, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	/* It learns of it at its next transaction. */
	ck_assert(!commit_one(r, &err));
	ck_assert(queue_poisoned(router));
	ck_assert(!queue_connect(router, true, &m, &err));
	queue_disconnect(r);

	/* The first recovers, the other finds that done. */
	ck_ok(queue_reopen(router, &why));
	r = store_connect(router);
	ck_ok(commit_one(r, &why));
	ck_ok(queue_reopen(milter, &why));
	m = store_connect(milter);
	ck_ok(commit_one(m, &why));
	ck_assert(!queue_poisoned(router));
	queue_disconnect(m);
	queue_disconnect(r);
	queue_close(milter);
	queue_close(router);
	/* Three acknowledged; the failed one may be there: a duplicate. */
	ck_assert_int_ge(sql_int(path, "SELECT count(*) FROM message"), 3);
	ck_assert_int_le(sql_int(path, "SELECT count(*) FROM message"), 4);
	assert_sound(path);
}
END_TEST

START_TEST(who_opens_a_poisoned_file_recovers_it_first)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct queue_conn *conn = store_connect(queue);
	struct queue_options options = {.path = path, .program = QUEUE_ROUTER};
	struct err err = {0};
	struct queue *other;

	ck_ok(commit_one(conn, &why));
	queue_vfs_test_sync(sync_fails);
	atomic_store(&failing, 1);
	ck_assert(!commit_one(conn, &err));
	ck_assert(!queue_open(&other, &options, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	queue_disconnect(conn);
	queue_close(queue);
	ck_ok(queue_open(&other, &options, &why));
	conn = store_connect(other);
	ck_ok(commit_one(conn, &why));
	queue_disconnect(conn);
	queue_close(other);
	assert_sound(path);
}
END_TEST

START_TEST(a_file_that_cannot_be_recovered_stays_closed)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct queue_conn *conn = store_connect(queue);
	struct err err = {0};

	queue_vfs_test_sync(sync_fails);
	atomic_store(&failing, 1000);
	ck_assert(!commit_one(conn, &err));
	queue_disconnect(conn);
	ck_assert(!queue_reopen(queue, &err));
	ck_assert_msg(err.class == ERR_PERM, "%s", err.text);
	atomic_store(&failing, 0);
	ck_ok(queue_reopen(queue, &why));
	queue_close(queue);
}
END_TEST

static enum custody_result send_one(struct queue_writer *writer)
{
	struct message *m = mail_to("bob@example.com", 500);
	struct queue_intake intake = {.messages = &m, .count = 1};
	struct custody *c = custody_begin(writer, &intake);
	enum custody_result result =
	    custody_wait(c, clock_now_ms() + 30000, NULL, NULL, NULL);

	custody_free(c);
	message_unref(m);
	return result;
}

START_TEST(the_writer_fails_its_group_and_then_recovers_by_itself)
{
	const char *path = store_path();
	struct queue *queue = store_open(path, QUEUE_MILTER);
	struct queue_writer *writer;
	int64_t deadline = clock_now_ms() + 20000;
	enum custody_result result;
	int acknowledged = 1;

	ck_ok((writer = queue_writer_start(queue, &why)) != NULL);
	ck_assert_int_eq(send_one(writer), CUSTODY_COMMITTED);
	queue_vfs_test_sync(sync_fails);
	atomic_store(&failing, 1);
	ck_assert_int_eq(send_one(writer), CUSTODY_FAILED);
	do {
		result = send_one(writer);
		ck_assert_int_lt(clock_now_ms(), deadline);
	} while (result != CUSTODY_COMMITTED);
	acknowledged++;
	queue_writer_stop(writer);
	queue_close(queue);
	ck_assert_int_ge(
	    sql_int(path, "SELECT count(*) FROM message"), acknowledged);
	assert_sound(path);
}
END_TEST

/* The neighbour is idle: it must notice without a transaction of its own. */
START_TEST(an_idle_milter_makes_way_for_recovery)
{
	const char *path = store_path();
	struct queue *milter = store_open(path, QUEUE_MILTER);
	struct queue *router = store_open(path, QUEUE_ROUTER);
	struct queue_conn *conn = store_connect(router);
	int64_t deadline = clock_now_ms() + 20000;
	struct queue_writer *writer;
	struct err err = {0};

	ck_ok((writer = queue_writer_start(milter, &why)) != NULL);
	queue_vfs_test_sync(sync_fails);
	atomic_store(&failing, 1);
	ck_assert(!commit_one(conn, &err));
	queue_disconnect(conn);
	while (!queue_reopen(router, &err)) {
		ck_assert_msg(err.class == ERR_TEMP, "%s", err.text);
		ck_assert_int_lt(clock_now_ms(), deadline);
		(void)usleep(20000);
	}
	ck_assert_int_eq(send_one(writer), CUSTODY_COMMITTED);
	queue_writer_stop(writer);
	queue_close(router);
	queue_close(milter);
}
END_TEST
#endif

TCase *poison_tests(void)
{
	TCase *t = tcase_create("poison");

#ifdef ENABLE_DEVEL
	tcase_add_test(
	    t, a_failed_sync_poisons_both_daemons_until_one_recovers);
	tcase_add_test(t, who_opens_a_poisoned_file_recovers_it_first);
	tcase_add_test(t, a_file_that_cannot_be_recovered_stays_closed);
	tcase_add_test(
	    t, the_writer_fails_its_group_and_then_recovers_by_itself);
	tcase_add_test(t, an_idle_milter_makes_way_for_recovery);
#endif
	return t;
}
