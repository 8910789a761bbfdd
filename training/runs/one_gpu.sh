#!/usr/bin/env bash
# Every stage of the embedded network, as far as 25 minutes of one GPU go:
# `training/runs/one_gpu.sh PHOTOS [OUT [MINUTES [more options of training.run]]]`.
# The same command again continues where it was stopped. START names the network to start from.
# What comes out lies in OUT/adapter/network, in half precision, no file over 10 MB.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
exec "$python" -m training.recipe --photos "$1" --out "${2:-runs/one-gpu}" --minutes "${3:-25}" \
    --start "${START:-lwr/embedded}" -- "${@:4}"
