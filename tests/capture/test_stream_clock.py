import av
import numpy as np
import pytest

from plateid.capture import stream_clock
from plateid.capture.stream_clock import MIN_PLATES, StreamClock, Timeline, offset_by_sizes

SECONDS = 60


def timeline(sizes, *, fps, offset_s=0.0, arrival_s=0.0):
    """Returns the packets of a stream whose timestamps are `offset_s` too large."""
    made = Timeline()
    for number, size in enumerate(sizes):
        made.sizes.append((number / fps + offset_s, int(size)))
        made.arrivals.append(arrival_s - offset_s)
    return made


def sizes_of(activity, fps, rng, *, scale, noise=0.2):
    """Returns sizes of packets of a scene with this activity, 100 values a second."""
    at = (np.arange(SECONDS * fps) / fps * 100).astype(int)
    return scale * (0.2 + activity[at]) * rng.lognormal(0, noise, len(at))


@pytest.fixture(scope="module")
def activity():
    rng = np.random.default_rng(3)
    bumps = np.convolve(rng.random(SECONDS * 100) < 0.004, np.hanning(150), "same")
    return np.minimum(bumps, 2)


def test_packet_sizes_give_the_offset(activity):
    rng = np.random.default_rng(1)
    sub = timeline(sizes_of(activity, 10, rng, scale=2e3), fps=10)
    main = timeline(sizes_of(activity, 25, rng, scale=4e4), fps=25, offset_s=7.3)
    assert offset_by_sizes(sub, main, 6.9) == pytest.approx(7.3, abs=0.05)


def test_packet_sizes_of_a_quiet_scene_give_no_offset(activity):
    rng = np.random.default_rng(1)
    sub = timeline(sizes_of(0 * activity, 10, rng, scale=2e3), fps=10)
    main = timeline(sizes_of(0 * activity, 25, rng, scale=4e4), fps=25, offset_s=7.3)
    assert offset_by_sizes(sub, main, 6.9) is None


def test_streams_that_have_just_begun_give_no_offset_by_sizes(activity):
    rng = np.random.default_rng(1)
    sizes = sizes_of(activity, 10, rng, scale=1e3)[:100]
    assert offset_by_sizes(timeline(sizes, fps=10), timeline(sizes, fps=10), 0.0) is None
    assert offset_by_sizes(Timeline(), Timeline(), 0.0) is None
    assert StreamClock().offset_s() is None


def test_camera_clock_is_preferred_unless_it_is_impossible():
    clock = StreamClock()
    clock.restart(
        timeline([9] * 20, fps=10, arrival_s=0.0), timeline([9] * 20, fps=10, arrival_s=0.5)
    )
    assert (clock.offset_s(), clock.source) == (-0.5, "arrival times")
    clock.sub.camera_times.append(1000.0)
    clock.main.camera_times.append(1000.2)
    assert clock.offset_s() == pytest.approx(-0.2)
    assert clock.source == "the camera's clock"
    clock.main.camera_times.extend([1999.0] * 100)
    assert (clock.offset_s(), clock.source) == (-0.5, "arrival times")


def test_camera_clock_that_drifts_is_followed():
    clock = StreamClock()
    clock.restart(timeline([9] * 20, fps=10), timeline([9] * 20, fps=10))
    clock.sub.camera_times.extend([1000.0] * 500)
    clock.main.camera_times.extend(np.linspace(1000, 1000.5, 500).tolist())
    assert clock.offset_s() == pytest.approx(-0.375, abs=0.01)


def test_packet_sizes_count_after_a_while(activity, monkeypatch):
    monkeypatch.setattr(stream_clock, "EVERY_S", 0.0)
    rng = np.random.default_rng(1)
    clock = StreamClock()
    clock.restart(
        timeline(sizes_of(activity, 10, rng, scale=2e3), fps=10),
        timeline(sizes_of(activity, 25, rng, scale=4e4), fps=25, offset_s=0.4),
    )
    assert clock.offset_s() == pytest.approx(0.4, abs=0.05)
    assert clock.source == "packet sizes"


def test_plates_that_agree_correct_the_offset():
    clock = StreamClock()
    clock.restart(timeline([9], fps=10), timeline([9], fps=10))
    for late_s in (0.31, 0.3, -2.0, 0.29, 0.3):
        assert clock.offset_s() == 0
        clock.correct(late_s)
    assert clock.offset_s() == pytest.approx(-0.3)
    assert clock.source == "arrival times and motion"
    for _ in range(MIN_PLATES):
        clock.correct(0.01)
    assert clock.offset_s() == pytest.approx(-0.3)


def test_first_packet_without_a_timestamp_is_skipped():
    assert Timeline().add(av.Packet(b"frame")) is None
