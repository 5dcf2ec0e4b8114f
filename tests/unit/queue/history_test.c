/* history_test.c - what is remembered of mail that has left */
#include "tests/unit/queue/fixture.h"

#include "base/clock.h"
#include "base/str.h"
#include "mail/message.h"
#include "queue/queue_history.h"

/* Its id. */
static const char *put(const char *to, const char *header, const char *envid)
{
	struct message *m = mail_to(to, 10);
	const char *id = arena_strdup(arena, m->id);

	content_unref(m->content);
	m->content = content_from_bytes(header, strlen(header));
	m->sender.envid = arena_strdup(m->arena, envid);
	put_mail(conn, &m, 1);
	return id;
}

static void deliver_all(void)
{
	struct queue_leases leases = lease_due(conn, 100, clock_unix(), arena);

	settle(conn, &leases, VERDICT_DELIVERED, 0);
}

static const struct queue_past *find(
    enum queue_key by, const char *key, const char *address)
{
	const struct queue_past *past;

	ck_ok(queue_find_past(conn, by, key, address, arena, &past, &why));
	return past;
}

static const char header[] = "Subject: x\r\nMessage-Id:\r\n <One@x.test>"
			     " \r\n\r\nbody\r\n";

enum when { LEASED, DEFERRED, GONE };

static void bring_to(enum when when)
{
	struct queue_leases leases;

	if (when == GONE) {
		deliver_all();
		return;
	}
	leases = lease_due(conn, 100, clock_unix(), arena);
	if (when == DEFERRED)
		settle(conn, &leases, VERDICT_DEFERRED, clock_unix() + 100);
}

static const char *const outcomes[] = {"queued", "deferred", "delivered"};

START_TEST(mail_is_found_by_each_key_while_it_waits_and_when_it_has_left)
{
	const char *id =
	    put("Bob@example.com ann@example.com", header, "E+2B1");
	const struct queue_past *past;
	const struct {
		enum queue_key by;
		const char *key;
	} keys[] = {
	    {QUEUE_BY_ID, id},
	    {QUEUE_BY_MESSAGE_ID, "One@x.test"},
	    {QUEUE_BY_MESSAGE_ID, "<One@x.test>"},
	    {QUEUE_BY_ENVID, "E+1"}, /* decoded, as RFC 3464 wants it */
	    {QUEUE_BY_ENVID, "E+2B1"},
	};

	bring_to((enum when)_i);
	for (size_t i = 0; i < COUNT(keys); i++) {
		past = find(keys[i].by, keys[i].key, "bob@EXAMPLE.com");
		ck_assert_msg(past != NULL, "%s", keys[i].key);
		ck_assert_str_eq(past->id, id);
		ck_assert_str_eq(past->address, "Bob@example.com");
		ck_assert_str_eq(past->queue, "example.com");
		ck_assert_str_eq(past->outcome, outcomes[_i]);
	}
}
END_TEST

START_TEST(another_recipient_or_key_is_not_found)
{
	const char *id = put("bob@example.com", header, "E1");

	(void)put("eve@example.com", "Message-ID: <two@x.test>\r\n\r\n", "E2");
	bring_to((enum when)_i);
	ck_assert_ptr_null(find(QUEUE_BY_ID, id, "eve@example.com"));
	ck_assert_ptr_null(
	    find(QUEUE_BY_MESSAGE_ID, "One@x.test", "eve@example.com"));
	ck_assert_ptr_null(find(QUEUE_BY_ENVID, "E1", "eve@example.com"));
	ck_assert_ptr_null(
	    find(QUEUE_BY_MESSAGE_ID, "one@x.test", "bob@example.com"));
	ck_assert_ptr_null(find(QUEUE_BY_MESSAGE_ID, "", "bob@example.com"));
	ck_assert_ptr_null(find(QUEUE_BY_ID, "", "bob@example.com"));
	ck_assert_ptr_null(find(QUEUE_BY_ID, id, ""));
}
END_TEST

static const struct {
	const char *label, *block, *want;
} ids[] = {
    {"brackets and space go", "Message-ID: <a@b> \r\n\r\n", "a@b"},
    {"any case, folded", "message-id:\r\n\t<a@b>\r\n\r\n", "a@b"},
    {"no brackets", "Message-ID: a@b\r\n\r\n", "a@b"},
    {"the first counts", "Message-ID: <a@b>\r\nMessage-ID: <c@d>\r\n", "a@b"},
    {"no end", "Message-ID: <a@b\r\n\r\n", "a@b"},
    {"none", "Subject: <a@b>\r\n\r\n", ""},
    {"empty", "Message-ID: <>\r\n\r\n", ""},
    {"in the body", "A: b\r\n\r\nMessage-ID: <a@b>\r\n", ""},
    {"controls", "Message-ID: <a\001@b>\r\n\r\n", ""},
};

START_TEST(a_message_id_is_what_stands_between_the_brackets)
{
	struct buf out = BUF_INIT;

	queue_message_id(ids[_i].block, strlen(ids[_i].block), &out);
	ck_assert_msg(str_eq(buf_str(&out), ids[_i].want), "%s: %s",
	    ids[_i].label, buf_str(&out));
	buf_release(&out);
}
END_TEST

START_TEST(the_policys_own_header_counts_and_a_long_id_is_none)
{
	struct buf block = BUF_INIT, out = BUF_INIT;
	struct message *m = mail_to("bob@example.com", 10);

	content_unref(m->content);
	m->content = content_from_bytes(header, strlen(header));
	message_prepend_header(m, "Message-ID", "<ours@x.test>");
	put_mail(conn, &m, 1);
	deliver_all();
	ck_assert_ptr_nonnull(
	    find(QUEUE_BY_MESSAGE_ID, "ours@x.test", "bob@example.com"));

	buf_addstr(&block, "Message-ID: <");
	for (size_t i = 0; i <= QUEUE_MESSAGE_ID_MOST; i++)
		buf_addch(&block, 'a');
	buf_addstr(&block, ">\r\n");
	queue_message_id(buf_str(&block), block.len, &out);
	ck_assert_uint_eq(out.len, 0);
	buf_release(&block);
	buf_release(&out);
}
END_TEST

static void sweep_all(int64_t now)
{
	bool more = true;

	while (more)
		ck_ok(queue_sweep(conn, now, &more, &why));
}

START_TEST(history_ends_at_its_age_and_at_its_number)
{
	int64_t now = clock_unix();

	(void)put("bob@example.com", header, "E1");
	deliver_all();
	/* Verdicts of tests are of another day. */
	sql_run(path, "UPDATE event SET at = unixepoch()");
	queue_keep_history(queue, 86400, 1000);
	sweep_all(now + 86300);
	ck_assert_ptr_nonnull(find(QUEUE_BY_ENVID, "E1", "bob@example.com"));
	sweep_all(now + 86500);
	ck_assert_ptr_null(find(QUEUE_BY_ENVID, "E1", "bob@example.com"));
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM event"), 0);

	put_many(conn, "example.com", 1200);
	for (int i = 0; i < 12; i++)
		deliver_all();
	sql_run(path, "UPDATE event SET at = unixepoch()");
	sweep_all(now);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM event"), 1000);
	ck_assert_int_eq(
	    sql_int(path, "SELECT max(id) - min(id) FROM event"), 999);
}
END_TEST

START_TEST(a_step_of_the_sweep_is_bounded)
{
	bool more = false;

	sql_run(path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
		      "FROM n WHERE i < 5000) INSERT INTO event (at, kind) "
		      "SELECT 100, 'old' FROM n");
	ck_ok(queue_sweep(conn, clock_unix(), &more, &why));
	ck_assert(more);
	ck_assert_int_ge(sql_int(path, "SELECT count(*) FROM event"), 4500);
}
END_TEST

START_TEST(what_the_lease_knows_and_what_is_looked_up_make_the_same_event)
{
	static const char all[] =
	    "SELECT group_concat(coalesce(at,'') || '|' || kind || '|' || "
	    "address || '|' || queue || '|' || attempts || '|' || "
	    "coalesce(code,'') || '|' || coalesce(reply,'') || '|' || "
	    "coalesce(site,'') || '|' || ref || '|' || envid || '|' || "
	    "coalesce(message_id,'') || '|' || coalesce(sender,'') || '|' || "
	    "(created_ms IS NULL)) FROM event WHERE id = (SELECT max(id) FROM "
	    "event)";
	struct smtp_reply reply = {.code = 250, .text = "2.0.0 ok"};
	struct queue_leases leases;
	struct queue_verdict v = {.kind = (enum queue_verdict_kind)_i,
	    .attempts = 1,
	    .due_at = 4000000000,
	    .reply = &reply,
	    .site = "mx",
	    .at = 1700000000};
	const char *first = NULL;
	size_t gone;

	for (int known = 0; known < 2; known++) {
		(void)put("bob@example.com", header, "E1");
		leases = lease_due(conn, 1, clock_unix(), arena);
		v.recipient_id = leases.items[0].recipient_id;
		if (known) {
			v.message = leases.items[0].message;
			v.address = leases.items[0].recipient.address.email;
			v.queue = "example.com";
			v.ref = leases.items[0].ref;
		}
		ck_ok(queue_settle(conn, &v, 1, NULL, 0, false, &gone, &why));
		if (known)
			ck_assert_str_eq(sql_text(path, all), first);
		else
			first = arena_strdup(arena, sql_text(path, all));
	}
	ck_assert(strstr(first, "|One@x.test|") || _i == VERDICT_DEFERRED ||
		  _i == VERDICT_HELD);
}
END_TEST

TCase *history_tests(void)
{
	TCase *t = tcase_create("history");

	tcase_add_checked_fixture(t, fixture_begin, fixture_end);
	tcase_add_loop_test(t,
	    mail_is_found_by_each_key_while_it_waits_and_when_it_has_left, 0,
	    3);
	tcase_add_loop_test(t, another_recipient_or_key_is_not_found, 0, 3);
	tcase_add_loop_test(t, a_message_id_is_what_stands_between_the_brackets,
	    0, (int)COUNT(ids));
	tcase_add_test(t, the_policys_own_header_counts_and_a_long_id_is_none);
	tcase_add_test(t, history_ends_at_its_age_and_at_its_number);
	tcase_add_test(t, a_step_of_the_sweep_is_bounded);
	tcase_add_loop_test(t,
	    what_the_lease_knows_and_what_is_looked_up_make_the_same_event,
	    VERDICT_DELIVERED, VERDICT_DEFERRED + 1);
	return t;
}
