import { describe, expect, it } from "vitest";
import { Telling } from "./telling.ts";

describe("what a watch is told", () => {
  const record = (version: string) => ({ value: `v${version}`, version });
  const open = () => {
    const told: unknown[] = [];
    const telling = new Telling("w/", {
      records: (all) => told.push([...all].map(([key, { version }]) => key + version)),
      failed: ({ message }) => told.push(message),
    });
    return { told, telling };
  };

  it("is what there is, and nothing twice", () => {
    const { told, telling } = open();
    telling.records(new Map());
    telling.records(new Map());
    telling.records(new Map([["a", record("1")]]));
    telling.records(new Map([["a", record("1")]]));
    telling.records(new Map([["b", record("1")]]));
    telling.records(new Map([["b", record("2")]]));
    expect(told).toEqual([[], ["a1"], ["b1"], ["b2"]]);
  });

  it("is a failure once, then the records again, changed or not", () => {
    const { told, telling } = open();
    for (let n = 0; n < 2; n++) telling.failed(new Error("first"));
    expect([telling.failing, telling.known]).toEqual([true, undefined]);
    telling.records(new Map([["a", record("1")]]));
    for (let n = 0; n < 2; n++) telling.failed(new Error("second"));
    for (let n = 0; n < 2; n++) telling.records(new Map([["a", record("1")]]));
    expect(told).toEqual(["first", ["a1"], "second", ["a1"]]);
  });

  it("is nothing after it has ended", () => {
    const { told, telling } = open();
    telling.end();
    telling.records(new Map());
    telling.failed(new Error("late"));
    expect([told, telling.ended]).toEqual([[], true]);
  });
});
