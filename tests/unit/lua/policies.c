/*
 * policies.c - policies for the unit tests of lua/
 */
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/json.h"
#include "lua_test.h"

static char *directory(void)
{
	static char dir[64];

	if (*dir)
		return dir;
	snprintf(dir, sizeof dir, "/tmp/penstock-lua-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	return dir;
}

/* Check forks for each test, so a directory serves one test. */
static void remove_directory(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s", directory());
	if (system(command) != 0)
		fprintf(stderr, "cannot remove %s\n", directory());
}

const char *write_file(const char *name, const char *text)
{
	static char path[4][128];
	static unsigned turn;
	static bool registered;
	char *out = path[turn++ % 4];
	FILE *file;

	if (!registered)
		atexit(remove_directory);
	registered = true;
	snprintf(out, 128, "%s/%s", directory(), name);
	file = fopen(out, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
	return out;
}

struct script_policy *load_with(
    const char *text, struct script_options options, struct err *err)
{
	struct script_policy *p = NULL;
	struct buf file = BUF_INIT;

	buf_addf(&file, "local kumo = require 'kumo' %s", text);
	options.path = write_file("policy.lua", buf_str(&file));
	buf_release(&file);
	return script_policy_load(&p, &options, err) ? p : NULL;
}

struct script_policy *load_policy(const char *text)
{
	struct script_policy *p;
	struct err err = {0};

	p = load_with(text, (struct script_options){0}, &err);
	ck_assert_msg(p != NULL, "%s", err.text);
	return p;
}

const char *load_error(const char *text, enum script_role role)
{
	static struct err err;
	struct script_policy *p;

	err.text[0] = '\0';
	p = load_with(text, (struct script_options){.role = role}, &err);
	ck_assert_ptr_null(p);
	ck_assert(script_shutdown(LEFT_BEHIND_MS));
	return err.text;
}

void end_policy(struct script_policy *p)
{
	script_policy_unref(p);
	ck_assert(script_shutdown(LEFT_BEHIND_MS));
}

struct script_call *run_event(
    struct script_policy *p, const char *event, const char *arg)
{
	struct script_call *call = script_call_new(p, event);

	if (arg)
		script_arg_string(call, arg);
	(void)script_call_run(call, clock_now_ms() + LONG_MS);
	return call;
}

const char *eval(const char *chunk)
{
	return eval_after(NULL, chunk);
}

const char *eval_after(const char *policy, const char *chunk)
{
	static char out[4096];
	struct buf text = BUF_INIT;
	struct script_policy *p;
	struct script_call *call;

	buf_addf(&text, "%s kumo.on('eval', function() %s\nend)",
	    policy ? policy : "", chunk);
	p = load_policy(buf_str(&text));
	call = run_event(p, "eval", NULL);
	buf_reset(&text);
	switch (script_call_outcome(call)) {
	case SCRIPT_VALUE:
		json_write(&text, script_call_result(call));
		break;
	case SCRIPT_REJECTED:
		buf_addf(&text, "rejected: %d %s",
		    script_call_reject(call)->code,
		    script_call_reject(call)->message);
		break;
	default:
		buf_addstr(&text, script_call_error(call));
		break;
	}
	snprintf(out, sizeof out, "%s", buf_str(&text));
	buf_release(&text);
	script_call_free(call);
	end_policy(p);
	return out;
}

void check_eval(const struct eval_case *c)
{
	const char *got = eval_after(c->policy, c->chunk);

	ck_assert_msg(strstr(got, c->want) != NULL, "%s: %s", c->label, got);
}

void check_expires(const char *policy)
{
	struct script_policy *p = load_policy(policy);
	struct script_call *call = script_call_new(p, "e");
	int64_t began = clock_now_ms();

	ck_assert_int_eq(script_call_run(call, began + 500), SCRIPT_EXPIRED);
	ck_assert_int_lt(clock_now_ms() - began, 20000);
	/* On a machine with much to do it may come back a little late. */
	while (script_abandoned() > 0 && clock_now_ms() - began < 20000)
		(void)usleep(1000);
	ck_assert_int_eq(script_abandoned(), 0);
	script_call_free(call);
	end_policy(p);
}
