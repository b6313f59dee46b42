#!/bin/sh
# The order of the header: its contents, its includes, and that each room uses only rooms above it.
set -eu

cd "$(dirname "$0")/../.."
out=build/checks
mkdir -p "$out"
header=hathora_tokens.h
code=$out/code
. tests/verdict.sh

awk -f tests/checks/strip.awk "$header" >"$code"

# The contents are the lines of the first comment that begin with a tag, of one or two words.
awk '{ print } /[*][/]$/ { exit }' "$header" |
    sed -n 's/^     >>\([a-z0-9]*\( [a-z0-9]\{1,\}\)\{0,1\}\)  *[^ ].*/\1/p' >"$out/contents"
sed -n 's|^//||p' "$code" >"$out/tags"
diff "$out/contents" "$out/tags" >"$out/contents.diff" || true
test -s "$out/contents" || echo "no contents" >>"$out/contents.diff"
verdict "the contents name the tags of the file, in order" "$out/contents.diff"

awk '/^     >>/ { last = NR } NR == 60 { exit } END { if (!last || last > 40) print "the contents end in line " last }' \
    "$header" >"$out/contents.late"
verdict "the contents stand in the first 40 lines" "$out/contents.late"

awk '/^#ifndef HATHORA_TOKENS_H$/ { public = 1 }
     /^#endif \/\* HATHORA_TOKENS_H \*\/$/ { public = 0; ended = 1 }
     public && /^[ \t]*#[ \t]*include/ && !/<(stddef|stdint|stdbool)\.h>/ { print NR ": " $0 }
     END { if (!ended) print "the public half has no end" }' "$header" >"$out/includes"
verdict "the public half includes stddef.h, stdint.h and stdbool.h alone" "$out/includes"

awk '/^\/\/bytes$/ { core = 1 }
     /^\/\/(tls|x509|sockets)$/ { core = 0; ended = 1 }
     core && /^[ \t]*#[ \t]*include/ && !/HATHORA_TOKENS_JSMN_H/ { print NR ": " $0 }
     core && /(^|[^a-zA-Z0-9_.>])(br_[a-z0-9_]+|errno|malloc|free|time_t|getaddrinfo|send|recv|poll|fopen|printf)([^a-zA-Z0-9_]|$)/ {
         print NR ": " $0
     }
     END { if (!ended) print "the core has no end" }' "$code" >"$out/core.leaks"
verdict "the core knows neither TLS nor the system" "$out/core.leaks"

# Below the public half no function is declared ahead of its definition, and none is used above it, but for those
# under a comment that says "Declared ahead" and why.
awk '
    NR == FNR {
        if (/Declared ahead/) { ahead = 1 } else if ($0 == "") { ahead = 0 }
        if (ahead) { excused[FNR] = 1 }
        next
    }
    /^#endif \/\* HATHORA_TOKENS_H \*\/$/ { inside = 1; next }
    !inside || /^\/\// { next }
    continued || /^[ \t]*#/ { continued = /\\$/; next }
    {
        # A declaration begins in the first column and runs to its brace or semicolon.
        if (depth == 0 && head != "") { head = head " " $0 }
        else if (depth == 0 && /^[a-zA-Z_]/) { head = $0; started = FNR }
        if (depth == 0 && head ~ /[{;]/) {
            opener = head
            sub(/[{;].*/, "", opener)
            if (opener !~ /^typedef|=/ && match(opener, /htoki?_[a-z0-9_]+\(/)) {
                name = substr(opener, RSTART, RLENGTH - 1)
                if (head !~ /[{]/ && started in excused) { allowed[name] = 1 }
                else if (head !~ /[{]/) { print started ": declares " name " ahead" }
                else if (!(name in defined)) { defined[name] = started; functions++ }
            }
            head = ""
        }
        rest = $0
        while (match(rest, /htoki?_[a-z0-9_]+/)) {
            name = substr(rest, RSTART, RLENGTH)
            rest = substr(rest, RSTART + RLENGTH)
            if (!(name in used)) { used[name] = FNR }
        }
        opens = gsub(/[{]/, "{")
        depth += opens - gsub(/[}]/, "}")
    }
    END {
        for (name in used) {
            if (name in defined && !(name in allowed) && used[name] < defined[name]) {
                print used[name] ": uses " name ", defined in line " defined[name]
            }
        }
        if (functions < 50) { print "only " functions + 0 " functions found" }
        if (depth != 0) { print "braces do not match" }
    }' "$header" "$code" >"$out/upward"
verdict "every function is used below its definition and never declared ahead" "$out/upward"
exit "$status"
