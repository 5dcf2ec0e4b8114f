/*
 * queue_access.h - the queue's file, opened for looking
 */
#ifndef CLI_QUEUE_ACCESS_H
#define CLI_QUEUE_ACCESS_H

#include "cli/cli.h"

struct queue_access {
	struct queue *queue;
	struct queue_conn *conn;
};

/* 0, or the exit code after it has said why not: 66 there is none, 77 not
 * permitted, 65 not ours, 78 not for this version, 75 try again. */
int queue_access_open(const struct cli *cli, struct queue_access *out);
void queue_access_close(struct queue_access *opened);

#endif
