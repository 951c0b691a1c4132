#!/usr/bin/env bash
# Makes the bundle `accurate` from the data sets: YOLOv8n with SiLU at 960 x 544, in float16.
# On two cores the detector takes about 4 hours and the reader about 17.
#
#   DATA=shared/data OUT=runs/accurate train/recipes/accurate.sh
# shellcheck source=SCRIPTDIR/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=SCRIPTDIR/steps.sh
. "$RECIPES/steps.sh"
: "${OUT:=$RUNS/accurate}"

detector_0_3
reader_0_7

# yolov8n-plates-0.4: 14 epochs more with another seed, averaged with before.
finetune detector-0.4 --base "$RUNS/detector-0.3-average" --epochs 14 --imgsz 960 --batch 8 \
  --lr0 3e-4 --seed 1 --plates "$DATA/us-crops"

fill --name accurate-0.11 --size 960x544 --detector "$(detector detector-0.4)" \
  --average-with "$RUNS/detector-0.3-average"
fill "${READER_0_7[@]}"
sed -i 's/^threshold = .*/threshold = 0.25/' "$OUT/bundle.toml"
measure
