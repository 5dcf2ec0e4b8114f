/*
 * fd.h - descriptors and directories
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

bool fd_write_all(int fd, const void *p, size_t len, const char *name,
    struct err *err) MUST_USE;
bool fd_sync_dir(const char *path, struct err *err) MUST_USE;
/* Creates the directory and missing parents with `mode`. */
bool fd_make_dirs(const char *path, mode_t mode, struct err *err) MUST_USE;
/* Whole file, at most `most` bytes; NUL-terminated; the caller frees. */
char *fd_read_file(const char *path, size_t most, size_t *len, struct err *err)
    MUST_USE;
/* dir/name; false (ERR_PERM) when it does not fit. */
bool path_join(char *out, size_t size, const char *dir, const char *name,
    struct err *err) MUST_USE;
/* The directory part of path, "." when there is none. */
bool path_dir(char *out, size_t size, const char *path, struct err *err)
    MUST_USE;
/* An unlinked file in dir, for content that is too large for memory. */
int fd_unlinked(const char *dir, struct err *err) MUST_USE;
/* A random identifier: `bytes` bytes of getrandom(2) as hex. out: 2*bytes+1. */
void random_hex(char *out, size_t bytes);
/* Uniform in [low, high]. */
int64_t random_between(int64_t low, int64_t high);

#endif
