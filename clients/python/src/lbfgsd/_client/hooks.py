"""Operations on hooks, their calls and their messages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from .._model import Delivery, Hook, Options, Turn
from .._wire import documents, state_dict_json
from .._wire.messages import json_content
from .._wire.options import write as write_options
from .binding import operation, stream
from .exchange import given
from .identifiers import DeliveryLike, HookLike, SessionLike, session_path
from .transport.effects import Operation, Stream
from .vectors import Vectors


class HookOperations(Vectors):
    @operation
    def create_hook(
        self,
        session: SessionLike,
        event: str,
        *,
        kind: Literal["intercept", "observe"] = "intercept",
        prepend: bool = False,
        deadline_seconds: float | None = None,
        default: Literal["continue", "abort"] | None = None,
        url: str | None = None,
        secret: str | None = None,
        if_match: str | None = None,
    ) -> Operation[Hook]:
        """Registers a hook on "step.pre", "step.post", or "pre" and "post" of "state_dict" and
        "load_state_dict".

        A hook that intercepts makes the session wait for `answer_hook`, at most `deadline_seconds`;
        then the `default` applies. One that observes gets a signed message at `url` afterwards.
        `prepend` puts the hook before the existing ones. `delete_hook` removes it.
        """
        document = given(
            event=event,
            kind=kind,
            prepend=prepend,
            deadline_seconds=deadline_seconds,
            default=default,
            url=url,
            secret=secret,
        )
        request = self._post(session_path(session, "hooks"), json_content(document), if_match)
        return self._exchange(request, documents.one(documents.hook))

    @operation
    def hooks(self, session: SessionLike) -> Operation[list[Hook]]:
        """Returns the hooks of a session, in the order in which they are called."""
        request = self._get(session_path(session, "hooks"))
        return self._exchange(request, documents.listed("hooks", documents.hook))

    @operation
    def get_hook(self, session: SessionLike, hook: HookLike) -> Operation[Hook]:
        """Returns a hook."""
        request = self._get(session_path(session, "hooks", hook))
        return self._exchange(request, documents.one(documents.hook))

    @operation
    def delete_hook(
        self, session: SessionLike, hook: HookLike, *, if_match: str | None = None
    ) -> Operation[None]:
        """Removes a hook. A pending call of it goes on as if it had been answered with nothing."""
        path = session_path(session, "hooks", hook)
        return self._exchange(self._write("DELETE", path, None, if_match), documents.nothing)

    @operation
    def answer_hook(
        self,
        session: SessionLike,
        number: int,
        *,
        options: Options | None = None,
        state_dict: Mapping[str, Any] | None = None,
        if_match: str | None = None,
    ) -> Operation[Turn]:
        """Answers call `number` of a hook: with nothing, or with a replacement of the step's
        options or of the state dict. May be repeated."""
        document: dict[str, Any] = {}
        if options is not None:
            document["options"] = write_options(options)
        if state_dict is not None:
            document["state_dict"] = state_dict_json.write(state_dict)
        path = session_path(session, "hook-calls", number, "answer")
        # This resource is JSON both ways, whatever the size of the session.
        request = self._write("PUT", path, json_content(document), if_match)
        return self._exchange(request, partial(self._read_turn, session))

    @stream
    def deliveries(
        self, session: SessionLike, hook: HookLike, *, page_size: int | None = None
    ) -> Stream[Delivery]:
        """Iterates over the messages of a hook that observes, newest first."""
        path = session_path(session, "hooks", hook, "deliveries")
        read = documents.page("deliveries", documents.delivery)
        return self._pages(path, read, page_size=page_size)

    @operation
    def redeliver(
        self, session: SessionLike, hook: HookLike, delivery: DeliveryLike
    ) -> Operation[Delivery]:
        """Makes the server send a message again."""
        path = session_path(session, "hooks", hook, "deliveries", delivery, "redeliver")
        return self._exchange(self._post(path), documents.one(documents.delivery))
