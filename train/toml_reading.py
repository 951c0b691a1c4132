"""Reads TOML files into pydantic models."""

import tomllib
from importlib.resources.abc import Traversable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from plateid.config.problems import problems_of
from plateid.errors import reason_of
from train.train_error import TrainError

Model = TypeVar("Model", bound=BaseModel)


def read_toml(file: Traversable, model: type[Model]) -> Model:
    """Returns the validated content of a file. A TrainError names the key and the reason."""
    try:
        return model.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        problems = "; ".join(problem.text for problem in problems_of(error, model))
        raise TrainError(f"{file}: {problems}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise TrainError(f"{file}: {reason_of(error)}") from error
