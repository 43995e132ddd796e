@@ if request-filter
"""Admits clients with a known key, and limits how often each key is used."""

import hmac
@@ else
"""Describe here what this plugin does."""

@@ end
import json
@@ if select-upstream
import random
@@ end

from componentize_py_types import Err
from wit_world import exports
@@ if request-filter
from wit_world.imports import request, windows
from wit_world.imports.http import HeaderField, HttpResponse, Verdict_Next, Verdict_Respond
@@ end
@@ if request-body-filter
from wit_world.imports import content, request
from wit_world.imports.http import HttpResponse, Verdict_Next, Verdict_Respond
@@ end
@@ if response-body-filter
from wit_world.imports import content
from wit_world.imports.http import Verdict_Next
@@ end
@@ if attempt-filter
from wit_world.exports.attempt_filter import Judgement_Accept, Judgement_Retry
from wit_world.imports import attempt, response
from wit_world.imports.http import Verdict_Next
@@ end
@@ if request-stream-filter
from wit_world.exports import request_stream_filter
from wit_world.imports import content, log
@@ end
@@ if response-stream-filter
from wit_world.exports import response_stream_filter
from wit_world.imports import content, response
@@ end
@@ if request-stream-filter-or-response-stream-filter
from wit_world.imports.streams import Access, Framing, Step
@@ end
@@ if select-upstream
from wit_world.imports import upstreams
from wit_world.exports.select_upstream import Selection_Pass, Selection_Pick
from wit_world.imports.upstreams import HealthState
@@ end
@@ if response-filter
from wit_world.imports import response
@@ end
@@ if finished
from wit_world.imports import log, outcome
@@ end
@@ if finished-only
from wit_world.imports import request
@@ end
@@ if response-filter-only
from wit_world.imports.http import Verdict_Next
@@ end
@@ if request-filter

clients = {}
window = None
@@ end


class Lifecycle(exports.Lifecycle):
    # The operator reads the text of an Err: name the key, and say what is allowed.
    def configure(self, config):
@@ if request-filter
        global clients, window
        table = json.loads(config)
        keys = table.pop("keys", None)
        limit = {name: table.pop(name, default) for name, default in (("requests", 100), ("seconds", 60))}
        for key in table:
            raise Err(f"{key}: unknown key, expected keys, requests or seconds")
        if not keys:
            raise Err("keys: a name and a key are needed")
        for name, key in keys.items():
            if not isinstance(key, str):
                raise Err(f"keys.{name}: expected a text")
            if not key:
                raise Err(f"keys.{name}: the key must not be empty")
        for name, value in limit.items():
            if type(value) is not int or not 1 <= value < 2**32:
                raise Err(f"{name}: expected a positive integer")
        clients = {name: key.encode() for name, key in keys.items()}
        window = windows.Window.open("requests", limit["requests"], limit["seconds"] * 1000)


class RequestFilter(exports.RequestFilter):
    def filter(self):
        key = request.header("x-api-key")
        client = None if key is None else owner(key)
        if client is None:
            return respond(401, b"This needs an API key.\n", HeaderField("www-authenticate", b"ApiKey"))
        try:
            window.hit(windows.Key_Bytes(client.encode()))
        except Err as full:
            seconds = -(-full.value.value // 1000)
            return respond(429, b"Too many requests.\n", HeaderField("retry-after", str(seconds).encode()))
        request.set_header("x-api-client", client.encode())
        request.remove_header("x-api-key")
        return Verdict_Next()


def owner(key):
    """The owner of a key. All are compared, so that the duration does not reveal where one differs."""
    found = None
    for name, known in clients.items():
        if hmac.compare_digest(key, known):
            found = name
    return found


def respond(status, body, *headers):
    return Verdict_Respond(HttpResponse(status, list(headers), body))
@@ else
        for key in json.loads(config):
            raise Err(f"{key}: unknown key, there are none")
@@ end
@@ if select-upstream


class SelectUpstream(exports.SelectUpstream):
    """Sends each attempt to the backend with the fewest requests in flight for its weight.

    To a healthy one if there is one, and no two to the same. Of equal ones each is drawn as often as its weight says.
    """

    def select(self, attempt):
        ranks = {}
        for index in range(upstreams.count()):
            weight, health = upstreams.weight(index), upstreams.health(index)
            if weight and health != HealthState.DRAINING and not upstreams.tried(index):
                rank = (health != HealthState.HEALTHY, upstreams.in_flight(index) / weight)
                ranks.setdefault(rank, []).append(index)
        if not ranks:
            return Selection_Pass()
        best = ranks[min(ranks)]
        return Selection_Pick(random.choices(best, [upstreams.weight(index) for index in best])[0])
@@ end
@@ if attempt-filter


class AttemptFilter(exports.AttemptFilter):
    """Sends a request again whose backend is too busy, and tells the next one that it is not the first."""

    def prepare(self, number):
        if number > 1:
            attempt.set_header("x-attempt", str(number).encode())
        return Verdict_Next()

    def judge(self, number):
        is_busy = attempt.failure() is None and response.status() in (429, 503)
        return Judgement_Retry() if is_busy else Judgement_Accept()
@@ end
@@ if request-stream-filter


class Upload(request_stream_filter.RequestMessage):
    """Hides what follows `password=` in the lines of an upload, and logs how many lines had it."""

    def __init__(self):
        self.lines = 0

    def next(self):
        at = content.find(b"password=", 0)
        if at is not None:
            self.lines += 1
            content.splice(at, content.size() - at, b"password=***")
        return Step.PASS

    def end(self, how):
        log.write(log.Level.INFO, f"{self.lines} passwords: {how.name.lower().replace('_', '-')}")


class RequestStreamFilter(exports.RequestStreamFilter):
    def open(self):
        return request_stream_filter.Opening(Upload(), Framing.LINE, Access.EDIT, [b"password="])
@@ end
@@ if response-stream-filter


class Page(response_stream_filter.ResponseMessage):
    """Marks pages at their end, while they pass."""

    def next(self):
        end = content.find(b"</body>", 0)
        if end is not None:
            content.splice(end, 0, b"<!-- @NAME@ -->")
        return Step.FINISH

    def end(self, how):
        pass


class ResponseStreamFilter(exports.ResponseStreamFilter):
    def open(self):
        if not (response.header("content-type") or b"").startswith(b"text/html"):
            return None
        return response_stream_filter.Opening(Page(), Framing.CHUNK, Access.EDIT, [b"</body>"])
@@ end
@@ if request-body-filter


class RequestBodyFilter(exports.RequestBodyFilter):
    """Refuses bodies that say that they are JSON, and are not."""

    def filter(self):
        kind = request.header("content-type") or b""
        if kind.startswith(b"application/json"):
            try:
                content.json_keys("")
            except Err:
                return Verdict_Respond(HttpResponse(400, [], b"This is not JSON.\n"))
        return Verdict_Next()
@@ end
@@ if response-filter


class ResponseFilter(exports.ResponseFilter):
    def filter(self):
        response.set_header("x-plugin", b"@NAME@")
        return Verdict_Next()
@@ end
@@ if response-body-filter


class ResponseBodyFilter(exports.ResponseBodyFilter):
    """Marks pages at their end."""

    def filter(self):
        end = content.find(b"</body>", 0)
        if end is not None:
            content.splice(end, 0, b"<!-- @NAME@ -->")
        return Verdict_Next()
@@ end
@@ if finished


class Finished(exports.Finished):
    def observe(self):
        ending = outcome.ended().name.lower().replace("_", "-")
        log.write(log.Level.INFO, f"{request.method()} {request.path()}: {ending}")
@@ end
