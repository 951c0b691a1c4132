# `make demo` and `make test` do all the set-up; the rest are parts of them.
PYTHON ?= python3
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
DEBIAN := mosquitto mosquitto-clients ffmpeg python3-gi gir1.2-gst-rtsp-server-1.0 \
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
  gstreamer1.0-plugins-ugly gstreamer1.0-libav libgl1 fonts-roadgeek \
  fonts-routed-gothic fonts-bebas-neue fonts-national-park fonts-opendin fonts-osifont \
  fonts-roboto-unhinted fonts-liberation fonts-droid-fallback gcc libc6-dev

.PHONY: demo test lint debian
.DELETE_ON_ERROR:

demo: .venv/demo.stamp
	.venv/bin/plateid demo

test: debian lint .venv-train/stamp
	.venv/bin/pytest --ignore=tests/train
	.venv-train/bin/pytest tests/train

lint: .venv/dev.stamp
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports

debian:
	@dpkg -s $(DEBIAN) > /dev/null 2>&1 || \
	  ($(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends $(DEBIAN))

# Debian's Python comes without venv.
.venv/bin/python .venv-train/bin/python:
	$(PYTHON) -m venv $(dir $(@D)) || ($(SUDO) apt-get update && \
	  $(SUDO) apt-get install --yes python3-venv && $(PYTHON) -m venv --clear $(dir $(@D)))

.venv/demo.stamp: pyproject.toml | .venv/bin/python
	.venv/bin/python -m pip install --quiet --no-compile --editable '.[demo]'
	touch $@

.venv/dev.stamp: pyproject.toml | .venv/bin/python
	.venv/bin/python -m pip install --quiet --editable '.[dev]'
	touch $@

# The trainer has an environment of its own: its OpenCV build would shadow the device's.
.venv-train/stamp: pyproject.toml | .venv-train/bin/python
	.venv-train/bin/python -m pip install --quiet --editable '.[train,test]'
	touch $@
