# The list of things one can do here. Every target installs what it needs
# (Debian and its relatives, as root or with sudo) and says so; with everything
# in place the network is not touched.

SHELL := /bin/bash
CARGO ?= cargo
PREFIX ?= $(HOME)/.local

# Most of a test is waiting, for servers and for the disk.
export RUST_TEST_THREADS ?= $(shell cores=$$(nproc); echo $$((cores > 2 ? cores * 2 : 4)))
TESTED = tests/in-memory.sh $(CARGO) test --locked --no-fail-fast

# rustup does not need a new login shell this way.
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help demo demo-automation demo-tools demo-recovery demo-migrations check test test-all test-matrix test-migrations cases fuzz lint bench bench-store install doc

help: ## this list
	@printf 'usage: make <target>\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 20

demo: ## see it work, in a sandbox of its own
	@tests/prepare.sh build postgresql
	$(CARGO) build --locked --release
	@tests/demo.sh "$(CURDIR)/target/release"

demo-automation: ## see merges, pushes and schedules become backups, in a sandbox of its own
	@tests/prepare.sh build postgresql
	$(CARGO) build --locked --release
	@tests/demo-automation.sh "$(CURDIR)/target/release"

demo-tools: ## see pg_dump, pg_basebackup, pgBackRest and Barman in one ledger, each restored, damage found
	@tests/prepare.sh build postgresql test
	$(CARGO) build --locked --release
	@tests/demo-tools.sh "$(CURDIR)/target/release"

demo-recovery: ## see a bad migration taken back, copies, a bisect over data, and a point in time
	@tests/prepare.sh build postgresql
	$(CARGO) build --locked --release
	@tests/demo-recovery.sh "$(CURDIR)/target/release"

demo-migrations: ## see restores to a commit whose migrations are those of fifteen real migration tools
	@tests/prepare.sh build postgresql test migrations
	$(CARGO) build --locked --release
	@tests/demo-migrations.sh "$(CURDIR)/target/release"

# Those that need git and a shell, and no server.
CHECK_TESTS := cli_basics:: config:: endpoint:: extensions:: hooks:: index:: init:: ledger:: man:: process:: \
    schedule:: store_copy:: sync_forged::

check: ## formatting, lints, unit tests, and the tests that need only git
	@tests/prepare.sh build
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(TESTED) --lib --test tidy
	$(TESTED) --test it -- $(CHECK_TESTS)

test-all: test test-matrix test-migrations cases ## test, test-matrix, test-migrations and cases

test-migrations: ## restores to a commit, with each real migration tool that the registries have
	@tests/prepare.sh build postgresql test migrations
	$(CARGO) build --locked
	@tests/demo-migrations.sh "$(CURDIR)/target/debug"

cases: ## small inputs after public reports, and attacks: only the known ones fail
	@tests/prepare.sh build postgresql cases
	$(CARGO) build --locked --all-targets
	@tests/in-memory.sh tests/cases/run.sh "$(CURDIR)/target/debug"

test: ## what has to be true before a change goes in: formatting, lints, all tests on the system's PostgreSQL
	@tests/prepare.sh build postgresql test
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(TESTED)

# Everything that talks to a server or runs its programs.
POSTGRESQL_TESTS := pg:: pg_dump:: pg_basebackup:: create:: create_store:: mark:: recovery:: restore_commit::

# The oldest and the newest; what is different between them is seldom different in the middle.
# `make test-matrix MAJORS="14 16 17 18"` takes all that prepare.sh knows. The system's is that of `test`.
MAJORS ?= 14 18

test-matrix: ## the tests that talk to PostgreSQL, on the versions MAJORS ("14 18"; all: "14 16 17 18")
	@tests/prepare.sh build postgresql test $(MAJORS:%=postgresql-%)
	@status=0; for major in $(MAJORS); do echo "== PostgreSQL $$major"; \
	    PGGIT_TEST_PGBIN="$(CURDIR)/target/postgresql/$$major/bin" \
	    $(TESTED) --test it -- $(POSTGRESQL_TESTS) || status=1; \
	done; exit $$status

fuzz: ## the parsers on PGGIT_FUZZ_CASES (100000) random and damaged inputs each
	@tests/prepare.sh build
	PROPTEST_CASES=$${PGGIT_FUZZ_CASES:-100000} $(CARGO) test --locked --release --lib -- \
	    proptests ledger:: git::config config:: store::
	PROPTEST_CASES=$${PGGIT_FUZZ_CASES:-100000} $(CARGO) test --locked --release --test it -- index_fuzz::

lint: ## formatting, lints, licences, shell scripts (those checkers that are installed)
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --locked check; \
	else echo 'cargo-deny is not installed: licences and advisories are not checked'; fi
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run tests/*.sh benches/*.sh; \
	else echo 'shellcheck is not installed: shell scripts are not checked'; fi

bench: ## measure against the bars, each beside what it is compared with
	@tests/prepare.sh build postgresql bench
	$(CARGO) build --locked --release --bins --examples
	@status=0; for script in dump recovery ledger hooks sync-scale queue wal; do \
	    "benches/$$script.sh" "$(CURDIR)/target/release" || status=1; \
	done; exit $$status

bench-store: ## the store against pg_dump, zstd, restic and borg
	@tests/prepare.sh build postgresql bench
	$(CARGO) build --locked --release
	@status=0; for script in store store-years store-many; do \
	    "benches/$$script.sh" "$(CURDIR)/target/release" || status=1; \
	done; exit $$status

install: ## program, manual pages and completions below PREFIX (~/.local)
	@tests/prepare.sh build
	$(CARGO) install --locked --path . --root "$(PREFIX)"
	"$(PREFIX)/bin/git-pggit" man --dir "$(PREFIX)/share/man/man1"
	@install -d "$(PREFIX)/share/bash-completion/completions" "$(PREFIX)/share/zsh/site-functions" \
	    "$(PREFIX)/share/fish/vendor_completions.d"
	"$(PREFIX)/bin/git-pggit" completions bash > "$(PREFIX)/share/bash-completion/completions/git-pggit"
	"$(PREFIX)/bin/git-pggit" completions zsh > "$(PREFIX)/share/zsh/site-functions/_git-pggit"
	"$(PREFIX)/bin/git-pggit" completions fish > "$(PREFIX)/share/fish/vendor_completions.d/git-pggit.fish"
	@echo
	@echo "git finds the command when $(PREFIX)/bin is in PATH. 'git pggit --help' opens the manual; man(1)"
	@echo "finds it by itself beside a directory that is in PATH, else set MANPATH=$(PREFIX)/share/man:"

doc: ## the documentation of the library, and the generated parts of docs/
	@tests/prepare.sh build postgresql test
	PGGIT_UPDATE_DOCS=1 $(CARGO) test --locked --test it -- docs::
	$(CARGO) doc --locked --no-deps
