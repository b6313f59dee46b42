#!/bin/sh
# run.sh SECONDS [MODE]: builds the fuzz targets and runs them, JOBS at a time. MODE replay only replays the seeds;
# fuzz, the default, goes on for SECONDS from them and from what earlier runs found; check does both.
# SANITIZERS: address,undefined, or memory, for which BearSSL is built from source. A line for each target and mode: ok
# or not ok, and its executions. Inputs at fault are kept in the folder found beside the programs.
set -eu

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: tests/fuzz/run.sh SECONDS [replay|fuzz|check]" >&2
    exit 2
fi
seconds=$1 mode=${2:-fuzz}
case $mode in
replay | fuzz) modes=$mode ;;
check) modes='replay fuzz' ;;
*) echo "run.sh: unknown mode $mode" >&2 && exit 2 ;;
esac
cd "$(dirname "$0")/../.."
clang=${FUZZ_CC:-clang}
sanitizers=${SANITIZERS:-address,undefined}
case $sanitizers in
memory)
    out=build/fuzz-msan bearssl=build/bear-msan/libbearssl.a
    flags='-fsanitize-memory-track-origins -isystem build/inc'
    ;;
*) out=build/fuzz bearssl=-l:libbearssl.a flags= ;;
esac
mkdir -p "$out/found"

# Largest input of each target.
length() {
    case $1 in
    fuzz_date) echo 64 ;;
    fuzz_tls) echo 400 ;;
    fuzz_url) echo 512 ;;
    fuzz_json) echo 1024 ;;
    fuzz_pem) echo 3072 ;;
    *) echo 2048 ;;
    esac
}

build() {
    if [ ! -x "$out/$1" ] ||
        [ -n "$(find hathora_tokens.h tests/fuzz/*.h "tests/fuzz/$1.c" -newer "$out/$1")" ]; then
        # The flags are a list of words.
        # shellcheck disable=SC2086
        "$clang" -std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Werror -g -O1 \
            -fno-omit-frame-pointer "-fsanitize=fuzzer,$sanitizers" -fno-sanitize-recover=all $flags -I. \
            -o "$out/$1.new" "tests/fuzz/$1.c" $bearssl && mv "$out/$1.new" "$out/$1"
    fi
}

run() {
    if [ "$2" = replay ]; then
        "$out/$1" -runs=0 -timeout=20 -max_len=65536 -artifact_prefix="$out/found/$1-" "tests/fuzz/seeds/$1"
    else
        mkdir -p "$out/corpus/$1"
        "$out/$1" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len="$(length "$1")" \
            -dict="tests/fuzz/$1.dict" -artifact_prefix="$out/found/$1-" -print_final_stats=1 "$out/corpus/$1" \
            "tests/fuzz/seeds/$1"
    fi
}

# one TARGET: builds it, runs it in each mode, and writes the verdicts to a file of its own.
one() {
    : >"$out/$1.verdict.new"
    for what in $modes; do
        log=$out/$1.$what.log
        if build "$1" >"$log" 2>&1 && run "$1" "$what" >>"$log" 2>&1; then
            verdict=ok
        else
            verdict='not ok'
        fi
        count=$(sed -n 's/^#\([0-9]*\).*\(DONE\|INITED\).*/\1/p' "$log" | tail -n 1)
        count=${count:-$(sed -n 's/^#\([0-9]*\).*/\1/p' "$log" | tail -n 1)}
        echo "$verdict $1 with $sanitizers, $what: ${count:-0} executions" >>"$out/$1.verdict.new"
        if [ "$verdict" != ok ]; then
            grep -a -E 'error:|not true|ERROR|WARNING: MemorySanitizer|Test unit written' "$log" |
                sed 's/^/    /' >>"$out/$1.verdict.new" || true
        fi
    done
    mv "$out/$1.verdict.new" "$out/$1.verdict"
}

trap 'exit 130' INT
trap 'exit 143' TERM
if [ "${FUZZ_ONE-}" ]; then
    one "$FUZZ_ONE"
    exit 0
fi

targets=$(for source in tests/fuzz/fuzz_*.c; do basename "$source" .c; done)
for target in $targets; do
    rm -f "$out/$target.verdict"
done
if [ "$sanitizers" = memory ]; then
    make build/bear-msan/libbearssl.a >"$out/bearssl.log" 2>&1 || { cat "$out/bearssl.log" && exit 1; }
fi
for target in $targets; do
    echo "$target"
done | xargs -P "${JOBS:-$(nproc 2>/dev/null || echo 2)}" -I TARGET \
    env FUZZ_ONE=TARGET sh tests/fuzz/run.sh "$seconds" "$mode"

failed=0
for target in $targets; do
    if [ ! -f "$out/$target.verdict" ]; then
        echo "not ok $target with $sanitizers was not run" >"$out/$target.verdict"
    fi
    cat "$out/$target.verdict"
    ! grep -q '^not ok' "$out/$target.verdict" || failed=1
done
exit "$failed"
