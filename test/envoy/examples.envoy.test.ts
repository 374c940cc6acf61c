/**
 * The YAML files under envoy/istio. No cluster is here, so their Istio side is parsed only; their filters run on a real Envoy.
 * envoy/standalone is run by every other test of this folder (see gateways.ts), by fallback-file, endpoint-file and cache-file.envoy.test.ts,
 * envoy/stack by start.envoy.test.ts.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
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
import { type Replica, startReplica } from "../../envoy/replica/index.ts";
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

async function patchesOf(file: string): Promise<ExtensionPatch[]> {
  const { spec } = await manifest(file, "EnvoyFilter");
  return spec.configPatches as unknown as ExtensionPatch[];
}

async function extension(): Promise<ExtensionPatch["patch"]["value"]> {
  const patches = await patchesOf("envoyfilter.yaml");
  const found = patches.find(({ applyTo }) => applyTo === "EXTENSION_CONFIG");
  if (found === undefined) throw new Error("no EXTENSION_CONFIG patch");
  const inserted = patches.find(({ applyTo }) => applyTo === "HTTP_FILTER");
  expect(inserted?.patch.value.name).toBe(found.patch.value.name); // the filter asks for the extension by this name
  expect(found.patch.operation).toBe("ADD"); // the only operation that Istio knows for EXTENSION_CONFIG
  return found.patch.value;
}

interface LoadAssignment {
  readonly endpoints: readonly { readonly lb_endpoints: readonly JsonObject[] }[];
}

/** The assignment of a replica with the metadata of the file's endpoint. */
function withMetadata({ name, port }: Replica, endpoint: JsonObject | undefined): JsonObject {
  const address = { address: { socket_address: { address: "127.0.0.1", port_value: port } } };
  return {
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ ...endpoint, endpoint: address }] }] },
  };
}

/** Copies of what the patches of one kind put in. */
function valuesOf(patches: readonly ExtensionPatch[], kind: string): JsonObject[] {
  return patches
    .filter(({ applyTo }) => applyTo === kind)
    .map(({ patch }) => structuredClone(patch.value) as unknown as JsonObject);
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

describe("fallback.yaml", () => {
  const KEYS = { OPENAI_API_KEY: "key-of-openai", AZURE_API_KEY: "key-of-azure" };

  test("its configuration passes the validation of LLMRouter, apart from clusters that the xDS server does not have", async () => {
    const [router] = valuesOf(await patchesOf("fallback.yaml"), "EXTENSION_CONFIG");
    const { configuration } = (router as unknown as { typed_config: WasmConfig }).typed_config.config;
    const unknown = (host: string): unknown =>
      expect.stringContaining(`TM_CONFIG_UNKNOWN_REFERENCE no ServiceEntry defines host ${host}`);
    expect(routerErrors(JSON.parse(configuration.value))).toEqual([unknown("openai"), unknown("azure")]);
  });

  test("its filters, route and clusters work together on a real Envoy: local files in place of the image, replicas in place of the providers", async () => {
    const patches = await patchesOf("fallback.yaml");
    const extensions = new Map(valuesOf(patches, "EXTENSION_CONFIG").map((value) => [value.name, value]));
    for (const { typed_config } of extensions.values() as Iterable<{ typed_config: WasmConfig }>)
      typed_config.config.vm_config.code = { local: { filename: ROUTER_WASM } };
    // Each filter asks for its extension by its own name.
    const found = (filter: JsonObject): JsonObject =>
      filter.config_discovery === undefined ? filter : (extensions.get(filter.name) as JsonObject);
    const [before, router] = valuesOf(patches, "HTTP_FILTER") as [JsonObject, JsonObject];
    const upstream = (router.typed_config as { upstream_http_filters: JsonObject[] }).upstream_http_filters;
    const [route] = valuesOf(patches, "HTTP_ROUTE") as [JsonObject];
    const listener = httpListener({
      name: "llm",
      routes: [],
      hcm: {
        route_config: { name: "llm", virtual_hosts: [{ name: "llm", domains: ["*"], routes: [route] }] },
        http_filters: [
          found(before),
          {
            ...router,
            typed_config: { ...(router.typed_config as JsonObject), upstream_http_filters: upstream.map(found) },
          },
        ],
      },
    });

    const replicas = new Map<string, Replica>();
    const clusters = await Promise.all(
      valuesOf(patches, "CLUSTER").map(async (value) => {
        if (value.cluster_type !== undefined) return value;
        const replica = await startReplica({ name: String(value.name), models: ["gpt-4.1"] });
        onTestFinished(() => replica.close());
        replicas.set(replica.name, replica);
        const {
          transport_socket: _,
          load_assignment: assignment,
          ...rest
        } = value as JsonObject & { load_assignment: LoadAssignment };
        const [endpoint] = assignment.endpoints[0]?.lb_endpoints ?? [];
        return cluster({
          name: replica.name,
          targets: [replica.port],
          cluster: { ...rest, type: "STATIC", ...withMetadata(replica, endpoint) },
        });
      }),
    );
    for (const [name, value] of Object.entries(KEYS)) {
      process.env[name] = value;
      onTestFinished(() => void delete process.env[name]);
    }
    const envoy = await EnvoyProcess.start({ bootstrap: staticBootstrap({ listeners: [listener], clusters }) });
    onTestFinished(() => envoy.stop());
    const url = `http://${await envoy.listenerAddress("llm")}`;

    replicas.get("openai")?.failNext({ kind: "status", status: 429 });
    const body = '{"model":"gpt-4.1","messages":[{"role":"user","content":"x"}]}';
    await http1(url, { ...chat, body, headers: { authorization: "Bearer of-the-client" } });
    const seen = (name: string) =>
      replicas
        .get(name)
        ?.requests.map((one) => [one.path, one.authority, one.headers.authorization, one.headers["api-key"]]);
    expect(seen("openai")).toEqual([[chat.path, "api.openai.com", `Bearer ${KEYS.OPENAI_API_KEY}`, undefined]]);
    expect(seen("azure")).toEqual([[`/openai${chat.path}`, "example.openai.azure.com", undefined, KEYS.AZURE_API_KEY]]);
  });

  test("its TLS settings are ones that Envoy reads", async () => {
    const tls = valuesOf(await patchesOf("fallback.yaml"), "CLUSTER").filter(
      (value) => value.transport_socket !== undefined,
    );
    expect(tls).toHaveLength(2);
    const clusters = tls.map((value) => {
      const socket = structuredClone(value.transport_socket) as {
        typed_config: { common_tls_context: { validation_context: Record<string, JsonObject> } };
      };
      // The gateway's file of certificate authorities need not be here; any certificate will do.
      socket.typed_config.common_tls_context.validation_context.trusted_ca = {
        inline_string: rootCertificates[0] ?? "",
      };
      return { ...value, transport_socket: socket as unknown as JsonObject };
    });
    const envoy = await EnvoyProcess.start({
      bootstrap: staticBootstrap({ listeners: [], clusters }),
      waitReady: false,
    });
    const { configs } = await envoy.admin.configDump();
    expect(JSON.stringify(configs)).toContain("auto_sni_san_validation");
    await envoy.stop();
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
