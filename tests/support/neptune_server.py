"""A loopback server that answers Neptune's client 1.14, and keeps what arrives.

The client builds itself from a Swagger document, so each operation is described beside the
function that answers it. Only a value of another type is rejected: a point that comes twice is
kept twice, so that tests can see it.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import jwt

from tests.support.neptune_swagger import OPERATIONS, answers, swagger

BACKEND = "/api/backend"
LEADERBOARD = "/api/leaderboard"
EXPERIMENTS = f"{LEADERBOARD}/v1/experiments"
ATTRIBUTES = f"{LEADERBOARD}/v1/attributes"
UPLOAD = f"{ATTRIBUTES}/storage/file/upload"
REALM = "/auth/realms/neptune"
PROJECT = "space/project"
SINGLE_PART = 5_000  # small, so that some files come in parts
CHUNK = 2_000


class Point(NamedTuple):
    """One point of a series.

    Attributes:
        step: The training step.
        time: Milliseconds since the Unix epoch.
        value: A number or a string; for a picture, its bytes.
    """

    step: int
    time: int
    value: Any


@dataclass
class Attribute:
    """One attribute of a run.

    Attributes:
        type: Neptune's name of its type.
        value: A scalar, a set, a list of points, or a file's bytes.
    """

    type: str
    value: Any


@dataclass
class Experiment:
    """One run on the server.

    Attributes:
        id: The server's own id.
        custom_id: The id that the client gave it; None for an offline run after `neptune sync`.
        attributes: The attributes by path.
    """

    id: str
    custom_id: str | None
    attributes: dict[str, Attribute] = field(default_factory=dict)


@dataclass
class NeptuneServer:
    """The server and what it has; `stop` and `start` keep the port and everything that arrived.

    Attributes:
        port: Its port on the loopback interface; 0 until it starts.
        project: The name of its only project.
        experiments: Its runs, in the order of their creation.
        uploads: The content of files that arrive in parts, by the upload's id.
    """

    port: int = 0
    project: str = PROJECT
    experiments: list[Experiment] = field(default_factory=list)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    _http: ThreadingHTTPServer | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return token(self.address)

    @property
    def runs(self) -> dict[str, dict[str, Attribute]]:
        """The attributes of each run by its custom id, or else by the server's own id."""
        return {run.custom_id or run.id: run.attributes for run in self.experiments}

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"neptune": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse all connections from now on."""
        if self._http:
            self._http.shutdown()
            self._http.server_close()
            self._http = None


def token(address: str) -> str:
    """An API token of the server at an address."""
    content = {"api_address": address, "api_url": address}
    return base64.b64encode(json.dumps(content).encode()).decode()


@contextmanager
def neptune_server() -> Iterator[NeptuneServer]:
    server = NeptuneServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


class _Request(NamedTuple):
    server: NeptuneServer
    query: dict[str, str]
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def experiment(self) -> Experiment:
        name = self.query.get("experimentId") or self.query["experimentIdentifier"]
        by_id = {experiment.id: experiment for experiment in self.server.experiments}
        return by_id[name.rpartition("/")[2]]

    @property
    def attribute(self) -> Attribute:
        return self.experiment.attributes[self.query["attribute"]]


@answers("getClientConfig", "GET", f"{BACKEND}/v1/clients/config", "X-Neptune-Api-Token", "alpha")
def _config(request: _Request) -> Any:
    return {
        "apiUrl": request.server.address,
        "applicationUrl": request.server.address,
        "pyLibVersions": {},
        "multiPartUpload": {
            "enabled": True,
            "minChunkSize": CHUNK,
            "maxChunkSize": CHUNK,
            "maxChunkCount": 1_000_000,
            "maxSinglePartSize": SINGLE_PART,
        },
    }


@answers(
    "exchangeApiToken", "GET", f"{BACKEND}/v1/authorization/oauth-token", "X-Neptune-Api-Token"
)
def _exchange(request: _Request) -> Any:
    issuer = f"{request.server.address}{REALM}"
    claims = {"exp": int(time.time()) + 3600, "azp": "neptune-cli", "iss": issuer}
    access = jwt.encode(claims, "", algorithm="none")
    return {"accessToken": access, "refreshToken": "again"}


@answers("refreshToken", "POST", f"{REALM}/protocol/openid-connect/token")
def _refresh(request: _Request) -> Any:
    exchanged = _exchange(request)
    return {
        "access_token": exchanged["accessToken"],
        "refresh_token": exchanged["refreshToken"],
        "token_type": "bearer",
        "expires_in": 3600,
    }


@answers("getProject", "GET", f"{BACKEND}/v1/projects/get", "projectIdentifier")
def _project(request: _Request) -> Any:
    space, _, name = request.query["projectIdentifier"].partition("/")
    return {"id": "p1", "name": name, "organizationName": space, "projectKey": "P", "version": 2}


@answers(
    "createExperiment", "POST", EXPERIMENTS, "experimentCreationParams", "X-Neptune-CliVersion"
)
def _create(request: _Request) -> Any:
    experiments = request.server.experiments
    custom = request.json.get("customId")
    for experiment in experiments:
        if custom is not None and experiment.custom_id == custom:
            return _described(experiment)
    experiments.append(Experiment(f"{len(experiments):032}", custom))
    return _described(experiments[-1])


@answers("getExperiment", "GET", EXPERIMENTS, "experimentId")
def _get(request: _Request) -> Any:
    return _described(request.experiment)


def _described(experiment: Experiment) -> Any:
    space, _, name = PROJECT.partition("/")
    return {
        "id": experiment.id,
        "type": "run",
        "shortId": f"P-{experiment.id[-3:]}",
        "organizationName": space,
        "projectName": name,
        "trashed": False,
    }


@answers("getExperimentAttributes", "GET", f"{EXPERIMENTS}/attributes", "experimentId")
def _attributes(request: _Request) -> Any:
    attributes = request.experiment.attributes.items()
    return {
        "attributes": [{"name": path, "type": attribute.type} for path, attribute in attributes]
    }


@answers("ping", "POST", f"{ATTRIBUTES}/ping", "experimentId")
def _ping(request: _Request) -> Any:
    return {}


def _series(type: str) -> Callable[[_Request], Any]:
    def answer(request: _Request) -> Any:
        attribute = request.attribute
        assert attribute.type == type
        first, count = int(request.query["offset"]), int(request.query["limit"])
        points = attribute.value[first : first + count]
        values = [{"timestampMillis": p.time, "step": p.step, "value": p.value} for p in points]
        # The client reads no more of pictures than how many there are.
        listed = [] if type == "imageSeries" else values
        return {"totalItemCount": len(attribute.value), "values": listed}

    return answer


for _type in ("Float", "String", "Image"):
    _path = f"{ATTRIBUTES}/series/{_type.lower()}"
    _page = ("experimentId", "attribute", "limit", "offset")
    answers(f"get{_type}SeriesValues", "GET", _path, *_page)(_series(f"{_type.lower()}Series"))


_TYPES = {
    "assignFloat": "float",
    "assignInt": "int",
    "assignBool": "bool",
    "assignString": "string",
    "insertStrings": "stringSet",
    "logFloats": "floatSeries",
    "logStrings": "stringSeries",
    "logImages": "imageSeries",
}


@answers(
    "executeOperations",
    "POST",
    f"{ATTRIBUTES}/operations",
    "experimentId",
    "operations",
    many=True,
)
def _execute(request: _Request) -> Any:
    errors = []
    for operation in request.json:
        path = operation.pop("path")
        [(name, content)] = operation.items()
        error = _apply(request.experiment.attributes, path, name, content)
        errors += [{"errorDescription": error}] if error else []
    return errors


def _apply(attributes: dict[str, Attribute], path: str, name: str, content: Any) -> str:
    """Execute one operation; return what is wrong with it, or an empty text."""
    type = _TYPES[name]
    empty = {"stringSet": set(), "string": ""}.get(type, []) if "value" not in content else None
    attribute = attributes.setdefault(path, Attribute(type, empty))
    if attribute.type != type:
        return f"{path} is a {attribute.type}, not a {type}"
    if name == "insertStrings":
        attribute.value |= set(content["values"])
    elif name.startswith("log"):
        attribute.value += [_point(name, entry) for entry in content["entries"]]
    else:
        attribute.value = content["value"]
    return ""


def _point(name: str, entry: Any) -> Point:
    value = entry["value"]
    if name == "logImages":
        value = base64.b64decode(value["data"])
    return Point(entry["step"], entry["timestampMilliseconds"], value)


@answers("fileAtomUpload", "POST", UPLOAD)
def _upload(request: _Request) -> Any:
    _keep_file(request, request.body)
    return {"errors": []}


@answers(
    "fileAtomMultipartUploadStart",
    "POST",
    f"{UPLOAD}/start",
    *("experimentIdentifier", "attribute", "ext", "totalLength"),
)
def _start_upload(request: _Request) -> Any:
    upload = str(len(request.server.uploads))
    request.server.uploads[upload] = bytearray(int(request.query["totalLength"]))
    return {"uploadId": upload, "errors": []}


@answers("fileAtomMultipartUploadPart", "POST", f"{UPLOAD}/part")
def _upload_part(request: _Request) -> Any:
    begin, _, end = (
        request.headers["X-Range"].removeprefix("bytes=").partition("/")[0].partition("-")
    )
    request.server.uploads[request.query["uploadId"]][int(begin) : int(end) + 1] = request.body
    return {"errors": []}


@answers(
    "fileAtomMultipartUploadFinish",
    "POST",
    f"{UPLOAD}/finish",
    *("experimentIdentifier", "attribute", "uploadId"),
)
def _finish_upload(request: _Request) -> Any:
    _keep_file(request, bytes(request.server.uploads[request.query["uploadId"]]))
    return {"errors": []}


def _keep_file(request: _Request, content: bytes) -> None:
    request.experiment.attributes[request.query["attribute"]] = Attribute("file", content)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request per connection, so that a stopped server answers none."""

    neptune: NeptuneServer

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = _Request(self.neptune, dict(parse_qsl(url.query)), self.headers, body)
        operation = OPERATIONS.get((self.command, url.path))
        if url.path in (f"{BACKEND}/swagger.json", f"{LEADERBOARD}/swagger.json"):
            self._reply(200, swagger(url.path.removesuffix("swagger.json")))
        elif operation is None:  # the websocket of stop signals among others
            self._reply(404, {})
        else:
            self._reply(200, operation.answer(request))

    def _reply(self, status: int, content: Any) -> None:
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Leave the terminal to the tests."""
