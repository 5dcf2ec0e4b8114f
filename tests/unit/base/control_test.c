/* control_test.c - base/control.h */
#include "tests/unit/base/base_test.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/control.h"

static void answer(const char *request, struct buf *reply, void *ctx)
{
	buf_addf(reply, "{\"%s\":\"%s\"}", (const char *)ctx, request);
}

static char you_said[] = "you said";
static char path[128];

static struct control *start(struct err *err)
{
	return control_start(path, 2, answer, you_said, err);
}

static void setup(void)
{
	(void)snprintf(path, sizeof path, "%s/control", scratch_dir());
}

START_TEST(a_question_is_answered)
{
	struct buf reply = BUF_INIT;
	struct err err = {0};
	struct control *control;
	struct stat st;

	(void)umask(077);
	control = start(&err);
	ck_assert_msg(control != NULL, "%s", err.text);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0660);
	for (int i = 0; i < 3; i++) {
		buf_reset(&reply);
		ck_assert_msg(
		    control_ask(path, "hello you", 10000, &reply, &err), "%s",
		    err.text);
		ck_assert_str_eq(
		    buf_str(&reply), "{\"you said\":\"hello you\"}");
	}
	control_stop(control);
	ck_assert_int_ne(stat(path, &st), 0);
	ck_assert(!control_ask(path, "hello", 1000, &reply, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	control_stop(NULL);
	buf_release(&reply);
}
END_TEST

START_TEST(a_stale_socket_is_replaced_and_a_live_one_is_not)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct err err = {0};
	struct control *control;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(at.sun_path, path, strlen(path) + 1);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
	(void)close(fd); /* as after a crash */
	control = start(&err);
	ck_assert_msg(control != NULL, "%s", err.text);
	ck_assert_ptr_null(start(&err));
	ck_assert_ptr_nonnull(strstr(err.text, "another process answers at"));
	control_stop(control);
}
END_TEST

START_TEST(a_file_in_the_way_is_left_alone)
{
	struct err err = {0};
	struct stat st;
	FILE *f = fopen(path, "w");

	ck_assert_int_eq(fclose(f), 0);
	ck_assert_ptr_null(start(&err));
	ck_assert_ptr_nonnull(strstr(err.text, "is not a socket"));
	ck_assert_int_eq(stat(path, &st), 0);
}
END_TEST

START_TEST(a_path_has_a_limit)
{
	struct err err = {0};

	(void)snprintf(path, sizeof path, "/tmp/%0*d", 110, 1);
	ck_assert_ptr_null(start(&err));
	ck_assert_ptr_nonnull(
	    strstr(err.text, "at most 107 bytes, this has 115"));
	ck_assert_int_eq(err.class, ERR_CONFIG);
}
END_TEST

START_TEST(a_long_question_gets_no_answer_and_the_next_does)
{
	static char longest[5000];
	struct buf reply = BUF_INIT;
	struct err err = {0};
	struct control *control = start(&err);

	memset(longest, 'x', sizeof longest - 1);
	ck_assert(!control_ask(path, longest, 10000, &reply, &err));
	ck_assert_ptr_nonnull(strstr(err.text, "no answer from"));
	ck_assert(control_ask(path, "short", 10000, &reply, &err));
	control_stop(control);
	buf_release(&reply);
}
END_TEST

START_TEST(who_says_nothing_does_not_keep_others_waiting)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct buf reply = BUF_INIT;
	struct err err = {0};
	struct control *control = start(&err);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(at.sun_path, path, strlen(path) + 1);
	ck_assert_int_eq(
	    connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
	/* Silent until this end goes: for the 5 s, if he were waited for. */
	ck_assert_msg(
	    control_ask(path, "hello", 4000, &reply, &err), "%s", err.text);
	(void)close(fd);
	control_stop(control);
	buf_release(&reply);
}
END_TEST

TCase *control_tests(void)
{
	TCase *tc = tcase_create("control");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_question_is_answered);
	tcase_add_test(tc, a_stale_socket_is_replaced_and_a_live_one_is_not);
	tcase_add_test(tc, a_file_in_the_way_is_left_alone);
	tcase_add_test(tc, a_path_has_a_limit);
	tcase_add_test(tc, a_long_question_gets_no_answer_and_the_next_does);
	tcase_add_test(tc, who_says_nothing_does_not_keep_others_waiting);
	return tc;
}
