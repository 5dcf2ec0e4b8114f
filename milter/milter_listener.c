/*
 * milter_listener.c - connect: which parameters hold for this connection
 *
 * The local end comes from macros, whose meaning differs: Postfix gives the
 * real address and port in {daemon_addr} and {daemon_port}; Sendmail gives the
 * listener's (0.0.0.0) there and the real address in {if_addr}, except on
 * loopback, where {if_name} may be "[127.0.0.5]".  {daemon_name} is what
 * mta-config sets to IP:PORT: the fallback for both.  (Policy language, 5.2.)
 */
#include "base/diag.h"
#include "base/str.h"
#include "milter/milter_compare.h"
#include "milter/milter_event.h"

/* "IPv6:fd09::100", "[127.0.0.5]" */
bool macro_to_ip(const char *text, struct ip_addr *out)
{
	char copy[IP_TEXT + 2];
	size_t len;

	if (!text)
		return false;
	if (str_ncase_eq(text, "IPv6:", 5))
		text += 5;
	len = strlen(text);
	if (len > 2 && *text == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof copy)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return ip_parse(copy, out);
}

void session_find_local(struct session *s, const struct macros *macros)
{
	const char *port = macro(macros, "{daemon_port}");
	const char *name = macro(macros, "{daemon_name}");
	struct ip_addr ip, named_ip;
	uint16_t named_port = 0;
	bool named = name && ip_port_parse(name, &named_ip, &named_port);
	int64_t n;

	if (port && str_to_int(port, &n) && n > 0 && n <= 65535)
		s->local_port = (uint16_t)n;
	else if (named)
		s->local_port = named_port;

	if (macro_to_ip(macro(macros, "{if_addr}"), &ip) && !ip_is_any(&ip))
		s->local = ip;
	else if (macro_to_ip(macro(macros, "{daemon_addr}"), &ip) &&
		 !ip_is_any(&ip))
		s->local = ip;
	else if (macro_to_ip(macro(macros, "{if_name}"), &ip))
		s->local = ip;
	else if (named && !ip_is_any(&named_ip))
		s->local = named_ip;
	else if (s->peer.family && ip_is_loopback(&s->peer))
		(void)ip_parse(s->peer.family == AF_INET6 ? "::1" : "127.0.0.1",
		    &s->local);
	if (s->local.family)
		(void)ip_print(s->local_text, &s->local);
}

/* Pickup: mail that a program on this machine gave to the MTA. */
static bool is_local_submission(
    const struct session *s, const char *hostname, const struct macros *macros)
{
	const char *port = macro(macros, "{daemon_port}");

	return hostname && str_eq(hostname, "localhost") &&
	       str_eq(s->peer_text, "127.0.0.1") && s->peer_port == 0 && port &&
	       str_eq(port, "0");
}

/* Postfix says "unknown" for a name that does not lead back, Sendmail puts the
 * address there or says in {client_resolve} what is wrong with the name. */
static const char *verified_name(
    const char *hostname, const struct macros *macros)
{
	const char *resolve = macro(macros, "{client_resolve}");

	if (!hostname || !*hostname || *hostname == '[' ||
	    str_case_eq(hostname, "unknown") ||
	    (resolve && !str_eq(resolve, "OK")))
		return NULL;
	return hostname;
}

static void set_meta(const char *name, const struct value *v, void *ctx)
{
	struct session *s = ctx;

	meta_set(s->meta, name, v);
}

static void describe_ends(struct session *s)
{
	static const struct ip_addr nowhere = {.family = AF_INET};
	char text[ENDPOINT_TEXT];

	meta_set_string(s->meta, "reception_protocol", "ESMTP");
	meta_set_string(s->meta, "received_via",
	    ip_port_print(
		text, s->local.family ? &s->local : &nowhere, s->local_port));
	/* A client without an address has no received_from: a policy that
	 * looks there must not find an address that it may trust. */
	if (s->peer.family)
		meta_set_string(s->meta, "received_from",
		    ip_port_print(text, &s->peer, s->peer_port));
	if (s->client_name)
		meta_set_string(s->meta, "client_name", s->client_name);
}

/* Defaults, then the listener that owns the connection. */
static bool apply_listener(struct session *s, struct err *err)
{
	const struct policy_setup *setup =
	    script_policy_setup(s->params_policy);
	const struct ip_addr *local =
	    s->local.family && !s->is_local_submission ? &s->local : NULL;
	const struct listener *owner =
	    listener_find(setup->listeners, setup->listener_count, local,
		s->is_local_submission ? 0 : s->local_port);

	s->params = *listener_defaults();
	meta_set_string(s->meta, "hostname", session_hostname(s));
	if (!owner) {
		s->listener_text = arena_strdup(
		    s->arena, meta_get_string(s->meta, "received_via"));
		if (setup->listener_count > 0 &&
		    service_once(
			s->service, arena_printf(session_scratch(s),
					"no listener %s", s->listener_text)))
			diag_warn("%s: no listener of the policy for %s: "
				  "built-in parameters apply",
			    s->id, s->listener_text);
		return true;
	}
	s->listener_text = owner->listen;
	for (size_t i = 0; i < setup->listener_count; i++) {
		if (setup->listeners[i] != owner)
			continue;
		s->relay_hosts_where =
		    arena_strdup(s->arena, setup->listener_where[i]);
		return listener_apply(&s->params, setup->listener_values[i],
		    true, s->peer.family ? &s->peer : NULL,
		    s->local.family ? &s->local : NULL, s->arena, set_meta, s,
		    err);
	}
	return true;
}

/* What came back cannot be used: where it came from stands in the policy. */
static struct answer unusable(struct session *s, const char *name,
    const struct script_call *call, const char *what)
{
	const char *where = script_call_where(call);
	size_t len = strlen(name);

	/* The set of parameters has the event's name. */
	if (str_starts(what, name) && str_starts(what + len, ": "))
		what += len + 2;
	return event_failed(s, name,
	    arena_printf(
		session_scratch(s), "%s%s%s", where, *where ? ": " : "", what));
}

static bool apply_dynamic(struct session *s, struct answer *refusal)
{
	static const char name[] = "smtp_server_get_dynamic_parameters";
	struct script_call *call = event_begin(s, name);
	struct value overrides = {.type = VALUE_NIL};
	const void *hosts = s->params.relay_hosts.items;
	struct err err = {0};
	bool ok = false;

	if (!call)
		return true;
	script_arg_string(call, s->listener_text);
	script_arg_conn_meta(call, s->meta);
	if (!event_run(s, call, name, event_deadline(), refusal))
		goto out;
	/* The record will point into it: it has to outlive the call. */
	if (script_call_outcome(call) == SCRIPT_VALUE)
		overrides = value_copy(s->arena, script_call_result(call));
	if (overrides.type == VALUE_NIL)
		ok = true;
	else if (overrides.type != VALUE_MAP)
		(void)err_set(&err, ERR_CONFIG, "expected a table, got a %s",
		    value_type_name(overrides.type));
	else
		ok = listener_apply(&s->params, &overrides, false,
		    s->peer.family ? &s->peer : NULL,
		    s->local.family ? &s->local : NULL, s->arena, set_meta, s,
		    &err);
	if (!ok)
		*refusal = unusable(s, name, call, err.text);
	if (s->params.relay_hosts.items != hosts)
		s->relay_hosts_where =
		    arena_strdup(s->arena, script_call_where(call));
out:
	script_call_free(call);
	return ok;
}

static bool ask_accepted(struct session *s, struct answer *refusal)
{
	static const char name[] = "smtp_server_connection_accepted";
	struct script_call *call = event_begin(s, name);
	bool ok;

	if (!call)
		return true;
	script_arg_conn_meta(call, s->meta);
	ok = event_run(s, call, name, event_deadline(), refusal);
	script_call_free(call);
	return ok;
}

struct answer session_connect(struct session *s, const char *hostname,
    const struct sockaddr *addr, const struct macros *macros)
{
	const char *version = macro(macros, "v");
	struct answer refusal = answer_continue();
	struct err err = {0};

	if (addr && ip_from_sockaddr(addr, &s->peer, &s->peer_port))
		(void)ip_print(s->peer_text, &s->peer);
	s->is_postfix = version && str_starts(version, "Postfix");
	s->is_local_submission = is_local_submission(s, hostname, macros);
	s->client_name =
	    arena_strdup(s->arena, verified_name(hostname, macros));
	session_find_local(s, macros);
	describe_ends(s);

	if (atomic_load(&s->service->draining))
		return answer_shed(session_scratch(s), 421, "4.3.2",
		    "shutting down, try again later");
	if (!service_has_room(s->service, SERVICE_PATIENCE_MS, &err))
		return answer_shed(session_scratch(s), 421, "4.3.2",
		    "no room for mail now, try again later");
	if (!apply_listener(s, &err))
		return event_failed(s, "start_esmtp_listener", err.text);
	if (!service_connected(s->service, s->listener_text,
		s->params.max_connections, &s->counted))
		return answer_shed(session_scratch(s), 421, "4.3.2",
		    "too many connections, try again later");
	if (!apply_dynamic(s, &refusal))
		return refusal;
	compare_connect(s, macros);
	if (!ask_accepted(s, &refusal))
		return refusal;
	return answer_continue();
}
