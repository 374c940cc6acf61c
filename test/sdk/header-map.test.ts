import { describe, expect, test } from "vitest";
import { Status } from "../host/index.ts";
import { notesOf, requestHeaders, saidBy, startFixture } from "./fixture.ts";
import "../host/matchers.ts";

describe("headers", () => {
  test("get: found, empty, missing, and in a map that does not exist yet", async () => {
    const { plugin } = await startFixture("headers");
    const stream = plugin.exchange({ headers: requestHeaders("get", { "x-in": "value", "x-empty": "" }) });
    expect(saidBy(stream)).toEqual({ found: "0 value 5", empty: "0  0", missing: "1  0", elsewhere: "2  0" });
  });

  test("HeaderPairs walks every pair of one hostcall, can start again, and ends at once on an absent map", async () => {
    const { plugin } = await startFixture("headers");
    const stream = plugin.exchange({
      headers: [...Object.entries(requestHeaders("walk")), ["x-a", "1"], ["X-A", "2"], ["x-b", ""]],
    });
    expect(saidBy(stream)).toEqual({ walk: "0 true x-a=1;x-a=2;x-b=;", again: "true", absent: "0 false" });
    expect(stream.trace.filter(({ name }) => name === "proxy_get_header_map_pairs")).toHaveLength(2);
  });

  test("add, replace and remove, also of what is not there; a map that does not exist is refused", async () => {
    const { plugin } = await startFixture("headers");
    const stream = plugin.exchange({ headers: requestHeaders("change", { "x-in": "first", "x-gone": "1" }) });
    expect(notesOf(stream)).toEqual(["000", "02"]);
    expect(stream.upstream.headers?.all("x-in")).toEqual(["first", "second"]);
    expect(stream).toHaveHeader("request", "x-new", "n");
    expect(stream).not.toHaveHeader("request", "x-gone");
    expect(stream.routeClears).toBe(4);
  });

  test("setPairs replaces the whole map; an empty value survives", async () => {
    const { plugin } = await startFixture("headers");
    const stream = plugin.exchange({ headers: requestHeaders("set", { "x-dropped": "1" }) });
    expect(notesOf(stream)).toEqual(["0"]);
    expect(stream.upstream.headers?.toObject()).toEqual({
      ":method": "POST",
      ":path": "/sdk",
      ":scheme": "http",
      ":authority": "sdk",
      "x-only": "",
    });
  });

  test("PairsWriter stops at the host's 1024 pairs, because one more would lose them all", async () => {
    const { plugin } = await startFixture("headers");
    const stream = plugin.exchange({ headers: requestHeaders("many") });
    expect(stream.upstream.headers?.size).toBe(1024);
    expect(stream).toHaveHeader("request", "x-1023", "v");
  });

  test("byteSize counts names and values, and is -1 without a map", async () => {
    const { plugin } = await startFixture("headers");
    const headers = requestHeaders("size");
    const size = Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, 0);
    expect(notesOf(plugin.exchange({ headers }))).toEqual([`${size} -1`]);
  });

  test("two borrowed views live side by side in one callback", async () => {
    const { plugin } = await startFixture("headers");
    expect(saidBy(plugin.exchange({ headers: requestHeaders("twice", { "x-in": "ab" }) }))).toEqual({
      twice: "abtwice",
    });
  });

  test("trailers and response headers; request headers are gone by then", async () => {
    const { plugin } = await startFixture("headers");
    const stream = plugin.exchange(
      { headers: requestHeaders(""), body: "x", trailers: { "x-secret": "s", "x-t": "1" } },
      () => ({ headers: { ":status": "200", "x-r": "1" } }),
    );
    expect(stream.upstream.trailers?.toObject()).toEqual({ "x-t": "1", "x-count": "2" });
    expect(notesOf(stream)).toEqual(["late 2"]);
    expect(stream).toHaveHeader("response", "x-count", "2");
  });

  test("a failing host leaves empty views, not stale ones", async () => {
    const { host, plugin } = await startFixture("headers");
    // The first get reads "op".
    host.faults.inject({
      call: "proxy_get_header_map_value",
      status: Status.InternalFailure,
      nth: 2,
      times: Number.POSITIVE_INFINITY,
    });
    const said = saidBy(plugin.exchange({ headers: requestHeaders("get", { "x-in": "value" }) }));
    expect(said).toMatchObject({ found: "10  0", missing: "10  0" });
  });

  test("no memory for the answer is a status, and the next request works", async () => {
    const { host, plugin } = await startFixture("headers");
    const headers = requestHeaders("get", { "x-in": "value" });
    plugin.exchange({ headers });
    host.faults.failAllocation = 2;
    expect(saidBy(plugin.exchange({ headers })).found).toBe(`${Status.InvalidMemoryAccess}  0`);
    expect(saidBy(plugin.exchange({ headers })).found).toBe("0 value 5");
  });

  test("memory that grows inside the allocation does no harm", async () => {
    const { host, plugin } = await startFixture("headers");
    host.faults.growOnAllocate = 1;
    expect(saidBy(plugin.exchange({ headers: requestHeaders("get", { "x-in": "value" }) })).found).toBe("0 value 5");
  });
});
