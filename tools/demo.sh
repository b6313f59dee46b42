#!/bin/sh
# Shows list, create and revoke over verified TLS against an emulator on this machine, with throw-away certificates.
# Every command is printed as it could be typed from here. Nothing is left running.
set -eu

cd "$(dirname "$0")/.."
demo=build/demo
mkdir -p "$demo"
rm -f "$demo/port" "$demo/output"

# show COMMAND...: shows a command, runs it and shows what it says.
show() {
    line=
    for word in "$@"; do
        case $word in
        *[!A-Za-z0-9_./:=-]* | '') line="$line '$word'" ;;
        *) line="$line $word" ;;
        esac
    done
    echo
    echo "\$$line"
    "$@"
}

emulator=
stop() {
    if [ -n "$emulator" ]; then
        kill "$emulator" 2>/dev/null || true
        wait "$emulator" 2>/dev/null || true
        emulator=
    fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

show sh tests/certs.sh "$demo"

echo
echo "\$ build/hathora-emulator --cert $demo/leaf.pem --key $demo/leaf.key --org org-demo --token demo-token" \
    "--port-file $demo/port &"
build/hathora-emulator --cert "$demo/leaf.pem" --key "$demo/leaf.key" --org org-demo --token demo-token \
    --port-file "$demo/port" 2>"$demo/emulator.log" &
emulator=$!
tries=0
while [ ! -s "$demo/port" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$emulator" 2>/dev/null; then
        echo "tools/demo.sh: the emulator did not start" >&2
        cat "$demo/emulator.log" >&2
        exit 1
    fi
    sleep 0.1
done

HATHORA_ORG_ID="org-demo"
HATHORA_TOKEN="demo-token"
HATHORA_CLOUD_ENDPOINT=https://localhost:$(cat "$demo/port")
SSL_CERT_FILE=$demo/ca.pem
unset HATHORA_OUTPUT https_proxy HTTPS_PROXY no_proxy NO_PROXY
export HATHORA_ORG_ID HATHORA_TOKEN HATHORA_CLOUD_ENDPOINT SSL_CERT_FILE
echo
echo "\$ export HATHORA_ORG_ID=$HATHORA_ORG_ID HATHORA_TOKEN=$HATHORA_TOKEN"
echo "\$ export HATHORA_CLOUD_ENDPOINT=$HATHORA_CLOUD_ENDPOINT SSL_CERT_FILE=$SSL_CERT_FILE"

show build/hathora-tokens list
show build/hathora-tokens create --name build-farm --scope builds:read-write
show build/hathora-tokens create --name night-watch --scope processes:read --scope fleets:read -o json
show build/hathora-tokens list

id=$(build/hathora-tokens list -o orgTokenIdValue | sed -n 1p)
show build/hathora-tokens revoke --yes "$id"
show build/hathora-tokens list -o json >"$demo/output"
cat "$demo/output"

# The first token is revoked, the second is not.
if ! grep -q "\"orgTokenId\":\"$id\"" "$demo/output" ||
    [ "$(grep -o '"status":"revoked"' "$demo/output" | wc -l)" -ne 1 ] ||
    [ "$(grep -o '"status":"active"' "$demo/output" | wc -l)" -ne 1 ]; then
    echo "tools/demo.sh: the last list is not as it should be" >&2
    exit 1
fi
stop
echo
echo "All went well, and nothing is left running."
