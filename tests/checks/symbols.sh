#!/bin/sh
# What the header adds to a program: undefined symbols, global symbols and macros. One line for each check.
set -eu

cd "$(dirname "$0")/../.."
out=build/checks
mkdir -p "$out"
. tests/verdict.sh
base='-I. -O2 -fno-stack-protector -fno-pic'
every=
for knob in SOCKETS RESOLVER THREADS TLS CLIENT_CERTIFICATE PROXY SESSIONS FILES CLOCK ENTROPY STDLIB STRINGS LOG BLOCKING; do
    every="$every -DHATHORA_TOKENS_NO_$knob"
done
rims=
for knob in SOCKETS RESOLVER THREADS TLS FILES CLOCK ENTROPY STDLIB; do
    rims="$rims -DHATHORA_TOKENS_NO_$knob"
done

# compile OUTPUT FLAGS...
compile() {
    object=$1
    shift
    "$@" -c tests/compile/implement.c -o "$object"
}

# The lists of flags are words.
# shellcheck disable=SC2086
{
    compile "$out/core.o" gcc -std=c99 $base $rims
    compile "$out/least.o" gcc -std=c99 $base $every
    compile "$out/whole.o" gcc -std=c99 $base
    compile "$out/whole++.o" g++ -std=c++11 $base -x c++
    compile "$out/static.o" gcc -std=c99 $base -DHATHORA_TOKENS_STATIC
}

for object in core least; do
    nm -u "$out/$object.o" | awk '$2 !~ /^mem(cpy|move|set|cmp|chr)$/ { print $2 }' >"$out/$object.undefined"
    verdict "without its rims the header needs mem* functions alone ($object)" "$out/$object.undefined"
done

for object in whole whole++ core; do
    nm -g --defined-only "$out/$object.o" | awk '$3 !~ /^htok_/ { print $3 }' >"$out/$object.foreign"
    nm -g --defined-only "$out/$object.o" | grep -q ' htok_client_init$' || echo "htok_client_init is missing" \
        >>"$out/$object.foreign"
    verdict "every global symbol begins with htok_ ($object)" "$out/$object.foreign"
done
nm -g --defined-only "$out/static.o" >"$out/static.foreign"
verdict "a static copy has no global symbol" "$out/static.foreign"

# All that the whole header takes from the system: nothing of the environment, the locale, signal handlers, the
# standard streams, or the end of the process.
nm -u "$out/whole.o" | awk '{ print $2 }' | grep -vE '^(br_[a-z0-9_]+|mem(cpy|move|set|cmp|chr)|str(len|chr|cmp)|malloc|free'\
'|__errno_location|clock_gettime|getrandom|open|read|close|f(open|read|getc|seek|error|close)'\
'|socket|socketpair|connect|send|recv|[gs]etsockopt|shutdown|poll|getaddrinfo|freeaddrinfo'\
'|pthread_(create|attr_init|attr_setdetachstate|attr_destroy|mutex_(init|lock|unlock|destroy)|sigmask)|sigfillset)$' \
    >"$out/whole.undefined" || true
verdict "the header takes no environment, locale, signal handler, standard stream or exit from the system" \
    "$out/whole.undefined"

nm "$out/whole.o" | awk '$2 ~ /^[BbDdC]$/ { print $3 }' >"$out/data"
verdict "there are no writable variables" "$out/data"

# macros FILE FLAGS...: the macros that are left at the end of FILE.
macros() {
    file=$1
    shift
    gcc -std=c99 -I. -dM -E "$@" "$file" | awk '{ sub(/\(.*/, "", $2); print $2 }' | sort -u
}

printf '#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n' >"$out/std.c"
macros "$out/std.c" >"$out/std.macros"
macros tests/compile/declare_alone.c >"$out/declare.macros"
comm -13 "$out/std.macros" "$out/declare.macros" | grep -vE '^(HTOK|HATHORA_TOKENS)_' >"$out/declare.foreign" || true
verdict "the declarations define HTOK_ and HATHORA_TOKENS_ macros alone" "$out/declare.foreign"

# Of the implementation, what this file itself defines and leaves, whatever the system's headers do.
gcc -std=c99 -I. -dD -E tests/compile/implement.c | awk '
    /^# [0-9]+ "/ { ours = $3 ~ /hathora_tokens\.h"$/ }
    $1 == "#define" { sub(/\(.*/, "", $2); if (ours) { left[$2] = 1 } }
    $1 == "#undef" { delete left[$2] }
    END { for (name in left) if (name !~ /^(HTOK|HATHORA_TOKENS)_/ && name != "_POSIX_C_SOURCE") print name }' |
    sort >"$out/implement.foreign"
verdict "the implementation leaves HTOK_ and HATHORA_TOKENS_ macros alone" "$out/implement.foreign"
macros tests/compile/implement.c | grep -iE '^(HTOKI|JSMN)' >"$out/implement.private" || true
verdict "the implementation leaves no private macro and none of jsmn" "$out/implement.private"
exit "$status"
