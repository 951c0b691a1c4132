# shellcheck shell=bash disable=SC2034
# Variables and functions of the recipes, which source this file.
#
#   DATA   folder of the data sets: romanian, kaggle, useu (labelled images), us-crops, cn-crops
#          (cropped plates), and openalpr-dev/{eu,us,br}, which nothing is trained on
#   RUNS   folder of the trainings; a finished one is not run again, an interrupted one is resumed
#   OUT    folder of the bundle that the recipe makes
#   COCO   COCO weights of YOLOv8n to start from; ultralytics downloads them by this name
#   TRAIN  the command `train`
#
# For a quick run of all commands, these replace the values of every training: EPOCHS, IMGSZ, BATCH,
# MINUTES, PROCESSES, SAMPLES (rendered crops) and SIZE (of the detector's input).
set -euo pipefail

: "${DATA:?folder of the data sets}" "${RUNS:=runs/recipes}" "${COCO:=yolov8n.pt}"
: "${TRAIN:=.venv-train/bin/python -m train}"
RECIPES=$(dirname "${BASH_SOURCE[0]}")
IMAGES=(--data "$DATA/romanian" --data "$DATA/kaggle" --data "$DATA/useu")
US_CROPS=(--data "$DATA/us-crops")
ALL_CROPS=("${IMAGES[@]}" "${US_CROPS[@]}" --data "$DATA/cn-crops")

# finetune NAME OPTION...: trains a detector on all labelled images.
finetune() {
  local run=$RUNS/$1
  shift
  [ -f "$run/run.json" ] || $TRAIN detector "${IMAGES[@]}" --out "$run" --no-validate "$@" \
    ${EPOCHS:+--epochs "$EPOCHS"} ${IMGSZ:+--imgsz "$IMGSZ"} ${BATCH:+--batch "$BATCH"}
}

# train_reader NAME OPTION...: trains a reader.
train_reader() {
  local run=$RUNS/$1
  shift
  [ -f "$run/run.json" ] || $TRAIN reader --out "$run" "$@" ${MINUTES:+--minutes "$MINUTES"} \
    ${BATCH:+--batch "$BATCH"} ${PROCESSES:+--processes "$PROCESSES"}
}

# detector NAME, reader NAME: the weights of a training.
detector() { echo "$RUNS/$1/fit/weights/last.pt"; }
reader() { echo "$RUNS/$1/last.pt"; }

# save BUNDLE OPTION...: exports into a bundle in RUNS, for its averaged weights.
save() {
  local bundle=$RUNS/$1
  shift
  [ -f "$bundle/bundle.toml" ] || $TRAIN export --out "$bundle" "$@" ${SIZE:+--size "$SIZE"}
}

# fill OPTION...: exports into the bundle that the recipe makes.
fill() { $TRAIN export --out "$OUT" "$@" ${SIZE:+--size "$SIZE"}; }

# measure: writes the accuracy on held-out images and on openalpr-dev into the bundle.
measure() {
  $TRAIN evaluate --bundle "$OUT" --write --out "$RUNS/evaluation" --held-out \
    "$DATA/romanian" "$DATA/kaggle" "$DATA/useu" --crops "$DATA/us-crops"
  if [ -d "$DATA/openalpr-dev" ]; then
    $TRAIN evaluate --bundle "$OUT" --write --out "$RUNS/evaluation-openalpr" --open \
      "$DATA"/openalpr-dev/{us,eu,br}
  fi
}
