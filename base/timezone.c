/*
 * timezone.c - how far a place is ahead of UTC, and when
 *
 *	file   = header data [ header data64 footer ]
 *	header = "TZif" version 15(reserved) isutcnt isstdcnt leapcnt timecnt
 *	         typecnt charcnt          ; counts of 4 bytes
 *	data   = timecnt(time) timecnt(index) typecnt(offset dst abbreviation)
 *	         ...                      ; times of 4 bytes, in data64 of 8
 */
#include "base/timezone.h"

#include <stdlib.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/str.h"

#define DIRECTORY "/usr/share/zoneinfo"
#define MOST_FILE (1 << 20)
#define HEADER 44

struct timezone_rules {
	size_t count;
	const int64_t *at;     /* ascending */
	const int64_t *offset; /* from at[i] on */
	int64_t first;         /* before at[0] */
};

struct cursor {
	const unsigned char *p;
	size_t left;
};

struct counts {
	uint32_t isut, isstd, leap, time, type, chars;
};

static int64_t get(const unsigned char *p, size_t size)
{
	uint64_t n = size == 8 ? 0 : (p[0] & 128 ? UINT64_MAX : 0);

	for (size_t i = 0; i < size; i++)
		n = n << 8 | p[i];
	return (int64_t)n;
}

static bool skip(struct cursor *c, size_t len)
{
	if (len > c->left)
		return false;
	c->p += len;
	c->left -= len;
	return true;
}

static bool read_header(struct cursor *c, struct counts *n)
{
	const unsigned char *p = c->p;
	uint32_t *fields[] = {
	    &n->isut, &n->isstd, &n->leap, &n->time, &n->type, &n->chars};

	if (c->left < HEADER || memcmp(p, "TZif", 4) != 0)
		return false;
	for (size_t i = 0; i < COUNT(fields); i++) {
		*fields[i] = (uint32_t)get(p + 20 + 4 * i, 4);
		if (*fields[i] > 65536)
			return false;
	}
	return n->type > 0 && skip(c, HEADER);
}

static size_t data_size(const struct counts *n, size_t time_size)
{
	return n->time * time_size + n->time + n->type * 6 + n->chars +
	       n->leap * (time_size + 4) + n->isstd + n->isut;
}

static bool read_data(struct cursor *c, const struct counts *n,
    size_t time_size, struct arena *arena, struct timezone_rules *out)
{
	int64_t *at = ARENA_ARRAY(arena, int64_t, n->time + 1);
	int64_t *offset = ARENA_ARRAY(arena, int64_t, n->time + 1);
	const unsigned char *index = c->p + n->time * time_size;
	const unsigned char *types = index + n->time;

	if (data_size(n, time_size) > c->left)
		return false;
	for (size_t i = 0; i < n->time; i++) {
		if (index[i] >= n->type)
			return false;
		at[i] = get(c->p + i * time_size, time_size);
		offset[i] = get(types + 6 * index[i], 4);
	}
	out->count = n->time;
	out->at = at;
	out->offset = offset;
	out->first = get(types, 4);
	return true;
}

static bool parse(
    struct cursor c, struct arena *arena, struct timezone_rules *out)
{
	bool has_long_times = c.left > 4 && c.p[4] >= '2';
	struct counts n;

	if (!read_header(&c, &n))
		return false;
	if (!has_long_times)
		return read_data(&c, &n, 4, arena, out);
	return skip(&c, data_size(&n, 4)) && read_header(&c, &n) &&
	       read_data(&c, &n, 8, arena, out);
}

/* Letters, digits and the marks of zone names; no way out of the directory. */
static bool is_name(const char *name)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789+-_/";

	return *name && *name != '/' && strlen(name) < 128 &&
	       name[strspn(name, chars)] == '\0';
}

const struct timezone_rules *timezone_load(
    const char *name, struct arena *arena, struct err *err)
{
	struct timezone_rules *rules = ARENA_NEW(arena, struct timezone_rules);
	char path[256], quoted[64], *data = NULL;
	bool ok = is_name(name);
	size_t len = 0;

	if (ok) {
		snprintf(path, sizeof path, "%s/%s", DIRECTORY, name);
		data = fd_read_file(path, MOST_FILE, &len, NULL);
		ok = data && parse((struct cursor){(unsigned char *)data, len},
				 arena, rules);
		free(data);
	}
	if (ok)
		return rules;
	(void)err_set(err, ERR_CONFIG, "unknown time zone \"%s\"",
	    diag_quote(quoted, sizeof quoted, name, strlen(name)));
	return NULL;
}

int64_t timezone_offset(
    const struct timezone_rules *rules, int64_t unix_seconds)
{
	size_t low = 0, high = rules->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (rules->at[middle] <= unix_seconds)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? rules->first : rules->offset[low - 1];
}
