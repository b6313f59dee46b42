#!/bin/sh
# tools.sh: the emulator and the command-line tool, each run by $VALGRIND: list, create, list, revoke, and a refusal.
set -eu

cd "$(dirname "$0")/../.."
out=build/lint/tools
rm -rf "$out"
mkdir -p "$out"
sh tests/certs.sh "$out" >"$out/certs.log" 2>&1

# The command and its options are a list of words.
# shellcheck disable=SC2086
$VALGRIND build/hathora-emulator --cert "$out/leaf.pem" --key "$out/leaf.key" --org org-1 --token dev-token \
    --port-file "$out/port" >"$out/emulator.log" 2>&1 &
emulator=$!
trap 'kill "$emulator" 2>/dev/null || true' EXIT
tries=0
while [ ! -s "$out/port" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$emulator" 2>/dev/null; then
        echo "tests/lint/tools.sh: the emulator did not start" >&2
        cat "$out/emulator.log" >&2
        exit 1
    fi
    sleep 0.1
done

HATHORA_ORG_ID=org-1
HATHORA_TOKEN=dev-token
HATHORA_CLOUD_ENDPOINT=https://localhost:$(cat "$out/port")
SSL_CERT_FILE=$out/ca.pem
unset HATHORA_OUTPUT https_proxy HTTPS_PROXY
export HATHORA_ORG_ID HATHORA_TOKEN HATHORA_CLOUD_ENDPOINT SSL_CERT_FILE

# run STATUS ARGUMENT...: the tool must end with the status, and valgrind must be silent.
run() {
    expected=$1
    shift
    status=0
    # shellcheck disable=SC2086
    $VALGRIND --log-file="$out/valgrind" build/hathora-tokens "$@" >"$out/stdout" 2>"$out/stderr" || status=$?
    if [ "$status" -ne "$expected" ] || [ -s "$out/valgrind" ]; then
        echo "tests/lint/tools.sh: hathora-tokens $* ended with $status, not $expected" >&2
        cat "$out/stdout" "$out/stderr" "$out/valgrind" >&2
        exit 1
    fi
}

run 0 list
run 0 -v create --name ci --scope tokens:read
run 0 list -o json
run 0 list -o orgTokenIdValue
id=$(sed -n 1p "$out/stdout")
run 0 rotate --name ci
run 0 list --status active --name 'ci*' --sort -createdAt
run 1 revoke "$id"
run 0 revoke --name ci-rot2 --dry-run
run 0 revoke --name ci-rot2
run 2 rotate --name ci
run 3 -v revoke no-such-token

kill "$emulator"
trap - EXIT
status=0
wait "$emulator" || status=$?
if [ "$status" -ne 0 ] || grep -q '^==' "$out/emulator.log"; then
    echo "tests/lint/tools.sh: the emulator ended with $status" >&2
    cat "$out/emulator.log" >&2
    exit 1
fi
