# Blanks comments, strings and character constants, line by line; a line that opens a room becomes "//TAG".
/^(\/\* )?>>[a-z0-9]/ {
    tag = $0
    sub(/^(\/\* )?>>/, "", tag)
    sub(/ *-*-[- ]*(\*\/)?$/, "", tag)
    print "//" tag
    if ($0 !~ /\*\/$/) { comment = 1 }
    next
}
{
    line = $0
    text = ""
    while (line != "") {
        if (comment) {
            at = index(line, "*/")
            if (!at) { break }
            line = substr(line, at + 2)
            comment = 0
        } else if (match(line, /\/\*|\/\/|"([^"\\]|\\.)*"|\047([^\047\\]|\\.)*\047/)) {
            text = text substr(line, 1, RSTART - 1) " "
            token = substr(line, RSTART, 2)
            line = substr(line, RSTART + (token == "/*" ? 2 : RLENGTH))
            if (token == "/*") { comment = 1 }
            if (token == "//") { break }
        } else {
            text = text line
            break
        }
    }
    # The end of the public half is a comment behind an #endif.
    print $0 == "#endif /* HATHORA_TOKENS_H */" ? $0 : text
}
