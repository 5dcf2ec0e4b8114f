/*
 * fuzz_cidr_map.c - maps by address: via and peer of a listener, and
 * kumo.cidr.make_map; the longest prefix wins in all of them
 *
 * The first line is the address that is looked up, the others are keys; what a
 * key stands for is its number.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "base/arena.h"
#include "base/cidr.h"
#include "lua/bind.h"
#include "policy/listener.h"
#include "tests/fuzz/fuzz.h"

#define MOST 32

struct keys {
	size_t count;
	const char *text[MOST];
	struct cidr block[MOST];
	bool all_are_blocks;
};

static bool same_block(const struct cidr *a, const struct cidr *b)
{
	return ip_eq(&a->ip, &b->ip) && a->len == b->len;
}

/* Two spellings of one block have no order in a table: the first is kept. */
static bool is_new(const struct keys *keys, const char *text,
    const struct cidr *block, bool is_block)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcmp(keys->text[i], text) == 0 ||
		    (is_block && same_block(&keys->block[i], block)))
			return false;
	return true;
}

static struct keys read_keys(char *text)
{
	struct keys keys = {.all_are_blocks = true};

	while (text && keys.count < MOST) {
		char *end = strchr(text, '\n');
		struct cidr block;
		bool ok;

		if (end)
			*end = '\0';
		ok = cidr_parse(text, &block, NULL);
		if (!ok) /* equal to no other */
			block = (struct cidr){.len = 999};
		if (is_new(&keys, text, &block, ok)) {
			keys.block[keys.count] = block;
			keys.text[keys.count++] = text;
			keys.all_are_blocks &= ok;
		}
		text = end ? end + 1 : NULL;
	}
	return keys;
}

/* By looking at each, the other way round from cidr_longest(). */
static int expected(const struct keys *keys, const struct ip_addr *ip)
{
	for (int len = 128; len >= 0; len--)
		for (size_t i = 0; i < keys->count; i++)
			if (keys->block[i].ip.family &&
			    keys->block[i].len == (unsigned)len &&
			    cidr_contains(&keys->block[i], ip))
				return (int)i;
	for (size_t i = 0; i < keys->count; i++)
		if (!keys->block[i].ip.family && keys->block[i].len == 0)
			return (int)i;
	return -1;
}

static struct value names_by_key(const struct keys *keys, struct arena *arena)
{
	struct value map = {.type = VALUE_MAP, .count = keys->count};

	map.entries = ARENA_ARRAY(arena, struct value_entry, MOST);
	for (size_t i = 0; i < keys->count; i++) {
		struct value *block = &map.entries[i].value;
		const char *name = arena_printf(arena, "host-%zu", i);

		map.entries[i].key = keys->text[i];
		*block = (struct value){.type = VALUE_MAP, .count = 1};
		block->entries = ARENA_NEW(arena, struct value_entry);
		block->entries->key = "hostname";
		block->entries->value = value_string(arena, name, strlen(name));
	}
	return map;
}

static void check_listener(const struct keys *keys, const struct ip_addr *ip,
    int want, const char *side, struct arena *arena)
{
	struct listener record = *listener_defaults();
	struct value_entry entry = {side, names_by_key(keys, arena)};
	struct value block = {.type = VALUE_MAP, .count = 1, .entries = &entry};
	const char *name = record.hostname;
	struct err err = {0};
	bool ok;

	ok = listener_apply(
	    &record, &block, false, ip, ip, arena, NULL, NULL, &err);
	FUZZ_CHECK(ok == keys->all_are_blocks);
	if (!ok) {
		FUZZ_CHECK(strstr(err.text, side));
		return;
	}
	if (want >= 0)
		name = arena_printf(arena, "host-%d", want);
	FUZZ_CHECK(strcmp(record.hostname, name) == 0);
}

static lua_State *state(void)
{
	static lua_State *L;

	if (L)
		return L;
	L = luaL_newstate();
	FUZZ_CHECK(L);
	lua_newtable(L);
	bind_cidr_open(L);
	lua_getfield(L, -1, "cidr");
	lua_getfield(L, -1, "make_map");
	lua_setglobal(L, "make_map");
	lua_settop(L, 0);
	return L;
}

static int l_set(lua_State *L)
{
	lua_settable(L, 1);
	return 0;
}

static int l_get(lua_State *L)
{
	lua_gettable(L, 1);
	return 1;
}

/* Leaves the map at 1; false: a key was refused. */
static bool fill_map(lua_State *L, const struct keys *keys)
{
	bool all = true;

	lua_settop(L, 0);
	lua_getglobal(L, "make_map");
	FUZZ_CHECK(lua_pcall(L, 0, 1, 0) == LUA_OK);
	for (size_t i = 0; i < keys->count; i++) {
		lua_pushcfunction(L, l_set);
		lua_pushvalue(L, 1);
		lua_pushstring(L, keys->text[i]);
		lua_pushinteger(L, (lua_Integer)i);
		if (lua_pcall(L, 3, 0, 0) == LUA_OK)
			continue;
		all = false;
		FUZZ_CHECK(keys->block[i].len == 999);
		lua_settop(L, 1);
	}
	return all;
}

static void check_map(
    const struct keys *keys, const char *address, const struct ip_addr *ip)
{
	lua_State *L = state();
	bool all = fill_map(L, keys);
	struct ip_addr parsed;

	lua_pushcfunction(L, l_get);
	lua_pushvalue(L, 1);
	lua_pushstring(L, address);
	FUZZ_CHECK(lua_pcall(L, 2, 1, 0) == LUA_OK);
	/* Keys may be more than blocks there: "10.0.0.1:25". */
	if (all && keys->all_are_blocks && ip_parse(address, &parsed)) {
		int want = expected(keys, ip);

		FUZZ_CHECK(want < 0 ? lua_isnil(L, -1)
				    : lua_isinteger(L, -1) &&
					  lua_tointeger(L, -1) == want);
	}
	lua_settop(L, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *rest = strchr(text, '\n');
	struct arena *arena = arena_new(0);
	struct ip_addr ip = {0};
	struct keys keys;
	int want;

	if (rest)
		*rest++ = '\0';
	keys = read_keys(rest);
	if (!ip_parse(text, &ip))
		ip = (struct ip_addr){0};
	want = ip.family ? expected(&keys, &ip) : -1;
	check_listener(&keys, &ip, want, "peer", arena);
	check_listener(&keys, &ip, want, "via", arena);
	check_map(&keys, text, &ip);
	arena_unref(arena);
	free(text);
	return 0;
}
