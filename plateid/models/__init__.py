"""The networks: verified bundles, ONNX Runtime sessions, detector and reader."""

import os

# Since 1.29 the official builds of ONNX Runtime keep a telemetry database unless this is set
# before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
