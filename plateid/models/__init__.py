"""Inference: model bundles, backends, the detector and the reader.

bundle                         two networks and their description, verified before use
networks, session              a bundle's networks, loaded once
backend                        what runs a network
onnx_backend, openvino_backend    ONNX Runtime and OpenVINO
parity                         whether a backend finds and reads what the CPU does
tensorrt                       TensorRT engines, built and cached for the GPU of this device
onnx_detector, onnx_reader     find plates, read plates
tta                            test-time augmentation for still images
drop_in, slot_reader           other people's networks: their description, fast-plate-ocr's readers
easyocr_reader                 EasyOCR's recogniser in place of the bundle's reader
"""

import os

# Official builds of ONNX Runtime since 1.29 keep a telemetry database unless this is set before
# the import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
