#!/bin/sh
# Upscale one picture: upscale.sh INPUT SCALE OUTPUT. The headers are written to standard error.
set -eu
server=${ANYSR_SERVER:-http://127.0.0.1:8000}
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT

# --fail-with-body: an error ends the script with its text, which is not saved as a picture.
curl --silent --show-error --fail-with-body --dump-header "$headers" --output "$3" \
    --form "image=@$1" --form "scale=$2" "$server/upscale" || { cat "$3" >&2; rm -f "$3"; exit 1; }
grep -i '^x-anysr-' "$headers" >&2
