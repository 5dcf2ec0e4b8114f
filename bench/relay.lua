-- End to end to a sink: see accept.lua, which measures both in one run.
dofile(TOP_SRCDIR .. '/bench/accept.lua')
