/*
 * output.h - what commands write, fit for a terminal
 *
 * Addresses and replies come from strangers: text and JSON go through
 * base/terminal.h, so that a queue cannot drive an operator's terminal.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/value.h"

/* NULL: "-". */
void out_text(FILE *out, const char *s);
void out_text_len(FILE *out, const char *s, size_t len);
/* JSON text and a newline, the same with \uNNNN for such characters. */
void out_json(FILE *out, const struct buf *json);
/* "512", "12 kB", "3.4 MB": at most 7 characters.  text: 24 bytes. */
char *out_size(char text[24], int64_t bytes);
/* Local time, "2026-11-21 03:24:00".  text: 32 bytes. */
char *out_time(char text[32], int64_t unix_seconds);
/* "1 message", "2 messages" */
void out_count(FILE *out, int64_t n, const char *noun);

/* Of a row: 0, NULL or false when absent or null. */
int64_t row_int(const struct value *row, const char *key);
const char *row_text(const struct value *row, const char *key);
bool row_has(const struct value *row, const char *key);

/* "  name: value" for each member, maps inside indented below their name.  Keys
 * NAME_at and NAME_ms are times; NAME beside one of them is left out. */
void out_members(FILE *out, const struct value *map, int indent);
void out_json_line(FILE *out, const struct value *v);

#endif
