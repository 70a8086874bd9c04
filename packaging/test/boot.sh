#!/bin/bash
# Boots a minimal Debian under its own systemd in qemu, and there installs the package, sets the
# gateway up, uses it, crashes it, upgrades it and purges it. Needs no KVM; with it, it is faster.
# usage: packaging/test/boot.sh [--bin-dir DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=packaging/test/base.sh
. "$here/base.sh"

main() {
    as_root "$@"
    parse_bin_dir "$@"
    work=$(mktemp -d)
    trap 'rm -rf --one-file-system "$work"' EXIT
    install_tools mmdebstrap=mmdebstrap qemu-system-x86_64=qemu-system-x86 mke2fs=e2fsprogs \
        dpkg-shlibdeps=dpkg-dev strip=binutils

    build_packages
    make_disk
    boot
    if grep -q '^boot: [0-9]* passed, 0 failed.$' "$work/results"; then
        echo "PASS: boot"
    else
        tail -30 "$work/console"
        cp "$work/console" "${TMPDIR:-/tmp}/funicular-boot.log"
        echo "FAIL: boot; what the console said is in ${TMPDIR:-/tmp}/funicular-boot.log"
        exit 1
    fi
}

make_disk() {
    local debian=$work/debian
    unpack_base "$debian"
    mkdir "$debian/test"
    cp "$here"/*inside.sh "$here/report.sh" "$debian/test/"
    cp "$package" "$debian/test/funicular.deb"
    cp "$newer" "$debian/test/newer.deb"
    echo gateway >"$debian/etc/hostname"
    echo '127.0.0.1 localhost gateway' >"$debian/etc/hosts"
    echo '/dev/vda / ext4 defaults 0 1' >"$debian/etc/fstab"
    cp "$here/boot-test.service" "$debian/etc/systemd/system/"
    ln -s ../boot-test.service "$debian/etc/systemd/system/multi-user.target.wants/boot-test.service"
    mv "$debian"/boot/vmlinuz-* "$work/vmlinuz"
    mv "$debian"/boot/initrd.img-* "$work/initrd"
    mke2fs -q -t ext4 -d "$debian" "$work/disk" 3G >/dev/null
    rm -rf --one-file-system "$debian"
}

boot() {
    local accelerator=tcg,thread=multi
    # Where the processor says it can, and only there: a /dev/kvm alone is no proof.
    if [ -w /dev/kvm ] && grep -qE '^flags.*\b(vmx|svm)\b' /proc/cpuinfo; then accelerator=kvm; fi
    echo "Booting under ${accelerator%%,*}; this takes from one minute to some ten"
    timeout --kill-after=10 "${FUNICULAR_BOOT_SECONDS:-1500}" qemu-system-x86_64 \
        -machine q35 -accel "$accelerator" -cpu max -smp 2 -m 1536 \
        -kernel "$work/vmlinuz" -initrd "$work/initrd" \
        -append 'root=/dev/vda rw console=ttyS0 quiet panic=-1 systemd.show_status=false mitigations=off' \
        -drive "file=$work/disk,format=raw,if=virtio,cache=unsafe" \
        -nodefaults -nic none -display none -no-reboot \
        -serial "file:$work/console" -serial "file:$work/results" </dev/null &
    local machine=$!
    # A serial line ends as a terminal's does.
    tail --pid="$machine" --follow=name --retry --quiet "$work/results" 2>/dev/null | tr -d '\r'
    wait "$machine" || echo "qemu ended with $?" >&2
}

main "$@"
