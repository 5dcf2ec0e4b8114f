/*
 * milter_socket.c - where the MTA finds us
 */
#include "milter/milter_socket.h"

#include <errno.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/str.h"

_Static_assert(sizeof((struct milter_socket *)0)->path ==
		   sizeof((struct sockaddr_un *)0)->sun_path,
    "a path that fits us fits the kernel");

static bool refuse(struct err *err, const char *text, const char *why)
{
	char quoted[120];

	return err_set(err, ERR_CONFIG,
	    "socket: \"%s\": %s; write unix:/PATH, inet:PORT@ADDRESS or "
	    "inet:ADDRESS:PORT",
	    diag_quote(quoted, sizeof quoted, text, strlen(text)), why);
}

static bool parse_path(const char *text, const char *path,
    struct milter_socket *out, struct err *err)
{
	if (*path != '/')
		return refuse(err, text, "the path must begin with /");
	/* One byte is the kernel's NUL. */
	if (!str_copy(out->path, sizeof out->path, path))
		return refuse(err, text, "the path is longer than 107 bytes");
	if (path[strlen(path) - 1] == '/')
		return refuse(err, text, "the path names a directory");
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return refuse(
			    err, text, "the path has a control character");
	(void)snprintf(out->spec, sizeof out->spec, "unix:%s", out->path);
	return true;
}

static bool parse_port(const char *digits, size_t len, uint16_t *out)
{
	char copy[8];
	int64_t port;

	if (len == 0 || len >= sizeof copy)
		return false;
	memcpy(copy, digits, len);
	copy[len] = '\0';
	/* No sign, no space, no leading zero that someone reads as octal. */
	if (strspn(copy, "0123456789") != len || copy[0] == '0')
		return false;
	if (!str_to_int(copy, &port) || port < 1 || port > 65535)
		return false;
	*out = (uint16_t)port;
	return true;
}

static bool parse_host(
    const char *host, size_t len, int family, struct ip_addr *out)
{
	char copy[IP_TEXT];

	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof copy)
		return false;
	memcpy(copy, host, len);
	copy[len] = '\0';
	if (str_case_eq(copy, "localhost"))
		(void)str_copy(copy, sizeof copy,
		    family == AF_INET6 ? "::1" : "127.0.0.1");
	return ip_parse(copy, out);
}

static bool parse_inet(const char *text, const char *rest, int family,
    struct milter_socket *out, struct err *err)
{
	const char *at = strchr(rest, '@'), *colon = strrchr(rest, ':');
	const char *host, *port;
	size_t host_len, port_len;
	char ip[IP_TEXT];

	if (at) {
		port = rest;
		port_len = (size_t)(at - rest);
		host = at + 1;
		host_len = strlen(host);
	} else if (colon) {
		/* "inet6:::1:25" could be cut in two places. */
		if (*rest != '[' && colon != strchr(rest, ':'))
			return refuse(err, text,
			    "an IPv6 address before a port needs brackets");
		host = rest;
		host_len = (size_t)(colon - rest);
		port = colon + 1;
		port_len = strlen(port);
	} else {
		return refuse(err, text,
		    "an address and a port are needed, to bind neither too "
		    "much nor too little");
	}
	if (!parse_port(port, port_len, &out->port))
		return refuse(err, text, "the port is not in 1..65535");
	if (!parse_host(host, host_len, family, &out->ip))
		return refuse(
		    err, text, "the host is neither an address nor localhost");
	if (family == AF_INET6 && out->ip.family != AF_INET6)
		return refuse(err, text, "inet6 needs an IPv6 address");
	(void)ip_print(ip, &out->ip);
	if (out->ip.family == AF_INET6)
		(void)snprintf(out->spec, sizeof out->spec, "inet6:%u@[%s]",
		    out->port, ip);
	else
		(void)snprintf(
		    out->spec, sizeof out->spec, "inet:%u@%s", out->port, ip);
	return true;
}

bool milter_socket_parse(
    const char *text, struct milter_socket *out, struct err *err)
{
	*out = (struct milter_socket){0};
	if (*text == '/')
		return parse_path(text, text, out, err);
	if (str_starts(text, "unix:"))
		return parse_path(text, text + strlen("unix:"), out, err);
	if (str_starts(text, "local:"))
		return parse_path(text, text + strlen("local:"), out, err);
	if (str_starts(text, "inet6:"))
		return parse_inet(
		    text, text + strlen("inet6:"), AF_INET6, out, err);
	if (str_starts(text, "inet:"))
		return parse_inet(
		    text, text + strlen("inet:"), AF_INET, out, err);
	return refuse(err, text, "unknown kind of socket");
}

bool milter_socket_mode(const char *text, mode_t *out, struct err *err)
{
	size_t len = strlen(text);
	mode_t mode = 0;

	if (len < 3 || len > 4 || strspn(text, "01234567") != len ||
	    (len == 4 && *text != '0'))
		return err_set(err, ERR_CONFIG,
		    "socket-mode: expected octal permissions such as 0660, "
		    "got \"%.20s\"",
		    text);
	for (const char *p = text; *p; p++)
		mode = (mode << 3) | (mode_t)(*p - '0');
	*out = mode;
	return true;
}

/* False: somebody listens there, or that cannot be told. */
static bool is_stale(const struct milter_socket *s, struct err *err)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return err_errno(err, ERR_TEMP, "socket");
	(void)str_copy(to.sun_path, sizeof to.sun_path, s->path);
	error = connect(fd, (const struct sockaddr *)&to, sizeof to) < 0 ? errno
									 : 0;
	(void)close(fd);
	if (error == ECONNREFUSED || error == ENOENT)
		return true;
	/* EAGAIN: somebody listens, and is busy. */
	if (error == 0 || error == EAGAIN)
		return err_set(err, ERR_TEMP,
		    "socket: %s: another program answers there; stop it or "
		    "name another path",
		    s->path);
	errno = error;
	return err_errno(err, ERR_CONFIG,
	    "socket: %s: is it left over, or does another program answer "
	    "there?  connect",
	    s->path);
}

static int open_socket(const struct milter_socket *s)
{
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_storage room;
	} to = {.un.sun_family = AF_UNIX};
	socklen_t len = sizeof to.un;
	int fd, error = 0, on = 1;

	if (*s->path)
		(void)str_copy(to.un.sun_path, sizeof to.un.sun_path, s->path);
	else
		len = ip_to_sockaddr(&s->ip, s->port, &to.room);
	fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, &to.any, len) < 0)
		error = errno;
	else if (*s->path)
		(void)unlink(s->path);
	else if (listen(fd, 1) < 0)
		error = errno;
	(void)close(fd);
	return error;
}

const char *milter_socket_why_not(const struct milter_socket *s)
{
	int error = open_socket(s);

	return error ? strerror(error) : "libmilter refuses it; see syslog";
}

bool milter_socket_clear(const struct milter_socket *s, struct err *err)
{
	struct stat st;

	if (!*s->path)
		return true;
	if (lstat(s->path, &st) < 0) {
		if (errno == ENOENT)
			return true;
		return err_errno(err, ERR_CONFIG, "socket: %s", s->path);
	}
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, ERR_CONFIG,
		    "socket: %s: exists and is not a socket; remove it or "
		    "name another path",
		    s->path);
	if (!is_stale(s, err))
		return false;
	if (unlink(s->path) < 0 && errno != ENOENT)
		return err_errno(
		    err, ERR_CONFIG, "socket: remove the stale %s", s->path);
	return true;
}

bool milter_socket_permit(const struct milter_socket *s, mode_t mode,
    const char *group, struct err *err)
{
	const struct group *gr;

	if (!*s->path)
		return true;
	if (group) {
		gr = getgrnam(group);
		if (!gr)
			return err_set(err, ERR_CONFIG,
			    "socket-group: unknown group \"%.60s\"", group);
		if (chown(s->path, (uid_t)-1, gr->gr_gid) < 0)
			return err_errno(err, ERR_CONFIG,
			    "socket-group: give %s to %s", s->path, group);
	}
	if (chmod(s->path, mode) < 0)
		return err_errno(
		    err, ERR_CONFIG, "socket-mode: chmod %s", s->path);
	return true;
}

void milter_socket_remove(const struct milter_socket *s)
{
	if (*s->path)
		(void)unlink(s->path);
}
