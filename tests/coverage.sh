#!/bin/sh
# coverage.sh [PROGRAM...]: runs test programs that were compiled with gcc's --coverage (all unit tests), JOBS at a
# time, merges their counts by gcovr, and tells for each room of the header how many of its lines ran and how many of
# its branches were taken; then the lines that never ran, and those of which not all branches were taken, with these in
# order, + for one that was taken and - for one that was not. Fails below 100 % of the lines and 98 % of the branches.
# No marker in the header may keep a line out of the count.
set -eu

cd "$(dirname "$0")/.."
out=build/coverage
header=hathora_tokens.h
status=0

if [ $# -eq 0 ]; then
    for source in tests/unit/test_*.c; do
        source=${source##*/}
        # Those of HATHORA_TOKENS_SMALL have functions of the same names at other lines, which gcovr cannot merge.
        case $source in
        *_small.c) ;;
        *) set -- "$@" "$out/${source%.c}" ;;
        esac
    done
fi
# A count needs no fault at every byte.
FAULTS_EVERY=${FAULTS_EVERY:-7}
export FAULTS_EVERY

# result CONDITION NAME: one test of this script.
result() {
    if [ "$1" -eq 0 ]; then
        echo "ok $2"
    else
        echo "not ok $2"
        status=1
    fi
}

# The counts of an earlier run would add up, and those of a program that is no more stand at other lines.
rm -f "$out"/*.gcda "$out"/*.log
for notes in "$out"/*.gcno; do
    case " $* " in
    *" ${notes%.gcno} "*) ;;
    *) rm -f "$notes" ;;
    esac
done

failed=0
# The inner shell expands its own argument.
# shellcheck disable=SC2016
printf '%s\n' "$@" | xargs -P "${JOBS:-2}" -n 1 sh -c 'timeout 900 "$0" >"$0.log" 2>&1 </dev/null || {
    sed "s/^/    /" "$0.log"
    exit 1
}' || failed=1
result "$failed" "the test programs pass without optimization"

markers=0
! grep -nE '(GCOVR?|LCOV)_EXCL' "$header" || markers=1
result "$markers" "no part of the header is kept out of the count"

gcovr --root . --object-directory "$out" --filter "$header" --json-pretty --json "$out/counts.json" "$out"
covered=0
awk -v lines_percent=100 -v branches_percent=98 '
    FNR == NR {
        source[FNR] = $0
        if ($0 ~ /^\/\* >>[a-z0-9 ]+ -----/) {
            tag = $0
            sub(/^[^>]*>>/, "", tag)
            sub(/ --.*/, "", tag)
            rooms[++room_count] = tag
            from[room_count] = FNR
        }
        next
    }
    # One line of the header: its branches, its count, and its number, in this order.
    $1 == "\"branches\":" { n = 0; inside = $2 == "["; noncode = 0; next }
    $1 == "]," { inside = 0; next }
    $1 == "\"count\":" && inside { taken[++n] = $2 + 0; next }
    $1 == "\"count\":" { count = $2 + 0; next }
    $1 == "\"gcovr/noncode\":" { noncode = $2 == "true,"; next }
    $1 == "\"line_number\":" && !noncode { line($2 + 0) }

    function line(number, i, missed, pattern) {
        while (at < room_count && number >= from[at + 1]) {
            at++
        }
        lines[at]++
        ran[at] += count > 0
        pattern = ""
        for (i = 1; i <= n; i++) {
            missed += taken[i] == 0
            pattern = pattern (taken[i] ? "+" : "-")
        }
        branches[at] += n
        branches_taken[at] += n - missed
        text = source[number]
        sub(/^ +/, "", text)
        if (count == 0) {
            idle = idle sprintf("    %d: %s\n", number, text)
        } else if (missed) {
            one_way = one_way sprintf("    %d: %s  %s\n", number, pattern, text)
        }
    }

    function percent(part, whole) {
        return whole ? int(10000 * part / whole) / 100 : 100
    }

    END {
        for (i = 0; i <= room_count; i++) {
            if (lines[i]) {
                printf "    %-14s %5d of %5d lines, %5d of %5d branches\n", rooms[i], ran[i], lines[i],
                    branches_taken[i], branches[i]
            }
            l += lines[i]; r += ran[i]; b += branches[i]; t += branches_taken[i]
        }
        bad_lines = l == 0 || 100 * r < lines_percent * l
        bad_branches = b == 0 || 100 * t < branches_percent * b
        printf "%s %.2f %% of the lines of the header run: %d of %d\n%s", bad_lines ? "not ok" : "ok", percent(r, l),
            r, l, idle
        printf "%s %.2f %% of its branches are taken: %d of %d\n%s", bad_branches ? "not ok" : "ok", percent(t, b),
            t, b, one_way
        exit bad_lines || bad_branches
    }
' "$header" "$out/counts.json" || covered=1
if [ "$covered" -ne 0 ]; then
    status=1
fi
exit "$status"
