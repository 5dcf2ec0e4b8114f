/*
 * log_template.c - a record as the policy wants it to look
 */
#include "logs/log_template.h"

#include "base/diag.h"
#include "base/json.h"
#include "policy/template.h"

static bool render(const char *json, size_t len, const struct template *t,
    struct buf *out, struct err *err)
{
	struct arena *arena = arena_new(4096);
	struct value record = {0}, variables = {.type = VALUE_MAP};
	bool ok = json_parse(json, len, arena, &record, err);

	if (ok) {
		variables.entries =
		    ARENA_ARRAY(arena, struct value_entry, record.count + 1);
		for (size_t i = 0; i < record.count; i++)
			variables.entries[i] = record.entries[i];
		variables.count = record.count + 1;
		variables.entries[record.count] =
		    (struct value_entry){"log_record", record};
		ok = template_render(t, &variables, NULL, NULL, out, err);
	}
	arena_unref(arena);
	return ok;
}

/* One record a line: what a template makes of line breaks in texts must not
 * look like another record. */
static void one_line(struct buf *out, size_t from)
{
	while (out->len > from && (out->data[out->len - 1] == '\n' ||
				      out->data[out->len - 1] == '\r'))
		out->len--;
	for (size_t i = from; i < out->len; i++)
		if (out->data[i] == '\n' || out->data[i] == '\r')
			out->data[i] = ' ';
	buf_addch(out, '\n');
}

void log_record_render(const struct log_record *r, const char *nodeid,
    struct string_list_view meta_names, struct string_list_view header_names,
    const struct template *t, struct buf *out)
{
	struct buf json = BUF_INIT;
	size_t from = out->len;
	struct err err = {0};

	if (!t) {
		log_record_json(r, nodeid, meta_names, header_names, out);
		return;
	}
	log_record_json(r, nodeid, meta_names, header_names, &json);
	if (render(buf_str(&json), json.len, t, out, &err)) {
		one_line(out, from);
	} else {
		diag_error("log: %s: the template of %s records: %s",
		    r->id ? r->id : "", log_type_name(r->type), err.text);
		out->len = from;
		buf_add(out, json.data, json.len);
	}
	buf_release(&json);
}
