# The beginning of every measurement; to be sourced. Makes directories and a git without the configuration of this
# machine. Sets `here`, `program_dir` (from $1) and `sandbox`, which is removed at the end, together with a server
# that was started in it.

# shellcheck shell=bash

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
source "$here/../tests/cluster.sh"
program_dir=$(cd "${1:-$here/../target/release}" && pwd)
test_pgbin=${PGGIT_TEST_PGBIN:-}
# shellcheck disable=SC2086 # names of variables
unset ${!GIT_@} ${!PG@} XDG_CONFIG_HOME
PGGIT_TEST_PGBIN=$test_pgbin
sandbox=$(mktemp -d "${TMPDIR:-/tmp}/git-pggit-bench.XXXXXX")
# The user of the server needs access to its directory in the sandbox.
chmod 755 "$sandbox"
trap 'cluster_stop; rm -rf "$sandbox"' EXIT
export GIT_CONFIG_GLOBAL=$sandbox/gitconfig GIT_CONFIG_NOSYSTEM=1
git config --global user.name 'Ada'
git config --global user.email 'ada@example.com'
git config --global init.defaultBranch main
# Automatic maintenance of git would be measured as part of the command that runs at the same time.
git config --global gc.auto 0
git config --global receive.autogc false
git config --global maintenance.auto false
git config --global advice.detachedHead false
