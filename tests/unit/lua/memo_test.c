/*
 * memo_test.c - kumo.memoize: one computation, copies for everybody
 */
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "lua_test.h"

static const struct {
	const char *label, *chunk, *want;
} cases[] = {
    {"case 162: the second call is a hit",
	"local n = 0 local f = kumo.memoize(function(a) n = n + 1 "
	"  return a .. n end, {name='a', ttl='1m', capacity=5}) "
	"return {f 'x', f 'x', f 'y', n}",
	"[\"x1\",\"x1\",\"y2\",2]"},
    {"case 164: arguments are told apart",
	"local n = 0 local f = kumo.memoize(function() n = n + 1 "
	"  return n end, {name='a', ttl='1m', capacity=9}) "
	"return {f(1), f('1'), f({1}), f(nil), f(), f(1, 2), f(1), "
	"f(1, nil, 2)}",
	"[1,2,3,4,5,6,1,7]"},
    {"case 163: a table is a proxy",
	"local f = kumo.memoize(function() return {a=1, b={c=2}, 7, 8} end, "
	"  {name='a', ttl='1m', capacity=9}) local t = f() "
	"local seen = {} for k in pairs(t) do seen[#seen+1] = k end "
	"return {type(t), t.a, t.b.c, t[2], #t, #seen, t.none == nil}",
	"[\"userdata\",1,2,8,4,4,true]"},
    {"ipairs works",
	"local f = kumo.memoize(function() return {5, 6} end, "
	"  {name='a', ttl='1m', capacity=9}) "
	"local s = 0 for _, v in ipairs(f()) do s = s + v end return s",
	"11"},
    {"case 163: a copy is one's own",
	"local f = kumo.memoize(function() return {a=1, b={c=2}} end, "
	"  {name='a', ttl='1m', capacity=9}) local t = f() t.a = 5 t.n = 6 "
	"t.b.c = 9 local u = f() return {t.a, t.n, #t, t.b.c, u.a, u.b.c, "
	"  kumo.json_encode(t)}",
	"[5,6,3,2,1,2,\"{\\\"a\\\":5,\\\"b\\\":{\\\"c\\\":2},\\\"n\\\":6}\"]"},
    {"a field can be taken away",
	"local f = kumo.memoize(function() return {a=1, b=2} end, "
	"  {name='a', ttl='1m', capacity=9}) local t = f() t.a = nil "
	"return {t.a == nil, #t, f().a}",
	"[true,1,1]"},
    {"case 162: nil is kept",
	"local n = 0 local f = kumo.memoize(function() n = n + 1 end, "
	"  {name='a', ttl='1m', capacity=9}) f() f() return {n, f() == nil}",
	"[1,true]"},
    {"several values are one array",
	"local f = kumo.memoize(function() return 1, 'b' end, "
	"  {name='a', ttl='1m', capacity=9}) return f()",
	"[1,\"b\"]"},
    {"case 162: errors are raised each time and not kept",
	"local n = 0 local f = kumo.memoize(function() n = n + 1 "
	"  if n == 1 then error 'first' end return n end, "
	"  {name='a', ttl='1m', capacity=9}) local ok, e = pcall(f) "
	"return {ok, e:match 'first$', f()}",
	"[false,\"first\",2]"},
    {"case 162: once more for each call that fails",
	"local n = 0 local f = kumo.memoize(function() n = n + 1 "
	"  error('no ' .. n) end, {name='a', ttl='1m', capacity=9}) "
	"pcall(f) local ok, e = pcall(f) return e:match 'no %d'",
	"no 2"},
    {"a rejection passes through",
	"kumo.memoize(function() kumo.reject(451, 'x') end, "
	"  {name='a', ttl='1m', capacity=9})()",
	"rejected: 451 x"},
    {"the least recently used goes",
	"local n = 0 local f = kumo.memoize(function() n = n + 1 return n "
	"  end, {name='a', ttl='1m', capacity=2}) f(1) f(2) f(1) f(3) "
	"return {f(1), f(2)}",
	"[1,4]"},
    {"case 162: time passes",
	"local n = 0 local f = kumo.memoize(function() n = n + 1 return n "
	"  end, {name='a', ttl=0.01, capacity=2}) f() kumo.sleep(0.05) "
	"return f()",
	"2"},
    {"a config object stays one",
	"local f = kumo.memoize(function() "
	"  return kumo.make_listener_domain{relay_to=true} end, "
	"  {name='a', ttl='1m', capacity=2}) f() return f().relay_to",
	"true"},
    {"functions cannot be kept",
	"kumo.memoize(function() return print end, "
	"  {name='a', ttl='1m', capacity=2})()",
	"what a memoized function returned: a function"},
    {"functions are no key",
	"kumo.memoize(function() end, "
	"  {name='a', ttl='1m', capacity=2})(print)",
	"argument 1: a function"},
    {"a function that asks for itself",
	"local f f = kumo.memoize(function() return f() end, "
	"  {name='a', ttl='1m', capacity=2}) f()",
	"that it is computing"},
    {"required", "kumo.memoize(print, {name='a', ttl=1})",
	"capacity: required key is missing"},
    {"unknown", "kumo.memoize(print, {name='a', ttl=1, capacity=1, tl=1})",
	"unknown key \"tl\""},
    {"taken", "kumo.memoize(print, {name='kumo_x', ttl=1, capacity=1})",
	"the name \"kumo_x\" is taken"},
    {"declared again with other parameters",
	"local function m(c) return kumo.memoize(function(a) return a end, "
	"  {name='a', ttl='1m', capacity=c}) end "
	"local n = 0 local f = kumo.memoize(function() n = n + 1 return n "
	"  end, {name='b', ttl='1m', capacity=2}) f() "
	"kumo.memoize(print, {name='b', ttl='1m', capacity=2}) "
	"local kept = f() "
	"kumo.memoize(print, {name='b', ttl='1m', capacity=3}) "
	"return {kept, f()}",
	"[1,2]"},
};

START_TEST(a_memoized_function_remembers)
{
	const char *got = eval(cases[_i].chunk);

	ck_assert_msg(strstr(got, cases[_i].want) != NULL, "%s: %s",
	    cases[_i].label, got);
}
END_TEST

/* ---- across threads and generations ---- */

static const char shared[] =
    "local slow = kumo.memoize(function(k) kumo.sleep(0.05) "
    "  return {k = k, at = kumo.make_message('', 'a@b.c', ''):id()} end, "
    "  {name='slow', ttl='1h', capacity=10, invalidate_with_epoch=true}) "
    "kumo.on('x', function(k) return slow(k).at end)";

static char ids[8][64];

static void *ask(void *ctx)
{
	struct script_policy *p = ctx;
	static atomic_int turn;
	int i = atomic_fetch_add(&turn, 1);
	struct script_call *call = run_event(p, "x", "k");

	if (script_call_outcome(call) == SCRIPT_VALUE)
		(void)str_copy(
		    ids[i], sizeof ids[i], script_call_result(call)->s);
	script_call_free(call);
	return NULL;
}

START_TEST(of_many_callers_one_computes)
{
	struct script_policy *p = load_policy(shared), *next;
	struct script_call *call;
	pthread_t threads[8];

	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ask, p), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(strlen(ids[0]), 32);
	for (int i = 1; i < 8; i++)
		ck_assert_str_eq(ids[0], ids[i]);

	/* The next generation computes anew. */
	next = load_policy(shared);
	call = run_event(next, "x", "k");
	ck_assert_str_ne(script_call_result(call)->s, ids[0]);
	script_call_free(call);
	script_policy_unref(next);
	end_policy(p);
}
END_TEST

Suite *memo_suite(void)
{
	Suite *suite = suite_create("memo");
	TCase *tcase = tcase_create("memo");

	tcase_add_loop_test(
	    tcase, a_memoized_function_remembers, 0, COUNT(cases));
	tcase_add_test(tcase, of_many_callers_one_computes);
	suite_add_tcase(suite, tcase);
	return suite;
}
