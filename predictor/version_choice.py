"""Which two versions are compared: what is offered in a form, and what an address asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from predictor.models import ModelPointers, ModelVersion


class VersionChoiceError(ValueError):
    """The two versions cannot be compared; `field` is "a" or "b", `code` one of "required", "unknown" and "same"."""

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field, self.code = field, code


@dataclass(frozen=True, slots=True)
class Pair:
    """The versions of a form with two lists, newest first, and which of them is chosen in each."""

    versions: tuple[ModelVersion, ...]
    a: int | None
    b: int | None


def chosen_versions(a: str, b: str) -> tuple[ModelVersion, ModelVersion]:
    """The two versions with these ids, as an address has them. Raises VersionChoiceError."""
    first, second = _version("a", a), _version("b", b)
    if first == second:
        raise VersionChoiceError(
            "b", "same", "These are one and the same version. Choose two different ones."
        )
    return first, second


def suggested_pair(versions: Sequence[ModelVersion]) -> Pair | None:
    """The champion against the newest other version; None where there are not two to choose from."""
    newest_first = tuple(sorted(versions, key=lambda version: -version.pk))
    if len(newest_first) < 2:
        return None
    pointers = ModelPointers.objects.first()
    champion = pointers.champion_id if pointers else None
    a = champion if champion in {version.pk for version in newest_first} else newest_first[1].pk
    return Pair(newest_first, a, next(version.pk for version in newest_first if version.pk != a))


def _version(field: str, given: str) -> ModelVersion:
    if not given:
        raise VersionChoiceError(field, "required", "Choose two versions to compare.")
    if given.isascii() and given.isdecimal() and len(given) < 19:
        version = ModelVersion.objects.defer("metrics").filter(pk=int(given)).first()
        if version is not None:
            return version
    raise VersionChoiceError(field, "unknown", f"There is no version {given[:20]}.")
