import { describe, expect, it } from "vitest";
import { consulSpec } from "../../../test/fixtures/discovery/consul-fixture.ts";
import type { ConsulDiscovery } from "../../config/discovery-model.ts";
import { headersOf, timeoutOf, urlOf } from "./service-question.ts";

const spec = (more: Partial<ConsulDiscovery> = {}) => consulSpec("127.0.0.1:8500", more).consul as ConsulDiscovery;
const first = { index: undefined, waitMs: 55_000 };

describe("question for a service", () => {
  it("asks at once without an index", () => {
    expect(String(urlOf(spec(), "web", first))).toBe("http://127.0.0.1:8500/v1/health/service/web");
    expect(timeoutOf(first, 5_000)).toBe(5_000);
  });

  it.each([
    ["http://consul.test", "http://consul.test/v1/health/service/web"],
    ["HTTPS://consul.test:8501/", "https://consul.test:8501/v1/health/service/web"],
    ["https://gateway.test/consul//", "https://gateway.test/consul/v1/health/service/web"],
    ["[::1]:8500", "http://[::1]:8500/v1/health/service/web"],
    ["localhost:8500", "http://localhost:8500/v1/health/service/web"],
  ])("goes to %s", (address, url) => {
    expect(String(urlOf(spec({ address }), "web", first))).toBe(url);
  });

  it("waits for what comes after an index, and a sixteenth longer than it says", () => {
    const blocking = { index: "42", waitMs: 55_000.4 };
    expect(urlOf(spec(), "web", blocking).search).toBe("?index=42&wait=55000ms");
    expect(timeoutOf(blocking, 5_000)).toBe(63_438);
  });

  it.each([
    [1, 1_000],
    [1e9, 600_000],
  ])("keeps a wait of %i ms within what Consul takes", (waitMs, asked) => {
    expect(urlOf(spec(), "web", { index: "1", waitMs }).searchParams.get("wait")).toBe(`${asked}ms`);
  });

  it("says everything that the source says", () => {
    const all = spec({
      address: "https://consul.example:8501",
      datacenter: "dc 2",
      namespace: "team&x",
      tag: "gpu=a",
      passingOnly: true,
      consistency: "stale",
    });
    expect(String(urlOf(all, "a:b@c", first))).toBe(
      "https://consul.example:8501/v1/health/service/a%3Ab%40c?dc=dc+2&ns=team%26x&tag=gpu%3Da&passing=true&stale=",
    );
  });

  it("carries the token in a header, never in the URL", () => {
    process.env.TM_TEST_CONSUL_TOKEN = " t-1\n";
    try {
      const withToken = spec({ token: { env: "TM_TEST_CONSUL_TOKEN", file: undefined } });
      expect(headersOf(withToken)).toEqual({ "x-consul-token": "t-1" });
      expect(String(urlOf(withToken, "web", first))).not.toContain("t-1");
      expect(headersOf(spec())).toEqual({});
    } finally {
      delete process.env.TM_TEST_CONSUL_TOKEN;
    }
    expect(() => headersOf(spec({ token: { env: "TM_TEST_CONSUL_TOKEN", file: undefined } }))).toThrow(
      "holds no secret",
    );
  });
});
