/*
 * session_world.h - a session with everything around it
 *
 * What the owner of a session is told becomes one line of text in `log`: the
 * replies of each job, then how the session ended.
 */
#ifndef TESTS_UNIT_DELIVER_SESSION_WORLD_H
#define TESTS_UNIT_DELIVER_SESSION_WORLD_H

#include "base/arena.h"
#include "base/buf.h"
#include "deliver/deliver.h"
#include "tests/unit/deliver/smtp_sink.h"

enum play_flags {
	TWO_HOSTS = 1,    /* the same port twice, named a and b */
	CLOSED_FIRST = 2, /* a port where nobody listens, before it */
	CLOSED_ONLY = 4,
	TRUSTED = 8,  /* the sink's certificate is an authority */
	LITERAL = 16, /* the host is named [127.0.0.1] */
	WRONG_NAME = 32,
	LARGE = 64,           /* 3 MB */
	LATE_CHUNKS = 128,    /* each comes in a later turn of the loop */
	NO_CHUNK = 256,       /* the second chunk is missing */
	SHORT_CHUNK = 512,    /* fewer bytes than promised */
	IMPATIENT = 1024,     /* time limits of 150 ms */
	STOP_AT_FIRST = 2048, /* shutdown() when the first job is done */
	ABORT_AT_NEXT = 4096, /* abort() while a job is under way */
	WAKE_ONCE = 8192,     /* no job at first; wake() later */
	SAME_HOST = 16384,    /* reconnect_strategy */
	TERMINATE = 32768,
	UNIX_LMTP = 131072,   /* LMTP at a unix socket */
	HUGE = 65536,         /* 24 MB: more than sockets hold */
	RECONNECTS = 1 << 18, /* without TLS, when that fails */
	IMPLICIT_TLS = 1 << 19,
	NEXT_HOST = 1 << 20, /* try_next_host_on_transport_error */
};

struct play {
	const char *label;
	unsigned flags;
	enum tls_mode tls;
	int jobs, most; /* most: max_deliveries_per_connection, 0: many */
	const char *source;
	struct sink_script scripts[3];
	int connections; /* expected; -1: any */
	const char *want;
};

struct world {
	const struct play *p;
	struct event_base *base;
	struct egress_path path;
	struct egress_source source;
	struct ip_addr source_ip;
	struct candidate candidates[2];
	struct delivery_plan plan;
	struct smtp_session *session;
	struct smtp_sink *sink;
	struct arena *arena;
	struct event *waker;
	char *content, socket_path[64];
	size_t size;
	int given, last_early;
	bool awake, ended;
	struct buf log;
};

/* The owner that a session of this world has. */
extern const struct session_owner_ops world_owner_ops;

/* Starts the sink and makes the plan of `p`, which must outlive the world. */
void world_open(struct world *w, const struct play *p);
/* Runs one session to its end. */
void world_run(struct world *w);
/* The port in a line of the log becomes PORT. */
void world_mask_ports(struct buf *log);
/* What the sink got is the content, dots stuffed. */
void world_check_message(struct world *w, const char *got);
void world_close(struct world *w);

#endif
