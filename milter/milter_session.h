/*
 * milter_session.h - one connection of a client, as the MTA tells it
 *
 * The path of a message through the milter: milter_callbacks.c calls what is
 * declared here, in the order of SMTP; each says what to answer.  No libmilter
 * in any of it.
 *
 *	milter_listener.c	connect: parameters for this connection
 *	milter_session.c	helo, mail; the message, byte for byte
 *	milter_rcpt.c		rcpt: whose is this recipient?
 *	milter_custody.c	end of message: policy, queue, answer
 *
 * Ownership: a session owns an arena for the connection's life, a transaction
 *            one for its own; answers live in the scratch arena, until the next
 *            callback.
 * Threads:   one callback at a time, each perhaps on another thread.
 */
#ifndef MILTER_MILTER_SESSION_H
#define MILTER_MILTER_SESSION_H

#include "base/ip.h"
#include "mail/content.h"
#include "mail/envelope.h"
#include "mail/message.h"
#include "milter/milter_domains.h"
#include "milter/milter_macros.h"
#include "milter/milter_reply.h"
#include "milter/milter_service.h"
#include "policy/listener.h"
#include "policy/listener_domain.h"
#include "policy/setup.h"

struct rcpt {
	struct envelope_recipient envelope;
	bool is_ours;                      /* else the MTA keeps it */
	bool is_repeated;                  /* said before: one copy is enough */
	enum report_mode log_oob, log_arf; /* of its domain */
	bool is_postmaster; /* bare <postmaster>: admitted in any case (D35) */
	const char *admitted_by; /* "relay_to policy.lua:12" */
	const char *mta_text;    /* what smfi_delrcpt has to be told */
};

/* From MAIL to the end of the message. */
struct transaction {
	struct arena *arena;
	struct envelope_sender sender;
	struct {
		struct rcpt *items;
		size_t count, size;
	} rcpts;                         /* those accepted */
	size_t ours;                     /* of them */
	size_t repeated;                 /* of ours */
	struct map *said;                /* ours; NULL: none yet */
	int64_t size;                    /* bytes received so far */
	struct content_builder *content; /* NULL: none yet, or given up */
	bool header_ended, too_large, content_lost;
	bool is_done;    /* ours are settled: the MTA must not keep them too */
	struct buf line; /* a header under construction */
	const char *queue_id; /* the MTA's; NULL: not said yet */
};

struct session {
	struct service *service;
	struct arena *arena, *scratch;
	char id[MESSAGE_ID_SIZE];
	/* Events run on the newest generation; parameters keep theirs. */
	struct script_policy *policy, *params_policy;
	struct listener params;        /* effective, for this connection */
	const char *listener_text;     /* what events get as `listener` */
	const char *relay_hosts_where; /* "policy.lua:12"; NULL: built in */
	struct listener_count *counted;
	struct ip_addr peer, local; /* family 0: unknown */
	uint16_t peer_port, local_port;
	char peer_text[IP_TEXT], local_text[IP_TEXT]; /* "": unknown */
	bool is_local_submission, is_postfix, has_leading_space;
	bool is_poisoned;   /* D20 */
	bool at_end;        /* in session_end */
	struct answer held; /* local submission: the verdict for the end */
	struct meta *meta;
	const char *helo, *client_name; /* NULL: not said, not verified */
	bool authenticated;
	int64_t rcpts_counted; /* for max_messages_per_connection */
	struct domain_cache domains;
	struct transaction *tx; /* NULL: between transactions */
};

struct session *session_new(struct service *service) MUST_USE;
void session_free(struct session *s);
/* At the start of each callback: a newer policy is looked for, what the last
 * callback answered is forgotten. */
void session_wake(struct session *s);
struct arena *session_scratch(struct session *s);

/* addr NULL or not IP: the client is unknown. */
struct answer session_connect(struct session *s, const char *hostname,
    const struct sockaddr *addr, const struct macros *macros);
struct answer session_helo(
    struct session *s, const char *domain, const struct macros *macros);
struct answer session_mail(
    struct session *s, char **argv, const struct macros *macros);
struct answer session_rcpt(
    struct session *s, char **argv, const struct macros *macros);
void session_header(struct session *s, const char *name, const char *value);
void session_end_of_headers(struct session *s);
void session_body(struct session *s, const void *p, size_t len);
/* Policy, custody, verdict.  ANSWER_ACCEPT with tx->is_done means: ours are
 * settled, remove them from the MTA's envelope, then accept. */
struct answer session_end(struct session *s, const struct macros *macros,
    custody_progress_fn *progress, void *progress_ctx);
/* The transaction is over, whatever became of it. */
void session_reset(struct session *s);

/* ---- between the files of a session ---- */

/* Who we say we are: the listener's hostname, else the host's. */
const char *session_hostname(const struct session *s);
/* The answer to mail while intake is closed (service_has_room says why). */
struct answer session_no_room(struct session *s, const struct err *why);
/* For local submission a user without a domain is one of this host. */
bool session_parse_address(struct session *s, const char *text,
    struct arena *arena, struct address *out, struct err *err) MUST_USE;
/* "Name: value CRLF" as it was received. */
void header_rebuild(struct buf *line, const char *name, const char *value,
    bool has_leading_space);

/* For the local end of the connection; sets s->local, s->local_port. */
void session_find_local(struct session *s, const struct macros *macros);
bool macro_to_ip(const char *text, struct ip_addr *out);

/* What the MTA calls a recipient whose source route it has dropped:
 * "<@a,@b:x@y>" is "<x@y>". */
char *rcpt_without_route(struct arena *arena, const char *text);

/* Decides by the policy language, 7.2, with the domains' records looked up.
 * False: the policy refused or failed, *refusal says how. */
struct rcpt_decision {
	struct relay_answer relay;
	bool recipient_listed;   /* get_listener_domain knew the domain */
	const char *admitted_by; /* in `arena` */
};
bool rcpt_decide(struct session *s, const struct address *sender,
    const struct address *recipient, int64_t deadline, struct arena *arena,
    struct rcpt_decision *out, struct answer *refusal) MUST_USE;

#endif
