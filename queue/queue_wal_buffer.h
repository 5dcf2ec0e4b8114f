/*
 * queue_wal_buffer.h - frames of a transaction, written together
 *
 * SQLite writes a write-ahead log frame by frame, header and page apart.  This
 * keeps what follows each other and writes it when the frame that commits
 * comes, or when there is no more room: a transaction is one or a few writes
 * instead of two for each page.
 *
 * What makes it safe: nobody looks at frames before the commit is published in
 * the WAL-index, and SQLite publishes after the commit's frame was written,
 * which is when a failure to write is told.  Only frames of a transaction that
 * is not committed are ever kept; whoever gives back the write lock drops them
 * (they were rolled back, and the place is another program's now).
 *
 * Threads: one, the connection's.
 * See:     queue_vfs.c; https://sqlite.org/fileformat.html, 4 (the WAL)
 */
#ifndef QUEUE_QUEUE_WAL_BUFFER_H
#define QUEUE_QUEUE_WAL_BUFFER_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

struct wal_buffer {
	char *data; /* NULL: nothing was ever kept */
	size_t len;
	sqlite3_int64 at;  /* where data belongs */
	sqlite3_int64 end; /* behind the last write: a frame may follow */
	bool page_due;     /* the last thing kept is a frame's header */
	bool commits;      /* and that frame's page ends the transaction */
	/* Kept frames are lost: their transaction writes nothing any more. */
	bool failed;
};

/* As xWrite, xRead of the file below; result codes of SQLite. */
int wal_buffer_write(struct wal_buffer *b, sqlite3_file *file, const void *p,
    int len, sqlite3_int64 at);
int wal_buffer_read(struct wal_buffer *b, sqlite3_file *file, void *p, int len,
    sqlite3_int64 at);
/* Before anything else is done to the file. */
int wal_buffer_flush(struct wal_buffer *b, sqlite3_file *file);
/* The transaction is over. */
void wal_buffer_drop(struct wal_buffer *b);
void wal_buffer_release(struct wal_buffer *b);

#endif
