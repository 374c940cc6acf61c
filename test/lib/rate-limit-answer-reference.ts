/**
 * The answer of a Rate Limit Service, read by other means than the filters': all fields of a message as a list first, then what is asked for. And wrong
 * answers are built here, field by field.
 */

export interface Status {
  code: number;
  limit: { requestsPerUnit: number; unit: number } | undefined;
  remaining: number;
  resetMs: number;
}

export interface Answer {
  code: number;
  statuses: Status[];
}

export const MAX_STATUSES = 32;
export const MAX_UINT32 = 0xffff_ffff;

/** The fields of a message as [number, wire type, value]; throws on what is none. */
export function fieldsOf(bytes: Uint8Array): [number: number, wireType: number, value: bigint | Uint8Array][] {
  const fields: [number, number, bigint | Uint8Array][] = [];
  let rest = bytes;
  const take = (size: number | bigint) => {
    if (size > rest.length) throw new RangeError("cut off");
    const taken = rest.subarray(0, Number(size));
    rest = rest.subarray(Number(size));
    return taken;
  };
  const varint = () => {
    const size = rest.findIndex((byte) => byte < 0x80) + 1;
    if (size < 1 || size > 10) throw new RangeError("a varint without end");
    const groups = [...take(size)].map((byte, i) => BigInt(byte & 0x7f) << BigInt(7 * i));
    return BigInt.asUintN(
      64,
      groups.reduce((sum, group) => sum + group),
    );
  };
  while (rest.length > 0) {
    const tag = varint();
    const [number, wireType] = [Number(tag >> 3n), Number(tag & 7n)];
    if (tag > MAX_UINT32 || number === 0) throw new RangeError("no tag");
    if (wireType === 0) fields.push([number, wireType, varint()]);
    else if (wireType === 1) fields.push([number, wireType, take(8)]);
    else if (wireType === 2) fields.push([number, wireType, take(varint())]);
    else if (wireType === 5) fields.push([number, wireType, take(4)]);
    else throw new RangeError("a group, or no wire type");
  }
  return fields;
}

/** The same by other means. */
export function reference(bytes: Uint8Array): Answer | undefined {
  try {
    const fields = fieldsOf(bytes);
    const statuses = all(fields, 2).map(statusOf);
    if (statuses.length > MAX_STATUSES) return undefined;
    return { code: codeOf(last(fields, 1)), statuses };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

type Fields = ReturnType<typeof fieldsOf>;
const all = (fields: Fields, number: number) =>
  fields.flatMap(([n, type, value]) => (n === number && type === 2 ? [value as Uint8Array] : []));
const last = (fields: Fields, number: number) =>
  fields.flatMap(([n, type, value]) => (n === number && type === 0 ? [value as bigint] : [])).at(-1) ?? 0n;
const codeOf = (value: bigint) => [0, 1, 2].find((code) => BigInt(code) === BigInt.asIntN(32, value)) ?? 0;
const uint32 = (value: bigint) => Number(BigInt.asUintN(32, value));

function statusOf(bytes: Uint8Array): Status {
  const fields = fieldsOf(bytes);
  const limits = all(fields, 2).map(fieldsOf);
  const resets = all(fields, 4).map(fieldsOf);
  const [limit, reset] = [limits.flat(), resets.flat()];
  return {
    code: codeOf(last(fields, 1)),
    limit:
      limits.length > 0
        ? { requestsPerUnit: uint32(last(limit, 1)), unit: Number(BigInt.asIntN(32, last(limit, 2))) }
        : undefined,
    remaining: uint32(last(fields, 3)),
    resetMs: resets.length > 0 ? resetOf(BigInt.asIntN(64, last(reset, 1)), BigInt.asIntN(32, last(reset, 2))) : -1,
  };
}

export const TEN_THOUSAND_YEARS = 315_576_000_000n;

function resetOf(seconds: bigint, nanos: bigint): number {
  const [, within = 0n] = [-TEN_THOUSAND_YEARS, seconds, TEN_THOUSAND_YEARS].sort((a, b) => (a < b ? -1 : 1));
  const nanoseconds = within * 1_000_000_000n + nanos;
  return nanoseconds <= 0n ? 0 : Number((nanoseconds + 999_999n) / 1_000_000n);
}

/** A field with its tag; the bytes of wire type 2 get their length. */
export function field(number: number, wireType: number, payload: Uint8Array | number[] = []): Buffer {
  const length = wireType === 2 ? varint(BigInt(payload.length)) : [];
  return Buffer.from([...varint((BigInt(number) << 3n) | BigInt(wireType)), ...length, ...payload]);
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, value); ; rest >>= 7n) {
    if (rest < 128n) return [...bytes, Number(rest)];
    bytes.push(Number(rest & 127n) | 128);
  }
}

export const number = (n: number, value: bigint | number) => field(n, 0, varint(BigInt(value)));
export const message = (n: number, ...fields: Uint8Array[]) => field(n, 2, Buffer.concat(fields));
