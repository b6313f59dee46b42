#!/bin/sh
# No call takes more than 6 KB of stack on amd64 at -O2, whatever keys the server and the client's certificate have.
set -eu

cd "$(dirname "$0")/../.."
out=build/checks/stack
mkdir -p "$out"
status=0
limit=6144
tls=build/certs/tls

if [ "$(gcc -dumpmachine)" != x86_64-linux-gnu ]; then
    echo "ok stack, not measured on $(gcc -dumpmachine)"
    exit 0
fi
gcc -std=c99 -O2 -I. tests/bench/stack.c -o "$out/stack" -lbearssl -pthread -Wl,-z,now

# within NAME CERTIFICATE KEY CA [CHAIN KEY]
within() {
    name=$1
    shift
    STACK=$out/stack sh tests/bench/stack.sh "$@" >"$out/numbers" 2>"$out/log" || : >"$out/numbers"
    if [ "$(awk -v limit=$limit 'NR > 2 && $1 > 0 && $1 <= limit' "$out/numbers" | wc -l)" -eq 3 ]; then
        echo "ok stack of $name"
    else
        echo "not ok stack of $name: making a client, a first list, a create and a list, of $limit bytes"
        sed '1,2d; s/^/    /' "$out/numbers"
        sed 's/^/    /' "$out/log"
        status=1
    fi
}

within P-256 build/certs/leaf.pem build/certs/leaf.key build/certs/ca.pem
within RSA build/certs/rsa.pem build/certs/rsa.key build/certs/ca.pem "$tls/clientrsa.pem" "$tls/clientrsa.key"
within P-384 "$tls/p384.pem" "$tls/p384.key" "$tls/root.pem" "$tls/clientp384.pem" "$tls/clientp384.key"
within P-521 "$tls/under521.pem" "$tls/under521.key" "$tls/root521.pem" "$tls/clientp521.pem" "$tls/clientp521.key"
exit "$status"
