import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { Command } from "commander";
import protobuf from "protobufjs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { waitFor } from "../../../../envoy/harness/index.ts";
import { entryOf } from "../../../../test/fixtures/answer-entry.ts";
import { FakeEndpoint } from "../../../../test/fixtures/embeddings/fake-endpoint.ts";
import { type RunningServer, startServer } from "../../../index.ts";
import { silentLogger } from "../../../log.ts";
import { type AnswersCommandOptions, addAnswersOptions, answersOptions } from "../cli.ts";

/** Similar questions as filters and operators see them: a server with the options of the command line, gRPC, the admin API. */

const { root } = protobuf.parse(
  `
  syntax = "proto3";
  message GetRequest {
    bytes key = 1; fixed64 tenant = 2; fixed64 model = 3; bytes partition = 4; bytes text = 5; uint32 threshold_permille = 6;
  }
  message GetResponse { uint32 age_ms = 1; bytes value = 2; uint32 similarity_permille = 3; bytes key = 4; }
  message PutRequest { bytes key = 1; uint32 ttl_ms = 2; bytes value = 3; bytes partition = 4; bytes text = 5; }
  message PutResponse { bool stored = 1; }`,
  { keepCase: true },
);

interface GetReply {
  readonly value?: Buffer;
  readonly similarity_permille?: number;
  readonly key?: Buffer;
}

const bytes = (digits: string) => Buffer.from(digits.repeat(16), "hex");
let dir: string;
let fake: FakeEndpoint;
let server: RunningServer | undefined;
let client: Client | undefined;

beforeEach(async () => {
  fake = await FakeEndpoint.start();
  dir = mkdtempSync(join(tmpdir(), "tokenmesh-similar-"));
  const gateway = `{servers: [{port: {number: 0, name: http, protocol: HTTP}, hosts: ["*"]}]}`;
  writeFileSync(
    join(dir, "a.yaml"),
    `{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: edge}, spec: ${gateway}}`,
  );
});
afterEach(async () => {
  vi.unstubAllEnvs();
  client?.close();
  await server?.close();
  await fake.stop();
  rmSync(dir, { recursive: true, force: true });
});

const optionsOf = (...args: readonly string[]) =>
  answersOptions(addAnswersOptions(new Command()).parse(args, { from: "user" }).opts<AnswersCommandOptions>());

async function start(...args: readonly string[]) {
  server = await startServer({ configDir: dir, log: silentLogger, answers: optionsOf(...args), api: "127.0.0.1:0" });
  const [calling, api] = [new Client(server.xdsAddress, credentials.createInsecure()), `http://${server.apiAddress}`];
  client = calling;
  const call = <T>(method: string, request: object): Promise<T> => {
    const [from, to] = [root.lookupType(`${method}Request`), root.lookupType(`${method}Response`)];
    return new Promise((resolve, reject) => {
      calling.makeUnaryRequest(
        `/tokenmesh.answers.v1.Answers/${method}`,
        (message: object) => Buffer.from(from.encode(message).finish()),
        (reply: Buffer) => to.toObject(to.decode(reply)) as T,
        request,
        (error, reply) => (error === null && reply !== undefined ? resolve(reply) : reject(error)),
      );
    });
  };
  return {
    put: (text: string) =>
      call("Put", {
        key: bytes("01"),
        ttl_ms: 60_000,
        value: entryOf({ storedAt: Date.now() }),
        partition: bytes("aa"),
        text: Buffer.from(text),
      }),
    get: (text: string) =>
      call<GetReply>("Get", {
        key: bytes("02"),
        partition: bytes("aa"),
        text: Buffer.from(text),
        threshold_permille: 900,
      }),
    cache: async () => (await (await fetch(`${api}/cache`)).json()) as { similar?: Record<string, unknown> },
    metrics: async () => (await fetch(`${api}/metrics`)).text(),
    purge: () => fetch(`${api}/cache/purge`, { method: "POST", body: JSON.stringify({ key: "01".repeat(16) }) }),
  };
}

describe("a server", () => {
  it("answers similar questions when it has an embeddings endpoint, and shows that", async () => {
    vi.stubEnv("TOKENMESH_EMBEDDINGS_KEY", "s3cret");
    const { put, get, cache, metrics, purge } = await start("--embeddings", fake.url, "--embeddings-model", "m");
    fake.vectors.set("What is it?", [1, 0]).set("what's it", [0.95, Math.sqrt(1 - 0.95 ** 2)]);
    expect(await put("What is it?")).toEqual({ stored: true });
    await waitFor(async () => (await cache()).similar?.questions === 1, { what: "the question" });
    const found = await get("what's it");
    expect([found.similarity_permille, found.key, found.value !== undefined]).toEqual([950, bytes("01"), true]);
    expect(fake.calls.map(({ model, authorization }) => [model, authorization])).toEqual([
      ["m", "Bearer s3cret"],
      ["m", "Bearer s3cret"],
    ]);
    expect(await cache()).toMatchObject({
      gets: { similar: 1, miss: 0 },
      similar: {
        model: "m",
        up: true,
        threshold: 0.97,
        partitions: 1,
        gets: { hit: 1 },
        puts: { stored: 1 },
        calls: { ok: 2 },
      },
    });
    expect(JSON.stringify(await cache())).not.toContain("s3cret");
    const text = await metrics();
    for (const line of ["questions 1", "partitions 1", "embeddings_up 1", 'similar_gets_total{result="hit"} 1'])
      expect(text).toContain(`tokenmesh_answers_${line}\n`);
    expect((await purge()).status).toBe(200);
    expect(await get("what's it")).toEqual({});
  });

  it("without one answers what was asked, and nothing else", async () => {
    const { put, get, cache, metrics } = await start();
    expect(await put("What is it?")).toEqual({ stored: true });
    expect(await get("What is it?")).toEqual({});
    expect((await cache()).similar).toBeUndefined();
    expect(await metrics()).toContain("tokenmesh_answers_embeddings_up 0\n");
  });
});

describe("options of the command line", () => {
  it("are off by default, and complete with an endpoint", () => {
    expect(optionsOf().semantic).toBeUndefined();
    const more = [
      "--similarity",
      "0.9",
      "--similar-words",
      "any",
      "--embeddings-timeout",
      "50",
      "--similar-bytes",
      "1000",
    ];
    expect(optionsOf("--embeddings", "http://h/v1", ...more).semantic).toEqual({
      url: "http://h/v1",
      model: "all-MiniLM-L6-v2",
      timeoutMs: 50,
      batch: 16,
      maxTokens: 256,
      threshold: 900,
      words: "any",
      maxQuestions: 1_000,
      maxBytes: 1_000,
    });
  });

  it.each(["0", "1.1", "-1", "x", ""])("--similarity %j is refused", (text) => {
    const command = addAnswersOptions(new Command())
      .exitOverride()
      .configureOutput({ writeErr: () => {} });
    expect(() => command.parse(["--similarity", text], { from: "user" })).toThrow(/at most 1/);
  });
});
