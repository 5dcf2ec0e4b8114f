/*
 * fs_test.c - kumo.fs and kumo.make_throttle
 */
#include "lua_test.h"

static const struct eval_case cases[] = {
    {"write and read",
	"local path = os.tmpname() local f = kumo.fs.open(path, 'w') f:write "
	"'one two' f:close() f = kumo.fs.open(path) local t = {f:read(3), "
	"f:seek('set', 4), f:read(), f:read(1)} f:close() os.remove(path) "
	"return t",
	"[\"one\",4,\"two\",\"\"]"},
    {"append",
	"local path = os.tmpname() for _, s in ipairs{'a', 'b'} do local f = "
	"kumo.fs.open(path, 'a') f:write(s) f:flush() f:close() end local t = "
	"kumo.fs.open(path):read() os.remove(path) return t",
	"\"ab\""},
    {"closed", "local f = kumo.fs.open('/dev/null') f:close() f:read()",
	"closed"},
    {"missing", "kumo.fs.open '/nonexistent'",
	"open /nonexistent: No such file"},
    {"a mode", "kumo.fs.open('/dev/null', 'z')", "not a mode"},
    {"not a file", "kumo.fs.open '/dev/tty'", "not a regular file"},
    {"a directory",
	"return table.concat(kumo.fs.read_dir '/etc', ' '):find('/etc/passwd', "
	"1, true) ~= nil",
	"true"},
    {"no directory", "kumo.read_dir '/nonexistent'", "read_dir /nonexistent"},
    {"a pattern", "return kumo.fs.glob '/etc/passw[d]'", "[\"/etc/passwd\"]"},
    {"relative", "return kumo.fs.uncached_glob('passw?', '/etc')",
	"[\"passwd\"]"},
    {"nothing found", "return #kumo.glob '/nonexistent/*'", "0"},
    {"metadata",
	"local m = kumo.fs.metadata_for_path '/etc' return {m.is_dir, "
	"m.is_file, m.is_symlink, m.mtime > 0}",
	"[true,false,false,true]"},
    {"of a link",
	"return kumo.fs.symlink_metadata_for_path('/proc/self/exe').is_symlink",
	"true"},
    {"case 27: a throttle",
	"local t, r = kumo.make_throttle('t', '2/m'), {} for i = 1, 3 do r[i] "
	"= t:throttle() end return {r[1].throttled, r[2].throttled, "
	"r[3].throttled, r[1].remaining, r[3].limit, r[3].retry_after >= 1 and "
	"r[3].retry_after <= 30, math.type(r[3].retry_after)}",
	"[false,false,true,1,2,true,\"integer\"]"},
    {"shared by name",
	"kumo.make_throttle('s', '1/m'):throttle() return "
	"{kumo.make_throttle('s', '1/min'):throttle().throttled, "
	"kumo.make_throttle('s', '2/m'):throttle().throttled}",
	"[true,false]"},
    {"a burst",
	"local t, n = kumo.make_throttle('b', '100/h,max_burst=3'), 0 while "
	"not t:throttle().throttled do n = n + 1 end return n",
	"3"},
    {"waiting",
	"local t = kumo.make_throttle('w', '20/s,max_burst=1') return "
	"{t:sleep_if_throttled(), t:sleep_if_throttled()}",
	"[false,true]"},
    {"a message",
	"local t = kumo.make_throttle('m', '1/m') local m = "
	"kumo.make_message('a@b.example', 'c@d.example', '\\r\\n') return "
	"{t:delay_message_if_throttled(m), t:delay_message_if_throttled(m)}",
	"[false,true]"},
    {"no rate", "kumo.make_throttle('x', 'fast')", "fast"},
    {"explained", "return kumo.make_throttle('x', '1,000/h'):explain()",
	"1000/h"},
};

EVAL_SUITE(fs, a_policy_reads_and_writes_files)
