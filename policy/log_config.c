#include "policy/log_config.h"

#include "base/str.h"
#include "policy/free_floor.h"
#include "policy/param_rows.h"
#include "policy/template.h"

static const char *const record_types[] = {
    "Any",
    "Reception",
    "Rejection",
    "Delivery",
    "TransientFailure",
    "Bounce",
    "Expiration",
    "Delayed",
    "OOB",
    "Feedback",
    "AdminBounce",
    "AdminRebind",
    "DeferredInjectionRebind",
    "XferOut",
    "XferIn",
};

static bool read_template(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	struct log_per_record *r = record;

	if (!param_plain_text(v, err))
		return false;
	r->template = arena_strndup(arena, v->s, v->len);
	r->compiled = template_compile(r->template, arena, err);
	return r->compiled != NULL;
}

static struct value print_template(const void *record, struct arena *arena)
{
	return param_text(
	    arena, ((const struct log_per_record *)record)->template);
}

#define S log_per_record
static const struct param_spec record_specs[] = {
    P_BOOL(S, enable, .fallback = "true",
	.help = "Whether records of this type are written."),
    P_STRING(S, suffix,
	.help = "Ending of the names of segments for this type, which has "
		"files of its own then."),
    P_STRING(S, log_dir, .help = "Another directory for this type."),
    P_CUSTOM(S, template, read_template, print_template,
	.help = "The text of a record, instead of JSON: a template with "
		"{{ id }}, {{ response.code }} and so on, and {{ log_record }} "
		"for all of it."),
    P_STRING(S, segment_header, .fallback = "",
	.help = "Text at the beginning of each segment; a newline is added "
		"when it has none."),
};

static const struct param_spec hook_record_specs[] = {
    P_BOOL(S, enable, .fallback = "true",
	.help = "Whether the hook gets records of this type."),
    P_CUSTOM(S, template, read_template, print_template,
	.help = "The content of the hook's messages, instead of JSON; a "
		"template as in configure_local_logs."),
};
#undef S

static const struct param_set hook_record_params = {
    .name = "per_record",
    .intro = "What happens to one type of record.",
    .record_size = sizeof(struct log_per_record),
    .specs = hook_record_specs,
    .count = COUNT(hook_record_specs),
};

static const struct param_set record_params = {
    .name = "per_record",
    .intro = "What happens to one type of record.",
    .record_size = sizeof(struct log_per_record),
    .specs = record_specs,
    .count = COUNT(record_specs),
};

static const char *known_type(const char *name)
{
	for (size_t i = 0; i < COUNT(record_types); i++)
		if (str_eq(record_types[i], name))
			return record_types[i];
	return NULL;
}

static bool read_records(const struct value *v, const struct param_set *set,
    struct log_per_records *out, struct arena *arena, struct err *err)
{
	struct log_per_record *list;

	if (v->type != VALUE_MAP && !param_is_empty_table(v))
		return param_type_error(err, v, "a table by type of record");
	list = ARENA_ARRAY(arena, struct log_per_record, v->count);
	for (size_t i = 0; i < v->count; i++) {
		const char *type = known_type(v->entries[i].key);

		if (!type)
			return err_set(err, ERR_CONFIG,
			    "unknown type of record \"%.40s\"",
			    v->entries[i].key);
		if (!param_fill(
			set, &v->entries[i].value, arena, &list[i], err))
			return err_prefix(err, "%s", type);
		list[i].type = type;
	}
	*out = (struct log_per_records){list, v->count};
	return true;
}

static struct value print_records(const struct log_per_records *list,
    const struct param_set *set, struct arena *arena)
{
	struct value map = {.type = VALUE_MAP, .count = list->count};

	map.entries = ARENA_ARRAY(arena, struct value_entry, map.count);
	for (size_t i = 0; i < map.count; i++) {
		const struct log_per_record *r = &list->items[i];

		map.entries[i] = (struct value_entry){
		    r->type, param_read_all(set, r, arena)};
		map.entries[i].value.kind = NULL;
	}
	return map;
}

static bool read_per_record(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	return read_records(v, &record_params,
	    &((struct log_config *)record)->per_record, arena, err);
}

static struct value print_per_record(const void *record, struct arena *arena)
{
	return print_records(&((const struct log_config *)record)->per_record,
	    &record_params, arena);
}

static bool read_hook_record(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	return read_records(v, &hook_record_params,
	    &((struct log_hook *)record)->per_record, arena, err);
}

static struct value print_hook_record(const void *record, struct arena *arena)
{
	return print_records(&((const struct log_hook *)record)->per_record,
	    &hook_record_params, arena);
}

FREE_FLOOR_FIELD(log_config, min_free_space)
FREE_FLOOR_FIELD(log_config, min_free_inodes)

#define S log_config
static const struct param_spec specs[] = {
    P_STRING(S, log_dir, .flags = PARAM_REQUIRED,
	.help = "Directory of the segments; made when it is missing."),
    P_INT(S, max_file_size, 1, INT64_MAX, .fallback = "1000000000",
	.help = "Bytes of a segment before compression; then a new one is "
		"begun."),
    P_DURATION(S, max_segment_duration,
	.help = "Age at which a segment is finished, even when nothing "
		"follows."),
    P_INT(S, compression_level, 0, 22, .fallback = "0",
	.help = "Level of zstd; 0 is the library's default."),
    P_STRING_LIST(S, meta, .fallback = "{}",
	.help = "Names of message metadata to copy to records; a trailing * "
		"stands for anything."),
    P_STRING_LIST(S, headers, .fallback = "{}",
	.help = "Names of headers to copy to records; a trailing * stands for "
		"anything."),
    P_CUSTOM(S, per_record, read_per_record, print_per_record,
	.set = &record_params, .fallback = "{}",
	.help = "What happens to records of a type, by its name; Any stands "
		"for types that are not listed."),
    P_STRING(S, filter_event,
	.help = "An event that is called with the message and says, by "
		"returning true, that its record is written. Somebody has to "
		"handle it. Not asked about Rejection."),
    P_INT(S, back_pressure, 1, INT64_MAX, .fallback = "128000",
	.help = "Records that may wait for the disk before their writers "
		"wait."),
    P_FREE_FLOOR(S, min_free_space,
	.help = "Free space where the segments are below which the milter "
		"refuses mail (421 and 451 4.3.2): text as 10%, or a number "
		"of bytes. Without it 10% or 256 MiB, whichever is less."),
    P_FREE_FLOOR(S, min_free_inodes,
	.help = "The same for inodes. Without it 10% or 1000, whichever is "
		"less."),
};
#undef S

static bool check(const void *record, struct err *err)
{
	const struct log_config *config = record;

	return *config->log_dir ||
	       err_set(err, ERR_CONFIG, "log_dir: invalid value: it is empty");
}

const struct param_set log_config_params = {
    .name = "configure_local_logs",
    .intro = "Log records in files.",
    .record_size = sizeof(struct log_config),
    .specs = specs,
    .count = COUNT(specs),
    .check = check,
};

#define S log_hook
static const struct param_spec hook_specs[] = {
    P_STRING(S, name, .flags = PARAM_REQUIRED,
	.help = "The name that should_enqueue_log_record is given."),
    P_INT(S, back_pressure, 1, INT64_MAX, .flags = PARAM_IGNORED,
	.fallback = "128000",
	.help = "Without effect: what a hook queues is committed with the "
		"outcome that it is about."),
    P_STRING_LIST(S, meta, .fallback = "{}",
	.help = "Names of message metadata to copy to records and to the "
		"hook's messages; a trailing * stands for anything."),
    P_STRING_LIST(S, headers, .fallback = "{}",
	.help = "Names of headers to copy to records; a trailing * stands for "
		"anything."),
    P_CUSTOM(S, per_record, read_hook_record, print_hook_record,
	.set = &hook_record_params, .fallback = "{}",
	.help = "What happens to records of a type, by its name; Any stands "
		"for types that are not listed."),
    P_BOOL(S, deferred_spool, .flags = PARAM_IGNORED, .fallback = "false",
	.help = "Without effect: whatever is queued is on disk."),
};

static const struct param_spec disposition_specs[] = {
    P_STRING(S, name, .flags = PARAM_REQUIRED,
	.help = "The event log_disposition_NAME is called."),
    P_STRING_LIST(S, meta, .fallback = "{}",
	.help = "Names of message metadata to copy to records."),
    P_STRING_LIST(S, headers, .fallback = "{}",
	.help = "Names of headers to copy to records."),
    P_CUSTOM(S, per_record, read_hook_record, print_hook_record,
	.set = &hook_record_params, .fallback = "{}",
	.help = "What happens to records of a type, by its name; Any stands "
		"for types that are not listed."),
};
#undef S

static bool check_hook(const void *record, struct err *err)
{
	return *((const struct log_hook *)record)->name ||
	       err_set(err, ERR_CONFIG, "name: invalid value: it is empty");
}

const struct param_set log_hook_params = {
    .name = "configure_log_hook",
    .intro = "Records that become messages in the queue.",
    .record_size = sizeof(struct log_hook),
    .specs = hook_specs,
    .count = COUNT(hook_specs),
    .check = check_hook,
};

const struct param_set log_disposition_params = {
    .name = "configure_log_disposition_hook",
    .intro = "Records that an event is called with, before what they are "
	     "about is committed.",
    .record_size = sizeof(struct log_hook),
    .specs = disposition_specs,
    .count = COUNT(disposition_specs),
    .check = check_hook,
};

const struct log_per_record *log_per_record_for(
    const struct log_per_records *list, const char *type)
{
	static const struct log_per_record fallback = {
	    .type = "Any", .enable = true};
	const struct log_per_record *any = &fallback;

	for (size_t i = 0; i < list->count; i++) {
		const struct log_per_record *r = &list->items[i];

		if (str_eq(r->type, type))
			return r;
		if (str_eq(r->type, "Any"))
			any = r;
	}
	return any;
}
