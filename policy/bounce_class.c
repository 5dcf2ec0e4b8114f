/*
 * bounce_class.c - what sort of failure does a reply tell of?
 *
 * This runs where records are made, in the router on its loop, so it has to be
 * short whatever the rules and the peer are like.  A text that was seen lately
 * costs half a microsecond, one that was not some fifteen (bench/RESULTS.md).
 * An expression is stopped after 2000 steps, which is less than 0.2 ms in 2
 * KiB, and all of them at the next look at the clock after 2 ms of CPU: so the
 * worst is below 4 ms for a text, and takes rules that explode.
 */
#include "policy/bounce_class.h"

#include <stdatomic.h>

#include "base/array.h"
#include "base/diag.h"
#include "base/json.h"
#include "base/regex_list.h"
#include "base/str.h"
#include "base/toml.h"
#include "base/xalloc.h"
#include "policy/bounce_cache.h"
#include "policy/param_rows.h"

#define MOST_CPU_NS 2000000
#define MOST_RULES 20000
#define MOST_CLASS 100 /* bytes of a name */
#define MOST_TEXT 2048
#define MOST_CACHE 100000

struct rule {
	struct bounce_rule rule;
	bool over_said;
};

struct bounce_classifier {
	struct arena *arena;
	struct regex_list *expressions;
	struct {
		struct rule *items;
		size_t count, size;
	} rules;
	bool over_time_said;
	/* With a rule, and without. */
	struct bounce_cache *known, *unknown;
};

/* ---- parameters ---- */

#define S bounce_config
static const struct param_spec specs[] = {
    P_STRING_LIST(S, files, .flags = PARAM_REQUIRED,
	.help = "Files of rules, in order; they end in .toml or .json. A name "
		"without a / is one of the files that come with the program, "
		"such as bounce-rules.toml."),
    P_INT(S, cache_size, 0, MOST_CACHE, .fallback = "1024",
	.help = "Replies whose class is remembered."),
    P_INT(S, uncategorized_cache_size, 0, MOST_CACHE, .fallback = "1024",
	.help = "Replies of which it is remembered that no rule matches."),
    P_INT(S, back_pressure, 0, INT64_MAX, .flags = PARAM_IGNORED,
	.fallback = "131072",
	.help = "Without effect: nothing waits to be classified."),
    P_INT(S, pool_size, 0, INT64_MAX, .flags = PARAM_IGNORED, .fallback = "1",
	.help = "Without effect: replies are classified where their records "
		"are made."),
};
#undef S

const struct param_set bounce_classifier_params = {
    .name = "configure_bounce_classifier",
    .intro = "Rules that say what sort of failure a reply tells of.",
    .record_size = sizeof(struct bounce_config),
    .specs = specs,
    .count = COUNT(specs),
};

/* ---- rules ---- */

struct bounce_classifier *bounce_classifier_new(
    const struct bounce_config *config)
{
	struct bounce_classifier *c = xcalloc(1, sizeof *c);

	c->arena = arena_new(0);
	c->expressions = regex_list_new();
	c->known = bounce_cache_new((size_t)config->cache_size);
	c->unknown = bounce_cache_new((size_t)config->uncategorized_cache_size);
	return c;
}

void bounce_classifier_free(struct bounce_classifier *c)
{
	if (!c)
		return;
	bounce_cache_free(c->known);
	bounce_cache_free(c->unknown);
	regex_list_free(c->expressions);
	ARRAY_FREE(&c->rules);
	arena_unref(c->arena);
	free(c);
}

size_t bounce_classifier_rules(const struct bounce_classifier *c)
{
	return c->rules.count;
}

static bool add_rule(struct bounce_classifier *c, struct bounce_rule rule,
    const struct value *v, struct err *err)
{
	if (v->type != VALUE_STRING)
		return err_set(err, ERR_CONFIG, "expected a string, got a %s",
		    value_type_name(v->type));
	if (c->rules.count == MOST_RULES)
		return err_set(err, ERR_CONFIG, "there are more than %d rules",
		    MOST_RULES);
	if (!regex_list_add(c->expressions, v->s, v->len, err))
		return err_prefix(err, "\"%.200s\"", v->s);
	rule.pattern = arena_strndup(c->arena, v->s, v->len);
	*ARRAY_ADD(&c->rules) = (struct rule){.rule = rule};
	return true;
}

static bool add_class(struct bounce_classifier *c, const char *file,
    const struct value_entry *entry, struct err *err)
{
	const struct value *list = &entry->value;
	struct bounce_rule rule = {.file = file};

	if (!*entry->key || strlen(entry->key) > MOST_CLASS)
		return err_set(err, ERR_CONFIG,
		    "rules: \"%.100s\": a class has a name of 1 to %d bytes",
		    entry->key, MOST_CLASS);
	if (list->type != VALUE_LIST && !param_is_empty_table(list))
		return err_set(err, ERR_CONFIG,
		    "rules.%s: expected a list of regular expressions, got a "
		    "%s",
		    entry->key, value_type_name(list->type));
	rule.class = arena_strdup(c->arena, entry->key);
	for (size_t i = 0; i < list->count; i++) {
		rule.number = i + 1;
		if (!add_rule(c, rule, &list->items[i], err))
			return err_prefix(
			    err, "rules.%s: rule %zu", entry->key, i + 1);
	}
	return true;
}

static bool parse(const char *file, const char *text, size_t len,
    struct arena *arena, struct value *out, struct err *err)
{
	if (str_ends(file, ".toml"))
		return toml_parse(text, len, arena, out, err);
	if (str_ends(file, ".json"))
		return json_parse(text, len, arena, out, err);
	return err_set(
	    err, ERR_CONFIG, "a file of rules ends in .toml or .json");
}

static bool add(struct bounce_classifier *c, const char *file, const char *text,
    size_t len, struct arena *arena, struct err *err)
{
	const struct value *rules;
	struct value v = {.type = VALUE_NIL};

	if (!parse(file, text, len, arena, &v, err))
		return false;
	rules = v.type == VALUE_MAP ? value_get(&v, "rules") : NULL;
	if (!rules)
		return err_set(err, ERR_CONFIG, "there is no table \"rules\"");
	if (rules->type != VALUE_MAP && !param_is_empty_table(rules))
		return err_set(err, ERR_CONFIG,
		    "rules: expected a table of classes, got a %s",
		    value_type_name(rules->type));
	file = arena_strdup(c->arena, file);
	VALUE_EACH (entry, rules)
		if (!add_class(c, file, entry, err))
			return false;
	return true;
}

bool bounce_classifier_add(struct bounce_classifier *c, const char *file,
    const char *text, size_t len, struct err *err)
{
	struct arena *arena = arena_new(0);
	bool ok = add(c, file, text, len, arena, err);

	arena_unref(arena);
	if (ok)
		return true;
	err->class = ERR_CONFIG;
	return err_prefix(err, "%.300s", file);
}

/* ---- replies ---- */

/* Once a rule: it would be said for every reply of a host. */
static void on_over(size_t index, void *ctx)
{
	struct bounce_classifier *c = ctx;
	const struct bounce_rule *rule;

	if (index == REGEX_LIST_NONE) {
		if (!__atomic_exchange_n(
			&c->over_time_said, true, __ATOMIC_RELAXED))
			diag_warn("bounce classifier: the rules took more than "
				  "%d ms for a reply, which is %s",
			    MOST_CPU_NS / 1000000, BOUNCE_UNCATEGORIZED);
		return;
	}
	rule = &c->rules.items[index].rule;
	if (!__atomic_exchange_n(
		&c->rules.items[index].over_said, true, __ATOMIC_RELAXED))
		diag_warn("bounce classifier: %.200s: rules.%s: rule %zu takes "
			  "too many steps and does not match then: make it "
			  "simpler",
		    rule->file, rule->class, rule->number);
}

/* What is not UTF-8 becomes U+FFFD, as in records. */
static void add_utf8(struct buf *out, const char *text, size_t len)
{
	while (len > 0) {
		size_t step = str_utf8_step(text, len);

		if (step)
			buf_add(out, text, step);
		else
			buf_addstr(out, "\xEF\xBF\xBD");
		text += step ? step : 1;
		len -= step ? step : 1;
	}
}

static size_t search(struct bounce_classifier *c, const char *text, size_t len)
{
	struct buf clean = BUF_INIT;
	size_t found;

	if (!str_is_utf8(text, len)) {
		add_utf8(&clean, text, len);
		text = buf_str(&clean);
		len = clean.len;
	}
	found = regex_list_first(
	    c->expressions, text, len, MOST_CPU_NS, on_over, c);
	buf_release(&clean);
	return found;
}

const struct bounce_rule *bounce_classifier_find(
    struct bounce_classifier *c, const char *text, size_t len)
{
	size_t found;

	if (len > MOST_TEXT)
		len = MOST_TEXT;
	if (!bounce_cache_get(c->known, text, len, &found) &&
	    !bounce_cache_get(c->unknown, text, len, &found)) {
		found = search(c, text, len);
		bounce_cache_put(
		    found == REGEX_LIST_NONE ? c->unknown : c->known, text, len,
		    found);
	}
	return found == REGEX_LIST_NONE ? NULL : &c->rules.items[found].rule;
}

const char *bounce_class_of(
    struct bounce_classifier *c, const struct smtp_reply *reply)
{
	const struct bounce_rule *rule;
	struct buf line = BUF_INIT;

	if (!c)
		return BOUNCE_UNCATEGORIZED;
	smtp_reply_one_line(&line, reply);
	rule = bounce_classifier_find(c, buf_str(&line), line.len);
	buf_release(&line);
	return rule ? rule->class : BOUNCE_UNCATEGORIZED;
}
