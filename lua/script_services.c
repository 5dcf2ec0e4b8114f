/*
 * script_services.c - what a policy asks of its process
 *
 * One lock around a pointer and a count of who is inside; nobody holds it while
 * calling.
 */
#include "lua/script_services.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left = PTHREAD_COND_INITIALIZER;
static const struct script_services *current;
static unsigned inside;
static int ending; /* atomic */

void script_use_services(const struct script_services *services)
{
	pthread_mutex_lock(&lock);
	current = services;
	__atomic_store_n(&ending, !services, __ATOMIC_RELEASE);
	while (!services && inside > 0)
		pthread_cond_wait(&left, &lock);
	pthread_mutex_unlock(&lock);
}

bool script_services_ending(void)
{
	return __atomic_load_n(&ending, __ATOMIC_ACQUIRE);
}

static const struct script_services *enter(void)
{
	const struct script_services *services;

	pthread_mutex_lock(&lock);
	services = current;
	inside += services != NULL;
	pthread_mutex_unlock(&lock);
	return services;
}

static void leave(void)
{
	pthread_mutex_lock(&lock);
	inside--;
	pthread_cond_broadcast(&left);
	pthread_mutex_unlock(&lock);
}

bool script_inject(struct message *m, int64_t deadline, struct err *err)
{
	const struct script_services *services = enter();
	bool ok;

	if (!services)
		return err_set(
		    err, ERR_TEMP, "there is no queue to put it into here");
	if (services->inject)
		ok = services->inject(services->ctx, m, deadline, err);
	else
		ok = err_set(
		    err, ERR_TEMP, "there is no queue to put it into here");
	leave();
	return ok;
}

bool script_suppressed(const struct address *address, const char *tenant,
    int64_t deadline, struct arena *arena, const struct suppression_entry **out,
    struct err *err)
{
	const struct script_services *services = enter();
	bool ok;

	*out = NULL;
	if (!services)
		return err_set(
		    err, ERR_TEMP, "there is no suppression list here");
	ok = services->suppressed(
	    services->ctx, address, tenant, deadline, arena, out, err);
	leave();
	return ok;
}
