"""Exports networks as ONNX, checks them against torch, and fills a bundle with them."""
