import { expect, it } from "vitest";
import { formatError } from "./diagnostics.ts";
import { parseConfig } from "./parse.ts";

/** Warnings of documents that no Gateway has. */

const gateway = (name: string, port: number, namespace = "default") => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: ${namespace}}
spec: {servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ["*"]}]}
`;
const LIMIT = `
apiVersion: tokenmesh.io/v1alpha1
kind: TokenRateLimit
metadata: {name: budgets, namespace: teams}
spec: {rules: [{name: all, limits: [{unit: tokens, amount: 10, per: day}]}]}
`;
const ROUTER = `
apiVersion: tokenmesh.io/v1alpha1
kind: LLMRouter
metadata: {name: chat}
spec: {models: [{model: "*", route: r}]}
`;
const annotated = (text: string, gateways: string) =>
  text.replace(/\{name: (.*)\}\n/, `{name: $1, annotations: {tokenmesh.io/gateways: "${gateways}"}}\n`);

function warnings(...texts: readonly string[]): readonly string[] {
  const result = parseConfig(texts.map((text, index) => ({ file: `${index}.yaml`, text })));
  return result.ok ? result.warnings.map(formatError) : result.errors.map(formatError);
}

it("a limiter or a router in a namespace without a Gateway", () => {
  const remedy =
    "Put it into the namespace of a Gateway, or name the Gateways in the annotation tokenmesh.io/gateways.";
  expect(warnings(gateway("edge", 1, "ai"), LIMIT, ROUTER)).toEqual([
    `2.yaml:4:18: TM_CONFIG_UNUSED LLMRouter default/chat is in no Gateway; ${remedy}`,
    `1.yaml:4:18: TM_CONFIG_UNUSED TokenRateLimit teams/budgets is in no Gateway; ${remedy}`,
  ]);
});

it("or one that names no Gateway", () => {
  expect(warnings(gateway("edge", 1, "teams"), annotated(LIMIT, " , "))).toEqual([
    expect.stringMatching(/^1\.yaml:4:18: TM_CONFIG_UNUSED/),
  ]);
});

it("not one that some Gateway has", () => {
  const gateways = [gateway("edge", 1), gateway("inner", 2, "teams")];
  expect(warnings(...gateways, LIMIT, ROUTER)).toEqual([]);
  expect(warnings(...gateways, annotated(LIMIT, "default/edge"))).toEqual([]);
});
