/** Waiting for every connected Envoy to accept a change: the part with a timer. The judgement is in acknowledgement.ts. */
import { type Before, verdict } from "./acknowledgement.ts";
import { ApiError, type ErrorDetail } from "./api-error.ts";
import { DEFAULT_WAIT_MS, MAX_WAIT_MS, MAX_WAITING, WAIT_POLL_MS } from "./limits.ts";
import type { ApiPorts } from "./ports.ts";
import type { WaitQuery } from "./schemas.ts";

export interface Acknowledged {
  readonly outcome: "acked";
  /** Streams that accepted; 0 when no Envoy is connected. */
  readonly nodes: number;
}

export interface WaitFor {
  readonly timeoutMs: number;
  /** The client has hung up: nobody waits any more. */
  gone(): boolean;
}

export class AcknowledgementWaiter {
  readonly #ports: ApiPorts;
  #waiting = 0;

  constructor(ports: ApiPorts) {
    this.#ports = ports;
  }

  /**
   * @param known the state before the change
   * @throws ApiError TM_API_NACKED, TM_API_TIMEOUT, both with `result` and what each Envoy says; TM_API_TOO_MANY
   */
  async wait(
    known: Before,
    { timeoutMs, gone }: WaitFor,
    result: Readonly<Record<string, unknown>>,
  ): Promise<Acknowledged> {
    if (this.#waiting >= MAX_WAITING)
      throw new ApiError("TM_API_TOO_MANY", "too many requests wait for Envoys already; this one was stored", {
        result,
      });
    this.#waiting++;
    try {
      const { nodes, control, now } = this.#ports;
      const end = now() + timeoutMs;
      for (;;) {
        const seen = verdict(nodes(), control.groups(), known);
        if (seen.outcome === "acked") return seen;
        if (seen.outcome === "nacked")
          throw new ApiError("TM_API_NACKED", `${rejecters(seen.nacks)} rejected it`, { details: seen.nacks, result });
        if (now() >= end || gone()) {
          const details = seen.waitingFor;
          const message = `not every Envoy has accepted it within ${timeoutMs} ms`;
          throw new ApiError("TM_API_TIMEOUT", message, { details, result });
        }
        await pause(WAIT_POLL_MS);
      }
    } finally {
      this.#waiting--;
    }
  }
}

function rejecters(nacks: readonly ErrorDetail[]): string {
  const names = [...new Set(nacks.map(({ node }) => node))];
  return names.length === 1 ? `the Envoy ${names[0]}` : `${names.length} Envoys`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const DURATION = /^(\d{1,9})(ms|s|m)?$/;
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

/** What a request says about waiting; undefined for not. @throws ApiError TM_API_BAD_REQUEST */
export function waitOf(request: {
  readonly query: unknown;
  readonly socket: { readonly destroyed: boolean };
}): WaitFor | undefined {
  const { wait, timeout } = request.query as WaitQuery;
  const timeoutMs = waitTime(timeout);
  return wait === undefined ? undefined : { timeoutMs, gone: () => request.socket.destroyed };
}

/** `10s`, `500ms`, `2m`, or milliseconds. @throws ApiError TM_API_BAD_REQUEST */
function waitTime(text: string | undefined): number {
  if (text === undefined) return DEFAULT_WAIT_MS;
  const [, digits, unit = "ms"] = DURATION.exec(text) ?? [];
  const time = Number(digits ?? Number.NaN) * (UNITS[unit] ?? 1);
  if (!(time <= MAX_WAIT_MS))
    throw new ApiError(
      "TM_API_BAD_REQUEST",
      `timeout is a time of at most ${MAX_WAIT_MS / 1_000}s, such as 10s or 500ms`,
    );
  return time;
}
