#!/bin/bash
# Prints the packages that the programs are linked with, each with its licence, then every licence
# text that came with them, once. A binary may be passed on only together with these.
# usage: packaging/third-party.sh >third-party.txt
set -euo pipefail

main() {
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    local packages
    packages=$(cargo tree --locked --offline -p funicular -p funicular-hooks --edges normal,build \
        --prefix none --no-dedupe --format '{p}|{l}' | sed 's/ (proc-macro)//' |
        grep -v '(/' | grep . | sort -u)

    echo "Funicular's programs are built from these packages besides its own:"
    echo
    sed 's/ v/ /; s/|/: /' <<<"$packages"

    local seen='' name text sum
    while read -r name; do
        while IFS= read -r text; do
            sum=$(sha256sum <"$text")
            case $seen in *"$sum"*) continue ;; esac
            seen+=$sum
            printf '\n%s\n%s\n\n' "$(printf '=%.0s' {1..78})" "${text#"$sources"/*/}"
            cat "$text"
        done < <(find "$sources"/*/"$name" -maxdepth 2 -type f \
            \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) 2>/dev/null | sort)
    done < <(sed 's/|.*//; s/ v/-/' <<<"$packages")
}

sources=${CARGO_HOME:-$HOME/.cargo}/registry/src

main
