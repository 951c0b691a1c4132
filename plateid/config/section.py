"""What all tables of `plateid.toml` have in common."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def matching(pattern: str, wanted: str) -> AfterValidator:
    """Returns a validator that refuses text without this pattern and says what is wanted."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"must be {wanted}")
        return text

    return AfterValidator(check)


Name = Annotated[str, matching(r"[a-zA-Z0-9_-]{1,64}", "1 to 64 letters, digits, - or _")]
Probability = Annotated[float, Field(ge=0, le=1)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseModel):
    """One table of the file: immutable, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
