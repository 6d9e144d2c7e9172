#!/bin/sh
# deb.sh PROGRAMS OUT [VERSION]: Debian packages pganalytics-server and pganalytics-agent of the
# ready programs in PROGRAMS. Needs dpkg-deb, dpkg-shlibdeps and strip; no root.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 PROGRAMS OUT [VERSION]" >&2; exit 2; }
programs=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
version=${3:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" | head -n 1)}
arch=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

package() { # NAME UNIT DESCRIPTION
  name=$1 unit=$2 root=$work/$1
  timer=; [ "$name" != pganalytics-server ] || timer=pganalytics-backup.timer
  mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/lib/systemd/system" "$root/usr/lib/sysusers.d" \
    "$root/usr/lib/tmpfiles.d" "$root/usr/share/doc/$name"
  strip -o "$root/usr/bin/$name" "$programs/$name"
  chmod 0755 "$root/usr/bin/$name"
  install -m 0644 "$here/deploy/systemd/$unit" "$root/lib/systemd/system/$unit"
  # Each package brings its own user: the other one may not be there.
  user=$(sed -n 's/^User=//p' "$here/deploy/systemd/$unit")
  { sed -n '/^#/p' "$here/deploy/systemd/sysusers.conf"; grep -E "^u +$user " "$here/deploy/systemd/sysusers.conf"; } >"$root/usr/lib/sysusers.d/$name.conf"
  # Folders of the server's user are its package's alone.
  if [ "$name" = pganalytics-server ]; then kept=.; else kept='root root$'; fi
  grep "$kept" "$here/deploy/systemd/tmpfiles.conf" >"$root/usr/lib/tmpfiles.d/$name.conf"
  {
    echo "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
    echo "Upstream-Name: pgAnalytics"
    echo "Source: https://github.com/pganalytics/pganalytics"
    printf '\nFiles: *\nCopyright: the authors of pgAnalytics\nLicense: MIT or Apache-2.0\n'
    echo " See /usr/share/common-licenses/Apache-2.0 for one of them."
  } >"$root/usr/share/doc/$name/copyright"
  printf '%s (%s) stable; urgency=medium\n\n  * See CHANGELOG.md of the project.\n\n -- pgAnalytics <packages@pganalytics.invalid>  %s\n' \
    "$name" "$version" "$(date -uR)" | gzip -9n >"$root/usr/share/doc/$name/changelog.gz"
  if [ "$name" = pganalytics-server ]; then
    mkdir -p "$root/etc/pganalytics"
    conf=/etc/pganalytics/server.env
    install -m 0644 "$here/deploy/systemd/pganalytics-backup.service" "$here/deploy/systemd/pganalytics-backup.timer" "$root/lib/systemd/system/"
    printf '# Settings of the server, NAME=value; pganalytics-server config lists them.\n# Secrets: pganalytics-server secrets init --owner USER, then JWT_SECRET_FILE=...\nPGANALYTICS_BACKUP_DIR=/var/backups/pganalytics\n' >"$root$conf"
  else
    mkdir -p "$root/etc/pganalytics"
    conf=/etc/pganalytics/agent.toml
    printf '# Settings of the agent; pganalytics-agent config lists them.\n#[backend]\n#url = "https://metrics.example.com"\n#registration_secret_file = "/etc/pganalytics/registration_secret"\n#[[postgres]]\n#host = "/run/postgresql"\n#user = "pganalytics_monitor"\n' >"$root$conf"
  fi
  chmod 0640 "$root$conf"
  echo "$conf" >"$root/DEBIAN/conffiles"
  for script in postinst prerm postrm; do
    sed -e "s/@UNIT@/$unit/" -e "s/@TIMER@/$timer/" -e "s/@USER@/$user/" -e "s/@NAME@/$name/" -e "s|@CONF@|$conf|" \
      "$here/deploy/packages/deb/$script" >"$root/DEBIAN/$script"
    chmod 0755 "$root/DEBIAN/$script"
  done
  mkdir -p "$work/debian"
  printf 'Source: %s\n\nPackage: %s\nArchitecture: any\n' "$name" "$name" >"$work/debian/control"
  depends=$(cd "$work" && dpkg-shlibdeps -O --ignore-missing-info "$root/usr/bin/$name" 2>/dev/null | sed 's/^shlibs:Depends=//')
  cat >"$root/DEBIAN/control" <<CONTROL
Package: $name
Version: $version
Section: database
Priority: optional
Architecture: $arch
Maintainer: pgAnalytics <packages@pganalytics.invalid>
Installed-Size: $(du -sk "$root" | cut -f1)
Depends: ${depends:-libc6}, ca-certificates
Recommends: systemd
Homepage: https://github.com/pganalytics/pganalytics
Description: $3
 Monitoring of fleets of PostgreSQL servers: agents beside the databases send
 what they find to a server, where people look at it and ask it in SQL.
CONTROL
  (cd "$root" && find . -type f ! -path './DEBIAN/*' -exec md5sum {} + | sed 's|  \./|  |' >DEBIAN/md5sums)
  dpkg-deb --root-owner-group "-z${DEB_LEVEL:-6}" --build "$root" "$out/${name}_${version}_$arch.deb" >/dev/null
  echo "$out/${name}_${version}_$arch.deb"
}

package pganalytics-server pganalytics.service "pgAnalytics server: takes in, keeps and shows metrics"
package pganalytics-agent pganalytics-agent.service "pgAnalytics agent: watches PostgreSQL servers and their host"
