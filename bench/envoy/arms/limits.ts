/** llm-gateway with budgets that several Envoys share: in the token ledger or in envoyproxy/ratelimit, each on a Redis. */
import { cluster, type JsonObject } from "../../../envoy/harness/index.ts";
import { ledger, rateLimitService, redis } from "../helpers.ts";
import type { Arm, Charges } from "./arm.ts";
import { chargedInRedis } from "./charges.ts";
import { gatewayWith, llmRouter } from "./wasm.ts";

const domain = "tokenmesh";

/** `onFailure: closed`: a call that fails must end the run. The amount is never used up, and small enough that leases are taken now and then. */
const rule = (mode: string): JsonObject => ({
  name: "bench",
  key: [{ model: true }],
  limits: [{ unit: "tokens", amount: 1_000_000_000, per: "minute" }],
  mode,
  onFailure: "closed",
});

/** Amounts come with the calls. */
const ledgerConfig = `
domains:
  - name: ${domain}
    descriptors:
      - name: bench
        entries: [rule, limit, model]
        override: true
        limits: [{amount: 1000000000, per: minute}]
`;

/** Of today (UTC), which the probe does not outlive but once a day. */
async function chargedInLedger(admin: string): Promise<number> {
  const response = await fetch(`${admin}/usage?domain=${domain}`);
  const { usage } = (await response.json()) as { usage: readonly { readonly hits: number }[] };
  return usage.reduce((sum, { hits }) => sum + hits, 0);
}

const inLedger = (exact: boolean): Charges => ({
  exact,
  read: ({ addresses }) => chargedInLedger(addresses["ledger-admin"] ?? ""),
});

const onLedger = (mode: string): Pick<Arm, "family" | "httpFilters" | "clusters" | "helpers"> => ({
  family: "limits",
  httpFilters: (around) => [
    gatewayWith(around, { rateLimit: { service: { cluster: "ledger", domain }, rules: [rule(mode)] } }),
  ],
  clusters: ({ addresses }) => [cluster({ name: "ledger", targets: [addresses.ledger ?? ""], http2: true })],
  helpers: [redis, ledger(ledgerConfig)],
});

export const llmGatewayLeased: Arm = {
  ...llmRouter,
  ...onLedger("leased"),
  name: "llm-gateway leased",
  does: "llm-gateway with rateLimit in mode leased: a share of the budget is taken in advance from the token ledger (Redis behind it), requests are reserved and settled against that share",
  charges: inLedger(false),
};

export const llmGatewayStrict: Arm = {
  ...llmRouter,
  ...onLedger("strict"),
  name: "llm-gateway strict",
  does: "llm-gateway with rateLimit in mode strict: each request is reserved in the token ledger (Redis behind it) before it goes on, and settled there at its end",
  charges: inLedger(true),
};

export const llmGatewayStrictEnvoy: Arm = {
  ...llmRouter,
  name: "llm-gateway strict on ratelimit",
  family: "limits",
  does: "the same with protocol envoy: envoyproxy/ratelimit (Go, Redis behind it, statistics off) in place of the ledger; what was reserved and not used stays charged",
  httpFilters: (around) => [
    gatewayWith(around, {
      rateLimit: { service: { cluster: "ratelimit", domain, protocol: "envoy" }, rules: [rule("strict")] },
    }),
  ],
  clusters: ({ addresses }) => [cluster({ name: "ratelimit", targets: [addresses.ratelimit ?? ""], http2: true })],
  helpers: [redis, rateLimitService(`domain: ${domain}\n`)],
  charges: { exact: false, read: ({ addresses }) => chargedInRedis(addresses.redis ?? "", domain) },
};
