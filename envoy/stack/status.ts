/** The live status of a stack: two samples become rates, rates become one line for people or one JSON object for programs. Pure. */
import type { CacheSample } from "./caches.ts";
import type { LimitSample } from "./limits.ts";
import type { PickSample } from "./picks.ts";

export interface ReplicaSample {
  readonly name: string;
  /** Requests in work or waiting for a slot. */
  readonly inFlight: number;
  readonly served: number;
  /** Tokens generated since the start, finished and aborted answers. */
  readonly tokens: number;
}

export interface XdsSample {
  /** Updates that Envoy took and refused since its start. */
  readonly accepted: number;
  readonly rejected: number;
  /** Resource types whose last update Envoy has not acknowledged, with their state, such as `LDS nacked`. */
  readonly unsettled: readonly string[];
  /** Errors in the configuration files; while there are any, the last good configuration stays. */
  readonly configErrors: number;
}

export interface Sample {
  /** Monotonic ms. */
  readonly at: number;
  /** Requests that Envoy has answered since the start, and those of them with status 4xx and 5xx. */
  readonly requests: number;
  readonly clientErrors: number;
  readonly serverErrors: number;
  /** By rule of the rate limiter; a request counts at every rule that matches it. */
  readonly limits: readonly LimitSample[];
  /** By pool of the endpoint picker. */
  readonly picks: readonly PickSample[];
  /** By rule of the prompt cache. */
  readonly caches: readonly CacheSample[];
  readonly replicas: readonly ReplicaSample[];
  readonly envoyRssBytes: number;
  readonly xds: XdsSample;
}

export interface Status {
  readonly requestsPerSecond: number;
  readonly clientErrors: number;
  readonly serverErrors: number;
  readonly tokensPerSecond: number;
  readonly limits: readonly LimitSample[];
  readonly picks: readonly PickSample[];
  readonly caches: readonly CacheSample[];
  readonly replicas: readonly Pick<ReplicaSample, "name" | "inFlight" | "served">[];
  readonly envoyRssBytes: number;
  readonly xds: XdsSample;
}

/** Rates between two samples; counts of errors, limits, picks, caches and xDS are totals. */
export function statusBetween(before: Sample, after: Sample): Status {
  const seconds = Math.max(0.001, (after.at - before.at) / 1000);
  const tokens = (sample: Sample): number => sample.replicas.reduce((sum, replica) => sum + replica.tokens, 0);
  return {
    requestsPerSecond: round((after.requests - before.requests) / seconds),
    clientErrors: after.clientErrors,
    serverErrors: after.serverErrors,
    tokensPerSecond: round((tokens(after) - tokens(before)) / seconds),
    limits: after.limits,
    picks: after.picks,
    caches: after.caches,
    replicas: after.replicas.map(({ name, inFlight, served }) => ({ name, inFlight, served })),
    envoyRssBytes: after.envoyRssBytes,
    xds: after.xds,
  };
}

/** One line, cut to `width` columns so that a terminal never wraps it. */
export function statusLine(status: Status, width = Number.POSITIVE_INFINITY): string {
  const replicas = status.replicas.map(({ name, inFlight, served }) => `${name} ${inFlight}/${served}`).join(" ");
  const line = [
    `${status.requestsPerSecond} req/s`,
    `${status.clientErrors} 4xx ${status.serverErrors} 5xx`,
    `${status.tokensPerSecond} tok/s`,
    `envoy ${Math.round(status.envoyRssBytes / 1048576)} MB`,
    xdsText(status.xds),
    ...limitsText(status.limits),
    ...cachesText(status.caches),
    ...picksText(status.picks),
    `in flight/served ${replicas}`,
  ].join(" | ");
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}

function xdsText({ accepted, rejected, unsettled, configErrors }: XdsSample): string {
  const state = unsettled.length === 0 ? "synced" : unsettled.join(", ");
  const files = configErrors === 0 ? "" : `, ${configErrors} config errors`;
  return `xds ${state}, ${accepted} ack ${rejected} nack${files}`;
}

function limitsText(limits: readonly LimitSample[]): readonly string[] {
  if (limits.length === 0) return [];
  const rules = limits.map(({ rule, admitted, refused, tokens }) => `${rule} ${admitted}/${refused} ${tokens} tok`);
  return [`admitted/refused ${rules.join(" ")}`];
}

function cachesText(caches: readonly CacheSample[]): readonly string[] {
  if (caches.length === 0) return [];
  const rules = caches.map(({ rule, asked, served, savedTokens }) => `${rule} ${served}/${asked} ${savedTokens} tok`);
  return [`cached/asked saved ${rules.join(" ")}`];
}

function picksText(picks: readonly PickSample[]): readonly string[] {
  if (picks.length === 0) return [];
  const pools = picks.map(({ pool, picked, affine, promptTokens, cachedTokens }) => {
    const percent = promptTokens === 0 ? 0 : Math.round((100 * cachedTokens) / promptTokens);
    return `${pool} ${affine}/${picked} ${percent}%`;
  });
  return [`by cache/picked cached ${pools.join(" ")}`];
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
