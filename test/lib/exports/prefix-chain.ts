/** Exports of filters/lib/prefix-chain, fed by filters/lib/chat-request, for its tests on Node. */
import "../../../filters/sdk/abort";
import { ChatRequest } from "../../../filters/lib/chat-request";
import { PrefixChain } from "../../../filters/lib/prefix-chain";

const request = new ChatRequest();
const prefix = new PrefixChain();
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function records(value: bool): void {
  request.recordsPrompt = value;
}

/** Scans the body in pieces of `step` bytes; 0: at once. */
export function scan(api: i32, at: usize, length: i32, step: i32): i32 {
  request.reset(api);
  if (step == 0) return request.feed(at, length);
  let status = request.feed(at, 0);
  for (let i = 0; i < length; i += step) status = request.feed(at + i, min(step, length - i));
  return status;
}

export function begin(salt: usize, saltLength: i32, model: usize, modelLength: i32): void {
  prefix.begin(salt, saltLength, model, modelLength);
}

export function hash(at: usize, length: i32): i32 {
  return prefix.hash(request.prompt, at, length);
}

/**
 * The same in windows of `size` bytes, as a stage reads a large body: each alone in memory, with other bytes behind it. Returns how many it took; -1 when it
 * never ends.
 */
export function hashWindows(at: usize, length: i32, size: i32): i32 {
  const window = heap.alloc(size + 64);
  let windows = 0;
  for (let offset = prefix.start(request.prompt); offset >= 0; windows++) {
    if (windows > length + 1) break;
    const there = min(size, length - offset);
    memory.fill(window, 0x6e, size + 64);
    memory.copy(window, at + offset, there);
    offset = prefix.feed(window, offset, there);
  }
  heap.free(window);
  return windows > length + 1 ? -1 : windows;
}

export function start(): i32 {
  return prefix.start(request.prompt);
}

export function feed(at: usize, offset: i32, length: i32): i32 {
  return prefix.feed(at, offset, length);
}

export function blocks(): i32 {
  return prefix.blocks;
}

export function chain(): usize {
  return prefix.chain;
}

export function bytes(): u32 {
  return prefix.bytes;
}

export function key(prefixBlocks: i32): u64 {
  return prefix.key(prefixBlocks);
}

/** Pieces recorded: 0 system, 1 messages. */
export function pieces(list: i32): u32 {
  return (list == 0 ? request.prompt.system : request.prompt.messages).count;
}

export function stopped(list: i32): bool {
  return (list == 0 ? request.prompt.system : request.prompt.messages).stopped;
}
