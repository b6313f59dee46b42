#!/bin/sh
# For the checks that come to lists of what is wrong.
# The status is theirs.
# shellcheck disable=SC2034
status=0

# verdict NAME FILE: passes when FILE, such a list, is empty.
verdict() {
    if [ -s "$2" ]; then
        echo "not ok $1"
        head -n 100 "$2" | sed 's/^/    /'
        status=1
    else
        echo "ok $1"
    fi
}
