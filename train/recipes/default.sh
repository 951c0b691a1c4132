#!/usr/bin/env bash
# Makes the bundle `default` from the data sets: YOLOv8n with ReLU and narrow score branches at
# 768 x 448, in INT8. On two cores the detector takes about 7 hours and the reader about 17.
#
#   DATA=shared/data OUT=runs/default train/recipes/default.sh
# shellcheck source=SCRIPTDIR/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=SCRIPTDIR/steps.sh
. "$RECIPES/steps.sh"
: "${OUT:=$RUNS/default}"

detector_relu
detector_0_3
reader_0_7

# The first teacher is yolov8n-plates-0.3. The second is a YOLOv8n from the COCO weights: 80 epochs
# on 400 images, then 20 on all.
finetune teacher-400 --base "$COCO" --limit 400 --epochs 80 --batch 8
finetune teacher --base "$(detector teacher-400)" --epochs 20 --batch 8 --lr0 6e-4 \
  --plates "$DATA/us-crops"

# Score branches of 32 channels learn the outputs of the wide ones; everything else stays.
finetune narrow --base "$(detector relu-0.2)" --teacher "$(detector relu-0.2)" --score-width 32 \
  --epochs 16 --lr0 3e-3 --plates "$DATA/us-crops"

# From there, once by distillation and once with the labels.
finetune distilled --base "$(detector narrow)" --teacher "$RUNS/detector-0.3-average" \
  --teacher "$(detector teacher)" --epochs 10 --imgsz 768 --lr0 5e-4 --plates "$DATA/us-crops"
finetune labels --base "$(detector narrow)" --epochs 8 --imgsz 960 --batch 8 --lr0 3e-4 \
  --plates "$DATA/us-crops"

# The average of the three, in which the distilled weights count twice.
fill --name default-0.10 --size 768x448 --precision int8 "${IMAGES[@]}" \
  --detector "$(detector labels)" --average-with "$(detector distilled)" \
  --average-with "$(detector distilled)" --average-with "$(detector narrow)"
fill "${READER_0_7[@]}" --precision int8 "${ALL_CROPS[@]}"

# The highest threshold at which no held-out source is found less often than before.
sed -i 's/^threshold = .*/threshold = 0.35/' "$OUT/bundle.toml"
measure
