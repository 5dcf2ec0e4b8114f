/*
 * fixture.h - a queue as the router has it open, and a connection that writes
 *
 *	tcase_add_checked_fixture(t, fixture_begin, fixture_end)
 *
 * At its end the file is looked at: nothing may be wrong with it.
 */
#ifndef TESTS_UNIT_QUEUE_FIXTURE_H
#define TESTS_UNIT_QUEUE_FIXTURE_H

#include "tests/unit/queue/queue_test.h"

extern const char *path;
extern struct queue *queue;
extern struct queue_conn *conn;
extern struct arena *arena;

void fixture_begin(void);
void fixture_end(void);

#endif
