/*
 * cmd_classify.c - which class do the policy's rules put a reply into, and why?
 */
#include <sysexits.h>

#include "base/json.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "lua/script.h"

static void print_text(
    struct cli *cli, const char *text, const struct bounce_rule *rule)
{
	out_text(cli->out, rule ? rule->class : BOUNCE_UNCATEGORIZED);
	(void)fputs(": ", cli->out);
	out_text(cli->out, text);
	(void)fputc('\n', cli->out);
	if (!rule)
		return;
	(void)fputs("    ", cli->out);
	out_text(cli->out, rule->file);
	(void)fputs(": rules.", cli->out);
	out_text(cli->out, rule->class);
	(void)fprintf(cli->out, ": rule %zu: ", rule->number);
	out_text(cli->out, rule->pattern);
	(void)fputc('\n', cli->out);
}

static void print_json(
    struct cli *cli, const char *text, const struct bounce_rule *rule)
{
	struct buf json = BUF_INIT;
	struct json_object o;

	json_open(&o, &json);
	json_add_string(&o, "text", text);
	json_add_string(&o, "class", rule ? rule->class : BOUNCE_UNCATEGORIZED);
	json_add_string(&o, "file", rule ? rule->file : NULL);
	if (rule)
		json_add_int(&o, "rule", (int64_t)rule->number);
	else
		json_add_string(&o, "rule", NULL);
	json_add_string(&o, "pattern", rule ? rule->pattern : NULL);
	json_close(&o);
	out_json(cli->out, &json);
	buf_release(&json);
}

static void classify(
    struct cli *cli, struct bounce_classifier *c, const char *text)
{
	const struct bounce_rule *rule =
	    bounce_classifier_find(c, text, strlen(text));

	if (cli->json)
		print_json(cli, text, rule);
	else
		print_text(cli, text, rule);
}

/* The words of one reply, with or without quotes around them. */
static void classify_arguments(struct cli *cli, struct bounce_classifier *c)
{
	struct buf text = BUF_INIT;

	for (int i = 0; i < cli->argument_count; i++) {
		if (i)
			buf_addch(&text, ' ');
		buf_addstr(&text, cli->arguments[i]);
	}
	classify(cli, c, buf_str(&text));
	buf_release(&text);
}

static void classify_lines(struct cli *cli, struct bounce_classifier *c)
{
	char line[8192];

	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (*line)
			classify(cli, c, line);
	}
}

static int run(struct cli *cli)
{
	struct script_options options = {
	    .path = cli->policy, .role = SCRIPT_CHECK, .threads = 1};
	struct script_policy *policy = NULL;
	struct bounce_classifier *c;
	struct err err = {0};
	int code = EX_OK;

	if (!script_policy_load(&policy, &options, &err))
		return cli_fail(cli, EX_CONFIG, "%s", err.text);
	c = script_policy_setup(policy)->classifier;
	if (!c)
		code = cli_fail(cli, EX_CONFIG,
		    "%s: kumo.configure_bounce_classifier is not called in "
		    "init: every reply is " BOUNCE_UNCATEGORIZED,
		    cli->policy);
	else if (cli->argument_count > 0)
		classify_arguments(cli, c);
	else
		classify_lines(cli, c);
	script_policy_unref(policy);
	return code;
}

const struct cli_command cmd_classify = {
    .name = "classify",
    .arguments = "[REPLY]",
    .summary = "Say which bounce class a reply is in, and why",
    .help = "REPLY is in one line as in log records, \"550 5.1.1 no such "
	    "user\": code,\nenhanced code, text; line breaks are \\r\\n in "
	    "four characters.\nWithout REPLY, each line of standard input.",
    .most_arguments = -1,
    .run = run,
};
