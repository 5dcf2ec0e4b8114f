/*
 * template.h - text with {{ expressions }} in it (policy language, 3.11)
 *
 * A subset of Jinja.  A dash inside a mark, {{- -}} {%- -%} {#- -#}, takes the
 * white space on that side of it.
 *
 *	block      = *( text / "{{" expr "}}" / "{#" comment "#}" / statement )
 *	statement  = "{%" "if" expr "%}" block
 *	             *( "{%" "elif" expr "%}" block )
 *	             [ "{%" "else" "%}" block ] "{%" "endif" "%}"
 *	           / "{%" "for" name [ "," name ] "in" expr "%}" block
 *	             [ "{%" "else" "%}" block ] "{%" "endfor" "%}"
 *	           / "{%" "set" name "=" expr "%}"
 *	expr       = and *( "or" and )
 *	and        = not *( "and" not )
 *	not        = *"not" concat [ operator concat ]
 *	operator   = "==" / "!=" / "<" / "<=" / ">" / ">=" / [ "not" ] "in"
 *	concat     = operand *( "~" operand )
 *	operand    = primary *( "." name [ args ] / "[" expr "]"
 *	             / "|" filter [ args ] / "is" [ "not" ] test [ args ] )
 *	primary    = STRING / NUMBER / name / "(" expr ")"
 *	           / "[" [ expr *( "," expr ) ] "]"
 *	args       = "(" [ expr *( "," expr ) ] ")"
 *
 * What is not defined, and nil, is empty text; a lookup in something not
 * defined is an error.  In a for, `loop` has index, index0, first, last,
 *length, revindex and revindex0; what a for sets is gone after each step.
 *
 * Depth, the length of texts and the work of a rendering are limited, because
 * the values come from the network.  Errors of the template are ERR_CONFIG, and
 * name its line.
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

/* The same; a name that ends in .html, .htm or .xml makes results safe for
 * HTML, .json, .js or .yaml makes them JSON.  template_compile() escapes
 * nothing. */
const struct template *template_compile_named(const char *name,
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
