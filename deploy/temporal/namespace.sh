#!/bin/sh
# Makes the namespace and the search attributes by which runs are found in the UI. Does nothing to those that are there.
set -eu
namespace="${TEMPORAL_NAMESPACE:-default}"
temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1 ||
  temporal operator namespace create --namespace "$namespace" --retention 30d
known="$(temporal operator search-attribute list --namespace "$namespace")"
for attribute in MietteSource:Keyword MietteStream:Keyword MietteKind:Keyword MietteRowsLoaded:Int MietteRowsRejected:Int; do
  case "$known" in
  *"${attribute%%:*}"*) ;;
  *) temporal operator search-attribute create --namespace "$namespace" --name "${attribute%%:*}" --type "${attribute##*:}" ;;
  esac
done
