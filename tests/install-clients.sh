#!/bin/sh
# Installs what the tests need from Debian: the real clients, and the WordPress tree that serves as
# real input. Does nothing, quickly, when nothing is missing. With CI=true a missing package that
# cannot be installed is an error; elsewhere a warning.
#
#   tests/install-clients.sh           the clients
#   tests/install-clients.sh --bench   the clients and the servers to compare with
#   tests/install-clients.sh --list    what is missing, one package a line
# shellcheck disable=SC2086 # lists of packages are split on purpose
set -eu

packages="git openssh-client sshfs fuse3 rclone lftp rsync python3-paramiko python3-asyncssh putty-tools"
cache=${FUNICULAR_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/funicular-tests}

case "${1:-}" in
--bench) packages="$packages openssh-server dropbear-bin proftpd-core proftpd-mod-crypto" ;;
--list | '') ;;
*)
    sed -n 's/^# \{0,1\}//; 2,8p' "$0" >&2
    exit 2
    ;;
esac

# A program that is there counts, however it came; a Python module counts when Debian's own Python,
# which the tests use, can import it.
present() {
    case $1 in
    openssh-client) command -v ssh && command -v sftp && command -v scp && command -v ssh-keygen ;;
    openssh-server) test -x /usr/sbin/sshd ;;
    dropbear-bin) test -x /usr/sbin/dropbear ;;
    proftpd-core) test -x /usr/sbin/proftpd ;;
    proftpd-mod-crypto) test -e /usr/lib/proftpd/mod_sftp.so ;;
    fuse3) command -v fusermount3 ;;
    putty-tools) command -v psftp && command -v puttygen ;;
    python3-*) test -x /usr/bin/python3 && test -e "/usr/lib/python3/dist-packages/${1#python3-}" ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

missing=""
for package in $packages; do
    present "$package" || missing="$missing $package"
done
wordpress=$cache/wordpress
test -e "$wordpress/wp-settings.php" || missing_tree=wordpress

if [ "${1:-}" = --list ]; then
    printf '%s\n' $missing ${missing_tree:-}
    exit 0
fi

as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root="sudo -n"
fi

may_install() {
    command -v apt-get >/dev/null 2>&1 && { [ -z "$as_root" ] || $as_root true 2>/dev/null; }
}

give_up() {
    echo "$1" >&2
    if [ "${CI:-}" = true ]; then
        exit 1
    fi
    echo "The tests that need them will fail." >&2
}

lists_are_fresh=""
refresh_lists() {
    if [ -z "$lists_are_fresh" ]; then
        $as_root apt-get update -qq || true
        lists_are_fresh=yes
    fi
}

if [ -n "$missing" ]; then
    if may_install; then
        refresh_lists
        # A package's own daemon must not start on a machine that only wants the program.
        DEBIAN_FRONTEND=noninteractive $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -y -qq --no-install-recommends $missing >&2 ||
            give_up "apt-get could not install:$missing"
    else
        give_up "Missing Debian packages:$missing (install them with apt-get as root)"
    fi
fi

# WordPress is only unpacked: its tree is data for the tests, and installing it would bring a web
# server.
if [ -n "${missing_tree:-}" ]; then
    if command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1; then
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
            (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root wordpress >&2) || {
            may_install && refresh_lists
            (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root wordpress >&2) || true
        }
        if deb=$(ls "$work"/wordpress_*.deb 2>/dev/null); then
            dpkg-deb --extract "$deb" "$work/unpacked"
            mkdir -p "$cache"
            # Links into other packages lead nowhere here.
            find "$work/unpacked/usr/share/wordpress" -xtype l -delete
            rm -rf "$wordpress.new"
            cp -R "$work/unpacked/usr/share/wordpress" "$wordpress.new"
            rm -rf "$wordpress"
            mv "$wordpress.new" "$wordpress"
        else
            give_up "Debian's wordpress package could not be downloaded."
        fi
    else
        give_up "Debian's wordpress package is needed, and this machine has no apt-get or dpkg-deb."
    fi
fi
