#!/bin/sh
# Compiles the header in every way it may be used: standards, compilers, orders, knobs. One line for each case.
set -eu

cd "$(dirname "$0")/../.."
out=build/compile
here=tests/compile
warn='-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Werror'
# Strict C hides POSIX unless this stands before the first system header.
posix=-D_POSIX_C_SOURCE=200809L
rm -rf "$out"
mkdir -p "$out/vendor"

# Libraries beside the user's own sources: no system folder silences their warnings there.
system=$(printf '#include <bearssl.h>\n' | gcc -E -x c - | sed -n 's|^# [0-9]* "\(.*\)/bearssl\.h".*|\1|p' | sed 1q)
cp -R "$system"/bearssl*.h "$system/jsmn.h" "$out/vendor/"
if [ -d "$system/bearssl" ]; then
    cp -R "$system/bearssl" "$out/vendor/"
fi

total=0
# ok NAME COMMAND: the command must succeed.
ok() {
    total=$((total + 1))
    file=$out/$(printf '%03d' "$total")
    echo "$1" >"$file.name"
    echo "$2" >"$file.sh"
}

# refused NAME TEXT COMMAND: the command must fail and say TEXT.
refused() {
    ok "$1" "if $3 2>&1 | tee $out/said$total | grep -q '$2'; then exit 0; else cat $out/said$total; exit 1; fi"
}

# Both halves alone, in each language and standard.
for std in c99 c11 c17; do
    for cc in gcc clang; do
        for file in declare_alone declare implement implement_twice; do
            ok "$cc $std $file" "$cc -std=$std $warn -I. -c $here/$file.c -o $out/$cc-$std-$file.o"
        done
        for file in implement_late implement_after_libc; do
            ok "$cc $std $file" "$cc -std=$std $posix $warn -I. -c $here/$file.c -o $out/$cc-$std-$file.o"
        done
    done
    ok "tcc $std declare" "tcc -std=$std -I. -c $here/declare.c -o $out/tcc-$std-declare.o"
    ok "tcc $std implement" "tcc -std=$std -I. -c $here/implement.c -o $out/tcc-$std-implement.o"
done
for std in c++98 c++03 c++11 c++14 c++17 c++20; do
    for cxx in g++ clang++; do
        for file in declare_alone declare; do
            ok "$cxx $std $file" \
                "$cxx -std=$std $warn -Wold-style-cast -I. -x c++ -c $here/$file.c -o $out/$cxx-$std-$file.o"
        done
        for file in implement implement_late implement_twice; do
            ok "$cxx $std $file" "$cxx -std=$std $warn -I. -x c++ -c $here/$file.c -o $out/$cxx-$std-$file.o"
        done
    done
done
for std in gnu99 gnu17; do
    for file in implement implement_late implement_after_libc; do
        ok "gcc $std $file" "gcc -std=$std $warn -I. -c $here/$file.c -o $out/gcc-$std-$file.o"
    done
done
refused "hidden POSIX names end in advice" "is hidden: include this header first" \
    "gcc -std=c99 -I. -c $here/implement_after_libc.c -o $out/hidden.o"
for option in -fsigned-char -funsigned-char; do
    for cc in gcc clang; do
        ok "$cc $option implement" "$cc -std=c99 $option $warn -I. -c $here/implement.c -o $out/$cc$option.o"
    done
done
for cxx in g++ clang++; do
    ok "$cxx -fno-exceptions -fno-rtti implement" \
        "$cxx -std=c++11 -fno-exceptions -fno-rtti $warn -I. -x c++ -c $here/implement.c -o $out/$cxx-bare.o"
done
ok "clang reserves no identifier" \
    "clang -std=c99 $warn -Wreserved-identifier -I. -c $here/implement.c -o $out/reserved.o"

# The libraries as copies of the user's.
# g++ gives the warnings of its preprocessor before it reads the pragmas that silence them.
for cc in gcc clang; do
    ok "$cc vendored libraries" "$cc -std=c99 $warn -I. -I$out/vendor -c $here/implement.c -o $out/$cc-vendor.o"
done
for cxx in g++ clang++; do
    ok "$cxx vendored libraries" \
        "$cxx -std=c++11 $warn -Wno-undef -I. -I$out/vendor -x c++ -c $here/implement.c -o $out/$cxx-vendor.o"
done
ok "libraries by the path that the user names" "gcc -std=c99 $warn -I. \
    -DHATHORA_TOKENS_BEARSSL_H='\"$out/vendor/bearssl.h\"' -DHATHORA_TOKENS_JSMN_H='\"$out/vendor/jsmn.h\"' \
    -c $here/implement.c -o $out/paths.o"

# Knobs, alone and together.
knobs='NO_SOCKETS NO_RESOLVER NO_THREADS NO_TLS NO_CLIENT_CERTIFICATE NO_PROXY NO_SESSIONS NO_FILES NO_CLOCK NO_ENTROPY NO_STDLIB
    NO_STRINGS NO_LOG NO_BLOCKING NO_SIMD SMALL'
every=
for knob in $knobs; do
    every="$every -DHATHORA_TOKENS_$knob"
    for cc in gcc clang; do
        ok "$cc $knob" \
            "$cc -std=c99 $warn -I. -DHATHORA_TOKENS_$knob -c $here/implement.c -o $out/$cc-$knob.o"
    done
    ok "g++ $knob" "g++ -std=c++11 $warn -I. -DHATHORA_TOKENS_$knob -x c++ -c $here/implement.c -o $out/gxx-$knob.o"
done
for cc in gcc clang; do
    ok "$cc every knob" "$cc -std=c99 $warn -I. $every -c $here/implement.c -o $out/$cc-every.o"
done
for cxx in g++ clang++; do
    ok "$cxx every knob" "$cxx -std=c++11 $warn -I. $every -x c++ -c $here/implement.c -o $out/$cxx-every.o"
done
ok "tcc every knob" "tcc -I. $every -c $here/implement.c -o $out/tcc-every.o"
ok "every knob: missing hooks are named" \
    "gcc -std=c99 $warn -I. $every $here/hooks_missing.c -o $out/hooks_missing && $out/hooks_missing"
ok "what is left out is refused" "gcc -std=c99 $warn -I. -DHATHORA_TOKENS_NO_CLIENT_CERTIFICATE \
    -DHATHORA_TOKENS_NO_PROXY -DHATHORA_TOKENS_NO_SESSIONS $here/left_out.c -lbearssl -o $out/left_out && $out/left_out"
ok "own assertion" "gcc -std=c99 $posix $warn -I. -c $here/implement_assert.c -o $out/assert.o"
ok "own linkage" "gcc -std=c99 $warn -I. '-DHATHORA_TOKENS_API=__attribute__((visibility(\"hidden\"))) extern' \
    $here/use_a.c $here/use_b.c $here/implement.c -lbearssl -o $out/hidden && $out/hidden"
ok "largest depth" "gcc -std=c99 $warn -I. -DHATHORA_TOKENS_MAX_DEPTH=32768 -c $here/implement.c -o $out/depth.o"
for depth in 7 32769; do
    refused "depth $depth is refused" 'HATHORA_TOKENS_MAX_DEPTH must be' \
        "gcc -std=c99 -I. -DHATHORA_TOKENS_MAX_DEPTH=$depth -c $here/implement.c -o $out/depth$depth.o"
done
for knob in NO_SSL NO_SOCKET NO_LOGGING NO_STDIO NO_MALLOC; do
    refused "misspelt $knob is refused" 'misspelt knob' \
        "gcc -std=c99 -I. -DHATHORA_TOKENS_$knob -c $here/implement.c -o $out/misspelt-$knob.o"
done

# Several files, one program.
ok "two files and one implementation" "gcc -std=c99 $warn -I. $here/use_a.c $here/use_b.c $here/implement.c \
    -lbearssl -o $out/two && $out/two"
ok "all files as one" "gcc -std=c99 $posix $warn -I. $here/unity.c -lbearssl -o $out/unity && $out/unity"
ok "all C++ files as one" "g++ -std=c++98 $warn -I. -x c++ $here/unity.c -lbearssl -o $out/unity++ && $out/unity++"
ok "two files with copies of their own" "gcc -std=c99 $warn -I. -DMAIN_STATIC $here/use_a.c $here/use_b.c \
    -lbearssl -o $out/static && $out/static"
ok "two C++ files with copies of their own" "g++ -std=c++11 $warn -I. -DMAIN_STATIC -x c++ $here/use_a.c \
    $here/use_b.c -x none -lbearssl -o $out/static++ && $out/static++"
ok "static declarations before the implementation" \
    "gcc -std=c99 $posix $warn -I. -DHATHORA_TOKENS_STATIC -c $here/implement_late.c -o $out/static_late.o"
ok "C program on an implementation built as C++" "g++ -std=c++11 -fno-exceptions -fno-rtti $warn -I. -x c++ \
    -c $here/implement.c -o $out/mixed.o && gcc -std=c99 $warn -I. $here/use_a.c $here/use_b.c $out/mixed.o \
    -lbearssl -o $out/mixed && $out/mixed"
ok "C++ program on an implementation built as C" "gcc -std=c99 $warn -I. -c $here/implement.c \
    -o $out/mixed2.o && g++ -std=c++11 $warn -I. -x c++ $here/use_a.c $here/use_b.c -x none $out/mixed2.o \
    -lbearssl -o $out/mixed2 && $out/mixed2"
ok "tcc builds a program that runs" \
    "tcc -I. $here/use_a.c $here/use_b.c $here/implement.c -lbearssl -o $out/tcc-two && $out/tcc-two"

# Beside the user's own jsmn.
for order in BEFORE AFTER; do
    for settings in '' LINKS STRICT STATIC 'LINKS STRICT' 'LINKS STRICT STATIC'; do
        want="-DJSMN_$order"
        for setting in $settings; do
            want="$want -DWANT_$setting"
        done
        name=$(echo "jsmn $order${settings:+ }$settings" | tr '[:upper:] ' '[:lower:]-')
        ok "gcc user's $name" \
            "gcc -std=c99 $warn -I. $want $here/jsmn_user.c -lbearssl -o $out/$name && $out/$name"
        ok "g++ user's $name" "g++ -std=c++11 $warn -I. $want -x c++ $here/jsmn_user.c -x none -lbearssl \
            -o $out/$name++ && $out/$name++"
    done
    for links in '' '-DJSMN_PARENT_LINKS'; do
        want=${links:+-DWANT_LINKS}
        name=$(echo "jsmn-$order-header${links:+-links}" | tr '[:upper:]' '[:lower:]')
        ok "gcc user's $name" "gcc -std=c99 $links -c $here/jsmn_implement.c -o $out/$name.o && gcc -std=c99 $warn \
            -I. -DJSMN_$order -DWANT_HEADER $want $here/jsmn_user.c $out/$name.o -lbearssl -o $out/$name && $out/$name"
    done
done
ok "user's jsmn in another file" "gcc -std=c99 $warn -I. $here/use_a.c $here/use_b.c $here/implement.c \
    $here/jsmn_implement.c -lbearssl -o $out/other && $out/other"

jobs=$(nproc 2>/dev/null || echo 2)
# Each word of the inner script is expanded by the inner shell.
# shellcheck disable=SC2016
find "$out" -maxdepth 1 -name '[0-9]*.sh' | sed 's/\.sh$//' | sort |
    xargs -P "$jobs" -I FILE sh -c 'if sh FILE.sh >FILE.log 2>&1; then : >FILE.ok; fi'

status=0
for name in "$out"/*.name; do
    file=${name%.name}
    if [ -f "$file.ok" ]; then
        echo "ok $(cat "$name")"
    else
        echo "not ok $(cat "$name")"
        cat "$file.sh" "$file.log"
        status=1
    fi
done
exit "$status"
