#include "policy/egress_source.h"

#include "policy/param_rows.h"

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
    P_ENDPOINT(S, ha_proxy_server, .flags = PARAM_UNSUPPORTED,
	.help = "HAProxy to connect through. Not supported yet."),
    P_ADDRESS(S, ha_proxy_source_address, .flags = PARAM_UNSUPPORTED,
	.help = "Address that the HAProxy binds on our behalf. "
		"Not supported yet."),
    P_ENDPOINT(S, socks5_proxy_server, .flags = PARAM_UNSUPPORTED,
	.help = "SOCKS5 proxy to connect through. Not supported yet."),
    P_ADDRESS(S, socks5_proxy_source_address, .flags = PARAM_UNSUPPORTED,
	.help = "Address that the SOCKS5 proxy binds on our behalf. "
		"Not supported yet."),
    P_STRING(S, socks5_proxy_username, .flags = PARAM_UNSUPPORTED,
	.help = "User at the SOCKS5 proxy. Not supported yet."),
    P_KEY_SOURCE(S, socks5_proxy_password,
	.flags = PARAM_UNSUPPORTED | PARAM_SECRET,
	.help = "Password at the SOCKS5 proxy. Not supported yet."),
    P_MAP(S, suspend_when_unplumbed, .flags = PARAM_UNSUPPORTED,
	.help = "How long to leave the source alone when its address is not "
		"on this host. Not supported yet."),
    P_MAP(S, suspend_when_proxy_unhealthy, .flags = PARAM_UNSUPPORTED,
	.help = "How long to leave the source alone when its proxy fails. "
		"Not supported yet."),
    P_DURATION(S, ttl, .fallback = "60s",
	.help = "How long the definition may be reused before asking again."),
};
#undef S

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
