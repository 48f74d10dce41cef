"""A connection to the server, kept by a handle of libcurl."""

from __future__ import annotations

import contextlib
import math
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO
from urllib.parse import quote_plus

import pycurl

from ..._wire.messages import Headers, OctetBody, Reply, ReplyReceiver
from .effects import EVENT_SILENCE_SECONDS, Arguments, Request, TransportError

WHOLE_BYTES_MAX = 1 << 20
"""The largest body that is handed to libcurl at once; longer ones are read piece by piece."""
EXPECT_FROM = 4 << 20
"""The size of a body from which on the server is asked before it is sent. That costs a round
trip."""
BUFFER_BYTES = 512 << 10

SEEKED, CANNOT_SEEK = 0, 2
"""CURL_SEEKFUNC_OK and CURL_SEEKFUNC_CANTSEEK."""
HOPELESS = (
    pycurl.E_UNSUPPORTED_PROTOCOL,
    pycurl.E_URL_MALFORMAT,
    pycurl.E_SSL_CACERT,
)


class Connection:
    """One request at a time; the connection is kept for the next one.

    libcurl appends the lines of a reply's head to `_lines`, and calls `_body` for each piece of its
    body.
    """

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._fields = [f"{name}: {value}" for name, value in arguments.headers.items()]
        self._curl = curl = pycurl.Curl()
        self._file: BinaryIO | None = None
        self._arrived: list[bytes] | None = None
        """Pieces of the body of an open reply that have not been handed out."""
        self._receiver: ReplyReceiver | None = None
        self._raised: Exception | None = None
        """What `_body` has raised, since libcurl doesn't pass it on."""
        self._lines: list[bytes] = []
        curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, self._body)
        # Signal handlers, such as that of Ctrl-C, run when libcurl calls into Python, which it does
        # for this function at the latest when a signal has woken it.
        curl.setopt(pycurl.XFERINFOFUNCTION, _carry_on)
        curl.setopt(pycurl.NOPROGRESS, 0)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.BUFFERSIZE, BUFFER_BYTES)
        curl.setopt(pycurl.UPLOAD_BUFFERSIZE, BUFFER_BYTES)
        curl.setopt(pycurl.LOW_SPEED_LIMIT, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, round(1000 * arguments.timeout)))
        self._silence, self._set_fields = 0.0, [""]
        if arguments.url.startswith("https:"):
            authorities = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
            if authorities:
                curl.setopt(pycurl.CAINFO, authorities)
        self._method = ""

    def close(self) -> None:
        # Where a reply is cut short, libcurl reports its progress a last time. pycurl 7.45, which
        # Debian 12 has, ends the process when that comes from here.
        self._curl.setopt(pycurl.NOPROGRESS, 1)
        self._curl.close()

    def exchange(self, request: Request) -> Reply:
        """Sends a request and receives the whole reply."""
        self._prepare(request, self._arguments.timeout + request.wait_seconds)
        self._file = request.file
        try:
            self._curl.perform()
        except pycurl.error as error:
            self._raise_failure(error)
        reply = (self._receiver or self._begin_body()).reply()
        self._receiver = None
        return reply

    def open(self, request: Request) -> tuple[Reply, Iterator[bytes]]:
        """Sends a request. Of a reply with status 200 the body is received by the iterator."""
        self._prepare(request, EVENT_SILENCE_SECONDS)
        self._file, self._arrived = None, []
        pieces = self._pieces(self._arrived)
        first = next(pieces, None)
        status, headers = self._head()
        if status == 200:
            return Reply(200, headers, b""), pieces
        return Reply(status, headers, b"".join([first or b"", *pieces])), iter(())

    def _pieces(self, arrived: list[bytes]) -> Iterator[bytes]:
        """The body as it arrives; at first an empty piece, when the head is there."""
        multi = pycurl.CurlMulti()
        multi.add_handle(self._curl)
        has_begun = False
        try:
            running = 1
            while running:
                _, running = multi.perform()
                if not has_begun and self._has_head():
                    has_begun = True
                    yield b""
                while arrived:
                    yield arrived.pop(0)
                if running:
                    with contextlib.suppress(InterruptedError):
                        multi.select(1.0)
            _, _, failed = multi.info_read()
            for _, code, message in failed:
                self._raise_failure(pycurl.error(code, message))
        finally:
            # A stream that its caller closes has been closed already.
            with contextlib.suppress(pycurl.error):
                multi.remove_handle(self._curl)
            multi.close()

    # Sending

    def _prepare(self, request: Request, silence: float) -> None:
        curl, content = self._curl, request.content
        url = self._arguments.url + request.path
        if request.query:
            url = f"{url}?{_query(request.query)}"
        curl.setopt(pycurl.URL, url)
        fields = [*self._fields, *(f"{name}: {value}" for name, value in request.headers.items())]
        is_long = isinstance(content, OctetBody) and content.size > WHOLE_BYTES_MAX
        if not (isinstance(content, OctetBody) and content.size >= EXPECT_FROM):
            fields.append("Expect:")
        if fields != self._set_fields:
            curl.setopt(pycurl.HTTPHEADER, fields)
            self._set_fields = fields
        if isinstance(content, OctetBody) and is_long:
            self._set_upload(content)
        elif content is not None:
            curl.setopt(pycurl.UPLOAD, 0)
            curl.setopt(pycurl.POST, 1)
            whole = b"".join(content.blocks()) if isinstance(content, OctetBody) else content
            curl.setopt(pycurl.POSTFIELDS, whole)
        else:
            curl.setopt(pycurl.HTTPGET, 1)
        if request.method != self._method:
            curl.setopt(pycurl.CUSTOMREQUEST, request.method)
            # libcurl repeats a request by itself if a connection that it had kept breaks before the
            # reply. Whoever deletes has to know, since the second reply is then 404.
            for option in (pycurl.FRESH_CONNECT, pycurl.FORBID_REUSE):
                curl.setopt(option, int(request.method == "DELETE"))
            self._method = request.method
        if silence != self._silence:
            # In whole seconds.
            curl.setopt(pycurl.LOW_SPEED_TIME, max(1, math.ceil(silence)))
            self._silence = silence
        self._arrived = self._raised = self._receiver = None
        self._lines.clear()

    def _set_upload(self, content: OctetBody) -> None:
        """Lets libcurl read the body piece by piece, again from its beginning if need be."""
        curl = self._curl
        reader = _Reader(content)
        curl.setopt(pycurl.UPLOAD, 1)
        curl.setopt(pycurl.INFILESIZE_LARGE, content.size)
        curl.setopt(pycurl.READFUNCTION, reader.read)
        curl.setopt(pycurl.SEEKFUNCTION, reader.seek)

    # Receiving

    def _head(self) -> tuple[int, Headers]:
        """The status and the header fields that have arrived."""
        status, headers = 0, dict[str, str]()
        for line in b"".join(self._lines).decode("latin-1").split("\r\n"):
            name, colon, value = line.partition(":")
            if line.startswith("HTTP/"):
                # Another head follows that of an interim reply, such as 100 Continue.
                status, headers = int(line.split(None, 2)[1]), {}
            elif colon:
                headers[name.lower()] = value.strip()
        return status, headers

    def _has_head(self) -> bool:
        return bool(self._lines) and not self._lines[-1].strip() and self._head()[0] >= 200

    def _begin_body(self) -> ReplyReceiver:
        self._receiver = ReplyReceiver(*self._head(), self._file)
        return self._receiver

    def _body(self, piece: bytes) -> int | None:
        if self._arrived is not None:
            self._arrived.append(piece)
            return None
        try:
            (self._receiver or self._begin_body()).feed(piece)
        except Exception as error:
            self._raised = error
            return 0
        return None

    def _raise_failure(self, error: pycurl.error) -> None:
        if self._raised is not None:
            raise self._raised
        code, message = (*error.args, "")[:2]
        if code == pycurl.E_ABORTED_BY_CALLBACK:
            # pycurl 7.45 prints what a signal's handler has raised, and keeps it from the caller.
            raise KeyboardInterrupt from error
        number = self._curl.getinfo(pycurl.OS_ERRNO)
        cause = f" ({os.strerror(number)})" if number else ""
        failure = TransportError(f"{message or f'error {code} of libcurl'}{cause}")
        failure.permanent = code in HOPELESS
        raise failure from error


class _Reader:
    """Hands out a body in the pieces that libcurl asks for."""

    def __init__(self, content: OctetBody) -> None:
        self._content = content
        self._rewind()

    def _rewind(self) -> None:
        self._blocks = self._content.blocks()
        self._block: memoryview[int] = memoryview(b"")

    def read(self, size: int) -> bytes:
        if not self._block:
            self._block = next(self._blocks, memoryview(b""))
        piece, self._block = self._block[:size], self._block[size:]
        return bytes(piece)

    def seek(self, offset: int, origin: int) -> int:
        if (offset, origin) != (0, os.SEEK_SET):
            return CANNOT_SEEK
        self._rewind()
        return SEEKED


def _query(parameters: Mapping[str, str | Sequence[str]]) -> str:
    # A number, as a loss mostly is, has nothing to escape.
    return "&".join(
        f"{name}={value if value.replace('.', '').isalnum() else quote_plus(value)}"
        for name, values in parameters.items()
        for value in ((values,) if isinstance(values, str) else values)
    )


def _carry_on(*_: Any) -> None:
    """Lets a transfer go on."""
