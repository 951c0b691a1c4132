"""Measures this device: the time of each stage of a frame, and how many cameras it can handle.

stages      one video in one thread: the time of each stage, and the accuracy
compare     readers side by side: accuracy, time, what they read differently
capacity    `plateid run` with a number of cameras: load, latency, memory; the video
"""
