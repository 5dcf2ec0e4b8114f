#include "policy/log_config.h"

#include "base/str.h"
#include "policy/param_rows.h"

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

#define S log_per_record
static const struct param_spec record_specs[] = {
    P_BOOL(S, enable, .fallback = "true",
	.help = "Whether records of this type are written."),
    P_STRING(S, suffix,
	.help = "Ending of the names of segments for this type, which has "
		"files of its own then."),
    P_STRING(S, log_dir, .help = "Another directory for this type."),
    P_STRING(S, template, .flags = PARAM_UNSUPPORTED,
	.help = "The text of a record, instead of JSON. Not supported yet."),
    P_STRING(S, segment_header, .flags = PARAM_UNSUPPORTED, .fallback = "",
	.help = "A line at the beginning of a segment. Not supported yet."),
};
#undef S

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

static bool read_per_record(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	struct log_config *config = record;
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
		if (!param_fill(&record_params, &v->entries[i].value, arena,
			&list[i], err))
			return err_prefix(err, "%s", type);
		list[i].type = type;
	}
	config->per_record = list;
	config->per_record_count = v->count;
	return true;
}

static struct value print_per_record(const void *record, struct arena *arena)
{
	const struct log_config *config = record;
	struct value map = {
	    .type = VALUE_MAP, .count = config->per_record_count};

	map.entries = ARENA_ARRAY(arena, struct value_entry, map.count);
	for (size_t i = 0; i < map.count; i++) {
		const struct log_per_record *r = &config->per_record[i];

		map.entries[i] = (struct value_entry){
		    r->type, param_read_all(&record_params, r, arena)};
		map.entries[i].value.kind = NULL;
	}
	return map;
}

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
    P_STRING(S, filter_event, .flags = PARAM_UNSUPPORTED,
	.help = "An event that says whether to write a record. "
		"Not supported yet."),
    P_INT(S, back_pressure, 1, INT64_MAX, .fallback = "128000",
	.help = "Records that may wait for the disk before their writers "
		"wait."),
    P_VALUE(S, min_free_space, .flags = PARAM_UNSUPPORTED,
	.help = "Free space below which mail is refused. "
		"Not supported yet."),
    P_VALUE(S, min_free_inodes, .flags = PARAM_UNSUPPORTED,
	.help = "Free inodes below which mail is refused. "
		"Not supported yet."),
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

const struct log_per_record *log_config_for(
    const struct log_config *config, const char *type)
{
	static const struct log_per_record fallback = {
	    .type = "Any", .enable = true};
	const struct log_per_record *any = &fallback;

	for (size_t i = 0; i < config->per_record_count; i++) {
		const struct log_per_record *r = &config->per_record[i];

		if (str_eq(r->type, type))
			return r;
		if (str_eq(r->type, "Any"))
			any = r;
	}
	return any;
}
