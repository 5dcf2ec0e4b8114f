/*
 * terminal.h - text of strangers, fit for a terminal
 *
 * Addresses, replies and header fields come from anybody.  Control characters
 * (those of C1, U+0080 to U+009F, too: a terminal obeys them), bytes that are
 * not UTF-8, and characters that hide text or turn its direction are shown as
 * \xNN or \u{NNNN}, so that a queue cannot drive an operator's terminal.  All
 * that commands write goes through here.
 */
#ifndef BASE_TERMINAL_H
#define BASE_TERMINAL_H

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"

/* Is this character one of them? */
bool terminal_obeys(uint32_t c);
/* The length of the character at s; 0 when it is none, or one of them. */
size_t terminal_step(const char *s, size_t len);

void terminal_add(struct buf *out, const char *s, size_t len);
/* The same; line breaks and tabs stay, CR goes. */
void terminal_add_lines(struct buf *out, const char *s, size_t len);
/* JSON text, the same with \uNNNN for such characters. */
void terminal_add_json(struct buf *out, const char *json, size_t len);

/* As terminal_add, so that terminal_restore() makes of it what it was: a
 * backslash that could be taken for ours is written as \x5c. */
void terminal_add_exact(struct buf *out, const char *s, size_t len);
/* In place. */
void terminal_restore(char *text);

/* terminal_add and terminal_add_lines to a stream. */
void terminal_write(FILE *out, const char *s, size_t len);
void terminal_write_lines(FILE *out, const char *s, size_t len);
/* As the latter. */
void terminal_printf(FILE *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
