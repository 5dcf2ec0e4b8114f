/*
 * time_test.c - kumo.time
 */
#include "lua_test.h"

static const struct eval_case cases[] = {
    {"parts",
	"local t = kumo.time.with_ymd_hms(2026, 11, 21, 3, 24, 5) return "
	"{t.year, t.month, t.day, t.hour, t.minute, t.second, "
	"t.unix_timestamp, t.unix_timestamp_millis}",
	"[2026,11,21,3,24,5,1795231445,1795231445000]"},
    {"no such day", "kumo.time.with_ymd_hms(2026, 2, 30, 0, 0, 0)",
	"no such day"},
    {"rfc3339",
	"return "
	"kumo.time.parse_rfc3339('2026-11-21T03:24:00.25+01:00').rfc3339",
	"\"2026-11-21T02:24:00.250+00:00\""},
    {"not rfc3339", "kumo.time.parse_rfc3339 'yesterday'",
	"not a date of RFC 3339: \"yesterday\""},
    {"rfc2822",
	"return kumo.time.parse_rfc2822('Sat, 21 Nov 2026 03:24:00 "
	"+0100').rfc2822",
	"\"Sat, 21 Nov 2026 02:24:00 +0000\""},
    {"an old rfc822",
	"return kumo.time.parse_rfc2822('21 Nov 26 03:24 EST (c)').rfc2822",
	"\"Sat, 21 Nov 2026 08:24:00 +0000\""},
    {"not rfc2822", "kumo.time.parse_rfc2822 'Foo, 21 Nov'",
	"not a date of RFC 2822"},
    {"format", "return kumo.time.from_unix_timestamp(0):format('%Y-%j %H')",
	"\"1970-001 00\""},
    {"tostring", "return tostring(kumo.time.from_unix_timestamp(1.5))",
	"\"1970-01-01T00:00:01.500+00:00\""},
    {"before 1970", "return kumo.time.from_unix_timestamp(-1).rfc3339",
	"\"1969-12-31T23:59:59+00:00\""},
    {"now",
	"return math.abs(kumo.time.now().unix_timestamp - os.time()) < 3600 * "
	"24 * 400",
	"true"},
    {"elapsed",
	"return (kumo.time.now() - "
	"kumo.time.parse_duration(90)).elapsed.seconds >= 90",
	"true"},
    {"differences",
	"local a = kumo.time.from_unix_timestamp(100) local d = a - "
	"kumo.time.from_unix_timestamp(10) return {d.seconds, d.milliseconds, "
	"d.microseconds, d.nanoseconds, d.human}",
	"[90.0,90000,90000000,90000000000,\"1m 30s\"]"},
    {"sums",
	"local d = kumo.time.parse_duration '1h' + "
	"kumo.time.parse_duration(0.5) - kumo.time.parse_duration '30m' return "
	"d.seconds",
	"1800.5"},
    {"time and difference",
	"local t = kumo.time.from_unix_timestamp(0) local d = "
	"kumo.time.parse_duration '1 day' return {(t + d).unix_timestamp, (d + "
	"t).unix_timestamp, (t - d).unix_timestamp}",
	"[86400,86400,-86400]"},
    {"order",
	"local a, b = kumo.time.from_unix_timestamp(1), "
	"kumo.time.from_unix_timestamp(2) return {a < b, a <= b, a == b, a == "
	"kumo.time.from_unix_timestamp(1), a > b}",
	"[true,true,false,true,false]"},
    {"order of two kinds",
	"return kumo.time.now() < kumo.time.parse_duration(1)",
	"can only be compared"},
    {"not a duration", "kumo.time.parse_duration '5'", "\"5\""},
    {"a timer", "local t = kumo.time.start_timer 'x' return t:done() >= 0",
	"true"},
    {"too large", "return kumo.time.from_unix_timestamp(1e300)",
	"out of range"},
    {"overflow", "local d = kumo.time.parse_duration(8e9) return d + d",
	"out of range"},
};

EVAL_SUITE(time, time_is_counted_and_printed)
