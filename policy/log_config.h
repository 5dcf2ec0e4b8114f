/*
 * log_config.h - kumo.configure_local_logs, configure_log_hook and
 * configure_log_disposition_hook (policy language, 15.1, 15.4)
 */
#ifndef POLICY_LOG_CONFIG_H
#define POLICY_LOG_CONFIG_H

#include "base/duration.h"
#include "base/free_space.h"
#include "policy/param.h"

struct template;

/* What per_record says of one type of record. */
struct log_per_record {
	uint64_t given[2];
	const char *type; /* "Delivery", or "Any" */
	bool enable;
	const char *suffix;              /* NULL: none */
	const char *log_dir;             /* NULL: the log's own */
	const char *template;            /* NULL: JSON */
	const struct template *compiled; /* the same */
	const char *segment_header;      /* "": none */
};

struct log_per_records {
	const struct log_per_record *items;
	size_t count;
};

struct log_config {
	uint64_t given[2];
	const char *log_dir;
	int64_t max_file_size;                /* uncompressed bytes */
	struct duration max_segment_duration; /* 0: none */
	int64_t compression_level;
	struct string_list meta, headers;
	struct log_per_records per_record;
	const char *filter_event; /* NULL: none */
	int64_t back_pressure;
	/* all zero: not given */
	struct free_floor min_free_space, min_free_inodes;
};

/* Records become messages (of a hook), or go to an event (of a disposition
 * hook). */
struct log_hook {
	uint64_t given[2];
	const char *name;
	const char *event; /* disposition hook: "log_disposition_NAME" */
	int64_t back_pressure;
	struct string_list meta, headers;
	struct log_per_records per_record;
	bool deferred_spool;
};

/* What holds for records of this type: its own entry, that of "Any", or the
 * defaults.  Never NULL. */
const struct log_per_record *log_per_record_for(
    const struct log_per_records *list, const char *type);

extern const struct param_set log_config_params; /* configure_local_logs */
extern const struct param_set log_hook_params;   /* configure_log_hook */
/* configure_log_disposition_hook */
extern const struct param_set log_disposition_params;

#endif
