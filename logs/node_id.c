/*
 * node_id.c - which installation a record comes from
 *
 * A random UUID (RFC 9562, version 4) in a file beside the queue.  It appears
 * by link(2), complete or not at all, so two daemons that start at once on a
 * fresh machine end up with the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "logs/log_writer.h"

#define UUID_LEN 36

static void make_uuid(char out[UUID_LEN + 1])
{
	char hex[33];

	random_hex(hex, 16);
	hex[12] = '4';
	hex[16] = "89ab"[hex[16] % 4];
	(void)snprintf(out, UUID_LEN + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", hex,
	    hex + 8, hex + 12, hex + 16, hex + 20);
}

static bool looks_like_uuid(const char *s)
{
	for (size_t i = 0; i < UUID_LEN; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !strchr("0123456789abcdef", s[i]))
			return false;
		if (!s[i])
			return false;
	}
	return s[UUID_LEN] == '\0' || s[UUID_LEN] == '\n';
}

static bool read_id(const char *path, char out[UUID_LEN + 1], struct err *err)
{
	char *text = fd_read_file(path, 256, NULL, err);
	bool ok;

	if (!text)
		return false;
	ok = looks_like_uuid(text);
	if (ok)
		(void)snprintf(out, UUID_LEN + 1, "%.36s", text);
	else
		(void)err_set(err, ERR_CONFIG,
		    "%s: expected a UUID; remove the file to get a new one",
		    path);
	free(text);
	return ok;
}

static bool create_id(const char *dir, const char *path, struct err *err)
{
	char uuid[UUID_LEN + 2], name[64], tmp[PATH_MAX];
	bool made = false;
	int fd;

	make_uuid(uuid);
	uuid[UUID_LEN] = '\n';
	uuid[UUID_LEN + 1] = '\0';
	(void)str_copy(name, sizeof name, "node-id.");
	random_hex(name + strlen(name), 8);
	if (!path_join(tmp, sizeof tmp, dir, name, err))
		return false;
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_errno(err, ERR_TEMP, "create %s", tmp);
	if (!fd_write_all(fd, uuid, UUID_LEN + 1, tmp, err))
		goto out;
	if (fsync(fd) < 0) {
		(void)err_errno(err, ERR_TEMP, "fsync %s", tmp);
		goto out;
	}
	if (link(tmp, path) < 0 && errno != EEXIST) {
		(void)err_errno(err, ERR_TEMP, "link %s", path);
		goto out;
	}
	made = fd_sync_dir(dir, err);
out:
	(void)close(fd);
	(void)unlink(tmp);
	return made;
}

bool log_node_id(const char *dir, char out[UUID_LEN + 1], struct err *err)
{
	char path[PATH_MAX];

	if (!path_join(path, sizeof path, dir, "node-id", err))
		return false;
	if (access(path, F_OK) < 0 && !create_id(dir, path, err))
		return false;
	return read_id(path, out, err);
}
