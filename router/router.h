/*
 * router.h - what the parts of the router share
 *
 *	due rows -> scheduled_queue (config, pool, hosts) -> lease
 *		 -> ready_queue "source->site" -> connection -> outcome
 *		 -> log record -> settle (queue writer thread)
 *
 * Threads: everything here belongs to the loop's thread, unless it says
 *	    otherwise.
 */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"
#include "base/list.h"
#include "router/loop.h"

struct egress;
struct enumerations;
struct gates;
struct held_queues;
struct injections;
struct intake;
struct log_writer;
struct maildirs;
struct admissions;
struct message_loader;
struct outcomes;
struct record_memory;
struct ready_means;
struct queue;
struct queue_threads;
struct ready_message;
struct ready_queues;
struct rebindings;
struct reloader;
struct resolver;
struct script_policy;
struct source_health;
struct mta_sts;
struct sts_memory;
struct tls_client;
struct tls_counts;
struct control;

/* At most that many recipients are taken from the queue file at a time. */
#define ROUTER_LEASED_MOST 20000
/* Bodies that came with their lease and wait in memory; beyond that they are
 * read again when their turn comes. */
#define ROUTER_INLINE_MOST (16 << 20)
/* Attempted, but not yet committed: beyond that no delivery starts.  It bounds
 * the duplicates that a kill -9 can make. */
#define ROUTER_UNSETTLED_MOST 1000

/* Whatever the policy or DNS says, an answer is good for that long: it has to
 * be used before it is asked for again. */
#define ROUTER_LIFE_LEAST_MS 1000

static inline int64_t router_until(int64_t now, int64_t life_ms)
{
	return now + (life_ms < ROUTER_LIFE_LEAST_MS ? ROUTER_LIFE_LEAST_MS
						     : life_ms);
}

/* Why no new delivery may start, and nothing is leased. */
enum router_hold {
	HOLD_COMMIT = 1,  /* an outcome cannot be committed */
	HOLD_LOG = 2,     /* a log record cannot be written */
	HOLD_BACKLOG = 4, /* too much is attempted and not yet committed */
	HOLD_POISON = 8,  /* a sync failed: the file is being recovered */
	HOLD_STOPPING = 16,
};

struct router_feed { /* a service that feeds our milter (--feeds) */
	struct ip_addr ip;
	uint16_t port;
};

struct router_options {
	const char *policy_path, *queue_path, *control_path;
	const char *resolver; /* ADDR@PORT, NULL: resolv.conf */
	const char *ca_file;
	const char *trust_anchor; /* a file */
	const struct router_feed *feeds;
	size_t feed_count;
};

struct router_counters {
	int64_t delivered, deferred, bounced, expired, returned, gone;
	int64_t connections; /* open now */
};

struct router {
	const struct router_options *options;
	struct loop *loop;
	struct queue *queue;
	struct queue_threads *threads;
	struct script_policy *policy; /* the generation in use */
	struct resolver *resolver;
	/* Validates; NULL: there is no trust anchor. */
	struct resolver *validator;
	struct mta_sts *sts; /* NULL: the policy switched it off */
	struct sts_memory *sts_memory;
	bool dane_wanted; /* some path has enable_dane */
	struct tls_client *tls;
	struct log_writer *log;
	struct control *control;
	/* Some logger or hook copies them; read by the queue writer, too. */
	atomic_bool log_meta, log_headers;
	const char *hostname; /* EHLO when nobody gives another */
	unsigned holds;       /* enum router_hold */
	char hold_reason[256];
	int64_t started;        /* unix seconds */
	char reload_error[512]; /* of the last reload; "" when it worked */
	struct reloader *reloader;
	int exit_code;
	size_t connections_most; /* descriptors are finite */
	struct router_counters counters;
	atomic_llong inline_bytes; /* added by the queue writer thread */
	size_t chunks_out;         /* body.c: being read now, and waiting */
	struct list chunks_waiting;
	size_t policy_calls_out;  /* policy_call.c: with Lua now, and waiting */
	size_t suspect_calls_out; /* of them, about queues that are suspected */
	struct list policy_calls_waiting;
	struct record_memory *records;
	struct ready_means *plain_means; /* ready_means.c: the last of them */
	struct intake *intake;
	struct egress *egress;
	struct gates *gates;
	struct held_queues *held;
	struct source_health *health;
	struct ready_queues *ready;
	struct outcomes *outcomes;
	struct tls_counts *tls_counts;
	struct maildirs *maildirs;
	struct injections *injections;
	struct message_loader *loader;
	struct admissions *admissions;
	struct enumerations *enumerations;
	struct rebindings *rebindings;
	atomic_int orders; /* steering.c: being carried out */
	struct suspects *suspects;
	size_t lua_connections;    /* open now */
	struct loop_timer *second; /* looks at everything once a second */
	int64_t stop_began;        /* clock_now_ms */
	int64_t stop_deadline;     /* clock_now_ms; of a stop or a recovery */
	bool recovering;           /* the queue threads are at it */
};

static inline bool router_may_start(const struct router *r)
{
	return r->holds == 0;
}

void router_hold(struct router *r, enum router_hold why, const char *reason);
void router_release(struct router *r, enum router_hold why);
/* Holds with HOLD_LOG while the log cannot write, or has more than
 * back_pressure records to write; done once a second, and when records go or
 * come back. */
void router_look_at_log(struct router *r);
/* What every second does, now: the command `tick`, a test moved the clock. */
void router_tick(struct router *r);
/* Something ended (a connection, a batch): perhaps a stop or a recovery that
 * waited for it can go on. */
void router_progress(struct router *r);
/* What the loggers and hooks of the policy in use copy. */
void router_look_at_loggers(struct router *r);
/* Everything that is attempted ends, the rest is given back, then the loop
 * ends. */
void router_stop(struct router *r, const char *why, int exit_code);
/* The loop's part of start and end; err says what is missing. */
bool router_start(struct router *r, struct err *err) MUST_USE;
void router_end(struct router *r);

#endif
