/*
 * milter_compare.c - what only the MTA can do, held against what it shows
 */
#include "milter/milter_compare.h"

#include "base/diag.h"
#include "base/str.h"

/* "10.0.0.1:25" */
static const char *local_end(const struct session *s)
{
	return meta_get_string(s->meta, "received_via");
}

static bool first_time(struct session *s, const char *setting)
{
	return service_once(s->service,
	    arena_printf(session_scratch(s), "%s %s", setting, local_end(s)));
}

static void compare_hostname(struct session *s, const struct macros *macros)
{
	const char *said = macro(macros, "j");

	if (!said || !param_given(&listener_params, &s->params, "hostname") ||
	    str_case_eq(said, s->params.hostname) || !first_time(s, "hostname"))
		return;
	diag_warn("%s: %s: the policy's hostname is %s, the MTA greets as %s: "
		  "clients see the latter, Received headers say the former; "
		  "set myhostname (Postfix) or confDOMAIN_NAME (Sendmail) of "
		  "this service",
	    s->id, local_end(s), s->params.hostname, said);
}

/* mta-config names a service after the address that it listens on. */
static void compare_listen(struct session *s, const struct macros *macros)
{
	const char *name = macro(macros, "{daemon_name}");
	struct ip_addr ip;
	uint16_t port;

	if (!name || !ip_port_parse(name, &ip, &port) || !s->local.family ||
	    s->local_port == 0)
		return;
	if (port == s->local_port && (ip_is_any(&ip) || ip_eq(&ip, &s->local)))
		return;
	if (first_time(s, "listen"))
		diag_warn("%s: %s: the MTA names the service of this address "
			  "%s: its configuration is not the one that was made "
			  "for it",
		    s->id, local_end(s), name);
}

void compare_connect(struct session *s, const struct macros *macros)
{
	if (s->is_local_submission)
		return; /* pickup is no service of a listener */
	compare_hostname(s, macros);
	compare_listen(s, macros);
}

void compare_tls(struct session *s)
{
	if (!s->params.tls_required_client_ca ||
	    !meta_get(s->meta, "tls_protocol_version") ||
	    meta_get(s->meta, "tls_peer_subject_name") ||
	    !first_time(s, "tls_required_client_ca"))
		return;
	diag_warn("%s: %s: the policy has tls_required_client_ca, and a client "
		  "in TLS showed no certificate that the MTA trusts: the MTA "
		  "does not require it (Postfix: smtpd_tls_req_ccert)",
	    s->id, local_end(s));
}
