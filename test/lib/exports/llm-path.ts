/** Exports of filters/lib/llm-path for its tests on Node. */
import "../../../filters/sdk/abort";
import { apiName, apiOfSuffix, LlmPath } from "../../../filters/lib/llm-path";

const path = new LlmPath();
let input: usize = 0;

export function allocate(size: i32): usize {
  if (input != 0) heap.free(input);
  input = heap.alloc(size + 16);
  return input;
}

export function read(at: usize, length: i32): void {
  path.read(at, length);
}

export function end(): i32 {
  return path.end;
}

/** 1 Gemini, 2 in pieces. */
export function method(): i32 {
  return (path.isGemini ? 1 : 0) | (path.isStream ? 2 : 0);
}

export function modelStart(): i32 {
  return path.modelStart;
}

export function modelEnd(): i32 {
  return path.modelEnd;
}

export function value(): usize {
  return path.value;
}

export function length(): i32 {
  return path.length;
}

/** 1 truncated, 2 malformed. */
export function defects(): i32 {
  return (path.truncated ? 1 : 0) | (path.malformed ? 2 : 0);
}

export function api(at: usize, length: i32): i32 {
  return apiOfSuffix(at, length);
}

/** Writes the name to `to`, returns its length. */
export function name(api: i32, to: usize): i32 {
  const text = apiName(api);
  return <i32>String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, to);
}
