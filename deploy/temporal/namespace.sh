#!/bin/sh
# Makes the namespace and the search attributes by which runs are found in the UI. Does nothing to those that are there.
set -eu
namespace="${TEMPORAL_NAMESPACE:-default}"
temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1 ||
  temporal operator namespace create --namespace "$namespace" --retention 30d
# A new namespace is known to every service within some seconds.
tries=0
until known="$(temporal operator search-attribute list --namespace "$namespace")"; do
  tries=$((tries + 1))
  [ "$tries" -lt 30 ] || exit 1
  sleep 1
done
for attribute in MietteSource:Keyword MietteStream:Keyword MietteKind:Keyword MietteRowsLoaded:Int MietteRowsRejected:Int; do
  case "$known" in
  *"${attribute%%:*}"*) ;;
  *) temporal operator search-attribute create --namespace "$namespace" --name "${attribute%%:*}" --type "${attribute##*:}" ;;
  esac
done
