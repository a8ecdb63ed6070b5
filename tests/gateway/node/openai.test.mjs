// The official npm client against a running gateway: TIERGATE_ADDRESS, TIERGATE_SLOW_ADDRESS, TIERGATE_KEY, TIERGATE_SLOW_KEY.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const { TIERGATE_ADDRESS, TIERGATE_KEY, TIERGATE_SLOW_ADDRESS, TIERGATE_SLOW_KEY } = process.env;
const client = new OpenAI({ baseURL: `${TIERGATE_ADDRESS}/v1`, apiKey: TIERGATE_KEY, maxRetries: 0 });
const model = "model-small";
const asking = (content, more = {}) => ({ model, messages: [{ role: "user", content }], ...more });
const parameters = { type: "object", properties: { city: { type: "string" } } };
const tools = ["look_up", "forecast"].map((name) => ({ type: "function", function: { name, parameters } }));
const image = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } };

test("a whole answer", async () => {
  const answer = await client.chat.completions.create(asking("What is tin?"));
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.choices[0].message.content.split(" ").length, answer.usage.completion_tokens);
});

test("a long stream shows no usage to who did not ask", async () => {
  let text = "";
  for await (const chunk of await client.chat.completions.create(asking("say-1000-words", { stream: true }))) {
    assert.equal(chunk.choices.length, 1);
    assert.equal(chunk.usage ?? null, null);
    text += chunk.choices[0].delta.content ?? "";
  }
  assert.equal(text.split(" ").length, 1000);
});

test("parallel calls of tools, streamed, and what they answered", async () => {
  const request = asking("use-all-tools", { tools });
  const stream = client.chat.completions.stream(request);
  const { message } = (await stream.finalChatCompletion()).choices[0];
  assert.deepEqual(
    message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
    [["look_up", { city: "tin" }], ["forecast", { city: "tin" }]],
  );
  const results = message.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "sunny" }));
  const again = await client.chat.completions.create({ ...request, messages: [...request.messages, message, ...results] });
  assert.match(again.choices[0].message.content, /tools said sunny sunny/);
});

test("an image as a part", async () => {
  const answer = await client.chat.completions.create(asking([{ type: "text", text: "What is it?" }, image]));
  assert.match(answer.choices[0].message.content, /saw 1 images/);
});

test("structured output", async () => {
  const response_format = { type: "json_schema", json_schema: { name: "place", schema: parameters, strict: true } };
  const answer = await client.chat.completions.parse(asking("Where?", { response_format }));
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { city: "tin" });
});

test("responses, whole and streamed", async () => {
  const whole = await client.responses.create({ model, input: "What is tin?" });
  assert.equal(whole.output_text.split(" ").length, whole.usage.output_tokens);
  const final = await client.responses.stream({ model, input: "say-50-words" }).finalResponse();
  assert.equal(final.output_text.split(" ").length, 50);
});

test("embeddings and models", async () => {
  const answer = await client.embeddings.create({ model, input: ["one", "two"], dimensions: 4 });
  assert.deepEqual(answer.data.map((one) => one.embedding.length), [4, 4]);
  const names = [];
  for await (const one of client.models.list()) names.push(one.id);
  assert.ok(names.includes(model));
});

test("unknown fields pass both ways", async () => {
  const answer = await client.chat.completions.create(asking("hm", { mock_echo: { deep: [1, null] } }));
  assert.deepEqual(answer.mock_echo, { deep: [1, null] });
});

test("a stream that is left", async () => {
  const slow = new OpenAI({ baseURL: `${TIERGATE_SLOW_ADDRESS}/v1`, apiKey: TIERGATE_SLOW_KEY, maxRetries: 0 });
  const stream = await slow.chat.completions.create(asking("What is tin?", { stream: true }));
  for await (const chunk of stream) {
    assert.equal(chunk.choices.length, 1);
    break;
  }
  assert.ok(stream.controller.signal.aborted);
});

for (const [status, kind] of [[400, OpenAI.BadRequestError], [429, OpenAI.RateLimitError], [500, OpenAI.InternalServerError]]) {
  test(`the upstream's ${status}`, async () => {
    await assert.rejects(client.chat.completions.create(asking(`fail-with-${status}`)), kind);
  });
}

test("a wrong key", async () => {
  const stranger = new OpenAI({ baseURL: `${TIERGATE_ADDRESS}/v1`, apiKey: "tg_no", maxRetries: 0 });
  await assert.rejects(stranger.chat.completions.create(asking("hm")), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, "invalid_api_key");
    return true;
  });
});
