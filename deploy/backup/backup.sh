#!/bin/sh
# backup.sh prepare|due|once|run: backups of a cluster with pgBackRest, in the user of PostgreSQL.
#   prepare  writes the configuration, makes the stanza, checks that WAL arrives
#   due      prints what is due at the time given as "DAY HOUR MINUTE" (date +'%u %H %M')
#   once T   takes a backup of type full, diff or incr
#   run      for ever: full on Sunday 02:00, diff on other days 02:00, incr at 08, 14 and 20,
#            a check every hour, and a verification on Saturday 04:00
# BACKUP_CIPHER_PASS_FILE names a file with a password: then the repository is encrypted. (A
# variable that began with PGBACKREST_ would be an option of pgBackRest itself.)
# The server archives with: archive_mode=on
#   archive_command='pgbackrest --config=CONFIG --stanza=main archive-push %p'
set -eu
folder=$(cd "$(dirname "$0")" && pwd)
PGDATA=${PGDATA:-/var/lib/postgresql/pgdata} PGPORT=${PGPORT:-5432}
SOCKET=${SOCKET:-/var/run/postgresql} REPO=${REPO:-/backup/pgbackrest}
RUN=${RUN:-/tmp/pgbackrest} CONFIG=${CONFIG:-$RUN/pgbackrest.conf}
LOG=$RUN/log LOCK=$RUN/lock SPOOL=$RUN/spool

backrest() { pgbackrest --config="$CONFIG" --stanza=main "$@"; }

configure() {
  umask 077
  mkdir -p "$LOG" "$LOCK" "$SPOOL" "$REPO"
  # Block incrementals came with 2.46.
  case $(pgbackrest version) in *" 2."[0-9] | *" 2."[1-3][0-9] | *" 2.4"[0-5]) BLOCK=n ;; *) BLOCK=y ;; esac
  # Before block incrementals there is no such option at all.
  drop=; [ "$BLOCK" = y ] || drop='/^repo1-block=/d'
  sed -e "$drop" -e "s|\${REPO}|$REPO|" -e "s|\${BLOCK}|$BLOCK|" -e "s|\${LOG}|$LOG|" -e "s|\${LOCK}|$LOCK|" \
    -e "s|\${SPOOL}|$SPOOL|" -e "s|\${PGDATA}|$PGDATA|" -e "s|\${PGPORT}|$PGPORT|" -e "s|\${SOCKET}|$SOCKET|" \
    "$folder/pgbackrest.conf.tmpl" >"$CONFIG"
  if [ -n "${BACKUP_CIPHER_PASS_FILE:-}" ]; then
    pass=$(cat "$BACKUP_CIPHER_PASS_FILE")
    printf '\n[global]\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=%s\n' "$pass" >>"$CONFIG"
  fi
}

due() { # DAY HOUR MINUTE, Monday is 1
  [ "$3" = 00 ] || return 0
  case $1-$2 in
    7-02) echo full ;;
    *-02) echo diff ;;
    6-04) echo verify ;;
    *-08 | *-14 | *-20) echo incr ;;
    *) echo check ;;
  esac
}

act() {
  case $1 in
    full | diff | incr) backrest --type="$1" backup ;;
    check) backrest check ;;
    verify) backrest verify ;;
  esac
}

case ${1:-} in
  prepare)
    configure
    backrest stanza-create
    backrest check
    ;;
  configure) configure ;;
  due) shift; due "$@" ;;
  once) act "${2:?full, diff or incr}" ;;
  run)
    configure
    # A stanza that is there stays as it is.
    backrest stanza-create
    while :; do
      # shellcheck disable=SC2046 # three words
      what=$(due $(date -u +'%u %H %M'))
      [ -z "$what" ] || act "$what" || echo "[BACKUP] ERROR: $what failed" >&2
      # To the next minute.
      sleep $((60 - $(date +%s) % 60))
    done
    ;;
  *) sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
