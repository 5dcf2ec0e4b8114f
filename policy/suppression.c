/*
 * suppression.c - which addresses get no more mail, and why
 */
#include "policy/suppression.h"

#include <ctype.h>

#include "base/diag.h"
#include "base/json.h"
#include "base/str.h"
#include "policy/param_rows.h"

#define MOST_RULES 100
#define MOST_TEXTS 100
#define MOST_REASON 500 /* bytes of a peer's reply that are kept */

static const struct param_enum_name records[] = {
    {"Bounce", SUPPRESSION_BOUNCE},
    {"OOB", SUPPRESSION_OOB},
    {"Feedback", SUPPRESSION_FEEDBACK},
    {NULL, 0},
};
static const struct param_enum_name reaches[] = {
    {"tenant", SUPPRESSION_TENANT},
    {"global", SUPPRESSION_GLOBAL},
    {NULL, 0},
};
static const struct param_enum_name actions[] = {
    {"refuse", SUPPRESSION_REFUSE},
    {"drop", SUPPRESSION_DROP},
    {"none", SUPPRESSION_NONE},
    {NULL, 0},
};

/* What people do not mean by "complaint" (RFC 5965, 7.3; RFC 6591). */
static const char *const no_complaint[] = {"not-spam", "auth-failure"};

/* When the policy says nothing: what will not get better, and complaints. */
static const char default_rules[] =
    "[{\"record\":\"Bounce\",\"class\":\"InvalidRecipient\"},"
    "{\"record\":\"Bounce\",\"code\":[\"5.1.1\",\"5.1.6\",\"5.1.10\"]},"
    "{\"record\":\"Bounce\",\"class\":\"InactiveMailbox\",\"count\":3,"
    "\"within\":\"30 days\"},"
    "{\"record\":\"OOB\",\"class\":\"InvalidRecipient\"},"
    "{\"record\":\"OOB\",\"code\":[\"5.1.1\",\"5.1.6\",\"5.1.10\"]},"
    "{\"record\":\"Feedback\",\"keep\":\"forever\"}]";

/* ---- lists of words, or one word ---- */

typedef bool word_fn(const struct value *v, struct err *err);

static bool read_words(const struct value *v, word_fn *check,
    struct arena *arena, struct string_list *out, struct err *err)
{
	const struct value *items = v->type == VALUE_LIST ? v->items : v;
	size_t count = v->type == VALUE_LIST ? v->count : 1;
	const char **words;

	if (v->type != VALUE_STRING && v->type != VALUE_LIST)
		return param_type_error(err, v, "a string or a list of them");
	if (count == 0 || count > MOST_TEXTS)
		return param_value_error(
		    err, v, "expected 1 to %d of them", MOST_TEXTS);
	words = ARENA_ARRAY(arena, const char *, count);
	for (size_t i = 0; i < count; i++) {
		if (!param_plain_text(&items[i], err) || !check(&items[i], err))
			return false;
		words[i] = arena_strndup(arena, items[i].s, items[i].len);
	}
	*out = (struct string_list){words, count};
	return true;
}

static struct value print_words(
    const struct string_list *list, struct arena *arena)
{
	struct value v = {.type = VALUE_LIST, .count = list->count};

	if (!list->count)
		return (struct value){.type = VALUE_NIL};
	v.items = ARENA_ARRAY(arena, struct value, v.count);
	for (size_t i = 0; i < v.count; i++)
		v.items[i] = param_text(arena, list->items[i]);
	return v;
}

static bool is_class(const struct value *v, struct err *err)
{
	if (!v->len)
		return param_value_error(err, v, "it is empty");
	return true;
}

/* 3(DIGIT / "x"), or 1*DIGIT "." (1*3DIGIT / "x") "." (1*3DIGIT / "x") */
static bool is_pattern(const char *s)
{
	int dots = 0, digits = 0;

	if (strlen(s) == 3 && !strchr(s, '.'))
		return strspn(s, "0123456789x") == 3 &&
		       (*s == '4' || *s == '5');
	if (*s != '4' && *s != '5')
		return false;
	for (; *s; s++) {
		if (*s == '.') {
			if (!digits)
				return false;
			dots++;
			digits = 0;
		} else if (*s == 'x') {
			if (digits)
				return false;
			digits = 3;
		} else if (!isdigit((unsigned char)*s) || ++digits > 3) {
			return false;
		}
	}
	return dots == 2 && digits;
}

static bool is_code(const struct value *v, struct err *err)
{
	return is_pattern(v->s) ||
	       param_value_error(
		   err, v, "expected a code such as 550, 5xx, 5.1.1 or 5.1.x");
}

static bool read_class(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	return read_words(v, is_class, arena,
	    &((struct suppression_rule *)record)->class, err);
}

static struct value print_class(const void *record, struct arena *arena)
{
	return print_words(
	    &((const struct suppression_rule *)record)->class, arena);
}

static bool read_code(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	return read_words(
	    v, is_code, arena, &((struct suppression_rule *)record)->code, err);
}

static struct value print_code(const void *record, struct arena *arena)
{
	return print_words(
	    &((const struct suppression_rule *)record)->code, arena);
}

static bool read_keep(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	struct suppression_rule *rule = record;
	struct err why = {0};

	(void)arena;
	if (v->type != VALUE_STRING)
		return param_type_error(
		    err, v, "a duration such as \"90 days\", or \"forever\"");
	rule->forever = str_eq(v->s, "forever");
	if (rule->forever)
		return true;
	if (!duration_parse(v->s, &rule->keep, &why))
		return param_refused(err, &why);
	if (rule->keep.ms < 1000)
		return param_value_error(
		    err, v, "expected a second at least, or \"forever\"");
	return true;
}

static struct value print_keep(const void *record, struct arena *arena)
{
	const struct suppression_rule *rule = record;
	char text[128];

	return param_text(arena,
	    rule->forever ? "forever" : duration_print(text, rule->keep));
}

/* ---- one rule ---- */

#define S suppression_rule
static const struct param_spec rule_specs[] = {
    P_ENUM(S, record, records, .flags = PARAM_REQUIRED,
	.help = "The type of record: Bounce (of the router), OOB (a delivery "
		"report), Feedback (a complaint). Reports count only when they "
		"are linked: they are about a message that this host sent to "
		"this recipient."),
    P_CUSTOM(S, class, read_class, print_class,
	.shown = "any; of Feedback any but not-spam and auth-failure",
	.help = "Classes, one or a list: the bounce_classification of the "
		"record, or its feedback type. Letter case does not matter."),
    P_CUSTOM(S, code, read_code, print_code, .shown = "any",
	.help = "Codes, one or a list: 550, 5xx, 5.1.1, 5.1.x. Not for "
		"Feedback."),
    P_INT(S, count, 1, 1000, .fallback = "1",
	.help = "Records about different messages that it takes."),
    P_DURATION(S, within, .fallback = "7 days",
	.help = "The time in which they must come, when count is above 1."),
    P_CUSTOM(S, keep, read_keep, print_keep, .fallback = "90 days",
	.help = "How long mail is held off then: a duration, or forever."),
    P_ENUM(S, scope, reaches, .shown = "that of setup",
	.help = "Whose mail: of the tenant whose message it was about, or "
		"everybody's (global)."),
};
#undef S

static bool check_rule(const void *record, struct err *err)
{
	const struct suppression_rule *rule = record;

	if (rule->record == SUPPRESSION_FEEDBACK && rule->code.count)
		return err_set(err, ERR_CONFIG,
		    "code: invalid value: a Feedback record has none; use "
		    "class for its type");
	return rule->count == 1 || rule->within.ms >= 1000 ||
	       err_set(err, ERR_CONFIG,
		   "within: invalid value: expected a second at least");
}

const struct param_set suppression_rule_params = {
    .name = "rules",
    .intro = "Records that put an address on the list. All keys that are given "
	     "must fit.",
    .record_size = sizeof(struct suppression_rule),
    .specs = rule_specs,
    .count = COUNT(rule_specs),
    .check = check_rule,
};

/* ---- setup ---- */

static bool read_rules(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	struct suppression_config *config = record;
	struct suppression_rule *rules;

	if (v->type != VALUE_LIST && !param_is_empty_table(v))
		return param_type_error(err, v, "a list of rules");
	if (v->count > MOST_RULES)
		return err_set(err, ERR_CONFIG,
		    "invalid value: %zu rules, expected at most %d", v->count,
		    MOST_RULES);
	rules = ARENA_ARRAY(arena, struct suppression_rule, v->count + 1);
	for (size_t i = 0; i < v->count; i++)
		if (!param_fill(&suppression_rule_params, &v->items[i], arena,
			&rules[i], err))
			return err_prefix(err, "rule %zu", i + 1);
	config->rules.items = rules;
	config->rules.count = v->count;
	return true;
}

static struct value print_rules(const void *record, struct arena *arena)
{
	const struct suppression_config *config = record;
	struct value v = {.type = VALUE_LIST, .count = config->rules.count};

	v.items = ARENA_ARRAY(arena, struct value, v.count + 1);
	for (size_t i = 0; i < v.count; i++) {
		v.items[i] = param_read_all(
		    &suppression_rule_params, &config->rules.items[i], arena);
		v.items[i].kind = NULL;
	}
	return v;
}

#define S suppression_config
static const struct param_spec specs[] = {
    P_CUSTOM(S, rules, read_rules, print_rules, .set = &suppression_rule_params,
	.shown = "hard bounces for 90 days, complaints for ever",
	.help = "What puts an address on the list; an empty list: nothing "
		"does but operators."),
    P_ENUM(S, scope, reaches, .fallback = "tenant",
	.help = "Of rules that do not say: whose mail is held off, that of the "
		"tenant whose message it was about, or everybody's (global)."),
    P_ENUM(S, action, actions, .fallback = "refuse",
	.help = "What reception does with a recipient on the list: refuse it "
		"with 550 5.1.1, drop it with a Bounce record, or none: only "
		"suppression:check and suppression:refuse look."),
    P_BOOL(S, null_sender, .fallback = "false",
	.help = "Hold off mail from the null sender, too."),
    P_BOOL(S, postmaster, .fallback = "false",
	.help = "Hold off mail to postmaster, too."),
};
#undef S

const struct param_set suppression_params = {
    .name = "suppression:setup",
    .intro = "Which addresses get no more mail, and what becomes of mail to "
	     "them.",
    .record_size = sizeof(struct suppression_config),
    .specs = specs,
    .count = COUNT(specs),
};

static void add_list(
    struct buf *out, const char *key, const struct string_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		buf_addf(out, "%s%s", i ? "," : key, list->items[i]);
}

/* What it counts, so that a rule that stays the same goes on counting after a
 * reload, and one that changed begins anew. */
static const char *name_rule(
    const struct suppression_rule *rule, struct arena *arena)
{
	struct buf text = BUF_INIT;
	const char *name;

	buf_addstr(&text, records[rule->record].name);
	add_list(&text, " class=", &rule->class);
	add_list(&text, " code=", &rule->code);
	name = arena_strndup(arena, buf_str(&text), text.len);
	buf_release(&text);
	return name;
}

void suppression_complete(
    struct suppression_config *config, struct arena *arena)
{
	struct suppression_rule *rules;
	struct value table;
	struct err err = {0};

	if (!param_given(&suppression_params, config, "rules")) {
		bool ok = json_parse(default_rules, sizeof default_rules - 1,
			      arena, &table, &err) &&
			  read_rules(&table, config, arena, &err);

		invariant(ok);
	}
	rules = ARENA_ARRAY(
	    arena, struct suppression_rule, config->rules.count + 1);
	for (size_t i = 0; i < config->rules.count; i++) {
		rules[i] = config->rules.items[i];
		if (!param_given(&suppression_rule_params, &rules[i], "scope"))
			rules[i].scope = config->scope;
		rules[i].name = name_rule(&rules[i], arena);
	}
	config->rules.items = rules;
}

/* ---- a record ---- */

static bool code_part(const char **pattern, int n)
{
	const char *p = *pattern;
	char *end;
	bool fits = *p == 'x';

	if (fits)
		end = (char *)(uintptr_t)(p + 1);
	else
		fits = strtol(p, &end, 10) == n;
	*pattern = *end == '.' ? end + 1 : end;
	return fits;
}

bool suppression_code_matches(
    const char *pattern, const struct smtp_reply *reply)
{
	const char *p = pattern;
	char digits[16];

	if (strchr(pattern, '.'))
		return smtp_reply_has_enhanced(reply) &&
		       code_part(&p, reply->enhanced[0]) &&
		       code_part(&p, reply->enhanced[1]) &&
		       code_part(&p, reply->enhanced[2]);
	(void)snprintf(digits, sizeof digits, "%03d", reply->code);
	for (size_t i = 0; i < 3; i++)
		if (pattern[i] != 'x' && pattern[i] != digits[i])
			return false;
	return digits[3] == '\0';
}

static bool class_matches(
    const struct suppression_rule *rule, const char *class)
{
	if (!rule->class.count && rule->record == SUPPRESSION_FEEDBACK) {
		for (size_t i = 0; i < COUNT(no_complaint); i++)
			if (str_case_eq(no_complaint[i], class))
				return false;
		return true;
	}
	for (size_t i = 0; i < rule->class.count; i++)
		if (str_case_eq(rule->class.items[i], class))
			return true;
	return rule->class.count == 0;
}

static bool code_matches(
    const struct suppression_rule *rule, const struct smtp_reply *reply)
{
	for (size_t i = 0; reply && i < rule->code.count; i++)
		if (suppression_code_matches(rule->code.items[i], reply))
			return true;
	return rule->code.count == 0;
}

static void add_mark(struct suppression_hit *hit,
    const struct suppression_rule *rule, struct arena *arena)
{
	hit->marks[hit->mark_count++] = (struct suppression_mark){
	    .rule = arena_strdup(arena, rule->name),
	    .all_tenants = rule->scope == SUPPRESSION_GLOBAL,
	    .count = rule->count,
	    .within_s = rule->within.ms / 1000,
	    .keep_s = rule->forever ? 0 : rule->keep.ms / 1000,
	};
}

static const char *reason_of(
    const struct smtp_reply *reply, struct arena *arena)
{
	struct buf line = BUF_INIT;
	const char *reason;
	size_t len;

	if (!reply)
		return NULL;
	smtp_reply_one_line(&line, reply);
	for (len = line.len; len > MOST_REASON;)
		/* Not in the middle of a character. */
		do
			len--;
		while (len && ((unsigned char)line.data[len] & 0xc0) == 0x80);
	reason = arena_strndup(arena, buf_str(&line), len);
	buf_release(&line);
	return reason;
}

bool suppression_judge(const struct suppression_config *config,
    enum suppression_record record, const char *class,
    const struct smtp_reply *reply, struct arena *arena,
    struct suppression_hit *hit)
{
	if (!class)
		class =
		    record == SUPPRESSION_FEEDBACK ? "other" : "Uncategorized";
	*hit = (struct suppression_hit){.record = records[record].name};
	for (size_t i = 0; i < config->rules.count; i++) {
		const struct suppression_rule *rule = &config->rules.items[i];

		if (rule->record != record || !class_matches(rule, class) ||
		    !code_matches(rule, reply))
			continue;
		if (!hit->marks)
			hit->marks = ARENA_ARRAY(arena, struct suppression_mark,
			    config->rules.count);
		add_mark(hit, rule, arena);
	}
	if (!hit->mark_count)
		return false;
	hit->class = arena_strdup(arena, class);
	hit->reason = reason_of(reply, arena);
	hit->code = reply ? reply->code : 0;
	return true;
}

bool suppression_wants(
    const struct suppression_config *config, enum suppression_record record)
{
	for (size_t i = 0; i < config->rules.count; i++)
		if (config->rules.items[i].record == record)
			return true;
	return false;
}
