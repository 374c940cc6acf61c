/**
 * The YAML files under envoy/istio. No cluster is here, so their Istio side is parsed only; their filters run on a real Envoy.
 * envoy/standalone is run by every other test of this folder (see gateways.ts), and envoy/stack by start.envoy.test.ts.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseAllDocuments, stringify } from "yaml";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  projectRoot,
  staticBootstrap,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { startReplica } from "../../envoy/replica/index.ts";
import { formatError, parseConfig } from "../../xds-server/config/index.ts";
import { ROUTER_WASM } from "./gateways.ts";
import { http1, json } from "./http-client.ts";

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: JsonObject;
}

async function manifests(file: string): Promise<Manifest[]> {
  const text = await readFile(join(projectRoot(), "envoy/istio", file), "utf8");
  return parseAllDocuments(text).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as Manifest;
  });
}

async function manifest(file: string, kind: string): Promise<Manifest> {
  const found = (await manifests(file)).find((one) => one.kind === kind);
  if (found === undefined) throw new Error(`${file} has no ${kind}`);
  return found;
}

/** Errors of the validation that kind LLMRouter goes through. */
function routerErrors(spec: unknown): string[] {
  const text = stringify({ apiVersion: "tokenmesh.io/v1alpha1", kind: "LLMRouter", metadata: { name: "x" }, spec });
  const result = parseConfig([{ file: "router.yaml", text }]);
  return result.ok ? [] : result.errors.map(formatError);
}

interface ExtensionPatch {
  readonly applyTo: string;
  readonly patch: { readonly operation: string; readonly value: { readonly name: string; typed_config: WasmConfig } };
}

interface WasmConfig {
  readonly config: JsonObject & {
    readonly configuration: { readonly value: string };
    readonly vm_config: { code: unknown };
  };
}

async function extension(): Promise<ExtensionPatch["patch"]["value"]> {
  const { spec } = await manifest("envoyfilter.yaml", "EnvoyFilter");
  const patches = spec.configPatches as unknown as ExtensionPatch[];
  const found = patches.find(({ applyTo }) => applyTo === "EXTENSION_CONFIG");
  if (found === undefined) throw new Error("no EXTENSION_CONFIG patch");
  const inserted = patches.find(({ applyTo }) => applyTo === "HTTP_FILTER");
  expect(inserted?.patch.value.name).toBe(found.patch.value.name); // the filter asks for the extension by this name
  expect(found.patch.operation).toBe("ADD"); // the only operation that Istio knows for EXTENSION_CONFIG
  return found.patch.value;
}

/** Runs a filter in front of one replica that serves every route; returns where the requests go. */
async function gatewayWith(filter: JsonObject, allowErrors: RegExp[] = []): Promise<string> {
  const replica = await startReplica({ name: "r1", models: ["gpt-4o-mini", "gpt-4o", "claude-haiku-5-5"] });
  onTestFinished(() => replica.close());
  const bootstrap = staticBootstrap({
    listeners: [httpListener({ name: "llm", httpFilters: [filter], routes: [{ cluster: "r1" }] })],
    clusters: [cluster({ name: "r1", targets: [replica.port] })],
  });
  const envoy = await EnvoyProcess.start({ bootstrap, allowErrors });
  onTestFinished(() => envoy.stop());
  return `http://${await envoy.listenerAddress("llm")}`;
}

const chat = { path: "/v1/chat/completions", body: '{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}' };

describe("envoyfilter.yaml", () => {
  test("its configuration passes the validation of LLMRouter", async () => {
    const { typed_config } = await extension();
    expect(routerErrors(JSON.parse(typed_config.config.configuration.value))).toEqual([]);
  });

  test("its filter routes by model on a real Envoy, with a local file in place of the image", async () => {
    const { name, typed_config } = await extension();
    typed_config.config.vm_config.code = { local: { filename: ROUTER_WASM } };
    const url = await gatewayWith({ name, typed_config } as unknown as JsonObject);
    const answer = await http1(url, chat);
    expect([answer.status, json(answer)]).toMatchObject([200, { model: "gpt-4o-mini" }]);
    const unknown = await http1(url, { ...chat, body: '{"model":"x"}' });
    expect([unknown.status, json(unknown)]).toMatchObject([404, { error: { code: "model_not_found" } }]);
  });

  test("its digest is a string of 64 hexadecimal digits", async () => {
    const { typed_config } = await extension();
    const { code } = typed_config.config.vm_config as { code: { remote: { sha256: unknown } } };
    expect(code.remote.sha256).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe("wasmplugin.yaml", () => {
  test("its pluginConfig passes the validation of LLMRouter", async () => {
    const plugin = await manifest("wasmplugin.yaml", "WasmPlugin");
    expect(plugin.apiVersion).toBe("extensions.istio.io/v1alpha1");
    expect(routerErrors(plugin.spec.pluginConfig)).toEqual([]);
    expect(routerErrors({ ...(plugin.spec.pluginConfig as JsonObject), modells: [] })).not.toEqual([]);
  });

  test("as Istio runs it, without access to bodies, requests take the default route", async () => {
    const { spec } = await manifest("wasmplugin.yaml", "WasmPlugin");
    const filter = wasmFilter({
      name: "llm-router",
      rootId: String(spec.pluginName),
      file: ROUTER_WASM,
      configuration: spec.pluginConfig as JsonObject,
      failurePolicy: "FAIL_CLOSED",
      allowOnHeadersStopIteration: false,
    });
    const url = await gatewayWith(filter, [/withholds request bodies/]);
    const answer = await http1(url, chat);
    expect([answer.status, json(answer)]).toMatchObject([200, { model: "gpt-4o" }]); // not renamed: the body was not seen
  });
});

test("virtual-service.yaml is a configuration that the xDS server accepts, apart from the hosts it does not know", async () => {
  const documents = await manifests("virtual-service.yaml");
  expect(documents.map(({ kind }) => kind)).toEqual(["Gateway", "VirtualService"]);
  const hosts = ["gpt.models.svc.cluster.local", "claude.models.svc.cluster.local"];
  const entries = hosts.map((host, i) => ({
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name: `model-${i}` },
    spec: {
      hosts: [host],
      ports: [{ number: 8000, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: [{ address: "127.0.0.1" }],
    },
  }));
  const text = await readFile(join(projectRoot(), "envoy/istio/virtual-service.yaml"), "utf8");
  const result = parseConfig([
    { file: "virtual-service.yaml", text },
    { file: "services.yaml", text: entries.map((entry) => stringify(entry)).join("---\n") },
  ]);
  expect(result.ok ? [] : result.errors.map(formatError)).toEqual([]);
});
