#!/bin/sh
# table.sh [README]: the table of the ports that were run last, from build/port/*/row; into README between its marks.
set -eu

cd "$(dirname "$0")/../.."
table() {
    echo '| target | compiler | runs | tests passed | header, code bytes | tool, stripped bytes |'
    echo '|---|---|---|---|---|---|'
    for conf in tests/port/*.conf; do
        row=build/port/$(basename "$conf" .conf)/row
        if [ -f "$row" ]; then
            cat "$row"
        fi
    done
}
if [ $# -eq 0 ]; then
    table
    exit 0
fi
table >build/port/table
awk -v table=build/port/table '
    /<!-- ports -->/ { print; while ((getline line <table) > 0) print line; inside = 1; next }
    /<!-- end of ports -->/ { inside = 0 }
    !inside' "$1" >build/port/readme
cat build/port/readme >"$1"
