#!/bin/sh
# Runs in the machine that boot.sh boots, as root, under its systemd.
set -u
# shellcheck source=packaging/test/report.sh
. /test/report.sh
# shellcheck source=packaging/test/clients-inside.sh
. /test/clients-inside.sh

main() {
    check "the package installs" dpkg -i /test/funicular.deb
    check "the service is enabled" systemctl is-enabled funicular
    check "without a configuration it rests" is inactive
    check "starting it then is no failure" systemctl start funicular
    check "and it still rests" is inactive

    make_key
    check "setup makes a configuration and starts" set_up
    check "the service is active" is active
    check "it runs as its account" test "$(ps_user)" = funicular
    confinement

    use_gateway 2222
    check "the host key is the one that setup named" host_key_is_named
    steps

    check "it stops" systemctl stop funicular
    check "with success" property Result success
    check "and starts" systemctl start funicular
    check "what was made is still there" console site:info acme

    crashes

    before=$(main_pid)
    check "an upgrade installs" dpkg -i /test/newer.deb
    check "and restarts the gateway" test "$(main_pid)" != "$before"
    check "which is active" is active
    check "what was made is still there" console site:info acme

    check "a broken configuration stops it from starting" breaks
    check "and it is not tried again and again" test "$(systemctl show -P NRestarts funicular)" -le 5

    check "removing works" dpkg -r funicular
    check "the service is gone" not systemctl cat funicular
    check "nothing runs on" not pgrep_account
    check "purging works" dpkg -P funicular
    check "the configuration is gone" not test -e /etc/funicular
    check "the sites stay" test -d /var/lib/funicular/host_keys
    check "no unit is left" test -z "$(find /etc/systemd /usr/lib/systemd /var/lib/systemd -name '*funicular*')"
    check "no unit of the machine has failed" test -z "$(systemctl --failed --quiet --no-legend)"

    if [ "$failed" -ne 0 ]; then
        journalctl --no-pager --boot --unit funicular | grep -v ' systemd\[1\]: ' | head -60 | sed 's/^/        /'
    fi
    report "boot"
}

set_up() {
    funicular-setup alice /root/key/alice.pub >/tmp/setup.out 2>&1
    status=$?
    cat /tmp/setup.out
    return $status
}

# What the kernel says of the running gateway, not what the unit promises.
confinement() {
    pid=$(main_pid)
    check "it has no capabilities" grep -q '^CapBnd:[[:space:]]*0000000000000000$' "/proc/$pid/status"
    check "it can gain no privileges" grep -q '^NoNewPrivs:[[:space:]]*1$' "/proc/$pid/status"
    check "its system calls are filtered" grep -q '^Seccomp:[[:space:]]*2$' "/proc/$pid/status"
    check "for it the system is read-only" within grep -qE '^[^ ]+ / [^ ]+ ro' /proc/self/mounts
    refuse "writing its configuration" within sh -c 'echo >>/etc/funicular/funicular.toml'
    # A folder that anyone else may write.
    install -d -m 1777 /srv/open
    check "a folder open to all is open" setpriv --reuid=nobody touch /srv/open/nobody
    refuse "writing there, outside its data" within touch /srv/open/funicular
    check "it can write its data" within sh -c ': >/var/lib/funicular/probe && rm /var/lib/funicular/probe'
}

# Without the drop-in steps are refused; with it they run, under limits that the kernel holds.
steps() {
    ran=/var/lib/funicular/sites/acme/environments/dev/files/ran
    refuse "a step is not run by the bare unit" push_step 'echo ran >/files/ran'
    refuse "nor was it" test -e "$ran"
    install -D -m 644 /usr/share/funicular/steps.conf /etc/systemd/system/funicular.service.d/steps.conf
    systemctl daemon-reload
    check "it starts with steps.conf" systemctl restart funicular
    check "a step runs" push_step 'cat /proc/self/status >/files/ran'
    check "without any capability" grep -q '^CapBnd:[[:space:]]*0000000000000000$' "$ran"
    check "in a control group of its own" in_groups
    # shellcheck disable=SC2016 # the step expands it, in its own shell
    refuse "a step that takes too much memory" \
        push_step 'head -c 3000000000 /dev/zero | tr "\000" x | sort >/dev/null; x=$(yes); echo $x'
    refuse "a step that forks without end" push_step 'f() { f | f & }; f; sleep 5; exit 1'
    check "no control group of a step is left" \
        test -z "$(find /sys/fs/cgroup/system.slice/funicular.service -name 'step-*')"
    rm -r /etc/systemd/system/funicular.service.d
    systemctl daemon-reload
    check "it starts without steps.conf" systemctl restart funicular
    check "and takes a push without steps" push_without
}

in_groups() {
    journalctl --no-pager --unit funicular | grep -q 'limits are held by control groups'
}

# push_step SCRIPT: pushes a commit whose one step is this script.
push_step() {
    (
        cd /tmp/clone || exit 1
        git fetch -q && git reset -q --hard origin/main
        {
            printf '[[step]]\nname = "boot"\nevent = "sync_code"\nstage = "before"\ntimeout = 30\n'
            printf "command = ['sh', '-c', '''%s''']\n" "$1"
        } >funicular.toml
        push_commit
    )
}

push_without() {
    (
        cd /tmp/clone || exit 1
        git fetch -q && git reset -q --hard origin/main
        git rm -q --force funicular.toml
        push_commit
    )
}

push_commit() {
    git add --all
    git -c user.name=Alice -c user.email=alice@example.org commit -q --allow-empty -m steps
    git push "ssh://dev.acme@127.0.0.1:$port/repository.git" HEAD:main
}

# A gateway that dies or hangs comes back by itself.
crashes() {
    before=$(main_pid)
    kill -KILL "$before"
    check "after kill -9 it comes back" wait_until 60 replaced "$before"
    check "with everything" console site:info acme

    mkdir -p /run/systemd/system/funicular.service.d
    printf '[Service]\nWatchdogSec=20\n' >/run/systemd/system/funicular.service.d/test.conf
    systemctl daemon-reload
    systemctl restart funicular
    before=$(main_pid)
    # No state to wait for: it must live on for longer than the watchdog's time.
    sleep 45
    check "an idle gateway feeds its watchdog" test "$(main_pid)" = "$before"
    kill -STOP "$before"
    check "a hanging one is replaced" wait_until 120 replaced "$before"
    check "and works" console site:info acme
    rm -r /run/systemd/system/funicular.service.d
    systemctl daemon-reload
}

breaks() {
    cp -p /etc/funicular/funicular.toml /root/good.toml
    echo 'no_such_key = 1' >/etc/funicular/funicular.toml
    systemctl restart funicular
    is active
    was_active=$?
    wait_until 60 is failed
    has_failed=$?
    cp -p /root/good.toml /etc/funicular/funicular.toml
    systemctl reset-failed funicular
    systemctl start funicular && [ $was_active -ne 0 ] && [ $has_failed -eq 0 ] && is active
}

# Runs a command where the gateway lives: its view of the files, its account.
within() {
    nsenter --target "$(main_pid)" --mount setpriv --reuid=funicular --regid=funicular --clear-groups "$@"
}

replaced() {
    is active && [ "$(main_pid)" != "$1" ] && [ "$(main_pid)" != 0 ]
}

host_key_is_named() {
    ssh-keygen -lf /root/key/known_hosts | while read -r _ fingerprint _; do
        grep -F "$fingerprint" /tmp/setup.out && echo found
    done | grep -q found
}

is() {
    found=$(systemctl is-active funicular)
    echo "the service is $found"
    [ "$found" = "$1" ]
}

property() {
    [ "$(systemctl show -P "$1" funicular)" = "$2" ]
}

main_pid() {
    systemctl show -P MainPID funicular
}

ps_user() {
    stat -c %U "/proc/$(main_pid)"
}

pgrep_account() {
    find /proc -maxdepth 1 -user funicular -name '[0-9]*' | grep .
}

main
