import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Status } from "./abi.ts";
import { ByteBuffer, setBufferBytes } from "./buffers.ts";

const bytes = fc.uint8Array({ maxLength: 30 });
const step = fc.oneof(
  fc.record({ op: fc.constant("append" as const), data: bytes }),
  fc.record({ op: fc.constant("prepend" as const), data: bytes }),
  fc.record({ op: fc.constant("drain" as const), count: fc.nat(40) }),
);

describe("byte buffer", () => {
  test("agrees with a plain array, whatever is done to it", () => {
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const buffer = new ByteBuffer();
        let model: number[] = [];
        for (const one of steps) {
          if (one.op === "append") [model] = [[...model, ...one.data], buffer.append(one.data)];
          else if (one.op === "prepend") [model] = [[...one.data, ...model], buffer.prepend(one.data)];
          else [model] = [model.slice(one.count), buffer.drain(one.count)];
          expect([...buffer.view()]).toEqual(model);
          expect(buffer.length).toBe(model.length);
        }
      }),
    );
  });

  test("does not write into the bytes it was made from", () => {
    const source = Uint8Array.from([1, 2, 3]);
    const buffer = new ByteBuffer(source);
    buffer.append(Uint8Array.from([4]));
    buffer.prepend(Uint8Array.from([0]));
    expect([...source]).toEqual([1, 2, 3]);
  });

  test.each([
    ["prepend", 0, 0, Status.Ok, "xabc"],
    ["replace a prefix", 0, 2, Status.Ok, "xc"],
    ["replace all", 0, 99, Status.Ok, "x"],
    ["append at the end", 3, 0, Status.Ok, "abcx"],
    ["append far behind", 99, 5, Status.Ok, "abcx"],
    ["in the middle", 1, 1, Status.BadArgument, "abc"],
  ])("setBufferBytes: %s", (_name, start, length, status, content) => {
    const buffer = new ByteBuffer(new TextEncoder().encode("abc"));
    expect(setBufferBytes(buffer, start, length, new TextEncoder().encode("x"))).toBe(status);
    expect(new TextDecoder().decode(buffer.view())).toBe(content);
  });
});
