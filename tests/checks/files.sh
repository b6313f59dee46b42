#!/bin/sh
# What no file of the project may hold.
set -eu

cd "$(dirname "$0")/../.."
out=build/checks
mkdir -p "$out"
status=0

sh tools/files.sh --new >"$out/files"

# absent NAME PATTERN [FILES]: no line of any text file, or of those whose name matches FILES, does.
absent() {
    grep -E "${3:-.}" "$out/files" | xargs -d "\n" grep -nIE "$2" -- >"$out/found" || true
    if [ -s "$out/found" ]; then
        echo "not ok $1"
        sed 's/^/    /' "$out/found"
        status=1
    else
        echo "ok $1"
    fi
}

# The brackets keep this file itself from matching.
absent "no path of a machine" '(^|[^a-zA-Z0-9_.])/(work|root|home|Users)/[a-zA-Z0-9]'
absent "no unfinished work" '(^|[^a-zA-Z])(TO[D]O|FIX[M]E)([^a-zA-Z]|$)'
sources='[.](c|cpp|h|mjs|sh|awk|md)$|^Makefile$|^[.]ci/'
absent "no white space at the end of a line" '[[:blank:]]$' "$sources"
absent "no carriage return" "$(printf '\r')\$" "$sources"

if grep -q . "$out/files"; then
    echo "ok there are files to look at"
else
    echo "not ok there are files to look at"
    status=1
fi
exit "$status"
