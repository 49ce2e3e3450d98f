"""Kinds of objects of other libraries: each comes back equal, or is refused and so replayed.

Rows as in `test_fidelity`. A library that is not installed is skipped: the heavy ones, torch and
xgboost, are in the environment of ``make fidelity`` only.
"""

import importlib.util
from pathlib import Path

import pytest
from checkpoint.kinds import REFUSED, SAME, comes_back_or_is_refused

KINDS = {
    "polars": (
        "import polars as pl",
        ("DataFrame", "x = pl.DataFrame({'a': [1, None], 'b': ['u', 'v']})", "x.to_dict(as_series=False), x.schema"),
        ("large DataFrame", "x = pl.DataFrame({'a': range(50_000), 's': [f't{i}' for i in range(50_000)]})", "x.tail(2).rows(), x.height"),
        ("Series", "x = pl.Series('s', [1.5, None])", "x.to_list(), x.name, x.dtype"),
        ("Categorical", "x = pl.Series(['a', 'b', 'a'], dtype=pl.Categorical)", "x.to_list(), x.dtype"),
        ("nested", "x = pl.DataFrame({'l': [[1], [2, 3]], 's': [{'k': 1}, {'k': 2}]})", "x.rows(), x.schema"),
        ("times", "import datetime\nx = pl.Series([datetime.datetime(2026, 1, 2)]).dt.replace_time_zone('UTC')", "x.to_list(), x.dtype"),
        ("LazyFrame", "x = pl.LazyFrame({'a': [1, 2, 3]}).filter(pl.col('a') > 1)", "x.collect().rows()"),
        ("Expr", "x = pl.col('a') + 1", "pl.DataFrame({'a': [1]}).select(x).rows()"),
        ("dtype", "x = pl.List(pl.Int8)", SAME),
        ("Expr of a notebook's function", "def f(v): return v + 1\nx = pl.col('a').map_elements(f, return_dtype=pl.Int64)", "pl.DataFrame({'a': [1]}).select(x).rows()"),
    ),
    "pyarrow": (
        "import pyarrow as pa",
        ("Table", "x = pa.table({'a': [1, None], 's': ['u', 'v']})", "x.to_pydict(), x.schema"),
        ("large Table", "x = pa.table({'a': list(range(50_000))})", "x.slice(49_999).to_pydict(), x.num_rows"),
        ("Array", "x = pa.array([[1], None])", "x.to_pylist(), x.type"),
        ("ChunkedArray", "x = pa.chunked_array([[1], [2, 3]])", "x.to_pylist(), x.num_chunks"),
        ("DictionaryArray", "x = pa.array(['a', 'b', 'a']).dictionary_encode()", "x.to_pylist(), x.type"),
        ("RecordBatch", "x = pa.record_batch({'a': [1, 2]})", "x.to_pydict()"),
        ("Schema", "x = pa.schema([('a', pa.int8())], metadata={'k': 'v'})", "x, x.metadata"),
        ("Scalar", "x = pa.scalar(5, pa.int16())", "x.as_py(), x.type"),
        ("Buffer", "x = pa.py_buffer(b'abc')", "x.to_pybytes()"),
        ("slice of a Table", "t = pa.table({'a': list(range(9))}); x = t.slice(2, 3)", "x.to_pydict(), t.num_rows"),
        ("compute function", "import pyarrow.compute as pc; x = pc.add", "x(1, 2).as_py()"),
    ),
    "scipy": (
        "import numpy as np, scipy\nfrom scipy import interpolate, optimize, signal, sparse, spatial, stats",
        ("csr_matrix", "x = sparse.csr_matrix(np.eye(3))", "type(x), x.toarray().tolist()"),
        ("large csr_array", "x = sparse.random_array((2000, 2000), density=0.05, format='csr', rng=1)", "type(x), x.sum(), x.nnz, x.shape"),
        ("csc_array", "x = sparse.csc_array(np.eye(3))", "type(x), x.toarray().tolist()"),
        ("coo_array", "x = sparse.coo_array(np.eye(3))", "type(x), x.toarray().tolist()"),
        ("lil_array", "x = sparse.lil_array((2, 2)); x[0, 1] = 5", "type(x), x.toarray().tolist()"),
        ("dok_array", "x = sparse.dok_array((2, 2)); x[0, 1] = 5", "type(x), x.toarray().tolist()"),
        ("one shared by two", "a = sparse.csr_array(np.eye(3)); x = [a, a]; x[0].data[0] = 9", "x[0] is x[1], x[1].toarray().tolist()"),
        ("KDTree", "x = spatial.KDTree([[0.0, 0], [1, 1]])", "x.query([0.9, 0.9])[1]"),
        ("Delaunay", "x = spatial.Delaunay([[0, 0], [0, 1], [1, 0], [1, 1]])", "x.simplices.tolist()"),
        ("Rotation", "x = spatial.transform.Rotation.from_euler('z', 90, degrees=True)", "x.as_quat().round(6).tolist()"),
        ("CubicSpline", "x = interpolate.CubicSpline([0, 1, 2], [0, 1, 4])", "float(x(1.5))"),
        ("interp1d", "x = interpolate.interp1d([0, 1], [0, 2])", "float(x(0.5))"),
        ("a frozen distribution", "x = stats.norm(1, 2)", "float(x.cdf(1)), x.args"),
        ("gaussian_kde", "x = stats.gaussian_kde([1, 2, 2.5])", "float(x(2)[0])"),
        ("OptimizeResult", "x = optimize.minimize(lambda v: (v[0] - 1) ** 2, [0.0])", "round(float(x.x[0]), 4), x.success"),
        ("a test's result", "x = stats.ttest_ind([1, 2, 3], [2, 3, 5])", "float(x.pvalue)"),
        ("TransferFunction", "x = signal.TransferFunction([1], [1, 2])", "x.poles.tolist()"),
        ("LinearOperator", "from scipy.sparse.linalg import aslinearoperator\nx = aslinearoperator(np.eye(2))", "x.matvec([1, 2]).tolist()"),
    ),
    "sklearn": (
        "import numpy as np\nX = np.arange(40.0).reshape(20, 2); y = np.arange(20) % 2",
        ("LogisticRegression", "from sklearn.linear_model import LogisticRegression\nx = LogisticRegression().fit(X, y)", "x.predict_proba(X[:3]).round(9).tolist()"),
        ("RandomForest", "from sklearn.ensemble import RandomForestClassifier\nx = RandomForestClassifier(5, random_state=1).fit(X, y)", "x.predict(X).tolist(), len(x.estimators_)"),
        ("gradient boosting", "from sklearn.ensemble import HistGradientBoostingRegressor\nx = HistGradientBoostingRegressor(max_iter=5).fit(X, y)", "x.predict(X).round(9).tolist()"),
        ("Pipeline", "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler\nfrom sklearn.svm import SVC\nx = make_pipeline(StandardScaler(), SVC()).fit(X, y)", "x.predict(X).tolist(), list(x.named_steps)"),
        ("a notebook's function in a Pipeline", "K = 2\ndef times(v): return v * K\nfrom sklearn.preprocessing import FunctionTransformer\nx = FunctionTransformer(times)", "x.transform(X).sum()"),
        ("a notebook's estimator", "from sklearn.base import BaseEstimator\nclass Mean(BaseEstimator):\n    def fit(self, X, y=None):\n        self.mean_ = X.mean(); return self\nx = Mean().fit(X)", "x.mean_, type(x) is Mean, x.get_params()"),
        ("KNeighbors", "from sklearn.neighbors import KNeighborsClassifier\nx = KNeighborsClassifier(algorithm='kd_tree').fit(X, y)", "x.predict(X).tolist()"),
        ("KMeans", "from sklearn.cluster import KMeans\nx = KMeans(2, n_init=1, random_state=1).fit(X)", "x.labels_.tolist()"),
        ("PCA", "from sklearn.decomposition import PCA\nx = PCA(1).fit(X)", "x.transform(X).round(6).sum(), x.components_.round(9).tolist()"),
        ("grid search", "from sklearn.model_selection import GridSearchCV\nfrom sklearn.tree import DecisionTreeClassifier\nx = GridSearchCV(DecisionTreeClassifier(random_state=1), {'max_depth': [1, 2]}, cv=2).fit(X, y)", "x.best_params_, x.predict(X).tolist()"),
        ("text vectors", "from sklearn.feature_extraction.text import TfidfVectorizer\nx = TfidfVectorizer().fit(['a bird', 'a tree bird'])", "sorted(x.vocabulary_), x.transform(['bird']).toarray().tolist()"),
        ("Bunch", "from sklearn.datasets import load_iris\nx = load_iris()", "x.data.sum(), x.target_names.tolist()"),
        ("a generator of splits", "from sklearn.model_selection import KFold\nx = KFold(2).split(X)", REFUSED),
    ),
    "statsmodels": (
        "import numpy as np, pandas as pd, statsmodels.api as sm\nd = pd.DataFrame({'a': [1.0, 2, 3, 4], 'b': [2.0, 3, 5, 9]})",
        ("OLS results", "x = sm.OLS(d.b, sm.add_constant(d.a)).fit()", "x.params.round(9).tolist(), round(x.rsquared, 9)"),
        ("results of a formula", "import statsmodels.formula.api as smf\nx = smf.ols('b ~ a + np.log(a)', d).fit()", "x.params.round(6).tolist(), x.predict(d).round(6).tolist()"),
        ("GLM", "x = sm.GLM(d.b, sm.add_constant(d.a)).fit()", "x.params.round(9).tolist()"),
        ("ARIMA", "from statsmodels.tsa.arima.model import ARIMA\nx = ARIMA([1.0, 2, 1, 3, 2, 4], order=(1, 0, 0)).fit()", "x.params.round(6).tolist()"),
        ("a table", "x = sm.OLS(d.b, d.a).fit().summary().tables[1]", "x.as_csv()"),
    ),
    "seaborn": (
        "import matplotlib\nmatplotlib.use('agg')\nimport pandas as pd, seaborn as sns\nd = pd.DataFrame({'a': [1, 2, 3, 4], 'k': list('uuvv')})",
        ("palette", "x = sns.color_palette('deep', 3)", "type(x), list(x)"),
        ("axes", "x = sns.scatterplot(d, x='a', y='a', hue='k')", "x.get_xlabel(), len(x.collections)"),
        ("FacetGrid", "x = sns.FacetGrid(d, col='k')", "x.axes.shape, type(x).__name__"),
        ("a plot of objects", "import seaborn.objects as so\nx = so.Plot(d, x='a', y='a').add(so.Dot())", "type(x).__name__, len(x._layers)"),
    ),
    "plotly": (
        "import json, plotly.graph_objects as go\ndef told(f): return json.dumps(json.loads(f.to_json()), sort_keys=True)",
        ("Figure", "x = go.Figure(go.Scatter(x=[1, 2], y=[3, 4]), layout={'title': 't'})", "told(x)"),
        ("express", "import plotly.express as px\nx = px.bar(x=['a', 'b'], y=[1, 2])", "told(x)"),
        ("Layout", "x = go.Layout(title='t')", "x.to_plotly_json()"),
        ("frames", "x = go.Figure(frames=[go.Frame(data=[go.Scatter(y=[1])], name='f')])", "x.frames[0].name, told(x)"),
    ),
    "networkx": (
        "import networkx as nx",
        ("Graph", "x = nx.path_graph(4); x.nodes[1]['w'] = [5]", "list(x.edges), x.nodes[1]"),
        ("DiGraph", "x = nx.DiGraph([(1, 2, {'w': 3})], name='g')", "list(x.edges(data=True)), x.name"),
        ("MultiGraph", "x = nx.MultiGraph([(1, 2), (1, 2)])", "list(x.edges(keys=True))"),
        ("large Graph", "x = nx.gnm_random_graph(3000, 6000, seed=1)", "x.number_of_edges(), sorted(x.degree)[:9]"),
        ("view", "g = nx.path_graph(4); x = g.edges", "list(x)"),
        ("subgraph", "g = nx.path_graph(4); x = g.subgraph([1, 2])", "list(x.edges), x._graph is g"),
        ("nodes of the notebook", "class N: pass\nn = N(); x = nx.Graph(); x.add_node(n)", "n in x, type(n) is N"),
        ("positions", "x = nx.circular_layout(nx.path_graph(3))", "sorted(x), x[0].round(6).tolist()"),
    ),
    "sympy": (
        "import sympy as sp",
        ("Symbol", "x = sp.Symbol('a', positive=True)", "x, x.is_positive, x == sp.Symbol('a', positive=True)"),
        ("expression", "a, b = sp.symbols('a b'); x = sp.expand((a + b) ** 2)", "x, x.subs(a, 1), x.has(b)"),
        ("Dummy", "d = sp.Dummy(); x = d + 1", "x.free_symbols == {d}"),
        ("Matrix", "x = sp.Matrix([[1, 2], [3, sp.Symbol('k')]])", "x, x.det()"),
        ("Function", "f = sp.Function('f'); x = f(sp.Symbol('t')).diff()", "str(x), x.has(f)"),
        ("Equation", "a = sp.Symbol('a'); x = sp.solve(sp.Eq(a ** 2, 4), a)", SAME),
        ("lambdify", "a = sp.Symbol('a'); x = sp.lambdify(a, a ** 2 + 1, 'math')", "x(3)"),
        ("Integral", "a = sp.Symbol('a'); x = sp.Integral(sp.sin(a), a)", "x, x.doit()"),
        ("Float", "x = sp.Float('1.1', 30)", "x, x._prec"),
        ("Poly", "a = sp.Symbol('a'); x = sp.Poly(a ** 2 - 1, a)", "x.all_coeffs(), x.factor_list()"),
    ),
    "PIL": (
        "import io\nfrom PIL import Image, ImageDraw, ImageFont",
        ("Image", "x = Image.new('RGB', (4, 3), 'red'); x.putpixel((1, 1), (0, 0, 9))", "x.tobytes(), x.mode, x.size"),
        ("large Image", "x = Image.new('L', (700, 700), 7)", "x.getextrema(), x.size"),
        ("opened Image", "b = io.BytesIO(); Image.new('1', (9, 9)).save(b, 'png'); b.seek(0); x = Image.open(b)", "x.tobytes(), x.size, x.mode"),
        ("palette", "x = Image.new('P', (2, 2), 1); x.putpalette([1, 2, 3, 4, 5, 6])", "x.convert('RGB').tobytes()"),
        ("info", "x = Image.new('RGBA', (1, 1)); x.info['k'] = 'v'", "x.mode, x.size"),
    ),
    "sqlalchemy": (
        "import sqlalchemy as sa\nfrom sqlalchemy import orm",
        ("engine", "x = sa.create_engine('sqlite://')", REFUSED),
        ("connection", "x = sa.create_engine('sqlite://').connect()", REFUSED),
        ("ORM session", "x = orm.Session(sa.create_engine('sqlite://'))", REFUSED),
        ("URL", "x = sa.make_url('sqlite:///a.db')", "str(x), x.database"),
        ("MetaData", "m = sa.MetaData(); x = sa.Table('t', m, sa.Column('id', sa.Integer, primary_key=True))", "list(x.c.keys()), x.metadata is m, m.tables['t'] is x"),
        ("type", "x = sa.String(30)", "repr(x)"),
        ("rows", "e = None\nwith sa.create_engine('sqlite://').connect() as c: x = c.execute(sa.text('select 1 as a, 2 as b')).all()\ndel c", "x, x[0].a"),
    ),
    "lightgbm": (
        "import numpy as np, lightgbm as lgb\nX = np.arange(400.0).reshape(200, 2); y = np.arange(200) % 2\nquiet = {'verbose': -1, 'num_threads': 1}",
        ("Booster", "x = lgb.train({**quiet, 'objective': 'binary'}, lgb.Dataset(X, y), 3)", "x.predict(X[:5]).round(9).tolist()"),
        ("classifier", "x = lgb.LGBMClassifier(n_estimators=3, **quiet).fit(X, y)", "x.predict_proba(X[:3]).round(9).tolist()"),
        ("regressor that is not fitted", "x = lgb.LGBMRegressor(n_estimators=7)", "x.get_params()['n_estimators']"),
    ),
    "requests": (
        "import requests",
        ("Session", "x = requests.Session(); x.headers['k'] = 'v'; x.cookies.set('c', '1')", "x.headers['k'], x.cookies.get_dict()"),
        ("Response", "x = requests.Response(); x.status_code = 404; x._content = b'{\"a\": 1}'", "x.json(), x.ok"),
        ("prepared request", "x = requests.Request('GET', 'http://a/b', params={'q': 1}).prepare()", "x.url, x.method"),
        ("cookies", "x = requests.cookies.cookiejar_from_dict({'a': 'b'})", "x.get_dict(), type(x)"),
    ),
    "xarray": (
        "import numpy as np, xarray as xr",
        ("DataArray", "x = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=('a', 'b'), attrs={'u': 'm'})", "x.to_dict()"),
        ("Dataset", "x = xr.Dataset({'t': ('a', [1, 2])}, coords={'a': [10, 20]})", "x.to_dict()"),
        ("large DataArray", "x = xr.DataArray(np.arange(100_000.0))", "float(x.sum()), x.shape"),
    ),
    "torch": (
        "import torch",
        ("tensor", "x = torch.arange(6.0).reshape(2, 3)", "x.tolist(), x.dtype"),
        ("large tensor", "x = torch.arange(200_000)", "int(x.sum()), x.shape"),
        ("views of one tensor", "a = torch.zeros(6); x = a[2:4]; x[0] = 7", "a.tolist(), x.data_ptr() - a.data_ptr()"),
        ("tensor with a gradient", "x = torch.ones(2, requires_grad=True); (x * 3).sum().backward()", "x.grad.tolist(), x.requires_grad"),
        ("part of a graph", "a = torch.ones(2, requires_grad=True); x = a * 3", REFUSED),
        ("bfloat16", "x = torch.ones(3, dtype=torch.bfloat16)", "x.tolist(), x.dtype"),
        ("sparse", "x = torch.eye(3).to_sparse()", "x.to_dense().tolist(), x.is_sparse"),
        ("Parameter", "x = torch.nn.Parameter(torch.ones(2))", "x.tolist(), type(x)"),
        ("Module", "torch.manual_seed(1); x = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())", "x(torch.ones(3)).tolist()"),
        ("a notebook's Module", "class Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__(); self.l = torch.nn.Linear(2, 1)\n    def forward(self, v): return self.l(v)\ntorch.manual_seed(2); x = Net()", "x(torch.ones(2)).tolist(), type(x) is Net"),
        ("optimizer of a Module", "m = torch.nn.Linear(2, 1); x = torch.optim.Adam(m.parameters()); m(torch.ones(2)).sum().backward(); x.step()", "x.param_groups[0]['params'][0] is m.weight, len(x.state)"),
        ("state dict", "x = torch.nn.Linear(2, 1).state_dict()", "{k: v.tolist() for k, v in x.items()}"),
        ("Generator", "x = torch.Generator().manual_seed(5)", "torch.rand(2, generator=x).tolist()"),
        ("dtype and device", "x = (torch.float16, torch.device('cpu'), torch.Size([2]))", SAME),
        ("DataLoader", "from torch.utils.data import DataLoader, TensorDataset\nx = DataLoader(TensorDataset(torch.arange(4)), batch_size=2)", "[b[0].tolist() for b in x]"),
    ),
    "xgboost": (
        "import numpy as np, xgboost as xgb\nX = np.arange(40.0).reshape(20, 2); y = np.arange(20) % 2",
        ("Booster", "x = xgb.train({'nthread': 1}, xgb.DMatrix(X, y), 3)", "x.predict(xgb.DMatrix(X[:3])).tolist()"),
        ("classifier", "x = xgb.XGBClassifier(n_estimators=3, n_jobs=1).fit(X, y)", "x.predict_proba(X[:3]).tolist()"),
        ("DMatrix", "x = xgb.DMatrix(X, y)", REFUSED),
    ),
}  # fmt: skip

ROWS = [
    pytest.param(library, first, cell, said, id=f"{library}: {kind}")
    for library, (first, *rows) in KINDS.items()
    for kind, cell, said in rows
]


@pytest.mark.filterwarnings("ignore")  # other people's
@pytest.mark.parametrize(("library", "first", "cell", "said"), ROWS)
def test_each_kind_of_a_library_comes_back_or_is_refused(tmp_path, library, first, cell, said):
    """All names of the cell as one group, into a kernel in which only the imports ran."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    comes_back_or_is_refused(tmp_path, first, cell, said)


def test_the_documentation_lists_each_kind():
    """docs/fidelity.md has a row for each library."""
    text = (Path(__file__).parents[2] / "docs" / "fidelity.md").read_text(encoding="utf-8")
    rows = {line.split(" ")[1]: line for line in text.splitlines() if line.startswith("| ")}
    for library, (_, *kinds) in KINDS.items():
        missing = [kind for kind, *_ in kinds if kind not in rows[library]]
        assert missing == []
        assert f"| {library} ({len(kinds)})" in rows[library]
