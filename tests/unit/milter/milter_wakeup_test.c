/*
 * milter_wakeup_test.c - no session waits for a thread of libmilter
 */
#include "milter/milter_wakeup.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include "milter_test.h"

START_TEST(is_due_while_callbacks_run_and_none_returns)
{
	struct service service = {.returned = 5};
	int64_t seen = -1;

	ck_assert(!milter_wakeup_is_due(&service, &seen));
	service.in_callback = 2;
	ck_assert(milter_wakeup_is_due(&service, &seen));
	service.returned++;
	ck_assert(!milter_wakeup_is_due(&service, &seen));
	ck_assert(milter_wakeup_is_due(&service, &seen));
	service.in_callback = 0;
	ck_assert(!milter_wakeup_is_due(&service, &seen));
}
END_TEST

/* Somebody connects to the socket and says nothing. */
static void check_knock(int listener)
{
	struct pollfd ready = {.fd = listener, .events = POLLIN};
	char byte;
	int fd;

	ck_assert_int_eq(poll(&ready, 1, 10000), 1);
	fd = accept(listener, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq((int)read(fd, &byte, 1), 0);
	(void)close(fd);
}

static void run_against(int listener, const char *spec)
{
	struct service service = {.in_callback = 1};
	struct milter_socket where;
	struct milter_wakeup *wakeup;
	struct err err = {0};

	ck_assert_msg(milter_socket_parse(spec, &where, &err), "%s", err.text);
	wakeup = milter_wakeup_start(&service, &where);
	check_knock(listener);
	check_knock(listener);
	milter_wakeup_stop(wakeup);
	(void)close(listener);
}

START_TEST(knocks_at_a_path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	char spec[120];

	snprintf(at.sun_path, sizeof at.sun_path, "/tmp/wakeup-test.%d",
	    (int)getpid());
	snprintf(spec, sizeof spec, "unix:%s", at.sun_path);
	ck_assert_int_eq(
	    bind(listener, (const struct sockaddr *)&at, sizeof at), 0);
	ck_assert_int_eq(listen(listener, 5), 0);
	run_against(listener, spec);
	(void)unlink(at.sun_path);
}
END_TEST

START_TEST(knocks_at_a_port)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof at;
	char spec[120];

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(
	    bind(listener, (const struct sockaddr *)&at, sizeof at), 0);
	ck_assert_int_eq(listen(listener, 5), 0);
	ck_assert_int_eq(
	    getsockname(listener, (struct sockaddr *)&at, &len), 0);
	snprintf(spec, sizeof spec, "inet:%d@127.0.0.1", ntohs(at.sin_port));
	run_against(listener, spec);
}
END_TEST

TCase *wakeup_cases(void)
{
	TCase *tcase = tcase_create("wakeup");

	tcase_add_test(tcase, is_due_while_callbacks_run_and_none_returns);
	tcase_add_test(tcase, knocks_at_a_path);
	tcase_add_test(tcase, knocks_at_a_port);
	return tcase;
}
