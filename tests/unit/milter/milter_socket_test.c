/* milter_socket_test.c - what gets bound is what stands there */
#include "milter_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "milter/milter_socket.h"

static const struct {
	const char *text;
	const char *spec; /* NULL: refused */
	const char *why;  /* part of the error */
} specs[] = {
    {"unix:/run/penstock/milter.sock", "unix:/run/penstock/milter.sock", 0},
    {"local:/run/m.sock", "unix:/run/m.sock", 0},
    {"/run/m.sock", "unix:/run/m.sock", 0},
    {"unix:/with:colon", "unix:/with:colon", 0},
    {"inet:8891@127.0.0.1", "inet:8891@127.0.0.1", 0},
    /* Postfix's order: libmilter would bind 0.0.0.0, port 127. */
    {"inet:127.0.0.1:8891", "inet:8891@127.0.0.1", 0},
    {"inet:localhost:8891", "inet:8891@127.0.0.1", 0},
    {"inet:8891@localhost", "inet:8891@127.0.0.1", 0},
    {"inet:[::1]:8891", "inet6:8891@[::1]", 0},
    {"inet:8891@[::1]", "inet6:8891@[::1]", 0},
    {"inet:8891@::1", "inet6:8891@[::1]", 0},
    {"inet6:8891@[::1]", "inet6:8891@[::1]", 0},
    {"inet6:[fd09::1]:25", "inet6:25@[fd09::1]", 0},
    {"inet6:localhost:25", "inet6:25@[::1]", 0},
    {"inet:0.0.0.0:8891", "inet:8891@0.0.0.0", 0},

    {"", NULL, "unknown kind of socket"},
    {"milter.sock", NULL, "unknown kind of socket"},
    {"tcp:127.0.0.1:25", NULL, "unknown kind of socket"},
    {"unix:milter.sock", NULL, "must begin with /"},
    {"unix:", NULL, "must begin with /"},
    {"unix:/run/penstock/", NULL, "names a directory"},
    {"unix:/a\nb", NULL, "control character"},
    {"unix:/a\x7f/b", NULL, "control character"},
    {"inet:8891", NULL, "an address and a port are needed"},
    {"inet:127.0.0.1", NULL, "an address and a port are needed"},
    {"inet:8891@", NULL, "neither an address nor localhost"},
    {"inet:@127.0.0.1", NULL, "port is not in 1..65535"},
    {"inet:127.0.0.1:", NULL, "port is not in 1..65535"},
    {"inet:127:8891", NULL, "neither an address nor localhost"},
    {"inet:127.0.0.1:0", NULL, "port is not in 1..65535"},
    {"inet:127.0.0.1:65536", NULL, "port is not in 1..65535"},
    {"inet:127.0.0.1:025", NULL, "port is not in 1..65535"},
    {"inet:127.0.0.1: 25", NULL, "port is not in 1..65535"},
    {"inet:127.0.0.1@8891", NULL, "port is not in 1..65535"},
    {"inet:mail.example.com:8891", NULL, "neither an address nor localhost"},
    {"inet6:127.0.0.1:8891", NULL, "inet6 needs an IPv6 address"},
    {"inet6:::1:8891", NULL, "needs brackets"},
    {"inet:8891@127.0.0.1@x", NULL, "neither an address nor localhost"},
};

START_TEST(a_spec_is_understood_or_refused)
{
	struct milter_socket sock;
	struct err err = {0};
	bool ok = milter_socket_parse(specs[_i].text, &sock, &err);

	ck_assert_msg(
	    ok == (specs[_i].spec != NULL), "%s: %s", specs[_i].text, err.text);
	if (ok) {
		ck_assert_str_eq(sock.spec, specs[_i].spec);
	} else {
		ck_assert_msg(
		    strstr(err.text, specs[_i].why), "got: %s", err.text);
		ck_assert_int_eq(err.class, ERR_CONFIG);
	}
}
END_TEST

START_TEST(a_path_that_the_kernel_would_cut_is_refused)
{
	char text[200] = "unix:/";
	struct milter_socket sock;
	struct err err = {0};

	memset(text + 6, 'a', 106); /* 107 bytes of path: the most */
	ck_assert(milter_socket_parse(text, &sock, &err));
	text[6 + 106] = 'a';
	ck_assert(!milter_socket_parse(text, &sock, &err));
	ck_assert(strstr(err.text, "107 bytes") != NULL);
}
END_TEST

static const struct {
	const char *text;
	int mode; /* -1: refused */
} modes[] = {
    {"0660", 0660},
    {"660", 0660},
    {"0600", 0600},
    {"0777", 0777},
    {"", -1},
    {"66", -1},
    {"1777", -1},
    {"0668", -1},
    {"rw-rw----", -1},
    {"00660", -1},
};

START_TEST(a_mode_is_octal)
{
	struct err err = {0};
	mode_t mode = 0;
	bool ok = milter_socket_mode(modes[_i].text, &mode, &err);

	ck_assert_msg(ok == (modes[_i].mode >= 0), "%s", modes[_i].text);
	if (ok)
		ck_assert_int_eq((int)mode, modes[_i].mode);
}
END_TEST

static int listen_at(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	ck_assert(str_copy(at.sun_path, sizeof at.sun_path, path));
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

START_TEST(only_a_socket_that_nobody_serves_is_removed)
{
	char dir[] = "/tmp/milter-test-XXXXXX";
	struct milter_socket sock;
	struct stat st;
	struct err err = {0};
	char text[64];
	FILE *f;
	int fd;

	ck_assert(mkdtemp(dir) != NULL);
	(void)snprintf(text, sizeof text, "unix:%s/m.sock", dir);
	ck_assert(milter_socket_parse(text, &sock, &err));
	ck_assert(milter_socket_clear(&sock, &err)); /* nothing there */

	fd = listen_at(sock.path);
	ck_assert(!milter_socket_clear(&sock, &err));
	ck_assert(strstr(err.text, "another program") != NULL);
	ck_assert_int_eq(lstat(sock.path, &st), 0);

	(void)close(fd);
	ck_assert_msg(milter_socket_clear(&sock, &err), "%s", err.text);
	ck_assert_int_ne(lstat(sock.path, &st), 0);

	f = fopen(sock.path, "w");
	ck_assert(f != NULL);
	(void)fclose(f);
	ck_assert(!milter_socket_clear(&sock, &err));
	ck_assert(strstr(err.text, "not a socket") != NULL);
	(void)unlink(sock.path);
	(void)rmdir(dir);
}
END_TEST

START_TEST(why_it_cannot_listen_is_said)
{
	struct milter_socket sock;
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t len = sizeof in;
	struct err err = {0};
	char text[64];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert(milter_socket_parse("/nowhere/at-all/m.sock", &sock, &err));
	ck_assert_str_eq(
	    milter_socket_why_not(&sock), "No such file or directory");

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	(void)snprintf(
	    text, sizeof text, "inet:%u@127.0.0.1", ntohs(in.sin_port));
	ck_assert(milter_socket_parse(text, &sock, &err));
	ck_assert_str_eq(
	    milter_socket_why_not(&sock), "Address already in use");
	(void)close(fd);
}
END_TEST

START_TEST(permissions_are_those_asked_for)
{
	char dir[] = "/tmp/milter-test-XXXXXX";
	struct milter_socket sock;
	struct stat st;
	struct err err = {0};
	char text[64];
	int fd;

	ck_assert(mkdtemp(dir) != NULL);
	(void)snprintf(text, sizeof text, "unix:%s/m.sock", dir);
	ck_assert(milter_socket_parse(text, &sock, &err));
	fd = listen_at(sock.path);
	ck_assert(milter_socket_permit(&sock, 0640, NULL, &err));
	ck_assert_int_eq(lstat(sock.path, &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 0777), 0640);
	ck_assert(
	    !milter_socket_permit(&sock, 0640, "no-such-group-here", &err));
	ck_assert(strstr(err.text, "socket-group") != NULL);
	(void)close(fd);
	milter_socket_remove(&sock);
	(void)rmdir(dir);
}
END_TEST

TCase *socket_cases(void)
{
	TCase *tc = tcase_create("socket");

	tcase_add_loop_test(tc, a_spec_is_understood_or_refused, 0,
	    (int)(sizeof specs / sizeof specs[0]));
	tcase_add_test(tc, a_path_that_the_kernel_would_cut_is_refused);
	tcase_add_loop_test(
	    tc, a_mode_is_octal, 0, (int)(sizeof modes / sizeof modes[0]));
	tcase_add_test(tc, only_a_socket_that_nobody_serves_is_removed);
	tcase_add_test(tc, why_it_cannot_listen_is_said);
	tcase_add_test(tc, permissions_are_those_asked_for);
	return tc;
}
