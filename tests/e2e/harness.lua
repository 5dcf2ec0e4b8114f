-- What the harness says of stories that pass, fail, or cannot run here.
local t = require 'harness'

local PASSES = "t.test('it holds', function() t.eq(1, 1) end)\n"
local FAILS = "t.test('it does not', function() t.eq(1, 2) end)\n"
local SKIPS = "t.test('not here', function() t.skip 'no tmpfs' t.eq(1, 2) end)\n"

local function run(tests)
  local file = t.write('story.lua', "local t = require 'harness'\n" .. tests)
  return t.run({ TOP_BUILDDIR .. '/tests/harness/harness', file }, { env = { ONLY = '' } })
end

t.test('what passes is ok, what fails says where, and the status is 1', function()
  local status, out = run(PASSES)
  t.eq(status, 0, out)
  t.match(out, '^ok 1 %- it holds # %d+ ms\n1%.%.1\n$')
  status, out = run(PASSES .. FAILS)
  t.eq(status, 1, out)
  t.match(out, '\nnot ok 2 %- it does not # %d+ ms\n# .*story%.lua:3: got 1, want 2\n')
end)

t.test('a test that cannot run here says so, and why', function()
  local status, out = run(PASSES .. SKIPS)
  t.eq(status, 0, out)
  t.has(out, '\nok 2 - not here # SKIP no tmpfs\n1..2\n')
  status, out = run(FAILS .. SKIPS)
  t.eq(status, 1, out)
end)

t.test('a program of which no test could run is skipped: 77', function()
  local status, out = run(SKIPS .. SKIPS)
  t.eq(status, 77, out)
end)

t.test('where no file system can be mounted the story of the full disk is skipped, and says so', function()
  t.write('unshare', "#!/bin/sh\necho 'unshare: Operation not permitted' >&2\nexit 1\n")
  t.run { 'chmod', '+x', t.dir() .. '/unshare' }
  local status, out = t.run({ TOP_BUILDDIR .. '/tests/harness/harness', TOP_SRCDIR .. '/tests/e2e/log_room.lua' },
    { env = { ONLY = 'a log disk that is full', PATH = t.dir() .. ':' .. os.getenv 'PATH' } })
  t.eq(status, 77, out)
  t.has(out, '# SKIP no tmpfs can be mounted here: unshare: Operation not permitted\n')
end)
