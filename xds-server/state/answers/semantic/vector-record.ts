/**
 * A question as it lies in Redis, beside its answer. Little-endian:
 *
 *   0 format u8 (1)   1 reserved   2 numbers of the vector u16   4 fixed words u16   6 other words u16   8 key 16
 *   24 vector f32 ..., fixed words u32 ..., other words u32 ...
 */
import { MAX_DIMENSIONS, MAX_TEXT_BYTES, MIN_DIMENSIONS } from "./limits.ts";
import type { Question } from "./vector-index.ts";

const FORMAT = 1;
const HEAD_BYTES = 24;
const KEY_AT = 8;
/** How far from 1 the length of a vector may be. */
const TOLERANCE = 1e-3;

export function encodeRecord({ key, vector, wording: { fixed, content } }: Omit<Question, "id">): Buffer {
  const record = Buffer.alloc(HEAD_BYTES + vector.byteLength + fixed.byteLength + content.byteLength);
  record.writeUInt8(FORMAT, 0);
  record.writeUInt16LE(vector.length, 2);
  record.writeUInt16LE(fixed.length, 4);
  record.writeUInt16LE(content.length, 6);
  record.write(key, KEY_AT, "hex");
  let at = HEAD_BYTES;
  for (const each of vector) at = record.writeFloatLE(each, at);
  for (const words of [fixed, content]) for (const each of words) at = record.writeUInt32LE(each, at);
  return record;
}

/** undefined for bytes that are no such record. */
export function decodeRecord(record: Buffer, id: string): Question | undefined {
  if (record.length < HEAD_BYTES || record.readUInt8(0) !== FORMAT) return undefined;
  const [dimensions, fixed, content] = [record.readUInt16LE(2), record.readUInt16LE(4), record.readUInt16LE(6)];
  if (dimensions < MIN_DIMENSIONS || dimensions > MAX_DIMENSIONS || fixed + content > MAX_TEXT_BYTES) return undefined;
  if (record.length !== HEAD_BYTES + 4 * (dimensions + fixed + content)) return undefined;
  const vector = Float32Array.from({ length: dimensions }, (_, index) => record.readFloatLE(HEAD_BYTES + 4 * index));
  // Not a number is not near either.
  if (!(Math.abs(vector.reduce((sum, each) => sum + each * each, 0) - 1) < TOLERANCE)) return undefined;
  const words = (from: number, count: number) =>
    Uint32Array.from({ length: count }, (_, index) => record.readUInt32LE(HEAD_BYTES + 4 * (from + index)));
  return {
    key: record.toString("hex", KEY_AT, HEAD_BYTES),
    vector,
    wording: { fixed: words(dimensions, fixed), content: words(dimensions + fixed, content) },
    id,
  };
}
