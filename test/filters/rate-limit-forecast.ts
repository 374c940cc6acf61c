/** What one worker has learned of models and answers, on plain numbers and lists: the reference of the tests for estimates. Written from its description, not from the filter. */

export interface Estimate {
  readonly prompt: number;
  readonly completion: number;
}

/** The class of a token is where it stands; totals include their parts. */
export interface Usage {
  readonly input: number;
  readonly cached: number;
  readonly cacheWrite: number;
  readonly output: number;
  readonly reasoning: number;
}

const between = (least: number, value: number, most: number): number => Math.min(Math.max(value, least), most);

/** Upper ends of the buckets in which answers are counted: quarters of octaves from 16 on. */
const ENDS = [15, ...Array.from({ length: 63 }, (_, i) => 2 ** Math.floor(i / 4) * (20 + (i % 4) * 4) - 1)];

export class ForecastReference {
  readonly #ratios = new Map<string, number>();
  /** Completion tokens of each model's answers; fewer than the 256 after which the filter halves its counts. */
  readonly #answers = new Map<string, number[]>();
  /** Bytes of an answer per token: whole answers and streams. */
  readonly #bytesPerToken = { whole: 4, stream: 200 };

  constructor(readonly tokensPerByte: number) {}

  estimate(model: string, promptBytes: number, declared: number | undefined): Estimate {
    const prompt = Math.ceil(promptBytes * (this.#ratios.get(model) ?? this.tokensPerByte));
    return { prompt, completion: declared ?? this.#usual(model) };
  }

  learn(model: string, promptBytes: number, usage: Usage, answer: { stream: boolean; bytes: number }): void {
    if (usage.input > 0 && promptBytes >= 64) {
      const ratio = this.#ratios.get(model) ?? this.tokensPerByte;
      this.#ratios.set(model, ratio + (between(0.02, usage.input / promptBytes, 4) - ratio) / 16);
    }
    const answers = this.#answers.get(model) ?? [];
    this.#answers.set(model, [...answers, usage.output]);
    if (answers.length > 200)
      throw new Error("the reference keeps all answers; the filter halves its counts after 256");
    if (usage.output < 8 || answer.bytes === 0) return;
    const kind = answer.stream ? "stream" : "whole";
    this.#bytesPerToken[kind] += (between(1, answer.bytes / usage.output, 4096) - this.#bytesPerToken[kind]) / 16;
  }

  /** Tokens of an answer that did not say. */
  tokensOf(answer: { stream: boolean; bytes: number }): number {
    return Math.floor(answer.bytes / this.#bytesPerToken[answer.stream ? "stream" : "whole"]);
  }

  /** Nine of ten answers so far were no longer. */
  #usual(model: string): number {
    const answers = [...(this.#answers.get(model) ?? [])].sort((a, b) => a - b);
    if (answers.length < 16) return 1024;
    const found = answers[Math.ceil(answers.length * 0.9) - 1] ?? 0;
    return ENDS.find((end) => found <= end) ?? 0;
  }
}
