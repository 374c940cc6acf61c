import { describe, expect, test } from "vitest";
import { requestHeaders, saidBy, startFixture } from "./fixture.ts";

const state = (spec = {}, options = {}) => startFixture("state", spec, options);

describe("shared queues", () => {
  test("an item wakes one root, the one that registered last", async () => {
    const { host, plugin } = await state({}, { workers: 2 });
    const stream = plugin.exchange({ headers: requestHeaders("enqueue") });
    expect(saidBy(stream)).toEqual({ resolve: "0", enqueue: "0", unknown: "111  0" });
    const heard = host.logs.filter(({ message }) => /^(ready|then)/.test(message));
    expect(heard.map(({ message }) => message)).toEqual(["ready true 0 job 3", "then 7  0"]);
    expect(new Set(heard.map(({ thread }) => thread))).toEqual(new Set([2]));
  });
});
