/*
 * queue_trace_key.c - the file of keys beside the queue
 *
 * Made aside and linked: two daemons that start together end up with one key,
 * and no reader sees half a file.
 */
#include "queue/queue_trace_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"

#define FILE_MOST 65536
#define NAME_MOST 4096

static bool write_new(const char *name, struct err *err)
{
	char key[TRACE_KEY_DIGITS + 1];
	struct buf text = BUF_INIT;
	bool written = false;
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(err, ERR_CONFIG, "make %s", name);
	random_hex(key, TRACE_KEY_DIGITS / 2);
	trace_keys_write(&text, key);
	if (fd_write_all(fd, text.data, text.len, name, err)) {
		written = fsync(fd) == 0;
		if (!written)
			err_errno(err, ERR_TEMP, "sync %s", name);
	}
	explicit_bzero(key, sizeof key);
	buf_release(&text);
	(void)close(fd);
	return written;
}

static bool make(const char *path, struct err *err)
{
	char name[NAME_MOST], dir[NAME_MOST], suffix[17];
	bool made = false;

	random_hex(suffix, 8);
	if (snprintf(name, sizeof name, "%s.new-%s", path, suffix) >=
	    (int)sizeof name)
		return err_set(err, ERR_CONFIG, "the name is too long");
	if (!path_dir(dir, sizeof dir, path, err))
		return false;
	if (write_new(name, err)) {
		/* Not rename(2): who was first keeps his. */
		made = link(name, path) == 0 || errno == EEXIST;
		if (!made)
			err_errno(err, ERR_CONFIG, "link %s", path);
	}
	(void)unlink(name);
	return made && fd_sync_dir(dir, err);
}

/* Whoever can write it can have any address suppressed, and whoever can read
 * it, too. */
static bool is_private(const char *queue, const char *path, struct err *err)
{
	struct stat st, db;

	if (stat(path, &st) < 0)
		return err_errno(err, ERR_CONFIG, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_CONFIG, "%s: it is no file", path);
	if (st.st_mode & (S_IRWXO | S_IWGRP))
		return err_set(err, ERR_CONFIG,
		    "%s: others may read or write it: chmod 600, and a new key "
		    "in front of those in it",
		    path);
	if (st.st_uid != 0 && st.st_uid != geteuid() &&
	    (stat(queue, &db) < 0 || st.st_uid != db.st_uid))
		return err_set(err, ERR_CONFIG,
		    "%s: it is of user %u, who is neither root nor the queue's "
		    "owner: chown it",
		    path, (unsigned)st.st_uid);
	return true;
}

struct trace_keys *queue_trace_keys(const char *queue, struct err *err)
{
	struct trace_keys *keys = NULL;
	char path[NAME_MOST];
	struct stat st;
	char *text;
	size_t len;

	if (snprintf(path, sizeof path, "%s" QUEUE_TRACE_KEY_SUFFIX, queue) >=
	    (int)sizeof path) {
		err_set(err, ERR_CONFIG, "the queue's name is too long");
		return NULL;
	}
	if (stat(path, &st) < 0) {
		if (errno != ENOENT) {
			err_errno(err, ERR_CONFIG, "%s", path);
			return NULL;
		}
		if (!make(path, err))
			return NULL;
		diag_info("%s: made, with a new key", path);
	}
	if (!is_private(queue, path, err))
		return NULL;
	text = fd_read_file(path, FILE_MOST, &len, err);
	if (!text)
		return NULL;
	keys = trace_keys_parse(text, len, err);
	if (!keys)
		err_prefix(err, "%s", path);
	explicit_bzero(text, len);
	free(text);
	return keys;
}

bool queue_trace_keys_use(const char *queue, struct err *err)
{
	struct trace_keys *keys = queue_trace_keys(queue, err);

	if (keys)
		trace_keys_use(keys);
	return keys != NULL;
}
