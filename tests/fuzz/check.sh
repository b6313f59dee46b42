#!/bin/sh
# What `make check` runs of the fuzz targets: their seeds, then FUZZ_CHECK_SECONDS of each.
set -eu
exec sh "$(dirname "$0")/run.sh" "${FUZZ_CHECK_SECONDS:-20}" check
