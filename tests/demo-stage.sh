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
