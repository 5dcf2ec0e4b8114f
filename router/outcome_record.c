/*
 * outcome_record.c - the log records of outcomes
 */
#include "router/outcome_record.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "policy/queue_config.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

static bool same_reply(const struct smtp_reply *a, const struct smtp_reply *b)
{
	if (a->code != b->code ||
	    memcmp(a->enhanced, b->enhanced, sizeof a->enhanced) != 0)
		return false;
	return (a->text == b->text || str_eq(a->text, b->text)) &&
	       (a->command == b->command || str_eq(a->command, b->command));
}

void outcome_group(
    const struct delivery_recipient *recipients, size_t count, size_t *groups)
{
	for (size_t i = 0; i < count; i++) {
		groups[i] = i;
		for (size_t j = 0; j < i; j++)
			if (groups[j] == j && same_reply(&recipients[i].reply,
						  &recipients[j].reply)) {
				groups[i] = j;
				break;
			}
	}
}

void outcome_record(struct outcome_batch *batch, struct router *r,
    struct buf *headers, enum log_type type, struct ready_message *rm,
    const struct delivery_recipient *const *recipients, size_t count,
    const struct smtp_reply *reply, int attempts, const struct attempt *a)
{
	const struct session_facts *facts = a->facts;
	struct arena *arena = outcome_batch_arena(batch);
	const char **addresses = ARENA_ARRAY(arena, const char *, count + 1);
	struct log_record record = {
	    .type = type,
	    .id = rm->m.id,
	    .sender = rm->m.sender.address.email,
	    .queue = rm->sq->name,
	    .site = a->site,
	    .recipients = addresses,
	    .recipient_count = count,
	    .size = ready_message_size(rm),
	    .response = *reply,
	    .event_ms = clock_unix_ms(),
	    .created_ms = rm->m.created_ms,
	    .num_attempts = attempts,
	    .egress_pool = a->pool,
	    .egress_source = a->source,
	    .delivery_protocol = a->protocol,
	    .reception_protocol = rm->m.reception_protocol,
	    .provider_name = a->provider_name,
	    .session_id = a->session_id,
	};
	char ip[IP_TEXT];
	struct meta *meta = NULL;

	for (size_t i = 0; i < count; i++)
		addresses[i] = recipients[i]->who.address.email;
	if (!record.provider_name)
		record.provider_name =
		    scheduled_queue_config(rm->sq)->provider_name;
	if (facts && facts->peer_name) {
		record.peer_name = facts->peer_name;
		record.peer_addr =
		    facts->peer_ip.family ? ip_print(ip, &facts->peer_ip) : "";
		record.tls_cipher = facts->tls_cipher;
		record.tls_protocol_version = facts->tls_version;
		record.tls_peer_subject_name = facts->tls_peer_subject;
	}
	if (facts && facts->source_address[0])
		record.source_address = facts->source_address;
	if (facts && facts->proxy) {
		record.source_proxy_server = facts->proxy->name;
		record.source_proxy_protocol =
		    facts->proxy->kind == PROXY_HAPROXY ? "haproxy" : "socks5";
	}
	if (r->log_meta && rm->m.meta_json) {
		meta = meta_parse_json(
		    rm->m.meta_json, strlen(rm->m.meta_json), NULL);
		record.meta = meta;
	}
	if (r->log_headers) {
		buf_reset(headers);
		buf_add(headers, rm->m.prefix, rm->m.prefix_len);
		if (rm->m.inline_content)
			buf_add(headers, rm->m.inline_content,
			    (size_t)rm->m.facts.header_size);
		else
			buf_add(headers, rm->header, rm->header_len);
		record.header_block = buf_str(headers);
		record.header_len = headers->len;
	}
	outcome_batch_record(batch, &record,
	    &(struct record_subject){
		.rm = rm, .recipients = recipients, .count = count});
	meta_free(meta);
}

void outcome_record_move(struct outcome_batch *batch, enum log_type type,
    const struct smtp_reply *reply, const struct ready_message *rm,
    const struct message *m, const char *queue)
{
	struct arena *arena = outcome_batch_arena(batch);
	struct log_record record = {
	    .type = type,
	    .id = rm->m.id,
	    .sender = m->sender.address.email,
	    .queue = queue,
	    .size = message_size(m),
	    .response = *reply,
	    .event_ms = clock_unix_ms(),
	    .created_ms = rm->m.created_ms,
	    .num_attempts = type == LOG_DEFERRED_INJECTION_REBIND
				? 0
				: rm->info[0].attempts,
	    .reception_protocol = rm->m.reception_protocol,
	    .meta = m->meta,
	};
	const char **addresses;

	addresses = ARENA_ARRAY(arena, const char *, m->recipients.count + 1);
	for (size_t i = 0; i < m->recipients.count; i++)
		addresses[i] = m->recipients.items[i].address.email;
	record.recipients = addresses;
	record.recipient_count = m->recipients.count;
	outcome_batch_record(
	    batch, &record, &(struct record_subject){.message = m});
}

void outcome_record_queue(struct outcome_batch *batch,
    const struct scheduled_queue *sq, const struct smtp_reply *reply)
{
	struct message *none = message_new();
	struct log_record record = {
	    .type = LOG_DELAYED,
	    .queue = sq->name,
	    .response = *reply,
	    .event_ms = clock_unix_ms(),
	    .created_ms = clock_unix_ms(),
	    .provider_name = scheduled_queue_config(sq)->provider_name,
	};

	/* Who is asked about it sees an empty message. */
	none->content = content_from_bytes("", 0);
	outcome_batch_record(
	    batch, &record, &(struct record_subject){.message = none});
	message_unref(none);
}
