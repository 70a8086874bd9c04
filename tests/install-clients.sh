#!/bin/sh
# Installs what the tests need: the real clients, from Debian and Node's registry, and the WordPress
# tree that serves as real input. Does nothing, quickly, when nothing is missing. With CI=true a
# missing package that cannot be installed is an error; elsewhere a warning.
#
#   tests/install-clients.sh           the clients
#   tests/install-clients.sh --bench   the clients and the servers to compare with
#   tests/install-clients.sh --list    what is missing, one package a line
# shellcheck disable=SC2086 # lists of packages are split on purpose
set -eu

packages="zip zstd xz-utils git openssh-client sshfs fuse3 rclone lftp rsync python3-paramiko
    python3-asyncssh putty-tools openssh-server python3-pip curl dropbear-bin gcc libssh-dev vim-tiny nodejs
    npm nginx-light php-fpm php-cli php-mysql php-sqlite3 php-pgsql openssl bubblewrap restic e2fsprogs
    xfsprogs sqlite3 mariadb-server mariadb-client postgresql postgresql-client"
cache=${FUNICULAR_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/funicular-tests}

# Debian's ssh-audit knows no key exchange of the last years; this one is from PyPI, by its hash.
ssh_audit=ssh-audit-3.9.0
ssh_audit_sha256=3dad48d4678e0de31f6332cc7674f9d7dd1805f86babf3796f41c2fd879cb812

case "${1:-}" in
--bench) packages="$packages proftpd-core proftpd-mod-crypto php-mysql" ;;
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
    python3-pip) /usr/bin/python3 -m pip --version ;;
    proftpd-core) test -x /usr/sbin/proftpd ;;
    proftpd-mod-crypto) test -e /usr/lib/proftpd/mod_sftp.so ;;
    fuse3) command -v fusermount3 ;;
    putty-tools) command -v psftp && command -v puttygen ;;
    dropbear-bin) command -v dbclient && command -v dropbearconvert && test -x /usr/sbin/dropbear ;;
    libssh-dev) test -e /usr/include/libssh/sftp.h ;;
    vim-tiny) command -v ex ;;
    nginx-light) test -x /usr/sbin/nginx ;;
    php-fpm) ls /usr/sbin/php-fpm* ;;
    bubblewrap) command -v bwrap ;;
    xz-utils) command -v xz ;;
    php-cli) command -v php ;;
    php-mysql) php -r 'exit(extension_loaded("mysqli") && extension_loaded("pdo_mysql") ? 0 : 1);' ;;
    php-sqlite3) php -r 'exit(extension_loaded("pdo_sqlite") ? 0 : 1);' ;;
    php-pgsql) php -r 'exit(extension_loaded("pdo_pgsql") ? 0 : 1);' ;;
    nodejs) command -v node ;;
    postgresql) ls /usr/lib/postgresql/*/bin/initdb ;;
    postgresql-client) ls /usr/lib/postgresql/*/bin/pg_dump ;;
    e2fsprogs) test -x /usr/sbin/mkfs.ext4 || test -x /sbin/mkfs.ext4 ;;
    mariadb-server) test -x /usr/sbin/mariadbd && command -v mariadb-install-db ;;
    mariadb-client) command -v mariadb && command -v mariadb-dump ;;
    xfsprogs) test -x /usr/sbin/mkfs.xfs || test -x /sbin/mkfs.xfs ;;
    python3-*) test -x /usr/bin/python3 && test -e "/usr/lib/python3/dist-packages/${1#python3-}" ;;
    *) command -v "$1" ;;
    esac >/dev/null 2>&1
}

missing=""
for package in $packages; do
    present "$package" || missing="$missing $package"
done
test -e "$cache/$ssh_audit/ssh_audit/__main__.py" || missing_audit=$ssh_audit
wordpress=$cache/wordpress
test -e "$wordpress/wp-settings.php" || missing_tree=wordpress
test -x "$cache/fzsftp" || missing_engine=filezilla
# Node's modules are those of this lock, and no others.
node=$(cd "$(dirname "$0")/node" && pwd)
cmp -s "$node/package-lock.json" "$cache/node/package-lock.json" || missing_modules=ssh2-sftp-client

if [ "${1:-}" = --list ]; then
    printf '%s\n' $missing ${missing_audit:-} ${missing_tree:-} ${missing_engine:-} ${missing_modules:-}
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
        # A package's own daemon must not start on a machine that only wants the program, and PostgreSQL's
        # needs no data of its own there.
        if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
            $as_root mkdir -p /etc/postgresql-common
            echo 'create_main_cluster = false' | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
        fi
        DEBIAN_FRONTEND=noninteractive $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -y -qq --no-install-recommends $missing >&2 ||
            give_up "apt-get could not install:$missing"
    else
        give_up "Missing Debian packages:$missing (install them with apt-get as root)"
    fi
fi

work=""
trap 'test -z "$work" || rm -rf "$work"' EXIT

fresh_work() {
    rm -rf "${work:-/nonexistent}"
    work=$(mktemp -d)
}

if [ -n "${missing_audit:-}" ]; then
    fresh_work
    echo "ssh-audit==${ssh_audit#ssh-audit-} --hash=sha256:$ssh_audit_sha256" >"$work/wanted"
    if /usr/bin/python3 -m pip download --quiet --no-deps --require-hashes --dest "$work" \
        --requirement "$work/wanted" >&2; then
        mkdir -p "$cache"
        rm -rf "$cache/$ssh_audit.new" "${cache:?}/$ssh_audit"
        /usr/bin/python3 -m zipfile -e "$work"/ssh_audit-*.whl "$cache/$ssh_audit.new"
        mv "$cache/$ssh_audit.new" "$cache/$ssh_audit"
    else
        give_up "ssh-audit could not be downloaded from PyPI."
    fi
fi

# Unpacks a Debian package without installing it: to $work/unpacked.
unpack() {
    fresh_work
    if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
        give_up "Debian's $1 package is needed, and this machine has no apt-get or dpkg-deb."
        return 1
    fi
    (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$1" >&2) || {
        may_install && refresh_lists
        (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$1" >&2) || true
    }
    if ! deb=$(ls "$work/$1"_*.deb 2>/dev/null); then
        give_up "Debian's $1 package could not be downloaded."
        return 1
    fi
    dpkg-deb --extract "$deb" "$work/unpacked"
    mkdir -p "$cache"
}

# WordPress is only unpacked: its tree is data for the tests, and installing it would bring a web
# server.
if [ -n "${missing_tree:-}" ] && unpack wordpress; then
    # Links into other packages lead nowhere here.
    find "$work/unpacked/usr/share/wordpress" -xtype l -delete
    rm -rf "$wordpress.new"
    cp -R "$work/unpacked/usr/share/wordpress" "$wordpress.new"
    rm -rf "$wordpress"
    mv "$wordpress.new" "$wordpress"
fi

# Of FileZilla only the engine, which needs no desktop.
if [ -n "${missing_engine:-}" ] && unpack filezilla; then
    cp "$work/unpacked/usr/bin/fzsftp" "$cache/fzsftp.new"
    mv "$cache/fzsftp.new" "$cache/fzsftp"
fi

if [ -n "${missing_modules:-}" ]; then
    rm -rf "$cache/node.new"
    mkdir -p "$cache/node.new"
    cp "$node/package.json" "$node/package-lock.json" "$cache/node.new"
    if (cd "$cache/node.new" && npm ci --ignore-scripts --omit=optional --no-audit --no-fund >&2); then
        rm -rf "$cache/node"
        mv "$cache/node.new" "$cache/node"
    else
        give_up "npm could not install ssh2-sftp-client."
    fi
fi
