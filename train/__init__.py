"""From pictures to a bundle; `python -m train` has a command for each step.

dataset     reads and checks labelled pictures, and holds a part of them out
detector    fine-tunes the network that finds plates; the small-data curve
reader      fine-tunes the network that reads them
synth       renders plates as a camera sees them
export      writes the networks as ONNX, proves them, and describes them
evaluation  judges a bundle through the code that runs on the device
street      renders test videos of a street, with ground truth
"""

import os

# else ultralytics installs whatever module a file of weights names
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
