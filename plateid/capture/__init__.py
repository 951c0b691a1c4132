"""Where images come from, and where frames wait for a worker.

images, image_headers      image files, their damage, and what their headers say without decoding
container, decoder, stream, video_file   live streams and video files: opened, decoded, played
recording_names            what the path of a recording says: start and camera
gop_decoder                whole groups of pictures, and single key frames, of a video file
video_image                a decoded video frame that stays YUV until pixels are needed
video_writer               annotated copies of videos
main_stream, mapping, stream_clock   the main stream of a camera that is watched in its sub-stream
onvif                      asks a camera for its streams' addresses, and for a key frame
camera                     one camera, read for ever through all outages
camera_posts               what cameras post that read plates by themselves
mailbox                    one slot for each camera; the newest frame replaces an older one
"""
