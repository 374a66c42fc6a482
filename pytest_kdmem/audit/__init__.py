"""One audit: what was scored, the gates held over it, the verdict, and the record of it all.

Called, it is the function `pytest_kdmem.audit`: ``audit(student=…, teacher=…, baseline=…, training_set=…, gates={…})``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from inspect import Signature, signature
from types import ModuleType
from typing import Any


class _AuditPackage(ModuleType):
    """This package, which can be called as the function `pytest_kdmem.audit` can.

    Python sets an imported package as an attribute of its parent, so that ``from pytest_kdmem import audit`` gives the
    function before anything of this package was imported, and this package after that. The function is named here, and
    not imported, as it lies above this package.
    """

    def __call__(self, **arguments: Any) -> Any:
        return _function()(**arguments)

    @property
    def __signature__(self) -> Signature:
        return signature(_function())


def _function() -> Any:
    return import_module("pytest_kdmem.api.audit").audit


sys.modules[__name__].__class__ = _AuditPackage
