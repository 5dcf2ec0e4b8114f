/*
 * bind_time.c - kumo.time: points in time, differences, timers
 *
 * A Time is nanoseconds since 1970, in UTC; a TimeDelta is nanoseconds and may
 * be negative; a timer counts from when it was started.
 */
#include <math.h>
#include <time.h>

#include "base/clock.h"
#include "base/datetime.h"
#include "base/duration.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_table.h"

#define TIME "penstock.time"
#define DELTA "penstock.time_delta"
#define TIMER "penstock.timer"
#define SECOND INT64_C(1000000000)
#define MOST_SECONDS INT64_C(9000000000) /* years 1684 to 2255 */
#define MOST_FORMATTED 4096

struct moment {
	int64_t ns;
};

static int push(lua_State *L, const char *type, int64_t ns)
{
	struct moment *m = lua_newuserdatauv(L, sizeof *m, 0);

	m->ns = ns;
	luaL_setmetatable(L, type);
	return 1;
}

static int64_t now_ns(void)
{
	return clock_unix_ms() * 1000000;
}

static int64_t check(lua_State *L, int index, const char *type)
{
	const struct moment *m = luaL_checkudata(L, index, type);

	return m->ns;
}

static bool is(lua_State *L, int index, const char *type)
{
	return luaL_testudata(L, index, type) != NULL;
}

/* A number of seconds as nanoseconds. */
static int64_t to_ns(lua_State *L, int index)
{
	lua_Number seconds = luaL_checknumber(L, index);

	luaL_argcheck(L,
	    seconds > -(lua_Number)MOST_SECONDS &&
		seconds < (lua_Number)MOST_SECONDS,
	    index, "out of range");
	if (lua_isinteger(L, index))
		return lua_tointeger(L, index) * SECOND;
	return (int64_t)llround(seconds * 1e9);
}

/* a + b, or raises. */
static int64_t sum(lua_State *L, int64_t a, int64_t b)
{
	int64_t out;

	if (__builtin_add_overflow(a, b, &out))
		luaL_error(L, "a time out of range");
	return out;
}

static int64_t negative(lua_State *L, int64_t a)
{
	return a == INT64_MIN ? luaL_error(L, "a time out of range") : -a;
}

/* ---- Time ---- */

static int64_t seconds_of(int64_t ns)
{
	return ns / SECOND - (ns % SECOND < 0);
}

static void push_strftime(lua_State *L, int64_t ns, const char *format)
{
	time_t seconds = seconds_of(ns);
	char out[MOST_FORMATTED];
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	/* GCC knows formats, and this one comes from the policy. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	len = strftime(out, sizeof out, format, &tm);
#pragma GCC diagnostic pop
	if (len == 0 && *format)
		luaL_error(L, "time:format: the result is empty or longer "
			      "than 4095 bytes");
	lua_pushlstring(L, out, len);
}

static void push_rfc3339(lua_State *L, int64_t ns)
{
	int64_t rest = ns - seconds_of(ns) * SECOND;
	char fraction[16] = "";

	push_strftime(L, ns, "%Y-%m-%dT%H:%M:%S");
	if (rest > 0)
		snprintf(
		    fraction, sizeof fraction, ".%03d", (int)(rest / 1000000));
	lua_pushfstring(L, "%s%s+00:00", lua_tostring(L, -1), fraction);
}

static int l_time_format(lua_State *L)
{
	int64_t ns = check(L, 1, TIME);

	push_strftime(L, ns, luaL_checkstring(L, 2));
	return 1;
}

/* The parts that are a number of struct tm. */
static bool push_part(lua_State *L, const char *key, int64_t ns)
{
	time_t seconds = seconds_of(ns);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	if (str_eq(key, "year"))
		lua_pushinteger(L, tm.tm_year + 1900);
	else if (str_eq(key, "month"))
		lua_pushinteger(L, tm.tm_mon + 1);
	else if (str_eq(key, "day"))
		lua_pushinteger(L, tm.tm_mday);
	else if (str_eq(key, "hour"))
		lua_pushinteger(L, tm.tm_hour);
	else if (str_eq(key, "minute"))
		lua_pushinteger(L, tm.tm_min);
	else if (str_eq(key, "second"))
		lua_pushinteger(L, tm.tm_sec);
	else
		return false;
	return true;
}

static int l_time_index(lua_State *L)
{
	int64_t ns = check(L, 1, TIME);
	const char *key = luaL_checkstring(L, 2);
	char text[40];

	if (push_part(L, key, ns))
		return 1;
	if (str_eq(key, "unix_timestamp"))
		lua_pushinteger(L, seconds_of(ns));
	else if (str_eq(key, "unix_timestamp_millis"))
		lua_pushinteger(L, ns / 1000000 - (ns % 1000000 < 0));
	else if (str_eq(key, "elapsed"))
		return push(L, DELTA, sum(L, now_ns(), negative(L, ns)));
	else if (str_eq(key, "rfc2822"))
		lua_pushstring(L, clock_rfc5322(text, seconds_of(ns)));
	else if (str_eq(key, "rfc3339"))
		push_rfc3339(L, ns);
	else if (str_eq(key, "format"))
		lua_pushcfunction(L, l_time_format);
	else
		lua_pushnil(L);
	return 1;
}

static int l_time_tostring(lua_State *L)
{
	push_rfc3339(L, check(L, 1, TIME));
	return 1;
}

static int l_time_add(lua_State *L)
{
	if (is(L, 1, DELTA)) /* delta + time */
		lua_insert(L, 1);
	return push(L, TIME, sum(L, check(L, 1, TIME), check(L, 2, DELTA)));
}

static int l_time_sub(lua_State *L)
{
	int64_t a = check(L, 1, TIME);

	if (is(L, 2, TIME))
		return push(
		    L, DELTA, sum(L, a, negative(L, check(L, 2, TIME))));
	return push(L, TIME, sum(L, a, negative(L, check(L, 2, DELTA))));
}

/* ---- TimeDelta ---- */

static void push_human(lua_State *L, int64_t ns)
{
	struct duration d = {(ns < 0 ? -ns : ns) / 1000000};
	char text[128];

	lua_pushfstring(L, "%s%s", ns < 0 ? "-" : "", duration_print(text, d));
}

static int l_delta_index(lua_State *L)
{
	int64_t ns = check(L, 1, DELTA);
	const char *key = luaL_checkstring(L, 2);

	if (str_eq(key, "seconds"))
		lua_pushnumber(L, (lua_Number)ns / 1e9);
	else if (str_eq(key, "milliseconds"))
		lua_pushinteger(L, ns / 1000000);
	else if (str_eq(key, "microseconds"))
		lua_pushinteger(L, ns / 1000);
	else if (str_eq(key, "nanoseconds"))
		lua_pushinteger(L, ns);
	else if (str_eq(key, "human"))
		push_human(L, ns);
	else
		lua_pushnil(L);
	return 1;
}

static int l_delta_tostring(lua_State *L)
{
	push_human(L, check(L, 1, DELTA));
	return 1;
}

static int l_delta_add(lua_State *L)
{
	if (is(L, 2, TIME))
		return l_time_add(L);
	return push(L, DELTA, sum(L, check(L, 1, DELTA), check(L, 2, DELTA)));
}

static int l_delta_sub(lua_State *L)
{
	int64_t b = negative(L, check(L, 2, DELTA));

	return push(L, DELTA, sum(L, check(L, 1, DELTA), b));
}

void script_time_delta_push(lua_State *L, int64_t ms)
{
	int64_t ns;

	if (__builtin_mul_overflow(ms, INT64_C(1000000), &ns))
		ns = INT64_MAX;
	(void)push(L, DELTA, ns);
}

/* ---- both ---- */

/* 0 unless both are of the same type; then -1, 0 or 1 in *order. */
static bool compare(lua_State *L, int *order)
{
	const char *type = is(L, 1, TIME) ? TIME : DELTA;
	int64_t a, b;

	if (!is(L, 1, type) || !is(L, 2, type))
		return false;
	a = check(L, 1, type);
	b = check(L, 2, type);
	*order = a < b ? -1 : a > b;
	return true;
}

static int l_eq(lua_State *L)
{
	int order;

	lua_pushboolean(L, compare(L, &order) && order == 0);
	return 1;
}

static int ordered(lua_State *L, int most)
{
	int order;

	if (!compare(L, &order))
		return luaL_error(L, "a time can only be compared with a time, "
				     "a difference with a difference");
	lua_pushboolean(L, order <= most);
	return 1;
}

static int l_lt(lua_State *L)
{
	return ordered(L, -1);
}

static int l_le(lua_State *L)
{
	return ordered(L, 0);
}

/* ---- the table ---- */

static int l_now(lua_State *L)
{
	return push(L, TIME, now_ns());
}

static int l_from_unix_timestamp(lua_State *L)
{
	return push(L, TIME, to_ns(L, 1));
}

static int push_datetime(lua_State *L, const struct datetime *d)
{
	luaL_argcheck(L,
	    d->unix_seconds > -MOST_SECONDS && d->unix_seconds < MOST_SECONDS,
	    1, "a year out of range");
	return push(L, TIME, d->unix_seconds * SECOND + d->nanoseconds);
}

static int l_parse_rfc3339(lua_State *L)
{
	struct datetime d;
	struct err err = {0};

	if (!datetime_parse_rfc3339(luaL_checkstring(L, 1), &d, &err))
		script_raise(L, &err);
	return push_datetime(L, &d);
}

static int l_parse_rfc2822(lua_State *L)
{
	struct datetime d;
	struct err err = {0};

	if (!datetime_parse_rfc2822(luaL_checkstring(L, 1), &d, &err))
		script_raise(L, &err);
	return push_datetime(L, &d);
}

static int l_with_ymd_hms(lua_State *L)
{
	struct datetime d;
	int part[6];

	for (int i = 0; i < 6; i++) {
		lua_Integer n = luaL_checkinteger(L, i + 1);

		luaL_argcheck(L, n >= 0 && n <= 9999, i + 1, "out of range");
		part[i] = (int)n;
	}
	if (!datetime_from_parts(
		part[0], part[1], part[2], part[3], part[4], part[5], &d))
		return luaL_error(L, "with_ymd_hms: no such day or time");
	return push_datetime(L, &d);
}

/* A number of seconds, or text such as "5 mins". */
static int l_parse_duration(lua_State *L)
{
	struct duration d;
	struct err err = {0};

	if (lua_type(L, 1) == LUA_TNUMBER)
		return push(L, DELTA, to_ns(L, 1));
	if (!duration_parse(luaL_checkstring(L, 1), &d, &err))
		script_raise(L, &err);
	if (d.ms > MOST_SECONDS * 1000)
		return luaL_error(L, "parse_duration: out of range");
	return push(L, DELTA, d.ms * 1000000);
}

static int l_timer_done(lua_State *L)
{
	int64_t started = check(L, 1, TIMER);

	lua_pushnumber(
	    L, (lua_Number)(clock_now_ms() * 1000000 - started) / 1e9);
	return 1;
}

static int l_start_timer(lua_State *L)
{
	(void)luaL_checkstring(L, 1);
	return push(L, TIMER, clock_now_ms() * 1000000);
}

static const luaL_Reg functions[] = {
    /* (): Time */
    {"now", l_now},
    /* (seconds since 1970): Time */
    {"from_unix_timestamp", l_from_unix_timestamp},
    /* (text): Time */
    {"parse_rfc3339", l_parse_rfc3339},
    /* (text): Time */
    {"parse_rfc2822", l_parse_rfc2822},
    /* (year, month, day, hour, minute, second): Time, UTC */
    {"with_ymd_hms", l_with_ymd_hms},
    /* (seconds, or text such as "5 mins"): TimeDelta */
    {"parse_duration", l_parse_duration},
    /* (label): a timer; timer:done() gives the seconds since */
    {"start_timer", l_start_timer},
    {NULL, NULL},
};

static const luaL_Reg time_methods[] = {
    {"__index", l_time_index},
    {"__tostring", l_time_tostring},
    {"__add", l_time_add},
    {"__sub", l_time_sub},
    {"__eq", l_eq},
    {"__lt", l_lt},
    {"__le", l_le},
    {NULL, NULL},
};

static const luaL_Reg delta_methods[] = {
    {"__index", l_delta_index},
    {"__tostring", l_delta_tostring},
    {"__add", l_delta_add},
    {"__sub", l_delta_sub},
    {"__eq", l_eq},
    {"__lt", l_lt},
    {"__le", l_le},
    {NULL, NULL},
};

static const luaL_Reg timer_methods[] = {
    /* (): seconds since the start */
    {"done", l_timer_done},
    {NULL, NULL},
};

void bind_time_open(lua_State *L)
{
	script_table_type(L, TIME, time_methods);
	script_table_type(L, DELTA, delta_methods);
	script_table_class(L, TIMER, timer_methods, NULL);
	luaL_getsubtable(L, -1, "time");
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
}
