/*
 * session_test.c - objects of the policy that live for many calls
 */
#include "base/clock.h"
#include "base/str.h"
#include "lua/script_session.h"
#include "lua_test.h"

static const char text[] =
    "local made = 0 "
    "kumo.on('make', function(domain, tenant) "
    "  made = made + 1 "
    "  local c, n = {}, 0 "
    "  function c:send(m) n = n + 1 "
    "    return domain .. tostring(tenant) .. n .. m:recipient().email end "
    "  function c:send_batch(list) return #list end "
    "  function c:boom() error 'x' end "
    "  function c:nothing() end "
    "  function c:no() kumo.reject(550, '5.7.1 no') end "
    "  function c:loop() while true do end end "
    "  function c:close() _G.closed = n end "
    "  return c end) "
    "kumo.on('text', function() return 'x' end) "
    "kumo.on('raises', function() error 'x' end) "
    "kumo.on('closed', function() return closed end)";

static struct message *letter(void)
{
	struct message *m = message_new();
	struct envelope_recipient to = {0};
	struct err err = {0};

	ck_assert(address_parse("u@x", 3, m->arena, &to.address, &err));
	*ARRAY_ADD(&m->recipients) = to;
	return m;
}

static struct script_session *made(struct script_policy *p)
{
	struct script_session *s = script_session_new(p);
	struct script_call *call = script_session_make(s, "make");

	script_arg_string(call, "d");
	script_arg_nil(call);
	ck_assert_int_eq(
	    script_call_run(call, clock_now_ms() + LONG_MS), SCRIPT_VALUE);
	script_call_free(call);
	return s;
}

static const char *ask(
    struct script_session *s, const char *method, int limit_ms)
{
	static char out[512];
	struct script_call *call = script_session_method(s, method);
	struct message *m = letter();

	script_arg_message(call, m);
	switch (script_call_run(call, clock_now_ms() + limit_ms)) {
	case SCRIPT_VALUE:
		(void)str_copy(out, sizeof out, script_call_result(call)->s);
		break;
	case SCRIPT_REJECTED:
		(void)snprintf(out, sizeof out, "%d %s",
		    script_call_reject(call)->code,
		    script_call_reject(call)->message);
		break;
	default:
		(void)str_copy(out, sizeof out, script_call_error(call));
	}
	message_unref(m);
	script_call_free(call);
	return out;
}

static void end(struct script_session *s)
{
	struct script_call *call = script_session_end(s);

	ck_assert_int_eq(
	    script_call_run(call, clock_now_ms() + LONG_MS), SCRIPT_VALUE);
	script_call_free(call);
	script_session_free(s);
}

START_TEST(an_object_remembers_and_objects_share_nothing)
{
	struct script_policy *p = load_policy(text);
	struct script_session *a = made(p), *b = made(p);

	ck_assert_str_eq(ask(a, "send", LONG_MS), "dnil1u@x");
	ck_assert_str_eq(ask(a, "send", LONG_MS), "dnil2u@x");
	ck_assert_str_eq(ask(b, "send", LONG_MS), "dnil1u@x");
	/* A rejection is an answer: the object goes on. */
	ck_assert_str_eq(ask(a, "no", LONG_MS), "550 5.7.1 no");
	ck_assert_str_eq(ask(a, "send", LONG_MS), "dnil3u@x");
	end(a);
	end(b);
	end_policy(p);
}
END_TEST

START_TEST(a_batch_is_one_table)
{
	struct script_policy *p = load_policy(text);
	struct script_session *s = made(p);
	struct script_call *call = script_session_method(s, "send_batch");
	struct message *messages[SCRIPT_BATCH_MOST];

	for (size_t i = 0; i < COUNT(messages); i++)
		messages[i] = letter();
	script_arg_batch(call, messages, COUNT(messages));
	for (size_t i = 0; i < COUNT(messages); i++)
		message_unref(messages[i]);
	ck_assert_int_eq(
	    script_call_run(call, clock_now_ms() + LONG_MS), SCRIPT_VALUE);
	ck_assert_str_eq(script_call_result(call)->s, "1000");
	script_call_free(call);
	end(s);
	end_policy(p);
}
END_TEST

START_TEST(after_an_error_it_can_still_be_closed)
{
	struct script_policy *p = load_policy(text);
	struct script_session *s = made(p);

	ck_assert_ptr_nonnull(strstr(ask(s, "boom", LONG_MS), "policy.lua:1"));
	ck_assert(!script_session_broken(s));
	ck_assert_ptr_nonnull(
	    strstr(ask(s, "nothing", LONG_MS), "must return a text"));
	ck_assert_ptr_nonnull(
	    strstr(ask(s, "missing", LONG_MS), "has no method \"missing\""));
	end(s);
	end_policy(p);
}
END_TEST

START_TEST(past_its_deadline_it_is_broken)
{
	struct script_policy *p = load_policy(text);
	struct script_session *s = made(p);

	(void)ask(s, "loop", 3000); /* time to begin in */
	ck_assert(script_session_broken(s));
	script_session_free(s);
	end_policy(p);
}
END_TEST

START_TEST(what_is_not_made_is_broken)
{
	static const char *const events[] = {"text", "raises"};
	struct script_policy *p = load_policy(text);

	for (size_t i = 0; i < COUNT(events); i++) {
		struct script_session *s = script_session_new(p);
		struct script_call *call = script_session_make(s, events[i]);

		ck_assert_int_eq(
		    script_call_run(call, clock_now_ms() + LONG_MS),
		    SCRIPT_ERROR);
		ck_assert(script_session_broken(s));
		script_call_free(call);
		script_session_free(s);
	}
	end_policy(p);
}
END_TEST

START_TEST(one_that_is_dropped_without_an_end_leaves_nothing)
{
	struct script_policy *p = load_policy(text);

	for (int i = 0; i < 3; i++)
		script_session_free(made(p));
	end_policy(p);
}
END_TEST

Suite *session_suite(void)
{
	Suite *suite = suite_create("session");
	TCase *tcase = tcase_create("session");

	tcase_add_test(tcase, an_object_remembers_and_objects_share_nothing);
	tcase_add_test(tcase, a_batch_is_one_table);
	tcase_add_test(tcase, after_an_error_it_can_still_be_closed);
	tcase_add_test(tcase, past_its_deadline_it_is_broken);
	tcase_add_test(tcase, what_is_not_made_is_broken);
	tcase_add_test(
	    tcase, one_that_is_dropped_without_an_end_leaves_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
