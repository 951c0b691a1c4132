"""Serves a video file (H.264 or HEVC) as rtsp://127.0.0.1:PORT/live for ever, by the wall clock.

Servers of files of one length show the same moment of their scene. The video is delayed by LAG
seconds, of which its sender reports tell, and the clock of these reports is SKEW seconds fast.
"""

import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, GObject, Gst, GstRtspServer  # noqa: E402

READ = "filesrc location={file} ! parsebin ! appsink name=sink sync=false"
SEND = (
    "( appsrc name=source is-live=true format=time ! {codec}parse"
    " ! rtp{codec}pay name=pay0 config-interval=-1 )"
)


NTP_EPOCH_S = 2_208_988_800
"""Seconds from 1900, where the time of sender reports begins, to 1970."""


def main(port: str, file: str, lag: str, skew: str) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer(service=port, address="127.0.0.1")
    caps, units = read(file)
    codec = caps.get_structure(0).get_name().removeprefix("video/x-")
    factory = GstRtspServer.RTSPMediaFactory(launch=SEND.format(codec=codec), shared=True)
    factory.set_clock(skewed_clock(float(skew)))
    factory.connect("media-configure", lambda _, media: start(media, caps, units, float(lag)))
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


def skewed_clock(skew_s: float) -> Gst.Clock:
    """Returns a clock whose time is that of sender reports, `skew_s` fast."""
    clock = GObject.new(Gst.SystemClock, clock_type=Gst.ClockType.REALTIME)
    now_ns = clock.get_internal_time()
    clock.set_calibration(now_ns, now_ns + int((NTP_EPOCH_S + skew_s) * 1e9), 1, 1)
    return clock


def read(file: str) -> tuple:
    """Returns the format, and time of presentation (nanoseconds) and bytes of each access unit."""
    pipeline = Gst.parse_launch(READ.format(file=file))
    pipeline.set_state(Gst.State.PLAYING)
    sink, units = pipeline.get_by_name("sink"), []
    while sample := sink.emit("pull-sample"):
        buffer, caps = sample.get_buffer(), sample.get_caps()
        units.append((buffer.pts, buffer.extract_dup(0, buffer.get_size())))
    pipeline.set_state(Gst.State.NULL)
    first_ns = min(pts for pts, _ in units)
    return caps, [(pts - first_ns, data) for pts, data in units]


def start(media: GstRtspServer.RTSPMedia, caps: Gst.Caps, units: list, lag_s: float) -> None:
    source = media.get_element().get_by_name("source")
    source.set_property("caps", caps)
    media.connect("prepared", report_clock)
    threading.Thread(target=push, args=(source, units, lag_s), daemon=True).start()


def report_clock(media: GstRtspServer.RTSPMedia) -> None:
    """Lets sender reports tell the time of the media's clock."""
    pipeline = media.get_element().get_parent()
    for element in pipeline.children:
        if element.get_factory().get_name() == "rtpbin":
            element.set_property("ntp-time-source", "clock-time")


def push(source: Gst.Element, units: list, lag_s: float) -> None:
    """Pushes access units in order of decoding, each at its time."""
    # a whole number of frames a second: 1 ns more in a file would be 5 frames after 50 years
    step_s = 1 / round(1e9 * (len(units) - 1) / max(pts for pts, _ in units))
    while (
        not Gst.CLOCK_TIME_NONE > source.get_current_running_time() > 1e9 * (lag_s + 0.3)
    ):  # B-frames
        time.sleep(0.01)
    number = began = int((time.time() - lag_s) / step_s)
    early_s = time.time() - (number * step_s + lag_s)
    began_ns = source.get_current_running_time() - int(1e9 * (lag_s + early_s))
    while True:
        number += 1
        time.sleep(max(0, number * step_s + lag_s - time.time()))
        rounds, place = divmod(number, len(units))
        pts, data = units[place]
        unit = Gst.Buffer.new_wrapped(data)
        unit.pts = began_ns + pts + int((rounds * len(units) - began) * step_s * 1e9)
        if source.emit("push-buffer", unit) != Gst.FlowReturn.OK:
            return


main(*sys.argv[1:])
