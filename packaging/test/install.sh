#!/bin/bash
# Builds the Debian package and installs, uses, upgrades, removes and purges it in a minimal Debian
# in a folder (chroot, no systemd running). boot.sh does the same under a running systemd.
# usage: packaging/test/install.sh [--bin-dir DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=packaging/test/base.sh
. "$here/base.sh"

main() {
    as_root "$@"
    parse_bin_dir "$@"
    work=$(mktemp -d)
    trap 'rm -rf --one-file-system "$work"' EXIT
    install_tools mmdebstrap=mmdebstrap lintian=lintian mandoc=mandoc dpkg-shlibdeps=dpkg-dev \
        systemd-analyze=systemd strip=binutils unshare=util-linux

    build_packages
    judge_files
    unpack_base "$work/debian"
    mkdir "$work/debian/test"
    cp "$here"/*inside.sh "$here/report.sh" "$work/debian/test/"
    cp "$package" "$work/debian/test/funicular.deb"
    cp "$newer" "$work/debian/test/newer.deb"
    # Own process and mount namespaces: whatever the test leaves running or mounted ends with it.
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount --pid --fork --kill-child sh -c '
        mount -t proc proc "$1/proc"
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
            chroot "$1" sh /test/install-inside.sh' - "$work/debian"
    echo "PASS: install"
}

# What can be said without installing.
judge_files() {
    lintian --fail-on error --allow-root "$package" || fault "lintian found errors"
    mandoc -T lint -W warning "$root"/packaging/man/*.[1-8] || fault "mandoc found mistakes"
    local score
    score=$(systemd-analyze security --offline=true --no-pager "$root/systemd/funicular.service" |
        sed -n 's/.*exposure level for funicular.service: \([0-9.]*\).*/\1/p')
    echo "systemd's exposure score of the unit: $score (2.0 or lower is wanted)"
    # It fails every openat2, so each write of a site, and only under systemd: see boot.sh.
    if grep -q '^RestrictSUIDSGID=yes' "$root/systemd/funicular.service"; then
        fault "the unit forbids openat2 by RestrictSUIDSGID=yes"
    fi
    awk -v score="$score" 'BEGIN { exit !(score != "" && score <= 2.0) }' || fault "the unit scores $score"
    judge_words
}

# The manual and the completion name each command that the program has, and no other.
judge_words() {
    local word said
    said=$("$bin_dir/funicular" --help 2>&1 || true)
    for word in $(commands_in "$root/packaging/completions/funicular.bash"); do
        grep -qF -- "$word" "$root/packaging/man/funicular.1" || fault "funicular.1 lacks $word"
        grep -qF -- "$word" <<<"$said" || fault "funicular --help lacks $word, which is completed"
    done
    # Other names for the same command need no words of their own.
    for word in $(commands_in <(awk '{ sub(/\[alias.*/, "") } 1' <<<"$said")); do
        grep -qF -- "$word" "$root/packaging/completions/funicular.bash" ||
            fault "$word is in funicular --help, but not completed"
    done
}

commands_in() {
    grep -oE '\b[a-z]+(-[a-z]+)?(:[a-z-]+)+' "$1" | sort -u
}

main "$@"
