#!/bin/sh
# Replaces the token in a file by a new one, as a scheduled job of CI does: creates a successor, proves it by a list,
# stores it, and only then revokes its predecessors. Whatever fails, run it again: it begins anew, and what an earlier
# run left behind is revoked with the rest.
#
#   HATHORA_ORG_ID=... examples/rotate.sh FILE NAME SCOPE...
#   for example: examples/rotate.sh token.txt nightly tokens:read-write builds:read
#
# FILE holds the token to replace; the scopes must hold tokens:read-write, or the next run can do nothing. The tokens
# are called NAME-SECONDS-PID, and all other active ones of that form are revoked: NAME must be this job's alone.
# HATHORA_TOKENS names the tool (hathora-tokens); jq reads its output.
set -eu

if [ $# -lt 3 ]; then
    echo "usage: rotate.sh FILE NAME SCOPE..." >&2
    exit 2
fi
command -v jq >/dev/null || { echo "rotate.sh: please install jq" >&2 && exit 2; }
tool=${HATHORA_TOKENS:-hathora-tokens}
file=$1 base=$2 name=$2-$(date +%s)-$$
shift 2
for scope; do
    set -- "$@" --scope "$scope"
    shift
done

# The secret goes from file to file: never into a variable, an argument or the job's log.
umask 077
new=$file.new
trap 'rm -f "$new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$tool" --token-file "$file" create --name "$name" "$@" -o plainTextTokenValue >"$new"
tokens=$("$tool" --token-file "$new" list -o json)
mv "$new" "$file"

old=$(printf '%s' "$tokens" | jq -r --arg base "$base" --arg name "$name" '.tokens[]
    | select(.status == "active" and .name != $name)
    | select((.name | startswith($base + "-")) and (.name | ltrimstr($base + "-") | test("^[0-9]+-[0-9]+$")))
    | .orgTokenId')
if [ -n "$old" ]; then
    # One id a line. Exit 1 says that another run was faster.
    set -f
    IFS='
'
    # shellcheck disable=SC2086
    "$tool" --token-file "$file" revoke -- $old || [ $? -eq 1 ]
fi
echo "$name is the token now"
