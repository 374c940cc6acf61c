/** The state store as `GET /api/v1/status` shows it: whether it is away, since when, and what that means. Pure. */
import type { StateOutage } from "./state/records/metrics.ts";

export interface StateView {
  /** As in `--state`: redis, file, ... */
  readonly kind: string;
  /** It has said what it holds since the start; before, nothing is served. */
  readonly ready: boolean;
  readonly available: boolean;
  /** RFC 3339. */
  readonly awaySince?: string;
  readonly reason?: string;
  /** Kinds of records that cannot be read. */
  readonly unread?: readonly string[];
  /** What still works and what does not, for people. */
  readonly effect?: string;
}

/** @param now of the outage, ms since the epoch */
export function stateView(kind: string, ready: boolean, outage: StateOutage | undefined, now: number): StateView {
  if (outage === undefined) return { kind, ready, available: true };
  const { kinds, forMs, reason = "it has not answered yet" } = outage;
  const effect = ready
    ? "what was read last is served, and heartbeats are taken; documents, weights and registrations cannot be changed"
    : "nothing is served before it has answered, and nothing can be changed; Envoys keep what they have";
  const awaySince = new Date(Math.round(now - forMs)).toISOString();
  return { kind, ready, available: false, awaySince, reason, unread: kinds, effect };
}
