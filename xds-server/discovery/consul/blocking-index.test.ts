import { describe, expect, it } from "vitest";
import { BlockingIndex } from "./blocking-index.ts";

describe("index of blocking queries", () => {
  it("asks at once first, then waits for what comes after the last answer", () => {
    const index = new BlockingIndex();
    expect(index.parameter).toBeUndefined();
    expect(index.follow("7")).toEqual({ backwards: false, missing: false });
    expect(index.parameter).toBe("7");
    expect(index.follow("7")).toEqual({ backwards: false, missing: false });
    expect(index.follow("9")).toEqual({ backwards: false, missing: false });
    expect(index.parameter).toBe("9");
  });

  it("starts anew when the index goes backwards", () => {
    const index = new BlockingIndex();
    index.follow("9");
    expect(index.follow("8")).toEqual({ backwards: true, missing: false });
    expect(index.parameter).toBeUndefined();
    expect(index.follow("8")).toEqual({ backwards: false, missing: false });
    expect(index.parameter).toBe("8");
  });

  it("still notices that it went backwards after a failure", () => {
    const index = new BlockingIndex();
    index.follow("9");
    index.askAtOnce();
    expect(index.parameter).toBeUndefined();
    expect(index.follow("5").backwards).toBe(true);
  });

  it.each([undefined, "", "0", "-1", "1.5", "0x10", "abc", "9".repeat(21)])(
    "waits for nothing when it is %j",
    (header) => {
      const index = new BlockingIndex();
      index.follow("9");
      expect(index.follow(header)).toEqual({ backwards: false, missing: true });
      expect(index.parameter).toBeUndefined();
      expect(index.follow("9").backwards).toBe(false);
    },
  );

  it("keeps all digits of a 64-bit number", () => {
    const index = new BlockingIndex();
    index.follow("18446744073709551614");
    expect(index.follow("18446744073709551615").backwards).toBe(false);
    expect(index.parameter).toBe("18446744073709551615");
    expect(index.follow("18446744073709551614").backwards).toBe(true);
  });
});
