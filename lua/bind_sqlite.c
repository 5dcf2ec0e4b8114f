/*
 * bind_sqlite.c - require 'sqlite': a policy's own databases
 *
 * Never the queue's: script_check_file refuses it, for open and for ATTACH.
 * The progress handler looks at the time, so that a statement ends with its
 * event; a locked database is waited for at most busy_ms, and no longer than
 * the event lasts.
 */
#include <sqlite3.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_protect.h"
#include "lua/script_table.h"

#define DB "penstock.sqlite"
#define STATEMENT "penstock.sqlite_statement"
#define BUSY_MS 500
#define BUSY_SLICE_MS 20
#define STEPS_A_LOOK 10000
#define MOST_BYTES (64 << 20) /* of a value */
#define MOST_PAGES "16384"    /* of a database in memory: 64 MiB */

struct db {
	sqlite3 *handle; /* NULL: closed */
	struct script_state *state;
	int64_t busy_ms, busy_since;
};

static struct db *check_db(lua_State *L)
{
	struct db *db = luaL_checkudata(L, 1, DB);

	if (!db->handle)
		luaL_error(L, "sqlite: this database is closed");
	return db;
}

static int complain(lua_State *L, struct db *db)
{
	script_check_time(L);
	return luaL_error(L, "sqlite: %s", sqlite3_errmsg(db->handle));
}

/* ---- what SQLite asks ---- */

static int over(void *ctx)
{
	struct db *db = ctx;

	return script_over(db->state);
}

static int busy(void *ctx, int count)
{
	struct timespec slice = {0, BUSY_SLICE_MS * 1000000};
	struct db *db = ctx;

	if (count == 0)
		db->busy_since = clock_now_ms();
	if (script_over(db->state) ||
	    clock_now_ms() - db->busy_since >= db->busy_ms)
		return 0;
	(void)nanosleep(&slice, NULL);
	return 1;
}

static bool may_attach(const char *path)
{
	struct stat st;

	if (!path || !*path || str_starts(path, "file:") ||
	    str_eq(path, ":memory:"))
		return false;
	if (stat(path, &st) < 0)
		return true;
	return S_ISREG(st.st_mode) && !script_is_protected(&st);
}

static int authorize(void *ctx, int action, const char *a, const char *b,
    const char *database, const char *trigger)
{
	if (action == SQLITE_ATTACH && !may_attach(a))
		return SQLITE_DENY;
	/* What bounds a database in memory stays as it is. */
	if (action == SQLITE_PRAGMA && b &&
	    (str_case_eq(a, "max_page_count") || str_case_eq(a, "page_size")))
		return SQLITE_DENY;
	return SQLITE_OK;
}

/* ---- open and close ---- */

static int l_open(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	lua_Integer busy_ms = luaL_optinteger(L, 2, BUSY_MS);
	bool in_memory = str_eq(path, ":memory:") || !*path;
	struct db *db;

	luaL_argcheck(L, busy_ms >= 0, 2, "must not be negative");
	if (!in_memory)
		script_check_file(L, path);
	db = lua_newuserdatauv(L, sizeof *db, 0);
	*db = (struct db){NULL, script_state_of(L), busy_ms, 0};
	luaL_setmetatable(L, DB);
	if (sqlite3_open_v2(path, &db->handle,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
		    SQLITE_OPEN_NOMUTEX,
		NULL) != SQLITE_OK) {
		luaL_where(L, 1);
		lua_pushfstring(L, "sqlite: %s: %s", path,
		    db->handle ? sqlite3_errmsg(db->handle) : "no memory");
		lua_concat(L, 2);
		(void)sqlite3_close_v2(db->handle);
		db->handle = NULL;
		return lua_error(L);
	}
	if (in_memory)
		(void)sqlite3_exec(db->handle,
		    "PRAGMA max_page_count = " MOST_PAGES, NULL, NULL, NULL);
	sqlite3_progress_handler(db->handle, STEPS_A_LOOK, over, db);
	(void)sqlite3_busy_handler(db->handle, busy, db);
	(void)sqlite3_set_authorizer(db->handle, authorize, NULL);
	(void)sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, MOST_BYTES);
	return 1;
}

static int l_close(lua_State *L)
{
	struct db *db = luaL_checkudata(L, 1, DB);

	(void)sqlite3_close_v2(db->handle);
	db->handle = NULL;
	return 0;
}

/* ---- statements ---- */

/* A box, so that lua_error() finalizes. */
static int l_finalize(lua_State *L)
{
	sqlite3_stmt **box = lua_touserdata(L, 1);

	(void)sqlite3_finalize(*box);
	*box = NULL;
	return 0;
}

static sqlite3_stmt **push_statement(lua_State *L)
{
	sqlite3_stmt **box = lua_newuserdatauv(L, sizeof *box, 0);

	*box = NULL;
	luaL_setmetatable(L, STATEMENT);
	return box;
}

/* The value on top becomes parameter n. */
static void bind_top(lua_State *L, struct db *db, sqlite3_stmt *stmt, int n)
{
	const char *text;
	size_t len;
	int rc;

	switch (lua_type(L, -1)) {
	case LUA_TNIL:
		rc = sqlite3_bind_null(stmt, n);
		break;
	case LUA_TBOOLEAN:
		rc = sqlite3_bind_int(stmt, n, lua_toboolean(L, -1));
		break;
	case LUA_TNUMBER:
		rc = lua_isinteger(L, -1)
			 ? sqlite3_bind_int64(stmt, n, lua_tointeger(L, -1))
			 : sqlite3_bind_double(stmt, n, lua_tonumber(L, -1));
		break;
	case LUA_TSTRING:
		text = lua_tolstring(L, -1, &len);
		rc = str_is_utf8(text, len) && !memchr(text, '\0', len)
			 ? sqlite3_bind_text64(stmt, n, text, len,
			       SQLITE_TRANSIENT, SQLITE_UTF8)
			 : sqlite3_bind_blob64(
			       stmt, n, text, len, SQLITE_TRANSIENT);
		break;
	default:
		luaL_error(L, "sqlite: parameter %d: a %s cannot be stored", n,
		    luaL_typename(L, -1));
		return;
	}
	if (rc != SQLITE_OK)
		(void)complain(L, db);
}

/* Parameters by name from the table at 3, with or without their ":". */
static void bind_names(lua_State *L, struct db *db, sqlite3_stmt *stmt)
{
	int count = sqlite3_bind_parameter_count(stmt);

	for (int n = 1; n <= count; n++) {
		const char *name = sqlite3_bind_parameter_name(stmt, n);

		if (!name) {
			lua_geti(L, 3, n);
		} else if (lua_getfield(L, 3, name) == LUA_TNIL) {
			lua_pop(L, 1);
			lua_getfield(L, 3, name + 1);
		}
		bind_top(L, db, stmt, n);
		lua_pop(L, 1);
	}
}

static void bind_all(lua_State *L, struct db *db, sqlite3_stmt *stmt, int last)
{
	int count = sqlite3_bind_parameter_count(stmt);

	if (last == 3 && (lua_istable(L, 3) || lua_isuserdata(L, 3))) {
		bind_names(L, db, stmt);
		return;
	}
	if (count != last - 2)
		luaL_error(L,
		    "sqlite: the statement has %d parameters, %d "
		    "were given",
		    count, last - 2);
	for (int i = 3; i <= last; i++) {
		lua_pushvalue(L, i);
		bind_top(L, db, stmt, i - 2);
		lua_pop(L, 1);
	}
}

static void push_column(lua_State *L, sqlite3_stmt *stmt, int column)
{
	switch (sqlite3_column_type(stmt, column)) {
	case SQLITE_INTEGER:
		lua_pushinteger(L, sqlite3_column_int64(stmt, column));
		break;
	case SQLITE_FLOAT:
		lua_pushnumber(L, sqlite3_column_double(stmt, column));
		break;
	case SQLITE_NULL:
		lua_pushnil(L);
		break;
	default: {
		const void *bytes = sqlite3_column_blob(stmt, column);
		int len = sqlite3_column_bytes(stmt, column);

		lua_pushlstring(L, bytes ? bytes : "", (size_t)len);
		break;
	}
	}
}

/* The row as a value (one column) or a table. */
static void push_row(lua_State *L, sqlite3_stmt *stmt)
{
	int columns = sqlite3_column_count(stmt);

	if (columns == 1) {
		push_column(L, stmt, 0);
		return;
	}
	lua_createtable(L, 0, columns);
	for (int i = 0; i < columns; i++) {
		push_column(L, stmt, i);
		lua_setfield(L, -2, sqlite3_column_name(stmt, i));
	}
}

/* No columns: how many rows were changed.  One: array of values.  More: array
 * of tables. */
static int l_execute(lua_State *L)
{
	struct db *db = check_db(L);
	const char *rest;
	size_t len;
	const char *sql = luaL_checklstring(L, 2, &len);
	int last = lua_gettop(L), rc;
	sqlite3_stmt **stmt = push_statement(L);
	lua_Integer n = 0;

	if (sqlite3_prepare_v2(db->handle, sql, (int)len + 1, stmt, &rest) !=
	    SQLITE_OK)
		return complain(L, db);
	if (!*stmt)
		return luaL_error(L, "sqlite: there is no statement");
	while (*rest == ' ' || *rest == '\n' || *rest == '\t' ||
	       *rest == '\r' || *rest == ';')
		rest++;
	if (*rest)
		return luaL_error(L, "sqlite: one statement at a time");
	bind_all(L, db, *stmt, last);
	lua_newtable(L);
	while ((rc = sqlite3_step(*stmt)) == SQLITE_ROW) {
		script_check_time(L);
		push_row(L, *stmt);
		lua_rawseti(L, -2, ++n);
	}
	if (rc != SQLITE_DONE)
		return complain(L, db);
	if (sqlite3_column_count(*stmt) == 0)
		lua_pushinteger(L, sqlite3_changes(db->handle));
	(void)sqlite3_finalize(*stmt);
	*stmt = NULL;
	return 1;
}

static const luaL_Reg functions[] = {
    /* (path [, busy_ms]): a database */
    {"open", l_open},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    /* (sql, ...): the rows, or how many were changed */
    {"execute", l_execute},
    /* (): no more */
    {"close", l_close},
    {NULL, NULL},
};

void bind_sqlite_open(lua_State *L)
{
	script_table_class(L, DB, methods, l_close);
	script_table_class(L, STATEMENT, NULL, l_finalize);
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	luaL_newlib(L, functions);
	lua_setfield(L, -2, "sqlite"); /* require 'sqlite' */
	lua_pop(L, 1);
}
