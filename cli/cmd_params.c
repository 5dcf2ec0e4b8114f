/*
 * cmd_params.c - the parameters of the policy's constructors
 */
#include <sysexits.h>

#include "base/json.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "policy/param.h"

/* "make_egress_source", or its end: "egress_source". */
static bool is_named(const struct param_set *set, const char *name)
{
	const char *underscore = strchr(set->name, '_');

	return str_eq(set->name, name) ||
	       (underscore && str_eq(underscore + 1, name));
}

static const struct param_set *find_set(const char *name)
{
	for (size_t i = 0; i < param_set_count; i++) {
		if (is_named(param_sets[i], name))
			return param_sets[i];
	}
	return NULL;
}

static void add_set(struct buf *json, const struct param_set *set);

/* The tables that stand in the value, or the forms that it may have. */
static void add_inside(struct json_object *o, const struct param_spec *spec)
{
	const struct param_set *const one[] = {spec->set, NULL};
	const struct param_set *const *inside = spec->forms ? spec->forms : one;

	if (!*inside)
		return;
	json_key(o, "inside");
	buf_addch(o->buf, '[');
	for (size_t i = 0; inside[i]; i++) {
		if (i)
			buf_addch(o->buf, ',');
		add_set(o->buf, inside[i]);
	}
	buf_addch(o->buf, ']');
}

static void add_spec(struct buf *json, const struct param_spec *spec)
{
	struct json_object o;

	json_open(&o, json);
	json_add_string(&o, "key", spec->key);
	json_add_bool(&o, "required", spec->flags & PARAM_REQUIRED);
	json_add_bool(&o, "supported", !(spec->flags & PARAM_UNSUPPORTED));
	json_add_bool(&o, "ignored", spec->flags & PARAM_IGNORED);
	json_add_string(&o, "default", spec->fallback);
	json_add_string(&o, "help", spec->help);
	add_inside(&o, spec);
	json_close(&o);
}

static void add_set(struct buf *json, const struct param_set *set)
{
	struct json_object o;

	json_open(&o, json);
	json_add_string(&o, "name", set->name);
	json_add_string(&o, "intro", set->intro);
	json_key(&o, "parameters");
	buf_addch(json, '[');
	for (size_t i = 0; i < set->count; i++) {
		if (i)
			buf_addch(json, ',');
		add_spec(json, &set->specs[i]);
	}
	buf_addch(json, ']');
	json_close(&o);
}

static void print_json(struct cli *cli, const struct param_set *set)
{
	struct buf json = BUF_INIT;

	add_set(&json, set);
	out_json(cli->out, &json);
	buf_release(&json);
}

static void print_set(struct cli *cli, const struct param_set *set)
{
	struct buf text = BUF_INIT;

	if (cli->json) {
		print_json(cli, set);
		return;
	}
	param_document(set, false, &text);
	(void)fputs(buf_str(&text), cli->out);
	buf_release(&text);
}

static int run(struct cli *cli)
{
	const struct param_set *set;

	if (cli->argument_count) {
		set = find_set(cli->arguments[0]);
		if (!set)
			return cli_fail(cli, EX_USAGE,
			    "%.60s: no such constructor; `penstock params` "
			    "lists them",
			    cli->arguments[0]);
		print_set(cli, set);
		return EX_OK;
	}
	for (size_t i = 0; i < param_set_count; i++) {
		set = param_sets[i];
		if (cli->json)
			print_set(cli, set);
		else
			(void)fprintf(cli->out, "%-26s %s\n", set->name,
			    set->intro ? set->intro : "");
	}
	return EX_OK;
}

const struct cli_command cmd_params = {
    .name = "params",
    .arguments = "[NAME]",
    .summary = "The parameters of the policy's constructors",
    .help = "NAME is a constructor, e.g. make_egress_source or egress_source.",
    .most_arguments = 1,
    .run = run,
};
