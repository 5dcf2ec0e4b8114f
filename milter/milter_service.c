/*
 * milter_service.c - what all sessions of the process share
 */
#include "milter/milter_service.h"

#include <limits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/free_space.h"
#include "base/json.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "logs/log_setup.h"
#include "lua/script_services.h"
#include "queue/queue_suppression.h"

#define WARNINGS_MAX 1000

/* One for each `listen` text ever seen, so there are few of them; they outlive
 * the generation that named them, because connections do. */
struct listener_count {
	struct listener_count *next;
	int64_t open;
	char listen[];
};

void service_init_take(struct service *service, struct script_policy *policy)
{
	pthread_mutex_init(&service->lock, NULL);
	pthread_mutex_init(&service->reload_lock, NULL);
	service->policy = policy;
	service->warned = map_new();
	service->generation = script_policy_generation(policy);
	service->started = clock_unix();
	if (gethostname(service->hostname, sizeof service->hostname - 1) < 0)
		(void)str_copy(
		    service->hostname, sizeof service->hostname, "localhost");
}

void service_release(struct service *service)
{
	struct listener_count *l = service->listeners;

	while (l) {
		struct listener_count *next = l->next;

		free(l);
		l = next;
	}
	service->listeners = NULL;
	map_free(service->warned, NULL);
	service->warned = NULL;
	script_policy_unref(service->policy);
	service->policy = NULL;
}

struct script_policy *service_policy(struct service *service)
{
	struct script_policy *policy;

	pthread_mutex_lock(&service->lock);
	policy = script_policy_ref(service->policy);
	pthread_mutex_unlock(&service->lock);
	return policy;
}

int64_t service_reload(struct service *service, struct err *err)
{
	const struct script_options options = {
	    .path = service->policy_path,
	    .role = SCRIPT_MILTER,
	};
	struct script_policy *fresh = NULL, *old = NULL;
	const struct policy_setup *was, *is;
	int64_t generation = 0;

	pthread_mutex_lock(&service->reload_lock);
	if (!script_policy_load(&fresh, &options, err)) {
		diag_error("reload: %s; generation %lld stays in force",
		    err->text, (long long)service->generation);
		pthread_mutex_lock(&service->lock);
		(void)str_copy(service->last_reload_error,
		    sizeof service->last_reload_error, err->text);
		pthread_mutex_unlock(&service->lock);
		goto out;
	}
	generation = script_policy_generation(fresh);
	pthread_mutex_lock(&service->lock);
	old = service->policy;
	service->policy = fresh;
	service->generation = generation;
	service->last_reload_error[0] = '\0';
	/* What was wrong may have been mended; what is still wrong is worth
	 * another line. */
	map_free(service->warned, NULL);
	service->warned = map_new();
	service->warned_count = 0;
	pthread_mutex_unlock(&service->lock);
	was = script_policy_setup(old);
	is = script_policy_setup(fresh);
	if (!log_setup_same(was->logs, was->log_count, is->logs, is->log_count))
		diag_warn("reload: configure_local_logs changed, which "
			  "needs a restart");
	diag_info("reload: policy=%s generation=%lld", service->policy_path,
	    (long long)generation);
out:
	pthread_mutex_unlock(&service->reload_lock);
	/* Outside the locks: the last reference closes Lua states. */
	if (old)
		script_policy_unref(old);
	return generation;
}

bool service_enter(struct service *service)
{
	/* Count first, look second: whoever stops sets the flag first and
	 * looks at the count second, so one of us sees the other. */
	atomic_fetch_add(&service->in_callback, 1);
	if (!atomic_load(&service->stopped))
		return true;
	atomic_fetch_sub(&service->in_callback, 1);
	return false;
}

void service_leave(struct service *service)
{
	atomic_fetch_add(&service->returned, 1);
	atomic_fetch_sub(&service->in_callback, 1);
}

static struct listener_count *find_count(
    struct service *service, const char *listen)
{
	struct listener_count *l;
	size_t size = strlen(listen) + 1;

	for (l = service->listeners; l; l = l->next)
		if (str_eq(l->listen, listen))
			return l;
	l = xcalloc(1, sizeof *l + size);
	memcpy(l->listen, listen, size);
	l->next = service->listeners;
	service->listeners = l;
	return l;
}

bool service_connected(struct service *service, const char *listen,
    int64_t max_connections, struct listener_count **out)
{
	struct listener_count *l;
	bool room;

	pthread_mutex_lock(&service->lock);
	l = find_count(service, listen);
	room = l->open < max_connections;
	if (room)
		l->open++;
	pthread_mutex_unlock(&service->lock);
	*out = room ? l : NULL;
	return room;
}

void service_disconnected(struct service *service, struct listener_count *of)
{
	if (!of)
		return;
	pthread_mutex_lock(&service->lock);
	of->open--;
	pthread_mutex_unlock(&service->lock);
}

bool service_once(struct service *service, const char *what)
{
	static char there;
	bool first;

	pthread_mutex_lock(&service->lock);
	first = service->warned_count < WARNINGS_MAX &&
		!map_get(service->warned, what);
	if (first) {
		(void)map_put(service->warned, what, &there);
		service->warned_count++;
	}
	pthread_mutex_unlock(&service->lock);
	return first;
}

/* The process stops: what still waits is not to be waited for. */
static bool goes_on(void *ctx)
{
	(void)ctx;
	return !script_services_ending();
}

bool service_inject(
    void *ctx, struct message *m, int64_t deadline, struct err *err)
{
	struct service *service = ctx;
	struct queue_intake intake = {.messages = &m, .count = 1};
	struct custody *custody;
	enum custody_result result;

	if (!service_has_room(service, SERVICE_PATIENCE_MS, err))
		return false;
	custody = custody_begin(service->writer, &intake);
	result = custody_wait(custody, deadline, goes_on, NULL, err);
	custody_free(custody);
	if (result == CUSTODY_ABANDONED)
		return err_set(
		    err, ERR_TEMP, "the queue did not take it within the time");
	return result == CUSTODY_COMMITTED;
}

bool service_suppressed(void *ctx, const struct address *address,
    const char *tenant, int64_t deadline, struct arena *arena,
    const struct suppression_entry **out, struct err *err)
{
	struct service *service = ctx;

	return queue_suppressed(service->queue, suppression_key(address, arena),
	    suppression_domain_key(address, arena), tenant, deadline, arena,
	    out, err);
}

/* What define_spool demands: its directory is the queue's. */
static bool has_policy_floors(struct service *service, struct err *err)
{
	struct script_policy *policy = service_policy(service);
	const struct policy_setup *setup = script_policy_setup(policy);
	char dir[PATH_MAX];
	bool enough =
	    path_dir(dir, sizeof dir, queue_path(service->queue), err);

	for (size_t i = 0; enough && i < setup->spool_count; i++)
		enough = free_space_enough(dir, &setup->spool_floors[i], err);
	script_policy_unref(policy);
	return enough;
}

bool service_has_room(struct service *service, int64_t wait_ms, struct err *err)
{
	if (queue_poisoned(service->queue))
		return err_set(err, ERR_TEMP,
		    "the queue waits for its recovery after a failed sync");
	return queue_has_room(service->queue, err) &&
	       has_policy_floors(service, err) &&
	       log_writer_has_room(service->log, wait_ms, err);
}

void service_status(struct service *service, struct buf *out)
{
	struct queue_writer_stats stats = {0};
	struct err room = {0};
	struct json_object o;
	char error[sizeof service->last_reload_error];

	pthread_mutex_lock(&service->lock);
	(void)str_copy(error, sizeof error, service->last_reload_error);
	pthread_mutex_unlock(&service->lock);
	queue_writer_stats(service->writer, &stats);

	json_open(&o, out);
	json_add_string(&o, "program", "penstock-milter");
	json_add_int(&o, "pid", getpid());
	json_add_string(&o, "version", service->program_version);
	json_add_string(&o, "policy", service->policy_path);
	json_add_string(&o, "queue", queue_path(service->queue));
	json_add_int(&o, "generation", service->generation);
	json_add_string(&o, "last_reload_error", *error ? error : NULL);
	json_add_int(&o, "started", service->started);
	json_add_bool(&o, "draining", service->draining);
	json_add_string(&o, "paused",
	    service_has_room(service, 0, &room) ? NULL : room.text);
	json_add_int(&o, "open_connections", service->sessions);
	json_add_int(&o, "open_transactions", service->transactions);
	json_add_int(&o, "connections", service->connections);
	json_add_int(&o, "messages", service->messages);
	json_add_int(&o, "recipients", service->recipients);
	json_add_int(&o, "left_to_mta", service->left_to_mta);
	json_add_int(&o, "oob_reports", service->oob_reports);
	json_add_int(&o, "feedback_reports", service->feedback_reports);
	json_add_int(&o, "unreadable_reports", service->unreadable_reports);
	json_add_int(&o, "refused", service->refused);
	json_add_int(&o, "deferred", service->deferred);
	json_add_int(&o, "shed", service->shed);
	json_add_int(&o, "custody_abandoned", service->abandoned);
	json_add_int(&o, "waiting", stats.waiting);
	json_add_int(&o, "batches", stats.messages);
	json_add_int(&o, "transactions", stats.transactions);
	json_add_int(&o, "failed", stats.failed);
	json_add_bool(&o, "poisoned", stats.poisoned);
	json_add_int(&o, "longest_custody_ms", stats.longest_ms);
	json_add_int(&o, "expired_events", service->expired_events);
	json_add_int(&o, "abandoned_threads", script_abandoned());
	json_close(&o);
}

static void reload_reply(struct service *service, struct buf *reply)
{
	struct err err = {0};
	struct json_object o;
	int64_t generation = service_reload(service, &err);

	json_open(&o, reply);
	json_add_bool(&o, "ok", generation != 0);
	json_add_int(
	    &o, "generation", generation ? generation : service->generation);
	if (!generation)
		json_add_string(&o, "error", err.text);
	json_close(&o);
}

void service_control(const char *request, struct buf *reply, void *ctx)
{
	struct service *service = ctx;
	struct json_object o;

	if (str_eq(request, "status")) {
		service_status(service, reply);
	} else if (str_eq(request, "reload")) {
		reload_reply(service, reply);
	} else {
		json_open(&o, reply);
		json_add_bool(&o, "ok", false);
		json_add_string(
		    &o, "error", "unknown request; known: status, reload");
		json_close(&o);
	}
}
