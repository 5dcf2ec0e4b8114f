/*
 * listener_domain.h - may mail from or to this domain pass? (policy, 7.1)
 */
#ifndef POLICY_LISTENER_DOMAIN_H
#define POLICY_LISTENER_DOMAIN_H

#include "base/cidr.h"
#include "base/duration.h"
#include "policy/param.h"

enum report_mode {
	REPORT_IGNORE, /* false, "Ignore" */
	REPORT_LOG,    /* true: logged; the relay decision says the rest */
	REPORT_LOG_THEN_RELAY,
	REPORT_LOG_THEN_DROP,
};

struct listener_domain {
	uint64_t given[2];
	bool relay_to;
	struct cidr_list relay_from;
	enum report_mode log_oob, log_arf;
	bool leave_to_mta;            /* ours: design, section 3 */
	bool allow_routed_local_part; /* ours: D34 */
	struct duration ttl;          /* accepted, ignored */
};

extern const struct param_set listener_domain_params; /* make_listener_domain */

#endif
