#include "router/router_control.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "router/router.h"
#include "router_test.h"

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	ck_assert_int_eq(
	    connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

/* Until the other side has read all that was written. */
static void wait_until_read(int fd)
{
	int left = 1;

	while (left > 0) {
		ck_assert_int_eq(ioctl(fd, SIOCOUTQ, &left), 0);
		(void)usleep(1000);
	}
}

START_TEST(who_asks_when_the_loop_has_just_ended_is_answered_at_once)
{
	static const char question[] = "nonsense\n";
	char path[] = "/tmp/router-control-XXXXXX", socket_path[64];
	struct router_options options = {.control_path = socket_path};
	struct router r = {.options = &options, .loop = loop_new()};
	struct err err = {0};
	char reply[500] = "";
	int fd;

	ck_assert(mkdtemp(path) != NULL);
	(void)snprintf(socket_path, sizeof socket_path, "%s/r.sock", path);
	ck_assert_msg(router_control_start(&r, &err), "%s", err.text);
	fd = connect_to(socket_path);
	ck_assert_int_eq(write(fd, question, sizeof question - 1),
	    (ssize_t)sizeof question - 1);
	wait_until_read(fd);
	router_control_stop(&r);
	ck_assert_int_gt(read(fd, reply, sizeof reply - 1), 0);
	ck_assert_msg(strstr(reply, "unknown command"), "%s", reply);
	(void)close(fd);
	loop_free(r.loop);
	(void)rmdir(path);
}
END_TEST

Suite *router_control_suite(void)
{
	Suite *suite = suite_create("router_control");
	TCase *tc = tcase_create("router_control");

	tcase_add_test(
	    tc, who_asks_when_the_loop_has_just_ended_is_answered_at_once);
	suite_add_tcase(suite, tc);
	return suite;
}
