#!/bin/sh
# source.sh PACKAGE...: the source of a Debian package in build/PACKAGE, fetched once and never committed. The system's
# list of package sources stays as it is, and no rights of an administrator are needed. Several may run at the same time.
set -eu

if [ $# -eq 0 ]; then
    echo "usage: tools/source.sh PACKAGE..." >&2
    exit 2
fi
cd "$(dirname "$0")/.."
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
    rm -rf "build/$1.new"
    mkdir "build/$1.new"
    write_lists
    own_apt_get update
    (cd "build/$1.new" && own_apt_get source --download-only "$1" && dpkg-source -x "$1"_*.dsc tree)
    mv "build/$1.new/tree" "build/$1"
    rm -rf "build/$1.new" "$lists"
}

# What is under way elsewhere is waited for.
mkdir -p build
exec 8>build/source.lock
flock 8
for package in "$@"; do
    if [ ! -d "build/$package" ]; then
        fetch "$package"
    fi
done

