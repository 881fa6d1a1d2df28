"""Requests, and what CouchDB 3.5.0 answers: the table that the double of the tests is held to.

Each was observed on CouchDB 3.5.0 itself. What it rests on in CouchDB's source stands beside the rule in
`tests/node/couchdb/`. READING is asked of a database with five documents, a Mango index and two views; WRITING of a new
one each time, which holds the same.
"""

from dataclasses import dataclass, field
from typing import Any

FULL: dict[str, list[dict[str, Any]]] = {
    "docs": [
        {"_id": f"d{number}", "n": number, "kind": "car" if number % 2 else "mobile", "p": {"a": number}}
        for number in range(5)
    ]
}
INDEX = {"index": {"fields": [{"kind": "asc"}, {"n": "asc"}]}, "ddoc": "by-kind", "name": "by-kind", "type": "json"}
DESIGN = {
    "language": "javascript",
    "views": {
        "by-n": {"map": "function (doc) { emit(doc.n, null); }"},
        "sum": {"map": "function (doc) { emit(doc.kind, doc.n); }", "reduce": "_sum"},
    },
}


@dataclass(frozen=True, slots=True)
class Probe:
    """`request` is a method and a path, in which {db} is the database; `body` is JSON, or what is sent as it is."""

    request: str
    status: int
    answer: Any = ...
    """JSON: of an object, some of its members; `...` is anything."""
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What pytest calls it."""
        body = "" if self.body is None else f" {str(self.body)[:100]}"
        return self.request + body + "".join(f" {name}: {value}" for name, value in self.headers.items())


def no(error: str, reason: object = ...) -> dict[str, Any]:
    """What every error looks like."""
    return {"error": error, "reason": reason}


NOT_JSON = no("bad_request", "invalid UTF-8 JSON")
NO_OBJECT = no("bad_request", "Request body must be a JSON object")
MISSING = no("not_found", "missing")
NO_DATABASE = no("not_found", "Database does not exist.")
NOT_TYPED = no("bad_content_type", "Content-Type must be application/json")
CONFLICT = no("conflict", "Document update conflict.")
NO_REVISION = no("bad_request", "Invalid rev format")
TEXT = {"Content-Type": "text/plain"}
NO_TYPE = {"Content-Type": ""}


def only(methods: str) -> dict[str, Any]:
    """Of a method that a path has not."""
    return no("method_not_allowed", f"Only {methods} allowed")


def query(reason: str) -> dict[str, Any]:
    """Of a parameter that is none."""
    return no("query_parse_error", reason)


def rows(*ids: str, **others: Any) -> dict[str, Any]:
    """Rows by their ids."""
    return {"rows": [{"id": each} for each in ids], **others}


def found(*ids: str, **others: Any) -> dict[str, Any]:
    """Documents that _find found, by their ids."""
    return {"docs": [{"_id": each} for each in ids], **others}


def _finds(status: int, answer: Any, **body: Any) -> Probe:  # noqa: ANN401 - JSON
    return Probe("POST /{db}/_find", status, answer, {"selector": {"kind": "car"}, **body})


def _view(status: int, answer: Any, parameters: str) -> Probe:  # noqa: ANN401 - JSON
    return Probe("GET /{db}/_design/v/_view/" + parameters, status, answer)


def _all_docs(status: int, answer: Any, body: Any) -> Probe:  # noqa: ANN401 - JSON
    return Probe("POST /{db}/_all_docs", status, answer, body)


SERVER = [
    Probe("GET /", 200, {"couchdb": "Welcome"}),
    Probe("GET /_up", 200, {"status": "ok"}),
    Probe("GET /_session", 200, {"ok": True, "userCtx": {"roles": ["_admin"]}}),
    # Keys are JSON, wherever they are in the address: without quotes it is none.
    Probe("GET /_all_dbs?start_key=x", 400, NOT_JSON),
    Probe("GET /_all_dbs?startkey=x", 400, NOT_JSON),
    Probe("GET /_all_dbs?end_key=positions-", 400, NOT_JSON),
    Probe("GET /_all_dbs?start_key=%22x%22&end_key=%22y", 400, NOT_JSON),
    Probe("GET /_all_dbs?key=abc", 400, NOT_JSON),
    Probe("GET /_all_dbs?keys=abc", 400, NOT_JSON),
    Probe("GET /_all_dbs?start_key=%22{db}%22&end_key=%22{db}%EF%BF%BF%22", 200, ["{db}"]),
    Probe("GET /_all_dbs?descending=true&start_key=%22{db}%EF%BF%BF%22&end_key=%22{db}%22", 200, ["{db}"]),
    Probe("GET /_all_dbs?start_key=%22{db}%22&end_key=%22{db}%22&inclusive_end=false", 200, []),
    Probe("GET /_all_dbs?key=%22{db}%22", 200, ["{db}"]),
    Probe("GET /_all_dbs?limit=x", 400, query('Invalid value for integer: "x"')),
    Probe("GET /_all_dbs?limit=-1", 400, query('Invalid value for positive integer: "-1"')),
    Probe("GET /_all_dbs?limit=1&limit=x", 400, query('Invalid value for integer: "x"')),
    Probe("GET /_all_dbs?skip=a", 400, query('Invalid value for integer: "a"')),
    Probe("GET /_all_dbs?descending=yes", 400, query('Invalid boolean parameter: "yes"')),
    Probe("GET /_all_dbs?inclusive_end=0", 400, query('Invalid boolean parameter: "0"')),
    # A parameter that nobody knows is no error.
    Probe("GET /_all_dbs?bogus=1&limit=0", 200, []),
    Probe("POST /_all_dbs", 405, only("GET,HEAD")),
    Probe("PUT /_all_dbs", 405, only("GET,HEAD")),
    Probe("GET /_nothing", 404, NO_DATABASE),
    Probe("GET //", 200, {"couchdb": "Welcome"}),
    Probe("PUT /_session", 405, only("GET,HEAD,POST,DELETE")),
    Probe("GET /_node/_local/_config/couchdb/nothing", 404, no("not_found", "unknown_config_value")),
]

DATABASES = [
    Probe("GET /{db}", 200, {"db_name": "{db}", "doc_count": 7, "doc_del_count": 0, "update_seq": ..., "sizes": ...}),
    Probe("PUT /{db}", 412, no("file_exists", "The database could not be created, the file already exists.")),
    Probe("GET /{db}-none", 404, NO_DATABASE),
    Probe("DELETE /{db}-none", 404, NO_DATABASE),
    Probe("PATCH /{db}", 405, only("DELETE,GET,HEAD,POST")),
    Probe("OPTIONS /{db}", 405, only("DELETE,GET,HEAD,POST")),
    *(
        Probe(f"PUT /{name}", 400, no("illegal_database_name"))
        for name in ("Upper", "1x", "a%20b", "a.b", "%C3%A4", "_bad")
    ),
    Probe("PUT /" + "a" * 300, 400, no("database_name_too_long")),
    Probe("PUT /{db}-new?q=x", 400, no("bad_request", "The `q` value should be a positive integer.")),
    Probe("DELETE /{db}?rev=1-x", 400, no("bad_request")),
    # That it is not there comes before what is wrong with the body.
    Probe("POST /{db}-none/_all_docs", 404, NO_DATABASE, b"nope"),
    Probe("POST /{db}-none/_find", 404, NO_DATABASE, {}),
    Probe("POST /{db}-none/_index", 404, NO_DATABASE, {}),
    Probe("POST /{db}-none/_bulk_docs", 404, NO_DATABASE, {}),
    Probe("GET /{db}-none/x", 404, NO_DATABASE),
    Probe("GET /{db}/%ZZ", 400, no("bad_request", "invalid_url_encoding")),
]

DOCUMENTS = [
    Probe("GET /{db}/d1", 200, {"_id": "d1", "_rev": ..., "n": 1, "kind": "car", "p": {"a": 1}}),
    Probe("GET /{db}//d1", 200, {"_id": "d1"}),
    Probe("GET /{db}/d1?bogus=1", 200, {"_id": "d1"}),
    Probe("GET /{db}/d1?conflicts=maybe", 200, {"_id": "d1"}),
    Probe("GET /{db}/d1?revs=true", 200, {"_revisions": {"start": 1, "ids": [...]}}),
    Probe("GET /{db}/d1?revs_info=true", 200, {"_revs_info": [{"status": "available"}]}),
    Probe("GET /{db}/none", 404, MISSING),
    Probe("GET /{db}/_bogus", 404, MISSING),
    Probe("GET /{db}/d1/attachment", 404, no("not_found", "Document is missing attachment")),
    Probe("GET /{db}/d1?rev=x", 400, NO_REVISION),
    Probe("GET /{db}/d1?rev=%FF", 400, NO_REVISION),
    Probe("GET /{db}/d1?rev=1-abc", 404, MISSING),
    Probe("PATCH /{db}/d1", 405, only("DELETE,GET,HEAD,POST,PUT,COPY"), {}),
    Probe("POST /{db}/d1", 400, no("bad_request", "Referer header required."), {}),
    Probe("PUT /{db}/d1", 409, CONFLICT, {"a": 1}),
    Probe("PUT /{db}/d1?rev=1-abc", 409, CONFLICT, {"a": 1}),
    Probe("PUT /{db}/d1", 400, NO_REVISION, {"_rev": "zzz"}),
    Probe("PUT /{db}/new", 400, no("doc_validation", "Bad special document member: _x"), {"_x": 1}),
    Probe("PUT /{db}/new", 400, no("doc_validation", "Bad special document member: _deleted"), {"_deleted": "x"}),
    Probe("PUT /{db}/new", 400, no("illegal_docid", "Document id must be a string"), {"_id": 5}),
    Probe("PUT /{db}/_x", 400, no("illegal_docid", "Only reserved document ids may start with underscore."), {}),
    Probe("PUT /{db}/new", 400, NOT_JSON, b"nope"),
    Probe("PUT /{db}/new", 400, NOT_JSON, b""),
    Probe("PUT /{db}/new", 400, no("bad_request", "Document must be a JSON object"), [1]),
    Probe("POST /{db}", 400, NOT_JSON, b"nope"),
    Probe("POST /{db}", 400, no("bad_request", "Document must be a JSON object"), [1]),
    Probe("POST /{db}", 415, NOT_TYPED, b"{}", TEXT),
    Probe("POST /{db}", 415, NOT_TYPED, b"{}", NO_TYPE),
    Probe("DELETE /{db}/d4", 409, CONFLICT),
    Probe("DELETE /{db}/d4?rev=1-abc", 409, CONFLICT),
    Probe("DELETE /{db}/d4?rev=abc", 400, NO_REVISION),
    Probe("DELETE /{db}/none", 404, MISSING),
    Probe("GET /{db}/_design/v", 200, {"_id": "_design/v", **DESIGN}),
    Probe("GET /{db}/_design/none", 404, MISSING),
    Probe("GET /{db}/_design%2Fv", 301),
    Probe("GET /{db}/_design/none/_info", 404, MISSING),
    Probe("PUT /{db}/_design/v", 409, CONFLICT, {}),
    Probe("PUT /{db}/_design/x", 400, no("invalid_design_doc", "`views` field must have object type"), {"views": 5}),
    Probe(
        "PUT /{db}/_design/x",
        400,
        no("invalid_design_doc", "`views.y` field must have object type"),
        {"views": {"y": 5}},
    ),
    Probe(
        "PUT /{db}/_design/x", 400, no("invalid_design_doc", "View `y` must contain map function"), {"views": {"y": {}}}
    ),
    Probe("PUT /{db}/_design/x", 400, no("compilation_error"), {"views": {"y": {"map": "function ("}}}),
    Probe(
        "PUT /{db}/_design/x",
        400,
        no("invalid_design_doc", "`_bogus` is not a supported reduce function."),
        {"views": {"y": {"map": "function (doc) {}", "reduce": "_bogus"}}},
    ),
]

ROWS = [
    Probe("GET /{db}/_all_docs?start_key=d1", 400, NOT_JSON),
    Probe("GET /{db}/_all_docs?key=d1", 400, NOT_JSON),
    Probe("GET /{db}/_all_docs?keys=x", 400, NOT_JSON),
    Probe("GET /{db}/_all_docs?limit=2", 200, rows("_design/by-kind", "_design/v", total_rows=7)),
    Probe("GET /{db}/_all_docs?startkey=%22d3%22", 200, rows("d3", "d4", total_rows=7)),
    Probe("GET /{db}/_all_docs?startkey=%22d1%22&end_key=%22d0%22&descending=true", 200, rows("d1", "d0")),
    Probe("GET /{db}/_all_docs?start_key=%22d3%22&end_key=%22d1%22", 200, rows()),
    Probe("GET /{db}/_all_docs?start_key=%22d0%22&end_key=%22d1%22&inclusive_end=false", 200, rows("d0")),
    Probe("GET /{db}/_all_docs?key=%22d1%22", 200, rows("d1")),
    Probe("GET /{db}/_all_docs?skip=1&limit=1", 200, rows("_design/v")),
    Probe("GET /{db}/_all_docs?bogus=1&limit=1", 200, rows("_design/by-kind")),
    Probe("GET /{db}/_all_docs?startkey=5&limit=1", 200, rows("_design/by-kind")),
    Probe("GET /{db}/_all_docs?include_docs=x", 400, query('Invalid boolean parameter: "x"')),
    Probe("GET /{db}/_all_docs?reduce=true", 400, query("Reduce is invalid for map-only views.")),
    Probe("GET /{db}/_all_docs?group=true", 400, query("Invalid use of grouping on a map view.")),
    Probe("GET /{db}/_all_docs?stale=x", 400, query("Invalid value for `stale`.")),
    Probe("GET /{db}/_all_docs?update=x", 400, query("Invalid value for `update`.")),
    Probe("GET /{db}/_all_docs?stable=x", 400, query("Invalid value for `stable`.")),
    _all_docs(
        200,
        {
            "offset": None,
            "rows": [{"id": "d3"}, {"id": "d1"}, {"key": "none", "error": "not_found"}, {"id": "_design/v"}],
        },
        {"keys": ["d3", "d1", "none", "_design/v"]},
    ),
    _all_docs(200, rows("d1", "d2"), {"keys": ["d2", "d1"], "descending": True}),
    _all_docs(200, rows("d1"), {"keys": ["d1", "d2"], "limit": 1}),
    _all_docs(200, rows(), {"keys": []}),
    _all_docs(200, {"rows": [{"id": "d1", "doc": {"n": 1}}]}, {"keys": ["d1"], "include_docs": True}),
    _all_docs(200, rows("d1", "d2"), {"start_key": "d1", "end_key": "d2"}),
    _all_docs(200, rows("_design/by-kind", "_design/v"), {"start_key": "_design/", "end_key": "_design0"}),
    _all_docs(200, rows("_design/by-kind"), {"start_key": None, "limit": 1, "bogus": 1}),
    _all_docs(400, query('Invalid value for integer: <<"2">>'), {"limit": "2"}),
    _all_docs(400, query("Invalid value for positive integer: -1"), {"limit": -1}),
    _all_docs(400, query("Invalid value for integer: 1.5"), {"limit": 1.5}),
    _all_docs(400, query("Invalid boolean parameter: 1"), {"include_docs": 1}),
    _all_docs(400, no("bad_request", "`keys` body member must be an array."), {"keys": "x"}),
    _all_docs(400, NOT_JSON, b"nope"),
    _all_docs(400, NOT_JSON, b""),
    _all_docs(400, NO_OBJECT, []),
    Probe("POST /{db}/_all_docs", 415, NOT_TYPED, b"{}", TEXT),
    Probe("DELETE /{db}/_all_docs", 405, only("GET,HEAD,POST")),
    Probe(
        "POST /{db}/_all_docs/queries",
        200,
        {"results": [rows("_design/by-kind"), rows("d1")]},
        {"queries": [{"limit": 1}, {"keys": ["d1"]}]},
    ),
    Probe("POST /{db}/_all_docs/queries", 400, no("bad_request", "`queries` member must be an array."), {"queries": 5}),
]

VIEWS = [
    _view(200, rows("d0", "d1", total_rows=5), "by-n?limit=2"),
    _view(400, NOT_JSON, "by-n?start_key=x"),
    _view(200, rows("d1", "d2", "d3"), "by-n?start_key=1&end_key=3"),
    _view(200, rows("d3", "d2", "d1"), "by-n?start_key=3&end_key=1&descending=true"),
    _view(
        400,
        query("No rows can match your key range, reverse your start_key and end_key or set descending=true"),
        "by-n?start_key=3&end_key=1",
    ),
    _view(200, rows("d2"), "by-n?key=2"),
    _view(200, rows("d2", "d0"), "by-n?keys=%5B2,0%5D"),
    _view(200, rows("d2", "d3"), "by-n?start_key=1&startkey_docid=zz&limit=2"),
    _view(200, rows(), "by-n?start_key=%7B%7D"),
    _view(200, {"rows": [{"id": "d4", "doc": {"n": 4}}]}, "by-n?include_docs=true&limit=1&descending=true"),
    _view(200, rows(), "by-n?bogus=1&limit=0"),
    _view(200, rows("d0"), "by-n?update=false&limit=1"),
    _view(200, rows("d0"), "by-n?update=lazy&limit=1"),
    _view(200, rows("d0"), "by-n?stable=true&limit=1"),
    _view(400, query("Reduce is invalid for map-only views."), "by-n?reduce=true"),
    _view(400, query("Invalid use of grouping on a map view."), "by-n?group_level=1"),
    _view(400, query('Invalid value for integer: "x"'), "by-n?limit=x"),
    _view(400, query('Invalid value for positive integer: "-1"'), "by-n?skip=-1"),
    _view(400, query("Invalid value for `stale`."), "by-n?stale=x"),
    _view(200, {"rows": [{"key": None, "value": 10}]}, "sum"),
    _view(200, {"rows": [{"key": "car", "value": 4}, {"key": "mobile", "value": 6}]}, "sum?group=true"),
    _view(200, rows("d1"), "sum?reduce=false&limit=1"),
    _view(400, query("`include_docs` is invalid for reduce"), "sum?include_docs=true"),
    _view(400, query("Multi-key fetches for reduce views must use `group=true`"), "sum?keys=%5B%22car%22,%22x%22%5D"),
    _view(404, no("not_found", "missing_named_view"), "none"),
    Probe("GET /{db}/_design/none/_view/x", 404, MISSING),
    Probe("POST /{db}/_design/v/_view/by-n", 200, rows("d2", "d0"), {"keys": [2, 0]}),
    Probe("POST /{db}/_design/v/_view/by-n", 200, rows("d1"), {"keys": [1]}),
    Probe("POST /{db}/_design/v/_view/by-n", 400, no("bad_request", "`keys` member must be an array."), {"keys": 2}),
    Probe(
        "POST /{db}/_design/v/_view/by-n",
        400,
        query("`keys` is incompatible with `key`, `start_key` and `end_key`"),
        {"key": 1, "keys": [1, 2]},
    ),
    Probe("POST /{db}/_design/v/_view/by-n", 400, query("Invalid value for `update`."), {"update": "x"}),
    Probe("POST /{db}/_design/v/_view/by-n", 400, NOT_JSON, b"x"),
    Probe("POST /{db}/_design/v/_view/by-n", 400, NO_OBJECT, []),
    Probe("POST /{db}/_design/v/_view/by-n", 415, NOT_TYPED, b"{}", TEXT),
    Probe("DELETE /{db}/_design/v/_view/by-n", 405, only("GET,POST,HEAD")),
    Probe(
        "GET /{db}/_design/v/_info",
        200,
        {
            "name": "v",
            "view_index": {"language": "javascript", "updates_pending": {"total": ...}, "updater_running": ...},
        },
    ),
]

_UNUSED = "_design/{} was not used because it does not contain a valid index for this query."
_UNUSED_NAME = "_design/{}, {} was not used because it is not a valid index for this query."
_UNINDEXED = "No matching index found, create an index to optimize query time."
_BOTH = {"kind": "car", "n": {"$gte": 1, "$lte": 3}}
FIND = [
    # An index serves a question that asks for all of its fields to be there, and no other. What it does instead of an
    # index that is named and of no use is to look at everything, and to say so: no error.
    _finds(200, found("d1", "d3", warning=_UNINDEXED)),
    _finds(200, found("d1", "d3", warning=_UNUSED.format("by-kind") + "\n" + _UNINDEXED), use_index="by-kind"),
    _finds(200, found("d1", "d3", warning=_UNUSED.format("none") + "\n" + _UNINDEXED), use_index="_design/none"),
    _finds(
        200,
        found("d1", "d3", warning=_UNUSED_NAME.format("by-kind", "none") + "\n" + _UNINDEXED),
        use_index=["by-kind", "none"],
    ),
    _finds(200, found("d1", "d3", warning=None), selector=_BOTH),
    _finds(200, found("d1", "d3", warning=None), selector=_BOTH, use_index=["by-kind", "by-kind"]),
    _finds(200, found("d1", "d3", warning=_UNUSED_NAME.format("by-n", "x")), selector=_BOTH, use_index=["by-n", "x"]),
    _finds(400, no("invalid_index", "You must specify an index with the `use_index` parameter."), allow_fallback=False),
    _finds(
        400,
        no("invalid_index", "_design/none specified by `use_index` could not be found or it is not suitable."),
        use_index="none",
        allow_fallback=False,
    ),
    # The order that is asked for has to be an index's; here there is no falling back.
    _finds(400, no("no_usable_index", "No index exists for this sort, try indexing by the sort fields."), sort=["p"]),
    _finds(400, no("no_usable_index"), sort=["kind"], use_index="none"),
    _finds(200, found("d1", "d3"), sort=["kind", "n"]),
    _finds(200, found("d1", "d3"), sort=["n"]),
    _finds(200, found("d3", "d1"), sort=[{"kind": "desc"}, {"n": "desc"}]),
    _finds(200, found("d3"), selector={**_BOTH, "n": {"$gt": 1}}, sort=[{"kind": "desc"}, {"n": "desc"}]),
    _finds(400, no("unsupported_mixed_sort"), sort=[{"kind": "desc"}, {"n": "asc"}]),
    _finds(400, no("invalid_sort_field", 'Invalid sort field: {[{<<"kind">>,<<"up">>}]}'), sort=[{"kind": "up"}]),
    _finds(400, no("invalid_sort_json", 'Sort must be an array of sort specs, not: <<"kind">>'), sort="kind"),
    _finds(200, found("d1"), limit=1),
    _finds(200, {"docs": [], "bookmark": "nil"}, limit=0),
    _finds(200, {"docs": [{"n": 1}, {"n": 3}]}, fields=["n"]),
    _finds(200, found("d0", "d1", "d2", "d3", "d4"), selector={}),
    _finds(200, found("d1"), selector={"_id": "d1"}),
    _finds(200, found("d3", "d4"), selector={"_id": {"$gt": "d2"}}),
    _finds(200, found("d1", "d2"), selector={"$or": [{"n": 1}, {"n": 2}]}),
    _finds(200, found("d2"), selector={"p.a": 2}),
    _finds(200, found("d1", "d3"), use_index=None),
    Probe("POST /{db}/_find", 400, no("missing_required_key", "Missing required key: selector"), {}),
    _finds(400, no("invalid_key", "Invalid key bogus for this request."), bogus=1),
    _finds(400, no("invalid_selector_json", "Selector must be a JSON object, not: 5"), selector=5),
    _finds(400, no("invalid_operator", "Invalid operator: $bogus"), selector={"kind": {"$bogus": 1}}),
    _finds(400, no("bad_arg", "Bad argument for operator $in: 5"), selector={"n": {"$in": 5}}),
    _finds(400, no("bad_arg", "Bad argument for operator $regex: <<40>>"), selector={"kind": {"$regex": "("}}),
    _finds(400, no("invalid_non_neg_integer", "-1 is not an integer greater than or equal to zero"), limit=-1),
    _finds(400, no("invalid_non_neg_integer", "<<120>> is not an integer greater than or equal to zero"), skip="x"),
    _finds(400, no("invalid_pos_integer", "0 is not an integer greater than zero"), r=0),
    _finds(400, no("invalid_fields", "Fields must be an array of strings, not: <<120>>"), fields="x"),
    _finds(400, no("invalid_field", "Invalid JSON for field spec: 5"), fields=[5]),
    _finds(400, no("invalid_boolean", "Invalid boolean value: <<120>>"), update="x"),
    _finds(400, no("invalid_index_name", "Invalid index name: [<<97>>,<<98>>,<<99>>]"), use_index=["a", "b", "c"]),
    _finds(400, no("invalid_bookmark", 'Invalid bookmark value: "zzz"'), bookmark="zzz"),
    Probe("POST /{db}/_find", 400, NOT_JSON, b"nope"),
    Probe("POST /{db}/_find", 415, NOT_TYPED, b"{}", TEXT),
    Probe("GET /{db}/_find", 405, only("POST")),
    Probe(
        "POST /{db}/_explain",
        200,
        {
            "index": {"ddoc": "_design/by-kind", "name": "by-kind", "type": "json", "def": INDEX["index"]},
            "mrargs": {"start_key": ["car", 3, "<MAX>"], "end_key": ["car", 1], "direction": "rev"},
            "opts": {"use_index": ["by-kind", "by-kind"], "limit": 3},
            "covering": False,
        },
        {
            "selector": _BOTH,
            "sort": [{"kind": "desc"}, {"n": "desc"}],
            "use_index": ["by-kind", "by-kind"],
            "limit": 3,
        },
    ),
    Probe(
        "POST /{db}/_explain",
        200,
        {"index": {"name": "_all_docs", "type": "special"}, "mrargs": {"start_key": None, "end_key": "<MAX>"}},
        {"selector": {"n": 1}},
    ),
    Probe(
        "POST /{db}/_explain",
        400,
        no("invalid_key", "Invalid key bogus for this request."),
        {"selector": {}, "bogus": 1},
    ),
    Probe("PUT /{db}/_explain", 405, only("POST"), {}),
]

READING = [*SERVER, *DATABASES, *DOCUMENTS, *ROWS, *VIEWS, *FIND]


def _index(status: int, answer: Any, **body: Any) -> Probe:  # noqa: ANN401 - JSON
    return Probe("POST /{db}/_index", status, answer, {"index": {"fields": ["a"]}, **body})


def _bulk(status: int, answer: Any, *documents: Any, **body: Any) -> Probe:  # noqa: ANN401 - JSON
    return Probe("POST /{db}/_bulk_docs", status, answer, {"docs": list(documents), **body})


INDEXES = [
    _index(200, {"result": "created", "id": "_design/a", "name": "b"}, ddoc="a", name="b"),
    _index(200, {"result": "created", "id": "_design/a", "name": "b"}, ddoc="_design/a", name="b"),
    _index(200, {"result": "created", "id": ..., "name": ...}),
    _index(200, {"result": "exists", "id": "_design/by-kind", "name": "by-kind"}, **INDEX),
    _index(200, {"result": "created"}, **{**INDEX, "index": {"fields": ["other"]}}),
    _index(200, {"result": "created"}, index={"fields": [{"a": "desc"}, {"b": "desc"}]}),
    _index(200, {"result": "created"}, index={"fields": ["a"], "partial_filter_selector": {"a": {"$gt": 1}}}),
    _index(400, no("missing_required_key", "Missing required key: fields"), index={}),
    _index(400, no("invalid_sort_json", 'Sort must be an array of sort specs, not: <<"x">>'), index={"fields": "x"}),
    _index(400, no("invalid_index", "JSON indexes must be an object, not: 5"), index=5),
    _index(400, no("unsupported_mixed_sort"), index={"fields": [{"a": "asc"}, {"b": "desc"}]}),
    _index(400, no("invalid_key", "Invalid key bogus for this request."), index={"fields": ["a"], "bogus": 1}),
    _index(400, no("invalid_key", "Invalid key bogus for this request."), bogus=1),
    _index(400, no("invalid_index", "Invalid type for index: bogus"), type="bogus"),
    _index(400, no("invalid_string", "Invalid string: 5"), type=5),
    _index(400, no("invalid_empty_string", "Index name or ddoc cannot be empty string"), name=""),
    _index(400, no("invalid_pos_integer", "0 is not an integer greater than zero"), w=0),
    _index(400, no("invalid_ddoc_lang"), ddoc="v"),
    _index(503, no("required index service unavailable", "text"), type="text"),
    Probe("POST /{db}/_index", 400, no("missing_required_key", "Missing required key: index"), {}),
    Probe("POST /{db}/_index", 400, NOT_JSON, b"nope"),
    Probe("POST /{db}/_index", 415, NOT_TYPED, b"{}", TEXT),
    Probe("PUT /{db}/_index", 405, only("GET,POST"), {}),
    Probe(
        "GET /{db}/_index",
        200,
        {
            "total_rows": 2,
            "indexes": [
                {"ddoc": None, "name": "_all_docs", "type": "special"},
                {"ddoc": "_design/by-kind", "name": "by-kind", "type": "json", "def": INDEX["index"]},
            ],
        },
    ),
    Probe("DELETE /{db}/_index/_design/by-kind/json/by-kind", 200, {"ok": True}),
    Probe("DELETE /{db}/_index/by-kind/json/none", 404, MISSING),
]

BULK = [
    _bulk(201, []),
    _bulk(201, [{"id": "new", "ok": True, "rev": ...}], {"_id": "new"}),
    _bulk(201, [{"ok": True, "id": ..., "rev": ...}], {"a": 1}),
    # A conflict is a row of an answer that says 201.
    _bulk(201, [{"id": "d1", **CONFLICT}, {"id": "new", "ok": True}], {"_id": "d1"}, {"_id": "new"}),
    _bulk(201, [{"id": "new", "ok": True}, {"id": "new", **CONFLICT}], {"_id": "new"}, {"_id": "new", "a": 1}),
    _bulk(201, [{"id": "d2", **CONFLICT}], {"_id": "d2", "_deleted": True}),
    _bulk(201, [{"id": "_design/x", **no("invalid_design_doc")}], {"_id": "_design/x", "views": 5}),
    # What is malformed refuses the whole request.
    _bulk(
        400, no("illegal_docid", "Only reserved document ids may start with underscore."), {"_id": "a"}, {"_id": "_x"}
    ),
    _bulk(400, no("illegal_docid", "Document id must be a string"), {"_id": 5}),
    _bulk(400, no("illegal_docid", "Document id must be a string"), {"_id": None}),
    _bulk(400, no("illegal_docid", "Document id must not be empty"), {"_id": ""}),
    _bulk(400, no("doc_validation", "Bad special document member: _bogus"), {"_id": "a", "_bogus": 1}),
    _bulk(400, NO_REVISION, {"_id": "a", "_rev": "x"}),
    _bulk(400, no("bad_request", "Document must be a JSON object"), 5),
    Probe("POST /{db}/_bulk_docs", 400, no("bad_request", "`docs` parameter must be an array."), {"docs": 5}),
    Probe("POST /{db}/_bulk_docs", 400, no("bad_request", "POST body must include `docs` parameter."), {}),
    _bulk(201, [], {"_id": "d1", "_rev": "1-" + "f" * 32}, new_edits=False),
    _bulk(400, no("bad_request"), {"_id": "a"}, new_edits=False),
    _bulk(500, no("unknown_error", "function_clause"), {"_id": "a"}, new_edits=5),
    _bulk(201, [{"ok": True}], {"_id": "a"}, bogus=1),
    Probe("POST /{db}/_bulk_docs", 400, NOT_JSON, b"nope"),
    Probe("POST /{db}/_bulk_docs", 400, NOT_JSON, b'{"docs":[{"_id":"\xff"}]}'),
    Probe("POST /{db}/_bulk_docs", 400, NOT_JSON, b'{"docs":[{"_id":"a","b":"\\ud800"}]}'),
    Probe("POST /{db}/_bulk_docs", 400, NOT_JSON, b'{"docs":[{"_id":"a","b":1e400}]}'),
    Probe("POST /{db}/_bulk_docs", 400, NOT_JSON, b'{"docs":[{"_id":"a","b":NaN}]}'),
    Probe("POST /{db}/_bulk_docs", 400, NO_OBJECT, []),
    Probe("POST /{db}/_bulk_docs", 415, NOT_TYPED, b'{"docs":[]}', TEXT),
    Probe("POST /{db}/_bulk_docs", 415, NOT_TYPED, b'{"docs":[]}', NO_TYPE),
    Probe("POST /{db}/_bulk_docs", 415, NOT_TYPED, b'{"docs":[]}', {"Content-Type": "application/x-json"}),
    Probe("POST /{db}/_bulk_docs", 201, [], b'{"docs":[]}', {"Content-Type": "application/json; charset=utf-8"}),
    Probe("GET /{db}/_bulk_docs", 405, only("POST")),
]

SINGLE = [
    Probe("PUT /{db}/new", 201, {"ok": True, "id": "new", "rev": ...}, {"a": 1}),
    Probe("PUT /{db}/new", 201, {"id": "new"}, b'{"a":1}', TEXT),
    Probe("PUT /{db}/new", 201, {"id": "new"}, {"_id": "another"}),
    Probe("PUT /{db}/new?bogus=1", 201, {"id": "new"}, {"a": 1}),
    Probe("PUT /{db}/new", 200, {"id": "new"}, {"_deleted": True}),
    Probe("PUT /{db}/_design/x", 201, {"id": "_design/x"}, {"language": "nope", "views": {"y": {"map": "f"}}}),
    Probe("POST /{db}", 201, {"ok": True, "id": ..., "rev": ...}, {"a": 1}),
]

WRITING = [*INDEXES, *BULK, *SINGLE]
