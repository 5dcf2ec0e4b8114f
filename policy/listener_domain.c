#include "policy/listener_domain.h"

#include "base/str.h"
#include "policy/param_rows.h"

static const char *const report_names[] = {
    [REPORT_IGNORE] = "Ignore",
    [REPORT_LOG] = "true", /* a boolean, not a name */
    [REPORT_LOG_THEN_RELAY] = "LogThenRelay",
    [REPORT_LOG_THEN_DROP] = "LogThenDrop",
};

/*	report = true / false / "Ignore" / "LogThenRelay" / "LogThenDrop"
 */
static bool read_report(
    const struct value *v, enum report_mode *out, struct err *err)
{
	if (v->type == VALUE_BOOL) {
		*out = v->b ? REPORT_LOG : REPORT_IGNORE;
		return true;
	}
	for (size_t i = 0; v->type == VALUE_STRING && i < COUNT(report_names);
	     i++) {
		if (i != REPORT_LOG && str_eq(report_names[i], v->s) &&
		    strlen(v->s) == v->len) {
			*out = (enum report_mode)i;
			return true;
		}
	}
	return param_value_error(err, v,
	    "expected true, false, Ignore, LogThenRelay or LogThenDrop");
}

static struct value print_report(enum report_mode mode, struct arena *arena)
{
	if (mode == REPORT_LOG)
		return (struct value){.type = VALUE_BOOL, .b = true};
	return param_text(arena, report_names[mode]);
}

static bool read_oob(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	return read_report(
	    v, &((struct listener_domain *)record)->log_oob, err);
}

static bool read_arf(
    const struct value *v, void *record, struct arena *arena, struct err *err)
{
	return read_report(
	    v, &((struct listener_domain *)record)->log_arf, err);
}

static struct value print_oob(const void *record, struct arena *arena)
{
	return print_report(
	    ((const struct listener_domain *)record)->log_oob, arena);
}

static struct value print_arf(const void *record, struct arena *arena)
{
	return print_report(
	    ((const struct listener_domain *)record)->log_arf, arena);
}

#define S listener_domain
static const struct param_spec specs[] = {
    P_BOOL(S, relay_to, .fallback = "false",
	.help = "Anybody may send to this domain."),
    P_CIDR_LIST(S, relay_from, .fallback = "{}",
	.help = "Clients that may send anywhere when this is the sender's "
		"domain."),
    P_CUSTOM(S, log_oob, read_oob, print_oob, .fallback = "Ignore",
	.help = "What happens to delivery reports addressed to this domain: "
		"true, false, Ignore, LogThenRelay or LogThenDrop. true logs "
		"them and leaves the rest to the relay rules."),
    P_CUSTOM(S, log_arf, read_arf, print_arf, .fallback = "Ignore",
	.help = "The same for feedback reports (ARF)."),
    P_BOOL(S, leave_to_mta, .fallback = "false",
	.help = "Recipients in this domain are the MTA's own. Safe only in a "
		"service that keeps the MTA's relay checks."),
    P_BOOL(S, allow_routed_local_part, .fallback = "false",
	.help = "Accept local parts with @, % or !, which a server behind us "
		"might take for a route."),
    P_DURATION(S, ttl, .flags = PARAM_IGNORED,
	.help = "Ignored: what the event returns lasts for the connection."),
};
#undef S

const struct param_set listener_domain_params = {
    .name = "make_listener_domain",
    .intro = "Whether mail from or to a domain may pass, and what happens to "
	     "reports.",
    .record_size = sizeof(struct listener_domain),
    .specs = specs,
    .count = COUNT(specs),
};
