/*
 * milter_service.h - what all sessions of the process share
 *
 * The current generation of the policy, the queue and its writer, the log, and
 * numbers.  A session takes what it needs from here; nothing here knows a
 * session.
 *
 * Stopping has two steps.  draining: connections that are there may finish the
 * transaction they are in, everything new gets 421 4.3.2.  stopped: callbacks
 * answer without touching anything of ours, so the rest can be taken apart
 * while libmilter's threads still run.
 *
 * Threads: any; the policy pointer and the listeners' counts are under one
 *          mutex, numbers are atomic.
 */
#ifndef MILTER_MILTER_SERVICE_H
#define MILTER_MILTER_SERVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/map.h"
#include "logs/log_writer.h"
#include "lua/script.h"
#include "mail/suppression.h"
#include "queue/queue_writer.h"

#define EVENT_LIMIT_MS 8000    /* a policy event before DATA */
#define CUSTODY_LIMIT_MS 90000 /* end of message to CLAIMED, at most */
#define SPILL_AT (1 << 20)     /* content from here on goes to a file */

struct listener_count; /* open connections of one listener */

struct service {
	/* Set before the first session, then constant. */
	struct queue *queue;
	struct queue_writer *writer;
	struct log_writer *log;
	const char *policy_path, *spill_dir, *program_version;
	char hostname[256];
	bool log_wants_headers;
	int64_t started; /* unix seconds */

	atomic_bool draining, stopped;
	atomic_int in_callback;   /* callbacks that are running */
	_Atomic int64_t returned; /* callbacks that are not any more */
	atomic_int transactions;  /* between MAIL and the end of message */
	atomic_int sessions;      /* open connections */
	/* Since start. */
	_Atomic int64_t connections, messages, recipients, refused, deferred,
	    left_to_mta, oob_reports, feedback_reports, unreadable_reports,
	    shed, expired_events, abandoned;

	/* Under the mutex. */
	pthread_mutex_t lock;
	struct script_policy *policy;
	struct listener_count *listeners;
	char last_reload_error[1024]; /* "": the last one went well */
	struct map *warned;           /* what service_once() was asked */
	size_t warned_count;
	int64_t strangers_since_ms; /* milter_history.h */
	int stranger_rows;
	/* One reload at a time, outside the other mutex. */
	pthread_mutex_t reload_lock;
	_Atomic int64_t generation; /* of policy, to look without the mutex */
};

/* `policy` is taken. */
void service_init_take(struct service *service, struct script_policy *policy);
void service_release(struct service *service);

/* The caller unrefs. */
struct script_policy *service_policy(struct service *service) MUST_USE;
/* Loads a complete generation aside and swaps; the last good one stays when
 * that fails.  The new generation, or 0. */
int64_t service_reload(struct service *service, struct err *err);

/* False: the process is stopping, answer without touching anything. */
bool service_enter(struct service *service) MUST_USE;
void service_leave(struct service *service);

/* May one more connection of this listener be served?  Counted when so; give it
 * back with service_disconnected. */
bool service_connected(struct service *service, const char *listen,
    int64_t max_connections, struct listener_count **out) MUST_USE;
void service_disconnected(struct service *service, struct listener_count *of);
/* True the first time that `what` is asked for since the policy was loaded;
 * false for all from the 1000th on. */
bool service_once(struct service *service, const char *what) MUST_USE;

/* Is there room to take mail, for its queue and for its records?  ERR_TEMP says
 * what is short, ERR_PERM what is broken.  Records that wait for their turn may
 * be waited for, at most wait_ms; sessions do, for SERVICE_PATIENCE_MS. */
#define SERVICE_PATIENCE_MS 1000
bool service_has_room(struct service *service, int64_t wait_ms, struct err *err)
    MUST_USE;

/* struct script_services, inject: kumo.inject_message. */
bool service_inject(void *service, struct message *m, int64_t deadline,
    struct err *err) MUST_USE;

/* struct script_services, suppressed: suppression:check. */
bool service_suppressed(void *service, const struct address *address,
    const char *tenant, int64_t deadline, struct arena *arena,
    const struct suppression_entry **out, struct err *err) MUST_USE;

/* For the control socket: {"program":"penstock-milter",...}. */
void service_status(struct service *service, struct buf *out);
/* Serves the control socket: `status`, `reload` (control_fn). */
void service_control(const char *request, struct buf *reply, void *service);

#endif
