#!/usr/bin/env bash
# Every stage of the embedded network, each from the one before, as far as 25 minutes of one GPU go:
# `training/runs/one_gpu.sh PHOTOS [OUT [MINUTES [more options of training.run]]]`.
# The same command again continues where it was stopped. START names the network to start from (none: a new one).
# What comes out lies in OUT/adapter/network, in half precision, no file over 10 MB.
set -euo pipefail
cd "$(dirname "$0")/../.."
photos=$1
out=${2:-runs/one-gpu}
minutes=${3:-25}
more=("${@:4}")
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3

before=${START:-lwr/embedded}
stage() { # NAME PRESET SHARE-OF-THE-MINUTES OPTIONS...
    "$python" -m training.run "$2" --photos "$photos" --init "$before" --out "$out/$1" \
        --minutes "$(awk "BEGIN { print $minutes * $3 }")" --save-minutes 2 --validate-minutes 0 \
        --precision bf16 --tracker none "${@:4}" ${more[@]+"${more[@]}"}
    before=$out/$1
}
stage vae autoencoder 0.14 --batch 96 --crop 128
stage vae-perceptual autoencoder 0.12 --batch 48 --crop 128 --lr 5e-4 --perceptual 0.15 --gan 0.05
stage prior prior 0.20 --batch 192 --crop 128
stage encoder encoder 0.10 --batch 96 --crop 128
stage end-to-end end-to-end 0.24 --batch 48 --crop 128 --lr 5e-4 --clip 0.02 --scene 2 --exact 0.9 --sampled 0.1 --gan 0 \
    --parts encoder,sft,text,refiner,prior.unet --lora-parts prior.unet,encoder,sft
stage perceptual perceptual 0.12 --batch 48 --crop 128 --refiner-only false
stage adapter adapter 0.08 --batch 16 --crop 256
echo "the network: $out/adapter/network"
