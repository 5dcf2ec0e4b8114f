/*
 * cmd_rebind.c - have waiting mail go to other queues
 */
#include <string.h>
#include <sysexits.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/order.h"
#include "cli/output.h"

static void write_members(const struct cli *cli, struct buf *out)
{
	struct buf data = BUF_INIT;
	struct json_object o;

	json_open(&o, &data);
	for (size_t i = 0; i < cli->order.set_count; i++) {
		const char *set = cli->order.sets[i], *is = strchr(set, '=');
		struct buf name = BUF_INIT;

		buf_add(&name, set, (size_t)(is - set));
		json_add_string(&o, buf_str(&name), is + 1);
		buf_release(&name);
	}
	json_close(&o);
	buf_addf(out, ",\"data\":%s", buf_str(&data));
	if (cli->order.event)
		buf_addstr(out, ",\"event\":true");
	if (cli->order.flush)
		buf_addstr(out, ",\"flush\":true");
	if (cli->order.no_log)
		buf_addstr(out, ",\"log\":false");
	buf_release(&data);
}

static void report(const struct cli *cli, const struct order_sum *sum)
{
	if (cli->json) {
		(void)fprintf(
		    cli->out, "{\"messages\":%lld", (long long)sum->messages);
		for (size_t i = 0; sum->counts[i].name; i++)
			(void)fprintf(cli->out, ",\"%s\":%lld",
			    sum->counts[i].name,
			    (long long)sum->counts[i].count);
		(void)fprintf(
		    cli->out, ",\"failed\":%lld}\n", (long long)sum->failed);
		return;
	}
	out_count(cli->out, sum->messages, "message");
	(void)fputs(" selected", cli->out);
	for (size_t i = 0; sum->counts[i].name; i++)
		(void)fprintf(cli->out, ", %lld %s",
		    (long long)sum->counts[i].count, sum->counts[i].name);
	(void)fputs(".\n", cli->out);
}

static int run(struct cli *cli)
{
	struct order_sum sum = {
	    .counts = {{"rebound", 0}, {"changed", 0}, {"unchanged", 0}}};
	struct buf members = BUF_INIT;
	int code = order_check(cli);

	if (code != EX_OK)
		return code;
	if (!cli->order.set_count && !cli->order.event && !cli->order.flush)
		return cli_fail(cli, EX_USAGE,
		    "rebind: nothing to do: give --set, --event or --flush");
	if (cli->order.dry_run)
		return order_rehearse(cli, "looked at");
	write_members(cli, &members);
	code = order_run(cli, "rebind", &members, &sum);
	buf_release(&members);
	if (code == EX_OK || sum.messages)
		report(cli, &sum);
	if (code == EX_OK && sum.failed)
		return cli_fail(cli, EX_TEMPFAIL,
		    "%lld could not be rebound; the router's log says why",
		    (long long)sum.failed);
	return code;
}

const struct cli_command cmd_rebind = {
    .name = "rebind",
    .arguments = "SELECTOR",
    .summary = "Have waiting mail go to other queues",
    .help = "Sets metadata (--set queue=NAME, tenant=, campaign=, "
	    "routing_domain=), or runs\nthe policy's rebind_message with it "
	    "(--event). What then belongs into another\nscheduled queue is due "
	    "there at once. What is held or being delivered is left alone.",
    .takes = CLI_SELECTOR | CLI_ORDER,
    .most_arguments = 1,
    .run = run,
};
