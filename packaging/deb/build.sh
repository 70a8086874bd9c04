#!/bin/bash
# Makes funicular_VERSION_ARCH.deb from built programs, with dpkg-deb and nothing of cargo's.
# usage: packaging/deb/build.sh --bin-dir DIR --out DIR [--version VERSION]
set -euo pipefail

main() {
    parse "$@"
    need dpkg-deb dpkg-shlibdeps gzip strip
    [ -n "$version" ] || version=$(workspace_version)
    architecture=$(dpkg --print-architecture)
    # One time for every file, so that the same input makes the same package, bit by bit.
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || date +%s)}
    export SOURCE_DATE_EPOCH

    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    tree=$work/tree
    umask 022

    programs
    service
    documents
    control

    mkdir -p "$out"
    local package=$out/funicular_${version}_$architecture.deb
    find "$tree" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$tree" "$package" >/dev/null
    echo "$package"
}

programs() {
    install -D -m 0755 "$bin_dir/funicular" "$tree/usr/bin/funicular"
    # Not beside the daemon: nobody but git ever starts it.
    install -D -m 0755 "$bin_dir/funicular-hook" "$tree/usr/lib/funicular/funicular-hook"
    strip --strip-unneeded --remove-section=.comment --remove-section=.note \
        "$tree/usr/bin/funicular" "$tree/usr/lib/funicular/funicular-hook"
    install -D -m 0755 "$here/funicular-setup" "$tree/usr/sbin/funicular-setup"
}

service() {
    install -D -m 0644 "$root/systemd/funicular.service" "$tree/usr/lib/systemd/system/funicular.service"
    install -D -m 0644 "$root/systemd/funicular-steps.conf" "$tree/usr/share/funicular/steps.conf"
    install -D -m 0644 "$root/systemd/funicular.sysusers" "$tree/usr/lib/sysusers.d/funicular.conf"
    install -D -m 0644 "$root/systemd/funicular.tmpfiles" "$tree/usr/lib/tmpfiles.d/funicular.conf"
}

documents() {
    local doc=$tree/usr/share/doc/funicular page section
    for page in "$root"/packaging/man/*.[1-8]; do
        section=${page##*.}
        install -D -m 0644 "$page" "$tree/usr/share/man/man$section/${page##*/}"
        gzip -9n "$tree/usr/share/man/man$section/${page##*/}"
    done
    install -D -m 0644 "$root/packaging/completions/funicular.bash" \
        "$tree/usr/share/bash-completion/completions/funicular"
    install -D -m 0644 "$here/copyright" "$doc/copyright"
    changelog >"$doc/changelog"
    gzip -9n "$doc/changelog"
    if command -v cargo >/dev/null; then
        "$root/packaging/third-party.sh" >"$doc/third-party.txt"
        gzip -9n "$doc/third-party.txt"
    else
        echo "build.sh: no cargo, so this package lacks third-party.txt: do not pass it on" >&2
    fi
    if [ -f "$root/CHANGELOG.md" ]; then
        install -m 0644 "$root/CHANGELOG.md" "$doc/NEWS.md"
        gzip -9n "$doc/NEWS.md"
    fi
    # The file that "funicular init" writes, for someone who lost theirs.
    local example
    for example in "$root/packaging/config/funicular.toml" "$root/gateway/src/config/funicular.toml"; do
        if [ -f "$example" ]; then
            install -D -m 0644 "$example" "$doc/examples/funicular.toml"
            break
        fi
    done
}

control() {
    local libraries
    libraries=$(shared_libraries)
    mkdir -p "$tree/DEBIAN"
    sed -e "s/@VERSION@/$version/" \
        -e "s/@ARCHITECTURE@/$architecture/" \
        -e "s/@LIBRARIES@/$libraries/" \
        -e "s/@SIZE@/$(du -sk --apparent-size "$tree" | cut -f1)/" \
        "$here/control.in" >"$tree/DEBIAN/control"
    local script
    for script in postinst prerm postrm; do
        install -m 0755 "$here/$script" "$tree/DEBIAN/$script"
    done
    (cd "$tree" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) \
        >"$tree/DEBIAN/md5sums"
}

# The libraries that the programs were linked with, as this machine's packages name them.
shared_libraries() {
    mkdir -p "$work/shlibs/debian"
    printf 'Source: funicular\n\nPackage: funicular\nArchitecture: any\n' >"$work/shlibs/debian/control"
    (cd "$work/shlibs" && dpkg-shlibdeps -O -e"$tree/usr/bin/funicular" \
        -e"$tree/usr/lib/funicular/funicular-hook" 2>"$work/shlibs/messages") |
        sed -n 's/^shlibs:Depends=//p' | grep . || { cat "$work/shlibs/messages" >&2; return 1; }
}

changelog() {
    cat <<END
funicular ($version) unstable; urgency=medium

  * Release $version. What changed is told in NEWS.md, beside this file.

 -- The Funicular developers <$maintainer>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
}

workspace_version() {
    sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | grep .
}

parse() {
    bin_dir='' out='' version=''
    while [ $# -gt 0 ]; do
        case $1 in
            --bin-dir) bin_dir=${2:?--bin-dir needs a folder}; shift 2 ;;
            --out) out=${2:?--out needs a folder}; shift 2 ;;
            --version) version=${2:?--version needs a version}; shift 2 ;;
            *) usage "unknown argument: $1" ;;
        esac
    done
    if [ -z "$bin_dir" ] || [ -z "$out" ]; then usage "--bin-dir and --out are needed"; fi
    local program
    for program in funicular funicular-hook; do
        [ -x "$bin_dir/$program" ] || usage "$bin_dir/$program is not there: build it first (make deb does)"
    done
}

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || {
            echo "build.sh: $program is missing; Debian has it in dpkg-dev or binutils" >&2
            exit 1
        }
    done
}

usage() {
    echo "build.sh: $1" >&2
    echo "usage: packaging/deb/build.sh --bin-dir DIR --out DIR [--version VERSION]" >&2
    exit 2
}

maintainer=maintainers@funicular.invalid
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

main "$@"
