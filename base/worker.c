/*
 * worker.c - threads that serve an inbox
 */
#include "base/worker.h"

#include <signal.h>

#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"

struct worker_pool {
	struct inbox *inbox;
	worker_fn *serve;
	void *ctx;
	unsigned count;
	pthread_t threads[];
};

pthread_t worker_thread_start(const char *name, void *(*run)(void *), void *ctx)
{
	sigset_t all, before;
	pthread_t thread;
	char short_name[16];
	int rc;

	/* Not those that the thread itself brings about: a sanitizer or a core
	 * dump handler wants them. */
	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSEGV);
	(void)sigdelset(&all, SIGBUS);
	(void)sigdelset(&all, SIGFPE);
	(void)sigdelset(&all, SIGILL);
	(void)sigdelset(&all, SIGABRT);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, NULL, run, ctx);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		diag_panic("start thread %s: %s", name, strerror(rc));
	(void)str_copy(short_name, sizeof short_name, name);
	(void)pthread_setname_np(thread, short_name);
	return thread;
}

static void *serve_inbox(void *ctx)
{
	struct worker_pool *pool = ctx;
	struct inbox_item *item;

	for (;;) {
		item = inbox_take(pool->inbox, INT64_MAX);
		if (!item)
			return NULL;
		pool->serve(item, pool->ctx);
	}
}

struct worker_pool *worker_pool_new(
    const char *name, unsigned threads, worker_fn *serve, void *ctx)
{
	struct worker_pool *pool;

	invariant(threads > 0);
	pool = xcalloc(1, sizeof *pool + threads * sizeof pool->threads[0]);
	pool->inbox = inbox_new();
	pool->serve = serve;
	pool->ctx = ctx;
	pool->count = threads;
	for (unsigned i = 0; i < threads; i++)
		pool->threads[i] = worker_thread_start(name, serve_inbox, pool);
	return pool;
}

void worker_pool_put(struct worker_pool *pool, struct inbox_item *item)
{
	inbox_put(pool->inbox, item);
}

void worker_pool_free(struct worker_pool *pool)
{
	if (!pool)
		return;
	inbox_close(pool->inbox);
	for (unsigned i = 0; i < pool->count; i++)
		(void)pthread_join(pool->threads[i], NULL);
	inbox_free(pool->inbox);
	free(pool);
}
