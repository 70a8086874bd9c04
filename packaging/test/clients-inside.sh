# Sourced inside the test system: a person with stock ssh, sftp and git against a running gateway.
# shellcheck shell=sh

# use_gateway PORT: one upload, one commit, the deploys, one push, and what must be refused.
use_gateway() {
    port=$1
    cd /tmp || return 1
    check "the console answers over SSH" console site:create acme
    check "the command line answers on the machine" funicular site:info acme

    head -c 3000000 /dev/urandom >sent.bin
    check "sftp uploads and downloads" transfer
    check "what came back is byte-exact" cmp sent.bin received.bin
    check "the upload is committed" console env:commit acme.dev -m first
    check "the commit is deployed to Test" funicular env:deploy acme.test --note first
    check "and to Live" funicular env:deploy acme.live --note first
    refuse "sftp cannot write code on Live" sftp_batch live.acme "put sent.bin code/planted.bin"

    check "Dev goes to Git mode" funicular connection:set acme.dev git --yes
    check "git clones" git clone -q "ssh://dev.acme@127.0.0.1:$port/repository.git" clone
    check "git pushes a commit" push dev.acme
    refuse "git cannot push trunk to Live" push live.acme
    check "the audit chain holds" funicular audit:verify
}

transfer() {
    sftp_batch dev.acme "put sent.bin code/sent.bin" &&
        sftp_batch dev.acme "get code/sent.bin received.bin"
}

sftp_batch() {
    # shellcheck disable=SC2086 # the options are words
    echo "$2" | sftp -q $ssh_options -P "$port" -b - "$1@127.0.0.1"
}

console() {
    # shellcheck disable=SC2086
    ssh -n $ssh_options -p "$port" alice@127.0.0.1 "$@"
}

push() {
    (
        cd clone || exit 1
        git checkout -q -B main
        date +%N >>pushed.txt
        git add pushed.txt
        git -c user.name=Alice -c user.email=alice@example.org commit -q -m pushed
        git push -q "ssh://$1@127.0.0.1:$port/repository.git" HEAD:main
    )
}

# make_key: alice's key, and ssh's and git's way to use it.
make_key() {
    install -d -m 0700 /root/key
    ssh-keygen -q -t ed25519 -N '' -C alice -f /root/key/alice
    ssh_options="-i /root/key/alice -oIdentitiesOnly=yes -oBatchMode=yes -oConnectTimeout=30"
    ssh_options="$ssh_options -oUserKnownHostsFile=/root/key/known_hosts -oStrictHostKeyChecking=accept-new"
    export GIT_SSH_COMMAND="ssh $ssh_options"
}
