#!/bin/sh
# stack.sh CERTIFICATE KEY CA [CHAIN KEY]: what build/bench/stack, or the program in STACK, prints of calls to the emulator
# with that certificate.
set -eu

cd "$(dirname "$0")/../.."
scratch=$(mktemp -d build/stack.XXXXXX)
emulator=
trap '{ [ -z "$emulator" ] || kill "$emulator"; rm -rf "$scratch"; } 2>/dev/null' EXIT
build/hathora-emulator --listen 127.0.0.1:0 --cert "$1" --key "$2" --org org-1 --token dev-token \
    --port-file "$scratch/port" >"$scratch/log" 2>&1 &
emulator=$!
until [ -s "$scratch/port" ]; do
    kill -0 "$emulator"
    sleep 0.1
done
shift 2
"${STACK:-build/bench/stack}" "https://localhost:$(cat "$scratch/port")" "$@"
