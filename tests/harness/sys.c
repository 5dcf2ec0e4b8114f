/*
 * sys.c - sockets, processes and files for the harness
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>

#include "tests/harness/sys.h"

static int fail(lua_State *L, const char *what)
{
	return luaL_error(L, "%s: %s", what, strerror(errno));
}

static socklen_t address(
    lua_State *L, int arg, int port, struct sockaddr_storage *out)
{
	const char *text = luaL_checkstring(L, arg);
	struct sockaddr_in *in = (void *)out;
	struct sockaddr_in6 *in6 = (void *)out;

	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		return sizeof *in;
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		return sizeof *in6;
	}
	return (socklen_t)luaL_error(L, "not an address: %s", text);
}

static int port_of(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;

	if (getsockname(fd, (void *)&ss, &len) < 0)
		return 0;
	return ntohs(ss.ss_family == AF_INET6
			 ? ((struct sockaddr_in6 *)(void *)&ss)->sin6_port
			 : ((struct sockaddr_in *)(void *)&ss)->sin_port);
}

/* tcp_connect(ip, port [, source ip]) -> fd; blocks for the handshake only. */
static int l_tcp_connect(lua_State *L)
{
	struct sockaddr_storage ss;
	socklen_t len = address(L, 1, (int)luaL_checkinteger(L, 2), &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fail(L, "socket");
	if (!lua_isnoneornil(L, 3)) {
		struct sockaddr_storage from;
		socklen_t from_len = address(L, 3, 0, &from);

		if (bind(fd, (void *)&from, from_len) < 0) {
			(void)close(fd);
			return fail(L, "bind");
		}
	}
	if (connect(fd, (void *)&ss, len) < 0) {
		int saved = errno;

		(void)close(fd);
		lua_pushnil(L);
		lua_pushstring(L, strerror(saved));
		return 2;
	}
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	lua_pushinteger(L, fd);
	return 1;
}

static int l_unix_connect(lua_State *L)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	const char *path = luaL_checkstring(L, 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fail(L, "socket");
	(void)snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
	if (connect(fd, (void *)&un, sizeof un) < 0) {
		int saved = errno;

		(void)close(fd);
		lua_pushnil(L);
		lua_pushstring(L, strerror(saved));
		return 2;
	}
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	lua_pushinteger(L, fd);
	return 1;
}

/* tcp_listen(ip [, port [, backlog [, window]]]) -> fd, port; window: bytes
 * that the kernel takes for a connection before anybody reads them */
static int l_tcp_listen(lua_State *L)
{
	struct sockaddr_storage ss;
	socklen_t len = address(L, 1, (int)luaL_optinteger(L, 2, 0), &ss);
	int fd =
	    socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return fail(L, "socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (lua_isinteger(L, 4))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF,
		    &(int){(int)lua_tointeger(L, 4)}, sizeof(int));
	if (bind(fd, (void *)&ss, len) < 0 ||
	    listen(fd, (int)luaL_optinteger(L, 3, 128)) < 0) {
		(void)close(fd);
		return fail(L, "listen");
	}
	lua_pushinteger(L, fd);
	lua_pushinteger(L, port_of(fd));
	return 2;
}

/* own_network() -> true: this process and its children have a network of their
 * own from now on, with nothing in it; nil, why: that is forbidden here */
static int l_own_network(lua_State *L)
{
	if (unshare(CLONE_NEWNET) == 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, strerror(errno));
	return 2;
}

/* udp_bind(ip [, port]) -> fd, port */
static int l_udp_bind(lua_State *L)
{
	struct sockaddr_storage ss;
	socklen_t len = address(L, 1, (int)luaL_optinteger(L, 2, 0), &ss);
	int fd =
	    socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return fail(L, "socket");
	if (bind(fd, (void *)&ss, len) < 0) {
		(void)close(fd);
		return fail(L, "bind");
	}
	lua_pushinteger(L, fd);
	lua_pushinteger(L, port_of(fd));
	return 2;
}

/* recvfrom(fd) -> bytes, raw peer address; nil when there is nothing */
static int l_recvfrom(lua_State *L)
{
	char data[4096];
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;
	ssize_t n = recvfrom((int)luaL_checkinteger(L, 1), data, sizeof data, 0,
	    (void *)&peer, &len);

	if (n < 0)
		return 0;
	lua_pushlstring(L, data, (size_t)n);
	lua_pushlstring(L, (void *)&peer, len);
	return 2;
}

static int l_sendto(lua_State *L)
{
	size_t len, peer_len;
	const char *data = luaL_checklstring(L, 2, &len);
	const char *peer = luaL_checklstring(L, 3, &peer_len);
	struct sockaddr_storage ss;

	memcpy(&ss, peer, peer_len < sizeof ss ? peer_len : sizeof ss);
	lua_pushboolean(L, sendto((int)luaL_checkinteger(L, 1), data, len, 0,
			       (void *)&ss, (socklen_t)peer_len) >= 0);
	return 1;
}

/* accept(fd) -> fd, peer ip, peer port; nil when nobody waits */
static int l_accept(lua_State *L)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;
	char text[64] = "";
	int fd = accept4((int)luaL_checkinteger(L, 1), (void *)&ss, &len,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return 0;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	lua_pushinteger(L, fd);
	if (ss.ss_family == AF_INET6) {
		struct sockaddr_in6 *in6 = (void *)&ss;

		lua_pushstring(
		    L, inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text));
		lua_pushinteger(L, ntohs(in6->sin6_port));
	} else {
		struct sockaddr_in *in = (void *)&ss;

		lua_pushstring(
		    L, inet_ntop(AF_INET, &in->sin_addr, text, sizeof text));
		lua_pushinteger(L, ntohs(in->sin_port));
	}
	return 3;
}

/* recv(fd) -> bytes; "" at the end; nil when there is nothing yet */
static int l_recv(lua_State *L)
{
	static char data[65536];
	ssize_t n = recv((int)luaL_checkinteger(L, 1), data, sizeof data, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	lua_pushlstring(L, data, n > 0 ? (size_t)n : 0);
	return 1;
}

/* send(fd, bytes [, from]) -> how many went; nil when the peer has gone */
static int l_send(lua_State *L)
{
	size_t len;
	const char *data = luaL_checklstring(L, 2, &len);
	size_t from = (size_t)luaL_optinteger(L, 3, 1) - 1;
	ssize_t n;

	if (from >= len) {
		lua_pushinteger(L, 0);
		return 1;
	}
	n = send((int)luaL_checkinteger(L, 1), data + from, len - from,
	    MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		n = 0;
	if (n < 0)
		return 0;
	lua_pushinteger(L, n);
	return 1;
}

static int l_close(lua_State *L)
{
	(void)close((int)luaL_checkinteger(L, 1));
	return 0;
}

/* Aborts the connection: the peer sees a reset. */
static int l_reset(lua_State *L)
{
	int fd = (int)luaL_checkinteger(L, 1);
	struct linger linger = {1, 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	(void)close(fd);
	return 0;
}

/* poll({fd, write?, fd, write?, ...}, ms) -> array of booleans, one a pair */
static int l_poll(lua_State *L)
{
	size_t i, count = (size_t)luaL_len(L, 1) / 2;
	struct pollfd *fds = calloc(count + 1, sizeof *fds);
	int timeout = (int)luaL_checkinteger(L, 2);

	for (i = 0; i < count; i++) {
		lua_rawgeti(L, 1, (lua_Integer)(2 * i + 1));
		lua_rawgeti(L, 1, (lua_Integer)(2 * i + 2));
		fds[i].fd = (int)lua_tointeger(L, -2);
		fds[i].events = lua_toboolean(L, -1) ? POLLOUT : POLLIN;
		lua_pop(L, 2);
	}
	(void)poll(fds, count, timeout);
	lua_createtable(L, (int)count, 0);
	for (i = 0; i < count; i++) {
		lua_pushboolean(L, fds[i].revents != 0);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	free(fds);
	return 1;
}

static int l_now_ms(lua_State *L)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	lua_pushinteger(L, ts.tv_sec * 1000LL + ts.tv_nsec / 1000000);
	return 1;
}

/* spawn({argv...}, {env = {NAME = value}, cwd =, out = file}) -> pid */
static int l_spawn(lua_State *L)
{
	size_t i, count = (size_t)luaL_len(L, 1);
	char **argv = calloc(count + 1, sizeof *argv);
	pid_t parent = getpid(), pid;

	for (i = 0; i < count; i++) {
		lua_rawgeti(L, 1, (lua_Integer)i + 1);
		argv[i] = strdup(luaL_tolstring(L, -1, NULL));
		lua_pop(L, 2);
	}
	pid = fork();
	if (pid == 0) {
		int fd;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(127);
		if (lua_getfield(L, 2, "env") == LUA_TTABLE)
			for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
				(void)setenv(lua_tostring(L, -2),
				    lua_tostring(L, -1), 1);
		if (lua_getfield(L, 2, "cwd") == LUA_TSTRING &&
		    chdir(lua_tostring(L, -1)) < 0)
			_exit(127);
		if (lua_getfield(L, 2, "input") == LUA_TSTRING)
			fd = open(lua_tostring(L, -1), O_RDONLY);
		else
			fd = open("/dev/null", O_RDONLY);
		(void)dup2(fd, 0);
		if (lua_getfield(L, 2, "out") == LUA_TSTRING) {
			fd = open(lua_tostring(L, -1),
			    O_WRONLY | O_CREAT | O_APPEND, 0644);
			(void)dup2(fd, 1);
			(void)dup2(fd, 2);
		}
		(void)signal(SIGPIPE, SIG_DFL);
		execvp(argv[0], argv);
		dprintf(2, "harness: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	for (i = 0; i < count; i++)
		free(argv[i]);
	free(argv);
	if (pid < 0)
		return fail(L, "fork");
	lua_pushinteger(L, pid);
	return 1;
}

static int l_kill(lua_State *L)
{
	lua_pushboolean(L, kill((pid_t)luaL_checkinteger(L, 1),
			       (int)luaL_checkinteger(L, 2)) == 0);
	return 1;
}

/* wait(pid) -> nil while it runs, else its exit status or -signal */
static int l_wait(lua_State *L)
{
	int status;
	pid_t pid = waitpid((pid_t)luaL_checkinteger(L, 1), &status, WNOHANG);

	if (pid == 0)
		return 0;
	if (pid < 0)
		lua_pushinteger(L, 0);
	else
		lua_pushinteger(L, WIFSIGNALED(status) ? -WTERMSIG(status)
						       : WEXITSTATUS(status));
	return 1;
}

static int l_mkdtemp(lua_State *L)
{
	char path[256];
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(
	    path, sizeof path, "%s/pst.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(path))
		return fail(L, "mkdtemp");
	(void)chmod(path, 0755);
	lua_pushstring(L, path);
	return 1;
}

static int l_mkdir(lua_State *L)
{
	lua_pushboolean(L, mkdir(luaL_checkstring(L, 1),
			       (mode_t)luaL_optinteger(L, 2, 0755)) == 0);
	return 1;
}

/* list(dir) -> names, sorted by nothing; nil when there is no such folder */
static int l_list(lua_State *L)
{
	DIR *dir = opendir(luaL_checkstring(L, 1));
	struct dirent *entry;
	lua_Integer n = 0;

	if (!dir)
		return 0;
	lua_newtable(L);
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0) {
			lua_pushstring(L, entry->d_name);
			lua_rawseti(L, -2, ++n);
		}
	(void)closedir(dir);
	return 1;
}

/* stat(path) -> {size=, mode=, type=, uid=, gid=} or nil */
static int l_stat(lua_State *L)
{
	struct stat st;

	if (lstat(luaL_checkstring(L, 1), &st) < 0)
		return 0;
	lua_newtable(L);
	lua_pushinteger(L, st.st_size);
	lua_setfield(L, -2, "size");
	lua_pushinteger(L, st.st_mode & 07777);
	lua_setfield(L, -2, "mode");
	lua_pushinteger(L, st.st_uid);
	lua_setfield(L, -2, "uid");
	lua_pushinteger(L, st.st_gid);
	lua_setfield(L, -2, "gid");
	lua_pushstring(L, S_ISDIR(st.st_mode)    ? "dir"
			  : S_ISSOCK(st.st_mode) ? "socket"
			  : S_ISLNK(st.st_mode)  ? "link"
						 : "file");
	lua_setfield(L, -2, "type");
	return 1;
}

static const luaL_Reg functions[] = {
    {"tcp_connect", l_tcp_connect},
    {"unix_connect", l_unix_connect},
    {"tcp_listen", l_tcp_listen},
    {"udp_bind", l_udp_bind},
    {"recvfrom", l_recvfrom},
    {"sendto", l_sendto},
    {"accept", l_accept},
    {"recv", l_recv},
    {"send", l_send},
    {"close", l_close},
    {"reset", l_reset},
    {"poll", l_poll},
    {"now_ms", l_now_ms},
    {"own_network", l_own_network},
    {"spawn", l_spawn},
    {"kill", l_kill},
    {"wait", l_wait},
    {"mkdtemp", l_mkdtemp},
    {"mkdir", l_mkdir},
    {"list", l_list},
    {"stat", l_stat},
    {NULL, NULL},
};

int luaopen_sys(lua_State *L)
{
	luaL_newlib(L, functions);
	lua_pushinteger(L, getpid());
	lua_setfield(L, -2, "pid");
#ifdef ENABLE_SANITIZER
	lua_pushboolean(L, 1);
#else
	lua_pushboolean(L, 0);
#endif
	lua_setfield(L, -2, "is_sanitized");
	lua_pushvalue(L, -1);
	lua_setglobal(L, "sys");
	return 1;
}
