/*
 * log_hook.c - records that become messages
 */
#include "logs/log_hook.h"

#include "base/diag.h"
#include "base/json.h"
#include "base/str.h"
#include "logs/log_capture.h"
#include "logs/log_template.h"
#include "mail/queue_name.h"

static struct string_list_view view(const struct string_list *list)
{
	return (struct string_list_view){list->items, list->count};
}

bool log_hook_wants(
    const struct log_hook *hook, const struct log_record *record)
{
	if (str_eq(record->reception_protocol, LOG_HOOK_PROTOCOL))
		return false;
	/* There is no message that an event could be called with. */
	if (hook->event &&
	    (record->type == LOG_OOB || record->type == LOG_REJECTION))
		return false;
	return log_per_record_for(
	    &hook->per_record, log_type_name(record->type))
	    ->enable;
}

struct value log_hook_record(const struct log_hook *hook,
    const struct log_record *record, const char *nodeid, struct arena *arena)
{
	struct value v = {0};
	struct buf json = BUF_INIT;
	struct err err = {0};

	log_record_json(
	    record, nodeid, view(&hook->meta), view(&hook->headers), &json);
	/* It is ours, so it parses; metadata nested beyond any sense is all
	 * that could be in the way. */
	if (!json_parse(buf_str(&json), json.len, arena, &v, &err))
		diag_error("log hook %s: %s", hook->name, err.text);
	buf_release(&json);
	return v;
}

static struct meta *captured(
    const struct log_hook *hook, const struct log_record *record)
{
	struct buf json = BUF_INIT;
	struct meta *meta;

	log_capture_meta(&json, record->meta, view(&hook->meta));
	meta = meta_parse_json(buf_str(&json), json.len, NULL);
	buf_release(&json);
	return meta ? meta : meta_new();
}

static struct address parse(struct arena *arena, const char *email)
{
	struct address a;

	/* Empty for the null sender, and in a Rejection. */
	if (!email || !address_parse(email, strlen(email), arena, &a, NULL))
		a = (struct address){"", "", "", ""};
	return a;
}

struct message *log_hook_message(const struct log_hook *hook,
    const struct log_record *record, const char *nodeid)
{
	const struct log_per_record *r =
	    log_per_record_for(&hook->per_record, log_type_name(record->type));
	struct message *m = message_new();
	struct buf text = BUF_INIT;
	struct value table;

	m->sender.address = parse(m->arena, record->sender);
	for (size_t i = 0; i < record->recipient_count; i++)
		*ARRAY_ADD(&m->recipients) = (struct envelope_recipient){
		    .address = parse(m->arena, record->recipients[i])};
	if (m->recipients.count == 0)
		*ARRAY_ADD(&m->recipients) =
		    (struct envelope_recipient){.address = parse(m->arena, "")};
	meta_free(m->meta);
	m->meta = captured(hook, record);
	table = log_hook_record(hook, record, nodeid, m->arena);
	meta_set(m->meta, "log_record", &table);
	meta_set_string(m->meta, "reception_protocol", LOG_HOOK_PROTOCOL);
	m->reception_protocol = LOG_HOOK_PROTOCOL;
	log_record_render(record, nodeid, view(&hook->meta),
	    view(&hook->headers), r->compiled, &text);
	m->content = content_from_bytes(text.data, text.len);
	buf_release(&text);
	return m;
}

bool log_hook_insertable(const struct message *m, bool *wanted, struct err *err)
{
	struct buf name = BUF_INIT;
	struct queue_name parts;
	bool ok;

	*wanted = false;
	if (m->recipients.count == 0 || !m->content)
		return err_set(err, ERR_PERM,
		    "a message without %s cannot be queued",
		    m->content ? "recipients" : "content");
	ok = message_queue_name(m, &name, err);
	if (ok) {
		parts = queue_name_parse(buf_str(&name), m->arena);
		if (!parts.domain || !*parts.domain)
			ok = err_set(err, ERR_PERM,
			    "it has no queue: set the metadata `queue`");
		else
			*wanted = !str_eq(buf_str(&name), "null");
	}
	buf_release(&name);
	return ok;
}
