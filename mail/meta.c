/*
 * meta.c - named values that travel with a connection or a message
 *
 * Each value has a small arena of its own, so that setting a name again gives
 * the old value back.
 */
#include "mail/meta.h"

#include "base/json.h"
#include "base/map.h"
#include "base/xalloc.h"

#define VALUE_HINT 64

struct meta {
	struct map *names; /* name -> struct entry */
	size_t size;       /* of all entries */
};

struct entry {
	struct arena *arena;
	struct value value;
	size_t size;
};

static void entry_free(void *p)
{
	struct entry *entry = p;

	if (!entry)
		return;
	arena_unref(entry->arena);
	free(entry);
}

static void forget(struct meta *meta, struct entry *entry)
{
	if (entry)
		meta->size -= entry->size;
	entry_free(entry);
}

struct meta *meta_new(void)
{
	struct meta *meta = xcalloc(1, sizeof *meta);

	meta->names = map_new();
	return meta;
}

struct meta *meta_copy(const struct meta *meta)
{
	struct meta *copy = meta_new();
	const struct value *v;
	const char *name;
	size_t pos = 0;

	while (meta_each(meta, &pos, &name, &v))
		meta_set(copy, name, v);
	return copy;
}

void meta_free(struct meta *meta)
{
	if (!meta)
		return;
	map_free(meta->names, entry_free);
	free(meta);
}

void meta_set(struct meta *meta, const char *name, const struct value *v)
{
	struct entry *entry = xmalloc(sizeof *entry), *old;

	entry->arena = arena_new(VALUE_HINT);
	entry->value = value_copy(entry->arena, v);
	entry->size = sizeof *entry + strlen(name) + arena_used(entry->arena);
	meta->size += entry->size;
	old = map_put(meta->names, name, entry);
	forget(meta, old);
}

void meta_set_string(struct meta *meta, const char *name, const char *s)
{
	struct value v = {.type = VALUE_STRING, .s = s, .len = strlen(s)};

	meta_set(meta, name, &v);
}

void meta_unset(struct meta *meta, const char *name)
{
	forget(meta, map_remove(meta->names, name));
}

const struct value *meta_get(const struct meta *meta, const char *name)
{
	const struct entry *entry = map_get(meta->names, name);

	return entry ? &entry->value : NULL;
}

const char *meta_get_string(const struct meta *meta, const char *name)
{
	const struct value *v = meta_get(meta, name);

	return v && v->type == VALUE_STRING ? v->s : NULL;
}

bool meta_each(const struct meta *meta, size_t *pos, const char **name,
    const struct value **v)
{
	void *entry;

	if (!map_each(meta->names, pos, name, &entry))
		return false;
	*v = &((const struct entry *)entry)->value;
	return true;
}

size_t meta_size(const struct meta *meta)
{
	return meta->size;
}

void meta_write_json(const struct meta *meta, struct buf *out)
{
	struct json_object o;
	const struct value *v;
	const char *name;
	size_t pos = 0;

	json_open(&o, out);
	while (meta_each(meta, &pos, &name, &v))
		json_add_value(&o, name, v);
	json_close(&o);
}

bool meta_same(const struct meta *a, const struct meta *b)
{
	struct buf x = BUF_INIT, y = BUF_INIT;
	bool same;

	meta_write_json(a, &x);
	meta_write_json(b, &y);
	same = x.len == y.len && memcmp(buf_str(&x), buf_str(&y), x.len) == 0;
	buf_release(&x);
	buf_release(&y);
	return same;
}

struct meta *meta_parse_json(const char *text, size_t len, struct err *err)
{
	struct arena *arena = arena_new(len);
	struct meta *meta = NULL;
	struct value root;

	if (!json_parse(text, len, arena, &root, err))
		goto out;
	if (root.type != VALUE_MAP) {
		(void)err_set(
		    err, ERR_PERM, "metadata: expected a JSON object");
		goto out;
	}
	meta = meta_new();
	VALUE_EACH (entry, &root)
		meta_set(meta, entry->key, &entry->value);
out:
	arena_unref(arena);
	return meta;
}
