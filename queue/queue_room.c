/*
 * queue_room.c - is there room for more mail?
 *
 * The floor leaves the router enough to record what it did: a full disk must
 * not make it deliver again and again.  A write-ahead log that a reader pins
 * grows without bound, so it counts too.  Who the reader is stands in
 * /proc/locks: opening and closing the -shm file by hand to ask would drop our
 * own locks.
 */
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "queue/queue_db.h"

#define LOOK_MS 500
/* Of the -shm file: where SQLite's locks are (wal.c, os_unix.c). */
#define WRITE_LOCK 120
#define READ_LOCK_FIRST 123
#define READ_LOCK_LAST 127

static int64_t holder(
    const struct queue *queue, uint64_t from_byte, uint64_t to_byte)
{
	char name[4096], line[256], type[16];
	unsigned major_dev, minor_dev;
	uint64_t inode, first, last;
	long pid, found = 0;
	struct stat st;
	FILE *f;

	(void)snprintf(name, sizeof name, "%s-shm", queue->path);
	if (stat(name, &st) < 0)
		return 0;
	f = fopen("/proc/locks", "re");
	if (!f)
		return 0;
	/* Our own readers are short: somebody else's is the long one. */
	while ((!found || found == getpid()) && fgets(line, sizeof line, f)) {
		if (sscanf(line,
			"%*d: POSIX ADVISORY %15s %ld %x:%x:%" SCNu64
			" %" SCNu64 " %" SCNu64,
			type, &pid, &major_dev, &minor_dev, &inode, &first,
			&last) != 7)
			continue;
		if (inode == st.st_ino && major_dev == major(st.st_dev) &&
		    minor_dev == minor(st.st_dev) && last >= from_byte &&
		    first <= to_byte && pid > 0)
			found = pid;
	}
	(void)fclose(f);
	return found;
}

int64_t queue_reader_pid(const struct queue *queue)
{
	return holder(queue, READ_LOCK_FIRST, READ_LOCK_LAST);
}

int64_t queue_writer_pid(const struct queue *queue)
{
	return holder(queue, WRITE_LOCK, WRITE_LOCK);
}

int64_t queue_log_bytes(const struct queue *queue)
{
	char name[4096];
	struct stat st;

	(void)snprintf(name, sizeof name, "%s-wal", queue->path);
	return stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

static bool look(const struct queue *queue, struct err *err)
{
	char dir[4096];
	struct statvfs fs;
	int64_t room, floor, part, log;

	if (!path_dir(dir, sizeof dir, queue->path, err))
		return false;
	if (statvfs(dir, &fs) < 0)
		return err_errno(err, ERR_TEMP, "%s", dir);
	room = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
	part = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize / 100 *
	       queue->free_floor_percent;
	floor = queue->free_floor_bytes < part ? queue->free_floor_bytes : part;
	if (room < floor)
		return err_set(err, ERR_TEMP,
		    "%s: %" PRId64 " MiB free, the floor is %" PRId64 " MiB",
		    dir, room >> 20, floor >> 20);

	log = queue_log_bytes(queue);
	if (log > queue->wal_limit_bytes) {
		int64_t pid = queue_reader_pid(queue);

		return err_set(err, ERR_TEMP,
		    "%s-wal has %" PRId64 " MiB: %s%.0" PRId64, queue->path,
		    log >> 20,
		    pid ? "a reader keeps it, process " : "it is being copied",
		    pid);
	}
	return true;
}

void queue_say_damaged(struct queue *queue, const char *finding)
{
	(void)pthread_mutex_lock(&queue->room_mutex);
	if (queue->damage.class == ERR_NONE) {
		err_set(&queue->damage, ERR_PERM,
		    "%s is damaged: %s; stop both daemons and make a copy "
		    "before anything else, then see penstock check "
		    "--queue-integrity",
		    queue->path, finding);
		diag_error("%s", queue->damage.text);
	}
	(void)pthread_mutex_unlock(&queue->room_mutex);
}

bool queue_has_room(struct queue *queue, struct err *err)
{
	int64_t now = clock_now_ms();
	const struct err *what;
	bool room;

	(void)pthread_mutex_lock(&queue->room_mutex);
	if (!queue->room_looked || now - queue->room_looked_ms >= LOOK_MS ||
	    now < queue->room_looked_ms) {
		queue->room = (struct err){0};
		if (queue_in_place(queue, &queue->room))
			(void)!look(queue, &queue->room);
		queue->room_looked = true;
		queue->room_looked_ms = now;
	}
	what = queue->damage.class != ERR_NONE ? &queue->damage : &queue->room;
	room = what->class == ERR_NONE;
	if (!room && err)
		*err = *what;
	(void)pthread_mutex_unlock(&queue->room_mutex);
	return room;
}
