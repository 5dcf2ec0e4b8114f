/*
 * queue_vfs.h - the shim between SQLite and the file system
 *
 * SQLite before 3.51.3 has the WAL-reset race: a checkpointer that has read
 * the WAL's header while a writer commits and restarts the WAL believes that
 * frames are copied which are not, and committed pages are lost.  The writer
 * lock (queue_lock.h) keeps our own programs apart.  This shim, over the
 * default VFS, keeps a foreign `sqlite3` shell apart from us: whenever SQLite
 * asks for WAL_WRITE or WAL_CKPT we take both or neither.
 *
 * Devel builds also assert that whoever writes the database or its WAL holds
 * the writer lock, and let tests make a sync fail.
 *
 * Threads: any.
 */
#ifndef QUEUE_QUEUE_VFS_H
#define QUEUE_QUEUE_VFS_H

#include "base/err.h"

#define QUEUE_VFS "penstock"

/* Registers it; a second call does nothing. */
bool queue_vfs_register(struct err *err) MUST_USE;

#ifdef ENABLE_DEVEL
/* Called before each sync of a WAL or database file; true: the sync fails with
 * SQLITE_IOERR_FSYNC.  NULL: none.  Set while no connection works. */
typedef bool queue_vfs_sync_fn(const char *name, bool is_wal);
void queue_vfs_test_sync(queue_vfs_sync_fn *fails);
#endif

#endif
