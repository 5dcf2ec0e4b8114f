/*
 * template_run.h - one rendering: variables, limits and how values are worked
 * on
 *
 * Only template*.c include this.  Values come from the network, so all that a
 * rendering does is counted: a byte of text costs one, a step TEMPLATE_STEP.
 */
#ifndef POLICY_TEMPLATE_RUN_H
#define POLICY_TEMPLATE_RUN_H

#include "policy/template_parse.h"

#define TEMPLATE_MAX_TEXT (16U << 20) /* of one value, and of the result */
#define TEMPLATE_MAX_WORK (128U << 20)
#define TEMPLATE_STEP 128

struct template_binding {
	const char *name;
	struct value value;
	const struct template_binding *next;
};

struct template_run {
	const struct value *variables;
	/* Of set and for, the innermost first. */
	const struct template_binding *bindings;
	struct arena *arena;
	enum template_escape escape;
	size_t work;
};

/* Marks, as `kind` of a string, text that is not to be escaped. */
extern const char template_safe[];

/* Counts; false, with an error, when it was too much. */
bool template_work(struct template_run *run, size_t cost, struct err *err);
bool template_evaluate(const struct template_expr *e, struct template_run *run,
    struct value *out, struct err *err);

bool template_is_true(const struct value *v);
/* As it would stand in the text. */
bool template_as_text(struct template_run *run, const struct value *v,
    struct value *out, struct err *err);
/* Takes what was built as a string, and releases `text` in any case. */
bool template_take_text(struct template_run *run, struct buf *text,
    struct value *out, struct err *err);
/* What a for goes through: items, keys of a map, characters, nothing of nil. */
bool template_items(struct template_run *run, const struct value *v,
    struct value *list, struct err *err);
/* *order as of memcmp; only numbers and only strings have one. */
bool template_compare(
    const struct value *a, const struct value *b, int *order, struct err *err);
bool template_contains(struct template_run *run, const struct value *in,
    const struct value *what, bool *found, struct err *err);
struct value template_bool(bool b);

/* Each NULL: there is none of that name. */
const struct template_call *template_filter_find(const char *name, size_t len);
const struct template_call *template_method_find(const char *name, size_t len);
const struct template_call *template_test_find(const char *name, size_t len);
/* Is it a filter of the language that we do not have yet? */
bool template_filter_is_later(const char *name, size_t len);
const struct template_call *template_call_find(
    const struct template_call *calls, size_t count, const char *name,
    size_t len);

/* Filters that are methods too. */
template_apply_fn template_lower, template_upper, template_trim,
    template_replace, template_split;

#endif
