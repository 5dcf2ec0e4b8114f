/*
 * listener.h - what kumo.start_esmtp_listener sets, and how blocks nest
 *
 * A listener's parameters for one connection are built as the policy language,
 * 5.3, says: defaults, the listener, its peer entry, its via entry, then the
 * dynamic overrides in the same manner.
 *
 * Ownership: a record lives in the arena it was parsed into.
 * Threads:   never changes once parsed.
 */
#ifndef POLICY_LISTENER_H
#define POLICY_LISTENER_H

#include "base/cidr.h"
#include "base/duration.h"
#include "base/ip.h"
#include "base/value.h"
#include "policy/param.h"

enum batch_handling { BATCH_BIFURCATE_ALWAYS, BATCH_BY_DOMAIN };

/* What to do with a CR or LF that stands alone. */
enum line_endings { LINE_ENDINGS_DENY, LINE_ENDINGS_ALLOW, LINE_ENDINGS_FIX };

struct trace_headers {
	uint64_t given[2];
	bool received_header;
	bool supplemental_header;
	const char *header_name;
	struct string_list include_meta_names;
	bool include_recipients;
};

struct listener {
	uint64_t given[2];    /* which keys were there; see param.h */
	const char *listen;   /* as written */
	const char *hostname; /* never NULL */
	const char *banner;   /* NULL: the product's name */
	struct cidr_list relay_hosts;
	const struct value *tls_certificate, *tls_private_key;
	const struct value *tls_required_client_ca;
	int64_t max_message_size;
	int64_t max_recipients_per_message;
	int64_t max_messages_per_connection;
	int64_t max_connections;
	const struct value *meta;       /* map, NULL: none */
	const struct value *via, *peer; /* maps of CIDR -> table, checked */
	struct trace_headers trace_headers;
	enum batch_handling batch_handling;
	struct duration data_processing_timeout;
	struct duration client_timeout;
	bool deferred_spool, deferred_queue;
	enum line_endings invalid_line_endings;
	int64_t line_length_hard_limit;
	bool allow_xclient, require_proxy_protocol;
	int64_t data_buffer_size;
};

extern const struct param_set listener_params; /* start_esmtp_listener */
extern const struct param_set listener_override_params; /* via, peer, dynamic */

/* The defaults, for a connection that no listener owns. */
const struct listener *listener_defaults(void);

/* "0.0.0.0:25", "0:25", "[::]:25", ":::25" */
bool listener_listen_parse(const char *text, struct ip_addr *ip, uint16_t *port)
    MUST_USE;

/* Which listener owns the connection (policy language, 5.2); NULL: none.
 * local NULL or family 0: unknown; port 0: unknown. */
const struct listener *listener_find(const struct listener *const *all,
    size_t count, const struct ip_addr *local, uint16_t port);

typedef void listener_meta_fn(
    const char *name, const struct value *v, void *ctx);

/* Applies one block over `record` (nested peer and via included); calls `meta`
 * for hostname and for each entry of meta tables, in order.  Start with a copy
 * of listener_defaults(), whose hostname is the first meta.hostname.
 *
 * is_top: the block is the table of a listener, which start_esmtp_listener has
 * checked.  Otherwise it comes from the dynamic parameters and is checked here,
 * all of it, before anything is applied: a mistake in an entry that does not
 * match today is one nevertheless.
 *
 * What `record` gets is in `arena`; the values that `meta` is given are the
 * block's and must be copied. */
/* peer or local NULL, or of family 0: unknown, matches no entry. */
bool listener_apply(struct listener *record, const struct value *block,
    bool is_top, const struct ip_addr *peer, const struct ip_addr *local,
    struct arena *arena, listener_meta_fn *meta, void *ctx, struct err *err)
    MUST_USE;

/* The largest max_message_size in any of the listeners and of their blocks: an
 * MTA knows one for all.  `tables` are what the listeners were made from. */
int64_t listener_largest_message(const struct listener *const *all,
    const struct value *const *tables, size_t count);

/* The lines after the first of the MTA's answer to EHLO (policy language, 6.1,
 * #3).  `listener`: the effective parameters; max_size: what SIZE says; in_tls:
 * STARTTLS is not offered again. */
struct value listener_extensions(const struct listener *listener,
    int64_t max_size, bool is_postfix, bool in_tls, struct arena *arena);

#endif
