/* view_test.c - queue/queue_view.h: questions of operators */
#include "tests/unit/queue/queue_test.h"

#include "base/clock.h"

static const char *path;
static struct queue *queue;
static struct queue_conn *conn;

/* Three messages: two for example.com (one of them tenant t, held), one for
 * example.org, due in an hour after a deferral. */
static void setup(void)
{
	struct arena *arena = arena_new(0);
	struct queue_leases leases;
	struct message *m;

	path = store_path();
	queue = store_open(path, QUEUE_ROUTER);
	conn = store_connect(queue);
	m = mail_to("bob@example.org", 100);
	put_mail(conn, &m, 1);
	leases = lease_due(conn, 10, clock_unix(), arena);
	settle(conn, &leases, VERDICT_DEFERRED, clock_unix() + 3600);
	m = mail_to("bob@example.com", 100);
	put_mail(conn, &m, 1);
	m = mail_to("Eve@Example.COM", 70000);
	meta_set_string(m->meta, "tenant", "t");
	meta_set_string(m->meta, "campaign", "c");
	put_mail(conn, &m, 1);
	sql_run(path, "UPDATE recipient SET state = 2 WHERE address LIKE 'e%'");
	sql_run(path,
	    "UPDATE message SET created_ms = created_ms - 100000 WHERE id = 1");
	arena_unref(arena);
}

static void teardown(void)
{
	queue_disconnect(conn);
	queue_close(queue);
}

static bool count_row(const struct value *row, void *ctx)
{
	++*(size_t *)ctx;
	ck_assert_int_eq(row->type, VALUE_MAP);
	return true;
}

static const struct {
	const char *label;
	struct queue_selector selector;
	size_t rows;
} selections[] = {
    {"all", {0}, 3},
    {"limit", {.limit = 2}, 2},
    {"domain", {.domain = "EXAMPLE.com"}, 2},
    {"recipient, in any case", {.recipient = "eve@example.com"}, 1},
    {"sender", {.sender = "ann@sender.test"}, 3},
    {"another sender", {.sender = "x@sender.test"}, 0},
    {"tenant", {.tenant = "t"}, 1},
    {"campaign", {.campaign = "c"}, 1},
    {"queue", {.queue = "c:t@example.com"}, 1},
    {"state", {.state = "held"}, 1},
    {"older", {.older_than = 50}, 1},
    {"and", {.domain = "example.com", .state = "queued"}, 1},
    {"quotes are only text", {.domain = "' OR 1 --"}, 0},
};

START_TEST(selectors_select)
{
	size_t rows = 0;

	ck_ok(queue_ask(conn, QUEUE_Q_LIST, &selections[_i].selector, count_row,
	    &rows, &why));
	ck_assert_msg(
	    rows == selections[_i].rows, "%s: %zu", selections[_i].label, rows);
}
END_TEST

static const struct {
	enum queue_question question;
	bool by_id;
	size_t rows;
} questions[] = {
    {QUEUE_Q_LIST, false, 3},
    {QUEUE_Q_SUMMARY, false, 2},
    {QUEUE_Q_DUE, false, 3},
    {QUEUE_Q_STATUS, false, 1},
    {QUEUE_Q_MESSAGE, true, 1},
    {QUEUE_Q_RECIPIENTS, true, 1},
    {QUEUE_Q_WHY, true, 1},
};

START_TEST(every_question_has_an_answer)
{
	struct queue_selector selector = {0};
	char id[33];
	size_t rows = 0;

	(void)snprintf(id, sizeof id, "%s",
	    sql_text(path, "SELECT uuid FROM message WHERE id = 1"));
	if (questions[_i].by_id)
		selector.id = id;
	ck_ok(queue_ask(
	    conn, questions[_i].question, &selector, count_row, &rows, &why));
	ck_assert_uint_eq(rows, questions[_i].rows);
}
END_TEST

static const struct {
	const char *id, *want;
} ids[] = {
    {"12345", "is not an id"},
    {"xyzxyz", "is not an id"},
    {"fffffff", "no message \"fffffff\" is in the queue"},
    {NULL, "which message?"},
};

START_TEST(a_bad_id_is_explained)
{
	struct queue_selector selector = {.id = ids[_i].id};
	struct err err = {0};
	size_t rows = 0;

	ck_assert(!queue_ask(
	    conn, QUEUE_Q_MESSAGE, &selector, count_row, &rows, &err));
	ck_assert_msg(strstr(err.text, ids[_i].want) != NULL, "%s", err.text);
}
END_TEST

static const struct {
	const char *recipient, *why;
} whys[] = {
    {"bob@example.org", "due in 3%, attempt 1 was told: 450 4.2.0 later"},
    {"bob@example.com", "due now, but no router runs"},
    {"Eve@example.com", "held: by an operator"},
};

START_TEST(why_names_what_holds_a_recipient)
{
	char sql[200];

	(void)snprintf(sql, sizeof sql,
	    "SELECT count(*) FROM v_why WHERE lower(recipient) = lower('%s') "
	    "AND why LIKE '%s'",
	    whys[_i].recipient, whys[_i].why);
	sql_run(path, "UPDATE owner SET alive_until = 5");
	ck_assert_int_eq(sql_int(path, sql), 1);
}
END_TEST

START_TEST(why_names_a_suspension)
{
	sql_run(path,
	    "INSERT INTO suspension (domain, who, reason, created_at) VALUES "
	    "('example.com', 'root', 'they asked', 1)");
	ck_assert_str_eq(
	    sql_text(path,
		"SELECT why FROM v_why WHERE recipient = 'bob@example.com'"),
	    "suspended by root: they asked");
}
END_TEST

static bool add_piece(const char *p, size_t len, void *ctx)
{
	buf_add(ctx, p, len);
	return true;
}

START_TEST(the_body_is_what_would_be_sent)
{
	struct buf body = BUF_INIT;
	char id[33];

	(void)snprintf(id, sizeof id, "%s",
	    sql_text(path, "SELECT uuid FROM message WHERE id = 3"));
	ck_ok(queue_body(conn, id, add_piece, &body, &why));
	ck_assert_uint_eq(body.len, 70000 + strlen("Received: by us\r\n"));
	ck_assert_int_eq(strncmp(body.data, "Received: by us\r\n", 17), 0);
	buf_release(&body);
}
END_TEST

START_TEST(totals_are_right)
{
	ck_assert_str_eq(
	    sql_text(path,
		"SELECT group_concat(domain || ' ' || ready || ' ' || "
		"deferred || ' ' || held) FROM (SELECT * FROM v_by_domain "
		"ORDER BY domain)"),
	    "example.com 1 0 1,example.org 0 1 0");
}
END_TEST

static void keep_first(const char *line, void *ctx)
{
	if (!*(char *)ctx)
		(void)snprintf(ctx, 200, "%s", line);
}

static const struct {
	const char *damage, *finding;
} damages[] = {
    {"DELETE FROM message WHERE id = 1", "recipient 1 has no message"},
    {"DELETE FROM content WHERE id = 2", " has no content"},
    {"UPDATE content SET refs = 7 WHERE id = 2", "is counted 7 times"},
    {"UPDATE content SET size = 7 WHERE id = 2", "has 100 of 7 bytes"},
    {"DELETE FROM chunk WHERE id = 3 << 20", "has 4464 of 70000 bytes"},
    {"UPDATE queue SET next_due = NULL", "is looked at too late"},
    {"DELETE FROM queue WHERE id = 1", "has no scheduled queue"},
};

START_TEST(the_integrity_check_finds_what_sqlite_cannot_know)
{
	char first[200] = "";
	size_t findings;

	sql_run(path, damages[_i].damage);
	ck_ok(queue_check_integrity(conn, keep_first, first, &findings, &why));
	ck_assert_uint_ge(findings, 1);
	ck_assert_msg(strstr(first, damages[_i].finding) != NULL, "%s", first);
}
END_TEST

TCase *view_tests(void)
{
	TCase *t = tcase_create("view");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, selectors_select, 0, (int)COUNT(selections));
	tcase_add_loop_test(
	    t, every_question_has_an_answer, 0, (int)COUNT(questions));
	tcase_add_loop_test(t, a_bad_id_is_explained, 0, (int)COUNT(ids));
	tcase_add_loop_test(
	    t, why_names_what_holds_a_recipient, 0, (int)COUNT(whys));
	tcase_add_test(t, why_names_a_suspension);
	tcase_add_test(t, the_body_is_what_would_be_sent);
	tcase_add_test(t, totals_are_right);
	tcase_add_loop_test(t,
	    the_integrity_check_finds_what_sqlite_cannot_know, 0,
	    (int)COUNT(damages));
	return t;
}
