/* lease_test.c - queue/queue_lease.c: due work */
#include "tests/unit/queue/fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

static int rewrite_at = -1; /* a table of attempts to be spoilt */

static int64_t count_of(const char *where)
{
	char sql[200];

	(void)snprintf(
	    sql, sizeof sql, "SELECT count(*) FROM recipient WHERE %s", where);
	return sql_int(path, sql);
}

START_TEST(a_lease_brings_all_that_was_accepted)
{
	struct message *m = mail_to("bob@example.com", 1500);
	struct queue_leases leases;
	const struct queue_message *got;

	m->sender.body = "8BITMIME";
	m->sender.smtputf8 = true;
	m->sender.ret = "HDRS";
	m->sender.envid = "QQ314";
	m->sender.auth = "ann";
	m->sender.size = 1234;
	m->recipients.items[0].notify = "SUCCESS,FAILURE";
	m->recipients.items[0].orcpt = "rfc822;Bob@example.com";
	m->scheduling = "{\"expires\":\"2030-01-01T00:00:00Z\"}";
	meta_set_string(m->meta, "tenant", "t1");
	(void)content_ref(m->content);
	struct content *content = m->content;

	put_mail(conn, &m, 1);
	leases = lease_due(conn, 10, clock_unix(), arena);
	ck_assert_uint_eq(leases.count, 1);
	got = leases.items[0].message;
	ck_assert_str_eq(
	    leases.items[0].recipient.address.email, "bob@example.com");
	ck_assert_str_eq(
	    leases.items[0].recipient.address.domain, "example.com");
	ck_assert_str_eq(leases.items[0].recipient.notify, "SUCCESS,FAILURE");
	ck_assert_str_eq(
	    leases.items[0].recipient.orcpt, "rfc822;Bob@example.com");
	ck_assert_str_eq(got->sender.address.email, "ann@sender.test");
	ck_assert_str_eq(got->sender.body, "8BITMIME");
	ck_assert(got->sender.smtputf8);
	ck_assert_str_eq(got->sender.ret, "HDRS");
	ck_assert_str_eq(got->sender.envid, "QQ314");
	ck_assert_str_eq(got->sender.auth, "ann");
	ck_assert_int_eq(got->sender.size, 1234);
	ck_assert_str_eq(got->session_id, "S1");
	ck_assert_ptr_null(got->mta_queue_id);
	ck_assert_str_eq(
	    got->scheduling, "{\"expires\":\"2030-01-01T00:00:00Z\"}");
	ck_assert_ptr_nonnull(strstr(got->meta_json, "\"tenant\""));
	ck_assert_str_eq(got->prefix, "Received: by us\r\n");
	ck_assert_mem_eq(&got->facts.size, &content_facts(content)->size, 8);
	ck_assert_int_eq(
	    got->facts.longest_line, content_facts(content)->longest_line);
	ck_assert_mem_eq(got->inline_content, content_bytes(content), 1500);
	content_unref(content);
}
END_TEST

static const struct {
	const char *label;
	size_t size;
	bool is_inline;
} sizes[] = {
    {"nothing", 0, true},
    {"one byte", 1, true},
    {"a chunk", QUEUE_CHUNK, true},
    {"a chunk and a byte", QUEUE_CHUNK + 1, true},
    {"two chunks", QUEUE_INLINE, true},
    {"more", QUEUE_INLINE + 1, false},
    {"a mebibyte", QUEUE_LARGE, false},
};

START_TEST(content_of_any_size_comes_back)
{
	struct message *m = mail_to("bob@example.com", sizes[_i].size);
	struct content *content = content_ref(m->content);
	struct buf whole = BUF_INIT;
	struct queue_leases leases;
	const struct queue_message *got;

	put_mail(conn, &m, 1);
	leases = lease_due(conn, 10, clock_unix(), arena);
	ck_assert_uint_eq(leases.count, 1);
	got = leases.items[0].message;
	ck_assert_msg(!!got->inline_content == sizes[_i].is_inline, "%s",
	    sizes[_i].label);
	if (got->inline_content)
		buf_add(&whole, got->inline_content, sizes[_i].size);
	else
		for (int64_t n = 0; whole.len < sizes[_i].size; n++)
			ck_ok(queue_read_chunk(
			    conn, got->content_id, n, &whole, &why));
	ck_assert_uint_eq(whole.len, sizes[_i].size);
	if (whole.len)
		ck_assert_mem_eq(whole.data, content_bytes(content), whole.len);
	buf_release(&whole);
	content_unref(content);
}
END_TEST

START_TEST(what_is_leased_is_not_leased_again)
{
	struct queue_leases leases;
	int64_t next;

	put_many(conn, "example.com", 5);
	leases = lease_due(conn, 3, clock_unix(), arena);
	ck_assert_uint_eq(leases.count, 3);
	ck_assert_str_eq(
	    leases.items[0].recipient.address.email, "u0@example.com");
	leases = lease_due(conn, 3, clock_unix(), arena);
	ck_assert_uint_eq(leases.count, 2);
	leases = lease_due(conn, 3, clock_unix(), arena);
	ck_assert_uint_eq(leases.count, 0);
	ck_ok(queue_next_due(conn, 0, &next, &why));
	ck_assert_int_eq(next, INT64_MAX);
	ck_assert_int_eq(count_of("state = 1"), 5);
}
END_TEST

START_TEST(the_oldest_comes_first_and_what_is_not_due_waits)
{
	int64_t now = clock_unix(), next;
	struct queue_leases leases;

	for (int i = 0; i < 3; i++) {
		static const int due[] = {-10, -30, 60};
		char to[40];
		struct message *m;

		(void)snprintf(to, sizeof to, "d%d@example.com", i);
		m = mail_to(to, 100);
		m->due_at = now + due[i];
		put_mail(conn, &m, 1);
	}
	leases = lease_due(conn, 10, now, arena);
	ck_assert_uint_eq(leases.count, 2);
	ck_assert_str_eq(
	    leases.items[0].recipient.address.email, "d1@example.com");
	ck_assert_str_eq(
	    leases.items[1].recipient.address.email, "d0@example.com");
	ck_ok(queue_next_due(conn, now, &next, &why));
	ck_assert_int_eq(next, now + 60);
	leases = lease_due(conn, 10, now + 60, arena);
	ck_assert_uint_eq(leases.count, 1);
}
END_TEST

START_TEST(recipients_of_one_message_come_together)
{
	int64_t now = clock_unix();
	struct message *m = mail_to("a@example.com b@example.com", 100);
	struct queue_leases leases;

	m->due_at = now;
	put_mail(conn, &m, 1);
	m = mail_to("x@example.com", 100);
	m->due_at = now;
	put_mail(conn, &m, 1);
	/* b was deferred once and is due a little later than the others. */
	sql_run(path, "UPDATE recipient SET due_at = due_at - 5 WHERE address "
		      "LIKE 'a@%'");
	sql_run(path, "UPDATE recipient SET due_at = due_at - 1 WHERE address "
		      "LIKE 'x@%'");
	leases = lease_due(conn, 10, now, arena);
	ck_assert_uint_eq(leases.count, 3);
	ck_assert_str_eq(
	    leases.items[0].recipient.address.email, "a@example.com");
	ck_assert_str_eq(
	    leases.items[1].recipient.address.email, "b@example.com");
	ck_assert_ptr_eq(leases.items[0].message, leases.items[1].message);
	ck_assert_ptr_ne(leases.items[0].message, leases.items[2].message);
}
END_TEST

START_TEST(the_cursor_visits_every_due_queue_once)
{
	struct queue_cursor cursor = {0};
	struct queue_due *due;
	size_t count, total = 0, rounds = 0;
	char domain[40];

	for (int i = 0; i < 25; i++) {
		(void)snprintf(domain, sizeof domain, "d%d.example", i);
		put_many(conn, domain, 1);
	}
	do {
		ck_ok(queue_due_list(
		    conn, clock_unix(), 4, &cursor, arena, &due, &count, &why));
		total += count;
		rounds++;
	} while (cursor.queue_id);
	ck_assert_uint_eq(total, 25);
	ck_assert_uint_eq(rounds, 7);
}
END_TEST

START_TEST(a_row_changed_by_hand_is_seen)
{
	int64_t before, after, next;
	struct message *m = mail_to("bob@example.com", 100);

	m->due_at = clock_unix() + 1000;
	put_mail(conn, &m, 1);
	ck_ok(queue_data_version(conn, &before, &why));
	sql_run(path, "UPDATE recipient SET due_at = 5");
	ck_ok(queue_data_version(conn, &after, &why));
	ck_assert_int_ne(before, after);
	ck_ok(queue_next_due(conn, 0, &next, &why));
	ck_assert_int_eq(next, 5);
	ck_assert_uint_eq(lease_due(conn, 5, clock_unix(), arena).count, 1);
}
END_TEST

/* A router that leases everything, is at the first of it, and is killed. */
static void die_with_leases(void)
{
	pid_t child;
	int status;

	queue_disconnect(conn);
	queue_close(queue);
	child = fork();
	if (child == 0) {
		struct queue *other = store_open(path, QUEUE_ROUTER);

		const struct queue_leases leases =
		    lease_due(store_connect(other), 100, clock_unix(), arena);
		int over =
		    queue_attempt_begins(other, leases.items[1].recipient_id);

		ck_assert_int_gt(
		    queue_attempt_begins(other, leases.items[0].recipient_id),
		    0);
		queue_attempt_ends(other, over);
		(void)raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	if (rewrite_at >= 0)
		ck_assert_int_eq(pwrite(rewrite_at, "?", 1, 30), 1);
	queue = store_open(path, QUEUE_ROUTER);
	conn = store_connect(queue);
}

START_TEST(three_dead_routers_hold_what_they_were_at)
{
	put_many(conn, "example.com", 3);
	for (int i = 1; i <= 2; i++) {
		die_with_leases();
		ck_assert_int_eq(count_of("state = 0"), 3);
		ck_assert_int_eq(
		    sql_int(path, "SELECT sum(crashes) FROM recipient"), i);
	}
	die_with_leases();
	/* Not the one whose attempt was over, nor the one that had none. */
	ck_assert_int_eq(count_of("state = 2"), 1);
	ck_assert_int_eq(count_of("state = 0 AND crashes = 0"), 2);
	ck_assert_str_eq(sql_text(path, "SELECT why FROM v_why"),
	    "held: router died while delivering this");
}
END_TEST

/* Whatever stands in the file: a name of ours, rubbish, another boot. */
START_TEST(a_table_of_attempts_that_is_not_of_this_boot_suspects_nobody)
{
	char name[128];
	int fd;

	put_many(conn, "example.com", 3);
	die_with_leases();
	ck_assert_int_eq(count_of("crashes = 1"), 1);
	(void)snprintf(name, sizeof name, "%s-attempts", path);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	rewrite_at = fd;
	die_with_leases();
	rewrite_at = -1;
	(void)close(fd);
	ck_assert_int_eq(count_of("crashes = 1"), 1);
	ck_assert_int_eq(count_of("state = 0"), 3);
}
END_TEST

START_TEST(without_room_for_the_table_the_router_works_and_suspects_nobody)
{
	char name[128];

	(void)snprintf(name, sizeof name, "%s-attempts", path);
	put_many(conn, "example.com", 3);
	queue_disconnect(conn);
	queue_close(queue);
	ck_assert_int_eq(unlink(name), 0);
	ck_assert_int_eq(mkdir(name, 0700), 0);
	queue = store_open(path, QUEUE_ROUTER);
	conn = store_connect(queue);
	ck_assert_int_eq(queue_attempt_begins(queue, 1), 0);
	queue_attempt_ends(queue, 0);
	ck_assert_uint_eq(lease_due(conn, 100, clock_unix(), arena).count, 3);
}
END_TEST

/* innocent: mail of this scheduled queue had an outcome before; 0: of none. */
static void one_dies_after(int64_t innocent, enum queue_hand hand, int64_t id)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct queue *other = store_open(path, QUEUE_ROUTER);

		if (innocent)
			queue_is_innocent(other, innocent);
		(void)queue_is_at(other, hand, id);
		(void)raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void one_dies(enum queue_hand hand, int64_t id)
{
	one_dies_after(0, hand, id);
}

/* As many routers die while a thread of theirs says that it is at `id`, with
 * nothing leased; then one lives. */
static void die_at(enum queue_hand hand, int64_t id, int times)
{
	queue_disconnect(conn);
	queue_close(queue);
	for (int i = 0; i < times; i++)
		one_dies(hand, id);
	queue = store_open(path, QUEUE_ROUTER);
	conn = store_connect(queue);
}

START_TEST(what_kills_three_routers_before_it_is_leased_is_held)
{
	put_many(conn, "example.com", 3);
	die_at(QUEUE_HAND_WRITER, 2, 2);
	ck_assert_int_eq(count_of("id = 2 AND state = 0 AND crashes = 2"), 1);
	die_at(QUEUE_HAND_WRITER, 2, 1);
	ck_assert_int_eq(count_of("id = 2 AND state = 2"), 1);
	ck_assert_int_eq(count_of("state = 0 AND crashes = 0"), 2);
	ck_assert_str_eq(sql_text(path, "SELECT held_because FROM recipient "
					"WHERE state = 2"),
	    "router died while delivering this");
}
END_TEST

START_TEST(a_scheduled_queue_that_kills_three_routers_is_held_whole)
{
	int64_t id;

	put_many(conn, "example.com", 1203);
	put_many(conn, "example.org", 2);
	id = sql_int(path, "SELECT id FROM queue WHERE name = 'example.com'");
	die_at(QUEUE_HAND_LOOP, -id, 2);
	ck_assert_int_eq(count_of("state = 0"), 1205);
	ck_assert(queue_is_suspected(queue, id));
	ck_assert(!queue_is_suspected(queue, id + 1));
	/* A clean stop, then three in a row. */
	die_at(QUEUE_HAND_LOOP, -id, 2);
	ck_assert_int_eq(count_of("state = 0"), 1205);
	die_at(QUEUE_HAND_LOOP, -id, 3);
	ck_assert_int_eq(count_of("state = 2"), 1203);
	ck_assert_int_eq(count_of("state = 0 AND crashes = 0"), 2);
	ck_assert_str_eq(
	    sql_text(path, "SELECT DISTINCT held_because FROM recipient "
			   "WHERE state = 2"),
	    "router died while preparing the queue of this");
}
END_TEST

/* A pool of many sources asks for many paths at once, all for one queue. */
START_TEST(a_death_counts_once_however_often_its_router_was_at_the_same)
{
	pid_t child;
	int status;

	put_many(conn, "example.com", 3);
	queue_disconnect(conn);
	queue_close(queue);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct queue *other = store_open(path, QUEUE_ROUTER);

		for (int i = 0; i < 5; i++)
			if (!queue_attempt_begins(other, -1) ||
			    !queue_attempt_begins(other, 2))
				_exit(1);
		(void)queue_is_at(other, QUEUE_HAND_LOOP, -1);
		(void)queue_is_at(other, QUEUE_HAND_WRITER, 2);
		(void)raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	queue = store_open(path, QUEUE_ROUTER);
	conn = store_connect(queue);
	ck_assert(queue_is_suspected(queue, 1));
	ck_assert_int_eq(count_of("state = 0"), 3);
	ck_assert_int_eq(count_of("id = 2 AND crashes = 1"), 1);
}
END_TEST

static void fails_to_start(void)
{
	struct queue_options options = {.path = path, .program = QUEUE_ROUTER};
	struct queue *none = NULL;
	struct err err = {0};

	ck_assert(!queue_open(&none, &options, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "no room"));
}

START_TEST(a_death_counts_once_when_the_routers_after_it_fail_to_start)
{
	put_many(conn, "example.com", 3);
	queue_disconnect(conn);
	queue_close(queue);
	one_dies(QUEUE_HAND_WRITER, 2);
	sql_run(path, "UPDATE recipient SET state = 1 WHERE id = 3");
	sql_run(path,
	    "CREATE TRIGGER full BEFORE UPDATE ON recipient "
	    "WHEN old.id = 3 BEGIN SELECT RAISE(ABORT, 'no room'); END");
	for (int i = 0; i < 3; i++)
		fails_to_start();
	sql_run(path, "DROP TRIGGER full");
	queue = store_open(path, QUEUE_ROUTER);
	conn = store_connect(queue);
	ck_assert_int_eq(count_of("state = 0"), 3);
	ck_assert_int_eq(count_of("id = 2 AND crashes = 1"), 1);
}
END_TEST

START_TEST(a_clean_stop_clears_a_scheduled_queue)
{
	put_many(conn, "example.com", 1);
	die_at(QUEUE_HAND_LOOP, -1, 1);
	ck_assert(queue_is_suspected(queue, 1));
	die_at(QUEUE_HAND_LOOP, 0, 0);
	ck_assert(!queue_is_suspected(queue, 1));
	ck_assert_int_eq(count_of("state = 0 AND crashes = 0"), 1);
}
END_TEST

START_TEST(
    deaths_over_a_scheduled_queue_are_in_no_row_when_its_mail_went_between)
{
	put_many(conn, "example.com", 2);
	queue_disconnect(conn);
	queue_close(queue);
	one_dies(QUEUE_HAND_LOOP, -1);
	one_dies(QUEUE_HAND_LOOP, -1);
	one_dies_after(7, QUEUE_HAND_LOOP, 0); /* another's */
	one_dies_after(1, QUEUE_HAND_LOOP, -1);
	one_dies(QUEUE_HAND_LOOP, -1);
	queue = store_open(path, QUEUE_ROUTER);
	conn = store_connect(queue);
	ck_assert(queue_is_suspected(queue, 1));
	ck_assert_int_eq(count_of("state = 0 AND crashes = 0"), 2);
	queue_is_innocent(queue, 1);
	ck_assert(!queue_is_suspected(queue, 1));
}
END_TEST

START_TEST(a_lease_is_at_nothing_when_it_is_over)
{
	put_many(conn, "example.com", 3);
	ck_assert_uint_eq(lease_due(conn, 100, clock_unix(), arena).count, 3);
	ck_assert_int_eq(queue_is_at(queue, QUEUE_HAND_WRITER, 5), 0);
	ck_assert_int_eq(queue_is_at(queue, QUEUE_HAND_WRITER, 0), 5);
}
END_TEST

START_TEST(more_attempts_than_places_are_not_noted)
{
	static int marks[40000];
	size_t noted = 0;

	for (size_t i = 0; i < COUNT(marks); i++) {
		marks[i] = queue_attempt_begins(queue, (int64_t)i + 1);
		noted += marks[i] != 0;
	}
	ck_assert_uint_eq(noted, 32768);
	for (size_t i = 0; i < COUNT(marks); i++)
		queue_attempt_ends(queue, marks[i]);
	ck_assert_int_ne(queue_attempt_begins(queue, 1), 0);
}
END_TEST

START_TEST(a_clean_stop_suspects_nothing)
{
	put_many(conn, "example.com", 2);
	(void)lease_due(conn, 10, clock_unix(), arena);
	queue_disconnect(conn);
	queue_close(queue);
	queue = store_open(path, QUEUE_ROUTER);
	conn = store_connect(queue);
	ck_assert_int_eq(count_of("state = 0 AND crashes = 0"), 2);
}
END_TEST

START_TEST(a_commit_rings_the_doorbell)
{
	struct err err = {0};
	int bell = queue_doorbell_listen(queue, &err);
	struct pollfd poll_bell = {.fd = bell, .events = POLLIN};
	struct queue *milter = store_open(path, QUEUE_MILTER);
	struct message *m = mail_to("bob@example.com", 100);
	struct queue_intake intake = {.messages = &m, .count = 1};
	struct queue_writer *writer;
	struct custody *c;

	ck_assert_msg(bell >= 0, "%s", err.text);
	ck_assert_int_eq(poll(&poll_bell, 1, 0), 0);
	ck_ok((writer = queue_writer_start(milter, &why)) != NULL);
	c = custody_begin(writer, &intake);
	ck_assert_int_eq(
	    custody_wait(c, clock_now_ms() + 30000, NULL, NULL, NULL),
	    CUSTODY_COMMITTED);
	custody_free(c);
	message_unref(m);
	ck_assert_int_eq(poll(&poll_bell, 1, 10000), 1);
	queue_writer_stop(writer);
	queue_close(milter);
	(void)close(bell);
}
END_TEST

TCase *lease_tests(void)
{
	TCase *t = tcase_create("lease");

	tcase_add_checked_fixture(t, fixture_begin, fixture_end);
	tcase_add_test(t, a_lease_brings_all_that_was_accepted);
	tcase_add_loop_test(
	    t, content_of_any_size_comes_back, 0, (int)COUNT(sizes));
	tcase_add_test(t, what_is_leased_is_not_leased_again);
	tcase_add_test(t, the_oldest_comes_first_and_what_is_not_due_waits);
	tcase_add_test(t, recipients_of_one_message_come_together);
	tcase_add_test(t, the_cursor_visits_every_due_queue_once);
	tcase_add_test(t, a_row_changed_by_hand_is_seen);
	tcase_add_test(t, three_dead_routers_hold_what_they_were_at);
	tcase_add_test(
	    t, a_table_of_attempts_that_is_not_of_this_boot_suspects_nobody);
	tcase_add_test(
	    t, without_room_for_the_table_the_router_works_and_suspects_nobody);
	tcase_add_test(t, more_attempts_than_places_are_not_noted);
	tcase_add_test(t, what_kills_three_routers_before_it_is_leased_is_held);
	tcase_add_test(
	    t, a_scheduled_queue_that_kills_three_routers_is_held_whole);
	tcase_add_test(
	    t, a_death_counts_once_however_often_its_router_was_at_the_same);
	tcase_add_test(
	    t, a_death_counts_once_when_the_routers_after_it_fail_to_start);
	tcase_add_test(t, a_clean_stop_clears_a_scheduled_queue);
	tcase_add_test(t,
	    deaths_over_a_scheduled_queue_are_in_no_row_when_its_mail_went_between);
	tcase_add_test(t, a_lease_is_at_nothing_when_it_is_over);
	tcase_add_test(t, a_clean_stop_suspects_nothing);
	tcase_add_test(t, a_commit_rings_the_doorbell);
	return t;
}
