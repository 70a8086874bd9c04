# Sourced by install.sh and boot.sh: the tools they need, the packages under test, and a minimal
# Debian to install them in, made once and kept in a cache outside the clone.
# shellcheck shell=bash

# The sourcing script makes $work, a folder that ends with it.
work=''
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${FUNICULAR_CACHE:-$HOME/.cache/funicular}/packaging
# A package is tested on the release it was built on: it needs that release's libraries.
suite=${FUNICULAR_TEST_SUITE:-$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME" || echo bookworm)}

# Goes on as root: a Debian is unpacked with its owners, and entered with chroot or booted.
as_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    sudo -n true 2>/dev/null || fault "this test needs root, or sudo without a password"
    exec sudo -n --preserve-env=CI,CARGO_TARGET_DIR,CARGO_HOME,HOME,PATH,FUNICULAR_CACHE "$0" "$@"
}

# install_tools PROGRAM=PACKAGE...: installs what is missing, where apt may.
install_tools() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fault "these Debian packages are missing: ${missing[*]}"
    echo "Installing ${missing[*]}"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends "${missing[@]}"; } >"$work/apt.log" 2>&1 ||
        { tail -5 "$work/apt.log" >&2; fault "apt could not install ${missing[*]}"; }
}

# build_packages: $package, and $newer, the same with a higher version, to upgrade to.
build_packages() {
    package=$("$root/packaging/deb/build.sh" --bin-dir "$bin_dir" --out "$work/deb")
    local version
    version=$(dpkg-deb -f "$package" Version)
    newer=$("$root/packaging/deb/build.sh" --bin-dir "$bin_dir" --out "$work/deb" --version "$version+test1")
    echo "Built ${package##*/} and ${newer##*/}"
}

# unpack_base DIR: a Debian with systemd, git, ssh and a kernel in DIR.
unpack_base() {
    local packages=systemd,systemd-sysv,udev,dbus,git,openssh-client,bubblewrap,linux-image-cloud-amd64
    packages+=${FUNICULAR_TEST_PACKAGES:+,$FUNICULAR_TEST_PACKAGES}
    local tar
    tar=$cache/$suite-$(sha256sum <<<"$packages" | cut -c1-8).tar
    if [ ! -f "$tar" ]; then
        echo "Making a minimal Debian ($suite) in $tar"
        mkdir -p "$cache"
        mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
            "$suite" "$tar.part.tar" </dev/null || fault "mmdebstrap could not make a Debian"
        mv "$tar.part.tar" "$tar"
    fi
    mkdir -p "$1"
    tar --extract --file "$tar" --directory "$1" --numeric-owner --xattrs --xattrs-include='*'
}

# default_bin_dir: where cargo has put the programs, the release first.
default_bin_dir() {
    local target=${CARGO_TARGET_DIR:-$root/target} profile
    for profile in release debug; do
        if [ -x "$target/$profile/funicular" ]; then
            echo "$target/$profile"
            return
        fi
    done
    fault "no built programs in $target: build them, or give --bin-dir DIR"
}

parse_bin_dir() {
    case "$#/${1:-}" in
        0/) bin_dir=$(default_bin_dir) ;;
        2/--bin-dir) bin_dir=$(cd "$2" && pwd) ;;
        *) echo "usage: ${0##*/} [--bin-dir DIR]" >&2; exit 2 ;;
    esac
}

fault() {
    echo "${0##*/}: $*" >&2
    exit 1
}
