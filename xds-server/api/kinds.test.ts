import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { FakeServer } from "../../test/fixtures/api/ports.ts";
import { silentLogger } from "../log.ts";
import { type Api, createApi } from "./api-server.ts";
import { kindAt, kindNamed, kindPath, pluralOf } from "./kind-paths.ts";
import { StoreUnavailable } from "./ports.ts";

const GROUP = "/apis/networking.istio.io/v1alpha3/namespaces/default";
const gateway = {
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: { name: "edge" },
  spec: { servers: [{ port: { number: 0, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
};
const app = {
  apiVersion: "networking.istio.io/v1",
  kind: "ServiceEntry",
  metadata: { name: "app" },
  spec: {
    hosts: ["app.test"],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "STATIC",
    endpoints: [{ address: "127.0.0.1" }],
  },
};
const routing = (host = "app.test") => ({
  apiVersion: "networking.istio.io/v1alpha3",
  kind: "VirtualService",
  metadata: { name: "app-routing", namespace: "default" },
  spec: { hosts: ["*"], gateways: ["edge"], http: [{ route: [{ destination: { host } }] }] },
});

describe("documents as Kubernetes addresses them", () => {
  let server: FakeServer;
  let api: Api;
  beforeEach(async () => {
    server = new FakeServer();
    server.file(gateway);
    server.file(app, "conf/app.yaml");
    server.settle();
    const access = { token: undefined, clientCertificates: false };
    api = await createApi(server.ports(), { log: silentLogger, version: "0", ...access });
  });
  afterEach(() => api.close());

  const call = (method: "GET" | "PUT" | "DELETE", url: string, payload?: string | object) =>
    api.inject({ method, url, headers: { host: "localhost" }, ...(payload === undefined ? {} : { payload }) });
  const put = (payload: string | object, url = `${GROUP}/virtualservices/app-routing`) => call("PUT", url, payload);

  it("PUT adds (201), replaces (200), and GET gives it back with its version", async () => {
    const first = await put(routing());
    expect(first.statusCode).toBe(201);
    expect(first.json()).toMatchObject({
      ...routing(),
      metadata: { name: "app-routing", resourceVersion: "1", annotations: { "tokenmesh.io/origin": "api" } },
    });
    const changed = { ...routing(), spec: { ...routing().spec, hosts: ["a.test"] } };
    expect((await put(changed)).statusCode).toBe(200);
    const read = await call("GET", `${GROUP}/virtualservices/app-routing`);
    expect(read.json()).toMatchObject({ spec: { hosts: ["a.test"] }, metadata: { resourceVersion: "2" } });
  });

  it("what was read can be put back as it is, and changes nothing", async () => {
    const { body } = await put(routing());
    const again = await put(body);
    expect([again.statusCode, again.json().metadata.resourceVersion]).toEqual([200, "1"]);
    expect(server.stored.get("VirtualService/default/app-routing")?.value).toEqual(routing());
    // Also what is in a file: no copy of it in the store.
    const file = await call("GET", `${GROUP}/gateways/edge`);
    expect(file.json().metadata.annotations).toEqual({ "tokenmesh.io/origin": "conf/a.yaml" });
    expect((await call("PUT", `${GROUP}/gateways/edge`, file.body)).statusCode).toBe(200);
    expect(server.stored.has("Gateway/default/edge")).toBe(false);
  });

  it("takes YAML too, and fills in what the path says", async () => {
    expect((await put(stringify({ spec: routing().spec }))).statusCode).toBe(201);
    expect(server.stored.get("VirtualService/default/app-routing")?.value).toEqual(routing());
  });

  it("refuses a body that says something else than the path", async () => {
    for (const [field, body] of [
      ["kind", { ...routing(), kind: "Gateway" }],
      ["apiVersion", { ...routing(), apiVersion: "networking.istio.io/v1" }],
      ["name", { ...routing(), metadata: { name: "other" } }],
      ["namespace", { ...routing(), metadata: { namespace: "other" } }],
    ] as const) {
      const answer = await put(body);
      expect([answer.statusCode, answer.json()]).toEqual([
        400,
        expect.objectContaining({ kind: "Status", reason: "BadRequest" }),
      ]);
      expect(answer.json().message).toContain(`TM_API_BAD_REQUEST ${field} is`);
    }
    for (const body of ["[]", "a", "{}\n---\n{}", ""]) expect((await put(body)).statusCode).toBe(400);
  });

  it("refuses what is no valid configuration together with the rest, with every reason, and stores nothing", async () => {
    const answer = await put({ ...routing("ap.test"), spec: { ...routing("ap.test").spec, gatways: [] } });
    expect(answer.statusCode).toBe(422);
    expect(answer.json()).toMatchObject({
      kind: "Status",
      reason: "Invalid",
      code: 422,
      details: { name: "app-routing", group: "networking.istio.io", kind: "virtualservices" },
    });
    const causes = answer.json().details.causes as { reason: string; message: string }[];
    expect(causes.map(({ reason }) => reason)).toContain("TM_CONFIG_UNKNOWN_FIELD");
    expect(causes[0]?.message).toMatch(/^VirtualService\/default\/app-routing:\d+:\d+; .*Did you mean/);
    expect(server.stored.size).toBe(0);
  });

  it("sees a key that is there twice", async () => {
    const answer = await put('{"spec": {"hosts": ["*"], "hosts": ["a"]}}');
    expect([answer.statusCode, answer.body]).toEqual([422, expect.stringContaining("TM_CONFIG_DUPLICATE_KEY")]);
  });

  it("409 when somebody else was faster", async () => {
    await put(routing());
    const stale = { ...routing("app.test"), metadata: { ...routing().metadata, resourceVersion: "7" } };
    const answer = await put(stale);
    expect([answer.statusCode, answer.json().reason]).toEqual([409, "Conflict"]);
    expect((await put({ ...stale, metadata: { ...stale.metadata, resourceVersion: "1" } })).statusCode).toBe(200);
    // Between the look at the store and the write.
    server.onStore = (identity) => {
      const old = server.stored.get(identity);
      if (old) server.stored.set(identity, { ...old, version: "100" });
    };
    const raced = await put({ ...routing(), spec: { ...routing().spec, hosts: ["b.test"] } });
    expect(raced.statusCode).toBe(409);
  });

  it("takes back what turns out not to be servable", async () => {
    await put(routing());
    server.onStore = (identity) => {
      // Another replica removes the service meanwhile.
      if (identity === "VirtualService/default/app-routing") server.files.delete("ServiceEntry/default/app");
      server.onStore = () => {};
    };
    const answer = await put({ ...routing(), spec: { ...routing().spec, hosts: ["b.test"] } });
    expect([answer.statusCode, answer.json().reason]).toEqual([422, "Invalid"]);
    expect(server.stored.get("VirtualService/default/app-routing")?.value).toEqual(routing());
  });

  it("DELETE removes what is of the API; the document of a file that it hid comes back", async () => {
    const wide = {
      ...gateway,
      spec: { servers: [{ port: { number: 81, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
    };
    const path = `${GROUP.replace("v1alpha3", "v1")}/gateways/edge`;
    expect((await call("PUT", path, wide)).statusCode).toBe(200);
    expect((await call("GET", path)).json().spec.servers[0].port.number).toBe(81);
    expect((await call("DELETE", `${path}?resourceVersion=9`)).statusCode).toBe(409);
    expect((await call("DELETE", `${path}?resourceVersion=1`)).json()).toMatchObject({ status: "Success" });
    expect((await call("GET", path)).json().spec.servers[0].port.number).toBe(0);
    const again = await call("DELETE", path);
    expect([again.statusCode, again.json().message]).toEqual([409, expect.stringContaining("conf/a.yaml")]);
    expect((await call("DELETE", `${GROUP}/gateways/none`)).statusCode).toBe(404);
  });

  it("DELETE refuses to remove what others refer to", async () => {
    server.files.delete("ServiceEntry/default/app");
    const path = "/apis/networking.istio.io/v1/namespaces/default/serviceentries/app";
    expect((await call("PUT", path, app)).statusCode).toBe(201);
    expect((await put(routing())).statusCode).toBe(201);
    expect((await call("DELETE", path)).statusCode).toBe(422);
    expect(server.stored.has("ServiceEntry/default/app")).toBe(true);
  });

  it("lists a kind, of a namespace or of all, sorted", async () => {
    server.file({ ...gateway, metadata: { name: "a", namespace: "other" } });
    const list = (await call("GET", `${GROUP}/gateways`)).json();
    expect(list).toMatchObject({ kind: "GatewayList", apiVersion: "networking.istio.io/v1alpha3" });
    const names = (items: { metadata: { name: string; namespace: string } }[]) =>
      items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
    expect(names(list.items)).toEqual(["default/edge"]);
    expect(names((await call("GET", "/apis/networking.istio.io/v1/gateways")).json().items)).toEqual([
      "default/edge",
      "other/a",
    ]);
  });

  it("404 for kinds, versions and groups that it has not", async () => {
    for (const url of [
      `${GROUP}/gatways`,
      "/apis/networking.istio.io/v9/gateways",
      "/apis/x/v1/namespaces/a/gateways/b",
    ])
      expect((await call("GET", url)).json()).toMatchObject({ kind: "Status", code: 404 });
  });

  it("never shows key material", async () => {
    const data = { "tls.key": "c2VjcmV0", "tls.crt": "Y2VydA==" };
    server.file({ apiVersion: "v1", kind: "Secret", metadata: { name: "edge" }, type: "kubernetes.io/tls", data });
    for (const url of ["/api/v1/namespaces/default/secrets/edge", "/api/v1/namespaces/default/secrets"]) {
      const { body } = await call("GET", url);
      expect(body).toContain("tls.key");
      expect(body).not.toMatch(/c2VjcmV0|Y2VydA/);
    }
  });

  it("503 when the store is away, and nothing has changed", async () => {
    server.onStore = () => {
      throw new StoreUnavailable("no answer in 250 ms");
    };
    const answer = await put(routing());
    expect([answer.statusCode, answer.json().reason]).toEqual([503, "ServiceUnavailable"]);
    expect(answer.json().message).toContain("TM_STORE_UNAVAILABLE");
  });

  it("500 without a word of what happened for its own faults", async () => {
    server.onStore = () => {
      throw new Error("secret detail");
    };
    const answer = await put(routing());
    expect([answer.statusCode, answer.json().reason]).toEqual([500, "InternalError"]);
    expect(answer.body).not.toContain("secret detail");
  });
});

describe("paths of kinds", () => {
  const kinds = [
    { kind: "ServiceEntry", apiVersions: ["networking.istio.io/v1", "networking.istio.io/v1beta1"] },
    { kind: "EnvoyResources", apiVersions: ["tokenmesh.io/v1alpha1"] },
    { kind: "Secret", apiVersions: ["v1"] },
  ];

  it("have the plurals that Kubernetes' tools make", () => {
    const plurals = ["Gateway", "ServiceEntry", "EnvoyResources", "PromptCache", "LLMRouter"].map(pluralOf);
    expect(plurals).toEqual(["gateways", "serviceentries", "envoyresources", "promptcaches", "llmrouters"]);
  });

  it("lead to the kind and back", () => {
    expect(kindAt(kinds, "networking.istio.io", "v1beta1", "serviceentries")?.kind).toBe("ServiceEntry");
    expect(kindAt(kinds, "", "v1", "secrets")?.kind).toBe("Secret");
    expect(kindAt(kinds, "", "v1", "serviceentries")).toBeUndefined();
    for (const name of ["serviceentry", "ServiceEntries", "envoyresources", "secret"]) {
      const address = kindNamed(kinds, name);
      expect(address).toBeDefined();
      if (address === undefined) continue;
      const [, group = "", version = ""] =
        /^\/apis?\/(?:([^/]+)\/)?([^/]+)\/namespaces/.exec(kindPath(address, "a", "b")) ?? [];
      expect(kindAt(kinds, group, version, address.plural)).toEqual(address);
    }
  });
});
