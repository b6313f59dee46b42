#!/bin/sh
# need.sh NEED...: installs the Debian packages that are lacking, and no others. A NEED is one of the groups build, demo,
# test, coverage, mutate, lint, bench, size and source, or PROGRAM=PACKAGE[,PACKAGE], or /FILE=PACKAGE[,PACKAGE]. Without apt-get,
# or without sudo for a user who is not root, it names the packages and fails when something is missing.
set -eu

cc=${CC:-cc}
lacking=
fetch=

# lack PACKAGE...: remembers a package to install, once.
lack() {
    for package in "$@"; do
        case " $lacking " in
        *" $package "*) ;;
        *) lacking="$lacking $package" ;;
        esac
    done
}

# program NAME PACKAGE...
program() {
    name=$1
    shift
    if ! command -v "$name" >/dev/null 2>&1; then
        lack "$@"
    fi
}

# compiles TEXT FLAGS PACKAGE...: compiles and links TEXT with the compiler in use, and with the user's flags.
compiles() {
    text=$1 flags=$2
    shift 2
    # The flags are lists of words.
    # shellcheck disable=SC2086
    if ! printf '%b\n' "$text" |
        $cc ${CPPFLAGS-} ${CFLAGS-} -x c - -o "$scratch/out" ${LDFLAGS-} $flags ${LDLIBS-} >/dev/null 2>&1; then
        lack "$@"
    fi
}

cmocka() {
    compiles '#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <setjmp.h>\n
        #include <cmocka.h>\nint main(void) { return &_cmocka_run_group_tests == 0; }' \
        -lcmocka libcmocka-dev
}

# Not named as the program, which command -v would find in it.
need_nginx() {
    if ! command -v nginx >/dev/null 2>&1 && [ ! -x /usr/sbin/nginx ] && [ ! -x build/nginx/usr/sbin/nginx ]; then
        fetch="$fetch nginx"
        program update-ca-certificates ca-certificates
    fi
}

find_lacking() {
    lacking='' fetch=''
    for group in "$@"; do
        case $group in
        build)
            program "${cc%% *}" gcc libc6-dev
            compiles '#include <bearssl.h>\nint main(void) { return br_sha256_vtable.context_size == 0; }' \
                -lbearssl libbearssl-dev libc6-dev
            compiles '#include <jsmn.h>\nint main(void) { return 0; }' '' libjsmn-dev
            ;;
        demo) program openssl openssl ;;
        test)
            program g++ g++
            program clang clang
            program tcc tcc
            program avr-gcc gcc-avr
            test -e /usr/lib/avr/include/stdint.h || lack avr-libc
            program openssl openssl
            program curl curl ca-certificates
            program node nodejs
            program npm npm
            program wrk wrk
            program mandoc mandoc
            program pkg-config pkgconf
            program cmake cmake
            program bash bash
            program fish fish
            program zsh zsh
            cmocka
            compiles 'int main(void) { return 0; }' '-fsanitize=address,undefined' "$sanitizers"
            if ! echo 'int main(void) { return 0; }' |
                clang -x c - -o "$scratch/out" -fsanitize=memory >/dev/null 2>&1; then
                lack libclang-rt-dev
            fi
            compiles '#include <uv.h>\nint main(void) { return uv_version() == 0; }' -luv libuv1-dev
            program jq jq
            program ip iproute2
            need_nginx
            if ! command -v tinyproxy >/dev/null 2>&1 && [ ! -x build/tinyproxy-bin/usr/bin/tinyproxy ]; then
                fetch="$fetch tinyproxy-bin"
            fi
            ;;
        coverage)
            program gcc gcc libc6-dev
            program gcovr gcovr
            cmocka
            ;;
        mutate)
            program gcc gcc libc6-dev
            program tcc tcc
            program python3 python3
            cmocka
            ;;
        lint)
            program clang clang
            program clang-format clang-format
            compiles '#include <uv.h>\nint main(void) { return uv_version() == 0; }' -luv libuv1-dev
            program clang-tidy clang-tidy
            program shellcheck shellcheck
            program gcc gcc
            program cppcheck cppcheck
            program valgrind valgrind libc6-dbg
            ;;
        bench)
            need_nginx
            program openssl openssl
            program curl curl ca-certificates
            program jq jq
            program node nodejs
            program npm npm
            program gnuplot gnuplot-nox
            program strace strace
            program valgrind valgrind libc6-dbg
            program callgrind_annotate valgrind
            program taskset util-linux
            compiles '#include <curl/curl.h>\nint main(void) { return curl_easy_init() == 0; }' -lcurl \
                libcurl4-openssl-dev
            compiles '#include <cjson/cJSON.h>\nint main(void) { return cJSON_Parse("1") == 0; }' -lcjson libcjson-dev
            ;;
        static)
            program musl-gcc musl-tools
            program gcc-ar gcc
            ;;
        size)
            program arm-none-eabi-gcc gcc-arm-none-eabi
            test -e /usr/lib/picolibc/arm-none-eabi/include/stdio.h || lack picolibc-arm-none-eabi
            program musl-gcc musl-tools
            program qemu-system-arm qemu-system-arm
            program strip binutils
            program openssl openssl
            ;;
        source)
            program make make
            program dpkg-source dpkg-dev
            program xz xz-utils
            program flock util-linux
            ;;
        *=*)
            # PROGRAM=PACKAGE[,PACKAGE] or /FILE=PACKAGE[,PACKAGE]
            # The packages are a list of words.
            # shellcheck disable=SC2046
            case $group in
            /*) test -e "${group%%=*}" || lack $(echo "${group#*=}" | tr , ' ') ;;
            *) program "${group%%=*}" $(echo "${group#*=}" | tr , ' ') ;;
            esac
            ;;
        *)
            echo "tools/need.sh: no group $group; there are build, demo, test, coverage, mutate, lint, bench, size, static and source" >&2
            exit 2
            ;;
        esac
    done
}

run() {
    echo "$*"
    "$@"
}

# As root, or by sudo.
admin() {
    if [ "$(id -u)" = 0 ]; then
        run env DEBIAN_FRONTEND=noninteractive "$@"
    else
        run sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

# Servers are unpacked into build/PACKAGE, not installed: a package may start its server on this machine.
unpack() {
    rm -rf "build/$1"
    mkdir -p "build/$1"
    (cd "build/$1" && run apt-get download "$1" && run dpkg-deb --extract "$1"_*.deb .)
}

mkdir -p build
scratch=$(mktemp -d build/need.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
# The run-time libraries of the sanitizers belong to one version of the compiler; gcc's come with it.
version=$($cc -dumpversion 2>/dev/null || true)
case $($cc --version 2>/dev/null || true) in
'') sanitizers=gcc ;;
*clang*) sanitizers=libclang-rt-${version%%.*}-dev ;;
*) sanitizers=libgcc-${version%%.*}-dev ;;
esac

find_lacking "$@"
if [ -z "$lacking$fetch" ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1 || { [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null 2>&1; }; then
    echo "tools/need.sh: please install what Debian calls$lacking$fetch" >&2
    exit 1
fi
admin apt-get -q update
if [ -n "$lacking" ]; then
    # The packages are a list of words.
    # shellcheck disable=SC2086
    admin apt-get -q install -y --no-install-recommends $lacking
fi
for package in $fetch; do
    unpack "$package"
done
find_lacking "$@"
if [ -n "$lacking$fetch" ]; then
    echo "tools/need.sh: still missing after installing:$lacking$fetch" >&2
    exit 1
fi
