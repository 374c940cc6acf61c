import { readFileSync } from "node:fs";
import fc from "fast-check";
import type { TSchema } from "typebox";
import { Value } from "typebox/value";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeServer } from "../../test/fixtures/api/ports.ts";
import { silentLogger } from "../log.ts";
import { ApiError } from "./api-error.ts";
import { type Api, createApi } from "./api-server.ts";
import { bareDocument, readBody, sameDocument } from "./document-body.ts";
import * as schemas from "./schemas.ts";

/** What goes out is what the OpenAPI document says, and nothing that comes in does more than be refused. */

const gateway = (name: string) => ({
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: { name },
  spec: { servers: [{ port: { number: 0, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
});

describe("answers have the shapes that are documented", () => {
  let server: FakeServer;
  let api: Api;
  beforeEach(async () => {
    server = new FakeServer();
    server.file(gateway("edge"));
    server.settle();
    server.endpoints = [{ cluster: "c", address: "10.0.0.1", port: 80, weight: 1, health: "healthy", locality: "a/b" }];
    server.weights = [{ cluster: "c", address: "10.0.0.1", port: 80, weight: 3 }];
    const nack = { version: "v", resources: ["edge"], message: "no", at: "2026-01-01T00:00:00.000Z" };
    server.nodes = [
      {
        id: "e",
        cluster: "c",
        group: "default",
        peer: "127.0.0.1:1",
        connectedSince: "2026-01-01T00:00:00.000Z",
        settled: false,
        types: { CDS: { state: "nacked", ackedVersion: "v", nack }, LDS: { state: "synced", ackedVersion: "v" } },
      },
    ];
    const rejection = { node: "gone", cluster: "c", group: "default", type: "CDS", ...nack };
    server.earlier = [{ ...rejection, awaySince: "2026-01-01T00:00:00.000Z" }, rejection];
    const access = { token: undefined, clientCertificates: false };
    api = await createApi(server.ports(), { log: silentLogger, version: "0", ...access });
  });
  afterEach(() => api.close());

  const rows: readonly (readonly ["GET" | "POST" | "PUT", string, number, TSchema, (string | object)?])[] = [
    ["GET", "/api/v1/status", 200, schemas.statusAnswer],
    ["GET", "/api/v1/nodes", 200, schemas.nodesAnswer],
    ["GET", "/api/v1/endpoints", 200, schemas.endpointsAnswer],
    ["GET", "/api/v1/weights", 200, schemas.weightsList],
    ["GET", "/api/v1/diff", 200, schemas.diffAnswer],
    ["POST", "/api/v1/diff", 200, schemas.diffAnswer, gateway("a")],
    ["POST", "/api/v1/validate", 200, schemas.validateAnswer, gateway("a")],
    ["POST", "/api/v1/validate", 200, schemas.validateAnswer, "a: ["],
    ["POST", "/api/v1/apply", 200, schemas.appliedAnswer, gateway("a")],
    ["POST", "/api/v1/apply", 422, schemas.errorAnswer, { ...gateway("a"), spec: {} }],
    [
      "PUT",
      "/api/v1/weights",
      200,
      schemas.weightsAnswer,
      { changes: [{ cluster: "c", address: "10.0.0.1", port: 80, weight: 0 }] },
    ],
    [
      "PUT",
      "/api/v1/weights",
      422,
      schemas.errorAnswer,
      { changes: [{ cluster: "d", address: "10.0.0.1", port: 80, weight: 0 }] },
    ],
    ["POST", "/api/v1/rollback", 409, schemas.errorAnswer, ""],
    ["GET", "/nowhere", 404, schemas.errorAnswer],
  ];
  for (const [method, url, status, schema, payload] of rows) {
    it(`${method} ${url}: ${status}`, async () => {
      const sent = payload === undefined ? {} : { payload };
      const answer = await api.inject({ method, url, headers: { host: "localhost" }, ...sent });
      expect(answer.statusCode).toBe(status);
      expect([...Value.Errors(schema, answer.json())]).toEqual([]);
    });
  }

  it("the registry's requests reach it with what the path says", async () => {
    const root = "/api/v1/registry/services";
    const call = async (method: "GET" | "PUT" | "POST" | "DELETE", url: string, payload?: object) => {
      const sent = payload === undefined ? {} : { payload };
      const answer = await api.inject({ method, url, headers: { host: "localhost" }, ...sent });
      return [answer.statusCode, answer.json()];
    };
    const names = { service: "llm", id: "a" };
    const body = { address: "10.0.0.1", port: 80 };
    expect(await call("GET", root)).toEqual([200, {}]);
    expect(await call("GET", `${root}/llm/instances`)).toEqual([200, { service: "llm" }]);
    expect(await call("PUT", `${root}/llm/instances/a`, body)).toEqual([201, { ...names, body }]);
    expect(await call("POST", `${root}/llm/instances/a/heartbeat`)).toEqual([200, names]);
    expect(await call("POST", `${root}/llm/instances/a/heartbeat`, { health: "draining" })).toEqual([
      200,
      { ...names, body: { health: "draining" } },
    ]);
    expect(await call("GET", `${root}/llm/instances/a`)).toEqual([404, names]);
    expect(await call("DELETE", `${root}/llm/instances/a`)).toEqual([200, names]);
    expect(await call("PUT", `${root}/llm/instances/a%2fb`, body)).toEqual([201, { service: "llm", id: "a/b", body }]);
  });

  it("whatever a body is, the answer is an error with a code, and nothing was stored", async () => {
    const hostile = fc.oneof(
      fc.string({ maxLength: 200 }),
      fc.json({ maxDepth: 4 }),
      fc.constantFrom(
        "&a [*a]",
        "- &a [1]\n- *a",
        "{".repeat(1_000),
        "!!js/function a",
        "? {a: b}\n: c",
        "kind: [Gateway]",
        "\u0000",
        "a: b: c",
        "%YAML 9",
      ),
      fc.jsonValue().map((spec) => JSON.stringify({ ...gateway("a"), spec })),
      fc.jsonValue().map((metadata) => JSON.stringify({ ...gateway("a"), metadata })),
    );
    await fc.assert(
      fc.asyncProperty(
        hostile,
        fc.constantFrom("/api/v1/apply", "/api/v1/diff", "/api/v1/rollback"),
        async (payload, url) => {
          const answer = await api.inject({ method: "POST", url, headers: { host: "localhost" }, payload });
          server.clock += 1_000;
          if (answer.statusCode === 200) return;
          expect(answer.statusCode).toBeGreaterThanOrEqual(400);
          expect(answer.statusCode).toBeLessThan(500);
          expect(answer.json().error.code).toMatch(/^TM_/);
          expect(server.stored.size).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("documents of a body", () => {
  it("what a server adds does not count, and the order of keys does not", () => {
    const value = fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.jsonValue(), { maxKeys: 5 });
    fc.assert(
      fc.property(value, (spec) => {
        const given = { ...gateway("a"), spec };
        const backwards = Object.fromEntries(Object.entries(JSON.parse(JSON.stringify(given)) as object).reverse());
        const added = {
          ...backwards,
          apiVersion: "networking.istio.io/v1alpha3",
          status: { a: 1 },
          metadata: {
            uid: "u",
            name: "a",
            namespace: "default",
            resourceVersion: "7",
            annotations: { "tokenmesh.io/origin": "x" },
          },
        };
        expect(sameDocument(given, added)).toBe(true);
        expect(sameDocument(given, { ...added, spec: { ...spec, zzzzzz: 1 } })).toBe(false);
        expect(bareDocument(bareDocument(added))).toEqual(bareDocument(added));
      }),
    );
  });

  it("an alias bomb and too many documents are refused", () => {
    const levels = Array.from({ length: 9 }, (_, i) => `a${i}: &a${i} [${`*a${i - 1},`.repeat(9)}]`);
    const bomb = `a: &a-1 [1]\n${levels.join("\n")}`;
    expect(() => readBody(bomb, "body")).toThrow(ApiError);
    const many = Array.from({ length: 1_001 }, (_, i) => JSON.stringify(gateway(`g${i}`))).join("\n---\n");
    expect(() => readBody(many, "body")).toThrow(/more than 1000 documents/);
  });

  it("docs/api.md names every path", () => {
    const root = new URL("../../", import.meta.url).pathname;
    const page = readFileSync(`${root}docs/api.md`, "utf8");
    const { paths } = JSON.parse(readFileSync(`${root}docs/openapi.json`, "utf8")) as {
      paths: Record<string, unknown>;
    };
    const named = Object.keys(paths).filter((path) => !path.includes("{") && !path.startsWith("/api/v1/registry"));
    expect(named.filter((path) => !page.includes(path))).toEqual([]);
  });
});
