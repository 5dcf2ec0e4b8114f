/* move_test.c - queue/queue_move.c: on in another scheduled queue */
#include "tests/unit/queue/fixture.h"

#include "base/clock.h"

/* All that is leased goes on as `m` says, which is the callee's. */
static size_t move(const struct queue_leases *leases, struct message *m,
    const char *name, int64_t due_at)
{
	const struct queue_move one = {
	    .message_id = leases->items[0].message->message_id,
	    .message = m,
	    .queue = name,
	    .due_at = due_at,
	};
	struct queue_verdict verdicts[10];
	size_t gone = 0;

	for (size_t i = 0; i < leases->count; i++)
		verdicts[i] = (struct queue_verdict){
		    .recipient_id = leases->items[i].recipient_id,
		    .kind = VERDICT_MOVED,
		    .at = clock_unix(),
		    .move = &one,
		};
	ck_ok(queue_settle(
	    conn, verdicts, leases->count, NULL, 0, false, &gone, &why));
	message_unref(m);
	return gone;
}

static struct queue_leases leased(const char *to, size_t size)
{
	struct message *m = mail_to(to, size);

	put_mail(conn, &m, 1);
	sql_run(path, "UPDATE recipient SET attempts = 3, crashes = 1");
	return lease_due(conn, 10, clock_unix(), arena);
}

START_TEST(it_keeps_its_id_and_begins_anew)
{
	struct queue_leases leases = leased("a@example.com b@example.com", 900);
	const char *id = leases.items[0].message->id;
	struct message *m = mail_to("a@example.com", 10);

	meta_set_string(m->meta, "tenant", "bulk");
	buf_addstr(&m->prefix, "X-A: b\r\n");
	ck_assert_uint_eq(move(&leases, m, "bulk@example.com", 4000000000), 0);
	ck_assert_str_eq(
	    sql_text(path,
		"SELECT group_concat(q.name || ' ' || r.address || ' ' || "
		"r.state || ' ' || r.due_at || ' ' || r.attempts || ' ' || "
		"r.crashes, ', ') FROM recipient r JOIN queue q ON q.id = "
		"r.queue"),
	    "bulk@example.com a@example.com 0 4000000000 0 0, "
	    "bulk@example.com b@example.com 0 4000000000 0 0");
	ck_assert_str_eq(sql_text(path, "SELECT uuid FROM message"), id);
	ck_assert_str_eq(
	    sql_text(path, "SELECT json_extract(meta, '$.tenant') || ' ' || "
			   "CAST(prefix AS TEXT) FROM message"),
	    "bulk Received: by us\r\nX-A: b\r\n");
	ck_assert_int_eq(sql_int(path, "SELECT size FROM content"), 900);
	ck_assert_int_eq(
	    sql_int(path, "SELECT next_due FROM queue WHERE tenant = 'bulk'"),
	    4000000000);
	ck_assert_str_eq(sql_text(path, "SELECT DISTINCT kind || ' ' || queue "
					"FROM event"),
	    "moved example.com");
}
END_TEST

static const struct {
	size_t before, after;
	int64_t chunks, doomed;
} sizes[] = {
    {900, 500, 0, 0}, {900, 200000, 4, 0},
    {200000, 500, 4, 1}, /* the old chunks go in small steps */
};

START_TEST(content_is_replaced_when_it_changed)
{
	struct queue_leases leases = leased("a@example.com", sizes[_i].before);
	struct message *m = mail_to("a@example.com", sizes[_i].after);

	m->content_changed = true;
	ck_assert_uint_eq(move(&leases, m, "example.com", 1), 0);
	ck_assert_int_eq(
	    sql_int(path, "SELECT c.size FROM message m JOIN content c ON c.id "
			  "= m.content WHERE c.state = 1 AND c.refs = 1"),
	    (int64_t)sizes[_i].after);
	ck_assert_int_eq(
	    sql_int(path, "SELECT count(*) FROM chunk"), sizes[_i].chunks);
	ck_assert_int_eq(
	    sql_int(path, "SELECT count(*) FROM content WHERE state = 2"),
	    sizes[_i].doomed);
}
END_TEST

START_TEST(content_that_others_share_stays_for_them)
{
	struct message *both[2] = {mail_to("a@example.com", 900)};
	struct queue_leases leases, first;
	struct message *m;

	both[1] = message_derive(both[0]);
	*ARRAY_ADD(&both[1]->recipients) = both[0]->recipients.items[0];
	put_mail(conn, both, 2);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM content"), 1);
	leases = lease_due(conn, 10, clock_unix(), arena);
	ck_assert_uint_eq(leases.count, 2);
	first = (struct queue_leases){leases.items, 1};
	m = mail_to("a@example.com", 100);
	m->content_changed = true;
	ck_assert_uint_eq(move(&first, m, "other", 1), 0);
	ck_assert_str_eq(
	    sql_text(path, "SELECT group_concat(size || ' ' || refs) FROM "
			   "(SELECT * FROM content ORDER BY size)"),
	    "100 1,900 1");
}
END_TEST

START_TEST(new_recipients_take_the_place_of_the_old)
{
	struct queue_leases leases = leased("a@example.com b@example.com", 900);
	struct message *m = mail_to("c@x.test d@x.test e@x.test", 10);

	m->recipients_changed = true;
	ck_assert_uint_eq(move(&leases, m, "x.test", 7), 0);
	ck_assert_str_eq(
	    sql_text(path, "SELECT group_concat(address || ' ' || due_at) FROM "
			   "recipient"),
	    "c@x.test 7,d@x.test 7,e@x.test 7");
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM message"), 1);
}
END_TEST

START_TEST(what_an_operator_removed_stays_removed)
{
	struct queue_leases leases = leased("a@example.com b@example.com", 900);
	struct message *m = mail_to("c@x.test", 10);

	sql_run(path, "DELETE FROM recipient");
	m->recipients_changed = true;
	m->content_changed = true;
	ck_assert_uint_eq(move(&leases, m, "x.test", 1), 2);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM recipient"), 0);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM message"), 0);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM content"), 0);
}
END_TEST

START_TEST(one_that_an_operator_holds_is_held_there)
{
	struct queue_leases leases = leased("a@example.com", 900);

	sql_run(path, "UPDATE recipient SET state = 2, held_because = 'x'");
	(void)move(&leases, mail_to("a@example.com", 10), "other", 1);
	ck_assert_str_eq(
	    sql_text(path, "SELECT q.name || ' ' || r.state FROM recipient r "
			   "JOIN queue q ON q.id = r.queue"),
	    "other 2");
}
END_TEST

TCase *move_tests(void)
{
	TCase *tc = tcase_create("move");

	tcase_add_checked_fixture(tc, fixture_begin, fixture_end);
	tcase_add_test(tc, it_keeps_its_id_and_begins_anew);
	tcase_add_loop_test(
	    tc, content_is_replaced_when_it_changed, 0, COUNT(sizes));
	tcase_add_test(tc, content_that_others_share_stays_for_them);
	tcase_add_test(tc, new_recipients_take_the_place_of_the_old);
	tcase_add_test(tc, what_an_operator_removed_stays_removed);
	tcase_add_test(tc, one_that_an_operator_holds_is_held_there);
	return tc;
}
