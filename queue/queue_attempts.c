/*
 * queue_attempts.c - whose attempt is under way, for whoever comes after us
 *
 *	0	"PENSTOCK ATTEMPTS 2\n" and the boot id, NUL to byte 64
 *	64	PLACES numbers of 64 bits: a recipient's id, that of a
 *		scheduled queue below 0, or 0
 *	...	QUEUE_HANDS of the same
 *	...	BLAMED pairs of them: a scheduled queue, and how many died
 */
#include "queue/queue_attempts.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/xalloc.h"

#define HEADER 64
/* More than can be leased. */
#define PLACES 32768
#define ALL_PLACES (PLACES + QUEUE_HANDS)
/* Some tens are asked about at a time. */
#define BLAMED 256

struct blamed {
	int64_t queue, crashes;
};

#define FILE_SIZE                                                              \
	(HEADER + ALL_PLACES * sizeof(int64_t) + BLAMED * sizeof(struct blamed))

struct queue_attempts {
	char *map;
	int64_t *places;
	struct blamed *blamed;
	bool blames; /* perhaps */
	int *unused; /* a stack of places */
	int unused_count;
	pthread_mutex_t mutex; /* of the stack */
	int64_t *left;
	size_t left_count;
};

static void make_header(char header[HEADER])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char id[37] = "";
	ssize_t got = 0;

	if (fd >= 0) {
		got = read(fd, id, sizeof id - 1);
		(void)close(fd);
	}
	id[got > 0 ? got : 0] = '\0';
	memset(header, 0, HEADER);
	(void)snprintf(header, HEADER, "PENSTOCK ATTEMPTS 2\n%s", id);
}

static int ascending(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Each once, however often the router was at it. */
static void read_left(struct queue_attempts *a)
{
	size_t count = 0;

	a->left = xcalloc(ALL_PLACES, sizeof *a->left);
	for (size_t i = 0; i < ALL_PLACES; i++)
		if (a->places[i] != 0)
			a->left[count++] = a->places[i];
	qsort(a->left, count, sizeof *a->left, ascending);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || a->left[i] != a->left[i - 1])
			a->left[a->left_count++] = a->left[i];
}

static char *map_file(const char *name, struct err *err)
{
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
	void *map = MAP_FAILED;
	int failed;

	if (fd < 0) {
		err_errno(err, ERR_TEMP, "open %s", name);
		return NULL;
	}
	/* All of it: a hole that cannot be filled later would kill us. */
	failed = posix_fallocate(fd, 0, (off_t)FILE_SIZE);
	if (failed) {
		errno = failed;
		err_errno(err, ERR_TEMP, "make %s", name);
	} else {
		map = mmap(
		    NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			err_errno(err, ERR_TEMP, "map %s", name);
	}
	(void)close(fd);
	return map == MAP_FAILED ? NULL : map;
}

struct queue_attempts *queue_attempts_open(const char *path, struct err *err)
{
	char *name = xasprintf("%s-attempts", path);
	char *map = map_file(name, err), header[HEADER];
	struct queue_attempts *a;

	free(name);
	if (!map)
		return NULL;
	a = xcalloc(1, sizeof *a);
	(void)pthread_mutex_init(&a->mutex, NULL);
	a->map = map;
	a->places = (int64_t *)(void *)(map + HEADER);
	a->blamed = (struct blamed *)(void *)(a->places + ALL_PLACES);
	a->unused = xcalloc(PLACES, sizeof *a->unused);
	make_header(header);
	a->blames = memcmp(map, header, HEADER) == 0;
	if (a->blames)
		read_left(a);
	else
		memset(a->blamed, 0, BLAMED * sizeof *a->blamed);
	return a;
}

void queue_attempts_close(struct queue_attempts *a)
{
	if (!a)
		return;
	(void)munmap(a->map, FILE_SIZE);
	(void)pthread_mutex_destroy(&a->mutex);
	free(a->unused);
	free(a->left);
	free(a);
}

const int64_t *queue_attempts_left(
    const struct queue_attempts *a, size_t *count)
{
	*count = a->left_count;
	return a->left;
}

void queue_attempts_clear(struct queue_attempts *a, bool keep_blame)
{
	(void)pthread_mutex_lock(&a->mutex);
	make_header(a->map);
	memset(a->places, 0, ALL_PLACES * sizeof *a->places);
	if (!keep_blame) {
		memset(a->blamed, 0, BLAMED * sizeof *a->blamed);
		a->blames = false;
	}
	/* From the front, so that few pages are touched. */
	for (int i = 0; i < PLACES; i++)
		a->unused[i] = PLACES - 1 - i;
	a->unused_count = PLACES;
	(void)pthread_mutex_unlock(&a->mutex);
}

void queue_attempts_counted(struct queue_attempts *a, int64_t from, int64_t to)
{
	for (size_t i = 0; i < ALL_PLACES; i++)
		if (a->places[i] >= from && a->places[i] <= to)
			a->places[i] = 0;
}

int queue_attempts_begin(struct queue_attempts *a, int64_t id)
{
	int place = -1;

	if (!a)
		return 0;
	(void)pthread_mutex_lock(&a->mutex);
	if (a->unused_count > 0)
		place = a->unused[--a->unused_count];
	(void)pthread_mutex_unlock(&a->mutex);
	if (place < 0)
		return 0;
	__atomic_store_n(&a->places[place], id, __ATOMIC_RELAXED);
	return place + 1;
}

void queue_attempts_end(struct queue_attempts *a, int mark)
{
	if (!a || mark == 0)
		return;
	__atomic_store_n(&a->places[mark - 1], 0, __ATOMIC_RELAXED);
	(void)pthread_mutex_lock(&a->mutex);
	a->unused[a->unused_count++] = mark - 1;
	(void)pthread_mutex_unlock(&a->mutex);
}

int64_t queue_attempts_at(
    struct queue_attempts *a, enum queue_hand hand, int64_t id)
{
	int64_t *place, before;

	if (!a)
		return 0;
	/* Each is written by one thread. */
	place = &a->places[PLACES + hand];
	before = __atomic_load_n(place, __ATOMIC_RELAXED);
	__atomic_store_n(place, id, __ATOMIC_RELAXED);
	return before;
}

/* NULL: it is not blamed. */
static struct blamed *find_blamed(const struct queue_attempts *a, int64_t queue)
{
	for (size_t i = 0; i < BLAMED; i++)
		if (a->blamed[i].queue == queue)
			return &a->blamed[i];
	return NULL;
}

int queue_attempts_blame(struct queue_attempts *a, int64_t queue)
{
	struct blamed *b = find_blamed(a, queue);

	a->blames = true;
	if (!b) {
		b = &a->blamed[0];
		for (size_t i = 1; i < BLAMED; i++)
			if (a->blamed[i].crashes < b->crashes)
				b = &a->blamed[i];
		*b = (struct blamed){.queue = queue};
	}
	/* The file may say anything. */
	if (b->crashes < 0 || b->crashes > QUEUE_CRASHES_MOST)
		b->crashes = 0;
	if (b->crashes < QUEUE_CRASHES_MOST)
		b->crashes++;
	return (int)b->crashes;
}

int queue_attempts_crashes(const struct queue_attempts *a, int64_t queue)
{
	const struct blamed *b = a ? find_blamed(a, queue) : NULL;

	return b && b->crashes > 0 && b->crashes <= QUEUE_CRASHES_MOST
		   ? (int)b->crashes
		   : 0;
}

void queue_attempts_absolve(struct queue_attempts *a, int64_t queue)
{
	struct blamed *b = a && a->blames ? find_blamed(a, queue) : NULL;

	if (b)
		*b = (struct blamed){0};
}
