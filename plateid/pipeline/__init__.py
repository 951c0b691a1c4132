"""From a camera's frames to the two events of each vehicle pass.

camera_pipeline   decides which frames are searched or skipped, and which plates are read
motion            the motion gate: skips detection in still scenes
tracking          the tracker: connects detections over frames
traffic           the passes of one camera, and when their events are published
passes            one vehicle's pass, and its small and blurred crops for training
stationary        whether a plate moves, since when it does not, and clocks in the image
lost_passes       the lost-pass buffer: undetected vehicles that may still be there
border            which plates near the border of the image are whole, and which may be cut
close_ups         finds plates of a sub-stream in the image of the main stream
event_builder     builds complete events by a camera's settings, with list match and snapshot
"""
