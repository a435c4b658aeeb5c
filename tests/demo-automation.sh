#!/usr/bin/env bash
# The demonstration of docs/automation.md: a merge that the worker backs up; the same after a push to a server; a tool
# that fails, is retried and given up, with one notification, and succeeds after a repair. Each command is printed
# before it runs. `demo-automation.sh <directory of git-pggit>`.
#
# Everything is in one new directory, which is removed at the end. Nothing outside of it is read or written, not even
# the git configuration of the user.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/demo-stage.sh"

workers=()

clean_up() {
    local status=$?
    if [[ ${#workers[@]} -gt 0 ]]; then
        kill "${workers[@]}" 2>/dev/null || true
        wait "${workers[@]}" 2>/dev/null || true
    fi
    leave_nothing "$status"
}
trap clean_up EXIT

# Starts a worker in this repository, with its log in a file.
work() {
    local log=$sandbox/$1
    printf '%s$ git pggit worker &%s\n' "$bold" "$plain"
    git-pggit worker >"$log" 2>&1 &
    workers+=("$!")
    until_log "$1" 'worker started'
}

# Waits for a line of a log that matches this pattern, and shows it.
until_log() {
    local log=$sandbox/$1 line waited=0
    until line=$(grep -m1 -e "$2" "$log" 2>/dev/null); do
        if [[ $waited -ge 600 ]]; then
            echo "no '$2' in the log of the worker:" >&2
            cat "$log" >&2
            return 1
        fi
        sleep 0.1
        waited=$((waited + 1))
    done
    say "worker: ${line#*Z }"
}

# Waits until a condition is true, for at most a minute.
wait_until() {
    local waited=0
    until eval "$1"; do
        if [[ $waited -ge 600 ]]; then
            echo "this did not come true: $1" >&2
            return 1
        fi
        sleep 0.1
        waited=$((waited + 1))
    done
}

state_of() { git pggit queue show "$1" --json | sed -n 's/^  "state": "\(.*\)",*$/\1/p'; }

# migration <number> <name>: commits a migration that creates the table <name>, on a new branch <name>.
migration() {
    git switch -q -c "$2"
    mkdir -p migrations
    printf 'create table %s (id int primary key);\n' "$2" >"migrations/$1_$2.sql"
    git add migrations
    git commit -q -m "$2: a table"
    git switch -q main
}

chapter 'A database and the repository of its schema'
say 'A PostgreSQL server of its own, on a unix socket in the sandbox ...'
cluster_start "$sandbox"
psql -XAtq -d postgres -c 'create database shop'
mkdir "$sandbox/shop"
cd "$sandbox/shop"
git init -q .
printf '# shop\n' >README.md
git add README.md
git commit -q -m 'readme: what this is'
git pggit -q init 2>/dev/null
run 'git pggit database add shop --url postgresql:///shop'

chapter 'A merge is followed by a backup'
run "git config pggit.shop.onMerge 'main release/*'"
run 'git pggit hooks install'
work worker.log
migration 0001 customers
run "git merge --no-ff -m 'merge: customers' customers"
until_log worker.log 'backup of shop: completed'
run 'git log -1'
say 'What changes nothing of the schema is not followed by one:'
git switch -q -c words
printf '\nThe schema of the shop.\n' >>README.md
git commit -q -a -m 'readme: more words'
git switch -q main
run "git merge -q --no-ff -m 'merge: words' words"
run 'git pggit queue list'

chapter 'The same on a server that is pushed to'
git clone -q --bare . "$sandbox/server.git"
git remote add origin "$sandbox/server.git"
server="git -C $sandbox/server.git"
$server pggit -q init 2>/dev/null
$server pggit -q database add shop --url postgresql:///shop
run "$server config pggit.shop.onMerge main"
run "$server pggit hooks install post-receive"
git-pggit -C "$sandbox/server.git" worker >"$sandbox/server.log" 2>&1 &
workers+=("$!")
until_log server.log 'worker started'
say 'Nobody installed a hook in time for what was merged before: the worker finds it by itself.'
until_log server.log 'backup of shop: completed'
migration 0002 orders
git -c core.hooksPath=/dev/null merge -q --no-ff -m 'merge: orders' orders
run 'git push origin main'
wait_until '[[ $(grep -c "backup of shop: completed" "$sandbox/server.log") -ge 2 ]]'
run "$server log -1 main"

chapter 'A tool that fails'
say 'Messages go to a program here; it could as well be the webhook of a chat.'
printf '#!/bin/sh\ncat >>"%s/messages"\necho >>"%s/messages"\n' "$sandbox" "$sandbox" >"$sandbox/tell"
chmod +x "$sandbox/tell"
: >"$sandbox/messages"
run "git config pggit.shop.notifyCommand $sandbox/tell"
run 'git config pggit.shop.maxAttempts 4'
run 'git config pggit.shop.retryDelay 1s'
say 'The server cannot be reached:'
run 'git config pggit.shop.url "postgresql:///shop?port=1"'
run 'job=$(git pggit -q queue enqueue --database shop)'
wait_until '[[ $(state_of "$job") == permanently_failed ]]'
say 'It is retried, each time after a longer wait, and then fails permanently:'
run "grep -e 'will be retried' -e 'failed permanently' $sandbox/worker.log | sed -e 's/ error=.*next_retry_at/ ... next_retry_at/' -e 's/ error=.*//'"
say 'There is one notification:'
wait_until '[[ -s $sandbox/messages ]]'
run "cat $sandbox/messages"
[[ $(wc -l <"$sandbox/messages") -eq 1 ]]
say 'The server is back. The job is retried, with all its attempts, and becomes the same backup:'
run 'git config pggit.shop.url postgresql:///shop'
run 'git pggit queue retry "$job"'
wait_until '[[ $(state_of "$job") == completed ]]'
wait_until '[[ $(wc -l <"$sandbox/messages") -ge 2 ]]'
run "cat $sandbox/messages"
run 'git pggit backup list'

chapter 'And every night'
run 'git config pggit.shop.schedule daily'
run 'git config pggit.shop.timezone Europe/Berlin'
run 'git pggit schedule list'
run 'git pggit schedule next --count 3'
say "This was $sandbox; it is removed now."
