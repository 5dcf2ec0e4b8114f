/*
 * log_capture.c - the metadata and header fields that a logger asked for
 */
#include "logs/log_capture.h"

#include "base/array.h"
#include "base/json.h"
#include "base/str.h"
#include "mail/header.h"

#define ADD_LITERAL(out, text) buf_add(out, text, sizeof(text) - 1)

static void add_text(struct buf *out, const char *s)
{
	json_write_string(out, s, strlen(s));
}

enum match { MATCH_NONE, MATCH_EXACT, MATCH_PREFIX };

/* The patterns are few; a prefix wins over an exact name. */
static enum match name_matches(struct string_list_view patterns,
    const char *name, size_t len, bool fold_case)
{
	enum match best = MATCH_NONE;

	for (size_t i = 0; i < patterns.count; i++) {
		const char *pattern = patterns.items[i];
		size_t want = strlen(pattern);
		bool prefix = want > 0 && pattern[want - 1] == '*';

		if (prefix)
			want--;
		if (prefix ? len < want : len != want)
			continue;
		if (fold_case ? !str_ncase_eq(name, pattern, want)
			      : memcmp(name, pattern, want) != 0)
			continue;
		if (prefix)
			return MATCH_PREFIX;
		best = MATCH_EXACT;
	}
	return best;
}

void log_capture_meta(
    struct buf *out, const struct meta *meta, struct string_list_view names)
{
	const struct value *v;
	const char *name;
	size_t pos = 0;
	bool first = true;

	buf_addch(out, '{');
	while (meta && names.count && meta_each(meta, &pos, &name, &v)) {
		enum match match =
		    name_matches(names, name, strlen(name), false);

		/* A null that was asked for by its name is as good as absent,
		 * as in KumoMTA. */
		if (match == MATCH_NONE ||
		    (match == MATCH_EXACT && v->type == VALUE_NIL))
			continue;
		if (!first)
			buf_addch(out, ',');
		first = false;
		add_text(out, name);
		buf_addch(out, ':');
		json_write(out, v);
	}
	buf_addch(out, '}');
}

struct captured {
	struct header_field *items;
	size_t count, size;
};

static void add_header_values(struct buf *out, const struct captured *fields,
    size_t first, struct arena *arena)
{
	const struct header_field *name = &fields->items[first];
	size_t count = 0, start;

	json_write_string(out, name->name, name->name_len);
	buf_addch(out, ':');
	start = out->len;
	buf_addch(out, '[');
	for (size_t i = first; i < fields->count; i++) {
		const struct header_field *f = &fields->items[i];

		if (f->name_len != name->name_len ||
		    !str_ncase_eq(f->name, name->name, name->name_len))
			continue;
		if (count++)
			buf_addch(out, ',');
		add_text(out, header_decode(f, arena));
	}
	if (count > 1) {
		buf_addch(out, ']');
		return;
	}
	/* One value is text, not an array: take the bracket back. */
	memmove(out->data + start, out->data + start + 1, out->len - start);
	out->len--;
}

static bool seen_before(const struct captured *fields, size_t i)
{
	const struct header_field *f = &fields->items[i];

	for (size_t j = 0; j < i; j++) {
		const struct header_field *other = &fields->items[j];

		if (other->name_len == f->name_len &&
		    str_ncase_eq(other->name, f->name, f->name_len))
			return true;
	}
	return false;
}

/* A message may have as many fields as it likes; what matters to anyone stands
 * among the first. */
#define HEADERS_MOST 200

void log_capture_headers(struct buf *out, const char *block, size_t block_len,
    struct string_list_view names)
{
	struct captured captured = {0};
	struct header_field field;
	struct arena *arena;
	size_t pos = 0;
	bool first = true;

	if (!names.count || !block) {
		ADD_LITERAL(out, "{}");
		return;
	}
	arena = arena_new(0);
	while (captured.count < HEADERS_MOST &&
	       header_next(block, block_len, &pos, &field)) {
		if (name_matches(names, field.name, field.name_len, true) !=
		    MATCH_NONE)
			*ARRAY_ADD(&captured) = field;
	}
	buf_addch(out, '{');
	for (size_t i = 0; i < captured.count; i++) {
		if (seen_before(&captured, i))
			continue;
		if (!first)
			buf_addch(out, ',');
		first = false;
		add_header_values(out, &captured, i, arena);
	}
	buf_addch(out, '}');
	ARRAY_FREE(&captured);
	arena_unref(arena);
}
