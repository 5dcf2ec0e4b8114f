/*
 * queue_wal_buffer.c - frames of a transaction, written together
 *
 * A frame is a header of 24 bytes, of which bytes 4 to 7 are not 0 when it
 * commits, and a page.  Only a header exactly behind the last write is taken
 * for one: SQLite also writes headers anew, when a page of a transaction is
 * written twice, and those stand before it.
 */
#include "queue/queue_wal_buffer.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

#define SIZE ((size_t)128 * 1024)
#define FRAME_HEADER 24

static int write_below(
    sqlite3_file *file, const void *p, int len, sqlite3_int64 at)
{
	return file->pMethods->xWrite(file, p, len, at);
}

int wal_buffer_flush(struct wal_buffer *b, sqlite3_file *file)
{
	int len = (int)b->len;

	if (b->failed)
		return SQLITE_IOERR_WRITE;
	b->len = 0;
	b->page_due = false;
	return len ? write_below(file, b->data, len, b->at) : SQLITE_OK;
}

static bool is_commit(const unsigned char *header)
{
	return header[4] || header[5] || header[6] || header[7];
}

static void keep(struct wal_buffer *b, const void *p, int len, sqlite3_int64 at)
{
	if (!b->data)
		b->data = xmalloc(SIZE);
	if (!b->len)
		b->at = at;
	memcpy(b->data + b->len, p, (size_t)len);
	b->len += (size_t)len;
	b->end = at + len;
}

int wal_buffer_write(struct wal_buffer *b, sqlite3_file *file, const void *p,
    int len, sqlite3_int64 at)
{
	bool header = !b->page_due && len == FRAME_HEADER;
	int rc;

	if (b->end == at && (header || b->page_due) && !b->failed &&
	    b->len + (size_t)len <= SIZE) {
		keep(b, p, len, at);
		b->page_due = header;
		if (header)
			b->commits = is_commit(p);
		return header || !b->commits ? SQLITE_OK
					     : wal_buffer_flush(b, file);
	}
	rc = wal_buffer_flush(b, file);
	if (rc == SQLITE_OK)
		rc = write_below(file, p, len, at);
	b->end = rc == SQLITE_OK ? at + len : -1;
	return rc;
}

/* A failure here is not one of writing, of which SQLite would roll back the
 * whole transaction: so nothing must be written before it is over. */
int wal_buffer_read(struct wal_buffer *b, sqlite3_file *file, void *p, int len,
    sqlite3_int64 at)
{
	sqlite3_int64 kept_to = b->at + (sqlite3_int64)b->len;
	int rc;

	if (b->len && at < kept_to && at + len > b->at) {
		if (at >= b->at && at + len <= kept_to) {
			memcpy(p, b->data + (at - b->at), (size_t)len);
			return SQLITE_OK;
		}
		rc = wal_buffer_flush(b, file);
		if (rc != SQLITE_OK) {
			b->failed = true;
			return rc;
		}
	}
	return file->pMethods->xRead(file, p, len, at);
}

void wal_buffer_drop(struct wal_buffer *b)
{
	b->len = 0;
	b->page_due = false;
	b->failed = false;
}

void wal_buffer_release(struct wal_buffer *b)
{
	free(b->data);
	*b = (struct wal_buffer){0};
}
