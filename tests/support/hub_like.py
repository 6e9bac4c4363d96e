"""A stand-in of the hub: an HTTP server that speaks as much of its interface as pushing needs, and keeps what it got.

Repositories, files by git's id or sha256, commits with their parents; a token and what it may do. Without Xet.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

LARGE = (".safetensors", ".parquet")


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=lambda: [f"{0:040x}"])
    summaries: list[str] = field(default_factory=list)


@dataclass
class Hub:
    """What the server holds; ``readers`` are tokens that may not write."""

    token: str
    readers: set[str] = field(default_factory=set)
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        self.hub.requests.append((self.command, path))
        self.hub.bodies.append(body)
        given = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if path.startswith("/blobs/"):
            self.hub.blobs[path.removeprefix("/blobs/")] = body
            return self.reply({})
        if given not in {self.hub.token, *self.hub.readers}:
            return self.reply({"error": "Invalid credentials in Authorization header"}, 401)
        if self.command != "GET" and given in self.hub.readers and not path.endswith("validate-yaml"):
            return self.reply({"error": "Forbidden: the token must have write access"}, 403)
        return self.serve(path, body)

    def serve(self, path: str, body: bytes) -> None:
        hub = self.hub
        values = json.loads(body) if (body and not path.endswith("/main")) or "preupload" in path else {}
        if path == "/api/repos/create":
            kind = values.get("type") or "model"
            name = f"{values.get('organization') or 'me'}/{values['name']}"
            exists = (kind, name) in hub.repositories
            if not exists:
                hub.repositories[kind, name] = Repository(
                    values.get("visibility") == "private" or bool(values.get("private"))
                )
            prefix = "datasets/" if kind == "dataset" else ""
            return self.reply({"url": f"{hub.url}/{prefix}{name}", "name": name}, 409 if exists else 200)
        if path == "/api/validate-yaml":
            return self.reply({"warnings": [], "errors": []})
        if path.endswith("/info/lfs/objects/batch"):
            actions = [
                {
                    **entry,
                    **(
                        {}
                        if entry["oid"] in hub.blobs
                        else {"actions": {"upload": {"href": f"{hub.url}/blobs/{entry['oid']}", "header": {}}}}
                    ),
                }
                for entry in values["objects"]
            ]
            return self.reply({"transfer": "basic", "objects": actions})
        kind, name = path.split("/")[2].removesuffix("s"), "/".join(path.split("/")[3:5])
        repository = hub.repositories.get((kind, name))
        if repository is None:
            return self.reply({"error": "Repository not found"}, 404)
        if "/preupload/" in path:
            return self.reply({"files": [self.mode(repository, entry["path"]) for entry in values["files"]]})
        if "/commit/" in path:
            return self.commit(repository, body, f"{hub.url}/{name}")
        siblings = [self.sibling(file, content) for file, content in sorted(repository.files.items())]
        held = {"id": name, "sha": repository.commits[-1], "private": repository.private, "siblings": siblings}
        return self.reply({**held, "tags": [], "downloads": 0, "likes": 0})

    def mode(self, repository: Repository, path: str) -> dict[str, Any]:
        held = repository.files.get(path)
        oid = None if held is None else hashlib.sha256(held).hexdigest() if path.endswith(LARGE) else git_id(held)
        return {
            "path": path,
            "uploadMode": "lfs" if path.endswith(LARGE) else "regular",
            "shouldIgnore": False,
            "oid": oid,
        }

    def sibling(self, path: str, content: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": git_id(content)}
        if path.endswith(LARGE):
            entry |= {"lfs": {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}}
        return entry

    def commit(self, repository: Repository, body: bytes, url: str) -> None:
        for line in body.decode().splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                repository.summaries.append(value["summary"])
            elif entry["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                repository.files[value["path"]] = self.hub.blobs[value["oid"]]
            elif entry["key"] == "deletedFile":
                del repository.files[value["path"]]
        repository.commits.append(hashlib.sha1(body).hexdigest())
        self.reply({"success": True, "commitOid": repository.commits[-1], "commitUrl": f"{url}/commit/main"})

    def reply(self, values: Any, status: int = 200) -> None:
        content = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def git_id(content: bytes) -> str:
    """Return git's id of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def hub_like(token: str) -> Iterator[Hub]:
    """Serve an empty hub on a free port while the block runs."""
    hub = Hub(token)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
