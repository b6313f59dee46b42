#!/bin/sh
# install.sh [--remove]: copies what was built to its places below PREFIX, DESTDIR before it, or removes it from there.
# For the Makefile, which sets DESTDIR, PREFIX, BINDIR, INCLUDEDIR, DATADIR, MANDIR, PKGCONFIGDIR and LIBS. Nothing is
# written elsewhere, so what was built by one user can be installed by another. Modes do not depend on the umask.
set -eu

cd "$(dirname "$0")/.."
umask 022
pc=hathora_tokens.pc
tab=$(printf '\t')
line_end='
'

fail() {
    echo "make install: $1" >&2
    exit 2
}

for folder in "$PREFIX" "$BINDIR" "$INCLUDEDIR" "$DATADIR" "$MANDIR" "$PKGCONFIGDIR"; do
    case $DESTDIR$folder in
    *"$tab"* | *"$line_end"* | *[\"\\]*) fail "a folder's name holds a tab, line end, quotation mark or backslash" ;;
    esac
    case $folder in
    /*) ;;
    *) fail "PREFIX and the folders below it must begin with /, unlike '$folder'" ;;
    esac
done

# What it takes to compile and link a program that holds the implementation; there is no library but BearSSL's, which has
# no file of its own for pkg-config. Quoted, for PREFIX may hold spaces.
pkg_config_file() {
    version=$(sed -n 's/^#define HTOK_VERSION  *"\(.*\)"$/\1/p' hathora_tokens.h)
    cat <<END
prefix=$PREFIX
includedir=$INCLUDEDIR

Name: hathora_tokens
Description: Single-header client for the Tokens V1 operations of the Hathora Cloud API
Version: $version
Cflags: -I"\${includedir}"
Libs: $LIBS
END
}

# list: mode, source and place of each file, between tabs.
list() {
    for tool in build/hathora-emulator build/hathora-tokens; do
        echo "755$tab$tool$tab$BINDIR/${tool#build/}"
        name=${tool#build/}
        echo "644${tab}build/completions/$name$tab$DATADIR/bash-completion/completions/$name"
        echo "644${tab}build/completions/_$name$tab$DATADIR/zsh/site-functions/_$name"
        echo "644${tab}build/completions/$name.fish$tab$DATADIR/fish/vendor_completions.d/$name.fish"
    done
    # Its own name says nothing of whose anchors it makes.
    echo "755${tab}build/mkanchors$tab$BINDIR/hathora-mkanchors"
    echo "644${tab}hathora_tokens.h$tab$INCLUDEDIR/hathora_tokens.h"
    for page in tools/man/*; do
        page=$(basename "$page" .in)
        echo "644${tab}build/man/$page$tab$MANDIR/man${page##*.}/$page"
    done
    echo "644$tab-$tab$PKGCONFIGDIR/$pc"
}

case ${1-} in
--remove)
    list | while IFS=$tab read -r mode source place; do
        rm -f "$DESTDIR$place"
    done
    ;;
'')
    list | while IFS=$tab read -r mode source place; do
        mkdir -p "$DESTDIR${place%/*}"
        if [ "$source" = - ]; then
            pkg_config_file >"$DESTDIR$place.new"
            chmod "$mode" "$DESTDIR$place.new"
            mv "$DESTDIR$place.new" "$DESTDIR$place"
        else
            install -m "$mode" "$source" "$DESTDIR$place"
        fi
    done
    ;;
*) fail "unknown option $1" ;;
esac
