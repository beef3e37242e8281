"""A language model that is none: what it does is chosen by the model's name, what it says by the last message."""

import json
import time


def answer(asked):
    """Server-sent events."""
    return {"ok": scripted, "slow": slow, "rubbish": rubbish, "endless": endless, "hang": hang, "broken": broken}[
        asked["model"]
    ](asked)


def scripted(asked):
    last = asked["messages"][-1]
    if last["role"] == "user" and "weather" in last["content"].lower() and asked.get("tools"):
        name = asked["tools"][0]["function"]["name"]
        begin = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
        yield event({"role": "assistant", "content": None, "tool_calls": [begin]})
        for part in ('{"ci', 'ty": "Pu', 'ne"}'):
            yield event({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
        yield event({}, "tool_calls")
    else:
        said = last["content"] if last["role"] == "tool" else "You said: " + last["content"]
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
