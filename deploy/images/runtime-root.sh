#!/bin/sh
# runtime-root.sh PROGRAM ROOT DATA_FOLDER...: a root folder that holds a program, the files that
# it is linked with, certificates, a user and its data folders, and nothing else.
set -eu
[ $# -ge 3 ] || { echo "usage: $0 PROGRAM ROOT DATA_FOLDER..." >&2; exit 2; }
program=$1 root=$2
shift 2

mkdir -p "$root/usr/bin" "$root/etc/ssl/certs" "$root/etc/pganalytics" "$root/tmp"
chmod 1777 "$root/tmp"
install -m 0755 "$program" "$root/usr/bin/$(basename "$program")"
# Where the loader looks for them; since glibc 2.34 names resolve without further libraries.
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
  install -D -m 0755 "$library" "$root$library"
done
install -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
echo 'pganalytics:x:10001:10001:pgAnalytics:/:/sbin/nologin' >"$root/etc/passwd"
echo 'pganalytics:x:10001:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
for data in "$@"; do install -d -m 0700 -o 10001 -g 10001 "$root/$data"; done
