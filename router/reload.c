/*
 * reload.c - a new generation of the policy, made aside and swapped in
 */
#include "router/reload.h"

#include "base/daemon.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "logs/log_setup.h"
#include "lua/script.h"
#include "policy/setup.h"
#include "router/egress.h"
#include "router/intake.h"
#include "router/ready_queues.h"
#include "router/router.h"

struct reloader {
	struct worker_pool *pool; /* one thread, so they come one by one */
};

struct reload {
	struct loop_item item;
	struct router *r;
	struct script_policy *policy; /* NULL: err */
	struct err err;
	reload_done_fn *done;
	void *ctx;
};

static void load(struct inbox_item *item, void *ctx)
{
	struct reload *reload = CONTAINER_OF(
	    CONTAINER_OF(item, struct loop_item, item), struct reload, item);
	struct script_options options = {
	    .path = reload->r->options->policy_path, .role = SCRIPT_ROUTER};

	if (!script_policy_load(&reload->policy, &options, &reload->err))
		reload->policy = NULL;
	loop_post(reload->r->loop, &reload->item);
}

static void swap(struct router *r, struct script_policy *policy)
{
	const struct policy_setup *a = script_policy_setup(r->policy);
	const struct policy_setup *b = script_policy_setup(policy);

	if (!log_setup_same((const struct log_config *const *)a->logs,
		a->log_count, (const struct log_config *const *)b->logs,
		b->log_count))
		diag_warn("reload: configure_local_logs has changed: that "
			  "needs a restart");
	script_tasks_end(r->policy);
	script_policy_unref(r->policy);
	r->policy = policy;
	router_look_at_loggers(r);
	script_tasks_start(policy);
	egress_flush(r->egress);
	diag_info("reload: generation %lld of the policy is in use",
	    (long long)script_policy_generation(policy));
	router_tick(r);
}

static void run_loaded(struct loop_item *item)
{
	struct reload *reload = CONTAINER_OF(item, struct reload, item);
	struct router *r = reload->r;

	if (reload->policy) {
		r->reload_error[0] = '\0';
		swap(r, reload->policy);
	} else {
		(void)str_copy(
		    r->reload_error, sizeof r->reload_error, reload->err.text);
		diag_error(
		    "reload: the policy in use stays: %s", reload->err.text);
	}
	daemon_notify("READY=1"); /* answers RELOADING=1 */
	if (reload->done)
		reload->done(r->reload_error, reload->ctx);
	free(reload);
}

void router_reload(struct router *r, reload_done_fn *done, void *ctx)
{
	struct reload *reload = xcalloc(1, sizeof *reload);

	reload->item.run = run_loaded;
	reload->r = r;
	reload->done = done;
	reload->ctx = ctx;
	worker_pool_put(r->reloader->pool, &reload->item.item);
}

struct reloader *reloader_new(struct router *r)
{
	struct reloader *reloader = xcalloc(1, sizeof *reloader);

	reloader->pool = worker_pool_new("reload", 1, load, r);
	return reloader;
}

void reloader_free(struct reloader *reloader)
{
	if (!reloader)
		return;
	worker_pool_free(reloader->pool);
	free(reloader);
}
