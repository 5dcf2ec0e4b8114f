/*
 * diag.h - lines for whoever runs the program
 *
 * One line a call, to stderr in the foreground and to syslog (LOG_MAIL)
 * otherwise.  A line begins with the id it is about (session or queue id), then
 * key=value.  Text from peers goes through diag_quote() first.
 *
 * Threads: any.  A line is in one write(2), lines never mix.  In daemons that
 *          called diag_start_thread() the line is handed to a thread of its
 *          own, so that a slow syslog socket never stalls a loop, and those
 *          that wait go to stderr together; when its queue (4096 lines) is
 *          full, debug and info lines are dropped and the number dropped is
 *          reported.
 */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include <stddef.h>

#include "base/attr.h"

enum diag_level {
	DIAG_DEBUG,
	DIAG_INFO,
	DIAG_WARN,  /* odd, we coped */
	DIAG_ERROR, /* somebody must look */
	DIAG_FATAL, /* cannot go on */
};

/* `to_stderr` false: syslog, facility LOG_MAIL, ident = program. */
void diag_init(const char *program, bool to_stderr);
void diag_set_level(enum diag_level least);
enum diag_level diag_level(void);
void diag_start_thread(void);
/* Writes what the thread still holds, then ends it. */
void diag_stop_thread(void);

void diag(enum diag_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define diag_debug(...)                                                        \
	do {                                                                   \
		if (diag_level() <= DIAG_DEBUG)                                \
			diag(DIAG_DEBUG, __VA_ARGS__);                         \
	} while (0)
#define diag_info(...) diag(DIAG_INFO, __VA_ARGS__)
#define diag_warn(...) diag(DIAG_WARN, __VA_ARGS__)
#define diag_error(...) diag(DIAG_ERROR, __VA_ARGS__)

/* Lines of level info, as many as there are texts. */
void diag_info_all(const char *const *texts, size_t count);

/* Logs and exits with a sysexits code. */
NORETURN void diag_fatal(int exit_code, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A bug: logs and aborts, leaving a core. */
NORETURN void diag_panic(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The last line of level error, also when the level kept it from being
 * written, for programs that show one of many; empty: none since the last
 * diag_forget_error().  Returns out, cut to `size`-1. */
char *diag_last_error(char *out, size_t size);
void diag_forget_error(void);

/* For what cannot happen; always compiled in, never for input. */
#define invariant(cond)                                                        \
	do {                                                                   \
		if (!(cond))                                                   \
			diag_panic("%s:%d: %s: invariant broken: %s",          \
			    __FILE__, __LINE__, __func__, #cond);              \
	} while (0)

/* Copies text into `out` fit for one line: control characters, quotes,
 * backslashes and bytes that are not UTF-8 as \xNN, cut to `size`-1 with "...".
 * Returns out. */
char *diag_quote(char *out, size_t size, const char *text, size_t len);

#endif
