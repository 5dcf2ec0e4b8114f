/*
 * queue_config.c - the rows of kumo.make_queue_config and of its protocol
 *
 * protocol has one key that says which it is; keys beside it are ignored, and
 * so are those inside smtp and inside an entry of mx_list.
 */
#include "policy/queue_config.h"

#include "base/str.h"
#include "policy/param_rows.h"
#include "policy/template.h"

const struct param_enum_name refresh_strategy_names[] = {
    {"Ttl", REFRESH_TTL},
    {"Epoch", REFRESH_EPOCH},
    {NULL, 0},
};

/* mx_list */

struct mx_table {
	uint64_t given[2];
	const char *name, *addr;
};

#define S mx_table
static const struct param_spec mx_table_specs[] = {
    P_STRING(S, name, .flags = PARAM_REQUIRED,
	.help = "What log records show, and the name to verify."),
    P_STRING(S, addr, .flags = PARAM_REQUIRED,
	.help = "ADDRESS, ADDRESS:PORT or the path of a socket."),
};
#undef S

static const struct param_set mx_table_params = {
    .name = "mx_list",
    .intro = "A destination with a name of its own; a text is a host name or "
	     "an address, with or without a port.",
    .record_size = sizeof(struct mx_table),
    .specs = mx_table_specs,
    .count = COUNT(mx_table_specs),
    .extra_keys_ignored = true,
};

static bool read_mx(const struct value *v, struct mx_entry *out,
    struct arena *arena, struct err *err)
{
	struct mx_table table;

	if (v->type == VALUE_STRING)
		return param_plain_text(v, err) &&
		       mx_entry_parse(v->s, arena, out, err);
	if (v->type != VALUE_MAP)
		return param_type_error(err, v, "a host or { name =, addr = }");
	if (!param_fill(&mx_table_params, v, arena, &table, err))
		return false;
	if (!mx_entry_parse(table.addr, arena, out, err))
		return err_prefix(err, "addr");
	if (out->host)
		return err_set(err, ERR_CONFIG,
		    "addr: invalid value: \"%.80s\", expected an address, not "
		    "a name",
		    table.addr);
	out->name = table.name;
	return true;
}

static bool read_mx_list(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	struct protocol *protocol = record;
	struct mx_entry *list;

	if (v->type != VALUE_LIST && !param_is_empty_table(v))
		return param_type_error(err, v, "a list of hosts");
	list = ARENA_ARRAY(arena, struct mx_entry, v->count);
	for (size_t i = 0; i < v->count; i++)
		if (!read_mx(&v->items[i], &list[i], arena, err))
			return err_prefix(err, "[%zu]", i + 1);
	protocol->mx_list = list;
	protocol->mx_count = v->count;
	return true;
}

static struct value print_mx(const struct mx_entry *mx, struct arena *arena)
{
	struct value table = {.type = VALUE_MAP, .count = 2};
	struct mx_entry plain;

	/* A text says it all unless a name was put beside the address. */
	if (mx_entry_parse(mx->label, arena, &plain, NULL) &&
	    str_eq(plain.name, mx->name))
		return param_text(arena, mx->label);
	table.entries = ARENA_ARRAY(arena, struct value_entry, 2);
	table.entries[0] =
	    (struct value_entry){"name", param_text(arena, mx->name)};
	table.entries[1] =
	    (struct value_entry){"addr", param_text(arena, mx->label)};
	return table;
}

static struct value print_mx_list(const void *record, struct arena *arena)
{
	const struct protocol *protocol = record;
	struct value list = {.type = VALUE_LIST, .count = protocol->mx_count};

	list.items = ARENA_ARRAY(arena, struct value, list.count);
	for (size_t i = 0; i < list.count; i++)
		list.items[i] = print_mx(&protocol->mx_list[i], arena);
	return list;
}

static bool read_maildir(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	struct protocol *protocol = record;

	if (!param_plain_text(v, err))
		return false;
	protocol->maildir_path = arena_strndup(arena, v->s, v->len);
	protocol->maildir_template =
	    template_compile(protocol->maildir_path, arena, err);
	return protocol->maildir_template != NULL;
}

static struct value print_maildir(const void *record, struct arena *arena)
{
	return param_text(
	    arena, ((const struct protocol *)record)->maildir_path);
}

static const struct param_enum_name maildir_lines_names[] = {
    {"CRLF", MAILDIR_CRLF},
    {"LF", MAILDIR_LF},
    {NULL, 0},
};

/* The forms of protocol: each reads into struct protocol what is its own. */

#define S protocol
static const struct param_spec smtp_specs[] = {
    P_CUSTOM(S, mx_list, read_mx_list, print_mx_list, .set = &mx_table_params,
	.help = "Where to send the mail, in this order, instead of the hosts "
		"that the domain's MX records name."),
    P_BOOL(S, treat_mx_list_as_secure, .fallback = "false",
	.help = "Whether mx_list counts as found through DNSSEC."),
};

static const struct param_spec maildir_specs[] = {
    P_CUSTOM(S, maildir_path, read_maildir, print_maildir,
	.flags = PARAM_REQUIRED,
	.help = "The maildir of a recipient: a template with {{ local_part }}, "
		"{{ domain_part }}, {{ email }}, {{ meta.NAME }} and so on."),
    P_INT(S, dir_mode, 0, 07777, .shown = "what the umask leaves",
	.help = "Mode of directories that are made."),
    P_INT(S, file_mode, 0, 07777, .shown = "what the umask leaves",
	.help = "Mode of files."),
    P_BOOL(S, return_path, .fallback = "false",
	.help = "Whether a field Return-Path with the envelope's sender comes "
		"first (RFC 5321, 4.4). Not in the original language."),
    P_BOOL(S, delivered_to, .fallback = "false",
	.help = "Whether a field Delivered-To names the recipient whose "
		"maildir it is (RFC 9228). Not in the original language."),
    P_ENUM(S, line_endings, maildir_lines_names, .fallback = "CRLF",
	.help = "How lines end in the file: CRLF, as the message came, or LF, "
		"for programs that expect what Unix does. Not in the original "
		"language."),
};

static const struct param_spec lua_specs[] = {
    P_STRING(S, constructor, .flags = PARAM_REQUIRED,
	.help = "The event that makes a connection: it is called with domain, "
		"tenant and campaign, and returns a table with a method send, "
		"or send_batch, and perhaps close."),
    P_INT(S, batch_size, 1, 1000, .fallback = "1",
	.help = "Messages that one call takes at most. Beyond 1 the connection "
		"needs send_batch instead of send, also for a single message."),
    P_INT(S, min_batch_size, 1, 1000, .fallback = "1",
	.help = "Messages to wait for before a call."),
    P_DURATION(S, max_batch_latency, .fallback = "0s",
	.help = "How long to wait for them, from the first one on; 0: not at "
		"all."),
};
#undef S

static const struct param_set smtp_params = {
    .name = "protocol.smtp",
    .intro = "By SMTP, which is what happens without a protocol.",
    .record_size = sizeof(struct protocol),
    .specs = smtp_specs,
    .count = COUNT(smtp_specs),
    .extra_keys_ignored = true,
};

static const struct param_set maildir_params = {
    .name = "protocol.maildir_path",
    .intro = "Into a maildir.",
    .record_size = sizeof(struct protocol),
    .specs = maildir_specs,
    .count = COUNT(maildir_specs),
    .extra_keys_ignored = true,
};

static const struct param_set lua_params = {
    .name = "protocol.custom_lua",
    .intro = "By an object of the policy, which says of each message what "
	     "became of it.",
    .record_size = sizeof(struct protocol),
    .specs = lua_specs,
    .count = COUNT(lua_specs),
};

/* In order: when there are several the first decides. */
static const struct {
	const char *key;
	enum protocol_kind kind;
	bool is_inside; /* its parameters are in a table under the key */
	const struct param_set *set; /* NULL: refused */
	const char *refusal;         /* NULL: honoured */
} forms[] = {
    {"smtp", PROTOCOL_SMTP, true, &smtp_params, NULL},
    {"maildir_path", PROTOCOL_MAILDIR, false, &maildir_params, NULL},
    {"custom_lua", PROTOCOL_LUA, true, &lua_params, NULL},
    {"xfer", PROTOCOL_SMTP, true, NULL,
	"xfer: transfer between nodes is not supported"},
};

static const struct param_set *const form_sets[] = {
    &smtp_params, &maildir_params, &lua_params, NULL};

static bool read_protocol(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	struct protocol *protocol = &((struct queue_config *)record)->protocol;

	if (v->type != VALUE_MAP && !param_is_empty_table(v))
		return param_type_error(err, v, "a table");
	for (size_t i = 0; i < COUNT(forms); i++) {
		const struct value *form =
		    v->type == VALUE_MAP ? value_get(v, forms[i].key) : NULL;
		const struct value *params = forms[i].is_inside ? form : v;

		if (!form || form->type == VALUE_NIL)
			continue;
		if (forms[i].set &&
		    !param_fill(forms[i].set, params, arena, protocol, err)) {
			if (forms[i].is_inside)
				(void)err_prefix(err, "%s", forms[i].key);
			return false;
		}
		if (forms[i].refusal)
			return err_set(err, ERR_CONFIG, "%s", forms[i].refusal);
		protocol->kind = forms[i].kind;
		if (!param_given(forms[i].set, protocol, "dir_mode"))
			protocol->dir_mode = -1;
		if (!param_given(forms[i].set, protocol, "file_mode"))
			protocol->file_mode = -1;
		return true;
	}
	return param_value_error(
	    err, v, "expected one of smtp, maildir_path, custom_lua");
}

static struct value print_protocol(const void *record, struct arena *arena)
{
	const struct protocol *protocol =
	    &((const struct queue_config *)record)->protocol;
	struct value table = {.type = VALUE_MAP, .count = 1};

	for (size_t i = 0; i < COUNT(forms); i++) {
		struct value inside;

		if (forms[i].kind != protocol->kind)
			continue;
		inside = param_read_all(forms[i].set, protocol, arena);
		inside.kind = NULL;
		if (!forms[i].is_inside)
			return inside;
		table.entries = ARENA_NEW(arena, struct value_entry);
		*table.entries = (struct value_entry){forms[i].key, inside};
		return table;
	}
	return param_text(arena, NULL);
}

/* shrink_policy, which is checked and forgotten */

struct shrink_rule {
	uint64_t given[2];
	struct duration interval;
	const char *policy;
};

static const struct param_enum_name shrink_names[] = {
    {"ShrinkDataAndMeta", 0},
    {"ShrinkData", 1},
    {"NoShrink", 2},
    {NULL, 0},
};

#define S shrink_rule
static const struct param_spec shrink_specs[] = {
    P_DURATION(S, interval, .flags = PARAM_REQUIRED, .help = "Ignored."),
    P_STRING(S, policy, .flags = PARAM_REQUIRED, .names = shrink_names,
	.help = "Ignored."),
};
#undef S

static const struct param_set shrink_params = {
    .name = "shrink_policy",
    .intro = "Ignored.",
    .record_size = sizeof(struct shrink_rule),
    .specs = shrink_specs,
    .count = COUNT(shrink_specs),
};

static bool read_shrink_policy(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	struct shrink_rule rule;

	if (v->type != VALUE_LIST && !param_is_empty_table(v))
		return param_type_error(err, v, "a list of rules");
	for (size_t i = 0; i < v->count; i++)
		if (!param_fill(
			&shrink_params, &v->items[i], arena, &rule, err))
			return err_prefix(err, "[%zu]", i + 1);
	return true;
}

static const struct param_enum_name strategy_names[] = {
    {"SingletonTimerWheelV2", 0},
    {"SingletonTimerWheel", 1},
    {"TimerWheel", 2},
    {"SkipList", 3},
    {NULL, 0},
};

#define S queue_config
static const struct param_spec specs[] = {
    P_CUSTOM(S, protocol, read_protocol, print_protocol,
	.shown = "SMTP to the hosts of the MX records", .forms = form_sets,
	.help = "How mail leaves the queue: { smtp = { ... } }, "
		"{ maildir_path = ... } or { custom_lua = { ... } }."),
    P_STRING(S, egress_pool, .shown = "unspecified",
	.help = "The pool of sources to send from."),
    P_DURATION(S, retry_interval, .fallback = "20 mins",
	.help = "The wait after the first failure; doubled after each "
		"further one."),
    P_DURATION(S, max_retry_interval,
	.has = offsetof(struct queue_config, has_max_retry_interval),
	.help = "The longest wait between two attempts."),
    P_DURATION(S, max_age, .fallback = "7 days",
	.help = "A message whose next attempt would come later than this "
		"expires: 551 5.4.7."),
    P_RATE(S, max_message_rate,
	.help = "How fast messages leave the queue for delivery, retries "
		"included. The rest waits in the queue, with due times and "
		"attempts unchanged."),
    P_DURATION(S, refresh_interval, .fallback = "1 min",
	.help = "How long the parameters are used before asking again."),
    P_ENUM(S, refresh_strategy, refresh_strategy_names, .fallback = "Ttl",
	.help = "Whether to ask again after refresh_interval, or only when "
		"the policy changes."),
    P_DURATION(S, reap_interval, .fallback = "10 mins",
	.help = "How long an empty queue is remembered."),
    P_STRING(S, provider_name,
	.help = "Copied to log records when the egress path has none."),
    P_NOWHERE("strategy", PARAM_STRING, .flags = PARAM_IGNORED,
	.names = strategy_names, .fallback = "SingletonTimerWheelV2",
	.help = "Ignored: the queue is a database."),
    P_NOWHERE("timerwheel_tick_interval", PARAM_DURATION,
	.flags = PARAM_IGNORED, .help = "Ignored: the queue is a database."),
    P_NOWHERE("shrink_policy", PARAM_CUSTOM, .flags = PARAM_IGNORED,
	.custom = read_shrink_policy,
	.help = "Ignored: the queue is a database."),
};
#undef S

static void prepare(void *record)
{
	struct queue_config *config = record;

	config->protocol.dir_mode = -1;
	config->protocol.file_mode = -1;
}

const struct param_set queue_config_params = {
    .name = "make_queue_config",
    .intro = "How a scheduled queue treats its mail.",
    .record_size = sizeof(struct queue_config),
    .specs = specs,
    .count = COUNT(specs),
    .prepare = prepare,
};

const struct queue_config *queue_config_defaults(void)
{
	static const void *_Atomic slot;

	return param_constant(&queue_config_params, NULL, &slot);
}

const struct queue_config *queue_config_deferred(void)
{
	static const void *_Atomic slot;
	struct value_entry entries[] = {
	    {"retry_interval", {.type = VALUE_INT, .i = 60}},
	    {"max_age", {.type = VALUE_INT, .i = 7 * 86400}},
	};
	const struct value table = {
	    .type = VALUE_MAP, .count = COUNT(entries), .entries = entries};

	return param_constant(&queue_config_params, &table, &slot);
}
