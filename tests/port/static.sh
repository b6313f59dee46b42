#!/bin/sh
# static.sh FOLDER: the tool as make static makes it, by default and with less of BearSSL, driven as the port's own is,
# against the port's emulator.
set -eu

status=0
for tool in build/static/hathora-tokens build/static/small/hathora-tokens; do
    ${MAKE:-make} -s "$tool"
    folder=$1/$(dirname "$tool")
    mkdir -p "$folder"
    cp "$tool" "$1/hathora-emulator" "$folder"
    HATHORA_BIN=$folder build/tests/live/test_cli || status=$?
done
exit "$status"
