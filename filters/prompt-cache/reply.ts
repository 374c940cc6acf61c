/**
 * A stored answer as a local reply: the bytes as they came, at once, whether they were a document or a stream.
 *
 *   content-type        as stored
 *   x-llm-cache         how it came here
 *   age                 seconds since its request went upstream
 *   x-llm-cache-key     32 hex digits, if the rule shows it
 *   x-llm-cache-similarity   of the question that it answered to this one, where it is another
 */
import { Bytes, ByteWriter, hexDigit, PairsWriter, stream } from "../sdk";
import { StoredAnswer } from "../state/answer-entry";

export const CACHE_HEADER = Bytes.literal("x-llm-cache");
export const KEY_HEADER = Bytes.literal("x-llm-cache-key");
export const AGE = Bytes.literal("age");
export const CONTENT_TYPE = Bytes.literal("content-type");

const SIMILARITY = Bytes.literal("x-llm-cache-similarity");
const DETAILS = Bytes.literal("tokenmesh_cache_hit");
const OK: i32 = 200;
const MS: i64 = 1000;

const pairs = new PairsWriter();
const text = new ByteWriter();
const KEY: usize = memory.data(32);
const key = new Bytes();

/** Answers the request of the effective context. `state`: for the header. */
export function sendAnswer(answer: StoredAnswer, state: Bytes, low: u64, high: u64, showKey: bool, similarity: i32, now: i64): void {
  pairs.reset().add(CONTENT_TYPE, answer.contentType).add(CACHE_HEADER, state).add(AGE, ageOf(answer, now));
  if (similarity > 0) pairs.add(SIMILARITY, similarityText(similarity));
  if (showKey) pairs.add(KEY_HEADER, keyText(low, high));
  stream.respond(OK, DETAILS, answer.body, pairs);
}

/** 0.953 of 953. */
function similarityText(permille: i32): Bytes {
  text.reset().decimal(permille / 1000).byte(0x2e);
  for (let part = 100; part > 0; part /= 10) text.byte(<u8>(48 + ((permille / part) % 10)));
  return text.view();
}

/** In whole seconds; 0 for one of a clock that is ahead. Valid until the next text. */
export function ageOf(answer: StoredAnswer, now: i64): Bytes {
  return text.reset().decimal(<u64>(max<i64>(now - answer.meta.storedAt, 0) / MS)).view();
}

/** The sixteen bytes of the key as they go over wires, in hex. Valid until the next key. */
export function keyText(low: u64, high: u64): Bytes {
  digits(KEY, low);
  digits(KEY + 16, high);
  key.set(KEY, 32);
  return key;
}

/** Bytes from the lowest on. */
function digits(at: usize, word: u64): void {
  for (const end = at + 16; at < end; at += 2) {
    const byte = <u8>word;
    store<u8>(at, hexDigit(byte >> 4));
    store<u8>(at, hexDigit(byte & 15), 1);
    word >>= 8;
  }
}
