"""The base of all reports: frozen models that are read and written as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.config import validation_message
from pipeline.files import artifacts
from pipeline.process.errors import UserError


class Section(BaseModel):
    """A part of a report. A key that is absent from the file stays absent when it is saved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def changed(self, **values: object) -> Self:
        """A copy with these values."""
        return type(self).model_validate({**self.model_dump(exclude_unset=True), **values})


def has_key(data: bytes, key: str) -> bool:
    """Whether the JSON in `data` is an object with this key; a nested one does not count."""
    try:
        values = json.loads(data)
    except ValueError:
        return False
    return isinstance(values, dict) and key in values


class Report(Section):
    """A report, whose file is PATH unless another is named."""

    PATH: ClassVar[Path]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Raises UserError if the file has another shape, and FileNotFoundError."""
        path = path or cls.PATH
        return cls.parse(path.read_bytes(), path)

    @classmethod
    def parse(cls, data: bytes, source: Path) -> Self:
        """The report in the bytes of the file `source`. Raises UserError."""
        # Not by pydantic's own parser: the name of a class may be that of a file, and so no UTF-8.
        try:
            values = json.loads(data)
            return cls.model_validate(values)
        except ValidationError as error:
            fault = validation_message.fault(error, values)
        except ValueError:
            fault = "it is not JSON"
        raise UserError(f"{source} is damaged or of another version ({fault}); run `edgeproof run`")

    def save(self, path: Path | None = None) -> None:
        values = self.model_dump(by_alias=True, exclude_unset=True)
        artifacts.save_json(path or self.PATH, values)
