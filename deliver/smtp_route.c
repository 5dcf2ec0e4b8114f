/*
 * smtp_route.c - the candidates of a plan, one after the other
 */
#include "deliver/smtp_route.h"

#include "base/arena.h"
#include "base/diag.h"
#include "deliver/smtp_bounds.h"
#include "net/mx.h"
#include "net/tlsa.h"

void smtp_route_init(struct smtp_route *r, const struct delivery_plan *plan)
{
	*r = (struct smtp_route){.plan = plan, .tls_broken = plan->tls_broken};
}

void smtp_route_release(struct smtp_route *r)
{
	buf_release(&r->reasons);
}

static const struct candidate *current(const struct smtp_route *r)
{
	return &r->plan->candidates[r->at - 1];
}

void smtp_route_failed(struct smtp_route *r, const char *why)
{
	const struct candidate *c = current(r);
	char where[ENDPOINT_TEXT];

	r->failed++;
	diag_debug("%s: host=%s failed: %s", r->plan->session_id, c->name, why);
	if (r->reasons.len > SMTP_REASONS_MOST)
		return;
	if (r->reasons.len)
		buf_addstr(&r->reasons, "; ");
	buf_addf(&r->reasons, "%s (%s): %s", c->name,
	    c->path ? c->path : ip_port_print(where, &c->ip, c->port), why);
}

/* That between us and the current candidate. */
static const struct proxy *proxy_of(const struct smtp_route *r)
{
	return current(r)->path || !r->plan->source ? NULL : r->plan->proxy;
}

void smtp_route_proxy_failed(struct smtp_route *r, const char *why)
{
	const struct proxy *proxy = proxy_of(r);
	char from[IP_TEXT], text[512];

	invariant(proxy && r->plan->source);
	(void)snprintf(text, sizeof text, "source %s: %s %s, asked for %s: %s",
	    r->plan->source->name,
	    proxy->kind == PROXY_HAPROXY ? "HAProxy" : "SOCKS5 proxy",
	    proxy->name, ip_print(from, &proxy->source), why);
	r->proxy_failed++;
	smtp_route_failed(r, text);
}

bool smtp_route_has_proxy(const struct smtp_route *r)
{
	return proxy_of(r) != NULL;
}

static bool connect_to(
    struct smtp_route *r, const struct candidate *c, struct smtp_wire *wire)
{
	const struct egress_source *source = r->plan->source;
	const struct proxy *proxy = proxy_of(r);
	bool unplumbed = false;
	struct err err = {0};
	char text[IP_TEXT];

	if (proxy && proxy->source.family != c->ip.family &&
	    !ip_is_any(&proxy->source)) {
		(void)err_set(&err, ERR_TEMP,
		    "the proxy's source address %s is not of the address "
		    "family of the host",
		    ip_print(text, &proxy->source));
		smtp_route_failed(r, err.text);
		return false;
	}
	if (smtp_wire_connect(wire, c, source ? source->source_address : NULL,
		proxy, &unplumbed, &err))
		return true;
	r->unplumbed += unplumbed;
	if (proxy && !unplumbed)
		smtp_route_proxy_failed(r, err.text);
	else
		smtp_route_failed(r, err.text);
	return false;
}

/* What records say of our side. */
static void set_source(const struct smtp_route *r, struct session_facts *facts)
{
	facts->proxy = proxy_of(r);
	if (facts->proxy)
		ip_port_print(facts->source_address, &facts->proxy->source, 0);
}

bool smtp_route_connect(
    struct smtp_route *r, struct smtp_wire *wire, struct session_facts *facts)
{
	while (r->at < r->plan->count) {
		const struct candidate *c = &r->plan->candidates[r->at++];

		if (!connect_to(r, c, wire))
			continue;
		facts->peer_name = c->name;
		facts->peer_ip = c->ip;
		facts->peer_port = c->port;
		set_source(r, facts);
		return true;
	}
	return false;
}

const char *smtp_route_reasons(const struct smtp_route *r)
{
	return r->reasons.len ? r->reasons.data : "no host to try";
}

void smtp_route_give_up(const struct smtp_route *r, struct session_facts *facts)
{
	facts->source_unplumbed = r->failed && r->unplumbed == r->failed;
	facts->proxy_failed = r->failed && r->proxy_failed == r->failed;
	if (r->at && r->proxy_failed)
		set_source(r, facts);
}

void smtp_route_again(struct smtp_route *r)
{
	r->at--;
}

const struct candidate *smtp_route_candidate(const struct smtp_route *r)
{
	return current(r);
}

enum tls_mode smtp_route_tls(const struct smtp_route *r)
{
	enum tls_mode mode = current(r)->tls;

	if (r->tls_broken &&
	    (mode == TLS_OPPORTUNISTIC || mode == TLS_OPPORTUNISTIC_INSECURE))
		return TLS_DISABLED;
	return mode;
}

void smtp_route_request(
    const struct smtp_route *r, struct arena *arena, struct tls_request *out)
{
	const struct candidate *c = current(r);
	enum tls_mode mode = smtp_route_tls(r);
	const char *name;
	char text[IP_TEXT];
	struct ip_addr ip;
	uint16_t port;

	*out = (struct tls_request){.profile = r->plan->tls_profile};
	if (c->tlsa) {
		out->tlsa = c->tlsa;
		out->next_hop = c->next_hop;
		out->sni = out->verify_name = c->tlsa->base;
		return;
	}
	if (!mx_name_parse(c->name, arena, &name, &ip, &port, NULL))
		name = c->name;
	else if (ip.family)
		name = arena_strdup(arena, ip_print(text, &ip));
	else
		out->sni = name;
	out->report_only =
	    c->report_only && mode != TLS_OPPORTUNISTIC && mode != TLS_REQUIRED;
	if (mode == TLS_OPPORTUNISTIC || mode == TLS_REQUIRED ||
	    out->report_only)
		out->verify_name = name;
}
