/*
 * bounce_hit.c - what a bounce means for the suppression list
 */
#include "router/bounce_hit.h"

#include "base/clock.h"
#include "lua/script.h"
#include "mail/queue_name.h"
#include "policy/bounce_class.h"
#include "queue/queue_suppression.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

const struct suppression_hit *bounce_hit(struct router *r,
    const struct ready_message *rm, const struct address *recipient,
    const struct smtp_reply *reply, struct arena *arena)
{
	const struct policy_setup *setup = script_policy_setup(r->policy);
	const struct suppression_config *config = setup->suppression;
	struct suppression_hit hit, *copy;
	const char *tenant;

	if (!config || !suppression_wants(config, SUPPRESSION_BOUNCE) ||
	    !suppression_judge(config, SUPPRESSION_BOUNCE,
		bounce_class_of(setup->classifier, reply), reply, arena, &hit))
		return NULL;
	tenant = queue_name_parse(rm->sq->name, arena).tenant;
	hit.address = suppression_key(recipient, arena);
	hit.tenant = tenant ? tenant : "";
	hit.message = arena_strdup(arena, rm->m.id);
	hit.at = clock_unix();
	copy = ARENA_NEW(arena, struct suppression_hit);
	*copy = hit;
	return copy;
}

bool router_suppressed(void *ctx, const struct address *address,
    const char *tenant, int64_t deadline, struct arena *arena,
    const struct suppression_entry **out, struct err *err)
{
	struct router *r = ctx;

	return queue_suppressed(r->queue, suppression_key(address, arena),
	    suppression_domain_key(address, arena), tenant, deadline, arena,
	    out, err);
}
