/** Exports of filters/lib/sse-scanner for its tests on Node: memory in, numbers out. */
import "../../../filters/sdk/abort";
import { SseScanner } from "../../../filters/lib/sse-scanner";

/** With the default limit, with one that tests reach, with none at all. */
const scanners = [new SseScanner(), new SseScanner(64), new SseScanner(-1)];
let scanner = scanners[0];
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function reset(which: i32): void {
  scanner = scanners[which];
  scanner.reset();
}

export function feed(at: usize, length: i32): i32 {
  return scanner.feed(at, length);
}

/** Feeds to the end as a filter does and returns the number of events: one call for benchmarks. */
export function drain(at: usize, length: i32): i32 {
  const end = at + <usize>length;
  let events = 0;
  while (at < end) {
    const before = scanner.consumed;
    if (scanner.feed(at, <i32>(end - at)) != 0) events++;
    at += <usize>(scanner.consumed - before);
  }
  return events;
}

export function consumed(): f64 {
  return <f64>scanner.consumed;
}

export function isDone(): bool {
  return scanner.isDone();
}

export function dataPtr(): usize {
  return scanner.dataPtr;
}

export function dataLength(): i32 {
  return scanner.dataLength;
}

export function eventPtr(): usize {
  return scanner.eventPtr;
}

export function eventLength(): i32 {
  return scanner.eventLength;
}

export function idPtr(): usize {
  return scanner.id.ptr;
}

export function idLength(): i32 {
  return scanner.id.length;
}

export function retry(): f64 {
  return <f64>scanner.retry.value;
}
