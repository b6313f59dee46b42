#!/bin/sh
# dist.sh [FOLDER]: writes hathora_tokens-VERSION.tar.gz into FOLDER (build/dist). The same files give the same bytes, in a
# clone as in an unpacked tarball: names are sorted, owners and modes fixed, and every time is SOURCE_DATE_EPOCH, or else
# that of the last commit, or of the newest file where there is no repository. A clone gives what git tracks, as it
# stands in the work tree.
set -eu

cd "$(dirname "$0")/.."
out=${1:-build/dist}
version=$(sed -n 's/^#define HTOK_VERSION  *"\(.*\)"$/\1/p' hathora_tokens.h)
name=hathora_tokens-$version
export LC_ALL=C

if ! tar --version 2>/dev/null | grep -q GNU; then
    echo 'tools/dist.sh: needs GNU tar' >&2
    exit 1
fi
mkdir -p "$out"
sh tools/files.sh >"$out/files"
if [ -n "${SOURCE_DATE_EPOCH-}" ]; then
    time=$SOURCE_DATE_EPOCH
elif [ -e .git ]; then
    time=$(git log -1 --format=%ct)
else
    time=$(tr '\n' '\0' <"$out/files" | xargs -0 stat -c %Y | sort -n | tail -n 1)
fi
tar --create --format=ustar --no-recursion --files-from="$out/files" --transform="s|^|$name/|" --mtime="@$time" \
    --owner=0 --group=0 --numeric-owner --mode=u+rw,go=u,go-w >"$out/$name.tar"
gzip -9 -n -f "$out/$name.tar"
echo "$out/$name.tar.gz"
