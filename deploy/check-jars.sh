#!/bin/sh
# Checks that a folder has the jars of a list (of sha256sum), each unchanged, and no other: check-jars.sh FOLDER LIST
set -eu
list=$(realpath "$2")
cd "$1"
sha256sum --check --strict --quiet "$list"
expected=$(wc -l < "$list")
found=$(find . -maxdepth 1 -name '*.jar' | wc -l)
if [ "$found" -ne "$expected" ]; then
    echo "$1 has $found jars, and $list lists $expected" >&2
    exit 1
fi
