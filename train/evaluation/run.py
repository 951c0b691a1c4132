"""What an evaluation is asked for."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plateid.models.bundle import read_spec
from train.manifest.weight_origin import data_name, trained_on


@dataclass(frozen=True)
class EvaluationRun:
    """Configuration, command line and record of an evaluation.

    Attributes:
        folders: Of labelled pictures.
        bundle: What is evaluated.
        crops: Folders of plates that are cut out already.
        held_out: Only the validation part of the folders: for those that were trained on.
        is_open: Pictures may show plates that have no label.
        negatives: Pictures, clips and folders of them without plates.
        choose_threshold: Whether to pick one; only with `held_out`.
        calibrate: Whether to fit the reader's temperature; only with `held_out`.
        jitter: Whether to read true boxes that are made a little wider and narrower as well.
        write: Whether the figures, and what is chosen, go into the bundle.
        out: Folder of the report.
    """

    folders: tuple[Path, ...]
    bundle: Path
    crops: tuple[Path, ...] = ()
    held_out: bool = False
    is_open: bool = False
    negatives: tuple[Path, ...] = ()
    choose_threshold: bool = False
    calibrate: bool = False
    jitter: bool = False
    write: bool = False
    out: Path = Path("runs/evaluation")

    @property
    def command(self) -> str:
        """The command that does this."""
        flags = {
            "--held-out": self.held_out,
            "--open": self.is_open,
            "--choose-threshold": self.choose_threshold,
            "--calibrate": self.calibrate,
            "--jitter": self.jitter,
            "--write": self.write,
        }
        words = ["python", "-m", "train", "evaluate", *map(str, self.folders)]
        words += [word for path in self.crops for word in ("--crops", str(path))]
        words += ["--bundle", str(self.bundle), *(flag for flag in flags if flags[flag])]
        words += [word for path in self.negatives for word in ("--negatives", str(path))]
        return shlex.join([*words, "--out", str(self.out)])


def leaks(run: EvaluationRun, *, certain: bool = False) -> Iterator[str]:
    """A line for each way in which the figures may flatter.

    Without `held_out`: a folder that the bundle seems to be trained on, or a bundle that does not
    say on what it was. With it: a folder whose name no training wrote down, for the name decides
    which pictures are held out.

    Args:
        run: What is asked for.
        certain: Only by the folders that the trainings wrote down, not by the names of the data.

    Raises:
        BundleError: `bundle.toml` cannot be used.
    """
    spec = read_spec(run.bundle)
    folders = trained_on(f"{spec.detector.origin} {spec.reader.origin}")
    networks = {"detector": spec.detector, "reader": spec.reader}
    unsaid = [name for name in networks if not trained_on(networks[name].origin)]
    if unsaid and not (run.held_out or certain):
        yield (
            f"{run.bundle}: does not say what its {' and '.join(unsaid)} was trained on; if these"
            " pictures are among it, the figures flatter without --held-out"
        )
    said = [*folders, *(data.name for data in spec.training_data if not certain)]
    for folder in (*run.folders, *run.crops):
        if run.held_out:
            if folders and not certain and data_name(folder) not in folders:
                yield (
                    f"{folder}: the bundle was trained on {', '.join(dict.fromkeys(folders))}; if"
                    " this is one of them under another name, what is held out is another part"
                )
            continue
        name = re.escape(data_name(folder))
        trained = [text for text in said if re.search(rf"(?i)(?<![\w-]){name}(?![\w-])", text)]
        if trained:
            yield (
                f"{folder}: the bundle seems to be trained on it ({trained[0]}); without --held-out"
                " the figures flatter"
            )
