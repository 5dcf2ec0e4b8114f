/*
 * milter_suppression.c - recipients that get no more mail, at reception
 */
#include "milter/milter_suppression.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "mail/queue_name.h"
#include "milter/milter_event.h"
#include "milter/milter_report.h"
#include "policy/bounce_class.h"

static const struct suppression_config *config_of(const struct session *s)
{
	return script_policy_setup(s->policy)->suppression;
}

/* ---- who is looked up ---- */

static bool is_exempt(const struct suppression_config *config,
    const struct address *sender, const struct address *recipient)
{
	return (!config->null_sender && address_is_null(sender)) ||
	       (!config->postmaster &&
		   str_case_eq(recipient->user, "postmaster"));
}

static struct answer cannot_tell(struct session *s, const struct err *err)
{
	diag_error("%s: suppression: %s", s->id, err->text);
	return answer_refuse(session_scratch(s), 451, "4.3.0",
	    "recipients cannot be checked, try again later");
}

static void line_of(const struct session *s, const struct address *recipient,
    const struct suppression_entry *entry, const char *what)
{
	char quoted[3][256];
	const char *class = entry->class ? entry->class : "";
	const char *id = s->tx->queue_id ? s->tx->queue_id : s->id;

	diag_info("%s: suppressed: %s to=<%s> entry=<%s> class=\"%s\"", id,
	    what,
	    diag_quote(quoted[0], sizeof quoted[0], recipient->email,
		strlen(recipient->email)),
	    diag_quote(quoted[1], sizeof quoted[1], entry->address,
		strlen(entry->address)),
	    diag_quote(quoted[2], sizeof quoted[2], class, strlen(class)));
}

/* ---- RCPT ---- */

/* NULL: handlers that are still to come may say. */
static const char *tenant_so_far(const struct session *s)
{
	const char *tenant = meta_get_string(s->meta, "tenant");

	if (tenant)
		return tenant;
	if (s->params.deferred_queue ||
	    script_policy_handles(s->policy, "smtp_server_data") ||
	    script_policy_handles(s->policy, "smtp_server_message_received"))
		return NULL;
	return "";
}

struct answer suppression_rcpt(struct session *s, const struct rcpt *rcpt)
{
	const struct suppression_config *config = config_of(s);
	const struct address *recipient = &rcpt->envelope.address;
	const struct suppression_entry *entry;
	struct answer answer = answer_continue();
	struct err err = {0};

	/* Of mail made here the verdict comes at the end. */
	if (!config || config->action != SUPPRESSION_REFUSE || !rcpt->is_ours ||
	    s->is_local_submission || rcpt->log_oob != REPORT_IGNORE ||
	    rcpt->log_arf != REPORT_IGNORE ||
	    is_exempt(config, &s->tx->sender.address, recipient))
		return answer;
	if (!service_suppressed(s->service, recipient, tenant_so_far(s),
		event_deadline(), s->tx->arena, &entry, &err))
		return cannot_tell(s, &err);
	if (!entry)
		return answer;
	line_of(s, recipient, entry, "refused");
	answer.kind = ANSWER_REFUSE;
	answer.reply =
	    suppression_reply(session_scratch(s), recipient->email, entry);
	return answer;
}

/* ---- end of message ---- */

static const char *tenant_of(struct session *s, const struct batch *b)
{
	const char *tenant;

	/* The router asks the policy. */
	if (str_eq(b->queue, QUEUE_NAME_DEFERRED))
		return NULL;
	tenant = queue_name_parse(b->queue, s->tx->arena).tenant;
	return tenant ? tenant : "";
}

static void take_out(struct session *s, struct batch *b, size_t i,
    const struct suppression_entry *entry)
{
	struct message *m = b->message;
	struct arena *arena = s->tx->arena;
	const struct address *recipient = &m->recipients.items[i].address;

	if (!b->suppressed)
		b->suppressed =
		    ARENA_ARRAY(arena, struct suppressed, m->recipients.count);
	line_of(s, recipient, entry, "taken out");
	b->suppressed[b->suppressed_count++] = (struct suppressed){
	    .address = arena_strdup(arena, recipient->email), .entry = entry};
}

bool suppression_batch(struct session *s, struct batch *b, int64_t deadline,
    struct answer *refusal)
{
	const struct suppression_config *config = config_of(s);
	struct message *m = b->message;
	const char *tenant;
	size_t left = 0;

	if (!config || config->action == SUPPRESSION_NONE ||
	    b->fate != BATCH_KEPT || b->report == BATCH_OOB ||
	    b->report == BATCH_FEEDBACK)
		return true;
	tenant = tenant_of(s, b);
	for (size_t i = 0; i < m->recipients.count; i++) {
		struct envelope_recipient *r = &m->recipients.items[i];
		const struct suppression_entry *entry = NULL;
		struct err err = {0};

		if (!is_exempt(config, &m->sender.address, &r->address) &&
		    !service_suppressed(s->service, &r->address, tenant,
			deadline, s->tx->arena, &entry, &err)) {
			*refusal = cannot_tell(s, &err);
			return false;
		}
		if (entry)
			take_out(s, b, i, entry);
		else
			m->recipients.items[left++] = *r;
	}
	m->recipients.count = left;
	if (left == 0)
		b->fate = BATCH_DROPPED;
	return true;
}

bool suppression_drops(const struct session *s)
{
	/* What the MTA keeps must not be refused with the rest. */
	return config_of(s) && (config_of(s)->action == SUPPRESSION_DROP ||
				   s->tx->ours < s->tx->rcpts.count);
}

const struct smtp_reply *suppression_refusal(
    struct session *s, const struct batches *batches)
{
	struct smtp_reply *reply;

	for (size_t i = 0; i < batches->count; i++) {
		const struct batch *b = &batches->items[i];

		if (!b->suppressed_count)
			continue;
		reply = ARENA_NEW(session_scratch(s), struct smtp_reply);
		*reply = suppression_reply(session_scratch(s),
		    b->suppressed[0].address, b->suppressed[0].entry);
		return reply;
	}
	return NULL;
}

/* ---- reports ---- */

static void add_hit(struct session *s, struct suppression_hits *hits,
    const struct report_link *link, struct suppression_hit hit)
{
	struct arena *arena = s->tx->arena;
	struct address address;

	if (!link->recipient ||
	    !address_parse(link->recipient, strlen(link->recipient), arena,
		&address, NULL) ||
	    address_is_null(&address))
		return;
	hit.address = suppression_key(&address, arena);
	hit.tenant = link->tenant ? link->tenant : "";
	hit.message = link->id;
	hit.at = clock_unix();
	hits->items[hits->count++] = hit;
}

static void add_oob(
    struct session *s, struct suppression_hits *hits, const struct batch *b)
{
	const struct suppression_config *config = config_of(s);
	const struct dsn *dsn = &b->reading->dsn;
	struct arena *arena = s->tx->arena;
	struct suppression_hit hit;

	for (size_t i = 0; i < dsn->count && i < b->links->count; i++) {
		const struct report_link *link = &b->links->items[i];
		struct smtp_reply reply;
		const char *class;

		if (!link->linked || link->repeated ||
		    dsn->recipients[i].action != REPORT_FAILED)
			continue;
		reply = dsn_reply(&dsn->recipients[i], arena);
		class = bounce_class_of(
		    script_policy_setup(s->policy)->classifier, &reply);
		if (suppression_judge(
			config, SUPPRESSION_OOB, class, &reply, arena, &hit))
			add_hit(s, hits, link, hit);
	}
}

static void add_feedback(
    struct session *s, struct suppression_hits *hits, const struct batch *b)
{
	const struct arf *arf = &b->reading->arf;
	struct arena *arena = s->tx->arena;
	struct suppression_hit hit;

	for (size_t i = 0; i < b->links->count; i++) {
		const struct report_link *link = &b->links->items[i];

		if (!link->linked || link->repeated ||
		    !suppression_judge(config_of(s), SUPPRESSION_FEEDBACK,
			arf->feedback_type, NULL, arena, &hit))
			continue;
		if (arf->user_agent)
			hit.reason = arena_printf(
			    arena, "reported by %.200s", arf->user_agent);
		add_hit(s, hits, link, hit);
	}
}

struct suppression_hits suppression_hits(
    struct session *s, const struct batch *batches, size_t count)
{
	struct suppression_hits hits = {0};
	size_t most = 0;

	if (!config_of(s))
		return hits;
	for (size_t i = 0; i < count; i++)
		if (batches[i].links)
			most += batches[i].links->count;
	if (!most)
		return hits;
	hits.items = ARENA_ARRAY(s->tx->arena, struct suppression_hit, most);
	for (size_t i = 0; i < count; i++) {
		if (!batches[i].links)
			continue;
		if (batches[i].report == BATCH_OOB)
			add_oob(s, &hits, &batches[i]);
		else if (batches[i].report == BATCH_FEEDBACK)
			add_feedback(s, &hits, &batches[i]);
	}
	return hits;
}
