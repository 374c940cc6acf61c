import { describe, expect, test } from "vitest";
import { Status } from "../host/index.ts";
import { requestHeaders, saidBy, startFixture } from "./fixture.ts";

const state = (spec = {}, options = {}) => startFixture("state", spec, options);

describe("metrics", () => {
  test("count process-wide; a zero increment is skipped, a wrong type is a status", async () => {
    const { host, plugin } = await state({}, { workers: 2 });
    expect(saidBy(plugin.exchange({ headers: requestHeaders("metrics") }))).toEqual({
      counter: "002 2",
      gauge: "00 4",
      histogram: "02 0",
      same: "true",
      bad: "11",
    });
    plugin.exchange({ headers: requestHeaders("metrics"), worker: 1 });
    expect(host.metrics.get("sdk_requests")).toBe(4);
    expect(host.metrics.samples("sdk_size")).toEqual([9, 9]);
    expect(host.metrics.names()).toEqual(["sdk_level", "sdk_requests", "sdk_size"]);
  });

  test("a host that refuses the definition leaves a metric that answers NOT_FOUND", async () => {
    const { host } = await state();
    host.faults.inject({
      call: "proxy_define_metric",
      status: Status.InternalFailure,
      times: Number.POSITIVE_INFINITY,
    });
    const plugin = host.plugin({ name: "b", rootId: "state", vmId: "b" });
    expect(saidBy(plugin.exchange({ headers: requestHeaders("metrics") })).counter).toBe("111 0");
  });
});
