#!/bin/sh
# make install and uninstall: which files, with what modes, and whether a program is built by pkg-config's word alone.
# install.txt is the list of files below PREFIX.
set -eu

cd "$(dirname "$0")/../.."
out=$PWD/build/checks/install
rm -rf "$out"
mkdir -p "$out"
. tests/verdict.sh

# files FOLDER: mode and name of each file below it.
files() {
    (cd "$1" && find . ! -type d -printf '%m %P\n' | LC_ALL=C sort -k 2)
}

# sums FOLDER
sums() {
    (cd "$1" && find . -type f -exec cksum {} + | LC_ALL=C sort)
}

# install_to PREFIX FOLDER [ARGUMENT...]: with FOLDER before it, by a user whose new files nobody else may read.
install_to() {
    prefix=$1 folder=$2
    shift 2
    (umask 077 && make -s --no-print-directory install PREFIX="$prefix" DESTDIR="$folder" "$@") >"$out/log" 2>&1 || cat "$out/log"
}

# program FOLDER PREFIX: builds a program with what pkg-config says, and shows what that prints.
program() {
    (
        export PKG_CONFIG_SYSROOT_DIR="$1" PKG_CONFIG_PATH="$1$2/share/pkgconfig"
        cd "$out"
        # pkg-config's words are quoted for a shell.
        eval "set -- $(pkg-config --cflags --libs hathora_tokens)"
        ${CC:-cc} -std=c99 app.c -o app "$@"
        ./app
        pkg-config --modversion hathora_tokens
    )
}

cat >"$out/app.c" <<'END'
#define HATHORA_TOKENS_IMPLEMENTATION
#include <hathora_tokens.h>
#include <stdio.h>

int main(void)
{
    htok_client_options options = {0};
    htok_client *client;
    options.server_url = "http://127.0.0.1";
    if (htok_client_create(&client, &options, NULL) != HTOK_OK) {
        return 1;
    }
    htok_client_close(client);
    puts(HTOK_VERSION);
    return 0;
}
END

# What is built is for everybody to read, whoever installs it.
(umask 022 && make -s --no-print-directory all docs) >"$out/problems" 2>&1
install_to /usr "$out/first" >>"$out/problems"
files "$out/first/usr" | diff tests/checks/install.txt - >>"$out/problems" || true
find "$out/first" -type d ! -perm 755 >>"$out/problems"
verdict "the files and their modes are those of the list, whatever the umask" "$out/problems"

sums "$out/first" >"$out/before"
install_to /usr "$out/first" >"$out/problems"
sums "$out/first" | diff "$out/before" - >>"$out/problems" || true
files "$out/first/usr" | diff tests/checks/install.txt - >>"$out/problems" || true
verdict "a second installation changes nothing" "$out/problems"

for tool in hathora-tokens hathora-emulator hathora-mkanchors; do
    "$out/first/usr/bin/$tool" --help >"$out/log" 2>&1 || cat "$out/log"
done >"$out/problems"
verdict "the installed tools run" "$out/problems"

version=$(sed -n 's/^#define HTOK_VERSION  *"\(.*\)"$/\1/p' hathora_tokens.h)
printf '%s\n%s\n' "$version" "$version" >"$out/expected"
program "$out/first" /usr 2>&1 | diff "$out/expected" - >"$out/problems" || true
verdict "a program is built with what pkg-config says, and both have the header's version" "$out/problems"

install_to '/opt/a b' "$out/with space" >"$out/problems"
program "$out/with space" '/opt/a b' 2>&1 | diff "$out/expected" - >>"$out/problems" || true
verdict "folders may hold spaces" "$out/problems"

make -s --no-print-directory uninstall PREFIX=/usr DESTDIR="$out/first" >"$out/problems" 2>&1 || true
files "$out/first" >>"$out/problems"
verdict "uninstall leaves no file" "$out/problems"

install_to /usr "$out/moved" BINDIR=/usr/games MANDIR=/usr/man PKGCONFIGDIR=/usr/lib/pkgconfig >"$out/problems"
for file in games/hathora-tokens man/man3/hathora_tokens.3 lib/pkgconfig/hathora_tokens.pc; do
    test -f "$out/moved/usr/$file" || echo "no $file"
done >>"$out/problems"
verdict "each folder may be another" "$out/problems"

{
    ! make -s --no-print-directory install PREFIX=usr DESTDIR="$out/refused/" >"$out/log" 2>&1 || echo 'it was not refused'
    grep -q "must begin with /, unlike 'usr'" "$out/log" || cat "$out/log"
    [ ! -e "$out/refused" ] || echo 'something was written'
} >"$out/problems"
verdict "a relative PREFIX is refused" "$out/problems"

# What was built is installed by whoever may write to the place, without a change below build/. Where this user may write
# everywhere, as root, it is nobody's turn, who must be able to reach this folder for that.
find build -maxdepth 2 -type f \( -path 'build/man/*' -o -path 'build/completions/*' -o -name 'hathora-*' \) \
    -exec ls -l --time-style=full-iso {} + >"$out/before"
mkdir "$out/nobody"
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups test -r "$PWD/Makefile" 2>"$out/log"; then
    chown 65534:65534 "$out/nobody"
    setpriv --reuid=65534 --regid=65534 --clear-groups make -s --no-print-directory install PREFIX=/usr DESTDIR="$out/nobody" \
        >"$out/problems" 2>&1 || true
else
    install_to /usr "$out/nobody" >"$out/problems"
fi
files "$out/nobody/usr" | diff tests/checks/install.txt - >>"$out/problems" 2>&1 || true
find build -maxdepth 2 -type f \( -path 'build/man/*' -o -path 'build/completions/*' -o -name 'hathora-*' \) \
    -exec ls -l --time-style=full-iso {} + | diff "$out/before" - >>"$out/problems" || true
verdict "an ordinary user installs what is built, and nothing is built again" "$out/problems"
exit "$status"
