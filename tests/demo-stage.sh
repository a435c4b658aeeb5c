# What every demonstration begins with; to be sourced with the directory of
# git-pggit as $1: a sandbox of its own, a git that knows nothing of this machine,
# and words for what is shown. Sets `program_dir` and `sandbox`.

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
# The server's user has to reach its directory in it.
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

# Prints a command and runs it, as if it had been typed.
run() {
    printf '%s$ %s%s\n' "$bold" "$1" "$plain"
    eval "$1"
}

# The same for a command that has to fail; says how. With a second argument it
# has to end with that status.
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

# Commits what is staged, or whatever is given, as the work of the next day: the
# history shall look as if it had grown.
days=31
next_day() {
    local date
    days=$((days - 1))
    date=$(date -d "$days days ago 10:00" +%s)
    GIT_AUTHOR_DATE="@$date +0000" GIT_COMMITTER_DATE="@$date +0000" "$@"
}

# Writes a migration from standard input, commits it, applies it to the
# database and tells the database which commit it is at.
migrate() {
    local file=migrations/$1 subject=$2
    cat >"$file"
    git add -- "$file"
    next_day git commit -q -m "$subject"
    run "psql -Xq -v ON_ERROR_STOP=1 --single-transaction -d shop -f $file"
    run 'git pggit mark'
}

# expect <what> <is> <has to be>
expect() {
    say "$1: $2"
    if [[ $2 != "$3" ]]; then
        echo "$1: $2, where $3 was expected" >&2
        return 1
    fi
}

# Starts the server of a restored data directory beside the original one, where
# `psql -p 5499` finds it, and waits until it has recovered.
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
    # It answers as soon as it is consistent, and may have log to replay.
    psql -XAtq -v ON_ERROR_STOP=1 -p 5499 -d postgres -c "do \$\$ begin for i in 1..1200 loop exit when not pg_is_in_recovery();
        perform pg_sleep(0.05); end loop; end \$\$"
}

copy_stop() {
    if [[ -n ${running_copy:-} ]]; then
        cluster_as_owner "$CLUSTER_BINDIR/pg_ctl" -w -m immediate -D "$running_copy" stop >/dev/null 2>&1 || true
        running_copy=
    fi
}

# The end of a demonstration that leaves nothing, unless its status is a failure.
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
