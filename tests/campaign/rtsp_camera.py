"""Serves the JPEG frames of a TCP port as rtsp://127.0.0.1:PORT/live.

Run with the Python that has Debian's GStreamer bindings: `rtsp_camera.py PORT SOURCE_PORT FPS`.
"""

import socket
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PIPELINE = (
    "( appsrc name=frames is-live=true do-timestamp=true format=time"
    " caps=image/jpeg,width=480,height=192,framerate={fps}/1 ! jpegdec ! videoconvert"
    " ! video/x-raw,format=I420"
    " ! x264enc tune=zerolatency speed-preset=ultrafast quantizer=18 pass=quant key-int-max={fps}"
    " ! rtph264pay name=pay0 config-interval=1 )"
)


def main(port: str, source: str, fps: str) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer(service=port, address="127.0.0.1")
    factory = GstRtspServer.RTSPMediaFactory(launch=PIPELINE.format(fps=fps), shared=True)
    factory.connect("media-configure", feed, int(source))
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


def feed(_factory: object, media: GstRtspServer.RTSPMedia, port: int) -> None:
    frames = media.get_element().get_by_name("frames")
    threading.Thread(target=pump, args=(frames, port), daemon=True).start()


def pump(frames: Gst.Element, port: int) -> None:
    """Hands each frame to the encoder, until its pipeline ends."""
    with socket.create_connection(("127.0.0.1", port)) as source, source.makefile("rb") as file:
        while size := file.read(8):
            buffer = Gst.Buffer.new_wrapped(file.read(int(size)))
            if frames.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                break


main(*sys.argv[1:])
