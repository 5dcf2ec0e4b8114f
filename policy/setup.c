/*
 * setup.c - what a policy declared while it loaded and in init
 */
#include "policy/setup.h"

#include "base/diag.h"
#include "base/fd.h"
#include "base/str.h"

/* One place that both daemons and the command know without running the policy:
 * a spool that moved with an edit of the policy would leave mail behind. */
void policy_setup_warn(const struct policy_setup *setup, const char *queue_path)
{
	const char *spool = setup->spool_path;
	char dir[4096];
	struct err err = {0};
	size_t len;

	if (!spool || !path_dir(dir, sizeof dir, queue_path, &err))
		return;
	len = strlen(spool);
	while (len > 1 && spool[len - 1] == '/')
		len--;
	if (strlen(dir) == len && memcmp(dir, spool, len) == 0)
		return;
	diag_warn("policy: define_spool: path \"%.200s\" is not used: the "
		  "queue is %s; give all programs --queue to have it elsewhere",
	    spool, queue_path);
}
