#!/bin/sh
# deb.sh PROGRAMS [VERSION-OF-UPGRADE]: the Debian packages in a Debian of their own, where systemd runs: installed,
# started, killed, hung, upgraded, removed, purged. Needs root, mmdebstrap and systemd-nspawn.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 PROGRAMS" >&2; exit 2; }
here=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=deploy/check/lib.sh
. "$here/deploy/check/lib.sh"
if [ "$(id -u)" != 0 ] || ! command -v mmdebstrap >/dev/null || ! command -v systemd-nspawn >/dev/null; then
  not_here "root, mmdebstrap and systemd-nspawn"; summary; exit
fi
work=$(mktemp -d)
cleanup() {
  [ -z "${machine:-}" ] || kill "$machine" 2>/dev/null || true
  sleep 1
  rm -rf "$work"
}
trap cleanup EXIT
# Small enough for a try.
export DEB_LEVEL=0
"$here/deploy/packages/deb.sh" "$1" "$work/debs" 0.1.0 >/dev/null
"$here/deploy/packages/deb.sh" "$1" "$work/newer" 0.1.1 >/dev/null
ok "packages are built"
if command -v lintian >/dev/null; then
  expect "lintian finds no error" "" "$(lintian "$work"/debs/*.deb 2>/dev/null | grep '^E:' || true)"
fi
root=$work/root
mmdebstrap --quiet --variant=minbase --include=ca-certificates,systemd,systemd-sysv,dbus,libgcc-s1,procps,curl bookworm "$root"
cp -r "$work/debs" "$work/newer" "$here/deploy/check" "$root/"
cat >"$root/run.sh" <<'INSIDE'
#!/bin/sh
# Runs as a unit within; what it prints is read outside.
exec >/result 2>&1
set -u
say() { echo "$1=$2"; }
state() { systemctl is-active "$1"; }
wait_for() { tries=100; while [ "$(state "$2")" != "$1" ] && [ $tries -gt 0 ]; do tries=$((tries - 1)); sleep 0.2; done; state "$2"; }
dpkg -i /debs/*.deb >/dpkg.log 2>&1; say install $?
say not_started "$(state pganalytics)"
# As docs/production.md says.
owner=$(id -u pganalytics):$(id -g pganalytics) etc=/etc/pganalytics
pganalytics-server secrets init --dir $etc/secrets --for server --owner "$owner" >/dev/null
pganalytics-server certs ca --dir /root/ca >/dev/null
pganalytics-server certs issue --ca /root/ca --dir $etc/tls --host localhost --host 127.0.0.1 --owner "$owner" >/dev/null
cat >$etc/server.env <<ENV
ENVIRONMENT=production
PGANALYTICS_LISTEN=0.0.0.0
PGANALYTICS_BACKUP_DIR=/var/backups/pganalytics
TLS_CERT=$etc/tls/server.crt
TLS_KEY=$etc/tls/server.key
JWT_SECRET_FILE=$etc/secrets/server/jwt_secret
REGISTRATION_SECRET_FILE=$etc/secrets/server/registration_secret
PGANALYTICS_ADMIN_PASSWORD_FILE=$etc/secrets/server/admin_password
PGANALYTICS_SCRAPE_TOKEN_FILE=$etc/secrets/server/scrape_token
ENV
as_server() { systemd-run --quiet --wait --pipe -p User=pganalytics -p EnvironmentFile=$etc/server.env -E PGANALYTICS_DATA_DIR=/var/lib/pganalytics "$@"; }
systemctl start pganalytics; say start "$(state pganalytics)"
say type "$(systemctl show -P Type pganalytics) $(systemctl show -P StatusText pganalytics | cut -c1-5)"
say user "$(ps -o user:20= -p "$(systemctl show -P MainPID pganalytics)" | tr -d ' ')"
as_server /usr/bin/pganalytics-server health --ready; say health $?
say exposure "$(systemd-analyze security pganalytics --no-pager | sed -n 's/.*level for pganalytics.service: \([0-9.]*\).*/\1/p')"
systemctl start pganalytics-backup; say backup "$? $(find /var/backups/pganalytics -name '*.backup' -user pganalytics -perm 600 | wc -l)"
systemctl enable --now pganalytics-backup.timer; say timer "$(systemctl is-active pganalytics-backup.timer)"
install -m 0400 -o pganalytics-agent $etc/secrets/server/registration_secret $etc/registration_secret
printf '[backend]\nurl = "https://localhost:8080"\nregistration_secret_file = "/etc/pganalytics/registration_secret"\n[tls]\nca_file = "/etc/pganalytics/tls/ca.crt"\n[collector]\ninterval = 1\npush_interval = 1\n' >$etc/agent.toml
systemctl start pganalytics-agent; sleep 8
as_server /usr/bin/pganalytics-server doctor --production --host localhost >/doctor 2>&1; say doctor "$?"
tail -n 1 /doctor; grep -A1 FAIL /doctor
GUIDE_PASSWORD_FILE=$etc/secrets/server/admin_password SCRAPE_TOKEN_FILE=$etc/secrets/server/scrape_token sh /check/guide.sh https://localhost:8080 --cacert /root/ca/ca.crt --production >/guide 2>&1; say guide "$?"
tail -n 1 /guide; grep FAIL /guide
pid=$(systemctl show -P MainPID pganalytics)
kill -KILL "$pid"; sleep 12; say killed "$(wait_for active pganalytics)"
mkdir -p /run/systemd/system/pganalytics.service.d
printf '[Service]\nWatchdogSec=3\nTimeoutAbortSec=3\n' >/run/systemd/system/pganalytics.service.d/test.conf
systemctl daemon-reload; systemctl restart pganalytics
pid=$(systemctl show -P MainPID pganalytics)
kill -STOP "$pid"; sleep 20; wait_for active pganalytics >/dev/null
say hung "$(state pganalytics) $([ "$(systemctl show -P MainPID pganalytics)" != "$pid" ] && echo anew)"
echo 'PORT=many' >/etc/pganalytics/server.env
systemctl restart pganalytics; sleep 2; say misused "$(state pganalytics) $(systemctl show -P NRestarts pganalytics)"
echo 'LOG_LEVEL=warn' >/etc/pganalytics/server.env
systemctl reset-failed pganalytics; systemctl start pganalytics
systemctl reload pganalytics; say reload "$? $(state pganalytics)"
printf '[backend]\nurl = "http://127.0.0.1:8080"\n' >/etc/pganalytics/agent.toml
systemctl restart pganalytics-agent; say agent "$(wait_for active pganalytics-agent)"
before=$(stat -c %i /var/lib/pganalytics/*.db | head -n 1)
DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold -i /newer/*.deb >>/dpkg.log 2>&1; say upgrade $?
say after_upgrade "$(wait_for active pganalytics) $(dpkg-query -W -f '${Version}' pganalytics-server)"
say edits "$(cat /etc/pganalytics/server.env)"
say data "$([ "$(stat -c %i /var/lib/pganalytics/*.db | head -n 1)" = "$before" ] && echo kept)"
dpkg -r pganalytics-server pganalytics-agent >>/dpkg.log 2>&1; say remove "$? $(state pganalytics)"
dpkg -P pganalytics-server >>/dpkg.log 2>&1; say purge "$? $(ls -d /var/lib/pganalytics)"
poweroff
INSIDE
chmod +x "$root/run.sh"
cat >"$root/etc/systemd/system/try.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/run.sh
[Install]
WantedBy=multi-user.target
UNIT
ln -s /etc/systemd/system/try.service "$root/etc/systemd/system/multi-user.target.wants/try.service" 2>/dev/null \
  || { mkdir -p "$root/etc/systemd/system/multi-user.target.wants"; ln -s ../try.service "$root/etc/systemd/system/multi-user.target.wants/try.service"; }
timeout 300 systemd-nspawn --quiet --register=no --keep-unit -D "$root" --private-network --machine=pganalytics-try --boot >"$work/console" 2>&1 &
machine=$!
wait "$machine" || true
machine=""
[ -s "$root/result" ] || { tail -n 20 "$work/console"; bad "the machine did not boot"; summary; exit 1; }
seen() { sed -n "s/^$1=//p" "$root/result" | tail -n 1; }
expect "they install" 0 "$(seen install)"
expect "and start nothing by themselves" inactive "$(seen not_started)"
expect "the server starts and tells systemd" "active notify Ready" "$(seen start) $(seen type)"
expect "as its own user" pganalytics "$(seen user)"
expect "and is healthy" 0 "$(seen health)"
expect "set up as docs/production.md says, doctor --production has nothing to mend" 0 "$(seen doctor)"
expect "and the guide is content" 0 "$(seen guide)"
case $(seen exposure) in 0.* | 1.* | 2.0) ok "its exposure is $(seen exposure)" ;; *) bad "its exposure is $(seen exposure)" ;; esac
expect "its store is backed up while it runs" "0 1" "$(seen backup)"
expect "each night, by a timer" active "$(seen timer)"
expect "killed, it is back" active "$(seen killed)"
expect "hung, it is started anew" "active anew" "$(seen hung)"
expect "with wrong settings it fails and does not loop" "failed 0" "$(seen misused)"
expect "reload works" "0 active" "$(seen reload)"
expect "the agent starts" active "$(seen agent)"
expect "an upgrade restarts the server" "0 active 0.1.1" "$(seen upgrade) $(seen after_upgrade)"
expect "and keeps edited settings" "LOG_LEVEL=warn" "$(seen edits)"
expect "and the data" kept "$(seen data)"
expect "they are removed" "0 inactive" "$(seen remove)"
expect "purging keeps the data" "0 /var/lib/pganalytics" "$(seen purge)"
[ "$failed" -eq 0 ] || cat "$root/result"
summary
