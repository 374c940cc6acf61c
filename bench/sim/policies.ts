/** Every policy by name, in the order of the tables. */
import type { PolicyFactory } from "./policy.ts";
import { leastRequest, queueDepth, randomChoice, roundRobin } from "./rivals/basic.ts";
import { cacheAware } from "./rivals/cache-aware.ts";
import { kvRouter } from "./rivals/kv-router.ts";
import { lmetric } from "./rivals/lmetric.ts";
import { boundedRing, byFirstMessage, byPrefix, bySession, maglev, ringBounded, ringHash } from "./rivals/ring.ts";
import { stickyUntilSaturated } from "./rivals/sticky.ts";
import { weightedScorers } from "./rivals/weighted-scorers.ts";

export interface NamedPolicy {
  readonly name: string;
  readonly title: string;
  readonly create: PolicyFactory;
}

export const rivals: readonly NamedPolicy[] = [
  { name: "random", title: "random", create: randomChoice },
  { name: "round-robin", title: "round robin", create: roundRobin },
  { name: "p2c", title: "P2C least request", create: leastRequest },
  { name: "ring-hash", title: "Envoy ring_hash, session", create: ringHash(bySession) },
  { name: "maglev", title: "Maglev, session", create: maglev(bySession) },
  { name: "ring-125", title: "ring, balance factor 125, session", create: ringBounded(bySession, 1.25) },
  { name: "kubeai", title: "KubeAI CHWBL", create: boundedRing(byFirstMessage) },
  { name: "chwbl-256", title: "CHWBL, 256 tokens", create: boundedRing(byPrefix) },
  { name: "sglang", title: "SGLang cache_aware", create: cacheAware },
  { name: "gie-322", title: "GIE 3/2/2", create: weightedScorers },
  { name: "llm-d", title: "llm-d sticky", create: stickyUntilSaturated },
  { name: "dynamo", title: "Dynamo KV router", create: kvRouter },
  { name: "lmetric", title: "LMetric", create: lmetric },
];

/** Reads nothing but the engines' reports: shows what their age costs. */
export const reportReader: NamedPolicy = { name: "queue-depth", title: "shortest reported queue", create: queueDepth };
