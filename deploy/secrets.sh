#!/bin/sh
# Draws the passwords that the deployment needs into deploy/secrets, and makes the folder of the keys; what is there stays.
# Run as root, so that the keys can belong to the container's user alone.
set -eu
umask 077
folder="$(cd "$(dirname "$0")" && pwd)/secrets"
mkdir -p "$folder"
chmod 0700 "$folder"
draw() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
for name in postgres miette worker analyst temporal; do
  file="$folder/${name}_password"
  [ -e "$file" ] && continue
  draw 24 >"$file"
  # Each container's own user reads it; on this machine the folder keeps others out.
  chmod 0444 "$file"
done
url() { printf 'postgres://%s:%s@%s/miette' "$1" "$(cat "$folder/$1_password")" "${POSTGRES_ADDRESS:-postgres:5432}"; }
for role in miette worker analyst; do
  file="$folder/${role}_url"
  [ -e "$file" ] && continue
  url "$role" >"$file"
  chmod 0444 "$file"
done
# The first command makes the first generation of keys in it, as the container's user.
if [ ! -e "$folder/keys" ]; then
  mkdir -m 0700 "$folder/keys"
  chown 10001:10001 "$folder/keys"
fi
echo "The secrets are in $folder. Keep a copy of keys/ elsewhere: without it nothing that is sealed opens."
