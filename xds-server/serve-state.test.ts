import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../envoy/harness/wait-for.ts";
import { RedisServer, redisBinary } from "../test/fixtures/redis-server.ts";
import { APP, FILES } from "../test/fixtures/state/served-files.ts";
import { type Logger, type RunningServer, silentLogger, startServer } from "./index.ts";
import { openStateStore } from "./state-store.ts";

/** What programs told a server is there after a restart, and on every replica. */

const RULE = "/apis/networking.istio.io/v1/namespaces/default/virtualservices/app";
const rule = { spec: { hosts: ["*"], gateways: ["edge"], http: [{ route: [{ destination: { host: "app.test" } }] }] } };

describe("the state of a server", () => {
  let dir: string;
  const servers: RunningServer[] = [];
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "tokenmesh-state-"));
    writeFileSync(join(dir, "base.yaml"), FILES);
  });
  afterEach(async () => {
    for (const each of servers.splice(0)) await each.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const start = async (state: string): Promise<RunningServer> => {
    const server = await startServer({ configDir: join(dir, "base.yaml"), state, log: silentLogger });
    servers.push(server);
    return server;
  };
  const put = async ({ apiUrl }: RunningServer, path: string, body: object): Promise<number> =>
    (await fetch(apiUrl + path, { method: "PUT", body: JSON.stringify(body) })).status;
  const version = async ({ apiUrl }: RunningServer): Promise<string> =>
    ((await (await fetch(`${apiUrl}/api/v1/snapshot`)).json()) as { version: string }).version;
  const weights = { changes: [{ cluster: APP, address: "10.0.0.1", port: 80, weight: 9 }] };
  const instance = { address: "10.0.0.7", port: 80, ttl: 3600 };

  it("documents that are applied together are one publication, on every replica", async ({ skip }) => {
    const binary = redisBinary();
    if ("reason" in binary) return skip(binary.reason);
    const redis = await RedisServer.startBinary(binary);
    try {
      const published: number[] = [0, 0];
      const replicas = await Promise.all(
        published.map(async (_, index) => {
          const log: Logger = (_level, message) => {
            if (message === "configuration published") published[index] = (published[index] ?? 0) + 1;
          };
          const server = await startServer({ configDir: join(dir, "base.yaml"), state: redis.url, log });
          servers.push(server);
          await server.ready();
          return server;
        }),
      );
      const [one, other] = replicas as [RunningServer, RunningServer];
      expect([await version(other), published]).toEqual([await version(one), [1, 1]]);
      for (let n = 1; n <= 4; n++) {
        const documents = ["a", "b", "c"].map((name) => ({
          apiVersion: "networking.istio.io/v1",
          kind: "ServiceEntry",
          metadata: { name },
          spec: {
            hosts: [`${name}.test`],
            ports: [{ number: 80, name: "http", protocol: "HTTP" }],
            resolution: "STATIC",
            endpoints: [{ address: `10.0.9.${n}` }],
          },
        }));
        const body = JSON.stringify([...documents, { ...documents[0], kind: "VirtualService", spec: rule.spec }]);
        const answer = await fetch(`${one.apiUrl}/api/v1/apply`, { method: "POST", body });
        expect(answer.status).toBe(200);
        const { versions } = (await answer.json()) as { versions: { default: string } };
        await waitFor(async () => (await version(other)) === versions.default, { what: "the other replica" });
        expect(published).toEqual([n + 1, n + 1]);
      }
    } finally {
      for (const each of servers.splice(0)) await each.close();
      await redis.stop();
    }
  }, 60_000);

  it("file: survives a restart, and the same is served again", async () => {
    const state = `file:${join(dir, "state")}`;
    const first = await start(state);
    const before = await version(first);
    expect(await put(first, RULE, rule)).toBe(201);
    expect(await put(first, "/api/v1/weights", weights)).toBe(200);
    expect(await put(first, "/api/v1/registry/services/llm/instances/a", instance)).toBe(201);
    const served = await version(first);
    expect(served).not.toBe(before);
    await expect(startServer({ configDir: dir, state, log: silentLogger })).rejects.toMatchObject({
      code: "TM_STATE_LOCKED",
    });
    await servers.pop()?.close();

    const second = await start(state);
    expect(await version(second)).toBe(served);
    expect(await put(second, RULE, rule)).toBe(200);
    const found = await fetch(`${second.apiUrl}/api/v1/registry/services/llm/instances/a`);
    expect([found.status, await found.json()]).toEqual([200, expect.objectContaining(instance)]);
  });

  it("memory: forgets", async () => {
    const first = await start("memory");
    const before = await version(first);
    expect(await put(first, RULE, rule)).toBe(201);
    expect(await version(await start("memory"))).toBe(before);
  });

  const binary = redisBinary();
  const reason = "reason" in binary ? binary.reason : undefined;
  it.skipIf(reason !== undefined)(
    `redis: what one replica is told, the others serve, in the same version${reason === undefined ? "" : ` (skipped: ${reason})`}`,
    async () => {
      const redis = await RedisServer.start();
      try {
        const [one, two] = [await start(redis.url), await start(redis.url)] as const;
        expect(await put(one, RULE, rule)).toBe(201);
        expect(await put(two, "/api/v1/weights", weights)).toBe(200);
        const same = async () => (await version(one)) === (await version(two));
        await waitFor(same, { timeoutMs: 10_000, what: "the same version" });
        const shown = (await (await fetch(two.apiUrl + RULE)).json()) as { metadata: { resourceVersion: string } };
        // Versions are of the store: a change through the other replica meets a change through this one.
        expect(await put(one, RULE, { ...rule, metadata: { resourceVersion: "stale" } })).toBe(409);
        expect(await put(one, RULE, { ...rule, metadata: { resourceVersion: shown.metadata.resourceVersion } })).toBe(
          200,
        );
      } finally {
        for (const each of servers.splice(0)) await each.close();
        await redis.stop();
      }
    },
  );

  it("a store that is away: not ready, and the files alone are not served", async () => {
    const server = await start("redis://127.0.0.1:1");
    expect((await fetch(`${server.apiUrl}/readyz`)).status).toBe(503);
    expect((await fetch(`${server.apiUrl}/livez`)).status).toBe(200);
    const status = (await (await fetch(`${server.apiUrl}/api/v1/status`)).json()) as object;
    expect(status).toMatchObject({
      ready: false,
      state: { kind: "redis", ready: false, available: false },
      groups: [],
    });
    expect(await put(server, RULE, rule)).toBeGreaterThanOrEqual(422);
  });

  it.each(["", "nonsense", "file:", "ftp://a", "consul://a b", "redis:"])("refuses %j", async (address) => {
    const opened = openStateStore(address, silentLogger);
    await expect(opened).rejects.toMatchObject({ code: "TM_USAGE" });
  });
});
