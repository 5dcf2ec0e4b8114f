/*
 * bind_throttle.c - kumo.make_throttle
 *
 * Buckets belong to the process, by name and rate, behind one lock that is held
 * for a look-up and an addition.  Names may come from clients, so full buckets
 * go when there are many; and then there are no more.
 */
#include <pthread.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/xalloc.h"
#include "lua/bind.h"
#include "lua/script_table.h"
#include "policy/throttle.h"

#define THROTTLE "penstock.throttle"
#define SWEEP_AT 50000
#define MOST_BUCKETS 500000
#define MOST_NAME 255

struct held {
	struct rate rate;
	char key[]; /* name, 0x01, rate */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct map *buckets;
static size_t sweep_at = SWEEP_AT;

/* Full buckets say no more than new ones.  Lock held. */
static void sweep(int64_t now_ns)
{
	const char *key;
	size_t pos = 0;
	void *p;

	while (map_each(buckets, &pos, &key, &p)) {
		struct throttle *throttle = p;

		if (throttle->full_at_ns > now_ns)
			continue;
		(void)map_remove(buckets, key);
		free(throttle);
	}
	sweep_at = 2 * map_count(buckets);
	if (sweep_at < SWEEP_AT)
		sweep_at = SWEEP_AT;
}

/* False: there are too many. */
static bool take(const struct held *held, struct throttle_answer *out)
{
	int64_t now_ns = clock_now_ms() * 1000000;
	struct throttle *throttle;
	bool room = true;

	pthread_mutex_lock(&lock);
	if (!buckets)
		buckets = map_new();
	throttle = map_get(buckets, held->key);
	if (!throttle) {
		if (map_count(buckets) >= sweep_at)
			sweep(now_ns);
		room = map_count(buckets) < MOST_BUCKETS;
	}
	if (!throttle && room) {
		throttle = xcalloc(1, sizeof *throttle);
		(void)map_put(buckets, held->key, throttle);
	}
	if (throttle)
		*out = throttle_take(throttle, &held->rate, now_ns);
	pthread_mutex_unlock(&lock);
	return throttle != NULL;
}

static struct throttle_answer must_take(lua_State *L, const struct held *held)
{
	struct throttle_answer answer;

	if (!take(held, &answer))
		luaL_error(L, "%d throttles are in use", MOST_BUCKETS);
	return answer;
}

static int64_t seconds_up(int64_t ns)
{
	return (ns + 999999999) / 1000000000;
}

/* ---- methods ---- */

static int l_throttle(lua_State *L)
{
	struct throttle_answer a =
	    must_take(L, luaL_checkudata(L, 1, THROTTLE));

	lua_createtable(L, 0, 5);
	lua_pushboolean(L, a.throttled);
	lua_setfield(L, -2, "throttled");
	lua_pushinteger(L, a.limit);
	lua_setfield(L, -2, "limit");
	lua_pushinteger(L, a.remaining);
	lua_setfield(L, -2, "remaining");
	lua_pushinteger(L, seconds_up(a.reset_after_ns));
	lua_setfield(L, -2, "reset_after");
	if (a.throttled) {
		lua_pushinteger(L, seconds_up(a.retry_after_ns));
		lua_setfield(L, -2, "retry_after");
	}
	return 1;
}

/* True when it had to wait. */
static int l_sleep_if_throttled(lua_State *L)
{
	const struct held *held = luaL_checkudata(L, 1, THROTTLE);
	bool waited = false;

	for (;;) {
		struct throttle_answer a = must_take(L, held);

		if (!a.throttled)
			break;
		waited = true;
		script_sleep(L, a.retry_after_ns / 1000000 + 1);
	}
	lua_pushboolean(L, waited);
	return 1;
}

/* True when the message is due later now. */
static int l_delay_message_if_throttled(lua_State *L)
{
	const struct held *held = luaL_checkudata(L, 1, THROTTLE);
	struct message *m = script_message_check(L, 2);
	struct throttle_answer a = must_take(L, held);

	if (a.throttled)
		m->due_at = clock_unix() + seconds_up(a.retry_after_ns);
	lua_pushboolean(L, a.throttled);
	return 1;
}

static int l_explain(lua_State *L)
{
	const struct held *held = luaL_checkudata(L, 1, THROTTLE);
	char rate[96];

	lua_pushfstring(
	    L, "%s (in this process)", rate_print(rate, &held->rate));
	return 1;
}

static int l_make_throttle(lua_State *L)
{
	size_t len;
	const char *name = luaL_checklstring(L, 1, &len), *text;
	struct rate rate;
	struct err err = {0};
	struct held *held;
	char canonical[96];

	luaL_argcheck(L, strlen(name) == len, 1, "a name without NUL");
	luaL_argcheck(L, len <= MOST_NAME, 1, "a name of at most 255 bytes");
	text = luaL_checkstring(L, 2);
	if (!rate_parse(text, &rate, &err))
		script_raise(L, &err);
	len += strlen(rate_print(canonical, &rate)) + 2;
	held = lua_newuserdatauv(L, sizeof *held + len, 0);
	held->rate = rate;
	snprintf(held->key, len, "%s\x01%s", name, canonical);
	luaL_setmetatable(L, THROTTLE);
	return 1;
}

static const luaL_Reg functions[] = {
    /* (name, rate): a throttle, shared by its name and rate */
    {"make_throttle", l_make_throttle},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    /* (): {throttled, limit, remaining, reset_after, retry_after} */
    {"throttle", l_throttle},
    /* (): waits until it may pass; true when it had to */
    {"sleep_if_throttled", l_sleep_if_throttled},
    /* (message): makes it due later; true when it did */
    {"delay_message_if_throttled", l_delay_message_if_throttled},
    /* (): text */
    {"explain", l_explain},
    {NULL, NULL},
};

void bind_throttle_open(lua_State *L)
{
	script_table_class(L, THROTTLE, methods, NULL);
	luaL_setfuncs(L, functions, 0);
}
