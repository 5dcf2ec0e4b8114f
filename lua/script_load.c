/*
 * script_load.c - one reading of the policy becomes a generation
 *
 * The file is read once; every state of the generation executes that text, so
 * an edit under way cannot mix two versions.  The first state runs pre_init and
 * init, and only its declarations count (policy/setup.h).
 */
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/xalloc.h"
#include "lua/script_event.h"
#include "lua/script_pool.h"
#include "lua/script_state.h"
#include "lua/script_watch.h"

#define MOST_POLICY (16 << 20)
#define INIT_DEADLINE_MS 60000

/* One life-cycle event; false: call->answer says why loading ends. */
static bool run_stage(
    struct script_state *state, struct script_call *call, const char *event)
{
	struct script_answer *answer = &call->answer;

	call->event = event;
	state->phase = SCRIPT_INIT;
	script_event_run(state, call);
	state->phase = SCRIPT_EVENT;
	if (answer->outcome == SCRIPT_REJECTED)
		answer->error = arena_printf(call->arena,
		    "%s: %s: rejected with %d %s", event, answer->where,
		    answer->reject.code, answer->reject.message);
	return answer->outcome == SCRIPT_VALUE ||
	       answer->outcome == SCRIPT_NO_HANDLER;
}

void script_load_run(struct script_state *state, struct script_call *call)
{
	struct script_policy *p = state->policy;

	if (!run_stage(state, call, "pre_init") ||
	    !run_stage(state, call, "init"))
		return;
	if (p->role == SCRIPT_CHECK)
		(void)run_stage(state, call, "validate_config");
}

/* Does anybody see what is written to standard output? */
static bool stdout_is_usable(void)
{
	struct stat out, null;

	return fstat(STDOUT_FILENO, &out) == 0 &&
	       (stat("/dev/null", &null) < 0 || !S_ISCHR(out.st_mode) ||
		   out.st_rdev != null.st_rdev);
}

static bool read_policy(struct script_policy *p, struct err *err)
{
	char dir[4096];

	p->text = fd_read_file(p->path, MOST_POLICY, &p->text_len, err);
	if (!p->text || !path_dir(dir, sizeof dir, p->path, err))
		return false;
	p->dir = xstrdup(dir);
	return true;
}

/* Without a handler nothing would be written, and nobody would miss it. */
static bool filters_exist(struct script_policy *p, struct err *err)
{
	for (size_t i = 0; i < p->setup.log_count; i++) {
		const char *event = p->setup.logs[i]->filter_event;

		if (event && !script_policy_handles(p, event))
			return err_set(err, ERR_CONFIG,
			    "configure_local_logs: filter_event: nobody "
			    "handles the event \"%s\", no record would be "
			    "written to %s",
			    event, p->setup.logs[i]->log_dir);
	}
	return true;
}

static bool load(struct script_policy *p, int64_t limit_ms, struct err *err)
{
	struct script_call *call = script_call_make(p, "init");
	enum script_outcome outcome;
	bool ok;

	call->is_load = true;
	outcome = script_call_run(call, clock_now_ms() + limit_ms);
	ok = outcome == SCRIPT_VALUE || outcome == SCRIPT_NO_HANDLER;
	if (!ok)
		err_set(err, ERR_CONFIG, "%s",
		    outcome == SCRIPT_REJECTED ? call->answer.error
					       : script_call_error(call));
	else if (p->role == SCRIPT_CHECK && p->validation_failed)
		ok = err_set(err, ERR_CONFIG,
		    "%s: kumo.validation_failed() was called", p->path);
	script_call_free(call);
	return ok && filters_exist(p, err);
}

bool script_policy_load(struct script_policy **out,
    const struct script_options *options, struct err *err)
{
	struct script_policy *p = script_pool_new(options);
	int64_t limit_ms = options->init_deadline_ms ? options->init_deadline_ms
						     : INIT_DEADLINE_MS;

	p->print_to_stdout = stdout_is_usable();
	if (p->role != SCRIPT_CHECK)
		watch_note_load();
	if (!read_policy(p, err)) {
		err->class = ERR_CONFIG;
		script_policy_unref(p);
		return false;
	}
	script_pool_start(p);
	if (!load(p, limit_ms, err)) {
		script_policy_unref(p);
		return false;
	}
	if (p->role != SCRIPT_CHECK)
		watch_set_policy(p);
	*out = p;
	return true;
}

const struct policy_setup *script_policy_setup(const struct script_policy *p)
{
	return &p->setup;
}

int64_t script_policy_generation(const struct script_policy *p)
{
	return p->generation;
}
