/*
 * param.h - parameter tables: one row a key
 *
 * A row is the only place that knows a key's name, type, bounds, default and
 * explanation.  Parsing, errors, the make_* constructors, the manual and
 * `penstock params` come from it.
 *
 * Every record begins with `uint64_t given[2]`, one bit for each row (in row
 * order): 0 and false are not absent.
 *
 * Errors read `make_egress_source: remote_port: 70000 is outside 1..65535`.
 *
 * A value of the wrong sort says `invalid type: ...` or `invalid value: ...`
 * with the value in it: helpers of policies look for the word.
 *
 * Ownership: what a record points to lives in the arena it was parsed into;
 *            nothing points into the table it came from.
 * Threads:   any number at once, each with its own arena.
 */
#ifndef POLICY_PARAM_H
#define POLICY_PARAM_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

struct string_list {
	const char *const *items;
	size_t count;
};

enum param_type {
	PARAM_STRING,      /* const char *; with `names`: one of them */
	PARAM_BOOL,        /* bool */
	PARAM_INT,         /* int64_t, min..max */
	PARAM_LIMIT,       /* int64_t >= 1, or "1,000", "local:5" (3.4) */
	PARAM_DURATION,    /* struct duration */
	PARAM_RATE,        /* const struct rate *, NULL when absent */
	PARAM_ADDRESS,     /* const struct ip_addr *, NULL when absent */
	PARAM_ENDPOINT,    /* const struct endpoint *, NULL when absent */
	PARAM_CIDR_LIST,   /* struct cidr_list */
	PARAM_STRING_LIST, /* struct string_list */
	PARAM_ENUM,        /* int-sized enum, by names */
	PARAM_KEY_SOURCE,  /* const struct value *, checked */
	PARAM_VALUE,       /* const struct value *: any tree, e.g. meta */
	PARAM_RATE_MAP,    /* struct named_rates (named_limits.h) */
	PARAM_LIMIT_MAP,   /* struct named_limits */
	PARAM_MAP,         /* const struct value *: a map with text keys */
	PARAM_RECORD,      /* a struct inside, with a param_set of its own */
	PARAM_CUSTOM,      /* read by `custom` */
};

enum param_flags {
	PARAM_REQUIRED = 1,
	PARAM_SECRET = 2, /* never printed */
	PARAM_IGNORED =
	    4, /* accepted, has no effect: tuning of another shape */
	PARAM_UNSUPPORTED = 8, /* not honoured yet: an error with a sentence */
	PARAM_STATIC = 16,     /* not in via, peer or dynamic parameters */
	PARAM_AT_ONCE = 32,    /* holds for open connections, too */
};

struct param_enum_name {
	const char *name;
	int value;
};

/* `offset` of a key that is checked and then forgotten. */
#define PARAM_NOWHERE ((size_t)-1)

struct param_spec {
	const char *key;
	enum param_type type;
	size_t offset;
	unsigned flags;
	int64_t min, max; /* PARAM_INT; both 0: 0..INT64_MAX */
	/* As the operator would write it, lists with commas, "{}" for an empty
	 * table; NULL: zero. */
	const char *fallback;
	const char *shown; /* the default in words, when it is no literal */
	size_t has;        /* offset of a bool: was it given?  0: none */
	const struct param_enum_name *names; /* PARAM_ENUM, ends with NULL */
	const struct param_set *set; /* PARAM_RECORD; for the manual, others */
	/* For the manual, ends with NULL. */
	const struct param_set *const *forms;
	/* PARAM_CUSTOM: to and from the whole record */
	bool (*custom)(const struct value *v, void *record, struct arena *arena,
	    struct err *err);
	struct value (*print)(const void *record, struct arena *arena);
	const char *help;
};

struct param_set {
	const char *name;  /* "make_egress_source" */
	const char *intro; /* one sentence, for the manual */
	size_t record_size;
	const struct param_spec *specs;
	size_t count;
	/* Sets what zero does not say, before the defaults; may be NULL. */
	void (*prepare)(void *record);
	bool (*check)(const void *record, struct err *err); /* may be NULL */
	bool extra_keys_ignored;
	bool overrides; /* keys with PARAM_STATIC are unknown here */
};

/* Parses `table` into `record` (record_size bytes, overwritten): defaults
 * first, then each key.  nil is absent.  Strings live in `arena`. */
bool param_parse(const struct param_set *set, const struct value *table,
    struct arena *arena, void *record, struct err *err) MUST_USE;
/* Copies `base` into `record` and applies only the keys given; what `base` had
 * given stays given. */
bool param_parse_over(const struct param_set *set, const void *base,
    const struct value *table, struct arena *arena, void *record,
    struct err *err) MUST_USE;
/* Was the key given?  (bitmap in the record's first field) */
bool param_given(
    const struct param_set *set, const void *record, const char *key);
/* The effective value of one key, durations as text; NIL when absent, unknown
 * or secret. */
struct value param_read(const struct param_set *set, const void *record,
    const char *key, struct arena *arena);
/* All of them, as the table that would parse into the same record; its `kind`
 * is the set's name. */
struct value param_read_all(
    const struct param_set *set, const void *record, struct arena *arena);

/* Do both say the same, secrets included?  Rows with PARAM_AT_ONCE or
 * PARAM_IGNORED do not count: true means that a connection which was made with
 * `a` is as good as one made with `b`. */
bool param_same(const struct param_set *set, const void *a, const void *b);

/* All constructors, for `penstock params` and the manual. */
extern const struct param_set *const param_sets[];
extern const size_t param_set_count;
/* One set as mdoc (a .Bl list) or as plain text for a terminal. */
void param_document(const struct param_set *set, bool mdoc, struct buf *out);

#endif
