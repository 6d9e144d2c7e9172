#!/bin/sh
# pin.sh CONTAINERFILE: the images that it is built from, each by the digest that its name has
# now, as arguments for `docker buildx build`. Digests are not in the Containerfiles: nobody here
# could look them up. A release builds from what this prints, and its provenance names it.
# Needs docker with buildx, and a way to the registry.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 CONTAINERFILE" >&2; exit 2; }
sed -n 's/^ARG \([A-Z_]*\)=\(docker\.io\/.*\)$/\1 \2/p' "$1" | while read -r variable image; do
  digest=$(docker buildx imagetools inspect "$image" --format '{{.Manifest.Digest}}')
  case $digest in
    sha256:????????????????????????????????????????????????????????????????) ;;
    *) echo "$image has no digest: $digest" >&2; exit 1 ;;
  esac
  printf -- '--build-arg %s=%s@%s\n' "$variable" "${image%:*}" "$digest"
done
