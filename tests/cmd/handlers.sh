#!/bin/sh
# handlers.sh: signal handlers that map memory where a limit that is shared is met: the library tells the command of each denial, and
# holds locks to do so.
#
# Usage: handlers.sh SOURCE BUILD COMPILER.
set -u
. "${0%/*}/begin"
begin handlers "$2"

same "signal handlers may map at a limit that is shared" "1 passed, 0 failed" \
    "$("$ration" run --quiet --limit 12M "$build/tests/preload/mapping" signal_handlers_may_map_at_the_limit | tail -n 1)"
same "and where nothing is shared but the run" "1 passed, 0 failed" \
    "$("$ration" run --quiet "$build/tests/preload/mapping" signal_handlers_may_map_at_the_limit | tail -n 1)"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
