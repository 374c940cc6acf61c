import { describe, expect, test } from "vitest";
import { Status } from "../host/index.ts";
import { requestHeaders, saidBy, startFixture } from "./fixture.ts";

const state = (spec = {}, options = {}) => startFixture("state", spec, options);

describe("foreign functions", () => {
  test("known, unknown, and one that the test adds", async () => {
    const { host, plugin } = await state();
    host.foreign.set("test_only", (args) => ({ status: Status.Ok, result: args.subarray(0, 3) }));
    expect(saidBy(plugin.exchange({ headers: requestHeaders("foreign") }))).toEqual({
      compress: "0",
      uncompress: "0 squeeze squeeze squeeze 23",
      unknown: "1  0",
      own: "0 squ 3",
    });
  });
});
