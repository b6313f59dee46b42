#!/bin/sh
# qemu-arm.sh BOARD PROGRAM [ARGUMENT]: runs a bare-metal program; its exit status and output are passed on.
set -eu
board=$1 program=$2 argument=${3:-}
exec qemu-system-arm -M "$board" -display none -monitor none -serial none -chardev stdio,id=out \
    -semihosting-config "enable=on,target=native,chardev=out${argument:+,arg=$argument}" -kernel "$program" </dev/null
