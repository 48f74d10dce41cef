#!/usr/bin/env python3
"""Writes the first inputs of each fuzz target into DIRECTORY/TARGET: valid ones, to begin from.

    seeds.py DIRECTORY

What the fuzzer found later, and what it made of a defect, is not kept here: a defect gets a test.
"""

from __future__ import annotations

import json
import pathlib
import plistlib
import re
import struct
import sys
from datetime import datetime
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]

JSON = [
    {"x0": [-1.2, 1.0], "name": "rosenbrock", "labels": {"a": "b"}, "options": {"lr": 0.5}},
    {"parameters": [{"name": "w", "shape": [2, 2], "values": [1, 2, 3, 4]}], "dtype": "float32"},
    {"parameters": [{"shape": [3], "fill": 0.5}], "maximize": True, "shards": 2},
    {"name": None, "labels": {"x": None}, "options": {"max_iter": 5, "mode": "robust"}},
    {"loss": 1e-9, "gradient": [1, -2.5e300, 0.1, 4.9e-324]},
    {"failed": True, "reason": "NaN"},
    {"evaluations": [{"session": "s0123456789abcdefghjk", "number": 1, "loss": 1, "gradient": []}]},
    {"params": [{"name": "b", "shape": [1], "values": [0]}], "name": "head"},
    {"event": "step.ended", "url": "https://example.org/hook", "secret": "0123456789abcdef"},
    {"state": {"0": {"func_evals": 1, "n_iter": 1, "d": [1], "t": 1}}, "param_groups": [{}]},
    {"worker": "a", "seconds": 5},
    ["NaN", "Infinity", "-Infinity", 0, -0.0],
]

BOUNDS = [
    {"lower": 0, "upper": [1, None, 2.5], "l1": 0.1},
    {"lower": [-1, -2, -3], "upper": [1, 2, 3], "l1": [0, 1, 2], "dtype": "float64"},
    {"params": [{"name": "w", "shape": [2, 1], "lower": [0, None]}, {"name": "b", "upper": 0}]},
]

ENSEMBLES = [
    {"starts": [[1, 2], [3, 4]], "lower": -5, "upper": [5, 6], "options": {"lr": 0.5}},
    {
        "starts": {"method": "sobol", "count": 8, "seed": 7, "skip": 1, "scramble": True},
        "params": [{"name": "w", "shape": [2, 1]}, {"name": "b", "shape": [1]}],
        "dtype": "float32", "lower": 0.1, "upper": 0.2, "labels": {"a": "b"}, "name": "many",
        "stop": {"target": 1e-9, "evaluations": 1000}, "expires_after": 3600,
        "abandon": {
            "stagnation": {"evaluations": 20, "tolerance": 1e-6},
            "same_basin": {"distance": 0.01, "loss": 1e-6},
        },
    },
    {"starts": {"method": "latin_hypercube", "count": 4}, "n": 3, "lower": [0, 1, 2], "upper": 3},
    {"starts": {"method": "uniform", "count": 2, "seed": 1}, "n": 1, "lower": 0, "upper": 1},
    {"results": [{"session": "s0123456789abcdefghjk", "number": 1, "loss": 1, "gradient": [1]}],
     "ask": {"count": 2, "worker": "a", "seconds": 10}},
    {"count": 3, "worker": "b", "seconds": 0.5},
]  # fmt: skip

REPLICATION = [
    {
        "mode": "primary", "feed": "f0123456789", "term": 1, "fenced": False, "change": 7,
        "standby": {
            "id": "s1", "acknowledged": 6, "in_sync": True, "seconds_behind": 0.5,
            "bytes_behind": 4096, "seconds_silent": 0.1,
        },
    },
    {"standby": "s1", "term": 1},
    {"standby": "s1", "term": 1, "feed": "f", "after": 0, "copying": True, "wait_seconds": 1},
    {"type": "https://example.org/problems/fenced", "detail": "a later term", "term": 2},
]  # fmt: skip

WEBHOOKS = [
    "https://example.org/hook?a=b%20c",
    "http://192.0.2.1:8080",
    "https://[2001:db8::1]:8443/",
    "https://[::ffff:192.0.2.1]/x",
    "*.example.com:8443",
    "10.0.0.0/8",
    "::ffff:10.0.0.0/104",
    "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
]

TOKENS = """tokens:
  - {name: ci, sha256: %s, tenant: flow, scopes: [read, write], expires: 2027-01-01}
tenants:
  flow: {sessions: 100, disk_bytes: 10GiB, memory_bytes: 4GiB, requests_in_flight: 64}
""" % ("5" * 64)


def safetensors(
    tensors: dict[str, list[float]], metadata: dict[str, str], digest: bytes = b""
) -> bytes:
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    body = b""
    for name, values in tensors.items():
        start = len(body)
        body += struct.pack(f"<{len(values)}d", *values)
        header[name] = {
            "dtype": "F64",
            "shape": [len(values)],
            "data_offsets": [start, len(body)],
        }
    if digest:
        offsets = [len(body), len(body) + len(digest)]
        header["sha256"] = {"dtype": "U8", "shape": [len(digest)], "data_offsets": offsets}
        body += digest
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def npy(text: str, values: bytes, version: bytes = b"\x01\x00") -> bytes:
    head = text.encode() + b"\n"
    size = struct.pack("<H" if version[0] == 1 else "<I", len(head))
    return b"\x93NUMPY" + version + size + head + values


def requests() -> list[bytes]:
    post = "POST /v1/things HTTP/1.1\r\nHost: [::1]:80\r\nContent-Type: application/json\r\n"
    heads = [
        "GET /v1/things/1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /v1/things/%41?a=b&c HTTP/1.0\r\n\r\n",
        post + "Content-Length: 2\r\n\r\n{}",
        post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        post + "Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n",
        "GET /v1/things/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nRange: bytes=0-1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nOrigin: http://evil.example\r\n\r\n",
    ]
    return [head.encode() for head in heads] + ["".join(heads[:2]).encode()]


def hexdumps() -> list[bytes]:
    """The bytes that docs/design/storage-format.md shows."""
    text = (ROOT / "docs/design/storage-format.md").read_text()
    found = []
    for block in re.findall(r"```hexdump\n(.*?)```", text, re.DOTALL):
        words = [word for line in block.splitlines() for word in line.split()[1:]]
        found.append(bytes(int(word, 16) for word in words))
    return found


def number(text: object) -> object:
    """Infinities and NaNs stand in the fixture as text."""
    if isinstance(text, dict):
        return {key: number(value) for key, value in text.items()}
    if isinstance(text, list):
        return [number(value) for value in text]
    if text in ("Infinity", "-Infinity", "NaN"):
        return float(str(text).replace("Infinity", "inf"))
    return text


def snapshots() -> list[bytes]:
    """Scalars of engines in all phases, as text, which mutates better than the binary form."""
    session = {
        "sequence": 1,
        "step": 1,
        "stepsBegun": 1,
        "evaluationsAsked": 1,
        "stepStartedAt": datetime(2026, 1, 1),
        "stepFirstEvaluation": 1,
        "layout": {
            "parameters": [{"shape": [2]}],
            "groups": [{"parameters": [0, 1], "isFrozen": False}],
        },
        "isMaximizing": False,
        "leases": {"leases": {}},
        "hooks": {"own": [], "server": [], "made": 0, "callsMade": 0, "answered": []},
    }
    made = []
    fixture = ROOT / "Tests/LBFGSTests/Fixtures/snapshot-format.txt"
    for line in fixture.read_text().splitlines():
        if not line.startswith("{"):
            continue
        engine = {"float64": {"_0": number(json.loads(line))}}
        for form in (plistlib.FMT_XML, plistlib.FMT_BINARY):
            scalars = plistlib.dumps({"session": session, "engine": engine}, fmt=form)
            # 0: no vector is absent.
            made.append(struct.pack(">HH", 0, len(scalars)) + scalars + bytes(range(200)))
    return made


def session_files() -> list[bytes]:
    """Sessions between steps, at the start of a step and in line searches."""
    made = []
    fixture = ROOT / "Tests/LBFGSTests/Fixtures/snapshot-format.txt"
    for line in fixture.read_text().splitlines():
        if not line.startswith("{"):
            continue
        session = {
            "dtype": "float64",
            "labels": {},
            "step": 1,
            "stepsBegun": 1,
            "evaluationsAsked": 1,
            "stepStartedAt": 0,
            "stepFirstEvaluation": 1,
            "layout": {
                "parameters": [{"shape": [2]}],
                "groups": [{"parameters": [0, 1], "isFrozen": False}],
            },
            "isMaximizing": False,
            "shards": {},
        }
        metadata = {
            "format": "lbfgsd-session",
            "version": "1",
            "session": json.dumps(session),
            "engine": json.dumps({"float64": {"_0": json.loads(line)}}),
        }
        names = ["x", "g", "d", "previous_g", "trial_point", "trial/1", "trial/2"]
        if '"idle"' in line:
            names.remove("trial_point")
        made.append(
            safetensors({name: [1.0, -1.0] for name in names}, metadata, digest=bytes(range(32)))
        )
    return made


def bounds() -> list[bytes]:
    """Forms, as the target numbers them: JSON, .npy, safetensors and octets."""
    numbers = struct.pack("<6d", *[-1.0, -2.0, -3.0, 1.0, 2.0, 3.0])
    bodies = [(0, json.dumps(document).encode()) for document in BOUNDS]
    bodies.append((1, npy("{'descr': '<f8', 'fortran_order': False, 'shape': (6,), }", numbers)))
    bodies.append((2, safetensors({"w.lower": [0.0, 0.0], "b.upper": [1.0]}, {})))
    bodies.append((3, numbers))
    answers = bytes(range(60, 100))
    return [struct.pack(">BH", form, len(body)) + body + answers for form, body in bodies] + [
        struct.pack(">BH", 4, len(body)) + body + answers for form, body in bodies if form == 0
    ]


def changes() -> list[bytes]:
    """A frame of the log, and a transaction with a segment's growth."""
    frame = b"frame"
    log = struct.pack("<BQQQQ", 1, 3, 1, 64, len(frame)) + frame
    tables = b"\x02" + struct.pack("<Q", 4) + b"head" + struct.pack("<QQ", 32, 3) + b"abc"
    extent = struct.pack("<qQQ", 1, 0, 4)
    tables += struct.pack("<Q", 1) + extent + struct.pack("<Q", 2) + b"xy"
    tables += struct.pack("<Qq", 1, 5) + struct.pack("<Q", 1) + extent
    return [log, tables]


def seeds() -> dict[str, list[bytes]]:
    texts = [json.dumps(document).encode() for document in JSON]
    dumps = hexdumps()
    logs = [struct.pack(">H", len(dump)) + dump for dump in dumps]
    state = json.dumps({"state": {"0": {"func_evals": 1, "n_iter": 1}}, "param_groups": [{}]})
    configuration = (ROOT / "deploy/lbfgsd.yaml").read_text()
    return {
        "bounds": bounds(),
        "configuration": [
            TOKENS.encode(),
            configuration.encode(),
            re.sub(r"^#(?=[a-z-]+:)", "", configuration, flags=re.MULTILINE).encode(),
            b"max-sessions: 10\nlisten: [::1]:0\ndata: ':memory:'\n",
        ],
        "ensemble": [json.dumps(document).encode() for document in ENSEMBLES],
        "json": texts,
        "log": [*logs, b"\0\0" + dumps[0]],
        "npy": [
            npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", bytes(16)),
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1)}", bytes(8)),
            npy("{'descr': '<f8', 'fortran_order': True, 'shape': ()}", bytes(8), b"\x02\x00"),
        ],
        "replication": [json.dumps(document).encode() for document in REPLICATION] + changes(),
        "request": requests(),
        "rows": dumps,
        "safetensors": [
            safetensors({"w": [1.0, 2.0], "b": [3.0]}, {}),
            safetensors({"state.0.d": [1.0], "state.0.old_dirs.0": [1.0]}, {"state_dict": state}),
        ],
        "session-file": session_files(),
        "snapshot": snapshots(),
        "webhook": [text.encode() for text in WEBHOOKS],
    }


def main() -> None:
    directory = pathlib.Path(sys.argv[1])
    for target, inputs in seeds().items():
        (directory / target).mkdir(parents=True, exist_ok=True)
        for index, data in enumerate(inputs):
            (directory / target / f"seed-{index}").write_bytes(data)


if __name__ == "__main__":
    main()
