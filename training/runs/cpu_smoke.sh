#!/usr/bin/env bash
# From photographs to a usable adapter on a CPU: every rung for a moment, then a photo is restored with the result.
# Proves that the ladder holds, not that it is good: `training/runs/cpu_smoke.sh [PHOTOS [OUT [MINUTES a rung]]]`.
set -euo pipefail
cd "$(dirname "$0")/../.."
photos=${1:-lwr/samples}
out=${2:-runs/smoke}
minutes=${3:-0.5}
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3

before=""
for rung in autoencoder prior encoder wrapping decoder adapter; do
    "$python" -m training.run "$rung" ${before:+--init "$out/$before"} --out "$out/$rung" --photos "$photos" \
        --minutes "$minutes" --batch 4 --crop 64 --warmup 5 --log-steps 10 --validate-crop 64 --tracker none
    before=$rung
done
"$python" -m lwr restore lwr/samples/hazy-rocket.jpg --task dehaze --prior "$out/adapter/network" \
    --out "$out/restored.png" --overwrite
echo "the adapters: $out/adapter/network/adapters   a photo restored with them: $out/restored.png"
