/*
 * script_task.h - events that run beside everything else: kumo.spawn_task
 *
 * (policy language, 17.1)  The router runs them; the milter does not.  A task
 * has a thread and a state of its own and no time limit; it ends at the latest
 * with its generation of the policy, when script_tasks_end() makes its next
 * instruction, or wait, the last one.  What init asks for starts once the
 * generation is in use.
 *
 * Threads: any.
 */
#ifndef LUA_SCRIPT_TASK_H
#define LUA_SCRIPT_TASK_H

#include "base/list.h"
#include "lua/script.h"

#define SCRIPT_MOST_TASKS 64 /* of a generation, waiting ones included */

/* Part of struct script_policy, under its lock but for `over`. */
struct script_tasks {
	struct list waiting; /* struct waiting_task */
	unsigned count;
	bool started;
	int over; /* atomic */
};

/* `args` is copied.  ERR_CONFIG when nobody handles the event, ERR_TEMP when
 * there are too many. */
bool script_task_spawn(struct script_policy *p, const char *event,
    const struct value *args, struct err *err) MUST_USE;
void script_tasks_init(struct script_tasks *tasks);
/* With the generation. */
void script_tasks_release(struct script_tasks *tasks);

#endif
