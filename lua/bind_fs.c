/*
 * bind_fs.c - kumo.fs: files and directories
 *
 * Files are the language's own, behind other method names and with errors that
 * raise.  What a policy must not touch is refused (script_check_file).
 */
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_table.h"

#define FILE_TYPE "penstock.file"
#define DIR_TYPE "penstock.dir"
#define GLOB_TYPE "penstock.glob"
#define ENTRIES_A_LOOK 256

static int raise_errno(lua_State *L, const char *what, const char *path)
{
	return luaL_error(L, "%s %s: %s", what, path, strerror(errno));
}

/* ---- files ---- */

struct file {
	FILE *f; /* NULL: closed */
};

static FILE *check_file(lua_State *L)
{
	struct file *file = luaL_checkudata(L, 1, FILE_TYPE);

	if (!file->f)
		luaL_error(L, "this file is closed");
	return file->f;
}

static int l_open(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	const char *mode = luaL_optstring(L, 2, "r");
	struct file *file;

	luaL_argcheck(L,
	    strchr("rwa", *mode) && *mode &&
		mode[1 + strspn(mode + 1, "+bx")] == '\0',
	    2, "not a mode");
	script_check_file(L, path);
	file = lua_newuserdatauv(L, sizeof *file, 0);
	file->f = NULL;
	luaL_setmetatable(L, FILE_TYPE);
	file->f = fopen(path, lua_pushfstring(L, "%se", mode));
	lua_pop(L, 1);
	if (!file->f)
		return raise_errno(L, "open", path);
	return 1;
}

static int l_file_close(lua_State *L)
{
	struct file *file = luaL_checkudata(L, 1, FILE_TYPE);
	FILE *f = file->f;

	file->f = NULL;
	if (f && fclose(f) != 0)
		return luaL_error(L, "close: %s", strerror(errno));
	return 0;
}

static int l_file_gc(lua_State *L)
{
	struct file *file = lua_touserdata(L, 1);

	if (file->f)
		(void)fclose(file->f);
	file->f = NULL;
	return 0;
}

/* n bytes at most, or all there are. */
static int l_file_read(lua_State *L)
{
	FILE *f = check_file(L);
	lua_Integer left = luaL_optinteger(L, 2, LUA_MAXINTEGER);
	luaL_Buffer out;
	size_t n;

	luaL_argcheck(L, left >= 0, 2, "must not be negative");
	luaL_buffinit(L, &out);
	do {
		char *p = luaL_prepbuffer(&out);

		script_check_time(L);
		n = left < LUAL_BUFFERSIZE ? (size_t)left : LUAL_BUFFERSIZE;
		n = fread(p, 1, n, f);
		luaL_addsize(&out, n);
		left -= (lua_Integer)n;
	} while (n > 0 && left > 0);
	luaL_pushresult(&out);
	if (ferror(f))
		return luaL_error(L, "read: %s", strerror(errno));
	return 1;
}

static int l_file_write(lua_State *L)
{
	FILE *f = check_file(L);
	size_t len;
	const char *text = luaL_checklstring(L, 2, &len);

	if (fwrite(text, 1, len, f) != len)
		return luaL_error(L, "write: %s", strerror(errno));
	return 0;
}

static int l_file_flush(lua_State *L)
{
	if (fflush(check_file(L)) != 0)
		return luaL_error(L, "flush: %s", strerror(errno));
	return 0;
}

/* (whence [, offset]): the new position */
static int l_file_seek(lua_State *L)
{
	static const char *const names[] = {"set", "cur", "end", NULL};
	static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
	FILE *f = check_file(L);
	int whence = whences[luaL_checkoption(L, 2, "cur", names)];
	lua_Integer offset = luaL_optinteger(L, 3, 0);

	if (fseeko(f, offset, whence) != 0)
		return luaL_error(L, "seek: %s", strerror(errno));
	lua_pushinteger(L, ftello(f));
	return 1;
}

/* ---- directories ---- */

static int l_dir_gc(lua_State *L)
{
	DIR **dir = lua_touserdata(L, 1);

	if (*dir)
		(void)closedir(*dir);
	*dir = NULL;
	return 0;
}

/* Full paths, "." and ".." left out. */
static int l_read_dir(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	DIR **dir = lua_newuserdatauv(L, sizeof *dir, 0);
	struct dirent *entry;
	lua_Integer n = 0;

	*dir = NULL;
	luaL_setmetatable(L, DIR_TYPE);
	*dir = opendir(path);
	if (!*dir)
		return raise_errno(L, "read_dir", path);
	lua_newtable(L);
	while ((entry = readdir(*dir)) != NULL) {
		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		if (n % ENTRIES_A_LOOK == 0)
			script_check_time(L);
		lua_pushfstring(L, "%s%s%s", path,
		    str_ends(path, "/") ? "" : "/", entry->d_name);
		lua_rawseti(L, -2, ++n);
	}
	(void)closedir(*dir);
	*dir = NULL;
	return 1;
}

static int l_glob_gc(lua_State *L)
{
	globfree(lua_touserdata(L, 1));
	return 0;
}

/* (pattern [, relative to]): array of paths, sorted.  Nothing is remembered, so
 * the third argument of glob, a time to live, is accepted and not needed. */
static int l_glob(lua_State *L)
{
	const char *pattern = luaL_checkstring(L, 1);
	const char *base = luaL_optstring(L, 2, NULL);
	size_t skip = 0;
	glob_t *found;
	int rc;

	lua_settop(L, 2);
	if (base && pattern[0] != '/') {
		skip = strlen(base) + 1;
		pattern = lua_pushfstring(L, "%s/%s", base, pattern);
	}
	found = lua_newuserdatauv(L, sizeof *found, 0);
	memset(found, 0, sizeof *found);
	luaL_setmetatable(L, GLOB_TYPE);
	rc = glob(pattern, GLOB_NOESCAPE, NULL, found);
	script_check_time(L);
	if (rc != 0 && rc != GLOB_NOMATCH)
		return luaL_error(L, "glob %s: it failed", pattern);
	lua_createtable(L, (int)found->gl_pathc, 0);
	for (size_t i = 0; i < found->gl_pathc; i++) {
		lua_pushstring(L, found->gl_pathv[i] + skip);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

/* ---- metadata ---- */

static void set_flag(lua_State *L, const char *name, bool flag)
{
	lua_pushboolean(L, flag);
	lua_setfield(L, -2, name);
}

static void set_int(lua_State *L, const char *name, int64_t n)
{
	lua_pushinteger(L, n);
	lua_setfield(L, -2, name);
}

static int push_metadata(lua_State *L, const struct stat *st)
{
	lua_createtable(L, 0, 12);
	set_flag(L, "is_file", S_ISREG(st->st_mode));
	set_flag(L, "is_dir", S_ISDIR(st->st_mode));
	set_flag(L, "is_symlink", S_ISLNK(st->st_mode));
	set_int(L, "len", st->st_size);
	set_int(L, "mode", st->st_mode & 07777);
	set_int(L, "uid", st->st_uid);
	set_int(L, "gid", st->st_gid);
	set_int(L, "dev", (int64_t)st->st_dev);
	set_int(L, "ino", (int64_t)st->st_ino);
	set_int(L, "nlink", (int64_t)st->st_nlink);
	set_int(L, "mtime", st->st_mtime);
	set_int(L, "atime", st->st_atime);
	set_int(L, "ctime", st->st_ctime);
	return 1;
}

static int l_metadata_for_path(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct stat st;

	if (stat(path, &st) < 0)
		return raise_errno(L, "stat", path);
	return push_metadata(L, &st);
}

static int l_symlink_metadata_for_path(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct stat st;

	if (lstat(path, &st) < 0)
		return raise_errno(L, "stat", path);
	return push_metadata(L, &st);
}

static const luaL_Reg functions[] = {
    /* (path [, mode]): a file */
    {"open", l_open},
    /* (path): array of the paths in it */
    {"read_dir", l_read_dir},
    /* (pattern [, relative to]): array of paths */
    {"glob", l_glob},
    /* (pattern [, relative to]): the same */
    {"uncached_glob", l_glob},
    /* (path): table; follows a symbolic link */
    {"metadata_for_path", l_metadata_for_path},
    /* (path): table; of the symbolic link itself */
    {"symlink_metadata_for_path", l_symlink_metadata_for_path},
    {NULL, NULL},
};

/* The older home. */
static const luaL_Reg old_functions[] = {
    {"glob", l_glob},
    {"read_dir", l_read_dir},
    {"uncached_glob", l_glob},
    {NULL, NULL},
};

static const luaL_Reg file_methods[] = {
    /* ([n]): n bytes at most, or all */
    {"read", l_file_read},
    /* (text) */
    {"write", l_file_write},
    /* ("set", "cur" or "end" [, offset]): the position */
    {"seek", l_file_seek},
    /* (): what was written is the system's now */
    {"flush", l_file_flush},
    /* (): no more */
    {"close", l_file_close},
    {NULL, NULL},
};

void bind_fs_open(lua_State *L)
{
	script_table_class(L, FILE_TYPE, file_methods, l_file_gc);
	script_table_class(L, DIR_TYPE, NULL, l_dir_gc);
	script_table_class(L, GLOB_TYPE, NULL, l_glob_gc);
	luaL_setfuncs(L, old_functions, 0);
	luaL_getsubtable(L, -1, "fs");
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
}
