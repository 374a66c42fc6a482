"""Tells where in a text the first secret of each class stands, and which classes were not looked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.secrets.entities import EntityModel
from pytest_kdmem.secrets.patterns import Finder, library_version, missing_library, pattern_finders
from pytest_kdmem.specs.secret_settings import SECRET_CLASSES, SecretSettings

# Raised when the same text can have other classes than before.
PROTOCOL = 2
# Characters before a place that are its context: longer than any secret but a private key.
CONTEXT = 4000
# The same for a model, which takes time.
MODEL_CONTEXT = 600


@dataclass(frozen=True)
class SecretSearch:
    """A search by settings.

    Args:
        settings: What is looked for, and how.
        offline: Never open a network connection.
    """

    settings: SecretSettings
    offline: bool = False

    @cached_property
    def not_looked_for(self) -> dict[str, str]:
        """The classes that are not looked for, each with the reason.

        Raises:
            SpecError: The model of names and addresses cannot be used.
        """
        reasons = {}
        for name in SECRET_CLASSES:
            if distribution := missing_library(name):
                reasons[name] = f"{distribution} is not installed: pip install 'pytest-kdmem[pii]'"
            elif name not in self._finders and self._entities is None:
                reasons[name] = "it needs a model that finds it: --kdmem-ner-model"
            elif name not in self._finders and name not in self._entity_classes:
                reasons[name] = f"ner-model {self.settings.ner_model} has no label of it"
        return reasons

    @cached_property
    def identity(self) -> str:
        """Digest of all that the classes of a text depend on."""
        entities = self._entities.identity if self._entities is not None else ""
        libraries = {name: library_version(name) for name in self._finders}
        return digest_of([PROTOCOL, CONTEXT, MODEL_CONTEXT, libraries, self.settings.regions, entities])

    def first_places(self, text: str, start: int) -> dict[str, int]:
        """Return for each class that has any the first character from ``start`` on that is of a secret.

        A secret is found with what stands before that place, so one that begins there counts from ``start`` on.

        Raises:
            SpecError: The model of names and addresses cannot be loaded.
        """
        places: dict[str, int] = {}

        def add(name: str, span: tuple[int, int], shift: int) -> None:
            if start < span[1] + shift:
                places[name] = min(places.get(name, len(text)), max(start, span[0] + shift))

        first = max(0, start - CONTEXT)
        for name, find in self._finders.items():
            for span in find(text[first:]):
                add(name, span, first)
        if self._entities is not None:
            first = max(0, start - MODEL_CONTEXT)
            for name, span in self._entities.find(text[first:]):
                add(name, span, first)
        return places

    @cached_property
    def _finders(self) -> dict[str, Finder]:
        return pattern_finders(self.settings.regions)

    @cached_property
    def _entities(self) -> EntityModel | None:
        return EntityModel(self.settings.ner_model, self.offline) if self.settings.ner_model is not None else None

    @property
    def _entity_classes(self) -> set[str]:
        return set(self._entities.class_of_label.values()) if self._entities is not None else set()
