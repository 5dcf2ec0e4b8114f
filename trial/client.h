/*
 * client.h - a client's conversation with an MTA that is not there
 *
 * What a client does and what its MTA knows about it goes to the steps of a
 * session (milter/milter_steps.h) as libmilter would hand them on; what a
 * milter says comes back as the reply that the client would see.  What an MTA
 * answers without asking a milter (RCPT before MAIL, a message without
 * recipients, anything after a refused connection) is answered here.
 *
 * Ownership: replies and their texts live as long as the client.
 */
#ifndef TRIAL_CLIENT_H
#define TRIAL_CLIENT_H

#include "base/value.h"
#include "trial/world.h"

struct client_tls {
	const char *version, *cipher, *subject, *verify; /* NULL: not said */
};

/* What the MTA knows when a client connects. */
struct client_facts {
	const char *ip; /* NULL: a client without an address */
	uint16_t port;
	const char *name;      /* verified host name; NULL: none */
	const char *server;    /* "10.0.0.1:25"; NULL: the first listener's */
	const char *auth;      /* NULL: not authenticated */
	const char *authz;     /* NULL: the same */
	struct client_tls tls; /* version NULL: in clear */
	bool is_sendmail;
	bool is_local_submission;
	/* "{name}" and value, over what comes from the above; ends with NULL */
	const char *const *macros;
};

enum owner { OWNER_NONE, OWNER_PENSTOCK, OWNER_MTA };

struct client_reply {
	int code;
	char enhanced[16]; /* "": none, as for most of what is accepted */
	const char *text;
	bool by_mta;       /* no milter was asked */
	enum owner owner;  /* of an accepted recipient */
	const char *rule;  /* that admitted it; NULL: none */
	bool is_discarded; /* the MTA forgets the message: all of it is ours */
	size_t stored;     /* messages that the queue got */
};

struct client;

/* False: a fact is nonsense ("ip: ..."). */
bool client_connect(struct client **out, struct world *world,
    const struct client_facts *facts, struct err *err) MUST_USE;
void client_free(struct client *c); /* NULL is fine */
const struct client_reply *client_greeting(const struct client *c);

/* NULL: no longer authenticated.  Counts from the next MAIL. */
void client_set_auth(struct client *c, const char *authn, const char *authz);
void client_set_tls(struct client *c, const struct client_tls *tls);

const struct client_reply *client_ehlo(struct client *c, const char *name);
/* With or without <>; parameters end with NULL. */
const struct client_reply *client_mail(
    struct client *c, const char *address, const char *const *parameters);
const struct client_reply *client_rcpt(
    struct client *c, const char *address, const char *const *parameters);
/* The whole message, lines end with LF or CRLF; up to the final dot. */
const struct client_reply *client_message(
    struct client *c, const char *text, size_t len);
const struct client_reply *client_rset(struct client *c);

/* The session behind it: conn_meta, parameters. */
const struct session *client_session(const struct client *c);
/* What get_listener_domain says to this client; NIL: nil.  In the client's
 * arena.  False: the policy refused or failed, *reply says how. */
bool client_listener_domain(struct client *c, const char *domain,
    struct value *out, const struct client_reply **reply) MUST_USE;
/* The effective parameters of this connection, a map. */
struct value client_parameters(struct client *c, struct arena *arena);

#endif
