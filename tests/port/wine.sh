#!/bin/sh
# wine.sh PROGRAM [ARGUMENT...]: runs a Windows program under wine, which keeps its files in build/port/wine.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$top/build/port/wine"
WINEPREFIX=$top/build/port/wine WINEDEBUG=-all WINEDLLOVERRIDES='mscoree=;mshtml=;winemenubuilder.exe='
LC_ALL=C.UTF-8 # what arguments are written in
export WINEPREFIX WINEDEBUG WINEDLLOVERRIDES LC_ALL
wine=/usr/lib/wine/wine64

# One server for many programs makes each start in a tenth of the time; it ends a minute after the last of them. Its
# helpers keep what the first program had open, so that one is cmd.exe, with nothing open.
(
    flock 9
    if "${wine%/*}/wineserver64" -p60 </dev/null >/dev/null 2>&1 9>&-; then
        "$wine" cmd.exe /c exit </dev/null >/dev/null 2>&1 9>&-
    fi
) 9>"$top/build/port/wine.lock"
exec "$wine" "$@"
