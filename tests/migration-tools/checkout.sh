#!/usr/bin/env bash
# Writes the files of some steps into a checkout: `checkout.sh <tool> <first-step> <last-step> <directory>`.
#
# README.md describes the steps.
set -euo pipefail

[[ $# -eq 4 ]] || { echo 'usage: checkout.sh <tool> <first-step> <last-step> <directory>' >&2 && exit 2; }
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/$1" && pwd)
directory=$4
mkdir -p "$directory"
for ((step = $2; step <= $3; step++)); do
    while read -r number paths; do
        [[ $number == "$step" ]] || continue
        for path in $paths; do
            mkdir -p "$directory/$(dirname "$path")"
            cp "$source/files/$path" "$directory/$path"
        done
    done <"$source/steps"
    if [[ -d $source/files.$step ]]; then cp -R "$source/files.$step/." "$directory/"; fi
done
