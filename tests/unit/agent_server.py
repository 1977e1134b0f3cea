"""A local server that speaks the shapes of `POST /v1beta/models/NAME:generateContent`, and counts what it is asked."""

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

from flowedit.agent.settings import GeminiSettings

DRIP = 0.1
"""Seconds between the pieces of an answer that drips."""
KEY = "AIzaTestKey-0123456789-never-written"
READING = {"title": "Ink wash", "medium": "ink on rice paper", "words": ["soft", "grey"], "closest_look": "pencil"}


def body(part=None, finish="STOP", tokens=(700, 0), **more):
    content = {} if part is None else {"content": {"role": "model", "parts": [part]}}
    usage = {"promptTokenCount": tokens[0], "candidatesTokenCount": tokens[1], "totalTokenCount": sum(tokens)}
    candidates = [{**content, "finishReason": finish, "index": 0}]
    return {"candidates": candidates, "usageMetadata": usage, "modelVersion": "served", **more}


def text_body(text, finish="STOP"):
    return body({"text": text}, finish, (700, 40))


def image_body(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return bytes_body(buffer.getvalue())


def bytes_body(data):
    return body({"inlineData": {"mimeType": "image/png", "data": base64.b64encode(data).decode()}}, tokens=(900, 1290))


def blocked_body(reason="SAFETY"):
    return body() | {"candidates": [], "promptFeedback": {"blockReason": reason}}


def error(code, message="Later", details=()):
    return code, {"error": {"code": code, "status": "SAID", "message": message, "details": list(details)}}


def is_drawing(request):
    return "IMAGE" in request.get("generationConfig", {}).get("responseModalities", [])


def sent_pictures(request):
    parts = [part for content in request["contents"] for part in content["parts"]]
    datas = [part["inlineData"]["data"] for part in parts if "inlineData" in part]
    raws = [base64.b64decode(data.replace("-", "+").replace("_", "/")) for data in datas]
    return [np.array(Image.open(io.BytesIO(raw)).convert("RGB")) for raw in raws]


def prompt_of(request):
    return " ".join(part.get("text", "") for content in request["contents"] for part in content["parts"])


def good(request):
    """Draw by inverting the first picture; read any style; find every keyframe good."""
    if is_drawing(request):
        return 200, image_body(255 - sent_pictures(request)[0])
    if "pairs of pictures" in prompt_of(request):
        opinion = {"same_scene": True, "same_style": True, "problem": ""}
        return 200, text_body(json.dumps({"keyframes": [opinion] * (len(sent_pictures(request)) // 2)}))
    return 200, text_body(json.dumps(READING))


def answers_for_gemini(server, monkeypatch):
    """Whatever makes Gemini's settings makes them for this server, with a key to send to it."""
    usual = GeminiSettings.__init__
    made = lambda self, **given: usual(self, **{"base_url": server.url, **given})  # noqa: E731
    monkeypatch.setattr(GeminiSettings, "__init__", made)
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)


class Served:
    """The running server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[tuple[str, dict]] = []
        self.headers: list[dict] = []

    @property
    def calls(self) -> int:
        return len(self.requests)


@contextmanager
def serving(respond: Callable[[dict], tuple[int, object]] = good) -> Iterator[Served]:
    """Serve `respond(request) -> (status, body, headers)`; bytes are sent as they are, None hangs up, a list drips."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            request = json.loads(raw)
            with lock:
                served.requests.append((self.path, request))
                served.headers.append(dict(self.headers))
            status, body, *more = respond(request)
            if body is None:
                self.close_connection = True
                return
            data = body if isinstance(body, bytes | list) else json.dumps(body).encode()
            pieces = data if isinstance(data, list) else [data]
            headers = {"Content-Type": "application/json", "Content-Length": sum(map(len, pieces))}
            self.send_response(status)
            for name, value in (headers | dict(*more)).items():
                self.send_header(name, str(value))
            self.end_headers()
            with suppress(OSError):  # who asked has gone
                for piece in pieces:
                    self.wfile.write(piece)
                    time.sleep(DRIP if len(pieces) > 1 else 0)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Served(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
