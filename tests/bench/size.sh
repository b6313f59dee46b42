#!/bin/sh
# size.sh: bytes of code, of a static program, of the client's block and of stack, all with -Os. Prints the tables and
# writes them to build/bench/size.md.
# Flags are lists of words, and Markdown has backquotes.
# shellcheck disable=SC2086,SC2016
set -eu

cd "$(dirname "$0")/../.."
out=build/bench
mkdir -p "$out"
report=$out/size.md
cm3='arm-none-eabi-gcc --specs=picolibc.specs -mcpu=cortex-m3 -mthumb'
rims='-DHATHORA_TOKENS_NO_SOCKETS -DHATHORA_TOKENS_NO_CLOCK -DHATHORA_TOKENS_NO_ENTROPY -DHATHORA_TOKENS_NO_FILES'
quiet='-DHATHORA_TOKENS_NO_STRINGS -DHATHORA_TOKENS_NO_LOG -DHATHORA_TOKENS_NO_BLOCKING'
features='-DHATHORA_TOKENS_NO_CLIENT_CERTIFICATE -DHATHORA_TOKENS_NO_PROXY -DHATHORA_TOKENS_NO_SESSIONS'
sections='-Os -std=c99 -ffunction-sections -fdata-sections'

sh tools/bearssl.sh cortex-m3 "$cm3" arm-none-eabi-ar \
    -Os -DBR_USE_UNIX_TIME=0 -ffunction-sections -fdata-sections >"$out/bearssl.log" 2>&1

# text NAME KNOBS...: bytes of code and constants of the header's own object for Cortex-M3.
text() {
    name=$1
    shift
    $cm3 $sections -isystem build/inc -I. $rims "$@" -c tests/compile/implement.c -o "$out/size-$name.o"
    arm-none-eabi-size "$out/size-$name.o" | awk 'NR == 2 { print $1 }'
}

# rooms: bytes of code of each room of the header, of the build with everything on; by the line that each instruction
# comes from. jsmn and the inline functions of BearSSL are the rest.
rooms() {
    $cm3 $sections -g -isystem build/inc -I. $rims -c tests/compile/implement.c -o "$out/size-lines.o"
    {
        grep -n '^/\* >>' hathora_tokens.h
        echo '#'
        arm-none-eabi-objdump -dl "$out/size-lines.o"
    } | awk '
        !listing && /^#$/ { listing = 1; next }
        !listing {
            split($0, part, ":")
            begin[++count] = part[1] + 0
            name[count] = $0
            sub(/.*>>/, "", name[count])
            sub(/ -.*/, "", name[count])
            next
        }
        /:[0-9]+( \(discriminator [0-9]+\))?$/ {
            sub(/ \(.*/, "")
            line = $0
            sub(/.*:/, "", line)
            room = "jsmn and BearSSL inline"
            for (i = 1; /hathora_tokens\.h:/ && i <= count && begin[i] <= line + 0; i++) room = name[i]
            next
        }
        /^ +[0-9a-f]+:\t/ {
            split($0, part, "\t")
            gsub(/ /, "", part[2])
            bytes[room] += length(part[2]) / 2
        }
        END { for (room in bytes) print bytes[room], room }' | sort -rn
}

# parts: what the object with everything on is made of; the lists of names and sentences are the arrays of those names.
parts() {
    {
        arm-none-eabi-size -A "$out/size-all.o"
        arm-none-eabi-nm -S -t d "$out/size-all.o"
    } | awk '
        /^\.text/ { code += $2 }
        /^\.rodata/ && /\.str[0-9]/ { literals += $2 }
        /^\.rodata/ && !/\.str[0-9]/ { constants += $2 }
        $3 == "r" && $4 ~ /^(texts|names|errors|alerts)\./ { lists += $2 }
        END {
            printf "Of the Cortex-M3 build with everything on, %d bytes are code, %d lists of names and sentences (reasons, ", code, lists
            printf "TLS errors and alerts), %d texts between the code, %d other tables.\n", literals, constants - lists
        }'
}

# saved KNOB...: how many bytes less the header takes with each of these knobs alone.
saved() {
    for knob in "$@"; do
        echo "\`$knob\` $((all - $(text knob "-DHATHORA_TOKENS_$knob")))"
    done | awk '{ list = list (list ? ", " : "") $0 } END { print "Left out, each alone, they save: " list "." }'
}

# linked NAME LIBRARY KNOBS...: bytes of the example for boards, linked; without a library its functions are left out.
linked() {
    name=$1 library=$2
    shift 2
    $cm3 $sections -isystem build/inc -I. -Iexamples "$@" examples/bare_metal.c $library -nostartfiles \
        -Wl,--gc-sections,--entry=main,--unresolved-symbols=ignore-all,--defsym=__flash_size=0x400000 \
        -Wl,--defsym=__ram_size=0x400000 -o "$out/size-$name.elf" 2>"$out/link.log" || {
        cat "$out/link.log" >&2
        exit 1
    }
    arm-none-eabi-size "$out/size-$name.elf" | awk 'NR == 2 { print $1 }'
}

# static_parts: whose bytes the static program is, as far as the linker knows: without optimisation at link time.
static_parts() {
    $STATIC -fno-lto -std=c99 -isystem build/inc -I. -c tests/compile/implement.c -o "$out/size-static.o"
    header=$(size "$out/size-static.o" | awk 'NR == 2 { print $1 + $2 }')
    $STATIC -fno-lto -std=c99 -isystem build/inc -I. tools/hathora-tokens.c build/bear-static/libbearssl.a \
        -o "$out/size-static" $LINK -Wl,-Map="$out/size-static.map"
    awk -v header="$header" -v all="$(wc -c <"$out/size-static")" '
        /^Linker script and memory map/ { map = 1 }
        !map { next }
        $1 ~ /^\./ { section = $1 }
        section !~ /^\.(text|rodata|data)/ || !/\.a\(/ { next }
        {
            for (i = 1; i < NF && $i !~ /^0x/; i++) {}
            bytes = hex($(i + 1))
            if (/libbearssl\.a\(/) bear += bytes; else libc += bytes
        }
        function hex(digits,    n, i) {
            for (i = 3; i <= length(digits); i++) n = n * 16 + index("123456789abcdef", substr(digits, i, 1))
            return n
        }
        END {
            printf "Of the static tool, linked in parts (%d bytes), %d are this header, %d BearSSL, %d the C library ", all, header, bear, libc
            printf "(look-up, threads, files, memory), the rest the tool.\n"
        }' "$out/size-static.map"
}

# row WHAT BYTES LIMIT
row() {
    if [ -z "$3" ]; then
        echo "| $1 | $2 | | |"
    elif [ "$2" -le "$3" ]; then
        echo "| $1 | $2 | $3 | met |"
    else
        echo "| $1 | $2 | $3 | **not met** |"
    fi
}

# What of a painted stack a Cortex-M3 uses, with the server in memory.
board_stack() {
    $cm3 $sections -isystem build/inc -I. -Iexamples -Ibuild/port -Dboard_open=peer_open -Dboard_send=peer_send \
        -Dboard_receive=peer_receive -c tests/port/memory_peer.c -o "$out/peer.o"
    $cm3 $sections -isystem build/inc -I. -Iexamples tests/bench/board_stack.c "$out/peer.o" \
        build/bear-cortex-m3/libbearssl.a --oslib=semihost --crt0=semihost -Wl,--gc-sections \
        -Wl,--defsym=__flash=0x0,--defsym=__flash_size=0x400000,--defsym=__ram=0x20000000,--defsym=__ram_size=0x400000 \
        -o "$out/board-stack.elf"
    timeout 60 sh tests/port/qemu-arm.sh mps2-an385 "$out/board-stack.elf"
}

all=$(text all)
less=$(text less $quiet)
least=$(text least $quiet $features)
core=$(text core -DHATHORA_TOKENS_NO_TLS $quiet)
whole=$(linked whole build/bear-cortex-m3/libbearssl.a)
whole_small=$(linked whole-small build/bear-cortex-m3/libbearssl.a -DHATHORA_TOKENS_SMALL)
alone=$(linked alone '')
alone_small=$(linked alone-small '' -DHATHORA_TOKENS_SMALL)
program=$(wc -c <build/static/hathora-tokens)
program_small=$(wc -c <build/static/small/hathora-tokens)
sh tests/certs.sh build/certs
tls=build/certs/tls
# Each prints words.
# shellcheck disable=SC2046
set -- $(sh tests/bench/stack.sh build/certs/leaf.pem build/certs/leaf.key build/certs/ca.pem) \
    $(sh tests/bench/stack.sh $tls/under521.pem $tls/under521.key $tls/root521.pem $tls/clientp521.pem $tls/clientp521.key) \
    $(board_stack)
test $# -eq 13

{
    echo '| `-Os`, bytes | measured | at most | |'
    echo '|---|---|---|---|'
    row 'Cortex-M3: header and jsmn, everything on' "$all" 20480
    row 'the same without texts, logger and blocking calls' "$less" 14336
    row 'the same without client certificates, proxies and kept sessions' "$least" ''
    row 'without TLS, texts, logger and blocking calls, for a transport that brings its own' "$core" ''
    row 'command-line tool, musl, static, stripped' "$program" 204800
    row 'client block, 16 KiB records' "$1" 28672
    row 'client block, `record_bytes` and `send_bytes` 512' "$2" 12288
    row 'stack, amd64 `-O2`: making a client' "$3" 6144
    row 'a first list with its handshake' "$4" 6144
    row 'create and list on the same connection' "$5" 6144
    row 'making a client with a P-521 certificate' "$8" 6144
    row 'a first list from a server below a P-521 root' "$9" 6144
    row 'stack, Cortex-M3: making a client' "${11}" ''
    row 'a first list with its handshake' "${12}" ''
    row 'create and list on the same connection' "${13}" ''
    echo
    echo '| BearSSL profile | Cortex-M3: `examples/bare_metal.c`, of it BearSSL | tool, musl, static |'
    echo '|---|---|---|'
    echo "| default | $whole, $((whole - alone)) | $program |"
    echo "| \`HATHORA_TOKENS_SMALL\` | $whole_small, $((whole_small - alone_small)) | $program_small |"
    echo
    {
        parts
        static_parts
        saved NO_STRINGS NO_LOG NO_BLOCKING NO_CLIENT_CERTIFICATE NO_PROXY NO_SESSIONS NO_TLS
    } | fold -s -w 118 | sed 's/ $//'
    echo
    rooms | awk '{ n = $1; sub(/^[^ ]+ /, ""); list = list (list ? ", " : "") $0 " " n }
        END { print "Of the Cortex-M3 code, without constants and texts: " list "." }' | fold -s -w 118 | sed 's/ $//'
} >"$report"
cat "$report"
