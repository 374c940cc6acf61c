import { describe, expect, test } from "vitest";
import { notesOf, requestHeaders, saidBy, startFixture } from "./fixture.ts";

const state = (spec = {}, options = {}) => startFixture("state", spec, options);

describe("logging and time", () => {
  test("the level is followed, text is UTF-8, misuse is a status", async () => {
    const { plugin } = await state({}, { logLevel: "info" });
    const stream = plugin.exchange({ headers: requestHeaders("log") });
    expect(notesOf(stream)).toEqual(["level falsetrue", "loud é"]);
    expect(stream.logs[1]?.level).toBe("error");
    expect(saidBy(stream)).toEqual({ bad: "26" });
  });

  test("ticks follow the virtual clock on every thread and stop when told", async () => {
    const { host, plugin } = await state({}, { workers: 2 });
    host.advance(149);
    expect(host.logs).toEqual([]);
    host.advance(10_000);
    expect(host.logs.map(({ message, thread }) => `${thread} ${message}`)).toEqual(
      [0, 1, 2].map((thread) => `${thread} three ticks at ${(Date.UTC(2026, 0, 1) + 150) % 1_000_000}`),
    );
    expect(saidBy(plugin.exchange({ headers: requestHeaders("time") }))).toEqual({
      now: String(BigInt(Date.UTC(2026, 0, 1) + 10_149) * 1_000_000n),
    });
  });
});
