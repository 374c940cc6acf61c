/**
 * A stored answer as bytes: the same in shared data and in the answer service.
 *
 *   entry   |magic u32|api u8|flags u8|content type, bytes u16|storedAt i64|expiresAt i64|tenant u64|model u64|
 *           |input tokens u32|output tokens u32|cached tokens u32|body, bytes u32|0 u64| content type | body |          64 bytes in front, little-endian
 *
 * Who reads an entry believes nothing: lengths have to add up, and a content type that a header could not hold makes it none.
 */
import { Bytes, scratch } from "../sdk";

export const META_BYTES: i32 = 64;
/** The answer is an event stream. */
export const FLAG_STREAM: u8 = 1;
/** Tokens that nobody knows. */
const UNKNOWN_TOKENS: u32 = 0xffffffff;
/** Milliseconds from the request until an answer is neither fresh nor stale any more, at most: 60 days. What was purged longer ago need not be remembered. */
export const LONGEST_LIFE: i64 = 60 * 86_400_000;

/** Bytes in front of an entry that is a draft, for what the slab writes there. */
export const DRAFT_ROOM: i32 = 32;

const MAGIC: u32 = 0x31414d54;
const MOST_CONTENT_TYPE: i32 = 256;
/** Of the times in an entry: the year 10889. Sums of two do not wrap. */
const LATEST: i64 = 1 << 48;

/** What is known of an answer besides its bytes. */
@final
export class AnswerMeta {
  /** Api of lib/llm-api.ts. */
  api: u8 = 0;
  flags: u8 = 0;
  /** When the request was sent upstream, and until when the answer is fresh; ms since 1970. */
  storedAt: i64 = 0;
  expiresAt: i64 = 0;
  /** Hashes of the tenant, and of the model as the client named it. */
  tenant: u64 = 0;
  model: u64 = 0;
  inputTokens: u32 = UNKNOWN_TOKENS;
  outputTokens: u32 = UNKNOWN_TOKENS;
  cachedTokens: u32 = UNKNOWN_TOKENS;

  copy(other: AnswerMeta): void {
    this.api = other.api;
    this.flags = other.flags;
    this.storedAt = other.storedAt;
    this.expiresAt = other.expiresAt;
    this.tenant = other.tenant;
    this.model = other.model;
    this.inputTokens = other.inputTokens;
    this.outputTokens = other.outputTokens;
    this.cachedTokens = other.cachedTokens;
  }

  /** Later than it was sent, not too long after, and in a time that can be. */
  get isTimely(): bool {
    return this.storedAt >= 0 && this.storedAt <= LATEST && this.expiresAt >= this.storedAt && this.expiresAt <= LATEST;
  }
}

/** A stored answer that was found. Views are borrowed from whoever found it. */
@final
export class StoredAnswer {
  readonly meta: AnswerMeta = new AnswerMeta();
  /** Until when it may be served although it is not fresh; from the slab only. */
  staleUntil: i64 = 0;
  readonly contentType: Bytes = new Bytes();
  readonly body: Bytes = new Bytes();
  /** All of it. */
  readonly entry: Bytes = new Bytes();

  /** Holds nothing any more. */
  clear(): void {
    this.contentType.clear();
    this.body.clear();
    this.entry.clear();
  }

  /** False when the bytes are no entry; then nothing else holds. O(content type). */
  read(entry: Bytes): bool {
    const at = entry.ptr;
    const length = entry.len;
    if (length < META_BYTES || load<u32>(at) != MAGIC) return false;
    const contentType = <i32>load<u16>(at, 6);
    const body = load<u32>(at, 52);
    if (<u64>META_BYTES + <u64>contentType + <u64>body != <u64>length) return false;
    const text = at + <usize>META_BYTES;
    if (!isHeaderText(text, contentType)) return false;
    const meta = this.meta;
    meta.api = load<u8>(at, 4);
    meta.flags = load<u8>(at, 5);
    meta.storedAt = load<i64>(at, 8);
    meta.expiresAt = load<i64>(at, 16);
    meta.tenant = load<u64>(at, 24);
    meta.model = load<u64>(at, 32);
    meta.inputTokens = load<u32>(at, 40);
    meta.outputTokens = load<u32>(at, 44);
    meta.cachedTokens = load<u32>(at, 48);
    if (!meta.isTimely) return false;
    this.contentType.set(text, contentType);
    this.body.set(text + <usize>contentType, <i32>body);
    this.entry.set(at, length);
    this.staleUntil = meta.expiresAt;
    return true;
  }
}

/** An answer on its way into a store, in one piece of scratch memory: it lasts until the outermost callback returns. */
@final
export class AnswerDraft {
  readonly meta: AnswerMeta = new AnswerMeta();
  /** Empty when there is none. */
  readonly entry: Bytes = new Bytes();
  private readonly given: StoredAnswer = new StoredAnswer();

  /**
   * Starts an entry; what lives longer than LONGEST_LIFE is cut. Returns where the caller has to put the body, exactly `bodyBytes` of it. 0: times or content type cannot be, or there is no
   * memory; then there is no entry.
   */
  begin(meta: AnswerMeta, contentType: Bytes, bodyBytes: i32): usize {
    this.clear();
    if (bodyBytes < 0 || !meta.isTimely || !isHeaderText(contentType.ptr, contentType.len)) return 0;
    const at = this.allocate(META_BYTES + contentType.len, bodyBytes);
    if (at == 0) return 0;
    this.meta.copy(meta);
    this.meta.expiresAt = min(meta.expiresAt, meta.storedAt + LONGEST_LIFE);
    const own = this.meta;
    store<u32>(at, MAGIC);
    store<u8>(at, own.api, 4);
    store<u8>(at, own.flags, 5);
    store<u16>(at, <u16>contentType.len, 6);
    store<i64>(at, own.storedAt, 8);
    store<i64>(at, own.expiresAt, 16);
    store<u64>(at, own.tenant, 24);
    store<u64>(at, own.model, 32);
    store<u32>(at, own.inputTokens, 40);
    store<u32>(at, own.outputTokens, 44);
    store<u32>(at, own.cachedTokens, 48);
    store<u32>(at, bodyBytes, 52);
    store<u64>(at, 0, 56);
    memory.copy(at + <usize>META_BYTES, contentType.ptr, contentType.len);
    return at + <usize>(META_BYTES + contentType.len);
  }

  /** Takes over an entry that somebody else has made. False when the bytes are none, or there is no memory. O(bytes). */
  take(entry: Bytes): bool {
    const given = this.given;
    if (!given.read(entry)) {
      this.clear();
      return false;
    }
    const body = this.begin(given.meta, given.contentType, given.body.len);
    if (body != 0) memory.copy(body, given.body.ptr, given.body.len);
    return body != 0;
  }

  clear(): void {
    this.entry.clear();
  }

  private allocate(head: i32, bodyBytes: i32): usize {
    if (bodyBytes > i32.MAX_VALUE / 2) return 0;
    const block = scratch.allocate(<usize>(DRAFT_ROOM + head + bodyBytes));
    if (block == 0) return 0;
    this.entry.set(block + <usize>DRAFT_ROOM, head + bodyBytes);
    return this.entry.ptr;
  }
}

/** A header could hold it, and so could the two bytes of its length. */
function isHeaderText(at: usize, length: i32): bool {
  if (length > MOST_CONTENT_TYPE) return false;
  for (let end = at + <usize>length; at < end; at++) {
    const byte = load<u8>(at);
    if (byte < 0x20 || byte == 0x7f) return false;
  }
  return true;
}
