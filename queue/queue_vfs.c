/*
 * queue_vfs.c - the shim between SQLite and the file system
 *
 * Locks of the WAL-index, as SQLite numbers them: 0 WRITE, 1 CKPT, 2 RECOVER,
 * 3.. READ.  `wanted` is which of the first two SQLite believes to hold;
 * below us both are held while it is not empty.  They are adjacent, so one
 * request to the VFS below takes both or neither.
 *
 * Recovery locks a range that begins at CKPT while WRITE is held: the part of
 * a range that we hold already is not asked for again, because the unix VFS
 * takes a second request for the same byte as a mistake.
 *
 * Shared locks of these two (readers of a file that they may not write) pass
 * through: they exclude an exclusive one as they should.
 *
 * What is written to the WAL is kept until its transaction commits
 * (queue_wal_buffer.h), or dropped with the WRITE lock, which is the database
 * file's business: so that file knows its WAL.
 */
#include "queue/queue_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/diag.h"
#include "base/fault.h"
#include "queue/queue_lock.h"
#include "queue/queue_wal_buffer.h"

#define LOCK_WRITE 0
#define PAIR 3U /* WRITE and CKPT as bits */

struct shim_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
	const char *name;   /* SQLite keeps it while the file is open */
	int kind;           /* SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_WAL, 0 */
	unsigned wanted;
	struct shim_file *main, *wal; /* each other's, of one connection */
	struct wal_buffer kept;       /* a WAL's, when it has `main` */
};

static sqlite3_vfs shim;
static sqlite3_vfs *below;

#ifdef ENABLE_DEVEL
static queue_vfs_sync_fn *_Atomic sync_fails;

void queue_vfs_test_sync(queue_vfs_sync_fn *fails)
{
	atomic_store(&sync_fails, fails);
}
#endif

static struct shim_file *shim_of(sqlite3_file *file)
{
	return (struct shim_file *)(void *)file;
}

#define REAL(file) (shim_of(file)->real)

static void assert_writer(const struct shim_file *f)
{
#ifdef ENABLE_DEVEL
	invariant(!f->kind || queue_lock_held_here());
#else
	(void)f;
#endif
}

/* What is kept here was rolled back. */
static void forget_wal(struct shim_file *f)
{
	wal_buffer_release(&f->kept);
	if (f->main)
		f->main->wal = NULL;
	if (f->wal)
		f->wal->main = NULL;
	f->main = f->wal = NULL;
}

static int shim_close(sqlite3_file *file)
{
	forget_wal(shim_of(file));
	return REAL(file)->pMethods ? REAL(file)->pMethods->xClose(REAL(file))
				    : SQLITE_OK;
}

static int shim_read(sqlite3_file *file, void *p, int len, sqlite3_int64 at)
{
	if (shim_of(file)->main)
		return wal_buffer_read(
		    &shim_of(file)->kept, REAL(file), p, len, at);
	return REAL(file)->pMethods->xRead(REAL(file), p, len, at);
}

static int shim_write(
    sqlite3_file *file, const void *p, int len, sqlite3_int64 at)
{
	assert_writer(shim_of(file));
	if (shim_of(file)->main)
		return wal_buffer_write(
		    &shim_of(file)->kept, REAL(file), p, len, at);
	return REAL(file)->pMethods->xWrite(REAL(file), p, len, at);
}

static int flush(sqlite3_file *file)
{
	return shim_of(file)->main
		   ? wal_buffer_flush(&shim_of(file)->kept, REAL(file))
		   : SQLITE_OK;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int rc = flush(file);

	assert_writer(shim_of(file));
	return rc == SQLITE_OK
		   ? REAL(file)->pMethods->xTruncate(REAL(file), size)
		   : rc;
}

static int shim_sync(sqlite3_file *file, int flags)
{
	int rc = flush(file);
#ifdef ENABLE_DEVEL
	const struct shim_file *f = shim_of(file);
	queue_vfs_sync_fn *fails = atomic_load(&sync_fails);

	if (f->kind == SQLITE_OPEN_WAL && FAULT_POINT("queue.commit-fails"))
		return SQLITE_IOERR_FSYNC;
	if (fails && f->kind && fails(f->name, f->kind == SQLITE_OPEN_WAL))
		return SQLITE_IOERR_FSYNC;
#endif
	return rc == SQLITE_OK ? REAL(file)->pMethods->xSync(REAL(file), flags)
			       : rc;
}

static int shim_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	int rc = flush(file);

	return rc == SQLITE_OK
		   ? REAL(file)->pMethods->xFileSize(REAL(file), size)
		   : rc;
}

static int shim_lock(sqlite3_file *file, int level)
{
	return REAL(file)->pMethods->xLock(REAL(file), level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
	return REAL(file)->pMethods->xUnlock(REAL(file), level);
}

static int shim_check_reserved_lock(sqlite3_file *file, int *held)
{
	return REAL(file)->pMethods->xCheckReservedLock(REAL(file), held);
}

static int shim_file_control(sqlite3_file *file, int op, void *arg)
{
	return REAL(file)->pMethods->xFileControl(REAL(file), op, arg);
}

static int shim_sector_size(sqlite3_file *file)
{
	return REAL(file)->pMethods->xSectorSize(REAL(file));
}

static int shim_device_characteristics(sqlite3_file *file)
{
	return REAL(file)->pMethods->xDeviceCharacteristics(REAL(file));
}

static int shim_shm_map(
    sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
	return REAL(file)->pMethods->xShmMap(
	    REAL(file), region, size, extend, out);
}

/* The part of a range above WRITE and CKPT, if there is one. */
static int lock_rest(sqlite3_file *file, int offset, int n, int flags)
{
	int first = offset < 2 ? 2 : offset, count = offset + n - first;

	if (count <= 0)
		return SQLITE_OK;
	return REAL(file)->pMethods->xShmLock(REAL(file), first, count, flags);
}

static int lock_pair(sqlite3_file *file, int flags)
{
	return REAL(file)->pMethods->xShmLock(REAL(file), LOCK_WRITE, 2, flags);
}

static int shim_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	struct shim_file *f = shim_of(file);
	unsigned pair = ((1U << n) - 1) << offset & PAIR;
	int rc;

	if (!pair || !(flags & SQLITE_SHM_EXCLUSIVE))
		return REAL(file)->pMethods->xShmLock(
		    REAL(file), offset, n, flags);

	if (flags & SQLITE_SHM_UNLOCK) {
		if (offset == LOCK_WRITE && f->wal)
			wal_buffer_drop(&f->wal->kept);
		rc = lock_rest(file, offset, n, flags);
		if (rc != SQLITE_OK)
			return rc;
		f->wanted &= ~pair;
		return f->wanted ? SQLITE_OK : lock_pair(file, flags);
	}

	if (!f->wanted) {
		rc = lock_pair(file, flags);
		if (rc != SQLITE_OK)
			return rc;
	}
	rc = lock_rest(file, offset, n, flags);
	if (rc == SQLITE_OK)
		f->wanted |= pair;
	else if (!f->wanted)
		(void)lock_pair(file, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
	return rc;
}

static void shim_shm_barrier(sqlite3_file *file)
{
#ifdef ENABLE_DEVEL
	/* This is where a commit is published. */
	invariant(!shim_of(file)->wal || !shim_of(file)->wal->kept.len);
#endif
	REAL(file)->pMethods->xShmBarrier(REAL(file));
}

static int shim_shm_unmap(sqlite3_file *file, int delete_it)
{
	shim_of(file)->wanted = 0;
	return REAL(file)->pMethods->xShmUnmap(REAL(file), delete_it);
}

/* Version 2: with the WAL-index, without memory-mapped pages, which we never
 * use (mmap_size is 0). */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_file_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check_reserved_lock,
    .xFileControl = shim_file_control,
    .xSectorSize = shim_sector_size,
    .xDeviceCharacteristics = shim_device_characteristics,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

/* Only a database that is ours as well says when a transaction is over. */
static void know_main(struct shim_file *f)
{
	sqlite3_file *file = sqlite3_database_file_object(f->name);

	if (!file || file->pMethods != &methods || shim_of(file)->wal)
		return;
	f->main = shim_of(file);
	f->main->wal = f;
}

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file,
    int flags, int *out_flags)
{
	struct shim_file *f = shim_of(file);
	int rc;

	(void)vfs;
	*f = (struct shim_file){
	    .real = (sqlite3_file *)(void *)(f + 1),
	    .name = name,
	    .kind = flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL),
	};
	rc = below->xOpen(below, name, f->real, flags, out_flags);
	/* SQLite closes what has methods, also after a failed open. */
	if (f->real->pMethods)
		f->base.pMethods = &methods;
	if (rc == SQLITE_OK && f->kind == SQLITE_OPEN_WAL)
		know_main(f);
	return rc;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int registered = SQLITE_ERROR;

static void register_once(void)
{
	/* Its statistics are a mutex at every allocation.  Too late when a
	 * policy's own database came first; no harm then. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	below = sqlite3_vfs_find(NULL);
	if (!below)
		return;
	shim = *below;
	shim.zName = QUEUE_VFS;
	shim.pNext = NULL;
	shim.szOsFile = (int)sizeof(struct shim_file) + below->szOsFile;
	shim.xOpen = shim_open;
	registered = sqlite3_vfs_register(&shim, 0);
}

bool queue_vfs_register(struct err *err)
{
	(void)pthread_once(&once, register_once);
	if (registered != SQLITE_OK)
		return err_set(
		    err, ERR_CONFIG, "this SQLite has no usable VFS");
	return true;
}
