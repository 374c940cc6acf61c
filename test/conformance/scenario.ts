/**
 * A conformance scenario: requests to send and what must be seen of them. The table (scenarios.ts) is data; a driver
 * carries it out on the test host or on a real Envoy and returns what it saw.
 *
 * The module under test is wasm/probe.ts, which reports by log lines `conformance|<scenario>|<fact>`.
 */

/** Plugin configurations that the scenarios need; every driver provides a listener for each. */
export const listeners = {
  main: { config: "plain", vmConfig: "vm-text", flag: true, policy: "FAIL_CLOSED" },
  "flag-off": { config: "guard", vmConfig: "", flag: false, policy: "FAIL_CLOSED" },
  guard: { config: "guard", vmConfig: "", flag: true, policy: "FAIL_CLOSED" },
  ticks: { config: "ticks", vmConfig: "", flag: true, policy: "FAIL_CLOSED" },
  reload: { config: "reload", vmConfig: "", flag: true, policy: "FAIL_RELOAD" },
  closed: { config: "closed", vmConfig: "", flag: true, policy: "FAIL_CLOSED" },
  open: { config: "open", vmConfig: "", flag: true, policy: "FAIL_OPEN" },
  "legacy-open": { config: "legacy", vmConfig: "", flag: true, policy: "fail_open" },
  large: { config: "large", vmConfig: "", flag: true, policy: "FAIL_CLOSED" },
  restricted: { config: "restricted", vmConfig: "", flag: true, policy: "FAIL_CLOSED" },
} as const;
export type ListenerName = keyof typeof listeners;

/** Bytes that a paused stream may hold. */
export const bufferLimitOf = (listener: ListenerName): number => (listener === "large" ? 1024 : 64) * 1024;

export interface Step {
  /** Default: the name of the scenario. */
  path?: string;
  /** Appended to the path, with its question mark. */
  query?: string;
  listener?: ListenerName;
  headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Body chunks; a number stands for that many bytes of "x". A request without chunks is a GET. */
  chunks?: readonly (string | number)[];
  /** Facts to wait for before the next chunk (or the end) is sent, one per chunk; "" = do not wait. */
  awaits?: readonly string[];
  /** Sent after the last chunk. */
  trailers?: Readonly<Record<string, string>>;
  /** The client goes away when this fact has been reported. */
  abortAfter?: string;
  /** Repeated until the client sees this status, at most some seconds. */
  untilStatus?: number;
  /** The last fact of the step; default "delete". "" when the module cannot say anything any more. */
  last?: string;
  /**
   * Facts that begin so come from another thread: their place among the others is open, so they are compared behind them. The step ends when
   * the last fact of each thread was reported.
   */
  elsewhere?: string;
}

export interface Seen {
  facts: readonly string[];
  /** "reset" when the connection or stream was cut. Headers: those named in the expectation, null when absent. */
  client: { status: number; headers?: Record<string, string | null>; body?: string } | "reset";
  /** What the upstream received; null when nothing arrived. */
  upstream?: { cluster: string; headers?: Record<string, string | null>; body?: string } | null;
}

export interface Scenario {
  name: string;
  /** Why it matters, in a clause. */
  about: string;
  steps: readonly (Step & { expect: Seen })[];
}

/** What a driver reports before it is narrowed to what the expectation names. */
export interface Observation {
  facts: string[];
  client: { status: number; headers: Record<string, string>; body: string } | "reset";
  upstream: { cluster: string; headers: Record<string, string>; body: string } | null;
}

export interface Driver {
  run(scenario: string, step: Step): Promise<Observation>;
  /** Facts about root contexts, of all plugins since the start. */
  rootFacts(): string[];
  /** Value of a metric of the module, or of a statistic of the proxy. */
  metric(name: string): Promise<number>;
  stat(name: string): Promise<number>;
  stop(): Promise<void>;
}

export const pathOf = (scenario: string, step: Step): string => `/t/${step.path ?? scenario}${step.query ?? ""}`;
export const bytesOfChunk = (chunk: string | number): Buffer =>
  typeof chunk === "number" ? Buffer.alloc(chunk, "x") : Buffer.from(chunk);
export const factIn = (line: string): { scenario: string; fact: string } | undefined => {
  const [, scenario, fact] = /conformance\|([^|]*)\|(.*)$/s.exec(line) ?? [];
  return scenario === undefined || fact === undefined ? undefined : { scenario, fact };
};

/** Narrows an observation to the headers and parts that the expectation names, and puts facts of another thread last. */
export function narrow(seen: Observation, expected: Seen, { elsewhere }: Step): Seen {
  const pick = (headers: Record<string, string>, wanted: Record<string, string | null> | undefined) =>
    wanted ? { headers: Object.fromEntries(Object.keys(wanted).map((name) => [name, headers[name] ?? null])) } : {};
  const isElsewhere = (fact: string) => elsewhere !== undefined && fact.startsWith(elsewhere);
  const facts = [...seen.facts.filter((fact) => !isElsewhere(fact)), ...seen.facts.filter(isElsewhere)];
  const result: Seen = { facts, client: "reset" };
  if (seen.client !== "reset") {
    const wanted: { headers?: Record<string, string | null>; body?: string } =
      expected.client === "reset" ? {} : expected.client;
    result.client = {
      status: seen.client.status,
      ...pick(seen.client.headers, wanted.headers),
      ...(wanted.body === undefined ? {} : { body: seen.client.body }),
    };
  }
  if (expected.upstream !== undefined) {
    const { upstream } = seen;
    result.upstream = upstream && {
      cluster: upstream.cluster,
      ...pick(upstream.headers, expected.upstream?.headers),
      ...(expected.upstream?.body === undefined ? {} : { body: upstream.body }),
    };
  }
  return result;
}
