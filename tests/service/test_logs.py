"""Log lines of the service."""

import sys

import structlog

from plateid.service.logs import configure_logs


def test_control_characters_in_a_value_start_no_line_and_no_colour(capfd, monkeypatch):
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    configure_logs()
    name = 'Ana\nlevel=info event="logged in"\r\x1b[31m\u2028\x00'
    structlog.get_logger().info("list changed", name=name)
    structlog.reset_defaults()
    line = capfd.readouterr().err
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert line.count("event=") == 2
