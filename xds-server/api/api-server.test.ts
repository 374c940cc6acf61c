import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeServer } from "../../test/fixtures/api/ports.ts";
import { silentLogger } from "../log.ts";
import { type Api, type ApiOptions, createApi } from "./api-server.ts";

describe("the admin API", () => {
  let server: FakeServer;
  let api: Api;
  const start = async (options: Partial<ApiOptions> = {}) => {
    api = await createApi(server.ports(), {
      log: silentLogger,
      version: "1.2.3",
      token: undefined,
      clientCertificates: false,
      ...options,
    });
  };
  beforeEach(async () => {
    server = new FakeServer();
    server.settle();
    await start();
  });
  afterEach(() => api.close());

  const headers = { host: "127.0.0.1:1" };

  it.each(["/livez", "/healthz", "/readyz", "/ready"])("%s needs no token", async (url) => {
    await api.close();
    await start({ token: "0123456789abcdef" });
    server.errors = [{ code: "TM_CONFIG_EMPTY", message: "m", remedy: "r", file: "secret.yaml", line: 1, column: 1 }];
    const answer = await api.inject({ url, headers, remoteAddress: "10.0.0.1" });
    expect(answer.statusCode).toBe(200);
    expect(answer.body).not.toContain("secret.yaml");
    const known = await api.inject({ url, headers: { authorization: "Bearer 0123456789abcdef" } });
    expect(known.body.includes("secret.yaml")).toBe(url.includes("ready"));
  });

  it("is not ready until something is served", async () => {
    server.loaded = false;
    for (const url of ["/ready", "/readyz"]) expect((await api.inject({ url, headers })).statusCode).toBe(503);
    for (const url of ["/livez", "/healthz"]) expect((await api.inject({ url, headers })).statusCode).toBe(200);
  });

  it("answers what is there no more than as 404 and 405 with what there is", async () => {
    const missing = await api.inject({ url: "/nowhere", headers });
    expect(missing.statusCode).toBe(404);
    expect(missing.json()).toMatchObject({
      error: { code: "TM_API_NOT_FOUND", remedy: expect.any(String), details: [] },
    });
    const wrong = await api.inject({ method: "POST", url: "/ready", headers });
    expect(wrong.statusCode).toBe(405);
    expect(wrong.headers.allow).toBe("GET, HEAD");
    const kind = await api.inject({ method: "POST", url: "/apis/a/b/namespaces/c/d/e", headers });
    expect(kind.json()).toMatchObject({ kind: "Status", code: 405, reason: "MethodNotAllowed" });
  });

  it("counts requests per address", async () => {
    const codes = new Set<number>();
    for (let i = 0; i < 1_001; i++) codes.add((await api.inject({ url: "/livez", headers })).statusCode);
    expect([...codes]).toEqual([200, 429]);
    expect((await api.inject({ url: "/livez", headers, remoteAddress: "10.0.0.2" })).statusCode).toBe(200);
    server.clock += 2_000;
    expect((await api.inject({ url: "/livez", headers })).statusCode).toBe(200);
  });

  it("says of a body what is wrong with it", async () => {
    const put = (payload: string) =>
      api.inject({
        method: "PUT",
        url: "/api/v1/weights",
        headers: { ...headers, "content-type": "application/json" },
        payload,
      });
    expect((await put("{")).json()).toMatchObject({ error: { code: "TM_API_BAD_REQUEST" } });
    const misspelled = await put('{"changes":[{"cluster":"c","address":"a","port":1,"wieght":1,"weight":1}]}');
    expect(misspelled.json()).toMatchObject({
      error: { code: "TM_API_BAD_REQUEST", details: [{ field: "/changes/0" }] },
    });
    expect(misspelled.body).toContain("wieght");
    expect((await put(`{"changes":"${"x".repeat(2_000_000)}"}`)).json()).toMatchObject({
      error: { code: "TM_API_TOO_LARGE" },
    });
  });

  it.each(["application/json", "text/plain", "application/x-www-form-urlencoded", undefined])(
    "takes JSON as %s",
    async (type) => {
      server.endpoints = [{ cluster: "c", address: "a", port: 1, weight: 1, health: "healthy", locality: "" }];
      const payload = '{"changes":[{"cluster":"c","address":"a","port":1,"weight":2}]}';
      const own = type === undefined ? headers : { ...headers, "content-type": type };
      const answer = await api.inject({ method: "PUT", url: "/api/v1/weights", headers: own, payload });
      expect(answer.statusCode).toBe(200);
    },
  );

  it("passes the body of a purge on unread", async () => {
    const answer = await api.inject({ method: "POST", url: "/cache/purge", headers, payload: { all: true } });
    expect(answer.json()).toEqual({ sequence: 1 });
    expect(server.calls).toEqual(['purge {"all":true}']);
  });

  it("serves metrics as text and everything else as JSON", async () => {
    const metrics = await api.inject({ url: "/metrics", headers });
    expect(metrics.headers["content-type"]).toContain("text/plain");
    expect(metrics.body).toBe("up 1\n");
    for (const url of [
      "/snapshot",
      "/loads",
      "/cache",
      "/api/v1/status",
      "/api/v1/nodes",
      "/api/v1/endpoints",
      "/api/v1/snapshot",
      "/api/v1/diff",
      "/api/v1/weights",
      "/openapi.json",
    ]) {
      const answer = await api.inject({ url, headers });
      expect([url, answer.statusCode, answer.headers["content-type"]]).toEqual([
        url,
        200,
        "application/json; charset=utf-8",
      ]);
      expect(answer.headers["cache-control"]).toBe("no-store");
      expect(() => answer.json()).not.toThrow();
    }
    expect((await api.inject({ url: "/api/v1/snapshot?group=nobody", headers })).statusCode).toBe(404);
  });
});
