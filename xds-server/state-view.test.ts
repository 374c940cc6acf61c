import { describe, expect, it } from "vitest";
import { stateView } from "./state-view.ts";

const NOW = Date.UTC(2026, 0, 1, 0, 1, 0);

describe("the state store in the status", () => {
  it("is there, or away since a time, with what still works", () => {
    expect(stateView("file", true, undefined, NOW)).toEqual({ kind: "file", ready: true, available: true });
    const outage = { kinds: ["documents", "weights"], forMs: 60_000.4, reason: "no answer in 3000 ms" };
    expect(stateView("redis", true, outage, NOW)).toEqual({
      kind: "redis",
      ready: true,
      available: false,
      awaySince: "2026-01-01T00:00:00.000Z",
      reason: "no answer in 3000 ms",
      unread: ["documents", "weights"],
      effect: expect.stringMatching(/^what was read last is served.*cannot be changed$/),
    });
  });

  it("has not answered since the start: then nothing is served", () => {
    expect(stateView("redis", false, { kinds: ["weights"], forMs: 0, reason: undefined }, NOW)).toMatchObject({
      ready: false,
      available: false,
      reason: "it has not answered yet",
      effect: expect.stringContaining("nothing is served"),
    });
  });
});
