"""Where labels come from, and what is wrong with them."""

import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from plateid.config.models import DEFAULT_BUNDLE
from train.__main__ import main
from train.learn import label_checks, learning
from train.learn.gather import (
    LearningRun,
    Sources,
    framed_images,
    gather,
    own_plates,
    read_folder,
    without_vehicles_of,
)
from train.learn.label_checks import proving, warnings_about
from train.machine import alone_in
from train.train_error import TrainError

TOKEN = "0b3c"  # noqa: S105 - of a device in this test


def crops(folder: Path, texts: list[str]) -> Path:
    """Writes a data set of crops without a plate."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(len(texts))
    for number in range(len(texts)):
        image = rng.integers(0, 255, (40, 120, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
    rows = [f"{number}.png,{text}" for number, text in enumerate(texts)]
    (folder / "labels.csv").write_text("\n".join(["image,text", *rows]))
    return folder


def self_labels(folder: Path, texts: list[str]) -> Path:
    """Writes self-labels as a device exports them."""
    crops(folder, texts)
    rows = [f"{number}.png,10,5,110,35,{text},0.99,0.1" for number, text in enumerate(texts)]
    header = "image,x1,y1,x2,y2,text,confidence,sharpness"
    (folder / "labels.csv").write_text("\n".join([header, *rows]))
    return folder


@pytest.fixture
def learn(tmp_path: Path) -> Callable[..., Result]:
    def run(*arguments: object) -> Result:
        out = tmp_path / "bundle"
        result = CliRunner().invoke(main, ["learn", *map(str, arguments), "--out", str(out)])
        assert not out.exists()
        assert not out.with_name("bundle.learning").exists(), "nothing is left of a failure"
        return result

    return run


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    """A device that serves labels and self-labels to those who know its token."""
    labels = crops(tmp_path / "served", [f"AB{n:03d}" for n in range(12)])
    own = self_labels(tmp_path / "self", [f"CD{n:03d}" for n in range(11)])
    served = {
        f"/api/v1/labels.zip{query}": Path(
            shutil.make_archive(str(folder), "zip", folder)
        ).read_bytes()
        for query, folder in (("", labels), ("?format=self", own))
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == f"Bearer {TOKEN}"
            self.send_response(200 if known and self.path in served else 401)
            self.end_headers()
            self.wfile.write(served[self.path] if known else b"")

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_labels_come_from_folders_zip_files_and_devices(tmp_path, device, monkeypatch):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    folder = crops(tmp_path / "mine", ["XY123", "XY124"])
    packed = Path(shutil.make_archive(str(tmp_path / "labels"), "zip", tmp_path / "served"))
    work = tmp_path / "work"
    work.mkdir()
    sources = Sources((folder, packed), (device,), tmp_path / "token")
    plates = own_plates(gather(sources, work))
    assert sorted(each.plate.text for each in plates) == sorted(
        ["XY123", "XY124", *(f"AB{n:03d}" for n in range(12))]
    ), "the device and the ZIP file have the same images, which count once"
    monkeypatch.setattr("train.learn.gather._download", None)
    assert len(gather(sources, work)) == 14, "a resumed run does not download again"


def test_labels_are_downloaded_again_if_they_were_too_few(tmp_path, device, learn, monkeypatch):
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setattr(label_checks, "MIN_VEHICLES", 99)
    result = learn("--device", device, "--token-file", tmp_path / "token")
    assert "12 labels with a text show 12 vehicles" in result.output


def test_labels_of_another_device_are_not_those_that_were_downloaded(tmp_path, device):
    (tmp_path / "token").write_text(TOKEN)
    gather(Sources((), (device,), tmp_path / "token"), tmp_path)
    with pytest.raises(TrainError, match="Connection refused"):
        gather(Sources((), ("http://127.0.0.1:9",), tmp_path / "token"), tmp_path)


def test_self_labels_of_a_device_teach_the_reader_only(tmp_path, device):
    (tmp_path / "token").write_text(TOKEN)
    images = gather(Sources((), (device,), tmp_path / "token", self_labels=True), tmp_path)
    plates = own_plates(images)
    numbers, warning = proving(plates, self_labels=True)
    assert not warning
    assert len(plates) == 12 + 11
    assert {plates[n].plate.text[:2] for n in numbers} == {"AB"}, "people labelled these"
    assert not framed_images(images)


def test_self_labels_prove_the_gain_if_there_is_nothing_else_and_this_is_said(tmp_path):
    folder = self_labels(tmp_path / "self", [f"CD{n:03d}" for n in range(11)])
    few = crops(tmp_path / "few", ["AB1", "AB2"])
    plates = own_plates(gather(Sources((folder, few)), tmp_path))
    numbers, warning = proving(plates, self_labels=True)
    assert len(numbers) == len(plates) == 13
    assert warning.startswith("--self: only 2 labels are of people, so self-labels of other vehicl")


def test_device_that_refuses_or_is_unreachable_gives_one_line(tmp_path, device, learn):
    token = tmp_path / "token"
    token.write_text("other")
    refused = learn("--device", device, "--token-file", token)
    assert (refused.exit_code, refused.output) == (2, f"Error: --device {device}: wrong token\n")
    unreachable = learn("--device", "http://127.0.0.1:9", "--token-file", token)
    assert unreachable.exit_code == 2
    assert "http://127.0.0.1:9: [Errno 111] Connection refused" in unreachable.output
    assert "needs --token-file" in learn("--device", device).output
    assert "must begin with http" in learn("--device", "gate", "--token-file", token).output


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["AB123"] * 5, "5 labels with a text show 1 vehicles: 10 different vehicles are needed"),
        ([f"AB{n}" for n in range(5)], "5 labels with a text show 5 vehicles"),
        (["กข 123"] * 3 + ["AB1"], "3 texts have characters outside of A-Z and 0-9, such as 'กข"),
        ([""] * 12, "0 labels with a text show 0 vehicles"),
    ],
)
def test_labels_that_cannot_teach_are_refused_with_exit_2(tmp_path, learn, texts, said):
    result = learn("--data", crops(tmp_path / "mine", texts))
    assert result.exit_code == 2
    assert said in result.output


def test_self_labels_without_the_option_are_refused(tmp_path, learn):
    result = learn("--data", self_labels(tmp_path / "self", [f"CD{n:03d}" for n in range(11)]))
    assert result.exit_code == 2
    assert "11 labels were given by plateid, not by a person" in result.output


def test_corrected_text_starts_the_run_again(tmp_path, monkeypatch, capsys):
    data = crops(tmp_path / "mine", [f"AB{n}" for n in range(12)])
    run = LearningRun(Sources((data,)), tmp_path / "bundle", DEFAULT_BUNDLE)
    monkeypatch.setattr(learning, "teach", None)  # an interruption
    checkpoint, table = run.work / "fold 1 of 3, training 1 of 3.pt", data / "labels.csv"
    for text, again, resumed in (
        ("AB11", False, False),
        ("AB11", False, True),
        ("AB17", True, False),
    ):
        table.write_text(table.read_text().replace("11.png,AB11", f"11.png,{text}"))
        with pytest.raises(TypeError):
            learning.learn(run)
        assert ("starting again" in capsys.readouterr().err) == again
        assert checkpoint.exists() == resumed
        checkpoint.touch()


def test_vehicles_of_the_labels_are_not_kept(tmp_path):
    own = gather(Sources((crops(tmp_path / "mine", ["AB10", "AB2"]),)), tmp_path)
    kept = read_folder(crops(tmp_path / "old", ["XY1", "AB1O", "XY2"]))
    assert [each.texts for each in without_vehicles_of(own, kept)] == [("XY1",), ("XY2",)]


def test_no_training_sees_a_vehicle_that_measures_what_is_forgotten(tmp_path):
    own = gather(Sources((crops(tmp_path / "mine", ["XY1"]),)), tmp_path)
    folder = crops(tmp_path / "old", [f"AB{n // 2}" for n in range(40)] + ["XY1"])
    (training, measured), left_out = learning._read_kept([folder], own)
    sides = [{text for image in side for text in image.texts} for side in (training, measured)]
    assert all(sides)
    assert sides[0].isdisjoint(sides[1])
    assert left_out == 1


def test_second_run_leaves_the_folder_of_the_first(tmp_path):
    data = crops(tmp_path / "mine", [f"AB{n}" for n in range(12)])
    run = LearningRun(Sources((data,)), tmp_path / "bundle", DEFAULT_BUNDLE)
    with alone_in(run.work):
        with pytest.raises(TrainError, match="another run is using it"):
            learning.learn(run)
        assert run.work.exists()


def test_file_that_is_no_zip_or_no_bundle_is_refused(tmp_path, learn):
    (tmp_path / "labels.zip").write_text("no")
    result = learn("--data", tmp_path / "labels.zip")
    assert (result.exit_code, "labels.zip: File is not a zip file" in result.output) == (2, True)
    result = learn("--data", tmp_path, "--base", tmp_path / "nowhere")
    assert (result.exit_code, "neither a shipped bundle nor" in result.output) == (2, True)


def test_damaged_zip_is_refused(tmp_path, learn):
    packed = Path(shutil.make_archive(str(tmp_path / "labels"), "zip", crops(tmp_path / "a", [])))
    content = packed.read_bytes()
    start = content.index(b"labels.csv") + len("labels.csv")
    packed.write_bytes(content[:start] + b"\xff\xff" + content[start + 2 :])
    result = learn("--data", packed)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "labels.zip: " in result.output


def test_base_of_another_alphabet_is_refused(tmp_path, learn):
    base = tmp_path / "base"
    shutil.copytree(DEFAULT_BUNDLE, base)
    settings = (base / "bundle.toml").read_text()
    (base / "bundle.toml").write_text(settings.replace("UVWXYZ", "UVWXYÄ"))
    data = crops(tmp_path / "mine", [f"AB{n}" for n in range(12)])
    result = learn("--data", data, "--base", base)
    assert result.exit_code == 2
    assert "bundle.toml: reader.charset: this version reads 0123456789ABCDEF" in result.output


@pytest.mark.parametrize(
    ("limit_bytes", "said"), [(0, "File too large"), (2000, "similar.sqlite3:")]
)
def test_full_disk_gives_one_line_and_no_bundle(tmp_path, limit_bytes, said):
    data = crops(tmp_path / "mine", [f"AB{n}" for n in range(12)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        arguments = ["learn", "--data", str(data), "--out", str(tmp_path / "bundle")]
        result = CliRunner().invoke(main, arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert result.exit_code == 2
    assert said in result.output.splitlines()[-1]
    assert not (tmp_path / "bundle").exists()


def test_same_file_with_two_texts_is_refused(tmp_path):
    folder = crops(tmp_path / "mine", ["AB1", "AB2"])
    shutil.copy(folder / "images" / "0.png", folder / "images" / "1.png")
    with pytest.raises(Exception, match=r"1.png: the same file as .*0.png, but other texts"):
        gather(Sources((folder,)), tmp_path)


def test_changed_texts_and_letter_o_between_digits_are_reported(tmp_path):
    folder = crops(tmp_path / "mine", ["ab 12", *(f"{n}O{n}" for n in range(4))])
    images = gather(Sources((folder,)), tmp_path)
    changed, suspicion = warnings_about(images, own_plates(images))
    assert "1 texts had lower case, spaces or other signs: 'ab 12' counts as AB12" in changed
    assert "4 texts have the letter O between digits, such as 0O0" in suspicion
