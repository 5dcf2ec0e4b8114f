/*
 * world_test.c - a policy's world begins, remembers and ends
 */
#include "trial/world.h"

#include "base/diag.h"
#include "base/str.h"
#include "tests/unit/trial/trial_test.h"

static const char listed[] =
    "kumo.on('get_listener_domain', function(d) "
    "  if d == 'example.com' then "
    "    return kumo.make_listener_domain { relay_to = true } "
    "  end "
    "end) "
    "kumo.on('smtp_server_message_received', function(m) "
    "  m:set_meta('tenant', 'one') "
    "end)";

static struct client *connect_to(struct world *w)
{
	const struct client_facts facts = {.ip = "203.0.113.9", .port = 4000};
	struct client *c;
	struct err err = {0};

	ck_assert_msg(client_connect(&c, w, &facts, &err), "%s", err.text);
	return c;
}

START_TEST(what_is_stored_can_be_read)
{
	static const char text[] = "Subject: a\n\nbody\n";
	struct world *w = world_with(listed);
	struct client *c = connect_to(w);
	struct arena *arena = arena_new(0);
	struct stored *all;
	struct err err = {0};
	size_t count = 9;

	ck_assert(world_stored_count(w, &count, &err));
	ck_assert_uint_eq(count, 0);
	(void)client_mail(c, "ann@a.test", NULL);
	(void)client_rcpt(c, "b@example.com", NULL);
	(void)client_rcpt(c, "c@example.com", NULL);
	ck_assert_uint_eq(client_message(c, text, sizeof text - 1)->stored, 2);
	ck_assert(world_stored(w, arena, &all, &count, &err));
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(all[0].sender, "ann@a.test");
	ck_assert_str_eq(all[0].queue, "one@example.com");
	ck_assert_uint_eq(all[0].recipient_count, 1);
	ck_assert_str_eq(all[0].recipients[0], "b@example.com");
	ck_assert_str_eq(all[1].recipients[0], "c@example.com");
	ck_assert_str_eq(value_get(&all[0].meta, "tenant")->s, "one");
	ck_assert(str_starts(all[0].admitted_by, "relay_to "));
	ck_assert(str_ends(all[0].data, "Subject: a\r\n\r\nbody\r\n"));
	arena_unref(arena);
	client_free(c);
	end_world();
}
END_TEST

START_TEST(records_are_all_there_whatever_the_policy_logs)
{
	struct world *w = world_with(listed);
	struct client *c = connect_to(w);
	struct arena *arena = arena_new(0);
	struct value records;
	struct err err = {0};

	(void)client_mail(c, "ann@a.test", NULL);
	(void)client_rcpt(c, "b@nowhere.test", NULL);
	ck_assert(world_records(w, arena, &records, &err));
	ck_assert_uint_eq(records.count, 1);
	ck_assert_str_eq(value_get(&records.items[0], "type")->s, "Rejection");
	arena_unref(arena);
	client_free(c);
	end_world();
}
END_TEST

/* Its own paths would need root. */
START_TEST(what_the_policy_logs_to_is_not_touched)
{
	world_with("kumo.on('init', function() "
		   "  kumo.configure_local_logs { log_dir = "
		   "    '/proc/no/such/dir', headers = { 'Subject' } } "
		   "end)");
	end_world();
}
END_TEST

START_TEST(a_policy_that_does_not_load_says_where)
{
	struct world_options options = {.dir = scratch()};
	struct world *w = NULL;
	struct err err = {0};

	diag_set_level(DIAG_FATAL);
	options.policy = write_file("broken.lua", "\n\nerror 'no'\n");
	ck_assert(!world_start(&w, &options, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "broken.lua:3:"));
	ck_assert_int_eq(err.class, ERR_CONFIG);
}
END_TEST

TCase *world_tests(void)
{
	TCase *tc = tcase_create("world");

	tcase_add_test(tc, what_is_stored_can_be_read);
	tcase_add_test(tc, records_are_all_there_whatever_the_policy_logs);
	tcase_add_test(tc, what_the_policy_logs_to_is_not_touched);
	tcase_add_test(tc, a_policy_that_does_not_load_says_where);
	return tc;
}
