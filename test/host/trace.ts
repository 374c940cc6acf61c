/** What a context asked of its host: the record behind hostcall budgets and golden traces. */

export interface TraceEntry {
  /** The callback in which the call was made, for example "proxy_on_request_headers". */
  during: string;
  name: string;
  args: readonly (number | bigint)[];
  status: number;
}

/** Entries kept per context; a run-away loop must not fill the memory of the test. The count goes on. */
const maxEntries = 10_000;

export class Trace {
  readonly entries: TraceEntry[] = [];
  #count = 0;

  /** Number of hostcalls, also beyond the kept entries. */
  get count(): number {
    return this.#count;
  }

  add(entry: TraceEntry): void {
    this.#count++;
    if (this.entries.length < maxEntries) this.entries.push(entry);
  }

  calls(name: string): TraceEntry[] {
    return this.entries.filter((entry) => entry.name === name);
  }

  /** One line per call without pointers, for file snapshots. */
  toString(): string {
    return this.entries.map(({ during, name, status }) => `${during}: ${name} -> ${status}`).join("\n");
  }
}
