"""Calls that only read what they are given: the short lists that `changes` rests on.

A name that is missing here costs a cell that could have gone; a wrong one costs a result.
"""

from __future__ import annotations

import re

READING_BUILTINS = frozenset(
    {
        "abs", "ascii", "bin", "bool", "bytes", "callable", "chr", "complex", "dir", "display",
        "divmod", "float", "format", "getattr", "hasattr", "hash", "help", "hex", "id", "int",
        "isinstance", "issubclass", "len", "object", "oct", "open", "ord", "pow", "print",
        "range", "repr", "round", "slice", "str", "super", "type",
    }
)  # fmt: skip

ITERATING_BUILTINS = frozenset(
    {
        "all", "any", "dict", "enumerate", "filter", "frozenset", "list", "map", "max", "min",
        "reversed", "set", "sorted", "sum", "tuple", "zip",
    }
)  # fmt: skip
"""They read a container, but use up an iterator."""

READING_METHODS = frozenset(
    {
        # pandas and numpy, without `inplace=True` and `out=`
        "abs", "agg", "aggregate", "all", "any", "apply", "argmax", "argmin", "argsort", "assign",
        "astype", "between", "clip", "combine_first", "corr", "cov", "cummax", "cummin", "cumprod",
        "cumsum", "describe", "diff", "div", "dot", "drop", "drop_duplicates", "dropna",
        "duplicated", "eq", "explode", "ffill", "bfill", "fillna", "filter", "first", "flatten",
        "ge", "groupby", "gt", "head", "idxmax", "idxmin", "iloc", "info", "interpolate", "isin",
        "isna", "isnull", "items", "iterrows", "itertuples", "last", "le", "lt", "map", "max",
        "mean", "median", "melt", "memory_usage", "merge", "min", "mode", "mul", "ne", "nlargest",
        "notna", "notnull", "nsmallest", "nunique", "pct_change", "pivot", "pivot_table", "prod",
        "quantile", "query", "rank", "reindex", "rename", "resample", "reset_index", "reshape",
        "rolling", "round", "select_dtypes", "set_index", "shift", "size", "sort_index",
        "sort_values", "squeeze", "stack", "std", "sub", "sum", "tail", "to_dict", "to_frame",
        "to_list", "to_numpy", "to_string", "tolist", "transform", "transpose", "unique",
        "unstack", "value_counts", "var", "where", "xs",
        # text, dicts, paths
        "capitalize", "casefold", "copy", "count", "decode", "encode", "endswith", "exists",
        "expanduser", "find", "format", "glob", "index", "is_dir", "is_file", "isalpha",
        "isdigit", "join", "keys", "lower", "lstrip", "partition", "read_bytes", "read_text",
        "replace", "rfind", "rstrip", "split", "splitlines", "startswith", "strftime", "strip",
        "title", "upper", "values", "with_suffix", "zfill",
        # estimators, when only asked
        "predict", "predict_proba", "score",
    }
)  # fmt: skip

CALLING = frozenset({"agg", "aggregate", "apply", "assign", "filter", "map", "transform"})
"""Readers that call what they are given."""

CONSUMING_FUNCTIONS = re.compile(r"(?:pandas|numpy)\.(?:read_|load|from|genfromtxt)\w*")
"""They read a file to its end, where they are given an open one."""

DRAWING_METHODS = frozenset({"boxplot", "hist", "plot"})
"""They read a table, but draw on axes."""

READING_MODULES = re.compile(
    r"(?:pandas|numpy|math|cmath|statistics|fractions|decimal|re|json|copy|datetime|string|textwrap"
    r"|pathlib|os\.path|collections|operator|functools|pprint|time|typing|dataclasses"
    r"|matplotlib\.pyplot)(?:\.|$)"
)
"""Modules whose functions only read their arguments, apart from those of `CHANGING_FUNCTIONS`."""

CHANGING_FUNCTIONS = re.compile(
    r"numpy\.(?:random\b.*|put.*|place|copyto|fill_diagonal|setxor.*(?<!1d)|set_.*|seterr.*|save.*"
    r"|.*\.at)"
    r"|pandas\.(?:set_option|reset_option|option_context|options.*)"
    r"|matplotlib\.pyplot\.(?:ion|ioff|rc.*|style.*|switch_backend|set_.*|savefig|sca|draw.*)"
    r"|decimal\.(?:setcontext|getcontext|localcontext)"
    r"|operator\.(?:set.*|del.*|i\w+|method.*)|functools\.(?:reduce|singledispatch.*|update_wrapper)"
    r"|time\.(?:tzset|sleep)|json\.(?:dump|load)|(?:collections\.deque)"
)

SETTING_WORDS = re.compile(
    r"(?:set|reset|register|use|enable|disable|add|append|insert|remove|update|option|configure"
    r"|filterwarnings|simplefilter|seed|rc|style|basicConfig|chdir|putenv|install|switch|patch"
    r"|init|start|stop|close|connect)(?:_|$|[A-Z])"
)
"""How the names of functions begin that change their library's state."""

RANDOM_WORDS = re.compile(
    r"(?:^|[._])(?:rand\w*|shuffle|sample|choice|choices|permut\w*|train_test_split|dropout|normal"
    r"|uniform|secrets|uuid\d?)(?:[._]|$)",
    re.IGNORECASE,
)
"""In a dotted name: the call draws from a generator of random numbers."""
