import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type EmbeddingsCall, FakeEndpoint } from "../../../../test/fixtures/embeddings/fake-endpoint.ts";
import { Embeddings, type EmbeddingsOptions } from "./embeddings.ts";
import type { EmbeddingError } from "./embeddings-call.ts";
import { MAX_CALLS, MAX_FAILURES, MAX_LATER, MAX_URGENT, MIN_PAUSE_MS } from "./limits.ts";

/** Against an endpoint that does what a test wants. */

let fake: FakeEndpoint;
beforeEach(async () => {
  fake = await FakeEndpoint.start();
});
afterEach(async () => {
  await fake.stop();
});

function open(options: Partial<EmbeddingsOptions> = {}) {
  const calls: string[] = [];
  const embeddings = new Embeddings({
    url: fake.url,
    model: "m",
    timeoutMs: 5_000,
    onCall: (result) => calls.push(result),
    ...options,
  });
  const reason = (embedded: Promise<unknown>) =>
    embedded.then(
      () => "ok",
      (error: EmbeddingError) => error.reason,
    );
  return { embeddings, calls, embed: (text: string, urgent = true) => reason(embeddings.embed(text, urgent)) };
}

describe("embeddings", () => {
  it("are of unit length, each for its own text, asked for as the API wants it", async () => {
    fake.vectors.set("a", [3, 4]).set("b", [0, -2]);
    fake.answer = ({ input }) => ({
      body: { data: input.map((text, index) => ({ index, embedding: fake.vectorOf(text) })).reverse() },
    });
    const { embeddings, calls } = open({ url: `${fake.url}/`, key: "s3cret" });
    const [a, b] = await Promise.all([embeddings.embed("a", true), embeddings.embed("b", true)]);
    expect([Array.from(a), Array.from(b)]).toEqual([
      [expect.closeTo(0.6), expect.closeTo(0.8)],
      [0, -1],
    ]);
    expect(fake.calls).toEqual([
      { path: "/v1/embeddings", authorization: "Bearer s3cret", model: "m", input: ["a", "b"] },
    ]);
    expect(calls).toEqual(["ok"]);
    await open().embed("c");
    expect(fake.calls[1]?.authorization).toBeUndefined();
  });

  it("go out in batches, so many at a time; who waits comes first", async () => {
    const held: EmbeddingsCall[] = [];
    const { embeddings, embed } = open({ batch: 2 });
    fake.answer = (call) => {
      held.push(call);
      return undefined;
    };
    const later = Array.from({ length: 5 }, (_, n) => embed(`later ${n}`, false));
    const urgent = Array.from({ length: 3 }, (_, n) => embed(`urgent ${n}`));
    expect(embeddings.waiting).toBe(8);
    expect(new Set(await Promise.all([...later, ...urgent]))).toEqual(new Set(["ok"]));
    expect(held.map(({ input }) => input.length).sort()).toEqual([1, 1, 2, 2, 2]);
    expect(held.slice(0, MAX_CALLS).flatMap(({ input }) => input)).toEqual(
      expect.arrayContaining(["urgent 0", "urgent 2"]),
    );
  });

  it.each([
    ["an error", { status: 500, body: "{}" }, "failed"],
    ["too many requests", { status: 429, body: "{}" }, "failed"],
    ["no right", { status: 401, body: "{}" }, "failed"],
    ["a way elsewhere", { status: 307, body: "" }, "failed"],
    ["no JSON", { body: "<html>" }, "failed"],
    ["something else", { body: { error: "x" } }, "failed"],
    ["null", { body: "null" }, "failed"],
    ["too few", { body: { data: [] } }, "failed"],
    ["a number that is none", { body: { data: [{ embedding: [1, "2"] }] } }, "failed"],
    ["no direction", { body: { data: [{ embedding: [0, 0] }] } }, "failed"],
    ["beyond numbers", { body: '{"data":[{"embedding":[1e999,1]}]}' }, "failed"],
    ["too long a vector", { body: { data: [{ embedding: Array.from({ length: 4_097 }, () => 1) }] } }, "failed"],
    ["too much", { body: " ".repeat(5_000_000) }, "failed"],
    ["a refusal", { status: 400, body: "{}" }, "refused"],
    ["nothing", "hang", "timeout"],
  ] as const)("that are %s are an error", async (_what, answer, reason) => {
    const { embed } = open({ timeoutMs: 200 });
    fake.answer = ({ path }) => (path === "/other" ? undefined : answer);
    expect(await embed("a")).toBe(reason);
    fake.answer = undefined;
    expect(await embed("a")).toBe("ok");
  });

  it("of different lengths in one answer are an error", async () => {
    fake.vectors.set("a", [1, 2]).set("b", [1, 2, 3]);
    const { embed } = open();
    expect(await Promise.all([embed("a"), embed("b")])).toEqual(["failed", "failed"]);
  });

  it("of a text that is refused fail, those beside it do not, and the endpoint is asked on", async () => {
    const { embed, embeddings } = open();
    fake.answer = ({ input }) => (input.includes("poison") ? { status: 400, body: "{}" } : undefined);
    for (let n = 0; n < 2 * MAX_FAILURES; n++)
      expect(await Promise.all([embed("a"), embed("poison"), embed("b")])).toEqual(["ok", "refused", "ok"]);
    for (let n = 0; n < 2 * MAX_FAILURES; n++) expect(await embed("poison")).toBe("refused");
    expect(embeddings.up).toBe(true);
  });

  it("are not asked for after failures; after a pause one call shows that the endpoint is back", async () => {
    let now = 0;
    const { embed, embeddings } = open({ now: () => now, batch: 1 });
    fake.answer = () => ({ status: 503, body: "" });
    for (let n = 0; n < MAX_FAILURES; n++) expect(await embed("a")).toBe("failed");
    expect([await embed("a"), await embed("a", false), embeddings.up]).toEqual(["open", "open", false]);
    expect(fake.calls).toHaveLength(MAX_FAILURES);
    now = MIN_PAUSE_MS;
    expect(await Promise.all([embed("a"), embed("a")])).toEqual(["failed", "open"]);
    fake.answer = undefined;
    now += 2 * MIN_PAUSE_MS;
    expect([await embed("a"), embeddings.up, await embed("a")]).toEqual(["ok", true, "ok"]);
    expect(fake.calls).toHaveLength(MAX_FAILURES + 3);
  });

  it("that nobody can get any more do not pile up, and what waits too long is not asked for", async () => {
    const { embed, embeddings } = open({ timeoutMs: 300, batch: 1 });
    fake.answer = () => "hang";
    const urgent = Array.from({ length: MAX_URGENT + 5 }, (_, n) => embed(String(n)));
    const later = Array.from({ length: MAX_LATER + 5 }, (_, n) => embed(String(n), false));
    const results = await Promise.all([...urgent]);
    expect(results.filter((each) => each === "busy")).toHaveLength(5);
    expect(results.filter((each) => each === "timeout")).toHaveLength(MAX_URGENT);
    expect(fake.calls.length).toBeLessThanOrEqual(MAX_CALLS + MAX_FAILURES);
    embeddings.close();
    expect((await Promise.all(later)).filter((each) => each === "busy")).toHaveLength(5);
    expect(embeddings.waiting).toBe(0);
  });

  it("fail when nothing listens there", async () => {
    const { embed } = open({ url: "http://127.0.0.1:1/v1" });
    expect(await embed("a")).toBe("failed");
  });
});
