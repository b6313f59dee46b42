#!/bin/sh
# The manual pages and completions against the tools' own tables of options and the header: nothing is missing, nothing
# is told that does not exist, and the completions are run in bash, zsh and fish.
set -eu

cd "$(dirname "$0")/../.."
out=build/checks/manual
rm -rf "$out"
mkdir -p "$out"
. tests/verdict.sh

sh tools/man.sh "$out"
for tool in hathora-tokens hathora-emulator; do
    "build/$tool" --dump-options >"$out/$tool.table"
    "build/$tool" --help >"$out/$tool.help"
    for shell in bash zsh fish; do
        sh tools/completions.sh "$shell" "build/$tool" >"$out/$tool.$shell"
    done
    page=$out/$tool.1

    awk -F '\t' '$1 == "option" { print $2; if ($3 != "-") print $3 }' "$out/$tool.table" >"$out/names"
    while read -r name; do
        grep -qE "^\.It .*Fl -?${name#-}( |$)" "$page" || echo "the page lacks $name"
        grep -qE -e "(^|[ ,])$name( |$)" "$out/$tool.help" || echo "the help lacks $name"
        grep -qE -e "[ |]${name}[ |\")]" "$out/$tool.bash" || echo "bash lacks $name"
        grep -qE -e "${name}[=[]" "$out/$tool.zsh" || echo "zsh lacks $name"
        grep -qE -- " -l ${name#--}( |$)" "$out/$tool.fish" || echo "fish lacks $name"
    done <"$out/names" >"$out/problems"
    verdict "$tool: every option is in the help, the page and the completions" "$out/problems"

    awk -F '\t' '$1 == "option" && $5 != "-" { sub(/\[.*/, "", $5); print $2, $5 }' "$out/$tool.table" |
        while read -r name argument; do
            grep -qE "^\.It .*Fl -?${name#-} Ar .*$argument" "$page" || echo "$name lacks $argument"
        done >"$out/problems"
    verdict "$tool: every argument is in the page" "$out/problems"

    awk -F '\t' '$1 == "option" && $6 != "-" { print $6 }' "$out/$tool.table" | while read -r variable; do
        [ "$(grep -cE "Ev $variable( |$)" "$page")" -ge 2 ] || echo "the page lacks $variable"
        grep -q "\[$variable\]" "$out/$tool.help" || echo "the help lacks $variable"
    done >"$out/problems"
    verdict "$tool: every variable is in the help and the page" "$out/problems"

    sed -n 's/^\.It //p' "$page" | grep -o 'Fl -[a-z-]*' | sed 's/Fl /-/' | while read -r name; do
        grep -qx -e "$name" "$out/names" || echo "there is no $name"
    done >"$out/problems"
    verdict "$tool: the page tells of no option that does not exist" "$out/problems"

    awk -F '\t' '$1 == "command" { print $2 }' "$out/$tool.table" | while read -r command; do
        grep -q "^\.It Cm $command" "$page" || echo "the page lacks $command"
        grep -q " $command " "$out/$tool.help" || echo "the help lacks $command"
    done >"$out/problems"
    verdict "$tool: every command is in the help and the page" "$out/problems"

    bash -n "$out/$tool.bash" >"$out/problems" 2>&1 || true
    verdict "$tool: bash reads its completions" "$out/problems"
    zsh -n "$out/$tool.zsh" >"$out/problems" 2>&1 || true
    verdict "$tool: zsh reads its completions" "$out/problems"
    fish -n "$out/$tool.fish" >"$out/problems" 2>&1 || true
    verdict "$tool: fish reads its completions" "$out/problems"
done

# The items of the fault language.
build/hathora-emulator --help | sed -n '/^Faults:/,$s/^  \([a-z-]*\)[=[ ,].*/\1/p' | while read -r item; do
    grep -qE "^\.It .*Cm $item(=| |$)" "$out/hathora-emulator.1" || echo "the page lacks $item"
done >"$out/problems"
verdict "hathora-emulator: every fault is in the page" "$out/problems"

# mkanchors has no table of options: its help against its page.
page=$out/hathora-mkanchors.1
build/mkanchors --help | sed -n 's/^  --\([a-z]*\) \([A-Z]*\).*/\1 \2/p' >"$out/options"
while read -r name argument; do
    grep -qx "\.It Fl -$name${argument:+ Ar $argument}" "$page" || echo "the page lacks --$name $argument"
done <"$out/options" >"$out/problems"
sed -n 's/^\.It Fl -\([a-z]*\).*/\1/p' "$page" | while read -r name; do
    grep -q "^$name " "$out/options" || echo "there is no --$name"
done >>"$out/problems"
[ "$(wc -l <"$out/options")" -ge 6 ] || echo "the help has no options" >>"$out/problems"
verdict "mkanchors: its page has the options of its help, and no others" "$out/problems"

sed -n '/>>api -/,/^#endif.*HATHORA_TOKENS_H/p' hathora_tokens.h |
    sed -n 's/^HATHORA_TOKENS_API.*\(htok_[a-z0-9_]*\)(.*/\1/p' | while read -r name; do
    grep -qx ".Fo $name" "$out/hathora_tokens.3" && grep -qx ".It Fn $name" "$out/hathora_tokens.3" ||
        echo "the page lacks $name"
done >"$out/problems"
verdict "hathora_tokens: every function is in the page" "$out/problems"

# The README tells what to do about each; lines are joined, and the RFC sections left out.
tr '\n' ' ' <README.md >"$out/readme"
sed -n 's/^    X(\([A-Z_0-9]*\), [A-Z_]*, "\(.*\)").*/\2/p' hathora_tokens.h |
    sed -e 's/ (RFC .*//' -e 's/^Unexpected Status or Content-Type: //' | while read -r text; do
    grep -qF -e "$text" "$out/readme" || echo "README.md lacks: $text"
done | grep -v ': no error$' >"$out/problems" || true
verdict "every message of the header is explained in README.md" "$out/problems"

# Whether other pages are installed is not the pages' fault.
for page in "$out"/*.[13]; do
    mandoc -Tlint "$page" 2>&1 | grep -vE 'referenced manual not found|outdated mandoc.db' >"$out/problems" || true
    verdict "$(basename "$page") is free of mandoc's complaints" "$out/problems"
done

# completed TOOL LINE: what bash offers at the end of the line, sorted, on one line.
completed() {
    COMP_TEST_LINE=$2 bash -c '
        . "$0"
        COMP_LINE=$COMP_TEST_LINE COMP_POINT=${#COMP_TEST_LINE}
        COMP_WORDBREAKS=$'"' \\t\\n\\\"\\'><=;|&(:'"'
        COMPREPLY=()
        "_${1//-/_}"
        printf "%s\n" "${COMPREPLY[@]}"' "$out/$1.bash" "$1" 2>&1 | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//'
}

# offers TOOL LINE WORDS
offers() {
    got=$(completed "$1" "$2")
    if [ "$got" = "$3" ]; then
        echo "ok bash completes '$2'"
    else
        echo "not ok bash completes '$2': it offers '$got' instead of '$3'"
        status=1
    fi
}

offers hathora-tokens 'hathora-tokens ' 'create list revoke rotate'
offers hathora-tokens 'hathora-tokens r' 'revoke rotate'
offers hathora-tokens 'hathora-tokens --org o --token-file f l' 'list'
offers hathora-tokens 'hathora-tokens list --st' '--status'
offers hathora-tokens 'hathora-tokens list --status ' 'active revoked'
offers hathora-tokens 'hathora-tokens list --status=a' 'active'
offers hathora-tokens 'hathora-tokens create --name list --sc' '--scope'
offers hathora-tokens 'hathora-tokens create --scope builds:r' 'read read-write'
offers hathora-tokens 'hathora-tokens create --scope load' 'load-balancer:access'
offers hathora-tokens 'hathora-tokens list --sort -createdA' '-createdAt'
offers hathora-tokens 'hathora-tokens -o plain' 'plainTextTokenValue'
offers hathora-tokens 'hathora-tokens list --org ' ''
offers hathora-tokens 'hathora-tokens revoke --d' '--dry-run'
offers hathora-tokens 'hathora-tokens --ca-file hathora_tok' 'hathora_tokens.h'
offers hathora-emulator 'hathora-emulator --tls' '--tls-self'
offers hathora-emulator 'hathora-emulator --key READ' 'README.md'
offers hathora-emulator 'hathora-emulator ' ''

# fish_offers TOOL LINE WORD: one of what fish offers.
fish_offers() {
    if fish --no-config -c "source $out/$1.fish; complete -C '$2'" 2>&1 | cut -f 1 | grep -qx -e "$3"; then
        echo "ok fish completes '$2'"
    else
        echo "not ok fish completes '$2' with $3"
        status=1
    fi
}

# zsh_completes LINE END: a terminal's zsh, asked by the tabulator key, adds END.
zsh_completes() {
    # The inner shell expands.
    # shellcheck disable=SC2016
    if LINE=$1 END=$2 timeout 20 zsh -fc '
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "PS1=; fpath=(\"$1\" \$fpath); autoload -U compinit; compinit -u -d \"$1/dump\"; print REA\DY"
        zpty -r shell line "*READY*"
        zpty -n -w shell "$LINE"$'"'\\t'"'
        zpty -r shell line "*$END*"
        zpty -d shell' zsh "$PWD/$out/zsh" >"$out/problems" 2>&1; then
        echo "ok zsh completes '$1'"
    else
        echo "not ok zsh completes '$1' with $2"
        sed 's/^/    /' "$out/problems"
        status=1
    fi
}

mkdir "$out/zsh"
for tool in hathora-tokens hathora-emulator; do
    cp "$out/$tool.zsh" "$out/zsh/_$tool"
done
zsh_completes 'hathora-tokens li' st
zsh_completes 'hathora-tokens list --stat' us
zsh_completes 'hathora-tokens revoke id --dr' y-run
zsh_completes 'hathora-tokens create --scope load' -balancer:access
zsh_completes 'hathora-emulator --tl' s-self

fish_offers hathora-tokens 'hathora-tokens ro' rotate
fish_offers hathora-tokens 'hathora-tokens list --sta' --status
fish_offers hathora-tokens 'hathora-tokens create --scope builds:r' builds:read-write
fish_offers hathora-emulator 'hathora-emulator --tls' --tls-self
exit "$status"
