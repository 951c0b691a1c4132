"""Where pictures come from, and where they wait.

pictures, headers           picture files, and what they say without being decoded
container, stream, lag      clips and cameras: opened, decoded, and caught up with
video                       a decoded frame that stays YUV until somebody looks
playback, writer            a clip as if it were a camera; annotated copies
camera                      one camera, read for ever through all outages
mailbox                     one slot for each camera, and the newest frame wins
"""
