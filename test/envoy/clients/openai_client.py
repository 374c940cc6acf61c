"""Talks to a model server with the official openai client and prints what it saw as one JSON object.

Usage: openai_client.py BASE_URL MODELS, where MODELS is a JSON object of the names to ask for. The test compares a run through the gateway
with one that goes to a model server directly.
"""

import base64
import json
import sys

import openai

base_url, models = sys.argv[1], json.loads(sys.argv[2])
client = openai.OpenAI(base_url=f"{base_url}/v1", api_key="openai-key", max_retries=0, timeout=20)

messages = [{"role": "user", "content": 'Zürich – "東京" \\ 😀'}]
call = [{"role": "user", "content": "please call get_weather"}]
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
tools = [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}]
pixel = "data:image/png;base64,iVBORw0KGgo="
picture = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": pixel}}]
every_byte = bytes(range(256)) * 16


def plain(answer):
    return answer.model_dump(mode="json")


def events(stream):
    return [plain(event) for event in stream]


report = {}
chat = client.chat.completions
report["chat"] = plain(chat.create(model=models["chat"], messages=messages))
report["chat_stream"] = events(
    chat.create(model=models["chat"], messages=messages, stream=True, stream_options={"include_usage": True})
)
report["image"] = plain(chat.create(model=models["chat"], messages=[{"role": "user", "content": picture}]))

called = chat.create(model=models["chat"], messages=call, tools=tools)
tool_call = called.choices[0].message.tool_calls[0]
result = {"role": "tool", "tool_call_id": tool_call.id, "content": "21 degrees"}
turns = [*call, called.choices[0].message.model_dump(exclude_none=True), result]
report["tool"] = [plain(called), plain(chat.create(model=models["chat"], messages=turns, tools=tools))]
report["tool_stream"] = events(chat.create(model=models["chat"], messages=call, tools=tools, stream=True))

report["response"] = plain(client.responses.create(model=models["chat"], input="hello"))
report["response_stream"] = events(client.responses.create(model=models["chat"], input="hello", stream=True))
report["embeddings"] = plain(client.embeddings.create(model=models["embedding"], input=["one", "two"]))
report["images"] = plain(client.images.generate(model=models["image"], prompt="a cat"))
report["edit"] = plain(client.images.edit(model=models["image"], image=("a.png", every_byte), prompt="a hat"))
report["transcription"] = plain(
    client.audio.transcriptions.create(model=models["transcription"], file=("Züge.wav", every_byte, "audio/wav"))
)
speech = client.audio.speech.create(model=models["speech"], voice="alloy", input="hello")
report["speech"] = base64.b64encode(speech.read()).decode()

print(json.dumps(report))
