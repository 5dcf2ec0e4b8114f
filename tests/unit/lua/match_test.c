/*
 * match_test.c - our find, match, gmatch and gsub give what Lua's give
 *
 * Both run in one plain state: ours under the name `ours`.
 */
#include <lualib.h>

#include "base/clock.h"
#include "lua/script_state.h"
#include "lua_test.h"

static lua_State *L;
static struct script_state state = {.deadline = INT64_MAX};

static void start(void)
{
	L = luaL_newstate();
	*(struct script_state **)lua_getextraspace(L) = &state;
	luaL_openlibs(L);
	lua_newtable(L);
	script_match_open(L);
	lua_setglobal(L, "ours");
}

static void stop(void)
{
	lua_close(L);
}

static void run(const char *chunk)
{
	if (luaL_dostring(L, chunk))
		ck_abort_msg("%s", lua_tostring(L, -1));
}

static const char compare[] =
    "function same(name, ...) "
    "  local a = table.pack(pcall(string[name], ...)) "
    "  local b = table.pack(pcall(ours[name], ...)) "
    "  local function show(t) local s = {} for i = 1, t.n do "
    "    s[i] = tostring(t[i]):gsub('^.-: ', '') end "
    "    return table.concat(s, '|') end "
    "  if show(a) ~= show(b) then "
    "    local args = table.pack(...) for i = 1, args.n do "
    "      args[i] = string.format('%q', tostring(args[i])) end "
    "    error(name .. '(' .. table.concat(args, ', ') .. "
    "      '): Lua ' .. show(a) .. ', ours ' .. show(b), 0) end end "
    "function all(s, p) "
    "  for _, i in ipairs {1, 2, -1, 0, 9, -9} do "
    "    same('find', s, p, i) same('match', s, p, i) end "
    "  same('find', s, p, 1, true) "
    "  local function collect(f) local t = {} "
    "    for a, b in f(s, p) do t[#t+1] = tostring(a) .. ',' .. "
    "      tostring(b) if #t > 50 then break end end "
    "    return table.concat(t, ';') end "
    "  local x = table.pack(pcall(collect, string.gmatch)) "
    "  local y = table.pack(pcall(collect, ours.gmatch)) "
    "  x[2] = tostring(x[2]):gsub('^.-: ', '') "
    "  y[2] = tostring(y[2]):gsub('^.-: ', '') "
    "  if x[2] ~= y[2] then error(string.format("
    "    'gmatch(%q, %q): Lua %s, ours %s', s, p, x[2], y[2]), 0) end "
    "  for _, r in ipairs {'', '<%0>', '<%1>', '%%', '%9', '%x'} do "
    "    same('gsub', s, p, r) end "
    "  same('gsub', s, p, 'x', 1) same('gsub', s, p, {a = 'b', b = false}) "
    "  same('gsub', s, p, function(a) return a and #tostring(a) or nil "
    "    end) "
    "  same('gsub', s, p, function(a) return {} end) end ";

START_TEST(known_patterns_match_alike)
{
	run(compare);
	run("local subjects = {'', 'a', 'abc', 'aaa', 'a.b', 'THE (quick) "
	    "fox', "
	    "  'x = 1, y = 22', '[[nested] text]', '  trim  ', 'a,b,,c', "
	    "  'key=value', 'caf\\xc3\\xa9', 'a\\0b', '%d', '((()))'} "
	    "local patterns = {'', 'a', '^a', 'a$', '^$', '.', '.*', '.-', "
	    "  'a?', 'a*', 'a+', 'a-', '(a)', '()', '(a*(.)%w(%s*))', "
	    "  '%a+', '%d+', '[%w_]+', '[^,]*', '^%s*(.-)%s*$', '%b()', "
	    "  '%b[]', '%f[%w]%w+', '%f[%W]', '(%w+)=(%w+)', '%1', '(.)%1', "
	    "  '((a)(b))', '%', '[', '[a', '[]', '[]]', '[^]]', '[a-]', "
	    "  '[a-z]', '[z-a]', '[%]', '[%a-z]', '(', ')', '(()', '%b', "
	    "  '%bx', '%f', '%fa', '%g', '%x%x', '[%x]', '%S', '[^%s]', "
	    "  '%z', '\\0', 'a%$', '^^', '$$', 'x-', '-', '*', '(a)(b)(c)', "
	    "  '%2', '()a()', '[a%-c]', '.-%f[,]', '%0'} "
	    "for _, s in ipairs(subjects) do for _, p in ipairs(patterns) do "
	    "  all(s, p) end end");
}
END_TEST

START_TEST(random_patterns_match_alike)
{
	run(compare);
	run("math.randomseed(7) "
	    "local parts = {'a', 'b', '.', '%a', '%d', '%w', '[ab]', '[^a]', "
	    "  '[a-c]', '(', ')', '*', '+', '-', '?', '^', '$', '%b()', "
	    "  '%f[a]', '%1', '()', '%s', '%', '[', ']', ' '} "
	    "local letters = {'a', 'b', 'c', '(', ')', '1', ' ', 'ab'} "
	    "local function make(from, n) local t = {} "
	    "  for i = 1, math.random(0, n) do t[i] = from[math.random(#from)] "
	    "  end return table.concat(t) end "
	    "for i = 1, 4000 do all(make(letters, 8), make(parts, 6)) end");
}
END_TEST

START_TEST(an_empty_or_odd_init_is_alike)
{
	run(compare);
	run("for _, i in ipairs {math.mininteger, math.maxinteger, 4, 5, -3, "
	    "  -4} do same('find', 'abc', '', i) same('match', 'abc', '()', i) "
	    "  same('find', 'abc', 'c', i, true) end "
	    "for _, i in ipairs {math.mininteger, 5, -2, 0} do local a, b = "
	    "  {}, {} for m in ('abc'):gmatch('.', i) do a[#a+1] = m end "
	    "  for m in ours.gmatch('abc', '.', i) do b[#b+1] = m end "
	    "  assert(table.concat(a) == table.concat(b)) end");
}
END_TEST

Suite *match_suite(void)
{
	Suite *suite = suite_create("match");
	TCase *tcase = tcase_create("match");

	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_test(tcase, known_patterns_match_alike);
	tcase_add_test(tcase, random_patterns_match_alike);
	tcase_add_test(tcase, an_empty_or_odd_init_is_alike);
	suite_add_tcase(suite, tcase);
	return suite;
}
