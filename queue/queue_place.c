/*
 * queue_place.c - are the queue's files still those that we have open?
 *
 * Who removes queue.db or -wal under a daemon, moves the directory away or
 * copies a backup over it, leaves us with files that have no name: what is
 * committed there is gone when we close them.  So each transaction is held
 * against the names: nothing begins, and no custody is acknowledged, unless
 * they still lead to what we opened.
 *
 * What SQLite opened is known right after the first BEGIN, when it has all of
 * them.  -wal and -shm may be others when none of our connections is open any
 * more: a shell that ends removes them then.
 */
#include <sys/stat.h>

#include "queue/queue_db.h"

static const char *const suffixes[QUEUE_PLACES] = {
    [QUEUE_PLACE_FILE] = "",
    [QUEUE_PLACE_LOCK] = "-writer",
    [QUEUE_PLACE_WAL] = "-wal",
    [QUEUE_PLACE_SHM] = "-shm",
};

static bool look(const struct queue *queue, enum queue_place which,
    struct queue_place_id *out)
{
	char name[4096];
	struct stat st;
	bool is;

	(void)snprintf(name, sizeof name, "%s%s", queue->path, suffixes[which]);
	is = stat(name, &st) == 0;
	*out = (struct queue_place_id){.known = is};
	if (is) {
		out->dev = st.st_dev;
		out->ino = st.st_ino;
	}
	return is;
}

/* The lock file is ours to ask; of the others SQLite has the descriptors. */
static void note(struct queue *queue, enum queue_place which)
{
	struct queue_place_id *id = &queue->place.ids[which];
	struct stat st;

	if (which != QUEUE_PLACE_LOCK) {
		(void)look(queue, which, id);
	} else if (fstat(queue->lock.fd, &st) == 0) {
		id->dev = st.st_dev;
		id->ino = st.st_ino;
		id->known = true;
	}
}

bool queue_in_place(struct queue *queue, struct err *err)
{
	const char *gone = NULL;
	bool there = true;

	(void)pthread_mutex_lock(&queue->place.mutex);
	for (enum queue_place i = 0; i < QUEUE_PLACES && !gone; i++) {
		const struct queue_place_id *id = &queue->place.ids[i];
		struct queue_place_id now;

		if (!id->known)
			continue;
		there = look(queue, i, &now);
		if (!there || now.dev != id->dev || now.ino != id->ino)
			gone = suffixes[i];
	}
	(void)pthread_mutex_unlock(&queue->place.mutex);
	if (!gone)
		return true;
	return err_set(err, ERR_CONFIG,
	    "%s%s was %s while it was in use, so nothing more is stored: "
	    "before anything is restarted read \"Files that are gone\" in "
	    "penstock-queue(5)",
	    queue->path, gone, there ? "replaced" : "removed");
}

void queue_place_note(struct queue *queue)
{
	(void)pthread_mutex_lock(&queue->place.mutex);
	for (enum queue_place i = 0; i < QUEUE_PLACES; i++)
		if (!queue->place.ids[i].known)
			note(queue, i);
	(void)pthread_mutex_unlock(&queue->place.mutex);
}

void queue_place_forget_log(struct queue *queue)
{
	(void)pthread_mutex_lock(&queue->place.mutex);
	queue->place.ids[QUEUE_PLACE_WAL].known = false;
	queue->place.ids[QUEUE_PLACE_SHM].known = false;
	(void)pthread_mutex_unlock(&queue->place.mutex);
}
