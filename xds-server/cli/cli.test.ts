import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { waitFor } from "../../envoy/harness/wait-for.ts";
import { TypeUrl } from "../../protos/index.ts";
import { SOTW, XdsStream } from "../../test/fixtures/xds-stream.ts";
import { type RunningServer, silentLogger, startServer } from "../index.ts";
import { ADS_SOTW_PATH } from "../server/discovery-services.ts";
import { createProgram } from "./program.ts";

/** Commands in this process against a server in this process; main.test.ts runs them as processes. */

const TOKEN = "0123456789abcdef-0123456789abcdef";

const gateway = (name: string, port = 0) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: ${name}}
spec: {servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ["*"]}]}
`;
const SERVICE = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app}
spec:
  hosts: [app.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1, labels: {version: v1}}, {address: 10.0.0.2, labels: {version: v2}, weight: 3}]
`;
const ROUTES = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec: {hosts: ["*"], gateways: [edge], http: [{route: [{destination: {host: app.test}}]}]}
`;

describe("the command line against a server", () => {
  let dir: string;
  let server: RunningServer;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-cli-"));
    writeFileSync(join(dir, "token"), `${TOKEN}\n`);
    const configDir = mkdtempSync(join(dir, "config-"));
    writeFileSync(join(configDir, "a.yaml"), `${gateway("edge")}---${SERVICE}---${ROUTES}`);
    server = await startServer({ configDir, token: TOKEN, log: silentLogger });
    await server.ready();
  });
  afterAll(async () => {
    await server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  afterEach(() => {
    process.exitCode = undefined;
  });

  const file = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };

  /** Runs a command; `error` is what main.ts would print. */
  async function run(...args: readonly string[]) {
    let stdout = "";
    let error = "";
    const write = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
      stdout += String(chunk);
      return true;
    });
    try {
      await createProgram().parseAsync(["node", "tokenmesh", ...args]);
    } catch (thrown) {
      error = thrown instanceof Error ? thrown.message : String(thrown);
      process.exitCode ??= 2;
    } finally {
      write.mockRestore();
    }
    const code = process.exitCode ?? 0;
    process.exitCode = undefined;
    return { code, stdout, error };
  }
  const ask = (...args: readonly string[]) =>
    run(...args, "--server", server.apiUrl, "--token-file", join(dir, "token"));

  it("needs a server and its token", async () => {
    expect(await run("status")).toMatchObject({ code: 2, error: expect.stringContaining("TM_USAGE") });
    expect(await run("status", "--server", server.apiUrl)).toMatchObject({
      code: 2,
      error: expect.stringContaining("TM_API_UNAUTHORIZED"),
    });
    const nobody = await run("status", "--server", "127.0.0.1:1", "--token-file", join(dir, "token"));
    expect(nobody).toMatchObject({ code: 2, error: expect.stringContaining("TM_API_UNREACHABLE") });
    expect(await run("status", "--server", "ftp://a")).toMatchObject({
      code: 2,
      error: expect.stringContaining("TM_USAGE"),
    });
    const short = file("short", "abc");
    expect(await run("status", "--server", server.apiUrl, "--token-file", short)).toMatchObject({
      code: 2,
      error: expect.stringContaining("TM_API_CREDENTIALS"),
    });
  });

  it("status: what is served, in text, YAML and JSON", async () => {
    const { code, stdout } = await ask("status");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^server {3}ready, tokenmesh \d+\.\d+\.\d+/);
    expect(stdout).toMatch(/^group {4}default [0-9a-f]+: \d+ CDS, \d+ EDS/m);
    expect(stdout).toContain("Envoys   0 connected");
    const json = JSON.parse((await ask("status", "-o", "json")).stdout) as object;
    expect(json).toMatchObject({ ready: true, state: { kind: "memory", ready: true }, envoys: [] });
    expect(parse((await ask("status", "-o", "yaml")).stdout)).toMatchObject({ ready: true });
  });

  it("get: a kind under any of its names, or a document", async () => {
    for (const name of ["gateway", "Gateways"]) {
      const { stdout } = await ask("get", name);
      expect(stdout).toMatch(/^NAMESPACE {2}NAME {2}VERSION {2}FROM\ndefault {4}edge {2}- {8}.*a\.yaml\n$/);
    }
    const one = parse((await ask("get", "serviceentry", "app", "-o", "yaml")).stdout) as { spec: { hosts: string[] } };
    expect(one.spec.hosts).toEqual(["app.test"]);
    expect(await ask("get", "gateway", "none")).toMatchObject({
      code: 2,
      error: expect.stringContaining("TM_API_NOT_FOUND"),
    });
    expect(await ask("get", "gatway")).toMatchObject({ code: 2, error: expect.stringContaining("VirtualService") });
  });

  it("apply, get, diff, delete: 0, and what happened to each document", async () => {
    const path = file("b.yaml", gateway("other", 0));
    expect((await ask("diff", path)).stdout).toMatch(/^\+ default LDS default\/other\/http$/m);
    expect(await ask("apply", path)).toEqual({ code: 0, error: "", stdout: "Gateway/default/other created\n" });
    expect(await ask("apply", "--wait", path)).toEqual({
      code: 0,
      error: "",
      stdout: "Gateway/default/other unchanged\naccepted by 0 Envoys\n",
    });
    expect((await ask("get", "gateways")).stdout).toMatch(/^default {4}other {2}\S+ +api$/m);
    expect((await ask("diff")).stdout).toBe("no difference\n");
    expect(await ask("delete", "gateway", "other")).toEqual({
      code: 0,
      error: "",
      stdout: "Gateway/default/other deleted\n",
    });
    expect((await ask("get", "gateways")).stdout).not.toContain("other");
    expect(await ask("delete", "gateway", "edge")).toMatchObject({ code: 2, error: expect.stringContaining("a.yaml") });
  });

  it("apply: 1 with file, line and column of every error, and nothing is changed", async () => {
    const bad = file("bad.yaml", gateway("other").replace("HTTP", "HTTPX").replace("hosts", "host"));
    const { code, stdout } = await ask("apply", bad);
    expect(code).toBe(1);
    const lines = stdout.replaceAll(`${dir}/`, "").split("\n");
    expect(lines).toContainEqual(expect.stringMatching(/^bad\.yaml:5:\d+: TM_CONFIG_INVALID_VALUE .*HTTPX/));
    expect(lines).toContainEqual(
      expect.stringMatching(/^bad\.yaml:5:\d+: TM_CONFIG_UNKNOWN_FIELD .*Did you mean hosts/),
    );
    const syntax = await ask("apply", file("syntax.yaml", "a: ["));
    expect([syntax.code, syntax.stdout]).toEqual([1, expect.stringContaining("syntax.yaml:1:")]);
    expect((await ask("apply", join(dir, "missing.yaml"))).code).toBe(2);
    expect((await ask("apply", "--timeout", "soon", bad)).code).toBe(2);
  });

  it("validate: by itself, or with what the server has", async () => {
    const route = file("route.yaml", ROUTES.replace("{name: app}", "{name: second}").replace('["*"]', "[b.test]"));
    expect((await run("validate", route)).code).toBe(1);
    expect(await ask("validate", route)).toMatchObject({
      code: 0,
      stdout: "1 document valid with what the server has\n",
    });
    const bad = await ask("validate", file("bad.yaml", ROUTES.replace("host: app.test", "host: ap.test")));
    expect([bad.code, bad.stdout]).toEqual([1, expect.stringContaining("TM_CONFIG_UNKNOWN_REFERENCE")]);
  });

  const clusters = (name: string, ...resources: readonly object[]) =>
    JSON.stringify({
      ...{ kind: "EnvoyResources", apiVersion: "tokenmesh.io/v1alpha1" },
      ...{ metadata: { name }, spec: { resources } },
    });
  const CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
  it.each([
    [
      "a name that something else has",
      [clusters("one", { "@type": CLUSTER, name: "a" }), clusters("two", { "@type": CLUSTER, name: "a" })],
      "TM_CONFIG_DUPLICATE node group default has CDS resource a already",
    ],
    [
      "a name of nothing",
      [
        clusters("one", {
          ...{ "@type": CLUSTER, name: "a", type: "EDS" },
          eds_cluster_config: { eds_config: { ads: {}, resource_api_version: "V3" } },
        }),
      ],
      "TM_CONFIG_UNKNOWN_REFERENCE CDS resource a names EDS resource a, which node group default does not have",
    ],
  ])("validate says the same here and at a server of %s", async (_what, documents, message) => {
    const path = file("resources.yaml", documents.join("\n---\n"));
    const there = await ask("validate", path);
    const here = await run("validate", path);
    expect([here.code, there.code, here.stdout]).toEqual([1, 1, there.stdout]);
    expect(here.stdout).toContain(`${path}:`);
    expect(here.stdout).toContain(message);
  });

  it("apply --wait: 4 when an Envoy does not answer in time, 3 when one rejects it; what was stored is told", async () => {
    const client = new Client(server.xdsAddress, credentials.createInsecure());
    const stream = new XdsStream(client, ADS_SOTW_PATH, SOTW);
    try {
      stream.send({ node: { id: "slow", cluster: "c" }, type_url: TypeUrl.listener });
      stream.answer(await stream.response(0));
      await waitFor(async () => (await ask("status")).stdout.includes("1 connected, 1 in sync"), { what: "the Envoy" });
      const apply = (port: number) =>
        ask("apply", "--wait", "--timeout", "200ms", file("w.yaml", gateway("wait", port)));
      expect(await apply(0)).toEqual({
        code: 4,
        stdout: "Gateway/default/wait created\nEnvoy slow: LDS: sent\n",
        error: expect.stringContaining("TM_API_TIMEOUT"),
      });
      stream.answer(await stream.response(1));
      await waitFor(async () => (await ask("status")).stdout.includes("1 in sync"), { what: "the ACK" });
      const rejected = ask("apply", "--wait", "--timeout", "20s", file("w.yaml", gateway("wait", 81)));
      stream.answer(await stream.response(2), "listener default/wait/http: no");
      expect(await rejected).toMatchObject({ code: 3, error: expect.stringContaining("TM_API_NACKED") });
    } finally {
      stream.close();
      client.close();
      await ask("delete", "gateway", "wait");
    }
  });

  it("endpoints, weights: what is served, and weights that were set", async () => {
    const table = (await ask("endpoints")).stdout;
    const cluster = /^(outbound\S+) +10\.0\.0\.1:80 +1 +\S+$/m.exec(table)?.[1] ?? "";
    expect(table).toMatch(/^outbound\S+ +10\.0\.0\.2:80 +3 +\S+$/m);
    const set = await ask("weights", "set", cluster, "10.0.0.1:80=7", "10.0.0.2:80=0");
    expect([set.code, set.error, set.stdout]).toEqual([0, "", expect.stringMatching(/^in force with version \w+\n$/)]);
    const after = JSON.parse((await ask("endpoints", cluster, "-o", "json")).stdout) as {
      endpoints: { weight: number; health: string }[];
    };
    expect(after.endpoints).toMatchObject([{ weight: 7 }, { health: "draining" }]);
    expect((await ask("weights", "get")).stdout).toMatch(/10\.0\.0\.1:80 +7$/m);
    expect(await ask("weights", "set", cluster, "10.0.0.9:80=1")).toMatchObject({
      code: 1,
      stdout: expect.stringContaining("no endpoint 10.0.0.9:80"),
    });
    expect((await ask("weights", "set", cluster, "10.0.0.1=1")).code).toBe(2);
    await ask("weights", "set", cluster, "10.0.0.1:80=default", "10.0.0.2:80=default");
    expect((await ask("endpoints")).stdout).toBe(table);
  });

  it("endpoints, weights: what is shown is what weights are set by, also IPv6 and Unix sockets", async () => {
    const cluster = "outbound|80||every.test";
    const addresses = ["10.0.1.1", "2001:db8::1", "::1", "unix:///run/app.sock", "unix:///run/a b:0"];
    const service = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: every}
spec:
  hosts: [every.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [${addresses.map((address) => `{address: "${address}"}`).join(", ")}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: every}
spec: {hosts: [every.test], gateways: [edge], http: [{route: [{destination: {host: every.test}}]}]}
`;
    expect(await ask("apply", file("every.yaml", service))).toMatchObject({ code: 0, error: "" });
    type Endpoint = Readonly<Record<"cluster" | "address" | "port" | "weight", string | number>>;
    const shown = async () =>
      (JSON.parse((await ask("endpoints", cluster, "-o", "json")).stdout) as { endpoints: readonly Endpoint[] })
        .endpoints;
    const before = await shown();
    expect(before.map(({ address, port }) => [address, port])).toEqual(
      addresses.map((address) => [address, address.startsWith("unix") ? 0 : 80]),
    );
    // As programs do it.
    const put = async (weight: (index: number) => number | null) => {
      const changes = before.map(({ cluster: of, address, port }, index) => ({
        ...{ cluster: of, address, port },
        weight: weight(index),
      }));
      const headers = { authorization: `Bearer ${TOKEN}` };
      const body = JSON.stringify({ changes });
      return (await fetch(`${server.apiUrl}/api/v1/weights`, { method: "PUT", headers, body })).status;
    };
    expect(await put((index) => index + 2)).toBe(200);
    expect((await shown()).map(({ weight }) => weight)).toEqual([2, 3, 4, 5, 6]);
    expect(await put(() => null)).toBe(200);
    expect(await shown()).toEqual(before);
    // As people do it: the texts of the table.
    const names = async (...command: readonly string[]) =>
      (await ask(...command)).stdout
        .split("\n")
        .filter((line) => line.startsWith(cluster))
        .map((line) => /^\S+ +(.+?) +\d/.exec(line)?.[1] ?? "");
    const texts = await names("endpoints", cluster);
    expect(texts).toEqual(["10.0.1.1:80", "[2001:db8::1]:80", "[::1]:80", "unix:///run/app.sock", "unix:///run/a b:0"]);
    expect((await ask("weights", "set", cluster, ...texts.map((text, index) => `${text}=${index + 7}`))).code).toBe(0);
    expect((await shown()).map(({ weight }) => weight)).toEqual([7, 8, 9, 10, 11]);
    expect(await names("weights", "get")).toEqual(texts);
    expect((await ask("weights", "set", cluster, ...texts.map((text) => `${text}=default`))).code).toBe(0);
    expect(await shown()).toEqual(before);
    for (const kind of ["virtualservice", "serviceentry"]) expect((await ask("delete", kind, "every")).code).toBe(0);
  });

  it("snapshot: the resources of a group", async () => {
    const snapshot = parse((await ask("snapshot")).stdout) as { types: Record<string, unknown> };
    expect(Object.keys(snapshot.types)).toContain("CDS");
    expect(JSON.parse((await ask("snapshot", "-o", "json")).stdout)).toEqual(snapshot);
    expect((await ask("snapshot", "--group", "nobody")).code).toBe(2);
  });

  it("openapi, version: without a server", async () => {
    const root = new URL("../../", import.meta.url).pathname;
    expect((await run("openapi")).stdout).toBe(readFileSync(`${root}docs/openapi.json`, "utf8"));
    expect((await run("version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
