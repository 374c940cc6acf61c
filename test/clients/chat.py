"""Talks to a gateway with the official openai client and prints one JSON object; the test reads it. Usage: chat.py BASE_URL"""

import json
import sys

import openai

client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="none", max_retries=0, timeout=20)
messages = [{"role": "user", "content": "héllo from python"}]
report = {"client": openai.__version__}

answer = client.chat.completions.create(model="gpt-4o", messages=messages)
report["chat"] = {
    "model": answer.model,
    "text": answer.choices[0].message.content,
    "total_tokens": answer.usage.total_tokens,
}

text, usage = "", None
for chunk in client.chat.completions.create(
    model="gpt-4o", messages=messages, stream=True, stream_options={"include_usage": True}
):
    text += "".join(choice.delta.content or "" for choice in chunk.choices)
    usage = chunk.usage or usage
report["stream"] = {"text": text, "completion_tokens": usage.completion_tokens}

report["errors"] = []
for model in ("no-such-model", None):
    try:
        client.chat.completions.create(model=model, messages=messages)
    except openai.APIStatusError as error:
        report["errors"].append([type(error).__name__, error.status_code, error.code])

print(json.dumps(report))
