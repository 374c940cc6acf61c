import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ApiError } from "./api-error.ts";
import { openCluster, podCluster } from "./cluster.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tokenmesh-cluster-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (name: string, text: string) => {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
};

async function fault(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof ApiError) return `${error.fault}: ${error.message}`;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("podCluster", () => {
  const environment = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "6443" };

  it("is what the service account says, and reads its token anew each time", async () => {
    write("namespace", "mesh\n");
    write("token", "first\n");
    write("ca.crt", "CA");
    const cluster = podCluster(environment, folder);
    expect([cluster.server, cluster.namespace]).toEqual(["https://10.96.0.1:6443", "mesh"]);
    expect(await cluster.credentials()).toEqual({ headers: { authorization: "Bearer first" }, tls: { ca: "CA" } });
    write("token", "second");
    expect((await cluster.credentials()).headers.authorization).toBe("Bearer second");
    expect(podCluster({ KUBERNETES_SERVICE_HOST: "fd00::1" }, folder).server).toBe("https://[fd00::1]:443");
  });

  it("refuses to be outside of a pod, and files that are none", async () => {
    expect(await fault(() => podCluster({}, folder))).toMatch(/^credentials: this program runs in no pod/);
    expect(await fault(() => podCluster(environment, folder))).toBe(
      `credentials: ${join(folder, "namespace")} cannot be read (ENOENT)`,
    );
    write("namespace", "mesh");
    write("ca.crt", "CA");
    const cluster = podCluster(environment, folder);
    expect(await fault(() => cluster.credentials())).toMatch(/token cannot be read \(ENOENT\)$/);
    for (const token of ["", " ", "a b", "ä", "a\nb: c"]) {
      write("token", token);
      expect(await fault(() => cluster.credentials())).toBe(`credentials: ${join(folder, "token")} holds no token`);
    }
    write("token", "x".repeat(20_000));
    expect(await fault(() => cluster.credentials())).toMatch(/token has more than 16384 bytes$/);
  });
});

describe("a kubeconfig", () => {
  const config = (server: string, user: object, cluster: object = {}) =>
    write(
      "config/kubeconfig",
      JSON.stringify({
        clusters: [
          { name: "one", cluster: { server, ...cluster } },
          { name: "two", cluster: { server: "https://two:6443/" } },
        ],
        users: [{ name: "me", user }],
        contexts: [
          { name: "first", context: { cluster: "one", user: "me", namespace: "mesh" } },
          { name: "second", context: { cluster: "two", user: "me" } },
          { name: "none", context: { cluster: "three", user: "me" } },
        ],
        "current-context": "first",
      }),
    );

  it("says server, namespace and token; another context says others", async () => {
    const kubeconfig = config("https://one:6443", { token: "abc" }, { "tls-server-name": "kubernetes" });
    const cluster = await openCluster({ kubeconfig });
    expect([cluster.server, cluster.namespace]).toEqual(["https://one:6443", "mesh"]);
    expect(await cluster.credentials()).toEqual({
      headers: { authorization: "Bearer abc" },
      tls: { servername: "kubernetes" },
    });
    const other = await openCluster({ kubeconfig, context: "second" });
    expect([other.server, other.namespace]).toEqual(["https://two:6443", "default"]);
  });

  it("says certificates, as files beside it or in it, and passwords", async () => {
    write("config/me.crt", "CERT");
    const user = { "client-certificate": "me.crt", "client-key-data": Buffer.from("KEY").toString("base64") };
    const ca = { "certificate-authority-data": Buffer.from("CA").toString("base64") };
    const { tls } = await (await openCluster({ kubeconfig: config("https://one", user, ca) })).credentials();
    expect([tls.ca, tls.cert, tls.key].map(String)).toEqual(["CA", "CERT", "KEY"]);
    const basic = await openCluster({ kubeconfig: config("https://one", { username: "a", password: "b:c" }) });
    expect((await basic.credentials()).headers).toEqual({ authorization: `Basic ${btoa("a:b:c")}` });
  });

  it("reads a token file anew, and may be of a server without TLS", async () => {
    const tokenFile = write("token", "one");
    const user = { "auth-provider": { name: "tokenFile", config: { tokenFile } } };
    const cluster = await openCluster({ kubeconfig: config("http://127.0.0.1:8001", user) });
    expect((await cluster.credentials()).headers.authorization).toBe("Bearer one");
  });

  it("passes on an agent only for a proxy", async () => {
    const proxied = config("https://one", { token: "abc" }, { "proxy-url": "http://127.0.0.1:3128" });
    expect((await (await openCluster({ kubeconfig: proxied })).credentials()).agent).toBeDefined();
    const direct = config("https://one", { token: "abc" });
    expect((await (await openCluster({ kubeconfig: direct })).credentials()).agent).toBeUndefined();
  });

  it("is refused with its path, and without its text, when it is none", async () => {
    const missing = join(folder, "missing");
    expect(await fault(() => openCluster({ kubeconfig: missing }))).toBe(
      `credentials: kubeconfig ${missing} cannot be read (ENOENT)`,
    );
    for (const text of ["", "[", "1", "{}", "users: secret-token", "clusters: [{name: a}]"]) {
      const kubeconfig = write("bad", text);
      expect(await fault(() => openCluster({ kubeconfig }))).toMatch(/^credentials: kubeconfig /);
    }
    const kubeconfig = config("ftp://one", {});
    for (const context of [undefined, "none", "nobody"])
      expect(await fault(() => openCluster({ kubeconfig, context }))).toMatch(/has no context .* with a cluster/);
    const lost = config("https://one", { "client-certificate": "lost.crt" });
    const cluster = await openCluster({ kubeconfig: lost });
    expect(await fault(() => cluster.credentials())).toBe(`credentials: kubeconfig ${lost}: ENOENT`);
  });
});
