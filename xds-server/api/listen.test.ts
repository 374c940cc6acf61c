import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { FakeServer } from "../../test/fixtures/api/ports.ts";
import { silentLogger } from "../log.ts";
import { readToken } from "./credentials.ts";
import { type ApiListenOptions, type RunningApi, startApi } from "./listen.ts";

const TOKEN = "0123456789abcdef";

describe("the admin API on an address", () => {
  let dir: string;
  const running: RunningApi[] = [];
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-api-tls-"));
    const openssl = (...args: readonly string[]) => execFileSync("openssl", args, { cwd: dir, stdio: "ignore" });
    const authority = (name: string) =>
      openssl(
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        `/CN=${name}`,
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.crt`,
      );
    const signed = (name: string, by: string, extension: string) => {
      writeFileSync(join(dir, `${name}.ext`), extension);
      openssl(
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        `/CN=${name}`,
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.csr`,
      );
      openssl(
        "x509",
        "-req",
        "-in",
        `${name}.csr`,
        "-CA",
        `${by}.crt`,
        "-CAkey",
        `${by}.key`,
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        `${name}.ext`,
        "-out",
        `${name}.crt`,
      );
    };
    authority("ca");
    authority("other");
    signed("server", "ca", "subjectAltName=IP:127.0.0.1");
    signed("client", "ca", "extendedKeyUsage=clientAuth");
    signed("stranger", "other", "extendedKeyUsage=clientAuth");
    signed("rotated", "ca", "subjectAltName=IP:127.0.0.1");
  }, 30_000);
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  afterEach(async () => {
    for (const each of running.splice(0)) await each.close();
  });

  const start = async (more: Partial<ApiListenOptions> = {}): Promise<RunningApi> => {
    const server = new FakeServer();
    server.settle();
    const api = await startApi(server.ports(), {
      host: "127.0.0.1",
      port: 0,
      log: silentLogger,
      version: "0",
      ...more,
    });
    running.push(api);
    return api;
  };
  const pem = (name: string) => join(dir, name);
  const tls = () => ({ cert: pem("server.crt"), key: pem("server.key"), clientCa: pem("ca.crt") });

  /** The status of an answer over TLS, or the error's code. */
  const ask = (api: RunningApi, client?: string, token?: string): Promise<number | string> =>
    new Promise((resolve) => {
      const read = (name: string) => execFileSync("cat", [pem(name)], { encoding: "utf8" });
      const identity = client === undefined ? {} : { cert: read(`${client}.crt`), key: read(`${client}.key`) };
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      request(`${api.url}/api/v1/status`, { ca: read("ca.crt"), headers, agent: false, ...identity }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      })
        .on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
        .end();
    });

  it("takes a client certificate of the authority, or the token, over TLS", async () => {
    const api = await start({ tls: tls(), token: TOKEN });
    expect(api.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    expect(await ask(api, "client")).toBe(200);
    expect(await ask(api, undefined, TOKEN)).toBe(200);
    expect(await ask(api, "stranger")).toBe(401);
    expect(await ask(api)).toBe(401);
  });

  it("takes another token when it is told to, and the former one no more, also over a connection that is open", async () => {
    const api = await start({ tls: tls(), token: TOKEN });
    const next = TOKEN.replace(/^./, "z");
    expect([await ask(api, undefined, TOKEN), await ask(api, undefined, next)]).toEqual([200, 401]);
    api.setToken(next);
    expect([await ask(api, undefined, TOKEN), await ask(api, undefined, next)]).toEqual([401, 200]);
    expect([await ask(api, "client"), await ask(api)]).toEqual([200, 401]);
    // Who was let in without a token is not shut out by one.
    const open = await start();
    open.setToken(next);
    expect((await fetch(`${open.url}/api/v1/status`)).status).toBe(200);
  });

  it("listens beyond loopback only with something that says who may", async () => {
    for (const host of ["0.0.0.0", "[::]"])
      await expect(start({ host })).rejects.toMatchObject({ code: "TM_API_UNPROTECTED" });
    await start({ host: "0.0.0.0", token: TOKEN });
    await start({ host: "0.0.0.0", tls: tls() });
    const { clientCa: _, ...serverOnly } = tls();
    await expect(start({ host: "0.0.0.0", tls: serverOnly })).rejects.toMatchObject({ code: "TM_API_UNPROTECTED" });
  });

  it("says which file is no good", async () => {
    await expect(start({ tls: { ...tls(), cert: pem("none") } })).rejects.toMatchObject({ code: "TM_API_CREDENTIALS" });
    await expect(start({ tls: { ...tls(), key: pem("client.key") } })).rejects.toMatchObject({
      code: "TM_API_CREDENTIALS",
    });
    writeFileSync(pem("token"), `${TOKEN}\n`);
    expect(readToken(pem("token"))).toBe(TOKEN);
    for (const text of ["", "short", "with spaces 0123456789", "é".repeat(20)]) {
      writeFileSync(pem("token"), text);
      expect(() => readToken(pem("token"))).toThrow(/TM_API_CREDENTIALS/);
    }
    expect(() => readToken(pem("nowhere"))).toThrow(/TM_API_CREDENTIALS/);
  });

  it("reads its files again when it is told to; those that are no good change nothing", async () => {
    const [now, place] = [(name: string) => readFileSync(pem(name)), (name: string) => pem(`live-${name}`)];
    const put = (cert: string, key: string, ca: string) => {
      writeFileSync(place("crt"), now(cert));
      writeFileSync(place("key"), now(key));
      writeFileSync(place("ca"), now(ca));
    };
    const shown = (api: RunningApi): Promise<string | undefined> =>
      new Promise((resolve, reject) => {
        const port = Number(api.address.split(":")[1]);
        const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
          const { subject } = socket.getPeerX509Certificate() ?? {};
          socket.destroy();
          resolve(subject);
        });
        socket.on("error", reject);
      });
    put("server.crt", "server.key", "ca.crt");
    const api = await start({ tls: { cert: place("crt"), key: place("key"), clientCa: place("ca") } });
    const seen = async () => [await shown(api), await ask(api, "client"), await ask(api, "stranger")];
    expect(await seen()).toEqual(["CN=server", 200, 401]);
    put("rotated.crt", "rotated.key", "other.crt");
    expect(await seen()).toEqual(["CN=server", 200, 401]);
    api.reloadTls();
    expect(await seen()).toEqual(["CN=rotated", 401, 200]);
    for (const [cert, key, ca] of [
      ["server.crt", "rotated.key", "ca.crt"],
      ["server.key", "server.key", "ca.crt"],
      ["server.crt", "server.key", "ca.key"],
    ] as const) {
      put(cert, key, ca);
      expect(() => api.reloadTls()).toThrow(/TM_API_CREDENTIALS/);
      expect(await seen()).toEqual(["CN=rotated", 401, 200]);
    }
    rmSync(place("crt"));
    expect(() => api.reloadTls()).toThrow(/TM_API_CREDENTIALS/);
    expect(await seen()).toEqual(["CN=rotated", 401, 200]);
    const plain = await start();
    plain.reloadTls();
  });

  it("says that an address is taken", async () => {
    const { address } = await start();
    const port = Number(address.split(":")[1]);
    await expect(start({ port })).rejects.toMatchObject({
      code: "TM_LISTEN_FAILED",
      message: expect.stringContaining(`cannot listen on ${address}`),
    });
  });

  it("closes with a request that never ends, and with a connection that says nothing", async () => {
    const api = await start();
    const port = Number(api.address.split(":")[1]);
    const open = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
    const ended = open.map((socket) => new Promise((resolve) => socket.on("close", resolve).on("error", () => {})));
    await Promise.all(open.map((socket) => new Promise((resolve) => socket.on("connect", resolve))));
    open[0]?.write("PUT /api/v1/weights HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{");
    await api.close();
    running.splice(0);
    await Promise.all(ended);
  });
});
