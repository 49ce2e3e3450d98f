"""Which object it is, and where its type comes from, at no one's expense."""

identity = object.__hash__
"""`id`, without telling the audit hooks. Python raises an audit event for each call of `id`,
and the recorder listens to audit events: a walk over many objects would cost it four times as
much. (This hash is made of the object's address alone, whatever the class does about hashing.)
"""


def module_of(kind: type) -> str:
    """The module of a type. A type may say that it has none, or anything."""
    module = kind.__module__
    return module if type(module) is str else ""


def library_of(kind: type) -> str:
    """The package that a type comes from: ``numpy`` for ``numpy.ma.MaskedArray``."""
    return module_of(kind).partition(".")[0]
