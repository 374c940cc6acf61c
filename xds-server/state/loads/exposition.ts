/**
 * Samples of the text format of Prometheus, of some metrics only. Lines of other metrics are passed over without being read; a line that begins with a wanted
 * name must be well-formed, else the whole text is refused: half a text is worse than none.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import { MAX_LABELS, MAX_SAMPLES } from "./limits.ts";

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/** What is wrong with a text. */
export class ExpositionError extends Error {
  override readonly name = "ExpositionError";
}

/**
 * In the order of the text; O(bytes).
 * @throws ExpositionError for a malformed line of a wanted metric, or too many of them
 */
export function samplesOf(text: string, wanted: ReadonlySet<string>): readonly Sample[] {
  const samples: Sample[] = [];
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf("\n", start);
    const end = newline < 0 ? text.length : newline;
    const name = nameAt(text, start, end);
    if (wanted.has(name)) {
      if (samples.length === MAX_SAMPLES) throw new ExpositionError(`more than ${MAX_SAMPLES} samples`);
      const line = text.slice(start + name.length, end).replace(/\r$/, "");
      samples.push(new SampleLine(name, line).read());
    }
    start = end + 1;
  }
  return samples;
}

/** Longer than any name that is wanted. */
const MAX_NAME = 64;

function nameAt(text: string, start: number, end: number): string {
  let at = start;
  while (at < end && at - start <= MAX_NAME && isNameCode(text.charCodeAt(at))) at++;
  return text.slice(start, at);
}

/** `[a-zA-Z0-9_:]` */
function isNameCode(code: number): boolean {
  const letter = code | 0x20;
  return (letter >= 0x61 && letter <= 0x7a) || (code >= 0x30 && code <= 0x3a) || code === 0x5f;
}

/** A value and, if need be, a timestamp. */
const VALUE = /^([^ \t]+)(?:[ \t]+-?\d+)?[ \t]*$/;
const NUMBER = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?$/;
const LABEL_NAME = /[a-zA-Z_][a-zA-Z0-9_]*/y;
const SPACES = /[ \t]*/y;

/** Reads what follows the name: `{label="value",...} value [timestamp]`. */
class SampleLine {
  readonly #name: string;
  readonly #line: string;
  #at = 0;

  constructor(name: string, line: string) {
    this.#name = name;
    this.#line = line;
  }

  read(): Sample {
    const spaces = this.#match(SPACES);
    const isLabelled = this.#take("{");
    const labels = isLabelled ? this.#labels() : new Map<string, string>();
    if (isLabelled) this.#match(SPACES);
    else if (spaces === "") this.#fail("a bad name");
    const [, text = ""] = VALUE.exec(this.#line.slice(this.#at)) ?? [];
    return { name: this.#name, labels, value: this.#number(text) };
  }

  #labels(): Map<string, string> {
    const labels = new Map<string, string>();
    for (;;) {
      this.#match(SPACES);
      if (this.#take("}")) return labels;
      const name = this.#match(LABEL_NAME);
      this.#match(SPACES);
      if (name === "" || labels.has(name) || labels.size === MAX_LABELS || !this.#take("=")) this.#fail("a bad label");
      this.#match(SPACES);
      labels.set(name, this.#quoted());
      this.#match(SPACES);
      if (!this.#take(",") && this.#line[this.#at] !== "}") this.#fail("labels without a comma");
    }
  }

  /** A text in quotes, with `\\`, `\"` and `\n`. */
  #quoted(): string {
    if (!this.#take('"')) this.#fail("a label without quotes");
    let value = "";
    for (let from = this.#at; ; ) {
      const code = this.#line[this.#at];
      if (code === undefined) return this.#fail("a label without an end");
      if (code === '"') {
        value += this.#line.slice(from, this.#at++);
        return value;
      }
      if (code === "\\") {
        value += this.#line.slice(from, this.#at);
        const escaped = this.#line[this.#at + 1];
        if (escaped === "n") value += "\n";
        else if (escaped === '"' || escaped === "\\") value += escaped;
        else return this.#fail("a bad escape");
        this.#at += 2;
        from = this.#at;
      } else this.#at++;
    }
  }

  /** Of a gauge: NaN and infinities are numbers for Prometheus, and no loads. */
  #number(text: string): number {
    if (NUMBER.test(text)) return Number(text);
    return this.#fail("no number");
  }

  #take(character: string): boolean {
    if (this.#line[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#line)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  #fail(what: string): never {
    throw new ExpositionError(`${what} in a line of ${this.#name}`);
  }
}
