/**
 * The official clients of the vendors through a real Envoy: what a user's program sees is what it would see without the gateway, and what the
 * model server sees is what the program has sent. Then the refusals, which only the gateway has.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { projectRoot, pythonClients } from "../../envoy/harness/index.ts";
import { type Replica, type ReplicaRequest, startReplica } from "../../envoy/replica/index.ts";
import { CLIENT_MODELS, type Target, UPSTREAM_MODELS } from "./clients/scenario.ts";
import { ALIASES, SCENARIOS, TWIN } from "./clients/scenarios.ts";
import { type Gateway, WAYS } from "./gateways.ts";

/** Headers that a model server gets from the client and not from the network. */
const CLIENT_HEADERS = [
  "authorization",
  "x-api-key",
  "x-goog-api-key",
  "anthropic-version",
  "anthropic-beta",
  "user-agent",
  "accept",
];

/** What a request was when it arrived. Forms have another boundary each time; their content shows in the answers. */
function arrived({ method, path, model, status, outcome, headers, body }: ReplicaRequest): string {
  const [contentType] = (headers["content-type"] ?? "").split(";");
  const sent = CLIENT_HEADERS.map((name) => [name, headers[name]]);
  const text = contentType === "multipart/form-data" ? "" : body.toString();
  return JSON.stringify({ method, path, model, status, outcome, contentType, sent, text });
}

describe.each(WAYS)("$name", (way) => {
  let direct: Replica;
  let gateway: Gateway;
  let withGateway: Target;
  let withoutGateway: Target;

  beforeAll(async () => {
    direct = await startReplica(TWIN);
    gateway = await way.start({ router: ALIASES, replica: TWIN });
    withGateway = { url: gateway.url, models: CLIENT_MODELS };
    withoutGateway = { url: direct.url, models: UPSTREAM_MODELS };
  });
  afterAll(async () => {
    await gateway?.close();
    await direct?.close();
  });
  beforeEach(() => {
    direct.clearRequests();
    gateway.clear();
  });

  test.each(SCENARIOS.map((one) => [one.name, one] as const))("%s", async (_, { run, shows }) => {
    const expected = await run(withoutGateway);
    for (const text of shows) expect(JSON.stringify(expected)).toContain(text);
    expect(await run(withGateway)).toEqual(expected);
    // A replica notes the end of an answer when its last byte has left, which the client may see first.
    await vi.waitFor(() => expect(gateway.seen().map(arrived).sort()).toEqual(direct.requests.map(arrived).sort()));
    expect(gateway.seen().map(({ outcome }) => outcome)).not.toContain("open");
    const modelsOf = (replicas: readonly Replica[]) =>
      replicas.flatMap(({ requests }) => requests.map(({ model }) => model));
    expect(modelsOf(gateway.gpt)).not.toContain(UPSTREAM_MODELS.claude);
    expect(modelsOf(gateway.claude).filter((model) => model !== UPSTREAM_MODELS.claude)).toEqual([]);
  });

  test("openai for Python", async (context) => {
    const found = pythonClients();
    if ("reason" in found) {
      console.warn(`python client not tested: ${found.reason}`);
      return context.skip(found.reason);
    }
    const script = join(projectRoot(), "test/envoy/clients/openai_client.py");
    const run = async ({ url, models }: Target): Promise<Record<string, unknown>> => {
      const { stdout } = await promisify(execFile)(found.python, [script, url, JSON.stringify(models)], {
        timeout: 40_000,
      });
      return JSON.parse(stdout) as Record<string, unknown>;
    };
    const expected = await run(withoutGateway);
    expect(Object.keys(expected).length).toBeGreaterThan(8);
    expect(expected.chat).toMatchObject({ choices: [{ message: { content: expect.stringContaining("Zürich") } }] });
    expect(await run(withGateway)).toEqual(expected);
  });

  describe("refusals: the vendor's own error classes", () => {
    const messages = [{ role: "user" as const, content: "hello there" }];
    let openai: OpenAI;
    let anthropic: Anthropic;

    beforeAll(() => {
      openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
      anthropic = new Anthropic({ baseURL: gateway.url, apiKey: "none", maxRetries: 0 });
    });

    test("openai: an unknown model is a NotFoundError that names it", async () => {
      const wanted = openai.chat.completions.create({ model: "llama-9", messages });
      await expect(wanted).rejects.toThrow(OpenAI.NotFoundError);
      await expect(openai.chat.completions.create({ model: "llama-9", messages, stream: true })).rejects.toMatchObject({
        status: 404,
        code: "model_not_found",
        type: "invalid_request_error",
        param: "model",
        message: expect.stringContaining("llama-9"),
      });
    });

    test("openai: a missing model is a BadRequestError", async () => {
      const body = { messages } as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming;
      await expect(openai.chat.completions.create(body)).rejects.toThrow(OpenAI.BadRequestError);
      await expect(openai.chat.completions.create(body)).rejects.toMatchObject({
        code: "model_required",
        param: "model",
      });
    });

    test("openai: malformed JSON is a BadRequestError", async () => {
      const headers = { "content-type": "application/json" };
      const broken = openai.post("/chat/completions", {
        body: Buffer.from('{"model": "gpt-4o", "messages": ['),
        headers,
      });
      await expect(broken).rejects.toThrow(OpenAI.BadRequestError);
      const again = openai.post("/chat/completions", { body: Buffer.from("not json"), headers });
      await expect(again).rejects.toMatchObject({ status: 400, code: "invalid_json" });
    });

    test("anthropic: classes and types", async () => {
      const body = { model: "claude-sonnet-of-the-day", max_tokens: 100, messages };
      const unknown = anthropic.messages.create({ ...body, model: "llama-9" });
      await expect(unknown).rejects.toThrow(Anthropic.NotFoundError);
      await expect(anthropic.messages.create({ ...body, model: "llama-9" })).rejects.toMatchObject({
        status: 404,
        error: { type: "error", error: { type: "not_found_error", message: expect.stringContaining("llama-9") } },
      });
      const missing = { max_tokens: 1, messages } as unknown as Anthropic.MessageCreateParamsNonStreaming;
      await expect(anthropic.messages.create(missing)).rejects.toThrow(Anthropic.BadRequestError);
      const broken = anthropic.post("/v1/messages", {
        body: Buffer.from("{"),
        headers: { "content-type": "application/json" },
      });
      await expect(broken).rejects.toThrow(Anthropic.BadRequestError);
    });
  });
});
