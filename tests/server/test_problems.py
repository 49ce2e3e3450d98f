"""Errors as problem details (RFC 9457): one table, the texts of the magics."""

import inspect
import json

import pytest
from tornado.web import HTTPError

from ipysession import errors
from ipysession.server.problems import PROBLEMS, problem, problem_type

EVERY = [cls for _, cls in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("cls", EVERY)
def test_every_error_has_a_type_a_title_and_a_status(cls):
    """Four members, whatever the error."""
    said = problem(cls("what happened"), 500)
    assert said.type == problem_type(cls)
    assert said.title
    assert 400 <= said.status < 600
    assert said.detail == "what happened"
    assert set(json.loads(json.dumps(said._asdict()))) == {"type", "title", "status", "detail"}


def test_types_and_titles_tell_errors_apart():
    """The table knows the whole tree of errors."""
    assert set(PROBLEMS) == set(EVERY)
    assert len({problem_type(cls) for cls in EVERY}) == len(EVERY)
    assert len({title for _, title in PROBLEMS.values()}) == len(EVERY)


def test_the_types_that_programs_rely_on():
    """Changing one breaks programs: they are pinned here."""
    assert {problem_type(cls): PROBLEMS[cls][0].value for cls in EVERY} == {
        "urn:ipysession:problem:session-error": 500,
        "urn:ipysession:problem:invalid-session-id": 400,
        "urn:ipysession:problem:invalid-request": 400,
        "urn:ipysession:problem:session-not-found": 404,
        "urn:ipysession:problem:step-not-found": 404,
        "urn:ipysession:problem:not-saved": 404,
        "urn:ipysession:problem:kernel-not-found": 404,
        "urn:ipysession:problem:kernel-busy": 409,
        "urn:ipysession:problem:confirmation-needed": 409,
        "urn:ipysession:problem:ambiguous-session": 409,
        "urn:ipysession:problem:invalid-transition": 409,
        "urn:ipysession:problem:session-busy": 409,
        "urn:ipysession:problem:not-recording": 409,
        "urn:ipysession:problem:export-cancelled": 409,
        "urn:ipysession:problem:export-refused": 409,
        "urn:ipysession:problem:import-refused": 409,
        "urn:ipysession:problem:resume-refused": 409,
        "urn:ipysession:problem:store-unsafe": 500,
        "urn:ipysession:problem:store-unusable": 500,
        "urn:ipysession:problem:log-damaged": 500,
        "urn:ipysession:problem:blob-missing": 500,
        "urn:ipysession:problem:blob-damaged": 500,
    }


def test_a_new_kind_of_error_is_told_as_its_parent():
    """A subclass needs no row of its own."""

    class TooBusy(errors.SessionBusy):
        pass

    assert problem(TooBusy("wait"), 500)[:3] == problem(errors.SessionBusy("wait"), 500)[:3]


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (HTTPError(403), "Forbidden"),
        (HTTPError(403, "100% forbidden"), "100% forbidden"),
        (HTTPError(403, "%s may not", "bob"), "bob may not"),
    ],
)
def test_the_servers_own_errors_keep_their_words(error, detail):
    """Tornado's and Jupyter's errors, formatted as they format them."""
    assert problem(error, 403) == ("about:blank", "Forbidden", 403, detail)


@pytest.mark.parametrize("error", [OSError(2, "No such file", "/secret"), KeyError("secret"), None])
def test_texts_that_were_not_meant_for_a_reader_stay_at_home(error):
    """Paths in an OSError are the server's business."""
    assert "secret" not in str(problem(error, 500))


def test_a_status_without_a_name():
    """A status that HTTP does not know still has a title."""
    assert problem(None, 499).title == "Error"
