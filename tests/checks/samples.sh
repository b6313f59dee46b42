#!/bin/sh
# Compiles every C sample of README.md, which stands between ```c and ```, and every sample of the header's comments,
# which is indented below a line that ends with "(compiled by the tests):". A sample without an #include of its own is
# the inside of a function that has a client, its options and an error.
set -eu

cd "$(dirname "$0")/../.."
out=build/checks/samples
rm -rf "$out"
mkdir -p "$out"
status=0

if [ -f README.md ]; then
    awk -v out="$out/readme" '
        /^```c$/ { inside = 1; file = out "-" sprintf("%02d", ++n) "-line-" NR ".txt"; printf "" >file; next }
        /^```/ { if (inside) close(file); inside = 0; next }
        inside { print >file }' README.md
fi
awk -v out="$out/header" '
    function indent(s) { match(s, /^ */); return RLENGTH }
    inside && NF && indent($0) <= base { inside = 0; close(file) }
    inside { print >file }
    /\(compiled by the tests\):$/ {
        inside = 1; base = indent($0); file = out "-" sprintf("%02d", ++n) "-line-" NR ".txt"; printf "" >file
    }' hathora_tokens.h

# wrap FILE: the sample as a whole source file.
wrap() {
    if grep -q '^ *#include' "$1"; then
        cat "$1"
        return
    fi
    printf '%s\n' '#include "hathora_tokens.h"' '#include <stdio.h>' '#include <stdlib.h>' '#include <string.h>'
    printf '%s\n' 'void sample(htok_client *client, htok_client_options options, htok_error error);'
    printf '%s\n' 'void sample(htok_client *client, htok_client_options options, htok_error error)' '{'
    cat "$1"
    printf '%s\n' '(void)client;' '(void)options;' '(void)error;' '}'
}

count=0
for text in "$out"/*.txt; do
    [ -e "$text" ] || continue
    count=$((count + 1))
    base=${text%.txt}
    name=$(basename "$base")
    wrap "$text" >"$base.c"
    for compiler in 'gcc -std=c99' 'g++ -std=c++11 -x c++'; do
        # The compiler is a list of words.
        # shellcheck disable=SC2086
        if $compiler -Wall -Wextra -Wpedantic -Werror -Wno-missing-field-initializers -I. -c "$base.c" -o "$base.o" \
            >"$base.log" 2>&1; then
            echo "ok sample $name compiles with $compiler"
        else
            echo "not ok sample $name compiles with $compiler"
            sed 's/^/    /' "$base.log"
            status=1
        fi
    done
done
if [ "$count" -eq 0 ]; then
    echo "not ok there are samples"
    status=1
fi
exit "$status"
