import { describe, expect, it } from "vitest";
import { TypeUrl, toJson } from "../../protos/index.ts";
import { buildResources } from "../../test/fixtures/built-resources.ts";
import { formatError, parseConfig } from "../config/index.ts";

/** Which listeners have the filter that ends streams, and that it is in the VM of their limiter. */

const module = (hash: string) => ({ hash, code: { inline: new Uint8Array([1]) } });
const modules = { "llm-router": module("r"), "token-rate-limit": module("t"), "llm-gateway": module("g") };

const document = (kind: string, group: string, name: string, spec: object) =>
  JSON.stringify({ apiVersion: group, kind, metadata: { name }, spec });
const gateway = document("Gateway", "networking.istio.io/v1", "edge", {
  servers: [{ port: { number: 0, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
});
const router = document("LLMRouter", "tokenmesh.io/v1alpha1", "chat", { models: [{ model: "*", route: "r" }] });
const limit = (...overruns: readonly (string | undefined)[]) =>
  document("TokenRateLimit", "tokenmesh.io/v1alpha1", "budgets", {
    rules: overruns.map((overrun, i) => ({
      name: `rule-${i}`,
      limits: [{ unit: "tokens", amount: 10, per: "minute" }],
      ...(overrun === undefined ? {} : { overrun }),
    })),
  });

interface Plugin {
  readonly typed_config: { readonly config: { readonly root_id: string; readonly vm_config: object } };
}

function build(...texts: readonly string[]) {
  const result = parseConfig(texts.map((text, i) => ({ file: `${i}.json`, text })));
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  const resources = buildResources(result.model, modules);
  const json = (typeUrl: string) =>
    resources.filter((each) => each.typeUrl === typeUrl).map(({ any }) => toJson("google.protobuf.Any", any));
  const [listener] = json(TypeUrl.listener) as { filter_chains: [{ filters: { name: string }[] }] }[];
  return {
    filters: listener?.filter_chains[0].filters.map(({ name }) => name),
    plugins: (json(TypeUrl.extensionConfig) as unknown as Plugin[]).map(({ typed_config: { config } }) => config),
  };
}

const MANAGER = "envoy.filters.network.http_connection_manager";

describe("streams that are stopped", () => {
  it.each([
    ["one rule of several stops", [limit("allow", "stop", undefined)], "token-rate-limit", "default/budgets"],
    ["with a router", [limit("stop"), router], "llm-gateway", "default/chat+default/budgets"],
  ])("%s: the filter comes first, in the VM of the limiter", (_, texts, rootId, names) => {
    const { filters, plugins } = build(gateway, ...texts);
    expect(filters).toEqual([`tokenmesh.llm-stream-end/${names}`, MANAGER]);
    expect(plugins.map(({ root_id }) => root_id).sort()).toEqual([rootId, "llm-stream-end"].sort());
    expect(plugins[0]?.vm_config).toEqual(plugins[1]?.vm_config);
  });

  it.each([
    ["no rule stops", [limit("pace", "allow", undefined), router]],
    ["no limiter", [router]],
    ["nothing", []],
  ])("%s: connections are not looked at", (_, texts) => {
    const { filters, plugins } = build(gateway, ...texts);
    expect(filters).toEqual([MANAGER]);
    expect(plugins.filter(({ root_id }) => root_id === "llm-stream-end")).toEqual([]);
  });
});
