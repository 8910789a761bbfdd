#!/bin/sh
# Nine pruned networks (by magnitude, by gradient, whole blocks; 25, 50 and 75 %), each recovered on the same batches:
#   sh training/runs/pruning.sh PHOTOS [OUT [MINUTES [BATCHES [JOBS]]]]
# JOBS runs share the GPU or the cores; with 12 of them on an H200 start CUDA's MPS before. SIZE are the options of a
# batch, RECOVER further ones of the recoveries, such as "--precision bf16 --steps 115".
set -eu
PHOTOS=$1 OUT=${2:-runs/pruning} MINUTES=${3:-7} BATCHES=${4:-1500} JOBS=${5:-1}
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
for how in magnitude taylor blocks; do
    for ratio in 0.25 0.5 0.75; do
        net="$OUT/pruned/$how-$ratio"
        [ -e "$net" ] || python -m training.prune --photos "$PHOTOS" --how "$how" --ratio "$ratio" --out "$net"
    done
done
SIZE="${SIZE:---batch 32 --crop 128}"
[ -e "$OUT/batches/batches.json" ] ||
    python -m training.draw_batches "$BATCHES" recover --photos "$PHOTOS" --batches "$OUT/batches" --workers "$JOBS" $SIZE
ls "$OUT/pruned" | xargs -P "$JOBS" -I{} python -m training.run recover --init "$OUT/pruned/{}" --teacher lwr/embedded \
    --batches "$OUT/batches" --out "$OUT/runs/{}" --minutes "$MINUTES" --validate-minutes 0 --tracker none --log-steps 25 $SIZE ${RECOVER:-}
python -m training.prune.compare "$OUT/runs" --out "$OUT/pruning.json"
