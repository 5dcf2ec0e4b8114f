/*
 * sys_store.c - queue files and log segments, as the harness reads them
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <sqlite3.h>
#include <zstd.h>

#include "tests/harness/sys.h"

static void push_column(lua_State *L, sqlite3_stmt *stmt, int i)
{
	switch (sqlite3_column_type(stmt, i)) {
	case SQLITE_INTEGER:
		lua_pushinteger(L, sqlite3_column_int64(stmt, i));
		break;
	case SQLITE_FLOAT:
		lua_pushnumber(L, sqlite3_column_double(stmt, i));
		break;
	case SQLITE_NULL:
		/* Not nil: a row keeps its length. */
		lua_pushboolean(L, 0);
		break;
	default:
		lua_pushlstring(L, sqlite3_column_blob(stmt, i),
		    (size_t)sqlite3_column_bytes(stmt, i));
	}
}

/* sql(path, text [, writable]) -> array of arrays, column names.  Opens and
 * closes each time, read-only unless asked, as an operator's shell would. */
static int l_sql(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	const char *text = luaL_checkstring(L, 2);
	int flags =
	    lua_toboolean(L, 3) ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	int rc, i;
	lua_Integer n = 0;

	if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) {
		lua_pushfstring(L, "%s: %s", path, sqlite3_errmsg(db));
		sqlite3_close(db);
		return lua_error(L);
	}
	sqlite3_busy_timeout(db, 5000);
	if (sqlite3_prepare_v2(db, text, -1, &stmt, NULL) != SQLITE_OK) {
		lua_pushfstring(L, "%s: %s", text, sqlite3_errmsg(db));
		sqlite3_close(db);
		return lua_error(L);
	}
	lua_newtable(L);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		lua_newtable(L);
		for (i = 0; i < sqlite3_column_count(stmt); i++) {
			push_column(L, stmt, i);
			lua_rawseti(L, -2, i + 1);
		}
		lua_rawseti(L, -2, ++n);
	}
	lua_newtable(L);
	for (i = 0; i < sqlite3_column_count(stmt); i++) {
		lua_pushstring(L, sqlite3_column_name(stmt, i));
		lua_rawseti(L, -2, i + 1);
	}
	if (rc != SQLITE_DONE) {
		lua_pushfstring(L, "%s: %s", text, sqlite3_errmsg(db));
		sqlite3_finalize(stmt);
		sqlite3_close(db);
		return lua_error(L);
	}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return 2;
}

/* unzstd(bytes) -> bytes; what can be read of a stream cut anywhere. */
static int l_unzstd(lua_State *L)
{
	size_t len;
	const char *data = luaL_checklstring(L, 1, &len);
	ZSTD_inBuffer in = {data, len, 0};
	ZSTD_DStream *stream = ZSTD_createDStream();
	char out[65536];
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	for (;;) {
		ZSTD_outBuffer o = {out, sizeof out, 0};
		size_t rc = ZSTD_decompressStream(stream, &o, &in);

		luaL_addlstring(&b, out, o.pos);
		if (ZSTD_isError(rc) || (in.pos == in.size && o.pos < o.size))
			break;
	}
	ZSTD_freeDStream(stream);
	luaL_pushresult(&b);
	return 1;
}

static const luaL_Reg functions[] = {
    {"sql", l_sql}, {"unzstd", l_unzstd}, {NULL, NULL}};

int luaopen_sys_store(lua_State *L)
{
	lua_getglobal(L, "sys");
	luaL_setfuncs(L, functions, 0);
	return 1;
}
