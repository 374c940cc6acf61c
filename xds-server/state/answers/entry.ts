/**
 * The head of an entry, as the filter writes it. Little-endian:
 *
 *    0 magic "TMA1"          4 api u8                5 flags u8            6 content-type length u16
 *    8 stored at ms i64     16 expires at ms i64    24 tenant u64         32 model u64
 *   40 input tokens u32     44 output tokens u32    48 cached tokens u32  52 body length u32
 *   56 reserved 8           64 content-type, then the body
 */
import { MAX_VALUE_BYTES } from "./limits.ts";

const HEAD_BYTES = 64;
const MAGIC = 0x31414d54;
const STREAM_FLAG = 1;
const HEADER_TEXT = /^[\x20-\x7e]*$/;

export interface EntryHead {
  /** When the upstream was asked, ms since the epoch by the Envoy's clock. */
  readonly storedAt: number;
  /** Until when it is fresh, by the same clock. */
  readonly expiresAt: number;
  /** 16 hex digits of the bytes. */
  readonly tenant: string;
  readonly model: string;
}

/** undefined for bytes that are no whole entry. */
export function readHead(value: Buffer): EntryHead | undefined {
  if (value.length < HEAD_BYTES || value.length > MAX_VALUE_BYTES || value.readUInt32LE(0) !== MAGIC) return undefined;
  if (HEAD_BYTES + value.readUInt16LE(6) + value.readUInt32LE(52) !== value.length) return undefined;
  const storedAt = Number(value.readBigInt64LE(8));
  if (!Number.isSafeInteger(storedAt) || storedAt < 0) return undefined;
  const expiresAt = Number(value.readBigInt64LE(16));
  return { storedAt, expiresAt, tenant: value.toString("hex", 24, 32), model: value.toString("hex", 32, 40) };
}

/** The entry from no later than `now`: an Envoy whose clock is ahead must not put it out of reach of the purges that come next. */
export function notAhead(value: Buffer, { storedAt }: EntryHead, now: number): Buffer {
  if (storedAt <= now) return value;
  const copy = Buffer.from(value);
  copy.writeBigInt64LE(BigInt(now), 8);
  return copy;
}

/** The answer in an entry that `readHead` has found whole; views. Undefined unless it is a stream with a content type that a header may hold. */
export function readStream(value: Buffer): { readonly contentType: string; readonly body: Buffer } | undefined {
  const bodyAt = HEAD_BYTES + value.readUInt16LE(6);
  const contentType = value.toString("latin1", HEAD_BYTES, bodyAt);
  const isStream = (value.readUInt8(5) & STREAM_FLAG) !== 0;
  return isStream && HEADER_TEXT.test(contentType) ? { contentType, body: value.subarray(bodyAt) } : undefined;
}
