import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { decodeGet, decodePurges, decodePut, encodeFound, encodePurges, encodeStored } from "./protocol.ts";
import { PurgeKind } from "./purge.ts";

/** Bytes of the wire format, and messages that somebody else's encoder made. */

const { root } = protobuf.parse(
  `
  syntax = "proto3";
  message GetRequest {
    bytes key = 1; fixed64 tenant = 2; fixed64 model = 3; bytes partition = 4; bytes text = 5; uint32 threshold_permille = 6;
    uint32 speed_percent = 7; uint32 max_gap_ms = 8; uint64 replay_of_ms = 9; bool show_key = 10;
  }
  message GetResponse { uint32 age_ms = 1; bytes value = 2; uint32 similarity_permille = 3; bytes key = 4; bytes replay = 5; }
  message PutRequest { bytes key = 1; uint32 ttl_ms = 2; bytes value = 3; bytes partition = 4; bytes text = 5; bytes pace = 6; }
  message PurgesRequest { fixed64 epoch = 1; uint64 since = 2; string envoy = 3; uint32 wait_ms = 4; }
  message PurgesResponse { fixed64 epoch = 1; uint64 sequence = 2; uint64 now_ms = 3; repeated Purge purges = 4; }
  message Purge { uint32 kind = 1; fixed64 low = 2; fixed64 high = 3; uint64 at_ms = 4; }`,
  { keepCase: true },
);
const encode = (type: string, message: object) => root.lookupType(type).encode(message).finish();
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytes = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

const KEY = "000102030405060708090a0b0c0d0e0f";

describe("GetRequest", () => {
  it("has key, tenant and model; those that are left out are 0", () => {
    const whole = bytes(`0a10 ${KEY} 11 1112131415161718 19 2122232425262728`);
    expect(decodeGet(whole)).toEqual({ key: KEY, tenant: "1112131415161718", model: "2122232425262728" });
    expect(decodeGet(bytes(`0a10 ${KEY}`))).toEqual({ key: KEY, tenant: "0".repeat(16), model: "0".repeat(16) });
  });

  it("is read from anywhere in memory, the last of two counts, what is not known is passed over", () => {
    const request = bytes(`ff 0a10 ${"ff".repeat(16)} 2801 0a10 ${KEY} 3203616263 11 0100000000000000`).subarray(1);
    expect(decodeGet(request)).toEqual({ key: KEY, tenant: "0100000000000000", model: "0".repeat(16) });
  });

  it.each([
    ["no bytes", ""],
    ["no key", "11 1112131415161718"],
    ["too short a key", `0a0f ${KEY.slice(2)}`],
    ["too long a key", `0a11 ${KEY}00`],
    ["a cut key", `0a10 ${KEY.slice(2)}`],
    ["a cut number", `0a10 ${KEY} 11 11121314151617`],
    ["a length beyond everything", `0a10 ${KEY} 32ffffffff0f`],
    ["groups in groups", `0a10 ${KEY} ${"0b".repeat(500)}`],
    ["a field without a number", `0a10 ${KEY} 0001`],
    ["too long a message", `0a10 ${KEY} ${"2801".repeat(6_000)}`],
  ])("%s is none", (_what, text) => {
    expect(() => decodeGet(bytes(text))).toThrow();
  });
});

describe("a question", () => {
  const [partition, text] = [bytes("a0".repeat(16)), Buffer.from("Wie spät ist es?")];
  const asked = { partition: "a0".repeat(16), text: "Wie spät ist es?" };

  it("comes with partition and text, and in a GetRequest with its threshold", () => {
    const more = `22 10 ${"a0".repeat(16)} 2a 03 616263 30 b607`;
    expect(decodeGet(bytes(`0a10 ${KEY} ${more}`)).question).toEqual({
      partition: "a0".repeat(16),
      text: "abc",
      permille: 950,
    });
    expect(decodeGet(encode("GetRequest", { key: bytes(KEY), partition, text })).question).toEqual({
      ...asked,
      permille: 0,
    });
    const put = { key: bytes(KEY), ttl_ms: 5_000, value: Buffer.from("abc"), partition, text };
    expect(decodePut(encode("PutRequest", put)).question).toEqual(asked);
  });

  it.each([
    ["no partition", { text }],
    ["no text", { partition }],
    ["too long a text", { partition, text: Buffer.alloc(8_193, "a") }],
    ["no UTF-8", { partition, text: bytes("61ff") }],
  ])("with %s is none, and all else is as ever", (_what, more) => {
    const { key, question } = decodeGet(encode("GetRequest", { key: bytes(KEY), ...more }));
    expect([key, question]).toEqual([KEY, undefined]);
    const put = decodePut(encode("PutRequest", { key: bytes(KEY), ttl_ms: 5_000, ...more }));
    expect([put.key, put.question]).toEqual([KEY, undefined]);
  });

  it("of the largest size passes", () => {
    const largest = { key: bytes(KEY), partition, text: Buffer.alloc(8_192, "a") };
    expect(decodeGet(encode("GetRequest", largest)).question?.text).toHaveLength(8_192);
  });

  it.each([
    ["half a partition", { partition: partition.subarray(8), text }],
    ["a threshold above 1", { partition, text, threshold_permille: 1_001 }],
  ])("with %s is refused", (_what, more) => {
    expect(() => decodeGet(encode("GetRequest", { key: bytes(KEY), ...more }))).toThrow();
  });
});

describe("a replay", () => {
  const get = (more: object) => decodeGet(encode("GetRequest", { key: bytes(KEY), ...more })).replay;

  it("is wanted at a speed, with a longest gap, of what is there already or not", () => {
    expect(get({ speed_percent: 100 })).toEqual({ speedPercent: 100, maxGapMs: 0, of: 0, showKey: false });
    expect(get({ speed_percent: 10_000, max_gap_ms: 60_000, replay_of_ms: 1_790_000_000_000, show_key: true })).toEqual(
      {
        speedPercent: 10_000,
        maxGapMs: 60_000,
        of: 1_790_000_000_000,
        showKey: true,
      },
    );
    expect(get({ max_gap_ms: 5, replay_of_ms: 7 })).toBeUndefined();
    const put = { key: bytes(KEY), ttl_ms: 5_000, value: Buffer.from("abc"), pace: Buffer.from([0, 3]) };
    expect(decodePut(encode("PutRequest", put)).pace).toEqual(Buffer.from([0, 3]));
  });

  it.each([{ speed_percent: 9 }, { speed_percent: 10_001 }, { speed_percent: 100, max_gap_ms: 60_001 }])(
    "with %o is refused",
    (more) => {
      expect(() => get(more)).toThrow();
    },
  );

  it("has an id", () => {
    expect(hex(encodeFound(0, Buffer.alloc(0), undefined, KEY))).toBe(`1200${"2a10"}${KEY}`);
  });
});

describe("GetResponse", () => {
  it("of an answer by similarity has the key of that answer and how similar it is", () => {
    const found = encodeFound(0, Buffer.from("ab"), { key: KEY, permille: 953 });
    expect(hex(found)).toBe(`12026162${"18b907"}2210${KEY}`);
  });

  it("has the age and the value; no age is 0, and one that is too large the largest", () => {
    expect(hex(encodeFound(300, Buffer.from("ab")))).toBe("08ac02" + "12026162");
    expect(hex(encodeFound(0, Buffer.from("ab")))).toBe("12026162");
    expect(hex(encodeFound(2 ** 40, Buffer.from("ab")))).toBe("08ffffffff0f" + "12026162");
  });
});

describe("PutRequest", () => {
  it("has key, life and value, which is not copied", () => {
    const message = Buffer.from(encode("PutRequest", { key: bytes(KEY), ttl_ms: 5_000, value: Buffer.from("abc") }));
    const { value, ...others } = decodePut(message);
    expect(others).toEqual({ key: KEY, ttlMs: 5_000 });
    expect(value.toString()).toBe("abc");
    message[message.length - 1] = 0x64;
    expect(value.toString()).toBe("abd");
  });

  it.each([
    ["no key", { ttl_ms: 5_000 }],
    ["no life", { key: bytes(KEY) }],
    ["too short a life", { key: bytes(KEY), ttl_ms: 999 }],
    ["too long a life", { key: bytes(KEY), ttl_ms: 30 * 86_400_000 + 1 }],
    ["half a key", { key: bytes(KEY).subarray(8), ttl_ms: 5_000 }],
  ])("with %s is none", (_what, message) => {
    expect(() => decodePut(encode("PutRequest", message))).toThrow();
  });

  it("takes lives up to 30 days", () => {
    for (const ttl of [1_000, 30 * 86_400_000])
      expect(decodePut(encode("PutRequest", { key: bytes(KEY), ttl_ms: ttl })).ttlMs).toBe(ttl);
  });

  it("is answered with a bool", () => {
    expect([hex(encodeStored(true)), hex(encodeStored(false))]).toEqual(["0801", ""]);
  });
});

describe("PurgesRequest", () => {
  it("has epoch, sequence, name and time; nothing at all is the first question", () => {
    const asked = bytes("09 0102030405060708 10ac02 1a0165 20e807");
    expect(decodePurges(asked)).toEqual({ epoch: "0102030405060708", since: 300, envoy: "e", waitMs: 1_000 });
    expect(decodePurges(bytes(""))).toEqual({ epoch: "0".repeat(16), since: 0, envoy: "", waitMs: 10_000 });
    expect(decodePurges(encode("PurgesRequest", { wait_ms: 4_000_000_000 })).waitMs).toBe(10_000);
  });

  it.each([
    ["too long a name", encode("PurgesRequest", { envoy: "é".repeat(257) })],
    ["a cut number", bytes("10")],
    ["too many bytes", encode("PurgesRequest", { envoy: "e".repeat(1_100) })],
  ])("with %s is none", (_what, message) => {
    expect(() => decodePurges(message)).toThrow();
  });
});

describe("PurgesResponse", () => {
  it("has the purges in order, hashes with their bytes as they came", () => {
    const purges = [
      { kind: PurgeKind.key, hash: KEY, at: 300, sequence: 1 },
      { kind: PurgeKind.model, hash: "1112131415161718", at: 1, sequence: 2 },
      { kind: PurgeKind.tenant, hash: "2122232425262728", at: 2, sequence: 3 },
      { kind: PurgeKind.all, hash: "", at: 3, sequence: 4 },
    ];
    const answer = encodePurges({ epoch: "0102030405060708", sequence: 4, now: 1_790_000_000_000, purges });
    // 09 epoch, 10 sequence, 18 now; 22 a purge: 08 kind, 11 low, 19 high, 20 at.
    expect(hex(answer)).toBe(
      `09 0102030405060708 10 04 18 80d8c1a28c34
       22 17 08 01 11 0001020304050607 19 08090a0b0c0d0e0f 20 ac02
       22 0d 08 02 11 1112131415161718 20 01
       22 0d 08 03 11 2122232425262728 20 02
       22 04 08 04 20 03`.replaceAll(/\s/g, ""),
    );
    const type = root.lookupType("PurgesResponse");
    const read = type.toObject(type.decode(answer), { longs: Number }) as { now_ms: number; purges: unknown[] };
    expect([read.now_ms, read.purges.length]).toEqual([1_790_000_000_000, 4]);
  });

  it("without purges has epoch, sequence and time", () => {
    const answer = encodePurges({ epoch: "0102030405060708", sequence: 0, now: 1, purges: [] });
    expect(hex(answer)).toBe("090102030405060708" + "1801");
  });
});
