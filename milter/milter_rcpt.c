/*
 * milter_rcpt.c - whose is this recipient?
 *
 * In this order (policy language, 6.4 and 7.2): the address itself, relay
 * rules, max_recipients_per_message, max_messages_per_connection, the policy's
 * own smtp_server_rcpt_to.  The result is one of three: ours, the MTA's, or
 * refused.
 */
#include "base/clock.h"
#include "base/diag.h"
#include "base/map.h"
#include "base/str.h"
#include "milter/milter_event.h"
#include "milter/milter_suppression.h"

/* ---- looking up a domain ---- */

static bool parse_listed(const struct value *v, struct arena *arena,
    struct domain_answer *out, struct err *err)
{
	struct listener_domain *record;

	if (!v || v->type == VALUE_NIL)
		return true;
	if (v->type != VALUE_MAP ||
	    (v->kind && !str_eq(v->kind, "make_listener_domain")))
		return err_set(err, ERR_CONFIG,
		    "expected make_listener_domain{} or nil, got a %s",
		    v->kind ? v->kind : value_type_name(v->type));
	record = ARENA_NEW(arena, struct listener_domain);
	if (!param_parse(&listener_domain_params, v, arena, record, err))
		return false;
	out->listed = record;
	return true;
}

/* False: *refusal.  The answer is good until 16 other domains were looked up
 * (milter_domains.h); a decision needs two. */
static bool find_domain(struct session *s, const char *domain, int64_t deadline,
    const struct domain_answer **out, struct answer *refusal)
{
	static const char name[] = "get_listener_domain";
	static const struct domain_answer nil = {NULL, ""};
	const char *authn = meta_get_string(s->meta, "authn_id");
	const char *authz = meta_get_string(s->meta, "authz_id");
	struct domain_answer answer = nil;
	struct script_call *call;
	struct value result = {.type = VALUE_NIL};
	struct arena *arena;
	struct err err = {0};
	bool ok = false;

	*out = domain_cache_find(&s->domains, domain, authn, authz);
	if (*out)
		return true;
	call = event_begin(s, name);
	if (!call) {
		*out = &nil;
		return true;
	}
	script_arg_string(call, domain);
	script_arg_string(call, s->listener_text);
	script_arg_conn_meta(call, s->meta);
	arena = arena_new(512);
	if (!event_run(s, call, name, deadline, refusal))
		goto out;
	if (script_call_outcome(call) == SCRIPT_VALUE)
		result = value_copy(arena, script_call_result(call));
	answer.where = arena_strdup(arena, script_call_where(call));
	if (!parse_listed(&result, arena, &answer, &err)) {
		*refusal = event_failed(s, name, err.text);
		goto out;
	}
	/* The handler may have changed the identity: ask again for the key. */
	*out = domain_cache_add_take(&s->domains, domain,
	    meta_get_string(s->meta, "authn_id"),
	    meta_get_string(s->meta, "authz_id"), answer, arena);
	arena = NULL;
	ok = true;
out:
	arena_unref(arena);
	script_call_free(call);
	return ok;
}

/* "relay_to policy.lua:12": the rule, and who said so: the handler, or the call
 * of start_esmtp_listener. */
static const char *describe_rule(struct arena *arena, const struct session *s,
    const char *rule, const struct domain_answer *sender,
    const struct domain_answer *recipient)
{
	const char *where = recipient->where;

	if (str_eq(rule, "local_submission"))
		where = NULL;
	else if (str_eq(rule, "relay_hosts"))
		where = s->relay_hosts_where && *s->relay_hosts_where
			    ? s->relay_hosts_where
			    : s->listener_text;
	else if (str_eq(rule, "relay_from"))
		where = sender->where;
	if (!where || !*where)
		return arena_strdup(arena, rule);
	return arena_printf(arena, "%s %s", rule, where);
}

/* Who may run the MTA's sendmail on this machine may send; penstock's
 * local_submission is the rule for it, and 'queue' has been chosen when we get
 * here.  What the policy leaves to the MTA stays there. */
static void admit_local(struct relay_answer *answer)
{
	switch (answer->verdict) {
	case RELAY_OURS:
	case RELAY_LEAVE_TO_MTA:
		return;
	case RELAY_OURS_REPORT:
	case RELAY_REFUSED:
	case RELAY_REFUSED_ROUTED:
		answer->verdict = RELAY_OURS;
		answer->relay = true;
		answer->rule = "local_submission";
		return;
	}
}

bool rcpt_decide(struct session *s, const struct address *sender,
    const struct address *recipient, int64_t deadline, struct arena *arena,
    struct rcpt_decision *out, struct answer *refusal)
{
	const struct domain_answer *from, *to;
	struct relay_question question;

	/* The sender's domain first, even for <>: policies count on it. */
	if (!find_domain(s, address_domain_lower(sender, arena), deadline,
		&from, refusal) ||
	    !find_domain(s, address_domain_lower(recipient, arena), deadline,
		&to, refusal))
		return false;
	question = (struct relay_question){
	    .peer = s->peer.family ? &s->peer : NULL,
	    .relay_hosts = &s->params.relay_hosts,
	    .recipient = recipient,
	    .sender_domain = from->listed,
	    .recipient_domain = to->listed,
	    .unlisted = script_policy_setup(s->policy)->unlisted_domains,
	};
	out->relay = relay_decide(&question);
	if (s->is_local_submission)
		admit_local(&out->relay);
	out->recipient_listed = to->listed != NULL;
	out->admitted_by = describe_rule(arena, s, out->relay.rule, from, to);
	return true;
}

/* ---- one recipient ---- */

char *rcpt_without_route(struct arena *arena, const char *text)
{
	bool bracketed = *text == '<';
	const char *p = text + bracketed;
	bool in_literal = false;

	if (*p != '@')
		return arena_strdup(arena, text);
	/* @a,@[IPv6:::1]:user@domain */
	for (; *p; p++) {
		if (*p == '[')
			in_literal = true;
		else if (*p == ']')
			in_literal = false;
		else if (*p == ':' && !in_literal)
			return arena_printf(
			    arena, "%s%s", bracketed ? "<" : "", p + 1);
	}
	return arena_strdup(arena, text);
}

static struct answer relaying_refused(struct session *s)
{
	return answer_refuse(session_scratch(s), 550, "5.7.1",
	    "relaying not permitted for %s",
	    *s->peer_text ? s->peer_text : "a client without an address");
}

/* <postmaster> has no domain: it is looked up as such, and belongs to this host
 * when the policy has nothing to say (RFC 5321, 4.5.1; D35).  What goes into
 * the queue has a domain in any case. */
static bool is_bare_postmaster(const struct address *a)
{
	return !*a->domain && str_case_eq(a->user, "postmaster");
}

static bool give_domain(
    struct session *s, struct address *a, struct arena *arena)
{
	const char *text =
	    arena_printf(arena, "postmaster@%s", session_hostname(s));
	struct err err = {0};

	if (address_parse(text, strlen(text), arena, a, &err))
		return true;
	diag_error("%s: hostname: %s", s->id, err.text);
	return false;
}

static struct answer decide(
    struct session *s, struct rcpt *rcpt, int64_t deadline)
{
	struct transaction *tx = s->tx;
	struct address *address = &rcpt->envelope.address;
	bool postmaster = is_bare_postmaster(address);
	struct rcpt_decision decision;
	struct answer refusal;

	if (!*address->domain && !postmaster)
		return answer_refuse(session_scratch(s), 550, "5.1.3",
		    "the recipient's address needs a domain");
	if (!rcpt_decide(s, &tx->sender.address, address, deadline, tx->arena,
		&decision, &refusal))
		return refusal;
	rcpt->admitted_by = decision.admitted_by;
	rcpt->is_ours = decision.relay.verdict != RELAY_LEAVE_TO_MTA;
	rcpt->log_oob = decision.relay.log_oob;
	rcpt->log_arf = decision.relay.log_arf;
	if (postmaster) {
		bool leave = decision.relay.verdict == RELAY_LEAVE_TO_MTA &&
			     decision.recipient_listed;

		rcpt->is_ours = !leave;
		rcpt->is_postmaster = !leave;
		if (!leave && !decision.relay.relay)
			rcpt->admitted_by = "postmaster";
		if (!leave && !give_domain(s, address, tx->arena))
			return answer_refuse(session_scratch(s), 451, "4.3.0",
			    "local configuration error");
		return answer_continue();
	}
	switch (decision.relay.verdict) {
	case RELAY_OURS:
	case RELAY_OURS_REPORT:
	case RELAY_LEAVE_TO_MTA:
		return answer_continue();
	case RELAY_REFUSED:
	case RELAY_REFUSED_ROUTED:
		break;
	}
	return relaying_refused(s);
}

static struct answer check_limits(struct session *s)
{
	const struct transaction *tx = s->tx;

	if ((int64_t)tx->rcpts.count >= s->params.max_recipients_per_message)
		return answer_refuse(session_scratch(s), 452, "4.5.3",
		    "too many recipients in one message");
	if (s->rcpts_counted < s->params.max_messages_per_connection)
		return answer_continue();
	return answer_refuse(session_scratch(s), tx->rcpts.count ? 452 : 421,
	    "4.5.3", "too many messages on one connection");
}

static struct answer ask_policy(
    struct session *s, const struct rcpt *rcpt, int64_t deadline)
{
	static const char name[] = "smtp_server_rcpt_to";
	struct answer refusal = answer_continue();
	struct script_call *call = event_begin(s, name);

	if (!call)
		return refusal;
	script_arg_address(call, &rcpt->envelope.address);
	script_arg_conn_meta(call, s->meta);
	if (event_run(s, call, name, deadline, &refusal))
		refusal = answer_continue();
	script_call_free(call);
	return refusal;
}

/* The same recipient once more gets no second copy, as with the MTA's own
 * recipients.  With another NOTIFY or ORCPT the sender wants to hear of both.
 */
static bool was_said(struct transaction *tx, const struct envelope_recipient *r)
{
	const char *key = arena_printf(tx->arena, "%s@%s\n%s\n%s",
	    r->address.local, address_domain_lower(&r->address, tx->arena),
	    r->notify ? r->notify : "", r->orcpt ? r->orcpt : "");

	if (!tx->said)
		tx->said = map_new();
	return map_put(tx->said, key, tx) != NULL;
}

struct answer session_rcpt(
    struct session *s, char **argv, const struct macros *macros)
{
	struct transaction *tx = s->tx;
	struct rcpt rcpt = {0};
	int64_t deadline = event_deadline();
	struct answer answer;
	struct err err = {0};

	if (!tx) /* the MTA let a refused MAIL pass */
		return answer_refuse(
		    session_scratch(s), 451, "4.3.0", "no sender was accepted");
	if (!tx->queue_id)
		tx->queue_id = arena_strdup(tx->arena, macro(macros, "i"));
	if (!session_parse_address(
		s, argv[0], tx->arena, &rcpt.envelope.address, &err) ||
	    address_is_null(&rcpt.envelope.address))
		return answer_refuse(session_scratch(s), 550, "5.1.3",
		    "the recipient's address is not valid");
	envelope_recipient_args(&rcpt.envelope, argv + 1, tx->arena);
	rcpt.mta_text = rcpt_without_route(tx->arena, argv[0]);

	answer = decide(s, &rcpt, deadline);
	if (answer.kind != ANSWER_CONTINUE)
		return answer;
	answer = check_limits(s);
	if (answer.kind != ANSWER_CONTINUE)
		return answer;
	s->rcpts_counted++;
	answer = ask_policy(s, &rcpt, deadline);
	if (answer.kind != ANSWER_CONTINUE)
		return answer;
	answer = suppression_rcpt(s, &rcpt);
	if (answer.kind != ANSWER_CONTINUE)
		return answer;
	rcpt.is_repeated = rcpt.is_ours && was_said(tx, &rcpt.envelope);
	*ARRAY_ADD(&tx->rcpts) = rcpt;
	tx->ours += rcpt.is_ours;
	tx->repeated += rcpt.is_repeated;
	return answer;
}
