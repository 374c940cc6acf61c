import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { Command } from "commander";
import protobuf from "protobufjs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { entryOf } from "../../../test/fixtures/answer-entry.ts";
import { RedisServer, redisBinary } from "../../../test/fixtures/redis-server.ts";
import { type RunningServer, startServer } from "../../index.ts";
import { silentLogger } from "../../log.ts";
import { addCacheCommands } from "./cli.ts";
import type { AnswerServiceOptions } from "./index.ts";
import { MAX_VALUE_BYTES } from "./limits.ts";
import { nameHash } from "./xxhash64.ts";

/** The service as filters and operators see it: a server, gRPC clients that know the messages from their definition, the admin API, the command line. */

const { root } = protobuf.parse(
  `
  syntax = "proto3";
  message GetRequest { bytes key = 1; fixed64 tenant = 2; fixed64 model = 3; }
  message GetResponse { uint32 age_ms = 1; bytes value = 2; }
  message PutRequest { bytes key = 1; uint32 ttl_ms = 2; bytes value = 3; }
  message PutResponse { bool stored = 1; }
  message PurgesRequest { fixed64 epoch = 1; uint64 since = 2; string envoy = 3; uint32 wait_ms = 4; }
  message PurgesResponse { fixed64 epoch = 1; uint64 sequence = 2; uint64 now_ms = 3; repeated Purge purges = 4; }
  message Purge { uint32 kind = 1; fixed64 low = 2; fixed64 high = 3; uint64 at_ms = 4; }`,
  { keepCase: true },
);

const KEY = "000102030405060708090a0b0c0d0e0f";
const [TENANT, MODEL] = [nameHash("acme"), nameHash("gpt-4o")];
const long = (hex: string) => {
  const bytes = Buffer.from(hex, "hex");
  return { low: bytes.readInt32LE(0), high: bytes.readInt32LE(4), unsigned: true };
};
const entry = (body = "{}", storedAt = Date.now()) => entryOf({ storedAt, tenant: TENANT, model: MODEL, body });

/** Of 64 bits, as the decoder gives them; `Number` of an epoch would not be the same epoch. */
type Long = object;

interface PurgesReply {
  readonly epoch: Long;
  readonly sequence?: Long;
  readonly now_ms: Long;
  readonly purges?: readonly { readonly kind: number; readonly low?: Long; readonly at_ms: Long }[];
}

let dir: string;
const servers: RunningServer[] = [];
const clients: Client[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "tokenmesh-answers-"));
  const gateway = `{servers: [{port: {number: 0, name: http, protocol: HTTP}, hosts: ["*"]}]}`;
  writeFileSync(
    join(dir, "a.yaml"),
    `{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: edge}, spec: ${gateway}}`,
  );
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const server of servers.splice(0)) await server.close();
  rmSync(dir, { recursive: true, force: true });
});

async function start(answers: Omit<AnswerServiceOptions, "log" | "now"> = {}, token?: string) {
  const server = await startServer({ configDir: dir, log: silentLogger, answers, token });
  servers.push(server);
  const client = new Client(server.xdsAddress, credentials.createInsecure());
  clients.push(client);
  const call = <T>(method: string, request: object): Promise<T> => {
    const [from, to] = [root.lookupType(`${method}Request`), root.lookupType(`${method}Response`)];
    const path = `/tokenmesh.answers.v1.Answers/${method}`;
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        (message: object) => Buffer.from(from.encode(message).finish()),
        (bytes: Buffer) => to.toObject(to.decode(bytes)) as T,
        request,
        new Metadata(),
        { deadline: Date.now() + 15_000 },
        (error, reply) => (error === null && reply !== undefined ? resolve(reply) : reject(error)),
      );
    });
  };
  const address = { key: Buffer.from(KEY, "hex"), tenant: long(TENANT), model: long(MODEL) };
  return {
    server,
    call,
    get: () => call<{ age_ms?: number; value?: Buffer }>("Get", address),
    put: async (value: Buffer) =>
      (await call<{ stored?: boolean }>("Put", { key: Buffer.from(KEY, "hex"), ttl_ms: 60_000, value })).stored ===
      true,
    purges: async (more: object = {}) => {
      const { epoch, sequence = 0, now_ms: now, purges = [] } = await call<PurgesReply>("Purges", more);
      const read = purges.map(({ kind, at_ms: at }) => ({ kind, at: Number(at) }));
      return { epoch, sequence: Number(sequence), now: Number(now), purges: read };
    },
    metrics: async () => (await fetch(`http://${server.apiAddress}/metrics`)).text(),
    cache: async () => JSON.parse(await (await fetch(`http://${server.apiAddress}/cache`)).text()),
    purge: (body: unknown, headers: Readonly<Record<string, string>> = {}) => post(server.apiAddress, body, headers),
  };
}

/** `fetch` sets `host` itself. */
function post(address: string, body: unknown, headers: Readonly<Record<string, string>>) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Promise<{ status: number; value: { error: { code: string }; sequence: number; at: number } }>(
    (resolve, reject) => {
      const request = httpRequest(`http://${address}/cache/purge`, { method: "POST", headers }, async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk as Buffer);
        resolve({ status: response.statusCode ?? 0, value: JSON.parse(Buffer.concat(chunks).toString()) });
      });
      request.on("error", reject);
      request.end(text);
    },
  );
}

describe("an answer", () => {
  it("is found by whom it belongs to, until it is purged", async () => {
    const { get, put, purge, call, cache } = await start();
    expect(await get()).toEqual({});
    const value = entry("x".repeat(5_000));
    expect(await put(value)).toBe(true);
    const { value: found, age_ms: age = 0 } = await get();
    expect(found).toEqual(value);
    expect(age).toBeLessThan(15_000);
    expect(await call("Get", { key: Buffer.from(KEY, "hex"), tenant: long(TENANT) })).toEqual({});
    for (const target of [{ model: "gpt-4o-mini" }, { tenant: "acm" }, { key: "f".repeat(32) }])
      expect((await purge(target)).status).toBe(200);
    expect((await get()).value).toEqual(value);
    for (const target of [{ model: "gpt-4o" }, { tenant: "acme" }, { key: KEY.toUpperCase() }, { all: true }]) {
      expect(await put(entry("{}", Date.now() + 60_000))).toBe(true);
      expect((await get()).value).toBeDefined();
      const { status: code, value: purged } = await purge(target);
      expect([code, Object.keys(purged)]).toEqual([200, ["sequence", "at"]]);
      await waitFor(() => Date.now() > purged.at, { what: "the next millisecond" });
      expect(await get()).toEqual({});
    }
    expect(await cache()).toMatchObject({
      store: { kind: "memory", maxBytes: 256 * 1024 * 1024 },
      gets: { hit: 6, foreign: 1 },
      puts: { stored: 5 },
      purges: { sequence: 7, waiting: 0, envoys: [] },
    });
  });

  it("of the largest size passes; what is no message is refused, what is no entry is not stored", async () => {
    const { get, put, call, metrics } = await start();
    const empty = entry("");
    const largest = entry("x".repeat(MAX_VALUE_BYTES - empty.length));
    expect(await put(largest)).toBe(true);
    expect((await get()).value?.equals(largest)).toBe(true);
    expect(await put(largest.subarray(1))).toBe(false);
    const code = (asked: Promise<unknown>) =>
      asked.then(
        () => status.OK,
        (error: ServiceError) => error.code,
      );
    expect(await code(call("Get", { key: Buffer.from("short") }))).toBe(status.INVALID_ARGUMENT);
    expect(await code(call("Put", { key: Buffer.from(KEY, "hex"), value: empty }))).toBe(status.INVALID_ARGUMENT);
    expect(await code(call("Purges", { envoy: "e".repeat(600) }))).toBe(status.INVALID_ARGUMENT);
    const text = await metrics();
    for (const [name, result] of [
      ["gets", "malformed"],
      ["polls", "malformed"],
    ])
      expect(text).toContain(`tokenmesh_answers_${name}_total{result="${result}"} 1`);
    expect(text).toContain('tokenmesh_answers_puts_total{result="malformed"} 2');
    expect(text).toMatch(/^tokenmesh_answers_entries 1$/m);
    expect(text).toMatch(/^tokenmesh_answers_store_up 1$/m);
  });
});

describe("purges", () => {
  it("reach all that wait at once; a server that stops lets them go", async () => {
    const { purges, purge, cache, server, metrics } = await start();
    const { epoch } = await purges({ envoy: "one" });
    const waiting = ["one", "two"].map((envoy) => purges({ epoch, envoy }));
    await waitFor(async () => (await cache()).purges.waiting === 2, { what: "both to wait" });
    const { value } = await purge({ model: "gpt-4o" });
    const began = performance.now();
    for (const answer of await Promise.all(waiting)) {
      expect(answer).toMatchObject({ epoch, sequence: value.sequence });
      expect(answer.now).toBeGreaterThanOrEqual(value.at);
      expect(answer.purges).toEqual([{ kind: 2, at: value.at }]);
    }
    expect(performance.now() - began).toBeLessThan(500);
    expect(await metrics()).toContain('tokenmesh_answers_purges_total{kind="model"} 1');
    const last = purges({ epoch, since: 1, envoy: "one" });
    await waitFor(async () => (await cache()).purges.waiting === 1, { what: "the call to wait" });
    expect((await cache()).purges.envoys).toEqual([
      { envoy: "two", upToDate: false, askedMsAgo: expect.any(Number) },
      { envoy: "one", upToDate: true, askedMsAgo: expect.any(Number) },
    ]);
    await server.close();
    expect(await last).toMatchObject({ epoch, sequence: 1 });
  });

  it("a caller that goes away waits no more", async () => {
    const { purges, cache } = await start();
    const { epoch } = await purges();
    const bytes = Buffer.from(root.lookupType("PurgesRequest").encode({ epoch }).finish());
    const pass = (message: Buffer) => message;
    const call = clients[0]?.makeUnaryRequest("/tokenmesh.answers.v1.Answers/Purges", pass, pass, bytes, () => {});
    await waitFor(async () => (await cache()).purges.waiting === 1, { what: "the call to wait" });
    call?.cancel();
    await waitFor(async () => (await cache()).purges.waiting === 0, { timeoutMs: 5_000, what: "it to be forgotten" });
  });

  it.each([
    ["no JSON", "{", {}, 400, "invalid_body"],
    ["no object", [], {}, 400, "invalid_body"],
    ["nothing", {}, {}, 400, "invalid_body"],
    ["two things", { model: "m", all: true }, {}, 400, "invalid_body"],
    ["not all", { all: false }, {}, 400, "invalid_body"],
    ["something unknown", { route: "r" }, {}, 400, "invalid_body"],
    ["half a key", { key: KEY.slice(2) }, {}, 400, "invalid_body"],
    ["no name", { model: "" }, {}, 400, "invalid_body"],
    ["too long a name", { tenant: "x".repeat(1_025) }, {}, 400, "invalid_body"],
    ["too much", { tenant: "x".repeat(70_000) }, {}, 413, "body_too_large"],
    ["a page's request", { all: true }, { origin: "http://localhost" }, 403, "TM_API_FORBIDDEN"],
    ["a name that leads here", { all: true }, { host: "evil.test" }, 403, "TM_API_FORBIDDEN"],
  ])("%s is refused and purges nothing", async (_what, body, headers, code, name) => {
    const { purge, cache } = await start();
    const { status: got, value } = await purge(body, headers as Record<string, string>);
    expect([got, value.error]).toMatchObject([
      code,
      { code: name, message: expect.any(String), remedy: expect.any(String) },
    ]);
    expect((await cache()).purges.sequence).toBe(0);
  });

  it("with a token need the token", async () => {
    const { purge, server } = await start({}, "s3cret");
    expect((await purge({ all: true })).value.error.code).toBe("TM_API_UNAUTHORIZED");
    expect((await purge({ all: true }, { authorization: "Bearer other" })).value.error.code).toBe(
      "TM_API_UNAUTHORIZED",
    );
    expect((await purge({ all: true }, { authorization: "Bearer s3cret", host: "any.test" })).status).toBe(200);
    const api = `http://${server.apiAddress}`;
    const headers = { authorization: "Bearer s3cret" };
    const get = await fetch(`${api}/cache/purge`, { headers });
    const deleted = await fetch(`${api}/cache`, { headers, method: "DELETE" });
    expect([get.status, get.headers.get("allow"), deleted.status, deleted.headers.get("allow")]).toEqual([
      405,
      "POST",
      405,
      "GET, HEAD",
    ]);
  });

  it("by command line", async () => {
    const { server } = await start({}, "s3cret");
    const written: string[] = [];
    const spies = [
      vi.spyOn(process.stdout, "write").mockImplementation((text) => written.push(String(text)) > 0),
      vi.spyOn(process.stderr, "write").mockImplementation(() => true),
    ];
    const run = async (...args: string[]) => {
      const command = new Command("cache").exitOverride();
      addCacheCommands(command);
      await command.parseAsync([...args, "--api", server.apiAddress], { from: "user" });
      return JSON.parse(written.splice(0).join("")) as object;
    };
    try {
      await expect(run("purge", "--all")).rejects.toThrow(/^TM_API_UNAUTHORIZED: .*TOKENMESH_API_TOKEN/);
      vi.stubEnv("TOKENMESH_API_TOKEN", "s3cret");
      expect(await run("purge", "--all")).toMatchObject({ sequence: 1 });
      expect(await run("purge", "--model", "gpt-4o")).toMatchObject({ sequence: 2 });
      await expect(run("purge")).rejects.toThrow(/name one of --key/);
      await expect(run("purge", "--all", "--tenant", "acme")).rejects.toThrow(/name one of --key/);
      await expect(run("purge", "--key", "zz")).rejects.toThrow(/^invalid_body: /);
      expect(await run("show")).toMatchObject({ store: { kind: "memory" }, purges: { sequence: 2 } });
      await server.close();
      servers.length = 0;
      await expect(run("show")).rejects.toThrow(/cannot be reached: .*--api/);
    } finally {
      vi.unstubAllEnvs();
      for (const spy of spies) spy.mockRestore();
    }
  });
});

describe("with Redis", () => {
  const binary = redisBinary();
  if ("reason" in binary) {
    it("runs", ({ skip }) => skip(binary.reason));
    return;
  }

  it("two servers have the same answers; a purge at one reaches the Envoys of the other in less than a second", async () => {
    const redis = await RedisServer.start();
    try {
      const [one, other] = [await start({ redis: { url: redis.url } }), await start({ redis: { url: redis.url } })];
      for (const { metrics } of [one, other])
        await waitFor(async () => /^tokenmesh_answers_store_up 1$/m.test(await metrics()), { what: "Redis" });
      const value = entry();
      await waitFor(async () => (await one.put(value)) && (await other.get()).value !== undefined, {
        what: "the answer",
      });
      expect((await other.get()).value).toBeDefined();
      const { epoch } = await other.purges();
      for (let n = 1; n <= 5; n++) {
        const waiting = other.purges({ epoch, since: n - 1, envoy: "far" });
        await waitFor(async () => (await other.cache()).purges.waiting === 1, { what: "the call to wait" });
        const began = performance.now();
        expect((await one.purge({ tenant: "acme" })).value.sequence).toBe(n);
        expect(await other.get()).toEqual({});
        expect((await waiting).purges).toHaveLength(1);
        expect(performance.now() - began).toBeLessThan(1_000);
      }
      expect((await other.cache()).store).toMatchObject({ kind: "redis", up: true });
    } finally {
      for (const server of servers.splice(0)) await server.close();
      await redis.stop();
    }
  });

  it("that hangs or is gone, every call is answered, as a miss, in time; afterwards all is as before", async () => {
    const redis = await RedisServer.start();
    try {
      const { get, put, purge, purges, metrics } = await start({ redis: { url: redis.url, timeoutMs: 100 } });
      const value = entry("{}", Date.now() + 1_000);
      await waitFor(async () => (await put(value)) && (await get()).value !== undefined, { what: "an answer" });
      const { epoch, sequence } = await purges();
      process.kill(redis.pid, "SIGSTOP");
      try {
        const began = performance.now();
        const found = await Promise.all(Array.from({ length: 90 }, () => get()));
        expect(found.filter((each) => each.value !== undefined)).toEqual([]);
        expect(await put(value)).toBe(false);
        expect(performance.now() - began).toBeLessThan(3_000);
        expect(await purge({ all: true })).toMatchObject({
          status: 503,
          value: { error: { code: "store_unavailable" } },
        });
        expect(await purges({ epoch, since: sequence, wait_ms: 50 })).toMatchObject({ epoch });
        expect(await metrics()).toMatch(/^tokenmesh_answers_gets_total\{result="unavailable"\} 90$/m);
      } finally {
        process.kill(redis.pid, "SIGCONT");
      }
      await waitFor(async () => (await put(entry("{}", Date.now() + 1_000))) && (await get()).value !== undefined, {
        what: "an answer",
      });
      await redis.kill();
      await waitFor(async () => /^tokenmesh_answers_store_up 0$/m.test(await metrics()), { what: "the loss" });
      expect([await get(), await put(value)]).toEqual([{}, false]);
      await redis.resume();
      await waitFor(async () => (await put(entry("{}", Date.now() + 1_000))) && (await get()).value !== undefined, {
        what: "an answer",
      });
    } finally {
      for (const server of servers.splice(0)) await server.close();
      await redis.stop();
    }
  });

  it("of a wrong address does not start", async () => {
    await expect(start({ redis: { url: "nonsense" } })).rejects.toThrow(/^TM_USAGE not a URL of Redis/);
  });
});
