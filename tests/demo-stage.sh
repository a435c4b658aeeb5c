# The beginning of every demonstration; to be sourced with the directory of git-pggit as $1. Makes a sandbox and a git
# without the configuration of this machine, and defines functions that show what happens. Sets `program_dir` and
# `sandbox`.

# shellcheck shell=bash

stage_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
source "$stage_dir/cluster.sh"

program_dir=$(cd "${1:?the directory of git-pggit}" && pwd)
test_pgbin=${PGGIT_TEST_PGBIN:-}
# shellcheck disable=SC2086 # names of variables
unset ${!GIT_@} ${!PG@} XDG_CONFIG_HOME
PGGIT_TEST_PGBIN=$test_pgbin
export PATH=$program_dir:$PATH GIT_PAGER=cat PAGER=cat

sandbox=$(mktemp -d "${TMPDIR:-/tmp}/git-pggit-demo.XXXXXX")
# The user of the server needs access to its directory in the sandbox.
chmod 755 "$sandbox"

export GIT_CONFIG_GLOBAL=$sandbox/gitconfig GIT_CONFIG_NOSYSTEM=1
git config --global user.name 'Ada'
git config --global user.email 'ada@example.com'
git config --global init.defaultBranch main
git config --global advice.detachedHead false

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'
else
    bold='' dim='' plain=''
fi

chapter() { printf '\n%s== %s%s\n' "$bold" "$1" "$plain"; }
say() { printf '%s# %s%s\n' "$dim" "$1" "$plain"; }

# Prints a command as if it had been typed, and runs it.
run() {
    printf '%s$ %s%s\n' "$bold" "$1" "$plain"
    eval "$1"
}

# Runs a command that has to fail, and prints its exit status. With a second argument, the exit status has to be that
# number.
fails() {
    local status=0
    run "$1" || status=$?
    if [[ $status -eq 0 || $status -ne ${2:-$status} ]]; then
        echo "exit status $status was not expected" >&2
        return 1
    fi
    say "exit status $status"
}

sql() { psql -XAtq -v ON_ERROR_STOP=1 -d "$1" -c "$2"; }

# Runs `git commit` or another command with the date of the next day, so that the history looks as if it had grown
# over days.
days=31
next_day() {
    local date
    days=$((days - 1))
    date=$(date -d "$days days ago 10:00" +%s)
    GIT_AUTHOR_DATE="@$date +0000" GIT_COMMITTER_DATE="@$date +0000" "$@"
}

# Writes a migration from standard input, commits it, applies it to the database and marks the database with the
# commit.
migrate() {
    local file=migrations/$1 subject=$2
    cat >"$file"
    git add -- "$file"
    next_day git commit -q -m "$subject"
    run "psql -Xq -v ON_ERROR_STOP=1 --single-transaction -d shop -f $file"
    run 'git pggit mark'
}

# expect <what> <actual> <expected>
expect() {
    say "$1: $2"
    if [[ $2 != "$3" ]]; then
        echo "$1: $2, where $3 was expected" >&2
        return 1
    fi
}

# Starts the server of a restored data directory in parallel to the original one, for `psql -p 5499`, and waits until
# its recovery has ended.
copy_start() {
    say "its server starts: port 5499"
    running_copy=$1
    if ! cluster_as_owner "$CLUSTER_BINDIR/pg_ctl" -w -D "$1" -l "$1.log" \
        -o "-c port=5499 -c listen_addresses='' -c unix_socket_directories='\"$CLUSTER_DIR\"'" start \
        >/dev/null 2>&1 </dev/null; then
        echo 'the server does not start:' >&2
        cat "$1.log" >&2
        return 1
    fi
    # The server accepts connections as soon as it is consistent, and may have WAL left to replay.
    psql -XAtq -v ON_ERROR_STOP=1 -p 5499 -d postgres -c "do \$\$ begin for i in 1..1200 loop exit when not pg_is_in_recovery();
        perform pg_sleep(0.05); end loop; end \$\$"
}

copy_stop() {
    if [[ -n ${running_copy:-} ]]; then
        cluster_as_owner "$CLUSTER_BINDIR/pg_ctl" -w -m immediate -D "$running_copy" stop >/dev/null 2>&1 || true
        running_copy=
    fi
}

# Cleans up at the end of a demonstration; after a failure the sandbox is kept.
leave_nothing() {
    copy_stop
    if [[ $1 -ne 0 && -n ${CLUSTER_DIR:-} ]]; then
        cp "$CLUSTER_DIR/log" "$sandbox/server.log" || true
    fi
    cluster_stop
    if [[ $1 -ne 0 ]]; then
        printf '\nThe demonstration failed. What is there is in %s\n' "$sandbox" >&2
    else
        rm -rf "$sandbox"
    fi
}
