import { describe, expect, it } from "vitest";
import { decodeFetch, encodeLoads } from "./protocol.ts";

/** Bytes of the wire format. */

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe("Loads", () => {
  it("have their fields in order, those that are 0 left out", () => {
    const load = {
      waiting: 2,
      running: 300,
      kvPermille: 875,
      blockTokens: 16,
      blocks: 27_648,
      activeAdapters: ["x", "y"],
      waitingAdapters: ["z"],
      maxAdapters: 4,
    };
    const bytes = encodeLoads([{ address: "h:1", load, ageMs: 150, fault: undefined }]);
    // 0a 21: field 1, a message of 33 bytes. In it: 0a 03 address; 10 age_ms 150; 18 waiting 2; 20 running 300; 28 kv_permille 875; 30 block_tokens 16;
    // 38 blocks 27,648; 42 active_adapters, twice; 4a waiting_adapters; 50 max_adapters 4.
    expect(hex(bytes)).toBe(
      "0a21 0a03683a31 109601 1802 20ac02 28eb06 3010 3880d801 420178 420179 4a017a 5004".replaceAll(" ", ""),
    );
    const idle = { ...load, waiting: 0, running: 0, kvPermille: 0, blockTokens: 0, blocks: 0, maxAdapters: 0 };
    const nothing = { ...idle, activeAdapters: [], waitingAdapters: [] };
    expect(hex(encodeLoads([{ address: "h:1", load: nothing, ageMs: 0, fault: undefined }]))).toBe("0a050a03683a31");
  });

  it("that are not known say so and nothing else", () => {
    const unknown = { load: undefined, ageMs: 20_000, fault: { reason: "timeout", message: "late" } as const };
    const bytes = encodeLoads([
      { address: "h:1", ...unknown },
      { address: "h:2", ...unknown, ageMs: undefined },
    ]);
    expect(hex(bytes)).toBe("0a070a03683a315801" + "0a070a03683a325801");
    expect(encodeLoads([])).toHaveLength(0);
  });
});

describe("FetchRequest", () => {
  it("names a pool; of several names the last counts, what is not known is passed over", () => {
    expect(decodeFetch(Buffer.from("0a0170", "hex"))).toBe("p");
    expect(decodeFetch(Buffer.from("0a0170" + "1005" + "1a026162" + "0a0171", "hex"))).toBe("q");
  });

  it.each([
    ["no bytes", ""],
    ["an empty name", "0a00"],
    ["no name", "1005"],
    ["a cut length", "0a"],
    ["a cut name", "0a7f61"],
    ["a cut field", "ffff"],
    ["groups in groups", "0b".repeat(500)],
    ["a field without a number", "0001"],
    ["too long a name", `0a8102${"61".repeat(257)}`],
    ["too long a message", `0a0170${"1005".repeat(1_000)}`],
  ])("%s is none", (_what, bytes) => {
    expect(() => decodeFetch(Buffer.from(bytes, "hex"))).toThrow();
  });
});
