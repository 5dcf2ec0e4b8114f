/*
 * egress_source.c - the rows of kumo.make_egress_source
 */
#include "policy/egress_source.h"

#include <stdatomic.h>

#include "base/arena.h"
#include "base/diag.h"

#include "policy/param_rows.h"

/* "Immediate" or { Threshold = "N/period" } (policy language, 3.5). */
static bool read_trigger(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	struct source_suspension *s = record;
	const struct value *threshold = NULL;
	struct rate *rate;

	if (v->type == VALUE_STRING) {
		if (strcmp(v->s, "Immediate") == 0)
			return true;
		return param_value_error(err, v, "expected \"Immediate\"");
	}
	if (v->type == VALUE_MAP && v->count == 1)
		threshold = value_get(v, "Threshold");
	if (!threshold || threshold->type != VALUE_STRING)
		return param_type_error(
		    err, v, "\"Immediate\" or { Threshold = \"N/period\" }");
	rate = ARENA_NEW(arena, struct rate);
	s->trigger = rate;
	return rate_parse(threshold->s, rate, err);
}

static struct value print_trigger(const void *record, struct arena *arena)
{
	const struct source_suspension *s = record;
	struct value v = {.type = VALUE_MAP, .count = 1};
	char text[96];

	if (!s->trigger)
		return param_text(
		    arena, s->duration.ms > 0 ? "Immediate" : NULL);
	v.entries = ARENA_NEW(arena, struct value_entry);
	v.entries->key = "Threshold";
	v.entries->value = param_text(
	    arena, arena_strdup(arena, rate_print(text, s->trigger)));
	return v;
}

#define S source_suspension
static const struct param_spec suspension_specs[] = {
    P_CUSTOM(S, trigger, read_trigger, print_trigger, .shown = "Immediate",
	.help =
	    "\"Immediate\", or { Threshold = 'N/period' }: after N failures "
	    "within that time."),
    P_DURATION(S, duration, .shown = "required",
	.help = "How long the source is passed over."),
};
#undef S

static const struct param_set suspension_params = {
    .name = "suspension",
    .intro = "When a source is left alone.",
    .record_size = sizeof(struct source_suspension),
    .specs = suspension_specs,
    .count = COUNT(suspension_specs),
};

#define S egress_source
static const struct param_spec specs[] = {
    P_STRING(S, name, .flags = PARAM_REQUIRED,
	.help = "The name of the source, as it appears in log records."),
    P_ADDRESS(S, source_address,
	.help = "Local address to bind. The kernel chooses when absent."),
    P_STRING(S, ehlo_domain,
	.help = "Name to present in EHLO; the egress path's wins over it."),
    P_INT(S, remote_port, 1, 65535,
	.help = "Overrides the egress path's smtp_port, and a port in an "
		"mx_list or a domain."),
    P_ENDPOINT(S, ha_proxy_server,
	.help = "HAProxy to connect through, by the PROXY protocol, version "
		"2. Ignored without ha_proxy_source_address."),
    P_ADDRESS(S, ha_proxy_source_address,
	.help = "Address that the HAProxy binds on our behalf. Hosts of the "
		"other address family are passed over."),
    P_ENDPOINT(S, socks5_proxy_server,
	.help = "SOCKS5 proxy to connect through. Ignored without "
		"socks5_proxy_source_address, and when both fields for an "
		"HAProxy are given."),
    P_ADDRESS(S, socks5_proxy_source_address,
	.help = "Address that the SOCKS5 proxy binds on our behalf, asked for "
		"by BIND before CONNECT. 0.0.0.0 or :: asks for none, for "
		"servers that know only CONNECT."),
    P_STRING(S, socks5_proxy_username,
	.help = "User at the SOCKS5 proxy, with socks5_proxy_password."),
    P_KEY_SOURCE(S, socks5_proxy_password, .flags = PARAM_SECRET,
	.help = "Password at the SOCKS5 proxy. Looked at again every 5 "
		"minutes."),
    P_RECORD(S, suspend_when_unplumbed, struct source_suspension,
	&suspension_params, .flags = PARAM_AT_ONCE,
	.help = "Leave the source alone for so long when its address is not "
		"on this host: { duration = '5 mins' }, or with trigger = "
		"{ Threshold = '3/min' } only after so many attempts."),
    P_RECORD(S, suspend_when_proxy_unhealthy, struct source_suspension,
	&suspension_params, .flags = PARAM_AT_ONCE,
	.help = "The same when its proxy cannot be reached, is silent or "
		"refuses."),
    P_DURATION(S, ttl, .flags = PARAM_AT_ONCE, .fallback = "60s",
	.help = "How long the definition may be reused before asking again."),
};
#undef S

/* Not PARAM_REQUIRED: a source without the key has none. */
static bool has_duration(const struct egress_source *source, const char *key,
    const struct source_suspension *s, struct err *err)
{
	if (!param_given(&egress_source_params, source, key) ||
	    param_given(&suspension_params, s, "duration"))
		return true;
	return err_set(
	    err, ERR_CONFIG, "%s: duration: required key is missing", key);
}

/* Half a proxy is none: mail leaves from this host.  Said once, sources are
 * made again and again. */
static void warn_of_half(const struct egress_source *source, const char *kind,
    bool server, bool address)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;

	if (server != address && !atomic_flag_test_and_set(&said))
		diag_warn("make_egress_source: \"%.200s\": %s_proxy_%s is "
			  "missing: no proxy is used, mail leaves from this "
			  "host",
		    source->name, kind, server ? "source_address" : "server");
}

/* Ready queues are named "source->site": an arrow inside would lie. */
static bool check(const void *record, struct err *err)
{
	const struct egress_source *source = record;

	if (!*source->name)
		return err_set(
		    err, ERR_CONFIG, "name: invalid value: it is empty");
	if (strstr(source->name, "->"))
		return err_set(
		    err, ERR_CONFIG, "name: \"->\" may not stand in it");
	if (!has_duration(source, "suspend_when_unplumbed",
		&source->suspend_when_unplumbed, err) ||
	    !has_duration(source, "suspend_when_proxy_unhealthy",
		&source->suspend_when_proxy_unhealthy, err))
		return false;
	if (source->socks5_proxy_username &&
	    (!*source->socks5_proxy_username ||
		strlen(source->socks5_proxy_username) > 255))
		return err_set(err, ERR_CONFIG,
		    "socks5_proxy_username: invalid value: it has 1 to 255 "
		    "bytes (RFC 1929)");
	warn_of_half(source, "ha", source->ha_proxy_server,
	    source->ha_proxy_source_address);
	warn_of_half(source, "socks5", source->socks5_proxy_server,
	    source->socks5_proxy_source_address);
	return param_check_word("ehlo_domain", source->ehlo_domain, err);
}

const struct param_set egress_source_params = {
    .name = "make_egress_source",
    .intro = "A place that outbound mail can appear to come from.",
    .record_size = sizeof(struct egress_source),
    .specs = specs,
    .count = COUNT(specs),
    .check = check,
};

const struct egress_source *egress_source_unspecified(void)
{
	static const void *_Atomic slot;
	struct value_entry name = {"name", {.type = VALUE_STRING,
					       .s = "unspecified",
					       .len = strlen("unspecified")}};
	struct value table = {.type = VALUE_MAP, .count = 1, .entries = &name};

	return param_constant(&egress_source_params, &table, &slot);
}
