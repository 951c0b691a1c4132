"""From weights to a bundle: ONNX with a fixed input, in 8 bits if wished, proved and described."""
