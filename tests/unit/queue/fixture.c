/* fixture.c - a queue as the router has it open */
#include "tests/unit/queue/fixture.h"

const char *path;
struct queue *queue;
struct queue_conn *conn;
struct arena *arena;

void fixture_begin(void)
{
	path = store_path();
	queue = store_open(path, QUEUE_ROUTER);
	conn = store_connect(queue);
	arena = arena_new(0);
}

void fixture_end(void)
{
	arena_unref(arena);
	queue_disconnect(conn);
	queue_close(queue);
	assert_sound(path);
}
