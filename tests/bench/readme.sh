#!/bin/sh
# readme.sh: puts the tables of the last `make bench` and `make size` between their marks in README.md, and the chart
# beside the programs. A run that was not made leaves its tables as they are.
set -eu

cd "$(dirname "$0")/../.."

# put MARK FILE
put() {
    if [ -f "$2" ]; then
        awk -v mark="$1" -v file="$2" '
            $0 == "<!-- " mark " -->" { print; print ""; while ((getline line < file) > 0) print line; print ""; skip = 1 }
            $0 == "<!-- /" mark " -->" { skip = 0 }
            !skip { print }' README.md >build/bench/README.md
        cat build/bench/README.md >README.md
    fi
}

put bench build/bench/readme.md
put size build/bench/size.md
if [ -f build/bench/bench.svg ]; then
    cp build/bench/bench.svg tests/bench/bench.svg
fi
