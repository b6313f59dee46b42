#!/bin/sh
# wine.sh PROGRAM [ARGUMENT...]: runs a Windows program under wine, which keeps its files in build/port/wine.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$top/build/port"
WINEPREFIX=$top/build/port/wine WINEDEBUG=-all WINEDLLOVERRIDES='mscoree=;mshtml=;winemenubuilder.exe='
export WINEPREFIX WINEDEBUG WINEDLLOVERRIDES
exec /usr/lib/wine/wine64 "$@"
