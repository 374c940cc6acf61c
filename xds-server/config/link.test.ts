import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatError } from "./diagnostics.ts";
import { parseConfig } from "./parse.ts";

/** A TokenRateLimit and an LLMRouter at one Gateway: the fields that both have. */

const GATEWAYS = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 1, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: other}
spec: {servers: [{port: {number: 2, name: http, protocol: HTTP}, hosts: ["*"]}]}
`;
const document = (kind: string, fields: string, metadata: string, rest: string) => `
apiVersion: tokenmesh.io/v1alpha1
kind: ${kind}
metadata: ${metadata}
spec:
  ${rest}
${fields
  .split("\n")
  .map((line) => `  ${line}`)
  .join("\n")}
`;
const router = (fields: string, metadata = "{name: chat}") =>
  document("LLMRouter", fields, metadata, 'models: [{model: "*", route: r}]');
const limit = (fields: string, metadata = "{name: budgets}") =>
  document("TokenRateLimit", fields, metadata, "rules: [{name: a, limits: [{unit: tokens, amount: 1, per: day}]}]");

function errors(routerText: string, limitText: string): readonly string[] {
  const result = parseConfig([
    { file: "gateways.yaml", text: GATEWAYS },
    { file: "router.yaml", text: routerText },
    { file: "limit.yaml", text: limitText },
  ]);
  return result.ok ? [] : result.errors.map(formatError);
}

describe("a field that both documents have", () => {
  it.each([
    ["the limiter leaves all of them out", "maxBodyBytes: 5\npaths: [/a]\nmetrics: {models: [m]}", ""],
    ["an empty value is one that is left out", "maxBodyBytes: 5", "maxBodyBytes:"],
    ["both write the same", "maxBodyBytes: 5\naccessLog: true", "accessLog: true\nmaxBodyBytes: 5"],
    ["the limiter writes what the router has by default", "", "maxBodyBytes: 10485760\nmetrics: {enabled: true}"],
    [
      "lists are in another order",
      "paths: [/a, /b]\nmetrics: {models: [m, n]}",
      "paths: [/b, /a]\nmetrics: {models: [n, m]}",
    ],
    ["of metrics the limiter writes a part", "metrics: {models: [m], enabled: false}", "metrics: {enabled: false}"],
    ["each has a header of the tenant", "tenantHeader: x-a", "tenantHeader: x-b"],
  ])("is fine where %s", (_what, ofRouter, ofLimit) => {
    expect(errors(router(ofRouter), limit(ofLimit))).toEqual([]);
  });

  it.each([
    ["paths: [/a]", "paths: [/a, /b]", "7:10", "spec.paths is [/a, /b] here and [/a] in"],
    ["maxBodyBytes: 5", "maxBodyBytes: 6", "7:17", "spec.maxBodyBytes is 6 here and 5 in"],
    ["", "maxBodyBytes: 6", "7:17", "spec.maxBodyBytes is 6 here and 10485760 in"],
    ["tokensPerByte: 0.5", "tokensPerByte: 0.25", "7:18", "spec.tokensPerByte is 0.25 here and 0.5 in"],
    [
      "duplicateModel: lastWins",
      "duplicateModel: reject",
      "7:19",
      "spec.duplicateModel is reject here and lastWins in",
    ],
    ["accessLog: true", "accessLog: false", "7:14", "spec.accessLog is false here and true in"],
    ["metrics: {enabled: false}", "metrics: {enabled: true}", "7:22", "spec.metrics.enabled is true here and false in"],
    ["", "metrics: {models: [m]}", "7:21", "spec.metrics.models is [m] here and left out in"],
  ])("is refused: %s against %s", (ofRouter, ofLimit, place, message) => {
    const field = ofLimit.startsWith("metrics") ? ofLimit.replace(/: \{(\w+).*/, ".$1") : ofLimit.replace(/:.*/, "");
    expect(errors(router(ofRouter), limit(ofLimit))).toEqual([
      `limit.yaml:${place}: TM_CONFIG_CONFLICT ${message} LLMRouter default/chat, which is in Gateway default/edge too; Leave ${field} out here, which takes the router's, or write the same value in both.`,
    ]);
  });

  it("is judged once for two documents, and only where they share a Gateway", () => {
    const [ofRouter, ofLimit] = ["maxBodyBytes: 5", "maxBodyBytes: 6"];
    expect(errors(router(ofRouter), limit(ofLimit))).toHaveLength(1);
    const at = (gateways: string) => `{name: a, annotations: {tokenmesh.io/gateways: "${gateways}"}}`;
    expect(errors(router(ofRouter, at("edge")), limit(ofLimit, at("other")))).toEqual([]);
    expect(errors(router(ofRouter, at("edge")), limit(ofLimit, at("other, default/edge")))).toHaveLength(1);
    const elsewhere = `{name: a, namespace: teams, annotations: {tokenmesh.io/gateways: default/other}}`;
    expect(errors(router(ofRouter, at("other")), limit(ofLimit, elsewhere))).toHaveLength(1);
  });

  it("property: a limiter conflicts in exactly the fields that it writes with another value", () => {
    const values = {
      maxBodyBytes: [1, 2, 10_485_760],
      tokensPerByte: [0.25, 0.5],
      duplicateModel: ["reject", "lastWins"],
      accessLog: [true, false],
      paths: [["/a"], ["/a", "/b"]],
    };
    const defaults = {
      maxBodyBytes: 10_485_760,
      tokensPerByte: 0.25,
      duplicateModel: "reject",
      accessLog: false,
      paths: "all",
    };
    const spec = fc.record(
      Object.fromEntries(Object.entries(values).map(([name, each]) => [name, fc.constantFrom<unknown>(...each)])),
      { requiredKeys: [] },
    );
    const text = (fields: Readonly<Record<string, unknown>>) =>
      Object.entries(fields)
        .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
        .join("\n");
    fc.assert(
      fc.property(spec, spec, (ofRouter, ofLimit) => {
        const served: Readonly<Record<string, unknown>> = { ...defaults, ...ofRouter };
        const expected = Object.keys(ofLimit).filter(
          (name) => JSON.stringify(ofLimit[name]) !== JSON.stringify(served[name]),
        );
        const found = errors(router(text(ofRouter)), limit(text(ofLimit))).map((each) => /spec\.(\w+)/.exec(each)?.[1]);
        expect([...found].sort()).toEqual(expected.sort());
      }),
      { numRuns: 100 },
    );
  });
});
