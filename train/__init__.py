"""From labelled images to a bundle: `python -m train` has a command for each step.

dataset     reads, checks and splits labelled images
synth       renders plates as a camera sees them
detector    fine-tunes the network that finds plates; draws the small-data curve
reader      trains the network that reads them
evaluation  measures a bundle's accuracy with the code that runs on the device
export      writes networks as ONNX, checks them against torch, and fills a bundle
manifest    writes bundle.toml, the model card and the origin of weights
street      renders test videos of a street, with ground truth
recipes     the commands that made the shipped bundles
"""

import os

# otherwise ultralytics pip-installs any module that a weights file names
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
