/*
 * fd.c - descriptors and directories
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/xalloc.h"

bool fd_write_all(
    int fd, const void *p, size_t len, const char *name, struct err *err)
{
	const char *at = p;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_TEMP, "write %s", name);
		at += n;
		len -= (size_t)n;
	}
	return true;
}

bool fd_sync_dir(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = true;

	if (fd < 0)
		return err_errno(err, ERR_TEMP, "open %s", path);
	if (fsync(fd) < 0)
		ok = err_errno(err, ERR_TEMP, "fsync %s", path);
	(void)close(fd);
	return ok;
}

static bool make_dir(const char *path, mode_t mode, struct err *err)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return true;
	if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return true;
	return err_errno(err, ERR_TEMP, "create directory %s", path);
}

bool fd_make_dirs(const char *path, mode_t mode, struct err *err)
{
	char *copy = xstrdup(path);
	bool ok = true;

	for (char *p = copy + 1; ok && *copy && *p; p++) {
		struct stat st;

		if (*p != '/')
			continue;
		*p = '\0';
		/* Look first: a parent may be on a read-only file system. */
		if (stat(copy, &st) < 0)
			ok = make_dir(copy, mode, err);
		*p = '/';
	}
	ok = ok && make_dir(copy, mode, err);
	free(copy);
	return ok;
}

char *fd_read_file(const char *path, size_t most, size_t *len, struct err *err)
{
	char *data = NULL;
	size_t used = 0, size = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		(void)err_errno(err, ERR_TEMP, "open %s", path);
		return NULL;
	}
	for (;;) {
		ssize_t n;

		if (used + 1 >= size) {
			size = size ? size * 2 : 8192;
			data = xrealloc(data, size);
		}
		n = read(fd, data + used, size - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			(void)err_errno(err, ERR_TEMP, "read %s", path);
			goto fail;
		}
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > most) {
			(void)err_set(err, ERR_PERM,
			    "%s is larger than %zu bytes", path, most);
			goto fail;
		}
	}
	(void)close(fd);
	data[used] = '\0';
	if (len)
		*len = used;
	return data;
fail:
	(void)close(fd);
	free(data);
	return NULL;
}

bool path_join(
    char *out, size_t size, const char *dir, const char *name, struct err *err)
{
	size_t len = strlen(dir);
	int n = snprintf(out, size, "%s%s%s", dir,
	    len && dir[len - 1] == '/' ? "" : "/", name);

	if (n < 0 || (size_t)n >= size)
		return err_set(
		    err, ERR_PERM, "path too long: %.200s/%.200s", dir, name);
	return true;
}

bool path_dir(char *out, size_t size, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	const char *from = slash ? path : ".";
	size_t len = slash ? (size_t)(slash - path) : 1;

	if (slash == path)
		len = 1;
	if (len >= size)
		return err_set(err, ERR_PERM, "path too long: %.200s", path);
	memcpy(out, from, len);
	out[len] = '\0';
	return true;
}

int fd_unlinked(const char *dir, struct err *err)
{
	char path[PATH_MAX], name[48];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	/* Not every file system knows O_TMPFILE. */
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL) {
		(void)snprintf(name, sizeof name, ".penstock-");
		random_hex(name + strlen(name), 12);
		if (!path_join(path, sizeof path, dir, name, err))
			return -1;
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0) {
			(void)unlink(path);
			return fd;
		}
	}
	(void)err_errno(err, ERR_TEMP, "create a temporary file in %s", dir);
	return -1;
}

static void random_bytes(void *out, size_t len)
{
	unsigned char *at = out;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			diag_panic("getrandom: %s", strerror(errno));
		at += n;
		len -= (size_t)n;
	}
}

void random_hex(char *out, size_t bytes)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char chunk[32];

	while (bytes > 0) {
		size_t n = bytes < sizeof chunk ? bytes : sizeof chunk;

		random_bytes(chunk, n);
		for (size_t i = 0; i < n; i++) {
			*out++ = hex[chunk[i] >> 4];
			*out++ = hex[chunk[i] & 15];
		}
		bytes -= n;
	}
	*out = '\0';
}

int64_t random_between(int64_t low, int64_t high)
{
	uint64_t span, limit, r;

	invariant(low <= high);
	span = (uint64_t)high - (uint64_t)low + 1;
	if (span == 0) { /* all of them */
		random_bytes(&r, sizeof r);
		return (int64_t)r;
	}
	/* The remainder of 2^64 would make small numbers likelier. */
	limit = UINT64_MAX - UINT64_MAX % span;
	do {
		random_bytes(&r, sizeof r);
	} while (r >= limit);
	return (int64_t)((uint64_t)low + r % span);
}
