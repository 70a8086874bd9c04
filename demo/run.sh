#!/usr/bin/env bash
# Starts a throw-away gateway with a sample site and walks through the main job with the real
# clients: each step is printed as the command that anyone can repeat. Then it stays up.
#
#   demo/run.sh               the sample site
#   SITE=/path demo/run.sh    any git repository or folder as the site's code
#   DEMO_ONCE=1 demo/run.sh   ends after the walk, for tests
set -euo pipefail
cd "$(dirname "$0")/.."

need() { command -v "$1" >/dev/null || { echo "make demo needs '$1' (Debian package: $2)." >&2; exit 1; }; }
need git git
need ssh openssh-client
need sftp openssh-client
need ssh-keygen openssh-client
need cargo "a Rust toolchain, https://rustup.rs"

bold() { printf '\n\033[1m%s\033[0m\n' "$*"; }
say() { printf '%s\n' "$*"; }

bold "Building (the first time takes some minutes)"
cargo build --quiet -p funicular -p funicular-hooks
bin="${CARGO_TARGET_DIR:-target}/debug"
case "$bin" in /*) ;; *) bin="$PWD/$bin" ;; esac

demo=$(mktemp -d "${TMPDIR:-/tmp}/funicular-demo.XXXXXX")
gateway=
finish() {
    trap - EXIT INT TERM
    if [ -n "$gateway" ]; then kill "$gateway" 2>/dev/null || true; wait "$gateway" 2>/dev/null || true; fi
    chmod -R u+w "$demo" 2>/dev/null || true
    rm -rf "$demo"
    say; say "The demo has ended; nothing is left of it."
}
trap finish EXIT
trap 'exit 0' INT TERM

export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=Alice GIT_AUTHOR_EMAIL=alice@example.com
export GIT_COMMITTER_NAME=Alice GIT_COMMITTER_EMAIL=alice@example.com
export GIT_SSH_COMMAND="ssh -F $demo/ssh_config"

# Runs a step, printed as it can be repeated.
step() { printf '\n\033[36m$ %s\033[0m\n' "$*"; eval "$*"; }
# The same for a step that must be refused.
refused() {
    printf '\n\033[36m$ %s\033[0m\n' "$*"
    if eval "$*"; then say "This should have been refused."; exit 1; fi
}

ssh-keygen -q -t ed25519 -N '' -C alice -f "$demo/alice"
bold "A data folder, host keys, an administrator"
step "$bin/funicular init --data $demo/data --admin alice --admin-key $demo/alice.pub --listen 127.0.0.1:0"
"$bin/funicular" serve --config "$demo/data/funicular.toml" >"$demo/ready" 2>"$demo/log" &
gateway=$!
until grep -q 'is ready' "$demo/ready"; do
    kill -0 "$gateway" 2>/dev/null || { cat "$demo/log" >&2; exit 1; }
    read -r -t 0.1 _ < <(:) || true
done
port=$(sed -n 's/.*:\([0-9]*\)$/\1/p' "$demo/ready")
cat "$demo/ready"
while read -r type key _; do echo "[127.0.0.1]:$port $type $key"; done \
    < <(cat "$demo"/data/host_keys/*.pub) >"$demo/known_hosts"
cat >"$demo/ssh_config" <<CONFIG
Host *
    Port $port
    IdentityFile $demo/alice
    IdentitiesOnly yes
    UserKnownHostsFile $demo/known_hosts
    StrictHostKeyChecking yes
    LogLevel ERROR
CONFIG
ssh="ssh -F $demo/ssh_config alice@127.0.0.1"
sftp="sftp -q -F $demo/ssh_config -b -"

bold "A site"
step "$bin/funicular --config $demo/data/funicular.toml site:create acme --from ${SITE:-demo/site} --files-path uploads"
step "$ssh connection:info acme.dev"

bold "1. Code goes in over SFTP, into Dev"
say '<h1>Opening hours</h1><p>Nine to six.</p>' >"$demo/hours.html"
step "echo 'put $demo/hours.html /code/hours.html' | $sftp dev.acme@127.0.0.1"
step "$ssh env:diffstat acme.dev"
step "$ssh env:commit acme.dev -m \"'Say when we are open'\""

bold "2. Live is not written to"
refused "echo 'put $demo/hours.html /code/hours.html' | $sftp live.acme@127.0.0.1"

bold "3. Code goes up: Dev to Test to Live"
step "$ssh env:deploy acme.test --note \"'Opening hours'\""
step "$ssh env:deploy acme.live --note \"'Opening hours'\""
step "echo 'ls -l /code' | $sftp live.acme@127.0.0.1"

bold "4. A hotfix reaches Live, and comes back to Dev"
step "git clone -q ssh://dev.acme@127.0.0.1:$port/repository.git $demo/acme"
say; say "Live takes no ordinary push:"
refused "git -C $demo/acme push ssh://live.acme@127.0.0.1:$port/repository.git HEAD:refs/heads/quick-change"
step "git -C $demo/acme checkout -q -b hotfix/hours live_1"
say '<h1>Opening hours</h1><p>Nine to seven.</p>' >"$demo/acme/hours.html"
step "git -C $demo/acme commit -q -a -m 'Open until seven'"
refused "git -C $demo/acme push ssh://live.acme@127.0.0.1:$port/repository.git hotfix/hours"
step "git -C $demo/acme push -o reason='wrong hours are on the door' ssh://live.acme@127.0.0.1:$port/repository.git hotfix/hours"
step "$ssh hotfix:list acme"
say '<p>Cake of the day: plum.</p>' >"$demo/cake.html"
echo "put $demo/cake.html /code/cake.html" | $sftp dev.acme@127.0.0.1 >/dev/null
step "$ssh env:commit acme.dev -m \"'Cake of the day'\""
step "$ssh env:deploy acme.test"
say; say "A deploy that would take the hotfix off Live is refused:"
refused "$ssh env:deploy acme.live"
step "$ssh hotfix:merge acme hours"
step "$ssh env:deploy acme.test --note \"'Cake, with the hotfix'\""
step "$ssh env:deploy acme.live --note \"'Cake, with the hotfix'\""
step "$ssh env:code-log acme.live"

bold "5. Content comes in over SFTP, on Live too"
say '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M1 8 8 1" stroke="#a33"/></svg>' >"$demo/station.svg"
step "echo 'put $demo/station.svg /code/uploads/station.svg' | $sftp live.acme@127.0.0.1"

bold "6. Content comes down: Dev gets what is on Live, in one switch"
say "CREATE TABLE guests (name, page); INSERT INTO guests VALUES ('Ada', 'https://www.example.org/hours.html');" >"$demo/guests.sql"
step "$ssh import:database acme.live - --confirm acme.live <$demo/guests.sql"
step "$ssh domain:map acme live dev www.example.org=dev.example.org"
step "$ssh env:clone-content acme.live dev"
step "echo 'ls -l /files' | $sftp dev.acme@127.0.0.1"
step "$ssh env:wipe acme.dev"
step "$ssh env:undo-content acme.dev"
step "$ssh site:launch acme"
say; say "Live has visitors now, so nothing goes up any more:"
refused "$ssh env:clone-content acme.dev live --confirm acme.live"
step "$ssh env:status acme.live | cut -c 1-120"

bold "7. The audit tells it all, and nothing in it was changed"
step "$ssh audit:list --site acme --decision refuse --format json | grep -E '\"(rule|detail|person)\"'"
step "$ssh audit:list --site acme | cut -c 1-150"
step "$ssh audit:verify"
step "$ssh explain alice write acme.live:/code/index.html"

bold "The gateway is up. Try:"
say "  $ssh"
say "  sftp -F $demo/ssh_config dev.acme@127.0.0.1"
say "  GIT_SSH_COMMAND='ssh -F $demo/ssh_config' git clone ssh://dev.acme@127.0.0.1:$port/repository.git"
say "  $ssh help"
[ -n "${DEMO_ONCE:-}" ] && exit 0
say; say "Ctrl-C ends it."
wait "$gateway"
