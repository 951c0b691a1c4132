# shellcheck shell=bash
# Trainings that several recipes share; source common.sh first. Each is the history of the shipped
# weights, leg by leg, in today's options. Where history differs, a comment says so.

# yolov8n-plates-0.2: from COCO, 31 epochs at 640 px.
# (The first 20 epochs rotated and sheared the images, which training does no more.)
detector_0_2() {
  finetune detector-0.1 --base "$COCO" --epochs 20 --imgsz 640 --batch 16 --lr0 1e-3 \
    --plates "$DATA/us-crops" --plates "$DATA/cn-crops"
  finetune detector-0.2 --base "$(detector detector-0.1)" --epochs 11 --imgsz 640 --lr0 5e-4 \
    --plates "$DATA/us-crops" --plates "$DATA/cn-crops"
}

# yolov8n-plates-0.3: 12 epochs at the size of the device's input, averaged with before.
detector_0_3() {
  detector_0_2
  finetune detector-0.3 --base "$(detector detector-0.2)" --epochs 12 --imgsz 960 --batch 8 \
    --lr0 3e-4 --plates "$DATA/us-crops"
  save detector-0.3-average --detector "$(detector detector-0.3)" --size 960x544 \
    --average-with "$(detector detector-0.2)"
}

# yolov8n-relu-plates-0.2: the network with ReLU, which INT8 makes faster than SiLU.
# (It was trained with the labels from the weights of detector-0.2 after 13 epochs: 7 epochs at
# 1e-3, 12 at 7e-4. Starting a yaml from weights now needs them as the teacher.)
detector_relu() {
  detector_0_2
  finetune relu-0.2 --base "$RECIPES/../detector/yolov8n-relu.yaml" --epochs 19 --imgsz 640 \
    --lr0 1e-3 --teacher "$(detector detector-0.2)" --plates "$DATA/us-crops"
}

# platenet-0.5: 9.3 hours in six legs, all but the first averaged with the weights before them.
# (The first leg was 96 minutes at 1e-3 and 8 at 4e-4.)
reader_0_5() {
  local samples=${SAMPLES:-300000}
  train_reader reader-0.1 "${IMAGES[@]}" "${US_CROPS[@]}" --minutes 104 --lr 1e-3
  train_reader reader-0.2 "${IMAGES[@]}" "${US_CROPS[@]}" --base "$(reader reader-0.1)" \
    --minutes 98 --lr 6e-4
  save platenet-0.2 --reader "$(reader reader-0.2)" --average-with "$(reader reader-0.1)"
  $TRAIN synth --out "$RUNS/crops-0.sqlite3" --count "$samples"
  train_reader reader-m "${IMAGES[@]}" "${US_CROPS[@]}" --base "$RUNS/platenet-0.2" \
    --store "$RUNS/crops-0.sqlite3" --minutes 89 --lr 6e-4 --processes 2
  # (The average had the weights in the middle of this leg as well.)
  save platenet-m --reader "$(reader reader-m)" --average-with "$RUNS/platenet-0.2"
  train_reader reader-0.3 "${IMAGES[@]}" "${US_CROPS[@]}" --base "$RUNS/platenet-m" \
    --store "$RUNS/crops-0.sqlite3" --minutes 100 --lr 5e-4 --processes 2
  save platenet-0.3 --reader "$(reader reader-0.3)" --average-with "$(reader reader-0.3)" \
    --average-with "$RUNS/platenet-m" --average-with "$RUNS/platenet-0.2"
  train_reader reader-0.4 "${ALL_CROPS[@]}" --base "$RUNS/platenet-0.3" \
    --store "$RUNS/crops-0.sqlite3" --minutes 90 --lr 5e-4 --processes 2
  save platenet-0.4 --reader "$(reader reader-0.4)" --average-with "$RUNS/platenet-0.3"
  $TRAIN synth --out "$RUNS/crops-1.sqlite3" --count "$samples" --seed 1
  train_reader reader-0.5 "${ALL_CROPS[@]}" --base "$RUNS/platenet-0.4" \
    --store "$RUNS/crops-1.sqlite3" --minutes 75 --lr 5e-4 --processes 2 --real 0.25
}

# platenet-0.7: a rectifier before platenet-0.5, and free formats, in three pairs of trainings.
# (The rectifier was trained alone for 5 minutes before the second pair.)
reader_0_7() {
  reader_0_5
  local crops=(--store "$RUNS/crops-2.sqlite3" "${ALL_CROPS[@]}") seed
  save platenet-0.5 --reader "$(reader reader-0.5)" --average-with "$RUNS/platenet-0.4"
  $TRAIN synth --out "$RUNS/crops-2.sqlite3" --count "${SAMPLES:-150000}" --seed 61
  for seed in 1 2; do
    train_reader "reader-0.6-$seed" "${crops[@]}" --base "$RUNS/platenet-0.5" --seed "$seed" \
      --minutes 64 --lr 5e-4 --batch 96 --real 0.25
  done
  save platenet-0.6 --reader "$(reader reader-0.6-1)" --average-with "$(reader reader-0.6-2)"
  for seed in 101 102; do
    train_reader "reader-0.6-$seed" "${crops[@]}" --base "$RUNS/platenet-0.6" --seed "$seed" \
      --minutes 82 --lr 5e-4 --batch 96 --real 0.3
  done
  save platenet-0.6r --reader "$(reader reader-0.6-101)" \
    --average-with "$(reader reader-0.6-102)" --average-with "$RUNS/platenet-0.6"
  for seed in 301 302; do
    train_reader "reader-0.7-$seed" "${crops[@]}" --base "$RUNS/platenet-0.6r" --seed "$seed" \
      --minutes 85 --lr 3e-4 --batch 96 --real 0.25
  done
}

# Four parts of platenet-0.6r, two of platenet-0.5, one of each training from platenet-0.6r.
# (History: platenet-0.5 had no rectifier; for the average it took the one of platenet-0.6r.)
# shellcheck disable=SC2034  # the recipes use it
READER_0_7=(--reader "$(reader reader-0.7-301)" --average-with "$(reader reader-0.7-302)")
for part in 0.6r 0.6r 0.6r 0.6r 0.5 0.5; do
  READER_0_7+=(--average-with "$RUNS/platenet-$part")
done
