"""One audit: what was scored, the gates held over it, the verdict, and the record of it all."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _AuditPackage(ModuleType):
    """This package, which can be called as the function `pytest_kdmem.audit` can.

    Python sets an imported package as an attribute of its parent, so that ``from pytest_kdmem import audit`` gives the
    function before anything of this package was imported, and this package after that.
    """

    def __call__(self, **arguments: Any) -> Any:
        return import_module("pytest_kdmem.api.audit").audit(**arguments)


sys.modules[__name__].__class__ = _AuditPackage
