"""Which names a cell reads before it binds them itself, read off its bytecode; nothing is run."""

from __future__ import annotations

import dis
from dataclasses import dataclass, field
from opcode import EXTENDED_ARG
from types import CodeType
from typing import Any

from ipysession.lineage.code import Use, constants_of, function_use, use_but_names
from ipysession.lineage.opcodes import (
    BETWEEN,
    BUILD_CLASS,
    BY_NAME,
    DELETES,
    JUMPS,
    LOAD_CONST,
    LOAD_GLOBAL,
    MAKE_FUNCTION,
    NO_FALL_THROUGH,
    RETURNS,
    STORE_NAME,
    STORES,
    instructions_of,
)

_MOST_INSTRUCTIONS = 20_000
"""Of longer cells the flow is not followed: all that they load counts as read."""


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


def cell_flow(code: CodeType) -> Flow:
    """What a cell with this code does to names."""
    flow = None if code.co_exceptiontable else _straight_flow(code)
    return _CellReader(code).flow() if flow is None else flow


def _straight_flow(code: CodeType) -> Flow | None:
    """The flow of a cell that neither jumps nor defines anything, at a third of the price; None
    for any other. Most cells are so short that this is what they pay for being recorded.
    """
    if constants_of(code)[1]:
        return None
    names = code.co_names
    loads: dict[str, int] = {}
    stores: set[str] = set()
    deletes: set[str] = set()
    bound = 0
    instructions = list(instructions_of(code))
    for operation, argument in instructions:
        if operation in STORES:
            stores.add(names[argument])
            bound |= 1 << argument
        elif operation in BY_NAME or operation == LOAD_GLOBAL:
            name = names[argument >> 1 if operation == LOAD_GLOBAL else argument]
            loads[name] = loads.get(name, -1) & bound
        elif operation in JUMPS:
            return None
        elif operation in DELETES:
            name = names[argument]
            loads[name] = loads.get(name, -1) & bound
            deletes.add(name)
            bound |= 1 << argument
    return Flow(
        {name: _named(names, mask) for name, mask in loads.items()},
        _named(names, bound),
        frozenset(stores),
        frozenset(deletes),
        use_but_names(code, instructions),
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
        instructions = list(instructions_of(self._code))
        self._find_functions(instructions)
        operations = {operation for operation, _ in instructions}
        if len(instructions) > _MOST_INSTRUCTIONS:
            for number, (operation, argument) in enumerate(instructions):
                self._step(number, operation, argument, 0)
            self._surely = 0
        elif operations & JUMPS or self._code.co_exceptiontable:
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
            use_but_names(self._code, instructions) | self._use,
        )

    def _find_functions(self, instructions: list[tuple[int, int]]) -> None:
        names, constants = self._code.co_names, self._code.co_consts
        body = False
        methods: list[CodeType] = []
        made: CodeType | None = None
        for number, (operation, argument) in enumerate(instructions):
            if operation in BETWEEN:
                continue
            if operation == BUILD_CLASS:
                body = True
            elif operation == LOAD_CONST and isinstance(constants[argument], CodeType):
                if made is not None:
                    self._at_once.setdefault(number, []).append(made)
                made = constants[argument]
                continue
            elif operation == MAKE_FUNCTION:
                continue
            elif operation == STORE_NAME:
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
        if operation in BY_NAME:
            self._load(names[argument], bound)
        elif operation == LOAD_GLOBAL:
            self._load(names[argument >> 1], bound)
        elif operation in STORES:
            self._stores.add(names[argument])
            bound |= 1 << argument
        elif operation in DELETES:
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
            if instruction.opname in RETURNS:
                self._surely = after if self._surely is None else self._surely & after
            if instruction.opcode in JUMPS:
                following.append((self._at(place, int(instruction.argval)), after))
            if instruction.opname not in NO_FALL_THROUGH and n + 1 < len(listed):
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
