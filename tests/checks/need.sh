#!/bin/sh
# tools/need.sh on a machine that has next to nothing: what it asks apt-get for, and what it says where it may not.
set -eu

cd "$(dirname "$0")/../.."
top=$PWD
out=$top/build/checks/need
rm -rf "$out"
mkdir -p "$out/bin"
. tests/verdict.sh

for name in sh mkdir mktemp rm env tr; do
    ln -s "$(command -v "$name")" "$out/bin/$name"
done

# stub NAME LINE: a program of one line.
stub() {
    printf '#!/bin/sh\n%s\n' "$2" >"$out/bin/$1"
    chmod +x "$out/bin/$1"
}

# need NEED...: as the user whose number is in $user. It has to fail, for what is asked for does not come.
need() {
    stub id "echo $user"
    rm -f "$out/asked"
    if (cd "$out" && env -u CC PATH="$out/bin" sh "$top/tools/need.sh" "$@") >"$out/log" 2>&1; then
        echo 'it was content'
    fi
}

# A package's name may end with a version, but not with one that is not there.
stub apt-get "echo \"\$*\" >>'$out/asked'"
user=0
need build test >"$out/problems"
tr ' ' '\n' <"$out/asked" | sed -n '/^[a-z]/p' | grep -e -- >>"$out/problems" || true
for package in gcc libbearssl-dev libjsmn-dev libcmocka-dev; do
    grep -q " $package " "$out/asked" || echo "it did not ask for $package"
done >>"$out/problems"
verdict "without a compiler, packages are asked for that exist" "$out/problems"

user=1000
need build >"$out/problems"
printf '%s\n' 'tools/need.sh: please install what Debian calls gcc libc6-dev libbearssl-dev libjsmn-dev' |
    diff - "$out/log" >>"$out/problems" || true
[ ! -e "$out/asked" ] || echo 'it asked apt-get' >>"$out/problems"
verdict "an ordinary user without sudo is told the packages" "$out/problems"

stub sudo "\"\$@\""
need build >"$out/problems"
grep -q '^-q install -y .* gcc libc6-dev libbearssl-dev libjsmn-dev$' "$out/asked" || cat "$out/log" >>"$out/problems"
verdict "with sudo they are installed" "$out/problems"
exit "$status"
