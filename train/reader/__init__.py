"""Trains the reader on real and on rendered plate crops."""
