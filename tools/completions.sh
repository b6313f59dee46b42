#!/bin/sh
# completions.sh SHELL PROGRAM: writes the completions of a tool for bash, zsh or fish to standard output, made from the
# tool's own table of options (PROGRAM --dump-options).
set -eu

if [ $# -ne 2 ]; then
    echo "usage: tools/completions.sh bash|zsh|fish PROGRAM" >&2
    exit 2
fi
case $1 in
bash | zsh | fish) ;;
*)
    echo "tools/completions.sh: no shell $1; there are bash, zsh and fish" >&2
    exit 2
    ;;
esac
table=$("$2" --dump-options)

printf '%s\n' "$table" | awk -F '\t' -v shell="$1" -v program="$(basename "$2")" '
function quoted(text) { gsub(/\047/, "\047\\\047\047", text); return "\047" text "\047" }
$1 == "command" { commands = commands (commands == "" ? "" : " ") $2 }
$1 == "values" { named[$2] = $3 }
$1 == "option" {
    n++; name[n] = $2; alias[n] = $3; letter[n] = $4; argument[n] = $5; scope[n] = $7; values[n] = $8; help[n] = $9
}
# The words that an option may have, or nothing.
function words(i,    list, parts, count, k) {
    list = values[i] in named ? named[values[i]] : values[i]
    if (list == "-" || list == "<file>") return ""
    if (name[i] == "--sort") {
        count = split(list, parts, " ")
        for (k = 1; k <= count; k++) list = list " -" parts[k]
    }
    return list
}
function names(i) { return name[i] (alias[i] == "-" ? "" : " " alias[i]) (letter[i] == "-" ? "" : " " letter[i]) }
function pattern(i,    text) { text = names(i); gsub(/ /, "|", text); return text }
END {
    id = program; gsub(/-/, "_", id)
    if (shell == "bash") bash()
    else if (shell == "zsh") zsh()
    else fish()
}

function bash(    i, k, count, parts, line) {
    print "# bash completion for " program ", made by tools/completions.sh"
    print "_" id "() {"
    print "    local line=${COMP_LINE:0:COMP_POINT} cur=\"\" prev=\"\" command=\"\" words=\"\" i skip=\"\" reply"
    print "    local -a typed"
    print "    read -ra typed <<<\"$line\""
    print "    if [[ $line != *[[:space:]] ]]; then"
    print "        cur=${typed[${#typed[@]} - 1]}"
    print "        unset \"typed[${#typed[@]} - 1]\""
    print "    fi"
    print "    # The command, past options and their values."
    print "    for ((i = 1; i < ${#typed[@]}; i++)); do"
    print "        if [[ $skip ]]; then"
    print "            skip=\"\""
    print "            continue"
    print "        fi"
    print "        case ${typed[i]} in"
    line = ""
    for (i = 1; i <= n; i++) if (argument[i] != "-") line = line (line == "" ? "" : "|") pattern(i)
    print "        " line ") skip=1 ;;"
    print "        -*) ;;"
    print "        *) command=${command:-${typed[i]}} ;;"
    print "        esac"
    print "    done"
    print "    if [[ $skip ]]; then"
    print "        prev=${typed[${#typed[@]} - 1]}"
    print "    elif [[ $cur == --*=* ]]; then"
    print "        prev=${cur%%=*}"
    print "        cur=${cur#*=}"
    print "    fi"
    print "    case $prev in"
    print "    \047\047)"
    print "        if [[ $cur == -* ]]; then"
    print "            case $command in"
    count = split(commands, parts, " ")
    for (k = 1; k <= count; k++) {
        line = ""
        for (i = 1; i <= n; i++) if (index("," scope[i] ",", "," parts[k] ",")) line = line " " name[i]
        print "            " parts[k] ") words=\"" substr(line, 2) "\" ;;"
    }
    line = ""
    for (i = 1; i <= n; i++) line = line " " name[i]
    print "            *) words=\"" substr(line, 2) "\" ;;"
    print "            esac"
    if (commands != "") {
        print "        elif [[ -z $command ]]; then"
        print "            words=\"" commands "\""
    }
    print "        fi"
    print "        ;;"
    for (i = 1; i <= n; i++) {
        if (words(i) != "") print "    " pattern(i) ") words=\"" words(i) "\" ;;"
        else if (values[i] == "<file>") {
            print "    " pattern(i) ")"
            print "        compopt -o filenames 2>/dev/null"
            print "        while IFS= read -r reply; do COMPREPLY+=(\"$reply\"); done < <(compgen -f -- \"$cur\")"
            print "        return"
            print "        ;;"
        }
    }
    print "    esac"
    print "    # Readline replaces only what stands after the last colon."
    print "    i=\"\""
    print "    if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then"
    print "        i=${cur%\"${cur##*:}\"}"
    print "    fi"
    print "    while IFS= read -r reply; do COMPREPLY+=(\"${reply#\"$i\"}\"); done < <(compgen -W \"$words\" -- \"$cur\")"
    print "}"
    print "complete -F _" id " " program
}

function bracketed(text) { gsub(/[][\\:]/, "\\\\&", text); return text }
function zsh(    i, spec, action, both) {
    print "#compdef " program
    print "# zsh completion for " program ", made by tools/completions.sh"
    for (i = 1; i <= n; i++) if (words(i) != "")
        print "_" id "_" i "() { compadd -- " words(i) " }"
    print "_arguments -s -S \\"
    for (i = 1; i <= n; i++) {
        action = ""
        if (argument[i] != "-") {
            action = ":" bracketed(argument[i]) ":" (words(i) != "" ? "_" id "_" i : values[i] == "<file>" ? "_files" : " ")
        }
        both = names(i)
        count = split(both, parts, " ")
        for (k = 1; k <= count; k++) {
            spec = (index(help[i], "may repeat") ? "*" : count > 1 ? "(" both ")" : "") parts[k]
            if (argument[i] != "-") spec = spec (parts[k] ~ /^--/ ? "=" : "+")
            print "    " quoted(spec "[" bracketed(help[i]) "]" action) " \\"
        }
    }
    # No rule for what stands behind the command: with one, zsh offers no options there.
    print "    " (commands == "" ? "" : quoted("1:command:(" commands ")"))
}

function fish(    i, line, seen) {
    print "# fish completion for " program ", made by tools/completions.sh"
    print "complete -c " program " -f"
    if (commands != "")
        print "complete -c " program " -n " quoted("not __fish_seen_subcommand_from " commands) " -a " quoted(commands)
    for (i = 1; i <= n; i++) {
        line = "complete -c " program " -l " substr(name[i], 3)
        if (letter[i] != "-") line = line " -s " substr(letter[i], 2)
        seen = scope[i]; gsub(/,/, " ", seen)
        if (seen != "" && seen != commands)
            line = line " -n " quoted("not __fish_seen_subcommand_from " commands "; or __fish_seen_subcommand_from " seen)
        if (words(i) != "") line = line " -x -a " quoted(words(i))
        else if (values[i] == "<file>") line = line " -r -F"
        else if (argument[i] != "-") line = line " -x"
        print line " -d " quoted(help[i])
        if (alias[i] != "-") print "complete -c " program " -l " substr(alias[i], 3) " -x -d " quoted("the same as " name[i])
    }
}'
