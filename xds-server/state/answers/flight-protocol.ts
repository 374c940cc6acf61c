/**
 * What a leader sends of its answer: `Lead` of `tokenmesh.answers.v1.Answers`, a stream of messages.
 *
 *   message LeadRequest {
 *     bytes flight = 1;        // 16 bytes; of the first message, as are the three below
 *     string content_type = 2;
 *     bytes key = 3;           // 16 bytes; absent where clients are not shown it
 *     uint32 age_ms = 4;       // since the upstream was asked
 *     bytes data = 5;          // what comes next of the body
 *     bool end = 6;            // the body is complete; a stream that ends without it has broken off
 *   }
 *   message LeadResponse {
 *     bool open = 1;           // others can read along from now on
 *     uint64 received = 2;     // bytes of the body
 *   }
 */
import protobuf from "protobufjs";
import { KEY_BYTES, MAX_CONTENT_TYPE_BYTES } from "./limits.ts";

export const LEAD_PATH = "/tokenmesh.answers.v1.Answers/Lead";

export interface LeadRequest {
  /** 32 hex digits; "" in all but the first message. */
  readonly flight: string;
  readonly contentType: string;
  readonly key: string | undefined;
  readonly ageMs: number;
  /** Borrowed from the message. */
  readonly data: Buffer;
  readonly end: boolean;
}

const NOTHING: Buffer = Buffer.alloc(0);
const [FLIGHT, CONTENT_TYPE, KEY, AGE, DATA, END] = [10, 18, 26, 32, 42, 48];
const [OPEN, RECEIVED] = [8, 16];

/** What a header may hold. */
const HEADER_TEXT = /^[\x20-\x7e]*$/;

/** Of a field that is there twice the last counts; unknown ones are passed over. @throws RangeError or Error */
export function decodeLead(bytes: Uint8Array): LeadRequest {
  let flight = "";
  let contentType = "";
  let key: string | undefined;
  let ageMs = 0;
  let data = NOTHING;
  let end = false;
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === 0) throw new RangeError("a field without a number");
    if (tag === FLIGHT) flight = digits(view(reader));
    else if (tag === CONTENT_TYPE) contentType = view(reader).toString("latin1");
    else if (tag === KEY) key = digits(view(reader));
    else if (tag === AGE) ageMs = reader.uint32();
    else if (tag === DATA) data = view(reader);
    else if (tag === END) end = reader.bool();
    else reader.skipType(tag & 7);
  }
  if (contentType.length > MAX_CONTENT_TYPE_BYTES || !HEADER_TEXT.test(contentType)) {
    throw new RangeError("content_type is none");
  }
  return { flight, contentType, key, ageMs, data, end };
}

export function encodeOpen(): Buffer {
  return Buffer.from([OPEN, 1]);
}

/** @param received a whole number */
export function encodeReceived(received: number): Buffer {
  const writer = protobuf.Writer.create();
  return Buffer.from(writer.uint32(RECEIVED).uint64(received).finish());
}

function view(reader: protobuf.Reader): Buffer {
  const bytes = reader.bytes();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function digits(bytes: Buffer): string {
  if (bytes.length !== KEY_BYTES) throw new RangeError("an id has 16 bytes");
  return bytes.toString("hex");
}
