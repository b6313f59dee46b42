#!/bin/sh
# man.sh FOLDER: writes the manual pages into FOLDER. Those of the tools are copied; the library's gets its functions and
# their descriptions from the public half of hathora_tokens.h.
set -eu

out=${1:?usage: tools/man.sh FOLDER}
cd "$(dirname "$0")/.."
mkdir -p "$out"
cp tools/man/*.1 "$out"

awk '
# Text as mdoc takes it: a line for each sentence, short lines, functions marked as such.
function escaped(text,    lines, count, i, words, n, k, line, out, name, rest) {
    gsub(/\\/, "\\e", text)
    count = split(text, lines, /\. +/)
    for (i = 1; i <= count; i++) {
        n = split(lines[i] (i < count ? "." : ""), words, " ")
        line = ""
        for (k = 1; k <= n; k++) {
            if (match(words[k], /^\(?[a-z_]+\(\)/)) {
                name = substr(words[k], 1, RLENGTH - 2)
                rest = substr(words[k], RLENGTH + 1)
                out = out line (line == "" ? "" : "\n") ".Fn " (sub(/^\(/, "", name) ? "( " : "") name
                while (rest != "") { out = out " " substr(rest, 1, 1); rest = substr(rest, 2) }
                out = out "\n"
                line = ""
            } else if (length(line) + length(words[k]) > 76) {
                out = out line "\n"
                line = words[k]
            } else line = line (line == "" ? "" : " ") words[k]
        }
        out = out line (line == "" ? "" : "\n")
    }
    return out
}
function flush_function(    text, open, name, type, list, depth, c, i, word) {
    text = declaration
    sub(/^HATHORA_TOKENS_API +/, "", text)
    open = index(text, "(")
    name = substr(text, 1, open - 1)
    match(name, /htok_[a-z0-9_]+$/)
    type = substr(name, 1, RSTART - 1)
    name = substr(name, RSTART)
    sub(/ +$/, "", type)
    list = substr(text, open + 1)
    sub(/\) *;.*$/, "", list)
    synopsis = synopsis ".Ft \"" type "\"\n.Fo " name "\n"
    # Commas inside the parentheses of a callback part nothing.
    depth = 0
    word = ""
    for (i = 1; i <= length(list); i++) {
        c = substr(list, i, 1)
        depth += c == "("
        depth -= c == ")"
        if (c == "," && depth == 0) { synopsis = synopsis ".Fa \"" trim(word) "\"\n"; word = "" }
        else word = word c
    }
    synopsis = synopsis ".Fa \"" trim(word) "\"\n.Fc\n"
    if (comment == "" && !shared) { print "tools/man.sh: " name " has no comment" >"/dev/stderr"; exit 1 }
    functions = functions ".It Fn " name "\n" (comment == "" ? "" : trim(escaped(comment)) "\n")
    comment = ""
    shared = 1 # by those that follow without a comment of their own
}
function trim(text) { gsub(/  +/, " ", text); sub(/^[ \n]+/, "", text); sub(/[ \n]+$/, "", text); return text }
FNR == NR {
    if (/^\/\* >>api/) { inside = 1; next }
    if (/^#endif \/\* HATHORA_TOKENS_H/) inside = 0
    if (/^    HTOK_[A-Z_]+,? +\/\*.*[A-Z][A-Za-z]+Error/ || /^    HTOK_UNEXPECTED_CLIENT_ERROR/) {
        text = $0
        match(text, /HTOK_[A-Z_]+/)
        kind = substr(text, RSTART, RLENGTH)
        sub(/^.*\/\* */, "", text); sub(/ *\*\/.*$/, "", text)
        kinds = kinds ".It Dv " kind "\n" text "\n"
    }
    if (!inside) next
    line = $0
    if (in_comment || line ~ /^\/\*/) {
        if (!in_comment) { comment = ""; shared = 0 }
        in_comment = line !~ /\*\//
        sub(/^\/\* */, "", line); sub(/ *\*\/.*$/, "", line)
        comment = comment " " trim(line)
        next
    }
    if (declaration != "" || line ~ /^HATHORA_TOKENS_API/) {
        declaration = declaration (declaration == "" ? "" : " ") trim(line)
        if (line ~ /;$/) { flush_function(); declaration = "" }
    } else if (line !~ /^ *$/) comment = ""
    next
}
/^@SYNOPSIS@$/ { printf "%s", synopsis; next }
/^@FUNCTIONS@$/ { printf "%s", functions; next }
/^@KINDS@$/ { printf ".Bl -tag -width Ds -compact\n%s.El\n", kinds; next }
{ print }' hathora_tokens.h tools/man/hathora_tokens.3.in >"$out/hathora_tokens.3"
