"""Builds the package, and Debian systems to install it in."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MIRROR = "http://deb.debian.org/debian"
APT = (
    "env",
    "DEBIAN_FRONTEND=noninteractive",
    "apt-get",
    "--yes",
    "--quiet",
    "-o",
    "Acquire::Retries=5",
)
INSTALL = (*APT, "--no-install-recommends", "install")


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    own = os.environ | {"LC_ALL": "C"} | environment
    return subprocess.run(words, env=own, capture_output=True, text=True, check=False)


@contextmanager
def gnupg_keys(*names: str) -> Iterator[str]:
    """A GnuPG home with keys. Its path is short, because it holds sockets."""
    home = Path("/tmp") / f"plateid-gnupg-{os.getpid()}"  # noqa: S108 - removed below
    home.mkdir(mode=0o700)
    for name in names:
        options = ("--batch", "--passphrase", "", "--quick-generate-key", name, "ed25519", "sign")
        assert run("gpg", *options, "never", GNUPGHOME=str(home)).returncode == 0
    yield str(home)
    run("gpgconf", "--kill", "all", GNUPGHOME=str(home))
    run("rm", "-r", home)


def publish(folder: Path, keys: str, *packages: Path, url: str = "URL") -> dict[str, bytes]:
    """Publishes packages with `firmware/apt`; returns the files of the repository by name."""
    settings = {"OUT": str(folder), "GNUPGHOME": keys, "URL": url}
    done = run(REPOSITORY / "firmware/apt", "releases", *packages, **settings)
    assert done.returncode == 0, done.stderr
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def build_package(folder: Path, architecture: str) -> Path:
    """Builds the package with `firmware/deb/build`."""
    path = f"{sys.prefix}/bin:{os.environ['PATH']}"  # its Python can create virtual environments
    settings = {"OUT": str(folder), "PATH": path, "SOURCE_DATE_EPOCH": "1700000000"}
    environment = os.environ | settings
    command = [REPOSITORY / "firmware/deb/build", architecture]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    (package,) = folder.glob(f"plateid_*_{architecture}.deb")
    return package


def older(package: Path) -> Path:
    """Repacks the package as older ones were: with an example as the configuration."""
    root = package.with_suffix("")
    subprocess.run(["dpkg-deb", "--raw-extract", package, root], check=True)
    control = root / "DEBIAN/control"
    control.write_text(re.sub(r"\nVersion: .*", "\nVersion: 0", control.read_text()))
    (root / "DEBIAN/conffiles").write_text("/etc/plateid/plateid.toml\n")
    (root / "etc/plateid").mkdir(parents=True)
    (root / "usr/share/plateid/plateid.toml.example").rename(root / "etc/plateid/plateid.toml")
    made = package.with_name("plateid_older.deb")
    build = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", root, made]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    return made


def debian(root: Path, architecture: str) -> Path:
    """Creates a minimal Debian 13 with systemd from the newest packages of the mirror."""
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd-sysv,dbus"]
    command += [
        '--aptopt=Acquire::Retries "5"',
        f"--architectures={architecture}",
        "--format=directory",
    ]
    command += ["--dpkgopt=force-unsafe-io", "trixie", str(root)]  # skips fsync
    subprocess.run([*command, MIRROR], check=True)
    root.chmod(0o755)
    return root
