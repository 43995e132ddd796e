"""Chats by OpenAI's own client: whole and streamed, with other models, with a budget that is spent."""

import sys

import openai

client = openai.OpenAI(
    base_url=sys.argv[1],
    api_key="the-client's-key",
    default_headers={"X-Api-Client": "ann"},
    max_retries=0,
    timeout=20,
)


def say(model, words, **more):
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": words}], **more
    )


def stream(words, **more):
    chunks = list(say("gpt-4", words, stream=True, **more))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    usages = [chunk.usage.total_tokens for chunk in chunks if chunk.usage]
    return text, usages


whole = say("gpt-4", "one two three")
print("whole:", whole.choices[0].message.content, whole.model, whole.usage.total_tokens)
print("streamed:", *stream("four five"))
print("with usage:", *stream("six", stream_options={"include_usage": True}))
small = say("llama", "seven", max_tokens=1)
print("another model:", small.choices[0].message.content, small.model)
print("models:", *(model.id for model in client.models.list()))

try:
    say("claude", "eight")
except openai.NotFoundError as error:
    print("unknown:", error.body["message"])
try:
    say("gpt-4", "nine", max_tokens=100_000)
except openai.BadRequestError as error:
    print("too large:", error.body["message"])
try:
    say("gpt-4", "ten", max_tokens=970)
except openai.RateLimitError as error:
    print("spent:", error.body["message"], 0 < int(error.response.headers["retry-after"]) <= 3600)
