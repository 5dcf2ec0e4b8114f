/*
 * runner.c - test scripts, each test in a process of its own, as TAP
 *
 * A child gets a directory.  It writes `out` (standard output), `log` (standard
 * error, where the operator's lines go) and, last, `result`, as JSON.  A child
 * without a result crashed or was killed.  Its end is seen as the end of a pipe
 * that only it holds.
 */
#include "trial/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "base/terminal.h"
#include "base/xalloc.h"
#include "trial/rehearsal.h"

#define GRACE_MS 5000 /* for the child to say itself that it took too long */
#define MOST_RESULT (4 << 20)
#define MOST_OUTPUT (1 << 20)
#define MOST_LINES 200

enum { LIST_TESTS = -1 };

/* Told to end: the child is, the scratch files are, then we do. */
static volatile sig_atomic_t told_to_end;

struct run {
	const struct runner_options *o;
	const char *dir; /* all scratch */
	struct arena *arena;
	size_t number; /* of the test, from 1 */
	size_t children;
	bool failed, policy_failed;
};

/* ---- scratch ---- */

char *scratch_make(struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	char *dir =
	    xasprintf("%s/penstock-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");

	if (mkdtemp(dir))
		return dir;
	err_errno(err, ERR_TEMP, "%s", dir);
	free(dir);
	return NULL;
}

static int remove_one(
    const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)remove(path);
	return 0;
}

void scratch_remove(const char *dir)
{
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the child ---- */

static NORETURN void child_fails(const char *what)
{
	(void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
	_exit(EX_OSERR);
}

static void redirect(const char *dir, const char *name, int to)
{
	char path[4096];
	struct err err = {0};
	int fd;

	if (!path_join(path, sizeof path, dir, name, &err))
		child_fails(name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	if (fd < 0 || dup2(fd, to) < 0)
		child_fails(path);
	if (fd != to)
		(void)close(fd);
}

static void write_result(const char *dir, const struct buf *json)
{
	char path[4096];
	struct err err = {0};
	int fd;

	if (!path_join(path, sizeof path, dir, "result", &err))
		child_fails("result");
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || !fd_write_all(fd, json->data, json->len, path, &err))
		child_fails(path);
	(void)close(fd);
}

static void add_tests(struct buf *json, const struct rehearsal *r)
{
	struct json_object o;

	buf_addch(json, '[');
	for (size_t i = 0; i < rehearsal_count(r); i++) {
		if (i > 0)
			buf_addch(json, ',');
		json_open(&o, json);
		json_add_string(&o, "name", rehearsal_test_name(r, i));
		json_add_int(&o, "deadline", rehearsal_deadline_ms(r, i));
		json_close(&o);
	}
	buf_addch(json, ']');
}

static void list_tests(const struct rehearsal *r, struct buf *json)
{
	struct buf tests = BUF_INIT;
	struct json_object o;

	add_tests(&tests, r);
	json_open(&o, json);
	json_add_raw(&o, "tests", tests.data, tests.len);
	json_close(&o);
	buf_release(&tests);
}

static void run_test(struct rehearsal *r, int index, struct buf *json)
{
	struct verdict verdict;
	struct json_object o;

	rehearsal_run(r, (size_t)index, &verdict);
	json_open(&o, json);
	json_add_bool(&o, "passed", verdict.passed);
	json_add_string(&o, "message", verdict.message);
	json_add_string(&o, "at", verdict.at);
	json_add_string(&o, "got", verdict.got);
	json_add_string(&o, "want", verdict.want);
	json_add_string(&o, "policy_error", verdict.policy_error);
	json_close(&o);
}

/* Ends without exit(3): what the parent had registered is not ours. */
static NORETURN void be_child(
    const struct run *run, const char *file, int index, const char *dir)
{
	struct rehearsal_settings settings = {
	    .file = file,
	    .policy = run->o->policy,
	    .dir = dir,
	    .log = arena_printf(run->arena, "%s/log", dir),
	    .deadline_ms = run->o->deadline_ms,
	};
	struct rehearsal *r = NULL;
	struct buf json = BUF_INIT;
	struct json_object o;
	struct err err = {0};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	redirect(dir, "out", STDOUT_FILENO);
	redirect(dir, "log", STDERR_FILENO);
	(void)signal(SIGPIPE, SIG_IGN);
	diag_init("penstock", true);
	diag_set_level(DIAG_INFO);
	if (!rehearsal_load(&r, &settings, &err)) {
		json_open(&o, &json);
		json_add_string(&o, "error", err.text);
		json_close(&o);
	} else if (index == LIST_TESTS) {
		list_tests(r, &json);
	} else {
		run_test(r, index, &json);
	}
	(void)fflush(stdout);
	write_result(dir, &json);
	_exit(0);
}

/* ---- the parent ---- */

static int64_t real_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* False: it was killed at its deadline. */
static bool wait_for_end(int fd, pid_t pid, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	bool in_time = true;

	for (;;) {
		int64_t left = deadline - real_now_ms();

		if (left <= 0 || told_to_end) {
			(void)kill(pid, SIGKILL);
			in_time = false;
			break;
		}
		if (poll(&p, 1, left > 1000 ? 1000 : (int)left) > 0)
			break;
	}
	return in_time;
}

struct child {
	const char *dir;
	struct value result; /* NIL: none */
	const char *died;    /* why there is none */
};

static void read_result(struct run *run, struct child *c)
{
	const char *path = arena_printf(run->arena, "%s/result", c->dir);
	struct err err = {0};
	size_t len = 0;
	char *text = fd_read_file(path, MOST_RESULT, &len, &err);

	if (text && !json_parse(text, len, run->arena, &c->result, &err))
		c->result = (struct value){.type = VALUE_NIL};
	free(text);
}

static void explain_death(
    struct run *run, struct child *c, bool in_time, int status, int64_t ms)
{
	if (c->result.type == VALUE_MAP)
		return;
	if (!in_time)
		c->died = arena_printf(run->arena,
		    "it ran longer than %lld s and was ended",
		    (long long)(ms / 1000));
	else if (WIFSIGNALED(status))
		c->died = arena_printf(run->arena, "its process died: %s",
		    strsignal(WTERMSIG(status)));
	else
		c->died =
		    arena_printf(run->arena, "its process ended with code %d",
			WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static bool start_child(struct run *run, const char *file, int index,
    struct child *c, int *pipe_fd, pid_t *pid, struct err *err)
{
	int fds[2];

	c->dir = arena_printf(run->arena, "%s/%zu", run->dir, run->children++);
	if (mkdir(c->dir, 0700) < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(err, ERR_TEMP, "%s", c->dir);
	(void)fflush(run->o->out);
	(void)fflush(stdout);
	*pid = fork();
	if (*pid == 0) {
		(void)close(fds[0]);
		be_child(run, file, index, c->dir);
	}
	(void)close(fds[1]);
	*pipe_fd = fds[0];
	if (*pid > 0)
		return true;
	(void)close(fds[0]);
	return err_errno(err, ERR_TEMP, "fork");
}

static bool run_child(struct run *run, const char *file, int index, int64_t ms,
    struct child *c, struct err *err)
{
	int fd = -1, status = 0;
	bool in_time;
	pid_t pid = -1;

	*c = (struct child){0};
	if (!start_child(run, file, index, c, &fd, &pid, err))
		return false;
	in_time = wait_for_end(fd, pid, real_now_ms() + ms + GRACE_MS);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	(void)close(fd);
	read_result(run, c);
	explain_death(run, c, in_time, status, ms);
	return true;
}

/* ---- TAP ---- */

static const char *text_of(const struct value *map, const char *key)
{
	const struct value *v = value_get(map, key);

	return v && v->type == VALUE_STRING ? v->s : NULL;
}

/* A description ends at "#", which would be a directive. */
static void print_name(FILE *out, const char *name)
{
	while (*name) {
		size_t len = strcspn(name, "#");

		terminal_write(out, name, len);
		name += len;
		if (*name == '#') {
			(void)fputs("\\#", out);
			name++;
		}
	}
}

/* As YAML: a line, or a block of lines. */
static void print_field(FILE *out, const char *key, const char *text)
{
	if (!text)
		return;
	if (!strchr(text, '\n')) {
		(void)fprintf(out, "  %s: ", key);
		terminal_write(out, text, strlen(text));
		(void)fputc('\n', out);
		return;
	}
	(void)fprintf(out, "  %s: |\n", key);
	while (*text) {
		size_t len = strcspn(text, "\n");

		(void)fputs("    ", out);
		terminal_write_lines(out, text, len);
		(void)fputc('\n', out);
		text += len + (text[len] != '\0');
	}
}

/* A file of the child as comments. */
static void print_file(struct run *run, const struct child *c, const char *name)
{
	const char *path = arena_printf(run->arena, "%s/%s", c->dir, name);
	struct err err = {0};
	size_t len = 0, lines = 0;
	char *text = fd_read_file(path, MOST_OUTPUT, &len, &err);

	for (char *p = text; p && *p; lines++) {
		size_t n = strcspn(p, "\n");

		if (lines < MOST_LINES) {
			(void)fputs("# ", run->o->out);
			terminal_write_lines(run->o->out, p, n);
			(void)fputc('\n', run->o->out);
		}
		p += n + (p[n] != '\0');
	}
	if (lines > MOST_LINES)
		(void)fprintf(
		    run->o->out, "# ... %zu more lines\n", lines - MOST_LINES);
	free(text);
}

static void print_verdict(
    struct run *run, const char *name, const struct child *c)
{
	const struct value *passed = value_get(&c->result, "passed");
	bool ok = passed && passed->type == VALUE_BOOL && passed->b;
	FILE *out = run->o->out;
	const char *message = text_of(&c->result, "message");

	run->failed = run->failed || !ok;
	(void)fprintf(out, "%s %zu - ", ok ? "ok" : "not ok", ++run->number);
	print_name(out, name);
	(void)fputc('\n', out);
	if (!ok) {
		if (!message)
			message = text_of(&c->result, "error");
		(void)fputs("  ---\n", out);
		print_field(out, "message", c->died ? c->died : message);
		print_field(out, "at", text_of(&c->result, "at"));
		print_field(out, "got", text_of(&c->result, "got"));
		print_field(out, "want", text_of(&c->result, "want"));
		(void)fputs("  ...\n", out);
	}
	print_file(run, c, "out");
	if (!ok || run->o->verbose)
		print_file(run, c, "log");
}

/* ---- all of it ---- */

struct plan_item {
	const char *file, *name;
	int index;
	int64_t deadline_ms;
};

struct plan_items {
	struct plan_item *items;
	size_t count, size;
};

static int complain(const struct run *run, int code, const char *text)
{
	(void)fflush(run->o->out);
	terminal_printf(run->o->err, "penstock: %s\n", text);
	return code;
}

static int bail_out(const struct run *run, int code, const char *text)
{
	(void)fputs("Bail out! ", run->o->out);
	print_name(run->o->out, text);
	(void)fputc('\n', run->o->out);
	return complain(run, code, text);
}

static int plan_file(struct run *run, const char *file, struct plan_items *plan)
{
	const struct value *tests;
	struct child c;
	struct err err = {0};

	if (access(file, R_OK) < 0)
		return complain(run, EX_USAGE,
		    arena_printf(
			run->arena, "test: %s: %s", file, strerror(errno)));
	if (!run_child(run, file, LIST_TESTS, run->o->deadline_ms, &c, &err))
		return complain(run, EX_OSERR, err.text);
	tests = value_get(&c.result, "tests");
	if (!tests) {
		const char *why = text_of(&c.result, "error");

		if (!why)
			why = arena_printf(run->arena, "%s: %s", file,
			    c.died ? c.died : "nothing was said");
		return complain(
		    run, EX_USAGE, arena_printf(run->arena, "test: %s", why));
	}
	for (size_t i = 0; i < tests->count; i++) {
		const struct value *ms =
		    value_get(&tests->items[i], "deadline");

		*ARRAY_ADD(plan) = (struct plan_item){
		    .file = file,
		    .name = text_of(&tests->items[i], "name"),
		    .index = (int)i,
		    .deadline_ms = ms ? ms->i : run->o->deadline_ms,
		};
	}
	return EX_OK;
}

static int run_item(struct run *run, const struct plan_item *item)
{
	const char *name = item->name, *policy_error;
	struct child c;
	struct err err = {0};

	if (!run_child(
		run, item->file, item->index, item->deadline_ms, &c, &err))
		return bail_out(run, EX_OSERR, err.text);
	if (run->o->file_count > 1)
		name = arena_printf(run->arena, "%s: %s", item->file, name);
	policy_error = text_of(&c.result, "policy_error");
	if (policy_error && text_of(&c.result, "message"))
		return bail_out(run, EX_CONFIG, policy_error);
	print_verdict(run, name, &c);
	scratch_remove(c.dir);
	return EX_OK;
}

static int run_all(struct run *run, struct plan_items *plan)
{
	const struct runner_options *o = run->o;
	int code = EX_OK;

	for (size_t i = 0; i < o->file_count && code == EX_OK; i++)
		code = plan_file(run, o->files[i], plan);
	if (code != EX_OK)
		return code;
	(void)fprintf(o->out, "TAP version 13\n1..%zu\n", plan->count);
	for (size_t i = 0; i < plan->count && code == EX_OK && !told_to_end;
	     i++)
		code = run_item(run, &plan->items[i]);
	if (code != EX_OK)
		return code;
	return run->failed ? 1 : EX_OK;
}

static void on_signal(int sig)
{
	told_to_end = sig;
}

int runner_run(const struct runner_options *options)
{
	struct run run = {.o = options, .arena = arena_new(0)};
	struct plan_items plan = {0};
	struct err err = {0};
	char *dir = scratch_make(&err);
	int code;

	/* Who reads us may stop reading: that is a write error, no death. */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, on_signal);
	(void)signal(SIGTERM, on_signal);
	if (dir) {
		run.dir = dir;
		code = run_all(&run, &plan);
		scratch_remove(dir);
	} else {
		code = complain(&run, EX_OSERR, err.text);
	}
	ARRAY_FREE(&plan);
	arena_unref(run.arena);
	free(dir);
	if (told_to_end) {
		(void)signal((int)told_to_end, SIG_DFL);
		(void)raise((int)told_to_end);
	}
	return code;
}
