"""The networks.

bundle, signature, archive   two networks and what feeds them: checked, signed, as one file
shelf, download              installed bundles, and how one comes
networks, session, device    loaded once for all cameras, by ONNX Runtime, on what is here
proof, agreement, engine     who computed it, whether it answers as on the CPU, TensorRT
detector, reader, close      finds plates, reads them, looks at one in a still picture twice
easyocr                      another reader
"""

import os

# Since 1.29 the official builds of ONNX Runtime keep a telemetry database unless this is set
# before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
