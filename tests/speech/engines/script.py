"""A language model that is none: what it does is chosen by the model's name, what it says by the last message."""

import json
import time

# Some 30 s, in sentences.
STORY = (
    "Once there was a lighthouse on a small island, and its keeper lived there all alone. "
    "Every evening he climbed the stairs, lit the lamp, and looked out over the water. "
    "One winter the ice came early, and no boat could reach him for many weeks. "
    "He read all of his books twice, and then he began to write one of his own. "
    "It was about a fisherman who could talk with the birds and with the whales. "
    "When spring came, the first boat brought him bread, candles and a letter from his sister. "
    "He gave the captain his book, and the captain read it aloud in every harbour. "
    "And in the end they all danced under a purple umbrella."
)


def answer(asked):
    """Server-sent events."""
    return {"ok": scripted, "slow": slow, "rubbish": rubbish, "endless": endless, "hang": hang, "broken": broken}[
        asked["model"]
    ](asked)


def scripted(asked):
    last = asked["messages"][-1]
    tools = [tool["function"]["name"] for tool in asked.get("tools", [])]
    letters = "".join(filter(str.isalpha, last["content"])).lower()
    if last["role"] == "user" and "bye" in letters and "end_call" in tools:
        call = {"index": 0, "id": "call_2", "type": "function", "function": {"name": "end_call", "arguments": "{}"}}
        yield event({"role": "assistant", "content": None, "tool_calls": [call]})
        yield event({}, "tool_calls")
    elif last["role"] == "user" and "weather" in letters and tools:
        name = tools[0]
        begin = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
        yield event({"role": "assistant", "content": None, "tool_calls": [begin]})
        for part in ('{"ci', 'ty": "Pu', 'ne"}'):
            yield event({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
        yield event({}, "tool_calls")
    else:
        if last["role"] == "tool":
            # An agent's tool puts a status line before it.
            said = last["content"].splitlines()[-1]
        else:
            said = STORY if "story" in letters else "You said: " + last["content"]
        for word in said.split(" "):
            yield event({"content": word + " "})
        yield event({}, "stop")
    yield "data: [DONE]\n\n"


def slow(asked):
    for piece in scripted(asked):
        time.sleep(0.2)
        yield piece


def rubbish(asked):
    yield "data: <html>Bad Gateway</html>\n\n"


def endless(asked):
    while True:
        yield event({"content": "and so on " * 100})


def hang(asked):
    yield event({"content": "Well, "})
    time.sleep(600)


def broken(asked):
    yield event({"content": "Well, "})


def event(delta, reason=None):
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}) + "\n\n"
