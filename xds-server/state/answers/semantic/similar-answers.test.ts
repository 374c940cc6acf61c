import { Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../../envoy/harness/index.ts";
import { entryOf } from "../../../../test/fixtures/answer-entry.ts";
import { FakeEndpoint } from "../../../../test/fixtures/embeddings/fake-endpoint.ts";
import { silentLogger } from "../../../log.ts";
import { AnswerCalls } from "../answer-calls.ts";
import { MemoryStore } from "../memory-store.ts";
import { createAnswerMetrics } from "../metrics.ts";
import type { GetRequest } from "../protocol.ts";
import { ALL, PurgeKind, type PurgeTarget } from "../purge.ts";
import { StoreError } from "../store.ts";
import { SemanticAnswers } from "./index.ts";
import { MAX_FAILURES, MAX_LOOKUPS } from "./limits.ts";
import { createSemanticMetrics } from "./metrics.ts";
import type { SemanticOptions } from "./options.ts";

/** Who is given the answer to somebody else's question: with answers in memory, and an endpoint that makes of a text what the test says. */

const [TENANT, MODEL] = ["1".repeat(16), "2".repeat(16)];
const [P, Q] = ["aa".repeat(16), "bb".repeat(16)];
const key = (n: number) => n.toString(16).padStart(32, "0");
/** A direction by its angle to the first axis: two are as near as the cosine of what is between them. */
const angle = (permille: number): readonly number[] => [permille / 1_000, Math.sqrt(1 - (permille / 1_000) ** 2)];

let fake: FakeEndpoint;
const opened: SemanticAnswers[] = [];
beforeEach(async () => {
  fake = await FakeEndpoint.start();
  fake.vectors.set("the question", angle(1_000));
});
afterEach(async () => {
  for (const each of opened.splice(0)) each.close();
  await fake.stop();
});

function start(options: Partial<SemanticOptions> = {}) {
  const registry = new Registry();
  const clock = { now: 10_000_000 };
  const store = new MemoryStore({ maxBytes: 1e9, now: () => clock.now });
  const metrics = createAnswerMetrics(registry, { up: () => true, pollers: () => 0, memory: () => undefined });
  const similar = createSemanticMetrics(registry);
  const semantic = new SemanticAnswers({
    options: { url: fake.url, words: "any", timeoutMs: 5_000, ...options },
    redis: undefined,
    metrics: similar,
    log: silentLogger,
  });
  opened.push(semantic);
  const calls = new AnswerCalls({ store, metrics, log: silentLogger, semantic, now: () => clock.now });
  const count = async (name: string, result: string) =>
    Number(
      (await registry.getSingleMetricAsString(`tokenmesh_answers_${name}_total`)).match(
        new RegExp(`result="${result}"\\} (\\d+)`),
      )?.[1],
    );
  const done = async () => {
    let sum = 0;
    for (const result of ["stored", "long", "failed", "open", "busy", "refused", "timeout"])
      sum += await count("similar_puts", result);
    return sum;
  };
  return {
    clock,
    store,
    calls,
    semantic,
    count,
    /** Resolves when the question is remembered, or is not going to be. */
    put: async (n: number, text: string, more: Parameters<typeof entryOf>[0] = {}, partition = P) => {
      const before = await done();
      const value = entryOf({ storedAt: clock.now, tenant: TENANT, model: MODEL, body: `{"n":${n}}`, ...more });
      expect(await calls.put({ key: key(n), ttlMs: 60_000, value, question: { partition, text } })).toBe(true);
      await waitFor(async () => (await done()) > before, { what: "the question to be remembered" });
    },
    get: (text: string, permille = 0, more: Partial<GetRequest> = {}, partition = P) =>
      calls.get({ key: key(999), tenant: TENANT, model: MODEL, question: { partition, text, permille }, ...more }),
  };
}

describe("an answer to a similar question", () => {
  it("is given from the threshold on, with its key and how similar the question is", async () => {
    const { put, get, count, clock } = start({ threshold: 950 });
    await put(1, "the question");
    fake.vectors.set("near", angle(950)).set("far", angle(949));
    clock.now += 5_000;
    const found = await get("near");
    expect(found?.value.toString()).toMatch(/\{"n":1\}$/);
    expect([found?.ageMs, found?.similar]).toMatchObject([5_000, { key: key(1), permille: 950 }]);
    expect(await get("far")).toBeUndefined();
    expect((await get("far", 949))?.similar?.permille).toBe(949);
    expect(await get("near", 951)).toBeUndefined();
    expect([await count("gets", "similar"), await count("gets", "miss"), await count("gets", "hit")]).toEqual([
      2, 2, 0,
    ]);
    expect([await count("similar_gets", "hit"), await count("similar_gets", "none")]).toEqual([2, 2]);
  });

  it("is not looked for when there is one to the very question, nor when nobody asks for it", async () => {
    const { put, get, calls } = start();
    await put(1, "the question");
    const asked = fake.calls.length;
    expect((await get("the question", 0, { key: key(1) }))?.similar).toBeUndefined();
    expect(await calls.get({ key: key(999), tenant: TENANT, model: MODEL })).toBeUndefined();
    expect(fake.calls).toHaveLength(asked);
  });

  it("is the nearest that can be given", async () => {
    const { put, get, store } = start();
    for (const [n, permille] of [980, 999, 990].entries()) {
      fake.vectors.set(`question ${n}`, angle(permille));
      await put(n, `question ${n}`);
    }
    expect((await get("the question"))?.similar?.key).toBe(key(1));
    await store.purge({ kind: PurgeKind.key, hash: key(1) }, 10_000_000);
    expect((await get("the question"))?.similar?.key).toBe(key(2));
  });

  it("stays in its partition; in the same one it stays with its tenant and its model", async () => {
    const { put, get, count, semantic } = start();
    await put(1, "the question");
    expect(await get("the question", 1, {}, Q)).toBeUndefined();
    expect(await get("the question", 1, { tenant: MODEL })).toBeUndefined();
    expect(await get("the question", 1, { model: TENANT })).toBeUndefined();
    expect(semantic.view()).toMatchObject({ questions: 1 });
    expect((await get("the question", 1))?.similar?.permille).toBe(1_000);
    expect(await count("similar_gets", "gone")).toBe(2);
  });

  it.each([
    ["its key", { kind: PurgeKind.key, hash: key(1) }],
    ["its model", { kind: PurgeKind.model, hash: MODEL }],
    ["its tenant", { kind: PurgeKind.tenant, hash: TENANT }],
    ["all", ALL],
  ] as const)("is not given when %s was purged, until there is a new one", async (_what, target: PurgeTarget) => {
    const { put, get, store, clock, semantic } = start();
    await put(1, "the question");
    await store.purge(target, clock.now);
    expect(await get("the question")).toBeUndefined();
    expect(semantic.view()).toMatchObject({ questions: 0 });
    clock.now += 1;
    await put(1, "the question", { storedAt: clock.now - 1 });
    expect(await get("the question")).toBeUndefined();
    await put(1, "the question");
    expect(await get("the question")).toBeDefined();
  });

  it("is not given when it is stale, when its life is over, and when it is damaged", async () => {
    const { put, get, store, clock } = start();
    await put(1, "the question", { storedAt: 10_000_000 - 3_600_000 + 5_000 });
    clock.now += 4_999;
    expect(await get("the question")).toBeDefined();
    clock.now += 1;
    expect(await get("the question")).toBeUndefined();
    await put(2, "the question");
    clock.now += 59_999;
    expect(await get("the question")).toBeDefined();
    clock.now += 1;
    expect(await get("the question")).toBeUndefined();
    await put(3, "the question");
    await store.put(key(3), Buffer.from("broken"), 60_000);
    expect(await get("the question")).toBeUndefined();
  });

  it("is only found if words agree, unless any will do", async () => {
    const { put, get, count } = start({ words: "agree" });
    fake.vectors
      .set("revenues in 2025", angle(1_000))
      .set("revenues in 2026", angle(999))
      .set("the revenues in 2025", angle(990));
    await put(1, "revenues in 2025");
    expect(await get("revenues in 2026")).toBeUndefined();
    expect(await count("similar_gets", "words")).toBe(1);
    expect((await get("the revenues in 2025"))?.similar?.permille).toBe(990);
    const any = start({ words: "any" });
    await any.put(1, "revenues in 2025");
    expect(await any.get("revenues in 2026")).toBeDefined();
  });

  it("takes so many lookups, and no more, when those that are near are gone", async () => {
    const { put, get, store, semantic } = start();
    const most = MAX_LOOKUPS + 2;
    for (let n = 0; n < most; n++) await put(n, "the question");
    for (let n = 0; n < most; n++) await store.purge({ kind: PurgeKind.key, hash: key(n) }, 10_000_000);
    let lookups = 0;
    const get_ = store.get.bind(store);
    store.get = (address) => {
      lookups++;
      return get_(address);
    };
    expect(await get("the question")).toBeUndefined();
    expect([lookups, semantic.view()]).toEqual([1 + MAX_LOOKUPS, expect.objectContaining({ questions: 2 })]);
  });
});

describe("the endpoint", () => {
  it("is asked once for a question that found nothing and the answer that it got then; in another partition again", async () => {
    const { put, get } = start();
    await put(1, "the question");
    fake.vectors.set("another", angle(0));
    expect(await get("another")).toBeUndefined();
    await put(2, "another");
    expect((await get("another"))?.similar?.key).toBe(key(2));
    expect(fake.texts).toEqual(["the question", "another"]);
    await put(3, "another", {}, Q);
    expect(fake.texts).toEqual(["the question", "another", "another"]);
  });

  it("is not asked where nothing is stored, nor for texts that are too long for its model or say nothing", async () => {
    const { put, get, count } = start({ maxTokens: 10 });
    expect(await get("the question")).toBeUndefined();
    await put(1, "eleven ".repeat(6));
    expect(await get(" \n ")).toBeUndefined();
    expect(fake.calls).toEqual([]);
    expect([await count("similar_puts", "long"), await count("similar_gets", "long")]).toEqual([1, 1]);
    await put(2, "ten ".repeat(10));
    expect(fake.calls).toHaveLength(1);
  });

  it.each([
    ["down", { status: 500, body: "" }, "failed"],
    ["silent", "hang", "timeout"],
    ["choosy", { status: 422, body: "" }, "refused"],
  ] as const)("that is %s makes misses, and answers are found again when it is back", async (_what, answer, reason) => {
    const { put, get, calls, count, clock } = start({ timeoutMs: 100 });
    await put(1, "the question");
    fake.vectors.set("near", angle(990));
    fake.answer = () => answer;
    expect(await get("near")).toBeUndefined();
    expect(await count("similar_gets", reason)).toBe(1);
    const value = entryOf({ storedAt: clock.now, tenant: TENANT, model: MODEL });
    expect(await calls.put({ key: key(5), ttlMs: 60_000, value, question: { partition: P, text: "new" } })).toBe(true);
    expect(await get("new", 0, { key: key(5) })).toBeDefined();
    fake.answer = undefined;
    expect(await get("near")).toBeDefined();
  });

  it("that fails again and again is left alone: misses cost nothing then", async () => {
    const { put, get, count, semantic } = start();
    await put(1, "the question");
    fake.answer = () => ({ status: 500, body: "" });
    for (let n = 0; n < 3 * MAX_FAILURES; n++) expect(await get(`question ${n}`)).toBeUndefined();
    expect(fake.calls).toHaveLength(1 + MAX_FAILURES);
    expect(await count("similar_gets", "open")).toBe(2 * MAX_FAILURES);
    expect(semantic.view()).toMatchObject({ up: false });
  });
});

describe("a store that fails", () => {
  it("is not asked for a similar answer when it could not say whether it has the very one", async () => {
    const { put, get, store, count } = start();
    await put(1, "the question");
    store.get = () => Promise.reject(new StoreError("unavailable", "no"));
    expect(await get("the question")).toBeUndefined();
    expect([fake.calls.length, await count("similar_gets", "failed")]).toEqual([1, 0]);
  });

  it("in the midst of it makes a miss, and the question stays", async () => {
    const { put, get, store, semantic } = start();
    await put(1, "the question");
    const replies = [undefined, new StoreError("busy", "no")];
    store.get = () => {
      const reply = replies.shift();
      return reply === undefined ? Promise.resolve(undefined) : Promise.reject(reply);
    };
    expect(await get("the question")).toBeUndefined();
    expect(semantic.view()).toMatchObject({ questions: 1 });
  });
});

describe("options", () => {
  it.each(["", "nonsense", "ftp://h/v1", "http://user:secret@h/v1", "http://h/v1?key=secret"])(
    "%j is no URL of an API, and is not repeated",
    (url) => {
      expect(() => start({ url })).toThrow(/^TM_USAGE /);
      expect(() => start({ url })).not.toThrow(/secret/);
    },
  );
});
