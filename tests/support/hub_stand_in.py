"""A stand-in for the reading half of the hub's HTTP interface: repositories with commits, gates and what is not there.

The real huggingface_hub and datasets libraries ask it, in a process whose HF_ENDPOINT it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.places import ROOT


@dataclass
class Repository:
    """Files by commit; ``branches`` name commits. A gated one wants the token, whose account accepted its terms."""

    commits: dict[str, dict[str, str | bytes]]
    branches: dict[str, str]
    gated: bool = False


@dataclass
class Hub:
    """The server's state: change it while it runs."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    token: str = "hf_stand_in"
    endpoint: str = ""

    def put(self, name: str, files: Mapping[str, str | bytes], gated: bool = False) -> str:
        """Commit files to main and return the commit."""
        commit = hashlib.sha1(b"".join([name.encode(), *(path.encode() + _bytes(files[path]) for path in files)]))
        repository = self.repositories.setdefault(name, Repository({}, {}, gated))
        repository.commits[commit.hexdigest()] = dict(files)
        repository.branches["main"] = commit.hexdigest()
        return commit.hexdigest()

    def environment(self, home: Path) -> dict[str, str]:
        """Return this process's environment with this hub in place of any other, caches and login below ``home``."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        own = {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        return {**clean, **own}

    def python(
        self, code: str, home: Path, *arguments: str, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run code in a process that knows this hub only, with its caches and login below ``home``."""
        command = [sys.executable, "-c", code, *arguments]
        variables = {**self.environment(home), **environment}
        return subprocess.run(
            command, cwd=ROOT, env=variables, input=stdin, capture_output=True, text=True, timeout=300, check=False
        )


@contextmanager
def running() -> Iterator[Hub]:
    """Serve a hub on a free port."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(hub, self, {})

        def do_HEAD(self) -> None:
            _answer(hub, self, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            _answer(hub, self, json.loads(body or b"{}"))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _answer(hub: Hub, request: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
    path = unquote(urlsplit(request.path).path)
    hub.asked.append(f"{request.command} {path}")
    found = re.fullmatch(
        r"/(?:api/)?(?:datasets/|models/)?([\w.-]+/[\w.-]+)"
        r"(?:/(auth-check|revision|resolve|tree|paths-info)(?:/([^/]+)(?:/(.*))?)?)?",
        path,
    )
    if found is None:
        return _send(request, 404, {"error": "not here"})
    name, action, revision, rest = found[1], found[2] or "revision", found[3] or "main", found[4] or ""
    repository = hub.repositories.get(name)
    if repository is None:
        return _send(request, 401, {"error": "none such"}, {"X-Error-Code": "RepoNotFound"})
    commit = repository.branches.get(revision, revision)
    if commit not in repository.commits:
        return _send(request, 404, {"error": "no such revision"}, {"X-Error-Code": "RevisionNotFound"})
    files = repository.commits[commit]
    allowed = not repository.gated or request.headers.get("Authorization") == f"Bearer {hub.token}"
    if action == "revision":
        siblings = [{"rfilename": file} for file in files]
        return _send(request, 200, {"id": name, "sha": commit, "private": False, "siblings": siblings})
    if not allowed:
        return _send(request, 401, {"error": "gated"}, {"X-Error-Code": "GatedRepo"})
    if action == "auth-check":
        return _send(request, 200, {})
    if action == "resolve":
        if rest not in files:
            return _send(request, 404, {"error": "no entry"}, {"X-Error-Code": "EntryNotFound"})
        content = _bytes(files[rest])
        etag = hashlib.sha1(content).hexdigest()
        return _send(request, 200, content, {"X-Repo-Commit": commit, "ETag": f'"{etag}"'})
    entries = [
        {"type": "file", "path": file, "size": len(_bytes(held)), "oid": hashlib.sha1(_bytes(held)).hexdigest()}
        for file, held in files.items()
    ]
    folders = sorted({str(Path(file).parent) for file in files} - {"."})
    entries += [{"type": "directory", "path": folder, "oid": commit} for folder in folders]
    if action == "tree":
        below = f"{rest}/" if rest else ""
        return _send(request, 200, [entry for entry in entries if entry["path"].startswith(below)])
    paths = body.get("paths", [])
    wanted = [paths] if isinstance(paths, str) else paths
    return _send(request, 200, [entry for entry in entries if entry["path"] in wanted])


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def _send(request: BaseHTTPRequestHandler, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    request.send_response(status)
    for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
        request.send_header(key, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(data)
