/*
 * harness.c - runs stories: Lua files that start daemons and talk to them
 *
 *	harness FILE.lua ...
 *	harness --script FILE.lua ARGUMENT ...
 *
 * Prints TAP.  Exit 0 when every test of every file passed, 77 when none of
 *them could run here.  --script runs one file with the harness's modules at
 *hand (the measurements do that).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "tests/harness/sys.h"

static const char *env_or(const char *name, const char *fallback)
{
	const char *value = getenv(name);

	return value && *value ? value : fallback;
}

static int traceback(lua_State *L)
{
	luaL_traceback(L, L, lua_tostring(L, 1), 1);
	return 1;
}

int main(int argc, char **argv)
{
	lua_State *L = luaL_newstate();
	const char *top = env_or("top_srcdir", ".");
	int i, status;

	if (argc < 2 || !L) {
		fprintf(stderr, "usage: harness FILE.lua ...\n");
		return 64;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	/* Grandchildren (what Postfix's master leaves, say) come to us. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	luaL_openlibs(L);
	luaL_requiref(L, "sys", luaopen_sys, 0);
	luaopen_sys_store(L);
	luaopen_sys_tls(L);
	lua_settop(L, 0);

	lua_getglobal(L, "package");
	lua_pushfstring(L, "%s/tests/harness/?.lua;%s/bench/?.lua", top, top);
	lua_setfield(L, -2, "path");
	lua_pushstring(L, top);
	lua_setglobal(L, "TOP_SRCDIR");
	lua_pushstring(L, env_or("top_builddir", "."));
	lua_setglobal(L, "TOP_BUILDDIR");
	lua_settop(L, 0);

	lua_pushcfunction(L, traceback);
	if (argc > 2 && strcmp(argv[1], "--script") == 0) {
		lua_newtable(L);
		for (i = 2; i < argc; i++) {
			lua_pushstring(L, argv[i]);
			lua_rawseti(L, -2, i - 2);
		}
		lua_setglobal(L, "arg");
		if (luaL_loadfile(L, argv[2]) || lua_pcall(L, 0, 0, 1)) {
			fprintf(stderr, "harness: %s\n", lua_tostring(L, -1));
			return 70;
		}
		lua_close(L);
		return 0;
	}
	lua_getglobal(L, "require");
	lua_pushstring(L, "harness");
	if (lua_pcall(L, 1, 1, 1)) {
		fprintf(stderr, "harness: %s\n", lua_tostring(L, -1));
		return 70;
	}
	lua_getfield(L, -1, "run_files");
	lua_newtable(L);
	for (i = 1; i < argc; i++) {
		lua_pushstring(L, argv[i]);
		lua_rawseti(L, -2, i);
	}
	if (lua_pcall(L, 1, 1, 1)) {
		fprintf(stderr, "harness: %s\n", lua_tostring(L, -1));
		return 70;
	}
	status = (int)lua_tointeger(L, -1);
	lua_close(L);
	return status;
}
