/* options_test.c - what may be said to penstock, and how it answers */
#include "cli_test.h"

#include <sysexits.h>

#include "base/attr.h"

static const struct {
	const char *arguments[6];
	int code;
	const char *out, *err; /* what stands in it; NULL: nothing at all */
} cases[] = {
    {{"--help"}, EX_OK, "penstock [OPTION...] COMMAND", NULL},
    {{"-h"}, EX_OK, "--older-than DURATION", NULL},
    {{"--version"}, EX_OK, "penstock " VERSION "\n", NULL},
    {{"queue", "--help"}, EX_OK, "--domain DOMAIN", NULL},
    {{"show", "-h"}, EX_OK, "--body", NULL},
    {{"queue", "--version"}, EX_OK, "penstock " VERSION "\n", NULL},
    {{NULL}, EX_USAGE, NULL, "which command?"},
    {{"--nonsense"}, EX_USAGE, NULL, "--nonsense: no such option here"},
    {{"--policy"}, EX_USAGE, NULL, "--policy: needs a value"},
    {{"quue"}, EX_USAGE, NULL, "quue: no such command; did you mean queue?"},
    {{"transmogrify"}, EX_USAGE, NULL, "transmogrify: no such command, see"},
    {{"summary", "--body"}, EX_USAGE, NULL, "--body: no such option here"},
    {{"queue", "a", "b"}, EX_USAGE, NULL, "queue: too many arguments: \"b\""},
    {{"queue", "--state", "lost"}, EX_USAGE, NULL,
	"--state: expected queued, leased or held, got \"lost\""},
    {{"queue", "--older-than", "soon"}, EX_USAGE, NULL, "--older-than: "},
    {{"queue", "--limit", "0"}, EX_USAGE, NULL, "--limit: expected a number"},
    {{"queue", "--queue", "/x/queue.db"}, EX_USAGE, NULL,
	"names a scheduled queue"},
    {{"show"}, EX_USAGE, NULL, "show: which message?"},
    {{"--queue", "/nowhere/queue.db", "queue"}, EX_NOINPUT, NULL,
	"there is no queue at /nowhere/queue.db"},
    {{"queue", "-q", "/nowhere/queue.db"}, EX_NOINPUT, NULL,
	"there is no queue at /nowhere/queue.db"},
    {{"summary", "--queue", "/nowhere/queue.db"}, EX_NOINPUT, NULL,
	"there is no queue at /nowhere/queue.db"},
    {{"--queue=/dev/null", "summary"}, EX_DATAERR, NULL,
	"/dev/null is no queue"},
    {{"params"}, EX_OK, "make_egress_source", NULL},
    {{"params", "egress_source"}, EX_OK, "ehlo_domain", NULL},
    {{"params", "--json", "make_egress_path"}, EX_OK, "\"key\":\"smtp_port\"",
	NULL},
    {{"params", "--json", "make_queue_config"}, EX_OK, "\"key\":\"mx_list\"",
	NULL},
    {{"params", "--json", "start_esmtp_listener"}, EX_OK,
	"\"key\":\"include_recipients\"", NULL},
    {{"params", "make_tea"}, EX_USAGE, NULL, "make_tea: no such constructor"},
    {{"check", "--policy", "/nowhere/policy.lua"}, EX_CONFIG, NULL,
	"/nowhere/policy.lua"},
};

static void holds(const char *what, const char *written, const char *want)
{
	if (want)
		ck_assert_msg(strstr(written, want), "%s: wanted %s, got %s",
		    what, want, written);
	else
		ck_assert_msg(
		    !*written, "%s: wanted nothing, got %s", what, written);
}

START_TEST(each_is_answered_in_its_place)
{
	const char *const *a = cases[_i].arguments;
	int code = penstock(a[0], a[1], a[2], a[3], a[4], NULL);

	ck_assert_msg(code == cases[_i].code, "wanted %d, got %d: %s",
	    cases[_i].code, code, err_written);
	holds("stdout", out_written, cases[_i].out);
	holds("stderr", err_written, cases[_i].err);
}
END_TEST

START_TEST(help_fits_a_terminal)
{
	/* 80, unless the folder of the default is longer than usual. */
	const size_t usual = strlen("/usr/local/var/lib/penstock");
	const size_t folder = strlen(PENSTOCK_STATEDIR);
	const size_t most = 80 + (folder > usual ? folder - usual : 0);
	size_t width = 0;

	ck_assert_int_eq(penstock("--help", NULL), EX_OK);
	for (const char *p = out_written; *p; p++) {
		width = *p == '\n' ? 0 : width + 1;
		ck_assert_msg(width <= most, "at %.40s", p);
	}
}
END_TEST

START_TEST(status_needs_no_daemon_to_say_that_there_is_none)
{
	ck_assert_int_eq(penstock("-q", "/nowhere/queue.db", "-c",
			     "/nowhere/router.sock", "status", NULL),
	    EX_NOINPUT);
	holds("stdout", out_written,
	    "penstock-router: no answer (connect to "
	    "/nowhere/router.sock: ");
	holds("stdout", out_written,
	    "penstock-milter: no answer (connect to "
	    "/nowhere/milter-control.sock: ");
}
END_TEST

Suite *options_suite(void)
{
	Suite *suite = suite_create("options");
	TCase *tcase = tcase_create("options");

	tcase_add_loop_test(
	    tcase, each_is_answered_in_its_place, 0, COUNT(cases));
	tcase_add_test(tcase, help_fits_a_terminal);
	tcase_add_test(tcase, status_needs_no_daemon_to_say_that_there_is_none);
	suite_add_tcase(suite, tcase);
	return suite;
}
