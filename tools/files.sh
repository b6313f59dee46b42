#!/bin/sh
# files.sh [--new]: the project's files, sorted: what git tracks, with --new also what it does not ignore; without a
# repository of the project's own, all but build/.
set -eu

cd "$(dirname "$0")/.."
others=
if [ "${1-}" = --new ]; then
    others='--others --exclude-standard'
fi
# An unpacked tarball may lie in the repository of something else.
if [ -e .git ] && command -v git >/dev/null 2>&1; then
    # The options are words.
    # shellcheck disable=SC2086
    files=$(git ls-files --cached $others)
else
    files=$(find . -type f ! -path './build/*' ! -path './.git/*' | sed 's|^\./||')
fi
printf '%s\n' "$files" | while IFS= read -r file; do
    if [ -f "$file" ]; then
        echo "$file"
    fi
done | LC_ALL=C sort -u
