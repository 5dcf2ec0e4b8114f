/*
 * sqlite_test.c - require 'sqlite'
 */
#include "lua_test.h"

static const struct eval_case cases[] = {
    {"case 170: insert",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' return db:execute('insert into t "
	"values (?, ?)', 1, 'x')",
	"1"},
    {"case 170: one column",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' db:execute('insert into t values "
	"(1, 2), (3, 4)') return db:execute 'select a from t'",
	"[1,3]"},
    {"case 170: two columns",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' db:execute('insert into t values "
	"(?, ?)', 1.5, nil) return db:execute('select a, b from t')",
	"[{\"a\":1.5}]"},
    {"by name",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' db:execute('insert into t values "
	"(:a, $b)', {a='x', ['$b']=true}) return db:execute 'select * from t'",
	"[{\"a\":\"x\",\"b\":1}]"},
    {"no rows",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' return #db:execute 'select a from "
	"t'",
	"0"},
    {"changes",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' db:execute 'insert into t values "
	"(1, 1), (2, 2)' return db:execute 'update t set b = 0'",
	"2"},
    {"bytes",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' db:execute('insert into t values "
	"(?, 1)', '\\0\\xff') return db:execute('select hex(a) from t')",
	"[\"00FF\"]"},
    {"a mistake",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' db:execute 'select nowhere from t'",
	"sqlite: no such column: nowhere"},
    {"too few",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' db:execute('insert into t values "
	"(?, ?)', 1)",
	"has 2 parameters, 1 were given"},
    {"two statements",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' db:execute 'select 1; drop table "
	"t'",
	"one statement at a time"},
    {"a function as a value",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' db:execute('select ?', print)",
	"a function cannot be stored"},
    {"closed",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' db:close() db:execute 'select 1'",
	"closed"},
    {"a file",
	"local sqlite = require 'sqlite' local path = os.tmpname() local db = "
	"sqlite.open(path) db:execute 'create table t (a)' db:close() db = "
	"sqlite.open(path, 10) local r = db:execute 'select count(*) from t' "
	"db:close() os.remove(path) return r",
	"[0]"},
    {"somebody else has it",
	"local sqlite = require 'sqlite' local path = os.tmpname() local a, b "
	"= sqlite.open(path), sqlite.open(path, 50) a:execute 'begin "
	"exclusive' local ok, why = pcall(b.execute, b, 'create table t (a)') "
	"os.remove(path) return tostring(why)",
	"database is locked"},
    {"no such directory", "require('sqlite').open '/nonexistent/x.db'",
	"/nonexistent/x.db: unable to open"},
    {"attach by URI",
	"local sqlite = require 'sqlite' local db = sqlite.open ':memory:' "
	"db:execute 'create table t (a, b)' db:execute \"attach 'file:/tmp/x' "
	"as y\"",
	"not authorized"},
};

EVAL_SUITE(sqlite, a_policy_keeps_rows)
