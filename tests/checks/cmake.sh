#!/bin/sh
# Builds a program by each of the CMake samples of README.md, which stand between ```cmake and ```, and runs it.
set -eu

cd "$(dirname "$0")/../.."
root=$PWD
out=$root/build/checks/cmake
rm -rf "$out"
mkdir -p "$out"
status=0

awk -v out="$out/sample" '
    /^```cmake$/ { inside = 1; file = out "-" ++n ".txt"; next }
    /^```/ { inside = 0 }
    inside { print >file }' README.md
sh tools/source.sh bearssl >"$out/source.log" 2>&1 || cat "$out/source.log"
make -s --no-print-directory install PREFIX=/usr DESTDIR="$out/installed" >"$out/install.log" 2>&1 || cat "$out/install.log"

for sample in "$out"/sample-*.txt; do
    name=$(basename "$sample" .txt)
    dir=$out/$name
    mkdir -p "$dir/third_party"
    ln -s "$root/hathora_tokens.h" "$dir/third_party/hathora_tokens.h"
    ln -s "$root/build/bearssl" "$dir/third_party/BearSSL"
    mkdir "$dir/third_party/jsmn"
    echo '#include <jsmn.h>' | ${CC:-cc} -M -x c - | tr ' ' '\n' | grep '/jsmn\.h$' |
        xargs -I FOUND ln -s FOUND "$dir/third_party/jsmn/jsmn.h"
    {
        printf '%s\n' 'cmake_minimum_required(VERSION 3.13)' 'project(app C)' 'add_executable(app app.c)'
        cat "$sample"
    } >"$dir/CMakeLists.txt"
    printf '%s\n' '#define HATHORA_TOKENS_IMPLEMENTATION' '#include <hathora_tokens.h>' 'int main(void)' '{' \
        '    htok_client_options options = {0};' '    htok_client *client;' \
        '    options.server_url = "http://127.0.0.1";' \
        '    if (htok_client_create(&client, &options, NULL) != HTOK_OK) {' '        return 1;' '    }' \
        '    htok_client_close(client);' '    return 0;' '}' >"$dir/app.c"
    if PKG_CONFIG_SYSROOT_DIR="$out/installed" PKG_CONFIG_PATH="$out/installed/usr/share/pkgconfig" \
        cmake -S "$dir" -B "$dir/build" >"$dir/log" 2>&1 &&
        cmake --build "$dir/build" --parallel 2 >>"$dir/log" 2>&1 && "$dir/build/app" >>"$dir/log" 2>&1; then
        echo "ok $(sed -n '$p' "$sample")"
    else
        echo "not ok $(sed -n '$p' "$sample")"
        sed 's/^/    /' "$dir/log"
        status=1
    fi
done
if [ ! -e "$out/sample-3.txt" ]; then
    echo "not ok there are three samples"
    status=1
fi
exit "$status"
