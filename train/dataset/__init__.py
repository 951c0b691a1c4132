"""Reads labelled images in any common format, checks them, and splits them without leakage."""
