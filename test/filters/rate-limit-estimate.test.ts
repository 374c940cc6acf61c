import { encode as cl100k } from "gpt-tokenizer/encoding/cl100k_base";
import { encode as o200k } from "gpt-tokenizer/encoding/o200k_base";
import { describe, expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import { type Kind, prompts } from "./prompt-texts.ts";
import { LimitHost, told } from "./rate-limit-driver.ts";

/**
 * How far what the filter reserves for a prompt is from what a real tokenizer makes of it, before it has seen any answer and after 50. The figures are printed; asserted is only what
 * holds with a wide margin.
 */

const KINDS: Kind[] = ["English", "Chinese", "code", "mixed"];
const ENCODINGS = { o200k, cl100k };
/** Around one message: three for it, one for its role, three for the beginning of the answer. */
const TEMPLATE = 7;
const SAMPLES = 50;
const MEASURED = 200;
const AMOUNT = 1_000_000_000;

class Estimator {
  #keys = 0;

  private constructor(private readonly filter: LimitHost) {}

  static async start(): Promise<Estimator> {
    const limits = [{ unit: "promptTokens", amount: AMOUNT, per: "month" }];
    return new Estimator(await LimitHost.start({ rules: [{ name: "r", key: [{ header: "x-key" }], limits }] }));
  }

  /** Tokens that were reserved for the prompt. The answer is an error, from which nothing is learned. */
  reserved(model: string, text: string): number {
    const stream = this.filter.answerWith(this.#ask(model, text), "{}", "500");
    return AMOUNT - Number(told(stream)["remaining-tokens"]);
  }

  learn(model: string, text: string, input: number): void {
    this.filter.answer(this.#ask(model, text), { input, output: 20 });
  }

  /** Each with a budget of its own. */
  #ask(model: string, content: string): Stream {
    return this.filter.ask({ model, messages: [{ role: "user", content }] }, [["x-key", String(this.#keys++)]]);
  }
}

interface Errors {
  /** Difference over the true number; half of all prompts, and nine of ten, are no further off. */
  readonly p50: number;
  readonly p90: number;
  /** Reserved over true, all prompts together: below 1 is what a budget can be overrun by. */
  readonly total: number;
}

type Count = (text: string) => number;

function errors(estimator: Estimator, model: string, texts: readonly string[], count: Count): Errors {
  const pairs = texts.map((text) => ({ reserved: estimator.reserved(model, text), real: count(text) }));
  const off = pairs.map(({ reserved, real }) => Math.abs(reserved - real) / real).sort((a, b) => a - b);
  const at = (share: number): number => off[Math.ceil(off.length * share) - 1] ?? Number.NaN;
  const sum = (which: "reserved" | "real"): number => pairs.reduce((all, pair) => all + pair[which], 0);
  return { p50: at(0.5), p90: at(0.9), total: sum("reserved") / sum("real") };
}

async function measure(kind: Kind, count: Count): Promise<{ before: Errors; after: Errors }> {
  const estimator = await Estimator.start();
  const texts = prompts(kind, MEASURED, 1);
  const before = errors(estimator, "m", texts, count);
  for (const text of prompts(kind, SAMPLES, 2)) estimator.learn("m", text, count(text));
  return { before, after: errors(estimator, "m", texts, count) };
}

const percent = (share: number): string => `${(100 * share).toFixed(1)}%`.padStart(7);
const row = ({ p50, p90, total }: Errors): string =>
  `p50 ${percent(p50)}  p90 ${percent(p90)}  total ${percent(total)}`;

describe.each(Object.entries(ENCODINGS))("the estimate of a prompt, counted by %s", (encoding, encode) => {
  const count: Count = (text) => encode(text).length + TEMPLATE;

  it("is near the truth after 50 answers", async () => {
    const found = new Map<Kind, { before: Errors; after: Errors }>();
    for (const kind of KINDS) found.set(kind, await measure(kind, count));
    for (const [kind, { before, after }] of found) {
      console.info(`${encoding} ${kind.padEnd(8)} before ${row(before)} | after ${row(after)}`);
    }
    for (const { after } of found.values()) {
      expect(after.p50).toBeLessThan(0.2);
      expect(after.p90).toBeLessThan(0.35);
      // Too much reserved refuses too early; too little lets a budget be overrun by as much.
      expect(after.total).toBeGreaterThan(0.9);
      expect(after.total).toBeLessThan(1.3);
    }
    for (const kind of ["Chinese", "code"] as const) {
      const { before, after } = found.get(kind) ?? {};
      expect(after?.p90).toBeLessThan(before?.p90 ?? 0);
    }
  });

  it("is learned for each model: what others ask of theirs does not move it", async () => {
    const estimator = await Estimator.start();
    const texts = prompts("English", MEASURED, 3);
    const learn = () => {
      for (const text of prompts("English", SAMPLES, 4)) estimator.learn("english", text, count(text));
    };
    learn();
    const alone = errors(estimator, "english", texts, count);
    for (const text of prompts("Chinese", SAMPLES, 5)) estimator.learn("chinese", text, count(text));
    expect(errors(estimator, "english", texts, count)).toEqual(alone);
    for (const kind of KINDS) {
      for (const text of prompts(kind, SAMPLES, 6)) estimator.learn("shared", text, count(text));
    }
    const shared = KINDS.map(
      (kind) => `${kind}: ${row(errors(estimator, "shared", prompts(kind, MEASURED, 7), count))}`,
    );
    console.info(`${encoding}, one model for all\n  ${shared.join("\n  ")}`);
  });
});
