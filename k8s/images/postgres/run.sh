#!/bin/sh
# Starts PostgreSQL on /data. At the first start it makes the database and its owner, both named largesse; the password is in the
# file /run/secrets/postgres/password.
set -eu
data=/data/postgres

if [ ! -e "$data" ]; then
  # Aside and renamed when it is whole: a pod that is ended in the middle leaves no half of it that looks like one.
  rm -rf "$data.new"
  initdb -D "$data.new" -U largesse --auth=scram-sha-256 --pwfile=/run/secrets/postgres/password --encoding=UTF8 \
    --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C
  echo 'host all all all scram-sha-256' >> "$data.new/pg_hba.conf"
  echo 'create database largesse;' | postgres --single -D "$data.new" postgres > /dev/null
  mv "$data.new" "$data"
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories= -c timezone=UTC
