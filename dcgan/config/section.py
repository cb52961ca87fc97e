"""The base class of the sections of a configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all sections: immutable, without conversion of types, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
