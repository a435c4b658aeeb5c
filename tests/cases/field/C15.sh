#!/bin/bash
# names of 63 bytes: class of truncated names (postgres cuts them silently)
source "$(dirname "$0")/${LIB:-.}/lib.sh"; begin C15; cluster s; L=$(printf 'a%.0s' $(seq 60)); createdb "$L"; sql "$L" 'create table t(a int); insert into t values (1)'; repo "postgresql:///$L"
git pggit mark >/dev/null; echo 'create table n(a int);' >migrations/1.sql
run git pggit backup create --name one || problem create; commit m1
B=$(printf 'b%.0s' $(seq 63))
run git pggit backup restore one --into "$B" || problem 'restore into 63 bytes'
C=$(printf 'c%.0s' $(seq 60))
run git pggit backup restore HEAD --into "$C" --allow-schema-difference >"$W/o" 2>&1 || { cat "$W/o"; problem 'restore to a later commit into a name of 60 bytes'; }
grep -i 'too long\|63 bytes' "$W/o" && problem "the schema is not compared because of the length of the name"
run git pggit backup restore one --into "${B}x" >"$W/o" 2>&1 && problem 'a name of 64 bytes'; cat "$W/o"
run git pggit with HEAD~1 -- psql -XAtqc 'select count(*) from t' || problem with
run git pggit checkout HEAD~1 || problem 'checkout: the default name'
run git pggit backup restore one --in-place --force || problem 'disaster'
run git pggit backup restore finish || problem finish
run git pggit backup guard -- sh -c 'exit 1'; [ $? = 1 ] || problem 'guard with a long name'
note "$(sql postgres 'select datname from pg_database' | tr '\n' ' ')"
verdict
