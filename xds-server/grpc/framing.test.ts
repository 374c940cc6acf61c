import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MessageReader, prefixed } from "./framing.ts";
import { CallError, Status } from "./status.ts";

const MAX = 1_000;

/** The stream cut at these places, whatever they are. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  const chunks: Buffer[] = [];
  let from = 0;
  for (const place of [...sorted, bytes.length]) {
    chunks.push(bytes.subarray(from, place));
    from = place;
  }
  return chunks;
}

function statusOf(work: () => unknown): Status | undefined {
  try {
    work();
  } catch (error) {
    return error instanceof CallError ? error.status : undefined;
  }
  return undefined;
}

describe("messages in chunks", () => {
  it("property: come out as they went in, wherever the stream is cut", () => {
    const message = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 8 }), fc.array(fc.nat(400), { maxLength: 30 }), (messages, places) => {
        const reader = new MessageReader(MAX);
        const stream = Buffer.concat(messages.map((each) => prefixed(each)));
        const read = cut(stream, places).flatMap((chunk) => [...reader.read(chunk)]);
        expect(read.map((each) => [...each])).toEqual(messages.map((each) => [...each]));
        expect(reader.held).toBe(0);
      }),
    );
  });

  it("come out byte by byte", () => {
    const reader = new MessageReader(MAX);
    const stream = Buffer.concat([prefixed(Buffer.from("one")), prefixed(), prefixed(Buffer.from("three"))]);
    const read = [...stream].flatMap((byte) => [...reader.read(Buffer.from([byte]))]);
    expect(read.map(String)).toEqual(["one", "", "three"]);
  });

  it("may be as long as the limit and no longer, told by the prefix alone", () => {
    expect([...new MessageReader(MAX).read(prefixed(Buffer.alloc(MAX)))]).toHaveLength(1);
    const tooLong = prefixed(Buffer.alloc(0), MAX + 1);
    expect(statusOf(() => [...new MessageReader(MAX).read(tooLong)])).toBe(Status.resourceExhausted);
  });

  it("may not be compressed", () => {
    const compressed = prefixed(Buffer.from("x"));
    compressed[0] = 1;
    expect(statusOf(() => [...new MessageReader(MAX).read(compressed)])).toBe(Status.unimplemented);
  });

  it("a prefix counts the bytes that follow its buffer", () => {
    expect(prefixed(Buffer.from("ab"), 3)).toEqual(Buffer.from([0, 0, 0, 0, 5, 0x61, 0x62]));
  });
});
