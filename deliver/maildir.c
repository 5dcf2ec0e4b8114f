/*
 * maildir.c - hand a message to a maildir
 *
 * A message is complete and on disk under tmp/ before its name appears in new/,
 * and readers look only there.  A crash leaves at worst a stray file in tmp/,
 * never half a message.  https://cr.yp.to/proto/maildir.html
 *
 * Everything that can go wrong here may pass (a full disk, a quota, a parent
 * that somebody must still make writable), so every error is ERR_TEMP.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/xalloc.h"
#include "deliver/deliver.h"

#define READ_SIZE 65536
#define NAME_TRIES 20

/* ---- directories ---- */

/* One directory; its parent exists.  dir_mode is for those that we make. */
static bool make_dir(const char *path, int dir_mode, struct err *err)
{
	char parent[PATH_MAX];
	struct stat st;

	if (mkdir(path, 0777) < 0) {
		if (errno != EEXIST)
			return err_errno(err, ERR_TEMP, "mkdir %s", path);
		if (stat(path, &st) < 0)
			return err_errno(err, ERR_TEMP, "%s", path);
		if (!S_ISDIR(st.st_mode))
			return err_set(
			    err, ERR_TEMP, "%s is not a directory", path);
		return true;
	}
	/* chmod, so that the umask has no say. */
	if (dir_mode >= 0 && chmod(path, (mode_t)dir_mode) < 0)
		return err_errno(err, ERR_TEMP, "chmod %s", path);
	return path_dir(parent, sizeof parent, path, err) &&
	       fd_sync_dir(parent, err);
}

/* The same with what is missing above. */
static bool make_dirs(char *path, int dir_mode, struct err *err)
{
	struct stat st;
	char *slash;

	if (stat(path, &st) == 0 || errno != ENOENT)
		return make_dir(path, dir_mode, err);
	for (slash = strchr(path + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		bool ok;

		*slash = '\0';
		ok = make_dir(path, dir_mode, err);
		*slash = '/';
		if (!ok)
			return false;
	}
	return make_dir(path, dir_mode, err);
}

static bool make_maildir(
    const char *root, int dir_mode, char new[PATH_MAX], struct err *err)
{
	static const char *const names[] = {"cur", "tmp", "new"};
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s", root) >= (int)sizeof path)
		return err_set(err, ERR_TEMP, "the path is too long");
	if (!make_dirs(path, dir_mode, err))
		return false;
	for (size_t i = 0; i < COUNT(names); i++)
		if (!path_join(new, PATH_MAX, root, names[i], err) ||
		    !make_dir(new, dir_mode, err))
			return false;
	return true;
}

/* ---- names ---- */

static atomic_uint_fast64_t counter;

/* '/' and ':' mean something in file names of a maildir. */
static void host_name(char *out, size_t size)
{
	char host[HOST_NAME_MAX + 1] = "";
	size_t n = 0;

	if (gethostname(host, sizeof host - 1) < 0 || !*host)
		(void)snprintf(host, sizeof host, "localhost");
	for (const char *p = host; *p && n + 5 < size; p++) {
		if (*p == '/' || *p == ':')
			n += (size_t)snprintf(
			    out + n, size - n, "\\%03o", (unsigned)*p);
		else
			out[n++] = *p;
	}
	out[n] = '\0';
}

/* Seconds, then what makes it unique on this machine, then the machine. */
static void unique_name(
    char *out, size_t size, const struct stat *st, int64_t bytes)
{
	int64_t now = clock_unix_ms();
	char host[101], where[64] = "", sized[32] = "";

	host_name(host, sizeof host);
	if (st) {
		(void)snprintf(where, sizeof where, "V%jxI%jx",
		    (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
		(void)snprintf(sized, sizeof sized, ",S=%" PRId64, bytes);
	}
	(void)snprintf(out, size,
	    "%" PRId64 ".M%" PRId64 "P%dQ%" PRIu64 "%s.%s%s", now / 1000,
	    now % 1000 * 1000, (int)getpid(),
	    (uint64_t)atomic_fetch_add(&counter, 1), where, host, sized);
}

/* ---- the file ---- */

/* On its way into the file; `held` is a CR that may belong to a line's end. */
struct output {
	int fd;
	const char *name;
	int64_t size; /* written so far */
	bool held;
	char *text; /* READ_SIZE bytes; NULL: lines end as they are given */
	size_t used;
};

static bool put(
    struct output *out, const char *data, size_t len, struct err *err)
{
	if (!fd_write_all(out->fd, data, len, out->name, err))
		return false;
	out->size += (int64_t)len;
	return true;
}

static bool flush(struct output *out, struct err *err)
{
	size_t used = out->used;

	out->used = 0;
	return put(out, out->text, used, err);
}

/* CRLF becomes LF; a CR or LF that stands alone stays as it is. */
static bool put_lf(
    struct output *out, const char *data, size_t len, struct err *err)
{
	for (size_t i = 0; i < len; i++) {
		/* Room for the CR that is held, and for what comes now. */
		if (out->used + 2 > READ_SIZE && !flush(out, err))
			return false;
		if (out->held && data[i] != '\n')
			out->text[out->used++] = '\r';
		out->held = data[i] == '\r';
		if (!out->held)
			out->text[out->used++] = data[i];
	}
	return true;
}

static bool write_some(
    struct output *out, const char *data, size_t len, struct err *err)
{
	return out->text ? put_lf(out, data, len, err)
			 : put(out, data, len, err);
}

static bool write_read(
    const struct maildir_job *job, struct output *out, struct err *err)
{
	char *chunk = xmalloc(READ_SIZE);
	bool ok = false;
	int64_t n;

	for (;;) {
		n = job->read(job->ctx, chunk, READ_SIZE);
		if (n <= 0)
			break;
		if (!write_some(out, chunk, (size_t)n, err))
			goto out;
	}
	ok = n == 0 || err_set(err, ERR_TEMP, "the message cannot be read");
out:
	free(chunk);
	return ok;
}

static bool write_message(
    const struct maildir_job *job, struct output *out, struct err *err)
{
	for (size_t i = 0; i < job->piece_count; i++)
		if (!write_some(out, job->pieces[i], job->lengths[i], err))
			return false;
	if (job->read && !write_read(job, out, err))
		return false;
	if (out->held && out->used == READ_SIZE && !flush(out, err))
		return false;
	if (out->held)
		out->text[out->used++] = '\r';
	return flush(out, err);
}

static bool write_file(const struct maildir_job *job, int fd, const char *name,
    int64_t *size, struct err *err)
{
	struct output out = {.fd = fd, .name = name};
	bool ok;

	if (job->lf)
		out.text = xmalloc(READ_SIZE);
	ok = write_message(job, &out, err);
	*size = out.size;
	free(out.text);
	if (!ok)
		return false;
	if (job->file_mode >= 0 && fchmod(fd, (mode_t)job->file_mode) < 0)
		return err_errno(err, ERR_TEMP, "chmod %s", name);
	if (fsync(fd) < 0)
		return err_errno(err, ERR_TEMP, "fsync %s", name);
	return true;
}

static int create(char tmp[PATH_MAX], const char *root, struct err *err)
{
	char name[NAME_MAX + 1], sub[NAME_MAX + 8];
	int fd = -1;

	for (int i = 0; i < NAME_TRIES && fd < 0; i++) {
		unique_name(name, sizeof name, NULL, 0);
		(void)snprintf(sub, sizeof sub, "tmp/%s", name);
		if (!path_join(tmp, PATH_MAX, root, sub, err))
			return -1;
		fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd < 0)
		err_errno(err, ERR_TEMP, "create %s", tmp);
	return fd;
}

/* link(2), not rename(2): a name that is taken must not be replaced. */
static bool publish(const char *tmp, const char *new_dir, int fd, int64_t size,
    char new[PATH_MAX], struct err *err)
{
	char name[NAME_MAX + 1];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, ERR_TEMP, "fstat %s", tmp);
	for (int i = 0; i < NAME_TRIES; i++) {
		unique_name(name, sizeof name, &st, size);
		if (!path_join(new, PATH_MAX, new_dir, name, err))
			return false;
		if (link(tmp, new) == 0)
			return true;
		if (errno != EEXIST)
			break;
	}
	return err_errno(err, ERR_TEMP, "link %s", new);
}

bool maildir_deliver(
    const struct maildir_job *job, struct buf *stored, struct err *err)
{
	char new_dir[PATH_MAX], tmp[PATH_MAX], new[PATH_MAX];
	bool delivered = false;
	int64_t size;
	int fd = -1;

	if (!make_maildir(job->root, job->dir_mode, new_dir, err))
		goto out;
	fd = create(tmp, job->root, err);
	if (fd < 0)
		goto out;
	if (!write_file(job, fd, tmp, &size, err) ||
	    !publish(tmp, new_dir, fd, size, new, err))
		goto out_tmp;
	/* From here on a failure makes the retry store it a second time: better
	 * than a loss. */
	if (FAULT_POINT("maildir.after-link"))
		err_set(err, ERR_TEMP, "a fault was injected");
	else
		delivered = fd_sync_dir(new_dir, err);
	if (delivered)
		buf_addstr(stored, new);
out_tmp:
	(void)unlink(tmp);
	(void)close(fd);
out:
	if (!delivered && err)
		err->class = ERR_TEMP;
	return delivered;
}
