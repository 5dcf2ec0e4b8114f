/* sweep_test.c - queue/queue_sweep.c: house-keeping and checkpoints */
#include "tests/unit/queue/fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static size_t sweep(int64_t now)
{
	size_t steps = 0;
	bool more;

	do {
		ck_ok(queue_sweep(conn, now, &more, &why));
		steps++;
	} while (more && steps < 1000);
	return steps;
}

static int64_t wal_size(void)
{
	char name[128];
	struct stat st;

	(void)snprintf(name, sizeof name, "%s-wal", path);
	ck_assert_int_eq(stat(name, &st), 0);
	return st.st_size;
}

START_TEST(large_content_goes_in_small_steps)
{
	struct message *m = mail_to("bob@example.com", 6 << 20);
	struct queue_leases leases;
	int64_t before;

	put_mail(conn, &m, 1);
	leases = lease_due(conn, 10, clock_unix(), arena);
	before = sql_int(path, "SELECT count(*) FROM chunk");
	settle(conn, &leases, VERDICT_DELIVERED, 0);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM message"), 0);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM chunk"), before);
	ck_assert_uint_ge(sweep(clock_unix()), 6);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM chunk"), 0);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM content"), 0);
}
END_TEST

START_TEST(pending_content_goes_after_an_hour)
{
	struct message *m = mail_to("bob@example.com", 3 << 20);
	struct queue_ahead ahead = {.content = m->content};

	ck_ok(queue_ahead_step(conn, &ahead, &why));
	(void)sweep(clock_unix());
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM chunk"), 16);
	(void)sweep(clock_unix() + 3601);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM chunk"), 0);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM content"), 0);
	message_unref(m);
}
END_TEST

START_TEST(idle_empty_queues_are_reaped_and_others_are_not)
{
	struct queue_leases leases;

	put_many(conn, "empty.example", 1);
	leases = lease_due(conn, 10, clock_unix(), arena);
	settle(conn, &leases, VERDICT_DELIVERED, 0);
	put_many(conn, "leased.example", 1);
	(void)lease_due(conn, 10, clock_unix(), arena);
	put_many(conn, "queued.example", 1);
	put_many(conn, "held.example", 1);
	sql_run(
	    path, "UPDATE recipient SET state = 2 WHERE address LIKE '%held%'");
	(void)sweep(clock_unix());
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM queue"), 4);
	(void)sweep(clock_unix() + 4000);
	ck_assert_str_eq(
	    sql_text(path,
		"SELECT group_concat(domain) FROM (SELECT domain FROM "
		"queue ORDER BY domain)"),
	    "held.example,leased.example,queued.example");
}
END_TEST

START_TEST(old_events_go)
{
	sql_run(path,
	    "INSERT INTO event (at, kind) VALUES (100, 'a'), (200, 'b'), "
	    "(unixepoch(), 'c')");
	(void)sweep(clock_unix());
	ck_assert_str_eq(
	    sql_text(path, "SELECT group_concat(kind) FROM event"), "c");
}
END_TEST

START_TEST(results_of_tls_are_added_up_and_go_after_five_weeks)
{
	const int64_t today = clock_unix() / 86400;
	const struct queue_tls_count rows[] = {
	    {today - 36, "a.test", "sts", "mx.a.test", "success", 5, 90},
	    {today, "a.test", "sts", "mx.a.test", "success", 3, 100},
	    {today, "a.test", "sts", "", "sts-policy-invalid", 1, 100},
	};

	ck_ok(queue_tls_add(conn, rows, 3, &why));
	ck_ok(queue_tls_add(conn, rows + 1, 2, &why));
	(void)sweep(clock_unix());
	ck_assert_str_eq(
	    sql_text(path,
		"SELECT group_concat(domain || ' ' || policy || ' ' || mx || "
		"' ' || result || ' ' || sessions, ', ') FROM (SELECT * FROM "
		"v_tls WHERE day = date() ORDER BY result)"),
	    "a.test sts  sts-policy-invalid 2, "
	    "a.test sts mx.a.test success 6");
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM v_tls"), 2);
}
END_TEST

START_TEST(results_of_tls_are_bounded_by_number)
{
	sql_run(path,
	    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
	    "WHERE i < 100700) INSERT INTO tls_result (day, domain, policy, "
	    "mx, result, sessions, last_at) SELECT unixepoch() / 86400, i, "
	    "'sts', '', 'success', 1, 1 FROM n");
	(void)sweep(clock_unix());
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM v_tls"), 100000);
	ck_assert_int_eq(
	    sql_int(path, "SELECT min(domain + 0) FROM v_tls"), 701);
}
END_TEST

START_TEST(the_log_is_copied_back_when_it_is_long_and_cut_when_idle)
{
	ck_ok(queue_checkpoint(conn, true, &why));
	for (int i = 0; i < 12; i++) {
		struct message *m = mail_to("bob@example.com", 1 << 20);

		put_mail(conn, &m, 1);
		ck_ok(queue_checkpoint(conn, false, &why));
	}
	/* It began anew after 8 MiB. */
	ck_assert_int_lt(wal_size(), 11 << 20);
	ck_assert_int_gt(wal_size(), 7 << 20);
	ck_ok(queue_checkpoint(conn, true, &why));
	ck_assert_int_eq(wal_size(), 0);
}
END_TEST

START_TEST(a_reader_holds_up_nothing_and_is_named)
{
	sqlite3 *reader;
	int64_t before;

	ck_assert_int_eq(
	    sqlite3_open_v2(path, &reader, SQLITE_OPEN_READONLY, NULL),
	    SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM recipient", NULL,
		NULL, NULL),
	    SQLITE_OK);
	before = clock_now_ms();
	put_many(conn, "example.com", 20);
	ck_ok(queue_checkpoint(conn, true, &why));
	ck_assert_int_lt(clock_now_ms() - before, 4000);
	ck_assert_int_gt(wal_size(), 0);
	ck_assert_int_ne(queue_reader_pid(queue), 0);
	ck_assert_int_eq(
	    sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(reader), SQLITE_OK);
	/* Nothing is written any more: only this tells that it is owed. */
	before = clock_now_ms();
	while (queue_log_is_kept(conn) && clock_now_ms() - before < 10000) {
		ck_ok(queue_checkpoint(conn, true, &why));
		(void)usleep(10 * 1000);
	}
	ck_assert(!queue_log_is_kept(conn));
	ck_assert_int_eq(wal_size(), 0);
}
END_TEST

TCase *sweep_tests(void)
{
	TCase *t = tcase_create("sweep");

	tcase_add_checked_fixture(t, fixture_begin, fixture_end);
	tcase_add_test(t, large_content_goes_in_small_steps);
	tcase_add_test(t, pending_content_goes_after_an_hour);
	tcase_add_test(t, idle_empty_queues_are_reaped_and_others_are_not);
	tcase_add_test(t, old_events_go);
	tcase_add_test(t, results_of_tls_are_added_up_and_go_after_five_weeks);
	tcase_add_test(t, results_of_tls_are_bounded_by_number);
	tcase_add_test(
	    t, the_log_is_copied_back_when_it_is_long_and_cut_when_idle);
	tcase_add_test(t, a_reader_holds_up_nothing_and_is_named);
	return t;
}
