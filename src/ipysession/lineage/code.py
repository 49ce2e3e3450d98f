"""What compiled code does to names, read off its bytecode; nothing is run or traced.

The compiler has settled every question of scope by then: comprehensions, walrus, match,
``global`` and lambdas are right by construction. `function_use` tells of a function what it
uses when it is called; `cell_flow` of a cell which names it reads before it binds them itself.
"""

from __future__ import annotations

import dis
from dataclasses import dataclass, field
from functools import lru_cache
from opcode import EXTENDED_ARG, opmap
from sys import version_info
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABSENT = 256
"""No opcode: what this version of Python lacks."""


def _op(name: str) -> int:
    return opmap.get(name, _ABSENT)


_LOAD_NAME, _STORE_NAME, _DELETE_NAME = _op("LOAD_NAME"), _op("STORE_NAME"), _op("DELETE_NAME")
_LOAD_GLOBAL, _STORE_GLOBAL = _op("LOAD_GLOBAL"), _op("STORE_GLOBAL")
_DELETE_GLOBAL = _op("DELETE_GLOBAL")
_LOAD_ATTR, _LOAD_METHOD, _LOAD_SUPER = _op("LOAD_ATTR"), _op("LOAD_METHOD"), _op("LOAD_SUPER_ATTR")
_LOAD_CONST, _MAKE_FUNCTION = _op("LOAD_CONST"), _op("MAKE_FUNCTION")
_BUILD_CLASS = _op("LOAD_BUILD_CLASS")
_FROM_DICT = _op("LOAD_FROM_DICT_OR_GLOBALS")
_IMPORT_NAME = _op("IMPORT_NAME")
_BY_NAME = frozenset({_LOAD_NAME, _FROM_DICT})
_STORES = frozenset({_STORE_NAME, _STORE_GLOBAL})
_DELETES = frozenset({_DELETE_NAME, _DELETE_GLOBAL})
_PLAIN_ATTRIBUTES = frozenset({_op("STORE_ATTR"), _op("DELETE_ATTR"), _LOAD_METHOD})
_CALLS = frozenset(_op(name) for name in ("CALL", "CALL_FUNCTION_EX", "CALL_KW")) - {_ABSENT}
_BETWEEN = frozenset(_op(name) for name in ("CACHE", "NOP", "SET_FUNCTION_ATTRIBUTE")) - {_ABSENT}
"""What may stand between a function's making and its binding."""
_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
_NO_FALL_THROUGH = frozenset(
    {
        "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "RETURN_VALUE",
        "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "INTERPRETER_EXIT",
    }
)  # fmt: skip
_RETURNS = frozenset({"RETURN_VALUE", "RETURN_CONST", "INTERPRETER_EXIT"})

UNBOUNDED = frozenset(
    {"exec", "eval", "globals", "locals", "vars", "dir", "get_ipython", "__import__"}
)
"""Names through which code reaches any name without saying it."""

_LONGEST_WORD = 300
_MOST_INSTRUCTIONS = 20_000
"""Of longer cells the flow is not followed: all that they load counts as read."""


@dataclass(frozen=True, slots=True)
class Use:
    """What code uses when it runs, with all the code inside it."""

    loads: frozenset[str] = frozenset()
    """Globals that it reads."""
    stores: frozenset[str] = frozenset()
    """Globals that it binds or deletes."""
    attributes: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    """Texts in it, short ones."""
    imports: frozenset[str] = frozenset()
    calls: bool = False

    def __or__(self, other: Use) -> Use:
        return Use(
            self.loads | other.loads,
            self.stores | other.stores,
            self.attributes | other.attributes,
            self.words | other.words,
            self.imports | other.imports,
            self.calls or other.calls,
        )


@dataclass(frozen=True, slots=True)
class Flow:
    """What a cell does to names, in the order in which it runs."""

    loads: dict[str, frozenset[str]] = field(default_factory=dict)
    """Each name that it loads, in functions that it calls too, with the names that it had surely
    bound whenever it did."""
    surely: frozenset[str] = frozenset()
    """Names that it has surely bound (or deleted) when it ends without an error."""
    stores: frozenset[str] = frozenset()
    """All that it may bind."""
    deletes: frozenset[str] = frozenset()
    use: Use = field(default_factory=Use)
    """All of its code, functions that it only defines left out."""

    @property
    def reads(self) -> frozenset[str]:
        """The names that it may load before it has bound them."""
        return frozenset(name for name, bound in self.loads.items() if name not in bound)


def _instructions(code: CodeType) -> Iterator[tuple[int, int]]:
    raw = code.co_code
    extended = 0
    for index in range(0, len(raw), 2):
        argument = raw[index + 1] | extended
        if raw[index] == EXTENDED_ARG:
            extended = argument << 8
            continue
        extended = 0
        yield raw[index], argument


def _attribute_index(operation: int, argument: int) -> int:
    if operation == _LOAD_SUPER:
        return argument >> 2
    return argument >> 1 if version_info >= (3, 12) else argument


@lru_cache(maxsize=8192)
def function_use(code: CodeType) -> Use:
    """What a function with this code uses when it is called."""
    loads: set[str] = set()
    stores: set[str] = set()
    attributes: set[str] = set()
    imports: set[str] = set()
    calls = False
    names = code.co_names
    for operation, argument in _instructions(code):
        if operation == _LOAD_GLOBAL:
            loads.add(names[argument >> 1])
        elif operation in _BY_NAME:
            loads.add(names[argument])
        elif operation in (_STORE_GLOBAL, _DELETE_GLOBAL):
            stores.add(names[argument])
        elif operation in (_LOAD_ATTR, _LOAD_SUPER):
            attributes.add(names[_attribute_index(operation, argument)])
        elif operation in _PLAIN_ATTRIBUTES:
            attributes.add(names[argument])
        elif operation == _IMPORT_NAME:
            imports.add(names[argument])
        elif operation in _CALLS:
            calls = True
    words, inner = _constants(code)
    use = Use(
        frozenset(loads), frozenset(stores), frozenset(attributes), words, frozenset(imports), calls
    )
    for other in inner:
        use |= function_use(other)
    return use


def _constants(code: CodeType) -> tuple[frozenset[str], list[CodeType]]:
    words: set[str] = set()
    inner: list[CodeType] = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner.append(constant)
        elif type(constant) is str:
            if len(constant) <= _LONGEST_WORD:
                words.add(constant)
        elif type(constant) in (tuple, frozenset) and len(constant) <= _LONGEST_WORD:
            words.update(
                word for word in constant if type(word) is str and len(word) <= _LONGEST_WORD
            )
    return frozenset(words), inner


def cell_flow(code: CodeType) -> Flow:
    """What a cell with this code does to names."""
    flow = None if code.co_exceptiontable else _straight_flow(code)
    return _CellReader(code).flow() if flow is None else flow


def _straight_flow(code: CodeType) -> Flow | None:
    """The flow of a cell that neither jumps nor defines anything, at a third of the price; None
    for any other. Most cells are so short that this is what they pay for being recorded.
    """
    words, inner = _constants(code)
    if inner:
        return None
    names = code.co_names
    loads: dict[str, int] = {}
    stores: set[str] = set()
    deletes: set[str] = set()
    attributes: set[str] = set()
    imports: set[str] = set()
    calls = False
    bound = 0
    for operation, argument in _instructions(code):
        if operation in _STORES:
            stores.add(names[argument])
            bound |= 1 << argument
        elif operation in _BY_NAME or operation == _LOAD_GLOBAL:
            name = names[argument >> 1 if operation == _LOAD_GLOBAL else argument]
            loads[name] = loads.get(name, -1) & bound
        elif operation in _JUMPS:
            return None
        elif operation in _CALLS:
            calls = True
        elif operation in _DELETES:
            name = names[argument]
            loads[name] = loads.get(name, -1) & bound
            deletes.add(name)
            bound |= 1 << argument
        elif operation in (_LOAD_ATTR, _LOAD_SUPER):
            attributes.add(names[_attribute_index(operation, argument)])
        elif operation in _PLAIN_ATTRIBUTES:
            attributes.add(names[argument])
        elif operation == _IMPORT_NAME:
            imports.add(names[argument])
    use = Use(
        attributes=frozenset(attributes), words=words, imports=frozenset(imports), calls=calls
    )
    return Flow(
        {name: _named(names, mask) for name, mask in loads.items()},
        _named(names, bound),
        frozenset(stores),
        frozenset(deletes),
        use,
    )


def _named(names: tuple[str, ...], mask: int) -> frozenset[str]:
    return frozenset(name for i, name in enumerate(names) if mask >> i & 1)


class _CellReader:
    """Follows the code of a cell (or of a class's body, which runs at once)."""

    def __init__(self, code: CodeType) -> None:
        self._code = code
        self._index = {name: 1 << i for i, name in enumerate(code.co_names)}
        self._later: dict[str, list[CodeType]] = {}
        """The functions that the cell defines, by the name that it binds them to."""
        self._at_once: dict[int, list[CodeType]] = {}
        """Code that runs where it is made: comprehensions, lambdas that are handed over. By the
        number of the instruction."""
        self._bodies: dict[CodeType, _CellReader] = {}
        """The bodies of classes among those."""
        self._loads: dict[str, int] = {}
        self._stores: set[str] = set()
        self._deletes: set[str] = set()
        self._use = Use()
        self._surely: int | None = None

    def flow(self) -> Flow:
        instructions = list(_instructions(self._code))
        self._find_functions(instructions)
        operations = {operation for operation, _ in instructions}
        if len(instructions) > _MOST_INSTRUCTIONS:
            for number, (operation, argument) in enumerate(instructions):
                self._step(number, operation, argument, 0)
            self._surely = 0
        elif operations & _JUMPS or self._code.co_exceptiontable:
            self._follow()
        else:
            bound = 0
            for number, (operation, argument) in enumerate(instructions):
                bound = self._step(number, operation, argument, bound)
            self._surely = bound
        names = self._code.co_names
        sets = {mask: _named(names, mask) for mask in {*self._loads.values(), self._surely or 0}}
        return Flow(
            {name: sets[mask] for name, mask in self._loads.items()},
            sets[self._surely or 0],
            frozenset(self._stores),
            frozenset(self._deletes),
            self._use_of_all(instructions),
        )

    def _use_of_all(self, instructions: list[tuple[int, int]]) -> Use:
        names = self._code.co_names
        attributes: set[str] = set()
        imports: set[str] = set()
        calls = False
        for operation, argument in instructions:
            if operation in (_LOAD_ATTR, _LOAD_SUPER):
                attributes.add(names[_attribute_index(operation, argument)])
            elif operation in _PLAIN_ATTRIBUTES:
                attributes.add(names[argument])
            elif operation == _IMPORT_NAME:
                imports.add(names[argument])
            elif operation in _CALLS:
                calls = True
        words, _ = _constants(self._code)
        own = Use(
            attributes=frozenset(attributes), words=words, imports=frozenset(imports), calls=calls
        )
        return own | self._use

    def _find_functions(self, instructions: list[tuple[int, int]]) -> None:
        names, constants = self._code.co_names, self._code.co_consts
        body = False
        methods: list[CodeType] = []
        made: CodeType | None = None
        for number, (operation, argument) in enumerate(instructions):
            if operation in _BETWEEN:
                continue
            if operation == _BUILD_CLASS:
                body = True
            elif operation == _LOAD_CONST and isinstance(constants[argument], CodeType):
                if made is not None:
                    self._at_once.setdefault(number, []).append(made)
                made = constants[argument]
                continue
            elif operation == _MAKE_FUNCTION:
                continue
            elif operation == _STORE_NAME:
                if made is not None:
                    self._later.setdefault(names[argument], []).append(made)
                    made = None
                if methods:
                    self._later.setdefault(names[argument], []).extend(methods)
                    methods = []
            if made is not None:
                if body:
                    # The class's body runs now; its methods when they are called.
                    inner = _CellReader(made)
                    self._at_once.setdefault(number, []).append(made)
                    inner.flow()
                    methods += [code for codes in inner._later.values() for code in codes]
                    self._bodies[made] = inner
                    body = False
                else:
                    self._at_once.setdefault(number, []).append(made)
                made = None

    def _step(self, number: int, operation: int, argument: int, bound: int) -> int:
        """One instruction, with the names ``bound`` before it; returns those bound after it."""
        if number in self._at_once:
            for code in self._at_once[number]:
                self._run_now(code, bound)
        names = self._code.co_names
        if operation in _BY_NAME:
            self._load(names[argument], bound)
        elif operation == _LOAD_GLOBAL:
            self._load(names[argument >> 1], bound)
        elif operation in _STORES:
            self._stores.add(names[argument])
            bound |= 1 << argument
        elif operation in _DELETES:
            self._load(names[argument], bound)
            self._deletes.add(names[argument])
            bound |= 1 << argument
        return bound

    def _run_now(self, code: CodeType, bound: int) -> None:
        body = self._bodies.get(code)
        if body is None:
            use = function_use(code)
            self._use |= use
            self._stores |= use.stores
            for name in use.loads:
                self._load(name, bound)
            return
        flow = body.flow()
        self._use |= flow.use
        for name in flow.reads:
            self._load(name, bound)

    def _load(self, name: str, bound: int) -> None:
        todo, seen = [name], {name}
        while todo:
            current = todo.pop()
            self._loads[current] = self._loads.get(current, -1) & bound
            for code in self._later.get(current, ()):
                use = function_use(code)
                self._use |= use
                self._stores |= use.stores
                for other in use.loads - seen:
                    seen.add(other)
                    todo.append(other)

    def _follow(self) -> None:
        """The same along all ways that the code can take."""
        listed = [i for i in dis.get_instructions(self._code) if i.opcode != EXTENDED_ARG]
        place = {instruction.offset: n for n, instruction in enumerate(listed)}
        offsets = [instruction.offset for instruction in listed]
        numbers = self._numbers(offsets)
        handlers: list[list[int]] = [[] for _ in listed]
        code: Any = dis.Bytecode(self._code)  # typeshed does not know its exception_entries
        for entry in code.exception_entries:
            target = self._at(place, entry.target)
            for n, offset in enumerate(offsets):
                if entry.start <= offset < entry.end:
                    handlers[n].append(target)
        states: dict[int, int] = {0: 0}
        todo = [0]
        while todo:
            n = todo.pop()
            instruction = listed[n]
            before = states[n]
            after = self._step(numbers[n], instruction.opcode, instruction.arg or 0, before)
            following = [(target, before) for target in handlers[n]]
            if instruction.opname in _RETURNS:
                self._surely = after if self._surely is None else self._surely & after
            if instruction.opcode in _JUMPS:
                following.append((self._at(place, int(instruction.argval)), after))
            if instruction.opname not in _NO_FALL_THROUGH and n + 1 < len(listed):
                following.append((n + 1, after))
            for target, state in following:
                known = states.get(target)
                merged = state if known is None else known & state
                if merged != known:
                    states[target] = merged
                    todo.append(target)

    def _numbers(self, offsets: list[int]) -> list[int]:
        """The numbers by which `_find_functions` knows the instructions at ``offsets``."""
        numbers: dict[int, int] = {}
        raw = self._code.co_code
        for index in range(0, len(raw), 2):
            if raw[index] != EXTENDED_ARG:
                numbers[index] = len(numbers)
        return [numbers[offset] for offset in offsets]

    @staticmethod
    def _at(place: dict[int, int], offset: int) -> int:
        """Where to go on for a jump to ``offset``; it may name an EXTENDED_ARG before it."""
        while offset not in place:
            offset += 2
        return place[offset]
