/*
 * template.h - text with {{ expressions }} in it (policy language, 3.11)
 *
 * The part of the language that maildir_path needs: literal text, comments,
 * lookups, literals and a few filters.  Statements, {% ... %}, are refused when
 * the template is compiled.
 *
 *	template   = *( text / "{{" expression "}}" / "{#" comment "#}" )
 *	expression = operand *( "|" filter )
 *	operand    = STRING / NUMBER / name *( "." name / "[" operand "]" )
 *	filter     = name [ "(" operand *( "," operand ) ")" ]
 *
 * What is not defined, and nil, is empty text; a lookup in something not
 * defined is an error.  Nothing is escaped.
 *
 * Ownership: a compiled template lives in its arena; a result is the caller's.
 * Threads:   a compiled template never changes; any number of renderers.
 */
#ifndef POLICY_TEMPLATE_H
#define POLICY_TEMPLATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

struct template;

/* NULL: it is wrong, and err says why. */
const struct template *template_compile(
    const char *text, struct arena *arena, struct err *err) MUST_USE;

/* Is called with the source and the result of each expression, before it is
 * added; false ends the rendering and has filled err. */
typedef bool template_check_fn(const char *expression, const char *result,
    size_t len, void *ctx, struct err *err);

/* `variables` is a map.  `check` may be NULL.  Adds to `out`; on failure what
 * is in there is incomplete. */
bool template_render(const struct template *t, const struct value *variables,
    template_check_fn *check, void *ctx, struct buf *out, struct err *err)
    MUST_USE;

/* A template_check_fn for paths: one name and not a way out of the directory.
 * Refuses "/", NUL, "", "." and ".." with ERR_PERM (D7). */
bool template_check_file_name(const char *expression, const char *result,
    size_t len, void *ctx, struct err *err);

#endif
