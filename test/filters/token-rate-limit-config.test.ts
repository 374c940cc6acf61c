import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../xds-server/config/index.ts";
import { rateLimits, stageConfiguration } from "../../xds-server/resources/plugin-configuration.ts";
import { LoadError, ProxyWasmHost } from "../host/index.ts";
import { rateLimitLimitRows } from "./rate-limit-config-rows-limits.ts";
import { rateLimitRemoteRows, SERVICE_HOST } from "./rate-limit-config-rows-remote.ts";
import { type RateLimitRow, rateLimitRuleRows } from "./rate-limit-config-rows-rules.ts";

/** The same configuration is judged the same by the filter in Envoy and by the xDS server in front of it, and what the server makes of it is taken. */

const host = await ProxyWasmHost.load("build/filters/token-rate-limit.wasm", { workers: 1 });

function filterTakes(config: object | string): boolean {
  try {
    host.plugin({ name: "token-rate-limit", rootId: "token-rate-limit", config }).remove();
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(LoadError);
    return false;
  }
}

/** What a spec may name as its service. */
const serviceEntry = {
  apiVersion: "networking.istio.io/v1",
  kind: "ServiceEntry",
  metadata: { name: "service" },
  spec: {
    hosts: [SERVICE_HOST],
    ports: [{ number: 8081, name: "grpc", protocol: "GRPC" }],
    resolution: "STATIC",
    endpoints: [{ address: "192.0.2.1" }],
  },
};

/** What the server writes for the filter; undefined when it refuses the spec. */
function serverWrites(spec: object): string | undefined {
  const document = { apiVersion: "tokenmesh.io/v1alpha1", kind: "TokenRateLimit", metadata: { name: "test" }, spec };
  const files = [document, serviceEntry].map((each, index) => ({ file: `${index}.yaml`, text: JSON.stringify(each) }));
  const result = parseConfig(files);
  const [parsed] = result.ok ? result.model.tokenRateLimits : [];
  if (parsed === undefined) return undefined;
  const limits = rateLimits({ spec: parsed.spec, serviceCluster: parsed.spec.service?.cluster });
  return stageConfiguration(parsed.spec, limits);
}

const tables: [name: string, rows: readonly RateLimitRow[]][] = [
  ["rules", rateLimitRuleRows],
  ["limits", rateLimitLimitRows],
  ["what a service keeps", rateLimitRemoteRows],
];

describe.each(tables)("%s", (_table, rows) => {
  it.each(rows)("%s", (_name, spec, valid) => {
    const written = serverWrites(spec);
    expect({ filter: filterTakes(spec), server: written !== undefined }).toEqual({ filter: valid, server: valid });
    if (written !== undefined) expect(filterTakes(written)).toBe(true);
  });

  it("are all tried under different names", () => {
    expect(new Set(rows.map(([name]) => name)).size).toBe(rows.length);
  });
});

it("every decimal that one of them takes the other takes, too", () => {
  const decimal = fc.tuple(fc.bigInt(0n, 10n ** 16n), fc.integer({ min: 0, max: 11 })).map(([digits, decimals]) => {
    const text = digits.toString().padStart(decimals + 1, "0");
    return Number(`${text.slice(0, text.length - decimals)}.${text.slice(text.length - decimals)}0`);
  });
  const unit = fc.constantFrom("tokens", "weightedTokens", "money");
  fc.assert(
    fc.property(unit, fc.oneof(decimal, fc.double({ min: 0, max: 1e13, noNaN: true })), (name, amount) => {
      const limits = [{ unit: name, amount, per: "hour" }];
      const prices = name === "money" ? [{ model: "*", input: 1, output: 1 }] : undefined;
      const spec = { rules: [{ name: "r", limits, prices }] };
      expect(filterTakes(spec)).toBe(serverWrites(spec) !== undefined);
    }),
    { numRuns: 500 },
  );
});

it("names of time zones are the server's: what it writes of them the filter takes, the names it does not", () => {
  const limits = (timeZone: string) => ({
    rules: [{ name: "r", limits: [{ unit: "requests", amount: 1, per: "month", timeZone }] }],
  });
  for (const name of ["Europe/Berlin", "America/Santiago", "Pacific/Chatham", "Asia/Kolkata", "EST5EDT", "UTC"]) {
    const written = serverWrites(limits(name));
    expect([name, filterTakes(limits(name)), filterTakes(written ?? "")]).toEqual([name, false, true]);
  }
});
