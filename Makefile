# `make` prints the targets. Every target sets up what it needs.
PYTHON ?= python3
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Packages that the tests need.
DEBIAN := mosquitto mosquitto-clients nats-server postgresql-17 gpsd ffmpeg python3-gi python3-fusepy gir1.2-gst-rtsp-server-1.0 \
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
  gstreamer1.0-plugins-ugly gstreamer1.0-libav libgl1 fonts-roadgeek \
  fonts-routed-gothic fonts-bebas-neue fonts-national-park fonts-opendin fonts-osifont \
  fonts-roboto-unhinted fonts-liberation fonts-liberation-sans-narrow fonts-droid-fallback \
  fonts-b612 fonts-dosis fonts-motoya-l-maruberi fonts-paratype fonts-play fonts-quicksand \
  fonts-adf-universalis fonts-tuffy gcc libc6-dev systemd-container chromium chromium-driver \
  mmdebstrap shellcheck nftables iproute2 grub-common openssh-client python3-venv faketime reprepro gnupg
# Packages that firmware/build and the QEMU tests need in addition.
QEMU := qemu-user-binfmt arch-test systemd-repart rauc squashfs-tools mtools dosfstools zstd fdisk openssl \
  grub-efi-amd64-bin qemu-system-x86 qemu-system-arm ovmf qemu-efi-aarch64 \
  initramfs-tools-core
# Packages that `make container` needs.
CONTAINER := buildah crun mmdebstrap netavark podman qemu-user-binfmt
# Packages that `make compose-test` needs.
COMPOSE := aardvark-dns podman-compose
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' plateid/__init__.py)
# Rooms whose tests need no server, camera or network file: together less than 40 s on two cores.
QUICK := tests/core tests/config tests/pipeline tests/docs/test_pages.py
# Options that leave out the rooms with a target of their own.
DEVICE := --ignore=tests/train --ignore=tests/systemd --ignore=tests/firmware/deb --ignore=tests/firmware/arm64 \
  --ignore=tests/firmware/qemu --ignore=tests/power_cuts --ignore=tests/packaging --ignore=tests/homeassistant

.DEFAULT_GOAL := help
.PHONY: archive-bench help demo hub quick test test-system test-train test-firmware release wheel-test container container-test compose-test addon-test homeassistant-test fuzz audit sbom lint format docs lock debian firmware-debian apt login publish install install-units
.DELETE_ON_ERROR:

# Versions of the tools that only `make fuzz` and `make audit` need, each in its own environment.
ATHERIS := atheris==3.0.0
PIP_AUDIT := pip-audit==2.10.1
# Duration of `make fuzz` for each target.
MINUTES ?= 10

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/demo.stamp ## Install the runtime into .venv and play the demo
	.venv/bin/python -m plateid demo

hub: debian .venv/dev.stamp ## Run a hub with 20 simulated devices and one real one: servers, two ingests, web UI
	.venv/bin/python -m tests.hub.fleet $(DURATION)

quick: lint ## Run lint, types and the fast tests: about a minute
	.venv/bin/pytest --quiet $(QUICK)

test: debian lint .venv-train/stamp ## Install Debian packages and run all tests but those of the firmware
	.venv/bin/pytest --numprocesses=2 --dist=loadfile -m "not root and not alone" $(DEVICE)
	.venv/bin/pytest -m "not root and alone" $(DEVICE)
	$(MAKE) --jobs=3 --output-sync=line test-system test-train $(BESIDE)

# Runs beside test-train, because it mostly waits.
test-system: debian .venv/dev.stamp
	$(SUDO) .venv/bin/python -B -m pytest -p no:cacheprovider tests/systemd tests/firmware/deb \
	  tests/power_cuts
	$(SUDO) .venv/bin/python -B -m pytest -p no:cacheprovider -m root tests/app tests/store tests/hub
	$(SUDO) .venv/bin/python -B -m tests.campaign --minutes 2 --seed 51

# Leaves the processor to test-system, whose tests have time-outs: at a low priority, and without
# threads that spin while they wait.
test-train: .venv-train/stamp
	OMP_WAIT_POLICY=passive nice -n 10 .venv-train/bin/pytest tests/train

# Takes hours, and needs packages and memory that the CI machine lacks.
test-firmware: firmware-debian .venv/dev.stamp ## Build all images and boot them in QEMU
	for board in uefi-amd64 uefi-arm64 raspberrypi5; do $(SUDO) firmware/build $$board || exit; done
	$(SUDO) .venv/bin/python -B -m pytest -p no:cacheprovider --log-cli-level=info \
	  tests/firmware/arm64 tests/firmware/qemu

release: .venv/dev.stamp ## Build all files of a release into build/release; KEY=ID signs with your GnuPG key
	PYTHON=.venv/bin/python KEY='$(KEY)' firmware/release

apt: ## Make a signed apt repository of the packages of `make release` in build/apt; KEY=ID
	firmware/apt '$(KEY)' build/release/*.deb

# These two have not run yet: the machines that develop plateid reach no registry. See docs/releases.md.
login: ## Log in to the registry of REGISTRY as REGISTRY_USER with the token in GH_TOKEN
	printf '%s' "$$GH_TOKEN" | $(SUDO) buildah login --username '$(REGISTRY_USER)' --password-stdin '$(firstword $(subst /, ,$(REGISTRY)))'

publish: ## Publish build/release and the container image: needs credentials of all registries
	test -n '$(REGISTRY)' -a -n '$(KEY)'
	.venv/bin/python -m pip install --quiet twine
	.venv/bin/python -m twine upload build/release/*.whl build/release/plateid-[0-9]*.tar.gz
	for a in amd64 arm64; do $(SUDO) buildah push localhost/plateid:$(VERSION)-$$a docker://$(REGISTRY)/plateid:$(VERSION)-$$a || exit; done
	$(SUDO) buildah manifest create plateid:$(VERSION) $(REGISTRY)/plateid:$(VERSION)-amd64 $(REGISTRY)/plateid:$(VERSION)-arm64
	$(SUDO) buildah manifest push --all plateid:$(VERSION) docker://$(REGISTRY)/plateid:$(VERSION)
	gh release create $(VERSION) --notes-file build/release/NOTES.md build/release/*

# Installs from PyPI, as users do: the newest versions of all dependencies.
wheel-test: .venv/dev.stamp ## Install the wheel with uvx and pipx in clean environments, and read an image
	.venv/bin/pytest --log-cli-level=info tests/packaging/test_wheel.py

container: ## Build the container image with buildah; ARCH=arm64 emulates; BUILD_FROM=IMAGE, else Debian's packages
	@dpkg -s $(CONTAINER) > /dev/null 2>&1 || \
	  ($(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends $(CONTAINER))
	$(SUDO) env BUILD_FROM='$(BUILD_FROM)' EXTRA='$(EXTRA)' firmware/container/build $(ARCH)

container-test: .venv/dev.stamp ## Run the image of `make container` with podman and a real broker; ARCH=arm64 emulates
	$(SUDO) env ARCH='$(ARCH)' EXTRA='$(EXTRA)' .venv/bin/python -B -m pytest -p no:cacheprovider --log-cli-level=info tests/packaging/test_container.py

compose-test: .venv/dev.stamp ## Run the compose files with podman-compose and the image of `make container`
	@dpkg -s $(COMPOSE) > /dev/null 2>&1 || \
	  ($(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends $(COMPOSE))
	$(SUDO) .venv/bin/python -B -m pytest -p no:cacheprovider tests/packaging/test_compose.py

# CI runs the tests of ingress in `make test`.
addon-test: .venv/dev.stamp ## Test the Home Assistant add-on behind ingress in a browser
	@dpkg -s apparmor > /dev/null 2>&1 || \
	  ($(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends apparmor)
	timeout 900 .venv/bin/pytest tests/packaging/test_addon.py $(if $(CI),,tests/web/test_ingress.py)

# Its own target: Home Assistant has 600 MB, and Python 3.13 as Debian 13 has it.
homeassistant-test: debian .venv/dev.stamp .venv-homeassistant/stamp ## Test the blueprints in Home Assistant
	nice -n 5 timeout 1200 .venv/bin/pytest tests/homeassistant

archive-bench: .venv/dev.stamp ## Measure `plateid archive`: speed, memory, queries, equality, kills; half an hour
	.venv/bin/python -m tests.archive.bench_archive

fuzz: .venv-fuzz/stamp ## Fuzz all readers of untrusted bytes, MINUTES=10 each: hours
	.venv-fuzz/bin/python -m tests.fuzz --minutes $(MINUTES)

# --strict: a package that cannot be looked up is a failure, not a package without vulnerabilities.
audit: .venv-audit/stamp .venv-train/stamp ## Check the locked dependencies for known vulnerabilities
	@mkdir -p build
	.venv-train/bin/python -m pip freeze | sed -n 's/^\(torch[a-z]*==[0-9.]*\).*/\1/p' > build/torch.lock
	@for lock in requirements.lock firmware/python.lock build/torch.lock; do \
	  echo "$$lock:"; .venv-audit/bin/pip-audit --strict --disable-pip --no-deps \
	    --progress-spinner=off --requirement $$lock $(AUDIT) || { \
	    echo "$$lock: a version is vulnerable, or the advisories cannot be reached: see above" >&2; exit 1; }; \
	done

sbom: .venv/dev.stamp ## Write the SBOM of the device (CycloneDX) to build/plateid.cdx.json
	.venv/bin/python -m firmware.sbom build/plateid.cdx.json

lint: .venv/dev.stamp ## Check format, lint rules, types and imports
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/mypy firmware/tree/usr/lib/plateid/*.py
	.venv/bin/lint-imports

format: .venv/dev.stamp ## Format the code and fix what ruff can fix
	.venv/bin/ruff format
	.venv/bin/ruff check --fix

docs: .venv-docs/stamp ## Build the documentation site into build/site; a dead link fails
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --site-dir build/site

lock: | .venv/bin/python ## Update requirements.lock to the newest releases
	.venv/bin/python -m pip install --quiet uv
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
	  --no-emit-package torch --no-emit-package torchvision --no-annotate \
	  --custom-compile-command 'make lock' --upgrade pyproject.toml --output-file $@.new
	grep -Ev '^(nvidia-[cn]|cuda|triton|setuptools)' $@.new > requirements.lock
	rm $@.new

debian: ## Install the Debian packages that the tests need
	@dpkg -s $(DEBIAN) > /dev/null 2>&1 || \
	  ($(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends $(DEBIAN))

firmware-debian: debian ## Install the Debian packages that firmware/build needs
	$(SUDO) apt-get install --yes --no-install-recommends $(QEMU)

# Debian's Python comes without venv.
venv = $(PYTHON) -m venv $(1) || ($(SUDO) apt-get update && \
  $(SUDO) apt-get install --yes python3-venv && $(PYTHON) -m venv --clear $(1))
pip_install = -m pip install --quiet --constraint requirements.lock

.venv/bin/python .venv-train/bin/python .venv-docs/bin/python .venv-fuzz/bin/python .venv-audit/bin/python:
	$(call venv,$(dir $(@D)))

.venv/demo.stamp: pyproject.toml requirements.lock | .venv/bin/python
	.venv/bin/python $(pip_install) --no-compile --editable '.[demo]'
	touch $@

.venv/dev.stamp: pyproject.toml requirements.lock | .venv/bin/python
	.venv/bin/python $(pip_install) --editable '.[dev]'
	touch $@

# The trainer has its own environment: its OpenCV build would shadow the one of the device.
.venv-train/stamp: pyproject.toml requirements.lock | .venv-train/bin/python
	.venv-train/bin/python $(pip_install) --editable '.[train,test]'
	touch $@

.venv-docs/stamp: pyproject.toml requirements.lock | .venv-docs/bin/python
	.venv-docs/bin/python $(pip_install) --editable '.[docs]'
	touch $@

# Wheels of atheris exist for x86-64 only.
.venv-fuzz/stamp: Makefile pyproject.toml requirements.lock | .venv-fuzz/bin/python
	.venv-fuzz/bin/python $(pip_install) --editable '.[test]' onnx pyyaml $(ATHERIS)
	touch $@

.venv-audit/stamp: Makefile | .venv-audit/bin/python
	.venv-audit/bin/python -m pip install --quiet $(PIP_AUDIT)
	touch $@

# uv installs 600 MB with a fifth of the processor time of pip.
.venv-homeassistant/stamp: tests/homeassistant/requirements.lock | .venv/bin/python
	.venv/bin/python -m pip install --quiet uv
	/usr/bin/python3.13 -m venv --without-pip --clear $(@D)
	.venv/bin/uv pip install --quiet --no-deps --python $(@D)/bin/python --requirement $<
	touch $@

install: ## Install the systemd service: program in /opt/plateid, configuration in /etc/plateid; EXTRA=hub: a hub too
	umask 022; $(call venv,/opt/plateid)
	umask 022; /opt/plateid/bin/python $(pip_install) '.$(EXTRA:%=[%])'
	ln -sf /opt/plateid/bin/plateid /usr/local/bin/plateid
	$(MAKE) install-units
	systemd-sysusers plateid.conf
	systemd-tmpfiles --create plateid.conf
	systemctl daemon-reload
	systemctl try-restart plateid $(if $(WITH_HUB),plateid-hub plateid-hub-web)

WITH_HUB = $(findstring hub,$(EXTRA))

install-units: ## Install the systemd files alone, with EXTRA=hub those of the hub too; DESTDIR is honoured
	install -D --mode=644 systemd/plateid.service $(DESTDIR)/etc/systemd/system/plateid.service
	install -D --mode=644 systemd/plateid.sysusers $(DESTDIR)/etc/sysusers.d/plateid.conf
	install -D --mode=644 systemd/plateid.tmpfiles $(DESTDIR)/etc/tmpfiles.d/plateid.conf
	install -D --mode=640 systemd/plateid.toml $(DESTDIR)/etc/plateid/plateid.toml.example
	$(if $(WITH_HUB),install --mode=644 systemd/plateid-hub.service systemd/plateid-hub-web.service $(DESTDIR)/etc/systemd/system)
	$(if $(WITH_HUB),install --mode=640 systemd/hub.toml $(DESTDIR)/etc/plateid/hub.toml.example)
