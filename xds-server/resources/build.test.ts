import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { TypeUrl, toJson } from "../../protos/index.ts";
import { buildResources } from "../../test/fixtures/built-resources.ts";
import { consistent, createSnapshot, type Resource, TYPE_NAMES } from "../cache/index.ts";
import { formatError, type Model, parseConfig } from "../config/index.ts";

/**
 * Builders against golden files: what is compared is decoded from the bytes that Envoy would get. After a wanted change run vitest with -u
 * and read the difference.
 */

const module = (byte: number) => ({ hash: `hash-${byte}`, code: { inline: new Uint8Array([0, 0x61, 0x73, byte]) } });
const modules = {
  "llm-router": { hash: "0123456789abcdef", code: { inline: new Uint8Array([0, 0x61, 0x73, 0x6d]) } },
  "token-rate-limit": module(1),
  "llm-gateway": module(2),
  "hash-ring": module(3),
  "prompt-cache": module(4),
};
const SERVER = { host: "192.0.2.7", port: 18_000 };
const golden = (name: string) => fileURLToPath(new URL(`golden/${name}`, import.meta.url));

function modelOf(...texts: readonly string[]): Model {
  const result = parseConfig(texts.map((text, index) => ({ file: `${index}.yaml`, text })));
  if (!result.ok) throw new Error(result.errors.map(formatError).join("\n"));
  return result.model;
}

const build = (...texts: readonly string[]) => buildResources(modelOf(...texts), modules, SERVER);
const view = ({ any }: Resource) => toJson("google.protobuf.Any", any) as Record<string, unknown>;
const find = (resources: readonly Resource[], typeUrl: string, name: string) => {
  const found = resources.find((each) => each.typeUrl === typeUrl && each.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return view(found);
};

describe.each(["shop", "llm", "limits", "picks", "caches", "secure"])("%s.yaml", (name) => {
  const text = readFileSync(golden(`${name}.yaml`), "utf8");

  it("gives exactly the resources of the golden file", async () => {
    const resources = [...createSnapshot(build(text)).types.values()].flatMap((type) => [...type.resources.values()]);
    const byType = resources.map((each) => ({
      type: TYPE_NAMES[each.typeUrl],
      name: each.name,
      references: each.references.map(({ typeUrl, name }) => `${TYPE_NAMES[typeUrl]} ${name}`),
      resource: view(each),
    }));
    await expect(`${JSON.stringify(byType, undefined, 2)}\n`).toMatchFileSnapshot(golden(`${name}.golden`));
  });

  it("gives a consistent snapshot", () => {
    expect(consistent(createSnapshot(build(text)))).toBe(true);
  });

  it("gives the same bytes whatever the order of the documents", () => {
    const documents = text.split("---\n");
    const [a, b] = [createSnapshot(build(...documents)), createSnapshot(build(...documents.reverse()))];
    expect(b.version).toBe(a.version);
  });
});

const SERVICE = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app}
spec:
  hosts: [app.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: "::1"}, {address: unix:///run/app.sock}]
`;
const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.a.test", b.test]}]}
`;
const virtualService = (name: string, spec: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec: ${spec}
`;

describe("details", () => {
  it("endpoints: IPv6, unix sockets, the service port when none is named", () => {
    expect(find(build(SERVICE), TypeUrl.endpoints, "outbound|80||app.test")).toMatchObject({
      endpoints: [
        {
          lb_endpoints: [
            { endpoint: { address: { socket_address: { address: "::1", port_value: 80 } } } },
            { endpoint: { address: { pipe: { path: "/run/app.sock" } } } },
          ],
        },
      ],
    });
  });

  it("endpoints: weights that are too much for Envoy together become smaller in proportion", () => {
    const endpoints = Array.from(
      { length: 5_000 },
      (_, index) => `{address: 10.0.${index >> 8}.${index & 255}, weight: ${index === 0 ? 1 : 1_000_000}}`,
    );
    const text = SERVICE.replace(/endpoints: .*/, `endpoints: [${endpoints.join(", ")}]`);
    const { endpoints: localities } = find(build(text), TypeUrl.endpoints, "outbound|80||app.test") as {
      endpoints: { lb_endpoints: { load_balancing_weight: { value: number } }[]; load_balancing_weight: object }[];
    };
    const weights = localities[0]?.lb_endpoints.map((each) => each.load_balancing_weight.value) ?? [];
    const sum = weights.reduce((total, weight) => total + weight, 0);
    expect(localities[0]?.load_balancing_weight).toEqual({ value: sum });
    expect([sum <= 4_294_967_295, weights[0], new Set(weights.slice(1)).size]).toEqual([true, 1, 1]);
    expect(weights[1]).toBeGreaterThan(400_000);
  });

  it("hosts: the narrower of Gateway and VirtualService; hosts of other Gateways are left out", () => {
    const text = virtualService("x", '{hosts: ["*", c.test, x.a.test], http: [{directResponse: {status: 204}}]}');
    const config = find(build(GATEWAY, text), TypeUrl.route, "default/edge/http");
    expect((config.virtual_hosts as { domains: string[] }[]).map(({ domains }) => domains)).toEqual([
      ["*.a.test"],
      ["x.a.test"],
    ]);
  });

  it("VirtualServices that share a host are merged; a route for everything does not hide the next one's", () => {
    const all = virtualService("a", "{hosts: [b.test], http: [{directResponse: {status: 204}}]}");
    const one = virtualService(
      "b",
      "{hosts: [b.test], http: [{match: [{uri: {exact: /x}}], directResponse: {status: 205}}]}",
    );
    const config = find(build(GATEWAY, all, one), TypeUrl.route, "default/edge/http");
    const [host] = config.virtual_hosts as { routes: { match: unknown }[] }[];
    expect(host?.routes.map(({ match }) => match)).toEqual([{ path: "/x" }, { prefix: "/" }]);
  });

  it("a weight change touches the route alone; an endpoint change the endpoints alone", () => {
    const rule = "{host: app.test}";
    const weights = (a: number) =>
      virtualService(
        "app",
        `{hosts: ["*"], http: [{route: [{destination: ${rule}, weight: ${a}}, {destination: ${rule}, weight: 1}]}]}`,
      );
    const versions = (...texts: string[]) =>
      new Map(build(...texts).map(({ typeUrl, name, version }) => [`${TYPE_NAMES[typeUrl]} ${name}`, version]));
    const changed = (a: Map<string, string>, b: Map<string, string>) =>
      [...a.keys()].filter((key) => a.get(key) !== b.get(key));
    const base = versions(GATEWAY, SERVICE, weights(1));
    expect(changed(base, versions(GATEWAY, SERVICE, weights(2)))).toEqual(["RDS default/edge/http"]);
    expect(changed(base, versions(GATEWAY, SERVICE.replace("::1", "::2"), weights(1)))).toEqual([
      "EDS outbound|80||app.test",
    ]);
  });

  it("new filter code is a new VM, by file as well", () => {
    const router = `
apiVersion: tokenmesh.io/v1alpha1
kind: LLMRouter
metadata: {name: chat}
spec: {models: [{model: "*", route: r}]}
`;
    const of = (hash: string) => buildResources(modelOf(router), { "llm-router": { hash, code: { file: "/f.wasm" } } });
    expect(of("a")[0]?.version).not.toBe(of("b")[0]?.version);
    expect(JSON.stringify(view(of("a")[0] as Resource))).toContain('"filename":"/f.wasm"');
    expect(() => buildResources(modelOf(router), {})).toThrow("missing");
  });
});
