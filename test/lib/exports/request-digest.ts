/** Exports of filters/lib/request-digest for its tests on Node. */
import "../../../filters/sdk/abort";
import { MAX_NUMBER } from "../../../filters/lib/digest-number";
import { MAX_DEPTH } from "../../../filters/lib/json-skip";
import { MAX_MEMBERS } from "../../../filters/lib/member-digests";
import { MAX_IGNORED_NAME, RequestDigest } from "../../../filters/lib/request-digest";

/** The second one ignores members. */
const digests = [new RequestDigest(), new RequestDigest()];
let digest: RequestDigest = digests[0];
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size);
  return input;
}

export function select(which: i32): void {
  digest = digests[which];
}

export function setKey(k0: u64, k1: u64): void {
  digest.setKey(k0, k1);
}

export function ignore(at: usize, length: i32): bool {
  return digest.ignore(at, length);
}

export function reset(): void {
  digest.reset();
}

export function feed(at: usize, length: i32): i32 {
  return digest.feed(at, length);
}

export function low(): u64 {
  return digest.low;
}

export function high(): u64 {
  return digest.high;
}

export function refused(): bool {
  return digest.refused;
}

export function size(): u32 {
  return digest.size;
}

export function maxDepth(): i32 {
  return MAX_DEPTH;
}

export function maxMembers(): i32 {
  return MAX_MEMBERS;
}

export function maxNumber(): i32 {
  return MAX_NUMBER;
}

export function maxIgnoredName(): i32 {
  return MAX_IGNORED_NAME;
}
