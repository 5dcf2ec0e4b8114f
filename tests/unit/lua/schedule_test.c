/*
 * schedule_test.c - message:set_due, set_scheduling, import_scheduling_header
 */
#include "lua_test.h"

static const char prologue[] =
    "function h(header) return kumo.make_message('a@b.example', "
    "'c@d.example', header .. '\\r\\n\\r\\n') end "
    "local function fill() m = h 'X: y' function w(dow, s, e) "
    "return m:set_scheduling{dow=dow, tz='Europe/Berlin', start=s, "
    "['end']=e} end end fill() ";

/* 3 June 2030 is a Monday, and Berlin two hours ahead of UTC. */
static const struct eval_case cases[] = {
    {"due now", "return m:set_due(nil) == nil", "true", prologue},
    {"due later", "return m:set_due '2126-11-21T03:24:00+01:00'",
	"\"2126-11-21T02:24:00.000Z\"", prologue},
    {"due in the past", "return m:set_due '2001-01-01T00:00:00Z' == nil",
	"true", prologue},
    {"due by a Time",
	"return m:set_due(kumo.time.from_unix_timestamp(4102444800))",
	"\"2100-01-01T00:00:00.000Z\"", prologue},
    {"not a time", "m:set_due 'tomorrow'", "not a date of RFC 3339", prologue},
    {"not before",
	"m:set_scheduling{first_attempt='2100-01-01T00:00:00Z'} return "
	"m:set_due()",
	"\"2100-01-01T00:00:00.000Z\"", prologue},
    {"the table comes back",
	"return m:set_scheduling{expires='2100-01-01T00:00:00Z'}",
	"{\"expires\":\"2100-01-01T00:00:00Z\"}", prologue},
    {"nothing",
	"m:set_scheduling{first_attempt='2100-01-01T00:00:00Z'} "
	"m:set_scheduling(nil) return m:set_due() == nil",
	"true", prologue},
    {"before the window",
	"w('Mon', '09:00:00', '17:00:00') return m:set_due "
	"'2030-06-03T05:00:00Z'",
	"\"2030-06-03T07:00:00.000Z\"", prologue},
    {"in the window",
	"w('Monday,tue', '09:00:00', '17:00:00') return m:set_due "
	"'2030-06-03T08:00:00Z'",
	"\"2030-06-03T08:00:00.000Z\"", prologue},
    {"at its end",
	"w('Mon, Tue', '09:00:00', '17:00:00') return m:set_due "
	"'2030-06-03T15:00:00Z'",
	"\"2030-06-04T07:00:00.000Z\"", prologue},
    {"next week",
	"w('Mon', '09:00:00', '17:00:00') return m:set_due "
	"'2030-06-03T15:00:00Z'",
	"\"2030-06-10T07:00:00.000Z\"", prologue},
    {"in winter",
	"w('Mon', '09:00:00', '17:00:00') return m:set_due "
	"'2030-01-06T15:00:00Z'",
	"\"2030-01-07T08:00:00.000Z\"", prologue},
    {"the day is the zone's",
	"w('Tue', '00:00:00', '01:00:00') return m:set_due "
	"'2030-06-03T22:30:00Z'",
	"\"2030-06-03T22:30:00.000Z\"", prologue},
    {"all or none", "m:set_scheduling{dow='Mon'}", "belong together", prologue},
    {"a wrong day", "w('Funday', '09:00:00', '17:00:00')",
	"dow: invalid value: \"Funday\"", prologue},
    {"a wrong clock", "w('Mon', '9:00', '17:00:00')",
	"start: invalid value: \"9:00\"", prologue},
    {"backwards", "w('Mon', '18:00:00', '17:00:00')", "it is after end",
	prologue},
    {"a wrong zone",
	"m:set_scheduling{dow='Mon', tz='../../etc/passwd', start='09:00:00', "
	"['end']='10:00:00'}",
	"tz: invalid value: unknown time zone \"../../etc/passwd\"", prologue},
    {"an unknown key", "m:set_scheduling{when='now'}", "unknown key \"when\"",
	prologue},
    {"a header",
	"return {h('S: {\"first_attempt\": "
	"\"2100-01-01T00:00:00Z\"}'):import_scheduling_header('S', true)}",
	"[{\"first_attempt\":\"2100-01-01T00:00:00Z\"}]", prologue},
    {"a header taken out",
	"local m = h 'S: {}' m:import_scheduling_header('S', true) return "
	"m:get_first_named_header_value 'S' == nil",
	"true", prologue},
    {"no header", "return m:import_scheduling_header 'S' == nil", "true",
	prologue},
    {"a malformed header", "h('S: soon'):import_scheduling_header 'S'",
	"S: ", prologue},
};

EVAL_SUITE(schedule, a_message_waits_for_its_time)
