/** What a program sees when the model server behind the gateway fails: the same error as without the gateway, and never an answer that looks complete. */
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI, { type APIError } from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import {
  type Failure,
  type FailureOptions,
  type Replica,
  startReplica,
  TIMING_PROFILES,
} from "../../envoy/replica/index.ts";
import { plain } from "./clients/gemini-scenarios.ts";
import { CLIENT_MODELS, type Target, UPSTREAM_MODELS } from "./clients/scenario.ts";
import { ALIASES, TWIN } from "./clients/scenarios.ts";
import { type Gateway, staticFile } from "./gateways.ts";

/** Slow enough that a client can leave an answer half-way. */
const slow = { ...TWIN, timing: { ...TIMING_PROFILES.instant, iterationMs: 5 } };
const messages = [{ role: "user" as const, content: "hello" }];

let direct: Replica;
let gateway: Gateway;
let targets: readonly [withoutGateway: Target, withGateway: Target];

beforeAll(async () => {
  direct = await startReplica(slow);
  gateway = await staticFile.start({ router: ALIASES, replica: slow });
  targets = [
    { url: direct.url, models: UPSTREAM_MODELS },
    { url: gateway.url, models: CLIENT_MODELS },
  ];
});
afterAll(async () => {
  await gateway?.close();
  await direct?.close();
});

const all = (): Replica[] => [direct, ...gateway.gpt, ...gateway.claude];

/** Which replica of a route is next is up to Envoy, so all are told. */
function failAll(failure: Failure, options?: FailureOptions): void {
  for (const one of all()) one.failNext(failure, options);
}

afterEach(async () => {
  for (const one of all()) {
    await one.recover();
    one.clearRequests();
  }
});

/** One call per vendor. */
const calls: Record<string, (target: Target) => Promise<unknown>> = {
  openai: ({ url, models }) =>
    new OpenAI({ baseURL: `${url}/v1`, apiKey: "k", maxRetries: 0 }).chat.completions.create({
      model: models.chat,
      messages,
    }),
  anthropic: ({ url, models }) =>
    new Anthropic({ baseURL: url, apiKey: "k", maxRetries: 0 }).messages.create({
      model: models.claude,
      max_tokens: 9,
      messages,
    }),
  gemini: async ({ url, models }) => {
    const gemini = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: url } });
    return plain(await gemini.models.generateContent({ model: models.gemini, contents: "hello" }));
  },
};

/** The fields of a client's error that a program can rely on. */
async function errorOf(call: Promise<unknown>): Promise<unknown> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason as APIError,
  );
  if (error === undefined) throw new Error("the call has not failed");
  const retryAfter = error.headers?.get("retry-after");
  return {
    class: error.constructor.name,
    status: error.status,
    message: error.message,
    error: error.error,
    retryAfter,
  };
}

describe.each(Object.entries(calls))("%s", (_, call) => {
  test.each([400, 401, 429, 500, 503, 529])("status %i arrives as the model server's own error", async (status) => {
    failAll({ kind: "status", status, headers: { "retry-after": "7" } });
    const [expected, got] = [await errorOf(call(targets[0])), await errorOf(call(targets[1]))];
    expect(expected).toMatchObject({ status, message: expect.stringContaining(`scripted failure ${status}`) });
    expect(got).toEqual(expected);
  });

  test.each(["reset", "refuse"] as const)("%s: Envoy answers 503, without a second attempt", async (kind) => {
    failAll({ kind });
    expect(await errorOf(call(targets[1]))).toMatchObject({
      status: 503,
      message: expect.stringContaining("The model's server cannot be reached, or broke off"),
    });
    expect(gateway.seen().length).toBe(kind === "reset" ? 1 : 0);
  });

  test("after a failure the next call is answered", async () => {
    failAll({ kind: "reset" });
    await errorOf(call(targets[1]));
    for (const one of all()) await one.recover();
    expect(await call(targets[1])).toEqual(await call(targets[0]));
  });
});

const streamed = async ({ url, models }: Target, options: { signal?: AbortSignal } = {}) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: "k", maxRetries: 0 }).chat.completions.create(
    { model: models.chat, messages, stream: true },
    options,
  );

test("a stream that breaks half-way is an error, after the events that have come", async () => {
  failAll({ kind: "breakMidStream", afterEvents: 5 });
  for (const target of targets) {
    const texts: unknown[] = [];
    const read = async (): Promise<void> => {
      for await (const chunk of await streamed(target)) texts.push(chunk.choices[0]?.delta.content);
    };
    await expect(read()).rejects.toThrow();
    expect(texts.length).toBeGreaterThan(0);
    expect(texts.length).toBeLessThanOrEqual(5);
  }
});

test.each(["hang", "headersThenStall"] as const)(
  "%s: a client that gives up releases the model server",
  async (kind) => {
    failAll({ kind });
    const giveUp = new AbortController();
    const read = async (): Promise<void> => {
      for await (const _ of await streamed(targets[1], { signal: giveUp.signal }));
    };
    const reading = read().catch((error: unknown) => error);
    await vi.waitFor(() => expect(gateway.seen().map(({ outcome }) => outcome)).toEqual(["open"]));
    giveUp.abort();
    await reading;
    await vi.waitFor(() => expect(gateway.seen().map(({ outcome }) => outcome)).toEqual(["peer-gone"]));
  },
);

test("a client that leaves a stream half-way stops the generation", async () => {
  for await (const _ of await streamed(targets[1])) break; // the client cancels its request
  await vi.waitFor(() => expect(gateway.seen().map(({ outcome }) => outcome)).toEqual(["peer-gone"]));
  const aborted = all().reduce((sum, one) => sum + one.stats().aborted, 0);
  expect(aborted).toBeGreaterThanOrEqual(1);
  await vi.waitFor(() => expect(all().reduce((sum, one) => sum + one.stats().running, 0)).toBe(0));
});
