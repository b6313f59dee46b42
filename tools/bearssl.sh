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

lists=$PWD/build/apt

# apt-get with lists and a cache of its own under build/, and the system's archives as sources.
own_apt_get() {
    apt-get -q -o Dir::Etc::sourcelist="$lists/sources.list" -o Dir::Etc::sourceparts="$lists/parts" \
        -o Dir::State::lists="$lists/lists" -o Dir::Cache="$lists/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}

# The archives of Debian itself, in either form of the list; another's list may need keys or credentials.
write_lists() {
    rm -rf "$lists"
    mkdir -p "$lists/parts" "$lists/lists/partial" "$lists/cache/archives/partial"
    : >"$lists/sources.list"
    if [ -f /etc/apt/sources.list ]; then
        sed -n 's/^deb[[:blank:]]/deb-src /p' /etc/apt/sources.list >"$lists/sources.list"
    fi
    if [ -f /etc/apt/sources.list.d/debian.sources ]; then
        sed 's/^Types:.*/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$lists/parts/debian.sources"
    fi
}

fetch() {
    sh tools/need.sh source
    rm -rf build/bearssl.new
    mkdir build/bearssl.new
    write_lists
    own_apt_get update
    (cd build/bearssl.new && own_apt_get source --download-only bearssl && dpkg-source -x bearssl_*.dsc tree)
    mv build/bearssl.new/tree build/bearssl
    rm -rf build/bearssl.new "$lists"
}

# What is under way elsewhere is waited for.
mkdir -p "build/bear-$name" build/inc
exec 8>build/bearssl.lock 9>"build/bear-$name/lock"
flock 8
if [ ! -d build/bearssl ]; then
    fetch
fi
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
