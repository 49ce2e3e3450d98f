"""POST sessions/{id}/export: the file as the answer, or a file in the server's folder."""

import json

import nbformat
import pytest


@pytest.fixture
def send(store, jp_serverapp, http_server_client, jp_base_url, jp_auth_header):
    """Posts JSON; returns the whole response."""

    async def send(path, body):
        return await http_server_client.fetch(
            f"{jp_base_url}ipysession/api/{path}",
            method="POST",
            body=json.dumps(body),
            headers=jp_auth_header,
            raise_error=False,
        )

    return send


@pytest.fixture
def export(send, record):
    """Exports a session with two cells."""
    session_id = record("Flüge", cells=[("a = 1\na", "1\n"), ("a + 1", "2\n")])

    async def export(**body):
        return await send(f"sessions/{session_id}/export", body)

    return export


async def test_the_notebook_is_the_answer(export):
    """Under a name that a browser can save it as."""
    response = await export()
    assert response.code == 200
    assert response.headers["Content-Type"] == "application/x-ipynb+json"
    assert response.headers["Content-Disposition"] == (
        "attachment; filename*=UTF-8''Fl%C3%BCge.ipynb"
    )
    assert response.headers["X-Ipysession-Verified"] == "not asked for"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    notebook = nbformat.reads(response.body.decode(), 4)
    assert [cell.source for cell in notebook.cells if cell.cell_type == "code"][-1] == "a + 1"


@pytest.mark.parametrize(
    ("name", "begins", "suffix"),
    [
        ("script", b"#", "py"),
        (".py", b"#", "py"),
        ("bundle", b"PK", "zip"),
        ("prov", b"{", "prov.json"),
    ],
)
async def test_every_format_is_sent_as_what_it_is(export, name, begins, suffix):
    """By its name or its suffix."""
    response = await export(format=name)
    assert response.code == 200, response.body
    assert begins in response.body[:200]
    assert response.headers["Content-Disposition"].endswith(f".{suffix}")


async def test_only_what_is_asked_for(export):
    """Steps and targets as in the shell, and its words where they do not go together."""
    response = await export(steps=[1])
    assert b"a + 1" not in response.body
    response = await export(steps=[1], all=True)
    said = json.loads(response.body)
    assert (response.code, said["title"]) == (400, "Invalid request")
    assert "give one" in said["detail"]
    assert (await export(steps=[9])).code == 400
    assert "there is no format" in json.loads((await export(format="docx")).body)["detail"]


async def test_to_a_path_in_the_server(export, jp_root_dir):
    """Then the answer tells about it; a file that exists is not replaced unless forced."""
    (jp_root_dir / "sub").mkdir()
    response = await export(path="sub/clean.ipynb")
    said = json.loads(response.body)
    assert (response.code, said["path"], said["kept"]) == (200, "sub/clean.ipynb", [1, 2])
    assert nbformat.read(jp_root_dir / "sub" / "clean.ipynb", 4).cells
    again = await export(path="sub/clean.ipynb")
    assert json.loads(again.body)["type"] == "urn:ipysession:problem:export-refused"
    assert (await export(path="sub/clean.ipynb", force=True)).code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("../out.ipynb", "sub/../../out.ipynb", "/../../out.ipynb", "link/out.ipynb"),
        *(".hidden.ipynb", ".git/out.ipynb", "a\0.ipynb", "out.py", "out"),
        "n" * 300 + ".ipynb",
    ],
)
async def test_no_path_leads_out_of_the_servers_folder(export, jp_root_dir, tmp_path, path):
    """Neither by dots nor by links, nor into what the server hides."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (jp_root_dir / "sub").mkdir()
    (jp_root_dir / ".git").mkdir()
    (jp_root_dir / "link").symlink_to(outside)
    response = await export(path=path)
    assert response.code == 400, response.body
    assert not [*tmp_path.rglob("out.ipynb"), *outside.iterdir(), *jp_root_dir.rglob("*hidden*")]


async def test_in_a_kernel_that_is_not_there(export):
    """And without a path a kernel could not send it."""
    kernel = "00000000-0000-0000-0000-000000000000"
    response = await export(kernel_id=kernel, path="x.ipynb")
    assert json.loads(response.body)["type"] == "urn:ipysession:problem:kernel-not-found"
    assert (await export(kernel_id=kernel)).code == 400
