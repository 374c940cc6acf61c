import { expect, test } from "vitest";
import { cacheSamples } from "./caches.ts";
import { limitSamples } from "./limits.ts";
import { pickSamples } from "./picks.ts";
import { type Sample, statusBetween, statusLine } from "./status.ts";

const sample = (at: number, requests: number, tokens: number): Sample => ({
  at,
  requests,
  clientErrors: 3,
  serverErrors: 1,
  limits: [],
  picks: [],
  caches: [],
  replicas: [
    { name: "a", inFlight: 2, served: 10, tokens },
    { name: "b", inFlight: 0, served: 5, tokens: 100 },
  ],
  envoyRssBytes: 64 * 1048576,
  xds: { accepted: 6, rejected: 0, unsettled: [], configErrors: 0 },
});

test("rates come from the difference, errors and xDS counts are totals", () => {
  const status = statusBetween(sample(1000, 10, 50), sample(3000, 25, 150));
  expect(status).toMatchObject({ requestsPerSecond: 7.5, tokensPerSecond: 50, clientErrors: 3, serverErrors: 1 });
  expect(statusLine(status)).toBe(
    "7.5 req/s | 3 4xx 1 5xx | 50 tok/s | envoy 64 MB | xds synced, 6 ack 0 nack | in flight/served a 2/10 b 0/5",
  );
});

test("what is not settled is said", () => {
  const xds = { accepted: 6, rejected: 1, unsettled: ["LDS nacked"], configErrors: 2 };
  const line = statusLine(statusBetween(sample(0, 0, 0), { ...sample(1000, 0, 0), xds }));
  expect(line).toContain("xds LDS nacked, 6 ack 1 nack, 2 config errors");
});

test("the limiter's rules come from Envoy's counters, and are shown by name", () => {
  const stats = new Map([
    ["wasmcustom.tokenmesh_rate_limit_rules", 2],
    ["wasmcustom.tokenmesh_rate_limit_requests;rule=per-key;outcome=admitted", 7],
    ["wasmcustom.tokenmesh_rate_limit_requests;rule=per-key;outcome=refused", 2],
    ["wasmcustom.tokenmesh_rate_limit_requests;rule=per-key;outcome=shadow_refused", 9],
    ["wasmcustom.tokenmesh_rate_limit_requests;rule=per-key;outcome=key_missing", 9],
    ["wasmcustom.tokenmesh_rate_limit_tokens;rule=per-key;kind=reserved", 9],
    ["wasmcustom.tokenmesh_rate_limit_tokens;rule=per-key;kind=used", 640],
    ["wasmcustom.tokenmesh_rate_limit_requests;rule=all;outcome=admitted", 8],
    ["http.default_llm_http.downstream_rq_completed", 9],
  ]);
  const limits = limitSamples(stats);
  expect(limits).toEqual([
    { rule: "all", admitted: 8, refused: 0, tokens: 0 },
    { rule: "per-key", admitted: 7, refused: 2, tokens: 640 },
  ]);
  const status = statusBetween({ ...sample(0, 0, 0), limits: limits.slice(1) }, { ...sample(1000, 0, 0), limits });
  expect(status.limits).toEqual(limits);
  expect(statusLine(status)).toContain(
    " nack | admitted/refused all 8/0 0 tok per-key 7/2 640 tok | in flight/served a ",
  );
});

test("what was picked comes from Envoy's counters, and is shown by pool", () => {
  const stats = new Map([
    ["wasmcustom.tokenmesh_endpoint_picks;pool=gpt;outcome=affinity", 6],
    ["wasmcustom.tokenmesh_endpoint_picks;pool=gpt;outcome=key", 3],
    ["wasmcustom.tokenmesh_endpoint_picks;pool=gpt;outcome=load", 1],
    ["wasmcustom.tokenmesh_endpoint_picks;pool=gpt;outcome=fallback", 9],
    ["wasmcustom.tokenmesh_endpoint_picks;pool=gpt;outcome=shed", 9],
    ["wasmcustom.tokenmesh_endpoint_prompt_tokens;pool=gpt;kind=all", 300],
    ["wasmcustom.tokenmesh_endpoint_prompt_tokens;pool=gpt;kind=predicted", 220],
    ["wasmcustom.tokenmesh_endpoint_prompt_tokens;pool=gpt;kind=cached", 200],
    ["wasmcustom.tokenmesh_endpoint_picks;pool=claude;outcome=key", 0],
    ["wasmcustom.tokenmesh_endpoint_answers;pool=gpt;outcome=served", 9],
  ]);
  const picks = pickSamples(stats);
  expect(picks).toEqual([
    { pool: "claude", picked: 0, affine: 0, promptTokens: 0, cachedTokens: 0 },
    { pool: "gpt", picked: 10, affine: 6, promptTokens: 300, cachedTokens: 200 },
  ]);
  const status = statusBetween(sample(0, 0, 0), { ...sample(1000, 0, 0), picks });
  expect(status.picks).toEqual(picks);
  expect(statusLine(status)).toContain(
    " nack | by cache/picked cached claude 0/0 0% gpt 6/10 67% | in flight/served a ",
  );
});

test("two samples at the same instant give finite rates", () => {
  expect(statusBetween(sample(1000, 1, 1), sample(1000, 2, 2)).requestsPerSecond).toBe(1000);
});

test("a narrow terminal gets a line of its width", () => {
  const line = statusLine(statusBetween(sample(0, 0, 0), sample(1000, 1, 1)), 20);
  expect(line).toHaveLength(20);
  expect(line.endsWith("…")).toBe(true);
});

test("what the cache did comes from Envoy's counters, and is shown by rule", () => {
  const stats = new Map([
    ...["hit", "shared", "coalesced", "stale", "transcoded"].map(
      (outcome, index) => [`wasmcustom.tokenmesh_cache_requests;rule=all;outcome=${outcome}`, 10 ** index] as const,
    ),
    ["wasmcustom.tokenmesh_cache_requests;rule=all;outcome=miss", 20] as const,
    ["wasmcustom.tokenmesh_cache_requests;rule=all;outcome=refused", 30] as const,
    ["wasmcustom.tokenmesh_cache_requests;rule=all;outcome=bypass", 900] as const,
    ["wasmcustom.tokenmesh_cache_answers;rule=all;outcome=stored", 900] as const,
    ["wasmcustom.tokenmesh_cache_saved_tokens;rule=all;kind=input", 600] as const,
    ["wasmcustom.tokenmesh_cache_saved_tokens;rule=all;kind=output", 40] as const,
    ["wasmcustom.tokenmesh_cache_saved_money;rule=all", 900] as const,
    ["wasmcustom.tokenmesh_cache_events;event=evicted", 900] as const,
    ["wasmcustom.tokenmesh_cache_requests;rule=a;outcome=miss", 0] as const,
  ]);
  const caches = cacheSamples(stats);
  expect(caches).toEqual([
    { rule: "a", asked: 0, served: 0, savedTokens: 0 },
    { rule: "all", asked: 11_161, served: 11_111, savedTokens: 640 },
  ]);
  const status = statusBetween(sample(0, 0, 0), { ...sample(1000, 0, 0), caches });
  expect(status.caches).toEqual(caches);
  expect(statusLine(status)).toContain(
    " nack | cached/asked saved a 0/0 0 tok all 11111/11161 640 tok | in flight/served a ",
  );
});
