/* logs_test.h - what the tests of logs/ share */
#ifndef TESTS_LOGS_TEST_H
#define TESTS_LOGS_TEST_H

#include <check.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/json.h"
#include "logs/log_read.h"
#include "logs/log_record.h"

Suite *log_record_suite(void);
Suite *log_segment_suite(void);
Suite *log_setup_suite(void);
Suite *log_stream_suite(void);
Suite *log_writer_suite(void);

/* A directory of this test's own, removed by rmdir_tree(). */
extern char test_dir[];
void make_test_dir(void);
void remove_test_dir(void);

struct lines {
	char **items;
	size_t count, size;
};
/* All lines of all segments of `dir`; missing directory: none. */
struct lines read_lines_of(const char *dir);
void free_lines(struct lines *lines);
/* Names in dir, sorted. */
struct lines names_in(const char *dir);
bool is_writable(const char *dir, const char *name);
/* A file may grow to `bytes` from now on, and then writes fail as if the disk
 * were full; -1: no limit. */
void limit_file_size(long bytes);

#endif
