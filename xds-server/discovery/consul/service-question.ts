/** The question for one service: its URL and headers, as its DiscoverySource has them. */
import type { ConsulDiscovery } from "../../config/discovery-model.ts";
import { baseOf } from "../registry-client/index.ts";
import { readSecret } from "../secret.ts";
import { MAX_WAIT_MS, MIN_WAIT_MS } from "./limits.ts";

export interface Blocking {
  /** X-Consul-Index of the answer before; undefined for an answer at once. */
  readonly index: string | undefined;
  /** How long Consul waits for another one, ms. */
  readonly waitMs: number;
}

export function urlOf(spec: ConsulDiscovery, service: string, { index, waitMs }: Blocking): URL {
  const url = new URL(`${baseOf(spec.address)}/v1/health/service/${encodeURIComponent(service)}`);
  const set = (name: string, value: string | undefined) => {
    if (value !== undefined) url.searchParams.set(name, value);
  };
  set("dc", spec.datacenter);
  set("ns", spec.namespace);
  set("tag", spec.tag);
  set("passing", spec.passingOnly ? "true" : undefined);
  if (spec.consistency !== "default") url.searchParams.set(spec.consistency, "");
  set("index", index);
  set("wait", index === undefined ? undefined : `${boundedWait(waitMs)}ms`);
  return url;
}

/** From the question to the answer, ms: Consul lengthens a wait by up to a sixteenth, so that not all answer in the same moment. */
export function timeoutOf({ index, waitMs }: Blocking, answerMs: number): number {
  return index === undefined ? answerMs : Math.ceil(boundedWait(waitMs) * (1 + 1 / 16)) + answerMs;
}

function boundedWait(ms: number): number {
  return Math.round(Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, ms)));
}

/** In a header and not in the URL, which logs would show. @throws DiscoveryError TM_DISCOVERY_SECRET */
export function headersOf(spec: ConsulDiscovery): Readonly<Record<string, string>> {
  return spec.token === undefined ? {} : { "x-consul-token": readSecret(spec.token) };
}
