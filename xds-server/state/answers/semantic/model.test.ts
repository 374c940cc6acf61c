import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ModelServer, noModelReason } from "../../../../test/fixtures/embeddings/model-server.ts";
import {
  HELD_OUT_PAIRS,
  MORE_QUESTION_PAIRS,
  type PairKind,
  QUESTION_PAIRS,
} from "../../../../test/fixtures/embeddings/question-pairs.ts";
import { Embeddings } from "./embeddings.ts";
import { SEMANTIC_DEFAULTS } from "./options.ts";
import { tokensOf } from "./text-length.ts";
import { agree, wordingOf } from "./wording.ts";

/** Threshold and word rules by a real model, and the figures of docs/answer-service.md. */

const page = readFileSync(new URL("../../../../docs/answer-service.md", import.meta.url), "utf8");
const TABLES = [QUESTION_PAIRS, MORE_QUESTION_PAIRS, HELD_OUT_PAIRS];

interface Measured {
  readonly kind: PairKind;
  readonly heldOut: boolean;
  readonly cosine: number;
  readonly agree: boolean;
}

/** The first rows of the page's table with that head. */
function linesOf(head: string, count: number): readonly string[] {
  const lines = page.split("\n");
  const from = lines.indexOf(head) + 2;
  return from < 2 ? [] : lines.slice(from, from + count);
}

const reason = noModelReason();
describe("similar questions, with a real model", () => {
  if (reason !== undefined) {
    it("hit", ({ skip }) => skip(reason));
    return;
  }
  let server: ModelServer;
  let embeddings: Embeddings;
  let pairs: readonly Measured[];
  const vectors = new Map<string, Float32Array>();

  const cosine = (one: string, other: string) => {
    const [first, second] = [vectors.get(one) ?? [], vectors.get(other) ?? []];
    return Array.from(first).reduce((sum, each, at) => sum + each * (second[at] ?? 0), 0);
  };

  beforeAll(async () => {
    server = await ModelServer.start();
    embeddings = new Embeddings({ url: server.url, model: SEMANTIC_DEFAULTS.model, timeoutMs: 60_000 });
    const rows = TABLES.flatMap((table) =>
      Object.entries(table).flatMap(([kind, each]) =>
        each.map((pair) => ({ kind: kind as PairKind, pair, heldOut: table === HELD_OUT_PAIRS })),
      ),
    );
    const texts = new Set([...rows.flatMap(({ pair }) => pair), "This is an example sentence"]);
    await Promise.all([...texts].map(async (text) => vectors.set(text, await embeddings.embed(text, false))));
    pairs = rows.map(({ kind, heldOut, pair: [one, other] }) => ({
      kind,
      heldOut,
      cosine: cosine(one, other),
      agree: agree(wordingOf(one), wordingOf(other)),
    }));
  }, 120_000);
  afterAll(async () => {
    embeddings?.close();
    await server?.stop();
  });

  const hits = (threshold: number, words: boolean) =>
    pairs.filter((each) => each.cosine >= threshold && (each.agree || !words));
  const count = (found: readonly Measured[], right: boolean) =>
    found.filter(({ kind }) => (kind === "paraphrase") === right).length;

  it("the model is what it should be", () => {
    // As other implementations of the model have it.
    const expected = [0.067657, 0.063496, 0.048713, 0.079305, 0.037448, 0.002653];
    const vector = vectors.get("This is an example sentence") ?? [];
    expect(vector).toHaveLength(384);
    expect(Array.from(vector).slice(0, 6)).toEqual(expected.map((each) => expect.closeTo(each, 5)));
  });

  it("at the default threshold paraphrases hit, and nothing else does", () => {
    const found = hits(SEMANTIC_DEFAULTS.threshold / 1_000, true);
    expect(found.filter(({ kind }) => kind !== "paraphrase")).toEqual([]);
    expect(found.length / count(pairs, true)).toBeGreaterThan(0.25);
  });

  it("docs/answer-service.md has the figures", () => {
    const [paraphrases, others] = [count(pairs, true), count(pairs, false)];
    const thresholds = [0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98].map((threshold) => {
      const cells = [true, false].flatMap((words) => {
        const found = hits(threshold, words);
        return [count(found, true), count(found, false)];
      });
      return `| ${[threshold.toFixed(2), ...cells].join(" | ")} |`;
    });
    const head = `| threshold | right of ${paraphrases} | wrong of ${others} | right, any words | wrong, any words |`;
    expect(linesOf(head, thresholds.length)).toEqual(thresholds);

    const kinds = [...new Set(pairs.map(({ kind }) => kind))].filter((kind) => kind !== "paraphrase");
    const dangers = linesOf(
      "| differing by | such as | pairs | cosine 0.90 and more | and words agree |",
      kinds.length,
    );
    for (const kind of kinds) {
      const over = (words: boolean) => hits(0.9, words).filter((each) => each.kind === kind).length;
      const all = pairs.filter((each) => each.kind === kind).length;
      expect(dangers.find((line) => line.startsWith(`| ${kind} |`))).toMatch(
        new RegExp(`\\| ${all} \\| ${over(false)} \\| ${over(true)} \\|$`),
      );
    }

    const heldOut = hits(SEMANTIC_DEFAULTS.threshold / 1_000, true).filter((each) => each.heldOut);
    const fresh = pairs.filter((each) => each.heldOut);
    expect(page).toContain(
      `${count(heldOut, true)} of ${count(fresh, true)} paraphrases and ${count(heldOut, false)} of ${count(fresh, false)} others`,
    );
  });

  it("a text that is too long for the model is known as such: its end leaves no trace", async () => {
    const long = "How do I export the monthly report of my team? ".repeat(40);
    const [one, other] = await Promise.all(
      ["in French", "never mind"].map((end) => embeddings.embed(long + end, false)),
    );
    expect(Array.from(one ?? [])).toEqual(Array.from(other ?? []));
    expect(tokensOf(long)).toBeGreaterThan(SEMANTIC_DEFAULTS.maxTokens);
  });
});
