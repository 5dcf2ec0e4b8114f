/*
 * sys.h - what the harness's Lua needs of the system, as the table `sys`
 *
 * Sockets that never block, processes, SQLite read-only, zstd, TLS for the
 * sink.  Everything else of the harness is Lua (tests/harness/(name).lua).
 */
#ifndef HARNESS_SYS_H
#define HARNESS_SYS_H

#include <lua.h>

int luaopen_sys(lua_State *L);
int luaopen_sys_store(lua_State *L); /* sqlite, zstd */
int luaopen_sys_tls(lua_State *L);

#endif
