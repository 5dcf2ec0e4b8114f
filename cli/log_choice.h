/*
 * log_choice.h - which log records an operator asked for
 */
#ifndef CLI_LOG_CHOICE_H
#define CLI_LOG_CHOICE_H

#include "cli/cli.h"
#include "logs/log_record.h"
#include "logs/log_stream.h"

struct log_choice {
	bool types[LOG_TYPE_COUNT]; /* all false: any */
	bool any_type;
	int64_t since_ms, until_ms; /* unix; both included */
	const struct queue_selector *what;
};

/* From the options; false: what is wrong was said. */
bool log_choice_read(const struct cli *cli, struct log_choice *out) MUST_USE;
/* Is this line to be shown?  One that is no record is shown when nothing but a
 * time was asked for: nobody can tell what it is about. */
bool log_choice_wants(
    const struct log_choice *choice, const struct log_stream_line *line);

/* "10 mins" (before now_ms), "now", "03:24" (today), "2026-11-21",
 * "2026-11-21 03:24:00" (local time), RFC 3339; to unix milliseconds.
 * `end`: of a day, an hour or a second that was named, its last moment. */
bool log_choice_time(const char *text, int64_t now_ms, bool end, int64_t *ms,
    struct err *err) MUST_USE;

/* The texts of record.recipient, which is a text or a list of them. */
size_t log_recipients(const struct value *record);
const char *log_recipient(const struct value *record, size_t i);

#endif
