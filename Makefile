# `make demo` and `make test` do all the set-up; the rest are parts of them.
PYTHON ?= python3
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
DEBIAN := mosquitto mosquitto-clients gpsd ffmpeg python3-gi gir1.2-gst-rtsp-server-1.0 \
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
  gstreamer1.0-plugins-ugly gstreamer1.0-libav libgl1 fonts-roadgeek \
  fonts-routed-gothic fonts-bebas-neue fonts-national-park fonts-opendin fonts-osifont \
  fonts-roboto-unhinted fonts-liberation fonts-liberation-sans-narrow fonts-droid-fallback \
  fonts-b612 fonts-dosis fonts-motoya-l-maruberi fonts-paratype fonts-play fonts-quicksand \
  fonts-adf-universalis fonts-tuffy gcc libc6-dev systemd-container chromium chromium-driver \
  mmdebstrap shellcheck nftables grub-common openssh-client python3-venv
# What firmware/build and the boot of its images need besides.
QEMU := qemu-user-binfmt arch-test systemd-repart rauc squashfs-tools mtools dosfstools zstd fdisk openssl \
  grub-efi-amd64-bin qemu-system-x86 qemu-system-arm ovmf qemu-efi-aarch64 \
  initramfs-tools-core

.PHONY: demo test test-firmware firmware-debian lint debian install install-units
.DELETE_ON_ERROR:

demo: .venv/demo.stamp
	.venv/bin/python -m plateid demo

test: debian lint .venv-train/stamp
	.venv/bin/pytest --ignore=tests/train --ignore=tests/systemd \
	  --ignore=tests/firmware/deb --ignore=tests/firmware/arm64 \
	  --ignore=tests/firmware/qemu
	$(SUDO) .venv/bin/python -B -m pytest -p no:cacheprovider tests/systemd tests/firmware/deb
	.venv-train/bin/pytest tests/train

# Takes long, and what CI's machine lacks.
test-firmware: firmware-debian .venv/dev.stamp
	for board in uefi-amd64 uefi-arm64 raspberrypi5; do $(SUDO) firmware/build $$board || exit; done
	$(SUDO) .venv/bin/python -B -m pytest -p no:cacheprovider --log-cli-level=info \
	  tests/firmware/arm64 tests/firmware/qemu

firmware-debian: debian
	$(SUDO) apt-get install --yes --no-install-recommends $(QEMU)

lint: .venv/dev.stamp
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/mypy firmware/tree/usr/lib/plateid/first_boot.py
	.venv/bin/lint-imports

debian:
	@dpkg -s $(DEBIAN) > /dev/null 2>&1 || \
	  ($(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends $(DEBIAN))

# Debian's Python comes without venv.
venv = $(PYTHON) -m venv $(1) || ($(SUDO) apt-get update && \
  $(SUDO) apt-get install --yes python3-venv && $(PYTHON) -m venv --clear $(1))

.venv/bin/python .venv-train/bin/python:
	$(call venv,$(dir $(@D)))

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

# The service: the program in /opt/plateid, systemd's files and an example configuration in /etc.
install:
	umask 022; $(call venv,/opt/plateid)
	umask 022; /opt/plateid/bin/python -m pip install --quiet .
	ln -sf /opt/plateid/bin/plateid /usr/local/bin/plateid
	$(MAKE) install-units
	systemd-sysusers plateid.conf
	systemd-tmpfiles --create plateid.conf
	systemctl daemon-reload
	systemctl try-restart plateid

install-units:
	install -D --mode=644 systemd/plateid.service $(DESTDIR)/etc/systemd/system/plateid.service
	install -D --mode=644 systemd/plateid.sysusers $(DESTDIR)/etc/sysusers.d/plateid.conf
	install -D --mode=644 systemd/plateid.tmpfiles $(DESTDIR)/etc/tmpfiles.d/plateid.conf
	test -e $(DESTDIR)/etc/plateid/plateid.toml || \
	  install -D --mode=640 systemd/plateid.toml $(DESTDIR)/etc/plateid/plateid.toml
