#include "policy/site_name.h"

#include "base/buf.h"
#include "base/str.h"

static int by_preference(const void *a, const void *b)
{
	const struct site_host *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return strcmp(x->name, y->name);
}

static size_t label_count(const char *name)
{
	size_t n = 1;

	for (; *name; name++)
		n += *name == '.';
	return n;
}

/* The label at `from_right`, 0 being the last; false when the name is shorter.
 */
static bool label_at(
    const char *name, size_t from_right, const char **label, size_t *len)
{
	size_t n = label_count(name);

	if (from_right >= n)
		return false;
	for (n -= from_right + 1; n > 0; n--)
		name = strchr(name, '.') + 1;
	*label = name;
	*len = strcspn(name, ".");
	return true;
}

static bool seen_before(const struct site_host *hosts, size_t until,
    size_t from_right, const char *label, size_t len)
{
	for (size_t i = 0; i < until; i++) {
		const char *other;
		size_t other_len;

		if (label_at(hosts[i].name, from_right, &other, &other_len) &&
		    other_len == len && memcmp(other, label, len) == 0)
			return true;
	}
	return false;
}

static void add_position(const struct site_host *hosts, size_t count,
    size_t from_right, struct buf *out)
{
	struct buf labels = BUF_INIT;
	size_t distinct = 0;
	bool missing = false;

	for (size_t i = 0; i < count; i++) {
		const char *label;
		size_t len;

		if (!label_at(hosts[i].name, from_right, &label, &len)) {
			missing = true;
			continue;
		}
		if (seen_before(hosts, i, from_right, label, len))
			continue;
		if (distinct++ > 0)
			buf_addch(&labels, '|');
		buf_add(&labels, label, len);
	}
	buf_addf(out, "%s%s%s%s", distinct > 1 ? "(" : "", buf_str(&labels),
	    distinct > 1 ? ")" : "", missing ? "?" : "");
	buf_release(&labels);
}

/* Lower case and without the root's dot, also before a port. */
static char *normal(const char *name, struct arena *arena)
{
	char *copy = str_lower(arena_strdup(arena, name));
	size_t len = strcspn(copy, ":");

	/* An IPv6 address is left as it is. */
	if (copy[len] && strchr(copy + len + 1, ':'))
		return copy;
	if (len > 0 && copy[len - 1] == '.')
		memmove(copy + len - 1, copy + len, strlen(copy + len) + 1);
	return copy;
}

const char *site_name(
    const struct site_host *hosts, size_t count, struct arena *arena)
{
	struct site_host *sorted = ARENA_ARRAY(arena, struct site_host, count);
	struct buf out = BUF_INIT;
	const char *name;
	size_t longest = 0;
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		char *host = normal(hosts[i].name, arena);
		size_t labels = label_count(host);

		if (!*host)
			continue;
		sorted[n++] = (struct site_host){host, hosts[i].preference};
		if (labels > longest)
			longest = labels;
	}
	if (n == 0)
		return "";
	qsort(sorted, n, sizeof *sorted, by_preference);
	for (size_t i = longest; i-- > 0;) {
		add_position(sorted, n, i, &out);
		if (i > 0)
			buf_addch(&out, '.');
	}
	name = arena_strndup(arena, out.data, out.len);
	buf_release(&out);
	return name;
}
