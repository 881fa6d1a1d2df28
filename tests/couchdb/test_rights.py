"""Who may do what, as CouchDB has it: users, `_security`, and design documents that refuse what is written."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import missing
from tests.couchdb.double import PASSWORD, USER, CouchDouble, is_there

CHECK = """function (doc, old, user) {
  if (user.roles.indexOf('_admin') < 0 && user.roles.indexOf('w') < 0) throw({forbidden: 'not you'});
  if (old && !doc._deleted) throw({forbidden: 'once alone'});
}"""


@pytest.fixture
def double() -> Iterator[CouchDouble]:
    if not is_there():
        missing("the double of CouchDB", "install Node.js, then: npm ci --prefix tests/node")
    with CouchDouble() as server:
        yield server


def client_of(double: CouchDouble, name: str = USER, password: str = PASSWORD) -> httpx.Client:
    return httpx.Client(base_url=double.url, auth=(name, password), timeout=60)


def with_users(double: CouchDouble) -> None:
    """Users `w` and `r` with the roles of their names, and a database for both with CHECK."""
    with client_of(double) as admin:
        for name in "wrx":
            user = {"name": name, "password": f"of-{name}", "roles": [name], "type": "user"}
            assert admin.put(f"/_users/org.couchdb.user:{name}", json=user).status_code == 201
        assert admin.put("/db").status_code == 201
        assert admin.put("/db/_design/check", json={"validate_doc_update": CHECK}).status_code == 201
        security = {"members": {"roles": ["w", "r"]}, "admins": {"roles": ["_admin"]}}
        assert admin.put("/db/_security", json=security).json() == {"ok": True}
        assert admin.get("/db/_security").json() == security


def told(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["error"], answer.json()["reason"]


def test_a_user_logs_in_by_password_and_by_session_and_the_password_is_not_kept(double: CouchDouble) -> None:
    with_users(double)
    with client_of(double) as admin:
        kept = admin.get("/_users/org.couchdb.user:w").json()
        assert kept["roles"] == ["w"]
        assert "of-w" not in str(kept)
    with httpx.Client(base_url=double.url, timeout=60) as session:
        assert session.post("/_session", json={"name": "w", "password": "of-w"}).json()["roles"] == ["w"]
        assert session.get("/_session").json()["userCtx"] == {"name": "w", "roles": ["w"]}
        # Another password ends what was begun with the one before.
        with client_of(double) as admin:
            admin.put(f"/_users/{kept['_id']}", json={**kept, "password": "another"})
        assert session.get("/db").status_code == 401
    with client_of(double, "w", "of-w") as old:
        assert told(old.get("/db")) == (401, "unauthorized", "Name or password is incorrect.")


def test_who_is_no_administrator_makes_no_database_no_index_and_no_user(double: CouchDouble) -> None:
    with_users(double)
    no_admin = (401, "unauthorized", "You are not a server admin.")
    no_admin_here = (401, "unauthorized", "You are not a db or server admin.")
    with client_of(double, "w", "of-w") as writer:
        assert told(writer.put("/more")) == no_admin
        assert told(writer.delete("/db")) == no_admin
        assert told(writer.get("/_all_dbs")) == no_admin
        assert told(writer.get("/_node/_local/_config")) == no_admin
        assert told(writer.put("/db/_security", json={})) == no_admin_here
        assert told(writer.put("/db/_design/x", json={})) == no_admin_here
        assert writer.post("/db/_index", json={"index": {"fields": ["a"]}}).json()["error"] == "error_saving_ddoc"
        forbidden = (403, "forbidden", "You are not allowed to access this db.")
        assert told(writer.get("/_users/org.couchdb.user:r")) == forbidden
        double.configure("chttpd", "admin_only_all_dbs", "false")
        assert "db" in writer.get("/_all_dbs").json()
    assert httpx.get(f"{double.url}/_all_dbs").status_code == 401


def test_a_design_document_refuses_what_it_says_and_a_conflict_comes_first(double: CouchDouble) -> None:
    with_users(double)
    with client_of(double, "w", "of-w") as writer, client_of(double, "r", "of-r") as reader:
        made = writer.put("/db/a", json={"n": 1})
        assert made.status_code == 201
        assert reader.get("/db/a").json()["n"] == 1
        assert told(reader.put("/db/b", json={})) == (403, "forbidden", "not you")
        rows = writer.post("/db/_bulk_docs", json={"docs": [{"_id": "a"}, {"_id": "b"}]}).json()
        assert [row.get("error") for row in rows] == ["conflict", None]
        changed = {"docs": [{"_id": "a", "_rev": made.json()["rev"], "n": 2}, {"_id": "c"}]}
        rows = writer.post("/db/_bulk_docs", json=changed).json()
        assert [(row.get("error"), row.get("reason")) for row in rows] == [("forbidden", "once alone"), (None, None)]
        gone = {"docs": [{"_id": "a", "_rev": made.json()["rev"], "_deleted": True}]}
        assert reader.post("/db/_bulk_docs", json=gone).json()[0]["error"] == "forbidden"
        assert writer.post("/db/_bulk_docs", json=gone).json()[0]["ok"]
    with client_of(double, "x", "of-x") as stranger:
        assert told(stranger.get("/db/b")) == (403, "forbidden", "You are not allowed to access this db.")
    with client_of(double, "nobody", "x") as nobody:
        assert told(nobody.get("/db/b")) == (401, "unauthorized", "Name or password is incorrect.")


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ({"type": "else"}, "doc.type must be user"),
        ({"roles": ["_admin"]}, "No system roles (starting with underscore) in users db."),
        ({"roles": "w"}, "doc.roles must exist"),
        ({"name": "other"}, "Doc ID must be of the form org.couchdb.user:name"),
    ],
)
def test_a_user_that_is_none_is_refused(double: CouchDouble, user: dict[str, object], reason: str) -> None:
    with client_of(double) as admin:
        wanted = {"name": "w", "password": "p", "roles": [], "type": "user", **user}
        assert told(admin.put("/_users/org.couchdb.user:w", json=wanted)) == (403, "forbidden", reason)
