import { describe, expect, it } from "vitest";
import { jsonLogger } from "./log.ts";

describe("jsonLogger", () => {
  const logged = (minimum?: "debug" | "info" | "warn" | "error") => {
    const lines: string[] = [];
    return { lines, log: jsonLogger(minimum, (line) => lines.push(line)) };
  };

  it("writes one JSON object per line with time, level, message and fields", () => {
    const { lines, log } = logged();
    log("warn", "something\nhappened", { node: "a", count: 2, message2: undefined });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^[^\n]*\n$/);
    const line = JSON.parse(lines[0] ?? "") as Record<string, unknown>;
    expect(line).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      level: "warn",
      message: "something\nhappened",
      node: "a",
      count: 2,
    });
  });

  it("leaves out what is below the level", () => {
    const { lines, log } = logged("warn");
    log("debug", "a");
    log("info", "b");
    log("error", "c");
    expect(lines.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual(["c"]);
  });

  it("survives what JSON cannot hold, and hides secrets by name", () => {
    const { lines, log } = logged();
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    log("info", "odd", { circular, big: 10n, token: "abc", headers: { authorization: "Bearer abc" } });
    expect(lines[0]).not.toContain("abc");
    expect(() => JSON.parse(lines[0] ?? "")).not.toThrow();
  });

  it("keeps its own message, level and time when a field is called so", () => {
    const { lines, log } = logged();
    log("info", "mine", { level: "x" });
    expect(lines[0]).toContain('"message":"mine"');
  });
});
