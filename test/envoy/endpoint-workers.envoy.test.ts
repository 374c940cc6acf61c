/** Two workers with an index each, eight endpoints with caches: what they tell each other is seen in what the engines report as cached. */
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import type { Replica } from "../../envoy/replica/index.ts";
import { ask, askMany, type Told, tally } from "./endpoint-clients.ts";
import * as gateway from "./endpoint-gateway.ts";

const { addressOf, addressesOf, MODEL, oneListener, pickedCluster, poolOf } = gateway;

interface Usage {
  readonly prompt_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** Of the prompts' tokens, the share that the engines had cached. */
function hitRate(answers: readonly Told[]): number {
  let [prompt, cached] = [0, 0];
  for (const { body } of answers) {
    const { usage } = JSON.parse(body) as { usage: Usage };
    prompt += usage.prompt_tokens;
    cached += usage.prompt_tokens_details.cached_tokens;
  }
  return cached / prompt;
}

describe.each(versionsUnderTest().slice(-1))("Envoy %s", (version) => {
  let picking: gateway.PickedGateway;
  let replicas: Replica[];
  let topics = 0;
  /** Requests of earlier tests. */
  let cleared = 0;
  /** 6 KB that no other prompt begins with. */
  const topic = (): string => `topic ${++topics} of this file. `.repeat(300);

  beforeAll(async () => {
    replicas = await gateway.startReplicas("r", 8);
    const all = addressesOf(replicas);
    picking = await gateway.startPicking({
      ...{ version, concurrency: 2 },
      listeners: [oneListener({ pools: [poolOf("models", all)] })],
      clusters: [pickedCluster("models", all)],
    });
  });
  beforeEach(() => {
    for (const replica of replicas) {
      cleared += replica.requests.length;
      replica.clearRequests();
    }
  });
  afterAll(async () => {
    await picking?.envoy.stop();
    for (const replica of replicas) await replica.close();
  });

  /** Connections that each worker has had. */
  const connections = async (): Promise<number[]> => [
    ...(await picking.envoy.admin.stats("^listener\\.127.*worker_\\d\\.downstream_cx_total$")).values(),
  ];

  const servedOf = (counts: ReadonlyMap<string, number>) => counts.get("answers;outcome=served") ?? 0;
  /** All requests up to now are counted, and so told: a worker does both on the same tick, and takes in what others told. */
  const ticked = async (): Promise<void> => {
    const all = replicas.reduce((sum, { requests }) => sum + requests.length, cleared);
    await waitFor(async () => servedOf(await picking.counted()) >= all, { what: `${all} requests to be counted` });
  };

  // First: once the others have filled some caches more than the rest, new conversations go to the rest.
  test("conversations stay at their endpoints, and all endpoints have some", async () => {
    const texts = Array.from({ length: 120 }, () => topic());
    const places = new Map<number, Set<string>>();
    for (let turn = 0; turn < 4; turn++) {
      const ask = (n: number) => {
        texts[n] = `${texts[n]} answer and question ${turn} `.padEnd((texts[n]?.length ?? 0) + 600, "!");
        return { text: texts[n] ?? "" };
      };
      for (let from = 0; from < texts.length; from += 12) {
        await askMany(picking.url, 12, 6, (n) => ask(from + n));
      }
    }
    for (const replica of replicas) {
      for (const { body } of replica.requests) {
        const conversation = Number(/topic (\d+) of/.exec(body.toString())?.[1]);
        places.set(conversation, (places.get(conversation) ?? new Set()).add(replica.name));
      }
    }
    expect(places.size).toBe(texts.length);
    const loyal = [...places.values()].filter(({ size }) => size === 1);
    expect(loyal.length / places.size).toBeGreaterThan(0.9);
    // Ports are different each time, and so is where the hash puts whom; that one of eight gets none of 120 happens once in a million runs.
    expect(new Set([...places.values()].flatMap((names) => [...names])).size).toBe(8);
  });

  test("what one worker learns the other one knows: they agree on the endpoint of a prefix, be it the key's or not", async () => {
    // Somebody else than the one whom the key of the prefix would be given to.
    const prompts: { text: string; place: string }[] = [];
    for (let n = 0; n < 60; n++) {
      const text = topic();
      const keys = String((await ask(picking.url, { text: text.slice(0, 40) })).served);
      const place = addressesOf(replicas).find((one) => one !== keys) ?? "";
      const { status, served } = await ask(picking.url, { text, among: [place] });
      expect([status, served]).toEqual([200, place]);
      prompts.push({ text, place });
    }
    const before = await connections();
    // Each prompt is asked once: the answer to a wrong guess would be learned, too.
    const agreed = async () => {
      const prompt = prompts.shift();
      if (prompt === undefined) throw new Error("no prompt left");
      const answers = await askMany(picking.url, 12, 4, (n) => ({ text: `${prompt.text} question ${n}` }));
      return answers.every(({ served }) => served === prompt.place);
    };
    // A worker knows at once what it has done itself, and one may hear of the other before the other hears of it.
    const often = async () => {
      for (let n = 0; n < 5; n++) if (!(await agreed())) return false;
      return true;
    };
    await waitFor(often, { intervalMs: 200, timeoutMs: 5_000, what: "both workers to agree" });
    // And it stays so.
    for (let n = 0; n < 3; n++) expect(await agreed()).toBe(true);
    const after = await connections();
    expect(after).toHaveLength(2);
    expect(after.filter((count, worker) => count - (before[worker] ?? 0) < 5)).toEqual([]);
  });

  test("a shared system prompt is computed at few endpoints, and nearly all of it comes from caches", async () => {
    const system = topic();
    await askMany(picking.url, 24, 8, (n) => ({ text: `${system} warm-up ${n}` }));
    const before = await picking.counted();
    const answers = await askMany(picking.url, 240, 8, (n) => ({
      text: `${system} question ${n} `.padEnd(system.length + 300, "?"),
    }));
    expect(tally(answers, ({ status }) => status)).toEqual({ 200: 240 });
    expect(hitRate(answers)).toBeGreaterThan(0.9);
    expect(Object.keys(tally(answers, ({ replica }) => replica)).length).toBeLessThanOrEqual(4);
    // What was foretold is what the engines report, within a block or two of each request.
    const done = async () => {
      const counts = await picking.counted();
      return servedOf(counts) >= servedOf(before) + 240 && counts.get("inflight") === 0 ? counts : undefined;
    };
    const after = await waitFor(done, { what: "the last to be counted" });
    const counted = (kind: string) => {
      const name = `prompt_tokens;kind=${kind}`;
      return (after.get(name) ?? 0) - (before.get(name) ?? 0);
    };
    expect(Math.abs(counted("predicted") / counted("cached") - 1)).toBeLessThan(0.1);
    expect(counted("cached") / counted("all")).toBeGreaterThan(0.8);
  });

  test("the official client streams through it", async () => {
    const client = new OpenAI({ baseURL: `${picking.url}/v1`, apiKey: "none", maxRetries: 0 });
    const content = topic();
    const served: string[] = [];
    const cached: number[] = [];
    for (let round = 0; round < 2; round++) {
      const { data: stream, response } = await client.chat.completions
        .create({
          ...{ model: MODEL, messages: [{ role: "user", content }], max_tokens: 12 },
          ...{ stream: true, stream_options: { include_usage: true } },
        })
        .withResponse();
      served.push(response.headers.get(gateway.SERVED) ?? "");
      let text = "";
      for await (const event of stream) {
        text += event.choices[0]?.delta.content ?? "";
        if (event.usage) cached.push(event.usage.prompt_tokens_details?.cached_tokens ?? 0);
      }
      const replica = replicas.find((one) => addressOf(one) === served.at(-1));
      expect(text).toContain(`model ${MODEL} on replica ${replica?.name}`);
      // The next one may come to the other worker: it has been told when it has counted what came behind.
      await ticked();
      await askMany(picking.url, 12, 4, () => ({ text: topic() }));
      await ticked();
    }
    expect(served[1]).toBe(served[0]);
    expect(cached[0]).toBe(0);
    expect(cached[1]).toBeGreaterThan(1_500);
  });
});
