#!/bin/sh
# The demo as a newcomer runs it: on a terminal, and into a file.
set -eu

cd "$(dirname "$0")/../.."
out=build/checks/demo
rm -rf "$out"
mkdir -p "$out"
status=0

# demo WHERE COMMAND...
demo() {
    where=$1
    shift
    if TERM=xterm "$@" >"$out/$where" 2>&1 </dev/null && grep -q '^All went well, and nothing is left running' "$out/$where"; then
        echo "ok demo $where"
    else
        echo "not ok demo $where"
        sed 's/^/    /' "$out/$where"
        status=1
    fi
}

demo 'into a file' sh tools/demo.sh
demo 'on a terminal' script -qec 'sh tools/demo.sh' /dev/null
exit "$status"
