import { describe, expect, test } from "vitest";
import { requestHeaders, saidBy, startFixture } from "./fixture.ts";

const state = (spec = {}, options = {}) => startFixture("state", spec, options);
const counted = (host: Awaited<ReturnType<typeof state>>["host"]): string =>
  new TextDecoder().decode(host.sharedData.get("", "counter")?.value);

describe("shared data", () => {
  test("compare and swap survives another worker between get and set", async () => {
    const { host, plugin } = await state({}, { workers: 2 });
    plugin.exchange({ headers: requestHeaders("count") });
    let raced = 0;
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation !== "set" || thread !== 1 || raced > 0) return;
      raced++;
      plugin.exchange({ headers: requestHeaders("count"), worker: 1 });
    };
    expect(saidBy(plugin.exchange({ headers: requestHeaders("count") }))).toEqual({ count: "3 after 1" });
    expect(raced).toBe(1);
    expect(counted(host)).toBe("3");
  });

  test("a first insert can lose a race: cas 0 writes unconditionally", async () => {
    const { host, plugin } = await state({}, { workers: 2 });
    let raced = false;
    host.sharedData.interleave = ({ operation, thread }) => {
      if (operation !== "set" || thread !== 1 || raced) return;
      raced = true;
      plugin.exchange({ headers: requestHeaders("count"), worker: 1 });
    };
    plugin.exchange({ headers: requestHeaders("count") });
    expect(counted(host)).toBe("1");
  });

  test("plugins with another vm_id have their own", async () => {
    const { host, plugin } = await state({ vmId: "one" });
    const other = host.plugin({ name: "b", rootId: "state", vmId: "two" });
    plugin.exchange({ headers: requestHeaders("count") });
    expect(saidBy(other.exchange({ headers: requestHeaders("count") }))).toEqual({ count: "1 after 0" });
    expect(host.sharedData.keys("one")).toEqual(["counter"]);
    expect(host.sharedData.bytes("two")).toBe("counter".length + 1);
  });

  test("missing, empty, out of bounds", async () => {
    const { plugin } = await state();
    expect(saidBy(plugin.exchange({ headers: requestHeaders("shared-missing") }))).toEqual({
      missing: "1  0",
      empty: "00  0",
      outside: "6",
    });
  });
});
