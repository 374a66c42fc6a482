"""Tells of which classes the secrets are that stand in a part of a text, and which classes were not looked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.secrets.entities import EntityModel
from pytest_kdmem.secrets.patterns import Finder, library_version, missing_library, pattern_finders
from pytest_kdmem.specs.secret_settings import SECRET_CLASSES, SecretSettings

# Raised when the same text can have other classes than before.
PROTOCOL = 1
# Characters on either side of the part that are its context: longer than any secret but a private key.
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

    def classes_in(self, text: str, start: int, end: int) -> frozenset[str]:
        """Return the classes of the secrets of which at least a character stands from ``start`` to before ``end``.

        A secret is found with what stands around that part, so one that begins before it or ends behind it counts.

        Raises:
            SpecError: The model of names and addresses cannot be loaded.
        """

        def overlaps(span: tuple[int, int], shift: int) -> bool:
            return span[0] + shift < end and start < span[1] + shift

        first = max(0, start - CONTEXT)
        around = text[first : end + CONTEXT]
        classes = {name for name, find in self._finders.items() if any(overlaps(span, first) for span in find(around))}
        if self._entities is not None:
            first = max(0, start - MODEL_CONTEXT)
            entities = self._entities.find(text[first : end + MODEL_CONTEXT])
            classes |= {name for name, span in entities if overlaps(span, first)}
        return frozenset(classes)

    @cached_property
    def _finders(self) -> dict[str, Finder]:
        return pattern_finders(self.settings.regions)

    @cached_property
    def _entities(self) -> EntityModel | None:
        return EntityModel(self.settings.ner_model, self.offline) if self.settings.ner_model is not None else None

    @property
    def _entity_classes(self) -> set[str]:
        return set(self._entities.class_of_label.values()) if self._entities is not None else set()
