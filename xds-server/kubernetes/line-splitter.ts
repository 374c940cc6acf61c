/** Bytes in chunks of any size -> lines. A watch is one JSON object per line. */
import { ApiError } from "./api-error.ts";

const NEWLINE = 0x0a;

export class LineSplitter {
  readonly #max: number;
  readonly #what: string;
  #parts: Buffer[] = [];
  #bytes = 0;

  /** @param max bytes of a line @param what for the message */
  constructor(max: number, what: string) {
    this.#max = max;
    this.#what = what;
  }

  /** Nothing of a line that has not ended is kept. */
  get empty(): boolean {
    return this.#bytes === 0;
  }

  /** The lines that this chunk has ended, without empty ones. O(bytes). @throws ApiError "too_large" */
  *push(chunk: Buffer): Generator<string> {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#keep(chunk.subarray(from, at));
      const line = Buffer.concat(this.#parts).toString("utf8");
      this.#parts = [];
      this.#bytes = 0;
      from = at + 1;
      if (line !== "") yield line;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
  }

  #keep(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > this.#max)
      throw new ApiError("too_large", `an event of ${this.#what} has more than ${this.#max} bytes`);
    this.#parts.push(part);
  }
}
