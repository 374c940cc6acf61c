/** A replica as an HTTP server: slots, the log of requests, limits, metrics. */
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import OpenAI from "openai";
import { expect, onTestFinished, test, vi } from "vitest";
import { type Replica, type ReplicaOptions, startReplica } from "./server.ts";
import { TIMING_PROFILES } from "./timing.ts";

async function start(options: Partial<ReplicaOptions> = {}): Promise<{ replica: Replica; openai: OpenAI }> {
  const replica = await startReplica({ name: "r1", models: ["m1", "m2"], ...options });
  onTestFinished(() => replica.close());
  return { replica, openai: new OpenAI({ baseURL: `${replica.url}/v1`, apiKey: "key-1", maxRetries: 0 }) };
}

const hello = [{ role: "user" as const, content: "hello there" }];

test("a client that leaves frees its slot, so the next one is served", async () => {
  const timing = { ...TIMING_PROFILES.instant, iterationMs: 20, maxSequences: 1 };
  const { replica, openai } = await start({ timing });
  const body = { model: "m1", messages: hello, max_tokens: 60_000, ignore_eos: true };
  const aborter = new AbortController();
  const stream = await openai.chat.completions.create({ ...body, stream: true }, { signal: aborter.signal });
  for await (const _ of stream) break;
  expect(replica.stats().running).toBe(1);
  aborter.abort();
  const next = await openai.chat.completions.create({ model: "m1", messages: hello, max_tokens: 1 });
  expect(next.usage?.completion_tokens).toBe(1);
  expect(replica.stats()).toMatchObject({ aborted: 1, served: 1, running: 0 });
  expect(replica.requests.map(({ outcome }) => outcome)).toEqual(["peer-gone", "completed"]);
});

test("echo gives every byte back and the request is recorded as it came", async () => {
  const { replica } = await start();
  const body = Buffer.from([0, 255, 10, 13, 0]);
  const answer = await fetch(`${replica.url}/echo/a?b=c`, { method: "PUT", body, headers: { "X-Mixed-Case": "1" } });
  expect(Buffer.from(await answer.arrayBuffer()).equals(body)).toBe(true);
  expect(answer.headers.get("x-echo-path")).toBe("/echo/a?b=c");
  expect(replica.requests.at(-1)).toMatchObject({
    method: "PUT",
    path: "/echo/a?b=c",
    body,
    model: undefined,
    status: 200,
    outcome: "completed",
  });
});

test("a request is recorded with authority, headers, model, status and outcome", async () => {
  const { replica, openai } = await start();
  await openai.chat.completions.create({ model: "m2", messages: hello });
  await openai.chat.completions.create({ model: "m9", messages: hello }).catch(() => {});
  expect(replica.requests).toMatchObject([
    {
      authority: `127.0.0.1:${replica.port}`,
      headers: { authorization: "Bearer key-1" },
      model: "m2",
      status: 200,
      outcome: "completed",
    },
    { model: "m9", status: 404, outcome: "completed" },
  ]);
});

test("a peer that goes away in its body is recorded with what had come", async () => {
  const { replica } = await start();
  const socket = connect(replica.port, "127.0.0.1");
  socket.write("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n0123456789", () =>
    socket.end(),
  );
  await vi.waitFor(() => expect(replica.requests).toHaveLength(1));
  expect(replica.requests[0]).toMatchObject({ authority: "x", body: Buffer.from("0123456789"), outcome: "peer-gone" });
});

test("only the last requests are kept", async () => {
  const { replica } = await start({ keepRequests: 2 });
  for (const n of [1, 2, 3]) await fetch(`${replica.url}/echo/${n}`);
  expect(replica.requests.map(({ path }) => path)).toEqual(["/echo/2", "/echo/3"]);
});

test("a body over the limit is answered with 413 and not kept", async () => {
  const { replica } = await start();
  const upload = request(`${replica.url}/v1/chat/completions`, { method: "POST" });
  const block = Buffer.alloc(8 * 1024 * 1024, 32);
  for (let i = 0; i < 9; i++) upload.write(block);
  upload.end();
  const [answer] = await once(upload, "response");
  expect(answer.statusCode).toBe(413);
  answer.resume();
  expect(replica.requests.at(-1)?.body).toHaveLength(0);
});

test("metrics carry the names of vLLM", async () => {
  const { replica, openai } = await start();
  const messages = [{ role: "user" as const, content: "long ".repeat(100) }];
  for (let i = 0; i < 2; i++) await openai.chat.completions.create({ model: "m1", messages });
  const text = await (await fetch(`${replica.url}/metrics`)).text();
  const value = (name: string): number => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(text)?.[1]);
  expect(value("vllm:num_requests_running")).toBe(0);
  expect(value("vllm:num_requests_waiting")).toBe(0);
  expect(value("vllm:kv_cache_usage_perc")).toBe(0);
  expect(value("vllm:gpu_cache_usage_perc")).toBe(0);
  expect(value("vllm:prefix_cache_queries_total")).toBeGreaterThan(value("vllm:prefix_cache_hits_total"));
  expect(value("vllm:prefix_cache_hits_total")).toBeGreaterThan(100);
  expect(value("vllm:generation_tokens_total")).toBe(48);
  expect(value("vllm:e2e_request_latency_seconds_count")).toBe(2);
  expect(value("vllm:time_to_first_token_seconds_count")).toBe(2);
  expect(value("vllm:inter_token_latency_seconds_count")).toBe(46);
});
