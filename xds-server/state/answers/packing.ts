/**
 * Entries as they are stored: format u8 (1) | encoding u8 (0 as it is, 1 brotli) | length of the entry u32, little-endian | bytes.
 * Those of streams that can be given again as they came: format 2, the same with length of the pace u16 | pace (pace.ts) in front of the bytes.
 *
 * Brotli at quality 2. Of a stream of 80 KB, a document of 4 KB and an embedding of 19 KB it leaves 1/53, 1/2.1 and 1/2.6, in 170, 45 and 160 µs, and takes 50, 20
 * and 70 µs back. Deflate at its fastest leaves 1/40, 1/2.1 and 1/2.3 in about the same time, and takes twice as long back for the stream; Node 20 has no zstd.
 * Node's own threads do it, but for taking back what is small: there the way to a thread and back costs more (16 µs against 38 µs of CPU for 16 KB).
 */
import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, brotliDecompressSync, constants } from "node:zlib";
import { MAX_VALUE_BYTES, MIN_PACKED_BYTES } from "./limits.ts";

const FORMAT = 1;
const PACED_FORMAT = 2;
const PLAIN = 0;
const BROTLI = 1;
const HEAD_BYTES = 6;
const PACE_LENGTH_BYTES = 2;
const QUALITY = 2;
/** Entries of at most so many bytes are taken back at once. */
const SMALL_BYTES = 16 * 1024;

const NO_PACE: Buffer = Buffer.alloc(0);

const compress = promisify(brotliCompress);
const decompress = promisify(brotliDecompress);

/** Memory of its own: a buffer of Node's pool would keep the whole pool alive. @param pace at most 65535 bytes; empty for none */
export async function pack(value: Buffer, pace: Uint8Array = NO_PACE): Promise<Buffer> {
  let encoding = PLAIN;
  let bytes = value;
  if (value.length >= MIN_PACKED_BYTES) {
    const params = {
      [constants.BROTLI_PARAM_QUALITY]: QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: value.length,
    };
    const smaller = await compress(value, { params });
    if (smaller.length < value.length) {
      encoding = BROTLI;
      bytes = smaller;
    }
  }
  const isPaced = pace.length > 0;
  const at = isPaced ? HEAD_BYTES + PACE_LENGTH_BYTES + pace.length : HEAD_BYTES;
  const packed = Buffer.allocUnsafeSlow(at + bytes.length);
  packed.writeUInt8(isPaced ? PACED_FORMAT : FORMAT, 0);
  packed.writeUInt8(encoding, 1);
  packed.writeUInt32LE(value.length, 2);
  if (isPaced) {
    packed.writeUInt16LE(pace.length, HEAD_BYTES);
    packed.set(pace, HEAD_BYTES + PACE_LENGTH_BYTES);
  }
  bytes.copy(packed, at);
  return packed;
}

/** The pace beside an entry, a view; empty without one. */
export function unpackPace(packed: Buffer): Buffer {
  const at = valueAt(packed);
  return at === undefined || at === HEAD_BYTES ? NO_PACE : packed.subarray(HEAD_BYTES + PACE_LENGTH_BYTES, at);
}

/** Where the bytes of the entry begin; undefined for bytes that are none of these formats, or cut off. */
function valueAt(packed: Buffer): number | undefined {
  if (packed.length < HEAD_BYTES) return undefined;
  const format = packed.readUInt8(0);
  if (format === FORMAT) return HEAD_BYTES;
  if (format !== PACED_FORMAT || packed.length < HEAD_BYTES + PACE_LENGTH_BYTES) return undefined;
  const at = HEAD_BYTES + PACE_LENGTH_BYTES + packed.readUInt16LE(HEAD_BYTES);
  return at <= packed.length ? at : undefined;
}

/** undefined for bytes that are none of this format, cut off, or more than they say. Never makes more than MAX_VALUE_BYTES of them. */
export async function unpack(packed: Buffer): Promise<Buffer | undefined> {
  const at = valueAt(packed);
  if (at === undefined) return undefined;
  const encoding = packed.readUInt8(1);
  const length = packed.readUInt32LE(2);
  const bytes = packed.subarray(at);
  if (length > MAX_VALUE_BYTES) return undefined;
  if (encoding === PLAIN) return bytes.length === length ? bytes : undefined;
  if (encoding !== BROTLI) return undefined;
  try {
    const bounds = { maxOutputLength: Math.max(1, length) };
    const value = length <= SMALL_BYTES ? brotliDecompressSync(bytes, bounds) : await decompress(bytes, bounds);
    return value.length === length ? value : undefined;
  } catch {
    return undefined;
  }
}
