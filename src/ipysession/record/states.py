"""The pieces of hidden state: how to look at each, and who may read it once it is set.

Only libraries that the session has imported are asked; nothing is imported for it.
"""

from __future__ import annotations

import random
import sys
import warnings
from typing import TYPE_CHECKING, Any

from ipysession.lineage.identity import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipysession.record.hidden import Look


def differences(before: Any, now: Any) -> Iterator[str]:
    """The keys under which two looks at a piece differ; an empty text where it has none."""
    if before is None or before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict) and len(before) < 500:
        for key in {**before, **now}:
            old, new = before.get(key), now.get(key)
            if isinstance(old, dict) and isinstance(new, dict):
                yield from (f"{key}.{inner}" for inner in differences(old, new))
            elif key not in before or key not in now or old != new:
                yield str(key)
    else:
        yield ""


def _pandas_options() -> Any:
    module: Any = sys.modules.get("pandas._config.config")
    found = getattr(module, "_global_config", None)
    return None if found is None else _nested(found)


def _nested(options: dict[str, Any]) -> dict[str, Any]:
    return {n: _nested(v) if type(v) is dict else v for n, v in options.items()}


def _numpy_options() -> Any:
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "get_printoptions"):
        return None
    return {"print": repr(numpy.get_printoptions()), "errors": repr(numpy.geterr())}


def _drawing_parameters() -> Any:
    module: Any = sys.modules.get("matplotlib")
    found = getattr(module, "rcParams", None)
    return None if found is None else dict(dict.items(found))


def _figures() -> Any:
    module: Any = sys.modules.get("matplotlib._pylab_helpers")
    if module is None:
        return ""
    figures = list(module.Gcf.figs.items())
    return "" if not figures else repr([(n, identity(manager)) for n, manager in figures])


def _logging() -> Any:
    module: Any = sys.modules.get("logging")
    if module is None:
        return None
    root = module.root
    loggers = [
        (name, one) for name, one in root.manager.loggerDict.items() if hasattr(one, "level")
    ]
    looks = {
        name: (one.level, [identity(h) for h in one.handlers], one.propagate, one.disabled)
        for name, one in [("root", root), *loggers[:200]]
        if name.partition(".")[0] != "ipysession"
    }
    # One that nobody has set up is no state: libraries, ours too, make them when imported.
    untouched: tuple[int, list[int], bool, bool] = (0, [], True, False)
    return {name: look for name, look in looks.items() if look != untouched} | {
        "disable": root.manager.disable
    }


def _decimal() -> Any:
    module: Any = sys.modules.get("decimal")
    if module is None:
        return None
    context = module.getcontext()
    return context.prec, context.rounding, context.Emin, context.Emax, repr(context.traps)


def _warnings() -> Any:
    return list(warnings.filters)


def _locale() -> Any:
    module: Any = sys.modules.get("locale")
    return None if module is None else module.setlocale(module.LC_ALL)


def _builtins() -> Any:
    import builtins

    # What IPython puts there; a kernel gives each cell an input of its own.
    shells = {"_", "__IPYTHON__", "get_ipython", "display", "exit", "quit", "input"}
    held = vars(builtins)
    found = dict(zip(held, map(identity, held.values()), strict=True))
    for name in shells:
        found.pop(name, None)
    return found


def _python_paths() -> Any:
    return list(sys.path)


def draws(look: Look) -> bool:
    """May the step use the current figure?"""
    return "matplotlib.pyplot" in look.found.modules or (
        look.reaches("seaborn", "pandas") and look.mentions("plot", "hist", "boxplot", "gcf", "gca")
    )


SETTERS: dict[str, tuple[str, ...]] = {
    "pandas": ("set_option", "options", "reset_option"),
    "numpy": ("set_printoptions", "seterr"),
    "rcparams": ("rcParams", "rc", "style", "set_theme", "set_style", "set_context"),
    "logging": ("basicConfig", "dictConfig", "setLevel", "addHandler", "disable"),
    "warnings": ("filterwarnings", "simplefilter", "resetwarnings"),
    "syspath": ("path",),
}
"""Pieces that libraries set while they are imported, and words of who sets them on purpose."""

STATES: tuple[tuple[str, Callable[[], Any], Callable[[Look], bool]], ...] = (
    (
        "pandas",
        _pandas_options,
        lambda look: (
            look.mentions(
                "get_option", "options", "describe_option", "option_context", "reset_option"
            )
            or (
                look.reaches("pandas")
                and (look.shown or look.mentions("print", "str", "repr", "display", "to_string"))
            )
        ),
    ),
    (
        "numpy",
        _numpy_options,
        lambda look: look.reaches("numpy", "pandas", "scipy"),
    ),
    ("rcparams", _drawing_parameters, lambda look: look.reaches("matplotlib", "seaborn", "pandas")),
    ("figures", _figures, draws),
    (
        "logging",
        _logging,
        lambda look: look.reaches("logging") or look.mentions("logging", "logger", "log", "info"),
    ),
    ("decimal", _decimal, lambda look: look.reaches("decimal", "_decimal")),
    (
        "warnings",
        _warnings,
        lambda look: (
            look.reaches("warnings") or look.mentions("warn", "warnings", "catch_warnings")
        ),
    ),
    (
        "locale",
        _locale,
        lambda look: look.reaches("locale") or look.mentions("strftime", "format_string", "locale"),
    ),
    ("builtins", _builtins, lambda look: bool(look.cell.flow.loads)),
    ("syspath", _python_paths, lambda look: bool(look.imported) or look.mentions("path")),
)
"""Kind, how to look at it, and who may read it once it is set."""


def random_states() -> Iterator[tuple[str, Any]]:
    """Each generator that libraries draw from, with a hash of its state."""
    yield "python", hash(random.getstate())
    module: Any = sys.modules.get("numpy.random")
    if module is not None and hasattr(module, "get_state"):
        state = module.get_state()
        yield "numpy", hash((state[1].tobytes(), state[2], state[3], state[4]))
    torch: Any = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_rng_state"):
        yield "torch", hash(bytes(torch.get_rng_state().numpy().tobytes()))
