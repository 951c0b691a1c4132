#!/usr/bin/env bash
# Makes the bundle `small` from the data sets: the ReLU detector of `default` before its score
# branches were narrowed, at 320 x 192, in INT8. On two cores the detector takes about 4 hours and
# the reader about 17.
#
#   DATA=shared/data OUT=runs/small train/recipes/small.sh
# shellcheck source=SCRIPTDIR/common.sh
. "$(dirname "$0")/common.sh"
# shellcheck source=SCRIPTDIR/steps.sh
. "$RECIPES/steps.sh"
: "${OUT:=$RUNS/small}"

detector_relu
reader_0_7

# Quantised at 640 x 384 (the loss of accuracy is measured there), then resized.
fill --name small-0.7 --size 640x384 --precision int8 "${IMAGES[@]}" \
  --detector "$(detector relu-0.2)"
fill --size 320x192
fill "${READER_0_7[@]}" --precision int8 "${ALL_CROPS[@]}"
sed -i 's/^threshold = .*/threshold = 0.25/' "$OUT/bundle.toml"
measure
