"""Serves rtsp://127.0.0.1:PORT/live; run with the Python that has Debian's GStreamer bindings.

With a video file (H.264 in MP4) as last argument, each client gets it from its begin.

SIGUSR1 makes it hold its frames back while connections stay open; SIGUSR2 lets them continue.
"""

import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PIPELINE = (
    "( videotestsrc is-live=true pattern=ball"
    " ! video/x-raw,width={width},height={height},framerate={fps}/1 ! valve name=valve"
    " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} ! rtph264pay name=pay0 )"
)


VIDEO = "( filesrc location={file} ! qtdemux ! h264parse ! rtph264pay name=pay0 config-interval=1 )"


def main(port: str, *values: str) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer(service=port, address="127.0.0.1")
    values = dict(zip(("fps", "gop", "width", "height", "file"), values, strict=False))
    launch = (VIDEO if "file" in values else PIPELINE).format(**values)
    factory = GstRtspServer.RTSPMediaFactory(launch=launch, shared="file" not in values)
    if "file" not in values:
        valves = Valves()
        factory.connect("media-configure", valves.add)
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


class Valves:
    """The valves of all sessions; a signal opens or closes them."""

    def __init__(self) -> None:
        self._all = []
        self._shut = False
        for number, shut in ((signal.SIGUSR1, True), (signal.SIGUSR2, False)):
            GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, self._set, shut)

    def add(self, _factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
        self._all.append(media.get_element().get_by_name("valve"))
        self._set(self._shut)

    def _set(self, shut: bool) -> bool:
        self._shut = shut
        for valve in self._all:
            valve.set_property("drop", shut)
        return GLib.SOURCE_CONTINUE


main(*sys.argv[1:])
