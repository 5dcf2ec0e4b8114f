/*
 * bind_uuid.c - kumo.uuid (RFC 9562)
 *
 * A UUID is bytes with forms: hyphenated, simple, urn, braced, bytes.
 */
#include <time.h>

#include "base/fd.h"
#include "base/radix.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_table.h"

#define UUID "penstock.uuid"
#define GREGORIAN 122192928000000000ULL /* 100 ns from 1582-10-15 to 1970 */

struct uuid {
	unsigned char bytes[16];
};

static int push(lua_State *L, const struct uuid *uuid)
{
	*(struct uuid *)lua_newuserdatauv(L, sizeof *uuid, 0) = *uuid;
	luaL_setmetatable(L, UUID);
	return 1;
}

static void fill_random(struct uuid *uuid)
{
	char hex[33];
	struct buf bytes = BUF_INIT;

	random_hex(hex, 16);
	(void)!radix_decode(radix_find("hex"), &bytes, hex, 32);
	memcpy(uuid->bytes, bytes.data, sizeof uuid->bytes);
	buf_release(&bytes);
}

static void set_version(struct uuid *uuid, unsigned version)
{
	uuid->bytes[6] = (unsigned char)((uuid->bytes[6] & 15) | version << 4);
	uuid->bytes[8] = (unsigned char)((uuid->bytes[8] & 63) | 128);
}

/* The lowest `count` bytes of n, most significant first. */
static void put(unsigned char *at, uint64_t n, int count)
{
	while (count-- > 0) {
		at[count] = (unsigned char)n;
		n >>= 8;
	}
}

static uint64_t ticks(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return GREGORIAN + (uint64_t)now.tv_sec * 10000000 +
	       (uint64_t)now.tv_nsec / 100;
}

/* The node is random, with the bit that says so. */
static int l_new_v1(lua_State *L)
{
	struct uuid uuid;
	uint64_t now = ticks();

	fill_random(&uuid);
	put(uuid.bytes, now, 4);
	put(uuid.bytes + 4, now >> 32, 2);
	put(uuid.bytes + 6, now >> 48, 2);
	uuid.bytes[10] |= 1;
	set_version(&uuid, 1);
	return push(L, &uuid);
}

static int l_new_v4(lua_State *L)
{
	struct uuid uuid;

	fill_random(&uuid);
	set_version(&uuid, 4);
	return push(L, &uuid);
}

static int l_new_v6(lua_State *L)
{
	struct uuid uuid;
	uint64_t now = ticks();

	fill_random(&uuid);
	put(uuid.bytes, now >> 12, 6);
	put(uuid.bytes + 6, now & 0xfff, 2);
	uuid.bytes[10] |= 1;
	set_version(&uuid, 6);
	return push(L, &uuid);
}

static int l_new_v7(lua_State *L)
{
	struct uuid uuid;

	fill_random(&uuid);
	put(uuid.bytes, (ticks() - GREGORIAN) / 10000, 6);
	set_version(&uuid, 7);
	return push(L, &uuid);
}

/* Any of the text forms, or 16 bytes. */
static int l_parse(lua_State *L)
{
	size_t len, n = 0;
	const char *text = luaL_checklstring(L, 1, &len);
	struct buf *bytes = script_box_buf(L);
	struct uuid uuid;
	char hex[33];

	if (len == sizeof uuid.bytes) {
		memcpy(uuid.bytes, text, len);
		return push(L, &uuid);
	}
	if (str_ncase_eq(text, "urn:uuid:", 9)) {
		text += 9;
		len -= 9;
	} else if (len == 38 && text[0] == '{' && text[37] == '}') {
		text++;
		len -= 2;
	}
	for (size_t i = 0; i < len && n < 32; i++)
		if (len != 36 || (i != 8 && i != 13 && i != 18 && i != 23))
			hex[n++] = text[i];
		else if (text[i] != '-')
			break;
	if ((len != 36 && len != 32) || n != 32 ||
	    !radix_decode(radix_find("hex"), bytes, hex, n))
		return luaL_error(L, "uuid.parse: not a UUID");
	memcpy(uuid.bytes, bytes->data, sizeof uuid.bytes);
	return push(L, &uuid);
}

/* ---- forms ---- */

static void push_hex(lua_State *L, const struct uuid *uuid, const char *before,
    bool hyphens, const char *after)
{
	luaL_Buffer out;
	char digits[3];

	luaL_buffinit(L, &out);
	luaL_addstring(&out, before);
	for (int i = 0; i < 16; i++) {
		if (hyphens && (i == 4 || i == 6 || i == 8 || i == 10))
			luaL_addchar(&out, '-');
		snprintf(digits, sizeof digits, "%02x", uuid->bytes[i]);
		luaL_addstring(&out, digits);
	}
	luaL_addstring(&out, after);
	luaL_pushresult(&out);
}

static int l_index(lua_State *L)
{
	const struct uuid *uuid = luaL_checkudata(L, 1, UUID);
	const char *form = luaL_checkstring(L, 2);

	if (str_eq(form, "hyphenated"))
		push_hex(L, uuid, "", true, "");
	else if (str_eq(form, "simple"))
		push_hex(L, uuid, "", false, "");
	else if (str_eq(form, "urn"))
		push_hex(L, uuid, "urn:uuid:", true, "");
	else if (str_eq(form, "braced"))
		push_hex(L, uuid, "{", true, "}");
	else if (str_eq(form, "bytes"))
		lua_pushlstring(
		    L, (const char *)uuid->bytes, sizeof uuid->bytes);
	else
		lua_pushnil(L);
	return 1;
}

static int l_tostring(lua_State *L)
{
	push_hex(L, luaL_checkudata(L, 1, UUID), "", true, "");
	return 1;
}

static int l_eq(lua_State *L)
{
	const struct uuid *a = luaL_testudata(L, 1, UUID);
	const struct uuid *b = luaL_testudata(L, 2, UUID);

	lua_pushboolean(L, a && b && memcmp(a, b, sizeof *a) == 0);
	return 1;
}

static const luaL_Reg functions[] = {
    /* (): by time, with a random node */
    {"new_v1", l_new_v1},
    /* (): random */
    {"new_v4", l_new_v4},
    /* (): by time, sortable */
    {"new_v6", l_new_v6},
    /* (): unix milliseconds, then random; sortable */
    {"new_v7", l_new_v7},
    /* (text): raises when it is none */
    {"parse", l_parse},
    {NULL, NULL},
};

static const luaL_Reg meta_methods[] = {
    {"__index", l_index},
    {"__tostring", l_tostring},
    {"__eq", l_eq},
    {NULL, NULL},
};

void bind_uuid_open(lua_State *L)
{
	script_table_type(L, UUID, meta_methods);
	luaL_getsubtable(L, -1, "uuid");
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
}
