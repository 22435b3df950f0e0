#!/usr/bin/env bash
# Runs every test, and says at the end how long each part took: `make test`. Its exit code is that of the tests.
# The output goes to target/test.log too, and the table to target/test-times.txt.
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p target
log=target/test.log table=target/test-times.txt
status=0
begun=$SECONDS
{
	make --no-print-directory test-programs && echo "part: build: $((SECONDS - begun)) s" &&
		BOOTKUBE_CASES=1100 cargo test --workspace --no-fail-fast
} 2>&1 | tee "$log" || status=${PIPESTATUS[0]}

# cargo names a program before it runs it; the program says its time at its end. A world of the end-to-end tests says its own.
awk -v all=$((SECONDS - begun)) '
	function row(seconds, part) { printf "%8.1f  %s\n", seconds, part }
	/^part: / { row($3, "build") }
	/^ +Running unittests / { part = $4; gsub(/.*\/|-[0-9a-f]+\)/, "", part); part = "unit tests of " part " (" $3 ")" }
	/^ +Running tests/ { part = $2 }
	/^ +Doc-tests / { part = "documentation of " $2 }
	/^e2e: world / { world[++worlds] = $4 " " $3 }
	/^test result: / && match($0, /finished in [0-9.]+s/) {
		row(substr($0, RSTART + 12, RLENGTH - 13), part)
		for (i = 1; i <= worlds; i++) { split(world[i], w, " "); row(w[1], "  " w[2]) }
		worlds = 0
	}
	BEGIN { print " seconds  part" }
	END { row(all, "in all") }
' "$log" | tee "$table"
exit "$status"
