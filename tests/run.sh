#!/bin/sh
# run.sh PROGRAM...: runs the test programs, the checks, the compile matrix, the count of what the unit tests reach, and
# the fuzz targets, JOBS at a time, and shows them in this order; the last line is the sum. With ONLY set it runs the
# programs alone; RESULTS is the folder of what they print. A program at BIN/tests/... tests the tools in BIN, which it
# finds in HATHORA_BIN.
set -eu
results=${RESULTS:-build/results}
export RESULTS="$results"

# one WHAT: a program, or a script; its output goes to a log, its status, once it has ended, to a file beside that.
if [ "${1-}" = --one ]; then
    if [ -f "$results/stopped" ]; then
        exit 0
    fi
    # A test of the tools never runs beside its sanitized twin: both may make the same certificates.
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$results/${2##*/}.lock"
        flock 9
    fi
    status=0
    case $2 in
    *.sh) timeout 900 sh "$2" >"$3.log" 2>&1 </dev/null 9>&- || status=$? ;;
    # An instrumented BearSSL is slow: a fault at each fiftieth byte instead of at each.
    build/msan/*) FAULTS_EVERY=50 timeout 900 "$2" >"$3.log" 2>&1 </dev/null 9>&- || status=$? ;;
    *) HATHORA_BIN=${2%%/tests/*} timeout 900 "$2" >"$3.log" 2>&1 </dev/null 9>&- || status=$? ;;
    esac
    echo "$status" >"$3.new"
    mv "$3.new" "$3.status"
    exit 0
fi

rm -rf "$results"
mkdir -p "$results"
passed=0 failed=0 skipped=0

# log_of WHAT: its log, without the suffix.
log_of() {
    name=${1#build/}
    echo "$results/$(echo "${name%.sh}" | tr / -)"
}

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

# The scripts that use all cores by themselves come last, one at a time.
together=$* alone=
if [ -z "${ONLY-}" ]; then
    together="$* $(echo tests/checks/*.sh)"
    alone='tests/compile/run.sh tests/coverage.sh tests/fuzz/check.sh'
fi
(
    trap ': >"$results/over"' EXIT
    for what in $together; do
        echo "$what $(log_of "$what")"
    done | xargs -P "${JOBS:-$(nproc 2>/dev/null || echo 2)}" -L 1 sh "$0" --one
    for what in $alone; do
        sh "$0" --one "$what" "$(log_of "$what")"
    done
) &
trap ': >"$results/stopped"; exit 130' INT
trap ': >"$results/stopped"; exit 143' TERM

for what in $together $alone; do
    name=${what#build/}
    name=${name%.sh}
    log=$(log_of "$what")
    while [ ! -f "$log.status" ] && [ ! -f "$results/over" ]; do
        sleep 0.2
    done
    if [ ! -f "$log.status" ]; then
        echo 125 >"$log.status"
        : >>"$log.log"
    fi
    case $what in
    *.sh) sums="$(grep -c '^ok ' "$log.log" || true) $(grep -c '^not ok ' "$log.log" || true) 0" ;;
    *) sums=$(cmocka_sum "$log.log") ;;
    esac
    # The three sums are words.
    # shellcheck disable=SC2086
    count "$name" "$(cat "$log.status")" "$log.log" $sums
done
wait

if [ "$skipped" -ne 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
test "$failed" -eq 0
