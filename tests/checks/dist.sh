#!/bin/sh
# The tarball of make dist: the same bytes each time, from a clone and from itself unpacked, without a repository; and what
# it holds builds, installs and tests itself. make distcheck runs all tests of it.
set -eu

cd "$(dirname "$0")/../.."
out=$PWD/build/checks/dist
rm -rf "$out"
mkdir -p "$out"
. tests/verdict.sh

tarball=$(sh tools/dist.sh "$out")
name=$(basename "$tarball" .tar.gz)
again=$(umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 sh tools/dist.sh "$out/again")
cmp "$tarball" "$again" >"$out/problems" 2>&1 || true
verdict "the tarball is the same each time" "$out/problems"

tar -tvzf "$tarball" | awk '{ print $1, $2 }' | LC_ALL=C sort -u >"$out/modes"
printf '%s\n' '-rw-r--r-- 0/0' '-rwxr-xr-x 0/0' | diff - "$out/modes" >"$out/problems" || true
tar -tzf "$tarball" | sed "s|^$name/||" | diff "$out/files" - >>"$out/problems" || true
verdict "it holds the project's files, in order, nobody's" "$out/problems"

(umask 077 && tar -xzf "$tarball" -C "$out")
(cd "$out/$name" && CDPATH=. make -s --no-print-directory dist) >"$out/log" 2>&1 || true
cmp "$tarball" "$out/$name/build/dist/$name.tar.gz" >"$out/problems" 2>&1 || true
verdict "unpacked it gives itself again, wherever else the shell looks for folders" "$out/problems"

make -s --no-print-directory -C "$out/$name" install PREFIX=/usr DESTDIR="$out/installed" >"$out/problems" 2>&1 || true
(cd "$out/installed/usr" && find . -type f -printf '%m %P\n' | LC_ALL=C sort -k 2) |
    diff tests/checks/install.txt - >>"$out/problems" || true
verdict "unpacked it is built and installed" "$out/problems"

{
    make -s --no-print-directory -C "$out/$name" build/tests/unit/test_url && (cd "$out/$name" && build/tests/unit/test_url)
} >"$out/log" 2>&1 || echo 'they fail' >>"$out/log"
grep -vE '^\[(=| )' "$out/log" >"$out/problems" || true
verdict "unpacked its unit tests run" "$out/problems"

(cd "$out/$name" && sh tests/checks/files.sh && sh tests/checks/layers.sh) >"$out/log" 2>&1 || true
grep -v '^ok' "$out/log" >"$out/problems" || true
verdict "unpacked its files are checked" "$out/problems"

(cd "$out/$name" && sh tools/files.sh --new) | diff "$out/files" - >"$out/problems" || true
verdict "nothing was written but in its build folder" "$out/problems"

# As where the repository is another user's, of whom git wants nothing to do.
: >"$out/problems"
if command -v git >/dev/null 2>&1; then
    echo 'no repository' >"$out/$name/.git"
    (cd "$out/$name" && SOURCE_DATE_EPOCH=1 sh tools/dist.sh) >"$out/problems" 2>"$out/log" || true
    grep -q '^fatal: ' "$out/log" || cat "$out/log" >>"$out/problems"
    rm "$out/$name/.git"
fi
verdict "a repository that git does not read makes no tarball" "$out/problems"
exit "$status"
