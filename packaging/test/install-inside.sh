#!/bin/sh
# Runs in the chroot that install.sh makes.
set -u
# shellcheck source=packaging/test/report.sh
. /test/report.sh
# shellcheck source=packaging/test/clients-inside.sh
. /test/clients-inside.sh

main() {
    listing >/test/before

    check "the package installs" install_package
    check "it says the one next command" grep -q '  funicular-setup ' /test/install.out
    check "the account has no shell" account_is_closed
    check "the configuration folder is root's" owned root:funicular:750 /etc/funicular
    check "the data folder is the gateway's" owned funicular:funicular:750 /var/lib/funicular
    check "the service is enabled" test -L /etc/systemd/system/multi-user.target.wants/funicular.service
    check "the installed files are what was packed" dpkg --verify funicular
    refuse "setup without a key file" funicular-setup alice /nowhere.pub

    make_key
    check "setup makes a configuration" funicular-setup alice /root/key/alice.pub --listen 127.0.0.1:0
    check "which is root's" owned root:funicular:640 /etc/funicular/funicular.toml
    check "and judged good" funicular check-config /etc/funicular/funicular.toml
    check "no secret is readable by others" no_open_secret
    check "all data is the gateway's" test -z "$(find /var/lib/funicular ! -user funicular)"
    refuse "setup a second time" funicular-setup alice /root/key/alice.pub

    setpriv --reuid=funicular --regid=funicular --clear-groups --no-new-privs --reset-env \
        funicular serve --config /etc/funicular/funicular.toml >/test/serve.out 2>/test/serve.log &
    gateway=$!
    check "the gateway gets ready" wait_until 30 grep -q '^Funicular is ready: ssh ' /test/serve.out
    use_gateway "$(sed -n 's/^Funicular is ready: ssh .*:\([0-9]*\)$/\1/p' /test/serve.out)"
    kill -TERM "$gateway"
    check "SIGTERM ends it with 0" wait "$gateway"

    find /var/lib/funicular -type f | sort >/test/data
    check "an upgrade installs" dpkg -i /test/newer.deb
    check "and keeps the configuration" owned root:funicular:640 /etc/funicular/funicular.toml
    check "removing works" dpkg -r funicular
    check "and keeps the configuration too" test -f /etc/funicular/funicular.toml
    check "the programs are gone" not test -e /usr/bin/funicular
    check "the package installs again" dpkg -i /test/funicular.deb
    check "purging works" purge
    check "it says that the sites stay" grep -q 'rm -rf /var/lib/funicular' /test/purge.out
    check "the configuration is gone" not test -e /etc/funicular
    check "the sites are all there" data_is_kept
    rm -rf /var/lib/funicular
    listing >/test/after
    check "nothing else is left" diff /test/before /test/after

    check "a package that was never set up installs" dpkg -i /test/funicular.deb
    check "and purges" purge
    check "with no trace" not test -e /var/lib/funicular

    [ "$failed" -eq 0 ] || tail -20 /test/serve.log
    report "install"
}

install_package() {
    dpkg -i /test/funicular.deb >/test/install.out 2>&1
    status=$?
    cat /test/install.out
    return $status
}

purge() {
    dpkg -P funicular >/test/purge.out 2>&1
    status=$?
    cat /test/purge.out
    return $status
}

account_is_closed() {
    getent passwd funicular | grep -q ':/usr/sbin/nologin$' && getent shadow funicular | grep -q '^funicular:!'
}

# owned USER:GROUP:MODE PATH
owned() {
    found=$(stat -c %U:%G:%a "$2")
    echo "$2 is $found"
    [ "$found" = "$1" ]
}

no_open_secret() {
    open=$(find /var/lib/funicular \( -path '*/host_keys/*' -o -name '*.db' \) -type f -perm /077 ! -name '*.pub')
    echo "$open"
    [ -z "$open" ]
}

data_is_kept() {
    find /var/lib/funicular -type f | sort | diff /test/data -
}

# Every file but what a package may rightly leave: dpkg's own books, logs, caches and the account.
listing() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /test -o -path /tmp -o -path /run \
        -o -path /root -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \) -prune -o \
        ! -path '/etc/passwd*' ! -path '/etc/group*' ! -path '/etc/shadow*' ! -path '/etc/gshadow*' \
        ! -path /etc/.pwd.lock -print | sort
}

main
