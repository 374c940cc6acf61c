import { encode } from "dns-packet";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DnsQuestion, decodeReply, encodeQuestion, isName } from "./message.ts";

const question: DnsQuestion = { id: 0x1234, name: "web.test", kind: "A" };

const reply = (more: object = {}) =>
  encode({
    type: "response",
    id: question.id,
    questions: [{ name: "web.test", type: "A" }],
    answers: [{ name: "web.test", type: "A", ttl: 7, data: "10.0.0.1" }],
    ...more,
  });

describe("messages of DNS", () => {
  it("asks with recursion and for answers of 1,232 bytes", () => {
    const expected = [
      "1234", // id
      "0100", // recursion desired
      "0001 0000 0000 0001", // one question, one additional record
      "03776562 0474657374 00 0001 0001", // web.test, A, IN
      "00 0029 04d0 00000000 0000", // OPT, 1,232 bytes
    ];
    expect(encodeQuestion(question).toString("hex")).toBe(expected.join("").replaceAll(" ", ""));
  });

  it("passes over what is not the answer to the question", () => {
    expect(decodeReply(reply(), question)?.answers).toEqual([
      { kind: "A", name: "web.test", ttl: 7, address: "10.0.0.1" },
    ]);
    expect(decodeReply(reply(), { ...question, name: "WEB.test" })).toBeDefined();
    expect(decodeReply(reply({ id: 0x1235 }), question)).toBeUndefined();
    expect(decodeReply(reply({ type: "query" }), question)).toBeUndefined();
    expect(decodeReply(reply({ questions: [] }), question)).toBeUndefined();
    expect(decodeReply(reply({ questions: [{ name: "web.test", type: "AAAA" }] }), question)).toBeUndefined();
    expect(decodeReply(reply({ questions: [{ name: "evil.test", type: "A" }] }), question)).toBeUndefined();
    expect(decodeReply(Buffer.alloc(11), question)).toBeUndefined();
  });

  it.each([
    [30, 60, 30],
    [60, 30, 30],
    [2 ** 31, 30, 0],
  ])("takes an SOA record of TTL %d and MINIMUM %d for the smaller one", (ttl, minimum, expected) => {
    const soa = { mname: "ns.test", rname: "root.test", serial: 1, refresh: 1, retry: 1, expire: 1, minimum };
    const none = reply({ answers: [], authorities: [{ name: "test", type: "SOA", ttl, data: soa }] });
    expect(decodeReply(none, question)?.negativeTtl).toBe(expected);
    expect(decodeReply(reply({ answers: [] }), question)?.negativeTtl).toBeUndefined();
  });

  it("decodes or refuses any bytes, in bounded time", () => {
    const good = reply();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat({ max: good.length + 40 }), fc.nat({ max: 255 })), { maxLength: 30 }),
        fc.uint8Array({ maxLength: 64 }),
        (edits, tail) => {
          const bytes = Buffer.concat([good, tail]);
          for (const [at, value] of edits) if (at >= 2 && at < bytes.length) bytes[at] = value;
          bytes[2] = (bytes[2] ?? 0) | 0x80;
          try {
            const decoded = decodeReply(bytes, question);
            for (const { ttl, name } of decoded?.answers ?? []) {
              expect(ttl).toBeGreaterThanOrEqual(0);
              expect(name.length).toBeLessThan(1_024);
            }
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("reads 64 KiB of the smallest records quickly", () => {
    const header = Buffer.from(reply({ answers: [] }));
    const record = Buffer.from("c00c0001000100000007000401020304", "hex");
    const count = Math.floor((65_535 - header.length) / record.length);
    header.writeUInt16BE(count, 6);
    const bytes = Buffer.concat([header, ...Array.from({ length: count }, () => record)]);
    const before = performance.now();
    expect(decodeReply(bytes, question)?.answers).toHaveLength(count);
    expect(performance.now() - before).toBeLessThan(1_000);
  });

  it.each([
    ["web", true],
    ["_http._tcp.web.test", true],
    ["a".repeat(63), true],
    ["a".repeat(64), false],
    ["", false],
    ["a..b", false],
    [".a", false],
    ["a b", false],
    [`${"a.".repeat(127)}a`, false],
    ["ü.test", false],
  ])("%j is a name: %s", (name, expected) => {
    expect(isName(name)).toBe(expected);
  });
});
