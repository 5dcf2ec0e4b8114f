#include "policy/relay.h"

#include "base/str.h"

/* <postmaster> without a domain reaches somebody everywhere (RFC 5321, 4.5.1).
 */
static bool is_bare_postmaster(const struct address *a)
{
	return !*a->domain && str_case_eq(a->user, "postmaster");
}

/* Which rule lets ordinary mail pass; NULL: none. */
static const char *relay_rule(const struct relay_question *q)
{
	const struct listener_domain *from = q->sender_domain;
	const struct listener_domain *to = q->recipient_domain;

	if (cidr_list_contains(q->relay_hosts, q->peer))
		return "relay_hosts";
	if (from && cidr_list_contains(&from->relay_from, q->peer))
		return "relay_from";
	if (to && to->relay_to)
		return "relay_to";
	if (is_bare_postmaster(q->recipient))
		return "postmaster";
	return NULL;
}

static bool may_be_routed(const struct relay_question *q)
{
	const struct listener_domain *to = q->recipient_domain;

	return !address_is_routed(q->recipient) ||
	       (to && to->allow_routed_local_part) ||
	       cidr_list_contains(q->relay_hosts, q->peer);
}

static struct relay_answer answer(
    struct relay_answer a, enum relay_verdict verdict, const char *rule)
{
	a.verdict = verdict;
	a.rule = rule;
	return a;
}

struct relay_answer relay_decide(const struct relay_question *q)
{
	const struct listener_domain *to = q->recipient_domain;
	struct relay_answer a = {0};
	const char *rule = relay_rule(q);

	/* Reports are logged wherever the recipient ends up. */
	if (to) {
		a.log_oob = to->log_oob;
		a.log_arf = to->log_arf;
	}
	if (to && to->leave_to_mta)
		return answer(a, RELAY_LEAVE_TO_MTA, "leave_to_mta");
	/* Before the rules that admit: user%elsewhere@ours would be relayed
	 * by a server behind us that trusts us. */
	if (!may_be_routed(q))
		return answer(a, RELAY_REFUSED_ROUTED, "routed_local_part");
	if (rule) {
		a.relay = true;
		return answer(a, RELAY_OURS, rule);
	}
	if (a.log_oob != REPORT_IGNORE || a.log_arf != REPORT_IGNORE)
		return answer(a, RELAY_OURS_REPORT, "report");
	if (!to && q->unlisted == UNLISTED_LEAVE_TO_MTA)
		return answer(a, RELAY_LEAVE_TO_MTA, "unlisted_domains");
	return answer(a, RELAY_REFUSED, "refused");
}
