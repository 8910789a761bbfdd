#!/usr/bin/env bash
# The adapters of denoise, dejpeg, low-light and derain on the shipped, frozen network, beside each other on one GPU:
# `training/runs/four_adapters.sh PHOTOS [OUT [MINUTES [more options of training.run]]]`. Four small runs keep a GPU
# busier than one. They need about 16 CPU cores, which make the crops. What comes out lies in
# OUT/TASK/network/adapters/TASK.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
photos=$1 out=${2:-runs/four-adapters} minutes=${3:-8}
more=("${@:4}")

train() { # TASK, options
    "$python" -m training.run adapter --tasks "$1" --out "$out/$1" --photos "$photos" --init lwr/embedded \
        --minutes "$minutes" --scene 1 --group 4 --exact 0.85 --perceptual 1 --warmup 40 --ema 0.99 --seed 5 \
        --precision bf16 --save-minutes 1.5 --validate-minutes 0 --tracker none "${@:2}" "${more[@]}" &
    runs+=($!)
}

runs=()
trap 'kill "${runs[@]}" 2>/dev/null || true' INT TERM # each saves and stops
export OMP_NUM_THREADS=1
fine="--lora-parts refiner --refiner-rank 32 --sampled 0 --crop 128 --batch 96 --lr 1.5e-3"
wide="--sampled 0.05 --crop 192 --batch 48 --lr 2e-3"
# shellcheck disable=SC2086 # options apart
{
    train denoise $fine --workers 4
    train dejpeg $fine --workers 2
    train low-light $wide --workers 3
    train derain $wide --workers 6
}
failed=0
for run in "${runs[@]}"; do wait "$run" || failed=1; done
exit "$failed"
