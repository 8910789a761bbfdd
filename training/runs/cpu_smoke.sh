#!/usr/bin/env bash
# From photographs to a usable adapter on a CPU: every stage for a few steps, then a photo is restored with the result.
# Shows that the recipe runs, not that it is good; a minute or two on two free cores:
# `training/runs/cpu_smoke.sh [PHOTOS [OUT [STEPS a stage]]]`.
set -euo pipefail
cd "$(dirname "$0")/../.."
photos=${1:-lwr/samples}
out=${2:-runs/smoke}
steps=${3:-10}
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3

before=none
for stage in autoencoder prior encoder end-to-end perceptual adapter; do
    "$python" -m training.run "$stage" --photos "$photos" --init "$before" --out "$out/$stage" \
        --steps "$steps" --minutes none --batch 4 --crop 64 --warmup 2 --log-steps 5 --distance gradient \
        --validate-minutes 0 --tracker none
    before=$out/$stage
done
"$python" -m lwr restore lwr/samples/hazy-rocket.jpg --task dehaze --prior "$out/adapter/network" \
    --out "$out/restored.png" --overwrite
echo "the adapters: $out/adapter/network/adapters   a photo restored with them: $out/restored.png"
