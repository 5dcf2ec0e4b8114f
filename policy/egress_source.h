/*
 * egress_source.h - a place that outbound mail can appear to come from
 *
 * What get_egress_source(name) returns: a local address to bind, or a proxy
 * that binds one for us, and the EHLO name that goes with it.  Pools choose
 * among sources by name (egress_pool.h).
 *
 * Ownership: a record lives in the arena it was parsed into, and so do its
 *            strings.
 * Threads:   never changes once parsed; any number of readers.  A refresh makes
 *            a new record.
 */
#ifndef POLICY_EGRESS_SOURCE_H
#define POLICY_EGRESS_SOURCE_H

#include "base/duration.h"
#include "base/ip.h"
#include "policy/param.h"
#include "policy/rate.h"

/* When a source is left alone, and for how long. */
struct source_suspension {
	uint64_t given[2];
	const struct rate *trigger; /* NULL: at the first failure */
	struct duration duration;
};

struct egress_source {
	uint64_t given[2];
	const char *name;
	const struct ip_addr *source_address; /* NULL: the kernel chooses */
	const char *ehlo_domain;              /* NULL: see egress_path.h */
	int64_t remote_port;                  /* 0: the path's smtp_port */
	const struct endpoint *ha_proxy_server;
	const struct ip_addr *ha_proxy_source_address;
	const struct endpoint *socks5_proxy_server;
	const struct ip_addr *socks5_proxy_source_address;
	const char *socks5_proxy_username;
	const struct value *socks5_proxy_password;
	/* duration 0: never */
	struct source_suspension suspend_when_unplumbed;
	struct source_suspension suspend_when_proxy_unhealthy;
	struct duration ttl;
};

extern const struct param_set egress_source_params; /* make_egress_source */
/* The built-in source "unspecified". */
const struct egress_source *egress_source_unspecified(void);

#endif
