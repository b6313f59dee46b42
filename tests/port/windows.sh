#!/bin/sh
# windows.sh FOLDER: compiles the header beside windows.h, in each order and language, with its knobs, and by clang in
# the dialect of Microsoft's compiler, for which mingw's headers stand in. The last line is the count.
set -eu

out=$1/compile
file=tests/compile/windows.c
warn='-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Werror'
mingw=x86_64-w64-mingw32
rm -rf "$out"
mkdir -p "$out/msvc"
passed=0 failed=0

# ok NAME COMMAND...: the command must succeed, without a word.
ok() {
    name=$1
    shift
    if "$@" >"$out/log" 2>&1 && [ ! -s "$out/log" ]; then
        passed=$((passed + 1))
    else
        echo "not ok: $name"
        cat "$out/log"
        failed=$((failed + 1))
    fi
}

# refused NAME TEXT COMMAND...: it must fail and say the text.
refused() {
    name=$1 text=$2
    shift 2
    if ! "$@" >"$out/log" 2>&1 && grep -q "$text" "$out/log"; then
        passed=$((passed + 1))
    else
        echo "not refused as it should be: $name"
        cat "$out/log"
        failed=$((failed + 1))
    fi
}

# The flags are lists of words.
# shellcheck disable=SC2086
for language in "gcc -std=c99" "g++ -x c++ -std=c++11"; do
    compile="$mingw-$language $warn -I. -isystem build/inc -fsyntax-only"
    for first in '' -DWIN32_LEAN_AND_MEAN -DNOMINMAX -DWITH_MACROS; do
        ok "$language, windows.h before the declarations $first" $compile $first -DWITH_WINDOWS $file
        ok "$language, winsock2.h and windows.h before the implementation $first" \
            $compile $first -DWITH_WINSOCK2 -DWITH_WINDOWS -DIMPLEMENT $file
    done
    ok "$language, windows.h after the declarations" $compile $file
    ok "$language, windows.h after the implementation" $compile -DIMPLEMENT $file
    ok "$language, a lean windows.h before the implementation" \
        $compile -DWIN32_LEAN_AND_MEAN -DWITH_WINDOWS -DIMPLEMENT $file
    ok "$language, windows.h before an implementation without sockets" \
        $compile -DHATHORA_TOKENS_NO_SOCKETS -DWITH_WINDOWS -DIMPLEMENT $file
    refused "$language, winsock.h by windows.h before the implementation" 'include winsock2.h before' \
        $compile -Wno-error=cpp -DWITH_WINDOWS -DIMPLEMENT $file
    refused "$language, older than Windows Vista" 'define _WIN32_WINNT as 0x0600 or more' \
        $compile -D_WIN32_WINNT=0x0501 -DIMPLEMENT $file
    every=
    for knob in NO_SOCKETS NO_RESOLVER NO_THREADS NO_TLS NO_CLIENT_CERTIFICATE NO_FILES NO_CLOCK NO_ENTROPY NO_STDLIB \
        NO_STRINGS NO_LOG NO_BLOCKING NO_PROXY NO_SESSIONS NO_SIMD SMALL STATIC; do
        every="$every -DHATHORA_TOKENS_$knob"
        test "$language" != "gcc -std=c99" ||
            ok "$language, $knob" $compile -DHATHORA_TOKENS_$knob -DIMPLEMENT $file
    done
    ok "$language, every knob" $compile $every -DIMPLEMENT $file
done
for language in "gcc -std=c17" "g++ -x c++ -std=c++20"; do
    # shellcheck disable=SC2086
    ok "$language" $mingw-$language $warn -I. -isystem build/inc -fsyntax-only -DIMPLEMENT $file
done

# mingw writes attributes behind declarations, where Microsoft's dialect has them before; without them clang reads its
# headers in that dialect. GNU's extensions are errors.
sed 's/^# define __attribute__(x).*//; s/__declspec([a-z]*)//' /usr/share/mingw-w64/include/_mingw.h >"$out/msvc/_mingw.h"
printf '%s\n' '#include_next <intrin.h>' '#ifdef __cplusplus' 'extern "C"' '#endif' \
    'unsigned char _BitScanForward(unsigned long *, unsigned long);' >"$out/msvc/intrin.h"
# Microsoft's header says no calling convention here.
sed 's/WINAPI RtlGenRandom/RtlGenRandom/' /usr/share/mingw-w64/include/ntsecapi.h >"$out/msvc/ntsecapi.h"
# shellcheck disable=SC2086
for std in "-std=c11" "-x c++ -std=c++14" "-x c++ -std=c++20"; do
    msvc="clang --target=x86_64-pc-windows-msvc -fms-compatibility -fms-extensions -fms-compatibility-version=19.29
        -fsyntax-only $std -Wall -Wextra -Wpedantic -Wgnu -Wvla -Werror -I. -isystem build/inc -isystem $out/msvc
        -isystem /usr/share/mingw-w64/include"
    ok "clang as MSVC, $std" $msvc tests/compile/implement.c
    ok "clang as MSVC, $std, beside windows.h" $msvc -DWITH_WINSOCK2 -DWITH_WINDOWS -DWITH_MACROS -DIMPLEMENT $file
done
for tool in hathora-tokens hathora-emulator; do
    # shellcheck disable=SC2086
    ok "clang as MSVC, tools/$tool.c" $msvc -x c -std=c11 tools/$tool.c
done
# On x86 a function's name has its calling convention in it. The objects name the libraries that they need beside
# kernel32, for README.md's command does not.
for row in 'tests/compile/implement.c ws2_32 advapi32 crypt32' 'tools/hathora-tokens.c ws2_32 advapi32 crypt32 shell32' \
    'tools/hathora-emulator.c ws2_32 advapi32 shell32'; do
    # shellcheck disable=SC2086
    set -- $row
    file=$1
    shift
    rm -f "$out/x86.o"
    ok "clang as MSVC for x86, $file" clang --target=i686-pc-windows-msvc -D__i386__ -D_X86_ -msse2 \
        -fms-compatibility -fms-extensions -fms-compatibility-version=19.29 -DHATHORA_TOKENS_NO_SIMD -std=c11 \
        -Wall -Wextra -Wpedantic -Werror -I. -isystem build/inc -isystem "$out/msvc" \
        -isystem /usr/share/mingw-w64/include -c "$file" -o "$out/x86.o"
    $mingw-nm -u "$out/x86.o" >"$out/names" 2>&1 || true
    ok "RtlGenRandom() for x86, $file" grep -q '_SystemFunction036@8$' "$out/names"
    for library; do
        ok "$file names $library.lib" grep -aq "/DEFAULTLIB:$library.lib" "$out/x86.o"
    done
done

echo "[  PASSED  ] $passed test(s)."
if [ "$failed" -ne 0 ]; then
    echo "[  FAILED  ] $failed test(s), listed below:"
    exit 1
fi
