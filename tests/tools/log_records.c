/*
 * log_records.c - what the log writer alone costs
 *
 *	log_records --dir DIR [--count N] [--batch N] [--level N]
 *
 * Writes N Delivery records (metadata and a header copied, as a busy policy has
 * it) in batches, as the router does: formatted by the caller, compressed and
 * written by the log thread.  No more than 8,000 wait at a time.  Prints one
 * line of JSON: records, seconds, CPU seconds of both threads, of the caller
 * alone (formatting), bytes before and after compression.
 */
#include <dirent.h>
#include <getopt.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/str.h"
#include "logs/log_writer.h"

#define WAITING_MOST 8000

static atomic_llong reported;

static void count_batch(void *ctx)
{
	(void)atomic_fetch_add(&reported, *(const int64_t *)ctx);
}

static double seconds_of(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int64_t bytes_in(const char *dir)
{
	struct dirent *entry;
	int64_t sum = 0;
	DIR *d = opendir(dir);

	while (d && (entry = readdir(d))) {
		struct stat st;

		if (fstatat(dirfd(d), entry->d_name, &st, 0) == 0 &&
		    S_ISREG(st.st_mode))
			sum += (int64_t)st.st_size;
	}
	if (d)
		(void)closedir(d);
	return sum;
}

/* Everything that changes from message to message does. */
static struct log_record record_of(
    int64_t i, char id[33], char recipient[64], const char **recipients)
{
	(void)snprintf(id, 33, "01a1ff04a0007%03x%016llx",
	    (unsigned)(i & 0xfff),
	    (unsigned long long)i * 0x9e3779b97f4a7c15ULL);
	(void)snprintf(recipient, 64, "user-%lld@example.com",
	    (long long)(i * 7919 % 100003));
	*recipients = recipient;
	return (struct log_record){
	    .type = LOG_DELIVERY,
	    .id = id,
	    .sender = "news-4711@sender.example",
	    .queue = "autumn:tenant-7@example.com",
	    .site = "ip-1->(mx1|mx2).example.com@smtp_client",
	    .recipients = recipients,
	    .recipient_count = 1,
	    .size = 4096 + i % 1000,
	    .response = {250, {2, 0, 0}, "Ok: queued as 4f1D2k3l4Zz1x", "."},
	    .peer_name = "mx1.example.com.",
	    .peer_addr = "192.0.2.7",
	    .event_ms = clock_unix_ms(),
	    .created_ms = clock_unix_ms() - 40,
	    .egress_pool = "pool-1",
	    .egress_source = "ip-1",
	    .source_address = "198.51.100.7:53210",
	    .delivery_protocol = "ESMTP",
	    .reception_protocol = "ESMTP",
	    .tls_cipher = "TLS_AES_256_GCM_SHA384",
	    .tls_protocol_version = "TLSv1.3",
	    .session_id = "9bcd689e-2ac9-4486-8aed-4b2229789503",
	};
}

static int usage(void)
{
	(void)fputs("usage: log_records --dir DIR [--count N] [--batch N] "
		    "[--level N]\n",
	    stderr);
	return EX_USAGE;
}

static void submit_all(
    struct log_writer *w, int64_t count, const int64_t *batch_size)
{
	static const char header[] = "Received: from x\r\nSubject: Autumn news"
				     "\r\nFrom: news@sender.example\r\n\r\n";
	struct meta *meta = meta_new();

	meta_set(meta, "tenant",
	    &(struct value){.type = VALUE_STRING, .s = "tenant-7", .len = 8});
	meta_set(meta, "campaign",
	    &(struct value){.type = VALUE_STRING, .s = "autumn", .len = 6});
	for (int64_t i = 0; i < count;) {
		struct log_batch *batch = log_batch_new(w);
		int64_t end = i + *batch_size;

		for (; i < end; i++) {
			char id[33], recipient[64];
			const char *recipients;
			struct log_record r =
			    record_of(i, id, recipient, &recipients);

			r.meta = meta;
			r.header_block = header;
			r.header_len = sizeof header - 1;
			log_batch_add(batch, &r);
		}
		log_writer_submit(batch, count_batch, (void *)batch_size);
		(void)log_writer_wait_room(w, clock_now_ms() + 60000);
	}
	meta_free(meta);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"dir", required_argument, NULL, 'd'},
	    {"count", required_argument, NULL, 'n'},
	    {"batch", required_argument, NULL, 'b'},
	    {"level", required_argument, NULL, 'l'}, {NULL, 0, NULL, 0}};
	static const char *const names[] = {"tenant", "campaign"};
	static const char *const headers[] = {"Subject"};
	struct logger_settings settings = {
	    .max_file_size = 1000000000,
	    .meta = {names, COUNT(names)},
	    .headers = {headers, COUNT(headers)},
	    .back_pressure = WAITING_MOST,
	};
	int64_t count = 500000, batch = 16, level = 0;
	struct log_writer *w;
	struct err err = {0};
	double start, cpu, caller;
	int c;

	diag_init("log_records", true);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		int64_t *number = c == 'n'   ? &count
				  : c == 'b' ? &batch
					     : &level;

		if (c == 'd')
			settings.log_dir = optarg;
		else if (c == '?' || !str_to_int(optarg, number))
			return usage();
	}
	if (!settings.log_dir || optind < argc || count < 1 || batch < 1 ||
	    level < 0)
		return usage();
	count -= count % batch;
	settings.compression_level = (int)level;
	for (int i = 0; i < LOG_TYPE_COUNT; i++)
		settings.per_record[i].enabled = true;
	w = log_writer_start(&settings, 1, "router",
	    "557f3ad4-2c8c-41ee-976e-782d7e12e173", &err);
	if (!w)
		diag_fatal(err_exit_code(&err), "%s", err.text);
	start = seconds_of(CLOCK_MONOTONIC);
	cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	caller = seconds_of(CLOCK_THREAD_CPUTIME_ID);
	submit_all(w, count, &batch);
	caller = seconds_of(CLOCK_THREAD_CPUTIME_ID) - caller;
	log_writer_stop(w);
	if (atomic_load(&reported) != count)
		diag_fatal(EX_SOFTWARE, "%lld records were reported",
		    (long long)atomic_load(&reported));
	(void)printf("{\"records\":%lld,\"seconds\":%.6f,\"cpu\":%.6f,"
		     "\"cpu_caller\":%.6f,\"bytes\":%lld}\n",
	    (long long)count, seconds_of(CLOCK_MONOTONIC) - start,
	    seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu, caller,
	    (long long)bytes_in(settings.log_dir));
	return EX_OK;
}
