"""A realtime transcription session. Whisper is no streaming model: deltas come word by word once an utterance is committed."""

import base64
import json

from websockets.exceptions import ConnectionClosed


def session(socket, engines):
    try:
        Session(socket, engines).run()
    except ConnectionClosed:
        pass


class Session:
    def __init__(self, socket, engines):
        self.socket = socket
        self.engines = engines
        self.input = None
        self.sound = bytearray()
        self.items = 0

    def run(self):
        self.say("session.created", session={"type": "transcription"})
        for text in self.socket:
            message = json.loads(text)
            match message["type"]:
                case "session.update":
                    self.update(message["session"])
                case "input_audio_buffer.append":
                    self.sound += base64.b64decode(message["audio"], validate=True)
                case "input_audio_buffer.commit":
                    self.commit()
                case other:
                    self.say("error", error={"message": f"unknown message {other}"})

    def update(self, session):
        asked = session["audio"]["input"]
        if session["type"] != "transcription" or asked["turn_detection"] is not None:
            return self.say("error", error={"message": "only transcription, and no turn detection"})
        self.input = asked
        self.say("session.updated", session=session)

    def commit(self):
        if self.input is None or not self.sound:
            return self.say("error", error={"message": "nothing to commit"})
        sound, self.sound = bytes(self.sound), bytearray()
        self.items += 1
        item = f"item_{self.items}"
        self.say("input_audio_buffer.committed", item_id=item)
        asked = self.input["transcription"]
        rate = self.input["format"]["rate"]
        text = self.engines.transcribe(sound, rate, asked.get("language"), asked.get("prompt")).strip()
        about = "conversation.item.input_audio_transcription."
        for at, word in enumerate(text.split()):
            self.say(about + "delta", item_id=item, delta=word if at == 0 else " " + word)
        self.say(about + "completed", item_id=item, transcript=text)

    def say(self, kind, **fields):
        self.socket.send(json.dumps({"type": kind, **fields}))
