#!/bin/sh
# run.sh PORT...: builds the library, its tests and its tools for each PORT, and runs them there. The last line is the sum
# of tests; build/port/PORT/row is the port's row of the README's table.
set -eu

cd "$(dirname "$0")/../.."
jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}
passed=0 failed=0 skipped=0
trap 'exit 130' INT
trap 'exit 143' TERM

# value NAME: what the port's assignments say.
value() {
    # $( ) is make's.
    # shellcheck disable=SC2016
    printf 'include tests/port/port.mk\nshow: ; @echo "$(%s)"\n' "$1" | make -s --no-print-directory -f - PORT="$port" show
}

# count NAME LOG STATUS: adds what a program of cmocka's printed; shows the log of what failed.
count() {
    sums=$(tr -d '\r' <"$2" | awk '/^\[  PASSED  \] [0-9]+ test/ { p += $4 }
        /^\[  FAILED  \] [0-9]+ test/ { f += $4 }
        /^\[  SKIPPED \] [0-9]+ test/ { s += $4 }
        END { print p + 0, f + 0, s + 0 }')
    p=${sums%% *} s=${sums##* } f=${sums#* }
    f=${f% *}
    if { [ "$3" -ne 0 ] && [ "$f" -eq 0 ]; } || [ $((p + f + s)) -eq 0 ]; then
        echo "$1 ended with status $3 after $p tests" >>"$2"
        f=$((f + 1))
    fi
    if [ "$f" -ne 0 ]; then
        grep -a -v -E '^\[ RUN|^\[       OK' "$2" | tail -n 60
    fi
    port_passed=$((port_passed + p)) port_failed=$((port_failed + f)) port_skipped=$((port_skipped + s))
}

# board EXAMPLE OUTPUT: an example for boards, which must print this.
board() {
    status=0
    # shellcheck disable=SC2086
    timeout 120 $run "$out/real/$1$exe" >"$out/$1.log" 2>&1 </dev/null || status=$?
    if [ "$status" -eq 0 ] && [ "$(tr -d '\r' <"$out/$1.log")" = "$2" ]; then
        port_passed=$((port_passed + 1))
    else
        echo "$port: $1 ended with status $status"
        cat "$out/$1.log"
        port_failed=$((port_failed + 1))
    fi
}

# wrap TOOL: a script under the tool's name that runs the target's program, where that takes more than its name.
wrap() {
    if [ -n "$run" ]; then
        printf '#!/bin/sh\nexec %s "%s/real/%s%s" "$@"\n' "$run" "$PWD/$out" "$1" "$exe" >"$out/$1"
        chmod +x "$out/$1"
    else
        cp "$out/real/$1$exe" "$out/$1"
    fi
}

# row: the port's line of the table: what it is, by which compiler, what was run, and sizes in bytes: of the header's own
# code, and of the stripped tool.
row() {
    compiler=$($(value CC) --version | sed -n '1s, (.*),,; 1s,^Debian ,,; 1s, version,,; 1s,-win32,,; 1p')
    code=$($(value SIZE) "$out/header.o" | awk 'NR == 2 { print $1 }')
    tool=-
    if [ -f "$out/real/hathora-tokens$exe" ]; then
        cp "$out/real/hathora-tokens$exe" "$out/stripped"
        $(value STRIP) "$out/stripped"
        tool=$(wc -c <"$out/stripped")
    fi
    echo "| $(value WHAT) | $compiler | $runs | $port_passed | $code | $tool |" >"$out/row"
}

one() {
    port=$1 port_passed=0 port_failed=0 port_skipped=0
    if [ ! -f "tests/port/$port.conf" ]; then
        echo "run.sh: there is no port $port" >&2
        exit 2
    fi
    out=build/port/$port
    rm -f "$out/row"
    if ! make -s -f tests/port/port.mk PORT="$port" libraries ||
        ! make -s -k -f tests/port/port.mk PORT="$port" -j"$jobs" programs; then
        echo "$port: its programs could not be made"
        failed=$((failed + 1))
        return
    fi
    run=$(value RUN) exe=$(value EXE) argument=$(value ARGUMENT) units=$(value UNITS) every=$(value FAULTS_EVERY)
    if [ -n "$every" ]; then
        echo "$port: less than everywhere: faults strike at each ${every}th byte"
    fi
    case $(value KNOBS) in
        *UNIT_EVERY=*) echo "$port: less than everywhere: a test of JSON takes some of its cases" ;;
    esac

    # Side by side; each leaves its log and its status.
    # shellcheck disable=SC2016,SC2086
    printf '%s\n' $units | FAULTS_EVERY=$every xargs -P "$jobs" -I NAME sh -c '
        status=0
        set -f
        timeout 900 $1 "$2/tests/NAME$3" $4 >"$2/tests/NAME.log" 2>&1 </dev/null || status=$?
        echo "$status" >"$2/tests/NAME.status"' sh "$run" "$out" "$exe" "$argument"
    for name in $units; do
        count "$port: $name" "$out/tests/$name.log" "$(cat "$out/tests/$name.status")"
    done
    board bare_metal 'active  board
revoked board'
    if [ "$(value LWIP)" = yes ]; then
        board lwip_loop 'created org-token-1
listed board'
    fi
    runs="unit tests, transcripts, calls over TLS in memory"
    if [ "$(value LIVE)" = yes ]; then
        wrap hathora-tokens
        wrap hathora-emulator
        status=0
        HATHORA_BIN=$out LIVE_LACKS=$(value LACKS) timeout 1800 build/tests/live/test_cli >"$out/live.log" 2>&1 </dev/null || status=$?
        count "$port: the tool over TLS" "$out/live.log" "$status"
        runs="$runs, both tools over TLS"
    fi
    if [ "$(value EMULATOR)" = yes ]; then
        status=0
        HATHORA_BIN=$out LIVE_LACKS=$(value LACKS) timeout 1800 build/tests/live/test_emulator >"$out/emulator.log" 2>&1 </dev/null || status=$?
        count "$port: the emulator" "$out/emulator.log" "$status"
    fi
    if [ "$(value NAMES)" = yes ]; then
        status=0
        HATHORA_BIN=$out timeout 300 build/tests/live/test_netns '*_tool_*' >"$out/names.log" 2>&1 </dev/null || status=$?
        HATHORA_BIN=$out timeout 300 build/tests/live/test_netns 'tool_*' >>"$out/names.log" 2>&1 </dev/null || status=$?
        count "$port: the tool and names" "$out/names.log" "$status"
        runs="$runs, name look-up"
    fi
    check=$(value CHECK)
    if [ -n "$check" ]; then
        status=0
        sh "tests/port/$check" "$out" >"$out/check.log" 2>&1 || status=$?
        count "$port: $check" "$out/check.log" "$status"
    fi
    own=$(value OWN)
    if [ -n "$own" ]; then
        sh tests/certs.sh build/certs
        status=0
        timeout 300 script -qec "$run $out/own/$own$exe $out/real >$out/own.log 2>&1" /dev/null </dev/null >/dev/null ||
            status=$?
        count "$port: its own ways" "$out/own.log" "$status"
    fi
    row
    echo "$port: $port_passed passed, $port_failed failed, $port_skipped skipped"
    passed=$((passed + port_passed)) failed=$((failed + port_failed)) skipped=$((skipped + port_skipped))
}

if [ $# -eq 0 ]; then
    echo "usage: tests/port/run.sh PORT..." >&2
    exit 2
fi
for name in "$@"; do
    one "$name"
done
echo "$passed passed, $failed failed, $skipped skipped"
test "$failed" -eq 0
