/*
 * limits_test.c - nothing that a handler does outlives its deadline
 */
#include <sys/resource.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/worker.h"
#include "lua_test.h"

#ifdef ENABLE_SANITIZER
#define SLACK_MS 5000
#else
#define SLACK_MS 250
#endif
#define DEADLINE_MS 500

static const struct {
	const char *label, *body;
	bool may_error; /* it may also end at once, with an error */
} escapes[] = {
    {"a loop", "while true do end"},
    {"a loop of pcall", "while true do pcall(error) end"},
    {"a loop under pcall",
	"while true do pcall(function() while true do end end) end"},
    {"a loop in a coroutine",
	"coroutine.wrap(function() while true do end end)()"},
    {"a coroutine that swallows the error",
	"coroutine.resume(coroutine.create(function() "
	"  while true do end end)) return 'done'"},
    {"coroutines in coroutines",
	"local function f() pcall(coroutine.wrap(f)) while true do end end "
	"f()"},
    {"short coroutines for ever",
	"while true do coroutine.wrap(function() end)() end"},
    {"a message handler that loops", "xpcall(function() while true do end end, "
				     "  function() while true do end end)"},
    {"a message handler that loops, called by an error",
	"xpcall(error, function() while true do end end)"},
    {"__close that loops", "local x <close> = setmetatable({}, "
			   "  {__close = function() while true do end end}) "
			   "while true do end"},
    {"__close that loops in a coroutine",
	"local c = coroutine.wrap(function() local x <close> = "
	"  setmetatable({}, {__close = function() while true do end end}) "
	"  while true do end end) pcall(c) return 1"},
    {"__close that loops, by coroutine.close",
	"local c = coroutine.create(function() local x <close> = "
	"  setmetatable({}, {__close = function() while true do end end}) "
	"  while true do end end) coroutine.resume(c) coroutine.close(c)"},
    {"__tostring of what is raised",
	"error(setmetatable({}, "
	"  {__tostring = function() while true do end end}))"},
    {"a pattern that backtracks",
	"return (('a'):rep(40)):find(('a?'):rep(40) .. ('a'):rep(40))"},
    {"match", "return (('a'):rep(30000)):match('.-.-.-b')"},
    {"gmatch", "for _ in (('a'):rep(30000)):gmatch('.-.-.-b') do end"},
    {"gsub", "return (('a'):rep(30000)):gsub('.-.-.-b', '')"},
    {"a plain search in long text",
	"local s, p = ('a'):rep(2e6), ('a'):rep(1e5) .. 'b' "
	"while true do s:find(p, 1, true) end"},
    {"rep of nothing", "while true do local s = (''):rep(1e18) end"},
    {"rep of much", "return ('x'):rep(1e18)", true},
    {"rep of a separator", "return (''):rep(1e12, 'x')", true},
    {"table.move over nothing", "table.move({}, 1, 2^53, 2)"},
    {"table.insert with __len",
	"table.insert(setmetatable({}, "
	"  {__len = function() return 2^53 end}), 1, 1)"},
    {"table.remove with __len", "table.remove(setmetatable({}, "
				"  {__len = function() return 2^53 end}), 1)"},
    {"table.sort with __len",
	"table.sort(setmetatable({}, {__index = type, __newindex = type, "
	"  __len = function() return 2^31 - 2 end}))",
	true},
    {"table.concat with __len",
	"return table.concat(setmetatable({}, {__index = type, "
	"  __len = function() return 2^53 end}))",
	true},
    {"all the memory there is", "local t = {} while true do t[#t+1] = {} end",
	true},
    {"all the memory, under pcall",
	"while true do pcall(function() "
	"  local t = {} while true do t[#t+1] = ('x'):rep(1e6) .. #t end "
	"end) end"},
    {"endless recursion", "local function f() return 1 + f() end f()", true},
    {"a sleep", "kumo.sleep(1000)"},
    {"a string that grows", "local s = 'x' while true do s = s .. s end", true},
    {"sort with a comparison that loops",
	"table.sort({3, 2, 1}, function() while true do end end)"},
    {"load with a reader that loops", "load(function() while true do end end)"},
    {"load with a reader that never ends", "load(function() return ' ' end)",
	true},
    {"a value that holds itself", "local t = {} t.t = t return t", true},
    {"a value that doubles 60 times",
	"local t = {} for _ = 1, 60 do t = {t, t} end return t", true},
};

/* Where the hook does not reach, it reaches in no attempt: but a busy machine
 * may keep a thread from the CPU for longer than the slack. */
#define ATTEMPTS 5

/* One run of escape number i: in time, and nothing had to be abandoned? */
static bool ends_in_time(int i)
{
	char policy[1024];
	struct script_policy *p;
	struct script_call *call;
	int64_t begin, took;
	enum script_outcome outcome;
	unsigned before = script_abandoned();
	bool in_time;

	snprintf(policy, sizeof policy, "\nkumo.on('x', function() %s end)",
	    escapes[i].body);
	p = load_policy(policy);
	call = script_call_new(p, "x");
	begin = clock_now_ms();
	outcome = script_call_run(call, begin + DEADLINE_MS);
	took = clock_now_ms() - begin;
	ck_assert_msg(outcome == SCRIPT_EXPIRED ||
			  (escapes[i].may_error && outcome == SCRIPT_ERROR),
	    "%s: outcome %d, %s", escapes[i].label, outcome,
	    script_call_error(call));
	ck_assert_msg(*script_call_error(call), "%s", escapes[i].label);
	script_call_free(call);
#ifdef ENABLE_SANITIZER
	before = script_abandoned();
#endif
	/* The hook was enough. */
	in_time = script_abandoned() == before && took < DEADLINE_MS + SLACK_MS;
	end_policy(p);
	return in_time;
}

START_TEST(no_handler_outlives_its_deadline)
{
	int attempts = 1;

	while (attempts <= ATTEMPTS && !ends_in_time(_i))
		attempts++;
	ck_assert_msg(attempts <= ATTEMPTS, "%s", escapes[_i].label);
}
END_TEST

/* The thread sanitizer loses a frame each time that an error leaves one of our
 * functions, and has room for 65,536. */
#ifndef __SANITIZE_THREAD__
/* What is not Lua's own memory.  `s` is a megabyte, `m` a message. */
static const struct {
	const char *label, *body;
} growing[] = {
    {"metadata", "for i = 1, 1e9 do pcall(m.set_meta, m, 'k' .. i, s) end"},
    {"metadata that is refused",
	"while true do pcall(m.set_meta, m, 'k', {s, print}) end"},
    {"metadata again and again",
	"while true do pcall(m.set_meta, m, 'k', s) end"},
    {"header fields", "while true do pcall(m.prepend_header, m, 'X', s) end"},
    {"header fields that are refused",
	"while true do pcall(m.prepend_header, m, 'X', s .. '\\n') end"},
    {"senders", "while true do pcall(m.set_sender, m, 'a@b.test') end"},
    {"recipients", "while true do pcall(m.set_recipient, m, 'a@b.test') end"},
    {"messages", "local t = {} while true do pcall(function() "
		 "t[#t+1] = kumo.make_message('a@b.test', 'a@b.test', s) "
		 "end) end"},
    {"JSON", "local j = '[' .. ('0,'):rep(4e6) .. '0]' "
	     "while true do pcall(kumo.serde.json_parse, j) end"},
    {"JSON that is wrong", "local j = ('['):rep(1e6) "
			   "while true do pcall(kumo.serde.json_parse, j) end"},
    {"YAML", "local y = ('- 1\\n'):rep(1e6) "
	     "while true do pcall(kumo.serde.yaml_parse, y) end"},
    {"TOML", "local y = ('[[a]]\\n'):rep(3e5) "
	     "while true do pcall(kumo.serde.toml_parse, y) end"},
    {"a database", "local db = require 'sqlite'.open ':memory:' "
		   "db:execute 'CREATE TABLE x (a)' while true do "
		   "pcall(db.execute, db, 'INSERT INTO x VALUES (?)', s) end"},
    {"throttles", "for i = 1, 1e9 do pcall(function() "
		  "kumo.make_throttle(s .. i, '1/day'):throttle() end) end"},
};

START_TEST(memory_outside_of_the_state_is_limited_too)
{
	char policy[1024];
	struct script_policy *p;
	struct script_call *call;
	enum script_outcome outcome;
	struct rusage usage;

	snprintf(policy, sizeof policy,
	    "\nkumo.on('x', function() local s = ('x'):rep(1e6) "
	    "local m = kumo.make_message('a@b.test', 'a@b.test', 'x') "
	    "%s end)",
	    growing[_i].body);
	p = load_policy(policy);
	call = script_call_new(p, "x");
	outcome = script_call_run(call, clock_now_ms() + DEADLINE_MS);
	ck_assert_msg(outcome == SCRIPT_EXPIRED || outcome == SCRIPT_ERROR,
	    "%s: outcome %d", growing[_i].label, outcome);
	script_call_free(call);
	/* What is left behind runs when nobody else wants to run. */
	script_policy_unref(p);
	(void)script_shutdown(DEADLINE_MS);
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
#ifndef ENABLE_SANITIZER
	ck_assert_msg(usage.ru_maxrss < 600 * 1024, "%s: %ld MB",
	    growing[_i].label, usage.ru_maxrss / 1024);
#endif
}
END_TEST
#endif

static const struct {
	const char *label, *chunk, *want;
} removed[] = {
    {"debug", "return debug == nil", "true"},
    {"os.exit", "return os.exit == nil", "true"},
    {"string.dump", "return string.dump == nil", "true"},
    {"loadlib raises",
	"return pcall(package.loadlib, 'x', 'y'), "
	"select(2, pcall(package.loadlib, 'x', 'y')):match 'C modules'",
	"false"},
    {"no C paths", "return package.cpath", "\"\""},
    {"no searcher for C: ours, files, and what is missing",
	"return #package.searchers", "3"},
    {"bytecode",
	"return select(2, load(function() return nil end)) == nil and "
	"load('\\27Lua', 'x', 'b')",
	"only text can be loaded"},
    {"bytecode by default",
	"return (select(2, load('\\27Lua')):match 'binary chunk')",
	"\"binary chunk\""},
    {"__gc", "setmetatable({}, {__gc = print})", "__gc does not exist"},
    {"metatable of files", "return getmetatable(io.stdout)", "false"},
    {"programs", "os.execute 'true'", "cannot start programs"},
    {"no shell", "return os.execute()", "false"},
    {"pipes", "io.popen 'true'", "cannot start programs"},
    {"the locale", "return {os.setlocale(), os.setlocale 'de_DE' == nil}",
	"[\"C\",true]"},
    {"load with an environment", "return load('return a', 'x', 't', {a = 5})()",
	"5"},
    {"load without one", "x = 6 return load 'return x'()", "6"},
    {"pcall of nothing", "return {pcall(error)}", "[false]"},
    {"xpcall gives arguments and results",
	"return {xpcall(function(a, b) return a, b end, print, 1, 2)}",
	"[true,1,2]"},
    {"xpcall calls its handler",
	"return {xpcall(error, function(m) return m .. '!' end, 'x', 0)}",
	"[false,\"x!\"]"},
    {"xpcall lets yields through",
	"local c = coroutine.wrap(function() "
	"  return select(2, xpcall(function() return coroutine.yield(1) "
	"  end, print)) end) return {c(), c(2)}",
	"[1,2]"},
    {"wrap yields and ends",
	"local c = coroutine.wrap(function(a) "
	"  return coroutine.yield(a) end) "
	"return {c(1), c(2), (pcall(c))}",
	"[1,2,false]"},
    {"wrap closes what failed",
	"local closed = false local c = coroutine.wrap(function() "
	"  local x <close> = setmetatable({}, "
	"    {__close = function() closed = true end}) error 'e' end) "
	"pcall(c) return closed",
	"true"},
    {"insert and remove",
	"local t = {1, 3} table.insert(t, 2, 2) table.insert(t, 4) "
	"return {t, table.remove(t, 1), table.remove(t), #t, "
	"  (pcall(table.insert, t, 9, 1))}",
	"[[2,3],1,4,2,false]"},
    {"remove at the edges",
	"local t = {1} return {table.remove({}) == nil, "
	"  table.remove(t, 2) == nil, #t, (pcall(table.remove, t, 7))}",
	"[true,true,1,false]"},
    {"move",
	"return {table.move({1, 2, 3}, 1, 3, 2), "
	"  table.move({1, 2, 3}, 2, 3, 1), "
	"  table.move({1, 2}, 1, 2, 1, {})}",
	"[[1,1,2,3],[2,3,3],[1,2]]"},
    {"concat",
	"return {table.concat({1, 'a', 2.5}, ','), table.concat {}, "
	"table.concat({1, 2, 3}, '-', 2), "
	"table.concat({1, 2, 3}, '-', 2, 2), "
	"select(2, pcall(table.concat, {1, {}}))}",
	"[\"1,a,2.5\",\"\",\"2-3\",\"2\",\"invalid value (at index 2) in "
	"table for 'concat'\"]"},
    {"rep", "return {('ab'):rep(3), ('ab'):rep(3, ','), ('x'):rep(0)}",
	"[\"ababab\",\"ab,ab,ab\",\"\"]"},
    {"an unknown module", "return (pcall(require, 'no.such.module'))", "false"},
    {"a FIFO does not block", "io.open(FIFO)", "not a regular file"},
    {"metadata has a limit",
	"local m = kumo.make_message('a@b', 'c@d', 'x') "
	"m:set_meta('a', ('x'):rep(5e5)) "
	"m:set_meta('a', 1) m:set_meta('b', ('x'):rep(5e5)) "
	"m:set_meta('c', ('x'):rep(6e5))",
	"set_meta: c: metadata may take 1048576 bytes"},
    {"the name of a throttle has a limit",
	"kumo.make_throttle(('x'):rep(256), '1/s')",
	"a name of at most 255 bytes"},
    {"a large text is refused before it is read",
	"kumo.serde.json_parse('[' .. ('0,'):rep(1e6) .. '0]')",
	"not enough memory"},
    {"a database in memory has a limit",
	"local db = require 'sqlite'.open ':memory:' "
	"db:execute 'CREATE TABLE x (a)' for i = 1, 3 do "
	"db:execute 'INSERT INTO x VALUES (zeroblob(30000000))' end",
	"database or disk is full"},
    {"and keeps it",
	"require 'sqlite'.open ':memory:':execute "
	"'PRAGMA max_page_count = 9999999'",
	"not authorized"},
    {"a second one is not attached",
	"require 'sqlite'.open ':memory:':execute "
	"\"ATTACH ':memory:' AS other\"",
	"not authorized"},
    {"the kernel's log is not opened", "io.open '/dev/kmsg'",
	"not a regular file"},
    {"harmless devices are opened",
	"return io.open '/dev/null' ~= nil and io.open '/dev/zero' ~= nil",
	"true"},
    {"the queue's files are not opened", "io.open(QUEUE)",
	"belongs to the queue"},
    {"nor removed", "os.remove(QUEUE)", "belongs to the queue"},
    {"nor loaded", "kumo.serde.json_load(QUEUE)", "belongs to the queue"},
};

START_TEST(the_ways_out_are_closed)
{
	char chunk[1024], fifo[160];
	const char *queue = write_file("queue.db", "x"), *got;

	snprintf(fifo, sizeof fifo, "%s.fifo", queue);
	snprintf(chunk, sizeof chunk, "mkfifo %s", fifo);
	ck_assert_int_eq(system(chunk), 0);
	script_protect_file(queue);
	snprintf(chunk, sizeof chunk, "local FIFO, QUEUE = '%s', '%s' %s", fifo,
	    queue, removed[_i].chunk);
	got = eval(chunk);
	ck_assert_msg(strstr(got, removed[_i].want) != NULL, "%s: %s",
	    removed[_i].label, got);
}
END_TEST

/* Something that escapes the hook: comparing long equal texts. */
static const char stuck_policy[] =
    "local big = ('x'):rep(8000000) "
    "kumo.on('stuck', function() local t = {} "
    "  for i = 1, 300 do t[i] = big .. (i % 10) end table.sort(t) end) "
    "kumo.on('ok', function() return 1 end)";

static void wait_until_none_is_stuck(void)
{
	int64_t until = clock_now_ms() + LEFT_BEHIND_MS;

	while (script_abandoned() > 0) {
		struct timespec ts = {0, 1000000};

		ck_assert(clock_now_ms() < until);
		(void)nanosleep(&ts, NULL);
	}
}

START_TEST(a_stuck_thread_is_left_behind)
{
	struct script_options options = {
	    .memory_limit = (int64_t)4 << 30, .threads = 2};
	struct err err = {0};
	struct script_policy *p = load_with(stuck_policy, options, &err);
	struct script_call *call;
	int64_t begin;

	ck_assert_msg(p != NULL, "%s", err.text);
	/* The state is there before the clock runs. */
	script_call_free(run_event(p, "ok", NULL));
	call = script_call_new(p, "stuck");
	begin = clock_now_ms();
	ck_assert_int_eq(script_call_run(call, begin + 300), SCRIPT_EXPIRED);
	ck_assert_msg(clock_now_ms() - begin < 300 + SLACK_MS, "%lld ms",
	    (long long)(clock_now_ms() - begin));
	ck_assert_uint_eq(script_abandoned(), 1);
	ck_assert_ptr_nonnull(strstr(script_call_error(call), "stuck beyond"));
	ck_assert_ptr_null(script_call_take_meta(call));
	script_call_free(call);

	/* Others are not affected, though there are only two threads. */
	for (int i = 0; i < 20; i++) {
		call = run_event(p, "ok", NULL);
		ck_assert_int_eq(script_call_outcome(call), SCRIPT_VALUE);
		script_call_free(call);
	}
	wait_until_none_is_stuck();
	end_policy(p);
}
END_TEST

START_TEST(abandoned_threads_are_bounded)
{
	struct script_options options = {
	    .memory_limit = (int64_t)4 << 30, .threads = 2};
	struct err err = {0};
	struct script_policy *p = load_with(
	    "kumo.on('stuck', function() local t, b = {}, ('x'):rep(8000000) "
	    "  for i = 1, 150 do t[i] = b end "
	    "  while true do table.sort(t) end end) "
	    "kumo.on('ok', function() end)",
	    options, &err);
	struct script_call *calls[10], *call;

	ck_assert_msg(p != NULL, "%s", err.text);
	for (size_t i = 0; i < 10; i++) {
		calls[i] = script_call_new(p, "stuck");
		ck_assert_int_eq(
		    script_call_run(calls[i], clock_now_ms() + 100),
		    SCRIPT_EXPIRED);
	}
	/* One may have met the hook between two sorts. */
	ck_assert_uint_ge(script_abandoned(), 1);
	ck_assert_uint_le(script_abandoned(), 8);
	ck_assert(!script_is_stuck());
	if (script_abandoned() == 8) {
		call = run_event(p, "ok", NULL);
		if (script_call_outcome(call) == SCRIPT_EXPIRED)
			ck_assert_ptr_nonnull(
			    strstr(script_call_error(call), "not run"));
		script_call_free(call);
	}
	for (size_t i = 0; i < 10; i++)
		script_call_free(calls[i]);
	wait_until_none_is_stuck();
	call = run_event(p, "ok", NULL);
	ck_assert_int_eq(script_call_outcome(call), SCRIPT_VALUE);
	script_call_free(call);
	end_policy(p);
}
END_TEST

Suite *limits_suite(void)
{
	Suite *suite = suite_create("limits");
	TCase *tcase = tcase_create("limits");

	tcase_set_timeout(tcase, 600);
	tcase_add_loop_test(
	    tcase, no_handler_outlives_its_deadline, 0, COUNT(escapes));
	/* The thread sanitizer loses a frame each time that an error leaves one
	 * of our functions, and has room for 65,536. */
#ifndef __SANITIZE_THREAD__
	tcase_add_loop_test(tcase, memory_outside_of_the_state_is_limited_too,
	    0, COUNT(growing));
#endif
	tcase_add_loop_test(tcase, the_ways_out_are_closed, 0, COUNT(removed));
	tcase_add_test(tcase, a_stuck_thread_is_left_behind);
	tcase_add_test(tcase, abandoned_threads_are_bounded);
	suite_add_tcase(suite, tcase);
	return suite;
}
