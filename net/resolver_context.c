/*
 * resolver_context.c - libunbound, set up as the resolver needs it
 */
#include "net/resolver_context.h"

#include <unbound.h>

#include "base/diag.h"

/* The option's name ends in a colon, as libunbound wants it. */
static const struct {
	const char *option, *value;
	bool forwarder_only;
} settings[] = {
    /* resolv.conf often names 127.0.0.53. */
    {"do-not-query-localhost:", "no"},
    {"local-zone:", "test. transparent"},
    /* The order is the server's; who wants another shuffles. */
    {"rrset-roundrobin:", "no"},
    {"unblock-lan-zones:", "yes"},
    {"insecure-lan-zones:", "yes"},
    {"msg-cache-size:", "8m"},
    {"rrset-cache-size:", "16m"},
    {"key-cache-size:", "2m"},
    {"neg-cache-size:", "1m"},
    {"cache-max-ttl:", "86400"},
    /* A server that failed once is asked again soon: there is no other. */
    {"infra-host-ttl:", "5", true},
    {"infra-cache-max-rtt:", "2000", true},
};

struct ub_ctx *resolver_context_new(
    const struct resolver_options *options, struct err *err)
{
	struct ub_ctx *ub = ub_ctx_create();
	int rc = 0;

	if (!ub) {
		err_errno(err, ERR_TEMP, "resolver: cannot make a context");
		return NULL;
	}
	/* libunbound's own words would go to stderr. */
	(void)ub_ctx_debugout(ub, NULL);
	for (size_t i = 0; i < COUNT(settings); i++) {
		if (settings[i].forwarder_only && !options->forwarder)
			continue;
		rc = ub_ctx_set_option(
		    ub, settings[i].option, settings[i].value);
		if (rc)
			diag_warn("resolver: option %s %s: %s",
			    settings[i].option, settings[i].value,
			    ub_strerror(rc));
	}
	if (options->forwarder) {
		rc = ub_ctx_set_fwd(ub, options->forwarder);
		if (rc) {
			err_set(err, ERR_CONFIG, "resolver: forwarder %s: %s",
			    options->forwarder, ub_strerror(rc));
			goto fail;
		}
	} else {
		rc = ub_ctx_resolvconf(ub, NULL);
		/* Then it asks the root servers itself. */
		if (rc)
			diag_warn("resolver: %s: %s", RESOLVER_RESOLV_CONF,
			    ub_strerror(rc));
	}
	if (!options->hosts_file || *options->hosts_file) {
		rc = ub_ctx_hosts(ub, options->hosts_file);
		if (rc)
			diag_warn("resolver: %s: %s",
			    options->hosts_file ? options->hosts_file
						: RESOLVER_HOSTS,
			    ub_strerror(rc));
	}
	if (options->trust_anchor_file) {
		rc = ub_ctx_add_ta_file(ub, options->trust_anchor_file);
		if (rc) {
			err_set(err, ERR_CONFIG, "resolver: %s: %s",
			    options->trust_anchor_file, ub_strerror(rc));
			goto fail;
		}
	}
	rc = ub_ctx_async(ub, 1);
	if (rc) {
		err_set(err, ERR_TEMP, "resolver: %s", ub_strerror(rc));
		goto fail;
	}
	return ub;
fail:
	ub_ctx_delete(ub);
	return NULL;
}
