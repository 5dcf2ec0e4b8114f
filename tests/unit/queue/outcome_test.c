/* outcome_test.c - queue/queue_outcome.c: what became of it */
#include "tests/unit/queue/fixture.h"

#include "base/clock.h"

static const struct {
	enum queue_verdict_kind kind;
	const char *left; /* state, due_at, attempts, last_reply */
	const char *event;
} kinds[] = {
    {VERDICT_DELIVERED, "", "delivered"},
    {VERDICT_BOUNCED, "", "bounced"},
    {VERDICT_EXPIRED, "", "expired"},
    {VERDICT_DEFERRED,
	"queued 4000000000 1 450 450 4.2.0 later ip-1 mx.example.com "
	"192.0.2.1:25",
	"deferred"},
    {VERDICT_RETURNED, "queued 4000000000 0     ", ""},
    {VERDICT_HELD,
	"held - 1 450 450 4.2.0 later ip-1 mx.example.com 192.0.2.1:25",
	"held"},
};

START_TEST(each_verdict_leaves_what_it_says)
{
	struct queue_leases leases;

	put_many(conn, "example.com", 1);
	leases = lease_due(conn, 10, clock_unix(), arena);
	settle(conn, &leases, kinds[_i].kind, 4000000000);
	ck_assert_str_eq(
	    sql_text(path,
		"SELECT state || ' ' || iif(state = 'held', '-', due_at) || "
		"' ' || attempts || ' ' || coalesce(last_code, '') || ' ' || "
		"coalesce(last_reply, '') || ' ' || "
		"coalesce(last_source, '') || ' ' || coalesce(last_site, '') "
		"|| ' ' || coalesce(last_peer, '') FROM v_queue"),
	    kinds[_i].left);
	ck_assert_str_eq(sql_text(path, "SELECT group_concat(kind) FROM event"),
	    kinds[_i].event);
	if (!*kinds[_i].left) {
		ck_assert_int_eq(
		    sql_int(path, "SELECT count(*) FROM message"), 0);
		ck_assert_int_eq(
		    sql_int(path, "SELECT count(*) FROM content"), 0);
	}
}
END_TEST

START_TEST(a_message_stays_until_its_last_recipient_goes)
{
	struct message *m = mail_to("a@example.com b@example.com", 900);
	struct queue_leases leases, one;

	put_mail(conn, &m, 1);
	leases = lease_due(conn, 10, clock_unix(), arena);
	one = (struct queue_leases){leases.items, 1};
	settle(conn, &one, VERDICT_DELIVERED, 0);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM content"), 1);
	one.items++;
	settle(conn, &one, VERDICT_BOUNCED, 0);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM message"), 0);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM content"), 0);
}
END_TEST

START_TEST(a_deferred_recipient_is_due_again_and_keeps_its_history)
{
	struct queue_leases leases;
	int64_t now = clock_unix(), next;

	put_many(conn, "example.com", 1);
	leases = lease_due(conn, 10, now, arena);
	settle(conn, &leases, VERDICT_DEFERRED, now + 1200);
	ck_ok(queue_next_due(conn, now, &next, &why));
	ck_assert_int_eq(next, now + 1200);
	ck_assert_str_eq(sql_text(path, "SELECT last_reply FROM v_by_domain"),
	    "450 4.2.0 later");
	leases = lease_due(conn, 10, now + 1200, arena);
	ck_assert_uint_eq(leases.count, 1);
	ck_assert_int_eq(leases.items[0].attempts, 1);
	ck_assert_int_ge(leases.items[0].last_attempt_at, now);
	settle(conn, &leases, VERDICT_DELIVERED, 0);
	ck_assert_str_eq(sql_text(path, "SELECT group_concat(kind) FROM event"),
	    "deferred,delivered");
}
END_TEST

START_TEST(what_an_operator_removed_is_counted_as_gone)
{
	struct queue_leases leases;
	struct queue_verdict verdicts[2] = {0};
	size_t gone = 0;

	put_many(conn, "example.com", 2);
	leases = lease_due(conn, 10, clock_unix(), arena);
	sql_run(path, "DELETE FROM recipient WHERE address LIKE 'u0@%'");
	for (size_t i = 0; i < 2; i++)
		verdicts[i] = (struct queue_verdict){
		    .recipient_id = leases.items[i].recipient_id,
		    .kind = i ? VERDICT_DEFERRED : VERDICT_DELIVERED};
	ck_ok(queue_settle(conn, verdicts, 2, NULL, 0, true, &gone, &why));
	ck_assert_uint_eq(gone, 1);
	/* Its id never comes back for another. */
	put_many(conn, "example.org", 1);
	ck_assert_int_eq(sql_int(path, "SELECT max(id) FROM recipient"), 3);
}
END_TEST

START_TEST(what_an_operator_held_stays_held)
{
	struct queue_leases leases;

	put_many(conn, "example.com", 1);
	leases = lease_due(conn, 10, clock_unix(), arena);
	sql_run(path, "UPDATE recipient SET state = 2");
	settle(conn, &leases, VERDICT_DEFERRED, clock_unix());
	ck_assert_str_eq(sql_text(path, "SELECT state FROM v_queue"), "held");
}
END_TEST

START_TEST(an_injected_message_comes_with_the_outcome_that_causes_it)
{
	struct message *dsn = mail_to("ann@sender.test", 400);
	struct message *nobody = mail_to("", 400);
	struct queue_leases leases;
	struct queue_verdict verdict;

	put_many(conn, "example.com", 1);
	leases = lease_due(conn, 10, clock_unix(), arena);
	verdict =
	    (struct queue_verdict){.recipient_id = leases.items[0].recipient_id,
		.kind = VERDICT_BOUNCED};
	ck_ok(queue_settle(conn, &verdict, 1, &dsn, 1, false, NULL, &why));
	ck_assert_str_eq(
	    sql_text(path, "SELECT group_concat(recipient) FROM v_queue"),
	    "ann@sender.test");
	/* All or nothing: what cannot be inserted keeps the recipient. */
	leases = lease_due(conn, 10, clock_unix(), arena);
	verdict.recipient_id = leases.items[0].recipient_id;
	ck_assert(
	    !queue_settle(conn, &verdict, 1, &nobody, 1, false, NULL, NULL));
	ck_assert_str_eq(
	    sql_text(path, "SELECT group_concat(state) FROM v_queue"),
	    "leased");
	message_unref(nobody);
	message_unref(dsn);
}
END_TEST

START_TEST(shared_content_goes_with_the_last_message)
{
	struct message *m[2] = {mail_to("a@x.test", 800), NULL};
	struct queue_leases leases, one;

	m[1] = message_derive(m[0]);
	*ARRAY_ADD(&m[1]->recipients) = m[0]->recipients.items[0];
	put_mail(conn, m, 2);
	leases = lease_due(conn, 10, clock_unix(), arena);
	ck_assert_uint_eq(leases.count, 2);
	ck_assert_int_eq(leases.items[0].message->content_id,
	    leases.items[1].message->content_id);
	one = (struct queue_leases){leases.items, 1};
	settle(conn, &one, VERDICT_DELIVERED, 0);
	ck_assert_int_eq(sql_int(path, "SELECT refs FROM content"), 1);
	one.items++;
	settle(conn, &one, VERDICT_DELIVERED, 0);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM content"), 0);
}
END_TEST

TCase *outcome_tests(void)
{
	TCase *t = tcase_create("outcome");

	tcase_add_checked_fixture(t, fixture_begin, fixture_end);
	tcase_add_loop_test(
	    t, each_verdict_leaves_what_it_says, 0, (int)COUNT(kinds));
	tcase_add_test(t, a_message_stays_until_its_last_recipient_goes);
	tcase_add_test(
	    t, a_deferred_recipient_is_due_again_and_keeps_its_history);
	tcase_add_test(t, what_an_operator_removed_is_counted_as_gone);
	tcase_add_test(t, what_an_operator_held_stays_held);
	tcase_add_test(
	    t, an_injected_message_comes_with_the_outcome_that_causes_it);
	tcase_add_test(t, shared_content_goes_with_the_last_message);
	return t;
}
