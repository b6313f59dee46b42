#!/bin/sh
# run.sh PROGRAM...: runs the test programs, then the compile matrix and the checks; the last line is the sum.
# A program at BIN/tests/... tests the tools in BIN, which it finds in HATHORA_BIN.
set -eu

results=build/results
rm -rf "$results"
mkdir -p "$results"
passed=0 failed=0 skipped=0
trap 'exit 130' INT
trap 'exit 143' TERM

# count NAME STATUS LOG PASSED FAILED SKIPPED: adds to the sum, and shows the log of what went wrong.
count() {
    p=$4 f=$5
    if [ "$2" -ne 0 ] && [ "$f" -eq 0 ]; then
        echo "$1 ended with status $2" >>"$3"
        f=1
    elif [ $((p + f + $6)) -eq 0 ]; then
        echo "$1 ran no test" >>"$3"
        f=1
    fi
    if [ "$f" -ne 0 ]; then
        awk '/^ok / { quiet = 1 } !/^ok / && !/^    / { quiet = 0 } !quiet' "$3"
    fi
    echo "$1: $p passed, $f failed, $6 skipped"
    if [ "$6" -ne 0 ]; then
        sed -n 's/^needs /    skipped: needs /p' "$3" | sort -u
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + $6))
}

# The sums of cmocka's closing lines: one set for each group of tests.
cmocka_sum() {
    awk '/^\[  PASSED  \] [0-9]+ test/ { p += $4 }
         /^\[  FAILED  \] [0-9]+ test/ { f += $4 }
         /^\[  SKIPPED \] [0-9]+ test/ { s += $4 }
         END { print p + 0, f + 0, s + 0 }' "$1"
}

for program in "$@"; do
    name=${program#build/}
    log=$results/$(echo "$name" | tr / -).log
    status=0
    HATHORA_BIN=${program%%/tests/*} timeout 900 "$program" >"$log" 2>&1 </dev/null || status=$?
    # The three sums are words.
    # shellcheck disable=SC2046
    count "$name" "$status" "$log" $(cmocka_sum "$log")
done

for script in tests/compile/run.sh tests/checks/*.sh; do
    name=${script%.sh}
    log=$results/$(echo "$name" | tr / -).log
    status=0
    timeout 900 sh "$script" >"$log" 2>&1 </dev/null || status=$?
    count "$name" "$status" "$log" "$(grep -c '^ok ' "$log" || true)" "$(grep -c '^not ok ' "$log" || true)" 0
done

if [ "$skipped" -ne 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
test "$failed" -eq 0
