/*
 * deliver.h - a plan in, outcomes out
 *
 * What the router sees of a delivery protocol.  A session works off a plan: it
 * connects to the first candidate that lets it, asks its owner for messages one
 * after the other, and reports a verdict for every recipient.
 *
 * Ownership: a plan, its candidates and records are const and outlive the
 *	     session (the owner holds references).  A job belongs to the session
 *	     from next() until done().
 * Threads:   the loop's thread only.
 */
#ifndef DELIVER_DELIVER_H
#define DELIVER_DELIVER_H

#include <stdint.h>

#include "base/buf.h"
#include "base/ip.h"
#include "mail/content.h"
#include "mail/envelope.h"
#include "mail/smtp_reply.h"
#include "net/tls_result.h"
#include "policy/egress_path.h"
#include "policy/egress_source.h"

struct arena;
struct event_base;
struct tls_client;  /* net/tls.h */
struct tls_profile; /* net/tls.h */
struct tlsa_set;    /* net/tlsa.h */

/* A plan has no more candidates: nobody waits for the hundred-and-first. */
#define DELIVERY_CANDIDATES_MOST 100

struct candidate {
	const char *name; /* MX host or mx_list label: records, verification */
	struct ip_addr ip;
	uint16_t port;
	const char *path; /* a unix socket instead of ip and port; or NULL */
	/* The path's mode, or what DANE or MTA-STS made of it (12.6). */
	enum tls_mode tls;
	bool implicit_tls;           /* hands are shaken before the banner */
	const struct tlsa_set *tlsa; /* DANE; NULL: authorities decide */
	const char *next_hop;        /* DANE: the domain; or NULL */
	/* For reports: what was to hold, and whether its certificate is held
	 * against its name although it need not be good.  `unnamed`: the policy
	 * of MTA-STS that is being tested does not name the host. */
	enum tls_policy policy;
	bool report_only, unnamed;
};

/* A proxy between us and every candidate (policy language, 11.2). */
enum proxy_kind { PROXY_HAPROXY, PROXY_SOCKS5 };
struct proxy {
	enum proxy_kind kind;
	const char *name; /* as the policy wrote it */
	struct ip_addr ip;
	uint16_t port;
	const char *path;      /* a unix socket instead; or NULL */
	struct ip_addr source; /* what it binds for us; any: it may choose */
	const char *username, *password; /* SOCKS5; NULL: none */
};

struct delivery_plan {
	const struct candidate *candidates;
	size_t count;
	const struct egress_path *path;
	const struct egress_source *source;
	const struct proxy *proxy; /* NULL: none */
	const char *ehlo_name;     /* never NULL: precedence already applied */
	struct tls_client *tls;
	const struct tls_profile *tls_profile; /* NULL: nothing special */
	bool tls_broken; /* opportunistic candidates: in clear text (12.6) */
	const char *username, *password; /* AUTH; NULL: none */
	const char *session_id;
};

/* A recipient and what became of it. */
struct delivery_recipient {
	struct envelope_recipient who;
	int64_t recipient_id;    /* the router's */
	struct smtp_reply reply; /* code 0: no answer yet */
	bool retry_at_once; /* 452 on a later recipient: next transaction */
};

/* Bytes of the message below the prefix, in chunks of QUEUE_CHUNK.  Asked for
 * one at a time; `got` may be called before `get` returns, and copies what it
 * is shown.  data NULL: the chunk cannot be had, the connection must be dropped
 * before the final dot.  As many bytes as facts.size, or the same happens. */
struct body_source;
typedef void body_got_fn(void *ctx, const char *data, size_t len);
struct body_ops {
	void (*get)(struct body_source *source, int64_t chunk, body_got_fn *got,
	    void *ctx);
	/* The session lost interest: `got` must not be called any more. */
	void (*cancel)(struct body_source *source);
};
struct body_source {
	const struct body_ops *ops;
};

struct delivery_job {
	const char *id; /* message id */
	struct envelope_sender sender;
	struct delivery_recipient *recipients;
	size_t count; /* at most path->max_recipients_per_batch */
	const char *prefix;
	size_t prefix_len;
	struct content_facts facts; /* of the content without prefix */
	struct body_source *body;   /* not asked when facts.size is 0 */
	/* Where the texts of replies are allocated.  NULL: the session's own,
	 * they live until done() returns. */
	struct arena *arena;
	/* Bytes of what peers said about this message that `arena` holds, which
	 * the session counts and bounds.  NULL: those of this job alone. */
	size_t *said;
	void *owner_data;
};

/* What the records want to know about the connection. */
struct session_facts {
	const char *peer_name; /* candidate name; NULL: none was reached */
	struct ip_addr peer_ip;
	uint16_t peer_port;
	char source_address[ENDPOINT_TEXT]; /* ours; "" before connect */
	/* Through which it went; NULL: none. */
	const struct proxy *proxy;
	/* NULL: none */
	const char *tls_cipher, *tls_version, *tls_peer_subject;
	bool tls_verified; /* chain and name */
	/* SESSION_NO_HOST: source_address is not an address of this machine;
	 * that, and nothing else, is why. */
	bool source_unplumbed;
	/* SESSION_NO_HOST: nothing but the proxy failed. */
	bool proxy_failed;
};

enum session_end {
	SESSION_DONE, /* idle, shut down, or its share of deliveries is done */
	SESSION_NO_HOST, /* every candidate failed: `reply` has the reasons */
	/* The connection broke after the greeting; a job under way was reported
	 * and no further candidate would have us (reconnect_strategy). */
	SESSION_LOST,
};

struct session_owner_ops {
	/* The next message for this connection, NULL: nothing now.  Called when
	 * the connection is ready, and once more while the reply to the final
	 * dot is awaited (`early`), so that the wire never waits. */
	struct delivery_job *(*next)(void *owner, bool early);
	/* Every recipient has a reply, or retry_at_once: give those to this or
	 * another connection without counting an attempt.  `facts` are valid
	 * during the call. */
	void (*done)(void *owner, struct delivery_job *job,
	    const struct session_facts *facts);
	/* Last call; the session frees itself after it.  `unsent`: a job from
	 * next(early) that was not begun, to be given back without an attempt.
	 */
	void (*closed)(void *owner, enum session_end end,
	    const struct smtp_reply *reply, const struct session_facts *facts,
	    struct delivery_job *unsent);
	/* Opportunistic TLS failed at a host that offers it.  True: connect to
	 * that host once more, in clear text. */
	bool (*tls_failed)(void *owner);
	/* What became of TLS with a candidate, once for each that TLS was tried
	 * or wished for with (RFC 8460); `up`: the session goes on, now or
	 * soon.  May be NULL. */
	void (*tls_result)(void *owner, const struct candidate *candidate,
	    enum tls_result result, bool up);
	/* The first command of this job's transaction is about to leave, or it
	 * is answered without one.  NULL: nobody wants to know. */
	void (*begins)(void *owner, struct delivery_job *job);
};

/* Callbacks come from the loop, never from inside start, wake, shutdown or
 * abort; any of these may be called from inside a callback except closed(). */
struct smtp_session;
struct smtp_session *smtp_session_start(struct event_base *base,
    const struct delivery_plan *plan, const struct session_owner_ops *ops,
    void *owner);
/* There is work again: an idle session asks next(). */
void smtp_session_wake(struct smtp_session *session);
bool smtp_session_idle(const struct smtp_session *session);
/* Finish the transaction under way, QUIT, closed().  No new next(). */
void smtp_session_shutdown(struct smtp_session *session);
/* Nobody has answered yet, and it shall not go on waiting: ends as if no
 * candidate was left.  Nothing happens once somebody answered. */
void smtp_session_give_up(struct smtp_session *session);
/* Drop it, without QUIT: a job under way is reported 400, then closed(). */
void smtp_session_abort(struct smtp_session *session);

/* ---- maildir: blocking, for a disk worker ---- */

struct maildir_job {
	const char *root;          /* expanded and checked */
	int dir_mode, file_mode;   /* -1: umask decides */
	const char *const *pieces; /* message bytes, in order */
	const size_t *lengths;
	size_t piece_count;
	/* or, for content that is not in memory: called until it returns 0 */
	int64_t (*read)(void *ctx, void *out, size_t size);
	void *ctx;
	bool lf; /* lines end in LF, as programs of Unix like it; else as given
		  */
};

/* The file's name (for the record) in `stored`. ERR_TEMP: try again. */
bool maildir_deliver(const struct maildir_job *job, struct buf *stored,
    struct err *err) MUST_USE;

#endif
