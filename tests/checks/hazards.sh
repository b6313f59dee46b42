#!/bin/sh
# What does not carry over to other machines: recursion, arrays of a variable length, floating point, the locale, errno
# and the C library's time outside the rims, and an int of 16 bits.
set -eu

cd "$(dirname "$0")/../.."
out=build/checks/hazards
rm -rf "$out"
mkdir -p "$out"
header=hathora_tokens.h
. tests/verdict.sh
rims=
for knob in SOCKETS RESOLVER THREADS FILES CLOCK ENTROPY STDLIB; do
    rims="$rims -DHATHORA_TOKENS_NO_$knob"
done

awk -f tests/checks/strip.awk "$header" >"$out/code"

# words NAME ROOMS PATTERN: outside of these rooms, which lie between spaces, no such word stands.
words() {
    awk -v rooms=" $2 " -v pattern="(^|[^a-zA-Z0-9_.>])($3)([^a-zA-Z0-9_]|\$)" '
        /^\/\// { room = substr($0, 3); gsub(/ /, "-", room); next }
        $0 ~ pattern && !/^[ \t]*#[ \t]*include/ && !index(rooms, " " room " ") { print NR ": " $0 }' \
        "$out/code" >"$out/words"
    verdict "$1" "$out/words"
}

# The calls of the whole header, but for those by a pointer.
gcc -std=c99 -I. -O0 -fkeep-static-functions -fcallgraph-info -c tests/compile/implement.c -o "$out/calls.o"
sed -n 's/^edge: { sourcename: "\([^"]*\)" targetname: "\([^"]*\)".*/\1 \2/p' "$out/calls.ci" |
    grep -v __indirect_call | sort -u >"$out/calls"
{
    { tsort "$out/calls" >"$out/order" || true; } 2>&1
    awk '$1 == $2' "$out/calls"
    [ "$(wc -l <"$out/calls")" -gt 500 ] || echo "only $(wc -l <"$out/calls") calls found"
} >"$out/cycles"
verdict "no function calls itself, directly or through others" "$out/cycles"

# The list of flags is words.
# shellcheck disable=SC2086
gcc -std=c99 -I. -O2 -Wvla -Walloca -c tests/compile/implement.c -o "$out/vla.o" >"$out/vla" 2>&1 || true
verdict "no array has a variable length, and nothing is taken from the stack by alloca()" "$out/vla"

words "there is no floating point" "" "float|double"
words "nothing depends on the locale" "" \
    "is(alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit)|to(lower|upper)|ato[fil]+\
|strto[a-z]+|v?[fs]?n?w?printf|v?[fs]?w?scanf|setlocale|localeconv|str(coll|xfrm|error|casecmp|ncasecmp)|mb[a-z]+|wc[a-z]+"
words "errno is for the rims alone" "sockets system" "errno"
words "the C library's time is for the rim alone" "system" "time_t|time|mktime|gmtime|localtime|strftime|difftime|clock_t"
# The json scan gives a long to an intrinsic of MSVC.
words "numbers have their width in the type, but for the system's own" "sockets system json-scan" "long|short"

# The two libraries' headers, apart from the system's, which are not the target's.
mkdir "$out/inc"
system=$(printf '#include <bearssl.h>\n' | gcc -E -x c - | sed -n 's|^# [0-9]* "\(.*\)/bearssl\.h".*|\1|p' | sed 1q)
cp -R "$system"/bearssl* "$system/jsmn.h" "$out/inc/"

# A 16-bit int, and pointers of 16 bits too, show constants and shifts that do not fit and sizes that are cut.
for knobs in '' -DHATHORA_TOKENS_SMALL -DHATHORA_TOKENS_NO_TLS; do
    # The lists of flags are words.
    # shellcheck disable=SC2086
    avr-gcc -std=c99 -Os -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -I. \
        -isystem "$out/inc" $rims $knobs -c tests/compile/implement.c -o "$out/avr.o" >"$out/avr" 2>&1 || true
    verdict "an int of 16 bits is enough${knobs:+ ($knobs)}" "$out/avr"
done
exit "$status"
