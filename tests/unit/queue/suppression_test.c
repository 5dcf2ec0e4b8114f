/* suppression_test.c - queue/queue_suppression.h: the list */
#include "tests/unit/queue/fixture.h"

#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/queue_suppression.h"

#define DAY 86400

static struct suppression_mark once = {.rule = "once", .count = 1};
static struct suppression_mark thrice = {
    .rule = "thrice", .count = 3, .within_s = DAY, .keep_s = 10 * DAY};
static struct suppression_mark everybody = {
    .rule = "all", .all_tenants = true, .count = 1, .keep_s = DAY};

static struct suppression_hit hit_of(
    struct suppression_mark *mark, const char *tenant, const char *message)
{
	return (struct suppression_hit){.address = "bob@example.com",
	    .tenant = tenant,
	    .record = "Bounce",
	    .class = "InvalidRecipient",
	    .reason = "550 5.1.1 who?",
	    .message = message,
	    .code = 550,
	    .at = clock_unix(),
	    .marks = mark,
	    .mark_count = 1};
}

static void note(struct suppression_hit hit)
{
	struct queue_intake intake = {.hits = &hit, .hit_count = 1};

	ck_ok(queue_begin(conn, QUEUE_SYNCED, &why));
	ck_ok(queue_insert(conn, &intake, NULL, 0, &why));
	ck_ok(queue_commit(conn, &why));
}

static const struct suppression_entry *found(
    const char *address, const char *tenant)
{
	const struct suppression_entry *e;

	ck_ok(queue_suppressed(queue, address, "@example.com", tenant,
	    clock_now_ms() + 5000, arena, &e, &why));
	return e;
}

START_TEST(one_hit_is_enough_for_a_rule_that_says_so)
{
	const struct suppression_entry *e;

	ck_assert_ptr_null(found("bob@example.com", "acme"));
	note(hit_of(&once, "acme", "m1"));
	e = found("bob@example.com", "acme");
	ck_assert_ptr_nonnull(e);
	ck_assert_str_eq(e->class, "InvalidRecipient");
	ck_assert_str_eq(e->reason, "550 5.1.1 who?");
	ck_assert_str_eq(e->message, "m1");
	ck_assert_int_eq(e->until, 0);
	ck_assert_str_eq(
	    sql_text(path, "SELECT kind || ' ' || address || ' ' || message || "
			   "' ' || code || ' ' || why FROM event"),
	    "suppressed bob@example.com m1 550 Bounce InvalidRecipient, mail "
	    "of tenant acme");
}
END_TEST

START_TEST(an_entry_holds_for_its_tenant_alone)
{
	note(hit_of(&once, "acme", "m1"));
	ck_assert_ptr_null(found("bob@example.com", "other"));
	ck_assert_ptr_null(found("bob@example.com", ""));
	ck_assert_ptr_null(found("bob@example.com", NULL));
	ck_assert_ptr_null(found("eve@example.com", "acme"));
	note(hit_of(&once, "", "m2"));
	ck_assert_ptr_nonnull(found("bob@example.com", ""));
	ck_assert_ptr_null(found("bob@example.com", NULL));
}
END_TEST

START_TEST(an_entry_for_everybody_holds_whoever_sends)
{
	note(hit_of(&everybody, "acme", "m1"));
	ck_assert_ptr_nonnull(found("bob@example.com", "other"));
	ck_assert_ptr_nonnull(found("bob@example.com", ""));
	ck_assert_ptr_nonnull(found("bob@example.com", NULL));
}
END_TEST

START_TEST(a_rule_counts_messages_and_not_reports)
{
	for (int i = 0; i < 5; i++)
		note(hit_of(&thrice, "acme", "m1"));
	note(hit_of(&thrice, "acme", "m2"));
	ck_assert_ptr_null(found("bob@example.com", "acme"));
	note(hit_of(&thrice, "acme", "m3"));
	ck_assert_ptr_nonnull(found("bob@example.com", "acme"));
	ck_assert_int_eq(
	    sql_int(path, "SELECT count(*) FROM suppression_hit"), 0);
	ck_assert_int_eq(sql_int(path, "SELECT hits FROM suppression"), 3);
}
END_TEST

START_TEST(hits_that_are_too_far_apart_do_not_count)
{
	struct suppression_hit hit = hit_of(&thrice, "acme", "m1");

	hit.at -= DAY;
	note(hit);
	note(hit_of(&thrice, "acme", "m2"));
	note(hit_of(&thrice, "acme", "m3"));
	ck_assert_ptr_null(found("bob@example.com", "acme"));
	note(hit_of(&thrice, "acme", "m4"));
	ck_assert_ptr_nonnull(found("bob@example.com", "acme"));
}
END_TEST

START_TEST(the_same_message_does_not_prolong_an_entry)
{
	struct suppression_hit hit = hit_of(&everybody, "acme", "m1");
	int64_t until;

	hit.at -= 100;
	note(hit);
	until = found("bob@example.com", NULL)->until;
	note(hit_of(&everybody, "acme", "m1"));
	ck_assert_int_eq(found("bob@example.com", NULL)->until, until);
	note(hit_of(&everybody, "acme", "m2"));
	ck_assert_int_ge(found("bob@example.com", NULL)->until, until + 100);
	ck_assert_int_eq(found("bob@example.com", NULL)->hits, 2);
	note(hit_of(&everybody, "acme", "m1"));
	/* One row of the timeline, for the entry. */
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM event"), 1);
}
END_TEST

START_TEST(what_has_ended_is_not_found_and_goes_with_the_sweep)
{
	struct suppression_hit hit = hit_of(&everybody, "acme", "m1");
	bool more;

	hit.at -= 2 * DAY;
	note(hit);
	hit = hit_of(&thrice, "acme", "m1");
	hit.at -= 2 * DAY;
	note(hit);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM suppression"), 1);
	ck_assert_ptr_null(found("bob@example.com", "acme"));
	ck_ok(queue_sweep(conn, clock_unix(), &more, &why));
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM suppression"), 0);
	ck_assert_int_eq(
	    sql_int(path, "SELECT count(*) FROM suppression_hit"), 0);
}
END_TEST

START_TEST(after_its_end_an_entry_begins_anew)
{
	struct suppression_hit hit = hit_of(&everybody, "acme", "m1");

	hit.at -= 2 * DAY;
	note(hit);
	note(hit_of(&everybody, "acme", "m1"));
	ck_assert_int_eq(found("bob@example.com", NULL)->hits, 1);
	ck_assert_int_ge(
	    found("bob@example.com", NULL)->created_at, clock_unix() - 60);
}
END_TEST

START_TEST(a_hit_goes_with_the_verdict_that_it_belongs_to)
{
	struct suppression_hit hit = hit_of(&once, "acme", "m1");
	struct queue_verdict verdict = {
	    .kind = VERDICT_BOUNCED, .at = clock_unix(), .hit = &hit};
	struct queue_leases leases;
	size_t gone;

	put_many(conn, "example.com", 1);
	leases = lease_due(conn, 10, clock_unix(), arena);
	verdict.recipient_id = leases.items[0].recipient_id;
	ck_ok(queue_settle(conn, &verdict, 1, NULL, 0, false, &gone, &why));
	ck_assert_ptr_nonnull(found("bob@example.com", "acme"));
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM recipient"), 0);
}
END_TEST

/* ---- operators ---- */

static const struct suppression_order order = {
    .who = "ann", .why = "asked to", .what = "imported list.csv"};

static struct suppression_entry entry_for(const char *address)
{
	return (struct suppression_entry){.address = address,
	    .scope = {.all = true, .tenant = ""},
	    .class = "manual",
	    .record = "Operator",
	    .who = "ann"};
}

START_TEST(an_operator_adds_and_removes_and_it_is_written_down)
{
	const char *keys[] = {"bob@example.com", "nobody@example.com"};
	struct suppression_entry e = entry_for("bob@example.com");
	struct suppression_counts counts;

	ck_ok(queue_suppress(conn, &e, 1, &order, &counts, &why));
	ck_assert_int_eq(counts.added, 1);
	ck_ok(queue_suppress(conn, &e, 1, &order, &counts, &why));
	ck_assert_int_eq(counts.added, 0);
	ck_assert_int_eq(counts.changed, 1);
	ck_assert_ptr_nonnull(found("bob@example.com", "acme"));
	note(hit_of(&thrice, "acme", "m1"));
	ck_ok(queue_unsuppress(conn, keys, 2, NULL, &order, &counts, &why));
	ck_assert_int_eq(counts.removed, 1);
	ck_assert_ptr_null(found("bob@example.com", "acme"));
	ck_assert_int_eq(
	    sql_int(path, "SELECT count(*) FROM suppression_hit"), 0);
	ck_assert_str_eq(
	    sql_text(path, "SELECT group_concat(kind || ' ' || who "
			   "|| ' ' || why, '; ') FROM event"),
	    "suppressed ann asked to; suppressed ann asked to; unsuppressed "
	    "ann asked to");
}
END_TEST

START_TEST(a_whole_domain_can_be_on_the_list)
{
	struct suppression_entry e = entry_for("@example.com");
	struct suppression_counts counts;

	ck_ok(queue_suppress(conn, &e, 1, &order, &counts, &why));
	ck_assert_ptr_nonnull(found("anybody@example.com", "acme"));
}
END_TEST

START_TEST(removing_from_one_tenant_leaves_the_others)
{
	static const struct suppression_scope acme = {.tenant = "acme"};
	const char *key = "bob@example.com";
	struct suppression_counts counts;

	note(hit_of(&once, "acme", "m1"));
	note(hit_of(&once, "other", "m2"));
	ck_ok(queue_unsuppress(conn, &key, 1, &acme, &order, &counts, &why));
	ck_assert_ptr_null(found("bob@example.com", "acme"));
	ck_assert_ptr_nonnull(found("bob@example.com", "other"));
}
END_TEST

START_TEST(a_dry_run_counts_and_changes_nothing)
{
	struct suppression_order dry = order;
	struct suppression_entry e = entry_for("bob@example.com");
	struct suppression_counts counts;

	dry.dry_run = true;
	ck_ok(queue_suppress(conn, &e, 1, &dry, &counts, &why));
	ck_assert_int_eq(counts.added, 1);
	ck_assert_ptr_null(found("bob@example.com", NULL));
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM event"), 0);
}
END_TEST

START_TEST(a_large_order_is_one_line_of_the_timeline)
{
	enum { MANY = 2 * SUPPRESSION_EVENTS_MOST };
	struct suppression_entry entries[MANY];
	struct suppression_counts counts;

	for (size_t i = 0; i < MANY; i++)
		entries[i] =
		    entry_for(arena_printf(arena, "u%zu@example.com", i));
	ck_ok(queue_suppress(conn, entries, MANY, &order, &counts, &why));
	ck_assert_int_eq(counts.added, MANY);
	ck_assert_str_eq(
	    sql_text(
		path, "SELECT group_concat(who || ': ' || why) FROM event"),
	    "ann: imported list.csv: 200 added, 0 changed, 0 removed: asked "
	    "to");
}
END_TEST

enum { STEPS = 3, IN_STEPS = (STEPS - 1) * SUPPRESSION_STEP + 1 };

static struct suppression_entry *many_entries(size_t count)
{
	struct suppression_entry *e =
	    ARENA_ARRAY(arena, struct suppression_entry, count);

	for (size_t i = 0; i < count; i++)
		e[i] = entry_for(arena_printf(arena, "u%zu@example.com", i));
	return e;
}

struct between {
	int calls, last; /* false at the last; 0: never */
};

/* Whoever waits for the writer lock gets it here, and sees whole steps. */
static bool others_get_their_turn(void *ctx)
{
	struct between *b = ctx;
	struct queue_conn *other = store_connect(queue);

	b->calls++;
	queue_set_patience(other, 0);
	ck_ok(queue_begin(other, QUEUE_SYNCED, &why));
	queue_rollback(other);
	queue_disconnect(other);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM suppression"),
	    b->calls * SUPPRESSION_STEP);
	ck_assert_str_eq(sql_text(path, "SELECT group_concat(why) FROM event"),
	    arena_printf(arena,
		"imported list.csv (the first %d of %d): %d added, 0 changed, "
		"0 removed: asked to",
		b->calls * SUPPRESSION_STEP, IN_STEPS,
		b->calls * SUPPRESSION_STEP));
	return b->calls != b->last;
}

START_TEST(between_the_steps_of_a_large_order_others_write)
{
	struct between between = {0};
	struct suppression_order steps = order;
	struct suppression_counts counts;

	steps.go_on = others_get_their_turn;
	steps.ctx = &between;
	ck_ok(queue_suppress(
	    conn, many_entries(IN_STEPS), IN_STEPS, &steps, &counts, &why));
	ck_assert_int_eq(between.calls, STEPS - 1);
	ck_assert_int_eq(counts.added, IN_STEPS);
	ck_assert_str_eq(sql_text(path, "SELECT group_concat(why) FROM event"),
	    arena_printf(arena,
		"imported list.csv: %d added, 0 changed, 0 removed: asked to",
		IN_STEPS));
}
END_TEST

START_TEST(an_order_that_is_stopped_says_how_far_it_came_and_can_be_repeated)
{
	struct between between = {.last = 1};
	struct suppression_order steps = order;
	struct suppression_entry *entries = many_entries(IN_STEPS);
	struct suppression_counts counts;
	struct err err = {0};

	steps.go_on = others_get_their_turn;
	steps.ctx = &between;
	ck_assert(
	    !queue_suppress(conn, entries, IN_STEPS, &steps, &counts, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	ck_assert_str_eq(err.text, arena_printf(arena, "stopped after %d of %d",
				       SUPPRESSION_STEP, IN_STEPS));
	ck_assert_int_eq(counts.added, SUPPRESSION_STEP);
	ck_ok(queue_suppress(conn, entries, IN_STEPS, &order, &counts, &why));
	ck_assert_int_eq(counts.changed, SUPPRESSION_STEP);
	ck_assert_int_eq(counts.added, IN_STEPS - SUPPRESSION_STEP);
}
END_TEST

START_TEST(a_lock_that_is_not_given_leaves_whole_steps)
{
	struct queue_conn *other = store_connect(queue);
	struct suppression_counts counts;
	struct err err = {0};

	ck_ok(queue_begin(other, QUEUE_SYNCED, &why));
	queue_set_patience(conn, 0);
	ck_assert(!queue_suppress(
	    conn, many_entries(IN_STEPS), IN_STEPS, &order, &counts, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	ck_assert_int_eq(counts.added, 0);
	queue_rollback(other);
	queue_disconnect(other);
}
END_TEST

/* What stands there twice is counted as it would be, though the step that had
 * it first was rolled back. */
START_TEST(a_dry_run_of_many_steps_counts_what_the_order_would)
{
	struct suppression_order dry = order;
	struct suppression_entry *entries = many_entries(IN_STEPS);
	const char **keys = ARENA_ARRAY(arena, const char *, IN_STEPS);
	struct suppression_counts counts;

	dry.dry_run = true;
	entries[IN_STEPS - 1].address = entries[0].address;
	for (size_t i = 0; i < IN_STEPS; i++)
		keys[i] = entries[i].address;
	for (int real = 0; real < 2; real++) {
		ck_ok(queue_suppress(conn, entries, IN_STEPS,
		    real ? &order : &dry, &counts, &why));
		ck_assert_int_eq(counts.added, IN_STEPS - 1);
		ck_assert_int_eq(counts.changed, 1);
	}
	for (int real = 0; real < 2; real++) {
		ck_ok(queue_unsuppress(conn, keys, IN_STEPS, NULL,
		    real ? &order : &dry, &counts, &why));
		ck_assert_int_eq(counts.removed, IN_STEPS - 1);
	}
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM suppression"), 0);
	ck_assert_int_eq(sql_int(path, "SELECT count(*) FROM event"), 2);
}
END_TEST

/* ---- asking ---- */

START_TEST(asking_does_not_wait_for_whoever_writes)
{
	struct queue_conn *shell = store_connect(queue);
	int64_t begun;

	note(hit_of(&once, "acme", "m1"));
	ck_ok(queue_begin(shell, QUEUE_SYNCED, &why));
	begun = clock_now_ms();
	for (int i = 0; i < 100; i++)
		ck_assert_ptr_nonnull(found("bob@example.com", "acme"));
	ck_assert_int_lt(clock_now_ms() - begun, QUEUE_ASK_MS);
	queue_rollback(shell);
	queue_disconnect(shell);
}
END_TEST

static void *ask_often(void *ctx)
{
	struct arena *mine = arena_new(0);
	const struct suppression_entry *e;
	size_t *hits = ctx;

	for (int i = 0; i < 500; i++)
		if (queue_suppressed(queue, "bob@example.com", "@example.com",
			"acme", clock_now_ms() + 60000, mine, &e, NULL) &&
		    e)
			++*hits;
	arena_unref(mine);
	return NULL;
}

START_TEST(many_threads_ask_at_once)
{
	pthread_t threads[40];
	size_t hits[40] = {0};

	note(hit_of(&once, "acme", "m1"));
	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, ask_often, &hits[i]), 0);
	for (size_t i = 0; i < COUNT(threads); i++) {
		(void)pthread_join(threads[i], NULL);
		ck_assert_uint_eq(hits[i], 500);
	}
}
END_TEST

START_TEST(a_poisoned_file_answers_nothing_and_is_let_go)
{
	const struct suppression_entry *e;
	struct err err = {0};

	note(hit_of(&once, "acme", "m1"));
	ck_assert_ptr_nonnull(found("bob@example.com", "acme"));
	queue_poison(queue, "a test");
	ck_assert(!queue_suppressed(queue, "bob@example.com", "@example.com",
	    "acme", clock_now_ms() + 5000, arena, &e, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	queue_disconnect(conn);
	/* No lookup's connection is in the way. */
	ck_ok(queue_reopen(queue, &why));
	conn = store_connect(queue);
	ck_assert_ptr_nonnull(found("bob@example.com", "acme"));
}
END_TEST

TCase *suppression_tests(void)
{
	TCase *t = tcase_create("suppression");

	tcase_add_checked_fixture(t, fixture_begin, fixture_end);
	tcase_add_test(t, one_hit_is_enough_for_a_rule_that_says_so);
	tcase_add_test(t, an_entry_holds_for_its_tenant_alone);
	tcase_add_test(t, an_entry_for_everybody_holds_whoever_sends);
	tcase_add_test(t, a_rule_counts_messages_and_not_reports);
	tcase_add_test(t, hits_that_are_too_far_apart_do_not_count);
	tcase_add_test(t, the_same_message_does_not_prolong_an_entry);
	tcase_add_test(t, what_has_ended_is_not_found_and_goes_with_the_sweep);
	tcase_add_test(t, after_its_end_an_entry_begins_anew);
	tcase_add_test(t, a_hit_goes_with_the_verdict_that_it_belongs_to);
	tcase_add_test(t, an_operator_adds_and_removes_and_it_is_written_down);
	tcase_add_test(t, a_whole_domain_can_be_on_the_list);
	tcase_add_test(t, removing_from_one_tenant_leaves_the_others);
	tcase_add_test(t, a_dry_run_counts_and_changes_nothing);
	tcase_add_test(t, a_large_order_is_one_line_of_the_timeline);
	tcase_add_test(t, between_the_steps_of_a_large_order_others_write);
	tcase_add_test(t,
	    an_order_that_is_stopped_says_how_far_it_came_and_can_be_repeated);
	tcase_add_test(t, a_lock_that_is_not_given_leaves_whole_steps);
	tcase_add_test(t, a_dry_run_of_many_steps_counts_what_the_order_would);
	tcase_add_test(t, asking_does_not_wait_for_whoever_writes);
	tcase_add_test(t, many_threads_ask_at_once);
	tcase_add_test(t, a_poisoned_file_answers_nothing_and_is_let_go);
	return t;
}
