/** Compressed requests, with Envoy's decompressors in front of llm-router as envoy/standalone/fallback.yaml has them, and without; compressed answers. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { type JsonObject, waitFor } from "../../envoy/harness/index.ts";
import { type FallbackGateway, type FallbackOptions, isBefore, POOLS, startFallback } from "./fallback-gateway.ts";
import { fallbackConfig, httpFilters } from "./gateways.ts";
import { http1, http2, json } from "./http-client.ts";

const MIB = 1024 * 1024;
const CHAT = "/v1/chat/completions";

const chat = (content: string, model = "m"): string =>
  `{"messages":[{"role":"user","content":"${content}"}],"model":"${model}"}`;

/**
 * A zstd frame (RFC 8878) made by hand, because Node 20 has no encoder: raw blocks, and for `repeat` blocks of one byte over and over, four bytes each.
 *
 *   28 b5 2f fd | 00 no size, no checksum | 38 window of 128 KiB | blocks: last (1 bit), type (2 bits), size (21 bits), little-endian
 */
function zstd(before: string, repeat: number, after: string): Buffer {
  const MAX = 128 * 1024;
  const parts: Buffer[] = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38])];
  const block = (last: boolean, type: number, size: number, data: Buffer): void => {
    const header = Buffer.alloc(3);
    header.writeUIntLE((last ? 1 : 0) | (type << 1) | (size << 3), 0, 3);
    parts.push(header, data);
  };
  const raw = (text: string): void => {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += MAX) {
      const piece = bytes.subarray(at, at + MAX);
      block(false, 0, piece.length, piece);
    }
  };
  raw(before);
  for (let left = repeat; left > 0; left -= MAX) block(false, 1, Math.min(left, MAX), Buffer.from("0"));
  raw(after);
  block(true, 0, 0, Buffer.alloc(0));
  return Buffer.concat(parts);
}

interface Encoding {
  readonly name: string;
  encode(text: string): Buffer;
  /** A chat of so many zeros. */
  bomb(size: number): Buffer;
}

const ENCODINGS: readonly Encoding[] = [
  { name: "gzip", encode: (text) => gzipSync(text), bomb: (size) => gzipSync(chat("0".repeat(size)), { level: 9 }) },
  {
    name: "zstd",
    encode: (text) => zstd(text, 0, ""),
    bomb: (size) => {
      const [before = "", after = ""] = chat("|").split("|");
      return zstd(before, size, after);
    },
  },
];

let gateway: FallbackGateway | undefined;
afterEach(async () => {
  await gateway?.close();
  gateway = undefined;
});

/** Before 1.39 Envoy inflates zstd without a bound, so it is no option there; the file says so. */
const encodingsOf = (version: string): readonly Encoding[] =>
  ENCODINGS.filter(({ name }) => name === "gzip" || !isBefore(version, "1.39."));

/** The decompressors of the shipped file. */
async function decompressors(): Promise<JsonObject[]> {
  const filters = httpFilters(await fallbackConfig({ openai: 1, azure: 1, local: 1 }));
  return filters.filter(({ name }) => ENCODINGS.some((one) => one.name === name));
}

describe.each(POOLS)("Envoy $version, $kind", ({ version, kind }) => {
  async function start(options: Partial<FallbackOptions> = {}): Promise<FallbackGateway> {
    gateway = await startFallback({
      version,
      kind,
      providers: {
        a: { models: ["model-of-a"], target: { upstreamModel: "model-of-a" } },
        b: { models: ["b"], target: { upstreamModel: "b" } },
      },
      pools: [["a", "b"]],
      router: {
        responseHeaders: true,
        rules: [{ name: "all", match: { models: ["m"] }, targets: [{ target: "a" }], fallback: { targets: ["b"] } }],
      },
      filtersBefore: await decompressors(),
      ...options,
    });
    return gateway;
  }

  test.each(encodingsOf(version))(
    "$name: routed by model, and every attempt gets the inflated body",
    async ({ name, encode }) => {
      const one = await start();
      for (const size of [10, 70_000, 5 * MIB]) {
        const text = randomBytes(size / 2).toString("hex");
        const body = encode(chat(text));
        for (const client of [http1, http2]) {
          for (const pieceBytes of [undefined, 10_007]) {
            await one.reset();
            one.replica("a").failNext({ kind: "status", status: 429 });
            const headers = { "content-encoding": name, "content-type": "application/json" };
            const answer = await client(one.url, { path: CHAT, body, headers, ...(pieceBytes ? { pieceBytes } : {}) });
            expect([answer.status, answer.headers["x-llm-target"]]).toEqual([200, "b"]);
            for (const [provider, model] of [
              ["a", "model-of-a"],
              ["b", "b"],
            ] as const) {
              const [request] = one.replica(provider).requests;
              expect(request?.body.equals(Buffer.from(chat(text, model)))).toBe(true);
              expect(request?.headers["content-encoding"]).toBeUndefined();
              expect([undefined, String(chat(text, model).length)]).toContain(request?.headers["content-length"]);
            }
          }
        }
      }
    },
  );

  test.each(encodingsOf(version))(
    "$name: a body that is larger than the limit only when it is inflated: 413",
    async ({ name, encode }) => {
      const one = await start();
      const body = encode(chat(randomBytes(6 * MIB).toString("hex")));
      const answer = await http1(one.url, { path: CHAT, body, headers: { "content-encoding": name } });
      expect([answer.status, json(answer)]).toMatchObject([413, { error: { code: "body_too_large" } }]);
      expect(one.replica("a").requests).toEqual([]);
    },
  );

  test.each(encodingsOf(version))(
    "$name: a broken body, and one that stops early: refused",
    async ({ name, encode }) => {
      const one = await start();
      const whole = encode(chat("hello"));
      for (const body of [Buffer.from("no such thing"), whole.subarray(0, whole.length - 20)]) {
        const answer = await http1(one.url, { path: CHAT, body, headers: { "content-encoding": name } });
        expect([answer.status, json(answer)]).toMatchObject([400, { error: { code: "invalid_json" } }]);
      }
      expect(one.replica("a").requests).toEqual([]);
    },
  );

  test.each(encodingsOf(version))(
    "$name: 50 MB of zeros, 32 times, are refused in bounded memory",
    async ({ name, bomb }) => {
      const one = await start();
      const body = bomb(50_000_000);
      expect(body.length).toBeLessThan(60_000);
      const before = peakBytes(one.envoy.pid);
      for (const pieceBytes of [undefined, 500]) {
        const send = () =>
          http1(one.url, {
            path: CHAT,
            body,
            headers: { "content-encoding": name },
            ...(pieceBytes ? { pieceBytes } : {}),
          });
        for (const answer of await Promise.all(Array.from({ length: 16 }, send))) {
          // Envoy stops at 100 times what came in, so the document has no end.
          expect([answer.status, json(answer)]).toMatchObject([400, { error: { code: "invalid_json" } }]);
        }
      }
      expect(one.replica("a").requests).toEqual([]);
      expect(peakBytes(one.envoy.pid) - before).toBeLessThan(256 * MIB);
    },
  );

  test("without a decompressor: 415 unsupported_encoding, or as onMalformedBody says", async () => {
    const one = await start({ filtersBefore: [] });
    for (const encoding of ["gzip", "GZIP", "br", "zstd", "gzip, identity"]) {
      const answer = await http1(one.url, {
        path: CHAT,
        body: gzipSync(chat("x")),
        headers: { "content-encoding": encoding },
      });
      expect([answer.status, json(answer)]).toMatchObject([415, { error: { code: "unsupported_encoding" } }]);
    }
    const plain = await http1(one.url, { path: CHAT, body: chat("x"), headers: { "content-encoding": "identity" } });
    expect(plain.status).toBe(200);
    await one.close();
    const other = await start({
      filtersBefore: [],
      router: { models: [{ model: "x", route: "x" }], onMalformedBody: { target: "a" } },
    });
    const body = gzipSync(chat("x"));
    await http1(other.url, { path: CHAT, body, headers: { "content-encoding": "gzip" } });
    expect(other.replica("a").requests[0]?.body.equals(body)).toBe(true);
    expect(other.replica("a").requests[0]?.headers["content-encoding"]).toBe("gzip");
  });

  test("answers: nobody upstream is asked to compress, so usage is counted; one that does anyway passes as it is", async () => {
    const usage = '{"usage":{"prompt_tokens":5,"completion_tokens":7}}';
    const asked: unknown[] = [];
    const server = createServer((request, response) => {
      asked.push(request.headers["accept-encoding"]);
      const forced = request.url?.endsWith("forced") ?? false;
      const headers = { "content-type": "application/json", ...(forced ? { "content-encoding": "gzip" } : {}) };
      request.resume().on("end", () => response.writeHead(200, headers).end(forced ? gzipSync(usage) : usage));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => void server.close(() => resolve()));
    });
    const one = await start({
      providers: { a: { models: [], endpoints: [(server.address() as AddressInfo).port] }, b: { models: [] } },
    });
    const headers = { "accept-encoding": "gzip, br, zstd" };
    const plain = await http1(one.url, { path: CHAT, body: chat("x"), headers });
    expect([plain.headers["content-encoding"], plain.body.toString()]).toEqual([undefined, usage]);
    const forced = await http1(one.url, { path: `${CHAT}?forced`, body: chat("x"), headers });
    expect([forced.headers["content-encoding"], forced.body.equals(gzipSync(usage))]).toEqual(["gzip", true]);
    expect(asked).toEqual([undefined, undefined]);
    const counted = async () =>
      [...(await one.envoy.admin.stats("gen_ai_client_tokens")).entries()].map(([name, value]) => [
        name.split("=").at(-1),
        value,
      ]);
    await waitFor(async () => (await counted()).length > 0, { what: "the counters" });
    expect(await counted()).toEqual([
      ["input", 5],
      ["output", 7],
    ]);
  });
});

/** The most memory that the process ever had resident, bytes. */
function peakBytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}
