# Sourced by the scripts that run inside the test system: one line a check, and the count.
# shellcheck shell=sh

passed=0
failed=0

# check WHAT COMMAND...: the command must succeed.
check() {
    what=$1
    shift
    if "$@" >/tmp/check.out 2>&1; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failed=$((failed + 1))
        echo "FAILED  $what: $*"
        sed 's/^/        /' /tmp/check.out | tail -20
    fi
}

# refuse WHAT COMMAND...: the command must fail.
refuse() {
    what=$1
    shift
    check "refused: $what" not "$@"
}

not() {
    ! "$@"
}

# wait_until SECONDS COMMAND...: waits for a state, not for a time.
wait_until() {
    end=$(($(date +%s) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.2
    done
}

# report NAME: the closing line, and the exit code.
report() {
    echo "$1: $passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
