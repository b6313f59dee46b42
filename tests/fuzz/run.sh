#!/bin/sh
# run.sh SECONDS [MODE]: builds the fuzz targets under build/fuzz and runs each for SECONDS, two at a time.
# MODE replay only replays the seeds, MODE fuzz (the default) goes on from them and from what earlier runs found.
# A line for each target: ok or not ok, and its executions. Inputs at fault are kept in build/fuzz/found.
set -eu

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: tests/fuzz/run.sh SECONDS [replay|fuzz]" >&2
    exit 2
fi
seconds=$1 mode=${2:-fuzz}
case $mode in replay | fuzz) ;; *) echo "run.sh: unknown mode $mode" >&2 && exit 2 ;; esac
cd "$(dirname "$0")/../.."
clang=${FUZZ_CC:-clang}
out=build/fuzz
mkdir -p "$out/found"

# Largest input of each target.
length() {
    case $1 in
    fuzz_date) echo 64 ;;
    fuzz_url) echo 512 ;;
    fuzz_json) echo 1024 ;;
    fuzz_pem) echo 3072 ;;
    *) echo 2048 ;;
    esac
}

build() {
    if [ ! -x "$out/$1" ] || [ -n "$(find hathora_tokens.h tests/fuzz/fuzz.h "tests/fuzz/$1.c" -newer "$out/$1")" ]; then
        "$clang" -std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Werror -g -O1 \
            -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I. \
            -o "$out/$1.new" "tests/fuzz/$1.c" -lbearssl && mv "$out/$1.new" "$out/$1"
    fi
}

run() {
    if [ "$mode" = replay ]; then
        "$out/$1" -runs=0 -timeout=20 -max_len=65536 -artifact_prefix="$out/found/$1-" "tests/fuzz/seeds/$1"
    else
        mkdir -p "$out/corpus/$1"
        "$out/$1" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len="$(length "$1")" \
            -dict="tests/fuzz/$1.dict" -artifact_prefix="$out/found/$1-" -print_final_stats=1 "$out/corpus/$1" \
            "tests/fuzz/seeds/$1"
    fi
}

# one TARGET: builds, runs, and writes the verdict to a file of its own.
one() {
    log=$out/$1.log
    if build "$1" >"$log" 2>&1 && run "$1" >>"$log" 2>&1; then
        verdict=ok
    else
        verdict="not ok"
    fi
    count=$(sed -n 's/^#\([0-9]*\).*\(DONE\|INITED\).*/\1/p' "$log" | tail -n 1)
    count=${count:-$(sed -n 's/^#\([0-9]*\).*/\1/p' "$log" | tail -n 1)}
    echo "$verdict $1: ${count:-0} executions" >"$out/$1.verdict"
}

failed=0
# pair TARGET...: runs them side by side and shows their verdicts.
pair() {
    for target in "$@"; do
        one "$target" &
    done
    wait
    for target in "$@"; do
        cat "$out/$target.verdict"
        case $(cat "$out/$target.verdict") in
        not*)
            failed=1
            grep -a -E 'error:|not true|ERROR|Test unit written' "$out/$target.log" | sed 's/^/    /' || true
            ;;
        esac
    done
}

trap 'exit 130' INT
trap 'exit 143' TERM
pair fuzz_response fuzz_json
pair fuzz_url fuzz_date
pair fuzz_pem fuzz_call
exit "$failed"
