"""The networks: verified bundles, ONNX Runtime sessions, detector and reader."""
