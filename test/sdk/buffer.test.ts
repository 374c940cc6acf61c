import { describe, expect, test } from "vitest";
import { expectSameForEverySplit } from "../host/index.ts";
import { notesOf, requestHeaders, startFixture } from "./fixture.ts";
import "../host/matchers.ts";

const bodies = (spec = {}, options = {}) => startFixture("bodies", spec, options);

describe("buffers", () => {
  test("configurations are readable where they exist", async () => {
    const { host } = await bodies({ config: "plugin text", vmConfig: "vm" });
    const notes = [...new Set(host.logs.map(({ message }) => message))];
    expect(notes).toEqual(["vm 0 vm 2 plugin -1", "config 0 plugin text 11", "beyond 0 gin text 8"]);
  });

  test("streaming shows each chunk, buffering all of them", async () => {
    const { plugin } = await bodies();
    expect(notesOf(plugin.exchange({ headers: requestHeaders("stream"), body: ["ab", "c", ""] }))).toEqual([
      "2 0 ab 2",
      "1 0 c 1",
      "0 0  0",
    ]);
  });

  test.each([
    ["replace", "new"],
    ["prefix", "longerdef"],
    ["append", "abcdef>"],
    ["erase", ""],
  ])("%s, however the body is cut", async (op, expected) => {
    const { plugin } = await bodies();
    const count = expectSameForEverySplit("abcdef", (chunks) => {
      const stream = plugin.exchange({ headers: requestHeaders(op, { "content-length": "6" }), body: chunks });
      expect(stream.upstream.text).toBe(expected);
      expect(notesOf(stream)).toEqual(["0"]);
      return stream.upstream.text;
    });
    expect(count).toBeGreaterThan(25);
  });

  test("misuse is answered, not punished", async () => {
    const { plugin } = await bodies();
    expect(notesOf(plugin.exchange({ headers: requestHeaders("misuse"), body: "abc" }))).toEqual([
      "beyond 0  0",
      "negative 0  0",
      "other side 0 0  0",
      "callout -1",
      "unknown -1",
      "write config 2",
    ]);
  });

  test("a body larger than the arena comes through and its memory is given back", async () => {
    const { host, plugin } = await bodies({}, { bufferLimitBytes: 4 << 20 });
    const body = new Uint8Array(1 << 20).fill(65);
    const once = (): void => {
      const stream = plugin.exchange({
        headers: requestHeaders("large"),
        body: [body.subarray(0, 700_000), body.subarray(700_000)],
      });
      if (!notesOf(stream).includes(`large 0 ${body.length} 65`)) throw new Error(notesOf(stream).join());
    };
    expect(host.workerVm()).toHaveFlatMemory(20, once);
  });

  test("windows over a large body reuse the arena", async () => {
    const { host, plugin } = await bodies({}, { bufferLimitBytes: 4 << 20 });
    const before = host.workerVm().memory.pages;
    const stream = plugin.exchange({ headers: requestHeaders("windows"), body: new Uint8Array(1_000_500) });
    expect(notesOf(stream)).toEqual(["windows 1000500"]);
    expect(host.workerVm().memory.pages).toBe(before);
  });

  test("what is kept beyond its callback is poison", async () => {
    const { plugin } = await bodies();
    expect(notesOf(plugin.exchange({ headers: requestHeaders("kept"), body: ["abc", "next"] }))).toEqual([
      "kept 221 221",
    ]);
    const trusting = await bodies({}, { poisonScratch: false });
    expect(notesOf(trusting.plugin.exchange({ headers: requestHeaders("kept"), body: ["abc", "next"] }))).toEqual([
      "kept 97 99",
    ]);
  });

  test("a response body is buffered and prefixed", async () => {
    const { plugin } = await bodies();
    const stream = plugin.exchange({ headers: requestHeaders("response"), body: "q" }, () => ({
      headers: { ":status": "200" },
      body: ["ab", "cd"],
    }));
    expect(stream.downstream.text).toBe("<4>abcd");
  });
});
