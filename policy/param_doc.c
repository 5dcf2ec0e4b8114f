/*
 * param_doc.c - the manual of the parameters, from their rows
 */
#include "base/str.h"
#include "policy/bounce_class.h"
#include "policy/egress_path.h"
#include "policy/egress_pool.h"
#include "policy/egress_source.h"
#include "policy/listener.h"
#include "policy/listener_domain.h"
#include "policy/log_config.h"
#include "policy/param_type.h"
#include "policy/queue_config.h"
#include "policy/suppression.h"

const struct param_set *const param_sets[] = {
    &listener_params,
    &listener_domain_params,
    &queue_config_params,
    &egress_pool_params,
    &egress_source_params,
    &egress_path_params,
    &log_config_params,
    &log_hook_params,
    &log_disposition_params,
    &bounce_classifier_params,
    &suppression_params,
};
const size_t param_set_count = COUNT(param_sets);

/* Width of the text form, without its margin. */
#define TEXT_WIDTH 64

static void syntax(const struct param_spec *spec, struct buf *out)
{
	param_type_syntax(spec, out);
	if (spec->flags & PARAM_REQUIRED)
		buf_addstr(out, ", required");
	else if (spec->shown)
		buf_addf(out, ", default: %s", spec->shown);
	else if (spec->fallback)
		buf_addf(out, ", default %s",
		    *spec->fallback ? spec->fallback : "\"\"");
}

static void mdoc_word(const char *s, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\\')
			buf_addstr(out, "\\e");
		else
			buf_addch(out, s[i]);
	}
}

/* Text as mdoc takes it: a line a sentence or less, backslashes escaped, no
 * control line by accident. */
static void mdoc_text(const char *s, struct buf *out)
{
	size_t width = 0;

	while (*s) {
		size_t len = strcspn(s, " ");
		bool sentence = len > 1 && s[len - 1] == '.';

		if (width > 0 && width + 1 + len > TEXT_WIDTH) {
			buf_addch(out, '\n');
			width = 0;
		}
		if (width > 0)
			buf_addch(out, ' ');
		else if (*s == '.' || *s == '\'')
			buf_addstr(out, "\\&");
		mdoc_word(s, len, out);
		width += len + 1;
		s += len;
		s += strspn(s, " ");
		if (sentence || !*s) {
			buf_addch(out, '\n');
			width = 0;
		}
	}
}

/* In the arguments of a macro quotes and lone punctuation mean something. */
static void mdoc_argument(const char *s, struct buf *out)
{
	buf_addch(out, '"');
	for (; *s; s++) {
		if (*s == '"')
			buf_addstr(out, "\\(dq");
		else if (*s == '\\')
			buf_addstr(out, "\\e");
		else
			buf_addch(out, *s);
	}
	/* Not the delimiter that a trailing colon would be. */
	buf_addstr(out, "\\&\"");
}

/* What the manual tells inside a row: one table, or one of several. */
static const struct param_set *inside(const struct param_spec *spec, size_t i)
{
	if (spec->forms)
		return spec->forms[i];
	return i == 0 ? spec->set : NULL;
}

static void document_mdoc(const struct param_set *set, struct buf *out)
{
	struct buf line = BUF_INIT;

	mdoc_text(set->intro, out);
	buf_addstr(out, ".Bl -tag -width Ds\n");
	for (size_t i = 0; i < set->count; i++) {
		const struct param_spec *spec = &set->specs[i];

		buf_reset(&line);
		syntax(spec, &line);
		buf_addf(out, ".It Cm %s No ", spec->key);
		mdoc_argument(buf_str(&line), out);
		buf_addch(out, '\n');
		mdoc_text(spec->help, out);
		for (size_t j = 0; inside(spec, j); j++) {
			buf_addstr(out, ".Pp\n");
			document_mdoc(inside(spec, j), out);
		}
	}
	buf_addstr(out, ".El\n");
	buf_release(&line);
}

static void wrap(const char *s, size_t indent, struct buf *out)
{
	size_t width = 0;

	while (*s) {
		size_t len = strcspn(s, " ");

		if (width > 0 && width + 1 + len > TEXT_WIDTH) {
			buf_addch(out, '\n');
			width = 0;
		}
		if (width == 0)
			buf_addf(out, "%*s", (int)indent, "");
		else
			buf_addch(out, ' ');
		width += len + (width > 0);
		buf_add(out, s, len);
		s += len;
		s += strspn(s, " ");
	}
	buf_addch(out, '\n');
}

static void document_text(
    const struct param_set *set, size_t indent, struct buf *out)
{
	struct buf line = BUF_INIT;

	wrap(set->intro, indent, out);
	for (size_t i = 0; i < set->count; i++) {
		const struct param_spec *spec = &set->specs[i];

		buf_reset(&line);
		syntax(spec, &line);
		buf_addf(out, "\n%*s%s  %s\n", (int)indent, "", spec->key,
		    buf_str(&line));
		wrap(spec->help, indent + 4, out);
		for (size_t j = 0; inside(spec, j); j++) {
			buf_addch(out, '\n');
			document_text(inside(spec, j), indent + 4, out);
		}
	}
	buf_release(&line);
}

void param_document(const struct param_set *set, bool mdoc, struct buf *out)
{
	if (mdoc) {
		document_mdoc(set, out);
		return;
	}
	buf_addf(out, "%s\n", set->name);
	document_text(set, 2, out);
}
