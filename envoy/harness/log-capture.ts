/**
 * Collects the output of one Envoy: bounded memory, whole lines, continuation lines joined to their entry. Error entries are kept apart, so that a
 * chatty log cannot push the one line that matters out of the window.
 */
import { formatLogEntry, type LogEntry, parseLogLine } from "./log-line.ts";
import { waitFor } from "./wait-for.ts";

type Stream = LogEntry["stream"];
type MutableEntry = { -readonly [K in keyof LogEntry]: LogEntry[K] };

const maxEntries = 20_000;
const maxErrors = 200;
/** A line without end, or an entry with endless continuation lines, is cut at this many characters. */
const maxEntryLength = 64 * 1024;

export class LogCapture {
  /** The newest entries, oldest first; at most 20,000. */
  readonly entries: LogEntry[] = [];
  readonly #errors: LogEntry[] = [];
  readonly #allowed: RegExp[];
  readonly #partial: Record<Stream, string> = { stdout: "", stderr: "" };
  #current: MutableEntry | undefined;

  constructor(allowErrors: readonly RegExp[] = []) {
    this.#allowed = [...allowErrors];
  }

  /** Takes the next piece of output, cut anywhere. */
  write(stream: Stream, chunk: string): void {
    const lines = (this.#partial[stream] + chunk).split("\n");
    const rest = lines.pop() ?? "";
    for (const line of lines) this.#line(stream, line);
    this.#partial[stream] = rest.slice(0, maxEntryLength);
  }

  /** Takes an unfinished last line as it is; to be called once the process has ended. */
  end(): void {
    for (const stream of ["stdout", "stderr"] as const) {
      if (this.#partial[stream] !== "") this.#line(stream, this.#partial[stream]);
      this.#partial[stream] = "";
    }
  }

  #line(stream: Stream, line: string): void {
    const parsed = parseLogLine(line);
    if (parsed === undefined && stream === "stderr" && this.#current !== undefined) {
      if (this.#current.message.length < maxEntryLength) this.#current.message += `\n${line}`;
      return;
    }
    const entry: MutableEntry = { stream, ...(parsed ?? { level: "none", logger: "", message: line }) };
    if (stream === "stderr") this.#current = parsed === undefined ? undefined : entry;
    this.entries.push(entry);
    if (this.entries.length > maxEntries) this.entries.splice(0, maxEntries / 10);
    if ((entry.level === "error" || entry.level === "critical") && this.#errors.length < maxErrors)
      this.#errors.push(entry);
  }

  /** From now on, and for what is already logged, entries that match are expected. */
  allow(pattern: RegExp): void {
    this.#allowed.push(pattern);
  }

  /** `error` and `critical` entries that no allowed pattern covers. */
  unexpectedErrors(): LogEntry[] {
    return this.#errors.filter((entry) => !this.#allowed.some((pattern) => matches(pattern, entry)));
  }

  /** Entries whose `[level][logger] message` matches. */
  find(pattern: RegExp): LogEntry[] {
    return this.entries.filter((entry) => matches(pattern, entry));
  }

  /** Resolves to the first entry that matches, now or within the deadline. */
  waitFor(pattern: RegExp, timeoutMs = 10_000): Promise<LogEntry> {
    return waitFor(() => this.entries.find((entry) => matches(pattern, entry)), {
      timeoutMs,
      what: `log line ${pattern}`,
    });
  }

  /** The last `count` entries as text. */
  tail(count = 30): string {
    return this.entries.slice(-count).map(formatLogEntry).join("\n");
  }
}

function matches(pattern: RegExp, entry: LogEntry): boolean {
  pattern.lastIndex = 0; // a /g or /y pattern keeps state between two calls
  return pattern.test(formatLogEntry(entry));
}
