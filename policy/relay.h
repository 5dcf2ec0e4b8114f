/*
 * relay.h - may this client send from there to here? (policy language, 7.2)
 *
 * A pure function of what is known.  Not knowing who the client is (peer NULL
 * or family 0) means not trusting it.
 */
#ifndef POLICY_RELAY_H
#define POLICY_RELAY_H

#include "base/cidr.h"
#include "mail/address.h"
#include "policy/listener_domain.h"

enum unlisted_domains { UNLISTED_REFUSE, UNLISTED_LEAVE_TO_MTA };

enum relay_verdict {
	RELAY_OURS,           /* admitted: custody is ours */
	RELAY_OURS_REPORT,    /* admitted only because reports are logged */
	RELAY_LEAVE_TO_MTA,   /* the MTA's own */
	RELAY_REFUSED,        /* 550 5.7.1 */
	RELAY_REFUSED_ROUTED, /* 550 5.7.1: routed local part */
};

struct relay_question {
	const struct ip_addr *peer; /* NULL: unknown */
	const struct cidr_list *relay_hosts;
	const struct address *recipient;
	const struct listener_domain *sender_domain;    /* NULL: nil */
	const struct listener_domain *recipient_domain; /* NULL: nil */
	enum unlisted_domains unlisted;
};

struct relay_answer {
	enum relay_verdict verdict;
	bool relay; /* ordinary mail may pass */
	enum report_mode log_oob, log_arf;
	const char *rule; /* "relay_hosts", "relay_from", "relay_to", "report",
			     "postmaster", "leave_to_mta", "unlisted_domains",
			     "routed_local_part", "refused" */
};

struct relay_answer relay_decide(const struct relay_question *q);

#endif
