#!/bin/sh
# bearssl.sh NAME CC AR CFLAGS...: builds BearSSL from Debian's source as build/bear-NAME/libbearssl.a, for compilers
# and sanitizers that Debian's own library does not serve. CC may hold several words. Once built with these words it is
# left alone. build/inc then holds the headers of BearSSL and jsmn and nothing else of /usr/include: -isystem build/inc.
# The source is fetched into build/bearssl, once; the system's list of package sources stays as it is.
# Several may run at the same time.
set -eu

if [ $# -lt 3 ]; then
    echo "usage: tools/bearssl.sh NAME CC AR CFLAGS..." >&2
    exit 2
fi
cd "$(dirname "$0")/.."
name=$1 cc=$2 ar=$3
shift 3
case $name in
'' | *[!A-Za-z0-9_.-]*)
    echo "tools/bearssl.sh: a name has letters, digits, '_', '.' and '-'; not: $name" >&2
    exit 2
    ;;
esac

sh tools/source.sh bearssl
# What is under way elsewhere is waited for.
mkdir -p "build/bear-$name" build/inc
exec 8>build/bearssl.lock 9>"build/bear-$name/lock"
flock 8
for header in build/bearssl/inc/*.h; do
    ln -sf "../bearssl/inc/${header##*/}" "build/inc/${header##*/}"
done
for jsmn in /usr/include/jsmn.h /usr/local/include/jsmn.h; do
    if [ -f "$jsmn" ]; then
        ln -sf "$jsmn" build/inc/jsmn.h
    fi
done
flock -u 8

flock 9
words="$cc | $ar | $*"
if [ -f "build/bear-$name/libbearssl.a" ] && [ "$(cat "build/bear-$name/words" 2>/dev/null)" = "$words" ]; then
    exit 0
fi
rm -rf "build/bear-$name/obj" "build/bear-$name/libbearssl.a"
# A make that runs this must not pass its own flags on to BearSSL's.
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -j"${JOBS:-$(nproc 2>/dev/null || echo 2)}" -C build/bearssl lib \
    DLL=no TOOLS=no TESTS=no BUILD="../bear-$name" CC="$cc" AR="$ar" CFLAGS="$*"
printf '%s\n' "$words" >"build/bear-$name/words"
