"""`python -m train sweep`: trains with several values of some options, and compares the results.

Each trial is one run of `train reader` or `train learn`, by a worker of `plateid archive`: in a
process of this machine, or on a Ray cluster.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from statistics import mean, pstdev
from typing import Any
from urllib.parse import quote

import click

from plateid.archive.workers import ProcessPool
from plateid.errors import PlateidError, needs_extra
from plateid.files import write_whole
from train.cli_options import COUNT, FOLDER, example
from train.record import begin
from train.train_error import BadInputError, TrainError
from train.training_commands import learn, reader

COMMANDS: dict[str, click.Command] = {"learn": learn, "reader": reader}
Trial = tuple[str, ...]
"""Its options, such as `lr=1e-3` and `seed=0`."""
Result = dict[str, Any]
"""Metrics by name, or `failed` with the reason."""


@dataclass(frozen=True)
class Trials:
    """The job of the workers: `run` trains once. Picklable."""

    command: str
    arguments: tuple[str, ...]
    out: Path

    def folder(self, trial: Trial) -> Path:
        """Returns the folder of the run; its log is beside it."""
        return self.out / (quote(" ".join(trial), safe="= ") or "as given")

    def words(self, trial: Trial) -> list[str]:
        """Returns the arguments of the command."""
        options = [word for each in trial for word in f"--{each}".split("=", 1)]
        return [*self.arguments, *options, "--out", str(self.folder(trial))]

    def run(self, trial: Trial) -> Result:
        """Trains, and returns the metrics."""
        folder = self.folder(trial)
        with (
            folder.with_name(f"{folder.name}.log").open("a") as log,
            redirect_stdout(log),
            redirect_stderr(log),
        ):
            try:
                COMMANDS[self.command].main(self.words(trial), standalone_mode=False)
            except (TrainError, PlateidError, click.ClickException) as error:
                return _metrics(folder) or {"failed": str(error)}
            return _metrics(folder)


def _metrics(folder: Path) -> Result:
    """Returns what a run has measured; a refused `learn` leaves its report beside the bundle."""
    if (record := folder / "run.json").is_file():
        return dict(json.loads(record.read_text())["metrics"])
    for each in (folder, folder.with_name(f"{folder.name}.learning")):
        if (report := each / "report.json").is_file():
            own = json.loads(report.read_text())["own"]
            return {name: own[name] for name in ("before", "after", "p")}
    return {}


def table(results: Mapping[Trial, Result]) -> str:
    """Returns a Markdown table: mean and deviation over the seeds of each configuration."""
    names = sorted({name for result in results.values() for name in result} - {"failed"})
    rows: dict[str, list[Result]] = {}
    for trial, result in results.items():
        options = " ".join(each for each in trial if not each.startswith("seed="))
        rows.setdefault(options or "as given", []).append(result)
    lines = [["options", "trials", "failed", *names], ["---"] * (3 + len(names))]
    for options, row in rows.items():
        cells = [_cell([result[name] for result in row if name in result]) for name in names]
        failed = sum("failed" in result for result in row)
        lines.append([options, str(len(row)), str(failed), *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(values: Sequence[float]) -> str:
    return f"{mean(values):.3f} ± {pstdev(values):.3f}" if values else ""


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=example("sweep --out runs/sweep --values lr=5e-4,1e-3 reader --data my-images"),
)
@click.argument("command", type=click.Choice(sorted(COMMANDS)))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--values", multiple=True, metavar="NAME=A,B", help="Values to try; repeatable.")
@click.option("--seeds", default=3, type=COUNT, help="Trials of each; `learn` has one, no seed.")
@click.option("--workers", type=COUNT, help="Trials at a time.  [default: one per core]")
@click.option("--address", metavar="HOST:PORT", help="Ray cluster; its machines share the files.")
@click.option("--out", type=FOLDER, required=True, help="Folder of all runs; new or resumed.")
def sweep(command: str, arguments: tuple[str, ...], out: Path, **options: Any) -> None:
    """Trains with all combinations of some options and seeds, and prints a table.

    The options of COMMAND follow it. The same sweep resumes: it runs the trials that are missing
    or have failed. OUT/sweep.md is the table; each run has a folder and a log.
    """
    job, path = Trials(command, arguments, out), out / "sweep.json"
    pairs = [text.partition("=") for text in options["values"]]
    axes = [[f"{name}={each}" for each in values.split(",")] for name, _, values in pairs]
    seeds = [f"seed={seed}" for seed in range(options["seeds"])]
    wanted = [*product(*axes, *([] if command == "learn" else [seeds]))]
    for trial in wanted:
        COMMANDS[command].make_context(command, job.words(trial))  # refuses bad options
    begin(out / "begun.json", {"command": command, "arguments": arguments})
    known: dict[str, Result] = json.loads(path.read_text()) if path.is_file() else {}
    todo = [("run", each) for each in wanted if "failed" in known.get(str(each), "failed")]
    with _workers(job, options["workers"], options["address"]) as workers:
        for (_, trial), result in workers.run(todo, lambda _: None):
            failed = isinstance(result, PlateidError)
            known[str(trial)] = {"failed": str(result)} if failed else result
            click.echo(f"{job.folder(trial).name}: {known[str(trial)]}")
            write_whole(path, json.dumps(known, indent=1).encode())
    text = table({trial: known[str(trial)] for trial in wanted})
    write_whole(out / "sweep.md", text.encode())
    click.echo(text)


def _workers(job: Trials, count: int | None, address: str | None) -> Any:
    if address is None:
        return ProcessPool(job, count or len(os.sched_getaffinity(0)))
    if find_spec("ray") is None:
        raise BadInputError(f"--address: {needs_extra('archive-ray')}")
    from plateid.archive.ray_pool import RayPool  # noqa: PLC0415 - loads Ray

    return RayPool(job, address, count)
