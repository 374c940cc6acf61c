/** What the host offers beyond being Envoy: faults, traces, memory checks, shared VMs. Its resemblance is tested in test/conformance. */
import { describe, expect, test } from "vitest";
import { HeaderMap, memoryGrowth, ProxyWasmHost, Status } from "./index.ts";
import "./matchers.ts";

const get = (path: string) => ({ headers: { ":method": "GET", ":path": path, ":authority": "host" } });
const hello = async (options = {}) => {
  const host = await ProxyWasmHost.load("build/test-wasm/hello.wasm", options);
  return { host, plugin: host.plugin({ rootId: "hello" }) };
};
const probe = async (options = {}, spec = {}) => {
  const host = await ProxyWasmHost.load("build/test-wasm/probe.wasm", options);
  return { host, plugin: host.plugin({ config: "plain", ...spec }) };
};

describe("trace", () => {
  test("every hostcall of a stream is counted and named", async () => {
    const { plugin } = await hello();
    const stream = plugin.exchange(get("/"));
    expect(stream.hostcalls).toBe(1);
    expect(stream.trace).toMatchObject([
      { during: "proxy_on_response_headers", name: "proxy_replace_header_map_value", status: Status.Ok },
    ]);
    expect(stream.context?.trace.toString()).toBe("proxy_on_response_headers: proxy_replace_header_map_value -> 0");
  });

  test("a call through the effective context counts for the stream it acts on", async () => {
    const { host, plugin } = await probe({}, { config: "guard" });
    const stream = plugin.stream().requestHeaders(get("/t/reply-in-tick").headers, { endOfStream: true });
    const before = stream.hostcalls;
    host.advance(100);
    expect(stream).toHaveSentLocalResponse(418);
    expect(stream.hostcalls).toBeGreaterThan(before);
  });
});

describe("faults", () => {
  test("any hostcall can be made to fail at its n-th call, when a condition holds, and be left alone again", async () => {
    const { host, plugin } = await hello();
    const once = (): boolean => plugin.exchange(get("/")).downstream.headers?.has("x-hello") ?? false;
    const disarm = host.faults.inject({
      call: "proxy_replace_header_map_value",
      status: Status.InternalFailure,
      nth: 2,
      times: 2,
      when: (args) => args[0] === 2,
    });
    expect([once(), once(), once(), once()]).toEqual([true, false, false, true]);
    disarm();
    host.faults.inject({ call: "proxy_replace_header_map_value", status: Status.InternalFailure, when: () => false });
    expect(once()).toBe(true);
  });

  test("a trap in a hostcall kills the VM like one of the module's own", async () => {
    const { host, plugin } = await hello();
    host.faults.inject({ call: "proxy_replace_header_map_value", trap: true });
    const stream = plugin.exchange(get("/"));
    expect(stream).toHaveHeader("response", ":status", "503");
    expect(host.workerVm.bind(host)).toThrow(/no VM/);
    expect(plugin.exchange(get("/"))).toHaveSentLocalResponse(503);
  });

  test("a fault of the test itself is not taken for a trap", async () => {
    const { host, plugin } = await probe();
    host.foreign.set("clear_route_cache", () => {
      throw new TypeError("a mistake in the test");
    });
    expect(() => plugin.exchange(get("/t/foreign"))).toThrow("a mistake in the test");
  });
});

describe("memory", () => {
  test("a module that keeps what it is given is found growing, a good one is flat", async () => {
    const { host, plugin } = await hello();
    expect(host.workerVm()).toHaveFlatMemory(5000, () => plugin.exchange(get("/")));
    const vm = host.workerVm();
    // 1 KiB per round, never given back.
    const leak = (): void => void vm.allocate(1024);
    expect(memoryGrowth(vm, 1000, leak)).toBeGreaterThan(10);
    expect(() => expect(vm).toHaveFlatMemory(1000, leak)).toThrow(/grew by \d+ pages/);
  });
});

describe("streams", () => {
  test("continue_stream of a running stream is noted as misuse", async () => {
    const { plugin } = await probe();
    const stream = plugin.stream();
    stream.requestHeaders(get("/").headers, { endOfStream: true });
    stream.resume("request");
    expect(stream.misuses).toEqual(["continue_stream(request) while the request is not paused"]);
  });

  test("steps after the end change nothing", async () => {
    const { plugin } = await hello();
    const stream = plugin.exchange(get("/"));
    stream.responseBody("late", { endOfStream: true }).requestBody("late").end();
    expect(stream.downstream.text).toBe("");
    expect(stream.resetDetails).toBeUndefined();
  });

  test("a local reply to HEAD has headers only", async () => {
    const { plugin } = await probe();
    const stream = plugin.exchange({ headers: { ":method": "HEAD", ":path": "/t/local-reply", ":authority": "x" } });
    expect(stream.downstream.headers?.get("content-length")).toBe("9");
    expect(stream.downstream.text).toBe("");
  });

  test("workers are separate VMs, and there is no worker beyond them", async () => {
    const { host, plugin } = await probe({ workers: 2 });
    expect(host.workerVm(0)).not.toBe(host.workerVm(1));
    expect(() => plugin.stream({ worker: 2 })).toThrow(/no worker 2/);
  });

  test("the seed decides the random bytes, the environment is the test's", async () => {
    expect((await probe({ seed: 5 })).host.random()).toBe((await probe({ seed: 5 })).host.random());
  });
});

describe("matchers", () => {
  test("fail with what was seen", async () => {
    const { plugin } = await probe();
    const stream = plugin.exchange(get("/t/local-reply"));
    expect(() => expect(stream).toHaveSentLocalResponse(404)).toThrow(/got 429 \(probe_says_so\) slow down/);
    expect(() => expect(stream).toHaveSentLocalResponse(429, "other")).toThrow(/slow down/);
    expect(() => expect(stream).toPause()).toThrow(/expected the request to be paused/);
    expect(() => expect(stream).not.toContinue()).toThrow(/to be paused/);
    expect(() => expect(stream).toHaveHeader("response", "x-none")).toThrow(/x-probe/);
    expect(stream.downstream.headers).toBeInstanceOf(HeaderMap);
  });
});

describe("attempts", () => {
  test("see the filter state of their request, and change the header map they are given", async () => {
    const { plugin } = await hello();
    const request = plugin.stream().requestHeaders(get("/").headers, { endOfStream: true });
    const [first, second] = [plugin.stream({ attemptOf: request }), plugin.stream({ attemptOf: request })];
    request.setProperty("plan", new Uint8Array([1]));
    expect([first.filterState("plan"), second.filterState("plan")]).toEqual([new Uint8Array([1]), new Uint8Array([1])]);
    first.setProperty("plan", new Uint8Array([2]));
    expect(request.filterState("plan")).toEqual(new Uint8Array([2]));
    expect(plugin.stream().filterState("plan")).toBeUndefined();

    const map = new HeaderMap(get("/").headers);
    for (const attempt of [first, second]) {
      attempt.requestHeaders(map, { endOfStream: true });
      expect(attempt.request.headers).toBe(map);
      expect(attempt.upstream.headers).not.toBe(map);
    }
  });
});
