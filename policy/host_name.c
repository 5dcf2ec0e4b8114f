#include "policy/host_name.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/xalloc.h"

const char *host_name(void)
{
	static char *_Atomic known;
	char *name = atomic_load(&known);
	char text[256] = "";
	char *mine;

	if (name)
		return name;
	if (gethostname(text, sizeof text - 1) < 0 || !*text)
		(void)snprintf(text, sizeof text, "localhost");
	mine = xstrdup(text);
	if (atomic_compare_exchange_strong(&known, &name, mine))
		return mine;
	free(mine);
	return name;
}
