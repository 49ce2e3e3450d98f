"""The tools that are compared: how each saves after a cell, and how it brings values back."""

from __future__ import annotations

from dataclasses import dataclass

_AFTER_EACH_CELL = """
def _install():
    import {library}, os, types
    shell = get_ipython()
    os.makedirs('saved', exist_ok=True)
    def users():
        return {{name: value for name, value in shell.user_ns.items()
                if not name.startswith('_') and name not in shell.user_ns_hidden
                and not isinstance(value, types.ModuleType)}}
    def save(result):
        {save}
    shell.events.register('post_run_cell', save)
_install(); del _install
"""

_CLOUDPICKLE = _AFTER_EACH_CELL.format(
    library="cloudpickle",
    save="""for name, value in users().items():
            with open(f'saved/{name}', 'wb') as stream:
                cloudpickle.dump(value, stream, protocol=5)""",
)
_DILL = _AFTER_EACH_CELL.format(library="dill", save="dill.dump_module('saved/all')")
_STORE = _AFTER_EACH_CELL.format(
    library="os",
    save="""for name in users():
            shell.run_line_magic('store', name)""",
)
_KISHU = """
def _install():
    import nbformat, pathlib
    from kishu.jupyterint import KishuForJupyter
    from kishu.notebook_id import NotebookId
    nbformat.write(nbformat.v4.new_notebook(), 'bench.ipynb')
    place = NotebookId(key='bench', path=pathlib.Path('bench.ipynb'), kernel_id='bench')
    kishu = KishuForJupyter(place, ip=get_ipython())
    kishu._test_mode = True  # there is no frontend that could save the notebook
    kishu.set_session_id(1)
    kishu.install_kishu_hooks()
_install()
"""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. ``restore`` is the cell that brings everything back in a new kernel."""

    name: str
    environment: str = "own"
    first_cell: str = ""
    restore: str = ""
    is_ours: bool = False


PLAIN = Tool("plain IPython")
OURS = Tool(
    "ipysession", first_cell="%load_ext ipysession", restore="%session resume", is_ours=True
)
PEERS = (
    Tool(
        "cloudpickle of every variable",
        first_cell=_CLOUDPICKLE,
        restore="import os, pickle\n"
        "for _n in os.listdir('saved'): globals()[_n] = pickle.load(open(f'saved/{_n}', 'rb'))",
    ),
    Tool(
        "dill.dump_module", first_cell=_DILL, restore="import dill; dill.load_module('saved/all')"
    ),
    Tool("%store of every variable", first_cell=_STORE, restore="%store -r"),
)
KISHU_PLAIN = Tool("plain IPython, Kishu's environment", "kishu")
KISHU = Tool("Kishu 0.3.4", "kishu", _KISHU)
