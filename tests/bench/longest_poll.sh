#!/bin/sh
# longest_poll.sh [RUNS]: the longest single poll by kind of key, handshake and length of the list. A measurement, in
# which nothing can fail but the measuring. RUNS (15) for each series; those of long lists are a third of it.
set -eu

runs=${1:-15}
work=$(mktemp -d build/bench.XXXXXX)
servers=
trap 'kill $servers 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export HATHORA_ORG_ID=org-1 HATHORA_TOKEN=bench-token

# measure LABEL PORT RUNS
measure() {
    build/bench/longest_poll "$1" "https://localhost:$2" build/certs/ca.pem "$3"
}

# emulator LABEL CERTIFICATE TOKENS RUNS: BearSSL's server, whose whole flight may stand in one record.
emulator() {
    rm -f "$work/port"
    build/hathora-emulator --cert "build/certs/$2.pem" --key "build/certs/$2.key" --org "$HATHORA_ORG_ID" \
        --token "$HATHORA_TOKEN" --tokens "$3" --quiet --port-file "$work/port" >"$work/log" 2>&1 &
    servers="$servers $!"
    await_port "$!"
    measure "$1" "$(cat "$work/port")" "$4"
}

# openssl LABEL CERTIFICATE RUNS: OpenSSL's server, with a record for each message.
openssl_server() {
    rm -f "$work/port"
    mkdir -p "$work/tokens/v1/orgs"
    printf 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"tokens":[]}' \
        >"$work/tokens/v1/orgs/$HATHORA_ORG_ID"
    (cd "$work" && exec openssl s_server -HTTP -accept 127.0.0.1:0 -cert "../certs/$2.pem" -key "../certs/$2.key" \
        -cert_chain "../certs/$2.pem" -tls1_2) >"$work/log" 2>&1 &
    servers="$servers $!"
    await_port "$!"
    measure "$1" "$(cat "$work/port")" "$3"
}

# Waits until the server tells its port, in a file or in its output.
await_port() {
    while [ ! -s "$work/port" ]; do
        kill -0 "$1" || { cat "$work/log" >&2 && exit 1; }
        sed -n 's/^ACCEPT 127.0.0.1:\([0-9][0-9]*\).*/\1/p' "$work/log" >"$work/found"
        if [ -s "$work/found" ]; then mv "$work/found" "$work/port"; fi
        sleep 0.1
    done
}

printf '%-28s %9s %9s  %s\n' "medians of $runs runs" 'wall ms' 'CPU ms' 'stage of the longest poll'
emulator 'P-256, emulator' leaf 10 "$runs"
emulator 'RSA-2048, emulator' rsa 10 "$runs"
openssl_server 'P-256, OpenSSL' leaf "$runs"
openssl_server 'RSA-2048, OpenSSL' rsa "$runs"
emulator 'list of 100,000' leaf 100000 $(((runs + 2) / 3))
