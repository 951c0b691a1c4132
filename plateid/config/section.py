"""What all tables of a TOML file have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
Probability = Annotated[float, Field(ge=0, le=1)]
LONGEST_DAYS = 36500


class Section(BaseModel):
    """A table: immutable, and nothing unknown in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
