/*
 * listener_params.c - the rows of kumo.start_esmtp_listener
 *
 * via, peer and the dynamic parameters take the same rows without those marked
 * PARAM_STATIC.  Their tables nest, so they are read by hand: each block is
 * parsed for its errors and then kept as it was written, since which of them
 * apply is only known when a client is there (listener.c).
 */
#include "policy/listener.h"

#include "base/diag.h"
#include "policy/host_name.h"
#include "policy/param_rows.h"

#define S trace_headers
static const struct param_spec trace_specs[] = {
    P_BOOL(S, received_header, .fallback = "true",
	.help = "Whether to add a Received header."),
    P_BOOL(S, supplemental_header, .fallback = "true",
	.help = "Whether to add a header that names the recipient, encoded, "
		"so that a feedback report can be matched to it."),
    P_STRING(S, header_name, .fallback = "X-KumoRef",
	.help = "The name of the supplemental header."),
    P_STRING_LIST(S, include_meta_names, .fallback = "{}",
	.help = "Names of message metadata to put into the supplemental "
		"header."),
    P_BOOL(S, include_recipients, .fallback = "false",
	.help = "Name every recipient in the supplemental header of a message "
		"that has several. It tells each of them about the others."),
};
#undef S

/* RFC 5322, 3.6.8: any printable ASCII character except the colon. */
static bool check_trace_headers(const void *record, struct err *err)
{
	const struct trace_headers *trace = record;
	const char *s = trace->header_name;
	char shown[80];

	while (*s > ' ' && *s < 127 && *s != ':')
		s++;
	if (!*s && s != trace->header_name)
		return true;
	return err_set(err, ERR_CONFIG,
	    "header_name: invalid value: \"%s\", expected the name of a "
	    "header: printable ASCII without blanks and colons",
	    diag_quote(shown, sizeof shown, trace->header_name,
		strlen(trace->header_name)));
}

static const struct param_set trace_headers_params = {
    .name = "trace_headers",
    .intro = "A table given in an override replaces the whole of the earlier "
	     "one.",
    .record_size = sizeof(struct trace_headers),
    .specs = trace_specs,
    .count = COUNT(trace_specs),
    .check = check_trace_headers,
};

/* Each block with a key that is a CIDR and parameters that parse. */
static bool check_blocks(const struct value *v, struct err *err)
{
	struct arena *scratch;
	bool ok = true;

	if (v->type != VALUE_MAP && !param_is_empty_table(v))
		return param_type_error(
		    err, v, "a table of blocks by address or CIDR");
	scratch = arena_new(0);
	for (size_t i = 0; ok && i < v->count; i++) {
		const struct value_entry *e = &v->entries[i];
		struct listener record = *listener_defaults();
		struct err why = {0};
		struct cidr cidr;

		ok = (cidr_parse(e->key, &cidr, &why) ||
			 param_refused(err, &why)) &&
		     (param_fill_over(&listener_override_params, &e->value,
			  scratch, &record, err) ||
			 err_prefix(err, "%s", e->key));
	}
	arena_unref(scratch);
	return ok;
}

static bool keep_blocks(const struct value *v, const struct value **field,
    struct arena *arena, struct err *err)
{
	struct value *copy;

	if (!check_blocks(v, err))
		return false;
	copy = ARENA_NEW(arena, struct value);
	*copy = value_copy(arena, v);
	*field = copy;
	return true;
}

static bool read_via(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	return keep_blocks(v, &((struct listener *)record)->via, arena, err);
}

static bool read_peer(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	return keep_blocks(v, &((struct listener *)record)->peer, arena, err);
}

static struct value print_blocks(const struct value *v, struct arena *arena)
{
	return v ? value_copy(arena, v) : (struct value){.type = VALUE_NIL};
}

static struct value print_via(const void *record, struct arena *arena)
{
	return print_blocks(((const struct listener *)record)->via, arena);
}

static struct value print_peer(const void *record, struct arena *arena)
{
	return print_blocks(((const struct listener *)record)->peer, arena);
}

static const struct param_enum_name batch_names[] = {
    {"BifurcateAlways", BATCH_BIFURCATE_ALWAYS},
    {"BatchByDomain", BATCH_BY_DOMAIN},
    {NULL, 0},
};

static const struct param_enum_name line_ending_names[] = {
    {"Deny", LINE_ENDINGS_DENY},
    {"Allow", LINE_ENDINGS_ALLOW},
    {"Fix", LINE_ENDINGS_FIX},
    {NULL, 0},
};

#define S listener
static const struct param_spec specs[] = {
    P_STRING(S, listen, .flags = PARAM_STATIC, .fallback = "127.0.0.1:2025",
	.help = "Where the MTA listens, as ADDRESS:PORT; 0.0.0.0 or [::] for "
		"every address of a family. It tells which connections these "
		"parameters are for; nothing is bound here."),
    P_STRING(S, hostname, .shown = "the system's host name",
	.help = "The name in the greeting and in Received headers."),
    P_STRING(S, banner, .shown = "the product's name",
	.help = "The text after the host name in the greeting. "
		"The MTA says it."),
    P_CIDR_LIST(S, relay_hosts, .fallback = "127.0.0.1, ::1",
	.help = "Clients that may send anything anywhere. An empty list is "
		"nobody."),
    P_KEY_SOURCE(S, tls_certificate,
	.help = "The certificate that the MTA presents. Without one it offers "
		"no STARTTLS."),
    P_KEY_SOURCE(S, tls_private_key, .flags = PARAM_SECRET,
	.help = "The key that belongs to tls_certificate."),
    P_KEY_SOURCE(S, tls_required_client_ca,
	.help = "The authority by which client certificates are verified; "
		"they are required then. The MTA enforces it."),
    P_INT(S, max_message_size, 1, INT64_MAX, .fallback = "20971520",
	.help = "A message of so many bytes or more, headers included, is "
		"refused with 552 5.3.4."),
    P_INT(S, max_recipients_per_message, 1, INT64_MAX, .fallback = "1024",
	.help = "Further recipients of a message are answered 452 4.5.3."),
    P_INT(S, max_messages_per_connection, 1, INT64_MAX, .fallback = "10000",
	.help = "Counts the recipients that passed the relay rules on one "
		"connection; when reached, 421 4.5.3, or 452 4.5.3 once a "
		"message has a recipient."),
    P_INT(S, max_connections, 1, INT64_MAX, .flags = PARAM_STATIC,
	.fallback = "32768",
	.help = "Connections at one time; those beyond are answered "
		"421 4.3.2."),
    P_MAP(S, meta,
	.help = "Values for the metadata of the connection, set one by one "
		"over what is there."),
    P_CUSTOM(S, via, read_via, print_via,
	.help = "Blocks of parameters by the local address of a connection, "
		"as address or CIDR. Of those that match, the longest prefix "
		"applies, after peer."),
    P_CUSTOM(S, peer, read_peer, print_peer,
	.help = "Blocks of parameters by the address of the client, as "
		"address or CIDR. Of those that match, the longest prefix "
		"applies."),
    P_RECORD(S, trace_headers, struct trace_headers, &trace_headers_params,
	.help = "Headers that tell where a message came in."),
    P_ENUM(S, batch_handling, batch_names, .fallback = "BifurcateAlways",
	.help = "Whether a transaction becomes one message a recipient, or "
		"one a domain."),
    P_DURATION(S, data_processing_timeout, .fallback = "90s",
	.help = "Time for the policy and the queue at the end of a message; "
		"then 451 4.4.5 and nothing is kept. Must be less than what "
		"the MTA waits for a milter."),
    P_DURATION(S, client_timeout, .fallback = "1 minute",
	.help = "How long the MTA waits for a command."),
    P_BOOL(S, deferred_spool, .flags = PARAM_IGNORED, .fallback = "false",
	.help = "Ignored: a message is on disk before it is acknowledged."),
    P_BOOL(S, deferred_queue, .fallback = "false",
	.help = "Take messages without smtp_server_message_received; the "
		"router runs smtp_server_message_deferred_inject for them."),
    P_ENUM(S, invalid_line_endings, line_ending_names, .fallback = "Deny",
	.help = "What becomes of a CR or LF that stands alone: 552 5.6.0, "
		"nothing, or CRLF. Postfix has made CRLF of them before."),
    P_INT(S, line_length_hard_limit, 1, INT64_MAX, .fallback = "998",
	.help = "A message with a line of more bytes than this, CRLF not "
		"counted, is refused with 500 5.2.3."),
    P_BOOL(S, allow_xclient, .fallback = "false",
	.help = "Whether the client may use XCLIENT. The MTA enforces it."),
    P_BOOL(S, require_proxy_protocol, .fallback = "false",
	.help = "Whether connections begin with a PROXY header. "
		"The MTA reads it."),
    P_INT(S, data_buffer_size, 1, INT64_MAX, .flags = PARAM_IGNORED,
	.fallback = "131072",
	.help = "Ignored: reading from the network is the MTA's business."),
};
#undef S

static void prepare(void *record)
{
	((struct listener *)record)->hostname = host_name();
}

/* It is a line of the MTA's configuration, and of SMTP. */
static bool check_banner(const char *banner, struct err *err)
{
	char shown[80];

	for (const char *s = banner; s && *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return err_set(err, ERR_CONFIG,
			    "banner: invalid value: \"%s\", expected one line "
			    "without control characters",
			    diag_quote(
				shown, sizeof shown, banner, strlen(banner)));
	return true;
}

static bool check(const void *record, struct err *err)
{
	const struct listener *listener = record;
	struct ip_addr ip;
	uint16_t port;

	if (!listener_listen_parse(listener->listen, &ip, &port))
		return err_set(err, ERR_CONFIG,
		    "listen: invalid value: \"%.80s\", expected ADDRESS:PORT",
		    listener->listen);
	if (listener->data_processing_timeout.ms == 0)
		return err_set(err, ERR_CONFIG,
		    "data_processing_timeout: invalid value: 0s leaves no "
		    "time to accept a message");
	return check_banner(listener->banner, err) &&
	       param_check_word("hostname", listener->hostname, err);
}

const struct param_set listener_params = {
    .name = "start_esmtp_listener",
    .intro = "What holds for mail that comes in through one service of the "
	     "MTA.",
    .record_size = sizeof(struct listener),
    .specs = specs,
    .count = COUNT(specs),
    .prepare = prepare,
    .check = check,
};

const struct param_set listener_override_params = {
    .name = "smtp_server_get_dynamic_parameters",
    .intro = "Parameters of a listener for one connection.",
    .record_size = sizeof(struct listener),
    .specs = specs,
    .count = COUNT(specs),
    .prepare = prepare,
    .check = check,
    .overrides = true,
};

const struct listener *listener_defaults(void)
{
	static const void *_Atomic slot;

	return param_constant(&listener_params, NULL, &slot);
}
